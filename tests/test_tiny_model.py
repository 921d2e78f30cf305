"""The two things to touch on chapter 1's model: their numbers, run by QuickJS, and their hands, in a browser."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import quickjs
from scipy import integrate, stats
from scipy.special import expit

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "book" / "_static" / "tiny-model.js"
sys.path.append(str(ROOT / "tools"))
from pdf import CHROMIUM  # noqa: E402

IMAGE = np.array([1.0, 0.0, 1.0, 1.0])
PLACES = [(-1.15, 0.89), (-0.2, 0.7), (0.5, 0.5), (-4, 0.15), (3, 2)]  # the chapter's encoders, and two corners
LIMIT = 300_000  # milliseconds


@pytest.fixture(scope="module")
def weights():
    """The decoder of chapter 1, drawn as its first picture draws it."""
    random = np.random.default_rng(1)
    first = random.normal(size=(1, 3)), random.normal(size=3)
    return *first, 2 * random.normal(size=(3, 4)), 0.5 * random.normal(size=4)


@pytest.fixture(scope="module")
def log_likelihood(weights):
    """log p(x | z) in nats and its slope by z, for codes [n]."""
    W1, b1, W2, b2 = weights

    def value_and_slope(z):
        hidden = np.tanh(np.outer(z, W1) + b1)
        logits = hidden @ W2 + b2
        rise = ((1 - hidden**2) * W1) @ W2
        return (IMAGE * logits - np.logaddexp(0, logits)).sum(1), ((IMAGE - expit(logits)) * rise).sum(1)

    return value_and_slope


@pytest.fixture(scope="module")
def script():
    """Calls a function of the page's script with numbers, and gives back what it returns."""
    context = quickjs.Context()
    context.eval(SCRIPT.read_text("utf-8"))

    def call(expression: str, *arguments):
        run = context.eval(f"(...given) => JSON.stringify(({expression})(...given))")
        return json.loads(run(*map(float, arguments)))

    return call


def by_quadrature(function, mu, sigma) -> float:
    """E of a function under N(mu, sigma²), by SciPy's adaptive quadrature."""
    density = stats.norm(mu, sigma).pdf
    ends = mu - 10 * sigma, mu + 10 * sigma
    return integrate.quad(lambda z: density(z) * function(z), *ends, epsabs=1e-11, limit=200)[0]


def test_the_evidence_is_the_chapter_s(script, log_likelihood):
    by_scipy = by_quadrature(lambda z: math.exp(log_likelihood(z)[0][0]), 0, 1)
    assert script("() => tinyModel.logEvidence") == pytest.approx(math.log(by_scipy), abs=1e-6)


@pytest.mark.parametrize(("mu", "sigma"), PLACES)
def test_bound_gap_and_gradient_are_the_integrals(script, log_likelihood, mu, sigma):
    found = script("tinyModel.bound", mu, sigma)

    def log_weight(z):
        return log_likelihood(z)[0][0] + stats.norm.logpdf(z) - stats.norm.logpdf(z, mu, sigma)

    elbo = by_quadrature(log_weight, mu, sigma)
    assert found["elbo"] == pytest.approx(elbo, abs=1e-6)
    assert found["elbo"] + found["gap"] == pytest.approx(script("() => tinyModel.logEvidence"), abs=1e-6)
    # The path derivatives (1.14): another formula than the script's.
    slope = by_quadrature(lambda z: log_likelihood(z)[1][0] - z, mu, sigma)
    by_log_sigma = by_quadrature(lambda z: (z - mu) * (log_likelihood(z)[1][0] - z), mu, sigma) + 1
    np.testing.assert_allclose(found["gradient"], [slope, by_log_sigma], atol=1e-5)


