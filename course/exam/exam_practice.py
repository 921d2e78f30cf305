"""The last four questions: losses, tables, weights and a mistake, on chapters 2, 3, 4 and 7.

As in exam_theory.py, every number of a key is found in two ways; here also by running the code that a question shows.
"""

from __future__ import annotations

import dataclasses
import decimal
import itertools
import math
import random
import types
from fractions import Fraction

import numpy as np
from exam_question import Claim, Part, Question, kl_on_grid, plain, shown

# --- 5 -----------------------------------------------------------------------------------------------------------

BOUND = {True: "still a lower bound of the log-likelihood", False: "no lower bound in general"}
COLLAPSE = "the code is too dear: KL near zero, all reconstructions alike"
CHEAP = "the code is too cheap: good reconstructions, a low likelihood, often bad samples"
NOTHING = "nothing: it is the bound in other units"


def fraction_or_number(number: Fraction) -> str:
    """`1/784`, and `78.4` for what is above one."""
    return str(number) if number < 1 else f"{float(number):g}"


def weight_and_scale(program: str, images: int, pixels: int, latents: int) -> tuple[float, float]:
    """The weight of the KL beside the reconstruction and the scale of a loss, by running its text.

    The loss is linear in its two terms: give each image one nat of the one and none of the other.
    """
    nothing, one_nat = np.zeros((images, pixels)), np.full((images, pixels), 1 / pixels)
    no_code, one_nat_of_code = np.zeros((images, latents)), np.full((images, latents), 1 / latents)
    names = {"mean": np.mean, "sum": np.sum}

    def loss(cross_entropy: np.ndarray, kl: np.ndarray) -> float:
        return float(eval(program, names | {"cross_entropy": cross_entropy, "kl": kl}))

    scale = loss(one_nat, no_code)
    return loss(nothing, one_nat_of_code) / scale, scale


def which_loss(rng: random.Random) -> Question:
    """Three losses: the weight of the KL term, the scale, and what comes of it."""
    pixels, latents = rng.choice([784, 1024, 2500]), rng.choice([10, 20, 50])
    images, everything = rng.choice([50, 100, 200]), rng.choice([10_000, 50_000, 60_000])
    weight = rng.choice(["0.3", "0.4", "0.5", "0.8"])  # times D: far into collapse
    one = Fraction(1)
    # text of the program, weight of the KL, scale
    dear = [
        ("mean(cross_entropy) + mean(sum(kl, axis=1))", one * pixels, one / pixels),
        (f"mean(cross_entropy) + {weight} * mean(sum(kl, axis=1))", Fraction(weight) * pixels, one / pixels),
    ]
    share = f"{images} / {everything}"
    cheap = [
        ("mean(sum(cross_entropy, axis=1)) + mean(kl)", one / latents, one),
        (f"mean(sum(cross_entropy, axis=1)) + {share} * mean(sum(kl, axis=1))", Fraction(images, everything), one),
    ]
    honest = [
        (f"mean(cross_entropy) + mean(sum(kl, axis=1)) / {pixels}", one, one / pixels),
        ("sum(cross_entropy) + sum(kl)", one, one * images),
    ]
    kinds = [(rng.choice(dear), COLLAPSE), (rng.choice(cheap), CHEAP), (rng.choice(honest), NOTHING)]
    rng.shuffle(kinds)
    parts = []
    for (program, beta, scale), sign in kinds:
        measured = weight_and_scale(program, images, pixels, latents)
        parts.append(
            Part(
                f"`loss = {program}`",
                4,
                3,
                f"Weight ${fraction_or_number(beta)}$, scale ${scale}$; {BOUND[beta >= 1]}; {sign}.",
                (
                    Claim("the weight of the KL", float(beta), measured[0], (1e-4, 1e4), 1e-6 * beta),
                    Claim("the scale", float(scale), measured[1], tolerance=1e-6 * scale),
                ),
            )
        )
    return Question(
        "Which loss is this?",
        "1.7, 2.9, 7.1, 7.3",
        f"A minibatch has $n = {images}$ images of $D = {pixels}$ pixels, the training set {everything:,} images, and "
        f"the code $J = {latents}$ numbers. `cross_entropy` has the shape $[n, D]$: minus the log-likelihood of each "
        "pixel. `kl` has the shape $[n, J]$: the KL of each latent number. `mean` and `sum` go over everything, unless "
        "an axis is named. For each loss say, for one point each,\n\n"
        "- the weight of the KL term, which is 1 in the bound;\n"
        "- its scale: by how much it rises if the reconstruction term of every image falls by one nat;\n"
        "- whether minus the loss, divided by the scale, is a lower bound of the log-likelihood;\n"
        "- what you will see in the trained model.",
        tuple(parts),
    )


