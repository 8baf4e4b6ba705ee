import pytest

from fobench.contracts import DatasetError
from fobench.datasets.chb_summary import Recording, read_summary

HOUR = 3600


def parse(tmp_path, text):
    path = tmp_path / "chb99-summary.txt"
    path.write_text(text)
    return read_summary(path, "run `fobench data fetch chb-mit`")


def refused(tmp_path, text):
    with pytest.raises(DatasetError) as caught:
        parse(tmp_path, text)
    assert "chb99-summary.txt" in str(caught.value)
    assert str(caught.value).endswith("run `fobench data fetch chb-mit`")
    return str(caught.value)


def entry(name, begin="", end="", seizures=(), numbered=False):
    lines = [f"File Name: {name}"]
    if begin:
        lines += [f"File Start Time: {begin}", f"File End Time: {end}"]
    lines += [f"Number of Seizures in File: {len(seizures)}"]
    for number, (start, stop) in enumerate(seizures, start=1):
        which = f"Seizure {number}" if numbered else "Seizure"
        lines += [f"{which} Start Time: {start} seconds", f"{which} End Time:  {stop} seconds"]
    return "\n".join(lines) + "\n\n"


@pytest.mark.parametrize("numbered", [False, True])
def test_seizures_with_and_without_numbers(tmp_path, numbered):
    text = entry("a.edf", "11:00:00", "12:00:00", [(10, 20), (300, 355)], numbered)
    assert parse(tmp_path, text) == (Recording("a.edf", ((10, 20), (300, 355)), 11 * HOUR, 12 * HOUR),)


def test_without_times_as_in_chb24(tmp_path):
    assert parse(tmp_path, entry("a.edf", seizures=[(480, 505)])) == (Recording("a.edf", ((480, 505),)),)


def test_recordings_after_midnight_belong_to_the_next_day(tmp_path):
    text = (
        entry("a.edf", "22:30:00", "23:30:00")
        + entry("b.edf", "23:30:05", "0:30:05")
        + entry("c.edf", "0:30:10", "1:30:10")
        + entry("d.edf", "0:10:00", "0:40:00")
    )
    times = [(recording.begin, recording.end) for recording in parse(tmp_path, text)]
    assert times[1] == (23 * HOUR + 1805, 24 * HOUR + 1805)
    assert times[2] == (24 * HOUR + 1810, 25 * HOUR + 1810)
    assert times[3][0] == 48 * HOUR + 600


def test_hours_past_24(tmp_path):
    text = entry("a.edf", "23:00:00", "24:00:00") + entry("b.edf", "25:00:01", "26:00:01")
    assert [recording.begin for recording in parse(tmp_path, text)] == [23 * HOUR, 25 * HOUR + 1]


def test_changed_channels_between_recordings_are_passed_over(tmp_path):
    text = (
        "Data Sampling Rate: 256 Hz\n****\n\nChannels in EDF Files:\nChannel 1: FP1-F7\nChannel 2: -\n\n"
        + entry("a.edf")
        + "Channels changed:\n*****\nChannel 1: F7-CS2\n\n"
        + entry("b.edf", seizures=[(1, 9)])
    )
    assert [(recording.name, len(recording.seizures)) for recording in parse(tmp_path, text)] == [
        ("a.edf", 0),
        ("b.edf", 1),
    ]


def test_windows_line_ends(tmp_path):
    assert parse(tmp_path, entry("a.edf", seizures=[(1, 9)]).replace("\n", "\r\n"))[0].seizures == ((1, 9),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "lists no recording"),
        ("File Name: a.edf\n", "a.edf: number or times of seizures cannot be read"),
        (entry("a.edf", seizures=[(1, 9)]).replace("File: 1", "File: 2"), "2 seizures, but 1 starts and 1 ends"),
        (entry("a.edf", seizures=[(1, 9)]).partition("Seizure End")[0], "1 seizures, but 1 starts and 0 ends"),
        (entry("a.edf", seizures=[(9, 1)]), "ends before it starts"),
        (entry("a.edf", seizures=[("x", 9)]), "cannot be read"),
    ],
)
def test_broken_summaries(tmp_path, text, words):
    assert words in refused(tmp_path, text)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "chb99-summary.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_summary(path, "")


@pytest.mark.real_data
def test_published_summaries(real_root):
    summaries = {path.name[:5]: read_summary(path, "") for path in (real_root / "chbmit/summaries").iterdir()}
    recordings = [recording for summary in summaries.values() for recording in summary]
    assert (len(summaries), len(recordings)) == (23, 664)
    assert sum(len(recording.seizures) for recording in recordings) == 182
    assert summaries["chb01"][2] == Recording(
        "chb01_03.edf", ((2996, 3036),), 13 * HOUR + 43 * 60 + 4, 14 * HOUR + 43 * 60 + 4
    )
    # every recording is between 10 minutes and 4 hours and a bit long, whatever the clock did
    assert all(600 <= recording.end - recording.begin < 4.05 * HOUR for recording in recordings)
    assert all(end <= r.end - r.begin for r in recordings for _, end in r.seizures)
