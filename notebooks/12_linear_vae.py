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
# # 12. A VAE in which everything is exact
#
# This page adds the exact case to [chapter 1](01_theory.ipynb): one model in which the posterior, the bound, its gap and the best possible fit are all formulas.
#
# **In probabilistic PCA, a VAE with a linear decoder and the same noise in every pixel, the best diagonal $q$ loses exactly $\frac{1}{2} (\sum_j \log P_{jj} - \log \det P)$ nats**, where $P$ is the precision matrix of the posterior: 0.350 nats in our example, and nothing after the right rotation of the latent axes. **Trained with noise and minibatches, the VAE finds the known maximum of the likelihood** to within 0.001 nats a data point, and a rotation without a gap.

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

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels in the plane of the two latent codes, ellipses at one standard deviation. Left: the tilted posterior; the small upright ellipse of the best diagonal q, far shorter than the posterior along its long direction and somewhat outside it across; and the larger upright ellipse of the swapped KL, as wide and as high as the posterior. Right: after rotating the latent axes the posterior is upright and the best diagonal q coincides with it."}}
import vae_helpers as vh

import math
import time

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import optimize, stats

tfd = tfp.distributions
started = time.monotonic()
vh.use_book_style()
plt.rcParams.update({"figure.figsize": (5.6, 3.5), "font.size": 11})
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PINK, YELLOW, SKY = "#CC79A7", "#E69F00", "#56B4E9"


def standard_error(samples: np.ndarray) -> float:
    """Standard error of the mean of independent samples."""
    return np.std(samples, ddof=1) / math.sqrt(np.size(samples))


# The example of this page: five pixels, two latent variables.
W = np.array([[1.0, 0.6], [0.8, 0.9], [0.5, 0.7], [-0.3, 0.2], [0.9, 0.4]])
m = np.array([0.1, -0.2, 0.3, 0.0, 0.5])
s = 0.7
x = np.array([1.2, 0.5, 1.1, -0.4, 0.2])
angle = np.linspace(0, 2 * np.pi, 200)
circle = np.stack([np.cos(angle), np.sin(angle)])


def ellipse(centre: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """The curve at one standard deviation of a Gaussian, shape [2, 200]."""
    return centre[:, None] + np.linalg.cholesky(covariance) @ circle


def draw_posterior(ax, W: np.ndarray, swapped: bool) -> None:
    """The posterior (12.4) of W and the best diagonal q, (12.10)."""
    P = W.T @ W / s**2 + np.eye(2)
    S = np.linalg.inv(P)
    nu = S @ W.T @ (x - m) / s**2
    ax.plot(
        *ellipse(nu, S),
        color="black",
        alpha=0.4,
        linewidth=4,
        label="posterior",
    )
    ax.plot(
        *ellipse(nu, np.diag(1 / np.diag(P))),
        color=BLUE,
        label="best diagonal q",
    )
    if swapped:
        ax.plot(
            *ellipse(nu, np.diag(np.diag(S))),
            color=ORANGE,
            linestyle="--",
            label="KL swapped",
        )
    ax.set(xlim=nu[0] + np.array([-1.1, 1.1]), aspect="equal")
    ax.set_ylim(nu[1] - 1.0, nu[1] + 1.7)
    ax.legend(loc="upper right", fontsize=11)


_, R = np.linalg.eigh(W.T @ W)  # the rotation of section 12.3
fig, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3.6))
draw_posterior(left, W, swapped=True)
draw_posterior(right, W @ R, swapped=False)
left.set(xlabel="$z_1$", ylabel="$z_2$", title="tilted: gap 0.350 nats")
right.set(
    xlabel="$z_1$, rotated",
    ylabel="$z_2$, rotated",
    title="rotated: no gap",
)
plt.show()

# %% [markdown]
# Left: the best diagonal $q$ cuts the posterior's curve straight above, below, left and right of the centre. It is much too short along the long direction and somewhat too wide across it. Right: with rotated axes the same model of the data leaves nothing to lose. (The dashed ellipse belongs to section 12.3.)
#
# **What you will be able to do**
#
# - derive the posterior, the bound and its gap in a linear model, first in one dimension, then in all;
# - say which diagonal $q$ is best, what it loses, and when it loses nothing;
# - judge a training run of a VAE against an optimum that is known.
#
# **What it needs.** [Chapter 1](01_theory.ipynb) up to section 1.6; for the case of many dimensions the trace, determinant, inverse and eigenvectors of a matrix. Half an hour to read; it runs in a quarter of a minute and needs no data.
#
# Three things from chapter 1 are used throughout. The *evidence lower bound* (ELBO) is $\mathcal{L} = \mathbb{E}_q[\log p_\theta(x, z) - \log q(z)]$, and $\log p_\theta(x) = \mathrm{KL}(q \Vert p_\theta(z \mid x)) + \mathcal{L}$, its (1.6) and (1.5): the *gap* is a KL divergence. And $\mathcal{L} = -\mathrm{KL}(q \Vert p(z)) + \mathbb{E}_q[\log p_\theta(x \mid z)]$, its (1.7). Everything is in nats.

