"""MEMPEPITA: PEPITA that forgets the standard pass and takes it again beside the modulated one.

    H_L = f(... f(X W_1^T) ...),  E = H_L - T                      first standard pass: E is all that is kept
    X^err = X + s E F^T                                            modulated input
    H_l = f(H_{l-1} W_l^T),  H_l^err = f(H_{l-1}^err W_l^T)        both passes in step, layer by layer
    G_l = (H_l - H_l^err)^T H_{l-1}^err / N                        hidden layers, at once; then layer l-1 is let go
    G_L = (E^err)^T H_{L-1}^err / N                                output layer

Pau and Aymone, COINS 2023 (doi 10.1109/COINS57856.2023.10189239), and Eng 5 (2023), 34.

Properties: weight transport none; locality: two activities of the layer and its modulated input; update locking: a
layer waits for the standard pass; frozen activity: two neighbouring layers of both passes. The weights are those of
PEPITA, bit for bit.

**Departures**

- Dropout, which the paper does not treat: the masks of a step are drawn twice, the second time by a generator that was
  given the state of the first. Layers come in the same order, so that one state serves them all, and PEPITA's own order
  of draws is kept.
- The standard pass is taken again through the output layer, as published (3 forward passes in the paper's count),
  although E is known by then.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fobench.learners.activations import error_, target
from fobench.learners.layers import WeightedNode
from fobench.learners.passes import Maps
from fobench.learners.pepita import PEPITA


@dataclass
class MEMPEPITA(PEPITA):
    """PEPITA with one more forward pass in place of stored activities; its hyperparameters are PEPITA's."""

    def learn(self, x: Tensor, y: Tensor) -> None:
        """Take the standard pass, then it and the modulated pass in step, updating layer after layer."""
        net, T, again = self.net, target(self.net.task, x, y), self.net.twin()
        first = net.standard_pass(x, lambda node: net.draw(node, len(x), net.generator))
        E = error_(first.pop(net.top), T)  # E = H_L - T
        del first
        H, H_err = Maps(net.nodes, x), net.modulated_maps(x, self.fed_back(E))  # X, X^err
        del E
        for node in net.nodes:
            mask = net.draw(node, len(x), again)
            H[node] = net.activity(node, H.before(node), mask)
            before = H_err.before(node)
            H_err[node] = net.modulated_pass(node, before, mask)
            del mask
            if node is net.top:
                self.output_step(error_(H.pop(node), T), error_(H_err.pop(node), T), before[0])
            elif isinstance(node, WeightedNode):
                self.hidden_step(node, H[node.index] - H_err[node.index], before[0])
            del before
