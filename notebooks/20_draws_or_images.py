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
# # 20. Draws or images?
#
# This page holds the measurements behind [what chapter 4 says](04_sgvb_a_vs_b.ipynb) about several draws for one image.
#
# **Take one draw for each image, and more images. With 100 decoded codes an update, two draws each for 50 images cost 0.6 ± 0.5 nats of test ELBO, five draws for 20 images 2.4 ± 0.6, ten draws for ten images 4.8 ± 0.5; the seconds saved do not buy it back.**

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
plt.rcParams["font.size"] = 12
started = time.monotonic()
images = vh.load_mnist()
x_test = vh.binarize(images.test, "threshold")
# One colour an estimator, as in chapter 4.
COLORS = {"A": "#D55E00", "B": "#0072B2", "path": "#009E73"}
SHARES = (1, 2, 5, 10)
STORED = Path("../experiments/results")


def load(name):
    """What a script in experiments/ has stored."""
    return json.loads((STORED / f"{name}.json").read_text())


def interval(values, comparisons=1):
    """Mean and half its 95% interval (Student's t); wider for several."""
    values = np.asarray(values)
    t = stats.t.ppf(1 - 0.025 / comparisons, len(values) - 1)
    return values.mean(), t * values.std(ddof=1) / np.sqrt(len(values))


# %% tags=["plumbing"]
budget = {n: vh.stored(f"budget-l{n}-m{100 // n}") for n in SHARES}
LIKELIHOOD = "test_log_likelihood_500"
budget_elbo, budget_likelihood = (
    {n: np.array([run[what] for run in budget[n]]) for n in SHARES}
    for what in ("test_elbo", LIKELIHOOD)
)
lost = {n: interval(budget_elbo[n] - budget_elbo[1]) for n in SHARES}
seconds = load("estimators-seconds")
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


same_seconds = {n: in_same_seconds(n, pace[n] / pace[1]) for n in SHARES}

# %% tags=["plumbing"] mystnb={"image": {"alt": "Test ELBO of two, five and ten draws for each image, less that of one draw, with 95% intervals and a zero line. In as many updates: −0.6, −2.4 and −4.8 nats. In as many seconds: −0.6, −2.2 and −4.4 nats. All lie below zero."}}
figure, panel = plt.subplots(figsize=(6.4, 3.4))
for shift, mark, what, found in (
    (-0.08, "o", "in as many updates", lost),
    (0.08, "s", "in as many seconds", same_seconds),
):
    middle, half = np.transpose([found[n] for n in SHARES[1:]])
    face = COLORS["B"] if mark == "o" else "white"
    look = {"fmt": mark, "ms": 8, "capsize": 4, "mfc": face, "label": what}
    look["color"] = COLORS["B"]
    panel.errorbar(np.arange(3) + shift, middle, yerr=half, **look)
panel.axhline(0, color="black", lw=1)
panel.text(2.35, 0.12, "one draw, 100 images", ha="right")
names = [f"{n} draws,\n{100 // n} images" for n in SHARES[1:]]
panel.set_xticks(range(3), names)
panel.set(xlim=(-0.4, 2.4), ylim=(-5.6, 0.7))
panel.set_ylabel("test ELBO less that\nof one draw, nats")
panel.legend(loc="lower left")
plt.show()

