"""The device profile: what `fobench calibrate` found on this machine, and whether it may still be trusted."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fobench.contracts import IDENTITY, FobenchError, Json
from fobench.harness import machine

SCHEMA = 1
MOST_HOURS = 24
"""A profile that is older says nothing of today's temperature, governor and neighbours."""


def default_path() -> Path:
    """Return where this machine's profile is kept: `fobench/profiles/MACHINE.json` in the user's configuration folder."""
    from platformdirs import user_config_path

    return user_config_path("fobench") / "profiles" / f"{machine.default_name()}.json"


def save(path: Path, meters: dict[str, dict[str, Json]], absent: dict[str, str]) -> None:
    """Write a profile: date, machine, versions, one entry per calibrated meter, and why others were not."""
    profile = {
        "schema": SCHEMA,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": machine.default_name(),
        "machine": machine.facts(),
        "meters": meters,
        "absent": absent,
    }
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(profile, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise FobenchError(
            f"the profile {path} cannot be written ({error}); name another file with --output"
        ) from error


def load(path: Path | None = None) -> tuple[dict[str, Json], str]:
    """Return the meters of a profile (this machine's unless another is named), and a note; none where it may not be used."""
    path = path or default_path()
    try:
        profile = json.loads(path.read_text(encoding="utf-8"))
        age = datetime.now(UTC) - datetime.fromisoformat(profile["date"])
        found, meters = profile["machine"], dict(profile["meters"])
    except FileNotFoundError:
        return {}, f"no device profile at {path}; `fobench calibrate` makes one"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {}, f"device profile {path} ignored: it cannot be read ({error}); run `fobench calibrate` again"
    if not timedelta(0) <= age <= timedelta(hours=MOST_HOURS):
        hours = age.total_seconds() / 3600
        return (
            {},
            f"device profile {path} ignored: {hours:.0f} h old, over {MOST_HOURS} h; run `fobench calibrate` again",
        )
    now = machine.facts()
    changed = [fact for fact in IDENTITY if found.get(fact) != now[fact]]
    if changed:
        return (
            {},
            f"device profile {path} ignored: of another machine ({', '.join(changed)} differ); run `fobench calibrate`",
        )
    return meters, f"device profile of {profile['date']}"


def profiled_period(meter_name: str, default: float) -> float:
    """Return the update period (s) that calibration saw; `default` without a valid profile or a period that was seen."""
    meters, _ = load()
    period = meters.get(meter_name, {}).get("update_period_s")
    usable = isinstance(period, int | float) and math.isfinite(period) and period > 0
    return float(period) if usable else default


def notes() -> list[str]:
    """Return a sentence on the profile in use, if one is."""
    meters, note = load()
    return [note] if meters else []
