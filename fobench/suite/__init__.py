"""Suite files: strict YAML in, a list of cells out, or every error of the file at once with its line and column."""

from fobench.suite.cells import load_suite
from fobench.suite.document import Problem, SuiteError

__all__ = ["Problem", "SuiteError", "load_suite"]
