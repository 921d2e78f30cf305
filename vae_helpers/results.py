"""Claims and stored results: check what a page says, load what a long run kept, and show both in a line or a table."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .expect import expect

_SMALLER, _LARGER = {"<": operator.lt, "≤": operator.le}, {">": operator.gt, "≥": operator.ge}
_RELATIONS = {"≈": None, "=": operator.eq} | _SMALLER | _LARGER


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
        ValueError: an unknown relation, or "≈" without a tolerance, or another relation with one, or one that is
            not finite.

    Example:
        >>> vh.check("the mean of the draws is μ", draws.mean(), 0.35, atol=0.001)
        ✓ the mean of the draws is μ: 0.350 ≈ 0.350
    """
    expect(relation in _RELATIONS, f"relation: expected one of {', '.join(_RELATIONS)}, got {relation!r}.")
    is_near = relation == "≈"
    fits = is_near == (atol > 0 or rtol > 0) and math.isfinite(atol + rtol)
    expect(fits, f"expected a finite atol or rtol with ≈ and only there, got {atol:g}, {rtol:g}.")
    is_whole = all(np.issubdtype(np.asarray(side).dtype, np.integer) for side in (left, right))
    left, right = np.broadcast_arrays(np.asarray(left, float), np.asarray(right, float))
    expect(left.size > 0, f"{claim}: expected at least one number on each side, got an empty array.")
    apart, allowed = np.abs(left - right), atol + rtol * np.abs(right)
    holds = apart <= allowed if is_near else _RELATIONS[relation](left, right)
    badness = left - right if relation in _SMALLER else right - left if relation in _LARGER else apart - allowed
    # The entry that is nearest to failing, or fails most; NaN is the worst of all.
    worst = np.unravel_index(np.argmax(np.where(np.isnan(badness), np.inf, badness)), left.shape)
    one, other = left[worst], right[worst]
    tolerance = allowed[worst] if is_near else 1.0 if is_whole else 1e-3 * max(abs(one), abs(other))
    entries = f" in {np.sum(~holds):,} of {left.size:,} entries, the worst at {[*map(int, worst)]}"
    distance = f", {apart[worst]:.3g} apart where {tolerance:.3g} is allowed" if is_near else ""
    found = f"got {one:.8g} and {other:.8g}{distance}{entries if left.size > 1 else ''}"
    expect(holds.all(), f"{claim}: expected {relation}, {found}", AssertionError)
    of = f" (the worst of {left.size:,})" if left.size > 1 else ""
    print(f"✓ {claim}: {_rounded(one, tolerance)} {relation} {_rounded(other, tolerance)}{of}")


def _rounded(value: float, tolerance: float) -> str:
    """As many digits as the tolerance leaves sure, six at most."""
    if math.isfinite(value) and abs(value) < 0.5 * tolerance:
        return "0"
    if not math.isfinite(value) or abs(value) < 1e-4 or tolerance <= 0:
        return f"{value:.2g}".replace("-", "−")
    decimals = min(math.ceil(-math.log10(tolerance)), 5 - math.floor(math.log10(abs(value))))
    return f"{value:,.{max(0, decimals)}f}".replace("-", "−")


def stored(name: str) -> list[dict[str, Any]]:
    """What a script in `experiments/` has kept of one run, e.g. `"s1-threshold"`: a dictionary a seed, in their order.

    Each holds the figures of the run and, under `"provenance"`, the commit, date, versions and machine that made them.

    Raises:
        FileNotFoundError: there is no such run.
    """
    folder = results_folder()
    found = sorted(folder.glob(f"{name}-seed*.json"), key=lambda path: int(path.stem.rpartition("seed")[2]))
    if not found:
        raise FileNotFoundError(f"{folder} has no run {name!r}: the scripts in experiments/ make it; each says how.")
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def results_folder() -> Path:
    """`experiments/results` of the book: beside this package, else above the folder that a notebook runs in.

    Raises:
        FileNotFoundError: neither is there, as where the package was installed without the book.
    """
    for folder in (*Path(__file__).parents, Path.cwd(), *Path.cwd().parents):
        if (folder / "experiments/results").is_dir():
            return folder / "experiments/results"
    raise FileNotFoundError(f"No experiments/results above {Path.cwd()}: expected to run in a clone of the book.")


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error of some values; of a single one the error is not known (NaN)."""
    values = np.asarray(values, float)
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error)


class _Table(str):
    """Markdown that a notebook renders and `print` shows as it is."""

    __repr__ = _repr_markdown_ = str.__str__


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
        expect(len(row) == len(heads), f"Row {number}: expected {len(heads)} cells, one a head, got {len(row)}: {row}.")
    texts = [[_cell(cell, digits) for cell in row] for row in rows]
    columns = zip(*texts, strict=True) if texts else [["no rows"]] * len(heads)
    numbers = [all(text[:1] in "−+0123456789" or text in ("nan", "inf") for text in column) for column in columns]
    rules = ["---:" if right else "---" for right in numbers]
    return _Table("\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rules, *texts)))


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, str):
        return value
    if np.ndim(value) == 0:
        form = "," if isinstance(value, (int, np.integer)) else f".{digits}f"
        return f"{value:{form}}".replace("-", "−")
    mean, error = value
    digits += 0 < error < 0.5 * 10**-digits
    return _cell(float(mean), digits) + ("" if math.isnan(error) else f" ± {error:.{digits}f}")
