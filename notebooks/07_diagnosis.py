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
# # 7. Your VAE does not work
#
# **Two lines of code: `vh.explain_loss` asks your loss what it optimises, `vh.checkup` looks your trained model over. Here they meet more than thirty models, each with one mistake that people make, and raise the alarm at all but three. Some mistakes cost a hundred nats and train without a warning. Some show no cost with two latent numbers, and do with twenty.**
#
# ```python
# vh.explain_loss(loss, model, x_test[:100])  # loss(model, x): a number
# vh.checkup(model, x_train, x_test)          # model: a vh.VAE
# ```

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
import sys
import time
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from IPython.display import Markdown, display
from PIL import Image
from scipy import stats

sys.path.append("../experiments")
import collapse
import faults

started = time.monotonic()
vh.use_book_style()
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
RESULTS = Path("../experiments/results")
RUNS = {name: vh.stored(f"fault-{name}") for name in faults.EXHIBITS}


def interval(values):
    """The mean and half its 95% interval."""
    mean, error = vh.mean_and_error(values)
    return mean, stats.t.ppf(0.975, len(values) - 1) * error


def cost(name):
    """Nats that the mistake costs, seed by seed; empty: no model left."""
    pairs = zip(
        RUNS[faults.EXHIBITS[name].against], RUNS[name], strict=True
    )
    what = "elbo" if name == "dropout_left_on" else "log_likelihood"
    return [a[what] - b[what] for a, b in pairs if what in b]


# %% tags=["plumbing"] mystnb={"image": {"alt": "Costs of 33 mistakes as dots on a scale of nats, the gravest on top. Batch normalisation gains some five nats; ten mistakes lie within three nats of zero; ReLUs, missing noise scale and wrong KL weights cost 10 to 50; collapse by a wrong pairing and a missing Flatten more than 100; pixels outside 0 to 1 and inverted pictures about a thousand and more. Three ended in NaN. Blue dots, which the loss tells, and orange ones, which the check-up tells, leave three grey ones."}}
NAMES = {
    "kl_over_batch_and_pixels": "KL divided by 784",
    "minibatch_over_dataset": "KL weighs M/N",
    "small_constant_weight": "pixels averaged, KL · 0.00025",
    "kl_twentieth": "KL weighs 1/20, J = 2",
    "kl_fifth_of_20": "KL weighs 1/5, J = 20",
    "kl_averaged": "KL averaged, J = 2",
    "kl_averaged_of_20": "KL averaged, J = 20",
    "half_dropped": "½ of the KL dropped",
    "pixels_averaged": "pixels averaged",
    "log_variance_as_log_std": "log σ taken for log σ²",
    "noise_of_fixed_scale": "noise without σ",
    "small_noise": "noise times 0.01",
    "no_noise": "no noise",
    "relu_on_mean": "ReLU on μ",
    "relu_on_log_variance": "ReLU on log σ²",
    "relu_on_both": "ReLU on both",
    "not_flattened": "no Flatten",
    "batch_normalised": "batch norm, momentum 0.99",
    "slow_batch_normalised": "batch norm, momentum 0.9999",
    "dropout_left_on": "dropout left on (bound)",
    "log_of_clipped_sigmoid": "log of clipped sigmoid, J = 2",
    "log_of_clipped_sigmoid_for_long": "clipped sigmoid, J = 20, long",
    "bytes_as_pixels": "pixels 0 … 255",
    "pixels_around_zero_clipped": "pixels −1 … 1",
    "standardised_clipped": "pixels standardised",
    "test_images_in_training": "test images in training",
    "importance_weights_upside_down": "IWAE upside down",
    "summed_over_batch": "summed over batch, Adam",
    "summed_over_batch_sgd": "summed over batch, SGD",
    "inverted": "pictures inverted, tests not",
    "half_mirrored": "planted: half mirrored",
    "wrongly_paired": "planted: wrong pairs",
    "gradient_cut": "planted: gradient cut",
}
RUINED = 30_000  # where the figure puts a training that ended in NaN
costs = {name: interval(cost(name)) for name in NAMES if cost(name)}
order = sorted(NAMES, key=lambda n: costs[n][0] if n in costs else RUINED)


def found_by(name):
    """Whether the loss tells, and whether the check-up does, each time."""
    explained = RUNS[name][0]["explained"]
    told = explained["recognised"] not in ("elbo", None)
    told = told or "summed over images" in explained["sentence"]
    seen = [
        "fault" in [level for level, _ in run["findings"].values()]
        for run in RUNS[name]
    ]
    return told, all(seen)


silent = {name for name in NAMES if not any(found_by(name))}
assert silent == {
    "batch_normalised",
    "log_of_clipped_sigmoid",
    "half_mirrored",
}
figure, axes = plt.subplots(figsize=(6, 8.6))
for height, name in enumerate(order):
    colour = (
        BLUE if found_by(name)[0] else ORANGE if found_by(name)[1] else GREY
    )
    if name in costs:
        mean, half = costs[name]
        axes.errorbar(mean, height, xerr=half, fmt="o", color=colour, ms=6)
    else:
        axes.plot(RUINED, height, "x", color=colour, ms=8, mew=2.5)
axes.set_xscale("symlog", linthresh=10, linscale=1.5)
axes.set_xticks(
    [-10, -5, 0, 5, 10, 100, 1000, RUINED],
    ["−10", "−5", "0", "5", "10", "100", "1,000", "NaN"],
)
axes.set_yticks(range(len(order)), [NAMES[name] for name in order])
axes.axvline(0, color="black", lw=1)
axes.tick_params(axis="y", length=0)
axes.set_xlabel("cost: nats of log p(x) per test image")
for colour, label in (
    (BLUE, "the loss tells"),
    (ORANGE, "the check-up alone tells"),
    (GREY, "neither"),
):
    axes.plot([], [], "o", color=colour, label=label)
axes.legend(loc="lower right")
plt.show()

# %% [markdown]
# Each dot is a model that differs from an honest one by a line or two; bars are 95% intervals over three trainings. Right of zero the mistake costs nats of $\log p_\theta(x)$, the likelihood of the first 1,000 test images. A cross: training ended in NaN, no model was left. The colour says which tool raises an alarm. At three there is none: batch normalisation (no harm here), the clipped sigmoid (no harm with $J = 2$ in ten epochs; with $J = 20$ NaN within thirty), mirrored images (7.8). The tools were built with these exhibits in view; section 7.8 has three that were not.
#
# | You see | Ask | It is often |
# |---|---|---|
# | KL near zero, all pictures alike | the loss, then the model | pixels averaged, KL summed (7.3). If the loss is right: no gradient, wrong pairs (7.8), a deep decoder (7.9). All grey: no Flatten (7.6) |
# | good reconstructions, bad samples | both | a KL that weighs too little (7.3) |
# | a loss below zero | both | pixels outside $[0, 1]$ (7.4), a sign turned round, or a density, where it is no fault (7.4) |
# | NaN | both | such pixels, the log of a sigmoid (7.4), a sum over the batch (7.7), too large a step |
# | a bound better than anybody's | both | a KL that weighs too little (7.3), no noise (7.5), test images seen (7.7) |
# | codes on one side, or all wide | the model | an activation after $\mu$ or $\log\sigma^2$ (7.6) |
# | good in training, bad once loaded | the model | batch normalisation (7.6) |
# | other pictures at every call | the model | dropout left on (7.6) |
# | blurred pictures | the model | few latent numbers: [no fault](02_mlp_vae.ipynb) |
#
# **What you will be able to do**
#
# - ask a loss what it optimises, and a VAE what ails it;
# - guess from the symptom which mistakes to look for;
# - say what each of them costs, and which you may leave alone.
#
# **What it needs.** [Chapter 2](02_mlp_vae.ipynb). Some 40 minutes to read, or five to find your own fault; about two minutes to run on two CPU cores, 3 GiB of memory. [The package's page](../book/package.md) says how to install the two tools beside your own code. The exhibits were trained by `experiments/faults.py`; the page loads what was measured, and trains two of them again. Most link to the code that they come from.
#
# ## 7.1 Ask the loss
#
# Here is a loss like many. It runs, and it falls.


# %%
def a_loss(model, x):
    q = model.posterior(x)
    mean, sigma = q.mean(), q.stddev()
    z = mean + sigma * tf.random.normal(tf.shape(mean))
    p = model.likelihood(z).mean()
    pixels = keras.losses.binary_crossentropy(x, p)
    log_variance = 2 * tf.math.log(sigma)
    terms = 1 + log_variance - mean**2 - tf.exp(log_variance)
    kl = -0.5 * tf.reduce_mean(terms, axis=1)
    return tf.reduce_mean(tf.reduce_sum(pixels, axis=[1, 2]) + kl)


