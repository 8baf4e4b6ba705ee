"""How `tox -e docs` builds the documentation: these pages as they are, and one page per learner made from its docstring."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from learner_pages import FOLDER, write_pages

project = "fobench"
extensions = ["myst_parser"]
exclude_patterns = ["conf.py"]
html_theme = "furo"
html_title = "fobench"
html_show_sphinx = False
myst_heading_anchors = 3
highlight_language = "none"

write_pages(Path(__file__).parent / FOLDER)
