"""The data: the real sets, binarised and batched as `vae_helpers/data.py` says."""

import numpy as np
import pytest
import tensorflow as tf

from vae_helpers import data, sources

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


def test_cifar10_is_cifar10():
    folder = sources.data_folder() / "cifar10"
    if len(list(folder.glob("*.bin.gz"))) < 6:
        pytest.skip("CIFAR-10 (170 MB) is not in the cache folder: `python tools/fetch_data.py cifar10` fetches it")
    images = data.load_cifar10()
    assert images.name == "CIFAR-10"
    assert (images.train.shape, images.test.shape) == ((50000, 32, 32, 3), (10000, 32, 32, 3))
    assert images.train.dtype == images.train_labels.dtype == np.uint8
    assert np.bincount(images.train_labels).tolist() == [5000] * 10
    assert np.bincount(images.test_labels).tolist() == [1000] * 10
    assert images.train_labels[:5].tolist() == [6, 9, 9, 4, 1]
    means = [0.4914, 0.4822, 0.4465]  # of red, green, blue: what every PyTorch example normalises by
    np.testing.assert_allclose(images.train.mean(axis=(0, 1, 2)) / 255, means, atol=5e-5)


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


def test_images_in_colour_keep_their_channels():
    colour = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), np.uint8)
    grey = colour / np.float32(255)
    np.testing.assert_array_equal(data.binarize(colour, "none"), grey)
    np.testing.assert_array_equal(data.binarize(colour, "threshold"), grey >= 0.5)
    dataset = data.batches(colour, 4, shuffle=False)
    assert dataset.element_spec.shape.as_list() == [None, 32, 32, 3]
    np.testing.assert_array_equal(np.concatenate(list(dataset.as_numpy_iterator())), grey)
    for binarization in ("fixed", "dynamic"):
        (x,) = data.batches(colour, 10, binarization, shuffle=False).as_numpy_iterator()
        assert x.shape == colour.shape and set(np.unique(x)) == {0, 1}
        assert (x[..., 0] != x[..., 1]).any() and np.corrcoef(x.ravel(), grey.ravel())[0, 1] > 0.5


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
        (GOOD.reshape(2, -1), ValueError, r"got \[2, 784\]; .* or unflatten with \.reshape"),
        (GOOD[:0], ValueError, r"at least one image, got shape \[0, 28, 28, 1\]"),
        (GOOD.astype(np.float64), TypeError, "uint8 grey levels or float32 .* got float64; convert"),
        (GOOD.astype(np.float16), TypeError, "got float16; convert"),
        (GOOD.astype(np.int64), TypeError, "got int64"),
        (tf.data.Dataset.from_tensors(GOOD), TypeError, "join minibatches by np.concatenate"),
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


@pytest.mark.parametrize("size", [0, -3, 1.5])
def test_a_batch_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match=f"batch_size: expected a whole number from 1 on, got {size}"):
        data.batches(GOOD, size)


def test_dropping_the_only_batch_is_refused():
    with pytest.raises(ValueError, match="3 with drop_remainder=True leaves no batch of 2 images"):
        data.batches(GOOD, 3, drop_remainder=True)
