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
# # 21. Other data, other codes
#
# This page adds to [section 3.8 of chapter 3](03_conv_vae.ipynb) what its networks do on other versions of MNIST, on clothes and photographs, and with more latent numbers.
#
# **From two to twenty latent numbers the convolutional network's bound rises by some seventy nats, from twenty to fifty it falls by one. Reconstructions get better all the way; samples from the prior are worse with twenty than with five.**

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
import tensorflow_probability as tfp
from scipy import stats
from scipy.special import logsumexp, xlogy

tfd = tfp.distributions
vh.use_book_style()
plt.rcParams["font.size"] = 11
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
keras.utils.set_random_seed(0)
started = time.monotonic()
images = vh.load_mnist()
x_test = vh.binarize(images.test, "threshold")


def strip(name, columns=10):
    """A stored run's samples, test images and reconstructions.

    Each has the shape [columns, H, W, C].
    """
    picture = plt.imread(f"../experiments/results/{name}-seed0.png")
    picture = picture if picture.ndim == 3 else picture[..., None]
    side, channels = picture.shape[0] // 3, picture.shape[-1]
    tiles = picture.reshape(3, side, -1, side, channels).swapaxes(1, 2)
    return tiles[:, :columns]


def show_rows(rows, width=6.5):
    """A row of pictures for each name, {name: [n, H, W, C]}."""
    pictures = [np.asarray(row) for row in rows.values()]
    figure = vh.plot_images(np.concatenate(pictures), len(pictures[0]))
    (axes,) = figure.axes
    axes.set_axis_on()
    middles = (np.arange(len(rows)) + 0.5) * (pictures[0].shape[1] + 1)
    axes.set_yticks(middles, rows)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    shape = 0.82 * width * len(rows) / len(pictures[0])
    figure.set_size_inches(width, shape)
    plt.show()


def interval(values):
    """Mean and half of its 95% interval (Student's t)."""
    mean, error = vh.mean_and_error(values)
    return mean, error * stats.t.ppf(0.975, len(values) - 1)


# %% tags=["plumbing"] mystnb={"image": {"alt": "Five rows of ten pictures. The test images; reconstructions with J = 5, in which some digits are blurred or other digits; reconstructions with J = 20, each with its own strokes; samples with J = 5, soft but mostly legible; samples with J = 20, firm strokes of which many are no digit."}}
show_rows(
    {
        "test images": strip("s1-j5")[1],
        "back, J = 5": strip("s1-j5")[2],
        "back, J = 20": strip("s1-j20")[2],
        "samples, J = 5": strip("s1-j5")[0],
        "samples, J = 20": strip("s1-j20")[0],
    }
)

# %% [markdown]
# Test digits, what comes back, and draws from the prior.
#
# **What you will be able to do**
#
# - say what fresh coins teach an encoder, and what they do not teach a decoder;
# - choose the number of latent dimensions, and know what more of them cost;
# - compare likelihoods for colours, in bits.
#
# **What it needs.** [Chapter 3](03_conv_vae.ipynb). Twenty-five minutes to read, less than a minute to run on two CPU cores: the trainings are stored (`python experiments/run.py` makes them, and `seen_and_new.py` those of 21.2). ± is a 95% interval.
#
# ## 21.1 One network, four versions of its test images
#
# Take the dense network of [chapter 2](02_mlp_vae.ipynb), system S0. Train it four times, once on each version of the training images: grey levels, a threshold, coins tossed once (*fixed*) and coins tossed afresh in each epoch (*dynamic*, or fresh coins). Then test each of the four models on all four versions of the *same* test images. The numbers are test ELBOs in nats, averaged over three seeds.

# %% tags=["plumbing", "exact"]
versions = {  # short name: title
    "none": "grey levels",
    "threshold": "threshold",
    "fixed": "fixed",
    "dynamic": "dynamic",
}
runs = {trained: vh.stored(f"s0-{trained}") for trained in versions}
cross = np.array(
    [
        [
            np.mean([run["test_elbo_on"][tested] for run in found])
            for tested in versions
        ]
        for found in runs.values()
    ]
)  # [trained on, tested on]
vh.table(
    ["trained on ↓, tested on →", *versions.values()],
    [
        [title, *row]
        for title, row in zip(versions.values(), cross, strict=True)
    ],
    digits=1,
)

# %% tags=["check"]
vh.check(
    "each model's figure moves by more than 4 nats with the test version",
    np.ptp(cross, axis=1),
    4,
    relation=">",
)
vh.check(
    "every model looks best on thresholded images",
    cross[:, 1],
    cross[:, [0, 2, 3]].max(axis=1),
    relation=">",
)
vh.check(
    "on every version the model trained on fresh coins has the best bound",
    cross[3],
    cross[:3].max(axis=0),
    relation=">",
)

