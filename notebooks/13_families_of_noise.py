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
# # 13. Which distributions can be reparameterised
#
# This page adds to the reparameterisation trick of [chapter 1](01_theory.ipynb): for which distributions a differentiable function $g$ turns noise without parameters into the sample, $z = g_\phi(\varepsilon)$.
#
# **Many continuous distributions can be written as $g_\phi(\varepsilon)$: by an inverted CDF, by shifting and stretching, or by putting simpler ones together.** For the gamma with a learned shape, and most of what is built on it, no elementary $g$ is known, and **the derivative of the sample exists all the same**. A discrete sample jumps: its derivative says nothing.

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

# %% tags=["plumbing"] mystnb={"image": {"alt": "The cumulative distribution functions of two exponentials, with rates 1 and 2. Three dashed horizontal lines at the noise values 0.3, 0.6 and 0.85 meet each curve in one dot. Green arrows along the lines show how each sample slides to the left as the rate grows from 1 to 2, the larger samples further."}}
import vae_helpers as vh

import math
import time

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats
from scipy.special import gamma, gammainc

tfd = tfp.distributions
started = time.monotonic()
vh.use_book_style()
plt.rcParams.update({"figure.figsize": (5.6, 3.5), "font.size": 11})
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PINK, YELLOW, SKY = "#CC79A7", "#E69F00", "#56B4E9"


def standard_error(samples: np.ndarray) -> float:
    """Standard error of the mean of independent samples."""
    return np.std(samples, ddof=1) / math.sqrt(np.size(samples))


z_line = np.linspace(0, 3.2, 300)
fig, ax = plt.subplots()
for rate, colour in ((1.0, BLUE), (2.0, ORANGE)):
    ax.plot(
        z_line,
        1 - np.exp(-rate * z_line),
        color=colour,
        label=f"F(z), exponential with rate {rate:.0f}",
    )
for level in (0.3, 0.6, 0.85):
    before, after = -math.log(1 - level), -math.log(1 - level) / 2
    ax.axhline(level, color="black", linestyle="--", linewidth=0.7)
    ax.plot(before, level, "o", color=BLUE)
    ax.plot(after, level, "o", color=ORANGE)
    ax.annotate(
        "",
        (after, level),
        (before, level),
        arrowprops={
            "arrowstyle": "-|>",
            "color": GREEN,
            "linewidth": 2,
            "shrinkA": 4,
            "shrinkB": 4,
        },
    )
    ax.text(3.18, level + 0.015, f"u = {level}", ha="right")
ax.set(
    xlabel="sample z",
    ylabel="noise u = F(z)",
    title="Hold the noise, move the parameter: the sample slides",
    ylim=(0, 1),
)
ax.legend(loc="lower right", fontsize=11)
plt.show()

# %% [markdown]
# Each draw of the noise $u$ is a height. The curve turns it into a sample $z$. Change the parameter and keep the height: the sample slides, and **how fast it slides is the derivative $dz/d\phi$** that the gradient needs.
#
# **What you will be able to do**
#
# - choose a $g$ for a given distribution from three families, and test samples and gradient;
# - differentiate a sample for which no $g$ can be written down;
# - say why no gradient flows through a discrete sample.
#
# **What it needs.** The reparameterisation trick in [chapter 1](01_theory.ipynb): if $z = g_\phi(\varepsilon)$ has the density $q_\phi$ and $f(g_\phi(\varepsilon))$ is continuous in $\phi$ (the other conditions stand there), then $\nabla_\phi \mathbb{E}_{q_\phi}[f(z)] = \mathbb{E}[\nabla_\phi f(g_\phi(\varepsilon))]$: its (1.13), before the chain rule. *The paper* is [Kingma & Welling 2013](../book/bibliography.md). Twenty minutes to read; it runs in a quarter of a minute and needs no data.
#
# ## 13.1 How samples and gradients are tested
#
# The paper (section 2.4) lists three families. Each follows here with the complete list, a test of the samples, and a test of the gradient for one member.
#
# **The samples.** The **Kolmogorov–Smirnov test** compares the share of samples below each $z$ with the target's cumulative distribution function (CDF) $F(z)$. It returns a **p-value**: the probability that a correct sample would differ at least as much. If the sample is right, the p-value is uniform between 0 and 1; if it is wrong, it falls towards 0 as the sample grows. We ask for more than 0.01, so with another seed each test fails a correct sample one time in a hundred. In sections 13.2 to 13.4 each test also checks its own sharpness: the same sample, stretched by a quarter, must fail.
#
# **The gradient.** Three numbers must agree: the gradient by automatic differentiation through $g$, a finite difference *with the same noise*, and the exact value up to sampling error (four standard errors).


