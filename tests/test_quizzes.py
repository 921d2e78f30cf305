"""The quizzes: each question has the answers that it says, each option a reason; the page and the exports have all."""

import math
import random
import re
import sys
import zipfile
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup
from scipy import integrate, special, stats

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "course" / "quizzes"), str(ROOT / "tools")]
import export  # noqa: E402
import questions  # noqa: E402
from pdf import CHROMIUM  # noqa: E402

CORE = ["01_theory", "02_mlp_vae", "03_conv_vae", "04_sgvb_a_vs_b", "05_animations"]
QUIZZES = [questions.read(name) for name in questions.names()]
ALL = [(quiz, question) for quiz in QUIZZES for question in quiz.questions]
CHOICES = [question for _, question in ALL if not question.key]
NUMBERS = [question for _, question in ALL if question.key]
every = pytest.mark.parametrize("quiz, question", ALL, ids=lambda it: getattr(it, "id", ""))
every_number = pytest.mark.parametrize("question", NUMBERS, ids=lambda question: question.id)


# --- the questions ------------------------------------------------------------------------------------------------


def test_each_chapter_has_its_questions_of_each_kind():
    assert set(CORE) <= {quiz.name for quiz in QUIZZES}
    for quiz in QUIZZES:
        assert len(quiz.questions) >= 8
        assert {question.kind for question in quiz.questions} == set(questions.KINDS), quiz.name
    ids = [question.id for _, question in ALL]
    assert len(set(ids)) == len(ids)


@every
def test_every_option_and_value_is_explained(quiz, question):
    answers = [(option.text, option.why) for option in question.options]
    answers += [(value.value, value.why) for value in (question.key, *question.wrong) if value]
    assert len({said for said, _ in answers}) == len(answers) >= (2 if question.key else 4)
    reasons = [why for _, why in answers]
    assert len(set(reasons)) == len(reasons)
    assert all(len(why) > 25 and why[-1] in ".?" for why in reasons)
    if question.options:
        assert any(option.right for option in question.options) and not all(option.right for option in question.options)


def value_of(expression: str) -> float:
    """What an expression of a quiz is worth, with nothing in reach but some functions."""
    known = {"log": math.log, "exp": math.exp, "sqrt": math.sqrt, "floor": math.floor, "erfinv": special.erfinv}
    return float(eval(expression, {"__builtins__": {}}, known))


def digits_of(value: float) -> float:
    """Half a unit of the last digit that a number is written with."""
    return 0.5 * 10.0 ** Decimal(str(value)).as_tuple().exponent


@every_number
def test_keys_and_wrong_values_are_what_they_are_said_to_be(question):
    for value in (question.key, *question.wrong):
        written = min(digits_of(value.value), question.tolerance / 2)
        assert value.value == pytest.approx(value_of(str(value.by)), abs=written * (1 + 1e-9)), value.by


@every_number
def test_no_wrong_value_passes_for_another(question):
    values = sorted(value.value for value in (question.key, *question.wrong))
    assert len(values) > 1 and min(np.diff(values)) > 2 * question.tolerance > 0


