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
# # 4. SGVB-A or SGVB-B?
#
# **Train with estimator B and one draw.** It takes no more seconds than A, and the encoder's gradient is quieter: before training A has 7 to 40 times its variance, later between 3 per cent less and 25 per cent more. Training hardly notices: with five seeds B and A could not be told apart (B − A: 0.2 ± 0.4 nats, a 95% interval). For the number that you *print* A is the quieter one once the network is trained, by 5 to 31 per cent. The path estimator, a third one, is quieter than both once training is under way, and as good a choice.
#
# The paper that began it all has the two estimators of the same bound. A samples everything; B does the KL divergence by formula and samples the rest. The paper says that B "typically" has less variance. A notebook of TensorFlow Probability on variational inference says that the sampled form has less. One of the [five write-ups](../book/intro.md) behind this book (S4) takes another's network, replaces A by B, and measures nothing. This chapter measures: first with a theorem that holds for every decoder, then on networks while they train. Both statements can be right, each about something else.
#
# **What you will be able to do**
#
# - say where A is quieter than B and where B is quieter than A, for the value and for the gradient, and prove it;
# - read the gradients of A, B and a third estimator by $\mu$ as one family, with one number to choose for each coordinate, and say which number is best;
# - measure the variance of a gradient, by parts of the network, with an interval, and say how many draws are worth their time;
# - compare estimators in training: same weights, same data, same noise, several seeds, and an interval for the difference;
# - say what a tighter bound does to the gradients of encoder and decoder, and derive the repair;
# - decide what to use.
#
# **What it takes.** One to three minutes on two CPU cores (the last cell says what the run on this page took), and about 2 GiB of memory. What takes longer has been run by scripts in `experiments/`; the page shows what they stored, and measures a point of each again. You need sections 1.3 to 1.5 of [chapter 1](01_theory.ipynb), where the estimators come from (for section 4.8 also the beginning of 1.8), and the first half of [chapter 2](02_mlp_vae.ipynb).

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

# %%
import vae_helpers as vh

import json
import math
import time
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from IPython.display import display
from scipy import stats

vh.use_book_style()
started = time.monotonic()
images = vh.load_mnist()
x_test = vh.binarize(images.test, "threshold")
COLORS = {
    "A": "#D55E00",
    "B": "#0072B2",
    "path": "#009E73",
    "score": "#999999",
    "IWAE": "#CC79A7",
    "DReG": "#882255",
}  # one colour an estimator, on the whole page
STORED = Path("../experiments/results")


def load(name):
    """What a script in experiments/ has stored."""
    return json.loads((STORED / f"{name}.json").read_text())


# %% tags=["plumbing"] mystnb={"image": {"alt": "Two groups of bars, the variance of A, B and the path relative to B on a logarithmic axis. On the left the value: before training A and the path at about 3, after 30 epochs at 0.7. On the right the encoder's gradient: before training A at 13 and the path at 2.6, after 30 epochs A at 1.03 and the path at about one half."}}
dense = {
    row["stage"]: row["over_b"]
    for row in load("gradients-rows")["rows"]
    if (row["network"], row["seed"]) == ("mlp-j20", 0)
}
figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.9), sharey=True)
for panel, part in zip(axes, ("value", "encoder"), strict=True):
    for k, (name, key) in enumerate((("A", "a"), ("path", "path"))):
        ratio = [dense[stage][key][part][0] for stage in ("start", "end")]
        places = np.arange(2) + 0.3 * (k - 0.5)
        bars = {"height": np.subtract(ratio, 1), "bottom": 1, "width": 0.28}
        panel.bar(places, **bars, color=COLORS[name], label=name)
    panel.axhline(1, color=COLORS["B"], lw=2, label="B")
    panel.set_yscale("log")
    panel.set_yticks([0.5, 1, 2, 5, 10], ["½", "1", "2", "5", "10"])
    panel.minorticks_off()
    panel.set_xticks((0, 1), ["before training", "after 30 epochs"])
axes[0].set(title="the value", ylabel="variance / that of B")
axes[1].set(title="the encoder's gradient")
axes[1].legend()
plt.show()

# %% [markdown]
# A bar above the line is a variance larger than B's, one below it a smaller one. The dense network of section 4.5 with $J = 20$, one draw.
#
# ## 4.1 The question
#
# Let $q = \mathcal{N}(\mu, \mathrm{diag}\, \sigma^2)$ be what the encoder says about an image $x$, and draw $z = \mu + \sigma \varepsilon$. Write $f(z) = \log p_\theta(x \mid z)$ for the reconstruction term. With one draw, $L = 1$, the estimators of [section 1.5](01_theory.ipynb) are
#
# $$
# \widetilde{\mathcal{L}}_A = f(z) + \log p(z) - \log q(z), \qquad \widetilde{\mathcal{L}}_B = f(z) - \mathrm{KL}(q \Vert p). \tag{4.1}
# $$
#
# Both have the ELBO as their mean. With the same $\varepsilon$ they differ by a quantity that does not contain the decoder (equation 1.29; the dimensions $j = 1 \dots J$ add):
#
# $$
# \widetilde{\mathcal{L}}_A - \widetilde{\mathcal{L}}_B = \Delta = \sum_j \left( -\mu_j \sigma_j \varepsilon_j + \tfrac{1}{2} (1 - \sigma_j^2)(\varepsilon_j^2 - 1) \right), \qquad \mathrm{Var}(\Delta) = \sum_j \left( \mu_j^2 \sigma_j^2 + \tfrac{1}{2} (1 - \sigma_j^2)^2 \right). \tag{4.2}
# $$
#
# In the package they are `vh.sgvb_a` and `vh.sgvb_b`. A third one, `vh.sticking_the_landing`, has the value of A, but its gradient leaves out a term of mean zero; here it is called the *path* estimator ([Roeder, Wu & Duvenaud 2017](../book/bibliography.md)). A fourth, `vh.score_function`, is the naive gradient of section 1.3. Check (4.2) image by image, on a network with its initial weights.

# %%
model = vh.mlp_vae(latent_dim=20, seed=0)
x = x_test[:50]


def delta(mean, scale, noise):
    """Δ of (4.2), a term for each latent dimension."""
    return -mean * scale * noise + 0.5 * (1 - scale**2) * (noise**2 - 1)


def variance_of_delta(mean, scale):
    """Var(Δ) of (4.2), likewise."""
    return mean**2 * scale**2 + 0.5 * (1 - scale**2) ** 2


def value(objective, seed):
    """The objective of each image of x, with the noise of `seed`."""
    with model.using(keras.random.SeedGenerator(seed)):
        return objective(model, x).numpy()


# %% tags=["check"]
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
    "A − B is Δ of (4.2), image by image",
    of_a - of_b,
    delta(mean, scale, noise).sum(axis=1),
    atol=2e-3,
)
vh.check("the path estimator has the value of A", of_path, of_a, atol=1e-3)

# %% [markdown]
# The tolerance is that of 32-bit sums of some five hundred nats. So the decoder cancels in the *difference*. It does not cancel in the comparison of variances, because it decides how $\Delta$ goes together with the rest:
#
# $$
# \mathrm{Var}(\widetilde{\mathcal{L}}_A) - \mathrm{Var}(\widetilde{\mathcal{L}}_B) = \mathrm{Var}(\Delta) + 2 \, \mathrm{Cov}(f, \Delta). \tag{4.3}
# $$
#
# Chapter 1 stopped here. It found that B is quieter if the decoder ignores $z$ (then the covariance is zero), and that A has no variance at all where $q$ is the exact posterior. A network in training is neither. What can you say about it?
#
# ## 4.2 The value: a theorem for every decoder
#
# One identity about Gaussian noise does the work, used twice. For a continuous function $g$ that is smooth but for kinks (networks with ReLU are), *Stein's lemma* says
#
# $$
# \mathbb{E}[\varepsilon_j \, g(\varepsilon)] = \mathbb{E}[\partial_j g], \qquad \text{and with } \varepsilon_j g \text{ in place of } g: \qquad \mathbb{E}[(\varepsilon_j^2 - 1) \, g(\varepsilon)] = \mathbb{E}[\varepsilon_j \, \partial_j g]. \tag{4.4}
# $$
#
# *Proof.* The density $\varphi$ of $\varepsilon_j$ has the derivative $-\varepsilon_j \varphi$. Integrate $\varepsilon_j \varphi \, g$ by parts. For the second form, the derivative of $\varepsilon_j g$ is $g + \varepsilon_j \partial_j g$. (Here $\partial_j$ is by $\varepsilon_j$; below, $\partial_j f$ is by $z_j$.)
#
# Put $g(\varepsilon) = f(\mu + \sigma\varepsilon)$, whose derivative is $\sigma_j \partial_j f$, into $\mathrm{Cov}(f, \Delta) = \mathbb{E}[f \Delta]$ with (4.2):
#
# $$
# \mathrm{Cov}(f, \Delta) = \sum_j \left( -\mu_j \sigma_j^2 \, \mathbb{E}[\partial_j f] + \tfrac{1}{2} (1 - \sigma_j^2) \sigma_j^2 \, h_j \right), \qquad h_j = \frac{1}{\sigma_j} \mathbb{E}[\varepsilon_j \, \partial_j f]. \tag{4.5}
# $$
#
# If $f$ has a second derivative, then $h_j = \mathbb{E}[\partial_j^2 f]$, by Stein's lemma once more: the mean curvature of the log-likelihood. The same two averages stand in the gradient of the ELBO itself. By (1.24) for $f$, and with the derivatives of $-\mathrm{KL} = \frac12 \sum_j (1 + \log \sigma_j^2 - \mu_j^2 - \sigma_j^2)$,
#
# $$
# \frac{\partial \mathcal{L}}{\partial \mu_j} = \mathbb{E}[\partial_j f] - \mu_j, \qquad \frac{\partial \mathcal{L}}{\partial \sigma_j} = \sigma_j \, h_j + \frac{1}{\sigma_j} - \sigma_j . \tag{4.6}
# $$
#
# Now suppose that $q$ is as good as it can get, so that both derivatives are zero in every coordinate. Then $\mathbb{E}[\partial_j f] = \mu_j$ and $h_j = 1 - 1/\sigma_j^2$, *whatever the decoder*. Insert them into (4.5). Term by term it becomes the negative of (4.2):
#
# $$
# \mathrm{Cov}(f, \Delta) = -\mathrm{Var}(\Delta), \qquad \text{hence} \qquad \mathrm{Var}(\widetilde{\mathcal{L}}_B) = \mathrm{Var}(\widetilde{\mathcal{L}}_A) + \mathrm{Var}(\Delta). \tag{4.7}
# $$
#
# So *at every stationary point of the bound in $\mu$ and $\sigma$, A has the quieter value*, by exactly $\mathrm{Var}(\Delta)$. The exact posterior of chapter 1 is the special case in which $\mathrm{Var}(\widetilde{\mathcal{L}}_A) = 0$.
#
# Two remarks before you test it. An encoder serves all images at once; a single image's $q$ is *near* a stationary point at best. And $\mathrm{Var}(\Delta)$, averaged over the images, stays bounded: a dimension that is not used ($\mu = 0$, $\sigma = 1$) adds nothing, and one that is used with a narrow $\sigma$ adds about $\frac12$ nat² (exercise 1 says under which conditions).
#
# For the test take the dense network of chapter 2 (hidden layers of 512 and 256 units) with $J = 20$ and train it with B for ten epochs. This page trains the first of them; `experiments/estimators.py` has trained all ten, measured at three moments what this section and the next two show, and stored it.

# %% tags=["nbval-ignore-output"]
model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
training = vh.batches(images.train, 100, "threshold", seed=0)
moments = {"start": model.get_weights()}
model.fit(training, epochs=1)
moments["after 1 epoch"] = model.get_weights()

# %% tags=["plumbing"]
kept = load("estimators-moments")
MACHINE = kept["provenance"]["machine"]

# %% [markdown]
# Now draw 2,000 $z$ for each of 50 test images. For each draw keep $f(z)$ and, for the next section, its gradient $\partial f / \partial z$.


# %%
@tf.function(jit_compile=True)
def reconstruction_and_gradient(z):
    """f(z) = log p(x | z) [draws, n], and its gradient [draws, n, J]."""
    with tf.GradientTape() as tape:
        tape.watch(z)
        f = model.likelihood(z).log_prob(x)
    return f, tape.gradient(f, z)


def draw(mean, scale, seed):
    """f, its gradient and ε, for 2,000 draws of z from N(mean, scale²)."""
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(40):
        noise = random.standard_normal((50, *mean.shape)).astype("float32")
        found = reconstruction_and_gradient(mean + scale * noise)
        parts.append((*found, noise))
    return [
        np.concatenate(p).astype(float) for p in zip(*parts, strict=True)
    ]


def value_variances(mean, scale):
    """For each image, over the noise: Var A, Var B; and Var(Δ)."""
    f, _, noise = draw(mean, scale, seed=0)
    a, b = f + delta(mean, scale, noise).sum(axis=-1), f  # + constants
    by_formula = variance_of_delta(mean, scale).sum(axis=-1)
    return a.var(axis=0, ddof=1), b.var(axis=0, ddof=1), by_formula


# %% [markdown]
# And a $q$ that *is* stationary: let each image have a Gaussian of its own, begin at the encoder's, and follow the gradient of the bound until it ends.


# %%
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


# %%
def encoded():
    """μ and σ of the images x by the encoder, [n, J] each."""
    q = model.posterior(x).distribution
    return q.loc.numpy(), q.scale.numpy()


gaussians = {}
for name, weights in moments.items():
    model.set_weights(weights)
    gaussians[f"encoder, {name}"] = (weights, *encoded())
improved = own_gaussians(*encoded())
gaussians["own Gaussians, after 1 epoch"] = (weights, *improved)

# %% tags=["plumbing", "exact"]
sources = {
    f"encoder, {moment}": found["encoder"]
    for moment, found in kept["moments"].items()
}
sources |= {
    f"own Gaussians, {moment}": found["own"]
    for moment, found in kept["moments"].items()
    if "own" in found
}
measured = {
    name: [np.array(found["value"][of]) for of in ("A", "B", "delta")]
    for name, found in sources.items()
}
heads = ["q from", "Var A", "Var B", "B − A (± standard error)", "Var Δ"]
rows = [
    [name, a.mean(), b.mean(), vh.mean_and_error(b - a), of_delta.mean()]
    for name, (a, b, of_delta) in measured.items()
]
vh.table(heads, rows)

# %% tags=["check"]
weights, mean, scale = gaussians["own Gaussians, after 1 epoch"]
model.set_weights(weights)
a, b, by_formula = value_variances(mean, scale)
_, error = vh.mean_and_error(b - a - by_formula)
vh.check(
    "each image with its own Gaussian: Var B − Var A is Var Δ (4.7)",
    (b - a).mean(),
    by_formula.mean(),
    atol=4 * error,
)
kept_a, kept_b, _ = measured["own Gaussians, after 1 epoch"]
vh.check(
    f"this Var B − Var A is the stored one ({MACHINE})",
    (b - a).mean(),
    (kept_b - kept_a).mean(),
    rtol=0.1,
)

# %% tags=["check"]
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