# %% [markdown]
# Below zero is worse. Squares: the run with one draw is stopped after as many seconds. Bars are 95% intervals over five seeds, as every ± on this page is a 95% interval. Section 20.3 explains the trainings.
#
# **What you will be able to do**
#
# - split the noise of a gradient into that of the draws and that of the images, and say what each costs;
# - compute the best number of draws for your own network;
# - read a comparison at a fixed number of decoded codes, by updates and by seconds.
#
# **What it needs.** [Chapter 4](04_sgvb_a_vs_b.ipynb) up to the gradient that the optimiser gets. Twenty minutes to read, less than a minute to run on two CPU cores. Longer runs are stored by scripts in `experiments/`; the page loads them and measures two points again.
#
# ## 20.1 Two kinds of noise
#
# The encoder turns an image $x$ into a Gaussian $q(z \mid x)$, and a code is drawn from it as $z = \mu + \sigma\varepsilon$. Estimator **B** of the bound averages the reconstruction term over the draws and takes the KL term by formula; **A** averages both. The **path** estimator has the value of A, and a gradient through $z$ alone: it leaves out the derivative of $\log q$ by the encoder's weights at a fixed $z$, the score term, whose mean is zero ([the page on gradient variance](19_gradient_variance.ipynb)). Once training is under way it is the quietest of the three.
#
# The gradient of an update is noisy for two reasons. Draw other $\varepsilon$, and it is another. Take other images, and it is another as well. The symbols of sections 20.1 and 20.2:
#
# | Symbol | Meaning |
# |---|---|
# | $L$, $M$ | draws for each image; images in an update |
# | $n_\varepsilon$ | variance of the gradient that $\varepsilon$ makes, with one draw for each image |
# | $n_x$ | variance, from one minibatch to the next, of the gradient averaged over $\varepsilon$ |
# | $t_z$ | seconds that each draw adds: the decoder above all |
# | $t_x$ | seconds spent once, whatever $L$ is: the encoder, and the bookkeeping of a step |
# | $L^*$ | the number of draws with the lowest variance $\times$ seconds |
#
# The variance of a gradient is the sum of the variances of its entries, here over the encoder's weights. The draws are independent, so with $L$ of them it is $n_x + n_\varepsilon / L$: **draws shrink one part, images shrink both.** How large are the parts? [The same page](19_gradient_variance.ipynb) measures four networks, those of chapters 2 and 3 with $J = 2$ and 20, on ten minibatches each, of 100 images, or of 20 for the convolutional ones; here are both parts at the end of training, averaged over three trainings of each.

# %% tags=["plumbing"]
NETWORKS = {
    "dense, J = 2": "mlp-j2",
    "dense, J = 20": "mlp-j20",
    "convolutional, J = 2": "conv-j2",
    "convolutional, J = 20": "conv-j20",
}
STAGES = "start", "end"
KEYS = {"A": "a", "B": "b", "path": "path", "score": "score"}
stored_rows = {
    (row["network"], row["seed"], row["stage"]): row
    for row in load("gradients-rows")["rows"]
}
SEEDS = 0, 1, 2
trainings = {
    (label, stage): [stored_rows[name, seed, stage] for seed in SEEDS]
    for label, name in NETWORKS.items()
    for stage in STAGES
}
DRAWS = (1, 5, 25)
timed = load("gradients-seconds")["seconds"]
cost = {}  # seconds a gradient: median of A, B, path and score
scatter = 1.0
for label, name in NETWORKS.items():
    for draws in DRAWS:
        taken = [of[str(draws)] for of in timed[name].values()]
        cost[label, draws] = np.median(taken)
        scatter = max(scatter, max(taken) / min(taken))


# %% tags=["plumbing"] mystnb={"image": {"alt": "Stacked bars of the encoder's gradient variance at the end of training, four networks, estimators B and path, B's total set to one. The part between minibatches is 0.63 in dense J = 2, 0.34 in dense J = 20, 0.82 in convolutional J = 2, 0.32 in convolutional J = 20. The part of the draws fills B's bar to one; with the path it is about half as large."}}
def two_parts(label, name, at="end"):
    """n_x and n_ε over B's total with one draw, mean of the trainings."""
    parts = []
    for row in trainings[label, at]:
        between = row["between"]["encoder"]
        of_b = row["noise"]["b"]["1"]["encoder"]
        own = row["noise"][KEYS[name]]["1"]["encoder"]
        parts.append(np.array([between, own]) / (between + of_b))
    return np.mean(parts, axis=0)


figure, panel = plt.subplots(figsize=(6, 4))
places, labels = [], []
for block, label in enumerate(NETWORKS):
    for line, name in enumerate(("B", "path")):
        place = -2.6 * block - line
        between, own = two_parts(label, name)
        panel.barh(place, between, color="#BBBBBB")
        panel.barh(place, own, left=between, color=COLORS[name])
        places.append(place)
        labels.append(f"{label}: {name}" if name == "B" else name)
        panel.text(between / 2, place, "images", ha="center", va="center")
panel.set_yticks(places, labels)
panel.set_xlabel("variance of the encoder's gradient, over B's")
what = "grey: between minibatches; coloured: one draw"
panel.set_title(what, loc="right", fontsize=11)
panel.grid(axis="y", visible=False)
plt.show()

# %% [markdown]
# Infinitely many draws would remove the coloured part and leave the grey one.

