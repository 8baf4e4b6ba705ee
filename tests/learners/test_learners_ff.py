"""Forward-Forward in both flavours, on every kind of layer, with labels and with hybrids."""

import sys

import pytest
import slow_ff
import torch
from learner_help import train
from torch.nn import functional

from fobench import networks
from fobench.contracts import FobenchError, Phase, Task, is_trained
from fobench.costs import program_of
from fobench.costs.rules import ff as costs
from fobench.learners import contrast, normalised
from fobench.learners.ff import FF
from fobench.learners.ff_mpezeshki import FFMpezeshki
from fobench.learners.lightff import LightFF
from fobench.networks import add, conv, dense, depthwise, flatten, local, pool
from fobench.tracers.macs import MACs
from fobench.tracers.memory import LiveTensors

UNIT = {"name": "sgd", "eta": 1.0}
MAPS = Task("classification", (2, 6, 5), 3)
NETS = {
    "dense": [4, 5],
    "strides": [conv(3, kernel=[3, 2], stride=[2, 1], padding="same"), conv(2, kernel=2), flatten(), dense(4)],
    "depthwise": [depthwise(3, stride=2, padding="same"), conv(3, kernel=1), pool(2, mode="mean"), flatten()],
    "local": [local(2, kernel=3, stride=2, padding=1), pool(2, stride=1), dense(4)],
    "residual": [
        conv(2, padding=1), conv(2, padding=1), conv(2, padding=1, activate=False), add(0, activate=True),
        conv(3, stride=2, padding="same"), conv(3, padding=1, activate=False),
        conv(3, kernel=1, stride=2, source=3, activate=False), add(5, activate=True), flatten(), dense(3),
    ],
    "shared": [flatten(), dense(6), dense(6), add(1), dense(4), {**dense(3), "source": 1}],
    "view": [conv(2, padding=1), flatten(), dense(4), {**conv(2), "source": 0}, flatten(), dense(3)],
}  # fmt: skip
every_net = pytest.mark.parametrize("net", NETS)


def ready(learner, task=MAPS, seed=0):
    learner.setup(task, torch.Generator().manual_seed(seed), "cpu")
    for name, tensor in learner.state().items():
        if name[0] == "b":
            tensor.uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(seed))
    return learner


def batch(samples=3, task=MAPS, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, *task.input_shape, generator=generator)
    return x, torch.randint(max(task.classes, 2), (samples,), generator=generator)


def snapshot(learner):
    return {name: tensor.clone() for name, tensor in learner.state().items()}


def of(state, symbol):
    return [
        state[name] for name in sorted((name for name in state if name[0] == symbol), key=lambda name: int(name[1:]))
    ]


def moved(learner, x, y):
    before = snapshot(learner)
    learner.train_step(x, y)
    return {name: before[name] - after for name, after in learner.state().items()}


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


# --- against the equations ----------------------------------------------------------------------------------------------


@every_net
@pytest.mark.parametrize(("peer", "goodness_of"), [(0, "sum"), (0.5, "sum"), (0.5, "mean")])
def test_a_step_is_the_equations(net, peer, goodness_of):
    learner = ready(FF(NETS[net], peer=peer, goodness_of=goodness_of, optimizer=UNIT))
    x, y = batch()
    wrong = learner.wrong_labels(y)
    learner.wrong_labels = lambda _: wrong
    s = snapshot(learner)
    rows = [[slow_ff.labelled(v, c, 3) for v, c in zip(x, labels, strict=True)] for labels in (y, wrong)]
    shapes = networks.layers(NETS[net], MAPS)
    running = of(s, "r") if peer else [torch.zeros(()) for _ in of(s, "W")]
    G, g, r = slow_ff.loewe(*rows, shapes, of(s, "W"), of(s, "b"), running, peer, goodness_of == "mean")
    found = moved(learner, x, y)
    close(of(found, "W"), G)
    close(of(found, "b"), g)
    if peer:
        close(of(learner.state(), "r"), r)


