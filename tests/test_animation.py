"""Films: what the callbacks collect, what the painters draw, and what the writers leave on the disk."""

import signal
import stat

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

import vae_helpers as vh
from vae_helpers import animation
from vae_helpers.animation import Snapshot, Stage

COLORS = np.array([to_rgb(color) for color in vh.DIGIT_COLORS])


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 28, 28, 1), np.uint8)


@pytest.fixture(scope="module")
def x(images) -> np.ndarray:
    return vh.binarize(images, "none", seed=0)


@pytest.fixture
def model(without_xla) -> vh.VAE:
    model = vh.mlp_vae(hidden=(8,), seed=0)
    model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
    return model


def film_strip(count: int = 5, height: int = 20, width: int = 30) -> list[np.ndarray]:
    """Frames in colour that all differ."""
    frames = [np.full((height, width, 3), 255, np.uint8) for _ in range(count)]
    for number, frame in enumerate(frames):
        frame[3:8, number : number + 4] = 255 * COLORS[number % 10]
    return frames


def decode(path) -> tuple[list[np.ndarray], list[int]]:
    """The frames of the film (without an animated PNG's still picture) as RGB, and their milliseconds."""
    frames, durations = [], []
    with Image.open(path) as film:
        for number in range(bool(getattr(film, "default_image", False)), film.n_frames):
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB")))
            durations.append(round(film.info["duration"]))
    return frames, durations


# --- collecting --------------------------------------------------------------------------------------------------


def test_latent_frames_are_the_posterior_means_at_that_moment(model, images, x):
    latents = vh.LatentFrames(x[:7], every=2)
    model.fit(vh.batches(images, 10), epochs=2, callbacks=[latents], verbose=0)
    assert [(s.step, s.epoch, s.batch) for s in latents.snapshots] == [
        (0, 0, 0), (2, 1, 2), (4, 1, 4), (6, 1, 6), (8, 2, 2), (10, 2, 4), (12, 2, 6)
    ]  # fmt: skip
    last = latents.snapshots[-1].values
    assert last.shape == (7, 2) and last.dtype == np.float16
    np.testing.assert_allclose(last, model.posterior(x[:7]).mean(), atol=2e-3)
    assert not np.array_equal(latents.snapshots[0].values, last)


def test_a_snapshot_has_the_elbo_of_the_batches_since_the_one_before(model, images, x):
    """Against losses taken batch by batch, from Keras's running mean without its float32 sums."""
    latents, running = vh.LatentFrames(x[:2], every=2), []
    log = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: running.append(float(logs["loss"])))
    model.fit(vh.batches(images, 10), epochs=1, callbacks=[latents, log], verbose=0)
    losses = np.diff([0.0, *(mean * (k + 1) for k, mean in enumerate(running))])
    expected = -losses.reshape(3, 2).mean(axis=1)
    np.testing.assert_allclose([s.elbo for s in latents.snapshots[1:]], expected, rtol=1e-6)
    assert np.isnan(latents.snapshots[0].elbo)


def test_a_smaller_last_batch_weighs_by_its_images(images, x, without_xla):
    """The loss of an image is a hundred times the number of images in its batch."""
    model = vh.mlp_vae(hidden=(8,), seed=0)

    def objective(model, x, samples):
        return -100.0 * tf.cast(tf.shape(x)[0], tf.float32) + 0 * vh.sgvb_b(model, x)

    model.compile(keras.optimizers.Adam(0.0), objective=objective)
    latents = vh.LatentFrames(x[:2], every=1)
    model.fit(vh.batches(images[:21], 10), epochs=2, callbacks=[latents], verbose=0)
    assert [snapshot.elbo for snapshot in latents.snapshots[1:]] == pytest.approx(2 * [-1000, -1000, -100], rel=1e-5)


def test_every_counts_updates_also_when_several_run_at_once(images, x, without_xla):
    model = vh.mlp_vae(hidden=(8,), seed=0)
    model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b, steps_per_execution=2)
    latents = vh.LatentFrames(x[:2], every=3)
    model.fit(vh.batches(images, 10), epochs=1, callbacks=[latents], verbose=0)
    assert [s.batch for s in latents.snapshots] == [0, 4]  # Keras calls after batches 2, 4 and 6


