"""Films of training and of the latent space: callbacks that collect small arrays, painters, and writers.

Nothing is drawn while the model trains: a callback costs one forward pass a frame. Afterwards a painter turns what was
collected into frames, uint8 arrays [H, W, 3]. Matplotlib draws what stands still once; a frame draws only what moves.
Frames of one size can be put together with `np.hstack` and `np.vstack` before Pillow writes them.
"""

import math
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from matplotlib import artist, colors, get_data_path, markers
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.path import Path as Curve
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from .expect import expect
from .figures import DIGIT_COLORS, TRAIN_COLOR, check_positive, in_pairs, in_rows, pixels, tile
from .files import replacing
from .images import check_images, check_labels

# --- collecting --------------------------------------------------------------------------------------------------


class Snapshot(NamedTuple):
    """One moment of training.

    Attributes:
        step: updates since the film's first training began.
        epoch: counted from 1; 0 before training.
        batch: within the epoch, counted from 1; 0 before training.
        elbo: mean over the training images since the last snapshot, or since `fit` began, nats per image; NaN before
            training.
        values: what the callback collects.
    """

    step: int
    epoch: int
    batch: int
    elbo: float
    values: np.ndarray

    @property
    def caption(self) -> str:
        """`epoch 1, batch 300, ELBO −181.2 nats`; a batch 0 is left out."""
        caption = f"epoch {self.epoch}, batch {self.batch}, ELBO {self.elbo:.1f} nats".replace("-", "−")
        return caption.replace(", batch 0", "") if self.epoch else "before training"


class _Collector(keras.callbacks.Callback):
    """Takes a snapshot of `collect()` before training, and every epoch or every `every` batches."""

    def __init__(self, x: np.ndarray, every: int | None = None):
        super().__init__()
        expect(every is None or every >= 1, f"every: expected a number of batches of at least 1, or None, got {every}.")
        # `steps_between`: what `VAE.fit` may let run at once.
        self.x, self.every, self.steps_between = tf.convert_to_tensor(check_images(x, "x")), every, every or 0
        self.snapshots: list[Snapshot] = []
        # Updates, images and the sum of their losses: by now, when this epoch began, and at the last snapshot.
        self._now = self._begun = self._seen = np.zeros(3)

    def on_train_begin(self, logs=None):
        # A second `fit` goes on with the same film.
        self.snapshots = self.snapshots or [Snapshot(0, 0, 0, math.nan, self.collect())]
        self._seen = self._now

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._due, self._begun = epoch + 1, self.every, self._now

    def on_train_batch_end(self, batch, logs=None):
        self._batch = batch + 1
        images = float(self.model.metrics[0].count)  # over which Keras logs the mean, this epoch's so far
        self._now = self._begun + np.array([self._batch, images, images * float(logs["loss"])])
        if self.every and self._batch >= self._due:
            self._due = self._batch + self.every
            self._take_snapshot()

    def on_epoch_end(self, epoch, logs=None):
        if not self.every:
            self._take_snapshot()

    def _take_snapshot(self):
        _, images, loss = self._now - self._seen
        self.snapshots.append(Snapshot(int(self._now[0]), self._epoch, self._batch, -loss / images, self.collect()))
        self._seen = self._now


class SampleFrames(_Collector):
    """Collects decoded draws from the prior and reconstructions of some images: always the same draws and images.

    Args:
        x: float32 images in [0, 1], shape [n, H, W, C], to be reconstructed.
        samples: how many draws from the prior.
        every: batches between snapshots, counted anew in each epoch; `None`: one at the end of each epoch. One more is
            taken before training.
        seed: of the draws.

    Attributes:
        snapshots: a list of `vae_helpers.animation.Snapshot`, whose `values` are uint8 [samples + n, H, W, C]: pixel
            means of the samples, then of the reconstructions. It is there at any time, also when training was
            interrupted.

    Raises:
        ValueError, TypeError: `every` or `samples` is below 1, or `x` is not a batch of images.
    """

    def __init__(self, x: np.ndarray, samples: int = 16, every: int | None = None, seed: int = 0):
        super().__init__(x, every)
        check_positive(samples=samples)
        self.samples, self.seed = samples, seed

    def collect(self) -> np.ndarray:
        means = np.concatenate([self.model.sample(self.samples, self.seed), self.model.reconstruct(self.x)])
        return np.uint8(np.rint(255 * np.clip(means, 0, 1)))


