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
# # 5. Animations
#
# **Digits come out of the fog. In the first epoch the latent plane pulls itself together and, while it does, begins to sort them. And a straight walk between two codes looks blurred mostly because its $z$ is short.**
#
# A table says what a model is worth after training. A film shows how it got there.

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

# %% tags=["plumbing", "nbval-ignore-output"] mystnb={"image": {"alt": "Film of eleven frames, before training and after each of ten epochs: sixteen draws from the prior and, below, eight thresholded test digits above their reconstructions; the rows are labelled. Before training all is uniform grey; after one epoch there are blurred ovals and strokes; then more and more pictures can be read as digits, but some stay blurred to the end, and the fours are reconstructed as nines."}}
import vae_helpers as vh
from vae_helpers import animation

import json
import time
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, display
from matplotlib.figure import Figure
from PIL import Image as Picture
from scipy import stats
from scipy.special import xlogy

vh.use_book_style()
keras.utils.set_random_seed(0)
started = time.monotonic()
films = Path("films")  # what this page writes
films.mkdir(exist_ok=True)
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"

images = vh.load_mnist()
x_test = vh.binarize(images.test, "none")
threshold = vh.binarize(images.test, "threshold")

# What the stored run of S1 kept for its film: see section 5.4.
with np.load("../experiments/results/s1-threshold-seed0.npz") as arrays:
    columns = [arrays[name] for name in animation.Snapshot._fields]
epochs = [animation.Snapshot(*row) for row in zip(*columns, strict=True)]

frames = list(
    animation.paint_pictures(epochs, columns=8, originals=threshold[:8])
)
vh.write_gif(frames, films / "epochs.gif", fps=2, hold_last=2)
Image(vh.write_animation(frames, films / "epochs.png", fps=2, hold_last=2))

# %% [markdown]
# Ten epochs of the convolutional network S1. This chapter makes six such films. Where a film suggests a story, a number checks it; more than one story did not survive.
#
# **What you will be able to do**
#
# - write a Keras callback that looks into a model while it trains, and know what it costs;
# - film a latent space, and measure when the classes come apart;
# - walk through a latent space on paths that stay where the prior has its mass;
# - see, and measure, why a gradient is quiet when the noise stays fixed while $\mu$ and $\sigma$ move;
# - write a film as a GIF, an animated PNG or an MP4, and know what each costs.
#
# **What it needs.** [Chapter 2](02_mlp_vae.ipynb), and for sections 5.4 and 5.5 the first half of [chapter 3](03_conv_vae.ipynb), which introduces S1 and thresholded digits. Half an hour to read; one to two minutes on two CPU cores, and about 2 GiB of memory.
#
# ## 5.1 Look into a model while it trains
#
# Keras calls a *callback* at fixed moments of `fit`: before training, after each batch, after each epoch. The callback can reach the model as `self.model`. So the recipe for a film is short: at each moment, ask the model for what you want to see.
#
# The recipe gets better when it is cut in two. While the model trains, only **collect** small arrays. **Paint** them afterwards, when you know how many there are and how large the axes have to be.


# %%
class Means(keras.callbacks.Callback):
    """Keeps μ of the same images after every third batch."""

    def __init__(self, x, every=3):
        super().__init__()
        self.x, self.every, self.frames = x, every, []

    def on_train_batch_end(self, batch, logs=None):
        if (batch + 1) % self.every == 0:
            self.frames.append(self.model.posterior(self.x).mean().numpy())


# %% [markdown]
# That is a whole callback. `vh.LatentFrames` is the same with two additions: it notes the batch and the mean ELBO since the last moment, for the caption, and it compiles the encoder, which makes it faster. `vh.SampleFrames` collects pictures instead: decoded draws from the prior, always the same draws, and reconstructions.
#
# Train S3, a dense network with one hidden layer of 256 units ([chapter 6](06_case_studies.ipynb)), with all three looking on, from random weights. The scatter and the curves watch 300 test images, which fill a picture well enough; encoding all 10,000 would take longer than the three training steps between two frames.

# %% tags=["nbval-ignore-output"]
x, labels = x_test[:300], images.test_labels[:300]
originals = x_test[:4]

model = vh.mlp_vae(latent_dim=2, hidden=(256,), seed=0)
model.compile(keras.optimizers.RMSprop(), objective=vh.sgvb_b)
means = Means(x)
latents = vh.LatentFrames(x, every=3)
samples = vh.SampleFrames(originals, samples=8, every=3)

model.fit(
    vh.batches(images.train, 100, seed=0),
    epochs=1,
    callbacks=[means, latents, samples],
    verbose=0,
)
print(latents.snapshots[-1].caption)

# %% tags=["check"]
moments = latents.snapshots[1:]  # the first one is from before training
assert [s.batch for s in moments] == list(range(3, 601, 3))
vh.check(
    "the callback above and vh.LatentFrames saw the same 200 moments",
    means.frames,
    [s.values for s in moments],
    rtol=1e-3,
    atol=2e-3,
)

# %% [markdown]
# (The tolerance is that of 16-bit floats, in which `LatentFrames` stores its points: far less than a pixel.)
#
# > **Note.** One trap. [Chapter 6](06_case_studies.ipynb) trains S3 with 30 updates in one call from Python. A callback would then be called after every thirtieth update only, and this film would lose nine frames in ten without a word. So `vh.VAE.fit` looks at its callbacks first: with `Means` it runs one update a call, with `vh.LatentFrames(x, every=3)` alone it runs three. In plain Keras, leave `steps_per_execution` at 1 for a film.
#
# ## 5.2 The latent plane sorts itself out
#
# Now paint. Axes, labels and legend do not move, so matplotlib draws them once. Each frame is a copy of that background with 300 small discs on top. Every second moment is enough for the eye; the numbers below use all 200.

# %% tags=["nbval-ignore-output"] mystnb={"image": {"alt": "Film of 100 frames: 300 points in ten colours, one for each test image. They begin as a mixed heap in the upper left, partly beyond the edge, drift towards the origin, spread out there, and slowly separate: ones to the upper left, zeros to the right, sevens, nines and fours below on the left, the other digits mixed in the middle. A legend above names the ten colours."}}
second = moments[1::2]  # every sixth batch
frames = list(animation.paint_latents(second, labels, size=360))
vh.write_gif(frames, films / "latents.gif", fps=15)
Image(vh.write_animation(frames, films / "latents.png", fps=15))