@every_net
def test_a_step_of_the_other_flavour_is_its_equations(net):
    learner = ready(FFMpezeshki(NETS[net], theta=0.1, optimizer=UNIT))
    x, y = batch()
    wrong = learner.rows.wrong_labels(y)
    learner.rows.wrong_labels = lambda _: wrong
    s = snapshot(learner)
    rows = [[slow_ff.labelled(v, c, 3) for v, c in zip(x, labels, strict=True)] for labels in (y, wrong)]
    G, g = slow_ff.mpezeshki(*rows, networks.layers(NETS[net], MAPS), of(s, "W"), of(s, "b"), 0.1)
    found = moved(learner, x, y)
    close(of(found, "W"), G)
    close(of(found, "b"), g)


def test_the_other_flavour_equals_autograd():
    task = Task("classification", (6,), 3)
    learner = ready(FFMpezeshki([5, 4], theta=0.3, optimizer=UNIT), task)
    x, y = batch(4, task)
    wrong = learner.rows.wrong_labels(y)
    learner.rows.wrong_labels = lambda _: wrong
    z = learner.rows.overlay(x, torch.cat([y, wrong]))
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in learner.state().items()}
    loss = torch.zeros(())
    for level in (1, 2):
        z = z.detach() / (z.detach().norm(dim=1, keepdim=True) + 1e-4)
        z = functional.linear(z, leaves[f"W{level}"], leaves[f"b{level}"]).relu()
        g = z.square().mean(1)
        loss = loss + functional.softplus(torch.cat([0.3 - g[:4], g[4:] - 0.3])).mean()
    loss.backward()
    found = moved(learner, x, y)
    close([found[name] for name in leaves], [leaf.grad for leaf in leaves.values()])


@every_net
@pytest.mark.parametrize(
    ("rule", "norm", "goodness"),
    [(FF, slow_ff.rms, lambda z: (z**2).sum()), (FFMpezeshki, slow_ff.length, lambda z: (z**2).mean())],
)
def test_multi_pass_scores(net, rule, norm, goodness):
    learner = ready(rule(NETS[net]))
    x, _ = batch()
    s, shapes = learner.state(), networks.layers(NETS[net], MAPS)
    expected = [
        [
            sum(
                float(goodness(z))
                for _, z in slow_ff.layers_of(slow_ff.labelled(v, c, 3), shapes, of(s, "W"), of(s, "b"), norm)
            )
            for c in range(3)
        ]
        for v in x
    ]
    close([learner.predict(x).scores], [torch.tensor(expected)])


@every_net
@pytest.mark.parametrize("score_layers", ["all", "from-second"])
def test_the_head_reads_normalised_maps(net, score_layers):
    learner = ready(FF(NETS[net], inference="one-pass", score_layers=score_layers, head_optimizer=UNIT, optimizer=UNIT))
    for V in of(learner.state(), "V"):
        V.normal_(generator=torch.Generator().manual_seed(2))
    x, y = batch()
    s, first = snapshot(learner), 0 if score_layers == "all" else 1
    G, logits = [torch.zeros_like(V) for V in of(s, "V")], []
    for v, label in zip(x, y, strict=True):
        neutral = v.clone()
        neutral.view(-1)[:3] = 1 / 3
        seen = slow_ff.layers_of(neutral, networks.layers(NETS[net], MAPS), of(s, "W"), of(s, "b"))
        hats = [slow_ff.rms(z).flatten() for _, z in seen[first:]]
        logits.append(torch.cat(of(s, "V"), 1) @ torch.cat(hats))
        error = torch.softmax(logits[-1], 0) - functional.one_hot(label, 3)
        for block, hat in zip(G, hats, strict=True):
            block += torch.outer(error, hat) / len(x)
    close([learner.predict(x).scores], [torch.stack(logits)])
    close(of(moved(learner, x, y), "V"), G)


@every_net
@pytest.mark.parametrize("rule", [FF, FFMpezeshki])
def test_the_batch_is_not_written(net, rule):
    for task in (MAPS, Task("reconstruction", MAPS.input_shape)):
        learner, (x, y) = ready(rule(NETS[net]), task), batch()
        kept = x.clone()
        learner.predict(x)
        learner.train_step(x, y)
        assert torch.equal(x, kept)


