"""How much the gradients of the estimators scatter, on real networks: what chapter 4 shows.

    python experiments/gradients.py            # whatever is missing in experiments/results
    python experiments/gradients.py mlp-j2     # one network
    python experiments/gradients.py --time     # seconds a gradient: on a machine that does nothing else
    python experiments/gradients.py --rows     # only reduces what is stored to the rows that chapter 4 shows

Each network is trained with estimator B on thresholded MNIST and measured at three stages: before training, after its
first epoch, and at the end. A measurement holds weights and images fixed and lets only the noise ε vary. It is made on
`BLOCKS` minibatches, with the same images and the same ε for every estimator; the spread over them gives intervals.
How much the mean gradient differs from one minibatch to the next is measured besides: training has that noise as well,
whatever the estimator.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import vae_helpers as vh  # before Keras and TensorFlow: it silences their start-up lines

import keras  # isort: skip
import numpy as np
import tensorflow as tf
from run import RESULTS, adam, conv, mlp, provenance, write
from scipy import stats

from vae_helpers.progress import Progress

BLOCKS = 10
ESTIMATORS = {"a": vh.sgvb_a, "b": vh.sgvb_b, "path": vh.sticking_the_landing, "score": vh.score_function}
TIGHTER = {"iwae": vh.iwae, "dreg": vh.iwae_doubly_reparameterized}
# Gradients drawn for each block, by L or k. A signal-to-noise ratio takes many, so the tighter bounds get fewer images.
REPEATS = {1: 50, 5: 20, 25: 10}
REPEATS_TIGHTER = {1: 100, 5: 100, 50: 100}
IMAGES_TIGHTER = 20


@dataclass(frozen=True)
class Network:
    build: Callable[[int], vh.VAE]  # from a seed
    optimizer: Callable[[], keras.optimizers.Optimizer]
    training_batch: int
    stages: dict[str, int]  # epochs trained
    images: int  # in a measured minibatch
    tighter: bool = False  # whether the importance-weighted bounds are measured too
    seeds: tuple[int, ...] = (0, 1, 2)


DENSE = Network(mlp(hidden=(512, 256)), adam(1e-3), 100, {"start": 0, "middle": 1, "end": 30}, images=100)
CONVOLUTIONAL = Network(conv(), adam(1e-3), 100, {"start": 0, "middle": 1, "end": 10}, images=20)
NETWORKS = {
    "mlp-j2": DENSE,
    "mlp-j20": dataclasses.replace(DENSE, build=mlp(hidden=(512, 256), latent_dim=20), tighter=True),
    "conv-j2": CONVOLUTIONAL,
    "conv-j20": dataclasses.replace(CONVOLUTIONAL, build=conv(latent_dim=20)),
}


class GradientMoments(NamedTuple):
    """What a `GradientMeter` measures; the dictionaries go by the path of each trainable variable."""

    value_variance: float  # of the objective of one image, averaged over the images, nats²
    mean: dict[str, np.ndarray]  # of each entry of the gradient, nats
    variance: dict[str, np.ndarray]  # of each entry, unbiased, nats²


class GradientMeter:
    """Mean and variance of an objective's gradient over the noise ε alone, the images and the weights held fixed.

    Args:
        model: the VAE; its weights are read anew by each measurement.
        objective: e.g. `vh.sgvb_a`. What is differentiated is its mean over the images.
        samples: L, the number of z drawn for an image (k for `vh.iwae`).

    Example:
        >>> meter = GradientMeter(model, vh.sgvb_a)  # compiled once
        >>> moments = [meter(x, repeats=100) for x in minibatches]
    """

    def __init__(self, model: vh.VAE, objective: Callable, samples: int = 1):
        self._model, self._variables = model, model.trainable_variables
        self._seeds = keras.random.SeedGenerator(0)
        self._means, self._squares = (
            [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self._variables] for _ in range(2)
        )

        def add(new, mean, square, count):
            # Welford's update: the mean of squares minus the squared mean would cancel where the variance is small.
            step = new - mean
            mean = mean + step / count
            return mean, square + step * (new - mean)

        @tf.function(jit_compile=model.prefers_xla)
        def add_draw(x, mean, square, count):
            with tf.GradientTape() as tape, model.using(self._seeds):
                values = objective(model, x, samples)
                total = tf.reduce_mean(values)
            # .value: TensorFlow's own variables, since zeros for an unused Keras variable fail inside a graph.
            gradients = tape.gradient(
                total, [v.value for v in self._variables], unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            for new, *moments in zip(gradients, self._means, self._squares, strict=True):
                for moment, updated in zip(moments, add(tf.convert_to_tensor(new), *moments, count), strict=True):
                    moment.assign(updated)
            return add(values, mean, square, count)

        self._add_draw = add_draw

    def __call__(self, x: np.ndarray | tf.Tensor, repeats: int = 100, seed: int = 0) -> GradientMoments:
        """Measures on one minibatch.

        Args:
            x: float32 images in [0, 1], shape [n, H, W, C].
            repeats: how many gradients are drawn; at least 2.
            seed: of the noise: two objectives with the same seed are compared on the same ε.

        Returns:
            a named tuple. `value_variance` is the variance of the objective of one image, averaged over the images,
            nats²; `mean` and `variance` are dictionaries from the path of each trainable variable to an array of its
            shape, nats and nats², both without bias.

        Raises:
            ValueError, TypeError: `repeats` is below 2, or what the objective raises.
        """
        if repeats < 2:
            raise ValueError(f"repeats: expected at least 2 to estimate a variance, got {repeats}.")
        x = tf.convert_to_tensor(x)
        self._seeds.state.assign(keras.random.SeedGenerator(seed).state)
        for variable in (*self._means, *self._squares):
            variable.assign(tf.zeros_like(variable))
        mean, square = tf.zeros([len(x)]), tf.zeros([len(x)])
        with Progress("gradients", total=repeats) as progress:
            for count in range(1, repeats + 1):
                mean, square = self._add_draw(x, mean, square, tf.constant(count, tf.float32))
                progress.update(count)
        paths = [v.path for v in self._variables]
        means = (mean.numpy() for mean in self._means)
        variances = (square.numpy() / (repeats - 1) for square in self._squares)
        return GradientMoments(
            float(np.mean(square)) / (repeats - 1),
            dict(zip(paths, means, strict=True)),
            dict(zip(paths, variances, strict=True)),
        )


def groups(model: vh.VAE) -> dict[str, list[tuple[str, slice]]]:
    """Which entries of the gradient belong to μ, to the raw scale, to the rest of the encoder and to the decoder: paths
    of variables, each with a slice of its last axis.

    The encoder's last layer holds both heads: its first J outputs are μ.
    """
    head = [variable.path for variable in model.encoder.layers[-1].trainable_variables]
    rest = [v.path for v in model.encoder.trainable_variables if v.path not in head]
    whole, half = slice(None), model.latent_dim
    return {
        "mu": [(path, slice(half)) for path in head],
        "scale": [(path, slice(half, None)) for path in head],
        "encoder": [(path, whole) for path in rest],
        "decoder": [(variable.path, whole) for variable in model.decoder.trainable_variables],
    }


def by_group(model: vh.VAE, entries: dict[str, np.ndarray]) -> dict[str, float]:
    """Sums over the entries of each of the `groups`."""
    return {
        name: float(sum(entries[path][..., part].sum(dtype=float) for path, part in parts))
        for name, parts in groups(model).items()
    }


def by_latent(model: vh.VAE, entries: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """The same sums of the two heads, one for each latent dimension."""
    result = {}
    for name in ("mu", "scale"):
        parts = [entries[path][..., part] for path, part in groups(model)[name]]
        sums = sum(values.reshape(-1, model.latent_dim).sum(axis=0, dtype=float) for values in parts)
        result[name] = sums.tolist()
    return result


def measure(model: vh.VAE, blocks: list[np.ndarray], objective: Callable, samples: int, repeats: int) -> dict:
    """By name, lists over the blocks: variances of value and gradient by group and by latent dimension, squared mean
    gradient; and `between_GROUP`, one number, the variance of the mean gradient over the blocks."""
    meter = GradientMeter(model, objective, samples)
    lists: dict[str, list] = {}
    means, variances = [], []
    for seed, x in enumerate(blocks):
        moments = meter(x, repeats, seed=seed)
        found = {"value": moments.value_variance}
        variance = by_group(model, moments.variance)
        found |= {f"variance_{group}": value for group, value in variance.items()}
        found |= {f"variance_{head}_by_latent": values for head, values in by_latent(model, moments.variance).items()}
        # The squared mean of noisy draws is too large by its variance over their number.
        squared = by_group(model, {path: mean.astype(float) ** 2 for path, mean in moments.mean.items()})
        found |= {f"squared_mean_{group}": squared[group] - variance[group] / repeats for group in squared}
        for name, value in found.items():
            lists.setdefault(name, []).append(value)
        means.append(moments.mean)
        variances.append(variance)
    spread = by_group(
        model, {path: np.var([mean[path] for mean in means], axis=0, ddof=1, dtype=float) for path in means[0]}
    )
    # The spread of the blocks' means holds the noise of each mean as well.
    noise = {group: np.mean([variance[group] for variance in variances]) / repeats for group in spread}
    return lists | {f"between_{group}": float(spread[group] - noise[group]) for group in spread}


def minibatches(images: vh.ImageData, network: Network, seed: int) -> list[np.ndarray]:
    """The training images on which all is measured."""
    chosen = np.random.default_rng(seed).permutation(len(images.train))[: BLOCKS * network.images]
    return np.split(vh.binarize(images.train[chosen], "threshold"), BLOCKS)


def measurements(network: Network) -> Iterator[tuple[str, Callable, int, int]]:
    """Name of an estimator, its function, L or k, how many gradients are drawn."""
    for objectives, repeats in ((ESTIMATORS, REPEATS), (TIGHTER if network.tighter else {}, REPEATS_TIGHTER)):
        for name, objective in objectives.items():
            for samples in repeats:
                yield name, objective, samples, repeats[samples]


def measure_stages(network: Network, seed: int = 0):
    """Yields the name of each stage and what was measured there."""
    images = vh.load_mnist()
    blocks = minibatches(images, network, seed)
    held_out = vh.binarize(images.test, "threshold")
    model = network.build(seed)
    model.compile(network.optimizer(), objective=vh.sgvb_b)
    training, done = vh.batches(images.train, network.training_batch, "threshold", seed=seed), 0
    for stage, epochs in network.stages.items():
        if epochs > done:
            model.fit(training, epochs=epochs, initial_epoch=done, verbose=0)
            done = epochs
        measured = {}
        for name, objective, n, repeats in measurements(network):
            some = [x[:IMAGES_TIGHTER] for x in blocks] if name in TIGHTER else blocks
            measured.setdefault(name, {})[str(n)] = measure(model, some, objective, n, repeats)
        yield (
            stage,
            {
                "epochs": epochs,
                "test_elbo": vh.elbo(model, held_out),
                "kl_by_latent": vh.kl_per_dimension(model, np.concatenate(blocks)).tolist(),
                "estimators": measured,
            },
        )


def time_gradients(network: Network, rounds: int = 5, repeats: int = 10) -> dict:
    """Seconds a gradient by estimator and L: of each the median of some rounds, in which they take turns."""
    model = network.build(0)
    x = minibatches(vh.load_mnist(), network, seed=0)[0]
    meters = {
        (name, samples): GradientMeter(model, objective, samples)
        for name, objective in ESTIMATORS.items()
        for samples in REPEATS
    }
    for meter in meters.values():
        meter(x, repeats=2)  # compiles
    taken = {key: [] for key in meters}
    for _ in range(rounds):
        for key, meter in meters.items():
            start = time.perf_counter()
            meter(x, repeats)
            taken[key].append((time.perf_counter() - start) / repeats)
    result = {}
    for (name, samples), seconds in taken.items():
        result.setdefault(name, {})[str(samples)] = statistics.median(seconds)
    return result


# What a table shows: sums over these groups of entries of the gradient, and the value itself.
PARTS = {
    "value": ("value",),
    "mu": ("variance_mu",),
    "scale": ("variance_scale",),
    "rest": ("variance_encoder",),
    "encoder": ("variance_mu", "variance_scale", "variance_encoder"),
    "decoder": ("variance_decoder",),
}
# Quotients of two signal-to-noise ratios, each of an estimator, a part and k.
QUOTIENTS = {
    "iwae 50/1": (("iwae", "encoder", 50), ("iwae", "encoder", 1)),
    "dreg 50/1": (("dreg", "encoder", 50), ("dreg", "encoder", 1)),
    "decoder 50/1": (("iwae", "decoder", 50), ("iwae", "decoder", 1)),
    "dreg/iwae 1": (("dreg", "encoder", 1), ("iwae", "encoder", 1)),
    "dreg/iwae 50": (("dreg", "encoder", 50), ("iwae", "encoder", 50)),
}


def geometric_mean(values: np.ndarray) -> list[float]:
    """Over the minibatches, with its 95% interval by Student's t: middle, low, high."""
    logs = np.log(values)
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    return np.exp([logs.mean(), logs.mean() - half, logs.mean() + half]).tolist()


