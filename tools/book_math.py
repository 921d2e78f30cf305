"""A Sphinx extension that turns formulas into MathML while the book is built.

Browsers typeset MathML themselves: the page needs no script, is readable at once and does not jump, and screen readers
speak the formula. KaTeX reads the TeX (it runs in QuickJS, so no Node.js is needed); its MathML follows the standard
of 2014, so `_modernize` rewrites what browsers leave out of it (MathML Core).
"""

from __future__ import annotations

import functools
import html
import json
import re
import string
from pathlib import Path
from xml.etree import ElementTree

import quickjs
import sphinxcontrib.katex
from docutils import nodes

TAG = re.compile(r"\\tag\{([^}]*)\}")
APPLY = "\u2061"  # function application: marks what TeX calls an operator, such as log
NEGATIVE_THIN_SPACE = "\u2009\u2063"
ALPHABET = string.ascii_uppercase + string.ascii_lowercase
# Letters of a mathvariant that browsers ignore: where their alphabet begins, and those that Unicode put elsewhere.
LETTERS = {
    "double-struck": (0x1D538, {"C": "ℂ", "H": "ℍ", "N": "ℕ", "P": "ℙ", "Q": "ℚ", "R": "ℝ", "Z": "ℤ"}),
    "script": (
        0x1D49C,
        {"B": "ℬ", "E": "ℰ", "F": "ℱ", "H": "ℋ", "I": "ℐ", "L": "ℒ", "M": "ℳ", "R": "ℛ", "e": "ℯ", "g": "ℊ", "o": "ℴ"},
    ),
    "bold": (0x1D400, {}),
    "bold-italic": (0x1D468, {}),
}
CLOSING = set(")]}⌋⌉⟩")


@functools.cache
def _katex():
    context = quickjs.Context()
    context.eval(Path(sphinxcontrib.katex.__file__).with_name("katex.min.js").read_text("utf-8"))
    # JSON makes one flat string of what KaTeX glued together from pieces, which QuickJS cannot hand over.
    return context.eval(
        "(tex, display) => JSON.stringify(katex.renderToString(tex,"
        ' {output: "mathml", displayMode: display, throwOnError: true, strict: "error"}))'
    )


def _space(width: str) -> ElementTree.Element:
    return ElementTree.Element("mspace", {"width": width})


def _is_function(element: ElementTree.Element) -> bool:
    """Whether an element is `max` with limits or a power: its name and mark are inside, so KaTeX sets no space."""
    first = element[0] if len(element) else None
    return element.tag in ("msub", "msup", "munder", "msubsup") and first is not None and (
        first.tag == "mrow" and len(first) == 2 and first[1].text == APPLY
    )  # fmt: skip


def _modernize(row: ElementTree.Element) -> None:
    """Rewrite KaTeX's MathML, in place, to what browsers lay out as TeX would."""
    functions = {child for child in row if _is_function(child)}
    for child in row:
        _modernize(child)
    # Upright words: one identifier instead of one a letter.
    if row.tag == "mrow" and len(row) > 1 and all(c.tag == "mi" and c.get("mathvariant") == "normal" for c in row):
        word = "".join(c.text for c in row)
        row[:] = [ElementTree.Element("mi")]
        row[0].text = word
    if row.tag == "mo" and row.text in ("∥", "|", "/"):
        row.attrib |= {"lspace": "0", "rspace": "0"}
    if row.tag == "mi" and (variant := row.get("mathvariant")) in LETTERS:
        first, elsewhere = LETTERS[variant]
        row.text = "".join(elsewhere.get(letter) or chr(first + ALPHABET.index(letter)) for letter in row.text)
        del row.attrib["mathvariant"]
    if row.tag not in ("mrow", "math", "mtd", "mstyle", "msqrt"):
        return
    children, tidy = list(row), []
    for i, child in enumerate(children):
        before = tidy[-1] if tidy else None
        after = children[i + 1] if i + 1 < len(children) else None
        text = child.text or ""
        if child.tag == "mo" and text == APPLY:
            if after is not None and after.tag != "mo":
                tidy.append(_space("0.1667em"))
            continue
        if child.tag == "mtext" and text == NEGATIVE_THIN_SPACE:
            tidy.append(ElementTree.Element("mspace", {"style": "margin-inline-start:-0.1667em"}))
            continue
        ends_a_term = before is not None and before.tag != "mspace" and (before.tag != "mo" or before.text in CLOSING)
        is_function = child in functions
        if ends_a_term and (is_function or (after is not None and after.tag == "mo" and after.text == APPLY)):
            tidy.append(_space("0.1667em"))
        if child.tag == "mo" and text in "−+±" and before is not None and before.tag == "mo" and not ends_a_term:
            child.set("form", "prefix")  # a sign, not an operation
        tidy.append(child)
        if is_function and after is not None and after.tag != "mo":
            tidy.append(_space("0.1667em"))
    row[:] = tidy


def mathml(tex: str, display: bool = False) -> str:
    """The `<math>` element of a formula.

    Raises:
        ValueError: KaTeX does not understand the formula.
    """
    try:
        markup = json.loads(_katex()(tex, display))
    except quickjs.JSException as error:
        raise ValueError(f"{str(error).splitlines()[0]} in the formula {tex!r}") from error
    tree = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", markup))[0]
    row = tree[0][0]  # math > semantics > (formula, its TeX)
    _modernize(row)
    tree[:] = list(row) if row.tag == "mrow" else [row]
    return ElementTree.tostring(tree, "unicode").replace(" />", "/>")


def _convert(self, node, display: bool) -> str:
    tex = TAG.sub("", node.astext()).strip()
    try:
        return mathml(tex, display)
    except ValueError as error:
        raise ValueError(f"{self.builder.current_docname}: {error}") from error


def _visit_inline(self, node) -> None:
    self.body.append(_convert(self, node, display=False))
    raise nodes.SkipNode


def _visit_block(self, node) -> None:
    tag = TAG.search(node.astext())
    number = tag[1] if tag else node.get("number")
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(_convert(self, node, display=True))
    if number:
        self.body.append(f'<span class="eqno">({html.escape(str(number))})</span>')
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
