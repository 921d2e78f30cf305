"""What training maximises: estimators of the evidence lower bound (ELBO) and its tighter relatives.

An objective is a plain function of `(model, x, samples)` that returns one number per image, in nats, shape [n]. Adding
an objective is adding a function. Each draws its noise from the model, so the same model state gives the same noise:
two objectives called from the same state are compared on the same z.
"""

from __future__ import annotations

import math

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from .expect import expect
from .model import VAE

_registered = keras.saving.register_keras_serializable(package="vae_helpers")


def _draw(model: VAE, x: tf.Tensor, samples: int, fixed: bool = False) -> tuple[tfd.Distribution, tf.Tensor, tf.Tensor]:
    """q(z | x), z drawn from it [L, n, J], held `fixed` or not, and log p(x | z) [L, n]: where all start."""
    expect(samples >= 1, f"samples is the number of z drawn for an image: expected at least 1, got {samples}.")
    q = model.posterior(x)
    z = q.sample(samples, seed=model.next_seed())
    z = tf.stop_gradient(z) if fixed else z
    return q, z, model.likelihood(z).log_prob(x)


def _log_weights(model: VAE, z: tf.Tensor, log_likelihood: tf.Tensor, log_q: tf.Tensor) -> tf.Tensor:
    """log p(x | z) + log p(z) − log q(z | x) [L, n], whose two terms are reported, averaged over the samples."""
    log_ratio = log_q - model.prior.log_prob(z)
    model.report(reconstruction=tf.reduce_mean(log_likelihood, 0), kl=tf.reduce_mean(log_ratio, 0))
    return log_likelihood - log_ratio


def _without_parameter_gradient(q: tfd.Distribution) -> tfd.Distribution:
    """The same Normal, with μ and σ held constant, so that only z carries a gradient into log q(z | x)."""
    normal = q.distribution
    return tfd.Independent(tfd.Normal(tf.stop_gradient(normal.loc), tf.stop_gradient(normal.scale)), 1)


@_registered
def sgvb_a(model: VAE, x: tf.Tensor, samples: int = 1) -> tf.Tensor:
    """Estimator A: all three terms by Monte Carlo (Kingma & Welling 2013, equation 6).

    mean over l of  log p(x | z_l) + log p(z_l) − log q(z_l | x),  z_l = μ + σ ε_l.

    Args:
        model: the VAE.
        x: float32 images in [0, 1], shape [n, H, W, C].
        samples: L, the number of z drawn for an image.

    Returns:
        float32 [n], nats: an unbiased estimate of the ELBO of each image.

    Raises:
        ValueError, TypeError: `samples` is below 1, or `x` is not a batch of float32 images of the model's shape.
    """
    q, z, log_likelihood = _draw(model, x, samples)
    return tf.reduce_mean(_log_weights(model, z, log_likelihood, q.log_prob(z)), axis=0)


@_registered
def sgvb_b(model: VAE, x: tf.Tensor, samples: int = 1) -> tf.Tensor:
    """Estimator B: the KL term in closed form, the rest by Monte Carlo (Kingma & Welling 2013, equation 7).

    mean over l of  log p(x | z_l)  −  KL(q(z | x) ‖ p(z)).  Arguments, result and errors as for `sgvb_a`.
    """
    q, _, log_likelihood = _draw(model, x, samples)
    reconstruction = tf.reduce_mean(log_likelihood, axis=0)
    kl = tfd.kl_divergence(q, model.prior)
    model.report(reconstruction=reconstruction, kl=kl)
    return reconstruction - kl


@_registered
def sticking_the_landing(model: VAE, x: tf.Tensor, samples: int = 1) -> tf.Tensor:
    """Estimator A without the score term in its gradient (Roeder, Wu & Duvenaud 2017, equation 6).

    The value is that of `sgvb_a`. The gradient by the encoder's weights φ leaves out ∂/∂φ log q_φ(z | x) at fixed z:
    its mean is zero, and without it the gradient vanishes where q is the true posterior. Arguments, result and errors
    as for `sgvb_a`.
    """
    q, z, log_likelihood = _draw(model, x, samples)
    log_q = _without_parameter_gradient(q).log_prob(z)
    return tf.reduce_mean(_log_weights(model, z, log_likelihood, log_q), axis=0)


@_registered
def iwae(model: VAE, x: tf.Tensor, samples: int = 5) -> tf.Tensor:
    """The importance-weighted bound (Burda, Grosse & Salakhutdinov 2016, equation 8).

    log (1/k) Σ_i p(x | z_i) p(z_i) / q(z_i | x)  with k = `samples`: rising in k on average, never above log p(x) on
    average, and equal to estimator A for k = 1 (which `compile` and `vh.elbo` pass unless you give `samples`). The
    reconstruction and KL that it reports are those of the ordinary ELBO. `model`, `x` and errors as for `sgvb_a`.

    Returns:
        float32 [n], nats: an unbiased estimate of the bound for this k of each image.
    """
    q, z, log_likelihood = _draw(model, x, samples)
    return tf.reduce_logsumexp(_log_weights(model, z, log_likelihood, q.log_prob(z)), axis=0) - math.log(samples)


@_registered
def score_function(model: VAE, x: tf.Tensor, samples: int = 1) -> tf.Tensor:
    """Estimator A with the score-function gradient for the encoder (Kingma & Welling 2013, section 2.2).

    The value is that of `sgvb_a`. In the gradient z is held fixed: by the encoder's weights φ it is
    f(z) ∂/∂φ log q_φ(z | x), with f = log p(x | z) + log p(z) − log q(z | x) as a constant factor. It is right on
    average, takes no derivative of f in z, and has a variance that grows with f. Arguments, result and errors as for
    `sgvb_a`.
    """
    q, z, log_likelihood = _draw(model, x, samples, fixed=True)
    log_q = q.log_prob(z)
    value = _log_weights(model, z, log_likelihood, tf.stop_gradient(log_q))
    score = log_q - tf.stop_gradient(log_q)  # zero, with the gradient of log q
    return tf.reduce_mean(value + tf.stop_gradient(value) * score, axis=0)


@_registered
def iwae_doubly_reparameterized(model: VAE, x: tf.Tensor, samples: int = 5) -> tf.Tensor:
    """The importance-weighted bound with a quieter encoder gradient (Tucker et al. 2019).

    The value and the decoder's gradient are those of `iwae`. With w_i = p(x | z_i) p(z_i) / q(z_i | x) and
    v_i = w_i / Σ_j w_j, the gradient by the encoder's weights φ is Σ_i v_i² ∂ log w_i/∂z_i · ∂z_i/∂φ: the score term is
    reparameterised once more, and its variance no longer swamps the gradient as k grows. The decoder runs twice
    forward. Arguments, result and errors as for `iwae`.
    """
    q, z, log_likelihood = _draw(model, x, samples)
    log_weight = tf.stop_gradient(log_likelihood + model.prior.log_prob(z) - q.log_prob(z))
    weight = tf.nn.softmax(log_weight, axis=0)
    # The same z, whose gradient is multiplied by w_i on its way to the encoder.
    z = tf.stop_gradient(z) + weight[..., None] * (z - tf.stop_gradient(z))
    log_q = _without_parameter_gradient(q).log_prob(z)
    weighted = tf.reduce_sum(weight * _log_weights(model, z, model.likelihood(z).log_prob(x), log_q), axis=0)
    bound = tf.reduce_logsumexp(log_weight, axis=0) - math.log(samples)
    return bound + weighted - tf.stop_gradient(weighted)
