"""The long runs behind the book's tables: one command, resumable, each result with its provenance.

    python experiments/run.py            # whatever is missing in experiments/results
    python experiments/run.py s0         # one system, on every version of the data, and its variants
    python experiments/run.py scoreboard # the runs of the scoreboard alone
    python experiments/run.py s0 --seed 1 --force
    python experiments/run.py --time     # seconds an epoch, all systems in turn: on a machine that does nothing else

A run is one system on one version of the data with one seed: trained from scratch, evaluated on the test images, kept
as one small JSON file. A run whose file exists is skipped, so an interrupted command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import math
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import vae_helpers as vh  # before Keras and TensorFlow: it silences their start-up lines

import keras  # isort: skip
import numpy as np
import tensorflow as tf
from machine import processor
from PIL import Image

from vae_helpers.animation import Snapshot
from vae_helpers.data import BINARIZATIONS

RESULTS = Path(__file__).parent / "results"
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Run:
    """A system on a version of the data: how to build it, how it is trained and evaluated."""

    build: Callable[[int], vh.VAE]  # from a seed
    optimizer: Callable[[], keras.optimizers.Optimizer]
    objective: Callable
    batch_size: int
    epochs: int
    samples: int = 1  # L, or k of an importance-weighted bound
    binarization: str = "none"
    load: Callable[[], vh.ImageData] = vh.load_mnist
    seeds: tuple[int, ...] = SEEDS
    likelihood_images: int = 2000  # how many test images the 500 samples are drawn for
    pictures: bool = False  # whether the first seed keeps samples and reconstructions
    weights: bool = False  # whether the first seed keeps its weights
    film: bool = False  # whether the first seed keeps pictures of every epoch
    curve_by_b: bool = False  # whether the test ELBO by estimator B is kept of every epoch, whatever is maximised


def mlp(**arguments) -> Callable[[int], vh.VAE]:
    return lambda seed: vh.mlp_vae(**arguments, seed=seed)


def conv(**arguments) -> Callable[[int], vh.VAE]:
    return lambda seed: vh.conv_vae(**arguments, seed=seed)


def adam(learning_rate: float) -> Callable[[], keras.optimizers.Optimizer]:
    return lambda: keras.optimizers.Adam(learning_rate)


# The five published systems. S2's write-up gives neither sizes nor batch, S4's no batch: they take those of the system
# they are compared with, so that one thing differs. S3's and S2's two heads are one dense layer here, cut in two.
S0 = Run(mlp(hidden=(512, 256)), adam(1e-3), vh.sgvb_b, batch_size=1024, epochs=50)
S1 = Run(conv(), adam(1e-4), vh.sgvb_a, batch_size=32, epochs=10, likelihood_images=1000)
SYSTEMS = {
    "s0": S0,
    "s1": S1,
    "s2": replace(S0, build=mlp(hidden=(512, 256), dropout=0.2)),
    "s3": Run(mlp(hidden=(256,)), keras.optimizers.RMSprop, vh.sgvb_b, batch_size=100, epochs=50),
    "s4": replace(S1, build=conv(scale="softplus"), objective=vh.sgvb_b),
}
RUNS = {
    f"{name}-{binarization}": replace(system, binarization=binarization)
    for binarization in BINARIZATIONS
    for name, system in SYSTEMS.items()
}
RUNS["s1-threshold"] = replace(RUNS["s1-threshold"], film=True)
# S4's write-up shows pictures after 30 epochs and a loss without an epoch: one run goes on for longer than the others.
RUNS["s4-long"] = replace(RUNS["s4-threshold"], epochs=50, seeds=(0,), weights=True)
SCOREBOARD = tuple(RUNS)

# What S1 only names: other latent dimensions, wider layers, other sets. Whether a bound still grows from J = 20 to 50
# takes more than one seed.
SWEEP = {5: (0,), 10: (0,), 20: SEEDS, 50: SEEDS}
RUNS |= {f"s0-j{j}": replace(S0, build=mlp(hidden=(512, 256), latent_dim=j), seeds=seeds) for j, seeds in SWEEP.items()}
S1_ONCE = replace(S1, binarization="threshold", seeds=(0,), pictures=True)
RUNS |= {f"s1-j{j}": replace(S1_ONCE, build=conv(latent_dim=j), seeds=seeds) for j, seeds in SWEEP.items()}
RUNS["s1-wide"] = replace(S1_ONCE, build=conv(filters=(64, 128)))
RUNS["s1-fashion"] = replace(S1_ONCE, load=vh.load_fashion_mnist)
RUNS["s1-fashion-grey"] = replace(RUNS["s1-fashion"], binarization="none")
CIFAR = Run(
    conv(latent_dim=64, image_shape=(32, 32, 3), likelihood="continuous_bernoulli"),
    adam(1e-3),
    vh.sgvb_b,
    batch_size=32,
    epochs=10,
    load=vh.load_cifar10,
    seeds=(0,),
    likelihood_images=100,
    pictures=True,
)
RUNS["cifar-continuous-bernoulli"] = CIFAR
RUNS["cifar-gaussian"] = replace(CIFAR, build=conv(latent_dim=64, image_shape=(32, 32, 3), likelihood="gaussian"))

# Chapter 4. S1 with five seeds, of which "s1-threshold" has three, and with the other estimators from the same weights,
# data order and noise.
RUNS["s1-a"] = replace(RUNS["s1-threshold"], seeds=(3, 4), film=False)
RUNS["s1-b"] = replace(RUNS["s1-a"], objective=vh.sgvb_b, seeds=(0, 1, 2, 3, 4))
RUNS["s1-path"] = replace(RUNS["s1-b"], objective=vh.sticking_the_landing)
# L draws of z against M images: 18,000 updates of 100 decoded z each, whatever the shares.
ONE_LAYER = Run(
    mlp(hidden=(256,), latent_dim=20),
    adam(1e-3),
    vh.sgvb_b,
    batch_size=100,
    epochs=30,
    binarization="threshold",
    seeds=(0, 1, 2, 3, 4),
)
# The three estimators on this network, for as many epochs as tell them apart.
for name, objective in (("a", vh.sgvb_a), ("b", vh.sgvb_b), ("path", vh.sticking_the_landing)):
    RUNS[f"dense-{name}"] = replace(ONE_LAYER, objective=objective, epochs=5, curve_by_b=True)
RUNS |= {
    f"budget-l{n}-m{100 // n}": replace(ONE_LAYER, samples=n, batch_size=100 // n, epochs=30 // n)
    for n in (1, 2, 5, 10)
}
# Tighter bounds: network, minibatch and first step of Burda et al. (2016), trained for a shorter time. Two controls:
# A with as many draws, since draws alone make a gradient quieter; and one draw for more epochs, since draws take time
# (13 epochs take about as long as five with five draws, 40 less than half of five with fifty, which get fewer seeds).
TANH = Run(
    mlp(hidden=(200, 200), latent_dim=50, activation="tanh"),
    adam(1e-3),
    vh.iwae,  # of one draw: A
    batch_size=20,
    epochs=5,
    binarization="dynamic",
    seeds=(0, 1, 2, 3, 4),
    likelihood_images=1000,
)
RUNS |= {"iwae-k1": TANH, "iwae-k1-13": replace(TANH, epochs=13), "iwae-k1-long": replace(TANH, epochs=40, seeds=SEEDS)}
for name, objective in (("a", vh.sgvb_a), ("iwae", vh.iwae), ("dreg", vh.iwae_doubly_reparameterized)):
    RUNS[f"{name}-k5"] = replace(TANH, objective=objective, samples=5)
    RUNS[f"{name}-k50"] = replace(TANH, objective=objective, samples=50, seeds=SEEDS if name != "a" else (0,))


def provenance() -> dict:
    """What it takes to run this again: code, versions, machine, date."""

    def git(*command: str) -> str:
        return subprocess.run(["git", *command], capture_output=True, text=True, cwd=RESULTS).stdout.strip()

    return {
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(git("status", "--porcelain", "--", "../../vae_helpers", "../*.py")),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "machine": f"{processor()}, {len(tf.config.list_physical_devices('GPU'))} GPUs",
    }


def held_out(images: vh.ImageData, binarization: str) -> np.ndarray:
    """The same coins for every run, so that only training differs; "dynamic" has other coins than "fixed"."""
    return vh.binarize(images.test, binarization, seed=1 if binarization == "dynamic" else 0)


class ELBOByEpoch(keras.callbacks.Callback):
    """The test ELBO after every epoch, by estimator B with the same noise each time."""

    def __init__(self, test: np.ndarray):
        super().__init__()
        self.test, self.values = test, []

    def on_epoch_end(self, epoch, logs=None):
        self.values.append(vh.elbo(self.model, self.test))


def train_and_evaluate(run: Run, seed: int, callbacks: Sequence[keras.callbacks.Callback] = ()) -> tuple[vh.VAE, dict]:
    images = run.load()
    test = held_out(images, run.binarization)
    model = run.build(seed)
    model.compile(run.optimizer(), objective=run.objective, samples=run.samples)
    training = vh.batches(images.train, run.batch_size, run.binarization, seed=seed)
    curve = ELBOByEpoch(test)
    callbacks = [*callbacks, curve] if run.curve_by_b else [*callbacks]
    start = time.monotonic()
    history = model.fit(
        training, epochs=run.epochs, validation_data=vh.batches(test, 1000, shuffle=False), callbacks=callbacks
    ).history
    seconds = time.monotonic() - start
    result = evaluate(model, test, run.likelihood_images, seed) | {
        "epochs": run.epochs,
        "parameters": model.count_params(),
        "seconds_per_epoch": seconds / run.epochs,  # with the test, on a machine that may do other work besides
        "train_elbo_by_epoch": [-value for value in history["loss"]],  # of an importance-weighted run: its bound
        "test_elbo_by_epoch": [-value for value in history["val_loss"]],
    }
    if run.curve_by_b:
        result["test_elbo_b_by_epoch"] = curve.values
    if run.load is vh.load_mnist:  # what the same model scores on the other versions: columns must not be compared
        result["test_elbo_on"] = {version: vh.elbo(model, held_out(images, version)) for version in BINARIZATIONS}
    return model, result


def pictures(model: vh.VAE, test: np.ndarray, columns: int = 20) -> Image.Image:
    """Three rows of tiles, pixel means as grey levels: samples, test images, their reconstructions."""
    test = test[:columns]
    rows = np.stack([model.sample(len(test), seed=1), test, model.reconstruct(test)])
    _, n, height, width, channels = rows.shape
    tiles = rows.transpose(0, 2, 1, 3, 4).reshape(3 * height, n * width, channels)
    tiles = np.uint8(np.rint(255 * np.clip(tiles, 0, 1)))
    return Image.fromarray(tiles[..., 0] if channels == 1 else tiles)


def film_of(run: Run, seed: int) -> list[vh.SampleFrames]:
    """What collects 16 samples and 8 reconstructions before training and after every epoch."""
    if not run.film or seed != run.seeds[0]:
        return []
    return [vh.SampleFrames(held_out(run.load(), run.binarization)[:8], samples=16)]


def evaluate(model: vh.VAE, test: np.ndarray, likelihood_images: int, seed: int) -> dict:
    loss, reconstruction, kl = model.evaluate(vh.batches(test, 1000, shuffle=False))
    elbo = reconstruction - kl  # the loss is minus that, or minus a tighter bound
    some = test[:likelihood_images]
    log_likelihood = float(np.mean(vh.log_likelihood(model, some, samples=500, seed=seed)))
    if likelihood_images < len(test):
        # Images differ by tens of nats, the gap log p(x) − ELBO by few: the gap of some, added to the ELBO of all, is
        # known better than the log p(x) of some.
        log_likelihood += elbo - vh.elbo(model, some, samples=50, seed=seed)
    result = {
        "test_elbo": elbo,
        "test_objective": -loss,
        "test_reconstruction": reconstruction,
        "test_kl": kl,
        "test_log_likelihood_500": log_likelihood,
        "log_likelihood_images": likelihood_images,
        "active_units": vh.active_units(model, test),
    }
    if model.latent_dim == 2:
        result["test_log_likelihood"] = float(np.mean(vh.log_likelihood_on_grid(model, test)))
    return result


def time_epochs(rounds: int = 3) -> dict:
    """Seconds an epoch of each system on grey levels, the best of some rounds in turn, without start-up and test."""
    images = vh.load_mnist()
    best = {}
    fits = {}
    for name, system in SYSTEMS.items():
        model = system.build(0)
        model.compile(system.optimizer(), objective=system.objective)
        fits[name] = functools.partial(model.fit, vh.batches(images.train, system.batch_size), verbose=0)
        fits[name]()  # compiles
    for _ in range(rounds):
        for name, fit in fits.items():
            start = time.monotonic()
            fit()
            best[name] = min(best.get(name, math.inf), time.monotonic() - start)
    return {"seconds_per_epoch": best, "rounds": rounds, "provenance": provenance()}


def write(path: Path, result: dict) -> None:
    """All or nothing: a half-written result would count as done."""
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(result, indent=1) + "\n")
    temporary.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=f"scoreboard, {', '.join(RUNS)}; default: all")
    parser.add_argument("--seed", type=int, action="append", help=f"default: {SEEDS}")
    parser.add_argument("--force", action="store_true", help="run again what has a result")
    parser.add_argument("--time", action="store_true", help="only measure seconds an epoch")
    arguments = parser.parse_args()
    if arguments.time:
        write(RESULTS / "seconds_per_epoch.json", time_epochs())
        return
    chosen = []
    for system in arguments.systems or RUNS:
        found = [name for name in RUNS if name == system or name.startswith(f"{system}-")]
        found += SCOREBOARD if system == "scoreboard" else ()
        if not found:
            parser.error(f"unknown system {system}: expected some of {', '.join(RUNS)}, or how they begin")
        chosen += found
    for name in chosen:
        run = RUNS[name]
        for seed in arguments.seed or run.seeds:
            path = RESULTS / f"{name}-seed{seed}.json"
            if path.exists() and not arguments.force:
                print(f"{path.name} is there")
                continue
            print(f"{name}, seed {seed}", flush=True)
            result = {"system": name, "seed": seed, "data": f"{run.load().name}, {run.binarization}"}
            begun = provenance()  # before training: the code may change while it runs
            film = film_of(run, seed)
            model, measured = train_and_evaluate(run, seed, film)
            result |= measured | {"provenance": begun}
            for collected in film:
                columns = map(np.array, zip(*collected.snapshots, strict=True))
                np.savez_compressed(path.with_suffix(".npz"), **dict(zip(Snapshot._fields, columns, strict=True)))
            if run.pictures and seed == run.seeds[0]:
                pictures(model, held_out(run.load(), run.binarization)).save(path.with_suffix(".png"))
            if run.weights and seed == run.seeds[0]:
                bare = run.build(seed)  # without the optimiser, whose state is twice as large as the weights
                bare.set_weights(model.get_weights())
                bare.save_weights(path.with_suffix(".weights.h5"))
            write(path, result)


if __name__ == "__main__":
    main()
