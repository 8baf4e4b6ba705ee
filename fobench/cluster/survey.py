"""Before anything runs: what every machine has, and every difference between them, listed together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fobench.cluster.host import Look, code_checksum
from fobench.cluster.placement import Machine
from fobench.contracts import kind_of
from fobench.harness.preflight import Findings

CLOCK_S = 5.0
"""Difference of clocks from which the dates of results mislead; nothing is computed from them."""


@dataclass(frozen=True)
class Seen:
    """A worker that was asked: its address, its answer, by how many seconds its clock is ahead of the submitter's."""

    address: str
    look: Look
    ahead_s: float

    @property
    def machine(self) -> Machine:
        """The machine that answered."""
        return Machine(self.look.machine, kind_of(self.look.facts))


def survey(seen: list[Seen]) -> Findings:
    """Compare all answers with each other, and with the code here; a data set is real if all machines have its files."""
    problems = [*_twice(seen), *_of_each(seen, "problems"), *_code(seen), *_unlike(seen)]
    notes = [*_of_each(seen, "notes"), *_clocks(seen), *_kinds(seen)]
    real = [set(item.look.findings.real) for item in seen]
    return Findings(problems, notes, sorted(set.intersection(*real)) if real else [])


def _twice(seen: list[Seen]) -> list[str]:
    """Name machines that two workers claim, and workers that share a host."""
    claims = _grouped((item.look.machine, item.address) for item in seen)
    hosts = _grouped((item.look.host, item.look.machine) for item in seen)
    return [
        *(
            f"{' and '.join(addresses)} both call themselves {name}; give each worker its own --name"
            for name, addresses in claims.items()
            if len(addresses) > 1
        ),
        *(
            f"{' and '.join(names)} are workers of one host, where only one cell can be measured at a time; stop all but one"
            for names in hosts.values()
            if len(names) > 1
        ),
    ]


def _of_each(seen: list[Seen], what: str) -> list[str]:
    """Return what machines found about the suite; what all of them say is said once."""
    said = _grouped((text, item.look.machine) for item in seen for text in getattr(item.look.findings, what))
    return [text if len(names) == len(seen) else f"{', '.join(names)}: {text}" for text, names in said.items()]


def _code(seen: list[Seen]) -> list[str]:
    here = code_checksum()
    return [
        f"{item.look.machine} has another fobench: source {item.look.code}, {here} here; install the same everywhere"
        for item in seen
        if item.look.code != here
    ]


def _unlike(seen: list[Seen]) -> list[str]:
    """Compare versions among machines of one kind, whose values the report puts together, and data sets among all."""
    problems = []
    for kind in sorted({item.machine.kind for item in seen}):
        alike = [item for item in seen if item.machine.kind == kind]
        settings = [
            (item, {"governor": item.look.facts.get("governor"), **item.look.facts["versions"]}) for item in alike
        ]
        for name in sorted({name for _, known in settings for name in known}):
            problems += _difference(name, [(str(known.get(name) or "absent"), item) for item, known in settings])
    for name in sorted({name for item in seen for name in item.look.findings.real}):
        files = [("its files" if name in item.look.findings.real else "no files", item) for item in seen]
        problems += _difference(f"data set {name}", files)
    return problems


def _difference(what: str, values: list[tuple[str, Seen]]) -> list[str]:
    found = _grouped((value, item.look.machine) for value, item in values)
    if len(found) < 2:
        return []
    listed = "; ".join(f"{text} on {', '.join(names)}" for text, names in found.items())
    return [f"{what} differs: {listed}; make them the same"]


def _clocks(seen: list[Seen]) -> list[str]:
    return [
        f"the clock of {item.look.machine} is {item.ahead_s:+.0f} s from the one here; dates in its results are wrong by that"
        for item in seen
        if abs(item.ahead_s) > CLOCK_S
    ]


def _kinds(seen: list[Seen]) -> list[str]:
    kinds = _grouped((item.machine.kind, item.look.machine) for item in seen)
    if len(kinds) < 2:
        return []
    listed = "; ".join(f"{', '.join(names)} ({kind})" for kind, names in kinds.items())
    return [f"{len(kinds)} types of machine, which the report keeps apart: {listed}"]


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return sorted second parts by first part."""
    found: dict[str, list[str]] = {}
    for key, name in pairs:
        found.setdefault(key, []).append(name)
    return {key: sorted(set(names)) for key, names in found.items()}
