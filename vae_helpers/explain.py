"""What a loss really optimises: its scale, the weight of its KL term, and the slips that change them.

Nobody's code is read. The loss is called while the outputs of the two networks are steered to known values, where the
two terms of the ELBO are known too; what is left is a line through the answers.
"""

from __future__ import annotations

import contextlib
import functools
import math
import tomllib
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from .data import binarize
from .expect import expect
from .images import as_model_input
from .model import VAE, check_vae, unchanged

_GROUPS, _IN_GROUP, _REPEATS = 6, 8, 4  # decoders, posteriors with each, calls at each of them
_near = functools.partial(math.isclose, rel_tol=0.03)  # as near as a factor must be to a known one
_UNEXPLAINED = 0.001  # share of the variance, beside that of noise, above which a term is not the one it was taken for
_FAR = 300.0  # a mean so far away that the KL, however small its weight, shows above the rounding of the rest
_SIGMAS = 0.01, 0.2, 1.5  # where the noise is looked at: twice where the decoder is a straight line, once where not
_SHRINKS = 0.6, 1.5  # between these powers of σ² the noise shrinks as it should

# Terms that stand where KL(q ‖ p) should, of μ and σ [n, J]: constants apart, since a fit cannot see them.
_KL_TERMS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "kl": lambda m, s: 0.5 * (m**2 + s**2) - np.log(s),
    "log_variance_as_log_std": lambda m, s: 0.5 * (m**2 + s**4) - 2 * np.log(s),
    "log_std_as_log_variance": lambda m, s: 0.5 * (m**2 + s) - 0.5 * np.log(s),
    "log_sigma_squared": lambda m, s: 0.5 * (m**2 + s**2 - np.log(s) ** 2),
    "sigma_for_variance": lambda m, s: 0.5 * (m**2 + s) - np.log(s),
    "log_sigma_for_log_variance": lambda m, s: 0.5 * (m**2 + s**2 - np.log(s)),
    "kl_reversed": lambda m, s: 0.5 * (1 + m**2) / s**2 + np.log(s),
    "kl_of_means_alone": lambda m, s: 0.5 * m**2,
}
# The words for each name that `recognised` may hold.
_WORDS = tomllib.loads(Path(__file__).with_name("explain.toml").read_text(encoding="utf-8"))


class LossExplanation(NamedTuple):
    """What `explain_loss` found; printed, it is the sentence.

    Attributes:
        beta: weight of the KL term beside the reconstruction term; 1 for the ELBO, ∞ without a reconstruction.
        scale: what one nat of reconstruction, of every image, adds to the loss; 1 for the mean over images of −ELBO.
        residual: share of the loss's variance that neither term explains.
        recognised: `"elbo"`, `"weighted_kl"`, or another name for which explain.toml has words; `None`: nothing known.
        sentence: all of it in words.
    """

    beta: float
    scale: float
    residual: float
    recognised: str | None
    sentence: str

    def __repr__(self) -> str:
        return self.sentence


