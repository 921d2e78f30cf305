"""A Sphinx extension for the decks: where a slide comes from, its picture, and what the lecturer says.

`{slide} 2.8, 2.9` names the sections of the chapters that the slide is taken from, and shows them at its foot. With
`:picture:` it takes the picture of these sections whose alt text begins so, from the committed outputs. `{notes} 4`
holds what to say in four minutes: the speaker view shows it (key S) and times the slide by it.
"""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

from book_weight import MATH_FONT, UNWRITTEN, subset_font
from deck_sources import Picture, find_picture, sections
from docutils import nodes
from docutils.parsers.rst import directives
from PIL import Image
from sphinx.util.docutils import SphinxDirective
from sphinx_revealjs.nodes import revealjs_section

# By the ratio of its width to its height a picture takes the height of the slide, or stands beside or above the text.
TALL, WIDE = 1.15, 1.7


class SpeakerNotes(nodes.General, nodes.Element):
    """What the lecturer says: hidden on the slide, HTML in the speaker view."""


def _write(picture: Picture, folder: Path) -> tuple[Image.Image, str | None]:
    """Writes a picture; a film also as its still picture, whose name is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / picture.name).write_bytes(picture.png)
    image = Image.open(io.BytesIO(picture.png))
    if not getattr(image, "is_animated", False):
        return image, None
    still = f"{Path(picture.name).stem}-still.png"
    image.convert("RGB").save(folder / still, optimize=True)
    return image, still


def figure(picture: Picture, folder: Path, place: str | None) -> str:
    """The markup of a picture. A film begins as its still picture: slides.js plays it when its slide comes."""
    image, still = _write(picture, folder)
    ratio = image.width / image.height
    place = place or ("tall" if ratio < TALL else "beside" if ratio < WIDE else "above")
    shown = f"_images/{still or picture.name}"
    film = f' data-film="_images/{picture.name}"' if still else ""
    button = '<button type="button" class="film-button">Stop the film</button>' if still else ""
    size = f'width="{image.width}" height="{image.height}"'
    return f'<figure class="{place}"><img src="{shown}"{film} {size} alt="{html.escape(picture.alt)}">{button}</figure>'


class Slide(SphinxDirective):
    """The sections that a slide is taken from, and its picture."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {  # noqa: RUF012
        "picture": directives.unchanged_required,
        "place": lambda given: directives.choice(given, ("above", "beside", "tall")),
    }

    def run(self) -> list[nodes.Node]:
        numbers = re.split(r",\s*", self.arguments[0])
        made = []
        try:
            if "picture" in self.options:
                picture = find_picture(numbers, self.options["picture"])
                folder = Path(self.env.app.outdir, "_images")
                made.append(figure(picture, folder, self.options.get("place")))
            elif unknown := [number for number in numbers if number not in sections()]:
                raise ValueError(f"expected sections of the chapters, got {', '.join(unknown)}.")
        except ValueError as error:
            raise self.error(str(error)) from error
        names = [f"{'section' if '.' in number else 'chapter'} {number}" for number in numbers]
        made.append(f'<p class="source">{", ".join(names).capitalize()}</p>')
        return [nodes.raw("", markup, format="html") for markup in made]


class Notes(SphinxDirective):
    """What the lecturer says, and for how many minutes."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        minutes = directives.positive_int(self.arguments[0])
        timing = revealjs_section()
        timing["data-timing"] = str(60 * minutes)
        notes = SpeakerNotes()
        unit = "minute" if minutes == 1 else "minutes"
        notes += nodes.paragraph("", "", nodes.strong("", f"{minutes} {unit}"))
        self.state.nested_parse(self.content, self.content_offset, notes)
        return [timing, notes]


def _cut_font(app, exception) -> None:
    """A font of the signs in the formulas, as the book has it."""
    if exception is None:
        pages = "".join(path.read_text("utf-8") for path in Path(app.outdir).glob("*.html"))
        formulas = re.sub(r"<[^>]*>", "", "".join(re.findall(r"<math.*?</math>", pages, re.DOTALL)))
        subset_font(MATH_FONT, Path(app.outdir, "_static", "math.woff2"), UNWRITTEN | set(map(ord, formulas)))


def setup(app):
    app.add_directive("slide", Slide)
    app.add_directive("notes", Notes)
    app.add_node(
        SpeakerNotes,
        revealjs=(
            lambda self, node: self.body.append('<aside class="notes">'),
            lambda self, node: self.body.append("</aside>\n"),
        ),
    )
    app.connect("build-finished", _cut_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
