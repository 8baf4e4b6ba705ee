"""PDF by typst: the blocks as JSON, a static template that sets them, embedded fonts only."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import typst

from fobench.contracts import FobenchError
from fobench.report.document import Block, Document, Figure


class TypesetError(FobenchError):
    """A document that typst refuses."""


def write(document: Document, folder: Path) -> Path:
    """Write `report.pdf`; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "report.pdf"
    template = files("fobench.report.render").joinpath("report.typ")
    inputs = {"document": text(document)}
    with tempfile.TemporaryDirectory() as folder_name:
        root = Path(folder_name)
        (root / "report.typ").write_bytes(template.read_bytes())
        for block in document.blocks:
            if isinstance(block, Figure):
                (root / f"{block.name}.png").write_bytes(block.png)
        try:
            pdf = typst.compile(root / "report.typ", root=root, sys_inputs=inputs, ignore_system_fonts=True)
        except typst.TypstError as error:
            raise TypesetError(f"typst cannot set the report ({error}); report.md holds the same tables") from error
    target.write_bytes(pdf)
    return target


def text(document: Document) -> str:
    """Return the document as the JSON that the template reads; a figure stands there by its file's name."""
    return json.dumps(
        {"title": document.title, "subtitle": document.subtitle, "blocks": [_plain(block) for block in document.blocks]}
    )


def _plain(block: Block) -> dict[str, object]:
    plain = {name: value for name, value in asdict(block).items() if name != "png"}
    return {"kind": type(block).__name__.lower(), **plain}
