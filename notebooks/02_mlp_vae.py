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
# **Two numbers for each digit take the bound from −206 nats, where a network stands that knows only the average digit, to −146.** Fair coins in place of pixels score −543. What remains is mostly blur, and the blur has a reason.
#
# This chapter builds a variational autoencoder (VAE) twice: once with every step in the open, once as a Keras model that you train with `fit`. Both are shown to be the same, step for step. Then you train it on real handwritten digits for 50 epochs and look at what it has learnt, with numbers that this page measured on images the model never saw. Two more published recipes follow, one with dropout and one in functional Keras, and with them the question why the pictures are blurred.
#
# **What you will be able to do**
#
# - write the two networks of a VAE and say what each of their outputs means;
# - turn the evidence lower bound into a dozen lines of TensorFlow, in nats, without the usual slips;
# - train with a gradient tape, then with `model.fit`, and prove that they agree;
# - read the three curves of a VAE, and know two numbers that every curve should be held against;
# - look into a two-dimensional latent space: reconstructions, samples, the scatter and the plane;
# - say what dropout, separate heads and a misplaced ReLU do to a VAE, in nats;
# - explain the blur of its pictures, and compute it;
# - read a loss that was published on another scale, and know when the scale matters.
#
# **What it takes.** About six minutes on two CPU cores (the last cell says what the run on this page took), and nearly 3 GiB of memory. You need Python and a little Keras. The theory is in [chapter 1](01_theory.ipynb); here each formula is repeated where it is used.

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

# %% [markdown]
# The package `vae_helpers` belongs to this book. It keeps what more than one chapter needs: the data, the finished model, the figures. Importing it first loads TensorFlow without its start-up lines, and tells it to take GPU memory only as it needs it, so that one GPU can serve several notebooks.

# %%
import vae_helpers as vh

import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions
vh.use_book_style()
keras.utils.set_random_seed(0)
started = time.monotonic()

# %% [markdown]
# ## 2.1 The data
#
# MNIST holds 70,000 pictures of handwritten digits, 28 × 28 pixels each: 60,000 to learn from and 10,000 that are kept aside. A pixel is a grey level, an integer from 0 (black) to 255 (white). The first call fetches the files; whatever the source, their bytes are compared with the published originals.

# %%
images = vh.load_mnist()
print("train", images.train.shape, images.train.dtype)
print("test ", images.test.shape, images.test.dtype)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two rows of eight handwritten digits from MNIST, white strokes on a black ground."}}
vh.plot_images(images.train[:16])
plt.show()

# %% [markdown]
# A network wants small numbers, so you divide by 255. The result lies between 0 and 1. This chapter reads it as a *probability*: a pixel of 0.8 stands for "white in eight of ten cases". It is the most common choice in tutorials, and that of the published write-up that this chapter follows (system S0 in the [introduction](../book/intro.md)). It has a price, which section 2.8 measures. The function is called `binarize` because it can also turn grey levels into zeros and ones; with `"none"` it only divides.

# %%
x_test = vh.binarize(images.test, "none")
assert x_test.min() == 0 and x_test.max() == 1
print("test ", x_test.shape, x_test.dtype)

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
# Here $z$ has $J$ numbers, and $\theta$ stands for the weights of the decoder. To learn $\theta$ you would need, for each training image, the $z$ that could have produced it. That is the **posterior** $p_\theta(z \mid x)$, and it has no formula. So a second network, the **encoder** with weights $\phi$, is trained to approximate it with a Gaussian whose mean and variance depend on the image:
#
# $$q_\phi(z \mid x) = \mathcal{N}\!\left(z;\ \mu(x),\ \operatorname{diag}\sigma^2(x)\right). \tag{2.1}$$
#
# The function on the right is the density of a Gaussian at $z$. The $\operatorname{diag}$ says that each of the $J$ numbers has a variance of its own and that they are independent. So the encoder does not return a point but a small cloud. A prior and a cloud: these two set it apart from an autoencoder.

# %% [markdown]
# ## 2.3 Two networks
#
# The encoder flattens the image into 784 numbers and passes them through layers of 512 and 256 units. It ends in $2J$ numbers: $J$ for $\mu$ and $J$ for $\log\sigma^2$. The last layer is linear, because both may be any real number. The logarithm is what allows that: whatever the network says, $\sigma^2 = e^{\log\sigma^2}$ is positive.
#
# With $J = 2$ you can draw the latent space on paper. That is why this chapter uses it; it is not the best choice for the pictures.

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
# `Flatten` is not decoration. A `Dense` layer acts on the *last* axis only. Without it, the layer would treat each pixel's single channel as a whole input, and you would get a $\mu$ and a $\log\sigma^2$ for every pixel instead of one pair for the image.
#
# The decoder goes the other way. It ends in one number a pixel, the **logit** $\ell$. The probability of white is $1/(1 + e^{-\ell})$. Staying with logits avoids the logarithm of 0 later: a probability can be rounded to 0 or 1, a logit cannot.

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

for network in (encoder, decoder):
    print(f"{network.name}: {network.count_params():,} weights")

# %% [markdown]
# ## 2.4 The bound
#
# The goal is a decoder that makes the training images likely: a large $\log p_\theta(x)$. That number needs an integral over all $z$, which is out of reach. Chapter 1 derives a lower bound for it, the **evidence lower bound** (ELBO):
#
# $$\log p_\theta(x)\ \ge\ \mathcal{L}(x) = \underbrace{\mathbb{E}_{q_\phi(z \mid x)}\!\left[\log p_\theta(x \mid z)\right]}_{\text{reconstruction}}\ -\ \underbrace{\operatorname{KL}\!\left(q_\phi(z \mid x)\,\|\,p(z)\right)}_{\text{price of the code}}. \tag{2.2}$$
#
# The first term is an average ($\mathbb{E}$) over $z$ drawn from the cloud; it asks that such a $z$ explains the image. The second is the **Kullback–Leibler (KL) divergence** from the cloud to the prior. It is zero when the two are equal and grows as they part. It keeps the clouds close to the prior, so that a $z$ drawn from the prior means something to the decoder. Both terms are measured in **nats**, the unit of natural logarithms.
#
# **The first term** needs an average over $z$. One draw is enough when a minibatch holds many images. But you must be able to send a gradient *through* the draw to $\mu$ and $\sigma$. The **reparameterisation trick** does it: draw $\varepsilon$ from the standard normal, which has no weights to train, then stretch and shift it,
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
# The comment `[n, J]` is a shape: $n$ images, $J$ numbers each. Mind the ½: it is $\sigma$ that multiplies the noise, not $\sigma^2$. The slip is easy to make and the loss does not show it (exercise 3), so check it: the draws must have mean $\mu$ and standard deviation $e^{\frac{1}{2} \log \sigma^2}$.

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
# **The log-likelihood of an image** adds up the pixels, each a coin with its own probability. A pixel $x$ with probability $p$ contributes $x \log p + (1 - x)\log(1 - p)$. Put in $p = 1/(1 + e^{-\ell})$, and the sum becomes
#
# $$\log p_\theta(x \mid z) = \sum_{\text{pixels}} \left[x\,\ell - \log\!\left(1 + e^{\ell}\right)\right]. \tag{2.4}$$
#
# TensorFlow calls $\log(1 + e^\ell)$ `softplus`.
#
# **The KL term** between the cloud and the prior, both Gaussian, has a closed form (chapter 1 derives it line by line):
#
# $$\operatorname{KL} = \frac{1}{2}\sum_{j=1}^{J} \left(\mu_j^2 + \sigma_j^2 - 1 - \log\sigma_j^2\right). \tag{2.5}$$


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
# Two sums, over pixels and over latent dimensions. Both are *sums*. A mean in either place trains another model; section 2.9 shows what becomes of one.
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
# And the KL term, twice: against TensorFlow Probability's formula, and against its definition, the average of $\log q - \log p$ over draws of $z$ from $q$. An average of draws has a standard error; the formula must lie within a few of them, for all 64 Gaussians at once.

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
# **Knowing nothing.** An untrained decoder gives logits near 0, so every pixel is a fair coin. Put $\ell = 0$ in equation 2.4: a pixel scores $-\log 2$ nats, whatever its grey level.

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

