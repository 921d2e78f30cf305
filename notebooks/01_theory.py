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
# **The log-probability of an image, $\log p(x)$, is the ELBO plus a gap, and the gap is a KL divergence. Drawing a code as $z = \mu + \sigma \varepsilon$, noise stretched and shifted, lets a gradient pass through the draw, and usually a far quieter one than the naive one.**

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

# %% tags=["plumbing"]
import vae_helpers as vh

import itertools
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import integrate, optimize, stats
from scipy.special import expit

tfd = tfp.distributions
started = time.monotonic()
vh.use_book_style()
plt.rcParams.update({"figure.figsize": (5.4, 3.4), "font.size": 11})
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PINK, YELLOW, SKY = "#CC79A7", "#E69F00", "#56B4E9"


def standard_error(samples: np.ndarray) -> float:
    """Standard error of the mean of independent samples."""
    return np.std(samples, ddof=1) / math.sqrt(np.size(samples))


# %% tags=["plumbing"] mystnb={"image": {"alt": "Three bars for three encoders, good, off and far off, in nats. Each bar is split into a blue part, the ELBO, and an orange part on top, the gap: 0.02, 0.64 and 1.78 nats. The tops of all three bars lie on one line, log p(x) = −3.71."}}
# The tiny model of section 1.1: its code z on a grid, one image.
rng = np.random.default_rng(1)
W1, b1 = rng.normal(size=(1, 3)), rng.normal(size=3)
W2, b2 = 2 * rng.normal(size=(3, 4)), 0.5 * rng.normal(size=4)
image, points = np.array([1.0, 0.0, 1.0, 1.0]), np.linspace(-8, 8, 4001)
width = points[1] - points[0]
logits = np.tanh(points[:, None] * W1 + b1) @ W2 + b2
log_terms = (image * logits - np.logaddexp(0, logits)).sum(axis=1)
log_terms += stats.norm.logpdf(points)
top_log_p = math.log(np.exp(log_terms).sum() * width)
encoders = {
    "good": (-1.15, 0.89),
    "off": (-0.2, 0.7),
    "far off": (0.5, 0.5),
}
top_elbos = []
for mu, sigma in encoders.values():
    log_q = stats.norm.logpdf(points, mu, sigma)
    terms = np.exp(log_q) * (log_terms - log_q)
    top_elbos.append(terms.sum() * width)
top_gaps = top_log_p - np.array(top_elbos)

fig, ax = plt.subplots(figsize=(5.4, 3.6))
floor = -7
names = [
    f"{name}\nμ = {mu:.2f}\nσ = {sigma:.2f}".replace("-", "−")
    for name, (mu, sigma) in encoders.items()
]
ax.bar(names, np.subtract(top_elbos, floor), 0.6, floor, color=BLUE)
ax.bar(names, top_gaps, 0.6, top_elbos, color=ORANGE)
ax.axhline(top_log_p, color="black")
for k, (bound, gap) in enumerate(zip(top_elbos, top_gaps, strict=True)):
    inside = {"ha": "center", "va": "center", "color": "white"}
    ax.text(k, (bound + floor) / 2, f"ELBO\n−{-bound:.2f}", **inside)
    if gap > 0.3:
        ax.text(k, bound + gap / 2, f"gap {gap:.2f}", **inside)
    else:
        ax.text(
            k, top_log_p + 0.1, f"gap {gap:.2f}", ha="center", color=ORANGE
        )
ax.text(2.35, top_log_p + 0.1, f"log p(x) = −{-top_log_p:.2f}", ha="right")
ax.set(xlabel="encoder q", ylabel="nats, cut at −7", ylim=(floor, -3.1))
ax.set_title("log p(x) = ELBO + gap, whatever q is")
plt.show()

# %% [markdown]
# One image $x$ under a decoder so small that everything can be computed. Three encoders $q$: the ELBO and the gap change, their sum does not.
#
# **What you will be able to do**
#
# - say what a variational autoencoder (VAE) assumes, and which three integrals stand in its way;
# - derive the evidence lower bound (ELBO) in two ways, and say what its gap is;
# - explain why the score-function gradient is too noisy, and measure it;
# - prove the reparameterisation trick, and use it;
# - write down the two estimators of the ELBO, and say why one sample per image is enough;
# - derive the Kullback–Leibler (KL) term, and say what a Bernoulli and a Gaussian decoder believe.
#
# **What it needs.** Calculus, and probability up to the Gaussian density and the expectation. A *network* is here a function with many adjustable numbers, its parameters. Reading takes 45 to 60 minutes without the exercises, the code less than a minute on two CPU cores, without a data set. The [glossary](../book/glossary.md) explains words, the [notation](../book/notation.md) symbols.
#
# **How it is built.** Folded cells compute both sides of each formula and print a line with a tick; of several pairs it shows the worst. Sampled averages must lie within four standard errors of the formula. The main source is [Kingma & Welling 2013](../book/bibliography.md), "the paper"; [Rezende, Mohamed & Wierstra 2014](../book/bibliography.md) found the same independently. What needs more room stands on deeper pages, linked where their result is stated; you can follow this one without them.
#
# Logarithms are natural, so bounds are in **nats** (1 nat ≈ 1.44 bits). $\mathbb{E}_q[f]$ is the expectation $\int q(z) f(z) dz$.

# %% [markdown]
# ## 1.1 The model, and three integrals in its way
#
# ### From the autoencoder to the VAE
#
# An **autoencoder** is a pair of functions. The encoder maps an image to a short code, the decoder maps the code back. Both are trained until the result is close to the image. Nothing else is asked of the code: stretch it, undo that in the decoder, and the reconstruction is the same. And nobody knows where to put a new code to get a new image.
#
# A **variational autoencoder** starts at the other end, with a probability model of images:
#
# 1. draw a code from a fixed **prior**, $z \sim p(z)$;
# 2. draw the image from a distribution whose parameters a network, the **decoder**, computes from $z$: $x \sim p_\theta(x \mid z)$.
#
# The encoder is the tool for fitting this model. It answers with a cloud, not with a point.


# %% tags=["plumbing"]
def box(ax, position, text, random=False, size=12):
    """A computed node (square) or a random one (round) at position."""
    round_box = "round,pad=0.35,rounding_size=0.02"
    style = {
        "boxstyle": "circle,pad=0.45" if random else round_box,
        "facecolor": "#FFF3D6" if random else "#E3F0F9",
        "edgecolor": "black",
        "linewidth": 1.4,
    }
    place = {"ha": "center", "va": "center", "zorder": 3}
    ax.text(*position, text, fontsize=size, bbox=style, **place)


def arrow(ax, start, end, colour="black", style="-", bend=0.0, gap=20):
    """An arrow between two nodes that does not touch them."""
    properties = {
        "arrowstyle": "-|>",
        "color": colour,
        "linestyle": style,
        "linewidth": 1.6,
        "shrinkA": gap,
        "shrinkB": gap,
        "connectionstyle": f"arc3,rad={bend}",
    }
    ax.annotate("", end, start, zorder=1, arrowprops=properties)


def tiny_image(ax, left, bottom, values, size=1.0):
    """Four pixels as a square of two by two; 1 is white."""
    for k, value in enumerate(values):
        corner = left + size / 2 * (k % 2), bottom + size / 2 * (k < 2)
        grey = {
            "facecolor": str(round(float(value), 3)),
            "edgecolor": "grey",
        }
        ax.add_patch(plt.Rectangle(corner, size / 2, size / 2, **grey))


# %% tags=["plumbing"] mystnb={"image": {"alt": "Two rows. Top, the autoencoder: an image of four pixels, the encoder, a plane of codes with a single point and a question mark in the empty part, the decoder, a reconstruction. Bottom, the VAE: the same image, the encoder, a plane with a cloud of points inside the dashed circle of the prior, one point of which is drawn, the decoder, and a probability of white for each pixel in grey."}}
rng = np.random.default_rng(2)
fig, axes = plt.subplots(2, 1, figsize=(5.4, 4.6))
titles = "autoencoder: one point", "VAE: a cloud, held near the prior"
grey_levels = ([0.95, 0.1, 0.9, 0.95], [0.85, 0.3, 0.65, 0.8])
for ax, title, levels in zip(axes, titles, grey_levels, strict=True):
    tiny_image(ax, 0, 0.6, image)
    box(ax, (2.35, 1.1), "encoder", size=11)
    ax.add_patch(plt.Rectangle((3.6, 0), 2.2, 2.2, fill=False))
    ax.text(4.7, -0.42, "codes z", ha="center")
    box(ax, (7.05, 1.1), "decoder", size=11)
    tiny_image(ax, 8.4, 0.6, levels)
    for start, end in (
        (1.05, 1.55),
        (3.15, 3.55),
        (5.85, 6.25),
        (7.85, 8.35),
    ):
        arrow(ax, (start, 1.1), (end, 1.1), gap=0)
    ax.set(xlim=(-0.2, 9.6), ylim=(-0.6, 2.3), title=title)
    ax.set_aspect("equal")
    ax.axis("off")
axes[0].plot(5.2, 1.6, "o", color=BLUE)
axes[0].text(4.3, 0.6, "?", fontsize=18, ha="center", color="grey")
circle = plt.Circle(
    (4.7, 1.1), 0.95, fill=False, linestyle="--", color="grey"
)
axes[1].add_patch(circle)
cloud = np.array([[4.95], [1.35]]) + 0.17 * rng.normal(size=(2, 60))
axes[1].plot(*cloud, ".", color=SKY, markersize=5)
axes[1].plot(5.1, 1.25, "o", color=ORANGE)
axes[0].text(0.5, 0.12, "image x", ha="center")
axes[1].text(0.5, 0.12, "image x", ha="center")
axes[1].text(8.9, 0.12, "p(x | z)", ha="center")
plt.show()

# %% [markdown]
# Where the autoencoder's plane is empty, nobody knows what the decoder does. In the VAE most of the prior lies inside the dashed circle. One code is drawn from the cloud (orange), and the decoder returns a probability for each pixel. An autoencoder does not notice when all codes are stretched and the decoder's weights shrunk to match. A VAE does: its codes become improbable under the prior. The check stretches 200 codes.

# %% tags=["check"]
rng = np.random.default_rng(0)
samples = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5))
encode, decode = rng.normal(size=(5, 2)), rng.normal(size=(2, 5))
stretch = np.array([[10.0, 3.0], [0.0, 0.1]])
code, stretched_code = samples @ encode, samples @ encode @ stretch


def mean_log_prior(z: np.ndarray) -> float:
    """Mean log density of the codes under the prior N(0, I), in nats."""
    return stats.norm.logpdf(z).sum(axis=1).mean()


vh.check(
    "largest difference between the reconstructions from both codes",
    np.abs(
        stretched_code @ (np.linalg.inv(stretch) @ decode) - code @ decode
    ).max(),
    0,
    atol=1e-10,
)
vh.check(
    "under N(0, I) the stretched codes are over 100 nats less probable",
    mean_log_prior(code) - mean_log_prior(stretched_code),
    100,
    relation=">",
)

