"""Write the quizzes for learning platforms: `python course/quizzes/export.py` (what `make quizzes` calls).

Each chapter gives `NN_name.zip`, QTI 1.2 for Canvas and ILIAS, and `NN_name.moodle.xml`, since Moodle reads no QTI; how
a platform takes them is told in README.md. An option has one condition, with its points and its feedback, and no "not":
the form of QTI that the readers of Canvas and of ILIAS both understand.
"""

from __future__ import annotations

import html
import zipfile
from itertools import starmap
from pathlib import Path
from xml.etree import ElementTree

import questions
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from questions import Option, Question, Quiz

TARGET = Path(__file__).resolve().parents[2] / "_build" / "course" / "quizzes"
QTI = "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"
PACKAGE = "http://www.imsglobal.org/xsd/imscp_v1p1"
# For each kind: the name that Canvas has for it, and the one that ILIAS has.
TYPES = {
    "single": ("multiple_choice_question", "SINGLE CHOICE QUESTION"),
    "multiple": ("multiple_answers_question", "MULTIPLE CHOICE QUESTION"),
    "numeric": ("numerical_question", "NUMERIC QUESTION"),
}
MOODLE_POINTS = "100", "50", "33.33333", "25", "20"  # shares of one right option among so many: Moodle takes no others

MARKDOWN = MarkdownIt().use(dollarmath_plugin)
MARKDOWN.add_render_rule("math_inline", lambda _, tokens, place, *rest: rf"\({html.escape(tokens[place].content)}\)")


def to_html(text: str) -> str:
    """Markdown as HTML, with the formulas as LaTeX between the brackets that MathJax looks for."""
    return MARKDOWN.render(text).strip()


def element(tag: str, *children: ElementTree.Element, text: str = "", **attributes: str) -> ElementTree.Element:
    """An element of XML."""
    made = ElementTree.Element(tag, attributes)
    made.text = text or None
    made.extend(children)
    return made


def asked(question: Question) -> str:
    """The text of a question as HTML, with its code and, of a number, its unit."""
    code = f"<pre>{html.escape(question.code)}</pre>" if question.code else ""
    unit = to_html(f"Your number ({question.unit}):") if question.key else ""
    return to_html(question.text) + code + unit


def about_wrong_values(question: Question) -> str:
    """What leads to the usual wrong values, as HTML: for platforms that tie no feedback to a wrong number."""
    lines = (f"<li>{value.value}: {to_html(value.why)}</li>" for value in question.wrong)
    return f"<p>The usual slips:</p><ul>{''.join(lines)}</ul>"


def points(option: Option, question: Question) -> float:
    """The share of the point that choosing an option adds. Ticking everything adds up to nothing."""
    alike = sum(other.right == option.right for other in question.options)
    if question.kind == "single":
        return float(option.right)
    return (1 if option.right else -1) / alike


def title(number: int, question: Question) -> str:
    """A name that gives nothing away: ILIAS shows it to students."""
    return f"Question {number}, section {question.section}"


# --- QTI ----------------------------------------------------------------------------------------------------------


def material(text: str) -> ElementTree.Element:
    return element("material", element("mattext", text=text, texttype="text/html"))


def condition(share: float, feedback: str, *tests: ElementTree.Element) -> ElementTree.Element:
    """What adds to the score and which feedback is shown where all the tests hold."""
    return element(
        "respcondition",
        element("conditionvar", *tests),
        element("setvar", text=f"{share:.4g}", action="Add", varname="SCORE"),
        element("displayfeedback", feedbacktype="Response", linkrefid=feedback),
        **{"continue": "Yes"},
    )


def compare(how: str, value: str) -> ElementTree.Element:
    return element(how, text=value, respident="response1")


def choice(question: Question) -> tuple[ElementTree.Element, list[ElementTree.Element], dict[str, str]]:
    """What a student sees of a choice, the conditions of its score, and its feedback."""
    idents = [f"option{number}" for number in range(len(question.options))]
    labels = (
        element("response_label", material(to_html(option.text)), ident=ident)
        for ident, option in zip(idents, question.options, strict=True)
    )
    cardinality = "Single" if question.kind == "single" else "Multiple"
    response = element("response_lid", element("render_choice", *labels), ident="response1", rcardinality=cardinality)
    conditions, feedback = [], {}
    for ident, option in zip(idents, question.options, strict=True):
        conditions.append(condition(points(option, question), f"{ident}_fb", compare("varequal", ident)))
        feedback[f"{ident}_fb"] = ("<p>Right.</p>" if option.right else "<p>Not this one.</p>") + to_html(option.why)
    return response, conditions, feedback