# %% [markdown]
# Read along a row. It is one model, not a weight is changed, and its figure moves by more than four nats, up to seven. Every model looks best on thresholded images. Why? For a given $z$ the reconstruction term is linear in $x$ (equation 2.4). So, averaged over the coins, an image of coins scores what its grey levels score. (The encoder's $z$ moves too, so these columns differ by less than two nats.) A threshold moves each pixel to the value that is likelier anyway, and a decoder that finds the same value likelier is paid for it. So "MNIST, −142 nats" means little without its version.
#
# Now read down a column. You might expect the diagonal to win, since each model is at home there. It does not: in *every* column the network trained on fresh coins (*dynamic*) has the highest bound. It has never seen a thresholded image, and is ahead on them by about three nats.
#
# ## 21.2 Fresh coins: who learns from them?
#
# Fresh coins work as *augmentation*: the network never sees the same image twice. But what gains, the encoder or the decoder? An image that was trained on has a higher bound than a new one. That can have two reasons: the *decoder* gives it a higher $\log p_\theta(x)$, or the *encoder* leaves a smaller gap below. With the exact likelihood of section 3.7 each can be measured. (Grey levels have no $\log p_\theta(x)$ of their own; there it is the same integral, of what the Bernoulli formula gives.) Here it is on all 10,000 test images and as many training images drawn at random, of the version that the model was trained on (`python experiments/seen_and_new.py`). For fresh coins, the training images get coins that the model has not seen.


# %% tags=["plumbing"] mystnb={"image": {"alt": "For each of the four versions a pair of bars: what a new image loses against a training image. The decoders' bars are too short to see. Encoders lose three nats on grey levels, five to seven on thresholded digits and fixed coins, and less than one on fresh coins."}}
def lost_on_new(run):
    """Nats that new images lose: of log p(x), and as wider gap."""
    seen, new = run["seen"], run["new"]
    p_seen, p_new = seen["log_likelihood"], new["log_likelihood"]
    gap_seen, gap_new = p_seen - seen["elbo"], p_new - new["elbo"]
    return p_seen - p_new, gap_new - gap_seen, gap_new


found = {
    version: np.transpose(
        [lost_on_new(run) for run in vh.stored(f"seen-{version}")]
    )
    for version in versions
}
lost = {version: columns[0] for version, columns in found.items()}
grown = {version: columns[1] for version, columns in found.items()}
figure, axes = plt.subplots(figsize=(6, 3.2))
parts = ((lost, "decoder: log p(x) falls", GREEN, -0.2),)
parts += ((grown, "encoder: the gap grows", BLUE, 0.2),)
for part, label, color, shift in parts:
    places = np.arange(4) + shift
    heights = [part[version].mean() for version in versions]
    axes.bar(places, heights, 0.38, color=color, label=label)
    for place, version in zip(places, versions, strict=True):
        dots = part[version]
        axes.plot([place] * len(dots), dots, "k.", ms=5)
axes.axhline(0, color="black", lw=1)
axes.set_xticks(range(4), versions.values())
axes.set_ylabel("lost on new images, nats")
axes.legend(loc="upper left")
axes.set_ylim(top=1.4 * max(map(np.max, grown.values())))
plt.show()

# %% tags=["check"]
others = ("none", "threshold", "fixed")
seen_and_new = [run for v in versions for run in vh.stored(f"seen-{v}")]
by_choice = 1.96 * max(
    np.hypot(
        *(run[side]["log_likelihood_error"] for side in ("seen", "new"))
    )
    for run in seen_and_new
)
vh.check(
    "seen or new, log p(x) is the same within a quarter of a nat",
    np.abs(np.concatenate(list(lost.values()))),
    0.25,
    relation="<",
)
vh.check("the choice of images is worth ±", by_choice, 1.25, atol=0.05)
of_new = [run["new"]["log_likelihood_error"] for run in seen_and_new]
spread = np.mean(of_new) * np.sqrt(10_000)
vh.check("log p(x) spreads from image to image by", spread, 45, atol=2)
vh.check(
    "without fresh coins the gap grows by more than two nats",
    np.concatenate([grown[version] for version in others]),
    2,
    relation=">",
)
vh.check(
    "with fresh coins by less than one",
    grown["dynamic"],
    1,
    relation="<",
)
for version, nats in (("fixed", 7.6), ("dynamic", 4.1)):
    vh.check(
        f"the gap of new images, {version} coins",
        found[version][2].mean(),
        nats,
        atol=0.05,
    )


