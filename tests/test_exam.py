"""The examination: keys found in two ways, fair numbers for every seed, and no answer in what students get."""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path

import pypdf
import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "course" / "exam"))
import exam  # noqa: E402
from exam_question import Claim, Part, Question, drawn, shown  # noqa: E402

DECIMALS = re.compile(r"-?\d+\.\d{3}(?!\d)")  # as the key prints what it computed
FORMULA = re.compile(r"\$(.+?)\$")
GIVEN = {"the wasted KL"}  # in the question's table, so that the answer can only name it again


def text_of(question: Question) -> str:
    """All that students see of a question, as Markdown."""
    return "\n".join([question.text, *(part.text for part in question.parts)])


@pytest.fixture(scope="module")
def many() -> dict[str, list[Question]]:
    """Both variants of 200 seeds. Drawing raises where the two ways to a number of the key disagree."""
    return {
        f"{seed} {letter}": questions
        for seed in range(200)
        for letter, questions in exam.variants(str(seed)).items()
    }  # fmt: skip


@pytest.mark.slow
def test_numbers_are_sensible_for_every_seed(many):
    for name, questions in many.items():
        for question in questions:
            for claim in question.claims:
                low, high = claim.sensible
                assert low <= claim.key <= high and abs(claim.key) < 1e4, (name, question.title, claim)
        assert sum(question.points for question in questions) == exam.MINUTES == 90
    for number in range(len(exam.QUESTIONS)):
        assert len({text_of(questions[number]) for questions in many.values()}) > 40, exam.QUESTIONS[number].__name__


@pytest.mark.slow
def test_a_variant_has_other_numbers_and_the_same_questions(many):
    for seed in range(200):
        for one, other in zip(many[f"{seed} A"], many[f"{seed} B"], strict=True):
            assert [(p.points, bool(p.claims)) for p in one.parts] == [(p.points, bool(p.claims)) for p in other.parts]
            for part, its_twin in zip(one.parts, other.parts, strict=True):
                assert part.answer != its_twin.answer or not part.claims, (seed, one.title)
    assert exam.variants("7") == exam.variants("7")


@pytest.mark.slow
def test_every_number_of_the_key_is_found_in_two_ways(many):
    for name, questions in many.items():
        for question in questions:
            checked = {shown(claim.key) for claim in question.claims}
            numbers = {number for part in question.parts for number in DECIMALS.findall(part.answer)}
            given = set(DECIMALS.findall(text_of(question)))
            assert numbers <= checked | given, (name, question.title, numbers - checked - given)


def test_a_wrong_key_is_refused():
    def half_forgotten(rng: random.Random) -> Question:
        return Question("KL", "1.6", "", (Part("", 1, 1, "", (Claim("KL", 1.636, 0.818),)),))

    with pytest.raises(ArithmeticError, match=r"KL, KL: the key says 1\.636, the second way 0\.818"):
        drawn(half_forgotten, random.Random(0))


def test_numbers_that_are_never_sensible_are_an_error():
    def always_tiny(rng: random.Random) -> Question:
        return Question("KL", "1.6", "", (Part("", 1, 1, "", (Claim("KL", 0.0, 0.0, (1, 2)),)),))

    with pytest.raises(RuntimeError, match="always_tiny: no sensible numbers"):
        drawn(always_tiny, random.Random(0))


@pytest.mark.slow
def test_students_get_no_answer(many):
    """No number of the key, no side of an equation of an answer, no answer as it is rendered, no seed."""
    for name, questions in list(many.items())[:60]:
        for question in questions:
            text = text_of(question)
            numbers = {shown(claim.key) for claim in question.claims if claim.name not in GIVEN}
            assert numbers.isdisjoint(DECIMALS.findall(text)), (name, question.title)
            sides = (side for part in question.parts for one in FORMULA.findall(part.answer) for side in one.split("="))
            formulas = {side.strip() for side in sides if len(side.strip()) > 8 and re.search(r"[+/^]|\\frac", side)}
            assert [formula for formula in formulas if formula in text] == [], (name, question.title)
    for_students = exam.page("A", questions)
    key = exam.page("A", questions, "31415926")
    for part in (part for question in questions for part in question.parts):
        answer = exam.MARKDOWN.render(part.answer)
        assert answer not in for_students and answer in key
    assert "31415926" in key and "Seed" not in for_students
    assert for_students.count('class="line"') == sum(part.lines for question in questions for part in question.parts)


def test_a_page_is_mathml_and_loads_nothing(many):
    for letter, questions in exam.variants("7").items():
        for seed in (None, "7"):
            text = exam.with_style(exam.page(letter, questions, seed), f"Variant {letter}")
            body = text.partition("<body>")[2]
            assert body.count("<math") > 60 and "$" not in body and "\\" not in body
            assert "MATH_FONT" not in text and not re.search(r"https?://(?!www\.w3\.org)|<link|<script| src=", text)


def test_the_teaching_page_says_how_long_it_is():
    assert f"**Examination**, {exam.MINUTES} minutes" in (ROOT / "book" / "teaching.md").read_text("utf-8")


def test_sections_of_the_questions_exist(many):
    text = "".join(path.read_text("utf-8") for path in sorted((ROOT / "notebooks").glob("0[1-7]_*.py")))
    sections = set(re.findall(r"^# ## (\d\.\d+) ", text, re.M))
    for question in many["0 A"]:
        assert set(question.sections.split(", ")) <= sections


def test_the_command_writes_two_variants_and_two_keys(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exam, "TARGET", tmp_path)
    monkeypatch.setattr(exam, "CHROMIUM", None)
    assert exam.main([]) is None  # draws a seed, and says it
    seed = re.search(r"^Seed (\d+): ", capsys.readouterr().out, re.M)[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "variant-A-key.html", "variant-A.html", "variant-B-key.html", "variant-B.html",
    ]  # fmt: skip
    for path in tmp_path.iterdir():
        assert (f"Seed {seed}" in path.read_text("utf-8")) == ("key" in path.name)
    assert exam.main(["7", "8"]).startswith("Expected one seed")


@pytest.mark.skipif(exam.CHROMIUM is None, reason="the pages are printed by Chromium")
def test_a_variant_is_printed_on_a_few_sheets(tmp_path):
    source = tmp_path / "variant-A.html"
    source.write_text(exam.with_style(exam.page("A", exam.variants("7")["A"]), "Variant A"), "utf-8")
    pdf = pypdf.PdfReader(exam.print_page(source))
    text = "".join(page.extract_text() for page in pdf.pages)
    assert 5 <= len(pdf.pages) <= 8 and text.count("Variant A") > len(pdf.pages) - 1
    assert "8. Find the mistake" in text
