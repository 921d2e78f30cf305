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
# # 17. What binary cross-entropy on grey levels optimises
#
# **Binary cross-entropy on grey levels is not the log-likelihood of the grey image: for that it lacks at least $\log 2$ nats a pixel. With the KL term it gives a useful lower bound on the average log-likelihood of other data: the same images, each pixel tossed to black or white.** Say that the number belongs to those images. Or put the missing term in: then it is the continuous Bernoulli.
#
# This page proves the sentence on grey levels in section 1.7 of [chapter 1](01_theory.ipynb).

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

import itertools
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import integrate, optimize, stats

tfd = tfp.distributions
started = time.monotonic()
vh.use_book_style()
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"

# %% tags=["plumbing"] mystnb={"image": {"alt": "Three curves over the grey level x from 0 to 1: y to the power x times 1 minus y to the power 1 minus x, for y one half, 0.9 and 0.99. The first is flat at one half. The others rise from 0.1 to 0.9, and from 0.01 to 0.99, ever more steeply. The shaded areas under them are 0.50, 0.36 and 0.21, where a density would have 1: a dashed line at height 1 shows the area it should be."}}
fig, ax = plt.subplots(figsize=(5.2, 3.6))
levels = np.linspace(0, 1, 201)
for y, color in ((0.5, ORANGE), (0.9, GREEN), (0.99, BLUE)):
    curve = y**levels * (1 - y) ** (1 - levels)
    area = 0.5 if y == 0.5 else (2 * y - 1) / math.log(y / (1 - y))
    ax.plot(levels, curve, color=color, label=f"y = {y}: area {area:.2f}")
    ax.fill_between(levels, curve, color=color, alpha=0.12)
ax.axhline(1, color="grey", ls="--", label="a density: area 1")
ax.set(
    xlabel="grey level x", ylabel="exp(−BCE) of one pixel", ylim=(0, 1.05)
)
ax.legend(fontsize=10, loc="upper left", bbox_to_anchor=(0, 0.97))
plt.show()

# %% [markdown]
# BCE is the binary cross-entropy of one pixel. As a function of the grey level, $e^{-\mathrm{BCE}}$ should enclose an area of 1. It never encloses more than one half.
#
# **What you will be able to do**
#
# - show that grey-level cross-entropy is not a normalised density, and compute what it leaves out;
# - write down the continuous Bernoulli and its mean, and draw from it;
# - prove that the same objective is a lower bound for randomly binarised data, and say what the gap is.
#
# **What it needs.** The Bernoulli decoder and the bound of [chapter 1](01_theory.ipynb). A quarter of an hour to read; it runs in seconds.
#
# ## 17.1 The question
#
# For binary pixels $x_d$ and white probabilities $y_d$ the Bernoulli decoder has (chapter 1, equation 1.22)
#
# $$
# B(x, y) = \sum_d x_d \log y_d + (1 - x_d) \log (1 - y_d) ,
# $$
#
# minus the *binary cross-entropy* (BCE). Many programs feed grey levels $x_d \in [0, 1]$ into it. It still runs, and it still trains. But what is it? Two readings are possible.
#
# ## 17.2 Reading 1: a density on grey levels that is not normalised
#
# Take one grey level as a continuous number, and integrate over it, with $r = y/(1 - y)$:
#
# $$
# \begin{aligned}
# & \int_0^1 y^x (1 - y)^{1 - x} dx \\
# &= (1 - y) \int_0^1 r^x dx \\
# &= (1 - y) \frac{r - 1}{\log r} = \frac{2y - 1}{\log r} .
# \end{aligned} \tag{17.1}
# $$
#
# The last step used $(1 - y)(r - 1) = 2y - 1$. Let $C(y)$ be one over this integral. At $y = \frac{1}{2}$ the integrand is $\frac{1}{2}$ throughout, so $C(\frac{1}{2}) = 2$.
#
# The integral is never above ½. A geometric mean is at most the arithmetic mean with the same weights, so $y^x (1 - y)^{1 - x} \le x y + (1 - x)(1 - y)$, and the right side integrates to $\frac{1}{2} y + \frac{1}{2} (1 - y) = \frac{1}{2}$. As a log-likelihood of grey levels, $B$ lacks $\log C(y)$: at least $\log 2$ nats for every pixel.
#
# Put it in, and you have the **continuous Bernoulli** of [Loaiza-Ganem & Cunningham 2019](../book/bibliography.md):
#
# $$
# \begin{aligned}
# & \log p(x \mid y) \\
# &= x \log y + (1 - x) \log (1 - y) \\
# &\quad + \log C(y), \\
# & C(y) = \frac{\log r}{2y - 1}, \quad r = \frac{y}{1 - y} .
# \end{aligned} \tag{17.2}
# $$
#
# **Its parameter is not its mean.** The density is $e^{\eta x}$ times a constant, with $\eta = \log r$. The integral is $\int_0^1 e^{\eta x} dx = (e^{\eta} - 1)/\eta$. The derivative of its logarithm in $\eta$ is the mean, $\int x e^{\eta x} dx / \int e^{\eta x} dx$:
#
# $$
# \begin{aligned}
# \mathbb{E}[x] &= \frac{e^{\eta}}{e^{\eta} - 1} - \frac{1}{\eta} \\
# &= \frac{y}{2y - 1} - \frac{1}{\log r} .
# \end{aligned} \tag{17.3}
# $$


