"""TinyFoA: Bio-FO with binary weights and activity, of which one half learns at a time.

    q(z) = mean|z| sign(z);  dq/dz = 1 where |z| < 1, else 0 (straight through)
    A_l = H_{l-1} q(W_l)^T + b_l,  H_l = relu(q(A_l))
    O_l = H_l B_l^T,  E_l = softmax(O_l) - T                        local logits; B_l: C x n_l, fixed
    D_l = (E_l B_l) o [0 < A_l < 1],  G_l = (D_l^T H_{l-1} / N) o [|W_l| < 1]
    after each step W_l and b_l are clamped to [-1, 1]
    prediction: argmax O_L of the last trained layer

TinyFoA, AAAI 2025, and its released code. Published: k x 2000, k = 4; greedy; Adam at eta 1e-4; batch 100; 100 epochs a layer.

Properties: those of `biofo`.

**Departures**

- `split: vertical` is the idea of the paper with M = 2: in even epochs the first half of a layer's units learns, in odd
  ones the second; signal and products of the other half do not exist, its optimizer state rests. `split: quarter` is the
  released code: everything learns, but one quarter of W_l (the second half of the units by the second half of the inputs in even
  epochs, the first by the first in odd ones) is put back after each step; `none` lets everything learn. The split is that of
  dense layers; layers of other kinds learn whole.
- `scale: batch` is the released mean |A_l| over the whole batch, so that scores depend, by the biases, on what else is in
  the batch; `sample` takes the mean over each sample. The released LC normalises A_l over the batch and rectifies it before
  it is binarised, so that its mean is over max(A_l, 0); not here. Its B_l is that of nn.Linear, with bias
  (`feedback: linear`), its W_l and b_l begin as N(0, 1) (`weight_init: normal`).
- B_l is not clamped. The released code clamps it, too, which changes it for `feedback: gaussian` only.
- Where an activity is exactly 0 its sign is 0, as torch has it. Linear layers (in front of an addition) are binary, but
  not rectified, and pass where |A_l| < 1.
- The frozen layers are computed anew in each step, without a graph, and W_l is binarised anew for it (its mean is kept
  while nothing writes to W_l). q(W_l) lives for one product, of a large layer some rows at a time; nothing is packed into
  bits, so time and energy are those of real numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fobench import networks
from fobench.contracts import Prediction, Role, Task, role
from fobench.learners import checks, derived, optimizers
from fobench.learners import stages as local
from fobench.learners.activations import RELU
from fobench.learners.dropout import masked_
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import Dense, Node, WeightedNode, build, symbols, weights
from fobench.learners.optimizers import Optimizer, Pair, blend_
from fobench.learners.stages import READ_OUTS


@dataclass
class TinyFoA:
    """Layer-wise local classification with binary weights and activity."""

    network: Any  # published: 4 x 2000
    feedback: str = checks.choice("kaiming", READ_OUTS)  # B_l
    split: str = checks.choice("vertical", ("vertical", "quarter", "none"))
    scale: str = checks.choice("batch", ("batch", "sample"))  # mean |A_l|
    bias: bool = checks.choice(True, (True, False))  # b_l
    weight_init: str = checks.choice("linear", WEIGHT_INITS)
    optimizer: Mapping[str, Any] = optimizers.default(name="adam", eta=1e-4)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        checks.classification(self, task)
        checks.hidden(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate layers and feedback; optimizer state belongs to the stage."""
        checks.require(self, task, self._demand)
        layers = networks.layers(self.network, task)
        self.nodes = build(layers, RELU, self.weight_init, self.bias, generator, device)
        self.layers = local.stages(self.nodes)
        self.read_outs = local.read_outs(self.feedback, self.layers, task.classes, generator, device)
        self.stages = len(self.layers)
        self.means: dict[int, tuple[int, float]] = {}  # of |W|, by layer, with the version of W
        self.begin_stage(0)

    def begin_stage(self, stage: int) -> None:
        """Turn to the next layer, with a fresh optimizer."""
        self.last, self.half = stage, 0
        node = self.layers[stage].node
        self.quarter = self.split == "quarter" and isinstance(node, Dense)
        self.parts = _halves(node) if self.split == "vertical" and isinstance(node, Dense) else [_whole(node)]
        trained = [part.node for part in self.parts]
        self.steps = StraightThrough(optimizers.make(self.optimizer, weights(trained)), [part.W for part in trained])

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Turn to the other half."""
        self.half = epoch % 2

    def binary_pass(self, node: Node, before: Tensor) -> Tensor:
        """Return A_l of a layer's binary weights."""
        assert isinstance(node, WeightedNode)
        W, mean = node.W, self.mean_of(node)
        return derived.forward(node, before, lambda rows: W[rows].sign().mul_(mean))

    def mean_of(self, node: WeightedNode) -> float:
        """Return mean|W|, worked out anew where W has been written to."""
        version = node.W._version
        known, mean = self.means.get(node.index, (-1, 0.0))
        if known != version:
            mean = mean_size(node.W)
            self.means[node.index] = version, mean
        return mean

    def binary_activity(self, node: Node, A: Tensor) -> Tensor:
        """Return H_l = relu(q(A_l)), in the place of A_l."""
        return node.f.apply_(binarise_(A, each=self.scale == "sample"))

    def activity(self, node: Node, *before: Tensor) -> Tensor:
        """Return H of a node that does not learn now."""
        if not node.weights:
            return node.activity(*before)
        return self.binary_activity(node, self.binary_pass(node, *before))

    def layer_step(self, y: Tensor, before: Tensor) -> None:
        """Update the layer of this stage, or the half of it whose turn it is."""
        stage, part = self.layers[self.last], self.parts[self.half % len(self.parts)]
        A = self.binary_pass(stage.node, before)
        passed = _passed(A[:, part.units], rectified=stage.node.f is RELU)
        maps = stage.ascend(self.binary_activity(stage.node, A))
        del A
        E, _ = self.read_outs[self.last].error(maps[-1], y)  # E_l = softmax(O_l) - T
        D = self.feed_back(E, part, maps)
        del maps
        masked_(D, passed)  # D_l = (E_l B_l) o [0 < A_l < 1]
        with _kept(_quarter(stage.node.W, self.half)) if self.quarter else nullcontext():
            part.node.accumulate_(D, before, self.steps)  # G_l = (D_l^T H_{l-1} / N) o [|W_l| < 1]

    @role(Role.PROJECTION)
    def feed_back(self, E: Tensor, part: Part, maps: list[Tensor]) -> Tensor:
        """Return E_l B_l at the units of a part; where that is the whole layer, from behind its tail."""
        read_out = self.read_outs[self.last]
        if len(self.parts) == 1:
            return self.layers[self.last].descend(read_out.feed_back(E, maps[-1]), maps)
        maps.clear()  # halves are of dense layers, and their activity is not read again
        return torch.mm(E, read_out.B[:, part.units])

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        self.layer_step(y, local.arrive(self.layers[self.last], x, self.activity))

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by the local logits of the last layer trained so far."""
        stage = self.layers[self.last]
        H = self.activity(stage.node, local.arrive(stage, x, self.activity))
        return Prediction(self.read_outs[self.last].logits(stage.ascend(H)[-1]))

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ... and the feedback B1, ..., its bias Bb1, ..."""
        return {**symbols(self.nodes), **local.symbols(self.read_outs)}


