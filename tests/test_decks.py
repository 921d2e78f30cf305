"""The decks of slides: what a slide says, where its numbers and pictures come from, and how it looks in a browser."""

import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DECKS = ROOT / "course" / "decks"
sys.path.append(str(ROOT / "tools"))
from pdf import CHROMIUM  # noqa: E402


def load(name: str):
    """A module beside the decks; not by the path, since the labs have a build.py as well."""
    spec = importlib.util.spec_from_file_location(f"decks_{name}", DECKS / f"{name}.py")
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sources = load("deck_sources")
find_picture, sections = sources.find_picture, sources.sections

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
NOTES = re.compile(r"^:::\{notes\} (\d+)\n(.*?)^:::$", re.MULTILINE | re.DOTALL)
ORIGIN = re.compile(r"^:::\{slide\} (.+)\n(?::picture: (.+)\n)?(?::place: .+\n)?:::$", re.MULTILINE)
FORMULA = re.compile(r"\$\$.*?\$\$|\$.*?\$", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])([-+]?)(\d[\d,]*(?:\.\d+)?)")
# What only says where something stands is no measured number.
PLACE = re.compile(
    r"CC BY 4\.0|\b(?:sections?|chapters?|exercises?|lab|lecture|slides?) \d[\d.]*(?:(?:,| to| and) \d[\d.]*)*", re.I
)
EXERCISES = re.compile(r"((?:\d+(?:, | and | to )?)+) of chapter (\d)")
LOOKS = {"minutes": 85, "slides": (15, 30), "words": 60, "words beside a picture": 40, "said": (10, 150), "pixels": 24}


@dataclass
class Slide:
    """A slide of the source: its title, sections, picture, minutes, what is shown and what is said."""

    title: str
    origin: list[str]
    picture: str | None
    minutes: int
    code: list[str]
    shown: str
    said: str


def read_deck(text: str) -> list[Slide]:
    """The slides of a deck's source."""
    text = FENCED.sub(lambda found: found[0].replace("#", "\0"), text)  # a comment is no heading
    slides = []
    for part in re.split(r"^##? ", text, flags=re.MULTILINE)[1:]:
        title, _, rest = part.partition("\n")
        notes, origins = NOTES.findall(rest), ORIGIN.findall(rest)
        assert len(notes) == len(origins) == 1, f"{title}: expected one {{slide}} and one {{notes}} with its minutes"
        ((minutes, said),), ((origin, picture),) = notes, origins
        code = [block.replace("\0", "#") for block in FENCED.findall(rest)]
        shown = FENCED.sub("", ORIGIN.sub("", NOTES.sub("", rest)))
        slides.append(Slide(title, origin.split(", "), picture, int(minutes), code, shown, said))
    return slides


def numbers(text: str) -> set[tuple[str, str]]:
    """The numbers of a text with their signs: those with decimals, and whole ones from 10 on."""
    found = {(sign, number.replace(",", "")) for sign, number in NUMBER.findall(text.replace("−", "-"))}
    return {(sign, number) for sign, number in found if "." in number or int(number) >= 10}


def without_source(slide: Slide) -> set[str]:
    """The numbers of a slide, notes included, that its sections do not contain."""
    known = numbers("\n".join(sections()[number].text for number in slide.origin))
    known |= {("", number) for _, number in known}
    told = numbers(PLACE.sub("", f"{slide.title}\n{slide.shown}\n{slide.said}"))
    return {sign + number for sign, number in told if (sign.replace("+", ""), number) not in known}


def numerals(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


PLAN = yaml.safe_load((ROOT / "course" / "plan.yml").read_text("utf-8"))
SESSIONS = {session["with"]: session for session in PLAN["sessions"]}
SLIDES = {path.stem: read_deck(path.read_text("utf-8")) for path in sorted(DECKS.glob("deck*.md"))}
EACH_DECK = pytest.mark.parametrize("deck", SLIDES)


# --- the sources --------------------------------------------------------------------------------------------------


def test_there_are_four_decks():
    assert list(SLIDES) == ["deck1", "deck2", "deck3", "deck4"]


@EACH_DECK
def test_a_deck_fits_its_lecture(deck):
    """First the question, then what answers it, last what was shown and what to do; the minutes leave room for more."""
    slides = SLIDES[deck]
    fewest, most = LOOKS["slides"]
    assert fewest <= len(slides) <= most
    assert sum(slide.minutes for slide in slides) <= LOOKS["minutes"]
    assert re.search(r"^\*\*.*\?\*\*$", slides[0].shown, re.MULTILINE), "the first slide asks its question in bold"
    titles = [slide.title for slide in slides]
    assert titles[-2:] == ["What you have seen", "Read and do next"] and len(set(titles)) == len(titles)
    asked = [title.startswith("Ask the room: ") for title in titles]
    assert 2 <= sum(asked) <= 4
    assert [title for title, one, after in zip(titles, asked, asked[1:], strict=False) if one and after] == []


@EACH_DECK
def test_slides_have_few_words_and_notes(deck):
    """A formula counts as one word."""
    fewest, most = LOOKS["said"]
    wrong = []
    for slide in SLIDES[deck]:
        words = len(re.findall(r"\w[\w'’.,]*", FORMULA.sub(" formula ", slide.shown)))
        if words > LOOKS["words beside a picture" if slide.picture else "words"]:
            wrong.append(f"{slide.title}: {words} words")
        if not fewest <= len(slide.said.split()) <= most:
            wrong.append(f"{slide.title}: notes of {len(slide.said.split())} words")
    assert wrong == []


@EACH_DECK
def test_pictures_are_those_of_the_chapters(deck):
    pictures = [find_picture(slide.origin, slide.picture) for slide in SLIDES[deck] if slide.picture]
    assert len(pictures) >= 6
    assert all(picture.png.startswith(b"\x89PNG") and len(picture.alt) > 40 for picture in pictures)


def test_a_picture_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"section 2\.9: expected one picture .* got 0; there are:\n  Two rows"):
        find_picture(["2.9"], "A cat")
    with pytest.raises(ValueError, match=r"expected sections of the chapters, got 2\.99"):
        find_picture(["2.9", "2.99"], "Two rows")


