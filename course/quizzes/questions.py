"""The questions of the quizzes, as the page of the book and the files for learning platforms need them.

A quiz is a YAML file beside this one, named like its chapter; how a question is written is told in README.md.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parent
CHAPTERS = FOLDER.parents[1] / "notebooks"
KINDS = "single", "multiple", "numeric"


@dataclass(frozen=True)
class Option:
    """One option of a choice: what it says, whether it is right, and why."""

    text: str
    right: bool
    why: str


@dataclass(frozen=True)
class Value:
    """A number that a reader may come to, how it comes about as a Python expression, and why it is right or wrong."""

    value: float
    by: str
    why: str


@dataclass(frozen=True)
class Question:
    """A question of one of the `KINDS`; texts are Markdown with formulas between dollars."""

    id: str
    section: str  # of the chapter, such as "1.2"
    kind: str
    text: str
    code: str  # shown below the text; may be empty
    options: tuple[Option, ...]  # of a choice
    key: Value | None  # of a numeric question, as the next three are
    wrong: tuple[Value, ...]  # wrong values that have a reason
    tolerance: float  # how far from a value an answer may lie
    unit: str
    cites: tuple[str, ...]  # phrases that the chapter must contain, for the numbers that the question takes from it

    @property
    def right(self) -> tuple[Option, ...]:
        """The right options."""
        return tuple(option for option in self.options if option.right)


@dataclass(frozen=True)
class Quiz:
    """The questions about one chapter."""

    name: str  # of the chapter, such as "01_theory"
    title: str
    questions: tuple[Question, ...]


def names() -> list[str]:
    """The chapters that have a quiz, in their order."""
    return sorted(path.stem for path in FOLDER.glob("[0-9]*.yml"))


def read(name: str) -> Quiz:
    """The quiz of a chapter. The order of the options is drawn from the question's id, so that it never changes.

    Raises:
        FileNotFoundError: the chapter has no quiz.
        ValueError: a question lacks something, or has what its kind does not know; the message names the question.
    """
    path = FOLDER / f"{name}.yml"
    if not path.is_file():
        raise FileNotFoundError(f"{name}: expected one of the quizzes {', '.join(names())}.")
    content = yaml.safe_load(path.read_text("utf-8"))
    sections = headings(name)
    return Quiz(name, content["title"], tuple(_question(entry, path.name, sections) for entry in content["questions"]))


def headings(name: str) -> dict[str, str]:
    """The numbered sections of a chapter, such as `{"1.2": "1.2 The evidence lower bound"}`."""
    text = (CHAPTERS / f"{name}.py").read_text("utf-8")
    return {title.split()[0]: title for title in re.findall(r"^# ## (\d+\.\d+ .+)$", text, re.MULTILINE)}


def _question(entry: dict, file: str, sections: dict[str, str]) -> Question:
    where = f"{file}, question {entry.get('id', entry)}"
    kind = entry.get("kind")
    if kind not in KINDS:
        raise ValueError(f"{where}: expected a kind among {', '.join(KINDS)}, got {kind!r}.")
    needed = {"id", "section", "kind", "question"}
    needed |= {"key", "by", "why", "tolerance", "unit", "wrong"} if kind == "numeric" else {"options"}
    if lacking := needed - entry.keys():
        raise ValueError(f"{where}: expected also {', '.join(sorted(lacking))}.")
    if unknown := entry.keys() - needed - {"code", "cites"}:
        raise ValueError(f"{where}: {', '.join(sorted(unknown))} is nothing that a {kind} question has.")
    try:
        options = [Option(**option) for option in entry.get("options", [])]
        wrong = [Value(**value) for value in entry.get("wrong", [])]
    except TypeError as error:
        raise ValueError(f"{where}: an option has text, right, why; a wrong value value, by, why. {error}") from None
    if entry["section"] not in sections:  # without quotes, 2.10 would be read as 2.1
        raise ValueError(
            f"{where}: expected a section in quotes, such as {next(iter(sections))!r}, got {entry['section']!r}."
        )
    if kind == "single" and sum(option.right for option in options) != 1:
        raise ValueError(f"{where}: expected one right option, since its kind is single.")
    random.Random(entry["id"]).shuffle(options)
    return Question(
        id=entry["id"],
        section=entry["section"],
        kind=kind,
        text=entry["question"].strip(),
        code=entry.get("code", "").rstrip(),
        options=tuple(options),
        key=Value(entry["key"], entry["by"], entry["why"]) if kind == "numeric" else None,
        wrong=tuple(wrong),
        tolerance=entry.get("tolerance", 0.0),
        unit=entry.get("unit", ""),
        cites=tuple(entry.get("cites", [])),
    )
