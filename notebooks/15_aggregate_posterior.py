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
# # 15. The aggregate posterior
#
# **Averaged over the data, the KL term pays for two things: what a code tells about its image, and how far the codes of all images together lie from the prior.** The first is useful, so a KL of zero is not the goal. The second says how far the codes stray from the prior.
#
# This page proves the sentence on the aggregate posterior in [chapter 1](01_theory.ipynb), and measures both parts in two networks.

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

import keras
import matplotlib.pyplot as plt
import numpy as np
from scipy import integrate, stats
from scipy.special import logsumexp

started = time.monotonic()
vh.use_book_style()
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
LOG_2PI = math.log(2 * math.pi)
mus = np.array([-1.8, -0.6, 0.1, 0.9, 2.0])
sigmas = np.array([0.3, 0.5, 0.2, 0.4, 0.3])

# %% tags=["plumbing"] mystnb={"image": {"alt": "Densities over one code z from -4 to 4. Five thin grey bells of different widths, the posteriors of five images, each drawn with a fifth of its height. Their sum, a thick blue curve with five humps, is the aggregate posterior. The prior, a dashed orange bell, is smoother and broader than any of the five."}}
fig, ax = plt.subplots(figsize=(5.4, 3.2))
grid = np.linspace(-4, 4, 801)
each = stats.norm.pdf(grid[:, None], mus, sigmas) / 5
ax.plot(grid, each, color="grey", lw=1)
ax.plot([], [], color="grey", lw=1, label="five posteriors, each / 5")
ax.plot(grid, each.sum(axis=1), color=BLUE, lw=2.5, label="their sum, q(z)")
prior = stats.norm.pdf(grid)
ax.plot(grid, prior, "--", color=ORANGE, lw=2, label="prior p(z)")
ax.set(xlabel="code z", ylabel="density", ylim=(0, 0.62))
ax.legend(loc="upper right", fontsize=10)
plt.show()

# %% [markdown]
# Each grey bell is what an encoder says about one image. The blue curve is what it says about all of them.
#
# **What you will be able to do**
#
# - define the aggregate posterior, and split the average KL term into information and a distance from the prior;
# - say what bounds the information, and so how much of a KL term must be distance;
# - measure both parts in a trained network, of any latent dimension.
#
# **What it needs.** The KL term of [chapter 1](01_theory.ipynb). Section 15.4 also uses [the linear VAE](12_linear_vae.ipynb), section 15.5 two networks like those of chapters 2 and 3. Some 15 minutes to read and one to run.
#
# ## 15.1 The codes of all images together
#
# Draw an image, then its code: $x \sim p_{\text{data}}$, then $z \sim q_\phi(z \mid x)$. Forget the image. The code alone has the density
#
# $$
# q_\phi(z) = \mathbb{E}_{p_{\text{data}}(x)} \left[ q_\phi(z \mid x) \right], \tag{15.1}
# $$
#
# the **aggregate posterior** (the name is from [Makhzani et al. 2015](../book/bibliography.md)). For a data set of $N$ images it is a mixture of $N$ bells with equal weights.
#
# It matters for this reason. The decoder is trained on codes from $q_\phi(z)$. A new image is decoded from a draw of the *prior* $p(z)$. Where $p(z)$ is large and $q_\phi(z)$ small, the decoder is asked about places that it has hardly seen.
#
# ## 15.2 The average KL term, split in two
#
# What does the KL term ask for, averaged over the data? Draw $x$ and $z$ as above, and multiply and divide by $q_\phi(z)$ inside the logarithm:
#
# $$
# \begin{aligned}
# & \mathbb{E}_{x} \left[ \mathrm{KL}(q_\phi(z \mid x) \Vert p(z)) \right] \\
# &= \mathbb{E}_{x, z} \left[ \log \frac{q_\phi(z \mid x)}{p(z)} \right] \\
# &= \mathbb{E}_{x, z} \left[ \log \frac{q_\phi(z \mid x)}{q_\phi(z)} \right] \\
# &\quad + \mathbb{E}_{x, z} \left[ \log \frac{q_\phi(z)}{p(z)} \right].
# \end{aligned}
# $$
#
# The first term is the **mutual information** $I(x; z)$ of image and code: how many nats the code tells you about the image. In the second nothing depends on $x$ any more. By (15.1) only $z \sim q_\phi(z)$ is averaged, so it is a KL. This is the identity of [Hoffman & Johnson 2016](../book/bibliography.md):
#
# $$
# \begin{aligned}
# & \mathbb{E}_{x} \left[ \mathrm{KL}(q_\phi(z \mid x) \Vert p(z)) \right] \\
# &= I(x; z) + \mathrm{KL}(q_\phi(z) \Vert p(z)).
# \end{aligned} \tag{15.2}
# $$
#
# Check it on the five bells. The left side has a closed form (chapter 1, equation 1.21). The right side is done by quadrature, over the mixture.