images = vh.load_mnist()
x_train = vh.binarize(images.train, "threshold")
x_test = vh.binarize(images.test, "threshold")
model = vh.mlp_vae(latent_dim=20, hidden=(256,), seed=0)
explained = vh.explain_loss(a_loss, model, x_test[:100])

# %% tags=["plumbing", "nbval-ignore-output"]
print(explained)

# %% tags=["check"]
vh.check("the weight of its KL term", explained.beta, 1 / 20, rtol=0.05)
vh.check(
    "next to nothing is left unexplained",
    explained.residual,
    0.001,
    relation="<",
)

# %% [markdown]
# The fault is the `reduce_mean` over `terms`. Nobody has read the code: `explain_loss` calls the loss some two hundred times and steers what the two networks put out meanwhile. Move the posterior, hold the decoder: the loss follows the KL term, with a factor $b$. Move the decoder, hold the posterior: it follows the reconstruction term, with a factor $a$. The ratio
#
# $$
# \beta = b / a \tag{7.1}
# $$
#
# is the **weight of the KL term**, 1 in the ELBO. (An untrained model will do; to check the noise, pass a trained one, whose decoder uses $z$.) If neither term fits, others are tried: a KL the wrong way round, a log-variance taken for a log σ, a squared error.
#
# You get `.beta`, `.scale` ($a$: what a nat of reconstruction adds), `.residual` (what neither term explains) and `.recognised`, the name of the slip. The loss must be a function of `(model, x)` that calls that model or its two networks, and trains nothing: [section 7.2](#a-model-of-your-own) has the lines for a `keras.Model` of your own.
#
# How much does $\beta$ matter? Here are models trained with such weights.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Cost in nats of log p(x) against the weight of the KL term on a logarithmic axis from a thousandth to a thousand. J = 2: near zero between a fifth and two, some thirty nats at one 600th and one 784th, fifty at 784. J = 20: about ten nats at a fifth, 35 at a twentieth."}}
WEIGHTS = (
    "kl_over_batch_and_pixels",
    "minibatch_over_dataset",
    "kl_twentieth",
    "small_constant_weight",
    "kl_averaged",
    "half_dropped",
    "pixels_averaged",
)
figure, axes = plt.subplots(figsize=(6, 3.2))
for name in (*WEIGHTS, "kl_averaged_of_20", "kl_fifth_of_20"):
    beta = RUNS[name][0]["explained"]["beta"]
    mean, half = interval(cost(name))
    colour = ORANGE if name.endswith("_20") else BLUE
    axes.errorbar(beta, mean, yerr=half, fmt="o", color=colour)
axes.plot(1, 0, "o", color="black")
axes.annotate("the ELBO", (1, 0), (1.3, 7), fontsize=11)
axes.plot([], [], "o", color=BLUE, label="J = 2")
axes.plot([], [], "o", color=ORANGE, label="J = 20")
axes.set_xscale("log")
axes.set_xlabel("β, weight of the KL term")
axes.set_ylabel("cost, nats")
axes.legend()
plt.show()

# %% tags=["check"]
mild = [np.mean(cost(name)) for name in WEIGHTS[3:6]]
vh.check(
    "J = 2: from β = 0.2 to 2 the mean cost stays small",
    np.abs(mild),
    1.5,
    relation="<",
)
wild = [np.mean(cost(name)) for name in WEIGHTS[:2]]
vh.check("a KL that is switched off costs", wild, 20, relation=">")
vh.check(
    "and so does nothing but KL",
    np.mean(cost("pixels_averaged")),
    40,
    relation=">",
)

# %% [markdown]
# With two latent numbers no cost shows between 0.2 and 2. With twenty a fifth already costs eleven nats: perhaps since each of them strays a little from the prior, and twenty strayings add up.
#
# ## 7.2 Ask the model
#
# Some faults are not in the loss. Here is a network whose two heads end in a ReLU, as in S2, one of the five write-ups behind this book, S0 to S4. Three epochs will do.

# %% tags=["nbval-ignore-output"]
broken = faults.relu_on_both(seed=0)
broken.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
broken.fit(vh.batches(x_train, 100, seed=0), epochs=3, verbose=0)

found = vh.checkup(broken, x_train, x_test)
print(found.faults)

# %% tags=["check"]
assert {"means on one side", "scales never below 1"} <= set(found.faults)
vh.check(
    "so many things were looked at", len(found.findings), 21, relation="="
)

# %% [markdown]
# As the last line of a cell, the check-up is a table: what was found, with which value, what a healthy model shows and why, what to do, and the section of this book that explains it. Read from the top: a *fault* is wrong, a *note* is worth knowing (the thresholds stand in `vae_helpers/checkup.toml`, with their reasons). The gravest comes first.

# %% tags=["plumbing", "nbval-ignore-output"]
vh.checkup(broken, x_train, x_test)

# %% tags=["plumbing", "nbval-ignore-output"] mystnb={"image": {"alt": "Left, the means of 3,000 test images in the latent plane: all of them lie on the upper half of the vertical axis. Right, nine samples from the prior: eight are nearly the same blurred shape."}}
figure, panels = plt.subplots(1, 2, figsize=(6, 3))
codes = broken.posterior(x_test[:3000]).mean().numpy()
panels[0].scatter(*codes.T, s=3, c=images.test_labels[:3000], cmap="tab10")
panels[0].axhline(0, color="black", lw=0.8)
panels[0].axvline(0, color="black", lw=0.8)
panels[0].set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal")
panels[0].set(xlabel="$z_1$", ylabel="$z_2$", title="codes of test images")
samples = broken.sample(9, seed=1).numpy()[..., 0].reshape(3, 3, 28, 28)
panels[1].imshow(samples.transpose(0, 2, 1, 3).reshape(84, 84), cmap="gray")
panels[1].set_title("samples from the prior")
panels[1].axis("off")
plt.show()

# %% [markdown]
# The means of all digits lie on half a line: one latent number is dead, which alone the check-up lets pass; the other's mean may not be negative. A check-up takes five to twenty seconds, changes nothing in the model, and says where it cannot tell. On the five systems of this book, as mended, three trainings of each, it finds no fault. (Its thresholds were set with those and with the exhibits below in view.)

# %% tags=["check"]
healthy = [
    run for name in faults.SYSTEMS for run in vh.stored(f"healthy-{name}")
]
levels = [level for run in healthy for level, _ in run["findings"].values()]
vh.check("trainings of five systems", len(healthy), 15, relation="=")
vh.check("faults found in them", levels.count("fault"), 0, relation="=")

# %% [markdown]
# ### A model of your own
#
# Both tools take a `vh.VAE`, and that takes two Keras models. They must have one input and one output each: of the encoder $\mu$ and $\log\sigma^2$ side by side, of the decoder logits. Yours put out other things? Wrap them. Here `their_encoder` has three outputs, as in Keras's own example, and `their_decoder` ends in a sigmoid; pass yours trained. Subclassed networks work too, and a loss inside a `train_step` becomes a function of `(model, x)`.


# %% tags=["plumbing"]
layers = keras.layers
keras.utils.set_random_seed(0)
x_in, z_in = keras.Input((28, 28, 1)), keras.Input((2,))
hidden = layers.Dense(32, activation="relu")(layers.Flatten()(x_in))
heads = [layers.Dense(2)(hidden) for _ in range(2)]
their_encoder = keras.Model(x_in, [*heads, heads[0]])
hidden = layers.Dense(32, activation="relu")(z_in)
hidden = layers.Reshape((7, 7, 1))(
    layers.Dense(49, activation="relu")(hidden)
)
pixels = layers.Conv2DTranspose(1, 4, 4, activation="sigmoid")(hidden)
their_decoder = keras.Model(z_in, pixels)
some_z = np.float32([[0.3, -1.2], [0.0, 0.5]])


# %% tags=["nbval-ignore-output"]
def logits(p):
    p = keras.ops.clip(p, 1e-6, 1 - 1e-6)
    return keras.ops.log(p) - keras.ops.log(1 - p)


