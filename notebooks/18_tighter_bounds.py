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
# # 18. Do tighter bounds train better?
#
# This page holds the theory, the measurements and the trainings behind what [the verdict of chapter 4](04_sgvb_a_vs_b.ipynb) says about tighter bounds.
#
# **In a short training they do not: spend the time on more passes over the images, with one draw each. In about one minute on two CPU cores, one draw ends some two nats of $\log p(x)$ above the tighter bound with five draws, and is about level with that bound's repaired form.**

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
import math
import time
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from IPython.display import Markdown
from scipy import stats

vh.use_book_style()
plt.rcParams["font.size"] = 12
started = time.monotonic()
images = vh.load_mnist()
x_test = vh.binarize(images.test, "threshold")
COLORS = {
    "A": "#D55E00",
    "B": "#0072B2",
    "path": "#009E73",
    "IWAE": "#CC79A7",
    "DReG": "#882255",
}  # one colour an estimator, as in chapter 4
STORED = Path("../experiments/results")


def load(name):
    """What a script in experiments/ has stored."""
    return json.loads((STORED / f"{name}.json").read_text())


def interval(values, comparisons=1):
    """Mean and half its 95% interval (Student's t); wider for several."""
    values = np.asarray(values)
    t = stats.t.ppf(1 - 0.025 / comparisons, len(values) - 1)
    return values.mean(), t * values.std(ddof=1) / np.sqrt(len(values))


def folded(summary, table):
    """A table behind a line that opens it."""
    inner = f"<summary>{summary}</summary>\n\n{table}\n\n"
    return Markdown(f"<details>\n{inner}</details>")


# %% tags=["plumbing"] mystnb={"image": {"alt": "Four trainings of about one minute, log p(x) in nats with 95% intervals. A with 5 draws and 5 epochs, 58 seconds: −101.4. IWAE with 5 draws, 57 seconds: −101.2. DReG with 5 draws, 65 seconds: −99.5. A with one draw and 13 epochs, 63 seconds: −98.9, the best."}}
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
LIKELIHOOD = "test_log_likelihood_500"
seconds = load("estimators-seconds")["tighter_an_epoch"]
per_epoch = {
    (name, k): seconds[f"{name.lower()}-k{k}"]
    for name, k, epochs in TIGHT
    if epochs == 5
}


def of_runs(key, what=LIKELIHOOD):
    """One number for each seed of a training."""
    return np.array([run[what] for run in tight[key]])


def middle_and_half(values):
    """Mean and 95% interval; a single run has none."""
    return interval(values) if len(values) > 1 else (values[0], 0.0)


def draws(k):
    return "one draw" if k == 1 else f"{k} draws"


MINUTE = [("A", 1, 13), ("DReG", 5, 5), ("IWAE", 5, 5), ("A", 5, 5)]
figure, panel = plt.subplots(figsize=(6.4, 2.9))
labels = []
for place, key in enumerate(MINUTE):
    name, k, epochs = key
    middle, half = interval(of_runs(key))
    look = {"fmt": "o", "ms": 8, "capsize": 4, "color": COLORS[name]}
    panel.errorbar(middle, -place, xerr=half, **look)
    taken = epochs * per_epoch[name, k]
    labels.append(f"{name}, {draws(k)},\n{epochs} epochs, {taken:.0f} s")
panel.set_yticks(-np.arange(4), labels)
panel.set(ylim=(-3.6, 0.6), xlabel="log p(x) on test images, nats")
panel.set_title("after about a minute of training")
panel.set_xticks(range(-102, -97), [f"−{n}" for n in range(102, 97, -1)])
plt.show()

# %% [markdown]
# Further right is better. The bars are 95% intervals over five seeds, as every ± on this page is a 95% interval. The names are explained in section 18.1, the trainings in 18.5. $\log p(x)$ is estimated with 500 draws, so it is too low, perhaps by a nat or more (18.6).
#
# **What you will be able to do**
#
# - say what a tighter bound does to the gradients of encoder and decoder, for very many draws and for fifty;
# - derive the repair, the doubly reparameterised gradient, and check it;
# - tell what the bound brings in training from what its draws bring.
#
# **What it needs.** [Chapter 4](04_sgvb_a_vs_b.ipynb); [the page on importance weighting](14_importance_weighting.ipynb) has the bound itself. Half an hour to read, about one minute to run on two CPU cores. Longer runs are stored by scripts in `experiments/`; the page loads them and measures a point of each again.
#
# ## 18.1 A bound with k draws
#
# The encoder turns an image $x$ into a Gaussian $q_\phi(z \mid x)$ with mean $\mu$ and width $\sigma$. Draw $k$ codes $z_i = \mu + \sigma \varepsilon_i$ from it, and give each a *weight*: how likely the model finds the pair, over how likely $q$ was to propose it. Average the $k$ logarithms of the weights, and the mean stays the ELBO; take the logarithm *after* the average, and you get a bound that climbs towards $\log p_\theta(x)$ as $k$ grows:
#
# $$
# \begin{aligned}
# \widetilde{\mathcal{L}}_k &= \log \frac{1}{k} \sum_{i=1}^{k} w_i, & w_i &= \frac{p_\theta(x, z_i)}{q_\phi(z_i \mid x)}, \\
# \nabla \widetilde{\mathcal{L}}_k &= \sum_i \tilde w_i \nabla \log w_i, & \tilde w_i &= \frac{w_i}{\sum_l w_l}.
# \end{aligned} \tag{18.1}
# $$
#
# Here $\nabla$ is the gradient by the decoder's weights $\theta$ and the encoder's weights $\phi$; the $z_i$ move with $\phi$. The shares $\tilde w_i$ add up to 1. The mean of $\widetilde{\mathcal{L}}_k$ is called $\mathcal{L}_k$, and $\mathcal{L}_1$ is the ELBO.
#
# Five names are all you need here:
#
# - **A** is the average of the $k$ values $\log w_i$.
# - **B** has the same mean as A, but takes the KL term by formula; we use it only to train the network that we measure on.
# - The **path** estimator has the value of A, and its gradient ignores that $\phi$ also changes the density $q_\phi$ at a fixed $z$.
# - **IWAE** maximises $\widetilde{\mathcal{L}}_k$ with the gradient of (18.1) ([Burda, Grosse & Salakhutdinov 2016](../book/bibliography.md)); for $k = 1$ it is A.
# - **DReG** maximises the same bound with a quieter gradient for the encoder ([Tucker et al. 2019](../book/bibliography.md)), derived in section 18.2; for $k = 1$ it is the path estimator.
#
# Take the dense network of chapter 4 (hidden layers of 512 and 256 units, $J = 20$ latent dimensions), train it for one epoch with B, and look at the bound on test images.

# %% tags=["nbval-ignore-output"]
model = vh.mlp_vae(latent_dim=20, seed=0)
untrained = model.get_weights()
model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
training = vh.batches(images.train, 100, "threshold", seed=0)
model.fit(training, epochs=1)
for k in (1, 5, 50):
    bound = vh.elbo(model, x_test[:1000], samples=k, objective=vh.iwae)
    print(f"k = {k:2d}: {bound:.1f} nats")

# %% tags=["check"]
kept = load("estimators-moments")
MACHINE = kept["provenance"]["machine"]
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


