"""Plug-ins for the harness's tests: a small learner that can be told to misbehave, and a small data set."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from fobench.contracts import (
    Cell,
    MeterError,
    Origin,
    Phase,
    Plan,
    Prediction,
    Provenance,
    Reading,
    Recipe,
    Reference,
    Split,
    Splits,
    Task,
    TracerError,
)  # fmt: skip

seen = [0]
"""Samples that all toys of this process have learned from; the meter `Joules` reads it."""


@dataclass
class Toy:
    """A softmax regression by hand. `trouble` is what happens at step `at`: raise, hang, kill, exit, or nothing."""

    network: list = ()
    eta: float = 0.5
    trouble: str = ""
    at: int = 20
    step_s: float = 0.0

    def setup(self, task, generator, device):
        self.W1 = 0.01 * torch.randn(task.classes, task.inputs, generator=generator, device=device)
        self.steps = 0

    def train_step(self, x, y):
        self.steps += 1
        seen[0] += len(x)
        if self.trouble and self.steps >= self.at:
            self._misbehave()
        time.sleep(self.step_s)
        x = x.flatten(1)
        e = torch.softmax(x @ self.W1.T, 1)
        e[torch.arange(len(y)), y] -= 1
        self.W1.addmm_(e.T, x, alpha=-self.eta / len(x))

    def predict(self, x):
        return Prediction(x.flatten(1) @ self.W1.T)

    def state(self):
        return {"W1": self.W1}

    def _misbehave(self):
        if self.trouble == "raise":
            raise ValueError("toy trouble")
        if self.trouble == "hang":
            time.sleep(600)
        if self.trouble == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.trouble == "exit":
            os._exit(3)


@dataclass
class Greedy(Toy):
    """Two stages and a schedule; remembers what it was told."""

    stages: int = 2

    def setup(self, task, generator, device):
        super().setup(task, generator, device)
        self.told = []

    def begin_stage(self, stage):
        self.told.append(("stage", stage))

    def begin_epoch(self, epoch, epochs):
        self.told.append(("epoch", epoch, epochs))

    def calibrate(self, x, y):
        self.told.append(("calibrate", len(x)))


@dataclass
class Blobs:
    """Three Gaussian clusters; the "file" `blobs.txt` under the root makes them real."""

    samples: int = 300

    @property
    def task(self):
        return Task("classification", (4,), 3)

    def missing(self, root: Path):
        return None if (root / "blobs.txt").exists() else "no blobs.txt; run fobench data fetch blobs"

    def load(self, root: Path):
        return self._splits(Origin.REAL)

    def surrogate(self):
        return self._splits(Origin.SURROGATE)

    def _splits(self, origin):
        generator = torch.Generator().manual_seed(0)
        y = torch.arange(self.samples) % 3
        x = torch.randn(self.samples, 4, generator=generator) + 4 * torch.eye(3, 4)[y]
        third = self.samples // 3
        return Splits(
            Split(x[third:], y[third:]), Split(x[:third], y[:third]), Split(x[:30], y[:30]), origin, {"blobs": "0" * 64}
        )


@dataclass
class Denormal(Toy):
    """Fails in a step if any thread computes with denormal numbers."""

    def train_step(self, x, y):
        tiny = torch.full((1_000_000,), 1e-40)
        if (tiny * 0.5).count_nonzero():
            raise ValueError("denormal numbers")
        super().train_step(x, y)


class Watcher:
    """A tracer that sees training steps, and refuses to look at predictions."""

    phases = (Phase.TRAIN, Phase.INFER)
    batch_offsets = (0, 1)
    steps = (1, 2)

    def __init__(self):
        self.seen = []

    def unavailable(self):
        return None

    @contextmanager
    def trace(self, learner, inputs):
        self.seen.append(len(inputs[0]))
        if learner.steps < 1:
            raise TracerError("no step was taken before this")
        yield

    def readings(self):
        return [Reading("memory", sum(self.seen), Provenance.ANALYTICAL, "persistent")]


class Sensor:
    """A meter that fails in its third window and cannot read a channel in its fourth."""

    def __init__(self, absent: str | None = None):
        self.absent = absent
        self.windows = 0
        self.update_period_s = 0.001
        self.channels = ("a", "b")

    def unavailable(self):
        return self.absent

    def start(self):
        self.windows += 1

    def stop(self):
        if self.windows == 3:
            raise MeterError("the sensor was unplugged")
        channels = ("a",) if self.windows == 4 else self.channels
        return [Reading("energy", 2.0, Provenance.MEASURED, channel) for channel in channels]

    def close(self):
        pass


@dataclass
class Joules:
    """A meter whose truth is known: so many joules per sample learned, plus and minus a relative noise in turns."""

    per_sample: float = 1.0
    noise: float = 0.0
    update_period_s: float = 0.001
    channels: tuple = ("package-0",)

    def unavailable(self):
        return None

    def start(self):
        self.before = seen[0]

    def stop(self):
        self.noise = -self.noise
        joules = (1 + self.noise) * self.per_sample * (seen[0] - self.before)
        return [Reading("energy", joules, Provenance.MEASURED, "package-0")]

    def close(self):
        pass


FAST = Plan(meters=(Reference("clock"),), tracers=("macs",), guards=(), window_s=0.02, idle_s=0.02, timeout_s=60)
"""No guards: what other programs do on the machine that runs the tests must not decide them."""


def toy_cell(seed: int = 0, plan: Plan = FAST, learner: str = "Toy", label: str = "toy", **arguments) -> Cell:
    return Cell(
        learner=Reference(f"toys.py:{learner}", {"network": [], **arguments}, label),
        dataset=Reference("toys.py:Blobs", {}, "blobs"),
        recipe=Recipe(epochs=2, batch_size=10, score_samples=50),
        plan=plan,
        seed=seed,
    )
