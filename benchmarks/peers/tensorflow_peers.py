"""Three ways to train the same networks in TensorFlow: the book's, plain Keras, and the official tutorial's.

Two variants of the book's take back one decision each, so that what it is worth can be measured.
"""

from __future__ import annotations

import resource

import vae_helpers as vh  # before Keras: it silences TensorFlow's start-up lines

import keras  # isort: skip
import numpy as np
import tensorflow as tf
from serve import serve

from vae_helpers.data import epoch_counter


class Peer:
    def __init__(self, network: str, batch_size: int, learning_rate: float, images: np.ndarray, weights: list):
        # The networks are the package's in all of them, and the optimiser Keras's.
        self.model = {"mlp": vh.mlp_vae, "conv": vh.conv_vae}[network]()
        self.encoder, self.decoder = self.model.encoder, self.model.decoder
        self.encoder.set_weights(weights[: len(self.encoder.weights)])
        self.decoder.set_weights(weights[len(self.encoder.weights) :])
        self.batch_size, self.optimizer = batch_size, keras.optimizers.Adam(learning_rate)
        self.prepare(images)

    def encode(self, x: np.ndarray) -> np.ndarray:
        return self.encoder.predict(x, batch_size=1000, verbose=0)

    def decode(self, z: np.ndarray) -> np.ndarray:
        return self.decoder.predict(z, batch_size=1000, verbose=0)


class Book(Peer):
    """`vh.VAE.fit` on `vh.batches`: images stay bytes in memory and become zeros and ones in the graph."""

    steps_per_execution: int | str = "auto"  # a twentieth of an epoch

    def prepare(self, images: np.ndarray) -> None:
        self.training = vh.batches(images, self.batch_size, "threshold", drop_remainder=True)
        self.model.compile(self.optimizer, objective=vh.sgvb_b, steps_per_execution=self.steps_per_execution)

    def epoch(self) -> None:
        self.model.fit(self.training, verbose=0)

    def log_likelihood(self, x: np.ndarray, samples: int) -> tuple[float, float]:
        """The mean of the importance-sampled log p(x), and the largest memory of this process so far in MiB (Linux)."""
        value = float(np.mean(vh.log_likelihood(self.model, x, samples=samples)))
        return value, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class EveryStep(Book):
    """The book's way, returning to Python after every minibatch, as Keras does unless it is told otherwise."""

    steps_per_execution = 1


class Autotuned(Book):
    """The book's way, with tf.data's autotuner switched on, as it is unless a dataset's options say otherwise."""

    def prepare(self, images: np.ndarray) -> None:
        super().prepare(images)
        options = tf.data.Options()
        options.autotune.enabled = True
        counter, self.training = epoch_counter(self.training), self.training.with_options(options)
        self.training._epoch_counter = counter  # what `fit` looks for; options make a new dataset, without it


class Sampling(keras.layers.Layer):
    """Draws z and adds the KL divergence to the loss: how a VAE is written without a training step of one's own."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, outputs):
        mean, log_variance = keras.ops.split(outputs, 2, axis=-1)
        kl = 0.5 * keras.ops.sum(mean**2 + keras.ops.exp(log_variance) - log_variance - 1, axis=-1)
        self.add_loss(keras.ops.mean(kl))
        noise = keras.random.normal(keras.ops.shape(mean), seed=self.seeds)
        return mean + keras.ops.exp(0.5 * log_variance) * noise


def cross_entropy(x, logits):
    """−log p(x | z) of each image."""
    return keras.ops.sum(keras.ops.binary_crossentropy(x, logits, from_logits=True), axis=(1, 2, 3))


class KerasFit(Peer):
    """A functional Keras model, `compile` and `fit(x, x)` with their default settings on float images."""

    def prepare(self, images: np.ndarray) -> None:
        self.x = vh.binarize(images[: len(images) // self.batch_size * self.batch_size], "threshold")
        inputs = keras.Input(images.shape[1:])
        self.whole = keras.Model(inputs, self.decoder(Sampling()(self.encoder(inputs))))
        self.whole.compile(self.optimizer, loss=cross_entropy)

    def epoch(self) -> None:
        self.whole.fit(self.x, self.x, batch_size=self.batch_size, verbose=0)


class Tutorial(Peer):
    """The way of TensorFlow's own tutorial: a shuffled dataset of float images, one `tf.function` call a minibatch."""

    def prepare(self, images: np.ndarray) -> None:
        x = vh.binarize(images, "threshold")
        self.training = tf.data.Dataset.from_tensor_slices(x).shuffle(len(x)).batch(self.batch_size, True)

        @tf.function
        def train_step(x):
            with tf.GradientTape() as tape:
                mean, log_variance = tf.split(self.encoder(x, training=True), 2, axis=-1)
                z = mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))
                kl = 0.5 * tf.reduce_sum(mean**2 + tf.exp(log_variance) - log_variance - 1, axis=-1)
                logits = self.decoder(z, training=True)
                pixels = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
                loss = tf.reduce_mean(tf.reduce_sum(pixels, axis=[1, 2, 3]) + kl)
            variables = self.encoder.trainable_variables + self.decoder.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

        self.train_step = train_step

    def epoch(self) -> None:
        for x in self.training:
            self.train_step(x)


PEERS = {"book": Book, "autotuned": Autotuned, "every step": EveryStep, "keras": KerasFit, "tutorial": Tutorial}

if __name__ == "__main__":
    serve(PEERS)