# %% [markdown]
# ## 12.1 The model, and its posterior
#
# **Probabilistic principal component analysis** (pPCA; [Tipping & Bishop 1999](../book/bibliography.md)) is the model of a VAE with a linear decoder and the same Gaussian noise in every pixel:
#
# $$
# \begin{aligned}
# p(z) &= \mathcal{N}(0, I), \\
# p_\theta(x \mid z) &= \mathcal{N}(m + W z, s^2 I).
# \end{aligned} \tag{12.1}
# $$
#
# The parameters $\theta$ are $W$, $m$ and $s$: $W$ is a $D \times J$ matrix, $m$ the mean of $x$, $s$ the standard deviation of the pixel noise. $D$ is the number of pixels, $J$ that of latent variables.
#
# **The marginal.** $x = m + W z + s \varepsilon$ with independent standard Gaussians $z$ and $\varepsilon$ is a linear map of Gaussians, so it is Gaussian. Its mean is $m$. Its covariance is
# $\mathbb{E}[(Wz + s\varepsilon)(Wz + s\varepsilon)^\top] = W W^\top + s^2 I$, since $\mathbb{E}[z z^\top] = I$ and the cross terms vanish:
#
# $$
# p_\theta(x) = \mathcal{N}(m, W W^\top + s^2 I). \tag{12.2}
# $$
#
# **The posterior, in one dimension.** Take one pixel and one latent variable, and write $w$ for the single entry of $W$. Collect what depends on $z$ in $\log p(z) + \log p_\theta(x \mid z)$:
#
# $$
# \begin{aligned}
# & -\frac{z^2}{2} - \frac{(x - m - w z)^2}{2 s^2} \\
# & \quad = -\frac{1}{2} \left( 1 + \frac{w^2}{s^2} \right) z^2 + \frac{w (x - m)}{s^2} z \\
# & \qquad + \text{const}.
# \end{aligned}
# $$
#
# The logarithm of a Gaussian with mean $\nu$ and precision $P$ (one over the variance) is $-\frac{1}{2} P (z - \nu)^2 = -\frac{1}{2} P z^2 + P \nu z$, up to constants. Compare the two. The factor of $z^2$ gives $P$, the factor of $z$ gives $P \nu$:
#
# $$
# P = 1 + \frac{w^2}{s^2}, \qquad \nu = \frac{1}{P} \cdot \frac{w (x - m)}{s^2} . \tag{12.3}
# $$
#
# This is **completing the square**. Read it as bookkeeping: precisions add. The prior brings 1, the pixel brings $w^2/s^2$, more of it the less noise there is.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three curves over the latent variable z in one dimension: the wide prior centred at 0, the likelihood of the observed pixel as a function of z, centred at 2, and between them, nearer to the likelihood and narrower than both, the posterior centred at 1.6."}}
w_1, s_1, observed = 1.0, 0.5, 2.0  # one pixel, with m = 0
P_1 = 1 + w_1**2 / s_1**2
nu_1 = w_1 * observed / s_1**2 / P_1
z_line = np.linspace(-3, 4, 400)
likelihood_1 = stats.norm.pdf(observed, w_1 * z_line, s_1)
posterior_1 = stats.norm.pdf(z_line, nu_1, 1 / math.sqrt(P_1))

fig, ax = plt.subplots(figsize=(5.6, 3.2))
ax.plot(z_line, stats.norm.pdf(z_line), color=SKY, label="prior, P = 1")
ax.plot(
    z_line,
    likelihood_1,
    color=ORANGE,
    linestyle="--",
    label="likelihood of x = 2, adds 4",
)
ax.plot(
    z_line, posterior_1, color="black", label="posterior, P = 5, ν = 1.6"
)
ax.set(xlabel="z", ylabel="density", title="Precisions add", ylim=(0, 1.35))
ax.legend(fontsize=11, loc="upper left")
plt.show()

# %% tags=["check"]
by_bayes = stats.norm.pdf(z_line) * likelihood_1
by_bayes /= stats.norm.pdf(observed, 0, math.sqrt(w_1**2 + s_1**2))
vh.check(
    "prior times likelihood over p(x) is the posterior (12.3) at each z",
    posterior_1,
    by_bayes,
    atol=1e-12,
)

# %% [markdown]
# **The posterior, in all dimensions.** The same comparison, with matrices in the places of numbers:
#
# $$
# \begin{aligned}
# p_\theta(z \mid x) &= \mathcal{N}(\nu, P^{-1}), \\
# P &= \frac{W^\top W}{s^2} + I, \\
# \nu &= \frac{1}{s^2} P^{-1} W^\top (x - m).
# \end{aligned} \tag{12.4}
# $$
#
# <details>
# <summary>Proof, by completing the square with vectors</summary>
#
# Write $\log p(z) + \log p_\theta(x \mid z)$ and keep what depends on $z$:
#
# $$
# \begin{aligned}
# & -\frac{1}{2} z^\top z - \frac{1}{2 s^2} \lVert x - m - W z \rVert^2 \\
# & \quad = -\frac{1}{2} z^\top \left( I + \frac{W^\top W}{s^2} \right) z \\
# & \qquad + z^\top \frac{W^\top (x - m)}{s^2} + \text{const}.
# \end{aligned}
# $$
#
# A Gaussian with mean $\nu$ and precision matrix (inverse covariance) $P$ has the log density $-\frac{1}{2} z^\top P z + z^\top P \nu + \text{const}$. The terms with two $z$ give $P$; the terms with one give $P \nu = W^\top (x - m) / s^2$. ∎
#
# </details>
#
# The posterior's covariance does not depend on $x$. It is tilted whenever two columns of $W$ are not orthogonal: then $P$ is not diagonal, and neither is its inverse.
#
# The example has five pixels and two latent variables. Its numbers `W`, `m`, `s` and `x` stand in the folded cell above the first picture.


