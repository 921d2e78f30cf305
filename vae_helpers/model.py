"""The variational autoencoder: any encoder, any decoder, and the three distributions that they stand for.

Source: Kingma & Welling 2013, "Auto-Encoding Variational Bayes", sections 2 and 3 and appendix C.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from .expect import expect
from .images import as_model_input
from .likelihoods import LIKELIHOODS, Likelihood, choose
from .training import ObjectiveTrainer

# σ from what the encoder puts out. Softplus can reach zero in float32, and log 0 is −∞: hence the 1e-8.
# A lambda a line: AutoGraph cannot tell two on one line apart, and warns.
SCALES = {"log_variance": lambda raw: tf.exp(0.5 * raw)}
SCALES["softplus"] = lambda raw: tf.nn.softplus(raw) + 1e-8


@keras.saving.register_keras_serializable(package="vae_helpers")
class VAE(ObjectiveTrainer):
    """A variational autoencoder with a standard normal prior and a diagonal Gaussian posterior::

        p(z) = N(0, I)      q(z | x) = N(μ(x), diag σ²(x))      p(x | z) = likelihood of the decoder's outputs

    Args:
        encoder: a built Keras model, images [n, H, W, C] → [n, 2J]: μ in the first half, the raw scale in the second.
        decoder: a built Keras model, z [n, J] → [n, H, W, C], logits for the Bernoulli likelihoods, or [n, H, W, 2C]
            for the Gaussian: C means, then C log-variances. (To its variance is added that of one grey level, 1/255².)
        likelihood: `"bernoulli"`, `"continuous_bernoulli"` or `"gaussian"`.
        scale: how σ comes from the raw scale: `"log_variance"` (exp(raw/2)) or `"softplus"` (softplus(raw) + 1e-8).
        seed: seed of the noise ε. `None`: drawn from Keras's global seed (`keras.utils.set_random_seed`).

    Attributes:
        encoder: the first network.
        decoder: the second.
        latent_dim: J.
        image_shape: (H, W, C).

    Raises:
        ValueError: an unknown likelihood or scale, or networks whose shapes do not fit together.

    Example:
        >>> model = vh.mlp_vae(latent_dim=2)
        >>> model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
        >>> history = model.fit(vh.batches(images.train, 100, "dynamic"), epochs=10)
    """

    _inputs_each = 1  # how many inputs either network has

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        likelihood: str = "bernoulli",
        scale: str = "log_variance",
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(seed, **kwargs)
        self._likelihood = choose(LIKELIHOODS, likelihood, "likelihood")
        self._scale = choose(SCALES, scale, "scale")
        self.likelihood_name, self.scale_name = likelihood, scale
        self.image_shape, self.latent_dim = _check_networks(encoder, decoder, self._likelihood, self._inputs_each)
        self.encoder, self.decoder = encoder, decoder
        self.build((None, *self.image_shape))

    def build(self, input_shape) -> None:
        """Nothing is left to build: both networks are. Keras keeps the shape, for `export`."""

    # --- the three distributions -------------------------------------------------------------------------------

    @property
    def prior(self) -> tfd.Distribution:
        """The prior p(z), a standard normal, batch [], event [J]."""
        return tfd.Independent(tfd.Normal(tf.zeros(self.latent_dim), 1.0), 1)

    def posterior(self, x: tf.Tensor) -> tfd.Distribution:
        """q(z | x): a diagonal Gaussian, batch [n], event [J].

        Args:
            x: float32 images in [0, 1], shape [n, H, W, C].

        Raises:
            ValueError, TypeError: `x` has another shape or dtype, or pixels outside [0, 1] (they are looked at outside
                `tf.function` only).
        """
        outputs = self.encoder(self._inputs(as_model_input(x, self.image_shape)), training=self._step.training)
        loc, raw_scale = tf.split(tf.cast(outputs, tf.float32), 2, axis=-1)
        return tfd.Independent(tfd.Normal(loc, self._scale(raw_scale)), 1)

    def likelihood(self, z: tf.Tensor) -> tfd.Distribution:
        """p(x | z): independent pixels, batch [n] or [L, n] (whatever stands before J in z), event [H, W, C].

        Args:
            z: float32 latent points, shape [..., J].

        Raises:
            ValueError: the last axis is not J long.
        """
        z = tf.convert_to_tensor(z, tf.float32)
        expect(z.shape[-1:] == [self.latent_dim], f"z: expected [..., {self.latent_dim}] (J last), got {z.shape}.")
        flat = self._inputs(tf.reshape(z, [-1, self.latent_dim]))
        outputs = self.decoder(flat, training=self._step.training)
        outputs = tf.reshape(tf.cast(outputs, tf.float32), tf.concat([tf.shape(z)[:-1], outputs.shape[1:]], axis=0))
        return tfd.Independent(self._likelihood.pixels(outputs), len(self.image_shape))

    def _inputs(self, first: tf.Tensor):
        """What a network is called with: images [n, H, W, C] or latent points [L·n, J], here alone."""
        return first

    # --- pictures ----------------------------------------------------------------------------------------------

    def sample(self, n: int, seed: int | None = None) -> tf.Tensor:
        """Pixel means of `n` images from the prior: z ~ p(z), then the mean of p(x | z). float32 [n, H, W, C].

        With `seed=None` z is the model's next noise.
        """
        z = self.prior.sample(n, seed=self.next_seed() if seed is None else tf.constant([seed, 0], tf.int32))
        return self.likelihood(z).mean()

    def reconstruct(self, x: tf.Tensor) -> tf.Tensor:
        """Pixel means of p(x | z) at z = μ(x), the mean of q(z | x): no noise. float32 [n, H, W, C]."""
        return self.likelihood(self.posterior(x).mean()).mean()

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What `predict` returns: the reconstruction."""
        return self.reconstruct(x)

    # --- saving ------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """What it takes to make the model again, weights and noise apart."""
        networks = keras.saving.serialize_keras_object({"encoder": self.encoder, "decoder": self.decoder})
        return networks | {"likelihood": self.likelihood_name, "scale": self.scale_name, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict | None = None) -> VAE:
        """The model that `get_config` describes, with new weights."""
        return cls(**keras.saving.deserialize_keras_object(config, custom_objects))

    def export(self, filepath: str | os.PathLike, *args, **kwargs) -> None:
        """As `keras.Model.export`: the reconstruction, for serving without this package."""
        self(np.zeros((1, *self.image_shape), np.float32))  # Keras exports only what was called once
        super().export(filepath, *args, **kwargs)


