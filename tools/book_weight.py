"""A Sphinx extension that makes the built pages light: what no page uses is not sent to the reader.

The theme brings the whole of Bootstrap and of Font Awesome, three megabytes a page. `layout.html` beside this file
leaves out its largest scripts; here the others wait for the text, and after the build the style sheets keep the rules
that some page can use, the icon fonts the icons, and the formulas get a font of the signs in them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

import ziamath
from fontTools import subset

THEME_SHEETS = ("basic.css", "styles/pydata-sphinx-theme.css")  # beside those that Sphinx lists
ICONS = "vendor/fontawesome/webfonts"
MATH_FONT = Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"  # SIL Open Font License
# Signs that do not stand in the page: letters become italic, and the element draws the root.
UNWRITTEN = {0x210E, 0x221A, *range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C)}
# What stands on a page that needs the script.
NEEDED_WHERE = {
    "thebe": "(?!)",  # Jupyter Book always adds it; it would load more from elsewhere
    "design-tabs": "sd-tab-set",
    "explorer": 'class="latent-explorer',
    "tiny-model": 'class="(?:move-q|throw-dice)"',
    "togglebutton": r'class="(?:[^"]* )?(?:toggle|admonition[^"]* dropdown)[" ]',
}
# The theme's script lays the whole page out to find the boxes that scroll: book.js does it where the reader is.
LAYS_OUT = ("e.scrollWidth>e.clientWidth||e.scrollHeight>e.clientHeight?0:-1", "e.tabIndex")

logging.getLogger("fontTools").setLevel(logging.ERROR)  # it reports every table


def _choose(app, pagename, templatename, context, doctree) -> None:
    body = context.get("body", "")

    def needed(script) -> bool:
        name = f"{script.filename} {script.attributes.get('body')}"
        return all(part not in name or re.search(sign, body) for part, sign in NEEDED_WHERE.items())

    # Names and brackets of code have the colour of the text: as elements of their own they are a fifth of a page.
    context["body"] = re.sub(r'<span class="[npw]">([^<]*)</span>', r"\1", body)
    app.book_sheets = [sheet.filename.removeprefix("_static/") for sheet in context["css_files"]]
    context["script_files"] = [script for script in context["script_files"] if needed(script)]
    for script in context["script_files"]:
        script.attributes.pop("defer", None)
        at_once = pagename == "search" or "body" in script.attributes or "documentation_options" in script.filename
        if not at_once:  # those are what other scripts of the page call
            script.attributes["defer"] = "defer"


def purge(css: str, words: set[str]) -> str:
    """The rules whose every class and id is among some words."""

    def usable(selector: str) -> bool:
        return all(name in words for name in re.findall(r"[.#](-?[A-Za-z_][\w-]*)", selector))

    def keep(rule: re.Match) -> str:
        selectors = re.sub(r":(not|has|is|where)\((?:[^()]|\([^()]*\))*\)", "", rule[1])  # may be met without them
        return rule[0] if any(map(usable, selectors.split(","))) else ""

    return re.sub(r"([^{};]*)\{[^{}]*\}", keep, re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL))


def subset_font(source: Path, target: Path, characters: Iterable[int]) -> None:
    """Writes the glyphs of some characters, with what stretches and shapes them, as WOFF2."""
    # ssty: the shapes of letters in sub- and superscripts
    options = subset.Options(flavor="woff2", layout_features=["ssty"], hinting=False)
    font = subset.load_font(source, options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    if "MATH" in font:  # TeX's heights of scripts
        font["MATH"].table.MathConstants.SuperscriptBaselineDropMax.Value = 386
        font["MATH"].table.MathConstants.SubscriptBaselineDropMin.Value = 0
    subset.save_font(font, target, options)


def _lighten(app, exception) -> None:
    if exception is not None or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    pages = [path for path in Path(app.outdir).rglob("*.html") if static not in path.parents]
    text = "".join(path.read_text("utf-8") for path in pages)
    words = set(re.findall(r"[\w-]+", text + "".join(path.read_text("utf-8") for path in static.rglob("*.js"))))
    css = "".join(purge((static / sheet).read_text("utf-8"), words) for sheet in (*THEME_SHEETS, *app.book_sheets))
    (static / "bundle.css").write_text(css.replace("url(../", "url("), "utf-8")
    icons = {int(code, 16) for code in re.findall(r"\\([ef][0-9a-f]{3})\b", css)}
    icons |= {ord(sign) for sign in css if "\ue000" <= sign <= "\uf8ff"}  # a private area of Unicode
    for font in (static / ICONS).glob("*.ttf"):
        subset_font(font, font.with_suffix(".woff2"), icons)
    script = static / "scripts" / "pydata-sphinx-theme.js"
    script.write_text(script.read_text("utf-8").replace(*LAYS_OUT), "utf-8")
    formulas = re.sub(r"<[^>]*>", "", "".join(re.findall(r"<math.*?</math>", text, re.DOTALL)))
    subset_font(MATH_FONT, static / "math.woff2", UNWRITTEN | set(map(ord, formulas)))


def setup(app):
    app.config.templates_path.append(str(Path(__file__).parent))
    app.connect("html-page-context", _choose, priority=900)
    app.connect("build-finished", _lighten, priority=900)  # after those that copy files
    return {"parallel_read_safe": True, "parallel_write_safe": True}