def wrapped(encoder, decoder, image_shape, latent_dim, ends, **options):
    x, z = keras.Input(image_shape), keras.Input((latent_dim,))
    mean, log_variance = encoder(x)[:2]
    heads = keras.layers.Concatenate()([mean, log_variance])
    networks = keras.Model(x, heads), keras.Model(z, ends(decoder(z)))
    return vh.VAE(*networks, **options)


def split(model, x):  # their encoder's first two outputs
    return tf.split(model.encoder(x), 2, axis=1)


def pixels_of(model, z):  # their decoder's output
    return keras.ops.sigmoid(model.decoder(z))


def their_loss(model, x):
    mean, log_variance = split(model, x)
    noise = tf.random.normal(tf.shape(mean))
    z = mean + tf.exp(0.5 * log_variance) * noise  # or your own layer
    p = pixels_of(model, z)
    error = tf.reduce_mean(keras.losses.binary_crossentropy(x, p))
    terms = 1 + log_variance - mean**2 - tf.exp(log_variance)
    return error - 0.5 * tf.reduce_mean(tf.reduce_sum(terms, axis=1))


shapes = (28, 28, 1), 2
theirs = wrapped(their_encoder, their_decoder, *shapes, logits)
found = vh.explain_loss(their_loss, theirs, x_test[:100])
print(found)

# %% tags=["check"]
vh.check(
    "wrapped, it decodes the same pixels",
    theirs.likelihood(some_z).mean(),
    their_decoder(some_z),
    atol=1e-5,
)
vh.check("the weight of the KL in their loss", found.beta, 784, rtol=0.03)
assert found.recognised == "pixels_averaged"

# %% [markdown]
# In your loss every call of your networks becomes one of `split` and `pixels_of`; nothing else changes. (Yours puts out logits? Then `lambda logits: logits` stands in the place of `logits`.) If a layer of yours draws $z$, call that layer on `mean` and `log_variance`: a mistake may sit there. This loss averages the cross-entropy over the pixels and sums the KL: $\beta = 784$, the first row of the table of symptoms. The check-up takes the wrapped model as it is: `vh.checkup(theirs, x_train, x_test)`.
#
# <details>
# <summary>A decoder that was trained by a squared error</summary>
#
# It puts out means alone, and stands for a Gaussian with one variance for all pixels. Append that variance, ½ if you have none: `wrapped(…, half_variance, likelihood="gaussian")`, with the folded cell's `half_variance` in the place of `logits`.
#
# The *mean* of $D$ squared errors beside a summed KL is $\beta = D$ for the variance ½: the slip of averaged pixels again. For another variance $v$ it is $D / 2v$ (exercise 5).
#
# </details>


# %% tags=["plumbing"]
def half_variance(means):
    same = keras.ops.full_like(means, math.log(0.5))
    return keras.layers.Concatenate()([means, same])


def means_of(model, z):  # in the place of pixels_of
    return model.decoder(z)[..., : model.image_shape[-1]]


def squared_errors(model, x):
    mean, log_variance = split(model, x)
    noise = tf.random.normal(tf.shape(mean))
    means = means_of(model, mean + tf.exp(0.5 * log_variance) * noise)
    error = tf.reduce_mean(tf.square(x - means))
    terms = 1 + log_variance - mean**2 - tf.exp(log_variance)
    return error - 0.5 * tf.reduce_mean(tf.reduce_sum(terms, axis=1))


# %% tags=["check"]
their_networks = their_encoder, their_decoder, *shapes
of_means = wrapped(*their_networks, half_variance, likelihood="gaussian")
vh.check(
    "wrapped, it has the same means",
    of_means.likelihood(some_z).mean(),
    their_decoder(some_z),
    atol=1e-6,
)
found = vh.explain_loss(squared_errors, of_means, x_test[:100])
vh.check("the weight of the KL, for variance ½", found.beta, 784, rtol=0.03)

# %% [markdown]
# From PyTorch, copy the weights layer by layer into such networks; a dense kernel is the transpose of a linear weight.
#
# ## 7.3 The weight of the KL
#
# Now the exhibits. Every model has one hidden layer of 256 units in each network and $J = 2$, unless it says otherwise, and was trained for ten epochs on MNIST cut to black and white. With $J = 2$ the likelihood is exact, by a grid; with $J = 20$ it comes from 500 importance samples. (Without `Flatten` it is exact too: there the pixels are independent.) Here is the honest one: its loss, then ten samples from the prior, ten test images, and their reconstructions.

# %% tags=["plumbing"]
PARTS = ("loss", "build", "pixels", "shown")


def show(name, parts=PARTS, pictured=True):
    """An exhibit: its lines, pictures, cost, and what finds it."""
    display(Markdown(f"```python\n{faults.source(name, parts)}\n```"))
    if pictured and (RESULTS / f"fault-{name}-seed0.png").exists():
        strip(name)
    return Markdown("\n".join([costs_of(name) + "\n", *tools_of(name)]))


def strip(name):
    """Samples, test images and reconstructions of the first training."""
    rows = np.asarray(Image.open(RESULTS / f"fault-{name}-seed0.png"))
    _, axes = plt.subplots(figsize=(6, 1.85), dpi=80)
    axes.imshow(rows, cmap="gray", vmin=0, vmax=255)
    axes.set_yticks([14, 42, 70], ["samples", "test images", "decoded"])
    axes.set_xticks([])
    axes.grid(visible=False)
    plt.show()


def costs_of(name):
    """What is lost, in a sentence."""
    pairs = cost(name)
    if not pairs:
        epochs = [
            run["stopped"].split("epoch ")[1].split(",")[0]
            for run in RUNS[name]
        ]
        return f"**No model is left**: NaN in epoch {', '.join(epochs)}."
    mean, half = interval(pairs)
    key, what = "log_likelihood", "log p(x)"
    if name == "dropout_left_on":
        key, what = "elbo", "the bound"
    ours, theirs = (
        np.mean([run[key] for run in RUNS[which]])
        for which in (name, faults.EXHIBITS[name].against)
    )
    said = f"Costs {mean:.1f}" if mean > 0 else f"Gains {-mean:.1f}"
    seeds = ""
    if abs(mean) < half:
        said = f"Within the noise: a cost of {round(mean, 1) + 0.0}"
        seeds = f" ({', '.join(f'{one:.1f}' for one in pairs)})"
    text = (
        f"**{said} ± {half:.1f} nats**{seeds}: {what} is"
        f" {ours:.1f}, that of the honest model {theirs:.1f}."
    )
    return text.replace("-", "−")


def tools_of(name):
    """What the two tools say of it."""
    explained = RUNS[name][0]["explained"]
    words = explained["sentence"].split(" Its reconstruction")[0]
    if "summed over images" in explained["sentence"]:
        words = "summed over images."
    always = [
        found
        for found in RUNS[name][0]["findings"]
        if all(run["findings"][found][0] == "fault" for run in RUNS[name])
    ]
    said = []
    if explained["recognised"] not in ("elbo", None) or "summed" in words:
        said.append(f"- `explain_loss`: {words}")
    if always:
        said.append(f"- `checkup`: {', '.join(always)}.")
    return said


# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "The honest model: ten samples from the prior, blurred but varied digits; ten test images; their reconstructions, blurred, of which most can be read."}}
lines = faults.inspect.getsource(faults.terms)
lines += "\n" + faults.inspect.getsource(faults.honest)
display(Markdown(f"```python\n{lines}\n```"))
strip("honest")
log_p = np.mean([run["log_likelihood"] for run in RUNS["honest"]])
Markdown(f"log p(x) is {log_p:.1f} nats.".replace("-", "−"))

# %% [markdown]
# ### The KL averaged over latent dimensions
#
# A `mean` where a `sum` belongs, beside pixels that are summed: $\beta = 1/J$. Reported against [keras-molecules (issue 59)](https://github.com/maxhodak/keras-molecules/issues/59) and [grammarVAE (issue 2)](https://github.com/mkusner/grammarVAE/issues/2), whose author answers that it works better so. With $J = 2$ no cost shows. With $J = 20$ it does; first the honest model.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "The honest model with twenty latent numbers: ten samples, of which about half can be read; ten test images; their reconstructions, sharp but for two."}}
strip("honest_of_20")

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Ten samples, ten test images and their reconstructions. Reconstructions are sharp and right. Samples are fragments of strokes; a third of them can be read, hardly fewer than of the honest model's."}}
show("kl_averaged_of_20")

