"""The pictures that every chapter draws the same way: one colour for one thing, told apart by colour-blind readers too.

Each function returns a matplotlib figure; in a notebook, `plt.show()` on the next line shows it.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from .model import VAE

# Okabe and Ito's colours (their yellow is too light for small points on white) and three more, chosen to stay apart
# also for readers without red or without green cones: a test measures it.
DIGIT_COLORS = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#60DF00", "#0072B2", "#D55E00", "#CC79A7", "#4000FF", "#800060",
)  # fmt: skip
TRAIN_COLOR, TEST_COLOR = "#0072B2", "#D55E00"


def use_book_style() -> None:
    """White figures (they stay readable on a dark page), no clutter, one size."""
    plt.rcParams.update(
        {
            "figure.facecolor": "white",
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "font.size": 10,
            "legend.frameon": False,
        }
    )


def _tile(images: np.ndarray | tf.Tensor, rows: int, columns: int, gap: int = 1) -> np.ndarray:
    """[rows · columns, H, W, C] → one picture, row by row, with a light line between the tiles."""
    images = np.clip(np.asarray(images, np.float32), 0.0, 1.0)
    n, height, width, channels = images.shape
    padded = np.ones((rows * columns, height + gap, width + gap, channels), np.float32)
    padded[:n, :height, :width] = images
    picture = padded.reshape(rows, columns, height + gap, width + gap, channels)
    picture = picture.transpose(0, 2, 1, 3, 4).reshape(rows * (height + gap), columns * (width + gap), channels)
    return picture[: -gap or None, : -gap or None]


def _show(axes, picture: np.ndarray, **kwargs) -> None:
    kwargs.setdefault("interpolation", "nearest")
    if picture.shape[-1] == 1:
        axes.imshow(picture[..., 0], cmap="gray", vmin=0, vmax=1, **kwargs)
    else:
        axes.imshow(picture, **kwargs)
    axes.grid(False)


def plot_images(images: np.ndarray | tf.Tensor, columns: int = 8, title: str = "") -> Figure:
    """A grid of images, row by row.

    Args:
        images: floats in [0, 1] or uint8, shape [n, H, W, C] with C 1 or 3.
        columns: images in a row.
        title: above the grid.
    """
    images = np.asarray(images)
    images = images / np.float32(255) if images.dtype == np.uint8 else images
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(figsize=(0.75 * columns, 0.75 * rows + (0.3 if title else 0)))
    _show(axes, _tile(images, rows, columns))
    axes.set_axis_off()
    axes.set_title(title)
    return figure


def plot_reconstructions(model: VAE, x: np.ndarray | tf.Tensor, columns: int = 10) -> Figure:
    """Originals above their reconstructions (pixel means at z = μ), `columns` pairs in a strip.

    Args:
        model: the VAE.
        x: float32 images in [0, 1], shape [n, H, W, C]; all of them are drawn.
    """
    x = np.asarray(x)
    reconstructions = model.reconstruct(x).numpy()
    columns = min(columns, len(x))
    strips = -(-len(x) // columns)
    blank = np.ones((strips * columns - len(x), *x.shape[1:]), np.float32)
    originals, decoded = (
        np.concatenate([images, blank]).reshape(strips, columns, *x.shape[1:]) for images in (x, reconstructions)
    )
    pairs = np.stack([originals, decoded], axis=1).reshape(-1, *x.shape[1:])
    figure, axes = plt.subplots(figsize=(0.75 * columns, 1.5 * strips))
    _show(axes, _tile(pairs, 2 * strips, columns))
    height = x.shape[1] + 1
    axes.set_yticks(
        [(i + 0.5) * height for i in range(2 * strips)], ["original", "reconstruction"] * strips, fontsize=8
    )
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
        n: pictures a side.
        limit: a probability between 0.5 and 1; the grid reaches to z = Φ⁻¹(limit), by default 1.64.

    Raises:
        ValueError: J is not 2.
    """
    if model.latent_dim != 2:
        raise ValueError(f"The plane needs a two-dimensional latent space: expected J = 2, got J = {model.latent_dim}.")
    normal = model.prior.distribution[..., 0]
    quantiles = normal.quantile(np.linspace(1 - limit, limit, n).astype(np.float32)).numpy()
    # Pictures are laid out from the top row down, so the largest z₂ comes first.
    z = np.stack(np.meshgrid(quantiles, quantiles[::-1]), axis=-1).reshape(-1, 2)
    picture = _tile(model.likelihood(z).mean(), n, n, gap=0)
    figure, axes = plt.subplots(figsize=(6.5, 6.5))
    _show(axes, picture, interpolation="antialiased")
    height, width = picture.shape[0] / n, picture.shape[1] / n
    # Ticks at round z, where they fall between the centres of the tiles: the steps are equal in probability, not in z.
    ticks = np.arange(-2.0, 2.5, 0.5)
    ticks = ticks[np.abs(ticks) <= quantiles[-1]]
    places = np.interp(ticks, quantiles, np.arange(n) + 0.5)
    axes.set_xticks(places * width, [f"{tick:g}" for tick in ticks])
    axes.set_yticks((n - places) * height, [f"{tick:g}" for tick in ticks])
    axes.set_xlabel("$z_1$")
    axes.set_ylabel("$z_2$")
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
    """
    means = np.concatenate([model.posterior(x[i : i + 2000]).mean().numpy() for i in range(0, len(x), 2000)])
    figure, axes = plt.subplots(figsize=(6.5, 5.5))
    for label in np.unique(labels):
        points = means[labels == label]
        axes.scatter(*points[:, :2].T, s=4, color=DIGIT_COLORS[label], alpha=0.5, linewidths=0, rasterized=True)
        # The label stands on the class itself: a reader need not match ten colours.
        axes.annotate(
            str(label), np.median(points[:, :2], axis=0), ha="center", va="center", weight="bold",
            bbox={"boxstyle": "circle", "facecolor": "white", "edgecolor": DIGIT_COLORS[label], "alpha": 0.9},
        )  # fmt: skip
    if limit is not None:
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit))
    axes.set_aspect("equal")
    axes.set_xlabel("$\\mu_1$")
    axes.set_ylabel("$\\mu_2$")
    return figure


def plot_history(history: Mapping[str, list[float]], skip: int = 0, objective: str = "ELBO") -> Figure:
    """The objective, the reconstruction term and the KL term against epochs, training and held-out images.

    Args:
        history: the dictionary `fit(...).history`: loss, reconstruction, kl, and the same with `val_`; nats per image.
        skip: leaves out the first epochs, whose steep rise would flatten the rest.
        objective: what was maximised, for the title.
    """
    panels = {objective: "loss", "reconstruction": "reconstruction", "KL": "kl"}
    panels = {title: key for title, key in panels.items() if key in history}
    figure, axes = plt.subplots(1, len(panels), figsize=(3.4 * len(panels), 3.0), squeeze=False)
    for axis, (title, key) in zip(axes[0], panels.items(), strict=True):
        sign = -1 if key == "loss" else 1
        for prefix, who, color, style in (
            ("", "train", TRAIN_COLOR, "-"),
            ("val_", "test", TEST_COLOR, "--"),
        ):
            if prefix + key in history:
                values = sign * np.asarray(history[prefix + key])
                axis.plot(np.arange(1, len(values) + 1)[skip:], values[skip:], style, color=color, label=who)
        axis.set(title=title, xlabel="epoch", ylabel="nats per image")
    axes[0][0].legend()
    return figure
