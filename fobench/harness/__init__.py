"""The flow of a run: a parent that launches, a child that traces or measures one cell."""
