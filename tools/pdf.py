"""Make a PDF of the whole book: `python tools/pdf.py` (what `make pdf` calls).

Jupyter Book's single-page builder joins the pages, Chromium prints them: its layout of formulas, bookmarks, page
numbers. How a page looks in print stands in book/_static/book.css. (Jupyter Book's own PDF downloads a browser.)
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "_build" / "book.pdf"
# The browser of the system, which the tests and the benchmark of the pages use too; None where there is none.
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def print_book(target: Path) -> None:
    """Builds the single page and prints it.

    Raises:
        subprocess.CalledProcessError: the book did not build, or Chromium did not print.
    """
    builder = [sys.executable, Path(sys.executable).with_name("jupyter-book"), "build", ROOT, "--builder", "singlehtml"]
    subprocess.run([*builder, "-W", "--keep-going", "-n", "-q"], check=True)
    folder = ROOT / "_build" / "singlehtml"
    text = (folder / "book" / "intro.html").read_text("utf-8").replace('data-theme="auto"', 'data-theme="light"')
    text = re.sub(
        "<body.*?(<article.*</article>).*",
        r'<body class="bd-content" id="document-book/intro">\1',
        text,
        flags=re.DOTALL,
    )
    # Without scripts the explorer is a picture; without its sign a heading is a bookmark.
    text = re.sub('<script.*?</script>|</?noscript>|<a class="headerlink".*?</a>', "", text, flags=re.DOTALL)
    page = folder / "index.html"  # where the page's own addresses lead
    page.write_text(text.replace('href="book/intro.html#', 'href="#'), "utf-8")
    # --no-sandbox: containers run as root, and the page is our own.
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    options += ["--force-prefers-reduced-motion"]
    options += ["--no-pdf-header-footer", "--generate-pdf-document-outline", f"--print-to-pdf={target}"]
    subprocess.run([CHROMIUM, *options, page.as_uri()], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    if CHROMIUM is None:
        sys.exit("The PDF is printed by Chromium, which is not on this system (Debian: apt install chromium).")
    print_book(TARGET)
    print(f"{TARGET} ({TARGET.stat().st_size / 1e6:.1f} MB)")