def explain_loss(loss: Callable, model: VAE, x: np.ndarray | tf.Tensor, seed: int = 0) -> LossExplanation:
    """Finds out what a loss optimises, by calling it: the weight of its KL term, its scale, and known slips.

    The outputs of both networks are steered to chosen values while `loss` is called 150 to 290 times. With a decoder
    that ignores z the loss is a · (−log p(x | z)) + b · KL + a constant, if it is a weighted ELBO at all: b comes from
    changes of the posterior, a from changes of the decoder, β = b / a. Other terms are tried in their place.

    Args:
        loss: what you minimise, as a function of (model, x): a number, or an array, whose mean is taken. It must call
            `model` or its networks, not networks of its own.
        model: the VAE, one of images alone; neither its weights nor its noise are changed. A new one will do, but slips
            of the noise show only where the decoder has learnt to use z.
        x: images in [0, 1], or uint8 grey levels, shape [n, H, W, C]; some hundred are enough, at least 4 are needed.
            `loss` is also called with all of them twice over.
        seed: of the values that the networks are steered to.

    Returns:
        `beta`, `scale`, `residual`, `recognised` and the sentence that it prints as.

    Raises:
        ValueError, TypeError: too few images, or images of another shape; the model is no `VAE`, or has weights that
            are not finite; `loss` raised, changed weights, returned no finite numbers, or does not depend on what the
            model puts out.

    Example:
        >>> vh.explain_loss(lambda model, x: -tf.reduce_mean(vh.sgvb_b(model, x)), model, x_test[:100])
    """
    check_vae(model)
    finite = all(np.isfinite(weight).all() for weight in model.get_weights())
    expect(finite, "The model's weights are not finite (NaN or ∞): expected a model as it was before, or a new one.")
    x = np.asarray(x)
    x = as_model_input(binarize(x, "none") if x.dtype == np.uint8 else x, model.image_shape)
    expect(len(x) >= 4, f"x: expected at least 4 images, better a hundred, got {len(x)}.")
    random = np.random.default_rng(seed)
    with unchanged(model), _steered(model) as steer, model.using(keras.random.SeedGenerator(seed), False):
        # A graph that was traced before would not see the steering.
        value = _caller(getattr(loss, "python_function", loss), model)
        calls, kl_terms, pixel_terms = _at_steered_outputs(value, steer, model, x, random)
        once, twice = (_near_and_far(value, steer, model, batch) for batch in (x, tf.concat([x, x], axis=0)))
        noise = _noise(value, steer, model, x, random)
        steer.posterior = steer.pixels = None
        own = value(x)
    needs = "a loss(model, x) that calls `model` (not networks or a tf.function of its own)."
    # Chance gives means of `_REPEATS` calls about a third of the variance within the calls.
    moves = calls.mean(axis=2).var() > max(calls.var(axis=2).mean(), 1e-13 * np.square(calls).max())
    expect(moves, f"The loss does not depend on what the model's networks put out: expected {needs}")
    return _explained(calls, kl_terms, pixel_terms, noise, own, once, twice, model, len(x))


@contextlib.contextmanager
def _steered(model: VAE) -> Iterator[types.SimpleNamespace]:
    """Within the block the networks put out chosen values, the same for each input.

    Yields:
        `posterior`: μ and the raw scale [2J], `pixels`: the decoder's outputs [H, W, C']; each None: the network's own.
    """
    chosen = types.SimpleNamespace(posterior=None, pixels=None)

    def put_out(own: Callable, name: str, inputs: tf.Tensor | list[tf.Tensor], **kwargs) -> tf.Tensor:
        if (values := getattr(chosen, name)) is None:
            return own(inputs, **kwargs)
        count = tf.shape(keras.tree.flatten(inputs)[0])[0]
        return tf.broadcast_to(tf.cast(values, tf.float32), [count, *values.shape])

    with contextlib.ExitStack() as afterwards:
        for network, name in ((model.encoder, "posterior"), (model.decoder, "pixels")):
            # Past Keras's bookkeeping of attributes: nothing of the network changes.
            vars(network)["call"] = functools.partial(put_out, network.call, name)
            afterwards.callback(vars(network).pop, "call")
        yield chosen


def _caller(loss: Callable, model: VAE) -> Callable[[tf.Tensor], float]:
    """`loss` as one number of an array of images, or one sentence about what it did instead."""
    weights = [variable.numpy() for variable in model.trainable_variables]

    def value(x: tf.Tensor) -> float:
        try:
            returned = loss(model, x)
            result = np.asarray(returned, np.float64)
        except Exception as error:
            got = f"The loss raised {type(error).__name__}, called as loss(model, x): {error}"
            raise ValueError(f"{got}. Section 7.2 of the book has a loss to copy, for networks of your own.") from error
        one = result.size > 0 and not isinstance(returned, (tuple, list, type(None)))
        expect(one, f"The loss returned nothing to average: expected a number or an array, got {type(returned)}.")
        expect(np.isfinite(result).all(), "The loss is not finite (NaN or ∞) at moderate outputs of the networks.")
        same = all(map(np.array_equal, weights, model.trainable_variables))
        expect(same, "The loss changed weights: expected one that trains nothing, no train_step. Load the model again.")
        return float(result.mean())

    return value


