"""Films of training and of the latent space: callbacks that collect small arrays, painters, and writers.

Nothing is drawn while the model trains: a callback costs one forward pass a frame. Afterwards a painter turns what was
collected into frames, uint8 arrays [H, W, 3]. Matplotlib draws what stands still once; a frame draws only what moves.
Frames of one size can be put together with `np.hstack` and `np.vstack` before Pillow, or imageio for MP4, writes them.
"""

from __future__ import annotations

import itertools
import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import matplotlib
import matplotlib.path as mpath
import numpy as np
import tensorflow as tf
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from PIL import Image, ImageDraw, ImageFont

from .figures import DIGIT_COLORS, TRAIN_COLOR, check_labels, check_positive, in_pairs, in_rows, pixels, tile
from .files import replacing
from .images import check_images

# --- collecting --------------------------------------------------------------------------------------------------


class Snapshot(NamedTuple):
    """One moment of training.

    Attributes:
        step: updates since the film's first training began.
        epoch: counted from 1; 0 before training.
        batch: within the epoch, counted from 1; 0 before training.
        elbo: mean over the training batches since the last snapshot, nats per image; NaN before training.
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
        if self.epoch == 0:
            return "before training"
        batch = f", batch {self.batch}" if self.batch else ""
        return f"epoch {self.epoch}{batch}, ELBO {self.elbo:.1f} nats".replace("-", "−")


def snapshots_from(arrays: Mapping[str, np.ndarray]) -> list[Snapshot]:
    """Snapshots from what `as_arrays` of a callback gave, for example from a loaded .npz file."""
    return [Snapshot(*row) for row in zip(*(arrays[name] for name in Snapshot._fields), strict=True)]


class _Collector(keras.callbacks.Callback):
    """Takes a snapshot before training, and every epoch or every `every` batches."""

    def __init__(self, every: int | None = None):
        super().__init__()
        if every is not None and every < 1:
            raise ValueError(f"every: expected a number of batches of at least 1, or None for each epoch, got {every}.")
        self.every = every
        self.steps_between = every or 0  # what `VAE.fit` may let run at once
        self.snapshots: list[Snapshot] = []
        self._epoch = self._batch = self._batch_of_snapshot = 0  # in the epoch that runs
        self._steps, self._loss = 0, 0.0  # of the epochs before it: their number, the sum of their losses
        self._steps_seen, self._loss_seen = 0, 0.0  # the same up to the last snapshot

    def collect(self) -> np.ndarray:
        raise NotImplementedError

    def as_arrays(self) -> dict[str, np.ndarray]:
        """The snapshots as arrays, for `np.savez`.

        `vae_helpers.animation.snapshots_from` makes them snapshots again.
        """
        columns = zip(*self.snapshots, strict=True)
        return {name: np.array(column) for name, column in zip(Snapshot._fields, columns, strict=True)}

    def on_train_begin(self, logs=None):
        if not self.snapshots:  # a second `fit` goes on with the same film
            self.snapshots.append(Snapshot(0, 0, 0, math.nan, self.collect()))
        if self._batch:  # interrupted within an epoch: the losses of its last batches are not known
            self._steps, self._batch = self._steps + self._batch, 0
            self._steps_seen, self._loss_seen = self._steps, self._loss

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._batch_of_snapshot = epoch + 1, 0

    def on_train_batch_end(self, batch, logs=None):
        self._batch = batch + 1
        if self.every and self._batch - self._batch_of_snapshot >= self.every:
            self._take_snapshot(logs)

    def on_epoch_end(self, epoch, logs=None):
        if not self.every:
            self._take_snapshot(logs)
        self._steps, self._loss = self._steps_and_loss(logs)
        self._batch = 0

    def _steps_and_loss(self, logs) -> tuple[int, float]:
        """Batches since the first, and the sum of their losses: Keras logs the mean over the epoch so far."""
        return self._steps + self._batch, self._loss + float(logs["loss"]) * self._batch

    def _take_snapshot(self, logs):
        steps, loss = self._steps_and_loss(logs)
        elbo = (self._loss_seen - loss) / (steps - self._steps_seen)
        self.snapshots.append(Snapshot(steps, self._epoch, self._batch, elbo, self.collect()))
        self._steps_seen, self._loss_seen, self._batch_of_snapshot = steps, loss, self._batch


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
        super().__init__(every)
        check_images(x)
        check_positive(samples=samples)
        self.x, self.samples, self.seed = np.asarray(x), samples, seed

    def collect(self) -> np.ndarray:
        z = self.model.prior.sample(self.samples, seed=[self.seed, 0])
        means = np.concatenate([self.model.likelihood(z).mean(), self.model.reconstruct(self.x)])
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

    def __init__(self, x: np.ndarray, every: int | None = None):
        super().__init__(every)
        check_images(x)
        self.x = tf.convert_to_tensor(x)
        self._compiled_for = None

    def set_model(self, model):
        super().set_model(model)
        if model.latent_dim < 2:
            raise ValueError(f"LatentFrames films a plane: expected a model with J ≥ 2, got J = {model.latent_dim}.")
        if model is not self._compiled_for:  # Keras calls this at every `fit`
            self._compiled_for = model
            self._means = tf.function(lambda x: model.posterior(x).mean()[:, :2], jit_compile=model.prefers_xla)

    def collect(self) -> np.ndarray:
        return self._means(self.x).numpy().astype(np.float16)


# --- painting ----------------------------------------------------------------------------------------------------

CAPTION = 22  # pixels at the top of a frame that are left free for its caption
FONT = ImageFont.truetype(matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans.ttf", 13)


class Stage:
    """A matplotlib figure that is drawn once. A frame draws on top only what moves: artists with `animated=True`.

    Args:
        figure: with everything in its place; best a `matplotlib.figure.Figure`, which pyplot does not keep or show.
    """

    def __init__(self, figure: Figure):
        self._canvas = FigureCanvasAgg(figure)
        self._canvas.draw()
        self._background = self._canvas.copy_from_bbox(figure.bbox)
        self._moving = sorted(figure.findobj(lambda artist: artist.get_animated()), key=lambda artist: artist.zorder)

    def frame(self, caption: str = "") -> np.ndarray:
        """The figure with its animated artists as they are now, uint8 [H, W, 3]; the caption stands at the top left."""
        self._canvas.restore_region(self._background)
        for artist in self._moving:
            artist.draw(self._canvas.get_renderer())
        picture = Image.fromarray(np.asarray(self._canvas.buffer_rgba())).convert("RGB")
        # Matplotlib lays text out afresh, 3.5 ms a line: more than all else in a frame. Pillow needs 0.2 ms.
        ImageDraw.Draw(picture).text((8, 3), caption, fill="black", font=FONT)
        return np.asarray(picture)


class _Dots(Artist):
    """Discs in the colours of their digits; later digits cover earlier ones.

    Straight through matplotlib's renderer: a `Line2D` for each digit takes half a millisecond a frame more.
    """

    def __init__(self, axes: Axes, labels: np.ndarray):
        super().__init__()
        self.set_animated(True)
        self._disc, self._to_pixels = MarkerStyle("o"), axes.transData
        self._size = self._disc.get_transform().scale(5 if len(labels) <= 1000 else 3)  # pixels across
        self._digits = [(to_rgba(DIGIT_COLORS[k]), np.flatnonzero(labels == k)) for k in np.unique(labels)]
        axes.figure.add_artist(self)

    def draw(self, renderer):
        style = renderer.new_gc()
        style.set_linewidth(0)
        for color, chosen in self._digits:
            centres = mpath.Path(self.points[chosen])
            renderer.draw_markers(style, self._disc.get_path(), self._size, centres, self._to_pixels, color)
        style.restore()


def _figure(width: int, height: int) -> Figure:
    """An empty figure of so many pixels."""
    inches = ((width + 0.01) / 100, (height + 0.01) / 100)  # older matplotlibs cut 113.999… pixels to 113
    return Figure(figsize=inches, dpi=100, facecolor="white")


def _axes(width: int, height: int, top: int = 0, **settings) -> Axes:
    """Axes in a figure of so many pixels, whose upper `top` are left free."""
    if min(width, height) < 100:
        raise ValueError(f"A frame of {width} × {height} pixels has no room for axes: expected at least 100 × 100.")
    figure = _figure(width, height)
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - top / height))
    return figure.add_subplot(**settings)


def _captions(snapshots: Sequence[Snapshot]) -> list[str]:
    """One a snapshot; without the batch where no two are from one epoch."""
    once_an_epoch = len({snapshot.epoch for snapshot in snapshots}) == len(snapshots)
    return [snapshot._replace(batch=0 if once_an_epoch else snapshot.batch).caption for snapshot in snapshots]


def paint_latents(
    snapshots: Sequence[Snapshot], labels: np.ndarray, size: int = 480, limit: float | None = None
) -> Iterator[np.ndarray]:
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
    if points.ndim != 3 or points.shape[-1] != 2:
        raise ValueError(f"Expected snapshots of LatentFrames, points [n, 2] (J ≥ 2), got {list(points.shape[1:])}.")
    labels = check_labels(labels, points.shape[1])
    points[~np.isfinite(points).all(axis=-1)] = np.nan
    if limit is None:
        finite = np.abs(points[np.isfinite(points)])
        limit = max(0.5, math.ceil(2 * np.quantile(finite, 0.99)) / 2) if finite.size else 1.0
    check_positive(limit=limit, size=size)
    sides = {"xlim": (-limit, limit), "ylim": (-limit, limit), "aspect": "equal"}
    axes = _axes(size, size, CAPTION, **sides, xlabel="μ₁", ylabel="μ₂")
    for digit in np.unique(labels):
        axes.scatter([], [], s=36, color=DIGIT_COLORS[digit], label=digit)
    spacing = {"borderaxespad": 0, "handlelength": 0.7, "handletextpad": 0.2, "columnspacing": 0.8}
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=10, frameon=False, fontsize=9, **spacing)
    dots, stage = _Dots(axes, labels), Stage(axes.figure)
    for dots.points, caption in zip(points.clip(-limit, limit), _captions(snapshots), strict=True):
        yield stage.frame(caption)


def paint_pictures(
    snapshots: Sequence[Snapshot],
    columns: int,
    scale: int = 2,
    originals: np.ndarray | None = None,
    named: str = "test images",
    caption: bool = True,
) -> Iterator[np.ndarray]:
    """Pictures in rows, one frame a snapshot of `SampleFrames`.

    Args:
        snapshots: what the callback collected.
        columns: pictures in a row.
        scale: pixels of the frame for one of an image, a side.
        originals: the images given to `SampleFrames`, floats in [0, 1] or uint8, shape [n, H, W, C]: each stands above
            its reconstruction, in the last rows, and all rows are labelled.
        named: what the `originals` are.
        caption: `False` leaves it out, where another panel of the film has it.

    Yields:
        uint8 [height, width, 3]

    Raises:
        ValueError, TypeError: the snapshots are not pictures, `originals` do not match them, or a number is below 1.
    """
    check_positive(columns=columns, scale=scale)
    given = None if originals is None else pixels(originals, "originals")
    top, left, stage = CAPTION * caption, 104 * (given is not None), None
    for snapshot, text in zip(snapshots, _captions(snapshots), strict=True):
        pictures, names = pixels(snapshot.values, "snapshots of SampleFrames"), {}
        rows = in_rows(pictures, columns)
        if given is not None:
            if given.shape[1:] != pictures.shape[1:] or len(given) >= len(pictures):
                of = f"fewer than {len(pictures)} of shape {list(pictures.shape[1:])}"
                raise ValueError(
                    f"originals: expected the images given to SampleFrames, {of}, got {list(given.shape)}."
                )
            samples, reconstructions = np.split(pictures, [-len(given)])
            rows = in_rows(samples, columns)
            names = {0: "from the prior", len(rows): named, len(rows) + 1: "reconstructions"}
            rows = np.concatenate([rows, in_pairs(given, reconstructions, columns)])
        picture = np.uint8(np.rint(255 * tile(rows))).repeat(scale, axis=0).repeat(scale, axis=1)
        if stage is None:
            height, width = picture.shape[:2]
            figure = _figure(left + width, top + height)
            for row, name in names.items():
                middle = (1 - (row + 0.5) / len(rows)) * height / (top + height)
                figure.text((left - 6) / (left + width), middle, name, ha="right", va="center", fontsize=8.5)
            stage = Stage(figure)
        frame = stage.frame(text if caption else "").copy()
        frame[top:, left:] = picture
        yield frame


def paint_elbo(snapshots: Sequence[Snapshot], width: int = 480, height: int = 160) -> Iterator[np.ndarray]:
    """The ELBO of the training batches as a curve that grows, one frame a snapshot of either callback.

    Yields:
        uint8 [height, width, 3]

    Raises:
        ValueError: no snapshot has an ELBO, or the frame is too small.
    """
    points = np.array([(s.step, s.elbo) for s in snapshots if math.isfinite(s.elbo)])
    if not len(points):
        raise ValueError("No ELBO to draw: expected at least one snapshot from after the first batch.")
    # The first steps from chance would flatten all the rest: the curve begins where it has left them behind.
    low, high = np.quantile(points[:, 1], [0.05, 1.0])
    points = points[np.argmax(points[:, 1] > low) :]
    low = points[:, 1].min()
    margin = 0.08 * (high - low) + 1e-3
    sides = {"xlim": (0, 1.02 * points[-1, 0]), "ylim": (low - margin, high + margin)}
    axes = _axes(width, height, **sides, xlabel="updates", ylabel="ELBO (nats)")
    (line,) = axes.plot([], color=TRAIN_COLOR, linewidth=1.5, animated=True)
    (now,) = axes.plot([], "o", color=TRAIN_COLOR, markersize=6, animated=True)
    stage = Stage(axes.figure)
    for snapshot in snapshots:
        seen = points[points[:, 0] <= snapshot.step]
        line.set_data(*seen.T)
        now.set_data(*seen[-1:].T)
        yield stage.frame()


# --- writing -----------------------------------------------------------------------------------------------------


def _as_bytes(frames: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Frames as uint8 arrays of one shape, [H, W] or [H, W, 3]."""
    result = []
    for number, frame in enumerate(frames):
        frame = np.asarray(frame)
        if frame.ndim == 3 and frame.shape[-1] == 1:
            frame = frame[..., 0]
        if frame.size == 0 or frame.ndim < 2 or frame.shape[2:] not in ((), (3,)):
            raise ValueError(f"Frame {number}: expected shape [H, W], [H, W, 1] or [H, W, 3], got {list(frame.shape)}.")
        if result and frame.shape != result[0].shape:
            raise ValueError(
                f"Frame {number}: expected shape {list(result[0].shape)} of frame 0, got {list(frame.shape)}."
            )
        if np.issubdtype(frame.dtype, np.floating):
            if not (frame.min() >= 0 and frame.max() <= 1):  # NaN fails, too
                got = f"{frame.min():g} to {frame.max():g}"
                raise ValueError(f"Frame {number}: expected floats between 0 and 1, got {got}; divide by 255 first?")
            frame = np.uint8(np.rint(255 * frame))
        elif frame.dtype != np.uint8:
            raise TypeError(f"Frame {number}: expected uint8, or floats between 0 and 1, got {frame.dtype}.")
        result.append(frame)
    if not result:
        raise ValueError("No frames: expected at least one. Was the callback given to fit?")
    return result


