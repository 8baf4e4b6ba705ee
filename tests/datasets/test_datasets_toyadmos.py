import hashlib
import io
import zipfile

import numpy as np
import pytest
import torch
from file_server import serve
from wav_files import wav_bytes

from fobench.contracts import DatasetError, Origin
from fobench.datasets import toyadmos
from fobench.datasets.fetch import Download
from fobench.datasets.mel import log_mel
from fobench.datasets.toyadmos import PUBLISHED, ToyADMOS, stack

CLIPS = [
    "train/normal_id_01_00000000",
    "train/normal_id_02_00000000",
    "test/normal_id_01_00000000",
    "test/anomaly_id_01_00000000",
    "test/anomaly_id_01_00000001",
]


def sound(number, length=176_000):
    return np.random.default_rng(number).normal(0, 1000 * (number + 1), length).astype(np.int16)


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as container:
        for number, name in enumerate(CLIPS):
            container.writestr(f"ToyCar/{name}.wav", wav_bytes(sound(number)))
    download = Download(toyadmos.ARCHIVE.name, f"md5:{hashlib.md5(content.getvalue()).hexdigest()}")
    monkeypatch.setattr(toyadmos, "ARCHIVE", download)
    with serve({download.name: content.getvalue()}) as server:
        ToyADMOS().fetch(tmp_path, server.url)
    return tmp_path


def test_five_frames_of_the_middle_of_each_clip(fetched):
    assert ToyADMOS().missing(fetched) is None
    splits = ToyADMOS(raw=True).load(fetched)
    assert (splits.train.x.shape, splits.test.x.shape) == ((392, 640), (588, 640))
    assert splits.test.y.tolist() == [0] * 196 + [1] * 392
    assert (splits.origin, splits.valid) == (Origin.EXTRACT, None)
    # vector 7 of the second training clip: frames 57 to 61, frame t having 512 samples on each side of sample 512 t
    frames = [log_mel(sound(1)[512 * t - 512 : 512 * t + 512] / 32768, 16_000)[0] for t in range(50 + 7, 50 + 7 + 5)]
    assert splits.train.x[196 + 7].numpy() == pytest.approx(np.concatenate(frames), abs=1e-4)
    last = log_mel(sound(4)[512 * 248 : 512 * 250] / 32768, 16_000)[0]
    assert splits.test.x[-1, 512:].numpy() == pytest.approx(last, abs=1e-4)


def test_standardized_by_the_training_moments(fetched):
    raw, standardized = (ToyADMOS(raw=raw).load(fetched) for raw in (True, False))
    mean, deviation = raw.train.x.double().mean(), raw.train.x.double().std(correction=0)
    for part in ("train", "test"):
        expected = (getattr(raw, part).x - mean) / deviation
        assert (getattr(standardized, part).x - expected).abs().max() < 1e-4


def test_missing_kinds_of_clips_are_named(fetched):
    (fetched / "toyadmos/ToyCar/test/normal_id_01_00000000.wav").unlink()
    sentence = ToyADMOS().missing(fetched)
    assert f"toyadmos: test/normal_id_*.wav not found in {fetched}" in sentence
    assert "`fobench data fetch toyadmos" in sentence
    with pytest.raises(DatasetError, match="not found"):
        ToyADMOS().load(fetched)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (wav_bytes(sound(0))[:-2], "has 175999 samples, its header says 176000"),
        (wav_bytes(sound(0, 127_999)), "has 127999 samples, expected 128000 or more"),
        (b"RIFF", "cannot be read as a wav file"),
    ],
)
def test_broken_clips_are_refused(fetched, content, words):
    path = fetched / "toyadmos/ToyCar/train/normal_id_02_00000000.wav"
    path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        ToyADMOS().load(fetched)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_other_bytes_are_not_fetched(tmp_path):
    with serve({toyadmos.ARCHIVE.name: b"PK"}) as server, pytest.raises(DatasetError, match="other bytes"):
        ToyADMOS().fetch(tmp_path, server.url)
    assert ToyADMOS().missing(tmp_path)


def test_numbers_of_the_published_clips():
    # DCASE 2020 Task 2: four toy cars, 1,000 clips each to train on; 614 + 3 x 615 to test on, 350 of each normal
    assert PUBLISHED["train", "normal"] == 4 * 1000
    assert PUBLISHED["test", "normal"] == 4 * 350
    assert PUBLISHED["test", "anomaly"] == 264 + 3 * 265


def test_stacked_frames_follow_one_another():
    frames = np.arange(7)[:, None] * 10 + np.arange(2)
    assert stack(frames).reshape(3, 10)[1].tolist() == [10, 11, 20, 21, 30, 31, 40, 41, 50, 51]


def test_reconstruction_of_the_surrogate_tells_the_abnormal():
    splits = ToyADMOS().surrogate()
    assert (splits.origin, splits.train.y.any()) == (Origin.SURROGATE, False)
    assert splits.test.x.shape[1:] == ToyADMOS().task.input_shape
    assert splits.train.x.mean().item() == pytest.approx(0, abs=1e-3)
    # what eight principal components do not explain, as many as the auto-encoder's bottleneck has units
    x = splits.train.x[:4000]
    directions = torch.linalg.eigh(x.T @ x).eigenvectors[:, -8:]
    residual = (splits.test.x - splits.test.x @ directions @ directions.T).square().mean(1)
    normal, abnormal = residual[splits.test.y == 0], residual[splits.test.y == 1]
    assert (abnormal[:, None] > normal).double().mean() > 0.85


@pytest.mark.real_data
def test_real_clips_of_the_test_part_alone_are_not_enough(real_root):
    sentence = ToyADMOS().missing(real_root)
    assert "toyadmos: train/normal_id_*.wav not found" in sentence


@pytest.mark.real_data
def test_vectors_of_the_real_clips(real_root):
    paths = sorted((real_root / "toyadmos/ToyCar/test").glob("*.wav"))
    vectors = toyadmos._read(real_root, paths)
    assert vectors.shape == (2 * 196, 640)
    # consecutive vectors share four frames
    assert np.array_equal(vectors[1:196, :512], vectors[:195, 128:])
    assert np.isfinite(vectors).all()
