"""The learner's contract, check by check; `fobench.testing.check_learner` runs them all."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

import numpy
import torch
from torch import Tensor

from fobench.contracts import Calibrated, FobenchError, Learner, Prediction, Scheduled, Selective, Staged, is_trained
from fobench.testing.budget import Budget, ConformanceError
from fobench.testing.contractions import contractions_equal_the_closed_form
from fobench.testing.subject import (
    FEW,
    FailedError,
    NotCheckedError,
    Subject,
    default_dtype,
    differing,
    enter_stage,
    snapshot,
    stages_of,
    tensors_within,
)
from fobench.testing.toys import score, toy_data

SHORT = Budget(epochs=1, samples=24, batch_size=FEW)
REFUSES = "refuses"
"""Name of the one verdict on a task that the learner refuses."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one check found: nothing, what is wrong (`raised` by the learner itself), or why it could not be made."""

    check: str
    wrong: str = ""
    unchecked: str = ""
    raised: bool = False


def examine(subject: Subject) -> list[str]:
    """Run every check; raise ConformanceError for what failed, return what could not be checked."""
    found = verdicts(subject)
    failed: dict[str, str] = {}
    for verdict in found:
        if verdict.wrong:
            # a learner's own error is one sentence, however many checks meet it
            failed.setdefault(verdict.wrong, f"{verdict.check}: " if verdict.raised else "")
    if failed:
        raise ConformanceError("\n".join(place + sentence for sentence, place in failed.items()))
    return [verdict.unchecked for verdict in found if verdict.unchecked]


def verdicts(subject: Subject) -> list[Verdict]:
    """Run every check and return what each found; raises ConformanceError for a refusal that `setup` does not share."""
    with default_dtype(torch.float32):
        refusal = _refusal(subject)
    if refusal is not None:
        return [Verdict(REFUSES, unchecked=f"nothing was checked on this task, which the learner refuses: {refusal}")]
    return [_verdict(check, subject) for check in CHECKS]


def _verdict(check: Callable[[Subject], None], subject: Subject) -> Verdict:
    name = check.__name__.replace("_", " ")
    try:
        with default_dtype(torch.float32):
            check(subject)
    except FailedError as failure:
        return Verdict(name, wrong=str(failure))
    except NotCheckedError as reason:
        return Verdict(name, unchecked=str(reason))
    except Exception as error:
        return Verdict(name, wrong=f"{type(error).__name__}: {error}", raised=True)
    return Verdict(name)


def _refusal(subject: Subject) -> str | None:
    """Return why the learner refuses the task, if it does; it must then refuse in `setup` as well."""
    learner = subject.new()
    refusal = learner.refuses(subject.task) if isinstance(learner, Selective) else None
    if refusal is None:
        return None
    try:
        learner.setup(subject.task, torch.Generator(), "cpu")
    except FobenchError:
        return refusal
    raise ConformanceError(f"refuses says {refusal!r}, but setup goes through; let setup raise the same FobenchError")


def constructor_only_stores(subject: Subject) -> None:
    """Demand a dataclass with the field `network` whose constructor stores its arguments, and nothing else."""
    learner = subject.new()
    if not dataclasses.is_dataclass(learner) or isinstance(learner, type):
        raise FailedError(f"{type(learner).__name__} is no dataclass; mark the class with @dataclass")
    fields = {item.name: getattr(learner, item.name) for item in dataclasses.fields(learner) if item.init}
    if "network" not in fields:
        raise FailedError(f"{type(learner).__name__} has no field `network`; its layers must follow from one")
    if next(tensors_within(learner), None) is not None:
        raise FailedError("the constructor makes tensors; allocate in setup")
    given = {name: value for name, value in subject.options.items() if name in fields}
    changed = [name for name, value in given.items() if fields[name] != value]
    if changed:
        raise FailedError(f"the constructor changes its argument {changed[0]!r}; store it as it is given")
    more = sorted(vars(learner).keys() - {item.name for item in dataclasses.fields(learner)})
    if more:
        raise FailedError(f"the constructor stores {more[0]!r}, which is no field; work it out in setup")


def setup_leaves_the_fields(subject: Subject) -> None:
    """Demand that a learner after setup and a step still equals one that has just been constructed."""
    learner = subject.ready()
    learner.train_step(*subject.few())
    for item in dataclasses.fields(learner):  # type: ignore[arg-type]
        if item.init and getattr(learner, item.name) != getattr(subject.new(), item.name):
            raise FailedError(
                f"setup or train_step changes the field {item.name!r}; keep what they need under other names"
            )