# %% [markdown]
# The points begin far from the origin, in one mixed heap; the axes hold 99% of all coordinates, and what lies beyond them is drawn on the edge. The heap moves to the origin, and its colours come apart. Ones can be told by batch 100, zeros by batch 200; sevens still lie among nines, and the middle stays mixed to the end of the epoch.
#
# What is learned when? Three numbers tell.
#
# - The ELBO, held against a model without any latent variable: one that gives each pixel its mean over the training images as probability, whatever $x$ is.
# - The part of the KL term that pays for the distance from the origin, $\tfrac12 \lVert\mu\rVert^2$ ([chapter 1](01_theory.ipynb)).
# - How often a point's nearest neighbour, among the other 299, is the same digit. Pure chance gets about one in ten; an untrained encoder, which keeps like images near each other, gets 0.17.


# %%
def neighbour_accuracy(points, labels):
    """How often a point's nearest other point has the same label."""
    points = points.astype(np.float32)
    distance = np.sum((points[:, None] - points[None]) ** 2, axis=-1)
    np.fill_diagonal(distance, np.inf)
    return np.mean(labels[distance.argmin(axis=1)] == labels)


# %% tags=["plumbing", "nbval-ignore-output"] mystnb={"image": {"alt": "Three curves, one above the other, over the 600 batches of the epoch. The ELBO rises steeply in the first 50 batches and then slowly; around batch 80 it passes a dashed line, the mean image for every x, at about -206 nats. The mean of half the squared length of mu falls from about 40 nats to about 5 at batch 150 and about 2 at the end. The share of points whose nearest neighbour is the same digit rises from about 0.2 to 0.45, unevenly, until the end."}}
batch = np.array([s.batch for s in moments])
elbo = np.array([s.elbo for s in moments])
accuracy = np.array([neighbour_accuracy(s.values, labels) for s in moments])
places = np.array([s.values for s in moments]).astype(np.float32)
pull = np.mean(np.sum(places**2, axis=2), axis=1) / 2

mean_image = np.clip(images.train.mean(axis=0) / 255, 1e-6, 1 - 1e-6)
log_likelihood = xlogy(x_test, mean_image) + xlogy(
    1 - x_test, 1 - mean_image
)
without_z = np.mean(np.sum(log_likelihood, axis=(1, 2, 3)))
smooth = np.convolve(elbo, np.ones(5) / 5, mode="same")
passed = batch[np.argmax(smooth > without_z)]

figure, axes = plt.subplots(3, 1, figsize=(6, 5.6), sharex=True)
for axis, values, color, title in zip(
    axes,
    (elbo, pull, accuracy),
    (BLUE, ORANGE, GREEN),
    (
        "ELBO of the batches (nats)",
        "½‖μ‖², mean (nats)",
        "nearest neighbour is the same digit (share)",
    ),
    strict=True,
):
    axis.plot(batch, values, color=color)
    axis.set_title(title, fontsize=11)
label = f"the mean image for every x, {without_z:.0f} nats".replace(
    "-", "−"
)
axes[0].axhline(without_z, color="black", ls="--", label=label)
axes[0].legend(loc="lower right")
axes[1].set_ylim(0)
axes[2].set(ylim=(0, 0.6), xlabel="batch")
plt.show()


# %% tags=["check"]
def near(values, at):
    """The mean over the ten frames nearest to a batch."""
    closest = np.argsort(np.abs(batch - at), kind="stable")[:10]
    return values[closest].mean()


vh.check(
    "before training 0.17 of the points have a neighbour of their digit",
    neighbour_accuracy(latents.snapshots[0].values, labels),
    0.17,
    atol=0.03,
)
vh.check(
    "the ELBO passes that of the mean image within 150 batches",
    passed,
    150,
    relation="<",
)
vh.check(
    "from batch 15 to 200 half the squared length falls to under a fifth",
    near(pull, 200),
    near(pull, 15) / 5,
    relation="<",
)
vh.check(
    "by batch 100 that share has risen by over 0.1",
    near(accuracy, 100),
    near(accuracy, 15) + 0.1,
    relation=">",
)
saved = pull[0] - pull[-10:].mean()
vh.check(
    "on the way to the origin ½‖μ‖² falls by about 34 nats",
    saved,
    34,
    atol=8,
)
vh.check(
    "the bound gains over five times that",
    elbo[-10:].mean() - elbo[0],
    5 * saved,
    relation=">",
)

# %% [markdown]
# The first story that comes to mind is "first the heap is pulled in, then the classes come apart". The numbers say otherwise: the pull is ahead, but the two overlap. By batch 100 most of the pull is done, and a good part of the sorting.
#
# Nor is the pull what the bound mainly gains from. From the first frame to the last $\tfrac12\lVert\mu\rVert^2$ falls by about 34 nats, and the bound rises by some ten times as much. Most of that can be had without any latent variable. Below the dashed line the decoder can gain by learning what all digits share, a dark rim and a bright middle. What lies above it needs $z$.
#
# ## 5.3 Three views of the same epoch
#
# A scatter shows where images go, but not what the decoder makes of it. Show the same epoch three times: the latent plane, eight draws from the prior with four test images above their reconstructions, and the ELBO, whose first steps lie below its axis.

# %% tags=["plumbing", "nbval-ignore-output"] mystnb={"image": {"alt": "Film with three panels. Upper left: the latent scatter of the film before, with its legend. Upper right, each row with its name: eight digits from the prior, four test images (7, 2, 1, 0) and their reconstructions, which turn from grey fog into blurred and then into clearer digits. Below: the ELBO as a curve that grows to the right, steep at first, then flatter; its first steps are left out."}}
pictures = samples.snapshots[1:]
assert [s.batch for s in pictures] == [s.batch for s in moments]

fifth = slice(4, None, 5)
digits = animation.paint_pictures(
    pictures[fifth],
    columns=4,
    scale=3,
    originals=originals,
    caption=False,
)
digits = list(digits)
height, width = digits[0].shape[:2]
planes = animation.paint_latents(moments[fifth], labels, size=height)
curve = animation.paint_elbo(moments[fifth], width=height + width)
frames = [
    np.vstack([np.hstack([a, b]), c])
    for a, b, c in zip(planes, digits, curve, strict=True)
]
vh.write_gif(frames, films / "three_views.gif", fps=8)
Image(vh.write_animation(frames, films / "three_views.png", fps=8))

