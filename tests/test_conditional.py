"""A VAE of images given labels: the same objectives and evaluation, of log p(x | y)."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_helpers as vh

CLASSES = 3
LABELS = np.arange(32) % CLASSES


@pytest.fixture(scope="module")
def labelled() -> np.ndarray:
    """32 images whose label says which of three rows is white."""
    images = np.full((32, 8, 8, 1), 0.1, np.float32)
    images[np.arange(32), 2 * LABELS + 1] = 0.9
    return images


@pytest.fixture(scope="module")
def trained(labelled):
    model = vh.mlp_vae(2, (16, 12), image_shape=(8, 8, 1), classes=CLASSES, seed=1)
    model.compile(keras.optimizers.Adam(0.02), objective=vh.sgvb_b, jit_compile=False)
    model.fit(vh.batches(labelled, 8, "dynamic", labels=LABELS), epochs=40, verbose=0)
    return model


@pytest.mark.slow
def test_samples_have_the_label_that_was_asked_for(trained):
    for label in range(CLASSES):
        with trained.given(label):
            rows = trained.sample(20, seed=0).numpy().mean(axis=(0, 2, 3))
        assert np.argmax(rows) == 2 * label + 1 and rows.max() > 0.6


def test_one_label_for_each_image_in_their_order(trained):
    labels = [2, 0, 1, 1]
    with trained.given(labels):
        rows = trained.sample(4, seed=0).numpy().mean(axis=(2, 3))
    np.testing.assert_array_equal(rows.argmax(axis=1), [2 * label + 1 for label in labels])


@pytest.mark.slow
def test_the_bound_is_of_images_given_their_labels(trained, labelled):
    """With the right label it is high, with another low, and log p(x | y) lies above it, equal to the grid's."""
    x = vh.binarize(labelled, "threshold")
    bound = vh.elbo(trained, x, samples=20, labels=LABELS)
    wrong = vh.elbo(trained, x, samples=20, labels=(LABELS + 1) % CLASSES)
    sampled = vh.log_likelihood(trained, x, samples=2000, labels=LABELS)
    assert wrong < bound - 5 and bound < sampled.mean() + 0.05
    for label in range(CLASSES):
        of_label = np.equal(LABELS, label)
        with trained.given(label):
            exact = vh.log_likelihood_on_grid(trained, x[of_label], points=200)
        np.testing.assert_allclose(sampled[of_label], exact, atol=0.2)


def test_labels_go_with_their_images_through_chunks(small_vae, labelled):
    """More images than one chunk: the same as one label at a time."""
    model = small_vae(classes=CLASSES)
    x, labels = np.tile(labelled, (70, 1, 1, 1)), np.tile(LABELS, 70)
    kls = np.zeros(2)
    for label in range(CLASSES):
        with model.given(label):
            kls += vh.kl_per_dimension(model, x[labels == label]) * np.mean(labels == label)
    np.testing.assert_allclose(vh.kl_per_dimension(model, x, labels=labels), kls, rtol=1e-4)
    with model.given(labels):
        variances = np.var(model.posterior(x).mean(), axis=0)
    assert vh.active_units(model, x, variances.min() * 1.01, labels=labels) == 1


@pytest.mark.parametrize("objective", [vh.sgvb_a, vh.sgvb_b, vh.sticking_the_landing, vh.iwae, vh.score_function])
def test_every_objective_takes_several_samples(small_vae, labelled, objective):
    """Labels given around a block stay where `using` changes the noise, and the value hangs on them."""
    model = small_vae(classes=CLASSES)

    def values(labels):
        with model.given(labels), model.using(keras.random.SeedGenerator(1)):
            return objective(model, labelled, 4).numpy()

    right, others = values(LABELS), values((LABELS + 1) % CLASSES)
    assert right.shape == (32,) and np.isfinite(right).all()
    assert np.mean(np.isclose(right, others)) < 0.1


def test_the_decoder_sees_the_label_of_each_sample(small_vae):
    """p(x | z, y) of [L, n, J] equals that of each image alone."""
    model = small_vae(classes=CLASSES)
    z = np.random.default_rng(0).normal(size=(5, 3, 2)).astype(np.float32)
    with model.given([2, 0, 1]):
        together = model.likelihood(z).mean().numpy()
    for image, label in enumerate([2, 0, 1]):
        with model.given(label):
            np.testing.assert_allclose(together[:, image], model.likelihood(z[:, image]).mean(), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("xla", [False, True])
def test_arrays_and_datasets_train_alike(small_vae, labelled, monkeypatch, xla):
    """Also where XLA joins several steps to one program."""
    monkeypatch.setattr(vh.VAE, "prefers_xla", xla)
    results = []
    for data in ((labelled, LABELS), (tf.data.Dataset.from_tensor_slices((labelled, LABELS)).batch(4), None)):
        model = small_vae(classes=CLASSES)
        model.compile("sgd", objective=vh.sgvb_b, steps_per_execution=4 if xla else 1)
        options = {"batch_size": 4, "shuffle": False} if data[1] is not None else {}
        validation = {"validation_data": (labelled, LABELS), "validation_batch_size": 8}
        model.fit(*data, epochs=2, verbose=0, **validation, **options)
        results.append(model.history.history)
        np.testing.assert_array_equal(model.seen, 1)
    for name in ("loss", "val_loss", "kl"):
        np.testing.assert_allclose(results[0][name], results[1][name], rtol=1e-5)


def test_batches_with_labels_are_the_same_images(labelled):
    plain = list(vh.batches(labelled, 8, "dynamic", seed=3))
    pairs = list(vh.batches(labelled, 8, "dynamic", seed=3, labels=LABELS))
    for x, (again, labels) in zip(plain, pairs, strict=True):
        np.testing.assert_array_equal(x, again)
        assert labels.dtype == tf.int32
    grey = np.concatenate([x for x, _ in vh.batches(labelled, 8, labels=LABELS)])
    labels = np.concatenate([labels for _, labels in vh.batches(labelled, 8, labels=LABELS)])
    np.testing.assert_array_equal(grey.mean(axis=(2, 3)).argmax(axis=1), 2 * labels + 1)


def test_saved_and_exported(trained, labelled, tmp_path):
    """Predictions, noise and the classes seen come back; the export runs without the class."""
    before = trained.predict((labelled, LABELS), verbose=0)
    dataset = vh.batches(labelled, 8, labels=LABELS, shuffle=False)
    np.testing.assert_allclose(trained.predict(dataset, verbose=0), before, atol=1e-5)
    trained.save(tmp_path / "model.keras")
    trained.export(tmp_path / "served", verbose=False)
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again, vh.ConditionalVAE) and again.classes == CLASSES
    np.testing.assert_array_equal(again.seen, trained.seen)
    np.testing.assert_allclose(again.predict((labelled, LABELS), verbose=0), before, atol=1e-5)
    served = tf.saved_model.load(tmp_path / "served")  # TensorFlow drops what nobody holds
    pixels = served.serve((labelled, LABELS.astype(np.int32)))
    np.testing.assert_allclose(pixels, before, atol=1e-5)


