"""What S0 loses on images that it was not trained on: of log p(x), and as a wider gap below it.

    python experiments/seen_and_new.py            # whatever is missing in experiments/results: an hour or so
    python experiments/seen_and_new.py --seed 0

For the page on next steps. S0 is trained as for the scoreboard, once for each version of the data and seed. All test
images are measured, and as many training images drawn at random: the sets' first thousands are no fair sample, and
log p(x) differs by tens of nats from image to image. The result is `seen-VERSION-seedN.json`.
"""

from __future__ import annotations

import argparse

import numpy as np
from run import RESULTS, RUNS, SEEDS, held_out, provenance, write

import vae_helpers as vh
from vae_helpers.data import BINARIZATIONS


def sample(count: int, size: int) -> np.ndarray:
    """The places of `size` of `count` images, the same for every run."""
    return np.random.default_rng(0).permutation(count)[:size]


def measured(model: vh.VAE, x: np.ndarray) -> dict[str, float]:
    """ELBO and exact log p(x), nats, means over the images, and the standard error over images of the second."""
    exact, error = vh.mean_and_error(vh.log_likelihood_on_grid(model, x))
    elbo = vh.elbo(model, x, samples=20)
    return {"images": len(x), "elbo": elbo, "log_likelihood": exact, "log_likelihood_error": error}


def seen_and_new(binarization: str, seed: int) -> dict[str, dict[str, float]]:
    """Trains S0 on a version of the data, and measures it on images that it has seen and on new ones.

    With fresh coins the training images come with coins that were not trained on.
    """
    run = RUNS[f"s0-{binarization}"]
    images = run.load()
    model = run.build(seed)
    model.compile(run.optimizer(), objective=run.objective)
    model.fit(vh.batches(images.train, run.batch_size, binarization, seed=seed), epochs=run.epochs, verbose=0)
    new = held_out(images, binarization)
    seen = vh.binarize(images.train, binarization, seed=seed)  # of all, for the coins that were trained on
    return {"seen": measured(model, seen[sample(len(seen), len(new))]), "new": measured(model, new)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, action="append", help=f"default: {SEEDS}")
    for seed in parser.parse_args().seed or SEEDS:
        for binarization in BINARIZATIONS:
            path = RESULTS / f"seen-{binarization}-seed{seed}.json"
            if path.exists():
                print(f"{path.name} is there")
                continue
            print(path.stem, flush=True)
            begun = provenance()
            write(path, {"seed": seed} | seen_and_new(binarization, seed) | {"provenance": begun})


if __name__ == "__main__":
    main()
