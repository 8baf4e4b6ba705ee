"""NVIDIA GPUs through NVML (`pynvml` of nvidia-ml-py): the energy counter, or power sampled and integrated where it is missing.

nvmlDeviceGetTotalEnergyConsumption gives millijoules since the driver was loaded (Volta and newer); the field
NVML_FI_DEV_POWER_INSTANT gives milliwatts, nvmlDeviceGetPowerUsage too, on newer parts averaged over a second (NVML API
reference, device queries and field values).
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fobench.contracts import MeterError, Provenance, Reading
from fobench.meters.sampling import PowerSampler, Read, SamplerProcess

COUNTER_PERIOD_S = 0.1
"""Usual refresh of the energy counter (Zeus documentation); some systems are faster, none is known to be slower."""

STUCK_AFTER_S = 10 * COUNTER_PERIOD_S
"""A counter that stands still for this long is not counting; it is left out instead of giving 0 J."""

REMEDIES = {
    "NVMLError_LibraryNotFound": "install the NVIDIA driver, or leave this meter out where there is no GPU",
    "NVMLError_DriverNotLoaded": "load the NVIDIA driver (`sudo modprobe nvidia`)",
    "NVMLError_LibRmVersionMismatch": "reboot: driver and library are of different versions",
    "NVMLError_NoPermission": "give this user access to /dev/nvidia*",
}


@dataclass
class _Counter:
    """One GPU's energy counter over a window."""

    read_mj: Callable[[], int]
    _start_mj: int = 0
    _started_s: float = 0.0
    provenance = Provenance.MEASURED

    def start(self) -> None:
        """Begin a window."""
        self._started_s = time.perf_counter()
        self._start_mj = self.read_mj()

    def stop(self) -> float | None:
        """Return joules; None if the counter was set back, or stands still."""
        used_mj = self.read_mj() - self._start_mj
        stuck = used_mj == 0 and time.perf_counter() - self._started_s >= STUCK_AFTER_S
        return None if used_mj < 0 or stuck else used_mj / 1e3


class _Integral(PowerSampler):
    """One GPU's power, integrated over a window by a thread: only where no process can be started for it."""

    provenance = Provenance.ESTIMATED


def power_readers(indices: Sequence[int]) -> dict[str, Read]:
    """Return a reader of watts for each GPU by NVML's number; made in the sampling process."""
    import pynvml

    pynvml.nvmlInit()
    handles = {f"gpu-{index}": pynvml.nvmlDeviceGetHandleByIndex(index) for index in indices}
    return {channel: functools.partial(_watts, pynvml, handle) for channel, handle in handles.items()}


def _watts(nvml: Any, handle: Any) -> float | None:
    """Return the power; None for a failed reading or a zero, which stands for one."""
    try:
        return (_instant_mw(nvml, handle) or nvml.nvmlDeviceGetPowerUsage(handle)) / 1e3 or None
    except nvml.NVMLError:
        return None


def _instant_mw(nvml: Any, handle: Any) -> int:
    """Return the power that is no average; 0 if the driver or the GPU does not tell it."""
    try:
        (answer,) = nvml.nvmlDeviceGetFieldValues(handle, [nvml.NVML_FI_DEV_POWER_INSTANT])
    except (nvml.NVMLError, AttributeError):  # older modules and drivers have no such field
        return 0
    return int(answer.value.uiVal) if answer.nvmlReturn == 0 else 0


