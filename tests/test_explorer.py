"""The latent explorer of the web page computes what TensorFlow computes: its scripts, run here by QuickJS."""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import quickjs

import vae_helpers as vh

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))
import export_explorer  # noqa: E402

STATIC = ROOT / "book" / "_static"


@pytest.fixture(scope="module")
def model():
    return export_explorer.trained()


@pytest.fixture(scope="module")
def stored() -> dict:
    return json.loads(export_explorer.TARGET.read_text("utf-8").removeprefix("window.latentExplorerData = ")[:-2])


@pytest.fixture(scope="module")
def examples(stored) -> np.ndarray:
    """The test images that the page offers, cut at one half."""
    return vh.binarize(vh.load_mnist().test[stored["examples"]["numbers"]], "threshold")


@pytest.fixture(scope="module")
def networks():
    """Calls a function of the page's scripts, given by its name or its text, with what JSON can hold."""
    context = quickjs.Context()
    context.add_callable("atob", lambda text: base64.b64decode(text).decode("latin-1"))
    context.eval("var window = globalThis")
    scripts = [STATIC / name for name in ("networks.js", "explorer-networks.js", "explorer-pad.js")]
    for script in (export_explorer.TARGET, *scripts):
        context.eval(script.read_text("utf-8"))
    context.eval("const data = latentExplorerData; const vae = makeVae(data)")
    context.eval("const plain = (key, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value)")

    def call(function: str, *arguments):
        run = context.eval(f"(text) => JSON.stringify(({function})(...JSON.parse(text)), plain)")
        return json.loads(run(json.dumps([np.asarray(one).tolist() for one in arguments])))

    return call


# --- the networks and the nats ------------------------------------------------------------------------------------


def test_the_page_decodes_what_tensorflow_decodes(model, networks):
    z = np.concatenate([[[0, 0], [3, -3], [-3, 3]], np.random.default_rng(0).normal(size=(7, 2))]).astype(np.float32)
    by_page = np.array([networks("vae.decode", point) for point in z])
    by_tensorflow = model.likelihood(z).mean().numpy().reshape(len(z), -1)
    assert np.max(np.abs(by_page - by_tensorflow)) < 1e-3  # float32 sums, in another order
    assert by_page.max() > 0.9 and by_page.min() < 0.01


def test_the_page_encodes_what_tensorflow_encodes(model, networks, examples):
    clouds = [networks("vae.encode", image.ravel()) for image in examples]
    posterior = model.posterior(examples)
    np.testing.assert_allclose([cloud["mean"] for cloud in clouds], posterior.mean(), atol=1e-3)
    np.testing.assert_allclose([cloud["deviation"] for cloud in clouds], posterior.stddev(), atol=1e-3)
    kl = posterior.kl_divergence(model.prior)
    np.testing.assert_allclose([networks("klDivergence", cloud) for cloud in clouds], kl, atol=1e-3)


def test_the_page_rates_an_image_as_tensorflow_does(model, networks, examples):
    """One image here, since QuickJS takes seconds; the browser does all of them (test_browser.py)."""
    reconstruction, _ = export_explorer.reconstruction_and_kl(model, examples[:1])
    average = """(image) => nodes(vae.encode(image)).reduce(
        (sum, { z, weight }) => sum + weight * logLikelihood(image, vae.logits(z)), 0)"""
    assert networks(average, examples[0].ravel()) == pytest.approx(reconstruction[0], abs=1e-3)


def test_nine_points_are_enough(model, examples):
    """The page's average over the cloud, against one over 121: within half a nat, and mostly a tenth."""
    q = model.posterior(examples)
    points, weights = np.polynomial.hermite_e.hermegauss(11)
    exact = sum(
        weight * model.likelihood(q.mean() + q.stddev() * np.float32([points[i], points[j]])).log_prob(examples).numpy()
        for (i, j), weight in np.ndenumerate(np.outer(weights, weights) / weights.sum() ** 2)
    )
    reconstruction, _ = export_explorer.reconstruction_and_kl(model, examples)
    error = np.abs(reconstruction - exact)
    assert error.max() < 0.5 and np.median(error) < 0.1


# --- from a drawing to an image -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "left", "top"), [(10, 0, 0), (10, 37, 81), (7, 5, 120)])
def test_a_digit_drawn_large_comes_back_as_it_was_in_mnist(networks, stored, examples, size, left, top):
    """Every pixel a square of grey ink, somewhere on a pad."""
    for number, image in zip(stored["examples"]["numbers"][::4], examples[::4], strict=True):
        large = np.kron(vh.load_mnist().test[number, :, :, 0], np.ones((size, size))) / 255
        ink = np.zeros((380, 340))
        ink[top : top + 28 * size, left : left + 28 * size] = large
        back = np.reshape(networks("prepare", ink.ravel().round(4), 340, 380), (28, 28))
        assert np.sum(back != image[:, :, 0]) <= 2, number  # of about a hundred that are white