def value(objective, seed):
    """The objective of fifty images, with the noise of `seed`."""
    with model.using(keras.random.SeedGenerator(seed)):
        return objective(model, x_test[:50]).numpy()


vh.check(
    "k = 1 is estimator A, image by image",
    value(lambda model, x: vh.iwae(model, x, 1), 5),
    value(vh.sgvb_a, 5),
    atol=1e-3,
)

# %% [markdown]
# After ten epochs the same training has been measured up to $k = 500$. (The first picture shows another network: do not compare the levels.)

# %% tags=["plumbing"] mystnb={"image": {"alt": "The bound in nats against the number of draws k on a logarithmic axis, after ten epochs: −84.7 for one draw, which is the ELBO, −81.3 for 5, −79.0 for 50, −77.9 for 500. It is still rising at the end."}}
tighter = kept["moments"]["after 10 epochs"]["bound"]
bounds = list(tighter.values())
figure, panel = plt.subplots(figsize=(6.4, 2.8))
panel.semilogx(
    [int(k) for k in tighter], bounds, "o-", color=COLORS["IWAE"]
)
for k, bound in tighter.items():
    text = f"{bound:.1f}".replace("-", "−")
    panel.annotate(
        text, (int(k), bound), (5, -14), textcoords="offset points"
    )
panel.set_xticks([1, 5, 50, 500], ["1\n(the ELBO)", "5", "50", "500"])
panel.minorticks_off()
panel.set(xlim=(0.75, 1000), ylim=(-86, -76))
panel.set(xlabel="draws k", ylabel="mean bound, nats")
panel.set_yticks([-86, -82, -78], ["−86", "−82", "−78"])
plt.show()

# %% [markdown]
# A tighter bound is a better thing to maximise, one should think.
#
# ## 18.2 What the theory says
#
# Draw the gradient again and again, with weights and images fixed. Its mean is the *signal*: the direction you want. Its scatter is the *noise*, here a standard deviation. Their quotient, the *signal-to-noise ratio*, says how much of a step goes where it should.
#
# For the **decoder** a tighter bound is good news. With $k$ its gradient tends to that of $\log p_\theta(x)$, and its noise falls like $1/\sqrt{k}$. So its ratio rises like $\sqrt{k}$.
#
# For the **encoder** it is not. If the weights are regular enough (enough moments of the weights and of their slopes), then for large $k$, by [(14.3)](14_importance_weighting.ipynb),
#
# $$
# \begin{aligned}
# \mathcal{L}_k &\approx \log p_\theta(x) - \frac{v}{2k}, \\
# v &= \mathrm{Var} \left( \frac{w}{p_\theta(x)} \right).
# \end{aligned} \tag{18.2}
# $$
#
# Only $v$ depends on $\phi$: it says how unequal the weights are, and it is zero where $q$ is the exact posterior. So the encoder's signal falls like $1/k$. For the noise, write its gradient as the quotient of two averages, $\frac{1}{k} \sum_i \nabla_\phi w_i$ over $\frac{1}{k} \sum_i w_i$. The lower one tends to $p_\theta(x)$; the noise of the upper one falls like $1/\sqrt{k}$ only. So the encoder's signal-to-noise ratio *falls* like $1/\sqrt{k}$: the tighter the bound, the less the encoder hears of it ([Rainforth et al. 2018](../book/bibliography.md)).
#
# **The repair.** $\phi$ enters $\log w_i$ in two ways: it moves $z_i$, and it changes the density at a fixed place. Call the first effect $r_i = \frac{\partial \log w_i}{\partial z_i} \frac{\partial z_i}{\partial \phi}$, summed over the coordinates of $z_i$. The second is a derivative at a fixed $z$, written $\partial_\phi$. Then
#
# $$
# \nabla_\phi \widetilde{\mathcal{L}}_k = \sum_i \tilde w_i \, r_i - \sum_i \tilde w_i \, \partial_\phi \log q_\phi(z_i \mid x) . \tag{18.3}
# $$
#
# May you leave out the second sum, as the path estimator does? For $k = 1$ yes: the share is the constant 1, and a score has mean zero. For $k > 1$ no: each share $\tilde w_i$ depends on the same $z_i$ as its score. But the mean of a score times a function can be written with the function's slope instead, for any $g$ that is smooth but for kinks and does not grow too fast ([chapter 1](01_theory.ipynb) has both sides, the score-function gradient and the pathwise one):
#
# $$
# \mathbb{E}\left[ g(z) \, \partial_\phi \log q_\phi(z \mid x) \right] = \mathbb{E}\left[ \frac{\partial g}{\partial z} \frac{\partial z}{\partial \phi} \right]. \tag{18.4}
# $$
#
# Use it with $g = \tilde w_i$, the other draws held fixed, and the $\phi$ inside $\tilde w_i$ too. The slope of a share is $\frac{\partial \tilde w_i}{\partial z_i} = \tilde w_i (1 - \tilde w_i) \frac{\partial \log w_i}{\partial z_i}$; times $\frac{\partial z_i}{\partial \phi}$ that is $\tilde w_i (1 - \tilde w_i) \, r_i$. So the second sum has the mean of $\sum_i \tilde w_i (1 - \tilde w_i) \, r_i$. Subtract it from the first:
#
# $$
# \nabla_\phi \mathcal{L}_k = \mathbb{E}\left[ \sum_i \tilde w_i^2 \, r_i \right]. \tag{18.5}
# $$
#
# This is the *doubly reparameterised gradient*, DReG. Its signal is IWAE's, and falls like $1/k$. But the sum is $\frac{1}{k}$ times a quotient of averages, $\frac{1}{k} \sum_i w_i^2 r_i$ over $(\frac{1}{k} \sum_i w_i)^2$, which tends to a constant. So its noise falls like $1/(k \sqrt{k})$, and its ratio *rises* like $\sqrt{k}$.
#
# | Gradient, $k$ very large | signal | noise | ratio |
# |---|---|---|---|
# | decoder | constant | $1/\sqrt{k}$ | rises like $\sqrt{k}$ |
# | encoder, IWAE | $1/k$ | $1/\sqrt{k}$ | falls like $1/\sqrt{k}$ |
# | encoder, DReG | $1/k$ | $1/(k\sqrt{k})$ | rises like $\sqrt{k}$ |
#
# You can watch these laws in one dimension. Let the posterior be $\mathcal{N}(0, 1)$ and $q = \mathcal{N}(\mu, 1.25^2)$, and take the gradient by $\mu$.


# %%
def toy_gradients(mu, k, repeats=4000, scale=1.25):
    """By μ, of q = N(μ, scale²), posterior N(0, 1): IWAE and DReG."""
    noise = np.random.default_rng(0).standard_normal((repeats, k))
    z = mu + scale * noise
    log_w = -(z**2) / 2 + noise**2 / 2 + math.log(scale)
    share = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    path = -z + noise / scale  # r of (18.3): the slope of log w in z
    score = noise / scale
    iwae = np.sum(share * (path - score), axis=1)  # (18.3)
    dreg = np.sum(share**2 * path, axis=1)  # (18.5)
    return iwae, dreg


# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels, signal over noise against k from 1 to 1,024, both axes logarithmic. Above, μ = 0.5: IWAE falls from 0.4 to 0.009 along the dashed slope of one over the square root of k, DReG rises from 1 to 23 along the dotted slope of the square root. Below, μ = 3.5: IWAE stays near 2 to 3 up to k = 16 and falls to 0.5 at 1,024, while DReG falls from 8 to 1.5."}}
K_TOY = (1, 4, 16, 64, 256, 1024)
NEAR, FAR, SCALE = 0.5, 3.5, 1.25


def toy_ratios(mu):
    """Signal over noise by k: IWAE's and DReG's, which share a mean."""
    rows = []
    for k in K_TOY:
        iwae, dreg = toy_gradients(mu, k)
        signal = abs(dreg.mean())  # the quieter estimate of it
        rows.append([signal / iwae.std(), signal / dreg.std()])
    return np.transpose(rows)


def toy_v(mu):
    """v of (18.2): E[w²] − 1 of two Gaussians."""
    wide = 2 * SCALE**2 - 1
    return SCALE**2 / math.sqrt(wide) * math.exp(mu**2 / wide) - 1


toy = {mu: toy_ratios(mu) for mu in (NEAR, FAR)}
figure, axes = plt.subplots(2, 1, figsize=(6.4, 5.4), sharex=True)
for panel, mu in zip(axes, toy, strict=True):
    for name, ratio in zip(("IWAE", "DReG"), toy[mu], strict=True):
        panel.loglog(K_TOY, ratio, "o-", color=COLORS[name], label=name)
    panel.set(ylabel="signal / noise")
    panel.set_title(f"q at distance {mu}: v = {toy_v(mu):.3g}", fontsize=11)
for (place, slope), line, label in (
    ((0, -0.5), "--", r"slope of $1/\sqrt{k}$"),
    ((1, 0.5), ":", r"slope of $\sqrt{k}$"),
):
    law = toy[NEAR][place, 2] * (np.array(K_TOY) / 16) ** slope
    axes[0].plot(K_TOY, law, line, color="gray", label=label)
axes[0].legend(fontsize=11)
axes[0].set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
axes[0].minorticks_off()
axes[1].set_ylim(0.3, 12)
axes[1].set_yticks([0.5, 1, 2, 5, 10], ["½", "1", "2", "5", "10"])
axes[1].minorticks_off()
axes[1].set_xlabel("draws k")
axes[1].set_xticks(K_TOY, [str(k) for k in K_TOY])
plt.show()

# %% tags=["check"]
iwae_16, dreg_16 = toy_gradients(NEAR, 16)
error = math.hypot(iwae_16.std(), dreg_16.std()) / math.sqrt(4000)
vh.check(
    "toy, k = 16: the two means, in standard errors apart",
    abs(iwae_16.mean() - dreg_16.mean()) / error,
    4,
    relation="<",
)
near, far = toy[NEAR], toy[FAR]
from_16_to_256 = near[:, 4] / near[:, 2]
vh.check(
    "q near: IWAE's ratio, 256 / 16", from_16_to_256[0], 1 / 4, rtol=0.1
)
vh.check("q near: DReG's ratio, 256 / 16", from_16_to_256[1], 4, rtol=0.1)
vh.check(
    "q far: from one draw to 64 IWAE's ratio falls less than threefold",
    far[0, 0] / far[0, 3],
    3,
    relation="<",
)
vh.check(
    "q far: up to three times v DReG's ratio falls, step by step",
    np.diff(far[1]),
    0,
    relation="<",
)
random = np.random.default_rng(1).standard_normal(1_000_000)
z = NEAR + SCALE * random
weights_of_toy = SCALE * np.exp((random**2 - z**2) / 2)
vh.check(
    "v at distance 0.5: formula and a million draws",
    weights_of_toy.var(),
    toy_v(NEAR),
    rtol=0.02,
)

# %% [markdown]
# In the upper panel $q$ nearly fits, and both laws hold from a few draws on. In the lower panel $q$ is far off, and up to $k \approx v$ nothing of the kind happens: IWAE's ratio falls slowly, and *DReG's falls as well*, even at $k = 3v$. Keep the lower picture in mind.
#
# ## 18.3 What was measured
#
# First the algebra, on the network after one epoch, with $k = 5$. DReG and IWAE must have the same mean gradient; a gradient that just leaves out the second sum of (18.3) must not. Take averages of 100 gradients, and divide the squared distance of two of them by what noise alone would make it: equal means give about 1.


# %% tags=["plumbing"]
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


def without_score(model, x, samples=5):
    """IWAE without the second sum of (18.3): biased for k > 1."""
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


# %% tags=["check"]
dreg = vh.iwae_doubly_reparameterized
chosen = np.random.default_rng(0).permutation(60_000)[:800]
twenty = vh.binarize(images.train[chosen], "threshold")[:20]
of_iwae, of_dreg, of_without = (
    gradient_moments(model, objective, twenty, 100, samples=5, seed=seed)
    for seed, objective in enumerate((vh.iwae, dreg, without_score))
)
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
# Now the ratios. The signal is the length of the mean gradient, the noise the root of its summed variances. The same training has been carried on to ten epochs, and measured with $k = 1$, 5 and 50 on eight sets of twenty images. Each gradient is the mean over twenty images, and a hundred are drawn. The decoder's gradient is the same with both estimators, so it is measured once.

# %% tags=["plumbing"]
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


def geometric(values):
    """Geometric mean, and its 95% interval over the minibatches."""
    middle, half = interval(np.log(values))
    return np.exp([middle, middle - half, middle + half])


def with_interval(three, digits=2):
    """`1.11 (1.10 to 1.12)`"""
    return "{:.{d}f} ({:.{d}f} to {:.{d}f})".format(*three, d=digits)


change = {c: geometric(signal[c, 50] / signal[c, 1]) for c in CURVES}

# %% tags=["plumbing"] mystnb={"image": {"alt": "Signal over noise against k = 1, 5, 50, both axes logarithmic. The decoder rises from 1.4 to 2.2, much flatter than the dotted slope of the square root. The encoder falls gently, with DReG from 1.5 to 1.2 and with IWAE from 1.0 to 0.8, while the dashed slope drops to 0.14."}}
figure, panel = plt.subplots(figsize=(6.4, 4.2))
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
panel.set(xscale="log", yscale="log", ylabel="signal / noise")
panel.set_xlabel("draws k")
panel.set_xticks(SAMPLES, [str(k) for k in SAMPLES])
ticks = [0.2, 0.5, 1, 2, 5, 10]
panel.set_yticks(ticks, [str(tick) for tick in ticks])
panel.minorticks_off()
lines, _ = panel.get_legend_handles_labels()  # the measured curves first
lines = lines[2:] + lines[:2]
figure.legend(handles=lines, loc="outside lower center", ncols=2)
plt.show()

# %% tags=["plumbing", "exact"]
rows = [
    [
        curve,
        *(interval(signal[curve, k]) for k in SAMPLES),
        with_interval(change[curve]),
    ]
    for curve in CURVES
]
heads = [f"k = {k}" for k in SAMPLES]
heads = ["signal / noise", *heads, "50 over 1 (95%)"]
folded("These ratios in numbers", vh.table(heads, rows))