# %% [markdown]
# Each dot is a training, three for each version. **The decoder loses nothing that shows.** New images and those it was trained on differ by less than a quarter of a nat of $\log p_\theta(x)$. (Which 10,000 images were drawn is worth ±1.3, so a loss of a nat could not show.) What a new image loses, it loses as *gap*: three nats on grey levels, five to seven on thresholded digits and on fixed coins. The decoder knows digits; the encoder knows *these* digits. [Zhang et al. 2022](../book/bibliography.md) report the same of larger models, whose $\log p_\theta(x)$ they have to estimate.
#
# With fresh coins the gap grows by less than a nat. The test images of *fixed* and *dynamic* have the same distribution, so here you may compare across: the gap is 7.6 nats against 4.1. Do the other systems gain, too? S1 and S4 are convolutional; S2, with dropout, and S3 are the dense networks of [chapter 6](06_case_studies.ipynb).
#
# > **Note.** Take a fair sample. $\log p_\theta(x)$ differs from image to image by a standard deviation of 45 nats, and the first images of MNIST's two sets are not typical of the rest.


# %% tags=["plumbing", "exact"]
def difference(one, other, key):
    """Of two stored runs' means over the seeds; half its interval."""
    samples = (
        [run[key] for run in vh.stored(name)] for name in (one, other)
    )
    welch = stats.ttest_ind(*samples, equal_var=False)
    low, high = welch.confidence_interval()
    return (low + high) / 2, (high - low) / 2


keys = ("test_elbo", "test_log_likelihood")
fresh_less_fixed = {
    s: [difference(f"{s}-dynamic", f"{s}-fixed", key) for key in keys]
    for s in ("s0", "s1", "s2", "s3", "s4")
}
vh.table(
    ["fresh coins less fixed ones, nats", "ELBO", "log p(x)"],
    [[s.upper(), *pairs] for s, pairs in fresh_less_fixed.items()],
    digits=1,
)

# %% tags=["check"]
(of_bound, half), (of_likelihood, _) = fresh_less_fixed["s0"]
vh.check(
    "fresh coins raise the bound of S0 by more than 2.5 nats",
    of_bound,
    2.5,
    relation=">",
)
vh.check("that is more than its interval", of_bound, half, relation=">")
vh.check(
    "and move its log p(x) by less than one",
    abs(of_likelihood),
    1,
    relation="<",
)
vh.check(
    "no system gains likelihood that three seeds could show",
    [mean - half for _, (mean, half) in fresh_less_fixed.values()],
    0,
    relation="<",
)

# %% [markdown]
# No gain of $\log p_\theta(x)$ shows for S0: −0.4 ± 1.7 nats. Fresh coins made an encoder that copes better with images it has not seen, and *that* is its lead of three nats in the bound. Of bound S3 gains two nats, barely more than its interval, S2 with its dropout less than one, and S1 and S4, trained for ten epochs, nothing that shows. Of likelihood none of the five gains what three seeds could show. That fits: fresh coins keep an encoder from learning its training images by heart, and a network that had no time for that, or dropout, has less to gain.
#
# > **Note.** Three limits. With fresh coins even the "seen" images have new coins, so the last pair of the figure is not measured quite like the others. A training image may have a smaller gap because the decoder gives it a rounder posterior, which any encoder fits better. And all of this is measured with $J = 2$: a larger network with more latent numbers may well gain likelihood too.
#
# ## 21.3 Clothes
#
# The tutorial behind S1 ([chapter 3](03_conv_vae.ipynb)) ends by naming what to try next: other data, wider layers, a larger latent space. Here it is tried, with one seed unless three are named. Fashion-MNIST has the format of MNIST and shows clothes. The network is S1 with $J = 2$, trained for ten epochs: once on clothes cut at one half, once on their grey levels. In the table *s1-threshold* is the same with digits.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Ten pieces of clothing in four rows. Cut at one half, a checked shirt becomes a scatter of dots and a sandal a few strokes; the reconstructions are smooth, blurred shapes. In grey levels shirt and sandal can be recognised; the reconstructions keep the outline and the brightness of each piece, and no letters, checks or straps."}}
names = {"threshold": "s1-fashion", "grey levels": "s1-fashion-grey"}
rows = {}
for title, name in names.items():
    rows[title] = strip(name)[1]
    rows[f"back, {title}"] = strip(name)[2]
show_rows(rows)

# %% tags=["plumbing", "exact"]
rows = []
for name in ("s1-threshold", "s1-fashion", "s1-fashion-grey"):
    run = vh.stored(name)[0]
    figures = ("test_elbo", "test_kl", "test_log_likelihood")
    rows.append([name, *(run[key] for key in figures)])
rows[-1][-1] = "none"
vh.table(["run", "test ELBO", "KL", "exact log p(x)"], rows, digits=1)

# %% tags=["check"]
grey = vh.load_fashion_mnist().test / 255.0
entropy = -xlogy(grey, grey) - xlogy(1 - grey, 1 - grey)
vh.check(
    "the grey levels of the test images, read as coins, have 190 nats",
    entropy.sum((1, 2, 3)).mean(),
    190,
    atol=0.9,
)
grey_cost = -vh.stored("s1-fashion-grey")[0]["test_elbo"]
vh.check("of what a grey image costs", 190 / grey_cost, 0.7, atol=0.01)

