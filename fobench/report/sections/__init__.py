"""Sections of a report: functions from `ReportInput` to blocks, found by the entry points `fobench.sections`."""
