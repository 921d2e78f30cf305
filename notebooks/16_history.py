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
# # 16. Where the VAE comes from, and what stands beside it
#
# **Its parts were there before: an encoder beside a generator in wake-sleep, minibatches in stochastic variational inference, the exact linear case in probabilistic PCA. What the VAE added is the gradient that runs through the sample, from the decoder into the encoder.**
#
# This page adds the history that [chapter 1](01_theory.ipynb) leaves out. Three neighbours are computed: the swapped KL, PCA and denoising.

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

import math
import time

import matplotlib.pyplot as plt
import numpy as np
from scipy import optimize, stats

started = time.monotonic()
vh.use_book_style()
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"

# %% tags=["plumbing"] mystnb={"image": {"alt": "Dot matrix: eleven methods from 1989 to 2014, one a row, against five properties. One objective: all but wake-sleep. A code in one pass: all but sparse coding, stochastic variational inference and generative stochastic networks. The code is a distribution: wake-sleep, the Helmholtz machine, probabilistic PCA, stochastic variational inference and the VAE. A new image in one pass: the same five. A decoder that is not linear: wake-sleep, the Helmholtz machine, denoising and contractive autoencoders, generative stochastic networks and the VAE. Two rows have all five dots: the Helmholtz machine and, in orange, the VAE."}}
properties = [
    "one\nobjec-\ntive",
    "code:\nin one\npass",
    "code:\na distri-\nbution",
    "image:\nin one\npass",
    "decoder\nnot\nlinear",
]
methods = {
    "1989  linear autoencoder": "xx...",
    "1995  wake-sleep": ".xxxx",
    "1995  Helmholtz machine": "xxxxx",
    "1996  sparse coding": "x....",
    "1999  probabilistic PCA": "xxxx.",
    "2008  PSD": "xx...",
    "2008  denoising autoencoder": "xx..x",
    "2011  contractive autoencoder": "xx..x",
    "2013  SVI": "x.xx.",
    "2013  VAE": "xxxxx",
    "2014  GSN": "x...x",
}
fig, ax = plt.subplots(figsize=(5.8, 4))
for row, (method, has) in enumerate(methods.items()):
    color = ORANGE if "VAE" in method else BLUE
    for column, mark in enumerate(has):
        face = color if mark == "x" else "white"
        style = {"ms": 11, "mec": color, "mfc": face}
        ax.plot(column, row, "o", alpha=1 if mark == "x" else 0.4, **style)
ax.set_xticks(range(5), properties, fontsize=10)
ax.set_yticks(range(len(methods)), methods, fontsize=10, family="monospace")
ax.xaxis.tick_top()
ax.tick_params(length=0)
ax.set(xlim=(-0.5, 4.5), ylim=(len(methods) - 0.5, -0.5))
ax.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# A full dot: the method has the property. The Helmholtz machine has all five, eighteen years before the VAE; what it lacks is the gradient through the sample (section 16.7). ("Image" is a new one; PSD, SVI and GSN are explained below.)
#
# **What you will be able to do**
#
# - say what each ancestor and neighbour of the VAE optimises, and what it lacks or has instead;
# - compute what swapping the arguments of the KL does to an encoder;
# - prove what a denoising autoencoder learns.
#
# **What it needs.** The bound of [chapter 1](01_theory.ipynb) and the probabilistic PCA (pPCA) of [the page on the linear VAE](12_linear_vae.ipynb): $x = m + W z + s \varepsilon$, with the posterior $\mathcal{N}(\nu, P^{-1})$, $P = W^\top W / s^2 + I$ and $\nu = P^{-1} W^\top (x - m) / s^2$. A quarter of an hour to read; it runs in seconds.

# %% tags=["plumbing"]
W = np.array([[1.0, 0.6], [0.8, 0.9], [0.5, 0.7], [-0.3, 0.2], [0.9, 0.4]])
m = np.array([0.1, -0.2, 0.3, 0.0, 0.5])
s = 0.7
x = np.array([1.2, 0.5, 1.1, -0.4, 0.2])
D, J = W.shape


