"""Films: what the callbacks collect, what the painters draw, and what the writers leave on the disk."""

import stat
import subprocess
import sys
import textwrap

import keras
import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import vae_helpers as vh
from vae_helpers import animation
from vae_helpers.animation import PALETTE, WHITE, Plane, Snapshot


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 28, 28, 1), np.uint8)


@pytest.fixture(scope="module")
def x(images) -> np.ndarray:
    return vh.binarize(images, "none", seed=0)


@pytest.fixture
def model() -> vh.VAE:
    model = vh.mlp_vae(hidden=(8,), seed=0)
    model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
    return model


def film_strip(count: int = 5, height: int = 20, width: int = 30) -> list[np.ndarray]:
    """Palette frames that all differ."""
    frames = [np.full((height, width), WHITE, np.uint8) for _ in range(count)]
    for number, frame in enumerate(frames):
        frame[3:8, number : number + 4] = number
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


def test_every_counts_updates_also_when_several_run_at_once(images, x):
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


def test_steps_between_snapshots_run_at_once(images, x):
    """As many as divide `every` and are no more than a twentieth of an epoch: the film is the same."""
    films = []
    for steps in (1, "auto"):
        model = vh.mlp_vae(hidden=(8,), seed=0)
        model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b, steps_per_execution=steps)
        latents, samples = vh.LatentFrames(x[:2], every=6), vh.SampleFrames(x[:2])
        training = vh.batches(np.tile(images, (14, 1, 1, 1)), 10, seed=0)  # 84 steps, of which 4 are a twentieth
        model.fit(training, callbacks=[latents, samples], verbose=0)
        films.append([s for each in (latents, samples) for column in each.as_arrays().values() for s in column.ravel()])
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


def test_collecting_does_not_change_the_training(images, x):
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
    np.savez_compressed(tmp_path / "film.npz", **samples.as_arrays())
    with np.load(tmp_path / "film.npz") as stored:
        loaded = animation.snapshots_from(stored)
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


# --- painting ----------------------------------------------------------------------------------------------------


def test_a_point_is_painted_where_matplotlib_would_put_it():
    """Against matplotlib's own scatter in the same axes: the centre of mass of what it darkens."""
    point = np.array([[0.6, -1.3]])

    def with_point(axes):
        axes.add_patch(matplotlib.patches.Circle(point[0], 0.1, color="black"))

    plane = Plane(300, 200, (-2, 2), (-2, 2))
    theirs = plane.background.astype(int) - Plane(300, 200, (-2, 2), (-2, 2), with_point).background
    frame = plane.background.copy()
    plane.scatter(frame, point, 0)
    ours = (frame != plane.background).astype(float)
    for axis in range(2):
        places = np.indices(ours.shape)[axis]
        assert np.average(places, weights=ours) == pytest.approx(np.average(places, weights=theirs), abs=0.6)


def test_points_outside_the_axes_are_drawn_on_their_edge():
    plane = Plane(200, 200, (-1, 1), (-1, 1))
    outside, edge = plane.background.copy(), plane.background.copy()
    plane.scatter(outside, np.array([[50.0, -50.0], [0.2, 7.0]]), 3)
    plane.scatter(edge, np.array([[1.0, -1.0], [0.2, 1.0]]), 3)
    np.testing.assert_array_equal(outside, edge)
    changed = np.argwhere(outside != plane.background)
    assert len(changed) == 18 and (changed[:, 1] <= plane.right).all() and (changed[:, 0] >= plane.top).all()


def test_later_points_cover_earlier_ones():
    plane = Plane(200, 200, (-1, 1), (-1, 1))
    frame = plane.background.copy()
    plane.scatter(frame, np.zeros((2, 2)), animation.digit_index([4, 7]))
    column, row = plane.pixels(np.zeros((1, 2)))[0]
    assert frame[row, column] == animation.digit_index(7)
    assert not (frame == animation.digit_index(4)).any()


def snapshots_of(values: list[np.ndarray]) -> list[Snapshot]:
    return [Snapshot(3 * k, 1, 3 * k, -200.0 + k, v) for k, v in enumerate(values, 1)]


def test_a_latent_frame_shows_every_colour_and_its_caption():
    labels = np.arange(10).repeat(30)
    points = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float16)
    first, second = animation.paint_latents(snapshots_of([points, points]), labels, size=300)
    assert first.shape == (300, 300) and first.dtype == np.uint8 and first.max() < len(PALETTE)
    for digit in range(10):
        assert np.count_nonzero(first == animation.digit_index(digit)) > 81  # more than the legend's square
    assert (first[:20] != second[:20]).any(), "the captions differ"
    np.testing.assert_array_equal(first[20:], second[20:])