# %% tags=["check"]
by_draws = np.array(
    [
        [
            [row["noise"][name][str(n)]["encoder"] for n in DRAWS]
            for row in trainings[label, "end"]
        ]
        for label in NETWORKS
        for name in KEYS.values()
    ]
)  # [network and estimator, training, draws]
vh.check(
    "L draws divide the variance that ε makes in the encoder by L, "
    "in the mean over three trainings",
    (by_draws[..., 1:] * DRAWS[1:] / by_draws[..., :1]).mean(axis=1),
    1,
    atol=0.15,
)


# %% tags=["plumbing"]
def gradient_variance(model, objective, x, repeats, samples, seed=0):
    """Variance over ε of the encoder's gradient, summed over entries."""
    variables = model.encoder.trainable_variables
    seeds = keras.random.SeedGenerator(seed)

    @tf.function(jit_compile=model.prefers_xla)
    def gradient():
        with tf.GradientTape() as tape, model.using(seeds):
            bound = tf.reduce_mean(objective(model, x, samples))
        return tape.gradient(bound, variables)

    drawn = [[g.numpy() for g in gradient()] for _ in range(repeats)]
    entries = zip(*drawn, strict=True)
    return sum(
        np.var(e, axis=0, ddof=1, dtype=float).sum() for e in entries
    )


# %% tags=["check"]
row = trainings["convolutional, J = 2", "start"][0]
chosen = np.random.default_rng(0).permutation(60_000)[: row["images"]]
first = vh.binarize(images.train[chosen], "threshold")
fresh = vh.conv_vae(latent_dim=2, seed=0)
for name, objective, n in (("A", vh.sgvb_a, 1), ("B", vh.sgvb_b, 5)):
    vh.check(
        f"{name} with L = {n} before training, convolutional, J = 2, "
        f"first minibatch: as stored ({row['provenance']['machine']})",
        gradient_variance(
            fresh, objective, first, row["repeats"][str(n)], n
        ),
        row["first"][f"{KEYS[name]}, {n}"],
        rtol=0.01,
    )

# %% [markdown]
# ## 20.2 One gradient, by the clock
#
# Five draws make a quieter gradient than one. They also take longer, and in those seconds you could have used more images. So ask how long a *given* variance takes, if you may choose the number of images. Twice the images halve the *whole* variance, for at most twice the seconds: the product of variance and seconds stays, or falls. Compare by this product. More draws pay only if they lower
#
# $$
# \left( n_x + \frac{n_\varepsilon}{L} \right) (t_x + L \, t_z) . \tag{20.1}
# $$
#
# Set the derivative by $L$ to zero. The product is lowest at
#
# $$
# L^* = \sqrt{\frac{n_\varepsilon \, t_x}{n_x \, t_z}} . \tag{20.2}
# $$
#
# So several draws are worth their time where the draws make much of the noise and the encoder takes many of the seconds. $L^*$ is an upper limit: $t_x$ also holds the bookkeeping of a step, which more images would not pay again. For your own network, time one minibatch with 1 and with 25 draws, as in the table: the difference is $24\,t_z$, and $t_x$ is what remains of one draw.


# %% tags=["plumbing"]
def best_draws(label, row, name, part="encoder"):
    """L* of (20.2), and the ratio of the two variances in it."""
    noise = row["noise"][KEYS[name]]["1"][part] / row["between"][part]
    a_draw = (cost[label, 25] - cost[label, 1]) / 24
    once = cost[label, 1] - a_draw
    return np.sqrt(noise * once / a_draw), noise


def worth(label, name, draws, with_images=True, at="end"):
    """(20.1) over that of B with one draw, or its ε; each training."""

    def product(row, name, n):
        noise = row["noise"][KEYS[name]][str(n)]["encoder"]
        noise += with_images * row["between"]["encoder"]
        return noise * cost[label, n]

    return np.array(
        [
            product(row, name, draws) / product(row, "B", 1)
            for row in trainings[label, at]
        ]
    )


# %% tags=["plumbing", "exact"]
def drawn(stage, name, part="encoder"):
    """L* of (20.2), [network, training]."""
    return np.array(
        [
            [best_draws(label, row, name, part)[0] for row in rows]
            for label in NETWORKS
            for rows in [trainings[label, stage]]
        ]
    )


def noise_ratios(label, name="B", at="end"):
    """n_ε / n_x of the encoder, each training."""
    return [best_draws(label, row, name)[1] for row in trainings[label, at]]


rows = [
    [
        label,
        *(f"{1000 * cost[label, n]:.0f}" for n in DRAWS),
        f"{min(noise_ratios(label)):.2f} to {max(noise_ratios(label)):.2f}",
    ]
    for label in NETWORKS
]
heads = [f"ms, L = {n}" for n in DRAWS]
vh.table(["at the end", *heads, "n_ε / n_x, B"], rows)