# %%
def aggregate(z: float) -> float:
    """q(z), the average of the five posteriors, equation (15.1)."""
    return stats.norm.pdf(z, mus, sigmas).mean()


def information_integrand(z: float) -> float:
    """The mean over data points of q(z | x) log(q(z | x) / q(z))."""
    log_q = stats.norm.logpdf(z, mus, sigmas)
    return np.mean(np.exp(log_q) * (log_q - math.log(aggregate(z))))


def kl_integrand(z: float) -> float:
    """The integrand of KL(q(z) || p(z))."""
    log_ratio = math.log(aggregate(z)) - stats.norm.logpdf(z)
    return aggregate(z) * log_ratio


# %% tags=["plumbing"]
def integral(function, low: float, high: float, **options) -> float:
    """The integral of function, by adaptive quadrature."""
    options = {"epsabs": 1e-12, **options}
    return integrate.quad(function, low, high, **options)[0]


def mean_kl(mu: np.ndarray, sigma: np.ndarray) -> float:
    """KL(N(mu, sigma^2) || N(0, I)), mean over images, (1.21).

    mu and sigma [N, J]; nats.
    """
    each = 0.5 * (mu**2 + sigma**2 - 1 - 2 * np.log(sigma))
    return each.sum(axis=1).mean()


options = {"points": list(mus), "epsabs": 1e-11, "limit": 400}
average_kl = mean_kl(mus[:, None], sigmas[:, None])
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
    "most of the average KL is information",
    information,
    kl_aggregate,
    relation=">",
)
vh.check(
    "information is below log 5", information, math.log(5), relation="<"
)

# %% [markdown]
# ## 15.3 What each part wants
#
# **Information.** It is itself an average of KLs, $I(x; z) = \mathbb{E}_x[\mathrm{KL}(q_\phi(z \mid x) \Vert q_\phi(z))]$, so it is never negative. It is what makes codes useful, and the KL term penalises it all the same. If it is zero, every image has the same $q$, and the code says nothing.
#
# It has a ceiling. With $N$ images $q_\phi(z) \ge \frac{1}{N} q_\phi(z \mid x^{(i)})$, since the other bells can only add. So no logarithm in the first term exceeds $\log N$, and
#
# $$
# I(x; z) \le \log N . \tag{15.3}
# $$
#
# A code cannot do more than name its image. For the five bells the ceiling is $\log 5 \approx 1.609$ nats. They overlap a little, so their 1.252 stay below.
#
# **Distance.** $\mathrm{KL}(q_\phi(z) \Vert p(z))$ is zero only if the codes fill the prior, neither more nor less.
#
# Trade one against the other: multiply all five $\sigma$ by one factor.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three curves against the factor on all five standard deviations, from 0.1 to 5 on a logarithmic axis, in nats. The information starts at its ceiling, log 5, and falls as the posteriors get wider, to about 0.3. The distance of the aggregate posterior from the prior falls from about 2.2, is lowest, about 0.25, near a factor of 1.5, and rises again. The average KL, their sum, has its minimum further right, near 2.8."}}
factors = np.geomspace(0.1, 5, 41)
wide = np.linspace(-30, 30, 60_001)
parts = []
for factor in factors:
    log_q = stats.norm.logpdf(wide[:, None], mus, factor * sigmas)
    q = np.exp(log_q).mean(axis=1)
    log_mix = np.log(np.maximum(q, 1e-300))
    inside = np.exp(log_q) * (log_q - log_mix[:, None])
    outside = q * (log_mix - stats.norm.logpdf(wide))
    step = wide[1] - wide[0]
    parts.append([inside.mean(axis=1).sum() * step, outside.sum() * step])
parts = np.array(parts)
sums = np.array(
    [mean_kl(mus[:, None], f * sigmas[:, None]) for f in factors]
)

