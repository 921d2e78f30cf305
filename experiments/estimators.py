"""What chapter 4 measures on one network while it trains, how its stored runs begin, and what an update costs.

    python experiments/estimators.py          # whatever is missing of the three results
    python experiments/estimators.py moments  # variances of value and gradient, tighter bounds: about five minutes
    python experiments/estimators.py begin    # two stored runs after some hundred updates: about two minutes
    python experiments/estimators.py seconds  # about four minutes, on a machine that does nothing else

The network is the dense one of `gradients.py` with J = 20, trained with estimator B for ten epochs. Chapter 4 trains it
for one, measures a point of each table again and takes the rest from here.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable

import vae_helpers as vh  # before Keras and TensorFlow: it silences their start-up lines

import keras  # isort: skip
import numpy as np
import tensorflow as tf
from gradients import ESTIMATORS, IMAGES_TIGHTER, NETWORKS, TIGHTER, measure
from run import ONE_LAYER, RESULTS, RUNS, TANH, Run, held_out, provenance, write

NETWORK = NETWORKS["mlp-j20"]
MOMENTS = {"start": 0, "after 1 epoch": 1, "after 10 epochs": 10}  # epochs trained
OWN = ("after 1 epoch", "after 10 epochs")  # where each image gets a Gaussian of its own as well
LAST = "after 10 epochs"
MINIBATCHES, REPEATS, REPEATS_TIGHTER = 8, 50, 100
SAMPLES = (1, 5, 50)  # k
BEGIN = {"s1-threshold": 200, "iwae-k5": 50}  # updates: later ones of IWAE hang on the last digit of the first


def rounded(values: np.ndarray, digits: int = 6) -> list[float]:
    """As many significant digits as a table needs."""
    return [float(f"{value:.{digits}g}") for value in np.ravel(values)]


def own_gaussians(model: vh.VAE, x: np.ndarray, mean: np.ndarray, scale: np.ndarray, steps: int = 600, draws: int = 32):
    """μ and σ of each image, improved by Adam on estimator B from where the encoder puts them."""
    mean, log_scale = tf.Variable(mean), tf.Variable(np.log(scale))
    rate = keras.optimizers.schedules.CosineDecay(0.03, steps)
    optimizer, random = keras.optimizers.Adam(rate), tf.random.Generator.from_seed(1)

    @tf.function
    def improve():
        noise = random.normal((draws, *mean.shape))
        with tf.GradientTape() as tape:
            scale = tf.exp(log_scale)
            f = model.likelihood(mean + scale * noise).log_prob(x)
            kl = 0.5 * tf.reduce_sum(mean**2 + scale**2 - 1 - 2 * log_scale, axis=1)
            loss = tf.reduce_mean(tf.reduce_sum(kl - f, axis=1))
        variables = [mean, log_scale]
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for _ in range(steps):
        improve()
    return mean.numpy(), np.exp(log_scale)


def draw(model: vh.VAE, x: np.ndarray, mean: np.ndarray, scale: np.ndarray, seed: int, rounds: int = 40):
    """f(z) = log p(x | z), its slope by z, and ε, for draws of z from N(mean, scale²): float64 [50 · rounds, n, …]."""

    @tf.function(jit_compile=True)
    def reconstruction_and_slope(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            f = model.likelihood(z).log_prob(x)
        return f, tape.gradient(f, z)

    random, collected = np.random.default_rng(seed), []
    for _ in range(rounds):
        noise = random.standard_normal((50, *mean.shape)).astype(np.float32)
        collected.append((*reconstruction_and_slope(mean + scale * noise), noise))
    return tuple(np.concatenate(part).astype(float) for part in zip(*collected, strict=True))


def value_variances(f: np.ndarray, noise: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> dict[str, list[float]]:
    """For each image: the variance of A's and of B's value over the noise, and Var(Δ) by (4.1), nats²."""
    delta = -mean * scale * noise + 0.5 * (1 - scale**2) * (noise**2 - 1)
    by_formula = mean**2 * scale**2 + 0.5 * (1 - scale**2) ** 2
    return {
        "A": rounded((f + delta.sum(axis=-1)).var(axis=0, ddof=1)),
        "B": rounded(f.var(axis=0, ddof=1)),
        "delta": rounded(by_formula.sum(axis=-1)),
    }


def coordinate_variances(slope: np.ndarray, noise: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> dict[str, dict]:
    """By estimator and parameter: the variance of the gradient by each μ_j and σ_j over the noise, [n, J]."""
    z = mean + scale * noise
    path = slope - z + noise / scale
    samples = {
        "A": {"mu": slope - z, "sigma": (slope - z) * noise + 1 / scale},
        "B": {"mu": slope - mean, "sigma": slope * noise + 1 / scale - scale},
        "path": {"mu": path, "sigma": path * noise},
    }
    return {
        name: {by: gradients.var(axis=0, ddof=1) for by, gradients in of_both.items()}
        for name, of_both in samples.items()
    }


def of_gaussians(model: vh.VAE, x: np.ndarray, mean: np.ndarray, scale: np.ndarray, cases: bool = False) -> dict:
    """Sections 4.2 and 4.3 for one q an image: by image the variances of the value, by estimator those of a coordinate
    of the gradient, averaged; and of each image and coordinate, if asked for."""
    f, _, noise = draw(model, x, mean, scale, seed=0)
    value = value_variances(f, noise, mean, scale)
    _, slope, noise = draw(model, x, mean, scale, seed=1)
    variances = coordinate_variances(slope, noise, mean, scale)
    found = {
        "value": value,
        "coordinate": {
            name: {by: rounded(values.mean())[0] for by, values in of_both.items()}
            for name, of_both in variances.items()
        },
    }
    if cases:
        found["cases"] = {"mean": rounded(mean), "scale": rounded(scale)}
        for name, of_both in variances.items():
            found["cases"] |= {f"{name}_{by}": rounded(values) for by, values in of_both.items()}
        found["cases"]["third"] = rounded(np.mean((noise**2 - 1) * slope, axis=0))  # the averages of (19.1)
        found["cases"]["fourth"] = rounded(np.mean((noise**3 - 3 * noise) * slope, axis=0))
    return found


def gradient_noise(model: vh.VAE, blocks: list[np.ndarray], objectives: dict, samples: tuple, repeats: int) -> dict:
    """`measure` by estimator and L or k, without what it lists for each latent dimension."""
    found = {}
    for name, objective in objectives.items():
        for n in samples:
            measured = measure(model, blocks, objective, n, repeats)
            kept = {key: values for key, values in measured.items() if not key.endswith("by_latent")}
            found.setdefault(name, {})[str(n)] = {
                key: rounded(values) if isinstance(values, list) else rounded(values)[0] for key, values in kept.items()
            }
    return found


def weights_of(model: vh.VAE, x: np.ndarray, k: int = 50) -> dict[str, float]:
    """How unequal the k importance weights of an image are."""
    shares = []
    for start in range(0, len(x), 100):
        chunk = x[start : start + 100]
        with model.using(keras.random.SeedGenerator(0)):
            q = model.posterior(chunk)
            z = q.sample(k, seed=model.next_seed())
        log_weight = model.likelihood(z).log_prob(chunk) - (q.log_prob(z) - model.prior.log_prob(z))
        shares.append(tf.nn.softmax(log_weight, axis=0).numpy())
    shares = np.concatenate(shares, axis=1)
    effective = np.median(1 / np.sum(shares**2, axis=0))
    return {"heaviest": float(shares.max(axis=0).mean()), "effective": float(effective)}


def moments() -> dict:
    """Everything that chapter 4 and the pages 18 and 19 show of the network, at each moment of its training."""
    images = vh.load_mnist()
    test = vh.binarize(images.test, "threshold")
    x, thousand = test[:50], test[:1000]
    chosen = np.random.default_rng(0).permutation(len(images.train))[: 100 * MINIBATCHES]
    blocks = np.split(vh.binarize(images.train[chosen], "threshold"), MINIBATCHES)
    twenties = [block[:IMAGES_TIGHTER] for block in blocks]
    model = NETWORK.build(0)
    model.compile(NETWORK.optimizer(), objective=vh.sgvb_b)
    training, done, result = vh.batches(images.train, NETWORK.training_batch, "threshold", seed=0), 0, {}
    for moment, epochs in MOMENTS.items():
        if epochs > done:
            model.fit(training, epochs=epochs, initial_epoch=done, verbose=0)
            done = epochs
        q = model.posterior(x).distribution
        mean, scale = q.loc.numpy(), q.scale.numpy()
        found = {"epochs": epochs, "encoder": of_gaussians(model, x, mean, scale)}
        if moment in OWN:
            found["own"] = of_gaussians(model, x, *own_gaussians(model, x, mean, scale), cases=moment == LAST)
            found["bound"] = {str(k): vh.elbo(model, thousand, k, vh.iwae) for k in (*SAMPLES, 500)}
        found["estimators"] = gradient_noise(model, blocks, ESTIMATORS, (1,), REPEATS)
        if moment == LAST:
            found["estimators"] |= gradient_noise(model, twenties, TIGHTER, SAMPLES, REPEATS_TIGHTER)
        found["weights_of_50"] = weights_of(model, thousand)
        print(f"{moment}: test ELBO {vh.elbo(model, test):.2f}", flush=True)
        result[moment] = found
    return {"moments": result}


class Begin(keras.callbacks.Callback):
    """What is maximised, on test images, after some updates of the first epoch."""

    def __init__(self, test: np.ndarray, updates: int):
        super().__init__()
        self.test, self.updates, self.steps_between, self.value = test, updates, updates, math.nan

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.updates and math.isnan(self.value):
            self.value = vh.elbo(self.model, self.test, self.model.samples, self.model.objective)


def begin() -> dict:
    """Two stored runs whose first epoch takes too long to train it again on a page: where they stand after some
    updates, and that the same training goes on to what is stored of their first epoch."""
    found = {}
    for name, updates in BEGIN.items():
        recipe = RUNS[name]
        images = recipe.load()
        test = held_out(images, recipe.binarization)
        model = recipe.build(0)
        model.compile(recipe.optimizer(), objective=recipe.objective, samples=recipe.samples)
        early = Begin(test[:2000], updates)
        training = vh.batches(images.train, recipe.batch_size, recipe.binarization, seed=0)
        validation = vh.batches(test, 1000, shuffle=False)
        history = model.fit(training, validation_data=validation, callbacks=[early], verbose=0).history
        stored = json.loads((RESULTS / f"{name}-seed0.json").read_text())["test_elbo_by_epoch"][0]
        found[name] = {
            "seed": 0,
            "updates": updates,
            "images": len(early.test),
            "test_objective": early.value,
            "after_the_epoch": -history["val_loss"][0],
            "stored_after_the_epoch": stored,
        }
        print(f"{name}: {found[name]}", flush=True)
    return {"runs": found}


def in_turn(fits: dict, rounds: int) -> dict:
    """Seconds of `fit` for each pair of model and minibatches, in turn: the best of some rounds after one that
    compiles."""
    best = dict.fromkeys(fits, math.inf)
    for turn in range(rounds + 1):
        for key, (model, minibatches) in fits.items():
            start = time.monotonic()
            model.fit(minibatches, verbose=0)
            if turn > 0:
                best[key] = min(best[key], time.monotonic() - start)
    return best


def seconds() -> dict:
    """Seconds of training without a test: an epoch of each estimator (chapter 4), 600 updates of each share of draws
    and images (page 20), an epoch of each objective and number of draws (page 18)."""
    images = vh.load_mnist().train

    def compiled(recipe: Run, objective: Callable, samples: int = 1) -> vh.VAE:
        model = recipe.build(0)
        model.compile(recipe.optimizer(), objective=objective, samples=samples)
        return model

    epoch = {
        name: (compiled(ONE_LAYER, ESTIMATORS[name]), vh.batches(images, 100, "threshold"))
        for name in ("a", "b", "path")
    }
    shares = {
        str(n): (compiled(ONE_LAYER, vh.sgvb_b, n), vh.batches(images[: 60_000 // n], 100 // n, "threshold"))
        for n in (1, 2, 5, 10)
    }
    updates = {1: 500, 5: 250, 50: 25}  # about a second each
    of_an_epoch = {k: len(images) // TANH.batch_size / n for k, n in updates.items()}
    tight = {
        f"{name}-k{k}": (compiled(TANH, objective, k), vh.batches(images[: 20 * updates[k]], 20, "dynamic"))
        for name, objective in (("a", vh.sgvb_a), *TIGHTER.items())
        for k in updates
        if (name, k) not in (("iwae", 1), ("dreg", 1))
    }
    return {
        "estimators_an_epoch": in_turn(epoch, rounds=8),
        "shares_600_updates": in_turn(shares, rounds=8),
        "tighter_an_epoch": {
            name: taken * of_an_epoch[int(name.rpartition("k")[2])] for name, taken in in_turn(tight, rounds=8).items()
        },
    }


WHAT = {"moments": moments, "begin": begin, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"{', '.join(WHAT)}; default: all")
    parser.add_argument("--force", action="store_true", help="measure again what has a result")
    arguments = parser.parse_args()
    for what in arguments.what or WHAT:
        if what not in WHAT:
            parser.error(f"unknown {what}: expected some of {', '.join(WHAT)}")
        path = RESULTS / f"estimators-{what}.json"
        if path.exists() and not arguments.force:
            print(f"{path.name} is there")
            continue
        begun = provenance()
        write(path, WHAT[what]() | {"provenance": begun})


if __name__ == "__main__":
    main()
