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
# # 4. SGVB‑A or SGVB‑B?
#
# **Train with B, or with the path, and one draw; report the bound with A. The choice is worth less than a nat: between training with B and with A no difference in the test ELBO is seen, 0.2 ± 0.4 nats over five seeds.** Before training A's gradient for the encoder has 3 to 131 times the variance of B's, over the draws: four networks, three trainings of each. After one epoch it has 1 to 13 per cent more. The *path* (section 4.1) is then the quietest.

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

import json
import time
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from scipy import stats

vh.use_book_style()
plt.rcParams["font.size"] = 11
started = time.monotonic()
images = vh.load_mnist()
x_test = vh.binarize(images.test, "threshold")
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


# %% tags=["plumbing"] mystnb={"image": {"alt": "Two groups of bars: the variance of A and of the path as a multiple of B's, on a logarithmic axis with B as a line at 1. On the left the value: both 2.9 before training, 0.7 after 30 epochs. On the right the encoder's gradient: before training A is at 13 and the path at 2.6, after 30 epochs A is at 1.03 and the path at 0.46."}}
stored_rows = {
    (row["network"], row["seed"], row["stage"]): row
    for row in load("gradients-rows")["rows"]
}
figure, axes = plt.subplots(1, 2, figsize=(5.6, 3.1), sharey=True)
for panel, part in zip(axes, ("value", "encoder"), strict=True):
    for place, stage in enumerate(("start", "end")):
        over_b = stored_rows["mlp-j20", 0, stage]["over_b"]
        for shift, name in ((-0.2, "A"), (0.2, "path")):
            ratio = over_b[name.lower()][part][0]
            bar = {"bottom": 1, "width": 0.36, "color": COLORS[name]}
            panel.bar(place + shift, ratio - 1, **bar)
            digits = 0 if ratio > 5 else 2 if 1 < ratio < 1.1 else 1
            above = {"ha": "center", "va": "bottom" if ratio > 1 else "top"}
            y = ratio * (1.05 if ratio > 1 else 0.95)
            panel.text(place + shift, y, f"{ratio:.{digits}f}", **above)
    panel.axhline(1, color=COLORS["B"], lw=2.5)
    panel.set(yscale="log", ylim=(0.33, 22), xlim=(-0.6, 1.6))
    panel.set_yticks([0.5, 1, 2, 5, 10], ["½", "1", "2", "5", "10"])
    panel.minorticks_off()
    panel.set_xticks((0, 1), ["before\ntraining", "after 30\nepochs"])
axes[0].set(title="the value", ylabel="variance / that of B")
axes[1].set(title="the encoder's gradient")
marks = [plt.Rectangle((0, 0), 1, 1, color=COLORS[n]) for n in COLORS]
axes[1].legend(marks, COLORS, loc="upper right")
plt.show()

# %% [markdown]
# The variance over the draws, with weights and images held fixed, in one training of one network (dense, 20 latent dimensions). A bar above the blue line is noisier than B, a bar below it quieter.
#
# **What you will be able to do**
#
# - say which of A, B and the path estimator is quieter, for the value and for the gradient, and prove it;
# - read the three gradients as one family with one number to choose, and say which number is best;
# - tell how much of a gradient's noise is the estimator's, and how much comes from the minibatch;
# - compare estimators in training: same weights, same images, same noise, several seeds, an interval;
# - decide what to use.
#
# **What it needs.** The part of [chapter 1](01_theory.ipynb) where the gradients and A and B come from, and the first half of [chapter 2](02_mlp_vae.ipynb). Plan an hour, without the exercises; the page runs in about a minute on two CPU cores, within 2 GiB of memory. Long runs come from `experiments/`; the page measures some of their points again. Numbers after ± are 95% intervals, over seeds or images.
#
# ## 4.1 The question
#
# The paper of [Kingma & Welling (2013)](../book/bibliography.md) has two estimators of the same bound. **A draws everything. B takes the KL divergence from its formula, and draws only the rest.** The paper says that B "typically" has less variance. The ADVI notebook of TensorFlow Probability (TFP) says that the sampled form has less. One of the [five write-ups](../book/intro.md) behind this book (S4) replaces A by B, and measures nothing. Who is right?
#
# For an image $x$ the encoder gives a Gaussian $q = \mathcal{N}(\mu, \mathrm{diag}\, \sigma^2)$ over $J$ latent dimensions $j = 1, \dots, J$. One draw is $z = \mu + \sigma \varepsilon$ with standard normal noise $\varepsilon$. The prior is $p(z) = \mathcal{N}(0, I)$. Write $f(z) = \log p_\theta(x \mid z)$ for the reconstruction term, the only one in which the decoder stands. With one draw the two estimators are
#
# $$
# \begin{aligned}
# \widetilde{\mathcal{L}}_A &= f(z) + \log p(z) - \log q(z), \\
# \widetilde{\mathcal{L}}_B &= f(z) - \mathrm{KL}(q \Vert p).
# \end{aligned}
# $$
#
# Both have the bound (the ELBO) as their mean. Take the same $\varepsilon$ in both and subtract, as in (1.17) of chapter 1. The decoder drops out:
#
# $$
# \begin{aligned}
# \Delta &= \widetilde{\mathcal{L}}_A - \widetilde{\mathcal{L}}_B \\
# &= \sum_j \big( -\mu_j \sigma_j \varepsilon_j \\
# &\qquad + \tfrac{1}{2} (1 - \sigma_j^2)(\varepsilon_j^2 - 1) \big), \\
# \mathrm{Var}(\Delta) &= \sum_j \big( \mu_j^2 \sigma_j^2 + \tfrac{1}{2} (1 - \sigma_j^2)^2 \big).
# \end{aligned} \tag{4.1}
# $$
#
# So A is B plus the noise $\Delta$, which has mean zero. In code:

# %%
model = vh.mlp_vae(latent_dim=20, seed=0)
x = x_test[:50]


def delta(mean, scale, noise):
    """Δ of (4.1), a term for each latent dimension."""
    return -mean * scale * noise + 0.5 * (1 - scale**2) * (noise**2 - 1)


def variance_of_delta(mean, scale):
    """Var(Δ) of (4.1), likewise."""
    return mean**2 * scale**2 + 0.5 * (1 - scale**2) ** 2


# %% tags=["check"]
def value(objective, seed):
    """The objective of each image of x, with the noise of `seed`."""
    with model.using(keras.random.SeedGenerator(seed)):
        return objective(model, x).numpy()


with model.using(keras.random.SeedGenerator(5)):
    q = model.posterior(x).distribution
    z = model.posterior(x).sample(1, seed=model.next_seed())[0]
mean, scale = q.loc.numpy(), q.scale.numpy()
noise = (z.numpy() - mean) / scale
of_a, of_b, of_path = (
    value(objective, seed=5)
    for objective in (vh.sgvb_a, vh.sgvb_b, vh.sticking_the_landing)
)
vh.check(
    "A − B is Δ of (4.1), image by image",
    of_a - of_b,
    delta(mean, scale, noise).sum(axis=1),
    atol=2e-3,
)
vh.check("the path estimator has the value of A", of_path, of_a, atol=1e-3)