# %% [markdown]
# All figures are nats² for one image, averaged over the 50. In this table ± is the standard error over the images; everywhere else in this chapter it gives a 95% interval, which is about twice as wide here. Before training B has the quieter value, by over a third more than $\mathrm{Var}(\Delta)$: the decoder does not quite ignore $z$, and the covariance in (4.3) is positive. Afterwards it is A: for the encoder's $q$ by 9.7 and 7.9 where (4.7) says 8.2 and 7.8, for images with a Gaussian of their own by just as much, within one standard error. Look also at how much there is altogether. After ten epochs the choice between A and B moves 8 of 27 nats²; giving each image its own $q$ moves 15. Where that is done, the choice decides most of what is left.
#
# But a value is not a gradient. An optimiser never sees the value.
#
# ## 4.3 The gradient: one family, and its best member
#
# Differentiate (4.2):
#
# $$
# \frac{\partial \Delta}{\partial \mu_j} = -\sigma_j \varepsilon_j, \qquad \frac{\partial \Delta}{\partial \sigma_j} = -\mu_j \varepsilon_j - \sigma_j (\varepsilon_j^2 - 1). \tag{4.8}
# $$
#
# Both have mean zero. So for each coordinate you may add *any multiple* of them to B's gradient, and it stays right on average:
#
# $$
# g_c = \frac{\partial \widetilde{\mathcal{L}}_B}{\partial \mu_j} + c \, \frac{\partial \Delta}{\partial \mu_j} = \partial_j f(z) - \mu_j - c \, \sigma_j \varepsilon_j . \tag{4.9}
# $$
#
# $c = 0$ is B and $c = 1$ is A. The path estimator is a member too. It follows $z$ alone through $f(z) + \log p(z) - \log q(z)$, whose derivative is $\partial_j f - z_j + \varepsilon_j / \sigma_j$; that is (4.9) with $c = 1 - 1/\sigma_j^2$, another number for each image and coordinate. Which $c$ is best? The variance is a parabola in $c$, and since $\mathrm{Cov}(\partial_j f, \varepsilon_j) = \sigma_j h_j$, its lowest point is at $c^* = h_j$. Call the lowest variance $R_j$; then, everywhere, $\mathrm{Var}(g_c) = R_j + \sigma_j^2 (c - h_j)^2$. Where $\sigma_j$ is stationary, (4.6) says what $h_j$ is: $1 - 1/\sigma_j^2$. So *for the gradient by $\mu_j$, and where $\sigma_j$ is stationary, the path estimator is the best member of the family*, $R_j$ is its variance, and
#
# $$
# \mathrm{Var}(g_c) = R_j + \sigma_j^2 \left( c - 1 + \frac{1}{\sigma_j^2} \right)^2 . \tag{4.10}
# $$
#
# | Gradient by $\mu_j$ | factor $c$ | variance where $\sigma_j$ is stationary |
# |---|---|---|
# | path | $1 - 1/\sigma_j^2$ | $R_j$ |
# | A | $1$ | $R_j + 1/\sigma_j^2$ |
# | B | $0$ | $R_j + (1/\sigma_j - \sigma_j)^2$ |
#
# Again the decoder does not matter, except in $R_j$, which is common to all. And $R_j$ has a meaning. The path gradient is $\partial_j \log p_\theta(x, z) - \partial_j \log q(z)$, and the first term is also the slope of the log-posterior. If $\mu_j$ is stationary too, the mean of the path gradient is zero, and its variance is its mean square:
#
# $$
# R_j = \mathbb{E}_q \left[ \left( \partial_j \log p_\theta(z \mid x) - \partial_j \log q(z) \right)^2 \right]: \tag{4.11}
# $$
#
# a discrepancy between $q$ and the true posterior, the *Fisher divergence* in coordinate $j$. Where $q$ is exact it is zero, and the table is that of chapter 1, section 1.5.
#
# Read three things off it:
#
# - **B against A.** The difference is $2 - \sigma_j^2$. So by $\mu$ it is B that is quieter, as long as $\sigma_j^2 < 2$; for the value it was A. (Anywhere else the difference is $\sigma_j^2 (1 - 2 h_j)$, positive wherever $h_j < \frac12$, and so wherever $f$ is concave on average.)
# - **How much that is.** At most 2, beside a noise of $1/\sigma_j^2$, which is 25 for $\sigma_j = 0.2$. The narrower the posterior, the less it matters. It matters most in a dimension that the decoder ignores: there $\sigma_j = 1$ and $R_j = 0$, A has a noise of 1, and B has none.
# - **The path.** It saves $1/\sigma_j^2$ against A, all that is not $R_j$. The better $q$ fits, the larger the part it saves.
#
# For the gradient by $\sigma_j$ there is no such family: $\Delta$'s derivative has two terms. But A's gradient is still B's plus (4.8), so $\mathrm{Var}(A) - \mathrm{Var}(B) = \mathrm{Var}(\partial\Delta/\partial\sigma_j) + 2 \, \mathrm{Cov}(\varepsilon_j \partial_j f, \partial\Delta/\partial\sigma_j)$, and the first of these is $\mu_j^2 + 2\sigma_j^2$. Expand the covariance and insert (4.6). Where $\mu_j$ and $\sigma_j$ are stationary,
#
# $$
# \mathrm{Var}(A) - \mathrm{Var}(B) = 4 - 2\sigma_j^2 - \mu_j^2 - 2 \mu_j \, \mathbb{E}[(\varepsilon_j^2 - 1) \, \partial_j f] - 2 \sigma_j \, \mathbb{E}[(\varepsilon_j^3 - 3 \varepsilon_j) \, \partial_j f]. \tag{4.12}
# $$
#
# The two averages are $\sigma_j^2 \mathbb{E}[\partial_j^3 f]$ and $\sigma_j^3 \mathbb{E}[\partial_j^4 f]$ where these exist. If $f$ is quadratic they vanish. In one dimension $q$ is then the exact posterior, the path has no variance, and the others have these (exercise 2):
#
# | Gradient by $\sigma$, exact posterior | variance |
# |---|---|
# | path | $0$ |
# | A | $2/\sigma^2$ |
# | B | $2 (1/\sigma - \sigma)^2 + \mu^2$ |
#
# Here A is quieter as soon as $\mu^2 > 2 (2 - \sigma^2)$, that is, if $\mu$ lies more than two from zero for narrow $\sigma$, more than 1.4 for $\sigma = 1$. And no theorem says that the path is best by $\sigma$: there are $f$ for which B is quieter even at a stationary point.
#
# First the exact case, in one dimension. Simulate ten points $(\mu, \sigma)$ and hold six variances and (4.2) against the formulas.


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
    "and Var(Δ) of (4.2)",
    errors_off(delta(mu, sigma, noise), variance_of_delta(mu, sigma)),
    3,
    relation="<",
)

# %% [markdown]
# The regions, for the exact case. On the left the gradient by $\mu$, on the right the gradient by $\sigma$; the colour is the variance of A divided by that of B. It is purple where B is quieter and brown where A is; on the black line they are equal. Beyond a factor of 8 the colour no longer changes. (At $\sigma = 1$, on the right with $\mu = 0$, B has no variance at all.)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two maps over the plane of μ from −3 to 3 and σ from 0.05 to 1.6, purple where B is quieter and brown where A is. On the left, gradient by μ: B is quieter below σ = 1.41, hardly so at small σ, and most around σ = 1. On the right, gradient by σ: B is quieter inside a dome between μ = −2 and 2, most around σ = 1; A is quieter outside."}}
mu, sigma = np.meshgrid(
    np.linspace(-3, 3, 301), np.linspace(0.05, 1.6, 300)
)  # misses σ = 1
of_b = (1 / sigma - sigma) ** 2
maps = {
    "by μ": (1 / sigma**2) / of_b,
    "by σ": (2 / sigma**2) / (2 * of_b + mu**2),
}
figure, axes = plt.subplots(
    1, 2, figsize=(9, 3.6), sharey=True, layout="constrained"
)
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
# At the bottom, where the posteriors are narrow, the two hardly differ. The strong colour lies around $\sigma = 1$, where the dimensions are that a decoder does not use.
#
# Now the real decoder. Does the table hold where nothing is Gaussian and nothing is exact? Take the 50 images with a Gaussian of their own, after ten epochs, 20 dimensions each: 1,000 cases. In each one measure the three variances, and hold the *differences* against $1/\sigma_j^2$ and $(1/\sigma_j - \sigma_j)^2$. For the gradient by $\sigma$, hold the difference between A and B against (4.12).


# %%
def gradient_variances(weights, mean, scale):
    """By estimator: variances of the gradients by μ and by σ, [n, J]."""
    model.set_weights(weights)
    _, slope, noise = draw(mean, scale, seed=1)
    return {
        name: [part.var(axis=0, ddof=1) for part in parts]
        for name, parts in by_mean_and_scale(
            slope, mean, scale, noise
        ).items()
    }


# %% tags=["plumbing"]
cases = {
    name: np.array(values)
    for name, values in sources["own Gaussians, after 10 epochs"][
        "cases"
    ].items()
}
mean, scale = cases["mean"], cases["scale"]
saved = {
    "A": (cases["A_mu"] - cases["path_mu"], 1 / scale**2),
    "B": (cases["B_mu"] - cases["path_mu"], (1 / scale - scale) ** 2),
}

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two scatters on logarithmic axes, measured difference of variances against the formula, with the diagonal. On the left A: a thousand points along the diagonal from 1 to 200. On the right B: most points between 1 and 200 on the diagonal, a dozen below, down to a thousandth, near it."}}
figure, axes = plt.subplots(1, 2, figsize=(8, 3.8), sharey=True)
ends = [1e-3, 3e3]
formulas = {"A": "$1/σ^2$", "B": "$(1/σ - σ)^2$"}
for panel, (name, (found, expected)) in zip(
    axes, saved.items(), strict=True
):
    panel.loglog(expected, found, ".", ms=3, color=COLORS[name])
    panel.loglog(ends, ends, color="black", lw=0.8)
    panel.set(xlabel=formulas[name], title=f"Var {name} − Var path")
    panel.set(xlim=ends, ylim=ends)
axes[0].set_ylabel("measured")
plt.show()

# %% tags=["plumbing", "exact"]
by_mu, by_sigma = (
    cases[f"A_{by}"] - cases[f"B_{by}"] for by in ("mu", "sigma")
)
quadratic = 4 - 2 * scale**2 - mean**2
by_4_12 = (
    quadratic - 2 * mean * cases["third"] - 2 * scale * cases["fourth"]
)
rows = [
    [f"Var {name} − Var path, by μ", found.mean(), expected.mean()]
    for name, (found, expected) in saved.items()
]
rows += [
    ["Var A − Var B, by μ", by_mu.mean(), np.mean(2 - scale**2)],
    ["Var A − Var B, by σ", by_sigma.mean(), by_4_12.mean()],
    [
        "the same, quadratic part of (4.12)",
        by_sigma.mean(),
        quadratic.mean(),
    ],
]
display(vh.table(["mean of 1,000 cases", "measured", "formula"], rows))
left_out = sum(
    np.sum((f < ends[0]) | (e < ends[0])) for f, e in saved.values()
)
print(f"{left_out} of 2,000 points lie outside the picture")
print("quartiles of σ:", np.quantile(scale, (0.25, 0.5, 0.75)).round(2))
print(
    f"B is quieter by μ in {np.mean(by_mu > 0):.1%} of the cases,",
    f"by σ in {np.mean(by_sigma > 0):.1%}",
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
vh.check("by σ, off (4.12)", off(by_sigma - by_4_12), 4, relation="<")
vh.check(
    "by σ, off its quadratic part alone",
    off(by_sigma - quadratic),
    4,
    relation=">",
)

# %% tags=["check"]
weights, mean, scale = gaussians["own Gaussians, after 1 epoch"]
again = gradient_variances(weights, mean, scale)
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
# One law: A follows it over two orders of magnitude, B over five. The points scatter about it because 2,000 draws do not fix a variance to better than some per cent, and a small difference of two variances less well. (What lies outside the picture are cases of B at $\sigma_j \approx 1$, where there is next to nothing to measure.) By $\sigma$ a quadratic $f$ is not enough, and (4.12) is; and in one case in nine it is A that is quieter there, as outside the dome of the map.
#
# Now what it is worth. Compare the three variances themselves, for the images' own Gaussians and for the encoder's, which are not stationary. Each figure is the variance of one coordinate of the gradient, of one image and one draw, averaged over 1,000 of them (in nats²: $z$ has no unit).

# %% tags=["plumbing", "exact"]
ESTIMATORS = ("A", "B", "path")
coordinate = {
    (name, by): [found["coordinate"][e][by] for e in ESTIMATORS]
    for name, found in sources.items()
    for by in ("mu", "sigma")
}
rows = [
    [name, {"mu": "μ", "sigma": "σ"}[by], *values]
    for (name, by), values in coordinate.items()
]
vh.table(["q from", "gradient by", *ESTIMATORS], rows)

# %% tags=["check"]
again = gradient_variances(*gaussians["encoder, start"])
for k, (by, key) in enumerate((("μ", "mu"), ("σ", "sigma"))):
    vh.check(
        f"before training, by {by}: A, B and path as stored ({MACHINE})",
        [again[e][k].mean() for e in ESTIMATORS],
        coordinate["encoder, start", key],
        rtol=0.02,
    )
trained = ("encoder, after 10 epochs", "own Gaussians, after 10 epochs")
a, b, path = np.transpose([coordinate[name, "mu"] for name in trained])
vh.check(
    "by μ, after training: B / A is less than 1", b / a, 1, relation="<"
)
vh.check("but at least 0.85", b / a, 0.85, relation=">")
vh.check("and path / A less than 0.6", path / a, 0.6, relation="<")
a, b, path = coordinate["encoder, start", "mu"]
vh.check("by μ, before training: B has the least", b, path, relation="<")
vh.check("and the path less than 0.3 of A's", path / a, 0.3, relation="<")

# %% [markdown]
# Before training the decoder says little about $z$, so $h_j \approx 0$ and the best $c$ in (4.9) is 0: estimator B. A adds $\sigma_j^2 (1 - 2 h_j)$ out of nothing, here about 1.4. The path takes $c = 1 - 1/\sigma_j^2$, which misses, because the initial $\sigma_j$ are not 1: with $h_j \approx 0$, an excess of 1.4 means $\sigma_j \approx 1.2$. After ten epochs B saves a few per cent against A and the path more than half, also with the encoder's imperfect $q$.
#
# ## 4.4 The gradient that the optimiser gets
#
# The optimiser does not see $\partial/\partial\mu_j$ of one image. It sees the gradient by the *weights*, averaged over a minibatch of $M = 100$ images. On the way their noise is mixed with the networks' own derivatives, and it meets noise of another kind: that of the choice of the minibatch, which no estimator removes. `gradient_moments` measures the first: it holds weights and images fixed, draws the gradient again and again, and returns the mean and the variance of each entry. Sum the variances over four parts: the half of the encoder's last layer that makes $\mu$, the half that makes $\log\sigma^2$, the rest of the encoder, the decoder. Eight minibatches of training images give an interval (95%, over the minibatches; the network is one, from one seed). The table is the stored one; the cell after the figure measures a minibatch again.


# %%
def gradient_moments(model, objective, x, repeats, samples=1, seed=0):
    """Mean and variance over ε of each entry of the gradient, by path."""
    variables = model.trainable_variables
    seeds = keras.random.SeedGenerator(seed)

    @tf.function(jit_compile=model.prefers_xla)
    def gradient():
        with tf.GradientTape() as tape, model.using(seeds):
            bound = tf.reduce_mean(objective(model, x, samples))
        return tape.gradient(bound, variables)

    mean = {v.path: np.zeros(v.shape) for v in variables}
    squares = {v.path: np.zeros(v.shape) for v in variables}
    for count in range(1, repeats + 1):
        for v, entries in zip(variables, gradient(), strict=True):
            step = entries.numpy() - mean[v.path]
            mean[v.path] += step / count
            squares[v.path] += step * (entries.numpy() - mean[v.path])
    return mean, {path: s / (repeats - 1) for path, s in squares.items()}


# %%
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
        "encoder": sum(entries[path].sum() for path in rest),
        "decoder": sum(entries[path].sum() for path in decoder),
    }


# %%
OBJECTIVES = {
    "A": vh.sgvb_a,
    "B": vh.sgvb_b,
    "path": vh.sticking_the_landing,
    "score": vh.score_function,
}
PARTS = ("μ head", "σ head", "encoder", "decoder")
chosen = np.random.default_rng(0).permutation(60_000)[:800]
minibatches = np.split(vh.binarize(images.train[chosen], "threshold"), 8)


