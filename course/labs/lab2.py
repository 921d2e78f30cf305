# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 2. A VAE from two networks, trained
#
# **You write a VAE in six small functions, train it in seconds, and read its numbers.** Nothing is hidden in a class. [Chapter 2](../../notebooks/02_mlp_vae.ipynb) builds the same model; you may look there.
#
# | Question | Minutes | Points |
# |---|---|---|
# | Read this page, run the first cells | 5 | |
# | 1. Two networks | 10 | 3 |
# | 2. The posterior and a draw from it | 10 | 3 |
# | 3. The reconstruction term | 10 | 3 |
# | 4. The loss | 20 | 4 |
# | 5. A training step, and the training | 20 | 3 |
# | 6. The KL of each dimension | 5 | 2 |
# | 7. Reading the numbers (in words) | 10 | 2 |
#
# **Where.** On your machine: put this file into the folder `notebooks` of the book ([how to install it](../../book/how_to_use.md)) and run `make lab`. Or in Colab: *File → Upload notebook*, and the first cell fetches the book.
#
# **How it works.** Each question gives you functions with `...` in them. Put your lines in place of the dots. Keep the functions' names, their arguments and what they return. Then run the cell below:
#
# - `✓` means that this value is right;
# - `✗` says what was expected, what you returned, and where to look;
# - `…` means that nothing is there yet.
#
# Your points come from other tests that you do not see. They call your functions with other numbers and other shapes.
#
# All terms are in **nats per image**: sums over pixels and over latent dimensions, averages over images only. In a docstring `[n, J]` is the shape of a TensorFlow tensor, float32: $n$ images, $J$ latent dimensions.

# %%
import vae_helpers as vh

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(0)


# %%
def compare(what, yours, expected, atol, hint):
    """Print one line: ✓ if `yours` is as expected, else what to do."""
    if yours is None or yours is ...:
        print(f"… {what}: nothing yet, put your lines where the dots are")
        return
    expected = np.asarray(expected, float)
    try:
        yours = np.asarray(yours, float)
    except (TypeError, ValueError):
        print(f"✗ {what}: expected numbers, got {yours!r}. {hint}")
        return
    if yours.shape != expected.shape:
        shapes = f"expected shape {expected.shape}, got {yours.shape}"
        print(f"✗ {what}: {shapes}. {hint}")
    elif np.all(np.abs(yours - expected) <= atol):
        print(f"✓ {what}")
    else:
        print(f"✗ {what}: expected {expected}, got {yours}. {hint}")


# %% [markdown]
# ## The data
#
# 10,000 training images and 1,000 test images of MNIST. Each pixel is made black or white: 1 where its grey level is at least one half, else 0. The arrays are float32, `[n, 28, 28, 1]`.

# %%
images = vh.load_mnist()
x_train = vh.binarize(images.train[:10_000], "threshold")
x_test = vh.binarize(images.test[:1_000], "threshold")

# %% [raw]
# # BEGIN QUESTION
# name: q1
# points: 3

# %% [markdown]
# ## Question 1. Two networks (10 min, 3 points)
#
# Each network has one hidden layer. Use `keras.Sequential` with these layers:
#
# - **encoder:** `Input((28, 28, 1))`, `Flatten()`, `Dense(hidden, activation="relu")`, and a last `Dense` layer;
# - **decoder:** `Input((latent_dim,))`, `Dense(hidden, activation="relu")`, a last `Dense` layer, `Reshape((28, 28, 1))`.
#
# The encoder's last layer returns $2J$ numbers an image, $\mu$ and then $\log \sigma^2$. The decoder's returns 784 logits. Any real number may come out of both, so neither has an activation.
#
# *Why:* a ReLU or a sigmoid in the last layer still trains, and quietly forbids half of the means or all sure pixels.

# %% [raw]
# # BEGIN SOLUTION


