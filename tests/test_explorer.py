"""The latent explorer of the web page decodes what TensorFlow decodes: its script, run here by QuickJS."""

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
def decode():
    """The page's own decoder, as a function z -> 784 numbers."""
    context = quickjs.Context()
    context.add_callable("atob", lambda text: base64.b64decode(text).decode("latin-1"))
    context.eval("var window = globalThis")
    context.eval(export_explorer.TARGET.read_text("utf-8"))
    context.eval((STATIC / "explorer.js").read_text("utf-8"))
    context.eval("const decode = makeDecoder(latentExplorerData)")
    run = context.eval("(z1, z2) => JSON.stringify(Array.from(decode([z1, z2])))")
    return lambda z: np.array(json.loads(run(float(z[0]), float(z[1]))), np.float32)


def test_the_page_decodes_what_tensorflow_decodes(model, decode):
    z = np.concatenate([[[0, 0], [3, -3], [-3, 3]], np.random.default_rng(0).normal(size=(7, 2))]).astype(np.float32)
    by_page = np.stack([decode(point) for point in z])
    by_tensorflow = model.likelihood(z).mean().numpy().reshape(len(z), -1)
    assert np.max(np.abs(by_page - by_tensorflow)) < 1e-3  # float32 sums, in another order
    assert by_page.max() > 0.9 and by_page.min() < 0.01


def test_the_export_is_that_of_the_stored_weights(model, stored):
    assert stored["layers"] == export_explorer.layers_of(model)
    weights = sum(len(layer["weights"]) + len(layer["bias"]) for layer in stored["layers"])
    assert weights < 1.5e6 and export_explorer.TARGET.stat().st_size < 1.5e6


def test_the_points_are_test_images_where_the_encoder_puts_them(model, stored):
    images = vh.load_mnist()
    points = np.frombuffer(base64.b64decode(stored["points"]), "<i2").reshape(-1, 2) / 1000
    labels = np.frombuffer(base64.b64decode(stored["labels"]), "u1")
    assert len(points) == len(labels) == export_explorer.POINTS
    np.testing.assert_array_equal(labels, images.test_labels[: len(labels)])
    some = vh.binarize(images.test[:200], "threshold")
    np.testing.assert_allclose(points[:200], model.posterior(some).mean().numpy(), atol=2e-3)