# %% [markdown]
# **Knowing the average digit.** Give each pixel its mean over the training images and ignore everything about the image at hand. A model whose latent code carries nothing can learn exactly this, and nothing better. (Pixels that are black in every training image would have probability 0, and one test image with ink there would cost infinitely much. So we allow them one grey level in a hundred images.)

# %% tags=["exact"]
mean_image = images.train.mean(axis=0) / 255.0
mean_image = np.clip(mean_image, 1e-2 / 255, 1 - 1e-2 / 255)
log_p = x_test * np.log(mean_image) + (1 - x_test) * np.log(1 - mean_image)
average_digit = np.mean(np.sum(log_p, axis=(1, 2, 3)))
print(f"the average digit: {average_digit:.1f} nats an image")

# %% [markdown]
# A VAE that scores near this second number has learnt little but the average. You will meet one in section 2.9.
#
# ## 2.6 Training, with every step in the open
#
# One step of training does four things: draw noise, compute the bound, differentiate it, move the weights. Optimisers minimise, so the **loss** is minus the ELBO, averaged over the minibatch. Averaging over *images* is harmless: it divides both terms by the same number, so their balance stays.
#
# `tf.function` records the Python function as a graph when it is first called. From then on only the graph runs, without Python. The noise comes from a `SeedGenerator`, a small counter, so that the run can be repeated exactly.

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
# Note what is *inside* the tape and what is not. The forward pass is inside, because the tape has to see it. The optimiser's step is outside.
#
# Before the first step, keep a copy of both networks: you will need the same starting point again in a moment. `vh.batches` visits the training images in a new random order each epoch; here 1,024 at a time, so an epoch has 59 steps.

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

# %% [markdown]
# In one epoch the model has gone from the fair coins to about the average digit. Only its latent code can take it much further.
#
# ## 2.7 The same, as a Keras model
#
# `vh.VAE` wraps any two Keras networks that fit together. Its training step is the one you have just written. In exchange for the wrapping you get `fit`, `evaluate`, callbacks, saving and loading. The bound is passed as `objective`: `vh.sgvb_b` is equation 2.2 with the KL term in closed form. The name is short for *stochastic gradient variational Bayes*, estimator B of the original paper (Kingma and Welling, 2013).
#
# Is it really the same? Start from the copied networks, the same order of images and the same noise, record the loss of every step, and compare.


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
# The compiler XLA draws other noise from the same seed; the loop above
# does without.
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
# So `fit` hides nothing that you have not seen. From now on the short form will do: `vh.mlp_vae` builds the same two networks.

# %%
model = vh.mlp_vae(
    latent_dim=2, hidden=(512, 256), activation="relu", seed=0
)

# %% tags=["check"]
theirs = [v.shape for v in model.trainable_variables]
assert theirs == [v.shape for v in weights]
vh.check(
    "vh.mlp_vae has as many weights, in layers of the same shapes",
    model.count_params(),
    encoder.count_params() + decoder.count_params(),
    relation="=",
)

# %% [markdown]
# Now train for 50 epochs. After each epoch, `fit` also computes the bound on the 10,000 test images. They take no part in training: they tell you whether the model has understood digits or learnt the training set by heart.

# %% tags=["nbval-ignore-output"]
model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
test_batches = vh.batches(images.test, batch_size=1000, shuffle=False)
history = model.fit(
    vh.batches(images.train, batch_size=1024, seed=0),
    epochs=50,
    validation_data=test_batches,
).history

# %% [markdown]
# The table shows the first epoch and every fifth. "Train" and "test" are the ELBO; behind each stand its two terms. All are in nats per image. In each row the ELBO must be the reconstruction term minus the KL term. Check all rows at once.

# %% tags=["check"]
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

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three panels against epochs, train and test. The objective and the reconstruction term rise steeply and flatten out; the test curve of the objective ends a few nats below the training curve. The KL term climbs slowly to about 6.4 nats."}}
vh.plot_history(history, skip=2)
plt.show()

# %% [markdown]
# Three things to notice.
#
# - **Reconstruction and KL rise together.** The model buys better reconstructions with a longer code. A falling KL term would be no success by itself. (The very start is an exception, and the picture leaves out two epochs. In the first row the training average of the KL term is far above its test value, which is taken after the epoch: early on it overshoots, and comes back.)
# - **The code is short.** A nat is 1.44 bits, so the 6.4 nats of the KL term are about nine bits: nine answers of yes or no. The two latent numbers say at most as much about an image, on average, as a choice among $e^{\mathrm{KL}}$ equally likely places. It would be as much if the codes of all images together filled the prior exactly (section 1.8 of chapter 1).
# - **The curves part.** Training keeps improving while test images gain less and less: with a million weights the model starts to know its training images. In the first ten epochs or so it is the other way round, because a training figure is averaged *during* the epoch and a test figure is taken *after* it.

# %% [markdown]
# ## 2.8 What it has learnt
#
# ### Numbers
#
# One run is one draw: another seed gives other initial weights, another order and other noise. So the next cell averages three runs of exactly this recipe. They were made by `python experiments/run.py s0-none` and stored with the version of the code that made them. The run on this page repeats the first of them.

# %% tags=["plumbing", "nbval-ignore-output"]
stored = vh.stored("s0-none")
elbos = [run["test_elbo"] for run in stored]
here = -history["val_loss"][-1]
rows = [
    ["three stored runs: mean ± standard error", vh.mean_and_error(elbos)]
]
rows += [[f"— seed {run['seed']}", run["test_elbo"]] for run in stored]
rows += [["this page's run", here]]
vh.table(["S0 after 50 epochs", "test ELBO"], rows)

# %% tags=["check"]
mean, error = vh.mean_and_error(elbos)
machine = stored[0]["provenance"]["machine"]
vh.check(
    f"this page's run ends where the stored ones did ({machine})",
    here,
    mean,
    atol=3,
)

# %% [markdown]
# The seeds differ by almost a nat, and so may one seed from itself: this page's run starts as the first of the three does, but sums taken in another order round otherwise, and fifty epochs make that visible. With a plane to arrange ten digits in, training settles on one of many arrangements, and some are better than others. A single run with a better figure than another recipe's single run proves little.
#
# The bound is not the likelihood. **Importance sampling** estimates $\log p_\theta(x)$ itself: draw many $z$ from the encoder's cloud, average the ratio $p_\theta(x, z) / q_\phi(z \mid x)$, and take the logarithm (section 1.8 of chapter 1). Here $p_\theta(x, z) = p(z)\,p_\theta(x \mid z)$. With 500 draws an image the estimate is still a lower bound on average, but a tighter one. (How much tighter? For a latent plane $\log p_\theta(x)$ can be computed exactly. [Chapter 3](03_conv_vae.ipynb) does it, and finds that 500 draws can fall short by nats.)

# %%
some = x_test[:250]
log_p = vh.log_likelihood(model, some, samples=500).mean()
gap = log_p - vh.elbo(model, some, samples=20)

# %% tags=["check"]
assert gap < 10
vh.check(
    "log p(x) lies more than half a nat above the ELBO",
    gap,
    0.5,
    relation=">",
)

# %% [markdown]
# Chapter 1 shows what this difference is: the KL divergence from the encoder's Gaussian to the true posterior, averaged over images. The true posteriors are not Gaussians with uncorrelated coordinates, and one encoder has to serve all images.
#
# How high could the bound go at all? Grey levels are not coin flips. Even a decoder that names each pixel's grey level exactly scores $x \log x + (1 - x)\log(1 - x)$, which is below zero for every grey pixel. That is the price announced in section 2.1: part of the loss is a constant that no model can remove, and the bound is not a log-likelihood of the grey levels, only of the coins that they stand for.

# %% tags=["exact"]
from scipy.special import xlogy

grey = x_test.astype(np.float64)
best = xlogy(grey, grey) + xlogy(1 - grey, 1 - grey)
perfect = np.mean(np.sum(best, axis=(1, 2, 3)))
print(f"a perfect reconstruction with a free code: {perfect:.1f} nats")