@EACH_DECK
def test_every_number_stands_in_a_section_that_the_slide_names(deck):
    wrong = {slide.title: without_source(slide) for slide in SLIDES[deck]}
    assert {title: found for title, found in wrong.items() if found} == {}


def test_a_number_without_a_source_is_refused():
    """Wrong digits, a wrong sign, more digits than were measured, a number of another section; in the notes too."""
    (slide,) = [slide for slide in SLIDES["deck3"] if slide.title == "The bound is not the likelihood"]
    shown, said = slide.shown, slide.said
    assert "−139.61" in shown and without_source(slide) == set()
    for planted in ("−139.62", "139.610", "−6.43", "−151.3", "1,234", "87"):
        found = {planted.replace("−", "-").replace(",", "")}
        slide.shown, slide.said = f"{shown} {planted}", said
        assert without_source(slide) == found
        slide.shown, slide.said = shown, f"{said} It is {planted}."
        assert without_source(slide) == found
    slide.shown, slide.said = shown, said


@EACH_DECK
def test_code_is_that_of_the_chapter(deck):
    """Line by line; a slide may leave lines and comments out."""

    def bare(text: str) -> list[str]:
        return [line.partition("  #")[0].strip() for line in text.splitlines()]

    wrong = []
    for slide in SLIDES[deck]:
        known = {line for number in slide.origin for line in bare(sections()[number].text)}
        lines = [line for block in slide.code for line in bare(block)[1:-1]]
        wrong += [f"{slide.title}: {line}" for line in lines if line not in known]
    assert wrong == []


@EACH_DECK
def test_sections_and_exercises_that_a_slide_sends_to_exist(deck):
    """And the homework is that of the plan."""
    text = "\n".join(f"{slide.shown} {slide.said}" for slide in SLIDES[deck])
    named = {number for place in PLACE.findall(text) for number in re.findall(r"(?<!BY )\b\d\.\d+", place)}
    assert named - set(sections()) == set()
    given = {int(chapter): numerals(one) for one, chapter in EXERCISES.findall(SLIDES[deck][-1].shown)}
    assert given == SESSIONS[f"deck {deck[-1]}"]["homework"]
    exercises = [(number, chapter) for one, chapter in EXERCISES.findall(text) for number in numerals(one)]
    assert [pair for pair in exercises if f"**{pair[0]}. " not in sections()[pair[1]].text] == []


# --- in a browser -------------------------------------------------------------------------------------------------

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this system (Debian: apt install chromium)"
)

# What is wrong with the slide that is shown: cut off, on top of its foot or its picture, too small to read.
FAULTS = """(pixels) => {
    const slide = Reveal.getCurrentSlide();
    const found = [];
    const frame = slide.getBoundingClientRect();
    const foot = slide.querySelector(".source").getBoundingClientRect().top;
    const box = slide.querySelector("figure")?.getBoundingClientRect();
    const said = (element) => `${slide.querySelector("h1, h2").textContent}: ${element.outerHTML.slice(0, 60)}`;
    for (const element of slide.querySelectorAll(":scope > *:not(.source, .notes), li, pre code, math, math *, img")) {
        if (element.closest(".notes")) continue;
        const { top, bottom, left, right } = element.getBoundingClientRect();
        if (left < frame.left || right > frame.right || top < frame.top || bottom > foot + 1) found.push(said(element));
        const apart = !box || right <= box.left + 1 || left >= box.right - 1 || bottom <= box.top + 1
            || top >= box.bottom - 1;
        if (!apart && element.closest("h2, math, pre")) found.push(`on the picture: ${said(element)}`);
        if (element.scrollWidth > element.clientWidth + 1 && element.localName === "pre") found.push(said(element));
        if (parseFloat(getComputedStyle(element).fontSize) < pixels && !element.closest("math, figure"))
            found.push(`small: ${said(element)}`);
        if (element.localName === "img" && !element.naturalWidth) found.push(`not loaded: ${said(element)}`);
        if (element.localName === "img" && bottom - top < 180) found.push(`flat: ${said(element)}`);
    }
    return found;
}"""

