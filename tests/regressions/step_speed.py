"""Regenerate the tables of docs/performance.md: `python tests/regressions/step_speed.py [--alternations 30] [--rules bp ...]`.

Needs the machine for itself. Rows are printed as they come; the page is written at the end, unless only some rules or networks
were asked for.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from step_floor import bandwidth, batch, in_turn, peak_over_minimum, ready, step_over_floor

from fobench import networks, plugins
from fobench.contracts import FobenchError, Task
from fobench.testing.toys import toy_data

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
DIGITS = Task("classification", (1, 8, 8), 10)
MNIST = Task("classification", (784,), 10)
CIFAR = Task("classification", (3, 32, 32), 10)
CASES = {
    "784-2000x4-10, batch 100": ([2000] * 4, MNIST, 100, 1.15),
    "ds-cnn, batch 32": ("ds-cnn", networks.named_tasks()["ds-cnn"], 32, 1.5),
    "mobilenet-v1-0.25, batch 32": ("mobilenet-v1-0.25", networks.named_tasks()["mobilenet-v1-0.25"], 32, 1.5),
    "resnet8, batch 32": ("resnet8", networks.named_tasks()["resnet8"], 32, 1.5),
    "pepita-conv, batch 32": ("pepita-conv", CIFAR, 32, 1.5),
    "autoencoder, batch 32": ("autoencoder", networks.named_tasks()["autoencoder"], 32, 1.5),
    "784-2000x4-10, batch 1": ([2000] * 4, MNIST, 1, None),
    "784-1024x3-10, batch 100": ([1024] * 3, MNIST, 100, None),
    "digits 64-100x2-10, batch 50": ([100] * 2, DIGITS, 50, None),
}
"""Network, task, batch size, and the bar of step over floor; None where it is reported only."""
MEMORY = (
    "784-2000x4-10, batch 100",
    *(f"{net}, batch 32" for net in ("ds-cnn", "resnet8", "mobilenet-v1-0.25", "pepita-conv")),
)
RIVALS = ("bp", "bp-autograd")
SHARES = (0.15, 0.2, 0.5, 0.8, 0.95)
"""Quantiles of the exit rule: the mean depth follows."""
MEMORY_BAR, AUTOGRAD_BAR, EXIT_BAR = 1.10, 1.10, 1.20


def marked(text: str, value: float, bar: float | None) -> str:
    """Return a figure, in bold where it is over its bar."""
    return f"**{text}**" if bar is not None and value > bar else text


def speed(rules: list[str], cases: list[str], alternations: int, device: str) -> Iterator[list[str]]:
    """Yield a row per rule and case: step over floor, and the time of a step."""
    rate = bandwidth()
    for case in cases:
        network, task, samples, bar = CASES[case]
        for rule in rules:
            try:
                ratio = step_over_floor(rule, ready(rule, network, task, device), task, samples, rate, alternations)
            except FobenchError as refusal:
                yield [case, rule, f"refuses: {refusal}", ""]
                continue
            bar_text = "" if bar is None else f" (bar {bar})"
            yield [case + bar_text, rule, marked(str(ratio), ratio.median, bar), f"{1e3 * ratio.seconds:.2f}"]


def against_autograd(cases: list[str], alternations: int, device: str) -> Iterator[list[str]]:
    """Yield a row per case: the time of bp over that of bp-autograd."""
    for case in cases:
        network, task, samples, _ = CASES[case]
        x, y = batch(task, samples, device)
        by_hand, autograd = (partial(ready(rule, network, task, device).train_step, x, y) for rule in RIVALS)
        ratio = in_turn(by_hand, autograd, alternations)
        yield [case, marked(str(ratio), ratio.median, AUTOGRAD_BAR)]


def memory(rules: list[str], cases: list[str], device: str) -> Iterator[list[str]]:
    """Yield a row per rule and case: batch-proportional peak over the rule's minimum."""
    for case in (case for case in MEMORY if case in cases):
        network, task, samples, _ = CASES[case]
        for rule in (rule for rule in rules if rule in plugins.installed("costs")):
            try:
                peak, minimum = peak_over_minimum(rule, network, task, samples, device)
            except FobenchError:
                continue
            ratio = peak / minimum
            yield [case, rule, f"{peak / 1e6:.2f}", f"{minimum / 1e6:.2f}", marked(f"{ratio:.3f}", ratio, MEMORY_BAR)]


def exits(alternations: int, device: str) -> Iterator[list[str]]:
    """Yield a row per threshold of LightFF on 784-2000x4: time over FF's, over the ratio of their counted MACs."""
    x, y = (part.to(device) for part in toy_data(MNIST, 2000, seed=1))
    for share in SHARES:
        light = ready("lightff", [2000] * 4, MNIST, device, threshold="quantile", parameter=share)
        for part in torch.arange(1000).split(100):
            light.train_step(x[part], y[part])
        light.calibrate(x[1000:1900], y[1000:1900])
        for samples in (100, 1):
            seen = x[1900 : 1900 + samples]
            depth = float(light.predict(seen).depth.double().mean())
            macs = counted(light, light, seen) / counted(light, light.ff, seen)
            ratio = in_turn(partial(light.predict, seen), partial(light.ff.predict, seen), alternations)
            over = ratio.median / macs
            text = marked(f"{over:.2f}", over, EXIT_BAR if samples > 1 and depth >= 1.4 else None)
            yield [str(share), str(samples), f"{depth:.2f}", f"{macs:.3f}", str(ratio), text]


def counted(owner: Any, learner: Any, x: torch.Tensor) -> float:
    """Return the MACs of one prediction."""
    tracer = plugins.load("macs", "tracers")()
    with tracer.trace(owner, (x,)):
        learner.predict(x)
    return sum(reading.value for reading in tracer.readings() if reading.quantity == "macs")


def table(title: str, columns: list[str], rows: Iterator[list[str]]) -> str:
    """Print rows as they come and return them as a Markdown table."""
    lines = [f"## {title}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    print("\n".join(lines), flush=True)
    for row in rows:
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def conditions(alternations: int) -> str:
    """Say where and how the tables were measured."""
    return (
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} thread, float32, "
        f"default hyperparameters; medians of {alternations} alternations with 95 % intervals; bold is over its bar.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alternations", type=int, default=30)
    parser.add_argument("--rules", nargs="*", default=sorted(plugins.installed("learners")))
    parser.add_argument("--cases", nargs="*", default=list(CASES), help="parts of their names")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    cases = [case for case in CASES if any(part in case for part in asked.cases)]
    torch.set_num_threads(1)
    # of a batch that is learned by heart errors become denormal, and products of them slow
    torch.set_flush_denormal(True)
    parts = [
        conditions(asked.alternations),
        table(
            "A step over its floor", ["network", "rule", "step / floor", "ms per step"],
            speed(asked.rules, cases, asked.alternations, asked.device),
        ),
        table("bp over bp-autograd (bar 1.10)", ["network", "ratio"], against_autograd(cases, asked.alternations, asked.device)),
        table(
            "Batch-proportional peak over the rule's minimum (bar 1.10)", ["network", "rule", "peak MB", "minimum MB", "ratio"],
            memory(asked.rules, cases, asked.device),
        ),
        table(
            "LightFF over FF, time against MACs (bar 1.20 at batch 100 from a mean depth of 1.4)",
            ["quantile", "batch", "mean depth", "MACs ratio", "time ratio", "time / MACs"],
            exits(asked.alternations, asked.device) if "lightff" in asked.rules else iter(()),
        ),
    ]  # fmt: skip
    if len(cases) == len(CASES) and asked.rules == sorted(plugins.installed("learners")):
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
