"""Copies of the chapters for a course, as a folder and a zip under _build (`make student`, `make solutions`).

    python course/copies.py student      # no solution is left, and each exercise has a place for the answer
    python course/copies.py solutions    # every solution is open, for the projector

A copy holds all that its chapters need to run: the package, its pins, the stored results and three pages of the book.
A link that would lead out of it becomes text.
"""

from __future__ import annotations

import base64
import re
import shutil
import sys
import zlib
from pathlib import Path

import nbformat
import pybtex

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tools"))
from execute import FOLDED  # noqa: E402
from set_repository import declared  # noqa: E402

# What the chapters import, load and link to, beside each other.
FILES = (
    *("LICENSE", "LICENSE-text", "pyproject.toml", "requirements.txt", "binder/*", "vae_helpers/*.py"),
    *("vae_helpers/*.toml", "experiments/results/*", "experiments/faults.py", "experiments/machine.py"),
    *("experiments/riddles.py", "experiments/run.py", "benchmarks/results/animation.json"),
    *("experiments/own_missing.py", "experiments/own_odd.py", "tools/export_decoder.py", "tools/decoder_page.*"),
    "book/_static/networks.js",
)
PAGES = ("bibliography", "glossary", "notation")
ANSWER = "*Your answer:*"
README = """\
# The variational autoencoder in TensorFlow: {title}

On your own machine, in this folder, with Python 3.11, 3.12 or 3.13, 4 GiB of free memory and 3 GB of disk:

    python3 -m venv .venv
    source .venv/bin/activate                            # Windows: .venv\\Scripts\\activate
    python -m pip install -r binder/requirements.txt
    jupyter lab --notebook-dir=.                         # then open a chapter in the folder notebooks

In Google Colab: File → Upload notebook, choose a chapter from the folder `notebooks`, and run its first cell first.
By The VAE book developers, from {url}{change}.
Text and figures: CC BY 4.0 (`LICENSE-text`). Code: Apache-2.0 (`LICENSE`).
"""
TITLES = {"student": "chapters with exercises", "solutions": "chapters with open solutions"}
CHANGES = {"student": "; the solutions are left out", "solutions": ""}


def tags_of(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def without_solutions(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The chapter without its solutions. A task that no stub follows gets an empty cell for the answer."""
    kept = [cell for cell in notebook.cells if "solution" not in tags_of(cell)]
    cells = []
    for cell, following in zip(kept, [*kept[1:], None], strict=True):
        cells.append(cell)
        is_task = cell.cell_type == "markdown" and "exercise" in tags_of(cell)
        has_stub = following is not None and following.cell_type == "code" and "exercise" in tags_of(following)
        if is_task and not has_stub:
            cells.append(nbformat.v4.new_markdown_cell(ANSWER, id=cell.id.replace("cell", "answer")))
    notebook.cells = cells
    return notebook


def with_open_solutions(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The chapter with all its solutions unfolded."""
    fold, _ = FOLDED["solution"]
    for cell in notebook.cells:
        if "solution" not in tags_of(cell):
            continue
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("<details>", "<details open>", 1)
            continue
        cell.metadata["tags"] = [tag for tag in cell.metadata.tags if tag != fold]
        for key in ("cellView", "jupyter"):
            cell.metadata.pop(key, None)
    return notebook


def with_links_inside(text: str, names: set[str]) -> str:
    """Markdown whose links to other files of the book lead to one of `names` in the copy, or are text."""

    def link(match: re.Match) -> str:
        words, path, rest = match.groups()
        if "/" not in path and path.endswith(".md"):
            path = f"../book/{path}"  # from a page of the book to the next
        if path.startswith("../notebooks/") and not path.endswith(".ipynb"):
            path += ".ipynb"
        return f"[{words}]({path}{rest})" if path.rpartition("/")[2] in names else words

    return re.sub(r"\[([^]]+)\]\((?!\w+:|#)([^)#\s]+)([^)]*)\)", link, text)


def plain(page: str) -> str:
    """A page of the book in plain Markdown, as JupyterLab shows it: what only Sphinx knows is written out."""
    if page == "bibliography":
        entries = pybtex.format_from_file(ROOT / "book/references.bib", style="alpha", output_backend="markdown")
        entries = re.sub(r"\\([-.!()])", r"\1", entries)  # JupyterLab opens the page as it is written
        return "# Bibliography\n\n" + re.sub(r"^(?=\[[A-Z])", "- ", entries, flags=re.M)
    text = (ROOT / "book" / f"{page}.md").read_text("utf-8")
    text = re.sub(r"\{term\}`([^`<]+?)(?: <[^`]*)?`", r"\1", text)
    text = re.sub(r"```\{math\}\n(?::[^\n]*\n)*(.*?)```", r"$$\n\1$$", text, flags=re.DOTALL)

    def entries(match: re.Match) -> str:
        return re.sub(r"^(\S.*)\n ", r"**\1.**", match[1], flags=re.M)

    return re.sub(r"```\{glossary\}\n(?::[^\n]*\n)*(.*?)```", entries, text, flags=re.DOTALL)


def packed(source: str) -> str:
    """A module that does what `source` does without showing it: for riddles, whose code says the answer."""
    text = base64.b85encode(zlib.compress(source.encode(), 9)).decode()
    lines = "\n".join(f'    "{text[start : start + 110]}"' for start in range(0, len(text), 110))
    head = '"""Four small models with one fault each: exercises of chapter 7. Packed, so that no fault is in sight."""'
    return f"{head}\n\nimport base64\nimport zlib\n\nexec(zlib.decompress(base64.b85decode(\n{lines}\n)))\n"


def make(kind: str, build: Path = ROOT / "_build") -> tuple[Path, Path]:
    """Makes the copy anew: the folder `build/kind` and its zip.

    Raises:
        ValueError: `kind` is neither "student" nor "solutions".
    """
    if kind not in TITLES:
        raise ValueError(f"kind: expected student or solutions, got {kind!r}.")
    folder = build / kind
    shutil.rmtree(folder, ignore_errors=True)
    for pattern in FILES:
        for path in filter(Path.is_file, sorted(ROOT.glob(pattern))):
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    chapters = sorted(ROOT.glob("notebooks/[0-9][0-9]_*.ipynb"))
    names = {path.name for path in chapters} | {f"{page}.md" for page in PAGES}
    (folder / "book").mkdir(exist_ok=True)  # it may hold a script
    for page in PAGES:
        (folder / "book" / f"{page}.md").write_text(with_links_inside(plain(page), names), "utf-8")
    (folder / "notebooks").mkdir()
    change = without_solutions if kind == "student" else with_open_solutions
    for path in chapters:
        notebook = change(nbformat.read(path, as_version=4))
        notebook.metadata.pop("jupytext", None)  # there is no .py half to keep in step
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = with_links_inside(cell.source, names)
        nbformat.write(notebook, folder / "notebooks" / path.name)
    if kind == "student":
        riddles = folder / "experiments" / "riddles.py"
        riddles.write_text(packed(riddles.read_text("utf-8")), "utf-8")
    (folder / "README.md").write_text(
        README.format(title=TITLES[kind], url=declared()[0], change=CHANGES[kind]), "utf-8"
    )
    return folder, Path(shutil.make_archive(str(folder), "zip", build, kind))


def main(arguments: list[str]) -> str | None:
    """What went wrong, or nothing."""
    if len(arguments) != 1 or arguments[0] not in TITLES:
        return "Usage: python course/copies.py student (or: solutions)"
    folder, archive = make(arguments[0])
    print(f"{folder}\n{archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
