"""The scoreboard: every system on every version of the data, as far as it has stored results.

    python experiments/scoreboard.py     # prints the table in Markdown: what `make scoreboard` keeps for the first page

The numbers come from `results/*.json`, which `python experiments/run.py` makes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import vae_helpers as vh

RESULTS = Path(__file__).parent / "results"
VERSIONS = {"none": "grey levels", "threshold": "threshold", "fixed": "fixed", "dynamic": "dynamic"}
HEADS = "data; system; epochs; test ELBO; reconstr.; KL; log p(x), 500 draws; log p(x), exact"
HEADS += "; active; weights; s/epoch; seeds; published"

# What the write-ups print. Only S1's figures were taken on test images.
PUBLISHED = {
    ("s1", "threshold", 10): "−156.8; −155.9 in another copy",
    ("s3", "none", 50): "0.19 · 784 ≈ 149, training loss",
    ("s4", "threshold", 50): "155, training loss, “then slowly”",
}


def stored(name: str) -> list[dict[str, Any]]:
    """What `vh.stored` gives; empty where the run was never made."""
    try:
        return vh.stored(name)
    except FileNotFoundError:
        return []


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
                    key: vh.mean_and_error([result[f"test_{key}"] for result in results])
                    for key in ("elbo", "reconstruction", "kl", "log_likelihood_500", "log_likelihood")
                }
                kl, error = over_seeds["kl"]  # small: with a digit more than the others
                over_seeds["kl"] = f"{kl:.2f}" + ("" if math.isnan(error) else f" ± {error:.2f}")
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


if __name__ == "__main__":
    print(table())
