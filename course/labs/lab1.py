# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 1. The bound and its KL
#
# **You compute the log-likelihood of an image exactly, and then everything that stands between it and the ELBO.** The model is so small that a sum over a grid does every integral. So each formula of [chapter 1](../../notebooks/01_theory.ipynb) can be held against a number.
#
# | Question | Minutes | Points |
# |---|---|---|
# | Read this page, run the first cells | 5 | |
# | 1. The KL in closed form | 10 | 3 |
# | 2. The same KL by samples | 15 | 3 |
# | 3. The exact log-likelihood | 15 | 3 |
# | 4. The ELBO and its gap | 15 | 4 |
# | 5. The best Gaussian | 15 | 3 |
# | 6. The ELBO without a grid | 10 | 2 |
# | 7. What a rise of the ELBO proves (in words) | 5 | 2 |
#
# **Where.** On your machine: put this file into the folder `notebooks` of the book ([how to install it](../../book/how_to_use.md)) and run `make lab`. Or in Colab: *File → Upload notebook*, and the first cell fetches the book.
#
# **How it works.** Each question gives you a function with `...` in it. Put your lines in place of the dots. Keep the function's name, its arguments and what it returns. Then run the cell below it:
#
# - `✓` means that this value is right;
# - `✗` says what was expected, what you returned, and where to look;
# - `…` means that nothing is there yet.
#
# Your points come from other tests that you do not see. They call your functions with other numbers and other shapes. A function that returns the expected numbers by heart earns nothing.
#
# Every logarithm is natural, so everything is in **nats**. In a docstring `[n, J]` is the shape of a NumPy array: $n$ rows, $J$ columns. "A number" is a Python float or a NumPy scalar.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
from scipy import optimize, stats


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


# %% [raw]
# # BEGIN QUESTION
# name: q1
# points: 3

# %% [markdown]
# ## Question 1. The KL in closed form (10 min, 3 points)
#
# The encoder's Gaussian $q = \mathcal N(\mu, \operatorname{diag} \sigma^2)$ pays a price for being different from the prior $p = \mathcal N(0, I)$. For one dimension it is
#
# $$\mathrm{KL}(q \,\Vert\, p) = \tfrac12 \left(\mu^2 + \sigma^2 - 1 - \log \sigma^2\right),$$
#
# and the price of an image is the **sum** over its $J$ dimensions.
#
# *Why:* this is the KL term in the loss of almost every VAE. A mean in place of the sum, or $\sigma$ in place of $\sigma^2$, goes unnoticed: the loss falls all the same.

# %% [raw]
# # BEGIN SOLUTION


