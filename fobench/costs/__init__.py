"""What a rule costs on a network, in closed form: MACs by role and bytes by role, without torch and without running it."""

from fobench.costs.catalog import program_of
from fobench.costs.program import (
    Buffer,
    BufferRole,
    CostError,
    Format,
    Kind,
    Lifetime,
    Op,
    Peak,
    Program,
    Step,
)
from fobench.costs.setting import Setting

__all__ = [
    "Buffer", "BufferRole", "CostError", "Format", "Kind", "Lifetime", "Op", "Peak", "Program", "Setting", "Step",
    "program_of",
]  # fmt: skip