@dataclass(frozen=True)
class Part:
    """Those units of a layer that learn in one step, as a node of their own whose weights are views."""

    node: WeightedNode
    units: slice


def _whole(node: WeightedNode) -> Part:
    return Part(node, slice(None))


def _halves(node: WeightedNode) -> list[Part]:
    middle = len(node.W) // 2
    parts = []
    for units in (slice(middle), slice(middle, None)):
        half = copy.copy(node)
        half.W, half.b = node.W[units], None if node.b is None else node.b[units]
        parts.append(Part(half, units))
    return parts


def _quarter(W: Tensor, half: int) -> Tensor:
    """Return the block that the released code puts back: units and inputs of the half that is not `half`."""
    rows, columns = len(W) // 2, W.shape[1] // 2
    other = 1 - half
    return W[other * rows : (other + 1) * rows, other * columns : (other + 1) * columns]


@contextmanager
def _kept(block: Tensor) -> Iterator[None]:
    before = block.clone()
    yield
    block.copy_(before.clamp_(-1, 1))  # released: put back, then clamped like everything else


def binarise_(z: Tensor, each: bool = False) -> Tensor:
    """Turn z into q(z) = mean|z| sign(z), in place, with the mean over all of z or over each row."""
    dims = list(range(1, z.dim())) if each else None
    mean = torch.linalg.vector_norm(z, 1, dims, keepdim=True).div_(z[0].numel() if each else z.numel())
    return z.sign_().mul_(mean)


def mean_size(W: Tensor) -> float:
    """Return mean|W|, of a large W from sums over a few rows at a time: the norm reads memory at a fifth of its speed."""
    sums = torch.stack([W[rows].abs().sum() for rows in derived.blocks(W)])
    return float(sums.sum().div_(W.numel()))


def _passed(A: Tensor, rectified: bool) -> Tensor:
    """Say where the signal passes: |A| < 1, and A > 0 where a ReLU follows."""
    return A.lt(1).logical_and_(A.gt(0 if rectified else -1))


class StraightThrough:
    """The steps of binary weights: G_l o [|W_l| < 1]; after them all parameters are clamped to [-1, 1]."""

    def __init__(self, steps: Optimizer, binary: Sequence[Tensor]) -> None:
        """Wrap the optimizer; tensors that are not among `binary` (biases) take G whole."""
        self.steps, self.binary, self.eta = steps, binary, steps.eta

    def track(self, *weights: Tensor) -> None:
        """Allocate what is remembered for each weight."""
        self.steps.track(*weights)

    def correlate_(self, W: Tensor, D: Tensor, H: Tensor, over: float, minus: Pair | None = None) -> None:
        """Step along `D^T H / over`, where it passes."""
        self.step_(W, blend_(torch.empty_like(W), (D, H), minus, keep=0, gain=1 / over))

    def step_(self, b: Tensor, G: Tensor, over: float = 1.0) -> None:
        """Step along the gradient `G / over`, where it passes."""
        if any(b is W for W in self.binary):
            torch.ops.aten.hardtanh_backward.grad_input(G, b, -1, 1, grad_input=G)
        self.steps.step_(b, G, over)
        b.clamp_(-1, 1)