# %% [markdown]
# For the decoder and for IWAE the *directions* are those of the theory. The *sizes* are not. From one draw to fifty IWAE's encoder loses a fifth of its ratio, where $1/\sqrt{k}$ would leave a seventh of it. The decoder's becomes 1.6 times as large, where $\sqrt{k}$ would make it 7.1 times.
#
# For DReG even the direction differs: its ratio should rise, and it falls like IWAE's. It is 1.5 times as high; but so it was at $k = 1$, where it is the path estimator, which has [about half of A's variance](19_gradient_variance.ipynb). After ten epochs the repair brings what the path brought, and nothing that grows with $k$.


# %% tags=["check"]
def signal_to_noise(found, variables, draws):
    """Length of the mean gradient, over the root of summed variances."""
    paths = [variable.path for variable in variables]
    mean, variance = found
    noise = sum(variance[p].sum() for p in paths)
    squared = sum(np.square(mean[p]).sum() for p in paths)
    # A mean of some draws still holds their variance over their number.
    return np.sqrt(max(squared - noise / draws, 0) / noise)


stored_rows = {
    (row["network"], row["seed"], row["stage"]): row
    for row in load("gradients-rows")["rows"]
}
row = stored_rows["mlp-j20", 0, "middle"]
for name, objective in (("iwae", vh.iwae), ("dreg", dreg)):
    found = gradient_moments(model, objective, twenty, 100, samples=5)
    vh.check(
        f"signal / noise of the encoder, {name}, k = 5, after one epoch, "
        f"first minibatch: as stored ({row['provenance']['machine']})",
        signal_to_noise(found, model.encoder.trainable_variables, 100),
        row["first"][f"{name}, 5, signal"],
        rtol=0.15,
    )

# %% tags=["check"]
LOW, HIGH = 1, 2  # sides of an interval
vh.check(
    "from k = 1 to 50 the encoder's ratio falls by a fifth, IWAE and DReG",
    [change[f"{name}, encoder"][0] for name in ("IWAE", "DReG")],
    0.8,
    atol=0.02,
)
falls = np.array([change["IWAE, encoder"], change["DReG, encoder"]])
vh.check("and the intervals stay below 1", falls[:, HIGH], 1, relation="<")
vh.check("the decoder's rises", change["decoder"][0], 1.6, atol=0.05)
gains = [
    geometric(signal["DReG, encoder", k] / signal["IWAE, encoder", k])[0]
    for k in (1, 50)
]
vh.check("DReG's over IWAE's, k = 1 and 50", gains, 1.5, atol=0.05)

