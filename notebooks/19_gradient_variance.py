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
# # 19. The variance of a gradient
#
# [Chapter 4](04_sgvb_a_vs_b.ipynb) finds which estimator has the quietest gradient by $\mu$. This page adds the gradient by $\sigma$, a test on a thousand cases, and every part of four networks.
#
# **By $\mu$ the laws of chapter 4 hold on a real decoder, on average to within 3 per cent. By $\sigma$ there is no family and no best member: in one trained network B is quieter than A in eight cases of nine. In the ninth $\mu$ nearly always lies far from zero.**

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
import json
import time
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from IPython.display import Markdown, display
from scipy import stats

vh.use_book_style()
plt.rcParams["font.size"] = 11
started = time.monotonic()
images = vh.load_mnist()
x_test = vh.binarize(images.test, "threshold")
ESTIMATORS = ("A", "B", "path")
COLORS = {"A": "#D55E00", "B": "#0072B2", "path": "#009E73"}
STORED = Path("../experiments/results")


def load(name):
    """What a script in experiments/ has stored."""
    return json.loads((STORED / f"{name}.json").read_text())


def interval(values, comparisons=1):
    """Mean and half its 95% interval (Student's t); wider for several."""
    values = np.asarray(values)
    t = stats.t.ppf(1 - 0.025 / comparisons, len(values) - 1)
    return values.mean(), t * values.std(ddof=1) / np.sqrt(len(values))


def folded(summary, table):
    """A table behind a line that opens it."""
    inner = f"<summary>{summary}</summary>\n\n{table}\n\n"
    return Markdown(f"<details>\n{inner}</details>")


# %% tags=["plumbing"] mystnb={"image": {"alt": "Two maps over the plane of μ from −3 to 3 and σ from 0.05 to 1.6, purple where B is quieter and brown where A is. On the left, gradient by μ: B is quieter below σ = 1.41, hardly so at small σ, and most around σ = 1. On the right, gradient by σ: B is quieter inside a dome between μ = −2 and 2, most around σ = 1; A is quieter outside."}}
mu, sigma = np.meshgrid(
    np.linspace(-3, 3, 301), np.linspace(0.05, 1.6, 300)
)  # misses σ = 1
of_b = (1 / sigma - sigma) ** 2
maps = {
    "by μ": (1 / sigma**2) / of_b,
    "by σ": (2 / sigma**2) / (2 * of_b + mu**2),
}
figure, axes = plt.subplots(1, 2, figsize=(6, 3.2), sharey=True)
look = {"cmap": "PuOr", "vmin": -3, "vmax": 3, "rasterized": True}
for panel, (what, quotient) in zip(axes, maps.items(), strict=True):
    shading = panel.pcolormesh(mu, sigma, np.log2(quotient), **look)
    panel.contour(mu, sigma, quotient, levels=[1], colors="black")
    panel.set(title=f"gradient {what}", xlabel="μ")
axes[0].set_ylabel("σ")
bar = figure.colorbar(shading, ax=axes, ticks=range(-3, 4), extend="both")
bar.ax.set_yticklabels(["1/8", "1/4", "1/2", "1", "2", "4", "8"])
bar.set_label("Var A / Var B")
plt.show()

# %% [markdown]
# The variance of A divided by that of B in one dimension, where $q$ is the exact posterior: purple where B is quieter, brown where A is, a black line where they are equal.
#
# **What you will be able to do**
#
# - say where A, B and the path are quiet in the gradient by $\sigma$, and derive it;
# - test a law about variances on a real decoder, case by case;
# - read the noise of a gradient part by part, and differences of training runs with their intervals.
#
# **What it needs.** [Chapter 4](04_sgvb_a_vs_b.ipynb) up to its gradients; the notation is the same. Plan 30 minutes; the page runs in one to two minutes on two CPU cores, within 2 GiB. Numbers after ±, and ranges in brackets, are 95% intervals.
#
# ## 19.1 The gradient by σ
#
# Remember from chapter 4: $f(z) = \log p(x \mid z)$, $\Delta$ is A less B with the same $\varepsilon$, and $\sigma_j h_j = \mathbb{E}[\varepsilon_j \, \partial_j f]$. *Stationary* means that the bound's derivatives by $\mu_j$ and $\sigma_j$ are zero.
#
# By $\mu_j$ the estimators differ by a multiple of one noise: (4.6) takes $c \, \sigma_j \varepsilon_j$ from B's gradient, with $c = 0$ for B, 1 for A and $1 - 1/\sigma_j^2$ for the path. That made them a family. By $\sigma_j$ the derivative of $\Delta$ in (4.5) has two terms, $-\mu_j \varepsilon_j$ and $-\sigma_j (\varepsilon_j^2 - 1)$, and the path would need a different multiple of each. So compare A and B directly. B's gradient is $\varepsilon_j \, \partial_j f + 1/\sigma_j - \sigma_j$, and A's is B's plus (4.5). For the two gradients by $\sigma_j$, then,
#
# $$
# \begin{aligned}
# &\mathrm{Var}(A) - \mathrm{Var}(B) \\
# &\quad = \mathrm{Var}\Big( \frac{\partial\Delta}{\partial\sigma_j} \Big) + 2 \, \mathrm{Cov}\Big( \varepsilon_j \, \partial_j f, \frac{\partial\Delta}{\partial\sigma_j} \Big),
# \end{aligned}
# $$
#
# and the first term is $\mu_j^2 + 2\sigma_j^2$. Expand the covariance. Two averages in it are known where both derivatives of (4.3) are zero: $\mathbb{E}[\partial_j f] = \mu_j$ and $\mathbb{E}[\varepsilon_j \, \partial_j f] = \sigma_j - 1/\sigma_j$. The result:
#
# $$
# \begin{aligned}
# &\mathrm{Var}(A) - \mathrm{Var}(B) = 4 - 2\sigma_j^2 - \mu_j^2 \\
# &\quad - 2 \mu_j \, \mathbb{E}[(\varepsilon_j^2 - 1) \, \partial_j f] \\
# &\quad - 2 \sigma_j \, \mathbb{E}[(\varepsilon_j^3 - 3 \varepsilon_j) \, \partial_j f].
# \end{aligned} \tag{19.1}
# $$
#
# <details>
# <summary>The steps between</summary>
#
# Write $s = \partial_j f$ and drop the index. The covariance is that of $\varepsilon s$ with $-\mu \varepsilon - \sigma (\varepsilon^2 - 1)$, whose mean is zero, so it is
#
# $$
# -\mu \, \mathbb{E}[\varepsilon^2 s] - \sigma \, \mathbb{E}[(\varepsilon^3 - \varepsilon) s].
# $$
#
# Split $\varepsilon^2 = (\varepsilon^2 - 1) + 1$ and $\varepsilon^3 - \varepsilon = (\varepsilon^3 - 3 \varepsilon) + 2 \varepsilon$. The parts split off are averages that (4.3) knows: $\mathbb{E}[s] = \mu$ and $\mathbb{E}[\varepsilon s] = \sigma h = \sigma - 1/\sigma$. They give $-\mu^2 - 2 \sigma (\sigma - 1/\sigma) = -\mu^2 - 2 \sigma^2 + 2$. Twice that, plus $\mu^2 + 2\sigma^2$, is $4 - 2\sigma^2 - \mu^2$, the first line of (19.1). Twice the rest is its second and third line.
#
# </details>
#
# The two averages left over are $\sigma_j^2 \mathbb{E}[\partial_j^3 f]$ and $\sigma_j^3 \mathbb{E}[\partial_j^4 f]$ for a smooth $f$, by Stein's lemma. If $f$ is quadratic they vanish. In one dimension $q$ is then the exact posterior, and the variances are these (exercise 1):
#
# | Gradient by $\sigma$, exact posterior | variance |
# |---|---|
# | path | $0$ |
# | A | $2/\sigma^2$ |
# | B | $2 (1/\sigma - \sigma)^2 + \mu^2$ |
#
# That is the right-hand map above. A is quieter as soon as $\mu^2 > 2 (2 - \sigma^2)$: outside a dome whose edge lies at $|\mu| = 2$ for narrow $\sigma$, and at 1.4 for $\sigma = 1$. Towards the bottom of both maps, where the posteriors are narrow, A and B hardly differ. The strong colour lies around $\sigma = 1$, where the dimensions are that a decoder does not use.
#
# **No theorem says that the path is best by $\sigma$.** There are $f$ for which B is quieter even at a stationary point: exercise 2 finds one.
#
# Simulate ten points $(\mu, \sigma)$ of the exact case, and hold all six variances against their formulas.


