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
# # 14. Importance weighting
#
# This page adds the bound with several draws to [chapter 1](01_theory.ipynb): what happens if you average $k$ importance weights *before* you take the logarithm.
#
# **The logarithm of the mean of $k$ weights is on average a lower bound on $\log p(x)$. It rises with $k$, and where the weights have a finite variance its gap shrinks like $1/k$**: in our example from 0.79 nats at $k = 1$ to below 0.01 at $k = 50$. There is one trap. **The $q$ with the better ELBO can be the worse sampler**: the best diagonal $q$ starts 0.35 nats too low and is still 0.06 too low at $k = 50$, because its weights have infinite variance.

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

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three histograms, one above the other, of the logarithm of the mean of k importance weights, for k = 1, 10 and 100, in nats. At k = 1 it is wide with a long tail to the left, and its mean lies well below the dashed line of the exact log p(x). At k = 10 it is narrower and its mean nearer. At k = 100 it is a narrow peak on the line."}}
import vae_helpers as vh

import math
import time

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from scipy import integrate, stats
from scipy.special import logsumexp

started = time.monotonic()
vh.use_book_style()
plt.rcParams.update({"figure.figsize": (5.6, 3.5), "font.size": 11})
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PINK, YELLOW, SKY = "#CC79A7", "#E69F00", "#56B4E9"


def standard_error(samples: np.ndarray) -> float:
    """Standard error of the mean of independent samples."""
    return np.std(samples, ddof=1) / math.sqrt(np.size(samples))


# The example: the linear VAE of 12_linear_vae.
W = np.array([[1.0, 0.6], [0.8, 0.9], [0.5, 0.7], [-0.3, 0.2], [0.9, 0.4]])
m = np.array([0.1, -0.2, 0.3, 0.0, 0.5])
s = 0.7
x = np.array([1.2, 0.5, 1.1, -0.4, 0.2])
D, J = W.shape
P = W.T @ W / s**2 + np.eye(J)  # precision of the posterior
nu = np.linalg.solve(P, W.T @ (x - m)) / s**2  # its mean
log_px = stats.multivariate_normal.logpdf(x, m, W @ W.T + s**2 * np.eye(D))
# q: the posterior's mean, and a diagonal precision matrix.
Lambda = np.diag(np.diag(P)) / 1.5**2
q_sd = 1 / np.sqrt(np.diag(Lambda))


def log_likelihood(
    x: np.ndarray, z: np.ndarray, W: np.ndarray, m: np.ndarray, s: float
) -> np.ndarray:
    """log p(x | z), shape [...], for codes z [..., J]."""
    return stats.norm.logpdf(x, m + z @ W.T, s).sum(axis=-1)


def kl_gaussians(mu, S, nu, P) -> float:
    """KL(N(mu, S) || N(nu, inverse of P)) in nats, equation (12.8)."""
    quadratic = np.trace(P @ S) + (mu - nu) @ P @ (mu - nu)
    log_det_P, log_det_S = np.linalg.slogdet(P)[1], np.linalg.slogdet(S)[1]
    return 0.5 * (quadratic - len(mu) - log_det_P - log_det_S)


def elbo_exact(x, W, m, s, mu, S) -> float:
    """The ELBO for q = N(mu, S) in nats, by (12.8) and (12.9)."""
    J = len(mu)
    squared_error = np.sum((x - m - W @ mu) ** 2) + np.trace(W @ S @ W.T)
    log_constant = -0.5 * len(x) * math.log(2 * math.pi * s**2)
    reconstruction = log_constant - squared_error / (2 * s**2)
    return reconstruction - kl_gaussians(mu, S, np.zeros(J), np.eye(J))


rng = np.random.default_rng(31)
bins = np.linspace(log_px - 6, log_px + 1.2, 140)
fig, axes = plt.subplots(3, 1, figsize=(5.6, 4.6), sharex=True)
for ax, k in zip(axes, (1, 10, 100), strict=True):
    z = nu + rng.normal(size=(20_000 * k, J)) * q_sd
    log_w = stats.norm.logpdf(z) - stats.norm.logpdf(z, nu, q_sd)
    log_w = log_w.sum(axis=1) + log_likelihood(x, z, W, m, s)
    log_w = log_w.reshape(20_000, k)
    estimates = logsumexp(log_w, axis=1) - math.log(k)
    ax.hist(estimates, bins, density=True, color=SKY)
    ax.axvline(estimates.mean(), color=BLUE, linewidth=2)
    ax.axvline(log_px, color=ORANGE, linestyle="--", linewidth=2)
    ax.text(0.02, 0.75, f"k = {k}", transform=ax.transAxes)
    ax.set_yticks([])