def posterior(x, W, m, s) -> tuple[np.ndarray, np.ndarray]:
    """Mean [J] and precision [J, J] of p(z | x) of pPCA, (12.4)."""
    P = W.T @ W / s**2 + np.eye(W.shape[1])
    return np.linalg.solve(P, W.T @ (x - m)) / s**2, P


def log_marginal(x, W, m, s) -> float:
    """log p(x) of pPCA in nats, equation (12.2)."""
    covariance = W @ W.T + s**2 * np.eye(len(m))
    return stats.multivariate_normal.logpdf(x, m, covariance)


def kl_gaussians(mu, S, nu, P) -> float:
    """KL(N(mu, S) || N(nu, inverse of P)) in nats, equation (12.8)."""
    quadratic = np.trace(P @ S) + (mu - nu) @ P @ (mu - nu)
    log_det_P, log_det_S = np.linalg.slogdet(P)[1], np.linalg.slogdet(S)[1]
    return 0.5 * (quadratic - len(mu) - log_det_P - log_det_S)


nu, P = posterior(x, W, m, s)

# %% [markdown]
# ## 16.1 Wake-sleep: two networks, two objectives
#
# **Wake-sleep** ([Hinton et al. 1995](../book/bibliography.md)) already trained a generative network and a recognition network side by side.
#
# - The *wake* phase fits the generator to codes drawn from the recognition network, as a VAE does.
# - The *sleep* phase fits the recognition network to "dreams": draw $z$ and $x$ from the model, and make $q$ predict $z$. That minimises $\mathrm{KL}(p_\theta(z \mid x) \Vert q_\phi(z \mid x))$, the KL with its arguments swapped, on the model's own data.
#
# So the two phases do not optimise one common objective, and no bound is guaranteed to rise. In exchange it works for discrete codes, without any reparameterisation.
#
# What does swapping do? Fit a diagonal Gaussian to the tilted posterior $\mathcal{N}(\nu, P^{-1})$ of probabilistic PCA. In the swapped KL only
#
# $$
# -\mathbb{E}_p[\log q] = \frac{1}{2} \sum_j \left( \log 2\pi\sigma_j^2 + \frac{\mathbb{E}_p[(z_j - \mu_j)^2]}{\sigma_j^2} \right)
# $$
#
# depends on $q$. It is least at $\mu_j = \nu_j$ and $\sigma_j^2 = (P^{-1})_{jj}$: the posterior's own variances. The VAE's KL picks $1/P_{jj}$ ([the page on the linear VAE](12_linear_vae.ipynb), section 12.3), which is never larger.

# %%
S = np.linalg.inv(P)
found = optimize.minimize(
    lambda log_v: kl_gaussians(nu, S, nu, np.diag(np.exp(-log_v))),
    np.zeros(J),
    tol=1e-12,
)
sleep_variances = np.exp(found.x)