# %% tags=["plumbing"]
def p_values(pairs, stretch: float = 1.0) -> list[float]:
    """p-values of the Kolmogorov–Smirnov test of (sample, target) pairs."""
    return [stats.kstest(stretch * z, p.cdf).pvalue for z, p in pairs]


def pathwise_and_difference(
    objective, parameter: float, h: float = 1e-5
) -> tuple[float, float]:
    """d objective / d parameter by the tape, and by a difference.

    The central difference uses the same noise.
    """
    variable = tf.Variable(parameter, dtype=tf.float64)
    with tf.GradientTape() as tape:
        value = objective(variable)
    higher, lower = (
        objective(tf.constant(parameter + step, tf.float64)).numpy()
        for step in (h, -h)
    )
    by_tape = tape.gradient(value, variable).numpy()
    return by_tape, (higher - lower) / (2 * h)


# %% [markdown]
# ## 13.2 Family 1: the inverse CDF
#
# If $u$ is uniform on $(0, 1)$ and $F$ is the CDF of the target, continuous and increasing, then $z = F^{-1}(u)$ has the CDF $F$, since
#
# $$
# \Pr(F^{-1}(u) \le t) = \Pr(u \le F(t)) = F(t).
# $$
#
# That is the picture above. It needs an $F^{-1}$ that you can write down and differentiate.
#
# | Distribution | Map $g(u) = F^{-1}(u)$ | CDF $F(z)$ |
# |---|---|---|
# | exponential, rate $\lambda$ | $-\log(1 - u) / \lambda$ | $1 - e^{-\lambda z}$ |
# | Cauchy, location $m$, scale $c$ | $m + c \tan(\pi (u - \frac{1}{2}))$ | $\frac{1}{2} + \frac{1}{\pi} \arctan \frac{z - m}{c}$ |
# | logistic, location $m$, scale $c$ | $m + c \log \frac{u}{1 - u}$ | $1 / (1 + e^{-(z - m)/c})$ |
# | Rayleigh, scale $c$ | $c \sqrt{-2 \log(1 - u)}$ | $1 - e^{-z^2 / (2 c^2)}$ |
# | Pareto, minimum $c$, shape $a$ | $c (1 - u)^{-1/a}$ | $1 - (c / z)^a$ |
# | Weibull, scale $c$, shape $k$ | $c (-\log(1 - u))^{1/k}$ | $1 - e^{-(z/c)^k}$ |
# | reciprocal on $[a, b]$ | $a (b / a)^u$ | $\log(z / a) / \log(b / a)$ |
# | Gompertz, shape $c$, unit rate | $\log(1 - \log(1 - u) / c)$ | $1 - e^{-c (e^z - 1)}$ |
# | Gumbel, location $m$, scale $c$ | $m - c \log(-\log u)$ | $e^{-e^{-(z - m)/c}}$ |
# | Erlang, integer shape $k$, rate $\lambda$ | no elementary inverse for $k \ge 2$ | $1 - e^{-\lambda z} \sum_{i < k} (\lambda z)^i / i!$ |
#
# The last row needs a correction. The paper lists the Erlang distribution here, but its CDF has no elementary inverse. An Erlang variable is the *sum* of $k$ independent exponentials, so it belongs to the third family, and is tested there. Nine remain.

# %%
u = np.random.default_rng(6).random(20_000)
g_of_u = {  # with arbitrary parameters
    "exponential": -np.log(1 - u) / 1.7,
    "Cauchy": 0.3 + 0.8 * np.tan(np.pi * (u - 0.5)),
    "logistic": 0.3 + 0.8 * np.log(u / (1 - u)),
    "Rayleigh": 0.8 * np.sqrt(-2 * np.log(1 - u)),
    "Pareto": 1.2 * (1 - u) ** (-1 / 2.5),
    "Weibull": 1.2 * (-np.log(1 - u)) ** (1 / 2.5),
    "reciprocal": 0.5 * (4.0 / 0.5) ** u,
    "Gompertz": np.log(1 - np.log(1 - u) / 0.6),
    "Gumbel": 0.3 - 0.8 * np.log(-np.log(u)),
}

