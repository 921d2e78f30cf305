"""Folders of pictures: what becomes of each kind of file, how they are split, and that a training takes them."""

import os
import random
import struct
import sys
import warnings
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image, ImageOps

import vae_helpers as vh
from vae_helpers import folders
from vae_helpers.folders import load_images

HEIGHT, WIDTH = 13, 21  # odd, so that a swapped axis or a wrong half shows


def noise(number: int, height: int = HEIGHT, width: int = WIDTH, channels: int = 3) -> np.ndarray:
    """A picture of its own for each number."""
    return np.random.default_rng(number).integers(0, 256, (height, width, channels), np.uint8).squeeze()


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)


def header(width: int, height: int) -> bytes:
    """A PNG that claims to be this large, without its pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return start + struct.pack(">I", 1000) + b"IDAT"


@pytest.fixture
def two_classes(tmp_path) -> Path:
    """20 pictures of b and 10 of a."""
    for number in range(30):
        save(tmp_path / "pictures" / "abb"[number % 3] / f"{number}.png", noise(number))
    return tmp_path / "pictures"


@pytest.fixture
def silent():
    """Nothing is to be warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def only(folder: Path, **options) -> np.ndarray:
    """What becomes of x.*, whichever side it falls on, when a grey picture is beside it."""
    save(folder / "other.png", np.full((8, 8), 77, np.uint8))
    data = load_images(folder, 8, **options)
    both = np.concatenate([data.train, data.test])
    return next(image for image in both if not (image == 77).all())


def warned(folder: Path, size=8, **options) -> tuple[vh.ImageData, str]:
    """The set, and the one warning."""
    with pytest.warns(UserWarning) as caught:
        data = load_images(folder, size, **options)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    return data, str(caught[0].message)


# --------------------------------------------------------------------------------------------------- what comes back


