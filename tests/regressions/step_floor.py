"""The floor of a learning step: its products on tensors that are there already, and the bytes that it cannot avoid to move.

    floor = replayed products + bytes / bandwidth
    bytes = weights that learn x passes (3 for momentum, 7 for Adam: what is read and written once per element of a weight)
          + one read and one write per elementwise operation on weights that the rule's equations name, such as sign(W)
          + on nets with convolutions and the auto-encoder, which share a bar, one read and one write of every map per
            elementwise operation of the rule's program

The products, and the weights that an optimizer steps, are those that an observer sees in a step of the learner itself, with
their shapes and strides, so that no rule needs a floor of its own. Where torch has a variant with `out=`, the result is
allocated beforehand; convolutions have none.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from fobench import networks, plugins
from fobench.contracts import Learner, Scheduled, Staged, Task, is_trained
from fobench.costs import Format, program_of
from fobench.learners import optimizers

aten = torch.ops.aten
WITH_OUT = {
    aten.mm.default: aten.mm.out, aten.addmm.default: aten.addmm.out, aten.bmm.default: aten.bmm.out,
    aten.baddbmm.default: aten.baddbmm.out, aten.mv.default: aten.mv.out,
}  # fmt: skip
AS_THEY_ARE = {
    aten.mm.out, aten.addmm.out, aten.bmm.out, aten.baddbmm.out, aten.addmm_.default, aten.baddbmm_.default,
    aten.convolution.default, aten.convolution_backward.default,
}  # fmt: skip
PASSES = {"sgd": 0, "momentum": 3, "adam": 7}
LIKE = {"lightff-label-oracle": "lightff"}
"""Rules whose step is another one's, which has the program."""
Run = Callable[[], None]


class Products(TorchDispatchMode):
    """Records the contractions inside the `with` block, to be replayed on copies of their operands."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Run] = []
        self.copies: dict[int, torch.UntypedStorage] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func in WITH_OUT or func in AS_THEY_ARE:
            operands, options = tree_map(self.copied, (args, kwargs))
            if func in WITH_OUT:
                func, options = WITH_OUT[func], {**options, "out": self.copied(result)}
            self.calls.append(lambda: func(*operands, **options))
        return result

    def copied(self, leaf: Any) -> Any:
        """Return a tensor of the same shape, strides and place in a copy of its storage; anything else as it is."""
        if not isinstance(leaf, Tensor):
            return leaf
        storage = leaf.untyped_storage()
        known = self.copies.get(storage.data_ptr())
        if known is None or known.nbytes() < storage.nbytes():
            self.copies[storage.data_ptr()] = storage.clone()
        copy = self.copies[storage.data_ptr()]
        return leaf.new_empty(0).set_(copy, leaf.storage_offset(), leaf.shape, leaf.stride())

    @torch.no_grad()
    def replay(self) -> None:
        for call in self.calls:
            call()


def bandwidth(gibibytes: float = 1.0) -> float:
    """Return bytes per second of copying one large buffer into another, reads and writes counted."""
    size = int(gibibytes * 2**30)
    source, target = torch.zeros(size, dtype=torch.uint8), torch.zeros(size, dtype=torch.uint8)
    seconds = [timed(lambda: target.copy_(source)) for _ in range(5)]
    return 2 * size / statistics.median(seconds)


def timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@contextmanager
def passes_over_weights() -> Iterator[dict[int, int]]:
    """Note the bytes of the passes that an optimizer makes over what it steps inside the `with` block, by its address."""
    found: dict[int, int] = {}

    def noted(verb: Callable[..., None], passes: int) -> Callable[..., None]:
        def step(steps: Any, W: Tensor, *rest: Any) -> None:
            found[W.data_ptr()] = passes * W.nbytes
            verb(steps, W, *rest)

        return step

    with ExitStack() as stack:
        for name, kind in optimizers.OPTIMIZERS.items():
            for verb in ("correlate_", "step_"):
                stack.enter_context(mock.patch.object(kind, verb, noted(getattr(kind, verb), PASSES[name])))
        yield found


def unavoidable_bytes(rule: str, learner: Learner, task: Task, samples: int, stepped: dict[int, int]) -> int:
    """Return the bytes of the floor beside the products'; `stepped` is what `passes_over_weights` found."""
    trained = [tensor for name, tensor in learner.state().items() if is_trained(name)]
    if not stepped:  # torch's own optimizer steps all weights
        stepped = {W.data_ptr(): PASSES[learner.optimizer["name"]] * W.nbytes for W in trained}  # type: ignore[attr-defined]
    moved, rule = sum(stepped.values()), LIKE.get(rule, rule)
    if rule not in plugins.installed("costs"):
        return moved
    step, width = program_of(rule, learner, task).train, trained[0].element_size()
    named = [op for op in step.ops if op.role is None]
    moved += round(2 * width * sum(op.elementwise for op in named if op.per_step and op.writes[0] in step.buffers))
    if _works_on_maps(learner.network, task):
        moved += round(2 * width * samples * sum(op.elementwise for op in named if not op.per_step))
    return moved


