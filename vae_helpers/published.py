"""The published sets of images that the package knows: where they are, what their files hold and how to read those."""

import tomllib
from pathlib import Path

import numpy as np

Files = dict[str, bytes]  # the decoded files of a set, by name, in the order of published.toml

# By the name of a set: its addresses, and the SHA-256 of each decoded file.
PUBLISHED = tomllib.loads(Path(__file__).with_name("published.toml").read_text(encoding="utf-8"))


def read_idx(raw: bytes) -> np.ndarray:
    """IDX: two zero bytes, 8 for uint8, the number of axes, their sizes as big-endian 32-bit integers, the values."""
    shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def read_records(raw: bytes) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10's binary version: for each image one byte of label, then its red, its green and its blue plane."""
    records = np.frombuffer(raw, [("label", "u1"), ("planes", "u1", (3, 32, 32))])
    # Copies, with the channels last in memory too: what follows reads whole images, and `raw` can go.
    return records["planes"].transpose(0, 2, 3, 1).copy(), records["label"].copy()


def read_arrays(files: Files) -> tuple[np.ndarray, ...]:
    """Of a set's decoded files: uint8 train [n, H, W, C], labels [n], test [m, H, W, C] and labels [m].

    Raises:
        ValueError: a file whose length is not what its header or its format says.
    """
    if "test_batch.bin" in files:  # CIFAR-10: five files to train on, one to test on
        *train, test = files.values()
        return *read_records(b"".join(train)), *read_records(test)
    train, train_labels, test, test_labels = map(read_idx, files.values())  # MNIST, and what is laid out like it
    return train[..., None], train_labels, test[..., None], test_labels