def test_what_comes_back(two_classes, silent):
    data = load_images(two_classes, (HEIGHT, WIDTH), test_share=0.4)
    assert isinstance(data, vh.ImageData)
    assert (data.name, data.label_names) == ("pictures", ("a", "b"))
    assert (data.train.shape, data.test.shape) == ((18, HEIGHT, WIDTH, 3), (12, HEIGHT, WIDTH, 3))
    assert (data.train.dtype, data.train_labels.dtype, data.test_labels.dtype) == (np.uint8, np.int32, np.int32)
    assert (np.bincount(data.train_labels).tolist(), np.bincount(data.test_labels).tolist()) == ([6, 12], [4, 8])
    # Every picture is there once, as it was, beside the label of its folder.
    of = {noise(number).tobytes(): int(number % 3 > 0) for number in range(30)}
    images, labels = [*data.train, *data.test], [*data.train_labels, *data.test_labels]
    assert {image.tobytes(): label for image, label in zip(images, labels, strict=True)} == of
    for array in (data.train, data.test, data.train_labels, data.test_labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_order_is_shuffled(two_classes):
    labels = load_images(two_classes, 8).train_labels
    assert (np.diff(labels) != 0).sum() > 2


def test_pictures_straight_in_the_folder(tmp_path, silent):
    for number in range(5):
        save(tmp_path / f"{number}.png", noise(number))
    data = load_images(f"{tmp_path}/", [HEIGHT, WIDTH])
    assert (data.name, data.label_names) == (tmp_path.name, ())
    assert (data.train_labels.tolist(), data.test_labels.tolist()) == ([0] * 4, [0])


def test_classes_have_folders_of_their_own(two_classes, silent):
    (two_classes / "a").rename(two_classes / "a, all")
    (two_classes / "a" / "deep").mkdir(parents=True)
    (two_classes / "a, all").rename(two_classes / "a" / "deep" / "deeper")
    assert np.bincount(load_images(two_classes, 8).train_labels).tolist() == [9, 18]


def test_hidden_files_are_passed_over(two_classes, silent):
    for name in (".DS_Store", "a/._0.png", ".hidden/x.png", "b/.thumbnails/x.png"):
        (two_classes / name).parent.mkdir(exist_ok=True)
        (two_classes / name).write_bytes(b"x")
    assert len(load_images(two_classes, 8).train) == 27


# -------------------------------------------------------------------------------------------------------------- pixels


def test_grey_pictures_in_colour_and_back(tmp_path):
    save(tmp_path / "x.png", noise(0, 8, 8, 1))
    assert (only(tmp_path) == noise(0, 8, 8, 1)[..., None]).all()
    assert (only(tmp_path, channels=1) == noise(0, 8, 8, 1)[..., None]).all()


def test_colour_to_grey(tmp_path):
    save(tmp_path / "x.png", np.broadcast_to(np.array([200, 100, 50], np.uint8), (8, 8, 3)).copy())
    assert abs(int(only(tmp_path, channels=1)[0, 0, 0]) - (0.299 * 200 + 0.587 * 100 + 0.114 * 50)) <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_shows_white(tmp_path, mode):
    grey = np.full((8, 8, 3), 100, np.uint8)
    alpha = np.zeros((8, 8), np.uint8)
    alpha[:, 4:6], alpha[:, 6:] = 128, 255
    image = Image.fromarray(grey).convert("RGBA")
    image.putalpha(Image.fromarray(alpha))
    if mode == "PA":  # a palette, of which one colour is transparent
        image = Image.fromarray(np.where(alpha > 128, 1, 0).astype(np.uint8)).convert("P")
        image.putpalette([9, 9, 9, 100, 100, 100])
        image.save(tmp_path / "x.png", transparency=0)
    else:
        image.convert(mode).save(tmp_path / "x.png")
    row = only(tmp_path)[0, :, 0]
    assert row[[0, 3, 6, 7]].tolist() == [255, 255, 100, 100]
    assert mode == "PA" or abs(int(row[4]) - 177) <= 1  # 100 · 128/255 + 255 · 127/255


def test_palette(tmp_path):
    numbers = np.arange(64, dtype=np.uint8).reshape(8, 8)
    image = Image.fromarray(numbers).convert("P")
    image.putpalette([value for number in range(256) for value in (255 - number, number, 3)])
    image.save(tmp_path / "x.png")
    assert Image.open(tmp_path / "x.png").mode == "P"
    expected = np.stack([255 - numbers, numbers, np.full_like(numbers, 3)], axis=-1)
    assert (only(tmp_path) == expected).all()


def test_cmyk(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "x.tif")  # red
    assert only(tmp_path)[4, 4].tolist() == [255, 0, 0]


def test_sixteen_bits(tmp_path):
    levels = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
    Image.fromarray(levels).save(tmp_path / "x.png")
    assert Image.open(tmp_path / "x.png").mode == "I;16"
    for channels in (1, 3):
        image = only(tmp_path, channels=channels)
        assert image.shape == (8, 8, channels)
        assert (image == np.rint(levels / 257)[..., None]).all()


def test_pixels_without_a_range_are_left_out(two_classes):
    for name, dtype in (("f", np.float32), ("i", np.int32)):
        Image.fromarray(noise(0)[..., 0].astype(dtype)).save(two_classes / "a" / f"{name}.tif")
    data, message = warned(two_classes)
    assert len(data.train) + len(data.test) == 30
    assert "(mode F) (1): a/f.tif" in message
    assert "(mode I) (1): a/i.tif" in message


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(tmp_path, orientation):
    upright = np.zeros((8, 8), np.uint8)
    upright[:4, :4], upright[:4, 4:], upright[4:, :4] = 240, 160, 80  # the corners tell all eight apart
    turned = {  # what a camera held in that way stores
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(tmp_path / "x.jpg", np.kron(turned, np.ones((4, 4), np.uint8)), exif=exif, quality=95)
    image = only(tmp_path, channels=1)[..., 0].astype(int)
    assert np.abs(image[[1, 1, 6, 6], [1, 6, 1, 6]] - [240, 160, 80, 0]).max() <= 6


def test_the_first_frame(tmp_path):
    frames = [Image.new("L", (8, 8), value) for value in (200, 10, 20)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert (only(tmp_path) == 200).all()


@pytest.mark.parametrize("scale", [2, 8, 100])
def test_a_jpeg_is_decoded_smaller_but_the_same(tmp_path, scale):
    """Blots with sharp edges: within 3 levels, as the module says, of the picture decoded whole."""
    blots = Image.fromarray(noise(0, 12, 16)).resize((16 * scale, 12 * scale), Image.Resampling.NEAREST)
    blots.save(tmp_path / "x.jpg", quality=90)
    whole = np.asarray(ImageOps.fit(Image.open(tmp_path / "x.jpg"), (8, 8), Image.Resampling.BILINEAR))
    assert np.abs(only(tmp_path).astype(int) - whole).max() <= 3


def test_crop_pad_and_stretch(tmp_path):
    """16 × 8 of three bands: white left and right (4 columns each), grey between."""
    bands = np.full((8, 16), 100, np.uint8)
    bands[:, :4] = bands[:, 12:] = 250
    save(tmp_path / "x.png", bands)
    grey = {way: only(tmp_path, resize=way, channels=1)[..., 0].tolist() for way in ("crop", "pad", "stretch")}
    assert grey["crop"] == [[100] * 8] * 8
    assert grey["pad"][0] == grey["pad"][7] == [0] * 8
    assert grey["pad"][4][0] == grey["pad"][4][7] == 250
    assert grey["pad"][4][4] == 100
    assert [row[0] for row in grey["stretch"]] == [row[7] for row in grey["stretch"]] == [250] * 8
    assert grey["stretch"][0][4] == 100


# ----------------------------------------------------------------------------------------------------------- bad input


def test_no_folder_and_nothing_to_split(tmp_path):
    with pytest.raises(NotADirectoryError, match=r"expected a folder that exists, got .*nowhere"):
        load_images(tmp_path / "nowhere", 8)
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match=r"expected pictures that can be read, found .*: 0 used"):
        load_images(tmp_path, 8)
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match=r"(?s)0 used.*no picture that Pillow knows \(1\): a/notes.txt"):
        load_images(tmp_path, 8)
    save(tmp_path / "a" / "x.png", noise(0))
    with pytest.raises(ValueError, match=r"one to train on and one to test on, found .*: 1 used"):
        load_images(tmp_path, 8)
    save(tmp_path / "b" / "x.png", noise(1))
    with pytest.raises(ValueError, match=r"one to train on and one to test on, found .*: 2 used"):
        load_images(tmp_path, 8)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"size": size} for size in (0, 8.5, "8", (8, 8, 3))),
        *({"test_share": share} for share in (0, 1)),
        *({"seed": seed} for seed in (-1, None)),
        {"channels": 4},
        {"resize": "fit"},
    ],
    ids=str,
)
def test_arguments_are_checked(two_classes, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name}: expected .* got "):
        load_images(**({"folder": two_classes, "size": 8} | wrong))


