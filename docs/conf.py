"""
How Sphinx makes the handbook: C{python -m sphinx docs docs/_build}. It needs no network.
"""

import sys
from pathlib import Path

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE / "_ext"), str(_HERE.parent)]

from sensord import __version__  # noqa: E402

project = "sensord"
copyright = "the authors of sensord"
version = release = __version__
extensions = ["handbook"]
exclude_patterns = ["_build", "_ext"]
nitpicky = True
highlight_language = "none"
pygments_style = "default"
smartquotes = False

html_theme = "alabaster"
html_static_path = ["_static"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "description": "A sensor gateway that never loses a reading it acknowledged",
    "font_family": "system-ui, sans-serif",
    "head_font_family": "system-ui, sans-serif",
    "fixed_sidebar": True,
    "show_powered_by": False,
    "page_width": "72rem",
    "sidebar_width": "15rem",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
