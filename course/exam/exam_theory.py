"""The first four questions: the bound, its gradient and its estimators, on chapters 1 and 4.

Each is a function of a random number generator. Its key is computed from the numbers drawn, and every number of the
key a second time in another way: by quadrature, by enumeration or by finite differences.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from exam_question import GRID, NOISE, Claim, Part, Question, kl_on_grid, log_normal, plain, shown, squared

# --- 1 -----------------------------------------------------------------------------------------------------------


def two_gaussians(rng: random.Random) -> Question:
    """The KL divergence of two Gaussians, both ways round."""
    mu, sigma = (
        rng.choice([-2.5, -2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0, 2.5]),
        rng.choice([0.25, 0.3, 0.4, 0.6, 0.8, 2.0]),
    )
    forward = 0.5 * (mu**2 + sigma**2 - 1 - math.log(sigma**2))
    backward = math.log(sigma) + (1 + mu**2) / (2 * sigma**2) - 0.5
    m, s = plain(mu), plain(sigma)
    by_width = [kl_on_grid(mu, width, 0, 1) for width in (0.98, 1.0, 1.02)]
    return Question(
        "Two Gaussians",
        "1.2, 1.6",
        f"Let $q = \\mathcal{{N}}({m}, {s}^2)$ and $p = \\mathcal{{N}}(0, 1)$, in one dimension.",
        (
            Part(
                "Compute $\\mathrm{KL}(q \\Vert p)$.",
                4,
                4,
                f"$\\frac{{1}}{{2}}({squared(mu)} + {s}^2 - 1 - \\log {s}^2) = {shown(forward)}$ nats. "
                "(A missing ½ or square in the logarithm counts as a missing term.)",
                (Claim("KL(q || p)", forward, kl_on_grid(mu, sigma, 0, 1), (0.3, 5)),),
            ),
            Part(
                "Compute $\\mathrm{KL}(p \\Vert q)$.",
                4,
                4,
                f"$\\log {s} + \\frac{{1 + {squared(mu)}}}{{2 \\cdot {s}^2}} - \\frac{{1}}{{2}} = "
                f"{shown(backward)}$ nats.",
                (Claim("KL(p || q)", backward, kl_on_grid(0, 1, mu, sigma), (0.3, 45)),),
            ),
            Part(
                "Keep the mean of $q$. Which standard deviation makes $\\mathrm{KL}(q \\Vert p)$ smallest, and what is "
                "left of it there?",
                2,
                2,
                f"The prior's own, 1. There $\\frac{{1}}{{2}} \\cdot {squared(mu)} = {shown(mu**2 / 2)}$ nats are "
                "left.",
                (
                    Claim("KL at σ = 1", mu**2 / 2, by_width[1]),
                    Claim("σ = 1 is best", 1, float(by_width[1] < min(by_width[0], by_width[2]))),
                ),
            ),
        ),
    )


# --- 2 -----------------------------------------------------------------------------------------------------------


def bound_by_hand(rng: random.Random) -> Question:
    """log p(x), the posterior, the bound and its gap where the code has two values."""
    prior = Fraction(rng.choice([2, 3, 4, 6, 7, 8]), 10)  # of z = 1
    black, white = (Fraction(rng.choice([1, 2, 3, 4, 6, 7, 8, 9]), 10) for _ in range(2))  # p(x | z) at 0 and at 1
    guess = Fraction(rng.choice([2, 3, 5, 7, 8]), 10)  # q(z = 1 | x)
    p_z, p_x_z, q = (1 - prior, prior), (black, white), (1 - guess, guess)
    joint = [a * b for a, b in zip(p_z, p_x_z, strict=True)]
    p_x = sum(joint)
    posterior = [float(one / p_x) for one in joint]
    bound = sum(float(weight) * math.log(one / weight) for weight, one in zip(q, joint, strict=True))
    gap = sum(float(weight) * math.log(float(weight) / right) for weight, right in zip(q, posterior, strict=True))
    # The other image has what is left of the probability; and the bound in its second form.
    other = sum(a * (1 - b) for a, b in zip(p_z, p_x_z, strict=True))
    second_form = sum(
        float(weight) * (math.log(b) - math.log(weight / a)) for weight, a, b in zip(q, p_z, p_x_z, strict=True)
    )
    rows = "".join(
        f"| {z} | {float(a):g} | {float(b):g} | {float(c):g} |\n"
        for z, (a, b, c) in enumerate(zip(p_z, p_x_z, q, strict=True))
    )
    terms = " + ".join(
        f"{float(weight):g} \\log \\frac{{{float(one):g}}}{{{float(weight):g}}}"
        for weight, one in zip(q, joint, strict=True)
    )
    sum_of_products = " + ".join(f"{float(a):g} \\cdot {float(b):g}" for a, b in zip(p_z, p_x_z, strict=True))
    return Question(
        "A bound by hand",
        "1.1, 1.2",
        "A code $z$ can be 0 or 1. For one image $x$ the table gives the prior, the likelihood and an encoder.\n\n"
        f"| $z$ | $p(z)$ | $p_\\theta(x \\mid z)$ | $q_\\phi(z \\mid x)$ |\n|---|---|---|---|\n{rows}",
        (
            Part(
                "Compute $p_\\theta(x)$ and $\\log p_\\theta(x)$.",
                3,
                3,
                f"$p_\\theta(x) = {sum_of_products} = {float(p_x):g}$, and its logarithm is ${shown(math.log(p_x))}$.",
                (
                    Claim("p(x)", float(p_x), float(1 - other), (0.1, 0.9)),
                    Claim("log p(x)", math.log(p_x), bound + gap),
                ),
            ),
            Part(
                "Compute the true posterior $p_\\theta(z = 1 \\mid x)$.",
                2,
                3,
                f"$\\frac{{{float(joint[1]):g}}}{{{float(p_x):g}}} = {shown(posterior[1])}$.",
                (
                    Claim("posterior", posterior[1], float(1 - joint[0] / p_x), (0.1, 0.9)),
                    Claim(
                        "what x tells", abs(posterior[1] - float(prior)), abs(posterior[0] - float(1 - prior)), (0.1, 1)
                    ),
                ),
            ),
            Part(
                "Compute the evidence lower bound $\\mathcal{L}$ for this encoder.",
                5,
                5,
                f"$\\mathcal{{L}} = {terms} = {shown(bound)}$ nats.",
                (Claim("the bound", bound, second_form, (-4, -0.1)),),
            ),
            Part(
                "How far does $\\mathcal{L}$ lie below $\\log p_\\theta(x)$? Compute it from $q$ and the posterior "
                "alone, and see whether your numbers above agree. Which encoder would leave no gap?",
                4,
                5,
                f"It is $\\mathrm{{KL}}(q \\Vert p_\\theta(z \\mid x)) = {shown(gap)}$ nats, which up to rounding is "
                f"${shown(math.log(p_x))} - ({shown(bound)})$. An encoder that returns the posterior leaves none.",
                (Claim("the gap", gap, math.log(p_x) - second_form, (0.03, 1.2)),),
            ),
        ),
    )


# --- 3 -----------------------------------------------------------------------------------------------------------


def central_difference(function: Callable[[float], float], at: float, step: float = 1e-4) -> float:
    """The slope of a function, from two values."""
    return (function(at + step) - function(at - step)) / (2 * step)


def through_the_sample(rng: random.Random) -> Question:
    """The pathwise and the score-function gradient from two draws, and the exact ones."""
    square, linear = rng.choice([1, 2, 3]), rng.choice([-3, -2, -1, 1, 2, 3])
    mu, sigma = rng.choice([-1.5, -1.0, -0.5, 0.5, 1.0, 1.5]), rng.choice([0.5, 2.0])
    noise = np.array(rng.sample([-1.5, -1.0, -0.5, 0.5, 1.0, 1.5], 2))

    def f(z):
        return square * z**2 + linear * z

    def slope(z):
        return 2 * square * z + linear

    z = mu + sigma * noise
    path_mu, path_sigma = slope(z).mean(), (noise * slope(z)).mean()
    score = (f(z) * (z - mu) / sigma**2).mean()
    exact_mu, exact_sigma = 2 * square * mu + linear, 2 * square * sigma

    def reweighted(centre: float) -> float:
        """The mean of f over draws that stay where they are, weighted for another mean of q."""
        return (f(z) * np.exp(log_normal(z, centre, sigma) - log_normal(z, mu, sigma))).mean()

    differences = (
        central_difference(lambda m: f(m + sigma * noise).mean(), mu),
        central_difference(lambda s: (f(mu + s * noise)).mean(), sigma),
        central_difference(lambda m: NOISE @ f(m + sigma * GRID), mu),
        central_difference(lambda s: NOISE @ f(mu + s * GRID), sigma),
        central_difference(reweighted, mu),
    )
    coefficient = "" if square == 1 else str(square)
    times = "" if abs(linear) == 1 else str(abs(linear))
    f_text = f"{coefficient}z^2 {'+' if linear > 0 else '-'} {times}z"
    first, second = map(plain, noise)
    return Question(
        "A gradient through the sample",
        "1.3, 1.4",
        f"Let $q = \\mathcal{{N}}(\\mu, \\sigma^2)$ with $\\mu = {plain(mu)}$, $\\sigma = {plain(sigma)}$, and "
        f"$f(z) = {f_text}$. Two draws of standard normal noise are $\\varepsilon = {first}$ and "
        f"$\\varepsilon = {second}$.",
        (
            Part(
                "Write down the two samples of $z$ that belong to this noise.",
                2,
                2,
                f"$z = \\mu + \\sigma\\varepsilon$: ${plain(z[0])}$ and ${plain(z[1])}$.",
            ),
            Part(
                "Estimate the derivatives of $\\mathbb{E}_q[f(z)]$ by $\\mu$ and by $\\sigma$ from these two samples, "
                "by the reparameterisation trick.",
                4,
                5,
                f"With $f'(z) = {2 * square}z {'+' if linear > 0 else '-'} {abs(linear)}$, the slopes are "
                f"${plain(slope(z)[0])}$ and ${plain(slope(z)[1])}$. By $\\mu$ their mean, ${shown(path_mu)}$; by "
                f"$\\sigma$ the mean of $\\varepsilon f'(z)$, ${shown(path_sigma)}$.",
                (
                    Claim("path, by μ", path_mu, differences[0], (-40, 40)),
                    Claim("path, by σ", path_sigma, differences[1], (-40, 40)),
                ),
            ),
            Part(
                "What are the two derivatives exactly?",
                3,
                4,
                f"$\\mathbb{{E}}[f] = {coefficient}(\\mu^2 + \\sigma^2) {'+' if linear > 0 else '-'} {times}\\mu$. By "
                f"$\\mu$: ${shown(exact_mu)}$; by $\\sigma$: ${shown(exact_sigma)}$.",
                (
                    Claim("exact, by μ", exact_mu, differences[2], tolerance=1e-5),
                    Claim("its size", abs(exact_mu), abs(differences[2]), (0.5, 20), 1e-5),
                    Claim("exact, by σ", exact_sigma, differences[3], tolerance=1e-5),
                ),
            ),
            Part(
                "Estimate the derivative by $\\mu$ from the same two samples by the score function, without a "
                "baseline. What does this estimator not use, so that it is mostly the noisier one?",
                4,
                5,
                f"The mean of $f(z)(z - \\mu)/\\sigma^2$: ${shown(score)}$. It uses values of $f$, not its slope.",
                (Claim("score, by μ", score, differences[4], (-60, 60), 1e-4),),
            ),
        ),
    )


# --- 4 -----------------------------------------------------------------------------------------------------------


def two_estimators(rng: random.Random) -> Question:
    """SGVB-A and SGVB-B from one draw, and the variance of their difference."""
    mu, sigma = rng.choice([-2.0, -1.5, -1.0, 1.0, 1.5, 2.0]), rng.choice([0.2, 0.4, 0.5, 0.6, 0.8])
    noise = rng.choice([-2.0, -1.5, -1.0, -0.5, 0.5, 1.5, 2.0])
    log_likelihood = -rng.randrange(700, 1500) / 10
    z = mu + sigma * noise
    a = log_likelihood - z**2 / 2 + noise**2 / 2 + math.log(sigma)
    b = log_likelihood - 0.5 * (mu**2 + sigma**2 - 1 - math.log(sigma**2))
    variance = mu**2 * sigma**2 + 0.5 * (1 - sigma**2) ** 2
    log_ratio = float(log_normal(np.array(z), 0, 1) - log_normal(np.array(z), mu, sigma))
    on_grid = log_normal(mu + sigma * GRID, 0, 1) - log_normal(mu + sigma * GRID, mu, sigma)
    return Question(
        "Two estimators, one draw",
        "1.5, 4.1",
        f"For one image the encoder returns $\\mu = {plain(mu)}$ and $\\sigma = {plain(sigma)}$ ($J = 1$). The prior "
        f"is $\\mathcal{{N}}(0, 1)$, the noise that was drawn $\\varepsilon = {plain(noise)}$, and at the $z$ that "
        f"belongs to it $\\log p_\\theta(x \\mid z) = {plain(log_likelihood)}$ nats.",
        (
            Part(
                "Compute the estimate $\\widetilde{\\mathcal{L}}_A$ of the bound.",
                4,
                5,
                f"$z = {plain(z)}$, and $\\log p(z) - \\log q(z) = -\\frac{{1}}{{2}}z^2 + "
                f"\\frac{{1}}{{2}}\\varepsilon^2 + \\log\\sigma = {shown(log_ratio)}$. So "
                f"$\\widetilde{{\\mathcal{{L}}}}_A = {shown(a)}$ nats.",
                (
                    Claim("A", a, log_likelihood + log_ratio, (-160, -60)),
                    Claim("log p(z) - log q(z)", a - log_likelihood, log_ratio),
                ),
            ),
            Part(
                "Compute the estimate $\\widetilde{\\mathcal{L}}_B$.",
                3,
                4,
                f"The KL term is ${shown(log_likelihood - b)}$, so "
                f"$\\widetilde{{\\mathcal{{L}}}}_B = {shown(b)}$ nats.",
                (
                    Claim("B", b, log_likelihood - kl_on_grid(mu, sigma, 0, 1), (-160, -60)),
                    Claim("the KL term", log_likelihood - b, kl_on_grid(mu, sigma, 0, 1), (0.3, 6)),
                    Claim("A is not B", abs(a - b), abs(log_likelihood + log_ratio - b), (0.05, 20)),
                ),
            ),
            Part(
                "Draw the noise again and again. What is the variance of the difference "
                "$\\widetilde{\\mathcal{L}}_A - \\widetilde{\\mathcal{L}}_B$?",
                2,
                3,
                f"$\\mu^2\\sigma^2 + \\frac{{1}}{{2}}(1 - \\sigma^2)^2 = {shown(variance)}$ nats².",
                (Claim("variance of A − B", variance, float(NOISE @ on_grid**2 - (NOISE @ on_grid) ** 2), (0.05, 20)),),
            ),
            Part(
                "Name a case in which A does not scatter at all, and one in which B does not.",
                2,
                3,
                "A where $q$ is the true posterior: the estimate is $\\log p_\\theta(x)$ for every $z$. B where the "
                "decoder ignores $z$.",
            ),
        ),
    )
