"""A training that is killed goes on as if nothing had happened."""

import signal
import sys

import keras
import numpy as np
import pytest

import vae_helpers as vh

EPOCHS = 4
TRAINING = f"""
import os, signal, sys
import vae_helpers as vh
import keras, numpy as np

folder, target, kill_at = sys.argv[1], sys.argv[2], sys.argv[3]
images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)


class Kill(keras.callbacks.Callback):
    # SIGKILL cannot be caught: nothing is tidied up.
    def on_train_batch_end(self, batch, logs=None):
        if kill_at == "batch" and len(os.listdir(folder)) and self.epoch == 2 and batch == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        print("epoch", epoch, flush=True)


model = vh.mlp_vae(hidden=(16, 12), image_shape=(8, 8, 1), dropout=0.2, seed=1)
# Without XLA, which keeps nothing between steps and would double the time of this test.
model.compile(keras.optimizers.Adam(1e-2), objective=vh.sgvb_a, jit_compile=False)
training = vh.batches(images, 16, "dynamic", seed=3)
if kill_at == "save":  # between the writing of a backup and its name
    replace = os.replace

    def replace_or_die(part, path):
        if os.path.exists(path):
            os.kill(os.getpid(), signal.SIGKILL)
        replace(part, path)

    os.replace = replace_or_die
next(iter(training))  # as a reader would look at it first: the order does not depend on that
model.fit(training, epochs={EPOCHS}, verbose=0, callbacks=[vh.Resume(folder, training), Kill()])
model.save_weights(target)
"""


def weights(path):
    """The trained weights, the optimiser's state and the noise."""
    model = vh.mlp_vae(hidden=(16, 12), image_shape=(8, 8, 1), dropout=0.2, seed=2)
    model.compile(keras.optimizers.Adam(1e-2), objective=vh.sgvb_a)
    model.optimizer.build(model.trainable_variables)
    model.load_weights(path)
    variables = [*model.variables, *model.optimizer.variables]
    return np.concatenate([np.ravel(variable.numpy()).astype(np.float64) for variable in variables])


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_weights(tmp_path, start_python, finish, monkeypatch, capsys):
    """Killed in the middle of an epoch, then after writing a backup and before naming it; a third start ends it."""

    def in_this_process(*arguments) -> str:
        monkeypatch.setattr(sys, "argv", ["", *map(str, arguments), "never"])
        exec(TRAINING, {})
        return capsys.readouterr().out

    folder, target = tmp_path / "run", tmp_path / "run.weights.h5"
    for moment in ("batch", "save"):
        finish(start_python(TRAINING, folder, target, moment), f"killed at {moment}", status=-signal.SIGKILL)
        assert not target.exists()
    begun = int(in_this_process(folder, target).split()[1])
    assert 0 < begun < EPOCHS  # it went on, and did not start anew
    assert in_this_process(tmp_path / "other", tmp_path / "whole.weights.h5").startswith("epoch 0")
    np.testing.assert_array_equal(weights(target), weights(tmp_path / "whole.weights.h5"))
    assert not list(folder.iterdir())


def test_a_second_fit_begins_where_it_is_told(tmp_path, small_vae, grey_images, without_xla):
    training = vh.batches(grey_images, 8)
    model = small_vae()
    model.compile(keras.optimizers.Adam(1e-2), objective=vh.sgvb_b)

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(training, epochs=2, verbose=0, callbacks=[vh.Resume(tmp_path, training), Stop()])
    with pytest.raises(KeyboardInterrupt):  # a second time, in what was taken up
        model.fit(training, epochs=3, verbose=0, callbacks=[vh.Resume(tmp_path, training), Stop()])
    assert model.fit(training, epochs=1, verbose=0).epoch == [0]  # without the callback the number is fit's own
    history = model.fit(training, epochs=3, verbose=0, callbacks=[vh.Resume(tmp_path, training)])
    assert history.epoch == [1, 2]
    assert model.fit(training, epochs=1, verbose=0).epoch == [0]


def test_resume_needs_to_know_the_order_of_the_data(tmp_path, grey_images):
    with pytest.raises(TypeError, match=r"expected Resume\(folder, vh.batches"):
        vh.Resume(tmp_path, grey_images)


def test_what_another_model_left_is_refused(tmp_path, small_vae, grey_images):
    training = vh.batches(grey_images, 8)

    def interrupt(epoch, logs):
        if epoch == 1:
            raise KeyboardInterrupt

    for hidden, error in (((8,), KeyboardInterrupt), ((9,), ValueError)):
        model = small_vae(hidden=hidden)
        model.compile("adam", objective=vh.sgvb_b, jit_compile=False)
        callbacks = [vh.Resume(tmp_path, training), keras.callbacks.LambdaCallback(on_epoch_begin=interrupt)]
        with pytest.raises(error, match="another model" if error is ValueError else None):
            model.fit(training, epochs=2, verbose=0, callbacks=callbacks)
