"""Make of each lab what students get, what grades them, and the lecturer's copy: `make labs`, or `build.py 1 2`.

The source of a lab is `labN.py`, a notebook in the percent format with the raw cells of otter-grader: questions, their
points, solutions and hidden tests. `otter assign` takes it apart. Beside its own work this file only adds the cell that
sets Colab up, with the address in `_config.yml`, and puts the results where they are expected:

    _build/course/labs/student/labN.ipynb            without solutions and without hidden tests
    _build/course/labs/student/labN.zip              the same and the lab's modules, labN_*.py
    _build/course/labs/grader/labN-autograder.zip    the hidden tests, for `make grade` and other graders that run otter
    _build/course/labs/lecturer/labN.ipynb           with solutions

A student's copy needs no otter-grader: its public checks are ordinary cells. Run with the Python of .venv-labs.
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[2]
LABS = ROOT / "course/labs"
BUILT = ROOT / "_build/course/labs"
sys.path.insert(0, str(ROOT / "tools"))

from set_repository import colab_cell, declared  # noqa: E402


def sources(numbers: Sequence[str] = ()) -> list[Path]:
    """The labs' sources, all or those with these numbers, in their order.

    Raises:
        ValueError: there is no lab of that number.
    """
    found = {path.stem[3:]: path for path in sorted(LABS.glob("lab?.py"))}
    for number in numbers:
        if number not in found:
            wanted = f"expected one of {', '.join(found)}"
            raise ValueError(f"LAB: {wanted}, got {number!r}.")
    return [found[number] for number in numbers or found]


@dataclass(frozen=True)
class Question:
    """One question of a lab.

    Attributes:
        name: as in `q1`.
        points: what it is worth.
        manual: a written answer, which a person marks.
    """

    name: str
    points: float
    manual: bool


def questions(source: Path) -> list[Question]:
    """The questions of a lab in their order, from the raw cells that begin them."""
    found = []
    for cell in jupytext.read(source).cells:
        if begins_question(cell):
            said = yaml.safe_load(cell.source)
            manual = said.get("manual", False)
            found.append(Question(said["name"], said["points"], manual))
    return found


def begins_question(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell is the raw cell with a question's name and points."""
    is_raw = cell.cell_type == "raw"
    return is_raw and cell.source.startswith("# BEGIN QUESTION")


def modules(source: Path) -> list[Path]:
    """What a lab imports beside the package: `labN_*.py` next to its source. Students get them too."""
    return sorted(source.parent.glob(f"{source.stem}_*.py"))


def master(source: Path) -> nbformat.NotebookNode:
    """The notebook that `otter assign` reads.

    It is the source with otter's settings, with the set-up cell after the title, and with links that lead to the
    repository's address in place of relative ones.
    """
    notebook = jupytext.read(source)
    address, branch = declared(ROOT)
    vae_helpers = f"vae-helpers @ git+{address}@{branch}"
    settings = {
        "init_cell": False,  # students need no otter
        "export_cell": False,  # they hand in the notebook as it is
        "run_tests": False,  # grade_check.py runs them
        "tests": {"files": True, "ok_format": False},
        "files": [path.name for path in modules(source)],
        "requirements": ["scipy", vae_helpers],  # of graders in containers
    }
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            book = f"]({address}/blob/{branch}/"
            cell.source = cell.source.replace("](../../", book)
        elif begins_question(cell):
            # The public checks are ordinary cells: no cell of otter's.
            cell.source += "\ncheck_cell: false"
    config = "# ASSIGNMENT CONFIG\n" + yaml.safe_dump(settings)
    set_up = nbformat.v4.new_code_cell(colab_cell(address, branch))
    set_up.metadata["tags"] = ["hide-input", "nbval-skip"]
    title, *others = notebook.cells
    start = [nbformat.v4.new_raw_cell(config), title, set_up]
    notebook.cells = start + others
    return notebook


def build(source: Path, target: Path = BUILT) -> None:
    """Write the files of one lab under `target`, in place of those of an earlier call."""
    from otter.assign import main as assign  # takes seconds to import

    logging.getLogger("otter").setLevel(logging.WARNING)
    lab, beside = source.stem, modules(source)
    with tempfile.TemporaryDirectory() as place:
        whole, made = Path(place, f"{lab}.ipynb"), Path(place, "made")
        nbformat.write(master(source), whole)
        for path in beside:
            shutil.copy(path, place)
        assign(str(whole), str(made), no_pdfs=True, no_run_tests=True)
        halves = {"student": "student", "autograder": "lecturer"}
        for half, name in halves.items():
            notebook = nbformat.read(made / half / whole.name, as_version=4)
            # So that grade.py can say which lab a notebook is.
            notebook.metadata["otter"] = {"assignment_name": lab}
            folder = folder_of(target, name)
            nbformat.write(notebook, folder / whole.name)
            for path in beside:
                shutil.copy(path, folder)
        # Otter puts the time into the name of its zip.
        (zipped,) = (made / "autograder").glob("*.zip")
        grader = folder_of(target, "grader") / f"{lab}-autograder.zip"
        shutil.copy(zipped, grader)
    student = target / "student"
    with zipfile.ZipFile(student / f"{lab}.zip", "w") as archive:
        for path in [student / f"{lab}.ipynb", *beside]:
            archive.write(path, f"{lab}/{path.name}")


def folder_of(target: Path, name: str) -> Path:
    """One of the folders that the results stand in, made where it is missing."""
    (target / name).mkdir(parents=True, exist_ok=True)
    return target / name


def main(arguments: Sequence[str]) -> str | None:
    """What went wrong, or nothing."""
    try:
        chosen = sources(arguments)
    except ValueError as error:
        return f"{error} Usage: build.py [number of a lab ...]"
    for source in chosen:
        build(source)
        asked = questions(source)
        points = sum(one.points for one in asked)
        print(f"{source.stem}: {len(asked)} questions, {points} points")
    print(f"In {BUILT.relative_to(ROOT)}:")
    print("  student/   labN.ipynb, and with its modules labN.zip")
    print("  lecturer/  the same with solutions")
    print("  grader/    the hidden tests; make grade uses them")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