# %% [markdown]
# Is it this one training? Another script has measured six moments: before training, after one epoch and after thirty, with two seeds.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels, one above the other, for three moments and two seeds, on logarithmic axes. Above, the signal-to-noise ratio at 50 draws over that at one. Encoder with IWAE: 0.36 and 0.55 before training, about 0.8 later. Encoder with DReG: 0.7 and 0.8 before training, 0.76 to 0.88 later. Decoder: 2.5 and 2.0 before training, 1.7 after one epoch, 1.5 at the end. The laws for large k, 0.14 and 7.1, are far from all of them. Below, DReG's ratio over IWAE's: 2.2 with one draw and 4.3 and 3.2 with fifty before training; 1.5 to 1.6 with either later."}}
STAGES = {
    "start": "before training",
    "middle": "1 epoch",
    "end": "30 epochs",
}
quotients = {
    (stage, seed): stored_rows["mlp-j20", seed, stage]["signal"]
    for stage in STAGES
    for seed in (0, 1)
}
ABOVE = {
    "iwae 50/1": ("IWAE, encoder", COLORS["IWAE"], COLORS["IWAE"]),
    "dreg 50/1": ("DReG, encoder", COLORS["DReG"], COLORS["DReG"]),
    "decoder 50/1": ("decoder", "black", "black"),
}
BELOW = {
    "dreg/iwae 1": ("one draw", COLORS["DReG"], "white"),
    "dreg/iwae 50": ("50 draws", COLORS["DReG"], COLORS["DReG"]),
}  # label, colour, face
places = [-row - 0.4 * (row // 2) for row in range(6)]
figure, axes = plt.subplots(
    2, 1, figsize=(5.6, 7.4), height_ratios=(1.2, 1)
)
for panel, series in zip(axes, (ABOVE, BELOW), strict=True):
    for shift, (name, (label, color, face)) in enumerate(series.items()):
        found = [of[name] for of in quotients.values()]
        middle, low, high = np.transpose(found)
        look = {"fmt": "o", "color": color, "mfc": face, "ms": 6}
        ends = [middle - low, high - middle]
        place = np.array(places) - 0.16 * (shift - 1)
        panel.errorbar(middle, place, xerr=ends, label=label, **look)
    panel.axvline(1, color="black", lw=1)
    panel.set_yticks(
        places, [f"{STAGES[s]}, seed {seed}" for s, seed in quotients]
    )
    panel.set(xscale="log", ylim=(-6.5, 0.6))
for law, label in ((50**-0.5, r"$1/\sqrt{50}$"), (50**0.5, r"$\sqrt{50}$")):
    axes[0].axvline(law, color="gray", ls="--")
    axes[0].text(law, 0.75, label, ha="center")
for panel, limits, ticks in (
    (axes[0], (0.1, 10), [0.2, 0.5, 1, 2, 5]),
    (axes[1], (0.9, 5.5), [1, 1.5, 2, 3, 5]),
):
    panel.set_xlim(limits)
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.minorticks_off()
axes[0].set_xlabel("signal / noise at k = 50, over that at k = 1")
axes[1].set_xlabel("signal / noise of DReG, over that of IWAE")
figure.legend(
    *axes[0].get_legend_handles_labels(),
    loc="outside upper center",
    ncols=3,
    columnspacing=1,
    fontsize=11,
)
axes[1].legend(loc="lower right", fontsize=11)
plt.show()

# %% [markdown]
# Once training is under way, every seed and moment shows the same: the encoder loses about a fifth, and DReG's ratio is about 1.5 times IWAE's whatever $k$. Before training it is different. There IWAE's ratio falls farther, and DReG's lead does grow with $k$, from 2.2 times to three or four times. But even there DReG's own ratio falls.


# %% tags=["check"]
def of_quotient(name, which, stages=STAGES):
    """Its mean, or a side of its interval: both seeds, some stages."""
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
    "the encoder's falls, with IWAE and with DReG",
    [of_quotient(name, HIGH) for name in both],
    1,
    relation="<",
)
later = ("middle", "end")
vh.check(
    "once training is under way, by about a fifth",
    [of_quotient(name, 0, later) for name in both],
    0.8,
    atol=0.1,
)
vh.check(
    "and DReG's is about 1.5 times IWAE's, at k = 1 and at 50",
    [of_quotient(f"dreg/iwae {k}", 0, later) for k in (1, 50)],
    1.5,
    atol=0.15,
)
vh.check(
    "before training it falls farther with IWAE",
    max(of_quotient("iwae 50/1", HIGH, ["start"])),
    of_quotient("iwae 50/1", LOW, later),
    relation="<",
)
vh.check(
    "before training what DReG gains grows with k",
    of_quotient("dreg/iwae 50", LOW, ["start"]),
    of_quotient("dreg/iwae 1", HIGH, ["start"]),
    relation=">",
)

# %% [markdown]
# ## 18.4 Why it differs: the weights
#
# The laws need sums in which no single term matters. So ask of fifty draws: how much of the whole do the heaviest carry?


# %%
def normalised_weights(x, k, seed=0):
    """The shares of (18.1) for each image, [k, n]."""
    with model.using(keras.random.SeedGenerator(seed)):
        q = model.posterior(x)
        z = q.sample(k, seed=model.next_seed())
    log_ratio = q.log_prob(z) - model.prior.log_prob(z)
    log_weights = model.likelihood(z).log_prob(x) - log_ratio
    return tf.nn.softmax(log_weights, axis=0).numpy()


# %% tags=["plumbing"] mystnb={"image": {"alt": "Share of the total weight carried by the heaviest n of fifty draws, averaged over 1,000 test images. After one epoch the heaviest draw alone carries 57%, the three heaviest over 80%. Before training the heaviest carries 30%, ten carry about 80%. The diagonal of equal weights lies far below both."}}
chunks = [x_test[i : i + 100] for i in range(0, 1000, 100)]


def fifty_shares():
    """Shares of fifty draws for each of 1,000 test images, [50, 1000]."""
    parts = [normalised_weights(chunk, 50) for chunk in chunks]
    return np.concatenate(parts, axis=1)


trained = model.get_weights()
shares_now = {"after one epoch": fifty_shares()}
model.set_weights(untrained)
shares_now["before training"] = fifty_shares()
model.set_weights(trained)
figure, panel = plt.subplots(figsize=(6.4, 3.6))
heaviest_n = np.arange(51)
lines = {"after one epoch": "o-", "before training": "s-"}
for name, line in lines.items():
    ordered = np.sort(shares_now[name], axis=0)[::-1].mean(axis=1)
    carried = np.concatenate([[0], np.cumsum(ordered)])
    color = "black" if name == "after one epoch" else "gray"
    panel.plot(heaviest_n, carried, line, ms=4, color=color, label=name)
panel.plot(heaviest_n, heaviest_n / 50, ":", color="black", label="equal")
panel.set(xlabel="the heaviest n of 50 draws", xlim=(0, 50))
panel.set(ylabel="share of all weight", ylim=(0, 1.03))
panel.legend()
plt.show()

# %% [markdown]
# After one epoch a single draw carries over half of all weight, and three carry four fifths. A usual summary is the *effective number* $1 / \sum_i \tilde w_i^2$: how many equal weights would be as good.

# %% tags=["plumbing", "exact"]
shares = {name: of["weights_of_50"] for name, of in kept["moments"].items()}
rows = [
    [
        name.replace("start", "before training"),
        f"{of['heaviest']:.0%}",
        of["effective"],
    ]
    for name, of in shares.items()
]
heads = ["fifty draws, 1,000 test images"]
heads += ["heaviest share, mean", "effective number, median"]
vh.table(heads, rows, digits=1)

# %% [markdown]
# Two or three draws of fifty count. How large, then, is $v$? The effective number cannot tell you: it is near $k / (1 + v)$ only for $k$ far above $v$, and exercise 3 says what it hides.
#
# Nor can the variance of $\log w$. After ten epochs it is 19 nats², averaged over images. The lower toy of section 18.2 was chosen to have just that, and its $v$ is 341. If $\log w$ were Gaussian with this variance, fifty draws would have an effective number of 2.1, near the 2.4 that was measured, and $v$ would be above $10^8$. And $v$ may be infinite, which [happens easily](14_importance_weighting.ipynb): then the laws never begin. The bound agrees: from $k = 50$ to 500 it gains half as much as from 5 to 50, where a gap like $1/k$ would gain a tenth.
#
# So the theory is right, and speaks about another place: $q$ close to the posterior, or far more draws than you would pay for.

# %% tags=["check"]
again = shares_now["after one epoch"]
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
log_variance = np.mean(
    kept["moments"]["after 10 epochs"]["encoder"]["value"]["A"]
)
random = np.random.default_rng(0).standard_normal((2000, 50))
spread = np.exp(math.sqrt(log_variance) * random)
effective = spread.sum(axis=1) ** 2 / (spread**2).sum(axis=1)
vh.check(
    "after ten epochs: the variance of log w, nats²",
    log_variance,
    19,
    atol=0.5,
)
vh.check(
    "log-normal weights of this variance: effective number of fifty",
    np.median(effective),
    shares["after 10 epochs"]["effective"],
    atol=0.5,
)
vh.check(
    "and 1 + v = exp(variance) is beyond",
    math.exp(log_variance),
    1e8,
    relation=">",
)
noise = np.random.default_rng(1).standard_normal(1_000_000)
z = FAR + SCALE * noise
vh.check(
    "the lower toy of section 18.2: the variance of its log w",
    np.var((noise**2 - z**2) / 2),
    log_variance,
    atol=0.5,
)
gains = np.diff(list(tighter.values()))
vh.check(
    "the bound's gain from 50 to 500, over that from 5 to 50",
    gains[2] / gains[1],
    0.4,
    relation=">",
)

# %% [markdown]
# ## 18.5 Does it train better?
#
# The encoder's ratio gets worse, the decoder's better: train, and see which decides. The setting is near to that of [Burda et al. 2016](../book/bibliography.md): two layers of 200 tanh units on either side, $J = 50$, Adam with a step of $10^{-3}$, minibatches of twenty, digits made binary anew on every pass. They trained for 3,280 epochs; here there are five, and for one draw up to forty. So do not read the levels, read who is ahead.
#
# Two comparisons must be kept apart.
#
# - *After the same images*: does the bound help, or only its draws? An average of $k$ values of A is quieter too, and leaves the bound as it is. So A is trained with five and with fifty draws as well.
# - *After the same seconds*: draws must be paid for. So A with one draw also goes on for 13 epochs, about as long as five epochs with five draws, and for forty.
#
# Each training has five seeds; with fifty draws or forty epochs only three, and A with fifty draws only one (seed 0). All differences are paired by the seed.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Forest plot of differences in log p(x) with 95% intervals and a zero line. After the same five epochs: A 5 less A 1 +3.3, IWAE 5 less A 5 +0.15 around zero, DReG 5 less A 5 +1.9, DReG 5 less IWAE 5 +1.7, IWAE 50 less IWAE 5 +1.0, DReG 50 less DReG 5 +0.5, DReG 50 less IWAE 50 +1.2, and three single seeds between +0.3 and +1.5. In about the same seconds or fewer: A with one draw leads A 5 by 2.5, IWAE 5 by 2.3, DReG 5 by 0.6 and, with forty epochs, DReG 50 by 3.4."}}
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


def paired(one, other):
    """Differences in log p(x) of the seeds that both have."""
    both = min(len(tight[one]), len(tight[other]))
    return of_runs(one)[:both] - of_runs(other)[:both]


better = {pair: interval(paired(*pair)) for pair in PAIRS_TIGHT}
widened = {
    pair: interval(paired(*pair), len(PAIRS_TIGHT)) for pair in PAIRS_TIGHT
}


def short(key):
    name, k, epochs = key
    return f"{name} {k}" + (f" ({epochs} epochs)" if epochs != 5 else "")


ROWS = PAIRS_TIGHT[:7] + ALONE + [None] + PAIRS_TIGHT[7:]
figure, panel = plt.subplots(figsize=(5.8, 6))
for place, pair in enumerate(ROWS):
    if pair is None:
        continue
    color = COLORS[pair[0][0]]
    middle = paired(*pair).mean()
    if pair in better:
        panel.plot(middle, -place, "o", ms=7, color=color)
        for half, width in ((widened[pair][1], 1), (better[pair][1], 3.5)):
            ends = [middle - half, middle + half]
            panel.plot(ends, [-place, -place], color=color, lw=width)
    else:
        panel.plot(middle, -place, "o", ms=7, mfc="white", color=color)
for ends in ((0.35, -9.4), (-10.4, -14.7)):  # below the headings
    panel.plot([0, 0], ends, color="black", lw=1)
panel.spines["left"].set_visible(False)
labels = [f"{short(p[0])} − {short(p[1])}" if p else "" for p in ROWS]
panel.set_yticks(-np.arange(len(ROWS)), labels, fontsize=11)
panel.tick_params(axis="y", length=0)
panel.grid(axis="y", visible=False)
panel.set(xlabel="difference in log p(x), nats", ylim=(-14.7, 1))
panel.text(-2.6, 0.55, "after the same 5 epochs", weight="bold")
panel.text(
    -2.6, -10.15, "in about the same seconds, or fewer", weight="bold"
)
panel.set_xlim(-2.7, 7)
plt.show()

# %% [markdown]
# "IWAE 5" is IWAE with five draws. Right of zero the first one is better. Thick: 95%. Thin: widened so that all eleven intervals hold together. Hollow: a single seed.

# %% tags=["plumbing"] mystnb={"image": {"alt": "log p(x) against seconds of training, the seconds on a logarithmic axis. A with one draw rises from −105 after five epochs to −99 after thirteen and −96 after forty. IWAE and A with five draws lie together at −101, one to two nats below that line, DReG with five at −99.5, just below it. With fifty draws all three lie far to the right, between −100 and −99, three to five nats below where the line ends."}}
figure, panel = plt.subplots(figsize=(6, 4.4))
MARKS = {1: "o", 5: "s", 50: "D"}
for name, k in per_epoch:
    found = [key for key in tight if key[:2] == (name, k)]
    taken = [epochs * per_epoch[name, k] for *_, epochs in found]
    middle, half = np.transpose(
        [middle_and_half(of_runs(key)) for key in found]
    )
    look = {"color": COLORS[name], "ms": 7, "capsize": 3}
    if name == "A":  # a ring, since IWAE lies on top of it
        look |= {"ms": 11, "mfc": "white"}
    look |= {"fmt": f"{MARKS[k]}-", "label": f"{name}, {draws(k)}"}
    panel.errorbar(taken, middle, yerr=half, **look)
panel.set(xscale="log", xlabel="seconds of training")
panel.set_ylabel("log p(x), nats")
panel.set_ylim(-108.5, None)
panel.set_xticks([30, 100, 300], ["30", "100", "300"])
panel.minorticks_off()
panel.legend(loc="lower right", ncols=2, fontsize=11)
plt.show()

# %% [markdown]
# **After the same images.** Five draws bring A itself 3.3 ± 1.1 nats, and its bound is still the ELBO. Between IWAE and A, both with five draws, no difference is seen: +0.15 ± 0.71. So most of IWAE's lead over one draw is there *without* the tighter bound. DReG, with the same bound and a quieter encoder, is above both, by 1.9 ± 0.6 and 1.7 ± 0.2. From five draws to fifty IWAE gains a nat and DReG half a nat, for seven to eight times the seconds; the thin intervals contain zero.
#
# **After the same seconds.** Five draws take 2.4 times as long as one, DReG's five 2.7 times, fifty draws 18 to 21 times. A with one draw and thirteen epochs ends 2.3 ± 0.5 nats above IWAE with five draws, and takes six seconds more; those explain at most 0.6, which is what its last *two* epochs brought the ELBO. It ends 2.5 ± 1.0 above A with five, and 0.6 ± 0.5 above DReG, where the thin interval contains zero. In less than half the time of fifty draws, A makes forty epochs and stands 3.4 ± 1.0 nats above DReG. At this stage another pass is worth more than more draws; only DReG with five comes close.
#
# **Did the encoder's falling ratio do harm?** Put IWAE in the place of A, and no difference is seen. Put DReG there, whose encoder had the better ratio in section 18.3, and training is better. That is as far as it goes: the ratio was measured on another network.

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
climb = np.mean(
    [run["test_elbo_by_epoch"][-3:] for run in tight["A", 1, 13]], axis=0
)
vh.check(
    "A, one draw, 13 epochs: ELBO gained in the last two",
    climb[2] - climb[0],
    0.6,
    atol=0.05,
)
vh.check(
    "whose seconds are more than it has over IWAE's",
    2 * per_epoch["A", 1],
    13 * per_epoch["A", 1] - 5 * per_epoch["IWAE", 5],
    relation=">",
)
over_one = {key: per_epoch[key] / per_epoch["A", 1] for key in per_epoch}
five = [over_one[name, 5] for name in ("A", "IWAE", "DReG")]
vh.check("seconds: five draws over one", five, [2.4, 2.4, 2.7], atol=0.06)
fifty = [over_one[name, 50] for name in ("A", "IWAE", "DReG")]
vh.check("and fifty over one", fifty, [18, 18, 21], atol=0.5)

# %% tags=["check"]
begun = load("estimators-begin")
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
    "which went on to the first epoch of the run in the figure",
    early["after_the_epoch"],
    tight["IWAE", 5, 5][0]["test_elbo_by_epoch"][0],
    atol=1,
)

