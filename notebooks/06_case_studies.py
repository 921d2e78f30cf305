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
# # 6. Case studies: two published VAEs, mended
#
# **A ReLU on both outputs of the encoder cost 34 nats in one training. A loss printed as 0.19 is an ELBO of some −149 nats, and on that scale one optimiser was 21 nats behind itself after its first epoch.** Two heads cost nothing.

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
from scipy import stats

tfd = tfp.distributions
vh.use_book_style()
keras.utils.set_random_seed(0)
started = time.monotonic()
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
latent_dim = 2  # J

# %% tags=["plumbing"] mystnb={"image": {"alt": "Bars of what four choices cost in nats. Two heads instead of one layer: 0. Dropout left on while measuring: 3. A loss in nats a pixel with RMSprop, after one epoch: 21. A ReLU on both heads, after eight epochs: 34."}}
# Sections 6.1 to 6.3 and 6.6 measure these and check them.
COSTS = {
    "two heads, not one": 0,
    "dropout left on": 3.4,
    "loss a pixel,\nRMSprop": 21,
    "ReLU on heads": 34,
}
figure, axis = plt.subplots(figsize=(6, 2.5))
axis.barh([*COSTS], [*COSTS.values()], color=ORANGE, height=0.6)
for row, cost in enumerate(COSTS.values()):
    axis.text(cost + 0.6, row, f"{cost:.0f}", va="center", fontsize=12)
axis.set_xlabel("what it costs, nats per test image", fontsize=12)
axis.tick_params(axis="y", labelsize=12, length=0)
axis.set_xlim(0, 39)
axis.grid(False)
plt.show()

# %% [markdown]
# In the picture, dropout and the ReLU are measured after eight epochs, the loss a pixel after the first; one training each. (In three more trainings of [chapter 7](07_diagnosis.ipynb), on thresholded digits, the ReLU cost 22 to 35.)
#
# Two published write-ups of the VAE differ from the model of [chapter 2](02_mlp_vae.ipynb) in small ways. One (system S2 of this book) adds dropout, separate output layers and a ReLU. The other (S3) is written in functional Keras and prints its loss on another scale.
#
# **What you will be able to do**
#
# - write a VAE in Keras's functional style;
# - say what dropout, separate heads and a misplaced ReLU do to a VAE, in nats;
# - read a loss that was published on another scale, and know when the scale matters;
# - rank models by several seeds, and say what such a ranking cannot tell.
#
# **What it needs.** Some 30 minutes to read. Five minutes to run on two CPU cores, ten where others share them, and about 2 GiB of memory. You should have read [chapter 2](02_mlp_vae.ipynb); section 6.7 uses the grid of [chapter 3](03_conv_vae.ipynb).
#
# ## 6.1 Dropout and two heads
#
# The first write-up (S2) changes the networks. The data, the likelihood and the two latent numbers are those of chapter 2. It makes three choices: *dropout* after every hidden layer, two separate output layers (*heads*) for $\mu$ and $\log\sigma^2$, and a ReLU on both heads. It names no sizes, no batch and no optimiser. So take those of chapter 2, and only these choices differ.
#
# **Dropout** sets each output of a hidden layer to zero with probability 0.2, the write-up's rate, anew for each image and step. It divides the others by 0.8, so that the mean stays. Once training is over, dropout is switched off. The hope is that no unit learns to lean on a particular other one.
#
# A `Sequential` model is one chain of layers; it cannot branch into two heads. Keras's *functional* style can: you call each layer on a placeholder, give the result a name, and a `Model` is whatever lies between its inputs and its outputs.

# %% tags=["plumbing"]
images = vh.load_mnist()
x_test = vh.binarize(images.test, "none")


# %%
def two_headed_vae(heads=None):
    """System S2; `heads`: the activation of the layers for μ and log σ²."""
    keras.utils.set_random_seed(0)  # the same first weights each time
    layers = keras.layers

    x = keras.Input((28, 28, 1))
    hidden = layers.Flatten()(x)
    for units in (512, 256):
        hidden = layers.Dense(units, activation="relu")(hidden)
        hidden = layers.Dropout(0.2)(hidden)
    mu = layers.Dense(latent_dim, activation=heads)(hidden)
    log_variance = layers.Dense(latent_dim, activation=heads)(hidden)
    both = layers.Concatenate()([mu, log_variance])

    z = keras.Input((latent_dim,))
    hidden = z
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

