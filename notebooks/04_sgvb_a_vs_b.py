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
# The paper that began it all has two estimators of the same bound. Estimator A samples everything; estimator B does the KL divergence by formula and samples the rest. Which one should you train with? The paper says that B "typically" has less variance. A notebook of TensorFlow Probability on variational inference says that the sampled form has less. One of the [five write-ups](../book/intro.md) behind this book (S4) takes another's network, replaces A by B, and measures nothing. This chapter measures: first with a theorem that holds for every decoder, then on networks while they train. Both statements can be right, each about something else; a third estimator, once training has begun, is quieter than both; and the training curves tell you how much of all this to worry about.
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
# **What it takes.** About eleven minutes on two CPU cores (the last cell says what the run on this page took), and about 3.5 GiB of memory. You need sections 1.3 to 1.5 of [chapter 1](01_theory.ipynb), where the estimators come from (for section 4.8 also the beginning of 1.8), and the first half of [chapter 2](02_mlp_vae.ipynb).

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
from IPython.display import Markdown, display
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

# %% [markdown]
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


def value(objective, seed):
    """The objective of each image of x, with the noise of `seed`."""
    with model.using(keras.random.SeedGenerator(seed)):
        return objective(model, x).numpy()


with model.using(keras.random.SeedGenerator(5)):
    q = model.posterior(x).distribution
    z = model.posterior(x).sample(1, seed=model.next_seed())[0]
mean, scale = q.loc.numpy(), q.scale.numpy()
noise = (z.numpy() - mean) / scale
delta = -mean * scale * noise + 0.5 * (1 - scale**2) * (noise**2 - 1)
difference = value(vh.sgvb_a, 5) - value(vh.sgvb_b, 5)
np.testing.assert_allclose(difference, delta.sum(axis=1), atol=2e-3)
np.testing.assert_allclose(
    value(vh.sticking_the_landing, 5), value(vh.sgvb_a, 5), atol=1e-3
)
print("A − B is Δ of (4.2) for each of 50 images, to within 0.002 nats")
print("the path estimator has the value of A")

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
# Two remarks before you test it. An encoder serves all images at once; a single image's $q$ is *near* a stationary point at best. And $\mathrm{Var}(\Delta)$, averaged over the images, stays small: a dimension that is not used ($\mu = 0$, $\sigma = 1$) adds nothing, and one that is used with a narrow $\sigma$ adds about $\frac12$ nat² (exercise 1 says under which conditions).
#
# For the test take the dense network of chapter 2 (hidden layers of 512 and 256 units) with $J = 20$, train it with B for ten epochs, and keep its weights at three moments.

# %% tags=["nbval-ignore-output"]
model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
training = vh.batches(images.train, 100, "threshold", seed=0)
moments = {"start": model.get_weights()}
for name, (first, last) in {
    "after 1 epoch": (0, 1),
    "after 10 epochs": (1, 10),
}.items():
    model.fit(training, epochs=last, initial_epoch=first)
    moments[name] = model.get_weights()

# %% [markdown]
# Now draw 2,000 $z$ for each of 50 test images. For each draw keep $f(z)$ and, for the next section, its gradient $\partial f / \partial z$.


# %%
@tf.function(jit_compile=True)
def reconstruction_and_gradient(z):
    """f(z) = log p(x | z) [draws, n] and its gradient by z [draws, n, J]."""
    with tf.GradientTape() as tape:
        tape.watch(z)
        f = model.likelihood(z).log_prob(x)
    return f, tape.gradient(f, z)


def draw(mean, scale, rounds=40, draws=50, seed=0):
    """f, its gradient and the noise ε, for rounds · draws draws of z from N(mean, scale²)."""
    random = np.random.default_rng(seed)
    collected = []
    for _ in range(rounds):
        noise = random.standard_normal((draws, *mean.shape)).astype(np.float32)
        collected.append((*reconstruction_and_gradient(mean + scale * noise), noise))
    return tuple(
        np.concatenate(part).astype(np.float64) for part in zip(*collected, strict=True)
    )


def value_variances(mean, scale, **options):
    """Variances over the noise, for each image: of A, of B, and Var(Δ) by (4.2)."""
    f, _, noise = draw(mean, scale, **options)
    delta = -mean * scale * noise + 0.5 * (1 - scale**2) * (noise**2 - 1)
    a, b = f + delta.sum(axis=-1), f  # up to constants
    by_formula = mean**2 * scale**2 + 0.5 * (1 - scale**2) ** 2
    return a.var(axis=0, ddof=1), b.var(axis=0, ddof=1), by_formula.sum(axis=-1)


# %% [markdown]
# And a $q$ that *is* stationary: let each image have a Gaussian of its own, begin at the encoder's, and follow the gradient of the bound until it ends.


# %%
def own_gaussians(mean, scale, steps=600, draws=32):
    """μ and σ of each image, improved by Adam on estimator B from where the encoder puts them."""
    mean, log_scale = tf.Variable(mean), tf.Variable(np.log(scale))
    rate = keras.optimizers.schedules.CosineDecay(0.03, steps)
    optimizer, random = keras.optimizers.Adam(rate), tf.random.Generator.from_seed(1)

    @tf.function
    def improve():
        noise = random.normal((draws, *mean.shape))
        with tf.GradientTape() as tape:
            scale = tf.exp(log_scale)
            f = model.likelihood(mean + scale * noise).log_prob(x)
            kl = 0.5 * tf.reduce_sum(mean**2 + scale**2 - 1 - 2 * log_scale, axis=1)
            loss = tf.reduce_mean(tf.reduce_sum(kl - f, axis=1))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, [mean, log_scale]), [mean, log_scale], strict=True)
        )

    for _ in range(steps):
        improve()
    return mean.numpy(), np.exp(log_scale)


def encoded():
    """μ and σ of the images x by the encoder, [n, J] each."""
    q = model.posterior(x).distribution
    return q.loc.numpy(), q.scale.numpy()


gaussians = {}
for name, weights in moments.items():
    model.set_weights(weights)
    gaussians[f"encoder, {name}"] = (weights, *encoded())
gaussians["own Gaussians, after 10 epochs"] = (weights, *own_gaussians(*encoded()))

# %% tags=["nbval-ignore-output"]
rows = [
    "| q from | Var A | Var B | B − A (± standard error) | Var Δ |",
    "|---|---:|---:|---:|---:|",
]
measured = {}
for name, (weights, mean, scale) in gaussians.items():
    model.set_weights(weights)
    a, b, by_formula = measured[name] = value_variances(mean, scale)
    extra = b - a
    error = extra.std(ddof=1) / np.sqrt(len(extra))
    rows.append(
        f"| {name} | {a.mean():.2f} | {b.mean():.2f} | {extra.mean():+.2f} ± {error:.2f} "
        f"| {by_formula.mean():.2f} |".replace("-", "−")
    )
display(Markdown("\n".join(rows)))

# %%
a, b, by_formula = measured["own Gaussians, after 10 epochs"]
miss = b - a - by_formula
assert abs(miss.mean()) < 4 * miss.std(ddof=1) / np.sqrt(len(miss))
assert abs(miss.mean()) < 0.03 * by_formula.mean()
a, b, by_formula = measured["encoder, start"]
assert b.mean() < a.mean()
a, b, by_formula = measured["encoder, after 10 epochs"]
assert a.mean() < b.mean()
print("each image with its own Gaussian: Var B − Var A is Var Δ to within 3%")
print("before training B has the quieter value, after it A")

# %% [markdown]
# All figures are nats² for one image, averaged over the 50. Before training B has the quieter value, by somewhat more than $\mathrm{Var}(\Delta)$: the decoder does not quite ignore $z$, and the covariance in (4.3) is positive. Afterwards it is A: for the encoder's $q$ by about as much as (4.7) says, for images with a Gaussian of their own by just as much, within the error. Look also at how much there is altogether. After ten epochs the choice between A and B moves 8 of 27 nats²; giving each image its own $q$ moves 15. Where that is done, the choice decides most of what is left.
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
# The posterior is q itself: f(z) = log q(z) − log p(z) + a constant, so ∂f = z − (z − μ) / σ².
random = np.random.default_rng(3)
points = np.stack([random.uniform(-3, 3, 10), random.uniform(0.2, 1.3, 10)], axis=1)
noise = random.standard_normal((200_000, 10))  # its own for each point
mu, sigma = points.T
z = mu + sigma * noise
slope = z - noise / sigma


def by_mean_and_scale(slope, mean, scale, noise):
    """By estimator: gradients by μ and by σ, from the slope of f alone."""
    z, by_path = mean + scale * noise, slope + noise / scale - (mean + scale * noise)
    return {
        "A": (slope - z, (slope - z) * noise + 1 / scale),
        "B": (slope - mean, slope * noise + 1 / scale - scale),
        "path": (by_path, by_path * noise),
    }


by_formula = {
    "A": (1 / sigma**2, 2 / sigma**2),
    "B": ((1 / sigma - sigma) ** 2, 2 * (1 / sigma - sigma) ** 2 + mu**2),
    "path": (0 * mu, 0 * mu),
}
farthest = 0.0
for name, of_both in by_mean_and_scale(slope, mu, sigma, noise).items():
    for sample, expected in zip(of_both, by_formula[name], strict=True):
        squared = (sample - sample.mean(axis=0)) ** 2
        error = squared.std(axis=0) / np.sqrt(len(noise)) + 1e-9
        farthest = max(
            farthest, np.max(np.abs(squared.mean(axis=0) - expected) / error)
        )
delta = -mu * sigma * noise + 0.5 * (1 - sigma**2) * (noise**2 - 1)
error = (delta**2).std(axis=0) / np.sqrt(len(noise))
expected = mu**2 * sigma**2 + 0.5 * (1 - sigma**2) ** 2
farthest = max(farthest, np.max(np.abs((delta**2).mean(axis=0) - expected) / error))
assert farthest < 3
print("checked at ten points: six variances and Var(Δ), within 3 standard errors")

# %% [markdown]
# The regions, for the exact case. On the left the gradient by $\mu$, on the right the gradient by $\sigma$; the colour is the variance of A divided by that of B. It is purple where B is quieter and brown where A is; on the black line they are equal. Beyond a factor of 8 the colour no longer changes. (At $\sigma = 1$, on the right with $\mu = 0$, B has no variance at all.)

# %% mystnb={"image": {"alt": "Two maps over the plane of μ from −3 to 3 and σ from 0.05 to 1.6, purple where B is quieter and brown where A is. On the left, gradient by μ: B is quieter below σ = 1.41, hardly so at small σ, and most around σ = 1. On the right, gradient by σ: B is quieter inside a dome between μ = −2 and 2, most around σ = 1; A is quieter outside."}}
mu, sigma = np.meshgrid(
    np.linspace(-3, 3, 301), np.linspace(0.05, 1.6, 300)
)  # misses σ = 1
ratios = {
    "by μ": (1 / sigma**2) / (1 / sigma - sigma) ** 2,
    "by σ": (2 / sigma**2) / (2 * (1 / sigma - sigma) ** 2 + mu**2),
}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for panel, (what, ratio) in zip(axes, ratios.items(), strict=True):
    shown = panel.pcolormesh(
        mu, sigma, np.log2(ratio), cmap="PuOr", vmin=-3, vmax=3, rasterized=True
    )
    panel.contour(mu, sigma, ratio, levels=[1], colors="black")
    panel.set(title=f"gradient {what}", xlabel="μ")
axes[0].set_ylabel("σ")
bar = figure.colorbar(shown, ax=axes, ticks=range(-3, 4), extend="both")
bar.ax.set_yticklabels(["1/8", "1/4", "1/2", "1", "2", "4", "8"])
bar.set_label("Var A / Var B")
plt.show()