# --- labels as patterns -------------------------------------------------------------------------------------------------

PATTERN = {"label_as": "pattern", "label_amplitude": 0.4, "wavelength": 5.0}


def test_patterns_are_plane_waves_in_directions_of_their_own():
    """f(k + 1) + f(k - 1) = 2 cos(w) f(k) along rows and columns, and both w make 2 pi / wavelength."""
    S = contrast.waves(Task("classification", (2, 40, 30), 4), 5.0, torch.Generator().manual_seed(3), "cpu")
    angles = []
    for wave in S:
        w = []
        for axis in (1, 2):
            inner = wave.narrow(axis, 1, wave.shape[axis] - 2)
            sums = wave.narrow(axis, 0, inner.shape[axis]) + wave.narrow(axis, 2, inner.shape[axis])
            cosine = (sums * inner).sum() / (2 * inner.square().sum())
            torch.testing.assert_close(sums, 2 * cosine * inner)
            w.append(cosine.arccos())
        assert float(w[0] ** 2 + w[1] ** 2) == pytest.approx((2 * torch.pi / 5) ** 2)
        angles.append(float(torch.atan2(*w)))
        assert float(wave.square().mean()) == pytest.approx(1, abs=0.1)
        assert not torch.allclose(wave[0], wave[1])
    assert len({round(angle, 6) for angle in angles}) == 4


def test_a_vector_has_waves_of_many_lengths():
    S = contrast.waves(Task("classification", (200,), 6), 4.0, torch.Generator().manual_seed(3), "cpu")
    peaks = torch.fft.rfft(S).abs().argmax(1)
    assert S.shape == (6, 200) and len(set(peaks.tolist())) == 6 and int(peaks.max()) <= 200 / 4


@every_net
def test_a_step_with_patterns_is_the_equations(net):
    learner = ready(FF(NETS[net], optimizer=UNIT, **PATTERN))
    x, y = batch()
    wrong = learner.wrong_labels(y)
    learner.wrong_labels = lambda _: wrong
    s = snapshot(learner)
    rows = [[v + 0.4 * s["S"][c] for v, c in zip(x, labels, strict=True)] for labels in (y, wrong)]
    G, g, _ = slow_ff.loewe(*rows, networks.layers(NETS[net], MAPS), of(s, "W"), of(s, "b"), of(s, "r"))
    found = moved(learner, x, y)
    close(of(found, "W"), G)
    close(of(found, "b"), g)
    assert not found["S"].any() and not is_trained("S")


@pytest.mark.parametrize("amplitude", [0.4, "max"])
def test_scores_and_the_neutral_sample_with_patterns(amplitude):
    learner = ready(FF(NETS["residual"], inference="multi-pass", **{**PATTERN, "label_amplitude": amplitude}))
    x, _ = batch()
    s, shapes = learner.state(), networks.layers(NETS["residual"], MAPS)
    scale = [float(v.max()) if amplitude == "max" else amplitude for v in x]
    expected = [
        [
            sum(float((z**2).sum()) for _, z in slow_ff.layers_of(v + a * wave, shapes, of(s, "W"), of(s, "b")))
            for wave in s["S"]
        ]
        for v, a in zip(x, scale, strict=True)
    ]
    close([learner.predict(x).scores], [torch.tensor(expected)])
    mean = sum(s["S"]) / len(s["S"])
    close(learner.rows.neutral(x), [v + a * mean for v, a in zip(x, scale, strict=True)])


@every_net
@pytest.mark.parametrize("inference", ["multi-pass", "one-pass"])
def test_patterns_cost_no_product(net, inference):
    learner = ready(FF(NETS[net], inference=inference, **PATTERN))
    program = costs.program(NETS[net], MAPS, inference=inference, label_as="pattern")
    x, y = batch(4)
    kept = x.clone()
    assert macs(learner, x, y) == sum(program.macs(Phase.TRAIN).values())
    assert macs(learner, x, y, "infer") == sum(program.macs(Phase.INFER).values())
    assert program.persistent["S"].elements == learner.state()["S"].numel() and torch.equal(x, kept)