# %% [markdown]
# **Do not judge such a model by its ELBO.** A tighter bound does not ask $q$ to be close to the posterior. It asks for $k$ proposals of which one is good.

# %% tags=["plumbing"] mystnb={"image": {"alt": "For each of nine trainings the ELBO, a hollow dot, and log p(x), a full dot, joined by a line, in nats. For A the two lie 5 to 8 nats apart; for DReG 11 with five draws and 19 with fifty; for IWAE 13 with five and 21 with fifty. IWAE with fifty draws has the lowest ELBO of all, −122, and a log p(x) of −100."}}
figure, panel = plt.subplots(figsize=(5.6, 3.8))
order = sorted(tight, key=lambda key: (key[0], key[1], key[2]))
for place, key in enumerate(order):
    color = COLORS[key[0]]
    ends = [of_runs(key, what).mean() for what in ("test_elbo", LIKELIHOOD)]
    panel.plot(ends, [-place] * 2, color=color)
    panel.plot(ends[0], -place, "o", ms=7, mfc="white", color=color)
    panel.plot(ends[1], -place, "o", ms=7, color=color)
names_of_order = [
    f"{name}, {draws(k)}, {epochs} epochs" for name, k, epochs in order
]
panel.set_yticks(-np.arange(len(order)), names_of_order)
panel.set_xlabel("ELBO (hollow) and log p(x) (full), nats")
plt.show()

# %% tags=["plumbing", "exact"]
rows = []
for key in order:
    name, k, epochs = key
    cells = []
    for what in (LIKELIHOOD, "test_elbo", "test_objective"):
        found = of_runs(key, what)
        cells.append(interval(found) if len(found) > 1 else found[0])
    rows.append([f"{name} {k}, {epochs} epochs", *cells])
heads = ["nats", "log p(x)", "ELBO", "what it maximises"]
folded("The nine trainings in numbers", vh.table(heads, rows))

