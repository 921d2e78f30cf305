"""Writes what the latent explorer of the book needs: a trained VAE, where it puts test images, and their bounds.

    python tools/export_explorer.py     # or: make explorer

The networks are those of system S4 after fifty epochs, whose weights are stored (`experiments/run.py s4-long`). The
result is a script, book/_static/explorer-data.js, and not a JSON file, because a page opened from the disk may load
scripts only. Numbers are little-endian and in base64: the weights float32, the points in thousandths as int16.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from export_decoder import encoded, layers_of

import vae_helpers as vh

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "experiments" / "results" / "s4-long-seed0.weights.h5"
TARGET = ROOT / "book" / "_static" / "explorer-data.js"
POINTS = 3000
EXAMPLES_PER_DIGIT = 2


def trained() -> vh.VAE:
    """S4 after fifty epochs."""
    model = vh.conv_vae(latent_dim=2, scale="softplus", seed=0)
    model.load_weights(WEIGHTS)
    return model


def reconstruction_and_kl(model: vh.VAE, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two terms of the bound as the page computes them.

    Args:
        model: with two latent dimensions.
        images: float32 zeros and ones, shape [n, 28, 28, 1].

    Returns:
        In nats, float64 [n] each: E_q[log p(x | z)] by the Gauss-Hermite rule of three points in each of the two
        dimensions, and KL(q(z | x) ‖ p(z)).
    """
    posterior = model.posterior(images)
    mean, deviation = posterior.mean().numpy(), posterior.stddev().numpy()
    points, weights = np.polynomial.hermite_e.hermegauss(3)
    reconstruction = np.zeros(len(images))
    for (i, j), weight in np.ndenumerate(np.outer(weights, weights) / weights.sum() ** 2):
        z = mean + deviation * np.float32([points[i], points[j]])
        reconstruction += weight * model.likelihood(z).log_prob(images).numpy()
    kl = (mean**2 + deviation**2 - 1) / 2 - np.log(deviation)
    return reconstruction, kl.sum(axis=1, dtype=np.float64)


def quantiles(model: vh.VAE, images: np.ndarray) -> list[float]:
    """The bounds of images, float32 zeros and ones: the smallest, those that 1%, 2%, ... stay below, the largest."""
    parts = [reconstruction_and_kl(model, part) for part in np.array_split(images, max(1, len(images) // 500))]
    bounds = np.concatenate([reconstruction - kl for reconstruction, kl in parts])
    return [round(float(quantile), 2) for quantile in np.quantile(bounds, np.linspace(0, 1, 101))]


def examples(images: np.ndarray, labels: np.ndarray) -> dict:
    """The first test images of each digit, a bit a pixel, for those who cannot or will not draw."""
    numbers = [int(i) for digit in range(10) for i in np.flatnonzero(labels == digit)[:EXAMPLES_PER_DIGIT]]
    return {
        "numbers": numbers,
        "labels": [int(labels[i]) for i in numbers],
        "images": encoded(np.packbits(images[numbers].astype(bool)), "u1"),
    }


def main() -> None:
    model, mnist = trained(), vh.load_mnist()
    images = vh.binarize(mnist.test, "threshold")
    data = {
        "source": "system S4, convolutional, 50 epochs on MNIST cut at one half, seed 0",
        "colors": [color.lower() for color in vh.DIGIT_COLORS],
        "encoder": layers_of(model.encoder),
        "decoder": layers_of(model.decoder),
        "points": encoded(np.rint(1000 * model.posterior(images[:POINTS]).mean().numpy()), "<i2"),
        "labels": encoded(mnist.test_labels[:POINTS], "u1"),
        "examples": examples(images, mnist.test_labels),
        "quantiles": quantiles(model, images),
    }
    TARGET.write_text(f"window.latentExplorerData = {json.dumps(data)};\n", "utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
