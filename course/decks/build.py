"""Make the four decks of slides: `python course/decks/build.py` (what `make decks` calls).

Sphinx writes `_build/course/decks/deckN.html`, a folder that needs nothing from elsewhere. Chromium, where it is
there, prints each deck twice: the slides, and each slide followed by its notes.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = ROOT / "_build" / "course" / "decks"
sys.path.append(str(ROOT / "tools"))
from pdf import CHROMIUM  # noqa: E402

# --no-sandbox: containers run as root, and the slides are our own.
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
LIMIT = 300_000  # milliseconds, for a busy machine
IS_LAID_OUT = "document.querySelector('.pdf-page') && !document.querySelector('.loading-scroll-mode')"


def build(target: Path) -> list[Path]:
    """Writes the decks into a folder, which is emptied first, and returns their HTML files.

    Raises:
        subprocess.CalledProcessError: Sphinx warned: of a picture that is not there, say.
    """
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as doctrees:
        sphinx = [sys.executable, "-m", "sphinx", "-b", "revealjs", "-W", "--keep-going", "-n", "-q", "-d", doctrees]
        subprocess.run([*sphinx, HERE, target], check=True)
    return sorted(target.glob("deck*.html"))


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """The Chromium of the system."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


def print_decks(browser: Browser, decks: Sequence[Path]) -> list[Path]:
    """Prints each deck beside its HTML file: `deckN.pdf`, and `deckN-notes.pdf` with the notes."""
    page = browser.new_page(reduced_motion="reduce")
    page.set_default_timeout(LIMIT)
    printed = []
    for deck in decks:
        for ending, query in (("", ""), ("-notes", "&showNotes=separate-page")):
            page.goto(f"{deck.as_uri()}?print-pdf{query}")
            page.wait_for_function(IS_LAID_OUT, polling=100)
            printed.append(deck.with_name(f"{deck.stem}{ending}.pdf"))
            page.pdf(path=printed[-1], prefer_css_page_size=True, print_background=True, tagged=True, outline=True)
    page.close()
    return printed


if __name__ == "__main__":
    files = decks = build(TARGET)
    if CHROMIUM:
        with open_browser() as browser:
            files = decks + print_decks(browser, decks)
    for file in files:
        print(f"{file.relative_to(ROOT)} ({file.stat().st_size / 1e3:.0f} kB)")
    if not CHROMIUM:
        print("No PDF: slides are printed by Chromium, which is not on this system (Debian: apt install chromium).")
