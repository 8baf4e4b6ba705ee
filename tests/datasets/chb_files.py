"""Writes small data sets in CHB-MIT's layout whose every value tells where it was recorded."""

from pathlib import Path

import numpy as np
import pyedflib

RATE = 256
LABELS = ("FP1-F7", "F7-T7", "T8-P8", "F8-T8", "T8-P8")


def write_edf(path: Path, seconds: int, labels=LABELS, signals=None, rate: int = RATE, unit: str = "uV") -> None:
    """Write an EDF file: F7-T7 holds the time in s, F8-T8 its negative, every other channel 7; or `signals` as given."""
    time = np.arange(seconds * rate) / rate
    values = signals or {"F7-T7": time, "F8-T8": -time}
    writer = pyedflib.EdfWriter(str(path), len(labels), file_type=pyedflib.FILETYPE_EDF)
    for channel, label in enumerate(labels):
        writer.setSignalHeader(
            channel,
            {
                "label": label, "dimension": unit, "sample_frequency": rate, "physical_min": -3000.0, "physical_max": 3000.0,
                "digital_min": -32768, "digital_max": 32767, "transducer": "", "prefilter": "",
            },
        )  # fmt: skip
    writer.writeSamples([np.ascontiguousarray(values.get(label, np.full_like(time, 7))) for label in labels])
    writer.close()


def write_patient(root: Path, patient: int, recordings) -> None:
    """Write one patient: `recordings` holds (begin of the recording in s or None, length in s, seizures) of each file."""
    case = f"chb{patient:02d}"
    folder = root / "chbmit" / case
    folder.mkdir(parents=True)
    lines = ["Data Sampling Rate: 256 Hz", ""]
    for number, (begin, length, seizures) in enumerate(recordings, start=1):
        name = f"{case}_{number:02d}.edf"
        write_edf(folder / name, length)
        lines.append(f"File Name: {name}")
        if begin is not None:
            lines += [f"File Start Time: {clock(begin)}", f"File End Time: {clock(begin + length)}"]
        lines.append(f"Number of Seizures in File: {len(seizures)}")
        for start, end in seizures:
            lines += [f"Seizure Start Time: {start} seconds", f"Seizure End Time: {end} seconds"]
        lines.append("")
    (folder / f"{case}-summary.txt").write_text("\n".join(lines))


def clock(seconds: int) -> str:
    """Write seconds as h:mm:ss within a day."""
    hours, rest = divmod(seconds % 86_400, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
