"""How the outputs of a decoder become p(x | z) over the pixels of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from .expect import expect


class Likelihood(NamedTuple):
    """One way to read a decoder's outputs."""

    channels_per_channel: int  # how many decoder outputs describe one channel of a pixel
    pixels: Callable[[tf.Tensor], tfd.Distribution]


def _gaussian_pixels(outputs: tf.Tensor) -> tfd.Distribution:
    mean, log_variance = tf.split(outputs, 2, axis=-1)
    # Grey levels come in steps of 1/255. A density may grow without bound on values that never vary (the black rim of
    # a digit); a standard deviation below one step has no meaning in the data, so that is the floor.
    return tfd.Normal(mean, tf.sqrt(tf.exp(log_variance) + 255.0**-2))


class _Bernoulli(tfd.Bernoulli):
    """TFP's Bernoulli with log p(x) = x · logit − softplus(logit) (Kingma & Welling 2013, appendix C.1).

    The same number, also for grey levels between 0 and 1; TFP's own formula guards infinite logits, which networks do
    not put out, and takes two to three times as long.
    """

    def _log_prob(self, event):
        logits = self._logits_parameter_no_checks()
        return event * logits - tf.nn.softplus(logits)


LIKELIHOODS: dict[str, Likelihood] = {
    "bernoulli": Likelihood(1, lambda logits: _Bernoulli(logits=logits, dtype=tf.float32)),
    "continuous_bernoulli": Likelihood(1, lambda logits: tfd.ContinuousBernoulli(logits=logits)),
    "gaussian": Likelihood(2, _gaussian_pixels),
}


def choose(table: dict[str, Any], name: str, what: str) -> Any:
    """The entry of `table` that is called `name`; ValueError with the known names for any other."""
    expect(name in table, f"Unknown {what} {name!r}: expected one of {', '.join(sorted(table))}.")
    return table[name]