# %% [markdown]
# Ten samples hardly tell the two apart. The cost does: the codes of images lie so far out that the prior seldom draws them.
#
# ### The KL divided by 784
#
# `KLD /= batch * 784` stood in PyTorch's example until 2018 ([issue 290](https://github.com/pytorch/examples/issues/290)), beside a cross-entropy *averaged* over pixels. There it is right: the whole loss is $-\text{ELBO}/784$. Keep the line and sum the pixels, and the KL is all but switched off.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Reconstructions like those of the honest model. The ten samples are sixes, zeros and eights only."}}
show("kl_over_batch_and_pixels")

# %% [markdown]
# ### The minibatch over the data set
#
# PyTorch-VAE weighed the KL by $M/N$, "accounting for the minibatch" ([issue 11](https://github.com/AntixK/PyTorch-VAE/issues/11)). The factor $N/M$ of [chapter 1](01_theory.ipynb) multiplies the *whole* bound, so that a minibatch stands for the data set. On one term alone it is a weight.

# %% tags=["plumbing", "exact"]
show("minibatch_over_dataset", pictured=False)

# %% [markdown]
# ### Pixels averaged, the KL summed
#
# The other way round ([VAE-Torch, issue 11](https://github.com/y0ast/VAE-Torch/issues/11)): the reconstruction weighs 1/784, and the cheapest code says nothing.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "All samples and all reconstructions are the same blurred eight-like shape."}}
show("pixels_averaged")

# %% [markdown]
# This is **posterior collapse**. Before you blame the method, ask the loss.
#
# ### A KL weight of 0.00025
#
# PyTorch-VAE in its later form ([issue 56](https://github.com/AntixK/PyTorch-VAE/issues/56)). It looks like nothing. But there the pixels are averaged: on digits $\beta = 0.00025 \cdot 784 = 0.2$. On its own images of $64 \cdot 64 \cdot 3$ values it is $3.07$, if the squared error there stands for a variance of ½ (exercise 5). Ask what a weight multiplies before you judge it.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Blurred but varied samples, and reconstructions in which a seven, a one, a zero and a nine can be read: like those of the honest model."}}
show("small_constant_weight")

# %% [markdown]
# ### The ½ dropped
#
# The KL of a Gaussian without its ½ ([a course](https://github.com/SupaeroDataScience/deep-learning/pull/6)), or counted twice, as by the regulariser of TensorFlow Probability's [tutorial (issue 1215)](https://github.com/tensorflow/probability/issues/1215): $\beta = 2$.

# %% tags=["plumbing", "exact"]
show("half_dropped", pictured=False)

# %% [markdown]
# ## 7.4 Pixels
#
# ### The log of a sigmoid
#
# Probabilities, kept $10^{-8}$ away from 0 and 1, then their logarithm: so in a [popular repository](https://github.com/kvfrans/variational-autoencoder/issues/5) and in S4. In float32 $1 - 10^{-8}$ is 1, so the guard does not guard ([section 22.2](22_second_recipe.ipynb)). With two latent numbers nothing happens in ten epochs. With twenty, and time:

# %% tags=["plumbing", "exact"]
show("log_of_clipped_sigmoid_for_long")

# %% tags=["plumbing", "nbval-ignore-output"] mystnb={"image": {"alt": "Training loss of the three runs against the epoch: they fall from 160 to about 85 or 91 and end suddenly, each at a cross, between epochs 9 and 30."}}
figure, axes = plt.subplots(figsize=(6, 2.8))
for run in RUNS["log_of_clipped_sigmoid_for_long"]:
    losses = run["loss_by_epoch"]
    axes.plot(range(1, len(losses) + 1), losses, color=BLUE)
    axes.plot(len(losses), losses[-1], "x", color=ORANGE, ms=10, mew=3)
axes.set(xlabel="epoch", ylabel="training loss, nats", ylim=(75, 120))
plt.show()

# %% [markdown]
# A curve that looks healthy to its last point, the cross; the next epoch ends in NaN. The first pixel that is certainly white ends it: its logit passes 17, the sigmoid is 1, and $0 \cdot \log 0$ is NaN. Cross-entropy from logits has no such place.

# %%
for logit in (10.0, 18.0):
    p = tf.clip_by_value(tf.sigmoid(logit), 1e-8, 1 - 1e-8)
    white = 1.0  # the pixel is white, and the model is sure of it
    by_hand = white * tf.math.log(p) + (1 - white) * tf.math.log(1 - p)
    right = -tf.nn.sigmoid_cross_entropy_with_logits(white, logit)
    print(
        f"logit {logit:.0f}: {by_hand:.0e} by hand, {right:.0e} from logits"
    )

# %% [markdown]
# ### Pixels from −1 to 1
#
# Images scaled for a GAN, the loss of a VAE ([lesson 17 of a course](https://github.com/martinyanev94/generative-ai-projects)). The cross-entropy is $-x \log p - (1 - x) \log(1 - p)$. At $x = -1$ it is $\log p - 2 \log(1 - p)$: as $p$ goes to 0 it falls without end. So the loss goes below zero, and training becomes a race to ever larger logits. From logits it ends in NaN within the first epoch, in all three trainings. Where probabilities are clipped, it "works":

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Samples and reconstructions are worn to a few thin white strokes on black, without any grey."}}
show("pixels_around_zero_clipped")

# %% [markdown]
# Black pays more than white, so the digits are worn to a few strokes. There is no grey: the model is sure of every pixel, also where it is wrong.
#
# ### Standardised pixels
#
# `Normalize(0.1307, 0.3081)` makes MNIST white 2.8 and black −0.4. The same race ([TensorFlow's models, issue 23](https://github.com/tensorflow/models/issues/23); [Lightning Bolts, issue 177](https://github.com/Lightning-Universe/lightning-bolts/issues/177)).

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Samples and reconstructions in hard black and white, with strokes thicker than those of the test images."}}
show("standardised_clipped", parts=("pixels",))

# %% [markdown]
# A loss below zero is no error where the decoder is a *density*, as for Gaussian or continuous-Bernoulli pixels. A density may exceed 1, and then minus its logarithm is below zero. The check-up says so: "density above one".
#
# ### Bytes
#
# Grey levels from 0 to 255, not divided ([PyTorch, issue 36647](https://github.com/pytorch/pytorch/issues/36647)). Here the encoder fails first: inputs 255 times as large make a $\sigma^2$ of $e^{100}$. (Divided twice? No pixel is then brighter than 0.004, and the check-up says so.)

# %% tags=["plumbing", "exact"]
show("bytes_as_pixels")

# %% tags=["check"]
stopped = [
    run["stopped"]
    for name in ("bytes_as_pixels", "pixels_around_zero", "standardised")
    for run in RUNS[name]
]
vh.check(
    "from logits, trainings that end in NaN in the first epoch",
    sum("nan in epoch 1," in words for words in stopped),
    9,
    relation="=",
)

# %% [markdown]
# ### Inverted pictures
#
# `image < uniform` draws a black pixel where the grey level says white; so in TensorFlow Probability's [tutorial on probabilistic layers](https://github.com/tensorflow/probability/blob/main/tensorflow_probability/examples/jupyter_notebooks/Probabilistic_Layers_VAE.ipynb). The model of inverted digits loses 1.0 ± 2.8 nats: none that three trainings could show. Whoever then shows it test images the right way round loses thousands.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Samples and reconstructions are black digits on white; the test images between them are white on black."}}
show("inverted")

# %% tags=["check"]
own_kind = [
    a["log_likelihood"] - b["log_likelihood_of_inverted"]
    for a, b in zip(RUNS["honest"], RUNS["inverted"], strict=True)
]
vh.check(
    "on its own kind it loses little",
    np.abs(np.mean(own_kind)),
    2,
    relation="<",
)

# %% [markdown]
# ## 7.5 σ and its noise
#
# ### A log-variance, or a log standard deviation?
#
# The encoder's second output is used as $\log\sigma$ where $z$ is drawn and as $\log\sigma^2$ in the KL: Keras's example of 2016 ([issue 3283](https://github.com/keras-team/keras/issues/3283)). The KL then belongs to another $\sigma$ than the noise.

# %% tags=["plumbing", "exact"]
show("log_variance_as_log_std", pictured=False)

# %% [markdown]
# A cost below two nats would not show here, and none shows. (With twenty latent numbers it costs [five](#and-with-twenty-latent-numbers).) A narrow code pays $-\frac12 \log\sigma$ where it should pay $-\log\sigma$: a KL that is too cheap, and so a loss that is no bound.
#
# ### σ forgotten
#
# `z = mean + noise`: every code is as wide as the prior.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Nearly all samples are threes, eights and nines, more blurred than those of the honest model."}}
show("noise_of_fixed_scale")