def test_each_point_has_the_colour_of_its_digit():
    labels = np.arange(10).repeat(20)
    places = np.column_stack([np.linspace(-0.9, 0.9, 10), np.zeros(10)])[labels].astype(np.float16)
    (frame,) = animation.paint_latents(snapshots_of([places]), labels, size=300, limit=1.0)
    row = frame[np.flatnonzero((frame[60:, 40:] == animation.digit_index(1)).any(axis=1))[1] + 60]
    seen = [int(color) - animation.GREYS for color in row if color >= animation.GREYS]
    assert seen == list(np.arange(10).repeat(3))


def test_the_caption_and_the_legend_do_not_overlap():
    points = np.zeros((10, 2), np.float16)
    with_caption, other = animation.paint_latents(
        [Snapshot(1, 1, 1, -200.0, points), Snapshot(0, 0, 0, np.nan, points)], np.arange(10), size=320
    )
    rows = np.flatnonzero((with_caption != other).any(axis=1))
    legend = np.flatnonzero((with_caption >= animation.GREYS).any(axis=1))
    assert rows.max() < legend.min()


def test_labels_must_be_as_many_as_the_points():
    snapshots = snapshots_of([np.zeros((3, 2), np.float16)])
    with pytest.raises(ValueError, match="labels: expected one for each of 3 images, got 2"):
        next(animation.paint_latents(snapshots, np.zeros(2, int)))


def test_pictures_stand_in_rows_and_originals_above_their_reconstructions():
    levels = np.uint8([0, 60, 120, 180, 240])  # three samples, two reconstructions
    values = np.broadcast_to(levels[:, None, None, None], (5, 4, 4, 1))
    originals = np.full((2, 4, 4, 1), 1.0, np.float32)
    (frame,) = animation.paint_pictures(snapshots_of([values]), columns=2, scale=3, originals=originals)
    tiles = frame[24:].reshape(4, 12, 2, 12).swapaxes(1, 2)
    grey = [[int(PALETTE[tile.flat[0]][0]) for tile in row] for row in tiles]
    np.testing.assert_allclose(grey, [[0, 60], [120, 255], [255, 255], [180, 240]], atol=5)  # 32 greys
    assert all(np.ptp(tile) == 0 for row in tiles for tile in row)


def test_the_curve_grows_to_the_right():
    frames = list(animation.paint_elbo(snapshots_of([np.zeros(1)] * 20)))
    reach = [np.flatnonzero((frame >= animation.GREYS).any(axis=0)) for frame in frames]
    assert len(reach[0]) == 0  # the first steps from chance are left out: they would flatten the rest
    ends = [columns.max() for columns in reach[1:]]
    assert ends == sorted(ends) and ends[-1] > ends[0] + 200


def test_a_diverged_training_can_be_filmed():
    """Points that are NaN or infinite are left out, of the picture and of the axes' range."""
    fine, broken = np.zeros((2, 2), np.float16), np.array([[np.nan, 0], [np.inf, 1]], np.float16)
    frames = list(animation.paint_latents(snapshots_of([fine, broken]), np.arange(2), size=300))
    legend = [np.count_nonzero(frame[60:] >= animation.GREYS) for frame in frames]
    assert legend[0] > 0 and legend[1] == 0


def test_what_cannot_be_painted_says_so():
    with pytest.raises(ValueError, match="No ELBO to draw"):
        next(animation.paint_elbo([Snapshot(0, 0, 0, np.nan, np.zeros(1))]))
    with pytest.raises(ValueError, match="Expected grey pictures"):
        next(animation.paint_pictures(snapshots_of([np.zeros((2, 4, 4, 3), np.uint8)]), columns=2))


def test_panels_keep_their_pixels():
    a, b = np.zeros((3, 4), np.uint8), np.ones((2, 5), np.uint8)
    side = animation.beside(a, b)
    assert side.shape == (3, 9) and (side[:2, 4:] == 1).all() and (side[2, 4:] == WHITE).all()
    stack = animation.above(a, b)
    assert stack.shape == (5, 5) and (stack[3:] == 1).all() and (stack[:3, 4] == WHITE).all()


# --- writing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "unit"), [(".gif", 10), (".png", 1), (".webp", 1)])
def test_a_film_decodes_to_its_frames_and_times(tmp_path, ending, unit):
    strip = film_strip(25)
    path = vh.write_animation(strip, tmp_path / f"film{ending}", fps=15, hold_last=0.5)
    frames, durations = decode(path)
    assert len(frames) == 25
    for frame, original in zip(frames, strip, strict=True):
        np.testing.assert_array_equal(frame, PALETTE[original])
    assert sum(durations) == pytest.approx(1000 * (25 / 15 + 0.5), abs=unit)
    assert durations[-1] == pytest.approx(1000 * (1 / 15 + 0.5), abs=1.5 * unit)  # no rounding piles up on it
    assert max(durations[:-1]) - min(durations[:-1]) <= unit
    with Image.open(path) as film:
        assert film.info.get("loop") == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("ending", [".gif", ".png", ".webp"])