# %% tags=["plumbing"] mystnb={"image": {"alt": "The weights of one output layer, forty of its 256 columns, as a strip of four rows. The upper two rows are labelled head for mu, the lower two head for log sigma squared; a black line cuts the strip between them."}}
figure, axis = plt.subplots(figsize=(6, 1.7))
axis.imshow(kernel[:40].T, cmap="PuOr", aspect="auto")
axis.axhline(1.5, color="black", lw=3)
axis.set_yticks([0.5, 2.5], ["head for $\\mu$", "for $\\log\\sigma^2$"])
axis.set_xlabel("40 of the 256 units below", fontsize=12)
axis.tick_params(labelsize=12, length=0)
axis.grid(False)
plt.show()

# %% [markdown]
# Each cell is a weight of one layer with four outputs; the line parts the two heads. Two heads make the program easier to read; the network can do no more than before. One trace remains: the range from which Keras draws the first weights depends on the size of a layer. Here it differs by less than half a percent.
#
# ## 6.2 A ReLU where none belongs
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
titles = ["8 epochs", "test ELBO", "reconstr.", "KL 1", "KL 2"]
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
bar = COSTS["ReLU on heads"]
vh.check("the bar of the first picture", cost_of_relu, bar, atol=8)

# %% [markdown]
# `activation="relu"` in the heads undoes most of what eight epochs taught (which head is to blame, this run cannot tell): the average digit alone scores −206 ([chapter 2](02_mlp_vae.ipynb)). The sums of the two KL terms hardly differ, 5.0 and 4.5 nats; what is lost is reconstruction. So the ReLU heads pay almost as much for their code, and get less for it. Two reasons follow, a dead mean and wide clouds; how many of the 34 nats are each one's was not measured.
#
# **Where the clouds lie.** Here are the means of both encoders for the test images, coloured by digit. One of the two ReLU means is stuck at zero for nine in ten images of this run or more; the lower panel shows the other, a row for each digit.