def interval(question: Question) -> tuple[ElementTree.Element, list[ElementTree.Element], dict[str, str]]:
    """The same of a number. A second interval would count as a second right answer, so slips share one feedback."""
    field = element("render_fib", element("response_label", ident="answer1"), fibtype="Decimal", maxchars="12")
    response = element("response_str", field, ident="response1", rcardinality="Single")
    low, high = (f"{question.key.value + side * question.tolerance:.10g}" for side in (-1, 1))
    right = condition(1, "correct_fb", compare("vargte", low), compare("varlte", high))
    other = element(
        "respcondition",
        element("conditionvar", element("other")),
        element("displayfeedback", feedbacktype="Response", linkrefid="general_incorrect_fb"),
        **{"continue": "Yes"},
    )
    feedback = {"correct_fb": to_html(question.key.why), "general_incorrect_fb": about_wrong_values(question)}
    return response, [right, other], feedback


def item(number: int, question: Question) -> ElementTree.Element:
    canvas, ilias = TYPES[question.kind]
    labels = {"question_type": canvas, "points_possible": "1", "QUESTIONTYPE": ilias}
    fields = (
        element("qtimetadatafield", element("fieldlabel", text=label), element("fieldentry", text=entry))
        for label, entry in labels.items()
    )
    response, conditions, feedback = interval(question) if question.key else choice(question)
    score = element("decvar", varname="SCORE", vartype="Decimal", minvalue="0", maxvalue="1")
    return element(
        "item",
        element("itemmetadata", element("qtimetadata", *fields)),
        element("presentation", material(asked(question)), response),
        element("resprocessing", element("outcomes", score), *conditions),
        *(element("itemfeedback", element("flow_mat", material(why)), ident=ident) for ident, why in feedback.items()),
        ident=question.id,
        title=title(number, question),
    )


def qti(quiz: Quiz) -> ElementTree.Element:
    """The questions as QTI 1.2."""
    section = element("section", *starmap(item, enumerate(quiz.questions, 1)), ident="root_section")
    return element("questestinterop", element("assessment", section, ident=quiz.name, title=quiz.title), xmlns=QTI)


def manifest(quiz: Quiz) -> ElementTree.Element:
    """What the package holds, as IMS Content Packaging 1.1.3 wants it."""
    file = f"{quiz.name}/{quiz.name}.xml"
    resource = element("resource", element("file", href=file), identifier=quiz.name, type="imsqti_xmlv1p2", href=file)
    return element(
        "manifest",
        element("metadata", element("schema", text="IMS Content"), element("schemaversion", text="1.1.3")),
        element("organizations"),
        element("resources", resource),
        identifier=f"{quiz.name}-package",
        xmlns=PACKAGE,
    )


# --- Moodle -------------------------------------------------------------------------------------------------------


def moodle_text(tag: str, text: str, **attributes: str) -> ElementTree.Element:
    return element(tag, element("text", text=text), format="html", **attributes)


def moodle_answers(question: Question) -> list[ElementTree.Element]:
    if question.key:
        tolerance = str(question.tolerance)
        return [
            element(
                "answer",
                element("text", text=str(value.value)),
                moodle_text("feedback", to_html(value.why)),
                element("tolerance", text=tolerance),
                fraction="100" if value is question.key else "0",
            )
            for value in (question.key, *question.wrong)
        ]
    answers = []
    for option in question.options:
        share = points(option, question)
        sign, size = ("-" if share < 0 else ""), (MOODLE_POINTS[round(1 / abs(share)) - 1] if share else "0")
        feedback = moodle_text("feedback", to_html(option.why))
        answers.append(moodle_text("answer", to_html(option.text), fraction=sign + size))
        answers[-1].append(feedback)
    return answers


def moodle_question(number: int, question: Question) -> ElementTree.Element:
    single = element("single", text=str(question.kind == "single").lower())
    shuffle = element("shuffleanswers", text="true")
    return element(
        "question",
        element("name", element("text", text=title(number, question))),
        moodle_text("questiontext", asked(question)),
        element("defaultgrade", text="1"),
        *([] if question.key else [single, shuffle]),
        *moodle_answers(question),
        type="numerical" if question.key else "multichoice",
    )


def moodle(quiz: Quiz) -> ElementTree.Element:
    """The questions as Moodle XML, in a category of their own."""
    category = element("category", element("text", text=f"$course$/top/{quiz.title}"))
    listed = starmap(moodle_question, enumerate(quiz.questions, 1))
    return element("quiz", element("question", category, type="category"), *listed)


def to_xml(root: ElementTree.Element) -> bytes:
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def write(quiz: Quiz, folder: Path) -> list[Path]:
    """Writes both files of a quiz into a folder, and returns where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    package, for_moodle = folder / f"{quiz.name}.zip", folder / f"{quiz.name}.moodle.xml"
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("imsmanifest.xml", to_xml(manifest(quiz)))
        archive.writestr(f"{quiz.name}/{quiz.name}.xml", to_xml(qti(quiz)))
    for_moodle.write_bytes(to_xml(moodle(quiz)))
    return [package, for_moodle]


if __name__ == "__main__":
    for name in questions.names():
        quiz = questions.read(name)
        print(
            f"{len(quiz.questions):3} questions:",
            *(path.relative_to(TARGET.parents[2]) for path in write(quiz, TARGET)),
        )
    print("How Canvas, ILIAS and Moodle take them: course/quizzes/README.md")
