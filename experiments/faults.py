"""Mistakes found in the wild: each made in a few lines, trained and measured beside the honest model.

    python experiments/faults.py                   # train and measure what is missing, and the book's five systems
    python experiments/faults.py relu_on_mean      # one exhibit
    python experiments/faults.py --examine         # then: the check-up of all that was trained
    python experiments/faults.py --explain         # what `explain_loss` says, once more; needs no trained weights

Every exhibit is the dense network of system S3 (256 hidden units, J = 2), trained for ten epochs of 100 images on MNIST
cut to black and white, with Adam at a step of 0.001, unless it says otherwise. One thing is wrong with it. Its log p(x)
is exact, over a grid wide enough for its codes. Weights stay in `experiments/weights`, which git ignores; results go to
`experiments/results/fault-NAME-seedN.json`.
"""

from __future__ import annotations

import argparse
import inspect
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import vae_helpers as vh  # before Keras and TensorFlow: it silences their start-up lines

import keras  # isort: skip
import numpy as np
import tensorflow as tf
from keras import layers
from run import RESULTS, SEEDS, SYSTEMS, pictures, provenance, write
from tensorflow_probability import distributions as tfd

WEIGHTS = Path(__file__).parent / "weights"
IMAGES = 1000  # test images whose exact log p(x) is computed


# --- the loss, as people write it: nats per image, to be minimised -------------------------------------------------


def encode(model, x):
    """μ and log σ²."""
    q = model.posterior(x).distribution
    return q.loc, 2 * tf.math.log(q.scale)


def noise(model, like):
    return tf.random.stateless_normal(tf.shape(like), model.next_seed())


def decode(model, z):
    """Logits of the pixels."""
    return model.likelihood(z).distribution.logits_parameter()


def cross_entropy(x, logits):
    """Of each pixel [n, 28, 28, 1]."""
    return tf.nn.sigmoid_cross_entropy_with_logits(tf.broadcast_to(x, tf.shape(logits)), logits)


def over_pixels(values):
    return tf.reduce_sum(values, axis=[1, 2, 3])


def terms(model, x):
    """Cross-entropy of pixels [n, 28, 28, 1], KL of latents [n, J]."""
    mean, log_variance = encode(model, x)
    z = mean + tf.exp(0.5 * log_variance) * noise(model, mean)
    kl = 0.5 * (mean**2 + tf.exp(log_variance) - 1 - log_variance)
    return cross_entropy(x, decode(model, z)), kl


def honest(model, x):
    pixels, kl = terms(model, x)
    return over_pixels(pixels) + tf.reduce_sum(kl, axis=1)


# --- the weight of the KL ------------------------------------------------------------------------------------------


def kl_averaged(model, x):
    pixels, kl = terms(model, x)
    return over_pixels(pixels) + tf.reduce_mean(kl, axis=1)


def kl_twentieth(model, x):
    pixels, kl = terms(model, x)
    return over_pixels(pixels) + tf.reduce_sum(kl, axis=1) / 20


def kl_fifth(model, x):
    pixels, kl = terms(model, x)
    return over_pixels(pixels) + tf.reduce_sum(kl, axis=1) / 5


def kl_over_batch_and_pixels(model, x):
    pixels, kl = terms(model, x)
    kl = tf.reduce_sum(kl) / (100 * 784)
    return tf.reduce_mean(over_pixels(pixels)) + kl


def pixels_averaged(model, x):
    pixels, kl = terms(model, x)
    kl = tf.reduce_mean(tf.reduce_sum(kl, axis=1))
    return tf.reduce_mean(pixels) + kl


def small_constant_weight(model, x):
    pixels, kl = terms(model, x)
    kl = tf.reduce_mean(tf.reduce_sum(kl, axis=1))
    return tf.reduce_mean(pixels) + 0.00025 * kl


def minibatch_over_dataset(model, x):
    pixels, kl = terms(model, x)
    return over_pixels(pixels) + 100 / 60_000 * tf.reduce_sum(kl, axis=1)


def half_dropped(model, x):
    mean, log_variance = encode(model, x)
    z = mean + tf.exp(0.5 * log_variance) * noise(model, mean)
    kl = mean**2 + tf.exp(log_variance) - 1 - log_variance
    pixels = cross_entropy(x, decode(model, z))
    return over_pixels(pixels) + tf.reduce_sum(kl, axis=1)


# --- σ and its noise -----------------------------------------------------------------------------------------------


