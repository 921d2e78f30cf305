"""Every plot of the chapters as SVG, for slides: `python course/svg.py [01_theory ...]` (what `make svg` calls).

A chapter is executed again, its code unchanged, by a kernel that draws vectors instead of pixels. Its pictures go to
`_build/svg/NN_name/`, numbered in their order and named by the first words of their description. Without a name all
chapters are done; one whose pictures are newer than its notebook is left as it is, so that an interrupted run goes on.

Letters are drawn as paths: they look the same on every machine, also where matplotlib's font is missing, and cannot be
edited as text. Films have no vector form and are left out. Thousands of points are pixels within the vectors, where the
chapter asks for it (`rasterized=True`); a file that is large all the same is named, with its size.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "_build" / "svg"
LARGE = 1e6  # bytes: such a picture makes a slide slow
LONGEST = 50  # characters of a name
KERNEL = ["--InlineBackend.figure_formats={'svg'}", "--IPKernelApp.log_level=40"]


def name_of(cell: nbformat.NotebookNode) -> str:
    """The first words of a picture's description, else of its code: "three-bars-for-three-encoders"."""
    text = cell.metadata.get("mystnb", {}).get("image", {}).get("alt") or cell.source
    words = re.sub(r"[^\w]+", "-", text.lower()).strip("-_")
    return words if len(words) <= LONGEST else words[: LONGEST + 1].rpartition("-")[0]


def pictures(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """The SVG of each plot in an executed notebook, by the name of its file."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if svg := output.get("data", {}).get("image/svg+xml"):
                found[f"{len(found) + 1:02d}_{name_of(cell)}.svg"] = svg
    return found


def draw(chapter: Path, target: Path) -> list[Path]:
    """Executes a chapter in its folder and writes its plots into `target`, all of them or none; returns their files.

    Raises:
        CellExecutionError, DeadKernelError: a cell failed, or the kernel ended, for want of memory for example.
    """
    notebook = nbformat.read(chapter, as_version=4)
    resources = {"metadata": {"path": str(chapter.parent)}}
    NotebookClient(notebook, timeout=1800, resources=resources, extra_arguments=KERNEL).execute()
    unfinished = target.with_name(target.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name, svg in pictures(notebook).items():
        (unfinished / name).write_text(svg, "utf-8")
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    return sorted(target.iterdir())


def main(names: list[str]) -> str | None:
    """What went wrong, or nothing."""
    known = {path.stem: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    for name in names or known:
        if name not in known:
            return f"There is no chapter {name!r}: expected one of {', '.join(known)}."
        target = TARGET / name
        if not names and target.exists() and target.stat().st_mtime > known[name].stat().st_mtime:
            print(f"{target}: there already")
            continue
        started = time.monotonic()
        try:
            files = draw(known[name], target)
        except (CellExecutionError, DeadKernelError) as error:
            return f"{name} failed, and none of its pictures was written:\n{error}"
        size = sum(file.stat().st_size for file in files) / 1e6
        print(f"{target}: {len(files)} pictures, {size:.1f} MB, in {time.monotonic() - started:.0f} s", flush=True)
        for file in files:
            if file.stat().st_size > LARGE:
                print(f"  {file.name} has {file.stat().st_size / 1e6:.1f} MB", flush=True)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