# %% [markdown]
# A threshold does not suit clothes: the checked shirt falls apart, the dark sandal almost disappears. In grey levels they are whole, and the network gives back a rough outline and the brightness; letters, checks and straps are gone, and the sandal returns as a shoe. Do not compare the two bounds. The Bernoulli formula reads a grey level as a coin and pays for its uncertainty. For digits that is 45.5 nats an image ([section 3.1](03_conv_vae.ipynb)), since they are nearly black and white. For clothes it is 190, seven tenths of what a grey image costs. (So the table gives none of them a $\log p(x)$.) [The page on grey levels](17_grey_levels.ipynb) says what such a bound optimises.
#
# ## 21.4 More latent dimensions
#
# $J = 2$ is for looking at. Now let $J$ grow to 50, in the convolutional network (thresholded digits, ten epochs) and in the dense one of chapter 2 (grey levels, fifty epochs). Compare bounds within a line only: the two networks differ in data and schedule. For $J = 2$, 20 and 50 there are three seeds, and the figures are means.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels against J from 2 to 50, a line for the convolutional and one for the dense network. The test ELBO rises steeply up to J = 10 and not at all after 20. The KL divergence grows from about 6 nats to 23 for the dense network, where it stays, and to 37 for the convolutional one."}}
dimensions = [2, 5, 10, 20, 50]
more = ["s1-j5", "s1-j10", "s1-j20", "s1-j50"]
dense = ["s0-j5", "s0-j10", "s0-j20", "s0-j50"]
sweeps = {
    "convolutional": ["s1-threshold", *more],
    "dense": ["s0-none", *dense],
}
sweeps = {
    title: [vh.stored(name) for name in names]
    for title, names in sweeps.items()
}


def over_seeds(found, key):
    """Mean and half its interval, of one seed the figure alone."""
    return interval([run[key] for run in found])


marks = zip(sweeps.items(), ("o-", "s--"), (ORANGE, BLUE), strict=True)
figure, panels = plt.subplots(2, 1, figsize=(6, 5), sharex=True)
for (title, found), mark, color in marks:
    for panel, key in zip(panels, ("elbo", "kl"), strict=True):
        values = [over_seeds(runs, f"test_{key}")[0] for runs in found]
        panel.plot(dimensions, values, mark, color=color, label=title)
panels[1].set(xscale="log", xlabel="latent dimensions J")
panels[1].set(xticks=dimensions, xticklabels=dimensions)
panels[1].minorticks_off()
panels[0].set_ylabel("test ELBO, nats")
panels[1].set_ylabel("KL term, nats")
panels[1].legend()
plt.show()

# %% tags=["plumbing", "exact"]
vh.table(
    ["network", "J", "test ELBO", "KL", "active"],
    [
        [title, j]
        + [
            over_seeds(runs, key)
            for key in ("test_elbo", "test_kl", "active_units")
        ]
        for title, found in sweeps.items()
        for j, runs in zip(dimensions, found, strict=True)
    ],
    digits=1,
)

# %% tags=["plumbing", "exact"]
keys = ("test_elbo", "test_kl", "test_log_likelihood_500")
beyond = {
    title: [difference(f"{s}-j50", f"{s}-j20", key) for key in keys]
    for title, s in (("convolutional", "s1"), ("dense", "s0"))
}
vh.table(
    ["from J = 20 to 50, nats", "ELBO", "KL", "log p(x)"],
    [[title, *row] for title, row in beyond.items()],
    digits=1,
)

# %% tags=["check"]
elbos, kls = (
    np.array(
        [[over_seeds(runs, key)[0] for runs in f] for f in sweeps.values()]
    )
    for key in ("test_elbo", "test_kl")
)
vh.check(
    "up to J = 20 both networks gain more than 40 nats",
    elbos[:, 3] - elbos[:, 0],
    40,
    relation=">",
)
vh.check(
    "at each step the convolutional reconstruction gains, nats",
    np.diff(elbos[0] + kls[0]),
    3,
    relation=">",
)
gaps_of_20, gaps_of_50 = (
    [run["test_log_likelihood_500"] - run["test_elbo"] for run in runs]
    for runs in sweeps["convolutional"][3:]
)
vh.check(
    "J = 50, convolutional: the least gap less the widest of J = 20",
    min(gaps_of_50) - max(gaps_of_20),
    1,
    relation=">",
)
bound, _, likelihood = np.transpose([*beyond.values()])[0]
vh.check("from 20 to 50, bounds", bound, [-1.1, 0.4], atol=0.05)
vh.check("and log p(x)", likelihood, 0.5, atol=0.1)