# %% tags=["check"]
targets = {
    "exponential": stats.expon(scale=1 / 1.7),
    "Cauchy": stats.cauchy(0.3, 0.8),
    "logistic": stats.logistic(0.3, 0.8),
    "Rayleigh": stats.rayleigh(scale=0.8),
    "Pareto": stats.pareto(2.5, scale=1.2),
    "Weibull": stats.weibull_min(2.5, scale=1.2),
    "reciprocal": stats.reciprocal(0.5, 4.0),
    "Gompertz": stats.gompertz(0.6),
    "Gumbel": stats.gumbel_r(0.3, 0.8),
}
pairs = [(z, targets[name]) for name, z in g_of_u.items()]
vh.check(
    "F(g(u)) = u for nine inverse CDFs",
    [target.cdf(z) for z, target in pairs],
    u,
    atol=1e-10,
)
vh.check(
    "the nine samples pass the test, by p-value",
    p_values(pairs),
    0.01,
    relation=">",
)
vh.check(
    "stretched by a quarter, all nine fail it",
    p_values(pairs, stretch=1.25),
    1e-6,
    relation="<",
)


# %% tags=["plumbing"] mystnb={"image": {"alt": "Four histograms in two rows, of the Cauchy, Rayleigh, reciprocal and Gumbel samples that came from one set of uniform noise. In each the black density curve of the target runs along the tops of the bars."}}
def draw_histogram(ax, title: str, draws, target) -> None:
    """Samples against the density of their target, both tails cut."""
    low, high = target.ppf(0.001), target.ppf(0.99)
    if title == "Cauchy":  # its tails never end
        low, high = target.ppf(0.05), target.ppf(0.95)
    bins = np.linspace(low, high, 40)
    weights = np.full(len(draws), 1 / (len(draws) * (bins[1] - bins[0])))
    ax.hist(draws, bins, weights=weights, color=BLUE, alpha=0.5)
    z_line = np.linspace(low, high, 200)
    ax.plot(z_line, target.pdf(z_line), color="black", linewidth=1.2)
    ax.set(title=title, yticks=[], xlim=(low, high))


fig, axes = plt.subplots(2, 2, figsize=(5.6, 4.2))
chosen = ["Cauchy", "Rayleigh", "reciprocal", "Gumbel"]
for ax, name in zip(axes.flat, chosen, strict=True):
    draw_histogram(ax, name, g_of_u[name], targets[name])
for ax in axes[-1]:
    ax.set_xlabel("z")
for ax in axes[:, 0]:
    ax.set_ylabel("density")
plt.show()

# %% [markdown]
# The panels leave out the tails. $F(g(u)) = u$ is an exact test and the sharper one. The Kolmogorov–Smirnov test needs $F$ but no inverse, so it also serves the other two families.
#
# **The gradient, for the exponential.** $\mathbb{E}[z^2] = 2/\lambda^2$, so $\frac{d}{d\lambda} \mathbb{E}[z^2] = -4/\lambda^3$.

# %% tags=["check"]
rate = 1.7
by_tape, by_difference = pathwise_and_difference(
    lambda lam: tf.reduce_mean((-tf.math.log(1 - u) / lam) ** 2), rate
)
z = -np.log(1 - u) / rate
per_sample = 2 * z * (-z / rate)  # f'(z) dz/dlambda
vh.check(
    "exponential: tf.GradientTape agrees with the finite difference",
    by_tape,
    by_difference,
    atol=1e-6,
)
vh.check(
    "it is the average of f'(z) dz/dλ",
    by_tape,
    per_sample.mean(),
    atol=1e-10,
)
vh.check(
    "its distance to −4/λ³, in standard errors",
    abs(per_sample.mean() + 4 / rate**3) / standard_error(per_sample),
    4,
    relation="<",
)

# %% [markdown]
# ## 13.3 Family 2: location and scale
#
# If a family has a location $\mu$ and a scale $\sigma > 0$, take its standard member (location 0, scale 1) as the noise:
#
# $$
# z = \mu + \sigma \varepsilon . \tag{13.1}
# $$
#
# *Proof.* $\Pr(z \le t) = \Pr(\varepsilon \le (t - \mu)/\sigma) = F_0((t - \mu)/\sigma)$, where $F_0$ is the CDF of $\varepsilon$. That is what "location-scale family" means.
#
# The paper's list: **Laplace, elliptical, Student's t, logistic, uniform, triangular, Gaussian**. *Elliptical* is the many-dimensional case: $z = \mu + A \varepsilon$ with a matrix $A$ and a rotation-invariant noise, such as the multivariate Gaussian or t. Location and scale need not be mean and standard deviation: of the uniform they are the left end and the width.
#
# > **Note.** Only location and scale can be learned this way. The degrees of freedom of Student's t and the position of the triangle's peak are *shape* parameters. For those (13.1) gives no gradient.