def log_variance_as_log_std(model, x):
    mean, log_variance = encode(model, x)
    log_std = 0.5 * log_variance
    z = mean + tf.exp(log_std) * noise(model, mean)
    kl = 0.5 * (mean**2 + tf.exp(log_std) - 1 - log_std)
    pixels = cross_entropy(x, decode(model, z))
    return over_pixels(pixels) + tf.reduce_sum(kl, axis=1)


def noise_of_fixed_scale(model, x):
    mean, log_variance = encode(model, x)
    z = mean + noise(model, mean)
    kl = 0.5 * (mean**2 + tf.exp(log_variance) - 1 - log_variance)
    pixels = cross_entropy(x, decode(model, z))
    return over_pixels(pixels) + tf.reduce_sum(kl, axis=1)


def small_noise(model, x):
    mean, log_variance = encode(model, x)
    z = mean + tf.exp(0.5 * log_variance) * 0.01 * noise(model, mean)
    kl = 0.5 * (mean**2 + tf.exp(log_variance) - 1 - log_variance)
    pixels = cross_entropy(x, decode(model, z))
    return over_pixels(pixels) + tf.reduce_sum(kl, axis=1)


def no_noise(model, x):
    mean, log_variance = encode(model, x)
    kl = 0.5 * (mean**2 + tf.exp(log_variance) - 1 - log_variance)
    pixels = cross_entropy(x, decode(model, mean))
    return over_pixels(pixels) + tf.reduce_sum(kl, axis=1)


# --- pixels --------------------------------------------------------------------------------------------------------


def log_of_clipped_sigmoid(model, x):
    mean, log_variance = encode(model, x)
    z = mean + tf.exp(0.5 * log_variance) * noise(model, mean)
    kl = 0.5 * (mean**2 + tf.exp(log_variance) - 1 - log_variance)
    p = tf.clip_by_value(tf.sigmoid(decode(model, z)), 1e-8, 1 - 1e-8)
    pixels = -(x * tf.math.log(p) + (1 - x) * tf.math.log(1 - p))
    return over_pixels(pixels) + tf.reduce_sum(kl, axis=1)


def cross_entropy_of_probabilities(model, x):
    mean, log_variance = encode(model, x)
    z = mean + tf.exp(0.5 * log_variance) * noise(model, mean)
    kl = 0.5 * (mean**2 + tf.exp(log_variance) - 1 - log_variance)
    p = tf.clip_by_value(tf.sigmoid(decode(model, z)), 1e-7, 1 - 1e-7)
    pixels = -(x * tf.math.log(p) + (1 - x) * tf.math.log(1 - p))
    return over_pixels(pixels) + tf.reduce_sum(kl, axis=1)


def bytes_as_pixels(x):
    return 255 * x


def pixels_around_zero(x):
    return 2 * x - 1


def standardised(x):
    return (x - 0.1307) / 0.3081


def inverted(x):
    return 1 - x


# --- bounds --------------------------------------------------------------------------------------------------------


def five_draws(model, x):
    """log p(x | z), and log q(z | x) − log p(z), of five z an image [5, n]."""
    q = model.posterior(x)
    z = q.sample(5, seed=model.next_seed())
    return model.likelihood(z).log_prob(x), q.log_prob(z) - model.prior.log_prob(z)


def importance_weighted(model, x):
    log_likelihood, log_ratio = five_draws(model, x)
    return -tf.reduce_logsumexp(log_likelihood - log_ratio, axis=0) + math.log(5)


def importance_weights_upside_down(model, x):
    log_likelihood, log_ratio = five_draws(model, x)
    losses = log_ratio - log_likelihood
    weights = tf.stop_gradient(tf.nn.softmax(losses, axis=0))
    return tf.reduce_sum(weights * losses, axis=0)


def wrongly_paired(model, x):
    q = model.posterior(x)
    z = tf.reshape(q.sample(4, seed=model.next_seed()), [-1, model.latent_dim])
    targets = tf.repeat(x, 4, axis=0)  # image 0 four times, then image 1 …
    pixels = -tf.reduce_mean(model.likelihood(z).log_prob(targets))
    return pixels + tf.reduce_mean(tfd.kl_divergence(q, model.prior))


def gradient_cut(model, x):
    q = model.posterior(x)
    z = tf.stop_gradient(q.sample(seed=model.next_seed()))
    pixels = -model.likelihood(z).log_prob(x)
    return pixels + tfd.kl_divergence(q, model.prior)


def summed_over_batch(model, x):
    return tf.reduce_sum(honest(model, x))