# %% tags=["check"]
alive = int(mu.max(axis=0).argmax())  # the number whose mean is not stuck
stuck = np.mean(mu[:, 1 - alive] == 0)
vh.check(
    "the other mean is 0 for nine in ten images or more",
    stuck,
    0.9,
    relation="≥",
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels. Above, linear heads: a scatter of the posterior means, one colour for each digit, from about minus 3 to 4 across and minus 5 to 4 upwards; ones, zeros and sevens lie at the rim, the others crowd the middle. Below, ReLU heads: the one mean in use, with the digits in ten rows. Zeros and twos crowd near 0, most other digits spread from 0 to 4 and overlap, and only the ones stand apart, between 4 and 7."}}
jitter = np.random.default_rng(0).uniform(-0.35, 0.35, size=len(mu))

figure, (top, bottom) = plt.subplots(
    2, 1, figsize=(6, 8), height_ratios=(2, 1)
)
means = q_linear.mean().numpy()
for digit, color in enumerate(vh.DIGIT_COLORS):
    of_digit = images.test_labels == digit
    dots = {"s": 4, "color": color, "alpha": 0.5, "lw": 0}
    points = means[of_digit]
    top.scatter(*points.T, **dots)
    box = {"boxstyle": "circle", "facecolor": "white", "edgecolor": color}
    label = {"ha": "center", "va": "center", "bbox": box}
    top.annotate(str(digit), np.median(points, axis=0), **label)
    bottom.scatter(mu[of_digit, alive], digit + jitter[of_digit], **dots)
top.set_title("linear heads", fontsize=13)
top.set_xlabel("$\\mu_1$", fontsize=12)
top.set_ylabel("$\\mu_2$", fontsize=12)
top.set_aspect("equal")
bottom.set_title("ReLU heads", fontsize=13)
bottom.set_xlabel(f"$\\mu_{alive + 1}$", fontsize=12)
bottom.set_ylabel("digit", fontsize=12)
bottom.set_yticks(range(10))
plt.show()

# %% [markdown]
# In the lower panel the ten digits share one axis, and only the ones stand apart, at its far end. The ReLU of the stuck mean is all but dead. That can happen to any ReLU: if what it is given is negative for all images, its output is zero for all of them, and its weights get no gradient as long as that lasts.
#
# **What they pay.** Look at the KL term of one latent number as a function of $\sigma$.

# %% tags=["plumbing"] mystnb={"image": {"alt": "The KL term of one latent number against sigma from 0.1 to 3, for the means 0 and 2. The part with sigma at least 1, shaded, is all that a ReLU head can reach; there both curves rise from their minimum at sigma 1. A linear head uses the other part, where clouds are small."}}
some_sigma = np.linspace(0.08, 3, 300)
figure, axis = plt.subplots(figsize=(6, 2.9))
for mean, color in ((2, GREEN), (0, BLUE)):
    price = 0.5 * (mean**2 + some_sigma**2 - 1 - np.log(some_sigma**2))
    axis.plot(some_sigma, price, color=color, label=f"$\\mu = {mean}$")
axis.axvspan(1, 3, color=ORANGE, alpha=0.12, lw=0)
axis.text(2.95, 0.35, "ReLU heads", color=ORANGE, ha="right", fontsize=12)
axis.set_xlabel("$\\sigma$", fontsize=12)
axis.set_ylabel("KL term, nats", fontsize=12)
axis.set(xlim=(0, 3), ylim=(0, 5.5))
axis.legend(fontsize=12, loc="upper center")
plt.show()

# %% [markdown]
# ReLU heads reach only the shaded part. The derivative with respect to $\sigma^2$ is $\frac12(1 - 1/\sigma^2)$, which is not negative there. So the KL term is smallest at $\sigma = 1$:
#
# $$\operatorname{KL}_j = \tfrac{1}{2}\left(\mu_j^2 + \sigma_j^2 - 1 - \log\sigma_j^2\right) \ge \tfrac{1}{2}\mu_j^2. \tag{6.1}$$
#
# At $\sigma = 1$ each cloud is as wide as the whole prior. Two images can be told apart by large differences of $\mu$, whose price grows with the *square*, or by making a cloud wider still. A linear head has a cheaper way: it makes the clouds small. Halving $\sigma$ makes room for twice as many clouds on a line, and raises the KL term by less than $\log 2 = 0.69$ nats. Look at the trained clouds.

# %% tags=["check"]
mu, sigma = mu.astype(np.float64), sigma.astype(np.float64)
per_dimension = 0.5 * (mu**2 + sigma**2 - 1 - np.log(sigma**2))
vh.check(
    "the inequality holds for every test image",
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
# The latent number whose mean is stuck is not idle. It writes with *width*: in this run the clouds of one digit are some three times as wide there as those of another, so a $z$ far out hints at the first. Width is a poor pen. It costs about a nat, and a $z$ near 0 says little.

# %% tags=["check"]
of_digits = [
    sigma[images.test_labels == digit, 1 - alive].mean()
    for digit in range(10)
]
vh.check(
    "mean σ of the stuck number: widest digit over narrowest",
    max(of_digits) / min(of_digits),
    1.5,
    relation=">",
)

# %% [markdown]
# **A tempting conclusion.** A standard normal is positive half of the time, so all $J$ coordinates of a draw are positive with probability $2^{-J}$: one quarter here, one in a thousand for $J = 10$. So has the decoder never seen the other three quarters? It has. One mean is stuck at 0, so half of its draws are negative; and a wide cloud around a positive mean spills over. Draw a $z$ from each test image's cloud and count, by the signs of $z_1$ and $z_2$.

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
# No quadrant is foreign to the decoder. The harm is another one: the clouds lie on top of each other, one $z$ has to serve many images, and its picture is their average ([chapter 2](02_mlp_vae.ipynb), on the blur). Compare what the two decoders make of draws from the prior.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three rows of eight pictures. First row, linear heads: shapes like three, eight, nine and one. Second row, ReLU heads: eight blurred ovals that are nearly the same. Third row, along the axis from 0 to 7: an oval, then blurred nines, then ones that become clear."}}
linear, relu = two_headed["linear heads"], two_headed["ReLU heads"]
along = np.zeros((8, latent_dim), np.float32)
along[:, alive] = np.arange(8)
rows = [linear.sample(8, seed=1), relu.sample(8, seed=1)]
rows.append(relu.likelihood(along).mean())
vh.plot_images(np.concatenate(rows))
plt.show()

# %% [markdown]
# First row: linear heads. Second row: ReLU heads, with the same eight draws of $z$: eight times almost the same thing. Third row: the decoder of the ReLU heads at $0, 1, \dots, 7$ on the axis that is in use: an oval, something like a nine, and at the far end a clear 1. On this axis a draw from the prior lies above 3 once in 740 times; so the prior hardly ever asks this decoder for what lies there.
#
# Put a number to this variety: the variance of each pixel over 2,000 decoded draws, summed over the pixels. Even linear heads reach less than a quarter of the test images', because decoded pictures are averages.

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

# %% [markdown]
# The write-up also suggests a ReLU for the mean of a Gaussian decoder. That ReLU can die, too: a pixel whose input to the ReLU is negative for all images gets no gradient.
#
# From here on S2 is the version with linear heads, in this book as a whole.
#
# ## 6.3 Dropout left on
#
# The write-up draws its test pictures with dropout still switched on. In Keras, `predict` and `evaluate` switch it off, and so does every measurement in `vh`. To see what happens otherwise, turn it on by hand: inside `using(…, training=True)` the networks behave as in training. The first argument gives the noise of $z$; dropout brings its own.

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
bar = COSTS["dropout left on"]
vh.check("the bar of the first picture", cost_of_dropout, bar, atol=1.5)

# %% tags=["plumbing"] mystnb={"image": {"alt": "A row of eight test digits and, below it, three rows of their reconstructions with dropout left on. Strokes change in brightness and shape from row to row: the seven loses its foot, the two is a different blur each time."}}
some = x_test[:16]
with s2.using(keras.random.SeedGenerator(0), training=True):
    noisy = [s2.reconstruct(some[:8]).numpy() for _ in range(3)]
vh.plot_images(np.concatenate([some[:8], *noisy]), columns=8)
plt.show()

# %% [markdown]
# Above the originals, below them three times what comes back with dropout on. The three do not agree (look at the seven and the two), although nothing was drawn from the cloud: these are reconstructions at $z = \mu(x)$. Whoever judges a model by such a picture judges the noise as well.
#
# The cost, some three nats, belongs to the measurement, not to the model: the weights are the same. It also explains a curve that surprises many. Training is measured with dropout on, test with dropout off, so the test curve can lie *above* the training curve. Here is a stored run of 50 epochs. In the first epochs the averaging that you met in section 2.7 adds to the distance.

# %% tags=["check"]
s2_run = vh.stored("s2-none")[0]
train, test = (
    np.array(s2_run[f"{what}_elbo_by_epoch"]) for what in ("train", "test")
)
vh.check(
    "the test curve lies above the training curve in each of 50 epochs",
    test,
    train,
    relation=">",
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "ELBO against 50 epochs for a model with dropout. The dashed test curve, dropout off, lies three to seven nats above the training curve, dropout on, all the way; they end near minus 145 and minus 148."}}
figure, axis = plt.subplots(figsize=(6, 3))
epochs = np.arange(3, 51)
axis.plot(epochs, test[2:], "--", color=ORANGE, label="test, dropout off")
axis.plot(epochs, train[2:], color=BLUE, label="training, dropout on")
axis.set_xlabel("epoch", fontsize=12)
axis.set_ylabel("ELBO, nats per image", fontsize=12)
axis.legend(fontsize=12)
plt.show()

# %% [markdown]
# Now with dropout off, in the write-up's layout: originals in the odd columns, each with its reconstruction to the right. Stacking the two arrays along a new second axis and flattening it makes them alternate.

# %% mystnb={"image": {"alt": "Sixteen test digits in odd columns, each with its reconstruction to the right. The reconstructions are softer than the originals. Ones, zeros, sevens and nines come back as themselves; fours come back as nines, and the two, the fives and the six as blurred shapes between eight, three and nine."}}
pairs = np.stack([some, s2.reconstruct(some)], axis=1)
vh.plot_images(pairs.reshape(-1, 28, 28, 1), columns=8)
plt.show()

# %% [markdown]
# Several come back as another digit: both fours and one five as a nine; the two, the other five and the six as blots like an eight or a three.
#
# ## 6.4 Functional Keras networks
#
# The second write-up (S3) is smaller and trains on smaller minibatches: one hidden layer of 256 units a network, minibatches of $M = 100$, and the optimiser RMSprop, which divides each gradient by a running root mean square of itself. It is written in the functional style throughout.


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


# %% tags=["plumbing", "exact"]
s3 = s3_vae()
rows = [
    [f"{network.name}: {layer.name}", layer.output.shape[1], weights]
    for network in (s3.encoder, s3.decoder)
    for layer in network.layers
    if (weights := layer.count_params())
]
vh.table(["layer", "outputs", "weights"], rows)

# %% [markdown]
# The write-up's text says that its encoder returns $\sigma$, while its code uses the number as $\log\sigma^2$. The code is right: what a linear layer puts out may be negative, and $\sigma$ may not.
#
# The write-up adds its loss to the finished model with `add_loss`. That worked in Keras 2. Keras 3 takes it inside a layer's `call` only, and refuses it on a finished model. A model with its own `train_step`, such as `vh.VAE`, needs no such thing.

# %% tags=["check"]
try:
    s3.encoder.add_loss(keras.ops.mean(s3.encoder.output**2))
except NotImplementedError as refusal:
    print("✓ Keras 3 refuses it:", type(refusal).__name__)
else:
    raise AssertionError("this version of Keras takes a symbolic loss")

# %% [markdown]
# Train it for 50 epochs. To save time, `fit` runs 30 of the 600 steps of an epoch in one call, one after another; in plain Keras you would give `compile` the number, `steps_per_execution=30`.

# %% tags=["nbval-ignore-output"]
s3.compile(keras.optimizers.RMSprop(1e-3), objective=vh.sgvb_b)
s3_history = s3.fit(
    vh.batches(images.train, batch_size=100, seed=0),
    epochs=50,
    validation_data=vh.batches(images.test, batch_size=1000, shuffle=False),
).history

# %% tags=["plumbing"] mystnb={"image": {"alt": "Scatter of 10,000 test images in the latent plane of system S3, one colour for each digit. Ones, sixes and zeros form clusters of their own at the rim; fours, sevens and nines overlap on the left; twos, threes, fives and eights crowd the centre."}}
vh.plot_latent_scatter(s3, x_test, images.test_labels)
plt.show()

# %% [markdown]
# Compare it with the scatter of [chapter 2](02_mlp_vae.ipynb): roughly, top and bottom have changed places. Nothing in the objective says where a digit belongs: the bound and the prior do not change if the whole plane is reflected in an axis or given a quarter turn. A turn by another angle leaves the prior as it is, but not the bound: it tilts every cloud that is not round, and a Gaussian with independent coordinates cannot tilt.
#
# ## 6.5 A loss of 0.19
#
# The write-up reports a training loss of 0.19. [Chapter 2](02_mlp_vae.ipynb) has shown what a mean over the pixels does to a VAE, so be suspicious. Its loss is the cross-entropy averaged over the 784 pixels *plus the KL term divided by 784*. Both terms are divided by the same number. The balance stays, and the loss is minus the ELBO in other units: nats a pixel. Multiply by 784: a loss of 0.19 is an ELBO of −149 nats.

# %% tags=["plumbing"] mystnb={"image": {"alt": "ELBO of S3 against 50 epochs, train and test, with a second axis for the same number as a loss in nats a pixel. A grey band marks all ELBOs whose loss prints as 0.19, from minus 153 to minus 145; both curves end inside it."}}
figure, axis = plt.subplots(figsize=(6, 3.2))
for prefix, who, color, style in (
    ("", "train", BLUE, "-"),
    ("val_", "test", ORANGE, "--"),
):
    elbos = -np.array(s3_history[prefix + "loss"])
    axis.plot(epochs, elbos[2:], style, color=color, label=who)
axis.axhspan(-0.195 * 784, -0.185 * 784, color=GREY, alpha=0.2, lw=0)
axis.text(3, -147, "prints as 0.19", fontsize=12, va="center")
axis.set_xlabel("epoch", fontsize=12)
axis.set_ylabel("ELBO, nats per image", fontsize=12)
other = axis.secondary_yaxis(
    "right", functions=(lambda e: -e / 784, lambda loss: -loss * 784)
)
other.set_ylabel("loss, nats a pixel", fontsize=12)
axis.legend(fontsize=12, loc="lower right")
plt.show()

# %% [markdown]
# Compute the loss as the write-up does, with Keras's own cross-entropy, and hold it against the bound on the same draws of $z$.

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
s3_train, s3_test = s3_history["loss"][-1], s3_history["val_loss"][-1]
vh.check("the training loss is 0.19", s3_train / 784, 0.19, atol=0.005)
vh.check("and so is the test loss", s3_test / 784, 0.19, atol=0.005)

# %% [markdown]
# ## 6.6 Does the scale matter to the optimiser?
#
# A constant in front of a loss scales every gradient. RMSprop and Adam divide the gradient by its own size, so the constant should cancel. It does, but for a small number ε in the divisor, which keeps the division from failing. (It has nothing to do with our noise.) Keras's RMSprop has $10^{-7}$ *inside* the root. It changes a weight by the learning rate times
#
# $$\text{gradient} \;\Big/ \sqrt{\text{running mean of its square} + 10^{-7}}.$$
#
# So its ε acts on gradients of about $\sqrt{10^{-7}} \approx 3 \cdot 10^{-4}$ and below. How many are there on each scale?

# %%
untrained_s3 = s3_vae()
first_images = vh.binarize(images.train[:100], "none")
with tf.GradientTape() as tape:
    loss = -tf.reduce_mean(vh.sgvb_b(untrained_s3, first_images))
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

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two histograms of gradient entries of the untrained S3 on a logarithmic axis. For a loss in nats an image nearly all lie to the right of the dashed line at the root of epsilon, 0.0003; for a loss in nats a pixel the same shape is shifted by a factor of 784 and nearly all lie to the left of it."}}
figure, axis = plt.subplots(figsize=(6, 3))
for scale, name, color in (
    (784, "nats a pixel", ORANGE),
    (1, "nats an image", BLUE),
):
    logs = np.log10(entries / scale)
    look = {"color": color, "alpha": 0.6, "label": name}
    axis.hist(logs, bins=np.arange(-10, 2, 0.1), **look)
axis.axvline(-3.5, color="black", ls="--", label="√ε of RMSprop")
axis.set_xticks(range(-8, 1, 2), [f"$10^{{{k}}}$" for k in range(-8, 1, 2)])
axis.set_xlabel("size of a gradient's entry", fontsize=12)
axis.set_ylabel("entries", fontsize=12)
axis.set_xlim(-8.5, 1)
axis.legend(fontsize=11, loc="upper left")
plt.show()

# %% [markdown]
# Entries that are exactly zero are left out. On the published scale nearly all gradients of this first step lie below $\sqrt{10^{-7}}$. RMSprop then no longer divides by their size; it divides by $\sqrt{10^{-7}}$, and so is close to plain gradient descent with a learning rate of $10^{-3}/\sqrt{10^{-7}} \approx 3.2$. For a loss in nats an image, 784 times as large, that is a rate of 0.004.
#
# What does that cost? Train one epoch. Within a seed all runs start from the same weights and see the same images and the same noise. The third row of the table divides ε along with the loss, by $784^2$, because ε stands beside a square. Adam has its ε outside the root, where it acts on gradients of $10^{-7}$ and below.


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
bar = COSTS["loss a pixel,\nRMSprop"]
vh.check("the bar of the first picture", whole - pixel, bar, atol=8)

# %% [markdown]
# The first row and the third are the same training but for rounding. (That they end a little apart we put down to it, without a test.) With Adam one seed gains and the other loses, by a few nats at most. Two seeds cannot show a small effect. How much of the 21 nats is left after many epochs, we did not measure. So "a constant factor does not matter" is true of the optimum, and of these optimisers as long as ε is small beside the gradients.
#
# > **Note.** This page trained S3 with a loss in nats an image. The published figure was made with an older Keras, whose RMSprop this page has not run. So do not conclude that the write-up lost these nats.
#
# ## 6.7 One ranking
#
# Three systems on the same grey levels: which one is best? S0 is the model of [chapter 2](02_mlp_vae.ipynb). The networks, the optimisers and the minibatches differ, but the bound and the test images are the same. Here are the stored runs, three seeds each, 50 epochs. The exact $\log p_\theta(x)$ comes from a grid over the latent plane ([chapter 3](03_conv_vae.ipynb)); "500 draws" is the estimate of section 2.8, with $z$ from the encoder, and too low on average. The last two columns of the table are $\log p_\theta(x)$. ± is a 95% interval.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Dots for three seeds of S0, S2 and S3, for the ELBO and for the exact log p of x. By the ELBO, S2 lies about a nat to the right of S0; by log p of x, S0 lies about a nat to the right of S2. S3 is five to seven nats behind in both."}}
ranked = {
    "S0": vh.stored("s0-none"),
    "S2: S0 with\ndropout 0.2": vh.stored("s2-none"),
    "S3: smaller,\nRMSprop": vh.stored("s3-none"),
}
figure, axis = plt.subplots(figsize=(6, 2.9))
for key, name, color, marker in (
    ("test_elbo", "ELBO", BLUE, "o"),
    ("test_log_likelihood", "log p(x), exact", GREEN, "D"),
):
    for row, found in enumerate(ranked.values()):
        values = [run[key] for run in found]
        label = name if row == 0 else None
        look = {"color": color, "ms": 7, "label": label, "alpha": 0.8}
        axis.plot(values, [row] * 3, marker, **look)
axis.set_yticks(range(3), ranked, fontsize=12)
axis.set_ylim(2.5, -0.9)
axis.set_xlabel("test images, nats per image", fontsize=12)
axis.legend(fontsize=11, loc="upper left", ncols=2)
plt.show()

# %% tags=["plumbing", "exact"]
columns = {
    "elbo": "ELBO",
    "log_likelihood_500": "500 draws",
    "log_likelihood": "exact",
}


def interval(values):
    """Mean and half the width of its 95% interval (Student's t)."""
    mean, error = vh.mean_and_error(values)
    return mean, error * stats.t.ppf(0.975, len(values) - 1)


def difference(one, other):
    """The same for the difference of two means (Welch's t)."""
    middle = np.mean(one) - np.mean(other)
    low, high = stats.ttest_ind(
        one, other, equal_var=False
    ).confidence_interval(0.95)
    assert np.isclose((low + high) / 2, middle)
    return middle, (high - low) / 2


values = {
    name: [[run[f"test_{key}"] for run in found] for key in columns]
    for name, found in zip(("S0", "S2", "S3"), ranked.values(), strict=True)
}
rows = [[name, *map(interval, row)] for name, row in values.items()]
apart = [*map(difference, values["S2"], values["S0"])]
rows.append(["S2 − S0", *apart])
vh.table(["system", *columns.values()], rows, digits=1)

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
(elbo_gain, elbo_width), _, (p_gain, p_width) = apart
vh.check("the ELBO's interval has 0", elbo_width, elbo_gain, relation=">")
vh.check("that of log p(x) has not", -p_gain, p_width, relation=">")

# %% [markdown]
# S3 is clearly the last. It has less than half of the weights, but optimiser, minibatch and depth differ too; which of them it is, this table cannot say.
#
# Between S0 and S2 the order after 50 epochs depends on what you ask. By the ELBO, dropout gains most of a nat, and the interval of that difference includes zero. By the exact $\log p_\theta(x)$ it *loses* more than one, and the interval just leaves zero out. With three seeds each that is a hint, and no proof.
#
# How could both be true? The ELBO scores the encoder and the decoder together, $\log p_\theta(x)$ the decoder alone. If the hint holds, the two networks fit each other better with dropout, and the decoder by itself is a little worse. And look at the two columns of $\log p(x)$. Both stand for the same number, but 500 draws fall short of it by some two to three nats. A ranking by 500 draws would have missed even the hint.
#
# ## What we measured
#
# MNIST grey levels, nats per image, test images unless the row says otherwise. "None given": the write-up has no such figure. "Not asked": a question of this page alone.

# %% tags=["plumbing", "nbval-ignore-output"]
none, not_asked = "none given", "not asked"
rows = [
    ["S2, 8 epochs: ELBO", elbo_of["linear heads"], none],
    ["— with ReLU on both heads", elbo_of["ReLU heads"], none],
    ["— with dropout left on", np.mean(left_on), none],
    ["S3, 50 epochs: ELBO", -s3_test, none],
    ["— training images", -s3_train, "−149 (loss 0.19: −153 to −145)"],
    ["— 1 epoch, RMSprop", whole, not_asked],
    ["— 1 epoch, loss in nats a pixel", pixel, not_asked],
]
vh.table(["figure", "here", "published"], rows)

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - networks in the functional style, where layers have names;
# - two heads that are one layer, a ReLU that costs tens of nats, and dropout that must be off when you measure;
# - a loss of 0.19 read as some −149 nats, and an optimiser that notices the difference;
# - a ranking of three systems with their seeds, and what it can tell.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. Two clouds on a line** (15 min, by hand). You want a cloud for each of two images on one latent axis, their means eight standard deviations apart. Place the means at $\pm\mu$. What is the KL term of each cloud with $\sigma = 1$, and with $\sigma = \frac14$? Now a ReLU forbids negative means: the nearest places are 0 and $2\mu$. What is the average of the two KL terms for each $\sigma$?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# With $\sigma = 1$ the means are $\pm 4$, and the KL term is $\frac12 \cdot 16 = 8$ nats: (6.1) with equality. With $\sigma = \frac14$ they are $\pm 1$, and it is $\frac12(1 + \frac1{16} - 1 + 2\log 4) = 1.4175$ nats. A ReLU on $\mu$: with $\sigma = 1$ the means lie at 0 and 8, for 0 and 32 nats, 16 on average in place of 8. With $\sigma = \frac14$ they lie at 0 and 2, for 0.9175 and 2.9175 nats: 1.9175 on average, only half a nat more. In this example the ReLU on $\log\sigma^2$ is the expensive one, 8 nats if it is the only one; with the one on $\mu$ alone it is 1.92, with both 16.
#
# </details>

# %% tags=["solution"]
places = np.array([[4, 0, 8], [1, 0, 2]])
sigmas = np.array([[1.0], [0.25]])
kls = 0.5 * (places**2 + sigmas**2 - 1 - np.log(sigmas**2))
vh.check("exercise 1: at ±μ", kls[:, 0], [8, 1.4175], atol=1e-4)
vh.check(
    "exercise 1: at 0 and 2μ", kls[:, 1:].mean(1), [16, 1.9175], atol=1e-4
)

# %% [markdown] tags=["exercise"]
# **2. The window of a rounded loss** (10 min, by code). A loss is printed in nats a pixel, rounded to `digits` decimals. Write the function that returns the lowest and the highest ELBO it may stand for. Then say: would S0 and S3 print different losses, on test images?


# %% tags=["exercise", "exact"]
def window(printed, digits, pixels=784):
    """The lowest and the highest ELBO, nats an image."""
    return ...  # your lines


print("yours:", window(0.19, 2), "expected: (-152.88, -145.04)")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# ```python
# half = 0.5 * 10**-digits
# return -(printed + half) * pixels, -(printed - half) * pixels
# ```
#
# A window of 7.8 nats. Both losses of S3 lie inside it, and so does the mean test ELBO of S0: on test images both systems would print 0.19. On training images they part: S0 ends near −143 nats, a loss of 0.182, which prints as 0.18.
#
# </details>

# %% tags=["solution"]
ends = [-(0.19 + half) * 784 for half in (0.005, -0.005)]
vh.check("exercise 2: the window", ends, [-152.88, -145.04], atol=0.01)
s0_mean = np.mean(values["S0"][0])
vh.check("S0 prints 0.19 as well", -s0_mean / 784, 0.19, atol=0.005)

# %% [markdown] tags=["exercise"]
# **3. A sum over the minibatch** (10 min, by hand). Suppose that the loss of S3 were a *sum* over the 100 images of a minibatch, in nats. What would that do to RMSprop and its ε? And to plain gradient descent with the same learning rate?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Every gradient is 100 times larger, so still fewer of them lie near $\sqrt{10^{-7}}$, and RMSprop behaves as in the first row of the comparison in section 6.6, or a little closer to the ideal. Plain gradient descent takes steps that are 100 times longer and may well diverge. Ask with which loss a learning rate was found.
#
# </details>

# %% [markdown] tags=["exercise"]
# **4. Dropout by hand** (10 min, by code). Write dropout for a given mask of ones (stay) and zeros (go), as section 6.1 describes it. Why is the mean over random masks equal to the input?


# %% tags=["exercise", "exact"]
def dropout(outputs, mask, rate):
    """Outputs of a layer with some of them dropped."""
    return ...  # your line


print("yours:", dropout(np.arange(1, 5), np.array([1, 0, 1, 1]), 0.2))
print("expected: [1.25 0. 3.75 5.]")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# `return outputs * mask / (1 - rate)`. A unit stays with probability 0.8 and is then divided by 0.8, so its mean is $0.8 \cdot \frac{1}{0.8} = 1$ times what it was.
#
# </details>

# %% tags=["solution"]
kept = np.arange(1, 5) * np.array([1, 0, 1, 1]) / (1 - 0.2)
vh.check("exercise 4: dropout", kept, [1.25, 0, 3.75, 5], atol=1e-9)
masks = np.random.default_rng(0).random((100_000, 4)) < 0.8
means = (np.arange(1, 5) * masks / 0.8).mean(axis=0)
vh.check("its mean is the input", means, np.arange(1, 5), atol=0.05)

# %% [markdown] tags=["exercise"]
# **5. A KL term averaged over dimensions** (10 min, by hand). Many programs take the *mean* over the $J$ latent dimensions of the KL term and the *sum* over the pixels. By which factor is the KL term then weighted, for $J = 2$ and for $J = 20$? Is minus such a loss still a lower bound of $\log p_\theta(x)$? What do you expect of the reconstructions, and of samples from the prior?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# By $1/J$: ½ and $\frac1{20}$. Minus the loss is the ELBO plus $(1 - \frac1J)\operatorname{KL}$, so it lies above the ELBO and need not be a bound. The code is cheaper, so the model uses more of it: reconstructions get sharper. The clouds are no longer drawn to the prior as they should be, so draws from the prior hit places where the decoder has learnt little.
#
# </details>

# %% [markdown] tags=["exercise"]
# **6. Which of them is it?** (15 min, open). S3 ends six nats below S0. The two differ in depth, width, optimiser and minibatch. Plan the smallest set of runs that tells which of the four matters most. How many seeds does each run need, if seeds differ by about half a nat (their standard deviation) and you care for differences of two nats?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Start from S0 and change one thing at a time: four further recipes, with three seeds twelve runs. (Effects may depend on each other. If two of them turn out large, start from S3 as well, and undo one thing at a time.) The mean of $n$ seeds has a standard error of $0.5/\sqrt{n}$, a difference of two means $0.5\sqrt{2/n}$. With $n = 3$ that is 0.41 nats, and Student's factor for about four degrees of freedom is 2.8: an interval of ±1.1 nats. It tells two nats from none. With $n = 2$ (factor 4.3, two degrees of freedom) it would be ±2.2.
#
# </details>

# %% tags=["solution"]
widths = [
    0.5 * np.sqrt(2 / n) * stats.t.ppf(0.975, 2 * (n - 1)) for n in (2, 3)
]
vh.check("exercise 6: intervals for 2 and 3", widths, [2.2, 1.1], atol=0.06)

# %% [markdown]
# ## What to read next
#
# - [Chapter 3](03_conv_vae.ipynb) replaces the dense layers by convolutions and computes $\log p_\theta(x)$ exactly.
# - [Chapter 5](05_animations.ipynb) mends the film of S3's training that the second write-up draws.
# - [The page on grey levels](17_grey_levels.ipynb) shows what the cross-entropy on grey levels optimises.