# %% [markdown]
# ### Noise that is too small, and none
#
# Keras's example drew its noise with a standard deviation of 0.01 until late 2016 ([pull request 4211](https://github.com/keras-team/keras/pull/4211)). Others forget the noise.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Samples and reconstructions a little sharper than those of the honest model."}}
show("small_noise")

# %% tags=["plumbing", "exact"]
show("no_noise", pictured=False)

# %% [markdown]
# A loss of the decoder by two nats would not show here, and none shows. What is lost is the bound. These programs report some 149 nats. Draw $z$ with the $\sigma$ that the encoder states, and it is between 280 and 310: nothing in training asked whether $\sigma$ fits the decoder.

# %% tags=["check"]
claimed = [
    np.mean([run["own_loss"] for run in RUNS[n]])
    for n in ("small_noise", "no_noise")
]
honest_bound = [
    np.mean([-run["elbo"] for run in RUNS[n]])
    for n in ("small_noise", "no_noise")
]
vh.check("what they report, nats", claimed, 149, atol=1)
vh.check("what it is", honest_bound, [293, 301], atol=1)
each = [
    -run["elbo"] for n in ("small_noise", "no_noise") for run in RUNS[n]
]
vh.check(
    "of six trainings, least and most",
    [min(each), max(each)],
    [283, 309],
    atol=1,
)

# %% [markdown]
# ### Evaluated at the mean
#
# PyTorch's example drew $z$ in training and took $z = \mu$ in evaluation, until the author of the method [mended it](https://github.com/pytorch/examples/pull/419) in 2018. The model is the honest one; only its figure is wrong. With $J = 2$ it flatters by a nat, with $J = 20$ by nine. It is no bound: the proof in [chapter 1](01_theory.ipynb) averages over draws from $q$.

# %% tags=["check"]
for name, flattery in (("honest", 0.9), ("honest_of_20", 8.7)):
    runs = RUNS[name]
    by = [run["elbo_at_mean"] - run["elbo"] for run in runs]
    vh.check(f"{name}: flattered by", by, flattery, atol=0.5)

# %% [markdown]
# ## 7.6 Networks
#
# ### A ReLU on a head
#
# In S2, and once in [TensorflowProjects](https://github.com/shekkizh/TensorflowProjects/pull/1). On $\mu$, three quarters of the plane hold no mean: only noise takes $z$ there. How dear that is depends on the training: in one of three one latent number died. On $\log\sigma^2$, no code is sharper than the prior. [Section 6.2](06_case_studies.ipynb) has the reason in nats.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Seven of ten samples are a thick, hard zero; the reconstructions are blurred threes, eights, a one and a zero."}}
show("relu_on_mean")

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Nearly all samples are threes and nines, more blurred than those of the honest model."}}
show("relu_on_log_variance")

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "All ten samples are nearly the same blurred three or eight, and so are most reconstructions."}}
show("relu_on_both")

# %% [markdown]
# ### No Flatten
#
# A dense layer acts on the last axis. On an image of shape $(28, 28, 1)$ that is the channel: without `Flatten` the same small network sees each pixel alone (S0). It trains without a complaint.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Samples are even grey noise, reconstructions an even dark grey."}}
show("not_flattened")

# %% [markdown]
# No pixel knows of another. The best that it can do is the share of white pixels, everywhere the same.
#
# ### Batch normalisation
#
# It centres and scales by the minibatch in training, and by running averages of minibatches afterwards ([section 3.3](03_conv_vae.ipynb)). Behind each hidden layer, with Keras's momentum of 0.99:

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Blurred but varied samples and reconstructions, a little sharper than those of the honest model."}}
show("batch_normalised")

# %% [markdown]
# A gain of some five nats in ten epochs. So "never in a VAE" is too strong. What bites is the running average: with a momentum of 0.9999, after 6,000 steps more than half of it is still its starting value, and in evaluation mode the model is not the one that was trained ([soft-intro-vae, issue 13](https://github.com/taldatech/soft-intro-vae-pytorch/issues/13) has the symptom).

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Samples and reconstructions are nearly all the same faint eight-like cloud."}}
show("slow_batch_normalised")

# %% [markdown]
# ### Dropout left on
#
# `training=True` written into the call (S2 draws its test pictures so), or `model.eval()` forgotten. Every image has another code each time. It is held against the same network with dropout switched off after training, and the cost is that of the bound: $\log p_\theta(x)$ of a decoder that changes from call to call is not one number.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Blurred samples and reconstructions, much like those of an honest model with dropout."}}
show("dropout_left_on")

# %% [markdown]
# ## 7.7 Data, bounds and steps
#
# ### Test images in training
#
# Keras's [example](https://keras.io/examples/generative/vae/) trains on all 70,000 images.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Blurred but varied samples and reconstructions, like those of the honest model."}}
show("test_images_in_training")

# %% [markdown]
# A "gain" on test images that says nothing of new ones; the longer epochs may have a part in it. The check-up compares images byte by byte.
#
# ### Importance weights upside down
#
# The importance-weighted bound ([section 14.1](14_importance_weighting.ipynb)) weighs good draws more. [PyTorch-VAE's](https://github.com/AntixK/PyTorch-VAE/blob/master/models/iwae.py) takes the softmax of the *loss*, so the worst draw weighs most; here with the weights held constant.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Blurred but varied samples and reconstructions, like those of the honest model."}}
show("importance_weights_upside_down")

# %% [markdown]
# With two latent numbers three trainings show neither a gain of the right weights nor a loss of these; [with twenty](#and-with-twenty-latent-numbers) they do. `explain_loss` compares what such a loss charges with the KL: the right weights charge less, these more.
#
# ### The sum over the minibatch
#
# A sum over images in place of a mean makes every gradient $M$ times as long. `explain_loss` says "summed over images".

# %% tags=["plumbing", "exact"]
show("summed_over_batch", pictured=False)

# %% [markdown]
# Adam divides each gradient by its own running size and does not notice. The same loss with plain gradient descent, and a step that suits the mean (0.001):

# %% tags=["plumbing", "exact"]
Markdown(
    "\n".join(
        [
            costs_of("summed_over_batch_sgd") + "\n",
            *tools_of("summed_over_batch_sgd"),
        ]
    )
)

# %% [markdown]
# ### And with twenty latent numbers?
#
# Some of these mistakes show no cost with two latent numbers. Are they harmless? Here are six of them again with $J = 20$, each held against an honest model of twenty.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Six mistakes, each with a blue dot for two latent numbers and an orange one for twenty, on a scale of nats. Blue: all near zero or left of it, with bars of one to two nats. Orange: 11 for a KL that weighs a fifth, 5 for log σ taken for log σ², 2 for IWAE upside down and for the ½ dropped; zero for batch normalisation, which gained 6 with two; and −2 for test images in training."}}
PAIRS = {"KL weighs 1/5": ("small_constant_weight", "kl_fifth_of_20")}
for name in (
    "log_variance_as_log_std",
    "importance_weights_upside_down",
    "half_dropped",
    "batch_normalised",
    "test_images_in_training",
):
    PAIRS[NAMES[name].split(", J")[0]] = (name, f"{name}_of_20")
figure, axes = plt.subplots(figsize=(6, 3.6))
for height, pair in enumerate(reversed(PAIRS.values())):
    for name, colour, up in zip(
        pair, (BLUE, ORANGE), (0.15, -0.15), strict=True
    ):
        mean, half = interval(cost(name))
        axes.errorbar(mean, height + up, xerr=half, fmt="o", color=colour)
axes.set_xticks([-5, 0, 5, 10], ["−5", "0", "5", "10"])
axes.set_yticks(range(len(PAIRS)), list(reversed(PAIRS)))
axes.axvline(0, color="black", lw=1)
axes.tick_params(axis="y", length=0)
axes.set_xlabel("cost: nats of log p(x) per test image")
for colour, label in ((BLUE, "J = 2"), (ORANGE, "J = 20")):
    axes.plot([], [], "o", color=colour, label=label)
axes.legend(loc="lower right")
plt.show()