def gradient_noise(name, minibatch, repeats=50):
    """Variance over the noise by part, for one of the minibatches."""
    x, seed = minibatches[minibatch], minibatch
    return by_part(
        gradient_moments(model, OBJECTIVES[name], x, repeats, seed=seed)[1]
    )


# %% tags=["plumbing"]
KEYS = {"A": "a", "B": "b", "path": "path", "score": "score"}
KEYS |= {"μ head": "mu", "σ head": "scale"}


def interval(values, comparisons=1):
    """Mean and half its 95% interval (Student's t); wider for several."""
    values = np.asarray(values)
    t = stats.t.ppf(1 - 0.025 / comparisons, len(values) - 1)
    return values.mean(), t * values.std(ddof=1) / np.sqrt(len(values))


def geometric(values):
    """Geometric mean, and its 95% interval over the minibatches."""
    middle, half = interval(np.log(values))
    return np.exp([middle, middle - half, middle + half])


def kept_noise(moment, name, part, what="variance"):
    """Stored variances, one for each minibatch; or that between them."""
    of = kept["moments"][moment]["estimators"][KEYS[name]]["1"]
    return np.array(of[f"{what}_{KEYS.get(part, part)}"])


# %% tags=["plumbing", "exact"]
ratios = {
    (moment, name, part): geometric(
        kept_noise(moment, name, part) / kept_noise(moment, "B", part)
    )
    for moment in kept["moments"]
    for name in OBJECTIVES
    for part in PARTS
}


def with_interval(three, digits=2):
    """`1.11 (1.10 to 1.12)`"""
    return "{:.{d}f} ({:.{d}f} to {:.{d}f})".format(*three, d=digits)


def two_digits(number):
    return f"{float(f'{number:.2g}'):,.0f}"


rows = []
for moment in kept["moments"]:
    for part in PARTS:
        of_b = kept_noise(moment, "B", part).mean()
        rows.append(
            [
                moment,
                part,
                with_interval(ratios[moment, "A", part]),
                with_interval(ratios[moment, "path", part]),
                two_digits(ratios[moment, "score", part][0]),
                of_b / kept_noise(moment, "B", part, "between"),
            ]
        )
heads = ["moment", "part", "A / B", "path / B", "score / B"]
vh.table([*heads, "B / between minibatches"], rows, digits=1)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three panels, before training, after one epoch and after ten: variance of A and of the path gradient relative to B, for the μ head, the σ head, the rest of the encoder and the decoder. Before training A lies between 10 and 17 and the path between 2 and 4; after one epoch A lies at 1.1 to 1.2, after ten at 1.04 to 1.2, and the path both times at about one half. In the decoder all are at 1. The intervals are smaller than the dots."}}
figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True)
for panel, moment in zip(axes, kept["moments"], strict=True):
    for shift, name in ((-0.15, "A"), (0.15, "path")):
        middle, low, high = np.transpose(
            [ratios[moment, name, part] for part in PARTS]
        )
        panel.errorbar(
            np.arange(4) + shift,
            middle,
            yerr=[middle - low, high - middle],
            fmt="o",
            color=COLORS[name],
            label=name,
        )
    panel.axhline(1, color=COLORS["B"], label="B")
    panel.set(title=moment, xticks=range(4), xticklabels=PARTS)
    panel.set_yscale("log")
    panel.tick_params(axis="x", rotation=30)
    panel.set_yticks([0.5, 1, 2, 5, 10], ["½", "1", "2", "5", "10"])
    panel.minorticks_off()
axes[0].set_ylabel("variance / that of B")
axes[0].legend()
plt.show()

# %% tags=["check"]
model.set_weights(moments["start"])
first = {name: gradient_noise(name, 0) for name in ("A", "B", "path")}
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
# In the $\mu$ head each weight sees one $\mu_j$, and the variances of the images add. So section 4.3 applies to it coordinate by coordinate. A must lie above B wherever $h_j < \frac12$, stationary or not. That the path is the best holds where $\sigma_j$ is stationary, and the encoder's $\sigma_j$ is only near that: here it is measured. In the rest of the encoder the coordinates mix, and with strongly correlated posteriors the order could turn; here it did not.
#
# - **At the initial weights** B is the quietest by far. A scatters ten to seventeen times as much; even the path loses to B.
# - **After one epoch** the order that the table in section 4.3 promises has come about. A lies some 10 to 25 per cent above B, the path at half. Nine epochs later A's distance has shrunk with the posteriors, most in the $\mu$ head, and the path is still at half.
# - **The $\sigma$ head** shows more of A's noise than the table above did by $\sigma$ (3 per cent). It puts out $\log \sigma^2$, and the gradient by that is $\sigma/2$ times the gradient by $\sigma$: so a wide dimension counts as much as a narrow one, and A's $2/\sigma_j^2$ becomes $\frac12$ in each.
# - **The decoder** does not care: with the same $\varepsilon$ its gradient is the same, number for number. Only the encoder can gain.
# - **The score function** is out of the question: thousands of times B's variance after training, millions before. (It is shown without a baseline; section 1.3 says what one brings.)
# - **The last column** says how much there is to be gained. For most of the encoder, B's noise at $M = 100$ is one to two times that of the minibatches themselves. Halve it, and about 30 per cent of the total is gone. In the $\sigma$ head, after training, it is nearly all of the noise there is. (The noise between minibatches is the variance of the eight mean gradients, less what is left of $\varepsilon$ in a mean of 50 draws. Eight minibatches tell it roughly.)

# %% [markdown]
# ## 4.5 Other networks, and several draws
#
# One network, one draw for each image: is that typical? The measurement of section 4.4 was made on four networks. Two are dense (the one with $J = 20$ is the training of section 4.2, carried on); two are the convolutional network of [chapter 3](03_conv_vae.ipynb); each has once $J = 2$ and once $J = 20$. All were trained with B, $M = 100$ and Adam with a step of $10^{-3}$, the dense ones for thirty epochs, the convolutional ones for ten. They were measured on ten minibatches of training images (100 images each, 20 for the convolutional networks), with $L = 1$, 5 and 25 draws. That takes an hour, so a script does it, `experiments/gradients.py`. This page reads what the script has stored, and measures two numbers again.

# %% tags=["plumbing"]
NETWORKS = {
    "dense, J = 2": "mlp-j2",
    "dense, J = 20": "mlp-j20",
    "convolutional, J = 2": "conv-j2",
    "convolutional, J = 20": "conv-j20",
}
STAGES = {"start": "before", "middle": "1 epoch", "end": "end"}
stored_rows = {
    (row["network"], row["seed"], row["stage"]): row
    for row in load("gradients-rows")["rows"]
}
networks = {
    (label, stage): stored_rows[name, 0, stage]
    for label, name in NETWORKS.items()
    for stage in STAGES
}
second = {stage: stored_rows["mlp-j20", 1, stage] for stage in STAGES}

# %% tags=["plumbing", "exact"]
rows = []
for label in NETWORKS:
    end = networks[label, "end"]
    extra = end["value"]["b"] - end["value"]["a"]
    elbos = [
        f"{networks[label, stage]['test_elbo']:.1f}".replace("-", "−")
        for stage in STAGES
    ]
    made = end["provenance"]
    code = f"{made['commit'][:7]}, {made['date']}"
    rows.append([label, *elbos, extra / end["latent_dim"], code])
heads = ["test ELBO", "before", "1 epoch", "end"]
heads += ["value at the end: (Var B − Var A) / J, nats²", "code"]
vh.table(heads, rows)

# %% tags=["check"]
row = networks["convolutional, J = 2", "start"]
chosen = np.random.default_rng(0).permutation(60_000)[: row["images"]]
first = vh.binarize(images.train[chosen], "threshold")
fresh = vh.conv_vae(latent_dim=2, seed=0)
whole = [variable.path for variable in fresh.encoder.trainable_variables]
for name, draws in (("A", 1), ("B", 5)):
    repeats = row["repeats"][str(draws)]
    _, entries = gradient_moments(
        fresh, OBJECTIVES[name], first, repeats, draws
    )
    vh.check(
        f"{name} with L = {draws} before training, convolutional, J = 2, "
        f"first minibatch: as stored ({row['provenance']['machine']})",
        sum(entries[path].sum() for path in whole),
        row["first"][f"{KEYS[name]}, {draws}"],
        rtol=0.01,
    )

# %% [markdown]
# First one draw. The table gives the variances at the end of training relative to B's, the figure all three stages. Beside three parts of the encoder stands the variance of the value, the bound itself. (The decoder is left out: as in section 4.4 its gradient is the same for all.) The intervals are 95% over the ten minibatches, for this one training of each network.

# %% tags=["plumbing", "exact"]
KEYS |= {"rest of encoder": "rest"}
ENTRIES = ("value", "μ head", "σ head", "rest of encoder")


def over_b(row, name, part):
    """Variance relative to B's, with its 95% interval."""
    return np.array(row["over_b"][KEYS[name]][KEYS.get(part, part)])


relative = {
    (label, stage, name, part): over_b(row, name, part)
    for (label, stage), row in networks.items()
    for name in ("A", "path", "score")
    for part in ENTRIES
}
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
        rows.append([label, part, *cells, score])
heads = ["at the end", "part", "A / B", "path / B", "score / B"]
vh.table(heads, rows)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Sixteen panels: four networks across; the value and three parts of the encoder down; each shows the variance of A and of the path relative to B, before training, after one epoch and at the end. In the gradient A begins at 7 to 40 and then lies on B’s line or just above, in the σ head of dense, J = 2 just below. The path begins at 1 to 4, then lies below B, at 0.2 to 0.6 after one epoch and 0.4 to 0.9 at the end. The value of both, which is the same, begins at 1 to 3 and lies at 0.7 to 0.95 later."}}
figure, axes = plt.subplots(
    4, 4, figsize=(10, 8), sharex=True, sharey=True, layout="constrained"
)
ticks = [0.2, 0.5, 1, 2, 5, 20], ["0.2", "½", "1", "2", "5", "20"]
for column, label in zip(axes.T, NETWORKS, strict=True):
    column[0].set_title(label)
    for panel, part in zip(column, ENTRIES, strict=True):
        for shift, name in ((-0.08, "A"), (0.08, "path")):
            middle, low, high = np.transpose(
                [relative[label, stage, name, part] for stage in STAGES]
            )
            panel.errorbar(
                np.arange(3) + shift,
                middle,
                yerr=[middle - low, high - middle],
                fmt="o-",
                ms=4,
                color=COLORS[name],
                label=name,
            )
        panel.axhline(1, color=COLORS["B"], label="B")
        panel.set_yscale("log")
        panel.set_xticks(range(3), STAGES.values())
        panel.set_yticks(*ticks)
        panel.minorticks_off()
for panel, part in zip(axes[:, 0], ENTRIES, strict=True):
    panel.set_ylabel(part)
figure.supylabel("variance / that of B", fontsize="medium")
axes[0, 0].legend()
plt.show()


# %% tags=["check"]
def every(name, stages, parts, which=0):
    """Ratios to B in all networks: middle, or a side of the interval."""
    return [
        relative[label, stage, name, part][which]
        for label in NETWORKS
        for stage in stages
        for part in parts
    ]


