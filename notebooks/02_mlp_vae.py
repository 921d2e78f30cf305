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
# # 2. A first variational autoencoder in code
#
# **A model that knows only the average digit gives a test image a log-likelihood of −206 nats. Two numbers for each image lift that to at least −146.** Fair coins in place of pixels score −543. Even a perfect copy would score −46, because grey pixels are read as coins. The pictures stay blurred, and the blur has a reason.

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

import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.patches import Circle, Ellipse
from scipy import stats

tfd = tfp.distributions
vh.use_book_style()
keras.utils.set_random_seed(0)
started = time.monotonic()
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"

# %% tags=["plumbing"] mystnb={"image": {"alt": "A ladder of nats on one line. Fair coins stand at minus 543, the average digit at minus 206, the VAE with two numbers a digit at minus 146, and the ceiling, a perfect copy, at minus 46."}}
# Sections 2.5 and 2.8 measure these four numbers and check them.
LADDER = {
    "fair coins": (-543.4, GREY, 1),
    "the average\ndigit": (-205.8, GREY, -1),
    "our VAE: two\nnumbers a digit": (-145.8, BLUE, 1),
    "a perfect\ncopy": (-45.5, GREEN, -1),
}
figure, axis = plt.subplots(figsize=(6, 2.2))
axis.axhline(0, color="black", lw=1, zorder=0)
for name, (nats, color, side) in LADDER.items():
    axis.plot(nats, 0, "o", color=color, ms=11)
    label = f"{name}\n−{-nats:.0f}"
    place = {"ha": "center", "va": "bottom" if side > 0 else "top"}
    axis.text(nats, 0.3 * side, label, color=color, fontsize=12, **place)
axis.set(xlim=(-605, 25), ylim=(-2.4, 2.4), yticks=[])
axis.set_xlabel("nats per test image (right is better)", fontsize=11)
axis.spines["left"].set_visible(False)
axis.grid(False)
plt.show()

# %% [markdown]
# This chapter builds a variational autoencoder (VAE) twice: once with every step in the open, once as a Keras model that you train with `fit`. Then you train it on handwritten digits and look at what it has learnt.
#
# **What you will be able to do**
#
# - write the two networks of a VAE and say what each of their outputs means;
# - turn the evidence lower bound into a dozen lines of TensorFlow, in nats;
# - train with a gradient tape, then with `model.fit`, and check that they agree;
# - read the curves of a VAE, and hold them against two numbers;
# - look into a two-dimensional latent space: reconstructions, samples, the scatter and the plane;
# - name three common slips and what each costs;
# - explain the blur of the pictures, and compute it.
#
# **What it needs.** Some 40 minutes to read. Three to ten minutes to run on two CPU cores, and a little over 2 GiB of memory. You should know a little Python and Keras. The theory is in [chapter 1](01_theory.ipynb); each formula is repeated here.
#
# ## 2.1 The data
#
# MNIST holds 70,000 pictures of handwritten digits, 28 × 28 pixels each: 60,000 to learn from and 10,000 that are kept aside. A pixel is a grey level, an integer from 0 (black) to 255 (white). The package `vae_helpers` belongs to this book and fetches the data.

# %%
images = vh.load_mnist()
print("train", images.train.shape, images.train.dtype)
print("test ", images.test.shape, images.test.dtype)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two rows of eight handwritten digits from MNIST, white strokes on a black ground."}}
vh.plot_images(images.train[:16])
plt.show()

# %% [markdown]
# A network wants small numbers, so divide by 255. The result lies between 0 and 1. This chapter reads it as a *probability*: a pixel of 0.8 stands for "white in eight of ten cases". Most tutorials do, and so does the published write-up that this chapter follows (system S0 in the [introduction](../book/intro.md)). It has a price, which section 2.8 measures. Despite its name, `binarize(…, "none")` only divides.

# %%
x_test = vh.binarize(images.test, "none")

# %% tags=["check"]
assert x_test.min() == 0 and x_test.max() == 1
assert x_test.shape == (10_000, 28, 28, 1) and x_test.dtype == np.float32

# %% [markdown]
# ## 2.2 The idea
#
# An *autoencoder* squeezes an image $x$ through a few numbers $z$ and asks a second network to restore it. It learns to compress. It does not learn to invent: nothing says which $z$ are worth decoding.
#
# A *variational* autoencoder starts from the other end. It tells a story of how an image comes about:
#
# 1. draw $z$ from a fixed distribution, the **prior** $p(z) = \mathcal{N}(0, I)$: independent numbers, each Gaussian with mean 0 and variance 1;
# 2. a network, the **decoder**, turns $z$ into a probability for each pixel; draw the image $x$ from these, that is, from $p_\theta(x \mid z)$ (read: $x$ given $z$).
#
# Here $z$ has $J$ numbers, and $\theta$ stands for the weights of the decoder. To learn $\theta$ you would need to know, for each training image, how likely each $z$ is to have produced it: the **posterior** $p_\theta(z \mid x)$. It has no formula. So a second network, the **encoder** with weights $\phi$, learns to approximate it.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Sketch from left to right: a digit x, a trapezium named encoder, a small blue cloud inside the large dashed circle of the prior with an orange point z in the cloud, a trapezium named decoder, and a soft picture of the digit."}}
from scipy.ndimage import gaussian_filter

figure, axis = plt.subplots(figsize=(6.4, 2.5))
digit = images.train[7, :, :, 0] / 255
grey = {"cmap": "gray", "vmin": 0, "vmax": 1}
axis.imshow(digit, extent=(0, 2, 1.7, 3.7), **grey)
axis.imshow(gaussian_filter(digit, 1.3), extent=(11, 13, 1.7, 3.7), **grey)
for near, far, name in ((2.5, 4.6, "encoder"), (10.5, 8.4, "decoder")):
    corners = [(near, 1.5), (near, 3.9), (far, 3.3), (far, 2.1)]
    axis.add_patch(plt.Polygon(corners, color=GREY, alpha=0.25))
    axis.text((near + far) / 2, 2.7, name, ha="center", va="center")
axis.add_patch(Circle((6.5, 2.7), 1.5, fill=False, ls="--", color=GREY))
axis.add_patch(Ellipse((6.9, 3.3), 1.1, 0.7, color=BLUE, alpha=0.4))
axis.plot(7.15, 3.15, "o", color=ORANGE, ms=7)
axis.text(7.05, 2.45, "$z$", color=ORANGE, ha="center")
axis.text(6.5, 0.75, "prior", color=GREY, ha="center", va="center")
axis.text(5.6, 3.35, "$\\mu, \\sigma$", color=BLUE, ha="center")
axis.text(1, 1.2, "image $x$", ha="center", va="center")
axis.text(11.9, 1.2, "probabilities", ha="center", va="center")
for text in axis.texts:
    text.set_fontsize(12)
axis.set(xlim=(-0.1, 13.1), ylim=(0.4, 4.4), aspect="equal")
axis.set_axis_off()
plt.show()

# %% [markdown]
# The encoder does not return a point. It returns a small Gaussian cloud (blue), whose mean and variance depend on the image:
#
# $$q_\phi(z \mid x) = \mathcal{N}\!\left(z;\ \mu(x),\ \operatorname{diag}\sigma^2(x)\right). \tag{2.1}$$
#
# The $\operatorname{diag}$ says that each of the $J$ numbers has a variance of its own and that they are independent. A prior and a cloud: these two set a VAE apart from an autoencoder.
#
# ## 2.3 Two networks
#
# The encoder flattens the image into 784 numbers and passes them through layers of 512 and 256 units. It ends in $2J$ numbers: $J$ for $\mu$ and $J$ for $\log\sigma^2$. The last layer is linear, because both may be any real number; whatever the network says for the logarithm, $\sigma^2 = e^{\log\sigma^2}$ is positive. With $J = 2$ you can draw the latent space on paper.

