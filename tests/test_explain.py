"""`vh.explain_loss`: losses with a known weight and known slips, written as their authors write them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_helpers as vh


def nothing(mean, sigma):
    return 0.0


def kl(mean, sigma):
    return 0.5 * tf.reduce_sum(mean**2 + sigma**2 - 1 - 2 * tf.math.log(sigma), axis=-1)


def kl_of_log_std(mean, sigma):
    """The encoder's log-variance, taken for a log standard deviation."""
    taken = 2 * tf.math.log(sigma)
    return 0.5 * tf.reduce_sum(mean**2 + tf.exp(2 * taken) - 1 - 2 * taken, axis=-1)


def kl_of_prior(mean, sigma):
    return 0.5 * tf.reduce_sum((1 + mean**2) / sigma**2 - 1 + 2 * tf.math.log(sigma), axis=-1)


def kl_with_log_squared(mean, sigma):
    return -0.5 * tf.reduce_sum(1 + tf.math.log(sigma) ** 2 - mean**2 - sigma**2, axis=-1)


def hinged(mean, sigma):
    return tf.abs(kl(mean, sigma) - 5.0) ** 1.5


def log_loss(model, x, z):
    return -model.likelihood(z).log_prob(x)


def squared_error(model, x, z):
    return tf.reduce_sum((x - model.likelihood(z).mean()) ** 2, axis=[1, 2, 3])


def swapped(model, x, z):
    """Keras's cross-entropy of (target, output), called the other way round."""
    return 64 * tf.reduce_mean(tf.keras.losses.binary_crossentropy(model.likelihood(z).mean(), x), axis=[1, 2])


def rows_averaged(model, x, z):
    """Keras's cross-entropy of images without their channel: it averages the last axis."""
    return tf.reduce_sum(tf.keras.losses.binary_crossentropy(x[..., 0], model.likelihood(z).mean()[..., 0]), axis=1)


def a_training_step(model, x):
    model.trainable_variables[0].assign_add(tf.ones_like(model.trainable_variables[0]))
    return a_loss()(model, x)


def drawn(model, x):
    return model.posterior(x).sample(seed=model.next_seed())


def kl_over_images(model, x):
    """Summed over images and averaged over latents, where it should be the other way round."""
    q = model.posterior(x).distribution
    each = 0.5 * (q.loc**2 + q.scale**2 - 1 - 2 * tf.math.log(q.scale))
    return tf.reduce_mean(tf.reduce_sum(each, axis=0))


def a_loss(weight=1.0, term=kl, pixels=log_loss, scale=1.0, spread=lambda sigma: sigma, over=tf.reduce_mean):
    """A loss as people write it."""

    def loss(model, x):
        q = model.posterior(x)
        mean, sigma = q.mean(), q.stddev()
        epsilon = tf.random.normal(tf.shape(mean))
        return over(scale * pixels(model, x, mean + spread(sigma) * epsilon) + weight * term(mean, sigma))

    return loss


@pytest.fixture(scope="module")
def setting():
    """A model of 64 pixels with J = 3, and 40 black and white images."""
    model = vh.mlp_vae(image_shape=(8, 8, 1), hidden=(16,), latent_dim=3, seed=1)
    return model, (np.random.default_rng(0).random((40, 8, 8, 1)) < 0.3).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("weight, scale", [(0.001, 1.0), (0.001, 1 / 64), (0.1, 40.0), (1.0, 1.0), (10.0, 1 / 64)])
def test_the_weight_of_the_kl_is_found(setting, weight, scale):
    found = vh.explain_loss(a_loss(weight * scale, scale=scale), *setting)
    assert found.beta == pytest.approx(weight, rel=0.05) and found.scale == pytest.approx(scale, rel=0.01)
    assert found.recognised == ("elbo" if weight == 1 else "weighted_kl") and found.residual < 1e-3
    assert str(found) == repr(found) == found.sentence and f"β = {found.beta:.4g}" in found.sentence


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.001, 10.0])
def test_a_sampled_kl_is_a_kl(setting, weight):
    def loss(model, x):
        q = model.posterior(x)
        z = q.sample(seed=model.next_seed())
        return -model.likelihood(z).log_prob(x) + weight * (q.log_prob(z) - model.prior.log_prob(z))

    found = vh.explain_loss(loss, *setting)
    assert found.beta == pytest.approx(weight, rel=0.05) and found.recognised == "weighted_kl"