# %% [markdown]
# At batch 30 the four reconstructions are nearly the same picture, a blurred mean of all digits. Then they separate one by one: the seven by batch 45, the one and the zero by batch 150. The two is still a blur when the epoch ends: it is encoded in the crowd near the origin.
#
# The draws from the prior start out greyer than the reconstructions. They are drawn near the origin, where at first no image is encoded.
#
# ## 5.4 Digits out of the fog: S1, epoch by epoch
#
# The film at the top of this page is S1's. Its ten epochs take longer than this page may, so they were run by `python experiments/run.py s1-threshold --seed 0` and stored: the pictures before training and after each epoch. The ELBO in their captions is the mean over the whole epoch; the pictures are from its end.
#
# Do these pictures come from that network? Check it from both ends. The same seed must give the same pictures before training, and one epoch of training, run here, must land at the stored ELBO. A different machine sums in another order, so the pictures after 1,875 steps may differ by a few grey levels.

# %% tags=["plumbing"]
run = vh.stored("s1-threshold")[0]
machine = run["provenance"]["machine"]
assert [s.epoch for s in epochs] == list(range(11))

conv = vh.conv_vae(latent_dim=2, seed=0)
conv.compile(keras.optimizers.Adam(1e-4), objective=vh.sgvb_a)
again = vh.SampleFrames(threshold[:8], samples=16)
fitted = conv.fit(
    vh.batches(images.train, 32, "threshold", seed=0),
    epochs=1,
    callbacks=[again],
    verbose=0,
)

# %% tags=["check"]
before, after = [
    np.abs(a.values.astype(int) - b.values).mean()
    for a, b in zip(again.snapshots, epochs, strict=False)
]
vh.check(
    "the film's ten ELBOs are those of the stored run",
    [s.elbo for s in epochs[1:]],
    run["train_elbo_by_epoch"],
    atol=1e-3,
)
vh.check(
    f"before training the pictures are those stored ({machine})",
    before,
    0,
    atol=0.01,
)
vh.check(
    "after an epoch they are within 8 grey levels, on average",
    after,
    8,
    relation="<",
)
vh.check(
    "one epoch of S1 lands at the stored ELBO",
    again.snapshots[1].elbo,
    epochs[1].elbo,
    atol=1,
)

# %% [markdown]
# How much happens in each epoch? Take the mean change of a pixel from one frame to the next, over all pixels, and over the *ink*: the pixels that are bright at the end.


# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Two curves over the ten epochs, with a logarithmic axis in grey levels from 2 to 150: the mean change of a pixel since the epoch before. Over all pixels it falls from 101 in the first epoch to 9 in the second and about 2 in the tenth. Over the ink it is 43 in the first, still 25 in the second and third, and about 7 from the sixth epoch to the last."}}
def changes(where):
    """Mean change from epoch to epoch, in grey levels."""
    return [
        np.abs(b.values.astype(int) - a.values)[where].mean()
        for a, b in pairwise(epochs)
    ]


everywhere = np.ones(epochs[0].values.shape, bool)
ink = epochs[-1].values > 127  # what is bright at the end
figure, axis = plt.subplots(figsize=(6, 3))
for where, name, color in (
    (everywhere, "all pixels", BLUE),
    (ink, "the ink", ORANGE),
):
    axis.plot(range(1, 11), changes(where), "o-", color=color, label=name)
axis.set(
    yscale="log",
    xlabel="epoch",
    ylabel="change (grey levels)",
    xticks=range(1, 11),
    yticks=[2, 5, 10, 20, 50, 100],
    yticklabels=["2", "5", "10", "20", "50", "100"],
)
axis.minorticks_off()
axis.legend()
plt.show()

# %% tags=["check"]
vh.check(
    "the first epoch changes over five times as much as any other",
    changes(everywhere)[0],
    5 * max(changes(everywhere)[1:]),
    relation=">",
)
vh.check(
    "the ink still changes by over 2 grey levels in the last epoch",
    changes(ink)[-1],
    2,
    relation=">",
)
vh.check(
    "from epoch 5 to 10 the ELBO rises by over 5 nats",
    epochs[10].elbo - epochs[5].elbo,
    5,
    relation=">",
)

# %% [markdown]
# Averaged over all pixels most of it happens in the first epoch: the background turns from grey to black. That average hides what you look at. On the ink the second and third epochs still change much, and it goes on to the last: two draws in the first row begin as zeros and end as twos.
#
# The bound keeps rising, too, by more than 5 nats from epoch 5 to 10. The film hardly shows it; this is why the book measures.
#
# ## 5.5 Walks through the latent space
#
# Training is over; now move through what was learned. Take S4, a convolutional network with two latent dimensions that makes $\sigma$ by softplus. Its weights after fifty epochs are stored. Walk once around the origin. Which circle? One that splits the prior in two halves. The squared length of a standard normal vector in two dimensions is exponentially distributed with mean 2, so
#
# $$P(\lVert z \rVert < r) = 1 - e^{-r^2/2}, \tag{5.1}$$
#
# which is one half at $r = \sqrt{2 \log 2} \approx 1.18$.

# %%
radius = np.sqrt(2 * np.log(2))
angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
path = radius * np.column_stack([np.cos(angle), np.sin(angle)])

walker = vh.conv_vae(latent_dim=2, scale="softplus", seed=0)
walker.load_weights("../experiments/results/s4-long-seed0.weights.h5")
stations = walker.likelihood(np.float32(path)).mean().numpy()

# %% tags=["check"]
draws = np.random.default_rng(0).normal(size=(100_000, 2))
vh.check(
    "half of the prior lies within the radius",
    np.mean(np.linalg.norm(draws, axis=1) < radius),
    0.5,
    atol=4 * 0.5 / np.sqrt(len(draws)),
)

# %% [markdown]
# To paint a walk of your own, make a matplotlib figure and give what moves `animated=True`. `animation.Stage(figure)` draws what stands still, once; `stage.frame()` draws what moves on a copy of it. The folded cell has it all.