@pytest.mark.parametrize(("mu", "sigma"), PLACES[:3])
def test_the_four_estimates_have_one_mean_and_their_own_variances(script, log_likelihood, mu, sigma):
    exact = script("tinyModel.exact", mu, sigma)
    noise = np.random.default_rng(0).normal(size=400_000)
    z = mu + sigma * noise
    value, slope = log_likelihood(z)
    term = value + stats.norm.logpdf(z) - stats.norm.logpdf(z, mu, sigma)
    gradients = {
        "score": (noise / sigma * term, (noise**2 - 1) * term),
        "A": (slope - z, sigma * noise * (slope - z) + 1),
        "B": (slope - mu, sigma * noise * slope + 1 - sigma**2),
        "path": (slope - z + noise / sigma, sigma * noise * (slope - z) + noise**2),
    }
    truth = script("tinyModel.bound", mu, sigma)["gradient"]
    for name, parts in gradients.items():
        np.testing.assert_allclose(exact[name]["mean"], truth, atol=1e-6)
        np.testing.assert_allclose(exact[name]["variance"], np.var(parts, axis=1), rtol=0.03)
        one = script("tinyModel.estimates", mu, sigma, noise[0])[name]
        np.testing.assert_allclose(one, [part[0] for part in parts], atol=1e-9)


def test_the_answers_on_the_pages_that_project_them(script):
    def order(mu, sigma, part):
        variances = {name: row["variance"][part] for name, row in script("tinyModel.exact", mu, sigma).items()}
        return sorted(variances, key=variances.get)

    assert [order(-1.15, 0.89, part) for part in (0, 1)] == 2 * [["path", "B", "A", "score"]]
    assert [order(0.5, 0.5, part) for part in (0, 1)] == [["A", "B", "path", "score"], ["B", "A", "path", "score"]]
    higher = "(best, z, i) => tinyModel.posterior(i) > tinyModel.posterior(best) ? i : best"
    top = script(f"() => tinyModel.grid[tinyModel.grid.reduce({higher}, 0)]")
    best = 0.89
    narrow, wide = (script("tinyModel.bound", top, best * factor)["gap"] for factor in (0.5, 2))
    assert narrow < wide


@pytest.mark.slow
def test_the_climb_ends_at_the_best_gaussian(script):
    path = """(mu, sigma) => {
        let place = { mu, sigma };
        for (let steps = 0; !place.done && steps < 2000; steps++) place = tinyModel.climb(place.mu, place.sigma);
        return place;
    }"""
    for start in PLACES[2:]:
        end = script(path, *start)
        assert end["done"]
        assert script("tinyModel.bound", end["mu"], end["sigma"])["gap"] == pytest.approx(0.0157, abs=5e-5)


