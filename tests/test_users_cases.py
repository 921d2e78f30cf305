"""What people who train VAEs ran into, here or elsewhere: what is given is honoured or refused, never dropped."""

import functools
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_helpers as vh
from vae_helpers.images import watched

layers = keras.layers


@pytest.fixture
def model(small_vae):
    model = small_vae()
    model.compile(
        keras.optimizers.SGD(1e-3), objective=vh.sgvb_b, jit_compile=False, run_eagerly=True
    )  # compiling would take longer
    return model


class Minibatches(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x, self.ends = x, 0

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return (self.x[8 * index : 8 * index + 8],)

    def on_epoch_end(self):
        self.ends += 1


def as_dataset(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(8)


def as_generator(x):
    while True:
        yield (x[:8],)


CONTAINERS = {"array": np.asarray, "tensor": tf.constant, "dataset": as_dataset, "PyDataset": Minibatches}


@pytest.mark.slow
@pytest.mark.parametrize("container", [*CONTAINERS, "generator"])
def test_pixels_of_any_source_are_looked_at(model, grey_images, container):
    make = CONTAINERS.get(container, as_generator)
    low, high = 2 * grey_images - 1, 255 * grey_images
    refused = pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=r"\[0, 1\], got")
    with refused:
        model.fit(make(low), verbose=0, steps_per_epoch=4)
    with refused:
        model.evaluate(make(high), steps=4)
    with refused:
        model.predict(make(low), steps=4, verbose=0)
    with refused:
        model.fit(grey_images, validation_data=make(high), validation_steps=4, verbose=0)
    assert np.isfinite(model.evaluate(make(grey_images), steps=4)).all()


def test_a_watched_pydataset_still_hears_when_an_epoch_ends(model, grey_images):
    source = Minibatches(grey_images)
    model.fit(source, epochs=2, verbose=0)
    assert source.ends >= 2 and len(watched(source)) == 4


@pytest.mark.parametrize("form", [lambda bad: (bad,), lambda bad: (bad, None), lambda bad: bad])
def test_validation_data_in_every_form_is_looked_at(model, grey_images, form):
    with pytest.raises(ValueError, match=r"\[0, 1\], got"):
        model.fit(grey_images, verbose=0, validation_data=form(2 * grey_images - 1))
    assert "val_loss" in model.fit(grey_images, verbose=0, validation_data=form(grey_images)).history


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_labels_and_weights_are_refused(model, grey_images, method):
    with pytest.raises(ValueError, match=r"images alone.*y"):
        getattr(model, method)(grey_images, grey_images)
    with pytest.raises(ValueError, match=r"images alone.*sample_weight"):
        getattr(model, method)(grey_images, sample_weight=np.zeros(32, np.float32))


def test_weights_within_a_dataset_are_refused_and_labels_ignored(model, grey_images):
    zero = np.zeros(32, np.float32)
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(as_dataset((grey_images, zero, zero)), verbose=0)
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(grey_images, validation_data=(grey_images, None, zero), verbose=0)
    model.fit(as_dataset((grey_images, zero)), verbose=0)


def test_single_minibatches_are_looked_at(model, grey_images):
    for method in (model.train_on_batch, model.test_on_batch, model.predict):
        with pytest.raises(ValueError, match=r"\[0, 1\], got"):
            method(255 * grey_images)
    assert np.isfinite(model.train_on_batch(grey_images)).all()


@pytest.mark.parametrize("dtype", ["float64", "float16", "uint8", "int32"])
def test_a_dataset_of_another_dtype_gets_one_message(model, grey_images, dtype):
    with pytest.raises((ValueError, TypeError), match=f"(?i)expected.*float32.*{dtype}"):
        model.fit(as_dataset(grey_images.astype(dtype)), verbose=0)


def test_compile_refuses_what_fit_could_not_use(small_vae):
    for arguments, message in (
        ({"samples": 0}, "samples"),
        ({"objective": "elbo"}, "objective"),
        ({"metrics": ["mse"]}, "metrics"),
        ({"loss": "mse", "loss_weights": [1]}, "loss, loss_weights"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            small_vae().compile("adam", **{"objective": vh.sgvb_b, **arguments})


def test_one_callback_needs_no_list(model, grey_images):
    model.fit(grey_images, verbose=0, callbacks=keras.callbacks.EarlyStopping("loss"))


def test_a_logger_without_isatty_and_no_stdout_at_all(model, grey_images, monkeypatch):
    class Tee:
        write = flush = staticmethod(lambda *_: None)

    for stdout in (Tee(), None):
        monkeypatch.setattr(sys, "stdout", stdout)
        model.fit(grey_images, epochs=1)
        vh.log_likelihood(model, grey_images, samples=2)


def test_val_loss_holds_the_regularisers_too(grey_images, without_xla):
    flat = [layers.Input((8, 8, 1)), layers.Flatten()]
    encoder = keras.Sequential([*flat, layers.Dense(4, kernel_regularizer=keras.regularizers.L2(1.0))])
    model = vh.VAE(encoder, keras.Sequential([layers.Input((2,)), layers.Dense(64), layers.Reshape((8, 8, 1))]))
    model.compile(keras.optimizers.SGD(0.0), objective=vh.sgvb_b)
    history = {k: v[0] for k, v in model.fit(grey_images, verbose=0, validation_data=grey_images).history.items()}
    penalty, val_penalty = (
        history[p + "loss"] - history[p + "kl"] + history[p + "reconstruction"] for p in ("", "val_")
    )
    assert penalty > 1 and val_penalty == pytest.approx(penalty, rel=1e-3)


# --- networks from elsewhere -------------------------------------------------------------------------------------


def decoder(activation=None):
    return keras.Sequential([layers.Input((2,)), layers.Dense(64, activation), layers.Reshape((8, 8, 1))])


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_a_decoder_that_ends_in_an_activation_is_warned_of(activation):
    encoder = keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(4)])
    with pytest.warns(UserWarning, match=f"ends in the activation '{activation}'"):
        vh.VAE(encoder, decoder(activation))
    behind = keras.Sequential([*decoder().layers, layers.Activation(activation)])
    behind.build((None, 2))
    with pytest.warns(UserWarning, match=activation):
        vh.VAE(encoder, behind)


def test_a_layer_before_a_model_inside_does_not_end_the_decoder(recwarn):
    encoder = keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(4)])
    vh.VAE(encoder, keras.Sequential([layers.Input((2,)), layers.Dense(2, "relu"), decoder()]))
    assert not recwarn.list


