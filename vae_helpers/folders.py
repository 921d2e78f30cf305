"""A folder of any pictures as a set of images: decoded by Pillow, brought to one size, split in train and test."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .data import ImageData
from .expect import expect
from .sources import data_folder

THREADS = min(16, os.cpu_count() or 1)  # a photo of 12 megapixels takes 40 MB while it is decoded
CHUNK = 16  # pictures that a thread hands over together: each time it waits for Python's lock
BLOCK = 16  # chunks asked for at once: pictures that are decoded but not yet stored take memory too
SHOWN = 5  # files named with each remark of the warning
RESIZE = {"crop": ImageOps.fit, "pad": ImageOps.pad, "stretch": Image.Image.resize}
NO_RANGE = ("I", "F", "LAB")  # Pillow's modes whose black and white the file does not tell
# A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size while its sides stay four times those wanted: two to three
# times as fast for a photo, and within 3 grey levels.
SPARE = 4

Remarks = dict[str, list[str]]  # what is to be said, and of which files


def load_images(
    folder: str | os.PathLike,
    size: int | Sequence[int],
    channels: int = 3,
    resize: str = "crop",
    test_share: float = 0.1,
    seed: int = 0,
    memory_limit: float = 2e9,
) -> ImageData:
    """The pictures below a folder, all of one size, for training and testing.

    Each sub-folder that holds files is a class, with all that lies below it. Without sub-folders the pictures straight
    in the folder are one class without a name; beside sub-folders with pictures they are left out. Hidden files and
    folders are passed over. A picture is turned as its EXIF data say, transparency is laid on white, 16-bit grey is
    scaled to 8 bits, and of several frames the first is taken. What cannot be used is left out, and one warning names
    it. For the HEIC files of phones, install `pillow-heif` and call its `register_heif_opener()` first.

    Args:
        folder: where the pictures are, in any format that Pillow reads (but EPS, which would start another program).
        size: H, W in pixels, or one number for both.
        channels: C, 1 for grey or 3 for red, green and blue.
        resize: how a picture of another shape is fitted: `"crop"` cuts its longer side about the middle, `"pad"` adds
            black bars, `"stretch"` distorts it.
        test_share: the share of each class that is held back for testing: at least one picture of each class, and at
            least one stays in train.
        seed: of the split and of the order, a non-negative integer. The same files and seed give the same arrays.
        memory_limit: bytes. Where the pixels, n·H·W·C bytes, take more, they lie in a nameless file in
            `$VAE_DATA_DIR`, else in the user's cache folder, which goes when the arrays go; `vh.batches` reads them
            from there.

    Returns:
        an `ImageData` with the folder's name, uint8 [n, H, W, C] in a shuffled order (`np.memmap` beyond
        `memory_limit`), int32 labels [n], and in `label_names` the sorted names of the sub-folders; () without any.

    Raises:
        NotADirectoryError: `folder` is none.
        ValueError: no class with two readable pictures, or another argument that is not as above.
        OSError: the pixels do not fit on the disk.
    """
    folder, sides = Path(folder).expanduser(), np.array([size, size] if np.ndim(size) == 0 else size)
    expect(folder.is_dir(), f"folder: expected a folder that exists, got {folder}", NotADirectoryError)
    whole = sides.shape == (2,) and sides.dtype.kind in "iu" and sides.min() > 0
    expect(whole, f"size: expected H, W in pixels, or one number for both; got {size!r}")
    expect(channels in (1, 3), f"channels: expected 1 (grey) or 3 (red, green, blue), got {channels}")
    expect(resize in RESIZE, f"resize: expected one of {', '.join(RESIZE)}; got {resize!r}")
    expect(0 < test_share < 1, f"test_share: expected a share between 0 and 1, got {test_share}")
    expect(isinstance(seed, (int, np.integer)) and seed >= 0, f"seed: expected a non-negative integer, got {seed}")
    remarks: Remarks = defaultdict(list)
    candidates = _candidates(folder, remarks)
    files = [candidates[index] for index in np.random.default_rng(seed).permutation(len(candidates))]
    pixels = _empty((len(files), *sides.tolist(), channels), memory_limit)
    Image.init()  # here: two threads that load its formats at once may each miss some
    with warnings.catch_warnings(), ThreadPoolExecutor(THREADS) as pool:
        warnings.simplefilter("ignore")  # Pillow's: odd files, and large ones below the size that it refuses
        formats = ["JPEG", "PNG", *sorted(Image.OPEN.keys() - {"JPEG", "PNG", "EPS"})]  # tried in this order
        decode = partial(_decoded, str(folder), formats, pixels.shape[1:], RESIZE[resize])
        chunks = [map(decode, files[start : start + CHUNK]) for start in range(0, len(files), CHUNK)]
        blocks = (pool.map(list, chunks[start : start + BLOCK]) for start in range(0, len(chunks), BLOCK))
        pictures = (picture for block in blocks for chunk in block for picture in chunk)
        train, test = _fill(pixels, files, pictures, test_share, remarks)
    names = sorted({_class(file) for file in train})  # each class has its first picture there
    if alone := set(names) - {"", *map(_class, test)}:
        remarks["class of one picture, which is for training"] = [*alone]
    if without := {path.name for path in _visible(folder) if path.is_dir()} - {*names}:
        remarks["sub-folder without a picture that can be used"] = [*without]
    told = f"{folder.resolve().name}: {len(train) + len(test):,} used{_told(remarks)}"
    expect(len(train) > 0, f"folder: expected pictures that can be read, found {told}")
    expect(len(test) > 0, f"folder: expected two pictures of a class, one to train on and one to test on, found {told}")
    if remarks:
        warnings.warn(told, stacklevel=2)
    labels = [np.array([names.index(_class(file)) for file in side], np.int32) for side in (train, test)]
    for array in (pixels, *labels):
        array.flags.writeable = False
    for_test, label_names = pixels[len(pixels) - len(test) :], () if names == [""] else tuple(names)
    return ImageData(folder.resolve().name, pixels[: len(train)], labels[0], for_test, labels[1], label_names)


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _class(file: str) -> str:
    """The name of the sub-folder, "" without one."""
    return file.rpartition("/")[0].partition("/")[0]


def _candidates(folder: Path, remarks: Remarks) -> list[str]:
    """The files that may be pictures, as sorted paths below `folder` with "/". As in Keras, a link in `folder` to
    another folder is a class; further down links are not followed."""

    def unreadable(error: OSError) -> None:
        remarks[f"folder that cannot be read, {error.strerror}"].append(error.filename)

    found = [path for path in _visible(folder) if not path.is_dir()]
    for sub in filter(Path.is_dir, _visible(folder)):
        for place, folders, names in os.walk(sub, onerror=unreadable):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [Path(place, name) for name in names if not name.startswith(".")]
    files = sorted(path.relative_to(folder).as_posix() for path in found)
    loose, nested = ([file for file in files if bool(_class(file)) == inside] for inside in (False, True))
    known = Image.registered_extensions()
    loose_ones, nested_ones = (any(Path(file).suffix.lower() in known for file in side) for side in (loose, nested))
    if not nested or (loose_ones and not nested_ones):  # photos, and a sub-folder of films
        return loose
    if loose:
        remarks["beside the sub-folders, which are the classes: move it into one"] = loose
    return nested


def _empty(shape: tuple[int, ...], memory_limit: float) -> np.ndarray:
    """uint8 of that shape: in memory, or beyond `memory_limit` bytes in a file without a name."""
    if math.prod(shape) <= memory_limit:
        return np.empty(shape, np.uint8)
    (folder := data_folder()).mkdir(parents=True, exist_ok=True)  # not the temporary one, which may lie in memory
    needed, free = math.prod(shape) / 1e9, shutil.disk_usage(folder).free / 1e9
    # A full disk ends a program that writes to a mapped file, without an error that Python could show.
    room = f"expected {needed:.1f} GB free in {folder}, found {free:.1f}; set VAE_DATA_DIR to a folder on another disk"
    expect(needed < free, f"memory_limit: {room}", OSError)
    with tempfile.TemporaryFile(dir=folder) as file:  # the map keeps it open
        return np.memmap(file, np.uint8, "w+", shape=shape)


def _decoded(folder: str, formats: list[str], shape: tuple[int, ...], resize: Callable, file: str) -> np.ndarray | str:
    """uint8 [H, W, C], or why not. Whatever a decoder raises, the other pictures are still wanted."""
    if not os.path.isfile(path := os.path.join(folder, file)):
        return "broken link, or no file"  # a pipe would be waited for
    try:
        with Image.open(path, formats=formats) as image:
            sides = zip(sorted(image.size), sorted(shape[:2]), strict=True)  # sorted: it may have to be turned
            if any(4 * has < wanted for has, wanted in sides):
                return f"smaller than a quarter of {shape[0]} × {shape[1]} pixels"
            if image.mode in NO_RANGE:
                return f"no clear range of grey levels (mode {image.mode})"
            image.draft(None, (SPARE * max(shape), SPARE * max(shape)))
            ImageOps.exif_transpose(image, in_place=True)
            image = _converted(image, "L" if shape[2] == 1 else "RGB")
            # Bilinear as in Keras, but over all pixels that fall on one; never darker or lighter than the picture.
            return np.asarray(resize(image, (shape[1], shape[0]), Image.Resampling.BILINEAR)).reshape(shape)
    except UnidentifiedImageError:
        return "no picture that Pillow knows"
    except (Image.DecompressionBombError, MemoryError):
        return "more pixels than Pillow decodes safely (PIL.Image.MAX_IMAGE_PIXELS)"
    except Exception as error:
        return f"cannot be read, {getattr(error, 'strerror', None) or 'truncated or damaged'}"


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """The picture in `mode`, "L" (grey) or "RGB"; what is transparent shows white."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))  # 65535 = 255 · 257
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)  # converting would copy


