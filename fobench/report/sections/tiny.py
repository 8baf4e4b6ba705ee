"""MLCommons-Tiny: the published costs, what they are without their slips, the complete model, and this machine's counts."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from fobench import networks, plugins
from fobench.contracts import FobenchError, Header, Part, Phase, Provenance
from fobench.costs.catalog import program_of
from fobench.costs.findings import findings
from fobench.costs.fit import Choice, need
from fobench.costs.program import CostError, Format, Program
from fobench.costs.published import RULES, account, sheet, slips_of
from fobench.costs.setting import Setting
from fobench.report import numbers
from fobench.report.document import Block, Cell, Column, Heading, Note, Prose, Table, Value
from fobench.report.inputs import ReportInput, ending
from fobench.report.provenance import MARKS, MEANING
from fobench.report.tables import MISSING, Estimates, Measure, lookup, value

EXACT = MARKS[Provenance.ANALYTICAL]
MEASURES = {
    "MACs": Measure("", "macs", "train", "MAC", meter="macs"),
    "bytes": Measure("", "memory_peak", "train", "B", channel="batch", meter="live-tensors"),
    "time": Measure("", "duration", "train", "s", meter="clock"),
}


def tiny(report: ReportInput) -> list[Block]:
    """Return the section, or nothing for a suite without the four networks."""
    found = _networks(report)
    if not found:
        return []
    return [
        Heading("MLCommons-Tiny on a microcontroller"),
        Prose(
            "Closed forms, not measurements: int8, one sample a step, an update in place. Published are the figures of Pau "
            "and Aymone (IEEE COINS 2023, doi 10.1109/COINS57856.2023.10189239), recomputed the same accounting without the "
            "slips of its spreadsheet, complete a plan of every buffer of the step: error maps, the modulated pass, the "
            "feedback matrix F, dropout masks."
        ),
        *[_published_table(name) for name in sorted(set(found.values()))],
        *_beside(report, found),
        *_empty_cells(report, found),
        _findings_table(),
    ]


def _networks(report: ReportInput) -> dict[str, str]:
    """Return the network of MLCommons-Tiny that each data set of the report is learned with."""
    names = {networks.describe(name, task): name for name, task in networks.named_tasks().items()}
    headers = [entry.header for entry in report.entries]
    return {report.dataset(header): names[header.network] for header in headers if header.network in names}


def _published_table(network: str) -> Table:
    """Lay out published, recomputed and complete totals of the four published rules."""
    task = networks.named_tasks()[network]
    slips = slips_of(network, task)
    columns = [Column("Learner", number=False)]
    for group in ("MACs per training sample", "Training RAM [B]"):
        columns += [Column(header, group) for header in ("published", "recomputed", "difference", "complete")]
    rows = []
    for rule in RULES:
        told, right = account(sheet(network, task, slips), rule), account(sheet(network, task), rule)
        program = Choice(rule).program(network, task)
        macs, ram = sum(program.macs(Phase.TRAIN).values()), need(program, 1, Format.INT8).ram
        rows.append(
            (
                rule,
                *_four(told.training_macs, right.training_macs, macs),
                *_four(told.training_ram, right.training_ram, ram),
            )
        )
    reason = f"The sheet's slips here: {', '.join(slips)}." if slips else "The sheet has no slip here."
    notes = (
        f"{EXACT} = {MEANING[Provenance.ANALYTICAL]}",
        f"difference = recomputed - published. {reason}",
        "complete MACs count contractions only, published ones softmax, pools and sums too",
    )
    return Table(
        f"{network}: published, recomputed and complete costs of a training sample.", tuple(columns), tuple(rows), notes
    )


def _four(told: float, right: float, complete: float) -> tuple[Cell, ...]:
    return (_exact(told), _exact(right), _exact(right - told, sign=True), _exact(complete))


def _exact(count: float, sign: bool = False) -> Value:
    text = f"{round(count):+,}" if sign and count else f"{round(count):,}"
    return Value(text, EXACT, number=count)


def _beside(report: ReportInput, found: Mapping[str, str]) -> list[Block]:
    """Put this machine's counts beside the model's, at the cell's batch and dtype."""
    estimates = {name: lookup(report, measure) for name, measure in MEASURES.items()}
    rows, notes = [], []
    for header in _one_per_cell(report, found):
        key = (header.cell.label, report.dataset(header))
        try:
            program = _program(header, found[key[1]])
        except FobenchError as error:
            notes.append(f"{key[0]}: no model ({error})")
            continue
        rows.append((key[1], key[0], *_pairs(program, header, estimates, key)))
    columns = (
        Column("Data set", number=False), Column("Learner", number=False),
        Column("counted", "MACs per training sample"), Column("modelled", "MACs per training sample"),
        Column("traced", "Batch-proportional peak [B]"), Column("modelled", "Batch-proportional peak [B]"),
        Column("measured", "Training [s]"),
    )  # fmt: skip
    if not rows:
        return [Note(f"Nothing measured stands beside the model: {'; '.join(notes) or 'no cell is done'}.")]
    marks = "; ".join(f"{MARKS[part]} = {MEANING[part]}" for part in Provenance)
    remarks = (
        marks,
        "modelled bytes are the least that the rule's order of products needs; the ledger adds what torch allocates beside it",
        "the complete model of this table has the cell's own batch, dtype and options, that of the tables above int8 and batch 1",
        *notes,
    )
    return [Table("This machine beside the model.", columns, tuple(rows), remarks)]