LOW, HIGH, ONE = 1, 2, 1.0
of_encoder, after = ENTRIES[1:], ("middle", "end")
for claim, found, relation in (
    (
        "value: before training A / B is more than 1, in all networks",
        every("A", ["start"], ["value"], LOW),
        ">",
    ),
    ("and less later", every("A", after, ["value"], HIGH), "<"),
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

# %% tags=["check"]
for stage, near in (("start", 0.25), ("middle", 0.1), ("end", 0.1)):
    pairs = [(n, part) for n in ("A", "path") for part in ENTRIES]
    mine = [relative["dense, J = 20", stage, *pair][0] for pair in pairs]
    other = [over_b(second[stage], *pair)[0] for pair in pairs]
    vh.check(
        f"dense, J = 20, {STAGES[stage]}: another seed finds the same",
        other,
        mine,
        rtol=near,
    )


# %% tags=["plumbing", "exact"]
def span(stage, name, *parts):
    """Smallest and largest ratio to B over the networks and the parts."""
    found = every(name, [stage], parts)
    digits = 1 if max(found) > 2 else 2
    return f"{min(found):.{digits}f} to {max(found):.{digits}f}"


rows = [
    [moment, *(span(stage, name, *of_encoder) for name in ("A", "path"))]
    for stage, moment in STAGES.items()
]
heads = ["three parts of four encoders", "A / B", "path / B"]
vh.table(heads, rows)

# %% [markdown]
# The order that section 4.4 found returns, with exceptions for $J = 2$; the sizes differ. Part by part:
#
# - **The value.** Before training B has less variance than A, later A has less. At the end A saves 30 per cent with $J = 20$, and 14 per cent (dense) and 5 per cent (convolutional) with $J = 2$. That is 0.3 to 0.6 nats² for each latent dimension. (In section 4.2 it was 0.4. Exercise 1 will say that half a nat² is the most, where $q$ is stationary and the aggregate posterior as wide as the prior. Which of the two fails in dense, $J = 2$ was not checked.)
# - **The $\mu$ head.** Before training A scatters 7 to 35 times as much as B. After one epoch and at the end A still lies above B in every network, but only by 0.1 to 11 per cent.
# - **The $\sigma$ head.** Before training A scatters 14 to 40 times as much as B. At the end it lies 21 per cent (dense) and 5 per cent (convolutional) above B with $J = 20$. With $J = 2$ it is A that has 1 per cent less in the dense network (3 per cent after one epoch; both intervals lie below 1), and the convolutional one shows no difference. That would fit section 4.3: outside its dome, where $|\mu_j|$ is large, A is quieter by $\sigma_j$. It was not checked here.
# - **The rest of the encoder.** Before training A scatters 8 to 37 times as much as B. Later it lies up to 13 per cent above; in the convolutional network with $J = 2$ the end shows no difference.
# - **The path**, before training, lies above B: two to four times in the dense networks, 5 to 24 per cent in the convolutional ones. From the first epoch on it lies below B in every part of every encoder. In the $\mu$ head and the rest of the encoder it has about half of B's variance, and down to a fifth; in the $\sigma$ head 0.5 to 0.9 of it.
# - **The score function** scatters 4,800 to 24,000 times as much as B at the end.
#
# Now several draws. With $L$ draws for each image the variance that $\varepsilon$ makes is divided by $L$, since the draws are independent: nothing to discover there, only to check. What do they cost? And what else could the same seconds buy? Write $n_\varepsilon$ for the variance of the gradient that $\varepsilon$ makes with one draw, $n_x$ for the variance of the mean gradient from minibatch to minibatch, and $t_L$ for the seconds that one gradient takes. With $L$ draws the variance is $n_x + n_\varepsilon / L$. With twice the images you get half of this variance for at most twice the seconds: the product of variance and seconds does not rise. So compare by the product. It says how long you need for a given variance if you may choose the number of images. More draws can pay only if they lower
#
# $$
# \left( n_x + \frac{n_\varepsilon}{L} \right) t_L , \qquad t_L = t_x + L \, t_z . \tag{4.13}
# $$
#
# Here $t_z$ is what each draw costs, the decoder above all, and $t_x$ what is done once: the encoder, and the bookkeeping of a step. Set the derivative by $L$ to zero. The product is lowest at
#
# $$
# L^* = \sqrt{\frac{n_\varepsilon \, t_x}{n_x \, t_z}} . \tag{4.14}
# $$
#
# The $L^*$ of the table is an upper limit, since bookkeeping does not grow with the number of images and should not count in $t_x$. It has no interval: $n_x$ comes from ten minibatches, so read it as one digit.
#
# How the figures were taken: both variances are divided by $M$, so their ratio does not depend on it. The seconds do. They were measured with the same 100 or 20 images, in a run of their own with nothing else running; the four estimators differ by up to 19 per cent, in no fixed order; that is taken for scatter, and their median counts. For each minibatch 50, 20 and 10 gradients were drawn with $L = 1$, 5 and 25. $n_x$ was measured with B; the mean gradient, and so the true $n_x$, is the same for all.

# %% tags=["plumbing"]
DRAWS = (1, 5, 25)
timed = load("gradients-seconds")["seconds"]
cost = {}  # seconds a gradient: median of A, B, path and score
scatter = 1.0
for label, name in NETWORKS.items():
    for draws in DRAWS:
        taken = [of[str(draws)] for of in timed[name].values()]
        cost[label, draws] = np.median(taken)
        scatter = max(scatter, max(taken) / min(taken))


# %%
def best_draws(label, row, name, part="encoder"):
    """L* of (4.14), and the ratio of the two variances in it."""
    noise = row["noise"][KEYS[name]]["1"][part] / row["between"][part]
    a_draw = (cost[label, 25] - cost[label, 1]) / 24
    once = cost[label, 1] - a_draw
    return np.sqrt(noise * once / a_draw), noise


def worth(label, name, draws, with_images=True, at="end"):
    """(4.13) for the encoder, over that of B with one draw; or its ε."""
    row = networks[label, at]

    def product(name, n):
        noise = row["noise"][KEYS[name]][str(n)]["encoder"]
        noise += with_images * row["between"]["encoder"]
        return noise * cost[label, n]

    return product(name, draws) / product("B", 1)


# %% tags=["plumbing", "exact"]
rows, best = [], {}
for label in NETWORKS:
    before, end = networks[label, "start"], networks[label, "end"]
    milliseconds = [f"{1000 * cost[label, n]:.0f}" for n in DRAWS]
    for name in ("B", "path"):
        best[label, name], noise = best_draws(label, end, name)
        cells = [label, ", ".join(milliseconds), name, f"{noise:.2f}"]
        cells += [best_draws(label, before, name)[0], best[label, name]]
        for part in ("scale", "decoder"):
            cells.append(best_draws(label, end, name, part)[0])
        rows.append(cells)
heads = ["whole encoder", "ms, L = 1, 5, 25", "estimator"]
heads += ["n_ε / n_x, end", "L* before", "L* end"]
heads += ["σ head alone", "decoder alone"]
display(vh.table(heads, rows, digits=1))
other_seed = best_draws("dense, J = 20", second["end"], "B")
print(
    "dense, J = 20, B, second seed:",
    "L* = {:.1f}, n_ε / n_x = {:.2f}".format(*other_seed),
)
print(f"slowest over fastest of the four estimators: {scatter:.2f}")

# %% tags=["plumbing", "exact"]
rows = [
    [
        label,
        name,
        *(worth(label, name, n) for n in DRAWS),
        worth(label, name, 1, at="middle"),
    ]
    for label in NETWORKS
    for name in ("B", "path")
]
heads = ["(4.13) over that of B with one draw", "estimator"]
heads += ["L = 1, end", "L = 5", "L = 25", "L = 1, 1 epoch"]
vh.table(heads, rows)

# %% [markdown]
# Once more as a picture. Solid: (4.13), that is the seconds needed for the same variance. Dotted: the same if $\varepsilon$ made all the noise, without $n_x$. Each kind is relative to its own value for B with one draw, so compare solid with solid and dotted with dotted.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Four panels, one for each network: variance times seconds against 1, 5 and 25 draws. Solid, all noise: B begins at 1, the path between 0.65 and 0.94; both rise and end between 3 and 12. Dotted, the noise of ε alone: B falls from 1 to between 0.3 and 0.6, the path from about one half to between 0.1 and 0.3."}}
figure, axes = plt.subplots(
    1, 4, figsize=(10, 3.3), sharey=True, layout="constrained"
)
LINES = ((True, "o-", "all noise"), (False, "o:", "ε alone"))
ticks = [0.2, 0.5, 1, 2, 5, 10]
for panel, label in zip(axes, NETWORKS, strict=True):
    for name in ("B", "path"):
        for with_images, line, what in LINES:
            values = [worth(label, name, n, with_images) for n in DRAWS]
            look = {"color": COLORS[name], "label": f"{name}, {what}"}
            panel.plot(DRAWS, values, line, **look)
    panel.set(xscale="log", yscale="log", title=label, xlabel="draws L")
    panel.set_xticks(DRAWS, [str(n) for n in DRAWS])
    panel.set_yticks(ticks, ["0.2", "½", "1", "2", "5", "10"])
    panel.minorticks_off()
axes[0].set_ylabel("variance × seconds")
lines, labels = axes[0].get_legend_handles_labels()
figure.legend(lines, labels, loc="outside lower center", ncols=4)
plt.show()

# %% tags=["check"]
by_draws = np.array(
    [
        [
            networks[label, "end"]["noise"][name][str(n)]["encoder"]
            for n in DRAWS
        ]
        for label in NETWORKS
        for name in ("a", "b", "path", "score")
    ]
)
vh.check(
    "L draws divide the variance that ε makes in the encoder by L",
    by_draws[:, 1:] * DRAWS[1:] / by_draws[:, :1],
    1,
    atol=0.15,
)
product = {
    (name, n): np.array([worth(label, name, n) for label in NETWORKS])
    for name in ("B", "path")
    for n in DRAWS
}
for name in ("B", "path"):
    vh.check(
        f"{name}: for the same variance five draws take longer than one",
        product[name, 5] / product[name, 1],
        1,
        relation=">",
    )
vh.check(
    "and the path with one draw takes less time than B with any L",
    product["path", 1] / np.min([product["B", n] for n in DRAWS], axis=0),
    1,
    relation="<",
)
vh.check("L* is below 2.5", [*best.values()], 2.5, relation="<")

# %% [markdown]
# Look at the dotted lines first. If $\varepsilon$ made all the noise, more draws would be a bargain: what is done once is shared, so 25 draws take only 8 to 14 times as long as one. But the optimiser sees the solid lines. The noise between minibatches stays, and five draws take 1.1 to 2.8 times the seconds for the same variance with B. By (4.14) the best number lies between 0.4 and 2 with B, and at about one or below with the path. (In the dense networks encoder and decoder do about the same work. With $t_x = t_z$, the bookkeeping left out, the 2.0 of dense, $J = 20$ would be 1.3. Two draws beat one from $L^* = \sqrt{2}$ on: exercise 7.)
#
# So at the end of training, if $\varepsilon$'s noise is a concern, the path does more than a second draw: it lowers (4.13) by 6 to 35 per cent. With $J = 2$ it gains least, since there the noise between minibatches is the larger part. Three reservations:
#
# - Before training it is otherwise: there the path raises the noise, and in the convolutional encoders two or three draws are best.
# - A sum over the encoder is ruled by the $\mu$ head and the layers before it. The $\sigma$ head makes less than 1 per cent of it at the end. For that head alone four to ten draws would be best with B; for the decoder's gradient, which an update needs too, one or less. And Adam scales each entry by its own typical size, so a small entry with much noise still makes noisy steps.
# - These are seconds on two CPU cores. On a machine that computes many draws at once $t_z$ is smaller; but there more images cost little as well.
#
# Less noise is not yet better training. That is the next question.
#
# ## 4.6 Does training notice?
#
# Train. One hidden layer of 256 units in each network and $J = 20$; Adam with a step of $10^{-3}$, $M = 100$, five epochs; five seeds. For each seed the three estimators start from the same weights, see the same minibatches in the same order and draw the same $\varepsilon$. (The network is smaller than that of section 4.2, so that fifteen runs are quick.) So their differences are *paired*: what the seeds have in common drops out. After each epoch the test ELBO is measured in the same way for all, with estimator B and a fixed noise. `experiments/run.py dense` makes the runs; here they are read, and the first epoch of one is trained again.


# %%
vae = vh.mlp_vae(latent_dim=20, hidden=(256,), seed=0)
vae.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_a)
training = vh.batches(images.train, 100, "threshold", seed=0)
vae.fit(training, epochs=1, verbose=0)
elbo_again = vh.elbo(vae, x_test)

# %% tags=["plumbing"]
PAIRS = (("B", "A"), ("path", "A"), ("path", "B"))
dense = {name: vh.stored(f"dense-{KEYS[name]}") for name in ESTIMATORS}
curves = {
    name: np.array([run["test_elbo_b_by_epoch"] for run in runs])
    for name, runs in dense.items()
}  # [seeds, epochs]
final = {name: values[:, -1] for name, values in curves.items()}


def differences(values, pairs=PAIRS):
    """Rows: paired difference, its interval, widened for three, p."""
    rows = []
    for one, other in pairs:
        difference = values[one] - values[other]
        mean, half = interval(difference)
        _, wide = interval(difference, comparisons=3)
        p_value = stats.ttest_rel(values[one], values[other]).pvalue
        rows.append([f"{one} − {other}", (mean, half), f"± {wide:.2f}"])
        rows[-1].append(f"{p_value:.3f}")
    return rows


# %% tags=["plumbing", "exact"]
rows = [
    [name, interval(values), np.ptp(values)]
    for name, values in final.items()
]
heads = ["test ELBO after five epochs, nats", "mean, 95% interval"]
display(vh.table([*heads, "five seeds end within"], rows))
heads = ["difference, nats", "95% interval", "for one of three", "p"]
display(vh.table(heads, differences(final)))
rows = []
for one, other in PAIRS:
    for epoch in (1, 5):
        ours, theirs = (
            curves[one][:, epoch - 1],
            curves[other][:, epoch - 1],
        )
        apart = stats.ttest_ind(ours, theirs, equal_var=False)
        ends = apart.confidence_interval()
        rows.append([f"{one} − {other}", epoch, interval(ours - theirs)])
        rows[-1].append(f"± {(ends.high - ends.low) / 2:.2f}")
heads = ["difference, nats", "epoch", "paired by the seed"]
vh.table([*heads, "as if the seeds were strangers"], rows)

# %% tags=["check"]
made = dense["A"][0]["provenance"]
vh.check(
    "A, seed 0, trained again for an epoch: test ELBO as stored "
    f"({made['machine']})",
    elbo_again,
    curves["A"][0, 0],
    atol=1,
)


# %% tags=["plumbing"]
def show_training(title, curves, an_epoch, what="seconds of training"):
    """Test ELBO against epochs and seconds; differences to B."""
    _, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
    epochs = np.arange(1, curves["B"].shape[1] + 1)
    for name, values in curves.items():
        middle, half = np.transpose([interval(seeds) for seeds in values.T])
        seconds = epochs * an_epoch[name]
        for panel, at in ((axes[0], epochs), (axes[1], seconds)):
            look = {"color": COLORS[name], "label": name}
            panel.plot(at, middle, "o-", ms=4, **look)
            shade = {"alpha": 0.2, "color": COLORS[name], "lw": 0}
            panel.fill_between(at, middle - half, middle + half, **shade)
    for shift, name in ((-0.07, "A"), (0.07, "path")):
        apart = (curves[name] - curves["B"]).T
        middle, half = np.transpose([interval(values) for values in apart])
        look = {"color": COLORS[name], "label": f"{name} − B"}
        look |= {"fmt": "o-", "ms": 4}
        axes[2].errorbar(epochs + shift, middle, yerr=half, **look)
    axes[2].axhline(0, color=COLORS["B"])
    axes[0].set(title=title, ylabel="test ELBO, nats")
    axes[1].set(title="against time", xlabel=what, xlim=(0, None))
    axes[1].sharey(axes[0])
    axes[2].set(title="paired difference to B, 95% interval", ylabel="nats")
    for panel in (axes[0], axes[2]):
        panel.set_xlabel("epoch (60,000 images each)")
        panel.set_xticks(epochs[:: len(epochs) // 5])
    for panel in axes:
        panel.legend()
    plt.show()


# %% tags=["plumbing"] mystnb={"image": {"alt": "On the left the test ELBO of A, B and the path over five epochs: three curves that rise from −120 to −94 nats and nearly coincide, the path on top. In the middle the same against seconds of training. On the right the differences to B with intervals: A lies 0.1 to 0.3 below zero and its intervals contain it; the path lies 0.4 to 0.7 above zero and its intervals exclude it."}}
seconds = load("estimators-seconds")
an_epoch = {
    name: seconds["estimators_an_epoch"][KEYS[name]] for name in curves
}
show_training("mean of five seeds", curves, an_epoch)

# %% tags=["check"]
vh.check(
    "A and B end within a nat of each other",
    final["B"].mean(),
    final["A"].mean(),
    atol=1,
)
vh.check(
    "on average the path ends ahead of A",
    final["path"].mean(),
    final["A"].mean(),
    relation=">",
)

# %% [markdown]
# On the left the curves lie close together. On the right, and in the tables above: between A and B nothing can be seen at any epoch; after five, the interval of B − A reaches from −0.2 to +0.6 nats. The path ends 0.6 ± 0.3 nats above A, and 0.4 ± 0.3 above B. (Three comparisons were made at the last epoch. With intervals widened for that, in the table above, path − A still excludes zero, path − B does not. In the figure path − B lies above zero at every epoch, but the epochs are those of the same five runs.) An epoch takes about the same time with each, so the axis of seconds shows the same picture.
#
# What did pairing bring? After one epoch the paired interval is narrower for all three differences, after five for one of them: the same seed gives the same start, but the runs soon go their own ways. A lead of half a nat is small as well: the five runs of A alone spread over 0.7 nats.

# %% [markdown]
# Five epochs of a dense network are one case. The convolutional S1 of [chapter 3](03_conv_vae.ipynb) is another: $J = 2$, $M = 32$, ten epochs with Adam and a step of $10^{-4}$, as published with estimator A. The same training was done with B and with the path, from the same five initial weights, on the same minibatches and with the same $\varepsilon$. Fifteen such runs, one after the other, take about two hours; `experiments/run.py s1-threshold s1-a s1-b s1-path` makes them, and here they are read. (Three of A's five are chapter 3's own runs.) As a spot check the first updates of one of them are made again.

# %% tags=["plumbing"]
s1 = {
    "A": vh.stored("s1-threshold") + vh.stored("s1-a"),
    "B": vh.stored("s1-b"),
    "path": vh.stored("s1-path"),
}
s1_curves = {
    name: np.array([run["test_elbo_by_epoch"] for run in runs])
    for name, runs in s1.items()
}
s1_final = {
    name: np.array([run["test_elbo_on"]["threshold"] for run in runs])
    for name, runs in s1.items()
}


def codes(*groups):
    """The commits that made some groups of runs."""
    made = (run["provenance"] for runs in groups for run in runs)
    return ", ".join(dict.fromkeys(of["commit"][:7] for of in made))


# %% tags=["plumbing", "exact"]
rows = []
for name, values in s1_final.items():
    seeds = ", ".join(f"{value:.2f}" for value in values)
    seeds = seeds.replace("-", "−")
    rows.append([name, interval(values), seeds, codes(s1[name])])
heads = ["test ELBO of S1 after ten epochs, nats", "mean, 95% interval"]
display(vh.table([*heads, "seeds 0 to 4", "code"], rows))
heads = ["difference, nats", "95% interval", "for one of three", "p"]
vh.table(heads, differences(s1_final))

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
    "which went on to the first epoch of the run in the table",
    early["after_the_epoch"],
    s1_curves["A"][0, 0],
    atol=0.5,
)

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "On the left the test ELBO of S1 with A, B and the path over ten epochs: three curves that rise from −180 to −157 nats and nearly coincide. In the middle the same against seconds. On the right the differences to B with intervals that reach half a nat to two nats to either side: from the second epoch on A lies near zero, from the fourth on the path half a nat below, and all intervals contain zero."}}
an_epoch = {
    name: np.median([run["seconds_per_epoch"] for run in runs[-2:]])
    for name, runs in s1.items()
}
print("seconds an epoch on one core, with the test (seeds 3 and 4):")
print("; ".join(f"{name} {taken:.0f}" for name, taken in an_epoch.items()))
what = "seconds of training and test"
show_training("S1, mean of five seeds", s1_curves, an_epoch, what)

# %% tags=["check"]
for one, other in PAIRS:
    difference, half = interval(s1_final[one] - s1_final[other])
    vh.check(
        f"S1: the interval of {one} − {other} contains zero",
        abs(difference),
        half,
        relation="<",
    )
