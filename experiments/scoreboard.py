"""The scoreboard: every system on every version of the data, as far as it has stored results.

    python experiments/scoreboard.py     # prints the table in Markdown: what `make scoreboard` keeps for the first page

The numbers come from `results/*.json`, which `python experiments/run.py` makes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
VERSIONS = {"none": "grey levels", "threshold": "threshold", "fixed": "fixed", "dynamic": "dynamic"}

# What the write-ups print. Only S1's figures were taken on test images.
PUBLISHED = {
    ("s1", "threshold", 10): "−156.8; −155.9 in another copy",
    ("s3", "none", 50): "0.19 · 784 ≈ 149, training loss",
    ("s4", "threshold", 50): "155, training loss, “then slowly”",
}


def stored(name: str) -> list[dict]:
    """The results of one run of `run.py`, e.g. `"s1-threshold"`, by seed; empty where it was never made."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob(f"{name}-seed*.json"))]


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean and standard error; the error of a single value is not known (NaN)."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, math.nan
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))


def show(values: list[float], digits: int = 1) -> str:
    """`−156.1 ± 0.2`: mean ± standard error, with a digit more where the error would read as zero."""
    mean, error = mean_and_error(values)
    digits += 0 < error < 0.5 * 10**-digits
    text = f"{mean:.{digits}f}" + ("" if math.isnan(error) else f" ± {error:.{digits}f}")
    return text.replace("-", "−")


def rows() -> list[tuple[str, ...]]:
    """The cells of the table, a row for each system, version of the data and number of epochs that has results."""
    timed = RESULTS / "seconds_per_epoch.json"
    seconds = json.loads(timed.read_text())["seconds_per_epoch"] if timed.exists() else {}
    table = []
    for version, title in VERSIONS.items():
        for system in ("s0", "s1", "s2", "s3", "s4"):
            longer = [stored(f"{system}-long")] if version == "threshold" else []
            for results in filter(None, [stored(f"{system}-{version}"), *longer]):
                epochs = results[0]["epochs"]
                table.append(
                    (
                        title,
                        system.upper(),
                        str(epochs),
                        show([result["test_elbo"] for result in results]),
                        show([result["test_reconstruction"] for result in results]),
                        show([result["test_kl"] for result in results], 2),
                        show([result["test_log_likelihood_500"] for result in results]),
                        show([result["test_log_likelihood"] for result in results]),
                        ", ".join(map(str, sorted({result["active_units"] for result in results}))),
                        f"{results[0]['parameters']:,}",
                        f"{seconds[system]:.1f}" if system in seconds else "not timed",
                        str(len(results)),
                        PUBLISHED.get((system, version, epochs), "none"),
                    )
                )
    return table


def table() -> str:
    """The scoreboard in Markdown."""
    heads = "data; system; epochs; test ELBO; reconstr.; KL; log p(x), 500 draws; log p(x), exact"
    heads += "; active; weights; s/epoch; seeds; published"
    lines = [heads.split("; "), ["---"] * 2 + ["---:"] * 10 + ["---"], *rows()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