fig, ax = plt.subplots(figsize=(5.4, 3.4))
ax.plot(factors, sums, color="black", label="average KL term")
ax.plot(factors, parts[:, 0], color=GREEN, label="information I(x; z)")
ax.plot(factors, parts[:, 1], color=BLUE, label="distance KL(q(z) ‖ p(z))")
ax.axhline(math.log(5), color=GREEN, ls=":", label="ceiling, log 5")
ax.set(
    xscale="log",
    ylim=(0, 4),
    xlabel="factor on every σ",
    ylabel="nats",
    xticks=[0.1, 0.2, 0.5, 1, 2, 5],
    xticklabels=["0.1", "0.2", "0.5", "1", "2", "5"],
)
ax.legend(fontsize=9)
plt.show()

# %% tags=["check"]
vh.check(
    "the two curves add up to the third at all 41 factors",
    parts.sum(axis=1),
    sums,
    atol=1e-6,
)
vh.check(
    "from 0.3 on wider posteriors tell less",
    np.diff(parts[factors > 0.3, 0]),
    0,
    relation="<",
)
vh.check(
    "the distance is least at a smaller factor than the KL term",
    factors[parts[:, 1].argmin()],
    factors[sums.argmin()],
    relation="<",
)

# %% [markdown]
# Widen the bells, and the code tells less and less. The distance has a best width: narrow bells leave gaps between them, wide ones reach beyond the prior. The KL term, the sum, is least where the bells are wider than that, because it also rewards saying less.
#
# Two networks can have the same ELBO and very different KL terms. [Alemi et al. 2018](../book/bibliography.md) plot the KL term, the *rate*, against minus the reconstruction term, the *distortion*, and find networks of every kind, from codes that say nothing to codes that say nearly all.
#
# ## 15.4 Where the distance is zero
#
# Is there a case in which the KL term is all information? Yes: the exact posterior, with data drawn from the model itself. Then the aggregate posterior *is* the prior,
#
# $$
# \int p_\theta(x) p_\theta(z \mid x) dx = \int p_\theta(x, z) dx = p(z) .
# $$
#
# In probabilistic PCA, the linear VAE $x = m + W z + s \varepsilon$, everything can be computed. The posterior has the precision $P = W^\top W / s^2 + I$ for every $x$, and the average KL is
#
# $$
# I(x; z) = \tfrac{1}{2} \log \det P , \tag{15.4}
# $$
#
# the entropy of $z$ minus that of $z$ given $x$. (A Gaussian's entropy is half the log-determinant of its covariance, plus a constant. Here the covariances are $I$ and $P^{-1}$.)

# %%
W = np.array([[1.0, 0.6], [0.8, 0.9], [0.5, 0.7], [-0.3, 0.2], [0.9, 0.4]])
s, (D, J) = 0.7, W.shape
P = W.T @ W / s**2 + np.eye(J)  # precision of every posterior
C = W @ W.T + s**2 * np.eye(D)  # covariance of the data
gain = np.linalg.inv(P) @ W.T / s**2  # posterior mean: gain @ (x - m)
covariance_of_codes = gain @ C @ gain.T + np.linalg.inv(P)

# %% tags=["check"]
# KL to the prior in closed form, (12.8), averaged over x:
log_det_P = np.linalg.slogdet(P)[1]
ppca_kl = 0.5 * (np.trace(covariance_of_codes) - J + log_det_P)
vh.check(
    "the codes of all data have the covariance of the prior",
    covariance_of_codes,
    np.eye(J),
    atol=1e-10,
)
vh.check(
    "the average KL is the mutual information",
    ppca_kl,
    0.5 * log_det_P,
    atol=1e-10,
)

# %% [markdown]
# So where the encoder is exact and the codes fill the prior, the KL term need not be zero: all of it is information.
#
# ## 15.5 Measured in two networks
#
# Now real encoders. The first is the convolutional network of [chapter 3](03_conv_vae.ipynb) called "S4 long", with $J = 2$, after fifty epochs; its weights are stored. The second is dense, with $J = 20$, trained here for five epochs. Both encode the 10,000 test images: S4 gets them thresholded, the dense one grey, as in training.

# %% tags=["nbval-ignore-output"]
images = vh.load_mnist()
plane = vh.conv_vae(latent_dim=2, scale="softplus", seed=0)
plane.load_weights("../experiments/results/s4-long-seed0.weights.h5")

twenty = vh.mlp_vae(latent_dim=20, hidden=(512, 256), seed=0)
twenty.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
fitted = twenty.fit(
    vh.batches(images.train, 100, seed=0), epochs=5, verbose=0
)
print(f"training ELBO −{fitted.history['loss'][-1]:.1f} nats")

# %% [markdown]
# In the plane the mixture of 10,000 bells can be drawn.


