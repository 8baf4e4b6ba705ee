"""Networks that have a name."""

from __future__ import annotations

from fobench.networks.records import Record, conv, flatten, pool


def named_networks() -> dict[str, list[Record]]:
    """Return every named network: the convolutional nets of the PEPITA papers (`learning_rules` 8.5)."""
    return {
        "pepita-conv": [conv(32, kernel=5), pool(2), flatten()],
    }