# %%
rng = np.random.default_rng(7)
n, mu, sigma = 20_000, 0.4, 1.6
noises = {
    "Laplace": rng.laplace(size=n),
    "Student's t": rng.standard_t(5, size=n),
    "logistic": rng.logistic(size=n),
    "uniform": rng.random(n),
    "triangular": rng.triangular(0, 0.3, 1, size=n),
    "Gaussian": rng.normal(size=n),
}
location_scale = {name: mu + sigma * e for name, e in noises.items()}

# Elliptical: a bivariate t with 5 degrees of freedom.
A = np.array([[1.0, 0.0], [0.7, 0.5]])
spherical = rng.normal(size=(n, 2))
spherical /= np.sqrt(rng.chisquare(5, size=(n, 1)) / 5)
z = mu + spherical @ A.T

# %% tags=["plumbing"] mystnb={"image": {"alt": "Two histograms over z with densities drawn over them. The standard Laplace noise, centred at 0, and the same draws multiplied by 1.6 and shifted by 0.4: lower, wider and centred at 0.4. Both histograms follow their black density curves."}}
z_line = np.linspace(-7, 7, 500)
bins = np.linspace(-7, 7, 71)
fig, ax = plt.subplots(figsize=(5.6, 3.2))
for draws, colour, label, target in (
    (noises["Laplace"], YELLOW, "noise ε", stats.laplace(0, 1)),
    (
        location_scale["Laplace"],
        BLUE,
        "z = 0.4 + 1.6 ε",
        stats.laplace(mu, sigma),
    ),
):
    ax.hist(draws, bins, density=True, color=colour, alpha=0.5, label=label)
    ax.plot(z_line, target.pdf(z_line), color="black", linewidth=1)
ax.set(
    xlabel="ε or z", ylabel="density", title="Shift and stretch: Laplace"
)
ax.legend(fontsize=11)
plt.show()

# %% tags=["check"]
# Of the elliptical z = mu + A e with bivariate t noise e: half the squared
# length of e has the F(2, 5) distribution, and each entry of z is a t.
squared_length = ((z - mu) @ np.linalg.inv(A @ A.T) * (z - mu)).sum(axis=1)
targets = {
    "Laplace": stats.laplace(mu, sigma),
    "Student's t": stats.t(5, mu, sigma),
    "logistic": stats.logistic(mu, sigma),
    "uniform": stats.uniform(mu, sigma),
    "triangular": stats.triang(0.3, mu, sigma),
    "Gaussian": stats.norm(mu, sigma),
}
pairs = [(z, targets[name]) for name, z in location_scale.items()]
pairs += [
    (squared_length / 2, stats.f(2, 5)),
    (z[:, 1], stats.t(5, mu, math.sqrt(0.7**2 + 0.5**2))),
]
vh.check(
    "eight tests of the seven distributions are passed, by p-value",
    p_values(pairs),
    0.01,
    relation=">",
)
vh.check(
    "stretched by a quarter, all eight fail",
    p_values(pairs, stretch=1.25),
    1e-6,
    relation="<",
)

# %% [markdown]
# **The gradient, for the Laplace distribution.** Its variance is $2\sigma^2$, so $\mathbb{E}[z^2] = \mu^2 + 2\sigma^2$ and $\frac{d}{d\sigma} \mathbb{E}[z^2] = 4\sigma$.

# %% tags=["check"]
epsilon = noises["Laplace"]
by_tape, by_difference = pathwise_and_difference(
    lambda scale: tf.reduce_mean((mu + scale * epsilon) ** 2), sigma
)
per_sample = 2 * (mu + sigma * epsilon) * epsilon

vh.check(
    "Laplace: tf.GradientTape agrees with the finite difference",
    by_tape,
    by_difference,
    atol=1e-6,
)
vh.check(
    "its distance to 4σ, in standard errors",
    abs(by_tape - 4 * sigma) / standard_error(per_sample),
    4,
    relation="<",
)