# %%
def by_mean_and_scale(slope, mean, scale, noise):
    """By estimator: gradients by μ and by σ, from the slope of f alone."""
    z = mean + scale * noise
    by_path = slope - z + noise / scale
    return {
        "A": (slope - z, (slope - z) * noise + 1 / scale),
        "B": (slope - mean, slope * noise + 1 / scale - scale),
        "path": (by_path, by_path * noise),
    }


# %% tags=["check"]
def delta(mean, scale, noise):
    """Δ of (4.1), a term for each latent dimension."""
    return -mean * scale * noise + 0.5 * (1 - scale**2) * (noise**2 - 1)


random = np.random.default_rng(3)
mu, sigma = random.uniform(-3, 3, 10), random.uniform(0.2, 1.3, 10)
noise = random.standard_normal((200_000, 10))  # its own for each point
# The posterior is q itself: f(z) = log q(z) − log p(z) + a constant.
slope = mu + sigma * noise - noise / sigma
of_b = (1 / sigma - sigma) ** 2
expected = {
    "A": (1 / sigma**2, 2 / sigma**2),
    "B": (of_b, 2 * of_b + mu**2),
    "path": (0 * mu, 0 * mu),
}


def errors_off(samples, variance):
    """How far their variance is from a given one, in standard errors."""
    squared = (samples - samples.mean(axis=0)) ** 2
    error = squared.std(axis=0) / np.sqrt(len(samples)) + 1e-9
    return np.abs(squared.mean(axis=0) - variance) / error


found = by_mean_and_scale(slope, mu, sigma, noise)
off_formula = [
    errors_off(samples, variance)
    for name in expected
    for samples, variance in zip(found[name], expected[name], strict=True)
]
vh.check(
    "ten points: six variances, in standard errors from their formulas",
    off_formula,
    3,
    relation="<",
)
apart = np.stack(
    [np.subtract(found["B"], found[name]) for name in ("A", "path")]
)
error = apart.std(axis=2) / np.sqrt(len(noise))
vh.check(
    "the three have the same mean, in standard errors",
    np.abs(apart.mean(axis=2)) / error,
    4,
    relation="<",
)
vh.check(
    "and Var(Δ) of (4.1)",
    errors_off(
        delta(mu, sigma, noise),
        mu**2 * sigma**2 + 0.5 * (1 - sigma**2) ** 2,
    ),
    3,
    relation="<",
)

# %% [markdown]
# ## 19.2 A thousand cases
#
# Do the laws hold where nothing is Gaussian and nothing is exact? Take the dense network of chapter 4 after ten epochs, and 50 test images with a Gaussian of their own, which is stationary. With 20 dimensions each that makes 1,000 cases. `experiments/estimators.py` has drawn 2,000 $z$ for each case and stored the variances of the three estimators. By (4.8), with $c = 1$ and $c = 0$, the *differences* to the path by $\mu$ should be $1/\sigma_j^2$ for A and $(1/\sigma_j - \sigma_j)^2$ for B.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two scatters, one above the other, on logarithmic axes: measured difference of variances against the formula, with the diagonal. Above A: a thousand points along the diagonal from 1 to 200. Below B: most points between 1 and 200 on the diagonal, a dozen near it further down, to a thousandth."}}
kept = load("estimators-moments")
MACHINE = kept["provenance"]["machine"]
cases = {
    name: np.array(values)
    for name, values in kept["moments"]["after 10 epochs"]["own"][
        "cases"
    ].items()
}
mean, scale = cases["mean"], cases["scale"]
saved = {
    "A": (cases["A_mu"] - cases["path_mu"], 1 / scale**2),
    "B": (cases["B_mu"] - cases["path_mu"], (1 / scale - scale) ** 2),
}
figure, axes = plt.subplots(2, 1, figsize=(5, 7), sharex=True)
ends = [1e-3, 3e3]
formulas = {"A": "$1/σ^2$", "B": "$(1/σ - σ)^2$"}
for panel, (name, (found, expected)) in zip(
    axes, saved.items(), strict=True
):
    panel.loglog(expected, found, ".", ms=4, color=COLORS[name])
    panel.loglog(ends, ends, color="black", lw=0.8)
    panel.set(title=f"Var {name} − Var path, nats²", ylabel="measured")
    panel.set(xlabel=f"by formula: {formulas[name]}", xlim=ends, ylim=ends)
plt.show()

# %% tags=["plumbing", "exact"]
by_mu, by_sigma = (
    cases[f"A_{by}"] - cases[f"B_{by}"] for by in ("mu", "sigma")
)
quadratic = 4 - 2 * scale**2 - mean**2
by_law = quadratic - 2 * mean * cases["third"] - 2 * scale * cases["fourth"]
rows = [
    [f"Var {name} − Var path, by μ", found.mean(), expected.mean()]
    for name, (found, expected) in saved.items()
]
rows += [
    ["Var A − Var B, by μ", by_mu.mean(), np.mean(2 - scale**2)],
    ["Var A − Var B, by σ", by_sigma.mean(), by_law.mean()],
    ["the same, first line of (19.1)", by_sigma.mean(), quadratic.mean()],
]
display(vh.table(["mean of 1,000 cases, nats²", "measured", "law"], rows))
left_out = sum(
    np.sum((f < ends[0]) | (e < ends[0])) for f, e in saved.values()
)
print(f"{left_out} of 2,000 points lie outside the picture")
print("quartiles of σ:", np.quantile(scale, (0.25, 0.5, 0.75)).round(2))
print(
    f"B is quieter by μ in {np.mean(by_mu > 0):.1%} of the cases,",
    f"by σ in {np.mean(by_sigma > 0):.1%}",
)
far = np.abs(mean) > 1
print(
    f"|μ| is above 1 in {far.mean():.0%} of all cases,",
    f"in {far[by_sigma < 0].mean():.0%} of those where A is quieter by σ.",
    f"B is quieter in {np.mean(by_sigma[far] > 0):.0%} of those above 1",
)


