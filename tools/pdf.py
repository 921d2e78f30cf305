"""Make PDFs of the book: `python tools/pdf.py [--handout] [--each]` (what `make pdf HANDOUT=1 EACH=1` calls).

    python tools/pdf.py               # _build/book.pdf
    python tools/pdf.py --handout     # _build/handout.pdf: without solutions, with room to write
    python tools/pdf.py --each        # beside it each chapter alone: _build/pdf/NN_name.pdf

Jupyter Book's single-page builder joins the pages, Chromium prints them: its layout of formulas, bookmarks, page
numbers. How a page looks in print stands in book/_static/book.css. (Jupyter Book's own PDF downloads a browser.)
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
# The browser of the system, which the tests and the benchmark of the pages use too; None where there is none. First the
# one without windows, which opens pages in three quarters of the time.
BROWSERS = "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
# Pages that a hand-out leaves out.
WITH_ANSWERS = tuple(
    f"book/{name}" for name in ("quizzes", "touch_digit", "touch_q", "touch_dice", "teaching", "course")
)
# For an answer. Its style stands here: no page of the book has this box.
ROOM = (
    '<div style="border: 1px dashed #999; height: 40mm; margin-bottom: 6mm; '
    'break-before: avoid; break-inside: avoid"></div>'
)


def single_page() -> BeautifulSoup:
    """The whole book as one page, built anew.

    Raises:
        subprocess.CalledProcessError: the book did not build.
    """
    builder = [sys.executable, Path(sys.executable).with_name("jupyter-book"), "build", ROOT, "--builder", "singlehtml"]
    subprocess.run([*builder, "-W", "--keep-going", "-n", "-q"], check=True)
    text = (BUILD / "singlehtml" / "book" / "intro.html").read_text("utf-8")
    text = re.sub(
        "<body.*?(<article.*</article>).*",
        r'<body class="bd-content" id="document-book/intro">\1',
        text.replace('data-theme="auto"', 'data-theme="light"'),
        flags=re.DOTALL,
    )
    # Without scripts the explorer is a picture; without its sign a heading is a bookmark.
    text = re.sub('<script.*?</script>|</?noscript>|<a class="headerlink".*?</a>', "", text, flags=re.DOTALL)
    return BeautifulSoup(text.replace('href="book/intro.html#', 'href="#'), "html.parser")


def leave_solutions_out(page: BeautifulSoup) -> None:
    """Takes the solutions off the page, leaves room for each answer, and drops the pages that have answers."""
    for name in WITH_ANSWERS:
        if start := page.find(id=f"document-{name}"):
            start.find_next_sibling("section").decompose()
            start.decompose()
    for cell in page.select("div.cell.tag_solution"):
        cell.decompose()
    for fold in page.find_all("details"):
        if fold.summary and fold.summary.get_text(strip=True) == "Solution":
            fold.replace_with(BeautifulSoup(ROOM, "html.parser"))


def chapters(page: BeautifulSoup) -> Iterator[tuple[str, BeautifulSoup]]:
    """Each chapter's name, such as "01_theory", and its own page."""
    for start in page.find_all(id=re.compile("^document-notebooks/")):
        section = start.find_next_sibling("section")
        # The name moves to the body: a section after it would begin on a second page.
        alone = BeautifulSoup(f'{page.head}<body class="bd-content" id="{start["id"]}">{section}', "html.parser")
        alone.title.string = section.find(re.compile("^h[12]$")).get_text()
        yield start["id"].rpartition("/")[2], alone


def keep_links_inside(page: BeautifulSoup) -> None:
    """Makes a link to what is not on the page, or to a file of this machine, plain text."""
    there = {f"#{element['id']}" for element in page.select("[id]")}
    for link in page.select("a[href]"):
        if link["href"] not in there and not re.match(r"\w+:", link["href"]):
            link.unwrap()


def print_file(source: Path, target: Path) -> None:
    """Lets Chromium print an HTML file, with its headings as bookmarks.

    Raises:
        subprocess.CalledProcessError: Chromium did not print.
    """
    # --no-sandbox: containers run as root, and the page is our own.
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    options += ["--force-prefers-reduced-motion"]
    options += ["--no-pdf-header-footer", "--generate-pdf-document-outline", f"--print-to-pdf={target}"]
    subprocess.run([CHROMIUM, *options, source.as_uri()], check=True, stderr=subprocess.DEVNULL)


def print_page(page: BeautifulSoup, target: Path) -> None:
    """Prints the single page, or a part of it, to a PDF.

    Raises:
        subprocess.CalledProcessError: Chromium did not print.
    """
    keep_links_inside(page)
    source = BUILD / "singlehtml" / "index.html"  # where the addresses of pictures lead
    source.write_text(f"<!DOCTYPE html>\n{page}", "utf-8")
    target.parent.mkdir(parents=True, exist_ok=True)
    print_file(source, target)
    print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)", flush=True)


def main() -> str | None:
    """What went wrong, or nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--handout", action="store_true", help="leave the solutions out")
    parser.add_argument("--each", action="store_true", help="each chapter as a file of its own, too")
    arguments = parser.parse_args()
    if CHROMIUM is None:
        return "The PDF is printed by Chromium, which is not on this system (Debian: apt install chromium)."
    page = single_page()
    if arguments.handout:
        leave_solutions_out(page)
    print_page(page, BUILD / ("handout.pdf" if arguments.handout else "book.pdf"))
    for name, chapter in chapters(page) if arguments.each else ():
        print_page(chapter, BUILD / "pdf" / f"{name}.pdf")
    return None


if __name__ == "__main__":
    sys.exit(main())