# %% [markdown]
# ## 13.4 Family 3: composition
#
# Build $z$ from variables that you can already draw.
#
# | Distribution | Composition | Restriction |
# |---|---|---|
# | log-normal | $e^{\mu + \sigma \varepsilon}$, $\varepsilon$ standard Gaussian | none |
# | gamma, shape $k$, rate $\lambda$ | sum of $k$ exponentials with rate $\lambda$ | **integer** $k$ (then it is the Erlang distribution) |
# | chi-squared, $\nu$ degrees of freedom | sum of $\nu$ squared standard Gaussians | **integer** $\nu$ |
# | beta$(a, b)$ | $G_a / (G_a + G_b)$, independent gammas with rate 1 | through the gammas |
# | Dirichlet$(a_1, \dots, a_K)$ | $G_{a_k} / \sum_l G_{a_l}$ | through the gammas |
# | F$(d_1, d_2)$ | $(C_{d_1} / d_1) / (C_{d_2} / d_2)$, independent chi-squareds | through the chi-squareds |
#
# > **Note.** The paper's list needs two corrections here. It calls the gamma "a sum over exponentially distributed variables". That holds for integer shapes only, and an integer cannot be learned by gradients: the *rate* can, the *shape* cannot. And the Dirichlet is not a weighted sum of gammas, but gammas divided by their sum.

# %%
rng = np.random.default_rng(8)


def gamma_by_sum(k: int, rate: float = 1.0) -> np.ndarray:
    """n gamma draws with integer shape k: sums of k exponentials."""
    return (-np.log(1 - rng.random((n, k))) / rate).sum(axis=1)


def chi_squared_by_sum(degrees: int) -> np.ndarray:
    """n chi-squared draws as sums of squared Gaussians."""
    return (rng.normal(size=(n, degrees)) ** 2).sum(axis=1)


G2, G3, G4 = (gamma_by_sum(a) for a in (2, 3, 4))
log_normal = np.exp(0.2 + 0.7 * rng.normal(size=n))
erlang = gamma_by_sum(3, rate=1.7)  # a gamma with integer shape
chi_squared = chi_squared_by_sum(4)
beta = G2 / (G2 + G3)
dirichlet_first = G2 / (G2 + G3 + G4)
F = (chi_squared_by_sum(4) / 4) / (chi_squared_by_sum(6) / 6)

# %% tags=["check"]
pairs = [
    (log_normal, stats.lognorm(0.7, scale=math.exp(0.2))),
    (erlang, stats.gamma(3, scale=1 / 1.7)),
    (chi_squared, stats.chi2(4)),
    (beta, stats.beta(2, 3)),
    (dirichlet_first, stats.beta(2, 7)),
    (F, stats.f(4, 6)),
]
vh.check(
    "six compositions pass the test, by p-value",
    p_values(pairs),
    0.01,
    relation=">",
)
vh.check(
    "stretched by a quarter, all six fail it",
    p_values(pairs, stretch=1.25),
    1e-6,
    relation="<",
)

# %% tags=["plumbing"] mystnb={"image": {"alt": "Six small histograms in three rows, of the log-normal, Erlang, chi-squared, beta, first Dirichlet entry and F samples that were composed from Gaussians and exponentials. In each the black density curve of the target runs along the tops of the bars."}}
titles = ["log-normal", "Erlang", "chi-squared"]
titles += ["beta", "Dirichlet, entry 1", "F"]
fig, axes = plt.subplots(3, 2, figsize=(5.6, 6))
for ax, title, (draws, target) in zip(
    axes.flat, titles, pairs, strict=True
):
    draw_histogram(ax, title, draws, target)
for ax in axes[-1]:
    ax.set_xlabel("z")
for ax in axes[:, 0]:
    ax.set_ylabel("density")
plt.show()

# %% [markdown]
# The Dirichlet is tested through its first entry, whose marginal is a beta distribution with parameters $a_1$ and $a_2 + a_3$.
#
# **The gradient, for the log-normal.** Its mean is $e^{\mu + \sigma^2/2}$, so $\frac{d}{d\sigma} \mathbb{E}[z] = \sigma e^{\mu + \sigma^2/2}$.

# %% tags=["check"]
mu, sigma = 0.2, 0.7
epsilon = np.random.default_rng(9).normal(size=100_000)
by_tape, by_difference = pathwise_and_difference(
    lambda scale: tf.reduce_mean(tf.exp(mu + scale * epsilon)), sigma
)
per_sample = epsilon * np.exp(mu + sigma * epsilon)
exact = sigma * math.exp(mu + sigma**2 / 2)