def test_lightff_keeps_the_patterns_of_its_trunk():
    learner = ready(LightFF(NETS["residual"], trunk=PATTERN))
    program = program_of("lightff", learner, MAPS)
    assert program.persistent["S"].elements == learner.state()["S"].numel() == 3 * MAPS.inputs
    assert "S" not in program_of("lightff", LightFF(NETS["residual"]), MAPS).persistent


# --- without labels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "blurs"), [((4, 30), 3), ((3, 2, 9, 7), 3), ((2, 1, 5, 4), 40), ((2, 1), 64)])
def test_masks_are_blurred_bits(shape, blurs):
    found = contrast.blurred_bits(shape, blurs, torch.Generator().manual_seed(5), "cpu")
    sides = shape[1:] if len(shape) == 2 else shape[2:]
    wide = [side + 2 * blurs for side in sides]
    for sample, drawn in zip(found, lowest_bits((shape[0], *wide), seed=5), strict=True):
        for _ in range(blurs):
            drawn = slow_ff.blur(drawn)
        assert torch.equal(sample.view(drawn.shape), drawn > 0.5)


def lowest_bits(shape, seed):
    """Return the lowest bit of each byte of the words that a generator draws, as values."""
    count = torch.Size(shape).numel()
    generator = torch.Generator().manual_seed(seed)
    words = torch.empty(-(-count // 8), dtype=torch.int64).random_(generator=generator).tolist()
    found = [byte & 1 for word in words for byte in word.to_bytes(8, sys.byteorder)]
    return torch.tensor(found[:count], dtype=torch.float64).view(shape)


def test_masks_have_large_regions_and_cover_half():
    mask = contrast.blurred_bits((400, 640), 6, torch.Generator().manual_seed(0), "cpu").double()
    assert float(mask.mean()) == pytest.approx(0.5, abs=0.02)
    assert float((mask[:, 1:] != mask[:, :-1]).double().mean()) < 0.2  # of single bits it would be 0.5


def test_hybrids_are_made_of_two_samples_of_the_batch():
    rows = contrast.Rows(Task("reconstruction", (40,)), 1.0, 3, torch.Generator().manual_seed(0))
    x = torch.arange(6.0)[:, None].expand(6, 40) + torch.linspace(0, 0.5, 40)
    found = rows.hybrids(x)
    assert torch.equal(found[:6], x)
    owners = (found[6:] - torch.linspace(0, 0.5, 40)).round().long()
    others = {tuple(sorted(set(row.tolist()))) for row in owners}
    assert all(number in row.tolist() for number, row in enumerate(owners)) and all(len(pair) == 2 for pair in others)
    assert torch.equal(torch.where(owners == torch.arange(6)[:, None], x, x.roll(int(_shift(owners)), 0)), found[6:])
    alone = rows.hybrids(x[:1])
    assert torch.equal(alone[:1], x[:1]) and set(alone[1].tolist()) <= set(x[0].tolist())


def _shift(owners):
    other = owners[0][owners[0] != 0][0]
    return (0 - other) % 6


@pytest.mark.parametrize("net", ["dense", "residual", "depthwise"])
def test_a_step_without_labels_is_the_same_on_hybrids(net):
    task = Task("reconstruction", MAPS.input_shape)
    learner = ready(FF(NETS[net], optimizer=UNIT), task)
    x, y = batch()
    rows = learner.pairs(x, y)
    learner.pairs = lambda *_: rows.clone()
    s = snapshot(learner)
    G, g, _ = slow_ff.loewe(rows[:3], rows[3:], networks.layers(NETS[net], task), of(s, "W"), of(s, "b"), of(s, "r"))
    found = moved(learner, x, y)
    close(of(found, "W"), G)
    close(of(found, "b"), g)


def test_a_strange_sample_has_little_goodness():
    task = Task("reconstruction", MAPS.input_shape)
    learner, (x, _) = ready(FF(NETS["residual"], inference="one-pass"), task), batch()
    s, shapes = learner.state(), networks.layers(NETS["residual"], task)
    assert "V1" not in s
    expected = [-sum((z**2).sum() for _, z in slow_ff.layers_of(v, shapes, of(s, "W"), of(s, "b"))) for v in x]
    close([learner.predict(x).scores], [torch.stack(expected)])


def sines(samples, seed, strange):
    generator = torch.Generator().manual_seed(seed)
    phase, bend = torch.rand(2, samples, 1, generator=generator)
    pitch = 2 + 4 * bend if strange else 2.0 + 0 * bend
    return torch.sin(6.28 * (pitch * torch.linspace(0, 1, 64) + phase)) + 0.1 * torch.randn(
        samples, 64, generator=generator
    )


@pytest.mark.parametrize("seed", range(3))
def test_hybrids_teach_what_is_normal(seed):
    """The AUC of waves of another pitch; the same net untrained tells nothing."""
    learner = ready(FF([64, 64], optimizer={"name": "adam", "eta": 3e-3}), Task("reconstruction", (64,)), seed)
    normal, strange = sines(200, 11, False), sines(200, 12, True)
    aucs = []
    for _ in range(2):
        good, bad = (learner.predict(x).scores for x in (normal, strange))
        aucs.append(float((bad[:, None] > good).double().mean()))
        for number in range(60):
            learner.train_step(sines(50, 100 + number, False), torch.zeros(50))
    assert aucs[1] > 0.75 and aucs[1] > aucs[0] + 0.1


# --- cost ---------------------------------------------------------------------------------------------------------------


def macs(learner, x, y, phase="train"):
    tracer = MACs()
    with tracer.trace(learner, (x, y)):
        learner.train_step(x, y) if phase == "train" else learner.predict(x)
    return sum(row.value for row in tracer.readings() if row.quantity == "macs") / len(x)


@every_net
@pytest.mark.parametrize("rule", [FF, FFMpezeshki])
def test_contractions(net, rule):
    """Training 2 M + 2 M, inference C M; without labels M."""
    M = sum(layer.macs for layer in networks.layers(NETS[net], MAPS))
    x, y = batch(4)
    assert macs(ready(rule(NETS[net])), x, y) == 4 * M
    assert macs(ready(rule(NETS[net])), x, y, "infer") == 3 * M
    unlabelled = ready(rule(NETS[net]), Task("reconstruction", MAPS.input_shape))
    assert macs(unlabelled, x, y) == 4 * M and macs(unlabelled, x, y, "infer") == M


@every_net
def test_contractions_of_the_head(net):
    """A neutral pass M, and C d forward and C d in the update, d the units of all layers with weights."""
    layers = [layer for layer in networks.layers(NETS[net], MAPS) if layer.has_weights]
    M, d = sum(layer.macs for layer in layers), sum(layer.units for layer in layers)
    x, y = batch(4)
    learner = ready(FF(NETS[net], inference="one-pass"))
    assert macs(learner, x, y) == 5 * M + 2 * 3 * d and macs(learner, x, y, "infer") == M + 3 * d


def peak(learner, task, samples, phase="train"):
    """Batch-proportional bytes alive at most, the batch itself not counted."""
    tracer = LiveTensors()
    for offset in (0, 1):
        learner.setup(task, torch.Generator().manual_seed(0), "cpu")
        x, y = batch(samples + offset, task)
        with tracer.trace(learner, (x, y)):
            learner.train_step(x, y) if phase == "train" else learner.predict(x)
    (found,) = [row.value for row in tracer.readings() if (row.quantity, row.channel) == ("memory_peak", "batch")]
    return found


def test_published_net_needs_six_maps():
    """784-2000x4: normalised input, activity and signal of 2N rows."""
    torch.set_default_dtype(torch.float32)
    task = Task("classification", (784,), 10)
    tracer = LiveTensors()
    for samples in (100, 101):
        learner = FF([2000] * 4, optimizer={"name": "sgd"})
        learner.setup(task, torch.Generator().manual_seed(0), "cpu")
        x, y = batch(samples, task)
        with tracer.trace(learner, (x, y)):
            learner.train_step(x, y)
    (found,) = [row.value for row in tracer.readings() if (row.quantity, row.channel) == ("memory_peak", "batch")]
    assert 6 * 100 * 8000 <= found < 1.02 * 6 * 100 * 8000


def test_resnet_keeps_four_maps_of_its_first_block():
    """Layer 3: its normalised input, its activity, its signal, and the block's input that the sum still reads; 2N rows."""
    task = networks.named_tasks()["resnet8"]
    minimum = 4 * 2 * 4 * 16 * 32 * 32 * 8
    assert minimum <= peak(FF("resnet8", optimizer={"name": "sgd"}), task, 4) < 1.1 * minimum


def test_labels_are_scored_in_parts_that_keep_maps_small(monkeypatch):
    x, _ = batch(4)
    whole = ready(FF(NETS["residual"])).predict(x).scores
    many = peak(FF(NETS["residual"]), MAPS, 4, "infer")
    monkeypatch.setattr(normalised, "TOGETHER", 1)
    torch.testing.assert_close(ready(FF(NETS["residual"])).predict(x).scores, whole, rtol=1e-12, atol=0)
    assert peak(FF(NETS["residual"]), MAPS, 4, "infer") < 0.4 * many


# --- what does not fit, and what is learned ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [FF, FFMpezeshki])
def test_refusals(rule):
    assert rule([5]).refuses(Task("reconstruction", (4,))) is None
    assert "first 3 input values" in rule([5]).refuses(Task("classification", (2,), 3))
    assert FF([5], label_as="pattern").refuses(Task("classification", (2,), 3)) is None
    assert "unknown label_as" in FF([5], label_as="patern").refuses(MAPS)
    assert "has none" in rule([{"kind": "flatten"}]).refuses(MAPS)
    assert "expected a number or max" in rule([5], label_amplitude="most").refuses(MAPS)
    assert "blurs" in rule([5], blurs=0).refuses(MAPS)
    with pytest.raises(FobenchError, match="did you mean 'linear'"):
        rule([5], weight_init="liner").setup(MAPS, torch.Generator(), "cpu")


def stripes(samples, seed):
    """Maps with a stripe in one of three columns."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (samples,), generator=generator)
    x = 0.5 * torch.randn(samples, 1, 8, 8, generator=generator)
    x[torch.arange(samples), 0, :, 2 * y + 1] += 1.5
    return x, y


LABELS = {"first-values": {"label_amplitude": 10.0}, "pattern": {"label_as": "pattern"}}


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("seed", range(3))
def test_a_residual_net_learns_in_every_seed(seed, label):
    torch.set_default_dtype(torch.float32)
    net = [
        conv(8, stride=2, padding="same"), conv(8, padding=1), conv(8, padding=1, activate=False), add(0, activate=True),
        conv(16, stride=2, padding="same"), conv(16, padding=1),
    ]  # fmt: skip
    task = Task("classification", (1, 8, 8), 3)
    learner = FF(net, goodness_of="mean", optimizer={"name": "adam", "eta": 0.01}, **LABELS[label])
    learner.setup(task, torch.Generator().manual_seed(seed), "cpu")
    x, y = stripes(600, 7)
    untrained = float((learner.predict(x).scores.argmax(1) != y).double().mean())
    for number in range(150):
        learner.train_step(*stripes(40, 1000 + number))
    assert float((learner.predict(x).scores.argmax(1) != y).double().mean()) < 0.3 < untrained


@pytest.mark.parametrize(("rule", "eta"), [(FF, 0.01), (FFMpezeshki, 0.03)])
def test_separable_classes_are_learned(rule, eta):
    learner = rule([24, 20], optimizer={"name": "adam", "eta": eta})
    learner.setup(Task("classification", (14,), 3), torch.Generator().manual_seed(0), "cpu")
    assert train(learner, epochs=15) < 0.1
