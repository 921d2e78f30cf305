"""The VAE as a model of images and as a Keras model."""

import json
import logging
import warnings

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf

import vae_helpers as vh
from vae_helpers.likelihoods import LIKELIHOODS
from vae_helpers.model import SCALES


def test_prior_is_the_standard_normal(small_vae):
    prior = small_vae(latent_dim=3).prior
    assert prior.batch_shape == () and prior.event_shape == (3,)
    z = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(prior.log_prob(z), scipy.stats.norm.logpdf(z).sum(-1), rtol=1e-5)


@pytest.mark.parametrize("scale", SCALES)
def test_posterior_reads_the_encoder(small_vae, grey_images, scale):
    model = small_vae(latent_dim=3, scale=scale)
    outputs = model.encoder(grey_images).numpy().astype(float)
    raw = outputs[:, 3:]
    sigma = np.exp(raw / 2) if scale == "log_variance" else np.log1p(np.exp(raw)) + 1e-8
    q = model.posterior(grey_images)
    assert q.batch_shape == (32,) and q.event_shape == (3,)
    np.testing.assert_allclose(q.mean(), outputs[:, :3], rtol=1e-6)
    np.testing.assert_allclose(q.stddev(), sigma, rtol=1e-5)
    z = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
    expected = scipy.stats.norm.logpdf(z, outputs[:, :3], sigma).sum(-1)
    np.testing.assert_allclose(q.log_prob(z), expected, rtol=1e-4)


# --- likelihoods, each against a formula that does not come from the package --------------------------------------


def decoder_that_returns(outputs: np.ndarray) -> keras.Model:
    """A decoder whose output is `outputs`, whatever z is."""
    last = keras.layers.Dense(outputs.size, kernel_initializer="zeros")
    network = keras.Sequential([keras.layers.Input((2,)), last, keras.layers.Reshape(outputs.shape)])
    last.set_weights([np.zeros((2, outputs.size)), outputs.ravel()])
    return network


def log_prob_by_the_model(likelihood: str, outputs: np.ndarray, x: np.ndarray) -> float:
    encoder = keras.Sequential([keras.layers.Input(x.shape), keras.layers.Flatten(), keras.layers.Dense(4)])
    model = vh.VAE(encoder, decoder_that_returns(outputs), likelihood=likelihood)
    return float(model.likelihood(tf.zeros([1, 2])).log_prob(x[None])[0])


# Beyond 17, 1 − p is 1 in float32 (S4's clipping turns that into NaN); near 0 the continuous Bernoulli is singular.
LOGITS = np.array([-40.0, -17.5, -3.0, -0.1, -1e-4, 0.0, 1e-3, 0.05, 1.0, 17.5, 40.0, 0.3]).reshape(3, 4, 1)


def test_bernoulli_on_binary_images_is_scipys():
    x = (np.arange(12) % 2).reshape(3, 4, 1).astype(np.float32)
    log_p = np.where(x == 1, -np.logaddexp(0, -LOGITS), -np.logaddexp(0, LOGITS))
    assert np.isclose(log_prob_by_the_model("bernoulli", LOGITS, x), log_p.sum(), rtol=1e-6)
    mild = np.clip(LOGITS, -8, 8)
    by_scipy = scipy.stats.bernoulli.logpmf(x.astype(int), scipy.special.expit(mild)).sum()
    assert np.isclose(log_prob_by_the_model("bernoulli", mild, x), by_scipy, rtol=1e-5)


def test_bernoulli_agrees_with_tensorflow_probability(grey_images):
    """The one formula that the package writes itself; the other distributions are TFP's."""
    import tensorflow_probability as tfp

    logits = np.random.default_rng(0).normal(0, 6, grey_images.shape).astype(np.float32)
    ours = LIKELIHOODS["bernoulli"].pixels(logits)
    theirs = tfp.distributions.Bernoulli(logits=logits, dtype=tf.float32)
    np.testing.assert_allclose(ours.log_prob(grey_images), theirs.log_prob(grey_images), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ours.mean(), theirs.mean())


