"""A Sphinx extension with the directive `course-plan`: the sessions of `course/plan.yml` on a page of the book.

The plan names sections, exercises, questions of quizzes and labs, slides and papers. Here each gets its title, its
minutes and a link, from the files that have them. The notes for the lecturer are `course/sessions/1.md` and so on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from docutils import nodes
from mdit_py_plugins.anchors.index import slugify
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[1]
SECTION = re.compile(r"^# ## ((\d+)\.\d+) (.+)$", re.MULTILINE)
EXERCISE = re.compile(r"^# \*\*(\d+)\. (.+?)\*\* \((\d+) min, (.+?)\)", re.MULTILINE)


@dataclass(frozen=True)
class Chapter:
    """What a plan can name of a chapter: its sections by number, its exercises with their minutes."""

    name: str  # such as "01_theory"
    sections: dict[str, str]  # "1.2": its heading
    exercises: dict[int, tuple[str, int]]  # 3: title and minutes


def chapters() -> dict[int, Chapter]:
    """The chapters by number."""
    found = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.py")):
        text = path.read_text("utf-8")
        sections = {number: title for number, _, title in SECTION.findall(text)}
        exercises = {int(number): (title, int(minutes)) for number, title, minutes, _ in EXERCISE.findall(text)}
        found[int(path.stem[:2])] = Chapter(path.stem, sections, exercises)
    return found


def quiz_ids(chapter: Chapter) -> list[str]:
    """The names of a quiz's questions, in their order; none without a quiz."""
    path = ROOT / "course" / "quizzes" / f"{chapter.name}.yml"
    return [entry["id"] for entry in yaml.safe_load(path.read_text("utf-8"))["questions"]] if path.exists() else []


def plan() -> list[dict]:
    """The sessions of `course/plan.yml`, in their order."""
    return yaml.safe_load((ROOT / "course" / "plan.yml").read_text("utf-8"))["sessions"]