def _fill(
    pixels: np.ndarray, files: list[str], pictures: Iterable, test_share: float, remarks: Remarks
) -> tuple[list[str], list[str]]:
    """Puts pictures for training into `pixels` from the front and those for testing from the back, so that each side
    is one piece whatever fails. Returns the files of both."""
    train, test, hashes, seen, tested = [], [], {}, Counter(), Counter()
    for file, picture in zip(files, pictures, strict=True):
        if isinstance(picture, str):
            remarks[picture].append(file)
            continue
        # The first of its class trains, the second tests, and then testing has its share of those that could be read.
        name = _class(file)
        seen[name] += 1
        tests = seen[name] > 1 and tested[name] < max(1, round(test_share * seen[name]))
        tested[name] += tests
        pixels[len(pixels) - 1 - len(test) if tests else len(train)] = picture
        (test if tests else train).append(file)
        hashes[file] = hashlib.blake2b(picture, digest_size=16).digest()
    known = {hashes[file] for file in train}
    if twice := [file for file in test if hashes[file] in known]:
        remarks["for testing, though equal to one in train, pixel by pixel: the test is too easy"] = twice
    return train, test[::-1]


def _told(remarks: Remarks) -> str:
    """A line for each remark, with the first files that it is about."""
    lines = [". Left out, or to be looked at:"] if remarks else []
    for remark, files in remarks.items():
        more = f" and {len(files) - SHOWN:,} more" if len(files) > SHOWN else ""
        lines.append(f"  {remark} ({len(files):,}): {', '.join(sorted(files)[:SHOWN])}{more}")
    return "\n".join(lines)