def _with_palette(frames: list[np.ndarray]) -> list[Image.Image]:
    """Colours reduced to 255 for the whole film, without dithering: what stands still must not flicker."""
    if frames[0].ndim == 2:
        return [Image.fromarray(frame) for frame in frames]
    apart = 1 + len(frames) * frames[0].size // 1_500_000  # half a million pixels from all over the film are enough
    some = np.concatenate([frame.reshape(-1, 3)[number % apart :: apart] for number, frame in enumerate(frames)])
    palette = Image.fromarray(some[None]).quantize(255, method=Image.Quantize.FASTOCTREE)
    return [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]


def _durations(count: int, fps: float, hold_last: float, unit: int) -> list[int]:
    """Milliseconds of each frame, multiples of `unit` such that the rounding does not add up."""
    ends = [round(1000 * k / fps / unit) for k in range(count + 1)]
    ends[-1] = round(1000 * (count / fps + hold_last) / unit)
    return [unit * (b - a) for a, b in itertools.pairwise(ends)]


def _write_mp4(frames: list[np.ndarray], path: Path, fps: float, hold_last: float) -> None:
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg  # noqa: F401  # its encoder
    except ModuleNotFoundError:
        raise ModuleNotFoundError('MP4 needs an encoder: pip install "imageio[ffmpeg]", or write a .gif.') from None
    even = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white"]  # players ask for even sizes
    with imageio.get_writer(path, format="FFMPEG", fps=fps, macro_block_size=1, output_params=even) as film:
        for frame in itertools.chain(frames, itertools.repeat(frames[-1], round(fps * hold_last))):
            film.append_data(frame)


