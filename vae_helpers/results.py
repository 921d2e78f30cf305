"""Claims and stored results: check what a page says, load what a long run kept, and show both in a line or a table."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_RELATIONS = {"≈": None, "<": operator.lt, ">": operator.gt, "≤": operator.le, "≥": operator.ge, "=": operator.eq}


def check(claim: str, left: Any, right: Any, *, atol: float = 0.0, rtol: float = 0.0, relation: str = "≈") -> None:
    """Asserts a claim about two numbers, or about two arrays entry by entry, and prints it in one line with both.

    The line begins with a tick, so that a reader's eye may pass it by, and `nbval` compares the claim but not the
    numbers, which another processor may round otherwise: what holds them is the assertion.

    Args:
        claim: what is claimed, in words, without a full stop.
        left: what was measured: a number or an array of any shape.
        right: what it should be; a number, or an array that broadcasts with `left`.
        atol: how far the two may lie apart where `relation` is "≈". Digits beyond it are not shown.
        rtol: the same as a share of `right`; both tolerances add up.
        relation: `"≈"`, or `"<"`, `">"`, `"≤"`, `"≥"`, `"="` without a tolerance.

    Raises:
        AssertionError: it does not hold; the message has the claim and both numbers, of an array the worst entry.
        ValueError: an unknown relation, or "≈" without a tolerance, or another relation with one.

    Example:
        >>> vh.check("the mean of the draws is μ", draws.mean(), 0.35, atol=0.001)
        ✓ the mean of the draws is μ: 0.350 ≈ 0.350
    """
    if relation not in _RELATIONS:
        raise ValueError(f"relation: expected one of {', '.join(_RELATIONS)}, got {relation!r}.")
    if (relation == "≈") != (atol > 0 or rtol > 0):
        raise ValueError(f"atol, rtol: expected a tolerance for ≈ and none for others, got {atol:g}, {rtol:g}.")
    whole = all(np.issubdtype(np.asarray(side).dtype, np.integer) for side in (left, right))
    left, right = np.broadcast_arrays(np.asarray(left, float), np.asarray(right, float))
    if left.size == 0:
        raise ValueError(f"{claim}: expected at least one number on each side, got an empty array.")
    apart = np.abs(left - right)
    if relation == "≈":
        tolerance = atol + rtol * np.abs(right)
        holds, badness = apart <= tolerance, apart - tolerance
    else:
        holds = _RELATIONS[relation](left, right)
        badness = {"<": left - right, "≤": left - right, ">": right - left, "≥": right - left}.get(relation, apart)
        tolerance = 1.0 if whole else 1e-3 * np.maximum(np.abs(left), np.abs(right))
    tolerance = np.broadcast_to(tolerance, apart.shape)
    # The entry that is nearest to failing, or fails most; NaN is the worst of all.
    worst = np.unravel_index(np.argmax(np.where(np.isnan(badness), np.inf, badness)), apart.shape)
    texts = [_rounded(side[worst], tolerance[worst]) for side in (left, right)]
    if not holds.all():
        where = [int(i) for i in worst]
        one = "" if left.size == 1 else f" in {np.sum(~holds):,} of {left.size:,} entries, the worst at {where}"
        allowed = f", {apart[worst]:.3g} apart where {tolerance[worst]:.3g} is allowed" if relation == "≈" else ""
        raise AssertionError(
            f"{claim}: expected {relation}, got {left[worst]:.8g} and {right[worst]:.8g}{allowed}{one}"
        )
    of = "" if left.size == 1 else f" (the worst of {left.size:,})"
    print(f"✓ {claim}: {texts[0]} {relation} {texts[1]}{of}")


def _rounded(value: float, tolerance: float) -> str:
    """As many digits as the tolerance leaves sure, six at most."""
    if math.isfinite(value) and abs(value) < 0.5 * tolerance:
        return "0"
    if not math.isfinite(value) or abs(value) < 1e-4 or tolerance <= 0:
        return f"{value:.2g}".replace("-", "−")
    decimals = max(0, math.ceil(-math.log10(tolerance)))
    size = math.floor(math.log10(abs(value)))
    return f"{value:,.{min(decimals, max(0, 5 - size))}f}".replace("-", "−")


def stored(name: str) -> list[dict[str, Any]]:
    """What `experiments/run.py` has kept of one run, e.g. `"s1-threshold"`: a dictionary a seed, in their order.

    Each holds the figures of the run and, under `"provenance"`, the commit, date, versions and machine that made them.

    Raises:
        FileNotFoundError: there is no such run; the message has the command that makes it.
    """
    folder = results_folder()
    found = sorted(folder.glob(f"{name}-seed*.json"), key=lambda path: int(path.stem.rpartition("seed")[2]))
    if not found:
        raise FileNotFoundError(f"{folder} has no run {name!r}: make it with `python experiments/run.py {name}`.")
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def results_folder() -> Path:
    """`experiments/results` of the book: beside this package, else above the folder that a notebook runs in.

    Raises:
        FileNotFoundError: neither is there, as where the package was installed without the book.
    """
    for start in (Path(__file__).parent, Path.cwd()):
        for folder in (start, *start.parents):
            if (folder / "experiments/results").is_dir():
                return folder / "experiments/results"
    raise FileNotFoundError(
        f"No folder experiments/results above {Path.cwd()}: expected to run within a clone of the book's repository."
    )


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error of some values; of a single one the error is not known (NaN)."""
    values = np.asarray(values, float)
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error)


class _Table(str):
    """Markdown that a notebook renders and `print` shows as it is."""

    def __repr__(self) -> str:
        return str(self)

    _repr_markdown_ = __repr__


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]], digits: int = 2) -> str:
    """A table in Markdown, which a notebook shows as a table where it is the last expression of a cell.

    Args:
        heads: a word for each column. A column of words is set to the left, one of numbers to the right.
        rows: as many cells as heads in each: numbers, `(mean, error)` pairs, or text as it is to stand.
        digits: decimals of each float and pair; a pair gets one more where its error would read as zero.

    Returns:
        the Markdown, one line a row.

    Raises:
        ValueError: a row with more or fewer cells than there are heads.

    Example:
        >>> vh.table(["system", "test ELBO"], [["S1", vh.mean_and_error([-156.6, -157.2, -156.7])]])
    """
    heads, rows = list(heads), [list(row) for row in rows]
    for number, row in enumerate(rows):
        if len(row) != len(heads):
            raise ValueError(f"Row {number}: expected {len(heads)} cells, one a head, got {len(row)}: {row}.")
    texts = [[_cell(cell, digits) for cell in row] for row in rows]
    right = [column and all(text[:1] in "−+0123456789" for text in column) for column in zip(*texts, strict=True)]
    rules = ["---:" if to_the_right else "---" for to_the_right in (right or [False] * len(heads))]
    return _Table("\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rules, *texts)))


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, np.integer)):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, (float, np.floating)):
        return f"{value:.{digits}f}".replace("-", "−")
    mean, error = value
    digits += 0 < error < 0.5 * 10**-digits
    return _cell(float(mean), digits) + ("" if math.isnan(error) else f" ± {error:.{digits}f}")
