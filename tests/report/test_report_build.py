from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from synthetic_results import Synthetic

from fobench import plugins
from fobench.contracts import Origin
from fobench.report.build import build, document, section_names
from fobench.report.document import Column, Document, Figure, Heading, Note, Prose, Table, Value
from fobench.report.inputs import ReportError, read
from fobench.report.panels import styles
from fobench.report.render import markdown, typst

FORTY = tuple(f"a-rather-long-learner-name-{number:02d}" for number in range(40))

SHAPES = {
    "plain": Synthetic(),
    "surrogate": Synthetic(origin=Origin.SURROGATE),
    "no energy meter": Synthetic(meters=("clock",)),
    "no meter at all": Synthetic(meters=()),
    "one seed": Synthetic(seeds=(0,)),
    "one learner": Synthetic(labels=("bp",)),
    "one of each": Synthetic(labels=("bp",), datasets=("digits",), seeds=(0,)),
    "failed cells": Synthetic(fail=("bp", "drtp")),
    "no inference": Synthetic(infer=False),
    "batch of one": Synthetic(batch=1),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_results_makes_a_report(shape, tmp_path):
    paths = build(SHAPES[shape].write(tmp_path / "results"), tmp_path / "reports")
    assert [path.name for path in paths] == ["report.md", "report.pdf"]
    assert paths[1].read_bytes().startswith(b"%PDF-")
    text = paths[0].read_text()
    assert "nan" not in re.findall(r"[a-z]+", text.lower())
    for link in re.findall(r"\]\((figures/[^)]+)\)", text):
        assert (paths[0].parent / link).read_bytes().startswith(b"\x89PNG")


def test_forty_learners_on_four_data_sets_stay_on_the_page(tmp_path):
    synthetic = Synthetic(
        labels=FORTY, datasets=tuple(f"data-{n}" for n in range(4)), seeds=(0, 1), windows=1, stages=1
    )
    made = document(read(synthetic.write(tmp_path)))
    assert typst.write(made, tmp_path).stat().st_size > 50_000
    for block in made.blocks:
        if isinstance(block, Table) and block.columns[1].header == "Network":
            longest = [
                max(len(getattr(row[i], "text", row[i])) for row in block.rows) for i in range(len(block.columns))
            ]
            assert sum(longest) <= 130, block.caption


def test_the_energy_section_says_why_it_is_empty(tmp_path):
    made = document(read(Synthetic(meters=("clock",)).write(tmp_path)))
    notes = [block.text for block in made.blocks if isinstance(block, Note)]
    assert any("No energy was metered: nvml: no NVIDIA driver; install one" in note for note in notes)


@pytest.mark.parametrize(("labels", "word"), [(("bp", "ff"), "rules"), (("bp",), "nothing is compared")])
def test_the_summary_says_what_is_compared(labels, word, tmp_path):
    text = markdown.text(document(read(Synthetic(labels=labels).write(tmp_path))))
    assert word in text


def test_networks_that_differ_make_a_comparison_of_recipes(tmp_path):
    Synthetic(labels=("bp",), network="64-500").write(tmp_path)
    folder = Synthetic(labels=("ff",), network="64-200x2").write(tmp_path)
    assert "this compares recipes" in markdown.text(document(read(folder)))


def test_surrogates_carry_their_sentence(tmp_path):
    text = markdown.text(document(read(Synthetic(origin=Origin.SURROGATE).write(tmp_path))))
    assert "MACs and bytes exactly, time nearly, energy only partly" in text
    assert "early exits not at all" in text


def test_failed_cells_are_named_with_their_reason(tmp_path):
    text = markdown.text(document(read(Synthetic(fail=("drtp",)).write(tmp_path))))
    assert "6 cells did not end well" in text
    assert r"failed: ValueError: diverged \| at step 3" in text


def test_versions_that_differ_are_noted(tmp_path):
    Synthetic(labels=("bp",)).write(tmp_path)
    other = Synthetic(labels=("ff",))
    folder = other.write(tmp_path)
    for path in folder.rglob("ff--*"):
        path.write_text(path.read_text().replace('"torch": "2.13.0"', '"torch": "2.6.0"'))
    assert "different versions of torch" in markdown.text(document(read(folder)))


def test_sections_of_the_package_come_in_order():
    known = [
        name for name in section_names() if name in ("summary", "energy", "memory", "macs", "time", "error", "machine")
    ]
    assert known == ["summary", "energy", "memory", "macs", "time", "error", "machine"]
    assert section_names()[-2:] == ["machine", "newcomer"]


def test_a_section_of_another_package_stands_before_the_machine(monkeypatch):
    points = {**plugins.installed("sections"), "zebra": None}
    monkeypatch.setattr(plugins, "installed", lambda group: points)
    assert section_names()[-3:] == ["zebra", "machine", "newcomer"]


def test_the_pdf_is_the_same_twice(report, tmp_path):
    made = document(report)
    assert typst.write(made, tmp_path / "a").read_bytes() == typst.write(made, tmp_path / "b").read_bytes()


def test_an_unknown_format_is_refused(synthetic, tmp_path):
    with pytest.raises(ReportError, match="unknown format docx; expected some of md, pdf, html, latex, csv"):
        build(synthetic.write(tmp_path), tmp_path, formats=("docx",))


def test_markup_in_names_is_only_text(tmp_path):
    hostile = "a*b_c|<d>#$`\\[e]"
    table = Table(
        hostile, (Column(hostile), Column("x [s]", "g")), ((hostile, Value("1 ± 2", "m†", True, 1.0)),), (hostile,)
    )
    made = Document(hostile, hostile, (Heading(hostile), Prose(hostile), Note(hostile), table))
    text = markdown.text(made)
    assert r"| a\*b\_c\|\<d\>\#$\`\\[e] | **1 ± 2**ᵐ† |" in text
    assert "g: x" in text
    assert typst.write(made, tmp_path).exists()


def test_a_learner_keeps_its_colour_whoever_stands_beside_it():
    alone, together = styles(["ff"]), styles(["BP", "FF", "ff", "zebra"])
    assert alone["ff"] == together["ff"] == together["FF"]
    assert len({together[label] for label in ("BP", "FF", "zebra")}) == 3
    assert len(set(styles(FORTY).values())) == 40


def test_figures_are_fit_for_print(report):
    figures = [block for block in document(report).blocks if isinstance(block, Figure)]
    assert {figure.name for figure in figures} == {
        *("energy", "error-energy", "memory-total", "memory-batch", "macs-passes"),
        *("pareto-energy", "pareto-memory", "pareto-macs"),
    }
    for figure in figures:
        width, _ = struct.unpack(">II", figure.png[16:24])
        assert width / 6.7 >= 200, "dots per inch on the width of the text"


def test_reports_of_a_suite_lie_in_a_folder_of_its_name(synthetic, tmp_path):
    paths = build(synthetic.write(tmp_path), tmp_path / "out", formats=("md",))
    assert paths == [Path(tmp_path / "out" / "synthetic" / "report.md")]
