"""The measurements behind "Your own data": scores of odd images, missing pixels, and what is stored of them."""

import json
import math
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import vae_helpers as vh

sys.path.append(str(Path(__file__).parents[1] / "experiments"))  # a folder of scripts, not a package
import own_data
import own_missing
import own_odd

pytestmark = pytest.mark.usefixtures("without_xla")
PARTS = ("odd", "missing", "guide")
STORED = [path for part in PARTS for path in sorted(own_data.RESULTS.glob(f"own-{part}-seed*.json"))]


def numbers(found):
    """All numbers of a result, however deep."""
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list):
        return [number for entry in found for number in numbers(entry)]
    return [found] if isinstance(found, (int, float)) else []


# --- what is stored ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stored_result_is_whole_and_says_where_it_comes_from(path):
    result = json.loads(path.read_text("utf-8"))
    assert path.stem == f"own-{result['part']}-seed{result['seed']}"
    assert result["epochs"] == own_data.DIGITS.epochs
    assert set(result["provenance"]) >= {"commit", "date", "python", "tensorflow", "keras", "machine"}
    assert np.isfinite(numbers(result)).all()


def test_the_parts_are_stored_for_every_seed():
    for part in PARTS:
        assert [result["seed"] for result in vh.stored(f"own-{part}")] == list(own_data.SEEDS)


# --- odd images ----------------------------------------------------------------------------------------------------


def test_area_under_the_curve_is_the_chance_that_the_odd_one_scores_higher():
    random = np.random.default_rng(0)
    ordinary, odd = random.integers(0, 9, 50), random.integers(3, 12, 40)  # many ties
    pairs = np.mean((odd[:, None] > ordinary) + 0.5 * (odd[:, None] == ordinary))
    assert own_odd.area_under_curve(ordinary, odd) == pytest.approx(pairs)


def test_the_threshold_is_set_on_one_half_and_judged_on_the_other():
    first, second = np.arange(100.0), np.arange(100.0) + 3  # three of the second lie above all of the first
    judged = own_odd.judge(np.concatenate([first, second]), np.array([94.0, 94.1, 95.0, 0.0]))
    assert judged["false_alarms"] == pytest.approx(0.08)
    assert judged["caught"] == pytest.approx(0.5)  # the threshold is 94.05


@pytest.mark.slow
def test_scores_are_higher_the_odder(small_vae, grey_images):
    """A model that has learnt a bar, and noise."""
    train = vh.binarize(grey_images, "fixed")
    model = small_vae(latent_dim=2)
    model.compile(keras.optimizers.Adam(1e-2), objective=vh.sgvb_b)
    model.fit(vh.batches(train, 8), epochs=30, verbose=0)
    noise = np.float32(np.random.default_rng(1).random(train.shape) < 0.5)
    scores = own_odd.oddness(model, None, np.concatenate([train, noise]), train)
    for name in set(scores) - {"KL", "complexity-corrected", "PNG alone", "distance of the code", "log p(x) − ELBO"}:
        assert own_odd.area_under_curve(scores[name][:32], scores[name][32:]) > 0.9, name
    np.testing.assert_allclose(scores["ELBO"], scores["reconstruction"] + scores["KL"], rtol=1e-5)
    np.testing.assert_allclose(scores["complexity-corrected"], scores["log p(x)"] - scores["PNG alone"], rtol=1e-5)
    assert (scores["nearest training image"][:32] == 0).all()


def test_noise_takes_a_longer_png_than_a_line():
    x = np.zeros([3, 28, 28, 1], np.float32)
    x[1, :, 14] = 1
    x[2] = np.random.default_rng(0).random([28, 28, 1]) < 0.5
    blank, line, noise = own_odd.png_nats(x)
    assert blank < line < noise - 100 and 28 * 28 * math.log(2) < noise < 1500


def test_a_background_model_sees_a_fifth_of_the_pixels_as_coins(monkeypatch, small_vae):
    seen = []
    monkeypatch.setattr(vh, "sgvb_b", lambda model, x, samples: seen.append(x))
    own_odd.background_bound(small_vae(), tf.ones([200, 8, 8, 1]))
    assert np.mean(seen[0] == 0) == pytest.approx(own_odd.REPLACED / 2, abs=0.01)


def test_a_blot_is_one_square_within_the_image():
    blot = own_odd.blotted(np.zeros([50, 28, 28, 1], np.float32))
    rows, columns = (blot.any(axis=axis).sum(axis=1)[:, 0] for axis in (2, 1))
    assert (rows == own_odd.BLOT).all() and (columns == own_odd.BLOT).all()
    assert (blot.sum(axis=(1, 2, 3)) == own_odd.BLOT**2).all()


