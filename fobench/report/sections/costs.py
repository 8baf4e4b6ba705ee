"""Energy, memory, multiply-accumulates and time: a training and an inference table each, and their figures."""

from __future__ import annotations

from collections.abc import Iterable

from fobench.contracts import total_channels
from fobench.report import figures
from fobench.report.document import Block, Heading, Note, Prose, Table
from fobench.report.inputs import ReportInput
from fobench.report.tables import Measure, tables
from fobench.report.wording import absences, batch_text, budget

JOULES_PER_WH = 3600.0


def energy(report: ReportInput) -> list[Block]:
    """Return the energy tables, meter after meter, and the bars of the first."""
    blocks: list[Block] = [Heading("Energy")]
    meters = energy_meters(report)
    if not meters:
        return [*blocks, Note(f"No energy was metered: {absences(report) or 'no energy meter was asked for'}.")]
    blocks.append(
        Prose(f"Totals of the whole training and of one prediction, idle power included. {_meters_text(meters)}")
    )
    for meter in meters:
        source = f"Meter: {meter} ({', '.join(_channels(report, meter))})."
        training = Measure("", "energy", "train", "Wh", meter=meter, divisor=JOULES_PER_WH)
        blocks += tables(report, f"Energy per training ({budget(report)}). {source}", [training])
        inference = [_inference(report, "energy", "J", batch, meter) for batch in ("single", "recipe")]
        blocks += tables(report, f"Energy per predicted sample. {source}", inference)
    return [*blocks, *figures.energy_bars(report, meters[0])]


def energy_meters(report: ReportInput) -> list[str]:
    """Return the meters that gave a total, preferred ones first: measured before estimated, host and GPU before one."""
    rows = report.derived[report.derived.quantity == "energy"]
    meters = rows.groupby("meter").provenance.agg(lambda found: "estimated" in set(found))
    return sorted(meters.index, key=lambda meter: (meters[meter], "+" not in meter, meter))


def time(report: ReportInput) -> list[Block]:
    """Return the time tables."""
    training = Measure("", "duration", "train", "s", meter="clock", prefixed=False)
    inference = [_inference(report, "duration", "s", batch, "clock") for batch in ("single", "recipe")]
    made = [
        *tables(report, f"Time per training ({budget(report)}).", [training]),
        *tables(report, "Time per predicted sample.", inference),
    ]
    return _section("Execution time", made, "No time was measured: the meter `clock` was not asked for.")


def macs(report: ReportInput) -> list[Block]:
    """Return the counts of multiply-accumulates and of elementwise operations."""
    made = []
    captions = {
        "train": "Operations per training sample, mean over stages: contractions in multiply-accumulates (MAC), and elementwise.",
        "infer": "Operations per predicted sample: contractions in multiply-accumulates (MAC), and elementwise.",
    }
    for phase, caption in captions.items():
        measures = [
            Measure("contractions", "macs", phase, "MAC", meter="macs"),
            Measure("elementwise", "elementwise", phase, "op", meter="macs"),
        ]
        made += tables(report, caption, measures)
    return _section("Multiply-accumulates", made, "No operations were counted: the tracer `macs` was not asked for.")


def memory(report: ReportInput) -> list[Block]:
    """Return the peaks of live tensors, those of the process, and the time line of a step."""
    training = [_live("persistent", "memory", "train", "persistent"), *_peaks("train")]
    process = [
        Measure("first step", "memory_peak", "train", "B", channel="first-step", meter="process-memory"),
        Measure("later step", "memory_peak", "train", "B", channel="step", meter="process-memory"),
    ]
    at = f"at batch size {batch_text(report)}"
    live = "Each peak is the maximum over time of its own sum, so the parts need not add up to a peak of the whole."
    made = [
        *tables(report, f"Memory of a training step {at}: live tensors, maximum over stages. {live}", training),
        *tables(report, f"Memory of a prediction {at}: live tensors.", _peaks("infer")),
        *tables(report, f"Rise of the process's resident peak over one training step {at}.", process),
    ]
    blocks = _section("Memory", made, "No memory was traced: the tracer `live-tensors` was not asked for.")
    return [*blocks, *figures.memory_time_line(report)]


def _section(title: str, made: Iterable[Table], missing: str) -> list[Block]:
    found = list(made)
    return [Heading(title), *found] if found else [Heading(title), Note(missing)]


def _inference(report: ReportInput, quantity: str, unit: str, batch: str, meter: str) -> Measure:
    header = "batch 1" if batch == "single" else f"batch {batch_text(report)}"
    return Measure(header, quantity, "infer", unit, batch=batch, meter=meter)


def _peaks(phase: str) -> list[Measure]:
    return [
        _live("batch-prop. peak", "memory_peak", phase, "batch"),
        _live("constant peak", "memory_peak", phase, "constant"),
    ]


def _live(header: str, quantity: str, phase: str, channel: str) -> Measure:
    return Measure(header, quantity, phase, "B", channel=channel, meter="live-tensors")


def _channels(report: ReportInput, meter: str) -> list[str]:
    rows = report.frame[report.frame.quantity == "energy"]
    names = (set(rows[rows.meter == part].channel) for part in meter.split(" + "))
    return [name for part in names for name in sorted(total_channels(part))]


def _meters_text(meters: list[str]) -> str:
    if len(meters) == 1:
        return "A mean is given with its standard deviation over blocks."
    return f"The tables of {meters[0]} come first; the others ({', '.join(meters[1:])}) stand beside them, never mixed with them."