# %% tags=["check"]
of_two, of_twenty = (
    np.array([interval(cost(pair[i])) for pair in PAIRS.values()])
    for i in (0, 1)
)
vh.check(
    "J = 2: no interval lies right of zero",
    of_two[:, 0] - of_two[:, 1],
    0,
    relation="<",
)
vh.check(
    "J = 20: the first four do",
    of_twenty[:4, 0] - of_twenty[:4, 1],
    0,
    relation=">",
)
vh.check(
    "J = 20: their costs",
    of_twenty[:4, 0],
    [11.1, 4.8, 2.0, 1.8],
    atol=0.1,
)
right = np.subtract(
    [run["log_likelihood"] for run in RUNS["honest_iwae_of_20"]],
    [run["log_likelihood"] for run in RUNS["honest_of_20"]],
)
vh.check("J = 20: what the right weights gain", right.mean(), 1.2, atol=0.1)
vh.check(
    "J = 20: the other two do not",
    of_twenty[4:, 0] - of_twenty[4:, 1],
    0,
    relation="<",
)
vh.check(
    "the middle one of the intervals is narrower for J = 20",
    np.median(of_twenty[:, 1]),
    np.median(of_two[:, 1]),
    relation="<",
)
vh.check(
    "two cost more than with J = 2, beyond both intervals",
    (of_twenty - of_two)[:2, 0] - of_twenty[:2, 1] - of_two[:2, 1],
    0,
    relation=">",
)

# %% [markdown]
# **Four of the six cost nats.** Two cost more than before, beyond their bars: a KL that weighs a fifth 11 nats, a $\log\sigma$ taken for $\log\sigma^2$ five. Two may have cost as much before, about two nats, but bars of ±2 nats could not show it; here they are ±½. (Bars do not hold what 500 draws miss: see [the end](#what-we-measured).) Batch normalisation costs nothing here either, but its gain is gone. So a mistake that shows nothing in a small model may show in yours.
#
# %% [markdown]
#
# ## 7.8 What the tools do not see
#
# Tests of one's own making prove little. So three more faults were planted by somebody who had not seen the code of the two tools, with $J = 20$:
#
# - with several draws an image, `tf.repeat` where `tf.tile` belongs, so that $z$ of one image is scored against another;
# - `stop_gradient` on $z$, as PyTorch's `sample()` does where `rsample()` belongs;
# - half of the training images mirrored, by a recipe for photographs.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Ten samples, fragments of digits of which some are mirrored; ten test images; their reconstructions, sharp and right."}}
show("half_mirrored")

# %% tags=["plumbing", "exact"]
rows = []
for name, words in (
    ("wrongly_paired", "wrong pairs"),
    ("gradient_cut", "gradient cut"),
    ("half_mirrored", "half mirrored"),
):
    findings = RUNS[name][0]["findings"]
    seen = [f for f, (level, _) in findings.items() if level == "fault"]
    assert RUNS[name][0]["explained"]["recognised"] == "elbo"
    rows.append([words, interval(cost(name)), ", ".join(seen) or "nothing"])
vh.table(["planted", "cost, nats", "check-up"], rows, digits=1)

# %% [markdown]
# To `explain_loss` all three are the ELBO. The first two show as what they lead to, a collapse; their cause shows nowhere: a cut gradient leaves the *value* of the loss as it was, and while `explain_loss` steers the networks, every image has the same $z$. The third shows as nothing at all: its bound is some six nats lower, which nobody knows without the honest model, and its codes are those of a healthy one. Only the eye finds it: look at the images that your model gets.
#
# Nor does `explain_loss` see of what size or kind the noise is, as long as it shrinks with $\sigma$: with thrice the noise, or with uniform noise, a loss passes for the ELBO.


# %% tags=["check"]
def with_noise(draw):
    """The ELBO as a loss, but for its ε."""

    def loss(model, x):
        q = model.posterior(x).distribution
        z = q.loc + q.scale * draw(tf.shape(q.loc))
        log_p = model.likelihood(z).log_prob(x)
        kl = 0.5 * (q.loc**2 + q.scale**2 - 1) - tf.math.log(q.scale)
        return tf.reduce_mean(tf.reduce_sum(kl, axis=1) - log_p)

    return loss


for draw in (
    lambda shape: 3 * tf.random.normal(shape),
    lambda shape: tf.random.uniform(shape, -1, 1),
):
    passed = vh.explain_loss(with_noise(draw), broken, x_test[:100])
    assert passed.recognised == "elbo"

# %% [markdown]
# ## 7.9 The loss is right, and the KL is zero
#
# Collapse needs no mistake in the loss. Here are networks of six hidden layers each, 128 tanh units wide, with $J = 20$.

# %% tags=["nbval-ignore-output"]
deep = collapse.REMEDIES["six"].build(seed=0)
deep.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
deep.fit(vh.batches(x_train, 100, seed=0), epochs=3, verbose=0)

asked = vh.explain_loss(
    lambda model, x: -vh.sgvb_b(model, x), deep, x_test[:100]
)
print(asked)
print(vh.checkup(deep, x_train, x_test).faults)

# %% tags=["check"]
vh.check("the weight of the KL term", asked.beta, 1, rtol=0.05)
unused = vh.kl_per_dimension(deep, x_test).sum()
vh.check("the KL term, nats", unused, 3, relation="<")
vh.check("latents in use", vh.active_units(deep, x_test), 0, relation="=")
white = np.clip(x_train.mean(axis=0), 1e-4, 1 - 1e-4)
average = x_test * np.log(white) + (1 - x_test) * np.log(1 - white)
average = average.sum(axis=(1, 2, 3)).mean()
vh.check("the average image, as every picture", average, -205.9, atol=0.1)

# %% [markdown]
# The loss is the ELBO, and no latent number is in use: the decoder draws the average image, which is worth −206 nats. (Is it not a cut gradient or wrong pairs, as in 7.8? Those collapse with a single layer, too.) What helps? The same networks for twenty epochs, with one thing changed in each row:

# %% tags=["plumbing"] mystnb={"image": {"alt": "Ten rows, three dots each, on a scale of the test ELBO, with the mean KL term beside them and a dashed line at −206, the average image. One layer each: −95, KL 27.5. Six layers each: −160 to −168, KL 4. With skip connections: −87, KL 27; in the decoder alone −94 to −96, KL 18. With ReLU: −115 to −122, KL 10. With free bits: −148 and twice −209. With a tenth of the step: −171, KL 3. With a KL warm-up: −206, KL 0. Six layers in the encoder alone: −97 to −100, KL 23; in the decoder alone: −115 to −132, KL 10."}}
ROWS = {
    "one": "one layer each",
    "six": "six layers each",
    "skip": "… with skip connections",
    "skip_decoder": "… in the decoder alone",
    "relu": "… with ReLU",
    "free_bits": "… free bits",
    "small_step": "… a tenth of the step",
    "warm_up": "… KL warm-up",
    "deep_encoder": "six in the encoder alone",
    "deep_decoder": "six in the decoder alone",
}
DEEP = {name: vh.stored(f"collapse-{name}") for name in ROWS}


def ends(name, what="elbo"):
    """After the last epoch, seed by seed."""
    return np.array(
        [run[f"test_{what}_by_epoch"][-1] for run in DEEP[name]]
    )


figure, axes = plt.subplots(figsize=(6, 4.4))
for height, name in enumerate(reversed(ROWS)):
    colour = BLUE if name == "one" else ORANGE
    apart = height + np.array([0.18, 0, -0.18])
    axes.plot(ends(name), apart, "o", color=colour, ms=5)
    axes.text(-78, height, f"{ends(name, 'kl').mean():.1f}", va="center")
axes.text(-78, len(ROWS) - 0.3, "KL", fontweight="bold")
axes.axvline(average, color=GREY, ls="--", lw=1)
axes.text(average + 2, len(ROWS) - 0.3, "average image", color=GREY)
axes.set_yticks(range(len(ROWS)), list(reversed(ROWS.values())))
axes.set_xticks(
    range(-200, -99, 25), [f"−{n}" for n in range(200, 99, -25)]
)
axes.set(xlim=(-216, -66), ylim=(-0.5, len(ROWS) + 0.2))
axes.tick_params(axis="y", length=0)
axes.set_xlabel("test ELBO after twenty epochs, nats; three trainings")
plt.show()