# %% [markdown]
# ### What is known, and what is wanted
#
# The joint density of code and image is the product
#
# $$
# p_\theta(x, z) = p(z) p_\theta(x \mid z). \tag{1.1}
# $$
#
# The data are $N$ independent draws $x^{(1)}, \dots, x^{(N)}$ from the model, each with its own code.
#
# | Known | Not known |
# |---|---|
# | the images $x^{(i)}$ | their codes $z^{(i)}$ |
# | the prior, here $\mathcal{N}(0, I)$ in $J$ dimensions | the parameters $\theta$ |
# | the family of $p_\theta(x \mid z)$, such as one Bernoulli per pixel | the posterior $p_\theta(z \mid x)$ |
#
# You want $\theta$, to generate images; $z$ given $x$, to have codes; and $p_\theta(x)$, to say how probable an image is. Keep two words apart: $p_\theta(x \mid z)$ is the **conditional likelihood**, given one code; $p_\theta(x)$ the **marginal likelihood**, averaged over all codes.
#
# ### The three integrals
#
# **First, the marginal likelihood.** Sum over everything that could have produced $x$:
#
# $$
# p_\theta(x) = \int p(z) p_\theta(x \mid z) dz. \tag{1.2}
# $$
#
# With a network inside there is, in general, no closed form.
#
# **Second, the posterior.** By Bayes' rule it has the first integral as its denominator:
#
# $$
# p_\theta(z \mid x) = \frac{p(z) p_\theta(x \mid z)}{p_\theta(x)}. \tag{1.3}
# $$
#
# So the classical fit for models with hidden variables, expectation–maximisation ([Dempster, Laird & Rubin 1977](../book/bibliography.md)), is out: it averages over this posterior.
#
# **Third, the expectations of variational Bayes.** This classical method replaces the posterior by a simple density $q(z)$, and needs $\mathbb{E}_{q}[\log p_\theta(x \mid z)]$ (section 1.2 says what for) in closed form. With one nonlinear layer in the decoder there is, in general, none.
#
# On top of that the data set is large: an update must not touch every image, nor run a long simulation for each.
#
# In a model with a single code dimension all three can be done by brute force. Here is a decoder with four black-or-white pixels and three hidden units. For each pixel it returns a **logit** $\ell$; the pixel is white with probability $1/(1 + e^{-\ell})$. The weights `W1`, `b1`, `W2`, `b2` are random numbers, drawn once for the picture at the top. The last line of `log_likelihood` is (1.23), derived in section 1.7.


# %%
def log_likelihood(x, z, W2=W2):
    """log p(x | z) in nats, shape [n], of an image x for codes z [n]."""
    hidden = np.tanh(np.outer(z, W1) + b1)  # [n, 3]
    logits = hidden @ W2 + b2  # [n, 4], one for each pixel
    return (x * logits - np.logaddexp(0.0, logits)).sum(axis=1)


def integral(values):
    """The integral over z of a function, given on the grid."""
    return values.sum() * step


grid = np.linspace(-8, 8, 4001)
step = grid[1] - grid[0]
log_prior = stats.norm.logpdf(grid)

x = np.array([1.0, 0.0, 1.0, 1.0])
log_joint = log_prior + log_likelihood(x, grid)  # (1.1)
p_x = integral(np.exp(log_joint))  # (1.2)
posterior = np.exp(log_joint) / p_x  # (1.3)

# %% tags=["check"]
all_images = np.array(list(itertools.product([0.0, 1.0], repeat=4)))
p_all = np.array(
    [
        integral(np.exp(log_prior + log_likelihood(x_k, grid)))
        for x_k in all_images
    ]
)


def joint_density(z: float, x: np.ndarray) -> float:
    """p(x, z) of the tiny model, equation (1.1)."""
    return stats.norm.pdf(z) * math.exp(log_likelihood(x, np.array([z]))[0])


by_quad = [
    integrate.quad(joint_density, -10, 10, args=(x_k,), epsabs=1e-13)[0]
    for x_k in all_images
]
mean = integral(grid * posterior)
variance = integral((grid - mean) ** 2 * posterior)
skewness = integral((grid - mean) ** 3 * posterior) / variance**1.5

