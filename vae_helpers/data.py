"""The data: the published sets of images by name, and any images binarised and batched."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from .expect import expect
from .images import check_images, check_labels
from .sources import load_arrays

BINARIZATIONS = ("none", "threshold", "fixed", "dynamic")


@dataclass(frozen=True)
class ImageData:
    """A set of images with labels. The arrays are read-only, so that nobody changes shared data: `.copy()` them first.

    Attributes:
        name: e.g. `"MNIST"`.
        train: uint8 [n, H, W, C], grey levels 0 to 255, or those of red, green and blue.
        train_labels: whole numbers [n], classes from 0 on.
        test: as `train`, images to measure on.
        test_labels: as `train_labels`.
        label_names: what each class is called, where a folder says so (`vh.load_images`).
    """

    name: str
    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    label_names: tuple[str, ...] = ()


def load_mnist() -> ImageData:
    """MNIST (LeCun, Cortes and Burges, 1998): handwritten digits.

    The first call fetches the set and keeps it in `$VAE_DATA_DIR`, else in the user's cache folder.

    Returns:
        an `ImageData` with `train` uint8 [60000, 28, 28, 1] and `test` uint8 [10000, 28, 28, 1]; the labels, uint8
        [60000] and [10000], are the digits.

    Raises:
        DataUnavailableError: it is not in the cache and no source could be reached.
    """
    return ImageData("MNIST", *load_arrays("mnist"))


def load_fashion_mnist() -> ImageData:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): articles of clothing, in the same shapes as MNIST.

    The labels: 0 T-shirt or top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle
    boot.

    Returns:
        an `ImageData` as from `load_mnist`.

    Raises:
        DataUnavailableError: it is not in the cache and no source could be reached.
    """
    return ImageData("Fashion-MNIST", *load_arrays("fashion_mnist"))


def load_cifar10() -> ImageData:
    """CIFAR-10 (Krizhevsky, 2009, "Learning Multiple Layers of Features from Tiny Images"): photographs of ten things.

    The labels: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck. The first call
    fetches 140 to 170 MB.

    Returns:
        an `ImageData` with `train` uint8 [50000, 32, 32, 3] and `test` uint8 [10000, 32, 32, 3], in colour; labels
        uint8 [50000] and [10000].

    Raises:
        DataUnavailableError: it is not in the cache and no source could be reached.
    """
    return ImageData("CIFAR-10", *load_arrays("cifar10"))


# ---------------------------------------------------------------------------------------- binarising and batching


def binarize(images: np.ndarray, binarization: str, seed: int = 0) -> np.ndarray:
    """Scales images to [0, 1] and, unless `binarization` is `"none"`, makes every pixel 0 or 1.

    Args:
        images: uint8 [n, H, W, C], or float32 already within [0, 1]; g is the grey level scaled to [0, 1].
        binarization: `"none"`: g itself; `"threshold"`: 1 where g ≥ 0.5; `"fixed"` and `"dynamic"`: one draw from
            Bernoulli(g) a pixel (Salakhutdinov and Murray, 2008). The two differ in `batches`: "fixed" is drawn once,
            "dynamic" afresh each time an image is visited (Burda et al., 2016).
        seed: a non-negative integer; the same seed and images give the same draw.

    Returns:
        float32, the shape of `images`.

    Raises:
        TypeError: `images` are neither uint8 nor float32.
        ValueError: another shape, no image at all, a value outside [0, 1], an unknown `binarization`, a negative seed.
    """
    images = _checked(images, binarization)
    generator = np.random.default_rng(seed)
    result = np.divide(images, 255 if images.dtype == np.uint8 else 1, dtype=np.float32)
    for grey in np.split(result, range(4096, len(result), 4096)):  # in place, to keep the temporary arrays small
        if binarization == "threshold":
            np.greater_equal(grey, 0.5, out=grey)
        elif binarization != "none":
            # u is uniform on [0, 1), so u < g has probability g: never for black, always for white.
            np.less(generator.random(grey.shape, np.float32), grey, out=grey)
    return result


