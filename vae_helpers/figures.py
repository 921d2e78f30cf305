"""The pictures that every chapter draws the same way: one colour for one thing, told apart by colour-blind readers too.

Each function returns a matplotlib figure; in a notebook, `plt.show()` on the next line shows it. What it cannot draw it
refuses, with a message that says what to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from .images import check_images
from .model import VAE

# Okabe and Ito's colours (their yellow is too light for small points on white) and three more, chosen to stay apart
# also for readers without red or without green cones: a test measures it.
DIGIT_COLORS = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#60DF00", "#0072B2", "#D55E00", "#CC79A7", "#4000FF", "#800060",
)  # fmt: skip
TRAIN_COLOR, TEST_COLOR = "#0072B2", "#D55E00"


def use_book_style() -> None:
    """White figures (they stay readable on a dark page), no clutter, one size."""
    plt.rc("figure", facecolor="white", dpi=100)
    plt.rc("figure.constrained_layout", use=True)
    plt.rc("axes", grid=True)
    plt.rc("axes.spines", top=False, right=False)
    plt.rc("grid", alpha=0.25)
    plt.rc("font", size=10)
    plt.rc("legend", frameon=False)


# --- what can be drawn: films use this, too ----------------------------------------------------------------------


def pixels(images: np.ndarray | tf.Tensor, name: str = "images") -> np.ndarray:
    """Images as float32 [n, H, W, C] within [0, 1], C 1 or 3; uint8 are grey levels 0 to 255.

    The means of a Gaussian likelihood may leave [0, 1] by up to 1: they are clipped.

    Raises:
        TypeError, ValueError: other numbers, another shape, no image, NaN.
    """
    images = np.asarray(images)
    if np.issubdtype(images.dtype, np.floating):
        images = images.astype(np.float32)
        if images.size and images.min() >= -1 and images.max() <= 2:
            images = np.clip(images, 0, 1)
    images = check_images(images, name)
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"{name}: expected C = 1 (grey) or 3 (colours) in [n, H, W, C], got {list(images.shape)}.")
    return images / np.float32(255) if images.dtype == np.uint8 else images


def check_labels(labels: np.ndarray, count: int) -> np.ndarray:
    """Returns `labels` as an array, if they are `count` integers that have a colour, 0 … 9."""
    labels = np.asarray(labels)
    if labels.shape != (count,):
        raise ValueError(f"labels: expected one for each of {count} images, shape [{count}], got {list(labels.shape)}.")
    integers = np.issubdtype(labels.dtype, np.integer)
    if not integers or (labels < 0).any() or (labels > 9).any():
        got = f"integers from {labels.min()} to {labels.max()}" if integers else labels.dtype
        raise ValueError(
            f"labels: expected integers 0 … 9, for ten colours, got {got}; "
            "number at most ten classes with np.unique(labels, return_inverse=True)[1]."
        )
    return labels


def check_positive(**numbers: float) -> None:
    """Raises a ValueError that names the first of the numbers that is not above zero, or not finite."""
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise ValueError(f"{name}: expected a number above 0, got {number}.")


def in_rows(images: np.ndarray, columns: int) -> np.ndarray:
    """[n, H, W, C] → [rows, columns, H, W, C], row by row; white images fill the last row."""
    check_positive(columns=columns)
    missing = np.ones((-len(images) % columns, *images.shape[1:]), np.float32)
    return np.concatenate([images, missing]).reshape(-1, columns, *images.shape[1:])


def in_pairs(above: np.ndarray, below: np.ndarray, columns: int) -> np.ndarray:
    """The same for two sets of as many images: a row of `above`, the same row of `below`, the next row of `above`, …"""
    both = np.stack([in_rows(above, columns), in_rows(below, columns)], axis=1)
    return both.reshape(-1, *both.shape[2:])


def tile(images: np.ndarray, gap: int = 1) -> np.ndarray:
    """[rows, columns, H, W, C] → one picture [height, width, C], white lines of `gap` pixels between the tiles."""
    rows, columns, height, width, channels = images.shape
    padded = np.ones((rows, height + gap, columns, width + gap, channels), np.float32)
    padded[:, :height, :, :width] = images.swapaxes(1, 2)
    return padded.reshape(rows * (height + gap), columns * (width + gap), channels)[: -gap or None, : -gap or None]


# --- figures -----------------------------------------------------------------------------------------------------


def _show(axes, picture: np.ndarray, **kwargs) -> None:
    kwargs = {"interpolation": "nearest", "cmap": "gray", "vmin": 0, "vmax": 1} | kwargs
    axes.imshow(picture[..., 0] if picture.shape[-1] == 1 else picture, **kwargs)
    axes.grid(False)


def plot_images(images: np.ndarray | tf.Tensor, columns: int = 8, title: str = "") -> Figure:
    """A grid of images, row by row.

    Args:
        images: floats in [0, 1] or uint8, shape [n, H, W, C] with C 1 or 3.
        columns: images in a row.
        title: above the grid.

    Raises:
        ValueError, TypeError: `images` are not such images, or `columns` is not above 0.
    """
    rows = in_rows(pixels(images), min(columns, len(images)))
    figure, axes = plt.subplots(figsize=(0.75 * rows.shape[1], 0.75 * rows.shape[0] + (0.3 if title else 0)))
    _show(axes, tile(rows))
    axes.set_axis_off()
    axes.set_title(title)
    return figure


def plot_reconstructions(model: VAE, x: np.ndarray | tf.Tensor, columns: int = 10) -> Figure:
    """Originals above their reconstructions (pixel means at z = μ), `columns` pairs in a strip.

    Args:
        model: the VAE.
        x: float32 images in [0, 1], shape [n, H, W, C]; all of them are drawn.

    Raises:
        ValueError, TypeError: `x` are not such images, or `columns` is not above 0.
    """
    x = pixels(x, "x")
    rows = in_pairs(x, pixels(model.reconstruct(x)), min(columns, len(x)))
    figure, axes = plt.subplots(figsize=(0.75 * rows.shape[1], 0.75 * len(rows)))
    _show(axes, tile(rows))
    places = (np.arange(len(rows)) + 0.5) * (x.shape[1] + 1)
    axes.set_yticks(places, ["original", "reconstruction"] * (len(rows) // 2), fontsize=8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def plot_latent_plane(model: VAE, n: int = 20, limit: float = 0.95) -> Figure:
    """What the decoder makes of an n × n grid over a two-dimensional latent space.

    The grid stands at normal quantiles from 1 − `limit` to `limit`, so that each picture stands for an equal share of
    the prior. z₁ grows to the right and z₂ upwards, as in `plot_latent_scatter`.

    Args:
        model: a VAE with J = 2.
        n: pictures a side, at least 2.
        limit: a probability between 0.5 and 1; the grid reaches to z = Φ⁻¹(limit), by default 1.64.

    Raises:
        ValueError: J is not 2, or `n` or `limit` is out of range.
    """
    if model.latent_dim != 2:
        raise ValueError(f"The plane needs a two-dimensional latent space: expected J = 2, got J = {model.latent_dim}.")
    if not 0.5 < limit < 1:
        raise ValueError(f"limit: expected a probability between 0.5 and 1, e.g. 0.95 for z up to 1.64, got {limit}.")
    if n < 2:
        raise ValueError(f"n: expected at least 2 pictures a side, got {n}.")
    normal = model.prior.distribution[..., 0]
    quantiles = normal.quantile(np.linspace(1 - limit, limit, n).astype(np.float32)).numpy()
    # Pictures are laid out from the top row down, so the largest z₂ comes first.
    z = np.stack(np.meshgrid(quantiles, quantiles[::-1]), axis=-1).reshape(-1, 2)
    picture = tile(in_rows(pixels(model.likelihood(z).mean()), n), gap=0)
    figure, axes = plt.subplots(figsize=(6.5, 6.5))
    _show(axes, picture, interpolation="antialiased")
    height, width = picture.shape[0] / n, picture.shape[1] / n
    # Ticks at round z, where they fall between the centres of the tiles: the steps are equal in probability, not in z.
    ticks = np.arange(-2.0, 2.5, 0.5)
    ticks = ticks[np.abs(ticks) <= quantiles[-1]]
    places = np.interp(ticks, quantiles, np.arange(n) + 0.5)
    axes.set_xticks(places * width, [f"{tick:g}" for tick in ticks])
    axes.set_yticks((n - places) * height, [f"{tick:g}" for tick in ticks])
    axes.set(xlabel="$z_1$", ylabel="$z_2$")
    return figure


def plot_latent_scatter(
    model: VAE, x: np.ndarray | tf.Tensor, labels: np.ndarray, limit: float | None = None
) -> Figure:
    """Posterior means μ(x) of images in the first two latent dimensions, one colour a class.

    Args:
        model: a VAE with J ≥ 2.
        x: float32 images in [0, 1], shape [n, H, W, C].
        labels: integers 0 … 9, shape [n], for the colours and for the digits that name the classes; the model does
            not see them.
        limit: half the side of the plot; `None` fits the points.

    Raises:
        ValueError, TypeError: J is 1, `x` are not such images, `labels` not such integers, or `limit` is not above 0.
    """
    if model.latent_dim < 2:
        raise ValueError(f"The scatter needs two latent dimensions: expected J ≥ 2, got J = {model.latent_dim}.")
    x = pixels(x, "x")
    labels = check_labels(labels, len(x))
    if limit is not None:
        check_positive(limit=limit)
    means = np.concatenate([model.posterior(x[i : i + 2000]).mean().numpy() for i in range(0, len(x), 2000)])
    figure, axes = plt.subplots(figsize=(6.5, 5.5))
    for label in np.unique(labels):
        points, color = means[labels == label, :2], DIGIT_COLORS[label]
        axes.scatter(*points.T, s=4, color=color, alpha=0.5, linewidths=0, rasterized=True)
        # The label stands on the class itself: a reader need not match ten colours.
        box = {"boxstyle": "circle", "facecolor": "white", "edgecolor": color, "alpha": 0.9}
        axes.annotate(str(label), np.median(points, axis=0), ha="center", va="center", weight="bold", bbox=box)
    if limit is not None:
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit))
    axes.set(aspect="equal", xlabel="$\\mu_1$", ylabel="$\\mu_2$")
    return figure


def plot_history(history: Mapping[str, list[float]], skip: int = 0, objective: str = "ELBO") -> Figure:
    """The objective, the reconstruction term and the KL term against epochs, training and held-out images.

    Args:
        history: the dictionary `fit(...).history`: loss, reconstruction, kl, and the same with `val_`; nats per image.
        skip: leaves out the first epochs, whose steep rise would flatten the rest.
        objective: what was maximised, for the title.

    Raises:
        ValueError, TypeError: `history` is not such a dictionary, or no epoch is left.
    """
    if not isinstance(history, Mapping) or "loss" not in history:
        raise TypeError(f"history: expected the dictionary fit(…).history with 'loss', got {history!r:.80}.")
    if not 0 <= skip < len(history["loss"]):
        raise ValueError(f"skip: expected 0 or more, and fewer than the {len(history['loss'])} epochs, got {skip}.")
    titles = {"loss": objective, "reconstruction": "reconstruction", "kl": "KL"}
    keys = [key for key in titles if key in history]
    figure, axes = plt.subplots(1, len(keys), figsize=(3.4 * len(keys), 3.0), squeeze=False)
    for axis, key in zip(axes[0], keys, strict=True):
        sign = -1 if key == "loss" else 1
        for prefix, who, color, style in (("", "train", TRAIN_COLOR, "-"), ("val_", "test", TEST_COLOR, "--")):
            if prefix + key in history:
                values = sign * np.asarray(history[prefix + key])
                axis.plot(np.arange(1, len(values) + 1)[skip:], values[skip:], style, color=color, label=who)
        axis.set(title=titles[key], xlabel="epoch", ylabel="nats per image")
    axes[0][0].legend()
    return figure
