"""A Sphinx extension for this book: pictures and films that load and move politely, and what the pages say of the code.

Pictures get their size, so that the page does not jump, and load when they are scrolled to. An animated PNG (what a
chapter keeps as its output) stands beside its still picture for readers who asked their system for no motion, and a GIF
of it is made for slides. `book.js` adds a button that stops it.

The directive `chapter-status` makes a table of how each chapter last ran, from the outputs that the chapters keep.
"""

from __future__ import annotations

import html
import inspect
import itertools
import json
import re
from pathlib import Path

import yaml
from docutils import nodes
from PIL import Image
from sphinx.util.docutils import SphinxDirective

REPORT = re.compile(r"this page: ([\d.]+) minutes, peak memory ([\d.]+) GiB\nTensorFlow (\S+), Keras (\S+)")
CLAIM = re.compile(r"^\s*(?:assert\b|np\.testing\.assert_|vh\.check\()", re.M)


def film_to_gif(source: Path, target: Path) -> None:
    """Writes the film of an animated PNG, without its still picture, as a GIF."""
    frames, ends = [], [0]
    with Image.open(source) as film:
        for number in range(film.default_image, film.n_frames):
            film.seek(number)
            ends.append(ends[-1] + film.info["duration"])
            frames.append(film.convert("RGB"))
            frames[-1].info.clear()  # the transparent colour, which a GIF would misread
    # GIF counts in hundredths of a second: round the moments, not the durations, so that errors do not add up.
    durations = [10 * (round(end / 10) - round(start / 10)) for start, end in itertools.pairwise(ends)]
    frames[0].save(target, save_all=True, append_images=frames[1:], duration=durations, loop=0)


def _visit_image(self, node) -> None:
    given = node["uri"]  # Sphinx puts the address on the page in its place
    type(self).visit_image(self, node)
    picture = self.body[-1]
    source = Path(self.builder.srcdir, given)
    if not picture.startswith("<img") or source.suffix not in (".png", ".gif", ".jpg") or not source.exists():
        return
    with Image.open(source) as image:
        size = f'width="{image.width}" height="{image.height}"' * ("width=" not in picture)
        picture = picture.replace("<img", f'<img loading="lazy" decoding="async" {size}', 1)
        if source.suffix == ".png" and getattr(image, "is_animated", False):
            name = Path(self.builder.images.get(given, source.name)).stem
            files = Path(self.builder.outdir, self.builder.imagedir, name)
            files.parent.mkdir(exist_ok=True)
            image.convert("RGB").save(f"{files}-still.png", optimize=True)
            film_to_gif(source, gif := files.with_suffix(".gif"))
            base = html.escape(f"{self.builder.imgpath}/{name}")
            picture = (
                f'<picture class="film"><source media="(prefers-reduced-motion: reduce)" srcset="{base}-still.png">'
                f'{picture.strip()}</picture><p class="film-links"><a href="{base}.gif" download>as GIF, '
                f"{gif.stat().st_size / 1000:.0f} kB</a></p>\n"
            )
        elif "reference" not in node.parent.tagname:  # a tap shows it in full size, which a phone can zoom
            address = re.search('src="([^"]*)"', picture)[1]
            picture = f'<a href="{address}">{picture.strip()}</a>\n'
    self.body[-1] = picture


def _depart_image(self, node) -> None:
    type(self).depart_image(self, node)


def read_chapter(path: Path) -> list[str]:
    """The cells of a chapter's row: title, code cells, claims, pictures, minutes, memory, versions.

    Raises:
        ValueError: the chapter does not print its run time, memory and versions.
    """
    cells = json.loads(path.read_text("utf-8"))["cells"]
    title = re.search(r"^# (.*)", "".join(cells[0]["source"]), re.M)[1]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    claims = sum(len(CLAIM.findall("".join(cell["source"]))) for cell in code)
    outputs = [output for cell in code for output in cell["outputs"]]
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    report = REPORT.search("".join("".join(output.get("text", [])) for output in outputs))
    if report is None:
        raise ValueError(f"{path.name}: expected a cell that prints 'this page: … minutes, peak memory … GiB'.")
    minutes, memory, *versions = report.groups()
    return [title, *map(str, (len(code), claims, pictures)), minutes, f"{memory} GiB", *versions]


class ChapterStatus(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        toc = yaml.safe_load((root / "_toc.yml").read_text("utf-8"))
        files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
        heads = "Chapter", "Code cells", "Claims checked", "Pictures", "Minutes", "Peak memory", "TensorFlow", "Keras"
        rows = [heads, ["---"] * len(heads)]
        for path in (root / f"{file}.ipynb" for file in files if file.startswith("notebooks/")):
            self.env.note_dependency(str(path))
            rows.append(read_chapter(path))
        return self.parse_text_to_nodes("\n".join(f"| {' | '.join(row)} |" for row in rows))


def _signature_of_init(app, what, name, obj, options, signature, return_annotation):
    """Keras's models are made by a `__new__(*args, **kwargs)`, which says nothing about their arguments."""
    if what != "class" or "__init__" not in vars(obj):
        return None
    initialiser = inspect.signature(obj.__init__)
    arguments = [p.replace(annotation=p.empty) for p in initialiser.parameters.values() if p.name != "self"]
    return str(inspect.Signature(arguments)), None


def _forget_pages_with_warnings(app, exception) -> None:
    """Sphinx reads a page again only when it changed: without this, the next build would forget the warnings."""
    if app._warncount:
        Path(app.doctreedir, "environment.pickle").unlink(missing_ok=True)


def setup(app):
    app.add_directive("chapter-status", ChapterStatus)
    app.connect("autodoc-process-signature", _signature_of_init)
    app.connect("build-finished", _forget_pages_with_warnings)
    # One page is always written: Sphinx copies style sheets and pictures only when some page has changed.
    app.connect("env-get-outdated", lambda *_: [app.config.root_doc])
    app.add_node(nodes.image, override=True, html=(_visit_image, _depart_image))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