# The keys again, by another way than the formula in the quiz: integrals, loops and counting.
OTHERWISE = {
    "kl-by-hand": lambda: integrate.quad(
        lambda z: stats.norm.pdf(z, 1.5, 0.5) * (stats.norm.logpdf(z, 1.5, 0.5) - stats.norm.logpdf(z)), -3, 6
    )[0],
    # (x − μ)²/2σ² must grow by 1/3072 for an error of one.
    "hidden-variance-of-colours": lambda: 1 / (2 * np.mean(np.eye(1, 3072) ** 2)),
    "variance-of-delta": lambda: np.square(stats.norm.expect(lambda e: (-0.2 * e + 0.42 * (e**2 - 1)) ** 2) ** 0.5),
    "fair-coins": lambda: stats.binom.logpmf(0, 1024, 0.5),
    "batch-means": lambda: np.mean(np.repeat([-150, -150, -140], [1000, 1000, 500])),
    "two-convolutions": lambda: len(range(0, len(range(0, 32 - 2, 2)) - 2, 2)) ** 2 * 64,
    "circle-of-four-fifths": lambda: stats.chi2(2).ppf(0.8) ** 0.5,
    "straight-middle": lambda: np.linalg.norm((np.array([50**0.5, 0]) + np.array([0, 50**0.5])) / 2),
    "momentum-of-four-nines": lambda: np.prod(np.full(6000, 0.9999)),
    "rounded-frames": lambda: sum([round(1 / 30, 2)] * 300),
    "which-beta": lambda: np.mean([1.0] + [0.0] * 7) / np.mean([1.0] + [0.0] * 783),
    "worth-of-a-letter": lambda: stats.entropy(np.ones(26)),
    "real-alarms": lambda: 100 * np.sum([0.9]) / np.sum([0.9] + [0.01] * 999),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_keys_come_out_in_another_way(name):
    (question,) = (question for question in NUMBERS if question.id == name)
    assert OTHERWISE[name]() == pytest.approx(question.key.value, abs=question.tolerance / 2)


@every
def test_what_a_question_cites_stands_in_its_chapter(quiz, question):
    chapter = (ROOT / "notebooks" / f"{quiz.name}.py").read_text("utf-8")
    assert [phrase for phrase in question.cites if phrase not in chapter] == []


@every
def test_numbers_in_reasons_are_given_computed_or_cited(quiz, question):
    """A measured number that nothing holds would grow old. Numbers below ten, formulas and references are free."""
    values = [value for value in (question.key, *question.wrong) if value]
    given = [question.text, question.code, *question.cites, *(str(value.by) for value in values)]
    given += [str(value.value) for value in values] + [option.text for option in question.options]
    known = set(re.findall(r"\d[\d.]*\d", re.sub("(?<=\\d),(?=\\d{3})", "", " ".join(given))))
    for why in [option.why for option in question.options] + [value.why for value in values]:
        plain = re.sub(r"\$[^$]*\$|\(\d+\.\d+\)|section \d+\.\d+|`[^`]*`", "", why)
        plain = re.sub("(?<=\\d),(?=\\d{3})", "", plain)
        assert set(re.findall(r"\d[\d.]*\d", plain)) <= known, why


def test_neither_length_nor_place_gives_the_right_option_away():
    singles = [question for question in CHOICES if question.kind == "single"]
    longest, place = [], []
    for question in singles:
        lengths = [len(option.text) for option in question.options]
        right = question.options.index(question.right[0])
        longest.append(lengths[right] == max(lengths))
        place.append(right)
    assert len(singles) > 20 and np.mean(longest) < 0.4, [q.id for q, it in zip(singles, longest, strict=True) if it]
    shares = np.bincount(place, minlength=4) / len(place)
    assert max(shares) < 0.4 and min(shares) > 0.1, shares


def test_the_order_of_options_never_changes_and_is_not_that_of_the_file():
    written = yaml.safe_load((questions.FOLDER / "01_theory.yml").read_text("utf-8"))["questions"][0]["options"]
    texts = [option["text"].strip() for option in written]
    random.Random("codes-times-ten").shuffle(texts)
    assert [option.text.strip() for option in questions.read("01_theory").questions[0].options] == texts
    moved = [
        [option.text for option in question.options] != [option["text"] for option in entry.get("options", [])]
        for quiz in QUIZZES
        for question, entry in zip(
            quiz.questions,
            yaml.safe_load((questions.FOLDER / f"{quiz.name}.yml").read_text("utf-8"))["questions"],
            strict=True,
        )
        if question.options
    ]
    assert np.mean(moved) > 0.8


CHOICE = {
    "id": "some-id",
    "section": "1.2",
    "kind": "single",
    "question": "Which?",
    "options": [{"text": "This.", "right": True, "why": "So."}, {"text": "That.", "right": False, "why": "No."}],
}


@pytest.mark.parametrize(
    "change, words",
    [
        ({"kind": "essay"}, "expected a kind among single, multiple, numeric, got 'essay'"),
        ({"section": "1.99"}, "expected a section in quotes, such as '1.1', got '1.99'"),
        ({"section": 1.2}, "got 1.2"),
        ({"options": [{"text": "This.", "right": True}]}, "missing 1 required positional argument: 'why'"),
        ({"options": [{"text": "This.", "right": False, "why": "No."}]}, "expected one right option"),
        ({"options": CHOICE["options"][:1] * 2}, "expected one right option"),
        ({"kind": "numeric"}, "expected also by, key, tolerance, unit, why, wrong"),
        ({"hint": "none"}, "hint is nothing that a single question has"),
    ],
)
def test_a_question_that_lacks_something_is_named(monkeypatch, tmp_path, change, words):
    monkeypatch.setattr(questions, "FOLDER", tmp_path)
    file = tmp_path / "01_theory.yml"
    file.write_text(yaml.safe_dump({"title": "Some", "questions": [CHOICE]}))
    assert questions.read("01_theory").questions[0].right[0].text == "This."
    file.write_text(yaml.safe_dump({"title": "Some", "questions": [CHOICE | change]}))
    with pytest.raises(ValueError, match=re.escape(words)) as raised:
        questions.read("01_theory")
    assert "01_theory.yml, question some-id" in str(raised.value)


def test_a_chapter_without_a_quiz_is_named():
    with pytest.raises(FileNotFoundError, match=r"06_case_studies: expected one of the quizzes 01_theory, "):
        questions.read("06_case_studies")


# --- the files for learning platforms -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("quizzes")
    for quiz in QUIZZES:
        export.write(quiz, folder)
    return folder


def qti_of(folder: Path, quiz: questions.Quiz) -> ElementTree.Element:
    """The questions that the manifest of a package leads to, without the name space of QTI 1.2."""
    with zipfile.ZipFile(folder / f"{quiz.name}.zip") as package:
        assert package.testzip() is None
        listed = ElementTree.fromstring(package.read("imsmanifest.xml"))
        files = [file.get("href") for file in listed.iter(f"{{{export.PACKAGE}}}file")]
        assert sorted(package.namelist()) == sorted(["imsmanifest.xml", *files])
        (resource,) = listed.iter(f"{{{export.PACKAGE}}}resource")
        assert resource.get("type") == "imsqti_xmlv1p2" and resource.get("href") in files
        root = ElementTree.fromstring(package.read(resource.get("href")))
    for node in root.iter():
        assert node.tag.startswith(f"{{{export.QTI}}}")
        node.tag = node.tag.split("}")[1]
    return root


# What may stand in what, in this order, as the document type definition of QTI 1.2 writes it, as far as we use it;
# and the attributes that must be there.
CONTENT = {
    "questestinterop": ("assessment", ""),
    "assessment": ("section", "ident"),
    "section": ("item+", "ident"),
    "item": ("itemmetadata,presentation,resprocessing,itemfeedback+", "ident"),
    "itemmetadata": ("qtimetadata", ""),
    "qtimetadata": ("qtimetadatafield+", ""),
    "qtimetadatafield": ("fieldlabel,fieldentry", ""),
    "presentation": ("material,(response_lid|response_str)", ""),
    "material": ("mattext", ""),
    "response_lid": ("render_choice", "ident rcardinality"),
    "render_choice": ("response_label+", ""),
    "response_str": ("render_fib", "ident rcardinality"),
    "render_fib": ("response_label", "fibtype"),
    "response_label": ("material?", "ident"),
    "resprocessing": ("outcomes,respcondition+", ""),
    "outcomes": ("decvar", ""),
    "respcondition": ("conditionvar,setvar?,displayfeedback", "continue"),
    "conditionvar": ("varequal|other|vargte,varlte", ""),
    "setvar": ("", "action varname"),
    "displayfeedback": ("", "feedbacktype linkrefid"),
    "itemfeedback": ("flow_mat", "ident"),
    "flow_mat": ("material", ""),
    "decvar": ("", "varname vartype minvalue maxvalue"),
    **dict.fromkeys(("varequal", "vargte", "varlte"), ("", "respident")),
    **dict.fromkeys(("fieldlabel", "fieldentry", "mattext", "other"), ("", "")),
}


@pytest.mark.parametrize("quiz", QUIZZES, ids=lambda quiz: quiz.name)
def test_qti_has_the_structure_of_the_standard(exported, quiz):
    root = qti_of(exported, quiz)
    for node in root.iter():
        children, attributes = CONTENT[node.tag]
        pattern = re.sub(r"\w+", r"(?:\g<0> )", children).replace(",", "")
        found = "".join(f"{child.tag} " for child in node)
        assert re.fullmatch(pattern, found), (node.tag, found)
        assert set(attributes.split()) <= set(node.keys()), node.tag
    for item in root.iter("item"):
        feedback = [node.get("ident") for node in item.iter("itemfeedback")]
        assert sorted(feedback) == sorted(node.get("linkrefid") for node in item.iter("displayfeedback"))
        labels = {node.get("ident") for node in item.iter("response_label")}
        assert {node.text for node in item.iter("varequal")} <= labels
        assert {node.get("respident", "response1") for node in item.iter()} == {"response1"}


def score(item: ElementTree.Element, chosen: set[str] | float) -> float:
    """The points of an answer: the idents that were chosen, or the number that was typed."""
    total = 0.0
    for condition in item.iter("respcondition"):
        (test, *more) = condition.find("conditionvar")
        if test.tag == "varequal":
            holds = test.text in chosen
        elif test.tag == "vargte":
            holds = float(test.text) <= chosen <= float(more[0].text)
        else:
            holds = False
        total += float(condition.findtext("setvar", "0")) * holds
    return total


@pytest.mark.parametrize("quiz", QUIZZES, ids=lambda quiz: quiz.name)
def test_qti_has_every_question_with_its_feedback_and_marks_the_right_answer(exported, quiz):
    items = list(qti_of(exported, quiz).iter("item"))
    assert [item.get("ident") for item in items] == [question.id for question in quiz.questions]
    for item, question in zip(items, quiz.questions, strict=True):
        assert export.to_html(question.text) in item.findtext("presentation/material/mattext")
        assert question.id not in item.get("title")  # students may see it
        texts = {node.get("ident"): node.findtext("material/mattext") for node in item.iter("response_label")}
        said = {node.get("ident"): node.findtext("flow_mat/material/mattext") for node in item.iter("itemfeedback")}
        if question.key:
            assert said["correct_fb"] == export.to_html(question.key.why)
            assert all(export.to_html(value.why) in said["general_incorrect_fb"] for value in question.wrong)
            near, far = (
                [score(item, question.key.value + side * share * question.tolerance) for side in (-1, 0, 1)]
                for share in (0.999, 1.001)
            )
            assert near == [1, 1, 1] and far == [0, 1, 0]
            assert [score(item, value.value) for value in question.wrong] == [0] * len(question.wrong)
            continue
        assert list(texts.values()) == [export.to_html(option.text) for option in question.options]
        for ident, option in zip(texts, question.options, strict=True):
            assert export.to_html(option.why) in said[f"{ident}_fb"]
        right = {ident for ident, option in zip(texts, question.options, strict=True) if option.right}
        assert score(item, right) == pytest.approx(1, abs=1e-3)
        assert all(score(item, {ident}) <= 0 for ident in texts.keys() - right)
        assert question.kind == "single" or score(item, set(texts)) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("quiz", QUIZZES, ids=lambda quiz: quiz.name)
def test_moodle_has_every_question_with_its_feedback(exported, quiz):
    category, *found = ElementTree.parse(exported / f"{quiz.name}.moodle.xml").getroot()
    assert category.get("type") == "category" and len(found) == len(quiz.questions)
    for node, question in zip(found, quiz.questions, strict=True):
        assert export.to_html(question.text) in node.findtext("questiontext/text")
        answers = question.options or (question.key, *question.wrong)
        shown = node.findall("answer")
        assert [answer.findtext("feedback/text") for answer in shown] == [export.to_html(a.why) for a in answers]
        fractions = [float(answer.get("fraction")) for answer in shown]
        assert sum(share for share in fractions if share > 0) == pytest.approx(100, abs=0.01)
        rights = [a.right if question.options else a is question.key for a in answers]
        assert [share > 0 for share in fractions] == rights
        if question.key:
            assert node.get("type") == "numerical"
            assert [float(answer.findtext("text")) for answer in shown] == [a.value for a in answers]
        else:
            assert node.findtext("single") == str(question.kind == "single").lower()


@every
def test_formulas_are_exported_as_latex_between_the_brackets_of_mathjax(quiz, question):
    for text in [question.text, *(option.text for option in question.options), *(o.why for o in question.options)]:
        shown = BeautifulSoup(export.to_html(text), "html.parser").get_text()
        assert re.findall(r"\\\((.*?)\\\)", shown, re.DOTALL) == re.findall(r"\$(.*?)\$", text, re.DOTALL)
        assert "$" not in shown


# --- the page -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(pages) -> BeautifulSoup:
    return BeautifulSoup((pages / "book" / "quizzes.html").read_text("utf-8"), "html.parser")


def test_the_page_has_every_question_as_a_group_of_labelled_boxes(page):
    for quiz, question in ALL:
        assert page.find(id=f"chapter-{int(quiz.name[:2])}") is not None
        group = page.find("fieldset", id=f"quiz-{question.id}")
        assert group.find(True).name == "legend" and group.legend.find(["p", "div", "pre"]) is None
        boxes = group.find_all("input")
        kind = {"single": "radio", "multiple": "checkbox", "numeric": "text"}[question.kind]
        assert [box["type"] for box in boxes] == [kind] * (len(question.options) or 1)
        assert all(len(group.find_all("label", attrs={"for": box["id"]})) == 1 for box in boxes)
        assert len({box["name"] for box in boxes}) == 1 if question.options else boxes[0]["inputmode"] == "decimal"
        assert group.find("div", class_="quiz-verdict")["role"] == "status"  # read out when it changes
    ids = [element["id"] for element in page.select("[id]")]
    assert len(set(ids)) == len(ids)


def test_without_a_script_every_answer_unfolds_with_its_reason(page):
    for _, question in ALL:
        folded = page.find("fieldset", id=f"quiz-{question.id}").find("details")
        answers = question.options or (question.key, *question.wrong)
        rights = [answer.right if question.options else answer is question.key for answer in answers]
        shown = folded.find_all("li")
        assert [entry["data-right"] for entry in shown] == [str(right).lower() for right in rights]
        begins = [
            entry.get_text().startswith("Right:" if right else "Not this one:")
            for entry, right in zip(shown, rights, strict=True)
        ]
        assert all(begins)
        assert all(len(entry.find("div", class_="quiz-why").get_text()) > 20 for entry in shown)
        assert folded.find("a")["href"].startswith("../notebooks/") and "#" in folded.find("a")["href"]


def test_only_the_page_with_the_quizzes_loads_their_script(pages):
    having = [path.name for path in pages.glob("*/*.html") if "quiz.js" in path.read_text("utf-8")]
    assert having == ["quizzes.html"]
    assert (pages / "_static" / "quiz.js").stat().st_size < 5000
    assert "fieldset.quiz" in (pages / "_static" / "bundle.css").read_text("utf-8")


# --- in a browser -------------------------------------------------------------------------------------------------

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this system (Debian: apt install chromium)")


@pytest.fixture(scope="module")
def browser_page(pages):
    """The page on a phone, in dark, opened from the disk."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        page.set_default_timeout(300_000)
        page.wrong = []
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.goto((pages / "book" / "quizzes.html").as_uri())
        yield page
        browser.close()


def verdict(page, question) -> str:
    return page.locator(f"#quiz-{question.id} .quiz-verdict").inner_text()


def tab_to(page, question) -> None:
    """Presses Tab until a box of a question has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        at = page.evaluate("(e => e.matches('input') && e.closest('fieldset')?.id)(document.activeElement)")
        if at == f"quiz-{question.id}":
            return
    pytest.fail(f"{question.id}: not reached by Tab")


@needs_browser
@pytest.mark.parametrize("quiz", QUIZZES[:2], ids=lambda quiz: quiz.name)  # with negative numbers too
def test_a_quiz_is_answered_with_the_keyboard_alone(browser_page, quiz):
    page = browser_page
    page.locator(f"#quiz-{quiz.questions[0].id} input").first.focus()
    page.keyboard.press("Shift+Tab")
    for question in quiz.questions:
        tab_to(page, question)
        if question.key:
            page.keyboard.type("something")
            page.keyboard.press("Enter")
            assert "type a number" in verdict(page, question)
            for value in (*question.wrong, question.key):
                page.keyboard.press("Control+a")
                page.keyboard.type(str(value.value).replace("-", "−").replace(".", ","))
                assert verdict(page, question) == ""
                page.keyboard.press("Enter")
                assert verdict(page, question).startswith("Right." if value is question.key else "Not this one.")
        elif question.kind == "single":
            for place, option in enumerate(question.options):
                page.keyboard.press("ArrowDown" if place else "Space")
                assert verdict(page, question) == "", "an arrow key only passes by"
                page.keyboard.press("Enter")
                assert verdict(page, question).startswith("Right." if option.right else "Not this one.")
                assert len(verdict(page, question)) > 40  # and why
        else:
            for place, option in enumerate(question.options):
                if place:
                    page.keyboard.press("Tab")
                page.keyboard.press("Space" if option.right else "Shift")
            page.keyboard.press("Enter")
            assert verdict(page, question).startswith("Right: these and no others.")
    assert page.wrong == []


@needs_browser
def test_a_click_answers_at_once_and_several_ticks_wait_for_the_button(browser_page):
    page = browser_page
    page.reload()
    single = next(question for question in CHOICES if question.kind == "single")
    place = single.options.index(single.right[0])
    page.locator(f"#quiz-{single.id} label").nth(place).click()
    assert verdict(page, single).startswith("Right.")
    page.locator(f"#quiz-{single.id} label").nth(place - 1).click()
    assert verdict(page, single).startswith("Not this one.")
    several = next(question for question in CHOICES if question.kind == "multiple")
    group = page.locator(f"#quiz-{several.id}")
    group.get_by_role("button", name="Check").click()
    assert verdict(page, several) == "Please choose first."
    right, wrong = (
        [place for place, option in enumerate(several.options) if option.right is which] for which in (True, False)
    )
    group.locator("label").nth(right[0]).click()
    assert verdict(page, several) == ""
    group.get_by_role("button", name="Check").click()
    assert re.fullmatch(r"Right so far\. (One right answer is|\d right answers are) missing\.", verdict(page, several))
    group.locator("label").nth(wrong[0]).click()
    group.get_by_role("button", name="Check").click()
    assert verdict(page, several).startswith("Not all of these.") and "Not this one:" in verdict(page, several)
    assert page.wrong == []
