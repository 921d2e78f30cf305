"""A Sphinx extension that turns formulas into MathML while the book is built.

Browsers typeset MathML themselves: the page needs no script, is readable at once and does not jump, and screen readers
speak the formula. math-core reads the TeX and knows what browsers lay out (MathML Core).
"""

from __future__ import annotations

import html
import re
from xml.etree import ElementTree

from docutils import nodes
from math_core import LatexError, LatexToMathML

SIGNS = re.compile(r"[.,;:!?)’”]+")  # that end what stands before them
TAG = re.compile(r"\\tag\{([^}]*)\}")
# A wide tilde stretches in one browser and not in the next.
CONVERTER = LatexToMathML(macros={"widetilde": r"\tilde{#1}"}, fancy_error=False)
APPLY = "\u2061"  # between a function such as log and its argument
PRIME = re.compile(r"<msup>(<m[in]>[^<]*</m[in]>)<mo>(′+)</mo></msup>")  # the sign is raised already


def mathml(tex: str, display: bool = False) -> str:
    """The markup of a formula.

    Raises:
        ValueError: math-core does not understand the formula.
    """
    try:
        markup = CONVERTER.convert_with_local_state(tex, displaystyle=display)
    except LatexError as error:
        raise ValueError(f"{error} in the formula {tex!r}") from error
    return PRIME.sub(r'<mrow>\1<mo lspace="0" rspace="0">\2</mo></mrow>', markup)


def plain_text(tex: str) -> str:
    """A formula as one line of text, for hints: `p_θ(x ∣ z)`, `y/(1−y)`."""

    def say(element: ElementTree.Element) -> str:
        own, parts = element.text or "", [say(child) for child in element]
        closed = [f"({part})" if len(part) > 1 and not part.isalnum() else part for part in parts]
        match element.tag:
            case "mfrac":
                return "/".join(closed)
            case "msqrt":
                return f"√({''.join(parts)})"
            case "msub" | "munder" | "msup" | "mover" | "msubsup" | "munderover":
                signs = "_^" if len(parts) == 3 else "^" if element.tag in ("msup", "mover") else "_"
                scripts = "".join(sign + part for sign, part in zip(signs, closed[1:], strict=True))
                return parts[0] + scripts + (" " if parts[0] in "∑∏" else "")
            case "mspace":
                return " " if element.get("width") else ""
            case "mo" if (
                own in "=<>≤≥≈∼∣‖∈+−" and element.get("form", "infix") == "infix" and "lspace" not in element.attrib
            ):
                return f" {own} "
            case "mo" if own == APPLY:
                return " " if element.get("lspace") else ""
        return own.replace(",", ", ") + "".join(parts)

    tree = ElementTree.fromstring(mathml(tex).replace("&ApplyFunction;", APPLY))
    return " ".join(say(tree).replace("\ufe00", "").split())  # a mark for the shape of a script letter


def _convert(self, node, display: bool) -> str:
    try:
        return mathml(TAG.sub("", node.astext()).strip(), display)
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


def keep_signs(app, doctree, docname) -> None:
    """Holds the full stop or comma behind a formula to it: a browser may break the line between the two."""
    for formula in list(doctree.findall(nodes.math)):
        parent, place = formula.parent, formula.parent.index(formula)
        after = parent[place + 1] if place + 1 < len(parent) else None
        signs = SIGNS.match(after) if isinstance(after, nodes.Text) else None
        if signs:
            together = nodes.inline("", "", formula, nodes.Text(signs[0]), classes=["unbroken"])
            parent[place : place + 2] = [together, nodes.Text(after[signs.end() :])]


def setup(app):
    app.connect("doctree-resolved", keep_signs)
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