# %%
latent_dim = 2  # J

encoder = keras.Sequential(
    [
        keras.layers.Input((28, 28, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dense(256, activation="relu"),
        keras.layers.Dense(2 * latent_dim),  # μ, then log σ²
    ],
    name="encoder",
)

# %% [markdown]
# `Flatten` is not decoration. A `Dense` layer acts on the *last* axis only. Without `Flatten` you would get a $\mu$ and a $\log\sigma^2$ for every pixel instead of one pair for the image.
#
# The decoder goes the other way. It ends in one number a pixel, the **logit** $\ell$; the probability of white is $1/(1 + e^{-\ell})$. Why not return the probability? In 32 bits it is rounded to exactly 1 at logits above about 17, and the loss would then take the logarithm of $1 - 1 = 0$. The logit keeps what the rounding loses.

# %%
decoder = keras.Sequential(
    [
        keras.layers.Input((latent_dim,)),
        keras.layers.Dense(256, activation="relu"),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dense(784),  # a logit a pixel
        keras.layers.Reshape((28, 28, 1)),
    ],
    name="decoder",
)

# %% tags=["check"]
sure = tf.sigmoid([15.0, 18.0]).numpy()
assert sure[0] < 1
vh.check(
    "in 32 bits the probability of logit 18 is", sure[1], 1, relation="="
)

# %% [markdown]
# ## 2.4 The bound
#
# The goal is a decoder that makes the training images likely: a large $\log p_\theta(x)$. That number needs an integral over all $z$, which is out of reach. [Chapter 1](01_theory.ipynb) derives a lower bound for it, the **evidence lower bound** (ELBO):
#
# $$
# \begin{aligned}
# \log p_\theta(x) \ge{}& \mathcal{L}(x) \\
# ={}& \underbrace{\mathbb{E}_{q_\phi(z \mid x)}\!\left[\log p_\theta(x \mid z)\right]}_{\text{reconstruction}} \\
# &- \underbrace{\operatorname{KL}\!\left(q_\phi(z \mid x)\,\|\,p(z)\right)}_{\text{price of the code}}.
# \end{aligned}
# \tag{2.2}
# $$
#
# The first term is an average ($\mathbb{E}$) over $z$ drawn from the cloud; it asks that such a $z$ explains the image. The second is the **Kullback–Leibler (KL) divergence** from the cloud to the prior. It is zero when the two are equal and grows as they part. It keeps the clouds close to the prior, so that a $z$ drawn from the prior means something to the decoder. Both are measured in **nats**, the unit of natural logarithms.
#
# ### The reconstruction term
#
# One draw of $z$ is enough for this average when a minibatch holds many images ([the page on draws or images](20_draws_or_images.ipynb) measures it). But you must be able to send a gradient *through* the draw to $\mu$ and $\sigma$. The **reparameterisation trick** does it: draw $\varepsilon$ from the standard normal, which has no weights to train, then stretch and shift it.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two scatters on the same axes. Left, draws of epsilon: a round cloud about the origin. Right, the same draws stretched and shifted: a flat cloud around the mean at (1, minus 2). One draw is marked in orange in both, with an arrow from the mean on the right."}}
some_noise = np.random.default_rng(3).normal(size=(400, 2))
some_noise[0] = [1.5, 1.0]
centre, stretch = np.array([1.0, -2.0]), np.exp([0.25, -0.5])
figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.3), sharey=True)
moved = centre + stretch * some_noise
titles = ("$\\varepsilon$", "$z = \\mu + \\sigma\\,\\varepsilon$")
for axis, points, title in zip(
    axes, (some_noise, moved), titles, strict=True
):
    axis.scatter(*points[1:].T, s=7, color=BLUE, alpha=0.5, lw=0)
    start = points[0] * 0 if axis is axes[0] else centre
    arrow = {"arrowstyle": "->", "color": ORANGE, "lw": 2}
    axis.annotate("", points[0], start, arrowprops=arrow)
    axis.set(xlim=(-4.5, 4.5), ylim=(-4.5, 4.5), aspect="equal")
    axis.set_title(title, fontsize=14)
    axis.tick_params(labelsize=11)
plt.show()

# %% [markdown]
# The same draws before and after; the arrow follows one of them.
#
# $$z = \mu + \sigma\,\varepsilon, \qquad \varepsilon \sim \mathcal{N}(0, I). \tag{2.3}$$


# %%
def encode(x):
    """The mean and the log-variance of q(z | x), each [n, J]."""
    mu, log_variance = tf.split(encoder(x), 2, axis=-1)
    return mu, log_variance


def reparameterise(mu, log_variance, epsilon):
    """z = μ + σ ε, with σ = exp(½ log σ²)."""
    return mu + tf.exp(0.5 * log_variance) * epsilon


# %% [markdown]
# In the docstrings `[n, J]` is a shape: $n$ images, $J$ numbers each. The ½ matters: it is $\sigma$ that multiplies the noise, not $\sigma^2$. The slip is easy to make and the loss does not show it (exercise 3). So check that the draws have mean $\mu$ and standard deviation $\sigma$.

# %% tags=["check"]
some_mu = tf.constant([[1.0, -2.0]])
some_log_variance = tf.constant([[0.5, -1.0]])
some_sigma = np.exp([0.25, -0.5])
some_noise = keras.random.normal((100_000, latent_dim), seed=0)
draws = reparameterise(some_mu, some_log_variance, some_noise).numpy()

vh.check(
    "100,000 draws have the mean μ", draws.mean(0), some_mu[0], atol=0.02
)
vh.check(
    "and the standard deviation σ", draws.std(0), some_sigma, rtol=0.01
)

# %% [markdown]
# **The log-likelihood of an image** adds up the pixels, each a coin with its own probability. A pixel $x$ with probability $p$ contributes $x \log p + (1 - x)\log(1 - p)$. With $p = 1/(1 + e^{-\ell})$ you have $\log p = \ell - \log(1 + e^\ell)$ and $\log(1 - p) = -\log(1 + e^\ell)$, and the sum becomes
#
# $$\log p_\theta(x \mid z) = \sum_{\text{pixels}} \left[x\,\ell - \log\!\left(1 + e^{\ell}\right)\right]. \tag{2.4}$$
#
# TensorFlow calls $\log(1 + e^\ell)$ `softplus`.
#
# ### The KL term
#
# Between the cloud and the prior, both Gaussian, it has a closed form ([chapter 1](01_theory.ipynb) derives it line by line):
#
# $$\operatorname{KL} = \frac{1}{2}\sum_{j=1}^{J} \left(\mu_j^2 + \sigma_j^2 - 1 - \log\sigma_j^2\right). \tag{2.5}$$
#
# Look at one latent number: the price is zero for the prior itself and grows with the square of $\mu$. Halving a small $\sigma$ adds nearly $\log 2 \approx 0.7$ nats.

