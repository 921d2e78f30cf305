"""Re-execute chapters in place, with live progress and each cell's time: `python tools/execute.py [02_mlp_vae ...]`.

The .py half of a pair is the source: its cells are copied into the .ipynb, which is then executed from an empty state.
Nothing is written unless every cell ran. With `--text`, changed prose is taken over without executing anything.
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


def paired(script: Path) -> nbformat.NotebookNode:
    """The notebook that `script` describes, with stable cell names and no outputs."""
    notebook = jupytext.read(script)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03d}"  # random names would change every line of a diff
    return nbformat.from_dict(notebook)


def merged(outputs) -> list:
    """Pieces of one stream, which arrive as the kernel sends them, joined: where it cuts differs from run to run."""
    whole = []
    for output in outputs:
        if whole and output.output_type == "stream" == whole[-1].output_type and output.name == whole[-1].name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def execute(script: Path) -> float:
    """Execute one chapter and write its .ipynb; return the seconds it took."""
    notebook = paired(script)
    code_cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    begun: dict[int, float] = {}
    done = 0

    def first_line(cell) -> str:
        return next((line for line in cell.source.splitlines() if line.strip()), "")[:70]

    def on_start(cell, cell_index):
        begun[cell_index] = time.monotonic()
        if sys.stdout.isatty():
            print(f"\r\x1b[2K  running  {done + 1:3d}/{code_cells}  {first_line(cell)}", end="", flush=True)

    def on_executed(cell, cell_index, execute_reply):
        nonlocal done
        done += 1
        erase = "\r\x1b[2K" if sys.stdout.isatty() else ""
        seconds = time.monotonic() - begun[cell_index]
        print(f"{erase}  {seconds:7.1f} s  {done:3d}/{code_cells}  {first_line(cell)}", flush=True)

    print(script.stem, flush=True)
    client = NotebookClient(
        notebook,
        timeout=1800,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        on_cell_execute=on_start,
        on_cell_executed=on_executed,
        extra_arguments=["--IPKernelApp.log_level=40"],  # it warns of unencrypted loopback at each start
    )
    start = time.monotonic()
    client.execute()
    for cell in notebook.cells:
        # A progress line that was dropped when its work ended leaves an empty display behind.
        if cell.cell_type == "code":
            cell.outputs = merged(o for o in cell.outputs if o.get("data", {}).get("text/plain") != "")
        cell.metadata.pop("execution", None)  # time stamps: they change with every run and say nothing to a reader
    # The kernel's patch version would change the file from machine to machine.
    notebook.metadata.pop("language_info", None)
    nbformat.write(notebook, script.with_suffix(".ipynb"))
    return time.monotonic() - start


def update_text(script: Path) -> None:
    """Take over changed prose without executing anything: the code, and so the outputs, must be the same.

    Raises:
        ValueError: a code cell was added, removed or changed.
    """
    executed = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    notebook = paired(script)
    old, new = ([cell for cell in n.cells if cell.cell_type == "code"] for n in (executed, notebook))
    if [cell.source for cell in old] != [cell.source for cell in new]:
        raise ValueError(f"{script.stem}: the code has changed too: expected new prose only. Execute the chapter.")
    for before, after in zip(old, new, strict=True):
        after.outputs, after.execution_count = before.outputs, before.execution_count
    executed.cells = notebook.cells
    nbformat.write(executed, script.with_suffix(".ipynb"))


def main(names: list[str]) -> int:
    text_only = "--text" in names
    names = [name for name in names if name != "--text"]
    scripts = [NOTEBOOKS / f"{Path(name).stem}.py" for name in names] or sorted(NOTEBOOKS.glob("[0-9][0-9]_*.py"))
    for script in scripts:
        if not script.exists():
            known = ", ".join(path.stem for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.py")))
            print(f"There is no chapter {script.stem!r}: expected one of {known}.", file=sys.stderr)
            return 2
        try:
            if text_only:
                update_text(script)
            else:
                print(f"{script.stem}: {execute(script):.0f} s")
        except ValueError as error:
            print(error, file=sys.stderr)
            return 1
        except CellExecutionError as error:
            print(f"{script.stem} failed and was not written:\n{error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
