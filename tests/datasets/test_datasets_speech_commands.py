import hashlib
import io
import tarfile

import numpy as np
import pytest
from file_server import serve
from learnable import nearest_mean_error
from wav_files import wav_bytes

from fobench.contracts import DatasetError, Origin
from fobench.datasets import sound_model, speech_commands
from fobench.datasets.fetch import Download
from fobench.datasets.mel import mfcc
from fobench.datasets.speech_archive import CLASSES, read_archive, speaker
from fobench.datasets.speech_commands import COUNTS, TEST, TEST_SUBSET, WHOLE, SpeechCommands


def sound(number, length=16_000):
    return np.random.default_rng(number).integers(-8000, 8000, length).astype(np.int16)


def packed(files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, bytes_ in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(bytes_)
            tar.addfile(member, io.BytesIO(bytes_))
    return content.getvalue()


def test_set(per_class):
    files = {"LICENSE": b"CC BY 4.0"}
    for label, name in enumerate(CLASSES):
        for number in range(per_class):
            clip = f"{number:08x}_nohash_0.wav"
            clip = f"{number}.wav" if name == "_silence_" else f"bird_{clip}" if name == "_unknown_" else clip
            files[f"{name}/{clip}"] = wav_bytes(sound(100 * label + number))
    return packed(files)


test_set.__test__ = False

WHOLE_SET = packed(
    {
        "./right/0a_nohash_0.wav": wav_bytes(sound(0)),
        "./right/0b_nohash_0.wav": wav_bytes(sound(1, 9_000)),
        "./bird/0c_nohash_1.wav": wav_bytes(sound(2)),
        "./bird/0d_nohash_0.wav": wav_bytes(sound(3)),
        "./_background_noise_/running_tap.wav": wav_bytes(sound(4, 32_000)),
        "./_background_noise_/pink_noise.wav": wav_bytes(sound(5, 48_001)),
        "./_background_noise_/README.md": b"noise",
        "./validation_list.txt": b"right/0b_nohash_0.wav\n",
        "./testing_list.txt": b"bird/0d_nohash_0.wav\n",
    }
)


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """The two archives, small, fetched from a server as if they were the published ones."""
    contents = {WHOLE.name: WHOLE_SET, TEST.name: test_set(2)}
    for constant, name in (("WHOLE", WHOLE.name), ("TEST", TEST.name)):
        checksum = f"sha256:{hashlib.sha256(contents[name]).hexdigest()}"
        monkeypatch.setattr(speech_commands, constant, Download(name, checksum))
    with serve(contents) as server:
        SpeechCommands().fetch(tmp_path, server.url)
    return tmp_path


def features(samples):
    padded = np.zeros(16_000)
    padded[: len(samples)] = samples / samples.max()
    return mfcc(padded[None], 16_000)[0]


def test_published_lists_make_the_splits(fetched):
    assert SpeechCommands().missing(fetched) is None
    splits = SpeechCommands(raw=True).load(fetched)
    assert splits.origin == Origin.REAL
    # a piece of noise every half second as long as more than a second is left: 0, 0.5, 1, 1.5, 2 s of 3 s; 0, 0.5 s of 2 s
    right, silence, unknown = (CLASSES.index(name) for name in ("right", "_silence_", "_unknown_"))
    assert splits.train.y.tolist() == [right, unknown] + [silence] * 5
    assert splits.valid.y.tolist() == [right] + [silence] * 2
    assert splits.test.y.bincount().tolist() == [2] * 12
    expected = [features(sound(0)), features(sound(2)), features(sound(5, 48_001)[:16_000])]
    assert np.abs(splits.train.x[:3, 0].numpy() - expected).max() < 1e-3
    assert np.abs(splits.valid.x[0, 0].numpy() - features(sound(1, 9_000))).max() < 1e-3
    assert np.abs(splits.valid.x[2, 0].numpy() - features(sound(4, 32_000)[8_000:24_000])).max() < 1e-3


def test_each_coefficient_is_standardized_by_its_training_moments(fetched):
    raw, standardized = (SpeechCommands(raw=raw).load(fetched) for raw in (True, False))
    mean, deviation = (moment(raw.train.x.double().numpy(), (0, 1, 2)) for moment in (np.mean, np.std))
    expected = (raw.valid.x.numpy() - mean) / deviation
    assert np.abs(standardized.valid.x.numpy() - expected).max() < 1e-4


@pytest.mark.parametrize("name", [WHOLE.name, TEST.name])
def test_changed_archive_is_refused(fetched, name):
    path = fetched / "speech_commands" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=rf"{name} has other bytes than the published .*fobench data fetch"):
        SpeechCommands().load(fetched)


def test_missing_archives_are_named(fetched):
    (fetched / "speech_commands" / TEST.name).unlink()
    sentence = SpeechCommands().missing(fetched)
    assert f"speech-commands: {TEST.name} not found in {fetched}" in sentence
    assert "`fobench data fetch speech-commands" in sentence
    with pytest.raises(DatasetError, match="not found"):
        SpeechCommands().load(fetched)