# %% [markdown]
# A larger KL term is the price, and up to $J = 20$ the reconstruction pays back more than it costs. From 20 to 50 little is gained: 0.4 ± 0.3 nats in the dense network. In the convolutional one the bound even falls, by 1.1 ± 1.1 nats, while $\log p_\theta(x)$ shows no fall, +0.5 ± 0.9: the encoder leaves a wider gap. ($\log p_\theta(x)$ is estimated with 500 draws, so it is too low, and more so with 50 numbers.)
#
# But the two networks leave the surplus in different states. The dense one switches most of it off: with $J = 50$ it uses some 19 dimensions, and the others stay at the prior and cost nothing ([chapter 2](02_mlp_vae.ipynb) says what counts as "active"). The convolutional one, after ten epochs with a step size of $10^{-4}$, uses all fifty, and pays six nats more KL for five nats of reconstruction. (Network, data and training all differ: which of them makes the difference was not tried.)
#
# ## 21.5 Better reconstructions, worse samples
#
# The picture at the top of this page shows what $J$ does. Here are the samples for all of them: points drawn from the prior and decoded. The pictures are pixel means, not coins.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Four rows of ten samples, with J = 5, 10, 20 and 50. With 5 they are soft: most can be read, some are a blur of two digits. With 20 and 50 the strokes are firm, and many shapes are no digit at all."}}
titles = [f"J = {j}" for j in dimensions[1:]]
shown = (strip(name)[0] for name in more)
show_rows(dict(zip(titles, shown, strict=True)))

# %% [markdown]
# Do they get worse? Measure it: count in how many of the 784 pixels a picture, cut at one half, differs from the *nearest* of the 60,000 training images. Something that looks like a digit should have a digit nearby. Each figure for samples is a mean over twenty. For $J = 2$ a stored network stands in, S4 after fifty epochs.

# %%
seen = vh.binarize(images.train, "threshold").reshape(60_000, -1)
inked = seen.sum(axis=1)


def pixels_to_nearest(pictures):
    """To the nearest training image: mean and half its interval."""
    flat = np.float32(np.reshape(pictures, (len(pictures), -1)) >= 0.5)
    differ = flat.sum(axis=1)[:, None] + inked - 2 * flat @ seen.T
    return interval(differ.min(axis=1))


# %% tags=["plumbing", "nbval-ignore-output"]
some = np.random.default_rng(0).permutation(len(x_test))[:300]
away = {"test images": pixels_to_nearest(x_test[some])}
flat_model = vh.conv_vae(latent_dim=2, scale="softplus")
flat_model.load_weights("../experiments/results/s4-long-seed0.weights.h5")
two = flat_model.sample(20, seed=1).numpy()
away["samples, J = 2 (S4)"] = pixels_to_nearest(two)
for name, j in zip(more, dimensions[1:], strict=True):
    pictures = strip(name, columns=20)[0]
    away[f"samples, J = {j}"] = pixels_to_nearest(pictures)
vh.table(
    ["pictures", "pixels to the nearest"], list(away.items()), digits=0
)

# %% tags=["check"]
vh.check(
    "samples with J = 2 lie about as near as test images",
    away["samples, J = 2 (S4)"][0],
    away["test images"][0],
    atol=9,
)
vh.check(
    "with J = 20 they lie more than 10 pixels farther than with J = 5",
    away["samples, J = 20"][0],
    away["samples, J = 5"][0] + 10,
    relation=">",
)
vh.check(
    "with J = 50 more than 10 pixels farther than test images",
    away["samples, J = 50"][0],
    away["test images"][0] + 10,
    relation=">",
)

# %% [markdown]
# Test images, which no network has seen, lie 36 pixels from their nearest neighbour. Samples with $J = 2$ and $J = 5$ lie about as near, with $J = 20$ and 50 some twenty pixels farther. (± is of twenty samples of one network each: it does not tell 20 from 50.) So the impression is right, with one reservation: the measure does not see blur. A soft mixture of a six and an eight, cut at one half, is a smooth shape that lies near some digit. What it does see is strokes where no digit has them.
#
# Why? The decoder is trained where the encoder puts its $z$. Are the prior's draws elsewhere? It is tempting to read that off the KL term, 31 nats with $J = 20$. Its mean is a sum of two parts ([the page on the aggregate posterior](15_aggregate_posterior.ipynb) proves it): what $z$ says about *which* image it was, and the divergence of all the codes together, the aggregate posterior, from the prior. Which of 10,000 images it was takes $\log 10{,}000 = 9.2$ nats to say, and $z$ cannot say more. So the codes of the test images lie nearly 22 nats from the prior, or more.

# %% tags=["check"]
kl_of_20 = over_seeds(sweeps["convolutional"][3], "test_kl")[0]
vh.check(
    "J = 20: the codes of the test images lie nearly 22 nats off the prior",
    kl_of_20 - np.log(10_000),
    21.7,
    atol=0.1,
)
vh.check(
    "of 60,000 images with the same KL term still 20",
    kl_of_20 - np.log(60_000),
    20,
    atol=0.3,
)

