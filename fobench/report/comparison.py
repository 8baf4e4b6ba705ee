"""Learners against a baseline: ratios within blocks with interval, p, equivalence, and what this host can resolve at all.

Exact values are compared exactly. Noisy ones are compared as log ratios of the same block (see `logratios`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fobench.contracts import Provenance
from fobench.report.inputs import ReportError
from fobench.report.logratios import (
    ALPHA,
    Array,
    Trend,
    detectable,
    equivalence_p,
    holm,
    interval,
    pooled_deviation,
    sign_flip_p,
    smallest_p,
    trend,
)
from fobench.report.provenance import combine
from fobench.report.stats import Estimate, Interval


@dataclass(frozen=True)
class Rules:
    """How learners are compared.

    `baseline` is a label (empty: see `choose_baseline`), `margin` the difference that does not matter (0.05 is 5 %), `mixed`
    lets measured stand against estimated values, and estimates on one basis against those on another (CodeCarbon's with other
    thread counts), which is refused otherwise.
    """

    baseline: str = ""
    margin: float = 0.05
    mixed: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and self.margin > 0):
            raise ReportError(f"equivalence margin {self.margin}; expected a share above 0, such as 0.05 for 5 %")


@dataclass(frozen=True)
class Comparison:
    """One learner against another on one quantity and data set; `reason` says why there is no ratio.

    `ratio` is the geometric mean over blocks with its 95 % interval, `median` the median ratio. `p` is that of no difference
    and `corrected` the same after Holm, `equivalence` that of a difference beyond the margin. Exact ones have a ratio only.
    """

    label: str
    baseline: str
    provenance: Provenance
    blocks: int = 0
    ratio: Interval | None = None
    median: float | None = None
    p: float | None = None
    corrected: float | None = None
    equivalence: float | None = None
    reason: str = ""

    @property
    def exact(self) -> bool:
        """Say whether the ratio follows from shapes."""
        return self.provenance == Provenance.ANALYTICAL

    @property
    def verdict(self) -> str:
        """Return `equal` (exact ones only), `lower`, `higher`, `equivalent`, `lower, but equivalent`, ... or `undecided`."""
        if self.ratio is None:
            return ""
        direction = "lower" if self.ratio.ratio < 1 else "higher"
        if self.exact:
            return "equal" if self.ratio.ratio == 1 else direction
        different = self.corrected is not None and self.corrected <= ALPHA
        equivalent = self.equivalence is not None and self.equivalence <= ALPHA
        words = {(True, True): f"{direction}, but equivalent", (True, False): direction, (False, True): "equivalent"}
        return words.get((different, equivalent), "undecided")

    @property
    def differs(self) -> bool:
        """Say whether the interval excludes equality, whatever was corrected for."""
        return self.ratio is not None and not self.ratio.low <= 1 <= self.ratio.high


@dataclass(frozen=True)
class Resolution:
    """The smallest effect that this host can find in `blocks` blocks, as a share, and the A/A pairs that say so.

    Without `pairs` it rests on the spread of all learners' log ratios about their own means.
    """

    share: float
    blocks: int
    pairs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Family:
    """All comparisons of one quantity on one data set; Holm's correction is over `comparisons`.

    `controls` are the A/A pairs, `smallest` is the smallest corrected p that these blocks can reach, `trends` are by label.
    """

    baseline: str
    comparisons: tuple[Comparison, ...]
    controls: tuple[Comparison, ...] = ()
    smallest: float | None = None
    resolution: Resolution | None = None
    trends: Mapping[str, Trend | None] = field(default_factory=dict)


def choose_baseline(labels: Iterable[str], asked: str = "") -> str:
    """Return the label asked for, else the first that is named like BP, else the first; raises ReportError."""
    known = sorted(labels)
    if asked and asked not in known:
        raise ReportError(f"no learner {asked!r} to compare with; there are {', '.join(known)}: use --baseline LABEL")
    like_bp = (label for label in known if "".join(filter(str.isalnum, label.lower())).startswith("bp"))
    return asked or next(like_bp, known[0])


def compare(
    group: Mapping[str, Estimate], baseline: str, rules: Rules | None = None, twins: Sequence[tuple[str, str]] = ()
) -> Family:
    """Compare all learners of one quantity and data set with the baseline.

    `twins` are pairs of labels of one and the same learner: an A/A arm. A twin of the baseline is a control, not a finding.
    """
    rules = rules or Rules()
    if baseline not in group:
        return Family(baseline, ())
    pairs = [pair for pair in twins if set(pair) <= set(group)]
    controlled = {label for pair in pairs if baseline in pair for label in pair}
    found = [
        _pair((label, baseline), group, rules)
        for label in sorted(group)
        if label != baseline and label not in controlled
    ]
    controls = [replace(made, corrected=made.p) for made in (_pair((b, a), group, rules) for a, b in pairs)]
    tested = [made for made in found if made.p is not None]
    return Family(
        baseline,
        tuple(_corrected(found)),
        tuple(controls),
        min(holm([smallest_p(made.blocks) for made in tested]), default=None),
        _resolution(group, controls, tested),
        {label: _trend(estimate) for label, estimate in group.items() if not estimate.exact},
    )


def log_ratios(label: Estimate, baseline: Estimate) -> Array:
    """Return `log(label / baseline)` of the blocks that both have, in their order; raises ReportError for a value of 0."""
    blocks = sorted(block for block in label.values if block is not None and block in baseline.values)
    above, below = ([estimate.values[block] for block in blocks] for estimate in (label, baseline))
    if any(value <= 0 for value in (*above, *below)):
        raise ReportError("a value is not above 0, so that there is no log ratio")
    logs: Array = np.log(np.array(above, dtype=float)) - np.log(np.array(below, dtype=float))
    return logs


def _pair(labels: tuple[str, str], group: Mapping[str, Estimate], rules: Rules) -> Comparison:
    first, second = (group[label] for label in labels)
    made = Comparison(*labels, combine(first.provenance, second.provenance))
    if reason := _refusal(first, second, rules):
        return replace(made, reason=reason)
    if first.exact and second.exact:
        return _exact(made, first.mean, second.mean)
    try:
        logs = log_ratios(first, second)
    except ReportError as error:
        return replace(made, reason=str(error))
    if len(logs) < 2:
        return replace(made, blocks=len(logs), reason="fewer than two blocks in common: there is no spread to judge by")
    low, high = interval(logs)
    return replace(
        made,
        blocks=len(logs),
        ratio=Interval(*(math.exp(float(value)) for value in (logs.mean(), low, high))),
        median=math.exp(float(np.median(logs))),
        p=sign_flip_p(logs),
        equivalence=equivalence_p(logs, rules.margin),
    )


def _refusal(first: Estimate, second: Estimate, rules: Rules) -> str:
    """Return why two values must not be compared, or nothing."""
    both = {first.provenance, second.provenance}
    if first.elsewhere or second.elsewhere:
        return "it is of another run: time and energy are compared within the blocks of one run only"
    if first.partial or second.partial:
        return "a sum that lacks windows is a lower bound and is not compared"
    if {Provenance.MEASURED, Provenance.ESTIMATED} <= both and not rules.mixed:
        return "measured against estimated is compared only on request"
    if first.basis != second.basis and not rules.mixed:
        return f"an estimate on {first.basis} against one on {second.basis} is compared only on request"
    if Provenance.ANALYTICAL not in both and (None in first.values or None in second.values):
        return "measured once and not in every block"
    return ""


def _exact(made: Comparison, value: float, baseline: float) -> Comparison:
    if baseline == 0 and value != 0:
        return replace(made, reason="the baseline's value is 0, so that there is no ratio")
    ratio = value / baseline if baseline else 1.0
    return replace(made, ratio=Interval(ratio, ratio, ratio))


def _corrected(found: list[Comparison]) -> list[Comparison]:
    adjusted = iter(holm([made.p for made in found if made.p is not None]))
    return [made if made.p is None else replace(made, corrected=next(adjusted)) for made in found]


def _resolution(
    group: Mapping[str, Estimate], controls: Sequence[Comparison], tested: Sequence[Comparison]
) -> Resolution | None:
    """Take the spread from the A/A pairs, or without any from all comparisons."""
    pairs = [made for made in controls if made.p is not None]
    used = pairs or tested
    if not used:
        return None
    spread = pooled_deviation([log_ratios(group[made.label], group[made.baseline]) for made in used])
    blocks = max(made.blocks for made in tested or used)
    return Resolution(detectable(spread, blocks), blocks, tuple((made.baseline, made.label) for made in pairs))


def _trend(estimate: Estimate) -> Trend | None:
    blocks = sorted(block for block in estimate.values if block is not None)
    values = np.array([estimate.values[block] for block in blocks], dtype=float)
    return trend(values) if (values > 0).all() else None
