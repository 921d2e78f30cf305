"""Two families of encoders and decoders, as plain Keras models."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
from keras.layers import Conv2D, Conv2DTranspose, Cropping2D, Dense, Dropout, Flatten, Input, Reshape

from .expect import expect


def _seeds(*seed: int | None) -> Callable[[], int | None]:
    """A function whose calls give a seed for each layer, all of them fixed by one; None always if that is None."""
    random = None if None in seed else np.random.default_rng(seed)
    return lambda: random and int(random.integers(2**31))


def _glorot(seed: int | None) -> Callable[[], keras.initializers.Initializer]:
    """A fresh Glorot-uniform initialiser a layer."""
    seeds = _seeds(seed)
    return lambda: keras.initializers.GlorotUniform(seed=seeds())


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
    glorot, noise = _glorot(seed), _seeds(seed, 1)  # dropout is drawn apart from the weights
    outputs = (*image_shape[:-1], image_shape[-1] * outputs_per_channel)

    def dense(units: int, activation: str | None = None) -> Dense:
        return Dense(units, activation=activation, kernel_initializer=glorot())

    def hidden_layers(sizes) -> Iterator[keras.layers.Layer]:
        for units in sizes:
            yield dense(units, activation)
            if dropout:
                yield Dropout(dropout, seed=noise())

    first = [Input(tuple(image_shape)), Flatten()]
    encoder = keras.Sequential([*first, *hidden_layers(hidden), dense(2 * latent_dim)], name="encoder")
    last = [*hidden_layers(reversed(hidden)), dense(math.prod(outputs)), Reshape(outputs)]
    decoder = keras.Sequential([Input((latent_dim,)), *last], name="decoder")
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
    halved = f"{len(filters)} layers halve the image {len(filters)} times: expected height and width of at least"
    got = f"{halved} {smallest}, got {tuple(image_shape)}; use fewer filters."
    expect(min(height, width) >= smallest, got)
    glorot, shrink = _glorot(seed), 2 ** len(filters)
    grid = (-(-height // shrink), -(-width // shrink), filters[0])

    def convolution(kind, channels: int, stride: int, padding: str, activation: str | None) -> keras.layers.Layer:
        return kind(channels, 3, stride, padding, activation=activation, kernel_initializer=glorot())

    shrinking = [convolution(Conv2D, n, 2, "valid", "relu") for n in filters]
    heads = Dense(2 * latent_dim, kernel_initializer=glorot())
    encoder = keras.Sequential([Input(tuple(image_shape)), *shrinking, Flatten(), heads], name="encoder")
    first = Dense(math.prod(grid), activation="relu", kernel_initializer=glorot())
    growing = [convolution(Conv2DTranspose, n, 2, "same", "relu") for n in reversed(filters)]
    last = convolution(Conv2DTranspose, channels * outputs_per_channel, 1, "same", None)
    decoder = keras.Sequential([Input((latent_dim,)), first, Reshape(grid), *growing, last], name="decoder")
    more = (grid[0] * shrink - height, grid[1] * shrink - width)
    if any(more):  # an image that cannot be halved evenly is decoded larger, and cut
        decoder.add(Cropping2D(tuple((n // 2, n - n // 2) for n in more)))
    return encoder, decoder