vh.check(
    "log-normal: tf.GradientTape agrees with the finite difference",
    by_tape,
    by_difference,
    atol=1e-6,
)
vh.check(
    "its distance to the exact gradient, in standard errors",
    abs(by_tape - exact) / standard_error(per_sample),
    4,
    relation="<",
)

# %% [markdown]
# ## 13.5 When no g can be written down: implicit gradients
#
# The gamma with a real-valued shape fits none of the three families, and with it the **beta, Dirichlet, chi-squared and F** when their shape parameters are to be learned. The gamma has an $F^{-1}$, but no formula for it. **You do not need $F^{-1}$, only the derivatives of $F$.** [Figurnov, Mohamed & Mnih 2018](../book/bibliography.md) call this *implicit reparameterisation*, and show it for the gamma, the beta, the Dirichlet and the von Mises distribution.
#
# *Derivation.* Look at the first picture again: the height $u$ stays, the curve moves. Let $z(\phi)$ be the solution of $F(z; \phi) = u$ for a fixed $u$. Differentiate both sides in $\phi$. The right side is constant:
#
# $$
# \frac{\partial F}{\partial z} \frac{d z}{d \phi} + \frac{\partial F}{\partial \phi} = 0 .
# $$
#
# The derivative of a CDF in $z$ is the density $q_\phi(z)$. Solve:
#
# $$
# \frac{d z}{d \phi} = - \frac{\partial F(z; \phi) / \partial \phi}{q_\phi(z)} . \tag{13.2}
# $$
#
# (13.2) depends on $z$ alone, not on how it was drawn. So draw $z$ by *any* exact sampler, even by rejection, and use (13.2) as its derivative. No inverse is needed. TensorFlow Probability (TFP) does this for the gamma, by differentiating the numerical algorithm for $F$, and builds the beta, Dirichlet, chi-squared and Student's t on it. (It has no F distribution.)
#
# The check compares its derivative of a gamma sample, shape $k = 2.5$, with (13.2), where $\partial F / \partial k$ comes from a finite difference of SciPy's incomplete gamma function.

# %%
# A copy of k for each sample, so that each gets its derivative:
k = tf.fill([2000], tf.constant(2.5, tf.float64))
with tf.GradientTape() as tape:
    tape.watch(k)
    z = tfd.Gamma(k, tf.constant(1.0, tf.float64)).sample(seed=[1, 2])
dz_by_tfp = tape.gradient(z, k).numpy()
z = z.numpy()

h = 1e-5
dF_dk = (gammainc(2.5 + h, z) - gammainc(2.5 - h, z)) / (2 * h)
dz_implicit = -dF_dk / stats.gamma(2.5).pdf(z)  # equation (13.2)

# %% tags=["plumbing"] mystnb={"image": {"alt": "The derivative of a gamma sample by its shape against the sample z, for shape 2.5. A smooth rising curve, the implicit derivative, flattening for large z, and forty orange dots, the derivatives that TensorFlow Probability attached to its samples, which all lie on the curve."}}
order = np.argsort(z)
fig, ax = plt.subplots(figsize=(5.6, 3.4))
ax.plot(
    z[order], dz_implicit[order], color=BLUE, label="implicit derivative"
)
ax.plot(
    z[:40],
    dz_by_tfp[:40],
    "o",
    color=ORANGE,
    markersize=5,
    label="40 samples of TFP",
)
ax.set(
    xlabel="sample z of a gamma with shape k = 2.5",
    ylabel="dz / dk",
    title="A derivative without an inverse",
)
ax.legend(fontsize=11)
plt.show()

# %% tags=["check"]
vh.check(
    "TFP's derivative of 2,000 gamma samples is (13.2)",
    dz_by_tfp,
    dz_implicit,
    atol=1e-4,
)
# E[z] = k / rate, so its derivative in k is 1.
vh.check(
    "the distance of its average to 1, in standard errors",
    abs(dz_by_tfp.mean() - 1) / standard_error(dz_by_tfp),
    4,
    relation="<",
)
vh.check(
    "the samples pass the test, by p-value",
    p_values([(z, stats.gamma(2.5))]),
    0.01,
    relation=">",
)