# %%
def kl_to_prior(mu, sigma):
    """KL(N(mu, diag sigma²) ‖ N(0, I)) of each image, in nats.

    mu: means, an array [n, J].
    sigma: standard deviations (not variances), an array [n, J], above 0.
    Returns an array [n], one number an image.
    """
    # BEGIN SOLUTION
    per_dimension = mu**2 + sigma**2 - 1 - np.log(sigma**2)
    return 0.5 * per_dimension.sum(axis=1)
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
mu_1 = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, -2.0]])
sigma_1 = np.array([[1.0, 1.0], [0.5, 1.0], [0.5, 0.1]])
compare(
    "the KL of three images with J = 2",
    kl_to_prior(mu_1, sigma_1),
    [0.0, 0.8181, 4.6257],
    1e-4,
    "The first image has q = prior, so its price is 0. The second costs "
    "½ (1 + 0.25 − 1 − log 0.25), from its first dimension only.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_against_quadrature(kl_to_prior):
    import numpy as np
    from scipy import integrate, stats

    def price(m, s):
        q, p = stats.norm(m, s), stats.norm()
        return integrate.quad(
            lambda t: q.pdf(t) * (q.logpdf(t) - p.logpdf(t)),
            m - 12 * s,
            m + 12 * s,
        )[0]

    means, widths = [0.7, -1.4, 0.2], [0.3, 1.7, 0.9]
    wanted = sum(map(price, means, widths))
    found = kl_to_prior(np.array([means]), np.array([widths]))
    assert np.allclose(found, [wanted], atol=1e-6), (
        "a KL of three dimensions is not its integral"
    )


# %%
# HIDDEN
def test_sum_and_shape(kl_to_prior):
    import numpy as np

    widths = np.full((5, 20), 2.0)
    found = np.asarray(kl_to_prior(np.zeros((5, 20)), widths))
    assert found.shape == (5,), "five images must give five numbers"
    assert np.allclose(found, 20 * 0.5 * (3 - np.log(4))), (
        "20 equal dimensions must cost 20 times as much as one"
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
# ## Question 2. The same KL by samples (15 min, 3 points)
#
# By definition the KL is an average over $q$ of $\log q(z) - \log p(z)$. So draw, evaluate, average. The noise $\varepsilon$ is given, from $\mathcal N(0, I)$; make the draws from it with $z = \mu + \sigma \varepsilon$.
#
# Return the average of the $L$ values of each image, and its **standard error**: their standard deviation (with `ddof=1`) divided by $\sqrt L$.
#
# `stats.norm.logpdf(z, mu, sigma)` is the log density of one dimension. The log density of $J$ independent dimensions is the sum over the last axis.
#
# *Why:* a formula and its definition must agree. This check finds a wrong formula without knowing the right one.

# %% [raw]
# # BEGIN SOLUTION


# %%
def kl_by_samples(mu, sigma, epsilon):
    """The KL of question 1 as a Monte Carlo average.

    mu, sigma: as in question 1, arrays [n, J].
    epsilon: draws from N(0, I), an array [L, n, J].
    Returns two arrays [n], in nats: the averages over the L draws, and
    their standard errors.
    """
    # BEGIN SOLUTION
    z = mu + sigma * epsilon
    log_q = stats.norm.logpdf(z, mu, sigma).sum(axis=-1)
    log_p = stats.norm.logpdf(z).sum(axis=-1)
    log_ratio = log_q - log_p
    draws = len(epsilon)
    standard_error = log_ratio.std(axis=0, ddof=1) / math.sqrt(draws)
    return log_ratio.mean(axis=0), standard_error
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
epsilon_2 = np.random.default_rng(2).normal(size=(10_000, 3, 2))
compare(
    "averages and standard errors of the three images",
    kl_by_samples(mu_1, sigma_1, epsilon_2),
    [[0.0, 0.8254, 4.6379], [0.0, 0.0070, 0.0103]],
    1e-4,
    "Two rows: averages, then standard errors. The first image has q = p, "
    "so each of its values is exactly 0. The other averages lie within "
    "three standard errors of question 1.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_average(kl_by_samples):
    import numpy as np
    from scipy import stats

    random = np.random.default_rng(21)
    means, widths = (
        random.normal(size=(4, 3)),
        random.uniform(0.2, 2, (4, 3)),
    )
    noise = random.normal(size=(50, 4, 3))
    found = kl_by_samples(means, widths, noise)[0]
    drawn = means + widths * noise
    values = (
        stats.norm.logpdf(noise) - np.log(widths) - stats.norm.logpdf(drawn)
    )
    assert np.shape(found) == (4,), "four images must give four averages"
    assert np.allclose(found, values.sum(axis=2).mean(axis=0)), (
        "the averages are not those of these draws"
    )


# %%
# HIDDEN
def test_standard_error(kl_by_samples):
    import numpy as np
    from scipy import stats

    random = np.random.default_rng(22)
    means, widths = (
        random.normal(size=(2, 5)),
        random.uniform(0.2, 2, (2, 5)),
    )
    noise = random.normal(size=(9, 2, 5))
    found = kl_by_samples(means, widths, noise)[1]
    values = (
        stats.norm.logpdf(noise)
        - np.log(widths)
        - stats.norm.logpdf(means + widths * noise)
    )
    assert np.allclose(found, stats.sem(values.sum(axis=2), axis=0)), (
        "the standard errors of nine draws are others"
    )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## A tiny model
#
# This one is not the tiny model of chapter 1. From here on there is one code $z$ with the prior $\mathcal N(0, 1)$, and an image $x$ of six pixels, each 0 or 1. The decoder is a network with two hidden units. It returns a logit $\ell_d$ for each pixel, so that
#
# $$\log p(x \mid z) = \sum_{d=1}^{6} \left(x_d \ell_d - \log(1 + e^{\ell_d})\right).$$
#
# Everything in this cell is given. `grid` has 2,001 values of $z$ from −8 to 8, `step` apart. The integral over $z$ of a function is the sum of its values on the grid, times `step`.

# %%
W1, b1 = np.array([1.5, -1.0]), np.array([0.5, 1.0])
W2 = np.array(
    [[2.0, -2.0, 1.0, 3.0, -1.0, 2.0], [1.0, 2.0, -3.0, 1.0, 2.0, -2.0]]
)
b2 = np.array([0.5, -0.5, 0.0, -1.0, 0.5, 0.0])

grid = np.linspace(-8, 8, 2001)
step = grid[1] - grid[0]
log_prior = stats.norm.logpdf(grid)  # log p(z) on the grid, [2001]


def log_likelihood(x, z):
    """log p(x | z) in nats, an array [n].

    x: an image, six pixels of 0 or 1, an array [6].
    z: n codes, an array [n].
    """
    hidden = np.tanh(np.outer(z, W1) + b1)  # [n, 2]
    logits = hidden @ W2 + b2  # [n, 6]
    return (x * logits - np.logaddexp(0, logits)).sum(axis=1)


image = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
log_joint = log_prior + log_likelihood(image, grid)  # log p(x, z), [2001]

# %% [raw]
# # BEGIN QUESTION
# name: q3
# points: 3

# %% [markdown]
# ## Question 3. The exact log-likelihood (15 min, 3 points)
#
# Compute $\log p(x) = \log \int p(x, z)\, dz$ on the grid.
#
# There is a trap. The joint density of a real image is far too small for a computer: `np.exp(-1000)` is 0, and the logarithm of 0 is $-\infty$. Take out the largest logarithm first: for any number $c$,
#
# $$\log \sum_k e^{a_k} = c + \log \sum_k e^{a_k - c}.$$
#
# *Why:* this number is what a VAE can only bound. Here you have it, so you can measure the gap. And the trick is needed whenever probabilities of images are averaged.

# %% [raw]
# # BEGIN SOLUTION


# %%
def log_evidence(log_joint):
    """log p(x), in nats.

    log_joint: log p(x, z) at each z of `grid`, an array [2001]; its
        values may be as low as −10,000.
    Returns a number.
    """
    # BEGIN SOLUTION
    top = log_joint.max()
    return top + math.log(np.exp(log_joint - top).sum() * step)
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
compare(
    "log p(x) of the image",
    log_evidence(log_joint),
    -1.8880,
    1e-4,
    "Is the sum multiplied by step, before the logarithm?",
)
compare(
    "an image that is e^1000 times less probable",
    log_evidence(log_joint - 1000),
    -1001.8880,
    1e-4,
    "−inf means that np.exp returned 0: take out the largest value first.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_all_images(log_evidence, log_likelihood, grid, log_prior):
    import itertools

    import numpy as np

    pictures = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
    logs = [
        log_evidence(log_prior + log_likelihood(picture, grid))
        for picture in pictures
    ]
    assert abs(np.exp(logs).sum() - 1) < 1e-6, (
        "the probabilities of the 64 images do not sum to 1"
    )


# %%
# HIDDEN
def test_far_down(log_evidence, grid):
    import numpy as np
    from scipy import stats

    scaled = stats.norm.logpdf(grid, 0.5, 0.7) - 9000
    assert np.ndim(log_evidence(scaled)) == 0, (
        "one image must give one number"
    )
    assert abs(log_evidence(scaled) + 9000) < 1e-6, (
        "a density times exp(-9000) must integrate to exp(-9000)"
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
# ## Question 4. The ELBO and its gap (15 min, 4 points)
#
# Now any Gaussian $q = \mathcal N(\mu, \sigma^2)$ comes in. Compute two integrals on the grid:
#
# $$\mathcal L = \int q(z) \left[\log p(x, z) - \log q(z)\right] dz, \qquad
# \mathrm{KL} = \int q(z) \left[\log q(z) - \log p(z \mid x)\right] dz.$$
#
# The second one goes to the **posterior** $p(z \mid x) = p(x, z) / p(x)$, not to the prior. Compute it from its own formula, not as a difference. You may call `log_evidence`. And use the argument `x`: the variables `image` and `log_joint` belong to one image only.
#
# *Why:* their sum is $\log p(x)$, whatever $q$ is. That one line is the reason why maximising the ELBO works.

# %% [raw]
# # BEGIN SOLUTION


# %%
def elbo_and_gap(mu, sigma, x):
    """The ELBO, and the KL from q to the true posterior.

    mu, sigma: mean and standard deviation of q, two numbers.
    x: an image, an array [6].
    Returns two numbers, in nats: the ELBO, then the gap.
    """
    # BEGIN SOLUTION
    log_pxz = log_prior + log_likelihood(x, grid)
    log_posterior = log_pxz - log_evidence(log_pxz)
    log_q = stats.norm.logpdf(grid, mu, sigma)
    elbo = (np.exp(log_q) * (log_pxz - log_q)).sum() * step
    gap = (np.exp(log_q) * (log_q - log_posterior)).sum() * step
    return elbo, gap
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
compare(
    "ELBO and gap of q = N(−0.9, 0.5²)",
    elbo_and_gap(-0.9, 0.5, image),
    [-1.9445, 0.0565],
    1e-4,
    "Two numbers, the ELBO first. Their sum is log p(x), −1.8880.",
)
compare(
    "ELBO and gap of the prior, q = N(0, 1)",
    elbo_and_gap(0.0, 1.0, image),
    [-4.4842, 2.5962],
    1e-4,
    "A bad q: the ELBO falls, and the gap grows by as much.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_bound(elbo_and_gap, log_likelihood):
    import numpy as np
    from scipy import integrate, stats

    x = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0])

    def bound(m, s):
        q, p = stats.norm(m, s), stats.norm()

        def inside(t):
            log_p = p.logpdf(t) + log_likelihood(x, np.array([t]))[0]
            return q.pdf(t) * (log_p - q.logpdf(t))

        return integrate.quad(inside, m - 9 * s, m + 9 * s)[0]

    for m, s in ((0.4, 0.6), (-1.1, 1.3)):
        assert abs(elbo_and_gap(m, s, x)[0] - bound(m, s)) < 1e-5, (
            "the ELBO of another image and another q is wrong"
        )


# %%
# HIDDEN
def test_gap(elbo_and_gap, log_likelihood):
    import numpy as np
    from scipy import integrate, stats

    x = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    evidence = integrate.quad(
        lambda t: (
            stats.norm.pdf(t) * np.exp(log_likelihood(x, np.array([t]))[0])
        ),
        -9,
        9,
    )[0]
    for m, s in ((0.3, 0.4), (0.9, 1.2)):
        bound, distance = elbo_and_gap(m, s, x)
        assert distance > 0, "a KL divergence cannot be negative"
        assert abs(bound + distance - np.log(evidence)) < 1e-5, (
            "ELBO + gap is not log p(x)"
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
# ## Question 5. The best Gaussian (15 min, 3 points)
#
# How small can the gap become if $q$ is a Gaussian? Find the $\mu$ and $\sigma$ with the **largest ELBO**. Use `optimize.minimize(function, start)`: `function` takes an array of two numbers and returns one; the result has the best array in `.x` and the smallest value in `.fun`.
#
# Search over $\mu$ and $\log \sigma$, not over $\sigma$: then no step of the optimiser can make $\sigma$ negative. Start at $\mu = 0$ and $\sigma = 1$, that is at `[0, 0]`.
#
# *Why:* an encoder does exactly this search, for all images at once. What is left at the best Gaussian is the price of its shape.

# %% [raw]
# # BEGIN SOLUTION


# %%
def best_gaussian(x):
    """The Gaussian q with the largest ELBO for one image.

    x: an image, an array [6].
    Returns three numbers: mu, sigma, and the gap that is left, in nats.
    """

    # BEGIN SOLUTION
    def negative_elbo(parameters):
        mu, log_sigma = parameters
        return -elbo_and_gap(mu, math.exp(log_sigma), x)[0]

    best_mu, best_log_sigma = optimize.minimize(negative_elbo, [0, 0]).x
    best_sigma = math.exp(best_log_sigma)
    return best_mu, best_sigma, elbo_and_gap(best_mu, best_sigma, x)[1]
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
compare(
    "μ, σ and the gap of the best Gaussian",
    best_gaussian(image),
    [-0.8757, 0.5157, 0.0536],
    2e-3,
    "Three numbers. Did you minimise minus the ELBO? Is the second "
    "number σ, and not its logarithm?",
)

# %% [markdown]
# Run this cell when the line above has its tick. It shows what the Gaussian cannot follow.

# %%
if best_gaussian(image) is not None:
    best_mu, best_sigma, best_gap = best_gaussian(image)
    posterior = np.exp(log_joint - log_evidence(log_joint))
    plt.figure(figsize=(5.4, 3))
    plt.plot(grid, posterior, label="posterior p(z | x)")
    plt.plot(
        grid, stats.norm.pdf(grid, best_mu, best_sigma), label="best q"
    )
    plt.xlim(-4, 2)
    plt.xlabel("code z")
    plt.ylabel("density")
    plt.title(f"The gap that is left: {best_gap:.3f} nats")
    plt.legend()
    plt.show()

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_other_images(best_gaussian):
    import numpy as np

    wanted = {
        (0, 1, 0, 1, 1, 0): (-0.6274, 0.4747, 0.0584),
        (1, 0, 1, 0, 0, 1): (1.5063, 0.5797, 0.0090),
    }
    for pixels, expected in wanted.items():
        found = best_gaussian(np.array(pixels, float))
        assert np.allclose(found[:2], expected[:2], atol=2e-3), (
            "mu and sigma of another image are not the best ones"
        )


# %%
# HIDDEN
def test_gap_left(best_gaussian):
    import numpy as np

    found = best_gaussian(np.array([0.0, 0.0, 0.0, 0.0, 1.0, 0.0]))
    assert abs(found[2] - 0.0418) < 5e-4, (
        "the gap that is left for another image is wrong"
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
# ## Question 6. The ELBO without a grid (10 min, 2 points)
#
# With 20 codes in place of one there is no grid. Then the ELBO is estimated: the KL **to the prior** in closed form, the rest by one sample,
#
# $$\widetilde{\mathcal L}_B = \log p(x \mid z) - \mathrm{KL}(q \,\Vert\, p(z)), \qquad z = \mu + \sigma \varepsilon.$$
#
# Return the $L$ one-sample estimates themselves, not their average: you want to see how they spread. In one dimension the KL is the formula of question 1 without a sum.
#
# *Why:* these are the numbers that a VAE averages in each training step.

# %% [raw]
# # BEGIN SOLUTION


# %%
def elbo_by_samples(mu, sigma, x, epsilon):
    """One-sample estimates of the ELBO, in nats, an array [L].

    mu, sigma: mean and standard deviation of q, two numbers.
    x: an image, an array [6].
    epsilon: draws from N(0, 1), an array [L].
    """
    # BEGIN SOLUTION
    kl = 0.5 * (mu**2 + sigma**2 - 1 - 2 * math.log(sigma))
    return log_likelihood(x, mu + sigma * epsilon) - kl
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
epsilon_6 = np.random.default_rng(6).normal(size=100_000)
estimates = elbo_by_samples(-0.9, 0.5, image, epsilon_6)
compare(
    "the first three estimates",
    estimates[:3] if estimates is not None else None,
    [-2.0527, -3.6116, -1.8368],
    1e-4,
    "An array of L numbers. The KL of N(−0.9, 0.5²) is 0.7231 nats.",
)
if estimates is not None:
    error = np.std(estimates) / math.sqrt(len(estimates))
    print(f"average {np.mean(estimates):.4f}, standard error {error:.4f}")
    print(f"one estimate is off by {np.std(estimates):.2f} nats (sd)")

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_estimates(elbo_by_samples, log_likelihood):
    import numpy as np

    noise, x = (
        np.array([-1.2, 0.0, 0.4, 2.2]),
        np.array([0.0, 1.0, 1.0, 1.0, 0.0, 0.0]),
    )
    found = elbo_by_samples(0.8, 0.25, x, noise)
    price = (0.8 * 0.8 + 0.0625 - 1) / 2 - np.log(0.25)
    assert np.shape(found) == (4,), "four draws must give four estimates"
    assert np.allclose(found, log_likelihood(x, 0.8 + noise / 4) - price), (
        "the estimates of another q are wrong"
    )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q7
# points: 2
# manual: true

# %% [markdown]
# ## Question 7. What a rise of the ELBO proves (5 min, 2 points)
#
# You train a VAE on. The encoder and the decoder both change, and the ELBO of an image rises by 0.8 nats. Somebody says: "So $\log p(x)$ has risen by 0.8 nats." In at most four sentences: Is that so? What else can have happened? For which of the two changes alone, encoder or decoder, would you know?

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# Not necessarily. $\log p(x)$ is the ELBO plus the gap, so the rise may come from a smaller gap, from a larger $\log p(x)$, or from both; $\log p(x)$ may even have fallen, if the gap shrank by more than 0.8 nats. (1 point)
#
# If only the encoder had changed, $\log p(x)$ would be the same number, since it does not depend on $q$: the gap would have shrunk by exactly 0.8 nats. If only the decoder had changed, one could not tell: with $\theta$ the posterior moves too, and with it the gap. (1 point)

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