def test_continuous_bernoulli_is_normalised():
    """Against ∫ λˣ(1 − λ)¹⁻ˣ dx done by quadrature (Loaiza-Ganem & Cunningham 2019, equation 6)."""
    x = np.linspace(0, 1, 12).reshape(3, 4, 1).astype(np.float32)
    log_p = 0.0
    for logit, value in zip(LOGITS.ravel(), x.ravel().astype(float), strict=True):
        # λˣ(1 − λ)¹⁻ˣ = exp(x · logit) · (1 − λ): the constant cancels between the density and its integral.
        top = max(logit, 0.0)
        integral = scipy.integrate.quad(lambda t, a=logit, b=top: np.exp(a * t - b), 0, 1, epsabs=1e-14)[0]
        log_p += value * logit - top - np.log(integral)
    assert np.isclose(log_prob_by_the_model("continuous_bernoulli", LOGITS, x), log_p, rtol=2e-4, atol=2e-3)


def test_gaussian_is_scipys_with_a_floor_of_one_grey_level():
    random = np.random.default_rng(0)
    mean, log_variance = random.normal(0.5, 0.2, (3, 4, 2)), random.normal(-2, 2, (3, 4, 2))
    log_variance[0, 0, 0] = -60.0  # a pixel that never varies
    x = random.random((3, 4, 2)).astype(np.float32)
    x[0, 0, 0] = mean[0, 0, 0]
    sigma = np.sqrt(np.exp(log_variance) + (1 / 255) ** 2)
    expected = scipy.stats.norm.logpdf(x.astype(float), mean, sigma).sum()
    outputs = np.concatenate([mean, log_variance], axis=-1)
    assert np.isclose(log_prob_by_the_model("gaussian", outputs, x), expected, rtol=1e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("family", [vh.mlp_vae, vh.conv_vae])
def test_likelihood_takes_a_leading_sample_axis(small_vae, grey_images, likelihood, family):
    model = small_vae(family, likelihood=likelihood)
    z = model.prior.sample([5, 32], seed=[0, 1])
    p = model.likelihood(z)
    assert p.batch_shape == (5, 32) and p.event_shape == grey_images.shape[1:]
    together = p.log_prob(grey_images)
    one_by_one = tf.stack([model.likelihood(one).log_prob(grey_images) for one in z])
    assert together.shape == (5, 32)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-4, atol=1e-3)


# --- shapes and architecture -----------------------------------------------------------------------------------


def test_the_mlp_of_s0():
    model = vh.mlp_vae(latent_dim=2, hidden=(512, 256))
    sizes = [(784, 512), (512, 256), (256, 4), (2, 256), (256, 512), (512, 784)]
    assert model.count_params() == sum(i * o + o for i, o in sizes)
    assert model.image_shape == (28, 28, 1) and model.latent_dim == 2


def test_the_convolutional_network_of_s1():
    model = vh.conv_vae(latent_dim=2, filters=(32, 64))
    shapes = [layer.output.shape[1:] for layer in model.encoder.layers]
    assert shapes == [(13, 13, 32), (6, 6, 64), (2304,), (4,)]
    shapes = [layer.output.shape[1:] for layer in model.decoder.layers]
    assert shapes == [(1568,), (7, 7, 32), (14, 14, 64), (28, 28, 32), (28, 28, 1)]


@pytest.mark.parametrize("likelihood", ["gaussian", "continuous_bernoulli"])
def test_the_convolutional_network_in_colour(likelihood):
    model = vh.conv_vae(latent_dim=3, filters=(4, 6), likelihood=likelihood, image_shape=(32, 32, 3), seed=1)
    x = np.random.default_rng(0).random((4, 32, 32, 3)).astype(np.float32)
    values = vh.sgvb_b(model, x).numpy()
    assert values.shape == (4,) and np.isfinite(values).all()
    assert model.sample(5).shape == (5, 32, 32, 3)
    assert model.reconstruct(x).shape == x.shape
    assert model.likelihood(np.zeros((2, 3), np.float32)).event_shape == (32, 32, 3)


def test_dropout_acts_in_training_only(small_vae, grey_images):
    model = small_vae(dropout=0.5)
    a, b = (model.posterior(grey_images).mean().numpy() for _ in range(2))
    np.testing.assert_array_equal(a, b)
    with model.using(training=True):
        c, d = (model.posterior(grey_images).mean().numpy() for _ in range(2))
    assert np.abs(c - d).max() > 1e-3