class LatentFrames(_Collector):
    """Collects the posterior means μ(x) of fixed images in the first two latent dimensions.

    Args:
        x: float32 images in [0, 1], shape [n, H, W, C]. Each snapshot encodes all of them: a few hundred make a full
            picture (`benchmarks/animation.py` measures what they cost).
        every: as for `SampleFrames`.

    Attributes:
        snapshots: a list of `vae_helpers.animation.Snapshot`, whose `values` are float16 [n, 2]: precise to less than a
            pixel of a film.

    Raises:
        ValueError, TypeError: `every` is below 1, `x` is not a batch of images, or, from `fit`, J is 1.
    """

    def set_model(self, model):
        expect(model.latent_dim >= 2, f"Films a plane: expected a model with J ≥ 2, got J = {model.latent_dim}.")
        if model is not self.model:  # Keras calls this at every `fit`
            self._means = tf.function(lambda x: model.posterior(x).mean()[:, :2], jit_compile=model.prefers_xla)
        super().set_model(model)

    def collect(self) -> np.ndarray:
        return self._means(self.x).numpy().astype(np.float16)


# --- painting ----------------------------------------------------------------------------------------------------

Frames = Iterator[np.ndarray]
CAPTION, NAMES = 22, 120  # pixels left free for a frame's caption at the top, and for the names of rows on the left
FONT = ImageFont.truetype(get_data_path() + "/fonts/ttf/DejaVuSans.ttf", 13)


class Stage:
    """A matplotlib figure that is drawn once. A frame draws on top only what moves: artists with `animated=True`.

    Args:
        figure: with everything in its place; best a `matplotlib.figure.Figure`, which pyplot does not keep or show.
    """

    def __init__(self, figure: Figure):
        self._canvas = FigureCanvasAgg(figure)
        self._canvas.draw()
        self._background = self._canvas.copy_from_bbox(figure.bbox)
        self._moving = sorted(figure.findobj(lambda each: each.get_animated()), key=lambda each: each.zorder)

    def frame(self, caption: str = "") -> np.ndarray:
        """The figure with its animated artists as they are now, uint8 [H, W, 3]; the caption stands at the top left."""
        self._canvas.restore_region(self._background)
        for each in self._moving:
            each.draw(self._canvas.get_renderer())
        drawn = np.asarray(self._canvas.buffer_rgba())
        frame = np.stack([drawn[..., channel] for channel in range(3)], axis=-1)  # four times as fast as a slice
        _write(frame[:CAPTION], (8, 3), caption)
        return frame


def _write(part: np.ndarray, place: tuple[float, float], text: str, anchor: str = "la") -> None:
    """Writes a text at (x, y), in pixels, into a part of a frame; `anchor` as in Pillow.

    Matplotlib lays text out afresh, 3.5 ms a line: more than all else in a frame. Pillow needs 0.2 ms.
    """
    picture = Image.fromarray(part)
    ImageDraw.Draw(picture).text(place, text, fill="black", font=FONT, anchor=anchor)
    part[:] = picture


class _Dots(artist.Artist):
    """Discs in the colours of their digits; later digits cover earlier ones.

    Straight through matplotlib's renderer: a `Line2D` for each digit takes a millisecond a frame more.
    """

    def __init__(self, axes, digits: np.ndarray, across: float):
        super().__init__()
        axes.figure.add_artist(self).set_animated(True)
        self._disc, self._size = Curve.unit_circle(), markers.MarkerStyle("o").get_transform().scale(across)
        self._to_pixels, self._colors = axes.transData, [colors.to_rgba(DIGIT_COLORS[digit]) for digit in digits]

    def draw(self, renderer):
        style = renderer.new_gc()
        style.set_linewidth(0)
        for color, points in zip(self._colors, self.points, strict=True):
            renderer.draw_markers(style, self._disc, self._size, Curve(points), self._to_pixels, color)


