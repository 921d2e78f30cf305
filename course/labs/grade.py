"""Grade a folder of handed-in notebooks of one lab: `make grade LAB=1 FROM=folder`.

Each notebook runs in a kernel of its own, and otter-grader runs the lab's hidden tests on what it leaves. A table is
printed; `_build/course/labs/grades/labN.csv` has it too, with an empty column for each written answer, and
`labN_answers.md` has these answers one below the other. Every file in the folder gets a row, also one that is no
notebook, that crashes or that runs too long.

**It runs the students' code, as you, on this machine.** Nothing holds that code back: use a machine or an account
where it can do no harm. Run with the Python of .venv-labs.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pandas as pd
import psutil

from build import BUILT, ROOT, Question, build, questions, sources

SECONDS = 300  # for one notebook; the reference takes a tenth of it
AT_ONCE = 2
# So otter marks the questions with a written answer.
BEGIN, END = "<!-- BEGIN QUESTION -->", "<!-- END QUESTION -->"
WRITTEN = re.compile(f"{BEGIN}(.*?){END}", re.DOTALL)


@dataclass
class Grade:
    """What one notebook earned.

    Attributes:
        scores: points of each question that the grader reached.
        note: what went wrong with the notebook as a whole, and which hidden tests failed; empty if nothing.
        ticks, crosses: how many lines the public checks printed with ✓, and with ✗ or ….
    """

    scores: dict[str, float] = field(default_factory=dict)
    note: str = ""
    ticks: int = 0
    crosses: int = 0

    @property
    def total(self) -> float:
        """The points of all questions that are graded here."""
        return sum(self.scores.values())


def read(path: Path) -> nbformat.NotebookNode:
    """A handed-in notebook.

    Raises:
        ValueError: it is none.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # whatever a damaged file makes of nbformat
        raise ValueError(f"no notebook: {type(error).__name__}") from error
    return notebook


def grader(source: Path) -> Path:
    """The zip that grades a lab, which `build` has made of its source."""
    return BUILT / "grader" / f"{source.stem}-autograder.zip"


def grade(path: Path, grader: Path, seconds: float = SECONDS) -> Grade:
    """Grade one notebook in a process of its own.

    Args:
        path: what was handed in.
        grader: the lab's `labN-autograder.zip`.
        seconds: how long the notebook may run.
    """
    lab = grader.name.removesuffix("-autograder.zip")
    try:
        notebook = read(path)
    except ValueError as error:
        return Grade(note=str(error))
    metadata = notebook.metadata
    other = metadata.get("otter", {}).get("assignment_name", lab)
    if other != lab:
        return Grade(note=f"this is {other}, not {lab}")
    # The kernel that the student chose is not on this machine.
    metadata["kernelspec"] = {"name": "python3", "display_name": "Python"}
    with tempfile.TemporaryDirectory() as place:
        copy, result = Path(place, f"{lab}.ipynb"), Path(place, "result")
        nbformat.write(notebook, copy)
        errors = run_apart(seconds, "--one", copy, grader, result)
        if not result.exists():
            return Grade(note=errors)
        return Grade(**json.loads(result.read_text("utf-8")))


def run_apart(seconds: float, *arguments: str | Path) -> str:
    """Run this script in a process of its own, which may take some seconds; return why it did not end well."""
    process = subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        # The kernel leads a process group of its own: end it by name.
        parent = psutil.Process(process.pid)
        for one in [*parent.children(recursive=True), parent]:
            one.kill()
        process.communicate()
        return f"ran past {seconds:g} s"
    last = errors.strip().splitlines()[-1:] or ["no message"]
    return f"crashed: {last[0]}"


