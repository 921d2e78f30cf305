"""How long, how full of code and how bare of pictures each chapter is, as a reader meets it.

    python tools/page_measures.py [01_theory ...]  # of the built book: run `make book` first; needs Chromium

Words are those of the main text: no formulas, no solutions, nothing folded. Heights are those of the built page at
1280 pixels, folded code closed. Tests hold every page against the limits below: `tests/test_notebooks.py` the words,
`tests/test_browser.py` the rest.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
from execute import chapters
from pdf import CHROMIUM

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "_build" / "html" / "notebooks"
WORDS_A_MINUTE = 100  # of a text that is also worked through, with its formulas and pictures
DEEPER = 11  # from this number on, pages are deeper ones
MOST_WORDS = {"core": 4500, "deeper": 3500}
MOST_CODE = 0.30  # of the height: open code and text output
LONGEST_BARE = {"core": 2500, "deeper": 3000}  # pixels without a picture, a film or something to touch, up to exercises
MEASURE = """() => {
    const article = document.querySelector("article.bd-article");
    const box = element => element.getBoundingClientRect();
    const closed = e => e.parentElement.closest("details:not([open])");
    const all = selector => [...article.querySelectorAll(selector)].filter(e => box(e).height > 0 && !closed(e));
    const sum = elements => elements.reduce((total, e) => total + box(e).height, 0);
    const top = box(article).top;
    const end = all("h2").find(h => h.textContent.startsWith("Exercises"));
    const bottom = (end ? box(end).top : box(article).bottom) - top;
    const pictures = all("img, picture, canvas, video, svg, iframe").filter(e => box(e).height > 60);
    const spans = pictures.map(e => [box(e).top - top, box(e).bottom - top]).sort((a, b) => a[0] - b[0]);
    let bare = 0, from = 0, where = 0;
    for (const [start, stop] of [...spans.filter(s => s[0] < bottom), [bottom, bottom]]) {
        if (start - from > bare) [bare, where] = [start - from, from];
        from = Math.max(from, stop);
    }
    const heads = all("h1, h2, h3").filter(h => box(h).top - top <= where + 1);
    const cut = all("div.cell_input pre, div.output pre, table, math[display=block]").filter(e => {
        const frame = e.closest(".pst-scrollable-table-container, .math-wrapper, .highlight, .output") ?? e;
        return frame.scrollWidth > frame.clientWidth + 1;
    });
    return {
        height: box(article).height,
        code: sum(all("div.cell_input")) + sum(all("div.output.stream, div.output.text_plain")),
        bare,
        where: heads.length ? heads[heads.length - 1].textContent.replace("#", "") : "",
        cut: cut.length,
    };
}"""


def words(script: Path) -> int:
    """Words of the main text of a chapter."""
    notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    text = "\n".join(cell.source for cell in cells if "solution" not in cell.metadata.get("tags", []))
    text = re.sub(r"<details>.*?</details>", " ", text, flags=re.S)
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$", " ", text, flags=re.S)
    text = re.sub(r"\]\([^)]*\)|<[^>]*>", " ", text)
    return len(re.findall(r"[^\W_](?:[\w'’.,-]*[^\W_])?", text))


def kind(script: Path) -> str:
    return "deeper" if int(script.stem[:2]) >= DEEPER else "core"


def measure(page) -> dict:
    """The measures of a chapter that is open in a page of Playwright's, 1280 pixels wide."""
    page.add_style_tag(content="* { content-visibility: visible !important }")  # what is far below has its height too
    return page.evaluate(MEASURE)


def run_minutes(script: Path) -> float:
    """How long the chapter ran when its outputs were made, in minutes."""
    return float(re.search(r"this page: ([\d.]+) minutes", script.with_suffix(".ipynb").read_text("utf-8"))[1])


def main(names: list[str]) -> None:
    from playwright.sync_api import sync_playwright

    heads = ["page", "words", "minutes to read", "height", "open code", "longest bare", "where", "cut off", "run time"]
    print(f"| {' | '.join(heads)} |\n|---|--:|--:|--:|--:|--:|---|--:|--:|")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        for script in chapters():
            if names and script.stem not in names:
                continue
            page.goto((BUILT / f"{script.stem}.html").as_uri())
            count, found = words(script), measure(page)
            row = [
                script.stem,
                count,
                round(count / WORDS_A_MINUTE),
                f"{found['height']:.0f} px",
                f"{found['code'] / found['height']:.0%}",
                f"{found['bare']:.0f} px",
                found["where"],
                found["cut"],
                f"{run_minutes(script)} min",
            ]
            print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main([Path(name).stem for name in sys.argv[1:]])