# %% tags=["check"]
def off(difference):
    """How far a mean of cases is from zero, in its standard errors."""
    mean, error = vh.mean_and_error(difference)
    return abs(mean) / error


for name, (found, expected) in saved.items():
    vh.check(
        f"Var {name} − Var path, by μ, is that of the table",
        found.mean(),
        expected.mean(),
        rtol=0.03,
    )
vh.check(
    "Var A − Var B, by μ, off 2 − σ², in standard errors",
    off(by_mu - (2 - scale**2)),
    4,
    relation="<",
)
vh.check("by σ, off (19.1)", off(by_sigma - by_law), 4, relation="<")
vh.check(
    "by σ, off the first line of (19.1) alone",
    off(by_sigma - quadratic),
    4,
    relation=">",
)

# %% [markdown]
# A follows its formula over two orders of magnitude, B over more than three. The points scatter, since 2,000 draws fix a variance to a few per cent and a small difference of two less well: below 0.01 nats² they say little. Outside the picture lies every fifth case of B, at $\sigma_j \approx 1$, where there is next to nothing to measure. By $\sigma$ a quadratic $f$ is not enough, and (19.1) is. In one case in nine it is A that is quieter there. Nearly all of those have $|\mu_j|$ above 1; but of the cases with such a $|\mu_j|$ B is quieter in most.
#
# Measure it again, on the network after one epoch, which this page trains.

# %% tags=["nbval-ignore-output"]
model = vh.mlp_vae(latent_dim=20, seed=0)
x = x_test[:50]
model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
training = vh.batches(images.train, 100, "threshold", seed=0)
start = model.get_weights()
model.fit(training, epochs=1)
trained = model.get_weights()


# %% tags=["plumbing"]
@tf.function(jit_compile=True)
def slope_of_f(z):
    """The slope of f(z) = log p(x | z) by z, [draws, n, J]."""
    with tf.GradientTape() as tape:
        tape.watch(z)
        f = model.likelihood(z).log_prob(x)
    return tape.gradient(f, z)


def own_gaussians(mean, scale, steps=600, draws=32):
    """μ and σ of each image, improved by Adam on estimator B."""
    mean, log_scale = tf.Variable(mean), tf.Variable(np.log(scale))
    rate = keras.optimizers.schedules.CosineDecay(0.03, steps)
    optimizer = keras.optimizers.Adam(rate)
    random = tf.random.Generator.from_seed(1)
    variables = [mean, log_scale]

    @tf.function
    def improve():
        noise = random.normal((draws, *mean.shape))
        with tf.GradientTape() as tape:
            scale = tf.exp(log_scale)
            f = model.likelihood(mean + scale * noise).log_prob(x)
            terms = mean**2 + scale**2 - 1 - 2 * log_scale
            kl = 0.5 * tf.reduce_sum(terms, axis=1)
            loss = tf.reduce_mean(tf.reduce_sum(kl - f, axis=1))
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    for _ in range(steps):
        improve()
    return mean.numpy(), np.exp(log_scale)


def coordinate_variances(mean, scale):
    """By estimator: variances of the gradients by μ and by σ, [n, J]."""
    random, slopes, noises = np.random.default_rng(1), [], []
    for _ in range(40):
        noise = random.standard_normal((50, *mean.shape)).astype("float32")
        slopes.append(slope_of_f(mean + scale * noise))
        noises.append(noise)
    slope, noise = (
        np.concatenate(part).astype(float) for part in (slopes, noises)
    )
    both = by_mean_and_scale(slope, mean, scale, noise)
    return {
        name: [part.var(axis=0, ddof=1) for part in parts]
        for name, parts in both.items()
    }


# %% tags=["check"]
q = model.posterior(x).distribution
mean, scale = own_gaussians(q.loc.numpy(), q.scale.numpy())
again = coordinate_variances(mean, scale)
for name, expected in (
    ("A", 1 / scale**2),
    ("B", (1 / scale - scale) ** 2),
):
    vh.check(
        f"after one epoch, measured here: Var {name} − Var path, by μ",
        np.mean(again[name][0] - again["path"][0]),
        expected.mean(),
        rtol=0.03,
    )

# %% [markdown]
# And how large are the variances themselves? Here they are for the encoder's Gaussians, which are not stationary, and for the images' *own*, which are. Each dot is the variance of one coordinate of the gradient, of one image and one draw, averaged over the 1,000 cases.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels, one above the other, by μ and by σ: variances in nats² on a logarithmic axis for the encoder before training, after one epoch and after ten, and for the images' own Gaussians after one and ten. Before training, by μ: A 1.6, path 0.28, B 0.15; by σ 3.1, 0.55 and 0.21. Later A and B lie side by side, between 13 and 101, and the path at about half of them with the encoder, at a quarter by σ with the own Gaussians."}}
sources = {
    f"{who}, {moment.replace('start', 'before')}": found[what]
    for what, who in (("encoder", "encoder"), ("own", "own"))
    for moment, found in kept["moments"].items()
    if what in found
}
coordinate = {
    (name, by): [found["coordinate"][e][by] for e in ESTIMATORS]
    for name, found in sources.items()
    for by in ("mu", "sigma")
}
figure, axes = plt.subplots(2, 1, figsize=(5, 5), sharex=True)
for panel, (by, symbol) in zip(
    axes, (("mu", "μ"), ("sigma", "σ")), strict=True
):
    values = np.array([coordinate[name, by] for name in sources])
    places = -np.arange(len(sources))
    for column, (name, look) in enumerate(
        (
            ("A", {"ms": 10, "mfc": "white"}),  # a ring: B may lie in it
            ("B", {"ms": 5}),
            ("path", {"ms": 7, "marker": "s"}),
        )
    ):
        look = {"marker": "o", "color": COLORS[name], "label": name} | look
        panel.plot(values[:, column], places, ls="", **look)
    panel.set_yticks(places, sources)
    panel.set(xscale="log", title=f"gradient by {symbol}", ylim=(-4.5, 0.5))
axes[1].set_xlabel("variance, nats²")
axes[1].set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
figure.legend(
    *axes[0].get_legend_handles_labels(),
    loc="outside upper right",
    ncols=3,
)
plt.show()

# %% tags=["plumbing", "exact"]
rows = [
    [f"{name}, {symbol}", *coordinate[name, by]]
    for name in sources
    for by, symbol in (("mu", "μ"), ("sigma", "σ"))
]
folded(
    "These variances in numbers",
    vh.table(["q from, gradient by", *ESTIMATORS], rows),
)