apart = {name: np.ptp(values) for name, values in s1_final.items()}
vh.check(
    "the five runs with the path end farthest apart",
    apart["path"],
    max(apart["A"], apart["B"]),
    relation=">",
)

# %% [markdown]
# Again A and B cannot be told apart: B − A is −0.07 ± 0.43 nats. And the lead that the path had in the dense network is not here. Two of its five runs (seeds 3 and 4) end 0.65 to 1.9 nats *below* A and B from the same seeds, the other three slightly above both. The two intervals with the path reach more than a nat to either side of their means, and contain zero. By section 4.5 there was something to gain for a while and little later: in the network of the same kind the path with one draw has 0.63 of B's variance × seconds after one epoch and 0.94 at the end. Whether it loses anything here, five seeds cannot say. With this scatter some fifteen would make the interval half a nat wide on either side; to see a difference of half a nat four times out of five would take about thirty.
#
# (The curves are the tests that each run made after its epochs, with its own estimator; the final figures are by B for all but one run, the second of A. All estimators have the same mean, and in these runs the two readings differ by less than 0.1 nats. The seconds are those of runs that shared a machine with another, so they say no more than that an epoch takes about the same time with each.)

# %% [markdown]
# ## 4.7 Draws or images?
#
# Section 4.5 judged several draws by the noise of one gradient. Now let training judge. (The paper draws one $z$ for each image, and says that this is enough if the minibatch is large, for example 100 images. That is about more draws for the *same* images. Here the draws must be paid for with images.) Every update decodes the same number of $z$, $L M = 100$, and shares them out in one of four ways: 100 images with one draw each, 50 with two, 20 with five, 10 with ten. What should come out? Take (1.33) of [section 1.5](01_theory.ipynb), with $V_x$ for the noise of a single image and $V_\varepsilon$ for that of a single draw. (The $n_x$ and $n_\varepsilon$ of section 4.5 are these, divided by $M$.) The gradient of an update has the variance
#
# $$
# \frac{1}{M} \left( V_x + \frac{V_\varepsilon}{L} \right) = \frac{L \, V_x + V_\varepsilon}{L M} . \tag{4.15}
# $$
#
# With $L M$ fixed this can only grow with $L$: an image of its own lowers both kinds of noise, another draw for the same image lowers one. So update for update one draw should be best. Several draws save time instead, since ten images are encoded faster than a hundred. Does the time make up for the noise?
#
# The network is the first one of section 4.6: dense, one hidden layer of 256 units, $J = 20$. It is trained with B, with Adam and a step of $10^{-3}$ whatever the share (no other step was tried). Every run makes 18,000 updates, so it decodes 1.8 million $z$. The passes over the training images are then thirty, fifteen, six and three. So each image gets thirty draws in all, with every share; what differs is how many of them meet in one update. `experiments/run.py budget` makes the twenty runs, five seeds for each share, in about half an hour. Here they are read.


# %%
def by_formula_415(n, noise_ratio):
    """(4.15) relative to one draw, for V_ε / V_x = `noise_ratio`."""
    return (n + noise_ratio) / (1 + noise_ratio)


# %% tags=["plumbing", "exact"]
SHARES = (1, 2, 5, 10)
budget = {n: vh.stored(f"budget-l{n}-m{100 // n}") for n in SHARES}
LIKELIHOOD = "test_log_likelihood_500"
budget_elbo, budget_likelihood = (
    {n: np.array([run[what] for run in budget[n]]) for n in SHARES}
    for what in ("test_elbo", LIKELIHOOD)
)
lost = {n: interval(budget_elbo[n] - budget_elbo[1]) for n in SHARES}
end = networks["dense, J = 20", "end"]
_, of_encoder = best_draws("dense, J = 20", end, "B")
_, of_decoder = best_draws("dense, J = 20", end, "B", "decoder")
rows = []
for n in SHARES:
    cells = [n, 100 // n, budget[n][0]["epochs"]]
    for noise in (of_encoder, of_decoder):
        cells.append(f"{by_formula_415(n, noise):.1f}")
    for values in (budget_elbo, budget_likelihood):
        cells.append(interval(values[n]))
        cells.append(interval(values[n] - values[1]) if n > 1 else "0")
    rows.append(cells)
heads = ["L", "M", "passes", "(4.15), encoder", "(4.15), decoder"]
for what in ("test ELBO, nats", "log p(x), nats"):
    heads += [what, "less that of L = 1"]
display(vh.table(heads, rows))
print("code", codes(*budget.values()))

# %% [markdown]
# (Columns (4.15): relative to $L = 1$, with $V_\varepsilon / V_x$ from section 4.5, dense, $J = 20$, at the end of training: 1.75 for the encoder, 0.71 for the decoder. That is a larger network, so they give the direction and a rough size. The intervals are 95%, by Student's $t$ over five seeds; the differences are paired by the seed. $\log p(x)$ is estimated by the bound of section 1.8 with 500 draws, and is too low. It is computed for the first 2,000 test images; what it has there above their ELBO is added to the ELBO of all.)
#
# Now the seconds. The stored runs shared their machine, so `experiments/estimators.py` has measured the seconds by themselves, the four shares in turn. Here the first pass of one stored run is trained again.


# %% tags=["check"]
vae = vh.mlp_vae(latent_dim=20, hidden=(256,), seed=0)
vae.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b, samples=2)
training = vh.batches(images.train, 50, "threshold", seed=0)
vae.fit(training, verbose=0)
run = budget[2][0]
vh.check(
    "L = 2, seed 0, trained again for a pass: test ELBO as stored "
    f"({run['provenance']['machine']})",
    vh.elbo(vae, x_test, samples=2),
    run["test_elbo_by_epoch"][0],
    atol=1,
)

# %% tags=["plumbing"]
pace = {n: seconds["shares_600_updates"][str(n)] for n in SHARES}
budget_curves = {
    n: np.array([run["test_elbo_by_epoch"] for run in budget[n]])
    for n in SHARES
}
progress = np.linspace(0, 1, 31)[1:]  # of L = 1: its updates, by pass


def in_same_seconds(n, share):
    """ELBO of L = n at its end, less L = 1 at a share of its updates."""
    ahead = [
        np.interp(share, progress, curve) for curve in budget_curves[1]
    ]
    return interval(budget_curves[n][:, -1] - np.array(ahead))


# %% tags=["plumbing", "exact"]
same_seconds = {n: in_same_seconds(n, pace[n] / pace[1]) for n in SHARES}
rows = [
    [
        n,
        pace[n] / pace[1],
        f"{by_formula_415(n, of_encoder) * pace[n] / pace[1]:.1f}",
        same_seconds[n],
    ]
    for n in SHARES[1:]
]
heads = ["L", "seconds", "(4.15), encoder × seconds"]
vh.table([*heads, "ELBO less that of L = 1 in the same seconds"], rows)

# %% [markdown]
# (Seconds: for as many updates, relative to $L = 1$. In the last column $L = 1$ stops where its seconds are as many as those of the other share in all its updates. The interval holds the scatter of the seeds, not that of the seconds.)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Test ELBO of the four shares, five seeds each with intervals. On the left against updates: one draw lies on top and ends at −86 nats, two half a nat below, five at −88, ten at −91. On the right against seconds: two draws begin below one and come near it at the end, five and ten stay below."}}
figure, axes = plt.subplots(
    1, 2, figsize=(10, 3.6), sharey=True, layout="constrained"
)
shades = plt.get_cmap("Blues_r")(np.linspace(0, 0.65, 4))  # all are B
for n, color, mark in zip(SHARES, shades, "osD^", strict=True):
    curve = budget_curves[n]
    done = np.arange(1, curve.shape[1] + 1) / curve.shape[1]
    middle, half = np.transpose([interval(values) for values in curve.T])
    for panel, last in zip(axes, (18_000, 30 * pace[n]), strict=True):
        look = {
            "ms": 4,
            "color": color,
            "label": f"L = {n}, M = {100 // n}",
        }
        panel.plot(last * done, middle, f"{mark}-", **look)
        shade = {"alpha": 0.3, "color": color, "lw": 0}
        panel.fill_between(
            last * done, middle - half, middle + half, **shade
        )
axes[0].set(xlabel="updates of 100 decoded z", ylabel="test ELBO, nats")
axes[0].set(ylim=(-105, None))
axes[1].set(xlabel="seconds of training")
axes[0].legend()
plt.show()

# %% tags=["check"]
for what, values in (
    ("test ELBO", budget_elbo),
    ("log p(x)", budget_likelihood),
):
    means = [values[n].mean() for n in SHARES]
    vh.check(
        f"the more draws for an image, the lower the {what}",
        np.diff(means),
        0,
        relation="<",
    )
    less = [interval(values[n] - values[1]) for n in SHARES[1:]]
    vh.check(
        "the intervals of its differences to one draw exclude zero",
        [middle + half for middle, half in less],
        0,
        relation="<",
    )
widened = {
    (what, n): sum(interval(values[n] - values[1], comparisons=3))
    for what, values in enumerate((budget_elbo, budget_likelihood))
    for n in SHARES[1:]
}
not_sure = widened.pop((0, 2))
vh.check("widened for three too", [*widened.values()], 0, relation="<")
vh.check("but for two draws in the ELBO", not_sure, 0, relation=">")

# %% tags=["plumbing", "exact"]
rows = [
    [n, f"{share}", in_same_seconds(n, share)]
    for n, share in ((5, 0.5), (10, 0.5), (2, 0.75), (2, 0.95))
]
vh.table(["L", "if its seconds were", "ELBO less that of L = 1"], rows)

# %% [markdown]
# Update for update the order is that of (4.15): two draws end 0.6 nats below one, five 2.4, ten 4.8, and $\log p(x)$ says nearly the same. (The size of (4.15) is no forecast of the nats. In the figure the distance to one draw is largest early on, and shrinks later.) Five and ten draws save 9 and 15 per cent of the seconds, and still lose: 2.2 and 4.4 nats in the same seconds. Two draws save next to nothing and lose 0.6 ± 0.4. Only if they took a quarter less time would they be level with one, says the last table. That fits the column (4.15) × seconds. It is 1 for one draw, and 1.3, 2.2 and 3.6 for the others. By the seconds of section 4.5, with a larger network, two draws would have been a little better than one. Here fewer images save less time. Why was not measured; part of an update, such as the step of Adam, does not get cheaper with fewer images.
#
# Two things go along with $M$ that this comparison does not take apart. Fewer images per update mean fewer passes; and the step of Adam is the same for all shares, though a noisier gradient may want a smaller one. So the statement is this: with the usual step and 100 decoded $z$ an update, five and ten draws lose, update for update and second for second. Two draws lose as well, while the intervals of the ELBO are not widened. Nothing speaks for trading images for draws.

# %% [markdown]
# ## 4.8 Tighter bounds
#
# Take $k$ draws for each image and average $k$ values of estimator A. The mean stays, the noise is divided by $\sqrt{k}$, and that is all: nothing but less noise, at $k$ times the decoder's work. (In this section noise means a standard deviation: half the variance is 0.7 of the noise.) The importance-weighted bound of [section 1.8](01_theory.ipynb) does something else with the same draws. It takes the logarithm *after* the average. Draw $k$ independent $z_i = \mu + \sigma\varepsilon_i$ for one image; then
#
# $$
# \widetilde{\mathcal{L}}_k = \log \frac{1}{k} \sum_{i=1}^{k} w_i, \quad w_i = \frac{p_\theta(x, z_i)}{q_\phi(z_i \mid x)}, \qquad \nabla \widetilde{\mathcal{L}}_k = \sum_i \tilde w_i \, \nabla \log w_i, \quad \tilde w_i = \frac{w_i}{\sum_l w_l}. \tag{4.16}
# $$
#
# Here $\nabla$ is the gradient by $\theta$ and $\phi$, with $z_i$ moving as $\phi$ does, and the $\tilde w_i$ add up to 1. For $k = 1$ this is estimator A. As $k$ grows the mean $\mathcal{L}_k$ climbs towards $\log p_\theta(x)$. Look at it on the network of section 4.2, after ten epochs.

# %% tags=["plumbing", "exact"]
tighter = kept["moments"]["after 10 epochs"]["bound"]
rows = [
    [
        "bound, nats",
        *(f"{v:.2f}".replace("-", "−") for v in tighter.values()),
    ]
]
display(vh.table(["k", *tighter], rows))
gains = np.diff(list(tighter.values()))
print(f"last step over the one before: {gains[2] / gains[1]:.2f};", end=" ")
print("a gap like 1/k would give 0.10")

# %% tags=["check"]
model.set_weights(moments["after 1 epoch"])
again = {
    k: vh.elbo(model, x_test[:1000], samples=k, objective=vh.iwae)
    for k in (1, 5, 50)
}
vh.check(
    "the bound rises with k, measured here after one epoch",
    np.diff(list(again.values())),
    0,
    relation=">",
)
vh.check(
    f"k = 5, after one epoch: the bound as stored ({MACHINE})",
    again[5],
    kept["moments"]["after 1 epoch"]["bound"]["5"],
    atol=1,
)
vh.check(
    "k = 1 is estimator A, image by image",
    value(lambda model, x: vh.iwae(model, x, 1), 5),
    value(vh.sgvb_a, 5),
    atol=1e-3,
)

# %% [markdown]
# A tighter bound, so a better thing to maximise? For the decoder, in the limit, yes: $\mathcal{L}_k$ becomes $\log p_\theta(x)$, and its gradient by $\theta$ that of $\log p_\theta(x)$. But which gradient does the *encoder* get? Let $w$ be one such weight, and suppose that its variance is finite. Then for large $k$, by (1.47),
#
# $$
# \mathcal{L}_k \approx \log p_\theta(x) - \frac{v}{2k}, \qquad v = \mathrm{Var} \left( \frac{w}{p_\theta(x)} \right). \tag{4.17}
# $$
#
# $v$ says how unequal the weights are; it is zero where $q$ is the exact posterior. Only $v$ depends on $\phi$. So the encoder's mean gradient, the *signal*, shrinks like $1/k$. Its noise does not shrink as fast. The gradient by $\phi$ is $\frac{1}{k} \sum_i \nabla_\phi w_i$ over $\frac{1}{k} \sum_i w_i$. The denominator tends to $p_\theta(x)$. The numerator is an average of $k$ terms whose mean is $\nabla_\phi \, p_\theta(x) = 0$, and its noise falls like $1/\sqrt{k}$. So the *signal-to-noise ratio* of the encoder's gradient should fall like $1/\sqrt{k}$. The decoder's signal keeps its size (until the training has converged), and its ratio should rise like $\sqrt{k}$, as it does when $k$ values are averaged ([Rainforth et al. 2018](../book/bibliography.md)).
#
# Take that as a direction, not as a prediction for $k \le 50$. By section 4.2 $\log w$ has a variance of some twenty nats² here; weights that differ by such factors are far from (4.17), and the printed steps above say the same.
#
# There is a repair. $\phi$ enters $\log w_i$ in two ways. It moves the draw $z_i$; and at a fixed place it changes the density $q_\phi(z_i \mid x)$. Write the first as $r_i = \frac{\partial \log w_i}{\partial z_i} \frac{\partial z_i}{\partial \phi}$ (a sum over the coordinates of $z_i$), the second as $-\partial_\phi \log q_\phi(z_i \mid x)$ with $z_i$ held fixed. By (4.16),
#
# $$
# \nabla_\phi \widetilde{\mathcal{L}}_k = \sum_i \tilde w_i \, r_i - \sum_i \tilde w_i \, \partial_\phi \log q_\phi(z_i \mid x) . \tag{4.18}
# $$
#
# The second sum has the form of a score-function gradient. Could you leave it out, as the path estimator does? For $k = 1$ yes: the weight is the constant 1, and a score has mean zero. For $k > 1$ no: $\tilde w_i$ depends on the same $z_i$ as its score. But section 1.3 writes the gradient of one and the same expectation in two ways, by the score and by the moved sample. So for a function $g$ of $z$ alone (continuous, smooth but for kinks, not growing too fast),
#
# $$
# \mathbb{E}\left[ g(z) \, \partial_\phi \log q_\phi(z \mid x) \right] = \mathbb{E}\left[ \frac{\partial g}{\partial z} \frac{\partial z}{\partial \phi} \right]. \tag{4.19}
# $$
#
# Use it with $g = \tilde w_i$: hold the other draws fixed, which are independent of $z_i$, and the $\phi$ inside $\tilde w_i$ as well. Since $\frac{\partial \tilde w_i}{\partial z_i} = \tilde w_i (1 - \tilde w_i) \frac{\partial \log w_i}{\partial z_i}$, the second sum has the mean of $\sum_i \tilde w_i (1 - \tilde w_i) r_i$. Subtract:
#
# $$
# \nabla_\phi \mathcal{L}_k = \mathbb{E}\left[ \sum_i \tilde w_i^2 \, r_i \right]. \tag{4.20}
# $$
#
# This is the *doubly reparameterised* gradient, DReG ([Tucker et al. 2019](../book/bibliography.md)), in the package `vh.iwae_doubly_reparameterized`. The mean is IWAE's, so the signal still shrinks like $1/k$. What changes is the noise. The sum is $\frac{1}{k}$ times a fraction of averages, $\frac{1}{k} \sum_i w_i^2 r_i$ over $(\frac{1}{k} \sum_i w_i)^2$. The fraction tends to a constant, and its own noise falls like $1/\sqrt{k}$. So DReG's noise falls like $1/(k\sqrt{k})$, where IWAE's falls like $1/\sqrt{k}$ only, and its signal-to-noise ratio *rises* like $\sqrt{k}$.
#
# Check two things. With $k = 1$ and the same noise, DReG and the path estimator should agree entry by entry. With $k = 5$, DReG and IWAE should have the same mean, and a gradient that leaves the second sum out another. If two means are equal, the squared distance of two averages of 100 draws is, on average, what the variances divided by 100 add up to. The cell measures the distance in this unit, for one set of twenty images, with the network after one epoch. Equal means give about 1; between 0.5 and 1.5 passes.


