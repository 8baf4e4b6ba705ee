"""Exact counts of every installed learner: multiply-accumulates by role, bytes of the ledger, parameters.

`python tests/regressions/exact_counts.py` writes them to `results/baselines/counts.json`, the file that
`test_exact_counts.py` holds each change to. Run it when a number is meant to move, and say why in the changelog.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from fobench import plugins
from fobench.contracts import Staged, is_trained
from fobench.testing.nets import NETS

BASELINE = Path(__file__).parents[2] / "results" / "baselines" / "counts.json"
BATCH = 16
TRACERS = ("macs", "live-tensors")


def counted(rule: str, net: str) -> dict[str, int] | None:
    """Return the counts of one training step and one prediction of a rule on a network; None where the rule refuses it."""
    network, task = NETS[net]
    learner: Any = plugins.load(rule, "learners")(network=network)
    if learner.refuses(task):
        return None
    learner.setup(task, torch.Generator().manual_seed(0), "cpu")
    if isinstance(learner, Staged):
        learner.begin_stage(learner.stages - 1)
    x = torch.randn(BATCH, *task.input_shape, generator=torch.Generator().manual_seed(1))
    y = torch.arange(BATCH) % max(task.classes, 1)
    learner.train_step(x, y)
    found = Counter({"parameters": sum(t.numel() for name, t in learner.state().items() if is_trained(name))})
    for phase, step in (("train", lambda: learner.train_step(x, y)), ("infer", lambda: learner.predict(x))):
        for channel, value in _macs(learner, (x, y), step).items():
            found[f"macs {phase} {channel}"] = value
        found[f"peak bytes {phase}"] = _peak(learner, step)
    return dict(sorted(found.items()))


def _macs(learner: Any, batch: tuple[torch.Tensor, ...], step: Any) -> Counter[str]:
    tracer = plugins.load("macs", "tracers")()
    with tracer.trace(learner, batch):
        step()
    found: Counter[str] = Counter()
    for row in tracer.readings():
        if row.quantity == "macs":
            found[row.channel.rpartition("/")[2]] += int(row.value)
    return found


def _peak(learner: Any, step: Any) -> int:
    from fobench.tracers.memory import step_peak

    return int(step_peak(learner, step))


def everything() -> dict[str, dict[str, int]]:
    """Return the counts of all rules on all networks, by `RULE on NETWORK`."""
    pairs = [(rule, net) for rule in sorted(plugins.installed("learners")) for net in NETS]
    made = {f"{rule} on {net}": counted(rule, net) for rule, net in pairs}
    return {name: counts for name, counts in made.items() if counts is not None}


if __name__ == "__main__":
    BASELINE.write_text(json.dumps(everything(), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {BASELINE}\n")