# %%
def log_c(y: np.ndarray) -> np.ndarray:
    """log C(y) in nats, (17.2), for y other than 1/2."""
    return np.log(np.log(y / (1 - y)) / (2 * y - 1))


def continuous_bernoulli_mean(y: np.ndarray) -> np.ndarray:
    """Mean of the continuous Bernoulli, (17.3), for y other than 1/2."""
    return y / (2 * y - 1) - 1 / np.log(y / (1 - y))


# %% tags=["check"]
def integral(function, low: float, high: float, **options) -> float:
    """The integral of function, by adaptive quadrature."""
    options = {"epsabs": 1e-12, **options}
    return integrate.quad(function, low, high, **options)[0]


def unnormalised(x: float, y: float) -> float:
    """exp B of one pixel: the integrand of (17.1)."""
    return y**x * (1 - y) ** (1 - x)


def first_moment(x: float, y: float) -> float:
    """The integrand of the mean, not normalised."""
    return x * unnormalised(x, y)


ys = np.array([0.02, 0.3, 0.7, 0.9, 0.999])
mass, moment = (
    np.array([integral(f, 0, 1, args=(y,), epsabs=1e-13) for y in ys])
    for f in (unnormalised, first_moment)
)
log_p = 0.4 * np.log(ys) + 0.6 * np.log(1 - ys) + log_c(ys)  # at x = 0.4
by_tfp = tfd.ContinuousBernoulli(probs=tf.constant(ys)).log_prob(
    tf.constant(0.4, tf.float64)
)

vh.check(
    "quadrature gives log C at five values of y",
    -np.log(mass),
    log_c(ys),
    atol=1e-8,
)
vh.check("at these y no integral reaches ½", mass, 0.5, relation="<")
vh.check(
    "quadrature gives the mean (17.3)",
    moment / mass,
    continuous_bernoulli_mean(ys),
    atol=1e-8,
)
vh.check("TFP gives (17.2)", by_tfp.numpy(), log_p, atol=1e-8)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two panels, one above the other, against the parameter y between 0 and 1. Above: the neglected term log C(y), lowest at log 2, about 0.69 nats, for y one half and rising steeply towards both ends. Below: the mean of the continuous Bernoulli, an S-shaped curve flatter than the diagonal, so the mean is closer to one half than y."}}
y = np.linspace(0.001, 0.999, 400)
fig, (upper, lower) = plt.subplots(2, 1, figsize=(5.5, 5.4), sharex=True)
upper.plot(y, log_c(y), color=BLUE)
upper.axhline(math.log(2), color=ORANGE, linestyle="--", label="log 2")
upper.set(
    ylabel="log C(y) (nats a pixel)",
    title="What grey-level BCE leaves out",
    ylim=(0, 2),
)
upper.legend()
means = continuous_bernoulli_mean(y)
lower.plot(y, means, color=BLUE, label="continuous Bernoulli")
lower.plot(y, y, "--", color=ORANGE, label="Bernoulli: mean = y")
lower.set(
    xlabel="parameter y",
    ylabel="mean of the pixel",
    title="The parameter is not the mean",
)
lower.legend()
plt.show()