# %%
def without_score(model, x, samples=5):
    """IWAE without the second sum of (4.18): biased for k > 1."""
    q = model.posterior(x)
    z = q.sample(samples, seed=model.next_seed())
    mean, scale = q.distribution.loc, q.distribution.scale
    fixed_q = tfp.distributions.Normal(
        tf.stop_gradient(mean), tf.stop_gradient(scale)
    )
    log_q = tf.reduce_sum(fixed_q.log_prob(z), axis=-1)
    log_p = model.likelihood(z).log_prob(x) + model.prior.log_prob(z)
    return tf.reduce_logsumexp(log_p - log_q, axis=0) - math.log(samples)


def distance_over_noise(one, other, draws):
    """Squared distance of two mean gradients, over what noise explains."""
    of_encoder = [v.path for v in model.encoder.trainable_variables]
    (mean, variance), (other_mean, other_variance) = one, other
    squared = sum(
        np.sum((mean[p] - other_mean[p]) ** 2) for p in of_encoder
    )
    noise = sum(np.sum(variance[p] + other_variance[p]) for p in of_encoder)
    return squared * draws / noise


# %%
dreg = vh.iwae_doubly_reparameterized
twenty = minibatches[0][:20]
of_iwae, of_dreg, of_without = (
    gradient_moments(model, objective, twenty, 100, samples=5, seed=seed)
    for seed, objective in enumerate((vh.iwae, dreg, without_score))
)

# %% tags=["check"]
vh.check(
    "k = 5: DReG's mean is IWAE's, for what the noise can tell",
    distance_over_noise(of_iwae, of_dreg, 100),
    1,
    atol=0.5,
)
vh.check(
    "without the second sum the mean is another",
    distance_over_noise(of_iwae, of_without, 100),
    2,
    relation=">",
)
single, of_path = (
    gradient_moments(model, objective, twenty, repeats=2)[0]
    for objective in (dreg, vh.sticking_the_landing)
)
vh.check(
    "k = 1: DReG is the path estimator, relative to the largest entries",
    [
        np.abs(single[path] - entries).max() / np.abs(entries).max()
        for path, entries in of_path.items()
    ],
    0,
    atol=1e-3,
)

# %% [markdown]
# Now the ratios, for $k = 1$, 5 and 50 on the eight minibatches, with twenty images of each and a hundred gradients drawn. The signal is the length of the mean gradient, the noise the root of the summed variances. (A mean of 100 draws still holds a hundredth of the variance, which would make it look longer; `signal_to_noise` subtracts that from the squared length.) The decoder's gradient is the same with both estimators, as in section 4.4, so it is measured once. The intervals are 95% over the eight minibatches; the last column is a geometric mean.


# %%
def signal_to_noise(found, variables, draws):
    """Length of the mean gradient, over the root of summed variances."""
    paths = [variable.path for variable in variables]
    mean, variance = found
    noise = sum(variance[p].sum() for p in paths)
    squared = sum(np.square(mean[p]).sum() for p in paths)
    return np.sqrt(max(squared - noise / draws, 0) / noise)


# %% tags=["check"]
row = networks["dense, J = 20", "middle"]
for name, objective in (("iwae", vh.iwae), ("dreg", dreg)):
    found = gradient_moments(model, objective, twenty, 100, samples=5)
    vh.check(
        f"signal / noise of the encoder, {name}, k = 5, after one epoch, "
        f"first minibatch: as stored ({row['provenance']['machine']})",
        signal_to_noise(found, model.encoder.trainable_variables, 100),
        row["first"][f"{name}, 5, signal"],
        rtol=0.15,
    )

# %% tags=["plumbing", "exact"]
SAMPLES = (1, 5, 50)
CURVES = {
    "IWAE, encoder": ("iwae", ("mu", "scale", "encoder")),
    "DReG, encoder": ("dreg", ("mu", "scale", "encoder")),
    "decoder": ("iwae", ("decoder",)),
}
last = kept["moments"]["after 10 epochs"]["estimators"]
signal = {}  # by curve and k: a ratio for each minibatch
for curve, (name, parts) in CURVES.items():
    for k in SAMPLES:
        squared, noise = (
            sum(np.array(last[name][str(k)][f"{of}_{p}"]) for p in parts)
            for of in ("squared_mean", "variance")
        )
        signal[curve, k] = np.sqrt(squared / noise)
change = {c: geometric(signal[c, 50] / signal[c, 1]) for c in CURVES}
rows = [
    [
        curve,
        *(interval(signal[curve, k]) for k in SAMPLES),
        with_interval(change[curve]),
    ]
    for curve in CURVES
]
heads = [f"k = {k}" for k in SAMPLES]
vh.table(["signal / noise", *heads, "k = 50 over k = 1"], rows)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Signal over noise against k = 1, 5, 50, both axes logarithmic. The decoder rises from 1.4 to 2.2, much flatter than the dotted slope of the square root. The encoder falls gently, with DReG from 1.5 to 1.2 and with IWAE from 1.0 to 0.8, while the dashed slope drops to 0.14."}}
figure, panel = plt.subplots(figsize=(7, 3.6), layout="constrained")
of_curve = (COLORS["IWAE"], COLORS["DReG"], "black")
for curve, color in zip(CURVES, of_curve, strict=True):
    middle, half = np.transpose(
        [interval(signal[curve, k]) for k in SAMPLES]
    )
    look = {"fmt": "o-", "color": color, "label": curve}
    panel.errorbar(SAMPLES, middle, yerr=half, **look)
for curve, slope, line, label in (
    ("IWAE, encoder", -0.5, "--", r"slope of $1/\sqrt{k}$ (IWAE)"),
    ("decoder", 0.5, ":", r"slope of $\sqrt{k}$ (decoder, DReG)"),
):
    law = signal[curve, 1].mean() * np.power(SAMPLES, slope)
    panel.plot(SAMPLES, law, line, color="gray", label=label)
panel.set(xscale="log", yscale="log", xlabel="k", ylabel="signal / noise")
panel.set_xticks(SAMPLES, [str(k) for k in SAMPLES])
ticks = [0.2, 0.5, 1, 2, 5, 10]
panel.set_yticks(ticks, [str(tick) for tick in ticks])
panel.minorticks_off()
lines, _ = panel.get_legend_handles_labels()  # the measured curves first
beside = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
panel.legend(handles=lines[2:] + lines[:2], **beside)
plt.show()

# %% tags=["check"]
vh.check(
    "from k = 1 to 50 the decoder's ratio rises",
    change["decoder"][LOW],
    1,
    relation=">",
)
vh.check("less than threefold", change["decoder"][HIGH], 3, relation="<")
falls = np.array([change["IWAE, encoder"], change["DReG, encoder"]])
vh.check(
    "the encoder's falls, with IWAE and with DReG",
    falls[:, HIGH],
    1,
    relation="<",
)
vh.check("to no less than half", falls[:, LOW], 0.5, relation=">")
gains = np.array(
    [
        geometric(signal["DReG, encoder", k] / signal["IWAE, encoder", k])
        for k in (1, 50)
    ]
)
vh.check(
    "DReG's is at least 1.3 times IWAE's, at k = 1 and at 50",
    gains[:, LOW],
    1.3,
    relation=">",
)
vh.check("at most 1.8 times", gains[:, HIGH], 1.8, relation="<")

# %% [markdown]
# For IWAE's encoder and for the decoder the directions are those of the theory. The sizes are not. From one draw to fifty the encoder's ratio falls by a fifth, where $1/\sqrt{k}$ would leave a seventh of it; the decoder's rises by half, where $\sqrt{k}$ would make it seven times as large. For DReG even the direction differs: its ratio should rise, and falls as IWAE's does. It lies higher by half: but so it did at $k = 1$, where it is the path estimator. (By the table of section 4.4 the path has a little less than half the variance of A, so its noise is smaller by a factor of 1.5.) On this trained network, then, the repair brings what section 4.3 brought, and nothing that grows with $k$.
#
# Why? The laws begin where $v/k$ is small: with a $q$ close to the posterior, or a $k$ far beyond $v$. (If $v$ is infinite, as it may be by section 1.8, they never begin.) A step in the bound shows how far away that is here: from $k = 50$ to 500 it gains half as much as from 5 to 50, where a gap like $1/k$ would gain a tenth. Look at the weights themselves: how much of the whole does the heaviest of the fifty carry? And how many equal weights would be as good? A usual answer to the second is the *effective number* $1 / \sum_i \tilde w_i^2$.


# %%
def normalised_weights(x, k, seed=0):
    """The weights of (4.16) for each image, [k, n]."""
    with model.using(keras.random.SeedGenerator(seed)):
        q = model.posterior(x)
        z = q.sample(k, seed=model.next_seed())
    log_ratio = q.log_prob(z) - model.prior.log_prob(z)
    log_weights = model.likelihood(z).log_prob(x) - log_ratio
    return tf.nn.softmax(log_weights, axis=0).numpy()


# %% tags=["plumbing", "exact"]
shares = {name: of["weights_of_50"] for name, of in kept["moments"].items()}
rows = [
    [name, f"{of['heaviest']:.0%}", of["effective"]]
    for name, of in shares.items()
]
heads = ["fifty draws for each of 1,000 test images"]
heads += ["heaviest weight, mean", "effective number, median"]
vh.table(heads, rows, digits=1)

# %% tags=["check"]
chunks = [x_test[i : i + 100] for i in range(0, 1000, 100)]
again = np.concatenate([normalised_weights(c, 50) for c in chunks], axis=1)
vh.check(
    f"share of the heaviest, after one epoch: as stored ({MACHINE})",
    again.max(axis=0).mean(),
    shares["after 1 epoch"]["heaviest"],
    atol=0.05,
)
vh.check(
    "after ten epochs the heaviest carries over 45% on average",
    shares["after 10 epochs"]["heaviest"],
    0.45,
    relation=">",
)
vh.check(
    "and the median effective number is below 4",
    shares["after 10 epochs"]["effective"],
    4,
    relation="<",
)
vh.check(
    "before training it is more than 4",
    shares["start"]["effective"],
    4,
    relation=">",
)
vh.check("and less than 20", shares["start"]["effective"], 20, relation="<")

# %% [markdown]
# Of fifty draws two or three count. The argument for large $k$ needs sums in which no single term matters; here one term carries more than half. Do not read $v$ off the effective number: it is about $k / (1 + v)$ only if $k$ is far above $v$, and since it is never below 1, fifty draws could not show a $v$ above 49. The logarithms tell more. If $\log w$ were Gaussian with the 19 nats² of section 4.2, then $1 + v = e^{19}$, more than $10^8$. A $k$ of fifty is nowhere near that.
#
# Is it this one training? `experiments/gradients.py` has carried the same training on to thirty epochs (seed 0), and done another from other initial weights (seed 1). It measured the ratios at three stages, on twenty images of each of its ten minibatches.


# %% tags=["plumbing", "exact"]
of_seed = {0: {s: networks["dense, J = 20", s] for s in STAGES}, 1: second}
quotients = {
    (stage, seed): of_seed[seed][stage]["signal"]
    for stage in STAGES
    for seed in of_seed
}
rows = [
    [f"{STAGES[stage]}, {seed}", *map(with_interval, found.values())]
    for (stage, seed), found in quotients.items()
]
heads = ["moment, seed", "IWAE’s encoder, 50 / 1", "DReG’s, 50 / 1"]
heads += ["decoder, 50 / 1", "DReG / IWAE, k = 1", "k = 50"]
vh.table(heads, rows)


# %% tags=["check"]
def of_quotient(name, which, stages=STAGES):
    """A side of its interval for both seeds, at some stages."""
    return [
        quotients[s, seed][name][which] for s in stages for seed in (0, 1)
    ]


both = ("iwae 50/1", "dreg 50/1")
vh.check(
    "two seeds, three stages: from k = 1 to 50 the decoder's ratio rises",
    of_quotient("decoder 50/1", LOW),
    1,
    relation=">",
)
vh.check(
    "less than threefold",
    of_quotient("decoder 50/1", HIGH),
    3,
    relation="<",
)
vh.check(
    "the encoder's falls, with IWAE and with DReG",
    [of_quotient(name, HIGH) for name in both],
    1,
    relation="<",
)
vh.check(
    "after one epoch and at the end to no less than half",
    [of_quotient(name, LOW, ("middle", "end")) for name in both],
    0.5,
    relation=">",
)

# %% tags=["check"]
before, later = (
    np.array([of_quotient("iwae 50/1", which, [s]) for s in stages])
    for which, stages in ((HIGH, ["start"]), (LOW, ["middle", "end"]))
)
vh.check(
    "before training it falls farther with IWAE",
    before,
    later,
    relation="<",
)
vh.check(
    "before training what DReG gains grows with k",
    of_quotient("dreg/iwae 50", LOW, ["start"]),
    of_quotient("dreg/iwae 1", HIGH, ["start"]),
    relation=">",
)
vh.check(
    "later it is less than 1.8",
    of_quotient("dreg/iwae 50", HIGH, ("middle", "end")),
    1.8,
    relation="<",
)

# %% [markdown]
# After one epoch and after thirty the picture is that of ten: DReG's ratio is about 1.5 times IWAE's, whatever $k$. (With seed 0 that lead still grows a little after one epoch, from 1.51 to 1.64.) Before training it is different. IWAE's ratio falls to 0.36 and 0.55; the law for large $k$, applied from $k = 1$, would give 0.14. The decoder's rises 2.5 and 2.0 times, where it would give 7. DReG's falls as well, to 0.69 and 0.79, where its law lets it rise. But it falls less than IWAE's: it is 2.2 times IWAE's at $k = 1$, and 4.3 and 3.2 times at $k = 50$. There the repair brings something that grows with $k$. (The intervals are over minibatches. Before training the two seeds differ by more than that.)
#
# ## 4.9 Do tighter bounds train better?
#
# A worse ratio for the encoder, a better one for the decoder: which of them decides? Train. The setting is near to that of [Burda et al. 2016](../book/bibliography.md): two layers of 200 tanh units on either side, $J = 50$, Adam with a step of $10^{-3}$, minibatches of twenty, digits binarised anew on every pass (the *dynamic* version). They trained for 3,280 epochs, and lowered the step in eight stages to $10^{-4}$; here there are five epochs with the first step. (They also let the output bias begin at the mean image, and used another $\epsilon$ in Adam.) So do not read the levels. Read who is ahead.
#
# Two comparisons must be kept apart. *After the same images*: does the bound help, or is it only the draws? An average of $k$ draws of A is quieter as well, and leaves the bound as it is. So A is trained with five and with fifty draws, too. *After the same seconds*: five draws take longer than one, fifty much longer. So A with one draw also goes on for 13 epochs, which take about as long as five with five draws, and for forty. `experiments/run.py iwae dreg a-k5 a-k50` makes these 35 runs in about two and a half hours on one core: five seeds for each row, but three for fifty draws and forty epochs, and a single one for A with fifty draws.