# %% [markdown]
# In the package A and B are `vh.sgvb_a` and `vh.sgvb_b`. A third one, `vh.sticking_the_landing`, has the value of A, but its gradient leaves out a term whose mean is zero. Its gradient follows the path from $\mu$ and $\sigma$ through $z$ alone, so it is called the *path* estimator here ([Roeder, Wu & Duvenaud 2017](../book/bibliography.md)).
#
# Adding noise to B should make it noisier. It need not. B is $f$ less a constant, and $f$ and $\Delta$ come from the same draw:
#
# $$
# \begin{aligned}
# &\mathrm{Var}(\widetilde{\mathcal{L}}_A) - \mathrm{Var}(\widetilde{\mathcal{L}}_B) \\
# &\qquad = \mathrm{Var}(\Delta) + 2 \, \mathrm{Cov}(f, \Delta).
# \end{aligned}
# $$
#
# Two extremes, with $q = \mathcal{N}(1, 0.6^2)$ in one dimension and 200 draws each:

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two scatters of the noise of A against the noise of B, one dot a draw. On the left, where the decoder ignores z, the dots stand on a vertical line: B has no noise and A has some. On the right, where q is the posterior, they lie on a horizontal line: A has no noise and B has some."}}
noise = np.random.default_rng(0).standard_normal(200)
z = 1.0 + 0.6 * noise
# Where q is the posterior, f(z) = log q(z) − log p(z) + a constant.
toys = {
    "the decoder ignores z": 0 * z,
    "q is the posterior": 0.5 * (z**2 - noise**2),
}
figure, axes = plt.subplots(1, 2, figsize=(5.6, 3.1), sharey=True)
look = {"ms": 6, "mew": 0, "color": "black", "alpha": 0.3}
for panel, (title, f) in zip(axes, toys.items(), strict=True):
    of_b, of_a = f - f.mean(), f + delta(1.0, 0.6, noise)
    panel.plot(of_b, of_a - of_a.mean(), "o", **look)
    panel.set(title=title, xlabel="noise of B, nats")
    panel.set(xlim=(-3.6, 3.6), ylim=(-3.6, 3.6))
axes[0].set_ylabel("noise of A, nats")
plt.show()

# %% [markdown]
# Where the decoder ignores $z$ (left), B has no noise at all. Where $q$ is the exact posterior (right), A has none: $f$ and $\Delta$ cancel in every draw. A network in training can lie between the two, or beyond.
#
# ## 4.2 The value: a theorem for every decoder
#
# **Where $q$ is as good as it can get, A has the quieter value, whatever the decoder.** The idea: a good $q$ holds the pull of the reconstruction and the pull of the prior in balance. So when $f$ goes up by chance, $\Delta$ goes down, and their sum moves less than $f$ alone.
#
# To prove it you need the covariance of $f$ with $\varepsilon$. *Stein's lemma* turns it into a slope. For a smooth function $g$ of the noise (kinks such as those of ReLU do no harm), with $\partial_j g$ its derivative by $\varepsilon_j$,
#
# $$
# \begin{aligned}
# \mathbb{E}[\varepsilon_j \, g(\varepsilon)] &= \mathbb{E}[\partial_j g], \\
# \mathbb{E}[(\varepsilon_j^2 - 1) \, g(\varepsilon)] &= \mathbb{E}[\varepsilon_j \, \partial_j g].
# \end{aligned}
# $$
#
# <details>
# <summary>Proof of Stein's lemma</summary>
#
# The density $\varphi$ of $\varepsilon_j$ has the derivative $-\varepsilon_j \varphi$. Integrate $\varepsilon_j \varphi \, g$ by parts: that is the first form. The second is the first with $\varepsilon_j g$ in place of $g$, whose derivative is $g + \varepsilon_j \partial_j g$.
#
# </details>
#
# Put $g(\varepsilon) = f(\mu + \sigma\varepsilon)$ in. From here on $\partial_j f$ is the slope of $f$ by $z_j$, so the derivative by $\varepsilon_j$ is $\sigma_j \partial_j f$. With (4.1)
#
# $$
# \begin{aligned}
# \mathrm{Cov}(f, \Delta) = \sum_j \big( &-\mu_j \sigma_j^2 \, \mathbb{E}[\partial_j f] \\
# &+ \tfrac{1}{2} (1 - \sigma_j^2) \, \sigma_j^2 \, h_j \big), \\
# h_j &= \frac{1}{\sigma_j} \mathbb{E}[\varepsilon_j \, \partial_j f].
# \end{aligned} \tag{4.2}
# $$
#
# Remember $h_j$, it returns below. It is the mean curvature of $f$ along $z_j$, negative at a peak: for a smooth $f$ Stein's lemma makes it $\mathbb{E}[\partial_j^2 f]$; ReLU's kinks count too. The same two averages stand in the gradient of the bound, by (1.14) of chapter 1:
#
# $$
# \begin{aligned}
# \frac{\partial \mathcal{L}}{\partial \mu_j} &= \mathbb{E}[\partial_j f] - \mu_j, \\
# \frac{\partial \mathcal{L}}{\partial \sigma_j} &= \sigma_j \, h_j + \frac{1}{\sigma_j} - \sigma_j .
# \end{aligned} \tag{4.3}
# $$
#
# "As good as it can get" means that both are zero: the point is *stationary*. Then $\mathbb{E}[\partial_j f] = \mu_j$ and $h_j = 1 - 1/\sigma_j^2$. Insert both into (4.2), and term by term it becomes the negative of $\mathrm{Var}(\Delta)$ in (4.1):
#
# $$
# \begin{aligned}
# \mathrm{Cov}(f, \Delta) &= -\mathrm{Var}(\Delta), \quad \text{hence} \\
# \mathrm{Var}(\widetilde{\mathcal{L}}_B) &= \mathrm{Var}(\widetilde{\mathcal{L}}_A) + \mathrm{Var}(\Delta).
# \end{aligned} \tag{4.4}
# $$
#
# Does a real encoder come near a stationary point? One network serves all images, so only roughly. Measure it. Take the dense network of chapter 2 with $J = 20$, trained with B. This page trains the first epoch; the script `experiments/estimators.py` has trained and measured ten.

# %% tags=["nbval-ignore-output"]
model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
training = vh.batches(images.train, 100, "threshold", seed=0)
start = model.get_weights()
model.fit(training, epochs=1)
trained = model.get_weights()


# %% tags=["plumbing"]
@tf.function(jit_compile=True)
def reconstruction_and_slope(z):
    """f(z) = log p(x | z) [draws, n], and its slope by z [draws, n, J]."""
    with tf.GradientTape() as tape:
        tape.watch(z)
        f = model.likelihood(z).log_prob(x)
    return f, tape.gradient(f, z)


def draw(mean, scale, seed):
    """f, its slope and ε, for 2,000 draws of z from N(mean, scale²)."""
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(40):
        noise = random.standard_normal((50, *mean.shape)).astype("float32")
        found = reconstruction_and_slope(mean + scale * noise)
        parts.append((*found, noise))
    return [
        np.concatenate(p).astype(float) for p in zip(*parts, strict=True)
    ]


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


# %% [markdown]
# Draw 2,000 $z$ for each of 50 test images, and take the variances over the draws. For comparison, give each image a Gaussian *of its own*: begin at the encoder's $\mu$ and $\sigma$, and follow the gradient of the bound for 600 steps of Adam. That $q$ is nearly stationary.


# %%
def value_variances(mean, scale):
    """For each image, over the noise: Var A, Var B; and Var(Δ)."""
    f, _, noise = draw(mean, scale, seed=0)
    b = f  # less the KL, a constant: it has no variance
    a = b + delta(mean, scale, noise).sum(axis=-1)
    by_formula = variance_of_delta(mean, scale).sum(axis=-1)
    return a.var(axis=0, ddof=1), b.var(axis=0, ddof=1), by_formula


q = model.posterior(x).distribution
encoded = q.loc.numpy(), q.scale.numpy()
own = own_gaussians(*encoded)