def test_a_drawing_keeps_its_proportions_and_its_centre_of_mass_is_the_middle(networks):
    ink = np.zeros((200, 200))
    ink[10:110, 20:30] = 1  # a bar ten times as high as it is wide,
    ink[100:110, 20:60] = 1  # with a foot that pulls the centre to the right
    image = np.reshape(networks("prepare", ink.ravel(), 200, 200), (28, 28))
    rows, columns = np.nonzero(image)
    assert np.ptp(rows) + 1 == 20 and np.ptp(columns) + 1 == 8
    assert rows.mean() == pytest.approx(14, abs=0.5) and columns.mean() == pytest.approx(14, abs=0.5)


def test_an_empty_pad_is_no_image(networks):
    assert networks("prepare", np.zeros(100), 10, 10) is None


# --- the data -----------------------------------------------------------------------------------------------------


def test_the_export_is_that_of_the_stored_weights(model, stored):
    assert stored["encoder"] == export_explorer.layers_of(model.encoder)
    assert stored["decoder"] == export_explorer.layers_of(model.decoder)
    assert export_explorer.TARGET.stat().st_size < 1.5e6


def test_the_points_are_test_images_where_the_encoder_puts_them(model, stored):
    images = vh.load_mnist()
    points = np.frombuffer(base64.b64decode(stored["points"]), "<i2").reshape(-1, 2) / 1000
    labels = np.frombuffer(base64.b64decode(stored["labels"]), "u1")
    assert len(points) == len(labels) == export_explorer.POINTS
    np.testing.assert_array_equal(labels, images.test_labels[: len(labels)])
    some = vh.binarize(images.test[:200], "threshold")
    np.testing.assert_allclose(points[:200], model.posterior(some).mean().numpy(), atol=2e-3)


def test_the_page_offers_test_images_of_every_digit(networks, stored, examples):
    offered = networks("() => unpackExamples(data.examples)")
    np.testing.assert_array_equal([one["image"] for one in offered], examples.reshape(len(examples), -1))
    labels = vh.load_mnist().test_labels[stored["examples"]["numbers"]]
    assert list(labels) == stored["examples"]["labels"] == [digit for digit in range(10) for _ in range(2)]
    assert offered[3]["name"] == f"Test image {stored['examples']['numbers'][3]}: a 1"


def test_bounds_are_ranked_among_those_of_the_test_images(model, networks, stored):
    quantiles = np.array(stored["quantiles"])
    run = json.loads(export_explorer.WEIGHTS.with_name("s4-long-seed0.json").read_text("utf-8"))
    middles = (quantiles[1:] + quantiles[:-1]) / 2
    assert middles.mean() == pytest.approx(run["test_elbo"], abs=1.0)  # of all 10,000, by another estimator
    tenth = vh.binarize(vh.load_mnist().test[::10], "threshold")
    np.testing.assert_allclose(export_explorer.quantiles(model, tenth)[10:81:10], quantiles[10:81:10], atol=8)
    shares = networks("(bounds) => bounds.map((bound) => shareBelow(bound, data.quantiles))", [-1e4, quantiles[30], 0])
    assert shares == pytest.approx([0, 0.3, 1])
    said = networks(
        "(bounds) => bounds.map((bound) => rank(bound, data.quantiles))", [-1e4, *quantiles[[3, 30, 97]], 0]
    )
    assert said == [
        "worse than all 10,000 test digits",
        "worse than 97% of the 10,000 test digits",
        "worse than 70% of the 10,000 test digits",
        "better than 97% of the 10,000 test digits",
        "better than all 10,000 test digits",
    ]


@pytest.mark.slow
def test_what_to_look_for_on_the_page_to_project(model, mnist):
    images, labels = vh.binarize(mnist.test[:2000], "threshold"), mnist.test_labels[:2000]
    row, column = np.mgrid[:28, :28]
    inside = (row >= 4) & (row < 24)
    cross = inside & ((abs(row - column) < 2) | (abs(row + column - 27) < 2))
    with_cross = np.concatenate([images, cross[None, ..., None].astype(np.float32)])
    q = model.posterior(with_cross)
    reconstruction = np.mean(model.likelihood(q.sample(8, seed=1)).log_prob(with_cross), axis=0)
    kl = vh.kl_per_dimension(model, with_cross[-1:]).sum(), vh.kl_per_dimension(model, images).sum()
    assert reconstruction[:-1][labels == 1].mean() > reconstruction[:-1][labels == 8].mean() + 50
    assert np.mean(reconstruction[:-1] < reconstruction[-1]) < 0.05 and kl[0] < 1.5 * kl[1]
    fours, nines = (q.mean().numpy()[:-1][labels == digit].mean(axis=0) for digit in (4, 9))
    assert np.hypot(*(fours - nines)) < 0.3
