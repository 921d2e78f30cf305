"""Prove the labs' graders: `make grade-check`, one lab with LAB=1, the planted slips too with SLIPS=1.

The reference must get all points and the blank student's copy none. With `--slips` each slip of `slipsN.toml` is
planted into the reference, and must lose points in the question that it names. Run with the Python of .venv-labs.
"""

from __future__ import annotations

import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat

from build import BUILT, build, questions, sources
from grade import AT_ONCE, Grade, grade, grader


@dataclass(frozen=True)
class Case:
    """A notebook and what its grade must be.

    Attributes:
        expected: "all" points and a tick from each public check, "none" of both, or a "loss" of points in `question`.
    """

    name: str
    source: Path
    notebook: Path
    expected: str
    question: str = ""


def slips(source: Path) -> list[dict[str, str]]:
    """The planted slips of a lab: name, text to find, text to put in its place, question that must lose points."""
    name = source.stem.replace("lab", "slips") + ".toml"
    return tomllib.loads(source.with_name(name).read_text("utf-8"))["slip"]


def plant(notebook: nbformat.NotebookNode, slip: dict[str, str]) -> None:
    """Put a slip into a notebook.

    Raises:
        ValueError: the text to find does not stand exactly once in the code cells.
    """
    find, count = slip["find"], 0
    for cell in notebook.cells:
        if cell.cell_type == "code":
            count += cell.source.count(find)
            cell.source = cell.source.replace(find, slip["put"])
    if count != 1:
        found = f"expected {find!r} once in the reference, got {count}"
        raise ValueError(f"{slip['name']}: {found}.")


def cases(source: Path, with_slips: bool, place: Path) -> Iterator[Case]:
    """What to grade of one lab; notebooks with slips are written to the folder `place`."""
    name = f"{source.stem}.ipynb"
    reference, blank = BUILT / "lecturer" / name, BUILT / "student" / name
    yield Case("reference", source, reference, "all")
    yield Case("blank copy", source, blank, "none")
    for number, slip in enumerate(slips(source) if with_slips else []):
        notebook = nbformat.read(reference, as_version=4)
        plant(notebook, slip)
        path = place / f"{source.stem}_{number}.ipynb"
        nbformat.write(notebook, path)
        yield Case(slip["name"], source, path, "loss", slip["question"])


def judge(case: Case, found: Grade) -> tuple[bool, str]:
    """Whether a grade is what it must be, and what it is in words."""
    asked = [one for one in questions(case.source) if not one.manual]
    possible = {one.name: one.points for one in asked}
    if case.expected == "loss":
        earned = found.scores.get(case.question, 0.0)
        most = possible[case.question]
        right = bool(found.scores) and earned < most
        return right, f"{case.question}: {earned:g} of {most}"
    all_of_them = case.expected == "all"
    wanted = possible if all_of_them else dict.fromkeys(possible, 0.0)
    unwanted = found.crosses if all_of_them else found.ticks
    result = f"{found.total:g} of {sum(possible.values())}"
    if unwanted:
        result += f", {unwanted} lines {'✗ or …' if all_of_them else '✓'}"
    return found.scores == wanted and not unwanted, result


def verdict(case: Case) -> tuple[bool, str]:
    """Grade a case: whether it got what it must, and a line about it."""
    started = time.monotonic()
    found = grade(case.notebook, grader(case.source))
    right, result = judge(case, found)
    line = f"{'ok' if right else 'WRONG':5} {case.source.stem} {case.name}"
    line += f": {result}, {time.monotonic() - started:.0f} s"
    return right, line if right else f"{line} ({found.note})"


def main(arguments: Sequence[str]) -> str | None:
    """What went wrong, or nothing."""
    numbers = [one for one in arguments if one != "--slips"]
    all_right = True
    with tempfile.TemporaryDirectory() as place:
        listed: list[Case] = []
        try:
            for source in sources(numbers):
                build(source)
                listed += cases(source, "--slips" in arguments, Path(place))
        except ValueError as error:
            return f"{error} Usage: grade_check.py [--slips] [lab ...]"
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for right, line in pool.map(verdict, listed):
                print(line, flush=True)
                all_right &= right
    return None if all_right else "A grade is wrong: see WRONG above."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
