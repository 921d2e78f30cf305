# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 4. Find the fault
#
# **Five VAEs have been brought to you. Each has one fault, and none of their makers will show the code.** You find the faults by measuring, repair one of the five, and take the repaired one to a second set of images, Fashion-MNIST.
#
# **Before you come.** Read sections 7.1 to 7.3 of [chapter 7](../../notebooks/07_diagnosis.ipynb). You may keep the chapter open.
#
# **Where.** On your machine: put this file into the folder `notebooks` of the book ([how to install it](../../book/how_to_use.md)) and run `make lab`. Or in Colab: *File → Upload notebook*, and the first cell fetches the book.
#
# **How it works.** Each question gives you functions with `...` in them. Put your lines in place of the dots. Keep the functions' names, their arguments and what they return. Then run the cell below:
#
# - `✓` means that this value is right;
# - `✗` says what was expected, what you returned, and where to look;
# - `…` means that nothing is there yet;
# - `•` means that your answer is one of the choices. Right or wrong, that is for you to find.
#
# Your points come from other tests that you do not see. They call your functions with other numbers and other shapes.
#
# The patients' code is in `lab4_models.py`. Do not read it: it would spoil the puzzle.
#
# | Question | Minutes | Points |
# |---|---|---|
# | Read this page, run the first two cells | 5 | |
# | 1. Two instruments | 14 | 3 |
# | 2. Patients A and B: ask the loss | 12 | 4 |
# | 3. Repair A | 14 | 4 |
# | 4. Patient C: ask the model | 12 | 3 |
# | 5. Patient D: when the tools say nothing | 14 | 2 |
# | 6. Patient E: look at the samples | 9 | 2 |
# | 7. Fashion-MNIST, and a comparison that must not be made | 10 | 2 |
#
# **What you get of a patient.** `p = patient("A")` trains it in some seconds. Then
#
# | In the code | Shape | Meaning |
# |---|---|---|
# | `p.model` | | the trained `vh.VAE`, with $J = 6$ latent dimensions |
# | `p.train` | `[10000, 28, 28, 1]` | the images that its maker loaded for training, each pixel 0 or 1 |
# | `p.test` | `[2000, 28, 28, 1]` | images that were kept for the test |
# | `p.loss` | `(model, x)` → `[n]` | what was minimised, a number for each image of `x` |
#
# What you need of a model, for images `x` `[n, 28, 28, 1]`:
#
# | In the code | Shape | Meaning |
# |---|---|---|
# | `q = model.posterior(x)` | | $q(z \mid x)$ |
# | `q.mean()`, `q.stddev()` | `[n, J]` | $\mu$ and $\sigma$; `.numpy()` makes an array of them |
# | `q.sample(seed=model.next_seed())` | `[n, J]` | one $z$ for each image |
# | `model.likelihood(z).log_prob(x)` | `[n]` | $\log p(x \mid z)$, in nats |
# | `vh.elbo(model, x)` | a number | the bound, nats per image |

# %%
import vae_helpers as vh

import sys

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

sys.path.append("../course/labs")  # where Colab finds the patients
from lab4_models import SUSPECTS, black_and_white, patient, trained


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


def named(what, answer, choices):
    """Print whether an answer is on the list, right or wrong."""
    if answer is ...:
        print(f"… {what}: nothing yet, put your answer where the dots are")
    elif answer in list(choices):
        print(f"• {what}: {answer!r} is on the list")
    else:
        print(f"✗ {what}: expected one of {list(choices)}, got {answer!r}")


def show(model, x):
    """Row 1: ten images. Row 2: reconstructions. Rows 3, 4: samples."""
    rows = x[:10], model.reconstruct(x[:10]), model.sample(20, seed=1)
    vh.plot_images(np.concatenate(rows), columns=10)
    plt.show()


# %% [markdown]
# **The suspects.** Each patient has one of these faults. Answer by the name on the left.

# %%
for name, words in SUSPECTS.items():
    print(f"{name:24} {words}")

# %% [raw]
# # BEGIN QUESTION
# name: q1
# points: 3