axes[2].text(
    log_px + 0.3, axes[2].get_ylim()[1] * 0.75, "log p(x)", color=ORANGE
)
axes[0].text(
    estimates.mean() - 0.9,
    axes[0].get_ylim()[1] * 0.8,
    "mean",
    color=BLUE,
    ha="right",
)
axes[1].set_ylabel("density")
axes[2].set_xlabel("log of the mean of k weights, nats")
axes[0].set_title("More weights: narrower, and less low")
plt.show()

# %% [markdown]
# The blue line is the mean, and that is the bound. As $k$ grows the estimate narrows, and its mean climbs to the orange line.
#
# **What you will be able to do**
#
# - derive the bound with $k$ draws, and prove that it rises;
# - say how fast it closes, and when that statement fails;
# - compute it without underflow, and with the right gradient.
#
# **What it needs.** The lower bound of [chapter 1](01_theory.ipynb), by Jensen's inequality. The example is [the linear VAE](12_linear_vae.ipynb), in which $\log p(x)$ is known. A quarter of an hour to read; it runs in a quarter of a minute and needs no data.
#
# ## 14.1 An average of weights
#
# Draw $z$ from $q_\phi(z \mid x)$. The **importance weight** $w = p_\theta(x, z)/q_\phi(z \mid x)$ has the mean $p_\theta(x)$: that is (1.8) of chapter 1, for a $q$ that is positive wherever $p_\theta(x, z)$ is. So the average of $k$ independent weights is an unbiased estimate of $p_\theta(x)$:
#
# $$
# \begin{aligned}
# \hat p_k &= \frac{1}{k} \sum_{i=1}^{k} w_i, \qquad \mathbb{E}[\hat p_k] = p_\theta(x), \\
# \mathcal{L}_k &= \mathbb{E}[\log \hat p_k].
# \end{aligned} \tag{14.1}
# $$
#
# $\mathcal{L}_k$ is the bound of the *importance weighted autoencoder* (IWAE; [Burda, Grosse & Salakhutdinov 2016](../book/bibliography.md)). $\mathcal{L}_1$ is the ELBO.
#
# **It is a lower bound**: by Jensen's inequality, $\mathbb{E}[\log \hat p_k] \le \log \mathbb{E}[\hat p_k] = \log p_\theta(x)$. The estimate of $p_\theta(x)$ is right on average; after the logarithm it is too low on average. In the first picture the tail to the left does it: draws that miss the posterior cost many nats.
#
# ## 14.2 It rises with k
#
# **Leave one weight out at random, and on average you lose.** Take $k + 1$ weights and drop one; call $I$ the set of the $k$ that stay. On average over the choice, the mean of the subset is the mean of all, because each weight stays with the same chance:
#
# $$
# \mathbb{E}_I \left[ \frac{1}{k} \sum_{i \in I} w_i \right] = \frac{1}{k+1} \sum_{i=1}^{k+1} w_i .
# $$
#
# Use that, then Jensen for the average over $I$, then the fact that each subset of $k$ weights is distributed like any other:
#
# $$
# \begin{aligned}
# \mathcal{L}_{k+1} &= \mathbb{E} \left[ \log \mathbb{E}_I \left[ \frac{1}{k} \sum_{i \in I} w_i \right] \right] \\
# &\ge \mathbb{E} \left[ \mathbb{E}_I \left[ \log \frac{1}{k} \sum_{i \in I} w_i \right] \right] = \mathcal{L}_k .
# \end{aligned} \tag{14.2}
# $$
#
# ## 14.3 How fast it closes
#
# **For large $k$ the gap is half the relative variance of the weights, divided by $k$** ([Maddison, Lawson et al. 2017](../book/bibliography.md); [Domke & Sheldon 2018](../book/bibliography.md)):
#
# $$
# \log p_\theta(x) - \mathcal{L}_k \approx \frac{1}{2k} \mathrm{Var} \left( \frac{w}{p_\theta(x)} \right) . \tag{14.3}
# $$
#
# *Why.* Let $\hat w = \hat p_k / p_\theta(x)$, with mean exactly 1. The gap is $\mathbb{E}[-\log \hat w]$. Since $\hat w - 1$ is zero on average, adding it inside the expectation changes nothing:
#
# $$
# \begin{aligned}
# \log p_\theta(x) - \mathcal{L}_k &= \mathbb{E}[-\log \hat w] \\
# &= \mathbb{E}[\hat w - 1 - \log \hat w] .
# \end{aligned} \tag{14.4}
# $$
#
# The function $t - 1 - \log t$ is never negative, and zero at 1. Its second derivative at 1 is 1, so near 1 it is $\frac{1}{2} (t - 1)^2$ up to third-order terms. And $\mathbb{E}[(\hat w - 1)^2]$ is the variance of a mean of $k$ independent terms, that of one divided by $k$.
#
# > **Note.** (14.3) needs weights with a finite variance, and weights regular enough for the remainder to vanish faster than $1/k$. The next section shows how the first fails.
#
# ## 14.4 When the variance is infinite
#
# By Bayes' rule $w / p_\theta(x) = p_\theta(z \mid x) / q(z)$: posterior over $q$. In the linear VAE both are Gaussian, so you can compute the variance. Let $q$ have the posterior's mean $\nu$.
#
# **In one dimension**, let the posterior have the precision $P$ (one over its variance) and $q$ the precision $\Lambda$. With $t = z - \nu$ the second moment is an integral over
#
# $$
# \frac{p_\theta(z \mid x)^2}{q(z)} \propto e^{-P t^2 + \frac{1}{2} \Lambda t^2} = e^{-\frac{1}{2} (2P - \Lambda) t^2} .
# $$
#
# Where $2P \gt \Lambda$, this is a Gaussian bell and the integral is finite. Where $2P \le \Lambda$, it does not fall off, and the integral diverges. So **the variance of $q$ must be more than half the posterior's**. Then, for $\Lambda \lt 2P$,
#
# $$
# \mathrm{Var} \left( \frac{w}{p_\theta(x)} \right) = \frac{P}{\sqrt{\Lambda (2P - \Lambda)}} - 1 . \tag{14.5}
# $$