def batches(
    images: np.ndarray,
    batch_size: int = 100,
    binarization: str = "none",
    seed: int = 0,
    shuffle: bool = True,
    drop_remainder: bool = False,
    labels: np.ndarray | None = None,
) -> tf.data.Dataset:
    """A dataset of batches that visits every image once an epoch.

    The seed decides everything: a second dataset with the same seed repeats the first one epoch by epoch, whatever the
    number of threads and TensorFlow's global seed. Every epoch (each new iteration, and each round of `.repeat()`) has
    its own order and, with "dynamic", its own noise. "fixed" is `binarize(images, "fixed", seed)`.

    Args:
        images: uint8 [n, H, W, C], kept as uint8 in memory, or float32 within [0, 1]. Images that lie on the disk (a
            `np.memmap`, as `vh.load_images` makes of a large set) are read a minibatch at a time.
        batch_size: M, the number of images in a minibatch.
        binarization: as for `binarize`; "dynamic" draws anew each epoch.
        seed: of the order and of the draws, a whole number.
        shuffle: visit the images in a new random order each epoch, else in the order of `images`.
        drop_remainder: leave out the last n mod M images of an epoch, so that all batches have the same static shape.
        labels: whole numbers [n], the class of each image, for a model of images given labels; the order of the images
            and their noise do not change with them.

    Returns:
        a `tf.data.Dataset` of float32 [M, H, W, C], or with labels of pairs of that and int32 [M]. An epoch has
        ceil(n / M) batches, of which the last may be smaller; with `drop_remainder`, floor(n / M).

    Raises:
        TypeError: `images` are neither uint8 nor float32.
        ValueError: another shape, no image at all, a value outside [0, 1], an unknown `binarization`, a negative seed
            with "fixed", a batch size below 1, no full batch, or labels that are not one whole number an image;
            images on the disk with "threshold" or "fixed".
    """
    on_disk = isinstance(images, np.memmap)
    images = _checked(images, binarization)
    count = len(images)
    expect(1 <= batch_size == int(batch_size), f"batch_size: expected a whole number from 1 on, got {batch_size}")
    steps = count // batch_size if drop_remainder else math.ceil(count / batch_size)
    expect(steps > 0, f"batch_size: {batch_size} with drop_remainder=True leaves no batch of {count} images; use less")
    classes = None if labels is None else check_labels(labels, count)
    binarized_once = binarization in ("threshold", "fixed")
    possible = "expected 'dynamic' or 'none' for images on the disk, which cannot all be binarised at once"
    expect(not (on_disk and binarized_once), f"binarization: {possible}; got {binarization!r}")
    if binarized_once:  # the same in every epoch; a threshold needs no seed
        images = 255 * binarize(images, binarization, seed if binarization == "fixed" else 0).astype(np.uint8)
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    with tf.device("CPU"):  # tf.data runs there; a copy on a GPU would have to come back for each batch
        source = None if on_disk else tf.constant(images)  # captured by reference: it does not enter the graph
        # The epochs handed out so far. TensorFlow's own seeded datasets would also depend on the global seed.
        epochs = tf.Variable(-1, trainable=False, dtype=tf.int64)
    random = tf.random.experimental

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        seeds = (random.stateless_fold_in([seed, purpose], number) for purpose in (0, 1))
        order_seed, noise_seed = (random.stateless_fold_in(seed, 0) for seed in seeds)
        order = random.stateless_shuffle(tf.range(count), order_seed) if shuffle else tf.range(count)
        # Stateless noise: a batch's draw depends on its epoch and its number, not on which thread comes first.
        return tf.data.Dataset.range(steps).map(
            lambda step: (order[step * batch_size :][:batch_size], random.stateless_fold_in(noise_seed, step))
        )

    def batch(indices: tf.Tensor, noise_seed: tf.Tensor):
        # The disk is read by NumPy, in TensorFlow's own threads.
        pixels = tf.numpy_function(images.take, [indices, 0], images.dtype) if on_disk else tf.gather(source, indices)
        grey = tf.cast(pixels, tf.float32) / scale
        if binarization == "dynamic":
            grey = tf.cast(tf.random.stateless_uniform(tf.shape(grey), noise_seed) < grey, tf.float32)
        grey = tf.ensure_shape(grey, [batch_size if drop_remainder else None, *images.shape[1:]])
        return grey if classes is None else (grey, tf.gather(classes, indices))

    # One element, the epoch's number, counted anew by every iteration.
    numbers = tf.data.Dataset.range(1).map(lambda _: epochs.assign_add(1))
    dataset = numbers.flat_map(epoch).map(batch, num_parallel_calls=2, deterministic=True)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(4)
    # tf.data's autotuner thinks again after 10, 20, 40, … ms, and the end of an epoch often waits until it has: epochs
    # of 6.3 s took 10.3 s, the processor idle meanwhile. A batch takes well under a millisecond: nothing to be tuned.
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = dataset.with_options(options)
    dataset._epoch_counter = epochs  # also keeps the variable alive as long as the dataset
    return dataset


def epoch_counter(dataset) -> tf.Variable | None:
    """The variable in which a dataset of `batches` counts the epochs it has handed out, from −1; None for others."""
    return getattr(dataset, "_epoch_counter", None)


def _checked(images: np.ndarray, binarization: str) -> np.ndarray:
    known = ", ".join(BINARIZATIONS)
    expect(binarization in BINARIZATIONS, f"binarization: expected one of {known}; got {binarization!r}")
    return check_images(images)