def test_an_encoder_of_two_inputs_or_outputs_is_named():
    images, label = layers.Input((8, 8, 1)), layers.Input((10,))
    flat = layers.Flatten()(images)
    two_outputs = keras.Model(images, [layers.Dense(2)(flat), layers.Dense(2)(flat)])
    two_inputs = keras.Model([images, label], layers.Dense(4)(layers.Concatenate()([flat, label])))
    for encoder in (two_outputs, two_inputs):
        with pytest.raises(ValueError, match=r"encoder has.*Concatenate"):
            vh.VAE(encoder, decoder())


@pytest.mark.parametrize("shape", [(30, 30, 1), (33, 47, 3), (8, 9, 1)])
def test_convolutions_for_images_of_any_size(shape):
    x = np.random.default_rng(0).random((2, *shape)).astype(np.float32)
    model = vh.conv_vae(filters=(4, 6), image_shape=shape, likelihood="gaussian" if shape[2] == 3 else "bernoulli")
    assert model.reconstruct(x).shape == x.shape and np.isfinite(vh.sgvb_b(model, x)).all()


# --- saving and going on -----------------------------------------------------------------------------------------


def test_export_serves_the_reconstruction(small_vae, grey_images, tmp_path):
    model = small_vae()  # never called
    model.export(tmp_path / "served", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "served")  # kept in a name: TensorFlow's functions do not hold on to it
    np.testing.assert_allclose(loaded.serve(grey_images), model.reconstruct(grey_images), atol=1e-5)


def test_hdf5_is_refused_with_a_hint(model, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.keras"):
        model.save(tmp_path / "model.h5")


def scaled(model, x, samples, beta=1.0):
    return vh.sgvb_b(model, x, samples) * beta


@pytest.mark.slow
@pytest.mark.parametrize("objective", [functools.partial(scaled, beta=4.0), scaled], ids=["partial", "not registered"])
def test_an_objective_that_cannot_be_written_down_is_left_out_with_a_warning(
    small_vae, grey_images, tmp_path, without_xla, objective
):
    model = small_vae()
    model.compile("adam", objective=objective)
    model.fit(grey_images, verbose=0)
    with pytest.warns(UserWarning, match="cannot be saved: compile the loaded model again"):
        model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.reconstruct(grey_images), model.reconstruct(grey_images), rtol=1e-5)
    assert loaded.objective is None


@pytest.mark.slow
def test_resume_goes_on_with_what_other_callbacks_remember(small_vae, grey_images, tmp_path, without_xla):
    """A plateau of two epochs before the kill counts after it; wherever `Resume` stands in the list."""

    def train(*callbacks):
        training = vh.batches(grey_images, 8)
        model = small_vae()
        model.compile(keras.optimizers.Adam(1e-2), objective=vh.sgvb_b)
        plateau = keras.callbacks.ReduceLROnPlateau("loss", patience=2, min_delta=100.0)
        resume = [vh.Resume(tmp_path, training)] if callbacks else []
        history = model.fit(training, epochs=8, verbose=0, callbacks=[*resume, plateau, *callbacks]).history
        return history["learning_rate"], model.get_weights()

    def interrupt(epoch, logs):
        if epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(keras.callbacks.LambdaCallback(on_epoch_begin=interrupt))
    resumed, weights = train(keras.callbacks.LambdaCallback())
    whole, expected = train()
    np.testing.assert_allclose(resumed, whole[4:])
    for ours, theirs in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_the_readme_prints_nothing_while_it_imports():
    """TensorFlow greets whoever imports it first: the README lets this package do it."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    block = readme.split("```python\n")[1].split("```")[0]
    imports = "\n".join(line for line in block.splitlines() if line.startswith("import"))
    code = f"{imports}\nvh.mlp_vae(2).sample(1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "" and "vae_helpers" in imports