@dataclass
class NVML:
    """Reads `energy` of every visible GPU as `gpu-N`, N being NVML's number (the order of the PCI bus).

    `CUDA_VISIBLE_DEVICES` is respected, numbers and UUIDs. A GPU without a counter is sampled every `sample_period_s` seconds by
    another process (power polled faster than every 50 ms can come back as zero) and its energy is an estimate.
    """

    sample_period_s: float = 0.1
    notes: tuple[str, ...] = field(default=(), init=False)
    _nvml: Any = field(default=None, init=False, repr=False)
    _handles: dict[int, Any] = field(default_factory=dict, init=False, repr=False)
    _sampled: frozenset[int] = field(default=frozenset(), init=False, repr=False)
    _open: dict[int, _Counter | _Integral] = field(default_factory=dict, init=False, repr=False)
    _sampler: SamplerProcess | None = field(default=None, init=False, repr=False)

    @property
    def update_period_s(self) -> float:
        """Return the refresh of the counter, or the sampling period if that is longer and in use."""
        return max(COUNTER_PERIOD_S, self.sample_period_s) if self._sampled else COUNTER_PERIOD_S

    @property
    def channels(self) -> tuple[str, ...]:
        """Return `gpu-N` for each GPU that is read."""
        return tuple(f"gpu-{index}" for index in self._handles)

    def unavailable(self) -> str | None:
        """Start NVML and read each visible GPU once; those that give neither energy nor power are named in `notes`."""
        self.close()
        try:
            import pynvml
        except ImportError as error:
            return f"pynvml cannot be imported ({error}); run `pip install nvidia-ml-py`"
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            return f"NVML does not start ({error}); {_remedy(error)}"
        self._nvml = pynvml
        try:
            reason = self._find()
        except pynvml.NVMLError as error:
            reason = f"NVML fails while it lists the GPUs ({error}); {_remedy(error)}"
        if reason:
            self.close()
        elif self._sampled:
            self._start_sampler()
        return reason

    def start(self) -> None:
        """Begin a window."""
        if not self._handles:
            raise MeterError("nvml: start() before unavailable() said None; probe the meter first")
        self._open = {}
        self._begin_sampling()
        for index in self._counted():
            instrument = self._instrument(index)
            try:
                instrument.start()
            except self._nvml.NVMLError:  # this GPU is lost, for this window at least
                continue
            self._open[index] = instrument

    def stop(self) -> list[Reading]:
        """Return the joules of each GPU since `start`; one that was lost, set back or stuck is left out."""
        readings = []
        for index, instrument in self._open.items():
            try:
                joules = instrument.stop()
            except self._nvml.NVMLError:
                continue
            if joules is not None:
                readings.append(Reading("energy", joules, instrument.provenance, f"gpu-{index}"))
        readings += self._end_sampling()
        if not readings:
            raise MeterError(f"nvml: {', '.join(self.channels)} could not be read in this window; see `fobench doctor`")
        return readings

    def close(self) -> None:
        """Shut NVML down, and end the sampling process."""
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = None
        if self._nvml is not None:
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()
        self._nvml, self._handles, self._open, self._sampled = None, {}, {}, frozenset()

    def sense(self) -> list[Reading]:
        """Return every GPU's counter as it stands, in joules, or its power now."""
        readings = []
        for index, handle in self._handles.items():
            quantity = "power" if index in self._sampled else "energy"
            value = _watts(self._nvml, handle) if index in self._sampled else self._joules(handle)
            if value is not None:
                readings.append(Reading(quantity, value, Provenance.MEASURED, f"gpu-{index}"))
        return readings

    def _joules(self, handle: Any) -> float | None:
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
        except self._nvml.NVMLError:
            return None

    def _start_sampler(self) -> None:
        """Start the process that samples the GPUs without a counter; where none can be started, threads do it."""
        try:
            self._sampler = SamplerProcess(
                f"{__name__}:{power_readers.__name__}", [sorted(self._sampled)], self.sample_period_s
            )
        except (MeterError, OSError) as error:
            self.notes += (f"power is sampled by a thread of the measured process: {error}",)

    def _begin_sampling(self) -> None:
        """Begin a window of the sampling process; if it has ended, threads take over."""
        if self._sampler is None:
            return
        try:
            self._sampler.start()
        except MeterError as error:
            self._sampler.close()
            self._sampler = None
            self.notes += (f"power is sampled by a thread of the measured process: {error}",)

    def _end_sampling(self) -> list[Reading]:
        """Return what the sampling process integrated; nothing if it has ended, or for a GPU whose power it could not read."""
        energies: dict[str, float | None] = {}
        if self._sampler is not None:
            with contextlib.suppress(MeterError):
                energies = self._sampler.stop()
        return [Reading("energy", j, Provenance.ESTIMATED, channel) for channel, j in energies.items() if j is not None]

    def _counted(self) -> list[int]:
        """Return the GPUs that this process reads: all but those of the sampling process."""
        return [index for index in self._handles if self._sampler is None or index not in self._sampled]

    def _find(self) -> str | None:
        """Choose the GPUs and how each is read; return why there is none, or None."""
        count = self._nvml.nvmlDeviceGetCount()
        if count == 0:
            return "the NVIDIA driver sees no GPU; check `nvidia-smi` and the container's devices"
        visible = self._visible(count)
        if not visible:
            shown = os.environ["CUDA_VISIBLE_DEVICES"]
            return (
                f"CUDA_VISIBLE_DEVICES={shown!r} shows none of the machine's GPUs ({count}) as a whole; "
                "unset it, or name one by its number or UUID"
            )
        sampled, notes = set(), _order_notes(count)
        for index in visible:
            handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
            try:
                if not self._has_counter(handle):
                    sampled.add(index)
            except self._nvml.NVMLError as error:
                notes.append(f"gpu-{index}: neither energy nor power ({error})")
                continue
            self._handles[index] = handle
        self._sampled, self.notes = frozenset(sampled), tuple(notes)
        return None if self._handles else f"no GPU gives energy or power ({'; '.join(notes)}); update the driver"

    def _has_counter(self, handle: Any) -> bool:
        """Say whether a GPU has the energy counter; NVMLError if it has no power reading either."""
        try:
            self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except self._nvml.NVMLError:
            self._nvml.nvmlDeviceGetPowerUsage(handle)
            return False
        return True

    def _instrument(self, index: int) -> _Counter | _Integral:
        handle = self._handles[index]
        if index in self._sampled:
            return _Integral(functools.partial(_watts, self._nvml, handle), self.sample_period_s)
        return _Counter(lambda: int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle)))

    def _visible(self, count: int) -> list[int]:
        """Return NVML's numbers of the GPUs in CUDA_VISIBLE_DEVICES; as in CUDA, the first invalid entry ends the list."""
        shown = os.environ.get("CUDA_VISIBLE_DEVICES")
        if shown is None:
            return list(range(count))
        uuids = [self._uuid(index) for index in range(count)]
        visible: list[int] = []
        for entry in (part.strip() for part in shown.split(",")):
            if entry.isdecimal():
                found = [int(entry)] if int(entry) < count else []
            else:
                found = [index for index, uuid in enumerate(uuids) if entry and uuid.startswith(entry)]
            if len(found) != 1 or found[0] in visible:
                break
            visible += found
        return visible

    def _uuid(self, index: int) -> str:
        uuid = self._nvml.nvmlDeviceGetUUID(self._nvml.nvmlDeviceGetHandleByIndex(index))
        return uuid.decode() if isinstance(uuid, bytes) else str(uuid)


def _remedy(error: Exception) -> str:
    return REMEDIES.get(type(error).__name__, "check that `nvidia-smi` works")


def _order_notes(count: int) -> list[str]:
    """Warn that CUDA may number several unlike GPUs by speed, while NVML numbers them by the PCI bus."""
    if count > 1 and os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        return ["set CUDA_DEVICE_ORDER=PCI_BUS_ID if the GPUs differ: numbers here follow the PCI bus"]
    return []
