"""The six slips of the published spreadsheet, by name; off is correct, on gives the sheet's own figures to the unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fobench.costs.sheet import Operator, Sheet


@dataclass(frozen=True)
class Slip:
    """One mistake: the network that has it, what was typed, and the sheet with the mistake in."""

    network: str
    text: str
    repeat: Callable[[Sheet], Sheet]


def _edited(found: Sheet, kind: str, number: int, edit: Callable[[Operator], Operator]) -> Sheet:
    """Return the sheet with one operator edited: number `number` of its kind, from 0, or -1 for the last."""
    wanted = [operator for operator in found.operators if operator.kind == kind][number]
    return replace(found, operators=tuple(edit(item) if item is wanted else item for item in found.operators))


def _typed_size(found: Sheet) -> Sheet:
    def edit(operator: Operator) -> Operator:
        channels = operator.output // 36
        macs, units = operator.weights * 16 * 16, channels * 16 * 16
        typed = {"forward": macs, "backward": macs, "update": macs, "goodness": units, "normalisation": units}
        return replace(operator, macs=typed)

    return _edited(found, "depthwise", 5, edit)


def _dense_goodness(found: Sheet) -> Sheet:
    def edit(operator: Operator) -> Operator:
        return replace(
            operator, macs={**operator.macs, "goodness": operator.weights, "normalisation": operator.weights}
        )

    return _edited(found, "dense", -1, edit)


def _longer_input(found: Sheet) -> Sheet:
    return replace(found, input_buffer=found.input_buffer + 1)


def _left_out(kind: str, number: int) -> Callable[[Sheet], Sheet]:
    return lambda found: _edited(found, kind, number, lambda operator: replace(operator, summed=False))


SLIPS: Mapping[str, Slip] = {
    "mobilenet-depthwise-size": Slip(
        "mobilenet-v1-0.25", "rows and columns of the 6th depthwise layer's output typed as 16, not 6", _typed_size
    ),
    "mobilenet-dense-goodness": Slip(
        "mobilenet-v1-0.25", "goodness and normalisation of the last dense layer 256 x 2, not 2", _dense_goodness
    ),
    "mobilenet-input": Slip("mobilenet-v1-0.25", "input buffer typed as 27649, not 27648", _longer_input),
    "resnet-input": Slip("resnet8", "input buffer typed as 3073, not 3072", _longer_input),
    "ds-cnn-dense-output": Slip("ds-cnn", "dense output left out of BP's activations", _left_out("dense", -1)),
    "resnet-third-add": Slip("resnet8", "third residual sum left out of BP's activations", _left_out("add", 2)),
}
"""By name, in the order of the reference."""
