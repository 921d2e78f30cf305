"""Writes what the latent explorer of the book needs: a trained decoder, and where test images lie in its plane.

    python tools/export_explorer.py     # or: make explorer

The decoder is that of system S4 after fifty epochs, whose weights are stored (`experiments/run.py s4-long`). The result
is a script, book/_static/explorer-data.js, and not a JSON file, because a page opened from the disk may load scripts
only. Numbers are little-endian and in base64: the weights float32, the points in thousandths as int16.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import vae_helpers as vh

import numpy as np  # isort: skip

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "experiments" / "results" / "s4-long-seed0.weights.h5"
TARGET = ROOT / "book" / "_static" / "explorer-data.js"
POINTS = 3000


def trained() -> vh.VAE:
    """S4 after fifty epochs."""
    model = vh.conv_vae(latent_dim=2, scale="softplus", seed=0)
    model.load_weights(WEIGHTS)
    return model


def encoded(array: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype).tobytes()).decode("ascii")


def layers_of(model: vh.VAE) -> list[dict]:
    """The decoder's layers with weights: a dense one, then transposed convolutions with 'same' padding.

    A kernel is stored as Keras has it: [row, column, channel out, channel in].
    """
    layers = []
    for layer in (layer for layer in model.decoder.layers if layer.weights):
        kernel, bias = layer.get_weights()
        shape = list(kernel.shape)
        layer_shape = {"dense": shape} if kernel.ndim == 2 else {"stride": layer.strides[0], "kernel": shape}
        numbers = {"weights": encoded(kernel, "<f4"), "bias": encoded(bias, "<f4")}
        layers.append(layer_shape | {"relu": layer.activation.__name__ == "relu"} | numbers)
    return layers


def main() -> None:
    model, images = trained(), vh.load_mnist()
    means = model.posterior(vh.binarize(images.test[:POINTS], "threshold")).mean().numpy()
    data = {
        "source": "system S4, convolutional, 50 epochs on MNIST cut at one half, seed 0",
        "colors": [color.lower() for color in vh.DIGIT_COLORS],
        "grid": list(model.decoder.layers[1].target_shape),
        "layers": layers_of(model),
        "points": encoded(np.rint(1000 * means), "<i2"),
        "labels": encoded(images.test_labels[:POINTS], "u1"),
    }
    TARGET.write_text(f"window.latentExplorerData = {json.dumps(data)};\n", "utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