# %% tags=["plumbing"] mystnb={"image": {"alt": "Variance of the weights on a logarithmic axis against the variance of q divided by the posterior's variance, from 0.2 to 4. The curve falls from infinity at one half to zero at one, where q is the posterior, and then rises slowly. The region left of one half is shaded and labelled infinite."}}
ratio = np.concatenate(
    [np.geomspace(0.5001, 0.6, 60), np.linspace(0.6, 4, 300)]
)
relative_precision = 1 / ratio  # Lambda / P
variance_1d = 1 / np.sqrt(relative_precision * (2 - relative_precision)) - 1

fig, ax = plt.subplots(figsize=(5.6, 3.4))
ax.semilogy(ratio, np.maximum(variance_1d, 1e-9), color=BLUE)
ax.axvspan(0.2, 0.5, color=ORANGE, alpha=0.2)
ax.text(0.35, 0.01, "infinite", rotation=90, ha="center", fontsize=13)
ax.set(
    xlabel="variance of q / variance of the posterior",
    ylabel="variance of w / p(x)",
    title="Too narrow is fatal, too wide is not",
    xlim=(0.2, 4),
    ylim=(1e-3, 1e2),
)
plt.show()


# %% tags=["check"]
def second_moment_1d(P: float, precision: float, width: float) -> float:
    """The integral of p^2 / q over the given width to both sides."""
    return integrate.quad(
        lambda t: math.exp(
            2 * stats.norm.logpdf(t, 0, P**-0.5)
            - stats.norm.logpdf(t, 0, precision**-0.5)
        ),
        -width,
        width,
    )[0]


vh.check(
    "quadrature gives (14.5) for P = 1, Λ = 1.5",
    second_moment_1d(1.0, 1.5, 30.0) - 1,
    1 / math.sqrt(1.5 * (2 - 1.5)) - 1,
    atol=1e-8,
)
vh.check(
    "at Λ = 2.1: the integral over ±15, divided by that over ±3",
    second_moment_1d(1.0, 2.1, 15.0) / second_moment_1d(1.0, 2.1, 3.0),
    1000,
    relation=">",
)

