"""Progress of long work: live in a notebook or a terminal, a clean record everywhere else.

A notebook stores whatever a cell displayed last. So the text lives in *one* display that is updated in place, and the
status line ("epoch 12/50, 1:32 left") is dropped when the work ends: what is committed is the table alone. Where pytest
executes the notebook (nbval) nobody watches, and a status line that only slow machines show would count as a
difference: there is none.
"""

from __future__ import annotations

import itertools
import math
import os
import sys
import time

import keras
import tensorflow as tf

try:
    from IPython.core.getipython import get_ipython
except ImportError:  # IPython is not needed to use the package from a script
    get_ipython = lambda: None  # noqa: E731

_display_numbers = itertools.count()


def _in_notebook() -> bool:
    shell = get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def _in_terminal() -> bool:
    return getattr(sys.stdout, "isatty", lambda: False)()  # a logger need not have it, and a service has no stdout


def format_seconds(seconds: float) -> str:
    """Seconds as a reader's clock: `8 s`, `1:32`, `2:05:09`."""
    seconds = max(0, round(seconds))
    minutes, seconds_left = divmod(seconds, 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes_left:02d}:{seconds_left:02d}"
    return f"{minutes}:{seconds_left:02d}" if minutes else f"{seconds} s"


def device_name() -> str:
    """What TensorFlow computes on here: `CPU, 2 cores`, or the names of the GPUs."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = (tf.config.experimental.get_device_details(gpu) for gpu in gpus)
        return ", ".join(f"GPU {detail.get('device_name', number)}" for number, detail in enumerate(details))
    # The cores this process may use: a container often has fewer than the machine.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"CPU, {cores} core{'s' if cores != 1 else ''}"


class LiveText:
    """Lines that stay, and one status line below them that replaces itself.

    In a notebook everything is one display updated in place. In a terminal the lines are printed and the status line is
    overwritten. Written to a file or a pipe, the lines appear and the status line does not.
    """

    def __init__(self, min_interval: float = 0.2):
        self._lines: list[str] = []
        self._status = ""
        self._min_interval = min_interval
        self._last_drawn = 0.0
        self._display_id: str | None = None

    def line(self, text: str) -> None:
        """Adds a line that stays."""
        self._lines.append(text)
        if not _in_notebook():
            self._erase_status()
            print(text, flush=True)
        self._draw()

    def status(self, text: str) -> None:
        """Replaces the status line, at most once every `min_interval` seconds."""
        if _in_notebook() and "PYTEST_VERSION" in os.environ:
            return
        self._status = text
        if time.monotonic() - self._last_drawn >= self._min_interval:
            self._draw()

    def close(self) -> None:
        """Drops the status line. What `line` added stays."""
        if not _in_notebook():
            self._erase_status()
        self._status = ""
        if self._display_id is not None:
            self._draw()

    def _draw(self) -> None:
        self._last_drawn = time.monotonic()
        if _in_notebook():
            from IPython.display import display, update_display

            text = "\n".join([*self._lines, self._status] if self._status else self._lines)
            if self._display_id is None:
                self._display_id = f"vae-helpers-{next(_display_numbers)}"
                display({"text/plain": text}, raw=True, display_id=self._display_id)
            else:
                update_display({"text/plain": text}, raw=True, display_id=self._display_id)
        elif _in_terminal() and self._status:
            print(f"\r\x1b[2K{self._status}", end="", flush=True)

    def _erase_status(self) -> None:
        if _in_terminal() and self._status:
            print("\r\x1b[2K", end="", flush=True)


class Progress:
    """Counts work done out of `total` and shows the time left; silent for work that ends within `delay` seconds.

    Args:
        label: what is being done, e.g. `"log p(x)"`.
        total: how much there is to do.
        delay: seconds before anything is shown, so that short work leaves no trace.

    Use it as a context manager: the status line goes when the block ends, also by an error.
    """

    def __init__(self, label: str, total: float, delay: float = 2.0):
        self._label, self._total, self._delay = label, total, delay
        self._text = LiveText()
        self._start = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception) -> None:
        self._text.close()

    def update(self, done: float) -> None:
        """Shows that `done` of `total` is done, and how much time is left."""
        elapsed = time.monotonic() - self._start
        if elapsed >= self._delay and done > 0:
            left = format_seconds(elapsed * (self._total - done) / done)
            self._text.status(f"{self._label}: {100 * done / self._total:3.0f}%, {left} left")


class TrainingTable(keras.callbacks.Callback):
    """The log of `fit` as one table, in nats per image: the objective on training and test images, and its two terms.

    While training runs, a line below says how much time is left. The first table of a process names the device.
    """

    _has_named_device = False  # of the class: once a process

    def on_train_begin(self, logs=None):
        self._text = LiveText()
        self._every = max(1, math.ceil(self.params["epochs"] / 10))
        self._begin, self._first, self._has_header = None, None, False

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._epoch_begin = epoch, time.monotonic()
        if self._begin is None:
            self._begin, self._first = self._epoch_begin, epoch

    def on_train_batch_end(self, batch, logs=None):
        epochs, steps = self.params["epochs"], self.params["steps"]
        if steps:
            done = self._epoch - self._first + (batch + 1) / steps
            left = (time.monotonic() - self._begin) * (epochs - self._first - done) / done
            self._text.status(
                f"epoch {self._epoch + 1}/{epochs}, step {batch + 1}/{steps}, {format_seconds(left)} left"
            )

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        seconds = time.monotonic() - self._epoch_begin
        cells = [(f"{'epoch':>5}", f"{epoch + 1:5d}")]
        for prefix, who in (("", "train"), ("val_", "test")):
            for key, name in (("loss", who), ("reconstruction", "reconstr."), ("kl", "KL")):
                if prefix + key in logs:
                    value = logs[prefix + key] * (-1 if key == "loss" else 1)  # what is maximised, not the loss
                    cells.append((f"{name:>9}", f"{value:9.2f}"))
        cells.append((f"{'seconds':>8}", f"{seconds:8.1f}"))
        if not self._has_header:
            if not TrainingTable._has_named_device:
                self._text.line(f"trained on: {device_name()}")
                TrainingTable._has_named_device = True
            self._text.line(" ".join(title for title, _ in cells))
            self._has_header = True
        if (epoch + 1) % self._every == 0 or epoch == self._first or epoch + 1 == self.params["epochs"]:
            self._text.line(" ".join(value for _, value in cells))

    def on_train_end(self, logs=None):
        self._text.close()
