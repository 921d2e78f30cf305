"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary file beside `path`, with its endings, that takes its place when the block ends well.

    A reader, or a second writer, sees the old file or the new one. If the block fails the temporary file is removed.

    Raises:
        OSError: the folder is not there or not writable.
    """
    path = Path(path)
    try:
        stem, suffix = path.name.split(".")[0], "".join(path.suffixes)
        handle, name = tempfile.mkstemp(prefix=f".{stem}-", suffix=suffix, dir=path.parent)
    except OSError as error:
        raise OSError(
            f"Cannot write {path}: {error.strerror}. Expected a folder that exists and is writable."
        ) from error
    os.close(handle)
    try:
        yield Path(name)
        with open(name, "rb") as file:
            os.fsync(file.fileno())  # else a power cut may leave the new name on an empty file
        os.chmod(name, 0o644)  # mkstemp's files are for their owner only
        os.replace(name, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
