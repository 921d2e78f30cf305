"""A Sphinx extension with one directive, `chapter-status`: how each chapter last ran, in one table.

Nothing is typed in: the figures are read from the outputs that the chapters keep. The last measured cell of each prints
its run time, its peak memory and the versions.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

REPORT = re.compile(r"this page: ([\d.]+) minutes, peak memory ([\d.]+) GiB\nTensorFlow (\S+), Keras (\S+)")
HEADS = ("Chapter", "Code cells", "Asserts", "Pictures", "Minutes", "Peak memory", "TensorFlow", "Keras")


def read_chapter(path: Path) -> tuple[str, ...]:
    """The cells of a chapter's row, in the order of `HEADS`.

    Raises:
        ValueError: the chapter does not print its run time, memory and versions.
    """
    notebook = json.loads(path.read_text("utf-8"))
    cells = notebook["cells"]
    title = re.search(r"^# (.*)", "".join(cells[0]["source"]), re.M)[1]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    asserts = sum(len(re.findall(r"^\s*(?:assert\b|np\.testing\.assert_)", "".join(c["source"]), re.M)) for c in code)
    outputs = [output for cell in code for output in cell["outputs"]]
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    printed = "".join("".join(output.get("text", [])) for output in outputs)
    report = REPORT.search(printed)
    if report is None:
        raise ValueError(f"{path.name}: expected a cell that prints 'this page: … minutes, peak memory … GiB'.")
    minutes, memory, tensorflow, keras = report.groups()
    return title, str(len(code)), str(asserts), str(pictures), minutes, f"{memory} GiB", tensorflow, keras


class ChapterStatus(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        toc = yaml.safe_load((root / "_toc.yml").read_text("utf-8"))
        files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
        chapters = [root / f"{file}.ipynb" for file in files if file.startswith("notebooks/")]
        rows = []
        for path in chapters:
            self.env.note_dependency(str(path))
            rows.append(read_chapter(path))
        table = nodes.table()
        group = nodes.tgroup(cols=len(HEADS))
        table += group
        group += [nodes.colspec(colwidth=3 if head == "Chapter" else 1) for head in HEADS]
        for part, lines in ((nodes.thead(), [HEADS]), (nodes.tbody(), rows)):
            for line in lines:
                row = nodes.row()
                row += [nodes.entry("", nodes.paragraph(text=cell)) for cell in line]
                part += row
            group += part
        return [table]


def setup(app):
    app.add_directive("chapter-status", ChapterStatus)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