def _axes(width: int, height: int, top: int = 0, **settings):
    """Axes in a figure of so many pixels, whose upper `top` are left free."""
    expect(min(width, height) >= 100, f"A frame with axes: expected at least 100 × 100 pixels, got {width} × {height}.")
    # A hundredth of a pixel more: older matplotlibs cut 113.999… pixels to 113.
    figure = Figure(figsize=((width + 0.01) / 100, (height + 0.01) / 100), dpi=100, facecolor="white")
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - top / height))
    return figure.add_subplot(**settings)


def _captions(snapshots: list[Snapshot]) -> list[str]:
    """One a snapshot; without the batch where no two are from one epoch."""
    once_an_epoch = len({snapshot.epoch for snapshot in snapshots}) == len(snapshots)
    return [snapshot._replace(batch=0 if once_an_epoch else snapshot.batch).caption for snapshot in snapshots]


def paint_latents(snapshots: list[Snapshot], labels: np.ndarray, size: int = 480, limit: float | None = None) -> Frames:
    """Posterior means as a scatter in up to ten colours, with a legend, one frame a snapshot of `LatentFrames`.

    Args:
        snapshots: what the callback collected.
        labels: integers 0 … 9, one for each image.
        size: of the frame, pixels a side.
        limit: half the side of the plot; `None`: what holds 99% of the film's coordinates. Points outside are drawn on
            the edge; what is not finite is left out.

    Yields:
        uint8 [size, size, 3]

    Raises:
        ValueError: the snapshots are not points, `labels` are not such integers, `limit` or `size` is too small.
    """
    points = np.array([snapshot.values for snapshot in snapshots], np.float32)
    expect(points.shape[2:] == (2,), f"Expected snapshots of LatentFrames, points [n, 2] (J ≥ 2), got {points.shape}.")
    labels = check_labels(labels, points.shape[1], len(DIGIT_COLORS))
    points[~np.isfinite(points).all(axis=-1)] = np.nan
    if limit is None:
        finite = np.abs(points[np.isfinite(points)])
        limit = max(0.5, math.ceil(2 * np.quantile(finite, 0.99)) / 2) if finite.size else 1.0
    check_positive(limit=limit)
    sides = {"xlim": (-limit, limit), "ylim": (-limit, limit), "aspect": "equal"}
    axes = _axes(size, size, CAPTION, **sides, xlabel="μ₁", ylabel="μ₂")
    digits = np.unique(labels)
    by_digit = [points[:, labels == digit].clip(-limit, limit) for digit in digits]
    for digit in digits:
        axes.scatter([], [], s=36, color=DIGIT_COLORS[digit], label=digit)
    above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "borderaxespad": 0, "frameon": False, "ncols": 10}
    axes.legend(**above, handlelength=0.7, handletextpad=0.2, columnspacing=0.8, fontsize=9)
    dots = _Dots(axes, digits, across=5 if len(labels) <= 1000 else 3)
    stage = Stage(axes.figure)
    for now, caption in zip(zip(*by_digit, strict=True), _captions(snapshots), strict=True):
        dots.points = now
        yield stage.frame(caption)