# %% [markdown]
# The four networks in a picture. Solid: (20.1), the seconds you need for the same variance. Dotted: the same if $\varepsilon$ made all the noise. Both kinds are relative to B with one draw, and means over three trainings.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Four panels, one for each network: variance times seconds against 1, 5 and 25 draws. Solid, all noise: B begins at 1, the path between 0.64 and 0.91; both rise and end between 3 and 12. Dotted, the noise of ε alone: B falls from 1 to between 0.3 and 0.6, the path from about one half to between 0.1 and 0.3."}}
figure, axes = plt.subplots(
    2, 2, figsize=(5.6, 5.8), sharex=True, sharey=True
)
LINES = ((True, "o-", "all noise"), (False, "o:", "ε alone"))
ticks = [0.2, 0.5, 1, 2, 5, 10]
for panel, label in zip(axes.flat, NETWORKS, strict=True):
    for name in ("B", "path"):
        for with_images, line, what in LINES:
            values = [
                worth(label, name, n, with_images).mean() for n in DRAWS
            ]
            look = {"color": COLORS[name], "label": f"{name}, {what}"}
            panel.plot(DRAWS, values, line, **look)
    panel.set(xscale="log", yscale="log")
    panel.set_title(label, fontsize=11)
    panel.set_xticks(DRAWS, [str(n) for n in DRAWS])
    panel.set_yticks(ticks, ["0.2", "½", "1", "2", "5", "10"])
    panel.minorticks_off()
for panel in axes[1]:
    panel.set_xlabel("draws L")
for panel in axes[:, 0]:
    panel.set_ylabel("variance × seconds")
lines, labels = axes[0, 0].get_legend_handles_labels()
figure.legend(lines, labels, loc="outside lower center", ncols=2)
plt.show()

# %% tags=["check"]
product = {
    (name, n): np.concatenate([worth(label, name, n) for label in NETWORKS])
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
at_end = {name: drawn("end", name) for name in ("B", "path")}
vh.check("L* is below 2.5", [*at_end.values()], 2.5, relation="<")
vh.check("with the path below 1.6", at_end["path"], 1.6, relation="<")
of_b, of_path = at_end["B"], at_end["path"]
vh.check(
    "the extremes of B", [of_b.min(), of_b.max()], [0.4, 2.2], atol=0.05
)
vh.check(
    "and of the path", [of_path.min(), of_path.max()], [0.3, 1.5], atol=0.05
)
gain = 1 - product["path", 1].reshape(4, 3)
vh.check(
    "the path lowers the product by at least and at most, three networks",
    [gain[[0, 1, 3]].min(), gain[[0, 1, 3]].max()],
    [0.18, 0.37],
    atol=0.005,
)
vh.check(
    "and in the convolutional one with J = 2",
    [gain[2].min(), gain[2].max()],
    [0.06, 0.11],
    atol=0.005,
)
vh.check(
    "over three trainings of a network L* stays within a factor of 1.5",
    [of.max(axis=1) / of.min(axis=1) for of in at_end.values()],
    1.5,
    relation="<",
)
vh.check(
    "seconds: the slowest of four estimators over the fastest",
    scatter,
    1.25,
    relation="<",
)

# %% [markdown]
# If $\varepsilon$ made all the noise, more draws would be a bargain: 25 of them take only 8 to 14 times as long as one. But the optimiser sees the solid lines. For the same variance five draws take 1.05 to 2.8 times the seconds of one, with B. The best number $L^*$ lies between 0.4 and 2.2 with B, and between 0.3 and 1.5 with the path (upper panel of the next picture). It is highest in dense, $J = 20$, where two draws would be a little better than one. But encoder and decoder do about the same work there. With $t_x = t_z$, without the bookkeeping, $L^*$ would be about $\sqrt{2} = 1.4$, where one draw and two are level (exercise 1).
#
# So if the noise of the draws is a concern, *change the estimator* before you draw twice: the path with one draw lowers the product by 18 to 37 per cent in three of the networks. In the convolutional one with $J = 2$, where most of the noise is between minibatches, it lowers it by 6 to 11, which is less than the seconds of two estimators may differ.
#
# These numbers are for the whole encoder at the end of training. Before training (middle), and for parts of the network (below), $L^*$ is another. Each mark is one training:


# %% tags=["plumbing"] mystnb={"image": {"alt": "Best number of draws L* for four networks on a logarithmic axis, three panels, one above the other, with a line at one draw. Three marks for each, one a training, close together. Encoder, at the end of training: B about 1.2, 2.1, 0.4 and 1.4; path 0.8, 1.4, 0.3 and 0.9. Encoder, before training: B 1.0 to 3.1, path 1.7 to 3.3. Parts at the end with B: σ head 4 to 11, decoder 0.1 to 1.4."}}
LOOKS = {"B": ("o", COLORS["B"]), "path": ("s", COLORS["path"])}
LOOKS |= {"σ head, B": ("^", COLORS["B"]), "decoder": ("D", "black")}
panels = {
    "encoder, at the end of training": {
        name: drawn("end", name) for name in ("B", "path")
    },
    "encoder, before training": {
        name: drawn("start", name) for name in ("B", "path")
    },
    "two parts, at the end of training": {
        "σ head, B": drawn("end", "B", "scale"),
        "decoder": drawn("end", "B", "decoder"),
    },
}
figure, axes = plt.subplots(3, 1, figsize=(5.6, 6.4), sharex=True)
for panel, (title, series) in zip(axes, panels.items(), strict=True):
    for name, values in series.items():
        mark, color = LOOKS[name]
        look = {"ms": 6, "color": color, "label": name}
        for seed in SEEDS:  # a dot a training, one below the other
            heights = np.array([3, 2, 1, 0]) + 0.18 * (1 - seed)
            panel.plot(values[:, seed], heights, mark, **look)
            look["label"] = None
    panel.axvline(1, color="black", lw=1)
    panel.set_yticks([3, 2, 1, 0], NETWORKS)
    panel.set(xscale="log", xlim=(0.05, 14), ylim=(-0.5, 3.5))
    panel.set_title(title, fontsize=12)
    panel.legend(loc="upper left", fontsize=11)
ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10]
axes[2].set_xticks(ticks, ["0.1", "0.2", "½", "1", "2", "5", "10"])
axes[2].minorticks_off()
axes[2].set_xlabel("best number of draws, L* of (20.2)")
plt.show()

