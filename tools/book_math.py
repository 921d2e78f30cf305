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
OPENING, CLOSING = set("([{⌊⌈⟨"), set(")]}⌋⌉⟩!…⋯")
BARS, SIGNS, LARGE = set("∥|"), set("−+±"), set("∑∏∫")
SCRIPTS = ("msub", "msup", "msubsup", "munder", "mover", "munderover")
DISPLAY, TEXT, SCRIPT = range(3)  # TeX's styles, by size
THIN = "0.1667em"


@functools.cache
def _katex():
    context = quickjs.Context()
    context.eval(Path(sphinxcontrib.katex.__file__).with_name("katex.min.js").read_text("utf-8"))
    # JSON makes one flat string of what KaTeX glued together from pieces, which QuickJS cannot hand over.
    return context.eval(
        "(tex, display) => JSON.stringify(katex.renderToString(tex,"
        ' {output: "mathml", displayMode: display, throwOnError: true, strict: "error"}))'
    )


def _space(width: str = THIN) -> ElementTree.Element:
    return ElementTree.Element("mspace", {"width": width})


def _core(element: ElementTree.Element) -> ElementTree.Element:
    """What carries the limits, scripts or accents."""
    return _core(element[0]) if element.tag in SCRIPTS else element


def _is_function(element: ElementTree.Element) -> bool:
    """Whether this is `max` with limits or a power: its name and mark are inside, so KaTeX sets no space."""
    core = _core(element)
    return core is not element and core.tag == "mrow" and len(core) == 2 and core[1].text == APPLY


def _style_within(element: ElementTree.Element, child: int, style: int) -> int:
    """TeX's style of an element's child."""
    if element.tag in SCRIPTS and child > 0 and element.get("accent") != "true":
        return SCRIPT
    if element.tag == "mfrac":
        return min(style + 1, SCRIPT)
    if element.tag == "mstyle" and element.get("displaystyle"):
        return DISPLAY if element.get("displaystyle") == "true" else TEXT
    return style


def _modernize(element: ElementTree.Element, style: int) -> None:
    """Rewrite KaTeX's MathML, in place, to what browsers lay out as TeX would."""
    if element.tag not in ("mrow", "math", "mtd", "mstyle", "msqrt"):
        for mark in [child for child in element if child.text == APPLY]:
            element.remove(mark)
    functions = {child for child in element if _is_function(child)}
    for number, child in enumerate(element):
        _modernize(child, _style_within(element, number, style))
    match element.tag:
        case "mi":
            _name_letters(element)
        case "mo":
            _space_operator(element, style)
        case "mover" if element.get("accent") == "true" and element[1].text in ("^", "~"):
            element[1].text = {"^": "ˆ", "~": "˜"}[element[1].text]  # the ASCII signs are large and low
            element[1].attrib.setdefault("stretchy", "false")
        case "msup" if element[1].tag == "mo" and set(element[1].text) == {"′"}:
            element.tag = "mrow"  # the sign is raised already
            element[1].attrib = {"lspace": "0", "rspace": "0"}
        case "mrow" | "math" | "mtd" | "mstyle" | "msqrt":
            _tidy_row(element, functions, style)


def _name_letters(identifier: ElementTree.Element) -> None:
    variant = identifier.get("mathvariant")
    if variant in LETTERS:
        first, elsewhere = LETTERS[variant]
        identifier.text = "".join(
            elsewhere.get(letter) or chr(first + ALPHABET.index(letter)) for letter in identifier.text
        )
    if variant in LETTERS or identifier.text == "∂":  # TeX's is slanted
        identifier.attrib.pop("mathvariant", None)


def _space_operator(operator: ElementTree.Element, style: int) -> None:
    """What browsers' table of operators knows otherwise than TeX."""
    text = operator.text or ""
    if style == SCRIPT or text in BARS | {"/", "…", "⋯"}:
        operator.attrib |= {"lspace": "0", "rspace": "0"}
    elif text in ("×", "∘"):
        operator.attrib |= {"lspace": "0.2222em", "rspace": "0.2222em"}


