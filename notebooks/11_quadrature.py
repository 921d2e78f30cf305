# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11. What quadrature costs
#
# This page adds to [chapter 1](01_theory.ipynb), where the integral $p_\theta(x) = \int p(z) p_\theta(x \mid z) dz$ stands in the way: what it would cost to do that integral by a grid.
#
# **On a grid every latent dimension multiplies the price.** With $J$ dimensions and $n$ nodes a dimension, one $\log p_\theta(x)$ takes $n^J$ decoder evaluations. With 8 nodes a dimension, which is few, that is 4,096 at $J = 4$, and $8^{20} \approx 10^{18}$ at $J = 20$. Quadrature is the referee for tiny models.

# %% tags=["hide-input", "nbval-skip"]
import os
import subprocess
import sys

if "google.colab" in sys.modules and not os.path.exists("../vae_helpers"):
    fetch = f"""
    [ -d vae-book ] || git clone -q --depth=1 --branch=main https://github.com/vae-book/vae-book
    {sys.executable} -m pip install -q --no-deps ./vae-book
    """
    subprocess.run(["bash", "-ec", fetch], check=True)
    os.chdir("vae-book/notebooks")

# %% tags=["plumbing"] mystnb={"image": {"alt": "Left: the eight nodes of a Gauss–Hermite rule on the axis of one latent variable, each with a stem as high as its weight; the two inner ones carry most. Right: the product grid in two dimensions, a square of 64 dots whose areas are the products of the weights; only the inner ones are large."}}
import vae_helpers as vh

import itertools
import math
import time

import matplotlib.pyplot as plt
import numpy as np
from scipy import integrate, stats

started = time.monotonic()
vh.use_book_style()
plt.rcParams.update({"figure.figsize": (5.6, 3.5), "font.size": 11})
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PINK, YELLOW, SKY = "#CC79A7", "#E69F00", "#56B4E9"

t, w = np.polynomial.hermite_e.hermegauss(8)
w = w / w.sum()

fig, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3.1))
left.stem(t, w, linefmt=BLUE, markerfmt="o", basefmt=" ")
left.set(
    xlabel="latent variable z", ylabel="weight", title="J = 1: 8 nodes"
)
z1, z2 = np.meshgrid(t, t)
right.scatter(z1, z2, s=4 + 900 * np.outer(w, w), color=BLUE)
right.set(
    xlabel="$z_1$",
    ylabel="$z_2$",
    title="J = 2: 8 × 8 = 64 nodes",
    aspect="equal",
)
plt.show()

# %% [markdown]
# At each dot the decoder has to run once. A third dimension makes it $8^3 = 512$ dots.
#
# **What you will be able to do**
#
# - write down Gauss–Hermite quadrature, and say for which functions it is exact;
# - use it as a referee for a tiny model;
# - measure what it costs, beside plain sampling.
#
# **What it needs.** The first section of [chapter 1](01_theory.ipynb). Ten minutes to read; it runs in a minute and needs no data.
#
# ## 11.1 The rule
#
# An expectation over a standard Gaussian is an integral. **Gauss–Hermite quadrature** replaces it by a weighted sum over $n$ nodes $t_1, \dots, t_n$:
#
# $$
# \int \mathcal{N}(z; 0, 1) f(z) dz \approx \sum_{i=1}^{n} w_i f(t_i).
# $$
#
# Nodes and weights depend on $n$ alone, not on $f$. They are placed so cleverly that **the sum is exact for every polynomial up to the degree $2n - 1$**. The better a polynomial fits $f$, the fewer nodes are needed.
#
# <details>
# <summary>Proof that degree 2n − 1 is exact</summary>
#
# Let $h_n$ be the $n$-th Hermite polynomial: the polynomial of degree $n$ that is orthogonal under $\mathcal{N}(0, 1)$ to every polynomial of lower degree, $\mathbb{E}[h_n(z) r(z)] = 0$. Take its $n$ zeros as the nodes. They are real and distinct. Choose the $n$ weights so that the sum is exact for $1, z, \dots, z^{n-1}$: $n$ linear equations for $n$ numbers.
#
# Now let $f$ have a degree of at most $2n - 1$. Divide it by $h_n$: $f = h_n a + b$, where $a$ and $b$ have degrees below $n$. Then $\mathbb{E}[f] = \mathbb{E}[h_n a] + \mathbb{E}[b] = \mathbb{E}[b]$, by orthogonality. At each node $h_n$ is zero, so the sum over $f$ is the sum over $b$, which is exact. The two agree. ∎
#
# </details>
#
# In $J$ dimensions take every combination of nodes, and multiply their weights. That is the product grid of the picture, with $n^J$ points.