# %% [markdown]
# So the scale of this chapter runs from the coins (−543) past the average digit (−206) to that ceiling. Section 1.7 of chapter 1 shows a likelihood made for grey levels, the continuous Bernoulli.
#
# ### Reconstructions
#
# Each test image goes to its mean $\mu(x)$ and back. Only two numbers pass through the middle.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two strips of ten test digits, each with its reconstruction below. Zeros, ones and nines come back well; sevens and fours return as nines, the six as a blur, one five as a three, the other as no digit at all. All reconstructions are smoother than the originals."}}
vh.plot_reconstructions(model, x_test[:20])
plt.show()

# %% [markdown]
# Look for the mistakes: most of them mix digits whose clusters touch in the scatter below. And look at the edges: reconstructions are soft. The decoder returns a *probability* for each pixel, and where two numbers cannot say which of many strokes it was, the honest answer is in between.
#
# ### Samples
#
# New digits: draw $z$ from the prior and decode. No image goes in. (What you see are the pixels' probabilities; flipping a coin for each pixel would only add grain.)

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
# Digits that look alike lie side by side, although nobody said which images show the same digit. The objective does not ask for one cluster a digit either: in this run the sixes live in two places. Now the other direction: decode a grid of points. The grid has equal steps in *probability*, so each picture stands for the same share of the prior. It covers the middle nine tenths of each axis, from −1.64 to 1.64; the scatter reaches further. Right means larger $z_1$, up means larger $z_2$, as in the scatter.

# %% tags=["plumbing"] mystnb={"image": {"alt": "A 20 by 20 grid of decoded digits, both latent coordinates from −1.64 to 1.64. Digits change smoothly into one another: the regions match the clusters of the scatter."}}
vh.plot_latent_plane(model, n=20)
plt.show()

# %% [markdown]
# No region is empty and nothing jumps. That nothing jumps is no merit of the KL term: the decoder is a continuous function, as in a plain autoencoder. What the KL term brings is that you know where to look: it draws the clouds to the prior, and the grid covers the prior. How much does each of the two dimensions carry? And does the encoder use both? `vh.active_units` counts the dimensions whose mean changes with the image.

# %% tags=["nbval-ignore-output"]
kl_of_each = vh.kl_per_dimension(model, x_test)
print("KL of each latent dimension:", np.round(kl_of_each, 2), "nats")

# %% tags=["check"]
last_kl = history["val_kl"][-1]
vh.check("they add up to the KL term", kl_of_each.sum(), last_kl, rtol=1e-3)
active = vh.active_units(model, x_test)
vh.check("both dimensions are in use", active, 2, relation="=")

# %% [markdown]
# ## 2.9 Three slips, and what they cost
#
# These stand in widely read tutorials. Each is one line. Measure before you worry: not every slip matters.
#
# **A mean over the pixels.** Keras's binary cross-entropy averages over the last axis. On flattened images that divides the reconstruction term by 784, while the KL term keeps its full weight. The code is now 784 times too expensive, and the cheapest thing to do is to send nothing. An objective is a plain function, so the slip is quickly written down.


# %%
def mean_over_pixels(model, x, samples=1):
    q = model.posterior(x)
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

# %% [markdown]
# Nothing in the loss itself warns you: it falls and settles. The KL term gives it away, and so does the average digit, once you have summed over the pixels. This state is called **posterior collapse**.
#
# **Evaluating at the mean.** It is tempting to skip the noise on test images and decode $\mu(x)$. The number gets better. It is no longer a bound on anything.

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
# **A mean of batch means.** With 10,000 images in batches of 1,024, the last batch has 784 images (the number of pixels, by chance). Averaging the ten batch averages gives its images too much weight.

# %% tags=["check"]
starts = np.arange(0, 10_000, 1024)
sizes = np.minimum(1024, 10_000 - starts)
batch_means = [vh.elbo(model, x_test[i : i + 1024]) for i in starts]
bias = np.mean(batch_means) - np.average(batch_means, weights=sizes)
assert bias != 0
vh.check("the error is below 0.3 nats", abs(bias), 0.3, relation="<")

# %% [markdown]
# Harmless here, then; it grows when the last batch is small and unlike the rest. `fit` and `evaluate` of `vh.VAE` weigh by images.

# %% [markdown]
# ## 2.10 Dropout and two heads
#
# The second write-up of this chapter (system S2) changes the networks. The data, the likelihood and the two latent numbers stay. It makes three choices: *dropout* after every hidden layer, two separate output layers (*heads*) for $\mu$ and $\log\sigma^2$, and a ReLU on both heads. It names no sizes, no batch and no optimiser. So take those of the model above, and only these choices differ.
#
# **Dropout** sets each output of a hidden layer to zero with probability 0.2, the write-up's rate, anew for each image and step. It divides the others by 0.8, so that the mean stays. In use it does nothing. The hope is that no unit can lean on a particular other one, and that the model fits its training images less at the cost of new ones. Section 2.12 shows what it does after 50 epochs.
#
# A `Sequential` model is one chain of layers; it cannot end in two heads. Keras's *functional* style can: you call layers on symbolic tensors, give each result a name, and a `Model` is whatever lies between its inputs and its outputs.


# %%
def two_headed_vae(heads=None):
    """System S2; `heads`: the activation of the layers for μ and log σ²."""
    keras.utils.set_random_seed(0)  # the same first weights each time
    layers = keras.layers

    x = hidden = keras.Input((28, 28, 1))
    hidden = layers.Flatten()(hidden)
    for units in (512, 256):
        hidden = layers.Dense(units, activation="relu")(hidden)
        hidden = layers.Dropout(0.2)(hidden)
    mu = layers.Dense(latent_dim, activation=heads)(hidden)
    log_variance = layers.Dense(latent_dim, activation=heads)(hidden)
    both = layers.Concatenate()([mu, log_variance])

    z = hidden = keras.Input((latent_dim,))
    for units in (256, 512):
        hidden = layers.Dense(units, activation="relu")(hidden)
        hidden = layers.Dropout(0.2)(hidden)
    logits = layers.Reshape((28, 28, 1))(layers.Dense(784)(hidden))
    return vh.VAE(keras.Model(x, both), keras.Model(z, logits), seed=0)


# %% [markdown]
# ### Two heads are one layer, cut in two
#
# Does it matter that $\mu$ and $\log\sigma^2$ have a layer each? A linear layer computes each of its outputs on its own. So two layers with $J$ outputs are one layer with $2J$ outputs whose weights stand side by side. Copy them over and compare.

# %%
two_heads = two_headed_vae().encoder
one_head = vh.mlp_vae(
    latent_dim=2, hidden=(512, 256), dropout=0.2, seed=0
).encoder

*below, mu_kernel, mu_bias, log_kernel, log_bias = two_heads.get_weights()
kernel = np.concatenate([mu_kernel, log_kernel], axis=1)
bias = np.concatenate([mu_bias, log_bias])
one_head.set_weights([*below, kernel, bias])

# %% tags=["check"]
x = x_test[:64]
vh.check(
    "two heads compute the same as one",
    two_heads(x),
    one_head(x),
    atol=1e-4,
)
vh.check(
    "with as many weights",
    two_heads.count_params(),
    one_head.count_params(),
    relation="=",
)

# %% [markdown]
# So two heads make the code easier to read, and the network no more powerful. (One trace remains: Keras draws the first weights from a range that depends on a layer's width. Here the two ranges differ by less than half a percent.)
#
# ### A ReLU where none belongs
#
# The ReLU on the heads is another matter. It returns $\max(0, a)$. So $\mu$ cannot be negative, $\log\sigma^2$ cannot either, and $\sigma = e^{\frac12\log\sigma^2}$ is at least 1. Train both versions for eight epochs from the same first weights.

# %%
two_headed = {}
for name, heads in (("linear heads", None), ("ReLU heads", "relu")):
    vae = two_headed_vae(heads)
    vae.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
    batches = vh.batches(images.train, 1024, seed=0)
    vae.fit(batches, epochs=8, verbose=0)
    two_headed[name] = vae

