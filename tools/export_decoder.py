"""Writes a page in which a reader moves the latent variables of a trained VAE and sees what its decoder draws.

    python tools/export_decoder.py model.keras page.html     # or: make decoder MODEL=model.keras PAGE=page.html

The page is one file with all that it needs: weights (float32, little-endian, in base64), networks.js, decoder_page.js.
It asks for nothing from anywhere, so it works from the disk, and wherever files are served.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path

import vae_helpers as vh
from vae_helpers.expect import expect
from vae_helpers.files import replacing

import keras  # isort: skip
import numpy as np  # isort: skip

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = ROOT / "book" / "_static" / "networks.js"
TEMPLATE = ROOT / "tools" / "decoder_page.html"
SCRIPT = ROOT / "tools" / "decoder_page.js"
ACTIVATIONS = ("elu", "linear", "relu", "sigmoid", "silu", "softplus", "tanh")  # those of networks.js
# Layers with weights, and the padding of convolutions that networks.js knows.
PADDING = {keras.layers.Dense: None, keras.layers.Conv2D: "valid", keras.layers.Conv2DTranspose: "same"}
MOST_SLIDERS = 10  # that stand open; the others are folded


# --- a network as numbers ---------------------------------------------------------------------------------------------


def encoded(array: np.ndarray, dtype: str) -> str:
    """An array's numbers, in the dtype given, as base64."""
    return base64.b64encode(np.ascontiguousarray(array, dtype).tobytes()).decode("ascii")


def layers_of(network: keras.Model) -> list[dict]:
    """A network's layers as networks.js runs them, one after the other.

    A kernel is stored as Keras has it: [row, column, channel in, channel out], if transposed [row, column, out, in].
    The grid of a `Reshape` belongs to the layer before it.

    Args:
        network: a chain of layers, dense or of channels last. If it has several inputs, it begins by joining them.

    Raises:
        ValueError: what networks.js cannot run: another layer, padding or activation, or layers that are no chain.
    """
    layers: list[dict] = []
    for layer in _chain(network):
        if isinstance(layer, keras.layers.Reshape):
            expect(layers and len(layer.output.shape) == 4, f"{_named(layer)}: expected it after a layer, to H, W, C.")
            layers[-1]["grid"] = list(layer.output.shape[1:3])
        elif isinstance(layer, keras.layers.Cropping2D):
            layers.append({"kind": "Cropping2D", "crop": [list(sides) for sides in layer.cropping]})
        elif not isinstance(layer, (keras.layers.Dropout, keras.layers.Flatten)):  # of which nothing is left to do
            layers.append(_weighted(layer))
    return layers


def _chain(network: keras.Model) -> list[keras.Layer]:
    """The layers in their order, without inputs and what joins them."""
    if isinstance(network, keras.Sequential):
        return network.layers
    chain, value = [], network.inputs[0] if len(network.inputs) == 1 else None
    for layer in network.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if isinstance(layer, keras.layers.Concatenate) and value is None:
            follows = [id(one) for one in layer.input] == [id(one) for one in network.inputs]
        else:
            follows = layer.input is value
            chain.append(layer)
        expect(follows, f"{_named(layer)}: expected a chain of layers, each with the output of the one before it.")
        value = layer.output
    return chain


def _named(layer: keras.Layer) -> str:
    return f"The page cannot run the layer {layer.name!r} ({type(layer).__name__})"


def _weighted(layer: keras.Layer) -> dict:
    """A dense layer or a convolution with its weights."""
    known = f"{', '.join(kind.__name__ for kind in PADDING)}, Reshape, Cropping2D, Flatten and Dropout"
    expect(type(layer) in PADDING, f"{_named(layer)}: expected a network of {known}.")
    activation = layer.activation.__name__
    expect(activation in ACTIVATIONS, f"{_named(layer)} with {activation!r}: expected one of {', '.join(ACTIVATIONS)}.")
    stride = {}
    if padding := PADDING[type(layer)]:
        _expect_simple(layer, padding)
        stride = {"stride": layer.strides[0]}
    else:
        shape = layer.input.shape
        expect(len(shape) == 2, f"{_named(layer)} on {shape}: expected flat numbers, [n, units].")
    kernel = layer.kernel.numpy()
    bias = layer.bias.numpy() if layer.use_bias else np.zeros(layer.output.shape[-1])
    shape = {"kind": type(layer).__name__, "kernel": list(kernel.shape), **stride, "relu": activation == "relu"}
    other = {} if activation in ("linear", "relu") else {"activation": activation}
    return shape | other | {"weights": encoded(kernel, "<f4"), "bias": encoded(bias, "<f4")}