# --- 6 -----------------------------------------------------------------------------------------------------------


def kl_of_images(mean: float, variance: float, width: float) -> float:
    """The mean KL of two images whose mu lie evenly about `mean`, by quadrature; `width` is the variance of q."""
    places = mean - math.sqrt(variance), mean + math.sqrt(variance)
    return sum(kl_on_grid(place, math.sqrt(width), 0, 1) for place in places) / 2


def table_of_latents(rng: random.Random) -> Question:
    """Which latent numbers carry something, and which cost nats for nothing."""
    strong = (0.0, rng.choice([0.9, 0.92, 0.95]), rng.choice([0.04, 0.05, 0.08]))
    weak = (rng.choice([0.1, -0.1]), rng.choice([0.4, 0.5, 0.6]), rng.choice([0.3, 0.4, 0.5]))
    idle = (0.0, 0.0, 1.0)
    wasted = (rng.choice([-1.6, -1.2, -0.8, 0.8, 1.2, 1.6]), 0.0, rng.choice([0.5, 0.7, 1.0]))
    rows = [strong, weak, idle, wasted]
    rng.shuffle(rows)
    costs = [0.5 * (mean**2 + variance + width - 1 - math.log(width)) for mean, variance, width in rows]
    by_quadrature = [kl_of_images(*row) for row in rows]
    missing, useless, unused = rows.index(strong), rows.index(wasted), rows.index(idle)
    active = sorted(rows.index(row) + 1 for row in (strong, weak))
    total = sum(costs)
    printed = ["?" if number == missing else f"${shown(cost)}$" for number, cost in enumerate(costs)]
    table = "".join(
        f"| {number} | ${mean:g}$ | ${variance:.2f}$ | ${width:g}$ | {cost} |\n"
        for number, ((mean, variance, width), cost) in enumerate(zip(rows, printed, strict=True), 1)
    )
    return Question(
        "A table of latent numbers",
        "1.6, 2.8, 7.2",
        "A VAE with four latent numbers and the prior $\\mathcal{N}(0, I)$. Over the test images you measured, for "
        "each latent number $j$: the mean and the variance of $\\mu_j$, the variance $\\sigma_j^2$ of the cloud (the "
        "same for all images), and the mean KL in nats.\n\n"
        f"| $j$ | mean of $\\mu_j$ | variance of $\\mu_j$ | $\\sigma_j^2$ | KL |\n|---|---|---|---|---|\n{table}",
        (
            Part(
                f"Compute the missing KL, that of $j = {missing + 1}$.",
                3,
                4,
                "The mean of $\\mu_j^2$ is the variance plus the squared mean. "
                f"$\\frac{{1}}{{2}}({strong[1]:g} + {strong[2]:g} - 1 - \\log {strong[2]:g}) = "
                f"{shown(costs[missing])}$ nats.",
                (
                    Claim("the missing KL", costs[missing], by_quadrature[missing], (0.8, 2)),
                    Claim("the whole KL, as in the table", total, sum(by_quadrature)),
                ),
            ),
            Part(
                "Which latent numbers say something about the image?",
                2,
                2,
                f"$j = {active[0]}$ and $j = {active[1]}$: only their means change with the image.",
                (Claim("their number", 2, sum(variance > 0.01 for _, variance, _ in rows)),),
            ),
            Part(
                "One latent number costs nats and says nothing. Which is it, and what share of the whole KL term does "
                "it take? What would the bound gain if its cloud were put back onto the prior and the decoder knew?",
                3,
                4,
                f"$j = {useless + 1}$: its cloud lies off the prior, in the same place for every image. It takes "
                f"${shown(costs[useless])} / {shown(total)} = {shown(100 * costs[useless] / total, 1)}$ per cent, and "
                f"the bound would gain ${shown(costs[useless])}$ nats.",
                (
                    Claim("the wasted KL", costs[useless], by_quadrature[useless], (0.3, 2)),
                    Claim(
                        "its share",
                        100 * costs[useless] / total,
                        100 * by_quadrature[useless] / sum(by_quadrature),
                        (5, 70),
                        1e-4,
                    ),
                ),
            ),
            Part(
                f"A colleague sees the KL of $j = {unused + 1}$ and says: “The code is lost.” Is that right?",
                2,
                3,
                "No. This latent number is not used, which costs nothing; two others carry the code.",
            ),
        ),
    )