# %% [markdown]
# The missing term is smallest in the middle and large at the ends. So it is no constant that training could ignore: added, it rewards $y$ near 0 or 1.
#
# **What does a fit learn?** Draw pixels from a continuous Bernoulli with $y = 0.9$ (through its inverse CDF: exercise 1). BCE settles at 0.67, the mean of the data. The continuous Bernoulli recovers $y = 0.9$, whose mean by (17.3) is 0.67 too. For a single pixel both find the same mean; in a VAE the missing term stands beside the KL term, and shifts their weights.

# %%
u = np.random.default_rng(19).random(50_000)
true_y = 0.9
r = true_y / (1 - true_y)
pixels = np.log(1 + u * (r - 1)) / math.log(r)


def fit(with_log_c: bool) -> float:
    """The y that maximises the mean of (17.2), with or without log C(y)."""
    x = pixels.mean()  # enough, since (17.2) is linear in x

    def objective(y):
        bce = -(x * math.log(y) + (1 - x) * math.log(1 - y))
        return bce - (log_c(y) if with_log_c else 0.0)

    options = {"bounds": (0.51, 0.999), "method": "bounded"}
    options["options"] = {"xatol": 1e-9}
    return optimize.minimize_scalar(objective, **options).x


# %% tags=["check"]
vh.check(
    "the mean of the pixels is that of (17.3)",
    pixels.mean(),
    continuous_bernoulli_mean(true_y),
    atol=4 * pixels.std(ddof=1) / math.sqrt(len(pixels)),
)
vh.check(
    "BCE settles at their mean",
    fit(with_log_c=False),
    pixels.mean(),
    atol=1e-6,
)
vh.check(
    "the continuous Bernoulli settles at the true parameter",
    fit(with_log_c=True),
    true_y,
    atol=0.01,
)

# %% [markdown]
# ## 17.3 Reading 2: an average over random binarisations
#
# Toss a coin for every pixel: let $\tilde x$ be a random binary image with $\Pr(\tilde x_d = 1) = x_d$, independent over pixels. Each toss gives another image. Their average is the grey image.

# %% tags=["plumbing"] mystnb={"image": {"alt": "Five pictures of one handwritten digit in a row: the grey original, three random binarisations of it, whose edges differ from one to the next, and the average of 1,000 of them, which looks like the original again."}}
grey_digit = vh.binarize(vh.load_mnist().test[:1], "none")
coins = np.random.default_rng(0).random((1000, *grey_digit.shape[1:]))
tossed = np.float32(coins < grey_digit)
row = [grey_digit, tossed[:3], tossed.mean(axis=0, keepdims=True)]
vh.plot_images(np.concatenate(row), columns=5)
plt.show()

# %% [markdown]
# Left the grey image, then three tosses, right the average of a thousand. $B$ is linear in $x$, and $\mathbb{E}[\tilde x] = x$, so
#
# $$
# \begin{aligned}
# & B(x, y(z)) \\
# &= \mathbb{E}_{\tilde x \mid x} \left[ \log p_\theta(\tilde x \mid z) \right],
# \end{aligned} \tag{17.4}
# $$
#
# with the decoder's output $y(z)$. Now let the encoder see the grey image $x$. For each $\tilde x$ the ELBO is a bound with *any* $q$ (chapter 1, equation 1.8), so also with $q_\phi(z \mid x)$. Average it over $\tilde x$:
#
# $$
# \begin{aligned}
# \mathbb{E}_{\tilde x \mid x} \left[ \log p_\theta(\tilde x) \right] \ge {} & \mathbb{E}_{q_\phi(z \mid x)} \left[ B(x, y(z)) \right] \\
# & - \mathrm{KL}(q_\phi(z \mid x) \Vert p(z)) .
# \end{aligned} \tag{17.5}
# $$
#
# So the grey-level objective is a genuine lower bound, on the average log-likelihood of **dynamically binarised** data, with new tosses each time. The gap is the average of $\mathrm{KL}(q_\phi(z \mid x) \Vert p_\theta(z \mid \tilde x))$ over the tosses. On the density (17.2) of grey levels it is a bound too, but a useless one: since $\log C$ is missing, it lies at least $\log 2$ nats a pixel too low.
#
# The objective cannot reach zero on grey images, even with a perfect fit. $B(x, y)$ is largest at $y = x$ (set $x/y - (1 - x)/(1 - y) = 0$), where it equals minus the entropy of the coins.
#
# The check takes a decoder so small that all can be summed: one latent dimension, three hidden units, four pixels, $2^4 = 16$ binary images. It is the tiny model of chapter 1.

