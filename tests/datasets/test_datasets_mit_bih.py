import shutil
from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import resample_poly

from fobench.contracts import DatasetError, Origin
from fobench.datasets.mit_bih import MITBIH, by_record, cut, median_intervals, resampled
from fobench.datasets.mitdb_beats import AAMI, BEATS, DS1, DS2
from fobench.datasets.wfdb_record import Record, read_record

# Counts of N, S, V, F, Q in the literature (de Chazal et al. 2004), and of all 48 records.
ALL_COUNTS = [90631, 2781, 7236, 803, 8043]
DS1_COUNTS = [45866, 944, 3788, 415, 8]
DS2_COUNTS = [44259, 1837, 3221, 388, 7]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:wfdb")


def counts(split):
    return split.y.bincount(minlength=5).numpy()


def slow_beat(signal, r_samples, number):
    """One beat at 125 Hz by the words of the procedure."""
    segment = r_samples[number] // 3600
    ours = [r for r in r_samples if r // 3600 == segment]
    gaps = np.diff(ours) if len(ours) > 1 else np.diff(r_samples)
    start = round(r_samples[number] * 125 / 360)
    beat = signal[start : start + round(Fraction(float(np.median(gaps))) * Fraction(12, 10) * Fraction(125, 360))]
    span = beat.max() - beat.min()
    beat = (beat - beat.min()) / span if span > 0 else beat * 0
    return np.pad(beat, (0, max(0, 187 - len(beat))))[:187]


def test_beats_of_the_literature():
    assert sum(map(sum, BEATS.values())) == 109_494
    assert np.sum(list(BEATS.values()), 0).tolist() == ALL_COUNTS
    assert np.sum([BEATS[record] for record in DS1], 0).tolist() == DS1_COUNTS
    assert np.sum([BEATS[record] for record in DS2], 0).tolist() == DS2_COUNTS
    assert (sum(DS1_COUNTS), sum(DS2_COUNTS)) == (51_021, 49_712)


def test_halves_share_no_record_and_leave_out_the_paced_ones():
    assert len(DS1) == len(DS2) == 22
    assert set(BEATS) - set(DS1) - set(DS2) == {"102", "104", "107", "217"}


def test_every_beat_symbol_has_its_class():
    by_class = ["".join(symbol for symbol in AAMI if AAMI[symbol] == label) for label in range(5)]
    assert by_class == ["NLRej", "AaJS", "VE", "F", "/fQ"]


def test_cutting_agrees_with_a_loop_over_beats():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=360 * 45).cumsum().astype(np.float32)
    # the fourth 10 s have one beat only, the rates differ, and the last beat runs out of the record
    r_samples = np.array([3, 300, 640, 900, 3700, 4900, 6300, 7300, 7500, 7800, 11000, 14500, 15000, 15900, 16195])
    beats = cut(Record(signal, r_samples, ("N",) * 15), r_samples)
    resampled_signal = resample_poly(signal, 25, 72)
    for number in range(len(r_samples)):
        assert beats[number] == pytest.approx(slow_beat(resampled_signal, r_samples, number), abs=1e-5)
    assert beats.shape == (15, 187)


def test_median_interval_of_ten_seconds():
    # 0-10 s: intervals 100, 200, 400; 10-20 s: one beat, so the median of all five intervals; 20-30 s: 300
    r_samples = np.array([0, 100, 300, 700, 5000, 7300, 7600])
    assert median_intervals(r_samples).tolist() == [200, 200, 200, 200, 350, 300, 300]


def test_inter_split_keeps_every_record_on_one_side():
    record_of = np.repeat(list(BEATS), [sum(classes) for classes in BEATS.values()])
    parts = [set(record_of[part]) for part in by_record(record_of, np.random.default_rng(3))]
    train, valid, test = parts
    assert train | valid == set(DS1)
    assert not train & valid
    assert len(valid) == 2
    assert test == set(DS2)


