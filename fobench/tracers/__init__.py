"""Observers of operations and memory, for the tracing process only."""
