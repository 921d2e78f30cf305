# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 3. Estimators and gradients
#
# **Several ways to estimate one gradient: all right on average, and far apart in noise.** You write the estimators of chapters 1 and 4, hold their variances against exact ones, and end with a plot of a network: which would you take?
#
# **Before you come.** Read sections 1.3 to 1.5 of [chapter 1](../../notebooks/01_theory.ipynb) and 4.1 to 4.3 of [chapter 4](../../notebooks/04_sgvb_a_vs_b.ipynb). You may keep both open.
#
# **Where.** On your machine: put this file into the folder `notebooks` of the book ([how to install it](../../book/how_to_use.md)) and run `make lab`. Or in Colab: *File → Upload notebook*, and the first cell fetches the book.
#
# **How it works.** Each question gives you functions with `...` in them. Put your lines in place of the dots. Keep the functions' names, their arguments and what they return. Then run the cell below:
#
# - `✓` means that this value is right;
# - `✗` says what was expected, what you returned, and where to look;
# - `…` means that nothing is there yet;
# - `•` means that your answer is one of the choices, right or wrong.
#
# Your points come from other tests that you do not see. They call your functions with other numbers and other shapes.
#
# | Question | Minutes | Points |
# |---|---|---|
# | Read this page, run the first cell | 5 | |
# | 1. The score function and its baseline | 18 | 3 |
# | 2. The gradient along the path | 10 | 2 |
# | 3. Estimators A and B | 15 | 4 |
# | 4. Their variances, exactly | 15 | 3 |
# | 5. The path estimator | 14 | 3 |
# | 6. The minibatch | 6 | 2 |
# | 7. Read a plot | 7 | 3 |
#
# **Names.** They mean the same in all questions.
#
# | In the code | Shape | Meaning |
# |---|---|---|
# | `mu`, `sigma` | `[J]` | mean $\mu$ and standard deviation $\sigma$ of $q(z) = \mathcal{N}(\mu, \operatorname{diag} \sigma^2)$ |
# | `noise` | `[n, J]` | $n$ draws of $\varepsilon$, standard normal, a draw a row |
# | `z` | `[n, J]` | $z = \mu + \sigma \varepsilon$ |
# | `f` | `[n, J]` → `[n]` | a function: takes draws `z`, returns a number for each |
#
# "By $\mu$" means the derivative with respect to $\mu$. All values are in nats.

# %%
import vae_helpers as vh

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from scipy import stats


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


def ready(question, *values):
    """Whether all values are there; else say which question they need."""
    missing = any(value is None or value is ... for value in values)
    if missing:
        print(f"… this cell needs question {question}")
    return not missing


def draws(n, J, seed=0):
    """Standard normal noise [n, J]."""
    return np.random.default_rng(seed).standard_normal((n, J))


# %% [raw]
# # BEGIN QUESTION
# name: q1
# points: 3

# %% [markdown]
# ## Question 1. The score function and its baseline (18 min, 3 points)
#
# The score-function gradient asks for values of $f$ alone, never for its slope. So it works for every $f$, and it is noisy. By $\mu$, for one draw,
#
# $$
# \big( f(z) - b \big) \, \nabla_\mu \log q(z).
# $$
#
# The constant $b$ is the baseline. Write two functions.
#
# - **`score_gradient`** returns this gradient for each draw. First derive $\partial \log q(z) / \partial \mu_j$ by hand, for *any* $\sigma_j$. (Chapter 1 has $\sigma_j = 1$.)
# - **`best_baseline`** returns for each $j$ the $b$ with which column $j$ of the gradient has the least variance. The score has mean zero, so $b$ does not move the mean of the gradient. What is left to make small is the mean of its square. That is a parabola in $b$: set its derivative by $b$ to zero and solve for $b$. You find a ratio of two averages. Estimate both from the draws.
#
# The best $b$ is not the mean of $f$.

# %% [raw]
# # BEGIN SOLUTION


# %%
def score_gradient(f, mu, sigma, noise, baseline=0.0):
    """Score-function gradient by mu, for each draw.

    f: function of draws z [n, J], returns [n].
    mu, sigma: arrays [J]. noise: array [n, J].
    baseline: b, a number or an array [J].
    Returns an array [n, J].
    """
    # BEGIN SOLUTION
    z = mu + sigma * noise
    score = (z - mu) / sigma**2
    return (f(z)[:, None] - baseline) * score
    # END SOLUTION


