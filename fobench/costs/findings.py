"""What the published table does not tell, as sentences whose numbers are computed here, each with the command that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean

from fobench.costs.fit import Choice, need
from fobench.costs.program import BufferRole, Format
from fobench.costs.published import BUDGETS, Published, account, hours, latency, sheet
from fobench.costs.slips import SLIPS
from fobench.networks import named_tasks

CNNS = ("ds-cnn", "mobilenet-v1-0.25", "resnet8")
AUTOENCODER = "autoencoder"
VECTORS_PER_CLIP = 196
"""The reference script cuts a clip to 200 frames and makes 196 vectors of 5 frames (`mlcommons/tiny`, anomaly detection)."""
ALL_CLIPS = 7_000
"""4 machine ids x 1000 clips of the development set, and 3 more ids that `get_dataset.sh` adds."""
SHOWN_BY_SLIP = {
    "mobilenet-depthwise-size": ("bp", "training_macs"),
    "mobilenet-dense-goodness": ("ff", "inference_macs"),
    "mobilenet-input": ("bp", "training_ram"),
    "resnet-input": ("ff", "inference_ram"),
    "ds-cnn-dense-output": ("pepita", "training_ram"),
    "resnet-third-add": ("pepita", "training_ram"),
}
"""The rule and the total that a slip is shown on."""
WORDS = {
    "training_macs": "MACs a training sample",
    "inference_macs": "MACs an inference",
    "training_ram": "B of training RAM",
    "inference_ram": "B of inference RAM",
}


@dataclass(frozen=True)
class Finding:
    """One checked statement; `command` prints the numbers of `shown`."""

    name: str
    sentence: str
    command: str
    shown: tuple[str, ...]


def findings() -> tuple[Finding, ...]:
    """Return every finding: six slips, and what the published accounting leaves out."""
    return (*_slips(), _missing_feedback(), _large_feedback(), _saving(), _ff_inference(), _autoencoder_hours())


def published(network: str, rule: str, slips: tuple[str, ...] = ()) -> Published:
    """Return the published accounting of a named network."""
    return account(sheet(network, named_tasks()[network], slips), rule)


def complete_ram(network: str, rule: str, seeded: bool = False) -> int:
    """Return the bytes of a training step as planned, int8, one sample, no optimizer state."""
    program = Choice(rule, options={"seeded": seeded}).program(network, named_tasks()[network])
    return need(program, 1, Format.INT8).ram


def feedback(network: str) -> int:
    """Return the bytes of PEPITA's F in int8: one per input and output."""
    program = Choice("pepita").program(network, named_tasks()[network])
    return program.persistent_bytes(Format.INT8)[BufferRole.FEEDBACK]


def _slips() -> Iterator[Finding]:
    for name, (rule, total) in SHOWN_BY_SLIP.items():
        slip = SLIPS[name]
        wrong, right = (getattr(published(slip.network, rule, slips), total) for slips in ((name,), ()))
        yield Finding(
            f"slip {name}",
            f"{slip.network}: {slip.text}. With this slip {rule} has {wrong:,} {WORDS[total]}, without it {right:,} "
            f"({wrong - right:+,}).",
            f"fobench cost {slip.network} --learner {rule} --accounting published --slip {name}",
            (f"{wrong:,}",),
        )


def _missing_feedback() -> Finding:
    parts = []
    for network in (*CNNS, AUTOENCODER):
        stored, drawn = complete_ram(network, "pepita"), complete_ram(network, "pepita", seeded=True)
        parts.append(
            f"{network} {feedback(network):,} B (published {published(network, 'pepita').training_ram:,} B, complete "
            f"{stored:,} B, with F from a seed {drawn:,} B)"
        )
    return Finding(
        "F missing from the RAM",
        f"The feedback matrix F of PEPITA and MEMPEPITA stands nowhere in the published RAM: {'; '.join(parts)}.",
        "fobench cost resnet8 --learner pepita",
        (f"{feedback('resnet8'):,}", f"{complete_ram('resnet8', 'pepita'):,}"),
    )


def _large_feedback() -> Finding:
    size, parameters = feedback(AUTOENCODER), published(AUTOENCODER, "pepita").parameters
    return Finding(
        "F of the auto-encoder",
        f"On the auto-encoder F has {size:,} B, {size / parameters:.1f} times the network's {parameters:,}.",
        f"fobench cost {AUTOENCODER} --learner pepita",
        (f"{size:,}", f"{parameters:,}"),
    )


def _saving() -> Finding:
    told = {net: published(net, "mempepita").training_ram for net in CNNS}
    own = {net: complete_ram(net, "mempepita") for net in CNNS}
    less = mean(told[net] / published(net, "bp").training_ram - 1 for net in CNNS)
    really = mean(own[net] / complete_ram(net, "bp") - 1 for net in CNNS)
    return Finding(
        "MEMPEPITA's saving",
        f"MEMPEPITA's training RAM on the three CNNs is {less:+.1%} against BP as published, and "
        f"{really:+.1%} once error maps, F, masks and buffers that are used again are counted for both.",
        "fobench cost resnet8 --learner mempepita",
        (f"{told['resnet8']:,}", f"{own['resnet8']:,}"),
    )


def _ff_inference() -> Finding:
    def ratio(network: str) -> float:
        return published(network, "ff").inference_macs / published(network, "bp").inference_macs

    parts = [f"{ratio(net):.1f} times on {net} ({named_tasks()[net].classes} labels)" for net in CNNS]
    return Finding(
        "FF's inference",
        f"FF tries every label at inference: its MACs are {', '.join(parts)} those of BP; "
        f"{ratio(AUTOENCODER):.2f} times on the auto-encoder, which has none.",
        "fobench cost ds-cnn --learner ff --accounting published",
        (f"{published('ds-cnn', 'ff').inference_macs:,}",),
    )


def _autoencoder_hours() -> Finding:
    epochs, clips = BUDGETS[AUTOENCODER]
    seconds = latency(published(AUTOENCODER, "bp").training_macs, 3, 550e6)
    told = hours(seconds, epochs, clips)
    least, most = (hours(seconds, epochs, count * VECTORS_PER_CLIP) for count in (clips, ALL_CLIPS))
    samples = clips * VECTORS_PER_CLIP
    return Finding(
        "hours of the auto-encoder",
        f"The {clips:,} samples of the auto-encoder's training are clips of {VECTORS_PER_CLIP} vectors each, and the reference "
        f"trains on up to {ALL_CLIPS:,} clips: its hours are {least / told:.0f} to {most / told:.0f} times too low (BP on the "
        f"STM32H735 {told:.2f} h as published, {least:.1f} to {most:.1f} h).",
        f"fobench cost {AUTOENCODER} --learner bp --accounting published --device STM32H735 --epochs {epochs} "
        f"--samples {samples}",
        (f"{least:.4g} h",),
    )