# %% tags=["plumbing"] mystnb={"image": {"alt": "The KL term of one latent number against sigma from 0.05 to 2, for means 0, 1 and 2. Each curve has its minimum at sigma 1, at 0, 0.5 and 2 nats, and rises steeply only where sigma is below 0.2."}}
widths = np.linspace(0.05, 2, 200)
figure, axis = plt.subplots(figsize=(6, 2.8))
for mean, color in ((2, ORANGE), (1, GREEN), (0, BLUE)):
    price = 0.5 * (mean**2 + widths**2 - 1 - np.log(widths**2))
    axis.plot(widths, price, color=color, label=f"$\\mu = {mean}$")
axis.set_xlabel("$\\sigma$ of the cloud", fontsize=12)
axis.set_ylabel("KL term, nats", fontsize=12)
axis.set_ylim(0, 5)
axis.legend(fontsize=12)
plt.show()


# %%
def log_bernoulli(x, logits):
    """log p(x | z), equation 2.4: one number an image."""
    return tf.reduce_sum(
        x * logits - tf.nn.softplus(logits), axis=[1, 2, 3]
    )


def kl_to_prior(mu, log_variance):
    """KL(q(z | x) ‖ p(z)), equation 2.5: one number an image."""
    per_dimension = mu**2 + tf.exp(log_variance) - 1 - log_variance
    return 0.5 * tf.reduce_sum(per_dimension, axis=-1)


def elbo_terms(x, epsilon):
    """Reconstruction and KL of each image, in nats, both [n]."""
    mu, log_variance = encode(x)
    logits = decoder(reparameterise(mu, log_variance, epsilon))
    return log_bernoulli(x, logits), kl_to_prior(mu, log_variance)


# %% [markdown]
# Two *sums*, over pixels and over latent dimensions. A mean in either place trains another model; section 2.9 shows what a mean over the pixels does.
#
# Before you trust the formulas, check them against code that someone else wrote: TensorFlow Probability's distributions.

# %% tags=["check"]
random = np.random.default_rng(0)
x = x_test[:64]
logits = random.normal(0, 3, x.shape).astype(np.float32)

pixels = tfd.Bernoulli(logits=logits, dtype=tf.float32)
theirs = tf.reduce_sum(pixels.log_prob(x), axis=[1, 2, 3])
ours = log_bernoulli(x, logits)
vh.check(
    "equation 2.4 is TensorFlow Probability's", ours, theirs, rtol=1e-4
)

# %% [markdown]
# The KL term is checked twice: against TensorFlow Probability's formula, and against its definition, the average of $\log q - \log p$ over draws of $z$ from $q$.

# %% tags=["check"]
mu, log_variance = random.normal(0, 1, (2, 64, 2)).astype(np.float32)
ours = kl_to_prior(mu, log_variance)

q = tfd.MultivariateNormalDiag(mu, tf.exp(0.5 * log_variance))
prior = tfd.MultivariateNormalDiag(
    tf.zeros(latent_dim), tf.ones(latent_dim)
)
theirs = tfd.kl_divergence(q, prior)
vh.check(
    "equation 2.5 is TensorFlow Probability's",
    ours,
    theirs,
    rtol=1e-4,
    atol=1e-5,
)

z = q.sample(20_000, seed=[0, 0])
log_ratio = (q.log_prob(z) - prior.log_prob(z)).numpy()
standard_error = log_ratio.std(axis=0) / np.sqrt(len(z))
errors = np.abs(log_ratio.mean(axis=0) - ours) / standard_error
vh.check(
    "20,000 draws agree with it within 4.5 standard errors",
    errors,
    4.5,
    relation="<",
)

# %% [markdown]
# ## 2.5 Two numbers to hold everything against
#
# A loss of 150 says nothing by itself. Two anchors help, and both can be had without any training.
#
# **Knowing nothing.** An untrained decoder gives logits near 0, so every pixel is a fair coin. Put $\ell = 0$ in (2.4): a pixel scores $-\log 2$ nats, whatever its grey level.

# %% tags=["check"]
epsilon = keras.random.normal((1000, latent_dim), seed=1)
reconstruction, kl = elbo_terms(x_test[:1000], epsilon)
untrained = float(tf.reduce_mean(reconstruction - kl))
coins = -784 * np.log(2)
vh.check(
    "the untrained model scores as 784 fair coins do",
    untrained,
    coins,
    rtol=0.02,
)
vh.check("the first rung", coins, LADDER["fair coins"][0], atol=0.05)

# %% [markdown]
# **Knowing the average digit.** Give each pixel its mean over the training images and ignore everything about the image at hand. A model whose latent code carries nothing can learn exactly this, and nothing better. A pixel that is black in every training image would have probability 0, and ink there would cost infinitely much. So no mean may fall below 0.01 of a grey level.

# %%
mean_image = images.train.mean(axis=0) / 255.0
mean_image = np.clip(mean_image, 1e-2 / 255, 1 - 1e-2 / 255)
log_p = x_test * np.log(mean_image) + (1 - x_test) * np.log(1 - mean_image)
average_digit = np.mean(np.sum(log_p, axis=(1, 2, 3)))

# %% tags=["check"]
vh.check(
    "the second rung: the average digit, in nats an image",
    average_digit,
    LADDER["the average\ndigit"][0],
    atol=0.05,
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three pictures side by side: an even grey square, titled fair coins, minus 543 nats; a blurred oval, titled the average digit, minus 206; and a sharp seven, titled a test image."}}
figure, axes = plt.subplots(1, 3, figsize=(6, 2.4))
shown = {
    f"fair coins\n−{-coins:.0f} nats": np.full((28, 28), 0.5),
    f"the average digit\n−{-average_digit:.0f} nats": mean_image[:, :, 0],
    "a test image\n": x_test[0, :, :, 0],
}
for axis, (title, picture) in zip(axes, shown.items(), strict=True):
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=12)
    axis.set_axis_off()
plt.show()

# %% [markdown]
# These are the first two rungs of the ladder at the top of the page. A VAE that scores near the second with a KL term near 0, as one in section 2.9 does, has learnt little but the average.
#
# ## 2.6 Training, with every step in the open
#
# One step of training does four things: draw noise, compute the bound, differentiate it, move the weights. Optimisers minimise, so the **loss** is minus the ELBO, averaged over the minibatch. Averaging over *images* is harmless: it divides both terms by the same number.
#
# `tf.function` records the Python function as a graph when it is first called. The noise comes from a `SeedGenerator`, a small counter, so that the run can be repeated.

# %%
optimizer = keras.optimizers.Adam(1e-3)
noise = keras.random.SeedGenerator(0)
weights = encoder.trainable_variables + decoder.trainable_variables


@tf.function
def train_step(x):
    epsilon = keras.random.normal((tf.shape(x)[0], latent_dim), seed=noise)
    with tf.GradientTape() as tape:
        reconstruction, kl = elbo_terms(x, epsilon)
        loss = -tf.reduce_mean(reconstruction - kl)
    gradients = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(gradients, weights, strict=True))
    return loss


# %% [markdown]
# The forward pass is *inside* the tape, because the tape has to see it. The optimiser's step is outside.
#
# Before the first step, keep a copy of both networks: you will need the same starting point again in a moment. `vh.batches` visits the training images in a new random order each epoch, here 1,024 at a time, so an epoch has 59 steps.

# %%
twin_encoder = keras.models.clone_model(encoder)
twin_decoder = keras.models.clone_model(decoder)
twin_encoder.set_weights(encoder.get_weights())
twin_decoder.set_weights(decoder.get_weights())

batches = vh.batches(images.train, batch_size=1024, seed=0)
losses_of_the_loop = [float(train_step(x)) for x in batches]