def check_vae(model) -> None:
    """Raises a TypeError that says how to make one, if `model` is no `VAE`."""
    needs = "expected a vh.VAE. Of two networks make one: vh.VAE(encoder, decoder); section 7.2 of the book shows how"
    expect(isinstance(model, VAE), f"model: {needs}; got {type(model).__name__}.", TypeError)


@contextlib.contextmanager
def unchanged(model: VAE):
    """Puts back what a pass in training mode moves: the means of batch normalisation, and the state of the noise."""
    before = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _check_networks(encoder, decoder, likelihood: Likelihood, inputs: int) -> tuple[tuple[int, ...], int]:
    """The image shape and J, once it is sure that the two networks fit together."""
    for network, role in ((encoder, "encoder"), (decoder, "decoder")):
        known = getattr(network, "built", False) and hasattr(network, "output_shape")
        expect(known, f"The {role} has no known shapes: expected a built Keras model, e.g. with an Input layer.")
        counts = len(network.inputs), len(network.outputs)
        needs = f"expected {inputs} and 1; join μ and log σ² by Concatenate, without a sampled z (section 7.2)"
        expect(counts == (inputs, 1), f"The {role} has {counts[0]} and {counts[1]} inputs and outputs, {needs}.")
    (images, heads), (z, pixels) = ((net.inputs[0].shape, net.outputs[0].shape) for net in (encoder, decoder))
    expect(len(images) == 4, f"The encoder's input: expected images [n, H, W, C], got {images}.")
    expect(len(heads) == 2 and heads[1] % 2 == 0, f"The encoder's output: expected [n, 2J] (μ, raw σ), got {heads}.")
    latent_dim = heads[1] // 2
    expect(z[1:] == (latent_dim,), f"The decoder's input: expected [n, {latent_dim}] (J = {latent_dim}), got {z}.")
    outputs = (*images[1:3], images[3] * likelihood.channels_per_channel)
    expect(pixels[1:] == outputs, f"The decoder's output: expected {['n', *outputs]}, got {pixels}.")
    # Of a model inside it cannot be told what follows.
    last = next((layer for layer in reversed(decoder.layers) if {"activation", "layers"} & {*dir(layer)}), None)
    if getattr(last, "activation", keras.activations.linear) is not keras.activations.linear:
        ends = f"The decoder ends in the activation {last.activation.__name__!r}: expected a linear layer, for logits"
        warnings.warn(f"{ends} or a Gaussian's means and log-variances; section 7.2 wraps yours.", stacklevel=3)
    return images[1:], latent_dim