def _one_per_cell(report: ReportInput, found: Mapping[str, str]) -> list[Header]:
    """Return one header for each label and data set of the four networks, in the report's order."""
    headers = {(report.dataset(header), header.cell.label): header for header in report.headers}
    return [headers[key] for key in sorted(headers) if key[0] in found]


def _program(header: Header, network: str) -> Program:
    """Return the program of a cell's learner; arguments that bear on no cost are left out."""
    rule = header.cell.learner.target
    function: Any = plugins.load(rule, "costs")
    known = {*inspect.signature(function).parameters, *(field.name for field in dataclasses.fields(Setting))}
    options = {name: item for name, item in header.cell.learner.arguments.items() if name in known}
    return program_of(rule, {**options, "network": network}, networks.named_tasks()[network])


def _pairs(
    program: Program, header: Header, estimates: Mapping[str, Estimates], key: tuple[str, str]
) -> tuple[Cell, ...]:
    recipe = header.cell.recipe
    modelled = {
        "MACs": sum(program.macs(Phase.TRAIN).values()),
        "bytes": program.minimum(recipe.batch_size, Format(recipe.dtype), Phase.TRAIN),
    }
    cells: list[Cell] = []
    for name in MEASURES:
        own = estimates[name].get(key)
        cells.append(value(own, numbers.Scale(1, MEASURES[name].unit)) if own else MISSING)
        cells += [_exact(modelled[name])] if name in modelled else []
    return tuple(cells)


def _empty_cells(report: ReportInput, found: Mapping[str, str]) -> list[Block]:
    """Say why a learner has no value on a data set: its rule refuses the task, or the cell failed."""
    measured = [header for header in report.headers if header.part == Part.MEASURE]
    done = {(header.cell.label, report.dataset(header)) for header in measured}
    failed = {(entry.header.cell.label, report.dataset(entry.header)): ending(entry) for entry in report.failed}
    rules = {entry.header.cell.label: entry.header.cell.learner.target for entry in report.entries}
    notes: list[Block] = []
    for label, rule in sorted(rules.items()):
        for dataset, network in sorted(found.items()):
            if (label, dataset) not in done:
                reason = failed.get((label, dataset)) or _refusal(rule, network)
                notes.append(Note(f"{label} on {dataset}: not measured, {reason}."))
    return notes


def _refusal(rule: str, network: str) -> str:
    try:
        program_of(rule, {"network": network}, networks.named_tasks()[network])
    except CostError as error:
        return f"because {error}"
    except FobenchError as error:
        return f"and no model either ({error})"
    return "because this suite has no such cell"


def _findings_table() -> Table:
    columns = (
        Column("Finding", number=False), Column("Checked statement", number=False), Column("Command", number=False),
    )  # fmt: skip
    rows = tuple((found.name, found.sentence, found.command) for found in findings())
    return Table("What the published table does not tell; every number is computed anew.", columns, rows)