def same_seed_same_life(subject: Subject) -> None:
    """Demand the same state to the bit from the same seed, and another from another, if anything is drawn at all."""
    ends, drawn = [], False
    for seed in (7, 7, 8):
        learner, generator = subject.drawn(seed)
        for number in range(3):
            learner.train_step(*subject.few(number))
        drawn = not torch.equal(generator.get_state(), torch.Generator().manual_seed(seed).get_state())
        ends.append(snapshot(learner))
    if wrong := differing(ends[0], ends[1]):
        raise FailedError(f"the same seed gives another {wrong[0]}; draw everything from the generator given to setup")
    if not drawn:
        raise NotCheckedError("that seeds differ was not checked: nothing is drawn from the generator")
    if not differing(ends[0], ends[2]):
        raise FailedError("different seeds give the same state; use what is drawn from the generator")


def no_global_random_numbers(subject: Subject) -> None:
    """Demand that the global generators of torch, numpy and Python stand where they stood."""
    before = _global_states()
    _use(subject.trained(SHORT), subject)
    moved = [name for name, state in _global_states().items() if state != before[name]]
    if moved:
        raise FailedError(f"the global random state of {moved[0]} has moved; draw from the generator given to setup")


def _global_states() -> dict[str, object]:
    legacy = numpy.random.get_state(legacy=False)
    return {"torch": torch.get_rng_state().tolist(), "numpy": repr(legacy), "Python": random.getstate()}


def no_graph_is_left(subject: Subject) -> None:
    """Demand that no tensor of the learner, and no score, holds a gradient or a graph once a step is over."""
    learner = subject.trained(SHORT)
    scores = learner.predict(subject.few()[0]).scores
    if scores.requires_grad:
        raise FailedError("scores carry an autograd graph; predict under torch.no_grad()")
    held = [*tensors_within(learner), *learner.state().values()]
    if any(tensor.grad_fn is not None for tensor in held):
        raise FailedError("the learner keeps tensors with an autograd graph between steps; detach what is kept")
    if any(tensor.is_leaf and tensor.grad is not None for tensor in held):
        raise FailedError("gradients are left between steps; set them to None at the end of train_step")


def inputs_are_not_written(subject: Subject) -> None:
    """Demand that x and y are what they were after a step, a prediction and a calibration."""
    learner = subject.ready()
    methods: list[tuple[str, Callable[..., object]]] = [
        ("train_step", learner.train_step), ("predict", lambda x, y: learner.predict(x)),
    ]  # fmt: skip
    if isinstance(learner, Calibrated):
        methods.append(("calibrate", learner.calibrate))
    for name, method in methods:
        x, y = subject.few()
        given = (x.clone(), y.clone())
        method(x, y)
        if not (torch.equal(x, given[0]) and torch.equal(y, given[1])):
            raise FailedError(f"{name} writes into its inputs; copy what is to be changed")


def scores_fit_the_task(subject: Subject) -> None:
    """Demand finite scores of the task's shape, before, after and without training; batches of one sample included."""
    for learner in (subject.ready(), subject.trained(SHORT)):
        for samples in (FEW, 1):
            x, _ = subject.few(samples=samples)
            _check_prediction(learner.predict(x), subject, samples)
        learner.train_step(*subject.few(samples=1))


def _check_prediction(prediction: Prediction, subject: Subject, samples: int) -> None:
    expected = (samples, subject.task.classes) if subject.task.kind == "classification" else (samples,)
    if tuple(prediction.scores.shape) != expected:
        raise FailedError(f"predict gave scores of shape {tuple(prediction.scores.shape)}, expected {expected}")
    if not torch.isfinite(prediction.scores).all():
        raise FailedError("predict gave scores that are not finite")
    if prediction.depth is not None and tuple(prediction.depth.shape) != (samples,):
        raise FailedError(f"predict gave depths of shape {tuple(prediction.depth.shape)}, expected {(samples,)}")


def _use(learner: Learner, subject: Subject) -> Tensor:
    return learner.predict(subject.few()[0]).scores.clone()