# %% tags=["check"]
apart = {
    key: of_runs(key).mean() - of_runs(key, "test_elbo").mean()
    for key in tight
}
of_bounds = [gap for key, gap in apart.items() if key[0] != "A"]
of_averages = [gap for key, gap in apart.items() if key[0] == "A"]
vh.check("IWAE, DReG: log p(x) − ELBO", of_bounds, 11, relation=">")
vh.check("A: log p(x) − ELBO", of_averages, 9, relation="<")
behind = of_runs(("IWAE", 50, 5), "test_elbo")
behind -= of_runs(A_1, "test_elbo")[:3]
ahead, half = interval(paired(("IWAE", 50, 5), A_1))
vh.check("IWAE, 50 draws: log p(x) ahead of A's", ahead, half, relation=">")
vh.check("and its ELBO behind", sum(interval(behind)), 0, relation="<")
active = {key: of_runs(key, "active_units") for key in tight}
vh.check("active units, A, 5 draws", active[A_5], 20, relation="<")
vh.check("active units, A, 1 draw", active[A_1], 28, relation=">")
vh.check(
    "active units, IWAE, 5 draws",
    active[IWAE_5],
    max(active[A_1]),
    relation=">",
)

# %% [markdown]
# IWAE with fifty draws leads A with one by over 4 nats of $\log p(x)$, and its ELBO lies 10 nats lower. Do not use its encoder as if $q$ were the posterior.
#
# IWAE uses more of its code. A latent dimension is *active* if its $\mu_j$ has a variance above 0.01 over the test images:

# %% tags=["plumbing"] mystnb={"image": {"alt": "Active latent dimensions, of fifty, a dot for each seed of the nine trainings. A with one draw: 29 to 47 after five epochs, 19 to 38 after thirteen, 19 to 31 after forty. A with five draws 15 to 19, with fifty 14. DReG with five 34 to 47, with fifty 48 or 49. IWAE with five 49 or 50, with fifty all 50."}}
figure, panel = plt.subplots(figsize=(5.6, 3.6))
for place, key in enumerate(order):
    units = of_runs(key, "active_units")
    look = {"ms": 8, "alpha": 0.6, "color": COLORS[key[0]]}
    panel.plot(units, np.full(len(units), -place), "o", **look)
panel.set_yticks(-np.arange(len(order)), names_of_order)
panel.set(xlim=(0, 51.5), xlabel="active latent dimensions, of 50")
plt.show()

# %% [markdown]
# After five epochs nearly all are active with IWAE, under twenty with five draws of A. Nothing has come to rest by then; but that IWAE with fifty draws has more of them than A with one agrees with the published table, 25 against 19. With A itself more draws leave fewer active here; there they do not.
#
# **Later all this may turn**, since passes bring less and less. Compare what draws bring after five epochs and after the 3,280 of Burda et al.:

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels, one above the other: log p(x) less that of A with one draw, against 1, 5 and 50 draws, for A and IWAE. Above, here after five epochs: both gain 3.3 to 3.5 nats with five draws and 4 to 5 with fifty; their intervals overlap. Below, published, after 3,280 epochs: A gains 0.3 and 0.4 nats, IWAE 1.2 and 2.0."}}
PUBLISHED = {
    "A": (-86.76, -86.47, -86.35),
    "IWAE": (-86.76, -85.54, -84.78),
}  # Burda et al. 2016, table 1, one stochastic layer; nats
figure, axes = plt.subplots(2, 1, figsize=(5.6, 5.2), sharex=True)
for name, line in (("A", "o-"), ("IWAE", "s--")):
    look = {"color": COLORS[name], "label": name, "ms": 7}
    gains = [(0.0, 0.0)]
    for k in (5, 50):
        gains.append(middle_and_half(paired((name, k, 5), A_1)))
    middle, half = np.transpose(gains)
    shift = 0.94 if name == "A" else 1.06  # side by side
    ks = shift * np.array(SAMPLES)
    axes[0].errorbar(ks, middle, yerr=half, fmt=line, capsize=4, **look)
    values = np.array(PUBLISHED[name])
    axes[1].plot(ks, values - values[0], line, **look)
axes[0].set_title("here, after 5 epochs", fontsize=12)
axes[1].set_title("published, after 3,280 epochs", fontsize=12)
for panel in axes:
    panel.set(xscale="log", ylabel="gain, nats")
axes[1].set_ylim(-0.2, 3)
axes[1].set_xticks(SAMPLES, [str(k) for k in SAMPLES])
axes[1].minorticks_off()
axes[1].set_xlabel("draws k")
axes[0].legend(loc="upper left")
plt.show()

# %% [markdown]
# The gain is in $\log p(x)$ over A with one draw. Here the draws bring it, whichever bound; there the bound does. (A with fifty draws is one seed; IWAE with that seed lies above it.) You need not begin with the bound either: a model trained with one draw to the end, and then by IWAE with fifty, came to $-84.9$ nats (their table 2), next to $-84.8$ for IWAE throughout.
#
# ## 18.6 Limits, and the verdict
#
# > **Note.** What this page cannot say.
# >
# > - *The ratios* are those of one dense network with $J = 20$ on thresholded digits, of two trainings; their intervals are over minibatches, and before training the two seeds differ by more. The trainings of section 18.5 use another network, a tanh one with $J = 50$.
# > - *The trainings* are short, with one step size; the published ones lowered it in stages, began with another output bias and used another small constant in Adam. A with fifty draws is one seed.
# > - *$\log p(x)$* is the ELBO of all test images plus the gap, estimated with 500 draws, of the first 1,000. The estimate is too low, by an amount that depends on how $q$ fits, and whom that favours was not measured.
# > - *The bound and the quiet encoder* of DReG were taken apart in one order only, A, IWAE, DReG: exercise 4 asks for the other.
# > - *Seconds* are those of two CPU cores. A with 13 epochs has two fewer than DReG, and five or six more than A and IWAE with five draws.
#
# - **Once training is under way, fifty draws cost the encoder's signal-to-noise ratio little**: a fifth, where $1/\sqrt{k}$ would take six sevenths. DReG's is about 1.5 times as high at every $k$, and falls as much.
# - **In a short training tighter bounds do not pay in seconds.** By this estimate more passes with one draw end higher than IWAE, and about level with DReG. Where draws cost less than on two cores, that may turn.
# - **In a long one they bring something**, by the published table, and can wait for its end.
# - **If you use one, use DReG**: after five epochs it stands 1.7 ± 0.2 nats above IWAE with five draws, for a seventh more seconds (with fifty draws 1.2 ± 0.5, which widened contains zero). We trained no longer; after 3,280 epochs [a reproduction](https://github.com/nbip/IWAE) has DReG 0.3 nats above IWAE, with five draws and with fifty.
#
# ## What we measured
#
# Brackets and ± are 95% intervals, not widened. The published laws hold for large $k$.

# %% tags=["plumbing", "exact"]
BURDA = "after 3,280 epochs (Burda et al.)"


def signed(difference):
    return "{:+.2f} ± {:.2f}".format(*difference).replace("-", "−")


