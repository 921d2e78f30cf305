"""A Sphinx extension that makes the built pages light: what no page uses is not sent to the reader.

The theme brings a dozen style sheets, the whole of Bootstrap and all of Font Awesome. After the build, one style sheet
with the rules that some page can use takes their place, the icon fonts keep the few icons that are used, the formulas
get a font of their own, and scripts wait until the page is on the screen. Everything can be done again: pages that did
not change since the last build are only pointed at the new style sheet.
"""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import tinycss2
import ziamath
from fontTools import subset

BUNDLE = "bundle.css"
STYLE_LINKS = re.compile(r'\s*<link (?=[^>]*rel="stylesheet")[^>]*/?>')
HREF = re.compile(r'href="([^"?]*)')
ICONS = "vendor/fontawesome/webfonts"
MATH_FONT = Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"  # SIL Open Font License
# Scripts that stand on every page, and what a page has that needs them. The index is for the search page:
# elsewhere the theme would only search while one types, which is switched off.
NEEDED_WHERE = {
    "searchindex.js": 'id="search-results"',
    "searchtools.js": 'id="search-results"',
    "language_data.js": 'id="search-results"',
    "design-tabs.js": "sd-tab-set",
    "explorer.js": 'class="latent-explorer',
    "togglebutton.js": r'class="(?:[^"]* )?(?:toggle|admonition[^"]* dropdown)[" ]',
}
# Scripts that book.js loads once the reader has begun to read: a button on each of a hundred boxes of code is work that
# a page on its way to the screen does not need.
LATE = ("clipboard.min.js", "copybutton.js")
# What is changed in the theme's script. It lays the whole page out to find the boxes that scroll: book.js does it where
# the reader is. And it scrolls the contents to the chapter being read although that is on the screen: a jump.
THEME_SLIPS = {
    "e.scrollWidth>e.clientWidth||e.scrollHeight>e.clientHeight?0:-1": "e.tabIndex",
    "o.getBoundingClientRect().y>.5*window.innerHeight": "o.getBoundingClientRect().bottom>window.innerHeight",
}
# The page has its colours before it is first painted. The theme gives it none, and both logos, until its script comes.
COLOURS_LATER = 'dataset.theme = localStorage.getItem("theme") || "auto";'
COLOURS_AT_ONCE = """dataset.theme = document.documentElement.dataset.mode !== "auto"
      ? document.documentElement.dataset.mode
      : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";"""

logging.getLogger("fontTools").setLevel(logging.ERROR)  # it reports every table


def inline_imports(path: Path) -> str:
    """A style sheet with the ones that it imports put in its place, and its addresses relative to `_static`."""
    static = next(parent for parent in path.parents if parent.name == "_static")

    def relocate(match) -> str:
        address = match[2]
        if address.startswith(("data:", "#")) or "//" in address:
            return match[0]
        return f"url({(path.parent / address).resolve().relative_to(static.resolve())})"

    text = re.sub(r"(?<!@import )url\(([\"']?)([^)\"']+)\1\)", relocate, path.read_text("utf-8"))
    return re.sub(
        r'@import\s+(?:url\()?["\']?([^"\')]+)["\']?\)?\s*;',
        lambda match: inline_imports((path.parent / match[1]).resolve()),
        text,
    )


def words_of(paths: Iterable[Path]) -> set[str]:
    """Everything that could be the name of a class or an element's id."""
    return {word for path in paths for word in re.findall(r"[\w-]+", path.read_text("utf-8"))}


def purge(css: str, words: set[str]) -> str:
    """The rules whose every class and id is among some words."""

    def usable(selector: str) -> bool:
        selector = re.sub(r":(not|has|is|where)\((?:[^()]|\([^()]*\))*\)", "", selector)  # may be met without them
        return all(name in words for name in re.findall(r"[.#](-?[A-Za-z_][\w-]*)", selector))

    def keep(rules) -> str:
        kept = []
        for rule in rules:
            if rule.type == "qualified-rule":
                selectors = tinycss2.serialize(rule.prelude)
                if any(usable(selector) for selector in re.split(r",(?![^(]*\))", selectors)):
                    kept.append(f"{selectors.strip()}{{{tinycss2.serialize(rule.content).strip()}}}")
            elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports") and rule.content:
                inner = keep(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True))
                if inner:
                    kept.append(f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{inner}}}")
            elif rule.type == "at-rule" and rule.lower_at_keyword != "charset":
                kept.append(rule.serialize())
        return "\n".join(kept)

    return keep(tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True))


def italic(letter: str) -> list[int]:
    """The mathematical italic twin of a Latin or Greek letter, if it has one."""
    return [
        code
        for code in (0x210E, *range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C))
        if unicodedata.normalize("NFKC", chr(code)) == unicodedata.normalize("NFKC", letter)
    ]


