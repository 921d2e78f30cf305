"""The published sets of images that the package knows: where they are, what their files hold and how to read those."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Files = dict[str, bytes]  # the decoded files of a set, by name
IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")


@dataclass(frozen=True)
class PublishedSet:
    """What is known of a set.

    Attributes:
        name: e.g. `"MNIST"`.
        addresses: where it can be downloaded, the first choice first: folders of its files, gzip'ed, which end in "/",
            or tar archives that hold the files.
        sha256: of each decoded file, by the file's name.
        read: makes uint8 train [n, H, W, C], labels [n], test [m, H, W, C] and labels [m] of the decoded files.
    """

    name: str
    addresses: tuple[str, ...]
    sha256: dict[str, str]
    read: Callable[[Files], tuple[np.ndarray, ...]]


def read_idx(raw: bytes) -> np.ndarray:
    """IDX: two zero bytes, 8 for uint8, the number of axes, their sizes as big-endian 32-bit integers, the values."""
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
        raise ValueError(f"not an IDX file of uint8: it starts with {raw[:4].hex(' ') or 'nothing'}")
    start = 4 + 4 * raw[3]
    shape = struct.unpack(f">{raw[3]}I", raw[4:start])
    if len(raw) - start != math.prod(shape):
        raise ValueError(f"IDX header announces {list(shape)} = {math.prod(shape)} bytes, {len(raw) - start} follow")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def read_records(raw: bytes) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10's binary version: for each image one byte of label, then its red, its green and its blue plane."""
    size = 1 + 3 * 32 * 32
    if len(raw) % size:
        raise ValueError(f"not a CIFAR-10 file: expected records of {size} bytes, got {len(raw)} bytes in all")
    records = np.frombuffer(raw, np.uint8).reshape(-1, size)
    # Copies, with the channels last in memory too: what follows reads whole images, and `raw` can go.
    images = np.stack(np.split(records[:, 1:], 3, axis=1), axis=-1).reshape(-1, 32, 32, 3)
    return images, records[:, 0].copy()


def read_mnist(files: Files) -> tuple[np.ndarray, ...]:
    """MNIST, and what is laid out like it."""
    train, train_labels, test, test_labels = (read_idx(files[name]) for name in IDX_FILES)
    return train[..., None], train_labels, test[..., None], test_labels


def read_cifar10(files: Files) -> tuple[np.ndarray, ...]:
    """CIFAR-10: five files to train on, one to test on."""
    *train, test = (files[name] for name in CIFAR_FILES)
    return *read_records(b"".join(train)), *read_records(test)


PUBLISHED = {  # by the name of the sub-folder that keeps it
    "mnist": PublishedSet(
        "MNIST",
        ("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
        {
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        read_mnist,
    ),
    # Debian takes time and name out of the gzip headers; with them put back (31 August 2017, 10:50 UTC) the four files
    # have the MD5 sums that the authors publish. These are the SHA-256 sums of what they hold.
    "fashion_mnist": PublishedSet(
        "Fashion-MNIST",
        (
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        {
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        read_mnist,
    ),
    "cifar10": PublishedSet(
        "CIFAR-10",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        {
            "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        },
        read_cifar10,
    ),
}