# --- missing pixels ------------------------------------------------------------------------------------------------


@pytest.fixture
def hidden(small_vae):
    """A model whose pixels depend on z, binary images, what of them is observed, and the exact answers by a grid."""
    model = small_vae(latent_dim=2)
    *others, kernel, bias = model.decoder.get_weights()
    model.decoder.set_weights([*others, 4 * kernel, bias])
    kernel, bias = model.encoder.layers[-1].get_weights()
    model.encoder.layers[-1].set_weights([kernel, np.float32([0.5, -0.3, 0.3, 0.1])])  # a q unlike the true posterior
    z = np.random.default_rng(0).normal(size=[6, 2]).astype(np.float32)
    x = model.likelihood(z).sample(seed=[0, 1]).numpy()
    observed = np.float32(np.random.default_rng(1).random(x.shape) < 0.2)
    side = np.linspace(-5, 5, 201, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 1, 2)
    p = model.likelihood(grid).distribution
    log_p = tf.reduce_sum(p.log_prob(x) * observed, [-3, -2, -1]) + model.prior.log_prob(grid)  # [grid, n]
    mean = tf.einsum("sn,shwc->nhwc", tf.nn.softmax(log_p, axis=0), p.mean()[:, 0])
    exact = {"mean": mean.numpy(), "log_p": tf.reduce_logsumexp(log_p, axis=0).numpy() + 2 * math.log(0.05)}
    return model, x, observed, exact


def test_importance_sampling_finds_the_conditional_mean_and_log_p_of_what_is_seen(hidden):
    model, x, observed, exact = hidden
    assert np.abs(exact["mean"] - 0.5).max() > 0.25  # there is something to find
    mean, log_p, counted = own_missing.importance_sampling(
        model, x, observed, *own_missing.codes(model, 0 * x[None]), 20_000
    )
    assert np.min(counted) > 5000 and np.min(counted) < 15_000
    np.testing.assert_allclose(mean, exact["mean"], atol=0.01)
    np.testing.assert_allclose(log_p, exact["log_p"], atol=0.04)


@pytest.mark.slow
def test_own_gaussians_make_the_samples_count_and_a_mixture_of_them_is_as_right(hidden):
    model, x, observed, exact = hidden
    encoded = own_missing.codes(model, 0 * x[None])
    fitted = own_missing.own_gaussians(model, x, observed, *(part[0] for part in encoded), steps=200)
    counted = [
        np.min(own_missing.importance_sampling(model, x, observed, *q, 5000)[2])
        for q in (encoded, [part[None] for part in fitted])
    ]
    assert counted[1] > 1.1 * counted[0]
    mixture = [np.concatenate([one, other[None]]) for one, other in zip(encoded, fitted, strict=True)]
    mean, log_p, _ = own_missing.importance_sampling(model, x, observed, *mixture, 20_000)
    np.testing.assert_allclose(mean, exact["mean"], atol=0.01)
    np.testing.assert_allclose(log_p, exact["log_p"], atol=0.04)


def test_metropolis_within_gibbs_finds_the_conditional_mean_and_pseudo_gibbs_does_not(hidden):
    model, x, observed, exact = hidden
    copies = 200  # chains an image
    many = [np.repeat(array, copies, axis=0) for array in (x, observed, 0 * x)]

    def error(mean):
        return np.abs(mean.numpy().reshape(len(x), copies, 8, 8, 1).mean(axis=1) - exact["mean"]).max()

    mean, accepted = own_missing.metropolis_within_gibbs(model, *many, rounds=250)
    assert 0.1 < accepted < 0.5
    assert error(mean) < 0.04
    assert error(own_missing.pseudo_gibbs(model, *many, rounds=250)) > 0.15


def test_what_is_not_seen_enters_no_method(hidden):
    model, x, observed, _ = hidden
    library = np.float32(np.random.default_rng(2).random([30, 8, 8, 1]) < 0.5)
    start, codes = 0 * x, own_missing.codes(model, 0 * x[None])

    def fill(x):
        with model.using(keras.random.SeedGenerator(0)):
            yield own_missing.pseudo_gibbs(model, x, observed, start, rounds=60)
            yield own_missing.metropolis_within_gibbs(model, x, observed, start, rounds=60)[0]
            fitted = own_missing.own_gaussians(model, x, observed, *(part[0] for part in codes), steps=3)
            yield from fitted
            yield from own_missing.importance_sampling(model, x, observed, *codes, samples=10)
            yield own_missing.nearest_images(x, observed, library, k=3)

    for one, other in zip([*fill(x)], [*fill(np.where(observed, x, 1 - x))], strict=True):
        np.testing.assert_array_equal(one, other)