# %% tags=["check"]
first, *_, last = losses_of_the_loop
vh.check("the loss begins above 500 nats", first, 500, relation=">")
vh.check("at the 59th step it is below 225 nats", last, 225, relation="<")

# %% tags=["plumbing"] mystnb={"image": {"alt": "The loss of the loop at each of 59 steps. It starts at the line of the fair coins, 543 nats, falls to about 230 within 20 steps and ends just below the line of the average digit, 206 nats."}}
figure, axis = plt.subplots(figsize=(6, 2.9))
axis.plot(np.arange(1, 60), losses_of_the_loop, color=BLUE)
for name, nats in (("coins", -coins), ("average digit", -average_digit)):
    axis.axhline(nats, color=GREY, ls="--", lw=1)
    axis.text(59, nats + 8, name, color=GREY, ha="right", fontsize=12)
axis.set_xlabel("step of the first epoch", fontsize=12)
axis.set_ylabel("loss, nats per image", fontsize=12)
axis.set_ylim(150, 590)
plt.show()

# %% [markdown]
# In one epoch the model has gone from the fair coins to about the average digit. Only its latent code can take it much further.
#
# ## 2.7 The same, as a Keras model
#
# `vh.VAE` wraps any two Keras networks that fit together. Its training step is the one you have just written. With it come `fit`, `evaluate`, callbacks, saving and loading. The bound is passed as `objective`: `vh.sgvb_b` is (2.2) with the KL term in closed form, the estimator SGVB-B of chapter 1.
#
# Is it really the same? Start from the copied networks, the same order of images and the same noise, let a callback (`StepLosses`, folded) record the loss of every step, and compare. `jit_compile=False` switches off the compiler XLA, which would draw other noise from the same seed.


# %% tags=["plumbing"]
class StepLosses(keras.callbacks.Callback):
    """Keras logs the mean over an epoch so far; this undoes it."""

    def on_epoch_begin(self, epoch, logs=None):
        self.losses, self.images, self.total = [], 0, 0.0

    def on_train_batch_end(self, batch, logs=None):
        size = min(1024, 60_000 - self.images)
        total = logs["loss"] * (self.images + size)
        self.losses.append((total - self.total) / size)
        self.images, self.total = self.images + size, total


# %%
twin = vh.VAE(twin_encoder, twin_decoder, likelihood="bernoulli", seed=0)
twin.compile(
    keras.optimizers.Adam(1e-3), objective=vh.sgvb_b, jit_compile=False
)
steps = StepLosses()
batches = vh.batches(images.train, batch_size=1024, seed=0)
twin.fit(batches, epochs=1, callbacks=[steps], verbose=0)
losses_of_fit = steps.losses

# %% tags=["check"]
vh.check(
    "fit has the loss of the loop at each of 59 steps",
    losses_of_fit,
    losses_of_the_loop,
    rtol=1e-3,
)
ours, theirs = (
    np.concatenate([np.ravel(v) for v in variables])
    for variables in (weights, twin.trainable_variables)
)
# Adam makes a whole step of a rounding error where a gradient is zero.
vh.check(
    "and ends with the same weights: their mean distance",
    np.abs(theirs - ours).mean(),
    0,
    atol=1e-4,
)

# %% [markdown]
# So `fit` hides nothing that you have not seen. From now on the short form will do: `vh.mlp_vae` builds the same two networks. Train them for 50 epochs. After each epoch, `fit` also computes the bound on the 10,000 test images. They take no part in training: they tell you whether the model has understood digits or learnt the training set by heart.

# %% tags=["nbval-ignore-output"]
model = vh.mlp_vae(
    latent_dim=2, hidden=(512, 256), activation="relu", seed=0
)
model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
test_batches = vh.batches(images.test, batch_size=1000, shuffle=False)
history = model.fit(
    vh.batches(images.train, batch_size=1024, seed=0),
    epochs=50,
    validation_data=test_batches,
).history

# %% tags=["check"]
theirs = [v.shape for v in model.trainable_variables]
assert theirs == [v.shape for v in weights]
vh.check(
    "vh.mlp_vae has as many weights, in layers of the same shapes",
    model.count_params(),
    encoder.count_params() + decoder.count_params(),
    relation="=",
)
for who, whose in (("", "training"), ("val_", "test")):
    reconstruction, kl, loss = (
        np.array(history[who + key])
        for key in ("reconstruction", "kl", "loss")
    )
    vh.check(
        f"reconstruction − KL is the ELBO, {whose} images, all epochs",
        reconstruction - kl,
        -loss,
        rtol=1e-4,
    )
vh.check(
    "the test ELBO ends more than 50 nats above the average digit",
    -history["val_loss"][-1],
    average_digit + 50,
    relation=">",
)

# %% [markdown]
# "Train" and "test" are the ELBO; to the right of each stand its two terms, all in nats per image. The curves begin at the third epoch.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels above each other against epochs, train and test. The ELBO rises steeply and flattens out; the test curve ends a few nats below the training curve. The KL term climbs slowly from about 4.5 to 6.4 nats."}}
figure, axes = plt.subplots(2, 1, figsize=(6, 5), sharex=True)
epochs = np.arange(3, 51)  # two epochs of steep rise are left out
for prefix, who, color, style in (
    ("", "train", BLUE, "-"),
    ("val_", "test", ORANGE, "--"),
):
    line = {"color": color, "ls": style, "label": who}
    loss = np.array(history[prefix + "loss"])
    axes[0].plot(epochs, -loss[2:], **line)
    axes[1].plot(epochs, history[prefix + "kl"][2:], **line)
axes[0].legend(fontsize=12)
axes[0].set_ylabel("ELBO, nats per image", fontsize=12)
axes[1].set_ylabel("KL term, nats per image", fontsize=12)
axes[1].set_xlabel("epoch", fontsize=12)
plt.show()

# %% [markdown]
# Three things to notice.
#
# - **The model pays for what it gains.** It buys better reconstructions with a longer code, so after the first epochs the KL term rises. A falling KL term would be no success by itself.
# - **The code is short.** A nat is 1.44 bits, so the 6.4 nats of the KL term are about nine bits: nine answers of yes or no. On average the two latent numbers say at most as much about an image as a choice among $e^{\mathrm{KL}}$ equally likely places ([the page on the aggregate posterior](15_aggregate_posterior.ipynb) shows why "at most").
# - **The curves part.** Training keeps improving while test images gain less and less: with a million weights the model starts to know its training images. In the first ten epochs or so it is the other way round, because a training figure is averaged *during* the epoch and a test figure is taken *after* it.
#
# ## 2.8 What it has learnt
#
# ### Reconstructions
#
# Each test image goes to its mean $\mu(x)$ and back. Only two numbers pass through the middle.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two strips of ten test digits, each with its reconstruction below. Zeros, ones and nines come back well; sevens and fours return as nines, the six as a blur, one five as a three, the other as no digit at all. All reconstructions are smoother than the originals."}}
vh.plot_reconstructions(model, x_test[:20])
plt.show()

