"""Two families of encoders and decoders, joined to a VAE."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import keras
import numpy as np
from keras.initializers import GlorotUniform
from keras.layers import Concatenate, Conv2D, Conv2DTranspose, Cropping2D, Dense, Dropout, Flatten, Input, Reshape

from .conditional import ConditionalVAE
from .expect import expect
from .likelihoods import LIKELIHOODS, choose
from .model import VAE


def _seeds(*seed: int | None) -> Callable[[], int | None]:
    """A function whose calls give a seed for each layer, all of them fixed by one; always None if that is None."""
    random = None if None in seed else np.random.default_rng(seed)
    return lambda: random and int(random.integers(2**31))


def _layers(seed: int | None) -> Callable[..., keras.Layer]:
    """A function that makes a layer of some kind with Glorot-uniform weights of its own."""
    seeds = _seeds(seed)
    return lambda kind, *arguments, **options: kind(*arguments, kernel_initializer=GlorotUniform(seeds()), **options)


def mlp_vae(
    latent_dim: int = 2,
    hidden: Sequence[int] = (512, 256),
    activation: str = "relu",
    dropout: float = 0.0,
    likelihood: str = "bernoulli",
    scale: str = "log_variance",
    image_shape: Sequence[int] = (28, 28, 1),
    seed: int | None = None,
    classes: int | None = None,
) -> VAE:
    """A VAE of dense layers (Kingma & Welling 2013, appendix C); the decoder mirrors the encoder.

    Args:
        latent_dim: J, the number of latent dimensions.
        hidden: units of the encoder's hidden layers, first to last.
        activation: of the hidden layers; the last layer of each network is linear.
        dropout: rate after each hidden layer, in training only.
        likelihood, scale: as for `VAE`.
        image_shape: H, W, C.
        seed: of the initial weights, the noise and the dropout; `None` takes them from Keras's global seed.
        classes: K, for a `ConditionalVAE` of images given one of K labels.

    Raises:
        ValueError: an unknown likelihood or scale, or `hidden` is one number.
    """
    expect(np.ndim(hidden) == 1, f"hidden: expected units of each layer, such as (512, 256), got {hidden}.")
    layer, noise = _layers(seed), _seeds(seed, 1)  # dropout is drawn apart from the weights
    outputs = _outputs(likelihood, image_shape)

    def hidden_layers(sizes: Iterable[int]) -> Iterator[keras.Layer]:
        for units in sizes:
            yield layer(Dense, units, activation=activation)
            if dropout:
                yield Dropout(dropout, seed=noise())

    encoder = [Input(tuple(image_shape)), Flatten(), *hidden_layers(hidden), layer(Dense, 2 * latent_dim)]
    decoder = [Input((latent_dim,)), *hidden_layers(reversed(hidden))]
    decoder += [layer(Dense, math.prod(outputs)), Reshape(outputs)]
    return _join(encoder, decoder, classes, likelihood, scale, seed)


def conv_vae(
    latent_dim: int = 2,
    filters: Sequence[int] = (32, 64),
    likelihood: str = "bernoulli",
    scale: str = "log_variance",
    image_shape: Sequence[int] = (28, 28, 1),
    seed: int | None = None,
    classes: int | None = None,
) -> VAE:
    """A VAE of 3×3 convolutions with ReLU, the network of the TensorFlow tutorial (S1 in chapter 3).

    The encoder halves the image once per entry of `filters` ('valid' padding: 28 → 13 → 6); the decoder starts from a
    grid 2^len(filters) times smaller and doubles it back ('same' padding: 7 → 14 → 28). Where that does not come out
    even the decoder makes a larger image and cuts its rim.

    Args:
        latent_dim: J, the number of latent dimensions.
        filters: channels of the encoder's convolutions, first to last; the decoder has them in reverse.
        likelihood, scale: as for `VAE`.
        image_shape: H, W, C.
        seed: of the initial weights and the noise; `None` takes them from Keras's global seed.
        classes: K, for a `ConditionalVAE` of images given one of K labels.

    Raises:
        ValueError: the image is too small to be halved so often, `filters` is one number or empty, or an unknown
            likelihood or scale.
    """
    expect(np.ndim(filters) == 1 and len(filters), f"filters: expected channels by layer, as (32, 64), got {filters}.")
    layer, (height, width, _) = _layers(seed), image_shape
    smallest = 2 ** (len(filters) + 1) - 1  # 'valid' 3×3 with stride 2 takes n to (n − 1) // 2, and needs n ≥ 3
    sides = f"expected sides of at least {smallest}, got {height} and {width}; use fewer filters."
    expect(min(height, width) >= smallest, f"image_shape: {sides}")
    encoder = [Input(tuple(image_shape)), *(layer(Conv2D, n, 3, 2, activation="relu") for n in filters)]
    encoder += [Flatten(), layer(Dense, 2 * latent_dim)]
    grid = (*(-(-side // 2 ** len(filters)) for side in (height, width)), filters[0])
    decoder = [Input((latent_dim,)), layer(Dense, math.prod(grid), activation="relu"), Reshape(grid)]
    decoder += [layer(Conv2DTranspose, n, 3, 2, "same", activation="relu") for n in reversed(filters)]
    decoder += [layer(Conv2DTranspose, _outputs(likelihood, image_shape)[-1], 3, 1, "same")]
    more = [side * 2 ** len(filters) - wanted for side, wanted in zip(grid, image_shape[:2], strict=False)]
    if any(more):  # an image that cannot be halved evenly is decoded larger, and cut
        decoder += [Cropping2D([(n // 2, n - n // 2) for n in more])]
    return _join(encoder, decoder, classes, likelihood, scale, seed)


def _join(encoder: list[keras.Layer], decoder: list[keras.Layer], classes: int | None, *options) -> VAE:
    """The two networks, and the VAE of both."""
    if classes is None:
        return VAE(keras.Sequential(encoder, name="encoder"), keras.Sequential(decoder, name="decoder"), *options)
    expect(classes >= 1, f"classes: expected at least 1, got {classes}.")
    return ConditionalVAE(_with_label(encoder, "encoder", classes), _with_label(decoder, "decoder", classes), *options)


def _with_label(layers: list[keras.Layer], name: str, classes: int) -> keras.Model:
    """The same layers, with a one-hot label [n, K] as a second input; it joins what first is flat: features, or z."""
    first, *others = layers
    label, x, has_joined = Input((classes,), name="label"), first, False
    for layer in others:
        if len(x.shape) == 2 and not has_joined:
            x, has_joined = Concatenate()([x, label]), True
        x = layer(x)
    return keras.Model([first, label], x, name=name)


def _outputs(likelihood: str, image_shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of what a decoder has to put out for an image."""
    return (*image_shape[:-1], image_shape[-1] * choose(LIKELIHOODS, likelihood, "likelihood").channels_per_channel)