# %% tags=["check"]
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

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three ellipses around one centre in the plane of the codes, each two standard deviations wide. The posterior, grey and filled, is long and tilted from upper left to lower right. The VAE's fit, blue, is upright and small: it leaves out both ends of the posterior. The sleep phase's fit, orange and dashed, is upright too, as wide and as high as the posterior, so it reaches far beyond it at two corners."}}
turn = np.linspace(0, 2 * np.pi, 200)
circle = 2 * np.array([np.cos(turn), np.sin(turn)])
fig, ax = plt.subplots(figsize=(5.2, 4))
tilted = nu[:, None] + np.linalg.cholesky(S) @ circle
ax.fill(*tilted, color="lightgrey", label="posterior")
vae = nu[:, None] + np.sqrt(1 / np.diag(P))[:, None] * circle
ax.plot(*vae, color=BLUE, lw=2, label="VAE: KL(q ‖ p)")
sleep = nu[:, None] + np.sqrt(sleep_variances)[:, None] * circle
ax.plot(*sleep, "--", color=ORANGE, lw=2, label="sleep: KL(p ‖ q)")
ax.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# Two standard deviations of each. The VAE's $q$ is too narrow in each coordinate. The sleep phase's $q$ has the right variances but no tilt, so it spends mass where the posterior has little.
#
# ## 16.2 Minibatches, without an encoder
#
# **Stochastic variational inference** (SVI; [Hoffman et al. 2013](../book/bibliography.md)) trains variational Bayes on minibatches, scaled up by $N/M$ as in [chapter 1](01_theory.ipynb). It is built for *conjugate* models: each unknown, given all others, has a distribution of the same exponential family as its prior, and the expectations of the bound have closed forms. Each data point keeps its own variational parameters, refitted in an inner loop. The VAE needs no conjugacy, and replaces the inner loop by an encoder.
#
# ## 16.3 The linear case: probabilistic PCA, PCA, linear autoencoders
#
# **Probabilistic PCA** ([Tipping & Bishop 1999](../book/bibliography.md); [Roweis 1998](../book/bibliography.md)) is a VAE with a linear decoder, the same noise in every pixel and the exact posterior. As $s \to 0$, the posterior covariance $P^{-1}$ goes to zero and $\nu$ to $(W^\top W)^{-1} W^\top (x - m)$. The reconstruction $m + W \nu$ becomes the orthogonal projection of $x$ onto the plane through $m$ along the columns of $W$. For the $W$ that fits best this is ordinary PCA. A *linear autoencoder* with squared error finds the same subspace ([Baldi & Hornik 1989](../book/bibliography.md)).

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
# ## 16.4 Sparse codes
#
# **Sparse autoencoders** ask for codes in which most entries are zero, by a penalty on the code or by a nonlinearity that makes it sparse ([Ranzato et al. 2006](../book/bibliography.md)); *sparse coding* ([Olshausen & Field 1996](../book/bibliography.md)) infers such a code by optimisation for each image. The penalty plays the part of $-\log p(z)$, for a prior with a peak at zero. But the code is a single point: the entropy of $q$ is missing, so there is no bound on $\log p(x)$, and the weight of the penalty must be tuned.
#
# **Predictive sparse decomposition** (PSD; [Kavukcuoglu, Ranzato & LeCun 2008](../book/bibliography.md)) trains an encoder to *predict* the optimal sparse code. This is amortised inference, as in the VAE and with the same gain in speed. It predicts a point, with a squared error, not a distribution.
#
# ## 16.5 Noise on the image: denoising and contractive autoencoders
#
# **Denoising autoencoders** ([Vincent et al. 2008](../book/bibliography.md), [2010](../book/bibliography.md)) corrupt the input and reconstruct the clean image. Noise enters at the *data*, in the VAE at the *code*. With Gaussian noise and a squared error, the best denoiser gives not a density but the slope of its logarithm. For noise of variance $\tau^2$ the best reconstruction is
#
# $$
# \mathbb{E}[x \mid \tilde x] = \tilde x + \tau^2 \nabla \log p(\tilde x) , \tag{16.1}
# $$
#
# where $p(\tilde x)$ is the density of noisy data. This is Tweedie's formula ([Efron 2011](../book/bibliography.md)); for denoising autoencoders see [Vincent 2011](../book/bibliography.md) and [Alain & Bengio 2014](../book/bibliography.md).
#
# *Proof.* $p(\tilde x) = \int p(x) \mathcal{N}(\tilde x; x, \tau^2 I) dx$, and the gradient of the Gaussian in $\tilde x$ is $\frac{x - \tilde x}{\tau^2}$ times itself. By Bayes' rule $p(x) \mathcal{N}(\tilde x; x, \tau^2 I) = p(x \mid \tilde x) p(\tilde x)$. So $\nabla p(\tilde x) = \frac{1}{\tau^2} (\mathbb{E}[x \mid \tilde x] - \tilde x) p(\tilde x)$. Divide by $p(\tilde x)$. ∎
#
# Below, the data lie on a ring. Each arrow goes from a noisy point to its best reconstruction; blue is the density of noisy data.