# %% tags=["check"]
noisier = [
    path > b
    for label in NETWORKS
    for path, b in zip(
        noise_ratios(label, "path", "start"),
        noise_ratios(label, "B", "start"),
        strict=True,
    )
]
vh.check(
    "starts where the path has more noise", sum(noisier), 11, relation="="
)
of_b = [
    row["noise"]["b"]["1"]
    for label in NETWORKS
    for row in trainings[label, "end"]
]
vh.check(
    "at the end the σ head's share of the encoder's variance",
    [noise["scale"] / noise["encoder"] for noise in of_b],
    0.012,
    relation="<",
)

# %% [markdown]
# Before training the draws make more noise, in 11 of 12 starts still more with the path than with B, and two or three of them would often be best. The last layer of the encoder has a half that makes $\sigma$; for this $\sigma$ head alone four to eleven would be best. Yet it makes at most about one per cent of the encoder's variance at the end. And an update needs the decoder's gradient too, the same with all three estimators: for it about one draw or less is best.
#
# Less noise is not yet better training. So train.
#
# ## 20.3 In training
#
# Every update decodes the same number of codes, $L M = 100$, and shares them out: 100 images with one draw each, 50 with two, 20 with five, ten with ten. Write $V_x = M n_x$ and $V_\varepsilon = M n_\varepsilon$ for the noise of a single image and a single draw. By (1.19) of [chapter 1](01_theory.ipynb) the gradient of an update has the variance
#
# $$
# \frac{1}{M} \left( V_x + \frac{V_\varepsilon}{L} \right) = \frac{L \, V_x + V_\varepsilon}{L M} . \tag{20.3}
# $$
#
# With $L M$ fixed this only grows with $L$. So update for update one draw should be best. Several draws save time instead, since ten images are encoded faster than a hundred. Does the time make up for the noise?
#
# The network is dense, with one hidden layer of 256 units and $J = 20$, trained with B and with Adam at a step of $10^{-3}$. Every run makes 18,000 updates, so each training image gets thirty draws in all: in 30, 15, 6 or 3 passes over the data, the dots below. What differs is how many of the draws meet in one update. Five seeds each; runs with the same seed start from the same weights.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Test ELBO of the four shares, five seeds each with intervals, in two panels. Above against updates: one draw lies on top and ends at −86 nats, two half a nat below, five at −88, ten at −91. Below against seconds: two draws stay half a nat below one, five and ten farther."}}
figure, axes = plt.subplots(2, 1, figsize=(6.4, 6.4), sharey=True)
shades = plt.get_cmap("Blues_r")(np.linspace(0, 0.55, 4))  # all are B
for n, color, mark in zip(SHARES, shades, "osD^", strict=True):
    curve = budget_curves[n]
    done = np.arange(1, curve.shape[1] + 1) / curve.shape[1]
    middle, half = np.transpose([interval(values) for values in curve.T])
    for panel, last in zip(axes, (18_000, 30 * pace[n]), strict=True):
        look = {"ms": 4, "color": color}
        look["label"] = f"L = {n}, M = {100 // n}"
        panel.plot(last * done, middle, f"{mark}-", **look)
        shade = {"alpha": 0.3, "color": color, "lw": 0}
        panel.fill_between(
            last * done, middle - half, middle + half, **shade
        )
