"""The objectives as mathematics: what must be equal is equal, what must be ordered is ordered."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import vae_helpers as vh

tfd = tfp.distributions
OBJECTIVES = [
    vh.sgvb_a, vh.sgvb_b, vh.sticking_the_landing, vh.score_function, vh.iwae, vh.iwae_doubly_reparameterized,
]  # fmt: skip


def seeded(seed=0):
    return keras.random.SeedGenerator(seed)


def run(objective, model, x, samples=1, seed=0):
    with model.using(seeded(seed)):
        return objective(model, x, samples)


def gradients(objective, model, x, variables, samples=1, seed=0):
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(run(objective, model, x, samples, seed))
    return [
        tf.convert_to_tensor(g).numpy()
        for g in tape.gradient(value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    ]


@pytest.fixture
def model(small_vae, posterior_off_the_prior):
    return posterior_off_the_prior(small_vae())


@pytest.mark.parametrize("scale", ["log_variance", "softplus"])
def test_closed_form_kl_equals_monte_carlo_within_its_error(small_vae, posterior_off_the_prior, grey_images, scale):
    model = posterior_off_the_prior(small_vae(latent_dim=3, scale=scale))
    q = model.posterior(grey_images)
    mu, sigma = q.mean().numpy(), q.stddev().numpy()
    closed = 0.5 * np.sum(mu**2 + sigma**2 - 1 - 2 * np.log(sigma), axis=-1)
    np.testing.assert_allclose(tfd.kl_divergence(q, model.prior), closed, rtol=1e-5)
    assert closed.min() > 0.5  # a posterior equal to the prior would prove nothing

    z = q.sample(20_000, seed=[1, 2]).numpy()
    log_ratio = (scipy.stats.norm.logpdf(z, mu, sigma) - scipy.stats.norm.logpdf(z)).sum(-1)
    error = log_ratio.std(0) / np.sqrt(len(z))
    assert np.all(np.abs(log_ratio.mean(0) - closed) < 4.5 * error)


def test_a_and_b_by_hand(model, grey_images):
    """Both estimators against SciPy, from the same z."""
    q = model.posterior(grey_images)
    mu, sigma = q.mean().numpy(), q.stddev().numpy()
    z = q.sample(5, seed=tf.cast(seeded().next(), tf.int32)).numpy()
    logits = np.stack([model.decoder(one_draw).numpy() for one_draw in z]).astype(float)
    # log p(x | z) by another route than x · logit − softplus(logit)
    p = scipy.special.expit(logits)
    x = grey_images.astype(float)
    log_likelihood = (scipy.special.xlogy(x, p) + scipy.special.xlogy(1 - x, 1 - p)).sum((-3, -2, -1))
    log_q, log_prior = scipy.stats.norm.logpdf(z, mu, sigma).sum(-1), scipy.stats.norm.logpdf(z).sum(-1)
    kl = 0.5 * (mu**2 + sigma**2 - 1 - 2 * np.log(sigma)).sum(-1)
    log_weights = log_likelihood + log_prior - log_q

    expected = {
        vh.sgvb_a: log_weights.mean(0),
        vh.sticking_the_landing: log_weights.mean(0),
        vh.sgvb_b: log_likelihood.mean(0) - kl,
        vh.iwae: scipy.special.logsumexp(log_weights, axis=0) - np.log(5),
    }
    for objective, value in expected.items():
        np.testing.assert_allclose(run(objective, model, grey_images, 5), value, rtol=2e-5, err_msg=objective.__name__)


def test_a_and_b_are_equal_in_expectation(model, grey_images):
    difference = run(vh.sgvb_a, model, grey_images, 4000) - run(vh.sgvb_b, model, grey_images, 4000)
    # Per dimension L_A − L_B has variance μ²σ² + ½(1 − σ²)², from the same ε.
    q = model.posterior(grey_images)
    mu2, sigma2 = q.mean().numpy() ** 2, q.variance().numpy()
    error = np.sqrt((mu2 * sigma2 + 0.5 * (1 - sigma2) ** 2).sum(-1) / 4000)
    z_scores = difference.numpy() / error
    assert np.abs(z_scores).max() < 4.5
    assert np.std(z_scores) > 0.5  # the stated variance is the true one, not a bound that anything would meet


def test_a_minus_b_per_noise(small_vae, posterior_off_the_prior, grey_images):
    """L_A − L_B = −μσε + ½(1 − σ²)(ε² − 1), summed over dimensions, for the very same ε."""
    model = posterior_off_the_prior(small_vae(latent_dim=3))
    q = model.posterior(grey_images)
    mu, sigma = q.mean().numpy(), q.stddev().numpy()
    epsilon = (q.sample(1, seed=tf.cast(seeded().next(), tf.int32))[0].numpy() - mu) / sigma
    expected = (-mu * sigma * epsilon + 0.5 * (1 - sigma**2) * (epsilon**2 - 1)).sum(-1)
    difference = run(vh.sgvb_a, model, grey_images) - run(vh.sgvb_b, model, grey_images)
    np.testing.assert_allclose(difference, expected, atol=2e-4)
    assert np.abs(expected).max() > 0.5


@pytest.mark.parametrize("objective", [vh.sgvb_a, vh.sticking_the_landing, vh.score_function])
def test_decoder_gradients_agree_with_b_for_the_same_noise(model, grey_images, objective):
    decoder = model.decoder.trainable_variables
    ours, reference = (gradients(o, model, grey_images, decoder, 3) for o in (objective, vh.sgvb_b))
    for a, b in zip(ours, reference, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert max(np.abs(b).max() for b in reference) > 1e-3


@pytest.mark.slow
def test_sticking_the_landing_drops_a_term_of_mean_zero(model, grey_images):
    """Its value is A's; its encoder gradient differs for one ε and agrees on average."""
    x = grey_images[:4]
    np.testing.assert_array_equal(run(vh.sticking_the_landing, model, x), run(vh.sgvb_a, model, x))
    encoder = model.encoder.trainable_variables[-1:]  # the bias of the heads
    one = [gradients(o, model, x, encoder)[0] for o in (vh.sgvb_a, vh.sticking_the_landing)]
    assert np.abs(one[0] - one[1]).max() > 1e-2

    differences = np.stack(
        [
            gradients(vh.sgvb_a, model, x, encoder, 500, seed)[0]
            - gradients(vh.sticking_the_landing, model, x, encoder, 500, seed)[0]
            for seed in range(24)
        ]
    )
    error = differences.std(0, ddof=1) / np.sqrt(len(differences))
    assert np.all(np.abs(differences.mean(0)) < 4.5 * error)