class Page:
    """The plan as Markdown."""

    def __init__(self):
        self.chapters = chapters()

    def section(self, number: str) -> str:
        """`[1.2](…)`, a link to a section of a chapter."""
        chapter = self.chapters[int(number.split(".")[0])]
        return f"[{number}](../notebooks/{chapter.name}.ipynb#{slugify(f'{number} {chapter.sections[number]}')})"

    def sections(self, numbers: list[str]) -> str:
        return ", ".join(map(self.section, numbers))

    def tasks(self, texts: list[str]) -> str:
        """Tasks such as `exercise 1.2`, `quiz 1 kl-by-hand` and `lab 1 q4`, by kind, with links to pages."""
        told: dict[str, list[str]] = {}
        for text in texts:
            kind, *where = text.split()
            if kind == "exercise":
                chapter = int(where[0].partition(".")[0])
                shown = f"[{where[0]}](../notebooks/{self.chapters[chapter].name}.ipynb#exercises)"
            elif kind == "quiz":
                number = quiz_ids(self.chapters[int(where[0])]).index(where[1]) + 1
                shown = f"[{where[0]}.{number}](quizzes.md#chapter-{where[0]})"
            else:
                shown = f"{where[0]}.{where[1].removeprefix('q')}"
            told.setdefault(kind, []).append(shown)
        return "; ".join(f"{kind} {', '.join(shown)}" for kind, shown in told.items())

    def homework(self, exercises: dict[int, list[int]]) -> str:
        """`Exercises 2 and 3 of chapter 1 (25 minutes)`, with a link."""
        told, minutes = [], 0
        for number, wanted in exercises.items():
            chapter = self.chapters[number]
            names = " and ".join(filter(None, [", ".join(map(str, wanted[:-1])), str(wanted[-1])]))
            word = "exercise" if len(wanted) == 1 else "exercises"
            told.append(f"[{word} {names} of chapter {number}](../notebooks/{chapter.name}.ipynb#exercises)")
            minutes += sum(chapter.exercises[one][1] for one in wanted)
        return f"{'; '.join(told)}: {minutes} minutes"

    @staticmethod
    def papers(entries: list[dict]) -> str:
        """Citations, each with what to read of it."""
        told = (
            "{cite:t}`" + entry["key"] + "`" + (f" ({entry['what']})" if "what" in entry else "") for entry in entries
        )
        return "; ".join(told)

    def overview(self, sessions: list[dict]) -> str:
        rows = ["| No. | Session | With | Chapters |", "|---|---|---|---|"]
        for number, session in enumerate(sessions, 1):
            sections = [one for row in session["rows"] for one in row.get("sections", [])]
            told = ", ".join(sorted({one.partition(".")[0] for one in sections}))
            title = f"[{session['title']}](#{slugify(heading(number, session))})"
            rows.append(f"| {number} | {title} | {session['with']} | {told} |")
        return "\n".join(rows)

    def session(self, number: int, session: dict) -> str:
        kind = "slides" if session["with"].startswith("deck") else "questions"
        rows = ["| Min | What | Where |", "|---|---|---|"]
        for row in session["rows"]:
            shown = span(kind, row[kind]) if kind in row else ""
            where = "; ".join(filter(None, [self.sections(row.get("sections", [])), shown]))
            rows.append(f"| {row['minutes']} | {row['what']} | {where} |")
        goals = ["| Afterwards students can | Sections | Tried in |", "|---|---|---|"]
        for goal in session["objectives"]:
            goals.append(f"| {goal['text']} | {self.sections(goal['sections'])} | {self.tasks(goal['tasks'])} |")
        reading = []
        if session.get("read"):
            word = "Section" if len(session["read"]) == 1 else "Sections"
            reading.append(f"**To read.** {word} {self.sections(session['read'])}.")
        if session.get("papers"):
            reading.append(f"**Papers.** {self.papers(session['papers'])}.")
        if session.get("further"):
            reading.append(f"**For those who ask for more.** {self.papers(session['further'])}.")
        home = [self.homework(session["homework"]), *map(self.tasks, filter(None, [session.get("home")]))]
        reading.append(f"**Homework.** {capitalised('; '.join(home))}.")
        notes = (ROOT / "course" / "sessions" / f"{number}.md").read_text("utf-8").strip()
        parts = [
            f"## {heading(number, session)}",
            f"*{capitalised(session['with'])}.* **The one idea:** {session['idea']}",
            "\n".join(rows),
            "\n".join(goals),
            *reading,
            f":::{{dropdown}} Notes for whoever teaches session {number}\n{notes}\n:::",
        ]
        return "\n\n".join(parts)


def heading(number: int, session: dict) -> str:
    return f"Session {number}. {session['title']}"


def span(kind: str, numbers: str) -> str:
    """`slides 1–4`, `question 5`. With word joiners, since a phone would break the line at the dash."""
    word = kind if "–" in numbers else kind.removesuffix("s")
    return f"{word} {numbers}".replace("–", "\u2060–\u2060")


def capitalised(text: str) -> str:
    """The text with its first letter large, also where that stands in a link."""
    return re.sub(r"[a-z]", lambda letter: letter[0].upper(), text, count=1)


class CoursePlan(SphinxDirective):
    """`{course-plan} overview`, a table of the sessions, or `{course-plan} sessions`, a section for each."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        read = [*(ROOT / "course").glob("sessions/*.md"), *(ROOT / "course").glob("quizzes/*.yml")]
        for path in (ROOT / "course" / "plan.yml", *read, *(ROOT / "notebooks").glob("[0-9]*.py")):
            self.env.note_dependency(str(path))
        page, sessions = Page(), plan()
        if self.arguments[0] == "overview":
            return self.parse_text_to_nodes(page.overview(sessions))
        text = "\n\n".join(page.session(number, session) for number, session in enumerate(sessions, 1))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app):
    app.add_directive("course-plan", CoursePlan)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