def write_animation(
    frames: Iterable[np.ndarray], path: str | os.PathLike, fps: float = 15, hold_last: float = 1.0
) -> Path:
    """Writes an endlessly looping film, all or nothing, in the format that the path's ending names.

    `.gif` shows everywhere. `.png` (an animated PNG) is what a notebook can keep as an output; a viewer that does not
    know it, and a reader who asked for no motion, sees the last frame. `.webp` shows in browsers. `.mp4` (H.264, does
    not loop by itself) needs `pip install "imageio[ffmpeg]"`. Grey frames keep every pixel in all formats but MP4;
    colours are reduced to 255 that all frames share.

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
            most 655.35 seconds a frame and 65,535 pixels a side.
        ModuleNotFoundError: the encoder is not there; the message says how to get it.
        OSError: the path cannot be written. No half-written file is left.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in (".gif", ".png", ".webp", ".mp4"):
        raise ValueError(f"{path.name}: expected a name that ends in .gif, .png, .webp or .mp4.")
    if not 0 < fps <= 50:
        raise ValueError(f"fps: expected more than 0 and at most 50 (players slow faster GIFs down), got {fps}.")
    if not 0 <= hold_last < math.inf:
        raise ValueError(f"hold_last: expected seconds, at least 0, got {hold_last}.")
    frames = _as_bytes(frames)
    with replacing(path) as temporary:
        if ending == ".mp4":
            _write_mp4(frames, temporary, fps, hold_last)
            return path
        durations = _durations(len(frames), fps, hold_last, unit=10 if ending == ".gif" else 1)
        pictures = _with_palette(frames)
        if ending == ".png":
            pictures.insert(0, pictures[-1])  # the still picture, outside the film
        options = {"default_image": True} if ending == ".png" else {"optimize": False, "lossless": True}
        options |= {"append_images": pictures[1:], "duration": durations, "loop": 0}
        try:
            pictures[0].save(temporary, save_all=True, **options)
        except (struct.error, OverflowError, ValueError, RuntimeError) as error:  # one for each format and Pillow
            limits = "expected at most 655.35 seconds a frame and 65,535 pixels a side in a GIF, less in others"
            given = f"got hold_last={hold_last}, fps={fps} and {list(frames[0].shape)}"
            raise ValueError(f"{path.name} does not hold this film: {limits}; {given}. ({error})") from error
    return path


def write_gif(frames: Iterable[np.ndarray], path: str | os.PathLike, fps: float = 15, hold_last: float = 1.0) -> Path:
    """`write_animation` for a path that must end in `.gif`."""
    if Path(path).suffix.lower() != ".gif":
        raise ValueError(f"{Path(path).name}: expected a name that ends in .gif; write_animation knows others.")
    return write_animation(frames, path, fps, hold_last)