# %% [markdown]
# Look for the mistakes: most of them mix digits that lie side by side in the next scatter of this chapter's network. And look at the edges: reconstructions are soft. The decoder returns a *probability* for each pixel, and where two numbers cannot say which of many strokes it was, the honest answer is in between.
#
# On the web page, put a digit of your own through a VAE below. Draw one: you see the cloud that the encoder answers with, what the decoder makes of it, and the two terms of the bound in nats. (It is another network than the one above, from [the page on a second recipe](22_second_recipe.ipynb), so its plane looks different.) Then draw something that is no digit.
#
# <div class="latent-explorer"><em>(Here stands a pad to draw a digit on, where the page may run JavaScript. The strips above show test digits and what comes back.)</em></div>
#
# ### Samples
#
# New digits: draw $z$ from the prior and decode. No image goes in. What you see are the pixels' probabilities; flipping a coin for each pixel would only add grain.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three rows of eight generated digits. Most are readable, some lie between two digits, all are slightly blurred."}}
vh.plot_images(model.sample(24, seed=1))
plt.show()

# %% [markdown]
# ### The latent space
#
# Where does the encoder put the test images? Each point is one image's $\mu(x)$. The labels were never shown to the model; they only choose the colours.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Scatter of 10,000 test images in the latent plane, one colour for each digit. Ones and zeros form clusters of their own at the rim; fours, sevens and nines overlap on the left; threes, fives and eights crowd the centre; sixes fall into two groups."}}
vh.plot_latent_scatter(model, x_test, images.test_labels)
plt.show()

# %% [markdown]
# Digits that look alike lie side by side, although nobody said which images show the same digit. The objective does not ask for one cluster a digit either: in this run the sixes live in two places.
#
# Now the other direction: decode a grid of points. The grid has equal steps in *probability*, so each picture stands for the same share of the prior. It covers the middle nine tenths of each axis, from −1.64 to 1.64; the scatter reaches further. Right means larger $z_1$, up means larger $z_2$, as in the scatter.

# %% tags=["plumbing"] mystnb={"image": {"alt": "A 20 by 20 grid of decoded digits, both latent coordinates from −1.64 to 1.64. Digits change smoothly into one another: the regions match the clusters of the scatter."}}
vh.plot_latent_plane(model, n=20)
plt.show()

# %% [markdown]
# Nothing jumps. That is no merit of the KL term: the decoder is a continuous function, as in a plain autoencoder. What the KL term brings is that you know where to look: it draws the clouds to the prior, of which the grid covers four fifths. On the [first page](../book/intro.md) you can drag a point through such a plane.
#
# Both dimensions are in use: `vh.active_units` counts those whose mean changes with the image.

# %% tags=["check"]
kl_of_each = vh.kl_per_dimension(model, x_test)
last_kl = history["val_kl"][-1]
vh.check("they add up to the KL term", kl_of_each.sum(), last_kl, rtol=1e-3)
active = vh.active_units(model, x_test)
vh.check("both dimensions are in use", active, 2, relation="=")

# %% [markdown]
# ### Numbers
#
# One run is one draw: another seed gives other initial weights, another order and other noise. So here are three stored runs of exactly this recipe, made by `python experiments/run.py s0-none`. The run on this page has the seed of the first. It need not end at the same number: tiny differences of rounding grow over 2,950 steps.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Dots for three stored runs on an axis of nats. The ELBO stands near minus 146, log p of x from 500 draws near minus 143, and the exact log p of x near minus 140. The ELBO of this page's run, a hollow orange diamond, lies among the stored ones."}}
stored = vh.stored("s0-none")
here = -history["val_loss"][-1]
measures = {
    "ELBO": "elbo",
    "log p(x),\n500 draws": "log_likelihood_500",
    "log p(x),\nexact": "log_likelihood",
}
figure, axis = plt.subplots(figsize=(6, 2.6))
for row, key in enumerate(measures.values()):
    values = [run[f"test_{key}"] for run in stored]
    label = "three stored runs" if row == 0 else None
    axis.plot(values, [row] * 3, "o", color=BLUE, ms=8, label=label)
hollow = {"mfc": "none", "mew": 2, "color": ORANGE, "ms": 10}
axis.plot(here, 0, "D", **hollow, label="this page's run")
axis.set_yticks(range(3), measures, fontsize=12)
axis.set_xlabel("test images, nats per image", fontsize=12)
axis.set_ylim(2.5, -0.5)
axis.legend(fontsize=11, loc="upper right")
plt.show()

# %% tags=["check"]
elbos = [run["test_elbo"] for run in stored]
mean, error = vh.mean_and_error(elbos)
machine = stored[0]["provenance"]["machine"]
vh.check(
    f"this page's run ends within 3 nats of the stored mean ({machine})",
    here,
    mean,
    atol=3,
)
rung = LADDER["our VAE: two\nnumbers a digit"][0]
vh.check("the third rung: their mean", mean, rung, atol=0.05)

# %% [markdown]
# **Seeds differ by almost a nat**, and this page's run does not end where the stored run of the same seed did. Training settles on one of many arrangements of ten digits in a plane, and rounding is enough to send it to another. One run that beats one run of another recipe proves little.
#
# **The bound is not the likelihood.** *Importance sampling* estimates $\log p_\theta(x)$ itself: draw many $z$ from the encoder's cloud, average the ratio $p(z)\,p_\theta(x \mid z) / q_\phi(z \mid x)$, and take the logarithm. The estimate is still a lower bound on average, but a tighter one ([the page on the bound with k draws](14_importance_weighting.ipynb) shows why). Even 500 draws an image fall short by three nats here. We know because in a plane $\log p_\theta(x)$ can be computed on a grid ([chapter 3](03_conv_vae.ipynb) does it).

# %%
some = x_test[:250]
tighter = vh.log_likelihood(model, some, samples=500).mean()
gap = tighter - vh.elbo(model, some, samples=20)

# %% tags=["check"]
assert gap < 10
vh.check(
    "500 draws lie more than half a nat above the ELBO",
    gap,
    0.5,
    relation=">",
)
for run in stored:
    short = run["test_log_likelihood"] - run["test_log_likelihood_500"]
    assert run["test_log_likelihood_500"] > run["test_elbo"]
    vh.check(
        f"seed {run['seed']}: 500 draws fall short by over 2 nats",
        short,
        2,
        relation=">",
    )

# %% [markdown]
# The difference between $\log p_\theta(x)$ and the ELBO is the KL divergence from the encoder's Gaussian to the true posterior ([chapter 1](01_theory.ipynb)). Two things can open it: the true posterior is no Gaussian with uncorrelated coordinates, and one encoder, for all images, misses the best Gaussian of each.
#
# **The ceiling is not zero.** Grey levels are not coin flips. Even a decoder that names each pixel's grey level exactly scores $x \log x + (1 - x)\log(1 - x)$, which is below zero for every grey pixel. That is the price announced in section 2.1: part of the loss is a constant that no model can remove. So all figures here speak of coins, not of grey levels; [the page on grey levels](17_grey_levels.ipynb) has a likelihood made for them.

# %%
from scipy.special import xlogy

grey = x_test.astype(np.float64)
best = xlogy(grey, grey) + xlogy(1 - grey, 1 - grey)
perfect = np.mean(np.sum(best, axis=(1, 2, 3)))

# %% tags=["check"]
vh.check(
    "the last rung: a perfect copy with a free code, in nats",
    perfect,
    LADDER["a perfect\ncopy"][0],
    atol=0.05,
)

# %% [markdown]
# ## 2.9 Three slips, and what they cost
#
# Such lines stand in published code ([chapter 7](07_diagnosis.ipynb) says where). Measure before you worry: not every slip matters.
#
# **A mean over the pixels.** Keras's binary cross-entropy averages over the last axis. On flattened images that divides the reconstruction term by 784, while the KL term keeps its full weight. The code is now 784 times too expensive, and the cheapest thing to do is to send nothing.


