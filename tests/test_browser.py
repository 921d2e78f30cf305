"""The built book in a real browser: it loads, shows its formulas, is accessible, and answers mouse, touch and keys.

These tests take the Chromium of the system (Debian: `apt install chromium`), and are skipped where there is none.
"""

import copy
import functools
import http.server
import re
import sys
import threading
from pathlib import Path

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))
import export_explorer  # noqa: E402
import page_measures  # noqa: E402
import pdf  # noqa: E402
from pdf import CHROMIUM  # noqa: E402

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this system (Debian: apt install chromium)")

PAGES = [
    *(f"notebooks/{path.stem}.html" for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))),
    *(f"book/{path.stem}.html" for path in sorted((ROOT / "book").glob("*.md"))),
    "search.html",
    "genindex.html",
]
LIMIT = 300_000  # milliseconds that a page may take for anything: an error of Playwright's says what it waited for
# A busy machine may draw no frame for minutes, and `evaluate` waits for ever: a fifth of a second is enough.
NEXT_FRAME = """window.explorer = () => document.querySelector(".latent-explorer").explorer;
window.explorerAt = () => explorer().z;
window.nextFrame = () => new Promise((done) => {
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


def open_page(browser, address, name, size=DESKTOP, **settings):
    """Opens a page in a profile of its own; whatever went wrong on it is in `page.wrong`."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **settings)
    context.set_default_timeout(LIMIT)
    context.add_init_script(NEXT_FRAME)
    page = context.new_page()
    page.wrong = []
    page.on("console", lambda message: message.type == "error" and page.wrong.append(message.text))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("requestfailed", lambda request: page.wrong.append(f"failed: {request.url}"))
    page.on(
        "request",
        lambda request: request.url.startswith((address, "data:")) or page.wrong.append(f"elsewhere: {request.url}"),
    )
    page.on("response", lambda answer: answer.status < 400 or page.wrong.append(f"{answer.status}: {answer.url}"))
    page.goto(f"{address}/{name}")
    return page


@pytest.fixture
def visit(browser, address):
    contexts = []

    def visit_page(name, size=DESKTOP, at=address, **settings):
        page = open_page(browser, at, name, size, **settings)
        contexts.append(page.context)
        return page

    yield visit_page
    for context in contexts:
        context.close()


# --- every page, opened once --------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=PAGES)
def desktop(request, browser, address):
    """A page on a desktop, scrolled through: several tests look at it, one after the other."""
    page = open_page(browser, address, request.param)
    page.name = request.param
    page.wait_for_load_state("networkidle")
    page.sent = page.evaluate("performance.getEntries().reduce((sum, entry) => sum + (entry.encodedBodySize ?? 0), 0)")
    scroll_through(page)
    yield page
    page.context.close()


def scroll_through(page) -> None:
    page.evaluate(
        """async () => {
            // Steps of more than a small screen: pictures and boxes get ready when they come within 1,250 pixels.
            for (let y = 0; y < document.documentElement.scrollHeight; y += Math.max(innerHeight, 1500)) {
                window.scrollTo(0, y);
                await nextFrame();
            }
        }"""
    )
    until(page, "[...document.images].every((image) => image.complete || !image.checkVisibility())")


def test_a_page_loads_whole_and_from_here_alone(desktop):
    """No error in the console, no failed request, none to another origin; formulas and pictures are there."""
    assert desktop.wrong == []
    assert desktop.sent < 1e6  # bytes before anything was scrolled to; this server compresses nothing
    broken = "[...document.querySelectorAll('article img')].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    assert desktop.evaluate(broken) == []
    formulas = desktop.evaluate(
        """() => [...document.querySelectorAll("article math")].map((m) => {
            if (m.closest("details:not([open])")) return true;
            m.scrollIntoView();
            const { width, height } = m.getBoundingClientRect();
            return width > 2 && height > 2;
        })"""
    )
    assert all(formulas)
    if desktop.name == "notebooks/01_theory.html":
        assert len(formulas) > 200