@pytest.mark.slow
@pytest.mark.parametrize("objective", [vh.sgvb_a, vh.sgvb_b, vh.sticking_the_landing], ids=lambda f: f.__name__)
def test_the_objectives_of_the_package_are_the_elbo(setting, objective):
    found = vh.explain_loss(tf.function(lambda model, x: -objective(model, x)), *setting)
    assert found.recognised == "elbo" and found.beta == pytest.approx(1, rel=0.02)


SLIPS = {  # those that no exhibit of chapter 7 makes: tests/test_checkup.py has the others
    "kl_over_batch_and_pixels": a_loss(1 / (40 * 64)),
    "kl_over_batch": a_loss(1 / 40),
    "no_kl": a_loss(term=nothing),
    "no_reconstruction": a_loss(scale=0.0),
    "sign": lambda model, x: vh.sgvb_b(model, x),
    "kl_sign": a_loss(-1.0),
    "reconstruction_sign": a_loss(scale=-1.0),
    "log_variance_as_log_std": a_loss(term=kl_of_log_std),
    "log_sigma_squared": a_loss(term=kl_with_log_squared),
    "kl_reversed": a_loss(term=kl_of_prior),
    "squared_error": a_loss(pixels=squared_error),
    "arguments_swapped": a_loss(pixels=swapped),
    "noise_of_variance": a_loss(spread=lambda sigma: sigma**2),
    "weight_follows_batch": lambda model, x: (
        tf.reduce_mean(log_loss(model, x, drawn(model, x))) + kl_over_images(model, x)
    ),
}


def test_the_log_variance_for_sigma_does_not_shrink(setting):
    """At σ = 1 it is zero: then the noise, which is there, would look like none."""
    loss = a_loss(spread=lambda sigma: 2 * tf.math.log(sigma))
    assert vh.explain_loss(loss, *setting).recognised == "noise_of_fixed_scale"


def test_a_decoder_without_z_is_not_told_that_it_draws_nothing(setting):
    blind = vh.explain_loss(a_loss(pixels=lambda model, x, z: log_loss(model, x, 0 * z)), *setting)
    assert blind.recognised == "fixed_noise" and "or the decoder does not see z" in blind.sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_named(setting, name):
    assert vh.explain_loss(SLIPS[name], *setting).recognised == name


@pytest.mark.slow
def test_the_axes_that_were_averaged(setting):
    assert "summed over pixels and averaged over images" in vh.explain_loss(a_loss(), *setting).sentence
    assert "summed over pixels and summed over images" in vh.explain_loss(a_loss(over=tf.reduce_sum), *setting).sentence
    both = vh.explain_loss(a_loss(1 / 64, scale=1 / 64), *setting)
    assert both.recognised == "elbo" and "averaged over the 64 values of an image" in both.sentence
    rows = vh.explain_loss(a_loss(pixels=rows_averaged), *setting)
    assert rows.beta == pytest.approx(8, rel=0.02) and "averaged over the 8 values of one axis" in rows.sentence


def test_what_is_no_weighted_elbo_is_not_named(setting):
    found = vh.explain_loss(a_loss(term=hinged), *setting)
    assert found.recognised is None and found.residual > 0.001 and "Not recognised: the KL term" in found.sentence


@pytest.mark.slow
@pytest.mark.parametrize("likelihood, scale", [("gaussian", "softplus"), ("continuous_bernoulli", "log_variance")])
def test_any_likelihood_and_scale(setting, likelihood, scale):
    model = vh.conv_vae(image_shape=(8, 8, 1), filters=(4, 6), latent_dim=2, likelihood=likelihood, scale=scale, seed=0)
    assert vh.explain_loss(a_loss(0.1), model, setting[1]).beta == pytest.approx(0.1, rel=0.05)