def _tidy_row(row: ElementTree.Element, functions: set[ElementTree.Element], style: int) -> None:
    """Signs, functions, sums and brackets, by what stands beside them."""
    children = list(row)
    if row.tag == "mrow" and len(row) > 1 and all(c.tag == "mi" and c.get("mathvariant") == "normal" for c in row):
        row[:] = [ElementTree.Element("mi")]  # an upright word is one identifier, not one a letter
        row[0].text = "".join(child.text for child in children)
        return
    if len(row) == 1 and row[0].tag == "mo":
        row[0].attrib |= {"lspace": "0", "rspace": "0"}  # a sign that is talked about
    fences = [child for child in row if child.get("fence") == "true"]
    tall = ("mfrac", "mtable", "msqrt", "munder", "mover", "munderover")
    if len(fences) == 2 and not any(
        part.tag in tall or (part.text or "") in LARGE or (part.get("fence") == "true" and part not in fences)
        for part in row.iter()
    ):
        for fence in fences:
            fence.set("stretchy", "false")

    tidy, bars = [], 0
    for number, child in enumerate(children):
        text = child.text or ""
        before = tidy[-1] if tidy else None
        after = children[number + 1] if number + 1 < len(children) else None
        if child.tag == "mo" and text == APPLY:
            if after is not None and after.tag != "mo":
                tidy.append(_space())
            continue
        if child.tag == "mtext" and text == NEGATIVE_THIN_SPACE:
            # Before \left it cancels a space that MathML does not set.
            if after is None or after.tag != "mrow" or not len(after) or after[0].get("fence") != "true":
                tidy.append(ElementTree.Element("mspace", {"style": f"margin-inline-start:-{THIN}"}))
            elif before is not None and before.tag == "mspace":
                tidy.pop()
            continue
        closes = before is not None and before.tag == "mo" and (
            before.text in CLOSING or (before.text in BARS and bars % 2 == 0)
        )  # fmt: skip
        is_term = before is not None and before.tag not in ("mo", "mspace") and _core(before).text not in LARGE
        follows_sign = before is not None and before.get("form") == "prefix" and before.text in SIGNS
        is_function = child in functions or (after is not None and after.tag == "mo" and after.text == APPLY)
        if is_function and (is_term or closes or follows_sign):
            tidy.append(_space())
        core = _core(child)
        if core.tag == "mo" and core.text in LARGE:
            if not (is_term or closes or follows_sign):
                core.set("lspace", "0")
            if after is not None and (after.text in OPENING or style == SCRIPT):
                core.set("rspace", "0")
        if child.tag == "mo":
            if text in SIGNS and not (is_term or closes):
                child.set("form", "prefix")  # a sign, not an operation
            if text in ("…", "⋯") and after is not None and after.text == ",":
                child.set("rspace", THIN)
            bars += text in BARS
        tidy.append(child)
        if child in functions and after is not None and after.tag != "mo":
            tidy.append(_space())
    row[:] = tidy


def _parse(tex: str, display: bool) -> ElementTree.Element:
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
    _modernize(row, DISPLAY if display else TEXT)
    tree[:] = list(row) if row.tag == "mrow" else [row]
    return tree


def mathml(tex: str, display: bool = False) -> str:
    """The markup of a formula; errors as for `_parse`."""
    return ElementTree.tostring(_parse(tex, display), "unicode").replace(" />", "/>")


def plain_text(tex: str) -> str:
    """A formula in one line of text, for where no markup can stand: 1/(2k), √(n), z_j, (z − 𝔼z)^3."""

    def bracketed(element: ElementTree.Element) -> str:
        text = say(element)
        return text if len(text) == 1 or text.isalnum() else f"({text})"

    def say(element: ElementTree.Element) -> str:
        match element.tag:
            case "mfrac":
                return "/".join(map(bracketed, element))
            case "msqrt":
                return f"√({''.join(map(say, element))})"
            case "msub" | "munder":
                return f"{say(element[0])}_{bracketed(element[1])}" + " " * (element[0].text in LARGE)
            case "msup":
                return f"{say(element[0])}^{bracketed(element[1])}"
            case "msubsup" | "munderover":
                return f"{say(element[0])}_{bracketed(element[1])}^{bracketed(element[2])}"
            case "mover":
                return say(element[0])
            case "mspace":
                return " "
            case "mo" if element.text in "=<>≤≥≈∼∣+−" and element.get("form") != "prefix":
                return f" {element.text} "
            case _:
                return (element.text or "") + "".join(map(say, element))

    return " ".join(say(_parse(tex, display=False)).replace(",", ", ").split())


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