# %% [markdown]
# At the bottom, where the posteriors are narrow, the two hardly differ. The strong colour lies around $\sigma = 1$, where the dimensions are that a decoder does not use.
#
# Now the real decoder. Does the table hold where nothing is Gaussian and nothing is exact? Take the 50 images with a Gaussian of their own, 20 dimensions each: 1,000 cases. In each one measure the three variances, and hold the *differences* against $1/\sigma_j^2$ and $(1/\sigma_j - \sigma_j)^2$. For the gradient by $\sigma$, hold the difference between A and B against (4.12).


# %%
def gradient_variances(weights, mean, scale, seed=1):
    """Variances over the noise by estimator: of the gradients by μ and by σ, [n, J] each."""
    model.set_weights(weights)
    _, slope, noise = draw(mean, scale, seed=seed)
    return {
        name: [part.var(axis=0, ddof=1) for part in parts]
        for name, parts in by_mean_and_scale(slope, mean, scale, noise).items()
    }


weights, mean, scale = gaussians["own Gaussians, after 10 epochs"]
of_own = gradient_variances(weights, mean, scale)
saved = {
    "A": (of_own["A"][0] - of_own["path"][0], 1 / scale**2),
    "B": (of_own["B"][0] - of_own["path"][0], (1 / scale - scale) ** 2),
}

# %% mystnb={"image": {"alt": "Two scatters on logarithmic axes, measured difference of variances against the formula, with the diagonal. On the left A: a thousand points along the diagonal from 1 to 200. On the right B: most points between 1 and 200 on the diagonal, a dozen below, down to a thousandth, near it."}}
figure, axes = plt.subplots(1, 2, figsize=(8, 3.8), sharey=True)
ends = [1e-3, 3e3]
for panel, (name, (found, expected)) in zip(axes, saved.items(), strict=True):
    panel.loglog(expected.ravel(), found.ravel(), ".", ms=3, color=COLORS[name])
    panel.loglog(ends, ends, color="black", lw=0.8)
    formula = {"A": "$1/σ^2$", "B": "$(1/σ - σ)^2$"}[name]
    panel.set(xlabel=formula, title=f"Var {name} − Var path", xlim=ends, ylim=ends)
axes[0].set_ylabel("measured")
plt.show()


# %% tags=["nbval-ignore-output"]
def off(difference):
    """How far a mean over the 1,000 cases is from zero, in its standard errors."""
    return abs(difference.mean()) / (difference.std(ddof=1) / np.sqrt(difference.size))


_, slope, noise = draw(mean, scale, seed=1)
third = np.mean((noise**2 - 1) * slope, axis=0)
fourth = np.mean((noise**3 - 3 * noise) * slope, axis=0)
by_mu, by_sigma = (of_own["A"][k] - of_own["B"][k] for k in (0, 1))
quadratic = 4 - 2 * scale**2 - mean**2
by_4_12 = quadratic - 2 * mean * third - 2 * scale * fourth
for name, (found, expected) in saved.items():
    print(
        f"Var {name} − Var path, by μ: {found.mean():.2f}, formula {expected.mean():.2f}"
    )
print(f"Var A − Var B, by μ: {by_mu.mean():.3f}, 2 − σ²: {np.mean(2 - scale**2):.3f}")
print(
    f"Var A − Var B, by σ: {by_sigma.mean():.3f}, (4.12): {by_4_12.mean():.3f}",
    end=", ",
)
print(f"its quadratic part alone: {quadratic.mean():.3f}")
left_out = sum(np.sum((f < ends[0]) | (e < ends[0])) for f, e in saved.values())
print(f"{left_out} of 2,000 points lie outside the picture")
print("quartiles of σ:", np.quantile(scale, (0.25, 0.5, 0.75)).round(2))
print(
    f"B is quieter by μ in {np.mean(by_mu > 0):.1%} of the cases, by σ in {np.mean(by_sigma > 0):.1%}"
)

# %%
for name, (found, expected) in saved.items():
    assert abs(found.mean() / expected.mean() - 1) < 0.03, name
assert abs(np.mean(saved["A"][0] / saved["A"][1]) - 1) < 0.03
assert off(by_mu - (2 - scale**2)) < 4
assert off(by_sigma - by_4_12) < 4 < off(by_sigma - quadratic)
print("a real decoder, mean of 1,000 cases: the table holds to within 3%")
print("by σ (4.12) holds within 4 standard errors, its quadratic part alone does not")

# %% [markdown]
# One law: A follows it over two orders of magnitude, B over five. The points scatter about it because 2,000 draws do not fix a variance to better than some per cent, and a small difference of two variances less well. (What lies outside the picture are cases of B at $\sigma_j \approx 1$, where there is next to nothing to measure.) By $\sigma$ a quadratic $f$ is not enough, and (4.12) is; and in one case in nine it is A that is quieter there, as outside the dome of the map.
#
# Now what it is worth. Compare the three variances themselves, for the images' own Gaussians and for the encoder's, which are not stationary. Each figure is the variance of one coordinate of the gradient, of one image and one draw, averaged over 1,000 of them (in nats²: $z$ has no unit).

# %% tags=["nbval-ignore-output"]
rows = ["| q from | gradient by | A | B | path |", "|---|---|---:|---:|---:|"]
found = {}
for name, (weights, mean, scale) in gaussians.items():
    found[name] = gradient_variances(weights, mean, scale)
    for which, what in enumerate(("μ", "σ")):
        cells = (f"{found[name][e][which].mean():.2f}" for e in ("A", "B", "path"))
        rows.append(f"| {name} | {what} | " + " | ".join(cells) + " |")
display(Markdown("\n".join(rows)))

# %%
for name in ("encoder, after 10 epochs", "own Gaussians, after 10 epochs"):
    a, b, path = (found[name][estimator][0].mean() for estimator in ("A", "B", "path"))
    assert 0.85 < b / a < 1 and path < 0.6 * a, name
a, b, path = (found["encoder, start"][e][0].mean() for e in ("A", "B", "path"))
assert b < path < 0.3 * a
print("by μ, after training: B at least 85% of A's variance, path less than 60%")
print("by μ, before training: B has the least, the path less than 30% of A's")

# %% [markdown]
# Before training the decoder says little about $z$, so $h_j \approx 0$ and the best $c$ in (4.9) is 0: estimator B. A adds $\sigma_j^2 (1 - 2 h_j)$ out of nothing, here about 1.4. The path takes $c = 1 - 1/\sigma_j^2$, which misses, because the initial $\sigma_j$ are not 1: with $h_j \approx 0$, an excess of 1.4 means $\sigma_j \approx 1.2$. After ten epochs B saves a few per cent against A and the path more than half, also with the encoder's imperfect $q$.
#
# ## 4.4 The gradient that the optimiser gets
#
# The optimiser does not see $\partial/\partial\mu_j$ of one image. It sees the gradient by the *weights*, averaged over a minibatch of $M = 100$ images. On the way their noise is mixed with the networks' own derivatives, and it meets noise of another kind: that of the choice of the minibatch, which no estimator removes. `vh.GradientMeter` measures the first: it holds weights and images fixed, draws the gradient again and again, and returns the variance of each entry. Sum it over four parts: the half of the encoder's last layer that makes $\mu$, the half that makes $\log\sigma^2$, the rest of the encoder, the decoder. Eight minibatches of training images give an interval (95%, over the minibatches; the network is one, from one seed).


# %%
def by_part(entries):
    """Sums of the entries of a gradient over the four parts."""
    head = [v.path for v in model.encoder.layers[-1].trainable_variables]
    half = model.latent_dim
    rest = [v.path for v in model.encoder.trainable_variables if v.path not in head]
    decoder = [v.path for v in model.decoder.trainable_variables]
    return {
        "μ head": sum(entries[path][..., :half].sum() for path in head),
        "σ head": sum(entries[path][..., half:].sum() for path in head),
        "encoder": sum(entries[path].sum() for path in rest),
        "decoder": sum(entries[path].sum() for path in decoder),
    }


OBJECTIVES = {
    "A": vh.sgvb_a,
    "B": vh.sgvb_b,
    "path": vh.sticking_the_landing,
    "score": vh.score_function,
}
meters = {
    name: vh.GradientMeter(model, objective) for name, objective in OBJECTIVES.items()
}
chosen = np.random.default_rng(0).permutation(60_000)[:800]
minibatches = np.split(vh.binarize(images.train[chosen], "threshold"), 8)
REPEATS = 50


def network_noise():
    """Variance by estimator, minibatch and part; and the mean gradients of B by minibatch."""
    noise = {}
    for name, meter in meters.items():
        moments_of = [meter(x, REPEATS, seed=s) for s, x in enumerate(minibatches)]
        noise[name] = [by_part(m.variance) for m in moments_of]
        if name == "B":
            means = [m.mean for m in moments_of]
    spread = by_part(
        {p: np.var([m[p] for m in means], axis=0, ddof=1) for p in means[0]}
    )
    within = {p: np.mean([v[p] for v in noise["B"]]) / REPEATS for p in spread}
    return noise, {part: spread[part] - within[part] for part in spread}


# %% tags=["nbval-ignore-output"]
PARTS = ("μ head", "σ head", "encoder", "decoder")


def interval(values, comparisons=1):
    """Mean and half the width of its 95% interval, by Student's t; wider (Bonferroni) for one of several."""
    values = np.asarray(values)
    t = stats.t.ppf(1 - 0.025 / comparisons, len(values) - 1)
    return values.mean(), t * values.std(ddof=1) / np.sqrt(len(values))


def ratio(noise, name, part):
    """Variance relative to B's, geometric mean over the minibatches, with its 95% interval."""
    logs = [
        np.log(ours[part] / b[part])
        for ours, b in zip(noise[name], noise["B"], strict=True)
    ]
    middle, half = interval(logs)
    return np.exp([middle, middle - half, middle + half])


ratios, against_minibatches = {}, {}
for moment, weights in moments.items():
    model.set_weights(weights)
    noise, between = network_noise()
    ratios[moment] = {(n, p): ratio(noise, n, p) for n in OBJECTIVES for p in PARTS}
    against_minibatches[moment] = {
        part: np.mean([v[part] for v in noise["B"]]) / between[part] for part in PARTS
    }
rows = [
    "| moment | part | A / B | path / B | score / B | B / between minibatches |",
    "|---|---|---:|---:|---:|---:|",
]
for moment, table in ratios.items():
    for part in PARTS:
        cells = [
            "{:.2f} ({:.2f} to {:.2f})".format(*table[name, part])
            for name in ("A", "path")
        ]
        two_digits = float(f"{table['score', part][0]:.2g}")
        cells.append(f"{two_digits:,.0f}")
        cells.append(f"{against_minibatches[moment][part]:.1f}")
        rows.append(f"| {moment} | {part} | " + " | ".join(cells) + " |")
display(Markdown("\n".join(rows)))

# %% mystnb={"image": {"alt": "Three panels, before training, after one epoch and after ten: variance of A and of the path gradient relative to B, for the μ head, the σ head, the rest of the encoder and the decoder. Before training A lies between 10 and 17 and the path between 2 and 4; after one epoch A lies at 1.1 to 1.2, after ten at 1.04 to 1.2, and the path both times at about one half. In the decoder all are at 1. The intervals are smaller than the dots."}}
figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True)
for panel, (moment, table) in zip(axes, ratios.items(), strict=True):
    for shift, name in ((-0.15, "A"), (0.15, "path")):
        middle, low, high = np.array([table[name, part] for part in PARTS]).T
        panel.errorbar(
            np.arange(4) + shift, middle, yerr=[middle - low, high - middle],
            fmt="o", color=COLORS[name], label=name,
        )  # fmt: skip
    panel.axhline(1, color=COLORS["B"], label="B")
    panel.set(title=moment, xticks=range(4), xticklabels=PARTS, yscale="log")
    panel.tick_params(axis="x", rotation=30)
    panel.set_yticks([0.5, 1, 2, 5, 10], ["½", "1", "2", "5", "10"], minor=False)
    panel.minorticks_off()