# %% tags=["plumbing", "nbval-ignore-output"]
elbo_of, rows = {}, []
for name, vae in two_headed.items():
    elbo_of[name] = vh.elbo(vae, x_test)
    kl = vh.kl_per_dimension(vae, x_test)
    rows.append([name, elbo_of[name], elbo_of[name] + kl.sum(), *kl])
titles = [
    "8 epochs",
    "test ELBO",
    "reconstruction",
    "first KL",
    "second KL",
]
vh.table(titles, rows)

# %% tags=["check"]
q_linear, q_relu = (vae.posterior(x_test) for vae in two_headed.values())
mu, sigma = q_relu.mean().numpy(), q_relu.stddev().numpy()
vh.check("ReLU heads: no mean is below 0", mu, 0, relation="≥")
vh.check("ReLU heads: no σ is below 1", sigma, 1, relation="≥")

lowest = q_linear.mean().numpy().min()
vh.check("linear heads: some means are below −1", lowest, -1, relation="<")
widths = q_linear.stddev().numpy().astype(np.float64)
vh.check("linear heads: every σ is below 1", widths, 1, relation="<")

cost_of_relu = elbo_of["linear heads"] - elbo_of["ReLU heads"]
vh.check("the ReLU costs more than 25 nats", cost_of_relu, 25, relation=">")

# %% [markdown]
# One argument in each head, and most of what eight epochs taught is gone: the average digit alone scores −206. The KL terms hardly differ; nearly all of the loss is reconstruction. So the ReLU heads pay almost as much for their code, and get less for it. Why?
#
# Look at the KL term of one latent number as a function of $\sigma$. Its derivative with respect to $\sigma^2$ is $\frac12(1 - 1/\sigma^2)$, which is not negative as long as $\sigma \ge 1$. So the smallest value stands at $\sigma = 1$:
#
# $$\operatorname{KL}_j = \frac{1}{2}\left(\mu_j^2 + \sigma_j^2 - 1 - \log\sigma_j^2\right)\ \ge\ \frac{1}{2}\mu_j^2 \qquad \text{for } \sigma_j \ge 1. \tag{2.6}$$
#
# At $\sigma = 1$ each cloud is as wide as the whole prior. Two images can be told apart by large differences of $\mu$, whose price grows with the *square*, or by making a cloud wider still, which costs as well and says little. A linear head has a cheaper way: it makes the clouds small. Halving $\sigma$ makes room for twice as many clouds on a line, and raises the KL term by less than $\log 2 = 0.69$ nats. The next cell checks this arithmetic on the trained clouds.

# %% tags=["check"]
mu, sigma = mu.astype(np.float64), sigma.astype(np.float64)
per_dimension = 0.5 * (mu**2 + sigma**2 - 1 - np.log(sigma**2))
vh.check(
    "equation 2.6 holds for every test image",
    per_dimension,
    0.5 * mu**2 - 1e-9,
    relation="≥",
)
at_one = sigma == 1
vh.check(
    "with equality where σ = 1",
    per_dimension[at_one],
    0.5 * mu[at_one] ** 2,
    atol=1e-9,
)
more = 0.5 * ((widths / 2) ** 2 - widths**2) + np.log(2)
vh.check(
    "halving σ of a linear head costs less than log 2 nats",
    more,
    np.log(2),
    relation="<",
)

# %% [markdown]
# Here is where both encoders put the test images. The colours are the digits again. With ReLU heads one of the two means is zero for nearly every image of this run; so the panel on the right shows the other one, with the digits in rows.

# %% tags=["check"]
alive = int(mu.max(axis=0).argmax())  # the number whose mean is not stuck
stuck = np.mean(mu[:, 1 - alive] == 0)
vh.check(
    "the other mean is 0 for nine in ten images or more",
    stuck,
    0.9,
    relation="≥",
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels. Left, linear heads: a scatter of the posterior means, one colour for each digit, from about minus 3 to 4 across and minus 5 to 4 upwards; ones, zeros and sevens lie at the rim, the others crowd the middle. Right, ReLU heads: the one mean in use, with the digits in ten rows. Zeros and twos crowd near 0, most other digits spread from 0 to 4 and overlap, and only the ones stand apart, between 4 and 7."}}
jitter = np.random.default_rng(0).uniform(-0.35, 0.35, size=len(mu))

figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 4.2))
means = q_linear.mean().numpy()
for digit, color in enumerate(vh.DIGIT_COLORS):
    of_digit = images.test_labels == digit
    dots = {"s": 4, "color": color, "alpha": 0.5, "lw": 0}
    left.scatter(*means[of_digit].T, **dots)
    right.scatter(mu[of_digit, alive], digit + jitter[of_digit], **dots)
left.set(title="linear heads", xlabel="$\\mu_1$", ylabel="$\\mu_2$")
left.set_aspect("equal")
right.set(title="ReLU heads", xlabel=f"$\\mu_{alive + 1}$", ylabel="digit")
right.set_yticks(range(10))
plt.show()

# %% [markdown]
# On the right the ten digits share one axis, and only the ones stand apart, at its far end. In this run the ReLU of the other mean is all but dead. That can happen to any ReLU. If its input is negative for all images, its output is zero for all of them, and its weights get no gradient as long as that lasts; only a change in the layers below can wake it. The number is not idle, though. Its KL term is about one nat, paid for width alone: its clouds are wider than the prior.
#
# How much of the prior lies where means can be, in general? A standard normal is positive half of the time, and the $J$ numbers are independent. So it is $2^{-J}$: one quarter for $J = 2$, one in a thousand for $J = 10$. It is tempting to conclude that the decoder has never seen the other three quarters. That is not right. The clouds are wide, and a wide cloud around a positive mean spills over. Measure it: draw a $z$ from each test image's cloud and count quadrants.

# %% tags=["plumbing", "nbval-ignore-output"]
signs = {"+ +": (1, 1), "− +": (-1, 1), "+ −": (1, -1), "− −": (-1, -1)}
draws_from = {
    "prior": two_headed["ReLU heads"].prior.sample(10_000, seed=[0, 1]),
    "linear heads": q_linear.sample(seed=[0, 2]),
    "ReLU heads": q_relu.sample(seed=[0, 3]),
}
shares = {
    name: [np.mean(np.all(z * sign > 0, axis=1)) for sign in signs.values()]
    for name, z in draws_from.items()
}
rows = [
    [name, *(f"{share:.0%}" for share in row)]
    for name, row in shares.items()
]
vh.table(["share of z in", *signs], rows)

# %% tags=["check"]
quarter = 2.0**-latent_dim
vh.check(
    "each quadrant holds a quarter of the prior",
    shares["prior"],
    quarter,
    atol=0.02,
)
least, most = min(shares["ReLU heads"]), max(shares["ReLU heads"])
vh.check(
    "clouds of ReLU heads reach each quadrant", least, 0.03, relation=">"
)
vh.check("but not evenly", most, 0.35, relation=">")

# %% [markdown]
# So no quadrant is foreign to the decoder. The harm is another one: the clouds lie on top of each other, and one $z$ has to serve many images. Compare what the two decoders make of draws from the prior. As a measure of variety take the variance of each pixel over 2,000 decoded draws, summed over the pixels.

# %% tags=["plumbing", "nbval-ignore-output"]
prior_draws = draws_from["prior"][:2000]
variety = {"test images": float(x_test.var(axis=0).sum())}
for name, vae in two_headed.items():
    decoded = vae.likelihood(prior_draws).mean()
    variety[name] = float(np.var(decoded, axis=0).sum())
vh.table(
    ["variety of", "sum of the variances"], [*variety.items()], digits=1
)