def mean_gradient_difference(model, x, variables, one, other, samples, repeats, spread):
    """Mean difference of two objectives' gradients for the same noise, in standard errors; and its largest entry."""
    many = np.tile(x, (spread, 1, 1, 1))  # the mean over copies of an image is a mean over draws
    differences = np.stack(
        [
            np.concatenate(
                [
                    np.ravel(a - b)
                    for a, b in zip(
                        gradients(one, model, many, variables, samples, seed),
                        gradients(other, model, many, variables, samples, seed),
                        strict=True,
                    )
                ]
            )
            for seed in range(repeats)
        ]
    )
    return differences.mean(0) / (differences.std(0, ddof=1) / np.sqrt(repeats)), np.abs(differences).max()


@pytest.mark.slow
def test_score_function_is_right_on_average_and_loud(model, grey_images):
    x, heads = grey_images[:4], model.encoder.trainable_variables[-1:]
    np.testing.assert_allclose(run(vh.score_function, model, x), run(vh.sgvb_a, model, x), rtol=1e-6)
    off, largest = mean_gradient_difference(model, x, heads, vh.score_function, vh.sgvb_a, 1, repeats=48, spread=500)
    assert np.all(np.abs(off) < 4.5) and largest > 1e-2
    loud, quiet = (
        np.var([gradients(objective, model, x, heads, seed=seed)[0] for seed in range(50)], axis=0, ddof=1).sum()
        for objective in (vh.score_function, vh.sgvb_a)
    )
    assert loud > 5 * quiet


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 4])
def test_doubly_reparameterised_iwae(model, grey_images, samples):
    """Value and decoder gradient of IWAE; for one draw, the path gradient; the encoder gradient right on average."""
    x, dreg = grey_images[:4], vh.iwae_doubly_reparameterized
    np.testing.assert_allclose(run(dreg, model, x, samples), run(vh.iwae, model, x, samples), rtol=1e-5)
    decoder, heads = model.decoder.trainable_variables, model.encoder.trainable_variables[-1:]
    for a, b in zip(
        gradients(dreg, model, x, decoder, samples), gradients(vh.iwae, model, x, decoder, samples), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    if samples == 1:
        path = gradients(vh.sticking_the_landing, model, x, heads)
        np.testing.assert_allclose(gradients(dreg, model, x, heads), path, rtol=1e-4, atol=1e-6)
    off, largest = mean_gradient_difference(model, x, heads, dreg, vh.iwae, samples, repeats=48, spread=200)
    assert np.all(np.abs(off) < 4.5) and largest > 1e-3


def linear_gaussian_vae(latent_dim=2, optimal=True):
    """Probabilistic PCA: x = Wz + m + 0.3ε. Its posterior and log p(x) are closed forms.

    W has orthogonal columns, so the true posterior is a diagonal Gaussian and the encoder can be exact.
    """
    random = np.random.default_rng(3)
    pixels, noise = 16, 0.3
    w = np.linalg.qr(random.normal(size=(pixels, latent_dim)))[0] * np.linspace(0.6, 1.0, latent_dim)
    m = np.full(pixels, 0.5)
    precision = np.diag(w.T @ w) / noise**2 + 1.0
    layers = keras.layers
    encoder = keras.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2 * latent_dim)])
    head = np.concatenate([w / noise**2 / precision, np.zeros_like(w)], axis=1)
    bias = np.concatenate([-m @ w / noise**2 / precision, -np.log(precision)])
    bias[latent_dim:] += 0.0 if optimal else 0.7  # wider than the true posterior: importance weights stay bounded
    encoder.layers[-1].set_weights([head, bias])
    decoder = keras.Sequential([layers.Input((latent_dim,)), layers.Dense(32), layers.Reshape((4, 4, 2))])
    # Outputs alternate mean and log-variance; the likelihood adds 255⁻² to the variance.
    kernel, offset = np.zeros((latent_dim, 16, 2)), np.zeros((16, 2))
    kernel[..., 0], offset[:, 0], offset[:, 1] = w.T, m, np.log(noise**2 - 255.0**-2)
    decoder.layers[0].set_weights([kernel.reshape(latent_dim, 32), offset.reshape(32)])
    model = vh.VAE(encoder, decoder, likelihood="gaussian", seed=0)
    x = np.clip(random.multivariate_normal(m, w @ w.T + noise**2 * np.eye(pixels), size=20), 0, 1)
    log_evidence = scipy.stats.multivariate_normal(m, w @ w.T + noise**2 * np.eye(pixels)).logpdf(x)
    return model, x.reshape(-1, 4, 4, 1).astype(np.float32), log_evidence