def test_nearest_images_agree_best_with_what_is_observed():
    random = np.random.default_rng(0)
    library = np.float32(random.random([40, 8, 8, 1]) < 0.5)
    observed = np.float32(random.random([1, 8, 8, 1]) < 0.5)
    x = library[[7]]
    assert (own_missing.nearest_images(x, observed, library, k=1)[0] == x).all()
    wrong = (observed * np.abs(library - x)).sum(axis=(1, 2, 3))
    farthest = np.sort(wrong)[:3].sum()
    found = own_missing.nearest_images(x, observed, library, k=3)
    assert (observed * np.abs(found - x)).sum() == farthest


def test_the_bound_counts_what_is_observed_alone(small_vae, posterior_off_the_prior):
    model = posterior_off_the_prior(small_vae(latent_dim=3, image_shape=(8, 8, 2)))
    x = np.float32(np.random.default_rng(0).random([5, 8, 8, 1]) < 0.5)
    observed = np.float32(np.random.default_rng(1).random(x.shape) < 0.5)
    both = np.concatenate([x * observed, observed], axis=-1)
    with model.using(keras.random.SeedGenerator(0)) as terms:
        bound = own_missing.observed_bound(model, both, 3)
    with model.using(keras.random.SeedGenerator(0)):
        z = model.posterior(both).sample(3, seed=model.next_seed())
    log_p = tfd.Bernoulli(logits=model.decoder(tf.reshape(z, [-1, 3]))[..., :1]).log_prob(np.tile(x, [3, 1, 1, 1]))
    by_hand = tf.reshape(tf.reduce_sum(log_p * np.tile(observed, [3, 1, 1, 1]), [1, 2, 3]), [3, 5])
    np.testing.assert_allclose(terms["reconstruction"], tf.reduce_mean(by_hand, 0), rtol=1e-4)
    np.testing.assert_allclose(bound, terms["reconstruction"] - terms["kl"], rtol=1e-5)
    np.testing.assert_allclose(tf.reduce_mean(terms["kl"]), vh.kl_per_dimension(model, both).sum(), rtol=1e-4)


def test_holes_stay_where_they_are(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, [300, 28, 28, 1], dtype=np.uint8)
    labels = np.zeros(300, np.uint8)
    monkeypatch.setattr(vh, "load_mnist", lambda: vh.ImageData("few", images, labels, images, labels))
    observed = own_missing.holes(0)
    assert (observed == own_missing.holes(0)).all() and (observed != own_missing.holes(1)).any()
    assert observed.mean() == pytest.approx(0.5, abs=0.01)
    both = own_missing.with_mask(0)
    assert (both[..., :1] == np.where(observed, images, 0)).all() and (both[..., 1:] == 255 * observed).all()
    assert (own_missing.fill_zeros(0) == both[..., :1]).all()
    filled = own_missing.fill_mean(0)
    assert (filled[observed] == images[observed]).all()
    seen = observed[:, 14, 14]
    assert filled[:, 14, 14][~seen] == pytest.approx(images[:, 14, 14][seen].mean(), abs=0.5)


# --- grey levels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gaussian", "continuous_bernoulli"])
def test_the_probabilities_of_256_levels_add_up_to_one_and_are_integrals(name):
    def pixels(dtype):
        if name == "gaussian":
            mean, scale = np.array([[-0.2, 0.0, 0.39, 0.4, 1.3], [0.1, 0.02, 0.004, 0.3, 0.2]], dtype)
            return tfd.Normal(mean, scale)
        return tfd.ContinuousBernoulli(logits=np.array([-30, -3, -1e-5, 0.4, 30], dtype))

    levels = np.arange(256)[:, None]
    x = np.broadcast_to(np.float32(levels / 255), [256, 5])
    found = np.exp(own_data.log_probability_of_level(pixels(np.float32), x))
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=2e-4)
    edges = np.clip((np.arange(257)[:, None] - 0.5) / 255, 0, 1)
    cdf = pixels(np.float64).cdf(edges).numpy()
    cdf[0], cdf[-1] = 0, 1  # the first and last bin have the rest
    np.testing.assert_allclose(found, np.diff(cdf, axis=0), rtol=3e-3, atol=1e-6)