# %% [markdown]
# ## 13.6 Where no gradient flows
#
# In TFP the attribute `reparameterization_type` of a distribution says whether gradients flow through its samples. **Discrete** distributions never have them: a Bernoulli sample jumps from 0 to 1, so its derivative is zero almost everywhere. There you need the score function of [chapter 1](01_theory.ipynb), or a *continuous relaxation*, a continuous variable that comes close to a discrete one ([Jang, Gu & Poole 2017](../book/bibliography.md); [Maddison, Mnih & Teh 2017](../book/bibliography.md)).

# %% tags=["plumbing"]
distributions = [
    tfd.Normal(0.0, 1.0),
    tfd.Laplace(0.0, 1.0),
    tfd.LogNormal(0.0, 1.0),
    tfd.Gamma(2.5, 1.0),
    tfd.Chi2(3.0),
    tfd.Beta(2.0, 3.0),
    tfd.Dirichlet([1.0, 2.0]),
    tfd.StudentT(3.0, 0.0, 1.0),
    tfd.VonMises(0.0, 1.0),
    tfd.Bernoulli(0.3),
    tfd.Categorical([0.0, 1.0]),
    tfd.Poisson(2.0),
]
names = {tfd.FULLY_REPARAMETERIZED: [], tfd.NOT_REPARAMETERIZED: []}
for distribution in distributions:
    names[distribution.reparameterization_type].append(distribution.name)
flows, stops = names.values()

assert stops == ["Bernoulli", "Categorical", "Poisson"]
print("gradients flow through:", ", ".join(flows))
print("gradients stop at:     ", ", ".join(stops))

# %% [markdown]
# ## What we measured
#
# | Question | Published | On this page |
# |---|---|---|
# | do the samples of the three families pass? | listed in section 2.4 of the paper: ten, seven and six | all do, those built on the gamma for whole shapes; the Erlang in the third family, not in the first |
# | is the gradient right, for one member of each? | stated there for any such $g$ | equal to a finite difference, exact within 4 standard errors |
# | is TFP's derivative of gamma samples (13.2)? | [Figurnov, Mohamed & Mnih 2018](../book/bibliography.md) | yes, for 2,000 samples |
#
# ## In this chapter you have seen
#
# - three families of $g$, every member tested and one gradient of each;
# - implicit gradients, equal to those of TFP for 2,000 gamma samples;
# - that no gradient flows through a discrete sample.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# **1. A new inverse CDF** (10 min, by hand). The Kumaraswamy distribution on $(0, 1)$ has the CDF $F(z) = 1 - (1 - z^a)^b$. Find $g$, and the median for $a = 2$, $b = 3$.

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Solve $u = 1 - (1 - z^a)^b$: $1 - z^a = (1 - u)^{1/b}$, so $g(u) = (1 - (1 - u)^{1/b})^{1/a}$. It is differentiable in both shape parameters, which makes it a handy stand-in for the beta distribution. Median: $\sqrt{1 - 0.5^{1/3}} = 0.4542$.
#
# </details>

# %% tags=["solution"]
uniform = np.random.default_rng(24).random(20_000)
kumaraswamy = (1 - (1 - uniform) ** (1 / 3)) ** (1 / 2)
test = stats.kstest(kumaraswamy, lambda z: 1 - (1 - z**2) ** 3)
median = math.sqrt(1 - 0.5 ** (1 / 3))
vh.check("p-value", test.pvalue, 0.01, relation=">")
vh.check("the median", median, 0.4542, atol=1e-4)

# %% [markdown] tags=["exercise"]
# **2. The Weibull's gradient** (15 min, by code). The Weibull distribution with scale $c$ and shape $k$ has $g(u) = c (-\log(1 - u))^{1/k}$. Estimate $\frac{\partial}{\partial c} \mathbb{E}[z^2]$ and $\frac{\partial}{\partial k} \mathbb{E}[z^2]$ from the 20,000 noises `u` of this page, by the path: $2 z$ times the derivative of $g$. Use $c = 1.2$ and $k = 2.5$.


# %% tags=["exercise", "exact"]
def weibull_gradient(u, c, k):
    """d E[z^2] / dc and d E[z^2] / dk by the path, as a pair."""
    return ...  # your lines