# %% [markdown]
# But these nats prove nothing. Invent a perfect encoder: the codes of *all possible* images together are exactly the prior. In each dimension an image has the cloud $\mathcal{N}(c, \sigma^2)$, with centres $c$ from $\mathcal{N}(0, 1 - \sigma^2)$. Its KL term is then $-\log \sigma$ a dimension, so choose the $\sigma$ that gives our 31 nats. Take 10,000 of its clouds, and measure how far they lie from the prior.


# %%
sigma = np.exp(-kl_of_20 / 20)  # so that J = 20 has the same KL term


def perfect_clouds_off_prior(j):
    """log(q(z)/p(z)) of 1,000 z from 10,000 perfect clouds in J = j."""
    rng = np.random.default_rng(j)
    centres = rng.normal(size=(10_000, j)) * np.sqrt(1 - sigma**2)
    z = centres[:1000] + sigma * rng.normal(size=(1000, j))
    squares = (z**2).sum(1)[:, None] + (centres**2).sum(1)
    log_q = -(squares - 2 * z @ centres.T) / (2 * sigma**2)
    log_q = logsumexp(log_q, axis=1) - np.log(10_000)
    log_q -= j / 2 * np.log(2 * np.pi * sigma**2)
    return log_q - stats.norm.logpdf(z).sum(axis=1)


# %% tags=["plumbing"] mystnb={"image": {"alt": "Nats against J from 2 to 20. The KL term of a perfect encoder's clouds is a straight line from 3 to 31. The distance of 10,000 of its clouds from the prior stays near zero up to J = 5 or so and then rises beside it, some nine nats lower, to 22."}}
js = [2, 4, 6, 8, 10, 15, 20]
perfect = [interval(perfect_clouds_off_prior(j)) for j in js]
distance, half = np.transpose(perfect)
figure, axes = plt.subplots(figsize=(6, 2.8))
axes.plot(js, -np.log(sigma) * np.array(js), color=ORANGE, label="KL term")
axes.errorbar(
    js, distance, half, fmt="o-", color=BLUE, label="10,000 clouds off p(z)"
)
axes.set(xlabel="latent dimensions J", ylabel="nats", xticks=js)
axes.legend()
plt.show()

# %% tags=["check"]
vh.check(
    "J = 20: a perfect encoder's clouds lie as far off the prior",
    distance[-1],
    kl_of_20 - np.log(10_000),
    atol=2 * half[-1],
)
vh.check("with J = 2 they fill it", distance[0], 0, atol=0.1)

# %% [markdown]
# Just as far. In two dimensions 10,000 narrow clouds fill the prior; in twenty they leave most of it empty, even where the clouds of new images would fill it. So the KL term cannot tell whether the prior's draws fall into *holes*, where no image has its code; exercise 2 shows another way to be fooled. That samples lie farther from any digit is what the pixels measured; why they do, they do not say. If it is holes, another prior helps, or another objective ([Makhzani et al. 2015](../book/bibliography.md)); both lie beyond this book.
#
# Which $J$, then? For the bound, where it stops rising: here 20. For samples fewer, such as 5.
#
# ## 21.6 Wider layers
#
# The tutorial suggests more filters, up to 512 in each layer. Count before you start.


