"""The machine and the instruments: what looked, what could not and why, and every remark on the quality of the numbers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pandas as pd

from fobench.contracts import Json
from fobench.report import numbers
from fobench.report.document import Block, Column, Heading, Note, Prose, Table, Value
from fobench.report.inputs import ReportInput, ending
from fobench.report.provenance import MARKS, WEAKNESS, combine
from fobench.report.sections.operations import operations
from fobench.report.tables import MISSING
from fobench.report.wording import absent

STABLE = "steps, stable"
UNSTABLE = "The step time was not stable when the warm-up ended"


def machine(report: ReportInput) -> list[Block]:
    """Return facts of the machine, instruments, failed cells, quality of the windows, and what the counters did not cover."""
    return [
        Heading("Machine and instruments"),
        *_remarks(report),
        *_failed(report),
        *_instruments(report),
        *_idle_and_overhead(report),
        *_windows(report),
        *operations(report),
        *_facts(report),
        *_versions(report),
    ]


def _remarks(report: ReportInput) -> list[Block]:
    blocks: list[Block] = []
    if report.left_out:
        text = "older result files with other settings or other data of the same label and data set are left out."
        blocks.append(Note(f"{report.left_out} {text}"))
    blocks += [Note(f"Not read: {problem}") for problem in report.problems]
    return blocks + _notes(report)


def _notes(report: ReportInput) -> list[Block]:
    """Gather what the measuring processes noted, but for warm-ups that went well."""
    notes = [note for header in report.headers for note in header.notes if not note.endswith(STABLE)]
    counts = Counter(UNSTABLE if note.startswith("warm-up") else note for note in notes)
    return [Note(f"{note} ({count} cell{'s' * (count > 1)}).") for note, count in counts.items()]


def _failed(report: ReportInput) -> list[Block]:
    rows = tuple(
        (
            entry.header.cell.label,
            report.dataset(entry.header),
            str(entry.header.cell.seed),
            str(entry.header.part),
            ending(entry),
        )
        for entry in report.failed
    )
    return (
        [
            _texts(
                "Cells that did not end well; their rows are in no table.",
                ("Learner", "Data set", "Seed", "Part", "Why"),
                rows,
            )
        ]
        if rows
        else []
    )


def _instruments(report: ReportInput) -> list[Block]:
    states: dict[str, dict[str, Json]] = {}
    for header in report.headers:
        for name, state in header.instruments.items():
            if "absent" not in state:
                known = states.setdefault(name, {"channels": [], "period": state.get("update_period_s")})
                known["channels"] = sorted({*known["channels"], *state.get("channels", [])})
    absences = absent(report)
    rows = []
    for name in sorted({*states, *absences}):
        state = states.get(name, {})
        channels = ", ".join(state.get("channels", [])) or MISSING
        where = "present" if name not in absences else "absent in some cells" if name in states else "absent"
        shown = _duration(state["period"]) if state.get("period") else MISSING
        rows.append((name, where, channels, shown, absences.get(name, "")))
    columns = ("Instrument", "State", "Channels", "Refresh", "Reason of absence and remedy")
    if not rows:
        return []
    return [_texts("Every meter and tracer that was asked for.", columns, tuple(rows), _told(report))]


def _told(report: ReportInput) -> tuple[str, ...]:
    """Gather what the instruments said of themselves: modes, totals, filters, averaging, and channels that none could read."""
    told = Counter(
        f"{name}: {note}"
        for header in report.headers
        for name, state in header.instruments.items()
        for note in state.get("notes", [])
    )
    return tuple(f"{note} ({count} cell{'s' * (count > 1)})" for note, count in sorted(told.items()))


def _idle_and_overhead(report: ReportInput) -> list[Block]:
    """Idle power is energy over duration of the idle windows; overhead is what opening and closing a window costs."""
    valid = report.frame[report.frame.invalid == ""].astype({"meter": str, "channel": str})
    idling = valid[valid.phase == "idle"]
    clock = idling[(idling.quantity == "duration") & (idling.meter == "clock")]
    seconds = clock.set_index(["cell", "window"]).value.rename("seconds")
    idle = idling[idling.quantity == "energy"].join(seconds, on=["cell", "window"]).groupby(["meter", "channel"])
    overhead = (
        valid[(valid.phase == "overhead") & (valid.quantity == "energy")].groupby(["meter", "channel"]).value.mean()
    )
    spent = valid[(valid.phase == "overhead") & (valid.quantity == "duration")].value
    rows = []
    for (meter, channel), rows_of in idle:
        mark = MARKS[combine(*(part for part in WEAKNESS if part in set(rows_of.provenance)))]
        timed = rows_of[rows_of.seconds > 0]  # a window that a channel was not read in adds no time either
        power = _shown(timed.value.sum() / timed.seconds.sum(), mark) if len(timed) else MISSING
        cost = _shown(overhead[meter, channel] * 1e3, mark) if (meter, channel) in overhead else MISSING
        rows.append((meter, channel, power, cost))
    blocks: list[Block] = []
    if rows:
        columns = (
            Column("Meter", number=False),
            Column("Channel", number=False),
            Column("Idle power [W]"),
            Column("Energy of an empty window [mJ]"),
        )
        blocks.append(
            Table(
                "Idle power, and the energy of opening and closing a window. Idle power is subtracted in net energy only.",
                columns,
                tuple(rows),
            )
        )
    if len(spent):
        blocks.append(Prose(f"Opening and closing a window takes {_duration(spent.mean())} on average."))
    return blocks


def _duration(seconds: float) -> str:
    shown = numbers.scale([seconds], "s")
    return f"{numbers.exact(seconds / shown.divisor, 3)} {shown.unit}"


def _shown(number: float, mark: str) -> Value:
    return Value(numbers.significant(number, 3), mark, number=number)


SHARES = {"foreign_cpu": "Foreign CPU", "engine_cpu": "of it the cluster's engine"}
"""What the table of windows calls shares of the host's CPU time."""


