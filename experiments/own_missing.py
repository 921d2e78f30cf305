"""Missing pixels: how a VAE fills them, and how it is trained on images that have them. `own_data.py` runs this.

In every function `x` are the true images, float32 [n, 28, 28, 1], and `observed` is 1 where a pixel is seen, else 0.
What is not seen enters no method: each begins from a filling of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import vae_helpers as vh  # before Keras and TensorFlow: it silences their start-up lines

import keras  # isort: skip
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

IMAGES = 500  # test images
SAMPLES = 500  # k of every importance-sampled number
STARTS = 5  # chains, or Gaussians, for an image: from as many of its nearest training images
ROUNDS, WARM_UP = 60, 20  # of a Gibbs sampler; means are averaged after the warm-up
STEPS = 50  # uphill, for an image's own Gaussians
LIBRARY = 20_000  # training images that neighbours are looked for in
LOWEST = 1 / 512  # means are kept this far from 0 and 1 before their logarithm is taken: else one wrong pixel costs ∞

# --- filling -------------------------------------------------------------------------------------------------------


def nearest_images(x, observed, library, k):
    """The k images of a library that agree best with what is observed:
    [k, n, 28, 28, 1]. library: [N, 28, 28, 1], 0 or 1."""
    pixels = library.reshape(len(library), -1)
    seen = np.reshape(observed, [len(x), -1])
    sign = 1 - 2 * x.reshape(len(x), -1)  # a wrong pixel counts 1
    distance = (seen * sign) @ pixels.T  # up to a constant of the image
    nearest = np.argpartition(distance, k, axis=1)[:, :k]
    return library[nearest.T]


def pseudo_gibbs(model, x, observed, start, rounds=ROUNDS):
    """Means of p(missing | observed), roughly: the encoder stands in
    for the true posterior (Rezende et al. 2014, appendix F).

    start: what the missing pixels are at first. Returns [n, 28, 28, 1].
    """

    @tf.function(jit_compile=model.prefers_xla)
    def step(filled):
        q = model.posterior(filled)
        p = model.likelihood(q.sample(seed=model.next_seed()))
        drawn = p.sample(seed=model.next_seed())
        return tf.where(observed > 0, x, drawn), p.mean()

    filled, total = tf.where(observed > 0, x, start), 0.0
    for number in range(rounds):
        filled, mean = step(filled)
        if number >= WARM_UP:
            total += mean
    return total / (rounds - WARM_UP)


def metropolis_within_gibbs(model, x, observed, start, rounds=ROUNDS):
    """The same without the error of the encoder: its z is a proposal,
    accepted or not (Mattei & Frellsen 2018, algorithm 1).

    Returns the means [n, 28, 28, 1] and the share of z accepted.
    """

    @tf.function(jit_compile=model.prefers_xla)
    def step(filled, z):
        q = model.posterior(filled)
        z = tf.stack([z, q.sample(seed=model.next_seed())])  # old, new
        log_p = model.likelihood(z).log_prob(filled)
        log_ratio = model.prior.log_prob(z) - q.log_prob(z)
        old, new = tf.unstack(log_p + log_ratio)
        seed = model.next_seed()
        chance = tf.random.stateless_uniform(tf.shape(new), seed)
        accepted = tf.math.log(chance) < new - old
        z = tf.where(accepted[:, None], z[1], z[0])
        p = model.likelihood(z)
        drawn = p.sample(seed=model.next_seed())
        share = tf.reduce_mean(tf.cast(accepted, tf.float32))
        return tf.where(observed > 0, x, drawn), z, p.mean(), share

    filled, total, shares = tf.where(observed > 0, x, start), 0.0, 0.0
    z = model.posterior(filled).sample(seed=model.next_seed())
    for number in range(rounds):
        filled, z, mean, share = step(filled, z)
        if number >= WARM_UP:
            total, shares = total + mean, shares + share
    kept = rounds - WARM_UP
    return total / kept, float(shares) / kept


def own_gaussians(model, x, observed, mean, scale, steps=STEPS):
    """A Gaussian for each image, fitted: from where the encoder puts it
    uphill on the ELBO of the observed pixels, by Adam on μ and log σ.

    mean, scale: [n, J], as the result.
    """
    mean, log_scale = tf.Variable(mean), tf.Variable(np.log(scale))
    rate = keras.optimizers.schedules.CosineDecay(0.1, steps)
    optimizer = keras.optimizers.Adam(rate)

    @tf.function(jit_compile=model.prefers_xla)
    def slopes(mean, log_scale):
        seed = model.next_seed()
        with tf.GradientTape() as tape:
            tape.watch([mean, log_scale])
            scale = tf.exp(log_scale)
            noise = tf.random.stateless_normal(tf.shape(mean), seed)
            p = model.likelihood(mean + scale * noise).distribution
            seen = tf.reduce_sum(p.log_prob(x)[..., :1] * observed)
            q = tfd.Independent(tfd.Normal(mean, scale), 1)
            kl = tf.reduce_sum(tfd.kl_divergence(q, model.prior))
            loss = kl - seen
        return tape.gradient(loss, [mean, log_scale])

    for _ in range(steps):
        found = slopes(mean.value(), log_scale.value())
        optimizer.apply(found, [mean, log_scale])
    return mean.numpy(), np.exp(log_scale)


def importance_sampling(model, x, observed, mean, scale, samples=SAMPLES):
    """Means of p(missing | observed), log p(observed) in nats, and how
    many of the samples count (Mattei & Frellsen 2019, section 3).

    mean, scale: [r, n, J], r Gaussians an image: z is drawn from their
    mixture. Returns [n, 28, 28, 1], [n], [n].
    """
    q = tfd.Independent(tfd.Normal(mean, scale), 1)
    each, n, latent_dim = samples // len(mean), *mean.shape[1:]
    z = q.sample(each, seed=model.next_seed())  # [each, r, n, J]
    z = tf.reshape(z, [-1, n, latent_dim])
    log_q = tf.reduce_logsumexp(q.log_prob(z[:, None]), axis=1)
    p = model.likelihood(z).distribution
    seen = p.log_prob(x)[..., :1] * observed
    log_p = tf.reduce_sum(seen, axis=[-3, -2, -1])
    log_weight = log_p + model.prior.log_prob(z) - log_q
    weight = tf.nn.softmax(log_weight, axis=0)  # [samples, n]
    filled = tf.einsum("sn,snhwc->nhwc", weight, p.mean()[..., :1])
    log_p = tf.reduce_logsumexp(log_weight, axis=0) - math.log(each)
    return filled, log_p, 1 / tf.reduce_sum(weight**2, axis=0)


# --- training with missing pixels ----------------------------------------------------------------------------------


def holes(seed: int) -> np.ndarray:
    """Which pixels of each training image are observed, half of them, the same in every epoch: bool [n, 28, 28, 1]."""
    return np.random.default_rng([seed, 8]).random(vh.load_mnist().train.shape) < 0.5


def with_mask(seed: int) -> np.ndarray:
    """Training images of two channels, the observed pixels and where they are: uint8 [n, 28, 28, 2]."""
    observed = holes(seed)
    return np.concatenate([vh.load_mnist().train * observed, np.uint8(255) * observed], axis=-1)


def fill_zeros(seed: int) -> np.ndarray:
    """Training images with black where a pixel is missing."""
    return vh.load_mnist().train * holes(seed)


def fill_mean(seed: int) -> np.ndarray:
    """Training images with the mean of the observed values of that pixel where one is missing."""
    observed, images = holes(seed), vh.load_mnist().train
    mean = (images * observed).sum(axis=0) / observed.sum(axis=0)
    return np.where(observed, images, np.rint(mean).astype(np.uint8))


def observed_bound(model, x, samples=1):
    """The ELBO of the observed pixels alone, nats [n] (Nazábal et al.
    2020; with more samples inside the logarithm, Mattei & Frellsen 2019).

    x: [n, 28, 28, 2], the pixel or 0, and whether it is observed.
    """
    q = model.posterior(x)
    z = q.sample(samples, seed=model.next_seed())
    log_p = model.likelihood(z).distribution.log_prob(x)
    seen = tf.reduce_sum(log_p[..., 0] * x[..., 1], axis=[-2, -1])
    reconstruction = tf.reduce_mean(seen, axis=0)
    kl = tfd.kl_divergence(q, model.prior)
    model.report(reconstruction=reconstruction, kl=kl)
    return reconstruction - kl


# --- measuring -----------------------------------------------------------------------------------------------------


def scores(x: np.ndarray, observed: np.ndarray, mean: np.ndarray | tf.Tensor) -> dict:
    """How well means agree with the missing pixels: RMSE, and log p in nats per image as of independent pixels."""
    missing, mean = 1 - observed, np.asarray(mean)
    rmse = math.sqrt(np.sum(missing * (x - mean) ** 2) / missing.sum())
    mean = np.clip(mean, LOWEST, 1 - LOWEST)
    log_p = np.sum(missing * np.log(np.where(x == 1, mean, 1 - mean)), axis=(1, 2, 3))
    return {"rmse": rmse, "log_p_of_means": float(log_p.mean())}


def masks(n: int) -> dict[str, np.ndarray]:
    """Which pixels are observed, 1 or 0, float32 [n, 28, 28, 1]; the same for every model."""
    upper = np.zeros([n, 28, 28, 1], np.float32)
    upper[:, :14] = 1
    return {"half at random": np.float32(np.random.default_rng(8).random([n, 28, 28, 1]) < 0.5), "lower half": upper}


class Inference:
    """One model and the noise that all its measurements begin with; images in portions, since each has many samples."""

    def __init__(self, model: vh.VAE, seed: int):
        self.model, self.seed = model, seed
        self._some = tf.function(lambda *arrays: importance_sampling(model, *arrays), jit_compile=model.prefers_xla)

    def gaussians(self, x, observed, mean, scale) -> tuple[np.ndarray, np.ndarray]:
        """`own_gaussians` of several starts an image: mean and scale [r, n, J], as the result."""
        many = (np.tile(images, [len(mean), 1, 1, 1]) for images in (x, observed))
        flat = (part.reshape(-1, part.shape[-1]) for part in (mean, scale))
        with self.model.using(keras.random.SeedGenerator(self.seed)):
            fitted = own_gaussians(self.model, *many, *flat)
        return tuple(part.reshape(mean.shape) for part in fitted)

    def sample(self, x, observed, mean, scale) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`importance_sampling` of all images."""
        # Not by `using`: the compiled function would keep the generator of its first call.
        self.model.seed_generator.state.assign(keras.random.SeedGenerator(self.seed).state)
        parts = []
        for start in range(0, len(x), 20):
            some = slice(start, start + 20)
            parts.append(self._some(x[some], observed[some], mean[:, some], scale[:, some]))
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

    def judge(self, x, observed, mean, scale, log_p_whole) -> dict:
        """What importance sampling makes of the missing pixels; `log_p_joint` is that of all of them at once."""
        filled, log_p, counted = self.sample(x, observed, mean, scale)
        found = scores(x, observed, filled) | {"effective_samples": float(np.median(counted))}
        return found | {"log_p_observed": float(log_p.mean()), "log_p_joint": float(np.mean(log_p_whole - log_p))}