# %% tags=["plumbing", "nbval-ignore-output"] mystnb={"image": {"alt": "Heat map of the aggregate posterior of 10,000 test images in the latent plane of S4, from -4 to 4 in both directions: an uneven cloud with bright lobes, darker seams between them and a nearly empty lower right. Two dashed circles hold 50 and 95 per cent of the prior. Beside it the prior itself, a smooth round blob with the same colours and the same circles."}}
def encoded(model, x):
    """Means and standard deviations of q(z | x), [N, J]."""
    parts = [model.posterior(some) for some in np.array_split(x, 20)]
    mu = np.concatenate([q.mean().numpy() for q in parts])
    sigma = np.concatenate([q.stddev().numpy() for q in parts])
    return np.float64(mu), np.float64(sigma)


def mixture_on_grid(mu, sigma, axis):
    """q(z) on a grid of the plane, (15.1): [len(axis), len(axis)]."""
    first, second = (
        stats.norm.pdf(axis[:, None], mu[:, k], sigma[:, k]) for k in (0, 1)
    )
    return second @ first.T / len(mu)  # rows: second dimension


mu, sigma = encoded(plane, vh.binarize(images.test, "threshold"))
axis = np.linspace(-4, 4, 321)
turn = np.linspace(0, 2 * np.pi, 200)
fig, panels = plt.subplots(1, 2, figsize=(5, 2.9), sharey=True)
normal = stats.norm.pdf(axis)
for panel, density, title in (
    (panels[0], mixture_on_grid(mu, sigma, axis), "q(z), 10,000 images"),
    (panels[1], np.outer(normal, normal), "prior p(z)"),
):
    panel.imshow(
        density,
        extent=(-4, 4, -4, 4),
        origin="lower",
        cmap="cividis",
        vmin=0,
        vmax=0.3,
    )
    for share in (0.5, 0.95):
        radius = math.sqrt(-2 * math.log(1 - share))
        circle = radius * np.array([np.cos(turn), np.sin(turn)])
        panel.plot(*circle, "--", color="white", lw=1)
    panel.set(xlabel="$z_1$", title=title)
    panel.grid(visible=False)
panels[0].set_ylabel("$z_2$")
plt.show()

# %% [markdown]
# Left what the encoder makes, right what the prior draws. The circles hold 50% and 95% of the prior. The left one is uneven: images crowd in some places, and others, the lower right above all, are nearly empty.
#
# How many nats is that? In the plane a grid gives $\mathrm{KL}(q_\phi(z) \Vert p(z))$ directly. In twenty dimensions there is no grid, but there are draws: take one code $z_i$ from each $q_\phi(z \mid x^{(i)})$, evaluate all $N$ bells there, and average $\log q_\phi(z_i \mid x^{(i)}) - \log q_\phi(z_i)$. That estimates $I(x; z)$, for these $N$ images, without bias.


# %%
def log_bells(z, mu, sigma):
    """log q(z | x) for codes z [n, J] and all images: [n, N]."""
    constant = np.log(sigma).sum(axis=1) + z.shape[1] * LOG_2PI / 2
    precision = sigma**-2
    # (z - mu)² / sigma², multiplied out: three matrix products
    squares = z**2 @ precision.T - 2 * z @ (mu * precision).T
    squares += np.sum(mu**2 * precision, axis=1)
    return -squares / 2 - constant


def both_parts(mu, sigma, seed=0):
    """Draws of information and distance, one an image, in nats, (15.2)."""
    noise = np.random.default_rng(seed).normal(size=mu.shape)
    z = mu + sigma * noise
    # log q(z_i | x_i), from the noise:
    own = stats.norm.logpdf(noise).sum(axis=1) - np.log(sigma).sum(axis=1)
    mixture = [
        logsumexp(log_bells(part, mu, sigma), axis=1)
        for part in np.array_split(z, 50)
    ]
    log_q = np.concatenate(mixture) - math.log(len(mu))
    return own - log_q, log_q - stats.norm.logpdf(z).sum(axis=1)


# %% tags=["plumbing", "nbval-ignore-output"]
codes = {
    "S4, J = 2": (mu, sigma),
    "dense, J = 20": encoded(twenty, vh.binarize(images.test, "none")),
}
terms = {name: both_parts(*code) for name, code in codes.items()}


def with_interval(values):
    """The mean and half its 95% interval."""
    mean, error = vh.mean_and_error(values)
    return mean, 1.96 * error