# %% tags=["plumbing"] mystnb={"image": {"alt": "A ring of 60 points, the data, in a plane, with dark contour-like shading where noisy data are dense. Arrows on a grid show where the best denoiser moves a noisy point: outside the ring they point inwards, well inside they point outwards, and they end on the ring or a little inside it. The farther from the ring, the longer the arrow."}}
angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
ring = 1.5 * np.column_stack([np.cos(angles), np.sin(angles)])
spread = 0.5  # τ


def log_noisy(points):
    """log density of a ring point plus noise, and its pieces [n, 60]."""
    squares = np.sum((points[:, None] - ring) ** 2, axis=2)
    pieces = -squares / (2 * spread**2) - math.log(2 * np.pi * spread**2)
    return np.log(np.exp(pieces).mean(axis=1)), pieces


def denoised(points):
    """E[x | noisy point]: the ring points, weighed."""
    weights = np.exp(log_noisy(points)[1])
    return weights @ ring / weights.sum(axis=1, keepdims=True)


side = np.linspace(-2.6, 2.6, 10)
places = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
arrows = denoised(places) - places
fine = np.linspace(-2.8, 2.8, 113)
shade = np.stack(np.meshgrid(fine, fine), axis=-1).reshape(-1, 2)
shade = np.exp(log_noisy(shade)[0]).reshape(113, 113)

fig, ax = plt.subplots(figsize=(4.8, 4.6))
style = {"origin": "lower", "cmap": "Blues", "vmax": 0.2}
ax.imshow(shade, extent=(-2.8, 2.8, -2.8, 2.8), **style)
scaled = {"angles": "xy", "scale_units": "xy", "scale": 1}
ax.quiver(*places.T, *arrows.T, color=ORANGE, width=0.005, **scaled)
ax.plot(*ring.T, "o", color="black", ms=3, label="data")
ax.set(xlabel="$x_1$", ylabel="$x_2$")
ax.grid(visible=False)
ax.legend(loc="upper right", facecolor="white", frameon=True)
plt.show()

# %% tags=["check"]
h = 1e-5
slope = np.column_stack(
    [
        (log_noisy(places + step)[0] - log_noisy(places - step)[0])
        / (2 * h)
        for step in h * np.eye(2)
    ]
)
vh.check(
    "all 100 arrows are τ² times the slope of the log density",
    arrows,
    spread**2 * slope,
    atol=1e-7,
)

# %% [markdown]
# The same in five dimensions: in pPCA both sides of (16.1) have a closed form.

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
# **Contractive autoencoders** ([Rifai et al. 2011](../book/bibliography.md)) add to the reconstruction error the squared derivative of the encoder $f$, $\lVert \partial f / \partial x \rVert_F^2$, the sum of its squared entries. The code then changes only along directions in which data vary. Where the VAE pays for a precise code through its KL term, the contractive penalty pays for a sensitive one. There is no prior on the code and no density of the data. A review of this family is [Bengio, Courville & Vincent 2013](../book/bibliography.md).
#
# Denoising does something close to it. For a linear reconstruction $R(x) = K x$ the cross term averages to zero, so
#
# $$
# \begin{aligned}
# & \mathbb{E} \lVert x - K(x + \tau\varepsilon) \rVert^2 \\
# &= \lVert x - K x \rVert^2 + \tau^2 \lVert K \rVert_F^2 .
# \end{aligned} \tag{16.2}
# $$
#
# Denoising *is* then a penalty on the derivative, but of the whole reconstruction, not of the encoder.

# %% tags=["check"]
K = np.random.default_rng(22).normal(size=(D, D)) * 0.4
noise = np.random.default_rng(23).normal(size=(200_000, D))
denoising_errors = np.sum((x - (x + tau * noise) @ K.T) ** 2, axis=1)
plain_error = np.sum((x - K @ x) ** 2)
_, error = vh.mean_and_error(denoising_errors)

