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
# **The log-likelihood is the ELBO plus a gap, and the gap is a KL divergence.** So the ELBO never lies above $\log p(x)$, and meets it where the encoder's $q$ is the true posterior. Writing the sample as $z = \mu + \sigma \varepsilon$ turns it into something that a gradient can climb.
#
# This chapter derives the variational autoencoder (VAE) from its two modelling assumptions, one step at a time.
# Each derivation is followed by a cell that computes both sides of the result and compares them to a stated tolerance.
# Where a formula is exact, the check is exact up to rounding. Where it is an average, the check is a Monte Carlo estimate (an average over
# random samples) with its standard error. Change a sign or a factor ½ in the code of a formula, and its check fails. Try it.
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
import subprocess
import sys

if "google.colab" in sys.modules and not os.path.exists("../vae_helpers"):
    fetch = f"""
    [ -d vae-book ] || git clone -q --depth=1 --branch=main https://github.com/vae-book/vae-book
    {sys.executable} -m pip install -q --no-deps ./vae-book
    """
    subprocess.run(["bash", "-ec", fetch], check=True)
    os.chdir("vae-book/notebooks")

# %% [markdown]
# The package `vae_helpers` belongs to this book. Here it loads TensorFlow quietly and sets the style of the figures. Its `vh.check`
# asserts a claim and prints it in one line, with a tick and both numbers. Every formula is written out where it is derived.

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
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PINK, YELLOW, SKY = "#CC79A7", "#E69F00", "#56B4E9"


# %%
def standard_error(samples: np.ndarray) -> float:
    """Standard error of the mean of independent samples."""
    return np.std(samples, ddof=1) / math.sqrt(np.size(samples))


# %% [markdown]
# Two conventions hold for the whole book.
#
# - Logarithms are natural, so log-probabilities and bounds are measured in **nats** (1 nat = 1/log 2 ≈ 1.44 bits).
# - $x$ and $z$ are vectors. $x_d$ and $z_j$ are their entries, $x^{(i)}$ is the $i$-th data point. $\mathbb{E}_q[f]$ is the
#   expectation $\int q(z) f(z) dz$.
#
# The helper `standard_error` is the yardstick for every Monte Carlo check. The mean of $n$ independent samples has the standard
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
# So training alone does not let you generate. To draw a new image you need a code, and the training never said how codes are
# distributed: you would have to fit a density to them afterwards. Worse, the code is not even determined: stretch or shear the code by any invertible matrix $A$, undo it in the decoder, and
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