def _works_on_maps(network: Any, task: Task) -> bool:
    """Say whether elementwise operations count: with convolutions, and on the auto-encoder, whose bar is that of such nets."""
    convolves = any(layer.kind in ("conv", "depthwise", "local") for layer in networks.layers(network, task))
    return convolves or network in list(networks.named_tasks())


@dataclass(frozen=True)
class Ratio:
    """Median of a quotient over alternations, with its 95 % interval from order statistics."""

    median: float
    low: float
    high: float
    seconds: float

    @classmethod
    def of(cls, over: list[float], under: list[float]) -> Ratio:
        quotients = sorted(one / other for one, other in zip(over, under, strict=True))
        count = len(quotients)
        margin = 0.98 * count**0.5  # 1.96 standard deviations of a binomial with p = 1/2
        low, high = max(round(count / 2 - margin) - 1, 0), min(round(count / 2 + margin), count - 1)
        return cls(statistics.median(quotients), quotients[low], quotients[high], statistics.median(over))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def ready(rule: str, network: Any, task: Task, device: str = "cpu", **options: Any) -> Learner:
    """Return an installed learner, set up and at its last stage."""
    learner = plugins.load(rule, "learners")(network=network, **options)
    learner.setup(task, torch.Generator(device).manual_seed(0), device)
    if isinstance(learner, Staged):
        for stage in range(learner.stages):
            learner.begin_stage(stage)
    if isinstance(learner, Scheduled):
        learner.begin_epoch(0, 10)
    return learner


def batch(task: Task, samples: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(samples, *task.input_shape, generator=generator)
    return x.to(device), torch.randint(max(task.classes, 1), (samples,), generator=generator).to(device)


def step_over_floor(rule: str, learner: Learner, task: Task, samples: int, speed: float, alternations: int) -> Ratio:
    """Time steps and their floor in turn; `speed` is the bandwidth in bytes per second."""
    x, y = batch(task, samples, str(next(iter(learner.state().values())).device))
    learner.train_step(x, y)
    with Products() as products, passes_over_weights() as stepped:
        learner.train_step(x, y)
    constant = unavoidable_bytes(rule, learner, task, samples, stepped) / speed
    steps, floors = [], []
    for _ in range(alternations + 1):
        steps.append(timed(synchronised(lambda: learner.train_step(x, y), x)))
        floors.append(timed(synchronised(products.replay, x)) + constant)
    return Ratio.of(steps[1:], floors[1:])


def in_turn(one: Run, other: Run, alternations: int) -> Ratio:
    """Return the time of one over that of the other."""
    one(), other()
    pairs = [(timed(one), timed(other)) for _ in range(alternations)]
    return Ratio.of(*map(list, zip(*pairs, strict=True)))


def synchronised(run: Run, x: Tensor) -> Run:
    """Return `run`, waiting for the device where there is one."""
    if not x.is_cuda:
        return run
    return lambda: (run(), torch.cuda.synchronize())[0]


def peak_over_minimum(rule: str, network: Any, task: Task, samples: int, device: str = "cpu") -> tuple[int, int]:
    """Return the batch-proportional peak of a step that the live-tensor ledger saw, and the rule's minimum, in bytes."""
    tracer = plugins.load("live-tensors", "tracers")()
    for offset in tracer.batch_offsets:
        learner = ready(rule, network, task, device)
        x, y = batch(task, samples + offset, device)
        learner.train_step(x, y)
        with tracer.trace(learner, (x, y)):
            learner.train_step(x, y)
    readings = {(reading.quantity, reading.channel): reading.value for reading in tracer.readings()}
    dtype = str(torch.get_default_dtype()).removeprefix("torch.")
    return int(readings["memory_peak", "batch"]), program_of(rule, learner, task).train.minimum(samples, Format(dtype))
