"""Contractions of a learner's steps as they run, held to the closed form of its rule."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fobench import plugins
from fobench.contracts import Learner, Phase, Reading, Role
from fobench.testing.subject import FEW, FailedError, NotCheckedError, Subject, enter_stage, stages_of, tensors_within


def contractions_equal_the_closed_form(subject: Subject) -> None:
    """Compare a training step (of greedy rules, one of each stage) and a prediction with `fobench.costs`, to the unit."""
    rule = subject.rule or _installed_as(subject.new())
    if rule is None or rule not in plugins.installed("costs"):
        raise NotCheckedError(
            f"counted contractions were held to no closed form: {rule or 'the learner'} has no entry point in fobench.costs"
        )
    from fobench.costs import program_of

    learner = subject.ready()
    stages = stages_of(learner)
    for stage in range(stages):
        program = program_of(rule, subject.new(), subject.task, **({"stage": stage} if stages > 1 else {}))
        _compare("a training step", learner, _counted(subject, Phase.TRAIN, stage), program.train.macs(FEW))
    if learner.predict(subject.few()[0]).depth is None:
        _compare("a prediction", learner, _counted(subject, Phase.INFER, stages - 1), program.infer.macs(FEW))


def _compare(what: str, learner: Learner, counted: Counter[str], expected: Any) -> None:
    """Raise unless the roles agree; under autograd, which tells its two gradients by shapes only, unless their sums do."""
    roles: Counter[str] = Counter({str(role): macs for role, macs in expected.items()})
    if any(tensor.requires_grad for tensor in tensors_within(learner)):
        counted, roles = _gradients_joined(counted), _gradients_joined(roles)
    if counted != roles:
        raise FailedError(
            f"{what} of {FEW} samples made {_listed(counted)} MACs, the closed form says {_listed(roles)}; "
            "look for a product that the equations do not name"
        )


def _gradients_joined(macs: Counter[str]) -> Counter[str]:
    gradients = {Role.INPUT_GRADIENT, Role.WEIGHT_UPDATE, f"{Role.INPUT_GRADIENT}+{Role.WEIGHT_UPDATE}"}
    joined: Counter[str] = Counter()
    for role, count in macs.items():
        joined["both gradients" if role in gradients else role] += count
    return joined


def _listed(macs: Any) -> str:
    return ", ".join(f"{count:g} {role}" for role, count in sorted(macs.items())) or "no"


def _counted(subject: Subject, phase: Phase, stage: int) -> Counter[str]:
    """Return the multiply-accumulates of one step or prediction by role."""
    learner = subject.ready()
    for number in range(1, stage + 1):
        enter_stage(learner, number)
    x, y = subject.few()
    learner.train_step(*subject.few(1))
    counter = plugins.load("macs", "tracers")()
    with counter.trace(learner, (x, y)):
        learner.train_step(x, y) if phase is Phase.TRAIN else learner.predict(x)
    return _by_role(counter.readings())


def _by_role(readings: list[Reading]) -> Counter[str]:
    macs: Counter[str] = Counter()
    for reading in readings:
        if reading.quantity == "uncovered":
            raise FailedError(f"{reading.channel} has no formula, so its contractions cannot be counted")
        if reading.quantity == "macs":
            macs[reading.channel.rpartition("/")[2]] += int(reading.value)
    return macs


def _installed_as(learner: Learner) -> str | None:
    """Return the entry point of a learner's own class."""
    target = f"{type(learner).__module__}:{type(learner).__qualname__}"
    return next((name for name, point in plugins.installed("learners").items() if point.value == target), None)