def test_a_block_within_a_block_keeps_its_noise_and_its_mode(small_vae):
    model = small_vae()
    with model.using(keras.random.SeedGenerator(1), training=True):
        with model.using(labels=tf.constant(2)):
            inner = model._step
        outer = model._step
    assert inner.seeds is outer.seeds and inner.training and int(inner.labels) == 2 and outer.labels is None
    assert not model._step.training and model._step.seeds is None


@pytest.mark.parametrize("reduced", [tf.reduce_mean, lambda values: values[:, None]], ids=["a number", "[n, 1]"])
def test_an_objective_of_another_shape_is_refused(small_vae, grey_images, reduced, without_xla):
    def objective(model, x, samples):
        return reduced(vh.sgvb_b(model, x, samples))

    model = small_vae()
    model.compile("adam", objective=objective)
    for use in (lambda: model.fit(grey_images, verbose=0), lambda: vh.elbo(model, grey_images, objective=objective)):
        with pytest.raises(ValueError, match=r"expected nats per image, shape \[n\]"):
            use()


def test_sample_decodes_the_prior(small_vae):
    model = small_vae()
    images = model.sample(7, seed=3).numpy()
    assert images.shape == (7, 8, 8, 1) and 0 <= images.min() < images.max() <= 1
    np.testing.assert_array_equal(images, model.sample(7, seed=3))
    assert np.abs(images - model.sample(7, seed=4).numpy()).max() > 1e-4
    z = model.prior.sample(7, seed=[3, 0])
    np.testing.assert_allclose(images, model.likelihood(z).mean(), rtol=1e-6)


def test_reconstruct_is_predict_and_has_no_noise(small_vae, grey_images):
    model = small_vae()
    expected = model.likelihood(model.posterior(grey_images).mean()).mean()
    np.testing.assert_allclose(model.reconstruct(grey_images), expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict(grey_images, verbose=0), expected, rtol=1e-5, atol=1e-6)


# --- a real keras.Model ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_fit_learns_and_logs(small_vae, grey_images, without_xla):
    model = small_vae()
    model.compile(keras.optimizers.Adam(1e-2), objective=vh.sgvb_b)
    stopper = keras.callbacks.EarlyStopping("val_loss", patience=50)
    history = model.fit(
        grey_images, batch_size=8, epochs=30, validation_data=(grey_images,), verbose=0, callbacks=[stopper]
    ).history
    assert set(history) == {f"{p}{k}" for p in ("", "val_") for k in ("loss", "reconstruction", "kl")}
    assert history["val_loss"][-1] < history["val_loss"][0] - 1
    np.testing.assert_allclose(
        history["loss"], np.array(history["kl"]) - np.array(history["reconstruction"]), rtol=1e-5
    )


def test_averages_weigh_images_not_batches(small_vae, grey_images):
    """32 images in batches of 20 and 12: the mean of two batch means would be biased."""
    model = small_vae()
    x = grey_images * np.linspace(0, 1, 32, dtype=np.float32)[:, None, None, None]  # batches of different brightness
    # Without XLA, whose sampler turns the same seed into other noise than the plain one below.
    model.compile("adam", objective=vh.sgvb_b, jit_compile=False)
    loss = model.evaluate(x, batch_size=20, return_dict=True)["loss"]
    with model.using(keras.random.SeedGenerator(0)):
        first = vh.sgvb_b(model, x[:20]).numpy()
        second = vh.sgvb_b(model, x[20:]).numpy()
    assert np.isclose(-loss, np.concatenate([first, second]).mean(), rtol=1e-5)
    assert not np.isclose(-loss, (first.mean() + second.mean()) / 2, rtol=1e-4)


def test_evaluate_draws_the_same_noise_each_time(small_vae, grey_images, without_xla):
    model = small_vae()
    model.compile("adam", objective=vh.sgvb_a)
    assert model.evaluate(grey_images) == model.evaluate(grey_images)
    state = model.seed_generator.state.numpy()
    model.evaluate(grey_images)
    np.testing.assert_array_equal(state, model.seed_generator.state)  # evaluating does not disturb training's noise


