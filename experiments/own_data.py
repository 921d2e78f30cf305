"""Three questions about images of your own, measured on public ones: what chapter 8 shows.

    python experiments/own_data.py                # whatever is missing in experiments/results, a seed after the other
    python experiments/own_data.py odd --seed 0   # is this image like the others? guide: which J, which likelihood?
    python experiments/own_data.py missing        # what was in the pixels that are missing? (`own_missing.py`)
    python experiments/own_data.py --train        # only the models; their weights stay in `experiments/weights`

All models are dense (512 and 256 hidden units, J = 20 unless it says otherwise), trained by estimator B and Adam at a
step of 0.001 for eight epochs of minibatches of 100, with fresh coins for the pixels at every visit. Test images are
binarised once, with the same coins for every model. Results: `own-odd-seedN.json`, `own-missing-seedN.json`,
`own-guide-seedN.json`.
"""

from __future__ import annotations

import argparse
import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import vae_helpers as vh  # before Keras and TensorFlow: it silences their start-up lines

import keras  # isort: skip
import numpy as np
import tensorflow as tf
from own_missing import fill_mean, fill_zeros, measure_missing, observed_bound, with_mask
from own_odd import background_bound, clothes, digits, measure_odd, other_digits
from run import RESULTS, adam, mlp, provenance, write
from tensorflow_probability import distributions as tfd

WEIGHTS = Path(__file__).parent / "weights"
SEEDS = (0, 1, 2, 3, 4)
DENSE = mlp(hidden=(512, 256), latent_dim=20)


# --- the models ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """A model and what it is trained on."""

    images: Callable[[int], np.ndarray]  # from a seed: uint8 [n, 28, 28, C]
    objective: Callable = vh.sgvb_b
    build: Callable[[int], vh.VAE] = DENSE
    binarization: str = "dynamic"
    epochs: int = 8


DIGITS = Recipe(digits)
CLOTHES = Recipe(clothes)
RECIPES = {
    "digits": DIGITS,
    "clothes": CLOTHES,
    "digits-background": replace(DIGITS, objective=background_bound),
    "clothes-background": replace(CLOTHES, objective=background_bound),
    "other-digits": Recipe(other_digits),
    "observed": Recipe(with_mask, observed_bound, mlp(hidden=(512, 256), latent_dim=20, image_shape=(28, 28, 2))),
    "zeros": Recipe(fill_zeros),
    "means": Recipe(fill_mean),
}
SIZES = (2, 5, 10, 20, 50)
GREY = ("bernoulli", "continuous_bernoulli", "gaussian")
for j in SIZES:
    if j != 20:  # that is "digits"
        RECIPES[f"j{j}"] = replace(DIGITS, build=mlp(hidden=(512, 256), latent_dim=j))
for name in GREY:
    build = mlp(hidden=(512, 256), latent_dim=20, likelihood=name)
    RECIPES[f"grey-{name}"] = replace(DIGITS, build=build, binarization="none")


def trained(name: str, seed: int) -> vh.VAE:
    """The model of one recipe, from its kept weights if they are there."""
    recipe, kept = RECIPES[name], WEIGHTS / f"own-{name}-seed{seed}.weights.h5"
    model = recipe.build(seed)
    if kept.exists():
        model.load_weights(kept)
        return model
    start = time.monotonic()
    model.compile(adam(1e-3)(), objective=recipe.objective)
    training = vh.batches(recipe.images(seed), 100, recipe.binarization, seed=seed)
    model.fit(training, epochs=recipe.epochs, verbose=0)
    bare = recipe.build(seed)  # without the optimiser, whose state is twice as large as the weights
    bare.set_weights(model.get_weights())
    bare.save_weights(kept)
    print(f"{name}, seed {seed}: trained in {time.monotonic() - start:.0f} s", flush=True)
    return bare


# --- which J, which likelihood? ------------------------------------------------------------------------------------


def log_probability_of_level(pixels: tfd.Distribution, x: tf.Tensor) -> tf.Tensor:
    """log p of each pixel's grey level, one of 256 within [0, 1]: the density integrated over the level's bin, nats.

    The bin of the level v is (v ± 1/2) / 255. A Gaussian's first and last bin reach to infinity, those of a continuous
    Bernoulli end at 0 and 1: in both the 256 probabilities add up to 1.
    """
    if isinstance(pixels, tfd.Normal):
        scaled = tfd.Normal(255 * pixels.loc - 0.5, 255 * pixels.scale)  # TFP rounds up: hence the half
        return tfd.QuantizedDistribution(scaled, low=0.0, high=255.0).log_prob(tf.round(255 * x))
    # The density goes as exp(logit · x), mirrored where that rises: its integral over the bin, by that over [0, 1].
    logits = pixels.logits_parameter()
    rate = tf.maximum(tf.abs(logits), 1e-3)
    x = tf.where(logits > 0, 1 - x, x)
    low, high = tf.maximum(x - 0.5 / 255, 0), tf.minimum(x + 0.5 / 255, 1)
    return tf.math.log(tf.math.expm1(-rate * (high - low)) / tf.math.expm1(-rate)) - rate * low