def test_a_loss_of_the_kl_alone_is_called_that(setting):
    def sampled(model, x):
        q = model.posterior(x)
        z = q.sample(seed=model.next_seed())
        return 0.5 * (q.log_prob(z) - model.prior.log_prob(z))

    for loss in (a_loss(scale=0.0), sampled):
        found = vh.explain_loss(loss, *setting)
        assert found.beta == np.inf and found.scale == 0 and "no term that changes with the decoder" in found.sentence


def test_a_loss_in_training_mode_moves_no_mean(setting):
    """Batch normalisation would keep them from one call to the next, steered outputs and all."""
    inner = [
        keras.Input((3,)),
        keras.layers.Dense(64),
        keras.layers.BatchNormalization(),
        keras.layers.Reshape((8, 8, 1)),
    ]
    model = vh.VAE(setting[0].encoder, keras.Sequential(inner))
    before = [weight.copy() for weight in model.get_weights()]

    def loss(model, x):
        with model.using(training=True):
            return -vh.sgvb_b(model, x)

    vh.explain_loss(loss, model, setting[1])
    np.testing.assert_equal(model.get_weights(), before)


def test_nothing_is_changed(setting):
    model, x = setting
    model.compile("adam", objective=vh.sgvb_b)
    before = [weight.copy() for weight in model.get_weights()]
    optimizer, noise = model.optimizer, model.next_seed
    values = {name: variable.numpy() for name, variable in ((v.path, v) for v in model.variables)}
    vh.explain_loss(a_loss(), model, x)
    with pytest.raises(ValueError, match="The loss raised"):
        vh.explain_loss(lambda model, x: model.no_such_thing, model, x)
    np.testing.assert_equal({v.path: v.numpy() for v in model.variables}, values)
    np.testing.assert_equal(model.get_weights(), before)
    assert model.optimizer is optimizer and model.next_seed == noise
    assert "call" not in vars(model.encoder) and "call" not in vars(model.decoder)


@pytest.mark.parametrize(
    "loss, message",
    [
        (lambda model, x: 1 / 0, "The loss raised ZeroDivisionError, called as"),
        (lambda model, x: np.nan, "The loss is not finite"),
        (lambda model, x: np.zeros(0), "returned nothing to average"),
        (lambda model, x: float(len(x)), "does not depend on what the model's networks put out"),
        (lambda model, x: "low", "The loss raised ValueError"),
        (lambda model, x: None, "returned nothing to average: expected a number or an array, got <class 'NoneType'>"),
        (lambda model, x: (a_loss()(model, x), 1.0), "expected a number or an array, got <class 'tuple'>"),
        (lambda model, x: tf.random.normal([]), "does not depend on what the model's networks put out"),
    ],
)
def test_a_loss_that_cannot_be_explained_is_refused_in_one_sentence(setting, loss, message):
    with pytest.raises(ValueError, match=message):
        vh.explain_loss(loss, *setting)


def test_what_is_no_vae_is_refused_with_the_way_to_one(setting):
    for tool in (lambda network, x: vh.explain_loss(a_loss(), network, x), lambda n, x: vh.checkup(n, x, x)):
        with pytest.raises(TypeError, match=r"expected a vh.VAE. .*section 7.2"):
            tool(setting[0].encoder, setting[1])


def test_a_loss_that_trains_is_refused_at_its_first_step(setting):
    model, calls = vh.mlp_vae(image_shape=(8, 8, 1), hidden=(4,), seed=0), []
    with pytest.raises(ValueError, match=r"The loss changed weights.* no train_step"):
        vh.explain_loss(lambda model, x: calls.append(1) or a_training_step(model, x), model, setting[1])
    assert len(calls) == 1


def test_weights_that_are_no_numbers_are_said_to_be_the_cause(setting):
    model = vh.mlp_vae(image_shape=(8, 8, 1), hidden=(4,), seed=0)
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(ValueError, match="The model's weights are not finite"):
        vh.explain_loss(a_loss(), model, setting[1])


def test_grey_levels_in_bytes_are_images_too(setting):
    assert vh.explain_loss(a_loss(), setting[0], np.uint8(255 * setting[1])).recognised == "elbo"


def test_too_few_images_are_refused(setting):
    with pytest.raises(ValueError, match="at least 4 images"):
        vh.explain_loss(a_loss(), setting[0], setting[1][:3])