# %% tags=["plumbing"]
HIDDEN, PIXELS = 3, 4


def tiny_decoder(seed: int = 1) -> dict[str, np.ndarray]:
    """Random weights: z [1] -> tanh, HIDDEN units -> PIXELS logits."""
    rng = np.random.default_rng(seed)
    return {
        "A": rng.normal(size=(1, HIDDEN)),
        "a": rng.normal(size=HIDDEN),
        "B": rng.normal(size=(HIDDEN, PIXELS)) * 2.0,
        "b": rng.normal(size=PIXELS) * 0.5,
    }


def tiny_logits(z, weights) -> np.ndarray:
    """The decoder's outputs [n, PIXELS] for codes z [n, 1]."""
    hidden = np.tanh(z @ weights["A"] + weights["a"])
    return hidden @ weights["B"] + weights["b"]


def tiny_log_likelihood(x, z, weights) -> np.ndarray:
    """log p(x | z) in nats [n], for one x [PIXELS] and codes z [n, 1]."""
    logits = tiny_logits(z, weights)
    return (x * logits - np.logaddexp(0.0, logits)).sum(axis=-1)


tiny = tiny_decoder()
all_images = np.array(list(itertools.product([0.0, 1.0], repeat=PIXELS)))
nodes, node_weights = np.polynomial.hermite_e.hermegauss(80)
nodes, node_weights = nodes[:, None], node_weights / node_weights.sum()

# %%
# node_weights @ f(nodes) is the mean of f over z ~ N(0, 1).
grey = np.array([0.9, 0.2, 0.6, 0.75])
chance = np.prod(np.where(all_images == 1, grey, 1 - grey), axis=1)
log_p_binary = np.log(
    [
        node_weights @ np.exp(tiny_log_likelihood(x_b, nodes, tiny))
        for x_b in all_images
    ]
)
average_log_p = chance @ log_p_binary  # left side of (17.5)

mu, sigma = 0.2, 0.8
codes = mu + sigma * nodes
B_values = tiny_log_likelihood(grey, codes, tiny)
kl = 0.5 * (mu**2 + sigma**2 - 1 - 2 * math.log(sigma))
grey_bound = node_weights @ B_values - kl  # right side of (17.5)

# %% tags=["check"]
assert abs(chance.sum() - 1) < 1e-12
binary = [tiny_log_likelihood(x_b, codes, tiny) for x_b in all_images]
# KL(q || p(z | x~)) for each binary image, from its definition:
log_q_codes = stats.norm.logpdf(codes, mu, sigma)[:, 0]
log_ratio = log_q_codes - stats.norm.logpdf(codes)[:, 0]
kl_to_posteriors = [
    node_weights @ (log_ratio - log_p_given_z + log_p_b)
    for log_p_given_z, log_p_b in zip(binary, log_p_binary, strict=True)
]
assert min(kl_to_posteriors) > 0
entropy = -np.sum(grey * np.log(grey) + (1 - grey) * np.log(1 - grey))

vh.check(
    "B is the average over binarisations, (17.4)",
    B_values,
    chance @ binary,
    atol=1e-10,
)
vh.check(
    "the grey-level objective is a lower bound, (17.5)",
    grey_bound,
    average_log_p,
    relation="<",
)
between = math.log(
    node_weights @ np.exp(tiny_log_likelihood(grey, nodes, tiny))
)
vh.check(
    "the integral of exp B lies between the two sides",
    [grey_bound, between],
    [between, average_log_p],
    relation="<",
)
vh.check(
    "its gap is the average KL to the posteriors",
    average_log_p - grey_bound,
    chance @ kl_to_posteriors,
    atol=1e-8,
)
white = 1 / (1 + np.exp(-tiny_logits(nodes, tiny)))  # y(z), [n, PIXELS]
log_density = math.log(
    node_weights
    @ np.exp(
        tiny_log_likelihood(grey, nodes, tiny) + log_c(white).sum(axis=-1)
    )
)
vh.check(
    "below the density of grey levels by over log 2 a pixel",
    grey_bound + PIXELS * math.log(2),
    log_density,
    relation="<",
)
vh.check(
    "no B exceeds minus the entropy of the binarisation",
    [*B_values, average_log_p],
    -entropy,
    relation="<",
)