# %% tags=["check"]
vh.check(
    "both codes give the same reconstructions",
    stretched_reconstruction,
    reconstruction,
    atol=1e-10,
)
vh.check(
    "under N(0, I) the stretched codes are over 100 nats less probable",
    mean_log_prior(stretched_code),
    mean_log_prior(code) - 100,
    relation="<",
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
    """Random weights of a decoder.

    z [latent_dim] -> tanh, HIDDEN units -> PIXELS logits.
    """
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
    """log p(x | z) in nats, shape [n].

    For one image x [PIXELS] and codes z [n, latent_dim].
    """
    hidden = np.tanh(z @ weights["A"] + weights["a"])
    logits = hidden @ weights["B"] + weights["b"]
    return (x * logits - np.logaddexp(0.0, logits)).sum(axis=-1)


# %% [markdown]
# The likelihood is a product of Bernoulli probabilities, one per pixel; section 1.7 derives the line that computes its logarithm.
#
# To integrate, use **Gauss–Hermite quadrature**. It replaces $\int \mathcal{N}(z; 0, 1) f(z) dz$ by a weighted sum $\sum_k w_k f(t_k)$
# over $n$ cleverly placed nodes. In $J$ dimensions it takes the product grid, with $n^J$ nodes.


# %%
def gauss_hermite(latent_dim: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for expectations under N(0, I).

    Shapes [n**latent_dim, latent_dim] and [n**latent_dim].
    """
    t, w = np.polynomial.hermite_e.hermegauss(n)
    w = w / math.sqrt(2 * math.pi)
    nodes = np.meshgrid(*[t] * latent_dim, indexing="ij")
    weights = np.meshgrid(*[w] * latent_dim, indexing="ij")
    nodes = np.stack(nodes, axis=-1).reshape(-1, latent_dim)
    weights = np.stack(weights, axis=-1).reshape(-1, latent_dim)
    return nodes, weights.prod(axis=1)


tiny = tiny_decoder(latent_dim=1)
nodes, node_weights = gauss_hermite(1, 80)
all_images = np.array(list(itertools.product([0.0, 1.0], repeat=PIXELS)))
p_by_hermite = np.array(
    [
        node_weights @ np.exp(tiny_log_likelihood(x, nodes, tiny))
        for x in all_images
    ]
)


# %%
def joint_density(z: float, x: np.ndarray) -> float:
    """p(x, z) of the tiny model, equation (1.1)."""
    log_likelihood = tiny_log_likelihood(x, np.array([[z]]), tiny)[0]
    return stats.norm.pdf(z) * np.exp(log_likelihood)


def integral(function, low: float, high: float, **options) -> float:
    """The integral of function, by adaptive quadrature."""
    options = {"epsabs": 1e-12, **options}
    return integrate.quad(function, low, high, **options)[0]


p_by_quad = np.array(
    [
        integral(joint_density, -10, 10, args=(x,), epsabs=1e-13)
        for x in all_images
    ]
)

# %% tags=["check"]
vh.check(
    "two quadratures agree on p(x) for all 16 images",
    p_by_hermite,
    p_by_quad,
    atol=1e-8,
)
vh.check("the 16 probabilities sum to 1", p_by_quad.sum(), 1, atol=1e-8)

# %% [markdown]
# The first integral, (1.2), is done: two different rules give the same $p_\theta(x)$, and it is a probability distribution over all images.
#
# The other two can be done now as well. The next cell takes the image (1, 0, 1, 1), builds its posterior by (1.3), and asks whether it
# is a Gaussian. The **skewness** $\mathbb{E}[(z - \mathbb{E} z)^3] / \mathrm{sd}^3$ is zero for every Gaussian.

# %%
x_tiny = np.array([1.0, 0.0, 1.0, 1.0])
p_x = integral(joint_density, -10, 10, args=(x_tiny,), epsabs=1e-13)


def posterior_moment(function) -> float:
    """Expectation of function(z) under p(z | x) = p(x, z) / p(x)."""
    return integral(
        lambda z: function(z) * joint_density(z, x_tiny) / p_x, -10, 10
    )


mean = posterior_moment(lambda z: z)
variance = posterior_moment(lambda z: (z - mean) ** 2)
skewness = posterior_moment(lambda z: (z - mean) ** 3) / variance**1.5

# %% tags=["check"]
assert abs(posterior_moment(lambda z: 1.0) - 1) < 1e-8
vh.check(
    "the skewness is over 0.3 in size: the posterior is not Gaussian",
    abs(skewness),
    0.3,
    relation=">",
)

# %% [markdown]
# So the second integral gives a density that is in no textbook family, although the prior is Gaussian and the network has three hidden units.
#
# Now the third. Take a Gaussian $q = \mathcal{N}(\mu, \sigma^2)$. Since the log-likelihood contains $\log(1 + e^{\text{logit}(z)})$ with a tanh inside,
# $\mathbb{E}_q[\log p_\theta(x \mid z)]$ has no formula. It needs a numerical method. Plugging in the mean of $q$ is not the same thing.

# %%
mu, sigma = mean, math.sqrt(variance)
nodes, node_weights = gauss_hermite(1, 80)
by_quadrature = node_weights @ tiny_log_likelihood(
    x_tiny, mu + sigma * nodes, tiny
)
at_the_mean = tiny_log_likelihood(x_tiny, np.array([[mu]]), tiny)[0]

z = mu + sigma * np.random.default_rng(1).normal(size=(100_000, 1))
by_monte_carlo = tiny_log_likelihood(x_tiny, z, tiny)

# %% tags=["check"]
vh.check(
    "Monte Carlo agrees with quadrature",
    by_monte_carlo.mean(),
    by_quadrature,
    atol=4 * standard_error(by_monte_carlo),
)
vh.check(
    "the value at the mean of q is over 20 standard errors off",
    abs(by_monte_carlo.mean() - at_the_mean),
    20 * standard_error(by_monte_carlo),
    relation=">",
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
    """log p(x) of all 16 images, with n nodes per latent dimension."""
    nodes, weights = gauss_hermite(latent_dim, n)
    decoder = tiny_decoder(latent_dim)
    likelihoods = [
        np.exp(tiny_log_likelihood(x, nodes, decoder)) for x in all_images
    ]
    return np.log([weights @ likelihood for likelihood in likelihoods])


cost = {}
for latent_dim, finest in [(1, 40), (2, 24), (3, 16), (4, 12)]:
    tried = range(2, finest + 1)
    values = np.array(
        [log_marginals_by_quadrature(latent_dim, n) for n in tried]
    )
    error = np.abs(values - values[-1]).max(axis=1)
    n_needed = 2 + np.flatnonzero(error > 1e-3)[-1] + 1
    cost[latent_dim] = int(n_needed) ** latent_dim

# %% tags=["check"]
assert all(cost[j + 1] > 2 * cost[j] for j in (1, 2, 3))
vh.check(
    "J = 4 costs over 100 times as many decoder evaluations as J = 1",
    cost[4],
    100 * cost[1],
    relation=">",
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Decoder evaluations for one image against the latent dimension J, on a logarithmic axis. Four measured points for J from 1 to 4 rise along a straight line, and its dashed continuation passes a million billion evaluations before J reaches 20."}}
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

# %% tags=["check"]
vh.check(
    "at J = 20 the power of ten on the line is above 16",
    intercept + slope * 20,
    16,
    relation=">",
)

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
    weight = rng.random()
    means, sds = rng.uniform(-3, 3, 2), rng.uniform(0.5, 1.5, 2)
    first, second = stats.norm.pdf(grid[:, None], means, sds).T
    return weight * first + (1 - weight) * second


def kl_on_grid(q: np.ndarray, r: np.ndarray) -> float:
    """KL(q || r), equation (1.4), by the trapezoidal rule."""
    return integrate.trapezoid(q * np.log(q / r), grid)


pairs = [(random_mixture(), random_mixture()) for _ in range(200)]
forward = np.array([kl_on_grid(q, r) for q, r in pairs])
backward = np.array([kl_on_grid(r, q) for q, r in pairs])
to_itself = np.array([kl_on_grid(q, q) for q, _ in pairs])

# %% tags=["check"]
vh.check(
    "400 divergences of different densities are above 0.0001 nats",
    [*forward, *backward],
    1e-4,
    relation=">",
)
vh.check(
    "200 divergences of a density to itself are zero",
    to_itself,
    0,
    atol=1e-12,
)
vh.check(
    "for some pairs the two directions differ by over 0.1 nats",
    np.abs(forward - backward).max(),
    0.1,
    relation=">",
)

# %% [markdown]
# No pair goes below zero, in either direction. Equal densities give exactly zero.
#
# ### First route: split log p(x)
#
# Bring in a density $q_\phi(z \mid x)$ with parameters $\phi$: the **recognition model**, or **encoder**. It stands in for the posterior. For now it
# may be any density that is zero wherever the posterior is. It need not factorise over dimensions, and it need not have a closed-form anything.
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
# The first step needs $q$ to be positive wherever $p_\theta(x, z)$ is. Where $q$ leaves a part out, $\mathbb{E}_{q_\phi}[w]$ falls short of $p_\theta(x)$, and the bound still holds.
#
# This route is shorter, and section 1.8 builds on it. The first route tells you more: it says what the gap is.
#
# The next cells check all of it in the tiny model, where quadrature gives each term separately: both forms of $\mathcal{L}$, the decomposition, and $\mathbb{E}_q[w] = p(x)$. The Gaussian $q$ is deliberately off.

# %%
mu, sigma = mean + 0.3, 0.8 * math.sqrt(variance)


def log_q(z: float) -> float:
    """log q(z | x): a Gaussian that misses the posterior."""
    return stats.norm.logpdf(z, mu, sigma)


def log_p_given(z: float) -> float:
    """log p(x | z) of the tiny model for the image x_tiny."""
    return tiny_log_likelihood(x_tiny, np.array([[z]]), tiny)[0]


def log_joint(z: float) -> float:
    """log p(x, z) of the tiny model for the image x_tiny."""
    return stats.norm.logpdf(z) + log_p_given(z)


def expect_under_q(function) -> float:
    """Expectation of function(z) under q, over 12 standard deviations."""
    low, high = mu - 12 * sigma, mu + 12 * sigma
    return integral(lambda z: math.exp(log_q(z)) * function(z), low, high)


# %%
# The two forms of the ELBO, equations (1.6) and (1.7).
elbo_1 = expect_under_q(lambda z: log_joint(z) - log_q(z))
kl_to_prior = expect_under_q(lambda z: log_q(z) - stats.norm.logpdf(z))
elbo_2 = -kl_to_prior + expect_under_q(log_p_given)

# The gap of (1.5), and the average weight of (1.8).
kl_to_posterior = expect_under_q(
    lambda z: log_q(z) - (log_joint(z) - math.log(p_x))
)
mean_weight = expect_under_q(lambda z: math.exp(log_joint(z) - log_q(z)))

# %% tags=["check"]
assert kl_to_prior > 0
vh.check("both forms of the ELBO agree", elbo_2, elbo_1, atol=1e-8)
vh.check(
    "KL to the posterior + ELBO = log p(x)",
    kl_to_posterior + elbo_1,
    math.log(p_x),
    atol=1e-8,
)
vh.check("the gap is over 0.05 nats", kl_to_posterior, 0.05, relation=">")
vh.check("the average weight is p(x)", mean_weight, p_x, atol=1e-8)

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
# The cells write these down and check them: (1.10) by integrating over $z$, and (1.11) by Bayes' rule at random points.

# %%
W = np.array([[1.0, 0.6], [0.8, 0.9], [0.5, 0.7], [-0.3, 0.2], [0.9, 0.4]])
m = np.array([0.1, -0.2, 0.3, 0.0, 0.5])
s = 0.7
x = np.array([1.2, 0.5, 1.1, -0.4, 0.2])
D, J = W.shape


def log_marginal(
    x: np.ndarray, W: np.ndarray, m: np.ndarray, s: float
) -> float:
    """log p(x) of pPCA in nats, equation (1.10)."""
    covariance = W @ W.T + s**2 * np.eye(len(m))
    return stats.multivariate_normal.logpdf(x, m, covariance)


def posterior(
    x: np.ndarray, W: np.ndarray, m: np.ndarray, s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean [J] and precision [J, J] of p(z | x) of pPCA, (1.11)."""
    P = W.T @ W / s**2 + np.eye(W.shape[1])
    return np.linalg.solve(P, W.T @ (x - m)) / s**2, P


nu, P = posterior(x, W, m, s)
log_px = log_marginal(x, W, m, s)


# %%
def log_likelihood(
    x: np.ndarray, z: np.ndarray, W: np.ndarray, m: np.ndarray, s: float
) -> np.ndarray:
    """log p(x | z) of pPCA, shape [n], for codes z [n, J]."""
    return stats.norm.logpdf(x, m + z @ W.T, s).sum(axis=-1)


# %% tags=["check"]
nodes, node_weights = gauss_hermite(J, 60)
likelihood = np.exp(log_likelihood(x, nodes, W, m, s))
z = np.random.default_rng(2).normal(size=(50, J))
by_bayes = (
    stats.norm.logpdf(z).sum(axis=1)
    + log_likelihood(x, z, W, m, s)
    - stats.multivariate_normal.logpdf(z, nu, np.linalg.inv(P))
)
vh.check(
    "quadrature gives the same log p(x)",
    math.log(node_weights @ likelihood),
    log_px,
    atol=1e-8,
)
vh.check(
    "so does Bayes' rule at each of 50 random codes",
    by_bayes,
    log_px,
    atol=1e-10,
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
    log_det_P, log_det_S = np.linalg.slogdet(P)[1], np.linalg.slogdet(S)[1]
    return 0.5 * (quadratic - len(mu) - log_det_P - log_det_S)


def elbo_exact(x, W, m, s, mu, S) -> float:
    """The ELBO of pPCA for q = N(mu, S) in nats.

    Equation (1.15) minus (1.14), with the prior in the place of r.
    """
    J = len(mu)
    squared_error = np.sum((x - m - W @ mu) ** 2) + np.trace(W @ S @ W.T)
    log_constant = -0.5 * len(x) * math.log(2 * math.pi * s**2)
    reconstruction = log_constant - squared_error / (2 * s**2)
    return reconstruction - kl_gaussians(mu, S, np.zeros(J), np.eye(J))


# %% tags=["check"]
rng = np.random.default_rng(3)
gaps, bounds = [], []
for _ in range(20):
    mu, factor = rng.normal(size=J), rng.normal(size=(J, J))
    S = factor @ factor.T + 0.1 * np.eye(J)
    gaps.append(kl_gaussians(mu, S, nu, P))
    bounds.append(elbo_exact(x, W, m, s, mu, S))

vh.check(
    "KL to the posterior + ELBO = log p(x) for 20 arbitrary q",
    np.add(gaps, bounds),
    log_px,
    atol=1e-10,
)
vh.check("all 20 gaps are positive", gaps, 0, relation=">")
vh.check(
    "with q the posterior the bound is tight",
    elbo_exact(x, W, m, s, nu, np.linalg.inv(P)),
    log_px,
    atol=1e-10,
)

# %% [markdown]
# The decomposition (1.5) holds for good and bad $q$ alike. The last check is the case of equality: with $q$ equal to the posterior, the bound is tight.
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
weights = np.exp(log_weights)

# %% tags=["check"]
vh.check(
    "the mean log-weight is the ELBO",
    log_weights.mean(),
    elbo_exact(x, W, m, s, mu, S),
    atol=4 * standard_error(log_weights),
)
vh.check(
    "the mean weight is p(x)",
    weights.mean(),
    math.exp(log_px),
    atol=4 * standard_error(weights),
)
vh.check(
    "the mean log-weight is over 100 standard errors below log p(x)",
    log_weights.mean(),
    log_px - 100 * standard_error(log_weights),
    relation="<",
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
gap_formula = 0.5 * (np.log(np.diag(P)).sum() - np.linalg.slogdet(P)[1])


def minus_diagonal_elbo(parameters: np.ndarray) -> float:
    """-ELBO of a diagonal q; parameters = (means, log-variances)."""
    mu, S = parameters[:J], np.diag(np.exp(parameters[J:]))
    return -elbo_exact(x, W, m, s, mu, S)


found = optimize.minimize(
    minus_diagonal_elbo, np.zeros(2 * J), method="BFGS", tol=1e-10
)

# %% tags=["check"]
vh.check("an optimiser finds the means ν", found.x[:J], nu, atol=1e-4)
vh.check(
    "it finds the variances 1 / P_jj",
    np.exp(found.x[J:]),
    1 / np.diag(P),
    atol=1e-4,
)
vh.check(
    "it ends with the gap of (1.16)",
    log_px + found.fun,
    gap_formula,
    atol=1e-8,
)
vh.check(
    "these variances are below the posterior's own",
    1 / np.diag(P),
    np.diag(np.linalg.inv(P)),
    relation="<",
)

# %% [markdown]
# A numerical optimiser that knows nothing of (1.16) lands on it.
#
# Now make it vanish. Rotate the latent space: replace $W$ by $W R$ with an orthogonal $R$. By (1.10) nothing changes for the data, because $W R R^\top W^\top = W W^\top$. Choose $R$ as the eigenvectors of $W^\top W$, so that $(WR)^\top W R$ is diagonal.

# %%
_, R = np.linalg.eigh(W.T @ W)
W_rotated = W @ R
nu_rotated, P_rotated = posterior(x, W_rotated, m, s)
S_rotated = np.diag(1 / np.diag(P_rotated))
best_diagonal = elbo_exact(x, W_rotated, m, s, nu_rotated, S_rotated)

# %% tags=["check"]
assert gap_formula > 0.1  # what the rotation takes away
vh.check(
    "the rotation does not change log p(x)",
    log_marginal(x, W_rotated, m, s),
    log_px,
    atol=1e-10,
)
vh.check(
    "after it the ELBO of the best diagonal q is log p(x)",
    best_diagonal,
    log_px,
    atol=1e-10,
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
# The bound does not only touch the curve. It has the same slope. And the gap can only grow from zero, so from here every step in $\theta$ that raises the bound raises $\log p_\theta(x)$ at least as much. The M-step of EM is such a climb in $\theta$, with $q$ fixed at the posterior. With any other $q$ neither is promised. Check the slopes by finite differences in a factor $a$ that multiplies $W$.


# %%
def derivative(function, a: float = 1.0, h: float = 1e-5) -> float:
    """The derivative of function at a, by a central difference."""
    return (function(a + h) - function(a - h)) / (2 * h)


S = np.linalg.inv(P)  # q is the posterior at a = 1, and stays there
slope_of_log_p = derivative(lambda a: log_marginal(x, a * W, m, s))
slope_of_elbo = derivative(lambda a: elbo_exact(x, a * W, m, s, nu, S))
slope_with_other_q = derivative(
    lambda a: elbo_exact(x, a * W, m, s, nu + 0.2, S)
)

# %% tags=["check"]
assert abs(slope_of_log_p) > 0.1
vh.check(
    "with q the posterior, the ELBO has the slope of log p(x)",
    slope_of_elbo,
    slope_of_log_p,
    atol=1e-7,
)
vh.check(
    "with another q the slopes differ by over 0.1",
    abs(slope_with_other_q - slope_of_log_p),
    0.1,
    relation=">",
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
# The noise comes from the other $J - 1$ dimensions. They have nothing to do with $\mu_j$, but the score estimator sees only the total $f$ and cannot know which dimension earned it. The cells measure all four.


# %%
def score_variance(J: int, mu: float, b: float) -> float:
    """Variance of one entry of the score-function gradient, (1.19)."""
    kappa = (J - 1) * (mu**2 + 1) - b
    own = mu**4 + 14 * mu**2 + 15
    others = (J - 1) * (4 * mu**2 + 2)
    return own + 2 * kappa * (mu**2 + 3) + kappa**2 + others


def baselines(J: int, mu: float) -> dict[str, float]:
    """The three constants b of the text."""
    return {
        "none": 0.0,
        "mean": J * (mu**2 + 1),
        "best": (J - 1) * (mu**2 + 1) + mu**2 + 3,
    }


# %%
mu, dims = 0.5, [1, 2, 5, 10, 20, 50, 100]
rng = np.random.default_rng(5)
measured = {name: [] for name in ("none", "mean", "best", "pathwise")}
off_mean, off_variance = [], []  # in standard errors
for J_test in dims:
    epsilon = rng.normal(size=(40_000, J_test))
    z = mu + epsilon
    f = (z**2).sum(axis=1)
    draws, exact = {"pathwise": 2 * z[:, 0]}, {"pathwise": 4.0}
    for name, b in baselines(J_test, mu).items():
        draws[name] = (f - b) * epsilon[:, 0]
        exact[name] = score_variance(J_test, mu, b)
    for name, gradient in draws.items():
        error = gradient - 2 * mu  # the exact gradient is 2 mu
        off_mean.append(error.mean() / standard_error(error))
        squared = error**2  # its mean is the variance
        distance = squared.mean() - exact[name]
        off_variance.append(distance / standard_error(squared))
        measured[name].append(squared.mean())

# %% tags=["check"]
vh.check(
    "all 28 mean gradients lie within 4 standard errors of 2μ",
    np.abs(off_mean),
    4,
    relation="<",
)
vh.check(
    "all 28 variances lie within 4 standard errors of the exact ones",
    np.abs(off_variance),
    4,
    relation="<",
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Variance of one gradient entry against the latent dimension J, both axes logarithmic. Without a baseline the variance rises with slope two, with the mean or the best baseline with slope one, and the pathwise gradient stays flat at 4. Measured points lie on the exact lines."}}
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
ax.loglog(
    dims,
    measured["pathwise"],
    "D",
    color=BLUE,
    label="pathwise (section 1.4)",
)
ax.set(
    xlabel="latent dimension J",
    ylabel="variance of one gradient entry",
    title="The price of not knowing which dimension earned f",
)
ax.legend(fontsize=9)
plt.show()

# %% [markdown]
# Points are measured. Lines are exact: (1.19) for the score function, 4 for the pathwise gradient. At $J = 100$ the estimator without a baseline has about 4100 times the variance of the pathwise gradient. The best constant baseline brings that down to 76 times.
#
# Variance is paid for in samples: to halve the standard error you need four times as many. Learned baselines and control variates ([Ranganath, Gerrish & Blei 2014](../book/bibliography.md); [Mnih & Gregor 2014](../book/bibliography.md)) help further, and for *discrete* codes they are often what is used.
#
# > **Note.** The pathwise gradient is not better for every $f$, not even for every smooth one. A steep slope makes it noisy, as large values make the score function. Take one dimension, $\mu = 0.3$ and the mean baseline: for $f(z) = \tanh z$ the pathwise gradient has less variance, for the steeper $\tanh(5z)$ the score function has. [Mohamed et al. 2020](../book/bibliography.md) give more examples. For a VAE you have to measure: in section 4.4 of [chapter 4](04_sgvb_a_vs_b.ipynb) the score function, without a baseline, has over 1,000 times the variance of estimator B in the encoder.

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
# Take $f(z) = z^2 + \sin z$. Its expectation is $\mu^2 + \sigma^2 + e^{-\sigma^2/2} \sin \mu$, which you can differentiate by hand. The check compares (1.21) and (1.24) with that.

# %%
mu, sigma = 0.7, 1.3
epsilon, weights = gauss_hermite(1, 60)
epsilon = epsilon[:, 0]
z = mu + sigma * epsilon
f, slope = z**2 + np.sin(z), 2 * z + np.cos(z)

over_noise = weights @ f  # right side of (1.21)
d_mu = weights @ slope  # (1.24), first half
d_sigma = weights @ (epsilon * slope)  # (1.24), second half

# %% tags=["check"]
damping = math.exp(-(sigma**2) / 2)
exact = mu**2 + sigma**2 + damping * math.sin(mu)
exact_d_mu = 2 * mu + damping * math.cos(mu)
exact_d_sigma = 2 * sigma - sigma * damping * math.sin(mu)
over_z = integral(
    lambda z: stats.norm.pdf(z, mu, sigma) * (z**2 + math.sin(z)), -16, 16
)

vh.check(
    "averages over z and over the noise agree",
    over_noise,
    over_z,
    atol=1e-8,
)
vh.check("both are the closed form", over_z, exact, atol=1e-8)
vh.check("the gradient in μ is exact", d_mu, exact_d_mu, atol=1e-10)
vh.check("the gradient in σ is exact", d_sigma, exact_d_sigma, atol=1e-10)

# %% [markdown]
# In TensorFlow you do not write (1.24) yourself. Write `z = mu + sigma * epsilon` inside a `GradientTape`, which records the operations, and automatic differentiation applies the chain rule to them. If you sample first and forget how the sample came about, the path is cut.

# %%
mu_tf = tf.Variable(mu, dtype=tf.float64)
sigma_tf = tf.Variable(sigma, dtype=tf.float64)
noise = tf.constant(epsilon)
with tf.GradientTape() as tape:
    z = mu_tf + sigma_tf * noise
    objective = tf.reduce_sum(weights * (z**2 + tf.sin(z)))
by_tape = tape.gradient(objective, [mu_tf, sigma_tf])

with tf.GradientTape() as tape:
    # A sample that has forgotten where it came from:
    z = tf.stop_gradient(mu_tf + sigma_tf * noise)
    objective = tf.reduce_sum(weights * (z**2 + tf.sin(z)))
cut = tape.gradient(objective, [mu_tf, sigma_tf])

# %% tags=["check"]
vh.check(
    "through the noise the tape gives both exact gradients",
    [gradient.numpy() for gradient in by_tape],
    [exact_d_mu, exact_d_sigma],
    atol=1e-10,
)
vh.check(
    "gradients that the tape finds when the path is cut",
    sum(gradient is not None for gradient in cut),
    0,
    relation="=",
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
g_of_u = {
    "exponential": -np.log(1 - u) / 1.7,
    "Cauchy": 0.3 + 0.8 * np.tan(np.pi * (u - 0.5)),
    "logistic": 0.3 + 0.8 * np.log(u / (1 - u)),
    "Rayleigh": 0.8 * np.sqrt(-2 * np.log(1 - u)),
    "Pareto": 1.2 * (1 - u) ** (-1 / 2.5),
    "Weibull": 1.2 * (-np.log(1 - u)) ** (1 / 2.5),
    "reciprocal": 0.5 * (4.0 / 0.5) ** u,
    "Gompertz": np.log(1 - np.log(1 - u) / 0.6),
    "Gumbel": 0.3 - 0.8 * np.log(-np.log(u)),
}


def p_values(pairs, stretch: float = 1.0) -> list[float]:
    """p-values of the Kolmogorov–Smirnov test of (sample, target) pairs."""
    return [stats.kstest(stretch * z, p.cdf).pvalue for z, p in pairs]


# %% tags=["check"]
targets = {
    "exponential": stats.expon(scale=1 / 1.7),
    "Cauchy": stats.cauchy(0.3, 0.8),
    "logistic": stats.logistic(0.3, 0.8),
    "Rayleigh": stats.rayleigh(scale=0.8),
    "Pareto": stats.pareto(2.5, scale=1.2),
    "Weibull": stats.weibull_min(2.5, scale=1.2),
    "reciprocal": stats.reciprocal(0.5, 4.0),
    "Gompertz": stats.gompertz(0.6),
    "Gumbel": stats.gumbel_r(0.3, 0.8),
}
pairs = [(z, targets[name]) for name, z in g_of_u.items()]
vh.check(
    "F(g(u)) = u for nine inverse CDFs",
    [target.cdf(z) for z, target in pairs],
    u,
    atol=1e-10,
)
vh.check(
    "the nine samples pass the test, by p-value",
    p_values(pairs),
    0.01,
    relation=">",
)
vh.check(
    "stretched by a quarter, all nine fail it",
    p_values(pairs, stretch=1.25),
    1e-6,
    relation="<",
)

# %% [markdown]
# $F(g(u)) = u$ is an exact test and the sharper one; the Kolmogorov–Smirnov test sees only the samples, which is what you have when no CDF can be inverted.
#
# Now a gradient. For the exponential, $\mathbb{E}[z^2] = 2/\lambda^2$, so $\frac{d}{d\lambda} \mathbb{E}[z^2] = -4/\lambda^3$. Three numbers must agree: the tape's pathwise gradient, a finite difference *with the same noise*, and the exact value up to Monte Carlo error.


# %%
def pathwise_and_difference(
    objective, parameter: float, h: float = 1e-5
) -> tuple[float, float]:
    """d objective / d parameter by the tape, and by a difference.

    The central difference uses the same noise.
    """
    variable = tf.Variable(parameter, dtype=tf.float64)
    with tf.GradientTape() as tape:
        value = objective(variable)
    higher, lower = (
        objective(tf.constant(parameter + step, tf.float64)).numpy()
        for step in (h, -h)
    )
    by_tape = tape.gradient(value, variable).numpy()
    return by_tape, (higher - lower) / (2 * h)


rate = 1.7
by_tape, by_difference = pathwise_and_difference(
    lambda lam: tf.reduce_mean((-tf.math.log(1 - u) / lam) ** 2), rate
)
z = -np.log(1 - u) / rate
per_sample = 2 * z * (-z / rate)  # f'(z) dz/dlambda

# %% tags=["check"]
vh.check(
    "exponential: the tape agrees with the finite difference",
    by_tape,
    by_difference,
    atol=1e-6,
)
vh.check(
    "it is the average of f'(z) dz/dλ",
    by_tape,
    per_sample.mean(),
    atol=1e-10,
)
vh.check(
    "that average is −4/λ³ within 4 standard errors",
    per_sample.mean(),
    -4 / rate**3,
    atol=4 * standard_error(per_sample),
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
noises = {
    "Laplace": rng.laplace(size=n),
    "Student's t": rng.standard_t(5, size=n),
    "logistic": rng.logistic(size=n),
    "uniform": rng.random(n),
    "triangular": rng.triangular(0, 0.3, 1, size=n),
    "Gaussian": rng.normal(size=n),
}
location_scale = {name: mu + sigma * e for name, e in noises.items()}

# Elliptical: a bivariate t with 5 degrees of freedom. With t = z - mu,
# t (A A^T)^-1 t / 2 has the F(2, 5) distribution.
A = np.array([[1.0, 0.0], [0.7, 0.5]])
spherical = rng.normal(size=(n, 2))
spherical /= np.sqrt(rng.chisquare(5, size=(n, 1)) / 5)
z = mu + spherical @ A.T

# %% tags=["check"]
squared_length = ((z - mu) @ np.linalg.inv(A @ A.T) * (z - mu)).sum(axis=1)
targets = {
    "Laplace": stats.laplace(mu, sigma),
    "Student's t": stats.t(5, mu, sigma),
    "logistic": stats.logistic(mu, sigma),
    "uniform": stats.uniform(mu, sigma),
    "triangular": stats.triang(0.3, mu, sigma),
    "Gaussian": stats.norm(mu, sigma),
}
pairs = [(z, targets[name]) for name, z in location_scale.items()]
pairs += [
    (squared_length / 2, stats.f(2, 5)),
    (z[:, 1], stats.t(5, mu, math.sqrt(0.7**2 + 0.5**2))),
]
vh.check(
    "seven location-scale families pass the test, by p-value",
    p_values(pairs),
    0.01,
    relation=">",
)
vh.check(
    "stretched by a quarter, all seven fail it",
    p_values(pairs, stretch=1.25),
    1e-6,
    relation="<",
)

# %% [markdown]
# The gradient, for the Laplace distribution. Its variance is $2\sigma^2$, so $\mathbb{E}[z^2] = \mu^2 + 2\sigma^2$ and $\frac{d}{d\sigma} \mathbb{E}[z^2] = 4\sigma$.

# %% tags=["check"]
epsilon = noises["Laplace"]
by_tape, by_difference = pathwise_and_difference(
    lambda scale: tf.reduce_mean((mu + scale * epsilon) ** 2), sigma
)
per_sample = 2 * (mu + sigma * epsilon) * epsilon

vh.check(
    "Laplace: the tape agrees with the finite difference",
    by_tape,
    by_difference,
    atol=1e-6,
)
vh.check(
    "the average of f'(z) dz/dσ is 4σ within 4 standard errors",
    per_sample.mean(),
    4 * sigma,
    atol=4 * standard_error(per_sample),
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
    """n gamma draws with integer shape: sums of exponentials."""
    return (-np.log(1 - rng.random((n, shape))) / rate).sum(axis=1)


def chi_squared_by_sum(degrees: int) -> np.ndarray:
    """n chi-squared draws as sums of squared Gaussians."""
    return (rng.normal(size=(n, degrees)) ** 2).sum(axis=1)


G2, G3, G4 = (gamma_by_sum(a) for a in (2, 3, 4))
log_normal = np.exp(0.2 + 0.7 * rng.normal(size=n))
erlang = gamma_by_sum(3, rate=1.7)  # a gamma with integer shape
chi_squared = chi_squared_by_sum(4)
beta = G2 / (G2 + G3)
dirichlet_first = G2 / (G2 + G3 + G4)
F = (chi_squared_by_sum(4) / 4) / (chi_squared_by_sum(6) / 6)

# %% tags=["check"]
pairs = [
    (log_normal, stats.lognorm(0.7, scale=math.exp(0.2))),
    (erlang, stats.gamma(3, scale=1 / 1.7)),
    (chi_squared, stats.chi2(4)),
    (beta, stats.beta(2, 3)),
    (dirichlet_first, stats.beta(2, 7)),
    (F, stats.f(4, 6)),
]
vh.check(
    "six compositions pass the test, by p-value",
    p_values(pairs),
    0.01,
    relation=">",
)
vh.check(
    "stretched by a quarter, all six fail it",
    p_values(pairs, stretch=1.25),
    1e-6,
    relation="<",
)

# %% [markdown]
# The Dirichlet is tested through its first entry, whose marginal is a beta distribution with parameters $a_1$ and $a_2 + a_3$.
#
# The gradient, for the log-normal. Its mean is $e^{\mu + \sigma^2/2}$, so $\frac{d}{d\sigma} \mathbb{E}[z] = \sigma e^{\mu + \sigma^2/2}$.

# %% tags=["check"]
mu, sigma = 0.2, 0.7
epsilon = np.random.default_rng(9).normal(size=100_000)
by_tape, by_difference = pathwise_and_difference(
    lambda scale: tf.reduce_mean(tf.exp(mu + scale * epsilon)), sigma
)
per_sample = epsilon * np.exp(mu + sigma * epsilon)

vh.check(
    "log-normal: the tape agrees with the finite difference",
    by_tape,
    by_difference,
    atol=1e-6,
)
vh.check(
    "the average of f'(z) dz/dσ is exact within 4 standard errors",
    per_sample.mean(),
    sigma * math.exp(mu + sigma**2 / 2),
    atol=4 * standard_error(per_sample),
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
# So: draw $z$ by *any* exact sampler, rejection included, and attach the derivative (1.26) to it. No inverse is needed. TensorFlow Probability (TFP) does this for the gamma, and builds the beta, Dirichlet, chi-squared and Student's t on it; it has no F distribution. The check compares its derivative of a gamma sample, shape 2.5, with (1.26), where $\partial F / \partial \phi$ comes from a finite difference of SciPy's incomplete gamma function.

# %%
# A copy of the shape for each sample, so that each gets its derivative:
shape = tf.fill([2000], tf.constant(2.5, tf.float64))
with tf.GradientTape() as tape:
    tape.watch(shape)
    z = tfd.Gamma(shape, tf.constant(1.0, tf.float64)).sample(seed=[1, 2])
dz_by_tfp = tape.gradient(z, shape).numpy()
z = z.numpy()

h = 1e-5
dF_dalpha = (gammainc(2.5 + h, z) - gammainc(2.5 - h, z)) / (2 * h)
dz_implicit = -dF_dalpha / stats.gamma(2.5).pdf(z)  # equation (1.26)

# %% tags=["check"]
vh.check(
    "TFP's derivative of 2,000 gamma samples is (1.26)",
    dz_by_tfp,
    dz_implicit,
    atol=1e-4,
)
# E[z] = shape / rate, so its derivative in the shape is 1.
vh.check(
    "its average is 1 within 4 standard errors",
    dz_by_tfp.mean(),
    1,
    atol=4 * standard_error(dz_by_tfp),
)
vh.check(
    "the samples pass the test, by p-value",
    p_values([(z, stats.gamma(2.5))]),
    0.01,
    relation=">",
)

# %% [markdown]
# TFP tells you for each distribution whether gradients flow through its samples. **Discrete** distributions never have them: a Bernoulli sample jumps from 0 to 1, so its derivative is zero almost everywhere. There you need the score function, or a continuous relaxation ([Jang, Gu & Poole 2017](../book/bibliography.md); [Maddison, Mnih & Teh 2017](../book/bibliography.md)).

# %%
distributions = [
    tfd.Normal(0.0, 1.0),
    tfd.Laplace(0.0, 1.0),
    tfd.LogNormal(0.0, 1.0),
    tfd.Gamma(2.5, 1.0),
    tfd.Chi2(3.0),
    tfd.Beta(2.0, 3.0),
    tfd.Dirichlet([1.0, 2.0]),
    tfd.StudentT(3.0, 0.0, 1.0),
    tfd.VonMises(0.0, 1.0),
    tfd.Bernoulli(0.3),
    tfd.Categorical([0.0, 1.0]),
    tfd.Poisson(2.0),
]
names = {tfd.FULLY_REPARAMETERIZED: [], tfd.NOT_REPARAMETERIZED: []}
for distribution in distributions:
    names[distribution.reparameterization_type].append(distribution.name)
flows, stops = names.values()

assert stops == ["Bernoulli", "Categorical", "Poisson"]
print("gradients flow through:", ", ".join(flows))
print("gradients stop at:     ", ", ".join(stops))

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
log_ratio = stats.norm.logpdf(z) - stats.norm.logpdf(z, mu, sigma)
kl = 0.5 * (mu**2 + sigma**2 - 1 - np.log(sigma**2)).sum()

sgvb_a = log_p_x_given_z + log_ratio.sum(axis=1)  # (1.27)
sgvb_b = log_p_x_given_z - kl  # (1.28)
delta = -mu * sigma * epsilon + 0.5 * (1 - sigma**2) * (epsilon**2 - 1)
delta = delta.sum(axis=1)  # (1.29)

# %% tags=["check"]
vh.check(
    "A − B is (1.29), sample by sample", sgvb_a - sgvb_b, delta, atol=1e-10
)
vh.check(
    "the variance of the difference is that of (1.29)",
    np.mean(delta**2),
    np.sum(mu**2 * sigma**2 + 0.5 * (1 - sigma**2) ** 2),
    atol=4 * standard_error(delta**2),
)
exact = elbo_exact(x, W, m, s, mu, np.diag(sigma**2))
for name, draws in (("A", sgvb_a), ("B", sgvb_b)):
    vh.check(
        f"{name} averages to the exact ELBO",
        draws.mean(),
        exact,
        atol=4 * standard_error(draws),
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
    quadratic = 0.5 * (1 - q_sd**2) * (noise**2 - 1)
    terms = -q_mean * q_sd * noise + quadratic
    z = q_mean + q_sd * noise
    return log_likelihood(x, z, W, m, s), terms.sum(axis=1)


agreements, b_wins = [], []
for _ in range(60):
    q_mean, q_sd = nu + rng.normal(0, 0.5, J), rng.uniform(0.2, 1.5, J)
    b_value, difference = draw_terms(q_mean, q_sd)
    b_is_quieter = np.var(b_value) < np.var(b_value + difference)
    b_value, difference = draw_terms(q_mean, q_sd)
    spread = np.var(difference)
    margin = np.cov(b_value, difference)[0, 1] + 0.5 * spread
    if abs(margin) > 0.2 * spread:  # else too close to call
        agreements.append(b_is_quieter == (margin > 0))
        b_wins.append(b_is_quieter)

# %% tags=["check"]
assert len(agreements) >= 30
vh.check(
    "(1.30) names the quieter one for every q that is not too close",
    sum(agreements),
    len(agreements),
    relation="=",
)
vh.check("for some q B is the quieter one", sum(b_wins), 0, relation=">")
vh.check("but not for all of them", sum(b_wins), len(b_wins), relation="<")

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
target = tfd.Normal(tf.constant(mu0, tf.float64), sigma0)
prior = tfd.Normal(tf.constant(0.0, tf.float64), 1.0)


def gradients(estimator: str) -> list[np.ndarray]:
    """Value, mu-gradient, sigma-gradient for each sample.

    q is the posterior (target); estimator is "A", "B" or "path".
    """
    mu = tf.fill([n], tf.constant(mu0, tf.float64))
    sigma = tf.fill([n], tf.constant(sigma0, tf.float64))
    with tf.GradientTape() as tape:
        tape.watch([mu, sigma])
        z = mu + sigma * epsilon
        # log p(x | z) by Bayes' rule, up to log p(x):
        value = target.log_prob(z) - prior.log_prob(z)
        if estimator == "B":
            value -= tfd.kl_divergence(tfd.Normal(mu, sigma), prior)
        else:
            stop = tf.stop_gradient if estimator == "path" else tf.identity
            q = tfd.Normal(stop(mu), stop(sigma))
            value += prior.log_prob(z) - q.log_prob(z)
    return [t.numpy() for t in (value, *tape.gradient(value, [mu, sigma]))]


value_a, mu_a, sigma_a = gradients("A")
value_b, mu_b, sigma_b = gradients("B")
_, mu_path, sigma_path = gradients("path")

# %% tags=["check"]
c = 1 / sigma0 - sigma0
var_delta = mu0**2 * sigma0**2 + 0.5 * (1 - sigma0**2) ** 2
vh.check("the value of A does not vary", np.ptp(value_a), 0, atol=1e-10)
for name, draws, variance_in_table in (
    ("the value of B", value_b, var_delta),
    ("the μ-gradient of A", mu_a, 1 / sigma0**2),
    ("the μ-gradient of B", mu_b, c**2),
    ("the σ-gradient of A", sigma_a, 2 / sigma0**2),
    ("the σ-gradient of B", sigma_b, 2 * c**2 + mu0**2),
):
    vh.check(
        f"{name} has the variance in the table",
        np.mean(draws**2),  # each has the mean zero
        variance_in_table,
        atol=4 * standard_error(draws**2),
    )
vh.check("B is quieter in μ", mu_b.var(), mu_a.var(), relation="<")
assert mu0**2 > 2 * (2 - sigma0**2)
vh.check("A is quieter in σ", sigma_a.var(), sigma_b.var(), relation="<")
vh.check(
    "the path gradient is zero, sample by sample",
    [mu_path, sigma_path],
    0,
    atol=1e-10,
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
# Eight data points with made-up ELBOs:
bounds = np.random.default_rng(12).normal(-100, 10, size=8)
N, M = 8, 3
estimates = np.array(
    [
        N / M * bounds[list(batch)].sum()
        for batch in itertools.combinations(range(N), M)
    ]
)

# %% tags=["check"]
assert len(estimates) == 56
vh.check(
    "the mean over all 56 minibatches is the full sum",
    estimates.mean(),
    bounds.sum(),
    atol=1e-9,
)
vh.check(
    "their variance is (1.32)",
    estimates.var(),
    N**2 / M * (1 - M / N) * bounds.var(ddof=1),
    atol=1e-8,
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
# Posterior means, halved: an encoder on its way.
encoder = 0.5 * np.linalg.solve(P, W.T) / s**2
means, sigma = (data - m) @ encoder.T, 1 / np.sqrt(np.diag(P))


def decoder_gradient(i: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
    """d log p(x | z) / d W_00 = (x - m - W z)_0 z_0 / s^2.

    For data points i and noise epsilon [..., J].
    """
    z = means[i] + sigma * epsilon
    return (data[i, 0] - m[0] - z @ W[0]) * z[..., 0] / s**2


# %%
nodes, node_weights = gauss_hermite(J, 8)  # exact for this polynomial
values = decoder_gradient(np.arange(N)[:, None], nodes[None])  # [N, nodes]
noise_free = values @ node_weights
V_x = noise_free.var()
V_noise = (values**2 @ node_weights - noise_free**2).mean()

# Pairs (L, M), all with L M = 100.
splits = [(L, 100 // L) for L in (1, 2, 5, 10, 20, 50, 100)]
predicted = np.array([V_x / M + V_noise / (L * M) for L, M in splits])

repeats = 4000
variance = []
for L, M in splits:
    i = rng.integers(N, size=(repeats, M, 1))
    i = np.broadcast_to(i, (repeats, M, L))
    draws = decoder_gradient(i, rng.normal(size=(repeats, M, L, J)))
    variance.append(draws.mean(axis=(1, 2)).var(ddof=1))

# %% tags=["check"]
vh.check(
    "seven measured variances are within 15% of (1.33)",
    variance,
    predicted,
    rtol=0.15,
)
vh.check("L = 1 has the smallest", variance[0], variance[1:], relation="<")
vh.check(
    "L = 100 has over 10 times as much",
    variance[-1],
    10 * variance[0],
    relation=">",
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels. Left: at a fixed budget of 100 decoder passes the variance of a gradient entry rises steeply with L, lowest at L = 1. Right: at M = 100, raising L from 1 to 20 lowers the variance only to the floor set by the spread over data points."}}
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
ls = [L for L, _ in splits]
left.loglog(ls, predicted, color=SKY, label="equation (1.33)")
left.loglog(ls, variance, "o", color=BLUE, label="measured")
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
    V_x / 100,
    color=ORANGE,
    linestyle="--",
    label="floor from the data, V_x / M",
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
    """-KL(N(mu, diag(exp(log_variance))) || N(0, I)) in nats, (1.35)."""
    return 0.5 * np.sum(1 + log_variance - mu**2 - np.exp(log_variance))


# %% tags=["check"]
rng = np.random.default_rng(14)
mu, log_variance = rng.normal(size=5), rng.normal(-1, 1, size=5)
sigma = np.exp(0.5 * log_variance)
by_tfp = -tfd.kl_divergence(
    tfd.MultivariateNormalDiag(mu, sigma),
    tfd.MultivariateNormalDiag(np.zeros(5), np.ones(5)),
).numpy()
z = mu + sigma * rng.normal(size=(200_000, 5))
log_ratio = stats.norm.logpdf(z) - stats.norm.logpdf(z, mu, sigma)
draws = log_ratio.sum(axis=1)

vh.check(
    "TFP gives the same −KL",
    by_tfp,
    minus_kl(mu, log_variance),
    atol=1e-10,
)
vh.check(
    "sampling gives it within 3 standard errors",
    draws.mean(),
    minus_kl(mu, log_variance),
    atol=3 * standard_error(draws),
)
vh.check(
    "it is zero where q is the prior",
    minus_kl(np.zeros(5), np.zeros(5)),
    0,
    relation="=",
)

# %% [markdown]
# The general pair (1.34) deserves its own check, because nothing in (1.35) tests $\sigma_2$. Quadrature does.

# %% tags=["check"]
mu_1, sigma_1, mu_2, sigma_2 = 0.4, 0.7, -0.3, 1.5
squares = sigma_1**2 + (mu_1 - mu_2) ** 2
formula = math.log(sigma_2 / sigma_1) + squares / (2 * sigma_2**2) - 0.5
q, r = stats.norm(mu_1, sigma_1), stats.norm(mu_2, sigma_2)
by_quadrature = integral(
    lambda z: q.pdf(z) * (q.logpdf(z) - r.logpdf(z)), -12, 12
)
swapped = integral(
    lambda z: r.pdf(z) * (r.logpdf(z) - q.logpdf(z)), -20, 20
)

vh.check("quadrature gives (1.34)", by_quadrature, formula, atol=1e-8)
vh.check(
    "with its arguments swapped the KL differs by over 0.5 nats",
    abs(swapped - by_quadrature),
    0.5,
    relation=">",
)

# %% [markdown]
# Two slips are common in published code, and both still train. One writes $(\log \sigma)^2$ for $\log(\sigma^2)$. The other feeds $\log \sigma$ where the formula wants $\log \sigma^2$. The check shows what they do: the "KL" of the first is negative for some $q$, so the "bound" is no bound; the second is a different regulariser.

# %%
sigma = 0.5
right = -minus_kl(np.zeros(1), np.array([math.log(sigma**2)]))
square_outside = -0.5 * (1 + math.log(sigma) ** 2 - sigma**2)
log_sigma = -minus_kl(np.zeros(1), np.array([math.log(sigma)]))

# %% tags=["check"]
assert log_sigma > 0
vh.check(
    'with (log σ)² the "KL" of μ = 0, σ = 0.5 is negative',
    square_outside,
    0,
    relation="<",
)
vh.check(
    "with log σ for log σ² it is less than the KL",
    log_sigma,
    right,
    relation="<",
)

# %% [markdown]
# ### The algorithm, run to a known optimum
#
# Does AEVB find the maximum-likelihood solution? In pPCA you can ask. The maximum has a closed form ([Tipping & Bishop 1999](../book/bibliography.md)): let $\lambda_1 \ge \dots \ge \lambda_D$ be the eigenvalues of the data covariance and $U$ its eigenvectors. Then $\hat m$ is the data mean, $\hat s^2$ the mean of the last $D - J$ eigenvalues, and the model covariance keeps the first $J$ eigenvalues and sets the rest to $\hat s^2$.
#
# And the bound can reach it with a *diagonal* $q$: by (1.16) the gap is zero for the rotation that makes $W^\top W$ diagonal, and by (1.10) rotating costs no likelihood. So the maximum of the ELBO equals the maximum of the likelihood ([Lucas et al. 2019](../book/bibliography.md)).
#
# The cells run the five steps above with SGVB-B, $M = 100$, $L = 1$, on the 1000 points of section 1.5. The encoder is linear. Its log-variance is a free vector, because (1.11) says that the posterior covariance of pPCA does not depend on $x$.

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
phi = {
    "A": initial(D, J),
    "a": initial(J),
    "log_variance": tf.Variable(np.zeros(J)),
}
parameters = [*theta.values(), *phi.values()]
optimizer = tf.keras.optimizers.Adam(
    tf.keras.optimizers.schedules.CosineDecay(0.02, 3000)
)


# %%
@tf.function
def aevb_step(x: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """One update on a minibatch x [M, D] with noise epsilon [M, J].

    SGVB-B, equation (1.28), with L = 1.
    """
    with tf.GradientTape() as tape:
        mu = x @ phi["A"] + phi["a"]
        log_variance = phi["log_variance"]
        z = mu + tf.exp(0.5 * log_variance) * epsilon
        likelihood = tfd.Normal(
            z @ tf.transpose(theta["W"]) + theta["m"],
            tf.exp(theta["log_s"]),
        )
        reconstruction = tf.reduce_sum(likelihood.log_prob(x), axis=1)
        terms = 1 + log_variance - mu**2 - tf.exp(log_variance)
        minus_kl = 0.5 * tf.reduce_sum(terms, axis=1)
        # The mean over the minibatch: (1.31) divided by N.
        loss = -tf.reduce_mean(reconstruction + minus_kl)
    slopes = tape.gradient(loss, parameters)
    optimizer.apply_gradients(zip(slopes, parameters, strict=True))
    return -loss


# %%
estimates = []
for _ in range(3000):
    batch = data[rng.choice(N, 100, replace=False)]
    estimates.append(aevb_step(batch, rng.normal(size=(100, J))).numpy())

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

W_found, m_found = theta["W"].numpy(), theta["m"].numpy()
s_found = math.exp(theta["log_s"].numpy())
q_means = data @ phi["A"].numpy() + phi["a"].numpy()
q_covariance = np.diag(np.exp(phi["log_variance"].numpy()))
reached = np.mean(
    [
        elbo_exact(x_i, W_found, m_found, s_found, mean_i, q_covariance)
        for x_i, mean_i in zip(data, q_means, strict=True)
    ]
)

# %% tags=["check"]
vh.check(
    "AEVB reaches the maximum log-likelihood to within 0.01 nats",
    reached,
    maximum,
    atol=0.01,
)
vh.check(
    "the bound stays below the maximum", maximum - reached, 0, relation=">"
)
vh.check(
    "the noise variance is the mean of the last eigenvalues",
    s_found**2,
    best_variance,
    rtol=0.03,
)
column_1, column_2 = W_found.T / np.linalg.norm(W_found.T, axis=1)[:, None]
vh.check(
    "the cosine between the columns of W is zero",
    column_1 @ column_2,
    0,
    atol=0.1,
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "The minibatch estimate of the ELBO against the update, in nats per data point: a noisy band that climbs within a few hundred updates and then scatters around the dashed line of the exact maximum log-likelihood."}}
fig, ax = plt.subplots()
ax.plot(
    estimates,
    color=SKY,
    linewidth=0.5,
    label="minibatch estimate, M = 100, L = 1",
)
smooth = np.convolve(estimates, np.ones(100) / 100, mode="valid")
ax.plot(
    np.arange(99, 3000),
    smooth,
    color=BLUE,
    label="mean of the last 100 updates",
)
ax.axhline(
    maximum,
    color=ORANGE,
    linestyle="--",
    label="maximum log-likelihood, closed form",
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
pixels = np.random.default_rng(17).integers(0, 2, size=(100, 6)) * 1.0
y = expit(logits)
from_means = pixels * np.log(y) + (1 - pixels) * np.log(1 - y)
from_means = from_means.sum(axis=1)  # (1.36)
from_logits = pixels * logits - np.logaddexp(0, logits)
from_logits = from_logits.sum(axis=1)  # (1.37)

# In float32, a white pixel with the logit 20:
one, logit = tf.constant(1.0), tf.constant(20.0)
clipped = tf.clip_by_value(tf.sigmoid(logit), 1e-8, 1 - 1e-8)
black = (1 - one) * tf.math.log(1 - clipped)
clipped_form = (one * tf.math.log(clipped) + black).numpy()
logits_form = (one * logit - tf.nn.softplus(logit)).numpy()

# %% tags=["check"]
decoder = tfd.Bernoulli(logits=tf.constant(logits))
by_tfp = decoder.log_prob(pixels).numpy().sum(axis=1)
vh.check("both forms agree", from_logits, from_means, atol=1e-10)
vh.check("TFP gives the same", by_tfp, from_logits, atol=1e-10)
vh.check(
    "clipped in float32, 1 − y is zero all the same",
    (1 - clipped).numpy(),
    0,
    relation="=",
)
assert np.isnan(clipped_form)
vh.check("in logits log p is zero", logits_form, 0, atol=1e-6)

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
# - *The best common variance* is found by setting the derivative of (1.38) to zero: $-\frac{D}{2\sigma^2} + \frac{1}{2\sigma^4} \lVert x - \mu \rVert^2 = 0$, so $\sigma^2 = \lVert x - \mu \rVert^2 / D$, the mean squared error. At the optimum $\log p = -\frac{D}{2} (\log 2\pi\sigma^2 + 1)$. [Rybkin et al. 2021](../book/bibliography.md) train with this variance: it weighs the two terms of the bound without a factor to tune.
# - *A density is not a probability.* It can exceed 1, so a Gaussian log-likelihood can be positive, and it grows without bound as $\sigma \to 0$ at pixels that never change. Numbers from Bernoulli and Gaussian decoders cannot be compared.

# %%
rng = np.random.default_rng(18)
z, hidden, pixels = rng.normal(size=2), 8, rng.normal(size=6)
W3, W4 = rng.normal(size=(hidden, 2)), rng.normal(size=(6, hidden))
W5 = 0.3 * rng.normal(size=(6, hidden))
b3, b4, b5 = (rng.normal(size=size) for size in (hidden, 6, 6))

h = np.tanh(W3 @ z + b3)
mean, log_variance = W4 @ h + b4, W5 @ h + b5
scaled = (pixels - mean) ** 2 / np.exp(log_variance)
formula = -0.5 * np.sum(math.log(2 * math.pi) + log_variance + scaled)

# %% tags=["check"]
decoder = tfd.MultivariateNormalDiag(mean, np.exp(0.5 * log_variance))
squared_error = np.sum((pixels - mean) ** 2)
best = squared_error / 6


def log_p(common_variance: float) -> float:
    """log p(x | z) with one variance for all six pixels."""
    return stats.norm.logpdf(pixels, mean, math.sqrt(common_variance)).sum()


found = optimize.minimize_scalar(
    lambda v: -log_p(v),
    bounds=(0.01, 50),
    method="bounded",
    options={"xatol": 1e-8},
)
by_tfp = decoder.log_prob(pixels).numpy()
vh.check("TFP gives (1.38)", by_tfp, formula, atol=1e-10)
vh.check(
    "variance ½ gives the squared error, up to D/2 log π",
    log_p(0.5) + 3 * math.log(math.pi),
    -squared_error,
    atol=1e-10,
)
vh.check(
    "the best variance is the mean squared error", found.x, best, atol=1e-4
)
vh.check(
    "there log p is −D/2 (log 2πσ² + 1)",
    -found.fun,
    -3 * (math.log(2 * math.pi * best) + 1),
    atol=1e-8,
)
vh.check(
    "a log density may be positive",
    stats.norm.logpdf(0.0, 0.0, 0.01),
    0,
    relation=">",
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
    """Log-normaliser of the continuous Bernoulli in nats, (1.40).

    For y other than 1/2.
    """
    return np.log(2 * np.arctanh(1 - 2 * y) / (1 - 2 * y))


def continuous_bernoulli_mean(y: np.ndarray) -> np.ndarray:
    """Mean of the continuous Bernoulli, (1.41), for y other than 1/2."""
    return y / (2 * y - 1) + 1 / (2 * np.arctanh(1 - 2 * y))


# %% tags=["check"]
def unnormalised(x: float, y: float) -> float:
    """exp B of one pixel: the integrand of (1.39)."""
    return y**x * (1 - y) ** (1 - x)


def first_moment(x: float, y: float) -> float:
    """The integrand of the mean, not normalised."""
    return x * unnormalised(x, y)


ys = np.array([0.02, 0.3, 0.7, 0.9, 0.999])
mass, moment = (
    np.array([integral(f, 0, 1, args=(y,), epsabs=1e-13) for y in ys])
    for f in (unnormalised, first_moment)
)
log_p = 0.4 * np.log(ys) + 0.6 * np.log(1 - ys) + log_c(ys)  # at x = 0.4
by_tfp = tfd.ContinuousBernoulli(probs=tf.constant(ys)).log_prob(
    tf.constant(0.4, tf.float64)
)

vh.check(
    "quadrature gives log C at five values of y",
    -np.log(mass),
    log_c(ys),
    atol=1e-8,
)
vh.check("no integral reaches ½", mass, 0.5, relation="<")
vh.check(
    "quadrature gives the mean (1.41)",
    moment / mass,
    continuous_bernoulli_mean(ys),
    atol=1e-8,
)
vh.check("TFP gives (1.40)", by_tfp.numpy(), log_p, atol=1e-8)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels against the parameter y between 0 and 1. Left: the neglected term log C(y), lowest at log 2, about 0.69 nats, for y one half and rising steeply towards both ends. Right: the mean of the continuous Bernoulli, an S-shaped curve flatter than the diagonal, so the mean is closer to one half than y."}}
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
right.plot(
    y,
    continuous_bernoulli_mean(y),
    color=BLUE,
    label="continuous Bernoulli",
)
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
white = all_images == 1
chance = np.prod(np.where(white, grey, 1 - grey), axis=1)  # Pr(x~ | x)
nodes, node_weights = gauss_hermite(1, 80)
log_p_binary = np.log(
    [
        node_weights @ np.exp(tiny_log_likelihood(x_b, nodes, tiny))
        for x_b in all_images
    ]
)
average_log_p = chance @ log_p_binary  # left side of (1.43)

mu, sigma = 0.2, 0.8
codes = mu + sigma * nodes
B_values = tiny_log_likelihood(grey, codes, tiny)
kl = -minus_kl(np.array([mu]), np.array([2 * math.log(sigma)]))
grey_bound = node_weights @ B_values - kl  # right side of (1.43)

# %% tags=["check"]
assert abs(chance.sum() - 1) < 1e-12
binary = [tiny_log_likelihood(x_b, codes, tiny) for x_b in all_images]
# KL(q || p(z | x~)) for each binary image, from its definition:
log_q_codes = stats.norm.logpdf(codes, mu, sigma)[:, 0]
log_ratio = log_q_codes - stats.norm.logpdf(codes)[:, 0]
kl_to_posteriors = [
    node_weights @ (log_ratio - log_p_given_z + log_p_b)
    for log_p_given_z, log_p_b in zip(binary, log_p_binary, strict=True)
]
assert min(kl_to_posteriors) > 0
entropy = -np.sum(grey * np.log(grey) + (1 - grey) * np.log(1 - grey))

vh.check(
    "B is the average over binarisations, (1.42)",
    B_values,
    chance @ binary,
    atol=1e-10,
)
vh.check(
    "the grey-level objective is a lower bound, (1.43)",
    grey_bound,
    average_log_p,
    relation="<",
)
vh.check(
    "its gap is the average KL to the posteriors",
    average_log_p - grey_bound,
    chance @ kl_to_posteriors,
    atol=1e-8,
)
vh.check(
    "no B exceeds minus the entropy of the binarisation",
    [*B_values, average_log_p],
    -entropy,
    relation="<",
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
    x = pixels.mean()

    def objective(y):
        bce = -(x * math.log(y) + (1 - x) * math.log(1 - y))
        return bce - (log_c(y) if with_normaliser else 0.0)

    return optimize.minimize_scalar(
        objective,
        bounds=(0.51, 0.999),
        method="bounded",
        options={"xatol": 1e-9},
    ).x


# %% tags=["check"]
vh.check(
    "the mean of the pixels is that of (1.41)",
    pixels.mean(),
    continuous_bernoulli_mean(true_y),
    atol=4 * standard_error(pixels),
)
vh.check(
    "BCE settles at their mean",
    fit(with_normaliser=False),
    pixels.mean(),
    atol=1e-6,
)
vh.check(
    "the continuous Bernoulli settles at the true parameter",
    fit(with_normaliser=True),
    true_y,
    atol=0.01,
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

# %% tags=["check"]
# The referee: the same expectation under q by quadrature.
nodes, node_weights = gauss_hermite(J, 80)
z = nu + nodes / np.sqrt(np.diag(Lambda))
log_posterior_z, log_q_z = (
    stats.multivariate_normal.logpdf(z, nu, np.linalg.inv(precision))
    for precision in (P, Lambda)
)

vh.check(
    "quadrature gives (1.48)",
    node_weights @ np.exp(2 * (log_posterior_z - log_q_z)),
    second_moment,
    atol=1e-8,
)
vh.check(
    "2P − Λ is positive definite, by its least eigenvalue",
    np.linalg.eigvalsh(2 * P - Lambda).min(),
    0,
    relation=">",
)
vh.check(
    "with the best diagonal q it is not",
    np.linalg.eigvalsh(2 * P - np.diag(np.diag(P))).min(),
    0,
    relation="<",
)

# %% [markdown]
# Now the bound itself. Each $k$ gets fresh samples. The last two checks use (1.46), which has little noise, to test the rate (1.47).

# %%
rng = np.random.default_rng(20)
ks = [1, 2, 5, 10, 50, 500]
q_sd = 1 / np.sqrt(np.diag(Lambda))
L_k, L_k_error, gap_times_k = [], [], {}
for k in ks:
    repeats = 400_000 // k
    z = nu + rng.normal(size=(repeats * k, J)) * q_sd
    log_ratio = stats.norm.logpdf(z) - stats.norm.logpdf(z, nu, q_sd)
    log_w = log_likelihood(x, z, W, m, s) + log_ratio.sum(axis=1)
    log_p_hat = logsumexp(log_w.reshape(repeats, k), axis=1) - math.log(k)
    L_k.append(log_p_hat.mean())
    L_k_error.append(standard_error(log_p_hat))
    off = log_p_hat - log_px
    gap_times_k[k] = k * (np.expm1(off) - off)  # samples of k times (1.46)

elbo_of_q = elbo_exact(x, W, m, s, nu, np.linalg.inv(Lambda))

# %% tags=["check"]
vh.check(
    "L_1 is the ELBO within 4 standard errors",
    L_k[0],
    elbo_of_q,
    atol=4 * L_k_error[0],
)
vh.check("L_k rises with k", L_k[1:], L_k[:-1], relation=">")
vh.check(
    "up to k = 50 it is over 4 standard errors below log p(x)",
    np.add(L_k[:5], 4 * np.array(L_k_error[:5])),
    log_px,
    relation="<",
)
vh.check(
    "at k = 500 it is as near to log p(x) as (1.47) says",
    L_k[-1],
    log_px,
    atol=4 * L_k_error[-1] + weight_variance / (2 * 500),
)
rate = gap_times_k[500]
vh.check(
    "there k times the gap is that of (1.47)",
    rate.mean(),
    weight_variance / 2,
    atol=4 * standard_error(rate),
)
rate = gap_times_k[1]
vh.check(
    "at k = 1 it is over 20 standard errors off",
    abs(rate.mean() - weight_variance / 2),
    20 * standard_error(rate),
    relation=">",
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "The importance-weighted bound against the number of samples k on a logarithmic axis, in nats. It starts at the exact ELBO for k = 1, about 0.8 nats too low, rises monotonically, and lies on the exact log p(x) within a hundredth of a nat from k = 50 on."}}
fig, ax = plt.subplots()
ax.axhline(log_px, color=ORANGE, linestyle="--", label="exact log p(x)")
ax.axhline(
    elbo_of_q, color=GREEN, linestyle=":", label="exact ELBO of this q"
)
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
    xscale="log",
    xlabel="samples k",
    ylabel="nats",
    title="The bound tightens with k",
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

# %% tags=["check"]
by_hand = np.exp([-3.0, 0.0, -1.0])  # the weights, times e^1000
vh.check("e^−1000 is zero in float64", math.exp(-1000), 0, relation="=")
vh.check(
    "log-sum-exp is exact all the same",
    log_mean.numpy(),
    -1000 + math.log(by_hand.mean()),
    atol=1e-10,
)
vh.check(
    "the gradient is the softmax of the log-weights",
    gradient,
    by_hand / by_hand.sum(),
    atol=1e-10,
)
vh.check(
    "the best sample gets the largest weight",
    gradient[1],
    gradient[[0, 2]],
    relation=">",
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
# Both terms are at least zero: the first is itself an average of KLs, $I(x; z) = \mathbb{E}_x[\mathrm{KL}(q_\phi(z \mid x) \Vert q_\phi(z))]$. The second is what you want small if samples from the prior are to look like data. The first is what makes codes useful, and the KL penalises it all the same. With $N$ data points $I \le \log N$, because $q_\phi(z) \ge \frac{1}{N} q_\phi(z \mid x^{(i)})$ and so no logarithm in the first term exceeds $\log N$: a code cannot do more than name the data point. [Alemi et al. 2018](../book/bibliography.md) plot the KL term, the *rate*, against minus the reconstruction term, the *distortion*: networks with the same ELBO can lie far apart on that curve, from codes that say nothing to codes that say nearly all.
#
# The check: five data points with Gaussian posteriors in one dimension. Left side by (1.35), right side by quadrature over the mixture.

# %%
mus = np.array([-1.8, -0.6, 0.1, 0.9, 2.0])
sigmas = np.array([0.3, 0.5, 0.2, 0.4, 0.3])
# The average of five one-dimensional KLs, (1.35):
average_kl = -minus_kl(mus, 2 * np.log(sigmas)) / 5


def aggregate(z: float) -> float:
    """q(z), the average of the five posteriors, equation (1.49)."""
    return stats.norm.pdf(z, mus, sigmas).mean()


def information_integrand(z: float) -> float:
    """The mean over data points of q(z | x) log(q(z | x) / q(z))."""
    log_q = stats.norm.logpdf(z, mus, sigmas)
    return np.mean(np.exp(log_q) * (log_q - math.log(aggregate(z))))


def kl_integrand(z: float) -> float:
    """The integrand of KL(q(z) || p(z))."""
    log_ratio = math.log(aggregate(z)) - stats.norm.logpdf(z)
    return aggregate(z) * log_ratio


# %%
options = {"points": list(mus), "epsabs": 1e-11, "limit": 400}
information = integral(information_integrand, -5, 5, **options)
kl_aggregate = integral(kl_integrand, -5, 5, **options)

# %% tags=["check"]
assert information > 0 and kl_aggregate > 0
vh.check(
    "the average KL is I(x; z) + KL(q(z) ‖ p(z))",
    average_kl,
    information + kl_aggregate,
    atol=1e-7,
)
vh.check(
    "most of it is information",
    information,
    kl_aggregate,
    relation=">",
)
vh.check("its ceiling is log 5", information, math.log(5), relation="<")

# %% [markdown]
# Most of the KL here is information. Its ceiling is $\log 5 \approx 1.609$ nats; the five posteriors overlap a little, so it stays below. In pPCA, with the exact posterior and with data drawn from the model itself, the aggregate posterior *is* the prior: $\int p(x) p(z \mid x) dx = p(z)$. Then the average KL is all mutual information, which is $\frac{1}{2} \log \det P$ (the entropy of $z$, minus that of $z$ given $x$, by (1.13)).

# %% tags=["check"]
C = W @ W.T + s**2 * np.eye(D)
gain = np.linalg.inv(P) @ W.T / s**2  # posterior mean: gain @ (x - m)
covariance_of_means = gain @ C @ gain.T
covariance_of_codes = covariance_of_means + np.linalg.inv(P)
# (1.14) to the prior, averaged over x:
log_det_P = np.linalg.slogdet(P)[1]
average_kl = 0.5 * (np.trace(covariance_of_codes) - J + log_det_P)

vh.check(
    "the codes of all data have the covariance of the prior",
    covariance_of_codes,
    np.eye(J),
    atol=1e-10,
)
vh.check(
    "the average KL is the mutual information",
    average_kl,
    0.5 * log_det_P,
    atol=1e-10,
)

# %% [markdown]
# So a KL of zero is not the goal: it would mean that the code says nothing about the image.

# %% [markdown]
# ## 1.9 Where it comes from, and what stands beside it
#
# **Wake-sleep** ([Hinton et al. 1995](../book/bibliography.md)) is the closest ancestor: a generative network and a recognition network, trained side by side. The *wake* phase fits the generator to codes drawn from the recognition network, as a VAE does. The *sleep* phase fits the recognition network to "dreams": draw $z$ and $x$ from the model and make $q$ predict $z$. That minimises $\mathrm{KL}(p_\theta(z \mid x) \Vert q_\phi(z \mid x))$, the KL with its arguments swapped, on the model's own data. So the two phases do not optimise one common objective, and no bound is guaranteed to rise. In exchange it works for discrete codes, without any reparameterisation.
#
# What does swapping do? Fit a diagonal Gaussian to $\mathcal{N}(\nu, P^{-1})$ by the swapped KL. Only $-\mathbb{E}_p[\log q] = \sum_j \frac{1}{2} (\log 2\pi\sigma_j^2 + \mathbb{E}_p[(z_j - \mu_j)^2] / \sigma_j^2)$ depends on $q$. It is least at $\mu_j = \nu_j$ and $\sigma_j^2 = (P^{-1})_{jj}$: the true marginal variance, against the VAE's $1/P_{jj}$, which is smaller.

# %% tags=["check"]
S = np.linalg.inv(P)
found = optimize.minimize(
    lambda log_v: kl_gaussians(nu, S, nu, np.diag(np.exp(-log_v))),
    np.zeros(J),
    tol=1e-12,
)
sleep_variances = np.exp(found.x)

vh.check(
    "the swapped KL picks the posterior's own variances",
    sleep_variances,
    np.diag(S),
    atol=1e-5,
)
vh.check(
    "here they are over 1.5 times the VAE's",
    sleep_variances,
    1.5 / np.diag(P),
    relation=">",
)

# %% [markdown]
# **Stochastic variational inference** (SVI; [Hoffman et al. 2013](../book/bibliography.md)) brought minibatches to variational Bayes, with the same factor $N/M$. It is built for models whose conditionals are conjugate exponential families: each posterior conditional stays in a known family, such as the Gaussians. There the expectations of section 1.1 have closed forms, and the updates are natural gradients. Each data point keeps its own variational parameters, refitted in an inner loop. The VAE needs no conjugacy, and replaces the inner loop by an encoder.
#
# **Probabilistic PCA** ([Tipping & Bishop 1999](../book/bibliography.md); [Roweis 1998](../book/bibliography.md)) is the VAE with a linear decoder and the exact posterior, as you have used it throughout. Ordinary PCA is its limit for vanishing noise: as $s \to 0$, the posterior covariance $P^{-1}$ goes to zero, $\nu$ goes to $(W^\top W)^{-1} W^\top (x - m)$, and the reconstruction $m + W \nu$ becomes the orthogonal projection of $x$ onto the plane through $m$ along the columns of $W$. A *linear autoencoder* with squared error finds the same subspace ([Baldi & Hornik 1989](../book/bibliography.md)).

# %% tags=["check"]
projection = W @ np.linalg.solve(W.T @ W, W.T)
distance = []
for noise in (0.1, 0.01, 0.001):
    nu_small, P_small = posterior(x, W, m, noise)
    difference = W @ nu_small - projection @ (x - m)
    distance.append(np.linalg.norm(difference))

assert np.linalg.inv(P_small).max() < 1e-5
vh.check(
    "at s = 0.001 the reconstruction is the projection",
    distance[2],
    0,
    atol=1e-5,
)
vh.check(
    "a tenth of the noise brings it a hundred times nearer",
    np.divide(distance[:-1], distance[1:]),
    100,
    rtol=0.2,
)

# %% [markdown]
# **Sparse autoencoders** ask for codes in which most entries are zero, by a penalty on the code ([Ranzato et al. 2006](../book/bibliography.md)); *sparse coding* ([Olshausen & Field 1996](../book/bibliography.md)) infers such a code by optimisation for each image. The penalty plays the part of a $-\log p(z)$ with a peak at zero, but the code is a single point: the entropy of $q$ is missing, so there is no bound on $\log p(x)$, and the weight of the penalty must be tuned.
#
# **Predictive sparse decomposition** (PSD; [Kavukcuoglu, Ranzato & LeCun 2008](../book/bibliography.md)) trains an encoder to *predict* the optimal sparse code. This is amortised inference, as in the VAE and with the same gain in speed. The difference is again that it predicts a point, with a squared error, not a distribution.
#
# **Denoising autoencoders** ([Vincent et al. 2008](../book/bibliography.md), [2010](../book/bibliography.md)) corrupt the input and reconstruct the clean image. Noise enters at the *data*, in the VAE at the *code*. What such a network learns is not a density but its slope. For Gaussian noise of variance $\tau^2$ the best reconstruction is $\mathbb{E}[x \mid \tilde x] = \tilde x + \tau^2 \nabla \log p(\tilde x)$, where $p(\tilde x)$ is the density of noisy data (compare [Alain & Bengio 2014](../book/bibliography.md)). *Proof:* $p(\tilde x) = \int p(x) \mathcal{N}(\tilde x; x, \tau^2 I) dx$, and the gradient of the Gaussian in $\tilde x$ is $\frac{x - \tilde x}{\tau^2}$ times itself. So $\nabla p(\tilde x) = \frac{1}{\tau^2} (\mathbb{E}[x \mid \tilde x] - \tilde x) p(\tilde x)$. Divide by $p(\tilde x)$. ∎ In pPCA both sides can be computed.

# %% tags=["check"]
tau = 0.5
C = W @ W.T + s**2 * np.eye(D)  # covariance of clean data
noisy = x + tau * np.random.default_rng(21).normal(size=D)
# E[x | noisy], of two vectors that are jointly Gaussian:
best_reconstruction = m + C @ np.linalg.solve(
    C + tau**2 * np.eye(D), noisy - m
)


def log_noisy_density(point: np.ndarray) -> float:
    """log p of a noisy point: the noise adds tau^2 to every variance."""
    return log_marginal(point, W, m, math.sqrt(s**2 + tau**2))


steps = 1e-5 * np.eye(D)
higher = np.array([log_noisy_density(noisy + step) for step in steps])
lower = np.array([log_noisy_density(noisy - step) for step in steps])
slope = (higher - lower) / 2e-5

vh.check(
    "the best denoiser moves by τ² times the slope of the log density",
    best_reconstruction,
    noisy + tau**2 * slope,
    atol=1e-7,
)

# %% [markdown]
# **Contractive autoencoders** ([Rifai et al. 2011](../book/bibliography.md)) add to the reconstruction error the squared derivative of the encoder, $\lVert \partial f / \partial x \rVert_F^2$, the sum of its squared entries. The code then changes only along directions in which data vary. It is a deterministic cousin of denoising. Where the VAE pays for a precise code through its KL term, the contractive penalty pays for a sensitive one. There is no prior on the code and no density of the data. A review of this family is [Bengio, Courville & Vincent 2013](../book/bibliography.md).
#
# The tie to denoising can be made exact for a linear reconstruction $R(x) = K x$ and noise of variance $\tau^2$: the cross term averages to zero, so $\mathbb{E} \lVert x - K(x + \tau\varepsilon) \rVert^2 = \lVert x - K x \rVert^2 + \tau^2 \lVert K \rVert_F^2$. Denoising *is* then a penalty on the derivative.

# %% tags=["check"]
K = np.random.default_rng(22).normal(size=(D, D)) * 0.4
noise = np.random.default_rng(23).normal(size=(200_000, D))
denoising_errors = np.sum((x - (x + tau * noise) @ K.T) ** 2, axis=1)
plain_error = np.sum((x - K @ x) ** 2)

vh.check(
    "denoising error = plain error + τ² times the squared derivative",
    denoising_errors.mean(),
    plain_error + tau**2 * np.sum(K**2),
    atol=4 * standard_error(denoising_errors),
)
vh.check(
    "it is over 100 standard errors above the plain error",
    denoising_errors.mean(),
    plain_error + 100 * standard_error(denoising_errors),
    relation=">",
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

# %% tags=["plumbing"]
shifts, factors = np.linspace(-1.2, 1.2, 121), np.linspace(0.2, 2.5, 120)
centres = nu + shifts[:, None] * np.array([1.0, 0.0])
S, S_diagonal = np.linalg.inv(P), np.diag(1 / np.diag(P))
full = [elbo_exact(x, W, m, s, c, S) for c in centres]
diagonal = [elbo_exact(x, W, m, s, c, S_diagonal) for c in centres]
curve = np.array([log_marginal(x, a * W, m, s) for a in factors])

touching, touching_points = {}, []  # bounds; pairs (ELBO, log p(x))
for a0 in (0.4, 0.9, 1.8):
    nu_a, P_a = posterior(x, a0 * W, m, s)
    S_a = np.linalg.inv(P_a)
    touching[a0] = np.array(
        [elbo_exact(x, a * W, m, s, nu_a, S_a) for a in factors]
    )
    at_a0 = elbo_exact(x, a0 * W, m, s, nu_a, S_a)
    touching_points.append((at_a0, log_marginal(x, a0 * W, m, s)))

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels, values in nats. Left: against the shift of the mean of q, log p(x) is a horizontal line; the ELBO with the posterior's full covariance is a downward parabola touching it at shift zero, and the ELBO with the best diagonal covariance is the same parabola 0.35 nats lower. Right: against the decoder factor a, log p(x) is a curve with three bounds below it, each touching it in one marked point with the same slope."}}
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
left.axhline(log_px, color="black", label="log p(x)")
left.plot(
    shifts, full, color=BLUE, label="ELBO, covariance of the posterior"
)
left.plot(
    shifts, diagonal, color=ORANGE, label="ELBO, best diagonal covariance"
)
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
colours = (BLUE, GREEN, PINK)
for colour, (a0, bound) in zip(colours, touching.items(), strict=True):
    label = f"ELBO, q = posterior at a = {a0}"
    right.plot(factors, bound, color=colour, label=label)
    right.plot(a0, log_marginal(x, a0 * W, m, s), "o", color=colour)
right.set(
    xlabel="decoder parameter a",
    title="Moving θ",
    ylim=(curve.max() - 4, curve.max() + 2),
)
right.legend(fontsize=9, loc="upper right")
plt.show()

# %% tags=["check"]
vh.check(
    "left, the upper bound touches log p(x)", max(full), log_px, atol=1e-10
)
vh.check(
    "the lower one stays below by the gap (1.16)",
    log_px - max(diagonal),
    gap_formula,
    atol=1e-10,
)
vh.check(
    "right, each bound touches log p(x) at its a",
    *np.transpose(touching_points),
    atol=1e-10,
)
vh.check(
    "it lies below everywhere else",
    list(touching.values()),
    curve,
    relation="≤",
)

# %% [markdown]
# Each update of a VAE takes a small step in both panels at once. Moving $\phi$ closes the gap. Moving $\theta$ climbs the bound.
#
# ### The computation graph before and after the trick
#
# Square boxes are computed, round ones are drawn at random. A gradient can flow backwards through computation only.


# %% tags=["plumbing"]
def box(ax, position, text, random=False, colour="black"):
    """A computed node (square) or a random one (round) at position."""
    style = (
        "circle,pad=0.45" if random else "round,pad=0.35,rounding_size=0.02"
    )
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
    """An arrow between two nodes that does not touch them."""
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

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two computation graphs side by side, from the parameters phi at the bottom through mu and sigma to z and f of z at the top. Before the trick z is a round random node and the orange gradient arrow coming down from f stops above it. After the trick z is a square computed node fed by mu, sigma and by a separate random noise node epsilon, and the green gradient arrows run from f down to phi."}}
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
            arrow(
                ax,
                places[start],
                places[end],
                colour=GREEN,
                style="--",
                bend=0.5,
            )
        ax.text(
            -1.35, 1.65, "gradient", color=GREEN, ha="center", va="center"
        )
    else:
        arrow(
            ax,
            places["f(z)"],
            places["z"],
            colour=ORANGE,
            style="--",
            bend=0.5,
        )
        ax.text(
            -1.2,
            2.55,
            "gradient\nstops here",
            color=ORANGE,
            ha="center",
            va="center",
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

# %% tags=["plumbing"]
angle = np.linspace(0, 2 * np.pi, 200)
circle = np.stack([np.cos(angle), np.sin(angle)])


def ellipse(centre: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """The curve at one standard deviation of a Gaussian, shape [2, 200]."""
    return centre[:, None] + np.linalg.cholesky(covariance) @ circle


# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels in the plane of the two latent codes, ellipses at one standard deviation. Left: the tilted posterior; the small upright ellipse of the best diagonal q, far shorter than the posterior along its long direction and slightly outside it across; and the larger upright ellipse of the swapped KL, as wide and as high as the posterior. Right: after rotating the latent axes the posterior is upright and the best diagonal q coincides with it."}}
S, S_diagonal = np.linalg.inv(P), np.diag(1 / np.diag(P))
rotated_covariance = np.linalg.inv(P_rotated)

fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 4))
left.plot(*ellipse(nu, S), color="black", label="posterior")
left.plot(
    *ellipse(nu, S_diagonal), color=BLUE, label="best diagonal q, KL(q‖p)"
)
left.plot(
    *ellipse(nu, np.diag(np.diag(S))),
    color=ORANGE,
    linestyle="--",
    label="swapped, KL(p‖q)",
)
left.set(
    xlabel="$z_1$",
    ylabel="$z_2$",
    title=f"tilted: gap {gap_formula:.2f} nats",
)
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
    *ellipse(nu_rotated, S_rotated),
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

# %% tags=["check"]
S = np.linalg.inv(P)
points = ellipse(nu, S) - nu[:, None]
vh.check(
    "the posterior's curve is at one standard deviation",
    np.sum(points * (P @ points), axis=0),
    1,
    atol=1e-10,
)
vh.check(
    "the swapped q is as wide and as high as the posterior",
    points.max(axis=1),
    np.sqrt(np.diag(S)),
    atol=1e-3,  # the curve is drawn through 200 points
)
vh.check(
    "the rotated posterior has no tilt",
    rotated_covariance[0, 1],
    0,
    atol=1e-10,
)

# %% [markdown]
# Left: the diagonal $q$ of a VAE cuts the posterior's curve on the two axes through the centre. It is much too short along the long direction and a little too wide across it. The swapped KL of wake-sleep gives an ellipse that is exactly as wide and as high as the posterior. Right: with rotated axes there is nothing left to lose.

# %% [markdown]
# ## What we measured
#
# | Question | Published statement | On this page |
# |---|---|---|
# | gap of the best diagonal $q$ in pPCA | not in the paper | $\frac{1}{2}(\sum_j \log P_{jj} - \log \det P)$, 0.350 nats here; zero after a rotation |
# | variance of the score-function gradient | "very high" (paper, section 2.2) | 4108.5 times the pathwise gradient's at $J = 100$; 76 times with the best constant baseline |
# | samples per data point | one, "as long as the minibatch size M was large enough, e.g. M = 100" (paper, section 2.3) | at a fixed budget $L = 1$ is never worse; here $L = 100$, $M = 1$ has 61 times its variance |
# | is SGVB-B less noisy than A? | "typically" (paper, section 2.3) | not always: at the exact posterior A has no variance in its value; for the gradient it depends on the parameter |
# | Erlang by the inverse CDF | listed (paper, section 2.4) | no elementary inverse: a sum of exponentials |
# | gamma as a sum of exponentials | listed (paper, section 2.4) | integer shapes only; a learned shape needs implicit gradients |
# | Dirichlet as a "weighted sum of Gamma variates" | listed (paper, section 2.4) | gammas divided by their sum |
# | AEVB on pPCA | not in the paper | reaches the closed-form maximum likelihood to within 0.01 nats |
# | BCE on grey levels is a log-likelihood | common in tutorials | lacks at least $\log 2$ nats per pixel; it is a bound for dynamically binarised data |
# | importance-weighted bound | rises with $k$ (Burda et al. 2016) | from 0.79 nats too low at $k = 1$ to below 0.01 at $k = 50$; the gap falls like $0.38/k$ |
#
# The check recomputes the numbers of the table.

# %% tags=["check"]
without, with_best = (
    score_variance(100, 0.5, baselines(100, 0.5)[name]) / 4
    for name in ("none", "best")
)
for claim, value, in_table, atol in (
    ("gap of the best diagonal q, in nats", gap_formula, 0.350, 5e-4),
    ("variance without a baseline, over the path's", without, 4108.5, 0.05),
    ("variance with the best one, over the path's", with_best, 76, 0.5),
    (
        "variance at L = 100, over L = 1",
        predicted[-1] / predicted[0],
        61,
        0.5,
    ),
    ("nats too low at k = 1", log_px - elbo_of_q, 0.79, 0.005),
    ("gap at large k, times k", weight_variance / 2, 0.38, 0.005),
):
    vh.check(claim, value, in_table, atol=atol)
vh.check(
    "gap at k = 50 by (1.47)", weight_variance / 100, 0.01, relation="<"
)

# %% tags=["plumbing", "nbval-ignore-output"]
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
# **5. When L = 2 pays.** $V_x = 9$ and $V_\varepsilon = 4$. (a) At $L M = 100$, compare $L = 1$, 10 and 100. (b) Now loading and encoding a data point costs as much as 5 decoder passes, so a step costs $M (5 + L)$, and the budget is 600. Treat $M$ as a real number. Which $L$ is best?
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
# In (1.50), $I(x; z) \le \log 60000 = 11.00$ nats. So $\mathrm{KL}(q_\phi(z) \Vert p(z)) \ge 25 - 11.00 = 14.00$ nats. This is the average of $\log \frac{q_\phi(z)}{p(z)}$ over the codes. So there are places where the codes are at least $e^{14}$ times as dense as the prior, where the prior hardly ever draws.
#
# It does *not* say that draws from the prior fall where no codes are. In one dimension let half of the codes follow the prior and half $\mathcal{N}(8, 1)$. The two halves hardly overlap, and each has half of the density. The KL of $\mathcal{N}(8, 1)$ to the prior is $\frac{8^2}{2}$ and counts for half of the codes, so the KL is $\frac{1}{2} \cdot \frac{8^2}{2} - \log 2 = 15.3$ nats, and yet the codes have at least half the prior's density everywhere. About draws from the prior you would have to ask the other direction, $\mathrm{KL}(p(z) \Vert q_\phi(z))$.
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


# %% tags=["solution"]
def kl_1d(mu_1, sigma_1, mu_2, sigma_2) -> float:
    """KL of two Gaussians in nats by quadrature: no closed form used."""
    q, r = stats.norm(mu_1, sigma_1), stats.norm(mu_2, sigma_2)
    return integral(
        lambda z: q.pdf(z) * (q.logpdf(z) - r.logpdf(z)),
        mu_1 - 12 * sigma_1,
        mu_1 + 12 * sigma_1,
    )


vh.check("exercise 1: KL(q ‖ p)", kl_1d(1, 0.5, 0, 1), 0.8181, atol=1e-4)
vh.check("exercise 1: KL(p ‖ q)", kl_1d(0, 1, 1, 0.5), 2.8069, atol=1e-4)

precision = np.array([[5.0, 3.0], [3.0, 5.0]])
zero = np.zeros(2)
best_gap = optimize.minimize(
    lambda log_v: kl_gaussians(
        zero, np.diag(np.exp(log_v)), zero, precision
    ),
    zero,
    tol=1e-10,
)
marginal = np.diag(np.linalg.inv(precision))
vh.check("exercise 2: the gap", best_gap.fun, 0.2231, atol=1e-4)
vh.check("exercise 2: variances of q", np.exp(best_gap.x), 0.2, atol=1e-4)
vh.check("exercise 2: the posterior's own", marginal, 0.3125, atol=1e-10)

variances = [
    score_variance(10, 1.0, b) for b in baselines(10, 1.0).values()
]
vh.check(
    "exercise 3: three variances", variances, [552, 72, 68], relation="="
)

# %% tags=["solution"]
u = np.random.default_rng(24).random(20_000)
kumaraswamy = (1 - (1 - u) ** (1 / 3)) ** (1 / 2)
test = stats.kstest(kumaraswamy, lambda z: 1 - (1 - z**2) ** 3)
median = math.sqrt(1 - 0.5 ** (1 / 3))
vh.check("exercise 4: p-value", test.pvalue, 0.01, relation=">")
vh.check("exercise 4: the median", median, 0.4542, atol=1e-4)

at_100 = [9 / (100 // L) + 4 / 100 for L in (1, 10, 100)]
by_L = [(5 + L) / 600 * (9 + 4 / L) for L in (1, 2, 3, 4)]
vh.check("exercise 5 (a)", at_100, [0.13, 0.94, 9.04], atol=0.005)
vh.check("exercise 5 (b)", by_L[:2], [0.13, 0.1283], atol=5e-5)
vh.check(
    "exercise 5 (b): L = 2 is best",
    by_L[1],
    [by_L[0], *by_L[2:]],
    relation="<",
)

draws = np.log(1 + u * 8) / math.log(9)  # r = 9
test = stats.kstest(draws, lambda t: (9**t - 1) / 8)
cb_mean = continuous_bernoulli_mean(0.9)
vh.check("exercise 6: p-value", test.pvalue, 0.01, relation=">")
vh.check("exercise 6: log C(0.9)", log_c(0.9), 1.0103, atol=1e-4)
vh.check("exercise 6: the mean", cb_mean, 0.6699, atol=1e-4)

# %% tags=["solution"]
# x - mean: the squared error term against the Gaussian's
error = np.random.default_rng(25).normal(size=784)
sd = math.sqrt(392)
log_ratio = stats.norm.logpdf(error, 0, sd) - stats.norm.logpdf(0, 0, sd)
vh.check("exercise 7: σ", sd, 19.8, atol=0.05)
vh.check(
    "exercise 7: log p, up to a constant, is minus the mean error",
    log_ratio.sum(),
    -np.mean(error**2),
    atol=1e-9,
)

weights = np.array([1.0, 3.0])
pair_means = [(a + b) / 2 for a in weights for b in weights]
vh.check("exercise 8: L_1", np.log(weights).mean(), 0.5493, atol=1e-4)
vh.check("exercise 8: L_2", np.log(pair_means).mean(), 0.6212, atol=1e-4)
log_p_8 = math.log(weights.mean())
vh.check("exercise 8: log p(x)", log_p_8, 0.6931, atol=1e-4)

vh.check("exercise 9: log 60,000", math.log(60000), 11.00, atol=0.005)

sigma = np.linspace(0.01, 5, 500)
wrong_kl = -0.5 * (1 + np.log(sigma) ** 2 - sigma**2)
small, large = wrong_kl[sigma < 0.999], wrong_kl[sigma > 1.001]
vh.check("exercise 10: negative below 1", small, 0, relation="<")
vh.check("exercise 10: positive above 1", large, 0, relation=">")

# %% [markdown]
# ## What to read next
#
# - [Chapter 2](02_mlp_vae.ipynb) builds a first VAE on real images, with (1.28) as its objective.
# - [Chapter 4](04_sgvb_a_vs_b.ipynb) takes up sections 1.3 and 1.5: the variances of A, B and the path gradient, for any decoder, and measured during training.
# - [Kingma & Welling 2013](../book/bibliography.md), sections 2 and 3 and appendices B and C: you can now check every line of them.
# - [Mohamed et al. 2020](../book/bibliography.md) on Monte Carlo gradients in general, and [Jordan et al. 1999](../book/bibliography.md) on variational methods before the VAE.