def test_bad_files_are_left_out_and_named_once(two_classes):
    whole = (two_classes / "a" / "0.png").read_bytes()
    (two_classes / "a" / "half.png").write_bytes(whole[: len(whole) // 2])
    save(two_classes / "a" / "whole.jpg", noise(99, 64, 64))
    whole = (two_classes / "a" / "whole.jpg").read_bytes()
    (two_classes / "a" / "whole.jpg").write_bytes(whole[: len(whole) // 2])
    for number in range(9):
        (two_classes / "b" / f"{number}.json").write_text("{}")
    (two_classes / "b" / "empty.png").write_bytes(b"")
    save(two_classes / "b" / "dot.png", noise(0, 1, 1))
    save(two_classes / "b" / "strip.png", noise(0, 40, 7))
    (two_classes / "b" / "bomb.png").write_bytes(header(20_000, 20_000))
    (two_classes / "b" / "gone.png").symlink_to("nowhere")
    (two_classes / "nothing" / "here").mkdir(parents=True)
    save(two_classes / "loose.png", noise(98))
    data, message = warned(two_classes, 32)
    assert len(data.train) + len(data.test) == 30
    assert data.label_names == ("a", "b")
    assert message.startswith("pictures: 30 used. Left out")
    for line in (
        "cannot be read, truncated or damaged (2): a/half.png, a/whole.jpg",
        "no picture that Pillow knows (10): b/0.json, b/1.json, b/2.json, b/3.json, b/4.json and 5 more",
        "smaller than a quarter of 32 × 32 pixels (2): b/dot.png, b/strip.png",
        "more pixels than Pillow decodes safely (PIL.Image.MAX_IMAGE_PIXELS) (1): b/bomb.png",
        "broken link, or no file (1): b/gone.png",
        "beside the sub-folders, which are the classes: move it into one (1): loose.png",
        "sub-folder without a picture that can be used (1): nothing",
    ):
        assert f"\n  {line}" in message
    assert message.count("\n") == 7


def test_a_picture_is_not_small_for_lying_on_its_side(two_classes, silent):
    """21 × 13 has a quarter of 60 × 4; it may have to be turned, so that 13 is not held against 60."""
    assert len(load_images(two_classes, (4, 60)).train) == 27


def test_a_file_that_may_not_be_read(two_classes, monkeypatch):
    opened = Image.open

    def refuse(path, **options):
        if str(path).endswith("3.png"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, **options)

    monkeypatch.setattr(Image, "open", refuse)
    assert "cannot be read, Permission denied (3): a/3.png, b/13.png, b/23.png" in warned(two_classes)[1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(two_classes):
    os.mkfifo(two_classes / "a" / "pipe.png")
    assert "broken link, or no file (1): a/pipe.png" in warned(two_classes)[1]


def test_photos_beside_a_folder_of_films(tmp_path):
    for number in range(4):
        save(tmp_path / f"{number}.jpg", noise(number))
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.mov").write_bytes(b"film")
    data, message = warned(tmp_path)
    assert (data.label_names, len(data.train)) == ((), 3)
    assert "sub-folder without a picture that can be used (1): films" in message


def test_pictures_between_the_limits_of_pillow_are_taken_silently(two_classes, monkeypatch, silent):
    """Pillow warns above its limit and refuses above twice that."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH - 1)
    assert len(load_images(two_classes, 8).train) == 27


def test_eps_starts_no_program(two_classes, monkeypatch):
    (two_classes / "a" / "x.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EndComments\n")
    assert "no picture that Pillow knows (1): a/x.eps" in warned(two_classes)[1]


# --------------------------------------------------------------------------------------------------------------- split


def same(left: vh.ImageData, right: vh.ImageData) -> bool:
    names = ("train", "train_labels", "test", "test_labels")
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in names)


def test_the_seed_alone_decides(two_classes, monkeypatch):
    first = load_images(two_classes, 8, seed=3)
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda *a: random.sample(found := listed(*a), len(found)))
    walked = os.walk
    monkeypatch.setattr(
        os, "walk", lambda *a, **o: ((p, f, random.sample(names, len(names))) for p, f, names in walked(*a, **o))
    )
    for threads, chunk, block in [(1, 1, 4), (7, 3, 2)]:
        monkeypatch.setattr(folders, "THREADS", threads)
        monkeypatch.setattr(folders, "CHUNK", chunk)
        monkeypatch.setattr(folders, "BLOCK", block)
        assert same(first, load_images(two_classes, 8, seed=3))
    assert not same(first, load_images(two_classes, 8, seed=4))


@pytest.mark.parametrize("seed", range(6))
def test_each_class_is_on_both_sides_whatever_is_damaged(tmp_path, seed):
    """Classes of 2, 3 and 9 readable pictures, and as many damaged ones that nobody knows beforehand."""
    counts = {"two": 2, "three": 3, "nine": 9}
    for name, count in counts.items():
        for number in range(count):
            save(tmp_path / name / f"{number}.png", noise(100 * count + number))
            whole = (tmp_path / name / f"{number}.png").read_bytes()
            (tmp_path / name / f"{number} damaged.png").write_bytes(whole[:-200])
    data, message = warned(tmp_path, test_share=0.4, seed=seed)
    assert "truncated or damaged (14)" in message
    assert data.label_names == ("nine", "three", "two")
    assert np.bincount(data.test_labels).tolist() == [4, 1, 1]
    assert np.bincount(data.train_labels).tolist() == [5, 2, 1]


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_any_share_leaves_something_on_both_sides(two_classes, share):
    data = load_images(two_classes, 8, test_share=share)
    expected = {0.01: [1, 1], 0.5: [5, 10], 0.99: [9, 19]}[share]
    assert np.bincount(data.test_labels).tolist() == expected
    assert np.bincount(data.train_labels).tolist() == [10 - expected[0], 20 - expected[1]]


def test_a_class_of_one_picture_trains(two_classes):
    save(two_classes / "rare" / "x.png", noise(99))
    data, message = warned(two_classes)
    assert (data.train_labels == 2).sum() == 1
    assert 2 not in data.test_labels
    assert "class of one picture, which is for training (1): rare" in message


def test_copies_on_both_sides_are_counted(tmp_path):
    """Six times the same picture: all three for testing are in train as well."""
    for number in range(6):
        save(tmp_path / f"{number}.png", noise(0))
    _, message = warned(tmp_path, test_share=0.5)
    assert "for testing, though equal to one in train, pixel by pixel: the test is too easy (3): " in message


# ----------------------------------------------------------------------------------------------- larger than memory


def test_a_set_on_the_disk_is_the_one_in_memory(two_classes, tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "data"))
    (two_classes / "a" / "damaged.png").write_bytes(b"x")  # leaves a gap between train and test
    in_memory = warned(two_classes, (HEIGHT, WIDTH), memory_limit=31 * HEIGHT * WIDTH * 3)[0]
    on_disk = warned(two_classes, (HEIGHT, WIDTH), memory_limit=31 * HEIGHT * WIDTH * 3 - 1)[0]
    assert not isinstance(in_memory.train, np.memmap)
    assert isinstance(on_disk.train, np.memmap)
    assert isinstance(on_disk.test, np.memmap)
    assert same(in_memory, on_disk)
    assert not on_disk.train.flags.writeable
    left, right = (vh.batches(data.train, 4, "dynamic", seed=1) for data in (in_memory, on_disk))
    for _ in range(2):  # epochs
        for x, y in zip(left, right, strict=True):
            np.testing.assert_array_equal(x, y)
    assert os.listdir(tmp_path / "data") == []  # the file has no name, and goes with the arrays


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the open files as Linux shows them")
def test_the_file_goes_with_the_arrays(two_classes, tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "data"))
    mapped = lambda: str(tmp_path / "data") in Path("/proc/self/maps").read_text()  # noqa: E731
    test = load_images(two_classes, 8, memory_limit=0).test  # one slice keeps it
    assert mapped()
    assert test.shape == (3, 8, 8, 3)
    del test
    assert not mapped()


def test_a_disk_too_small_is_an_error_before_the_work(two_classes, tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _: type("", (), {"free": 100})())
    monkeypatch.setattr(folders, "_decoded", None)
    with pytest.raises(OSError, match=r"memory_limit: expected .* GB free in .*set VAE_DATA_DIR"):
        load_images(two_classes, 8, memory_limit=0)


# ------------------------------------------------------------------------------------------------------------ training


@pytest.mark.slow
@pytest.mark.parametrize("family", [vh.mlp_vae, vh.conv_vae])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_epoch_of_odd_sizes(two_classes, small_vae, without_xla, family, channels):
    data = load_images(two_classes, (HEIGHT, WIDTH), channels=channels, memory_limit=0 if channels == 3 else 2e9)
    model = small_vae(family, image_shape=data.train.shape[1:])
    model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
    history = model.fit(vh.batches(data.train, 8), epochs=1, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert np.isfinite(vh.elbo(model, vh.binarize(data.test, "none")))
