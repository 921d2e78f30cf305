"""What watches over training: it stops at a loss that is no number, and goes on where a killed run left off."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
from collections.abc import Iterable
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf

from .data import epoch_counter
from .files import replacing

_STEP_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


def common_steps(callbacks: Iterable[keras.callbacks.Callback]) -> int:
    """How many training steps may run at once, or any divisor of that, if callbacks are to see what they want; 0: any.

    A callback that does something at steps sees each of them, unless its attribute `steps_between` says otherwise: each
    so many steps of an epoch, or 0 if it only counts them.
    """
    result = 0
    for callback in callbacks:
        hooks = ((getattr(callback, name), getattr(keras.callbacks.Callback, name)) for name in _STEP_HOOKS)
        if any(getattr(hook, "__func__", hook) is not base for hook, base in hooks):
            result = math.gcd(result, getattr(callback, "steps_between", 1))
    return result


class StopWhenNotFinite(keras.callbacks.Callback):
    """Ends training at the first loss that is not a number, instead of training on with ruined weights."""

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss became {loss} in epoch {self._epoch + 1}, by step {batch + 1}: expected a finite number. "
                "Lower the learning rate, check the images (vh.binarize gives values in [0, 1]), or start from another "
                "seed."
            )


class StartAtTheCountedEpoch(keras.callbacks.Callback):
    """Under a distribution strategy Keras looks at a batch before it trains: that is no epoch of `vh.batches`."""

    def __init__(self, counter: tf.Variable):
        super().__init__()
        self._counter, self._before = counter, counter.numpy()

    def on_train_begin(self, logs=None):
        self._counter.assign(self._before)


class Resume(keras.callbacks.Callback):
    """Lets an interrupted training go on where its last whole epoch ended, as if nothing had happened.

    After every epoch one file keeps the weights, the optimiser's state, the state of the noise, and what the other
    callbacks of `fit` have changed in themselves (how long a plateau has lasted, say). The same program, started again,
    takes the newest file and trains the epochs that are missing, on the batches they would have had: the weights at the
    end are those of an uninterrupted run, bit for bit on the same machine. (Keras's `BackupAndRestore` keeps weights
    and epoch in two files, which a kill between them separates, and knows nothing of the order of data.) The file is
    removed when training ends. The `History` of a resumed `fit` holds the epochs it trained.

    Args:
        folder: where the file is kept, one folder a run; made if it is not there.
        training: the dataset that `fit` is given, as `vh.batches` returned it. Its order and its binarisation follow
            the number of the epoch.

    Raises:
        TypeError: `training` does not come from `vh.batches`.

    Example:
        >>> training = vh.batches(images.train, 100, "dynamic")
        >>> model.fit(training, epochs=50, callbacks=[vh.Resume("run-1", training)])
    """

    def __init__(self, folder: str | os.PathLike, training: tf.data.Dataset):
        super().__init__()
        self._counter = epoch_counter(training)
        if self._counter is None:
            raise TypeError(
                "Resume needs the dataset that vh.batches returns, which counts its epochs: expected "
                f"Resume(folder, vh.batches(...)), got {type(training).__name__}."
            )
        self.folder, self.others = Path(folder), []

    def _backups(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*.weights.h5"))

    def on_train_begin(self, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        for unfinished in self.folder.glob(".epoch-*"):
            unfinished.unlink()
        self._at_the_start = [_state_of(callback) for callback in self.others]
        backups = self._backups()
        if backups:
            self.model.optimizer.build(self.model.trainable_variables)  # else its state would be left out
            self.model.load_weights(backups[-1])
            self.model._initial_epoch = int(backups[-1].name.removesuffix(".weights.h5").removeprefix("epoch-"))
            with h5py.File(backups[-1]) as file:
                changed = pickle.loads(file["callbacks"][()].tobytes())
            for callback in self.others:
                same_kind = next((i for i, (name, _) in enumerate(changed) if name == type(callback).__name__), None)
                if same_kind is not None:
                    vars(callback).update({key: pickle.loads(raw) for key, raw in changed.pop(same_kind)[1].items()})

    def on_epoch_begin(self, epoch, logs=None):
        self._counter.assign(epoch - 1)  # the next iteration counts one up

    def on_epoch_end(self, epoch, logs=None):
        old = self._backups()
        changed = [
            (type(callback).__name__, dict(_state_of(callback).items() - before.items()))
            for callback, before in zip(self.others, self._at_the_start, strict=True)
        ]
        with replacing(self.folder / f"epoch-{epoch + 1:06}.weights.h5") as part:
            self.model.save_weights(part, overwrite=True)
            with h5py.File(part, "a") as file:
                file["callbacks"] = np.void(pickle.dumps(changed))
        for path in old:
            path.unlink()

    def on_train_end(self, logs=None):
        self.model._initial_epoch = None  # what `fit` is told the next time holds again
        for path in self._backups():
            path.unlink()


def _state_of(callback: keras.callbacks.Callback) -> dict[str, bytes]:
    """What a callback remembers, pickled entry by entry; the model, open files and the like are left out."""
    state = {}
    for name, value in vars(callback).items():
        if name != "params" and not isinstance(value, keras.Layer):  # a model is a layer, too
            with contextlib.suppress(Exception):  # whatever an object raises that does not want to be pickled
                state[name] = pickle.dumps(value)
    return state