# %% [markdown]
# ## 17.4 Which reading to use
#
# Reading 1: add $\log C$. Reading 2: say which data the number belongs to. It is wrong to report one under the name of the other.
#
# - *You want digits, black or white.* Keep the Bernoulli. Say that the figure belongs to dynamically binarised data, and compare it with such figures alone.
# - *You want grey levels as they are.* Add $\log C(y)$ (`tfd.ContinuousBernoulli` does, at $y = \frac{1}{2}$ too), or take a Gaussian. Show the mean (17.3) as the picture, not $y$.
#
# Where other chapters give $\log p_\theta(x)$ of grey levels, it is $\log \int p(z)\, e^{B}\, dz$. That lies between the two sides of (17.5), above the right one by Jensen's inequality, and below the left one because $\log \int p\, e^f$ is convex in $f$ (Hölder's inequality) and $B$ is the average of $f = \log p_\theta(\tilde x \mid z)$. So it is a tighter bound on the same average.
#
# ## What we measured
#
# | Question | Published | On this page |
# |---|---|---|
# | is BCE on grey levels a log-likelihood? | taken for one, a "pervasive error" (Loaiza-Ganem & Cunningham 2019) | no: it lacks at least $\log 2$ nats a pixel |
# | what the fit of $y$ finds, true value 0.9 | BCE is biased (Loaiza-Ganem & Cunningham 2019) | BCE 0.67, the mean; continuous Bernoulli 0.90 |
# | is the ELBO with it a bound? | discussed, and found wanting (Loaiza-Ganem & Cunningham 2019, section 4) | yes, for dynamically binarised data, gap checked to $10^{-8}$; for grey levels at least $\log 2$ nats a pixel too low |

# %% tags=["check"]
vh.check("BCE finds", fit(with_log_c=False), 0.67, atol=0.005)
vh.check("the continuous one finds", fit(with_log_c=True), 0.9, atol=0.005)

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## In this chapter you have seen
#
# - that grey-level cross-entropy is not a normalised density, and that it leaves out at least $\log 2$ nats a pixel;
# - the continuous Bernoulli, whose parameter is not its mean, and pixels drawn from it through an inverse CDF;
# - the same objective proved to be a lower bound for randomly binarised data, with its gap computed.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. The continuous Bernoulli, reparameterised** (15 min, by hand). Find its CDF, and show that the line `pixels = …` above draws from it. What are $\log C(0.7)$ and the mean at $y = 0.7$?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# With $r = y/(1 - y)$ the density is proportional to $r^x$, so $F(t) = \frac{r^t - 1}{r - 1}$ and its inverse is $g(u) = \frac{\log(1 + u (r - 1))}{\log r}$, the line above. At $y = 0.7$, $r = \frac{7}{3}$: $\log C = \log \frac{\log (7/3)}{0.4} = \log 2.1182 = 0.7506$ nats, and the mean is $\frac{0.7}{0.4} - \frac{1}{\log (7/3)} = 1.75 - 1.1802 = 0.5698$.
#
# </details>

# %% tags=["solution"]
draws = np.random.default_rng(24).random(20_000)
r = 7 / 3  # y = 0.7
draws = np.log(1 + draws * (r - 1)) / math.log(r)
test = stats.kstest(draws, lambda t: (r**t - 1) / (r - 1))
cb_mean = continuous_bernoulli_mean(0.7)
vh.check("exercise 1: p-value", test.pvalue, 0.01, relation=">")
vh.check("exercise 1: log C(0.7)", log_c(0.7), 0.7506, atol=1e-4)
vh.check("exercise 1: the mean", cb_mean, 0.5698, atol=1e-4)

# %% [markdown] tags=["exercise"]
# **2. From the mean back to the parameter** (10 min, by code). A decoder's pixel should have the mean $a$. Which $y$ does the continuous Bernoulli need? There is no formula: solve (17.3) numerically, for $a$ other than ½.