def paint_pictures(
    snapshots: list[Snapshot], columns: int, scale: int = 2, originals: np.ndarray | None = None, caption: bool = True
) -> Frames:
    """Pictures in rows, one frame a snapshot of `SampleFrames`.

    Args:
        snapshots: what the callback collected.
        columns: pictures in a row.
        scale: pixels of the frame for one of an image, a side.
        originals: the images given to `SampleFrames`, floats in [0, 1] or uint8, shape [n, H, W, C]: each stands above
            its reconstruction, in the last rows, and all rows are labelled.
        caption: `False` leaves it out, where another panel of the film has it.

    Yields:
        uint8 [height, width, 3]

    Raises:
        ValueError, TypeError: the snapshots are not pictures, `originals` do not match them, or a number is below 1.
    """
    check_positive(columns=columns, scale=scale)
    given, left = (None, 0) if originals is None else (pixels(originals, "originals"), NAMES)
    for snapshot, text in zip(snapshots, _captions(snapshots), strict=True):
        pictures, names = pixels(snapshot.values, "snapshots of SampleFrames"), {}
        rows = in_rows(pictures, columns)
        if given is not None:
            ok = given.shape[1:] == pictures.shape[1:] and len(given) < len(pictures)
            expect(ok, f"originals: expected the images given to SampleFrames, got {given.shape} for {pictures.shape}")
            samples, reconstructions = np.split(pictures, [-len(given)])
            samples = in_rows(samples, columns)
            rows = np.concatenate([samples, in_pairs(given, reconstructions, columns)])
            names = {0: "from the prior", len(samples): "originals", len(samples) + 1: "reconstructions"}
        picture = np.uint8(np.rint(255 * tile(rows))).repeat(scale, 0).repeat(scale, 1)
        frame = np.full((CAPTION + picture.shape[0], left + picture.shape[1], 3), 255, np.uint8)
        frame[CAPTION:, left:] = picture
        _write(frame[:CAPTION], (8, 3), text)
        for row, name in names.items():
            _write(frame[CAPTION:, :left], (left - 8, (row + 0.5) * len(picture) / len(rows)), name, anchor="rm")
        yield frame[0 if caption else CAPTION :]


def paint_elbo(snapshots: list[Snapshot], width: int = 480, height: int = 160) -> Frames:
    """The ELBO of the training batches as a curve that grows, one frame a snapshot of either callback.

    Yields:
        uint8 [height, width, 3]

    Raises:
        ValueError: no snapshot has an ELBO, or the frame is too small.
    """
    steps, elbo = np.array([(s.step, s.elbo) for s in snapshots], float).reshape(-1, 2).T
    known = elbo[np.isfinite(elbo)]
    expect(known.size > 0, "No ELBO to draw: expected at least one snapshot from after the first batch.")
    # The first steps from chance would flatten all the rest: the curve enters where it has left them behind.
    low, high = np.quantile(known, [0.05, 1.0])
    sides = {"xlim": (0, 1.02 * steps[-1]), "ylim": (low, high + 0.08 * (high - low) + 1e-3)}
    axes = _axes(width, height, **sides, xlabel="updates", ylabel="ELBO (nats)")
    line = axes.plot([], "-o", markevery=[-1], color=TRAIN_COLOR, animated=True)[0]
    stage = Stage(axes.figure)
    for seen in range(1, 1 + len(snapshots)):
        line.set_data(steps[:seen], elbo[:seen])
        yield stage.frame()


# --- writing -----------------------------------------------------------------------------------------------------