vh.check(
    "denoising error = plain error + τ² times the squared derivative",
    denoising_errors.mean(),
    plain_error + tau**2 * np.sum(K**2),
    atol=4 * error,
)

# %% [markdown]
# ## 16.6 A chain instead of a code
#
# **Generative stochastic networks** (GSN; [Bengio et al. 2014](../book/bibliography.md)) turn denoising into a sampler. They learn one step of a Markov chain (corrupt, then reconstruct at random) whose long-run distribution, if it is learnt perfectly, is that of the data. To draw an image you run the chain for many steps. A VAE draws the code and decodes it once. The GSN has no explicit $p_\theta(x)$; the VAE has one, and maximises a bound on its logarithm.
#
# ## 16.7 Side by side
#
# | Model | Objective | Code |
# |---|---|---|
# | VAE | one bound on $\log p_\theta(x)$ | distribution, amortised |
# | wake-sleep | two, no common bound | distribution, amortised |
# | SVI | one bound | distribution, per data point |
# | pPCA | exact $\log p_\theta(x)$ | exact posterior |
# | linear autoencoder | squared error | point, amortised |
# | sparse coding, PSD | error + penalty | point (PSD: amortised) |
# | denoising, contractive | error with noise, or + penalty | point, amortised |
# | GSN | log-likelihood of the clean image, given the noisy one | state of a chain |
#
# The VAE's own idea was published twice, independently: by [Kingma & Welling 2013](../book/bibliography.md) and by [Rezende, Mohamed & Wierstra 2014](../book/bibliography.md). Two more put both networks on one bound without that gradient: the Helmholtz machine ([Dayan et al. 1995](../book/bibliography.md)), and, shortly after the VAE, NVIL (neural variational inference and learning), by the score function ([Mnih & Gregor 2014](../book/bibliography.md)).
#
# ## What we measured
#
# | Question | Published | On this page |
# |---|---|---|
# | variances by the swapped KL | none | the posterior's own, over 1.5 times the VAE's here |
# | pPCA as $s \to 0$ | PCA (Tipping & Bishop 1999) | for any $W$ with independent columns the reconstruction tends to the projection onto their plane, like $s^2$ |
# | what denoising learns | for small noise the slope of the log density of clean data (Alain & Bengio 2014) | for any noise that of noisy data, (16.1), to $10^{-7}$, on a ring and in pPCA |
# | denoising against contraction | near each other for small noise (Alain & Bengio 2014) | for a linear reconstruction exactly a penalty on its derivative, (16.2) |

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - what each ancestor and neighbour of the VAE optimises, and that of these eleven only the Helmholtz machine and the VAE have all five properties of the first figure;
# - that the swapped KL keeps the posterior's variances, where the VAE's KL makes them too small;
# - the proof that the best denoiser gives the slope of a log density.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. Two sets of variances** (5 min, by hand). A posterior in two dimensions has the precision matrix with 2 on the diagonal and 1 off it. Which variances does a diagonal Gaussian get from the VAE's KL, and which from the sleep phase's?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The VAE's: $1/P_{jj} = \frac{1}{2}$. The inverse of the matrix has $\frac{2}{3}$ on its diagonal (the determinant is 3), so the sleep phase's are $\frac{2}{3}$.
#
# </details>

# %% tags=["solution"]
precision = np.array([[2.0, 1.0], [1.0, 2.0]])
zero, inverse = np.zeros(2), np.linalg.inv(precision)
narrow = optimize.minimize(
    lambda t: kl_gaussians(zero, np.diag(np.exp(t)), zero, precision),
    zero,
    tol=1e-10,
)
broad = optimize.minimize(
    lambda t: kl_gaussians(zero, inverse, zero, np.diag(np.exp(-t))),
    zero,
    tol=1e-10,
)
vh.check("exercise 1: the VAE's", np.exp(narrow.x), 1 / 2, atol=1e-5)
vh.check("exercise 1: the sleep phase's", np.exp(broad.x), 2 / 3, atol=1e-5)