# %% tags=["check"]
kept = load("estimators-moments")
sources = {
    f"{who}, {moment}": found[what]
    for what, who in (("encoder", "encoder"), ("own", "own Gaussians"))
    for moment, found in kept["moments"].items()
    if what in found
}
measured = {
    name: [np.array(found["value"][of]) for of in ("A", "B", "delta")]
    for name, found in sources.items()
}
a, b, by_formula = value_variances(*own)
_, error = vh.mean_and_error(b - a - by_formula)
vh.check(
    "each image with its own Gaussian: Var B − Var A is Var Δ (4.4)",
    (b - a).mean(),
    by_formula.mean(),
    atol=4 * error,
)
kept_a, kept_b, _ = measured["own Gaussians, after 1 epoch"]
vh.check(
    "this Var B − Var A is the stored one",
    (b - a).mean(),
    (kept_b - kept_a).mean(),
    rtol=0.1,
)
a, b, by_formula = measured["own Gaussians, after 10 epochs"]
vh.check(
    "after ten epochs too Var B − Var A is Var Δ",
    (b - a).mean(),
    by_formula.mean(),
    rtol=0.03,
)
a, b, _ = measured["encoder, start"]
vh.check(
    "before training B has the quieter value",
    b.mean(),
    a.mean(),
    relation="<",
)
a, b, _ = measured["encoder, after 10 epochs"]
vh.check("after it A has", a.mean(), b.mean(), relation="<")

# %% tags=["plumbing"] mystnb={"image": {"alt": "Scatter of 50 images: what A saves, measured, against Var Δ by formula, with the diagonal. Filled dots, each image with a Gaussian of its own, lie along the diagonal from 6 to 10 nats². Hollow dots, the encoder's q, scatter widely about it, from 1 to 23."}}
figure, panel = plt.subplots(figsize=(5, 4.2))
for name, look in (
    ("encoder", {"mfc": "none", "label": "the encoder's q"}),
    ("own Gaussians", {"label": "each image's own Gaussian"}),
):
    a, b, by_formula = measured[f"{name}, after 10 epochs"]
    panel.plot(by_formula, b - a, "o", ms=6, color=COLORS["A"], **look)
panel.axline((6, 6), slope=1, color="black", lw=1, label="theorem (4.4)")
panel.set(xlabel="Var Δ by (4.1), nats²", ylim=(0, None))
panel.set_ylabel("Var B − Var A, nats²")
figure.legend(loc="outside upper left")
plt.show()

# %% [markdown]
# One dot an image, after ten epochs. The images with a Gaussian of their own lie on the line of (4.4). Those of the encoder's $q$, which is not stationary, scatter about it. The means over the 50 images:

# %% tags=["plumbing", "exact"]
rows = [
    [name, a.mean(), b.mean(), interval(b - a), of_delta.mean()]
    for name, (a, b, of_delta) in measured.items()
]
heads = ["q from", "Var A", "Var B", "Var B − Var A", "Var Δ, (4.1)"]
vh.table(heads, rows, digits=1)

# %% [markdown]
# At the start, before training, B has the quieter value: $f$ and $\Delta$ do not cancel yet. Afterwards A has it. With the image's own Gaussian the gain is what (4.4) says, and most of the noise: after ten epochs A has 4.5 nats² and B 12.7. With the encoder's $q$ A saves 8 of 27 nats².
#
# But an optimiser never sees the value. It sees gradients.
#
# ## 4.3 The gradient: one family, and its best member
#
# **By $\mu$, the three gradients differ in one number alone.** To see it, differentiate $\Delta$ of (4.1) by $\mu_j$ and by $\sigma_j$:
#
# $$
# \begin{aligned}
# \frac{\partial \Delta}{\partial \mu_j} &= -\sigma_j \varepsilon_j, \\
# \frac{\partial \Delta}{\partial \sigma_j} &= -\mu_j \varepsilon_j - \sigma_j (\varepsilon_j^2 - 1).
# \end{aligned} \tag{4.5}
# $$
#
# Both are noise with mean zero. So you may add *any multiple* $c$ of the first to B's gradient by $\mu_j$, and it stays right on average. That makes a family:
#
# $$
# g_c = \partial_j f(z) - \mu_j - c \, \sigma_j \varepsilon_j . \tag{4.6}
# $$
#
# With $c = 0$ it is B, with $c = 1$ it is A. The path estimator is a member too. It follows $z$ alone through $f(z) + \log p(z) - \log q(z)$, whose slope is $\partial_j f - z_j + \varepsilon_j / \sigma_j$. Write $z_j = \mu_j + \sigma_j \varepsilon_j$ in, and you find (4.6) with $c = 1 - 1/\sigma_j^2$: a factor of its own for each image and dimension.
#
# Which $c$ is quietest? Take one dimension of one image, one whose $\sigma$ is about 0.6, and try them all.


# %%
def member(c, slope, mean, scale, noise):
    """g_c of (4.6): a gradient by μ_j for each draw."""
    return slope - mean - c * scale * noise


def lowest(slope, scale, noise):
    """The quietest c, estimated: h_j of (4.2)."""
    return np.mean(noise * slope) / scale


# %% tags=["plumbing"] mystnb={"image": {"alt": "Two parabolas, one above the other: the variance of the gradient by one μ_j against the factor c. B at c = 0 and A at c = 1 lie on the right branch, A above B. Above, with the encoder's q, the path at c = 1 − 1/σ² lies away from the lowest point c = h. Below, with the image's own Gaussian, the path lies in the lowest point."}}
case = np.unravel_index(np.argmin(np.abs(own[1] - 0.6)), own[1].shape)
kinds = {"the encoder's q": encoded, "the image's own Gaussian": own}
figure, axes = plt.subplots(2, 1, figsize=(5, 5.6), sharex=True)
for panel, (title, (means, scales)) in zip(
    axes, kinds.items(), strict=True
):
    _, slopes, noises = draw(means, scales, seed=1)
    slope, noise = slopes[:, *case], noises[:, *case]
    mean, scale = float(means[case]), float(scales[case])
    factors = {"A": 1.0, "B": 0.0, "path": 1 - 1 / scale**2}
    c = np.linspace(-4.5, 1.5, 100)
    grid = member(c, slope[:, None], mean, scale, noise[:, None])
    panel.plot(c, grid.var(axis=0), color="0.5")
    for name, factor in factors.items():
        variance = member(factor, slope, mean, scale, noise).var()
        panel.plot(factor, variance, "o", ms=9, color=COLORS[name])
        above = {"textcoords": "offset points", "ha": "center"}
        panel.annotate(name, (factor, variance), (-4, 9), **above)
    h = lowest(slope, scale, noise)
    panel.axvline(h, color="black", ls=":", label=f"lowest: h = −{-h:.1f}")
    panel.set(title=f"{title}, σ = {scale:.2f}")
    panel.set_ylabel("variance, nats²")
    panel.set_ylim(0, None)
    panel.legend()
axes[1].set_xlabel("factor c")
plt.show()

