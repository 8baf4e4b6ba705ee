import numpy as np
import pytest
from wav_files import wav_bytes

from fobench.contracts import DatasetError
from fobench.datasets.wav import read_wav

SAMPLES = np.array([0, 1, -1, 32767, -32768])


def test_samples_of_a_file_and_of_bytes(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav_bytes(SAMPLES))
    assert read_wav(tmp_path / "a.wav", "a.wav", "").tolist() == SAMPLES.tolist()
    assert read_wav(wav_bytes(SAMPLES), "a.wav", "").tolist() == SAMPLES.tolist()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read as a wav file"),
        (b"RIFF", "cannot be read as a wav file"),
        (b"x" * 100, "cannot be read as a wav file"),
        (wav_bytes(SAMPLES)[:-4], "has 3 samples, its header says 5"),
        (wav_bytes(SAMPLES)[:-3], "has 3 samples, its header says 5"),
        (wav_bytes(SAMPLES, rate=8_000), "1 channels of 16 bits at 8000 Hz, expected 1 of 16 bits at 16000 Hz"),
        (wav_bytes(SAMPLES[:4], channels=2), "2 channels of 16 bits"),
    ],
)
def test_other_files_are_refused(content, words):
    with pytest.raises(DatasetError) as caught:
        read_wav(content, "b.wav", "fetch it again")
    assert words in str(caught.value)
    assert str(caught.value).startswith("b.wav ")
    assert str(caught.value).endswith("; fetch it again")