# %% tags=["plumbing"]
TIGHT = {
    ("A", 1, 5): "iwae-k1",
    ("A", 5, 5): "a-k5",
    ("IWAE", 5, 5): "iwae-k5",
    ("DReG", 5, 5): "dreg-k5",
    ("A", 50, 5): "a-k50",
    ("IWAE", 50, 5): "iwae-k50",
    ("DReG", 50, 5): "dreg-k50",
    ("A", 1, 13): "iwae-k1-13",
    ("A", 1, 40): "iwae-k1-long",
}  # objective, draws, epochs
tight = {key: vh.stored(run) for key, run in TIGHT.items()}


def of_runs(key, what=LIKELIHOOD):
    return np.array([run[what] for run in tight[key]])


def paired(one, other):
    """Differences in log p(x) of the seeds that both have."""
    both = min(len(tight[one]), len(tight[other]))
    return of_runs(one)[:both] - of_runs(other)[:both]


def shown(values):
    """Mean and 95% interval of the runs; a single run has none."""
    return interval(values) if len(values) > 1 else float(values[0])


# %% tags=["plumbing", "exact"]
rows = []
for key, runs in tight.items():
    one_draw = ("A", 1, 5)
    gain = "0" if key == one_draw else shown(paired(key, one_draw))
    rows.append([*key, len(runs), shown(of_runs(key)), gain])
    for what in ("test_elbo", "test_objective"):
        rows[-1].append(shown(of_runs(key, what)))
    rows[-1].append(", ".join(map(str, of_runs(key, "active_units"))))
heads = ["objective", "k", "epochs", "seeds", "log p(x), nats"]
heads += ["less that of the first row", "ELBO, nats", "its bound, nats"]
display(vh.table([*heads, "active units"], rows))
print("code", codes(*tight.values()))

# %% tags=["plumbing", "exact"]
PAIRS_TIGHT = [
    (("A", 5, 5), ("A", 1, 5)),
    (("IWAE", 5, 5), ("A", 5, 5)),
    (("DReG", 5, 5), ("A", 5, 5)),
    (("DReG", 5, 5), ("IWAE", 5, 5)),
    (("IWAE", 50, 5), ("IWAE", 5, 5)),
    (("DReG", 50, 5), ("DReG", 5, 5)),
    (("DReG", 50, 5), ("IWAE", 50, 5)),
    (("A", 1, 13), ("A", 5, 5)),
    (("A", 1, 13), ("IWAE", 5, 5)),
    (("A", 1, 13), ("DReG", 5, 5)),
    (("A", 1, 40), ("DReG", 50, 5)),
]
ALONE = [
    (("A", 50, 5), ("A", 5, 5)),
    (("IWAE", 50, 5), ("A", 50, 5)),
    (("DReG", 50, 5), ("A", 50, 5)),
]  # seed 0 alone
better = {pair: interval(paired(*pair)) for pair in PAIRS_TIGHT}
widened = {
    pair: interval(paired(*pair), len(PAIRS_TIGHT)) for pair in PAIRS_TIGHT
}
rows = []
for pair in PAIRS_TIGHT + ALONE:
    names = ("{}, k = {}, {} epochs".format(*key) for key in pair)
    wide = f"± {widened[pair][1]:.2f}" if pair in widened else "one seed"
    rows.append([*names, shown(paired(*pair)), wide])
heads = ["log p(x) of", "less that of", "nats, 95% interval"]
vh.table([*heads, f"for one of {len(PAIRS_TIGHT)}"], rows)

# %% [markdown]
# ("Its bound" is what the row maximises. It and the ELBO are of all test images, made binary once for all rows by the dynamic recipe. $\log p(x)$ is estimated as in section 4.7, here from the first 1,000 test images. *Active* are the coordinates that `vh.active_units` counts, as in section 2.8: those whose $\mu_j$ has a variance over the test images above 0.01; one number for each seed. Intervals: 95%, Student's $t$, over the seeds of the row; differences over the seeds that both rows have. A with fifty draws is seed 0 alone: compare it by the last three lines, not by the rows.)
#
# Now the first updates of one stored run once more, and the seconds of an update, which `experiments/estimators.py` has measured, the objectives in turn.


# %% tags=["check"]
early = begun["runs"]["iwae-k5"]
vae = vh.mlp_vae(
    hidden=(200, 200), latent_dim=50, activation="tanh", seed=0
)
vae.compile(keras.optimizers.Adam(1e-3), objective=vh.iwae, samples=5)
training = vh.batches(images.train, 20, "dynamic", seed=0)
vae.fit(training.take(early["updates"]), verbose=0)
test = vh.binarize(images.test, "dynamic", seed=1)[: early["images"]]
vh.check(
    f"IWAE, k = 5, seed 0, after {early['updates']} updates: "
    f"its bound as stored ({begun['provenance']['machine']})",
    vh.elbo(vae, test, samples=5, objective=vh.iwae),
    early["test_objective"],
    atol=0.1,
)
vh.check(
    "which went on to the first epoch of the run in the table",
    early["after_the_epoch"],
    tight["IWAE", 5, 5][0]["test_elbo_by_epoch"][0],
    atol=1,
)

# %% tags=["plumbing", "exact"]
per_epoch = {
    (name, k): seconds["tighter_an_epoch"][f"{name.lower()}-k{k}"]
    for name, k, epochs in TIGHT
    if epochs == 5
}
rows = [
    [f"{name}, k = {k}", taken / 3, taken / per_epoch["A", 1]]
    for (name, k), taken in per_epoch.items()
]
vh.table(
    ["objective", "ms an update", "over A's, one draw"], rows, digits=1
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "log p(x) against seconds of training, the seconds on a logarithmic axis. A with one draw rises from −105 after five epochs to −99 after thirteen and −96 after forty. IWAE and A with five draws lie together at −101, one to two nats below that line, DReG with five at −99.5, just below it. With fifty draws all three lie far to the right, between −100 and −99, three to five nats below where the line ends."}}
figure, panel = plt.subplots(figsize=(7, 4), layout="constrained")
MARKS = {1: "o", 5: "s", 50: "D"}
for name, k in per_epoch:
    found = [key for key in tight if key[:2] == (name, k)]
    taken = [epochs * per_epoch[name, k] for *_, epochs in found]
    middle, half = np.transpose(
        [
            interval(of_runs(key))
            if len(tight[key]) > 1
            else (of_runs(key)[0], 0)
            for key in found
        ]
    )
    look = {"color": COLORS[name], "ms": 6, "capsize": 2}
    look |= {"fmt": f"{MARKS[k]}-", "label": f"{name}, k = {k}"}
    panel.errorbar(taken, middle, yerr=half, **look)
panel.set(xscale="log", xlabel="seconds of training")
panel.set_ylabel("log p(x), nats")
panel.set_xticks([30, 100, 300, 1000], ["30", "100", "300", "1000"])
panel.minorticks_off()
panel.legend(loc="lower right", ncols=3)
plt.show()

# %% tags=["check"]
A_1, A_5, IWAE_5, DREG_5 = (
    (name, k, 5)
    for name, k in (("A", 1), ("A", 5), ("IWAE", 5), ("DReG", 5))
)
for claim, pair in (
    ("A with five draws is above A with one, widened", (A_5, A_1)),
    ("DReG above A, both with five draws", (DREG_5, A_5)),
    ("DReG above IWAE, both with five", (DREG_5, IWAE_5)),
    ("A with one draw and 13 epochs above A", (("A", 1, 13), A_5)),
    ("and above IWAE with five", (("A", 1, 13), IWAE_5)),
):
    vh.check(claim, *widened[pair], relation=">")
difference, half = better[IWAE_5, A_5]
vh.check(
    "IWAE − A, both with five draws: the interval contains zero",
    abs(difference),
    half,
    relation="<",
)
vh.check(
    "A with forty epochs is above DReG with fifty draws",
    *better[("A", 1, 40), ("DReG", 50, 5)],
    relation=">",
)
vh.check(
    "in fewer seconds",
    40 * per_epoch["A", 1],
    5 * per_epoch["DReG", 50],
    relation="<",
)

# %% [markdown]
# (In the figure the bars are 95% intervals over the seeds; A with fifty draws, one run, has none.)
#
# **After the same images.** Five draws bring A itself 3.4 ± 1.1 nats of $\log p(x)$, and A leaves the bound as it is. Between IWAE and A with five draws each no difference is seen: +0.15 ± 0.71. So most of the lead that IWAE has over A with one draw, 3.5 nats, is there without the tighter bound. A gain by the bound may still be there, and be cancelled by IWAE's noisier encoder gradient: DReG, with the same bound and a quieter encoder, is above both, by 1.9 ± 0.6 and 1.7 ± 0.2 nats. To take the two apart one would need the path estimator with five draws, which was not trained here. From five draws to fifty IWAE gains another 1.0 ± 0.7, DReG half a nat, for seven to eight times the seconds; widened for all the comparisons these two contain zero. A with fifty draws was trained only once; it ended 0.3 nats above its own run with five, and 0.4 below IWAE's run with fifty from the same seed.
#
# These intervals hold the scatter of the seeds, not the error of $\log p(x)$ with 500 draws. That estimate is too low by more where $q$ fits worse: with IWAE and DReG, whose $\log p(x)$ and ELBO are 11 to 21 nats apart, by more than with A, where it is 5 to 8. In section 4.8 the bound still rose by a nat from 50 to 500 draws. So the tighter bounds may stand better against A than the table says, after the same images and after the same seconds, and IWAE better against DReG.
#
# Did the encoder's falling ratio do harm, then? With IWAE in the place of A no difference was seen. With DReG, whose encoder has the better ratio in section 4.8, training was better. That is as far as it goes: the ratio was measured on another network.
#
# **After the same seconds.** Draws must be paid for. By the lines above, five epochs with five draws take as long as eleven or twelve with one draw, and as fourteen or fifteen if they are DReG's. A with one draw and thirteen epochs ends 2.5 ± 1.0 nats above A and 2.3 ± 0.5 above IWAE with five. (The epoch or two that it has in excess are worth about 0.6 nats: so much does its ELBO rise in the last two epochs of the stored runs.) DReG, in slightly more seconds, ends 0.6 ± 0.5 nats below A; widened, that interval contains zero. In less than half of the seconds that fifty draws take, A with one draw makes forty epochs, and stands 3.4 ± 1.0 nats above DReG (three seeds; widened, the interval just excludes zero). At this stage another pass is worth more than more draws, whatever is done with them, but for DReG with five, which comes close.
#
# **Now look at the column of the ELBO.** IWAE with fifty draws leads the first row by 4 nats of $\log p(x)$, and has an ELBO that lies 10 nats *lower*. Its ELBO and its $\log p(x)$ are 21 nats apart, those of A seven. A tighter bound does not ask $q$ to be close to the posterior. It asks for fifty proposals of which one is good. So do not judge such a model by its ELBO, and do not use its encoder as if $q$ were the posterior.
#
# **Later** all this may turn, since passes bring less and less. In the published table, after 3,280 epochs, A gains 0.4 nats from fifty draws, and IWAE 2.0 ($-86.8$ with one draw, $-86.4$ with fifty of A, $-84.8$ with fifty of IWAE). One need not begin with the bound either: a model trained with one draw to the end, and then by IWAE with fifty, came to $-84.9$ (their table 2). So in a long training the bound brings what draws do not, and one loses little by waiting with it until the end. Our own runs stop long before; they do not show whether this is so here.
#
# **Active units**: 15 to 19 of fifty with five draws of A, 49 or 50 with IWAE. After five epochs nothing has come to rest: A with one draw has 29 to 47 then, 19 to 38 after thirteen epochs, 19 to 31 after forty. One thing agrees with the published table: IWAE with fifty draws has more active units than A with one (published are 25 and 19). That A has fewer with more draws is not in that table; it may be a matter of these first epochs.

# %% [markdown]
# ## 4.10 Verdict
#
# **Train with estimator B, or with the path estimator, and one draw. Print the value of A.**
#
# The numbers in brackets are sections; there each statement has its figure and its interval (only seconds have none). "At the end" means after the ten or thirty epochs of one training of each network (two for dense, $J = 20$), and the intervals of variances are over minibatches.
#
# - **For the number that you print**, A has less variance than B once the encoder has learnt something: by $\mathrm{Var}(\Delta)$ at a stationary point [4.2], here 0.3 to 0.6 nats² for each latent dimension. In the four networks that is 5 to 31 per cent at the end [4.5]. If the notebook means the value, it is right.
# - **For the gradient by $\mu$**, B has less variance than A: in all four networks, at every moment that was measured [4.5], and at stationary points for every decoder wherever $\sigma_j^2 < 2$ [4.3]. By $\sigma$ mostly, but not always: with $J = 20$ B has less; with $J = 2$ A has 1 per cent less in the dense network, and in the convolutional one no difference shows [4.5]. If the paper means the gradient, its "typically" fits.
# - **How much.** At the initial weights A has 7 to 40 times B's variance in the encoder. Later it has about a quarter more at most, and with $J = 2$ the two differ by less than four per cent either way [4.4, 4.5]. Training could not tell A from B with five seeds: B − A is 0.2 ± 0.4 nats after five epochs of the dense network, −0.07 ± 0.43 after ten of S1 [4.6].
# - **Quieter than both**, once the first epoch is over, is the path estimator: in the $\mu$ head and the rest of the encoder 0.2 to 0.6 of B's variance [4.5], and an epoch takes about as long [4.6]. In training it ended 0.6 ± 0.3 nats above A with the dense network, and 0.5 ± 1.2 below with S1 [4.6].
# - **Several draws** did not pay. In training with the usual step and 100 decoded $z$ an update, five draws end 2.4 ± 0.6 nats below one and ten 4.8 ± 0.5. In the same seconds it is 2.2 ± 0.4 and 4.4 ± 0.2, and 0.6 ± 0.4 with two draws [4.7]. The noise of a single gradient, weighed against its seconds, points the same way [4.5].
# - **Tighter bounds.** With IWAE they lower the signal-to-noise ratio of the encoder's gradient, in the direction of the theory but by far less: from one draw to fifty by a fifth in a trained network, where $1/\sqrt{k}$ would take six sevenths. DReG's ratio is half as large again at $k = 1$, 5 and 50, and falls as much, where the theory lets it rise; that its lead grows with $k$ is clear only before training. All this on the dense network alone [4.8]. In five epochs of another network (tanh, $J = 50$, dynamic digits) no difference was seen between IWAE and A with five draws each, +0.15 ± 0.71 nats of $\log p(x)$; DReG ended 1.9 ± 0.6 above A. A with one draw made thirteen epochs in about the same seconds, and ended 2.3 ± 0.5 above IWAE and 0.6 ± 0.5 above DReG; the last interval, widened, contains zero, and the estimate of $\log p(x)$ may favour A [4.9].
#
# Between B and the path, and between either and A, training showed no difference that would be sure with five seeds and three comparisons, but for path − A in the dense network [4.6]. Going from A to B, as one write-up does, takes no more seconds, and no loss was seen; the 95% intervals of what it brings reach from −0.2 to +0.6 and from −0.5 to +0.4 nats in the two trainings here. Sections 4.2 to 4.8 use two kinds of network on thresholded digits, section 4.9 a third on dynamic ones. In a short training tighter bounds did not pay in seconds here. In a long one they bring something by the published table, and can wait for its end. If you use one, our runs speak for DReG: after five epochs it stood 1.7 ± 0.2 nats above IWAE with five draws (with fifty 1.2 ± 0.5 over three seeds, which widened contains zero), for a quarter more seconds at most [4.9].
#
# What this page did not measure: A, B and the path over more than ten epochs; another step of Adam for each; the path with several draws; tighter bounds in a training long enough to converge; a change of estimator within a run.
#
# ## What we measured
#
# Here ± and brackets are 95% intervals, not widened. Ranges without brackets go from the smallest to the largest of four networks. (The last row but one has three seeds.)

