"""The memory minimum of each rule against maps counted by hand, and what any program must satisfy."""

import pytest

from fobench.contracts import Phase, Role, Task
from fobench.costs import BufferRole, Format, Op, Program, Setting, program_of
from fobench.costs.program import Buffer, Step
from fobench.costs.rules import alignment, bp, direct, early, ff, local, mempepita, pepita, propagated

MNIST, WIDE = Task("classification", (784,), 10), [2000] * 4
MAP = 2000
CIFAR = Task("classification", (3, 32, 32), 10)
SPEECH = Task("classification", (1, 49, 10), 12)
AUTOENCODER = Task("reconstruction", (640,))
BIG = 16 * 32 * 32
"""The largest map of ResNet-8; its second and third block have maps of half and a quarter of it."""


def minimum(program: Program, phase: Phase = Phase.TRAIN) -> int:
    """In values per sample: one sample at one byte, so that a mask's flag counts as one value."""
    return program.minimum(1, Format.INT8, phase)


def test_the_figures_of_the_wide_net() -> None:
    """Layer maps of 0.8 MB: 2000 values x 100 samples x 4 bytes; X^err is 0.392 of one, C values 0.005."""

    def maps(program: Program) -> float:
        return program.minimum(100, Format.FLOAT32) / 800_000

    assert maps(bp.program(WIDE, MNIST)) == 5 + 0.005
    assert maps(pepita.program(WIDE, MNIST, keep=1)) == pytest.approx(5 + 0.392)
    assert maps(pepita.program(WIDE, MNIST)) == pytest.approx(5 + 0.392 + 4 * 0.25)
    assert maps(mempepita.program(WIDE, MNIST)) == maps(mempepita.program(WIDE[:3], MNIST)) == 4
    assert maps(direct.drtp(WIDE, MNIST)) == 3
    assert maps(local.biofo(WIDE, MNIST, order="sweep")) == maps(local.biofo(WIDE, MNIST)) == 3 + 0.005
    assert maps(ff.program(WIDE, MNIST)) == 6


def test_rules_that_keep_all_maps() -> None:
    kept = 4 * MAP
    assert minimum(direct.dfa(WIDE, MNIST)) == kept + MAP + 10
    assert minimum(alignment.fa(WIDE, MNIST)) == kept + MAP + 10
    # the signal of the layer below and the one that it becomes, beside all maps
    assert minimum(propagated.ifa(WIDE, MNIST)) == minimum(propagated.afa(WIDE, MNIST)) == kept + 2 * MAP


def test_time_local_pepita_keeps_two_maps() -> None:
    assert minimum(pepita.time_local(WIDE, MNIST, keep=1)) == 2 * MAP


def test_passes_apart_halve_forward_forward() -> None:
    together, apart = ff.program(WIDE, MNIST), ff.program(WIDE, MNIST, Setting(apart=True))
    assert minimum(apart) == minimum(together) / 2 == 3 * MAP
    assert apart.macs() == together.macs() and apart.macs(Phase.INFER) == together.macs(Phase.INFER)
    assert minimum(together, Phase.INFER) == 10 * 2 * MAP + 10
    assert minimum(apart, Phase.INFER) == 2 * MAP + 10


def test_lightff_keeps_what_its_heads_read() -> None:
    one_pass = early.lightff(WIDE, MNIST, inference="one-pass")
    assert minimum(one_pass, Phase.INFER) >= 4 * MAP
    assert minimum(ff.program(WIDE, MNIST, inference="one-pass"), Phase.INFER) == 2 * MAP + 10


def test_residual_blocks_by_hand() -> None:
    """ResNet-8. Of the network: H1; H2, H3 (linear), add1 = H3 + H1; H4, H5, H6 of half that size; H7, H8, H9 of a quarter."""
    half, quarter = BIG // 2, BIG // 4
    # at S = D4 W4: D4, the result, the shortcut's share of it, and what the first block keeps: H1, H2, add1
    assert minimum(bp.program("resnet8", CIFAR)) == half + 2 * BIG + 3 * BIG
    # at A1^err: the maps of all nodes with weights, X^err, H1^err
    kept = 3 * (BIG + half + quarter)
    assert minimum(pepita.program("resnet8", CIFAR, keep=1)) == kept + 3072 + BIG
    assert minimum(pepita.program("resnet8", CIFAR)) == 2 * kept + 3072 + BIG
    # at G3: both passes' H1 (for the sum) and H3, one pass's H2, and the difference
    assert minimum(mempepita.program("resnet8", CIFAR, keep=1)) == 6 * BIG
    # at G3: H1, H2, H3 and the signal
    assert minimum(direct.drtp("resnet8", CIFAR)) == 4 * BIG
    assert minimum(local.biofo("resnet8", CIFAR, order="sweep")) == 4 * BIG + 10
    # two rows; at G2: H1 as it is and normalised, H2, D2
    assert minimum(ff.program("resnet8", CIFAR)) == 2 * 4 * BIG


def test_a_pool_needs_its_input_again() -> None:
    """conv 1x8x8 -> 4x6x6, pool to 4x3x3, 5 classes: at S(pool1) = E W2 live E, S, the pool's output and its input."""
    network = [{"kind": "conv", "channels": 4}, {"kind": "pool"}, {"kind": "flatten"}]
    task = Task("classification", (1, 8, 8), 5)
    assert minimum(bp.program(network, task)) == 144 + 36 + 36 + 5
    # Bio-FO: the local error, the signal E B of the pooled map, and the map for the places of its maxima
    assert minimum(local.biofo(network, task)) == 5 + 36 + 144