# %% tags=["check"]
vh.check(
    "ReLU heads have less than a quarter of the variety of linear heads",
    variety["ReLU heads"],
    0.25 * variety["linear heads"],
    relation="<",
)
one_in = 1 / tfd.Normal(0.0, 1.0).survival_function(3.0)
vh.check(
    "the prior draws a number above 3 once in 740 times",
    one_in,
    740,
    atol=1,
)
far = np.mean(draws_from["ReLU heads"].numpy()[:, alive] > 3)
vh.check(
    "the clouds of the ReLU heads do more than once in 10",
    far,
    0.1,
    relation=">",
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three rows of eight pictures. First row, linear heads: shapes like three, eight, nine and one. Second row, ReLU heads: eight blurred ovals that are nearly the same. Third row, along the axis from 0 to 7: an oval, then blurred nines, then ones that become clear."}}
linear, relu = two_headed["linear heads"], two_headed["ReLU heads"]
along = np.zeros((8, latent_dim), np.float32)
along[:, alive] = np.arange(8)
rows = [linear.sample(8, seed=1), relu.sample(8, seed=1)]
rows.append(relu.likelihood(along).mean())
vh.plot_images(np.concatenate(rows))
plt.show()

# %% [markdown]
# First row: linear heads. Second row: ReLU heads, with the same eight draws of $z$: eight times almost the same thing. (Even the linear heads reach only a quarter of the test images' variety. Decoded pictures are averages, as you will see below, and an average hides what differs among the images that share a point.) Third row: the decoder of the ReLU heads at $0, 1, \dots, 7$ on the axis that is in use: an oval, something like a nine, and at the far end a clean one. A draw from the prior lies beyond 3 once in 740 times; so this decoder can make other pictures, and the prior never asks for them.
#
# From here on, the version with linear heads is what this book calls S2.
#
# ### Dropout left on
#
# The write-up draws its test pictures with dropout still switched on. In Keras, `predict` and `evaluate` switch it off, and so does everything in `vh`. To see what happens otherwise, turn it on by hand: inside `model.using(training=True)` the networks behave as in training.

# %%
s2 = two_headed["linear heads"]
left_on = []
for seed in range(3):
    with s2.using(keras.random.SeedGenerator(seed), training=True):
        left_on.append(float(tf.reduce_mean(vh.sgvb_b(s2, x_test))))
cost_of_dropout = elbo_of["linear heads"] - np.mean(left_on)

# %% tags=["check"]
assert cost_of_dropout < 10
vh.check(
    "dropout left on costs more than a nat",
    cost_of_dropout,
    1,
    relation=">",
)
vh.check(
    "three measurements lie within half a nat",
    np.ptp(left_on),
    0.5,
    relation="<",
)

# %% [markdown]
# The cost belongs to the measurement, not to the model: the weights are the same. It also explains a curve that surprises many. While a model with dropout trains, its training figure is taken with dropout on and its test figure with dropout off, so the test curve can lie *above* the training curve. Look at a stored run of 50 epochs.

# %% tags=["plumbing", "exact"]
s2_run = vh.stored("s2-none")[0]
train, test = (
    np.array(s2_run[f"{what}_elbo_by_epoch"]) for what in ("train", "test")
)
print(f"after 50 epochs: training, dropout on {train[-1]:.1f} nats")
print(f"                 test, dropout off    {test[-1]:.1f} nats")
vh.check(
    "the test curve lies above the training curve in each of 50 epochs",
    test,
    train,
    relation=">",
)

# %% [markdown]
# (In the first epochs there is a second reason: the training figure is an average over the epoch, the test figure comes from its end.)
#
# Now the pictures. First with dropout off, in the write-up's layout: originals in the odd columns, each with its reconstruction to the right. Stacking the two arrays along a new second axis and flattening it makes them alternate.

# %% mystnb={"image": {"alt": "Sixteen test digits in odd columns, each with its reconstruction to the right. The reconstructions are softer than the originals. Ones, zeros, sevens and nines come back as themselves; fours come back as nines, and the two, the fives and the six as blurred shapes between eight, three and nine."}}
some = x_test[:16]
pairs = np.stack([some, s2.reconstruct(some)], axis=1)
vh.plot_images(pairs.reshape(-1, 28, 28, 1), columns=8)
plt.show()

# %% [markdown]
# After eight epochs and with two numbers a digit, several come back as another digit: every four as a nine, the two and both fives as something between eight, three and nine. Now the first eight images three times with dropout on. The top row holds the originals.

# %% tags=["plumbing"] mystnb={"image": {"alt": "A row of eight test digits and, below it, three rows of their reconstructions with dropout left on. Strokes change in brightness and shape from row to row: the seven loses its foot, the two is a different blur each time."}}
with s2.using(keras.random.SeedGenerator(0), training=True):
    noisy = [s2.reconstruct(some[:8]).numpy() for _ in range(3)]
vh.plot_images(np.concatenate([some[:8], *noisy]), columns=8)
plt.show()

# %% [markdown]
# Compare the rows: no two agree, although nothing was drawn from the cloud. These are reconstructions at $z = \mu(x)$, and both the encoder's $\mu(x)$ and what the decoder makes of it change from call to call. Whoever judges a model by such a picture judges the noise as well.
#
# ### Why are the pictures blurred?
#
# All pictures of this chapter are softer than the data, with dropout or without. The write-up asks why. Here is an answer that you can compute.
#
# Fix the encoder, and ask for the best decoder among those whose pixels are independent given $z$, as ours are. Number the training images $x^{(1)}, x^{(2)}, \dots$ and write $x_d^{(i)}$ for pixel $d$ of image $i$. Only the reconstruction term contains the decoder. Summed over the training images, it is an integral over $z$ whose integrand, for pixel $d$ with logit $\ell_d(z)$, is $\sum_i q_\phi(z \mid x^{(i)}) \left[x_d^{(i)} \ell_d(z) - \log(1 + e^{\ell_d(z)})\right]$. A decoder large enough could maximise it at each $z$ on its own. Write $y_d(z) = 1/(1 + e^{-\ell_d(z)})$ for the pixel's mean. The derivative with respect to $\ell_d(z)$ is $\sum_i q_\phi(z \mid x^{(i)})\,(x_d^{(i)} - y_d(z))$. It falls as $\ell_d(z)$ grows, so its zero is the maximum:
#
# $$y_d(z) = \frac{\sum_i q_\phi(z \mid x^{(i)})\; x_d^{(i)}}{\sum_i q_\phi(z \mid x^{(i)})}. \tag{2.7}$$
#
# In words: the best picture at $z$ is the *average* of the training images whose clouds cover $z$, each weighted by how densely its cloud covers it. Strokes that do not lie on top of each other average to grey. That is the blur.
#
# Does the trained decoder do this? It knows nothing of equation 2.7. Take the model of section 2.7, place $z$ at the means of 200 test images, and compute the average over all 60,000 training images.

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
clouds = tfd.Independent(tfd.Normal(means, widths), 1)  # all 60,000
z = model.posterior(x_test[:200]).mean()
log_densities = clouds.log_prob(z[:, None, :])  # [200, 60000]
weight = tf.nn.softmax(log_densities, axis=1).numpy()
average = weight @ flat_train  # equation 2.7

# %% tags=["check"]
vh.check(
    "the weights of each average add up to 1",
    weight.sum(axis=1),
    1,
    atol=1e-3,
)

# %% [markdown]
# Hold what the decoder returns at each $z$ against four pictures: the average of equation 2.7 at the same $z$, and three baselines: the average at *another* image's $z$, the mean of all training images, and the single training image with the largest weight. The distance is the mean absolute difference of the pixels, on the scale from 0 to 1. A sum of weights says little about how many images share it; $1 / \sum_i (\text{weight}_i)^2$ does: it is $n$ if $n$ images share it equally.

# %% tags=["plumbing", "nbval-ignore-output"]
decoded = model.likelihood(z).mean().numpy().reshape(-1, 784)
single = flat_train[weight.argmax(axis=1)]
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
    "the average at its z is more than twice as near as the others",
    to_average,
    0.4 * min(to_others),
    relation="<",
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

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three rows of eight pictures. The decoder's pictures above and the weighted averages of training images in the middle look alike and are equally soft; the single training images below are sharp."}}
rows = np.concatenate([decoded[:8], average[:8], single[:8]])
vh.plot_images(rows.reshape(-1, 28, 28, 1), columns=8)
plt.show()

# %% [markdown]
# From top to bottom: decoder, average, single image. The average of real digits, taken without any decoder, is as soft as the decoder's picture. So the softness is not a flaw of the optimiser. For this encoder, a larger decoder of this kind would not remove it. It follows from clouds that overlap: with two numbers, about a hundred of the 60,000 images share a point (exercise 1 counts the points, from the KL term). More latent dimensions give the clouds room to part, and the reconstruction term rises (exercise 4). And a decoder whose pixels depend on each other could draw sharp pictures from the same clouds; this book does not build one.
#
# **Would a Gaussian decoder help?** Not for given clouds. It describes a pixel by a mean and a variance $s^2$ instead of one probability. With $s$ held fixed, $\log p_\theta(x \mid z)$ is, up to a constant, minus the squared difference divided by $2s^2$, and the best mean is again the average of equation 2.7. See it on the pixel that varies most at the first $z$: try 99 values for its mean under both decoders.

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

# %% [markdown]
# What the Gaussian does change is the clouds, because it changes the balance: $s$ sets how many nats a wrong grey level costs. A small $s$ makes it worth a larger KL term to keep images apart, and the pictures become sharper. A variance that is learnt changes more (section 1.7 of chapter 1). If you write a Gaussian decoder, leave its mean linear. The write-up suggests a ReLU there, whose gradient is zero wherever it returns zero: such a pixel can die as the mean above did.
#
# The write-up also asks why a **generative adversarial network** (GAN) draws sharper pictures. This page trains none, so take this as background. A GAN is trained without a likelihood: its generator is asked for pictures that a second network cannot tell from real ones. A VAE must give every training image some probability, and pays without limit for one that it calls impossible. What a GAN pays for images that it never produces has a limit, so it can leave some out in place of averaging over them.

# %% [markdown]
# ## 2.11 Functional Keras networks
#
# The third write-up (system S3) is smaller and trains in smaller steps: one hidden layer of 256 units a network, minibatches of $M = 100$, and the optimiser RMSprop, which divides each gradient by a running root mean square of itself. It is written in the functional style throughout. Naming the layers makes the summary readable.


# %%
def s3_vae(seed=0):
    keras.utils.set_random_seed(seed)
    layers = keras.layers

    image = keras.Input((28, 28, 1), name="image")
    flat = layers.Flatten(name="flatten")(image)
    hidden = layers.Dense(256, activation="relu", name="hidden")(flat)
    mu = layers.Dense(latent_dim, name="mu")(hidden)
    log_variance = layers.Dense(latent_dim, name="log_variance")(hidden)
    both = layers.Concatenate(name="mu_log_variance")([mu, log_variance])

    z = keras.Input((latent_dim,), name="z")
    hidden = layers.Dense(256, activation="relu", name="hidden")(z)
    logits = layers.Dense(784, name="logits")(hidden)
    picture = layers.Reshape((28, 28, 1), name="picture")(logits)
    return vh.VAE(
        keras.Model(image, both, name="encoder"),
        keras.Model(z, picture, name="decoder"),
        seed=seed,
    )


# %% tags=["plumbing", "nbval-ignore-output"]
s3 = s3_vae()
for network in (s3.encoder, s3.decoder):
    network.summary(line_length=79, print_fn=print)

# %% [markdown]
# The two heads are called `mu` and `log_variance`. Names matter here: the write-up's text says that its encoder returns $\sigma$, while its code uses the number as $\log\sigma^2$. The code is right.
#
# The write-up adds its loss to the finished model with `add_loss`. That worked in Keras 2. Keras 3 takes it inside a layer's `call` only, and not on a finished model:

# %%
try:
    s3.encoder.add_loss(keras.ops.mean(s3.encoder.output**2))
except NotImplementedError as refusal:
    print("refused:", type(refusal).__name__)
else:
    raise AssertionError("this version of Keras takes a symbolic loss")

# %% [markdown]
# A model with its own `train_step`, such as `vh.VAE`, needs no such thing. Train it for 50 epochs. With 600 small steps an epoch, much of the time would go into returning to Python between steps; `fit` here runs a twentieth of an epoch at once, unless a callback wants to see every step. (In plain Keras you would give `compile` the number, `steps_per_execution=30`.)

# %% tags=["nbval-ignore-output"]
s3.compile(keras.optimizers.RMSprop(1e-3), objective=vh.sgvb_b)
s3_history = s3.fit(
    vh.batches(images.train, batch_size=100, seed=0),
    epochs=50,
    validation_data=test_batches,
).history

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three panels against epochs, train and test. The objective and the reconstruction term rise and flatten out; the test curve of the objective ends two to three nats below the training curve. The KL term climbs slowly, with small ups and downs in the test curve."}}
vh.plot_history(s3_history, skip=2)
plt.show()

# %% tags=["plumbing"] mystnb={"image": {"alt": "Scatter of 10,000 test images in the latent plane of system S3, one colour for each digit. Ones, sixes and zeros form clusters of their own at the rim; fours, sevens and nines overlap on the left; twos, threes, fives and eights crowd the centre."}}
vh.plot_latent_scatter(s3, x_test, images.test_labels)
plt.show()

# %% [markdown]
# Compare it with the scatter of section 2.8: top and bottom have changed places. The ones were above, here they are below. Nothing in the objective says where a digit belongs: the bound and the prior do not change if the whole plane is reflected in an axis or given a quarter turn. Another turn leaves the prior as it is, but not the bound: it tilts every cloud that is not round, and a Gaussian with independent coordinates cannot tilt.
#
# ### A loss of 0.19
#
# The write-up reports a training loss of 0.19. Section 2.9 has shown what a mean over the pixels does to a VAE, so be suspicious. Its loss is the cross-entropy averaged over the 784 pixels *plus the KL term divided by 784*. Both terms are divided by the same number. The balance stays, and the loss is minus the ELBO in other units: nats a pixel. Compute it as the write-up does, with Keras's own cross-entropy, and hold it against the bound on the same draws of $z$.

# %%
x = x_test[:1000]
q = s3.posterior(x)
z = q.sample(seed=[0, 4])
kl = tfd.kl_divergence(q, s3.prior)

y = s3.likelihood(z).mean()
flat_x, flat_y = (tf.reshape(a, (-1, 784)) for a in (x, y))
# A mean over the pixels:
cross_entropy = keras.losses.binary_crossentropy(flat_x, flat_y)
published_loss = tf.reduce_mean(cross_entropy) + tf.reduce_mean(kl) / 784
bound = tf.reduce_mean(s3.likelihood(z).log_prob(x) - kl)

# %% tags=["check"]
vh.check(
    "the published loss is −ELBO / 784",
    published_loss,
    -bound / 784,
    rtol=1e-3,
)

# %% tags=["plumbing", "nbval-ignore-output"]
s3_train, s3_test = s3_history["loss"][-1], s3_history["val_loss"][-1]
rows = [
    ["training", -s3_train, f"{s3_train / 784:.4f}"],
    ["test", -s3_test, f"{s3_test / 784:.4f}"],
    ["published", -0.19 * 784, "0.19"],
]
vh.table(["S3", "nats an image", "loss, nats a pixel"], rows, digits=1)

# %% tags=["check"]
vh.check("the training loss is 0.19", s3_train / 784, 0.19, atol=0.01)
vh.check("and so is the test loss", s3_test / 784, 0.19, atol=0.01)

# %% [markdown]
# Multiply by 784 and the figure can be read. Two digits on that scale leave it much room; exercise 8 asks how much.
#
# ### Does the scale matter to the optimiser?
#
# A constant in front of a loss scales every gradient. RMSprop and Adam divide the gradient by its own size, so the constant should cancel. It does so up to the small number ε that keeps the division from failing. (Optimisers use the letter of our noise for it.) How small is small? Keras's RMSprop has $10^{-7}$ *inside* the root, next to the mean squared gradient. So it acts on gradients of about $\sqrt{10^{-7}} = 3 \cdot 10^{-4}$ and below. Look at how many there are on each scale. (Entries that are exactly zero are left out; most belong to pixels that are black in the whole batch.)

# %%
untrained_s3 = s3_vae()
with tf.GradientTape() as tape:
    loss = -tf.reduce_mean(vh.sgvb_b(untrained_s3, grey_train[:100]))
gradients = tape.gradient(loss, untrained_s3.trainable_variables)
entries = np.concatenate([np.abs(np.ravel(g)) for g in gradients])
entries = entries[entries > 0]
below = {scale: np.mean(entries / scale < 1e-7**0.5) for scale in (1, 784)}

# %% tags=["check"]
vh.check(
    "nats an image: less than a fifth of them lie below √ε",
    below[1],
    0.2,
    relation="<",
)
vh.check(
    "nats a pixel: nearly all of them do", below[784], 0.95, relation=">"
)

# %% [markdown]
# On the published scale nearly all gradients of this first step are smaller than what was meant to be negligible. RMSprop then no longer divides by their size; it divides by $\sqrt{10^{-7}}$, and so is close to plain gradient descent with a learning rate of $10^{-3}/\sqrt{10^{-7}} \approx 3.2$. What does that cost? Train one epoch, with a second seed for Adam; within a seed all runs start from the same weights and see the same images and the same noise. The first row of the table is the first epoch of the run above. The third row divides ε as well, by $784^2$, because it stands beside a square. Adam has its ε outside the root, where it acts on gradients of $10^{-7}$ and below.


# %%
def per_pixel(model, x, samples=1):
    """The ELBO divided by 784: system S3's loss with its sign turned."""
    return vh.sgvb_b(model, x, samples) / 784


def one_epoch(optimizer, objective, seed=0):
    """The test ELBO of S3 after one epoch."""
    vae = s3_vae(seed)
    vae.compile(optimizer, objective=objective)
    batches = vh.batches(images.train, 100, seed=seed)
    vae.fit(batches, epochs=1, verbose=0)
    return vh.elbo(vae, x_test)


rmsprop, adam = keras.optimizers.RMSprop, keras.optimizers.Adam
whole = -s3_history["val_loss"][0]  # the first epoch of the run above
pixel = one_epoch(rmsprop(1e-3), per_pixel)
repaired = one_epoch(rmsprop(1e-3, epsilon=1e-7 / 784**2), per_pixel)
adam_whole = [one_epoch(adam(1e-3), vh.sgvb_b, seed) for seed in (0, 1)]
adam_pixel = [one_epoch(adam(1e-3), per_pixel, seed) for seed in (0, 1)]

# %% tags=["plumbing", "nbval-ignore-output"]
rows = [
    ["RMSprop, nats an image", whole, ""],
    ["RMSprop, nats a pixel", pixel, ""],
    ["the same, smaller ε", repaired, ""],
    ["Adam, nats an image", *adam_whole],
    ["Adam, nats a pixel", *adam_pixel],
]
vh.table(["test ELBO after one epoch", "seed 0", "seed 1"], rows, digits=1)

# %% tags=["check"]
vh.check(
    "RMSprop loses more than 10 nats to the scale of its loss",
    whole - pixel,
    10,
    relation=">",
)
vh.check("with ε divided along, nothing is lost", repaired, whole, atol=4)
vh.check("Adam moves by less than 6 nats", adam_pixel, adam_whole, atol=6)

# %% [markdown]
# The first row and the third are the same arithmetic, but for rounding; what differs between them shows how far rounding drifts in 600 steps. Adam's two rows differ by more than that, but one seed gains and the other loses, and by about as much as seeds differ anyway. Two seeds show no effect; a small one they could not show. So "a constant factor does not matter" is true of the optimum, and of these optimisers as long as ε is small beside the gradients. It is one more reason to keep a loss in nats an image. This page trained S3 that way. The published figure was made with an older Keras, which this page has not run, so do not conclude that the write-up lost these nats.
#
# ## 2.12 One ranking
#
# Three systems on the same pixels: which one is best? The networks, the optimisers and the minibatches differ, but the bound and the test images are the same grey levels, so the numbers can stand in one column. The next cell shows the stored runs, 50 epochs each; the column "seeds" says how many stand behind a row, and ± is the standard error over them. The last column is the exact $\log p_\theta(x)$, from a grid over the latent plane ([chapter 3](03_conv_vae.ipynb)).

# %% tags=["plumbing", "exact"]
ranked = {
    "S0: 512, 256; Adam, M = 1024": stored,
    "S2: S0 with dropout 0.2": vh.stored("s2-none"),
    "S3: 256; RMSprop, M = 100": vh.stored("s3-none"),
}
columns = {
    "elbo": "test ELBO",
    "reconstruction": "reconstruction",
    "kl": "KL",
    "log_likelihood_500": "log p(x), 500 draws",
    "log_likelihood": "exact",
}
rows = []
for name, found in ranked.items():
    values = ([run[f"test_{key}"] for run in found] for key in columns)
    rows.append([name, found[0]["parameters"], len(found)])
    rows[-1] += map(vh.mean_and_error, values)
vh.table(["system", "weights", "seeds", *columns.values()], rows)

# %% tags=["check"]
for key, what, side, relation in (
    ("test_elbo", "ELBO", "above", ">"),
    ("test_log_likelihood", "exact log p(x)", "below", "<"),
):
    s0_runs, s2_runs, s3_runs = (
        np.array([run[key] for run in found]) for found in ranked.values()
    )
    vh.check(
        f"{what}: any seed of S3 lies more than 5 nats below any of S0",
        s0_runs.min() - s3_runs.max(),
        5,
        relation=">",
    )
    vh.check(
        f"{what}: S2 lies {side} S0 on average",
        s2_runs.mean(),
        s0_runs.mean(),
        relation=relation,
    )

# %% [markdown]
# S3 is clearly the last. (It has less than half of the weights, but optimiser, minibatch and depth differ too; which of them it is, this table cannot say.) Between S0 and S2 the order depends on what you ask. By the ELBO, dropout gains most of a nat. By the exact $\log p_\theta(x)$ it *loses* more than one. Set the standard errors beside both differences. The error of a difference is the root of the two squared errors together: $\sqrt{0.27^2 + 0.21^2} = 0.34$ nats for the ELBO, $\sqrt{0.29^2 + 0.21^2} = 0.36$ for $\log p_\theta(x)$. The differences are between two and four times as large. With three seeds each that is a hint, and no proof. How can both be true? The ELBO scores the encoder and the decoder together, $\log p_\theta(x)$ the decoder alone. If the hint holds, the two networks fit each other better with dropout, and the decoder by itself is a little worse. Section 3.9 of chapter 3 comes back to this.
#
# And mind the last two columns. They are about the same number, and 500 draws fall short of it by nats. Chapter 3 shows why.

# %% [markdown]
# ## What we measured


# %% tags=["plumbing", "nbval-ignore-output"]
def stored_mean(key):
    return vh.mean_and_error([run[f"test_{key}"] for run in stored])


in_training = -history["loss"][-1]
none, not_asked = "none given", "not asked"
rows = [
    ["test ELBO, 50 epochs, 3 seeds", stored_mean("elbo"), none],
    ["— of which reconstruction", stored_mean("reconstruction"), none],
    ["— of which KL", stored_mean("kl"), none],
    ["log p(x), 500 draws", stored_mean("log_likelihood_500"), none],
    ["this page's run: test ELBO", here, not_asked],
    ["this page's run: training ELBO", in_training, "no final figure"],
    ["the average digit", average_digit, not_asked],
    ["perfect reconstruction, free code", perfect, not_asked],
    ["mean over the pixels, 5 epochs", its_elbo, not_asked],
    ["S2, 8 epochs: test ELBO", elbo_of["linear heads"], none],
    ["— with ReLU on both heads", elbo_of["ReLU heads"], none],
    ["— with dropout left on", np.mean(left_on), none],
    ["S3, 50 epochs: test ELBO", -s3_test, none],
    ["— training ELBO", -s3_train, "−149 (loss 0.19: −153 to −145)"],
    ["— 1 epoch, RMSprop: test ELBO", whole, not_asked],
    ["— 1 epoch, loss in nats a pixel", pixel, not_asked],
]
vh.table(["MNIST grey levels, nats per image", "here", "published"], rows)

# %% [markdown]
# "Published" means the write-ups behind this chapter; "none given" marks a figure that they could have had, "not asked" one that only this page asks for. That of S0 prints training figures every ten epochs and gives no test figure; that of S2 gives none at all. That of S3 gives a training loss, 0.19 in nats a pixel, from training with that loss; ours comes from training in nats an image (section 2.11). The nearest published number to S0 is that of Keras's own example: a *loss* of 146.95 (140.15 reconstruction, 6.80 KL) with $J = 2$ and a convolutional network after 30 epochs, trained on training and test images together. It is the same kind of data but not a held-out figure, so it does not belong in the table.

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - an encoder that returns a cloud, its mean and log-variance, and a decoder that returns logits;
# - the ELBO as two sums, checked against TensorFlow Probability and against draws;
# - a training loop in the open and `fit`, agreeing at every step;
# - three curves held against two anchors, the fair coins and the average digit;
# - reconstructions, samples, the scatter and the plane of a two-dimensional latent space;
# - what three common slips cost: one of them everything, one about a nat of honesty, one next to nothing;
# - two heads that are one layer, a ReLU that costs tens of nats, and dropout that must be off when you measure;
# - a decoder that returns the average of the images which share a point of the latent space: the blur;
# - functional networks with named outputs, a loss of 0.19 read as some 149 nats, and an optimiser that notices the difference;
# - a table of three systems with their seeds, and what such a table can tell.
#
# ## Exercises
#
# **1.** What is $e^{\mathrm{KL}}$ for the final KL term on test images, and how could you picture it?
#
# <details>
# <summary>Solution</summary>
#
# The final KL is about 6.4 nats and $e^{6.4} \approx 600$. Picture a prior cut into about 600 equally likely cells: naming the cell costs as much as the average code, and the code says no more than that. It is far more than ten: there is room for how a digit is written, not only for which one it is.
#
# </details>
#
# **2.** By hand: $J = 1$, $\mu = 1$, $\log\sigma^2 = -2$. How many nats is the KL term? Check with `kl_to_prior`.
#
# <details>
# <summary>Solution</summary>
#
# $\tfrac12(1 + e^{-2} - 1 + 2) = \tfrac12(0.1353 + 2) = 1.0677$ nats. `kl_to_prior(tf.constant([[1.0]]), tf.constant([[-2.0]]))` returns 1.0677.
#
# </details>
#
# **3.** Replace $\sigma$ by $\sigma^2$ in `reparameterise` and train the loop for five epochs. (Run all cells again from section 2.3 to section 2.6, without the check below `reparameterise` and with `for _ in range(5)` around the loop. `train_step` is a graph and remembers the old function.) Does the loss look wrong? Which term is wrong, and which checks of this page find it?
#
# <details>
# <summary>Solution</summary>
#
# The loss looks right: it falls and settles like that of the correct code. The network learns another $\log\sigma^2$: the noise has standard deviation $e^{\log\sigma^2}$, while the KL term believes in $e^{\frac12\log\sigma^2}$. The sum need not be a bound, because the KL term belongs to a distribution that nobody samples. The two checks of equations 2.4 and 2.5 pass, because neither calls `reparameterise`. The check of its draws fails at once. Without that one you would have to wait for the comparison with `fit` in section 2.7.
#
# </details>
#
# **4.** Change $J$ to 10 (`vh.mlp_vae(latent_dim=10)`) and train for 50 epochs. What happens to the reconstruction term, the KL term and the ELBO?
#
# <details>
# <summary>Solution</summary>
#
# The reconstruction term improves by far more than the KL term grows. In a stored run (`experiments/results/s0-j10-seed0.json`) the test ELBO is −103.7 nats, against −145.9 with two and the same seed: reconstruction is better by 54.6 nats and the KL term higher by 12.4. Two numbers were the bottleneck.
#
# </details>
#
# **5.** Show that a reconstruction with the *grey level itself* as probability is the best one can do: for fixed $x$ in (0, 1), maximise $x\ell - \log(1 + e^\ell)$ over $\ell$.
#
# <details>
# <summary>Solution</summary>
#
# The derivative is $x - 1/(1 + e^{-\ell})$. It vanishes where the probability $p = 1/(1 + e^{-\ell})$ equals $x$. The second derivative is $-p(1 - p)$, negative everywhere, so this is the maximum. There $\ell = \log\frac{x}{1 - x}$ and $1 + e^\ell = \frac{1}{1 - x}$, and the value is $x\log x + (1 - x)\log(1 - x)$, the ceiling of section 2.8.
#
# </details>
#
# **6.** The loop of section 2.6 stopped after one epoch. Sample from the prior with its decoder. Why do all samples look alike?
#
# ```python
# z = keras.random.normal((24, 2), seed=1)
# vh.plot_images(tf.sigmoid(decoder(z)))
# ```
#
# <details>
# <summary>Solution</summary>
#
# After one epoch the loss is near the average digit's 206 nats. The decoder makes little of $z$ yet, so its pictures are grey ovals not far from the average digit. What changes with $z$ first is what separates images most, often ones at one end and zeros at the other. There is a second reason. Plot the $\mu(x)$ of the test images: early in training they often fill only a part of the plane, while the prior covers all of it. Where no image has been, the decoder has learnt next to nothing and returns fog.
#
# </details>
#
# **7.** You want a cloud for each of two images, eight standard deviations apart, on one latent axis. Place the means at $\pm\mu$. What is the KL term of each cloud with $\sigma = 1$, and with $\sigma = \frac14$? What does equation 2.6 say, and what does a ReLU on $\mu$ add to the price?
#
# <details>
# <summary>Solution</summary>
#
# With $\sigma = 1$ the means are $\pm 4$, and the KL term is $\frac12 \cdot 16 = 8$ nats: equation 2.6 with equality. With $\sigma = \frac14$ they are $\pm 1$, and it is $\frac12(1 + \frac1{16} - 1 + 2\log 4) = 1.4175$ nats. `kl_to_prior(tf.constant([[4.0], [1.0]]), tf.math.log([[1.0], [1 / 16]]))` returns both. A ReLU forbids $-\mu$. With $\sigma = 1$ the means then lie at 0 and 8, for 0 and 32 nats: 16 on average in place of 8. With $\sigma = \frac14$ they lie at 0 and 2, for 0.9175 and 2.9175 nats: 1.9175 on average, only half a nat more. It is the ReLU on $\log\sigma^2$ that is expensive.
#
# </details>
#
# **8.** A loss is printed as 0.19, in nats a pixel and rounded to two digits. Between which two ELBOs may it lie? Could this figure tell the systems of section 2.8 and section 2.11 apart?
#
# <details>
# <summary>Solution</summary>
#
# Between $-0.195 \cdot 784 = -152.9$ and $-0.185 \cdot 784 = -145.0$ nats: a window of 7.8 nats. Both losses that section 2.11 prints for S3 lie inside it, and so does the test ELBO of S0: on test images both systems would print 0.19. On training images they just part: S0 ends near −143 nats, a loss of 0.182, which prints as 0.18.
#
# </details>
#
# **9.** Suppose that the loss of S3 were a *sum* over the minibatch of 100 images, in nats. What would that do to RMSprop and its ε? And to plain gradient descent?
#
# <details>
# <summary>Solution</summary>
#
# Every gradient is 100 times larger, so still fewer of them lie near $\sqrt{10^{-7}}$, and RMSprop behaves as in the first row of section 2.11's comparison, or a little closer to the ideal. Plain gradient descent takes steps that are 100 times longer and most likely diverges. Two optimisers, one loss: ask which one a learning rate was found with.
#
# </details>
#
# ## What to read next
#
# [Chapter 1](01_theory.ipynb) derives everything that was used here. The [notation](../book/notation.md) and the [glossary](../book/glossary.md) list the terms. The original paper is Kingma and Welling (2013), in the [bibliography](../book/bibliography.md).
