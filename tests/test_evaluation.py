"""Evaluation against closed forms: the linear-Gaussian model, where everything is known."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
from scipy.special import logsumexp

import vae_helpers as vh


def binary_mixture_vae():
    """A Bernoulli VAE with J = 1 whose log p(x) is a one-dimensional integral."""
    layers, random = keras.layers, np.random.default_rng(1)
    encoder = keras.Sequential([layers.Input((2, 3, 1)), layers.Flatten(), layers.Dense(2)])
    # A posterior wider than the true one: importance weights stay bounded, and their errors behave.
    encoder.layers[-1].set_weights([random.normal(0, 0.1, (6, 2)), np.array([0.1, 0.3])])
    decoder = keras.Sequential([layers.Input((1,)), layers.Dense(6), layers.Reshape((2, 3, 1))])
    decoder.layers[0].set_weights([random.normal(0, 1.5, (1, 6)), random.normal(0, 1, 6)])
    return vh.VAE(encoder, decoder, seed=0)


def log_evidence_by_quadrature(model, x):
    """Gauss–Hermite: log Σ_k w_k p(x | z_k) with the nodes of the standard normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    logits = model.decoder(nodes[:, None].astype(np.float32)).numpy().astype(float)[:, None]
    log_likelihood = (x * logits - np.logaddexp(0, logits)).sum((-3, -2, -1))
    return scipy.special.logsumexp(log_likelihood + np.log(weights / weights.sum())[:, None], axis=0)


@pytest.fixture
def binary_images():
    return np.random.default_rng(0).integers(0, 2, (24, 2, 3, 1)).astype(np.float32)


def test_log_likelihood_equals_quadrature(binary_images):
    model, samples = binary_mixture_vae(), 1003  # the last round is smaller than the others
    exact = log_evidence_by_quadrature(model, binary_images)
    copies = np.tile(binary_images, (12, 1, 1, 1))  # each copy has noise of its own
    repeats = vh.log_likelihood(model, copies, samples, seed=1).reshape(12, -1)
    error = repeats.std(0, ddof=1) / np.sqrt(len(repeats))
    assert np.all(np.abs(repeats.mean(0) - exact) < 5 * error + 1e-4)
    assert repeats.shape == (12, 24) and 0 < error.max() < 0.02


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli"])
def test_log_likelihood_on_a_grid_is_the_integral(small_vae, grey_images, likelihood):
    """Against Gauss-Hermite quadrature: its nodes lie elsewhere, and it integrates smooth functions exactly."""
    model, x = small_vae(likelihood=likelihood), grey_images[:5]
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    z = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 1, 2).astype(np.float32)
    terms = model.likelihood(z).log_prob(x).numpy() + np.log(np.outer(weights, weights) / (2 * np.pi)).reshape(-1, 1)
    np.testing.assert_allclose(vh.log_likelihood_on_grid(model, x), logsumexp(terms, axis=0), atol=2e-3)


def test_grid_is_for_planes_and_linear_likelihoods(small_vae, grey_images):
    with pytest.raises(ValueError, match="J = 3"):
        vh.log_likelihood_on_grid(small_vae(latent_dim=3), grey_images)
    with pytest.raises(ValueError, match="gaussian"):
        vh.log_likelihood_on_grid(small_vae(likelihood="gaussian"), grey_images)


def test_log_likelihood_rises_from_the_elbo_with_more_samples(binary_images, without_xla):
    model = binary_mixture_vae()
    exact = log_evidence_by_quadrature(model, binary_images).mean()
    copies = np.tile(binary_images, (20, 1, 1, 1))
    few, more, many = (vh.log_likelihood(model, copies, k).mean() for k in (1, 5, 500))
    elbo = vh.elbo(model, copies, samples=20)
    assert few < more < many < exact + 0.01
    assert abs(few - elbo) < 0.1  # one sample is estimator A


def test_log_likelihood_does_not_depend_on_the_chunks(binary_images, without_xla):
    """600 images span three chunks; the first of them meets the same noise as it does alone."""
    model = binary_mixture_vae()
    many = np.tile(binary_images, (25, 1, 1, 1))
    together = vh.log_likelihood(model, many, 200)
    exact = log_evidence_by_quadrature(model, many)
    assert together.shape == (600,) and np.abs(together - exact).max() < 0.3
    np.testing.assert_array_equal(together[:250], vh.log_likelihood(model, many[:250], 200))


def test_elbo_is_the_weighted_mean_of_the_objective(small_vae, grey_images):
    model = small_vae()
    x = np.tile(grey_images, (70, 1, 1, 1))  # 2240 images: a full chunk and a smaller one
    with model.using(keras.random.SeedGenerator(5)):
        values = np.concatenate([vh.sgvb_a(model, x[:2000]), vh.sgvb_a(model, x[2000:])])
    assert np.isclose(vh.elbo(model, x, objective=vh.sgvb_a, seed=5), values.mean(), rtol=1e-6)
    assert vh.elbo(model, x, seed=1) == vh.elbo(model, x, seed=1) != vh.elbo(model, x, seed=2)


def test_evaluation_leaves_the_noise_of_training_alone(small_vae, grey_images, without_xla):
    model = small_vae()
    before = model.seed_generator.state.numpy()
    vh.elbo(model, grey_images)
    vh.log_likelihood(model, grey_images, 20)
    np.testing.assert_array_equal(before, model.seed_generator.state)


def test_kl_per_dimension_sums_to_the_kl_of_the_elbo(small_vae, posterior_off_the_prior, grey_images):
    model = posterior_off_the_prior(small_vae(latent_dim=3))
    q = model.posterior(grey_images)
    mu, sigma = q.mean().numpy(), q.stddev().numpy()
    expected = 0.5 * (mu**2 + sigma**2 - 1 - 2 * np.log(sigma)).mean(0)
    np.testing.assert_allclose(vh.kl_per_dimension(model, grey_images), expected, rtol=1e-5)
    with model.using() as terms:
        vh.sgvb_b(model, grey_images)
    assert np.isclose(vh.kl_per_dimension(model, grey_images).sum(), terms["kl"].numpy().mean(), rtol=1e-5)


def test_active_units_counts_dimensions_that_follow_the_image(small_vae, grey_images):
    model = small_vae(latent_dim=4)
    kernel, bias = model.encoder.layers[-1].get_weights()
    kernel[:, [1, 3]] = 0.0  # μ of these two is the same for every image
    bias[[1, 3]] = 5.0
    model.encoder.layers[-1].set_weights([10 * kernel, bias])
    assert vh.active_units(model, grey_images) == 2
    assert vh.active_units(model, grey_images, threshold=1e9) == 0
    assert vh.active_units(model, grey_images, threshold=-1.0) == 4


@pytest.mark.parametrize(
    "measure", [vh.elbo, vh.log_likelihood, vh.log_likelihood_on_grid, vh.kl_per_dimension, vh.active_units]
)
def test_images_that_are_not_the_models_are_refused(small_vae, grey_images, measure):
    """Grey levels would enter a sum of log-likelihoods without an error, and so would pixels in another order."""
    for wrong in (np.uint8(255 * grey_images), grey_images.reshape(-1, 4, 16, 1), grey_images.astype(float)):
        with pytest.raises((ValueError, TypeError), match="float32"):
            measure(small_vae(), wrong)


def test_bad_numbers(small_vae, grey_images):
    for measure in (vh.log_likelihood, vh.elbo):
        with pytest.raises(ValueError, match="at least 1, got 0"):
            measure(small_vae(), grey_images, samples=0)