def test_moving_dots_leave_no_trace(tmp_path, ending):
    """Dots of every colour of the palette jump about: each frame must decode to itself, whatever stood there before."""
    rng = np.random.default_rng(0)
    strip = [np.full((12, 30), WHITE, np.uint8) for _ in range(60)]
    for frame in strip:
        frame[rng.integers(0, 12, 3), rng.integers(0, 30, 3)] = rng.choice([0, 1, WHITE, len(PALETTE) - 1], 3)
    frames, _ = decode(vh.write_animation(strip, tmp_path / f"film{ending}"))
    assert len(frames) == 60
    for frame, original in zip(frames, strip, strict=True):
        np.testing.assert_array_equal(frame, PALETTE[original])


def test_an_animated_png_begins_with_its_last_frame_for_viewers_that_show_one(tmp_path):
    strip = film_strip()
    path = vh.write_animation(strip, tmp_path / "film.png")
    with Image.open(path) as film:
        np.testing.assert_array_equal(np.asarray(film.convert("RGB")), PALETTE[strip[-1]])


def test_an_mp4_decodes_to_its_frames(tmp_path):
    pytest.importorskip("imageio_ffmpeg", reason="MP4 needs imageio-ffmpeg")
    import imageio.v3 as iio

    strip = [np.kron(frame, np.ones((4, 4), np.uint8)) for frame in film_strip()]
    path = vh.write_animation(strip, tmp_path / "film.mp4", fps=10, hold_last=0.3)
    film = iio.imread(path, plugin="FFMPEG")
    assert film.shape == (8, 80, 120, 3)
    assert np.abs(film[0].astype(int) - PALETTE[strip[0]]).mean() < 3


def test_without_the_encoder_mp4_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install .imageio.ffmpeg"):
        vh.write_animation(film_strip(), tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []


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
        np.testing.assert_allclose(frame, np.uint8(255 * original), atol=2)


def test_colours_that_the_first_frame_lacks_are_kept(tmp_path):
    colours = [[0.9, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.9], [0.7, 0.7, 0.1]]
    film = [np.broadcast_to(colour, (8, 8, 3)) for colour in colours]
    frames, _ = decode(vh.write_gif(film, tmp_path / "film.gif"))
    for frame, colour in zip(frames, colours, strict=True):
        np.testing.assert_allclose(frame[0, 0] / 255, colour, atol=0.03)


BAD_FRAMES = {
    "none": ([], ValueError, "No frames: expected at least one"),
    "sizes": ([np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)], ValueError, "Frame 1: expected the shape"),
    "large": ([np.full((4, 4), 1.5)], ValueError, "between 0 and 1"),
    "negative": ([np.full((4, 4), -0.1)], ValueError, "between 0 and 1"),
    "nan": ([np.full((4, 4), np.nan)], ValueError, "between 0 and 1"),
    "integers": ([np.zeros((4, 4), np.int64)], TypeError, "expected uint8"),
    "place": ([np.full((4, 4), 200, np.uint8)], ValueError, "places in a palette of 42, got 200"),
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


def test_the_ending_names_the_format(tmp_path):
    with pytest.raises(ValueError, match=r"film.avi: expected a name that ends in .gif, .png, .webp or .mp4"):
        vh.write_animation(film_strip(), tmp_path / "film.avi")
    with pytest.raises(ValueError, match=r"film.png: expected a name that ends in .gif"):
        vh.write_gif(film_strip(), tmp_path / "film.png")


def test_an_unwritable_path_is_refused(tmp_path):
    with pytest.raises(OSError, match=r"Cannot write .*film.gif.*Expected a folder that exists"):
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
        Plane(100, 100, (0, 1), (0, 1))
    assert plt.get_fignums() == before


@pytest.mark.slow
def test_ctrl_c_leaves_what_can_be_filmed(tmp_path):
    """An interrupt in a real process, between two of a thousand epochs: what was collected becomes a film."""
    script = textwrap.dedent(
        f"""
        import _thread, signal, numpy as np, vae_helpers as vh, keras
        from vae_helpers import animation
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to it
        images = np.random.default_rng(0).integers(0, 256, (60, 28, 28, 1), np.uint8)
        model = vh.mlp_vae(hidden=(8,), seed=0)
        model.compile(keras.optimizers.Adam(), objective=vh.sgvb_b)
        latents = vh.LatentFrames(vh.binarize(images[:5], "none", seed=0), every=1)
        stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: e >= 1 and _thread.interrupt_main())
        try:
            model.fit(vh.batches(images, 10), epochs=1000, callbacks=[latents, stop], verbose=0)
        except KeyboardInterrupt:
            vh.write_gif(animation.paint_latents(latents.snapshots, np.arange(5)), {str(tmp_path / "film.gif")!r})
        """
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert 12 <= len(decode(tmp_path / "film.gif")[0]) < 1000


def test_tensors_are_frames_too(tmp_path):
    path = vh.write_gif([tf.zeros((4, 4)), tf.ones((4, 4))], tmp_path / "film.gif")
    assert len(decode(path)[0]) == 2