# %% [markdown]
# **In all dimensions** the same computation, with a diagonal precision matrix $\Lambda$, gives
#
# $$
# \begin{aligned}
# & \mathbb{E}_q \left[ \left( \frac{p_\theta(z \mid x)}{q(z)} \right)^2 \right] \\
# & \quad = \frac{\det P}{(2\pi)^{J/2} \sqrt{\det \Lambda}} \int e^{-\frac{1}{2} t^\top (2P - \Lambda) t} dt \\
# & \quad = \frac{\det P}{\sqrt{\det \Lambda \det(2P - \Lambda)}} ,
# \end{aligned} \tag{14.6}
# $$
#
# *provided $2P - \Lambda$ is positive definite*. If it is not, some direction is too narrow and the weights have **infinite variance**. This is not far-fetched: the diagonal $q$ with the best ELBO, $\Lambda = \mathrm{diag}(P)$ ([the linear VAE](12_linear_vae.ipynb)), does it in our example. **A good ELBO does not make a good importance sampler.** The first picture therefore has a *widened* $q$, with standard deviations larger by half: $\Lambda = \mathrm{diag}(P) / 1.5^2$. The next section compares the two.

# %%
# The precisions P, of the posterior, and Lambda, of the widened q, come
# from the cell of the first picture.
second_moment = np.linalg.det(P) / math.sqrt(
    np.linalg.det(Lambda) * np.linalg.det(2 * P - Lambda)
)
weight_variance = second_moment - 1

# %% tags=["check"]
# The referee: the same expectation under q by quadrature.
t, weights_1d = np.polynomial.hermite_e.hermegauss(80)
weights_1d = weights_1d / math.sqrt(2 * math.pi)
nodes = np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1).reshape(-1, J)
node_weights = np.outer(weights_1d, weights_1d).ravel()
z = nu + nodes / np.sqrt(np.diag(Lambda))
log_posterior_z, log_q_z = (
    stats.multivariate_normal.logpdf(z, nu, np.linalg.inv(precision))
    for precision in (P, Lambda)
)