# %% [markdown]
# A, B and the path lie on one curve. In the upper panel the path misses the lowest point a little, in the lower it sits there, within the noise. The variance is a parabola in $c$, and its lowest point lies at the $h_j$ of (4.2). Call the variance there $R_j$, for "rest". Then everywhere
#
# $$
# \mathrm{Var}(g_c) = R_j + \sigma_j^2 (c - h_j)^2 . \tag{4.7}
# $$
#
# <details>
# <summary>Proof</summary>
#
# By (4.6) $\mathrm{Var}(g_c) = \mathrm{Var}(\partial_j f) - 2 c \, \sigma_j \, \mathrm{Cov}(\partial_j f, \varepsilon_j) + c^2 \sigma_j^2$. The covariance is $\mathbb{E}[\varepsilon_j \, \partial_j f] = \sigma_j h_j$, by (4.2). Complete the square in $c$: what is left over is $R_j = \mathrm{Var}(\partial_j f) - \sigma_j^2 h_j^2$.
#
# </details>
#
# Now let $\sigma_j$ be stationary, as in the lower panel. By (4.3) $h_j$ is then $1 - 1/\sigma_j^2$, and that is the path's $c$. So *where $\sigma_j$ is stationary the path is the best member of the family*, for any decoder, and
#
# $$
# \mathrm{Var}(g_c) = R_j + \sigma_j^2 \left( c - 1 + \frac{1}{\sigma_j^2} \right)^2 . \tag{4.8}
# $$
#
# | Gradient by $\mu_j$ | factor $c$ | variance where $\sigma_j$ is stationary |
# |---|---|---|
# | path | $1 - 1/\sigma_j^2$ | $R_j$ |
# | A | $1$ | $R_j + 1/\sigma_j^2$ |
# | B | $0$ | $R_j + (1/\sigma_j - \sigma_j)^2$ |
#
# $R_j$ is common to all three; what is added depends on $\sigma_j$ alone. Where $\mu_j$ is stationary too, $R_j$ says how badly $q$ fits:
#
# $$
# \begin{aligned}
# R_j = \mathbb{E}_q \big[ \big( &\partial_j \log p_\theta(z \mid x) \\
# &- \partial_j \log q(z) \big)^2 \big],
# \end{aligned}
# $$
#
# the *Fisher divergence* between $q$ and the true posterior in coordinate $j$. Where $q$ is exact it is zero.
#
# <details>
# <summary>Why</summary>
#
# The path's gradient is the slope of $\log p_\theta(x, z) - \log q(z)$ by $z_j$. Replace the first term by $\log p_\theta(z \mid x)$: the two differ by $\log p_\theta(x)$, which has no slope. Where $\mu_j$ is stationary the mean of this gradient is zero, so its variance is its mean square.
#
# </details>
#
# Read three things off the table:
#
# - **B against A.** A's variance is larger by $2 - \sigma_j^2$. So by $\mu$ it is B that is quieter, as long as $\sigma_j^2 < 2$; for the value it was A. Away from a stationary point A's excess is $\sigma_j^2 (1 - 2 h_j)$, by (4.7): positive wherever $h_j < \frac12$.
# - **How much.** At most 2, beside a noise of $1/\sigma_j^2$, which is 25 for $\sigma_j = 0.2$. It counts where the decoder ignores a dimension: there $\sigma_j = 1$ and $R_j = 0$, A has a noise of 1, and B has none.
# - **The path** saves $1/\sigma_j^2$ against A: all the noise that is not $R_j$. The better $q$ fits, the larger the part it saves.
#
# **By $\sigma$ the answer is mixed**: mostly B is quieter than A, but A can be quieter where $\mu_j$ lies far from zero, as [the page on the variance of gradients](19_gradient_variance.ipynb) derives, maps and shows on a thousand cases.
#
# What is it worth? The variance of the gradient by one $\mu_j$, in nats², averaged over 50 images and 20 dimensions:

# %% tags=["plumbing", "exact"]
ESTIMATORS = ("A", "B", "path")
by_mu = {
    name: [found["coordinate"][e]["mu"] for e in ESTIMATORS]
    for name, found in sources.items()
}
vh.table(["q from", *ESTIMATORS], [[n, *v] for n, v in by_mu.items()])

# %% tags=["check"]
_, slope, noise = draw(*own, seed=1)
mean, scale = own
variance = {
    name: member(c, slope, mean, scale, noise).var(axis=0, ddof=1)
    for name, c in {"A": 1, "B": 0, "path": 1 - 1 / scale**2}.items()
}
for name, expected in (
    ("A", 1 / scale**2),
    ("B", (1 / scale - scale) ** 2),
):
    vh.check(
        f"after one epoch, measured here: Var {name} − Var path, by μ",
        np.mean(variance[name] - variance["path"]),
        expected.mean(),
        rtol=0.03,
    )
after = ("encoder, after 10 epochs", "own Gaussians, after 10 epochs")
a, b, path = np.transpose([by_mu[name] for name in after])
vh.check(
    "by μ, after training: B / A is less than 1", b / a, 1, relation="<"
)
vh.check("but at least 0.85", b / a, 0.85, relation=">")
vh.check("and path / A less than 0.6", path / a, 0.6, relation="<")
a, b, path = by_mu["encoder, start"]
vh.check("by μ, before training: B has the least", b, path, relation="<")
vh.check("and the path less than 0.3 of A's", path / a, 0.3, relation="<")

# %% [markdown]
# Before training the decoder says little about $z$, so $h_j \approx 0$ and the best $c$ is B's. A's variance is larger by about 1.4. After ten epochs B saves a few per cent against A, the path more than half, also with the encoder's imperfect $q$.
#
# ## 4.4 The gradient that the optimiser gets
#
# The optimiser sees the gradient by the *weights*, averaged over a minibatch of 100 images. It carries two noises: that of $\varepsilon$, and that of the choice of images, which no estimator removes. To measure the first, hold weights and images fixed and draw the gradient again and again.


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


# %% [markdown]
# For the second, take the mean gradients of eight minibatches and see how far they lie apart. Sum both over all weights of the encoder, at three moments of the training:

# %% tags=["plumbing"] mystnb={"image": {"alt": "Nine horizontal bars: the variance of the encoder's gradient with B, A and the path before training, after one and after ten epochs, relative to B's in the same group. The grey part, from the minibatches, is the same for all three. Before training A's bar is six times B's, the path's nearly twice. Later A's bar is a little longer than B's and the path's about two thirds of it."}}
KEYS = {"A": "a", "B": "b", "path": "path"}
INSIDE = ("mu", "scale", "encoder")  # the encoder, in three parts


def kept_noise(moment, name, part, what="variance"):
    """Stored variances, one for each minibatch; or that between them."""
    of = kept["moments"][moment]["estimators"][KEYS[name]]["1"]
    return np.array(of[f"{what}_{part}"])


def of_encoder(moment, name, what="variance"):
    return sum(kept_noise(moment, name, part, what) for part in INSIDE)


figure, panel = plt.subplots(figsize=(5, 4.3))
y, ticks = 0, []
totals = {}
for moment in kept["moments"]:
    images_noise = of_encoder(moment, "B", "between")
    one = images_noise + of_encoder(moment, "B").mean()
    for name in ("B", "A", "path"):
        noise = of_encoder(moment, name).mean()
        totals[moment, name] = (images_noise + noise) / one
        panel.barh(y, images_noise / one, color="0.75")
        bar = {"left": images_noise / one, "color": COLORS[name]}
        panel.barh(y, noise / one, **bar)
        text = f" {totals[moment, name]:.2f}"
        panel.text(totals[moment, name], y, text, va="center")
        ticks.append((y, name))
        y -= 1
    words = {"start": "before training"}.get(moment, moment)
    panel.text(7.4, y + 3, words, ha="right", va="center", weight="bold")
    y -= 0.6
panel.set_yticks(*zip(*ticks, strict=True))
panel.set(xlim=(0, 7.5), xlabel="variance of the gradient / that of B")
panel.grid(False)
grey = plt.Rectangle((0, 0), 1, 1, color="0.75")
panel.legend([grey], ["from the minibatches"], loc="lower right")
plt.show()

# %% tags=["check"]
OBJECTIVES = {
    "A": vh.sgvb_a,
    "B": vh.sgvb_b,
    "path": vh.sticking_the_landing,
}
chosen = np.random.default_rng(0).permutation(60_000)[:800]
minibatch = vh.binarize(images.train[chosen[:100]], "threshold")
model.set_weights(start)
first = {
    name: gradient_variance(model, objective, minibatch)
    for name, objective in OBJECTIVES.items()
}


def summed(name, network):
    """Of the first minibatch, over all weights of one network."""
    paths = [v.path for v in network.trainable_variables]
    return sum(first[name][path].sum() for path in paths)


for name in ("A", "path"):
    vh.check(
        f"{name} / B, before training, first minibatch: as stored",
        summed(name, model.encoder) / summed("B", model.encoder),
        of_encoder("start", name)[0] / of_encoder("start", "B")[0],
        rtol=0.03,
    )