def reduced(stage: dict) -> dict:
    """What a table shows of one stage: variances relative to B's, with intervals over the minibatches; mean variances
    n_ε by L, and n_x between minibatches; quotients of signal-to-noise ratios; of the first minibatch, what a page may
    measure again."""
    measured = stage["estimators"]

    def total(name: str, n: int, part: str, what: str = "variance") -> np.ndarray:
        """Summed over the entries of a part, one number for each minibatch."""
        return sum(np.array(measured[name][str(n)][key.replace("variance", what)]) for key in PARTS[part])

    def ratio(name: str, part: str, k: int) -> np.ndarray:
        return np.sqrt(total(name, k, part, "squared_mean") / total(name, k, part))

    parts = [part for part in PARTS if part != "value"]
    result = {
        "epochs": stage["epochs"],
        "test_elbo": stage["test_elbo"],
        "over_b": {
            name: {part: geometric_mean(total(name, 1, part) / total("b", 1, part)) for part in PARTS}
            for name in ("a", "path", "score")
        },
        "value": {name: float(total(name, 1, "value").mean()) for name in ESTIMATORS},
        "noise": {
            name: {n: {part: float(total(name, int(n), part).mean()) for part in parts} for n in measured[name]}
            for name in ESTIMATORS
        },
        "between": {part: float(total("b", 1, part, "between")) for part in parts},
        "first": {f"{name}, {n}": float(total(name, n, "encoder")[0]) for name, n in (("a", 1), ("b", 5))},
    }
    if "iwae" in measured:
        result["signal"] = {
            name: geometric_mean(ratio(*above) / ratio(*below)) for name, (above, below) in QUOTIENTS.items()
        }
        result["first"] |= {f"{name}, 5, signal": float(ratio(name, "encoder", 5)[0]) for name in TIGHTER}
    return result


