"""A Sphinx extension for this book: leave out the scripts of sphinx-thebe.

Jupyter Book 1 always loads sphinx-thebe. The book has no live-code button, so its scripts would only name a content
delivery network on every page, and twice, which is an error in the browser's console.
"""

from __future__ import annotations


def _mentions_thebe(script) -> bool:
    name = getattr(script, "filename", None) or str(script)
    return "thebe" in name or "thebe" in (getattr(script, "attributes", {}).get("body") or "")


def _drop_thebe(app, pagename, templatename, context, doctree) -> None:
    context["script_files"] = [script for script in context["script_files"] if not _mentions_thebe(script)]


def setup(app):
    app.connect("html-page-context", _drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