vh.check(
    "the decoder's gradient has the same noise with A, B and the path",
    [summed("A", model.decoder), summed("path", model.decoder)],
    summed("B", model.decoder),
    rtol=1e-3,
)
model.set_weights(trained)
later = ("after 1 epoch", "after 10 epochs")
of_a, of_path = (
    np.array([of_encoder(m, n) / of_encoder(m, "B") for m in later])
    for n in ("A", "path")
)
vh.check("later A / B is more than 1", of_a, 1, relation=">")
vh.check("but less than 1.4", of_a, 1.4, relation="<")
vh.check("and path / B is about a half", of_path, 0.5, atol=0.15)

# %% [markdown]
# Each bar is grey for the minibatches and coloured for $\varepsilon$. Eight minibatches tell the grey part only roughly.
#
# - **Before training** A's noise drowns everything: six times the variance in all. The path is noisier than B as well.
# - **Later** the choice between A and B moves the total by a few per cent. The path halves the coloured part, and takes a third off the total.
# - **The decoder** does not care: with the same $\varepsilon$ its gradient is the same, number for number.
#
# A fourth estimator, the naive score function of chapter 1, scatters far more than these three.
#
# On the book's web page you can throw all four, on the model of chapter 1 with one latent dimension. Begin with "close": near the posterior the path is the quietest. Then try "far off".
#
# <div class="throw-dice"><em>(Here the four estimates can be thrown like dice, where the page may run JavaScript. The bars above show three of them.)</em></div>
#
# ## 4.5 Other networks
#
# Is one network typical? The noise of $\varepsilon$ alone, the coloured part, was measured on four: the dense network, and the convolutional one of [chapter 3](03_conv_vae.ipynb), each with $J = 2$ and $J = 20$. All were trained with B from three seeds, the dense ones for thirty epochs, the convolutional ones for ten. The page reads what `experiments/gradients.py` stored.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Four panels, one for each network, one above the other: variance relative to B on a logarithmic axis, in three rows, before training, after one epoch and at the end, three dots a row for three trainings. A's gradient begins at 3 to 131 and then lies at B's line or just right of it. The path's gradient begins at 0.8 to 3 and later lies at 0.2 to 0.65. The value of A and the path begins at 0.9 to 6 and later lies at 0.66 to 0.95."}}
NETWORKS = {
    "dense, J = 2": "mlp-j2",
    "dense, J = 20": "mlp-j20",
    "convolutional, J = 2": "conv-j2",
    "convolutional, J = 20": "conv-j20",
}
SEEDS = (0, 1, 2)
STAGES = {"start": "before", "middle": "1 epoch", "end": "end"}
SERIES = {
    "gradient, A": ("a", "encoder", "o", {"color": COLORS["A"]}),
    "gradient, path": ("path", "encoder", "o", {"color": COLORS["path"]}),
    "value, A and path": (
        "a",
        "value",
        "D",
        {"color": "0.35", "mfc": "none"},
    ),
}
figure, axes = plt.subplots(4, 1, figsize=(5, 7.6), sharex=True)
for panel, (label, network) in zip(axes, NETWORKS.items(), strict=True):
    for series, (key, part, mark, look) in SERIES.items():
        for seed in SEEDS:
            ratios = [
                stored_rows[network, seed, stage]["over_b"][key][part][0]
                for stage in STAGES
            ]
            rows = np.array([0, -1, -2]) + 0.2 * (1 - seed)
            of_all = series if seed == 0 else None
            panel.plot(ratios, rows, mark, ms=6, label=of_all, **look)
    panel.axvline(1, color=COLORS["B"], lw=2.5)
    panel.set_yticks([0, -1, -2], STAGES.values())
    panel.set(title=label, xscale="log", ylim=(-2.5, 0.5))
    panel.set_xticks(
        [0.2, 0.5, 1, 2, 5, 20, 100], ["0.2", "½", *"125", "20", "100"]
    )
    panel.minorticks_off()
axes[-1].set_xlabel("variance / that of B (the blue line)")
figure.legend(
    *axes[0].get_legend_handles_labels(), loc="outside upper left"
)
plt.show()


# %% tags=["check"]
def every(key, part, stages, which=0, networks=None):
    """Ratios to B in all trainings: middle, or a side of the interval."""
    return [
        stored_rows[network, seed, stage]["over_b"][key][part][which]
        for network in networks or NETWORKS.values()
        for seed in SEEDS
        for stage in stages
    ]


LOW, HIGH, ONE = 1, 2, 1.0
after = ("middle", "end")
of_two = [NETWORKS[label] for label in NETWORKS if "J = 20" not in label]
of_dense = ["mlp-j2", "mlp-j20"]
for claim, found, relation in (
    (
        "gradient: before training A / B is more than 1, in every training",
        every("a", "encoder", ["start"], LOW),
        ">",
    ),
    (
        "from the first epoch on path / B is less than 1",
        every("path", "encoder", after, HIGH),
        "<",
    ),
    ("and A / B of the value", every("a", "value", after, HIGH), "<"),
    (
        "which before training is more than 1, in the dense networks",
        every("a", "value", ["start"], LOW, of_dense),
        ">",
    ),
):
    vh.check(claim, found, ONE, relation=relation)
for claim, found, limit, relation in (
    ("before training A / B", every("a", "encoder", ["start"]), 3.3, ">"),
    ("and", every("a", "encoder", ["start"]), 131.5, "<"),
    (
        "after one epoch path / B",
        every("path", "encoder", ["middle"]),
        0.655,
        "<",
    ),
    ("later A / B", every("a", "encoder", after), 1.135, "<"),
    (
        "with J = 2, later A / B",
        every("a", "encoder", after, networks=of_two),
        1.02,
        "<",
    ),
    ("at the end path / B", every("path", "encoder", ["end"]), 0.525, "<"),
    (
        "the value at the end, A / B",
        every("a", "value", ["end"]),
        0.955,
        "<",
    ),
):
    vh.check(claim, found, limit, relation=relation)

# %% [markdown]
# Each dot is one training: three seeds for each network. The variance of A's gradient for the encoder, as a multiple of B's:

# %% tags=["plumbing", "exact"]
rows = []
for label, network in NETWORKS.items():
    three = [every("a", "encoder", [s], 0, [network]) for s in STAGES]
    before, *later = [(min(found), max(found)) for found in three]
    ranges = [f"{before[0]:.0f} to {before[1]:.0f}"]
    ranges += [f"{low:.3f} to {high:.3f}" for low, high in later]
    rows.append([label, *ranges])
vh.table(["A / B", "before training", "after 1 epoch", "at the end"], rows)

# %% [markdown]
# **Before training A's gradient is far noisier. How much depends on the network and on its random weights:** in three starts of the convolutional one with $J = 2$ it has 3, 8 and 17 times the variance of B's. **Later the trainings of a network agree about A.** It has 1 to 13 per cent more after one epoch and about 4 per cent at most at the end, with $J = 2$ never more than 2 per cent. The path has 0.2 to 0.65 of B's variance after one epoch and 0.4 to 0.5 at the end. The variance of A's value is 5 to 34 per cent below B's at the end. The tables, part by part, are on [the page on the variance of gradients](19_gradient_variance.ipynb).
#
# ## 4.6 Does training notice?
#
# Less noise is not yet better training. So train, twice over:
#
# - **dense**, smaller than before: one hidden layer of 256 units, $J = 20$, minibatches of 100, five epochs;
# - **S1**, the convolutional network of chapter 3: $J = 2$, minibatches of 32, ten epochs.
#
# Each was trained with A, B and the path from five seeds. For one seed the three start from the same weights, see the same minibatches and draw the same $\varepsilon$. So their differences are *paired*: what the runs still have in common drops out. The bars are 95% intervals over the five.

