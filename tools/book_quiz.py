"""A Sphinx extension with the directive `quiz`: the questions about a chapter, from `course/quizzes`.

Without a script a question is its options and, folded, the answers with their reasons. `quiz.js`, which only a page
with a quiz loads, lets a reader choose and says at once whether that was right, and why.
"""

from __future__ import annotations

import html
import sys
from itertools import starmap
from pathlib import Path

from docutils import nodes
from mdit_py_plugins.anchors.index import slugify
from sphinx.util.docutils import SphinxDirective

sys.path.append(str(Path(__file__).resolve().parents[1] / "course" / "quizzes"))
import questions


class Markup(nodes.General, nodes.Element):
    """An HTML element for which docutils has no node."""


def markup(element: str, /, *children: nodes.Node, **attributes: str | float) -> Markup:
    """An element of HTML. An underscore at the end of an attribute's name is left out: `class_`."""
    return Markup("", *children, element=element, given={key.rstrip("_"): value for key, value in attributes.items()})


def _visit(self, node) -> None:
    given = "".join(f' {key}="{html.escape(str(value))}"' for key, value in node["given"].items())
    self.body.append(f"<{node['element']}{given}>")


def _depart(self, node) -> None:
    if node["element"] != "input":
        self.body.append(f"</{node['element']}>")


class Quiz(SphinxDirective):
    """`{quiz} 01_theory` shows the questions about that chapter."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        chapter = self.arguments[0]
        self.env.note_dependency(str(questions.FOLDER / f"{chapter}.yml"))
        self.sections = {
            number: f"[section {number}](../notebooks/{chapter}.ipynb#{slugify(title)})"
            for number, title in questions.headings(chapter).items()
        }
        asked = questions.read(chapter).questions
        return list(starmap(self.show, enumerate(asked, 1)))

    def show(self, number: int, question: questions.Question) -> Markup:
        code = [nodes.literal_block(question.code, question.code, language="python")] if question.code else []
        return markup(
            "fieldset",
            markup("legend", nodes.strong("", f"Question {number}."), nodes.Text(" "), self.inline(question.text)),
            *code,
            *(self.field(question) if question.key else self.choices(question)),
            markup("div", class_="quiz-verdict", role="status"),
            markup(
                "details",
                markup("summary", nodes.Text("Answer and reasons")),
                markup("ul", *(self.values(question) if question.key else self.reasons(question))),
                *self.parse_text_to_nodes(f"More in {self.sections[question.section]}."),
                class_="quiz-answers",
            ),
            class_="quiz",
            id=f"quiz-{question.id}",
            **{"data-kind": question.kind, "data-tolerance": question.tolerance},
        )

    def choices(self, question: questions.Question) -> list[Markup]:
        kind = "radio" if question.kind == "single" else "checkbox"
        shown = [] if kind == "radio" else [markup("p", nodes.Text("Tick all that are right."))]
        for number, option in enumerate(question.options):
            place = f"quiz-{question.id}-{number}"
            box = markup("input", type=kind, id=place, name=question.id)
            label = markup("label", self.inline(option.text), for_=place)
            shown.append(markup("div", box, label, class_="quiz-option"))
        return shown

    def field(self, question: questions.Question) -> list[Markup]:
        place = f"quiz-{question.id}-value"
        label = markup("label", self.inline(f"Your number ({question.unit}):"), for_=place)
        box = markup("input", type="text", inputmode="decimal", id=place, size=9, autocomplete="off")
        return [markup("div", label, box, class_="quiz-option quiz-number")]

    def reasons(self, question: questions.Question) -> list[Markup]:
        """The answers in the order of the options: `quiz.js` relies on it."""
        return [self.answer(option.right, self.inline(option.text), option.why) for option in question.options]

    def values(self, question: questions.Question) -> list[Markup]:
        """The key, then the wrong values that have a reason."""
        return [
            self.answer(
                value is question.key, nodes.Text(show_number(value.value)), value.why, **{"data-value": value.value}
            )
            for value in (question.key, *question.wrong)
        ]

    def answer(self, right: bool, words: nodes.Node, why: str, **attributes: float) -> Markup:
        verdict = "Right:" if right else "Not this one:"
        return markup(
            "li",
            nodes.paragraph("", "", nodes.strong("", verdict), nodes.Text(" "), words),
            markup("div", *self.parse_text_to_nodes(why), class_="quiz-why"),
            **{"data-right": str(right).lower()},
            **attributes,
        )

    def inline(self, text: str) -> nodes.inline:
        """A text of one paragraph as a span: a legend and a label may hold no paragraph."""
        (paragraph,) = self.parse_text_to_nodes(text)
        return nodes.inline("", "", *paragraph.children)


def show_number(value: float) -> str:
    """A number as a page writes it: `−709.8`."""
    return f"{value:,}".replace("-", "−")


def _send_script(app, pagename, templatename, context, doctree) -> None:
    if 'class="quiz"' in context.get("body", ""):
        app.add_js_file("quiz.js")


def setup(app):
    app.add_node(Markup, html=(_visit, _depart))
    app.add_directive("quiz", Quiz)
    app.add_css_file("quiz.css")
    app.connect("html-page-context", _send_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