for panel, what in zip(
    axes,
    ("updates of 100 decoded codes", "seconds of training"),
    strict=True,
):
    panel.set(xlabel=what, ylabel="test ELBO, nats", ylim=(-105, -84.5))
axes[0].legend(loc="lower right")
plt.show()


# %%
def by_formula(n, noise_ratio):
    """(20.3) relative to one draw, for V_ε / V_x = `noise_ratio`."""
    return (n + noise_ratio) / (1 + noise_ratio)


# %% tags=["plumbing", "exact"]
of_encoder = np.mean(noise_ratios("dense, J = 20"))
rows = [
    [
        f"{n}",
        f"{by_formula(n, of_encoder):.1f}",
        pace[n] / pace[1],
        same_seconds[n] if n > 1 else "0",
    ]
    for n in SHARES
]
heads = ["draws", "(20.3)", "seconds", "ELBO, nats"]
vh.table(heads, rows)

# %% [markdown]
# Variance and seconds are over those of one draw; the last column is the difference to it in test ELBO, after as many seconds: there the runs with one draw are stopped early. Column (20.3) uses $V_\varepsilon / V_x = 2.0$, measured on a larger network (dense, $J = 20$ of section 20.2): it gives the direction and a rough size, and is no forecast of nats.

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

# %% tags=["check"]
vh.check(
    "in the same seconds all three lose",
    [sum(same_seconds[n]) for n in SHARES[1:]],
    0,
    relation="<",
)
half_the_time = [in_same_seconds(n, 0.5) for n in (5, 10)]
vh.check(
    "five and ten draws would lose even in half the seconds",
    [sum(found) for found in half_the_time],
    0,
    relation="<",
)
vh.check(
    "two would be level in four fifths",
    in_same_seconds(2, 0.8)[0],
    0,
    atol=0.15,
)
vh.check("not in 95%", sum(in_same_seconds(2, 0.95)), 0, relation="<")

# %% [markdown]
# Update for update the order is that of (20.3). Five and ten draws save 9 and 15 per cent of the seconds. How much would they have to save? Let an update take a share of the time of one draw's, and stop the runs with one draw to match:

# %% tags=["plumbing"] mystnb={"image": {"alt": "Test ELBO of two, five and ten draws less that of one draw after the same seconds, against the seconds of an update over those of one draw, with bands and a zero line. Two draws cross zero at about 0.8, five at 0.45, ten at 0.28. The measured times, 0.98, 0.91 and 0.85, are marked far to the right, at −0.6, −2.2 and −4.4 nats."}}
figure, panel = plt.subplots(figsize=(5.6, 4))
times = np.linspace(0.1, 1, 91)
for n, color, mark in zip(SHARES[1:], shades[1:], "sD^", strict=True):
    found = [in_same_seconds(n, share) for share in times]
    middle, half = np.transpose(found)
    panel.plot(times, middle, color=color)
    shade = {"alpha": 0.3, "color": color, "lw": 0}
    panel.fill_between(times, middle - half, middle + half, **shade)
    middle, half = same_seconds[n]
    look = {"fmt": mark, "ms": 9, "capsize": 4, "mec": "black"}
    look |= {"color": color, "ecolor": "black", "label": f"{n} draws"}
    panel.errorbar(pace[n] / pace[1], middle, yerr=half, **look)