def _as_bytes(frames: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Frames as uint8 arrays of one shape, [H, W] or [H, W, 3]."""
    result = []
    for number, frame in enumerate(frames):
        name, frame = f"Frame {number}", np.asarray(frame)
        frame = frame[..., 0] if frame.shape[2:] == (1,) else frame
        shape, first = list(frame.shape), list((result or [frame])[0].shape)
        possible = frame.size > 0 and frame.ndim > 1 and frame.shape[2:] in ((), (3,))
        expect(possible, f"{name}: expected shape [H, W], [H, W, 1] or [H, W, 3], got {shape}.")
        expect(shape == first, f"{name}: expected shape {first} of frame 0, got {shape}.")
        check_images(np.atleast_3d(frame.astype(np.float32) if frame.dtype.kind == "f" else frame)[None], name)
        result.append(frame if frame.dtype == np.uint8 else np.uint8(np.rint(255 * frame)))
    expect(len(result) > 0, "No frames: expected at least one. Was the callback given to fit?")
    return result


def _with_palette(frames: list[np.ndarray]) -> list[Image.Image]:
    """Colours reduced to 255 for the whole film, without dithering: what stands still must not flicker."""
    if frames[0].ndim == 2:
        return [Image.fromarray(frame) for frame in frames]
    apart = 1 + len(frames) * frames[0].size // 1_500_000  # half a million pixels from all over the film are enough
    some = np.concatenate([frame.reshape(-1, 3)[number % apart :: apart] for number, frame in enumerate(frames)])
    palette = Image.fromarray(some[None]).quantize(255, method=Image.Quantize.FASTOCTREE)
    return [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]


def _for_png(pictures: list[Image.Image]) -> dict[str, int]:
    """Puts the last picture in front of the film, for viewers that show one, and returns Pillow's options.

    Colours: each picture after the film's first becomes transparent where it equals the one before.
    """
    options = {"default_image": True, "blend": PngImagePlugin.Blend.OP_OVER, "compress_level": 9}
    pictures.insert(0, pictures[-1].copy())
    if pictures[0].mode == "P":
        transparent = options["transparency"] = len(pictures[0].getpalette()) // 3
        for picture in pictures:
            picture.putpalette([*picture.getpalette(), 255, 255, 255])
            picture.info["transparency"] = transparent  # else Pillow takes it for white when it looks for what changed
        for k in range(len(pictures) - 1, 1, -1):
            pictures[k].paste(transparent, mask=Image.fromarray(np.equal(pictures[k - 1], pictures[k])))
    return options


def write_animation(frames: Iterable[np.ndarray], path: str | Path, fps: float = 15, hold_last: float = 1.0) -> Path:
    """Writes an endlessly looping film, all or nothing, in the format that the path's ending names.

    `.gif` shows everywhere. `.png` (an animated PNG) is what a notebook can keep as an output; a viewer that does not
    know it, and a reader who asked for no motion, sees the last frame. Grey frames keep every pixel; colours are
    reduced to 255 that all frames share. For an MP4 give the frames to a library, for example to `imageio.mimwrite`.

    Args:
        frames: arrays of one size, [H, W] or [H, W, 1] for grey, [H, W, 3] for colours: uint8 from 0 to 255, or floats
            in [0, 1]. A generator will do.
        path: of the file.
        fps: frames a second. GIF counts in hundredths of a second: the frames' times are rounded so that their sum is
            right. Frames that equal the one before become one that stays longer.
        hold_last: seconds that the last frame stays on top of its own time.

    Returns:
        the path.

    Raises:
        ValueError, TypeError: no frames, frames of different sizes, numbers out of range, an unknown ending, `fps` not
            above 0 or above 50, `hold_last` negative or infinite, or a film that the format does not hold: a GIF has at
            most 655.35 seconds a frame and 65,535 pixels a side, a PNG 65.535 seconds a frame.
        OSError: the path cannot be written. No half-written file is left.
    """
    ending = Path(path).suffix.lower()
    expect(ending in (".gif", ".png"), f"{path}: expected a name that ends in .gif or .png.")
    expect(0 < fps <= 50, f"fps: expected more than 0 and at most 50 (players slow faster GIFs down), got {fps}.")
    expect(0 <= hold_last < math.inf, f"hold_last: expected seconds, at least 0, got {hold_last}.")
    pictures = _with_palette(_as_bytes(frames))
    unit = 10 if ending == ".gif" else 1  # milliseconds: the moments between frames are rounded, so no error adds up
    ends = np.array([*range(len(pictures)), len(pictures) + fps * hold_last]) * 1000 / fps / unit
    options = {"duration": (unit * np.diff(np.rint(ends))).tolist(), "loop": 0, "optimize": False}
    options |= _for_png(pictures) if ending == ".png" else {}
    try:
        with replacing(path) as temporary:
            pictures[0].save(temporary, save_all=True, append_images=pictures[1:], **options)
    except (struct.error, OverflowError, ValueError) as error:  # one for each format and Pillow
        limits = f"{path} does not hold this film: expected ≤ 655.35 seconds a frame and 65,535 pixels a side in a GIF"
        raise ValueError(f"{limits}, 65.535 seconds in a PNG; got {hold_last=}, {fps=}, {pictures[0].size}.") from error
    return Path(path)


def write_gif(frames: Iterable[np.ndarray], path: str | Path, fps: float = 15, hold_last: float = 1.0) -> Path:
    """`write_animation` for a path that must end in `.gif`."""
    expect(Path(path).suffix.lower() == ".gif", f"{path}: expected a name that ends in .gif, or use write_animation.")
    return write_animation(frames, path, fps, hold_last)