def _at_steered_outputs(value, steer, model: VAE, x: tf.Tensor, random: np.random.Generator):
    """The loss [groups, states, calls], each KL term [groups, states, terms] and each pixel term [groups, terms]."""
    shape, repeats = model.decoder.output_shape[1:], _REPEATS
    calls, kl_terms, pixel_terms = [], [], []
    for _ in range(_GROUPS):
        steer.pixels = (random.uniform(-1.5, 1.5) + 0.7 * random.normal(size=shape)).astype(np.float32)
        for number in range(_IN_GROUP):
            # First the prior itself, where a sampled KL has no noise either; then from near it to far from it.
            means, raw = np.zeros(model.latent_dim), np.full(model.latent_dim, _raw(model, 1.0))
            if number:
                means = random.normal(size=model.latent_dim) * 4.0 * number / _IN_GROUP
                raw = random.uniform(-2.5, 1.0, model.latent_dim)
            steer.posterior = np.concatenate([means, raw])
            calls.append([value(x) for _ in range(repeats)])
            if len(calls) == 2 and np.ptp(calls[1]) == 0:
                repeats = 1  # the KL has no noise
            normal = model.posterior(x[:1]).distribution
            moments = normal.loc.numpy().astype(float), normal.scale.numpy().astype(float)
            kl_terms.append([term(*moments).sum() for term in _KL_TERMS.values()])
        pixel_terms.append(list(_pixel_terms(model, x).values()))
    each = [_GROUPS, _IN_GROUP, -1]
    calls = [np.resize(found, _REPEATS) for found in calls]
    return np.reshape(calls, each), np.reshape(kl_terms, each), np.array(pixel_terms)


def _pixel_terms(model: VAE, x: tf.Tensor) -> dict[str, float]:
    """Terms that stand where −log p(x | z) should, at the steered outputs, mean over the images."""
    p = model.likelihood(tf.zeros([1, model.latent_dim]))
    mean = p.mean()
    terms = {"likelihood": -p.log_prob(x), "squared_error": tf.reduce_sum((x - mean) ** 2, axis=[1, 2, 3])}
    if model.likelihood_name != "gaussian":
        for name, logits in (("sigmoid_twice", mean), ("no_normaliser", p.distribution.logits_parameter())):
            terms[name] = tf.reduce_sum(tf.nn.softplus(logits) - x * logits, axis=[1, 2, 3])
        log_x, log_rest = (tf.math.log(tf.clip_by_value(part, 1e-7, 1 - 1e-7)) for part in (x, 1 - x))  # as Keras does
        terms["arguments_swapped"] = -tf.reduce_sum(mean * log_x + (1 - mean) * log_rest, axis=[1, 2, 3])
    return {name: float(np.mean(term.numpy().astype(float))) for name, term in terms.items()}


def _raw(model: VAE, sigma: float) -> float:
    """What the encoder puts out for this σ."""
    return 2 * math.log(sigma) if model.scale_name == "log_variance" else math.log(math.expm1(sigma))


def _noise(value, steer, model: VAE, x: tf.Tensor, random: np.random.Generator) -> np.ndarray:
    """Variance of the loss between calls [5]: at each of `_SIGMAS` with the decoder's own outputs and with constant
    ones, but at the last σ with its own alone.
    """
    pixels, means, variances = steer.pixels, random.normal(size=model.latent_dim), []
    for sigma, outputs in [(sigma, outputs) for sigma in _SIGMAS for outputs in (None, pixels)][:-1]:
        steer.posterior, steer.pixels = np.concatenate([means, np.full_like(means, _raw(model, sigma))]), outputs
        variances.append(np.var([value(x) for _ in range(4 * _REPEATS)]))
    return np.array(variances)