# %% tags=["check"]
vh.check(
    "six layers with skip connections against one",
    ends("skip") - ends("one"),
    7,
    relation=">",
)
vh.check(
    "against six without", ends("skip") - ends("six"), 73, relation=">"
)
vh.check(
    "six in the encoder alone cost",
    ends("one") - ends("deep_encoder"),
    6,
    relation="<",
)
vh.check(
    "six in the decoder alone",
    ends("one") - ends("deep_decoder"),
    20,
    relation=">",
)
others = ("one", "skip_decoder", "relu", "small_step")
gains = [np.mean(ends(name) - ends("six")) for name in others]
vh.check("gains on six layers", gains, [69, 69, 46, -7], atol=1)
early = [max(run["test_kl_by_epoch"][:2]) for run in DEEP["warm_up"]]
vh.check("warm-up: most KL early", np.sort(early), [12, 21, 34.5], atol=0.5)
used = {
    name: [run["active_units"] for run in DEEP[name]]
    for name in ("warm_up", "six", "relu")
}
vh.check("latents in use: warm-up", used["warm_up"], 0, relation="=")
vh.check("plain six", used["six"], 1, relation="=")
vh.check("ReLU", used["relu"], 5, relation="<")
better = ends("free_bits") - [ends("six"), [average] * 3]
vh.check(
    "free bits: how often above plain six, above the average image",
    (better > 0).sum(axis=1),
    1,
    relation="=",
)

# %% [markdown]
# **Shorten the way from $z$ to the pixels.** One hidden layer each is worth some 69 nats more than six: begin there. If you need depth, put a skip connection around each layer but the first, `h = h + Dense(128, "tanh")(h)`: six such layers gain more than 73 nats, and beat one layer by more than seven. Most of that gain, 69 nats, comes from the decoder's. Depth costs most there, too: six plain layers in the encoder alone cost less than 6 nats, in the decoder alone 20 and more.
#
# **What is advised most did worse than nothing, five times out of six.**
#
# - **A KL warm-up** ([Bowman et al. 2016](../book/bibliography.md)) lets the weight of the KL rise from 0 to 1, here in five epochs. Within two epochs the codes carry 12 to 35 nats; as the weight rises they lose them all, three times out of three.
# - **Free bits** ([Kingma et al. 2016](../book/bibliography.md)): the first quarter of a nat of each dimension costs nothing. Once in three it helped; twice the model ended below the average image. (Here 5 nats are free, so a KL of 4.6 is no sign of use.)
#
# A tenth of the step lost seven nats. ReLU in place of tanh gained some 46, and left most of the twenty latent numbers unused. Waiting helps little: the plain six found one latent number in twenty epochs.
#
# > **Note.** This is one way to a collapse, on one data set, with three trainings each. Why six layers of tanh learn $z$ so late is not measured here. Warm-up was made for another one: a decoder that sees the words written so far, and so needs no $z$ at all. And a Gaussian decoder whose fixed $\sigma$ is wide makes $z$ not worth its price ([section 1.7](01_theory.ipynb)): there the collapse is what the bound asks for.

# %% [markdown]
# ## 7.10 What the five write-ups got wrong
#
# This book grew out of five published write-ups, S0 to S4. Here is what had to be mended in them:
#
# <details>
# <summary>Eighteen mistakes, where they are shown, and their price</summary>
#
# | | Mistake | Cost, nats | Where |
# |---|---|---|---|
# | S0 | no `Flatten` | 144 | 7.6 |
# | S0 | cross-entropy averaged, once images are flat | 50, collapse | 7.3 |
# | S0 | `__call__` overridden, no shuffling, no graph, the step inside the tape | time | [2.6](02_mlp_vae.ipynb) |
# | S0 | prints the loss as "ELBO"; $\operatorname{KL}(p \Vert q)$ in a comment | words | – |
# | S1 | calls a fixed set "dynamic" | words | [3.1](03_conv_vae.ipynb) |
# | S1 | mean of batch means | below 0.3 | [2.9](02_mlp_vae.ipynb) |
# | S1 | plane upside down; a decoder that does not mirror | pictures, words | [3.2](03_conv_vae.ipynb), [3.6](03_conv_vae.ipynb) |
# | S1 | reconstructions shown as samples; a film of stale files, its last frame twice; $\mu$ and $\sigma$ "from the decoder" | pictures, words | – |
# | S2 | ReLU on both heads | 29; 34 on grey levels | 7.6, [6.2](06_case_studies.ipynb) |
# | S2 | test pictures with dropout on | 3 | 7.6, [6.3](06_case_studies.ipynb) |
# | S2 | ReLU on a Gaussian's mean | not measured | [6.2](06_case_studies.ipynb) |
# | S3 | loss a pixel, right but unreadable, with RMSprop | 21 in the first epoch | [6.6](06_case_studies.ipynb) |
# | S3 | $\sigma$ named for $\log\sigma^2$; `add_loss` | words; Keras 3 stops | [6.4](06_case_studies.ipynb) |
# | S3 | a film of a trained model, red and blue swapped; figures never closed | pictures, memory | [5.7](05_animations.ipynb) |
# | S4 | clipped probabilities | NaN, in time | 7.4, [22.2](22_second_recipe.ipynb) |
# | S4 | `axis=[1, 2]` on colour images | $\beta = 3$ | [22.2](22_second_recipe.ipynb) |
# | S4 | a softplus called `logvar`; $\log(\sigma)^2$; a conditional called "marginal likelihood"; a flag that does nothing | words | [22.1](22_second_recipe.ipynb) |
# | S4 | a running training loss for the figure | half a nat | [22.3](22_second_recipe.ipynb) |
#
# </details>
#
# ## What we measured
#
# One exhibit again, on this page, for three epochs: the KL averaged over 20 dimensions, beside the honest loss.

# %% tags=["nbval-ignore-output"]
again = {}
for name in ("honest_of_20", "kl_averaged_of_20"):
    exhibit = faults.EXHIBITS[name]
    again[name] = exhibit.build(0)
    again[name].compile(
        exhibit.optimizer(), objective=faults.objective(exhibit)
    )
    again[name].fit(vh.batches(x_train, 100, seed=0), epochs=3, verbose=0)
lost = {
    name: [
        vh.log_likelihood(vae, x_test[:200], k).mean() for k in (100, 1000)
    ]
    for name, vae in again.items()
}
for name, (few, many) in lost.items():
    print(f"{name}: {few:.1f} with 100 draws, {many:.1f} with 1,000")

# %% tags=["plumbing", "nbval-ignore-output"] mystnb={"image": {"alt": "Two rows of ten samples. Above, from the honest model: strokes that are nearly digits. Below, with the KL averaged: blots and fragments."}}
rows = [vae.sample(10, seed=1) for vae in again.values()]
vh.plot_images(np.concatenate(rows), columns=10)
plt.show()

# %% tags=["check"]
vh.check(
    "after three epochs it already costs more than 20 nats",
    apart := np.subtract(lost["honest_of_20"], lost["kl_averaged_of_20"]),
    20,
    relation=">",
)
vh.check(
    "of that, ten times the draws take less than three nats",
    apart[0] - apart[1],
    3,
    relation="<",
)

# %% [markdown]
# Above the honest model, below the averaged KL. Importance samples err low, for narrow clouds more: ten times as many make the cost about a nat smaller. The costs with $J = 20$ come from 500 draws and err so, too.
#
# The exhibits of the first figure: nats of $\log p_\theta(x)$ on the first 1,000 test images; ± is over three trainings. *It prints* is the mistaken program's own loss on test images.


# %% tags=["plumbing", "exact"]
def printed_by(name):
    """The mistaken program's own loss at the end, nats."""
    own = np.mean([run.get("own_loss", math.nan) for run in RUNS[name]])
    return "NaN" if math.isnan(own) else f"{own:,.1f}".replace("-", "−")


rows = []
for name in sorted(
    NAMES, key=lambda n: -costs[n][0] if n in costs else -1e9
):
    told, seen = found_by(name)
    found = " and ".join(["loss"] * told + ["check-up"] * seen)
    rows.append(
        [
            NAMES[name],
            costs.get(name, "NaN"),
            printed_by(name),
            found or "neither",
        ]
    )
for name, title in (("honest", "J = 2"), ("honest_of_20", "J = 20")):
    rows.append([f"honest, {title}", "–", printed_by(name), "–"])
vh.table(["mistake", "cost", "it prints", "found by"], rows, digits=1)

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - a loss asked what it optimises, by moving the networks' outputs under it, and a model looked over in seconds;
# - a KL weight that shows no cost between 0.2 and 2 with two latent numbers; with twenty, 0.2 costs eleven nats;
# - mistakes whose cost shows only with more latent numbers, and mistakes that flatter: no noise, evaluation at the mean, test images seen;
# - a collapse under the right loss, and a shorter way to the pixels as its cure;
# - two faults that no tool found in time: mirrored images, and a clipped sigmoid.
#
# ## Exercises
#
# In the first four, find the fault. `riddle(n)` trains a small model in some seconds and returns it with its training images, its test images and its loss. Do not read its source.