# --- 7 -----------------------------------------------------------------------------------------------------------


def three_weights(rng: random.Random) -> Question:
    """An importance-weighted bound from three given weights, and the gap below an exact log p(x), in two parts."""
    base = -rng.randrange(110, 160)
    logs = [base + rng.choice([-1, 0]), base - rng.choice([1.5, 2.0, 2.5]), base - rng.choice([3.0, 3.5, 4.0])]
    rng.shuffle(logs)
    top = max(logs)
    ratios = [math.exp(one - top) for one in logs]
    mean_of_logs, log_of_mean = sum(logs) / 3, top + math.log(sum(ratios) / 3)
    shares = [ratio / sum(ratios) for ratio in ratios]
    with decimal.localcontext(decimal.Context(prec=40)):  # enough digits to need no trick
        weights = [decimal.Decimal(one).exp() for one in logs]
        exact_ratios = [float(weight / max(weights)) for weight in weights]
        by_decimal = float((sum(weights) / 3).ln())
        largest = float(max(weights) / sum(weights))
    family, encoder = rng.randrange(2, 9) / 10, rng.randrange(20, 90) / 10
    exact = base - rng.randrange(3, 30) / 10
    own, bound = exact - family, exact - family - encoder
    logs_text = "$, $".join(map(plain, logs))
    return Question(
        "Three weights",
        "1.2, 3.7, 4.7",
        "For one image three $z$ are drawn from the encoder. The logarithms of their importance weights "
        f"$p_\\theta(x, z) / q_\\phi(z \\mid x)$ are ${logs_text}$.",
        (
            Part(
                "Estimate the bound with $k = 1$ (average over the three draws), and the importance-weighted bound "
                "with $k = 3$.",
                4,
                5,
                f"$k = 1$: the mean of the logarithms, ${shown(mean_of_logs)}$. $k = 3$: the logarithm of the mean, "
                f"${plain(top)} + \\log({' + '.join(shown(ratio) for ratio in ratios)}) - \\log 3 = "
                f"{shown(log_of_mean)}$ nats.",
                (
                    Claim("k = 1", mean_of_logs, math.fsum(Fraction(one) / 3 for one in logs)),
                    Claim("k = 3", log_of_mean, by_decimal),
                    *(Claim("a ratio", one, other) for one, other in zip(ratios, exact_ratios, strict=True)),
                    Claim("their distance", log_of_mean - mean_of_logs, by_decimal - mean_of_logs, (0.3, 3)),
                ),
            ),
            Part(
                "Which share of the sum has the largest weight? In single precision `exp` of these logarithms is "
                "zero. How do you compute the second estimate all the same?",
                3,
                4,
                f"${shown(100 * max(shares), 1)}$ per cent. Subtract the largest logarithm before `exp`, and add it "
                "after the logarithm.",
                (
                    Claim("the largest share", max(shares), largest, (0.6, 0.95)),
                    Claim("exp in single precision", 0, float(np.exp(np.float32(top))), tolerance=0),
                ),
            ),
            Part(
                f"For another image a grid gives $\\log p_\\theta(x) = {shown(exact, 1)}$. The bound is "
                f"${shown(bound, 1)}$ with the encoder's $q$, and ${shown(own, 1)}$ with the best Gaussian of the "
                "image's own. How large is the approximation gap, how large the amortisation gap? Which of the two "
                "networks would you make better?",
                4,
                5,
                f"Approximation: ${shown(exact, 1)} - ({shown(own, 1)}) = {shown(family, 1)}$ nats. Amortisation: "
                f"${shown(own, 1)} - ({shown(bound, 1)}) = {shown(encoder, 1)}$ nats. The encoder: the Gaussian family "
                "is not what costs most.",
                (
                    Claim("approximation gap", family, exact - own, (0.1, 1)),
                    Claim("amortisation gap", encoder, own - bound, (1.5, 10)),
                    Claim("both gaps together", family + encoder, exact - bound),
                ),
            ),
        ),
    )