# %%
def make_encoder(latent_dim, hidden):
    """A Keras model from images [n, 28, 28, 1] to [n, 2 * latent_dim].

    latent_dim: J, the number of latent dimensions.
    hidden: the number of units in the hidden layer.
    """
    # BEGIN SOLUTION
    return keras.Sequential(
        [
            keras.layers.Input((28, 28, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(hidden, activation="relu"),
            keras.layers.Dense(2 * latent_dim),
        ]
    )
    # END SOLUTION


def make_decoder(latent_dim, hidden):
    """A Keras model from codes [n, J] to logits [n, 28, 28, 1]."""
    # BEGIN SOLUTION
    return keras.Sequential(
        [
            keras.layers.Input((latent_dim,)),
            keras.layers.Dense(hidden, activation="relu"),
            keras.layers.Dense(784),
            keras.layers.Reshape((28, 28, 1)),
        ]
    )
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
encoder_1, decoder_1 = make_encoder(3, 16), make_decoder(3, 16)
compare(
    "shape of what the encoder returns for two images, J = 3",
    encoder_1 and encoder_1(x_test[:2]).shape,
    (2, 6),
    0,
    "Two numbers for each latent dimension, and Flatten before Dense.",
)
compare(
    "shape of what the decoder returns for two codes",
    decoder_1 and decoder_1(tf.zeros((2, 3))).shape,
    (2, 28, 28, 1),
    0,
    "784 numbers, then Reshape.",
)
compare(
    "number of weights of both networks",
    decoder_1 and [encoder_1.count_params(), decoder_1.count_params()],
    [12662, 13392],
    0,
    "One hidden layer of 16 units each, and every Dense layer has a bias.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_encoder(make_encoder):
    import numpy as np

    random = np.random.default_rng(11)
    network = make_encoder(4, 30)
    assert network.count_params() == 784 * 30 + 30 + 30 * 8 + 8, (
        "the encoder has other layers"
    )
    found = network(
        1e3 * random.normal(size=(50, 28, 28, 1)).astype("float32")
    ).numpy()
    assert found.shape == (50, 8), "the encoder must return 2 J numbers"
    assert found.min() < -20 and found.max() > 20, (
        "the encoder's last layer is not linear"
    )


# %%
# HIDDEN
def test_decoder(make_decoder):
    import numpy as np

    random = np.random.default_rng(12)
    network = make_decoder(5, 40)
    assert network.count_params() == 5 * 40 + 40 + 40 * 784 + 784, (
        "the decoder has other layers"
    )
    found = network(
        1e3 * random.normal(size=(20, 5)).astype("float32")
    ).numpy()
    assert found.shape == (20, 28, 28, 1), "the decoder must return images"
    assert found.min() < -20 and found.max() > 20, (
        "the decoder's last layer is not linear"
    )


# %%
# HIDDEN
def test_hidden_layers(make_encoder, make_decoder):
    import numpy as np

    for network, start in (
        (make_encoder(1, 9), np.ones((1, 28, 28, 1))),
        (make_decoder(1, 9), np.ones((1, 1))),
    ):
        network.set_weights(
            [
                np.zeros_like(w) if w.ndim == 1 else -np.ones_like(w)
                for w in network.get_weights()
            ]
        )
        assert np.abs(network(start.astype("float32"))).max() == 0, (
            "a negative sum must stop at the hidden ReLU"
        )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q2
# points: 3

# %% [markdown]
# ## Question 2. The posterior and a draw from it (10 min, 3 points)
#
# Take apart what the encoder returns: the first $J$ numbers are $\mu$, the last $J$ are $\log \sigma^2$, the logarithm of the **variance**. Return the standard deviation $\sigma = e^{\frac12 \log \sigma^2}$.
#
# Then draw with the noise given: $z = \mu + \sigma \varepsilon$.
#
# *Why:* written like this, $z$ has a derivative in $\mu$ and $\sigma$. And $\sigma$, $\sigma^2$, $\log \sigma^2$ are easily taken for each other: the loss falls all the same.

# %% [raw]
# # BEGIN SOLUTION


# %%
def posterior(outputs):
    """Mean and standard deviation of q(z | x), two tensors [n, J].

    outputs: what the encoder returns, [n, 2 J].
    """
    # BEGIN SOLUTION
    mu, log_variance = tf.split(outputs, 2, axis=-1)
    return mu, tf.exp(0.5 * log_variance)
    # END SOLUTION


def draw(mu, sigma, epsilon):
    """Draws from q(z | x), [n, J].

    mu, sigma: mean and standard deviation, [n, J].
    epsilon: draws from N(0, I), [n, J].
    """
    # BEGIN SOLUTION
    return mu + sigma * epsilon
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
outputs_2 = tf.constant([[1.0, -2.0, 0.0, 1.3863]])
compare(
    "μ and σ of one image, J = 2",
    posterior(outputs_2),
    [[[1.0, -2.0]], [[1.0, 2.0]]],
    1e-4,
    "Expected are μ, then σ. The log-variance 1.3863 is log 4: σ is 2.",
)
compare(
    "a draw",
    draw(tf.constant([[1.0]]), tf.constant([[2.0]]), tf.constant([[-1.5]])),
    [[-2.0]],
    1e-6,
    "1 + 2 · (−1.5)",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_posterior(posterior):
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(13)
    centres = random.normal(size=(7, 3))
    widths = random.uniform(0.1, 3, (7, 3))
    made = np.concatenate([centres, 2 * np.log(widths)], axis=1)
    found = posterior(tf.constant(made, tf.float32))
    assert np.allclose(found[0], centres, atol=1e-5), (
        "the mean is the first half of the outputs"
    )
    assert np.allclose(found[1], widths, rtol=1e-4), (
        "sigma is not exp(half the log-variance)"
    )


# %%
# HIDDEN
def test_draw(draw):
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(14)
    centres, widths, noise = random.normal(size=(3, 6, 4))
    found = draw(
        tf.constant(centres, tf.float32),
        tf.constant(widths, tf.float32),
        tf.constant(noise, tf.float32),
    )
    assert np.allclose(found, centres + noise * widths, atol=1e-5), (
        "the draws are wrong"
    )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q3
# points: 3

# %% [markdown]
# ## Question 3. The reconstruction term (10 min, 3 points)
#
# The log-likelihood of an image sums over its pixels, with a logit $\ell$ for each:
#
# $$\log p(x \mid z) = \sum_{\text{pixels}} \left[x\,\ell - \log(1 + e^{\ell})\right].$$
#
# TensorFlow calls $\log(1 + e^\ell)$ `tf.nn.softplus(logits)`. Do not write the logarithm yourself: $e^{100}$ is too large for 32 bits, and the result would be infinite.
#
# *Why:* a **mean** over pixels in place of the sum divides this term by 784. Then the KL is far too dear, and the code stays empty.

# %% [raw]
# # BEGIN SOLUTION


# %%
def log_bernoulli(x, logits):
    """log p(x | z) of each image, in nats, a tensor [n].

    x: pixels, 0 or 1, [n, 28, 28, 1].
    logits: of the same shape.
    """
    # BEGIN SOLUTION
    per_pixel = x * logits - tf.nn.softplus(logits)
    return tf.reduce_sum(per_pixel, axis=[1, 2, 3])
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
compare(
    "two images under logits of 0, fair coins",
    log_bernoulli(x_test[:2], tf.zeros((2, 28, 28, 1))),
    [-543.4274, -543.4274],
    1e-2,
    "784 pixels cost log 2 each, whatever the image. One number an image.",
)
compare(
    "a white image under logits of 1",
    log_bernoulli(tf.ones((1, 28, 28, 1)), tf.ones((1, 28, 28, 1))),
    [-245.6012],
    1e-2,
    "Each pixel costs log(1 + 1/e) = 0.3133 nats.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_values(log_bernoulli):
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(15)
    pixels = (random.random((6, 28, 28, 1)) < 0.3).astype("float32")
    scores = random.normal(0, 3, pixels.shape).astype("float32")
    chance = 1 / (1 + np.exp(-scores.astype(float)))
    wanted = np.log(np.where(pixels == 1, chance, 1 - chance)).sum(
        axis=(1, 2, 3)
    )
    found = np.asarray(
        log_bernoulli(tf.constant(pixels), tf.constant(scores))
    )
    assert found.shape == (6,), "six images must give six numbers"
    assert np.allclose(found, wanted, rtol=1e-4), (
        "the log-likelihoods of six images are wrong"
    )


# %%
# HIDDEN
def test_sure_pixels(log_bernoulli):
    import tensorflow as tf

    pixels = tf.zeros((1, 28, 28, 1))
    found = float(log_bernoulli(pixels, pixels + 150)[0])
    assert abs(found + 784 * 150) < 10, (
        "logits of 150 on black pixels must cost 150 nats each, not infinitely many"
    )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q4
# points: 4

# %% [markdown]
# ## Question 4. The loss (20 min, 4 points)
#
# Put it together: encode, draw, decode, then the two terms. For each image
#
# $$\mathrm{KL} = \tfrac12 \sum_{j=1}^{J} \left(\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2\right).$$
#
# Average both terms over the images. The ELBO is reconstruction minus KL; the loss is **minus** the ELBO, because optimisers minimise.
#
# *Why:* this is the whole objective. Return the terms too: a loss alone never tells you which of the two has moved.

# %% [raw]
# # BEGIN SOLUTION


# %%
def negative_elbo(encoder, decoder, x, epsilon):
    """The loss of a minibatch and its two terms, in nats per image.

    encoder, decoder: networks as in question 1.
    x: images, [n, 28, 28, 1].
    epsilon: draws from N(0, I), [n, J].
    Returns three scalars: loss, reconstruction (the mean of
    log p(x | z), negative), KL (positive).
    """
    # BEGIN SOLUTION
    mu, sigma = posterior(encoder(x))
    logits = decoder(draw(mu, sigma, epsilon))
    reconstruction = tf.reduce_mean(log_bernoulli(x, logits))
    per_dimension = mu**2 + sigma**2 - 1 - 2 * tf.math.log(sigma)
    kl = tf.reduce_mean(0.5 * tf.reduce_sum(per_dimension, axis=-1))
    return kl - reconstruction, reconstruction, kl
    # END SOLUTION


# %% [raw]
# # END SOLUTION


# %%
def plain_encoder_4(x):
    """μ = (1, 2) and log σ² = (0, 1.3863) for every image: KL 3.3069."""
    return tf.tile([[1.0, 2.0, 0.0, 1.3863]], [len(x), 1])


def plain_decoder_4(z):
    """Every logit is the sum of the code."""
    return (
        tf.ones((1, 28, 28, 1)) * tf.reduce_sum(z, -1)[:, None, None, None]
    )


compare(
    "loss, reconstruction and KL of two white images, by hand",
    negative_elbo(
        plain_encoder_4,
        plain_decoder_4,
        tf.ones((2, 28, 28, 1)),
        tf.constant([[-1.0, -1.0], [0.0, -2.0]]),
    ),
    [789.8236, -786.5167, 3.3069],
    0.05,
    "The draws are (0, 0) and (1, −2), so all logits are 0, then −1. The "
    "images score −543.43 and −1029.61 nats; the second number is their "
    "mean.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_terms(negative_elbo):
    import keras
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(16)
    pixels = (random.random((5, 28, 28, 1)) < 0.4).astype("float32")
    noise = random.normal(size=(5, 3)).astype("float32")
    first = keras.Sequential(
        [
            keras.layers.Input((28, 28, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(6),
        ]
    )
    second = keras.Sequential(
        [
            keras.layers.Input((3,)),
            keras.layers.Dense(784),
            keras.layers.Reshape((28, 28, 1)),
        ]
    )
    centres, logs = np.split(first(pixels).numpy().astype(float), 2, axis=1)
    codes = centres + np.exp(logs / 2) * noise
    scores = second(codes.astype("float32")).numpy().astype(float)
    recon = (
        (pixels * scores - np.logaddexp(0, scores))
        .sum(axis=(1, 2, 3))
        .mean()
    )
    price = (centres**2 + np.exp(logs) - 1 - logs).sum(axis=1).mean() / 2
    found = negative_elbo(
        first, second, tf.constant(pixels), tf.constant(noise)
    )
    found = [float(value) for value in found]
    assert np.allclose(found[1], recon, rtol=1e-3), (
        "the reconstruction term is wrong"
    )
    assert np.allclose(found[2], price, rtol=1e-3), "the KL term is wrong"
    assert np.allclose(found[0], price - recon, rtol=1e-3), (
        "the loss is not minus the ELBO"
    )


# %%
# HIDDEN
def test_gradient(negative_elbo):
    import keras
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(17)
    pixels = (random.random((4, 28, 28, 1)) < 0.4).astype("float32")
    noise = random.normal(size=(4, 2)).astype("float32")
    pixels, noise = tf.constant(pixels), tf.constant(noise)
    first = keras.Sequential(
        [
            keras.layers.Input((28, 28, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    second = keras.Sequential(
        [
            keras.layers.Input((2,)),
            keras.layers.Dense(784),
            keras.layers.Reshape((28, 28, 1)),
        ]
    )
    with tf.GradientTape(persistent=True) as tape:
        loss = negative_elbo(first, second, pixels, noise)[0]
        centres, logs = tf.split(first(pixels), 2, axis=1)
        scores = second(centres + tf.exp(logs / 2) * noise)
        price = tf.reduce_sum(centres**2 + tf.exp(logs) - 1 - logs) / 8
        wanted = (
            tf.reduce_sum(tf.nn.softplus(scores) - pixels * scores) / 4
            + price
        )
    for one, other in zip(
        *(
            tape.gradient(value, first.trainable_variables)
            for value in (loss, wanted)
        ),
        strict=True,
    ):
        assert one is not None, "no gradient reaches the encoder"
        assert np.allclose(one, other, rtol=1e-2, atol=1e-3), (
            "the encoder's gradient is wrong"
        )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q5
# points: 3

# %% [markdown]
# ## Question 5. A training step, and the training (20 min, 3 points)
#
# One step does three things:
#
# 1. compute the loss inside a gradient tape, `with tf.GradientTape() as tape`;
# 2. ask `tape.gradient(loss, weights)` for the gradients, where `weights` are the `trainable_variables` of the encoder **and** of the decoder, two lists joined by `+`;
# 3. `optimizer.apply_gradients(zip(gradients, weights))`.
#
# *Why:* a forgotten network does not raise an error. With a frozen encoder the loss falls too, only not far.

# %% [raw]
# # BEGIN SOLUTION


# %%
def train_step(encoder, decoder, optimizer, x, epsilon):
    """One step of both networks. Returns the loss before it, a scalar.

    optimizer: a Keras optimiser.
    The others as in question 4.
    """
    # BEGIN SOLUTION
    weights = encoder.trainable_variables + decoder.trainable_variables
    with tf.GradientTape() as tape:
        loss = negative_elbo(encoder, decoder, x, epsilon)[0]
    gradients = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(gradients, weights, strict=True))
    return loss
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
encoder_5, decoder_5 = make_encoder(2, 8), make_decoder(2, 8)
before = encoder_5 and [encoder_5.get_weights(), decoder_5.get_weights()]
loss_5 = encoder_5 and train_step(
    encoder_5,
    decoder_5,
    keras.optimizers.SGD(1e-3),
    x_train[:100],
    tf.zeros((100, 2)),
)
if loss_5 is None:
    print("… a training step: nothing yet, or it returns no loss")
else:
    after = [encoder_5.get_weights(), decoder_5.get_weights()]
    for name, old, new in zip(
        ("encoder", "decoder"), before, after, strict=True
    ):
        moved = any(np.any(a != b) for a, b in zip(old, new, strict=True))
        print(
            f"{'✓' if moved else '✗'} the step moves the {name}'s weights"
        )

# %% [markdown]
# **The training.** Run this cell when everything above has its tick. It goes eight times over the 10,000 images, in well under a minute. `tf.function` turns your step into a graph; that only makes it faster. (If question 1 does not work yet, put `vh.mlp_vae(8, hidden=(256,)).encoder` and `.decoder` of the same in place of your two networks.)

# %%
latent_dim = 8
encoder = make_encoder(latent_dim, 256)
decoder = make_decoder(latent_dim, 256)
optimizer = keras.optimizers.Adam(1e-3)
noise = keras.random.SeedGenerator(0)
step = tf.function(train_step)

for epoch in range(8):
    losses = []
    for x in vh.batches(x_train, batch_size=100, seed=epoch):
        epsilon = keras.random.normal((100, latent_dim), seed=noise)
        losses.append(step(encoder, decoder, optimizer, x, epsilon))
    print(f"epoch {epoch + 1}: loss {np.mean(losses):.1f} nats per image")

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_step(train_step):
    import keras
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(18)
    pixels = (random.random((3, 28, 28, 1)) < 0.4).astype("float32")
    noise = random.normal(size=(3, 2)).astype("float32")
    pixels, noise = tf.constant(pixels), tf.constant(noise)
    first = keras.Sequential(
        [
            keras.layers.Input((28, 28, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    second = keras.Sequential(
        [
            keras.layers.Input((2,)),
            keras.layers.Dense(784),
            keras.layers.Reshape((28, 28, 1)),
        ]
    )
    variables = [*first.trainable_variables, *second.trainable_variables]
    with tf.GradientTape() as tape:
        centres, logs = tf.split(first(pixels), 2, axis=1)
        scores = second(centres + tf.exp(logs / 2) * noise)
        price = tf.reduce_sum(centres**2 + tf.exp(logs) - 1 - logs) / 6
        wanted = (
            tf.reduce_sum(tf.nn.softplus(scores) - pixels * scores) / 3
            + price
        )
    targets = [
        v.numpy() - 1e-3 * g
        for v, g in zip(
            variables, tape.gradient(wanted, variables), strict=True
        )
    ]
    found = train_step(
        first, second, keras.optimizers.SGD(1e-3), pixels, noise
    )
    assert abs(float(found) - float(wanted)) < 1e-2 * abs(float(wanted)), (
        "the loss returned is not that before the step"
    )
    for variable, target in zip(variables, targets, strict=True):
        assert np.allclose(
            variable.numpy(), target, rtol=1e-2, atol=1e-4
        ), "a network is not moved by its gradient"


# %%
# HIDDEN
def test_trained(encoder, decoder, x_test):
    import numpy as np

    centres, logs = np.split(np.asarray(encoder(x_test)), 2, axis=1)
    random = np.random.default_rng(19)
    scores = np.asarray(
        decoder(
            centres
            + np.exp(logs / 2)
            * random.normal(size=centres.shape).astype("float32")
        )
    )
    recon = (
        (x_test * scores - np.logaddexp(0, scores))
        .sum(axis=(1, 2, 3))
        .mean()
    )
    price = 0.5 * (centres**2 + np.exp(logs) - 1 - logs).sum(axis=1).mean()
    assert recon - price > -135, (
        "the trained model's ELBO on test images is too low"
    )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q6
# points: 2

# %% [markdown]
# ## Question 6. The KL of each dimension (5 min, 2 points)
#
# Do not sum the KL over the dimensions, but average each one over the images.
#
# *Why:* a latent dimension whose KL is 0 says nothing about the image. The total does not show it.

# %% [raw]
# # BEGIN SOLUTION


# %%
def kl_per_dimension(encoder, x):
    """The mean KL over images of each latent dimension, in nats, [J].

    encoder: a network as in question 1.
    x: images, [n, 28, 28, 1].
    """
    # BEGIN SOLUTION
    mu, sigma = posterior(encoder(x))
    kl = 0.5 * (mu**2 + sigma**2 - 1 - 2 * tf.math.log(sigma))
    return tf.reduce_mean(kl, axis=0)
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
compare(
    "the two dimensions of the encoder from question 4",
    kl_per_dimension(plain_encoder_4, tf.ones((5, 28, 28, 1))),
    [0.5, 2.8069],
    1e-3,
    "J numbers; their sum is the KL of question 4, 3.3069.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_dimensions(kl_per_dimension):
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(20)
    centres = random.normal(size=(40, 3))
    widths = random.uniform(0.2, 2, (40, 3))
    made = np.concatenate([centres, 2 * np.log(widths)], axis=1)
    outputs = tf.constant(made, tf.float32)
    found = kl_per_dimension(lambda _: outputs, tf.zeros((40, 28, 28, 1)))
    found = np.asarray(found)
    wanted = ((centres**2 + widths**2 - 1) / 2 - np.log(widths)).mean(
        axis=0
    )
    assert found.shape == (3,), "three dimensions must give three numbers"
    assert np.allclose(found, wanted, rtol=1e-3), (
        "the KL of a dimension is wrong"
    )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## Your model in numbers and pictures
#
# These two cells are given. The **mean image** is the fairest rival: it gives each pixel its average over the training images, and ignores the image at hand. A VAE that does not beat it has learnt nothing from its code.

# %%
mean_image = np.clip(x_train.mean(axis=0), 1e-4, 1 - 1e-4)
log_p = np.where(x_test == 1, np.log(mean_image), np.log(1 - mean_image))
rival = log_p.sum(axis=(1, 2, 3)).mean()

epsilon_test = keras.random.normal((1_000, latent_dim), seed=1)
loss, reconstruction, kl = negative_elbo(
    encoder, decoder, x_test, epsilon_test
)
by_dimension = kl_per_dimension(encoder, x_test)
print(f"mean image      {rival:8.1f} nats per test image")
print(f"your ELBO       {-loss:8.1f}")
print(f"reconstruction  {reconstruction:8.1f}")
print(f"KL              {kl:8.1f}")
print("KL of each dimension:", np.round(by_dimension, 2))

# %%
decoded = tf.sigmoid(decoder(posterior(encoder(x_test[:8]))[0]))
drawn = tf.sigmoid(decoder(keras.random.normal((8, latent_dim), seed=2)))
vh.plot_images(np.concatenate([x_test[:8], decoded, drawn]))
plt.show()

# %% [markdown]
# Above: eight test images. Middle: their reconstructions, from $\mu$. Below: eight decoded draws from the prior.

# %% [raw]
# # BEGIN QUESTION
# name: q7
# points: 2
# manual: true

# %% [markdown]
# ## Question 7. Reading the numbers (10 min, 2 points)
#
# In at most five sentences, with your own numbers:
#
# 1. By how many nats does your model beat the mean image, which of its two terms gains it, and what does the other cost?
# 2. Which dimensions are in use? What would you expect if the KL in your loss were multiplied by 784?

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# 1. By the difference of the first two printed numbers. The mean image pays no KL, so the reconstruction term is better by still more: by the KL on top. The KL term is what the code costs. (1 point)
# 2. All eight: each KL is far above 0.01 nats. With a KL 784 times as dear no code is worth its price: every dimension would go to KL 0, and the decoder would return the mean image, near the rival's score. (1 point)

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## Hand in
#
# 1. Choose *Restart kernel and run all cells* (Colab: *Runtime → Restart session and run all*). What you see then is what is graded.
# 2. Save the notebook. In Colab, download it: *File → Download → Download .ipynb*.
# 3. Hand in this one file.
