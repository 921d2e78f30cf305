"""The built book in a real browser: it loads, shows its formulas, is accessible, and answers mouse, touch and keys.

These tests take the Chromium of the system (Debian: `apt install chromium`), and are skipped where there is none.
"""

import functools
import http.server
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))
import export_explorer  # noqa: E402
import pdf  # noqa: E402
from pdf import CHROMIUM  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this system (Debian: apt install chromium)"),
]

PAGES = [
    *(f"notebooks/{path.stem}.html" for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))),
    *(f"book/{path.stem}.html" for path in sorted((ROOT / "book").glob("*.md"))),
    "search.html",
    "genindex.html",
]
each_page = pytest.mark.parametrize("name", PAGES)
# A busy machine may draw no frame for minutes, and `evaluate` waits for ever: a fifth of a second is enough.
NEXT_FRAME = """window.nextFrame = () => new Promise((done) => {
    requestAnimationFrame(done);
    setTimeout(done, 200);
})"""
PHONE, ZOOMED, DESKTOP = (320, 640), (640, 450), (1280, 900)  # the second is the third at 200%


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            # --no-sandbox: containers run as root; the rest keeps Chromium from calling home.
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(pages):
    """The book on a server of this machine, for what a page opened from the disk may not do."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=pages)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def visit(browser, address):
    """Opens a page; whatever went wrong on it is in `page.wrong`."""
    contexts = []

    def open_page(name, size=DESKTOP, at=address, **settings):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **settings)
        contexts.append(context)
        context.add_init_script(NEXT_FRAME)
        page = context.new_page()
        page.wrong = []
        page.on("console", lambda message: message.type == "error" and page.wrong.append(message.text))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("requestfailed", lambda request: page.wrong.append(f"failed: {request.url}"))
        page.on(
            "request",
            lambda request: request.url.startswith((at, "data:")) or page.wrong.append(f"elsewhere: {request.url}"),
        )
        page.on("response", lambda answer: answer.status < 400 or page.wrong.append(f"{answer.status}: {answer.url}"))
        page.goto(f"{at}/{name}")
        return page

    yield open_page
    for context in contexts:
        context.close()


def scroll_through(page) -> None:
    page.evaluate(
        """async () => {
            for (let y = 0; y < document.documentElement.scrollHeight; y += innerHeight) {
                window.scrollTo(0, y);
                await nextFrame();
            }
        }"""
    )
    page.wait_for_load_state("networkidle")


@each_page
def test_a_page_loads_whole_and_from_here_alone(visit, name):
    """No error in the console, no failed request, none to another origin; formulas and pictures are there."""
    page = visit(name)
    scroll_through(page)
    assert page.wrong == []
    broken = "[...document.querySelectorAll('article img')].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    assert page.evaluate(broken) == []
    formulas = page.evaluate(
        """() => [...document.querySelectorAll("article math")].map((m) => {
            if (m.closest("details:not([open])")) return true;
            m.scrollIntoView();
            const { width, height } = m.getBoundingClientRect();
            return width > 2 && height > 2;
        })"""
    )
    assert all(formulas)
    if name == "notebooks/01_theory.html":
        assert len(formulas) > 600


@each_page
@pytest.mark.parametrize("size", [PHONE, ZOOMED, DESKTOP], ids=["phone", "200 percent", "desktop"])
def test_only_boxes_scroll_sideways(visit, name, size):
    """What is wider than the page scrolls in a box of its own, which the Tab key reaches."""
    page = visit(name, size)
    scroll_through(page)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    unreachable = page.evaluate(
        """async () => {
            const found = [];
            for (const box of document.querySelectorAll("article *")) {
                if (box.scrollWidth <= box.clientWidth) continue;
                if (box.closest("details:not([open])")) continue;
                box.scrollIntoView();
                await nextFrame();
                await nextFrame();
                const scrolls = box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX === "auto";
                if (scrolls && box.tabIndex < 0) found.push(box.outerHTML.slice(0, 80));
            }
            return found;
        }"""
    )
    assert unreachable == []


@each_page
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, name, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(name, color_scheme=scheme)
    scroll_through(page)  # boxes that scroll become reachable when they come near
    # A section that is not laid out yet has nothing to be checked.
    page.add_style_tag(content="* { content-visibility: visible !important; transition: none !important }")
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], [node["html"][:120] for node in rule["nodes"][:3]]) for rule in found] == []


@pytest.mark.parametrize("from_disk", [False, True], ids=["served", "from the disk"])
def test_search_finds_a_term_without_a_network(visit, address, pages, from_disk):
    at = pages.as_uri() if from_disk else address
    page = visit("search.html?q=reparameterisation", at=at)
    page.wait_for_selector("ul.search li a")
    assert page.locator("ul.search li a", has_text="The theory").count() >= 1
    assert page.wrong == []


def test_the_search_button_and_the_keyboard_open_the_search(visit):
    page = visit("book/intro.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("reparameterisation")
    page.keyboard.press("Enter")
    page.wait_for_selector("ul.search li a")
    assert "search.html?q=reparameterisation" in page.url


def explorer(page):
    page.locator(".latent-explorer").first.scroll_into_view_if_needed()
    page.wait_for_selector(".latent-explorer.alive")
    # The other sections are laid out while the browser is idle: a place measured before that may have moved.
    page.mouse.wheel(0, 1)
    page.wait_for_function("() => !document.querySelector('.bd-article > section > section:not(.laid-out)')")
    return page.locator(".latent-explorer.alive").first


@pytest.mark.parametrize("name", ["book/intro.html", "notebooks/03_conv_vae.html"])
def test_the_explorer_follows_mouse_and_keys(visit, name):
    page = visit(name)
    box = explorer(page)
    plane, where = box.locator(".plane"), box.locator(".where")
    place = lambda: page.evaluate("document.querySelector('.latent-explorer').explorer.z")  # noqa: E731
    plane.scroll_into_view_if_needed()
    area = plane.bounding_box()
    page.mouse.move(area["x"] + 0.5 * area["width"], area["y"] + 0.5 * area["height"])
    page.mouse.down()
    assert np.allclose(place(), [0, 0], atol=0.05)
    page.mouse.move(area["x"] + 0.75 * area["width"], area["y"] + 0.25 * area["height"], steps=4)
    page.mouse.up()
    assert np.allclose(place(), [1.8, 1.8], atol=0.05)  # right and up
    page.mouse.move(area["x"], area["y"])
    assert np.allclose(place(), [1.8, 1.8], atol=0.05)  # only a pressed button drags
    plane.focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert np.allclose(place(), [1.6, 1.4], atol=0.05)
    page.wait_for_function("document.querySelector('.where').textContent.includes('1.6')")
    assert "show the digit 0" in where.text_content()
    for _ in range(10):
        page.keyboard.press("Shift+ArrowRight")
    assert place()[0] == pytest.approx(3.6)  # the plane ends there
    assert page.wrong == []


def test_the_explorer_walks_draws_and_answers_touch(visit):
    page = visit("book/intro.html", PHONE, has_touch=True)
    box = explorer(page)
    place = lambda: page.evaluate("document.querySelector('.latent-explorer').explorer.z")  # noqa: E731
    plane = box.locator(".plane")
    plane.tap(position={"x": 30, "y": 60})
    tapped = place()
    assert tapped[0] < -2 and tapped[1] > 1
    box.get_by_role("button", name="Walk between digits").click()
    page.wait_for_timeout(700)
    on_the_way = place()
    assert on_the_way != tapped
    box.get_by_role("button", name="Stop the walk").click()
    stopped = place()
    page.wait_for_timeout(200)
    assert place() == stopped
    box.get_by_role("button", name="Draw from the prior").click()
    drawn = place()
    assert drawn != stopped
    box.get_by_role("button", name="Draw from the prior").click()
    assert place() != drawn
    assert page.wrong == []


def test_a_finger_drags_the_ring_and_elsewhere_scrolls_the_page(visit):
    page = visit("book/intro.html", PHONE, has_touch=True)
    plane = explorer(page).locator(".plane")
    place = lambda: page.evaluate("document.querySelector('.latent-explorer').explorer.z")  # noqa: E731
    touch = page.context.new_cdp_session(page)

    def drag(start, end, steps=8):
        """A finger from one place of the plane to another, in shares of its width and height."""
        area = plane.bounding_box()
        for i in range(steps + 1):
            share = [a + (b - a) * i / steps for a, b in zip(start, end, strict=True)]
            point = {"x": area["x"] + share[0] * area["width"], "y": area["y"] + share[1] * area["height"]}
            event = {"type": "touchMove" if i else "touchStart", "touchPoints": [point]}
            touch.send("Input.dispatchTouchEvent", event)
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_timeout(200)

    area = plane.bounding_box()
    plane.tap(position={"x": 0.5 * area["width"], "y": 0.5 * area["height"]})
    assert np.allclose(place(), [0, 0], atol=0.1)
    top = page.evaluate("scrollY")
    drag((0.5, 0.5), (0.75, 0.25))
    assert np.allclose(place(), [1.8, 1.8], atol=0.1) and page.evaluate("scrollY") == top
    drag((0.2, 0.8), (0.2, 0.3))
    assert np.allclose(place(), [1.8, 1.8], atol=0.1) and page.evaluate("scrollY") > top
    assert page.wrong == []


def test_the_explorer_jumps_for_readers_who_want_no_motion(visit):
    page = visit("book/intro.html", reduced_motion="reduce")
    box = explorer(page)
    box.get_by_role("button", name="Walk between digits").click()
    there = page.evaluate("document.querySelector('.latent-explorer').explorer.z")
    assert np.hypot(*there) > 0.1
    page.wait_for_timeout(200)
    assert page.evaluate("document.querySelector('.latent-explorer').explorer.z") == there


def test_the_explorer_shows_what_tensorflow_decodes(visit, pages):
    """Pixel means as the browser computes them, from a page opened from the disk."""
    page = visit("book/intro.html", at=pages.as_uri())
    explorer(page)
    z = np.random.default_rng(1).normal(size=(40, 2)).astype(np.float32)
    decode = "(points) => points.map((z) => Array.from(document.querySelector('.latent-explorer').explorer.decode(z)))"
    by_page = np.array(page.evaluate(decode, z.tolist()))
    by_tensorflow = export_explorer.trained().likelihood(z).mean().numpy().reshape(len(z), -1)
    assert np.max(np.abs(by_page - by_tensorflow)) < 1e-3
    assert page.wrong == []


def test_without_javascript_a_still_picture_stands_for_the_explorer(visit):
    page = visit("book/intro.html", java_script_enabled=False)
    picture = page.locator(".latent-explorer img")
    assert picture.count() == 1 and "digits" in picture.get_attribute("alt")
    assert "where JavaScript is switched on" in page.locator(".latent-explorer em").text_content()


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_films_move_or_stand_still_as_the_reader_wants(visit, motion):
    page = visit("notebooks/05_animations.html", reduced_motion=motion)
    film, button = page.locator("picture.film img").first, page.locator(".film-links button").first
    film.scroll_into_view_if_needed()
    still = "() => document.querySelector('picture.film img').currentSrc.endsWith('-still.png')"

    def shows(standing: bool) -> None:
        page.wait_for_function(f"() => ({still})() === {str(standing).lower()}", timeout=5000)

    shows(motion == "reduce")
    assert button.text_content() == ("Play the film" if motion == "reduce" else "Stop the film")
    button.click()
    shows(motion != "reduce")
    button.focus()
    page.keyboard.press("Enter")
    shows(motion == "reduce")


def test_a_reader_who_comes_back_finds_the_place(visit):
    """Sections off the screen are laid out late; a reloaded page must still stand where it stood."""
    page = visit("notebooks/02_mlp_vae.html")
    page.locator("#what-it-has-learnt").scroll_into_view_if_needed()
    page.wait_for_timeout(1500)  # the rest is laid out while the browser is idle
    before = page.evaluate("scrollY")
    page.reload()
    page.wait_for_function(f"() => Math.abs(scrollY - {before}) < 100", timeout=5000)
    waiting = page.evaluate("document.querySelectorAll('.bd-article > section > section:not(.laid-out)').length")
    assert before > 3000 and waiting == 0 and page.wrong == []


def test_copy_buttons_come_when_the_reader_begins(visit):
    """Their scripts are not among what a page needs to open."""
    page = visit("notebooks/02_mlp_vae.html")
    page.keyboard.press("PageDown")
    cells = page.locator("div.highlight pre").count()
    page.wait_for_function(f"() => document.querySelectorAll('button.copybtn').length === {cells}", timeout=10_000)
    assert cells > 50 and page.wrong == []


def test_the_whole_book_is_printed(pages, tmp_path):
    """Every page of the contents, bookmarks and links that lead somewhere, pictures, numbered equations."""
    from pypdf import PdfReader

    target = tmp_path / "book.pdf"
    pdf.print_book(target)
    printed = PdfReader(target)
    text = [page.extract_text() for page in printed.pages]
    assert len(text) > 100
    numbers = [number for number, words in enumerate(text, 1) if words.split()[0] != str(number)]
    assert numbers == []

    def starts(entries):
        for entry in entries:
            if isinstance(entry, list):
                yield from starts(entry)
            else:
                yield entry.title, printed.get_destination_page_number(entry)

    starts = list(starts(printed.outline))
    order = [page for _, page in starts]
    assert order == sorted(order) and None not in order
    for name in pdf.contents():
        title = BeautifulSoup((pages / f"{name}.html").read_text("utf-8"), "html.parser").find("h1")
        assert title.get_text().removesuffix("#").strip() in [heading for heading, _ in starts]
    links = [link.get_object() for page in printed.pages for link in page.get("/Annots", [])]
    inside = [link["/Dest"] for link in links if "/Dest" in link]
    assert len(inside) > 300 and set(inside) <= set(printed.named_destinations)
    whole = BeautifulSoup(pdf.joined(pdf.contents()), "html.parser")
    assert sum(len(page.images) for page in printed.pages) == len(whole.select("article img")) > 40
    for equation in re.findall(r"\\tag\{([\d.]+)\}", (ROOT / "notebooks" / "02_mlp_vae.py").read_text("utf-8")):
        assert any(f"({equation})" in words for words in text)
