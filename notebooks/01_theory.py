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
# # 1. The theory, every equation executed
#
# This chapter derives the variational autoencoder (VAE) from its two modelling assumptions, one step at a time.
# Each derivation is followed by a cell that computes both sides of the result and compares them to a stated tolerance.
# Where a formula is exact, the check is exact up to rounding. Where it is an average, the check is a Monte Carlo estimate (an average over
# random samples) with its standard error. Change a sign or a factor ½ in the code of a formula, and its cell fails. Try it.
#
# **What you will be able to do**
#
# - say what a VAE assumes, what it knows and what it does not, and why three integrals stand in the way;
# - derive the evidence lower bound (ELBO) in two ways, and compute its gap exactly in a model where everything has a closed form;
# - explain why the score-function gradient is too noisy, and measure it;
# - prove the reparameterisation trick, and choose the right form of it for a given distribution;
# - write down the two estimators of the ELBO, the minibatch factor, and the reason for one sample per data point;
# - derive the Kullback–Leibler (KL) term, and the log-likelihoods of Bernoulli, Gaussian and continuous Bernoulli decoders;
# - derive the importance-weighted bound and the aggregate-posterior identity, and say what stands beside the VAE in the literature.
#
# **What it needs.** Calculus, and probability up to the Gaussian density and the expectation. Section 1.2 also uses linear algebra: trace,
# determinant, inverse and eigenvectors of a matrix. A *network* is here a function with many adjustable numbers, its parameters; nothing
# more about neural networks is needed. Terms are explained again in the [glossary](../book/glossary.md). Plan an afternoon or two. It
# runs in about a minute on two CPU cores, in about 1 GiB of memory, and needs no data set.
#
# The main source is [Kingma & Welling 2013](../book/bibliography.md), called "the paper" below. The same idea was published
# independently by [Rezende, Mohamed & Wierstra 2014](../book/bibliography.md).
# All symbols are collected in the [notation page](../book/notation.md), all sources in the [bibliography](../book/bibliography.md).

# %% tags=["hide-input", "nbval-skip"]
import os
import sys

if "google.colab" in sys.modules and not os.path.exists("../vae_helpers"):
    import subprocess

    if not os.path.exists("vae-book"):  # it is there after a restart
        subprocess.check_call(
            [
                "git",
                "clone",
                "--quiet",
                "--depth=1",
                "https://github.com/vae-book/vae-book",
                "vae-book",
            ]
        )
    subprocess.check_call(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "./vae-book"]
    )
    os.chdir("vae-book/notebooks")

# %% [markdown]
# The package `vae_helpers` belongs to this book. Here it loads TensorFlow quietly and sets the style of the figures.
# Nothing else in this chapter comes from it: every formula is written out where it is derived.

# %%
import vae_helpers as vh

import itertools
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import integrate, optimize, stats
from scipy.special import expit, gammainc, logsumexp

tfd = tfp.distributions
started = time.monotonic()
vh.use_book_style()
plt.rcParams["figure.figsize"] = (7, 4)
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)


# %%
def errors_off(samples: np.ndarray, exact: float) -> float:
    """How many standard errors the mean of `samples` lies away from `exact`."""
    samples = np.asarray(samples)
    standard_error = samples.std(ddof=1) / math.sqrt(samples.size)
    return abs(samples.mean() - exact) / standard_error


# %% [markdown]
# Two conventions hold for the whole book.
#
# - Logarithms are natural, so log-probabilities and bounds are measured in **nats** (1 nat = 1/log 2 ≈ 1.44 bits).
# - $x$ and $z$ are vectors. $x_d$ and $z_j$ are their entries, $x^{(i)}$ is the $i$-th data point. $\mathbb{E}_q[f]$ is the
#   expectation $\int q(z) f(z) dz$.
#
# The helper `errors_off` is the yardstick for every Monte Carlo check. The mean of $n$ independent samples has the standard
# error (standard deviation)/$\sqrt n$. A correct formula lands within a few standard errors. We accept four at most: with a
# correct formula and a fresh seed, a check fails about once in 16,000 runs. The seeds are fixed, so the cells as they stand do not fail.

# %% [markdown]
# ## 1.1 The model, and the three integrals in its way
#
# ### Autoencoder versus variational autoencoder
#
# An **autoencoder** is a pair of functions. The encoder maps an image $x$ to a short code $z = f(x)$. The decoder maps it back,
# $\hat x = g(z)$. Both are trained so that $\hat x$ is close to $x$. Nothing else is asked of the code.
#
# That is why you cannot generate with it. To draw a new image you need a code, and the training never said how codes are
# distributed. Worse, the code is not even determined: stretch or shear the code by any invertible matrix $A$, undo it in the decoder, and
# the reconstruction is the same.
#
# A **variational autoencoder** starts at the other end, with a probability model of the data:
#
# 1. draw a latent code from a fixed prior, $z \sim p(z)$;
# 2. draw the image from a distribution whose parameters a network computes from $z$: $x \sim p_\theta(x \mid z)$.
#
# The network in step 2 is the **decoder**, with parameters $\theta$. The encoder comes later, as a tool for fitting this model. The first
# check shows the freedom that the plain autoencoder leaves, and that a prior takes away (all but rotations: section 1.2 returns to them).

# %%
rng = np.random.default_rng(0)
images = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5))
encode, decode = rng.normal(size=(5, 2)), rng.normal(size=(2, 5))
A = np.array([[10.0, 3.0], [0.0, 0.1]])

code = images @ encode
stretched_code = code @ A
reconstruction = code @ decode
stretched_reconstruction = stretched_code @ (np.linalg.inv(A) @ decode)


def mean_log_prior(z: np.ndarray) -> float:
    """Mean log density of the codes under the prior N(0, I), in nats."""
    return stats.norm.logpdf(z).sum(axis=1).mean()


assert np.max(np.abs(reconstruction - stretched_reconstruction)) < 1e-10
assert mean_log_prior(stretched_code) < mean_log_prior(code) - 100
print(
    "checked: same reconstructions (below 1e-10), but the stretched codes are over 100 nats less probable under N(0, I)"
)

# %% [markdown]
# The reconstruction error cannot tell the two codes apart. A prior on $z$ can. The KL term of the VAE, derived in section 1.2, is what brings the prior
# into the objective.
#
# ### What is assumed, what is known, what is not
#
# The **directed model** is the pair above: an arrow from $z$ to $x$. The joint density is the product
#
# $$
# p_\theta(x, z) = p(z) p_\theta(x \mid z). \tag{1.1}
# $$
#
# The paper makes two assumptions (section 2.1). The prior and the likelihood come from parametric families, and their
# densities are differentiable in $\theta$ and in $z$ almost everywhere, that is, except on a set of volume zero. The data set is $N$ independent draws
# $x^{(1)}, \dots, x^{(N)}$ from the model; each has its own code $z^{(i)}$.
#
# | Known | Not known |
# |---|---|
# | the data $x^{(1)}, \dots, x^{(N)}$ | the codes $z^{(1)}, \dots, z^{(N)}$ |
# | the family of $p(z)$: here $\mathcal{N}(0, I)$ with $J$ dimensions | the true parameters $\theta$ |
# | the family of $p_\theta(x \mid z)$: for example one Bernoulli per pixel, with a network for its means | the posterior $p_\theta(z \mid x)$ |
#
# Three things are wanted:
#
# 1. **Estimate $\theta$**, by maximum likelihood, or by the maximum of the posterior of $\theta$ (maximum a posteriori) if there is a prior on $\theta$. This is the aim if you want to generate.
# 2. **Infer $z$ from $x$** for a given $\theta$. This is the aim if you want codes.
# 3. **Infer $x$ marginally**: fill in missing pixels, remove noise. This needs $p_\theta(x)$ as a prior on images.
#
# Two words to keep apart: $p_\theta(x \mid z)$ is the **conditional likelihood** (of $x$ given one code),
# $p_\theta(x)$ the **marginal likelihood** (averaged over all codes). Some tutorials call the first by the name of the second.

# %% [markdown]
# ### The three intractabilities
#
# The paper asks for a method that works although three integrals cannot be done.
#
# **First, the marginal likelihood.** By the sum rule of probability,
#
# $$
# p_\theta(x) = \int p(z) p_\theta(x \mid z) dz. \tag{1.2}
# $$
#
# With a network inside $p_\theta(x \mid z)$ this has no closed form, so you can neither evaluate nor differentiate it.
#
# **Second, the posterior.** By Bayes' rule,
#
# $$
# p_\theta(z \mid x) = \frac{p(z) p_\theta(x \mid z)}{p_\theta(x)}. \tag{1.3}
# $$
#
# Its denominator is the first integral. The expectation–maximisation (EM) algorithm, the classical fit for models with hidden variables ([Dempster, Laird & Rubin 1977](../book/bibliography.md)), needs expectations under this posterior, so
# EM is out.
#
# **Third, the mean-field expectations.** Classical variational Bayes replaces the posterior by a simple density $q(z)$, usually a product over the
# entries of $z$ ("mean field"), and needs
# $\mathbb{E}_{q}[\log p_\theta(x \mid z)]$ in closed form. With even one hidden layer there is none.
#
# On top of that the **data set is large**. Methods that touch every data point for each update, or that run a sampling chain for each data point (Monte Carlo EM),
# are too slow.
#
# All of this is easiest to see in a model so small that the integrals can still be done. Here is a VAE decoder with four binary pixels and one
# hidden layer of three tanh units. For each pixel it returns a **logit** $\ell$, a real number; the pixel is white with probability
# $1/(1 + e^{-\ell})$. There are $2^4 = 16$ possible images.

# %%
HIDDEN, PIXELS = 3, 4