def test_the_dice_are_normal_and_repeat_themselves(script):
    draws = np.array(script("() => { const next = normalStream(1); return Array.from({ length: 20000 }, next); }"))
    assert stats.kstest(draws, "norm").pvalue > 0.01
    assert draws[:5].tolist() == script("() => Array.from({ length: 5 }, normalStream(1))")


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page_of(tmp_path_factory):
    """Opens a page that holds both widgets and the book's own style sheet, and nothing else."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this system (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    html = tmp_path_factory.mktemp("touch") / "index.html"
    static = SCRIPT.parent
    html.write_text(
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>touch</title><link rel="stylesheet" href="{(static / "book.css").as_uri()}">'
        f'<script src="{SCRIPT.as_uri()}"></script><main class="bd-content"><h1>touch</h1>'
        '<div class="move-q">still</div><div class="throw-dice" data-seed="1">still</div></main></html>',
        "utf-8",
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])

        def open_page(width=800, **settings):
            page = browser.new_context(viewport={"width": width, "height": 900}, **settings).new_page()
            page.set_default_timeout(LIMIT)
            page.wrong = []
            page.on("pageerror", lambda error: page.wrong.append(str(error)))
            page.goto(html.as_uri())
            return page

        yield open_page
        browser.close()


def q_of(page) -> list[float]:
    return page.evaluate("(({ mu, sigma }) => [mu, sigma])(document.querySelector('.move-q').widget)")


def next_frame(page) -> None:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def says(page, widget: str, words: str) -> None:
    page.wait_for_function(
        "([w, t]) => document.querySelector(`${w} .says`).textContent.includes(t)", arg=[widget, words]
    )


def test_a_mouse_drags_the_mean_and_the_width(page_of):
    page = page_of()
    mu, sigma = (page.locator(f".move-q circle.{name}").bounding_box() for name in ("mu", "sigma"))
    unit = (sigma["x"] + sigma["width"] / 2 - mu["x"] - mu["width"] / 2) / 0.5  # pixels: σ begins at 0.5
    for box, expected in ((mu, [-0.5, 0.5]), (None, [-0.5, 1.0])):
        box = box or page.locator(".move-q circle.sigma").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + (expected[0] - 0.5 if box is mu else 0.5) * unit, y + 40, steps=4)
        page.mouse.up()
        np.testing.assert_allclose(q_of(page), expected, atol=0.02)
        next_frame(page)  # the handles stand there only now
    page.mouse.move(0, 0)
    np.testing.assert_allclose(q_of(page), [-0.5, 1.0], atol=0.02)  # only a pressed button drags
    says(page, ".move-q", "= log p(x) = −3.71 nats")
    assert page.wrong == []


@pytest.mark.slow
def test_keys_move_q_and_the_words_follow(page_of, script):
    page = page_of()
    page.locator(".move-q input.mu").focus()
    for key in ("ArrowLeft", "ArrowLeft", "Home"):
        page.keyboard.press(key)
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert q_of(page) == [-4, 2]
    found = script("tinyModel.bound", -4, 2)
    shown = [f"{found['elbo']:.4f}".replace("-", "−"), f"gap {found['gap']:.4f}"]
    for words in shown:
        says(page, ".move-q", words)
    assert "gap" in page.locator(".move-q .nats").get_attribute("aria-label")


def test_the_climb_moves_and_stops(page_of):
    page = page_of()
    page.get_by_role("button", name="Climb the gradient").click()
    page.wait_for_function("document.querySelector('.move-q').widget.mu < 0.4")
    page.get_by_role("button", name="Stop").click()
    stopped = q_of(page)
    next_frame(page)
    assert q_of(page) == stopped
    calm = page_of(reduced_motion="reduce")
    calm.get_by_role("button", name="Climb the gradient").click()
    says(calm, ".move-q", "gap 0.0157")
    says(calm, ".move-q", "This is the top")
    calm.get_by_role("button", name="Start again").first.click()
    says(calm, ".move-q", "gap 1.78")


def test_a_finger_moves_q(page_of):
    page = page_of(320, has_touch=True)
    box = page.locator(".move-q .densities").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.5)
    assert q_of(page)[0] < -2
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_dice_fall_and_their_variances_near_the_exact_ones(page_of, script):
    page = page_of(reduced_motion="reduce")
    page.locator(".throw-dice input[name$=-q]").first.check()  # the good encoder
    page.get_by_role("button", name="Throw once").click()
    says(page, ".throw-dice", "1 estimate by each recipe")
    for _ in range(10):
        page.get_by_role("button", name="Throw 200 times").click()
    says(page, ".throw-dice", "2001 estimates by each recipe")
    exact = script("tinyModel.exact", -1.15, 0.89)
    for name, row in exact.items():
        shown = [float(text) for text in page.locator(f".throw-dice tr.{name} td").all_text_contents()]
        assert shown[1] == pytest.approx(row["variance"][0], rel=0.05)  # two digits
        assert shown[0] == pytest.approx(row["variance"][0], rel=0.35)  # 2,001 estimates, long tails
    page.locator(".throw-dice .draws").focus()
    page.keyboard.press("End")
    says(page, ".throw-dice", "0 estimates by each recipe, of 100 draws")
    of_path = float(page.locator(".throw-dice tr.path td").last.text_content())
    assert of_path == pytest.approx(exact["path"]["variance"][0] / 100, rel=0.05)
    assert page.wrong == []


def test_both_are_accessible_and_leave_their_words_without_a_script(page_of):
    from axe_playwright_python.sync_playwright import Axe

    for scheme in ("light", "dark"):
        found = Axe().run(page_of(color_scheme=scheme)).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
    page = page_of(java_script_enabled=False)
    assert page.locator(".move-q").text_content() == "still"