def test_a_class_that_was_never_seen_is_named(small_vae, labelled):
    model = small_vae(classes=CLASSES)
    model.given(2)  # nothing was trained on: no warning
    model.compile("adam", objective=vh.sgvb_b)
    model.fit(labelled[LABELS != 2], LABELS[LABELS != 2], verbose=0)
    model.given([0, 1])
    with pytest.warns(UserWarning, match="No image of class 2"):
        model.given([0, 2, 1])


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda m, x: m.sample(3), ValueError, r"with model\.given"),
        (lambda m, x: vh.elbo(m, x), ValueError, r"labels=\.\.\."),
        (lambda m, x: vh.elbo(m, x, labels=LABELS[:3]), ValueError, "one for each of 32"),
        (lambda m, x: m.fit(x), ValueError, r"expected fit\(x, y\), got no y"),
        (lambda m, x: m.predict(x), ValueError, r"expected predict\(\(x, y\)\), got no y"),
        (lambda m, x: m.fit(x, LABELS.astype(float)), TypeError, "whole numbers"),
        (lambda m, x: m.fit(x, LABELS + 1), ValueError, "expected 0 to 2, got 3; np.unique"),
        (lambda m, x: m.fit(x, LABELS, sample_weight=LABELS), ValueError, "given labels.*sample_weight"),
        (lambda m, x: m.fit(vh.batches(x, 8)), ValueError, r"\(images, labels\), got images alone"),
        (lambda m, x: m.fit(vh.batches(x, 8, labels=LABELS + 1)), tf.errors.InvalidArgumentError, "labels from 0 to 2"),
        (lambda m, x: m.given(3), ValueError, "expected 0 to 2, got 3"),
        (lambda m, x: m.given(-1), ValueError, "from 0 on, got -1"),
        (lambda m, x: vh.batches(x, 8, labels=LABELS[:5]), ValueError, "one for each of 32"),
        (lambda m, x: vh.elbo(vh.mlp_vae(image_shape=(8, 8, 1)), x, labels=LABELS), ValueError, "ConditionalVAE"),
        (lambda m, x: vh.checkup(m, x, x), ValueError, "images alone; a ConditionalVAE cannot"),
        (lambda m, x: vh.mlp_vae(classes=0), ValueError, "at least 1"),
    ],
)
def test_wrong_labels_are_refused(small_vae, labelled, without_xla, use, error, message):
    model = small_vae(classes=CLASSES)
    model.compile("adam", objective=vh.sgvb_b)
    with pytest.raises(error, match=message):
        use(model, labelled)


def test_as_many_labels_as_pictures(small_vae, labelled):
    model = small_vae(classes=CLASSES)
    with model.given([0, 1, 2]), pytest.raises(ValueError, match="each of 8 images, got 3"):
        model.sample(8)
    with model.given([0, 1, 2]), pytest.raises(ValueError, match="each of 6 images, got 3"):
        model.reconstruct(labelled[:6])  # not labels 0, 1, 2 twice


def test_networks_that_do_not_fit_together(small_vae):
    model, other = small_vae(classes=3), small_vae(classes=4)
    with pytest.raises(ValueError, match="labels"):
        vh.ConditionalVAE(model.encoder, other.decoder)
    with pytest.raises(ValueError, match="inputs and outputs"):
        vh.ConditionalVAE(small_vae().encoder, model.decoder)
    with pytest.raises(ValueError, match="inputs and outputs"):
        vh.VAE(model.encoder, model.decoder)


def test_convolutions_of_odd_sizes(without_xla):
    model = vh.conv_vae(3, (4, 6), image_shape=(13, 21, 3), classes=CLASSES, seed=0)
    model.compile("adam", objective=vh.iwae, samples=2)
    model.fit(np.zeros((32, 13, 21, 3), np.float32), LABELS, verbose=0)
    with model.given(1):
        assert model.sample(2).shape == (2, 13, 21, 3)
