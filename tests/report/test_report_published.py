"""The published figures: a strict reader that names the place of a mistake, and numbers that agree with what else is known."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from paper_results import SUITES, header_of, suite_of

from fobench.report import published
from fobench.report.published import COLUMNS, Figure, PublishedFigureError, read, table, tables
from fobench.report.reproduce import departures, fits

GOOD = {
    "row": "FF", "column": "MNIST", "target": "ff", "network": "2000x4", "dataset": "mnist", "settings": "inference=multi-pass",
    "epochs": "100", "quantity": "error", "value": "1.50", "unit": "%", "counted": "test error", "source": "a paper",
}  # fmt: skip


def written(folder: Path, *lines: dict[str, str], head: Iterable[str] = COLUMNS) -> Path:
    path = folder / "some.csv"
    body = [",".join(line.get(column, "") for column in COLUMNS) for line in lines]
    path.write_text("\n".join([",".join(head), *body]) + "\n", encoding="utf-8")
    return path


def figures(name: str, **where: str) -> list[Figure]:
    return [f for f in table(name).figures if all(getattr(f, key) == value for key, value in where.items())]


# --- the reader ---------------------------------------------------------------------------------------------------------


def test_one_line_is_one_figure(tmp_path: Path) -> None:
    (figure,) = read(written(tmp_path, GOOD))
    assert (figure.value, figure.text, figure.epochs, figure.labels) == (1.5, "1.50", 100, 1)
    assert figure.settings == {"inference": "multi-pass"}
    assert figure.tolerance == pytest.approx(0.005)
    assert figure.factor == 0.01


def test_a_spread_is_the_tolerance_and_a_bound_is_known(tmp_path: Path) -> None:
    spread, bound = read(written(tmp_path, GOOD | {"spread": "0.10"}, GOOD | {"value": ">6"}))
    assert (spread.tolerance, spread.printed) == (0.1, "1.50 ± 0.10")
    assert (bound.is_bound, bound.value) == (True, 6)


@pytest.mark.parametrize(
    ("change", "column", "what"),
    [
        ({"value": "1,5"}, None, "expected 17 columns, found more or fewer"),
        ({"value": "about 2"}, "value", "found 'about 2'; expected a number above 0"),
        ({"value": "nan"}, "value", "expected a number above 0"),
        ({"value": ""}, "value", "is empty"),
        ({"source": ""}, "source", "is empty"),
        ({"spread": "-0.1"}, "spread", "expected a number above 0"),
        ({"unit": "J"}, "unit", "found error in J; expected one of error in %"),
        ({"epochs": "1.5"}, "epochs", "found '1.5'; expected a whole number above 0"),
        ({"labels": "0"}, "labels", "expected a whole number above 0"),
        ({"settings": "inference"}, "settings", "expected name=value;name=value"),
        ({"barrier": "no"}, "barrier", "expected nothing or not comparable or cannot be reproduced as published"),
        ({"barrier": "not comparable"}, "doubts", "a barrier needs its reason"),
    ],
)
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, change: dict[str, str], column: str | None, what: str
) -> None:
    path = written(tmp_path, GOOD, GOOD | change)
    with pytest.raises(PublishedFigureError) as refused:
        read(path)
    place = f"{path}, line 3" + (f", column {column}: " if column else ": ")
    assert str(refused.value).startswith(place)
    assert what in str(refused.value)


def test_other_columns_and_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PublishedFigureError, match="line 1: found the columns row, value; expected row, group"):
        read(written(tmp_path, head=("row", "value")))
    with pytest.raises(PublishedFigureError, match="cannot be read"):
        read(tmp_path / "none.csv")
    with pytest.raises(PublishedFigureError, match="no published table is called 'lightf'; did you mean 'lightff'"):
        table("lightf")


# --- the data -----------------------------------------------------------------------------------------------------------


def test_every_file_is_in_the_index_and_every_place_is_taken_once() -> None:
    names = {path.stem for path in published.home().glob("*.csv")}
    assert names == {found.name for found in tables()} | {"index"}
    for found in tables():
        places = [(figure.row, figure.group, figure.column) for figure in found.figures]
        assert len(places) == len(set(places)), found.name


def test_an_installed_package_has_the_figures_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel puts them where the reader looks first; a checkout has them beside the package."""
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"results/published": "fobench/published"}
    package = tmp_path / "site-packages" / "fobench"
    package.mkdir(parents=True)
    monkeypatch.setattr(published, "files", lambda name: package.parent / name)
    assert published.home() == package.parent / "results" / "published"
    (package / "published").mkdir()
    assert published.home() == package / "published"


def test_how_many_figures_each_table_has() -> None:
    """Counted in the published tables: rows times columns, without the empty places."""
    assert {found.name: len(found.figures) for found in tables()} == {
        "biofo-energy": 4 * 5,
        "biofo-scaling": 3 * 3,
        "biofo-depth": 5 * 4 * 6 + (2 + 3 + 2 + 3 + 3),
        "mini-imagenet": 5,
        "lightff": 4 * 10,
        "lightff-demo": 3,
        "claims": 3,
        "pepita": 4 * 6,
        "pepita-variants": 6 * 3,
        "feedback-alignment": 9 * 3 + 1 + 8,
        "drtp": 4 * 3,
        "biotorch": 6 * 9,
        "ff": 5,
    }