axes[0].set_ylabel("variance / that of B")
axes[0].legend()
plt.show()

# %%
for moment, table in ratios.items():
    for name in OBJECTIVES:
        assert abs(table[name, "decoder"][0] - 1) < 1e-3, (moment, name)
    for part in ("μ head", "σ head", "encoder"):
        assert table["score", part][0] > 1000, (moment, part)
print("the decoder's gradient has the same noise with every estimator")
print("the score function scatters more than 1,000 times as much all over the encoder")
assert min(ratios["start"]["A", p][0] for p in PARTS[:3]) > 5
assert min(ratios["start"]["path", p][0] for p in PARTS[:3]) > 1.5
for moment in ("after 1 epoch", "after 10 epochs"):
    for part in PARTS[:3]:
        assert 1 < ratios[moment]["A", part][1] < 1.4, (
            moment,
            part,
        )  # its interval too
        assert 0.35 < ratios[moment]["path", part][0] < 0.65, (moment, part)
print("before training A scatters at least five times as much as B, the path 1.5 times")
print("later A scatters up to 1.4 times as much as B, the path about half as much")

# %% [markdown]
# In the $\mu$ head the order had to be that of section 4.3: each of its weights sees one $\mu_j$, and the variances of the images add. In the rest of the encoder the coordinates mix, and with strongly correlated posteriors the order could turn; here it did not.
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
# One network, one draw for each image: is that typical? The measurement of section 4.4 was made on four networks. Two are dense (the one with $J = 20$ is the training of section 4.2, carried on); two are the convolutional network of [chapter 3](03_conv_vae.ipynb); each has once $J = 2$ and once $J = 20$. All were trained with B, $M = 100$ and Adam with a step of $10^{-3}$, the dense ones for thirty epochs, the convolutional ones for ten. They were measured on ten minibatches of training images (100 images each, 20 for the convolutional networks), with $L = 1$, 5 and 25 draws. That takes an hour, so a script does it, `experiments/gradients.py`. This page reads what the script has stored, and measures one number again.

# %%
NETWORKS = {
    "dense, J = 2": "mlp-j2",
    "dense, J = 20": "mlp-j20",
    "convolutional, J = 2": "conv-j2",
    "convolutional, J = 20": "conv-j20",
}
STORED = Path("../experiments/results")


def load(name):
    return json.loads((STORED / f"{name}.json").read_text())


networks = {label: load(f"gradients-{name}-seed0") for label, name in NETWORKS.items()}
print("test ELBO before training, after one epoch, at the end")
for label, result in networks.items():
    elbos = [f"{stage['test_elbo']:.1f}" for stage in result["stages"].values()]
    made = result["provenance"]
    code = f"code {made['commit'][:7]}, {made['date']}"
    print(f"  {label}: {', '.join(elbos)} ({code})")

print("B − A, variance of the value at the end, nats² for each latent dimension")
for label, result in networks.items():
    stage = result["stages"]["end"]
    b, a = (np.mean(stage["estimators"][name]["1"]["value"]) for name in ("b", "a"))
    print(f"  {label}: {(b - a) / len(stage['kl_by_latent']):.2f}")

result = networks["convolutional, J = 2"]
first = np.random.default_rng(0).permutation(60_000)[: result["images"]]
again = vh.GradientMeter(vh.conv_vae(latent_dim=2, seed=0), vh.sgvb_a)(
    vh.binarize(images.train[first], "threshold"), result["repeats"]["1"]
)
ours = sum(entries.sum(dtype=float) for entries in again.variance.values())
kept = result["stages"]["start"]["estimators"]["a"]["1"]
kept = sum(
    kept[f"variance_{part}"][0] for part in ("mu", "scale", "encoder", "decoder")
)
assert abs(ours / kept - 1) < 0.01
print("measured again: A before training, one minibatch, convolutional, J = 2")

# %% [markdown]
# First one draw. The table gives the variances at the end of training relative to B's, the figure all three stages. Beside three parts of the encoder stands the variance of the value, the bound itself. (The decoder is left out: as in section 4.4 its gradient is the same for all.) The intervals are 95% over the ten minibatches, for this one training of each network.

# %%
STAGES = {"start": "before", "middle": "1 epoch", "end": "end"}
ENTRIES = {
    "value": ["value"],
    "μ head": ["variance_mu"],
    "σ head": ["variance_scale"],
    "rest of encoder": ["variance_encoder"],
}
WHOLE = ["variance_mu", "variance_scale", "variance_encoder"]


def stored_variance(stage, estimator, entries, draws=1):
    """One number for each minibatch: summed over the entries."""
    found = stage["estimators"][estimator][str(draws)]
    return sum(np.array(found[entry]) for entry in entries)


def over_b(stage, estimator, entries):
    """Variance relative to B's: geometric mean over the minibatches, 95% interval."""
    ours, b = (stored_variance(stage, name, entries) for name in (estimator, "b"))
    middle, half = interval(np.log(ours / b))
    return np.exp([middle, middle - half, middle + half])


relative = {
    (label, stage, name, part): over_b(result["stages"][stage], name, entries)
    for label, result in networks.items()
    for stage in STAGES
    for name in ("a", "path", "score")
    for part, entries in ENTRIES.items()
}
rows = [
    "| at the end | part | A / B | path / B | score / B |",
    "|---|---|---:|---:|---:|",
]
for label in networks:
    for part in ENTRIES:
        cells = [
            "{:.3f} ({:.3f} to {:.3f})".format(*relative[label, "end", name, part])
            for name in ("a", "path")
        ]
        score = relative[label, "end", "score", part][0]
        cells.append(
            f"{score:.2f}" if part == "value" else f"{float(f'{score:.2g}'):,.0f}"
        )
        rows.append(f"| {label} | {part} | " + " | ".join(cells) + " |")
display(Markdown("\n".join(rows)))

# %% mystnb={"image": {"alt": "Sixteen panels: four networks across; the value and three parts of the encoder down; each shows the variance of A and of the path relative to B, before training, after one epoch and at the end. In the gradient A begins at 7 to 40 and then lies on B’s line or just above, in the σ head of dense, J = 2 just below. The path begins at 1 to 4, then lies below B, at 0.2 to 0.6 after one epoch and 0.4 to 0.9 at the end. The value of both, which is the same, begins at 1 to 3 and lies at 0.7 to 0.95 later."}}
figure, axes = plt.subplots(
    4, 4, figsize=(10, 8), sharex=True, sharey=True, layout="constrained"
)
for column, label in zip(axes.T, networks, strict=True):
    column[0].set_title(label)
    for panel, part in zip(column, ENTRIES, strict=True):
        for shift, name, of in ((-0.08, "a", "A"), (0.08, "path", "path")):
            middle, low, high = np.transpose(
                [relative[label, stage, name, part] for stage in STAGES]
            )
            panel.errorbar(
                np.arange(3) + shift, middle, yerr=[middle - low, high - middle],
                fmt="o-", ms=4, color=COLORS[of], label=of,
            )  # fmt: skip
        panel.axhline(1, color=COLORS["B"], label="B")
        panel.set(yscale="log", xticks=range(3), xticklabels=STAGES.values())
        panel.set_yticks([0.2, 0.5, 1, 2, 5, 20], ["0.2", "½", "1", "2", "5", "20"])
        panel.minorticks_off()
for panel, part in zip(axes[:, 0], ENTRIES, strict=True):
    panel.set_ylabel(part)
figure.supylabel("variance / that of B", fontsize="medium")
axes[0, 0].legend()
plt.show()

# %%
second = load("gradients-mlp-j20-seed1")["stages"]
for label in networks:
    for part in ENTRIES:
        before, end = (relative[label, stage, "a", part] for stage in ("start", "end"))
        assert before[1] > 1, (label, part)
        if part == "value":
            assert relative[label, "middle", "a", part][2] < 1 and end[2] < 1, label
            continue
        assert relative[label, "end", "score", part][0] > 1000, (label, part)
        assert 0.98 < end[0] < 1.3, (label, part)
        for stage in ("middle", "end"):
            assert relative[label, stage, "path", part][2] < 0.95, (label, stage, part)
    for stage in STAGES:
        assert relative[label, stage, "a", "μ head"][1] > 1, (label, stage)
print("value: B has less variance than A before training, A has less later")
print("gradient: before training B has less than A in every part, by μ also later;")
print("from the first epoch on the path has less than B in every part")


def span(stage, name, *parts):
    """Smallest and largest ratio to B over the four networks and the parts."""
    found = [
        relative[label, stage, name, part][0] for label in networks for part in parts
    ]
    digits = 1 if max(found) > 2 else 2
    return f"{min(found):.{digits}f} to {max(found):.{digits}f}"


print("in the three parts of the four encoders:")
for stage, moment in STAGES.items():
    of_a, of_path = (span(stage, name, *list(ENTRIES)[1:]) for name in ("a", "path"))
    print(f"  {moment}: A / B {of_a}, path / B {of_path}")
for stage in STAGES:
    for part, entries in ENTRIES.items():
        for name in ("a", "path"):
            other, _, _ = over_b(second[stage], name, entries)
            mine = relative["dense, J = 20", stage, name, part][0]
            near = 0.25 if stage == "start" else 0.1
            assert abs(other / mine - 1) < near, (stage, part, name)
print("dense, J = 20, A and path from another seed: within a quarter before training,")
print("within a tenth later")

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

# %%
DRAWS = (1, 5, 25)
timed = load("gradients-seconds")
taken = {
    (label, n): [of[str(n)] for of in timed["seconds"][name].values()]
    for label, name in NETWORKS.items()
    for n in DRAWS
}  # seconds a gradient with A, B, path and score
cost = {key: np.median(values) for key, values in taken.items()}
scatter = max(max(values) / min(values) for values in taken.values())
print(f"slowest over fastest of the four estimators: at most {scatter:.2f}")


def between(stage, entries):
    """n_x of (4.13): variance of the mean gradient over the minibatches."""
    found = stage["estimators"]["b"]["1"]
    return sum(found[entry.replace("variance", "between")] for entry in entries)


def best_draws(label, stage, name, entries):
    """L* of (4.14), and the ratio of the two variances in it."""
    noise = stored_variance(stage, name, entries).mean() / between(stage, entries)
    a_draw = (cost[label, 25] - cost[label, 1]) / 24
    once = cost[label, 1] - a_draw
    return np.sqrt(noise * once / a_draw), noise


rows = [
    "| whole encoder | ms, L = 1, 5, 25 | estimator | n_ε / n_x, end | L* before | L* end | σ head alone | decoder alone |",
    "|---|---:|---|---:|---:|---:|---:|---:|",
]
best = {}
for label, result in networks.items():
    stages = result["stages"]
    milliseconds = ", ".join(f"{1000 * cost[label, n]:.0f}" for n in DRAWS)
    for name, of in (("b", "B"), ("path", "path")):
        before, _ = best_draws(label, stages["start"], name, WHOLE)
        best[label, of], noise = best_draws(label, stages["end"], name, WHOLE)
        alone = [
            best_draws(label, stages["end"], name, [entry])[0]
            for entry in ("variance_scale", "variance_decoder")
        ]
        cells = [label, milliseconds, of, f"{noise:.2f}"]
        cells += [f"{number:.1f}" for number in (before, best[label, of], *alone)]
        rows.append("| " + " | ".join(cells) + " |")