print("yours:", weibull_gradient(u, 1.2, 2.5))
print("expected: 2.235 and -0.122, up to sampling error")

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Write $y = -\log(1 - u)$, so $z = c y^{1/k}$. Then $\partial z / \partial c = z / c$ and $\partial z / \partial k = -z \log(y) / k^2$. The exact values follow from $\mathbb{E}[z^2] = c^2 \Gamma(1 + 2/k)$: the first is $2 c \Gamma(1 + 2/k) = 2.235$, the second $-\frac{2 c^2}{k^2} \Gamma'(1 + 2/k) = -0.122$. A *shape* parameter can be learned by family 1, where family 2 cannot.
#
# </details>


# %% tags=["solution"]
def weibull_gradient(u, c, k):
    """d E[z^2] / dc and d E[z^2] / dk by the path, as a pair."""
    exponential = -np.log(1 - u)
    z = c * exponential ** (1 / k)
    in_c = 2 * z * z / c
    in_k = -2 * z * z * np.log(exponential) / k**2
    return in_c.mean(), in_k.mean()


c, k, h = 1.2, 2.5, 1e-5
exact_c = 2 * c * gamma(1 + 2 / k)
exact_k = c**2 * (gamma(1 + 2 / (k + h)) - gamma(1 + 2 / (k - h))) / (2 * h)
vh.check("the exact gradient in c", exact_c, 2.235, atol=5e-4)
vh.check("the exact gradient in k", exact_k, -0.122, atol=5e-4)
vh.check(
    "the estimates are near",
    weibull_gradient(u, c, k),
    [exact_c, exact_k],
    atol=0.05,
)

# %% [markdown] tags=["exercise"]
# **3. Implicit against explicit** (10 min, by hand). For the exponential with rate $\lambda$ compute $dz/d\lambda$ twice: from $g(u) = -\log(1 - u)/\lambda$, and by (13.2) from $F$ alone. Do they agree?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# Explicit: $\frac{dz}{d\lambda} = \frac{\log(1 - u)}{\lambda^2} = -\frac{z}{\lambda}$.
#
# Implicit: $F = 1 - e^{-\lambda z}$, so $\partial F / \partial \lambda = z e^{-\lambda z}$, and the density is $\lambda e^{-\lambda z}$. By (13.2) $\frac{dz}{d\lambda} = -\frac{z e^{-\lambda z}}{\lambda e^{-\lambda z}} = -\frac{z}{\lambda}$. They agree, and the second never used $F^{-1}$. Since $|dz/d\lambda| = z/\lambda$, larger samples slide further, as in the picture on top.
#
# </details>

# %% tags=["solution"]
z = -np.log(1 - u[:1000]) / 1.7
h = 1e-6
dF = (stats.expon.cdf(z * (1.7 + h)) - stats.expon.cdf(z * (1.7 - h))) / (
    2 * h
)
implicit = -dF / (1.7 * np.exp(-1.7 * z))
vh.check("implicit is −z / λ", implicit, -z / 1.7, atol=1e-4)

# %% [markdown] tags=["exercise"]
# **4. A coin** (5 min, by hand). A Bernoulli variable can be written as $z = 1$ if $u \lt p$, else 0, with uniform noise $u$. Here is a $g$. What does the pathwise gradient say about $\frac{d}{dp} \mathbb{E}[z]$, what is right, and which condition fails?

# %% [markdown] tags=["solution"]
# <details>
# <summary>Solution</summary>
#
# $\mathbb{E}[z] = p$, so the right answer is 1. For a fixed $u$, $z$ is a step in $p$: its derivative is 0 wherever it exists. So the pathwise gradient says 0. The step is not continuous in $p$, and the exchange of derivative and average in (1.13) needs that. All of the gradient sits in the jumps.
#
# </details>

# %% tags=["solution"]
step = 0.01
slope = ((u < 0.3 + step).mean() - (u < 0.3 - step).mean()) / (2 * step)
moved = ((u < 0.3 + 1e-9) != (u < 0.3)).sum()
vh.check("a wide difference sees the jumps", slope, 1, atol=0.3)
vh.check("a tiny step moves no sample", moved, 0, relation="=")

# %% tags=["plumbing", "nbval-ignore-output"]
assert vh.peak_memory() < 4
vh.report_page(started)

# %% [markdown]
# ## What to read next
#
# - [Chapter 1](01_theory.ipynb) for what the trick is used for, and [chapter 4](04_sgvb_a_vs_b.ipynb) for how noisy such gradients are.
# - [Figurnov, Mohamed & Mnih 2018](../book/bibliography.md) on implicit gradients, and [Mohamed et al. 2020](../book/bibliography.md) on gradients by sampling in general.
