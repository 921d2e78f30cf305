"""A Sphinx extension that ties the chapters to the glossary.

Chapters are plain Markdown, so that they read right in Colab and on GitHub, and name no glossary entry. Here the first
mention of each term on a chapter's page becomes a link to its entry, with the definition as a hint, and the index lists
the chapters beside the glossary.
"""

from __future__ import annotations

import html
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


def read_glossary(path: Path) -> dict[str, str]:
    """Each term with its definition as plain text."""

    def plain(text: str) -> str:
        text = re.sub(r"\$([^$]+)\$", lambda formula: plain_text(formula[1]), text)
        text = re.sub(r"\{\w+\}`([^`<]*?)(?:\s*<[^`]*>)?`", r"\1", text)
        return re.sub(r"[*`]", "", " ".join(text.split()))

    body = re.search(r"```\{glossary\}\n(.*?)```", path.read_text("utf-8"), re.DOTALL)[1]
    entries = re.findall(
        r"((?:^\S[^\n]*\n)+)((?:^[ \t]+\S[^\n]*\n?)+)", re.sub(r"^:\w+:\n", "", body, flags=re.M), re.M
    )
    return {term: plain(text) for terms, text in entries for term in terms.splitlines()}


def pattern_for(terms: list[str]) -> re.Pattern:
    """Finds any of the terms as whole words, longer ones first, in the plural too; capitals as in a title."""

    def spelled(term: str) -> str:
        words = [
            f"[{word[0].upper()}{word[0].lower()}]{re.escape(word[1:])}" if word[1:2].islower() else re.escape(word)
            for word in term.split()
        ]
        return r"\s+".join(words) + "s?"

    longest_first = sorted(terms, key=len, reverse=True)
    return re.compile(
        r"(?<![\w-])(" + "|".join(f"(?P<t{terms.index(t)}>{spelled(t)})" for t in longest_first) + r")(?![\w-])"
    )


class LinkTerms(SphinxTransform):
    default_priority = 500

    def apply(self, **kwargs) -> None:
        if not self.env.docname.startswith(CHAPTERS):
            return
        glossary = Path(self.env.doc2path(GLOSSARY))
        self.env.note_dependency(str(glossary))
        terms = list(read_glossary(glossary))
        pattern, seen = pattern_for(terms), set()
        for text in list(self.document.findall(nodes.Text)):
            if not isinstance(text.parent, nodes.paragraph | nodes.emphasis | nodes.strong):
                continue
            if any(
                isinstance(node, nodes.reference | nodes.title | nodes.table | nodes.container)
                for node in ancestors(text)
            ):
                continue
            pieces, end = [], 0
            for match in pattern.finditer(text):
                number = next(int(name[1:]) for name, value in match.groupdict().items() if value)
                if number in seen:
                    continue
                seen.add(number)
                pieces += [nodes.Text(text[end : match.start()]), *self.link(terms[number], match[0])]
                end = match.end()
            if pieces:
                text.parent.replace(text, [*pieces, nodes.Text(text[end:])])

    def link(self, term: str, words: str) -> list[nodes.Node]:
        target = nodes.make_id(f"mention-{term}")
        index = addnodes.index(entries=[("single", term, target, "", None)])
        reference = addnodes.pending_xref(
            "", nodes.inline(words, words, classes=["term"], ids=[target]),
            refdomain="std", reftype="term", reftarget=term, refexplicit=True, refdoc=self.env.docname, refwarn=True,
        )  # fmt: skip
        return [index, reference]


def ancestors(node: nodes.Node):
    while (node := node.parent) is not None:
        yield node


def _add_hints(app, pagename, templatename, context, doctree) -> None:
    """The definition as a hint on each link to the glossary."""
    if not pagename.startswith(CHAPTERS) or not context.get("body"):
        return
    definitions = {nodes.make_id(f"term-{term}"): text for term, text in app.book_definitions.items()}

    def hint(match):
        text = html.escape(definitions[match[2].lower()])
        return f'<a class="glossary-term" title="{text}" href="{match[1]}#{match[2]}"><span class="term"'

    context["body"] = re.sub(
        r'<a class="reference internal" href="([^"#]*glossary\.html)#(term-[^"]*)"><span class="term"',
        hint,
        context["body"],
    )


def setup(app):
    app.book_definitions = read_glossary(Path(app.srcdir, f"{GLOSSARY}.md"))
    app.add_transform(LinkTerms)
    app.connect("html-page-context", _add_hints)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