def test_a_chapter_shows_more_than_it_proves(desktop):
    """Of its height at most so much is code and its output; pictures come often; nothing is cut off."""
    if not desktop.name.startswith("notebooks/"):
        pytest.skip("not a chapter")
    found = page_measures.measure(desktop)
    assert found["code"] <= page_measures.MOST_CODE * found["height"], found
    assert found["cut"] == 0, found
    assert found["bare"] <= page_measures.LONGEST_BARE[page_measures.kind(Path(desktop.name))], found


def test_only_boxes_scroll_sideways(desktop):
    """What is wider than the page scrolls in a box of its own, which the Tab key reaches."""
    only_boxes_scroll_sideways(desktop)


@pytest.mark.parametrize("size", [PHONE, ZOOMED], ids=["phone", "200 percent"])
def test_only_boxes_scroll_sideways_on_less_room(desktop, size):
    """The same page, as in a window that is made smaller or a phone that is turned."""
    desktop.set_viewport_size({"width": size[0], "height": size[1]})
    scroll_through(desktop)
    only_boxes_scroll_sideways(desktop)


def only_boxes_scroll_sideways(page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    unreachable = page.evaluate(
        """async () => {
            const found = [];
            for (const box of document.querySelectorAll("article *")) {
                if (box.scrollWidth <= box.clientWidth) continue;
                if (box.closest("details:not([open])")) continue;
                if (box.tabIndex >= 0 || getComputedStyle(box).overflowX !== "auto") continue;
                box.scrollIntoView();  // a second look: it becomes reachable when it comes near the screen
                await nextFrame();
                await nextFrame();
                if (box.scrollWidth > box.clientWidth && box.tabIndex < 0) found.push(box.outerHTML.slice(0, 80));
            }
            return found;
        }"""
    )
    assert unreachable == []


def until(page, condition: str, value=None) -> None:
    """Waits for a condition of the page. (Playwright would look at each frame, and there may be none.)"""
    page.wait_for_function(condition, arg=value, polling=100)


def choose_scheme(page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    until(page, f"document.documentElement.dataset.theme === '{scheme}'")


# A page has thousands of words and signs in two dozen looks: tag, colour, size, weight, opacity, and what they stand
# on, in both schemes. One of each stays or is judged; a look that was judged on one page is not judged on the next.
NOTE_LOOKS = """() => {
    const standsOn = (element) => {
        const colour = getComputedStyle(element).backgroundColor;
        return colour === "rgba(0, 0, 0, 0)" && element.parentElement ? standsOn(element.parentElement) : colour;
    };
    const opacity = (element) => element ? getComputedStyle(element).opacity * opacity(element.parentElement) : 1;
    // Of a single letter axe says that it cannot tell.
    const hasWords = (element) => [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim().length > 1);
    for (const element of document.querySelectorAll("body, body *")) {
        if (!hasWords(element) || !element.checkVisibility()) continue;
        const { color, fontSize, fontWeight, textDecorationLine } = getComputedStyle(element);
        const where = element.closest("a, pre, math")?.localName;
        const look = [element.localName, where, color, fontSize, fontWeight, textDecorationLine];
        element.looks = `${element.looks ?? ""} ${[...look, opacity(element), standsOn(element)].join()}`;
    }
}"""
MARK_NEW_LOOKS = """(judged) => {
    const seen = new Set(judged), inFormulas = new Set();
    for (const formula of document.querySelectorAll("article math")) {
        const looks = [...formula.querySelectorAll("*")].map((sign) => sign.looks);
        if (looks.every((look) => inFormulas.has(look))) formula.replaceWith("x");
        for (const look of looks) inFormulas.add(look);
    }
    for (const element of document.querySelectorAll("body, body *")) {
        if (!element.looks) continue;
        if (!seen.has(element.looks)) element.dataset.newLook = "";
        else if (element.matches("pre span")) element.replaceWith("x");
        seen.add(element.looks);
    }
    return [...seen];
}"""
COLOURS = ["color-contrast", "link-in-text-block"]


@pytest.fixture(scope="module")
def judged() -> list[str]:
    """The looks that some page has shown to axe."""
    return []


@pytest.fixture(scope="module")
def thinned(desktop, judged):
    """The same page for axe, with its new looks marked."""
    desktop.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    # A section that is not laid out yet has nothing to be checked.
    desktop.add_style_tag(content="* { content-visibility: visible !important; transition: none !important }")
    for scheme in ("light", "dark"):
        choose_scheme(desktop, scheme)
        desktop.evaluate(NOTE_LOOKS)
    judged[:] = desktop.evaluate(MARK_NEW_LOOKS, judged)
    return desktop


def violations(page, options: dict, context: str | None = None) -> list:
    from axe_playwright_python.sync_playwright import Axe

    # Without the list of all that passes, which takes most of the time: of a rule that passes one element is enough.
    found = Axe().run(page, context=context, options=options | {"resultTypes": ["violations"]}).response
    assert {"color-contrast" if context else "page-has-heading-one"} <= {rule["id"] for rule in found["passes"]}
    return [(rule["id"], [node["html"][:120] for node in rule["nodes"][:3]]) for rule in found["violations"]]


def test_axe_finds_nothing(thinned):
    """All its rules but those of colours, and the one of WCAG 2.2 that it leaves out: what is tapped is big enough."""
    choose_scheme(thinned, "light")
    rules = {name: {"enabled": False} for name in COLOURS} | {"target-size": {"enabled": True}}
    assert violations(thinned, {"rules": rules}) == []


def test_every_look_can_be_read(thinned):
    """axe's rules of colours in both schemes, on each look that no page before had."""
    if thinned.locator("[data-new-look]").count():
        for scheme in ("light", "dark"):
            choose_scheme(thinned, scheme)
            assert violations(thinned, {"runOnly": COLOURS}, "[data-new-look]") == [], scheme


# --- what single pages can do -------------------------------------------------------------------------------------


@pytest.mark.parametrize("from_disk", [False, True], ids=["served", "from the disk"])
def test_search_finds_a_term_without_a_network(visit, address, pages, from_disk):
    at = pages.as_uri() if from_disk else address
    page = visit("search.html?q=reparameterisation", at=at)
    page.locator("ul.search li a", has_text="The theory").first.wait_for()  # the results come one after the other
    assert page.wrong == []


def test_the_search_button_and_the_keyboard_open_the_search(visit):
    page = visit("book/intro.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("reparameterisation")
    page.keyboard.press("Enter")
    page.wait_for_selector("ul.search li a")
    assert "search.html?q=reparameterisation" in page.url


WAITING = "document.querySelectorAll('.bd-article > section > section:not(.laid-out)').length"


def explorer(page):
    page.locator(".latent-explorer").first.scroll_into_view_if_needed()
    page.wait_for_selector(".latent-explorer.alive")
    # The other sections are laid out while the browser is idle: a place measured before that may have moved.
    page.mouse.wheel(0, 1)
    until(page, f"{WAITING} === 0")
    return page.locator(".latent-explorer.alive").first


def some_frames(page) -> None:
    """Time for whatever moves to show it."""
    page.evaluate("async () => { for (let i = 0; i < 10; i++) await nextFrame(); }")


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_the_explorer_keeps_its_room_before_it_comes_alive(visit, width):
    """Otherwise the text below jumps, and a reader who comes back finds another place."""
    page = visit("notebooks/02_mlp_vae.html", (width, 900))
    height = "document.querySelector('.latent-explorer').getBoundingClientRect().height"
    before = page.evaluate(height)
    explorer(page)
    assert abs(page.evaluate(height) - before) < 40


@pytest.mark.parametrize("name", ["book/intro.html", "notebooks/22_second_recipe.html"])
def test_the_explorer_follows_mouse_and_keys(visit, name):
    page = visit(name)
    box = explorer(page)
    plane, where = box.locator(".plane"), box.locator(".where")
    place = lambda: page.evaluate("explorerAt()")  # noqa: E731
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
    until(page, "document.querySelector('.where').textContent.includes(explorerAt()[0].toFixed(2))")
    assert "show the digit 0" in where.text_content()
    for _ in range(10):
        page.keyboard.press("Shift+ArrowRight")
    assert place()[0] == pytest.approx(3.6)  # the plane ends there
    assert page.wrong == []


def test_the_explorer_walks_draws_and_answers_touch(visit):
    page = visit("book/intro.html", PHONE, has_touch=True)
    box = explorer(page)
    place = lambda: page.evaluate("explorerAt()")  # noqa: E731
    plane = box.locator(".plane")
    plane.tap(position={"x": 30, "y": 60})
    tapped = place()
    assert tapped[0] < -2 and tapped[1] > 1
    box.get_by_role("button", name="Walk between digits").click()
    until(page, "([z1, z2]) => explorerAt()[0] !== z1 && explorerAt()[1] !== z2", tapped)
    box.get_by_role("button", name="Stop the walk").click()
    stopped = place()
    some_frames(page)
    assert place() == stopped
    box.get_by_role("button", name="Random z from the prior").click()
    drawn = place()
    assert drawn != stopped
    box.get_by_role("button", name="Random z from the prior").click()
    assert place() != drawn
    assert page.wrong == []


def test_a_finger_drags_the_ring_and_elsewhere_scrolls_the_page(visit):
    page = visit("book/intro.html", PHONE, has_touch=True)
    plane = explorer(page).locator(".plane")
    place = lambda: page.evaluate("explorerAt()")  # noqa: E731
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
        some_frames(page)

    area = plane.bounding_box()
    plane.tap(position={"x": 0.5 * area["width"], "y": 0.5 * area["height"]})
    assert np.allclose(place(), [0, 0], atol=0.1)
    top = page.evaluate("scrollY")
    drag((0.5, 0.5), (0.75, 0.25))
    assert np.allclose(place(), [1.8, 1.8], atol=0.1) and page.evaluate("scrollY") == top
    drag((0.2, 0.8), (0.2, 0.3))
    until(page, "(top) => scrollY > top", top)
    assert np.allclose(place(), [1.8, 1.8], atol=0.1)
    assert page.wrong == []


def test_the_explorer_jumps_for_readers_who_want_no_motion(visit):
    page = visit("book/intro.html", reduced_motion="reduce")
    box = explorer(page)
    before = page.evaluate("explorerAt()")
    box.get_by_role("button", name="Walk between digits").click()
    there = page.evaluate("explorerAt()")
    assert there != before  # some code's mean, and by chance one may lie near the middle
    some_frames(page)
    assert page.evaluate("explorerAt()") == there


def test_the_explorer_shows_what_tensorflow_decodes(visit, pages):
    """Pixel means as the browser computes them, from a page opened from the disk."""
    page = visit("book/intro.html", at=pages.as_uri())
    explorer(page)
    z = np.random.default_rng(1).normal(size=(40, 2)).astype(np.float32)
    decode = "(points) => points.map((z) => Array.from(explorer().vae.decode(z)))"
    by_page = np.array(page.evaluate(decode, z.tolist()))
    by_tensorflow = export_explorer.trained().likelihood(z).mean().numpy().reshape(len(z), -1)
    assert np.max(np.abs(by_page - by_tensorflow)) < 1e-3
    assert page.wrong == []


def rated(page) -> dict:
    """What the page says of the digit on the pad, once it has said it: the image, the numbers, the sentence."""
    until(page, "!explorer().pad.frame && document.querySelector('.latent-explorer-said').textContent !== ''")
    return page.evaluate(
        """() => {
            const text = (name) => document.querySelector(`.latent-explorer-pad .${name}`).textContent;
            const parts = ["mean", "deviation", "reconstruction", "kl", "bound", "rank", "latent-explorer-said"];
            return {
                image: Array.from(explorer().pad.image()),
                ...explorer().pad.result,
                shown: Object.fromEntries(parts.map((name) => [name, text(name)])),
            };
        }"""
    )


def assert_tensorflow_agrees(found: list[dict]) -> None:
    """Position, spread and nats of images, as the page found them, to a thousandth."""
    model = export_explorer.trained()
    images = np.reshape([one["image"] for one in found], (-1, 28, 28, 1)).astype(np.float32)
    posterior = model.posterior(images)
    reconstruction, kl = export_explorer.reconstruction_and_kl(model, images)
    for name, expected in (("mean", posterior.mean()), ("deviation", posterior.stddev())):
        np.testing.assert_allclose([one["cloud"][name] for one in found], expected, atol=1e-3)
    for name, expected in (("reconstruction", reconstruction), ("kl", kl), ("bound", reconstruction - kl)):
        np.testing.assert_allclose([one[name] for one in found], expected, atol=1e-3)


def draw(page, *places) -> None:
    """A stroke with the mouse, from place to place of the pad, in shares of its width and height."""
    area = page.locator(".pad").bounding_box()
    for i, (across, down) in enumerate(places):
        page.mouse.move(area["x"] + across * area["width"], area["y"] + down * area["height"], steps=5)
        if i == 0:
            page.mouse.down()
    page.mouse.up()


def test_a_drawn_digit_is_encoded_and_rated(visit):
    page = visit("book/intro.html")
    explorer(page).locator(".pad").scroll_into_view_if_needed()
    draw(page, (0.5, 0.15), (0.5, 0.85))
    one = rated(page)
    assert one["shown"]["bound"] == f"{one['bound']:.1f} nats".replace("-", "−")
    assert re.search(r"(better|worse) than \d+% of the 10,000 test digits", one["shown"]["latent-explorer-said"])
    assert np.allclose(page.evaluate("explorerAt()"), one["cloud"]["mean"])  # the ring is where the encoder puts it
    page.get_by_role("button", name="Clear").click()
    until(page, "explorer().pad.result === null && explorer().cloud === null")
    draw(page, (0.2, 0.2), (0.8, 0.8))
    draw(page, (0.2, 0.8), (0.8, 0.2))
    cross = rated(page)
    assert cross["bound"] < one["bound"] - 50  # the model knows ones, and no crosses
    assert_tensorflow_agrees([one, cross])
    assert page.wrong == []


def test_the_keyboard_chooses_test_images(visit):
    """All that the page offers, for a reader who wants no motion: the ring stands in its place at once."""
    page = visit("book/intro.html", reduced_motion="reduce")
    choice = explorer(page).locator(".choice")
    offered = choice.locator("option").count() - 1
    found = []
    choice.focus()
    for _ in range(offered):
        page.evaluate("document.querySelector('.latent-explorer-said').textContent = ''")
        page.keyboard.press("ArrowDown")
        found.append(rated(page))
        assert np.allclose(page.evaluate("explorerAt()"), found[-1]["cloud"]["mean"])
    assert choice.input_value() == str(offered - 1) and offered == 20
    assert_tensorflow_agrees(found)
    assert page.wrong == []


def test_a_finger_draws_on_the_pad_and_beside_it_scrolls_the_page(visit):
    page = visit("book/intro.html", PHONE, has_touch=True)
    pad = explorer(page).locator(".pad")
    pad.scroll_into_view_if_needed()
    touch = page.context.new_cdp_session(page)

    def drag(across):
        """A finger up the screen, so far to the right in shares of the pad's width."""
        area = pad.bounding_box()
        for i in range(9):
            point = {"x": area["x"] + across * area["width"], "y": area["y"] + (0.9 - 0.1 * i) * area["height"]}
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove" if i else "touchStart", "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        some_frames(page)

    top = page.evaluate("scrollY")
    drag(0.5)
    drawn = rated(page)
    assert page.evaluate("scrollY") == top
    drag(1.2)
    until(page, "(top) => scrollY > top", top)
    assert rated(page)["image"] == drawn["image"] and 20 < sum(drawn["image"]) < 100  # a one
    assert page.wrong == []


@pytest.mark.parametrize("size", [(390, 664), (360, 640)])  # what the browser's bars leave of common phones
def test_whoever_draws_on_a_phone_sees_the_point_move(visit, size):
    page = visit("book/intro.html", size, has_touch=True)
    box = explorer(page)
    plane, pad, digit = (box.locator(name).bounding_box() for name in (".plane", ".pad", ".digit"))
    header = page.locator(".bd-header, .header-article").first.bounding_box()["height"]
    assert plane["y"] < pad["y"] and pad["y"] + pad["height"] - plane["y"] < size[1] - header
    assert pad["x"] + pad["width"] < digit["x"] and pad["y"] - 1 < digit["y"] < pad["y"] + pad["height"]


@pytest.mark.parametrize("name", ["book/intro.html", "notebooks/22_second_recipe.html"])
def test_a_link_keeps_the_point(visit, name):
    page = visit(f"{name}#z=1.20,-0.7")
    until(page, "explorer()?.z[0] === 1.2 && explorer().z[1] === -0.7")
    until(page, "document.querySelector('.latent-explorer').getBoundingClientRect().top < innerHeight / 2")
    page.locator(".plane").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("location.hash") == "#z=1.20,-0.7"  # no move writes
    page.get_by_role("button", name="Copy link to this point").click()
    assert page.evaluate("location.hash") == "#z=1.30,-0.70"
    page.evaluate("location.hash = '#z=-2,9'")
    until(page, "explorer().z[0] === -2 && explorer().z[1] === 3.6")  # the plane ends there
    anchor = page.locator("article section[id]").last.get_attribute("id")
    before = page.evaluate("scrollY")
    page.evaluate("(anchor) => { location.hash = anchor }", anchor)
    until(page, "(before) => scrollY > before", before)  # an anchor of the page is one still
    assert page.evaluate("explorerAt()") == [-2, 3.6] and page.wrong == []


def test_the_explorer_fills_the_screen_and_lists_where_the_digits_lie(visit):
    page = visit("book/intro.html")
    box = explorer(page)
    box.get_by_role("button", name="Full screen").click()
    until(page, "document.fullscreenElement?.className === 'latent-explorer-box'")
    box.get_by_role("button", name="Leave full screen").click()
    until(page, "document.fullscreenElement === null")
    box.get_by_text("Where each digit lies").click()
    said = box.locator(".latent-explorer-places li").all_inner_texts()
    points, labels = page.evaluate("[explorer().points, Array.from(explorer().labels)]")
    for digit in range(10):
        mean = np.mean(np.array(points)[np.array(labels) == digit], axis=0)
        assert said[digit].startswith(f"{digit}: around ({mean[0]:.2f}, {mean[1]:.2f})".replace("-", "−"))
    assert said[0].endswith("upper right") and said[1].endswith("lower left")
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
        until(page, f"() => ({still})() === {str(standing).lower()}")

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
    until(page, f"{WAITING} === 0")  # the rest is laid out while the browser is idle
    some_frames(page)
    before = page.evaluate("scrollY")
    page.reload()
    until(page, "(before) => Math.abs(scrollY - before) < 100", before)
    assert before > 3000 and page.evaluate(WAITING) == 0 and page.wrong == []


def test_copy_buttons_come(visit):
    page = visit("notebooks/02_mlp_vae.html")
    page.keyboard.press("PageDown")
    cells = page.locator("div.highlight pre").count()
    until(page, f"document.querySelectorAll('button.copybtn').length === {cells}")
    assert cells > 50 and page.wrong == []


@pytest.fixture(scope="module")
def single_page(pages) -> BeautifulSoup:
    """The book as one page: a minute or two, for all that is printed here."""
    return pdf.single_page()


def test_the_book_is_printed(pages, single_page, tmp_path):
    """Every page is there. Of some of them, printed: bookmarks, links that lead somewhere, pictures, equations."""
    from pypdf import PdfReader

    titles = {}
    kept = "book/intro", "notebooks/02_mlp_vae", "notebooks/03_conv_vae", "book/package", "book/bibliography"
    part = copy.copy(single_page)
    for name in [name.removesuffix(".html") for name in PAGES if name not in ("search.html", "genindex.html")]:
        title = BeautifulSoup((pages / f"{name}.html").read_text("utf-8"), "html.parser").find("h1")
        start = part.find(id=f"document-{name}")
        section = start if start.name == "body" else start.find_next_sibling("section")
        titles[name] = letters(title.get_text())
        assert letters(section.find(re.compile("^h[12]$")).get_text()) == titles[name]
        if name not in kept:
            start.decompose()
            section.decompose()
    ids = {f"#{element['id']}" for element in single_page.select("[id]")}
    inside = {link["href"] for link in single_page.select('a[href^="#"]')}
    assert len(inside) > 200 and inside <= ids

    target = tmp_path / "book.pdf"
    pdf.print_page(part, target)
    printed = PdfReader(target)
    assert len(printed.pages) > 20
    for index in range(0, len(printed.pages), 10):  # pypdf takes a tenth of a second to read a page
        assert str(index + 1) in printed.pages[index].extract_text().split()

    def starts(entries):
        for entry in entries:
            if isinstance(entry, list):
                yield from starts(entry)
            else:
                yield entry.title, printed.get_destination_page_number(entry)

    starts = list(starts(printed.outline))
    order = [page for _, page in starts]
    assert order == sorted(order) and None not in order
    begins = {letters(heading): page for heading, page in reversed(starts)}  # one that wraps loses its space
    links = [link.get_object() for page in printed.pages for link in page.get("/Annots", [])]
    inside = [link["/Dest"] for link in links if "/Dest" in link]
    assert len(inside) > 40 and set(inside) <= set(printed.named_destinations)
    outside = [link["/A"]["/URI"] for link in links if "/Dest" not in link]
    assert len(outside) > 10 and all(address.startswith("http") for address in outside)  # no file of this machine
    drawn = [one.get_object() for page in printed.pages for one in page["/Resources"].get("/XObject", {}).values()]
    assert sum(one["/Subtype"] == "/Image" for one in drawn) == len(part.select("article img")) > 8
    first, last = (begins[titles[f"notebooks/{name}"]] for name in ("02_mlp_vae", "03_conv_vae"))
    text = " ".join(page.extract_text() for page in printed.pages[first : last + 1])
    for equation in re.findall(r"\\tag\{([\d.]+)\}", (ROOT / "notebooks" / "02_mlp_vae.py").read_text("utf-8")):
        assert f"({equation})" in text


def letters(text: str) -> str:
    """What stays of a sentence or of code wherever it is set: neither space nor quotation marks."""
    return re.sub(r"\W+", "", text)


def test_a_hand_out_has_no_solution_and_a_chapter_stands_alone(single_page, tmp_path):
    from pypdf import PdfReader

    solved, seen = [], []
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            (solved if "solution" in cell.metadata.get("tags", []) else seen).append(cell.source)
    seen = letters("\n".join(seen))
    pieces = {letters(piece) for source in solved for piece in re.split(r"[\n$`]", source)}
    pieces = {piece for piece in pieces if len(piece) > 20 and piece not in seen}
    page = copy.copy(single_page)
    pdf.leave_solutions_out(page)
    before, after = (letters(one.get_text()) for one in (single_page, page))
    assert sum(piece in before for piece in pieces) > 500
    assert [piece for piece in pieces if piece in after] == []
    assert not [name for name in pdf.WITH_ANSWERS if page.find(id=f"document-{name}")]
    assert single_page.select("details.sd-dropdown") and not page.select("details.sd-dropdown")  # folded answers
    exercises = len([1 for paragraph in page.find_all("p") if re.match(r"\d+\. .*\(\d+ min", paragraph.get_text())])
    assert str(page).count(pdf.ROOM[:30]) == exercises > 80

    chapters = dict(pdf.chapters(page))
    assert [f"notebooks/{name}.html" for name in chapters] == [name for name in PAGES if name.startswith("notebooks/")]
    title = letters(chapters["12_linear_vae"].find("h2").get_text())
    pdf.print_page(chapters["12_linear_vae"], tmp_path / "alone.pdf")
    printed = PdfReader(tmp_path / "alone.pdf")
    texts = [page.extract_text() for page in printed.pages]
    assert title in letters(texts[0])[: len(title) + 1]  # the number of the page comes first
    assert "Solution" not in "".join(texts) and "Exercises" in "".join(texts)
    links = [link.get_object() for page in printed.pages for link in page.get("/Annots", [])]
    assert {link["/Dest"] for link in links if "/Dest" in link} <= set(printed.named_destinations)
    assert all(link["/A"]["/URI"].startswith("http") for link in links if "/Dest" not in link)
