"""Make a PDF of the whole book from its built pages: `python tools/pdf.py` (what `make pdf` calls).

All articles are joined into one page, in the order of the contents, and printed by Chromium: its layout of formulas,
its bookmarks, page numbers at the foot. A link to another page of the book becomes a link within the PDF; films are
still pictures; solutions are unfolded.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup
from pypdf import PdfWriter
from pypdf.generic import NameObject, TextStringObject

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "_build" / "html"
# The browser of the system, which the tests and the benchmark of the pages use too; None where there is none.
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TARGET = ROOT / "_build" / "vae-book.pdf"
PRINT = """
  @page { size: A4; margin: 18mm; @bottom-center { content: counter(page); font: 8pt sans-serif; color: #555 } }
  html, body { display: block; height: auto; min-height: 0; overflow: visible }
  body { background: #fff; color: #000; font-size: 11pt; margin: 0 }
  .article-of-book { break-before: page } .article-of-book:first-child { break-before: auto }
  .cell_input, .cell_output, figure, tr, div.math, img { break-inside: avoid }
  .cell, .cell_input, .cell_output, div[class*="highlight"] { display: block }  /* flex boxes lose what does not fit */
  pre, div.highlight, .cell_input, .cell_output, .output, table, .pst-scrollable-table-container, div.math, section,
  div.cell { overflow: visible !important; contain: none !important }
  pre { white-space: pre-wrap !important; overflow-wrap: anywhere; font-size: 8.5pt }
  h1, h2, h3 { break-after: avoid }
  img { max-width: 100%; max-height: 20cm; object-fit: contain }
  table { display: table !important; font-size: 8pt !important }
  td, th { white-space: normal !important; padding: 2px 4px }
  td p, th p { margin: 0 }
  section { content-visibility: visible !important }
  .headerlink, .copybtn, .film-links, .latent-explorer-box, .toggle-button { display: none !important }
  .sd-tab-content { display: block !important }
  details > summary { list-style: none; font-weight: bold }
"""


def contents() -> list[str]:
    """The pages in the order of the contents, e.g. `notebooks/01_theory`."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


def joined(names: list[str]) -> str:
    """One page with the articles of all, written for the folder of the first."""
    first = PAGES / f"{names[0]}.html"
    whole = BeautifulSoup(first.read_text("utf-8"), "html.parser")
    whole.html["data-theme"] = whole.html["data-mode"] = "light"
    for script in whole.find_all("script"):
        script.decompose()
    whole.body.clear()
    style = whole.new_tag("style")
    style.string = PRINT
    whole.head.append(style)
    places = {(PAGES / f"{name}.html").resolve(): name.replace("/", "-") for name in names}
    for name in names:
        page = PAGES / f"{name}.html"
        article = BeautifulSoup(page.read_text("utf-8"), "html.parser").find("article")
        for script in article.find_all("script"):
            script.decompose()
        article["class"] = ["bd-content", "article-of-book"]
        article["id"] = places[page.resolve()]
        for element in article.select("[id]"):
            element["id"] = f"{article['id']}--{element['id']}"
        for details in article.find_all("details"):
            details["open"] = ""
        for unscripted in article.find_all("noscript"):
            unscripted.unwrap()
        for still in article.select("picture.film source"):
            still.parent.img["src"] = still["srcset"]
            still.decompose()
        for image in article.find_all("img"):
            image.attrs.pop("loading", None)
        for link in article.select("a[href]"):
            parts = urlsplit(link["href"])
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page.resolve()
            if not parts.scheme and target in places:
                link["href"] = f"#{places[target]}" + (f"--{parts.fragment}" if parts.fragment else "")
            elif not parts.scheme:
                del link["href"]  # a download, the index: not in the PDF
        whole.body.append(article)
    return str(whole)


def name_bookmarks(path: Path, titles: list[str]) -> None:
    """Give the bookmarks the words of the headings: Chromium drops the space where a heading wraps, or doubles it."""
    writer = PdfWriter(clone_from=path)

    def in_order(entry):
        while entry is not None:
            entry = entry.get_object()
            yield entry
            yield from in_order(entry.get("/First"))
            entry = entry.get("/Next")

    bookmarks = list(in_order(writer.root_object["/Outlines"]["/First"]))
    if len(bookmarks) != len(titles):
        raise ValueError(f"The PDF has {len(bookmarks)} bookmarks, the book {len(titles)} headings.")
    for bookmark, title in zip(bookmarks, titles, strict=True):
        bookmark[NameObject("/Title")] = TextStringObject(title)
    settings = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    writer.add_metadata({"/Title": settings["title"], "/Author": settings["author"]})
    writer.write(path)


def print_book(target: Path) -> None:
    """Prints the built pages.

    Raises:
        RuntimeError: Chromium did not print.  ValueError: the bookmarks are not the headings.
    """
    target.unlink(missing_ok=True)
    names = contents()
    page_of_all = PAGES / Path(names[0]).parent / "whole-book.html"  # beside the first: addresses are relative
    try:
        book = joined(names)
        page_of_all.write_text(book, "utf-8")
        # Its command line and not Playwright, whose `page.pdf` stopped somewhere in the middle of a book this long.
        # --no-sandbox: containers run as root, and the page is our own.
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        options += ["--no-pdf-header-footer", "--generate-pdf-document-outline", f"--print-to-pdf={target}"]
        printed = subprocess.run([CHROMIUM, *options, page_of_all.as_uri()], capture_output=True, text=True)
    finally:
        page_of_all.unlink(missing_ok=True)
    if printed.returncode != 0 or not target.exists():
        raise RuntimeError(f"Chromium could not print: {printed.stderr}")
    headings = BeautifulSoup(book, "html.parser").find_all(["h1", "h2", "h3", "h4", "h5", "h6"])
    name_bookmarks(target, [heading.get_text().removesuffix("#").strip() for heading in headings])


def main() -> int:
    if CHROMIUM is None:
        print(
            "The PDF is printed by Chromium, which is not on this system (Debian: apt install chromium).",
            file=sys.stderr,
        )
        return 1
    status = subprocess.run([sys.executable, ROOT / "tools" / "build.py"]).returncode
    if status != 0:
        return status
    started = time.perf_counter()
    print_book(TARGET)
    print(f"Printed in {time.perf_counter() - started:.0f} s: {TARGET} ({TARGET.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
