"""CodeCarbon's offline tracker: power models of processor, graphics and memory, integrated over a window of its `task`.

Without readable counters its processor energy is maximum power x (0.1 + 0.9 load^3) x time, for the whole machine, and its
memory energy is a constant power guessed from the number of memory modules (codecarbon 3.3, `external/hardware.py` and
`external/ram.py`). Both are estimates; so is graphics, which falls back between counter, samples and nothing unannounced.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from fobench.contracts import MeterError, Provenance, Reading

JOULES_PER_KWH = 3.6e6

REMEDY = "run `pip install --force-reinstall codecarbon py-cpuinfo` (the latter shares its module with py-cpuinfo2)"


@dataclass
class CodeCarbon:
    """Reads `energy` of `cpu`, `gpu` and `ram` apart; `cpu_w` and `ram_w` (watts) replace its guesses of full power.

    No network, no file, no signal handler: everything that a configuration file or the environment could change is set
    here. There is no CO2 reading, so there is no country.
    """

    cpu_w: float | None = None
    ram_w: float | None = None
    # The load model divides ticks of 10 ms: below about 1 s per window its own spread exceeds 2 %.
    update_period_s: float = field(default=0.1, init=False)
    channels: tuple[str, ...] = field(default=(), init=False)
    notes: tuple[str, ...] = field(default=(), init=False)
    _tracker: Any = field(default=None, init=False, repr=False)
    _measured: frozenset[str] = field(default=frozenset(), init=False, repr=False)

    def unavailable(self) -> str | None:
        """Detect the hardware with a task that is thrown away (1 to 3 s); None if codecarbon gives a result."""
        self.close()
        try:
            tracker = self._new_tracker()
            tracker.start_task()
            trial = tracker.stop_task()
        except ImportError as error:
            return f"codecarbon cannot be imported ({error}); {REMEDY}"
        except Exception as error:  # it raises whatever its detection stumbles over
            return f"codecarbon fails on this machine ({type(error).__name__}: {error}); {REMEDY}"
        if trial is None:
            return f"codecarbon gives no result on this machine and does not say why; {REMEDY}"
        self._tracker = tracker
        self._describe()
        return None

    def start(self) -> None:
        """Begin a window."""
        if self._tracker is None:
            raise MeterError("codecarbon: start() before unavailable() said None; probe the meter first")
        self._call("start_task")

    def stop(self) -> list[Reading]:
        """Return the joules of each channel since `start`; one that codecarbon reports as nothing or 0 is left out."""
        if self._tracker is None:
            raise MeterError("codecarbon: stop() without start(); begin a window first")
        task = self._call("stop_task")
        if task is None:
            raise MeterError("codecarbon: its task gave no result; one tracker at a time may run in this process")
        # It swallows failed readings and reports them as 0, which no powered component uses.
        energies = {channel: getattr(task, f"{channel}_energy") for channel in self.channels}
        readings = [self._reading(channel, kwh) for channel, kwh in energies.items() if kwh]
        if not readings:
            raise MeterError(f"codecarbon: no energy for {', '.join(self.channels)}; see `fobench doctor`")
        return readings

    def close(self) -> None:
        """Stop the tracker and its timers."""
        if self._tracker is not None:
            self._tracker.stop()
        self._tracker = None

    def _call(self, method: str) -> Any:
        try:
            return getattr(self._tracker, method)()
        except Exception as error:
            raise MeterError(f"codecarbon: {method} failed ({type(error).__name__}: {error}); {REMEDY}") from error

    def _reading(self, channel: str, kwh: float) -> Reading:
        provenance = Provenance.MEASURED if channel in self._measured else Provenance.ESTIMATED
        return Reading("energy", kwh * JOULES_PER_KWH, provenance, channel)

    def _describe(self) -> None:
        """Take channels and modes from the components that codecarbon found; its `gpu_count` counts absent ones too."""
        modes = {
            getattr(part, "chip_part", type(part).__name__).lower(): getattr(part, "_mode", "")
            for part in self._tracker._hardware
        }
        self.channels = tuple(channel for channel in ("cpu", "gpu", "ram") if channel in modes)
        self._measured = frozenset(channel for channel, mode in modes.items() if mode == "intel_rapl")
        modes |= {channel: mode for channel, mode in self._other_modes().items() if channel in modes}
        self.notes = tuple(f"{channel} mode: {modes[channel]}" for channel in self.channels if modes[channel])

    def _other_modes(self) -> dict[str, str]:
        """Name the modes of the components to which codecarbon gives no name itself."""
        declared = "declared constant" if self.ram_w is not None else "constant from a guessed number of modules"
        return {"gpu": "counter or samples, codecarbon does not say which", "ram": declared}

    def _new_tracker(self) -> Any:
        from codecarbon import OfflineEmissionsTracker

        # Its log level takes effect only after it has logged; importing it sets the level anew.
        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
        return OfflineEmissionsTracker(
            tracking_mode="machine",
            force_cpu_power=self.cpu_w,
            force_ram_power=self.ram_w,
            force_mode_cpu_load=False,
            rapl_include_dram=False,
            rapl_prefer_psys=False,
            gpu_ids=None,
            pue=1.0,
            wue=0.0,
            # A fixed intensity keeps it from asking any service or table for the grid's.
            force_carbon_intensity_g_co2e_kwh=0.0,
            country_iso_code=None,
            region=None,
            cloud_provider=None,
            cloud_region=None,
            emissions_endpoint=None,
            output_methods=[],
            output_handlers=[],
            api_call_interval=-1,
            measure_power_secs=15.0,
            # False would replace the handlers of SIGINT and SIGTERM.
            allow_multiple_runs=True,
            log_level="critical",
        )