# %% tags=["plumbing", "nbval-ignore-output"] mystnb={"image": {"alt": "Film of a walk: on the left the latent plane with 1,000 test images as points in ten colours and a black dot that goes around a circle; on the right the digit decoded at the dot, large. A legend names the colours. As the dot passes from one coloured region to the next, the digit bends into the neighbouring one."}}
around = walker.posterior(threshold[:1000]).mean().numpy()
figure = Figure(figsize=(5.6, 3.2), dpi=100, layout="constrained")
plane, screen = figure.subplots(1, 2)
for digit in range(10):
    chosen = images.test_labels[:1000] == digit
    style = {"ms": 3, "mew": 0, "color": vh.DIGIT_COLORS[digit]}
    plane.plot(*around[chosen].T, "o", label=digit, **style)
plane.plot(*path.T, color="grey", lw=1)
plane.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), aspect="equal")
plane.set(xlabel="$z_1$", ylabel="$z_2$")
figure.legend(
    loc="outside upper center",
    ncols=10,
    markerscale=2,
    columnspacing=0.8,
    handletextpad=0,
)
screen.set_axis_off()

(dot,) = plane.plot([], [], "ko", ms=9, animated=True)
picture = screen.imshow(
    stations[0], cmap="gray", vmin=0, vmax=1, animated=True
)
stage = animation.Stage(figure)


def walk():
    for point, image in zip(path, stations, strict=True):
        dot.set_data(*point[:, None])
        picture.set_data(image)
        yield stage.frame()


frames = list(walk())
vh.write_gif(frames, films / "walk.gif", fps=15, hold_last=0)
Image(vh.write_animation(frames, films / "walk.png", fps=15, hold_last=0))

# %% [markdown]
# The dot starts on the right and goes around counter-clockwise: zero, six, two, three, then nine at the left, and at the lower right back to zero. Between two regions the digit does not jump; it bends. The picture is clear where points of one colour lie near the dot. Where colours meet or points are missing it is often no digit: after the six, on the upper left, and at the lower right. The dot never meets a clear 1: the ones (light orange, below) lie outside the circle; exercise 3 goes there.
#
# ### Straight or around?
#
# In two dimensions you can see where the data is. In twenty you cannot. A vector drawn from the prior in $J$ dimensions is about $\sqrt J$ long and hardly ever much shorter: the prior's mass lies in a thin shell. The middle of a straight line between two such points is shorter by a factor of about $\sqrt 2$. It lies *inside* the shell, where few draws of the prior fall and the decoder was seldom trained. (Means of clouds are a little shorter than draws; the captions below give their lengths.)
#
# A **great-circle** path keeps to the shell. Turn from the direction of $a$ to that of $b$ at constant speed, and let the length go evenly from one to the other:
#
# $$
# \begin{aligned}
# z(t) &= \bigl((1-t)\lVert a\rVert + t \lVert b\rVert\bigr)\, u(t), \\
# u(t) &= \frac{\sin((1-t)\,\omega)\,\hat a + \sin(t\,\omega)\,\hat b}{\sin \omega}, \\
# \omega &= \arccos(\hat a^\top \hat b),
# \end{aligned} \tag{5.2}
# $$
#
# where $\hat a$ and $\hat b$ are $a$ and $b$ divided by their lengths, and $\omega$ is the angle between them.


# %%
def straight(a, b, t):
    return (1 - t) * a + t * b


def norm(z):
    return np.linalg.norm(z, axis=-1, keepdims=True)


def great_circle(a, b, t):
    """Equation 5.2; a and b [..., J], t a number."""
    unit_a, unit_b = a / norm(a), b / norm(b)
    cosine = np.sum(unit_a * unit_b, axis=-1, keepdims=True)
    omega = np.arccos(cosine)
    turned = np.sin((1 - t) * omega) * unit_a + np.sin(t * omega) * unit_b
    return straight(norm(a), norm(b), t) * turned / np.sin(omega)


# %% tags=["check"]
a, b = np.random.default_rng(0).normal(size=(2, 1000, 20))
times = (0.0, 0.3, 0.5, 1.0)
vh.check(
    "on the great circle the length goes evenly from end to end",
    [norm(great_circle(a, b, t)) for t in times],
    [straight(norm(a), norm(b), t) for t in times],
    rtol=1e-7,
)
vh.check("it ends at b", great_circle(a, b, 1.0), b, atol=1e-12)
vh.check(
    "in 20 dimensions the straight middle is shorter by about √2",
    norm(a).mean() / norm(straight(a, b, 0.5)).mean(),
    np.sqrt(2),
    atol=0.05,
)

# %% [markdown]
# Does it matter for pictures? Train a dense VAE with $J = 20$ for five epochs, and visit the same five test images on both paths.

# %% tags=["nbval-ignore-output"]
wide = vh.mlp_vae(latent_dim=20, hidden=(512, 256), seed=0)
wide.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
fitted = wide.fit(
    vh.batches(images.train, 100, seed=0), epochs=5, verbose=0
)
print(f"training ELBO −{fitted.history['loss'][-1]:.1f} nats")

# %% tags=["plumbing", "nbval-ignore-output"] mystnb={"image": {"alt": "Film of two digits side by side that pass through five test images, 7, 2, 1, 0 and 4, and back: on the left along straight lines, on the right along great circles. Half-way the left digit is paler and more blurred than the right one. The length of z is written above each."}}
tour = wide.posterior(x_test[:5]).mean().numpy()
figure = Figure(figsize=(4.8, 2.8), dpi=100, layout="constrained")
panels = figure.subplots(1, 2)
pictures = [
    panel.imshow(np.zeros((28, 28)), "gray", vmin=0, vmax=1, animated=True)
    for panel in panels
]
titles = [panel.set_title("great circle: length 4.0") for panel in panels]
for panel, title in zip(panels, titles, strict=True):
    panel.set_axis_off()
    title.set_animated(True)
stage = animation.Stage(figure)


def both_ways():
    ways = {"straight": straight, "great circle": great_circle}
    slowly = (1 - np.cos(np.linspace(0, np.pi, 16)[:-1])) / 2
    for a, b in pairwise([*tour, tour[0]]):
        for t in slowly:
            for k, (name, way) in enumerate(ways.items()):
                z = np.float32(way(a, b, t))
                pictures[k].set_data(wide.likelihood(z[None]).mean()[0])
                length = np.linalg.norm(z)
                titles[k].set_text(f"{name}: length {length:.1f}")
            yield stage.frame()


frames = list(both_ways())
vh.write_gif(frames, films / "interpolation.gif", fps=15, hold_last=0)
Image(
    vh.write_animation(
        frames, films / "interpolation.png", fps=15, hold_last=0
    )
)

