"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A file of the same name in a temporary folder beside `path`, that takes its place when the block ends well.

    A reader, or a second writer, sees the old file or the new one. The temporary folder is removed, also by an error.

    Raises:
        OSError: the folder is not there or not writable.
    """
    path = Path(path)
    try:
        folder = tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent)
    except OSError as error:
        raise OSError(f"Cannot write {path}: {error.strerror}. Expected a writable folder that exists.") from error
    with folder:
        part = Path(folder.name, path.name)
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())  # else a power cut may leave the new name on an empty file
        os.replace(part, path)