# %% tags=["plumbing"]
dense = {name: vh.stored(f"dense-{KEYS[name]}") for name in ESTIMATORS}
s1 = {
    "A": vh.stored("s1-threshold") + vh.stored("s1-a"),
    "B": vh.stored("s1-b"),
    "path": vh.stored("s1-path"),
}
curves = {
    "dense": {
        name: np.array([run["test_elbo_b_by_epoch"] for run in runs])
        for name, runs in dense.items()
    },
    "S1": {
        name: np.array([run["test_elbo_by_epoch"] for run in runs])
        for name, runs in s1.items()
    },
}  # [seeds, epochs]
final = {
    "dense": {name: of[:, -1] for name, of in curves["dense"].items()},
    "S1": {
        name: np.array([run["test_elbo_on"]["threshold"] for run in runs])
        for name, runs in s1.items()
    },
}

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels, one above the other: test ELBO less that of B, with intervals, against the epoch. Above, dense, five epochs: A lies 0.1 to 0.3 nats below zero and its intervals contain it; the path lies 0.4 to 0.7 above and its intervals exclude zero. Below, S1, ten epochs: intervals half a nat to two nats to either side, all contain zero."}}
figure, axes = plt.subplots(2, 1, figsize=(5, 5.6))
for panel, (setting, by_name) in zip(axes, curves.items(), strict=True):
    epochs = np.arange(1, by_name["B"].shape[1] + 1)
    for shift, name in ((-0.08, "A"), (0.08, "path")):
        apart = (by_name[name] - by_name["B"]).T
        middle, half = np.transpose([interval(values) for values in apart])
        look = {"color": COLORS[name], "label": f"{name} − B", "fmt": "o-"}
        panel.errorbar(epochs + shift, middle, yerr=half, ms=5, **look)
    panel.axhline(0, color=COLORS["B"], lw=2.5)
    panel.set(title=setting, ylabel="test ELBO less B's, nats")
    panel.set_xticks(epochs)
axes[0].legend(loc="lower right", ncols=2)
axes[0].set_ylim(-1.6, None)
axes[1].set_xlabel("epoch")
plt.show()

# %% tags=["plumbing", "exact"]
PAIRS = (("B", "A"), ("path", "A"), ("path", "B"))
rows = [
    [
        f"{one} − {other}",
        interval(final["dense"][one] - final["dense"][other]),
        interval(final["S1"][one] - final["S1"][other]),
    ]
    for one, other in PAIRS
]
heads = ["test ELBO at the end, nats", "dense", "S1"]
vh.table(heads, rows)

# %% tags=["check"]
vae = vh.mlp_vae(latent_dim=20, hidden=(256,), seed=0)
vae.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_a)
training = vh.batches(images.train, 100, "threshold", seed=0)
vae.fit(training, epochs=1, verbose=0)
vh.check(
    "A, seed 0, trained again for an epoch: test ELBO as stored",
    vh.elbo(vae, x_test),
    curves["dense"]["A"][0, 0],
    atol=1,
)
an_epoch = [*load("estimators-seconds")["estimators_an_epoch"].values()]
vh.check(
    "an epoch: the slowest over the fastest of the three",
    max(an_epoch) / min(an_epoch),
    1.15,
    relation="<",
)
by_b = curves["dense"]["B"].mean(axis=0)
vh.check(
    "dense: half of what B gains in its last epoch, and path − B",
    0.5 * (by_b[-1] - by_b[-2]),
    final["dense"]["path"].mean() - final["dense"]["B"].mean(),
    relation=">",
)
vh.check(
    "dense: A and B end within a nat of each other",
    final["dense"]["B"].mean(),
    final["dense"]["A"].mean(),
    atol=1,
)
difference, half = interval(final["dense"]["path"] - final["dense"]["A"])
vh.check(
    "the interval of path − A excludes zero", difference, half, relation=">"
)
for one, other in PAIRS:
    difference, half = interval(final["S1"][one] - final["S1"][other])
    vh.check(
        f"S1: the interval of {one} − {other} contains zero",
        abs(difference),
        half,
        relation="<",
    )

# %% [markdown]
# A and B cannot be told apart in either. In the dense network the path ends about half a nat ahead of A. In S1 it does not: two of its five runs fell behind, and nobody can say from five seeds whether that is more than chance.
#
# And the clock? Timed once, an epoch with B took a tenth less than with A or the path. So in the time of five epochs B trains half an epoch more, worth about the path's lead. Either will do.
#
# > **Note.** Three comparisons are made on each network. With intervals widened for that, path − A in the dense network still excludes zero and path − B does not. Levels, widened intervals and what pairing brings are on [the page on the variance of gradients](19_gradient_variance.ipynb).
#
# ## 4.7 More draws? A tighter bound?
#
# **Draws or images?** An update that decodes 100 $z$ can take 100 images with one draw each, or 20 images with five. Another image lowers both noises of section 4.4, another draw for the same image only one. So one draw should win, and in training it did: with five draws the test ELBO ends 2.4 ± 0.6 nats lower. The time saved by fewer images does not make up for it, as [the page on draws and images](20_draws_or_images.ipynb) shows.
#
# **A tighter bound?** With $k$ draws you can also take the logarithm *after* the average: the importance-weighted bound (IWAE). It lies nearer to $\log p(x)$, but in a short training no gain could be seen beyond that of its draws. With five draws each, IWAE ended 0.15 ± 0.71 nats of $\log p(x)$ above A. In about the same seconds A with one draw ended 2.3 ± 0.5 ahead of IWAE. ($\log p(x)$ is estimated by 500 draws. That is too low by a nat or so, perhaps not by the same for both: a gain of a nat cannot be excluded. A's run took six seconds more, worth at most 0.6 nats.) [The page on tighter bounds](18_tighter_bounds.ipynb) has the theory, a repair called DReG that did better, and the long training of the literature.

# %% tags=["check"]
budget = {
    (draws, count): vh.stored(f"budget-l{draws}-m{count}")
    for draws, count in ((1, 100), (5, 20))
}
of_draws = interval(
    np.subtract(
        *[[r["test_elbo"] for r in budget[k]] for k in ((5, 20), (1, 100))]
    )
)
tight = {
    name: np.array([r["test_log_likelihood_500"] for r in vh.stored(name)])
    for name in ("a-k5", "iwae-k5", "iwae-k1-13")
}
bound = interval(tight["iwae-k5"] - tight["a-k5"])
same_time = interval(tight["iwae-k1-13"] - tight["iwae-k5"])
measured_here = (of_draws, bound, same_time)
claims = ((-2.4, 0.6, 1), (0.15, 0.71, 2), (2.3, 0.5, 1))
for claim, (difference, half), (says, says_half, digits) in zip(
    (
        "five draws of 20 images less one of 100, nats",
        "IWAE less A, five draws each, nats",
        "A, one draw and 13 epochs, less IWAE, nats",
    ),
    measured_here,
    claims,
    strict=True,
):
    vh.check(claim, difference, says, atol=0.5 * 10**-digits)
    assert round(half, digits) == says_half
assert sum(of_draws) < 0 < same_time[0] - same_time[1]

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three dots with 95% intervals on an axis of nats, with a line at zero. Five draws less one: −2.4, well below zero. IWAE less A with five draws each: 0.15, the interval contains zero. A with one draw less IWAE in about the same seconds: 2.3, well above zero."}}
figure, panel = plt.subplots(figsize=(5, 2.6))
names = (
    "5 draws − 1 draw,\nas many z",
    "IWAE − A,\n5 draws each",
    "A − IWAE,\nas many seconds",
)
middle, half = np.transpose(measured_here)
panel.errorbar(middle, [2, 1, 0], xerr=half, fmt="o", color="black")
panel.axvline(0, color="0.5")
panel.set_yticks([2, 1, 0], names)
panel.set(xlabel="nats, more is better", ylim=(-0.5, 2.5), xlim=(-4, 4))
plt.show()

