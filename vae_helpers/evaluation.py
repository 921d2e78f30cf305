"""What a trained model is worth, on images it has not seen: bounds, log-likelihood, and what its latents carry.

Everything streams over the images in chunks, and over the samples of z, so memory does not grow with either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from .expect import expect
from .images import as_model_input, check_images, check_labels
from .model import VAE
from .objectives import sgvb_b
from .progress import Progress

Array = np.ndarray | tf.Tensor


def _chunks(model: VAE, x: Array, size: int, labels: np.ndarray | None = None) -> Iterator[tuple[tf.Tensor, Any]]:
    """The images, some at a time, and their labels; None where there are none."""
    check_images(x)  # all of them before the first is used
    as_model_input(x[:1], model.image_shape)
    if labels is not None:
        expect(model.classes is not None, "labels: expected a ConditionalVAE, got a model of images alone.")
        labels = check_labels(labels, len(x), model.classes)
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        yield tf.convert_to_tensor(x[part]), None if labels is None else tf.constant(labels[part])


def elbo(
    model: VAE, x: Array, samples: int = 1, objective: Callable = sgvb_b, seed: int = 0, labels: Array | None = None
) -> float:
    """The mean of an objective over images, by default the ELBO by estimator B.

    Args:
        model: the VAE; dropout is off.
        x: float32 images in [0, 1], shape [n, H, W, C].
        samples: L, the number of z drawn for an image (k for `vh.iwae`).
        objective: which estimate to average.
        seed: of the noise: the same seed gives the same number.
        labels: for a `ConditionalVAE`, whole numbers [n]; what is bounded then is log p(x | y).

    Returns:
        nats per image.

    Raises:
        ValueError, TypeError: `samples` is below 1, `x` is not a batch of float32 images of the model's shape, the
            objective does not return nats per image [n], or `labels` are missing, not wanted, or out of range.
    """
    seeds, total = keras.random.SeedGenerator(seed), 0.0
    for chunk, given in _chunks(model, x, max(1, 2000 // max(1, samples)), labels):
        with model.using(seeds, False, given):
            values = tf.convert_to_tensor(objective(model, chunk, samples))
        expect(values.shape.rank == 1, f"The objective: expected nats per image, shape [n], got {values.shape}.")
        total += float(tf.reduce_sum(values))
    return total / len(x)


def log_likelihood(model: VAE, x: Array, samples: int = 500, seed: int = 0, labels: Array | None = None) -> np.ndarray:
    """log p(x) by importance sampling from the posterior (Burda et al. 2016, equation 8; Rezende et al. 2014, app. E).

    log (1/k) Σ_i p(x | z_i) p(z_i) / q(z_i | x),  z_i ~ q(z | x),  k = `samples`: a lower bound on average, which
    tightens as k grows. An image is encoded once; its samples stream through a running log-sum-exp, so memory does not
    grow with `samples`.

    Args:
        model: the VAE.
        x: float32 images in [0, 1], shape [n, H, W, C].
        samples: k, the number of z drawn for an image.
        seed: of the noise.
        labels: for a `ConditionalVAE`, whole numbers [n]; the result then is log p(x | y).

    Returns:
        float32 [n], nats.

    Raises:
        ValueError, TypeError: `samples` is below 1, or `x` is not a batch of float32 images of the model's shape.
    """
    expect(samples >= 1, f"samples: expected at least 1, got {samples}.")
    seeds = keras.random.SeedGenerator(seed)

    @tf.function(jit_compile=model.prefers_xla)
    def add_round(running, x, given, loc, scale, n):
        q = tfd.Independent(tfd.Normal(loc, scale), 1)
        with model.using(seeds, False, given):
            z = q.sample(n, seed=model.next_seed())
            log_weights = model.likelihood(z).log_prob(x) + model.prior.log_prob(z) - q.log_prob(z)  # [n, chunk]
        return tf.reduce_logsumexp(tf.concat([running[None], log_weights], axis=0), axis=0)

    results = []
    with Progress("log p(x)", total=len(x)) as progress:
        for chunk, given in _chunks(model, x, 250, labels):
            with model.using(training=False, labels=given):
                normal = model.posterior(chunk).distribution
            running = tf.fill([len(chunk)], -np.inf)
            for drawn in range(0, samples, 10):  # 2,500 decoded images at a time: they fill the cores, not the memory
                running = add_round(running, chunk, given, normal.loc, normal.scale, min(10, samples - drawn))
            results.append(running.numpy() - math.log(samples))
            progress.update(sum(map(len, results)))
    return np.concatenate(results)


def log_likelihood_on_grid(model: VAE, x: Array, limit: float = 6.0, points: int = 400) -> np.ndarray:
    """log p(x) by quadrature, for J = 2: the sum of p(x | z) p(z), times the area of a cell, over a square grid.

    No bound and no sampling. Exact as long as the true posterior lies within the grid and is wider than one of its
    cells, whose side is 2 · `limit` / (`points` − 1), 0.03 by default. The decoder runs once for all images, so a
    `ConditionalVAE` gives log p(x | y) for one label at a time, within `with model.given(label):`.

    Args:
        model: a VAE with J = 2 and a Bernoulli or continuous Bernoulli likelihood, whose log p(x | z) is linear in x.
        x: float32 images in [0, 1], shape [n, H, W, C].
        limit: the grid covers [−limit, limit]².
        points: grid points a side.

    Returns:
        float32 [n], nats.

    Raises:
        ValueError, TypeError: another J, another likelihood, or `x` is not a batch of float32 images of the model's
            shape.
    """
    needs = "The grid needs J = 2 and a Bernoulli or continuous Bernoulli likelihood"
    got = f"got J = {model.latent_dim}, {model.likelihood_name}; vh.log_likelihood takes any model."
    expect(model.latent_dim == 2 and model.likelihood_name != "gaussian", f"{needs}, {got}")
    chunks = [tf.reshape(chunk, [len(chunk), -1]) for chunk, _ in _chunks(model, x, 5000)]
    side = np.linspace(-limit, limit, points, dtype=np.float32)
    black = tf.zeros(model.image_shape)

    @tf.function(jit_compile=model.prefers_xla)
    def decode(z):
        p_x_given_z = model.likelihood(z)
        logits = tf.reshape(p_x_given_z.distribution.logits_parameter(), [len(z), -1])
        # log p(x | z) = x · logits + log p(0 | z), for both likelihoods.
        return logits, p_x_given_z.log_prob(black) + model.prior.log_prob(z) + 2 * math.log(2 * limit / (points - 1))

    @tf.function
    def add_row(running, chunk, logits, offset):
        new = tf.reduce_logsumexp(tf.matmul(chunk, logits, transpose_b=True) + offset, axis=1)
        return tf.reduce_logsumexp(tf.stack([running, new]), axis=0)

    running = [tf.fill([len(chunk)], -np.inf) for chunk in chunks]
    with Progress("log p(x) on the grid", total=points) as progress:
        for row, z_2 in enumerate(side):
            decoded = decode(tf.stack([side, tf.fill([points], z_2)], axis=1))
            running = [add_row(total, chunk, *decoded) for total, chunk in zip(running, chunks, strict=True)]
            progress.update(row + 1)
    return np.concatenate([total.numpy() for total in running])


def _posteriors(model: VAE, x: Array, labels: np.ndarray | None) -> Iterator[tfd.Distribution]:
    for chunk, given in _chunks(model, x, 2000, labels):
        with model.using(training=False, labels=given):
            q = model.posterior(chunk)
        yield q


def kl_per_dimension(model: VAE, x: Array, labels: np.ndarray | None = None) -> np.ndarray:
    """KL(q(z_j | x) ‖ p(z_j)) of each latent dimension j, averaged over images: float32 [J], nats.

    A dimension near zero is not used: its posterior ignores the image. The entries sum to the KL term of the ELBO.

    Args:
        model: the VAE; dropout is off.
        x: float32 images in [0, 1], shape [n, H, W, C].
        labels: for a `ConditionalVAE`, whole numbers [n].

    Raises:
        ValueError, TypeError: `x` is not a batch of float32 images of the model's shape, or `labels` do not fit.
    """
    kls = [tfd.kl_divergence(q.distribution, model.prior.distribution) for q in _posteriors(model, x, labels)]
    return np.concatenate(kls).mean(axis=0, dtype=np.float64).astype(np.float32)


def active_units(model: VAE, x: Array, threshold: float = 0.01, labels: np.ndarray | None = None) -> int:
    """How many latent dimensions carry anything: those with Var_x(E[z_j | x]) above `threshold` (Burda et al. 2016).

    Args and Raises: as of `kl_per_dimension`.
    """
    means = np.concatenate([q.mean().numpy() for q in _posteriors(model, x, labels)])
    return int(np.sum(np.var(means, axis=0) > threshold))