# %% tags=["exercise", "exact"]
def parameter_for_mean(a):
    """y of the continuous Bernoulli with mean a."""
    return ...  # your lines


print("yours:", parameter_for_mean(0.8), "expected: 0.9918")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# (17.3) rises with $y$, so a bracketing solver finds the root: for $a \gt \frac{1}{2}$ between just above ½ and 1. A mean of 0.8 needs $y = 0.9918$: to be light grey on average the parameter must be all but white.
#
# </details>


# %% tags=["solution"]
def solved_parameter(a: float) -> float:
    low, high = (0.5 + 1e-6, 1 - 1e-12) if a > 0.5 else (1e-12, 0.5 - 1e-6)
    return optimize.brentq(
        lambda y: continuous_bernoulli_mean(y) - a, low, high
    )


vh.check("exercise 2", solved_parameter(0.8), 0.9918, atol=1e-4)
vh.check(
    "black and white may be exchanged",
    solved_parameter(0.2),
    1 - solved_parameter(0.8),
    atol=1e-6,
)

# %% [markdown] tags=["exercise"]
# **3. The best that grey pixels allow** (5 min, by hand). A pixel is 0.5 in every training image. What is the most that $B$ can be there, in nats? What can $\log p$ of the continuous Bernoulli be at that pixel, with its best $y$?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# $B$ is largest at $y = x = \frac{1}{2}$, where it is $-\log 2 = -0.6931$. The continuous Bernoulli adds $\log C(\frac{1}{2}) = \log 2$, so it gives 0. That is its best: its mean matches the data there. It is the uniform density. A density made for grey levels could do far better: a Gaussian that narrows at a pixel which never changes. The continuous Bernoulli has no width to learn.
#
# </details>

# %% tags=["solution"]
best = optimize.minimize_scalar(
    lambda y: -(0.5 * math.log(y) + 0.5 * math.log(1 - y) + log_c(y)),
    bounds=(0.51, 0.999),
    method="bounded",
)
vh.check("exercise 3: B", math.log(0.5), -0.6931, atol=5e-5)
vh.check("exercise 3: best log p", -best.fun, 0, atol=1e-3)

# %% [markdown] tags=["exercise"]
# **4. One toss or an average?** (10 min, open) Compare training on fresh tosses $\tilde x$ in each epoch, with an encoder that sees $\tilde x$, with training on grey levels. At any one $z$ the log-likelihood is the same on average, (17.4). Where do the two objectives differ, and which bound is tighter for the best encoder of its kind?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# In what the encoder sees, and so in both terms. On tosses it gives a $q_\phi(z \mid \tilde x)$ for each $\tilde x$, and the gap is the average of $\mathrm{KL}(q_\phi(z \mid \tilde x) \Vert p_\theta(z \mid \tilde x))$. On grey levels one $q_\phi(z \mid x)$ must serve all tosses of $x$, whose posteriors differ. If the family is the same, each $q_\phi(z \mid \tilde x)$ could equal that one, so the best encoder of tosses is at least as tight. The price: its input is noisy, and its gradient too.
#
# </details>


# %% tags=["solution"]
def bound(image, parameters) -> float:
    """ELBO of one image, grey or binary, for q = N(mu, exp(t)^2)."""
    mean, log_sd = parameters
    z = mean + math.exp(log_sd) * nodes
    kl = 0.5 * (mean**2 + math.exp(2 * log_sd) - 1 - 2 * log_sd)
    return node_weights @ tiny_log_likelihood(image, z, tiny) - kl


def best_bound(image) -> float:
    start = np.array([0.2, -0.3])
    return -optimize.minimize(lambda p: -bound(image, p), start).fun


vh.check(
    "exercise 4: the best q for each toss is tighter",
    chance @ [best_bound(image) for image in all_images],
    best_bound(grey),
    relation=">",
)

# %% [markdown]
# ## What to read next
#
# - [Chapter 2](02_mlp_vae.ipynb) trains on grey levels and says what its figures belong to.
# - [The page on other data sets](21_next_steps.ipynb) trains the continuous Bernoulli and a Gaussian on photographs.
# - [Loaiza-Ganem & Cunningham 2019](../book/bibliography.md), the source of (17.2).