# %%
def gauss_hermite(latent_dim: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for expectations under N(0, I).

    Shapes [n**latent_dim, latent_dim] and [n**latent_dim].
    """
    t, w = np.polynomial.hermite_e.hermegauss(n)
    w = w / math.sqrt(2 * math.pi)  # numpy's are for exp(-t²/2)
    nodes = np.meshgrid(*[t] * latent_dim, indexing="ij")
    weights = np.meshgrid(*[w] * latent_dim, indexing="ij")
    nodes = np.stack(nodes, axis=-1).reshape(-1, latent_dim)
    weights = np.stack(weights, axis=-1).reshape(-1, latent_dim)
    return nodes, weights.prod(axis=1)


# %% tags=["check"]
t, w = gauss_hermite(1, 3)
even = np.array([w @ t[:, 0] ** degree for degree in (0, 2, 4)])
odd = np.array([w @ t[:, 0] ** degree for degree in (1, 3, 5)])
vh.check(
    "three nodes give the even moments 1, 1, 3 of degree 0 to 4",
    even,
    [1, 1, 3],
    atol=1e-12,
)
vh.check("and the odd ones, zero, up to degree 5", odd, 0, atol=1e-12)
vh.check(
    "degree 6 is one too many: the moment is 15, they give less",
    w @ t[:, 0] ** 6,
    15,
    relation="<",
)

# %% [markdown]
# ## 11.2 A referee for the tiny model
#
# The tiny model is that of chapter 1, with the same random weights: a decoder with four binary pixels and one hidden layer of three tanh units. From a code $z$ it computes a **logit** $\ell_d$ for each pixel:
#
# $$
# \ell = W_2^\top \tanh(W_1^\top z + b_1) + b_2 .
# $$
#
# Pixel $d$ is white with probability $1/(1 + e^{-\ell_d})$, and $\log p_\theta(x \mid z)$ is (1.23). There are only $2^4 = 16$ possible images.

# %% tags=["plumbing"]
HIDDEN, PIXELS = 3, 4


def tiny_decoder(latent_dim: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Random weights of a decoder.

    z [latent_dim] -> tanh, HIDDEN units -> PIXELS logits.
    """
    rng = np.random.default_rng(seed)
    return {
        "W1": rng.normal(size=(latent_dim, HIDDEN)) / math.sqrt(latent_dim),
        "b1": rng.normal(size=HIDDEN),
        "W2": rng.normal(size=(HIDDEN, PIXELS)) * 2.0,
        "b2": rng.normal(size=PIXELS) * 0.5,
    }


def tiny_log_likelihood(
    x: np.ndarray, z: np.ndarray, weights: dict[str, np.ndarray]
) -> np.ndarray:
    """log p(x | z) in nats, shape [n].

    For one image x [PIXELS] and codes z [n, latent_dim].
    """
    hidden = np.tanh(z @ weights["W1"] + weights["b1"])
    logits = hidden @ weights["W2"] + weights["b2"]
    return (x * logits - np.logaddexp(0.0, logits)).sum(axis=-1)


# %%
tiny = tiny_decoder(latent_dim=1)
all_images = np.array(list(itertools.product([0.0, 1.0], repeat=PIXELS)))
nodes, node_weights = gauss_hermite(1, 80)
p_by_hermite = np.array(
    [
        node_weights @ np.exp(tiny_log_likelihood(x, nodes, tiny))
        for x in all_images
    ]
)

# %% [markdown]
# With one latent dimension another rule can check the first: an adaptive one, which knows nothing of Gaussians and adds points where the integrand bends.


# %% tags=["check"]
def joint_density(z: float, x: np.ndarray) -> float:
    """p(x, z) = p(z) p(x | z) of the tiny model."""
    log_likelihood = tiny_log_likelihood(x, np.array([[z]]), tiny)[0]
    return stats.norm.pdf(z) * np.exp(log_likelihood)


p_by_quad = np.array(
    [
        integrate.quad(joint_density, -10, 10, args=(x,), epsabs=1e-13)[0]
        for x in all_images
    ]
)
vh.check(
    "two quadratures agree on p(x) for all 16 images",
    p_by_hermite,
    p_by_quad,
    atol=1e-8,
)
vh.check("the 16 probabilities sum to 1", p_by_quad.sum(), 1, atol=1e-8)
vh.check(
    "log p(x) of the image 1011 is the one at the top of chapter 1",
    math.log(p_by_quad[0b1011]),
    -3.71,
    atol=0.005,
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Bars: the probability of each of the 16 images of four binary pixels under the tiny model, by Gauss–Hermite quadrature, from 0.01 to 0.16. An orange dot on the top of each bar: the same by adaptive quadrature."}}
fig, ax = plt.subplots(figsize=(5.6, 3.2))
places = np.arange(len(all_images))
ax.bar(places, p_by_hermite, color=SKY, label="Gauss–Hermite, 80 nodes")
ax.plot(places, p_by_quad, "o", color=ORANGE, label="adaptive")
names = ["".join(f"{pixel:.0f}" for pixel in x) for x in all_images]
ax.set_xticks(places, names, rotation=90)
ax.set(xlabel="image (four pixels)", ylabel="p(x)", ylim=(0, 0.23))
ax.set_title("The probability of every image")
ax.legend(fontsize=11)
plt.show()

# %% [markdown]
# Two different rules give the same $p_\theta(x)$, and it is a probability distribution over all images. So the marginal likelihood of the tiny model is *known*. That is what the checks of this book use quadrature for.
#
# ## 11.3 The price, measured
#
# Now take such decoders with $J = 1$ to 4: one for each $J$, drawn once, with seed 1. For each, raise $n$ and watch the largest error in $\log p_\theta(x)$ among the 16 images, against a much finer grid.


# %%
def log_marginals_by_quadrature(
    latent_dim: int, n: int, seed: int = 1
) -> np.ndarray:
    """log p(x) of all 16 images, with n nodes per latent dimension."""
    nodes, weights = gauss_hermite(latent_dim, n)
    decoder = tiny_decoder(latent_dim, seed)
    likelihoods = [
        np.exp(tiny_log_likelihood(x, nodes, decoder)) for x in all_images
    ]
    return np.log([weights @ likelihood for likelihood in likelihoods])


def largest_errors(
    latent_dim: int, most: int, finer: int, seed: int = 1
) -> np.ndarray:
    """Nats, with n = 2, 3, ... `most` nodes; `finer` give the truth."""
    values = [
        log_marginals_by_quadrature(latent_dim, n, seed)
        for n in (*range(2, most + 1), finer)
    ]
    return np.abs(values[:-1] - values[-1]).max(axis=1)


def smallest_n(errors: np.ndarray) -> int:
    """The n from which on the error stays below 0.001 nats."""
    return int(2 + np.flatnonzero(errors > 1e-3)[-1] + 1)


cost, errors = {}, {}
for latent_dim, most, finer in [
    (1, 40, 80),
    (2, 24, 60),
    (3, 16, 36),
    (4, 12, 20),
]:
    errors[latent_dim] = largest_errors(latent_dim, most, finer)
    cost[latent_dim] = smallest_n(errors[latent_dim]) ** latent_dim

# %% tags=["plumbing"] mystnb={"image": {"alt": "Largest error in log p(x), in nats on a logarithmic axis, against the nodes per latent dimension, one line for each J from 1 to 4. All four fall steeply with the number of nodes and cross the dashed line of 0.001 nats at about ten nodes."}}
fig, ax = plt.subplots()
for (latent_dim, error), colour, marker in zip(
    errors.items(), (BLUE, ORANGE, GREEN, PINK), "osD^", strict=True
):
    n = np.arange(2, 2 + len(error))
    ax.semilogy(n, error, marker + "-", color=colour, markersize=4)
    ax.annotate(
        f" J = {latent_dim}",
        (n[-1], error[-1]),
        color=colour,
        va="center",
    )
ax.axhline(1e-3, color="black", linestyle="--", linewidth=1)
ax.text(27, 1.4e-3, "0.001 nats")
ax.set(
    xlabel="nodes per latent dimension n",
    ylabel="largest error in log p(x), nats",
    title="The error falls with the nodes",
)
plt.show()

# %% [markdown]
# Count the decoder evaluations, $n^J$, for the smallest $n$ from which on the error stays below 0.001 nats: 12, 144, 343 and 4,096.
#
# Seed 1 is a cheap draw. Of 17 decoders the one in the middle needs 47, 30 and 19 nodes a dimension at $J = 1$, 2 and 3: at $J = 3$ that is 6,859 evaluations. A larger $J$ needs fewer nodes here, since the first weights are divided by $\sqrt J$, and each direction is smoother.

# %% tags=["check"]
# Those that would need more than 70, 40 or 24 nodes count as that many:
# it does not move the one in the middle.
for latent_dim, most, finer, in_the_middle in [
    (1, 70, 100, 47),
    (2, 40, 60, 30),
    (3, 24, 36, 19),
]:
    needed = [
        smallest_n(largest_errors(latent_dim, most, finer, seed))
        for seed in range(1, 18)
    ]
    vh.check(
        f"J = {latent_dim}: nodes for the middle one of 17 decoders",
        np.median(needed),
        in_the_middle,
        relation="=",
    )

# %% [markdown]
# **And sampling?** The other way to do the integral is to draw $k$ codes from the prior and average $p_\theta(x \mid z)$. To first order the error of $\log p$ is the relative error of $p$. So its standard error is about $\sqrt{V/k}$, where $V$ is the variance of $p_\theta(x \mid z) / p_\theta(x)$. For 0.001 nats you need $k = V \cdot 10^6$ draws. $J$ enters only through $V$.


# %%
def draws_needed(latent_dim: int, tolerance: float = 1e-3) -> float:
    """Draws from the prior for one log p(x), for the worst image."""
    rng = np.random.default_rng(30)
    z = rng.normal(size=(400_000, latent_dim))
    decoder = tiny_decoder(latent_dim)
    images = all_images[:, None]  # [16, 1, PIXELS]: all at once
    likelihood = np.exp(tiny_log_likelihood(images, z, decoder))
    relative = likelihood / likelihood.mean(axis=1, keepdims=True)
    return relative.var(axis=1).max() / tolerance**2


sampling_cost = {j: draws_needed(j) for j in (1, 2, 3, 4, 8, 12, 16, 20)}

# %% tags=["plumbing"] mystnb={"image": {"alt": "Decoder evaluations for one log p(x) against the latent dimension J, on a logarithmic axis. Quadrature: four measured points for J from 1 to 4 lie near the dashed straight line of 8 to the power J, which reaches a billion billion evaluations at J = 20. Sampling from the prior: eight points between one and a hundred million, without a trend in J. At J = 12 they are far below the line."}}
line = np.arange(1, 21)

fig, ax = plt.subplots(figsize=(5.6, 4.2))
ax.semilogy(
    line,
    8.0**line,
    "--",
    color=SKY,
    label="8 nodes a dimension",
)
ax.semilogy(
    list(cost),
    list(cost.values()),
    "o",
    color=BLUE,
    markersize=8,
    label="quadrature, error below 0.001 nats",
)
ax.semilogy(
    list(sampling_cost),
    list(sampling_cost.values()),
    "D",
    color=ORANGE,
    label="sampling, standard error 0.001 nats",
)
ax.set(
    xlabel="latent dimension J",
    ylabel="decoder evaluations",
    xticks=[1, 5, 10, 15, 20],
    title="The price of one log p(x)",
    ylim=(3, 1e21),
)
ax.legend(loc="upper left", fontsize=11)
plt.show()

# %% tags=["check"]
assert all(cost[j + 1] > 2 * cost[j] for j in (1, 2, 3))
vh.check(
    "J = 4 costs over 100 times as many decoder evaluations as J = 1",
    cost[4],
    100 * cost[1],
    relation=">",
)
vh.check(
    "8 to the power 20, in units of 10¹⁸", 8**20 / 1e18, 1.15, atol=0.01
)
vh.check(
    "at J = 4 quadrature is over 100 times cheaper than sampling",
    sampling_cost[4],
    100 * cost[4],
    relation=">",
)
vh.check(
    "at J = 12 sampling is over 1,000 times cheaper than 8 nodes each",
    8**12,
    1000 * sampling_cost[12],
    relation=">",
)

# %% [markdown]
# On a logarithmic axis $8^J$ is a straight line. It reaches $10^{18}$ decoder evaluations at the $J = 20$ of a common VAE, for one image and one value of $\theta$. (That 8 nodes would do there is an assumption; with 3 it is still $3 \cdot 10^9$.) Sampling costs much more where $J$ is small, but its price shows no trend over these eight decoders. (At $J = 8$ a few lucky draws decide $V$: read that diamond to within a power of ten.)
#
# > **Note.** Sampling from the *prior* is not the answer for real images: there $V$ is huge, because hardly any code from the prior explains a given image. The VAE draws its codes where the image says they should be, from an encoder. Then far fewer draws are needed ([the page on importance weighting](14_importance_weighting.ipynb)).
#
# ## What we measured
#
# | Question | Published | On this page |
# |---|---|---|
# | is $p_\theta(x)$ out of reach? | "intractable" with a network inside (Kingma & Welling 2013, section 2.1) | known to $10^{-8}$ for the tiny model with $J = 1$ |
# | nodes $n$ for 0.001 nats | none | seed 1: 12, 12, 7 and 8 per dimension at $J = 1$ to 4; middle one of 17: 47, 30 and 19 at $J = 1$ to 3 |
# | decoder evaluations $n^J$ | none | 12 at $J = 1$, 4,096 at $J = 4$; with $n = 8$ about $10^{18}$ at $J = 20$ |

# %% tags=["check"]
vh.check(
    "evaluations at J = 1 to 4",
    list(cost.values()),
    [12, 144, 343, 4096],
    relation="=",
)

# %% [markdown]
# ## In this chapter you have seen
#
# - Gauss–Hermite quadrature, exact for polynomials up to degree $2n - 1$;
# - a referee: the exact $p_\theta(x)$ of all 16 images of a tiny VAE;
# - a price of $n^J$, beaten by plain sampling from some $J$ on.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. Two nodes** (10 min, by hand). Find the Gauss–Hermite rule with $n = 2$: two nodes and two weights that give $\mathbb{E}[1] = 1$, $\mathbb{E}[z] = 0$, $\mathbb{E}[z^2] = 1$ and $\mathbb{E}[z^3] = 0$. What does it give for $\mathbb{E}[z^4]$, and what is right?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# By symmetry try nodes $\pm t$ with equal weights. The weights sum to 1, so each is $\frac{1}{2}$. Both odd moments vanish. $\mathbb{E}[z^2] = t^2 = 1$ gives $t = 1$. So the rule is the average of $f(-1)$ and $f(1)$. For $z^4$ it gives 1; the right value is 3. Degree 4 is one more than $2n - 1 = 3$.
#
# </details>

# %% tags=["solution"]
t, w = gauss_hermite(1, 2)
vh.check("the nodes", t[:, 0], [-1, 1], atol=1e-12)
vh.check("the weights", w, 0.5, atol=1e-12)
vh.check("the fourth moment by the rule", w @ t[:, 0] ** 4, 1, atol=1e-12)

# %% [markdown] tags=["exercise"]
# **2. A sharper referee** (10 min, by code). How many nodes does the tiny model with $J = 1$ need so that the error in $\log p_\theta(x)$ stays below a tolerance for all 16 images, for this and every larger $n$ up to 79? Take $n = 80$ as the truth.


# %% tags=["exercise", "exact"]
def nodes_needed(tolerance):
    """The smallest n from which on the error stays below tolerance."""
    return ...  # your lines, with log_marginals_by_quadrature(1, n)


print("yours:", nodes_needed(1e-6), "expected: 32")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Look for the last $n$ whose error is above the tolerance, and take the next one. For $10^{-3}$ nats it gives 12, for $10^{-6}$ it gives 32: three more digits cost 2.7 times as many nodes. If it held in each dimension, at $J = 4$ it would be raised to the fourth power, to about 50.
#
# </details>


# %% tags=["solution"]
def nodes_needed(tolerance):
    """The smallest n from which on the error stays below tolerance."""
    tried = range(2, 80)
    truth = log_marginals_by_quadrature(1, 80)
    errors = np.array(
        [
            np.abs(log_marginals_by_quadrature(1, n) - truth).max()
            for n in tried
        ]
    )
    return tried[np.flatnonzero(errors > tolerance)[-1] + 1]


vh.check("for 0.001 nats", nodes_needed(1e-3), 12, relation="=")
vh.check("for 0.000001 nats", nodes_needed(1e-6), 32, relation="=")
vh.check("the factor, to the fourth power", (32 / 12) ** 4, 50.6, atol=0.1)

# %% [markdown] tags=["exercise"]
# **3. A patient machine** (5 min, by hand). A machine runs $10^{12}$ decoder evaluations a second. How long does one $\log p_\theta(x)$ take at $J = 20$ with 8 nodes a dimension? And one pass over 60,000 images?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# $8^{20} = 2^{60} \approx 1.15 \cdot 10^{18}$ evaluations, so $1.15 \cdot 10^{6}$ seconds, about 13 days for one image. For 60,000 images it is $6.9 \cdot 10^{10}$ seconds, some 2,200 years, for a single value of $\theta$. Training needs thousands of them.
#
# </details>

# %% tags=["solution"]
seconds = 8**20 / 1e12
vh.check("days for one image", seconds / 86400, 13.3, atol=0.1)
years = 60_000 * seconds / (365.25 * 86400)
vh.check("years for 60,000 images", years, 2200, atol=50)

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## What to read next
#
# - [Chapter 1](01_theory.ipynb) goes on without the integral: it bounds $\log p_\theta(x)$ from below.
# - [Importance weighting](14_importance_weighting.ipynb): sampling from the encoder instead of the prior.