def _expect_simple(layer: keras.Layer, padding: str) -> None:
    """That a convolution is of the kind that networks.js runs."""
    more = [
        layer.data_format,
        *layer.dilation_rate,
        getattr(layer, "output_padding", None),
        getattr(layer, "groups", 1),
    ]
    simple = layer.padding == padding and more == ["channels_last", 1, 1, None, 1] and len(set(layer.strides)) == 1
    needs = (
        f"expected padding={padding!r}, channels last, the same stride twice, and no dilation, output_padding, groups"
    )
    expect(simple, f"{_named(layer)}: {needs}.")


# --- the page ---------------------------------------------------------------------------------------------------------


def means(model: vh.VAE, z: np.ndarray) -> np.ndarray:
    """Means of p(x | z), float32 [n, H, W, C]; of a conditional VAE given its labels in turn.

    Args:
        model: the VAE.
        z: float32 latent points, shape [n, J].
    """
    if model.classes is None:
        return model.likelihood(z).mean().numpy()
    labels = np.resize(classes_of(model), len(z))
    with model.given(labels):
        return model.likelihood(z).mean().numpy()


def classes_of(model: vh.VAE) -> list[int] | None:
    """The labels that a conditional VAE was trained on, or all of one that was not trained; else None."""
    if model.classes is None:
        return None
    return np.flatnonzero(model.seen.numpy()).tolist() or list(range(model.classes))


def effects(model: vh.VAE, draws: int = 40) -> np.ndarray:
    """How much each latent variable does to the picture under the prior, float64 [J].

    The mean over z ~ p(z) of the variance of the picture when z_j alone is drawn anew, summed over the pixels: half the
    mean of the squared change (Jansen 1999, "Analysis of variance designs for model output", section 4).
    """
    random = np.random.default_rng(0)
    z, others = random.normal(size=(2, draws, model.latent_dim)).astype(np.float32)
    before, changes = means(model, z), np.zeros(model.latent_dim)
    for j in range(model.latent_dim):
        changed = z.copy()
        changed[:, j] = others[:, j]
        changes[j] = np.sum((means(model, changed) - before) ** 2, dtype=np.float64) / (2 * draws)
    return changes


def decoder_data(model: vh.VAE) -> dict:
    """What the page is told: the decoder, how to read its outputs, and the order of the sliders.

    Raises:
        ValueError: a decoder that the page cannot run, or pictures that are neither grey nor in colours.
    """
    channels = model.image_shape[2]
    expect(channels in (1, 3), f"The page shows grey pictures (C = 1) and colours (C = 3), got C = {channels}.")
    layers = layers_of(model.decoder)
    order = np.argsort(-effects(model), kind="stable") if model.latent_dim > MOST_SLIDERS else range(model.latent_dim)
    return {
        "shape": list(model.image_shape),
        "likelihood": model.likelihood_name,
        "classes": model.classes,
        "labels": classes_of(model),
        "sliders": [int(j) for j in order],
        "open": MOST_SLIDERS,
        "layers": layers,
    }


def page_of(model: vh.VAE, name: str) -> str:
    """The page as HTML.

    Args:
        model: a trained VAE, conditional or not.
        name: what the page calls it.

    Raises:
        ValueError: as for `decoder_data`.
    """
    parts = {
        "name": html.escape(name),
        "networks": NETWORKS.read_text("utf-8"),
        "data": json.dumps(decoder_data(model)),
        "script": SCRIPT.read_text("utf-8"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], TEMPLATE.read_text("utf-8"))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Write a page that shows what the decoder of a trained VAE draws.")
    parser.add_argument("model", type=Path, help="a VAE that model.save wrote, such as model.keras")
    parser.add_argument("page", type=Path, help="the page to write, such as page.html")
    parsed = parser.parse_args(arguments)
    try:
        model = keras.saving.load_model(parsed.model, compile=False)
        kind = type(model).__name__
        expect(isinstance(model, vh.VAE), f"{parsed.model}: expected a VAE of vae_helpers, got a {kind}.", TypeError)
        text = page_of(model, parsed.model.stem)
        with replacing(parsed.page) as part:
            part.write_text(text, "utf-8")
    except (OSError, TypeError, ValueError) as error:
        raise SystemExit(str(error)) from None
    print(f"{parsed.page}: {parsed.page.stat().st_size / 1e6:.1f} MB, J = {model.latent_dim}, {model.likelihood_name}")


if __name__ == "__main__":
    main()