display(Markdown("\n".join(rows)))
other_seed = best_draws("dense, J = 20", second["end"], "b", WHOLE)
print(
    "dense, J = 20, B, second seed: L* = {:.1f}, n_ε / n_x = {:.2f}".format(*other_seed)
)


def worth(label, name, draws, with_images=True, at="end"):
    """(4.13) for the whole encoder, relative to B with one draw; or its part of ε."""

    def product(name, n):
        stage = networks[label]["stages"][at]
        noise = stored_variance(stage, name, WHOLE, n).mean()
        return (noise + with_images * between(stage, WHOLE)) * cost[label, n]

    return product(name, draws) / product("b", 1)


print("\n(4.13) at the end, relative to B with one draw, for L = 1, 5, 25")
for label in networks:
    for name, of in (("b", "B"), ("path", "path")):
        numbers = ", ".join(f"{worth(label, name, n):.2f}" for n in DRAWS)
        print(f"  {label}, {of}: {numbers}")
print("and after one epoch, for the path with one draw")
for label in networks:
    print(f"  {label}: {worth(label, 'path', 1, at='middle'):.2f}")

# %% [markdown]
# Once more as a picture. Solid: (4.13), that is the seconds needed for the same variance. Dotted: the same if $\varepsilon$ made all the noise, without $n_x$. Each kind is relative to its own value for B with one draw, so compare solid with solid and dotted with dotted.

# %% mystnb={"image": {"alt": "Four panels, one for each network: variance times seconds against 1, 5 and 25 draws. Solid, all noise: B begins at 1, the path between 0.65 and 0.94; both rise and end between 3 and 12. Dotted, the noise of ε alone: B falls from 1 to between 0.3 and 0.6, the path from about one half to between 0.1 and 0.3."}}
figure, axes = plt.subplots(1, 4, figsize=(10, 3.3), sharey=True, layout="constrained")
for panel, label in zip(axes, networks, strict=True):
    for name, of in (("b", "B"), ("path", "path")):
        for with_images, line, what in (
            (True, "o-", "all noise"),
            (False, "o:", "ε alone"),
        ):
            values = [worth(label, name, n, with_images) for n in DRAWS]
            panel.plot(DRAWS, values, line, color=COLORS[of], label=f"{of}, {what}")
    panel.set(xscale="log", yscale="log", title=label, xlabel="draws L")
    panel.set_xticks(DRAWS, [str(n) for n in DRAWS])
    panel.set_yticks([0.2, 0.5, 1, 2, 5, 10], ["0.2", "½", "1", "2", "5", "10"])
    panel.minorticks_off()
axes[0].set_ylabel("variance × seconds")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %%
for label, result in networks.items():
    for name in ("a", "b", "path", "score"):
        one, five, many = (
            stored_variance(result["stages"]["end"], name, WHOLE, n).mean()
            for n in DRAWS
        )
        assert 0.85 < 5 * five / one < 1.15 and 0.85 < 25 * many / one < 1.15, label
    for name, of in (("b", "B"), ("path", "path")):
        one, five, many = (worth(label, name, n) for n in DRAWS)
        assert one < five < many, (label, name)
        assert best[label, of] < 2.5, (label, name)
    assert worth(label, "path", 1) < min(worth(label, "b", n) for n in DRAWS), label
print("in the whole encoder, at the end of training:")
print("  L draws divide the variance that ε makes by L, within 15%")
print("  for the same variance one draw takes less time than five, with B and the path")
print("  and the path with one draw less than B with one, five or 25")

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
# Train. One hidden layer of 256 units in each network and $J = 20$; Adam with a step of $10^{-3}$, $M = 100$, five epochs; five seeds. For each seed the three estimators start from the same weights, see the same minibatches in the same order and draw the same $\varepsilon$. (The network is smaller than that of section 4.2, so that fifteen runs are quick.) So their differences are *paired*: what the seeds have in common drops out. After each epoch the test ELBO is measured in the same way for all, with estimator B and a fixed noise.


# %%
class TestELBO(keras.callbacks.Callback):
    """The test ELBO after every epoch, by estimator B with the same noise each time."""

    def on_train_begin(self, logs=None):
        self.values, self.seconds = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.monotonic() - self.begun)
        self.values.append(vh.elbo(self.model, x_test))


# %% tags=["nbval-ignore-output"]
SEEDS, EPOCHS = range(5), 5
curves = {name: [] for name in ("A", "B", "path")}
seconds = {name: [] for name in curves}
for seed in SEEDS:
    for name in curves:
        vae = vh.mlp_vae(latent_dim=20, hidden=(256,), seed=seed)
        vae.compile(keras.optimizers.Adam(1e-3), objective=OBJECTIVES[name])
        training = vh.batches(images.train, 100, "threshold", seed=seed)
        test = TestELBO()
        vae.fit(training, epochs=EPOCHS, callbacks=[test], verbose=0)
        curves[name].append(test.values)
        seconds[name] += test.seconds[1:]  # the first epoch compiles
curves = {name: np.array(values) for name, values in curves.items()}  # [seeds, epochs]


print("test ELBO after five epochs, nats (mean of five seeds, 95% interval)")
for name, values in curves.items():
    print("  {:5} {:.2f} ± {:.2f}".format(name, *interval(values[:, -1])))
print(
    "differences, 95% intervals: paired by the seed, and as if the seeds were strangers"
)
for one, other in (("B", "A"), ("path", "A"), ("path", "B")):
    for epoch in (1, EPOCHS):
        ours, theirs = curves[one][:, epoch - 1], curves[other][:, epoch - 1]
        mean, half = interval(ours - theirs)
        apart = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval()
        print(f"  {one} − {other}, epoch {epoch}: {mean:+.2f} ± {half:.2f}", end=", ")
        print(f"unpaired ± {(apart.high - apart.low) / 2:.2f}", end="")
        if epoch < EPOCHS:
            print()
            continue
        _, wide = interval(ours - theirs, comparisons=3)
        p_value = stats.ttest_rel(ours, theirs).pvalue
        print(f"; for one of three comparisons ± {wide:.2f}, p = {p_value:.3f}")
for name, times in seconds.items():
    spread = np.ptp(curves[name][:, -1])
    print(f"  {name:5} {np.median(times):.2f} seconds an epoch (median); ", end="")
    print(f"its five seeds end within {spread:.2f} nats")