# --- 8 -----------------------------------------------------------------------------------------------------------

RIGHT = (
    "z = mu + tf.sqrt(variance) * epsilon",
    "reconstruction = log_bernoulli(x, decoder(z))",
    "kl = 0.5 * tf.reduce_sum(mu**2 + variance - 1 - log_variance, axis=-1)",
    "loss = -tf.reduce_mean(reconstruction - kl)",
)
NO_BOUND = "The loss falls and settles, but minus it is no lower bound in general"


@dataclasses.dataclass(frozen=True)
class Fault:
    """One line that is wrong: its place, its text, the variable that shows it, and what comes of it."""

    line: int
    text: str
    variable: str
    consequence: str


FAULTS = (
    Fault(
        0,
        "z = mu + variance * epsilon",
        "z",
        f"{NO_BOUND}: the KL belongs to a cloud from which nobody draws. The spread of many draws shows it.",
    ),
    Fault(
        2,
        "kl = 0.5 * tf.reduce_mean(mu**2 + variance - 1 - log_variance, axis=-1)",
        "kl",
        f"{NO_BOUND}: the KL weighs one half. `vh.explain_loss` shows it, or the KL from draws of $\\log q - \\log p$.",
    ),
    Fault(
        2,
        "kl = tf.reduce_sum(mu**2 + variance - 1 - log_variance, axis=-1)",
        "kl",
        "The loss falls and settles, and minus it is still a lower bound, a looser one: the KL weighs 2. "
        "`vh.explain_loss` shows it, or the KL from draws of $\\log q - \\log p$.",
    ),
    Fault(
        2,
        "kl = 0.5 * tf.reduce_sum(mu**2 + variance - 1 - 0.5 * log_variance, axis=-1)",
        "kl",
        f"{NO_BOUND}: it charges too little for a narrow cloud. The KL from draws of $\\log q - \\log p$ shows it.",
    ),
    Fault(
        3,
        "loss = -tf.reduce_mean(reconstruction + kl)",
        "loss",
        "The loss falls without end, since the KL is rewarded; minus it is no bound. A KL term that only grows shows "
        "it.",
    ),
)


def run_lines(lines: tuple[str, ...], values: dict[str, object]) -> dict[str, object]:
    """What the four lines compute, with NumPy in TensorFlow's place."""
    tf = types.SimpleNamespace(sqrt=np.sqrt, reduce_sum=np.sum, reduce_mean=np.mean)
    names = {"tf": tf, **values}
    exec("\n".join(lines), names)
    return names