# %% [markdown]
# ## 4.8 Verdict
#
# **Train with B or with the path, and one draw; report the bound with A.**
#
# - **For the number that you report**, `vh.elbo(model, x, objective=vh.sgvb_a)`, A is quieter once the encoder has learnt something: by $\mathrm{Var}(\Delta)$ at a stationary point (section 4.2), by 5 to 34 per cent in four trained networks (section 4.5). If TFP's notebook means the value, it is right.
# - **For the gradient by $\mu$**, B is quieter than A at every stationary point with $\sigma_j^2 < 2$ (section 4.3); in the four networks, at the end, by 0.1 to 3 per cent. If the paper means the gradient, its "typically" fits: by $\sigma$ there are exceptions.
# - **How much?** A's gradient begins at 3 to 131 times B's variance, and after one epoch has 1 to 13 per cent more (section 4.5). In the test ELBO B − A is 0.2 ± 0.4 nats with the dense network, and −0.1 ± 0.4 with S1 (section 4.6).
# - **Quieter than both**, after the first epoch, is the path: at the end it has 0.4 to 0.5 of B's variance in the encoder (section 4.5). It ended half a nat ahead of A in one training, and not in the other (section 4.6).
# - **More draws, or a tighter bound**, did not pay for their seconds in a short training (section 4.7).
# - **Not measured**: the bound that A, B and the path end with after more than ten epochs, Adam's step size tuned for each, a change of estimator within a run.
#
# ## What we measured
#
# Ranges go from the smallest to the largest of twelve trainings, three of each network; ratios and differences of variance are of the noise of $\varepsilon$ alone. The *μ head* and the *σ head* are the halves of the encoder's last layer that make $\mu$ and $\log \sigma^2$.


# %% tags=["plumbing", "exact"]
def span(key, part, stage):
    """Smallest and largest ratio to B over the trainings."""
    found = every(key, part, [stage])
    digits = 0 if stage == "start" else 2
    return f"{min(found):.{digits}f} to {max(found):.{digits}f}"


def apart(setting, one, other):
    values = final[setting]
    mean, half = interval(values[one] - values[other])
    return f"{mean:+.2f} ± {half:.2f}".replace("-", "−")


a, b, _ = measured["encoder, after 10 epochs"]
mean, half = interval(b - a)
S4 = "not measured (S4)"
summary = [
    [
        "value, Var B − Var A, nats²",
        f"{mean:.1f} ± {half:.1f}",
        "A less (TFP)",
    ],
    ["value, Var A / Var B at the end", span("a", "value", "end"), "—"],
    [
        "μ head, A / B at the end",
        span("a", "mu", "end"),
        "B less (paper)",
    ],
    [
        "σ head, A / B at the end",
        span("a", "scale", "end"),
        "the same",
    ],
    ["encoder, A / B before training", span("a", "encoder", "start"), "—"],
    ["encoder, path / B at the end", span("path", "encoder", "end"), "—"],
    ["dense, B − A, nats", apart("dense", "B", "A"), S4],
    ["dense, path − A, nats", apart("dense", "path", "A"), "—"],
    ["S1, B − A, nats", apart("S1", "B", "A"), S4],
    [
        "S1, path − A, nats",
        apart("S1", "path", "A"),
        "—",
    ],
]
vh.table(["thresholded MNIST", "here", "published"], summary)

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ### What was known, and what is new here
#
# Known: A, B and a form with a closed entropy stand side by side in [Roeder, Wu & Duvenaud (2017)](../book/bibliography.md), with the remark that A's value has no noise where $q$ is exact. A closed form for a term of the bound acts as a control variate, a correction of mean zero, for that term's estimate ([Geffner & Domke 2018](../book/bibliography.md)). The path has been compared with an estimator whose entropy is in closed form ([Kim, Ma & Gardner 2024](../book/bibliography.md)): where $q$ is the posterior, only the path's noise vanishes. For a Gaussian $q$ that estimator has the gradient of A, since $-\log q(z)$ is $\log \sigma_j$ plus a function of $\varepsilon_j$. So those papers compare A with the path. New, as far as we know, is what holds where $q$ is *not* exact, (4.4) and (4.8), and its measurement on trained networks.
#
# A long training exists for A and the path, one run of each: after 3,280 epochs of another network on other digits one reproduction reports $\log p(x) = -86.35$ with A and $-86.08$ with the path, which is DReG with one draw ([nbip/IWAE on GitHub](https://github.com/nbip/IWAE)).
#
# ## In this chapter you have seen
#
# - that where $q$ is stationary A has the quieter value, for any decoder, and B the quieter gradient by $\mu$ as long as $\sigma_j^2 < 2$, with proof;
# - that A, B and the path are one family in the gradient by $\mu$, and that the path is its best member there;
# - that after the first epoch about a third or more of the noise of the encoder's gradient comes from the minibatch, whatever the estimator;
# - that paired training runs with five seeds cannot tell A from B;
# - which estimator to train with, which to report, and how little it matters.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. A dimension that is not used** (10 min, by hand). In one latent dimension the decoder ignores $z_j$, and $\mu_j = 0$, $\sigma_j = 1$. Section 4.3 says how much the gradients of A and B by $\mu_j$ scatter there. Derive it by differentiating $\widetilde{\mathcal{L}}_A$ and $\widetilde{\mathcal{L}}_B$ with $z_j = \mu_j + \sigma_j \varepsilon_j$, and do the same for the path, and for all three by $\sigma_j$. Ten of twenty dimensions are unused: how much variance does A add in all?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Here $\partial_j f = 0$ and $z_j = \varepsilon_j$. By $\mu_j$: A has $-z_j = -\varepsilon_j$, with variance 1; B has $-\mu_j = 0$; the path has $-z_j + \varepsilon_j / \sigma_j = 0$. By $\sigma_j$: A has $-z_j \varepsilon_j + 1/\sigma_j = 1 - \varepsilon_j^2$, with variance 2; B has $1/\sigma_j - \sigma_j = 0$; the path has 0. So A adds $1 + 2$ for each of the ten, 30 in all, where B and the path add nothing.
#
# </details>

# %% tags=["solution"]
noise = np.random.default_rng(0).standard_normal(1_000_000)
vh.check(
    "A's variance by μ and by σ in ten unused dimensions",
    10 * (np.var(-noise) + np.var(1 - noise**2)),
    30,
    atol=0.2,
)

# %% [markdown] tags=["exercise"]
# **2. A limit for Var(Δ)** (15 min, by hand). In one latent dimension let the posteriors of all images have the same $\sigma$, and let their $\mu$ have mean zero over the images. Suppose that the *aggregate* posterior, the mixture of all of them, has variance 1, like the prior. What is $\mathrm{Var}(\Delta)$ on average over the images? How large can it get?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The variance of a mixture is the mean variance plus the variance of the means: $1 = \sigma^2 + \mathbb{E}[\mu^2]$. So by (4.1) the average is $(1 - \sigma^2) \sigma^2 + \frac12 (1 - \sigma^2)^2 = \frac12 (1 - \sigma^2)(1 + \sigma^2) = \frac12 (1 - \sigma^4)$. It grows as the posteriors get narrower, and stays below half a nat². An unused dimension, $\sigma = 1$, adds nothing.
#
# </details>

# %% tags=["solution"]
sigma = np.array([0.1, 0.5, 0.9])
random = np.random.default_rng(0)
codes = np.sqrt(1 - sigma**2) * random.standard_normal((1_000_000, 3))
vh.check(
    "Var Δ, averaged over a million images, is ½ (1 − σ⁴)",
    variance_of_delta(codes, sigma).mean(axis=0),
    0.5 * (1 - sigma**4),
    atol=2e-3,
)