# %% [markdown]
# Half-way between a seven and a two, or a one and a zero, you see no digit on either side; the left one is paler.
#
# Measure it. Pair the first 1,000 test images with the next 1,000, and keep the pairs that show different digits. Go half-way on either path, and decode. Two questions: how long is the middle, and how blurred is its picture? Blur has a natural measure here. The decoder gives each pixel a probability; the entropy of the pixels, summed, is the decoder's own uncertainty in nats.


# %%
def entropy(z):
    """Of the decoder's pixels given z, nats."""
    p = wide.likelihood(z.astype(np.float32)).mean().numpy().astype(float)
    return -np.sum(xlogy(p, p) + xlogy(1 - p, 1 - p), axis=(1, 2, 3))


# %% tags=["plumbing", "nbval-ignore-output"]
posteriors = [
    wide.posterior(x_test[:1000]),
    wide.posterior(x_test[1000:2000]),
]
differ = images.test_labels[:1000] != images.test_labels[1000:2000]
ends = [q.mean().numpy()[differ] for q in posteriors]
drawn = [
    q.sample(seed=[k, 0]).numpy()[differ] for k, q in enumerate(posteriors)
]
middle, turned = straight(*ends, 0.5), great_circle(*ends, 0.5)
stretched = middle * norm(turned) / norm(middle)


def with_interval(values):
    """The mean and half its 95% interval."""
    mean, error = vh.mean_and_error(values)
    return mean, 1.96 * error


at = {
    "the two ends, μ": np.concatenate(ends),
    "the two ends, a draw from q each": np.concatenate(drawn),
    "middle of the straight line": middle,
    "middle of the great circle": turned,
    "straight middle, as long as the great circle's": stretched,
    "great circle's middle, 1.4 times as long": 1.4 * turned,
}
blur = {where: entropy(z) for where, z in at.items()}
rows = [
    [where, norm(z).mean(), with_interval(blur[where])]
    for where, z in at.items()
]
vh.table(
    ["where", "length of z", "entropy of the pixels, nats"], rows, digits=1
)

# %% tags=["check"]
straight_blur, circle_blur, rescaled_blur, longer_blur = list(
    blur.values()
)[2:]
extra, error = vh.mean_and_error(straight_blur - circle_blur)
vh.check(
    "the straight middle is more uncertain, by over five standard errors",
    extra,
    5 * error,
    relation=">",
)
cosine = (
    np.sum(middle * turned, axis=1)
    / np.prod([norm(middle), norm(turned)], axis=0)[:, 0]
)
vh.check(
    "the two middles have a mean cosine above 0.99",
    cosine.mean(),
    0.99,
    relation=">",
)
by_length = 1 - np.mean(rescaled_blur - circle_blur) / extra
vh.check(
    "the length alone accounts for the difference, to a quarter of it",
    by_length,
    1,
    atol=0.25,
)
gained, its_error = vh.mean_and_error(circle_blur - longer_blur)
vh.check(
    "1.4 times as long is more certain still, by over five standard errors",
    gained,
    5 * its_error,
    relation=">",
)

# %% [markdown]
# (± is a 95% interval over the pairs.) On the straight line the middle is shorter by 30%, and its picture is more uncertain by more than twenty nats. On the great circle it is nearly as certain as at the ends.
#
# Now the last two rows, the controls. Half-way the two paths point in nearly the same direction, with a cosine above 0.99, and differ in length. So stretch the straight middle to the great circle's length, and nearly all of the difference is gone. Along such a direction, it is a short $z$ that blurs. And certain does not mean good: make $z$ 1.4 times longer and the pictures get more certain still, for half-way points that need not be digits.
#
# So the usual argument for great circles, "sharper pictures", shows less than it seems to. What remains is the prior's: keep to lengths at which the decoder was trained. Those are the lengths of draws from $q$, second row, and even the great circle between two means is shorter.
#
# ## 5.6 The reparameterisation trick, in motion
#
# Why does training with $z = \mu + \sigma\varepsilon$ work so well? Look at it. On the left, 120 noise vectors $\varepsilon$ are drawn *once*. Then $\mu$ and $\sigma$ move, and the points follow. Component by component,
#
# $$z = \mu + \sigma \odot \varepsilon, \qquad \frac{\partial z}{\partial \mu} = 1, \qquad \frac{\partial z}{\partial \sigma} = \varepsilon. \tag{5.3}$$
#
# On the right the noise is drawn anew for every frame, from the same distributions. Colours are given by the direction of $\varepsilon$, so on the left you can follow a group of points. The cross is the mean.

# %% tags=["plumbing", "nbval-ignore-output"] mystnb={"image": {"alt": "Film with two panels. A normal distribution moves around a circle while its width and height swell and shrink in turn; 120 points show it. On the left each point keeps its noise and glides on a smooth path, with colours in fixed order around the centre. On the right fresh noise is drawn for every frame: the cloud is the same, but the points flicker. A ring of ten dots in a corner says which colour stands for which direction of the noise."}}
noise = np.random.default_rng(0)
fixed = noise.normal(size=(120, 2))


def moving(t):
    """μ and σ at time t in [0, 1): a closed path."""
    turn = 2 * np.pi * t
    mu = 1.5 * np.array([np.cos(turn), np.sin(turn)])
    sigma = 0.7 + 0.4 * np.array([np.sin(2 * turn), np.cos(2 * turn)])
    return mu, sigma


def colors(epsilon):
    """A colour for the direction: one of ten."""
    turn = np.arctan2(epsilon[:, 1], epsilon[:, 0]) / (2 * np.pi) + 0.5
    return np.array(vh.DIGIT_COLORS)[np.minimum(np.int64(10 * turn), 9)]


figure = Figure(figsize=(5.6, 3.1), dpi=100, layout="constrained")
panels = figure.subplots(1, 2, sharey=True)
for panel, which in zip(panels, ("the same", "a new"), strict=True):
    panel.set_title(f"{which} ε in every frame")
    panel.set(xlim=(-4.5, 4.5), ylim=(-4.5, 4.5), aspect="equal")
    panel.set(xlabel="$z_1$")
panels[0].set_ylabel("$z_2$")
turns = 2 * np.pi * (np.arange(10) + 0.5) / 10
ring = np.column_stack([np.cos(turns), np.sin(turns)])
panels[1].scatter(*(3.5 + 0.6 * ring).T, s=12, c=colors(ring), lw=0)
panels[1].text(4.4, 2.0, "direction of ε", fontsize=8, ha="right")
dots = [p.scatter(*fixed.T, s=12, lw=0, animated=True) for p in panels]
centres = [p.plot([], [], "k+", ms=12, animated=True)[0] for p in panels]
stage = animation.Stage(figure)


