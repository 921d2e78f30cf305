"""A VAE of images given labels: both networks also see the class of the image."""

from __future__ import annotations

import contextlib
import os
import warnings

import keras
import numpy as np
import tensorflow as tf

from .expect import expect
from .images import check_labels
from .model import VAE


@keras.saving.register_keras_serializable(package="vae_helpers")
class ConditionalVAE(VAE):
    """A VAE of images x given a label y, one of K classes (Sohn, Lee & Yan 2015; Kingma et al. 2014, equation 6)::

        p(z) = N(0, I)      q(z | x, y) = N(μ(x, y), diag σ²(x, y))      p(x | z, y) = as of a VAE

    Every objective then bounds log p(x | y). The prior does not see the label, as in the M2 of Kingma et al. 2014: z is
    left with what the label does not say. `vh.mlp_vae` and `vh.conv_vae` make one if they are given `classes`. ::

        model = vh.mlp_vae(latent_dim=20, classes=10)
        model.compile(objective=vh.sgvb_b)
        model.fit(vh.batches(data.train, 100, "dynamic", labels=data.train_labels), epochs=10)
        vh.elbo(model, x_test, labels=data.test_labels)
        with model.given(7):
            sevens = model.sample(16)

    Args:
        encoder: a built Keras model, images [n, H, W, C] and one-hot labels [n, K] → [n, 2J], as for `VAE`.
        decoder: a built Keras model, z [n, J] and one-hot labels [n, K] → as for `VAE`.
        likelihood, scale, seed: as for `VAE`.

    Attributes:
        classes: K.
        seen: float32 [K], 1 for each class that was trained on, else 0; saved with the weights.

    Raises:
        ValueError: as for `VAE`, or networks that do not take the same number of classes.
    """

    _inputs_each = 2

    def build(self, input_shape) -> None:
        """Counts the classes, and makes room for which of them were seen."""
        one, other = (network.inputs[1].shape for network in (self.encoder, self.decoder))
        expect(one == other and len(one) == 2, f"Expected labels [n, K] in both networks, got {one} and {other}.")
        self.classes = one[1]
        self.seen = self.add_weight(name="seen", shape=[self.classes], initializer="zeros", trainable=False)

    def given(self, labels) -> contextlib.AbstractContextManager:
        """For `with model.given(labels):`, a block in which all distributions and pictures are given these labels.

        Args:
            labels: whole numbers from 0 to K − 1: one for all images, or [n].

        Raises:
            TypeError, ValueError: other labels. A class that was not in the training data is named in a warning.
        """
        labels = np.asarray(labels)
        known = check_labels(labels.reshape(-1), max(1, labels.size), self.classes)
        seen = self.seen.numpy() > 0
        if new := sorted({int(label) for label in known if seen.any() and not seen[label]}):
            warnings.warn(f"No image of class {', '.join(map(str, new))} was in the training data.", stacklevel=2)
        return self.using(labels=tf.constant(known if labels.ndim else known[0]))

    def _inputs(self, first: tf.Tensor):
        """Images, or latent points with the images innermost [L·n, J], and their one-hot labels."""
        labels, rows = self._step.labels, tf.shape(first)[0]
        needs = "A model of images given labels: expected labels=... in this call, or `with model.given(labels):`"
        expect(labels is not None, f"{needs} around it, got none.")
        one_hot = tf.one_hot(tf.reshape(labels, [-1]), self.classes)
        if not tf.is_symbolic_tensor(first):
            fits = len(one_hot) in (1, rows) or (first.shape.rank == 2 and rows % len(one_hot) == 0)
            expect(fits, f"labels: expected one for each of {rows} images, got {len(one_hot)}.")
        return [first, tf.tile(one_hot, [rows // tf.shape(one_hot)[0], 1])]

    # --- what Keras calls ----------------------------------------------------------------------------------------

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """As of a `VAE`; keeps in mind which classes there were."""
        new = tf.reduce_max(tf.one_hot(self._parts(data)[1], self.classes), axis=0)
        self.seen.assign(tf.maximum(self.seen, new))
        return super().train_step(data)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The reconstruction of (images, labels)."""
        x, labels = inputs
        with self.using(labels=labels):
            return self.reconstruct(x)

    def predict(self, x, *args, **kwargs):
        """The reconstruction of each image of a dataset of (images, labels), or of such a pair of arrays."""
        x = self._in_one_argument("predict((x{}))", x)
        # Keras calls the model with the first part of a minibatch, which is to be the pair.
        pairs = x.map(lambda *pair: (pair,)) if isinstance(x, tf.data.Dataset) else x
        return keras.Model.predict(self, pairs, *args, **kwargs)

    def export(self, filepath: str | os.PathLike, *args, **kwargs) -> None:
        """As of a `VAE`: the reconstruction of (images, labels)."""
        signature = keras.InputSpec("float32", (None, *self.image_shape)), keras.InputSpec("int32", (None,))
        self((np.zeros((1, *self.image_shape), np.float32), np.zeros(1, np.int32)))  # as for a VAE
        keras.Model.export(self, filepath, *args, **{"input_signature": [signature], **kwargs})

    def save_own_variables(self, store) -> None:
        """Keeps the noise, as a `VAE` does, and the classes seen."""
        super().save_own_variables(store)
        store["seen"] = self.seen.numpy()

    def load_own_variables(self, store) -> None:
        """Takes back what `save_own_variables` kept."""
        super().load_own_variables(store)
        self.seen.assign(store["seen"])