# --- networks ------------------------------------------------------------------------------------------------------


def dense(seed, latent_dim=2):
    return vh.mlp_vae(latent_dim=latent_dim, hidden=(256,), seed=seed)


def dense_of_20(seed):
    return dense(seed, latent_dim=20)


def dense_with(seed, after_hidden=(), on_mean=None, on_log_variance=None, latent_dim=2):
    """`dense`, with further layers after the hidden one and activations on the heads."""
    keras.utils.set_random_seed(seed)
    x, z = keras.Input((28, 28, 1)), keras.Input((latent_dim,))
    hidden = layers.Dense(256, activation="relu")(layers.Flatten()(x))
    for layer in after_hidden:
        hidden = layer()(hidden)
    mean, log_variance = (layers.Dense(latent_dim, activation=head)(hidden) for head in (on_mean, on_log_variance))
    encoder = keras.Model(x, layers.Concatenate()([mean, log_variance]), name="encoder")
    hidden = layers.Dense(256, activation="relu")(z)
    for layer in after_hidden:
        hidden = layer()(hidden)
    decoder = keras.Model(z, layers.Reshape((28, 28, 1))(layers.Dense(784)(hidden)), name="decoder")
    return vh.VAE(encoder, decoder, seed=seed)


def relu_on_mean(seed):
    return dense_with(seed, on_mean="relu")


def relu_on_log_variance(seed):
    return dense_with(seed, on_log_variance="relu")


def relu_on_both(seed):
    return dense_with(seed, on_mean="relu", on_log_variance="relu")


def batch_normalised(seed):
    return dense_with(seed, [layers.BatchNormalization])  # momentum 0.99


def batch_normalised_of_20(seed):
    return dense_with(seed, [layers.BatchNormalization], latent_dim=20)


def slow_normalisation():
    return layers.BatchNormalization(momentum=0.9999)


def slow_batch_normalised(seed):
    return dense_with(seed, [slow_normalisation])


@keras.saving.register_keras_serializable(package="faults")
class AlwaysDropout(layers.Dropout):
    def call(self, inputs, training=None):
        return super().call(inputs, training=True)


def dropout(seed):
    return dense_with(seed, after_hidden=[lambda: layers.Dropout(0.2)])


def dropout_left_on(seed):
    return dense_with(seed, [lambda: AlwaysDropout(0.2)])


def not_flattened(seed):
    keras.utils.set_random_seed(seed)
    x, z = keras.Input((28, 28, 1)), keras.Input((28 * 28 * 2,))
    hidden = layers.Dense(32, activation="relu")(x)  # of each pixel
    heads = [layers.Flatten()(layers.Dense(2)(hidden)) for _ in range(2)]
    encoder = keras.Model(x, layers.Concatenate()(heads), name="encoder")
    pixels = layers.Reshape((28, 28, 2))(z)
    hidden = layers.Dense(32, activation="relu")(pixels)
    decoder = keras.Model(z, layers.Dense(1)(hidden), name="decoder")
    return vh.VAE(encoder, decoder, seed=seed)


# --- the exhibits --------------------------------------------------------------------------------------------------


def as_it_is(x):
    return x


def training_images(train, test):
    return train


def with_test_images(train, test):
    return np.concatenate([train, test])


def half_mirrored(train, test):
    some = np.random.default_rng(0).random((len(train), 1, 1, 1)) < 0.5
    return np.where(some, train[:, :, ::-1], train)


@dataclass(frozen=True)
class Exhibit:
    """One mistake, and the model that it is held against."""

    loss: Callable = honest
    build: Callable[[int], vh.VAE] = dense
    pixels: Callable = as_it_is  # how the pipeline hands images over, to the encoder and to the loss
    against: str = "honest"
    optimizer: Callable = lambda: keras.optimizers.Adam(1e-3)
    epochs: int = 10
    shown: Callable = training_images  # what it is trained on, of training and test images


def sgd():
    return keras.optimizers.SGD(1e-3)