rows = [
    [name, mean_kl(*codes[name]), *map(with_interval, terms[name])]
    for name in codes
]
vh.table(["network", "average KL", "I(x; z)", "KL(q(z) ‖ p(z))"], rows)

# %% tags=["check"]
axis = np.linspace(-12, 12, 4001)
q = mixture_on_grid(mu, sigma, axis)
log_prior = stats.norm.logpdf(axis)
log_ratio = np.log(np.maximum(q, 1e-300))
log_ratio = log_ratio - log_prior[:, None] - log_prior
cell = (axis[1] - axis[0]) ** 2
on_grid = np.sum(q * log_ratio) * cell
prior_mass = np.exp(log_prior[:, None] + log_prior) * cell

vh.check("the grid holds all of q(z)", q.sum() * cell, 1, atol=1e-6)
for name, (inside, outside) in terms.items():
    vh.check(
        f"{name}: drawn, the two parts make the average KL",
        inside.mean() + outside.mean(),
        mean_kl(*codes[name]),
        atol=4 * vh.mean_and_error(inside + outside)[1],
    )
    vh.check(
        f"{name}: no draw of the information exceeds log N",
        inside,
        math.log(10_000) + 1e-9,
        relation="≤",
    )
two, many = terms.values()
vh.check(
    "J = 2: draws and grid agree on the distance",
    two[1].mean(),
    on_grid,
    atol=4 * vh.mean_and_error(two[1])[1],
)
vh.check(
    "J = 2: the distance is under a tenth of the KL term",
    on_grid,
    mean_kl(mu, sigma) / 10,
    relation="<",
)
vh.check(
    "J = 2: share of the prior's draws where q(z) is below p(z) / 10",
    prior_mass[log_ratio < -math.log(10)].sum(),
    0.07,
    atol=0.005,
)
vh.check(
    "J = 20: the information is within 0.2 nats of its ceiling",
    many[0].mean(),
    math.log(10_000),
    atol=0.2,
)
vh.check(
    "J = 20: over half of the KL term is distance",
    many[1].mean(),
    mean_kl(*codes["dense, J = 20"]) / 2,
    relation=">",
)

# %% [markdown]
# (± is a 95% interval over the draws; the average KL is exact.) With two dimensions nearly the whole KL term is information. Even so, 7% of the prior's draws fall where codes are less than a tenth as dense as the prior. With twenty the code all but names its image: 9.1 of the $\log 10{,}000 = 9.21$ nats that are allowed. The rest of the KL term, more than half, is distance, much of it because the images are only 10,000 (exercise 4).
#
# > **Note.** Both figures belong to these 10,000 test images. With more images the ceiling is higher, bells that stand alone here get neighbours, and some of what counts as distance becomes information. For the 60,000 training images (15.3) allows 11.00 nats. And $\mathrm{KL}(q_\phi(z) \Vert p(z))$, small or large, says where the *codes* go, not where the prior's draws go: exercise 2.
#
# ## What we measured
#
# | Question | Published | On this page |
# |---|---|---|
# | average KL = information + distance | proved by Hoffman & Johnson 2016 | to $10^{-7}$ for five bells, by quadrature |
# | pPCA, exact posterior | — | distance zero; the KL term is $\frac{1}{2} \log \det P$ |
# | S4, $J = 2$ | — | 0.32 of the 5.81 nats are distance |
# | dense network, $J = 20$ | — | 9.1 of 9.21 possible nats of information; over half of the KL term is distance |

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - the aggregate posterior defined, and the average KL term split into information and a distance from the prior;
# - the ceiling $\log N$ of the information, so that the rest of a large KL term must be distance;
# - both parts measured in two networks, by draws that work in any dimension.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. Too much KL** (5 min, by hand). On a training set of 60,000 images the average KL to the prior is 25 nats. What is the least that $\mathrm{KL}(q_\phi(z) \Vert p(z))$ can be?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# By (15.3) $I(x; z) \le \log 60000 = 11.00$ nats. So by (15.2) $\mathrm{KL}(q_\phi(z) \Vert p(z)) \ge 25 - 11.00 = 14.00$ nats. (This counts the training set as the data distribution. Nearby images in the true distribution may share those codes.)
#
# </details>

# %% tags=["solution"]
vh.check("log 60,000", math.log(60000), 11.00, atol=0.005)