# reveal.js hides all slides but one from screen readers, also where it shows them all; axe leaves out what is hidden.
TO_READERS_TOO = """() => {
    for (const slide of document.querySelectorAll(".slides [aria-hidden]")) {
        slide.removeAttribute("aria-hidden");
        slide.removeAttribute("hidden");
    }
}"""


@pytest.fixture(scope="module")
def build():
    return load("build")


@pytest.fixture(scope="module")
def decks(build, tmp_path_factory):
    return {path.stem: path for path in build.build(tmp_path_factory.mktemp("decks") / "decks")}


@pytest.fixture(scope="module")
def browser(build):
    with build.open_browser() as opened:
        yield opened


def open_deck(browser, path, query="", **settings):
    """Opens a deck from the disk; whatever went wrong is in `page.wrong`."""
    page = browser.new_page(viewport={"width": 1280, "height": 720}, **settings)
    page.context.set_default_timeout(300_000)
    page.wrong, page.asked = [], []
    page.on("console", lambda message: message.type == "error" and page.wrong.append(message.text))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("requestfailed", lambda request: page.wrong.append(f"failed: {request.url}"))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(path.as_uri() + query)
    page.wait_for_function("Reveal.isReady()", polling=100)
    return page


@needs_chromium
class TestBuilt:
    @EACH_DECK
    def test_every_slide_fits_its_frame(self, decks, browser, deck):
        """At 1280 × 720: nothing cut off, overlapping, small or missing, and nothing fetched from elsewhere."""
        page = open_deck(browser, decks[deck], reduced_motion="reduce")
        count = page.evaluate("Reveal.getTotalSlides()")
        assert count == len(SLIDES[deck])
        found = []
        for index in range(count):
            page.evaluate(f"Reveal.slide({index})")
            page.wait_for_function("[...Reveal.getCurrentSlide().querySelectorAll('img')].every((i) => i.complete)")
            found += page.evaluate(FAULTS, LOOKS["pixels"])
        assert found == [] and page.wrong == []
        assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
        page.close()

    @EACH_DECK
    def test_axe_finds_nothing(self, decks, browser, deck):
        """On all slides at once, as they are printed; and on the first one as it is shown."""
        from axe_playwright_python.sync_playwright import Axe

        for query in ("?print-pdf", ""):
            page = open_deck(browser, decks[deck], query, reduced_motion="reduce")
            if query:
                page.wait_for_selector(".pdf-page")
                page.evaluate(TO_READERS_TOO)
            found = Axe().run(page).response
            assert "color-contrast" in {rule["id"] for rule in found["passes"]}
            wrong = found["violations"]
            assert [(rule["id"], [node["html"][:120] for node in rule["nodes"][:3]]) for rule in wrong] == []
            page.close()

    def test_films_play_only_while_shown_and_only_if_wanted(self, decks, browser):
        source = "document.querySelector('#how-it-looks-when-it-works img').getAttribute('src')"
        for motion, plays in (("no-preference", True), ("reduce", False)):
            page = open_deck(browser, decks["deck4"], reduced_motion=motion)
            assert "-still.png" in page.evaluate(source)
            page.keyboard.press("ArrowRight")
            assert ("-still.png" not in page.evaluate(source)) == plays
            page.get_by_role("button").first.press("Enter")
            assert ("-still.png" not in page.evaluate(source)) != plays
            page.keyboard.press("ArrowRight")
            assert "-still.png" in page.evaluate(source)
            assert page.wrong == []
            page.close()

    def test_the_speaker_sees_notes_with_formulas(self, decks, browser):
        page = open_deck(browser, decks["deck3"], "#/the-best-picture-is-an-average")
        with page.expect_popup() as opened:
            page.keyboard.press("s")
        speaker = opened.value
        speaker.wait_for_function("document.querySelector('.speaker-controls-notes .value math')", polling=100)
        assert "5 minutes" in speaker.locator(".speaker-controls-notes").inner_text()
        assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
        page.close()

    def test_a_deck_is_printed_with_and_without_notes(self, build, browser, decks):
        from pypdf import PdfReader

        slides, notes = (PdfReader(path) for path in build.print_decks(browser, [decks["deck2"]]))
        count = len(SLIDES["deck2"])
        assert (len(slides.pages), len(notes.pages)) == (count, 2 * count)
        assert "Noise as an input" in slides.pages[1].extract_text()
        assert "Follow one dot" in notes.pages[3].extract_text()
        assert "Follow one dot" not in "".join(page.extract_text() for page in slides.pages)

    def test_the_folder_needs_nothing_from_elsewhere(self, decks):
        folder = decks["deck1"].parent
        texts = {path: path.read_text("utf-8") for path in folder.rglob("*") if path.suffix in (".html", ".css")}
        for path, text in texts.items():
            loads = re.findall(r"""(?:src|href)=["']([^"'#]+)["']|url\(["']?([^"')]+)""", text)
            assert [at for at in map("".join, loads) if re.match(r"(?:https?:)?//", at)] == [], path.name
        assert sum(path.stat().st_size for path in folder.rglob("*")) < 8e6