panel.axhline(0, color="black", lw=1)
panel.set(xlim=(0.1, 1.03), ylim=(-6, 4))
panel.set_xlabel("seconds of an update, over those of one draw")
panel.set_ylabel("test ELBO less that\nof one draw, nats")
panel.legend(loc="upper right", title="measured times")
plt.show()

# %% [markdown]
# Where a line crosses zero, the draws would be level with one. Two would have to take about a fifth less time, and save next to nothing. So two draws, for which (20.2) at its limit spoke in the larger network, do not pay in this one. Ten would lose even in half of the time, and so, barely, would five.
#
# $\log p(x)$ says nearly the same: 0.7 ± 0.2, 2.5 ± 0.3 and 4.5 ± 0.3 nats lost, in as many updates.
#
# Kingma and Welling's own remark, that one draw is enough if the minibatch is large, is about more draws for the *same* images. Here draws are paid for with images. That is another question, and its answer is clear: within an update another image is worth more than another draw.
#
# ## 20.4 Limits, and the verdict
#
# > **Note.** What this page cannot say.
# >
# > - *Fewer images an update* also mean fewer passes over the data, and a noisier gradient may want a smaller step of Adam. Only the usual step was tried, for all shares.
# > - *Widened* for three comparisons, the interval of two draws against one in the ELBO contains zero; that in $\log p(x)$ does not.
# > - *$L^*$ is one digit*: $n_x$ comes from ten minibatches, and trainings of one network differ by up to a third.
# > - *A sum over the encoder* is ruled by its large entries. Adam scales each entry by its own size, so a small noisy one still makes noisy steps.
# > - *Seconds* are those of two CPU cores. Where many draws run at once $t_z$ is smaller, but there more images cost little as well. Ten images take 0.85 of the time of a hundred: much of a step must be bookkeeping, and $L^*$ well below its limit. How much was not measured.
# > - *$\log p(x)$* is estimated with 500 draws on 2,000 test images, and is too low.
#
# **Use one draw, and as many images as you would otherwise have drawn codes.** If the noise of the draws worries you, take the path estimator. What a *tighter bound* makes of several draws is [another question](18_tighter_bounds.ipynb).
#
# ## What we measured
#
# Differences to one draw in nats, ± a 95% interval over five seeds, 18,000 updates of 100 codes: in the ELBO after as many updates and as many seconds, and in $\log p(x)$ after as many updates. Kingma and Welling trained with one draw and 100 images; we know of no published comparison at a fixed number of decoded codes.


# %% tags=["plumbing", "exact"]
def signed(difference):
    return "{:+.2f} ± {:.2f}".format(*difference).replace("-", "−")


rows = [
    [
        f"{n} − 1",
        signed(lost[n]),
        signed(same_seconds[n]),
        signed(interval(budget_likelihood[n] - budget_likelihood[1])),
    ]
    for n in SHARES[1:]
]
heads = ["draws", "same updates", "same seconds"]
vh.table([*heads, "log p(x)"], rows)

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - the two parts of a gradient's noise in four networks, and that draws shrink one of them only;
# - the best number of draws from two variances and two times: between 0.4 and 2.2 with B at the end of training;
# - that at 100 decoded codes an update one draw wins, by updates and by seconds.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. When do two draws beat one?** (15 min, by hand). From which value of $L^*$ in (20.2) on is the product (20.1) lower with two draws than with one? And if you may draw any whole number: why is the best one not always $L^*$ rounded?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Two draws are better if $(n_x + n_\varepsilon / 2)(t_x + 2 t_z) < (n_x + n_\varepsilon)(t_x + t_z)$. Multiply out: $n_x t_x$ and $n_\varepsilon t_z$ stand on both sides, and $n_x t_z < \frac12 n_\varepsilon t_x$ is left. That is $L^* > \sqrt{2}$, not $L^* > 1.5$. In the same way $L + 1$ draws are better than $L$ if $L^* > \sqrt{L (L + 1)}$: the product, as a function of $L$, is not symmetric about its lowest point.
#
# On the other hand it is flat there. With $L^* = 1.45$ rounding says one, but two are better. With $L^* = 2$ one draw costs at most an eighth more than two: divide both products by $n_x t_z$ and write $C = 4 + t_x / t_z + n_\varepsilon / n_x$. Then one draw costs $C + 1$ and two cost $C$; the two fractions have the product $L^{*2} = 4$, so their sum is at least 4 and $C$ at least 8.
#
# </details>

