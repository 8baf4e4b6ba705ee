"""Bio-FO: each layer classifies by itself, through a fixed random read-out, and learns from that error alone.

    H_l = f(A_l),  A_l = H_{l-1} (S_l o W_l)^T + b_l, or the (locally connected) convolution that stands for it
    O_l = H_l B_l^T,  E_l = softmax(O_l) - T                        local logits; B_l: C x n_l, fixed
    D_l = (E_l B_l) o f'(A_l),  G_l = S_l o (D_l^T H_{l-1} / N)
    prediction: argmax O_L of the last trained layer

Bio-FO, MLSys 2025, and its released code: fully connected (FC), locally connected (LC: `biofo-local`) and convolutional
(CNN: `vgg16-conv`). Published settings of the three, beside Adam at eta 1e-4 and ReLU:

    FC   feedback gaussian (MNIST, MIT-BIH) or ternary (CIFAR, CHB-MIT), weight_init linear
    LC   feedback linear, weight_init normal, batch normalisation before the ReLU (here `normalise: sample`)
    CNN  feedback linear, weight_init kaiming-fan-out

Properties: weight transport none: B_l is never trained; locality: layer input, activity and C local errors; update
locking none; frozen activity: two neighbouring layers, with the optimizer state of one layer only when trained
greedily.

**Departures**

- `order: greedy` is the released code: layer 1 for all epochs, then layer 2 on top of it, ..., each with a fresh
  optimizer; one stage per layer. The frozen layers are recomputed in each step, as there, but without a graph. `order:
  sweep` trains all layers in each step, as the paper's figure shows; layer l+1 is fed by layer l from before its
  update.
- `feedback: gaussian` is N(0, 1) for each layer, `ternary` floor(n C / 6) entries each of +1 and -1 and else 0, one
  matrix for all layers of a width. Neither is rescaled. The released code assumes equal widths. `linear` is a fresh
  nn.Linear with its random bias, one per layer.
- The released LC normalises over the batch, layer by layer, in training mode even where layers are frozen. Nothing here
  mixes samples: `normalise: sample` divides each sample's H_l by its root mean square (ReLU or linear f, through which a
  positive factor passes), without a mean taken off and without trained scale or shift; the signal comes back through
  it. `none` is FC and CNN as released. On deep nets with `weight_init: linear` it also keeps activity from fading out.
- A layer with weights is read behind the pools that follow it, as convolution, ReLU and pool make one stage in the
  released CNN. On residual nets the two addends of a sum are layers of their own, read before it; the paper has no such nets.
- The structural mask S_l is all ones as published for FC, and the receptive fields themselves for LC and CNN, whose
  layers hold no other weights. `density` below 1 draws a random one for each dense layer. W_l is masked after each step,
  which gives what the masked gradient gives; products stay dense, and cost as much.
- Nodes whose activity the layer in training (or the one that predicts) does not read are not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fobench import networks
from fobench.contracts import Prediction, Task
from fobench.learners import checks, optimizers
from fobench.learners import stages as local
from fobench.learners.activations import ACTIVATIONS
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import Dense, Node, build, symbols, weights
from fobench.learners.normalisation import normalise_, normalised_derivative_
from fobench.learners.stages import READ_OUTS


@dataclass
class BioFO:
    """Layer-wise local classification through fixed random matrices."""

    network: Any  # published: k x 2000, k = 4 or 6; biofo-local; vgg16-conv
    order: str = checks.choice("greedy", ("greedy", "sweep"))
    feedback: str = checks.choice("gaussian", READ_OUTS)  # B_l
    activation: str = checks.choice("relu", ACTIVATIONS)  # f
    normalise: str = checks.choice("none", ("none", "sample"))
    density: float = checks.between(1, 0, 1)  # share of ones in S_l, dense layers
    bias: bool = checks.choice(True, (True, False))  # b_l
    weight_init: str = checks.choice("linear", WEIGHT_INITS)
    optimizer: Mapping[str, Any] = optimizers.default(name="adam", eta=1e-4)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        checks.classification(self, task)
        checks.hidden(self, task)
        if self.normalise == "sample" and self.activation not in ("relu", "linear"):
            raise checks.LearnerError(
                f"normalise: sample takes activation relu or linear, through which a scale passes, not {self.activation}"
            )

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate layers, feedback and masks; optimizer state belongs to the stage."""
        checks.require(self, task, self._demand)
        f, layers = ACTIVATIONS[self.activation], networks.layers(self.network, task)
        self.nodes = build(layers, f, self.weight_init, self.bias, generator, device)
        self.layers = local.stages(self.nodes)
        self.read_outs = local.read_outs(self.feedback, self.layers, task.classes, generator, device)
        self.S = self._masks(generator)
        self.stages = len(self.layers) if self.order == "greedy" else 1
        self.begin_stage(0)

    def _masks(self, generator: torch.Generator) -> dict[int, Tensor]:
        """Draw S_l by the number of its layer, counted from 0, and apply it."""
        if self.density == 1:
            return {}
        dense = {number: stage.node for number, stage in enumerate(self.layers) if isinstance(stage.node, Dense)}
        S = {number: torch.empty_like(node.W) for number, node in dense.items()}
        for number, mask in S.items():
            mask.bernoulli_(self.density, generator=generator)
            dense[number].W.mul_(mask)
        return S

    def begin_stage(self, stage: int) -> None:
        """Turn to the next layer, with a fresh optimizer; in one sweep to all layers."""
        active = [stage] if self.order == "greedy" else range(len(self.layers))
        self.last = active[-1]
        self.steps = optimizers.make(self.optimizer, weights(self.layers[number].node for number in active))

    def activity(self, node: Node, *before: Tensor) -> Tensor:
        """Return H of a node that does not learn now."""
        H = node.activity(*before)
        if node.weights and self.normalise == "sample":
            normalise_(H)
        return H

    def layer_step(self, y: Tensor, number: int, before: Tensor) -> Tensor:
        """Update one layer and return its activity from before the update, behind its tail."""
        stage, read_out = self.layers[number], self.read_outs[number]
        node = stage.node
        H = node.activity(before)
        scale = normalise_(H) if self.normalise == "sample" else None
        maps = stage.ascend(H)
        E, logits = read_out.error(maps[-1], y)  # E_l = softmax(O_l) - T
        D = read_out.feed_back(E, maps[-1])
        if scale is None:
            D = stage.derived(D, maps)  # D_l = (E_l B_l) o f'(A_l)
        else:
            D = normalised_derivative_(stage.descend(D, maps), H, scale, read_out.agreement(E, logits))
            D = node.f.derive_(D, H)
        read = maps.pop()
        del H, maps
        node.accumulate_(D, before, self.steps)  # G_l = D_l^T H_{l-1} / N
        if number in self.S:
            node.W.mul_(self.S[number])  # W_l <- S_l o W_l
        return read

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch: the layer of this stage, or all layers on the way up."""
        if self.order == "greedy":
            self.layer_step(y, self.last, local.arrive(self.layers[self.last], x, self.activity))
        else:
            local.sweep(self.layers, x, partial(self.layer_step, y), self.activity)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by the local logits of the last layer trained so far."""
        stage = self.layers[self.last]
        H = self.activity(stage.node, local.arrive(stage, x, self.activity))
        return Prediction(self.read_outs[self.last].logits(stage.ascend(H)[-1]))

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ..., the feedback B1, ... (its bias Bb1, ...) and the masks S1, ..."""
        masks = {f"S{number + 1}": mask for number, mask in self.S.items()}
        return {**symbols(self.nodes), **local.symbols(self.read_outs), **masks}