# %%
def mean_over_pixels(model, x, samples=1):
    q = model.posterior(x)  # q(z | x)
    p_of_x = model.likelihood(q.sample(seed=model.next_seed()))
    return p_of_x.log_prob(x) / 784 - tfd.kl_divergence(q, model.prior)


collapsed = vh.mlp_vae(latent_dim=2, seed=0)
collapsed.compile(keras.optimizers.Adam(1e-3), objective=mean_over_pixels)
batches = vh.batches(images.train, 1024, seed=0)
collapsed.fit(batches, epochs=5, verbose=0)
its_elbo = vh.elbo(collapsed, x_test)
its_kl = vh.kl_per_dimension(collapsed, x_test).sum()

# %% tags=["check"]
vh.check(
    "the code is empty, its KL term near 0", its_kl, 0.05, relation="<"
)
vh.check("the model is the average digit", its_elbo, average_digit, atol=5)
vh.check(
    "after as many epochs the correct sum is more than 25 nats ahead",
    -history["val_loss"][4] - its_elbo,
    25,
    relation=">",
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two rows of eight samples. Above, from the model trained with sums: readable digits. Below, from the model trained with the mean over the pixels: the same blurred oval eight times."}}
pair = [vae.sample(8, seed=1) for vae in (model, collapsed)]
vh.plot_images(
    np.concatenate(pair), title="above: summed; below: averaged over pixels"
)
plt.show()

# %% [markdown]
# Samples from the same eight $z$: above from the model of section 2.7, below with the slip. Nothing in the course of the loss warns you: it falls and settles. A KL term near 0 gives it away, and so does the ELBO with the correct sum: it is that of the average digit. This state is called **posterior collapse**.
#
# **Evaluating at the mean.** It is tempting to skip the noise on test images and decode $\mu(x)$. Here the number gets better by almost a nat, but nothing makes it a bound.

# %%
q = model.posterior(x_test)
kl = tfd.kl_divergence(q, model.prior)
p_of_x = model.likelihood(q.mean())
at_mean = float(tf.reduce_mean(p_of_x.log_prob(x_test) - kl))
sampled = vh.elbo(model, x_test, samples=5)

# %% tags=["check"]
vh.check(
    "decoding the mean flatters the model by more than half a nat",
    at_mean - sampled,
    0.5,
    relation=">",
)

# %% [markdown]
# **A mean of batch means.** With 10,000 images in batches of 1,024, the last batch has only 784 images. Averaging the ten batch averages gives its images too much weight.

# %% tags=["check"]
starts = np.arange(0, 10_000, 1024)
sizes = np.minimum(1024, 10_000 - starts)
batch_means = [vh.elbo(model, x_test[i : i + 1024]) for i in starts]
bias = np.mean(batch_means) - np.average(batch_means, weights=sizes)
assert bias != 0
vh.check("the error is below 0.3 nats", abs(bias), 0.3, relation="<")

# %% [markdown]
# Harmless here, then; it grows when the last batch is small and unlike the rest. `fit` and `evaluate` of `vh.VAE` weigh by images.
#
# ## 2.10 Why are the pictures blurred?
#
# All decoded pictures of this chapter are softer than the data. You can compute why: **the best picture at a point of the latent space is an average of real images, and averages are soft.**
#
# Clouds overlap. Look at one point $z$, the mean of the first test image, the seven of section 2.5. Take the 120 training images whose clouds cover it most densely; every fourth cloud is drawn, one $\sigma$ to each side. The decoder sees only $z$, and has to serve them all.

# %% tags=["plumbing"]
grey_train = vh.binarize(images.train, "none")
flat_train = grey_train.reshape(60_000, 784)
parts = [
    model.posterior(grey_train[i : i + 2000]).distribution
    for i in range(0, 60_000, 2000)
]
means = tf.concat([part.loc for part in parts], axis=0)
widths = tf.concat([part.scale for part in parts], axis=0)

# %%
# The last 1: the two numbers of a z are one event.
clouds = tfd.Independent(tfd.Normal(means, widths), 1)  # all 60,000
z = model.posterior(x_test[:200]).mean()
log_densities = clouds.log_prob(z[:, None, :])  # [200, 60000]

# %% tags=["plumbing"] mystnb={"image": {"alt": "Left, thirty blue ellipses in the latent plane, all of them around or near one orange cross. Right, twelve of the training images with such clouds: nearly all sevens, of many slants and widths."}}
nearest = np.argsort(-log_densities[0].numpy())[:120]
figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3.2))
for i in nearest[::4]:
    size = 2 * widths[i].numpy()  # one σ to each side
    look = {"fill": False, "edgecolor": BLUE, "alpha": 0.6}
    left.add_patch(Ellipse(means[i].numpy(), *size, **look))
left.plot(*z[0].numpy(), "+", color=ORANGE, ms=16, mew=3)
left.set_xlabel("$z_1$", fontsize=12)
left.set_ylabel("$z_2$", fontsize=12)
left.set_aspect("equal")
left.autoscale_view()
tiles = grey_train[nearest[::10], :, :, 0].reshape(3, 4, 28, 28)
right.imshow(np.block([[*row] for row in tiles]), cmap="gray")
right.set_title("twelve of them", fontsize=12)
right.set_axis_off()
plt.show()

# %% [markdown]
# **The argument.** Fix the encoder, and ask for the best decoder among those whose pixels are independent given $z$, as ours are. Number the training images $x^{(1)}, x^{(2)}, \dots$ Only the reconstruction term contains the decoder. Added up over the images it is
#
# $$\int \sum_i q_\phi(z \mid x^{(i)}) \log p_\theta(x^{(i)} \mid z)\, dz.$$
#
# So at each $z$ stands a sum over the images, each weighted by the density of its cloud there. Write $x_d^{(i)}$ for pixel $d$ of image $i$ and $\ell_d(z)$ for the decoder's logit of that pixel. By (2.4) this pixel adds
#
# $$\sum_i q_\phi(z \mid x^{(i)}) \left[x_d^{(i)} \ell_d(z) - \log(1 + e^{\ell_d(z)})\right].$$
#
# A decoder large enough can maximise this at each $z$ on its own. Write $y_d(z) = 1/(1 + e^{-\ell_d(z)})$ for the pixel's mean. The derivative with respect to $\ell_d(z)$ is $\sum_i q_\phi(z \mid x^{(i)})\,(x_d^{(i)} - y_d(z))$. It falls as $\ell_d(z)$ grows, so its zero is the maximum:
#
# $$y_d(z) = \frac{\sum_i q_\phi(z \mid x^{(i)})\; x_d^{(i)}}{\sum_i q_\phi(z \mid x^{(i)})}. \tag{2.6}$$
#
# In words: the best picture at $z$ is the *average* of the training images whose clouds cover $z$, each weighted by how densely its cloud covers it. Strokes that do not lie on top of each other average to grey.
#
# **The test.** The trained decoder knows nothing of (2.6). Compute the average over all 60,000 training images at the means of 200 test images.

# %%
weight = tf.nn.softmax(log_densities, axis=1).numpy()
average = weight @ flat_train  # the best picture at each z