def test_reconstruction() -> None:
    program = mempepita.program("autoencoder", AUTOENCODER, keep=1)
    assert program.persistent["F"].elements == 640 * 640
    weights = sum(buffer.elements for buffer in program.persistent.values() if buffer.role is BufferRole.WEIGHT)
    assert weights == 264_192 and program.persistent["F"].elements > 1.5 * weights
    infer = ff.program([128, 8], AUTOENCODER).macs(Phase.INFER)
    assert infer == {Role.FORWARD: 640 * 128 + 128 * 8}
    for rule in ("drtp", "biofo", "cafo", "mono-forward", "lightff"):
        with pytest.raises(Exception, match="class labels"):
            program_of(rule, {"network": [8]}, AUTOENCODER)


def test_what_stays_between_steps() -> None:
    task = Task("classification", (20,), 3)
    sizes = {"W": 20 * 8 + 8 * 5 + 5 * 3, "b": 8 + 5 + 3}

    def held(rule: str, **options: object) -> dict[BufferRole, int]:
        return program_of(rule, {"network": [8, 5], **options}, task).persistent_bytes(Format.INT8)

    assert held("bp") == {BufferRole.WEIGHT: sizes["W"], BufferRole.BIAS: sizes["b"]}
    assert held("bp", optimizer="adam")[BufferRole.OPTIMIZER] == 2 * (sizes["W"] + sizes["b"])
    assert held("bp", optimizer={"name": "momentum", "eta": 1}, bias=False)[BufferRole.OPTIMIZER] == sizes["W"]
    assert BufferRole.BIAS not in held("pepita") and held("pepita")[BufferRole.FEEDBACK] == 20 * 3
    assert held("pepita", seeded=True)[BufferRole.FEEDBACK] == 1
    # feedback alignment copies every weight but those that read the input
    assert held("fa")[BufferRole.FEEDBACK] == 8 * 5 + 5 * 3
    assert held("frsf")[BufferRole.FEEDBACK] == 8 * 5 + 5 * 3 and BufferRole.FEEDBACK not in held("usf")
    assert held("dfa")[BufferRole.FEEDBACK] == held("drtp")[BufferRole.FEEDBACK] == 3 * (8 + 5)
    assert held("ifa")[BufferRole.FEEDBACK] == 3 * 8
    assert held("ff")[BufferRole.STATISTIC] == 8 + 5
    # greedy: the optimizer's state of one layer
    assert held("biofo", optimizer="adam", stage=0)[BufferRole.OPTIMIZER] == 2 * (20 * 8 + 8)


def test_the_complete_accounting_names_every_byte() -> None:
    """One hidden layer at batch 3, by hand: weights, Adam's moments, x and y, and at G_1 the signal, E and W_1's gradient."""
    task = Task("classification", (20,), 3)
    program = bp.program([8], task, Setting(bias=False, optimizer="adam"))
    peak = program.peak(3, Format.INT16)
    assert peak.roles == {
        BufferRole.WEIGHT: 2 * (20 * 8 + 8 * 3), BufferRole.OPTIMIZER: 2 * 2 * (20 * 8 + 8 * 3),
        BufferRole.INPUT: 2 * 3 * 20, BufferRole.ERROR: 2 * 3 * 8, BufferRole.SCRATCH: 2 * 20 * 8,
    }  # fmt: skip
    assert peak.bytes == sum(peak.roles.values())
    assert program.train.ops[peak.op].name == "G1 = D1^T x / N"


def test_a_buffer_lives_from_first_write_to_last_touch() -> None:
    buffers = {name: Buffer(name, BufferRole.ACTIVATION, size) for name, size in {"a": 5, "b": 7, "c": 11}.items()}
    ops = (
        Op("b from x", Role.FORWARD, (), ("b",), macs=1),
        Op("a from b", Role.FORWARD, ("b",), ("a",), macs=1),
        Op("c from a", None, ("a",), ("c",)),
        Op("c from c", Role.FORWARD, ("c",), ("c",), macs=1),
    )
    step = Step(buffers, ops)
    spans = {life.buffer.name: (life.first, life.last) for life in step.lifetimes(1, Format.INT8)}
    assert spans == {"a": (1, 2), "b": (0, 1), "c": (2, 3)}
    # the moment a + c is no product
    assert step.minimum(1, Format.INT8) == 12 and max(step.live(step.lifetimes(1, Format.INT8))) == 16


def test_a_gradient_exists_unless_it_is_fused() -> None:
    def scratch(**fields: object) -> set[str]:
        program = program_of("bp", {"network": [8], "bias": False, **fields}, Task("classification", (20,), 3))
        return {name for name, buffer in program.train.buffers.items() if buffer.role is BufferRole.SCRATCH}

    assert scratch() == scratch(optimizer="momentum") == set()
    assert scratch(fused=False) == scratch(fused=False, optimizer="momentum") == {"G_W1", "G_W2"}
    assert scratch(optimizer="adam") == {"G_W1", "G_W2"}


def test_padded_copies_are_scratch() -> None:
    plain, padded = bp.program("ds-cnn", SPEECH), bp.program("ds-cnn", SPEECH, Setting(padded=True))
    assert plain.macs() == padded.macs()
    copies = [name for name in padded.train.buffers if name.startswith("pad")]
    assert copies and not [name for name in plain.train.buffers if name.startswith("pad0")]
    assert padded.minimum(1, Format.INT8) > plain.minimum(1, Format.INT8)
