import numpy as np
import pytest
from chb_files import write_patient

from fobench.contracts import DatasetError, Origin
from fobench.datasets.chb_mit import CHBMIT, ICTAL_WINDOWS, PATIENTS
from fobench.datasets.chb_splits import leave_one_out, within_patients
from fobench.datasets.chb_summary import Recording, read_summary
from fobench.datasets.chb_windows import INTERICTAL, Windows, ictal_windows, interictal_starts

HOUR = 3600


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Four patients of three subjects: each three seizures, of 2, 3 and 5 windows, and a recording without any."""
    folder = tmp_path_factory.mktemp("data")
    for patient in (1, 3, 5, 21):
        recordings = [(HOUR, 200, [(101, 110), (180, 193)]), (2 * HOUR, 120, [(20, 40)]), (3 * HOUR, 100, [])]
        write_patient(folder, patient, recordings)
    return folder


FOUR = CHBMIT(patients=[1, 3, 5, 21])
LEFT_OUT = CHBMIT("leave-one-out", patient=1, patients=[1, 3, 5, 21])


@pytest.fixture(scope="module")
def windows(root):
    return FOUR.windows(root)


def test_task_is_known_without_files():
    assert (CHBMIT().task.input_shape, CHBMIT().task.classes) == ((1024,), 2)


def test_seizures_are_tiled_from_their_onset():
    recordings = [Recording("a", ((10, 22),)), Recording("b", ((5, 8), (100, 107)))]
    assert ictal_windows(recordings) == [("a", 10, 0), ("a", 14, 0), ("a", 18, 0), ("b", 100, 2)]


def test_interictal_windows_keep_a_minute_from_any_seizure():
    seizure = Recording("a", ((100, 140),), HOUR, HOUR + 400)
    starts = interictal_starts(seizure, [seizure], 400)
    assert starts == [*range(0, 37, 4), *range(200, 397, 4)]


def test_a_seizure_of_the_next_recording_counts_too():
    # the second recording begins 10 s after the first has ended, with a seizure from its second 20 on
    first, second = Recording("a", (), 0, 200), Recording("b", ((20, 60),), 210, 510)
    assert interictal_starts(first, [first, second], 200) == list(range(0, 167, 4))
    assert interictal_starts(second, [first, second], 300) == list(range(120, 297, 4))


def test_recordings_without_times_count_by_themselves():
    first, second = Recording("a", ()), Recording("b", ((0, 40),))
    assert len(interictal_starts(first, [first, second], 200)) == 50


def test_windows_are_balanced_and_hold_what_was_recorded(windows):
    assert len(windows.y) == 4 * 2 * (2 + 3 + 5)
    assert windows.y.mean() == 0.5
    assert windows.x[:, 0] == pytest.approx(windows.start, abs=0.1)
    assert windows.x[:, 512] == pytest.approx(-windows.start, abs=0.1)
    assert len({*zip(windows.patient, windows.recording, windows.start, strict=True)}) == len(windows.y)


def test_drawn_windows_are_far_from_seizures(windows):
    near = {"01": (41, 253), "02": (-40, 100), "03": (0, 0)}
    for name, start in zip(
        windows.recording[windows.seizure == INTERICTAL], windows.start[windows.seizure == INTERICTAL], strict=True
    ):
        low, high = near[name[-6:-4]]
        assert start + 4 <= low or start >= high


def test_within_split_keeps_whole_seizures_on_one_side(windows):
    for seed in range(5):
        train, valid, test = within_patients(windows, np.random.default_rng(seed))
        assert sorted([*train, *valid, *test]) == list(range(len(windows.y)))
        for patient in (1, 3, 5, 21):
            tested, trained = (
                set(windows.seizure[part][windows.patient[part] == patient]) - {INTERICTAL}
                for part in (test, np.concatenate([train, valid]))
            )
            assert tested
            assert trained
            assert not tested & trained
        assert windows.y[test].mean() == 0.5


@pytest.mark.parametrize(
    ("sizes", "tested"),
    [
        ((2, 3, 5), {0}),  # none fits into 0.94 windows: the shortest
        ((100, 8, 92), {1}),  # 18.9 windows: only one fits
        ((5, 195, 6, 4), {0, 2, 3}),  # 19.8 windows: three fit
    ],
)
def test_tested_seizures_fit_into_the_published_share(sizes, tested):
    seizure = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.full(sum(sizes), INTERICTAL)])
    same = np.ones(len(seizure), int)
    windows = Windows(same[:, None], same, seizure, same, same)
    for seed in range(5):
        test = within_patients(windows, np.random.default_rng(seed))[2]
        assert set(seizure[test]) == tested | {INTERICTAL}


def test_leave_one_out_never_trains_on_the_tested_subject(windows):
    for tested, unused in ((1, 21), (21, 1), (3, None)):
        for seed in range(5):
            train, valid, test = leave_one_out(windows.patient, tested, np.random.default_rng(seed))
            trained, validated = set(windows.patient[train]), set(windows.patient[valid])
            assert set(windows.patient[test]) == {tested}
            assert not {tested, unused} & (trained | validated)
            assert trained
            assert validated
            assert not trained & validated
            assert len({1, 21} & trained) != 1 or tested in (1, 21)  # both cases of a subject together


def test_load_standardises_by_the_training_part(root):
    splits, raw = FOUR.load(root), CHBMIT(patients=[1, 3, 5, 21], raw=True).load(root)
    assert splits.train.x.mean().item() == pytest.approx(0, abs=1e-5)
    assert splits.train.x.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    mean, deviation = raw.train.x.double().mean(), raw.train.x.double().std(correction=0)
    assert splits.test.x.numpy() == pytest.approx(((raw.test.x.double() - mean) / deviation).numpy(), abs=1e-4)
    assert splits.test.y.equal(raw.test.y)


def test_fewer_than_all_patients_are_an_extract(root):
    splits = LEFT_OUT.load(root)
    assert splits.origin == Origin.EXTRACT
    assert set(splits.checksums) == {f"chbmit/chb{patient:02d}" for patient in (1, 3, 5, 21)}
    assert len(splits.test.y) == 20


def test_missing_says_what_is_there_and_the_command(root, tmp_path):
    assert FOUR.missing(root) is None
    assert "summaries of 17 of 21 patients" in CHBMIT().missing(root)
    assert "there: chb01, chb03, chb05, chb21" in CHBMIT().missing(root)
    assert "`fobench data fetch chb-mit" in CHBMIT().missing(root)
    assert "--patients 2" in CHBMIT(patients=[2]).missing(root)
    with pytest.raises(DatasetError, match="summaries of 21 of 21"):
        CHBMIT().load(tmp_path)


def test_missing_recording_is_named(tmp_path):
    write_patient(tmp_path, 2, [(0, 200, [(20, 40), (60, 80)]), (300, 300, [])])
    dataset = CHBMIT(patients=[2])
    assert dataset.missing(tmp_path) is None
    (tmp_path / "chbmit/chb02/chb02_02.edf").unlink()
    assert "1 of 2 recordings not found" in dataset.missing(tmp_path)
    assert "chb02/chb02_02.edf" in dataset.missing(tmp_path)


def test_one_seizure_is_refused(tmp_path):
    write_patient(tmp_path, 2, [(0, 200, [(20, 60)]), (HOUR, 200, [])])
    assert "one seizure cannot be split without leakage" in CHBMIT(patients=[2]).missing(tmp_path)
    with pytest.raises(DatasetError, match=r"1 seizure\(s\) of at least 4 s, the split needs 2"):
        CHBMIT(patients=[2]).load(tmp_path)


def test_too_few_quiet_windows_are_refused(tmp_path):
    write_patient(tmp_path, 2, [(0, 200, [(20, 60), (100, 140)])])
    with pytest.raises(DatasetError, match="0 windows 60 s away from any seizure, but 20 in seizures"):
        CHBMIT(patients=[2]).load(tmp_path)


def test_seizure_past_the_end_of_its_recording(tmp_path):
    write_patient(tmp_path, 2, [(0, 100, [(20, 60), (70, 104)]), (HOUR, 300, [])])
    with pytest.raises(DatasetError, match=r"chb02_01.edf lasts 100 s, but the summary has a seizure outside"):
        CHBMIT(patients=[2]).load(tmp_path)


def test_broken_summary_is_one_sentence(tmp_path):
    write_patient(tmp_path, 2, [(0, 8, [])])
    (tmp_path / "chbmit/chb02/chb02-summary.txt").write_text("nothing")
    assert "lists no recording" in CHBMIT(patients=[2]).missing(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "leave_one_out"}, "did you mean 'leave-one-out'"),
        ({"patients": []}, "patients: none"),
        ({"patients": [1, 6]}, r"patients: \[6\]"),
        ({"split": "leave-one-out"}, "name the one to test on"),
        ({"patient": 3}, "and only then"),
        ({"split": "leave-one-out", "patient": 14}, "patient: 14"),
        ({"split": "leave-one-out", "patient": 1, "patients": [1, 21, 3]}, "three subjects"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(DatasetError, match=words):
        CHBMIT(**options)


def test_surrogate_has_the_published_sizes():
    splits = CHBMIT().surrogate()
    assert splits.origin == Origin.SURROGATE
    assert (len(splits.train.y) + len(splits.valid.y), len(splits.test.y)) == (5091, 530)
    assert len(splits.valid.y) == round(0.1 * 5091)
    assert splits.train.x.shape[1:] == CHBMIT().task.input_shape
    assert splits.train.x.std().item() == pytest.approx(1, abs=1e-3)


def test_surrogate_without_one_patient_has_its_windows():
    splits = CHBMIT("leave-one-out", patient=2).surrogate()
    assert splits.test.y.bincount().tolist() == [42, 42]
    total = len(splits.train.y) + len(splits.valid.y) + len(splits.test.y)
    assert total == 2 * sum(ICTAL_WINDOWS.values())
    without_21 = CHBMIT("leave-one-out", patient=1).surrogate()
    assert len(without_21.train.y) + len(without_21.valid.y) == total - 2 * (108 + 49)


def test_raw_surrogate_is_in_microvolts():
    splits = CHBMIT(patients=[3, 4], raw=True).surrogate()
    x = splits.train.x
    assert 30 < x[splits.train.y == 0].std() < 60
    assert 80 < x[splits.train.y == 1].std() < 120


# --- the real files ---------------------------------------------------------------------------------------------------


@pytest.mark.real_data
def test_ictal_windows_of_the_published_summaries(real_root):
    for patient in set(PATIENTS) - {24}:
        summary = read_summary(real_root / f"chbmit/summaries/chb{patient:02d}-summary.txt", "")
        seizures = [end - start for recording in summary for start, end in recording.seizures]
        assert sum(seconds // 4 for seconds in seizures) == ICTAL_WINDOWS[patient]


@pytest.mark.real_data
def test_windows_of_the_extract(real_root):
    windows = CHBMIT(patients=[1]).windows(real_root)
    assert windows.y.tolist() == [1] * 10 + [0] * 10
    assert windows.start.tolist() == [*range(1, 41, 4), *range(0, 40, 4)]
    # the data's README: root mean square 96.0 uV in the seizure, 40.0 uV outside, over all channels
    assert np.sqrt((windows.x[:10] ** 2).mean()) > 2 * np.sqrt((windows.x[10:] ** 2).mean())


@pytest.mark.real_data
def test_extract_is_refused(real_root):
    assert "there: chb01" in CHBMIT().missing(real_root)
    with pytest.raises(DatasetError, match="20 of 21 patients not found"):
        CHBMIT().load(real_root)
    with pytest.raises(DatasetError, match="one seizure cannot be split without leakage"):
        CHBMIT(patients=[1]).load(real_root)
