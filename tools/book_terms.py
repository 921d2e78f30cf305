"""A Sphinx extension that ties the chapters to the glossary.

Chapters are plain Markdown, so that they read right in Colab and on GitHub, and name no glossary entry. Here the first
mention of each term on a chapter's page becomes a link to its entry, with the definition as a hint, and the index lists
the chapters beside the glossary.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

sys.path.append(str(Path(__file__).parent))
from book_math import plain_text

GLOSSARY = "book/glossary"
CHAPTERS = "notebooks/"
CLOSED = nodes.reference | nodes.title | nodes.table | nodes.container | nodes.literal  # no links within these


def read_glossary(path: Path) -> dict[str, str]:
    """Each term with its definition as plain text."""

    def plain(text: str) -> str:
        text = re.sub(r"\$([^$]+)\$", lambda formula: plain_text(formula[1]), text)
        text = re.sub(r"\{\w+\}`([^`<]*?)(?:\s*<[^`]*>)?`", r"\1", text)
        return re.sub(r"[*`]", "", " ".join(text.split()))

    body = re.search(r"```\{glossary\}\n(?::\w+:\n)*(.*?)```", path.read_text("utf-8"), re.DOTALL)[1]
    entries = re.findall(r"((?:^\S[^\n]*\n)+)((?:^[ \t]+\S[^\n]*\n?)+)", body, re.M)
    return {term: plain(text) for terms, text in entries for term in terms.splitlines()}


def pattern_for(terms: list[str]) -> re.Pattern:
    """Finds any of the terms as whole words, longer ones first, in the plural too; capitals as in a title."""

    def spelled(word: str) -> str:
        first = f"[{word[0].upper()}{word[0].lower()}]" if word[1:2].islower() else re.escape(word[0])
        return first + re.escape(word[1:])

    longest_first = sorted(terms, key=len, reverse=True)
    words = "|".join(r"\s+".join(map(spelled, term.split())) for term in longest_first)
    return re.compile(rf"(?<![\w-])({words})s?(?![\w-])")


class LinkTerms(SphinxTransform):
    default_priority = 500

    def apply(self, **kwargs) -> None:
        if not self.env.docname.startswith(CHAPTERS):
            return
        glossary = Path(self.env.doc2path(GLOSSARY))
        self.env.note_dependency(str(glossary))
        definitions = read_glossary(glossary)
        pattern = pattern_for(list(definitions))
        left = {term.lower(): term for term in definitions}
        for text in list(self.document.findall(nodes.Text)):
            above, node = [], text
            while node := node.parent:
                above.append(node)
            if not isinstance(above[0], nodes.paragraph | nodes.emphasis | nodes.strong):
                continue
            if any(isinstance(node, CLOSED) for node in above):
                continue
            pieces, end = [], 0
            for match in pattern.finditer(text):
                if term := left.pop(" ".join(match[1].split()).lower(), None):
                    pieces += [nodes.Text(text[end : match.start()]), *self.link(term, match[0], definitions[term])]
                    end = match.end()
            if pieces:
                text.parent.replace(text, [*pieces, nodes.Text(text[end:])])

    def link(self, term: str, words: str, definition: str) -> list[nodes.Node]:
        target = nodes.make_id(f"mention-{term}")
        hint = nodes.abbreviation(words, words, explanation=definition, classes=["glossary-term"], ids=[target])
        asked = {"refdomain": "std", "reftype": "term", "reftarget": term, "refdoc": self.env.docname}
        reference = addnodes.pending_xref("", hint, **asked, refexplicit=True, refwarn=True)
        return [addnodes.index(entries=[("single", term, target, "", None)]), reference]


def setup(app):
    app.add_transform(LinkTerms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