def trained(small_vae, images, family=vh.mlp_vae, **compile_arguments):
    model = small_vae(family, **({"dropout": 0.2} if family is vh.mlp_vae else {}))
    model.compile(keras.optimizers.Adam(1e-2), objective=vh.sgvb_a, **compile_arguments)
    model.fit(vh.batches(to_uint8(images), 8, "dynamic", seed=3), epochs=3, verbose=0)
    return np.concatenate([v.numpy().ravel() for v in model.trainable_variables])


def to_uint8(images):
    return np.round(images * 255).astype(np.uint8)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(small_vae, grey_images):
    reference = trained(small_vae, grey_images)
    np.testing.assert_array_equal(reference, trained(small_vae, grey_images))
    np.testing.assert_allclose(reference, trained(small_vae, grey_images, steps_per_execution=4), atol=1e-4)
    # XLA's sampler turns a seed into other noise than the plain one: graph and eager mode agree without XLA.
    graph, eager = (trained(small_vae, grey_images, jit_compile=False, run_eagerly=e) for e in (False, True))
    np.testing.assert_allclose(graph, eager, atol=1e-4)
    assert np.abs(graph - reference).max() > 1e-3


@pytest.mark.slow
def test_the_same_seed_gives_the_same_convolutional_weights(small_vae, grey_images):
    """Without XLA, on all cores."""
    reference = trained(small_vae, grey_images, vh.conv_vae)
    np.testing.assert_array_equal(reference, trained(small_vae, grey_images, vh.conv_vae))
    together = trained(small_vae, grey_images, vh.conv_vae, steps_per_execution=4)
    np.testing.assert_allclose(reference, together, atol=1e-4)


@pytest.mark.slow
def test_the_end_of_an_epoch_that_does_not_fill_an_execution(small_vae, grey_images):
    """Seven minibatches, the last a smaller one: two executions of three, and one alone. Of a dataset, of an array."""
    dataset = tf.data.Dataset.from_tensor_slices(grey_images).batch(5)
    weights, histories = [], []
    as_array = {"batch_size": 5, "shuffle": False}
    for steps, x, options in ((1, dataset, {}), (3, dataset, {}), (3, grey_images, as_array)):
        model = small_vae(dropout=0.2)
        # Plain descent: Adam makes a large step of a rounding error where a gradient is almost zero.
        model.compile(keras.optimizers.SGD(1e-2), objective=vh.sgvb_a, steps_per_execution=steps)
        histories.append(model.fit(x, epochs=2, verbose=0, **options).history)
        weights.append(np.concatenate([v.numpy().ravel() for v in model.trainable_variables]))
        assert model.optimizer.iterations == 14
    for other, history in zip(weights[1:], histories[1:], strict=True):
        np.testing.assert_allclose(other, weights[0], rtol=1e-4, atol=1e-5)
        for key, values in histories[0].items():
            np.testing.assert_allclose(history[key], values, rtol=1e-5, err_msg=key)


@pytest.mark.slow
def test_python_sees_a_twentieth_of_the_steps_unless_a_callback_asks(small_vae, grey_images, without_xla):
    images = np.tile(to_uint8(grey_images), (20, 1, 1, 1))
    training = vh.batches(images, 8, "dynamic", seed=3)  # 80 steps
    seen, weights = [], []
    epochs_only = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    every_step = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    for callback, steps in ((epochs_only, 4), (every_step, 1)):
        model = small_vae()
        model.compile(keras.optimizers.SGD(1e-2), objective=vh.sgvb_a)
        model.fit(vh.batches(images, 8, "dynamic", seed=3), verbose=0, callbacks=[callback])
        assert model.steps_per_execution == steps
        weights.append(np.concatenate([v.numpy().ravel() for v in model.trainable_variables]))
    assert seen == [0, *range(80)]
    np.testing.assert_allclose(*weights, rtol=1e-4, atol=1e-5)
    model.compile(keras.optimizers.SGD(1e-2), objective=vh.sgvb_a)
    model.fit(training, verbose=0, callbacks=[every_step])
    assert model.steps_per_execution == 1
    model.fit(training, verbose=0)  # the same model, without the callback that asked
    assert model.steps_per_execution == 4
    before = model.optimizer.iterations.numpy()
    model.fit(training, verbose=0, steps_per_epoch=5)  # fewer than 20, and no multiple of 4
    assert model.optimizer.iterations.numpy() - before == 5
    model.compile("sgd", objective=vh.sgvb_a, steps_per_execution=7)
    model.fit(training, verbose=0)
    assert model.steps_per_execution == 7
    assert model.get_compile_config()["steps_per_execution"] == 7