# %% tags=["check"]
model.set_weights(start)
q = model.posterior(x).distribution
again = coordinate_variances(q.loc.numpy(), q.scale.numpy())
for k, (by, key) in enumerate((("μ", "mu"), ("σ", "sigma"))):
    vh.check(
        f"before training, by {by}: A, B and path as stored ({MACHINE})",
        [again[e][k].mean() for e in ESTIMATORS],
        coordinate["encoder, before", key],
        rtol=0.02,
    )

# %% [markdown]
# Before training the decoder says little about $z$, so $h_j \approx 0$ and the best factor $c$ of (4.6) is 0: estimator B. By (4.7) A adds $\sigma_j^2 (1 - 2 h_j)$, here about 1.4. The path's $c = 1 - 1/\sigma_j^2$ is not that, because the initial $\sigma_j$ are not 1: with $h_j \approx 0$ an excess of 1.4 means $\sigma_j \approx 1.2$.
#
# ## 19.3 The gradient by the weights, part by part
#
# Chapter 4 sums the noise over the whole encoder. Here it stands for four parts: the half of the encoder's last layer that makes $\mu$ (the *μ head*), the half that makes $\log \sigma^2$ (the *σ head*), the *rest* of the encoder, and the decoder. Weights and images are held fixed. Eight minibatches of 100 training images give the interval; the network is one, from one seed.

# %% tags=["plumbing"]
KEYS = {"A": "a", "B": "b", "path": "path", "score": "score"}
KEYS |= {"μ head": "mu", "σ head": "scale"}
PARTS = ("μ head", "σ head", "rest", "decoder")


def geometric(values):
    """Geometric mean, and its 95% interval over the minibatches."""
    middle, half = interval(np.log(values))
    return np.exp([middle, middle - half, middle + half])


def kept_noise(moment, name, part, what="variance"):
    """Stored variances, one for each minibatch; or that between them."""
    of = kept["moments"][moment]["estimators"][KEYS[name]]["1"]
    key = "encoder" if part == "rest" else KEYS.get(part, part)
    return np.array(of[f"{what}_{key}"])


def with_interval(three, digits=2):
    """`1.11 (1.10 to 1.12)`"""
    return "{:.{d}f} ({:.{d}f} to {:.{d}f})".format(*three, d=digits)


def two_digits(number):
    return f"{float(f'{number:.2g}'):,.0f}"


ratios = {
    (moment, name, part): geometric(
        kept_noise(moment, name, part) / kept_noise(moment, "B", part)
    )
    for moment in kept["moments"]
    for name in ("A", "path", "score")
    for part in PARTS
}

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three panels, one above the other, before training, after one epoch and after ten: variance of A and of the path gradient relative to B, for the μ head, the σ head, the rest of the encoder and the decoder. Before training A lies between 10 and 17 and the path between 2 and 4; after one epoch A lies at 1.1 to 1.2, after ten at 1.04 to 1.2, and the path both times at about one half. In the decoder all are at 1. The intervals are smaller than the dots."}}
figure, axes = plt.subplots(3, 1, figsize=(5, 6), sharex=True)
for panel, moment in zip(axes, kept["moments"], strict=True):
    for name in ("A", "path"):
        middle, low, high = np.transpose(
            [ratios[moment, name, part] for part in PARTS]
        )
        look = {"fmt": "o", "color": COLORS[name], "label": name}
        ends = [middle - low, high - middle]
        panel.errorbar(middle, [3, 2, 1, 0], xerr=ends, **look)
    panel.axvline(1, color=COLORS["B"], lw=2.5, label="B")
    panel.set_yticks([3, 2, 1, 0], PARTS)
    panel.set(xscale="log", ylim=(-0.5, 3.5))
    panel.set_title("before training" if moment == "start" else moment)
    panel.set_xticks([0.5, 1, 2, 5, 10], ["½", "1", "2", "5", "10"])
    panel.minorticks_off()
axes[2].set_xlabel("variance / that of B")
axes[2].legend(loc="lower right")
plt.show()

# %% [markdown]
# How much is there to be gained? Beside B's noise an update has that of its minibatch, which no estimator removes:

# %% tags=["plumbing"] mystnb={"image": {"alt": "Stacked bars: the share of B's draws in the variance of the gradient, coloured, and that of the minibatch, grey, for the μ head, the σ head and the rest of the encoder at three moments. Before training the draws make 56, 60 and 44 per cent; after one epoch 67, 94 and 65; after ten 61, 97 and 60."}}
of_draws = {}  # B's noise over that between minibatches
for moment in kept["moments"]:
    for part in PARTS[:3]:
        of_b = kept_noise(moment, "B", part).mean()
        between = kept_noise(moment, "B", part, "between")
        of_draws[moment, part] = of_b / between
