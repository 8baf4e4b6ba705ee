"""The long frame as one file for other tools."""

from __future__ import annotations

from pathlib import Path

from fobench.report.inputs import ReportError
from fobench.store import ResultStore

FORMATS = ("csv", "parquet")


def export(folder: Path, target: Path, kind: str) -> int:
    """Write all rows of the cells that are done and return their number; raises ReportError if there is none."""
    if kind not in FORMATS:
        raise ReportError(f"unknown export format {kind!r}; expected one of {', '.join(FORMATS)}: use --format")
    frame = ResultStore(folder).frame()
    if frame.empty:
        raise ReportError(f"no finished results in {folder}; run the suite first: fobench run SUITE.yaml")
    target.parent.mkdir(parents=True, exist_ok=True)
    if kind == "csv":
        frame.to_csv(target, index=False)
    else:
        frame.to_parquet(target, index=False)
    return len(frame)
