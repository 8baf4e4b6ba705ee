"""The signal models of the surrogates: their closed forms, and that a small net learns their classes."""

import numpy as np
import pytest
import torch

from fobench.datasets import ecg_model, eeg_model
from fobench.datasets.chb_mit import CHBMIT
from fobench.datasets.digits import Digits
from fobench.datasets.mit_bih import MITBIH


def error_after_training(splits, samples, epochs):
    """Train a net of one hidden layer by backpropagation; return its error on the test split."""
    torch.manual_seed(0)
    x, y = splits.train.x[:samples].flatten(1), splits.train.y[:samples]
    net = torch.nn.Sequential(torch.nn.Linear(x.shape[1], 64), torch.nn.ReLU(), torch.nn.Linear(64, int(y.max()) + 1))
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(epochs):
        for start in range(0, len(x), 50):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[start : start + 50]), y[start : start + 50]).backward()
            optimizer.step()
    with torch.no_grad():
        return (net(splits.test.x.flatten(1)).argmax(1) != splits.test.y).double().mean().item()


@pytest.mark.parametrize(
    ("splits", "samples", "chance", "epochs"),
    [
        (lambda: Digits().surrogate(), 1438, 0.9, 5),
        (lambda: MITBIH("inter", "resample").surrogate(), 5000, 0.8, 2),
        (lambda: CHBMIT().surrogate(), 3000, 0.5, 2),
    ],
    ids=["images", "heartbeats", "eeg"],
)
def test_classes_are_learnable(splits, samples, chance, epochs):
    assert error_after_training(splits(), samples, epochs) < chance / 3


def test_same_seed_same_data_other_seed_other_data():
    first, again, other = (Digits(seed=seed).surrogate().train.x for seed in (0, 0, 1))
    assert first.equal(again)
    assert not first.equal(other)


def test_normal_beat_is_the_sum_of_five_gaussians():
    made = ecg_model.beats(np.zeros(4000, int), 187, np.random.default_rng(0))
    # heights a b^2 of table I: R 0.3, T 0.12, Q -0.05, S -0.075; the beat starts at R and meets T at a quarter of its cycle
    middle = np.median(made, 0)
    low = -0.075
    t_wave = middle[20:30].max()
    assert middle[0] == pytest.approx((0.3 - low) / (0.3 - low), abs=0.05)
    assert t_wave == pytest.approx((0.12 - low) / (0.3 - low), abs=0.05)
    assert np.argmax(middle[15:40]) + 15 == pytest.approx(25, abs=2)  # a quarter of 0.8 s at 125 Hz


def test_beats_last_a_fifth_longer_than_their_cycle_and_end_in_zeros():
    made = ecg_model.beats(np.arange(1000) % 5, 187, np.random.default_rng(0))
    lengths = 187 - (made[:, ::-1] != 0).argmax(1)
    assert np.mean(lengths) == pytest.approx(1.2 * 0.8 * 125, rel=0.02)
    assert made.min() == 0
    assert (made.max(1) == 1).all()


def test_unit_range():
    values = np.array([[2.0, 4.0, 9.0], [5.0, 5.0, 5.0]])
    inside = np.array([[True, True, False], [True, True, True]])
    assert ecg_model.unit_range(values, inside).tolist() == [[0, 1, 0], [0, 0, 0]]


def test_seizures_have_a_three_hertz_rhythm_and_background_falls_with_frequency():
    labels = np.repeat([0, 1], 200)
    made = eeg_model.windows(labels, np.random.default_rng(0)).reshape(400, 2, 512)
    power = (np.abs(np.fft.rfft(made)) ** 2).mean(1)
    frequencies = np.fft.rfftfreq(512, 1 / 128)
    background = power[:200].mean(0)
    octaves = [background[(frequencies >= low) & (frequencies < 2 * low)].mean() for low in (2, 4, 8, 16)]
    slopes = np.diff(np.log2(octaves))
    assert slopes == pytest.approx(np.full(3, -1.5), abs=0.25)  # gamma
    strongest = frequencies[power[200:].argmax(1)]
    assert np.median(strongest) == pytest.approx(3, abs=0.3)
    rms = [np.sqrt((made[labels == label] ** 2).mean(2)).mean() for label in (0, 1)]
    assert rms == pytest.approx([40, 96], rel=0.1)