@pytest.mark.parametrize("name", [TEST.name, TEST_SUBSET])
def test_test_archive_alone_is_an_extract_split_by_speaker(tmp_path, name):
    (tmp_path / "speech_commands").mkdir()
    path = tmp_path / "speech_commands" / name
    path.write_bytes(test_set(10))
    assert SpeechCommands().missing(tmp_path) is None
    splits = SpeechCommands().load(tmp_path)
    assert (splits.origin, splits.valid) == (Origin.EXTRACT, None)
    assert len(splits.train.y) + len(splits.test.y) == 120
    # speaker 0 to 9 say all words, so a split by speaker has the same number of each
    assert len(set(splits.test.y.bincount()[:10].tolist())) == 1
    assert set(splits.checksums) == {f"speech_commands/{name}"}
    path.write_bytes(test_set(1))
    with pytest.raises(DatasetError, match="too few clips or speakers"):
        SpeechCommands().load(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read as a tar archive"),
        (test_set(2)[:-3000], "cannot be read as a tar archive"),
        (packed({"yes/a.txt": b"x"}), "has no wav files"),
        (packed({"yes/a.wav": b"x"}), "yes/a.wav in"),
        (packed({"yes/a.wav": wav_bytes(sound(0), rate=8_000)}), "at 8000 Hz"),
    ],
)
def test_broken_archives_are_refused(tmp_path, content, words):
    (tmp_path / "speech_commands").mkdir()
    path = tmp_path / "speech_commands" / TEST_SUBSET
    path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        SpeechCommands().load(tmp_path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "delete it and run `fobench data fetch speech-commands" in str(caught.value)


def test_silence_of_zeros_stays_zero(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(packed({"_silence_/1.wav": wav_bytes(np.zeros(16_000))}))
    clips = read_archive(tmp_path / "a.tar.gz", "")
    assert clips.x == pytest.approx(mfcc(np.zeros((1, 16_000)), 16_000), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("yes/0ab3b47d_nohash_2.wav", "0ab3b47d"),
        ("_unknown_/bed_0ab3b47d_nohash_0.wav", "0ab3b47d"),
        ("_silence_/17.wav", "_silence_/17.wav"),
    ],
)
def test_speakers(name, who):
    assert speaker(name) == who


def test_other_bytes_are_not_fetched(tmp_path):
    with serve({WHOLE.name: b"x", TEST.name: b"x"}) as server, pytest.raises(DatasetError, match="other bytes"):
        SpeechCommands().fetch(tmp_path, server.url)
    assert SpeechCommands().missing(tmp_path)


def test_counts_add_up_to_the_published_ones():
    # Warden 2018 and the splits of MLPerf Tiny: 84,843 + 668, 9,981 + 121, 4,890; and of each word in all, for three words
    assert [sum(COUNTS[part]) for part in ("train", "valid", "test")] == [85_511, 10_102, 4_890]
    totals = dict(zip(CLASSES, np.sum(list(COUNTS.values()), 0), strict=True))
    assert [totals[word] for word in ("yes", "no", "stop")] == [4044, 3941, 3872]


def test_surrogate_has_these_counts(monkeypatch):
    tenth = {part: tuple(count // 10 for count in counts) for part, counts in COUNTS.items()}
    monkeypatch.setattr(speech_commands, "COUNTS", tenth)
    splits = SpeechCommands().surrogate()
    for part in COUNTS:
        assert getattr(splits, part).y.bincount().tolist() == list(tenth[part])
    assert splits.test.x.shape[1:] == SpeechCommands().task.input_shape
    assert splits.origin == Origin.SURROGATE
    assert nearest_mean_error(splits) < 0.3


def test_words_of_a_class_share_their_pattern():
    maps = sound_model.words(np.repeat([0, 1], 2000), 49, 10, np.random.default_rng(0))[:, 0]
    assert maps.std() == pytest.approx(1, abs=0.15)
    halves = [maps[first : first + 1000].mean(0).ravel() for first in (0, 1000, 2000)]
    assert np.corrcoef(halves)[0, 1] > 0.98
    assert abs(np.corrcoef(halves)[0, 2]) < 0.6


@pytest.mark.real_data
def test_real_extract(real_root):
    splits = SpeechCommands().load(real_root)
    assert splits.origin == Origin.EXTRACT
    assert (splits.train.y.bincount() + splits.test.y.bincount()).tolist() == [50] * 12
    assert len(splits.test.y) >= 120
    assert splits.train.x.shape[1:] == (1, 49, 10)
    path = real_root / "speech_commands" / TEST_SUBSET
    names = read_archive(path, "").names
    assert len({speaker(str(name)) for name in names if not name.startswith("_silence_")}) == 174
    # real words are told apart much better than chance (11 of 12 wrong)
    assert nearest_mean_error(splits) < 0.75