# %%
def log_marginal(
    x: np.ndarray, W: np.ndarray, m: np.ndarray, s: float
) -> float:
    """log p(x) of pPCA in nats, equation (12.2)."""
    covariance = W @ W.T + s**2 * np.eye(len(m))
    return stats.multivariate_normal.logpdf(x, m, covariance)


def posterior(
    x: np.ndarray, W: np.ndarray, m: np.ndarray, s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean [J] and precision [J, J] of p(z | x) of pPCA, (12.4)."""
    P = W.T @ W / s**2 + np.eye(W.shape[1])
    return np.linalg.solve(P, W.T @ (x - m)) / s**2, P


D, J = W.shape
nu, P = posterior(x, W, m, s)
log_px = log_marginal(x, W, m, s)

# %% [markdown]
# Two checks: (12.2) by integrating over $z$ numerically ([Gauss–Hermite quadrature](11_quadrature.ipynb)), and (12.4) by Bayes' rule, $p_\theta(x) = p(z) p_\theta(x \mid z) / p_\theta(z \mid x)$, at fifty random codes.


# %% tags=["check"]
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


def log_likelihood(
    x: np.ndarray, z: np.ndarray, W: np.ndarray, m: np.ndarray, s: float
) -> np.ndarray:
    """log p(x | z) of pPCA, shape [n], for codes z [n, J]."""
    return stats.norm.logpdf(x, m + z @ W.T, s).sum(axis=-1)


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
# Bayes' rule at *any* code gives the same $\log p_\theta(x)$. That is what it means for the posterior to be right.

# %% [markdown]
# ## 12.2 The bound and its gap in closed form
#
# Take a Gaussian $q$. **One fact about averages of squares does all the work.** In one dimension, for $q = \mathcal{N}(\mu, \sigma^2)$ and any number $c$,
#
# $$
# \mathbb{E}_q[(z - c)^2] = \sigma^2 + (\mu - c)^2,
# $$
#
# because $z - c = (z - \mu) + (\mu - c)$ and the cross term averages to zero. Spread plus squared distance: that is all. From it chapter 1 derives its (1.20), the KL divergence of two Gaussians. With $\mu_2 = \nu$ and $\sigma_2^2 = 1/P$ that is the gap to the posterior:
#
# $$
# \begin{aligned}
# \mathrm{KL} = {} & \frac{1}{2} \left( P \sigma^2 - 1 - \log (P \sigma^2) \right) \\
# & + \frac{1}{2} P (\mu - \nu)^2 .
# \end{aligned} \tag{12.5}
# $$
#
# The first line weighs the width of $q$ against that of the posterior, the second the distance of the means. It is zero at $\sigma^2 = 1/P$ and $\mu = \nu$, and nowhere else.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two curves of the KL divergence in nats. Left, against the standard deviation of q divided by the posterior's, from 0.2 to 2.5: zero at one, rising to about 1.1 at 0.2 and to 1.7 at 2.5. Right, against the distance of the means in posterior standard deviations: a parabola, zero at zero and 2 at a distance of two."}}
width = np.linspace(0.2, 2.5, 200)
distance = np.linspace(-2.5, 2.5, 200)
fig, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3), sharey=True)
left.plot(width, 0.5 * (width**2 - 1 - np.log(width**2)), color=BLUE)
left.set(
    xlabel="sd of q / the posterior's sd",
    ylabel="gap, nats",
    title="a wrong width",
)
right.plot(distance, 0.5 * distance**2, color=BLUE)
right.set(
    xlabel="distance of means / posterior's sd",
    title="a wrong mean",
)
plt.show()

# %% [markdown]
# Half the posterior's standard deviation costs 0.32 nats, double costs 0.81, a mean that is one standard deviation off 0.5.
#
# **In all dimensions.** Let $q = \mathcal{N}(\mu, S)$ with any covariance matrix $S$. For a symmetric matrix $Q$ and a point $c$ the same split gives
#
# $$
# \begin{aligned}
# & \mathbb{E}_q[(z - c)^\top Q (z - c)] \\
# & \quad = \mathrm{tr}(Q S) + (\mu - c)^\top Q (\mu - c).
# \end{aligned} \tag{12.6}
# $$
#
# Apply it to $\log q$, to $\log r$ of another Gaussian $r = \mathcal{N}(\nu, P^{-1})$, and to $\log p_\theta(x \mid z)$. The entropy of $q$ is
#
# $$
# \begin{aligned}
# & -\mathbb{E}_q[\log q(z)] \\
# & \quad = \frac{J}{2} \log 2\pi + \frac{1}{2} \log \det S + \frac{J}{2},
# \end{aligned} \tag{12.7}
# $$
#
# the KL divergence between two Gaussians
#
# $$
# \begin{aligned}
# & \mathrm{KL}(q \Vert r) \\
# & \quad = \frac{1}{2} \big( \mathrm{tr}(P S) + (\mu - \nu)^\top P (\mu - \nu) \\
# & \qquad - J - \log \det P - \log \det S \big),
# \end{aligned} \tag{12.8}
# $$
#
# and the reconstruction term
#
# $$
# \begin{aligned}
# & \mathbb{E}_q[\log p_\theta(x \mid z)] = -\frac{D}{2} \log(2 \pi s^2) \\
# & \quad - \frac{1}{2 s^2} \lVert x - m - W \mu \rVert^2 \\
# & \quad - \frac{1}{2 s^2} \mathrm{tr}(W S W^\top).
# \end{aligned} \tag{12.9}
# $$
#
# <details>
# <summary>Proofs of the four</summary>
#
# *(12.6).* $z - c = (z - \mu) + (\mu - c)$, the cross term averages to zero, and
#
# $$
# \begin{aligned}
# & \mathbb{E}[(z - \mu)^\top Q (z - \mu)] \\
# & \quad = \mathrm{tr}(Q \mathbb{E}[(z-\mu)(z-\mu)^\top]) \\
# & \quad = \mathrm{tr}(Q S).
# \end{aligned}
# $$
#
# *(12.7).* For a $J$-dimensional Gaussian
#
# $$
# \begin{aligned}
# & -\log q(z) = \frac{J}{2} \log 2\pi + \frac{1}{2} \log \det S \\
# & \quad + \frac{1}{2} (z - \mu)^\top S^{-1} (z - \mu).
# \end{aligned}
# $$
#
# By (12.6) with $Q = S^{-1}$ the last term averages to $\frac{1}{2} \mathrm{tr}(I) = \frac{J}{2}$.
#
# *(12.8).* By (12.6) with $Q = P$
#
# $$
# \begin{aligned}
# & -\mathbb{E}_q[\log r(z)] = \frac{J}{2} \log 2\pi - \frac{1}{2} \log \det P \\
# & \quad + \frac{1}{2} \mathrm{tr}(P S) + \frac{1}{2} (\mu - \nu)^\top P (\mu - \nu).
# \end{aligned}
# $$
#
# Subtract (12.7).
#
# *(12.9).* $\log p_\theta(x \mid z)$ is quadratic in $z$. The vector $W z$ has the mean $W \mu$ and the covariance $W S W^\top$. Apply (12.6) to it, with $Q = I$ and $c = x - m$. ∎
#
# </details>
#
# (12.8) with the posterior as $r$ is the gap. With the prior as $r$ ($\nu = 0$, $P = I$), subtracted from (12.9), it gives the ELBO. In code:


# %%
def kl_gaussians(mu, S, nu, P) -> float:
    """KL(N(mu, S) || N(nu, inverse of P)) in nats, equation (12.8)."""
    quadratic = np.trace(P @ S) + (mu - nu) @ P @ (mu - nu)
    log_det_P, log_det_S = np.linalg.slogdet(P)[1], np.linalg.slogdet(S)[1]
    return 0.5 * (quadratic - len(mu) - log_det_P - log_det_S)


def elbo_exact(x, W, m, s, mu, S) -> float:
    """The ELBO of pPCA for q = N(mu, S) in nats.

    Equation (12.9) minus (12.8), with the prior in the place of r.
    """
    J = len(mu)
    squared_error = np.sum((x - m - W @ mu) ** 2) + np.trace(W @ S @ W.T)
    log_constant = -0.5 * len(x) * math.log(2 * math.pi * s**2)
    reconstruction = log_constant - squared_error / (2 * s**2)
    return reconstruction - kl_gaussians(mu, S, np.zeros(J), np.eye(J))


# %% [markdown]
# The check draws twenty random Gaussian $q$, with full covariances, and asks each time whether the gap plus the ELBO is $\log p_\theta(x)$.

# %% tags=["check"]
rng = np.random.default_rng(3)
gaps, bounds = [], []
for _ in range(20):
    mu, factor = rng.normal(size=J), rng.normal(size=(J, J))
    S = factor @ factor.T + 0.1 * np.eye(J)
    gaps.append(kl_gaussians(mu, S, nu, P))
    bounds.append(elbo_exact(x, W, m, s, mu, S))

in_one = kl_gaussians(
    np.array([0.3]), np.array([[0.49]]), np.array([1.6]), np.array([[5.0]])
)
vh.check(
    "KL to the posterior + ELBO = log p(x) for 20 random q",
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
one = np.eye(1)
costs = [
    kl_gaussians(np.array([d]), width**2 * one, np.zeros(1), one)
    for width, d in ((0.5, 0), (2, 0), (1, 1))
]
vh.check(
    "half the width, twice the width, one sd off: the gap in nats",
    costs,
    [0.32, 0.81, 0.5],
    atol=0.005,
)
vh.check(
    "in one dimension (12.8) is (12.5)",
    in_one,
    0.5 * (5 * 0.49 + 5 * 1.3**2 - 1 - math.log(5 * 0.49)),
    atol=1e-12,
)

# %% [markdown]
# The decomposition holds for good and bad $q$ alike. With $q$ equal to the posterior the bound is tight.
#
# **By sampling**, here from a $q$ with the wrong mean and widths, both ends of the gap come out. The mean *logarithm* of the importance weight $p_\theta(x, z) / q(z)$ is the ELBO, and the mean *weight* is $p_\theta(x)$. The mean of the log and the log of the mean differ by the gap.

# %% tags=["check"]
mu, S = nu + np.array([0.3, -0.2]), np.diag([0.5, 0.4])
z = np.random.default_rng(4).multivariate_normal(mu, S, size=200_000)
log_weights = (
    stats.norm.logpdf(z).sum(axis=1)
    + log_likelihood(x, z, W, m, s)
    - stats.multivariate_normal.logpdf(z, mu, S)
)
weights = np.exp(log_weights)

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
    "the mean log-weight is far below log p(x), in standard errors",
    (log_px - log_weights.mean()) / standard_error(log_weights),
    100,
    relation=">",
)

# %% [markdown]
# ## 12.3 The best diagonal q, and its gap
#
# The usual encoder has a *diagonal* covariance: $q = \mathcal{N}(\mu, \mathrm{diag}(\sigma_1^2, \dots, \sigma_J^2))$. How good can it be when the posterior is tilted?
#
# **It is best with the posterior's mean and the variances $1/P_{jj}$, and then it still loses**
#
# $$
# \text{gap} = \frac{1}{2} \left( \sum_{j=1}^{J} \log P_{jj} - \log \det P \right). \tag{12.10}
# $$
#
# *Why.* Minimise (12.8). With $S$ diagonal, $\mathrm{tr}(PS) = \sum_j P_{jj} \sigma_j^2$ and $\log \det S = \sum_j \log \sigma_j^2$.
#
# - The only term with $\mu$ is $(\mu - \nu)^\top P (\mu - \nu) \ge 0$. It is zero at $\mu = \nu$.
# - Differentiate in $\sigma_j^2$: $\frac{1}{2} (P_{jj} - 1/\sigma_j^2) = 0$, so $\sigma_j^2 = 1/P_{jj}$. The second derivative $\frac{1}{2\sigma_j^4}$ is positive: a minimum.
#
# Put these back. $\sum_j P_{jj} \sigma_j^2 = J$ cancels the $-J$, and (12.10) is what stays. In our example $P$ has 6.69 and 4.80 on its diagonal and 4.02 beside it: the gap is $\frac{1}{2} \log \frac{6.69 \cdot 4.80}{6.69 \cdot 4.80 - 4.02^2}$, 0.350 nats.

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
vh.check("P", P, [[6.69, 4.02], [4.02, 4.80]], atol=0.006)
vh.check("an optimiser finds the means ν", found.x[:J], nu, atol=1e-4)
vh.check(
    "it finds the variances 1 / P_jj",
    np.exp(found.x[J:]),
    1 / np.diag(P),
    atol=1e-4,
)
vh.check(
    "it ends with the gap of (12.10)",
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
# A numerical optimiser that knows nothing of (12.10) lands on it. Now move the mean of $q$ along $z_1$:

# %% tags=["plumbing"] mystnb={"image": {"alt": "Values in nats against the shift of the mean of q. log p(x) is a horizontal line. The ELBO with the posterior's full covariance is a downward parabola that touches it at shift zero; the ELBO with the best diagonal covariance is the same parabola 0.35 nats lower."}}
shifts = np.linspace(-1.2, 1.2, 121)
centres = nu + shifts[:, None] * np.array([1.0, 0.0])
S, S_diagonal = np.linalg.inv(P), np.diag(1 / np.diag(P))
full = [elbo_exact(x, W, m, s, c, S) for c in centres]
diagonal = [elbo_exact(x, W, m, s, c, S_diagonal) for c in centres]

fig, ax = plt.subplots()
ax.axhline(log_px, color="black", label="log p(x)")
ax.plot(shifts, full, color=GREEN, label="ELBO, posterior's covariance")
ax.plot(
    shifts, diagonal, color=BLUE, label="ELBO, best diagonal covariance"
)
ax.annotate(
    "gap 0.350 nats",
    (0, log_px - 0.5 * gap_formula),
    (0.45, log_px - 0.35),
    arrowprops={"arrowstyle": "->"},
)
ax.set(
    xlabel="shift of the mean of q from the posterior's",
    ylabel="nats",
    title="Moving q",
    ylim=(log_px - 4.2, log_px + 0.3),
)
ax.legend(fontsize=11, loc="lower center")
plt.show()

# %% tags=["check"]
vh.check("the green curve touches log p(x)", max(full), log_px, atol=1e-10)
vh.check(
    "the blue one stays below by the gap (12.10)",
    log_px - max(diagonal),
    gap_formula,
    atol=1e-10,
)

# %% [markdown]
# **When does the gap vanish?** It is a KL divergence: zero only if the diagonal $q$ *is* the posterior, that is, if $P$ is diagonal. By (12.4) this means that the columns of $W$ are orthogonal. ((12.8) holds for every positive definite matrix $P$. So this also proves Hadamard's inequality, $\det P \le \prod_j P_{jj}$, with equality exactly when $P$ is diagonal.)
#
# **In no coordinate $z_j$ has the best diagonal $q$ a larger variance than the posterior.** Its variances $1/P_{jj}$ are the *conditional* variances of the posterior, with the other entries of $z$ held fixed. The marginal variances, $(P^{-1})_{jj}$, are never smaller: they add the variance of the conditional mean. The orange ellipse on top of the page shows the other choice. The *swapped* divergence $\mathrm{KL}(p \Vert q)$ asks for a $q$ as wide and as high as the posterior (exercise 3).
#
# **Now make it vanish.** Rotate the latent space: replace $W$ by $W R$ with an orthogonal matrix $R$. By (12.2) nothing changes for the data, because $W R R^\top W^\top = W W^\top$. Choose the eigenvectors of $W^\top W$ as the columns of $R$; then $(WR)^\top W R$ is diagonal.

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

# %% tags=["check"]
# The ellipses of the first picture.
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
    np.linalg.inv(P_rotated)[0, 1],
    0,
    atol=1e-10,
)

# %% [markdown]
# The same model of the data, with other axes in the latent space, has no gap. **A VAE with a diagonal $q$ is not indifferent to rotation, although the likelihood is.** In general the gap depends on $\theta$, so training on the bound favours decoders whose posterior is easy for $q$.
#
# ## 12.4 What slope the bound has
#
# **Where $q$ is the posterior, the bound has the slope of $\log p_\theta(x)$**, as in chapter 1. Let $q$ be the posterior at $\theta_0$, and keep it fixed while $\theta$ moves. The gap is then a function of $\theta$ with its minimum, zero, at $\theta_0$. So its gradient there is zero, and since $\mathcal{L}$ is $\log p_\theta(x)$ minus the gap,
#
# $$
# \nabla_\theta \mathcal{L} = \nabla_\theta \log p_\theta(x) \quad \text{at } \theta_0. \tag{12.11}
# $$
#
# The picture moves one parameter of the decoder, a factor $a$ that multiplies $W$. Each of three fixed $q$ is the posterior for one value of $a$.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Values in nats against the decoder factor a. log p(x) is a curve with one maximum. Three bounds lie below it, each for one fixed q, and each touches the curve in one marked point, with the same slope."}}
factors = np.linspace(0.2, 2.5, 120)
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

fig, ax = plt.subplots()
ax.plot(factors, curve, color="black", label="log p(x)")
colours = (BLUE, GREEN, PINK)
for colour, (a0, bound) in zip(colours, touching.items(), strict=True):
    label = f"ELBO, q = posterior at a = {a0}"
    ax.plot(factors, bound, color=colour, label=label)
    ax.plot(a0, log_marginal(x, a0 * W, m, s), "o", color=colour)
ax.set(
    xlabel="decoder parameter a",
    ylabel="nats",
    title="Moving θ",
    ylim=(curve.max() - 4, curve.max() + 2.6),
)
ax.legend(fontsize=11, loc="upper right")
plt.show()

# %% tags=["check"]
vh.check(
    "each bound touches log p(x) at its a",
    *np.transpose(touching_points),
    atol=1e-10,
)
vh.check(
    "it is nowhere above log p(x)",
    list(touching.values()),
    curve,
    relation="≤",
)

# %% [markdown]
# The gap can only grow from zero, so from $\theta_0$ every step in $\theta$ that raises the bound raises $\log p_\theta(x)$ at least as much. That is how the classical *expectation–maximisation* algorithm works: set $q$ to the posterior, climb in $\theta$ with $q$ fixed (its M-step), repeat.


# %% tags=["check"]
def derivative(function, a: float = 1.0, h: float = 1e-5) -> float:
    """The derivative of function at a, by a central difference."""
    return (function(a + h) - function(a - h)) / (2 * h)


S = np.linalg.inv(P)  # q is the posterior at a = 1, and stays there
slope_of_log_p = derivative(lambda a: log_marginal(x, a * W, m, s))
slope_of_elbo = derivative(lambda a: elbo_exact(x, a * W, m, s, nu, S))
slope_with_other_q = derivative(
    lambda a: elbo_exact(x, a * W, m, s, nu + 0.2, S)
)
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
# With another $q$ the slope is in general off. A poor encoder biases the training of the decoder.
#
# ## 12.5 The algorithm, run to a known optimum
#
# Does the algorithm of chapter 1, *auto-encoding variational Bayes* (AEVB), find the maximum-likelihood solution? Here you can ask, because the maximum has a closed form ([Tipping & Bishop 1999](../book/bibliography.md)). Let $\lambda_1 \ge \dots \ge \lambda_D$ be the eigenvalues of the data covariance. Then $\hat m$ is the data mean, $\hat s^2$ the mean of the last $D - J$ eigenvalues, and the model's covariance keeps the eigenvectors and the first $J$ eigenvalues, and sets the rest to $\hat s^2$.
#
# **The bound can reach it with a diagonal $q$**: by (12.10) the gap is zero for the rotation that makes $W^\top W$ diagonal, and by (12.2) rotating costs no likelihood. So the maximum of the ELBO equals the maximum of the likelihood ([Lucas et al. 2019](../book/bibliography.md)).
#
# The run takes minibatches of $M = 100$ from 1,000 points drawn from the example, one sample of $z$ for each, and estimator B of chapter 1 (the KL in closed form, the reconstruction sampled). The mean of $q$ is linear in $x$, with an offset. Its log-variance is a free vector, because the posterior's covariance does not depend on $x$.

# %% tags=["plumbing"]
rng = np.random.default_rng(13)
N = 1000
data = m + rng.normal(size=(N, J)) @ W.T + s * rng.normal(size=(N, D))

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
    """One update on a minibatch x [M, D] with noise epsilon [M, J]."""
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
        loss = -tf.reduce_mean(reconstruction + minus_kl)
    slopes = tape.gradient(loss, parameters)
    optimizer.apply_gradients(zip(slopes, parameters, strict=True))
    return -loss


# %%
estimates = []
for _ in range(3000):
    batch = data[rng.choice(N, 100, replace=False)]
    estimates.append(aevb_step(batch, rng.normal(size=(100, J))).numpy())

# %% tags=["plumbing"]
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

# %% tags=["plumbing"] mystnb={"image": {"alt": "The minibatch estimate of the ELBO against the update, in nats per data point: a noisy band that climbs within a few hundred updates and then scatters around the dashed line of the exact maximum log-likelihood."}}
fig, ax = plt.subplots()
ax.plot(estimates, color=SKY, linewidth=0.5, label="minibatch estimate")
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
    ylim=(maximum - 1.2, maximum + 0.6),
)
ax.legend(loc="lower right", fontsize=11)
plt.show()

# %% [markdown]
# Single minibatch estimates lie on both sides of the line: each is of other data points, with one draw of $z$ for each. Only the *expected* estimate is a lower bound. So judge the trained encoder and decoder with nothing sampled: its exact ELBO, averaged over the data, against the exact maximum.

# %% tags=["check"]
vh.check(
    "AEVB reaches the maximum log-likelihood to within 0.001 nats",
    reached,
    maximum,
    atol=0.001,
)
vh.check(
    "the bound stays below the maximum", maximum - reached, 0, relation=">"
)
vh.check(
    "the noise variance is the mean of the last eigenvalues",
    s_found**2,
    best_variance,
    rtol=0.02,
)


def cosine(W: np.ndarray) -> float:
    """The cosine between the two columns of W, shape [D, 2]."""
    return W[:, 0] @ W[:, 1] / np.prod(np.linalg.norm(W, axis=0))


vh.check(
    "the cosine between the columns of the trained W is small",
    abs(cosine(W_found)),
    0.05,
    relation="<",
)
vh.check(
    "that of the W which made the data is not",
    cosine(W),
    0.86,
    atol=0.005,
)

# %% [markdown]
# AEVB never saw an eigenvalue, and reaches the eigenvalue solution. The columns of its $W$ are orthogonal up to noise, where those of the $W$ that made the data have a cosine of 0.86: of all the rotations with the same likelihood, the bound with a diagonal $q$ picks one without a gap.
#
# ## What we measured
#
# | Question | Published | On this page |
# |---|---|---|
# | the best diagonal $q$ | variances $1/P_{jj}$ ([Bishop 2006](../book/bibliography.md), section 10.1.2) | the same, and a gap of 0.350 nats; zero after a rotation |
# | does AEVB reach the maximum of the likelihood? | the maximum of the ELBO is that of the likelihood ([Lucas et al. 2019](../book/bibliography.md)) | to within 0.001 nats a data point |

# %% tags=["check"]
vh.check(
    "gap of the best diagonal q, in nats", gap_formula, 0.350, atol=5e-4
)

# %% [markdown]
# ## In this chapter you have seen
#
# - the posterior, the bound and its gap as formulas, checked for random $q$;
# - the best diagonal $q$, too narrow along each axis where the posterior is tilted, and a rotation that costs nothing and closes the gap;
# - a training run that ends at the known optimum, in that rotation.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. A gap by hand** (10 min, by hand). A posterior has the precision matrix with 5 on the diagonal and 3 off it ($J = 2$). What is the gap of the best diagonal $q$? What variances does that $q$ have, and what are the posterior's own marginal variances?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# By (12.10) the gap is $\frac{1}{2} (\log 25 - \log 16) = \log \frac{5}{4} = 0.2231$ nats. The best $q$ has variances $\frac{1}{5} = 0.2$. The inverse of the matrix has $\frac{5}{16} = 0.3125$ on its diagonal: the variance of $q$ is too small by 36 per cent.
#
# </details>

# %% tags=["solution"]
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
vh.check("the gap", best_gap.fun, 0.2231, atol=1e-4)
vh.check("variances of q", np.exp(best_gap.x), 0.2, atol=1e-4)
vh.check("the posterior's own", marginal, 0.3125, atol=1e-10)

# %% [markdown] tags=["exercise"]
# **2. Turning the axes** (15 min, by code). Replace $W$ by $W R$, where $R$ turns the plane by the angle $t$: its rows are $(\cos t, -\sin t)$ and $(\sin t, \cos t)$. Write the gap (12.10) as a function of $t$ (in degrees), and plot it. How often is it zero between 0° and 180°? Where is it largest?


# %% tags=["exercise", "exact"]
def gap_after_turn(degrees):
    """The gap (12.10) of W turned by an angle, in nats."""
    return ...  # your lines


print("yours:", gap_after_turn(20), "expected: 0.1620")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# $\det P$ does not change with the turn, so the gap follows $\frac{1}{2} \log (P_{11} P_{22})$. The sum $P_{11} + P_{22}$, the trace, does not change either, so the product is largest where the two are equal: the gap is largest, 0.364 nats, 45° away from the axes of the posterior, at 83.4° and 173.4°. It is zero twice, 90° apart: at the angles at which the axes are the posterior's own. Between 0° and 180° that is 38.4° and 128.4°, from $\tan 2t = 2 P_{12} / (P_{11} - P_{22})$ with the $P$ of $W$.
#
# </details>


# %% tags=["solution"]
def gap_after_turn(degrees):
    """The gap (12.10) of W turned by an angle, in nats."""
    t = math.radians(degrees)
    turn = np.array(
        [[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]]
    )
    _, P = posterior(x, W @ turn, m, s)
    return 0.5 * (np.log(np.diag(P)).sum() - np.linalg.slogdet(P)[1])


by_degree = np.array([gap_after_turn(t) for t in np.arange(0, 180, 0.1)])
vh.check("at 20 degrees", gap_after_turn(20), 0.1620, atol=5e-5)
vh.check("the largest gap", by_degree.max(), 0.364, atol=5e-4)
vh.check("at 38.4 and 128.4", by_degree[[384, 1284]], 0, atol=1e-5)
vh.check(
    "the largest is at 83.4 and 173.4",
    by_degree[[834, 1734]],
    by_degree.max(),
    atol=1e-5,
)

# %% [markdown] tags=["exercise"]
# **3. The KL the other way round** (15 min, by hand). Minimise $\mathrm{KL}(p \Vert q)$ instead, where $p = \mathcal{N}(\nu, \Sigma)$ is the posterior with $\Sigma = P^{-1}$ and $q$ is a diagonal Gaussian. What are the best means and variances? Why can a VAE not train with it?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# $\mathrm{KL}(p \Vert q) = \text{const} - \mathbb{E}_p[\log q(z)]$, and $\log q$ is a sum over dimensions. By the one-dimensional case of (12.6), $-\mathbb{E}_p[\log q_j] = \frac{1}{2} \log (2\pi \sigma_j^2) + \frac{1}{2 \sigma_j^2} (\Sigma_{jj} + (\nu_j - \mu_j)^2)$. So $\mu_j = \nu_j$. The derivative in $\sigma_j^2$ vanishes at $\sigma_j^2 = \Sigma_{jj}$ alone, and the sum grows without end on both sides: the minimum is at the posterior's own marginal variances. That is the orange ellipse.
#
# It needs averages over the true posterior, which is what you do not have. *Wake-sleep*, an older algorithm on [the page on history](16_history.ipynb), goes around this by sampling from the model instead.
#
# </details>

# %% tags=["solution"]
best = optimize.minimize(
    lambda v: kl_gaussians(
        nu, np.linalg.inv(P), v[:J], np.diag(np.exp(-v[J:]))
    ),
    np.zeros(2 * J),
    tol=1e-10,
)
vh.check("the best means", best.x[:J], nu, atol=1e-4)
vh.check(
    "the best variances",
    np.exp(best.x[J:]),
    np.diag(np.linalg.inv(P)),
    atol=1e-4,
)

# %% [markdown] tags=["exercise"]
# **4. A or B?** (15 min, by hand). With one draw, estimator A of chapter 1 is estimator B plus $\Delta = \sum_j \left( -\mu_j \sigma_j \varepsilon_j + \frac{1}{2} (1 - \sigma_j^2)(\varepsilon_j^2 - 1) \right)$, its (1.17). All the noise in B is that of $\log p_\theta(x \mid z)$. For which covariances of $\log p_\theta(x \mid z)$ and $\Delta$ is B the quieter one? What is that covariance at the exact posterior, if that is diagonal?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Write $\mathrm{Var}(A) = \mathrm{Var}(B) + 2 \mathrm{Cov}(B, \Delta) + \mathrm{Var}(\Delta)$. So B is quieter exactly when
#
# $$
# \mathrm{Cov}(\log p_\theta(x \mid z), \Delta) > -\frac{1}{2} \mathrm{Var}(\Delta) .
# $$
#
# At the exact posterior, if it is diagonal, $p_\theta(x, z) / q(z) = p_\theta(x)$ for every $z$: A does not vary at all. There $\log p_\theta(x \mid z)$ is a constant minus $\Delta$, the covariance is $-\mathrm{Var}(\Delta)$, and A is the quieter one (unless the posterior is the prior, where neither varies). The cell below draws 60 Gaussians $q$ around the posterior, some wide and some narrow. For each it measures on one set of draws which estimator is quieter, and evaluates the condition on another. In five the two variances are too close to call. Of the other 55, B is quieter for 45; how many depends on how far from the posterior they are drawn.
#
# </details>

# %% tags=["solution"]
rng = np.random.default_rng(21)


def draw_terms(
    q_mean: np.ndarray, q_sd: np.ndarray, n: int = 20_000
) -> tuple[np.ndarray, np.ndarray]:
    """log p(x | z) and Delta of (1.17) for n draws of the noise."""
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

assert len(agreements) >= 30
vh.check(
    "the condition names the quieter one for every q not too close",
    sum(agreements),
    len(agreements),
    relation="=",
)
vh.check("for some q B is the quieter one", sum(b_wins), 0, relation=">")
vh.check("but not for all of them", sum(b_wins), len(b_wins), relation="<")

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## What to read next
#
# - [Chapter 1](01_theory.ipynb), if you came from there: the same bound for a decoder that is a network.
# - [Importance weighting](14_importance_weighting.ipynb) goes on with this example: the best diagonal $q$ turns out to be a poor sampler.
# - [Tipping & Bishop 1999](../book/bibliography.md) for the closed-form maximum, and [Lucas et al. 2019](../book/bibliography.md) for what linear VAEs say about collapsed codes.