# %% [markdown]
# ## Question 1. Two instruments (14 min, 3 points)
#
# A bound by itself says little. You need something to hold it against, and you need to see which latent dimensions do any work.
#
# - **`mean_image_bound`**: the bound of a model that ignores $z$ and knows the average training image alone. Its probability of white is, for each pixel, the mean of that pixel over the *training* images, kept between 0.001 and 0.999 (`np.clip`). Score the *test* images with it: $x \log p + (1 - x) \log(1 - p)$, summed over the pixels, then the mean over the images. A trained VAE that does not beat this number is broken.
# - **`kl_of_each`**: $\mathrm{KL}(q(z_j \mid x) \Vert p(z_j))$ for each dimension $j$, averaged over the images. A dimension with nearly nothing is not used.

# %% [raw]
# # BEGIN SOLUTION


# %%
def mean_image_bound(train, test):
    """The bound of a model that knows only the average training image.

    train, test: arrays [n, 28, 28, 1] and [m, 28, 28, 1] of 0 and 1.
    Returns a number, nats per test image (below zero).
    """
    # BEGIN SOLUTION
    p = np.clip(train.mean(axis=0), 0.001, 0.999)
    pixels = test * np.log(p) + (1 - test) * np.log(1 - p)
    return pixels.sum(axis=(1, 2, 3)).mean()
    # END SOLUTION