# %% [markdown] tags=["exercise"]
# **1. A loss that falls** (5 min, by code). The loss of this model, `riddle_1.loss`, falls as it should. What does it optimise?


# %% tags=["exercise", "nbval-ignore-output"]
from riddles import riddle

riddle_1 = riddle(1)
riddle_1

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# `vh.explain_loss(riddle_1.loss, riddle_1.model, riddle_1.test[:100])` says that the KL is the wrong way round, $\operatorname{KL}(p \Vert q)$. It punishes a narrow code, as $1/\sigma^2$, where the right one charges $-\log\sigma$.
#
# </details>

# %% tags=["solution"]
answer = vh.explain_loss(riddle_1.loss, riddle_1.model, riddle_1.test[:100])
assert answer.recognised == "kl_reversed"
vh.check("exercise 1: its weight", answer.beta, 1, rtol=0.05)

# %% [markdown] tags=["exercise"]
# **2. Codes that will not sharpen** (5 min, by code). Reconstructions of this model stay soft, though its loss is right. Why?


# %% tags=["exercise", "nbval-ignore-output"]
riddle_2 = riddle(2)
riddle_2

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# `vh.checkup(riddle_2.model, riddle_2.train, riddle_2.test)` finds "scales at a stop": most of the $\sigma$ have exactly one value. `riddle_2.model.posterior(riddle_2.test).stddev().numpy()` has no value below 0.368. The encoder clips $\log\sigma^2$ at −2, so no code is sharper than $\sigma = e^{-1}$. Such clips are put in against NaN; a floor of −20 would do.
#
# </details>

# %% tags=["solution"]
answer = vh.checkup(riddle_2.model, riddle_2.train, riddle_2.test)
assert "scales at a stop" in answer.faults
smallest = (
    riddle_2.model.posterior(riddle_2.test[:500]).stddev().numpy().min()
)
vh.check("exercise 2: no σ is below 1/e", smallest, math.exp(-1), atol=1e-4)

# %% [markdown] tags=["exercise"]
# **3. A bound that does not hold up** (5 min, by code). The training bound is fine, the test bound 17 nats worse. The network is small and the training short. What has happened?


# %% tags=["exercise", "nbval-ignore-output"]
riddle_3 = riddle(3)
riddle_3

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The check-up finds "training images score higher". A small network after three epochs has learnt nothing by heart, so look at the images: training has the digits 0 to 4 alone. `images.train[images.train_labels < 5]` is a common way to make a quick set, and half of the test images are then of kinds never seen.
#
# </details>

# %% tags=["solution"]
answer = vh.checkup(riddle_3.model, riddle_3.train, riddle_3.test)
assert "training images score higher" in answer.faults

# %% [markdown] tags=["exercise"]
# **4. The same finding again** (5 min, by code). Here the test bound is 60 nats worse. Is it the same fault?


# %% tags=["exercise", "nbval-ignore-output"]
riddle_4 = riddle(4)
riddle_4

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# No. The finding is again "training images score higher", but look at `vh.plot_images(riddle_4.test[:20])`: they lie on their side and are mirrored, since their file was read column by column. A check-up names a symptom. What caused it, pictures tell.
#
# </details>

# %% tags=["solution"]
answer = vh.checkup(riddle_4.model, riddle_4.train, riddle_4.test)
assert "training images score higher" in answer.faults

# %% [markdown] tags=["exercise"]
# **5. Which β is it?** (5 min, by hand). A program minimises the *mean* of squared errors over $64 \cdot 64 \cdot 3$ values plus $0.00025$ times the KL. A Gaussian decoder with the same variance $v$ for every value has the reconstruction term $\frac{1}{2v}$ times the sum of squared errors, and a constant. Which $\beta$ is that for $v = \frac12$? For which $v$ is it 1?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Multiply the loss by $12{,}288$: the sum of squared errors plus $3.07$ times the KL. With $v = \frac12$ the sum of squared errors is the reconstruction term, so $\beta = 3.07$. With another $v$ the loss must be divided by $2v$: $\beta = 3.07 / (2v)$, which is 1 at $v = 1.54$. A squared error alone does not say what $\beta$ is.
#
# </details>

# %% tags=["solution"]
weight = 0.00025 * 64 * 64 * 3
vh.check(
    "exercise 5: β at v = ½, and the v of β = 1",
    [weight, weight / 2],
    [3.07, 1.54],
    atol=0.01,
)

# %% [markdown] tags=["exercise"]
# **6. Codes off centre** (15 min, by code). Draw one code for each training image of `riddle_2`. How far are these codes from the prior, as far as their mean $m$ and covariance $S$ tell? Write $\operatorname{KL}(\mathcal{N}(m, S) \Vert \mathcal{N}(0, I)) = \frac12 (\operatorname{tr} S + m^\top m - J - \log\det S)$.


# %% tags=["exercise", "exact"]
def off_moments(z):
    """Codes z [n, J]: nats."""
    return ...  # your lines


line = np.linspace(-1.0, 3.0, 401)[:, None]
print("yours:", off_moments(line), "expected: 0.52")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# ```python
# m, S = z.mean(axis=0), np.atleast_2d(np.cov(z.T))
# return 0.5 * (np.trace(S) + m @ m - len(m) - np.linalg.slogdet(S)[1])
# ```
#
# The codes are `riddle_2.model.posterior(riddle_2.train).sample(seed=0).numpy()`, and they lie 1.2 nats from the prior: too wide, with variances near 3 where the prior has 1.
#
# This part of $\operatorname{KL}(q_\phi(z) \Vert p(z))$ is exact, whatever the shape of $q_\phi(z)$: the rest is the distance of $q_\phi(z)$ from the Gaussian with the same $m$ and $S$. The check-up calls it "codes off centre or scale".
#
# </details>

# %% tags=["solution"]
m, S = line.mean(axis=0), np.atleast_2d(np.cov(line.T))
value = 0.5 * (np.trace(S) + m @ m - 1 - np.linalg.slogdet(S)[1])
vh.check("exercise 6: the line from −1 to 3", value, 0.52, atol=0.01)
z = riddle_2.model.posterior(riddle_2.train).sample(seed=0).numpy()
m, S = z.mean(axis=0), np.cov(z.T)
value = 0.5 * (np.trace(S) + m @ m - 2 - np.linalg.slogdet(S)[1])
vh.check("exercise 6: the codes of riddle_2, nats", value, 1.2, atol=0.2)
vh.check("exercise 6: their variances", np.diag(S), 2, relation=">")

# %% [markdown] tags=["exercise"]
# **7. Three channels** (10 min, by hand). A program sums the cross-entropy of colour images over `axis=[1, 2]`, which leaves a number for each channel, $[n, 3]$. It adds the KL of each image, $[n, 1]$, and takes the mean over everything. Which $\beta$ is that? What would `.scale` be?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The sum of the three channels is the reconstruction term $R$. Adding the KL to each channel and taking the mean over three gives $\frac13 (R + 3 \operatorname{KL})$: $\beta = 3$, and `.scale` is $\frac13$. With one channel the mistake does not show.
#
# </details>

# %% tags=["solution"]
channels, kl_of_one = np.array([30.0, 50.0, 20.0]), 7.0
program = (channels + kl_of_one).mean()
by_hand = (channels.sum() + 3 * kl_of_one) / 3
vh.check("exercise 7: a third of R + 3 KL", program, by_hand, atol=1e-9)

# %% [markdown] tags=["exercise"]
# **8. Your own** (30 min, open). Run both tools on a VAE of yours. Which findings surprise you? Change one thing, and run them again.

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# There is none. If a finding is wrong, or a fault went unseen, open an issue: the thresholds stand in `vae_helpers/checkup.toml`, each with its reason.
#
# </details>

# %% [markdown]
# ## What to read next
#
# - [The quiz of this chapter](../book/quizzes.md#chapter-7) asks what you take along, and explains every answer.
# - [The page on the aggregate posterior](15_aggregate_posterior.ipynb) measures how far codes lie from the prior, in any number of dimensions.
# - [The page on grey levels](17_grey_levels.ipynb) shows what a cross-entropy on grey levels optimises.
# - [Chapter 6](06_case_studies.ipynb) takes two published VAEs apart, one choice at a time.