def grey_log_likelihood(model: vh.VAE, x: np.ndarray, samples: int, seed: int = 0) -> tuple[float, float]:
    """ELBO and log p of the grey levels, nats per image, by importance sampling from the posterior."""

    @tf.function(jit_compile=model.prefers_xla)
    def some(x):
        q = model.posterior(x)
        z = q.sample(samples, seed=model.next_seed())
        log_p = tf.reduce_sum(log_probability_of_level(model.likelihood(z).distribution, x), axis=[-3, -2, -1])
        log_weight = log_p + model.prior.log_prob(z) - q.log_prob(z)
        return tf.reduce_mean(log_weight, axis=0), tf.reduce_logsumexp(log_weight, axis=0) - math.log(samples)

    with model.using(keras.random.SeedGenerator(seed)):
        parts = [some(x[start : start + 20]) for start in range(0, len(x), 20)]
    return tuple(float(np.mean(np.concatenate(part))) for part in zip(*parts, strict=True))


def measure_guide(seed: int) -> dict:
    """What `own-guide-seedN.json` keeps: by J, and by likelihood on grey levels."""
    images = vh.load_mnist()
    test, grey = (vh.binarize(images.test, kind, seed=0) for kind in ("fixed", "none"))
    result = {"images": 1000, "samples": 500, "grey_samples": 200, "by_j": {}, "by_likelihood": {}}
    for j in SIZES:
        model = trained("digits" if j == 20 else f"j{j}", seed)
        result["by_j"][str(j)] = {
            "test_elbo": vh.elbo(model, test),
            "test_kl": float(vh.kl_per_dimension(model, test).sum()),
            "active_units": vh.active_units(model, test),
            "log_likelihood": float(np.mean(vh.log_likelihood(model, test[:1000], 500))),
            "elbo_of_these": vh.elbo(model, test[:1000], samples=20),
        }
    for name in GREY:
        model = trained(f"grey-{name}", seed)
        back = np.concatenate([model.reconstruct(part) for part in np.split(grey, 10)])
        drawn = np.concatenate(
            [model.likelihood(model.posterior(part).sample(seed=[seed, 0])).mean() for part in np.split(grey, 10)]
        )
        found = {
            "rmse": float(np.sqrt(np.mean((back - grey) ** 2))),  # z = μ(x)
            "rmse_drawn": float(np.sqrt(np.mean((drawn - grey) ** 2))),  # z ~ q(z | x)
            "own_elbo": vh.elbo(model, grey),
            "test_kl": float(vh.kl_per_dimension(model, grey).sum()),
            "active_units": vh.active_units(model, grey),
        }
        if name != "bernoulli":  # cross-entropy on grey levels is no density: there is nothing to integrate
            found["elbo_of_levels"], found["log_p_of_levels"] = grey_log_likelihood(model, grey[:1000], 200)
        result["by_likelihood"][name] = found
    return result


MEASURES = {
    "odd": functools.partial(measure_odd, trained=trained),
    "missing": functools.partial(measure_missing, trained=trained),
    "guide": measure_guide,
}


def run(part: str, seed: int) -> None:
    """Trains what a part needs and measures it, unless its result is there."""
    path = RESULTS / f"own-{part}-seed{seed}.json"
    if path.exists():
        print(f"{path.name} is there")
        return
    begun, start = provenance(), time.monotonic()
    result = MEASURES[part](seed)
    epochs = {"epochs": DIGITS.epochs, "batch_size": 100}
    write(path, {"part": part, "seed": seed, **epochs, **result, "provenance": begun})
    print(f"{path.name}: {time.monotonic() - start:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(MEASURES)}; default: all")
    parser.add_argument("--seed", type=int, action="append", help=f"default: {SEEDS}")
    parser.add_argument("--train", action="store_true", help="only train what is missing")
    arguments = parser.parse_args()
    WEIGHTS.mkdir(exist_ok=True)
    for seed in arguments.seed or SEEDS:
        for name in [*RECIPES] if arguments.train else arguments.parts or [*MEASURES]:
            if arguments.train:
                trained(name, seed)
            else:
                run(name, seed)


if __name__ == "__main__":
    main()