# %% [markdown] tags=["exercise"]
# **3. The quietest value** (10 min, by hand). For the gradient by $\mu$ the best member of the family was the path. Which multiple $c$ makes the *value* $\widetilde{\mathcal{L}}_B + c \Delta$ quietest at a stationary point?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The variance is $\mathrm{Var}(f) + 2 c \, \mathrm{Cov}(f, \Delta) + c^2 \mathrm{Var}(\Delta)$. At a stationary point the covariance is $-\mathrm{Var}(\Delta)$ by (4.4), so the minimum is at $c = 1$: estimator A. In the language of Monte Carlo, $\Delta$ is a *control variate* for B, and A is B with the best coefficient.
#
# </details>

# %% tags=["solution"]
f, _, noise = draw(*own, seed=0)
of_delta = delta(*own, noise).sum(axis=-1)
covariance = np.mean((f - f.mean(axis=0)) * of_delta, axis=0)
vh.check(
    "own Gaussians after one epoch: the best c of the value",
    -covariance.mean() / of_delta.var(axis=0).mean(),
    1,
    atol=0.1,
)

# %% [markdown] tags=["exercise"]
# **4. A toy whose h you know** (15 min, by code). Let $f(z) = -\frac14 z^4$ in one dimension, with the slope $-z^3$, and $q = \mathcal{N}(0.3, 0.5^2)$. Write `excess`, the variance of A's gradient by $\mu$ less that of B's, estimated from a million draws. By (4.7) it should be $\sigma^2 (1 - 2h)$: what is $h$ here?


# %% tags=["exercise", "exact"]
def excess(mean, scale, draws=1_000_000):
    """Var A − Var B of the gradient by μ, for the slope −z³."""
    # np.random.default_rng(0).standard_normal(draws) gives the noise.
    return ...  # your lines


print("yours:", excess(0.3, 0.5), "expected: about 0.76")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# A's gradient is $-z^3 - z$, B's is $-z^3 - \mu$. By Stein's lemma $h = \mathbb{E}[f''(z)] = -3 \, \mathbb{E}[z^2] = -3 (\mu^2 + \sigma^2) = -1.02$. So the excess is $0.25 \cdot (1 + 2.04) = 0.76$.
#
# </details>


# %% tags=["solution"]
def excess(mean, scale, draws=1_000_000):
    noise = np.random.default_rng(0).standard_normal(draws)
    z = mean + scale * noise
    return np.var(-(z**3) - z) - np.var(-(z**3) - mean)


h = -3 * (0.3**2 + 0.5**2)
vh.check("σ² (1 − 2h)", 0.5**2 * (1 - 2 * h), 0.76, atol=0.005)
vh.check("from the draws", excess(0.3, 0.5), 0.76, atol=0.01)

# %% [markdown] tags=["exercise"]
# **5. Where the path loses** (15 min, by hand). Away from a stationary point the path need not win. Let $\sigma_j$ be smaller than its stationary value $s_j$, and suppose that $h_j$ stays as it was at $s_j$. Below which $\sigma_j$ does the path scatter more than A in the gradient by $\mu_j$?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# By (4.7) the variance of the path less that of A is $1/\sigma_j^2 + 2 (h_j - 1)$. At the stationary value $h_j = 1 - 1/s_j^2$. With this $h_j$ held fixed the difference is $1/\sigma_j^2 - 2/s_j^2$: positive as soon as $\sigma_j < s_j / \sqrt{2}$. On a real decoder $h_j$ moves with $\sigma_j$, so the factor shifts. The cell below multiplies the $\sigma$ of the images' own Gaussians by 0.9 and by 0.5.
#
# </details>

# %% tags=["solution"]
model.set_weights(trained)
for factor in (0.9, 0.5):
    mean, scale = own[0], np.float32(factor) * own[1]
    _, slope, noise = draw(mean, scale, seed=1)
    of_path, of_a = (
        member(c, slope, mean, scale, noise).var(axis=0).mean()
        for c in (1 - 1 / scale**2, 1)
    )
    vh.check(
        f"σ times {factor}: the variance of the path over that of A",
        of_path / of_a,
        1,
        relation="<" if factor**2 > 0.5 else ">",
    )

# %% [markdown] tags=["exercise"]
# **6. The family as an objective** (20 min, by code). Write `mixed(c)`, a function that returns an objective with the value $\widetilde{\mathcal{L}}_B + c \Delta$. With $c = 0$ and $c = 1$ it must agree with `vh.sgvb_b` and `vh.sgvb_a`. Why is the path not among its gradients?


# %% tags=["exercise", "exact"]
def mixed(c):
    """An objective with the value of B plus c Δ, for each image."""

    def objective(model, x, samples=1):
        # q = model.posterior(x)
        # z = q.sample(samples, seed=model.next_seed()): [samples, n, J].
        # The terms: model.likelihood(z).log_prob(x), q.log_prob(z),
        # model.prior.log_prob(z) and q.kl_divergence(model.prior).
        return ...  # your lines

    return objective


with model.using(keras.random.SeedGenerator(7)):
    yours = mixed(1.0)(model, x)
a = value(vh.sgvb_a, 7)
is_a = yours is not ... and np.allclose(yours, a, atol=2e-3)
print("yours is A for c = 1:", is_a, "expected: True")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The line is `tf.reduce_mean(f - kl + c * delta, axis=0)`, with the `delta` of the cell below. For the gradient by $\mu_j$ the path needs a $c$ of its own for each image and dimension, $1 - 1/\sigma_j^2$; no fixed $c$ does that. By $\sigma_j$ it is no member at all, unless $\mu_j = 0$: the term in $\varepsilon_j$ would need $c = 1$, the term in $\varepsilon_j^2$ would need $c = 1 - 1/\sigma_j^2$.
#
# </details>


# %% tags=["solution"]
def mixed(c):
    def objective(model, x, samples=1):
        q = model.posterior(x)
        z = q.sample(samples, seed=model.next_seed())
        kl = q.kl_divergence(model.prior)
        delta = kl - (q.log_prob(z) - model.prior.log_prob(z))
        f = model.likelihood(z).log_prob(x)
        return tf.reduce_mean(f - kl + c * delta, axis=0)

    return objective


for c, name in ((0.0, "B"), (1.0, "A")):
    vh.check(
        f"mixed({c:.0f}) is {name}",
        value(mixed(c), 7),
        value(OBJECTIVES[name], 7),
        atol=2e-3,
    )

# %% [markdown] tags=["exercise"]
# **7. Both are right** (10 min, open). The paper says that B "typically" has less variance, the notebook that the sampled form has less. Write one sentence for each that makes it true, and name a condition under which it fails.

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# For example: "The *gradient* by $\mu$ has less variance with B wherever $h_j < \frac12$, so wherever the log-likelihood is concave on average; where it curves upwards, A can be quieter." And: "The *value* has less variance with A near a stationary $q$; where the decoder ignores $z$, B's is quieter." Other conditions are possible, if they name what varies, value or gradient, and the state of training.
#
# </details>

# %% [markdown]
# ## What to read next
#
# - [The quiz of this chapter](../book/quizzes.md#chapter-4) asks what you take along, and explains every answer.
# - [Chapter 5](05_animations.ipynb) shows the reparameterisation trick in motion, and why a gradient is quiet when the noise stays fixed.
# - [The variance of a gradient](19_gradient_variance.ipynb): the gradient by $\sigma$, and all tables of this chapter's networks.
# - [Draws or images?](20_draws_or_images.ipynb) and [Do tighter bounds train better?](18_tighter_bounds.ipynb)
# - [Roeder, Wu & Duvenaud 2017](../book/bibliography.md) on the path gradient; [Mohamed et al. 2020](../book/bibliography.md) on Monte Carlo gradients in general.