def test_regularisers_count(small_vae, grey_images):
    model = small_vae()

    def with_penalty(layer):
        regularizer = keras.regularizers.L2(10.0) if layer is model.encoder.layers[-1] else None
        return layer.from_config({**layer.get_config(), **({"kernel_regularizer": regularizer} if regularizer else {})})

    regularised = keras.models.clone_model(model.encoder, clone_function=with_penalty)
    regularised.set_weights(model.encoder.get_weights())
    other = vh.VAE(regularised, model.decoder, seed=1)
    penalty = 10.0 * np.sum(model.encoder.layers[-1].kernel.numpy() ** 2)
    losses = []
    for m in (model, other):
        m.compile(keras.optimizers.SGD(0.0), objective=vh.sgvb_b, jit_compile=False)
        losses.append(m.fit(grey_images, batch_size=32, shuffle=False, verbose=0).history["loss"][0])
    assert np.isclose(losses[1] - losses[0], penalty, rtol=1e-4) and penalty > 1


LOADING = """
import json, sys
import vae_helpers as vh
import keras, numpy as np

vh.VAE.prefers_xla = False  # compiling would take longer
x = np.load(sys.argv[1])
for path in sys.argv[2:]:
    model = keras.saving.load_model(path)
    before = {"objective": model.objective.__name__, "samples": model.samples, "scale": model.scale_name,
              "reconstruction": model.reconstruct(x).numpy().tolist(), "elbo": vh.elbo(model, x)}
    loss = model.fit(x, batch_size=8, epochs=1, shuffle=False, verbose=0).history["loss"][0]
    print("RESULT" + json.dumps({**before, "loss": loss}))
"""


@pytest.mark.slow
def test_save_and_load_in_a_fresh_process(small_vae, grey_images, tmp_path, start_python, finish, without_xla):
    models = [small_vae(f, scale="softplus", likelihood="continuous_bernoulli") for f in (vh.mlp_vae, vh.conv_vae)]
    paths = [tmp_path / "dense.keras", tmp_path / "convolutional.keras"]
    np.save(tmp_path / "x.npy", grey_images)
    for model, path in zip(models, paths, strict=True):
        model.compile(keras.optimizers.Adam(1e-2), objective=vh.sticking_the_landing, samples=2)
        model.fit(grey_images, batch_size=8, epochs=1, shuffle=False, verbose=0)
        model.save(path)
    printed, _ = finish(start_python(LOADING, tmp_path / "x.npy", *paths), "loading in a fresh process")
    for model, text in zip(models, printed.split("RESULT")[1:], strict=True):
        loaded = json.loads(text)
        assert loaded["objective"] == "sticking_the_landing" and loaded["samples"] == 2
        assert loaded["scale"] == "softplus"
        np.testing.assert_allclose(loaded["reconstruction"], model.reconstruct(grey_images), rtol=1e-5, atol=1e-6)
        assert np.isclose(loaded["elbo"], vh.elbo(model, grey_images), rtol=1e-5)
        # Training goes on where it stopped: optimiser slots and the state of the noise came along.
        history = model.fit(grey_images, batch_size=8, epochs=1, shuffle=False, verbose=0).history
        assert np.isclose(loaded["loss"], history["loss"][0], rtol=1e-4)


def test_own_keras_networks(without_xla):
    layers = keras.layers
    x = layers.Input((28, 28, 1))
    h = layers.Dense(8, activation="relu")(layers.Flatten()(x))
    encoder = keras.Model(x, layers.Concatenate()([layers.Dense(2)(h), layers.Dense(2)(h)]))
    z = layers.Input((2,))
    decoder = keras.Model(z, layers.Reshape((28, 28, 1))(layers.Dense(784)(layers.Dense(8)(z))))
    model = vh.VAE(encoder, decoder)
    assert model.latent_dim == 2
    model.compile("rmsprop", objective=vh.sgvb_b)
    assert np.isfinite(model.evaluate(np.zeros((4, 28, 28, 1), np.float32)))[0]


