"""fobench: what a learning algorithm costs in energy, memory, multiply-accumulates and time."""

__version__ = "0.1.0"
