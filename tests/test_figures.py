"""The figures show what they say: read back from the pixels and the axes, not compared with stored pictures."""

import matplotlib

matplotlib.use("Agg")

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf

import vae_helpers as vh


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def shown(figure) -> np.ndarray:
    return np.asarray(figure.axes[0].images[0].get_array())


def test_images_stand_row_by_row():
    images = np.zeros((5, 2, 2, 1), np.float32)
    images[:, ...] = np.arange(5, dtype=np.float32).reshape(5, 1, 1, 1) / 5
    picture = shown(vh.plot_images(images, columns=3))
    assert picture.shape == (5, 8)  # 2 rows of 2 + a line between; 3 columns
    np.testing.assert_allclose(picture[0, ::3], [0.0, 0.2, 0.4])
    np.testing.assert_allclose(picture[3, ::3], [0.6, 0.8, 1.0])  # the missing sixth tile is blank


def test_images_accept_grey_levels_and_colour():
    np.testing.assert_allclose(shown(vh.plot_images(np.full((1, 2, 2, 1), 255, np.uint8))), 1.0)
    colour = np.random.default_rng(0).random((4, 3, 3, 3)).astype(np.float32)
    assert shown(vh.plot_images(colour, columns=2)).shape == (7, 7, 3)


def test_reconstructions_stand_below_their_originals(small_vae, grey_images):
    model = small_vae()
    picture = shown(vh.plot_reconstructions(model, grey_images[:6], columns=3))
    reconstructions = model.reconstruct(grey_images[:6]).numpy()[..., 0]
    for i in range(6):
        strip, column = divmod(i, 3)
        left, top = 9 * column, 18 * strip
        np.testing.assert_allclose(picture[top : top + 8, left : left + 8], grey_images[i, ..., 0])
        np.testing.assert_allclose(picture[top + 9 : top + 17, left : left + 8], reconstructions[i], rtol=1e-5)


def test_latent_plane_has_its_axes_the_right_way_up(small_vae):
    """The picture at the top right is decoded from the largest z₁ and the largest z₂."""
    model = small_vae()
    figure = vh.plot_latent_plane(model, n=5, limit=0.9)
    picture = shown(figure)
    quantile = model.prior.distribution[..., 0].quantile

    def decoded(p1, p2):
        z = tf.stack([quantile(np.float32(p1)), quantile(np.float32(p2))])[None]
        return model.likelihood(z).mean().numpy()[0, ..., 0]

    np.testing.assert_allclose(picture[:8, -8:], decoded(0.9, 0.9), atol=1e-5)
    np.testing.assert_allclose(picture[-8:, -8:], decoded(0.9, 0.1), atol=1e-5)
    np.testing.assert_allclose(picture[:8, :8], decoded(0.1, 0.9), atol=1e-5)
    assert np.abs(picture[:8, -8:] - picture[-8:, -8:]).max() > 1e-3
    # Both axes: a tick at z stands where z falls between the tiles' quantiles; y counts downwards in an image.
    axes = figure.axes[0]
    quantiles = quantile(np.linspace(0.1, 0.9, 5).astype(np.float32)).numpy()
    for places, labels, upwards in (
        (axes.get_xticks(), axes.get_xticklabels(), axes.get_xticks()),
        (axes.get_yticks(), axes.get_yticklabels(), 40 - axes.get_yticks()),
    ):
        values = [float(label.get_text()) for label in labels]
        assert values == [-1, -0.5, 0, 0.5, 1] and len(places) == 5
        np.testing.assert_allclose(upwards / 8 - 0.5, np.interp(values, quantiles, range(5)), atol=1e-6)


def test_scatter_puts_each_class_at_its_means(small_vae, grey_images):
    model = small_vae()
    labels = (np.arange(32) % 3).astype(np.uint8)
    axes = vh.plot_latent_scatter(model, grey_images, labels, limit=4.0).axes[0]
    means = model.posterior(grey_images).mean().numpy()
    for label, points in enumerate(axes.collections):
        np.testing.assert_allclose(points.get_offsets(), means[labels == label], rtol=1e-5)
        assert matplotlib.colors.to_hex(points.get_facecolor()[0]).upper() == vh.DIGIT_COLORS[label]
    assert axes.get_xlim() == (-4, 4) and [t.get_text() for t in axes.texts] == ["0", "1", "2"]


def test_history_shows_the_objective_not_the_loss():
    history = {"loss": [3.0, 2.0], "val_loss": [4.0, 3.5], "kl": [1.0, 1.5]}
    axes = vh.plot_history(history).axes
    assert [a.get_title() for a in axes] == ["ELBO", "KL"]
    train, test = axes[0].get_lines()
    np.testing.assert_array_equal(train.get_ydata(), [-3, -2])
    np.testing.assert_array_equal(test.get_ydata(), [-4, -3.5])
    assert train.get_color() != test.get_color() and train.get_linestyle() != test.get_linestyle()
    assert all(a.get_ylabel() == "nats per image" for a in axes)


