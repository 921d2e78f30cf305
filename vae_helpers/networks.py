"""Two families of encoders and decoders, as plain Keras models."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np

layers = keras.layers


def _glorot(seed: int | None) -> Callable[[], keras.initializers.Initializer]:
    """A fresh Glorot-uniform initialiser a layer, all of them fixed by one seed."""
    if seed is None:
        return keras.initializers.GlorotUniform
    random = np.random.default_rng(seed)
    return lambda: keras.initializers.GlorotUniform(seed=int(random.integers(2**31)))


def _dropout(rate: float, seed: int | None) -> Callable[[], keras.layers.Dropout]:
    """A fresh Dropout layer, its noise fixed by the same seed as the weights but drawn apart from them."""
    if seed is None:
        return lambda: layers.Dropout(rate)
    random = np.random.default_rng([seed, 1])
    return lambda: layers.Dropout(rate, seed=int(random.integers(2**31)))


def dense_networks(
    latent_dim: int,
    hidden: Sequence[int],
    activation: str,
    dropout: float,
    outputs_per_channel: int,
    image_shape: Sequence[int],
    seed: int | None,
) -> tuple[keras.Sequential, keras.Sequential]:
    """The encoder and the decoder of `vh.mlp_vae`, which explains the arguments."""
    glorot, drop = _glorot(seed), _dropout(dropout, seed)
    outputs = (*image_shape[:-1], image_shape[-1] * outputs_per_channel)

    def dense(units: int, **kwargs) -> keras.layers.Dense:
        return layers.Dense(units, kernel_initializer=glorot(), **kwargs)

    def hidden_layers(sizes) -> Iterator[keras.layers.Layer]:
        for units in sizes:
            yield dense(units, activation=activation)
            if dropout:
                yield drop()

    first = [layers.Input(tuple(image_shape)), layers.Flatten()]
    encoder = keras.Sequential([*first, *hidden_layers(hidden), dense(2 * latent_dim)], name="encoder")
    last = [*hidden_layers(reversed(hidden)), dense(math.prod(outputs)), layers.Reshape(outputs)]
    decoder = keras.Sequential([layers.Input((latent_dim,)), *last], name="decoder")
    return encoder, decoder


def convolutional_networks(
    latent_dim: int, filters: Sequence[int], outputs_per_channel: int, image_shape: Sequence[int], seed: int | None
) -> tuple[keras.Sequential, keras.Sequential]:
    """The encoder and the decoder of `vh.conv_vae`, which explains the arguments.

    Raises:
        ValueError: the image is too small to be halved so many times.
    """
    height, width, channels = image_shape
    smallest = 2 ** (len(filters) + 1) - 1  # 'valid' 3×3 with stride 2 takes n to (n − 1) // 2, and needs n ≥ 3
    if min(height, width) < smallest:
        raise ValueError(
            f"{len(filters)} layers halve the image {len(filters)} times: expected height and width of at least "
            f"{smallest}, got {tuple(image_shape)}; use fewer filters."
        )
    glorot, shrink = _glorot(seed), 2 ** len(filters)
    grid = (-(-height // shrink), -(-width // shrink), filters[0])
    encoder = keras.Sequential(
        [
            layers.Input(tuple(image_shape)),
            *(layers.Conv2D(f, 3, 2, activation="relu", kernel_initializer=glorot()) for f in filters),
            layers.Flatten(),
            layers.Dense(2 * latent_dim, kernel_initializer=glorot()),
        ],
        name="encoder",
    )
    decoder = keras.Sequential(
        [
            layers.Input((latent_dim,)),
            layers.Dense(math.prod(grid), activation="relu", kernel_initializer=glorot()),
            layers.Reshape(grid),
            *(
                layers.Conv2DTranspose(f, 3, 2, "same", activation="relu", kernel_initializer=glorot())
                for f in reversed(filters)
            ),
            layers.Conv2DTranspose(channels * outputs_per_channel, 3, 1, "same", kernel_initializer=glorot()),
        ],
        name="decoder",
    )
    more = (grid[0] * shrink - height, grid[1] * shrink - width)
    if any(more):  # an image that cannot be halved evenly is decoded larger, and cut
        decoder.add(layers.Cropping2D(tuple((n // 2, n - n // 2) for n in more)))
    return encoder, decoder
