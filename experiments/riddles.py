"""Four small models with one fault each, trained in seconds: exercises of chapter 7. Solve them before you read on."""

from __future__ import annotations

from typing import NamedTuple

import vae_helpers as vh  # before Keras and TensorFlow: it silences their start-up lines

import keras  # isort: skip
import faults
import numpy as np
import tensorflow as tf


class Riddle(NamedTuple):
    """A trained model, the images that its maker trained and tested it on, and the loss that was minimised."""

    model: vh.VAE
    train: np.ndarray
    test: np.ndarray
    loss: object

    def __repr__(self) -> str:
        return "a riddle: .model, .train, .test and .loss"


def other_direction(model, x):
    mean, log_variance = faults.encode(model, x)
    z = mean + tf.exp(0.5 * log_variance) * faults.noise(model, mean)
    kl = 0.5 * ((1 + mean**2) * tf.exp(-log_variance) - 1 + log_variance)
    pixels = faults.cross_entropy(x, faults.decode(model, z))
    return faults.over_pixels(pixels) + tf.reduce_sum(kl, axis=1)


def clipped_encoder(model: vh.VAE) -> vh.VAE:
    """The same model with its log-variances kept from −2 to 2."""
    x = keras.Input(model.image_shape)
    mean, log_variance = keras.ops.split(model.encoder(x), 2, axis=1)
    heads = keras.layers.Concatenate()([mean, keras.ops.clip(log_variance, -2.0, 2.0)])
    return vh.VAE(keras.Model(x, heads), model.decoder, seed=0)


def riddle(number: int) -> Riddle:
    """One of four, 1 to 4. Trains for three epochs on 20,000 images."""
    images = vh.load_mnist()
    train, test = (vh.binarize(part, "threshold") for part in (images.train[:20_000], images.test))
    model, loss = vh.mlp_vae(latent_dim=2, hidden=(256,), seed=0), faults.honest
    if number == 1:
        loss = other_direction
    elif number == 2:
        model = clipped_encoder(model)
    elif number == 3:
        train = train[images.train_labels[:20_000] < 5]
    elif number == 4:
        test = test.transpose(0, 2, 1, 3)
    else:
        raise ValueError(f"number: expected 1, 2, 3 or 4, got {number}.")
    model.compile(keras.optimizers.Adam(1e-3), objective=faults.objective(faults.Exhibit(loss)))
    model.fit(vh.batches(train, 100, seed=0), epochs=3, verbose=0)
    return Riddle(model, train, test, loss)
