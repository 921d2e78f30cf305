"""The scoreboard: every system on every version of the data, as far as it has stored results.

    python experiments/scoreboard.py               # prints the table in Markdown, which chapter 3 shows
    python experiments/scoreboard.py --first-page  # one row a system, for the first page; `make scoreboard` keeps both

The numbers come from `results/*.json`, which `python experiments/run.py` makes.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from scipy import stats

import vae_helpers as vh

RESULTS = Path(__file__).parent / "results"
VERSIONS = {"none": "grey levels", "threshold": "threshold", "fixed": "fixed", "dynamic": "dynamic"}
HEADS = "data; system; epochs; test ELBO; reconstr.; KL; log p(x), 500 draws; log p(x), exact"
HEADS += "; active; weights; s/epoch; seeds; published"

WHAT = {
    "S0": "dense, a plain loop",
    "S1": "convolutional, estimator A",
    "S2": "dense, dropout",
    "S3": "dense, functional Keras",
    "S4": "convolutional, estimator B",
}

# What the write-ups print. Only S1's figures were taken on test images.
PUBLISHED = {
    ("s1", "threshold", 10): "−156.8; −155.9 in another copy",
    ("s3", "none", 50): "0.19 · 784 ≈ 149, training loss",
    ("s4", "threshold", 50): "155, training loss",
}


def stored(name: str) -> list[dict[str, Any]]:
    """What `vh.stored` gives; empty where the run was never made."""
    try:
        return vh.stored(name)
    except FileNotFoundError:
        return []


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half of the 95% interval (Student's t) over seeds; of a single one the half is not known (NaN)."""
    mean, error = vh.mean_and_error(values)
    return mean, error * float(stats.t.ppf(0.975, len(values) - 1))


def rows() -> list[tuple]:
    """The cells of the table, a row for each system, version of the data and number of epochs that has results."""
    timed = RESULTS / "seconds_per_epoch.json"
    seconds = json.loads(timed.read_text("utf-8"))["seconds_per_epoch"] if timed.exists() else {}
    cells = []
    for version, title in VERSIONS.items():
        for system in ("s0", "s1", "s2", "s3", "s4"):
            longer = [stored(f"{system}-long")] if version == "threshold" else []
            for results in filter(None, [stored(f"{system}-{version}"), *longer]):
                epochs = results[0]["epochs"]
                over_seeds = {
                    key: interval([result[f"test_{key}"] for result in results])
                    for key in ("elbo", "reconstruction", "kl", "log_likelihood_500", "log_likelihood")
                }
                kl, half = over_seeds["kl"]  # small: with a digit more than the others
                over_seeds["kl"] = f"{kl:.2f}" + ("" if math.isnan(half) else f" ± {half:.2f}")
                cells.append(
                    (
                        title,
                        system.upper(),
                        epochs,
                        *over_seeds.values(),
                        ", ".join(map(str, sorted({result["active_units"] for result in results}))),
                        results[0]["parameters"],
                        seconds.get(system, "not timed"),
                        len(results),
                        PUBLISHED.get((system, version, epochs), "none"),
                    )
                )
    return cells


def table() -> str:
    """The scoreboard in Markdown."""
    return vh.table(HEADS.split("; "), rows(), digits=1)


def first_page() -> str:
    """One row for each system, all on one version of the data, in Markdown."""
    shortest = {row[1]: row for row in reversed(rows()) if row[0] == "threshold"}  # S4 has two
    cells = [
        [f"{system}, {WHAT[system]}", epochs, elbo, exact]
        for system, (_, _, epochs, elbo, _, _, _, exact, *_) in sorted(shortest.items())
    ]
    return vh.table(["system", "epochs", "test ELBO", "log p(x), exact"], cells, digits=1)


if __name__ == "__main__":
    print(first_page() if "--first-page" in sys.argv else table())