def _windows(report: ReportInput) -> list[Block]:
    """Count the windows of training and inference, those not used, and the CPU time that others took of the host."""
    frame = report.frame
    timed = frame[frame.phase.isin(["train", "infer", "calibrate"]) & frame.window.notna() & frame.seed.notna()]
    timed = timed[timed.quantity.isin(["duration", "energy", "fault", "foreign_cpu", "engine_cpu"])]
    if timed.empty:
        return []
    quantities = [name for name in SHARES if name == "foreign_cpu" or (timed.quantity == name).any()]
    shares = (f"{SHARES[name]}, {kind} [%]" for name in quantities for kind in ("mean", "max"))
    headers = ("Windows", "Invalid", *shares)
    labels = [label for label in report.labels if (timed.label == label).any()]
    rows = [_window_row(label, timed[timed.label == label], quantities) for label in labels]
    columns = (Column("Learner", number=False), *(Column(header) for header in headers))
    reasons = timed[timed.invalid != ""].drop_duplicates(["cell", "phase", "window"]).invalid.astype(str).value_counts()
    notes = tuple(f"{count} invalid: {reason}" for reason, count in reasons.items() if count)
    caption = (
        "Windows of training and inference, and the share of the host's CPU time used outside the worker meanwhile."
    )
    return [Table(caption, columns, tuple(rows), notes)]


def _window_row(label: str, rows: pd.DataFrame, quantities: list[str]) -> tuple[str | Value, ...]:
    windows = rows.drop_duplicates(["cell", "phase", "window"])
    invalid = rows[rows.invalid != ""].drop_duplicates(["cell", "phase", "window"])
    used = [rows[rows.quantity == quantity].value * 100 for quantity in quantities]
    shares = [
        Value(f"{share:.1f}" if share >= 0.05 or share == 0 else f"{share:.2g}", "m", number=share)
        if len(of)
        else MISSING
        for of in used
        for share in (of.mean(), of.max())
    ]
    return (
        label,
        Value(f"{len(windows):,}", number=len(windows)),
        Value(f"{len(invalid):,}", number=len(invalid)),
        *shares,
    )


def _facts(report: ReportInput) -> list[Block]:
    """Print `machine.json` as it is: nested names are joined by dots."""
    places = [(name, report.folder / name / "machine.json") for name in report.machines]
    if len(places) == 1:
        places.append((report.machines[0], report.folder / "machine.json"))
    return [block for name, path in places if path.is_file() for block in _facts_of(name, path)]


def _facts_of(machine: str, path: Path) -> list[Block]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return [Note(f"Not read: {path.name} is not JSON ({error}).")]
    rows = tuple((name, text) for name, text in _flat(facts) if text and not name.startswith("versions."))
    return [_texts(f"The machine {machine}.", ("Property", "Value"), rows)] if rows else []


def _flat(value: Json, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, part in value.items() for pair in _flat(part, f"{name}.{key}" if name else str(key))]
    if isinstance(value, list):
        return [(name, ", ".join(json.dumps(part) if isinstance(part, dict | list) else str(part) for part in value))]
    return [(name, "" if value is None else str(value))]


def _versions(report: ReportInput) -> list[Block]:
    found: dict[str, set[str]] = {}
    for header in report.headers:
        for package, version in header.versions.items():
            found.setdefault(package, set()).add(version)
    rows = tuple((package, ", ".join(sorted(versions))) for package, versions in sorted(found.items()))
    mixed = [package for package, versions in sorted(found.items()) if len(versions) > 1]
    blocks: list[Block] = [_texts("Versions.", ("Package", "Version"), rows)] if rows else []
    if mixed:
        blocks.append(
            Note(
                f"Cells ran under different versions of {', '.join(mixed)}: their values are averaged here all the same."
            )
        )
    return blocks


def _texts(
    caption: str, headers: tuple[str, ...], rows: tuple[tuple[str, ...], ...], notes: tuple[str, ...] = ()
) -> Table:
    return Table(caption, tuple(Column(header, number=False) for header in headers), rows, notes)
