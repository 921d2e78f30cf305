"""Pictures that are drawn the same way everywhere: one colour for one thing, told apart by colour-blind readers too.

Each function returns a matplotlib figure; in a notebook, `plt.show()` on the next line shows it. What it cannot draw it
refuses, with a message that says what to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import ArrayLike

from .expect import expect
from .images import check_images, check_labels
from .model import VAE

# Okabe and Ito's colours (their yellow is too light for small points on white) and three more, chosen to stay apart
# also for readers without red or without green cones: a test measures it.
DIGIT_COLORS = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#60DF00", "#0072B2", "#D55E00", "#CC79A7", "#4000FF", "#800060",
)  # fmt: skip
TRAIN_COLOR, TEST_COLOR = "#0072B2", "#D55E00"


def use_book_style() -> None:
    """White figures (they stay readable on a dark page), no clutter, one size."""
    plt.rcParams.update({"figure.facecolor": "white", "figure.dpi": 100, "figure.constrained_layout.use": True})
    plt.rcParams.update({"axes.grid": True, "grid.alpha": 0.25, "axes.spines.top": False, "axes.spines.right": False})
    plt.rcParams.update({"font.size": 10, "legend.frameon": False})


# --- what can be drawn: films use this, too ----------------------------------------------------------------------


def pixels(images: ArrayLike, name: str = "images") -> np.ndarray:
    """Images as float32 [n, H, W, C] within [0, 1], C 1 or 3; uint8 are grey levels 0 to 255.

    The means of a Gaussian likelihood may leave [0, 1] by up to 1: they are clipped.

    Raises:
        TypeError, ValueError: other numbers, another shape, no image, NaN.
    """
    images = np.asarray(images)
    if np.issubdtype(images.dtype, np.floating):
        images = np.where(np.abs(images - 0.5) <= 1.5, np.clip(images, 0, 1), images).astype(np.float32)
    images = check_images(images, name)
    expect(images.shape[3] in (1, 3), f"{name}: expected C = 1 (grey) or 3 (colours), got shape {[*images.shape]}.")
    return images / np.float32(255) if images.dtype == np.uint8 else images


def check_positive(**numbers: float) -> None:
    """Raises a ValueError that names the first of the numbers that is not above zero, or not finite."""
    for name, number in numbers.items():
        expect(0 < number < math.inf, f"{name}: expected a number above 0, got {number}.")


def in_rows(images: np.ndarray, columns: int) -> np.ndarray:
    """[n, H, W, C] → [rows, columns, H, W, C], row by row; white images fill the last row."""
    check_positive(columns=columns)
    missing = np.ones((-len(images) % columns, *images.shape[1:]), np.float32)
    return np.concatenate([images, missing]).reshape(-(-len(images) // columns), columns, *images.shape[1:])


def in_pairs(above: np.ndarray, below: np.ndarray, columns: int) -> np.ndarray:
    """The same for two sets of as many images: a row of `above`, the same row of `below`, the next row of `above`, …"""
    both = np.stack([in_rows(above, columns), in_rows(below, columns)], axis=1)
    return both.reshape(2 * len(both), *both.shape[2:])


def tile(images: np.ndarray, gap: int = 1) -> np.ndarray:
    """[rows, columns, H, W, C] → one picture [height, width, C], white lines of `gap` pixels between the tiles."""
    padded = np.pad(images, [(0, 0), (0, 0), (0, gap), (0, gap), (0, 0)], constant_values=1).swapaxes(1, 2)
    rows, height, columns, width, channels = padded.shape
    return padded.reshape(rows * height, columns * width, channels)[: -gap or None, : -gap or None]


# --- figures -----------------------------------------------------------------------------------------------------


def _shown(rows: np.ndarray, inches: float = 0.75, gap: int = 1, title: str = "", interpolation: str = "nearest"):
    """A figure and its axes: rows of pictures, [rows, columns, H, W, C], grey or coloured, each so many inches wide."""
    figure, axes = plt.subplots(figsize=(inches * rows.shape[1], inches * len(rows) + (0.3 if title else 0)))
    axes.imshow(tile(rows, gap), cmap="gray", vmin=0, vmax=1, interpolation=interpolation)
    axes.grid(False)
    axes.set_title(title)
    return figure, axes


def plot_images(images: ArrayLike, columns: int = 8, title: str = "") -> plt.Figure:
    """A grid of images, row by row.

    Args:
        images: floats in [0, 1] or uint8, shape [n, H, W, C] with C 1 or 3.
        columns: images in a row.
        title: above the grid.

    Raises:
        ValueError, TypeError: `images` are not such images, or `columns` is not above 0.
    """
    figure, axes = _shown(in_rows(pixels(images), min(columns, len(images))), title=title)
    axes.set_axis_off()
    return figure


def plot_reconstructions(model: VAE, x: ArrayLike, columns: int = 10) -> plt.Figure:
    """Originals above their reconstructions (pixel means at z = μ), `columns` pairs in a strip.

    Args:
        model: the VAE.
        x: float32 images in [0, 1], shape [n, H, W, C]; all of them are drawn.

    Raises:
        ValueError, TypeError: `x` are not such images, or `columns` is not above 0.
    """
    x = pixels(x, "x")
    rows = in_pairs(x, pixels(model.reconstruct(x)), min(columns, len(x)))
    figure, axes = _shown(rows)
    axes.set_yticks((np.arange(len(rows)) + 0.5) * (x.shape[1] + 1), ["original", "reconstruction"] * (len(rows) // 2))
    axes.tick_params(length=0, labelbottom=False, labelsize=8)
    axes.spines[:].set_visible(False)
    return figure


def plot_latent_plane(model: VAE, n: int = 20, limit: float = 0.95) -> plt.Figure:
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
    expect(model.latent_dim == 2, f"The plane needs two latent dimensions: expected J = 2, got J = {model.latent_dim}.")
    expect(0.5 < limit < 1, f"limit: expected a probability between 0.5 and 1, e.g. 0.95 (z to 1.64), got {limit}.")
    expect(n >= 2, f"n: expected at least 2 pictures a side, got {n}.")
    quantiles = model.prior.distribution[..., 0].quantile(np.linspace(1 - limit, limit, n, dtype=np.float32)).numpy()
    # Pictures are laid out from the top row down, so the largest z₂ comes first.
    z = np.stack(np.meshgrid(quantiles, quantiles[::-1]), axis=-1).reshape(-1, 2)
    rows = in_rows(pixels(model.likelihood(z).mean()), n)
    figure, axes = _shown(rows, 6.5 / n, gap=0, interpolation="antialiased")
    # Ticks at round z, where they fall between the centres of the tiles: the steps are equal in probability, not in z.
    ticks = [tick for tick in np.arange(-2.0, 2.5, 0.5) if abs(tick) <= quantiles[-1]]
    places, names = np.interp(ticks, quantiles, np.arange(n) + 0.5), [f"{tick:g}" for tick in ticks]
    axes.set(xlabel="$z_1$", xticks=places * rows.shape[3], xticklabels=names)
    axes.set(ylabel="$z_2$", yticks=(n - places) * rows.shape[2], yticklabels=names)
    return figure


def plot_latent_scatter(model: VAE, x: ArrayLike, labels: ArrayLike, limit: float | None = None) -> plt.Figure:
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
    expect(model.latent_dim >= 2, f"The scatter needs a plane: expected J ≥ 2, got J = {model.latent_dim}.")
    x = pixels(x, "x")
    labels = check_labels(labels, len(x), len(DIGIT_COLORS))
    check_positive(limit=1 if limit is None else limit)
    means = np.concatenate([model.posterior(x[i : i + 2000]).mean().numpy() for i in range(0, len(x), 2000)])
    figure, axes = plt.subplots(figsize=(6.5, 5.5))
    for label in np.unique(labels):
        points, color = means[labels == label, :2], DIGIT_COLORS[label]
        axes.scatter(*points.T, s=4, color=color, alpha=0.5, linewidths=0, rasterized=True)
        # The label stands on the class itself: a reader need not match ten colours.
        box = {"boxstyle": "circle", "facecolor": "white", "edgecolor": color, "alpha": 0.9}
        axes.annotate(str(label), np.median(points, axis=0), ha="center", va="center", weight="bold", bbox=box)
    sides = {"xlim": (-limit, limit), "ylim": (-limit, limit)} if limit is not None else {}
    axes.set(aspect="equal", xlabel="$\\mu_1$", ylabel="$\\mu_2$", **sides)
    return figure


def plot_history(history: Mapping[str, list[float]], skip: int = 0, objective: str = "ELBO") -> plt.Figure:
    """The objective, the reconstruction term and the KL term against epochs, training and held-out images.

    Args:
        history: the dictionary `fit(...).history`: loss, reconstruction, kl, and the same with `val_`; nats per image.
        skip: leaves out the first epochs, whose steep rise would flatten the rest.
        objective: what was maximised, for the title.

    Raises:
        ValueError, TypeError: `history` is not such a dictionary, or no epoch is left.
    """
    fitting = isinstance(history, Mapping) and "loss" in history
    expect(fitting, f"history: expected the dictionary fit(…).history with 'loss', got {history!r:.80}.", TypeError)
    epochs = len(history["loss"])
    expect(0 <= skip < epochs, f"skip: expected 0 or more, and fewer than the {epochs} epochs, got {skip}.")
    titles = {"loss": objective, "reconstruction": "reconstruction", "kl": "KL"}
    keys = [key for key in titles if key in history]
    figure, axes = plt.subplots(1, len(keys), figsize=(3.4 * len(keys), 3.0), squeeze=False)
    for axis, key in zip(axes[0], keys, strict=True):
        for prefix, who, color, style in (("", "train", TRAIN_COLOR, "-"), ("val_", "test", TEST_COLOR, "--")):
            if prefix + key in history:
                values = np.asarray(history[prefix + key]) * (-1 if key == "loss" else 1)
                axis.plot(np.arange(1, len(values) + 1)[skip:], values[skip:], style, color=color, label=who)
        axis.set(title=titles[key], xlabel="epoch", ylabel="nats per image")
    axes[0][0].legend()
    return figure
