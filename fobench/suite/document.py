"""Suite files as documents, and the error that refuses one."""

from __future__ import annotations

from pathlib import Path

from fobench import documents
from fobench.documents import Document, DocumentError, Form, Place, Problem, shown

__all__ = ["Document", "Place", "Problem", "SuiteError", "read", "shown"]


class SuiteError(DocumentError):
    """A suite file that is not valid: all its problems at once, one per line as `file:line:column: what is wrong`."""

    refused = "nothing was run"


FORM = Form("suite", "suite, datasets, learners", SuiteError)


def read(path: Path) -> Document:
    """Read one suite file; raises SuiteError if there is no mapping to speak of, else notes what is wrong."""
    return documents.read(path, FORM)