def kl_of_each(model, x):
    """The KL of each latent dimension, averaged over the images.

    model: a vh.VAE. x: array [n, 28, 28, 1].
    Returns an array [J], in nats.
    """
    # BEGIN SOLUTION
    q = model.posterior(x)
    mu, sigma = q.mean().numpy(), q.stddev().numpy()
    kl = 0.5 * (mu**2 + sigma**2 - 1) - np.log(sigma)
    return kl.mean(axis=0)
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
# Four training images: a pixel is white in one of them, so p = 1/4. The
# other 783 pixels are black in all, so p = 0.001.
tiny_train, tiny_test = np.zeros((2, 4, 28, 28, 1))
tiny_train[0, 5, 5] = 1
tiny_test[:, 5, 5] = 1
compare(
    "four test images with this pixel white: log(1/4) + 783 log(0.999)",
    mean_image_bound(tiny_train, tiny_test),
    np.log(0.25) + 783 * np.log(0.999),
    1e-6,
    "One number below zero: sum over pixels, mean over images. The mean "
    "image is that of the training images.",
)
fresh = vh.mlp_vae(latent_dim=6, hidden=(128,), seed=0)  # untrained
blank = np.zeros((3, 28, 28, 1), "float32")
compare(
    "where q is the prior, each of the six KLs is 0",
    kl_of_each(fresh, blank),
    np.zeros(6),
    1e-6,
    "A number for each j: mean over the images, axis 0, and no sum over "
    "j. At mu = 0 and sigma = 1 the KL is 0.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_mean_image_bound_elsewhere(mean_image_bound):
    import numpy as np

    random = np.random.default_rng(11)
    some, others = (
        (random.random((n, 28, 28, 1)) < chance).astype(float)
        for n, chance in ((30, 0.2), (7, 0.6))
    )
    white = np.clip(some.mean(axis=0), 0.001, 0.999)
    exact = (
        np.where(others == 1, np.log(white), np.log(1 - white)).sum() / 7
    )
    found = mean_image_bound(some, others)
    assert np.shape(found) == () and np.isclose(found, exact, rtol=1e-4), (
        f"expected {exact}, got {found}"
    )


# %%
# HIDDEN
def test_kl_of_each_elsewhere(kl_of_each):
    import numpy as np

    import vae_helpers as vh

    other = vh.mlp_vae(latent_dim=3, hidden=(16,), seed=5)
    pictures = (
        np.random.default_rng(12).random((40, 28, 28, 1)).astype("float32")
    )
    other.encoder.set_weights(
        [3 * weight for weight in other.encoder.get_weights()]
    )
    exact, found = (
        vh.kl_per_dimension(other, pictures),
        kl_of_each(other, pictures),
    )
    assert np.shape(found) == (3,), (
        f"kl_of_each: shape {np.shape(found)} for J = 3"
    )
    assert np.allclose(found, exact, rtol=1e-3), (
        f"expected {exact}, got {found}"
    )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **Patients A and B arrive.** The cell trains both, and shows of each ten test images (first row), their reconstructions (second row) and twenty samples from the prior.

# %%
patient_a, patient_b = patient("A"), patient("B")
x_test = patient_a.test
show(patient_a.model, x_test)
show(patient_b.model, x_test)

# %% [raw]
# # BEGIN QUESTION
# name: q2
# points: 4

# %% [markdown]
# ## Question 2. Patients A and B: ask the loss (12 min, 4 points)
#
# Both makers say that their loss fell nicely.
#
# 1. Compare `vh.elbo(…)` of each with the mean image, and look at its `kl_of_each`.
# 2. Ask the loss: `vh.explain_loss(loss, model, x)` says what a loss optimises. A hundred test images are enough.
#
# Then fill in, for A and for B: `beta`, the weight of the KL term that `explain_loss` finds (a number; 3 per cent off is fine), and the fault, a name from the list of suspects. For B also `used_b`: how many of its six dimensions are used (`vh.active_units`).

# %% [raw]
# # BEGIN SOLUTION

# %%
# Measure here: your own lines.
# BEGIN SOLUTION
instruments = []
for someone in (patient_a, patient_b):
    print(vh.elbo(someone.model, x_test))
    print(kl_of_each(someone.model, x_test).round(2))
    ask = vh.explain_loss(someone.loss, someone.model, x_test[:100])
    print(ask)
    instruments.append(ask.beta)
print(mean_image_bound(patient_a.train, x_test))
# END SOLUTION

# %%
beta_a = instruments[0]  # SOLUTION
fault_a = "kl_averaged"  # SOLUTION
beta_b = instruments[1]  # SOLUTION
fault_b = "pixels_averaged"  # SOLUTION
used_b = vh.active_units(patient_b.model, x_test)  # SOLUTION

# %% [raw]
# # END SOLUTION

# %%
named("fault_a", fault_a, SUSPECTS)
named("fault_b", fault_b, SUSPECTS)
for what, number in (("beta_a", beta_a), ("beta_b", beta_b)):
    print("…" if number is ... else "•", f"{what}: {number!r}")
named("used_b", used_b, range(7))

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_beta_of_a(beta_a):
    assert abs(6 * beta_a - 1) < 0.03, f"beta_a: got {beta_a}"


# %%
# HIDDEN
def test_fault_of_a(fault_a):
    assert fault_a == "kl_averaged", f"fault_a: got {fault_a!r}"


# %%
# HIDDEN
def test_beta_of_b(beta_b):
    assert abs(beta_b - 784) < 24, f"beta_b: got {beta_b}"


# %%
# HIDDEN
def test_fault_of_b(fault_b, used_b):
    assert (fault_b, used_b) == ("pixels_averaged", 0), (
        f"fault_b, used_b: got {fault_b!r}, {used_b!r}"
    )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q3
# points: 4

# %% [markdown]
# ## Question 3. Repair A (14 min, 4 points)
#
# Write A's loss as it should be.
#
# **`repaired_loss`** returns minus the bound of each image, in nats, from one draw of $z$: the reconstruction term by this draw, the KL from its formula (estimator B). TensorFlow has to differentiate it, so use `tf.` functions in place of `np.` ones: `tf.reduce_sum(…, axis=1)`, `tf.math.log`. The last table at the top has all else that you need.

# %% [raw]
# # BEGIN SOLUTION


# %%
def repaired_loss(model, x):
    """Minus the bound of each image, by estimator B with one draw.

    model: a vh.VAE. x: images [n, 28, 28, 1].
    Returns a tensor [n], in nats.
    """
    # BEGIN SOLUTION
    q = model.posterior(x)
    z = q.sample(seed=model.next_seed())
    mu, sigma = q.mean(), q.stddev()
    each = 0.5 * (mu**2 + sigma**2 - 1) - tf.math.log(sigma)
    return tf.reduce_sum(each, axis=1) - model.likelihood(z).log_prob(x)
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %%
yours = repaired_loss(patient_a.model, x_test)
compare(
    "for 2,000 images, shape and mean: minus the bound of vh.elbo",
    None if yours is None else [*np.shape(yours), np.mean(yours)],
    [2000, -vh.elbo(patient_a.model, x_test)],
    1.0,
    "A number for each image. If the mean is off by some nats or more: sum "
    "the KL over j, look at its 1/2 and its sign, and draw z.",
)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_repaired_loss_is_the_elbo(repaired_loss):
    import numpy as np

    import vae_helpers as vh

    other = vh.mlp_vae(latent_dim=4, hidden=(16,), seed=6)
    pictures = (
        np.random.default_rng(31).random((20, 28, 28, 1)) < 0.3
    ).astype("float32")
    assert np.shape(repaired_loss(other, pictures)) == (20,), (
        "repaired_loss: a number for each image"
    )
    answer = vh.explain_loss(repaired_loss, other, pictures)
    assert answer.recognised == "elbo", f"repaired_loss: {answer}"
    assert abs(answer.scale - 1) < 0.02, f"repaired_loss: {answer}"


# %%
# HIDDEN
def test_gradient_of_the_repaired_loss(repaired_loss):
    import keras
    import numpy as np
    import tensorflow as tf

    import vae_helpers as vh

    other = vh.mlp_vae(latent_dim=4, hidden=(16,), seed=7)
    pictures = (
        np.random.default_rng(32).random((20, 28, 28, 1)) < 0.3
    ).astype("float32")
    found = []
    for objective in (repaired_loss, lambda model, x: -vh.sgvb_b(model, x)):
        sums = 0
        for seed in range(20):
            with (
                tf.GradientTape() as tape,
                other.using(keras.random.SeedGenerator(seed)),
            ):
                total = tf.reduce_mean(objective(other, pictures))
            sums += tape.gradient(
                total, other.encoder.trainable_variables[-2]
            ).numpy()
        found.append(sums / 20)
    apart = np.linalg.norm(found[0] - found[1]) / np.linalg.norm(found[1])
    assert apart < 0.3, (
        f"the encoder's gradient is not that of the bound: {apart:.2f}"
    )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **A again, with your loss.** `trained(loss, images)` trains the same network in the same way. The table has what matters. Is the reconstruction of the repaired one better or worse? And its samples?

# %%
works = ready("3", repaired_loss(fresh, blank))
good_loss = repaired_loss if works else patient("healthy").loss
repaired = trained(good_loss, patient_a.train)
show(repaired, x_test)
rows = []
for who, model in (("A", patient_a.model), ("repaired", repaired)):
    bound, kl = vh.elbo(model, x_test), kl_of_each(model, x_test)
    if ready("1", kl):
        rows.append([who, bound, bound + kl.sum(), kl.sum()])
average = mean_image_bound(patient_a.train, x_test)
if ready("1", average):
    rows.append(["the mean image", average, average, 0.0])
vh.table(
    ["nats per image", "bound", "reconstruction", "KL"], rows, digits=1
)

# %% [markdown]
# From here on `repaired` is your healthy model. (As long as question 3 is empty, a loss of ours takes the place of yours.)
#
# **Patient C arrives.** Its loss is in order: `explain_loss` calls it the ELBO. So the check-up looks the model over.

# %%
patient_c = patient("C")
show(patient_c.model, x_test)
found_in_c = vh.checkup(patient_c.model, patient_c.train, patient_c.test)
print(found_in_c.faults)

# %% [raw]
# # BEGIN QUESTION
# name: q4
# points: 3

# %% [markdown]
# ## Question 4. Patient C: ask the model (12 min, 3 points)
#
# The check-up names a symptom, and you are asked for the cause. Two suspects sit on the encoder's two heads. Measure both heads.
#
# **`below`** returns two arrays: for each dimension $j$ the share of images with $\mu_j < 0$, and the share with $\sigma_j < 1$. Try it on `repaired`, then on C. Then name `fault_c`.

# %% [raw]
# # BEGIN SOLUTION


# %%
def below(model, x):
    """How the two heads of the encoder are spread.

    model: a vh.VAE. x: array [n, 28, 28, 1].
    Returns two arrays [J]: for each j the share of images whose mu_j is
    below 0, and the share whose sigma_j is below 1, from 0 to 1.
    """
    # BEGIN SOLUTION
    q = model.posterior(x)
    mu, sigma = q.mean().numpy(), q.stddev().numpy()
    return (mu < 0).mean(axis=0), (sigma < 1).mean(axis=0)
    # END SOLUTION


# %%
# Measure here: your own lines.
# BEGIN SOLUTION
for head in (*below(repaired, x_test), *below(patient_c.model, x_test)):
    print(head.round(2))
# END SOLUTION

# %%
fault_c = "relu_on_mean"  # SOLUTION

# %% [raw]
# # END SOLUTION

# %%
compare(
    "an untrained network and a black image: mu = 0 and sigma = 1",
    below(fresh, blank),
    np.zeros((2, 6)),
    1e-9,
    "Two arrays with a number for each j: below 0 and below 1, not equal. "
    "The mean of (mu < 0) over the images is a share.",
)
named("fault_c", fault_c, SUSPECTS)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_share_of_means_below_zero(below):
    import numpy as np

    import vae_helpers as vh

    other = vh.mlp_vae(latent_dim=3, hidden=(16,), seed=8)
    some = np.random.default_rng(41).random((50, 28, 28, 1)) < 0.02
    some = some.astype("float32")
    q, found = other.posterior(some), below(other, some)[0]
    exact = np.mean(q.mean().numpy() < 0, axis=0)
    assert 0 < exact.mean() < 1, "the test's own images tell nothing"
    assert np.shape(found) == (3,) and np.allclose(found, exact), (
        f"mu below 0: expected {exact}, got {found}"
    )
    at_the_edge = below(other, np.zeros((5, 28, 28, 1), "float32"))[0]
    assert not np.any(at_the_edge), "mu below 0: equal is not below"


# %%
# HIDDEN
def test_share_of_scales_below_one(below):
    import numpy as np

    import vae_helpers as vh

    other = vh.mlp_vae(latent_dim=3, hidden=(16,), seed=9)
    some = np.random.default_rng(42).random((50, 28, 28, 1)) < 0.02
    some = some.astype("float32")
    q, found = other.posterior(some), below(other, some)[1]
    exact = np.mean(q.stddev().numpy() < 1, axis=0)
    assert 0 < exact.mean() < 1, "the test's own images tell nothing"
    assert np.shape(found) == (3,) and np.allclose(found, exact), (
        f"sigma below 1: expected {exact}, got {found}"
    )
    at_the_edge = below(other, np.zeros((5, 28, 28, 1), "float32"))[1]
    assert not np.any(at_the_edge), "sigma below 1: equal is not below"


# %%
# HIDDEN
def test_fault_of_c(fault_c):
    assert fault_c == "relu_on_mean", f"fault_c: got {fault_c!r}"


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **Patient D arrives.** None of its dimensions is used, as in B. But `explain_loss` calls its loss the ELBO (try it).

# %%
patient_d = patient("D")
show(patient_d.model, x_test)
print(vh.active_units(patient_d.model, x_test), "dimensions used")

# %% [raw]
# # BEGIN QUESTION
# name: q5
# points: 2

# %% [markdown]
# ## Question 5. Patient D: when the tools say nothing (14 min, 2 points)
#
# A collapsed model tells nothing of its loss any more: its decoder ignores $z$, so every $z$ does as well. So try **D's loss on a model that works**: `repaired`. And try it in two ways. The loss of an image must not depend on which other images stand beside it in the minibatch.
#
# **`alone`** returns the loss of each image when it is the only one in its minibatch: `loss(model, x[i : i + 1])`. Compare its mean over 100 test images with the mean of `loss(model, x[:100])`. Both draw noise, so a nat or two means nothing. Then name `fault_d`.

# %% [raw]
# # BEGIN SOLUTION


# %%
def alone(loss, model, x):
    """The loss of each image, called with this image alone.

    loss: function of (model, images [m, 28, 28, 1]), returns [m].
    model: a vh.VAE. x: array [n, 28, 28, 1].
    Returns an array [n].
    """
    # BEGIN SOLUTION
    parts = [loss(model, x[i : i + 1]) for i in range(len(x))]
    return np.concatenate(parts)
    # END SOLUTION


# %%
# Measure here: your own lines.
# BEGIN SOLUTION
print(alone(patient_d.loss, repaired, x_test[:100]).mean())
print(np.mean(patient_d.loss(repaired, x_test[:100])))
# END SOLUTION

# %%
fault_d = "wrong_pairs"  # SOLUTION

# %% [raw]
# # END SOLUTION

# %%
# A made-up loss that needs no model: how many pixels of an image are white,
# and a hundred times the number of images in the minibatch.
compare(
    "a loss that counts its images, for three black ones",
    alone(
        lambda model, x: np.sum(x, axis=(1, 2, 3)) + 100.0 * len(x),
        None,
        blank,
    ),
    [100.0, 100.0, 100.0],
    1e-9,
    "Call the loss once for each image, with x[i : i + 1], which keeps the "
    "four axes. 300 means that it saw three images at once.",
)
named("fault_d", fault_d, SUSPECTS)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_alone_elsewhere(alone):
    import numpy as np

    pictures = np.random.default_rng(51).random((6, 28, 28, 1))
    found = alone(
        lambda model, x: model * x[:, 3, 4, 0] + len(x) ** 2, 2.5, pictures
    )
    assert np.shape(found) == (6,), (
        f"alone: shape {np.shape(found)} for 6 images"
    )
    assert np.allclose(found, 2.5 * pictures[:, 3, 4, 0] + 1), (
        "alone: another loss"
    )


# %%
# HIDDEN
def test_fault_of_d(fault_d):
    assert fault_d == "wrong_pairs", f"fault_d: got {fault_d!r}"


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **Patient E arrives.** Loss and check-up find nothing. Its bound is some nats below that of `repaired`, and all six dimensions are used. Look at its samples, the last two rows, and at its reconstructions.

# %%
patient_e = patient("E")
show(patient_e.model, x_test)

# %% [raw]
# # BEGIN QUESTION
# name: q6
# points: 2

# %% [markdown]
# ## Question 6. Patient E: look at the samples (9 min, 2 points)
#
# Some strokes are not as people write them. Say what you suspect, then prove it with a number. A model is at home with what it was trained on. So change the test images as you suspect that the training images were changed: a healthy model minds, E does not.
#
# **`change_gap`** returns the bound of the images less the bound of the changed images. `change` is a function that takes images and returns changed ones. Try two on `repaired` and on E: `lambda x: x[:, :, ::-1]` reverses the columns, `lambda x: 1 - x` swaps black and white. Then name `fault_e`.

# %% [raw]
# # BEGIN SOLUTION


# %%
def change_gap(model, x, change):
    """Bound of images less bound of the changed images.

    model: a vh.VAE. x: array [n, 28, 28, 1].
    change: function of images [n, 28, 28, 1], returns the same shape.
    Returns a number, nats per image.
    """
    # BEGIN SOLUTION
    return vh.elbo(model, x) - vh.elbo(model, change(x))
    # END SOLUTION


# %%
# Measure here: your own lines.
# BEGIN SOLUTION
for someone in (repaired, patient_e.model):
    print(change_gap(someone, x_test, lambda x: x[:, :, ::-1]))
    print(change_gap(someone, x_test, lambda x: 1 - x))
# END SOLUTION

# %%
fault_e = "half_mirrored"  # SOLUTION

# %% [raw]
# # END SOLUTION

# %%
compare(
    "images that are not changed",
    change_gap(fresh, blank, lambda x: x),
    0.0,
    1e-3,
    "One number: vh.elbo of the images less vh.elbo of change(x).",
)
named("fault_e", fault_e, SUSPECTS)

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_change_gap_elsewhere(change_gap):
    import numpy as np

    import vae_helpers as vh

    other = vh.mlp_vae(latent_dim=3, hidden=(16,), seed=10)
    columns = np.tile(np.linspace(-4, 4, 28), (28, 1))
    last = other.decoder.layers[-2]  # dense, before the reshaping
    last.set_weights([last.get_weights()[0], columns.ravel()])
    pictures = np.zeros((20, 28, 28, 1), "float32")
    pictures[:, 3:9, 20:26] = 1
    for way in (lambda x: np.flip(x, axis=2), lambda x: 0 * x):
        exact = vh.elbo(other, pictures) - vh.elbo(other, way(pictures))
        found = change_gap(other, pictures, way)
        assert abs(exact) > 20, "the test's own images tell nothing"
        assert np.isclose(found, exact, rtol=0.05), (
            f"change_gap: expected {exact}, got {found}"
        )


# %%
# HIDDEN
def test_fault_of_e(fault_e):
    assert fault_e == "half_mirrored", f"fault_e: got {fault_e!r}"


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# **A second set of images.** Fashion-MNIST has articles of clothing in the same shape. Here the same network learns them with your loss.

# %%
clothes_train, clothes_test = black_and_white(vh.load_fashion_mnist())
clothed = trained(good_loss, clothes_train)
show(clothed, clothes_test)

# %% [raw]
# # BEGIN QUESTION
# name: q7
# points: 2

# %% [markdown]
# ## Question 7. Fashion-MNIST, and a comparison that must not be made (10 min, 2 points)
#
# **`gain`** returns by how many nats a model's bound beats the mean image of its own set. Run the cell below your function: it prints bound and gain for both sets.
#
# A colleague reads the two bounds and says: "On the digits the model is better." Answer with two letters. `why_not`: why do the two bounds not say so?
#
# - `"a"` The two sets have different numbers of training images.
# - `"b"` No model can have a better mean bound than minus the entropy of the images, and the two sets have different entropies. So the same bound may be near the best for one set and far from it for the other.
# - `"c"` A bound lies below $\log p(x)$, so it says nothing about a model at all.
# - `"d"` The KL term has another unit for clothes.
#
# `what_then`: which of these comparisons is sound?
#
# - `"a"` Two models on the same test images, binarised in the same way.
# - `"b"` One model on digits as grey levels and on digits in black and white.
# - `"c"` The gain on digits with the gain on clothes: the larger gain is the better model.
# - `"d"` The training bound of one model with the test bound of another.

# %% [raw]
# # BEGIN SOLUTION


# %%
def gain(model, train, test):
    """By how much a model's bound beats the mean image.

    model: a vh.VAE. train, test: arrays [n, 28, 28, 1] of 0 and 1.
    Returns a number, nats per test image; above 0: the model is better.
    """
    # BEGIN SOLUTION
    return vh.elbo(model, test) - mean_image_bound(train, test)
    # END SOLUTION


# %%
why_not = "b"  # SOLUTION
what_then = "a"  # SOLUTION

# %% [raw]
# # END SOLUTION

# %%
for name, model, train, test in (
    ("digits", repaired, patient_a.train, x_test),
    ("clothes", clothed, clothes_train, clothes_test),
):
    bound, more = vh.elbo(model, test), gain(model, train, test)
    print(
        f"{name}: bound {bound:.1f}, gain", more and round(float(more), 1)
    )
named("why_not", why_not, ["a", "b", "c", "d"])
named("what_then", what_then, ["a", "b", "c", "d"])

# %% [raw]
# # BEGIN TESTS


# %%
# HIDDEN
def test_gain_elsewhere(gain):
    import numpy as np

    import vae_helpers as vh

    other = vh.mlp_vae(latent_dim=3, hidden=(16,), seed=13)
    random = np.random.default_rng(71)
    some, others = (
        (random.random((n, 28, 28, 1)) < 0.2).astype("float32")
        for n in (40, 30)
    )
    white = np.clip(some.mean(axis=0), 0.001, 0.999)
    average = (
        np.where(others == 1, np.log(white), np.log(1 - white)).sum() / 30
    )
    exact, found = (
        vh.elbo(other, others) - average,
        gain(other, some, others),
    )
    assert np.isclose(found, exact, atol=1.0), (
        f"gain: expected {exact}, got {found}"
    )


# %%
# HIDDEN
def test_what_bounds_say(why_not, what_then):
    assert (why_not, what_then) == ("b", "a"), (
        f"why_not, what_then: got {why_not!r}, {what_then!r}"
    )


# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## What you have seen
#
# - A loss that falls proves nothing. The mean image is a yardstick that costs one line.
# - One symptom, two causes: B and D both collapsed, and only a measurement tells why.
# - A loss that looks right can be tried on a model that works, and with one image at a time.
# - The tools find what they look for. Samples are for your eyes.
# - Bounds compare models on one set of images, never two sets of images.

# %% [markdown]
# ## Hand in
#
# 1. Choose *Restart kernel and run all cells* (Colab: *Runtime → Restart session and run all*). What you see then is what is graded.
# 2. Save the notebook. In Colab, download it: *File → Download → Download .ipynb*.
# 3. Hand in this one file.