def test_a_decoder_of_probabilities_is_warned_of(small_vae):
    layers, encoder, z = keras.layers, small_vae().encoder, keras.Input((2,))
    decoder = keras.Sequential([z, layers.Dense(64, "sigmoid"), layers.Reshape((8, 8, 1))])
    with pytest.warns(UserWarning, match="'sigmoid': expected a linear layer"):
        vh.VAE(encoder, decoder)
    p = decoder(z)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vh.VAE(encoder, keras.Model(z, keras.ops.log(p) - keras.ops.log(1 - p)))  # wrapped, it puts out logits


# --- bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keyword", "allowed"), [("likelihood", LIKELIHOODS), ("scale", SCALES)])
@pytest.mark.parametrize("family", [vh.mlp_vae, vh.conv_vae])
def test_unknown_names_list_the_allowed_ones(small_vae, keyword, allowed, family):
    with pytest.raises(ValueError, match="nonsense") as error:
        small_vae(family, **{keyword: "nonsense"})
    assert all(name in str(error.value) for name in allowed)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: to_uint8(x), "uint8"),
        (lambda x: x * 255, r"\[0, 1\]"),
        (lambda x: x - 0.5, r"\[0, 1\]"),
        (lambda x: x[:, :, :7], "7"),
        (lambda x: x[..., 0], r"8, 8"),
        (lambda x: np.where(x == 1, np.nan, x), "(?i)nan|finite"),
    ],
)
@pytest.mark.parametrize(
    "use", [lambda m, x: m.posterior(x), lambda m, x: vh.elbo(m, x), lambda m, x: m.reconstruct(x)]
)
def test_images_of_the_wrong_kind(small_vae, grey_images, spoil, message, use):
    with pytest.raises((ValueError, TypeError), match=message):
        use(small_vae(), spoil(grey_images))


@pytest.mark.slow
def test_fit_refuses_grey_levels_and_labels(small_vae, grey_images):
    model = small_vae()
    model.compile("adam", objective=vh.sgvb_b, jit_compile=False)
    with pytest.raises((ValueError, TypeError), match="uint8"):
        model.fit(to_uint8(grey_images), verbose=0)
    with pytest.raises((ValueError, TypeError), match="uint8"):
        model.fit(tf.data.Dataset.from_tensors(to_uint8(grey_images)), verbose=0)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        model.fit(grey_images * 255, verbose=0)
    before = model.get_weights()
    for spoilt in (grey_images * 255, np.where(grey_images == 1, np.nan, grey_images)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[0, 1\], got from"):
            model.fit(tf.data.Dataset.from_tensor_slices(spoilt).batch(8), verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for spoilt in (9 * grey_images, tf.data.Dataset.from_tensors(9 * grey_images)):  # and where nothing is trained
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=r"\[0, 1\], got"):
            model.evaluate(spoilt)
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=r"\[0, 1\], got"):
            model.fit(grey_images, validation_data=spoilt, verbose=0)
    with pytest.raises(ValueError, match=r"images alone"):
        model.fit(grey_images, np.zeros(32), verbose=0)


def test_networks_that_do_not_fit():
    layers = keras.layers

    def net(input_shape, units, shape=None):
        parts = [layers.Input(input_shape), layers.Flatten(), layers.Dense(units)]
        return keras.Sequential(parts + ([layers.Reshape(shape)] if shape else []))

    good = net((2,), 64, (8, 8, 1))
    with pytest.raises(ValueError, match=r"\[n, 2J\].*5"):
        vh.VAE(net((8, 8, 1), 5), good)
    with pytest.raises(ValueError, match=r"J = 3"):
        vh.VAE(net((8, 8, 1), 6), good)
    with pytest.raises(ValueError, match=r"decoder's output.*8, 8, 2"):
        vh.VAE(net((8, 8, 1), 4), good, likelihood="gaussian")
    with pytest.raises(ValueError, match="Input layer"):
        vh.VAE(keras.Sequential([layers.Dense(4)]), good)
    x = layers.Input((8, 8, 1))
    heads = [layers.Dense(2)(layers.Flatten()(x)) for _ in ("mean", "log variance", "a draw")]  # as in Keras's example
    with pytest.raises(ValueError, match=r"encoder has 1 and 3 inputs and outputs, .*without a sampled z"):
        vh.VAE(keras.Model(x, heads), good)
    for family, one_number in ((vh.mlp_vae, "hidden"), (vh.conv_vae, "filters")):
        with pytest.raises(ValueError, match=rf"{one_number}: expected .* layer, .* got 32"):
            family(**{one_number: 32})
    with pytest.raises(ValueError, match=r"filters: .* got \(\)"):
        vh.conv_vae(filters=())
    with pytest.raises(ValueError, match="at least 31"):
        vh.conv_vae(filters=(4, 4, 4, 4))


