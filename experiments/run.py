"""The long runs behind the book's tables: one command, resumable, each result with its provenance.

    python experiments/run.py            # whatever is missing in experiments/results
    python experiments/run.py s0         # one system
    python experiments/run.py s0 --seed 1 --force

A run is one system with one seed. It trains from scratch, evaluates on the 10,000 test images and writes one small JSON
file; a run whose file exists is skipped, so an interrupted command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import vae_helpers as vh  # before Keras and TensorFlow: it silences their start-up lines

import keras  # isort: skip
import numpy as np
import tensorflow as tf

RESULTS = Path(__file__).parent / "results"
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Run:
    """A published system: how to build it and how it was trained."""

    build: Callable[[int], vh.VAE]  # from a seed
    optimizer: Callable[[], keras.optimizers.Optimizer]
    objective: Callable
    binarization: str
    batch_size: int
    epochs: int


S0 = Run(
    build=lambda seed: vh.mlp_vae(latent_dim=2, hidden=(512, 256), seed=seed),
    optimizer=lambda: keras.optimizers.Adam(1e-3),
    objective=vh.sgvb_b,
    binarization="none",
    batch_size=1024,
    epochs=50,
)
RUNS = {
    "s0": S0,
    "s0-j10": replace(S0, build=lambda seed: vh.mlp_vae(latent_dim=10, hidden=(512, 256), seed=seed)),
}


def provenance() -> dict:
    """What it takes to run this again: code, versions, machine, date."""

    def git(*command: str) -> str:
        return subprocess.run(["git", *command], capture_output=True, text=True, cwd=RESULTS).stdout.strip()

    return {
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(git("status", "--porcelain", "--", "../../vae_helpers", "../run.py")),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {len(tf.config.list_physical_devices('GPU'))} GPUs",
    }


def train_and_evaluate(run: Run, seed: int) -> dict:
    images = vh.load_mnist()
    test = vh.binarize(images.test, run.binarization, seed=seed)
    model = run.build(seed)
    model.compile(run.optimizer(), objective=run.objective)
    start = time.monotonic()
    history = model.fit(
        vh.batches(images.train, run.batch_size, run.binarization, seed=seed), epochs=run.epochs
    ).history
    seconds = (time.monotonic() - start) / run.epochs
    loss, reconstruction, kl = model.evaluate(test, batch_size=1000)
    return {
        "test_elbo": -loss,
        "test_reconstruction": reconstruction,
        "test_kl": kl,
        "test_log_likelihood_500": float(np.mean(vh.log_likelihood(model, test, samples=500, seed=seed))),
        "active_units": vh.active_units(model, test),
        "parameters": model.count_params(),
        "seconds_per_epoch": seconds,
        "train_elbo_by_epoch": [-value for value in history["loss"]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=f"of {', '.join(RUNS)}; default: all")
    parser.add_argument("--seed", type=int, action="append", help=f"default: {SEEDS}")
    parser.add_argument("--force", action="store_true", help="run again what has a result")
    arguments = parser.parse_args()
    unknown = set(arguments.systems) - set(RUNS)
    if unknown:
        parser.error(f"unknown system {', '.join(sorted(unknown))}: expected some of {', '.join(RUNS)}")
    for name in arguments.systems or RUNS:
        for seed in arguments.seed or SEEDS:
            path = RESULTS / f"{name}-seed{seed}.json"
            if path.exists() and not arguments.force:
                print(f"{path.name} is there")
                continue
            print(f"{name}, seed {seed}", flush=True)
            result = {"system": name, "seed": seed, "data": f"MNIST, {RUNS[name].binarization}"}
            begun = provenance()  # before training: the code may change while it runs
            result |= train_and_evaluate(RUNS[name], seed) | {"provenance": begun}
            temporary = path.with_suffix(".part")
            temporary.write_text(json.dumps(result, indent=1) + "\n")
            temporary.replace(path)


if __name__ == "__main__":
    main()
