"""A question of the examination: its parts, their keys, and the numbers that are found in two ways.

Text is Markdown with formulas between dollar signs, as in the chapters. Logarithms are natural, results are in nats.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable

import numpy as np

GRID = np.linspace(-16.0, 16.0, 8001)  # for quadrature in one dimension
NOISE = np.exp(-(GRID**2) / 2) / math.sqrt(2 * math.pi) * (GRID[1] - GRID[0])  # weights of N(0, 1) on it


@dataclasses.dataclass(frozen=True)
class Claim:
    """A number of the key.

    Attributes:
        name: what it is.
        key: the number that the key prints.
        second: the same number, found in another way.
        sensible: the range in which it makes a fair question.
        tolerance: how far the two may lie apart.
    """

    name: str
    key: float
    second: float
    sensible: tuple[float, float] = (-math.inf, math.inf)
    tolerance: float = 1e-6


@dataclasses.dataclass(frozen=True)
class Part:
    """One thing that is asked: its text, points, lines left for the answer, the answer, and the numbers in it."""

    text: str
    points: int
    lines: int
    answer: str
    claims: tuple[Claim, ...] = ()


@dataclasses.dataclass(frozen=True)
class Question:
    """A title, the sections of the book it belongs to, what all its parts share, and the parts."""

    title: str
    sections: str
    text: str
    parts: tuple[Part, ...]

    @property
    def points(self) -> int:
        return sum(part.points for part in self.parts)

    @property
    def claims(self) -> list[Claim]:
        return [claim for part in self.parts for claim in part.claims]


def shown(number: float, digits: int = 3) -> str:
    """A number as the pages print it, for inside a formula: `-0.250`."""
    text = f"{number:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def plain(number: float) -> str:
    """A drawn number without superfluous zeros, for inside a formula: `-1.5`, `2`."""
    return f"{number:g}"


def squared(number: float) -> str:
    """The square of a drawn number, for inside a formula: `(-1.5)^2`, `2^2`."""
    return f"({number:g})^2" if number < 0 else f"{number:g}^2"


def drawn(make: Callable[[random.Random], Question], rng: random.Random) -> Question:
    """A question whose numbers are all sensible.

    Raises:
        ArithmeticError: a number of the key and its second way disagree: the question has a fault.
        RuntimeError: no sensible numbers in a thousand draws.
    """
    for _ in range(1000):
        question = make(rng)
        for claim in question.claims:
            if not math.isclose(claim.key, claim.second, rel_tol=0, abs_tol=claim.tolerance):
                raise ArithmeticError(
                    f"{question.title}, {claim.name}: the key says {claim.key!r}, the second way {claim.second!r}"
                )
        if all(claim.sensible[0] <= claim.key <= claim.sensible[1] for claim in question.claims):
            return question
    raise RuntimeError(f"{make.__name__}: no sensible numbers in a thousand draws; widen what it draws from")


def log_normal(z: np.ndarray, mu: float, sigma: float) -> np.ndarray:
    """The logarithm of a normal density."""
    return -0.5 * ((z - mu) / sigma) ** 2 - math.log(sigma) - 0.5 * math.log(2 * math.pi)


def kl_on_grid(mu_1: float, sigma_1: float, mu_2: float, sigma_2: float) -> float:
    """KL(N(mu_1, sigma_1²) || N(mu_2, sigma_2²)) in nats, by quadrature: no closed form is used."""
    z = mu_1 + sigma_1 * GRID
    return float(NOISE @ (log_normal(z, mu_1, sigma_1) - log_normal(z, mu_2, sigma_2)))
