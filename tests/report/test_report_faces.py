"""The same numbers in every face of a report: HTML in a real browser, LaTeX, CSV."""

from __future__ import annotations

import csv
import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fobench.report.document import Column, Document, Figure, Heading, Note, Prose, Table, Value
from fobench.report.render import html as face
from fobench.report.render import markdown, sheets

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    + "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
TABLE = Table(
    "Energy & <time>, 5 % of it",
    (Column("Learner", number=False), Column("[mWh]", "mit-bih"), Column("batch 1 [mJ]", "mit-bih")),
    (
        ("BP_1", Value("9.1 ± 0.2", "e", number=9.1), Value("12", "m", True, 12.0)),
        ("FF", Value("10.0", "e", number=10.0), "–"),
        ("DRTP", Value("0.9", "e", True, 0.9), Value("3", "m", number=3.0)),
    ),
    ("e = estimated",),
)
DOCUMENT = Document(
    "What <learning> costs",
    "a machine",
    (
        Heading("Energy, all of it"),
        Prose("a < b & c"),
        Note("<script>alert(1)</script>"),
        TABLE,
        Figure("bars", "Bars", PIXEL),
    ),
)


class Words(html.parser.HTMLParser):
    """Collects text, tags and every address that a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(page: str) -> Words:
    words = Words()
    words.feed(page)
    return words


def test_html_shows_what_markdown_shows_and_asks_nobody() -> None:
    page = read(face.text(DOCUMENT))
    shown = " ".join(" ".join(page.words).split())
    for words in (
        "What <learning> costs",
        "a < b & c",
        "<script>alert(1)</script>",
        "9.1 ± 0.2",
        "e = estimated",
        TABLE.caption,
    ):
        assert words in shown
    assert page.tags.count("script") == 1
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "url(" not in face.text(DOCUMENT) and "@import" not in face.text(DOCUMENT)
    assert "9.1 ± 0.2" in markdown.text(DOCUMENT)


def test_every_link_of_the_contents_has_its_heading() -> None:
    page = face.text(DOCUMENT)
    assert re.findall(r'href="#([^"]+)"', page) == re.findall(r'<h2 id="([^"]+)"', page) == ["energy-all-of-it"]


@pytest.fixture(scope="module")
def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium")
    return found


def ask(browser: str, page: str, script: str, folder: Path, width: int = 1200) -> Any:
    """Run a script in the page and return the JSON that it leaves in the title."""
    target = folder / "page.html"
    probe = f"<script>addEventListener('load', () => {{ document.title = JSON.stringify((() => {{ {script} }})()) }})</script>"
    target.write_text(page.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},900",
    ]
    command = [browser, *flags, "--virtual-time-budget=3000", "--dump-dom", target.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"<title>(.*?)</title>", dom, re.S)
    assert found
    return json.loads(html.unescape(found[1]))


def test_a_click_sorts_by_value_and_leaves_gaps_last(browser: str, tmp_path: Path) -> None:
    script = """
      const order = () => [...document.querySelectorAll('tbody th')].map(cell => cell.textContent);
      const buttons = document.querySelectorAll('thead button'), seen = [];
      for (const [column, clicks] of [[1, 1], [1, 1], [2, 1], [2, 1], [0, 1]]) {
        for (let i = 0; i < clicks; i++) buttons[column].click();
        seen.push(order());
      }
      return seen;
    """
    assert ask(browser, face.text(DOCUMENT), script, tmp_path) == [
        ["DRTP", "BP_1", "FF"],
        ["FF", "BP_1", "DRTP"],
        ["DRTP", "BP_1", "FF"],
        ["BP_1", "DRTP", "FF"],
        ["BP_1", "DRTP", "FF"],
    ]


@pytest.mark.parametrize("width", [1200, 400])
def test_nothing_overflows_and_nothing_is_fetched(browser: str, tmp_path: Path, width: int) -> None:
    wide = Table(
        "Wide", tuple(Column(f"quantity_{i} [mWh]", "a data set") for i in range(30)), (("1.0 ± 0.1",) * 30,) * 3
    )
    page = face.text(Document("T" * 90, "s" * 200, (Heading("h" * 120), wide, Figure("bars", "Bars", PIXEL))))
    script = """
      const loaded = performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !name.startsWith('data:'));
      return [document.documentElement.scrollWidth <= innerWidth, loaded, document.images[0].complete];
    """
    assert ask(browser, page, script, tmp_path, width) == [True, [], True]


def test_latex_escapes_and_rules() -> None:
    made = sheets.latex(TABLE)
    assert r"\caption{Energy \& \textless{}time\textgreater{}, 5 \% of it}" in made
    assert r"BP\_1 & 9.1 $\pm$ 0.2\textsuperscript{e} & \textbf{12}\textsuperscript{m} \\" in made
    assert r"\cmidrule(lr){2-3}" in made and r"{[mWh]}" in made
    assert made.count("{") - made.count(r"\{") == made.count("}") - made.count(r"\}")
    assert [made.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]


def test_csv_keeps_texts_and_marks() -> None:
    rows = list(csv.reader(sheets.comma_separated(TABLE).splitlines()))
    assert rows[0] == [
        "Learner",
        "mit-bih: [mWh]",
        "mit-bih: [mWh] (mark)",
        "mit-bih: batch 1 [mJ]",
        "mit-bih: batch 1 [mJ] (mark)",
    ]
    assert rows[1] == ["BP_1", "9.1 ± 0.2", "e", "12", "m"]
    assert rows[2] == ["FF", "10.0", "e", "–", ""]


def test_a_file_for_each_table_and_no_leftovers(tmp_path: Path) -> None:
    (tmp_path / "latex").mkdir()
    (tmp_path / "latex" / "99-old.tex").write_text("old")
    folder = sheets.write_latex(DOCUMENT, tmp_path)
    assert [path.name for path in folder.iterdir()] == ["01-energy-all-of-it.tex"]
    assert [path.name for path in sheets.write_csv(DOCUMENT, tmp_path).iterdir()] == ["01-energy-all-of-it.csv"]