def find_the_mistake(rng: random.Random) -> Question:
    """Four lines of an objective, one of them wrong."""
    fault = rng.choice(FAULTS)
    lines = tuple(fault.text if number == fault.line else line for number, line in enumerate(RIGHT))
    mu = [rng.choice([-1.5, -1.0, -0.5, 0.5, 1.0, 1.5]) for _ in range(2)]
    variance = rng.sample([0.16, 0.25, 0.36, 0.49, 0.64], 2)
    noise = [rng.choice([-2.0, -1.0, 1.0, 2.0]) for _ in range(2)]
    log_likelihood = -rng.randrange(800, 1500) / 10
    values = {
        "mu": np.array([mu]),
        "variance": np.array([variance]),
        "log_variance": np.log([variance]),
        "epsilon": np.array([noise]),
        "x": None,
        "decoder": lambda z: z,
        "log_bernoulli": lambda x, logits: np.array([log_likelihood]),
    }
    ran = [np.ravel(run_lines(code, values)[fault.variable]) for code in (lines, RIGHT)]
    kl = sum(0.5 * (m**2 + v - 1 - math.log(v)) for m, v in zip(mu, variance, strict=True))
    cheap = sum(0.5 * (m**2 + v - 1 - 0.5 * math.log(v)) for m, v in zip(mu, variance, strict=True))
    by_hand = {
        FAULTS[0]: (
            [m + v * e for m, v, e in zip(mu, variance, noise, strict=True)],
            [m + math.sqrt(v) * e for m, v, e in zip(mu, variance, noise, strict=True)],
        ),
        FAULTS[1]: ([kl / 2], [kl]),
        FAULTS[2]: ([2 * kl], [kl]),
        FAULTS[3]: ([cheap], [kl]),
        FAULTS[4]: ([-(log_likelihood + kl)], [-(log_likelihood - kl)]),
    }[fault]
    claims = [
        Claim(f"{fault.variable} {which}", key, float(second))
        for which, keys, seconds in zip(("as it is", "as it should be"), by_hand, ran, strict=True)
        for key, second in zip(keys, seconds, strict=True)
    ]
    apart = min(abs(wrong - right) for wrong, right in itertools.zip_longest(*by_hand))
    claims.append(Claim("wrong and right lie apart", apart, float(np.abs(ran[0] - ran[1]).min()), (0.1, 100)))
    wrong, right = (", ".join(f"${shown(number)}$" for number in numbers) for numbers in by_hand)
    code = "\n".join(f"{number}  {line}" for number, line in enumerate(lines, 1))
    pairs = [f"({plain(first)}, {plain(second)})" for first, second in (mu, variance, noise)]
    return Question(
        "Find the mistake",
        "2.4, 2.6, 7.3, 7.5",
        "The encoder returns $\\mu$ and $\\log\\sigma^2$, each of the shape $[n, J]$, with $J = 2$; `variance` is "
        "$\\sigma^2$, `epsilon` is standard normal noise, `log_bernoulli` returns one number an image. One line is "
        f"wrong.\n\n```\n{code}\n```",
        (
            Part(
                "Which line is wrong? Write it as it should be.",
                3,
                3,
                f"Line {fault.line + 1}: `{RIGHT[fault.line]}`.",
                (
                    Claim(
                        "the line", fault.line + 1, [a == b for a, b in zip(lines, RIGHT, strict=True)].index(False) + 1
                    ),
                ),
            ),
            Part(
                f"One image has $\\mu = {pairs[0]}$, $\\sigma^2 = {pairs[1]}$, noise $\\varepsilon = {pairs[2]}$ and a "
                f"reconstruction term of ${plain(log_likelihood)}$ nats. What does the wrong line compute, and what "
                "should it?",
                3,
                4,
                f"It computes {wrong}, and should compute {right}.",
                tuple(claims),
            ),
            Part(
                "Does the loss still fall in training? Is minus the loss a lower bound of $\\log p_\\theta(x)$? Which "
                "number or picture would have shown the mistake?",
                3,
                4,
                f"{fault.consequence} (Any measurement that tells the two apart will do.)",
            ),
        ),
    )