# %% tags=["check"]
vh.check(
    "the weights of each average add up to 1",
    weight.sum(axis=1),
    1,
    atol=1e-3,
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three rows of eight pictures. The decoder's pictures above and the weighted averages of training images in the middle look alike and are equally soft; the single training images below are sharp."}}
decoded = model.likelihood(z).mean().numpy().reshape(-1, 784)
single = flat_train[weight.argmax(axis=1)]
rows = np.concatenate([decoded[:8], average[:8], single[:8]])
title = "decoder; average; one training image"
vh.plot_images(rows.reshape(-1, 28, 28, 1), columns=8, title=title)
plt.show()

# %% [markdown]
# From top to bottom: the decoder, the average, the single training image with the largest weight. The average of real digits, taken without any decoder, is as soft as the decoder's picture. The table gives the mean absolute difference of the pixels, on the scale from 0 to 1.

# %% tags=["plumbing", "nbval-ignore-output"]
others = {
    "the average there": average,
    "the average at another z": np.roll(average, 1, axis=0),
    "the mean training image": flat_train.mean(axis=0, keepdims=True),
    "the single image": single,
}
distance = {
    what: np.abs(decoded - other).mean() for what, other in others.items()
}
vh.table(["from the decoder to", "distance"], [*distance.items()], digits=3)

# %% tags=["check"]
to_average, *to_others = distance.values()
vh.check(
    "the nearest of the others is so many times as far",
    min(to_others) / to_average,
    2.5,
    relation=">",
)
pairs = zip(decoded, average, strict=True)
correlation = np.median([np.corrcoef(*pair)[0, 1] for pair in pairs])
vh.check(
    "the median correlation with it is above 0.95",
    correlation,
    0.95,
    relation=">",
)
share_it = np.median(1 / np.sum(weight**2, axis=1))
vh.check(
    "more than 50 images share a point (median)", share_it, 50, relation=">"
)

# %% [markdown]
# So the softness is not a flaw of the optimiser, and for this encoder a larger decoder of this kind would not remove it. It follows from clouds that overlap: about a hundred of the 60,000 images share a point. The count is $1 / \sum_i w_i^2$ with the weights $w_i$ of the average; it is $n$ if $n$ images share the point equally. With more latent dimensions the clouds can part. A decoder whose pixels depend on each other could draw sharp pictures from the same clouds; this book does not build one.
#
# **Would a Gaussian decoder help?** Not for given clouds. It describes a pixel by a mean and a variance $s^2$. With $s$ held fixed, $\log p_\theta(x \mid z)$ is, up to a constant, minus the squared difference divided by $2s^2$, and the best mean is again the average (2.6). See it on the pixel that varies most at the first $z$: try 99 values for its mean under both decoders.

# %%
w = weight[0].astype(np.float64) / weight[0].sum()
variance = weight[0] @ flat_train**2 - (weight[0] @ flat_train) ** 2
value = flat_train[:, variance.argmax(), None].astype(np.float64)
tried = np.linspace(0.01, 0.99, 99)

bernoulli = w @ (value * np.log(tried) + (1 - value) * np.log(1 - tried))
gaussian = w @ (-0.5 * (value - tried) ** 2)

# %% tags=["check"]
mean_there = float(w @ value[:, 0])
for name, score in (("Bernoulli", bernoulli), ("Gaussian", gaussian)):
    vh.check(
        f"the {name} decoder does best at the weighted average",
        tried[score.argmax()],
        mean_there,
        atol=0.0051,
    )

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two curves against the mean of one pixel from 0 to 1: the scores of the Bernoulli and of the Gaussian decoder, each measured from its own maximum. Both peaks stand on the dashed line of the weighted average, near 0.51."}}
figure, axis = plt.subplots(figsize=(6, 2.8))
for name, score, color in (
    ("Bernoulli", bernoulli, BLUE),
    ("Gaussian, s = 1", gaussian, GREEN),
):
    axis.plot(tried, score - score.max(), color=color, label=name)
axis.axvline(mean_there, color=GREY, ls="--", label="weighted average")
axis.set_xlabel("mean that the decoder gives the pixel", fontsize=12)
axis.set_ylabel("nats below the best", fontsize=12)
axis.set(xlim=(0, 1), ylim=(-0.6, 0.05))
above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1)}
axis.legend(ncols=3, fontsize=11, **above)
plt.show()

# %% [markdown]
# What the Gaussian does change is the balance: $s$ sets how many nats a wrong grey level costs. A small $s$ makes errors dear, so that keeping images apart pays, at a larger KL term.
#
# ## What we measured
#
# MNIST grey levels, test images unless the row says otherwise, nats per image. ± is a 95% interval from three seeds (Student's $t$).


# %% tags=["plumbing", "nbval-ignore-output"]
def interval(values):
    """Mean and half the width of its 95% interval (Student's t)."""
    mean, error = vh.mean_and_error(values)
    return mean, error * stats.t.ppf(0.975, len(values) - 1)


def stored_mean(key):
    return interval([run[f"test_{key}"] for run in stored])


rows = [
    ["three stored runs, 50 epochs: ELBO", stored_mean("elbo")],
    ["— of which reconstruction", stored_mean("reconstruction")],
    ["— of which KL", stored_mean("kl")],
    ["— bound from 500 draws", stored_mean("log_likelihood_500")],
    ["— log p(x), on a grid", stored_mean("log_likelihood")],
    ["this page's run: ELBO", here],
    ["— on training images", -history["loss"][-1]],
    ["the average digit", average_digit],
    ["a perfect copy, free code", perfect],
    ["mean over the pixels, 5 epochs", its_elbo],
]
vh.table(["figure", "nats"], rows)

# %% [markdown]
# No published figure stands beside them, because none is comparable. The write-up behind this chapter prints training figures every ten epochs, and no test figure. The nearest is Keras's own example: a *loss* of 146.95 (140.15 + 6.80) with $J = 2$ and a convolutional network after 30 epochs. But it was trained on training and test images together.

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - an encoder that returns a cloud, its mean and log-variance, and a decoder that returns logits;
# - the ELBO as two sums, checked against TensorFlow Probability and against draws;
# - a training loop in the open and `fit`, agreeing at every step;
# - curves held against two anchors, the fair coins and the average digit;
# - reconstructions, samples, the scatter and the plane of a two-dimensional latent space;
# - what three slips cost: one of them everything, one next to nothing, and one flatters the model by about a nat;
# - a decoder that returns the average of the images which share a point: the blur.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. The length of a code** (5 min, by hand). What is $e^{\mathrm{KL}}$ for the KL term after 50 epochs? A choice among ten places would name the digit. What can the rest be for?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The KL term is about 6.4 nats and $e^{6.4} \approx 600$. Picture a prior cut into about 600 equally likely cells: naming the cell costs as much as the average code, and the code says no more than that. Some 60 cells a digit leave room for how it is written: its slant, its width, its stroke.
#
# </details>

# %% [markdown] tags=["exercise"]
# **2. One KL term** (5 min, by hand). Let $J = 1$, $\mu = 1$ and $\log\sigma^2 = -2$. How many nats is the KL term? Check with `kl_to_prior`.

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# $\tfrac12(1 + e^{-2} - 1 + 2) = \tfrac12(0.1353 + 2) = 1.0677$ nats.
#
# </details>

# %% tags=["solution"]
by_code = kl_to_prior(tf.constant([[1.0]]), tf.constant([[-2.0]]))
vh.check("exercise 2: the KL term, in nats", by_code, 1.0677, atol=1e-4)