def trick():
    for t in np.arange(50) / 50:
        mu, sigma = moving(t)
        for k, epsilon in enumerate((fixed, noise.normal(size=(120, 2)))):
            dots[k].set_offsets(mu + sigma * epsilon)
            dots[k].set_color(colors(epsilon))
            centres[k].set_data(*mu[:, None])
        yield stage.frame()


frames = list(trick())
vh.write_gif(frames, films / "trick.gif", fps=15, hold_last=0)
Image(vh.write_animation(frames, films / "trick.png", fps=15, hold_last=0))

# %% [markdown]
# Both clouds have the same distribution in every frame. But ask how an expectation over $z$ changes when $\mu$ moves a little and $\sigma$ stays. On the left each point tells you: it moved by exactly that little. On the right you have to compare two clouds that have nothing to do with each other.
#
# Measure it with the smallest example there is: $f(z) = \lVert z \rVert^2$, whose expectation is $\lVert\mu\rVert^2 + \lVert\sigma\rVert^2$, so its derivative by $\mu_1$ is $2\mu_1$. Estimate that derivative from a step of $h = 0.1$ by $(f(z') - f(z))/h$, where $z'$ belongs to $\mu_1 + h$, with one $\varepsilon$ for both ends and with two. (Here $\mu_1 = 1.5$, so the quotient has the mean $2\mu_1 + h = 3.1$.)

# %%
h, draws = 0.1, 200_000
rng = np.random.default_rng(1)
mu, sigma = moving(0.0)
step = np.array([h, 0.0])
one, other = rng.normal(size=(2, draws, 2))


def f(z):
    return np.sum(z**2, axis=-1)


same = (f(mu + step + sigma * one) - f(mu + sigma * one)) / h
fresh = (f(mu + step + sigma * other) - f(mu + sigma * one)) / h

# %% tags=["check"]
exact = 2 * mu[0] + h  # of the difference quotient
for which, quotient in (("one ε", same), ("two ε", fresh)):
    vh.check(
        f"with {which} the mean quotient is right to 4 standard errors",
        quotient.mean(),
        exact,
        atol=4 * quotient.std() / np.sqrt(draws),
    )
vh.check(
    "with one ε its variance is 4σ₁²",
    same.var(),
    4 * sigma[0] ** 2,
    rtol=0.02,
)
variance_f = [
    np.sum(4 * m**2 * sigma**2 + 2 * sigma**4) for m in (mu, mu + step)
]
vh.check(
    "with two ε it is that of both ends, added and divided by h²",
    fresh.var(),
    sum(variance_f) / h**2,
    rtol=0.02,
)
ratio = fresh.var() / same.var()
vh.check(
    "a second ε multiplies the variance by over 100",
    ratio,
    100,
    relation=">",
)

# %% [markdown]
# With one $\varepsilon$ for both ends the noise of the two values cancels, and what is left is the change. Make $h$ smaller, and the first quotient tends to the reparameterised gradient, while the second gets worse (exercise 6). That is what the picture shows: on the left you could differentiate along the path of each point; on the right there is no path. (Training draws new noise at every step. What stays fixed is the noise *within* one derivative.)
#
# ## 5.7 What a film costs
#
# Two prices: time beside training, and bytes.
#
# **Drawing.** The published callback of S3 encodes all 10,000 test images after *every* batch, opens a figure of 10 × 10 inches, draws a scatter and saves it; every third of the 600 pictures goes into the film. It draws axes, ticks and colour bar again for each frame, and never closes a figure. Both ways were given the same task: 200 frames of 10,000 points at 480 × 480 pixels. `python benchmarks/animation.py` measured both in CPU time.

# %% tags=["plumbing", "exact"]
cost = json.loads(Path("../benchmarks/results/animation.json").read_text())
theirs, ours = cost["films"]["published"], cost["films"]["ours"]
rows = [
    [
        title,
        *(f"{v:.{digits}f}" for v in (theirs[key], ours[key])),
        ratio_of,
    ]
    for title, key, digits in (
        ("drawing and writing, ms a frame", "milliseconds_per_frame", 1),
        ("peak memory, MiB above start", "peak_memory_MiB", 0),
        ("file, MB", "file_MB", 2),
    )
    for ratio_of in [f"{theirs[key] / ours[key]:.1f}"]
]
heads = ["200 frames, 10,000 points", "published way", "ours", "ratio"]
display(vh.table(heads, rows))

# %% [markdown]
# **Watching.** Once painting is cheap, the price of a film moves into the training. Without a film many batches run in one call. A film of every third batch ends the call after three, and each time the images go through the encoder.

# %% tags=["plumbing", "exact"] mystnb={"image": {"alt": "Horizontal bars: seconds that an epoch of S3 takes. Without a film 1.3; with a film of every third batch of 300 images 2.0, of 1,000 images 2.5, of 10,000 images 7.1. Thin lines from the fastest to the slowest of five rounds; the slowest is 0.7 to 1.2 seconds above the bar."}}
seconds = cost["training"]["epoch_seconds"]
base = np.median(seconds["without"])
names = [
    "no film" if name == "without" else f"{int(name):,} images"
    for name in seconds
]
medians = np.array([np.median(each) for each in seconds.values()])
spread = np.array([[min(e), max(e)] for e in seconds.values()]).T
figure, axis = plt.subplots(figsize=(6, 2.4))
axis.barh(
    names,
    medians,
    color=[ORANGE, *[BLUE] * 3],
    xerr=np.abs(spread - medians),
    capsize=3,
)
for row, value in enumerate(medians):
    axis.text(0.08, row, f"{value:.1f}", color="white", va="center")
axis.invert_yaxis()
axis.set_xlabel("an epoch of S3 (seconds)")
axis.grid(axis="y", visible=False)
plt.show()

# %% tags=["check"]
vh.check(
    "a frame costs less than a fiftieth of the published way's",
    ours["milliseconds_per_frame"],
    theirs["milliseconds_per_frame"] / 50,
    relation="<",
)
vh.check(
    "a film of 300 images costs less than a second epoch",
    np.median(seconds["300"]),
    2 * base,
    relation="<",
)
assert theirs["peak_memory_MiB"] > 3 * ours["peak_memory_MiB"]
assert theirs["file_MB"] > 1.5 * ours["file_MB"]

