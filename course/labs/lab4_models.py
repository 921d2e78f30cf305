"""The patients of lab 4: small VAEs with one fault each, trained in seconds.

    from lab4_models import SUSPECTS, patient, trained

Students get this file with the lab. It has the code of every suspect, and which patient has which fault is encoded, so
that a glance does not tell. Whoever wants to know can decode it: tell students that a fault named without a measurement
is a fault guessed. The letters stay as they are, for the lab's hidden tests know them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import NamedTuple

import vae_helpers as vh  # before Keras and TensorFlow: it silences their start-up lines

import keras  # isort: skip
import numpy as np
import tensorflow as tf

SUSPECTS = {
    "kl_averaged": "the KL is averaged over the latent dimensions, the pixels are summed",
    "half_dropped": "the KL counts twice: its 1/2 is missing",
    "pixels_averaged": "the reconstruction is averaged over the pixels, the KL is summed",
    "no_noise": "z is mu: the noise was forgotten",
    "wrong_pairs": "z of one image is scored against another image",
    "gradient_cut": "no gradient passes from z to the encoder",
    "relu_on_mean": "a ReLU on mu",
    "relu_on_log_variance": "a ReLU on log sigma²",
    "test_images_in_training": "the test images were trained on, too",
    "half_mirrored": "half of the training images were mirrored on their way into the network",
    "inverted": "black and white were swapped on the way into the network, in training alone",
}
_PATIENTS = (
    "eyJBIjogImtsX2F2ZXJhZ2VkIiwgIkIiOiAicGl4ZWxzX2F2ZXJhZ2VkIiwgIkMiOiAicmVsdV9vbl9tZWFuIiwgIkQiOiAid3JvbmdfcGFpcnMi"
    "LCAiRSI6ICJoYWxmX21pcnJvcmVkIiwgImhlYWx0aHkiOiAiIn0="
)


class Patient(NamedTuple):
    """A trained VAE and what its maker knows of it.

    Attributes:
        model: a `vh.VAE`, J = 6.
        train: the images that its maker loaded for training, float32 [10000, 28, 28, 1], each pixel 0 or 1.
        test: images kept for the test, float32 [2000, 28, 28, 1].
        loss: what was minimised: a function of (model, x) that returns a number for each image of x, [n].
    """

    model: vh.VAE
    train: np.ndarray
    test: np.ndarray
    loss: Callable

    def __repr__(self) -> str:
        return "a patient: .model, .train, .test and .loss"


def patient(name: str) -> Patient:
    """One of the patients, trained on MNIST now: that takes some seconds.

    Args:
        name: `"A"`, `"B"`, `"C"`, `"D"` or `"E"`, or `"healthy"`, which has no fault.

    Raises:
        ValueError: another name.
    """
    faults = json.loads(base64.b64decode(_PATIENTS))
    if name not in faults:
        raise ValueError(
            f"name: expected one of {', '.join(faults)}; got {name!r}."
        )
    fault = faults[name]
    train, test = black_and_white(vh.load_mnist())
    seen, loss = _as_trained_on(fault, train, test), _loss_with(fault)
    return Patient(trained(loss, seen, fault), train, test, loss)


def black_and_white(images: vh.ImageData) -> tuple[np.ndarray, np.ndarray]:
    """The first 10,000 training and 2,000 test images of a set, every pixel 0 or 1: float32 [n, 28, 28, 1]."""
    return tuple(
        vh.binarize(part, "threshold")
        for part in (images.train[:10_000], images.test[:2_000])
    )


def trained(loss: Callable, images: np.ndarray, fault: str = "") -> vh.VAE:
    """A new network, the same for all patients, after four epochs on `images`.

    Args:
        loss: what to minimise, a function of (model, x) that returns a number for each image of x, [n].
        images: float32 [n, 28, 28, 1].
        fault: which of the suspects is built into the network, if any.
    """
    model = vh.mlp_vae(latent_dim=6, hidden=(128,), seed=0)
    if fault.startswith("relu"):
        model = _with_relu(model, fault)
    # No XLA: to compile it would take longer than these 200 steps.
    model.compile(
        keras.optimizers.Adam(8e-3),
        objective=lambda model, x, samples: -loss(model, x),
        jit_compile=False,
    )
    model.fit(vh.batches(images, 200, seed=0), epochs=4, verbose=0)
    return model


def _loss_with(fault: str) -> Callable:
    """A loss in nats per image [n] with one of the suspects in it, or none."""

    def loss(model, x):
        q = model.posterior(x)
        mean, sd = q.mean(), q.stddev()
        noise = tf.random.stateless_normal(
            tf.shape(mean), model.next_seed()
        )
        z = mean if fault == "no_noise" else mean + sd * noise
        if fault == "wrong_pairs":
            z = tf.roll(z, 1, axis=0)
        if fault == "gradient_cut":
            z = tf.stop_gradient(z)
        reconstruction = -model.likelihood(z).log_prob(x)
        kl = tf.reduce_sum(
            0.5 * (mean**2 + sd**2 - 1) - tf.math.log(sd), axis=1
        )
        reconstruction /= 784 if fault == "pixels_averaged" else 1
        kl *= {"kl_averaged": 1 / model.latent_dim, "half_dropped": 2}.get(
            fault, 1
        )
        return reconstruction + kl

    return loss


def _with_relu(model: vh.VAE, fault: str) -> vh.VAE:
    """The same networks with a ReLU on one head of the encoder."""
    x = keras.Input(model.image_shape)
    mean, log_variance = keras.ops.split(model.encoder(x), 2, axis=1)
    if fault == "relu_on_mean":
        mean = keras.ops.relu(mean)
    else:
        log_variance = keras.ops.relu(log_variance)
    return vh.VAE(
        keras.Model(x, keras.layers.Concatenate()([mean, log_variance])),
        model.decoder,
        seed=0,
    )


def _as_trained_on(
    fault: str, train: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """What reaches the network of the training images."""
    if fault == "test_images_in_training":
        return np.concatenate([train, test])
    if fault == "half_mirrored":
        chosen = (
            np.random.default_rng(0).random((len(train), 1, 1, 1)) < 0.5
        )
        return np.where(chosen, train[:, :, ::-1], train)
    return 1 - train if fault == "inverted" else train
