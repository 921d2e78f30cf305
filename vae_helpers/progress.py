"""Progress of long work: live in a notebook or a terminal, a clean record everywhere else.

A notebook stores whatever a cell displayed last. So the text lives in *one* display that is updated in place, and the
status line ("epoch 12/50, 1:32 left") is dropped when the work ends: what is committed is the table alone. Where pytest
executes the notebook (nbval) nobody watches, and a status line that only slow machines show would count as a
difference: there is none.
"""

import contextlib
import os
import sys
import time
from datetime import timedelta

import keras
import tensorflow as tf

_COLUMNS = {"loss": "train", "reconstruction": "reconstr.", "kl": "KL"}
_COLUMNS |= {"val_loss": "test", "val_reconstruction": "reconstr.", "val_kl": "KL"}


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")  # a notebook has imported it, and a script need not have it
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


def format_seconds(seconds: float) -> str:
    """Seconds as a reader's clock: `8 s`, `1:32`, `2:05:09`."""
    seconds = max(0, round(seconds))
    return f"{seconds} s" if seconds < 60 else str(timedelta(seconds=seconds)).lstrip("0:")


def device_name() -> str:
    """What TensorFlow computes on here: `CPU, 2 cores`, or the names of the GPUs."""
    gpus = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    names = [f"GPU {details.get('device_name', number)}" for number, details in enumerate(gpus)]
    # The cores this process may use: a container often has fewer than the machine.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ", ".join(names) or f"CPU, {cores} core{'s' if cores != 1 else ''}"


class Progress(contextlib.AbstractContextManager):
    """Lines that stay, and below them one status line that replaces itself: what is done, and the time left.

    In a notebook everything is one display updated in place. In a terminal the lines are printed and the status line is
    overwritten. Written to a file or a pipe, the lines appear and the status line does not.

    Args:
        label: what is being done, e.g. `"log p(x)"`.
        total: how much there is to do.
        delay: seconds before a status is shown, so that short work leaves no trace.

    Use it as a context manager: the status line goes when the block ends, also by an error.
    """

    def __init__(self, label: str, total: float, delay: float = 2.0):
        self.label, self.total, self._start, self._quiet_until = label, total, time.monotonic(), delay
        self._lines, self._status, self._display = [], "", None

    def line(self, text: str) -> None:
        """Adds a line that stays."""
        self._lines.append(text)
        self._draw(self._status, f"{text}\n")

    def update(self, done: float) -> None:
        """Shows that `done` > 0 of `total` is done, and how much time is left, five times a second at most."""
        elapsed, share = time.monotonic() - self._start, done / self.total
        if elapsed >= self._quiet_until:
            self._quiet_until = elapsed + 0.2
            self._draw(f"{self.label}: {share:4.0%}, {format_seconds(elapsed / share - elapsed)} left")

    def close(self, *exception) -> None:
        """Drops the status line. What `line` added stays."""
        self._draw("")

    __exit__ = close

    def _draw(self, status: str, line: str = "") -> None:
        before, self._status = self._status, status
        if _in_notebook():
            under_nbval = "PYTEST_VERSION" in os.environ
            if under_nbval and not line:
                return  # it reads a cell's messages when the cell has ended, and only a thousand of them
            lines = [*self._lines, status] if status and not under_nbval else self._lines
            if self._display is not None:
                self._display.update({"text/plain": "\n".join(lines)}, raw=True)
            elif lines:
                from IPython.display import display

                self._display = display({"text/plain": "\n".join(lines)}, raw=True, display_id=True)
        else:
            # A logger need not have `isatty`, and a service has no stdout.
            is_terminal = getattr(sys.stdout, "isatty", lambda: False)()
            print(f"\r\x1b[2K{line}{status}" if is_terminal and (before or status) else line, end="", flush=True)


class TrainingTable(keras.callbacks.Callback):
    """The log of `fit` as one table, in nats per image: the objective on training and test images, and its two terms.

    While training runs, a line below says how much time is left. The first table of a process names the device.
    """

    _has_named_device = False  # of the class: once a process

    def on_train_begin(self, logs=None):
        self._progress, self._first = Progress("training", self.params["epochs"], delay=0), None

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._epoch_begin = epoch, time.monotonic()
        if self._first is None:  # a training that is resumed has some epochs behind it
            self._first, self._progress.total = epoch, self.params["epochs"] - epoch

    def on_train_batch_end(self, batch, logs=None):
        if steps := self.params["steps"]:  # not known in the first epoch of a generator
            self._progress.label = f"epoch {self._epoch + 1}/{self.params['epochs']}, step {batch + 1}/{steps}"
            self._progress.update(self._epoch - self._first + (batch + 1) / steps)

    def on_epoch_end(self, epoch, logs=None):
        epochs, shown = self.params["epochs"], [key for key in _COLUMNS if key in logs]
        if epoch == self._first:
            if not TrainingTable._has_named_device:
                self._progress.line(f"trained on: {device_name()}")
                TrainingTable._has_named_device = True
            self._progress.line(" ".join(["epoch", *(f"{_COLUMNS[key]:>9}" for key in shown), " seconds"]))
        if (epoch + 1) % -(-epochs // 10) == 0 or epoch in (self._first, epochs - 1):
            # What is maximised, not the loss.
            values = [f"{-logs[key] if key.endswith('loss') else logs[key]:9.2f}" for key in shown]
            seconds = time.monotonic() - self._epoch_begin
            self._progress.line(" ".join([f"{epoch + 1:5d}", *values, f"{seconds:8.1f}"]))

    def on_train_end(self, logs=None):
        self._progress.close()