def tiny_decoder(latent_dim: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Random weights of a decoder: z [latent_dim] -> tanh, HIDDEN units -> PIXELS logits."""
    rng = np.random.default_rng(seed)
    return {
        "A": rng.normal(size=(latent_dim, HIDDEN)) / math.sqrt(latent_dim),
        "a": rng.normal(size=HIDDEN),
        "B": rng.normal(size=(HIDDEN, PIXELS)) * 2.0,
        "b": rng.normal(size=PIXELS) * 0.5,
    }


def tiny_log_likelihood(
    x: np.ndarray, z: np.ndarray, weights: dict[str, np.ndarray]
) -> np.ndarray:
    """log p(x | z) in nats, shape [n], for one image x [PIXELS] and codes z [n, latent_dim]."""
    logits = np.tanh(z @ weights["A"] + weights["a"]) @ weights["B"] + weights["b"]
    return (x * logits - np.logaddexp(0.0, logits)).sum(axis=-1)


# %% [markdown]
# The likelihood is a product of Bernoulli probabilities, one per pixel; section 1.7 derives the line that computes its logarithm.
#
# To integrate, use **Gauss–Hermite quadrature**. It replaces $\int \mathcal{N}(z; 0, 1) f(z) dz$ by a weighted sum $\sum_k w_k f(t_k)$
# over $n$ cleverly placed nodes. In $J$ dimensions it takes the product grid, with $n^J$ nodes.


# %%
def gauss_hermite(latent_dim: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [n**latent_dim, latent_dim] and weights [n**latent_dim] for expectations under N(0, I)."""
    t, w = np.polynomial.hermite_e.hermegauss(n)
    w = w / math.sqrt(2 * math.pi)
    nodes = np.stack(np.meshgrid(*[t] * latent_dim, indexing="ij"), axis=-1).reshape(
        -1, latent_dim
    )
    weights = np.stack(np.meshgrid(*[w] * latent_dim, indexing="ij"), axis=-1).reshape(
        -1, latent_dim
    )
    return nodes, weights.prod(axis=1)


tiny = tiny_decoder(latent_dim=1)
nodes, node_weights = gauss_hermite(1, 80)
all_images = np.array(list(itertools.product([0.0, 1.0], repeat=PIXELS)))
p_by_hermite = np.array(
    [node_weights @ np.exp(tiny_log_likelihood(x, nodes, tiny)) for x in all_images]
)


def joint_density(z: float, x: np.ndarray) -> float:
    """p(x, z) of the tiny model, equation (1.1)."""
    return stats.norm.pdf(z) * np.exp(tiny_log_likelihood(x, np.array([[z]]), tiny))[0]


p_by_quad = np.array(
    [
        integrate.quad(joint_density, -10, 10, args=(x,), epsabs=1e-13)[0]
        for x in all_images
    ]
)
assert np.max(np.abs(p_by_hermite - p_by_quad)) < 1e-8
assert abs(p_by_quad.sum() - 1) < 1e-8
print(
    "checked: two quadratures agree on p(x) for all 16 images, and the 16 probabilities sum to 1 (below 1e-8)"
)

# %% [markdown]
# The first integral, (1.2), is done: two different rules give the same $p_\theta(x)$, and it is a probability distribution over all images.
#
# The other two can be done now as well. The next cell takes the image (1, 0, 1, 1), builds its posterior by (1.3), and asks whether it
# is a Gaussian. The **skewness** $\mathbb{E}[(z - \mathbb{E} z)^3] / \mathrm{sd}^3$ is zero for every Gaussian.

# %%
x_tiny = np.array([1.0, 0.0, 1.0, 1.0])
p_x = integrate.quad(joint_density, -10, 10, args=(x_tiny,), epsabs=1e-13)[0]


def posterior_moment(function) -> float:
    """Expectation of function(z) under p(z | x) = p(x, z) / p(x)."""
    return integrate.quad(
        lambda z: function(z) * joint_density(z, x_tiny) / p_x, -10, 10, epsabs=1e-12
    )[0]


mean = posterior_moment(lambda z: z)
variance = posterior_moment(lambda z: (z - mean) ** 2)
skewness = posterior_moment(lambda z: (z - mean) ** 3) / variance**1.5
assert abs(posterior_moment(lambda z: 1.0) - 1) < 1e-8
assert abs(skewness) > 0.3
print(
    "checked: the posterior integrates to 1, and its skewness is above 0.3 in size: it is not Gaussian"
)

# %% [markdown]
# So the second integral gives a density that is in no textbook family, although the prior is Gaussian and the network has three hidden units.
#
# Now the third. Take a Gaussian $q = \mathcal{N}(\mu, \sigma^2)$. Since the log-likelihood contains $\log(1 + e^{\text{logit}(z)})$ with a tanh inside,
# $\mathbb{E}_q[\log p_\theta(x \mid z)]$ has no formula. It needs a numerical method. Plugging in the mean of $q$ is not the same thing.

# %%
mu, sigma = mean, math.sqrt(variance)
nodes, node_weights = gauss_hermite(1, 80)
by_quadrature = node_weights @ tiny_log_likelihood(x_tiny, mu + sigma * nodes, tiny)
at_the_mean = tiny_log_likelihood(x_tiny, np.array([[mu]]), tiny)[0]

z = mu + sigma * np.random.default_rng(1).normal(size=(100_000, 1))
by_monte_carlo = tiny_log_likelihood(x_tiny, z, tiny)

assert errors_off(by_monte_carlo, by_quadrature) < 4
assert errors_off(by_monte_carlo, at_the_mean) > 20
print(
    "checked: quadrature and Monte Carlo agree within 4 standard errors; the value at the mean is over 20 away"
)

# %% [markdown]
# Monte Carlo gave the third integral without any formula: sample, evaluate, average. This is the door that the VAE goes through. The
# problem that remains is the gradient, and sections 1.3 and 1.4 are about it.
#
# ### Why not simply use quadrature?
#
# Because its cost grows exponentially with the latent dimension $J$. The next cell takes such decoders with $J = 1$ to 4. For each it finds the smallest
# $n$ from which on the error in $\log p_\theta(x)$ stays below 0.001 nats for all 16 images (against the finest grid that it tries), and counts the decoder evaluations, $n^J$.


# %%
def log_marginals_by_quadrature(latent_dim: int, n: int) -> np.ndarray:
    """log p(x) of all 16 images under a tiny model, with n nodes per latent dimension."""
    nodes, weights = gauss_hermite(latent_dim, n)
    decoder = tiny_decoder(latent_dim)
    return np.log(
        [weights @ np.exp(tiny_log_likelihood(x, nodes, decoder)) for x in all_images]
    )


cost = {}
for latent_dim, finest in [(1, 40), (2, 24), (3, 16), (4, 12)]:
    values = np.array(
        [log_marginals_by_quadrature(latent_dim, n) for n in range(2, finest + 1)]
    )
    error = np.abs(values - values[-1]).max(axis=1)
    n_needed = 2 + np.flatnonzero(error > 1e-3)[-1] + 1
    cost[latent_dim] = int(n_needed) ** latent_dim

assert all(cost[j + 1] > 2 * cost[j] for j in (1, 2, 3))
assert cost[4] > 100 * cost[1]
print(
    "checked: from J = 1 to J = 4 the cost grows over 100 times; decoder evaluations by J:",
    cost,
)

# %% mystnb={"image": {"alt": "Decoder evaluations for one image against the latent dimension J, on a logarithmic axis. Four measured points for J from 1 to 4 rise along a straight line, and its dashed continuation passes a million billion evaluations before J reaches 20."}}
dims = np.array(list(cost))
slope, intercept = np.polyfit(dims, np.log10(list(cost.values())), 1)
line = np.arange(1, 21)

fig, ax = plt.subplots()
ax.semilogy(
    line,
    10 ** (intercept + slope * line),
    "--",
    color=SKY,
    label="straight line through the four, continued",
)
ax.semilogy(
    dims,
    list(cost.values()),
    "o",
    color=BLUE,
    markersize=8,
    label="measured, error below 0.001 nats",
)
ax.set(
    xlabel="latent dimension J",
    ylabel="decoder evaluations for one image",
    xticks=[1, 5, 10, 15, 20],
)
ax.set_title("Quadrature: the price of one log p(x)")
ax.legend()
plt.show()
assert 10 ** (intercept + slope * 20) > 1e16  # the number in the next sentence

# %% [markdown]
# On a logarithmic axis the cost is close to a straight line. At the $J = 20$ of a common VAE, the line is above $10^{16}$ decoder evaluations, for one image and one value of
# $\theta$. Quadrature is our referee for tiny models. It is not a method.

# %% [markdown]
# ## 1.2 The evidence lower bound
#
# ### One tool: the KL divergence is never negative
#
# For two densities $q$ and $r$ on the same space, the **Kullback–Leibler divergence** is
#
# $$
# \mathrm{KL}(q \Vert r) = \int q(z) \log \frac{q(z)}{r(z)} dz. \tag{1.4}
# $$
#
# *Claim:* it is at least zero, and zero only if $q = r$ almost everywhere.
#
# *Proof.* The tangent of $\log t$ at $t = 1$ is $t - 1$, and the logarithm is strictly concave: it lies below its tangents and meets each in one point. So $\log t \le t - 1$ with equality only at $t = 1$. Put $t = r(z)/q(z)$:
#
# $$
# -\mathrm{KL}(q \Vert r) = \int q \log \frac{r}{q} dz \le \int q \left( \frac{r}{q} - 1 \right) dz = \int r dz - \int q dz \le 1 - 1 = 0.
# $$
#
# (The integrals run over the region where $q > 0$, so $\int r dz \le 1$ there.) Equality needs $r = q$ wherever $q > 0$; then $r$ has no mass left elsewhere. ∎
#
# It is not symmetric: $\mathrm{KL}(q \Vert r)$ and $\mathrm{KL}(r \Vert q)$ are different numbers. The VAE uses the first, with $q$ in front. Section 1.9 meets the
# second.
#
# Try it on densities of any shape: 200 random pairs of mixtures of two Gaussians, integrated on a fine grid.

# %%
grid = np.linspace(-12, 12, 4001)
rng = np.random.default_rng(20)


def random_mixture() -> np.ndarray:
    """The density of a random mixture of two Gaussians on the grid."""
    weight, means, sds = rng.random(), rng.uniform(-3, 3, 2), rng.uniform(0.5, 1.5, 2)
    first, second = stats.norm.pdf(grid[:, None], means, sds).T
    return weight * first + (1 - weight) * second


def kl_on_grid(q: np.ndarray, r: np.ndarray) -> float:
    """KL(q || r), equation (1.4), by the trapezoidal rule."""
    return integrate.trapezoid(q * np.log(q / r), grid)


pairs = [(random_mixture(), random_mixture()) for _ in range(200)]
forward = np.array([kl_on_grid(q, r) for q, r in pairs])
backward = np.array([kl_on_grid(r, q) for q, r in pairs])
to_itself = np.array([kl_on_grid(q, q) for q, _ in pairs])

assert min(forward.min(), backward.min()) > 1e-4
assert np.abs(to_itself).max() < 1e-12
assert np.abs(forward - backward).max() > 0.1
print("checked: 400 divergences are positive, 200 of a density to itself are zero")
print("the two directions differ by more than 0.1 nats for some pairs")

# %% [markdown]
# No pair goes below zero, in either direction. Equal densities give exactly zero.
#
# ### First route: split log p(x)
#
# Bring in a density $q_\phi(z \mid x)$ with parameters $\phi$: the **recognition model**, or **encoder**. It stands in for the posterior. For now it
# may be any density that is positive wherever the posterior is. It need not factorise over dimensions, and it need not have a closed-form anything.
#
# Start from $\log p_\theta(x)$, which does not depend on $z$. Average it over $q$; an average of a constant is the constant. Then use Bayes' rule (1.3) in the
# form $p_\theta(x) = p_\theta(x, z) / p_\theta(z \mid x)$, and multiply and divide by $q_\phi$:
#
# $$
# \begin{aligned}
# \log p_\theta(x)
# &= \mathbb{E}_{q_\phi(z \mid x)} \left[ \log p_\theta(x) \right] \\
# &= \mathbb{E}_{q_\phi(z \mid x)} \left[ \log \frac{p_\theta(x, z)}{p_\theta(z \mid x)} \right] \\
# &= \mathbb{E}_{q_\phi(z \mid x)} \left[ \log \frac{q_\phi(z \mid x)}{p_\theta(z \mid x)} \right]
#  + \mathbb{E}_{q_\phi(z \mid x)} \left[ \log \frac{p_\theta(x, z)}{q_\phi(z \mid x)} \right].
# \end{aligned}
# $$
#
# The first term is a KL divergence. The second gets a name, the **evidence lower bound** $\mathcal{L}$ (ELBO):
#
# $$
# \log p_\theta(x) = \mathrm{KL}(q_\phi(z \mid x) \Vert p_\theta(z \mid x)) + \mathcal{L}(\theta, \phi; x), \tag{1.5}
# $$
#
# $$
# \mathcal{L}(\theta, \phi; x) = \mathbb{E}_{q_\phi(z \mid x)} \left[ \log p_\theta(x, z) - \log q_\phi(z \mid x) \right]. \tag{1.6}
# $$
#
# Since the KL is at least zero, $\mathcal{L} \le \log p_\theta(x)$. It is a lower bound, and the gap is exactly the KL from $q$ to the true posterior. And unlike $\log p_\theta(x)$,
# it contains only densities that you can evaluate.
#
# **The second form.** Split $\log p_\theta(x, z) = \log p(z) + \log p_\theta(x \mid z)$ by (1.1) and group the prior with $q$:
#
# $$
# \mathcal{L}(\theta, \phi; x) = -\mathrm{KL}(q_\phi(z \mid x) \Vert p(z)) + \mathbb{E}_{q_\phi(z \mid x)} \left[ \log p_\theta(x \mid z) \right]. \tag{1.7}
# $$
#
# Two different KLs have now appeared. The one in (1.5) goes to the *posterior*: it is the gap, and unknown. The one in (1.7) goes to the *prior*:
# it is part of the bound, and often known in closed form.

# %% [markdown]
# ### Second route: Jensen's inequality
#
# The same tangent argument gives Jensen's inequality, $\mathbb{E}[\log w] \le \log \mathbb{E}[w]$ for every positive random variable $w$. Take the tangent of the logarithm at
# $c = \mathbb{E}[w]$, that is $\log w \le \log c + (w - c)/c$, and average; the last term vanishes.
#
# Now write (1.2) as an average over $q$ of the **importance weight** $w(z) = p_\theta(x, z) / q_\phi(z \mid x)$:
#
# $$
# \log p_\theta(x) = \log \int q_\phi(z \mid x) \frac{p_\theta(x, z)}{q_\phi(z \mid x)} dz = \log \mathbb{E}_{q_\phi}[w] \ge \mathbb{E}_{q_\phi}[\log w] = \mathcal{L}(\theta, \phi; x). \tag{1.8}
# $$
#
# This is shorter, and section 1.8 builds on it. The first route tells you more: it says what the gap is.
#
# The next cell checks all of it in the tiny model, where quadrature gives each term separately: both forms of $\mathcal{L}$, the decomposition, and $\mathbb{E}_q[w] = p(x)$. The Gaussian $q$ is deliberately off.

# %%
mu, sigma = mean + 0.3, 0.8 * math.sqrt(variance)


def log_q(z: float) -> float:
    """log q(z | x) of the tiny model: a Gaussian that misses the posterior's mean and scale."""
    return stats.norm.logpdf(z, mu, sigma)


def expect_under_q(function) -> float:
    """Expectation of function(z) under q, by adaptive quadrature over 12 standard deviations each side."""
    return integrate.quad(
        lambda z: math.exp(log_q(z)) * function(z),
        mu - 12 * sigma,
        mu + 12 * sigma,
        epsabs=1e-12,
    )[0]


def log_joint(z: float) -> float:
    """log p(x, z) of the tiny model for the image x_tiny."""
    return stats.norm.logpdf(z) + tiny_log_likelihood(x_tiny, np.array([[z]]), tiny)[0]


elbo_1 = expect_under_q(lambda z: log_joint(z) - log_q(z))  # equation (1.6)
kl_to_prior = expect_under_q(lambda z: log_q(z) - stats.norm.logpdf(z))
elbo_2 = -kl_to_prior + expect_under_q(
    lambda z: tiny_log_likelihood(x_tiny, np.array([[z]]), tiny)[0]
)  # (1.7)
kl_to_posterior = expect_under_q(lambda z: log_q(z) - (log_joint(z) - math.log(p_x)))
mean_weight = expect_under_q(lambda z: math.exp(log_joint(z) - log_q(z)))

assert abs(elbo_1 - elbo_2) < 1e-8
assert abs(kl_to_posterior + elbo_1 - math.log(p_x)) < 1e-8
assert kl_to_posterior > 0.05 and kl_to_prior > 0
assert abs(mean_weight - p_x) < 1e-8
print(
    "checked: both forms of the ELBO agree, KL + ELBO = log p(x), and the mean weight is p(x) (below 1e-8)"
)

# %% [markdown]
# The identity holds for a model without a closed form, to the accuracy of the quadrature. The gap is positive, as it must be.
#
# ### A model where everything is exact: probabilistic PCA
#
# **Probabilistic principal component analysis** (pPCA; [Tipping & Bishop 1999](../book/bibliography.md)) is the VAE with a linear decoder:
#
# $$
# p(z) = \mathcal{N}(0, I), \qquad p_\theta(x \mid z) = \mathcal{N}(m + W z, s^2 I), \qquad \theta = (W, m, s). \tag{1.9}
# $$
#
# $W$ is a $D \times J$ matrix, $m$ the mean of the data, $s$ the standard deviation of the pixel noise, $D$ the number of pixels.
#
# For a $D$-dimensional Gaussian with covariance matrix $C$, $\log \mathcal{N}(x; m, C) = -\frac{1}{2} (D \log 2\pi + \log \det C + (x - m)^\top C^{-1} (x - m))$.
#
# *The marginal.* $x = m + W z + s \varepsilon$ with independent standard Gaussians $z$ and $\varepsilon$ is a linear map of Gaussians, so it is Gaussian. Its mean is $m$. Its covariance is
# $\mathbb{E}[(Wz + s\varepsilon)(Wz + s\varepsilon)^\top] = W W^\top + s^2 I$, since $\mathbb{E}[z z^\top] = I$ and the cross terms vanish:
#
# $$
# p_\theta(x) = \mathcal{N}(m, W W^\top + s^2 I). \tag{1.10}
# $$
#
# *The posterior.* Write $\log p(z) + \log p_\theta(x \mid z)$ and keep what depends on $z$:
#
# $$
# \begin{aligned}
# \log p_\theta(z \mid x)
# &= -\frac{1}{2} z^\top z - \frac{1}{2 s^2} (x - m - W z)^\top (x - m - W z) + \text{const} \\
# &= -\frac{1}{2} z^\top \left( I + \frac{W^\top W}{s^2} \right) z + z^\top \frac{W^\top (x - m)}{s^2} + \text{const}.
# \end{aligned}
# $$
#
# A Gaussian with mean $\nu$ and precision (inverse covariance) $P$ has the log density $-\frac{1}{2} z^\top P z + z^\top P \nu + \text{const}$. Compare the two:
#
# $$
# p_\theta(z \mid x) = \mathcal{N}(\nu, P^{-1}), \qquad P = \frac{W^\top W}{s^2} + I, \qquad \nu = \frac{1}{s^2} P^{-1} W^\top (x - m). \tag{1.11}
# $$
#
# The cell writes these down and checks them: (1.10) by integrating over $z$, and (1.11) by Bayes' rule at random points.

# %%
W = np.array([[1.0, 0.6], [0.8, 0.9], [0.5, 0.7], [-0.3, 0.2], [0.9, 0.4]])
m = np.array([0.1, -0.2, 0.3, 0.0, 0.5])
s = 0.7
x = np.array([1.2, 0.5, 1.1, -0.4, 0.2])
D, J = W.shape


def log_marginal(x: np.ndarray, W: np.ndarray, m: np.ndarray, s: float) -> float:
    """log p(x) of pPCA in nats, equation (1.10)."""
    return stats.multivariate_normal.logpdf(x, m, W @ W.T + s**2 * np.eye(len(m)))


def posterior(
    x: np.ndarray, W: np.ndarray, m: np.ndarray, s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean [J] and precision [J, J] of p(z | x) of pPCA, equation (1.11)."""
    P = W.T @ W / s**2 + np.eye(W.shape[1])
    return np.linalg.solve(P, W.T @ (x - m)) / s**2, P


def log_likelihood(
    x: np.ndarray, z: np.ndarray, W: np.ndarray, m: np.ndarray, s: float
) -> np.ndarray:
    """log p(x | z) of pPCA, shape [n], for codes z [n, J]."""
    return stats.norm.logpdf(x, m + z @ W.T, s).sum(axis=-1)


nu, P = posterior(x, W, m, s)
log_px = log_marginal(x, W, m, s)
nodes, node_weights = gauss_hermite(J, 60)
by_quadrature = math.log(node_weights @ np.exp(log_likelihood(x, nodes, W, m, s)))
z = np.random.default_rng(2).normal(size=(50, J))
log_prior = stats.norm.logpdf(z).sum(axis=1)
by_bayes = (
    log_prior
    + log_likelihood(x, z, W, m, s)
    - stats.multivariate_normal.logpdf(z, nu, np.linalg.inv(P))
)

assert abs(by_quadrature - log_px) < 1e-8
assert np.max(np.abs(by_bayes - log_px)) < 1e-10
print(
    "checked: log p(x) by quadrature (below 1e-8) and by Bayes' rule at 50 random codes (below 1e-10)"
)

# %% [markdown]
# Bayes' rule at *any* code gives the same $\log p(x)$. That is what it means for the posterior to be right.

# %% [markdown]
# ### The ELBO and its gap in closed form
#
# Take a Gaussian $q = \mathcal{N}(\mu, S)$ with any mean and any covariance. One fact about averages of quadratic functions does all the work.
# For a symmetric matrix $Q$,
#
# $$
# \mathbb{E}_q[(z - c)^\top Q (z - c)] = \mathrm{tr}(Q S) + (\mu - c)^\top Q (\mu - c), \tag{1.12}
# $$
#
# because $z - c = (z - \mu) + (\mu - c)$, the cross term averages to zero, and $\mathbb{E}[(z - \mu)^\top Q (z - \mu)] = \mathrm{tr}(Q \mathbb{E}[(z-\mu)(z-\mu)^\top])$.
#
# *The entropy.* $-\log q(z) = \frac{J}{2} \log 2\pi + \frac{1}{2} \log \det S + \frac{1}{2} (z - \mu)^\top S^{-1} (z - \mu)$. By (1.12) the last term averages to $\frac{1}{2} \mathrm{tr}(I) = \frac{J}{2}$. So
#
# $$
# -\mathbb{E}_q[\log q(z)] = \frac{J}{2} \log 2\pi + \frac{1}{2} \log \det S + \frac{J}{2}. \tag{1.13}
# $$
#
# *The KL between two Gaussians.* For $r = \mathcal{N}(\nu, P^{-1})$, (1.12) gives $-\mathbb{E}_q[\log r] = \frac{J}{2} \log 2\pi - \frac{1}{2} \log \det P + \frac{1}{2} \mathrm{tr}(P S) + \frac{1}{2} (\mu - \nu)^\top P (\mu - \nu)$. Subtract (1.13):
#
# $$
# \mathrm{KL}(q \Vert r) = \frac{1}{2} \left( \mathrm{tr}(P S) + (\mu - \nu)^\top P (\mu - \nu) - J - \log \det P - \log \det S \right). \tag{1.14}
# $$
#
# *The reconstruction term.* In pPCA, $\log p_\theta(x \mid z)$ is quadratic in $z$. The vector $W z$ has the mean $W \mu$ and the covariance $W S W^\top$. So apply (1.12) to it, with $Q = I$ and $c = x - m$:
#
# $$
# \mathbb{E}_q[\log p_\theta(x \mid z)] = -\frac{D}{2} \log(2 \pi s^2) - \frac{1}{2 s^2} \left( \lVert x - m - W \mu \rVert^2 + \mathrm{tr}(W S W^\top) \right). \tag{1.15}
# $$
#
# (1.14) with $\nu = 0$, $P = I$ and (1.15) are the two parts of the ELBO in the form (1.7). The check draws twenty arbitrary $q$, with full covariances, and asks whether KL to the posterior plus ELBO is $\log p(x)$ each time.


# %%
def kl_gaussians(mu, S, nu, P) -> float:
    """KL(N(mu, S) || N(nu, inverse of P)) in nats, equation (1.14)."""
    quadratic = np.trace(P @ S) + (mu - nu) @ P @ (mu - nu)
    return 0.5 * (
        quadratic - len(mu) - np.linalg.slogdet(P)[1] - np.linalg.slogdet(S)[1]
    )


def elbo_exact(x, W, m, s, mu, S) -> float:
    """The ELBO of pPCA for q = N(mu, S) in nats: equation (1.15) minus (1.14) to the prior."""
    J = len(mu)
    squared_error = np.sum((x - m - W @ mu) ** 2) + np.trace(W @ S @ W.T)
    reconstruction = -0.5 * len(x) * math.log(2 * math.pi * s**2) - squared_error / (
        2 * s**2
    )
    return reconstruction - kl_gaussians(mu, S, np.zeros(J), np.eye(J))


rng = np.random.default_rng(3)
errors, gaps = [], []
for _ in range(20):
    mu, factor = rng.normal(size=J), rng.normal(size=(J, J))
    S = factor @ factor.T + 0.1 * np.eye(J)
    gap = kl_gaussians(mu, S, nu, P)
    errors.append(gap + elbo_exact(x, W, m, s, mu, S) - log_px)
    gaps.append(gap)

assert np.max(np.abs(errors)) < 1e-10
assert min(gaps) > 0
assert abs(elbo_exact(x, W, m, s, nu, np.linalg.inv(P)) - log_px) < 1e-10
print(
    "checked: KL + ELBO = log p(x) for 20 arbitrary q, and the ELBO touches log p(x) at the posterior (below 1e-10)"
)

# %% [markdown]
# The decomposition (1.5) holds for good and bad $q$ alike. The last assert is the case of equality: with $q$ equal to the posterior, the bound is tight.
#
# The other two expressions for the same number, by sampling: the average of $\log p_\theta(x, z) - \log q(z)$, equation (1.6), and Jensen's route, (1.8), where the average of the *weights* gives $p(x)$.

# %%
mu, S = nu + np.array([0.3, -0.2]), np.diag([0.5, 0.4])
z = np.random.default_rng(4).multivariate_normal(mu, S, size=200_000)
log_weights = (
    stats.norm.logpdf(z).sum(axis=1)
    + log_likelihood(x, z, W, m, s)
    - stats.multivariate_normal.logpdf(z, mu, S)
)

assert errors_off(log_weights, elbo_exact(x, W, m, s, mu, S)) < 4
assert errors_off(np.exp(log_weights), math.exp(log_px)) < 4
assert errors_off(log_weights, log_px) > 100
print(
    "checked: mean log-weight = ELBO, mean weight = p(x), each within 4 standard errors; the two are over 100 apart"
)

# %% [markdown]
# The mean of the log and the log of the mean differ. Their difference is the gap.
#
# ### The best diagonal q, and its gap
#
# The usual encoder has a *diagonal* covariance: $q = \mathcal{N}(\mu, \mathrm{diag}(\sigma_1^2, \dots, \sigma_J^2))$. How good can it be when the posterior is tilted, that is, when its entries are correlated?
# Minimise (1.14) over $\mu$ and $\sigma_j^2$. With $S$ diagonal, $\mathrm{tr}(PS) = \sum_j P_{jj} \sigma_j^2$ and $\log \det S = \sum_j \log \sigma_j^2$.
#
# - The only term with $\mu$ is $(\mu - \nu)^\top P (\mu - \nu) \ge 0$. It is zero at $\mu = \nu$.
# - Differentiate in $\sigma_j^2$: $\frac{1}{2} (P_{jj} - 1/\sigma_j^2) = 0$, so $\sigma_j^2 = 1/P_{jj}$. The second derivative $\frac{1}{2\sigma_j^4}$ is positive: a minimum.
#
# Put these back. $\sum_j P_{jj} \sigma_j^2 = J$ cancels the $-J$, and what stays is
#
# $$
# \text{gap} = \frac{1}{2} \left( \sum_{j=1}^{J} \log P_{jj} - \log \det P \right). \tag{1.16}
# $$
#
# *When does it vanish?* Hadamard's inequality says $\det P \le \prod_j P_{jj}$ for a positive definite matrix, with equality exactly when $P$ is diagonal. Our derivation has just proved it: the gap is a KL, hence at least
# zero, and it is zero only if the diagonal $q$ *is* the posterior, that is, if $P$ is diagonal. By (1.11) this means that $W^\top W$ is diagonal: the columns of $W$ are orthogonal.
#
# Two consequences are worth a pause. The best variances are $1/P_{jj}$, the *conditional* variances of the posterior (all other codes held fixed). They are never larger than the marginal variances $(P^{-1})_{jj}$: by Cauchy–Schwarz with the unit vector $e_j$, $1 = (e_j^\top P^{1/2} P^{-1/2} e_j)^2 \le P_{jj} (P^{-1})_{jj}$. A diagonal $q$
# fitted with this KL is too narrow, unless there is no tilt. And the gap depends on $\theta$: training $\theta$ on the bound will favour decoders whose posterior is easy for $q$.


# %%
def diagonal_elbo(parameters: np.ndarray) -> float:
    """The ELBO of pPCA for a diagonal q; parameters = (means, log-variances)."""
    return elbo_exact(x, W, m, s, parameters[:J], np.diag(np.exp(parameters[J:])))


found = optimize.minimize(
    lambda parameters: -diagonal_elbo(parameters),
    np.zeros(2 * J),
    method="BFGS",
    tol=1e-10,
)
gap_formula = 0.5 * (np.log(np.diag(P)).sum() - np.linalg.slogdet(P)[1])

assert np.max(np.abs(found.x[:J] - nu)) < 1e-4
assert np.max(np.abs(np.exp(found.x[J:]) - 1 / np.diag(P))) < 1e-4
assert abs((log_px + found.fun) - gap_formula) < 1e-8
assert np.all(1 / np.diag(P) < np.diag(np.linalg.inv(P)))
print(
    f"checked: an optimiser finds the same q and the same gap (below 1e-8); the gap is {gap_formula:.3f} nats"
)

# %% [markdown]
# A numerical optimiser that knows nothing of (1.16) lands on it.
#
# Now make it vanish. Rotate the latent space: replace $W$ by $W R$ with an orthogonal $R$. By (1.10) nothing changes for the data, because $W R R^\top W^\top = W W^\top$. Choose $R$ as the eigenvectors of $W^\top W$, so that $(WR)^\top W R$ is diagonal.

# %%
_, R = np.linalg.eigh(W.T @ W)
W_rotated = W @ R
nu_rotated, P_rotated = posterior(x, W_rotated, m, s)
best_diagonal = elbo_exact(
    x, W_rotated, m, s, nu_rotated, np.diag(1 / np.diag(P_rotated))
)

assert abs(log_marginal(x, W_rotated, m, s) - log_px) < 1e-10
assert abs(best_diagonal - log_px) < 1e-10
assert gap_formula > 0.1
print(
    "checked: after the rotation log p(x) is unchanged and the best diagonal q has no gap (below 1e-10)"
)

# %% [markdown]
# The same model of the data, with other axes in the latent space, has a gap of zero. A VAE with a diagonal $q$ is not indifferent to rotation, although the likelihood is.
#
# ### What the bound's gradient is at the touching point
#
# One more fact about (1.5), used whenever a VAE is trained. Let $q$ be the posterior at $\theta_0$, and keep it fixed while $\theta$ moves. The gap is then a function of $\theta$ with its minimum, zero, at $\theta_0$. So its
# gradient there is zero, and by (1.5)
#
# $$
# \nabla_\theta \mathcal{L} = \nabla_\theta \log p_\theta(x) \quad \text{at } \theta_0. \tag{1.17}
# $$
#
# The bound does not only touch the curve. It has the same slope. That is why climbing the bound climbs the likelihood. (Climbing in $\theta$ with $q$ fixed at the posterior is the M-step of EM.) Checked by finite differences in a factor $a$ that multiplies $W$.

# %%
S = np.linalg.inv(P)  # q is the posterior at a = 1, and stays there
h = 1e-5
slope_of_log_p = (
    log_marginal(x, (1 + h) * W, m, s) - log_marginal(x, (1 - h) * W, m, s)
) / (2 * h)
slope_of_elbo = (
    elbo_exact(x, (1 + h) * W, m, s, nu, S) - elbo_exact(x, (1 - h) * W, m, s, nu, S)
) / (2 * h)
slope_with_other_q = (
    elbo_exact(x, (1 + h) * W, m, s, nu + 0.2, S)
    - elbo_exact(x, (1 - h) * W, m, s, nu + 0.2, S)
) / (2 * h)

assert abs(slope_of_log_p - slope_of_elbo) < 1e-7
assert abs(slope_of_log_p) > 0.1
assert abs(slope_of_log_p - slope_with_other_q) > 0.1
print(
    "checked: equal slopes at the posterior (below 1e-7); with another q the slopes differ by over 0.1"
)

# %% [markdown]
# With another $q$ the slope is off. A poor encoder biases the training of the decoder.

# %% [markdown]
# ## 1.3 The naive gradient, and why its variance hurts
#
# ### The problem
#
# You want to climb $\mathcal{L}$ in $\phi$. The trouble is that $\phi$ sits in the distribution over which you average. For a function $f$ and $q_\phi(z)$ (the condition on $x$ is left out to save space),
#
# $$
# \nabla_\phi \mathbb{E}_{q_\phi}[f(z)] = \nabla_\phi \int q_\phi(z) f(z) dz .
# $$
#
# You cannot draw samples and differentiate: samples are numbers, and numbers do not depend on $\phi$.
#
# ### The score-function gradient
#
# Move the gradient under the integral (allowed when $q_\phi$ is smooth in $\phi$, the region where it is positive does not move with $\phi$, and the integrand's derivative is bounded by an integrable function). Then use the chain rule for the logarithm, $\nabla_\phi \log q_\phi = \nabla_\phi q_\phi / q_\phi$, backwards:
#
# $$
# \nabla_\phi \int q_\phi(z) f(z) dz = \int f(z) \nabla_\phi q_\phi(z) dz = \int f(z) q_\phi(z) \nabla_\phi \log q_\phi(z) dz .
# $$
#
# The last integral is an expectation again:
#
# $$
# \nabla_\phi \mathbb{E}_{q_\phi}[f(z)] = \mathbb{E}_{q_\phi} \left[ f(z) \nabla_\phi \log q_\phi(z) \right]. \tag{1.18}
# $$
#
# $\nabla_\phi \log q_\phi$ is called the **score**. The estimator is known as REINFORCE ([Williams 1992](../book/bibliography.md)); [Paisley, Blei & Jordan 2012](../book/bibliography.md) use it for variational inference. It asks for nothing but values of $f$.
#
# **The score has mean zero.** Put $f = 1$ in (1.18): the left side is $\nabla_\phi 1 = 0$. Two things follow.
#
# - *Baselines.* For any constant $b$, $\mathbb{E}[(f - b) \nabla_\phi \log q_\phi] = \mathbb{E}[f \nabla_\phi \log q_\phi]$. The mean does not change. The variance does.
# - *The ELBO itself.* There $f$ contains $-\log q_\phi(z)$ and so depends on $\phi$. The product rule adds the term $\mathbb{E}[\nabla_\phi f] = -\mathbb{E}[\nabla_\phi \log q_\phi] = 0$. So (1.18) holds for the ELBO as it stands.

# %% [markdown]
# ### A test bench with exact variances
#
# Let $q = \mathcal{N}(\mu, I)$ in $J$ dimensions with every $\mu_j = \mu$, and let $f(z) = \sum_i z_i^2$, the kind of term that a Gaussian prior puts into the ELBO. Write $z = \mu + \varepsilon$.
# The exact gradient is easy: $\mathbb{E}[f] = \sum_i (\mu_i^2 + 1)$, so $\partial / \partial \mu_j = 2 \mu_j$.
#
# *Pathwise gradient* (its proof is section 1.4): differentiate through the sample. $\partial f / \partial \mu_j = 2 z_j$, with variance 4. It does not depend on $J$.
#
# *Score-function gradient.* $\partial \log q / \partial \mu_j = z_j - \mu_j = \varepsilon_j$, so the estimator is $(f - b) \varepsilon_j$. To get its variance, separate the $j$-th term: $f - b = f_j + f_{-j}$ with
#
# $$
# f_j = (\mu + \varepsilon_j)^2, \qquad f_{-j} = \sum_{i \ne j} (\mu + \varepsilon_i)^2 - b .
# $$
#
# $f_j$ and $\varepsilon_j$ are independent of $f_{-j}$. Therefore
#
# $$
# \mathbb{E}[(f_j + f_{-j})^2 \varepsilon_j^2] = \mathbb{E}[f_j^2 \varepsilon_j^2] + 2 \mathbb{E}[f_{-j}] \mathbb{E}[f_j \varepsilon_j^2] + \mathbb{E}[f_{-j}^2] \mathbb{E}[\varepsilon_j^2].
# $$
#
# The moments of a standard Gaussian are $\mathbb{E}[\varepsilon^2] = 1$, $\mathbb{E}[\varepsilon^4] = 3$, $\mathbb{E}[\varepsilon^6] = 15$, and the odd ones are zero. Expand:
#
# $$
# \mathbb{E}[f_j \varepsilon_j^2] = \mu^2 + 3, \qquad \mathbb{E}[f_j^2 \varepsilon_j^2] = \mu^4 + 18 \mu^2 + 15, \qquad \mathrm{Var}(f_{-j}) = (J - 1)(4 \mu^2 + 2).
# $$
#
# With $\kappa = \mathbb{E}[f_{-j}] = (J - 1)(\mu^2 + 1) - b$, and subtracting the squared mean $4 \mu^2$,
#
# $$
# \mathrm{Var} = \mu^4 + 14 \mu^2 + 15 + 2 \kappa (\mu^2 + 3) + \kappa^2 + (J - 1)(4 \mu^2 + 2). \tag{1.19}
# $$
#
# Read off three cases:
#
# - **no baseline**, $b = 0$: $\kappa$ grows like $J$, so the variance grows like $J^2$;
# - **mean baseline**, $b = \mathbb{E}[f] = J(\mu^2 + 1)$: then $\kappa = -(\mu^2 + 1)$, and the variance grows like $J$;
# - **best constant baseline**: (1.19) is a parabola in $\kappa$ with its lowest point at $\kappa = -(\mu^2 + 3)$. It still grows like $J$.
#
# The noise comes from the other $J - 1$ dimensions. They have nothing to do with $\mu_j$, but the score estimator sees only the total $f$ and cannot know which dimension earned it. The cell measures all four.


# %%
def score_variance(J: int, mu: float, b: float) -> float:
    """Variance of one entry of the score-function gradient with baseline b, equation (1.19)."""
    kappa = (J - 1) * (mu**2 + 1) - b
    return (
        mu**4
        + 14 * mu**2
        + 15
        + 2 * kappa * (mu**2 + 3)
        + kappa**2
        + (J - 1) * (4 * mu**2 + 2)
    )


def baselines(J: int, mu: float) -> dict[str, float]:
    """The three constants b of the text."""
    return {
        "none": 0.0,
        "mean": J * (mu**2 + 1),
        "best": (J - 1) * (mu**2 + 1) + mu**2 + 3,
    }


mu, dims = 0.5, [1, 2, 5, 10, 20, 50, 100]
rng = np.random.default_rng(5)
measured = {name: [] for name in ("none", "mean", "best", "pathwise")}
worst_mean = worst_variance = 0.0
for J_test in dims:
    epsilon = rng.normal(size=(40_000, J_test))
    z = mu + epsilon
    f = (z**2).sum(axis=1)
    samples = {
        name: (f - b) * epsilon[:, 0] for name, b in baselines(J_test, mu).items()
    }
    samples["pathwise"] = 2 * z[:, 0]
    for name, gradient in samples.items():
        exact = (
            4.0
            if name == "pathwise"
            else score_variance(J_test, mu, baselines(J_test, mu)[name])
        )
        squared = (
            gradient - 2 * mu
        ) ** 2  # its mean is the variance: the exact gradient is 2 mu
        worst_mean = max(worst_mean, errors_off(gradient, 2 * mu))
        worst_variance = max(worst_variance, errors_off(squared, exact))
        measured[name].append(squared.mean())

assert worst_mean < 4
assert worst_variance < 4
print(
    "checked: all four estimators are unbiased and have the variance of (1.19), each within 4 standard errors, J = 1 to 100"
)

# %% mystnb={"image": {"alt": "Variance of one gradient entry against the latent dimension J, both axes logarithmic. Without a baseline the variance rises with slope two, with the mean or the best baseline with slope one, and the pathwise gradient stays flat at 4. Measured points lie on the exact lines."}}
fig, ax = plt.subplots()
line = np.unique(np.round(np.logspace(0, 2, 40)).astype(int))
series = [
    ("none", "score function, no baseline", ORANGE, "o"),
    ("mean", "score function, mean baseline", YELLOW, "s"),
    ("best", "score function, best constant baseline", GREEN, "^"),
]
for name, label, colour, marker in series:
    ax.loglog(
        line,
        [score_variance(j, mu, baselines(j, mu)[name]) for j in line],
        color=colour,
    )
    ax.loglog(dims, measured[name], marker, color=colour, label=label)
ax.axhline(4, color=BLUE)
ax.loglog(dims, measured["pathwise"], "D", color=BLUE, label="pathwise (section 1.4)")
ax.set(
    xlabel="latent dimension J",
    ylabel="variance of one gradient entry",
    title="The price of not knowing which dimension earned f",
)
ax.legend(fontsize=9)
plt.show()

# %% [markdown]
# Points are measured, lines are (1.19). At $J = 100$ the estimator without a baseline has about 4100 times the variance of the pathwise gradient. The best constant baseline brings that down to 76 times.
#
# Variance is paid for in samples: to halve the standard error you need four times as many. Learned baselines and control variates ([Ranganath, Gerrish & Blei 2014](../book/bibliography.md); [Mnih & Gregor 2014](../book/bibliography.md)) help further, and for *discrete* codes they are often what is used.
#
# > **Note.** The pathwise gradient is not better for every $f$. If $f$ oscillates wildly, its derivative is large while $f$ is small, and the score function can win. [Mohamed et al. 2020](../book/bibliography.md) give examples. For the smooth $f$ of a VAE the pathwise gradient wins, and by more as $J$ grows.

# %% [markdown]
# ## 1.4 The reparameterisation trick
#
# ### The idea, and its proof
#
# Do not draw $z$ from a distribution that depends on $\phi$. Draw **noise** $\varepsilon$ from a fixed distribution $p(\varepsilon)$, and compute $z$ from it with a differentiable function:
#
# $$
# z = g_\phi(\varepsilon), \qquad \varepsilon \sim p(\varepsilon). \tag{1.20}
# $$
#
# If $g_\phi$ is chosen so that $z$ has the density $q_\phi$, then for every $f$ whose expectation exists
#
# $$
# \mathbb{E}_{q_\phi(z)}[f(z)] = \mathbb{E}_{p(\varepsilon)}[f(g_\phi(\varepsilon))]. \tag{1.21}
# $$
#
# *Proof for an invertible $g_\phi$ in one dimension.* Let $g_\phi$ be increasing. The event $z \le t$ is the event $\varepsilon \le g_\phi^{-1}(t)$. Call $F$ the cumulative distribution function (CDF) of $\varepsilon$. The CDF of $z$ is then
# $F(g_\phi^{-1}(t))$. Differentiate it in $t$ to get the density, $q_\phi(t) = p(g_\phi^{-1}(t)) \frac{d}{dt} g_\phi^{-1}(t)$. In terms of $\varepsilon = g_\phi^{-1}(z)$ this says
#
# $$
# q_\phi(z) dz = p(\varepsilon) d\varepsilon : \tag{1.22}
# $$
#
# probability mass is carried along, not created. Substitute $z = g_\phi(\varepsilon)$ in the integral:
#
# $$
# \int q_\phi(z) f(z) dz = \int p(\varepsilon) f(g_\phi(\varepsilon)) d\varepsilon .
# $$
#
# If $g_\phi$ is decreasing, take the size of the derivative. In $J$ dimensions the derivative becomes the determinant of the Jacobian, and (1.22) reads $q_\phi(z) \prod_j dz_j = p(\varepsilon) \prod_j d\varepsilon_j$. ∎
#
# Equation (1.21) is true for non-invertible $g_\phi$ too, and for more noises than codes: it only says that you may average $f$ over $z$, or over whatever $z$ was computed from.
#
# **The gradient.** On the right of (1.21), $\phi$ is inside the function and no longer in the distribution. So the gradient moves inside the average:
#
# $$
# \nabla_\phi \mathbb{E}_{q_\phi(z)}[f(z)] = \mathbb{E}_{p(\varepsilon)} \left[ \nabla_\phi f(g_\phi(\varepsilon)) \right] = \mathbb{E}_{p(\varepsilon)} \left[ \left( \frac{\partial g_\phi}{\partial \phi} \right)^{\top} \nabla_z f(z) \right]. \tag{1.23}
# $$
#
# (The exchange needs $f \circ g_\phi$ to be differentiable in $\phi$ for almost every $\varepsilon$, continuous, and with a derivative bounded by an integrable function.) The last step is the chain rule: the estimator uses the *slope* of $f$, where the score function knew only its value.
#
# **The one-dimensional normal.** $q = \mathcal{N}(\mu, \sigma^2)$, $g = \mu + \sigma \varepsilon$ with $\varepsilon \sim \mathcal{N}(0, 1)$. Then $\partial z / \partial \mu = 1$ and $\partial z / \partial \sigma = \varepsilon$, so
#
# $$
# \frac{\partial}{\partial \mu} \mathbb{E}[f] = \mathbb{E}[f'(z)], \qquad \frac{\partial}{\partial \sigma} \mathbb{E}[f] = \mathbb{E}[\varepsilon f'(z)]. \tag{1.24}
# $$
#
# Take $f(z) = z^2 + \sin z$. Its expectation is $\mu^2 + \sigma^2 + e^{-\sigma^2/2} \sin \mu$, which you can differentiate by hand. The cell checks (1.21) and (1.24) against that.

# %%
mu, sigma = 0.7, 1.3
epsilon, weights = gauss_hermite(1, 60)
epsilon = epsilon[:, 0]
z = mu + sigma * epsilon
f, slope = z**2 + np.sin(z), 2 * z + np.cos(z)

damping = math.exp(-(sigma**2) / 2)
exact = mu**2 + sigma**2 + damping * math.sin(mu)
exact_d_mu = 2 * mu + damping * math.cos(mu)
exact_d_sigma = 2 * sigma - sigma * damping * math.sin(mu)
over_z = integrate.quad(
    lambda z: stats.norm.pdf(z, mu, sigma) * (z**2 + math.sin(z)), -16, 16, epsabs=1e-12
)[0]

assert abs(weights @ f - over_z) < 1e-8  # both sides of (1.21)
assert abs(over_z - exact) < 1e-8
assert abs(weights @ slope - exact_d_mu) < 1e-10  # (1.24), first half
assert abs(weights @ (epsilon * slope) - exact_d_sigma) < 1e-10  # (1.24), second half
print(
    "checked: averages over z and over the noise agree (below 1e-8), both gradients are exact (below 1e-10)"
)

# %% [markdown]
# In TensorFlow you do not write (1.24) yourself. Write `z = mu + sigma * epsilon` inside a `GradientTape`, which records the operations, and automatic differentiation applies the chain rule to them. If you sample first and forget how the sample came about, the path is cut.

# %%
mu_tf, sigma_tf = (
    tf.Variable(mu, dtype=tf.float64),
    tf.Variable(sigma, dtype=tf.float64),
)
noise = tf.constant(epsilon)
with tf.GradientTape() as tape:
    z = mu_tf + sigma_tf * noise
    objective = tf.reduce_sum(weights * (z**2 + tf.sin(z)))
d_mu, d_sigma = tape.gradient(objective, [mu_tf, sigma_tf])

with tf.GradientTape() as tape:
    z = tf.stop_gradient(
        mu_tf + sigma_tf * noise
    )  # a sample that has forgotten where it came from
    objective = tf.reduce_sum(weights * (z**2 + tf.sin(z)))
cut = tape.gradient(objective, [mu_tf, sigma_tf])

assert (
    abs(d_mu.numpy() - exact_d_mu) < 1e-10
    and abs(d_sigma.numpy() - exact_d_sigma) < 1e-10
)
assert cut == [None, None]
print(
    "checked: the tape gives the exact gradients (below 1e-10) through the noise, and none when the path is cut"
)

# %% [markdown]
# ### Three families of g
#
# Which distributions can be written as (1.20)? The paper (section 2.4) lists three families. Each one follows, with the complete list, a test of the samples, and a test of the gradient for one member.
#
# A sample is tested with the **Kolmogorov–Smirnov test**: it compares the empirical CDF of the sample with the target's CDF and returns a **p-value**: the probability that a correct sample would differ at least as much. If the sample is right, the p-value is uniform between 0 and 1. If it is wrong, the p-value falls towards 0 as the sample grows. Each test below also checks its own sharpness: the same sample, stretched by a quarter, must fail. We ask for a p-value above 0.01, so with another seed a correct sample fails one time in a hundred.
#
# **Family 1: the inverse CDF.** If $u$ is uniform on $(0, 1)$ and $F$ is the CDF of the target, then $z = F^{-1}(u)$ has the CDF $F$, since $\Pr(F^{-1}(u) \le t) = \Pr(u \le F(t)) = F(t)$. It needs an $F^{-1}$ that you can write down and differentiate.
#
# | Distribution | CDF $F(z)$ | Map $g(u) = F^{-1}(u)$ |
# |---|---|---|
# | exponential, rate $\lambda$ | $1 - e^{-\lambda z}$ | $-\log(1 - u) / \lambda$ |
# | Cauchy, location $m$, scale $c$ | $\frac{1}{2} + \frac{1}{\pi} \arctan \frac{z - m}{c}$ | $m + c \tan(\pi (u - \frac{1}{2}))$ |
# | logistic, location $m$, scale $c$ | $1 / (1 + e^{-(z - m)/c})$ | $m + c \log \frac{u}{1 - u}$ |
# | Rayleigh, scale $c$ | $1 - e^{-z^2 / (2 c^2)}$ | $c \sqrt{-2 \log(1 - u)}$ |
# | Pareto, minimum $c$, shape $a$ | $1 - (c / z)^a$ | $c (1 - u)^{-1/a}$ |
# | Weibull, scale $c$, shape $k$ | $1 - e^{-(z/c)^k}$ | $c (-\log(1 - u))^{1/k}$ |
# | reciprocal on $[a, b]$ | $\log(z / a) / \log(b / a)$ | $a (b / a)^u$ |
# | Gompertz, shape $c$, unit rate | $1 - e^{-c (e^z - 1)}$ | $\log(1 - \log(1 - u) / c)$ |
# | Gumbel, location $m$, scale $c$ | $e^{-e^{-(z - m)/c}}$ | $m - c \log(-\log u)$ |
# | Erlang, integer shape $k$, rate $\lambda$ | $1 - e^{-\lambda z} \sum_{i < k} (\lambda z)^i / i!$ | no elementary inverse for $k \ge 2$ |
#
# The last row needs a correction. The paper lists the Erlang distribution here, but its CDF has no elementary inverse. An Erlang variable is the *sum* of $k$ independent exponentials, so it belongs to the third family, and is tested there. Nine remain.

# %%
u = np.random.default_rng(6).random(20_000)
inverse_cdf = {  # name: (g(u), the target in SciPy)
    "exponential": (-np.log(1 - u) / 1.7, stats.expon(scale=1 / 1.7)),
    "Cauchy": (0.3 + 0.8 * np.tan(np.pi * (u - 0.5)), stats.cauchy(0.3, 0.8)),
    "logistic": (0.3 + 0.8 * np.log(u / (1 - u)), stats.logistic(0.3, 0.8)),
    "Rayleigh": (0.8 * np.sqrt(-2 * np.log(1 - u)), stats.rayleigh(scale=0.8)),
    "Pareto": (1.2 * (1 - u) ** (-1 / 2.5), stats.pareto(2.5, scale=1.2)),
    "Weibull": (1.2 * (-np.log(1 - u)) ** (1 / 2.5), stats.weibull_min(2.5, scale=1.2)),
    "reciprocal": (0.5 * (4.0 / 0.5) ** u, stats.reciprocal(0.5, 4.0)),
    "Gompertz": (np.log(1 - np.log(1 - u) / 0.6), stats.gompertz(0.6)),
    "Gumbel": (0.3 - 0.8 * np.log(-np.log(u)), stats.gumbel_r(0.3, 0.8)),
}
for name, (z, target) in inverse_cdf.items():
    assert np.max(np.abs(target.cdf(z) - u)) < 1e-10, name  # F(g(u)) = u
    assert stats.kstest(z, target.cdf).pvalue > 0.01, name
    assert stats.kstest(1.25 * z, target.cdf).pvalue < 1e-6, name  # the test is sharp
print(
    f"checked: F(g(u)) = u (below 1e-10) and the Kolmogorov-Smirnov test for {len(inverse_cdf)} inverse CDFs"
)

# %% [markdown]
# $F(g(u)) = u$ is an exact test and the sharper one; the Kolmogorov–Smirnov test sees only the samples, which is what you have when no CDF can be inverted.
#
# Now a gradient. For the exponential, $\mathbb{E}[z^2] = 2/\lambda^2$, so $\frac{d}{d\lambda} \mathbb{E}[z^2] = -4/\lambda^3$. Three numbers must agree: the tape's pathwise gradient, a finite difference *with the same noise*, and the exact value up to Monte Carlo error.


# %%
def pathwise_and_difference(
    objective, parameter: float, h: float = 1e-5
) -> tuple[float, float]:
    """d objective / d parameter by the tape, and by a central difference with the same noise."""
    variable = tf.Variable(parameter, dtype=tf.float64)
    with tf.GradientTape() as tape:
        value = objective(variable)
    difference = objective(tf.constant(parameter + h, tf.float64)) - objective(
        tf.constant(parameter - h, tf.float64)
    )
    return tape.gradient(value, variable).numpy(), difference.numpy() / (2 * h)


rate = 1.7
by_tape, by_difference = pathwise_and_difference(
    lambda lam: tf.reduce_mean((-tf.math.log(1 - u) / lam) ** 2), rate
)
z = -np.log(1 - u) / rate
per_sample = 2 * z * (-z / rate)  # f'(z) dz/dlambda

assert abs(by_tape - by_difference) < 1e-6
assert abs(by_tape - per_sample.mean()) < 1e-10
assert errors_off(per_sample, -4 / rate**3) < 4
print(
    "checked: exponential, tape = finite difference (below 1e-6) = -4/rate^3 (within 4 standard errors)"
)

# %% [markdown]
# **Family 2: location and scale.** If a family has a location $\mu$ and a scale $\sigma$, take its standard member (location 0, scale 1) as the noise:
#
# $$
# z = \mu + \sigma \varepsilon . \tag{1.25}
# $$
#
# *Proof.* $\Pr(z \le t) = \Pr(\varepsilon \le (t - \mu)/\sigma) = F_0((t - \mu)/\sigma)$, which is what "location-scale family" means.
#
# The paper's list: **Laplace, elliptical, Student's t, logistic, uniform, triangular, Gaussian**. *Elliptical* is the many-dimensional case: $z = \mu + A \varepsilon$ with a matrix $A$ and a rotation-invariant noise, such as the multivariate Gaussian or t.
#
# Read the list with one caution. Only location and scale can be learned this way. The degrees of freedom of Student's t and the position of the triangle's peak are *shape* parameters. For those (1.25) gives no gradient.

# %%
rng = np.random.default_rng(7)
n, mu, sigma = 20_000, 0.4, 1.6
standard = {
    "Laplace": (rng.laplace(size=n), stats.laplace(mu, sigma)),
    "Student's t": (rng.standard_t(5, size=n), stats.t(5, mu, sigma)),
    "logistic": (rng.logistic(size=n), stats.logistic(mu, sigma)),
    "uniform": (rng.random(n), stats.uniform(mu, sigma)),
    "triangular": (rng.triangular(0, 0.3, 1, size=n), stats.triang(0.3, mu, sigma)),
    "Gaussian": (rng.normal(size=n), stats.norm(mu, sigma)),
}
for name, (epsilon, target) in standard.items():
    assert stats.kstest(mu + sigma * epsilon, target.cdf).pvalue > 0.01, name
    assert stats.kstest(mu + 1.25 * sigma * epsilon, target.cdf).pvalue < 1e-6, name

# Elliptical: a bivariate t with 5 degrees of freedom. With t = z - mu, t (A A^T)^-1 t / 2 has the F(2, 5) distribution.
A = np.array([[1.0, 0.0], [0.7, 0.5]])
spherical = rng.normal(size=(n, 2)) / np.sqrt(rng.chisquare(5, size=(n, 1)) / 5)
z = mu + spherical @ A.T
squared_length = ((z - mu) @ np.linalg.inv(A @ A.T) * (z - mu)).sum(axis=1)
second_entry = stats.t(5, mu, math.sqrt(0.7**2 + 0.5**2))
assert stats.kstest(squared_length / 2, stats.f(2, 5).cdf).pvalue > 0.01
assert stats.kstest(z[:, 1], second_entry.cdf).pvalue > 0.01
assert stats.kstest(1.25 * z[:, 1], second_entry.cdf).pvalue < 1e-6
print("checked: Kolmogorov-Smirnov tests for seven location-scale families")

# %% [markdown]
# The gradient, for the Laplace distribution. Its variance is $2\sigma^2$, so $\mathbb{E}[z^2] = \mu^2 + 2\sigma^2$ and $\frac{d}{d\sigma} \mathbb{E}[z^2] = 4\sigma$.

# %%
epsilon = standard["Laplace"][0]
by_tape, by_difference = pathwise_and_difference(
    lambda scale: tf.reduce_mean((mu + scale * epsilon) ** 2), sigma
)
per_sample = 2 * (mu + sigma * epsilon) * epsilon

assert abs(by_tape - by_difference) < 1e-6
assert errors_off(per_sample, 4 * sigma) < 4
print(
    "checked: Laplace, tape = finite difference (below 1e-6) = 4 sigma (within 4 standard errors)"
)

# %% [markdown]
# **Family 3: composition.** Build $z$ from several variables that you already can draw.
#
# | Distribution | Composition | Restriction |
# |---|---|---|
# | log-normal | $e^{\mu + \sigma \varepsilon}$, $\varepsilon$ Gaussian | none |
# | gamma, shape $k$, rate $\lambda$ | sum of $k$ exponentials with rate $\lambda$ | **integer** $k$ (then it is the Erlang distribution) |
# | chi-squared, $\nu$ degrees of freedom | sum of $\nu$ squared standard Gaussians | **integer** $\nu$ |
# | beta$(a, b)$ | $G_a / (G_a + G_b)$, independent gammas with rate 1 | through the gammas |
# | Dirichlet$(a_1, \dots, a_K)$ | $G_{a_k} / \sum_l G_{a_l}$ | through the gammas |
# | F$(d_1, d_2)$ | $(C_{d_1} / d_1) / (C_{d_2} / d_2)$, independent chi-squareds | through the chi-squareds |
#
# The paper's list needs two corrections here. It calls the gamma "a sum over exponentially distributed variables", which holds for integer shapes only, and an integer cannot be learned by gradients: the *rate* can, the *shape* cannot. And the Dirichlet is not a weighted sum of gammas, but gammas divided by their sum.

# %%
rng = np.random.default_rng(8)


def gamma_by_sum(shape: int, rate: float = 1.0) -> np.ndarray:
    """n gamma draws with integer shape, as sums of inverse-CDF exponentials."""
    return (-np.log(1 - rng.random((n, shape))) / rate).sum(axis=1)


def chi_squared_by_sum(degrees: int) -> np.ndarray:
    """n chi-squared draws as sums of squared Gaussians."""
    return (rng.normal(size=(n, degrees)) ** 2).sum(axis=1)


gammas = [gamma_by_sum(a) for a in (2, 3, 4)]
composed = {
    "log-normal": (
        np.exp(0.2 + 0.7 * rng.normal(size=n)),
        stats.lognorm(0.7, scale=math.exp(0.2)),
    ),
    "Erlang, integer gamma": (gamma_by_sum(3, rate=1.7), stats.gamma(3, scale=1 / 1.7)),
    "chi-squared": (chi_squared_by_sum(4), stats.chi2(4)),
    "beta": (gammas[0] / (gammas[0] + gammas[1]), stats.beta(2, 3)),
    "Dirichlet, first entry": (
        gammas[0] / (gammas[0] + gammas[1] + gammas[2]),
        stats.beta(2, 7),
    ),
    "F": ((chi_squared_by_sum(4) / 4) / (chi_squared_by_sum(6) / 6), stats.f(4, 6)),
}
for name, (z, target) in composed.items():
    assert stats.kstest(z, target.cdf).pvalue > 0.01, name
    assert stats.kstest(1.25 * z, target.cdf).pvalue < 1e-6, name
print(f"checked: Kolmogorov-Smirnov tests for {len(composed)} compositions")

# %% [markdown]
# The Dirichlet is tested through its first entry, whose marginal is a beta distribution with parameters $a_1$ and $a_2 + a_3$.
#
# The gradient, for the log-normal. Its mean is $e^{\mu + \sigma^2/2}$, so $\frac{d}{d\sigma} \mathbb{E}[z] = \sigma e^{\mu + \sigma^2/2}$.

# %%
mu, sigma = 0.2, 0.7
epsilon = np.random.default_rng(9).normal(size=100_000)
by_tape, by_difference = pathwise_and_difference(
    lambda scale: tf.reduce_mean(tf.exp(mu + scale * epsilon)), sigma
)
per_sample = epsilon * np.exp(mu + sigma * epsilon)

assert abs(by_tape - by_difference) < 1e-6
assert errors_off(per_sample, sigma * math.exp(mu + sigma**2 / 2)) < 4
print(
    "checked: log-normal, tape = finite difference (below 1e-6) = exact (within 4 standard errors)"
)

# %% [markdown]
# ### When no g can be written down: implicit reparameterisation
#
# The gamma with a real-valued shape, and with it the **beta, Dirichlet, chi-squared, F and Student's t** when their shape parameters are to be learned, fit none of the three families. They have an $F^{-1}$, but no formula for it. [Figurnov, Mohamed & Mnih 2018](../book/bibliography.md) observed that you do not need the formula, only its derivative.
#
# *Derivation.* Let $z(\phi)$ be the solution of $F(z; \phi) = u$ for a fixed $u$. Differentiate both sides in $\phi$. The right side is constant:
#
# $$
# \frac{\partial F}{\partial z} \frac{d z}{d \phi} + \frac{\partial F}{\partial \phi} = 0 .
# $$
#
# The derivative of a CDF in $z$ is the density $q_\phi(z)$. Solve:
#
# $$
# \frac{d z}{d \phi} = - \frac{\partial F(z; \phi) / \partial \phi}{q_\phi(z)} . \tag{1.26}
# $$
#
# So: draw $z$ by *any* exact sampler, rejection included, and attach the derivative (1.26) to it. No inverse is needed. TensorFlow Probability (TFP) does this for the gamma, and builds the others on it. The check compares its derivative of a gamma sample, shape 2.5, with (1.26), where $\partial F / \partial \phi$ comes from a finite difference of SciPy's incomplete gamma function.

# %%
shape = tf.fill(
    [2000], tf.constant(2.5, tf.float64)
)  # a copy per sample: each sample gets its own derivative
with tf.GradientTape() as tape:
    tape.watch(shape)
    z = tfd.Gamma(shape, tf.constant(1.0, tf.float64)).sample(seed=[1, 2])
dz_by_tfp = tape.gradient(z, shape).numpy()
z = z.numpy()

h = 1e-5
dF_dalpha = (gammainc(2.5 + h, z) - gammainc(2.5 - h, z)) / (2 * h)
dz_implicit = -dF_dalpha / stats.gamma(2.5).pdf(z)  # equation (1.26)

assert np.max(np.abs(dz_by_tfp - dz_implicit)) < 1e-4
assert (
    errors_off(dz_by_tfp, 1.0) < 4
)  # E[z] = shape / rate, so its derivative in the shape is 1
assert stats.kstest(z, stats.gamma(2.5).cdf).pvalue > 0.01
print(
    "checked: TFP's gamma derivative is the implicit one (below 1e-4), and its mean is 1 (within 4 standard errors)"
)

# %% [markdown]
# TFP tells you for each distribution whether gradients flow through its samples. **Discrete** distributions never have them: a Bernoulli sample jumps from 0 to 1, so its derivative is zero almost everywhere. There you need the score function, or a continuous relaxation ([Jang, Gu & Poole 2017](../book/bibliography.md); [Maddison, Mnih & Teh 2017](../book/bibliography.md)).

# %%
flows = [
    tfd.Normal(0.0, 1.0),
    tfd.Laplace(0.0, 1.0),
    tfd.LogNormal(0.0, 1.0),
    tfd.Gamma(2.5, 1.0),
    tfd.Chi2(3.0),
    tfd.Beta(2.0, 3.0),
    tfd.Dirichlet([1.0, 2.0]),
    tfd.StudentT(3.0, 0.0, 1.0),
    tfd.VonMises(0.0, 1.0),
]
does_not = [tfd.Bernoulli(0.3), tfd.Categorical([0.0, 1.0]), tfd.Poisson(2.0)]

assert all(d.reparameterization_type == tfd.FULLY_REPARAMETERIZED for d in flows)
assert all(d.reparameterization_type == tfd.NOT_REPARAMETERIZED for d in does_not)
print("gradients flow through:", ", ".join(d.name for d in flows))
print("gradients stop at:     ", ", ".join(d.name for d in does_not))

# %% [markdown]
# ## 1.5 The two estimators, the minibatch, and L = 1
#
# ### SGVB-A and SGVB-B
#
# Apply the trick to the two forms of the ELBO. The paper calls the results *stochastic gradient variational Bayes* (SGVB) estimators. $L$ is the number of samples of $z$ per data point, $z^{(l)} = g_\phi(\varepsilon^{(l)}, x)$.
#
# From (1.6), all terms sampled:
#
# $$
# \widetilde{\mathcal{L}}_A(\theta, \phi; x) = \frac{1}{L} \sum_{l=1}^{L} \left( \log p_\theta(x, z^{(l)}) - \log q_\phi(z^{(l)} \mid x) \right). \tag{1.27}
# $$
#
# From (1.7), with the KL to the prior in closed form and only the reconstruction sampled:
#
# $$
# \widetilde{\mathcal{L}}_B(\theta, \phi; x) = -\mathrm{KL}(q_\phi(z \mid x) \Vert p(z)) + \frac{1}{L} \sum_{l=1}^{L} \log p_\theta(x \mid z^{(l)}). \tag{1.28}
# $$
#
# Both are unbiased: averaging (1.27) over the noise gives (1.6), averaging (1.28) gives (1.7), by (1.21).
#
# ### By how much they differ
#
# Let $q = \mathcal{N}(\mu, \sigma^2)$ in one dimension, the prior $\mathcal{N}(0, 1)$, $L = 1$, and the same $\varepsilon$ in both. The reconstruction term is common and cancels. With $z = \mu + \sigma\varepsilon$,
#
# $$
# \log p(z) - \log q(z) = -\frac{1}{2} z^2 + \frac{1}{2} \varepsilon^2 + \log \sigma
# = -\frac{1}{2} \mu^2 - \mu \sigma \varepsilon - \frac{1}{2} \sigma^2 \varepsilon^2 + \frac{1}{2} \varepsilon^2 + \log \sigma .
# $$
#
# Its average is $-\mathrm{KL}(q \Vert p) = \frac{1}{2} (1 + \log \sigma^2 - \mu^2 - \sigma^2)$ by (1.14), with $P = 1$ and $\nu = 0$ (the next section derives it at leisure). Subtract; $\log \sigma = \frac{1}{2} \log \sigma^2$ cancels:
#
# $$
# \Delta = \widetilde{\mathcal{L}}_A - \widetilde{\mathcal{L}}_B = -\mu \sigma \varepsilon + \frac{1}{2} (1 - \sigma^2)(\varepsilon^2 - 1), \qquad \mathrm{Var}(\Delta) = \mu^2 \sigma^2 + \frac{1}{2} (1 - \sigma^2)^2 . \tag{1.29}
# $$
#
# The variance follows from $\mathrm{Var}(\varepsilon) = 1$, $\mathrm{Var}(\varepsilon^2) = 3 - 1 = 2$ and $\mathrm{Cov}(\varepsilon, \varepsilon^2) = \mathbb{E}[\varepsilon^3] = 0$. In $J$ dimensions the $\Delta$ of the dimensions add. And $\Delta$ does not contain $\theta$: with the same noise, **A and B have the same $\theta$-gradient**.

# %%
mu, sigma = nu + np.array([0.3, -0.2]), np.array([0.7, 0.6])
epsilon = np.random.default_rng(10).normal(size=(200_000, J))
z = mu + sigma * epsilon
log_p_x_given_z = log_likelihood(x, z, W, m, s)
kl = 0.5 * (mu**2 + sigma**2 - 1 - np.log(sigma**2)).sum()
sgvb_a = log_p_x_given_z + (stats.norm.logpdf(z) - stats.norm.logpdf(z, mu, sigma)).sum(
    axis=1
)
sgvb_b = log_p_x_given_z - kl
delta = (-mu * sigma * epsilon + 0.5 * (1 - sigma**2) * (epsilon**2 - 1)).sum(axis=1)
exact = elbo_exact(x, W, m, s, mu, np.diag(sigma**2))

assert np.max(np.abs((sgvb_a - sgvb_b) - delta)) < 1e-10
assert errors_off(delta**2, (mu**2 * sigma**2 + 0.5 * (1 - sigma**2) ** 2).sum()) < 4
assert errors_off(sgvb_a, exact) < 4 and errors_off(sgvb_b, exact) < 4
print(
    "checked: A - B is the formula sample by sample (below 1e-10); both average to the exact ELBO (4 standard errors)"
)

# %% [markdown]
# ### Which one is quieter?
#
# Write $\widetilde{\mathcal{L}}_A = \widetilde{\mathcal{L}}_B + \Delta$. Then $\mathrm{Var}(\widetilde{\mathcal{L}}_A) = \mathrm{Var}(\widetilde{\mathcal{L}}_B) + 2 \mathrm{Cov}(\widetilde{\mathcal{L}}_B, \Delta) + \mathrm{Var}(\Delta)$. The noise in $\widetilde{\mathcal{L}}_B$ is that of $\log p_\theta(x \mid z)$. So B has the smaller variance exactly when
#
# $$
# \mathrm{Cov}(\log p_\theta(x \mid z), \Delta) > -\frac{1}{2} \mathrm{Var}(\Delta). \tag{1.30}
# $$
#
# Is that the right threshold? Take 60 Gaussians $q$ around the posterior, some wide and some narrow. For each, measure on one set of draws which estimator is quieter, and evaluate (1.30) on another.

# %%
rng = np.random.default_rng(21)


def draw_terms(
    q_mean: np.ndarray, q_sd: np.ndarray, n: int = 20_000
) -> tuple[np.ndarray, np.ndarray]:
    """log p(x | z) and Delta of (1.29) for n draws of the noise."""
    noise = rng.normal(size=(n, J))
    terms = -q_mean * q_sd * noise + 0.5 * (1 - q_sd**2) * (noise**2 - 1)
    return log_likelihood(x, q_mean + q_sd * noise, W, m, s), terms.sum(axis=1)


agreements, b_wins = [], []
for _ in range(60):
    q_mean, q_sd = nu + rng.normal(0, 0.5, J), rng.uniform(0.2, 1.5, J)
    b_value, difference = draw_terms(q_mean, q_sd)
    b_is_quieter = np.var(b_value) < np.var(b_value + difference)
    b_value, difference = draw_terms(q_mean, q_sd)
    margin = np.cov(b_value, difference)[0, 1] + 0.5 * np.var(difference)
    if abs(margin) > 0.2 * np.var(difference):  # else too close to call
        agreements.append(b_is_quieter == (margin > 0))
        b_wins.append(b_is_quieter)

assert len(agreements) >= 30 and all(agreements)
assert 0 < sum(b_wins) < len(b_wins)
print("checked: (1.30) names the quieter estimator for every q that is not too close")
print("each of the two wins for some q")

# %% [markdown]
# The paper says that B "typically" has less variance. It is not always so. Let $q$ be the exact posterior: then $p_\theta(x, z)/q(z) = p_\theta(x)$ for every $z$, so $\widetilde{\mathcal{L}}_A = \log p_\theta(x)$ with **no variance at all**, while B is still noisy. The errors of A's two noisy parts cancel.
#
# What about the gradients? At an exact one-dimensional posterior $q = \mathcal{N}(\mu, \sigma^2)$, the path through $z$ contributes nothing to A (the integrand is constant in $z$). What is left of A is the explicit dependence of $-\log q_\phi$ on its parameters, minus the score:
#
# $$
# \frac{\partial \widetilde{\mathcal{L}}_A}{\partial \mu} = -\frac{\varepsilon}{\sigma}, \qquad \frac{\partial \widetilde{\mathcal{L}}_A}{\partial \sigma} = \frac{1 - \varepsilon^2}{\sigma} .
# $$
#
# For B subtract $\partial \Delta / \partial \mu = -\sigma \varepsilon$ and $\partial \Delta / \partial \sigma = -\mu \varepsilon - \sigma (\varepsilon^2 - 1)$:
#
# $$
# \frac{\partial \widetilde{\mathcal{L}}_B}{\partial \mu} = \left( \sigma - \frac{1}{\sigma} \right) \varepsilon, \qquad \frac{\partial \widetilde{\mathcal{L}}_B}{\partial \sigma} = \mu \varepsilon + \left( \sigma - \frac{1}{\sigma} \right) (\varepsilon^2 - 1) .
# $$
#
# | Variance at an exact posterior | A | B |
# |---|---|---|
# | of the value | $0$ | $\mu^2\sigma^2 + \frac{1}{2} (1 - \sigma^2)^2$ |
# | of the $\mu$-gradient | $1/\sigma^2$ | $(1/\sigma - \sigma)^2$ |
# | of the $\sigma$-gradient | $2/\sigma^2$ | $2 (1/\sigma - \sigma)^2 + \mu^2$ |
#
# For $\sigma^2 < 2$ B is quieter in $\mu$. That is the usual case: with a standard normal prior, $-1/\sigma^2 = -1 + \frac{d^2}{dz^2} \log p_\theta(x \mid z)$, so $\sigma \le 1$ whenever $\log p_\theta(x \mid z)$ is concave in $z$. In $\sigma$, A is quieter as soon as $\mu^2 > 2(2 - \sigma^2)$. And there is a third estimator: drop the score term from A, which has mean zero. Its gradient at the exact posterior is zero, sample by sample ([Roeder, Wu & Duvenaud 2017](../book/bibliography.md), "sticking the landing"). [Chapter 4](04_sgvb_a_vs_b.ipynb) shows what is left of this table for any decoder, and measures all three during training.

# %%
n, mu0, sigma0 = 50_000, 2.1, 0.6
epsilon = tf.constant(np.random.default_rng(11).normal(size=n))
target, prior = (
    tfd.Normal(tf.constant(mu0, tf.float64), sigma0),
    tfd.Normal(tf.constant(0.0, tf.float64), 1.0),
)


def gradients(estimator: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values and per-sample gradients in mu and sigma where q equals the posterior (target)."""
    mu, sigma = (
        tf.fill([n], tf.constant(mu0, tf.float64)),
        tf.fill([n], tf.constant(sigma0, tf.float64)),
    )
    with tf.GradientTape() as tape:
        tape.watch([mu, sigma])
        z = mu + sigma * epsilon
        log_p_x_given_z = target.log_prob(z) - prior.log_prob(
            z
        )  # Bayes' rule, up to log p(x)
        if estimator == "B":
            value = log_p_x_given_z - tfd.kl_divergence(tfd.Normal(mu, sigma), prior)
        else:
            stop = tf.stop_gradient if estimator == "path" else tf.identity
            value = (
                log_p_x_given_z
                + prior.log_prob(z)
                - tfd.Normal(stop(mu), stop(sigma)).log_prob(z)
            )
    return value.numpy(), *(g.numpy() for g in tape.gradient(value, [mu, sigma]))


value_a, mu_a, sigma_a = gradients("A")
value_b, mu_b, sigma_b = gradients("B")
value_path, mu_path, sigma_path = gradients("path")
c = 1 / sigma0 - sigma0
assert (
    np.ptp(value_a) < 1e-10
    and errors_off(value_b**2, mu0**2 * sigma0**2 + 0.5 * (1 - sigma0**2) ** 2) < 4
)
assert errors_off(mu_a**2, 1 / sigma0**2) < 4 and errors_off(mu_b**2, c**2) < 4
assert (
    errors_off(sigma_a**2, 2 / sigma0**2) < 4
    and errors_off(sigma_b**2, 2 * c**2 + mu0**2) < 4
)
assert np.max(np.abs([mu_path, sigma_path])) < 1e-10
assert (
    mu_b.var() < mu_a.var()
    and sigma_a.var() < sigma_b.var()
    and mu0**2 > 2 * (2 - sigma0**2)
)
print(
    "checked: six variances as in the table (4 standard errors); here B wins for mu, A wins for sigma, the path gradient is 0"
)

# %% [markdown]
# So the question "A or B?" has no single answer. It depends on the parameter and on where in training you stand. A decoder that ignores $z$, as it nearly does at the start of training, has covariance zero in (1.30): B has the quieter value. At the exact posterior the covariance is $-\mathrm{Var}(\Delta)$: A has.
#
# ### The minibatch factor N/M
#
# The objective for the data set is the sum $\sum_{i=1}^N \mathcal{L}(x^{(i)})$. A **minibatch** is $M$ of the $N$ points, drawn at random without replacement. The estimator is
#
# $$
# \widetilde{\mathcal{L}}_M = \frac{N}{M} \sum_{i \in \text{batch}} \mathcal{L}(x^{(i)}). \tag{1.31}
# $$
#
# *It is unbiased.* Let $b_i$ be 1 if point $i$ is in the batch and 0 if not. By symmetry all points have the same chance, and $\sum_i b_i = M$, so $\mathbb{E}[b_i] = M/N$. Then $\mathbb{E}[\widetilde{\mathcal{L}}_M] = \frac{N}{M} \sum_i \mathbb{E}[b_i] \mathcal{L}(x^{(i)}) = \sum_i \mathcal{L}(x^{(i)})$. ∎
#
# *Its variance.* Let $V = \frac{1}{N-1} \sum_i (\mathcal{L}(x^{(i)}) - \bar{\mathcal{L}})^2$ be the spread over the data, with the mean $\bar{\mathcal{L}}$. We need two moments. $\mathrm{Var}(b_i) = \frac{M}{N} (1 - \frac{M}{N})$. And since $\sum_i b_i$ is constant, its variance is zero: $N \mathrm{Var}(b_i) + N(N-1) \mathrm{Cov}(b_i, b_k) = 0$, so $\mathrm{Cov}(b_i, b_k) = -\mathrm{Var}(b_i)/(N-1)$. Write $y_i = \mathcal{L}(x^{(i)}) - \bar{\mathcal{L}}$, with $\sum_i y_i = 0$ and hence $\sum_{i \ne k} y_i y_k = -\sum_i y_i^2$:
#
# $$
# \mathrm{Var}(\widetilde{\mathcal{L}}_M) = \frac{N^2}{M^2} \mathrm{Var}(b_i) \left( 1 + \frac{1}{N-1} \right) \sum_i y_i^2 = \frac{N^2}{M} \left( 1 - \frac{M}{N} \right) V . \tag{1.32}
# $$
#
# With $N = 8$ and $M = 3$ there are only 56 minibatches, so the average over all of them is exact.

# %%
bounds = np.random.default_rng(12).normal(
    -100, 10, size=8
)  # eight data points with made-up ELBOs
N, M = 8, 3
estimates = np.array(
    [N / M * bounds[list(batch)].sum() for batch in itertools.combinations(range(N), M)]
)

assert abs(estimates.mean() - bounds.sum()) < 1e-9
assert abs(estimates.var() - N**2 / M * (1 - M / N) * bounds.var(ddof=1)) < 1e-8
print(
    f"checked: over all {len(estimates)} minibatches the mean is the full sum (below 1e-9), the variance is (1.32)"
)

# %% [markdown]
# In practice you divide by $N$: the mean over the minibatch estimates the mean over the data. The factor matters as soon as something else is added that is *not* summed over the data, such as a prior on $\theta$: it must be divided by $N$ too.
#
# ### Why one sample per data point is enough
#
# The paper writes that $L = 1$ is enough if $M$ is large, "e.g. $M = 100$". Here is why, and it is a theorem.
#
# Let $G_{il}$ be the estimate from data point $i$ with noise $l$: of the ELBO, or of one entry of its gradient. Two things are random: which points are in the batch, and the noise. Define
#
# - $V_x$, the variance over data points of the noise-free value $\mathbb{E}_\varepsilon[G]$;
# - $V_\varepsilon$, the variance over the noise, averaged over data points.
#
# The mean over a minibatch is $\frac{1}{M} \sum_i \frac{1}{L} \sum_l G_{il}$. The $M$ terms are independent if the points are drawn with replacement. (Without it, $V_x$ gets the factor $\frac{N - M}{N - 1}$, close to 1 for $M \ll N$, and the conclusion stays.) Each has the variance $V_x + V_\varepsilon / L$, by the law of total variance: the variance of the conditional mean, plus the mean of the conditional variance. So
#
# $$
# \mathrm{Var} = \frac{1}{M} \left( V_x + \frac{V_\varepsilon}{L} \right) = \frac{V_x}{M} + \frac{V_\varepsilon}{L M} . \tag{1.33}
# $$
#
# Now fix the budget $L M$, the number of decoder passes. The second term is fixed with it. The first falls with $M$. So **at a fixed budget $L = 1$ is never worse, and it is strictly better whenever data points differ**. Another sample of $z$ renews only the noise. Another data point renews both.

# %%
rng = np.random.default_rng(13)
N = 1000
data = m + rng.normal(size=(N, J)) @ W.T + s * rng.normal(size=(N, D))
encoder = (
    0.5 * np.linalg.solve(P, W.T) / s**2
)  # posterior means, halved: an encoder on its way
means, sigma = (data - m) @ encoder.T, 1 / np.sqrt(np.diag(P))


def decoder_gradient(i: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
    """d log p(x | z) / d W_00 for data points i and noise [..., J]: (x - m - W z)_0 z_0 / s^2."""
    z = means[i] + sigma * epsilon
    return (data[i, 0] - m[0] - z @ W[0]) * z[..., 0] / s**2


splits = [
    (1, 100),
    (2, 50),
    (5, 20),
    (10, 10),
    (20, 5),
    (50, 2),
    (100, 1),
]  # (L, M), all with L M = 100
repeats = 4000
variance = []
for L, M in splits:
    i = np.broadcast_to(rng.integers(N, size=(repeats, M, 1)), (repeats, M, L))
    variance.append(
        decoder_gradient(i, rng.normal(size=(repeats, M, L, J)))
        .mean(axis=(1, 2))
        .var(ddof=1)
    )

nodes, node_weights = gauss_hermite(J, 8)  # exact for polynomials of this degree
values = decoder_gradient(np.arange(N)[:, None], nodes[None])  # [N, nodes]
V_x = (values @ node_weights).var()
V_noise = (values**2 @ node_weights - (values @ node_weights) ** 2).mean()
predicted = np.array([V_x / M + V_noise / (L * M) for L, M in splits])

assert np.all(np.abs(np.array(variance) / predicted - 1) < 0.15)
assert variance[0] == min(variance) and variance[-1] > 10 * variance[0]
print(
    f"checked: seven measured variances within 15% of (1.33); V_x = {V_x:.2f}, V_noise = {V_noise:.2f} (squared gradient units)"
)

# %% mystnb={"image": {"alt": "Two panels. Left: at a fixed budget of 100 decoder passes the variance of a gradient entry rises steeply with L, lowest at L = 1. Right: at M = 100, raising L from 1 to 20 lowers the variance only to the floor set by the spread over data points."}}
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
left.loglog([L for L, _ in splits], predicted, color=SKY, label="equation (1.33)")
left.loglog([L for L, _ in splits], variance, "o", color=BLUE, label="measured")
left.set(
    xlabel="samples per data point L (M = 100 / L)",
    ylabel="variance of one gradient entry",
    title="Fixed budget, L M = 100",
)
left.legend()

samples = np.arange(1, 21)
right.plot(
    samples,
    V_x / 100 + V_noise / (100 * samples),
    color=BLUE,
    label="variance at M = 100",
)
right.axhline(
    V_x / 100, color=ORANGE, linestyle="--", label="floor from the data, V_x / M"
)
right.set(
    xlabel="samples per data point L (cost: 100 L)",
    title="Fixed minibatch, M = 100",
    ylim=(0, None),
)
right.legend(fontsize=9)
plt.show()

# %% [markdown]
# Left: the same work, spent on more samples of $z$ instead of more data points, gives a noisier gradient. Right: at $M = 100$, extra samples buy the difference between the curve and the dashed floor, at a cost that is multiplied by $L$.
#
# > **Note.** Two things can change the balance: a sample of $z$ that is cheaper than a data point (when the encoder is much costlier than the decoder), and objectives for which more samples change the *target*, such as the importance-weighted bound of section 1.8.

# %% [markdown]
# ## 1.6 The algorithm, and its KL term
#
# ### Auto-encoding variational Bayes
#
# Put the pieces together and you have *auto-encoding variational Bayes* (AEVB), algorithm 1 of the paper:
#
# 1. initialise $\theta$ and $\phi$;
# 2. draw a minibatch of $M$ data points, and noise $\varepsilon$ from $p(\varepsilon)$ for each;
# 3. compute $\nabla_{\theta, \phi} \widetilde{\mathcal{L}}_M$, with (1.27) or (1.28) for each point (reparameterised, so both gradients come from one backward pass);
# 4. update $\theta$ and $\phi$ with a stochastic gradient method;
# 5. repeat from 2 until the parameters converge.
#
# One update trains both networks, with no sampling chain and no inner loop for each data point.
#
# **Amortised inference.** Classical variational inference keeps separate $\mu^{(i)}, \sigma^{(i)}$ for each data point. Here one function, the encoder, produces them from $x^{(i)}$. A new image costs one forward pass. The price is that one function must serve all points ([Cremer, Li & Duvenaud 2018](../book/bibliography.md) measure it).
#
# **The autoencoder reading.** Look at (1.28) with $L = 1$. The term $\log p_\theta(x \mid z)$ is the negative **reconstruction error**: encode $x$ to $z$, decode, and ask how probable $x$ is. The term $-\mathrm{KL}(q_\phi(z \mid x) \Vert p(z))$ is a **regulariser**: it keeps the codes near the prior. Two things set it apart from a plain autoencoder: the code is sampled, and the weight of the regulariser is not yours to choose. The bound fixes it at 1.
#
# In the language of coding theory, $q_\phi(z \mid x)$ is a *probabilistic encoder*, and $p_\theta(x \mid z)$ a *probabilistic decoder*.

# %% [markdown]
# ### −KL for two Gaussians, step by step
#
# You already have this KL: it is (1.14) with $P = I$, $\nu = 0$ and a diagonal $S$. Here it is once more without matrices, in the form that programs use.
#
# The **Gaussian VAE** takes $p(z) = \mathcal{N}(0, I)$ and $q_\phi(z \mid x) = \mathcal{N}(\mu, \mathrm{diag}(\sigma^2))$, where the encoder outputs $\mu$ and $\log \sigma^2$. Both densities are products over dimensions, so $\log(q/p)$ is a sum over dimensions, and **the KL is the sum of $J$ one-dimensional KLs**. One dimension is enough.
#
# *Step 1, the general pair.* Let $q = \mathcal{N}(\mu_1, \sigma_1^2)$ and $r = \mathcal{N}(\mu_2, \sigma_2^2)$. Write out the logarithms:
#
# $$
# \log \frac{q(z)}{r(z)} = \log \frac{\sigma_2}{\sigma_1} - \frac{(z - \mu_1)^2}{2 \sigma_1^2} + \frac{(z - \mu_2)^2}{2 \sigma_2^2} .
# $$
#
# The $\frac{1}{2} \log 2\pi$ of the two has cancelled.
#
# *Step 2, average over $q$.* By definition of the variance $\mathbb{E}_q[(z - \mu_1)^2] = \sigma_1^2$. For the other square write $z - \mu_2 = (z - \mu_1) + (\mu_1 - \mu_2)$; the cross term averages to zero, so $\mathbb{E}_q[(z - \mu_2)^2] = \sigma_1^2 + (\mu_1 - \mu_2)^2$. Hence
#
# $$
# \mathrm{KL}(q \Vert r) = \log \frac{\sigma_2}{\sigma_1} + \frac{\sigma_1^2 + (\mu_1 - \mu_2)^2}{2 \sigma_2^2} - \frac{1}{2} . \tag{1.34}
# $$
#
# *Step 3, the standard prior.* Set $\mu_2 = 0$, $\sigma_2 = 1$, and write $\log \sigma = \frac{1}{2} \log \sigma^2$:
#
# $$
# \mathrm{KL} = -\frac{1}{2} \log \sigma^2 + \frac{1}{2} (\sigma^2 + \mu^2) - \frac{1}{2} .
# $$
#
# *Step 4, change the sign and sum over the dimensions.*
#
# $$
# -\mathrm{KL}(q_\phi(z \mid x) \Vert p(z)) = \frac{1}{2} \sum_{j=1}^{J} \left( 1 + \log \sigma_j^2 - \mu_j^2 - \sigma_j^2 \right). \tag{1.35}
# $$
#
# This is appendix B of the paper, which splits it differently, into $\mathbb{E}_q[\log p(z)] = -\frac{J}{2} \log 2\pi - \frac{1}{2} \sum_j (\mu_j^2 + \sigma_j^2)$ and $\mathbb{E}_q[\log q(z)] = -\frac{J}{2} \log 2\pi - \frac{1}{2} \sum_j (1 + \log \sigma_j^2)$. The difference of the two is (1.35).
#
# *A sanity check by eye.* The term in $\sigma_j^2$ is largest where $1/\sigma^2 - 1 = 0$, at $\sigma_j = 1$; the term in $\mu_j$ at 0. There the sum is zero: $q$ is the prior.


# %%
def minus_kl(mu: np.ndarray, log_variance: np.ndarray) -> float:
    """-KL(N(mu, diag(exp(log_variance))) || N(0, I)) in nats, equation (1.35)."""
    return 0.5 * np.sum(1 + log_variance - mu**2 - np.exp(log_variance))


rng = np.random.default_rng(14)
mu, log_variance = rng.normal(size=5), rng.normal(-1, 1, size=5)
sigma = np.exp(0.5 * log_variance)
closed_form = minus_kl(mu, log_variance)
by_tfp = -tfd.kl_divergence(
    tfd.MultivariateNormalDiag(mu, sigma),
    tfd.MultivariateNormalDiag(np.zeros(5), np.ones(5)),
).numpy()
z = mu + sigma * rng.normal(size=(200_000, 5))
by_monte_carlo = (stats.norm.logpdf(z) - stats.norm.logpdf(z, mu, sigma)).sum(axis=1)

assert abs(closed_form - by_tfp) < 1e-10
assert errors_off(by_monte_carlo, closed_form) < 3
assert minus_kl(np.zeros(5), np.zeros(5)) == 0
print(
    "checked: closed form = TFP (below 1e-10) = Monte Carlo (within 3 standard errors)"
)

# %% [markdown]
# The general pair (1.34) deserves its own check, because nothing in (1.35) tests $\sigma_2$. Quadrature does.

# %%
mu_1, sigma_1, mu_2, sigma_2 = 0.4, 0.7, -0.3, 1.5
formula = (
    math.log(sigma_2 / sigma_1)
    + (sigma_1**2 + (mu_1 - mu_2) ** 2) / (2 * sigma_2**2)
    - 0.5
)
q, r = stats.norm(mu_1, sigma_1), stats.norm(mu_2, sigma_2)
by_quadrature = integrate.quad(
    lambda z: q.pdf(z) * (q.logpdf(z) - r.logpdf(z)), -12, 12, epsabs=1e-12
)[0]
reversed_kl = integrate.quad(
    lambda z: r.pdf(z) * (r.logpdf(z) - q.logpdf(z)), -20, 20, epsabs=1e-12
)[0]

assert abs(formula - by_quadrature) < 1e-8
assert abs(reversed_kl - by_quadrature) > 0.5  # KL is not symmetric
print(
    "checked: the general formula (below 1e-8); the KL with its arguments swapped differs by more than 0.5 nats"
)

# %% [markdown]
# Two slips are common in published code, and both still train. One writes $(\log \sigma)^2$ for $\log(\sigma^2)$. The other feeds $\log \sigma$ where the formula wants $\log \sigma^2$. The cell shows what they do: the "KL" of the first is negative for some $q$, so the "bound" is no bound; the second is a different regulariser.

# %%
sigma = 0.5
right = -minus_kl(np.zeros(1), np.array([math.log(sigma**2)]))
square_outside = -0.5 * (1 + math.log(sigma) ** 2 - sigma**2)
log_sigma_for_log_variance = -minus_kl(np.zeros(1), np.array([math.log(sigma)]))

assert square_outside < 0 < log_sigma_for_log_variance < right
print(
    f"KL at mu = 0, sigma = 0.5: {right:.3f} nats; with (log sigma)^2: {square_outside:.3f}; "
    f"with log sigma for log sigma^2: {log_sigma_for_log_variance:.3f}"
)

# %% [markdown]
# ### The algorithm, run to a known optimum
#
# Does AEVB find the maximum-likelihood solution? In pPCA you can ask. The maximum has a closed form ([Tipping & Bishop 1999](../book/bibliography.md)): let $\lambda_1 \ge \dots \ge \lambda_D$ be the eigenvalues of the data covariance and $U$ its eigenvectors. Then $\hat m$ is the data mean, $\hat s^2$ the mean of the last $D - J$ eigenvalues, and the model covariance keeps the first $J$ eigenvalues and sets the rest to $\hat s^2$.
#
# And the bound can reach it with a *diagonal* $q$: by (1.16) the gap is zero for the rotation that makes $W^\top W$ diagonal, and by (1.10) rotating costs no likelihood. So the maximum of the ELBO equals the maximum of the likelihood ([Lucas et al. 2019](../book/bibliography.md)).
#
# The cell runs the five steps above with SGVB-B, $M = 100$, $L = 1$, on the 1000 points of section 1.5. The encoder is linear. Its log-variance is a free vector, because (1.11) says that the posterior covariance of pPCA does not depend on $x$.

# %%
rng = np.random.default_rng(15)


def initial(*shape: int) -> tf.Variable:
    """A small random parameter."""
    return tf.Variable(0.1 * rng.normal(size=shape))


theta = {
    "W": initial(D, J),
    "m": initial(D),
    "log_s": tf.Variable(0.0, dtype=tf.float64),
}
phi = {"A": initial(D, J), "a": initial(J), "log_variance": tf.Variable(np.zeros(J))}
parameters = [*theta.values(), *phi.values()]
optimizer = tf.keras.optimizers.Adam(
    tf.keras.optimizers.schedules.CosineDecay(0.02, 3000)
)


@tf.function
def aevb_step(x: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """One update on a minibatch x [M, D] with noise epsilon [M, J]: SGVB-B, equation (1.28), with L = 1."""
    with tf.GradientTape() as tape:
        mu = x @ phi["A"] + phi["a"]
        log_variance = phi["log_variance"]
        z = mu + tf.exp(0.5 * log_variance) * epsilon
        likelihood = tfd.Normal(
            z @ tf.transpose(theta["W"]) + theta["m"], tf.exp(theta["log_s"])
        )
        reconstruction = tf.reduce_sum(likelihood.log_prob(x), axis=1)
        minus_kl = 0.5 * tf.reduce_sum(
            1 + log_variance - mu**2 - tf.exp(log_variance), axis=1
        )
        loss = -tf.reduce_mean(
            reconstruction + minus_kl
        )  # the mean over the minibatch: (1.31) divided by N
    optimizer.apply_gradients(
        zip(tape.gradient(loss, parameters), parameters, strict=True)
    )
    return -loss


estimates = [
    aevb_step(
        data[rng.choice(N, 100, replace=False)], rng.normal(size=(100, J))
    ).numpy()
    for _ in range(3000)
]
print("ran 3000 updates of AEVB")

# %% [markdown]
# Now the judgement, with nothing sampled: the exact ELBO of the trained pair, averaged over the data, against the exact maximum of the average log-likelihood.

# %%
eigenvalues, U = np.linalg.eigh(np.cov(data.T, bias=True))
eigenvalues, U = eigenvalues[::-1], U[:, ::-1]
best_variance = eigenvalues[J:].mean()
kept = np.concatenate([eigenvalues[:J], np.full(D - J, best_variance)])
maximum = stats.multivariate_normal.logpdf(
    data, data.mean(axis=0), U @ np.diag(kept) @ U.T
).mean()

W_found, m_found, s_found = (
    theta["W"].numpy(),
    theta["m"].numpy(),
    math.exp(theta["log_s"].numpy()),
)
q_means = data @ phi["A"].numpy() + phi["a"].numpy()
q_covariance = np.diag(np.exp(phi["log_variance"].numpy()))
reached = np.mean(
    [
        elbo_exact(x_i, W_found, m_found, s_found, mean_i, q_covariance)
        for x_i, mean_i in zip(data, q_means, strict=True)
    ]
)
column_1, column_2 = W_found.T
cosine = column_1 @ column_2 / np.linalg.norm(column_1) / np.linalg.norm(column_2)

assert maximum - 0.01 < reached < maximum
assert abs(cosine) < 0.1
assert abs(s_found**2 / best_variance - 1) < 0.03
print(
    f"checked: AEVB reaches the maximum log-likelihood, {maximum:.2f} nats per point, from below, to within 0.01 nats"
)

# %% mystnb={"image": {"alt": "The minibatch estimate of the ELBO against the update, in nats per data point: a noisy band that climbs within a few hundred updates and then scatters around the dashed line of the exact maximum log-likelihood."}}
fig, ax = plt.subplots()
ax.plot(estimates, color=SKY, linewidth=0.5, label="minibatch estimate, M = 100, L = 1")
smooth = np.convolve(estimates, np.ones(100) / 100, mode="valid")
ax.plot(np.arange(99, 3000), smooth, color=BLUE, label="mean of the last 100 updates")
ax.axhline(
    maximum, color=ORANGE, linestyle="--", label="maximum log-likelihood, closed form"
)
ax.set(
    xlabel="update",
    ylabel="ELBO per data point (nats)",
    title="AEVB on probabilistic PCA",
    ylim=(maximum - 3, maximum + 1),
)
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# AEVB never saw an eigenvalue, and reaches the eigenvalue solution. The columns of its $W$ are orthogonal (the check asks for a cosine below 0.1), as section 1.2 predicted: of all the rotations with the same likelihood, the bound with a diagonal $q$ picks the one without a gap.
#
# Single minibatch estimates lie on both sides of the line. Only the *expected* estimate is a lower bound.

# %% [markdown]
# ## 1.7 Decoders: what the reconstruction term really is
#
# The bound needs $\log p_\theta(x \mid z)$. The decoder network computes the *parameters* of that distribution from $z$. Choosing the distribution is choosing the reconstruction error.
#
# ### Bernoulli
#
# For binary pixels, let the network end in $D$ **logits** $\ell_d$, and let $y_d = 1/(1 + e^{-\ell_d})$ be the probability of a white pixel. The paper's network (appendix C) has one hidden layer, $\ell = W_2 \tanh(W_1 z + b_1) + b_2$. Pixels are independent given $z$:
#
# $$
# \log p_\theta(x \mid z) = \sum_{d=1}^{D} \left( x_d \log y_d + (1 - x_d) \log(1 - y_d) \right). \tag{1.36}
# $$
#
# This is minus the *binary cross-entropy* (BCE), summed over pixels. Now rewrite it in logits. $\log y = -\log(1 + e^{-\ell}) = \ell - \log(1 + e^{\ell})$ and $\log(1 - y) = -\log(1 + e^{\ell})$. Insert both; the terms with $x_d \log(1 + e^{\ell_d})$ cancel:
#
# $$
# \log p_\theta(x \mid z) = \sum_{d=1}^{D} \left( x_d \ell_d - \log(1 + e^{\ell_d}) \right). \tag{1.37}
# $$
#
# The second form is the one to compute. In single precision $y$ rounds to exactly 1 for logits above about 17. Then $(1 - x) \log(1 - y)$ is $0 \cdot (-\infty)$, which is not a number. Clipping at $1 - 10^{-8}$ does not help: in single precision that *is* 1.

# %%
logits = np.random.default_rng(16).normal(size=(100, 6)) * 3
pixels = np.random.default_rng(17).integers(0, 2, size=(100, 6)).astype(float)
from_logits = (pixels * logits - np.logaddexp(0, logits)).sum(axis=1)  # (1.37)
y = expit(logits)
from_means = (pixels * np.log(y) + (1 - pixels) * np.log(1 - y)).sum(axis=1)  # (1.36)
by_tfp = tf.reduce_sum(
    tfd.Bernoulli(logits=tf.constant(logits)).log_prob(tf.constant(pixels)), axis=1
).numpy()

assert np.max(np.abs(from_logits - from_means)) < 1e-10
assert np.max(np.abs(from_logits - by_tfp)) < 1e-10

clipped = tf.clip_by_value(
    tf.sigmoid(tf.constant(20.0)), 1e-8, 1 - 1e-8
)  # float32, and the pixel is 1
one = tf.constant(1.0)
assert np.isnan(
    (one * tf.math.log(clipped) + (1 - one) * tf.math.log(1 - clipped)).numpy()
)
assert abs((one * 20.0 - tf.nn.softplus(20.0)).numpy()) < 1e-6
print(
    "checked: both forms and TFP agree (below 1e-10); in float32 the clipped form is NaN at logit 20, the logits form is not"
)

# %% [markdown]
# ### Gaussian
#
# For real-valued data the network outputs a mean and a log-variance per pixel: with $h = \tanh(W_3 z + b_3)$, the mean is $\mu = W_4 h + b_4$ and $\log \sigma^2 = W_5 h + b_5$ (equation 12 of the paper). Then
#
# $$
# \log p_\theta(x \mid z) = -\frac{1}{2} \sum_{d=1}^{D} \left( \log 2\pi + \log \sigma_d^2 + \frac{(x_d - \mu_d)^2}{\sigma_d^2} \right). \tag{1.38}
# $$
#
# Three remarks.
#
# - *Squared error has a variance hidden in it.* With a fixed common $\sigma^2$, (1.38) is $-\frac{1}{2\sigma^2} \lVert x - \mu \rVert^2$ plus a constant. So "summed squared error + KL" is, up to a constant, the negative ELBO of a Gaussian decoder with $\sigma^2 = \frac{1}{2}$. If you average the error over pixels, or weigh it, you have chosen another $\sigma^2$, usually without noticing.
# - *The best common variance* is found by setting the derivative of (1.38) to zero: $-\frac{D}{2\sigma^2} + \frac{1}{2\sigma^4} \lVert x - \mu \rVert^2 = 0$, so $\sigma^2 = \lVert x - \mu \rVert^2 / D$, the mean squared error. At the optimum $\log p = -\frac{D}{2} (\log 2\pi\sigma^2 + 1)$.
# - *A density is not a probability.* It can exceed 1, so a Gaussian log-likelihood can be positive, and it grows without bound as $\sigma \to 0$ at pixels that never change. Numbers from Bernoulli and Gaussian decoders cannot be compared.

# %%
rng = np.random.default_rng(18)
z, hidden, pixels = rng.normal(size=2), 8, rng.normal(size=6)
W3, W4, W5 = (
    rng.normal(size=(hidden, 2)),
    rng.normal(size=(6, hidden)),
    0.3 * rng.normal(size=(6, hidden)),
)
b3, b4, b5 = rng.normal(size=hidden), rng.normal(size=6), rng.normal(size=6)
h = np.tanh(W3 @ z + b3)
mean, log_variance = W4 @ h + b4, W5 @ h + b5
formula = -0.5 * np.sum(
    math.log(2 * math.pi) + log_variance + (pixels - mean) ** 2 / np.exp(log_variance)
)
by_tfp = (
    tfd.MultivariateNormalDiag(mean, np.exp(0.5 * log_variance))
    .log_prob(pixels)
    .numpy()
)

squared_error = np.sum((pixels - mean) ** 2)
at_one_half = stats.norm.logpdf(pixels, mean, math.sqrt(0.5)).sum()
found = optimize.minimize_scalar(
    lambda v: -stats.norm.logpdf(pixels, mean, math.sqrt(v)).sum(),
    bounds=(0.01, 50),
    method="bounded",
    options={"xatol": 1e-8},
)
best = squared_error / 6

assert abs(formula - by_tfp) < 1e-10
assert abs(-squared_error - (at_one_half + 3 * math.log(math.pi))) < 1e-10  # D/2 = 3
assert (
    abs(found.x - best) < 1e-4
    and abs(-found.fun + 3 * (math.log(2 * math.pi * best) + 1)) < 1e-8
)
assert stats.norm.logpdf(0.0, 0.0, 0.01) > 0
print(
    "checked: (1.38) = TFP (below 1e-10); squared error is the Gaussian with variance 1/2; best variance = mean squared error"
)

# %% [markdown]
# ### What "binary cross-entropy on grey levels" optimises
#
# Many programs feed grey levels $x_d \in [0, 1]$ into (1.36). It still runs. But what is it? Call $B(x, y) = \sum_d x_d \log y_d + (1 - x_d) \log (1 - y_d)$. Two readings are possible.
#
# **Reading 1: as a density on grey levels, it is not normalised.** Integrate one pixel, with $r = y/(1 - y)$:
#
# $$
# \int_0^1 y^x (1 - y)^{1 - x} dx = (1 - y) \int_0^1 r^x dx = (1 - y) \frac{r - 1}{\log r} = \frac{2y - 1}{\log (y / (1 - y))} = \frac{1}{C(y)} . \tag{1.39}
# $$
#
# (We used $\int_0^1 r^x dx = (r - 1)/\log r$ and $(1 - y)(r - 1) = 2y - 1$. At $y = \frac{1}{2}$ the integrand is $\frac{1}{2}$ throughout, so $C(\frac{1}{2}) = 2$.) The integral is never above ½: $y^x (1 - y)^{1 - x} \le x y + (1 - x)(1 - y)$, because the logarithm is concave, and the right side integrates to $\frac{1}{2} y + \frac{1}{2} (1 - y) = \frac{1}{2}$. To call $B$ a log-likelihood of grey levels leaves out $\log C(y)$, at least $\log 2$ nats for every pixel.
#
# Put it in, and you have the **continuous Bernoulli** of [Loaiza-Ganem & Cunningham 2019](../book/bibliography.md):
#
# $$
# \log p(x \mid y) = x \log y + (1 - x) \log (1 - y) + \log C(y), \qquad C(y) = \frac{2 \mathrm{artanh}(1 - 2y)}{1 - 2y} . \tag{1.40}
# $$
#
# (Since $2 \mathrm{artanh}(t) = \log \frac{1 + t}{1 - t}$, this $C$ is the one of (1.39).) Its parameter $y$ is not its mean. The density is $e^{\eta x}$ times a constant, with $\eta = \log r$ and the normaliser $(e^{\eta} - 1)/\eta$. The derivative of the log-normaliser in $\eta$ is the mean, because $\frac{d}{d\eta} \log \int e^{\eta x} dx = \int x e^{\eta x} dx / \int e^{\eta x} dx$:
#
# $$
# \mathbb{E}[x] = \frac{e^{\eta}}{e^{\eta} - 1} - \frac{1}{\eta} = \frac{y}{2y - 1} + \frac{1}{2 \mathrm{artanh}(1 - 2y)} . \tag{1.41}
# $$


# %%
def log_c(y: np.ndarray) -> np.ndarray:
    """Log-normaliser of the continuous Bernoulli in nats, equation (1.40), for y other than 1/2."""
    return np.log(2 * np.arctanh(1 - 2 * y) / (1 - 2 * y))


def continuous_bernoulli_mean(y: np.ndarray) -> np.ndarray:
    """Mean of the continuous Bernoulli, equation (1.41), for y other than 1/2."""
    return y / (2 * y - 1) + 1 / (2 * np.arctanh(1 - 2 * y))


for y in (0.02, 0.3, 0.7, 0.9, 0.999):
    mass = integrate.quad(lambda x, y=y: y**x * (1 - y) ** (1 - x), 0, 1, epsabs=1e-13)[
        0
    ]
    first_moment = (
        integrate.quad(
            lambda x, y=y: x * y**x * (1 - y) ** (1 - x), 0, 1, epsabs=1e-13
        )[0]
        / mass
    )
    assert mass < 0.5 and abs(math.log(mass) + log_c(y)) < 1e-8
    assert abs(first_moment - continuous_bernoulli_mean(y)) < 1e-8
    by_tfp = (
        tfd.ContinuousBernoulli(probs=tf.constant(y, tf.float64))
        .log_prob(tf.constant(0.4, tf.float64))
        .numpy()
    )
    assert abs(0.4 * math.log(y) + 0.6 * math.log(1 - y) + log_c(y) - by_tfp) < 1e-8
print(
    "checked: normaliser and mean by quadrature, log density against TFP (below 1e-8), at five values of y"
)

# %% mystnb={"image": {"alt": "Two panels against the parameter y between 0 and 1. Left: the neglected term log C(y), lowest at log 2, about 0.69 nats, for y one half and rising steeply towards both ends. Right: the mean of the continuous Bernoulli, an S-shaped curve flatter than the diagonal, so the mean is closer to one half than y."}}
y = np.linspace(0.001, 0.999, 400)
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
left.plot(y, log_c(y), color=BLUE)
left.axhline(math.log(2), color=ORANGE, linestyle="--", label="log 2")
left.set(
    xlabel="parameter y",
    ylabel="log C(y) per pixel (nats)",
    title="What grey-level BCE leaves out",
    ylim=(0, 2),
)
left.legend()
right.plot(y, continuous_bernoulli_mean(y), color=BLUE, label="continuous Bernoulli")
right.plot(y, y, "--", color=ORANGE, label="Bernoulli: mean = y")
right.set(
    xlabel="parameter y",
    ylabel="mean of the pixel",
    title="The parameter is not the mean",
)
right.legend()
plt.show()

# %% [markdown]
# The missing term is smallest in the middle and large at the ends, so it is not a constant that training could ignore. It rewards decisive pixels.
#
# **Reading 2: as an average over random binarisations, it is exact.** Let $\tilde x$ be a random binary image with $\Pr(\tilde x_d = 1) = x_d$, independent over pixels. (1.36) is linear in $x$, so
#
# $$
# B(x, y) = \mathbb{E}_{\tilde x \mid x} \left[ \log p_\theta(\tilde x \mid z) \right]. \tag{1.42}
# $$
#
# Now let the encoder see the grey image $x$. For each $\tilde x$, (1.8) holds with *any* $q$, so also with $q_\phi(z \mid x)$. Average it over $\tilde x$:
#
# $$
# \mathbb{E}_{\tilde x \mid x} \left[ \log p_\theta(\tilde x) \right] \ge \mathbb{E}_{q_\phi(z \mid x)} \left[ B(x, y(z)) \right] - \mathrm{KL}(q_\phi(z \mid x) \Vert p(z)) . \tag{1.43}
# $$
#
# So the grey-level objective is a genuine lower bound, on the average log-likelihood of **dynamically binarised** data. It is not a bound on the density of grey levels. The gap is the average of $\mathrm{KL}(q_\phi(z \mid x) \Vert p_\theta(z \mid \tilde x))$ over the binarisations, by (1.5).
#
# The objective itself cannot reach zero on grey images, even with a perfect fit. $B(x, y)$ is largest at $y = x$ (set $x/y - (1 - x)/(1 - y) = 0$), where it equals minus the entropy of the binarisation. The check computes (1.42) and (1.43) in the tiny model of section 1.1, summing over all 16 binary images.

# %%
grey = np.array([0.9, 0.2, 0.6, 0.75])
chance = np.prod(
    np.where(all_images == 1, grey, 1 - grey), axis=1
)  # Pr(x~ | x) of the 16 binary images
nodes, node_weights = gauss_hermite(1, 80)
log_p_binary = np.log(
    [node_weights @ np.exp(tiny_log_likelihood(x_b, nodes, tiny)) for x_b in all_images]
)
average_log_p = chance @ log_p_binary  # left side of (1.43)

mu, sigma = 0.2, 0.8
codes = mu + sigma * nodes
B_values = tiny_log_likelihood(grey, codes, tiny)
B_by_average = sum(
    c * tiny_log_likelihood(x_b, codes, tiny)
    for c, x_b in zip(chance, all_images, strict=True)
)
grey_bound = node_weights @ B_values + minus_kl(
    np.array([mu]), np.array([2 * math.log(sigma)])
)

log_ratio = (
    stats.norm.logpdf(codes, mu, sigma)[:, 0] - stats.norm.logpdf(codes)[:, 0]
)  # log q - log p at the nodes
kl_to_posteriors = [  # KL(q || p(z | x~)) for each binary image, from its definition
    node_weights @ (log_ratio - tiny_log_likelihood(x_b, codes, tiny) + log_p_b)
    for x_b, log_p_b in zip(all_images, log_p_binary, strict=True)
]

entropy = -np.sum(grey * np.log(grey) + (1 - grey) * np.log(1 - grey))
assert abs(chance.sum() - 1) < 1e-12
assert np.max(np.abs(B_values - B_by_average)) < 1e-10  # (1.42)
assert grey_bound < average_log_p < -entropy + 1e-12  # (1.43), and the ceiling
assert (
    abs((average_log_p - grey_bound) - chance @ kl_to_posteriors) < 1e-8
)  # and what its gap is
assert min(kl_to_posteriors) > 0 and B_values.max() < -entropy
print(
    "checked: BCE is the average over binarisations (below 1e-10); the gap of (1.43) is the average KL (below 1e-8)"
)

# %% [markdown]
# What does a fit learn under each reading? Draw pixels from a continuous Bernoulli with $y = 0.9$ (it has an inverse CDF: exercise 6). BCE, and equally the plain Bernoulli, settles at the mean of the data. The continuous Bernoulli recovers 0.9.

# %%
u = np.random.default_rng(19).random(50_000)
true_y = 0.9
r = true_y / (1 - true_y)
pixels = np.log(1 + u * (r - 1)) / math.log(r)


def fit(with_normaliser: bool) -> float:
    """The y that maximises the mean of (1.40), with or without log C(y)."""

    def objective(y):
        bce = -(pixels.mean() * math.log(y) + (1 - pixels.mean()) * math.log(1 - y))
        return bce - (log_c(y) if with_normaliser else 0.0)

    return optimize.minimize_scalar(
        objective, bounds=(0.51, 0.999), method="bounded", options={"xatol": 1e-9}
    ).x


assert errors_off(pixels, continuous_bernoulli_mean(true_y)) < 4
assert abs(fit(with_normaliser=False) - pixels.mean()) < 1e-6
assert abs(fit(with_normaliser=True) - true_y) < 0.01
print(
    f"checked: BCE settles at the mean, {pixels.mean():.2f}; the continuous Bernoulli at {fit(True):.2f}, the true parameter"
)

# %% [markdown]
# Neither reading is wrong in itself. It is wrong to report one under the name of the other. This book says for each number which data it belongs to.

# %% [markdown]
# ## 1.8 More samples: importance weighting, and the aggregate posterior
#
# ### Importance sampling
#
# By (1.8), $p_\theta(x) = \mathbb{E}_{q_\phi}[w]$ with $w = p_\theta(x, z)/q_\phi(z \mid x)$. So the average of $k$ weights is an unbiased estimate of $p_\theta(x)$:
#
# $$
# \hat p_k = \frac{1}{k} \sum_{i=1}^{k} w_i, \qquad \mathbb{E}[\hat p_k] = p_\theta(x), \qquad \mathcal{L}_k = \mathbb{E}[\log \hat p_k]. \tag{1.44}
# $$
#
# $\mathcal{L}_k$ is the bound of the *importance weighted autoencoder* (IWAE; [Burda, Grosse & Salakhutdinov 2016](../book/bibliography.md)). $\mathcal{L}_1$ is the ELBO.
#
# *It is a lower bound*: by Jensen, $\mathbb{E}[\log \hat p_k] \le \log \mathbb{E}[\hat p_k] = \log p_\theta(x)$. So the unbiased estimate of $p_\theta(x)$ becomes, after the logarithm, an estimate that is biased *downward*.
#
# *It rises with $k$.* Take $k + 1$ weights. Leave out one, chosen at random: call $I$ the set of the $k$ that stay. On average over the choice, the mean of the subset is the mean of all, because each weight stays with the same chance: $\mathbb{E}_I[\frac{1}{k} \sum_{i \in I} w_i] = \frac{1}{k+1} \sum_{i=1}^{k+1} w_i$. Use that, then Jensen for the average over $I$, then the fact that each subset of $k$ weights is distributed like any other:
#
# $$
# \mathcal{L}_{k+1} = \mathbb{E} \left[ \log \mathbb{E}_I \left[ \frac{1}{k} \sum_{i \in I} w_i \right] \right] \ge \mathbb{E} \left[ \mathbb{E}_I \left[ \log \frac{1}{k} \sum_{i \in I} w_i \right] \right] = \mathcal{L}_k . \tag{1.45}
# $$
#
# *It converges, and how fast.* Let $\hat w = \hat p_k / p_\theta(x)$, with mean exactly 1. Since $\mathbb{E}[\hat w - 1] = 0$ you may add it for free:
#
# $$
# \log p_\theta(x) - \mathcal{L}_k = \mathbb{E}[-\log \hat w] = \mathbb{E}[\hat w - 1 - \log \hat w] . \tag{1.46}
# $$
#
# The function $t - 1 - \log t$ is never negative, zero at 1, and near 1 equal to $\frac{1}{2} (t - 1)^2$ up to third-order terms (its second derivative at 1 is 1). $\mathbb{E}[(\hat w - 1)^2]$ is the variance of a mean of $k$ independent terms. So for large $k$, when the weights have a finite variance (and are regular enough for the remainder to vanish faster than $1/k$),
#
# $$
# \log p_\theta(x) - \mathcal{L}_k \approx \frac{1}{2k} \mathrm{Var} \left( \frac{w}{p_\theta(x)} \right) . \tag{1.47}
# $$

# %% [markdown]
# **An exact variance.** In pPCA, $w / p_\theta(x) = p_\theta(z \mid x) / q(z)$. Take $q = \mathcal{N}(\nu, \Lambda^{-1})$ with the posterior's mean and a diagonal precision $\Lambda$. Then, with $t = z - \nu$,
#
# $$
# \mathbb{E}_q \left[ \left( \frac{p_\theta(z \mid x)}{q(z)} \right)^2 \right] = \int \frac{p_\theta(z \mid x)^2}{q(z)} dz = \frac{\det P}{(2\pi)^{J/2} \sqrt{\det \Lambda}} \int e^{-\frac{1}{2} t^\top (2P - \Lambda) t} dt = \frac{\det P}{\sqrt{\det \Lambda \det(2P - \Lambda)}} , \tag{1.48}
# $$
#
# *provided $2P - \Lambda$ is positive definite*. If it is not, the integral diverges and the weights have **infinite variance**. That happens when $q$ is too narrow in some direction, and it is not far-fetched: the best diagonal $q$ of section 1.2, $\Lambda = \mathrm{diag}(P)$, does it for our example. A good ELBO does not make a good importance sampler. We therefore widen $q$ by half: $\Lambda = \mathrm{diag}(P) / 1.5^2$.

# %%
Lambda = np.diag(np.diag(P)) / 1.5**2
second_moment = np.linalg.det(P) / math.sqrt(
    np.linalg.det(Lambda) * np.linalg.det(2 * P - Lambda)
)
weight_variance = second_moment - 1

# The referee: the same expectation under q by quadrature.
nodes, node_weights = gauss_hermite(J, 80)
z = nu + nodes / np.sqrt(np.diag(Lambda))
log_ratio = stats.multivariate_normal.logpdf(
    z, nu, np.linalg.inv(P)
) - stats.multivariate_normal.logpdf(z, nu, np.linalg.inv(Lambda))

assert abs(node_weights @ np.exp(2 * log_ratio) - second_moment) < 1e-8
assert np.linalg.eigvalsh(2 * P - Lambda).min() > 0
assert np.linalg.eigvalsh(2 * P - np.diag(np.diag(P))).min() < 0
print(
    "checked: the second moment by quadrature (below 1e-8); the best diagonal q has weights of infinite variance"
)

# %% [markdown]
# Now the bound itself. Each $k$ gets fresh samples. The last assert uses (1.46), which has little noise, to test the rate (1.47).

# %%
rng = np.random.default_rng(20)
ks = [1, 2, 5, 10, 50, 500]
L_k, L_k_error, gap_times_k = [], [], {}
for k in ks:
    repeats = 400_000 // k
    z = nu + rng.normal(size=(repeats * k, J)) / np.sqrt(np.diag(Lambda))
    log_q_z = stats.norm.logpdf(z, nu, 1 / np.sqrt(np.diag(Lambda))).sum(axis=1)
    log_w = stats.norm.logpdf(z).sum(axis=1) + log_likelihood(x, z, W, m, s) - log_q_z
    log_p_hat = logsumexp(log_w.reshape(repeats, k), axis=1) - math.log(k)
    L_k.append(log_p_hat.mean())
    L_k_error.append(log_p_hat.std(ddof=1) / math.sqrt(repeats))
    gap_times_k[k] = k * (
        np.expm1(log_p_hat - log_px) - (log_p_hat - log_px)
    )  # samples of k times (1.46)

elbo_of_q = elbo_exact(x, W, m, s, nu, np.linalg.inv(Lambda))
assert abs(L_k[0] - elbo_of_q) < 4 * L_k_error[0]
assert np.all(np.diff(L_k) > 0)
assert all(
    bound < log_px - 4 * error
    for bound, error in zip(L_k[:5], L_k_error[:5], strict=True)
)
assert abs(L_k[-1] - log_px) < 4 * L_k_error[-1] + weight_variance / (2 * 500)
assert (
    errors_off(gap_times_k[500], weight_variance / 2) < 4
    and errors_off(gap_times_k[1], weight_variance / 2) > 20
)
print(
    "checked: L_1 is the ELBO, L_k rises, stays below log p(x) and approaches it at the rate (1.47), within 4 standard errors"
)

# %% mystnb={"image": {"alt": "The importance-weighted bound against the number of samples k on a logarithmic axis, in nats. It starts at the exact ELBO for k = 1, about 0.8 nats too low, rises monotonically, and lies on the exact log p(x) within a hundredth of a nat from k = 50 on."}}
fig, ax = plt.subplots()
ax.axhline(log_px, color=ORANGE, linestyle="--", label="exact log p(x)")
ax.axhline(elbo_of_q, color=GREEN, linestyle=":", label="exact ELBO of this q")
ax.errorbar(
    ks,
    L_k,
    yerr=2 * np.array(L_k_error),
    fmt="o-",
    color=BLUE,
    capsize=3,
    label="importance-weighted bound, ± 2 standard errors",
)
ax.set(
    xscale="log", xlabel="samples k", ylabel="nats", title="The bound tightens with k"
)
ax.legend(loc="center right")
plt.show()

# %% [markdown]
# With $k = 1$ you pay the full KL. With fifty samples almost nothing is left. This is how log-likelihoods of VAEs are reported, usually with thousands of samples.
#
# Two practical points.
#
# - *Add in the log domain.* The weights of an image are of the size $e^{-100}$ and smaller; $e^{-1000}$ is zero even in double precision. Use $\log \sum_i e^{a_i} = a_{\max} + \log \sum_i e^{a_i - a_{\max}}$.
# - *The gradient weighs samples by their weights.* $\nabla \log \frac{1}{k} \sum_i w_i = \sum_i \tilde w_i \nabla \log w_i$ with $\tilde w_i = w_i / \sum_l w_l$, the softmax of the **log-weights**. A popular collection of VAEs takes the softmax of the *losses*, with the opposite sign, and so listens most to the worst samples.

# %%
a = tf.Variable([-1003.0, -1000.0, -1001.0], dtype=tf.float64)
with tf.GradientTape() as tape:
    log_mean = tf.reduce_logsumexp(a) - math.log(3)
gradient = tape.gradient(log_mean, a).numpy()
by_hand = -1000 + math.log((math.exp(-3) + 1 + math.exp(-1)) / 3)

assert math.exp(-1000) == 0.0
assert abs(log_mean.numpy() - by_hand) < 1e-10
assert (
    np.max(np.abs(gradient - np.exp(a.numpy() + 1000) / np.exp(a.numpy() + 1000).sum()))
    < 1e-10
)
assert gradient.argmax() == 1  # the best sample gets the largest weight
print(
    "checked: log-sum-exp survives where exp underflows; the gradient is the softmax of the log-weights (below 1e-10)"
)

# %% [markdown]
# > **Note.** A tighter bound is not always a better training signal. As $k$ grows, the signal-to-noise ratio of the *encoder's* gradient falls ([Rainforth et al. 2018](../book/bibliography.md)).
#
# ### The aggregate posterior
#
# What does the KL term ask for, averaged over the data? Draw a data point, then its code: $x \sim p_{\text{data}}$, $z \sim q_\phi(z \mid x)$. The codes of all data together have the density
#
# $$
# q_\phi(z) = \mathbb{E}_{p_{\text{data}}(x)} \left[ q_\phi(z \mid x) \right], \tag{1.49}
# $$
#
# the **aggregate posterior** (the name is from [Makhzani et al. 2015](../book/bibliography.md)). Multiply and divide by it inside the KL:
#
# $$
# \begin{aligned}
# \mathbb{E}_{x} \left[ \mathrm{KL}(q_\phi(z \mid x) \Vert p(z)) \right]
# &= \mathbb{E}_{x, z} \left[ \log \frac{q_\phi(z \mid x)}{p(z)} \right] \\
# &= \mathbb{E}_{x, z} \left[ \log \frac{q_\phi(z \mid x)}{q_\phi(z)} \right] + \mathbb{E}_{x, z} \left[ \log \frac{q_\phi(z)}{p(z)} \right].
# \end{aligned}
# $$
#
# The first term is the **mutual information** $I(x; z)$ between data and code: how many nats the code tells you about the data point. In the second, nothing depends on $x$ any more, so only $z \sim q_\phi(z)$ is averaged: a KL. This is the identity of [Hoffman & Johnson 2016](../book/bibliography.md):
#
# $$
# \mathbb{E}_{x} \left[ \mathrm{KL}(q_\phi(z \mid x) \Vert p(z)) \right] = I(x; z) + \mathrm{KL}(q_\phi(z) \Vert p(z)). \tag{1.50}
# $$
#
# Both terms are at least zero: the first is itself an average of KLs, $I(x; z) = \mathbb{E}_x[\mathrm{KL}(q_\phi(z \mid x) \Vert q_\phi(z))]$. The second is what you want small if samples from the prior are to look like data. The first is what makes codes useful, and the KL penalises it all the same. With $N$ data points $I \le \log N$, because $q_\phi(z) \ge \frac{1}{N} q_\phi(z \mid x^{(i)})$ and so no logarithm in the first term exceeds $\log N$: a code cannot do more than name the data point.
#
# The check: five data points with Gaussian posteriors in one dimension. Left side by (1.35), right side by quadrature over the mixture.

# %%
mus, sigmas = np.array([-1.8, -0.6, 0.1, 0.9, 2.0]), np.array([0.3, 0.5, 0.2, 0.4, 0.3])
left_side = -np.mean(
    [
        minus_kl(np.array([mu]), np.array([2 * math.log(sigma)]))
        for mu, sigma in zip(mus, sigmas, strict=True)
    ]
)


def aggregate(z: float) -> float:
    """q(z), the average of the five posteriors, equation (1.49)."""
    return stats.norm.pdf(z, mus, sigmas).mean()


def information_integrand(z: float) -> float:
    """The integrand of I(x; z): mean over data points of q(z | x) log(q(z | x) / q(z))."""
    log_conditional = stats.norm.logpdf(z, mus, sigmas)
    return np.mean(np.exp(log_conditional) * (log_conditional - math.log(aggregate(z))))


options = {"points": list(mus), "epsabs": 1e-11, "limit": 400}
information = integrate.quad(information_integrand, -5, 5, **options)[0]
kl_aggregate = integrate.quad(
    lambda z: aggregate(z) * (math.log(aggregate(z)) - stats.norm.logpdf(z)),
    -5,
    5,
    **options,
)[0]

assert abs(left_side - (information + kl_aggregate)) < 1e-7
assert 0 < information < math.log(5) and kl_aggregate > 0
print(
    f"checked: average KL = I + KL(aggregate) (below 1e-7): {left_side:.3f} = {information:.3f} + {kl_aggregate:.3f} nats"
)

# %% [markdown]
# Most of the KL here is information. Its ceiling is $\log 5 \approx 1.609$ nats; the five posteriors overlap a little, so it stays below. In pPCA, with the exact posterior and with data drawn from the model itself, the aggregate posterior *is* the prior: $\int p(x) p(z \mid x) dx = p(z)$. Then the average KL is all mutual information, which is $\frac{1}{2} \log \det P$ (the entropy of $z$, minus that of $z$ given $x$, by (1.13)).

# %%
C = W @ W.T + s**2 * np.eye(D)
gain = np.linalg.inv(P) @ W.T / s**2  # the posterior mean is gain @ (x - m)
covariance_of_codes = gain @ C @ gain.T + np.linalg.inv(
    P
)  # spread of the means + posterior covariance
trace_term = np.trace(np.linalg.inv(P)) + np.trace(gain @ C @ gain.T)
average_kl = 0.5 * (
    trace_term - J + np.linalg.slogdet(P)[1]
)  # (1.14) to the prior, averaged over x

assert np.max(np.abs(covariance_of_codes - np.eye(J))) < 1e-10
assert abs(average_kl - 0.5 * np.linalg.slogdet(P)[1]) < 1e-10
print(
    "checked: in pPCA the aggregate posterior is the prior, and the average KL is the mutual information (below 1e-10)"
)

# %% [markdown]
# So a KL of zero is not the goal: it would mean that the code says nothing about the image.

# %% [markdown]
# ## 1.9 Where it comes from, and what stands beside it
#
# **Wake-sleep** ([Hinton et al. 1995](../book/bibliography.md)) is the closest ancestor: a generative network and a recognition network, trained side by side. The *wake* phase fits the generator to codes drawn from the recognition network, as a VAE does. The *sleep* phase fits the recognition network to "dreams": draw $z$ and $x$ from the model and make $q$ predict $z$. That minimises $\mathrm{KL}(p_\theta(z \mid x) \Vert q_\phi(z \mid x))$, the KL with its arguments swapped, on the model's own data. So the two phases do not optimise one common objective, and no bound is guaranteed to rise. In exchange it works for discrete codes, without any reparameterisation.
#
# What does swapping do? Fit a diagonal Gaussian to $\mathcal{N}(\nu, P^{-1})$ by the swapped KL. Only $-\mathbb{E}_p[\log q] = \sum_j \frac{1}{2} (\log 2\pi\sigma_j^2 + \mathbb{E}_p[(z_j - \mu_j)^2] / \sigma_j^2)$ depends on $q$. It is least at $\mu_j = \nu_j$ and $\sigma_j^2 = (P^{-1})_{jj}$: the true marginal variance, against the VAE's $1/P_{jj}$, which is smaller.

# %%
S = np.linalg.inv(P)
found = optimize.minimize(
    lambda log_v: kl_gaussians(nu, S, nu, np.diag(np.exp(-log_v))),
    np.zeros(J),
    tol=1e-12,
)
sleep_variances = np.exp(found.x)

assert np.max(np.abs(sleep_variances - np.diag(S))) < 1e-5
assert np.all(sleep_variances > 1.5 / np.diag(P))
print(
    "checked: the swapped KL picks the marginal variances (below 1e-5), here over 1.5 times the VAE's"
)

# %% [markdown]
# **Stochastic variational inference** (SVI; [Hoffman et al. 2013](../book/bibliography.md)) brought minibatches to variational Bayes, with the same factor $N/M$. It is built for models whose conditionals are conjugate exponential families: each posterior conditional stays in a known family, such as the Gaussians. There the expectations of section 1.1 have closed forms, and the updates are natural gradients. Each data point keeps its own variational parameters, refitted in an inner loop. The VAE needs no conjugacy, and replaces the inner loop by an encoder.
#
# **Probabilistic PCA** ([Tipping & Bishop 1999](../book/bibliography.md); [Roweis 1998](../book/bibliography.md)) is the VAE with a linear decoder and the exact posterior, as you have used it throughout. Ordinary PCA is its limit for vanishing noise: as $s \to 0$, the posterior covariance $P^{-1}$ goes to zero, $\nu$ goes to $(W^\top W)^{-1} W^\top (x - m)$, and the reconstruction $m + W \nu$ becomes the orthogonal projection of $x$ onto the plane through $m$ along the columns of $W$. A *linear autoencoder* with squared error finds the same subspace ([Baldi & Hornik 1989](../book/bibliography.md)).

# %%
projection = W @ np.linalg.solve(W.T @ W, W.T)
distance = []
for noise in (0.1, 0.01, 0.001):
    nu_small, P_small = posterior(x, W, m, noise)
    distance.append(np.linalg.norm(W @ nu_small - projection @ (x - m)))

assert distance[2] < 1e-5 and np.linalg.inv(P_small).max() < 1e-5
assert 80 < distance[0] / distance[1] < 120 and 80 < distance[1] / distance[2] < 120
print(
    "checked: the pPCA reconstruction tends to the PCA projection, with a distance that falls like the noise variance"
)

# %% [markdown]
# **Sparse autoencoders** ask for codes in which most entries are zero, by a penalty on the code ([Ranzato et al. 2006](../book/bibliography.md)); *sparse coding* ([Olshausen & Field 1996](../book/bibliography.md)) infers such a code by optimisation for each image. The penalty plays the part of a $-\log p(z)$ with a peak at zero, but the code is a single point: the entropy of $q$ is missing, so there is no bound on $\log p(x)$, and the weight of the penalty must be tuned.
#
# **Predictive sparse decomposition** (PSD; [Kavukcuoglu, Ranzato & LeCun 2008](../book/bibliography.md)) trains an encoder to *predict* the optimal sparse code. This is amortised inference, as in the VAE and with the same gain in speed. The difference is again that it predicts a point, with a squared error, not a distribution.
#
# **Denoising autoencoders** ([Vincent et al. 2008](../book/bibliography.md), [2010](../book/bibliography.md)) corrupt the input and reconstruct the clean image. Noise enters at the *data*, in the VAE at the *code*. What such a network learns is not a density but its slope. For Gaussian noise of variance $\tau^2$ the best reconstruction is $\mathbb{E}[x \mid \tilde x] = \tilde x + \tau^2 \nabla \log p(\tilde x)$, where $p(\tilde x)$ is the density of noisy data (compare [Alain & Bengio 2014](../book/bibliography.md)). *Proof:* $p(\tilde x) = \int p(x) \mathcal{N}(\tilde x; x, \tau^2 I) dx$, and the gradient of the Gaussian in $\tilde x$ is $\frac{x - \tilde x}{\tau^2}$ times itself. So $\nabla p(\tilde x) = \frac{1}{\tau^2} (\mathbb{E}[x \mid \tilde x] - \tilde x) p(\tilde x)$. Divide by $p(\tilde x)$. ∎ In pPCA both sides can be computed.

# %%
tau = 0.5
C = W @ W.T + s**2 * np.eye(D)  # covariance of clean data
noisy = x + tau * np.random.default_rng(21).normal(size=D)
best_reconstruction = m + C @ np.linalg.solve(
    C + tau**2 * np.eye(D), noisy - m
)  # E[x | noisy], jointly Gaussian


def log_noisy_density(point: np.ndarray) -> float:
    """log p of a noisy data point: the noise adds tau^2 to every variance."""
    return log_marginal(point, W, m, math.sqrt(s**2 + tau**2))


steps = 1e-5 * np.eye(D)
slope = (
    np.array(
        [log_noisy_density(noisy + e) - log_noisy_density(noisy - e) for e in steps]
    )
    / 2e-5
)
assert np.max(np.abs(best_reconstruction - (noisy + tau**2 * slope))) < 1e-7
print(
    "checked: the best denoiser moves the noisy point by tau^2 times the slope of the log density (below 1e-7)"
)

# %% [markdown]
# **Contractive autoencoders** ([Rifai et al. 2011](../book/bibliography.md)) add to the reconstruction error the squared derivative of the encoder, $\lVert \partial f / \partial x \rVert_F^2$, the sum of its squared entries. The code then changes only along directions in which data vary. It is a deterministic cousin of denoising. Where the VAE pays for a precise code through its KL term, the contractive penalty pays for a sensitive one. There is no prior on the code and no density of the data. A review of this family is [Bengio, Courville & Vincent 2013](../book/bibliography.md).
#
# The tie to denoising can be made exact for a linear reconstruction $R(x) = K x$ and noise of variance $\tau^2$: the cross term averages to zero, so $\mathbb{E} \lVert x - K(x + \tau\varepsilon) \rVert^2 = \lVert x - K x \rVert^2 + \tau^2 \lVert K \rVert_F^2$. Denoising *is* then a penalty on the derivative.

# %%
K = np.random.default_rng(22).normal(size=(D, D)) * 0.4
noise = np.random.default_rng(23).normal(size=(200_000, D))
denoising_errors = np.sum((x - (x + tau * noise) @ K.T) ** 2, axis=1)
with_penalty = np.sum((x - K @ x) ** 2) + tau**2 * np.sum(K**2)

assert errors_off(denoising_errors, with_penalty) < 4
assert errors_off(denoising_errors, np.sum((x - K @ x) ** 2)) > 100
print(
    "checked: expected denoising error = plain error + tau^2 times the squared derivative (within 4 standard errors)"
)

# %% [markdown]
# **Generative stochastic networks** (GSN; [Bengio et al. 2014](../book/bibliography.md)) turn denoising into a sampler. They learn one step of a Markov chain (corrupt, then reconstruct at random) whose long-run distribution is that of the data. To draw an image you run the chain for many steps. A VAE draws the code and decodes it once. The GSN learns no explicit $p_\theta(x)$; the VAE learns a bound on one.
#
# | Model | Objective | Code | New image |
# |---|---|---|---|
# | VAE | one bound on $\log p_\theta(x)$ | distribution, amortised | one pass |
# | wake-sleep | two, no common bound | distribution, amortised | one pass |
# | SVI | one bound | distribution, per data point | one pass |
# | pPCA | exact $\log p_\theta(x)$ | exact posterior | one pass |
# | sparse coding, PSD | error + penalty | point (PSD: amortised) | none by itself |
# | denoising, contractive | error with noise, or + penalty | point, amortised | none by itself |
# | GSN | denoising likelihood | state of a chain | many steps |

# %% [markdown]
# ## 1.10 Three pictures to keep
#
# ### The bound touches log p(x)
#
# Left: the encoder's view. $\theta$ is fixed, so $\log p_\theta(x)$ is a horizontal line; $q$ moves. Right: the decoder's view. $\log p_\theta(x)$ is a curve in $\theta$ (here the factor $a$ that multiplies $W$). For each of three fixed $q$, the bound is a curve below it that touches it in one point, with the same slope, (1.17).

# %%
shifts, factors = np.linspace(-1.2, 1.2, 121), np.linspace(0.2, 2.5, 120)
direction = np.array([1.0, 0.0])
full = [elbo_exact(x, W, m, s, nu + t * direction, np.linalg.inv(P)) for t in shifts]
diagonal = [
    elbo_exact(x, W, m, s, nu + t * direction, np.diag(1 / np.diag(P))) for t in shifts
]
curve = np.array([log_marginal(x, a * W, m, s) for a in factors])
touching = {}
for a0 in (0.4, 0.9, 1.8):
    nu_a, P_a = posterior(x, a0 * W, m, s)
    touching[a0] = np.array(
        [elbo_exact(x, a * W, m, s, nu_a, np.linalg.inv(P_a)) for a in factors]
    )
    at_a0 = elbo_exact(x, a0 * W, m, s, nu_a, np.linalg.inv(P_a))
    assert abs(at_a0 - log_marginal(x, a0 * W, m, s)) < 1e-10 and np.all(
        touching[a0] <= curve
    )
assert (
    abs(max(full) - log_px) < 1e-10
    and abs(log_px - max(diagonal) - gap_formula) < 1e-10
)
print(
    "checked: every bound touches where it should (below 1e-10) and lies below everywhere else"
)

# %% mystnb={"image": {"alt": "Two panels, values in nats. Left: against the shift of the mean of q, log p(x) is a horizontal line; the ELBO with the posterior's full covariance is a downward parabola touching it at shift zero, and the ELBO with the best diagonal covariance is the same parabola 0.35 nats lower. Right: against the decoder factor a, log p(x) is a curve with three bounds below it, each touching it in one marked point with the same slope."}}
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
left.axhline(log_px, color="black", label="log p(x)")
left.plot(shifts, full, color=BLUE, label="ELBO, covariance of the posterior")
left.plot(shifts, diagonal, color=ORANGE, label="ELBO, best diagonal covariance")
left.annotate(
    "",
    (0, log_px),
    (0, log_px - gap_formula),
    arrowprops={"arrowstyle": "<->", "color": GREEN},
)
left.text(0.5, log_px - 0.35, "← gap (1.16)", color=GREEN, fontsize=9)
left.set(
    xlabel="shift of the mean of q from the posterior mean",
    ylabel="nats",
    title="Moving q",
    ylim=(log_px - 5.2, log_px + 0.3),
)
left.legend(fontsize=9, loc="lower center")
right.plot(factors, curve, color="black", label="log p(x)")
for colour, (a0, bound) in zip((BLUE, GREEN, PINK), touching.items(), strict=True):
    right.plot(factors, bound, color=colour, label=f"ELBO, q = posterior at a = {a0}")
    right.plot(a0, log_marginal(x, a0 * W, m, s), "o", color=colour)
right.set(
    xlabel="decoder parameter a",
    title="Moving θ",
    ylim=(curve.max() - 4, curve.max() + 2),
)
right.legend(fontsize=9, loc="upper right")
plt.show()

# %% [markdown]
# Each update of a VAE takes a small step in both panels at once. Moving $\phi$ closes the gap. Moving $\theta$ climbs the bound.
#
# ### The computation graph before and after the trick
#
# Square boxes are computed, round ones are drawn at random. A gradient can flow backwards through computation only.


# %%
def box(ax, position, text, random=False, colour="black"):
    """A computed node (square) or a random one (round) at position."""
    style = "circle,pad=0.45" if random else "round,pad=0.35,rounding_size=0.02"
    face = "#FFF3D6" if random else "#E3F0F9"
    ax.text(
        *position,
        text,
        ha="center",
        va="center",
        fontsize=12,
        zorder=3,
        bbox={
            "boxstyle": style,
            "facecolor": face,
            "edgecolor": colour,
            "linewidth": 1.4,
        },
    )


def arrow(ax, start, end, colour="black", style="-", bend=0.0):
    """An arrow between two nodes, shortened so that it does not touch them."""
    ax.annotate(
        "",
        end,
        start,
        zorder=1,
        arrowprops={
            "arrowstyle": "-|>",
            "color": colour,
            "linestyle": style,
            "linewidth": 1.6,
            "shrinkA": 20,
            "shrinkB": 20,
            "connectionstyle": f"arc3,rad={bend}",
        },
    )


places = {
    "φ": (0, 0),
    "μ, σ": (0, 1.1),
    "z": (0, 2.2),
    "f(z)": (0, 3.3),
    "ε": (1.3, 1.65),
}

# %% mystnb={"image": {"alt": "Two computation graphs side by side, from the parameters phi at the bottom through mu and sigma to z and f of z at the top. Before the trick z is a round random node and the orange gradient arrow coming down from f stops above it. After the trick z is a square computed node fed by mu, sigma and by a separate random noise node epsilon, and the green gradient arrows run from f down to phi."}}
fig, axes = plt.subplots(1, 2, figsize=(7.5, 4.6))
for ax, after in zip(axes, (False, True), strict=True):
    for name in ("φ", "μ, σ", "f(z)"):
        box(ax, places[name], name)
    box(ax, places["z"], "z = μ + σε" if after else "z", random=not after)
    for start, end in (("φ", "μ, σ"), ("μ, σ", "z"), ("z", "f(z)")):
        arrow(ax, places[start], places[end])
    if after:
        box(ax, places["ε"], "ε", random=True)
        arrow(ax, places["ε"], places["z"])
        for start, end in (("f(z)", "z"), ("z", "μ, σ"), ("μ, σ", "φ")):
            arrow(ax, places[start], places[end], colour=GREEN, style="--", bend=0.5)
        ax.text(-1.35, 1.65, "gradient", color=GREEN, ha="center", va="center")
    else:
        arrow(ax, places["f(z)"], places["z"], colour=ORANGE, style="--", bend=0.5)
        ax.text(
            -1.2, 2.55, "gradient\nstops here", color=ORANGE, ha="center", va="center"
        )
    ax.set(
        xlim=(-2.1, 2.1),
        ylim=(-0.5, 3.8),
        title="after: noise is an input" if after else "before: z is drawn",
    )
    ax.axis("off")
plt.show()

# %% [markdown]
# On the right nothing random stands between $\phi$ and $f$. The noise comes in from the side. Section 1.4 ran both graphs: the tape returned `None` for the left one and the exact gradient for the right one.
#
# ### How a diagonal q fits a tilted posterior

# %%
angle = np.linspace(0, 2 * np.pi, 200)
circle = np.stack([np.cos(angle), np.sin(angle)])


def ellipse(centre: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """The curve at one standard deviation of N(centre, covariance), shape [2, 200]."""
    return centre[:, None] + np.linalg.cholesky(covariance) @ circle


rotated_covariance = np.linalg.inv(P_rotated)
assert np.max(np.abs(rotated_covariance - np.diag(np.diag(rotated_covariance)))) < 1e-10
quadratic = ellipse(nu, np.linalg.inv(P)) - nu[:, None]
assert np.max(np.abs(np.sum(quadratic * (P @ quadratic), axis=0) - 1)) < 1e-10
# The swapped q has the variances of the posterior, so its ellipse has the same width and height (on 200 points).
assert np.max(np.abs(quadratic.max(axis=1) - np.sqrt(np.diag(np.linalg.inv(P))))) < 1e-3
print(
    "checked: the ellipse is the posterior's one-standard-deviation curve, and the rotated one has no tilt (below 1e-10);\n"
    "the swapped q is as wide and as high as the posterior (below 1e-3)"
)

# %% mystnb={"image": {"alt": "Two panels in the plane of the two latent codes, ellipses at one standard deviation. Left: the tilted posterior; the small upright ellipse of the best diagonal q, far shorter than the posterior along its long direction and slightly outside it across; and the larger upright ellipse of the swapped KL, as wide and as high as the posterior. Right: after rotating the latent axes the posterior is upright and the best diagonal q coincides with it."}}
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 4))
left.plot(*ellipse(nu, np.linalg.inv(P)), color="black", label="posterior")
left.plot(
    *ellipse(nu, np.diag(1 / np.diag(P))), color=BLUE, label="best diagonal q, KL(q‖p)"
)
left.plot(
    *ellipse(nu, np.diag(np.diag(np.linalg.inv(P)))),
    color=ORANGE,
    linestyle="--",
    label="swapped, KL(p‖q)",
)
left.set(xlabel="$z_1$", ylabel="$z_2$", title=f"tilted: gap {gap_formula:.2f} nats")
left.set_xlim(nu[0] - 1.1, nu[0] + 1.1)
left.set_ylim(nu[1] - 1.0, nu[1] + 1.6)
right.plot(
    *ellipse(nu_rotated, rotated_covariance),
    color="black",
    linewidth=4,
    alpha=0.4,
    label="posterior",
)
right.plot(
    *ellipse(nu_rotated, np.diag(1 / np.diag(P_rotated))),
    color=BLUE,
    label="best diagonal q, KL(q‖p)",
)
right.set(
    xlabel="$z_1$, rotated",
    ylabel="$z_2$, rotated",
    title="same model, rotated: no gap",
)
right.set_xlim(nu_rotated[0] - 1.1, nu_rotated[0] + 1.1)
right.set_ylim(nu_rotated[1] - 1.0, nu_rotated[1] + 1.6)
for ax in (left, right):
    ax.set_aspect("equal")
    ax.legend(fontsize=9, loc="upper right")
plt.show()

# %% [markdown]
# Left: the diagonal $q$ of a VAE cuts the posterior's curve on the two axes through the centre. It is much too short along the long direction and a little too wide across it. The swapped KL of wake-sleep gives an ellipse that is exactly as wide and as high as the posterior. Right: with rotated axes there is nothing left to lose.

# %% [markdown]
# ## What we measured
#
# | Question | Published statement | On this page |
# |---|---|---|
# | gap of the best diagonal $q$ in pPCA | not in the paper | $\frac{1}{2}(\sum_j \log P_{jj} - \log \det P)$, 0.350 nats here; zero after a rotation |
# | variance of the score-function gradient | "very high" (paper, section 2.2) | 4108 times the pathwise gradient's at $J = 100$; 76 times with the best constant baseline |
# | samples per data point | one, "as long as the minibatch size M was large enough, e.g. M = 100" (paper, section 2.3) | at a fixed budget $L = 1$ is never worse; here $L = 100$, $M = 1$ has 61 times its variance |
# | is SGVB-B less noisy than A? | "typically" (paper, section 2.3) | not always: at the exact posterior A has no variance in its value; for the gradient it depends on the parameter |
# | Erlang by the inverse CDF | listed (paper, section 2.4) | no elementary inverse: a sum of exponentials |
# | gamma as a sum of exponentials | listed (paper, section 2.4) | integer shapes only; a learned shape needs implicit gradients |
# | Dirichlet as a "weighted sum of Gamma variates" | listed (paper, section 2.4) | gammas divided by their sum |
# | AEVB on pPCA | not in the paper | reaches the closed-form maximum likelihood to within 0.01 nats |
# | BCE on grey levels is a log-likelihood | common in tutorials | lacks at least $\log 2$ nats per pixel; it is a bound for dynamically binarised data |
# | importance-weighted bound | rises with $k$ (Burda et al. 2016) | from 0.79 nats too low at $k = 1$ to below 0.01 at $k = 50$; the gap falls like $0.38/k$ |
#
# The cell recomputes the numbers of the table that no cell has printed yet.

# %%
assert round(gap_formula, 3) == 0.350
assert round(score_variance(100, 0.5, 0.0) / 4) == 4108
assert round(score_variance(100, 0.5, baselines(100, 0.5)["best"]) / 4) == 76
assert round(predicted[-1] / predicted[0]) == 61
assert round(log_px - elbo_of_q, 2) == 0.79
assert round(weight_variance / 2, 2) == 0.38 and weight_variance / (2 * 50) < 0.01
print("checked: the numbers of the table")

# %% tags=["nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - what a VAE assumes, what it knows and what it does not, and three integrals that stand in the way, done by quadrature at a price exponential in $J$;
# - the ELBO derived in two ways, and its gap computed exactly in probabilistic PCA;
# - the score-function gradient, and a variance that grows with $J$, squared without a baseline;
# - the proof of the reparameterisation trick, its three families, and the implicit form for the rest;
# - the two estimators of the ELBO, the minibatch factor, and why one sample per data point is enough;
# - the KL term, and what Bernoulli, Gaussian and continuous Bernoulli decoders say about the data;
# - the importance-weighted bound, the aggregate posterior, and what stands beside the VAE.
#
# Left out on purpose: the variational treatment of $\theta$ itself (appendix F of the paper), and its Markov-chain estimator of $\log p_\theta(x)$ (appendix D).

# %% [markdown]
# ## Exercises
#
# Work them out on paper first. The last cells compute every number in the solutions.
#
# **1. A KL by hand.** What is $\mathrm{KL}(q \Vert p)$ for $q = \mathcal{N}(1, 0.5^2)$ and $p = \mathcal{N}(0, 1)$? And with the two swapped?
#
# <details>
# <summary>Solution</summary>
#
# By (1.35), $\mathrm{KL}(q \Vert p) = \frac{1}{2} (1^2 + 0.25 - 1 - \log 0.25) = \frac{1}{2} (0.25 + 1.3863) = 0.8181$ nats.
#
# By (1.34) with $\mu_1 = 0$, $\sigma_1 = 1$, $\mu_2 = 1$, $\sigma_2 = 0.5$: $\log 0.5 + \frac{1 + 1}{0.5} - 0.5 = -0.6931 + 4 - 0.5 = 2.8069$ nats. The swapped KL is larger: $p$ puts mass where $q$ has almost none.
#
# </details>
#
# **2. A gap by hand.** A posterior has the precision matrix with 5 on the diagonal and 3 off it ($J = 2$). What is the gap of the best diagonal $q$? What variances does that $q$ have, and what are the posterior's own marginal variances?
#
# <details>
# <summary>Solution</summary>
#
# By (1.16) the gap is $\frac{1}{2} (\log 25 - \log 16) = \log \frac{5}{4} = 0.2231$ nats. The best $q$ has variances $\frac{1}{5} = 0.2$. The inverse of the matrix has $\frac{5}{16} = 0.3125$ on its diagonal: the variance of $q$ is too small by 36 per cent.
#
# </details>
#
# **3. Score function against path.** In the test bench of section 1.3, with $\mu = 1$ and $J = 10$, what are the variances of one gradient entry with no baseline, the mean baseline, the best constant baseline, and by the pathwise gradient?
#
# <details>
# <summary>Solution</summary>
#
# In (1.19), $\mu^4 + 14\mu^2 + 15 = 30$ and $(J - 1)(4\mu^2 + 2) = 54$. Without a baseline $\kappa = 18$: $30 + 144 + 324 + 54 = 552$. With the mean baseline $\kappa = -2$: $30 - 16 + 4 + 54 = 72$. With the best, $\kappa = -4$: $30 - 32 + 16 + 54 = 68$. Pathwise: 4.
#
# </details>
#
# **4. A new inverse CDF.** The Kumaraswamy distribution on $(0, 1)$ has the CDF $F(z) = 1 - (1 - z^a)^b$. Find $g$, and the median for $a = 2$, $b = 3$.
#
# <details>
# <summary>Solution</summary>
#
# Solve $u = 1 - (1 - z^a)^b$: $1 - z^a = (1 - u)^{1/b}$, so $g(u) = (1 - (1 - u)^{1/b})^{1/a}$. It is differentiable in both shape parameters, which makes it a handy stand-in for the beta distribution. Median: $\sqrt{1 - 0.5^{1/3}} = 0.4542$.
#
# </details>
#
# **5. When L = 2 pays.** $V_x = 9$ and $V_\varepsilon = 4$. (a) At $L M = 100$, compare $L = 1$, 10 and 100. (b) Now loading and encoding a data point costs as much as 5 decoder passes, so a step costs $M (5 + L)$, and the budget is 600. Which $L$ is best?
#
# <details>
# <summary>Solution</summary>
#
# (a) By (1.33): $0.09 + 0.04 = 0.13$; $0.9 + 0.04 = 0.94$; $9 + 0.04 = 9.04$.
#
# (b) $M = 600/(5 + L)$, so the variance is $\frac{5 + L}{600} (9 + \frac{4}{L}) = \frac{1}{600} (49 + 9 L + \frac{20}{L})$. Its minimum over real $L$ is at $L = \sqrt{20/9} \approx 1.49$. $L = 1$ gives $78/600 = 0.1300$, $L = 2$ gives $77/600 = 0.1283$. So $L = 2$ wins, by one per cent. In general $L \approx \sqrt{c V_\varepsilon / V_x}$ for a cost of $c$ passes per data point.
#
# </details>
#
# **6. The continuous Bernoulli, reparameterised.** Find its inverse CDF. What are $\log C(0.9)$ and the mean at $y = 0.9$?
#
# <details>
# <summary>Solution</summary>
#
# With $r = y/(1 - y)$ the density is proportional to $r^x$, so $F(t) = \frac{r^t - 1}{r - 1}$ and $g(u) = \frac{\log(1 + u (r - 1))}{\log r}$: differentiable in $y$, so it may even serve as $q$. At $y = 0.9$, $r = 9$: $\log C = \log \frac{\log 9}{0.8} = \log 2.7465 = 1.0103$ nats, and the mean is $\frac{0.9}{0.8} - \frac{1}{\log 9} = 1.125 - 0.4551 = 0.6699$.
#
# </details>
#
# **7. The hidden variance.** A program minimises the squared error *averaged* over 784 pixels, plus the KL. Which Gaussian decoder is that? What does it mean for pixels between 0 and 1?
#
# <details>
# <summary>Solution</summary>
#
# Compare $\frac{1}{784} \lVert x - \mu \rVert^2$ with $\frac{1}{2\sigma^2} \lVert x - \mu \rVert^2$: $\sigma^2 = 392$, $\sigma = 19.8$. The model believes that pixels carry noise of twenty times their range. The mean image already has an average squared error of at most $\frac{1}{4}$, the largest variance of a number between 0 and 1. So the code can win at most $\frac{1}{4}$ nat by a better reconstruction, and it cannot pay for more KL than that: the codes are all but ignored.
#
# </details>
#
# **8. Two weights.** The importance weight $w$ takes the values 1 and 3 with equal probability. Compute $\mathcal{L}_1$, $\mathcal{L}_2$ and $\log p(x)$.
#
# <details>
# <summary>Solution</summary>
#
# $\mathcal{L}_1 = \frac{1}{2} \log 3 = 0.5493$. For two weights the mean is 1, 2, 3 with probabilities ¼, ½, ¼: $\mathcal{L}_2 = \frac{1}{2} \log 2 + \frac{1}{4} \log 3 = 0.6212$. $\log p(x) = \log 2 = 0.6931$. They rise, as (1.45) says.
#
# </details>
#
# **9. Too much KL.** On a training set of 60,000 images the average KL to the prior is 25 nats. What is the least that $\mathrm{KL}(q_\phi(z) \Vert p(z))$ can be? What does that say about samples from the prior?
#
# <details>
# <summary>Solution</summary>
#
# In (1.50), $I(x; z) \le \log 60000 = 11.00$ nats. So $\mathrm{KL}(q_\phi(z) \Vert p(z)) \ge 25 - 11.00 = 14.00$ nats: the codes of the training images do not fill the prior. Most draws from the prior fall where the decoder was never trained.
#
# (This counts the training set as the data distribution. Nearby images in the true distribution may share those codes.)
#
# </details>
#
# **10. A bound that is not.** Let $q = \mathcal{N}(0, \sigma^2)$, one dimension. For which $\sigma$ is the "KL" with $(\log \sigma)^2$ in place of $\log \sigma^2$ below zero?
#
# <details>
# <summary>Solution</summary>
#
# The wrong expression is $-\frac{1}{2} (1 + (\log \sigma)^2 - \sigma^2)$. It is negative where $\sigma^2 \lt 1 + (\log \sigma)^2$. At $\sigma = 1$ both sides are 1. For $\sigma \lt 1$ the left side is below 1 and the right above: negative for all of them. For $\sigma \gt 1$, $\sigma^2 - 1 = e^{2t} - 1 \ge 2t + 2t^2 > t^2$ with $t = \log \sigma > 0$: positive. So it is negative exactly for $\sigma \lt 1$, the range in which a trained encoder works, and it falls without bound as $\sigma \to 0$.
#
# </details>

# %% [markdown]
# ### The numbers in the solutions, computed


# %%
def kl_1d(mu_1, sigma_1, mu_2, sigma_2) -> float:
    """KL between two one-dimensional Gaussians by quadrature, in nats: no closed form used."""
    q, r = stats.norm(mu_1, sigma_1), stats.norm(mu_2, sigma_2)
    return integrate.quad(
        lambda z: q.pdf(z) * (q.logpdf(z) - r.logpdf(z)),
        mu_1 - 12 * sigma_1,
        mu_1 + 12 * sigma_1,
    )[0]


precision = np.array([[5.0, 3.0], [3.0, 5.0]])
best_gap = optimize.minimize(
    lambda log_v: kl_gaussians(
        np.zeros(2), np.diag(np.exp(log_v)), np.zeros(2), precision
    ),
    np.zeros(2),
    tol=1e-10,
)

assert (
    abs(kl_1d(1, 0.5, 0, 1) - 0.8181) < 1e-4
    and abs(kl_1d(0, 1, 1, 0.5) - 2.8069) < 1e-4
)
assert (
    abs(best_gap.fun - 0.2231) < 1e-4
    and np.max(np.abs(np.exp(best_gap.x) - 0.2)) < 1e-4
)
assert np.max(np.abs(np.diag(np.linalg.inv(precision)) - 0.3125)) < 1e-10
assert [score_variance(10, 1.0, b) for b in baselines(10, 1.0).values()] == [
    552.0,
    72.0,
    68.0,
]
print("checked: exercises 1 to 3")

# %%
u = np.random.default_rng(24).random(20_000)
kumaraswamy = (1 - (1 - u) ** (1 / 3)) ** (1 / 2)
continuous_bernoulli = np.log(1 + u * 8) / math.log(9)  # r = 9
cost_of_L = {L: (5 + L) / 600 * (9 + 4 / L) for L in (1, 2, 3, 4)}

assert stats.kstest(kumaraswamy, lambda z: 1 - (1 - z**2) ** 3).pvalue > 0.01
assert abs(math.sqrt(1 - 0.5 ** (1 / 3)) - 0.4542) < 1e-4
assert [round(9 / (100 // L) + 4 / 100, 2) for L in (1, 10, 100)] == [0.13, 0.94, 9.04]
assert (
    min(cost_of_L, key=cost_of_L.get) == 2
    and round(cost_of_L[2], 4) == 0.1283
    and round(cost_of_L[1], 4) == 0.13
)
assert stats.kstest(continuous_bernoulli, lambda t: (9**t - 1) / 8).pvalue > 0.01
assert (
    abs(log_c(0.9) - 1.0103) < 1e-4
    and abs(continuous_bernoulli_mean(0.9) - 0.6699) < 1e-4
)
print("checked: exercises 4 to 6")

# %%
weights = np.array([1.0, 3.0])
L_1, L_2 = (
    np.log(weights).mean(),
    np.log([(a + b) / 2 for a in weights for b in weights]).mean(),
)
sigma = np.linspace(0.01, 5, 500)
wrong_kl = -0.5 * (1 + np.log(sigma) ** 2 - sigma**2)
error = np.random.default_rng(25).normal(
    size=784
)  # x - mean: the squared error term against the Gaussian's
gaussian = (
    stats.norm.logpdf(error, 0, math.sqrt(392)).sum()
    - stats.norm.logpdf(0 * error, 0, math.sqrt(392)).sum()
)

assert abs(gaussian + np.mean(error**2)) < 1e-9 and round(math.sqrt(392), 1) == 19.8
assert (
    abs(L_1 - 0.5493) < 1e-4
    and abs(L_2 - 0.6212) < 1e-4
    and abs(math.log(weights.mean()) - 0.6931) < 1e-4
)
assert round(math.log(60000), 2) == 11.00
assert np.all(wrong_kl[sigma < 0.999] < 0) and np.all(wrong_kl[sigma > 1.001] > 0)
print("checked: exercises 7 to 10")

# %% [markdown]
# ## What to read next
#
# - [Chapter 2](02_mlp_vae.ipynb) builds a first VAE on real images, with (1.28) as its objective.
# - [Chapter 4](04_sgvb_a_vs_b.ipynb) takes up sections 1.3 and 1.5: the variances of A, B and the path gradient, for any decoder, and measured during training.
# - [Kingma & Welling 2013](../book/bibliography.md), sections 2 and 3 and appendices B and C: you can now check every line of them.
# - [Mohamed et al. 2020](../book/bibliography.md) on Monte Carlo gradients in general, and [Jordan et al. 1999](../book/bibliography.md) on variational methods before the VAE.