EXHIBITS = {
    # what the others are held against
    "honest": Exhibit(),
    "honest_of_20": Exhibit(build=dense_of_20),
    "honest_iwae": Exhibit(importance_weighted),
    "honest_sgd": Exhibit(optimizer=sgd),
    "honest_dropout": Exhibit(build=dropout),
    # the weight of the KL
    "kl_averaged": Exhibit(kl_averaged),
    "kl_averaged_of_20": Exhibit(kl_averaged, build=dense_of_20, against="honest_of_20"),
    "kl_twentieth": Exhibit(kl_twentieth),
    "kl_fifth_of_20": Exhibit(kl_fifth, build=dense_of_20, against="honest_of_20"),
    "kl_over_batch_and_pixels": Exhibit(kl_over_batch_and_pixels),
    "pixels_averaged": Exhibit(pixels_averaged),
    "small_constant_weight": Exhibit(small_constant_weight),
    "minibatch_over_dataset": Exhibit(minibatch_over_dataset),
    "half_dropped": Exhibit(half_dropped),
    # σ and its noise
    "log_variance_as_log_std": Exhibit(log_variance_as_log_std),
    "noise_of_fixed_scale": Exhibit(noise_of_fixed_scale),
    "small_noise": Exhibit(small_noise),
    "no_noise": Exhibit(no_noise),
    # networks
    "relu_on_mean": Exhibit(build=relu_on_mean),
    "relu_on_log_variance": Exhibit(build=relu_on_log_variance),
    "relu_on_both": Exhibit(build=relu_on_both),
    "not_flattened": Exhibit(build=not_flattened, epochs=1),
    "batch_normalised": Exhibit(build=batch_normalised),
    "slow_batch_normalised": Exhibit(build=slow_batch_normalised),
    "dropout_left_on": Exhibit(build=dropout_left_on, against="honest_dropout"),
    # pixels
    "log_of_clipped_sigmoid": Exhibit(log_of_clipped_sigmoid),
    "log_of_clipped_sigmoid_of_20": Exhibit(log_of_clipped_sigmoid, build=dense_of_20, against="honest_of_20"),
    "log_of_clipped_sigmoid_for_long": Exhibit(log_of_clipped_sigmoid, dense_of_20, against="honest_of_20", epochs=100),
    "bytes_as_pixels": Exhibit(pixels=bytes_as_pixels),
    "pixels_around_zero": Exhibit(pixels=pixels_around_zero),
    "pixels_around_zero_clipped": Exhibit(cross_entropy_of_probabilities, pixels=pixels_around_zero),
    "standardised": Exhibit(pixels=standardised),
    "standardised_clipped": Exhibit(cross_entropy_of_probabilities, pixels=standardised),
    "inverted": Exhibit(pixels=inverted),
    # data, bounds, optimiser
    "test_images_in_training": Exhibit(shown=with_test_images),
    "importance_weights_upside_down": Exhibit(importance_weights_upside_down, against="honest_iwae"),
    "summed_over_batch": Exhibit(summed_over_batch),
    "summed_over_batch_sgd": Exhibit(summed_over_batch, optimizer=sgd, against="honest_sgd"),
    # what shows no cost with two latent numbers, with twenty
    "honest_iwae_of_20": Exhibit(importance_weighted, dense_of_20),
    "half_dropped_of_20": Exhibit(half_dropped, dense_of_20, against="honest_of_20"),
    "log_variance_as_log_std_of_20": Exhibit(log_variance_as_log_std, dense_of_20, against="honest_of_20"),
    "batch_normalised_of_20": Exhibit(build=batch_normalised_of_20, against="honest_of_20"),
    "test_images_in_training_of_20": Exhibit(build=dense_of_20, shown=with_test_images, against="honest_of_20"),
    "importance_weights_upside_down_of_20": Exhibit(
        importance_weights_upside_down, dense_of_20, against="honest_iwae_of_20"
    ),
    # planted by somebody who had not seen the code of the tools
    "wrongly_paired": Exhibit(wrongly_paired, dense_of_20, against="honest_of_20"),
    "gradient_cut": Exhibit(gradient_cut, dense_of_20, against="honest_of_20"),
    "half_mirrored": Exhibit(build=dense_of_20, shown=half_mirrored, against="honest_of_20"),
}


def source(name: str, parts: Sequence[str] = ("loss", "build", "pixels", "shown")) -> str:
    """The lines that make the mistake, as they ran: what differs from the honest model."""
    exhibit = EXHIBITS[name]
    other = EXHIBITS[exhibit.against]
    changed = [getattr(exhibit, part) for part in parts if getattr(exhibit, part) is not getattr(other, part)]
    return "\n\n".join(inspect.getsource(part).strip() for part in changed)


# --- training and measuring ----------------------------------------------------------------------------------------


def data() -> tuple[np.ndarray, np.ndarray]:
    """Training and test images, cut to black and white at one half."""
    images = vh.load_mnist()
    return vh.binarize(images.train, "threshold"), vh.binarize(images.test, "threshold")