def _shrinks(noise: np.ndarray, value: float) -> float:
    """The power of σ² by which the variance that z brings falls; 1, as it should, where that cannot be told."""
    own, constant = noise[:4].reshape(2, 2).T
    fresh, rounding = own - constant, (3e-7 * value) ** 2  # fresh: what z adds through the decoder
    if np.any(fresh < 4 * constant) or fresh[1] < rounding:  # beside the noise of a sampled KL
        return 1.0
    power = float(np.log(fresh[1] / max(fresh[0], rounding)) / (2 * np.log(_SIGMAS[1] / _SIGMAS[0])))
    return power if fresh[0] > rounding or power > 1 else 1.0


def _near_and_far(value, steer, model: VAE, x: tf.Tensor) -> tuple[float, float]:
    """The loss at the prior, where there is no KL, and what each nat of KL adds to it, from one very far posterior; 0
    where that is less than rounding. The decoder is constant."""
    losses = []
    for mean in (0.0, _FAR):
        steer.posterior = np.repeat([mean, _raw(model, 1.0)], model.latent_dim)
        losses.append(np.mean([value(x) for _ in range(_REPEATS)]))
    near, far = losses
    return near, (far - near) / (model.latent_dim * _FAR**2 / 2) if abs(far - near) > 1e-5 * abs(near) else 0.0


def _best(terms: np.ndarray, values: np.ndarray) -> tuple[int, float, float]:
    """Which column of `terms` explains `values` best, its factor, and the share of the variance that it leaves.

    The first column, the right term, stays unless another leaves less than a tenth of what it does.
    """
    factors = (terms * values[:, None]).sum(axis=0) / (terms**2).sum(axis=0)
    left = ((values[:, None] - factors * terms) ** 2).sum(axis=0) / ((values**2).sum() or 1.0)
    best = int(np.argmin(left))
    best = best if left[0] > 10 * left[best] else 0
    return best, float(factors[best]), float(left[best])


def _explained(calls, kl_terms, pixel_terms, noise, own, once, twice, model: VAE, n: int) -> LossExplanation:
    """The two fits, and what their factors mean."""
    values = calls.mean(axis=2)
    # Within a group the decoder's part is the same: what varies is the KL term. Rounding varies, too.
    within = (values - values.mean(axis=1, keepdims=True)).ravel()
    kl_within = (kl_terms - kl_terms.mean(axis=1, keepdims=True)).reshape(len(within), -1)
    hidden = np.abs(within).max() < 2e-6 * np.abs(values).max()
    which_kl, b, left_of_kl = (0, once[1], 0.0) if hidden else _best(kl_within, within)
    at_prior = values[:, 0] - values[:, 0].mean()  # what varies there is the decoder's part
    at_prior *= np.abs(at_prior).max() > 2e-6 * np.abs(values).max()
    which_pixels, a, left_of_pixels = _best(pixel_terms - pixel_terms.mean(axis=0), at_prior)
    noise_left = 0.0 if hidden else 4 * calls.var(axis=2).mean() / _REPEATS / within.var()
    beta, residual = b / a if a else math.inf, max(left_of_kl, left_of_pixels)
    if max(left_of_kl - noise_left, left_of_pixels) > _UNEXPLAINED:
        apart = (values - values[:, :1])[:, 1:] / (a or 1.0) - (kl_terms[..., 0] - kl_terms[:, :1, 0])[:, 1:]
        apart *= calls.var(axis=2).mean() > 0  # without draws there are no weights of draws
        return LossExplanation(beta, a, residual, *_unknown(apart, left_of_kl, left_of_pixels))

    growth = twice[0] / once[0] if once[0] else 1.0  # of the reconstruction term, when each image comes twice
    pixels = math.prod(model.image_shape)
    weight, words = _weight(abs(beta), n, pixels, model.latent_dim)
    shrinks = _shrinks(noise, own)
    follows = once[1] and twice[1] and abs(twice[1] / (once[1] * growth) - 1) > 0.2
    of_pixels = "likelihood", "squared_error", "sigmoid_twice", "no_normaliser", "arguments_swapped"
    slips = {
        "no_kl": b == 0,
        "no_reconstruction": a == 0,
        list(_KL_TERMS)[which_kl]: which_kl > 0,
        of_pixels[which_pixels]: which_pixels > 0,
        "sign": a < 0 and b < 0,
        "kl_sign": b < 0,
        "reconstruction_sign": a < 0,
        # A float32 carries seven digits: a spread below 1e-7 of the loss is rounding.
        "fixed_noise": noise[-1] <= 1e-14 * own**2,
        "noise_of_fixed_scale": shrinks < _SHRINKS[0],
        "noise_of_variance": shrinks > _SHRINKS[1],
        "weight_follows_batch": follows and weight in ("elbo", "weighted_kl"),
    }
    slip = next((name for name, found in slips.items() if found), None)
    silent = slip in ("no_kl", "no_reconstruction", "squared_error") or (slip and weight == "elbo")
    sentence = f"β = {beta:.4g}." if silent else f"β = {beta:.4g}: {words}."
    if slip:
        sentence += f" {_WORDS['slips'][slip].format(variance=abs(beta) / 2)}"
    sentence += f" {_averages(abs(a), growth, model.image_shape, n)}" if a else ""
    sentence += f" Unexplained: {residual:.2%} of the variance."
    return LossExplanation(beta, a, residual, slip or weight, sentence)