# %% [markdown] tags=["exercise"]
# **2. What it does not say** (10 min, by hand). Does a $\mathrm{KL}(q_\phi(z) \Vert p(z))$ of 14 nats mean that draws from the prior fall where no codes are? Try $q_\phi(z) = \frac{1}{2} \mathcal{N}(0, 1) + \frac{1}{2} \mathcal{N}(8, 1)$ in one dimension: estimate its KL to the prior, taking the two halves as disjoint, and compare the two densities.

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# No. The two halves hardly overlap, and each has half of the density. The KL of $\mathcal{N}(8, 1)$ to the prior is $\frac{8^2}{2}$, and counts for half of the codes. So the KL is about $\frac{1}{2} \cdot \frac{8^2}{2} - \log 2 = 15.3$ nats. Yet the codes have at least half the prior's density everywhere.
#
# What the KL says is the average of $\log \frac{q_\phi(z)}{p(z)}$ over the *codes*: there are places where they are at least $e^{14}$ times as dense as the prior, where the prior hardly ever draws. About draws from the prior you would have to ask the other direction, $\mathrm{KL}(p(z) \Vert q_\phi(z))$.
#
# </details>


# %% tags=["solution"]
def q_of_two(z: float) -> float:
    """Half of the codes follow the prior, half N(8, 1)."""
    return 0.5 * stats.norm.pdf(z) + 0.5 * stats.norm.pdf(z, 8, 1)


def integrand(z: float) -> float:
    return q_of_two(z) * (math.log(q_of_two(z)) - stats.norm.logpdf(z))


everywhere = np.linspace(-10, 20, 301)
two_halves = integral(integrand, -10, 20, points=[0, 8])
vh.check("exercise 2: the KL", two_halves, 15.3, atol=0.05)
vh.check(
    "exercise 2: nowhere under half the prior",
    [q_of_two(z) for z in everywhere],
    0.5 * stats.norm.pdf(everywhere),
    relation="≥",
)

# %% [markdown] tags=["exercise"]
# **3. The information of a channel** (10 min, by code). Two images, with posteriors $\mathcal{N}(-a, 1)$ and $\mathcal{N}(a, 1)$. Write a function that returns $I(x; z)$ by quadrature. What does it tend to for large $a$?


# %% tags=["exercise", "exact"]
def information_of_two(a):
    """I(x; z) in nats of two unit bells at -a and a."""
    return ...  # your lines


print("yours:", information_of_two(1.0), "expected: 0.3368")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# By symmetry the average over the two images is the value for one of them: $\int q(z \mid x) \log \frac{q(z \mid x)}{q(z)} dz$ with $q(z)$ the mean of the two bells. For large $a$ the bells do not overlap, and it tends to $\log 2 = 0.693$, the ceiling (15.3).
#
# </details>


# %% tags=["solution"]
def solved_information(a: float) -> float:
    def integrand(z):
        one, other = stats.norm.logpdf(z, [a, -a])
        return math.exp(one) * (
            one - np.logaddexp(one, other) + math.log(2)
        )

    return integral(integrand, a - 12, a + 12)


vh.check("exercise 3", solved_information(1.0), 0.3368, atol=5e-5)
vh.check("its ceiling", solved_information(8.0), math.log(2), atol=1e-9)

# %% [markdown] tags=["exercise"]
# **4. Where does the distance come from?** (20 min, open) Take `codes["dense, J = 20"]` and apply `both_parts` to the first 1,000, 3,000 and all 10,000 images. How does each part change, and how long can that go on?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The information stays within 0.2 nats of its ceiling, $\log N$, and rises with it. The average KL hardly changes, so the distance falls by nearly as much as the information rises. That goes on as long as each code can name its image, and the information can never exceed the average KL. Where it levels off, 10,000 images cannot show.
#
# </details>

# %% tags=["solution"]
for count in (1000, 3000, 10_000):
    some = [part[:count] for part in codes["dense, J = 20"]]
    vh.check(
        f"exercise 4: {count:,} images, the information is near log N",
        both_parts(*some)[0].mean(),
        math.log(count),
        atol=0.2,
    )
    vh.check(
        f"exercise 4: {count:,} images, the average KL hardly changes",
        mean_kl(*some),
        mean_kl(*codes["dense, J = 20"]),
        atol=0.5,
    )

# %% [markdown]
# ## What to read next
#
# - [The page on other data and other codes](21_next_steps.ipynb) compares samples of several latent dimensions, and shows what this distance cannot tell of them.
# - [The page on importance weighting](14_importance_weighting.ipynb) closes the other gap, the one between the bound and $\log p_\theta(x)$.
# - [Hoffman & Johnson 2016](../book/bibliography.md) and [Alemi et al. 2018](../book/bibliography.md), the two sources of this page.