# %% [markdown]
# By the medians a film with 300 images costs about half an epoch more, and one with 10,000 more than four epochs. (The thin lines reach from the fastest to the slowest of five rounds, by the clock, on a machine that other work disturbs.)
#
# **Bytes.** Write the film of section 5.2 in three formats. GIF and PNG show the same pixels, in at most 255 colours. An MP4 changes pixels a little; frames are plain arrays, so a library writes it in one line, here `imageio`, if its encoder is installed (`pip install "imageio[ffmpeg]"`). The GIFs under the book's films are packed from the PNGs; they have other sizes.

# %% tags=["plumbing", "nbval-ignore-output"]
frames = list(animation.paint_latents(second, labels, size=360))
shown = {
    ".gif": "everything, slides included",
    ".png": "browsers, notebooks, GitHub",
}
for ending in shown:
    vh.write_animation(frames, films / f"formats{ending}", fps=15)
if find_spec("imageio_ffmpeg"):
    import imageio.v2 as imageio

    imageio.mimwrite(
        films / "formats.mp4", frames, fps=15, macro_block_size=2
    )
    shown[".mp4"] = "browsers, slides; has a pause button"
rows = [
    [
        ending,
        f"{(films / f'formats{ending}').stat().st_size / 1000:.0f}",
        where,
    ]
    for ending, where in shown.items()
]
vh.table(["format", "kB", "shows in"], rows)

# %% [markdown]
# Do the files play as asked? Decode every film of this page, as a viewer would.

# %% tags=["check"]
expected = {  # frames, seconds
    "latents": (100, 100 / 15 + 1),
    "three_views": (40, 40 / 8 + 1),
    "epochs": (11, 11 / 2 + 2),
    "walk": (90, 90 / 15),
    "interpolation": (75, 75 / 15),
    "trick": (50, 50 / 15),
}
found = []
for file in (films / f"{n}{e}" for n in expected for e in (".gif", ".png")):
    with Picture.open(file) as film:
        still = bool(getattr(film, "default_image", False))
        milliseconds = 0
        for number in range(still, film.n_frames):
            film.seek(number)
            milliseconds += film.info["duration"]
        found.append((film.n_frames - still, milliseconds / 1000))
asked = [numbers for numbers in expected.values() for _ in range(2)]
vh.check(
    "6 films, as GIF and as PNG, have their frames and their seconds",
    found,
    asked,
    atol=0.011,
)

# %% [markdown]
# ## What we measured
#
# The published films are those of two write-ups: S1's shows digits epoch by epoch, S3's the latent plane batch by batch.

# %% tags=["plumbing", "nbval-ignore-output"]
per_frame = [way["milliseconds_per_frame"] for way in (ours, theirs)]
rows = [
    ["S3: frames of one epoch; frames a second", "100; 15", "200; 15"],
    [
        "— its training begins",
        "from random weights",
        "from a trained model",
    ],
    [
        "— ELBO over its last ten frames, nats",
        f"−{-elbo[-10:].mean():.1f}",
        "—",
    ],
    [
        "S1: its sixteen pictures are",
        "draws from the prior",
        "reconstructions, called generated",
    ],
    [
        "— test ELBO after 10 epochs, nats",
        f"−{-run['test_elbo']:.2f}",
        "−156.8; −155.9 (two copies)",
    ],
    [
        "J = 20: entropy, straight middle less great circle's, nats",
        f"{extra:.1f} ± {1.96 * error:.1f}",
        "—",
    ],
    [
        "— share of that which goes with the length alone",
        f"{by_length:.0%}",
        "—",
    ],
    [
        "variance of a difference quotient, two ε over one",
        f"{ratio:.0f}",
        "—",
    ],
    [
        "a frame outside training, ms",
        f"{per_frame[0]:.1f}",
        f"{per_frame[1]:.0f}, its way re-run here",
    ],
]
vh.table(["what", "here", "published"], rows)

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - a callback in ten lines, and why it collects first and paints later;
# - an epoch of training as three films in one, and when its classes come apart: while they are still pulled to the origin;
# - that a straight path through many dimensions leaves the shell where the prior has its mass, and that its blurred pictures come mostly from the shorter $z$;
# - that keeping the noise turns a noisy difference into a quiet derivative;
# - what a film costs as GIF, PNG and MP4, in milliseconds and in bytes.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. Hundredths of a second** (10 min, by code). At 15 frames a second a frame lasts 66.7 ms, but GIF counts time in hundredths of a second. If every frame were rounded by itself, how long would the 100 frames of section 5.2 run? Write the durations so that no error adds up: round the *moments* at which frames begin and end.


# %% tags=["exercise", "exact"]
def durations(frames, fps):
    """Hundredths of a second that each of so many frames lasts."""
    return ...  # your line


print("yours:", durations(6, 15), "expected: [7, 6, 7, 7, 6, 7]")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Every frame would last 70 ms and the 100 frames 7 s instead of 6.7 s: five per cent slow. Rounded moments: `np.diff(np.rint(100 / fps * np.arange(frames + 1)))`. So the frames last 70, 60, 70, 70, 60, 70 ms and so on. The film's own file agrees; its last frame stays one second longer.
#
# </details>


# %% tags=["solution"]
def solved_durations(frames, fps):
    return np.diff(np.rint(100 / fps * np.arange(frames + 1)))


with Picture.open(films / "latents.gif") as film:
    stored = []
    for number in range(6):
        film.seek(number)
        stored.append(film.info["duration"] / 10)
vh.check(
    "exercise 1: six frames of the film",
    stored,
    [7, 6, 7, 7, 6, 7],
    relation="=",
)
vh.check("exercise 1", solved_durations(6, 15), stored, relation="=")
vh.check(
    "exercise 1: 100 frames",
    solved_durations(100, 15).sum(),
    667,
    relation="=",
)

# %% [markdown] tags=["exercise"]
# **2. Where the great circle breaks down** (10 min, by hand). What becomes of equation 5.2 when $b = -a$? And when $b = a$?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# For $b = -a$ the angle is $\pi$: infinitely many great circles join two opposite points, and the formula picks none. It divides zero by zero, and with rounding errors it returns nonsense. For $b = a$ the angle is zero: again zero by zero, although the path is obvious (stay where you are). Code that must be safe keeps the cosine within $[-1, 1]$, returns the straight line when $\omega$ is tiny, and refuses when $\omega$ is close to $\pi$. Random directions in 20 dimensions are nearly perpendicular (90°, with a standard deviation of 13°), so neither case happens to random draws.
#
# </details>