def test_compile_without_an_objective(small_vae):
    with pytest.raises(TypeError, match=r"vh\.sgvb_b"):
        small_vae().compile("adam")


def test_z_of_the_wrong_size(small_vae):
    with pytest.raises(ValueError, match="J last"):
        small_vae().likelihood(tf.zeros([3, 5]))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2])
def test_a_loss_that_is_no_number_stops_training_and_says_where(small_vae, grey_images, steps):
    model = small_vae()
    # XLA, which takes seconds to compile, where it makes one program of several steps.
    model.compile(keras.optimizers.SGD(1.0), objective=vh.sgvb_b, steps_per_execution=steps, jit_compile=steps > 1)
    good = tf.data.Dataset.from_tensor_slices(grey_images).batch(8)
    seen = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: poison(model) if epoch == 1 else None)

    def poison(model):
        model.optimizer.learning_rate = float("nan")  # the step of epoch 2 ruins the weights, the next one shows it

    model.optimizer.learning_rate = 1e-4
    with pytest.raises(FloatingPointError, match=r"nan in epoch 2, by step 2"):
        model.fit(good, epochs=5, verbose=0, callbacks=[seen])


@pytest.mark.slow
def test_mixed_precision_keeps_the_elbo_in_float32(small_vae, grey_images):
    reference = vh.elbo(small_vae(), grey_images)
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        model = small_vae()  # the same weights
        assert model.encoder(grey_images).dtype == tf.bfloat16
        assert model.decoder(tf.zeros((1, model.latent_dim))).dtype == tf.bfloat16
        for objective in (vh.sgvb_a, vh.sgvb_b):
            assert objective(model, grey_images).dtype == tf.float32
        assert vh.elbo(model, grey_images) == pytest.approx(reference, rel=0.01)
        model.compile(keras.optimizers.Adam(1e-2), objective=vh.sgvb_b)
        losses = model.fit(grey_images, batch_size=8, epochs=5, verbose=0).history["loss"]
        assert losses[-1] < losses[0] and {v.dtype for v in model.trainable_variables} == {"float32"}
    finally:
        keras.mixed_precision.set_dtype_policy("float32")


# --- the log of fit --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [True, False], ids=["one program", "step by step"])
def test_many_models_train_without_a_warning_of_retracing(small_vae, grey_images, jit_compile):
    """Each model is traced once; TensorFlow, which counts by source code, warns of the fifth as of one function."""
    warned = []

    class Listener(logging.Handler):
        def emit(self, record):
            warned.append(record.getMessage())

    listener = Listener()
    tf.get_logger().addHandler(listener)
    try:
        for _ in range(5):
            model = small_vae(hidden=(4,))
            model.compile("sgd", objective=vh.sgvb_b, steps_per_execution=2, jit_compile=jit_compile)
            model.fit(grey_images[:16], batch_size=8, verbose=0)
    finally:
        tf.get_logger().removeHandler(listener)
    assert warned == []


@pytest.mark.slow
def test_training_table(small_vae, grey_images, capsys):
    model = small_vae()
    model.compile("adam", objective=vh.sgvb_b, jit_compile=False)
    model.fit(grey_images, batch_size=8, epochs=25, validation_data=(grey_images,))
    out, err = capsys.readouterr()
    lines = [line for line in out.splitlines() if not line.startswith("trained on: ")]  # once a process
    assert err == "" and "\r" not in out
    assert lines[0].split()[0] == "epoch" and "test" in lines[0]
    epochs = [int(line.split()[0]) for line in lines[1:]]
    assert epochs == [1, *range(3, 25, 3), 25]
    assert len({len(line) for line in lines}) == 1  # columns stand under their titles
