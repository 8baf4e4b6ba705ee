"""RAPL as pyRAPL 0.2.3 reads it: a cross-check of the meter `rapl`, under the same channel names.

pyRAPL knows packages and DRAM only, needs one package per socket, and loses the window in which a counter wraps.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fobench.contracts import MeterError, Provenance, Reading
from fobench.meters.rapl import STUCK_AFTER_S, UNREADABLE, UPDATE_PERIOD_S

ABSENT = (
    "pyRAPL finds no package counter ({found}; it needs one zone named `package-N` per socket under "
    "/sys/class/powercap/intel-rapl); take the meter `rapl`, which says more, or a machine that has the counters"
)


@dataclass
class PyRAPL:
    """Measures `energy` of `package-N` and `package-N/dram` through pyRAPL; what it loses is left out, never 0 or None."""

    update_period_s: float = field(default=UPDATE_PERIOD_S, init=False)
    channels: tuple[str, ...] = field(default=(), init=False)
    notes: tuple[str, ...] = field(default=("loses every window in which a counter wraps",), init=False)
    _pyrapl: Any = field(default=None, init=False, repr=False)
    _measurement: Any = field(default=None, init=False, repr=False)

    def unavailable(self) -> str | None:
        """Let pyRAPL open the counters and read each once."""
        self.close()
        try:
            with _quiet_root_logger():
                pyrapl = importlib.import_module("pyRAPL")
        except ImportError as error:
            return f"pyRAPL cannot be imported ({error}); run `pip install pyRAPL`"
        try:
            pyrapl.setup()
            energies = pyrapl._sensor.energy()
        except PermissionError as error:
            return UNREADABLE.format(reasons=error.strerror)
        except (pyrapl.PyRAPLException, OSError, ValueError, IndexError) as error:
            return ABSENT.format(found=type(error).__name__)
        self._pyrapl = pyrapl
        self.channels = tuple(channel for channel, value in _by_channel(energies[0::2], energies[1::2]) if value >= 0)
        return None

    def start(self) -> None:
        """Begin a window."""
        if self._pyrapl is None:
            raise MeterError("pyrapl: start() before unavailable() said None; probe the meter first")
        self._measurement = self._pyrapl.Measurement("window")
        self._call("begin")

    def stop(self) -> list[Reading]:
        """Return the joules of each channel since `start`; one that wrapped, vanished or stood still is left out."""
        if self._measurement is None:
            raise MeterError("pyrapl: stop() without start(); begin a window first")
        self._call("end")
        result, self._measurement = self._measurement.result, None
        shortest_uj = 1 if result.duration / 1e6 >= STUCK_AFTER_S else 0
        readings = [
            Reading("energy", used_uj / 1e6, Provenance.MEASURED, channel)
            for channel, used_uj in _by_channel(result.pkg or [], result.dram or [])
            if used_uj >= shortest_uj
        ]
        if not readings:
            raise MeterError("pyrapl: no counter could be read in this window (a wrap, or a counter that stands still)")
        return readings

    def close(self) -> None:
        """Close the files that pyRAPL leaves open."""
        if self._pyrapl is not None:
            for device in self._pyrapl._sensor._device_api.values():
                for file in device._sys_files:
                    file.close()
        self._pyrapl = self._measurement = None

    def _call(self, method: str) -> None:
        try:
            getattr(self._measurement, method)()
        except (OSError, ValueError) as error:
            raise MeterError(f"pyrapl: a counter could not be read ({error}); see `fobench doctor`") from error


def _by_channel(packages: list[float], drams: list[float]) -> Iterator[tuple[str, float]]:
    """Name pyRAPL's values, one per socket, in microjoules; a negative one stands for no data."""
    yield from ((f"package-{socket}", value) for socket, value in enumerate(packages))
    yield from ((f"package-{socket}/dram", value) for socket, value in enumerate(drams))


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Keep an import from writing to the root logger, and from giving it a handler as a first message does."""
    root, handler = logging.getLogger(), logging.NullHandler()
    disabled = root.disabled
    root.addHandler(handler)
    root.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.disabled = disabled
        root.removeHandler(handler)