# %% mystnb={"image": {"alt": "On the left the test ELBO of A, B and the path over five epochs: three curves that rise from −120 to −94 nats and nearly coincide, the path on top. In the middle the same against seconds of training. On the right the differences to B with intervals: A lies 0.1 to 0.3 below zero and its intervals contain it; the path lies 0.4 to 0.7 above zero and its intervals exclude it."}}
def show_training(title, curves, an_epoch, what="seconds of training"):
    """Test ELBO against epochs and seconds, and differences to B by the epoch, with 95% intervals."""
    _, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
    epochs = np.arange(1, curves["B"].shape[1] + 1)
    for name, values in curves.items():
        middle, half = np.transpose([interval(seeds) for seeds in values.T])
        for panel, x in ((axes[0], epochs), (axes[1], epochs * an_epoch[name])):
            panel.plot(x, middle, "o-", ms=4, color=COLORS[name], label=name)
            panel.fill_between(
                x, middle - half, middle + half, alpha=0.2, color=COLORS[name], lw=0
            )
    for shift, name in ((-0.07, "A"), (0.07, "path")):
        differences = (curves[name] - curves["B"]).T
        middle, half = np.transpose([interval(values) for values in differences])
        look = {"fmt": "o-", "ms": 4, "color": COLORS[name], "label": f"{name} − B"}
        axes[2].errorbar(epochs + shift, middle, yerr=half, **look)
    axes[2].axhline(0, color=COLORS["B"])
    axes[0].set(title=title, ylabel="test ELBO, nats")
    axes[1].set(title="against time", xlabel=what, xlim=(0, None))
    axes[1].sharey(axes[0])
    axes[2].set(title="paired difference to B, 95% interval", ylabel="nats")
    for panel in (axes[0], axes[2]):
        panel.set(
            xlabel="epoch (60,000 images each)", xticks=epochs[:: len(epochs) // 5]
        )
    for panel in axes:
        panel.legend()
    plt.show()


an_epoch = {name: np.median(times) for name, times in seconds.items()}
show_training("mean of five seeds", curves, an_epoch)

# %%
final = {name: values[:, -1] for name, values in curves.items()}
b_less_a, error = interval(final["B"] - final["A"])
assert abs(b_less_a) < 1.0
assert interval(final["path"] - final["A"])[0] > 0
print("A and B end within a nat of each other; on average the path ends ahead of A")

# %% [markdown]
# On the left the curves lie close together. On the right, and in the lines above: between A and B nothing can be seen at any epoch; after five, the interval of B − A reaches from −0.2 to +0.6 nats. The path ends 0.6 ± 0.3 nats above A, and 0.4 ± 0.3 above B. (Three comparisons were made at the last epoch. With intervals widened for that, printed above, path − A still excludes zero, path − B does not. In the figure path − B lies above zero at every epoch, but the epochs are those of the same five runs.) An epoch takes about the same time with each, so the axis of seconds shows the same picture.
#
# What did pairing bring? After one epoch the paired interval is narrower for all three differences, after five for one of them: the same seed gives the same start, but the runs soon go their own ways. A lead of half a nat is small as well: the five runs of A alone spread over 0.7 nats.

# %% [markdown]
# Five epochs of a dense network are one case. The convolutional S1 of [chapter 3](03_conv_vae.ipynb) is another: $J = 2$, $M = 32$, ten epochs with Adam and a step of $10^{-4}$, as published with estimator A. The same training was done with B and with the path, from the same five initial weights, on the same minibatches and with the same $\varepsilon$. Fifteen such runs, one after the other, take about two hours; `experiments/run.py s1-threshold s1-a s1-b s1-path` makes them, and here they are read. (Three of A's five are chapter 3's own runs.) As a spot check the first epoch of one of them is trained again.

# %%
RUNS = {
    "A": [f"s1-threshold-seed{seed}" for seed in (0, 1, 2)]
    + ["s1-a-seed3", "s1-a-seed4"],
    "B": [f"s1-b-seed{seed}" for seed in range(5)],
    "path": [f"s1-path-seed{seed}" for seed in range(5)],
}
s1 = {name: [load(run) for run in runs] for name, runs in RUNS.items()}
for name, runs in s1.items():
    commits = dict.fromkeys(run["provenance"]["commit"][:7] for run in runs)
    print(f"{name}: code {', '.join(commits)}")
s1_curves = {
    name: np.array([run["test_elbo_by_epoch"] for run in runs])
    for name, runs in s1.items()
}
s1_final = {
    name: np.array([run["test_elbo_on"]["threshold"] for run in runs])
    for name, runs in s1.items()
}
print("test ELBO of S1 after ten epochs, nats (mean of five seeds, 95% interval)")
for name, values in s1_final.items():
    print(
        "  {:5} {:.2f} ± {:.2f}".format(name, *interval(values)), end="; seeds 0 to 4: "
    )
    print(", ".join(f"{value:.2f}" for value in values))
print("paired differences, 95% interval, and the p-value of the paired t-test")
s1_differences = {}
for one, other in (("B", "A"), ("path", "A"), ("path", "B")):
    s1_differences[one, other] = interval(s1_final[one] - s1_final[other])
    p_value = stats.ttest_rel(s1_final[one], s1_final[other]).pvalue
    print(
        "  {} − {}: {:+.2f} ± {:.2f}".format(one, other, *s1_differences[one, other]),
        end="",
    )
    _, wide = interval(s1_final[one] - s1_final[other], comparisons=3)
    print(f", p = {p_value:.2f}; for one of three comparisons ± {wide:.2f}")


# %% tags=["nbval-ignore-output"]
def first_pass(vae, batch_size, binarization, test):
    """The objective on the test images after one pass, measured as the stored runs do."""
    training = vh.batches(images.train, batch_size, binarization, seed=0)
    held_out = vh.batches(test, 1000, shuffle=False)
    history = vae.fit(training, validation_data=held_out, verbose=0).history
    return -history["val_loss"][0]


vae = vh.conv_vae(latent_dim=2, seed=0)
vae.compile(keras.optimizers.Adam(1e-4), objective=vh.sgvb_a)
s1_again = first_pass(vae, 32, "threshold", x_test)
s1_kept = s1_curves["A"][0, 0]
print(f"A, seed 0, first epoch: {s1_again:.2f}, stored {s1_kept:.2f} nats")

# %%
assert abs(s1_again - s1_kept) < 0.5
print("trained again: the test ELBO after the first epoch, within half a nat")

# %% mystnb={"image": {"alt": "On the left the test ELBO of S1 with A, B and the path over ten epochs: three curves that rise from −180 to −157 nats and nearly coincide. In the middle the same against seconds. On the right the differences to B with intervals that reach half a nat to two nats to either side: from the second epoch on A lies near zero, from the fourth on the path half a nat below, and all intervals contain zero."}}
an_epoch = {
    name: np.median([run["seconds_per_epoch"] for run in runs[-2:]])
    for name, runs in s1.items()
}
print("seconds an epoch on one core, with the test (median of seeds 3 and 4):")
print("; ".join(f"{name} {taken_by:.0f}" for name, taken_by in an_epoch.items()))
show_training(
    "S1, mean of five seeds", s1_curves, an_epoch, "seconds of training and test"
)

# %%
for pair, (difference, half) in s1_differences.items():
    assert abs(difference) < half, pair
spread = {name: np.ptp(values) for name, values in s1_final.items()}
assert spread["path"] > max(spread["A"], spread["B"])
print("S1 after ten epochs: no interval of a difference excludes zero;")
print("the five runs with the path end farthest apart")

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
SHARES = {n: f"budget-l{n}-m{100 // n}" for n in (1, 2, 5, 10)}
budget = {
    n: [load(f"{run}-seed{seed}") for seed in range(5)] for n, run in SHARES.items()
}


def codes(runs_of):
    """The commits that made these runs."""
    made = (
        run["provenance"]["commit"][:7] for runs in runs_of.values() for run in runs
    )
    return ", ".join(dict.fromkeys(made))


print(f"code {codes(budget)}")
LIKELIHOOD = "test_log_likelihood_500"
budget_elbo, budget_likelihood = (
    {n: np.array([run[what] for run in runs]) for n, runs in budget.items()}
    for what in ("test_elbo", LIKELIHOOD)
)
lost = {n: interval(budget_elbo[n] - budget_elbo[1]) for n in SHARES}
trained_end = networks["dense, J = 20"]["stages"]["end"]
_, of_encoder = best_draws("dense, J = 20", trained_end, "b", WHOLE)
_, of_decoder = best_draws("dense, J = 20", trained_end, "b", ["variance_decoder"])


def by_formula_415(n, noise_ratio):
    """(4.15) relative to one draw, for V_ε / V_x = `noise_ratio`."""
    return (n + noise_ratio) / (1 + noise_ratio)


rows = [
    "| L | M | passes | (4.15), encoder | (4.15), decoder | test ELBO, nats | less that of L = 1 | log p(x), nats | less that of L = 1 |",
    "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
]
for n, runs in budget.items():
    cells = [str(n), str(100 // n), str(runs[0]["epochs"])]
    cells += [f"{by_formula_415(n, of):.1f}" for of in (of_encoder, of_decoder)]
    for of in (budget_elbo, budget_likelihood):
        cells.append("{:.2f} ± {:.2f}".format(*interval(of[n])))
        less = "{:.2f} ± {:.2f}".format(*interval(of[n] - of[1]))
        cells.append(less if n > 1 else "0")
    rows.append("| " + " | ".join(cells) + " |")
display(Markdown("\n".join(rows).replace("| -", "| −")))

# %% [markdown]
# (Columns (4.15): relative to $L = 1$, with $V_\varepsilon / V_x$ from section 4.5, dense, $J = 20$, at the end of training: 1.75 for the encoder, 0.71 for the decoder. That is a larger network, so they give the direction and a rough size. The intervals are 95%, by Student's $t$ over five seeds; the differences are paired by the seed. $\log p(x)$ is estimated by the bound of section 1.8 with 500 draws, and is too low. It is computed for the first 2,000 test images; what it has there above their ELBO is added to the ELBO of all.)
#
# Now the seconds. The stored runs shared their machine, so the seconds are measured here, the four shares in turn. The first pass of one stored run is trained again as well.


# %% tags=["nbval-ignore-output"]
def one_layer(draws):
    vae = vh.mlp_vae(latent_dim=20, hidden=(256,), seed=0)
    vae.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b, samples=draws)
    return vae


budget_again = first_pass(one_layer(2), 50, "threshold", x_test)
budget_kept = budget[2][0]["test_elbo_by_epoch"][0]
print(f"L = 2, seed 0, first pass: {budget_again:.2f}, stored {budget_kept:.2f} nats")


def in_turn(fits, rounds):
    """Seconds of `fit` for each pair of model and minibatches, in turn: the best of some rounds."""
    best = dict.fromkeys(fits, math.inf)
    for turn in range(rounds + 1):
        for key, (vae, minibatches) in fits.items():
            begun = time.monotonic()
            vae.fit(minibatches, verbose=0)
            if turn > 0:  # the first round compiles
                best[key] = min(best[key], time.monotonic() - begun)
    return best


pace = in_turn(
    {
        n: (
            one_layer(n),
            vh.batches(images.train[: 60_000 // n], 100 // n, "threshold"),
        )
        for n in SHARES
    },
    rounds=4,
)  # seconds for 600 updates
budget_curves = {
    n: np.array([run["test_elbo_by_epoch"] for run in runs])
    for n, runs in budget.items()
}
progress = np.linspace(0, 1, 31)[1:]  # of one draw: the share of its updates, by pass


def in_same_seconds(n, share):
    """ELBO of L = n at its end, less that of L = 1 after this share of its own updates."""
    ahead = [np.interp(share, progress, curve) for curve in budget_curves[1]]
    return interval(budget_curves[n][:, -1] - np.array(ahead))


rows = [
    "| L | seconds | (4.15), encoder × seconds | ELBO less that of L = 1 in the same seconds |",
    "|---:|---:|---:|---:|",
]
same_seconds = {}
for n in (2, 5, 10):
    share = pace[n] / pace[1]
    same_seconds[n] = in_same_seconds(n, share)
    product = by_formula_415(n, of_encoder) * share
    difference = "{:+.2f} ± {:.2f}".format(*same_seconds[n])
    rows.append(f"| {n} | {share:.2f} | {product:.1f} | {difference} |")
display(Markdown("\n".join(rows).replace("| -", "| −")))

# %% [markdown]
# (Seconds: for as many updates, relative to $L = 1$. In the last column $L = 1$ stops where its seconds are as many as those of the other share in all its updates. The interval holds the scatter of the seeds, not that of the seconds.)

# %% mystnb={"image": {"alt": "Test ELBO of the four shares, five seeds each with intervals. On the left against updates: one draw lies on top and ends at −86 nats, two half a nat below, five at −88, ten at −91. On the right against seconds: two draws begin below one and come near it at the end, five and ten stay below."}}
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, layout="constrained")
shades = plt.get_cmap("Blues_r")(np.linspace(0, 0.65, len(budget)))  # all are B
for (n, curve), color, mark in zip(budget_curves.items(), shades, "osD^", strict=True):
    done = np.arange(1, curve.shape[1] + 1) / curve.shape[1]
    middle, half = np.transpose([interval(values) for values in curve.T])
    for panel, last in zip(axes, (18_000, 30 * pace[n]), strict=True):
        look = {"ms": 4, "color": color, "label": f"L = {n}, M = {100 // n}"}
        panel.plot(last * done, middle, f"{mark}-", **look)
        panel.fill_between(
            last * done, middle - half, middle + half, alpha=0.3, color=color, lw=0
        )
axes[0].set(
    xlabel="updates of 100 decoded z", ylabel="test ELBO, nats", ylim=(-105, None)
)
axes[1].set(xlabel="seconds of training")
axes[0].legend()
plt.show()

# %%
assert abs(budget_again - budget_kept) < 0.5
print("trained again: the test ELBO after the first pass, within half a nat")
for of in (budget_elbo, budget_likelihood):
    means = [values.mean() for values in of.values()]
    assert means == sorted(means, reverse=True)
    for n in (2, 5, 10):
        difference, half = interval(of[n] - of[1])
        assert difference + half < 0, n
        difference, half = interval(of[n] - of[1], comparisons=3)
        assert difference + half < 0 or (n == 2 and of is budget_elbo), n
print("after as many decoded z: the more draws for an image, the lower the test ELBO")
print("and log p(x); every interval of a difference to one draw excludes zero, but for")
print("two draws in the ELBO only while it is not widened for three comparisons")
for n in (5, 10):
    difference, half = in_same_seconds(n, 0.5)
    assert difference + half < 0, n
    print(
        f"L = {n} in half the seconds would still lose: {difference:+.2f} ± {half:.2f}"
    )
for share in (0.75, 0.95):
    difference, half = in_same_seconds(2, share)
    print(f"L = 2 in {share} of the seconds: {difference:+.2f} ± {half:.2f} nats")

# %% [markdown]
# Update for update the order is that of (4.15): two draws end 0.6 nats below one, five 2.4, ten 4.8, and $\log p(x)$ says nearly the same. (The size of (4.15) is no forecast of the nats. In the figure the distance to one draw is largest early on, and shrinks later.) Five and ten draws save a fifth of the seconds, and still lose. For two draws the seconds make up for most of the loss, perhaps for all: the last lines show how the sign hangs on the timing. That fits the column (4.15) × seconds. It is 1 for one draw, and 1.2, 1.9 and 3.5 for the others. By the seconds of section 4.5, with a larger network, two draws would have been a little better than one. Here fewer images save less time. Why was not measured; part of an update, such as the step of Adam, does not get cheaper with fewer images.
#
# Two things go along with $M$ that this comparison does not take apart. Fewer images per update mean fewer passes; and the step of Adam is the same for all shares, though a noisier gradient may want a smaller one. So the statement is this: with the usual step and 100 decoded $z$ an update, five and ten draws lose, update for update and second for second. Two draws lose update for update (in the ELBO only while the interval is not widened); second for second no difference is sure. Nothing speaks for trading images for draws.

# %% [markdown]
# ## 4.8 Tighter bounds
#
# Take $k$ draws for each image and average $k$ values of estimator A. The mean stays, the noise is divided by $\sqrt{k}$, and that is all: nothing but less noise, at $k$ times the decoder's work. (In this section noise means a standard deviation: half the variance is 0.7 of the noise.) The importance-weighted bound of [section 1.8](01_theory.ipynb) does something else with the same draws. It takes the logarithm *after* the average. Draw $k$ independent $z_i = \mu + \sigma\varepsilon_i$ for one image; then
#
# $$
# \widetilde{\mathcal{L}}_k = \log \frac{1}{k} \sum_{i=1}^{k} w_i, \quad w_i = \frac{p_\theta(x, z_i)}{q_\phi(z_i \mid x)}, \qquad \nabla \widetilde{\mathcal{L}}_k = \sum_i \tilde w_i \, \nabla \log w_i, \quad \tilde w_i = \frac{w_i}{\sum_l w_l}. \tag{4.16}
# $$
#
# Here $\nabla$ is the gradient by $\theta$ and $\phi$, with $z_i$ moving as $\phi$ does, and the $\tilde w_i$ add up to 1. For $k = 1$ this is estimator A. As $k$ grows the mean $\mathcal{L}_k$ climbs towards $\log p_\theta(x)$. Look at it on the network that was trained in section 4.2.

# %% tags=["nbval-ignore-output"]
model.set_weights(moments["after 10 epochs"])
tighter = {
    k: vh.elbo(model, x_test[:1000], samples=k, objective=vh.iwae)
    for k in (1, 5, 50, 500)
}
for k, bound_k in tighter.items():
    print(f"k = {k:3}: {bound_k:.2f} nats")
left = (tighter[500] - tighter[50]) / (tighter[50] - tighter[5])
print(f"last step over the one before: {left:.2f}; a gap like 1/k would give 0.10")

# %%
assert np.all(np.diff(list(tighter.values())) > 0)
one_draw = value(lambda model, x: vh.iwae(model, x, 1), 5)
np.testing.assert_allclose(one_draw, value(vh.sgvb_a, 5), atol=1e-3)
print("the bound rises with k, and k = 1 is estimator A")

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
# Check two things. With $k = 1$ and the same noise, DReG and the path estimator should agree entry by entry. With $k = 5$, DReG and IWAE should have the same mean, and a gradient that leaves the second sum out another. If two means are equal, the squared distance of two averages of 1,000 draws is, on average, what the variances divided by 1,000 add up to. The cell prints the distance in this unit, for one set of twenty images. Equal means give about 1; between 0.5 and 2 passes.


# %%
def without_score(model, x, samples=5):
    """IWAE whose gradient by φ leaves out the second sum of (4.18): biased for k > 1."""
    q = model.posterior(x)
    z = q.sample(samples, seed=model.next_seed())
    mean, scale = q.distribution.loc, q.distribution.scale
    fixed_q = tfp.distributions.Normal(tf.stop_gradient(mean), tf.stop_gradient(scale))
    log_q = tf.reduce_sum(fixed_q.log_prob(z), axis=-1)
    log_weight = model.likelihood(z).log_prob(x) + model.prior.log_prob(z) - log_q
    return tf.reduce_logsumexp(log_weight, axis=0) - math.log(samples)


def distance_over_noise(one, other, draws):
    """Squared distance of two mean gradients of the encoder, over what noise explains of it."""
    of_encoder = [v.path for v in model.encoder.trainable_variables]
    found = sum(np.sum((one.mean[p] - other.mean[p]) ** 2) for p in of_encoder)
    return (
        found
        * draws
        / sum(np.sum(one.variance[p] + other.variance[p]) for p in of_encoder)
    )


# %% tags=["nbval-ignore-output"]
dreg = vh.iwae_doubly_reparameterized
twenties = [x[:20] for x in minibatches]
with_five = [
    vh.GradientMeter(model, objective, samples=5)(twenties[0], 1000, seed=seed)
    for seed, objective in enumerate((vh.iwae, dreg, without_score))
]
off_dreg, off_without = (
    distance_over_noise(with_five[0], other, 1000) for other in with_five[1:]
)
print(
    f"k = 5, squared distance from IWAE's mean over noise: DReG {off_dreg:.2f}, ",
    end="",
)
print(f"without the second sum {off_without:.1f}")

# %%
assert 0.5 < off_dreg < 2 < off_without
single, of_path = (
    vh.GradientMeter(model, objective, samples=1)(twenties[0], repeats=2).mean
    for objective in (dreg, vh.sticking_the_landing)
)
for name, entries in of_path.items():
    near = 1e-4 * np.abs(entries).max()
    np.testing.assert_allclose(single[name], entries, atol=near)
print("k = 1: DReG is the path estimator")
print("k = 5: between DReG and IWAE no difference of the means is seen,")
print("       where the second sum is left out there is one")

# %% [markdown]
# Now the ratios, for $k = 1$, 5 and 50 on the eight minibatches, with twenty images of each and a hundred gradients drawn. The signal is the length of the mean gradient, the noise the root of the summed variances. (A mean of 100 draws still holds a hundredth of the variance, which would make it look longer; the cell subtracts that from the squared length.) The decoder's gradient is the same with both estimators, as in section 4.4, so it is measured once. The intervals are 95% over the eight minibatches; the last column is a geometric mean.


# %% tags=["nbval-ignore-output"]
def signal_to_noise(measured_gradient, variables, draws):
    """Length of the mean gradient over the root of its summed variances."""
    noise, squared = (
        sum(np.sum(entries[v.path], dtype=float) for v in variables)
        for entries in (
            measured_gradient.variance,
            {p: np.square(m, dtype=float) for p, m in measured_gradient.mean.items()},
        )
    )
    return np.sqrt(max(squared - noise / draws, 0) / noise)


SAMPLES = (1, 5, 50)
signal = {}  # by curve and k: a ratio for each minibatch
for name, objective in (("IWAE", vh.iwae), ("DReG", dreg)):
    for k in SAMPLES:
        meter = vh.GradientMeter(model, objective, samples=k)
        drawn = [meter(x, repeats=100, seed=s) for s, x in enumerate(twenties)]
        variables = {f"{name}, encoder": model.encoder.trainable_variables}
        if name == "IWAE":
            variables["decoder"] = model.decoder.trainable_variables
        for curve, of in variables.items():
            signal[curve, k] = np.array([signal_to_noise(m, of, 100) for m in drawn])
CURVES = ("IWAE, encoder", "DReG, encoder", "decoder")
rows = [
    "| signal / noise | k = 1 | k = 5 | k = 50 | k = 50 over k = 1 |",
    "|---|---:|---:|---:|---:|",
]
change = {}  # from k = 1 to k = 50: geometric mean over the minibatches, 95% interval
for curve in CURVES:
    middle, half = interval(np.log(signal[curve, 50] / signal[curve, 1]))
    change[curve] = np.exp([middle, middle - half, middle + half])
    cells = ["{:.2f} ± {:.2f}".format(*interval(signal[curve, k])) for k in SAMPLES]
    cells.append("{:.2f} ({:.2f} to {:.2f})".format(*change[curve]))
    rows.append(f"| {curve} | " + " | ".join(cells) + " |")
display(Markdown("\n".join(rows)))

# %% mystnb={"image": {"alt": "Signal over noise against k = 1, 5, 50, both axes logarithmic. The decoder rises from 1.4 to 2.2, much flatter than the dotted slope of the square root. The encoder falls gently, with DReG from 1.5 to 1.2 and with IWAE from 1.0 to 0.8, while the dashed slope drops to 0.14."}}
figure, panel = plt.subplots(figsize=(7, 3.6), layout="constrained")
for curve, color in zip(CURVES, (COLORS["IWAE"], COLORS["DReG"], "black"), strict=True):
    middle, half = np.transpose([interval(signal[curve, k]) for k in SAMPLES])
    panel.errorbar(SAMPLES, middle, yerr=half, fmt="o-", color=color, label=curve)
lowest, highest = signal["IWAE, encoder", 1].mean(), signal["decoder", 1].mean()
for start, slope, label in (
    (lowest, -0.5, r"slope of $1/\sqrt{k}$ (IWAE)"),
    (highest, 0.5, r"slope of $\sqrt{k}$ (decoder, DReG)"),
):
    law = start * np.power(SAMPLES, slope)
    panel.plot(SAMPLES, law, "--" if slope < 0 else ":", color="gray", label=label)
panel.set(xscale="log", yscale="log", xlabel="k", ylabel="signal / noise")
panel.set_xticks(SAMPLES, [str(k) for k in SAMPLES])
panel.set_yticks([0.2, 0.5, 1, 2, 5, 10], ["0.2", "0.5", "1", "2", "5", "10"])
panel.minorticks_off()
handles, _ = panel.get_legend_handles_labels()  # the measured curves first
panel.legend(
    handles=handles[2:] + handles[:2], loc="center left", bbox_to_anchor=(1, 0.5)
)
plt.show()

# %%
assert change["IWAE, encoder"][1] > 0.5 and change["IWAE, encoder"][2] < 1
assert change["DReG, encoder"][1] > 0.5 and change["DReG, encoder"][2] < 1
assert change["decoder"][1] > 1 and change["decoder"][2] < 3
for k in (1, 50):
    gain = interval(np.log(signal["DReG, encoder", k] / signal["IWAE, encoder", k]))
    assert np.exp(gain[0] - gain[1]) > 1.3 and np.exp(gain[0] + gain[1]) < 1.8
print("from k = 1 to 50: the decoder's ratio rises, less than threefold;")
print("the encoder's falls, with IWAE and with DReG, to no less than half")
print("DReG's is 1.3 to 1.8 times IWAE's, at k = 50 as at k = 1")

# %% [markdown]
# For IWAE's encoder and for the decoder the directions are those of the theory. The sizes are not. From one draw to fifty the encoder's ratio falls by a fifth, where $1/\sqrt{k}$ would leave a seventh of it; the decoder's rises by half, where $\sqrt{k}$ would make it seven times as large. For DReG even the direction differs: its ratio should rise, and falls as IWAE's does. It lies higher by half: but so it did at $k = 1$, where it is the path estimator. (By the table of section 4.4 the path has a little less than half the variance of A, so its noise is smaller by a factor of 1.5.) On this trained network, then, the repair brings what section 4.3 brought, and nothing that grows with $k$.
#
# Why? The laws begin where $v/k$ is small: with a $q$ close to the posterior, or a $k$ far beyond $v$. (If $v$ is infinite, as it may be by section 1.8, they never begin.) A step in the bound shows how far away that is here: from $k = 50$ to 500 it gains half as much as from 5 to 50, where a gap like $1/k$ would gain a tenth. Look at the weights themselves: how much of the whole does the heaviest of the fifty carry? And how many equal weights would be as good? A usual answer to the second is the *effective number* $1 / \sum_i \tilde w_i^2$.


# %% tags=["nbval-ignore-output"]
def normalised_weights(x, k, seed=0):
    """The weights of (4.16) for each image, [k, n]."""
    with model.using(keras.random.SeedGenerator(seed)):
        q = model.posterior(x)
        z = q.sample(k, seed=model.next_seed())
    log_ratio = q.log_prob(z) - model.prior.log_prob(z)
    return tf.nn.softmax(model.likelihood(z).log_prob(x) - log_ratio, axis=0).numpy()


heaviest, effective = {}, {}
print("fifty draws for each of 1,000 test images: mean share of the heaviest weight,")
print("and median of the effective number")
for moment, trained in moments.items():
    model.set_weights(trained)
    chunks = (x_test[i : i + 100] for i in range(0, 1000, 100))
    shares = np.concatenate([normalised_weights(chunk, 50) for chunk in chunks], axis=1)
    heaviest[moment] = shares.max(axis=0).mean()
    effective[moment] = np.median(1 / np.sum(shares**2, axis=0))
    print(f"  {moment}: {heaviest[moment]:.0%}, {effective[moment]:.1f}")

# %%
assert 0.45 < heaviest["after 10 epochs"] < 0.75
assert effective["after 10 epochs"] < 4 < effective["start"] < 20
print("after training the heaviest of fifty carries more than 45% on average,")
print("and the median effective number is below 4; before training between 4 and 20")

# %% [markdown]
# Of fifty draws two or three count. The argument for large $k$ needs sums in which no single term matters; here one term carries more than half. (If $k$ is large, the effective number is about $k / (1 + v)$. Solved for $v$, 2.4 of 50 gives about twenty and 8.1 about five. The first only tells the size, since fifty is not large beside twenty. In both cases $k = 1$, where our ratios begin, is far below $v$.)
#
# Is it this one training? `experiments/gradients.py` has carried the same training on to thirty epochs (seed 0), and done another from other initial weights (seed 1). It measured the ratios at three stages, on twenty images of each of its ten minibatches.


# %%
def stored_signal_to_noise(stage, name, parts, k):
    """One ratio for each minibatch, as above."""
    of = stage["estimators"][name][str(k)]
    squared, noise = (
        sum(np.array(of[f"{what}_{part}"]) for part in parts)
        for what in ("squared_mean", "variance")
    )
    return np.sqrt(squared / noise)


ENCODER = ("mu", "scale", "encoder")
seeds = [networks["dense, J = 20"]["stages"], second]


def stored_ratio(stage, seed, over, under):
    """Geometric mean over the minibatches of a ratio of two ratios, 95% interval."""
    above, below = (
        stored_signal_to_noise(seeds[seed][stage], name, parts, k)
        for name, parts, k in (over, under)
    )
    middle, half = interval(np.log(above / below))
    return np.exp([middle, middle - half, middle + half])


rows = [
    "| moment, seed | IWAE’s encoder, 50 / 1 | DReG’s, 50 / 1 | decoder, 50 / 1 | DReG / IWAE, k = 1 | k = 50 |",
    "|---|---:|---:|---:|---:|---:|",
]
QUOTIENTS = {
    "iwae": (("iwae", ENCODER, 50), ("iwae", ENCODER, 1)),
    "dreg": (("dreg", ENCODER, 50), ("dreg", ENCODER, 1)),
    "decoder": (("iwae", ("decoder",), 50), ("iwae", ("decoder",), 1)),
    "gain 1": (("dreg", ENCODER, 1), ("iwae", ENCODER, 1)),
    "gain 50": (("dreg", ENCODER, 50), ("iwae", ENCODER, 50)),
}
quotients = {
    (stage, seed, what): stored_ratio(stage, seed, *pair)
    for stage in STAGES
    for seed in (0, 1)
    for what, pair in QUOTIENTS.items()
}
for stage, moment in STAGES.items():
    for seed in (0, 1):
        cells = [
            "{:.2f} ({:.2f} to {:.2f})".format(*quotients[stage, seed, what])
            for what in QUOTIENTS
        ]
        rows.append(f"| {moment}, {seed} | " + " | ".join(cells) + " |")
display(Markdown("\n".join(rows)))

# %%
for seed in (0, 1):
    for stage in STAGES:
        assert quotients[stage, seed, "decoder"][1] > 1, (stage, seed)
        assert quotients[stage, seed, "decoder"][2] < 3, (stage, seed)
        for name in ("iwae", "dreg"):
            assert quotients[stage, seed, name][2] < 1, (stage, seed, name)
    for stage in ("middle", "end"):
        for name in ("iwae", "dreg"):
            assert quotients[stage, seed, name][1] > 0.5, (stage, seed, name)
        assert quotients[stage, seed, "gain 50"][2] < 1.8, (stage, seed)
        earlier, later = (quotients[at, seed, "iwae"] for at in ("start", stage))
        assert earlier[2] < later[1], (stage, seed)
    assert (
        quotients["start", seed, "gain 50"][1] > quotients["start", seed, "gain 1"][2]
    )
print("two seeds, three stages: from k = 1 to 50 the decoder’s ratio rises, less than")
print(
    "threefold, and the encoder’s falls, with IWAE and with DReG; after one epoch and"
)
print("at the end to no less than half, before training farther with IWAE")
print("before training what DReG gains grows with k; later it is less than 1.8")

# %% [markdown]
# After one epoch and after thirty the picture is that of ten: DReG's ratio is about 1.5 times IWAE's, whatever $k$. (With seed 0 that lead still grows a little after one epoch, from 1.51 to 1.64.) Before training it is different. IWAE's ratio falls to 0.36 and 0.55; the law for large $k$, applied from $k = 1$, would give 0.14. The decoder's rises 2.5 and 2.0 times, where it would give 7. DReG's falls as well, to 0.69 and 0.79, where its law lets it rise. But it falls less than IWAE's: it is 2.2 times IWAE's at $k = 1$, and 4.3 and 3.2 times at $k = 50$. There the repair brings something that grows with $k$. (The intervals are over minibatches. Before training the two seeds differ by more than that.)
#
# ## 4.9 Do tighter bounds train better?
#
# A worse ratio for the encoder, a better one for the decoder: which of them decides? Train. The setting is near to that of [Burda et al. 2016](../book/bibliography.md): two layers of 200 tanh units on either side, $J = 50$, Adam with a step of $10^{-3}$, minibatches of twenty, digits binarised anew on every pass (the *dynamic* version). They trained for 3,280 epochs, and lowered the step in eight stages to $10^{-4}$; here there are five epochs with the first step. (They also let the output bias begin at the mean image, and used another $\epsilon$ in Adam.) So do not read the levels. Read who is ahead.
#
# Two comparisons must be kept apart. *After the same images*: does the bound help, or is it only the draws? An average of $k$ draws of A is quieter as well, and leaves the bound as it is. So A is trained with five and with fifty draws, too. *After the same seconds*: five draws take longer than one, fifty much longer. So A with one draw also goes on for 13 epochs, which take about as long as five with five draws, and for forty. `experiments/run.py iwae dreg a-k5 a-k50` makes these 35 runs in about two and a half hours on one core: five seeds for each row, but three for fifty draws and forty epochs, and a single one for A with fifty draws.

# %%
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
tight = {
    of: [load(path.stem) for path in sorted(STORED.glob(f"{run}-seed?.json"))]
    for of, run in TIGHT.items()
}
print(f"code {codes(tight)}")


def of_runs(key, what=LIKELIHOOD):
    return np.array([run[what] for run in tight[key]])


def paired(one, other):
    """Differences in log p(x) between runs of the same seed: of the seeds that both have."""
    both = min(len(tight[one]), len(tight[other]))
    return of_runs(one)[:both] - of_runs(other)[:both]


rows = [
    "| objective | k | epochs | seeds | log p(x), nats | less that of the first row | ELBO, nats | its bound, nats | active units |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
]


def shown(values, sign=""):
    """Mean and 95% interval of the runs; a single run has none."""
    if len(values) == 1:
        return f"{values[0]:{sign}.2f}"
    middle, half = interval(values)
    return f"{middle:{sign}.2f} ± {half:.2f}"


for key, runs in tight.items():
    cells = [str(part) for part in (*key, len(runs))]
    gain = shown(paired(key, ("A", 1, 5)), "+") if key != ("A", 1, 5) else "0"
    cells += [shown(of_runs(key)), gain]
    cells += [shown(of_runs(key, what)) for what in ("test_elbo", "test_objective")]
    cells.append(", ".join(str(units) for units in of_runs(key, "active_units")))
    rows.append("| " + " | ".join(cells) + " |")
display(Markdown("\n".join(rows).replace("| -", "| −")))

PAIRS = [
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
]
better, widened = {}, {}
print(f"log p(x), paired by the seed: 95%; widened for {len(PAIRS)} comparisons")
for pair in PAIRS + ALONE:
    one, other = ("{}, k = {}, {} epochs".format(*key) for key in pair)
    print(f"  {one:22} less {other:22}: {shown(paired(*pair), '+')}", end="")
    if pair in ALONE:
        print(", seed 0 alone")
        continue
    better[pair] = interval(paired(*pair))
    widened[pair] = interval(paired(*pair), len(PAIRS))
    print(f"; ± {widened[pair][1]:.2f}")

# %% [markdown]
# ("Its bound" is what the row maximises. It and the ELBO are of all test images, made binary once for all rows by the dynamic recipe. $\log p(x)$ is estimated as in section 4.7, here from the first 1,000 test images. *Active* are the coordinates that `vh.active_units` counts, as in section 2.8: those whose $\mu_j$ has a variance over the test images above 0.01; one number for each seed. Intervals: 95%, Student's $t$, over the seeds of the row; differences over the seeds that both rows have. A with fifty draws is seed 0 alone: compare it by the last three lines, not by the rows.)
#
# Now the seconds of an update, the objectives in turn, and the first epoch of one stored run once more.


# %% tags=["nbval-ignore-output"]
def tanh_network(objective, draws):
    vae = vh.mlp_vae(hidden=(200, 200), latent_dim=50, activation="tanh", seed=0)
    vae.compile(keras.optimizers.Adam(1e-3), objective=objective, samples=draws)
    return vae


dynamic_test = vh.binarize(images.test, "dynamic", seed=1)
tight_again = first_pass(tanh_network(vh.iwae, 5), 20, "dynamic", dynamic_test)
tight_kept = tight["IWAE", 5, 5][0]["test_elbo_by_epoch"][0]
print(
    f"IWAE, k = 5, seed 0, first epoch: {tight_again:.2f}, stored {tight_kept:.2f} nats"
)

MAXIMISED = {"A": vh.sgvb_a, "IWAE": vh.iwae, "DReG": dreg}
UPDATES = {1: 500, 5: 250, 50: 25}  # about a second each
fits = {
    (name, k): (
        tanh_network(MAXIMISED[name], k),
        vh.batches(images.train[: 20 * UPDATES[k]], 20, "dynamic"),
    )
    for name, k, epochs in TIGHT
    if epochs == 5
}
best_seconds = in_turn(fits, rounds=3)
per_epoch = {key: 3000 * best_seconds[key] / UPDATES[key[1]] for key in fits}
for (name, k), of_epoch in per_epoch.items():
    print(f"{name}, k = {k}: {of_epoch / 3:.1f} ms an update", end="")  # 3,000 of them
    print(f", {of_epoch / per_epoch['A', 1]:.1f} times A's with one draw")

# %% mystnb={"image": {"alt": "log p(x) against seconds of training, the seconds on a logarithmic axis. A with one draw rises from −105 after five epochs to −99 after thirteen and −96 after forty. IWAE and A with five draws lie together at −101, one to two nats below that line, DReG with five at −99.5, just below it. With fifty draws all three lie far to the right, between −100 and −99, three to five nats below where the line ends."}}
figure, panel = plt.subplots(figsize=(7, 4), layout="constrained")
MARKS = {1: "o", 5: "s", 50: "D"}
for name in MAXIMISED:
    for k, mark in MARKS.items():
        found = [key for key in tight if key[:2] == (name, k)]
        if found:
            taken_by = [epochs * per_epoch[name, k] for _, _, epochs in found]
            means = [of_runs(key).mean() for key in found]
            half = [
                interval(of_runs(key))[1] if len(tight[key]) > 1 else 0 for key in found
            ]
            look = {"color": COLORS[name], "ms": 6, "label": f"{name}, k = {k}"}
            panel.errorbar(
                taken_by, means, yerr=half, fmt=f"{mark}-", capsize=2, **look
            )
panel.set(xscale="log", xlabel="seconds of training", ylabel="log p(x), nats")
panel.set_xticks([30, 100, 300, 1000], ["30", "100", "300", "1000"])
panel.minorticks_off()
panel.legend(loc="lower right", ncols=3)
plt.show()

# %%
assert abs(tight_again - tight_kept) < 1
print("trained again: the bound on the test images after the first epoch, within a nat")
A_5, IWAE_5, DREG_5 = ((name, 5, 5) for name in ("A", "IWAE", "DReG"))
sure = [(A_5, ("A", 1, 5)), (DREG_5, A_5), (DREG_5, IWAE_5)]
sure += [(("A", 1, 13), A_5), (("A", 1, 13), IWAE_5)]
for pair in sure:
    assert widened[pair][0] > widened[pair][1], pair
assert abs(better[IWAE_5, A_5][0]) < better[IWAE_5, A_5][1]
print("log p(x), differences that exclude zero, also widened for all comparisons:")
print("  A with five draws over A with one; DReG over A and IWAE, all with five;")
print("  A with one draw and 13 epochs over A and IWAE with five draws")
print("and one that does not, in either way: IWAE over A, both with five draws")
forty = better[("A", 1, 40), ("DReG", 50, 5)]
assert forty[0] > forty[1] and per_epoch["DReG", 50] > 8 * per_epoch["A", 1]
print("A with forty epochs is above DReG with fifty draws, in fewer seconds")

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
# The numbers in brackets are sections; there each statement has its figure and its interval (only seconds have none). "At the end" means after the ten or thirty epochs of one training of each network (two for dense, $J = 20$), and the intervals of variances are over minibatches.
#
# - **For the number that you print**, A has less variance than B once the encoder has learnt something: by $\mathrm{Var}(\Delta)$ at a stationary point [4.2], here 0.3 to 0.6 nats² for each latent dimension. In the four networks that is 5 to 31 per cent at the end [4.5]. If the notebook means the value, it is right.
# - **For the gradient by $\mu$**, B has less variance than A: in all four networks, at every moment that was measured [4.5], and at stationary points for every decoder wherever $\sigma_j^2 < 2$ [4.3]. By $\sigma$ mostly, but not always: with $J = 20$ B has less; with $J = 2$ A has 1 per cent less in the dense network, and in the convolutional one no difference shows [4.5]. If the paper means the gradient, its "typically" fits.
# - **How much.** At the initial weights A has 7 to 40 times B's variance in the encoder. Later it has about a quarter more at most, and with $J = 2$ the two differ by less than four per cent either way [4.4, 4.5]. Training could not tell A from B with five seeds: B − A is 0.2 ± 0.4 nats after five epochs of the dense network, −0.07 ± 0.43 after ten of S1 [4.6].
# - **Quieter than both**, once the first epoch is over, is the path estimator: in the $\mu$ head and the rest of the encoder 0.2 to 0.6 of B's variance [4.5], and an epoch takes about as long [4.6]. In training it ended 0.6 ± 0.3 nats above A with the dense network, and 0.5 ± 1.2 below with S1 [4.6].
# - **Several draws** did not pay. In training with the usual step and 100 decoded $z$ an update, five draws end 2.4 ± 0.6 nats below one and ten 4.8 ± 0.5. In the same seconds it is 1.8 ± 0.4 and 4.3 ± 0.3; with two draws the sign hangs on the timing [4.7]. The noise of a single gradient, weighed against its seconds, points the same way [4.5].
# - **Tighter bounds.** With IWAE they lower the signal-to-noise ratio of the encoder's gradient, in the direction of the theory but by far less: from one draw to fifty by a fifth in a trained network, where $1/\sqrt{k}$ would take six sevenths. DReG's ratio is half as large again at $k = 1$, 5 and 50, and falls as much, where the theory lets it rise; that its lead grows with $k$ is clear only before training. All this on the dense network alone [4.8]. In five epochs of another network (tanh, $J = 50$, dynamic digits) no difference was seen between IWAE and A with five draws each, +0.15 ± 0.71 nats of $\log p(x)$; DReG ended 1.9 ± 0.6 above A. A with one draw made thirteen epochs in about the same seconds, and ended 2.3 ± 0.5 above IWAE and 0.6 ± 0.5 above DReG; the last interval, widened, contains zero, and the estimate of $\log p(x)$ may favour A [4.9].
#
# So take B or the path estimator, with one draw. Between these two, and between either and A, training showed no difference that would be sure with five seeds and three comparisons, but for path − A in the dense network [4.6]. Going from A to B, as one write-up does, takes no more seconds, and no loss was seen; the 95% intervals of what it brings reach from −0.2 to +0.6 and from −0.5 to +0.4 nats in the two trainings here. Sections 4.2 to 4.8 use two kinds of network on thresholded digits, section 4.9 a third on dynamic ones. In a short training tighter bounds did not pay in seconds here. In a long one they bring something by the published table, and can wait for its end. If you use one, our runs speak for DReG: after five epochs it stood 1.7 ± 0.2 nats above IWAE with five draws (with fifty 1.2 ± 0.5 over three seeds, which widened contains zero), for a quarter more seconds at most [4.9].
#
# What this page did not measure: A, B and the path over more than ten epochs; another step of Adam for each; the path with several draws; tighter bounds in a training long enough to converge; a change of estimator within a run.
#
# ## What we measured
#
# Here ± and brackets are 95% intervals, not widened. Ranges without brackets go from the smallest to the largest of four networks. (The last row but one has three seeds.)

# %% tags=["hide-input", "nbval-ignore-output"]
a, b, _ = measured["encoder, after 10 epochs"]


def with_interval(ratio):
    return "{:.2f} ({:.2f} to {:.2f})".format(*ratio)


def signed(difference):
    return "{:+.2f} ± {:.2f}".format(*difference[:2])


table = ratios["after 10 epochs"]
rows = [
    ("value, after training: variance of B less that of A, nats²", f"{signed(interval(b - a))} ({b.mean():.1f} less {a.mean():.1f})", "A less (TFP's notebook)"),
    ("gradient, μ head, after training: A / B", with_interval(table["A", "μ head"]), "B less, “typically” (paper)"),
    ("gradient, σ head, after training: A / B", with_interval(table["A", "σ head"]), "the same"),
    ("gradient, μ head, after training: path / B", with_interval(table["path", "μ head"]), "—"),
    ("gradient, μ head, before training: A / B", with_interval(ratios["start"]["A", "μ head"]), "—"),
    ("four networks, at the end: value, A / B", span("end", "a", "value"), "A less (TFP's notebook)"),
    ("— gradient, μ head: A / B", span("end", "a", "μ head"), "B less, “typically” (paper)"),
    ("— gradient, σ head: A / B", span("end", "a", "σ head"), "the same"),
    ("— gradient, μ head: path / B", span("end", "path", "μ head"), "—"),
    ("256 units, test ELBO after five epochs: B − A, nats", signed(interval(final["B"] - final["A"])), "not measured (S4 replaces A by B)"),
    ("— path − A", signed(interval(final["path"] - final["A"])), "—"),
    ("— path − B", signed(interval(final["path"] - final["B"])), "—"),
    ("S1, test ELBO after ten epochs: B − A, nats", signed(s1_differences["B", "A"]), "not measured (S4 replaces A by B)"),
    ("— path − A", signed(s1_differences["path", "A"]), "—"),
    ("— path − B", signed(s1_differences["path", "B"]), "—"),
    ("256 units, 18,000 updates of 100 decoded z, test ELBO: L = 2 − L = 1, nats", signed(lost[2]), "—"),
    ("— L = 5 − L = 1", signed(lost[5]), "—"),
    ("— L = 10 − L = 1", signed(lost[10]), "—"),
    ("— in the same seconds: L = 2 − L = 1", signed(same_seconds[2]), "—"),
    ("— in the same seconds: L = 5 − L = 1", signed(same_seconds[5]), "—"),
    ("signal / noise of the encoder with IWAE, k = 50 over k = 1", with_interval(change["IWAE, encoder"]), "for large k like 1/√k (Rainforth et al.)"),
    ("— with DReG", with_interval(change["DReG, encoder"]), "for large k like √k (Tucker et al.)"),
    ("— of the decoder", with_interval(change["decoder"]), "for large k like √k (Rainforth et al.)"),
    ("dynamic MNIST, tanh, J = 50, log p(x) after five epochs: IWAE − A, both of five draws", signed(better[("IWAE", 5, 5), ("A", 5, 5)]), "+0.93 after 3,280 (Burda et al.)"),
    ("— DReG − A, both of five draws", signed(better[("DReG", 5, 5), ("A", 5, 5)]), "—"),
    ("— IWAE − A, both of fifty draws (one seed)", shown(paired(("IWAE", 50, 5), ("A", 50, 5)), "+"), "+1.57 after 3,280 (Burda et al.)"),
    ("— DReG − IWAE, both of fifty draws", signed(better[("DReG", 50, 5), ("IWAE", 50, 5)]), "—"),
    ("— A, one draw and 13 epochs, less IWAE, five draws", signed(better[("A", 1, 13), ("IWAE", 5, 5)]), "—"),
]  # fmt: skip
header = "| thresholded MNIST and dense, J = 20, if not said | here | published |\n|---|---|---|\n"
lines = (f"| {what} | {value} | {published} |" for what, value, published in rows)
display(Markdown((header + "\n".join(lines)).replace("| -", "| −")))

# %% tags=["nbval-ignore-output"]
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
# **4.** Away from a stationary point the path need not win. Let $\sigma_j$ be smaller than its stationary value. From which point on does the path scatter more than A in the gradient by $\mu_j$? Check it with the images' own Gaussians, by shrinking $\sigma$.
#
# <details><summary>Solution</summary>
#
# By (4.9) and (4.5), the variance of the path less that of A is $1/\sigma_j^2 + 2 (h_j - 1)$. Suppose that $h_j$ does not change much when $\sigma_j$ does. Write $s_j$ for the stationary value, so that $h_j = 1 - 1/s_j^2$. Then the difference is $1/\sigma_j^2 - 2/s_j^2$: positive as soon as $\sigma_j < s_j / \sqrt{2}$. (The true factor depends on how $h_j$ moves.) The cell below multiplies $\sigma$ by 0.9 and by 0.5.
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


# %%
weights, mean, scale = gaussians["own Gaussians, after 10 epochs"]
for factor in (0.9, 0.5):
    of = gradient_variances(weights, mean, np.float32(factor) * scale)
    part = of["path"][0].mean() / of["A"][0].mean()
    print(f"σ times {factor}: path / A = {'more' if part > 1 else 'less'} than 1")
    assert (part > 1) == (factor**2 < 0.5)


def mixed(c):
    """An objective with the value of B plus c Δ."""

    def objective(model, x, samples=1):
        q = model.posterior(x)
        z = q.sample(samples, seed=model.next_seed())
        kl = q.kl_divergence(model.prior)
        delta = kl - (q.log_prob(z) - model.prior.log_prob(z))
        return tf.reduce_mean(model.likelihood(z).log_prob(x) - kl + c * delta, axis=0)

    return objective


for c, objective in ((0.0, vh.sgvb_b), (1.0, vh.sgvb_a)):
    np.testing.assert_allclose(value(mixed(c), 7), value(objective, 7), atol=2e-3)
print("mixed(0) is B and mixed(1) is A")

n_x, n_epsilon, t_x, t_z = np.random.default_rng(0).exponential(size=(4, 100_000))


def product(draws):
    return (n_x + n_epsilon / draws) * (t_x + draws * t_z)  # (4.13)


best_number = np.sqrt(n_epsilon * t_x / (n_x * t_z))
for draws in (1, 2, 7):
    more = product(draws + 1) < product(draws)
    assert np.array_equal(more, best_number > np.sqrt(draws * (draws + 1)))
near_two = np.abs(best_number - 2) < 0.01
assert np.max(product(1)[near_two] / product(2)[near_two]) < 1.14
print("one draw more pays where L* lies above √(L (L + 1))")

# %% [markdown]
# ## What to read next
#
# - [Chapter 5](05_animations.ipynb) shows the reparameterisation trick in motion, and why a gradient is quiet when the noise stays fixed.
# - [Roeder, Wu & Duvenaud 2017](../book/bibliography.md) on the path gradient, with mixtures and importance-weighted bounds.
# - [Mohamed et al. 2020](../book/bibliography.md) on Monte Carlo gradients and control variates in general.
# - [Rainforth et al. 2018](../book/bibliography.md) on why a tighter bound may train the encoder worse.