def _weight(beta: float, n: int, pixels: int, latents: int) -> tuple[str, str]:
    """A name for the weight of the KL, and what it says."""
    size = min((60_000, 50_000), key=lambda size: abs(beta * size - n))  # images of MNIST, of CIFAR-10
    known = {"elbo": 1, "kl_averaged_over_latents": 1 / latents, "half_dropped": 2, "pixels_averaged": pixels}
    known |= {"kl_over_pixels": 1 / pixels, "kl_over_batch_and_pixels": 1 / (n * pixels), "kl_over_batch": 1 / n}
    known["minibatch_over_dataset"] = n / size
    if name := next((name for name, target in known.items() if _near(beta, target)), None):
        return name, _WORDS["weights"][name].format(n=n, pixels=pixels, latents=latents, size=size)
    times = f"{beta:.3g} times" if beta > 1 else f"1/{1 / beta:.4g}" if beta else "0 times"
    return "weighted_kl", f"the KL weighs {times} as much as in the ELBO"


def _averages(scale: float, growth: float, shape: tuple[int, ...], n: int) -> str:
    """Which axes were averaged, as far as the scale and a batch of twice the size tell."""
    summed, pixels = abs(growth - 2) < 0.2, math.prod(shape)
    per_image, images = (scale / n, "summed") if summed else (scale, "averaged")
    size = next((size for size in (pixels, *shape) if size > 1 and _near(per_image, 1 / size)), 1)
    words = {1: "summed over pixels", pixels: f"averaged over the {pixels} values of an image"}
    each = words.get(size, f"averaged over the {size} values of one axis")
    factor = "" if size > 1 or _near(per_image, 1) else f"{per_image:.4g} times "
    return f"Its reconstruction is {factor}{each} and {images} over images."


def _unknown(apart: np.ndarray, left_of_kl: float, left_of_pixels: float) -> tuple[str | None, str]:
    """A name, or None, and what to say where no term fits; `apart` is what the loss adds to the KL [groups, states]."""
    if left_of_pixels < _UNEXPLAINED and max(np.mean(apart < 0), np.mean(apart > 0)) > 0.9:
        name = "importance_weighted" if apart.mean() < 0 else "importance_weights_upside_down"
        return name, _WORDS["bounds"][name]
    part, left = max(("KL", left_of_kl), ("reconstruction", left_of_pixels), key=lambda pair: pair[1])
    terms = f"the {part} term of the ELBO, and the known slips of it, leave {left:.1%} of the variance of the loss"
    return None, f"Not recognised: {terms} unexplained. Look there first."