# %% tags=["plumbing"]
summary = []
LAST, TFP = "after 10 epochs", "A less (TFP's notebook)"
PAPER = "B less, “typically” (paper)"
S4 = "not measured (S4 replaces A by B)"
BURDA, LARGE = "after 3,280 (Burda et al.)", "for large k like"


def add(what, here, published="—"):
    summary.append([what, here, published])


def signed(difference):
    return "{:+.2f} ± {:.2f}".format(*difference).replace("-", "−")


def at_moment(moment, name, part):
    return with_interval(ratios[moment, name, part])


def add_gradient(what, here, published="—"):
    add(f"gradient, {what}", here, published)


a, b, _ = measured["encoder, after 10 epochs"]
less = f"{signed(interval(b - a))} ({b.mean():.1f} less {a.mean():.1f})"
add("value, after training: variance of B less that of A, nats²", less, TFP)
of_mu = at_moment(LAST, "A", "μ head")
of_sigma = at_moment(LAST, "A", "σ head")
add_gradient("μ head, after training: A / B", of_mu, PAPER)
add_gradient("σ head, after training: A / B", of_sigma, "the same")
of_path = at_moment(LAST, "path", "μ head")
add_gradient("μ head, after training: path / B", of_path)
at_start = at_moment("start", "A", "μ head")
add_gradient("μ head, before training: A / B", at_start)
add(
    "four networks, at the end: value, A / B",
    span("end", "A", "value"),
    TFP,
)
for part, name, published in (
    ("μ head", "A", PAPER),
    ("σ head", "A", "the same"),
    ("μ head", "path", "—"),
):
    what = f"— gradient, {part}: {name} / B"
    add(what, span("end", name, part), published)

# %% tags=["plumbing", "exact"]
for one, other in PAIRS:
    first = (one, other) == PAIRS[0]
    what = "256 units, test ELBO after five epochs: " if first else "— "
    here = signed(interval(final[one] - final[other]))
    add(f"{what}{one} − {other}, nats", here, S4 if first else "—")
for one, other in PAIRS:
    first = (one, other) == PAIRS[0]
    what = "S1, test ELBO after ten epochs: " if first else "— "
    here = signed(interval(s1_final[one] - s1_final[other]))
    add(f"{what}{one} − {other}, nats", here, S4 if first else "—")
what = "256 units, 18,000 updates of 100 decoded z, test ELBO: "
for n in SHARES[1:]:
    add(f"{what if n == 2 else '— '}L = {n} − L = 1, nats", signed(lost[n]))
for n in (2, 5):
    what = f"— in the same seconds: L = {n} − L = 1, nats"
    add(what, signed(same_seconds[n]))
ratio = "signal / noise of the encoder with IWAE, k = 50 over k = 1"
for what, curve, published in (
    (ratio, "IWAE, encoder", f"{LARGE} 1/√k (Rainforth et al.)"),
    ("— with DReG", "DReG, encoder", f"{LARGE} √k (Tucker et al.)"),
    ("— of the decoder", "decoder", f"{LARGE} √k (Rainforth et al.)"),
):
    add(what, with_interval(change[curve]), published)
IWAE_50, DREG_50 = ("IWAE", 50, 5), ("DReG", 50, 5)
what = "dynamic MNIST, tanh, J = 50, log p(x) after five epochs: "
what += "IWAE − A, both of five draws, nats"
add(what, signed(better[IWAE_5, A_5]), f"+0.93 {BURDA}")
add("— DReG − A, both of five draws", signed(better[DREG_5, A_5]))
once = f"{paired(IWAE_50, ('A', 50, 5))[0]:+.2f}"
what = "— IWAE − A, both of fifty draws (one seed)"
add(what, once, f"+1.57 {BURDA}")
what = "— DReG − IWAE, both of fifty draws"
add(what, signed(better[DREG_50, IWAE_50]))
what = "— A, one draw and 13 epochs, less IWAE, five draws"
add(what, signed(better[("A", 1, 13), IWAE_5]))
heads = ["thresholded MNIST and dense, J = 20, if not said", "here"]
vh.table([*heads, "published"], summary)

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - that where $q$ is stationary A's value is quieter than B's by exactly $\mathrm{Var}(\Delta)$, for any decoder;
# - that A, B and the path gradient by $\mu$ are one family, that at a stationary point the path is its best member, and by how much the others miss it;
# - what is left over when the path has done its best: the Fisher divergence between $q$ and the true posterior;
# - the law confirmed on a real decoder, on average over a thousand cases to within 3 per cent;
# - the noise of the gradient that an optimiser gets, part by part, beside the noise of its minibatches, in four networks and from start to end;
# - how many draws that noise is worth, and why at the end few are enough;
# - a comparison of training runs with five seeds, what it can see and what it cannot, and what pairing is worth;
# - that within an update another image is worth more than another draw of the same one, at one step of Adam;
# - why a tighter bound can lower the signal-to-noise ratio of the encoder's gradient, the repair for large $k$, and how little of either shows up to $k = 50$;
# - tighter bounds in training: what as many draws bring without the bound, what one draw makes of the same seconds, and what becomes of the ELBO.
#
# ## Exercises
#
# **1.** In one latent dimension let the posteriors of all images have the same $\sigma$, and let their $\mu$ have mean zero. Suppose that the *aggregate* posterior, the mixture of all of them, has variance 1, like the prior. What is $\mathrm{Var}(\Delta)$ on average over the images? For which $\sigma$ is it largest?
#
# <details><summary>Solution</summary>
#
# The variance of a mixture is the mean variance plus the variance of the means: $1 = \sigma^2 + \mathbb{E}[\mu^2]$. So by (4.2) the average is $(1 - \sigma^2) \sigma^2 + \frac12 (1 - \sigma^2)^2 = \frac12 (1 - \sigma^2)(1 + \sigma^2) = \frac12 (1 - \sigma^4)$. It is largest for narrow posteriors, and never more than half a nat². An unused dimension, $\sigma = 1$, adds nothing.
#
# </details>
#
# **2.** Derive the second table of section 4.3. Let $f(z) = b z - \frac12 \lambda z^2$, in one dimension. Compute the three gradients by $\sigma$ and their variances.
#
# <details><summary>Solution</summary>
#
# The slope is $f' = b - \lambda z$. With $z = \mu + \sigma \varepsilon$ the gradients by $\sigma$ are
#
# - B: $f' \varepsilon + 1/\sigma - \sigma = (b - \lambda\mu) \varepsilon - \lambda\sigma \varepsilon^2 + \dots$, with variance $(b - \lambda\mu)^2 + 2 \lambda^2\sigma^2$;
# - A: $(f' - z) \varepsilon + 1/\sigma = (b - (1 + \lambda)\mu) \varepsilon - (1 + \lambda) \sigma \varepsilon^2 + \dots$, with variance $(b - (1 + \lambda) \mu)^2 + 2 (1 + \lambda)^2 \sigma^2$;
# - path: $(f' - z + \varepsilon/\sigma) \varepsilon$, with variance $(b - (1 + \lambda) \mu)^2 + 2 (1/\sigma - (1 + \lambda) \sigma)^2$.
#
# (The dots are constants; $\varepsilon$ and $\varepsilon^2$ are uncorrelated, with variances 1 and 2.) Stationary means $b - \lambda\mu = \mu$ and $\lambda = 1/\sigma^2 - 1$. Insert: B has $\mu^2 + 2 (1/\sigma - \sigma)^2$, A has $2/\sigma^2$, the path has 0. A quadratic $f$ has a Gaussian posterior, so $q$ is exact.
#
# </details>
#
# **3.** For the gradient by $\mu$ the best member of the family was the path. Which multiple $c$ makes the *value* $\widetilde{\mathcal{L}}_B + c \Delta$ quietest at a stationary point?
#
# <details><summary>Solution</summary>
#
# The variance is $\mathrm{Var}(f) + 2 c \, \mathrm{Cov}(f, \Delta) + c^2 \mathrm{Var}(\Delta)$. At a stationary point the covariance is $-\mathrm{Var}(\Delta)$ by (4.7), so the minimum is at $c = 1$: estimator A. In the language of Monte Carlo, $\Delta$ is a *control variate* for B, and A is B with the best coefficient.
#
# </details>
#
# **4.** Away from a stationary point the path need not win. Let $\sigma_j$ be smaller than its stationary value, and suppose that $h_j$ stays as it was there. From which point on does the path scatter more than A in the gradient by $\mu_j$? Check it with the images' own Gaussians, by shrinking $\sigma$.
#
# <details><summary>Solution</summary>
#
# By (4.9) and (4.5), the variance of the path less that of A is $1/\sigma_j^2 + 2 (h_j - 1)$. Write $s_j$ for the stationary value, so that $h_j = 1 - 1/s_j^2$. With this $h_j$ held fixed the difference is $1/\sigma_j^2 - 2/s_j^2$: positive as soon as $\sigma_j < s_j / \sqrt{2}$. On a real decoder $h_j$ moves with $\sigma_j$, so the factor shifts. The cell below multiplies $\sigma$ by 0.9 and by 0.5.
#
# </details>
#
# **5.** Write the whole family as an objective: a function `mixed(c)` that returns an objective with the value $\widetilde{\mathcal{L}}_B + c \Delta$. Check it against `vh.sgvb_a` and `vh.sgvb_b`. Why is the path not among its gradients?
#
# <details><summary>Solution</summary>
#
# The code is in the cell below. For the gradient by $\mu_j$ the path needs a $c$ of its own for each image and dimension, $1 - 1/\sigma_j^2$; no fixed $c$ does that. And by $\sigma_j$ it is no member at all: the term in $\varepsilon_j$ would need $c = 1$, the term in $\varepsilon_j^2$ would need $c = 1 - 1/\sigma_j^2$. (Unless $\mu_j = 0$: then the first is not there.)
#
# </details>
#
# **6.** What do the gradients of IWAE and of DReG by $\phi$ become where $q$ is the exact posterior? What does an optimiser that has arrived there do with each?
#
# <details><summary>Solution</summary>
#
# There $p_\theta(x, z) = p_\theta(x) \, q_\phi(z \mid x)$, and every weight is $p_\theta(x)$, whatever $z$ is. So $\tilde w_i = 1/k$, and $\log w_i$ does not change with $z_i$: every $r_i$ is zero. DReG's gradient is zero in every draw, as the path estimator's is. IWAE's is $-\frac{1}{k} \sum_i \partial_\phi \log q_\phi(z_i \mid x)$, an average of scores: its mean is zero, its variance is that of one score (A's rows in the tables of section 4.3) divided by $k$. With $\theta$ held fixed, an optimiser that has arrived stays there with DReG. With IWAE it keeps wandering, less for large $k$.
#
# </details>
#
# **7.** From which $L^*$ of (4.14) on are two draws better than one? And if you may draw any number: why is the best whole number not always $L^*$ rounded?
#
# <details><summary>Solution</summary>
#
# Two draws are better if $(n_x + n_\varepsilon / 2)(t_x + 2 t_z) < (n_x + n_\varepsilon)(t_x + t_z)$. Multiply out: $n_x t_x$ and $n_\varepsilon t_z$ stand on both sides, and $n_x t_z < \frac12 n_\varepsilon t_x$ is left. That is $L^* > \sqrt{2}$, not $L^* > 1.5$. In the same way $L + 1$ draws are better than $L$ if $L^* > \sqrt{L (L + 1)}$: the product, as a function of $L$, is not symmetric about its lowest point. On the other hand it is flat there. With $L^* = 1.45$ rounding says one, but two are better. With $L^* = 2$ one draw costs at most an eighth more than two: divide the two products by $n_x t_z$ and write $C = 4 + t_x / t_z + n_\varepsilon / n_x$. Then one draw costs $C + 1$ and two cost $C$; the two fractions have the product $L^{*2} = 4$, so their sum is at least 4 and $C$ at least 8.
#
# </details>
#
# ### The solutions, computed


# %% tags=["solution"]
weights, mean, scale = gaussians["own Gaussians, after 1 epoch"]
for factor in (0.9, 0.5):
    of = gradient_variances(weights, mean, np.float32(factor) * scale)
    vh.check(
        f"σ times {factor}: the variance of the path over that of A",
        of["path"][0].mean() / of["A"][0].mean(),
        1,
        relation="<" if factor**2 > 0.5 else ">",
    )


# %% tags=["solution"]
def mixed(c):
    """An objective with the value of B plus c Δ."""

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

# %% tags=["solution"]
n_x, n_epsilon, t_x, t_z = np.random.default_rng(0).exponential(
    size=(4, 100_000)
)


def product(draws):
    return (n_x + n_epsilon / draws) * (t_x + draws * t_z)  # (4.13)


best_number = np.sqrt(n_epsilon * t_x / (n_x * t_z))
for draws in (1, 2, 7):
    more = product(draws + 1) < product(draws)
    vh.check(
        f"{draws + 1} draws are better than {draws} if L* > √(L (L + 1))",
        np.mean(more == (best_number > np.sqrt(draws * (draws + 1)))),
        1,
        relation="=",
    )
near_two = np.abs(best_number - 2) < 0.01
vh.check(
    "near L* = 2 one draw costs about an eighth more than two at most",
    np.max(product(1)[near_two] / product(2)[near_two]),
    1.14,
    relation="<",
)

# %% [markdown]
# ## What was known, and what is new here
#
# Known: a closed form for a term of the bound acts as a control variate on that term's Monte Carlo estimate ([Geffner & Domke 2018](../book/bibliography.md)). How far reparameterised gradients scatter has been bounded ([Domke 2019; Kim et al. 2023](../book/bibliography.md)), and the path estimator has been compared with the *closed-form entropy* ([Kim, Ma & Gardner 2024](../book/bibliography.md)): where $q$ is the posterior, only the path's noise vanishes. For a Gaussian $q$ the estimator with the closed-form entropy has the same gradient as A. Write $z_j = \mu_j + \sigma_j \varepsilon_j$ into $-\log q$: what remains is $\log \sigma_j$ and a function of $\varepsilon_j$, whose derivative by $\sigma_j$ is $1/\sigma_j$ for every draw. So those papers compare A with the path.
#
# B itself is from 2013; it integrates the prior as well. New, as far as we know, is the comparison that includes it: where B stands between A and the path, (4.7) and (4.10) to (4.12), and its measurement on trained networks. A long training, which this page has not done, exists for A and the path: after 3,280 epochs of the schedule of Burda et al. one reproduction reports $\log p(x) = -86.35$ with A and $-86.08$ with DReG at $k = 1$, which is the path ([nbip/IWAE on GitHub](https://github.com/nbip/IWAE), estimated with 5,000 draws). The path is ahead by 0.27 nats there.
#
# ## What to read next
#
# - [Chapter 5](05_animations.ipynb) shows the reparameterisation trick in motion, and why a gradient is quiet when the noise stays fixed.
# - [Roeder, Wu & Duvenaud 2017](../book/bibliography.md) on the path gradient, with mixtures and importance-weighted bounds.
# - [Mohamed et al. 2020](../book/bibliography.md) on Monte Carlo gradients and control variates in general.
# - [Rainforth et al. 2018](../book/bibliography.md) on why a tighter bound may train the encoder worse.