def best_baseline(f, mu, sigma, noise):
    """The b of least variance for each column of score_gradient.

    f, mu, sigma, noise: as above.
    Returns an array [J], estimated from the draws.
    """
    # BEGIN SOLUTION
    squared_score = (noise / sigma) ** 2
    weighted = f(mu + sigma * noise)[:, None] * squared_score
    return weighted.mean(axis=0) / squared_score.mean(axis=0)
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
# f = 1 and no baseline: the gradient is the score itself.
# Both draws have noise (1, -1), so z = mu + sigma * noise = (1, -2).
compare(
    "the score of two draws",
    score_gradient(
        lambda z: np.ones(len(z)),
        mu=np.array([0.0, 0.0]),
        sigma=np.array([1.0, 2.0]),
        noise=np.array([[1.0, -1.0], [1.0, -1.0]]),
    ),
    [[1.0, -0.5], [1.0, -0.5]],
    1e-9,
    "f(z) is [n]: write f(z)[:, None] to multiply it with [n, J]. The "
    "second column has sigma = 2: derive the score again.",
)
compare(
    "the best baseline where f is 7 everywhere",
    best_baseline(
        lambda z: np.full(len(z), 7.0), np.zeros(3), np.ones(3), draws(9, 3)
    ),
    [7.0, 7.0, 7.0],
    1e-9,
    "A number for each j: average over the draws, axis 0. With b = 7 this"
    " gradient has no noise at all.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_score_gradient_elsewhere(score_gradient):
    import numpy as np

    random = np.random.default_rng(11)
    mu, sigma = random.normal(size=4), random.uniform(0.3, 2.5, 4)
    noise, b = random.standard_normal((50, 4)), random.normal(size=4)

    def bumpy(z):
        return np.sin(z).sum(axis=1) + z[:, 0] ** 2

    values = bumpy(mu + sigma * noise)[:, None]
    for baseline in (0.0, 1.7, b):
        found = score_gradient(bumpy, mu, sigma, noise, baseline)
        assert np.shape(found) == (50, 4), (
            f"score_gradient: shape {np.shape(found)} for 50 draws, J = 4"
        )
        assert np.allclose(found, (values - baseline) * noise / sigma), (
            "score_gradient: other mu, sigma, baseline"
        )


# %%
# HIDDEN
def test_best_baseline_elsewhere(best_baseline):
    import numpy as np

    random = np.random.default_rng(12)
    for J, mean, sd in ((5, 1.0, 1.0), (3, 0.4, 1.6)):
        noise = random.standard_normal((200_000, J))
        found = best_baseline(
            lambda z: np.square(z).sum(axis=1),
            np.full(J, mean),
            np.full(J, sd),
            noise,
        )
        exact = J * mean**2 + (J + 2) * sd**2
        assert np.shape(found) == (J,), (
            f"best_baseline: shape {np.shape(found)} for J = {J}"
        )
        assert np.allclose(found, exact, rtol=0.03), (
            f"best_baseline: expected about {exact}, got {found}"
        )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q2
# points: 2

# %% [markdown]
# ## Question 2. The gradient along the path (10 min, 2 points)
#
# Now $f$ has a slope that you know. With $z = \mu + \sigma \varepsilon$ the noise stays where it is; $\mu$ and $\sigma$ move $z$, and $z$ moves $f$. That is the chain rule, (1.14) of chapter 1.
#
# **`path_gradient`** returns two arrays: the gradient of $f(z)$ by $\mu$ and that by $\sigma$, for each draw. You get `slope`, a function that returns $\partial f / \partial z_j$.

# %% [raw]
# # BEGIN SOLUTION


# %%
def path_gradient(slope, mu, sigma, noise):
    """Reparameterised gradients of f(z), for each draw.

    slope: function of draws z [n, J], returns the slope of f [n, J].
    mu, sigma: arrays [J]. noise: array [n, J].
    Returns two arrays [n, J]: by mu, by sigma.
    """
    # BEGIN SOLUTION
    slopes = slope(mu + sigma * noise)
    return slopes, slopes * noise
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
# A straight f with the slope 3: one draw, noise (1, -2).
compare(
    "gradients by mu and by sigma",
    path_gradient(
        lambda z: np.full(z.shape, 3.0),
        np.zeros(2),
        np.ones(2),
        np.array([[1.0, -2.0]]),
    ),
    [[[3.0, 3.0]], [[3.0, -6.0]]],
    1e-9,
    "Return two arrays, by_mu and by_sigma. Raise mu by 1: z rises by 1, "
    "so f by 3. Raise sigma by 1: z rises by the noise, here 1 and -2.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_path_by_mu_elsewhere(path_gradient):
    import numpy as np

    random = np.random.default_rng(21)
    mu, sigma = random.normal(size=3), random.uniform(0.3, 2.5, 3)
    noise = random.standard_normal((40, 3))
    found, _ = path_gradient(np.cos, mu, sigma, noise)
    assert np.allclose(found, np.cos(mu + sigma * noise)), (
        "by mu: another slope, mu and sigma"
    )


# %%
# HIDDEN
def test_path_by_sigma_elsewhere(path_gradient):
    import numpy as np

    random = np.random.default_rng(22)
    mu, sigma = random.normal(size=3), random.uniform(0.3, 2.5, 3)
    noise = random.standard_normal((40, 3))
    _, found = path_gradient(np.cos, mu, sigma, noise)
    assert np.allclose(found, noise * np.cos(mu + sigma * noise)), (
        "by sigma: another slope, mu and sigma"
    )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **What it is worth.** The next cell uses your three functions, with $f(z) = \sum_j z_j^2$, all $\mu_j = 0.5$ and $\sigma_j = 1$, as in section 1.3. A point is the variance of the gradient by $\mu_1$ over 20,000 draws. Which line rises as $J^2$, which as $J$, which not at all?


# %%
def sum_of_squares(z):
    return (z**2).sum(axis=1)


def spread(J):
    """Variances of three gradients by mu_1, J latent dimensions."""
    q = np.full(J, 0.5), np.ones(J), draws(20_000, J)
    b = best_baseline(sum_of_squares, *q)
    plain = score_gradient(sum_of_squares, *q)
    by_path = path_gradient(lambda z: 2 * z, *q)
    if ready("1 or 2", b, plain, by_path):
        quieter = score_gradient(sum_of_squares, *q, b)
        return [part[:, 0].var() for part in (plain, quieter, by_path[0])]


dimensions = [1, 2, 5, 10, 20, 50]
if spread(1):
    variances = np.transpose([spread(J) for J in dimensions])
    figure, panel = plt.subplots(figsize=(5, 3.4))
    names = ("score", "score, best baseline", "path")
    for name, of_it in zip(names, variances, strict=True):
        panel.loglog(dimensions, of_it, "o-", label=name)
    panel.set_xlabel("latent dimensions J")
    panel.set_ylabel("variance of one gradient")
    panel.legend()
    plt.show()

# %% [raw]
# # BEGIN QUESTION
# name: q3
# points: 4

# %% [markdown]
# ## Question 3. Estimators A and B (15 min, 4 points)
#
# Both estimate the bound of one image from draws of $z$. A draws every term, B takes the KL divergence from its formula. For one draw,
#
# $$
# \begin{aligned}
# \widetilde{\mathcal{L}}_A &= f(z) + \log p(z) - \log q(z), \\
# \widetilde{\mathcal{L}}_B &= f(z) - \mathrm{KL}(q \Vert p).
# \end{aligned}
# $$
#
# Here $f(z) = \log p(x \mid z)$ for one fixed image $x$, and $p(z) = \mathcal{N}(0, I)$.
#
# **`sgvb`** returns both for each draw, from the *same* $z$. The log-density of $J$ independent numbers is a sum over $j$, and so is the KL. `stats.norm.logpdf(z, mean, sd)` returns the log-density of each number by itself; `sd` is a standard deviation.

# %% [raw]
# # BEGIN SOLUTION


# %%
def sgvb(f, mu, sigma, noise):
    """Estimators A and B of the bound, for each draw.

    f: function of draws z [n, J], returns log p(x | z) [n].
    mu, sigma: arrays [J]. noise: array [n, J].
    Returns two arrays [n]: A, B. In nats.
    """
    # BEGIN SOLUTION
    z = mu + sigma * noise
    log_p = stats.norm.logpdf(z, 0, 1).sum(axis=1)
    log_q = stats.norm.logpdf(z, mu, sigma).sum(axis=1)
    kl = 0.5 * np.sum(mu**2 + sigma**2 - 1 - np.log(sigma**2))
    return f(z) + log_p - log_q, f(z) - kl
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
# Where q is the prior, both are f(z), here z_1 + z_2.
compare(
    "A and B of two draws, q is the prior",
    sgvb(
        lambda z: z.sum(axis=1),
        np.zeros(2),
        np.ones(2),
        np.array([[0.5, -1.0], [2.0, 0.25]]),
    ),
    [[-0.5, 2.25], [-0.5, 2.25]],
    1e-9,
    "Sum each log-density over j, axis 1. Here log p(z) = log q(z), and "
    "the KL is 0.",
)

# Both have one mean, whatever q: the bound.
estimates = sgvb(
    lambda z: -(z**2).sum(axis=1),
    np.array([0.5, -1.0]),
    np.array([0.4, 0.7]),
    draws(100_000, 2),
)
compare(
    "mean of A less mean of B, over 100,000 draws",
    None if estimates is None else np.subtract(*estimates).mean(),
    0.0,
    0.02,
    "Look at the sign of each term, at the 1/2 of the KL, at sigma or "
    "sigma squared, and at what is summed.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_a_elsewhere(sgvb):
    import numpy as np

    random = np.random.default_rng(31)
    mu, sigma = random.normal(size=4), random.uniform(0.2, 1.8, 4)
    noise = random.standard_normal((60, 4))
    z = mu + sigma * noise
    ratio = np.log(sigma) + 0.5 * noise**2 - 0.5 * z**2
    found, _ = sgvb(lambda z: np.cos(z).prod(axis=1), mu, sigma, noise)
    assert np.shape(found) == (60,), (
        f"A: shape {np.shape(found)} for 60 draws"
    )
    assert np.allclose(found, np.cos(z).prod(axis=1) + ratio.sum(axis=1)), (
        "A: another f and q"
    )


# %%
# HIDDEN
def test_b_elsewhere(sgvb):
    import numpy as np

    random = np.random.default_rng(32)
    mu, sigma = random.normal(size=4), random.uniform(0.2, 1.8, 4)
    noise = random.standard_normal((60, 4))
    divergence = (0.5 * (mu**2 + sigma**2 - 1) - np.log(sigma)).sum()
    _, found = sgvb(lambda z: np.cos(z).prod(axis=1), mu, sigma, noise)
    assert np.shape(found) == (60,), (
        f"B: shape {np.shape(found)} for 60 draws"
    )
    assert np.allclose(
        found, np.cos(mu + sigma * noise).prod(axis=1) - divergence
    ), "B: another f and q"


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **A model in which everything is known.** An image of three pixels, each with a $z_j$ of its own: $z_j \sim \mathcal{N}(0, 1)$, then $x_j \sim \mathcal{N}(w_j z_j, s^2)$. So $f(z) = \log p(x \mid z)$ is quadratic in $z$, and the true posterior is a Gaussian. The third pixel ignores its $z_j$, since $w_3 = 0$.

# %%
x = np.array([1.5, -0.8, 0.2])
w = np.array([1.0, 0.6, 0.0])
s = 0.5


def log_likelihood(z):
    """f(z) = log p(x | z): z [n, 3], returns [n]."""
    return stats.norm.logpdf(x, w * z, s).sum(axis=1)


def slope_at(z):
    """The slope of f by each z_j: z [..., 3], returns [..., 3]."""
    return w * (x - w * z) / s**2


curvature = -(w**2) / s**2  # the second derivative by z_j, at every z
posterior_sd = 1 / np.sqrt(1 - curvature)
posterior_mean = posterior_sd**2 * w * x / s**2

# %% [raw]
# # BEGIN QUESTION
# name: q4
# points: 3

# %% [markdown]
# ## Question 4. Their variances, exactly (15 min, 3 points)
#
# A quadratic $f$ is, along $z_j = \mu_j + \sigma_j \varepsilon_j$,
#
# $$
# f(z) = f(\mu) + \sum_j \Big( a_j \sigma_j \varepsilon_j + \tfrac12 h_j \sigma_j^2 \varepsilon_j^2 \Big).
# $$
#
# Here $a_j$ is its slope at $z = \mu$, and $h_j$ its curvature, which is the same everywhere. So B is a constant, plus for each $j$ a multiple of $\varepsilon_j$ and a multiple of $\varepsilon_j^2$. So is A, with other multiples.
#
# 1. Read off B's two multiples.
# 2. Find A's. Write $\log p(z_j) - \log q(z_j)$ in terms of $\varepsilon_j$, and add what you find to B's.
# 3. Variances: $\mathrm{Var}(\varepsilon_j) = 1$, $\mathrm{Var}(\varepsilon_j^2) = 2$, $\mathrm{Cov}(\varepsilon_j, \varepsilon_j^2) = 0$, and the $J$ dimensions are independent.
#
# **`value_variances`** returns $\mathrm{Var}(\widetilde{\mathcal{L}}_A)$ and $\mathrm{Var}(\widetilde{\mathcal{L}}_B)$ by these formulas. It draws nothing.

# %% [raw]
# # BEGIN SOLUTION


# %%
def value_variances(mu, sigma, slope, curvature):
    """Variances of A and of B for a quadratic f, by formula.

    mu, sigma: arrays [J].
    slope: array [J], the slope a_j of f at z = mu.
    curvature: array [J], the curvature h_j of f.
    Returns two numbers: Var A, Var B. In nats squared.
    """
    # BEGIN SOLUTION
    of_b = slope * sigma, 0.5 * curvature * sigma**2
    of_a = of_b[0] - mu * sigma, of_b[1] + 0.5 * (1 - sigma**2)
    var_a, var_b = (np.sum(m**2 + 2 * k**2) for m, k in (of_a, of_b))
    return var_a, var_b
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
compare(
    "the decoder ignores z: Var A and Var B",
    value_variances(
        np.array([1.0, 0.0]), np.array([0.5, 1.0]), np.zeros(2), np.zeros(2)
    ),
    [0.53125, 0.0],
    1e-9,
    "B has no noise here, and A has that of (1.17). Sum over j, and "
    "return two numbers.",
)
compare(
    "q is the posterior: Var A and Var B",
    value_variances(
        posterior_mean, posterior_sd, posterior_mean, curvature
    ),
    [0.0, 1.0359],
    1e-4,
    "Here the slope at mu is mu itself, and sigma squared is 1 / (1 - h):"
    " A has the same value for every draw.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_variance_of_a_elsewhere(value_variances):
    import numpy as np

    random = np.random.default_rng(42)
    for J in (1, 4):
        mu, slope = random.normal(size=(2, J))
        sigma, h = random.uniform(0.3, 1.5, J), -random.uniform(0, 3, J)
        found, _ = value_variances(mu, sigma, slope, h)
        bend = h * sigma**2 + 1 - sigma**2
        exact = ((slope - mu) ** 2 * sigma**2 + 0.5 * bend**2).sum()
        assert np.isclose(found, exact), (
            f"Var A, J = {J}: expected {exact}, got {found}"
        )


# %%
# HIDDEN
def test_variance_of_b_elsewhere(value_variances):
    import numpy as np

    random = np.random.default_rng(41)
    for J in (1, 4):
        mu, slope = random.normal(size=(2, J))
        sigma, h = random.uniform(0.3, 1.5, J), -random.uniform(0, 3, J)
        _, found = value_variances(mu, sigma, slope, h)
        exact = (slope**2 * sigma**2 + 0.5 * h**2 * sigma**4).sum()
        assert np.isclose(found, exact), (
            f"Var B, J = {J}: expected {exact}, got {found}"
        )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **Formula against draws.** The table holds your formulas against the variance of your own `sgvb`, in the model above. "Exact" and "drawn" should agree within 2 per cent. Where $q$ is the posterior A has no noise, and B has: that is (4.4) of chapter 4.

# %%
rows = []
for name, mu, sigma in (
    ("some q", np.array([0.4, -0.3, 0.5]), np.array([0.8, 0.9, 0.6])),
    ("the posterior", posterior_mean, posterior_sd),
):
    exact = value_variances(mu, sigma, slope_at(mu), curvature)
    drawn = sgvb(log_likelihood, mu, sigma, draws(200_000, 3))
    if ready("3 or 4", exact, drawn):
        a, b = np.var(drawn, axis=1)
        rows.append([name, exact[0], a, exact[1], b])
heads = ["q", "A, exact", "A, drawn", "B, exact", "B, drawn"]
vh.table(heads, rows, digits=3)

# %% [raw]
# # BEGIN QUESTION
# name: q5
# points: 3

# %% [markdown]
# ## Question 5. The path estimator (14 min, 3 points)
#
# Differentiate A by $\mu$ and $\sigma$. They act in two ways: along the path, through $z$, and directly, as the parameters of $\log q(z)$. The direct part is the score. Its mean is zero, so it is nothing but noise. The path estimator of chapter 4 ("sticking the landing") has the *value* of A, and leaves the direct part out of the *gradient*.
#
# In TensorFlow `tf.stop_gradient(t)` has the value of `t` and passes no gradient on to it.
#
# **`path_value`** returns A for each draw, such that its gradient follows the path alone. Take `log_normal` for both log-densities; everything is float64. `gradients` differentiates what you return.


# %%
def log_normal(z, mean, sd):
    """log N(z; mean, sd²), summed over j: z [n, J], returns [n]."""
    mean, sd = (tf.convert_to_tensor(t, tf.float64) for t in (mean, sd))
    squares = ((z - mean) / sd) ** 2
    each = -0.5 * squares - tf.math.log(sd) - 0.5 * np.log(2 * np.pi)
    return tf.reduce_sum(each, axis=-1)


def gradients(estimate, mu, sigma, noise):
    """Gradients of estimate(mu, sigma, noise), summed over its draws.

    mu, sigma: arrays [J]. noise: array [n, J].
    Returns an array [2, J]: by mu, by sigma. None: no estimate yet.
    """
    mu, sigma = tf.Variable(mu), tf.Variable(sigma)
    with tf.GradientTape() as tape:
        value = estimate(mu, sigma, noise)
    if value is None:
        return None
    found = tape.gradient(value, [mu, sigma], unconnected_gradients="zero")
    return np.array(found)


# %% [raw]
# # BEGIN SOLUTION


# %%
def path_value(f, mu, sigma, noise):
    """A for each draw, with the gradient of the path.

    f: function of a tensor z [n, J], returns log p(x | z), a tensor [n].
    mu, sigma: tensors or variables [J]. noise: array [n, J].
    Returns a tensor [n], in nats.
    """
    # BEGIN SOLUTION
    z = mu + sigma * noise
    fixed = tf.stop_gradient(mu), tf.stop_gradient(sigma)
    return f(z) + log_normal(z, 0.0, 1.0) - log_normal(z, *fixed)
    # END SOLUTION


# %% [raw]
# # END SOLUTION


# %%
def line(mu, sigma, noise):
    """Your estimate for f(z) = 3 z_1 + 3 z_2 + …"""
    return path_value(
        lambda z: 3 * tf.reduce_sum(z, axis=1), mu, sigma, noise
    )


compare(
    "its value where q is the prior: that of A, so f(z)",
    line(np.zeros(2), np.ones(2), np.array([[0.5, -1.0], [2.0, 0.25]])),
    [-1.5, 6.75],
    1e-9,
    "Add log p(z), subtract log q(z). stop_gradient changes no value.",
)
# mu = 0, sigma = 2, noise = 1, so z = 2. The slope of what A adds up, by
# z: 3 of f(z), -2 of log p(z), +1/2 of -log q(z). By sigma: times noise.
compare(
    "its gradients at one draw, by mu and by sigma",
    gradients(line, np.array([0.0]), np.array([2.0]), np.array([[1.0]])),
    [[1.5], [1.5]],
    1e-9,
    "1 and 1.5: nothing is stopped. 0: z itself must keep its gradient. "
    "Else: stop mu and sigma only where they are parameters of log q.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_path_value_elsewhere(path_value):
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(51)
    mu, sigma = random.normal(size=3), random.uniform(0.3, 1.5, 3)
    noise = random.standard_normal((20, 3))
    z = mu + sigma * noise
    ratio = np.log(sigma) + 0.5 * noise**2 - 0.5 * z**2
    found = path_value(
        lambda z: tf.reduce_sum(tf.sin(z), axis=1),
        tf.constant(mu),
        tf.constant(sigma),
        noise,
    )
    assert np.allclose(found, (np.sin(z) + ratio).sum(axis=1)), (
        "the value is not that of A"
    )


# %%
# HIDDEN
def test_path_value_gradient_by_mu(path_value):
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(52)
    mu, sigma = random.normal(size=3), random.uniform(0.3, 1.5, 3)
    for noise in random.standard_normal((4, 1, 3)):
        mean, z = tf.Variable(mu), mu + sigma * noise[0]
        with tf.GradientTape() as tape:
            value = path_value(
                lambda z: tf.reduce_sum(tf.sin(z), axis=1),
                mean,
                tf.constant(sigma),
                noise,
            )
        found = tape.gradient(value, mean)
        assert found is not None, "by mu: no gradient is left"
        assert np.allclose(found, np.cos(z) - z + noise[0] / sigma), (
            "by mu: not the path's"
        )


# %%
# HIDDEN
def test_path_value_gradient_by_sigma(path_value):
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(53)
    mu, sigma = random.normal(size=3), random.uniform(0.3, 1.5, 3)
    for noise in random.standard_normal((4, 1, 3)):
        sd, z = tf.Variable(sigma), mu + sigma * noise[0]
        with tf.GradientTape() as tape:
            value = path_value(
                lambda z: tf.reduce_sum(tf.sin(z), axis=1),
                tf.constant(mu),
                sd,
                noise,
            )
        found = tape.gradient(value, sd)
        assert found is not None, "by sigma: no gradient is left"
        assert np.allclose(
            found, noise[0] * (np.cos(z) - z + noise[0] / sigma)
        ), "by sigma: not the path's"


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **Does it stick?** At the posterior of the model above the gradient of the path is zero in *every draw*. A's is zero only on average. The cell prints both by $\mu_1$, for five draws.

# %%
noises = draws(5, 3)
at = posterior_mean + posterior_sd * noises
of_path = [
    gradients(
        lambda *q: path_value(lambda z: log_normal(x, w * z, s), *q),
        posterior_mean,
        posterior_sd,
        one,
    )
    for one in noises[:, None]
]
print("A   ", (slope_at(at) - at)[:, 0].round(3))  # chapter 4, c = 1
if ready("5", *of_path):
    print("path", np.array([each[0, 0] for each in of_path]).round(3) + 0.0)

# %% [raw]
# # BEGIN QUESTION
# name: q6
# points: 2

# %% [markdown]
# ## Question 6. The minibatch (6 min, 2 points)
#
# Training sees $M$ of the $N$ images at a time. Say that the decoder's weights have a prior $p(\theta)$, too. To be maximised, over all images, is
#
# $$
# \log p(\theta) + \sum_{i=1}^{N} \mathcal{L}(x^{(i)}).
# $$
#
# **`minibatch_objective`** estimates this number from the bounds of one minibatch. It is unbiased: its average over all minibatches is exact. Ask of each term how often it stands in the sum.

# %% [raw]
# # BEGIN SOLUTION


# %%
def minibatch_objective(bounds, log_prior, N):
    """Estimates log p(theta) plus the sum of all N bounds.

    bounds: array [M], nats: the bound of each image in the minibatch.
    log_prior: a number, log p(theta). N: how many images there are.
    Returns a number, in nats.
    """
    # BEGIN SOLUTION
    return log_prior + N / len(bounds) * np.sum(bounds)
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
compare(
    "the minibatch holds all N = 2 images",
    minibatch_objective(np.array([-90.0, -110.0]), -5.0, 2),
    -205.0,
    1e-9,
    "Nothing is left to estimate: -5 - 90 - 110. Return one number.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_all_minibatches(minibatch_objective):
    import itertools

    import numpy as np

    everything = np.random.default_rng(61).normal(-100, 10, size=7)
    for M in (1, 3):
        found = [
            minibatch_objective(everything[list(chosen)], -12.5, 7)
            for chosen in itertools.combinations(range(7), M)
        ]
        exact = everything.sum() - 12.5
        assert np.isclose(np.mean(found), exact), (
            f"mean over all minibatches of {M}: expected {exact}"
        )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **A network.** Dense, $J = 20$, before training and after three epochs on 10,000 digits. Weights and 50 images are held fixed, and only $\varepsilon$ is drawn, a hundred times. On the left the variance of the *value*, on the right that of the *gradient* by the encoder's weights, as multiples of B's: B is the line at 1. The package has the three estimators as `vh.sgvb_a`, `vh.sgvb_b` and `vh.sticking_the_landing`. The cell takes about ten seconds.

# %%
digits = vh.load_mnist()
network = vh.mlp_vae(latent_dim=20, hidden=(128,), seed=0)
network.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
held = vh.binarize(digits.test[:50], "threshold")
OBJECTIVES = {
    "A": vh.sgvb_a,
    "B": vh.sgvb_b,
    "path": vh.sticking_the_landing,
}


def noise_of(objective):
    """Variance over the noise: of the value, of the gradient."""
    seeds = keras.random.SeedGenerator(0)
    weights = network.encoder.trainable_variables

    @tf.function
    def once():
        with tf.GradientTape() as tape, network.using(seeds):
            values = objective(network, held)
            bound = tf.reduce_mean(values)
        each = tape.gradient(bound, weights)
        return values, tf.concat([tf.reshape(g, [-1]) for g in each], 0)

    drawn = [once() for _ in range(100)]
    values, each = (np.stack(part) for part in zip(*drawn, strict=True))
    return values.var(axis=0).mean(), each.var(axis=0).sum()


before = {name: noise_of(o) for name, o in OBJECTIVES.items()}
some = vh.batches(digits.train[:10_000], 100, "threshold", seed=0)
network.fit(some, epochs=3, verbose=0)
after = {name: noise_of(o) for name, o in OBJECTIVES.items()}

# %%
colours = {"A": "#D55E00", "path": "#009E73"}
figure, panels = plt.subplots(1, 2, figsize=(6, 3.2), sharey=True)
for which, panel in enumerate(panels):
    for place, found in enumerate((before, after)):
        for shift, (name, colour) in zip(
            (-0.2, 0.2), colours.items(), strict=True
        ):
            ratio = found[name][which] / found["B"][which]
            at = place + shift
            panel.bar(at, ratio - 1, 0.36, bottom=1, color=colour)
            above = "bottom" if ratio > 1 else "top"
            panel.text(at, ratio, f"{ratio:.2g}", ha="center", va=above)
    panel.axhline(1, color="#0072B2", lw=2.5)
    panel.set_xticks([0, 1], ["before\ntraining", "after\n3 epochs"])
    panel.set(yscale="log", ylim=(0.4, 20))
panels[0].set(title="the value", ylabel="variance / that of B")
panels[1].set(title="the encoder's gradient")
marks = [plt.Rectangle((0, 0), 1, 1, color=c) for c in colours.values()]
panels[0].legend(marks, colours, loc="upper right")
plt.show()

# %% [raw]
# # BEGIN QUESTION
# name: q7
# points: 3

# %% [markdown]
# ## Question 7. Read a plot (7 min, 3 points)
#
# Three answers are `"A"`, `"B"` or `"path"`.
#
# - `quietest_value`: you report the bound of the trained network, by A or by B. Which has less noise?
# - `gradient_before`: which gradient has the least noise before training?
# - `gradient_after`: which gradient has the least noise after three epochs?
#
# Two answers are letters. `why_before`: why has the gradient of `gradient_before` so little noise then?
#
# - `"a"` It draws more $z$ for an image than the others do.
# - `"b"` Before training the KL is zero, so nothing is left to estimate.
# - `"c"` The decoder hardly listens to $z$, so $f$ has hardly any slope; and the gradient of the KL comes from its formula, without noise.
# - `"d"` The others are biased as long as $q$ is far from the posterior.
#
# `why_after`: why has the gradient of `gradient_after` the least noise then?
#
# - `"a"` It is biased, and a biased estimate has less noise.
# - `"b"` It leaves out the score, which has mean zero and is nothing but noise. The nearer $q$ comes to the posterior, the more of the rest cancels in each draw.
# - `"c"` It takes the KL from its formula.
# - `"d"` After training $\sigma$ is small, so the score is small.

# %% [raw]
# # BEGIN SOLUTION

# %%
quietest_value = "A"  # SOLUTION
gradient_before = "B"  # SOLUTION
gradient_after = "path"  # SOLUTION
why_before = "c"  # SOLUTION
why_after = "b"  # SOLUTION

# %% [raw]
# # END SOLUTION

# %%
for what, answer, choices in (
    ("quietest_value", quietest_value, ["A", "B"]),
    ("gradient_before", gradient_before, ["A", "B", "path"]),
    ("gradient_after", gradient_after, ["A", "B", "path"]),
    ("why_before", why_before, ["a", "b", "c", "d"]),
    ("why_after", why_after, ["a", "b", "c", "d"]),
):
    mark = "…" if answer is ... else "•" if answer in choices else "✗"
    print(f"{mark} {what}: {answer!r}, expected one of {choices}")

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_the_value_to_report(quietest_value):
    assert quietest_value == "A", (
        "quietest_value: the left panel, on its right"
    )


# %%
# HIDDEN
def test_the_gradient_before(gradient_before, why_before):
    assert (gradient_before, why_before) == ("B", "c"), (
        "before training: which, or why"
    )


# %%
# HIDDEN
def test_the_gradient_after(gradient_after, why_after):
    assert (gradient_after, why_after) == ("path", "b"), (
        "after training: which, or why"
    )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## What you have seen
#
# - The score function needs values alone, and pays with a variance that grows with $J$. A baseline saves much of it, the path nearly all.
# - A and B have one mean. Where $q$ is the posterior the *value* of A has no noise; where the decoder ignores $z$, that of B has none.
# - One `stop_gradient` in the right place takes a term of mean zero out of the gradient. In the wrong place it takes the gradient away.
# - $N/M$ multiplies what is summed over images, and nothing else.
#
# So train with B or with the path, and report A. [Chapter 4](../../notebooks/04_sgvb_a_vs_b.ipynb) measures how little that changes the trained model.

# %% [markdown]
# ## Hand in
#
# 1. Choose *Restart kernel and run all cells* (Colab: *Runtime → Restart session and run all*). What you see then is what is graded.
# 2. Save the notebook. In Colab, download it: *File → Download → Download .ipynb*.
# 3. Hand in this one file.