def test_digit_colours_can_be_told_apart():
    """Also by a reader without green or red cones (Viénot, Brettel & Mollon 1999), by distance in linear RGB."""
    assert len(set(vh.DIGIT_COLORS)) == 10
    rgb = np.array([matplotlib.colors.to_rgb(c) for c in vh.DIGIT_COLORS]) ** 2.2
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    protanopia = np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]])
    deuteranopia = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
    for blindness in (np.eye(3), protanopia, deuteranopia):
        seen = rgb @ (np.linalg.inv(to_lms) @ blindness @ to_lms).T
        seen = np.clip(seen, 0, 1) ** (1 / 2.2)
        distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[np.triu_indices(10, 1)]
        assert distances.min() > 0.12


# --- what cannot be drawn is refused, with a message that says what to do ----------------------------------------

IMAGES = np.zeros((4, 8, 8, 1), np.float32)
NOT_IMAGES = {
    "grey levels as floats": (200 * IMAGES + 200, "divide grey levels by 255"),
    "NaN": (np.nan + IMAGES, "got values from nan to nan"),
    "integers": (IMAGES.astype(int), "got int64"),
    "no channel": (IMAGES[..., 0], "add the channel"),
    "two channels": (IMAGES.repeat(2, -1), r"C = 1 \(grey\) or 3 \(colours\).*\[4, 8, 8, 2\]"),
    "none": (IMAGES[:0], "expected at least one image"),
}


@pytest.mark.parametrize("case", NOT_IMAGES)
def test_what_is_no_picture_is_refused(case, small_vae):
    images, message = NOT_IMAGES[case]
    for plot in (
        lambda: vh.plot_images(images),
        lambda: vh.plot_reconstructions(small_vae(), images),
        lambda: vh.plot_latent_scatter(small_vae(), images, np.zeros(len(images), int)),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            plot()


def test_means_of_a_gaussian_likelihood_are_drawn_clipped():
    """They may leave [0, 1] a little; float64 and float16 are fine, too."""
    for dtype in (np.float64, np.float16):
        means = np.array([-0.2, 0.5, 1.4], dtype).reshape(3, 1, 1, 1)
        np.testing.assert_allclose(shown(vh.plot_images(means))[0, ::2], [0, 0.5, 1])


J1, J3 = {"latent_dim": 1}, {"latent_dim": 3}
REFUSED = {
    "columns": ({}, lambda m: vh.plot_images(IMAGES, columns=0), "columns: expected a number above 0, got 0"),
    "pairs": ({}, lambda m: vh.plot_reconstructions(m, IMAGES, columns=-1), "columns: expected a number above 0"),
    "plane J = 3": (J3, lambda m: vh.plot_latent_plane(m), "expected J = 2, got J = 3"),
    "z as limit": ({}, lambda m: vh.plot_latent_plane(m, limit=3), "between 0.5 and 1.*got 3"),
    "limit 1": ({}, lambda m: vh.plot_latent_plane(m, limit=1.0), "between 0.5 and 1.*got 1.0"),
    "limit 0": ({}, lambda m: vh.plot_latent_plane(m, limit=0.0), "between 0.5 and 1.*got 0.0"),
    "one picture": ({}, lambda m: vh.plot_latent_plane(m, n=1), "n: expected at least 2"),
    "scatter J = 1": (J1, lambda m: vh.plot_latent_scatter(m, IMAGES, np.arange(4)), "expected J ≥ 2, got J = 1"),
    "no side": ({}, lambda m: vh.plot_latent_scatter(m, IMAGES, np.arange(4), limit=0), "limit: expected a number"),
    "few labels": ({}, lambda m: vh.plot_latent_scatter(m, IMAGES, np.arange(3)), "one for each of 4 images"),
    "column": (
        {},
        lambda m: vh.plot_latent_scatter(m, IMAGES, np.zeros((4, 1), int)),
        r"each of 4 images, got shape \(4, 1\)",
    ),
    "letters": (
        {},
        lambda m: vh.plot_latent_scatter(m, IMAGES, 7 * np.arange(4)),
        "expected 0 to 9, got 21; np.unique",
    ),
    "no class": ({}, lambda m: vh.plot_latent_scatter(m, IMAGES, np.arange(4) - 1), "from 0 on, got -1"),
    "words": (
        {},
        lambda m: vh.plot_latent_scatter(m, IMAGES, np.array(list("abcd"))),
        "whole numbers, got <U1; np.unique",
    ),
    "fractions": ({}, lambda m: vh.plot_latent_scatter(m, IMAGES, np.zeros(4)), "whole numbers, got float64"),
    "no epoch": ({}, lambda m: vh.plot_history({"loss": [1.0]}, skip=1), "skip: expected 0 or more, and fewer than"),
    "no history": ({}, lambda m: vh.plot_history({}), r"expected the dictionary fit\(…\).history with 'loss', got {}"),
    "Keras's object": ({}, lambda m: vh.plot_history(keras.callbacks.History()), "expected the dictionary"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_drawn_says_so(case, small_vae):
    kind, plot, message = REFUSED[case]
    with pytest.raises((ValueError, TypeError), match=message):
        plot(small_vae(**kind))
    assert plt.get_fignums() == [], "no empty figure is left for a notebook to show"