def grade_here(notebook: str, tests: str) -> Grade:
    """Run otter on one notebook, in this process and in the folder that otter makes for it."""
    from otter.api import grade_submission

    results = grade_submission(notebook, tests, quiet=True)
    if results.catastrophic_error:
        raise results.catastrophic_error
    found = Grade()
    raised, failed = [], []
    for cell in results.notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                message = f"{output.ename}: {output.evalue}"
                raised.append(f"a cell raised {message[:80]}")
            for line in output.get("text", "").splitlines():
                found.ticks += line.startswith("✓")
                found.crosses += line.startswith(("✗", "…"))
    for name, file in results.results.items():
        found.scores[name] = round(file.score, 6)
        for one in file.test_case_results:
            if not one.passed:
                reason = one.message.strip().splitlines()[-1]
                reason = reason.removeprefix("AssertionError: ")
                failed.append(f"{name}: {reason}")
    # The first cell that raised is the cause of most others.
    found.note = "; ".join(raised[:1] + failed)
    return found


def handed_in(folder: Path) -> list[Path]:
    """The files of a folder and its folders, but those that programs keep for themselves (`.ipynb_checkpoints`).

    Raises:
        ValueError: there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        wanted = "expected a folder with the handed-in notebooks"
        raise ValueError(f"FROM: {wanted}, got {folder}.")
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part[0] == "." for part in parts):
            found.append(path)
    if not found:
        raise ValueError(f"FROM: nothing in {folder}.")
    return found


def row(name: str, one: Grade, asked: Sequence[Question]) -> dict:
    """A line of the table: points of each question, empty for a written one, the sum without those, the note."""
    points = {}
    for question in asked:
        head = f"{question.name} ({question.points})"
        earned = one.scores.get(question.name, 0.0)
        points[head] = None if question.manual else earned
    return {"file": name, **points, "sum": one.total, "note": one.note}


def text_of(notebook: nbformat.NotebookNode) -> str:
    """The Markdown of a notebook."""
    cells = [one for one in notebook.cells if one.cell_type == "markdown"]
    return "\n\n".join(one.source for one in cells)


def written(path: Path, blank: Path) -> str:
    """The written answers in a notebook, each under its question's heading: what does not stand in the blank copy."""
    try:
        text = "\n".join(WRITTEN.findall(text_of(read(path))))
    except ValueError as error:
        return str(error)
    known = {line for line in text_of(read(blank)).splitlines() if line}
    lines = text.strip().splitlines()
    return "\n".join(
        one for one in lines if one not in known or one.startswith("## ")
    )


def grade_all(source: Path, folder: Path) -> None:
    """Grade the files of a folder, print the table and write it, and write the answers that a person marks."""
    paths = {
        path.relative_to(folder).as_posix(): path
        for path in handed_in(folder)
    }
    build(source)
    limit = f"each may take up to {SECONDS} s"
    print(f"{len(paths)} files, {AT_ONCE} at a time; {limit}.", flush=True)
    rows, asked, zipped = [], questions(source), grader(source)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        grades = pool.map(lambda path: grade(path, zipped), paths.values())
        for name, one in zip(paths, grades, strict=True):
            rows.append(row(name, one, asked))
            print(f"{len(rows)}. {name}: {one.total:g}", flush=True)
    place = BUILT / "grades"
    place.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(place / f"{source.stem}.csv", index=False)
    blank = BUILT / "student" / f"{source.stem}.ipynb"
    answers = [
        f"# {name}\n\n{written(path, blank)}\n"
        for name, path in paths.items()
    ]
    answers_file = place / f"{source.stem}_answers.md"
    answers_file.write_text("\n".join(answers), "utf-8")
    shown = table.astype(object).fillna("by hand")
    print(shown.to_string(index=False, max_colwidth=60))
    where = f"{place.relative_to(ROOT)}/{source.stem}"
    print(f"{where}.csv has the same; {where}_answers.md is to be marked.")


def main(arguments: Sequence[str]) -> str | None:
    """What went wrong, or nothing."""
    if arguments[:1] == ["--one"]:
        notebook, tests, result = arguments[1:]
        found = json.dumps(vars(grade_here(notebook, tests)))
        Path(result).write_text(found, "utf-8")
        return None
    number, folder = [*arguments, "", ""][:2]
    try:
        (source,) = sources([number])
        if not folder:
            raise ValueError("FROM: expected a folder, got nothing.")
        grade_all(source, Path(folder))
    except ValueError as error:
        return f"{error} For example: make grade LAB=1 FROM=folder"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