def objective(exhibit: Exhibit) -> Callable:
    """What `fit` maximises: the loss with its sign changed."""
    return lambda model, x, samples: -exhibit.loss(model, exhibit.pixels(x)) * tf.ones(tf.shape(x)[:1])


def train(exhibit: Exhibit, seed: int, train_images: np.ndarray, test: np.ndarray) -> tuple[vh.VAE, dict]:
    """The trained model and how its training went; NaN is a result here, not an error."""
    model = exhibit.build(seed)
    model.compile(exhibit.optimizer(), objective=objective(exhibit))
    train_images = exhibit.shown(train_images, test)
    losses, error = [], None
    each = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
    try:
        model.fit(vh.batches(train_images, 100, seed=seed), epochs=exhibit.epochs, callbacks=[each], verbose=0)
    except FloatingPointError as stopped:
        error = str(stopped)
    return model, {"loss_by_epoch": losses, "stopped": error}


def wide_enough(model: vh.VAE, x: np.ndarray) -> dict:
    """The grid for the exact log p(x): it holds the codes, too, where they lie far outside the prior."""
    farthest = float(np.abs(model.posterior(x).mean()).max())
    limit = float(np.clip(1.1 * farthest, 6, 60))
    return {"limit": limit, "points": int(np.clip(2 * limit / 0.03, 400, 1200))}


def as_judged(exhibit: Exhibit, model: vh.VAE) -> vh.VAE:
    """The same networks for images within [0, 1]: what the pipeline does to them becomes the first layer."""
    if exhibit.pixels is as_it_is:
        return model
    offset = float(exhibit.pixels(0.0))
    x = keras.Input(model.image_shape)
    rescaled = layers.Rescaling(float(exhibit.pixels(1.0)) - offset, offset)(x)
    return vh.VAE(keras.Model(x, model.encoder(rescaled)), model.decoder, seed=0)


