"""A Sphinx extension for this book: no scripts of sphinx-thebe, and pictures and films that load and move politely.

Jupyter Book 1 always loads sphinx-thebe. The book has no live-code button, so its scripts would only name a content
delivery network on every page, and twice, which is an error in the browser's console.

Pictures get their size, so that the page does not jump, and load when they are scrolled to. An animated PNG (what a
chapter keeps as its output) stands beside its still picture for readers who asked their system for no motion, and a GIF
of it is made for slides. `book.js` adds a button that stops it.

The page of the package is made from its docstrings: a name in single backticks becomes code, and a link where the page
explains it.
"""

from __future__ import annotations

import html
import inspect
from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.ext.autosummary import AutoLink


def _mentions_thebe(script) -> bool:
    name = getattr(script, "filename", None) or str(script)
    return "thebe" in name or "thebe" in (getattr(script, "attributes", {}).get("body") or "")


def _drop_thebe(app, pagename, templatename, context, doctree) -> None:
    context["script_files"] = [script for script in context["script_files"] if not _mentions_thebe(script)]


def film_to_gif(source: Path, target: Path) -> None:
    """Writes the film of an animated PNG, without its still picture, as a GIF."""
    frames, durations = [], []
    with Image.open(source) as film:
        for number in range(film.default_image, film.n_frames):
            film.seek(number)
            durations.append(film.info["duration"])
            frames.append(film.convert("RGB"))
            frames[-1].info.clear()  # the transparent colour, which a GIF would misread
    # One palette for all frames, so that nothing flickers.
    colors = sorted({color for frame in frames for _, color in frame.getcolors(frame.width * frame.height)})
    if len(colors) > 256:
        raise ValueError(f"{source.name}: expected a film of at most 256 colours, got {len(colors)}.")
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for color in colors for part in color])
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    # GIF counts in hundredths of a second: round the moments, not the durations, so that errors do not add up.
    moments = [round(sum(durations[:k]) / 10) for k in range(len(durations) + 1)]
    hundredths = [10 * (moments[k + 1] - moments[k]) for k in range(len(durations))]
    frames[0].save(target, save_all=True, append_images=frames[1:], duration=hundredths, loop=0, optimize=False)


def _visit_image(self, node) -> None:
    given = node["uri"]  # Sphinx puts the address on the page in its place
    type(self).visit_image(self, node)
    picture = self.body[-1]
    source = Path(self.builder.srcdir, given)
    if not picture.startswith("<img") or source.suffix not in (".png", ".gif", ".jpg") or not source.exists():
        return
    with Image.open(source) as image:
        width, height = image.size
        film = getattr(image, "is_animated", False)
    attributes = 'loading="lazy" decoding="async"'
    if "width=" not in picture and "height=" not in picture:
        attributes += f' width="{width}" height="{height}"'
    picture = picture.replace("<img", f"<img {attributes}", 1)
    if film and source.suffix == ".png":
        name = Path(self.builder.images.get(given, source.name)).stem
        folder = Path(self.builder.outdir, self.builder.imagedir)
        folder.mkdir(exist_ok=True)
        with Image.open(source) as image:
            image.convert("RGB").save(folder / f"{name}-still.png", optimize=True)
        film_to_gif(source, folder / f"{name}.gif")
        base = html.escape(f"{self.builder.imgpath}/{name}")
        kilobytes = (folder / f"{name}.gif").stat().st_size / 1000
        picture = (
            f'<picture class="film"><source media="(prefers-reduced-motion: reduce)" srcset="{base}-still.png">'
            f'{picture.strip()}</picture><p class="film-links"><a href="{base}.gif" download>as GIF, '
            f"{kilobytes:.0f} kB</a></p>\n"
        )
    self.body[-1] = picture


def _depart_image(self, node) -> None:
    type(self).depart_image(self, node)


class Name(AutoLink):
    """`name` in a docstring: what autosummary finds becomes a link, everything else code, not emphasis."""

    def run(self):
        if self.text.startswith("vh."):  # as the reader imports it
            self.text += f" <vae_helpers.{self.text[3:]}>"
        if self.text.startswith("."):  # an ending, or a method: Python's names do not begin with a dot
            return [nodes.literal(self.rawtext, self.text)], []
        found, messages = super().run()
        return [nodes.literal(n.rawsource, n.astext()) if isinstance(n, nodes.emphasis) else n for n in found], messages


def _signature_of_init(app, what, name, obj, options, signature, return_annotation):
    """Keras's models are made by a `__new__(*args, **kwargs)`, which says nothing about their arguments."""
    if what != "class" or "__init__" not in vars(obj):
        return None
    initialiser = inspect.signature(obj.__init__)
    arguments = [p.replace(annotation=p.empty) for p in initialiser.parameters.values() if p.name != "self"]
    return str(inspect.Signature(arguments)), None


def setup(app):
    app.setup_extension("sphinx.ext.autosummary")
    app.add_role("name", Name())
    app.connect("autodoc-process-signature", _signature_of_init)
    app.connect("html-page-context", _drop_thebe, priority=900)
    app.add_node(nodes.image, override=True, html=(_visit_image, _depart_image))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
