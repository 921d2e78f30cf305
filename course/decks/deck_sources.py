"""The chapters, section by section: what the slides take from them, and what their numbers are held against."""

from __future__ import annotations

import base64
import functools
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
HEADING = re.compile(r"^## (?:(\d+\.\d+) )?", re.MULTILINE)


@dataclass(frozen=True)
class Picture:
    """A picture of a chapter: the name of its file, what it shows in words, and the PNG."""

    name: str
    alt: str
    png: bytes


@dataclass
class Section:
    """What a section says: prose, what its cells printed, the code that teaches, its pictures."""

    prose: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it, in which a number of a slide has to stand."""
        return "\n".join((*self.prose, *self.printed, *self.code, *(picture.alt for picture in self.pictures)))


def _printed(cell: nbformat.NotebookNode) -> str:
    data = [output.get("data", {}) for output in cell.outputs if "image/png" not in output.get("data", {})]
    shown = [entry.get("text/markdown", entry.get("text/plain", "")) for entry in data]
    return "\n".join((*shown, *(output.get("text", "") for output in cell.outputs)))


@functools.cache
def sections() -> dict[str, Section]:
    """Every section of the chapters by its number, such as "2.8"; "2" is the rest of chapter 2, without solutions."""
    found: dict[str, Section] = defaultdict(Section)
    for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")):
        chapter = str(int(path.stem[:2]))
        here = chapter
        for cell in nbformat.read(path, as_version=4).cells:
            tags = cell.metadata.get("tags", [])
            if "solution" in tags:
                continue
            if cell.cell_type == "markdown":
                start = 0
                for heading in HEADING.finditer(cell.source):
                    found[here].prose.append(cell.source[start : heading.start()])
                    here, start = heading[1] or chapter, heading.start()
                found[here].prose.append(cell.source[start:])
                continue
            found[here].printed.append(_printed(cell))
            if not {"check", "plumbing", "exercise"}.intersection(tags):
                found[here].code.append(cell.source)
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            for output in cell.outputs:
                if png := output.get("data", {}).get("image/png"):
                    name = f"{path.stem}-{cell.id}.png"
                    found[here].pictures.append(Picture(name, alt, base64.b64decode(png)))
    return dict(found)


def find_picture(numbers: Sequence[str], beginning: str) -> Picture:
    """The picture of some sections whose alt text begins so.

    Raises:
        ValueError: no such section, or not exactly one such picture in them.
    """
    if unknown := [number for number in numbers if number not in sections()]:
        raise ValueError(f"expected sections of the chapters, got {', '.join(unknown)}.")
    pictures = [picture for number in numbers for picture in sections()[number].pictures]
    found = [picture for picture in pictures if picture.alt.startswith(beginning)]
    if len(found) != 1:
        known = "".join(f"\n  {picture.alt[:70]} …" for picture in pictures)
        raise ValueError(
            f"section {', '.join(numbers)}: expected one picture whose alt text begins with {beginning!r}, "
            f"got {len(found)}; there are:{known}"
        )
    return found[0]