def measure(exhibit: Exhibit, model: vh.VAE, test: np.ndarray) -> dict:
    """What the mistaken program would report, and what is true: nats per test image."""
    with model.using(keras.random.SeedGenerator(0)):
        graph = tf.function(lambda x: tf.reduce_mean(exhibit.loss(model, exhibit.pixels(x))))
        result = {"own_loss": float(np.mean([graph(test[i : i + 100]) for i in range(0, len(test), 100)]))}
    judged = as_judged(exhibit, model)
    result["elbo"] = vh.elbo(judged, test)
    some = test[:IMAGES]
    grid = {}
    if exhibit.build is not_flattened:
        # Every pixel for itself, all by the same decoder: p(x) is a product, and one pixel is a plane to sum over.
        side = np.linspace(-6, 6, 401, dtype=np.float32)
        plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
        z = np.zeros([len(plane) // 784 + 1, 784, 2], np.float32)
        z.reshape(-1, 2)[: len(plane)] = plane
        logits = np.reshape(decode(model, z.reshape(len(z), -1)), -1)[: len(plane)]
        p = float(np.sum(np.exp(-0.5 * (plane**2).sum(axis=1)) / (2 * np.pi) * 0.03**2 / (1 + np.exp(-logits))))
        on = some.sum(axis=(1, 2, 3))
        exact = on * math.log(p) + (784 - on) * math.log1p(-p)
    elif model.latent_dim == 2:
        grid = wide_enough(judged, test)
        exact = vh.log_likelihood_on_grid(judged, some, **grid)
    else:
        exact = vh.log_likelihood(judged, some, samples=500)
    result |= {"log_likelihood": float(np.mean(exact)), "log_likelihood_images": IMAGES, "grid": grid}
    if exhibit.pixels is inverted:
        result["log_likelihood_of_inverted"] = float(np.mean(vh.log_likelihood_on_grid(judged, inverted(some), **grid)))
    at_mean = tf.reduce_sum(cross_entropy(test, decode(judged, judged.posterior(test).mean())), axis=[1, 2, 3])
    result["elbo_at_mean"] = -float(tf.reduce_mean(at_mean)) - float(vh.kl_per_dimension(judged, test).sum())
    return result


def weights_of(name: str, seed: int) -> Path:
    return WEIGHTS / f"{name}-seed{seed}.weights.h5"


def result_of(name: str, seed: int) -> Path:
    return RESULTS / f"fault-{name}-seed{seed}.json"


def run(name: str, seed: int) -> None:
    """Trains and measures one exhibit, unless its weights and its result are there."""
    path, kept = result_of(name, seed), weights_of(name, seed)
    if path.exists() and kept.exists():
        return
    exhibit, begun, start = EXHIBITS[name], provenance(), time.monotonic()
    train_images, test = data()
    model, result = train(exhibit, seed, train_images, test)
    trained = time.monotonic()
    model.save_weights(kept)
    if all(np.isfinite(weight).all() for weight in model.get_weights()):
        result |= measure(exhibit, model, test)
        if seed == 0:
            pictures(as_judged(exhibit, model), test, columns=10).save(path.with_suffix(".png"))
    write(path, {"exhibit": name, "seed": seed, "data": "mnist, threshold", **result, "provenance": begun})
    print(
        f"{name}, seed {seed}: {result.get('log_likelihood', math.nan):.2f}, trained in {trained - start:.0f} s,"
        f" measured in {time.monotonic() - trained:.0f} s",
        flush=True,
    )


def healthy(name: str, seed: int) -> vh.VAE:
    """One of the book's five systems, trained on black and white MNIST, from its kept weights if they are there."""
    system, kept = SYSTEMS[name], weights_of(name, seed)
    model = system.build(seed)
    if kept.exists():
        model.load_weights(kept)
        return model
    model.compile(system.optimizer(), objective=system.objective)
    model.fit(vh.batches(data()[0], system.batch_size, seed=seed), epochs=system.epochs, verbose=0)
    model.save_weights(kept)
    print(f"{name}, seed {seed}: trained", flush=True)
    return model


def explain(name: str, images: np.ndarray) -> dict:
    """What `explain_loss` says of an exhibit's loss; no training enters."""
    exhibit = EXHIBITS[name]
    try:
        found = vh.explain_loss(lambda model, x: exhibit.loss(model, exhibit.pixels(x)), exhibit.build(0), images)
    except ValueError as error:
        return {"recognised": None, "sentence": str(error)}
    return {key: getattr(found, key) for key in ("beta", "scale", "recognised", "sentence")}


def explain_again(name: str) -> None:
    """What `explain_loss` says of an exhibit now, in its stored result."""
    path = result_of(name, 0)
    result = json.loads(path.read_text())
    result["explained"] = explain(name, data()[1][:100]) | {"provenance": provenance()}
    write(path, result)
    print(f"{name}: {result['explained']['recognised']}", flush=True)


def examine(name: str, seed: int) -> None:
    """The check-up of what was trained, and with the first seed `explain_loss`, beside what was measured of it."""
    train_images, test = data()
    if name in SYSTEMS:
        path, exhibit, model = RESULTS / f"healthy-{name}-seed{seed}.json", Exhibit(), healthy(name, seed)
        result = {"system": name, "seed": seed, "data": "mnist, threshold"}
    else:
        path, exhibit = result_of(name, seed), EXHIBITS[name]
        model, result = exhibit.build(seed), json.loads(path.read_text())
        model.load_weights(weights_of(name, seed))
        result.pop("explained", None)
        if seed == 0:
            result["explained"] = explain(name, test[:100])
    # Inverted pictures show where somebody else's test images, or the next program's, are not inverted.
    pixels_of_test = as_it_is if exhibit.pixels is inverted else exhibit.pixels
    checked = vh.checkup(model, exhibit.pixels(exhibit.shown(train_images, test)), pixels_of_test(test))
    result["findings"] = {found.name: [found.level, found.value] for found in checked.findings}
    result["examined"] = provenance()
    write(path, result)
    print(
        f"{name}, seed {seed}: {result.get('explained', {}).get('recognised')}; {', '.join(checked.faults)}", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join((*EXHIBITS, *SYSTEMS))}; default: all")
    parser.add_argument("--seed", type=int, action="append", help=f"default: {SEEDS}")
    parser.add_argument("--examine", action="store_true", help="the check-up again, on the weights that are kept")
    parser.add_argument("--explain", action="store_true", help="explain_loss again")
    arguments = parser.parse_args()
    WEIGHTS.mkdir(exist_ok=True)
    if arguments.explain:
        for name in arguments.names or EXHIBITS:
            explain_again(name)
        return
    for seed in arguments.seed or SEEDS:
        for name in arguments.names or [*EXHIBITS, *SYSTEMS]:
            if arguments.examine:
                examine(name, seed)
            elif name in SYSTEMS:
                healthy(name, seed)
            else:
                run(name, seed)


if __name__ == "__main__":
    main()