def commented(suite: str, label: str) -> list[str]:
    """Return the numbers that a suite's comment has behind a row's label, written there by another hand."""
    for line in (SUITES / f"{suite}.yaml").read_text(encoding="utf-8").splitlines():
        found = re.match(rf"#\s+{re.escape(label)}\s+(?=[>\d])(.*)", line)
        if found:
            return re.findall(r"[\d.]+", found[1].replace("+-", " ").replace("no target", ""))
    raise AssertionError(f"{suite} has no comment for {label}")


def printed(found: Iterable[Figure]) -> list[float]:
    return [float(part) for figure in found for part in (figure.text.removeprefix(">"), figure.spread) if part]


NOKLAND = ("7x240 tanh", "1x800 tanh", "2x800 tanh", "3x800 tanh", "4x800 tanh", "2x800 logistic", "2x800 ReLU")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("biofo-energy", ("DRTP", "PEPITA", "FF", "Bio-FO")),
        ("biofo-scaling", ("MNIST", "CIFAR-10", "CIFAR-100")),
        ("pepita", ("BP", "FA", "DRTP", "PEPITA")),
        ("feedback-alignment", NOKLAND),
    ],
)
def test_the_comments_of_the_suites_have_the_same_numbers(name: str, rows: tuple[str, ...]) -> None:
    for row in rows:
        group = {"group": "Test error [%]"} if name == "feedback-alignment" else {}
        assert printed(figures(name, row=row, **group)) == [float(word) for word in commented(name, row)], row


def test_lightff_has_the_numbers_of_the_suites_comment() -> None:
    for row in ("MNIST", "CIFAR-10", "CHB-MIT", "MIT-BIH"):
        own = printed(figures("lightff", row=row, group="Error [%]"))
        own += printed(figures("lightff", row=row, group="MACs [2^20]"))[:2]
        assert own == [float(word) for word in commented("lightff", row)]


def test_printed_ratios_are_those_of_the_printed_values() -> None:
    for row in ("MNIST", "CIFAR-10", "CHB-MIT", "MIT-BIH"):
        for group in ("MACs [2^20]", "Time [ms]"):
            full, light, ratio = figures("lightff", row=row, group=group)
            assert full.value / light.value == pytest.approx(ratio.value, abs=ratio.tolerance)


def test_ff_macs_are_the_closed_form_in_units_of_two_to_the_twenty() -> None:
    """n_0 2000 + 3 x 2000^2 per label; 13.39 is 13.397 with its last digits cut off, 11.90 is nothing of the kind."""
    inputs = {"MNIST": 784, "CIFAR-10": 3072, "CHB-MIT": 1024, "MIT-BIH": 169}
    found = {row: figures("lightff", row=row, group="MACs [2^20]", column="FF")[0] for row in inputs}
    exact = {row: (size * 2000 + 3 * 2000**2) / 2**20 for row, size in inputs.items()}
    for row in ("MNIST", "CIFAR-10"):
        assert found[row].value == round(exact[row], 2)
    assert found["CHB-MIT"].value == int(100 * exact["CHB-MIT"]) / 100
    assert found["MIT-BIH"].barrier == "cannot be reproduced as published"
    assert abs(found["MIT-BIH"].value - exact["MIT-BIH"]) > 0.1


@pytest.mark.parametrize("found", [found for found in tables() if found.suites], ids=lambda found: found.name)
def test_the_suite_of_a_table_has_its_cells(found: published.Published) -> None:
    """Every figure belongs to cells of the suite, at the published epochs; what no learner here has is listed."""
    heads = {(cell.label, cell.dataset.name): header_of(cell) for cell in suite_of(found.suites[0]).cells}
    absent = {
        "feedback-alignment": ("dropout", "adversarial"),
        "drtp": ("dropout 0.1", "dropout 0.25"),
        "biotorch": ("Fashion-MNIST", "CIFAR-10", "ImageNet"),
    }.get(found.name, ())
    for figure in found.figures:
        cells = [head for target in figure.targets for head in heads.values() if fits(figure, target, head)]
        place = f"{figure.row}, {figure.group}, {figure.column}"
        assert bool(cells) != any(word in place for word in absent), place
        if figure.epochs != 1000:  # of the full batch: the suite has 100 of small ones
            told = [text for head in cells for text in departures(figure, head)]
            assert all(text.endswith("not stated") for text in told), place


def test_the_figure_over_depth_at_one_four_and_six_layers() -> None:
    """The suite's comment has 1, 4 and 6 layers of five data sets side by side, of PEPITA 1, 2 and 3."""
    for row, depths in {
        "DRTP": (1, 4, 6),
        "FF": (1, 4, 6),
        "BP": (1, 4, 6),
        "Bio-FO": (1, 4, 6),
        "PEPITA": (1, 2, 3),
    }.items():
        groups = ("MNIST", "CIFAR-10", "CIFAR-100", "CHB-MIT", "MIT-BIH")
        columns = [f"{depth} layer{'s' * (depth > 1)}" for depth in depths]
        found = [
            f
            for group in groups
            for column in columns
            for f in figures("biofo-depth", row=row, group=group, column=column)
        ]
        assert [figure.value for figure in found] == [float(word) for word in commented("biofo-depth", row)], row
