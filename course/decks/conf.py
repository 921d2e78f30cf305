"""Sphinx's settings for the decks: `python course/decks/build.py` (what `make decks` calls)."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tools")]

project = "Slides of the VAE book"
author = "The VAE book developers"
language = "en"
root_doc = "deck1"
extensions = ["myst_parser", "sphinx_revealjs", "book_math", "directives"]
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_dmath_double_inline = True
html_math_renderer = "mathml"
html_copy_source = False
# Of what sphinx-revealjs copies only reveal.js itself and its speaker view are used.
exclude_patterns = [
    "revealjs/css",
    "revealjs/dist/theme",
    "revealjs/dist/*.map",
    "revealjs/dist/*.esm.js",
    *(f"revealjs/plugin/{name}" for name in ("highlight", "markdown", "math", "search", "zoom")),
]

revealjs_html_theme = "revealjs-simple"
revealjs_style_theme = "slides.css"
revealjs_static_path = ["static"]
revealjs_js_files = [("slides.js", {"defer": "defer"})]
revealjs_use_section_ids = True
revealjs_script_plugins = [{"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"}]
revealjs_script_conf = {
    "width": 1280,
    "height": 720,
    "margin": 0,
    "center": False,
    "hash": True,
    "slideNumber": "c/t",
    "controls": False,
    "transition": "none",
    "pdfSeparateFragments": False,
}