def rows() -> list[dict]:
    """The stages of all networks and seeds, `reduced`, with where each was measured."""
    found = []
    for name, network in NETWORKS.items():
        for seed in network.seeds:
            path = RESULTS / f"gradients-{name}-seed{seed}.json"
            if not path.exists():
                continue
            result = json.loads(path.read_text())
            of = {"network": name, "seed": seed, "images": result["images"], "repeats": result["repeats"]}
            of |= {"latent_dim": len(result["stages"]["end"]["kl_by_latent"])}
            for stage, measured in result["stages"].items():
                found.append(of | {"stage": stage} | reduced(measured) | {"provenance": result["provenance"]})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"{', '.join(NETWORKS)}; default: all")
    parser.add_argument("--force", action="store_true", help="measure again what has a result")
    parser.add_argument("--time", action="store_true", help="only measure seconds a gradient")
    parser.add_argument("--rows", action="store_true", help="only reduce what is stored")
    arguments = parser.parse_args()
    if arguments.rows:
        write(RESULTS / "gradients-rows.json", {"rows": rows()})
        return
    if arguments.time:
        seconds = {name: time_gradients(network) for name, network in NETWORKS.items()}
        write(RESULTS / "gradients-seconds.json", {"seconds": seconds, "provenance": provenance()})
        return
    for name in arguments.networks or NETWORKS:
        if name not in NETWORKS:
            parser.error(f"unknown network {name}: expected some of {', '.join(NETWORKS)}")
        network = NETWORKS[name]
        for seed in network.seeds:
            path = RESULTS / f"gradients-{name}-seed{seed}.json"
            if path.exists() and not arguments.force:
                print(f"{path.name} is there")
                continue
            begun = provenance()
            stages = {}
            for stage, measured in measure_stages(network, seed):
                print(f"{path.stem}, {stage}: test ELBO {measured['test_elbo']:.2f}", flush=True)
                stages[stage] = measured
            write(
                path,
                {
                    "network": name,
                    "seed": seed,
                    "data": "MNIST, threshold",
                    "images": network.images,
                    "repeats": REPEATS,
                    "images_tighter": IMAGES_TIGHTER,
                    "repeats_tighter": REPEATS_TIGHTER,
                    "stages": stages,
                    "provenance": begun,
                },
            )
    write(RESULTS / "gradients-rows.json", {"rows": rows()})


if __name__ == "__main__":
    main()
