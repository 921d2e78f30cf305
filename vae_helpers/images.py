"""What an image is to this package: float32 in [0, 1], shape [n, H, W, C]; the one place where that is checked."""

from __future__ import annotations

import types
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf


def check_images(images: np.ndarray, name: str = "images") -> np.ndarray:
    """Returns `images` as a NumPy array, if they are a non-empty batch of images that this package understands.

    Args:
        images: [n, H, W, C], either uint8 grey levels 0 to 255 or float32 within [0, 1].
        name: what to call them in an error.

    Raises:
        TypeError: another dtype.  ValueError: another shape, no image at all, a value outside [0, 1] or NaN.
    """
    images = np.asarray(images)
    if images.dtype not in (np.uint8, np.float32):
        raise TypeError(
            f"{name}: expected uint8 grey levels or float32 within [0, 1], got {images.dtype}; "
            'convert with .astype("float32") after scaling to [0, 1], or with .astype("uint8") for 0 to 255'
        )
    if images.ndim != 4:
        advice = {
            2: "unflatten with .reshape(-1, H, W, C), for MNIST (-1, 28, 28, 1)",
            3: "add the channel with [..., None], or the batch axis with [None] if this is one image",
        }.get(images.ndim, "reshape it")
        raise ValueError(f"{name}: expected shape [n, H, W, C], got {list(images.shape)}; {advice}")
    if images.size == 0:
        raise ValueError(f"{name}: expected at least one image, got shape {list(images.shape)}; check the slice")
    if images.dtype == np.float32:
        low, high = images.min(), images.max()
        if not (low >= 0 and high <= 1):  # written so that NaN fails too
            raise ValueError(
                f"{name}: expected float32 within [0, 1], got values from {low:g} to {high:g}; "
                "divide grey levels by 255, or pass them as uint8"
            )
    return images


def as_model_input(x: np.ndarray | tf.Tensor, image_shape: Sequence[int]) -> tf.Tensor:
    """`x` as a tensor, if it is a batch of float32 images of one model; in a graph only shape and dtype are seen.

    Raises:
        ValueError, TypeError: it is not; the message says what came and what to do.
    """
    symbolic = tf.is_tensor(x) and tf.is_symbolic_tensor(x)
    if not symbolic:
        check_images(x)
        x = tf.convert_to_tensor(x)
    if x.dtype != tf.float32 or not x.shape[1:].is_compatible_with(image_shape):
        raise ValueError(
            f"Expected float32 images {['n', *image_shape]} in [0, 1], got {x.dtype.name} {x.shape}. "
            "Use vh.batches or vh.binarize, which turn grey levels into floats."
        )
    return x


def watched(source):
    """Images in any container that Keras takes, as they are: an array is checked now, minibatches when they come."""
    if isinstance(source, (np.ndarray, tf.Tensor)):
        check_images(source)
    elif isinstance(source, tf.data.Dataset):
        return source.map(_checked_in_a_graph)
    elif isinstance(source, keras.utils.PyDataset):
        return _WatchedPyDataset(source)
    elif isinstance(source, types.GeneratorType):
        return (_checked_minibatch(minibatch) for minibatch in source)
    return source


def _checked_minibatch(minibatch):
    check_images(keras.utils.unpack_x_y_sample_weight(minibatch)[0], "a minibatch")
    return minibatch


def _checked_in_a_graph(x: tf.Tensor, *rest):
    """A minibatch of a dataset. Its pixels are looked at here, on the way, where XLA compiles nothing."""
    if tf.is_tensor(x) and x.dtype.is_floating:
        low, high = tf.reduce_min(x), tf.reduce_max(x)
        message = ("Expected images with pixels in [0, 1], got from", low, "to", high)
        advice = "in a minibatch. Divide grey levels by 255, or use vh.batches."
        with tf.control_dependencies([tf.debugging.Assert((low >= 0) & (high <= 1), [*message, advice])]):
            x = tf.identity(x)
    return (x, *rest) if rest else x


class _WatchedPyDataset(keras.utils.PyDataset):
    def __init__(self, source: keras.utils.PyDataset):
        super().__init__(source.workers, source.use_multiprocessing, source.max_queue_size)
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int):
        return _checked_minibatch(self._source[index])

    def on_epoch_begin(self) -> None:
        self._source.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._source.on_epoch_end()