def codes(model: vh.VAE, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale of q(z | x): [r, n, J] of images [r, n, 28, 28, C]."""
    posteriors = [model.posterior(some) for some in images]
    return np.stack([q.mean() for q in posteriors]), np.stack([q.stddev() for q in posteriors])


def compare_trainings(x: np.ndarray, average: np.ndarray, seed: int, trained: Callable[[str, int], vh.VAE]) -> dict:
    """Models that saw complete images, the observed pixels alone, or images whose holes were filled.

    Each is measured by Gaussians fitted to every image: they do not depend on what its encoder makes of a hole. They
    begin where the encoder puts the image as it was trained to see it (of complete ones: the mean image in the holes).
    """
    result, everything = {}, np.ones_like(x)
    for name, start in (("digits", average), ("observed", None), ("zeros", 0 * average), ("means", average)):
        model = trained(name, seed)
        inference, random = Inference(model, seed), np.random.default_rng(seed)

        def begin(observed, start=start, model=model, random=random):
            seen = np.where(observed > 0, x, 0 if start is None else start)
            seen = np.concatenate([seen, observed], axis=-1) if start is None else seen
            mean, scale = (np.repeat(part, STARTS, axis=0) for part in codes(model, seen[None]))
            return np.float32(mean + scale * random.normal(size=mean.shape)), scale

        _, log_p, counted = inference.sample(x, everything, *inference.gaussians(x, everything, *begin(everything)))
        found = {"log_likelihood": float(log_p.mean()), "effective_samples": float(np.median(counted))}
        for mask, observed in masks(len(x)).items():
            fitted = inference.gaussians(x, observed, *begin(observed))
            found[mask] = inference.judge(x, observed, *fitted, log_p)
        result[name] = found
    return result


def compare_fillings(x: np.ndarray, average: np.ndarray, library: np.ndarray, model: vh.VAE, seed: int) -> dict:
    """Ways to fill, the model trained on complete images; all that need a start begin from the nearest images."""
    result, inference, everything = {}, Inference(model, seed), np.ones_like(x)
    fitted = inference.gaussians(x, everything, *codes(model, x[None]))
    log_p = inference.sample(x, everything, *fitted)[1]
    for mask, observed in masks(len(x)).items():
        neighbours = {k: nearest_images(x, observed, library, k) for k in (1, STARTS, 10)}
        found = {"mean image": scores(x, observed, average)}
        found |= {f"{k} nearest": scores(x, observed, neighbours[k].mean(axis=0)) for k in (1, 10)}
        start = np.where(observed > 0, x, neighbours[STARTS])
        many = [np.tile(images, [STARTS, 1, 1, 1]) for images in (x, observed)]
        with model.using(keras.random.SeedGenerator(seed)):
            gibbs = pseudo_gibbs(model, *many, start.reshape(many[0].shape))
            exact, accepted = metropolis_within_gibbs(model, *many, start.reshape(many[0].shape))
        for name, mean in (("pseudo-Gibbs", gibbs), ("Metropolis within Gibbs", exact)):
            found[name] = scores(x, observed, mean.numpy().reshape(start.shape).mean(axis=0))
        found["Metropolis within Gibbs"]["accepted"] = accepted
        encoded = codes(model, start)
        found["importance sampling, the encoder's q"] = inference.judge(x, observed, *encoded, log_p)
        fitted = inference.gaussians(x, observed, *encoded)
        found["importance sampling, own q"] = inference.judge(x, observed, *fitted, log_p)
        result[mask] = found
    return result


def measure_missing(seed: int, trained: Callable[[str, int], vh.VAE]) -> dict:
    """What `own-missing-seedN.json` keeps; `trained` gives a model by its name in `own_data.RECIPES`."""
    images = vh.load_mnist()
    x = vh.binarize(images.test[:IMAGES], "fixed", seed=0)
    average = vh.binarize(images.train, "none").mean(axis=0)
    library = vh.binarize(images.train[:LIBRARY], "fixed", seed=seed)
    return {
        "images": IMAGES,
        "samples": SAMPLES,
        "starts": STARTS,
        "rounds": ROUNDS,
        "warm_up": WARM_UP,
        "steps": STEPS,
        "lowest_mean": LOWEST,
        "filling": compare_fillings(x, average, library, trained("digits", seed), seed),
        "training": compare_trainings(x, average, seed, trained),
    }
