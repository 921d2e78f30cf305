"""What can be measured of a trained VAE to tell whether it is healthy: one number for each question.

Every measure is small in a healthy model. It is NaN where it cannot be told, and None where it does not apply.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from .evaluation import elbo, log_likelihood
from .model import VAE

_MOST = 10_000  # images of a set that are looked at
_USED = 0.01  # variance of the means from which on a latent dimension counts as used (Burda et al. 2016)


class _Pass(NamedTuple):
    """What one look at images gives: μ and σ [n, J], ELBO [n], and the decoder's distribution in two moments."""

    mean: np.ndarray
    std: np.ndarray
    elbo: np.ndarray
    outputs: np.ndarray  # [n, H, W, C]: logits, or the means of a Gaussian
    spread: np.ndarray  # the σ of a Gaussian's pixels; else the same as `outputs`


class Symptoms:
    """The measures of one model, each made when it is first asked for."""

    def __init__(self, model: VAE, train: np.ndarray, test: np.ndarray, seed: int):
        self.model, self.train, self.seed = model, train, seed
        self._noise = keras.random.SeedGenerator(seed)
        random = np.random.default_rng(seed)  # a set may be sorted by class, and its first images are no fair sample
        self.some_train, self.test = (part[random.permutation(len(part))[:_MOST]] for part in (train, test))
        self.is_gaussian = model.likelihood_name == "gaussian"
        pixels = np.concatenate([self.some_train.ravel(), self.test.ravel()])
        self.low, self.high = float(pixels.min()), float(pixels.max())
        self.grey = float(np.mean((pixels > 0) & (pixels < 1)))

        @tf.function
        def look(x, training):
            del training  # part of the key under which the graph is kept
            q = model.posterior(x)
            z = q.sample(seed=model.next_seed())
            p = model.likelihood(z)
            bound = p.log_prob(x) - tfd.kl_divergence(q, model.prior)
            pixel = p.distribution
            moments = (pixel.loc, pixel.scale) if self.is_gaussian else (pixel.logits_parameter(),) * 2
            return q.mean(), q.stddev(), bound, *moments

        self._look = look

    def look(self, x: np.ndarray, training: bool = False) -> _Pass:
        # The same noise each time: what differs is what is looked at.
        self._noise.state.assign(keras.random.SeedGenerator(self.seed).state)
        with self.model.using(self._noise, training):
            parts = [self._look(tf.constant(x[i : i + 250]), training) for i in range(0, len(x), 250)]
        return _Pass(*(np.concatenate([part.numpy() for part in each]) for each in zip(*parts, strict=True)))

    @functools.cached_property
    def tested(self) -> _Pass:
        return self.look(self.test)

    @property
    def used(self) -> np.ndarray:
        """Which latent dimensions carry anything."""
        return self.tested.mean.var(axis=0) > _USED

    @functools.cached_property
    def codes(self) -> np.ndarray:
        """One z for each test image [n, J]."""
        noise = np.random.default_rng(self.seed).normal(size=self.tested.mean.shape)
        return self.tested.mean + self.tested.std * noise

    # --- the measures ---

    def outside(self) -> float:
        """How far the farthest pixel lies outside [0, 1]; ∞ for NaN."""
        return float(np.nan_to_num(np.max([0.0, -self.low, self.high - 1]), nan=np.inf))

    def dark(self) -> float:
        """How far the brightest pixel lies below 1; NaN is `outside`'s."""
        return 1 - float(np.nan_to_num(self.high, nan=1.0))

    def wrong_kind(self) -> float:
        """The share of pixels that are grey, for the Bernoulli; for the others 1 if none is, else 0."""
        return self.grey if self.model.likelihood_name == "bernoulli" else float(self.grey == 0)

    def not_finite(self) -> float:
        """The share of weights, and of what a look gives, that hold a NaN or an infinity."""
        return float(np.mean([not np.isfinite(part).all() for part in (*self.model.get_weights(), *self.tested)]))

    def below_average_image(self) -> float:
        """By how much a decoder that ignores z, and knows only the average training image, beats the bound."""
        mean, variance = self.train.mean(axis=0), self.train.var(axis=0) + 1e-6
        if self.is_gaussian:
            # No more certain of a pixel than the model ever is: its σ may be fixed.
            outputs = np.concatenate([mean, np.log(np.maximum(variance, self.tested.spread.min() ** 2))], axis=-1)
        else:
            logits = np.linspace(-12, 12, 2401, dtype=np.float32)
            means = self.model._likelihood.pixels(tf.constant(logits)).mean().numpy()
            outputs = np.interp(mean, means, logits)
        pixels = self.model._likelihood.pixels(tf.constant(outputs, tf.float32))
        scores = tf.reduce_sum(pixels.log_prob(self.test), axis=[1, 2, 3])
        return float(tf.reduce_mean(scores)) - float(self.tested.elbo.mean())

    def inverted(self) -> float:
        """By how much inverted test images score higher than the images themselves."""
        some = self.test[:1000]
        return float(self.look(self.low + self.high - some).elbo.mean() - self.tested.elbo[: len(some)].mean())

    def encoder_wavers(self) -> float:
        """By how many σ the means of an image differ between two calls."""
        moved = self.look(self.test[:1000]).mean - self.tested.mean[:1000]
        return float(np.sqrt(np.mean((moved / self.tested.std[:1000]) ** 2)))

    def batch_matters(self) -> float:
        """By how many σ the means of images differ that are encoded one at a time and together."""
        some = self.test[:20]
        alone = np.concatenate([self.model.encoder(some[i : i + 1], training=False) for i in range(len(some))])
        moved = (alone - self.model.encoder(some, training=False))[:, : self.model.latent_dim]
        return float(np.sqrt(np.mean((moved / self.tested.std[: len(some)]) ** 2)))

    def training_mode(self) -> float:
        """By how much the bound rises with the networks in training mode."""
        return float(self.look(self.test[:2000], training=True).elbo.mean() - self.tested.elbo[:2000].mean())

    def unused(self) -> float:
        """The share of latent dimensions that carry nothing."""
        return float(np.mean(~self.used))

    def concentrated(self) -> float | None:
        """The share of the KL that one dimension carries."""
        if self.model.latent_dim < 4 or not self.used.any():
            return None
        mean, std = self.tested.mean, self.tested.std
        kl = 0.5 * (mean**2 + std**2 - 1 - 2 * np.log(std)).mean(axis=0)
        return float(kl.max() / kl.sum())

    def one_sided(self) -> float:
        """The largest share of test images whose means lie on one side of zero, in a dimension that is used."""
        means = self.tested.mean[:, self.used]
        return float(np.stack([(means >= 0).mean(axis=0), (means <= 0).mean(axis=0)]).max(initial=0.0))

    def never_narrow(self) -> float:
        """The largest share of test images, over dimensions, whose σ is 1 or more."""
        # A ReLU before log σ² makes σ exactly 1, but for rounding.
        return float((self.tested.std[:, self.used] >= 1 - 1e-4).mean(axis=0).max(initial=0.0))

    def stuck_scales(self) -> float:
        """The share of σ that is exactly its smallest or its largest value."""
        std = self.tested.std[:, self.used]
        return float(max((std == end(std, axis=0)).mean(axis=0).max(initial=0.0) for end in (np.min, np.max)))

    def off_moments(self) -> float:
        """KL(N(m, S) ‖ p), m and S the mean and covariance of q(z): that part of KL(q(z) ‖ p) is exact."""
        mean, std = (part.astype(float) for part in self.tested[:2])
        m, covariance = mean.mean(axis=0), np.cov(mean.T).reshape(2 * [mean.shape[1]]) + np.diag((std**2).mean(axis=0))
        return float(0.5 * (np.trace(covariance) + m @ m - len(m) - np.linalg.slogdet(covariance)[1]))

    def off_prior(self) -> float:
        """KL(q(z) ‖ p), q(z) the mixture of the test images' posteriors.

        It is the mean KL without the information that z has of the image (Hoffman & Johnson 2016). Where that comes
        near its ceiling, log n, the n posteriors hardly overlap, and how q(z) looks between them cannot be told.
        """
        mean, std = (part.astype(float) for part in self.tested[:2])
        z, precision = self.codes[:1000], std**-2
        squares = z**2 @ precision.T - 2 * z @ (mean * precision).T + (mean**2 * precision).sum(axis=1)
        log_bells = -0.5 * squares - np.log(std).sum(axis=1)
        log_q = np.logaddexp.reduce(log_bells, axis=1) - math.log(len(mean))
        if np.mean(np.diagonal(log_bells) - log_q) > math.log(len(mean)) - 1:
            return math.nan
        return float(np.mean(log_q + 0.5 * (z**2).sum(axis=1)))

    def strange_samples(self) -> float:
        """How much farther the nearest neighbour lies between samples and reconstructions than within reconstructions.

        Samples that are no reconstructions, or reconstructions that are never sampled, whichever is worse, as a share
        of the distance of two unrelated reconstructions.
        """
        noise = np.random.default_rng(self.seed).normal(size=[1000, self.model.latent_dim])
        codes = np.concatenate([self.codes[:2000], noise]).astype(np.float32)
        drawn = [self.model.likelihood(part).mean() for part in np.array_split(codes, 10)]
        images = np.reshape(np.concatenate(drawn), [len(codes), -1]).astype(float)  # squares of equal ones cancel
        reference, others, samples = images[:1000], images[1000:-1000], images[-1000:]

        def nearest(some: np.ndarray, among: np.ndarray) -> float:
            squares = (some[:300] ** 2).sum(axis=1)[:, None] - 2 * some[:300] @ among.T + (among**2).sum(axis=1)
            return np.mean(np.sqrt(squares.min(axis=1).clip(0)))

        unrelated = np.mean(np.linalg.norm(reference[: len(others)] - others, axis=1))
        worse = max(nearest(samples, reference), nearest(reference, samples))
        return float((worse - nearest(others, reference)) / unrelated)

    def overfit(self) -> float:
        """By how much training images score higher than test images."""
        return float(self.look(self.some_train).elbo.mean() - self.tested.elbo.mean())

    def leaked(self) -> float:
        """The share of test images that stand in the training set, byte for byte."""
        seen = {hash(image.tobytes()) for image in self.train}
        return float(np.mean([hash(image.tobytes()) in seen for image in self.test]))

    def already_squashed(self) -> float | None:
        """The share of logits that lie in [0, 1], as probabilities would."""
        outputs = self.tested.outputs
        return None if self.is_gaussian else float(np.mean((outputs >= 0) & (outputs <= 1)))

    def saturated(self) -> float | None:
        """The share of pixels whose sigmoid is exactly 1 in float32, as it is from a logit of 16.6 on."""
        return None if self.is_gaussian else float(np.mean(self.tested.outputs > 16.6))

    def pixel_scale(self) -> float | None:
        """The mean σ of a Gaussian's pixels."""
        return float(np.mean(self.tested.spread)) if self.is_gaussian else None

    def pixel_floor(self) -> float | None:
        """The share of pixels whose σ stands at its smallest, one grey level (with 5% for rounding)."""
        return float(np.mean(self.tested.spread < 1.05 / 255)) if self.is_gaussian else None

    def positive_density(self) -> float | None:
        """The share of images whose bound is above zero: a density may be, a probability may not."""
        return None if self.model.likelihood_name == "bernoulli" else float(np.mean(self.tested.elbo > 0))

    def inference_gap(self) -> float:
        """The nats between the bound and log p(x), by 100 draws of 200 test images."""
        if self.outside() > 0:
            return math.nan
        some = self.test[:200]
        bound = elbo(self.model, some, 40, seed=self.seed)
        return float(np.mean(log_likelihood(self.model, some, 100, self.seed))) - bound