def state_is_live(subject: Subject) -> None:
    """Demand that training moves the tensors that `state()` gave out before, and writing into them moves predictions."""
    learner = subject.ready()
    handed, before = learner.state(), snapshot(learner)
    learner.train_step(*subject.few())
    if not any(is_trained(name) for name in differing(before, handed)):
        raise FailedError("a step moves no trained tensor that state() gave out before; return the tensors themselves")
    learner = subject.trained(SHORT)
    scores = _use(learner, subject)
    with torch.no_grad():
        for name, tensor in learner.state().items():
            if is_trained(name):
                tensor.mul_(-2)
    if torch.equal(scores, _use(learner, subject)):
        raise FailedError("writing into state() does not change predictions; return the tensors themselves, not copies")


def both_precisions(subject: Subject) -> None:
    """Demand that state and scores are of torch's default dtype, be it float64 or float32."""
    for precision in (torch.float64, torch.float32):
        with default_dtype(precision):
            learner = subject.trained(SHORT)
            others = [name for name, tensor in learner.state().items() if tensor.dtype != precision]
            if others:
                found = learner.state()[others[0]].dtype
                raise FailedError(
                    f"{others[0]} is {found} where torch's default is {precision}; allocate in the default"
                )
            found = _use(learner, subject).dtype
            if found != precision:
                raise FailedError(
                    f"scores are {found} where torch's default is {precision}; keep the default throughout"
                )


def stages_are_honoured(subject: Subject) -> None:
    """Demand a number of stages after setup, each of which trains something and can predict."""
    learner = subject.ready()
    if not isinstance(learner, Staged):
        return
    if type(learner.stages) is not int or learner.stages < 1:
        raise FailedError(f"stages is {learner.stages!r} after setup; expected a whole number of at least 1")
    for stage in range(stages_of(learner)):
        enter_stage(learner, stage)
        before = snapshot(learner)
        for number in range(3):
            learner.train_step(*subject.few(number, samples=24))
        if not differing(before, learner.state()):
            raise FailedError(f"stage {stage} of {learner.stages} trains nothing")
        _check_prediction(learner.predict(subject.few()[0]), subject, FEW)


def schedules_move_no_tensor(subject: Subject) -> None:
    """Demand that `begin_epoch` takes any epoch of any budget, and leaves the state alone."""
    learner = subject.ready()
    if not isinstance(learner, Scheduled):
        return
    learner.train_step(*subject.few())
    before = snapshot(learner)
    for epoch, epochs in ((0, 1), (0, 100), (99, 100), (0, 2)):
        learner.begin_epoch(epoch, epochs)
    if moved := differing(before, learner.state()):
        raise FailedError(
            f"begin_epoch changes {moved[0]}; it sets schedules only, tensor work belongs into train_step"
        )


def calibration_goes_on(subject: Subject) -> None:
    """Demand that predictions go on after `calibrate`, also when it is called again."""
    learner = subject.ready()
    if not isinstance(learner, Calibrated):
        return
    for seed in (1, 2):
        learner.calibrate(*subject.few(seed, samples=24))
        _check_prediction(learner.predict(subject.few()[0]), subject, FEW)


def toy_task_is_learned(subject: Subject) -> None:
    """Demand the score of the budget on toy samples that were not trained on."""
    budget, task = subject.budget, subject.task
    learner = subject.trained(budget)
    x, y = toy_data(task, budget.samples, seed=3)
    prediction = learner.predict(x)
    _check_prediction(prediction, subject, len(x))
    reached = score(task, prediction, y)
    found = f"{task.score} {reached:.3f} after {budget.epochs} epochs of {budget.samples} toy samples"
    if task.kind == "classification" and reached > budget.error:
        raise FailedError(f"{found}, expected at most {budget.error}; give it a step size or a budget that fits")
    if task.kind == "reconstruction" and reached < budget.auc:
        raise FailedError(f"{found}, expected at least {budget.auc}; give it a step size or a budget that fits")


CHECKS: tuple[Callable[[Subject], None], ...] = (
    constructor_only_stores,
    setup_leaves_the_fields,
    same_seed_same_life,
    no_global_random_numbers,
    no_graph_is_left,
    inputs_are_not_written,
    scores_fit_the_task,
    state_is_live,
    both_precisions,
    stages_are_honoured,
    schedules_move_no_tensor,
    calibration_goes_on,
    toy_task_is_learned,
    contractions_equal_the_closed_form,
)