def test_resampling_equalises_and_keeps_the_total():
    labels = np.repeat(np.arange(5), [500, 30, 40, 20, 10])
    train = np.arange(0, 600, 2)
    drawn = resampled(train, labels, np.random.default_rng(0))
    assert np.bincount(labels[drawn]).tolist() == [60] * 5
    assert set(drawn) <= set(train)
    common = drawn[labels[drawn] == 0]
    assert len(set(common)) == len(common)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "intr"}, "did you mean 'int"),
        ({"balance": "equal"}, "expected one of: none, resample"),
        ({"crop": 188}, "a beat has 187 values"),
        ({"crop": 0}, "expected 1 to 187"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(DatasetError, match=words):
        MITBIH(**options)


def test_missing_files_are_counted_and_the_command_named(tmp_path):
    assert "144 of 144 files not found" in MITBIH().missing(tmp_path)
    assert "`fobench data fetch mit-bih" in MITBIH().missing(tmp_path)
    with pytest.raises(DatasetError, match="144 of 144"):
        MITBIH().load(tmp_path)


@pytest.mark.parametrize("split", ["intra", "inter"])
@pytest.mark.parametrize("balance", ["none", "resample"])
def test_surrogate_has_the_counts_that_the_split_gives(split, balance):
    splits = MITBIH(split, balance, crop=169).surrogate()
    assert splits.origin == Origin.SURROGATE
    assert splits.train.x.shape[1:] == splits.test.x.shape[1:] == MITBIH(crop=169).task.input_shape == (169,)
    beats = np.array(ALL_COUNTS if split == "intra" else DS1_COUNTS)
    if split == "intra":
        assert np.abs(counts(splits.test) - 0.2 * beats).max() <= 0.5
        assert np.abs(counts(splits.valid) - 0.08 * beats).max() <= 1
        beats = beats - counts(splits.test)
    else:
        assert counts(splits.test).tolist() == DS2_COUNTS
    natural = beats - counts(splits.valid)
    expected = [natural.sum() // 5] * 5 if balance == "resample" else natural
    assert counts(splits.train).tolist() == list(expected)


# --- the real records -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def intra(real_root):
    return MITBIH().load(real_root)


@pytest.mark.real_data
def test_real_intra_split(intra):
    assert intra.origin == Origin.REAL
    assert len(intra.checksums) == 144
    total = counts(intra.train) + counts(intra.valid) + counts(intra.test)
    assert total.tolist() == ALL_COUNTS
    assert np.abs(counts(intra.test) - 0.2 * total).max() <= 0.5
    assert intra.train.x.shape[1:] == (187,)
    made = MITBIH().surrogate()
    for name in ("train", "valid", "test"):
        assert counts(getattr(made, name)).tolist() == counts(getattr(intra, name)).tolist()


@pytest.mark.real_data
def test_real_beats_are_scaled_and_start_high(intra):
    assert (intra.test.x.min(), intra.test.x.max()) == (0, 1)
    for extreme, value in ((intra.test.x.amin(1), 0), (intra.test.x.amax(1), 1)):
        assert (extreme == value).float().mean() > 0.99  # else a slow beat was cut before its extreme
    normal = intra.test.x[intra.test.y == 0].mean(0)
    assert normal[0] == normal.max()  # a beat starts at its R peak
    assert (intra.test.x[:, -1] == 0).float().mean() > 0.9  # zero-padded: most beats last less than 1.5 s


@pytest.mark.real_data
def test_real_inter_split(real_root):
    splits = MITBIH("inter", balance="resample", crop=169).load(real_root)
    assert counts(splits.test).tolist() == DS2_COUNTS
    share = (sum(DS1_COUNTS) - len(splits.valid.y)) // 5
    assert counts(splits.train).tolist() == [share] * 5
    assert splits.train.x.shape[1:] == (169,)
    assert len(splits.checksums) == 132


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "lead"), [("100", "MLII"), ("114", "MLII"), ("207", "MLII"), ("102", None)])
def test_real_beats_agree_with_the_loop(real_root, name, lead):
    record = read_record(real_root / "mitdb" / name, lead, 360, "")
    r_samples = np.array([s for s, symbol in zip(record.samples, record.symbols, strict=True) if symbol in AAMI])
    beats = cut(record, r_samples)
    signal = resample_poly(record.signal, 25, 72)
    for number in [*range(0, len(r_samples), 97), len(r_samples) - 1]:
        assert beats[number] == pytest.approx(slow_beat(signal, r_samples, number), abs=1e-5)


@pytest.mark.real_data
def test_real_annotations_with_other_counts_are_refused(real_root, tmp_path):
    shutil.copytree(real_root / "mitdb", tmp_path / "mitdb", copy_function=lambda a, b: shutil.copy(a, b))
    shutil.copy(real_root / "mitdb/101.atr", tmp_path / "mitdb/100.atr")
    with pytest.raises(
        DatasetError, match=r"100\.atr holds \(1860, 3, 0, 0, 2\) beats .* expected \(2239, 33, 1, 0, 0\)"
    ):
        MITBIH().load(tmp_path)
    (tmp_path / "mitdb/100.atr").unlink()
    assert "1 of 144 files not found" in MITBIH().missing(tmp_path)
    with pytest.raises(DatasetError, match=r"100\.atr"):
        MITBIH().load(tmp_path)
