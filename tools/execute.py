"""Re-execute chapters in place, with each cell's time: `python tools/execute.py [02_mlp_vae ...]`.

The .py half of a pair is the source: its cells are copied into the .ipynb, which is then executed from an empty state.
Nothing is written unless every cell ran. With `--text`, changed prose and tags are taken over without executing
anything. A cell's kind is one tag in the .py; what folds it in the book, JupyterLab and Colab is added here.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
# A kind, the tag that folds it in the book, and what JupyterLab hides.
FOLDED = {
    "check": ("hide-input", ["source_hidden"]),
    "plumbing": ("hide-input", ["source_hidden"]),
    "solution": ("hide-cell", ["source_hidden", "outputs_hidden"]),
}


def chapters() -> list[Path]:
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.py"))


def paired(script: Path) -> nbformat.NotebookNode:
    """The notebook that `script` describes: stable cell names, cells folded by their kind, no outputs."""
    notebook = nbformat.from_dict(jupytext.read(script))
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"  # random names would change every line of a diff
        if cell.cell_type == "markdown":
            continue  # a solution in words folds itself, with <details>, in all three places
        for kind in FOLDED.keys() & cell.metadata.get("tags", []):
            tag, hidden = FOLDED[kind]
            cell.metadata |= {"tags": [*cell.metadata.tags, tag], "cellView": "form"}
            cell.metadata["jupyter"] = dict.fromkeys(hidden, True)
    return notebook


def pair_differences(script: Path, notebook: nbformat.NotebookNode) -> list[str]:
    """Where the two halves of a pair disagree. (jupytext's --test does not compare two files.)"""
    ours, theirs = paired(script).cells, notebook.cells
    if len(ours) != len(theirs):
        return [f"{len(ours)} cells in {script.name}, {len(theirs)} in the .ipynb"]
    return [
        f"cell {number}: {what} differs"
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True))
        for what in ("cell_type", "source", "metadata")
        if a[what] != b[what]
    ]


def merged(outputs) -> list:
    """Pieces of one stream, which arrive as the kernel sends them, joined: where it cuts differs from run to run."""
    whole = []
    for output in outputs:
        if whole and output.output_type == "stream" == whole[-1].output_type and output.name == whole[-1].name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def execute(script: Path) -> None:
    """Execute one chapter and write its .ipynb."""
    notebook = paired(script)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    begun = {}

    def on_start(cell, cell_index):
        begun[cell_index] = time.monotonic()

    def on_executed(cell, cell_index, execute_reply):
        first_line = cell.source.strip().partition("\n")[0][:70]
        seconds = time.monotonic() - begun[cell_index]
        print(f"  {seconds:7.1f} s  {len(begun):3d}/{len(code)}  {first_line}", flush=True)

    NotebookClient(
        notebook,
        timeout=1800,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        on_cell_execute=on_start,
        on_cell_executed=on_executed,
        extra_arguments=["--IPKernelApp.log_level=40"],  # it warns of unencrypted loopback at each start
    ).execute()
    for cell in code:
        # A progress line that was dropped when its work ended leaves an empty display behind.
        cell.outputs = merged(o for o in cell.outputs if o.get("data", {}).get("text/plain") != "")
        cell.metadata.pop("execution", None)  # time stamps: they change with every run and say nothing to a reader
    # The kernel's patch version would change the file from machine to machine.
    notebook.metadata.pop("language_info", None)
    nbformat.write(notebook, script.with_suffix(".ipynb"))


def update_text(script: Path) -> None:
    """Take over changed prose and tags without executing anything: the code, and so the outputs, must be the same.

    Raises:
        ValueError: a code cell was added, removed or changed.
    """
    executed, notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4), paired(script)
    old, new = ([cell for cell in n.cells if cell.cell_type == "code"] for n in (executed, notebook))
    if [cell.source for cell in old] != [cell.source for cell in new]:
        raise ValueError(f"{script.stem}: the code has changed too: expected new prose only. Execute the chapter.")
    for before, after in zip(old, new, strict=True):
        after.outputs, after.execution_count = before.outputs, before.execution_count
    executed.cells = notebook.cells
    nbformat.write(executed, script.with_suffix(".ipynb"))


def main(names: list[str]) -> str | None:
    """What went wrong, or nothing."""
    run = update_text if "--text" in names else execute
    known = {script.stem: script for script in chapters()}
    for name in [Path(name).stem for name in names if name != "--text"] or known:
        if name not in known:
            return f"There is no chapter {name!r}: expected one of {', '.join(known)}."
        print(name, flush=True)
        started = time.monotonic()
        try:
            run(known[name])
        except ValueError as error:
            return str(error)
        except CellExecutionError as error:
            return f"{name} failed and was not written:\n{error}"
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
