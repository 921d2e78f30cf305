"""What an image is to this package: float32 in [0, 1], shape [n, H, W, C]; the one place where that is checked."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import keras
import numpy as np
import tensorflow as tf

from .expect import expect


def check_images(images: np.ndarray, name: str = "images") -> np.ndarray:
    """Returns `images` as a NumPy array, if they are a non-empty batch of images that this package understands.

    Args:
        images: [n, H, W, C], either uint8 grey levels 0 to 255 or float32 within [0, 1].
        name: what to call them in an error.

    Raises:
        TypeError: another dtype.  ValueError: another shape, no image at all, a value outside [0, 1] or NaN.
    """
    images = np.asarray(images)
    advice = "join minibatches by np.concatenate" if images.dtype == object else "convert by .astype('float32')"
    needs = f"uint8 grey levels or float32 within [0, 1], got {images.dtype}; {advice}"
    expect(images.dtype in (np.uint8, np.float32), f"{name}: expected {needs}", TypeError)
    advice = "add the channel with [..., None], the batch axis with [None], or unflatten with .reshape(-1, H, W, C)"
    expect(images.ndim == 4, f"{name}: expected shape [n, H, W, C], got {list(images.shape)}; {advice}")
    expect(images.size > 0, f"{name}: expected at least one image, got shape {list(images.shape)}; check the slice")
    low, high = (images.min(), images.max()) if images.dtype == np.float32 else (0, 1)
    found = f"got values from {low:g} to {high:g}; divide grey levels by 255, or pass them as uint8"
    expect(low >= 0 and high <= 1, f"{name}: expected float32 within [0, 1], {found}")  # NaN fails too
    return images


def check_labels(labels: np.ndarray, count: int, classes: int | None = None) -> np.ndarray:
    """Returns `labels` as int32 [n], if they are the classes of n = `count` images.

    Args:
        labels: whole numbers [n], from 0 on.
        count: n.
        classes: how many the model knows; `None`: any number.

    Raises:
        TypeError: they are no whole numbers.  ValueError: more or fewer than images, or one out of range.
    """
    labels = np.asarray(labels)
    advice = "; np.unique(labels, return_inverse=True)[1] numbers them"
    expect(labels.dtype.kind in "iu", f"labels: expected whole numbers, got {labels.dtype}{advice}", TypeError)
    expect(labels.shape == (count,), f"labels: expected one for each of {count} images, got shape {labels.shape}")
    low, high = labels.min(), labels.max()
    expect(low >= 0, f"labels: expected classes from 0 on, got {low}{advice}")
    expect(classes is None or high < classes, f"labels: expected 0 to {(classes or 0) - 1}, got {high}{advice}")
    return labels.astype(np.int32)


def as_model_input(x: np.ndarray | tf.Tensor, image_shape: Sequence[int]) -> tf.Tensor:
    """`x` as a tensor, if it is a batch of float32 images of one model; in a graph only shape and dtype are seen.

    Raises:
        ValueError, TypeError: it is not; the message says what came and what to do.
    """
    if not tf.is_symbolic_tensor(x):
        check_images(x)
        x = tf.convert_to_tensor(x)
    message = f"Expected float32 images {['n', *image_shape]} in [0, 1], got {x.dtype.name} {x.shape}. Use vh.binarize."
    expect(x.dtype == tf.float32 and x.shape[1:].is_compatible_with(image_shape), message)
    return x


def watched(source, classes: int | None = None):
    """Images in any container that Keras takes, as they are: an array is checked now, minibatches when they come.

    Args:
        source: the images, or minibatches of them.
        classes: of a model of images given labels; then each minibatch is a pair of images and labels below this.

    Returns:
        the source, or one that yields the same and looks at each minibatch.

    Raises:
        ValueError, TypeError: of an array, now: it holds no images; of minibatches, when one comes that does not.
    """
    if isinstance(source, (np.ndarray, tf.Tensor)):
        check_images(source)
    elif isinstance(source, tf.data.Dataset):
        return source.map(lambda *minibatch: _checked(minibatch if len(minibatch) > 1 else minibatch[0], classes))
    elif isinstance(source, keras.utils.PyDataset):
        return _WatchedPyDataset(source, classes)
    elif isinstance(source, Generator):
        return (_checked(minibatch, classes) for minibatch in source)
    return source


def _checked(minibatch, classes: int | None):
    """A minibatch as it is. Those of a dataset are looked at in its graph, on the way, where XLA compiles nothing."""
    x, labels, _ = keras.utils.unpack_x_y_sample_weight(minibatch)
    expect(classes is None or labels is not None, "Expected minibatches of (images, labels), got images alone.")
    if not tf.is_symbolic_tensor(x):
        check_images(x, "a minibatch")
        if classes is not None:
            check_labels(labels, len(x), classes)
        return minibatch
    if x.dtype.is_floating:
        low, high = tf.reduce_min(x), tf.reduce_max(x)
        found = [low, "to", high, "in a minibatch. Divide grey levels by 255, or use vh.batches."]
        tf.debugging.Assert((low >= 0) & (high <= 1), ["Expected images with pixels in [0, 1], got from", *found])
    if classes is not None:
        expect(labels.dtype.is_integer, f"labels: expected whole numbers, got {labels.dtype.name}", TypeError)
        known = tf.reduce_all((labels >= 0) & (labels < classes))
        tf.debugging.Assert(known, [f"Expected labels from 0 to {classes - 1}, got in a minibatch", labels])
    return minibatch


class _WatchedPyDataset(keras.utils.PyDataset):
    def __init__(self, source: keras.utils.PyDataset, classes: int | None):
        super().__init__(source.workers, source.use_multiprocessing, source.max_queue_size)
        self._source, self._classes = source, classes
        self.on_epoch_begin, self.on_epoch_end = source.on_epoch_begin, source.on_epoch_end

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int):
        return _checked(self._source[index], self._classes)