# %% tags=["plumbing", "exact"]
def multiplications(network):
    """Multiply-adds of an image: a kernel's weights at all its places."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dense):
            total += np.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Conv2DTranspose):
            places = np.prod(layer.input.shape[1:3])
            total += np.prod(layer.kernel.shape) * places
        elif isinstance(layer, keras.layers.Conv2D):
            places = np.prod(layer.output.shape[1:3])
            total += np.prod(layer.kernel.shape) * places
    return int(total)


rows = []
for filters in ((32, 64), (64, 128), (512, 512)):
    wide = vh.conv_vae(latent_dim=2, filters=filters)
    work = multiplications(wide.encoder) + multiplications(wide.decoder)
    title = f"{filters[0]} and {filters[1]}"
    rows.append([title, wide.count_params(), work / 1e6])
heads = ["filters", "weights", "million multiplications an image"]
vh.table(heads, rows, digits=1)

# %% tags=["check"]
s1 = vh.stored("s1-threshold")
s1_elbos = [run["test_elbo"] for run in s1]
wide = vh.stored("s1-wide")[0]
vh.check(
    "64 and 128 filters bring 2 nats of test ELBO (seed 0)",
    wide["test_elbo"] - s1[0]["test_elbo"],
    2,
    atol=0.3,
)
vh.check(
    "they lead every stored seed of the narrow one by more than a nat",
    wide["test_elbo"] - max(s1_elbos),
    1,
    relation=">",
)

# %% [markdown]
# Four times the work buys two nats: the one wide network leads all three narrow ones by more than a nat. Fifty epochs, five times the work, brought S4, a narrow network too, more than six nats beyond its first ten ([the second recipe](22_second_recipe.ipynb)). So training longer seems to pay better at this point. What both together bring was not tried. The 512 filters take 122 times the work of the first row, and were not run for this book.
#
# ## 21.7 Colour
#
# CIFAR-10 has 50,000 training images of 32 × 32 pixels in three channels. `vh.load_cifar10()` fetches it once (up to 170 MB). Convolutions take three channels as they took one. Here $J = 64$, with ten epochs of Adam, $M = 32$ and a step size of $10^{-3}$:
#
# ```python
# images = vh.load_cifar10()
# model = vh.conv_vae(
#     latent_dim=64, image_shape=(32, 32, 3), likelihood="gaussian"
# )
# ```
#
# But which likelihood? A pixel of a photograph is no coin: few are black or white. Two densities are at hand. The **Gaussian** has a mean and a standard deviation of its own for every pixel and channel. `vh` keeps the latter above one grey level, $1/255$: a finer width has no meaning in the data, and the density could grow without bound. The **continuous Bernoulli** ([Loaiza-Ganem & Cunningham 2019](../book/bibliography.md); [the page on grey levels](17_grey_levels.ipynb) derives it) is $y^{x}(1-y)^{1-x}$, with $y$ from the decoder, times the constant that makes it a density on $[0, 1]$; it has no width to learn.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Eight photographs in five rows. The test images; two rows of blurred reconstructions that look alike and keep the colours and the rough shapes; samples of the continuous Bernoulli, which are coloured blotches; samples of the Gaussian, also blotches, in calmer colours."}}
names = ("cifar-continuous-bernoulli", "cifar-gaussian")
one, other = (strip(name, columns=8) for name in names)
show_rows(
    {
        "test images": one[1],
        "back, cont.\nBernoulli": one[2],
        "back, Gaussian": other[2],
        "samples, cont.\nBernoulli": one[0],
        "samples,\nGaussian": other[0],
    }
)

# %% [markdown]
# Both are densities of the same numbers, so here the bounds may stand in one column. Densities have no natural zero; *bits* are easier to read. The file has 256 levels. The probability of a level is about the density divided by 256, as long as the density changes little within it ([Theis et al. 2016](../book/bibliography.md)). So one number costs $8 - \log_2(\text{density})$ bits. Guessing all levels alike costs 8.

# %% tags=["plumbing", "exact"]
cifar = {name: vh.stored(name)[0] for name in names}
nats_a_bit = 32 * 32 * 3 * np.log(2)  # of a whole image
bits = {
    name: 8 - run["test_elbo"] / nats_a_bit for name, run in cifar.items()
}
heads = ["run", "test ELBO", "bits", "KL", "active"]
rows = [
    [
        name.removeprefix("cifar-"),
        f"{run['test_elbo']:,.0f}",
        bits[name],
        f"{run['test_kl']:.0f}",
        run["active_units"],
    ]
    for name, run in cifar.items()
]
vh.table(heads, rows)

# %% [markdown]
# The reconstructions of the two can hardly be told apart; the samples are blotches, garish ones and calmer ones. The bounds differ by more than two thousand nats, a whole bit for each number. Why? The Gaussian can say *how sure* it is of each number. The continuous Bernoulli cannot: for a mid-grey its density is at most 1, whatever its parameter, and that is 8 bits. How much is lost in this way? Tell the continuous Bernoulli the true number, and let it choose its best parameter. (The levels 0 and 255 are left out: there its density has no highest value.) Beside it stands a Gaussian that is told the number and is as narrow as `vh` allows.

# %% tags=["check"]
levels = np.arange(1, 255) / 255  # without the two ends
logits = np.linspace(-300, 300, 3001)[:, None]
bernoulli = tfd.ContinuousBernoulli(logits=logits, dtype=np.float64)
best = bernoulli.log_prob(levels).numpy().max(axis=0)
pixels = np.rint(255 * strip(names[0], columns=20)[1]).astype(int)
inner = pixels[(pixels > 0) & (pixels < 255)]
limit = 8 - best[inner - 1].mean() / np.log(2)
gaussian_limit = 8 - np.log2(255 / np.sqrt(2 * np.pi))
vh.check(
    "told each number, the continuous Bernoulli still pays 7.2 bits",
    limit,
    7.2,
    atol=0.05,
)
of_bernoulli, of_gaussian = bits.values()
assert of_bernoulli < limit + 0.5
vh.check("the Gaussian's pays less", of_gaussian, limit, relation="<")
vh.check(
    "far more than a Gaussian one grey level wide, told each number",
    of_gaussian,
    gaussian_limit,
    relation=">",
)

# %% [markdown]
# On the inner levels of these twenty photographs, even a decoder that knew every number would pay 7.2 bits with the continuous Bernoulli. Guessing costs 8, so there is little to be saved. On all levels of the test images this network saves 0.6 bits; the Gaussian saves 1.6 and is far from its limit, at which it pays 1.3. So here the likelihood decides the bound, and the reconstructions do not show it.

# %% [markdown]
# ## What we measured

# %% tags=["plumbing", "exact"]
by_j = sweeps["convolutional"]
rows = [
    ["fresh coins, S0: ELBO, log p(x)", "+3.2, −0.4 nats", "none given"],
    [
        "test ELBO, J = 2",
        over_seeds(by_j[0], "test_elbo"),
        "−156.8; −155.9 (3.5)",
    ],
    ["test ELBO, J = 20", over_seeds(by_j[3], "test_elbo"), "none given"],
    ["64 and 128 filters, J = 2", wide["test_elbo"], "none given"],
    ["CIFAR-10, continuous Bernoulli, bits", of_bernoulli, "none given"],
    ["CIFAR-10, Gaussian, bits", of_gaussian, "none given"],
]
rows[0][1] = f"{of_bound:+.1f}, {of_likelihood:+.1f}".replace("-", "−")
vh.table(["stored runs", "here", "published"], rows, digits=1)

# %% tags=["plumbing", "nbval-ignore-output"]
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - fresh coins that teach the encoder to find $z$ for new images, without a gain of $\log p_\theta(x)$ that three seeds could show;
# - a bound that grows up to twenty latent numbers, samples that are worse with twenty than with five, and reconstructions that get better all the way;
# - two likelihoods for colours, a whole bit apart, whose reconstructions look alike.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. Why a threshold pays** (10 min, by hand). A pixel has the grey level $g = 0.7$ and the decoder says $y = 0.7$. What is its mean reconstruction term in nats when the pixel is read as a grey level, as a fresh coin, and cut at one half? Why is the last one the highest?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Grey level: $0.7 \log 0.7 + 0.3 \log 0.3 = -0.611$. Coin: with probability 0.7 it is white and scores $\log 0.7$, else $\log 0.3$: the same on average, since the term is linear in $x$. Cut at one half: always white, $\log 0.7 = -0.357$. The threshold replaces the coin by its likelier side, and the decoder that believes in that side is paid every time.
#
# </details>

# %% tags=["solution"]
coin = 0.7 * np.log(0.7) + 0.3 * np.log(0.3)
vh.check("grey level and coin", coin, -0.611, atol=5e-4)
vh.check("threshold", np.log(0.7), -0.357, atol=5e-4)

# %% [markdown] tags=["exercise"]
# **2. Far out, without holes** (10 min, by code). Let the codes have the density $\tfrac12 \mathcal{N}(0, 1) + \tfrac12 \mathcal{N}(7.7, 1)$ in one dimension. Compute its divergence from the prior $\mathcal{N}(0, 1)$ by summing over a fine grid. Is there a hole where the prior draws?

# %% tags=["exercise", "exact"]
z = np.linspace(-10, 20, 30_001)


def kl_to_prior(z):
    """KL(codes ‖ prior) in nats, summed over the grid z."""
    return ...  # your lines


print("yours:", kl_to_prior(z), "expected: 14.13")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# ```python
# log_p = stats.norm.logpdf(z)
# log_far = stats.norm.logpdf(z, 7.7)
# log_q = np.logaddexp(log_p, log_far) - np.log(2)
# return np.sum(np.exp(log_q) * (log_q - log_p)) * (z[1] - z[0])
# ```
#
# 14.13 nats, and no hole: at every $z$ the codes have at least half of the prior's density. A large divergence says that codes go where the prior seldom goes. Whether the prior goes where no codes are is the other divergence, $\mathrm{KL}(p \,\Vert\, q)$: here at most $\log 2$.
#
# </details>

# %% tags=["solution"]
log_p = stats.norm.logpdf(z)
log_far = stats.norm.logpdf(z, 7.7)
log_q = np.logaddexp(log_p, log_far) - np.log(2)
step = z[1] - z[0]
forward = np.sum(np.exp(log_q) * (log_q - log_p)) * step
back = np.sum(np.exp(log_p) * (log_p - log_q)) * step
vh.check("KL(codes ‖ prior)", forward, 14.13, atol=0.005)
vh.check("KL(prior ‖ codes)", back, np.log(2), relation="≤")

# %% [markdown] tags=["exercise"]
# **3. Bits of a uniform guess** (5 min, by hand). A density says 1 for every number on $[0, 1]$. What is its bound for a CIFAR-10 image in nats, and how many bits a number does that make? And a network with a bound of 3,502 nats?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The logarithm of 1 is 0, so the bound is 0 nats: 8 bits a number, the price of guessing. An image has 3,072 numbers, so 3,502 nats are $3502/(3072 \log 2) = 1.64$ bits a number less: 6.36.
#
# </details>

# %% tags=["solution"]
vh.check("bits", 8 - 3502 / (3072 * np.log(2)), 6.36, atol=0.005)

# %% [markdown]
# ## What to read next
#
# [The second recipe](22_second_recipe.ipynb) trains S4. [The page on the aggregate posterior](15_aggregate_posterior.ipynb) has the split of the KL term. Back to [the scoreboard of chapter 3](03_conv_vae.ipynb).