vh.check(
    "quadrature gives (14.6)",
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
# ## 14.5 The bound, measured
#
# Each $k$ gets fresh draws: 400,000 of them, in groups of $k$.


# %%
def log_p_hat(sd, k, rng):
    """Samples of log p̂ of (14.1), with q = N(nu, sd²)."""
    z = nu + sd * rng.normal(size=(400_000 // k, k, J))
    log_ratio = stats.norm.logpdf(z) - stats.norm.logpdf(z, nu, sd)
    log_w = log_likelihood(x, z, W, m, s) + log_ratio.sum(axis=-1)
    return logsumexp(log_w, axis=1) - math.log(k)


rng = np.random.default_rng(20)
ks = [1, 2, 5, 10, 50, 500]
widened = [log_p_hat(q_sd, k, rng) for k in ks]
best_sd = 1 / np.sqrt(np.diag(P))  # the diagonal q with the best ELBO
best = [log_p_hat(best_sd, k, rng) for k in ks]

# %% tags=["plumbing"] mystnb={"image": {"alt": "The importance-weighted bound against the number of samples k on a logarithmic axis, in nats, for two q. The best diagonal q starts 0.35 nats below the exact log p(x), the widened one 0.79 below. At k = 2 they are level. From k = 5 on the widened one is higher; it lies within a hundredth of a nat of log p(x) from k = 50 on, where the other is still 0.06 below."}}
L_k, L_k_best = ([f.mean() for f in of_q] for of_q in (widened, best))
L_k_error, L_k_best_error = (
    [standard_error(f) for f in of_q] for of_q in (widened, best)
)

fig, ax = plt.subplots()
ax.axhline(log_px, color=ORANGE, linestyle="--", label="exact log p(x)")
for bound, error, mark, color, label in (
    (L_k, L_k_error, "o-", BLUE, "widened q"),
    (L_k_best, L_k_best_error, "s:", GREEN, "best diagonal q"),
):
    look = {"fmt": mark, "color": color, "capsize": 3, "label": label}
    ax.errorbar(ks, bound, yerr=1.96 * np.array(error), **look)
ax.set(
    xscale="log",
    xlabel="samples k",
    ylabel="importance-weighted bound, nats",
    title="The worse ELBO wins, given a few draws",
)
ax.legend(loc="center right")
plt.show()

# %% [markdown]
# The bars are 95% intervals, shorter than the marks. With $k = 1$ you pay the full KL divergence: 0.79 nats for the widened $q$, 0.35 for the best diagonal one. At $k = 2$ they are level, at $k = 5$ the widened one is ahead, and with fifty samples it has almost nothing left.

# %% tags=["check"]
elbo_of_q, elbo_of_best = (
    elbo_exact(x, W, m, s, nu, np.diag(sd**2)) for sd in (q_sd, best_sd)
)
vh.check(
    "L_1 is the ELBO within 4 standard errors: widened q",
    L_k[0],
    elbo_of_q,
    atol=4 * L_k_error[0],
)
vh.check(
    "and best diagonal q",
    L_k_best[0],
    elbo_of_best,
    atol=4 * L_k_best_error[0],
)
vh.check(
    "L_k rises with k, for both",
    [L_k[1:], L_k_best[1:]],
    [L_k[:-1], L_k_best[:-1]],
    relation=">",
)
vh.check(
    "from k = 5 on the widened q has the higher bound",
    L_k[2:],
    L_k_best[2:],
    relation=">",
)
vh.check(
    "widened q: up to k = 50 it is over 4 standard errors below log p(x)",
    np.add(L_k[:5], 4 * np.array(L_k_error[:5])),
    log_px,
    relation="<",
)
log_w_hat = [f - log_px for f in widened]
gap_of = {  # by (14.4), whose samples have less noise
    k: np.expm1(log_w) - log_w
    for k, log_w in zip(ks, log_w_hat, strict=True)
}
vh.check(
    "at k = 500 the gap is that of (14.3)",
    gap_of[500].mean(),
    weight_variance / (2 * 500),
    atol=4 * standard_error(gap_of[500]),
)

# %% [markdown]
# Log-likelihoods of VAEs are reported in this way, usually with thousands of samples: there the weights vary more.
#
# > **Note.** A tighter bound is not always a better training signal. As $k$ grows, the signal-to-noise ratio of the *encoder's* gradient falls ([Rainforth et al. 2018](../book/bibliography.md)); [the page on tighter bounds](18_tighter_bounds.ipynb) measures it on images.
#
# ## 14.6 Two practical points
#
# **Add in the log domain.** The weights of an image are of the size $e^{-100}$ and smaller; $e^{-1000}$ is zero even in double precision. Take the largest logarithm out first:
#
# $$
# \log \sum_i e^{a_i} = a_{\max} + \log \sum_i e^{a_i - a_{\max}} .
# $$
#
# **The gradient weighs samples by their weights.** By $\theta$, or by $\phi$ through $z_i = g_\phi(\varepsilon_i)$, with $\tilde w_i = w_i / \sum_l w_l$, the softmax of the **log-weights**,
#
# $$
# \nabla \log \frac{1}{k} \sum_i w_i = \sum_i \tilde w_i \nabla \log w_i .
# $$
#
# A slip found in published code takes the softmax of the *losses*, and so listens most to the worst samples ([chapter 7](07_diagnosis.ipynb) has an example).

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
# ## What we measured
#
# | Question | Published | On this page |
# |---|---|---|
# | does $\mathcal{L}_k$ rise with $k$? | yes (Burda et al. 2016) | widened $q$: from 0.79 nats too low at $k = 1$ to below 0.01 at $k = 50$ |
# | how fast does its gap close? | half the relative variance over $k$ (Domke & Sheldon 2018) | widened $q$: $0.38/k$ by (14.3); at $k = 50$ it is 0.007 |
# | and where the weights have infinite variance? | – | best diagonal $q$: 0.35 nats at $k = 1$, still 0.06 at $k = 50$ |

# %% tags=["check"]
vh.check("nats too low at k = 1", log_px - elbo_of_q, 0.79, atol=0.005)
vh.check("gap at large k, times k", weight_variance / 2, 0.38, atol=0.005)
vh.check("at k = 50", gap_of[50].mean(), 0.007, atol=0.001)
vh.check("best diagonal q: k = 1", log_px - elbo_of_best, 0.35, atol=0.005)
vh.check("and k = 50", log_px - L_k_best[4], 0.06, atol=0.015)

# %% [markdown]
# ## In this chapter you have seen
#
# - the bound with $k$ draws, and why on average one weight more never hurts;
# - its gap, $\frac{1}{2k}$ times the relative variance of the weights where that is finite; and a better ELBO with the worse sampler;
# - sums of weights in the log domain, and a gradient that listens to the best samples.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. Two weights** (10 min, by hand). The importance weight $w$ takes the values 1 and 3 with equal probability. Compute $\mathcal{L}_1$, $\mathcal{L}_2$ and $\log p(x)$.

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# $\mathcal{L}_1 = \frac{1}{2} \log 3 = 0.5493$. For two weights the mean is 1, 2, 3 with probabilities ¼, ½, ¼: $\mathcal{L}_2 = \frac{1}{2} \log 2 + \frac{1}{4} \log 3 = 0.6212$. $\log p(x) = \log 2 = 0.6931$. They rise, as (14.2) says.
#
# </details>

# %% tags=["solution"]
weights = np.array([1.0, 3.0])
pair_means = [(a + b) / 2 for a in weights for b in weights]
vh.check("L_1", np.log(weights).mean(), 0.5493, atol=1e-4)
vh.check("L_2", np.log(pair_means).mean(), 0.6212, atol=1e-4)
vh.check("log p(x)", math.log(weights.mean()), 0.6931, atol=1e-4)

# %% [markdown] tags=["exercise"]
# **2. Without underflow** (10 min, by code). Write the logarithm of the mean of $e^{a_1}, \dots, e^{a_k}$ so that it is right for large negative $a_i$. Try the plain way first, and see what it prints.


# %% tags=["exercise", "exact"]
def log_mean_exp(a):
    """The logarithm of the mean of exp(a), without underflow."""
    return ...  # your lines


log_weights = np.array([-2000.0, -2001.0, -2003.0])
print("yours:", log_mean_exp(log_weights), "expected: -2000.7496")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Take out the largest: $a_{\max} + \log \frac{1}{k} \sum_i e^{a_i - a_{\max}}$. Here it is $-2000 + \log \frac{1 + e^{-1} + e^{-3}}{3} = -2000.7496$. The plain way takes the logarithm of zero: minus infinity.
#
# </details>


# %% tags=["solution"]
def log_mean_exp(a):
    """The logarithm of the mean of exp(a), without underflow."""
    highest = np.max(a)
    return highest + np.log(np.mean(np.exp(a - highest)))


vh.check("yours", log_mean_exp(log_weights), -2000.7496, atol=1e-4)
vh.check(
    "SciPy's is the same",
    log_mean_exp(log_weights),
    logsumexp(log_weights) - math.log(3),
    atol=1e-9,
)

# %% [markdown] tags=["exercise"]
# **3. How many draws?** (5 min, by hand). How many draws bring the gap of the widened $q$ down to 0.001 nats? And how many does a $q$ need whose weights have a hundred times the variance?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# By (14.3) the gap is $0.38/k$, so $k = 380$. With a hundred times the variance $k = 38{,}000$. That is why the quality of $q$ matters even where many draws are affordable.
#
# </details>

# %% tags=["solution"]
vh.check("draws", weight_variance / 2 / 0.001, 380, atol=5)

# %% [markdown] tags=["exercise"]
# **4. Too narrow** (10 min, by hand). In one dimension $q$ has the posterior's mean and half its standard deviation. (a) Is $\mathcal{L}_k$ still a lower bound? Does it still rise? (b) Does (14.3) hold? (c) What is the ELBO's gap, by (1.20) of chapter 1? Is it alarming?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# (a) Yes to both: Jensen's inequality and the proof of (14.2) need no variance. (b) No. Half the standard deviation is a quarter of the variance, $\Lambda = 4P \gt 2P$: the weights have infinite variance, and the gap closes more slowly: simulated below, it shrinks 2.3-fold from $k = 10$ to 100, not tenfold. (c) With $P \sigma^2 = \frac{1}{4}$ the gap is $\frac{1}{2} (\frac{1}{4} - 1 - \log \frac{1}{4}) = 0.318$ nats. It looks harmless. The ELBO does not show what the sampler misses.
#
# </details>

# %% tags=["solution"]
narrow_gap = kl_gaussians(
    np.zeros(1), np.array([[0.25]]), np.zeros(1), np.eye(1)
)
vh.check("the gap of (c)", narrow_gap, 0.318, atol=5e-4)
vh.check(
    "the second moment over ±4, divided by that over ±3",
    second_moment_1d(1.0, 4.0, 4.0) / second_moment_1d(1.0, 4.0, 3.0),
    500,
    relation=">",
)
rng = np.random.default_rng(32)
gaps = []
for k in (10, 100):
    t = 0.5 * rng.normal(size=(2_000_000 // k, k))
    log_w = stats.norm.logpdf(t) - stats.norm.logpdf(t, 0, 0.5)
    gaps.append(-(logsumexp(log_w, axis=1) - math.log(k)).mean())
vh.check(
    "gap at k = 10, over that at 100", gaps[0] / gaps[1], 2.3, atol=0.25
)

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## What to read next
#
# - [Tighter bounds](18_tighter_bounds.ipynb): this bound as a training objective, on images.
# - [Chapter 2](02_mlp_vae.ipynb) estimates the log-likelihood of a trained VAE with it.
# - [Burda, Grosse & Salakhutdinov 2016](../book/bibliography.md), and [Rainforth et al. 2018](../book/bibliography.md) on what a tighter bound does to the gradient.