MOMENTS = {"start": "before", "after 1 epoch": "1 epoch"}
MOMENTS |= {"after 10 epochs": "10 epochs"}
figure, panel = plt.subplots(figsize=(5, 4))
places, labels = [], []
for line, ((moment, part), ratio) in enumerate(of_draws.items()):
    places.append(-line - 0.5 * (line // 3))
    labels.append(f"{MOMENTS[moment]}, {part}")
    share = ratio / (1 + ratio)
    panel.barh(places[-1], share, color=COLORS["B"])
    panel.barh(places[-1], 1 - share, left=share, color="#BBBBBB")
panel.set_yticks(places, labels)
panel.set(xlim=(0, 1), xlabel="share of the variance")
panel.set_xticks([0, 0.5, 1], ["0", "½", "1"])
panel.grid(axis="y", visible=False)
panel.set_title("blue: B's draws; grey: the minibatch", loc="right")
plt.show()

# %% tags=["plumbing", "exact"]
rows = [
    [
        f"{MOMENTS[moment]}, {part}",
        *(
            with_interval(ratios[moment, name, part])
            for name in ("A", "path")
        ),
        two_digits(ratios[moment, "score", part][0]),
        ratio,
    ]
    for (moment, part), ratio in of_draws.items()
]
heads = ["moment, part", "A / B", "path / B", "score / B"]
folded(
    "Both pictures in numbers, and the score function",
    vh.table([*heads, "B / between minibatches"], rows, digits=1),
)


# %% tags=["plumbing"]
def gradient_variance(model, objective, x, repeats=50, seed=0):
    """Variance over ε of each entry of the gradient, by its path."""
    variables = model.trainable_variables
    seeds = keras.random.SeedGenerator(seed)

    @tf.function(jit_compile=model.prefers_xla)
    def gradient():
        with tf.GradientTape() as tape, model.using(seeds):
            bound = tf.reduce_mean(objective(model, x))
        return tape.gradient(bound, variables)

    drawn = [[g.numpy() for g in gradient()] for _ in range(repeats)]
    return {
        v.path: np.var(entries, axis=0, ddof=1)
        for v, *entries in zip(variables, *drawn, strict=True)
    }


def by_part(entries):
    """Sums of the entries of a gradient over the four parts."""
    head = [v.path for v in model.encoder.layers[-1].trainable_variables]
    every = [v.path for v in model.encoder.trainable_variables]
    rest = [path for path in every if path not in head]
    decoder = [v.path for v in model.decoder.trainable_variables]
    half = model.latent_dim
    return {
        "μ head": sum(entries[path][..., :half].sum() for path in head),
        "σ head": sum(entries[path][..., half:].sum() for path in head),
        "rest": sum(entries[path].sum() for path in rest),
        "decoder": sum(entries[path].sum() for path in decoder),
    }


# %% tags=["check"]
OBJECTIVES = {
    "A": vh.sgvb_a,
    "B": vh.sgvb_b,
    "path": vh.sticking_the_landing,
}
chosen = np.random.default_rng(0).permutation(60_000)[:800]
minibatch = vh.binarize(images.train[chosen[:100]], "threshold")
first = {
    name: by_part(gradient_variance(model, objective, minibatch))
    for name, objective in OBJECTIVES.items()
}
for name in ("A", "path"):
    vh.check(
        f"{name} / B, before training, first minibatch: as stored "
        f"({MACHINE})",
        [first[name][part] / first["B"][part] for part in PARTS[:3]],
        [
            kept_noise("start", name, part)[0]
            / kept_noise("start", "B", part)[0]
            for part in PARTS[:3]
        ],
        rtol=0.03,
    )
vh.check(
    "the decoder's gradient has the same noise with A, B and the path",
    [first["A"]["decoder"], first["path"]["decoder"]],
    first["B"]["decoder"],
    rtol=1e-3,
)

# %% tags=["check"]
vh.check(
    "the score function scatters over 1,000 times as much in the encoder",
    [ratios[m, "score", p][0] for m in kept["moments"] for p in PARTS[:3]],
    1000,
    relation=">",
)
for name, least in (("A", 5), ("path", 1.5)):
    vh.check(
        f"before training {name} / B is more than {least}",
        [ratios["start", name, part][0] for part in PARTS[:3]],
        least,
        relation=">",
    )
later = ("after 1 epoch", "after 10 epochs")
of_a, of_path = (
    np.array([ratios[m, name, p] for m in later for p in PARTS[:3]])
    for name in ("A", "path")
)
vh.check(
    "later A / B is more than 1, its interval too",
    of_a[:, 1],
    1,
    relation=">",
)
vh.check("but less than 1.4", of_a[:, 0], 1.4, relation="<")
vh.check("and path / B is about a half", of_path[:, 0], 0.5, atol=0.15)

# %% [markdown]
# In the μ head each weight sees one $\mu_j$, and the images' draws are independent, so their variances add. The law by $\mu$ applies to it coordinate by coordinate. A must lie above B wherever $h_j < \frac12$, stationary or not. That the path is the best is proved for a stationary $\sigma_j$ alone, and the encoder's is only near that: here it is measured. In the rest the coordinates mix, so the order could turn there; it did not.
#
# - **The σ head** shows more of A's noise than the gradient by $\sigma$ did: 20 per cent over B after ten epochs, not 3. It puts out $\log \sigma^2$, and the gradient by that is $\sigma/2$ times the gradient by $\sigma$ (exercise 3).
# - **The score function**, without a baseline, scatters thousands of times as much as B after training, millions before.
# - **What there is to be gained.** Outside the σ head B's noise is about one to two times that of the minibatches. Halve it, and about 30 per cent of the total is gone. In the σ head, after training, it is nearly all of the noise there is.
#
# > **Note.** The noise between minibatches is the variance of the eight mean gradients, less what is left of $\varepsilon$ in a mean of 50 draws. Eight minibatches tell it roughly.
#
# ## 19.4 Four networks
#
# Here are the four networks of chapter 4, at the end of their first training (seed 0) and part by part. They were trained with B, minibatches of 100 images and Adam with a step of $10^{-3}$, the dense ones for thirty epochs, the convolutional ones for ten. `experiments/gradients.py` measured them on ten minibatches of training images: 100 images each, 20 for the convolutional networks. First their test ELBO in nats; the last column is Var B − Var A of the value at the end for each latent dimension, in nats², from the smallest to the largest of three trainings:

# %% tags=["plumbing", "exact"]
NETWORKS = {
    "dense, J = 2": "mlp-j2",
    "dense, J = 20": "mlp-j20",
    "convolutional, J = 2": "conv-j2",
    "convolutional, J = 20": "conv-j20",
}
STAGES = {"start": "before", "middle": "1 epoch", "end": "end"}
SEEDS = (0, 1, 2)
stored_rows = {
    (row["network"], row["seed"], row["stage"]): row
    for row in load("gradients-rows")["rows"]
}
networks = {
    (label, stage): stored_rows[name, 0, stage]
    for label, name in NETWORKS.items()
    for stage in STAGES
}
rows = []
for label in NETWORKS:
    end = networks[label, "end"]
    ends = [stored_rows[NETWORKS[label], seed, "end"] for seed in SEEDS]
    extra = [r["value"]["b"] - r["value"]["a"] for r in ends]
    extra = [of_one / end["latent_dim"] for of_one in extra]
    elbos = [
        f"{networks[label, stage]['test_elbo']:.1f}".replace("-", "−")
        for stage in ("start", "end")
    ]
    rows.append([label, *elbos, f"{min(extra):.2f} to {max(extra):.2f}"])
vh.table(["network", "before", "end", "Var B − Var A"], rows)

# %% tags=["plumbing"]
ENTRIES = ("value", "μ head", "σ head", "rest")


def over_b(row, name, part):
    """Variance relative to B's, with its 95% interval."""
    return np.array(row["over_b"][KEYS[name]][KEYS.get(part, part)])


of_seed = {
    (label, seed, stage, name, part): over_b(
        stored_rows[NETWORKS[label], seed, stage], name, part
    )
    for label in NETWORKS
    for seed in SEEDS
    for stage in STAGES
    for name in ("A", "path", "score")
    for part in ENTRIES
}
relative = {
    (label, *what): found
    for (label, seed, *what), found in of_seed.items()
    if seed == 0
}

# %% tags=["plumbing"] mystnb={"image": {"alt": "Four panels, one for each network, one above the other: variance relative to B at the end of training, for the value, the μ head, the σ head and the rest of the encoder. In the gradient A lies within about a per cent of B's line, or right of it, most in the σ head of dense, J = 20, at 1.2. The path lies between 0.4 and 0.9. The value of both lies between 0.7 and 0.95."}}
figure, axes = plt.subplots(4, 1, figsize=(5, 8), sharex=True)
SERIES = {
    "gradient, A": ("A", ENTRIES[1:], {"color": COLORS["A"]}),
    "gradient, path": ("path", ENTRIES[1:], {"color": COLORS["path"]}),
    "value, A and path": ("A", ENTRIES[:1], {"color": "0.35", "fmt": "D"}),
}
for panel, label in zip(axes, NETWORKS, strict=True):
    for series, (name, parts, look) in SERIES.items():
        middle, low, high = np.transpose(
            [relative[label, "end", name, part] for part in parts]
        )
        rows = [3 - ENTRIES.index(part) for part in parts]
        look = {"fmt": "o", "label": series} | look
        ends = [middle - low, high - middle]
        panel.errorbar(middle, rows, xerr=ends, **look)
    panel.axvline(1, color=COLORS["B"], lw=2.5)
    panel.set(title=label, ylim=(-0.5, 3.5), xlim=(0.3, 1.3))
    panel.set_yticks([3, 2, 1, 0], ENTRIES)
axes[3].set_xlabel("variance at the end / that of B (the blue line)")
figure.legend(
    *axes[0].get_legend_handles_labels(), loc="outside upper left"
)
plt.show()

# %% tags=["plumbing", "exact"]
rows = []
for label in NETWORKS:
    for part in ENTRIES:
        a, path, score = (
            relative[label, "end", name, part]
            for name in ("A", "path", "score")
        )
        score = (
            f"{score[0]:.2f}" if part == "value" else two_digits(score[0])
        )
        cells = [with_interval(three, 3) for three in (a, path)]
        rows.append([f"{label}: {part}", *cells, score])
heads = ["at the end", "A / B", "path / B", "score / B"]
display(folded("These ratios in numbers", vh.table(heads, rows)))
rows = []
for label in NETWORKS:
    for part in ENTRIES:
        cells = []
        for name, stage, digits in (
            ("A", "start", 1),
            ("A", "middle", 3),
            ("A", "end", 3),
            ("path", "end", 2),
        ):
            three = [
                of_seed[label, seed, stage, name, part][0] for seed in SEEDS
            ]
            cells.append(
                f"{min(three):.{digits}f} to {max(three):.{digits}f}"
            )
        rows.append([f"{label}: {part}", *cells])
heads = [
    "three trainings",
    "A / B, before",
    "1 epoch",
    "end",
    "path / B, end",
]
folded(
    "From the smallest to the largest of three trainings",
    vh.table(heads, rows),
)


# %% tags=["check"]
def every(name, stages, parts, which=0):
    """Ratios to B in all trainings: middle, or a side of the interval."""
    return [
        of_seed[label, seed, stage, name, part][which]
        for label in NETWORKS
        for seed in SEEDS
        for stage in stages
        for part in parts
    ]


LOW, HIGH, ONE = 1, 2, 1.0
of_encoder, after = ENTRIES[1:], ("middle", "end")
for claim, found, relation in (
    (
        "value: from the first epoch on A / B is less than 1",
        every("A", after, ["value"], HIGH),
        "<",
    ),
    (
        "gradient: before training A / B is more than 1 in every part",
        every("A", ["start"], of_encoder, LOW),
        ">",
    ),
    ("by μ also later", every("A", after, ["μ head"], LOW), ">"),
    (
        "from the first epoch on path / B is less than 1 in every part",
        every("path", after, of_encoder, HIGH),
        "<",
    ),
):
    vh.check(claim, found, ONE, relation=relation)
for stage, near in (("start", 0.25), ("middle", 0.1), ("end", 0.1)):
    pairs = [(stage, n, part) for n in ("A", "path") for part in ENTRIES]
    vh.check(
        f"dense, J = 20, {STAGES[stage]}: another seed finds the same",
        [of_seed["dense, J = 20", 1, *pair][0] for pair in pairs],
        [relative["dense, J = 20", *pair][0] for pair in pairs],
        rtol=near,
    )
for name, near in (("A", 0.1), ("path", 0.2)):
    cases = list(itertools.product(NETWORKS, (1, 2), ENTRIES))
    vh.check(
        f"at the end {name} / B of the other seeds is near that of seed 0",
        [
            of_seed[label, s, "end", name, part][0]
            for label, s, part in cases
        ],
        [relative[label, "end", name, part][0] for label, _, part in cases],
        rtol=near,
    )

# %% tags=["check"]
row = networks["convolutional, J = 2", "start"]
chosen = np.random.default_rng(0).permutation(60_000)[: row["images"]]
twenty = vh.binarize(images.train[chosen], "threshold")
fresh = vh.conv_vae(latent_dim=2, seed=0)
entries = gradient_variance(fresh, vh.sgvb_a, twenty, row["repeats"]["1"])
vh.check(
    "A before training, convolutional, J = 2, first minibatch: as stored "
    f"({row['provenance']['machine']})",
    sum(entries[v.path].sum() for v in fresh.encoder.trainable_variables),
    row["first"]["a, 1"],
    rtol=0.01,
)

# %% [markdown]
# And how did it come to this? The same ratios from start to end, for the three parts of the four encoders, in three trainings of each:

# %% tags=["plumbing"] mystnb={"image": {"alt": "Variance of A and of the path over that of B, a dot for each of twelve trainings, for the μ head, the σ head and the rest, at three moments, on a logarithmic axis with B's line at one. Before training A lies between 2 and 154, the path between 0.8 and 4.7. After one epoch and at the end A lies at 0.95 to 1.25, and the path between 0.2 and 0.9."}}
figure, axes = plt.subplots(3, 1, figsize=(5, 5.6), sharex=True)
titles = ("before training", "after 1 epoch", "at the end")
for panel, stage, title in zip(axes, STAGES, titles, strict=True):
    for name, shift in (("A", 0.12), ("path", -0.12)):
        for label, seed in itertools.product(NETWORKS, SEEDS):
            found = [
                of_seed[label, seed, stage, name, part][0]
                for part in ENTRIES[1:]
            ]
            look = {"ms": 6, "alpha": 0.5, "color": COLORS[name]}
            is_first = (label, seed) == ("dense, J = 2", 0)
            look["label"] = name if is_first else None
            panel.plot(found, np.array([2, 1, 0]) + shift, "o", **look)
    panel.axvline(1, color=COLORS["B"], lw=2.5, label="B")
    panel.set_yticks([2, 1, 0], ENTRIES[1:])
    panel.set(xscale="log", ylim=(-0.6, 2.6), title=title)
ticks = [0.2, 0.5, 1, 2, 5, 20, 100]
axes[2].set_xticks(ticks, ["0.2", "½", *map(str, ticks[2:])])
axes[2].minorticks_off()
axes[2].set_xlabel("variance / that of B")
axes[2].legend(loc="center right")
plt.show()

# %% [markdown]
# - **The value** of the bound, which A and the path share. At the end A saves 30 to 34 per cent with $J = 20$, and 14 to 16 per cent (dense) and 5 to 9 per cent (convolutional) with $J = 2$. That is 0.3 to 0.7 nats² for each latent dimension. Some of the twelve lie above the ½ of exercise 2 in chapter 4, whose assumptions need not hold here.
# - **The μ head.** Before training A scatters 2 to 121 times as much as B. Later A still lies above B in every training, but only by 0.1 to 12 per cent.
# - **The σ head.** Before training A scatters 9 to 154 times as much. At the end it lies 12 to 21 per cent (dense) and 5 to 6 per cent (convolutional) above B with $J = 20$. With $J = 2$ they are level to about a per cent, and the sign changes from training to training. In the table above A has 1.2 per cent less in the dense network, and the interval leaves one out; another seed has A 0.2 per cent above. *An interval over minibatches says nothing about the next training.* After one epoch A has 2 to 5 per cent less in all three trainings of dense, $J = 2$. That would fit the dome of the map: outside it, where $|\mu_j|$ is large, A is quieter by $\sigma_j$. It was not checked here.
# - **The path**, before training, has 1.4 to 4.7 times B's variance in the dense networks, 0.8 to 1.7 times in the convolutional ones. From the first epoch on it lies below B in every part of every encoder.
#
# ## 19.5 The training runs
#
# Here are the levels behind the differences of chapter 4. The network *dense* has one hidden layer of 256 units and $J = 20$, and is trained for five epochs with minibatches of 100 and a step of $10^{-3}$. *S1* is the convolutional network of [chapter 3](03_conv_vae.ipynb) with $J = 2$, ten epochs with minibatches of 32 and a step of $10^{-4}$. The test ELBO is measured with estimator B and a fixed noise. `experiments/run.py dense s1-threshold s1-a s1-b s1-path` makes the runs; three of S1's five with A are chapter 3's own.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels, one above the other: test ELBO at the end for A, B and the path, each seed a grey line, with the mean and its 95% interval. Above, dense: A −94.4, B −94.2, path −93.8; most lines rise towards the path. Below, S1: A −156.6, B −156.7, path −157.1; three lines are nearly level, two fall to −157.5 and −158.1 with the path."}}
dense = {name: vh.stored(f"dense-{KEYS[name]}") for name in ESTIMATORS}
s1 = {
    "A": vh.stored("s1-threshold") + vh.stored("s1-a"),
    "B": vh.stored("s1-b"),
    "path": vh.stored("s1-path"),
}
curves = {
    name: np.array([run["test_elbo_b_by_epoch"] for run in runs])
    for name, runs in dense.items()
}  # [seeds, epochs]
final = {
    "dense": {name: values[:, -1] for name, values in curves.items()},
    "S1": {
        name: np.array([run["test_elbo_on"]["threshold"] for run in runs])
        for name, runs in s1.items()
    },
}
figure, axes = plt.subplots(2, 1, figsize=(5, 6), sharex=True)
for panel, (setting, by_name) in zip(axes, final.items(), strict=True):
    values = np.array([by_name[name] for name in ESTIMATORS])
    panel.plot(values, "-", color="0.6", lw=1)
    for place, name in enumerate(ESTIMATORS):
        seeds = by_name[name]
        look = {"color": COLORS[name], "alpha": 0.6}
        panel.plot(np.full(len(seeds), place), seeds, "o", **look)
        middle, half = interval(seeds)
        look = {"fmt": "_", "ms": 16, "lw": 2.5, "capsize": 5}
        look["color"] = COLORS[name]
        panel.errorbar(place + 0.15, middle, yerr=half, **look)
    panel.set(title=setting, ylabel="test ELBO, nats", xlim=(-0.4, 2.5))
axes[1].set_xticks(range(3), ESTIMATORS)
plt.show()

# %% [markdown]
# A grey line is a seed: the three runs that begin with the same weights. So compare by the differences along the lines. Three comparisons on each network give chance three tries. So a thin line, widened for three (Bonferroni), goes beyond the thick one of 95%:

# %% tags=["plumbing"] mystnb={"image": {"alt": "Differences in test ELBO with 95% intervals, thick, and widened for three, thin, and a zero line. Dense: B less A 0.2, both contain zero; path less A 0.6, both exclude zero; path less B 0.4, only the thick one excludes zero. S1: B less A −0.1, path less A −0.5, path less B −0.4, the last two more than a nat to either side; all contain zero."}}
PAIRS = (("B", "A"), ("path", "A"), ("path", "B"))
figure, panel = plt.subplots(figsize=(5, 3.6))
rows, places, labels = [], [], []
for setting, values in final.items():
    for one, other in PAIRS:
        difference = values[one] - values[other]
        middle, half = interval(difference)
        _, wide = interval(difference, comparisons=3)
        p_value = stats.ttest_rel(values[one], values[other]).pvalue
        places.append(-len(rows) - 0.5 * (setting == "S1"))
        labels.append(f"{setting}, {one} − {other}")
        color = COLORS[one]
        for reach, width in ((wide, 1), (half, 3.5)):
            ends = [middle - reach, middle + reach]
            panel.plot(ends, [places[-1]] * 2, color=color, lw=width)
        panel.plot(middle, places[-1], "o", ms=7, color=color)
        cells = [(middle, half), f"± {wide:.2f}", f"{p_value:.3f}"]
        rows.append([labels[-1], *cells])
panel.axvline(0, color="black", lw=1)
panel.set_yticks(places, labels)
panel.grid(axis="y", visible=False)
panel.set(xlabel="difference in test ELBO, nats", xlim=(-2.3, 2.3))
plt.show()

# %% tags=["plumbing", "exact"]
heads = ["difference, nats", "95% interval", "widened", "p"]
folded("These differences in numbers", vh.table(heads, rows))

# %% [markdown]
# Widened, path − A in the dense network still excludes zero, and path − B does not. In S1 two of the path's five runs (seeds 3 and 4) end 0.65 to 1.9 nats below A and B from the same seeds, the other three slightly above both. Whether the path loses anything there, five seeds cannot say. With this scatter some fifteen would make the interval of 95% half a nat wide on either side; to see a difference of half a nat four times out of five would take about thirty, and more if you widen for three.
#
# What did pairing by the seed bring? Compare with the interval that you would get if the ten runs were strangers:

# %% tags=["plumbing", "exact"]
rows = []
for one, other in PAIRS:
    for epoch in (1, 5):
        ours, theirs = (
            curves[one][:, epoch - 1],
            curves[other][:, epoch - 1],
        )
        apart = stats.ttest_ind(ours, theirs, equal_var=False)
        ends = apart.confidence_interval()
        rows.append([f"{one} − {other}, {epoch}", interval(ours - theirs)])
        rows[-1].append(f"± {(ends.high - ends.low) / 2:.2f}")
vh.table(["dense, epoch", "paired, nats", "as if strangers"], rows)

# %% [markdown]
# After one epoch the paired interval is narrower for all three differences, after five for one of them. The same seed gives the same start, but the runs go their own ways; and five pairs have a larger Student's factor than ten strangers.
#
# > **Note.** S1's curves in chapter 4 are the tests that each run made after its epochs, with its own estimator; the final figures are by B for all but one run, the second of A. All estimators have the same mean, and in these runs the two readings differ by less than 0.1 nats.
#
# A first epoch of S1 takes too long here, so one run's first updates are made again.

# %% tags=["check"]
begun = load("estimators-begin")
early = begun["runs"]["s1-threshold"]
vae = vh.conv_vae(latent_dim=2, seed=0)
vae.compile(keras.optimizers.Adam(1e-4), objective=vh.sgvb_a)
training = vh.batches(images.train, 32, "threshold", seed=0)
vae.fit(training.take(early["updates"]), verbose=0)
vh.check(
    f"S1 with A, seed 0, after {early['updates']} updates: "
    f"test ELBO as stored ({begun['provenance']['machine']})",
    vh.elbo(vae, x_test[: early["images"]], objective=vh.sgvb_a),
    early["test_objective"],
    atol=1,
)
vh.check(
    "which went on to the first epoch of a run in the picture",
    early["after_the_epoch"],
    s1["A"][0]["test_elbo_by_epoch"][0],
    atol=0.5,
)
spread = {name: np.ptp(values) for name, values in final["S1"].items()}
vh.check(
    "the five runs with the path end farthest apart",
    spread["path"],
    max(spread["A"], spread["B"]),
    relation=">",
)
difference, half = interval(final["dense"]["path"] - final["dense"]["A"], 3)
vh.check("dense, path − A, widened", difference, half, relation=">")
difference, half = interval(final["dense"]["path"] - final["dense"]["B"], 3)
vh.check("dense, path − B, widened", difference, half, relation="<")

# %% [markdown]
# ## What we measured

# %% tags=["plumbing", "exact"]
LAST, PAPER = "after 10 epochs", "B “typically” less; of what?"
rows = [
    ["μ head, A / B", with_interval(ratios[LAST, "A", "μ head"]), PAPER],
    [
        "σ head, A / B",
        with_interval(ratios[LAST, "A", "σ head"]),
        "the same",
    ],
    [
        "μ head, path / B",
        with_interval(ratios[LAST, "path", "μ head"]),
        "—",
    ],
    [
        "μ head, A / B, before",
        with_interval(ratios["start", "A", "μ head"]),
        "—",
    ],
    ["cases: Var A − Var B by μ, nats²", f"{by_mu.mean():.2f}", "—"],
    ["cases: Var A − Var B by σ, nats²", f"{by_sigma.mean():.2f}", "—"],
]
vh.table(
    ["dense, J = 20, ten epochs, one training", "here", "published"], rows
)

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - that by $\sigma$ A is quieter than B only in some cases, with $\mu$ far from zero, and that no theorem crowns the path;
# - the laws of chapter 4 checked on a thousand cases of a real decoder, on average to within 3 per cent;
# - the noise of every part of four encoders, from start to end, and how few seeds five are.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. The exact case by σ** (20 min, by hand). Derive the table of section 19.1. Let $f(z) = b z - \frac12 \lambda z^2$, in one dimension. Compute the three gradients by $\sigma$ and their variances.

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The slope is $f' = b - \lambda z$. With $z = \mu + \sigma \varepsilon$ the gradients by $\sigma$ are
#
# - B: $f' \varepsilon + 1/\sigma - \sigma = (b - \lambda\mu) \varepsilon - \lambda\sigma \varepsilon^2 + \dots$, with variance $(b - \lambda\mu)^2 + 2 \lambda^2\sigma^2$;
# - A: $(f' - z) \varepsilon + 1/\sigma = (b - (1 + \lambda)\mu) \varepsilon - (1 + \lambda) \sigma \varepsilon^2 + \dots$, with variance $(b - (1 + \lambda) \mu)^2 + 2 (1 + \lambda)^2 \sigma^2$;
# - path: $(f' - z + \varepsilon/\sigma) \varepsilon$, with variance $(b - (1 + \lambda) \mu)^2 + 2 (1/\sigma - (1 + \lambda) \sigma)^2$.
#
# The dots are constants; $\varepsilon$ and $\varepsilon^2$ are uncorrelated, with variances 1 and 2. Stationary means $b - \lambda\mu = \mu$ and $\lambda = 1/\sigma^2 - 1$. Insert: B has $\mu^2 + 2 (1/\sigma - \sigma)^2$, A has $2/\sigma^2$, the path has 0. A quadratic $f$ has a Gaussian posterior, so $q$ is exact.
#
# </details>

# %% [markdown] tags=["exercise"]
# **2. Where the path loses** (25 min, by hand). Let $f(z) = 2 z - \frac13 (z - 1)^3$, in one dimension, and $q = \mathcal{N}(1, 1)$. Show that $q$ is stationary. Compute the variances of the gradient by $\sigma$ for B and for the path. You need $\mathbb{E}[\varepsilon^2] = 1$, $\mathbb{E}[\varepsilon^4] = 3$ and $\mathbb{E}[\varepsilon^6] = 15$.

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# With $z = 1 + \varepsilon$ the slope is $f' = 2 - \varepsilon^2$. Its mean is $1 = \mu$, and $\mathbb{E}[\varepsilon f'] = 0 = \sigma - 1/\sigma$: both derivatives in (4.3) are zero. B's gradient by $\sigma$ is $\varepsilon f' + 1/\sigma - \sigma = 2 \varepsilon - \varepsilon^3$, with variance $4 - 4 \cdot 3 + 15 = 7$. The path's is $(f' - z + \varepsilon/\sigma) \varepsilon = (1 - \varepsilon^2) \varepsilon = \varepsilon - \varepsilon^3$, with variance $1 - 2 \cdot 3 + 15 = 10$. So B is quieter. (Far to the left this $f$ grows without limit, as no log-likelihood of a binary image can; only its shape within reach of $q$ counts here.)
#
# </details>

# %% tags=["solution"]
nodes, weights = np.polynomial.hermite_e.hermegauss(20)
weights = weights / weights.sum()
gradients = by_mean_and_scale(2 - nodes**2, 1.0, 1.0, nodes)


def moment(values):
    return np.sum(weights * values)


def variance(values):
    return moment(values**2) - moment(values) ** 2


for name, by_hand in (("B", 7), ("path", 10)):
    by_mean, by_scale = gradients[name]
    zero = [moment(by_mean), moment(by_scale)]
    vh.check(f"{name}: stationary", zero, 0, atol=1e-9)
    vh.check(
        f"{name}: variance by σ", variance(by_scale), by_hand, atol=1e-9
    )

# %% [markdown] tags=["exercise"]
# **3. What the σ head sees** (10 min, by hand). The encoder puts out $\log \sigma_j^2$. Show that the gradient by it is $\sigma_j / 2$ times the gradient by $\sigma_j$. In the exact case, what becomes of A's variance $2/\sigma_j^2$? Why does the σ head show more of the difference between A and B than an average of the gradients by $\sigma_j$?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Write $\ell = \log \sigma_j^2$, so $\sigma_j = e^{\ell/2}$ and $d\sigma_j / d\ell = \sigma_j / 2$: the chain rule gives the factor. Variances take its square, $\sigma_j^2 / 4$. A's $2/\sigma_j^2$ becomes $\frac12$ in every dimension. An average of the gradients by $\sigma_j$ is ruled by the narrow dimensions, where $2/\sigma_j^2$ is large and A and B hardly differ. By $\log \sigma_j^2$ a wide dimension counts as much as a narrow one, and there they differ most.
#
# </details>

# %% [markdown]
# ## What to read next
#
# - Back to [chapter 4](04_sgvb_a_vs_b.ipynb), to what training makes of this noise.
# - [Draws or images?](20_draws_or_images.ipynb): what several draws cost, and what else the same seconds buy.
# - [Domke 2019; Kim et al. 2023](../book/bibliography.md) on bounds for the variance of reparameterised gradients.