# %% [markdown] tags=["exercise"]
# **3. The missing ½** (10 min, open). Somebody writes `tf.exp(log_variance)` for $\sigma$ in `reparameterise` and trains. The loss falls and settles as usual. Which distribution does the network now sample from, and which one does its KL term believe in? Is minus the loss still a lower bound? Which checks of sections 2.4 and 2.5 would *miss* the slip?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The noise has the standard deviation $\sigma^2$, while the KL term believes in $\sigma$. The sum need not be a bound, because the KL term belongs to a distribution that nobody samples. The checks of the log-likelihood and of the KL formula pass, because neither calls `reparameterise`. So does that of the fair coins: an untrained decoder returns logits near 0 for any $z$. The check of the draws fails at once. Without that one you would have to wait for the comparison with `fit` in section 2.7.
#
# </details>

# %% [markdown] tags=["exercise"]
# **4. Ten numbers in place of two** (10 min, open). You change $J$ to 10 and train for 50 epochs as in section 2.7. What do you expect of the reconstruction term, of the KL term and of the ELBO? With two numbers they are −139.6, 6.4 and −145.9. Write down three numbers before you look. (`vh.stored("s0-j10")[0]` has the result of such a run.)

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The reconstruction term improves by far more than the KL term grows. In the stored run of the same seed they are −85.0, 18.8 and −103.7: reconstruction is better by 54.6 nats, the KL term higher by 12.4. Two numbers were the bottleneck.
#
# </details>

# %% tags=["solution"]
ten, two = vh.stored("s0-j10")[0], stored[0]
gains = [
    ten[key] - two[key]
    for key in ("test_elbo", "test_reconstruction", "test_kl")
]
vh.check(
    "exercise 4: ELBO, reconstruction and KL change by",
    gains,
    [42.2, 54.6, 12.4],
    atol=0.1,
)

# %% [markdown] tags=["exercise"]
# **5. The ceiling** (10 min, by hand). Show that the *grey level itself* is the best probability: for fixed $x$ in (0, 1), maximise $x\ell - \log(1 + e^\ell)$ over $\ell$. What is the value there?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The derivative is $x - 1/(1 + e^{-\ell})$. It vanishes where the probability $p = 1/(1 + e^{-\ell})$ equals $x$. The second derivative is $-p(1 - p)$, negative everywhere, so this is the maximum. There $\ell = \log\frac{x}{1 - x}$ and $1 + e^\ell = \frac{1}{1 - x}$, and the value is $x\log x + (1 - x)\log(1 - x)$, the ceiling of section 2.8.
#
# </details>

# %% [markdown] tags=["exercise"]
# **6. After one epoch** (10 min, open). The loop of section 2.6 stopped after one epoch. Decode draws from the prior with its decoder, by the lines below. Why do the pictures look so much alike? Name two reasons.
#
# ```python
# z = keras.random.normal((24, 2), seed=1)
# vh.plot_images(tf.sigmoid(decoder(z)))
# ```

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# After one epoch the reconstruction is only a dozen nats or so better than the average digit's: the decoder makes little of $z$ yet, so its pictures are grey ovals not far from the average digit. What changes with $z$ first is what separates images most, often ones at one end and zeros at the other. The second reason to look for: plot the $\mu(x)$ of the test images. Where they leave a part of the prior empty, the decoder has learnt next to nothing and returns fog.
#
# </details>

# %% [markdown] tags=["exercise"]
# **7. A rung between the coins and the average digit** (10 min, by code). Give *all* pixels the same probability, the mean grey level of the training images. Write the function that scores it.

# %% tags=["exercise", "exact"]
same = float(images.train.mean() / 255)


def one_probability(x, p):
    """Mean log-likelihood where every pixel has probability p, nats."""
    return ...  # your line


print("yours:", one_probability(x_test, same), "expected: -306.7")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# ```python
# log_p = x * np.log(p) + (1 - x) * np.log(1 - p)
# return np.mean(np.sum(log_p, axis=(1, 2, 3)))
# ```
#
# It is −306.7 nats: to know that most pixels are black gains 237 nats over fair coins; to know *where* ink falls on average gains another hundred.
#
# </details>

# %% tags=["solution"]
x = x_test.astype(np.float64)
log_p = x * np.log(same) + (1 - x) * np.log(1 - same)
constant = np.mean(np.sum(log_p, axis=(1, 2, 3)))
vh.check("exercise 7: one probability", constant, -306.7, atol=0.05)

# %% [markdown] tags=["exercise"]
# **8. The logarithm of a mean** (10 min, by code). Importance sampling needs the logarithm of the mean of some ratios, and has the *logarithms* of the ratios, one row an image. The ratios themselves are too small for a computer: `np.exp(-1000)` is 0. Write the function so that the first row works.

# %% tags=["exercise", "exact"]
log_ratios = np.array([[-1000.0, -1001.0], [-140.0, -140.0]])


def log_mean_exp(log_ratios):
    """log of the mean ratio of each row, shape [n]."""
    return ...  # your lines


print("yours:", log_mean_exp(log_ratios), "expected: -1000.3799, -140")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# ```python
# top = log_ratios.max(axis=1, keepdims=True)
# return top[:, 0] + np.log(np.exp(log_ratios - top).mean(axis=1))
# ```
#
# Taking out the largest logarithm leaves ratios of at most 1, one of them exactly 1. `tf.reduce_logsumexp` does the same for a sum.
#
# </details>

# %% tags=["solution"]
top = log_ratios.max(axis=1, keepdims=True)
log_means = top[:, 0] + np.log(np.exp(log_ratios - top).mean(axis=1))
vh.check(
    "exercise 8: the two logarithms",
    log_means,
    [-1000.3799, -140],
    atol=1e-4,
)

# %% [markdown] tags=["exercise"]
# **9. Two images share a line** (10 min, by hand). Let $J = 1$. There are two training images of one pixel: a black one, $x = 0$, with the cloud $\mathcal{N}(-1, 1)$, and a white one, $x = 1$, with the cloud $\mathcal{N}(1, 1)$. Which grey does the best decoder (2.6) return at $z = 0$, and which at $z = \frac12$? What happens at $z = \frac12$ if both clouds shrink to $\sigma = \frac14$?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The white image has the weight $e^{-(z - 1)^2 / 2\sigma^2}$, the black one $e^{-(z + 1)^2 / 2\sigma^2}$. Their quotient is $e^{2z/\sigma^2}$, so $y(z) = 1/(1 + e^{-2z/\sigma^2})$. At $z = 0$ it is ½, whatever $\sigma$. At $z = \frac12$ it is $1/(1 + e^{-1}) = 0.731$ for $\sigma = 1$, and $1/(1 + e^{-16})$ for $\sigma = \frac14$, white but for a ten-millionth. Clouds that part give sharp pictures.
#
# </details>

# %% tags=["solution"]
ratio = [stats.norm(m, 1).pdf(0.5) for m in (1, -1)]
vh.check(
    "exercise 9: the grey at z = ½ for σ = 1",
    ratio[0] / sum(ratio),
    0.731,
    atol=1e-3,
)

# %% [markdown]
# ## What to read next
#
# - [The quiz of this chapter](../book/quizzes.md#chapter-2) asks what you take along, and explains every answer.
# - [Chapter 3](03_conv_vae.ipynb) goes on with convolutions, and computes $\log p_\theta(x)$ exactly.
# - The [case studies](06_case_studies.ipynb) mend two more published VAEs: heads, dropout, a ReLU, and a loss on another scale.
# - [Chapter 1](01_theory.ipynb) derives everything that was used here. The [notation](../book/notation.md) and the [glossary](../book/glossary.md) list the terms. The original paper is in the [bibliography](../book/bibliography.md).