def subset_font(source: Path, target: Path, characters: Iterable[int]) -> None:
    """Writes the glyphs of some characters, with what stretches and shapes them, as WOFF2.

    A font for formulas gets TeX's heights of scripts, and a root sign of two sizes: browsers reserve the width of the
    widest one that the font has.
    """
    # ssty: the shapes of letters in sub- and superscripts
    options = subset.Options(flavor="woff2", layout_features=["ssty"], hinting=False)
    font = subset.load_font(source, options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    if "MATH" in font:
        constants, variants = font["MATH"].table.MathConstants, font["MATH"].table.MathVariants
        constants.SuperscriptBaselineDropMax.Value = 386
        constants.SubscriptBaselineDropMin.Value = 0
        for name, root in zip(variants.VertGlyphCoverage.glyphs, variants.VertGlyphConstruction, strict=True):
            if name == "uni221A":
                root.GlyphAssembly = None
                root.MathGlyphVariantRecord = root.MathGlyphVariantRecord[:2]
                root.VariantCount = len(root.MathGlyphVariantRecord)
    subset.save_font(font, target, options)


def _write_fonts(static: Path, css: str, pages: str) -> None:
    """The icons that the style sheet names, and the signs of all formulas."""
    icons = sorted({ord(sign) for sign in css if "\ue000" <= sign <= "\uf8ff"})  # a private area of Unicode
    for font in (static / ICONS).glob("*.ttf"):
        subset_font(font, font.with_suffix(".woff2"), icons)
    formulas = "".join(re.findall(r"<math.*?</math>", pages, re.DOTALL))
    characters = {ord(letter) for letter in re.sub(r"<[^>]*>", "", formulas)}
    # A browser shows one-letter identifiers by their italic twins, which do not stand in the page.
    characters |= {twin for letter in set(re.findall("<mi>(.)</mi>", formulas)) for twin in italic(letter)}
    if "<msqrt" in formulas:
        characters.add(ord("√"))  # drawn by the element: the sign does not stand in the page
    subset_font(MATH_FONT, static / "math.woff2", sorted(characters))


def lightened(light: str) -> str:
    """A page without what it does not need, its scripts after its text, and the theme's slips in naming mended."""
    light = re.sub(r'\s*<script[^>]*src="[^"]*fontawesome\.js[^>]*></script>', "", light)
    light = re.sub(r'\s*<link rel="preload"[^>]*/?>', "", light)
    light = re.sub(r'<script (?!defer|type="late")(?=[^>]*src=")', "<script defer ", light)
    for script, needs in NEEDED_WHERE.items():
        if not re.search(needs, light):
            light = re.sub(rf'\s*<script[^>]*src="[^"]*{re.escape(script)}[^>]*></script>', "", light)
    light = light.replace(COLOURS_LATER, COLOURS_AT_ONCE)
    for script in LATE:
        light = re.sub(rf'<script defer (src="[^"]*/{re.escape(script)})', r'<script type="late" \1', light)
    # What an inline script says to a script that now comes later.
    light = re.sub(
        r"<script>(DOCUMENTATION_OPTIONS\.[^<]*)</script>",
        r'<script>document.addEventListener("DOMContentLoaded", () => { \1 });</script>',
        light,
    )
    # Names and brackets of code have the colour of the text: as elements of their own they only cost time.
    light = re.sub(r'<span class="[npw]">([^<]*)</span>', r"\1", light)
    # Names that say less than the text they hide.
    light = light.replace(' aria-label="Toggle hidden content"', "")
    light = re.sub(r'(<button class="[^"]*search-button-field[^"]*"[^>]*?) aria-label="Search"', r"\1", light)
    light = light.replace('role="doc-biblioentry"', 'role="listitem"')  # what ARIA now asks for within a list
    # The logo and the search stand in no landmark.
    light = light.replace(
        '<div id="pst-primary-sidebar" class',
        '<div id="pst-primary-sidebar" role="navigation" aria-label="Book" class',
    )
    return light


def _lighten(app, exception) -> None:
    if exception is not None or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    pages = [path for path in Path(app.outdir).rglob("*.html") if "_static" not in path.relative_to(app.outdir).parts]
    texts = {page: text for page in pages if STYLE_LINKS.search(text := page.read_text("utf-8"))}

    links = max(([HREF.search(link)[1] for link in STYLE_LINKS.findall(text)] for text in texts.values()), key=len)
    sheets = [static / link.split("_static/")[1] for link in links]
    if BUNDLE not in {sheet.name for sheet in sheets}:  # a full build: remember what the pages ask for
        (static / "bundle.txt").write_text("\n".join(str(sheet.relative_to(static)) for sheet in sheets))
    sheets = [static / name for name in (static / "bundle.txt").read_text().splitlines()]
    (static / "scripts" / "fontawesome.js").unlink(missing_ok=True)  # the icons come from fonts
    theme = static / "scripts" / "pydata-sphinx-theme.js"
    script = theme.read_text("utf-8")
    for slip, mended in THEME_SLIPS.items():
        script = script.replace(slip, mended)
    theme.write_text(script, "utf-8")
    words = words_of([*pages, *static.rglob("*.js")])
    css = purge("\n".join(inline_imports(sheet) for sheet in sheets), words)
    css = re.sub(r",\s*url\([^)]*\.ttf\) format\(\"truetype\"\)", "", css)
    _write_fonts(static, css, "".join(texts.values()))

    (static / BUNDLE).write_text(css, "utf-8")
    version = hashlib.sha256(css.encode()).hexdigest()[:8]
    for page, text in texts.items():
        root = re.search(r'data-content_root="([^"]*)"', text)[1]
        link = f'\n<link rel="stylesheet" href="{root}_static/{BUNDLE}?v={version}" />'
        first = STYLE_LINKS.search(text).start()
        light = STYLE_LINKS.sub("", text)
        light = light[:first] + link + light[first:]
        page.write_text(lightened(light), "utf-8")


def setup(app):
    app.connect("build-finished", _lighten, priority=900)  # after those that copy files
    return {"parallel_read_safe": True, "parallel_write_safe": True}
