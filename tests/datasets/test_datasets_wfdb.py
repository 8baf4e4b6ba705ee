import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fobench.contracts import DatasetError
from fobench.datasets.wfdb_record import read_record

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:wfdb")

LENGTH = 3600
BEATS = [10, 300, 620, 3000]


@pytest.fixture
def stem(tmp_path):
    """A record of two leads in format 212, with annotations, as wfdb itself writes it."""
    rng = np.random.default_rng(0)
    digital = rng.integers(-2000, 2000, (LENGTH, 2))
    wfdb.wrsamp(
        "900", 360, ["mV", "mV"], ["V5", "MLII"], d_signal=digital, fmt=["212", "212"], adc_gain=[200, 200],
        baseline=[0, 0], write_dir=str(tmp_path),
    )  # fmt: skip
    wfdb.wrann("900", "atr", np.array(BEATS), ["N", "V", "+", "A"], write_dir=str(tmp_path))
    np.save(tmp_path / "digital.npy", digital)
    return tmp_path / "900"


def refused(stem, lead="MLII"):
    with pytest.raises(DatasetError) as caught:
        read_record(stem, lead, 360, "delete it and run `fobench data fetch mit-bih`")
    assert str(caught.value).endswith("delete it and run `fobench data fetch mit-bih`")
    return str(caught.value)


def edit_header(stem, old, new):
    path = stem.with_suffix(".hea")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(("lead", "channel"), [("MLII", 1), ("V5", 0), (None, 0)])
def test_reads_the_lead_by_name_or_the_first(stem, lead, channel):
    record = read_record(stem, lead, 360, "")
    assert np.array_equal(record.signal, np.load(stem.with_name("digital.npy"))[:, channel])
    assert record.samples.tolist() == BEATS
    assert record.symbols == ("N", "V", "+", "A")


def test_header_with_a_wrong_checksum(stem):
    line = stem.with_suffix(".hea").read_text().splitlines()[2].split()
    edit_header(stem, f" {line[6]} 0 MLII", f" {int(line[6]) ^ 1} 0 MLII")
    assert "900.dat, signal 1: the samples add up to" in refused(stem)


def test_changed_sample_breaks_the_checksum(stem):
    path = stem.with_suffix(".dat")
    content = bytearray(path.read_bytes())
    content[3000] ^= 1
    path.write_bytes(content)
    assert "modulo 2^16" in refused(stem)


def test_header_with_a_wrong_first_value(stem):
    line = stem.with_suffix(".hea").read_text().splitlines()[1].split()
    edit_header(stem, f" {line[5]} {line[6]} 0 V5", f" {int(line[5]) + 1} {line[6]} 0 V5")
    assert "first sample" in refused(stem)


def test_header_with_a_wrong_number_of_samples(stem):
    edit_header(stem, f"360 {LENGTH}", f"360 {LENGTH + 100}")
    assert "900.dat has 10800 bytes, but its header says 3700 samples of 2 signals, which is 11100" in refused(stem)


def test_header_with_another_rate(stem):
    edit_header(stem, "900 2 360", "900 2 250")
    assert "says 250 Hz" in refused(stem)


def test_header_with_another_format(stem):
    edit_header(stem, "900.dat 212", "900.dat 16")
    assert "format 16" in refused(stem)


def test_header_that_points_to_another_file(stem):
    edit_header(stem, "900.dat", "901.dat")
    assert "in 901.dat" in refused(stem)


def test_missing_lead(stem):
    edit_header(stem, "MLII", "V1")
    assert "names the leads V5, V1, expected MLII among them" in refused(stem)


@pytest.mark.parametrize("text", ["", "nonsense", "900 2 360\n", "900 2 360 3600\n900.dat 212\n900.dat 212\n"])
def test_header_without_its_fields(stem, text):
    stem.with_suffix(".hea").write_text(text)
    assert "900.hea is not a WFDB header" in refused(stem)


def test_truncated_signal(stem):
    path = stem.with_suffix(".dat")
    path.write_bytes(path.read_bytes()[:5000])
    assert "900.dat has 5000 bytes" in refused(stem)


def test_truncated_annotations(stem):
    path = stem.with_suffix(".atr")
    path.write_bytes(path.read_bytes()[:-2])
    assert "900.atr is cut off" in refused(stem)


def test_annotation_outside_the_signal(stem):
    wfdb.wrann("900", "atr", np.array([10, LENGTH + 5]), ["N", "N"], write_dir=str(stem.parent))
    assert "outside the 3600 samples" in refused(stem)


def test_missing_files(stem):
    for suffix in (".atr", ".dat", ".hea"):
        stem.with_suffix(suffix).unlink()
        assert f"900{suffix}" in refused(stem)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_read_or_refused_in_one_sentence(stem, data):
    path = stem.with_suffix(data.draw(st.sampled_from([".hea", ".atr"])))
    whole = path.read_bytes()
    content = bytearray(whole)
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        record = read_record(stem, "MLII", 360, "FETCH")
        assert len(record.signal) == LENGTH
        assert len(record.samples) == len(record.symbols)
    except DatasetError as error:
        assert str(error).startswith(str(stem))
    finally:
        path.write_bytes(whole)
