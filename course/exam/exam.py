"""Two variants of the examination, each with its key: `python course/exam/exam.py 7` (what `make exam SEED=7` calls).

The seed decides every number. The questions are public, so whoever knows the seed can make the key: take one that
nobody guesses. Without one a long seed is drawn. It is said here and on the keys, never on what students get.

Each page is one HTML file that needs nothing else; where Chromium is on the system it is printed to PDF as well.
"""

from __future__ import annotations

import base64
import html
import random
import re
import secrets
import sys
import tempfile
from pathlib import Path

from exam_practice import find_the_mistake, table_of_latents, three_weights, which_loss
from exam_question import Question, drawn
from exam_theory import bound_by_hand, through_the_sample, two_estimators, two_gaussians
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))
from book_math import mathml  # noqa: E402
from book_weight import MATH_FONT, UNWRITTEN, subset_font  # noqa: E402
from pdf import CHROMIUM, print_file  # noqa: E402

QUESTIONS = (
    two_gaussians,
    bound_by_hand,
    through_the_sample,
    two_estimators,
    which_loss,
    table_of_latents,
    three_weights,
    find_the_mistake,
)
TARGET = ROOT / "_build" / "course" / "exam"
MINUTES = 90  # a point a minute
LETTERS = ("A", "B")
RULES = (
    f"You have {MINUTES} minutes for as many points. Allowed: a calculator, and one sheet of paper that you wrote "
    "yourself, both sides. Logarithms are natural; give results in nats, to three decimals, with the steps that lead "
    "to them. Where you need a result that you do not have, name it by a letter and go on."
)
MARKDOWN = (
    MarkdownIt("commonmark", {"html": False})
    .enable("table")
    .use(dollarmath_plugin, renderer=lambda tex, options: mathml(tex, options["display_mode"]))
)


def variants(seed: str) -> dict[str, list[Question]]:
    """The questions of both variants. Where an answer is a number, the other variant has another one."""
    first, second = ([random.Random(f"{seed} {letter} {make.__name__}") for make in QUESTIONS] for letter in LETTERS)
    one = [drawn(make, rng) for make, rng in zip(QUESTIONS, first, strict=True)]
    other = []
    for make, rng, question in zip(QUESTIONS, second, one, strict=True):
        while same_number(question, candidate := drawn(make, rng)):
            pass
        other.append(candidate)
    return dict(zip(LETTERS, (one, other), strict=True))


def same_number(question: Question, other: Question) -> bool:
    """Whether some part of two draws of a question has the same answer, and the answer is a number."""
    return any(a.claims and a.answer == b.answer for a, b in zip(question.parts, other.parts, strict=True))


def shown_question(number: int, question: Question, key: bool) -> str:
    """A question in HTML: with room for answers, or with the answers."""
    parts = []
    for part in question.parts:
        below = f'<div class="answer">{MARKDOWN.render(part.answer)}</div>' if key else ""
        below += '<div class="line"></div>' * (0 if key else part.lines)
        text = MARKDOWN.render(part.text).strip().removesuffix("</p>")
        parts.append(f'<li>{text} <span class="points">({part.points} points)</span></p>{below}</li>')
    sections = f'<p class="points">Sections {question.sections} of the book.</p>' if key else ""
    title = f"{number}. {html.escape(question.title)} ({question.points} points)"
    text = f'<div class="shared">{MARKDOWN.render(question.text)}</div>'
    return f"<section><h2>{title}</h2>{sections}{text}<ol>{''.join(parts)}</ol></section>"


def page(letter: str, questions: list[Question], seed: str | None = None) -> str:
    """The page of a variant, without its fonts: for students, or, given the seed, its key."""
    key = seed is not None
    name = f"Variant {letter}{', key' if key else ''}"
    numbers = "".join(f"<th>{number}</th>" for number in range(1, len(questions) + 1))
    points = "".join(f"<td>&emsp;/ {question.points}</td>" for question in questions)
    total = sum(question.points for question in questions)
    top = f"<table><tr>{numbers}<th>together</th></tr><tr>{points}<td>&emsp;/ {total}</td></tr></table>"
    if key:
        top = (
            f"<p>Seed {html.escape(seed)}. A slip of arithmetic costs one point of its part, a term that is missing or "
            "has the wrong sign half of them, rounded up; a result without steps gets half, rounded down. What is "
            "computed rightly from a wrong number gets full points. Where a part asks for several things, its points "
            "go to them in equal shares.</p>"
        )
    else:
        fields = ({"Course": 32, "Date": 18}, {"Name": 34, "Number": 16})
        lines = ("&emsp;".join(f"{what}: {'_' * room}" for what, room in line.items()) for line in fields)
        top = "".join(f'<p class="name">{line}</p>' for line in lines) + f"<p>{RULES}</p>{top}"
    body = "".join(shown_question(number, question, key) for number, question in enumerate(questions, 1))
    head = f'<meta charset="utf-8"><title>{name}</title><style>/* style */</style>'
    title = "<h1>Examination: the variational autoencoder</h1>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{title}<p>{name}</p>{top}{body}</body></html>'


def with_style(text: str, footer: str) -> str:
    """A page with its style sheet and the font of its formulas in it, so that the file stands alone."""
    formulas = re.sub(r"<[^>]*>", "", "".join(re.findall(r"<math.*?</math>", text, re.DOTALL)))
    with tempfile.TemporaryDirectory() as folder:
        font = Path(folder, "math.woff2")
        subset_font(MATH_FONT, font, UNWRITTEN | set(map(ord, html.unescape(formulas))))
        encoded = base64.b64encode(font.read_bytes()).decode()
    style = Path(__file__).with_name("exam.css").read_text("utf-8")
    style = style.replace("MATH_FONT", encoded).replace("FOOTER", footer)
    return text.replace("/* style */", style)


def print_page(source: Path) -> Path:
    """Prints a page to PDF beside it.

    Raises:
        subprocess.CalledProcessError: Chromium did not print.
    """
    target = source.with_suffix(".pdf")
    print_file(source, target)
    return target


def main(arguments: list[str]) -> str | None:
    """Writes four pages; returns what went wrong, or nothing."""
    if len(arguments) > 1 or "--help" in arguments:
        return "Expected one seed, such as 20261207: make exam SEED=20261207"
    seed = arguments[0] if arguments else str(secrets.randbelow(10**12))
    TARGET.mkdir(parents=True, exist_ok=True)
    for letter, questions in variants(seed).items():
        for name, given in ((f"variant-{letter}", None), (f"variant-{letter}-key", seed)):
            footer = f"Variant {letter}{', key' if given else ''}"
            file = TARGET / f"{name}.html"
            file.write_text(with_style(page(letter, questions, given), footer), "utf-8")
            print(print_page(file) if CHROMIUM else file)
    print(f"Seed {seed}: whoever knows it can make the key. It stands on the keys alone.")
    if CHROMIUM is None:
        print("Chromium is not on this system: print the pages from a browser.")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