# %% tags=["solution"]
a, b = np.random.default_rng(0).normal(size=(2, 100_000, 20))
cosines = np.sum(a * b, axis=1) / (norm(a) * norm(b))[:, 0]
angles = np.degrees(np.arccos(cosines))
vh.check("exercise 2: the mean angle, degrees", angles.mean(), 90, atol=0.2)
vh.check("exercise 2: its deviation", angles.std(), 13, atol=0.2)

# %% [markdown] tags=["exercise"]
# **3. A larger circle** (15 min, by code). Which circle holds 95% of the prior? Put it in place of `radius` in section 5.5, run its cells again (the check between them expects one half), and look at the walk.


# %% tags=["exercise", "exact"]
def radius_holding(share):
    """The r of equation 5.1 within which that share of draws lies."""
    return ...  # your line


print("yours:", radius_holding(0.95), "expected: 2.4477")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Equation 5.1 solved for $r$: `np.sqrt(-2 * np.log(1 - share))`, at 0.95 about 2.45. The walk now passes clear zeros, nines and, for a third of the way, ones, but also scribbles, where it leaves the region of the data. Of the first 2,000 test images 9% are encoded outside this circle, where the prior has 5%, and 47% inside that of section 5.5, where the prior has 50%.
#
# </details>

# %% tags=["solution"]
larger = np.sqrt(-2 * np.log(1 - 0.95))
lengths = norm(walker.posterior(threshold[:2000]).mean().numpy())
vh.check("exercise 3", larger, 2.4477, atol=5e-5)
vh.check(
    "exercise 3: outside it", np.mean(lengths > larger), 0.09, atol=0.01
)
vh.check(
    "exercise 3: inside the other",
    np.mean(lengths < radius),
    0.47,
    atol=0.01,
)

# %% [markdown] tags=["exercise"]
# **4. How rare is the middle?** (10 min, by hand). Suppose that two draws from the prior are perpendicular and each $\sqrt J$ long. At $t = \frac12$ and at $t = \frac14$, how long is $z$ on the straight path? For $J = 2$, how probable is a draw that is no longer than the middle?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The squared length is $J ((1-t)^2 + t^2)$: a factor of $\sqrt{1/2} = 0.707$ in the middle and $\sqrt{5/8} = 0.791$ at a quarter. For $J = 2$ the middle has the length 1, and by (5.1) $1 - e^{-1/2} = 39\%$ of all draws are no longer: nothing rare. For $J = 20$ it has the length $\sqrt{10}$, and only 3% are. The shell is a matter of many dimensions.
#
# </details>

# %% tags=["solution"]
shares = stats.chi2.cdf([1.0, 10.0], [2, 20])
vh.check("exercise 4: J = 2", shares[0], 1 - np.exp(-0.5), atol=1e-9)
vh.check("exercise 4: both shares", shares, [0.39, 0.03], atol=0.005)

# %% [markdown] tags=["exercise"]
# **5. Another seed** (15 min, open). Film the epoch of section 5.2 with `seed=1` in `vh.mlp_vae`. What is the same, and what is not?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# The story is the same: a mixed heap far outside (now to the lower left, 31 nats of $\tfrac12\lVert\mu\rVert^2$ at the first frame), the pull to the origin and, with it, the classes, and an ELBO near −171. The map is another one: zeros above, ones below, fours, sevens and nines on the right. The bound does not change when an axis of the latent plane is reflected or the two are swapped, so nothing fixes this but the random start. What carries over is who is neighbour of whom: fours and nines lie together in both.
#
# </details>

# %% tags=["solution"]
twin = vh.mlp_vae(latent_dim=2, hidden=(256,), seed=1)
twin.compile(keras.optimizers.RMSprop(), objective=vh.sgvb_b)
watched = vh.LatentFrames(x, every=3)
twin.fit(
    vh.batches(images.train, 100, seed=0),
    epochs=1,
    callbacks=[watched],
    verbose=0,
)
begin = watched.snapshots[1].values.astype(np.float32)
last_ten = np.mean([s.elbo for s in watched.snapshots[-10:]])
half_squares = np.mean(np.sum(begin**2, axis=1)) / 2
vh.check("exercise 5: ½‖μ‖² at first", half_squares, 31, atol=6)
vh.check("exercise 5: the ELBO", last_ten, -171, atol=3)
shares = np.array(
    [neighbour_accuracy(s.values, labels) for s in watched.snapshots[1:]]
)
vh.check(
    "exercise 5: the share of neighbours, risen by over 0.05 at batch 100",
    near(shares, 100),
    near(shares, 15) + 0.05,
    relation=">",
)

# %% [markdown] tags=["exercise"]
# **6. The limit that is not there** (10 min, by hand). In section 5.6 halve $h$. What happens to the two variances? What does that say about the limit $h \to 0$, which is the gradient?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# With one $\varepsilon$ the variance stays $4\sigma_1^2$: the quotient is $2z_1 + h$, and in the limit $2 z_1$, the reparameterised gradient. With two, the variance of the difference hardly changes but it is divided by $h^2$, so it grows about four times with each halving: there is no limit. A gradient without shared noise needs another idea, for example the score function of [chapter 1](01_theory.ipynb).
#
# </details>

# %% tags=["solution"]
half = step / 2
same_half = (f(mu + half + sigma * one) - f(mu + sigma * one)) / (h / 2)
fresh_half = (f(mu + half + sigma * other) - f(mu + sigma * one)) / (h / 2)
vh.check("exercise 6: one ε", same_half.var() / same.var(), 1, atol=0.01)
vh.check("exercise 6: two ε", fresh_half.var() / fresh.var(), 4, atol=0.3)

# %% [markdown]
# ## What to read next
#
# - [The quiz of this chapter](../book/quizzes.md#chapter-5) asks what you take along, and explains every answer.
# - The [case studies](06_case_studies.ipynb) train S3 to the end, [chapter 3](03_conv_vae.ipynb) S1 and S4.
# - To paint a film of your own, read `vae_helpers/animation.py`: a painter is a generator that yields arrays.
# - Papers are in the [bibliography](../book/bibliography.md).