vh.check(
    "adaptive quadrature gives the same p(x) for all 16 images",
    p_all,
    by_quad,
    atol=1e-8,
)
vh.check("the 16 probabilities sum to 1", p_all.sum(), 1, atol=1e-8)
vh.check(
    "log p(x) is the line in the picture at the top",
    math.log(p_x),
    top_log_p,
    atol=1e-10,
)
assert abs(integral(posterior) - 1) < 1e-8
vh.check(
    "the skewness is over 0.3 in size: the posterior is not Gaussian",
    abs(skewness),
    0.3,
    relation=">",
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Densities against the code z. The wide dashed bell of the prior is centred at 0. The filled curve of the true posterior is narrower, has its top at about −1.3 and leans: its left flank is steep, its right tail long. A Gaussian with the same mean and width follows it closely, but its top is lower and further right."}}
q_on_top = stats.norm.pdf(grid, mean, math.sqrt(variance))
fig, ax = plt.subplots()
ax.plot(grid, np.exp(log_prior), "--", color="grey", label="prior p(z)")
ax.fill_between(grid, posterior, color=GREEN, alpha=0.25)
ax.plot(grid, posterior, color=GREEN, label="true posterior p(z | x)")
ax.plot(grid, q_on_top, color=PINK, label="Gaussian, same μ and σ")
ax.set(xlim=(-4.6, 3.4), ylim=(0, 0.62), xlabel="code z", ylabel="density")
ax.set_title("The true posterior is no Gaussian")
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# Two integrals are done. The posterior is skewed; a Gaussian is not. Yet a Gaussian comes close, and that is what a VAE will use for $q$.
#
# The third does not even need a grid. Draw codes from the pink Gaussian, evaluate, average: **Monte Carlo**. One evaluation, at its mean, is no substitute: here it is off by 0.17 nats.
#
# You could sample (1.2) too, with codes from the prior. But almost none of them explains a given photograph: the average would rest on a few lucky draws. An encoder that has learnt where to look is what makes sampling affordable.

# %% tags=["check"]
mu, sigma = mean, math.sqrt(variance)
by_grid = integral(q_on_top * log_likelihood(x, grid))
draws = mu + sigma * np.random.default_rng(1).normal(size=100_000)
by_monte_carlo = log_likelihood(x, draws)
at_the_mean = log_likelihood(x, np.array([mu]))[0]
vh.check(
    "Monte Carlo agrees with the grid",
    by_monte_carlo.mean(),
    by_grid,
    atol=4 * standard_error(by_monte_carlo),
)
vh.check(
    "the value at the mean of q is over 20 standard errors off",
    abs(by_monte_carlo.mean() - at_the_mean)
    / standard_error(by_monte_carlo),
    20,
    relation=">",
)
vh.check("which is so many nats", at_the_mean - by_grid, 0.17, atol=0.005)

# %% [markdown]
# The grid is only our referee: its cost grows exponentially with the dimension of the code. With 8 points a dimension one image at $J = 20$ takes $8^{20} \approx 10^{18}$ decoder passes ([the page on quadrature](11_quadrature.ipynb)). Next comes a bound that draws can estimate (section 1.2), and then its gradient (1.3 and 1.4).

# %% [markdown]
# ## 1.2 The evidence lower bound
#
# ### One tool: the KL divergence is never negative
#
# How far is a density $q$ from a density $r$? The **Kullback–Leibler divergence** averages the log of their ratio over $q$:
#
# $$
# \mathrm{KL}(q \Vert r) = \int q(z) \log \frac{q(z)}{r(z)} dz. \tag{1.4}
# $$
#
# *Claim:* it is at least zero, and zero only if $q = r$ almost everywhere. All it takes is that the logarithm lies below its tangents.

# %% tags=["plumbing"] mystnb={"image": {"alt": "The logarithm of t in blue and the straight line t minus 1 in orange, for t from 0 to 3. The line touches the curve at t = 1, where both are zero, and lies above it everywhere else."}}
t = np.linspace(0.08, 3, 300)
fig, ax = plt.subplots(figsize=(5.4, 2.7))
ax.plot(t, np.log(t), color=BLUE)
ax.plot(t, t - 1, color=ORANGE)
ax.plot(1, 0, "o", color="black")
ax.text(2.1, 0.35, "log t", color=BLUE)
ax.text(1.75, 1.3, "tangent t − 1", color=ORANGE, ha="right")
ax.set(xlabel="t", ylim=(-2.2, 2.1), title="log t never exceeds t − 1")
plt.show()

# %% [markdown]
# *Proof.* $\log t \le t - 1$, with equality only at $t = 1$. Put $t = r(z)/q(z)$ and integrate where $q > 0$:
#
# $$
# \begin{aligned}
# -\mathrm{KL}(q \Vert r) &= \int q \log \frac{r}{q} dz
# \le \int q \left( \frac{r}{q} - 1 \right) dz \\
# &= \int r dz - \int q dz \le 1 - 1 = 0.
# \end{aligned}
# $$
#
# Equality needs $r = q$ wherever $q > 0$; then $r$ has no mass left elsewhere. ∎
#
# It is not symmetric. The VAE uses $\mathrm{KL}(q \Vert r)$ with its own $q$ in front, since it can draw from that one.

# %% tags=["check"]
wide = np.linspace(-12, 12, 4001)
rng = np.random.default_rng(20)


def random_mixture() -> np.ndarray:
    """The density of a random mixture of two Gaussians on a grid."""
    weight = rng.random()
    means, sds = rng.uniform(-3, 3, 2), rng.uniform(0.5, 1.5, 2)
    first, second = stats.norm.pdf(wide[:, None], means, sds).T
    return weight * first + (1 - weight) * second


def kl_on_grid(q: np.ndarray, r: np.ndarray) -> float:
    """KL(q || r), equation (1.4), by the trapezoidal rule."""
    return integrate.trapezoid(q * np.log(q / r), wide)


pairs = [(random_mixture(), random_mixture()) for _ in range(200)]
forward = np.array([kl_on_grid(q, r) for q, r in pairs])
backward = np.array([kl_on_grid(r, q) for q, r in pairs])
vh.check(
    "400 divergences of different densities are above 0.0001 nats",
    [*forward, *backward],
    1e-4,
    relation=">",
)
vh.check(
    "200 divergences of a density to itself are zero",
    [kl_on_grid(q, q) for q, _ in pairs],
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
# ### First route: split log p(x)
#
# Bring in a density $q_\phi(z \mid x)$ with parameters $\phi$: the **recognition model**, or **encoder**. In a VAE it is a network: it reads $x$ and returns the $\mu$ and $\sigma$ of a Gaussian. It stands in for the posterior. Let the two be positive everywhere, so that their ratio exists.
#
# $\log p_\theta(x)$ does not depend on $z$, so its average over $q$ is itself. Write $p_\theta(x) = p_\theta(x, z) / p_\theta(z \mid x)$ by (1.3), then multiply and divide by $q_\phi$:
#
# $$
# \begin{aligned}
# \log p_\theta(x)
# &= \mathbb{E}_{q_\phi} \left[ \log \frac{p_\theta(x, z)}{p_\theta(z \mid x)} \right] \\
# &= \mathbb{E}_{q_\phi} \left[ \log \frac{q_\phi(z \mid x)}{p_\theta(z \mid x)} \right] \\
# &\quad + \mathbb{E}_{q_\phi} \left[ \log \frac{p_\theta(x, z)}{q_\phi(z \mid x)} \right].
# \end{aligned}
# $$
#
# The first term is a KL divergence. The second gets a name, the **evidence lower bound** $\mathcal{L}$ (ELBO):
#
# $$
# \begin{aligned}
# \log p_\theta(x) = {} &\mathrm{KL}(q_\phi(z \mid x) \Vert p_\theta(z \mid x)) \\
# &+ \mathcal{L}(\theta, \phi; x),
# \end{aligned} \tag{1.5}
# $$
#
# $$
# \begin{aligned}
# \mathcal{L}(\theta, \phi; x) = \mathbb{E}_{q_\phi} [ &\log p_\theta(x, z) \\
# &- \log q_\phi(z \mid x) ].
# \end{aligned} \tag{1.6}
# $$
#
# The KL is at least zero, so $\mathcal{L} \le \log p_\theta(x)$. The gap $\log p_\theta(x) - \mathcal{L}$ is exactly the KL from $q$ to the true posterior, so it is zero when $q$ *is* the posterior, and only then. And (1.6) contains only densities that you can evaluate.
#
# **The second form.** Split $\log p_\theta(x, z)$ by (1.1) and group the prior with $q$:
#
# $$
# \begin{aligned}
# \mathcal{L}(\theta, \phi; x) = {} &-\mathrm{KL}(q_\phi(z \mid x) \Vert p(z)) \\
# &+ \mathbb{E}_{q_\phi} \left[ \log p_\theta(x \mid z) \right].
# \end{aligned} \tag{1.7}
# $$
#
# Two different KLs have appeared. The one in (1.5) goes to the *posterior*: it is the gap, and unknown. The one in (1.7) goes to the *prior*: it is part of the bound, and often known in closed form.


# %%
def bound(mu, sigma):
    """Both forms of the ELBO, and the gap, for q = N(mu, sigma²)."""
    log_q = stats.norm.logpdf(grid, mu, sigma)
    q = np.exp(log_q)
    elbo = integral(q * (log_joint - log_q))  # (1.6)
    kl_to_prior = integral(q * (log_q - log_prior))
    reconstruction = integral(q * log_likelihood(x, grid))
    gap = integral(q * (log_q - np.log(posterior)))
    return elbo, reconstruction - kl_to_prior, gap


elbo_1, elbo_2, gap = np.transpose([bound(*q) for q in encoders.values()])

# %% tags=["check"]
vh.check("both forms of the ELBO agree", elbo_2, elbo_1, atol=1e-8)
vh.check(
    "KL to the posterior + ELBO = log p(x)",
    gap + elbo_1,
    math.log(p_x),
    atol=1e-8,
)
vh.check("the bars at the top show these gaps", gap, top_gaps, atol=1e-8)

# %% [markdown]
# Now keep $\theta$, and let only the mean of a Gaussian $q$ move. $\log p_\theta(x)$ is a horizontal line, the ELBO an arch below it.


# %% tags=["plumbing"] mystnb={"image": {"alt": "Nats against the mean of q. log p(x) is a horizontal line. The ELBO of a Gaussian of the right width, σ = 0.89, is an arch that almost touches the line at the mean −1.15; that of a Gaussian that is too narrow, σ = 0.4, dashed, stays about 0.35 nats below it. At the mean −0.05 an orange arrow between arch and line is named the gap."}}
def mark_gap(ax, place, low, high):
    """A double arrow from the bound up to log p(x)."""
    arrow = {"arrowstyle": "<|-|>", "color": ORANGE, "shrinkA": 0}
    arrow |= {"shrinkB": 0, "linewidth": 2}
    ax.annotate("", (place, low), (place, high), arrowprops=arrow)
    ax.text(place + 0.06, 0.85 * low + 0.15 * high, "gap", color=ORANGE)


centres = np.linspace(-3, 0.8, 96)
fig, ax = plt.subplots()
ax.axhline(math.log(p_x), color="black", label="log p(x)")
for sigma, style in ((0.89, "-"), (0.4, "--")):
    values = [bound(centre, sigma)[0] for centre in centres]
    label = f"ELBO, σ = {sigma}"
    ax.plot(centres, values, style, color=BLUE, label=label)
mark_gap(ax, -0.05, bound(-0.05, 0.89)[0], math.log(p_x))
ax.set(xlabel="mean of q", ylabel="nats", title="Moving q narrows the gap")
ax.set_ylim(math.log(p_x) - 3, math.log(p_x) + 0.25)
ax.legend(loc="lower center")
plt.show()

# %% tags=["check"]
best = optimize.minimize(
    lambda q: bound(q[0], math.exp(q[1]))[2], [mean, 0.0], tol=1e-10
)
best_gap = best.fun
vh.check(
    "the smallest gap of a Gaussian q is 0.0157 nats",
    best_gap,
    0.0157,
    atol=5e-5,
)

# %% [markdown]
# A Gaussian of the right width comes within 0.016 nats, never quite there: the posterior is no Gaussian.
#
# Move $q$ yourself. Drag the large dot for its mean, the small one for its width. What the bound gains, the gap loses.
#
# <div class="move-q"><em>(Here $q$ can be moved by hand, where the page may run JavaScript. The picture above shows the same bound.)</em></div>
#
# In several dimensions a $q$ that treats them as independent can leave more: [the page on the linear VAE](12_linear_vae.ipynb) says how much.

# %% [markdown]
# ### Second route: Jensen's inequality
#
# The tangent at $c = \mathbb{E}[w]$ says $\log w \le \log c + (w - c)/c$. Average it; the last term vanishes. This is **Jensen's inequality**, $\mathbb{E}[\log w] \le \log \mathbb{E}[w]$, for every positive random variable $w$.
#
# Now write (1.2) as an average over $q$ of the **importance weight** $w(z) = p_\theta(x, z) / q_\phi(z \mid x)$:
#
# $$
# \begin{aligned}
# \log p_\theta(x) &= \log \int q_\phi(z \mid x) \frac{p_\theta(x, z)}{q_\phi(z \mid x)} dz \\
# &= \log \mathbb{E}_{q_\phi}[w] \\
# &\ge \mathbb{E}_{q_\phi}[\log w] = \mathcal{L}(\theta, \phi; x).
# \end{aligned} \tag{1.8}
# $$
#
# This route is shorter; the first one says more, namely what the gap is. Average several weights before the logarithm, and the bound gets tighter ([the page on importance weighting](14_importance_weighting.ipynb)).

# %% tags=["check"]
mu, sigma = encoders["off"]
q = stats.norm.pdf(grid, mu, sigma)
weight = np.exp(log_joint) / q
vh.check("the average weight is p(x)", integral(q * weight), p_x, atol=1e-8)
vh.check(
    "the average log-weight is the ELBO",
    integral(q * np.log(weight)),
    elbo_1[1],
    atol=1e-8,
)

# %% [markdown]
# ### The bound touches log p(x)
#
# Now the decoder's view: $\theta$ moves. Let one number $\alpha$ multiply the last weights of the tiny decoder, and average over all 16 images, each weighted with its probability at $\alpha = 1$. Pick three values of $\alpha$. At each, set the $q$ of every image to its true posterior, freeze it, and move only $\alpha$.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Nats against the decoder factor α from 0 to 3. The mean of log p(x) is a hill with its top at α = 1. Three bounds lie below it, each touching it in one marked point, at α = 0.4, 1 and 2, with the same slope. At α = 2.4 an orange arrow from the bound of α = 0.4 up to the hill is named the gap."}}
factors = np.linspace(0.0, 3.0, 61)
# log p(x, z) for each factor and image, on the grid: [61, 16, 4001]
log_joints = np.array(
    [
        [
            log_prior + log_likelihood(x_k, grid, f * W2)
            for x_k in all_images
        ]
        for f in factors
    ]
)
log_ps = np.log(np.exp(log_joints).sum(axis=2) * step)
curve = log_ps @ p_all  # the mean over images
touching = {}  # the bound, by the place of the factor where q is exact
for k in (8, 20, 40):
    log_q = log_joints[k] - log_ps[k][:, None]
    elbos = ((log_joints - log_q) * np.exp(log_q)).sum(axis=2) * step
    touching[k] = elbos @ p_all

fig, ax = plt.subplots(figsize=(5.4, 3.8))
ax.plot(factors, curve, color="black", label="mean log p(x)")
colours = (BLUE, GREEN, PINK)
for colour, (k, values) in zip(colours, touching.items(), strict=True):
    label = f"ELBO, q exact at α = {factors[k]:.1f}"
    ax.plot(factors, values, color=colour, label=label)
    ax.plot(factors[k], curve[k], "o", color=colour)
mark_gap(ax, factors[48], touching[8][48], curve[48])
ax.set(xlabel="decoder factor α", ylabel="nats", title="Moving θ climbs")
ax.set_ylim(curve.max() - 1.25, curve.max() + 0.06)
ax.legend(loc="lower left")
plt.show()

# %% tags=["check"]
vh.check(
    "each bound touches log p(x) where its q is exact",
    [values[k] for k, values in touching.items()],
    [curve[k] for k in touching],
    atol=1e-10,
)
vh.check(
    "it is nowhere above",
    list(touching.values()),
    curve + 1e-12,
    relation="≤",
)
slopes = [
    np.subtract(values[k + 1], values[k - 1])
    for k, values in touching.items()
]
vh.check(
    "there it has the slope of log p(x)",
    np.divide(slopes, 2 * factors[1]),
    [(curve[k + 1] - curve[k - 1]) / (2 * factors[1]) for k in touching],
    atol=1e-3,
)

# %% [markdown]
# Each bound touches the curve where its $q$ is the posterior, and with the same slope: the gap has its minimum there, zero, so its slope is zero. Each update of a VAE does a little of both. Moving $\phi$ raises the bound by closing the gap; moving $\theta$ raises the bound. Where the gap is closed, $\log p_\theta(x)$ must rise with it. Where it is open, the gap may merely shrink.

# %% [markdown]
# ## 1.3 The naive gradient, and why its variance hurts
#
# ### The score-function gradient
#
# You want to climb $\mathcal{L}$. In $\theta$ that is easy: $q_\phi$ does not contain it, so the gradient moves inside the average. But $\phi$ sits in the distribution over which you average, and samples are numbers: they have no derivative in $\phi$. For a function $f$ and $q_\phi(z)$ (the condition on $x$ left out), move the gradient under the integral (allowed when $q_\phi$ is smooth in $\phi$ and the region where it is positive does not move), then use $\nabla_\phi \log q_\phi = \nabla_\phi q_\phi / q_\phi$ backwards:
#
# $$
# \begin{aligned}
# \nabla_\phi \mathbb{E}_{q_\phi}[f(z)] &= \int f(z) \nabla_\phi q_\phi(z) dz \\
# &= \mathbb{E}_{q_\phi} \left[ f(z) \nabla_\phi \log q_\phi(z) \right].
# \end{aligned} \tag{1.9}
# $$
#
# $\nabla_\phi \log q_\phi$ is the **score**; the estimator is known as REINFORCE ([Williams 1992](../book/bibliography.md)). It asks for nothing but values of $f$. In words: where $f$ was high, make that draw more probable.
#
# **The score has mean zero**: put $f = 1$ in (1.9). So you may subtract any constant $b$, a **baseline**, from $f$. The mean does not change. The variance does. (In the ELBO $f$ contains $-\log q_\phi$. Its own derivative is $-\nabla_\phi \log q_\phi$, which averages to zero, so (1.9) holds there too.)
#
# ### How noisy is it?
#
# A test bench: $q$ is a product of $J$ Gaussians $\mathcal{N}(\mu_j, 1)$, and $f(z) = \sum_i z_i^2$. Differentiate in one $\mu_j$, then set all of them to $\mu$: the exact derivative is $2\mu$. With $z_j = \mu + \varepsilon_j$ the score is $\varepsilon_j$. The rival is the **pathwise gradient** of section 1.4: differentiate through the sample, $\partial f / \partial \mu_j = 2 z_j$.

# %%
mu, J = 0.5, 20
epsilon = np.random.default_rng(4).normal(size=(200_000, J))
z = mu + epsilon
f = (z**2).sum(axis=1)

by_score = f * epsilon[:, 0]
with_baseline = (f - J * (mu**2 + 1)) * epsilon[:, 0]  # b = E[f]
by_path = 2 * z[:, 0]

# %% tags=["check"]
for name, draws in (
    ("the score function", by_score),
    ("with the mean baseline", with_baseline),
    ("the path", by_path),
):
    vh.check(
        f"{name}: the mean is 2μ within 4 standard errors",
        draws.mean(),
        2 * mu,
        atol=4 * standard_error(draws),
    )


# %% tags=["plumbing"]
def score_variance(J: int, mu: float, b: float) -> float:
    """Variance of one entry of the score-function gradient, (1.10)."""
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


dims = [1, 2, 5, 10, 20, 50, 100]
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

# %% tags=["plumbing"] mystnb={"image": {"alt": "Variance of one gradient entry against the latent dimension J, both axes logarithmic. Without a baseline the variance rises with slope two, with the mean or the best baseline with slope one, and the pathwise gradient stays flat at 4. Measured points lie on the exact lines."}}
fig, ax = plt.subplots(figsize=(5.4, 4.2))
line = np.unique(np.round(np.logspace(0, 2, 40)).astype(int))
series = [
    ("none", "score, no baseline", ORANGE, "o"),
    ("mean", "score, mean baseline", YELLOW, "s"),
    ("best", "score, best constant", GREEN, "^"),
]
for name, label, colour, marker in series:
    ax.loglog(
        line,
        [score_variance(j, mu, baselines(j, mu)[name]) for j in line],
        color=colour,
    )
    ax.loglog(dims, measured[name], marker, color=colour, label=label)
ax.axhline(4, color=BLUE)
ax.loglog(dims, measured["pathwise"], "D", color=BLUE, label="pathwise")
ax.set(
    xlabel="latent dimension J",
    ylabel="variance of one gradient entry",
    title="The price of knowing only the value of f",
)
ax.legend()
plt.show()

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

# %% [markdown]
# Points are measured, lines are exact. The pathwise gradient has the variance 4, whatever $J$. An entry of the score function's gradient has the variance (1.10). In it $\kappa = (J - 1)(\mu^2 + 1) - b$ is the mean of $f - b$ without the entry's own dimension.
#
# $$
# \begin{aligned}
# \mathrm{Var} = {} &\mu^4 + 14 \mu^2 + 15 + 2 \kappa (\mu^2 + 3) \\
# &+ \kappa^2 + (J - 1)(4 \mu^2 + 2).
# \end{aligned} \tag{1.10}
# $$
#
# - **No baseline:** $\kappa$ grows like $J$, so the variance grows like $J^2$.
# - **Mean baseline,** $b = \mathbb{E}[f]$: $\kappa = -(\mu^2 + 1)$, and the variance grows like $J$.
# - **Best constant:** the parabola (1.10) is lowest at $\kappa = -(\mu^2 + 3)$. It still grows like $J$.
#
# For large $J$ most of the noise comes from the other $J - 1$ dimensions. The score function sees only the total $f$ and cannot know which dimension earned it. Without a baseline it has, at $J = 100$, about 4100 times the variance of the pathwise gradient; with the best constant, 76 times. So it needs as many times more samples for the same standard error.
#
# <details>
# <summary>Where (1.10) comes from</summary>
#
# The estimator is $(f - b) \varepsilon_j$. Separate the $j$-th term: $f - b = f_j + f_{-j}$ with $f_j = (\mu + \varepsilon_j)^2$ and $f_{-j} = \sum_{i \ne j} (\mu + \varepsilon_i)^2 - b$. Now $f_j$ and $\varepsilon_j$ are independent of $f_{-j}$, so
#
# $$
# \begin{aligned}
# \mathbb{E}[(f_j + f_{-j})^2 \varepsilon_j^2] = {} &\mathbb{E}[f_j^2 \varepsilon_j^2] + 2 \mathbb{E}[f_{-j}] \mathbb{E}[f_j \varepsilon_j^2] \\
# &+ \mathbb{E}[f_{-j}^2] \mathbb{E}[\varepsilon_j^2].
# \end{aligned}
# $$
#
# The moments $\mathbb{E}[\varepsilon^2] = 1$, $\mathbb{E}[\varepsilon^4] = 3$, $\mathbb{E}[\varepsilon^6] = 15$ (odd ones are zero) give $\mathbb{E}[f_j \varepsilon_j^2] = \mu^2 + 3$, $\mathbb{E}[f_j^2 \varepsilon_j^2] = \mu^4 + 18 \mu^2 + 15$ and $\mathrm{Var}(f_{-j}) = (J - 1)(4 \mu^2 + 2)$. With $\kappa = \mathbb{E}[f_{-j}]$, subtract the squared mean $4\mu^2$. ∎
#
# </details>
#
# > **Note.** The pathwise gradient does not win for every $f$. A steep slope makes it noisy: in one dimension, with $\mu = 0.3$ and the mean baseline, it has less variance for $\tanh z$, and more for $\tanh(5z)$. [Mohamed et al. 2020](../book/bibliography.md) give more examples. For a VAE [chapter 4](04_sgvb_a_vs_b.ipynb) measures. For *discrete* codes the score function, with learned baselines ([Mnih & Gregor 2014](../book/bibliography.md)), is often what is used.

# %% tags=["check"]
noise_density, at = stats.norm.pdf(grid), 0.3 + grid
winners = {}
for a in (1, 5):
    f, slope = np.tanh(a * at), a / np.cosh(a * at) ** 2
    gradient = integral(noise_density * slope)
    centred = f - integral(noise_density * f)
    winners[a] = [
        integral(noise_density * (draw - gradient) ** 2)
        for draw in (slope, centred * grid)
    ]
vh.check("tanh z: the path has less variance", *winners[1], relation="<")
vh.check("tanh 5z: the path has more variance", *winners[5], relation=">")

# %% [markdown]
# ## 1.4 The trick: noise as an input
#
# ### The idea
#
# This is the **reparameterisation trick**. Do not draw $z$ from a distribution that depends on $\phi$. Draw **noise** $\varepsilon$ from a fixed distribution, then shift and stretch it.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Above, the bell of the standard normal with twelve dots, the noise ε, on its axis. Below, a narrower bell centred at 1.5 with twelve dots z on its axis. A thin line leads from each dot above to the dot below that it becomes, z = 1.5 + 0.5 ε; no two lines cross."}}
noise_dots = stats.norm.ppf((np.arange(12) + 0.5) / 12)
mu, sigma = 1.5, 0.5
along = np.linspace(-3, 3.2, 400)
fig, ax = plt.subplots(figsize=(5.4, 4.2))
for level, centre, spread, colour in (
    (1.7, 0, 1, ORANGE),
    (0.0, mu, sigma, BLUE),
):
    height = level + stats.norm.pdf(along, centre, spread)
    ax.fill_between(along, level, height, color=colour, alpha=0.25)
    dots = centre + spread * noise_dots
    ax.plot(dots, np.full(12, level), "o", color=colour, zorder=3)
    ax.axhline(level, color="black", linewidth=0.8)
for dot in noise_dots:
    ax.plot(
        [dot, mu + sigma * dot], [1.7, 0.0], color="grey", linewidth=0.7
    )
ax.text(-2.9, 1.95, "noise ε ~ N(0, 1)", color=ORANGE)
ax.text(-2.9, 0.25, "code z = μ + σε", color=BLUE)
ax.set(yticks=[], xlim=(-3, 3.2), ylim=(-0.12, 2.25))
ax.set_title("Same noise, shifted by μ = 1.5, stretched by σ = 0.5")
ax.grid(False)
ax.spines["left"].set_visible(False)
plt.show()

# %% [markdown]
# Move $\mu$, and every blue dot moves with it: each sample now has a derivative. In general
#
# $$
# z = g_\phi(\varepsilon), \qquad \varepsilon \sim p(\varepsilon). \tag{1.11}
# $$
#
# If $g_\phi$ gives $z$ the density $q_\phi$, then for every $f$ whose expectation exists
#
# $$
# \mathbb{E}_{q_\phi(z)}[f(z)] = \mathbb{E}_{p(\varepsilon)}[f(g_\phi(\varepsilon))]. \tag{1.12}
# $$
#
# *Proof in one dimension, for an increasing $g_\phi$.* The event $z \le t$ is the event $\varepsilon \le g_\phi^{-1}(t)$. With $F$ the cumulative distribution function (CDF) of $\varepsilon$, the CDF of $z$ is $F(g_\phi^{-1}(t))$. Its derivative in $t$ is the density of $z$, $q_\phi(t) = p(g_\phi^{-1}(t)) \frac{d}{dt} g_\phi^{-1}(t)$. With $\varepsilon = g_\phi^{-1}(z)$ this says
#
# $$
# q_\phi(z) dz = p(\varepsilon) d\varepsilon :
# $$
#
# probability is carried along, not created. Substitute $z = g_\phi(\varepsilon)$ in the integral $\int q_\phi(z) f(z) dz$, and it becomes $\int p(\varepsilon) f(g_\phi(\varepsilon)) d\varepsilon$. ∎
#
# A decreasing $g_\phi$ needs the size of the derivative; in $J$ dimensions the determinant of the Jacobian takes its place.
#
# **The gradient.** On the right of (1.12), $\phi$ is no longer in the distribution. So the gradient moves inside, and the chain rule does the rest.
#
# $$
# \nabla_\phi \mathbb{E}_{q_\phi}[f(z)] = \mathbb{E}_{p(\varepsilon)} \left[ \left( \frac{\partial g_\phi}{\partial \phi} \right)^{\top} \nabla_z f(z) \right]. \tag{1.13}
# $$
#
# <details>
# <summary>When this is allowed</summary>
#
# $f(g_\phi(\varepsilon))$ must be differentiable for almost every $\varepsilon$, and change, near this $\phi$, by at most $C(\varepsilon)$ times the change of $\phi$, with $\mathbb{E}[C(\varepsilon)]$ finite.
#
# </details>
#
# It uses the *slope* of $f$, where the score function knew only its value. For $z = \mu + \sigma \varepsilon$ with $\varepsilon \sim \mathcal{N}(0, 1)$, the slopes of $z$ are 1 and $\varepsilon$:
#
# $$
# \begin{aligned}
# \frac{\partial}{\partial \mu} \mathbb{E}[f] &= \mathbb{E}[f'(z)], \\
# \frac{\partial}{\partial \sigma} \mathbb{E}[f] &= \mathbb{E}[\varepsilon f'(z)].
# \end{aligned} \tag{1.14}
# $$
#
# ### In code
#
# Write `z = mu + sigma * epsilon` inside a `GradientTape`, which records the operations, and TensorFlow applies the chain rule. After `tf.stop_gradient` no gradient reaches `mu` and `sigma`. Here $f(z) = z^2 + \sin z$, whose expectation has a closed form; a sum over the grid replaces the average over the noise.

# %%
mu = tf.Variable(0.7, dtype="float64")
sigma = tf.Variable(1.3, dtype="float64")
epsilon, chance = grid, stats.norm.pdf(grid) * step

with tf.GradientTape() as tape:
    z = mu + sigma * epsilon
    average = tf.reduce_sum(chance * (z**2 + tf.sin(z)))
by_tape = tape.gradient(average, [mu, sigma])

with tf.GradientTape() as tape:
    z = tf.stop_gradient(mu + sigma * epsilon)  # forgets mu and sigma
    average = tf.reduce_sum(chance * (z**2 + tf.sin(z)))
cut = tape.gradient(average, [mu, sigma])

# %% tags=["check"]
m, s = 0.7, 1.3
damping = math.exp(-(s**2) / 2)
exact = m**2 + s**2 + damping * math.sin(m)
exact_d_mu = 2 * m + damping * math.cos(m)
exact_d_sigma = 2 * s - s * damping * math.sin(m)
over_z = integrate.quad(
    lambda z: stats.norm.pdf(z, m, s) * (z**2 + math.sin(z)),
    -16,
    16,
    epsabs=1e-12,
)[0]
slope = 2 * (m + s * grid) + np.cos(m + s * grid)
vh.check(
    "averages over z and over the noise agree, (1.12)",
    average.numpy(),
    over_z,
    atol=1e-8,
)
vh.check("both are the closed form", over_z, exact, atol=1e-8)
vh.check(
    "(1.14) gives both exact gradients",
    [chance @ slope, chance @ (epsilon * slope)],
    [exact_d_mu, exact_d_sigma],
    atol=1e-10,
)
vh.check(
    "through the noise the tape gives them too",
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

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two computation graphs side by side, from the parameters phi at the bottom through mu and sigma to z and f of z at the top. Before the trick z is a round random node and the orange gradient arrow coming down from f stops above it. After the trick z is a square computed node fed by mu, sigma and by a separate random noise node epsilon, and the green gradient arrows run from f down to phi."}}
places = {"φ": (0, 0), "μ, σ": (0, 1.1), "z": (0, 2.2), "f(z)": (0, 3.3)}
noise_place = (1.35, 1.65)
fig, axes = plt.subplots(1, 2, figsize=(5.4, 4.4))
for ax, after in zip(axes, (False, True), strict=True):
    for name in ("φ", "μ, σ", "f(z)"):
        box(ax, places[name], name)
    box(ax, places["z"], "μ + σε" if after else "z", random=not after)
    for start, end in (("φ", "μ, σ"), ("μ, σ", "z"), ("z", "f(z)")):
        arrow(ax, places[start], places[end])
    backwards = {"style": "--", "bend": 0.5}
    middle = {"ha": "center", "va": "center"}
    if after:
        box(ax, noise_place, "ε", random=True)
        arrow(ax, noise_place, places["z"])
        for start, end in (("f(z)", "z"), ("z", "μ, σ"), ("μ, σ", "φ")):
            arrow(ax, places[start], places[end], GREEN, **backwards)
        ax.text(-1.35, 1.65, "gradient", color=GREEN, **middle)
    else:
        arrow(ax, places["f(z)"], places["z"], ORANGE, **backwards)
        ax.text(-1.2, 2.55, "gradient\nstops here", color=ORANGE, **middle)
    ax.set(xlim=(-2.1, 2.1), ylim=(-0.5, 3.8))
    ax.set_title("after" if after else "before")
    ax.axis("off")
plt.show()

# %% [markdown]
# Square boxes are computed, round ones drawn at random. A gradient flows backwards through computation only. After the trick nothing random stands between $\phi$ and $f$: the noise comes in from the side.
#
# Which distributions have such a $g$? The paper lists three families. For the gamma, the beta and the Dirichlet $g$ has no closed formula, and yet its gradient can be computed. A **discrete** sample jumps, so no gradient flows through it. [The page on families of noise](13_families_of_noise.ipynb) shows them all.

# %% [markdown]
# ## 1.5 Two estimators, the minibatch, and one sample
#
# ### SGVB-A and SGVB-B
#
# Apply the trick to the two forms of the ELBO. The paper calls the results *stochastic gradient variational Bayes* (SGVB). $L$ is the number of samples per image, $z^{(l)} = g_\phi(\varepsilon^{(l)}, x)$. From (1.6), all terms sampled:
#
# $$
# \begin{aligned}
# \widetilde{\mathcal{L}}_A = \frac{1}{L} \sum_{l=1}^{L} \bigl( &\log p_\theta(x, z^{(l)}) \\
# &- \log q_\phi(z^{(l)} \mid x) \bigr).
# \end{aligned} \tag{1.15}
# $$
#
# From (1.7), with the KL to the prior in closed form and only the reconstruction sampled:
#
# $$
# \begin{aligned}
# \widetilde{\mathcal{L}}_B = {} &-\mathrm{KL}(q_\phi(z \mid x) \Vert p(z)) \\
# &+ \frac{1}{L} \sum_{l=1}^{L} \log p_\theta(x \mid z^{(l)}).
# \end{aligned} \tag{1.16}
# $$
#
# By (1.12) both average to the ELBO: they are unbiased. In the tiny model, with the encoder "good" of the picture at the top ($\mu = -1.15$, $\sigma = 0.89$):

# %%
mu, sigma = encoders["good"]
epsilon = np.random.default_rng(10).normal(size=200_000)
z = mu + sigma * epsilon

log_ratio = stats.norm.logpdf(z) - stats.norm.logpdf(z, mu, sigma)
kl = 0.5 * (mu**2 + sigma**2 - 1 - math.log(sigma**2))  # section 1.6
sgvb_a = log_likelihood(x, z) + log_ratio  # (1.15)
sgvb_b = log_likelihood(x, z) - kl  # (1.16)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two overlaid distributions of single estimates in nats. A, in orange, is narrow, with two peaks between −4 and −3.5 and variance 0.03; B, in blue, is low and wide, from −7 to −2, with variance 1.10. Both have the same mean, a black line at −3.73, the exact ELBO."}}
fig, ax = plt.subplots(figsize=(5.4, 2.9))
bins = np.linspace(-7, -1.5, 111)
for draws, colour, name in ((sgvb_a, ORANGE, "A"), (sgvb_b, BLUE, "B")):
    options = {"density": True, "histtype": "stepfilled", "alpha": 0.45}
    label = f"{name}, variance {draws.var():.2f}"
    ax.hist(draws, bins, color=colour, label=label, **options)
ax.axvline(elbo_1[0], color="black", label="exact ELBO")
ax.set(xlabel="one estimate, L = 1 (nats)", ylabel="density")
ax.set_title("Two estimators, one mean")
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# By how much do they differ, with the same noise and $L = 1$? The reconstruction cancels; what is left is $\log p(z) - \log q(z)$ less its average. Write both out with $z = \mu + \sigma\varepsilon$:
#
# $$
# \begin{aligned}
# \Delta &= \widetilde{\mathcal{L}}_A - \widetilde{\mathcal{L}}_B \\
# &= -\mu \sigma \varepsilon + \frac{1}{2} (1 - \sigma^2)(\varepsilon^2 - 1), \\
# \mathrm{Var}(\Delta) &= \mu^2 \sigma^2 + \frac{1}{2} (1 - \sigma^2)^2 .
# \end{aligned} \tag{1.17}
# $$
#
# (The variance uses $\mathrm{Var}(\varepsilon^2) = 2$ and $\mathrm{Cov}(\varepsilon, \varepsilon^2) = 0$; over $J$ dimensions $\Delta$ is a sum.) $\Delta$ does not contain $\theta$: **A and B have the same $\theta$-gradient**.

# %% tags=["check"]
delta = -mu * sigma * epsilon + 0.5 * (1 - sigma**2) * (epsilon**2 - 1)
vh.check(
    "A − B is (1.17), sample by sample", sgvb_a - sgvb_b, delta, atol=1e-10
)
vh.check(
    "the variance of the difference is that of (1.17)",
    np.mean(delta**2),
    mu**2 * sigma**2 + 0.5 * (1 - sigma**2) ** 2,
    atol=4 * standard_error(delta**2),
)
for name, draws in (("A", sgvb_a), ("B", sgvb_b)):
    vh.check(
        f"{name} averages to the exact ELBO",
        draws.mean(),
        elbo_1[0],
        atol=4 * standard_error(draws),
    )
vh.check(
    "here B has over 30 times the variance of A",
    sgvb_b.var() / sgvb_a.var(),
    30,
    relation=">",
)

# %% [markdown]
# Which one is quieter? The paper says that B "typically" is. Here A is, by far. If $q$ were the posterior, $\log p_\theta(x, z) - \log q_\phi(z \mid x)$ would be $\log p_\theta(x)$ at every $z$: no noise at all. This $q$ is near it. For a gradient, or early in training, the answer can differ, as [chapter 4](04_sgvb_a_vs_b.ipynb) proves and measures.
#
# ### The minibatch factor N/M
#
# The objective is the sum of the ELBO over all $N$ images. A **minibatch** is $M$ of them, drawn without replacement:
#
# $$
# \widetilde{\mathcal{L}}_M = \frac{N}{M} \sum_{i \in \text{batch}} \mathcal{L}(x^{(i)}).
# $$
#
# *It is unbiased.* Let $b_i$ be 1 if image $i$ is in the batch, else 0. All have the same chance and $\sum_i b_i = M$, so $\mathbb{E}[b_i] = M/N$, which cancels the factor. ∎ In practice you divide the objective by $N$. Then everything that is *not* summed over the data, such as a prior on $\theta$, must be divided by $N$ too.
#
# <details>
# <summary>Its variance</summary>
#
# With the spread $V = \frac{1}{N-1} \sum_i (\mathcal{L}(x^{(i)}) - \bar{\mathcal{L}})^2$ over the data,
#
# $$
# \mathrm{Var}(\widetilde{\mathcal{L}}_M) = \frac{N^2}{M} \left( 1 - \frac{M}{N} \right) V . \tag{1.18}
# $$
#
# *Proof.* $\mathrm{Var}(b_i) = \frac{M}{N} (1 - \frac{M}{N})$. Since $\sum_i b_i$ is constant, $N \mathrm{Var}(b_i) + N(N-1) \mathrm{Cov}(b_i, b_k) = 0$, so $\mathrm{Cov}(b_i, b_k) = -\mathrm{Var}(b_i)/(N-1)$. Write $y_i = \mathcal{L}(x^{(i)}) - \bar{\mathcal{L}}$; then $\sum_i y_i = 0$, hence $\sum_{i \ne k} y_i y_k = -\sum_i y_i^2$, and the variance is $\frac{N^2}{M^2} \mathrm{Var}(b_i) (1 + \frac{1}{N-1}) \sum_i y_i^2$. ∎
#
# </details>

# %% tags=["check"]
# Eight images with made-up ELBOs: all 56 minibatches of three.
bounds = np.random.default_rng(12).normal(-100, 10, size=8)
N, M = 8, 3
estimates = np.array(
    [
        N / M * bounds[list(batch)].sum()
        for batch in itertools.combinations(range(N), M)
    ]
)
assert len(estimates) == 56
vh.check(
    "the mean over all 56 minibatches of 3 of 8 images is the full sum",
    estimates.mean(),
    bounds.sum(),
    atol=1e-9,
)
vh.check(
    "their variance is (1.18)",
    estimates.var(),
    N**2 / M * (1 - M / N) * bounds.var(ddof=1),
    atol=1e-8,
)

# %% [markdown]
# ### Why one sample per image is enough
#
# The paper writes that $L = 1$ is enough if $M$ is large, "e.g. $M = 100$". Here is why. Two things are random: which images are in the batch, and the noise. For one entry of the gradient, $V_x$ says how much the exact gradient varies from image to image, and $V_\varepsilon$ how much the noise moves it for one image, on average; both are variances. The estimate from one image then has the variance $V_x + V_\varepsilon / L$: the spread of the means plus the mean of the spreads (the law of total variance). A batch averages $M$ of them. (At fixed $M$ more draws remove at most $V_\varepsilon/M$, and they are not free.)
#
# $$
# \mathrm{Var} = \frac{1}{M} \left( V_x + \frac{V_\varepsilon}{L} \right) = \frac{V_x}{M} + \frac{V_\varepsilon}{L M} . \tag{1.19}
# $$
#
# (This takes images drawn with replacement; without it $V_x$ gets the factor $\frac{N - M}{N - 1}$, and the conclusion stays.) Now fix the budget $L M$ of decoder passes. The second term is fixed with it; the first falls with $M$. So **at a fixed budget of decoder passes $L = 1$ is never worse**. Another sample renews only the noise. Another image renews both. The picture takes 1,000 images drawn from the tiny model, a Gaussian $q$ for each, and one weight of the decoder.

# %% tags=["plumbing"]
# Images drawn from the tiny model; q is a Gaussian at each posterior.
rng = np.random.default_rng(13)
drawn = rng.choice(16, size=1000, p=p_all / p_all.sum())
posteriors = np.array(
    [
        np.exp(log_prior + log_likelihood(x_k, grid)) / p_k
        for x_k, p_k in zip(all_images, p_all, strict=True)
    ]
)
means = posteriors @ grid * step
sds = np.sqrt(posteriors @ grid**2 * step - means**2)


def decoder_gradient(k: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
    """d log p(x | z) / d W2[1, 2] for images k, shape of epsilon."""
    z = means[k] + sds[k] * epsilon
    hidden = np.tanh(z[..., None] * W1[0] + b1)
    white = expit(hidden @ W2[:, 2] + b2[2])
    return (all_images[k, 2] - white) * hidden[..., 1]


values = decoder_gradient(np.arange(16)[:, None], grid[None])
noise_free = values @ stats.norm.pdf(grid) * step
V_each = values**2 @ stats.norm.pdf(grid) * step - noise_free**2
V_x, V_noise = noise_free[drawn].var(), V_each[drawn].mean()

splits = [(L, 100 // L) for L in (1, 2, 5, 10, 20, 50, 100)]  # L M = 100
predicted = np.array([V_x / M + V_noise / (L * M) for L, M in splits])
repeats, variance = 4000, []
for L, M in splits:
    k = drawn[rng.integers(1000, size=(repeats, M, 1))]
    k = np.broadcast_to(k, (repeats, M, L))
    draws = decoder_gradient(k, rng.normal(size=(repeats, M, L)))
    variance.append(draws.mean(axis=(1, 2)).var(ddof=1))

# %% tags=["plumbing"] mystnb={"image": {"alt": "Variance of one gradient entry against the number of samples per image L at a fixed budget of 100 decoder passes, both axes logarithmic. The measured points lie on the line of equation (1.19): lowest at L = 1, and rising steeply to L = 100."}}
fig, ax = plt.subplots()
ls = [L for L, _ in splits]
ax.loglog(ls, predicted, color=SKY, label="equation (1.19)")
ax.loglog(ls, variance, "o", color=BLUE, label="measured")
ax.set_xticks(ls, ls)
ax.minorticks_off()
ax.set(
    xlabel="samples per image, L (images: M = 100 / L)",
    ylabel="variance of a gradient entry",
    title="Fixed budget, L M = 100: one sample is best",
)
ax.legend()
plt.show()

# %% tags=["check"]
vh.check(
    "seven measured variances, as multiples of (1.19), are 1 within 15%",
    variance / predicted,
    1,
    atol=0.15,
)
vh.check("L = 1 has the smallest", variance[0], variance[1:], relation="<")
vh.check(
    "L = 100 has over 50 times as much, by (1.19) and measured",
    [predicted[-1] / predicted[0], variance[-1] / variance[0]],
    50,
    relation=">",
)

# %% [markdown]
# The same work, spent on more samples instead of more images, gives a noisier gradient. Exercise 5 asks what changes when an image costs more than a sample, and [the page on draws or images](20_draws_or_images.ipynb) lets training judge.
#
# ## 1.6 The algorithm, and its KL term
#
# ### Auto-encoding variational Bayes
#
# Put the pieces together, and you have algorithm 1 of the paper:
#
# 1. initialise $\theta$ and $\phi$;
# 2. draw a minibatch of $M$ images, and noise $\varepsilon$ for each;
# 3. compute the gradient of $\widetilde{\mathcal{L}}_M$ in $\theta$ and $\phi$, with (1.15) or (1.16) for each image: one backward pass gives both;
# 4. update $\theta$ and $\phi$ with a stochastic gradient method;
# 5. repeat from 2 until the parameters converge.
#
# **Amortised inference.** Classical variational inference fits a separate $\mu, \sigma$ for each image. Here one function, the encoder, produces them: a new image costs one forward pass. The price is that one function must serve all images.
#
# **The autoencoder reading.** In (1.16), $\log p_\theta(x \mid z)$ is minus the **reconstruction error**: encode, decode, and ask how probable $x$ is. $-\mathrm{KL}(q_\phi(z \mid x) \Vert p(z))$ is a **regulariser**: it keeps the codes near the prior. Unlike in a plain autoencoder the code is sampled, and the weight of the regulariser is not yours to choose. The bound fixes it at 1. (The variance of a Gaussian decoder acts like a weight: section 1.7.)
#
# ### What does the KL term cost?

# %% tags=["plumbing"] mystnb={"image": {"alt": "The KL divergence in nats of a normal q with standard deviation σ to the standard normal prior, against σ from 0 to 2.5, for the means 0, 1 and 2. Each curve falls steeply, has its lowest point at σ = 1 and rises slowly after it. The three lowest points are 0, 0.5 and 2 nats: a mean μ lifts the whole curve by half its square."}}
widths = np.linspace(0.04, 2.5, 300)
fig, ax = plt.subplots()
for mu, colour in ((2, PINK), (1, GREEN), (0, BLUE)):
    kl = 0.5 * (mu**2 + widths**2 - 1 - np.log(widths**2))
    ax.plot(widths, kl, color=colour, label=f"μ = {mu}")
    ax.plot(1, 0.5 * mu**2, "o", color=colour)
ax.text(1, -0.4, "q = prior: free", ha="center", color=BLUE)
ax.set(xlabel="σ of q", ylabel="KL to N(0, 1) (nats)", ylim=(-0.6, 5))
ax.set_title("The price of a code")
ax.legend()
plt.show()

# %% [markdown]
# The width costs nothing at $\sigma = 1$, ever more towards $\sigma = 0$ (a precise code), and something above 1 too; the distance from the origin is paid for with $\frac{1}{2}\mu^2$.
#
# ### −KL for two Gaussians, step by step
#
# The **Gaussian VAE** takes $p(z) = \mathcal{N}(0, I)$ and $q_\phi(z \mid x) = \mathcal{N}(\mu, \mathrm{diag}(\sigma^2))$; the encoder outputs $\mu$ and $\log \sigma^2$. Both densities are products over dimensions, so $\log(q/p)$ is a sum: **one dimension is enough**.
#
# *Step 1: write out the logarithms* for $q = \mathcal{N}(\mu_1, \sigma_1^2)$ and $r = \mathcal{N}(\mu_2, \sigma_2^2)$; the $\frac{1}{2} \log 2\pi$ of both cancels:
#
# $$
# \log \frac{q(z)}{r(z)} = \log \frac{\sigma_2}{\sigma_1} - \frac{(z - \mu_1)^2}{2 \sigma_1^2} + \frac{(z - \mu_2)^2}{2 \sigma_2^2} .
# $$
#
# *Step 2: average over $q$.* The first square averages to $\sigma_1^2$. In the other, write $z - \mu_2 = (z - \mu_1) + (\mu_1 - \mu_2)$; the cross term averages to zero, which leaves $\sigma_1^2 + (\mu_1 - \mu_2)^2$. Hence
#
# $$
# \begin{aligned}
# \mathrm{KL}(q \Vert r) = {} &\log \frac{\sigma_2}{\sigma_1} - \frac{1}{2} \\
# &+ \frac{\sigma_1^2 + (\mu_1 - \mu_2)^2}{2 \sigma_2^2} .
# \end{aligned} \tag{1.20}
# $$
#
# *Step 3: set $\mu_2 = 0$, $\sigma_2 = 1$,* write $\log \sigma = \frac{1}{2} \log \sigma^2$, change the sign and sum over the dimensions:
#
# $$
# \begin{aligned}
# -\mathrm{KL}&(q_\phi(z \mid x) \Vert p(z)) \\
# &= \frac{1}{2} \sum_{j=1}^{J} \left( 1 + \log \sigma_j^2 - \mu_j^2 - \sigma_j^2 \right).
# \end{aligned} \tag{1.21}
# $$


# %%
def minus_kl(mu, log_variance):
    """-KL(N(mu, diag(exp(log_variance))) || N(0, I)) in nats, (1.21)."""
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
    "sampling gives it within 4 standard errors",
    draws.mean(),
    minus_kl(mu, log_variance),
    atol=4 * standard_error(draws),
)
vh.check(
    "it is zero where q is the prior",
    minus_kl(np.zeros(5), np.zeros(5)),
    0,
    relation="=",
)

# The general pair: nothing above tests sigma_2.
mu_1, sigma_1, mu_2, sigma_2 = 0.4, 0.7, -0.3, 1.5
squares = sigma_1**2 + (mu_1 - mu_2) ** 2
formula = math.log(sigma_2 / sigma_1) + squares / (2 * sigma_2**2) - 0.5
q, r = stats.norm(mu_1, sigma_1), stats.norm(mu_2, sigma_2)
by_quadrature = integrate.quad(
    lambda z: q.pdf(z) * (q.logpdf(z) - r.logpdf(z)), -12, 12
)[0]
swapped = integrate.quad(
    lambda z: r.pdf(z) * (r.logpdf(z) - q.logpdf(z)), -20, 20
)[0]
vh.check("quadrature gives (1.20)", by_quadrature, formula, atol=1e-8)
vh.check(
    "with its arguments swapped the KL differs by over 0.5 nats",
    abs(swapped - by_quadrature),
    0.5,
    relation=">",
)

# %% [markdown]
# Averaged over the data, this term has two parts: what a code tells about its image, and how far all codes together lie from the prior, which [the page on the aggregate posterior](15_aggregate_posterior.ipynb) takes apart. So a KL of zero is not the goal: the code would say nothing.
#
# > **Note.** Two slips are common in published code, and both still train. One writes $(\log \sigma)^2$ for $\log(\sigma^2)$: its "KL" can be negative, and the "bound" is no bound. The other feeds $\log \sigma$ where the formula wants $\log \sigma^2$: it charges too little, at $\mu = 0$, $\sigma = 0.5$ only 0.10 nats instead of 0.32, so its "bound" need not be one.

# %% tags=["check"]
sigma = 0.5
correct = -minus_kl(np.zeros(1), np.array([math.log(sigma**2)]))
square_outside = -0.5 * (1 + math.log(sigma) ** 2 - sigma**2)
log_sigma = -minus_kl(np.zeros(1), np.array([math.log(sigma)]))
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
    correct,
    relation="<",
)

# %% [markdown]
# ### All of it in one function
#
# The data are the 1,000 images of section 1.5. A new decoder of the same shape starts from random weights; the encoder is linear. `update` is steps 3 and 4, with estimator B, $L = 1$ and $M = 100$. It knows nothing of the grid.

# %%
rng = np.random.default_rng(15)
shapes = (4, 2), (2,), (1, 3), (3,), (3, 4), (4,)
weights = [tf.Variable(0.5 * rng.normal(size=shape)) for shape in shapes]
E, e, D1, d1, D2, d2 = weights  # encoder, then decoder
optimizer = tf.keras.optimizers.Adam(0.02)


@tf.function
def update(x, epsilon):
    """One step on images x [M, 4] with noise epsilon [M, 1]."""
    with tf.GradientTape() as tape:
        mu, log_variance = tf.split(x @ E + e, 2, axis=1)
        z = mu + tf.exp(0.5 * log_variance) * epsilon  # (1.11)
        logits = tf.tanh(z @ D1 + d1) @ D2 + d2
        # (1.23), in which softplus is log(1 + exp(logit))
        log_p = tf.reduce_sum(x * logits - tf.nn.softplus(logits), 1)
        terms = 1 + log_variance - mu**2 - tf.exp(log_variance)  # (1.21)
        loss = -tf.reduce_mean(log_p + 0.5 * tf.reduce_sum(terms, 1))
    slopes = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(slopes, weights, strict=True))
    return -loss


# %% tags=["plumbing"]
share = np.bincount(drawn, minlength=16) / 1000  # of each of the 16 images


def exact_means() -> tuple[float, float]:
    """Mean log p(x) and mean ELBO of the 1,000 images, on the grid."""
    hidden = np.tanh(np.outer(grid, D1.numpy()) + d1.numpy())
    logits = hidden @ D2.numpy() + d2.numpy()
    log_p, elbo = [], []
    for x_k in all_images:
        terms = (x_k * logits - np.logaddexp(0, logits)).sum(axis=1)
        log_joint_k = log_prior + terms
        log_p.append(math.log(integral(np.exp(log_joint_k))))
        mu, log_variance = x_k @ E.numpy() + e.numpy()
        log_q = stats.norm.logpdf(grid, mu, math.exp(0.5 * log_variance))
        elbo.append(integral(np.exp(log_q) * (log_joint_k - log_q)))
    return share @ log_p, share @ elbo


estimates, exact_log_p = [], []
for number in range(1500):
    if number % 10 == 0:
        exact_log_p.append(exact_means()[0])
    batch = all_images[drawn[rng.choice(1000, 100, replace=False)]]
    estimates.append(update(batch, rng.normal(size=(100, 1))).numpy())
maker = share @ np.log(p_all)  # the decoder that made the images

# %% tags=["plumbing"] mystnb={"image": {"alt": "Nats per image against the number of updates, from 0 to 1,500. The minibatch estimates of the ELBO are a noisy band that climbs within the first hundred updates. The exact mean of log p(x) climbs as well and then lies on a dashed line, the mean log p(x) of the decoder that made the images, at about −2.43."}}
fig, ax = plt.subplots()
ax.plot(
    estimates, color=SKY, linewidth=0.5, label="ELBO, minibatch estimate"
)
ax.plot(np.arange(0, 1500, 10), exact_log_p, "k", label="mean log p(x)")
ax.axhline(
    maker, color=ORANGE, linestyle="--", label="the decoder that made them"
)
ax.set(xlabel="update", ylabel="nats per image", ylim=(-3.6, -2.1))
ax.set_title("The algorithm on the tiny model")
for sample in ax.legend(loc="lower right").get_lines():
    sample.set_linewidth(2)
plt.show()

# %% tags=["check"]
log_p_found, elbo_found = exact_means()
vh.check(
    "the mean log p(x) is that of the decoder that made the images",
    log_p_found,
    maker,
    atol=0.01,
)
white = share @ all_images
no_code = np.sum(white * np.log(white) + (1 - white) * np.log(1 - white))
vh.check("without any code", no_code, -2.44, atol=0.005)
vh.check("the code is worth something", log_p_found, no_code, relation=">")
vh.check("the bound is below it", elbo_found, log_p_found, relation="<")
vh.check("by less than 0.02 nats", elbo_found, log_p_found, atol=0.02)

# %% [markdown]
# It explains the images that it was trained on as well as the decoder that made them, and its bound is nearly tight. (Four pixels leave a code little to tell: pixels drawn each for itself, without any code, reach −2.44.) Single estimates, each with other images and other noise, lie on both sides of the line: only their *mean* is a lower bound. With a linear decoder you can ask for more, since the best likelihood has a closed form, and the algorithm ends within 0.001 nats a data point of it ([the linear VAE](12_linear_vae.ipynb)).

# %% [markdown]
# ## 1.7 Decoders: what the reconstruction term really is
#
# The decoder network computes the *parameters* of $p_\theta(x \mid z)$. Choosing that distribution is choosing the reconstruction error. What does each of the two usual ones believe about a pixel?

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels, what a decoder believes about one pixel whose mean is 0.8. Above, the Bernoulli decoder: two bars, probability 0.2 for black at 0 and 0.8 for white at 1, nothing between. Below, the Gaussian decoder: a bell around 0.8 with standard deviation 0.2, a part of it, shaded, beyond the largest grey level 1."}}
fig, (above, below) = plt.subplots(2, 1, figsize=(5.4, 5.2), sharex=True)
above.bar([0, 1], [0.2, 0.8], width=0.06, color=BLUE)
above.set(ylim=(0, 1), ylabel="probability", title="Bernoulli, y = 0.8")
above.text(0.05, 0.2, "black", va="center")
above.text(0.95, 0.7, "white", va="center", ha="right")
level = np.linspace(-0.3, 1.7, 400)
density = stats.norm.pdf(level, 0.8, 0.2)
below.plot(level, density, color=ORANGE)
beyond = level >= 1
below.fill_between(level[beyond], density[beyond], color=ORANGE, alpha=0.4)
below.text(1.17, 0.75, "brighter\nthan white", color=ORANGE)
below.axvline(1, color="grey", linewidth=0.8)
below.set(xlabel="grey level of the pixel", ylabel="density", ylim=(0, 2.3))
below.set_title("Gaussian, μ = 0.8, σ = 0.2")
plt.show()

# %% [markdown]
# ### Bernoulli
#
# For black-or-white pixels the network ends in $D$ logits $\ell_d$; the probability of white is $y_d = 1/(1 + e^{-\ell_d})$. Given $z$ the pixels are independent:
#
# $$
# \begin{aligned}
# \log p_\theta(x \mid z) &= \sum_{d=1}^{D} \bigl( x_d \log y_d \\
# &\quad + (1 - x_d) \log(1 - y_d) \bigr).
# \end{aligned} \tag{1.22}
# $$
#
# This is minus the *binary cross-entropy* (BCE), summed over pixels. Insert $\log y = \ell - \log(1 + e^{\ell})$ and $\log(1 - y) = -\log(1 + e^{\ell})$; the terms with $x_d \log(1 + e^{\ell_d})$ cancel:
#
# $$
# \begin{aligned}
# \log p_\theta(x \mid z) = \sum_{d=1}^{D} \bigl( &x_d \ell_d \\
# &- \log(1 + e^{\ell_d}) \bigr).
# \end{aligned} \tag{1.23}
# $$
#
# Compute the second form. In single precision $y$ rounds to exactly 1 for logits above about 17, and (1.22) becomes $0 \cdot (-\infty)$. Clipping $y$ at $1 - 10^{-8}$ does not help: in single precision that *is* 1.

# %% tags=["check"]
logits = np.random.default_rng(16).normal(size=(100, 6)) * 3
pixels = np.random.default_rng(17).integers(0, 2, size=(100, 6)) * 1.0
y = expit(logits)
from_means = pixels * np.log(y) + (1 - pixels) * np.log(1 - y)
from_means = from_means.sum(axis=1)  # (1.22)
from_logits = pixels * logits - np.logaddexp(0, logits)
from_logits = from_logits.sum(axis=1)  # (1.23)
decoder = tfd.Bernoulli(logits=tf.constant(logits))
by_tfp = decoder.log_prob(pixels).numpy().sum(axis=1)

# In float32, a white pixel with the logit 20:
one, logit = tf.constant(1.0), tf.constant(20.0)
clipped = tf.clip_by_value(tf.sigmoid(logit), 1e-8, 1 - 1e-8)
black = (1 - one) * tf.math.log(1 - clipped)
clipped_form = (one * tf.math.log(clipped) + black).numpy()
logits_form = (one * logit - tf.nn.softplus(logit)).numpy()

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
# For real-valued data the network outputs a mean and a log-variance per pixel:
#
# $$
# \begin{aligned}
# \log p_\theta(x \mid z) = -\frac{1}{2} \sum_{d=1}^{D} \Bigl( &\log 2\pi + \log \sigma_d^2 \\
# &+ \frac{(x_d - \mu_d)^2}{\sigma_d^2} \Bigr).
# \end{aligned} \tag{1.24}
# $$
#
# - *Squared error has a variance hidden in it.* With one fixed $\sigma^2$, (1.24) is $-\frac{1}{2\sigma^2} \lVert x - \mu \rVert^2$ plus a constant. So "summed squared error + KL" is the negative ELBO of a Gaussian decoder with $\sigma^2 = \frac{1}{2}$. Average the error over pixels, and you have chosen another $\sigma^2$.
# - *The best common variance.* Set the derivative of (1.24) to zero, $-\frac{D}{2\sigma^2} + \frac{1}{2\sigma^4} \lVert x - \mu \rVert^2 = 0$: the best $\sigma^2$ is the mean squared error, and then $\log p = -\frac{D}{2} (\log 2\pi\sigma^2 + 1)$. [Rybkin et al. 2021](../book/bibliography.md) train with it.
# - *A density is not a probability.* It can exceed 1, so $\log p$ can be positive, and it grows without bound as $\sigma \to 0$ at pixels that never change. Never compare it with that of a Bernoulli decoder.

# %% tags=["check"]
rng = np.random.default_rng(18)
z, pixels = rng.normal(size=2), rng.normal(size=6)
W3, W4 = rng.normal(size=(8, 2)), rng.normal(size=(6, 8))
W5 = 0.3 * rng.normal(size=(6, 8))
b3, b4, b5 = (rng.normal(size=size) for size in (8, 6, 6))
h = np.tanh(W3 @ z + b3)  # equation 12 of the paper
pixel_mean, log_variance = W4 @ h + b4, W5 @ h + b5
scaled = (pixels - pixel_mean) ** 2 / np.exp(log_variance)
formula = -0.5 * np.sum(math.log(2 * math.pi) + log_variance + scaled)
decoder = tfd.MultivariateNormalDiag(pixel_mean, np.exp(0.5 * log_variance))
squared_error = np.sum((pixels - pixel_mean) ** 2)
best = squared_error / 6


def log_p(common_variance: float) -> float:
    """log p(x | z) with one variance for all six pixels."""
    sd = math.sqrt(common_variance)
    return stats.norm.logpdf(pixels, pixel_mean, sd).sum()


found = optimize.minimize_scalar(
    lambda v: -log_p(v),
    bounds=(0.01, 50),
    method="bounded",
    options={"xatol": 1e-8},
)
by_tfp = decoder.log_prob(pixels).numpy()
vh.check("TFP gives (1.24)", by_tfp, formula, atol=1e-10)
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

# %% tags=["plumbing"] mystnb={"image": {"alt": "Nats lost for one pixel against its error from −1 to 1, for three Gaussian decoders. With σ = 0.1 the loss is a narrow parabola that reaches 3 nats at an error of 0.25; with σ = 0.3 it reaches 3 nats at 0.73; with σ² = ½, the plain squared error, it is at most 1 nat."}}
error = np.linspace(-1, 1, 201)
fig, ax = plt.subplots()
for sd, colour, label, place in (
    (0.1, ORANGE, "σ = 0.1", (0.27, 2.7)),
    (0.3, GREEN, "σ = 0.3", (0.71, 2.2)),
    (math.sqrt(0.5), BLUE, "σ² = ½", (0.72, 0.2)),
):
    ax.plot(error, error**2 / (2 * sd**2), color=colour)
    ax.text(*place, label, color=colour, ha="left", va="center")
ax.set(xlabel="error of a pixel, x − μ", ylabel="nats lost", ylim=(0, 3))
ax.set(xticks=[-1, -0.5, 0, 0.5, 1], xlim=(-1, 1.12))
ax.set_title("The variance says what an error costs")
plt.show()

# %% [markdown]
# A small $\sigma$ makes the decoder a strict judge, and the KL term look cheap; a large one lets errors pass, and the codes are not worth their price.
#
# ### Grey levels in (1.22)
#
# Many programs feed grey levels into (1.22). That is no log-likelihood of grey levels: integrated over all grey levels, the exponential of a pixel's term is at most ½, so at least $\log 2$ nats a pixel are missing. But it is exactly the average of (1.22) over images whose pixels are drawn black or white with the grey level as probability. [The page on grey levels](17_grey_levels.ipynb) proves both.
#
# That is the whole theory. Where it comes from, and what stands beside it (wake-sleep, denoising, sparse coding), is told on [the page on history](16_history.ipynb).
#
# ## What we measured
#
# | Question | Published | On this page |
# |---|---|---|
# | variance of the score-function gradient | "very high" (paper, section 2.2) | by (1.10) at $J = 100$, $\mu = \frac12$, about 4100 times the pathwise gradient's; 76 times with the best constant |
# | is estimator B less noisy than A? | "typically" (paper, section 2.3) | not always: with the encoder "good" its value has over 30 times A's variance |
# | samples per image | one, "as long as the minibatch size M was large enough, e.g. M = 100" (paper, section 2.3) | at a fixed budget of decoder passes never worse; $L = 100$, $M = 1$ has over 50 times the variance of $L = 1$, $M = 100$ |
# | does the algorithm find the best model? | not measured there | where that is known, with a linear decoder, to within 0.001 nats a data point ([the linear VAE](12_linear_vae.ipynb)) |

# %% tags=["check"]
without, with_best = (
    score_variance(100, 0.5, baselines(100, 0.5)[name]) / 4
    for name in ("none", "best")
)
for claim, value, in_table, atol in (
    ("variance without a baseline, over the path's", without, 4100, 50),
    ("variance with the best one, over the path's", with_best, 76, 0.5),
):
    vh.check(claim, value, in_table, atol=atol)

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - what a VAE assumes, and the three integrals that stand in its way, done by brute force in a tiny model;
# - the ELBO derived in two ways, and its gap, the KL to the true posterior;
# - a score-function gradient whose variance grows with $J$, and like $J^2$ without a baseline;
# - the reparameterisation trick, proved and run;
# - the two estimators of the ELBO, the minibatch factor, and why one sample per image is enough;
# - the KL term step by step, and what a Bernoulli and a Gaussian decoder believe.

# %% [markdown]
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. A KL by hand** (5 min, by hand). What is $\mathrm{KL}(q \Vert p)$ for $q = \mathcal{N}(1, 0.5^2)$ and $p = \mathcal{N}(0, 1)$? And with the two swapped?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# By (1.21), $\mathrm{KL}(q \Vert p) = \frac{1}{2} (1^2 + 0.25 - 1 - \log 0.25)$, which is $\frac{1}{2} (0.25 + 1.3863) = 0.8181$ nats.
#
# By (1.20) with $\mu_1 = 0$, $\sigma_1 = 1$, $\mu_2 = 1$, $\sigma_2 = 0.5$: $\log 0.5 + \frac{1 + 1}{0.5} - 0.5$, which is $-0.6931 + 4 - 0.5 = 2.8069$ nats. The swapped KL is larger: $p$ puts mass where $q$ has almost none.
#
# </details>


# %% tags=["solution"]
def kl_1d(mu_1, sigma_1, mu_2, sigma_2) -> float:
    """KL of two Gaussians in nats by quadrature: no closed form used."""
    q, r = stats.norm(mu_1, sigma_1), stats.norm(mu_2, sigma_2)
    return integrate.quad(
        lambda z: q.pdf(z) * (q.logpdf(z) - r.logpdf(z)),
        mu_1 - 12 * sigma_1,
        mu_1 + 12 * sigma_1,
    )[0]


vh.check("exercise 1: KL(q ‖ p)", kl_1d(1, 0.5, 0, 1), 0.8181, atol=1e-4)
vh.check("exercise 1: KL(p ‖ q)", kl_1d(0, 1, 1, 0.5), 2.8069, atol=1e-4)

# %% [markdown] tags=["exercise"]
# **2. The best Gaussian** (15 min, by code). How small can the gap of a Gaussian $q$ be for the image (0, 0, 1, 1)? Use `log_likelihood`, `log_prior`, `integral` and `grid` of section 1.1, and `optimize.minimize` over $\mu$ and $\log \sigma$.


# %% tags=["exercise", "exact"]
def smallest_gap(x):
    """The smallest KL(N(mu, sigma²) ‖ p(z | x)), in nats."""
    return ...  # your lines


mine = smallest_gap(np.array([0.0, 0.0, 1.0, 1.0]))
print("yours:", mine, "expected: 0.0214")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Compute the log posterior of the image on the grid, as in section 1.1, and minimise the integral of $q \, (\log q - \log p_\theta(z \mid x))$. The result is 0.0214 nats, at $\mu \approx -0.85$ and $\sigma \approx 0.96$: more than the 0.016 of the image in the text. The cell below does it.
#
# </details>


# %% tags=["solution"]
def gap_by_optimiser(x):
    """The smallest KL(N(mu, sigma²) ‖ p(z | x)) in nats, and its q."""
    log_joint = log_prior + log_likelihood(x, grid)
    log_posterior = log_joint - math.log(integral(np.exp(log_joint)))

    def gap(q):
        log_q = stats.norm.logpdf(grid, q[0], math.exp(q[1]))
        return integral(np.exp(log_q) * (log_q - log_posterior))

    found = optimize.minimize(gap, [0.0, 0.0], tol=1e-10)
    return found.fun, found.x[0], math.exp(found.x[1])


found = gap_by_optimiser(np.array([0.0, 0.0, 1.0, 1.0]))
vh.check("exercise 2: the gap", found[0], 0.0214, atol=1e-4)
vh.check("exercise 2: μ and σ", found[1:], [-0.85, 0.96], atol=0.01)

# %% [markdown] tags=["exercise"]
# **3. Score function against path** (5 min, by hand). In the test bench of section 1.3, with $\mu = 1$ and $J = 10$: what is the variance of one gradient entry with no baseline, with the mean baseline, with the best constant, and by the path?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# In (1.10), $\mu^4 + 14\mu^2 + 15 = 30$ and $(J - 1)(4\mu^2 + 2) = 54$. Without a baseline $\kappa = 18$: $30 + 144 + 324 + 54 = 552$. With the mean baseline $\kappa = -2$: $30 - 16 + 4 + 54 = 72$. With the best, $\kappa = -4$: $30 - 32 + 16 + 54 = 68$. Pathwise: 4.
#
# </details>

# %% tags=["solution"]
variances = [
    score_variance(10, 1.0, b) for b in baselines(10, 1.0).values()
]
vh.check(
    "exercise 3: three variances", variances, [552, 72, 68], relation="="
)

# %% [markdown] tags=["exercise"]
# **4. A gradient through the sample** (10 min, by code). Let $z = \mu + \sigma\varepsilon$ and $f(z) = z^3$. Estimate both derivatives of $\mathbb{E}[f]$ by (1.14) with the noise given, at $\mu = 1$, $\sigma = 0.5$. Then find the exact values by hand.

# %% tags=["exercise", "exact"]
noise = np.random.default_rng(7).normal(size=100_000)


def path_gradient(mu, sigma):
    """d/dmu and d/dsigma of E[z³], averaged over this noise."""
    return ...  # your lines


print("yours:", path_gradient(1.0, 0.5))

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# `z = mu + sigma * noise`, then `return (3 * z**2).mean(), (3 * z**2 * noise).mean()`. By hand $\mathbb{E}[z^3] = \mu^3 + 3\mu\sigma^2$, so the derivatives are $3\mu^2 + 3\sigma^2 = 3.75$ and $6\mu\sigma = 3$.
#
# </details>

# %% tags=["solution"]
z = 1.0 + 0.5 * noise
for name, draws, by_hand in (
    ("μ", 3 * z**2, 3.75),
    ("σ", 3 * z**2 * noise, 3.0),
):
    vh.check(
        f"exercise 4: the derivative in {name}",
        draws.mean(),
        by_hand,
        atol=4 * standard_error(draws),
    )

# %% [markdown] tags=["exercise"]
# **5. When an image costs more** (15 min, by hand). Let $V_x = 9$ and $V_\varepsilon = 4$. (a) At $L M = 100$, compare $L = 1$, 10 and 100. (b) Now loading and encoding an image costs as much as 5 decoder passes, so a step costs $M (5 + L)$ passes, and the budget is 600. Treat $M$ as a real number. Which whole $L$ is best?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# (a) By (1.19): $0.09 + 0.04 = 0.13$; $0.9 + 0.04 = 0.94$; $9 + 0.04 = 9.04$.
#
# (b) $M = 600/(5 + L)$, so the variance is $\frac{5 + L}{600} (9 + \frac{4}{L}) = \frac{1}{600} (49 + 9 L + \frac{20}{L})$. Its minimum over real $L$ is at $L = \sqrt{20/9} \approx 1.49$. $L = 1$ gives $78/600 = 0.1300$, $L = 2$ gives $77/600 = 0.1283$. So $L = 2$ wins, by one per cent. In general $L \approx \sqrt{c V_\varepsilon / V_x}$ for a cost of $c$ passes per image.
#
# </details>

# %% tags=["solution"]
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

# %% [markdown] tags=["exercise"]
# **6. A bound that is not** (10 min, by hand). Let $q = \mathcal{N}(0, \sigma^2)$ in one dimension. For which $\sigma$ is the "KL" with $(\log \sigma)^2$ in place of $\log \sigma^2$ below zero?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The wrong expression is $-\frac{1}{2} (1 + (\log \sigma)^2 - \sigma^2)$. It is negative where $\sigma^2 \lt 1 + (\log \sigma)^2$. At $\sigma = 1$ both sides are 1. For $\sigma \lt 1$ the left side is below 1 and the right above: negative for all of them. For $\sigma \gt 1$, $\sigma^2 - 1 = e^{2t} - 1 \ge 2t + 2t^2 > t^2$ with $t = \log \sigma > 0$: positive. So it is negative exactly for $\sigma \lt 1$, and it falls without bound as $\sigma \to 0$.
#
# </details>

# %% tags=["solution"]
sigma = np.linspace(0.01, 5, 500)
wrong_kl = -0.5 * (1 + np.log(sigma) ** 2 - sigma**2)
small, large = wrong_kl[sigma < 0.999], wrong_kl[sigma > 1.001]
vh.check("exercise 6: negative below 1", small, 0, relation="<")
vh.check("exercise 6: positive above 1", large, 0, relation=">")

# %% [markdown] tags=["exercise"]
# **7. The hidden variance** (10 min, by hand). A program minimises the squared error *averaged* over 784 pixels, plus the KL. Which Gaussian decoder is that? What does it mean for pixels between 0 and 1?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Compare $\frac{1}{784} \lVert x - \mu \rVert^2$ with $\frac{1}{2\sigma^2} \lVert x - \mu \rVert^2$: $\sigma^2 = 392$, $\sigma = 19.8$. The model believes that pixels carry noise of twenty times their range. The mean image already has an average squared error of at most $\frac{1}{4}$, the largest variance of a number between 0 and 1. So the code can win at most $\frac{1}{4}$ nat by a better reconstruction, and it cannot pay for more KL than that: the codes are all but ignored.
#
# </details>

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

# %% [markdown]
# ## What to read next
#
# - [The quiz of this chapter](../book/quizzes.md#chapter-1) asks what you take along, and explains every answer.
# - [Chapter 2](02_mlp_vae.ipynb) builds a first VAE on real images, with (1.16) as its objective.
# - [Chapter 4](04_sgvb_a_vs_b.ipynb) measures the variances of A, B and the path gradient during training.
# - [Kingma & Welling 2013](../book/bibliography.md), sections 2 and 3, appendices B and C: you can now check every line.
