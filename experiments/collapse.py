"""A right loss whose KL term stays at zero: deep networks, and what people do about it.

    python experiments/collapse.py               # whatever is missing: a minute for each of 30 trainings
    python experiments/collapse.py six warm_up   # some of them

Every training maximises the bound of its model on MNIST cut to black and white, with J = 20, minibatches of 100 and
Adam with a step of 0.001, for twenty epochs; the networks have six hidden layers of 128 tanh units each. One thing is
another one in each, as `REMEDIES` says. After every epoch the bound and its KL term are measured on the 10,000 test
images: those of the model, with a weight of 1, whatever was maximised.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace

import vae_helpers as vh  # before Keras and TensorFlow: it silences their start-up lines

import keras  # isort: skip
import tensorflow as tf
from keras import layers
from run import RESULTS, SEEDS, held_out, provenance, write

LATENTS, WIDTH, EPOCHS, BATCH_SIZE = 20, 128, 20, 100
WARM_UP = 3000  # updates, five epochs, until the KL has its whole weight
FREE = 0.25  # nats a latent dimension that cost nothing


def terms(model: vh.VAE, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """log p(x | z) of each image [n], KL of each latent dimension [n, J]."""
    q = model.posterior(x).distribution
    z = q.loc + q.scale * tf.random.stateless_normal(tf.shape(q.loc), model.next_seed())
    kl = 0.5 * (q.loc**2 + q.scale**2 - 1) - tf.math.log(q.scale)
    return model.likelihood(z).log_prob(x), kl


def bound(model: vh.VAE, x: tf.Tensor, samples: int = 1) -> tf.Tensor:
    """`vh.sgvb_b`, written out as the two below are: with the same seed all three draw the same noise."""
    log_likelihood, kl = terms(model, x)
    return log_likelihood - tf.reduce_sum(kl, axis=1)


def warm_up(model: vh.VAE, x: tf.Tensor, samples: int = 1) -> tf.Tensor:
    """The weight of the KL rises from 0 to 1 (Bowman et al. 2016, section 3.1)."""
    log_likelihood, kl = terms(model, x)
    weight = tf.minimum(1.0, tf.cast(model.optimizer.iterations, tf.float32) / WARM_UP)
    return log_likelihood - weight * tf.reduce_sum(kl, axis=1)


def free_bits(model: vh.VAE, x: tf.Tensor, samples: int = 1) -> tf.Tensor:
    """The KL of a dimension, on average over the minibatch, costs nothing below `FREE` (Kingma et al. 2016)."""
    log_likelihood, kl = terms(model, x)
    return log_likelihood - tf.reduce_sum(tf.maximum(tf.reduce_mean(kl, axis=0), FREE))


@dataclass(frozen=True)
class Training:
    """Six layers of tanh, and one thing changed."""

    encoder: int = 6  # hidden layers
    decoder: int = 6
    activation: str = "tanh"
    skip: tuple[str, ...] = ()  # networks whose layers, but the first, add to what they are given
    step: float = 1e-3
    objective: Callable = bound

    def hidden(self, h: keras.KerasTensor, network: str) -> keras.KerasTensor:
        for number in range(getattr(self, network)):
            out = layers.Dense(WIDTH, self.activation)(h)
            h = layers.add([h, out]) if network in self.skip and number else out  # the first changes the width
        return h

    def build(self, seed: int) -> vh.VAE:
        keras.utils.set_random_seed(seed)
        x, z = keras.Input((28, 28, 1)), keras.Input((LATENTS,))
        heads = layers.Dense(2 * LATENTS)(self.hidden(layers.Flatten()(x), "encoder"))
        logits = layers.Reshape((28, 28, 1))(layers.Dense(784)(self.hidden(z, "decoder")))
        return vh.VAE(keras.Model(x, heads), keras.Model(z, logits), seed=seed)


SIX = Training()
REMEDIES = {
    "one": Training(encoder=1, decoder=1),
    "six": SIX,
    "warm_up": replace(SIX, objective=warm_up),
    "free_bits": replace(SIX, objective=free_bits),
    "small_step": replace(SIX, step=1e-4),
    "relu": replace(SIX, activation="relu"),
    "skip": replace(SIX, skip=("encoder", "decoder")),
    "skip_decoder": replace(SIX, skip=("decoder",)),
    "deep_encoder": replace(SIX, decoder=1),
    "deep_decoder": replace(SIX, encoder=1),
}


class TermsByEpoch(keras.callbacks.Callback):
    """The test ELBO and its KL term after every epoch, nats an image."""

    def __init__(self, test):
        super().__init__()
        self.test, self.elbo, self.kl = test, [], []

    def on_epoch_end(self, epoch, logs=None):
        self.elbo.append(vh.elbo(self.model, self.test))
        self.kl.append(float(vh.kl_per_dimension(self.model, self.test).sum()))


def train(training: Training, seed: int, images: vh.ImageData, epochs: int = EPOCHS) -> dict:
    model = training.build(seed)
    model.compile(keras.optimizers.Adam(training.step), objective=training.objective)
    curve = TermsByEpoch(held_out(images, "threshold"))
    batches = vh.batches(images.train, BATCH_SIZE, "threshold", seed=seed)
    model.fit(batches, epochs=epochs, callbacks=[curve], verbose=0)
    return {
        "test_elbo_by_epoch": curve.elbo,
        "test_kl_by_epoch": curve.kl,
        "active_units": vh.active_units(model, curve.test),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(REMEDIES)}; default: all")
    names = parser.parse_args().names or REMEDIES
    images = vh.load_mnist()
    for seed in SEEDS:
        for name in names:
            path = RESULTS / f"collapse-{name}-seed{seed}.json"
            if path.exists():
                continue
            begun = provenance()
            result = {"training": name, "seed": seed, "data": "mnist, threshold"} | train(REMEDIES[name], seed, images)
            write(path, result | {"provenance": begun})
            ends = result["test_elbo_by_epoch"][-1], result["test_kl_by_epoch"][-1]
            print(f"{name}, seed {seed}: ELBO {ends[0]:.1f}, KL {ends[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