def test_every_bound_is_exact_where_the_posterior_is():
    """With q(z | x) = p(z | x), A equals log p(x) for every single ε, and so do IWAE and sticking the landing."""
    model, x, log_evidence = linear_gaussian_vae()
    for objective in OBJECTIVES[:1] + OBJECTIVES[2:]:
        for seed in range(3):
            np.testing.assert_allclose(run(objective, model, x, 3, seed), log_evidence, atol=2e-3)
    many = run(vh.sgvb_b, model, x, 20_000).numpy()
    np.testing.assert_allclose(many, log_evidence, atol=0.1)
    # B's single draws scatter around it: only A's are free of noise here.
    assert np.std(run(vh.sgvb_b, model, x, 1).numpy() - log_evidence) > 0.1


def test_path_gradient_vanishes_at_the_true_posterior():
    model, x, _ = linear_gaussian_vae()
    heads = model.encoder.trainable_variables
    for objective in (vh.sticking_the_landing, vh.iwae_doubly_reparameterized):
        assert max(np.abs(g).max() for g in gradients(objective, model, x, heads, 3)) < 1e-2
    assert max(np.abs(g).max() for g in gradients(vh.sgvb_a, model, x, heads)) > 0.1


def test_iwae_rises_in_k_and_stays_below_the_evidence():
    model, x, log_evidence = linear_gaussian_vae(optimal=False)
    bounds, errors = [], []
    for k in (1, 2, 5, 20, 100):
        draws = run(vh.iwae, model, np.tile(x, (200, 1, 1, 1)), k).numpy().reshape(200, -1).mean(1)
        bounds.append(draws.mean())
        errors.append(draws.std(ddof=1) / np.sqrt(len(draws)))
    rises, error = np.diff(bounds), np.hypot(errors[1:], errors[:-1])
    assert np.all(rises > 3 * error), (bounds, errors)
    gap = log_evidence.mean() - np.array(bounds)
    assert np.all(gap > -3 * np.array(errors)) and gap[-1] < 0.02 < gap[0], gap


def test_iwae_with_one_sample_is_a(model, grey_images):
    np.testing.assert_allclose(run(vh.iwae, model, grey_images, 1), run(vh.sgvb_a, model, grey_images, 1), rtol=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("family", [vh.mlp_vae, vh.conv_vae])
@pytest.mark.parametrize("samples", [1, 3])
def test_one_value_an_image_for_every_network(small_vae, grey_images, objective, family, samples):
    model = small_vae(family)
    values = run(objective, model, grey_images, samples).numpy()
    assert values.shape == (len(grey_images),) and np.isfinite(values).all()


def test_objectives_report_the_terms_of_the_elbo(model, grey_images):
    for objective in OBJECTIVES:
        with model.using(seeded()) as terms:
            values = objective(model, grey_images, 1)
        np.testing.assert_allclose(terms["reconstruction"] - terms["kl"], values, rtol=1e-5)


def test_a_new_objective_is_one_function(model, grey_images):
    """β-VAE in three lines: the way the book tells readers to add one."""

    def beta_vae(model, x, samples=1):
        q = model.posterior(x)
        log_likelihood = model.likelihood(q.sample(samples, seed=model.next_seed())).log_prob(x)
        return tf.reduce_mean(log_likelihood, 0) - 4.0 * tfd.kl_divergence(q, model.prior)

    model.compile("adam", objective=beta_vae)
    history = model.fit(grey_images, batch_size=8, epochs=2, verbose=0).history
    assert list(history) == ["loss"] and history["loss"][1] < history["loss"][0]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_samples_below_one(model, grey_images, objective):
    with pytest.raises(ValueError, match="at least 1, got 0"):
        objective(model, grey_images, 0)


def test_report_refuses_what_the_log_has_no_column_for(model):
    with pytest.raises(ValueError, match="entropy"):
        model.report(entropy=tf.zeros(3))