# %% tags=["solution"]
n_x, n_epsilon, t_x, t_z = np.random.default_rng(0).exponential(
    size=(4, 100_000)
)


def product_of(draws):
    return (n_x + n_epsilon / draws) * (t_x + draws * t_z)  # (20.1)


best_number = np.sqrt(n_epsilon * t_x / (n_x * t_z))
for draws in (1, 2, 7):
    more = product_of(draws + 1) < product_of(draws)
    vh.check(
        f"{draws + 1} draws are better than {draws} if L* > √(L (L + 1))",
        np.mean(more == (best_number > np.sqrt(draws * (draws + 1)))),
        1,
        relation="=",
    )
near_two = np.abs(best_number - 2) < 0.01
vh.check(
    "near L* = 2 one draw costs about an eighth more than two at most",
    np.max(product_of(1)[near_two] / product_of(2)[near_two]),
    1.14,
    relation="<",
)

# %% [markdown] tags=["exercise"]
# **2. Your own network** (10 min, by code). Given the two ratios $n_\varepsilon / n_x$ and $t_x / t_z$, return the whole number of draws, at least one, with the lowest product (20.1). Do not round.


# %% tags=["exercise", "exact"]
def best_whole_number(noise_ratio, time_ratio):
    """L with the lowest (n_x + n_ε / L) (t_x + L t_z)."""
    return ...  # your lines


found = [
    best_whole_number(*pair) for pair in ((0.15, 1), (2.1, 1), (20, 5))
]
print("yours:", *found, "expected: 1 2 10")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Divide (20.1) by $n_x t_z$: it becomes $(1 + a / L)(b + L)$, with the two ratios $a$ and $b$. It falls up to $L^* = \sqrt{a b}$ and rises from there, so the best whole number is one of the two neighbours of $L^*$: try both. In the second case $L^* = 1.45$, and two draws win.
#
# </details>


# %% tags=["solution"]
def best_whole_number(noise_ratio, time_ratio):
    """L with the lowest (n_x + n_ε / L) (t_x + L t_z)."""
    below = max(1, int(np.sqrt(noise_ratio * time_ratio)))
    return min(
        (below, below + 1),
        key=lambda n: (1 + noise_ratio / n) * (time_ratio + n),
    )


for pair, expected in (((0.15, 1), 1), ((2.1, 1), 2), ((20, 5), 10)):
    vh.check(
        f"best number of draws for ratios {pair}",
        best_whole_number(*pair),
        expected,
        relation="=",
    )

# %% [markdown] tags=["exercise"]
# **3. How much faster would several draws have to be?** (10 min, by hand). Judge by (20.3) $\times$ seconds, with the measured $V_\varepsilon / V_x = 2$. What share of one draw's seconds may an update take with two, five and ten draws, to be level with one? Compare with the last picture of section 20.3, where trainings were asked. And which $V_\varepsilon / V_x$ would make five draws level at their measured share, 0.91?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Write $r = V_\varepsilon / V_x$ and $s$ for the share. Level means $s (L + r) = 1 + r$, so $s = (1 + r) / (L + r)$: 0.75, 0.43 and 0.25. The trainings say 0.79, 0.45 and 0.28, so they ask for a little less than the formula. For five draws at 0.91, $r = (s L - 1) / (1 - s) = 39$: nearly all of the noise would have to come from the draws.
#
# </details>

# %% tags=["solution"]
vh.check("the measured ratio", of_encoder, 2, atol=0.05)
shares = [1 / by_formula(n, 2) for n in SHARES[1:]]
vh.check("shares by (20.3)", shares, [0.75, 0.43, 0.25], atol=0.005)
crossed = []
for n in SHARES[1:]:
    found = [in_same_seconds(n, share)[0] for share in times]
    crossed.append(np.interp(0, found[::-1], times[::-1]))
vh.check("by training", crossed, [0.79, 0.45, 0.28], atol=0.01)
ratio = (0.91 * 5 - 1) / (1 - 0.91)
vh.check("five draws at 0.91", ratio, 39, atol=0.5)
vh.check("then level", 0.91 * by_formula(5, ratio), 1, atol=1e-9)

# %% [markdown]
# ## What to read next
#
# - [The variance of a gradient](19_gradient_variance.ipynb): the measurements of section 20.1, with A and the score function.
# - [Do tighter bounds train better?](18_tighter_bounds.ipynb): several draws with the logarithm outside the average.
# - [Chapter 4](04_sgvb_a_vs_b.ipynb): the verdict to which this page belongs.