def test_batches_left_over_at_the_end_of_an_epoch_count(model, images, x):
    """Six batches an epoch, a snapshot every four: the last two of an epoch belong to the next snapshot."""
    latents, running = vh.LatentFrames(x[:2], every=4), []
    log = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: running.append(float(logs["loss"])))
    model.fit(vh.batches(images, 10), epochs=2, callbacks=[latents, log], verbose=0)
    assert [(s.step, s.epoch, s.batch) for s in latents.snapshots] == [(0, 0, 0), (4, 1, 4), (10, 2, 4)]
    first, second = (
        np.diff([0.0, *(mean * (k + 1) for k, mean in enumerate(e))]) for e in np.split(np.array(running), 2)
    )
    between = np.mean([*first[4:], *second[:4]])
    np.testing.assert_allclose(latents.snapshots[2].elbo, -between, rtol=1e-6)


@pytest.mark.slow
def test_steps_between_snapshots_run_at_once(images, x):
    """As many as divide `every` and are no more than a twentieth of an epoch: the film is the same."""
    films = []
    for steps in (1, "auto"):
        model = vh.mlp_vae(hidden=(8,), seed=0)
        model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b, steps_per_execution=steps)
        latents, samples = vh.LatentFrames(x[:2], every=6), vh.SampleFrames(x[:2])
        training = vh.batches(np.tile(images, (14, 1, 1, 1)), 10, seed=0)  # 84 steps, of which 4 are a twentieth
        model.fit(training, callbacks=[latents, samples], verbose=0)
        films.append(
            [s for each in (latents, samples) for row in each.snapshots for s in (*row[:4], *row.values.ravel())]
        )
    assert model.steps_per_execution == 3
    np.testing.assert_array_equal(*films)
    model.fit(training, callbacks=[samples], verbose=0)  # looks at epochs alone
    assert model.steps_per_execution == 4


def test_sample_frames_are_the_same_draws_every_epoch(model, images, x):
    samples = vh.SampleFrames(x[:3], samples=4, seed=5)
    model.fit(vh.batches(images, 20), epochs=2, callbacks=[samples], verbose=0)
    assert [(s.epoch, s.batch) for s in samples.snapshots] == [(0, 0), (1, 3), (2, 3)]
    values = samples.snapshots[-1].values
    assert values.shape == (7, 28, 28, 1) and values.dtype == np.uint8
    z = model.prior.sample(4, seed=[5, 0])
    np.testing.assert_array_equal(values[:4], np.uint8(np.rint(255 * model.likelihood(z).mean().numpy())))
    np.testing.assert_array_equal(values[4:], np.uint8(np.rint(255 * model.reconstruct(x[:3]).numpy())))