once = f"{paired(('IWAE', 50, 5), ('A', 50, 5))[0]:+.2f} (one seed)"
summary = [
    [
        "signal / noise, 50 draws over one: encoder, IWAE",
        with_interval(change["IWAE, encoder"]),
        "like 1/√k (Rainforth et al.)",
    ],
    [
        "— encoder, DReG",
        with_interval(change["DReG, encoder"]),
        "like √k (Tucker et al.)",
    ],
    [
        "— decoder",
        with_interval(change["decoder"]),
        "like √k (Rainforth et al.)",
    ],
    [
        "log p(x), nats: IWAE − A, 5 draws, 5 epochs",
        signed(better[IWAE_5, A_5]),
        f"+0.93 {BURDA}",
    ],
    ["— 50 draws, 5 epochs", once, f"+1.57 {BURDA}"],
    [
        "in about as many seconds: A, 1 draw − IWAE, 5 draws",
        signed(better[("A", 1, 13), IWAE_5]),
        "—",
    ],
    [
        "— A, 1 draw − DReG, 5 draws",
        signed(better[("A", 1, 13), DREG_5]),
        "—",
    ],
]
vh.table(["what", "here", "published"], summary)

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - why a tighter bound, if its weights are regular enough, must starve the encoder for very many draws, and why up to fifty draws of a real network it hardly does;
# - DReG derived, and checked to have IWAE's mean; once training is under way it is quieter by what the path estimator brings;
# - that most of what IWAE gained came from its draws, and that passes over the images gained more in the same time.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. Arrived** (10 min, by hand). Suppose that $q$ is the exact posterior of every image. What are the gradients of IWAE and of DReG by $\phi$, draw by draw? With $\theta$ held fixed, what does an optimiser do with each?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# There $p_\theta(x, z) = p_\theta(x) \, q_\phi(z \mid x)$, so every weight is $p_\theta(x)$, whatever $z$ is. Hence $\tilde w_i = 1/k$, and $\log w_i$ does not change with $z_i$: every $r_i$ is zero. DReG's gradient is zero in every draw, as the path estimator's is. IWAE's is $-\frac{1}{k} \sum_i \partial_\phi \log q_\phi(z_i \mid x)$, an average of scores: its mean is zero, its variance is that of one score divided by $k$. An optimiser that has arrived stays there with DReG. With IWAE it keeps wandering, less for large $k$.
#
# </details>

# %% tags=["solution"]
of_iwae_there, of_dreg_there = toy_gradients(
    mu=0, k=5, repeats=10_000, scale=1.0
)  # q is the posterior N(0, 1)
vh.check("DReG is zero in every draw", of_dreg_there, 0, atol=1e-12)
vh.check("IWAE's variance is 1 / k", of_iwae_there.var(), 1 / 5, rtol=0.05)

# %% [markdown] tags=["exercise"]
# **2. How many draws count?** (10 min, by code). Write the effective number $1 / \sum_i \tilde w_i^2$ as a function of the *logarithms* of the weights. It must also work where each weight is as small as $e^{-1000}$, which is zero in double precision.


# %% tags=["exercise", "exact"]
def effective_number(log_weights):
    """How many equal weights would be as good."""
    return ...  # your lines


log_weights = np.log([1.0, 1.0, 2.0])
print("yours:", effective_number(log_weights), "expected: 2.6667")
print("yours:", effective_number(log_weights - 1000), "expected: 2.6667")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Subtract the largest logarithm first. That multiplies all weights by the same factor, which the shares do not feel. The shares are here ¼, ¼ and ½, their squares add up to ⅜, and ⁸⁄₃ = 2.6667.
#
# </details>


# %% tags=["solution"]
def effective_number(log_weights):
    """How many equal weights would be as good."""
    share = np.exp(log_weights - np.max(log_weights))
    share /= share.sum()
    return 1 / np.sum(share**2)


for shift in (0, 1000):
    vh.check(
        f"effective number, logarithms less {shift}",
        effective_number(log_weights - shift),
        8 / 3,
        atol=1e-4,
    )
vh.check(
    "of fifty equal weights", effective_number(np.zeros(50)), 50, atol=1e-6
)

# %% [markdown] tags=["exercise"]
# **3. What the effective number hides** (15 min, by hand). (a) Between which two numbers does it lie for $k$ draws? If you read $v$ off $k / (1 + v)$, what is the largest $v$ that fifty draws can ever report? (b) Let $\log w$ be Gaussian with variance $s^2$, scaled so that $\mathbb{E}[w] = p_\theta(x)$. Show that $1 + v = e^{s^2}$. (c) How large may $s^2$ be if you want $v < 50$?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# (a) The squares of shares that add up to 1 add up to at most 1, when one share is everything, and at least $1/k$, when all are equal. So it lies between 1 and $k$, and the largest $v$ that could be read off is $k - 1 = 49$.
#
# (b) For a Gaussian $\log w$ with mean $m$: $\mathbb{E}[w] = e^{m + s^2/2}$ and $\mathbb{E}[w^2] = e^{2m + 2s^2}$. So $1 + v = \mathbb{E}[w^2] / \mathbb{E}[w]^2 = e^{s^2}$.
#
# (c) $s^2 < \log 51 \approx 3.9$ nats², a fifth of what the network has.
#
# </details>

# %% tags=["solution"]
random = np.random.default_rng(4).standard_normal(4_000_000)
drawn = np.exp(random - 0.5)  # s² = 1, mean 1
vh.check("s² = 1: 1 + v by simulation", 1 + drawn.var(), math.e, rtol=0.05)
vh.check("v = 50 at s² of", math.log(51), 3.93, atol=0.01)

# %% [markdown] tags=["exercise"]
# **4. Bound or quiet encoder?** (15 min, open). DReG with five draws beat A with five. Which one training would you add to say how much of that is the tighter bound and how much the quieter gradient? Which differences would you form? And how many seeds would you need to know each to ± 0.3 nats, if paired differences scatter as those of IWAE − A, five draws each, do?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Train the *path* estimator with five draws. Path − A has the same bound, the ELBO, and differs by the quiet encoder gradient alone. DReG − path has quiet gradients on both sides and differs by the bound, and by what the bound does to the noise. If path − A is already 1.9 nats, no gain of the bound shows.
#
# The interval of IWAE − A is ± 0.71 with five seeds. That is Student's factor 2.78 times the standard deviation over $\sqrt{5}$, so the standard deviation is 0.57. For ± 0.3 the number of seeds $n$ must make $t_{n-1} \cdot 0.57 / \sqrt{n}$ at most 0.3: the cell below counts 17. Five would do if the differences scattered as those of DReG − IWAE do.
#
# </details>

# %% tags=["solution"]
deviation = paired(IWAE_5, A_5).std(ddof=1)
seeds_needed = next(
    n
    for n in range(2, 100)
    if stats.t.ppf(0.975, n - 1) * deviation / math.sqrt(n) <= 0.3
)
vh.check("the standard deviation", deviation, 0.57, atol=0.01)
vh.check("seeds for ± 0.3 nats", seeds_needed, 17, relation="=")
vh.check(
    "DReG − IWAE with five", better[DREG_5, IWAE_5][1], 0.3, relation="<"
)

# %% [markdown]
# ## What to read next
#
# - [Draws or images?](20_draws_or_images.ipynb) asks the same of plain averages: are several draws for an image worth their seconds?
# - [The page on importance weighting](14_importance_weighting.ipynb): the bound of this page, proved and drawn.
# - [Rainforth et al. 2018](../book/bibliography.md) and [Tucker et al. 2019](../book/bibliography.md): the falling ratio, and its repair.