# %% [markdown] tags=["exercise"]
# **2. The best denoiser of two points** (10 min, by code). A pixel is $-1$ or $1$, with equal chance. Noise of standard deviation $\tau$ is added. Write the best reconstruction of a noisy value.


# %% tags=["exercise", "exact"]
def best_denoiser(noisy, tau):
    """E[x | noisy] for x = -1 or 1."""
    return ...  # your line


print("yours:", best_denoiser(0.3, 0.5), "expected: 0.8337")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# By Bayes' rule the two points have weights $e^{-(\tilde x - 1)^2 / 2\tau^2}$ and $e^{-(\tilde x + 1)^2 / 2\tau^2}$. Their difference over their sum is $\tanh(\tilde x / \tau^2)$: `return np.tanh(noisy / tau**2)`. For small noise it jumps from $-1$ to 1, for large noise it stays near the mean.
#
# </details>

# %% tags=["solution"]
rng = np.random.default_rng(0)
clean = rng.choice([-1.0, 1.0], size=2_000_000)
blurred = clean + 0.5 * rng.normal(size=clean.size)
near = clean[np.abs(blurred - 0.3) < 0.01]
vh.check("exercise 2", np.tanh(0.3 / 0.5**2), 0.8337, atol=5e-5)
vh.check(
    "exercise 2: the mean of the pixels that were blurred to 0.3",
    near.mean(),
    0.8337,
    atol=4 * vh.mean_and_error(near)[1],
)

# %% [markdown] tags=["exercise"]
# **3. A shrinking reconstruction** (10 min, by hand). In one dimension data have mean zero and variance $v$. Minimise (16.2), averaged over the data, over the number $K$. What does the result say for $\tau \to 0$ and for a direction in which the data do not vary?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Minimise $(1 - K)^2 v + \tau^2 K^2$: $K = \frac{v}{v + \tau^2}$. For $\tau \to 0$ it is the identity: without noise nothing is learned. For $v = 0$ it is zero: the reconstruction ignores a direction in which the data do not vary. With $v = 3$ and $\tau = 1$, $K = 0.75$. For Gaussian data (16.1) gives the same: $p(\tilde x)$ has variance $v + \tau^2$, so the slope of its logarithm is $-\tilde x / (v + \tau^2)$.
#
# </details>

# %% tags=["solution"]
best_K = optimize.minimize_scalar(lambda K: (1 - K) ** 2 * 3 + K**2).x
vh.check("exercise 3: v = 3, τ = 1", best_K, 0.75, atol=1e-6)

# %% [markdown] tags=["exercise"]
# **4. Codes of zeros and ones** (15 min, open). Suppose that every $z_j$ is 0 or 1. Which of wake-sleep, SVI and the VAE still work as they stand, and what would the VAE need?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Wake-sleep works: it was made for such codes, because each phase only fits a network to given pairs $(x, z)$. SVI works where the conditionals are conjugate. The VAE's bound stands, but its gradient does not: $z$ jumps when $\phi$ moves, so there is no path to differentiate. It would need the score-function gradient of chapter 1 with a good baseline ([Mnih & Gregor 2014](../book/bibliography.md)), or a smooth code that approaches 0 and 1 ([Jang et al. 2017](../book/bibliography.md), [Maddison, Mnih & Teh 2017](../book/bibliography.md)).
#
# </details>

# %% [markdown]
# ## What to read next
#
# - [The page on the linear VAE](12_linear_vae.ipynb) trains the VAE's algorithm on probabilistic PCA and reaches the known optimum.
# - [Bengio, Courville & Vincent 2013](../book/bibliography.md), the review that stands between this history and the VAE.
# - [Jordan et al. 1999](../book/bibliography.md) on variational methods before the VAE.