def test_collecting_does_not_change_the_training(images, x, without_xla):
    weights = []
    for callbacks in ([], [vh.LatentFrames(x[:5], every=1), vh.SampleFrames(x[:2])]):
        model = vh.mlp_vae(hidden=(8,), seed=3)
        model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
        model.fit(vh.batches(images, 10), epochs=2, callbacks=callbacks, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_second_fit_goes_on_with_the_same_film(model, images, x):
    latents = vh.LatentFrames(x[:2])
    for epoch in range(2):
        model.fit(vh.batches(images, 20), epochs=epoch + 1, initial_epoch=epoch, callbacks=[latents], verbose=0)
    assert [(s.step, s.epoch) for s in latents.snapshots] == [(0, 0), (3, 1), (6, 2)]


def test_the_encoder_is_compiled_once_a_model(model, images, x):
    latents, functions = vh.LatentFrames(x[:2]), set()
    for _ in range(3):
        model.fit(vh.batches(images, 20), callbacks=[latents], verbose=0)
        functions.add(latents._means)
    assert len(functions) == 1 and latents._means.experimental_get_tracing_count() == 1


def test_an_interrupted_training_leaves_what_was_collected(model, images, x, tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                raise KeyboardInterrupt

    latents = vh.LatentFrames(x[:2], every=1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(vh.batches(images, 10), epochs=1, callbacks=[latents, Interrupt()], verbose=0)
    path = vh.write_gif(animation.paint_latents(latents.snapshots, np.arange(2)), tmp_path / "film.gif")
    assert len(decode(path)[0]) == 5


def test_snapshots_survive_a_file(model, images, x, tmp_path):
    samples = vh.SampleFrames(x[:1], samples=2)
    model.fit(vh.batches(images, 20), epochs=2, callbacks=[samples], verbose=0)
    columns = map(np.array, zip(*samples.snapshots, strict=True))
    np.savez_compressed(tmp_path / "film.npz", **dict(zip(Snapshot._fields, columns, strict=True)))
    with np.load(tmp_path / "film.npz") as stored:
        loaded = [Snapshot(*row) for row in zip(*map(stored.get, Snapshot._fields), strict=True)]
    assert [s.caption for s in loaded] == [s.caption for s in samples.snapshots]
    np.testing.assert_array_equal(loaded[-1].values, samples.snapshots[-1].values)


@pytest.mark.parametrize("every", [0, -1])
def test_every_must_be_positive(x, every):
    with pytest.raises(ValueError, match="every: expected a number of batches of at least 1"):
        vh.LatentFrames(x, every=every)


@pytest.mark.parametrize("make", [vh.LatentFrames, vh.SampleFrames])
def test_callbacks_refuse_images_that_are_not_scaled(make, model, images):
    with pytest.raises((TypeError, ValueError), match="uint8"):
        model.fit(vh.batches(images, 10), callbacks=[make(images[:3])], verbose=0)


def test_a_plane_needs_two_dimensions(small_vae, grey_images):
    """Refused before training, not when the film is painted."""
    model = small_vae(latent_dim=1)
    model.compile("adam", objective=vh.sgvb_b)
    with pytest.raises(ValueError, match="expected a model with J ≥ 2, got J = 1"):
        model.fit(vh.batches(grey_images, 8), callbacks=[vh.LatentFrames(grey_images)], verbose=0)


def test_a_second_training_goes_on_after_an_interruption(model, images, x):
    """Steps count on; batches whose loss nobody told do not enter the next mean."""

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 4:
                raise KeyboardInterrupt

    latents = vh.LatentFrames(x[:2], every=3)
    with pytest.raises(KeyboardInterrupt):
        model.fit(vh.batches(images, 10), callbacks=[latents, Interrupt()], verbose=0)
    running = []
    log = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: running.append(float(logs["loss"])))
    model.fit(vh.batches(images, 10), callbacks=[latents, log], verbose=0)
    assert [s.step for s in latents.snapshots] == [0, 3, 8, 11]
    np.testing.assert_allclose(latents.snapshots[2].elbo, -running[2], rtol=1e-6)


# --- painting ----------------------------------------------------------------------------------------------------


def ink(frame: np.ndarray) -> np.ndarray:
    """[H, W]: how far each pixel is from white."""
    return (255 - frame.astype(int)).sum(axis=-1)


def coloured(frame: np.ndarray) -> np.ndarray:
    """[H, W]: where a pixel has a colour, no grey."""
    return np.ptp(frame.astype(int), axis=-1) > 40


def test_a_point_is_painted_where_matplotlib_would_put_it():
    """Within the box that matplotlib draws: μ₁ grows to the right, μ₂ upwards."""
    point = np.float16([[0.6, -1.3]])
    with plt.style.context("default"):
        frame, without = animation.paint_latents(snapshots_of([point, np.nan * point]), np.array([5]), limit=2)
    dark = (without < 100).all(axis=-1)
    (left, *_, right), (top, *_, bottom) = (np.flatnonzero(dark.mean(axis=axis) > 0.5) for axis in (0, 1))
    dot = ink(frame) - ink(without)
    dot[: animation.CAPTION] = 0  # the captions differ
    row, column = (np.average(indices, weights=dot) for indices in np.indices(dot.shape))
    assert column == pytest.approx(left + (0.6 + 2) / 4 * (right - left), abs=1)
    assert row == pytest.approx(bottom - (-1.3 + 2) / 4 * (bottom - top), abs=1)


def test_points_outside_the_axes_are_drawn_on_their_edge():
    outside, edge = (
        next(animation.paint_latents(snapshots_of([np.float16(points)]), np.array([3, 3]), size=200, limit=1))
        for points in ([[50.0, -50.0], [0.2, 7.0]], [[1.0, -1.0], [0.2, 1.0]])
    )
    np.testing.assert_array_equal(outside, edge)


def test_dots_are_round():
    """As wide as high, and their corners are empty."""
    point = np.zeros((1, 2), np.float16)
    frame, without = animation.paint_latents(snapshots_of([point, np.nan * point]), np.array([5]), size=200, limit=1)
    dot = (ink(frame) - ink(without))[animation.CAPTION :]
    rows, columns = (np.flatnonzero(dot.any(axis=axis)) for axis in (1, 0))
    assert len(rows) == len(columns) >= 5
    dot = dot[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    np.testing.assert_allclose(dot, dot.T, atol=3)
    assert dot[0, 0] < 0.2 * dot[len(dot) // 2, len(dot) // 2]


def test_later_digits_cover_earlier_ones():
    """As a whole: nothing of the one below is left."""
    two, one = (np.zeros((n, 2), np.float16) for n in (2, 1))
    (frame,) = animation.paint_latents(snapshots_of([two]), np.array([7, 4]), size=200, limit=1)
    (alone,) = animation.paint_latents(snapshots_of([one]), np.array([7]), size=200, limit=1)
    middle = (slice(80, 140), slice(80, 160))
    assert coloured(alone[middle]).any()
    seen = np.abs(frame[middle] - 255 * COLORS[7]).max(axis=-1) < 3
    assert seen.sum() > 8 and not (np.abs(frame[middle] - 255 * COLORS[4]).max(axis=-1) < 3).any()


def snapshots_of(values: list[np.ndarray]) -> list[Snapshot]:
    return [Snapshot(3 * k, 1, 3 * k, -200.0 + k, v) for k, v in enumerate(values, 1)]


def test_a_latent_frame_shows_every_colour_and_its_caption():
    labels = np.arange(10).repeat(30)
    points = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float16)
    first, second = animation.paint_latents(snapshots_of([points, points]), labels, size=300)
    assert first.shape == (300, 300, 3) and first.dtype == np.uint8
    for color in COLORS:
        seen = np.abs(first - 255 * color).max(axis=-1)[animation.CAPTION :] < 3
        assert seen[:25].sum() > 20 and seen[40:].sum() > 30  # in the legend, and among the points
    assert (first[: animation.CAPTION] != second[: animation.CAPTION]).any(), "the captions differ"
    np.testing.assert_array_equal(first[animation.CAPTION :], second[animation.CAPTION :])


def test_each_point_has_the_colour_of_its_digit():
    labels = np.arange(10).repeat(20)
    places = np.column_stack([np.linspace(-0.9, 0.9, 10), np.zeros(10)])[labels].astype(np.float16)
    (frame,) = animation.paint_latents(snapshots_of([places]), labels, size=300, limit=1.0)
    row = frame[60:-60, 50:-20][np.argmax(coloured(frame[60:-60, 50:-20]).sum(axis=1))]
    nearest = np.abs(row[:, None] - 255 * COLORS).max(axis=-1)
    seen = nearest.argmin(axis=1)[nearest.min(axis=1) < 3]
    assert list(dict.fromkeys(seen.tolist())) == list(range(10)) and len(seen) >= 30


def test_the_caption_and_the_legend_do_not_overlap():
    points = np.zeros((10, 2), np.float16)
    moments = [Snapshot(1, 1, 1, -200.0, points), Snapshot(2, 1, 2, -200.0, points), Snapshot(0, 0, 0, np.nan, points)]
    with_caption, _, other = animation.paint_latents(moments, np.arange(10), size=320)
    rows = np.flatnonzero((with_caption != other).any(axis=(1, 2)))
    legend = np.flatnonzero(coloured(with_caption).any(axis=1))
    assert rows.max() < legend.min()


def test_the_batch_stands_in_a_caption_only_where_it_says_something():
    """After each epoch it is the number of all batches."""
    points = np.zeros((2, 2), np.float16)
    epochs = [Snapshot(0, 0, 0, np.nan, points), *(Snapshot(9 * k, k, 9, -170.0 - k, points) for k in (1, 2))]
    assert animation._captions(epochs) == ["before training", "epoch 1, ELBO −171.0 nats", "epoch 2, ELBO −172.0 nats"]
    assert animation._captions(snapshots_of([points] * 2))[1] == "epoch 1, batch 6, ELBO −198.0 nats"


def test_pictures_stand_in_rows_and_originals_above_their_reconstructions():
    levels = np.uint8([0, 60, 120, 180, 240])  # three samples, two reconstructions
    values = np.broadcast_to(levels[:, None, None, None], (5, 4, 4, 1))
    originals = np.full((2, 4, 4, 1), 200 / 255)
    for given in (originals, np.full((2, 4, 4, 1), 200, np.uint8)):
        frame, bare = (
            next(animation.paint_pictures(snapshots_of([values]), 2, 6, given, caption=c)) for c in (True, False)
        )
        np.testing.assert_array_equal(frame[animation.CAPTION :, -54:], bare[:, -54:])
        assert frame[: animation.CAPTION].min() < 100, "a caption"
        pictures = np.pad(bare[:, -54:], ((0, 6), (0, 6), (0, 0)))  # tiles of 24 pixels, and lines of 6
        tiles = pictures.reshape(4, 30, 2, 30, 3)[:, :24, :, :24].swapaxes(1, 2)
        np.testing.assert_array_equal(tiles[:, :, 0, 0, 0], [[0, 60], [120, 255], [200, 200], [180, 240]])
        assert all(np.ptp(tile) == 0 for row in tiles for tile in row)
        labels = np.flatnonzero(ink(bare[:, :-54]).any(axis=1)) // 30
        assert set(labels.tolist()) == {0, 2, 3}, "labels beside the samples, the originals, the reconstructions"


def test_pictures_in_colour_stand_in_rows_too():
    values = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), np.uint8)
    (frame,) = animation.paint_pictures(snapshots_of([values]), columns=2, scale=1)
    np.testing.assert_array_equal(frame[animation.CAPTION :][:5, :6], values[0])
    np.testing.assert_array_equal(frame[animation.CAPTION :][6:, 7:], values[3])


def test_the_curve_grows_to_the_right():
    frames = list(animation.paint_elbo(snapshots_of([np.zeros(1)] * 20)))
    reach = [np.flatnonzero(coloured(frame).any(axis=0)) for frame in frames]
    assert len(reach[0]) == 0  # the first steps from chance are left out: they would flatten the rest
    ends = [columns.max() for columns in reach[1:]]
    assert ends == sorted(ends) and ends[-1] > ends[0] + 200


def test_a_diverged_training_can_be_filmed():
    """Points that are NaN or infinite are left out, of the picture and of the axes' range."""
    fine, broken = np.zeros((2, 2), np.float16), np.array([[np.nan, 0], [np.inf, 1]], np.float16)
    frames = list(animation.paint_latents(snapshots_of([fine, broken]), np.array([1, 2]), size=300))
    seen = [np.count_nonzero(coloured(frame[60:])) for frame in frames]
    assert seen[0] > 0 and seen[1] == 0
    assert len(list(animation.paint_latents(snapshots_of([broken]), np.arange(2)))) == 1


POINTS, PICTURES = np.zeros((3, 2), np.float16), np.zeros((3, 4, 4, 1), np.uint8)
latents_of, pictures_of = animation.paint_latents, animation.paint_pictures
UNPAINTABLE = {
    "few labels": (lambda: latents_of(snapshots_of([POINTS]), np.zeros(2, int)), "one for each of 3 images"),
    "labels in a column": (lambda: latents_of(snapshots_of([POINTS]), np.zeros((3, 1), int)), r"each of 3.*\(3, 1\)"),
    "26 letters": (lambda: latents_of(snapshots_of([POINTS]), np.array([0, 25, 3])), "to 9, got 25; np.unique"),
    "no class": (lambda: latents_of(snapshots_of([POINTS]), np.array([0, -1, 3])), "from 0 on, got -1"),
    "large": (lambda: latents_of(snapshots_of([POINTS]), np.uint8([230, 1, 2])), "expected 0 to 9, got 230"),
    "words": (lambda: latents_of(snapshots_of([POINTS]), np.array(["cat", "dog", "cat"])), "labels: .*whole numbers"),
    "fractions": (lambda: latents_of(snapshots_of([POINTS]), np.zeros(3)), "labels: .*got float64"),
    "J = 1": (lambda: latents_of(snapshots_of([POINTS[:, :1]]), np.arange(3)), r"points \[n, 2\] \(J ≥ 2\)"),
    "pictures": (lambda: latents_of(snapshots_of([PICTURES]), np.arange(3)), "Expected snapshots of LatentFrames"),
    "no moment": (lambda: latents_of([], np.arange(3)), "Expected snapshots of LatentFrames"),
    "limit": (lambda: latents_of(snapshots_of([POINTS]), np.arange(3), limit=0), "limit: expected a number above 0"),
    "tiny": (lambda: latents_of(snapshots_of([POINTS]), np.arange(3), size=50), "expected at least 100 × 100"),
    "tiny curve": (lambda: animation.paint_elbo(snapshots_of([POINTS]), height=20), "expected at least 100 × 100"),
    "no ELBO": (lambda: animation.paint_elbo([Snapshot(0, 0, 0, np.nan, POINTS)]), "No ELBO to draw"),
    "points": (lambda: pictures_of(snapshots_of([POINTS]), 2), "snapshots of SampleFrames"),
    "two channels": (lambda: pictures_of(snapshots_of([PICTURES.repeat(2, -1)]), 2), r"C = 1 \(grey\) or 3"),
    "columns": (lambda: pictures_of(snapshots_of([PICTURES]), 0), "columns: expected a number above 0"),
    "scale": (lambda: pictures_of(snapshots_of([PICTURES]), 2, scale=0), "scale: expected a number above 0"),
    "originals": (lambda: pictures_of(snapshots_of([PICTURES]), 2, 2, PICTURES), "originals: expected the images"),
    "other sizes": (lambda: pictures_of(snapshots_of([PICTURES]), 2, 2, PICTURES[:1, :2]), "originals: expected"),
    "grey levels": (lambda: pictures_of(snapshots_of([PICTURES]), 2, 2, 255.0 + PICTURES[:1]), "divide grey levels"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNPAINTABLE)
def test_what_cannot_be_painted_says_so(case):
    paint, message = UNPAINTABLE[case]
    with pytest.raises((ValueError, TypeError), match=message):
        next(paint())


def test_a_stage_draws_once_what_does_not_move():
    """Only artists with `animated=True` are drawn in a frame, in the order of their zorder, on what stands still."""
    figure = Figure(figsize=(2, 1), dpi=100)
    still, moving = (figure.text(0.5, 0.3, "■", animated=animated) for animated in (False, True))
    stage = Stage(figure)
    moving.set_x(0.1)
    still.set_x(0.9)  # too late
    frame = stage.frame()
    assert frame.shape == (100, 200, 3) and frame.dtype == np.uint8
    dark = np.flatnonzero((frame < 100).any(axis=(0, 2)))
    assert dark.min() < 30 and 100 <= dark.max() < 130
    moving.set_x(0.2)
    assert np.flatnonzero((stage.frame() < 100).any(axis=(0, 2))).min() >= 40, "nothing is left of the frame before"
    assert (stage.frame("caption") != stage.frame())[: animation.CAPTION].any()


# --- writing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "unit"), [(".gif", 10), (".png", 1)])
def test_a_film_decodes_to_its_frames_and_times(tmp_path, ending, unit):
    strip = film_strip(25)
    path = vh.write_animation(strip, tmp_path / f"film{ending}", fps=15, hold_last=0.5)
    frames, durations = decode(path)
    assert len(frames) == 25
    for frame, original in zip(frames, strip, strict=True):
        np.testing.assert_allclose(frame, original, atol=3)
    assert sum(durations) == pytest.approx(1000 * (25 / 15 + 0.5), abs=unit)
    assert durations[-1] == pytest.approx(1000 * (1 / 15 + 0.5), abs=1.5 * unit)  # no rounding piles up on it
    assert max(durations[:-1]) - min(durations[:-1]) <= unit
    with Image.open(path) as film:
        assert film.info.get("loop") == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("ending", [".gif", ".png"])
def test_moving_dots_leave_no_trace(tmp_path, ending):
    """Dots of all colours jump about: each frame must decode to itself, whatever stood there before."""
    rng = np.random.default_rng(0)
    strip = [np.full((12, 30, 3), 255, np.uint8) for _ in range(60)]
    for frame in strip:
        frame[rng.integers(0, 12, 3), rng.integers(0, 30, 3)] = 255 * COLORS[rng.integers(0, 10, 3)]
    frames, _ = decode(vh.write_animation(strip, tmp_path / f"film{ending}"))
    assert len(frames) == 60
    for frame, original in zip(frames, strip, strict=True):
        np.testing.assert_allclose(frame, original, atol=3)


@pytest.mark.parametrize("ending", [".gif", ".png"])
@pytest.mark.parametrize("level", [0, 255])
def test_dots_that_stood_still_and_vanish_leave_no_trace(tmp_path, ending, level):
    """Into black or into white, far from what moved before."""
    strip = [np.full((12, 30, 3), level, np.uint8) for _ in range(4)]
    for number, frame in enumerate(strip):
        frame[2, number] = 255 * COLORS[1]
        frame[9, 20] = level if number > 1 else 255 - level
    frames, _ = decode(vh.write_animation(strip, tmp_path / f"film{ending}"))
    for frame, original in zip(frames, strip, strict=True):
        np.testing.assert_allclose(frame, original, atol=3)


@pytest.mark.parametrize("ending", [".gif", ".png"])
def test_what_stands_still_does_not_flicker(tmp_path, ending):
    """More colours than a GIF has: one palette for the film, and no dithering."""
    rng = np.random.default_rng(0)
    still = rng.integers(0, 256, (20, 30, 3), np.uint8)
    strip = [still.copy() for _ in range(6)]
    for number, frame in enumerate(strip):
        frame[:, number] = rng.integers(0, 256, (20, 3))
    frames, _ = decode(vh.write_animation(strip, tmp_path / f"film{ending}"))
    for frame in frames:
        np.testing.assert_array_equal(frame[:, 6:], frames[0][:, 6:])
    assert np.abs(frames[0].astype(int) - strip[0]).mean() < 16


@pytest.mark.parametrize("ending", [".gif", ".png"])
def test_grey_levels_come_back_as_they_are(tmp_path, ending):
    """The most usual frames of all, uint8 from 0 to 255, with no argument set; also as [H, W, 1]."""
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    strip = [np.roll(ramp, 7 * k, axis=1) for k in range(5)]
    for given in (strip, [frame[..., None] for frame in strip]):
        frames, _ = decode(vh.write_animation(given, tmp_path / f"film{ending}"))
        for frame, original in zip(frames, strip, strict=True):
            np.testing.assert_array_equal(frame, original[..., None].repeat(3, axis=-1))


def test_an_animated_png_begins_with_its_last_frame_for_viewers_that_show_one(tmp_path):
    strip = film_strip()
    path = vh.write_animation(strip, tmp_path / "film.png")
    with Image.open(path) as film:
        np.testing.assert_allclose(np.asarray(film.convert("RGB")), strip[-1], atol=3)


def test_floats_and_colours_are_written_too(tmp_path):
    grey = [np.full((8, 8, 1), level) for level in (0.0, 0.5, 1.0)]
    frames, _ = decode(vh.write_gif(grey, tmp_path / "grey.gif"))
    assert [int(frame[0, 0, 0]) for frame in frames] == [0, 128, 255]
    colour = np.zeros((2, 8, 8, 3))
    colour[:, :, :4] = [1, 0, 0]
    colour[1, 0, 0] = [0, 0, 0]
    colour[0, 0, 0] = [1, 0, 0]
    frames, _ = decode(vh.write_gif(colour, tmp_path / "colour.gif"))
    for frame, original in zip(frames, colour, strict=True):
        np.testing.assert_allclose(frame, np.uint8(255 * original), atol=3)


def test_colours_that_the_first_frame_lacks_are_kept(tmp_path):
    colours = [[0.9, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.9], [0.7, 0.7, 0.1]]
    film = [np.broadcast_to(colour, (8, 8, 3)) for colour in colours]
    frames, _ = decode(vh.write_gif(film, tmp_path / "film.gif"))
    for frame, colour in zip(frames, colours, strict=True):
        np.testing.assert_allclose(frame[0, 0] / 255, colour, atol=0.03)


BAD_FRAMES = {
    "none": ([], ValueError, "No frames: expected at least one"),
    "sizes": (
        [np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)],
        ValueError,
        r"Frame 1: expected shape \[4, 4\] of frame 0",
    ),
    "large": ([np.full((4, 4), 1.5)], ValueError, r"within \[0, 1\]"),
    "negative": ([np.full((4, 4), -0.1)], ValueError, r"within \[0, 1\]"),
    "nan": ([np.full((4, 4), np.nan)], ValueError, r"within \[0, 1\]"),
    "integers": ([np.zeros((4, 4), np.int64)], TypeError, "expected uint8"),
    "empty": ([np.zeros((0, 4))], ValueError, r"expected shape \[H, W\]"),
    "channels": ([np.zeros((4, 4, 2))], ValueError, r"expected shape \[H, W\]"),
    "one number": ([0.5], ValueError, r"expected shape \[H, W\]"),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
@pytest.mark.parametrize("ending", [".gif", ".png"])
def test_bad_frames_are_refused_and_leave_no_file(tmp_path, case, ending):
    frames, error, message = BAD_FRAMES[case]
    with pytest.raises(error, match=message):
        vh.write_animation(iter(frames), tmp_path / f"film{ending}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [0, -3, float("nan"), 51])
def test_the_speed_must_be_one_that_players_keep(tmp_path, fps):
    with pytest.raises(ValueError, match="fps: expected more than 0 and at most 50"):
        vh.write_gif(film_strip(), tmp_path / "film.gif", fps=fps)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_the_last_frame_stays_for_a_real_time(tmp_path, seconds):
    with pytest.raises(ValueError, match="hold_last: expected seconds"):
        vh.write_gif(film_strip(), tmp_path / "film.gif", hold_last=seconds)


@pytest.mark.parametrize("ending", [".gif", ".png"])
@pytest.mark.parametrize("change", [{"hold_last": 2e20}, {"hold_last": 1e300}])
def test_a_film_that_a_format_does_not_hold_is_refused(tmp_path, ending, change):
    with pytest.raises(ValueError, match=r"does not hold this film: .*655.35 seconds .*got hold_last=\de\+"):
        vh.write_animation(film_strip(), tmp_path / f"film{ending}", **change)
    assert list(tmp_path.iterdir()) == []


def test_a_gif_counts_to_655_seconds(tmp_path):
    """16 bits for hundredths of a second, also of frames that are equal and become one."""
    for frames, change in (
        (film_strip(), {"hold_last": 656}),
        (film_strip(), {"fps": 0.001}),
        (film_strip(1) * 100, {"fps": 0.1}),
        ([np.zeros((2, 70_000))], {}),
    ):
        with pytest.raises(ValueError, match=r"655.35 seconds a frame and 65,535 pixels a side in a GIF"):
            vh.write_gif(frames, tmp_path / "film.gif", **change)
        assert list(tmp_path.iterdir()) == []
    assert decode(vh.write_gif(film_strip(), tmp_path / "film.gif", hold_last=655))[1][-1] == 655_060


def test_the_ending_names_the_format(tmp_path):
    with pytest.raises(ValueError, match=r"film.avi: expected a name that ends in .gif or .png"):
        vh.write_animation(film_strip(), tmp_path / "film.avi")
    with pytest.raises(ValueError, match=r"film.png: expected a name that ends in .gif"):
        vh.write_gif(film_strip(), tmp_path / "film.png")


def test_an_unwritable_path_is_refused(tmp_path):
    with pytest.raises(OSError, match=r"Cannot write .*film.gif.*Expected a writable folder that exists"):
        vh.write_gif(film_strip(), tmp_path / "no such folder" / "film.gif")


@pytest.mark.parametrize("failure", [RuntimeError("a painter that fails"), KeyboardInterrupt()])
def test_a_failing_painter_leaves_the_old_film_untouched(tmp_path, failure):
    path = vh.write_gif(film_strip(), tmp_path / "film.gif")
    before = path.read_bytes()

    def broken():
        yield from film_strip(3)
        raise failure

    with pytest.raises(type(failure)):
        vh.write_gif(broken(), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_memory_does_not_hold_matplotlib_figures():
    """Figures that pyplot manages stay until they are closed; 200 of them were the published way's memory."""
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    for _ in range(3):
        list(animation.paint_latents(snapshots_of([POINTS]), np.arange(3)))
    assert plt.get_fignums() == before


def test_ctrl_c_leaves_what_can_be_filmed(model, images, x, tmp_path):
    """The signal itself, between two of a thousand epochs: what was collected becomes a film."""
    latents = vh.LatentFrames(x[:5], every=1)
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: e >= 1 and signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to it
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(vh.batches(images, 10), epochs=1000, callbacks=[latents, stop], verbose=0)
    finally:
        signal.signal(signal.SIGINT, before)
    path = vh.write_gif(animation.paint_latents(latents.snapshots, np.arange(5)), tmp_path / "film.gif")
    assert 12 <= len(decode(path)[0]) < 1000


def test_tensors_are_frames_too(tmp_path):
    path = vh.write_gif([tf.zeros((4, 4)), tf.ones((4, 4))], tmp_path / "film.gif")
    assert len(decode(path)[0]) == 2
