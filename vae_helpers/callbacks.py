"""What watches over training: it stops at a loss that is no number, and goes on where a killed run left off."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import shutil
from pathlib import Path

import keras
import tensorflow as tf

from .data import epoch_counter
from .expect import expect
from .files import replacing

_STEP_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


def common_steps(callbacks: list[keras.callbacks.Callback]) -> int:
    """How many training steps may run at once, or any divisor of that, if callbacks are to see what they want; 0: any.

    A callback that does something at steps sees each of them, unless its attribute `steps_between` says otherwise: each
    so many steps of an epoch, or 0 if it only counts them.
    """

    def sees_steps(callback: keras.callbacks.Callback) -> bool:
        hooks = ((getattr(callback, name), getattr(keras.callbacks.Callback, name)) for name in _STEP_HOOKS)
        return any(getattr(hook, "__func__", hook) is not base for hook, base in hooks)

    return math.gcd(*(getattr(callback, "steps_between", 1) for callback in callbacks if sees_steps(callback)))


class StopWhenNotFinite(keras.callbacks.Callback):
    """Ends training at the first loss that is not a number, instead of training on with ruined weights."""

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = float((logs or {}).get("loss", 0.0))
        got = f"Expected a finite loss, got {loss} in epoch {self._epoch + 1}, by step {batch + 1}"
        expect(math.isfinite(loss), f"{got}: check the images, learning rate and seed.", FloatingPointError)


class Resume(keras.callbacks.Callback):
    """Lets an interrupted training go on where its last whole epoch ended, as if nothing had happened.

    After every epoch one file keeps the weights, the optimiser's state, the state of the noise, and what the other
    callbacks of `fit` have changed in themselves (how long a plateau has lasted, say). The same program, started again,
    trains the epochs that are missing, on the batches they would have had: the weights at the end are those of an
    uninterrupted run, bit for bit on the same machine. (Keras's `BackupAndRestore` keeps weights and epoch in two
    files, which a kill between them separates, and knows nothing of the order of data.) The file is removed when
    training ends. The `History` of a resumed `fit` holds the epochs it trained.

    Args:
        folder: where the file is kept, one folder a run; made if it is not there.
        training: the dataset that `fit` is given, as `vh.batches` returned it. Its order and its binarisation follow
            the number of the epoch.

    Raises:
        TypeError: `training` does not come from `vh.batches`.
        ValueError: from `fit`: the folder holds the file of another model.

    Example:
        >>> training = vh.batches(images.train, 100, "dynamic")
        >>> model.fit(training, epochs=50, callbacks=[vh.Resume("run-1", training)])
    """

    def __init__(self, folder: str | os.PathLike, training: tf.data.Dataset):
        super().__init__()
        self._counter = epoch_counter(training)
        got = f"training: expected Resume(folder, vh.batches(...)), which counts epochs, got {type(training).__name__}."
        expect(self._counter is not None, got, TypeError)
        self._file, self.others = Path(folder) / "resume.pickle", []

    def _variables(self) -> list[keras.Variable]:
        """Weights, noise and the optimiser's state."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def on_train_begin(self, logs=None):
        self._file.parent.mkdir(parents=True, exist_ok=True)
        for unfinished in self._file.parent.glob(f".{self._file.name}-*"):
            shutil.rmtree(unfinished)
        self.model.optimizer.build(self.model.trainable_variables)  # else it would have no state yet
        self._at_the_start = [(callback, _state_of(callback)) for callback in self.others]
        if not self._file.exists():
            return
        kept = pickle.loads(self._file.read_bytes())
        variables, values = self._variables(), kept["variables"]
        fits = [tuple(v.shape) for v in variables] == [value.shape for value in values]
        expect(fits, f"{self._file} was left by another model: expected one like this; remove it to start anew.")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.model._initial_epoch = kept["epochs"]
        for callback, (kind, changed) in zip(self.others, kept["callbacks"], strict=False):
            if kind == type(callback).__name__:
                vars(callback).update({name: pickle.loads(raw) for name, raw in changed.items()})

    def on_epoch_begin(self, epoch, logs=None):
        self._counter.assign(epoch - 1)  # the next iteration counts one up

    def on_epoch_end(self, epoch, logs=None):
        callbacks = [(type(c).__name__, dict(_state_of(c).items() - old.items())) for c, old in self._at_the_start]
        variables = [variable.numpy() for variable in self._variables()]
        with replacing(self._file) as part:
            part.write_bytes(pickle.dumps({"epochs": epoch + 1, "variables": variables, "callbacks": callbacks}))

    def on_train_end(self, logs=None):
        self._file.unlink(missing_ok=True)


def _state_of(callback: keras.callbacks.Callback) -> dict[str, bytes]:
    """What a callback remembers, pickled entry by entry; the model, open files and the like are left out."""
    state = {}
    for name, value in vars(callback).items():
        if name != "params" and not isinstance(value, keras.Layer):  # a model is a layer, too
            with contextlib.suppress(Exception):  # whatever an object raises that does not want to be pickled
                state[name] = pickle.dumps(value)
    return state
