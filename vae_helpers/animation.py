"""Films of training and of the latent space: callbacks that collect small arrays, painters, and writers.

Nothing is drawn while the model trains: a callback costs one forward pass a frame. Afterwards a painter turns what was
collected into frames. Axes, legend and labels are drawn once, by matplotlib; each frame only puts its points, or its
pictures, on top. A frame is an array of places in one common `PALETTE`, so that panels can be put side by side and
nothing is converted before it is written.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin, features

from .data import check_images
from .figures import DIGIT_COLORS

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
        """`epoch 1, batch 300, ELBO −181.2 nats`."""
        if self.epoch == 0:
            return "before training"
        return f"epoch {self.epoch}, batch {self.batch}, ELBO {self.elbo:.1f} nats".replace("-", "−")


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
        self._updates = self._batch = 0  # in the epochs before this one, in this one
        self._left = (0, 0.0)  # batches that no snapshot saw when their epoch ended, and the sum of their losses

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

    def on_epoch_begin(self, epoch, logs=None):
        self._updates += self._batch
        self._epoch, self._batch, self._taken, self._sum = epoch + 1, 0, 0, 0.0

    def on_train_batch_end(self, batch, logs=None):
        self._batch = batch + 1
        if self.every and self._batch - self._taken >= self.every:
            self._take(logs)

    def on_epoch_end(self, epoch, logs=None):
        if not self.every:
            self._take(logs)
        elif self._batch > self._taken:  # the next epoch's mean begins anew
            count, total = self._left
            self._left = count + self._batch - self._taken, total + float(logs["loss"]) * self._batch - self._sum

    def _take(self, logs):
        # Keras logs the mean over the epoch so far; the batches since the last snapshot are a difference of sums.
        total = float(logs["loss"]) * self._batch
        left, left_total = self._left
        elbo = (self._sum - total - left_total) / (self._batch - self._taken + left)
        self.snapshots.append(Snapshot(self._updates + self._batch, self._epoch, self._batch, elbo, self.collect()))
        self._sum, self._taken, self._left = total, self._batch, (0, 0.0)


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
        ValueError, TypeError: `every` is below 1, or `x` is not a batch of images.
    """

    def __init__(self, x: np.ndarray, samples: int = 16, every: int | None = None, seed: int = 0):
        super().__init__(every)
        check_images(x)
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
        ValueError, TypeError: `every` is below 1, or `x` is not a batch of images.
    """

    def __init__(self, x: np.ndarray, every: int | None = None):
        super().__init__(every)
        check_images(x)
        self.x = tf.convert_to_tensor(x)
        self._compiled_for = None

    def set_model(self, model):
        super().set_model(model)
        if model is not self._compiled_for:  # Keras calls this at every `fit`
            self._compiled_for = model
            self._means = tf.function(lambda x: model.posterior(x).mean()[:, :2], jit_compile=model.prefers_xla)

    def collect(self) -> np.ndarray:
        return self._means(self.x).numpy().astype(np.float16)


# --- painting ----------------------------------------------------------------------------------------------------

GREYS = 32  # enough for smooth letters and digits, and small in the file
WHITE = GREYS - 1
# Greys from black to white, then the colours of the digits.
PALETTE = np.concatenate(
    [
        np.repeat(np.uint8(np.rint(np.linspace(0, 255, GREYS)))[:, None], 3, axis=1),
        np.uint8(np.rint(255 * np.array([matplotlib.colors.to_rgb(color) for color in DIGIT_COLORS]))),
    ]
)


def digit_index(labels: np.ndarray | int) -> np.ndarray:
    """The places of the digits' colours in `PALETTE`."""
    return np.uint8(GREYS + np.asarray(labels))


def grey_index(pixels: np.ndarray) -> np.ndarray:
    """uint8 grey levels → their places in `PALETTE`."""
    return np.uint8((pixels.astype(np.uint16) * WHITE + 127) // 255)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)


def write_text(frame: np.ndarray, text: str, x: int, y: int, size: int = 14) -> None:
    """Burns dark text into a frame, in place, its upper left corner at (x, y); what does not fit is cut off."""
    _, _, right, bottom = _font(size).getbbox(text)
    mask = Image.new("L", (math.ceil(right), math.ceil(bottom)))
    ImageDraw.Draw(mask).text((0, 0), text, fill=255, font=_font(size))
    target = frame[y : y + mask.height, x : x + mask.width]
    ink = grey_index(255 - np.asarray(mask)[: target.shape[0], : target.shape[1]])
    np.minimum(target, ink, out=target, where=target < GREYS)


def beside(*panels: np.ndarray) -> np.ndarray:
    """Panels from left to right; the lower ones get white below."""
    height = max(len(panel) for panel in panels)
    return np.hstack([np.pad(p, ((0, height - len(p)), (0, 0)), constant_values=WHITE) for p in panels])


def above(*panels: np.ndarray) -> np.ndarray:
    """Panels from top to bottom; the narrower ones get white on their right."""
    return beside(*(panel.T for panel in panels)).T


class Plane:
    """Axes on which points are drawn again and again: drawn once, with everything that does not move.

    Args:
        width, height: of the picture, pixels.
        xlim, ylim: what it shows.
        draw: called with the matplotlib axes before they are drawn, for labels and ticks; in greys only.
    """

    def __init__(
        self,
        width: int,
        height: int,
        xlim: tuple[float, float],
        ylim: tuple[float, float],
        draw: Callable[[Axes], object] = lambda axes: None,
    ):
        with plt.rc_context({"font.size": 9}):
            figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white", layout="constrained")
            canvas = FigureCanvasAgg(figure)
            axes = figure.add_subplot()
            axes.set(xlim=xlim, ylim=ylim)
            draw(axes)
            canvas.draw()
            self._to_display = axes.transData.frozen()
            box = axes.get_window_extent()
        self.background = grey_index(np.uint8(np.asarray(canvas.buffer_rgba())[..., :3].mean(axis=-1)))
        self.left, self.right = math.ceil(box.x0) + 1, math.floor(box.x1) - 1
        self.top, self.bottom = math.ceil(height - box.y1) + 1, math.floor(height - box.y0) - 1

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Data coordinates [n, 2] → columns and rows [n, 2] of the pixels that hold them."""
        display = self._to_display.transform(np.asarray(points, float))
        return np.int32(np.floor(np.column_stack([display[:, 0], len(self.background) - display[:, 1]])))

    def scatter(self, frame: np.ndarray, points: np.ndarray, colors: np.ndarray | int, radius: float = 1.5) -> None:
        """Draws discs into a frame, in place; what lies outside the axes is drawn on their edge, what is not finite is
        left out. Later points cover earlier ones."""
        points = np.asarray(points, float)
        finite = np.isfinite(points).all(axis=1)
        points, colors = points[finite], np.broadcast_to(np.uint8(colors), len(points))[finite]
        reach = math.floor(radius)
        columns, rows = self.pixels(points).T
        columns = np.clip(columns, self.left + reach, self.right - reach)
        rows = np.clip(rows, self.top + reach, self.bottom - reach)
        steps = np.arange(-reach, reach + 1)
        dy, dx = (d.ravel() for d in np.meshgrid(steps, steps))
        disc = (dy * frame.shape[1] + dx)[dx * dx + dy * dy <= radius * radius]
        # All discs at once, point by point, so that a disc is covered as a whole.
        places = (rows.astype(np.int64) * frame.shape[1] + columns)[:, None] + disc
        frame.reshape(-1)[places.reshape(-1)] = np.repeat(colors, len(disc))

    def line(self, frame: np.ndarray, points: np.ndarray, color: int, width: int = 2) -> None:
        """Draws a polyline into a frame, in place."""
        image = Image.fromarray(frame)
        ImageDraw.Draw(image).line([tuple(p) for p in self.pixels(points).tolist()], fill=int(color), width=width)
        frame[:] = np.asarray(image)


def paint_latents(
    snapshots: Sequence[Snapshot], labels: np.ndarray, size: int = 480, limit: float | None = None
) -> Iterator[np.ndarray]:
    """Posterior means as a scatter in ten colours, one frame a snapshot of `LatentFrames`.

    Args:
        snapshots: what the callback collected.
        labels: integers 0 … 9, one for each image.
        size: of the frame, pixels a side.
        limit: half the side of the plot; `None`: what holds all but one in 1,000 of the coordinates in the second half
            of the film. Points outside are drawn on the edge.

    Yields:
        uint8 [size, size], places in `PALETTE`.

    Raises:
        ValueError: not as many labels as points.
    """
    if snapshots and len(snapshots[0].values) != len(labels):
        raise ValueError(f"labels: expected one for each of {len(snapshots[0].values)} images, got {len(labels)}.")
    if limit is None:
        settled = np.abs([s.values.astype(np.float32) for s in snapshots[len(snapshots) // 2 :]])
        settled = settled[np.isfinite(settled)]
        limit = max(1.0, math.ceil(2 * np.quantile(settled, 0.999)) / 2) if settled.size else 1.0
    # The title's two lines are left free: for the caption and for the legend.
    plane = Plane(
        size,
        size,
        (-limit, limit),
        (-limit, limit),
        lambda axes: axes.set(xlabel="μ₁", ylabel="μ₂", title="\n\n", aspect="equal"),
    )
    background = plane.background
    for digit in range(10):  # the legend: a row of digits in their colours above the axes
        x, y = plane.left + digit * (plane.right - plane.left) // 10, plane.top - 19
        background[y + 3 : y + 12, x : x + 9] = digit_index(digit)
        write_text(background, str(digit), x + 12, y - 1, 12)
    # In a fixed random order, so that no digit covers all others.
    order = np.random.default_rng(0).permutation(len(labels))
    colors = digit_index(labels)[order]
    for snapshot in snapshots:
        frame = background.copy()
        plane.scatter(frame, snapshot.values.astype(np.float32)[order], colors)
        write_text(frame, snapshot.caption, plane.left, 2)
        yield frame


def paint_pictures(
    snapshots: Sequence[Snapshot], columns: int, scale: int = 2, originals: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Pictures in rows, one frame a snapshot of `SampleFrames`; grey images only.

    Args:
        snapshots: what the callback collected.
        columns: pictures in a row.
        scale: pixels of the frame for one of an image, a side.
        originals: float images in [0, 1], shape [n, H, W, 1]: each stands above its reconstruction, in the last rows.

    Yields:
        uint8 [height, width], places in `PALETTE`.

    Raises:
        ValueError: the pictures have colours.
    """
    for snapshot in snapshots:
        pictures = snapshot.values
        if pictures.shape[-1] != 1:
            raise ValueError(f"Expected grey pictures [n, H, W, 1], got {list(pictures.shape)}; write them as colours.")
        if originals is not None:
            pictures, reconstructions = np.split(pictures, [len(pictures) - len(originals)])
            blank = np.full((-len(pictures) % columns, *pictures.shape[1:]), 255, np.uint8)
            pictures = np.concatenate([pictures, blank])
            for start in range(0, len(originals), columns):
                part = slice(start, start + columns)
                given = np.uint8(np.rint(255 * np.asarray(originals)[part]))
                pictures = np.concatenate([pictures, given, reconstructions[part]])
        n, height, width = pictures.shape[:3]
        rows = -(-n // columns)
        padded = np.full((rows * columns, height, width), 255, np.uint8)
        padded[:n] = pictures[..., 0]
        grid = padded.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)
        caption = np.full((24, scale * grid.shape[1]), WHITE, np.uint8)
        write_text(caption, snapshot.caption, 4, 2)
        yield above(caption, np.kron(grey_index(grid), np.ones((scale, scale), np.uint8)))


def paint_elbo(snapshots: Sequence[Snapshot], width: int = 480, height: int = 160) -> Iterator[np.ndarray]:
    """The ELBO of the training batches as a curve that grows, one frame a snapshot of either callback.

    Yields:
        uint8 [height, width], places in `PALETTE`.

    Raises:
        ValueError: no snapshot has an ELBO.
    """
    points = np.array([(s.step, s.elbo) for s in snapshots if math.isfinite(s.elbo)])
    if not len(points):
        raise ValueError("No ELBO to draw: expected at least one snapshot from after the first batch.")
    # The first steps from chance would flatten all the rest: the curve begins where it has left them behind.
    low, high = np.quantile(points[:, 1], [0.05, 1.0])
    points = points[np.argmax(points[:, 1] > low) :]
    low = points[:, 1].min()
    margin = 0.08 * (high - low) + 1e-3
    xlim, ylim = (0, 1.02 * points[-1, 0]), (low - margin, high + margin)
    plane = Plane(width, height, xlim, ylim, lambda axes: axes.set(xlabel="updates", ylabel="ELBO (nats)"))
    for snapshot in snapshots:
        frame = plane.background.copy()
        seen = points[points[:, 0] <= snapshot.step]
        if len(seen):
            plane.line(frame, seen, digit_index(5))
            plane.scatter(frame, seen[-1:], digit_index(6), radius=4)
        yield frame


# --- writing -----------------------------------------------------------------------------------------------------


def _images(frames: Iterable[np.ndarray], palette: np.ndarray | None) -> list[Image.Image]:
    """Frames, checked, as pictures with a palette."""
    images, first = [], None
    for number, frame in enumerate(frames):
        frame = np.asarray(frame)
        if frame.ndim == 3 and frame.shape[-1] == 1:
            frame = frame[..., 0]
        if frame.ndim not in (2, 3) or (frame.ndim == 3 and frame.shape[-1] != 3):
            raise ValueError(f"Frame {number}: expected shape [H, W], [H, W, 1] or [H, W, 3], got {list(frame.shape)}.")
        first = first or frame.shape
        if frame.shape != first:
            raise ValueError(
                f"Frame {number}: expected the shape of the first, {list(first)}, got {list(frame.shape)}."
            )
        places = frame.dtype == np.uint8 and frame.ndim == 2 and palette is not None
        if places and frame.max() >= len(palette):
            raise ValueError(f"Frame {number}: expected places in a palette of {len(palette)}, got {frame.max()}.")
        if np.issubdtype(frame.dtype, np.floating):
            if not (frame.min() >= 0 and frame.max() <= 1):  # NaN fails, too
                raise ValueError(
                    f"Frame {number}: expected floats between 0 and 1, or uint8, got {frame.dtype} from "
                    f"{frame.min():g} to {frame.max():g}; divide by the largest grey level first."
                )
            frame = np.uint8(np.rint(255 * frame))
        elif frame.dtype != np.uint8:
            raise TypeError(f"Frame {number}: expected uint8, or floats between 0 and 1, got {frame.dtype}.")
        images.append(Image.fromarray(frame))
        if places:
            images[-1].putpalette(palette.tobytes())
    if first is None:
        raise ValueError("No frames: expected at least one. Was the callback given to fit?")
    if len(first) == 3:
        # One palette for all, without dithering: what stands still must not flicker.
        some = images[:: -(-len(images) // 16)]
        common = Image.fromarray(np.vstack([np.asarray(image) for image in some])).quantize(256)
        images = [image.quantize(palette=common, dither=Image.Dither.NONE) for image in images]
    return images


def _as_png(images: list[Image.Image]) -> tuple[list[Image.Image], dict]:
    """Pictures as Pillow's writer of animated PNG wants them, and its options: first the still one, outside the film.

    With a palette, each frame is transparent wherever the one before shows the same: the viewer lays one over the
    other, and what does not change costs next to nothing.
    """
    still, palette = images[-1], images[0].getpalette()
    if palette is None or len(palette) == 3 * 256:
        return [still, *images], {"default_image": True}
    transparent = len(palette) // 3
    arrays = [np.asarray(image) for image in images]
    changes = [np.where(a == b, np.uint8(transparent), b) for a, b in itertools.pairwise(arrays)]
    result = [Image.fromarray(array) for array in (arrays[-1], arrays[0], *changes)]
    # Pillow crops a frame to where its colours differ from the last: no visible colour may equal the transparent one.
    visible = {tuple(palette[k : k + 3]) for k in range(0, len(palette), 3)}
    unused = next(color for color in itertools.product(range(255, 247, -1), repeat=3) if color not in visible)
    for image in result:
        image.putpalette([*palette, *unused])
    return result, {"default_image": True, "blend": PngImagePlugin.Blend.OP_OVER, "transparency": transparent}


def _durations(count: int, fps: float, hold_last: float, unit: int) -> list[int]:
    """Milliseconds of each frame, multiples of `unit` such that the rounding does not add up."""
    ends = [round(1000 * k / fps / unit) for k in range(count + 1)]
    ends[-1] = round(1000 * (count / fps + hold_last) / unit)
    return [unit * (b - a) for a, b in itertools.pairwise(ends)]


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when all went well, and is removed when not."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise OSError(
            f"Cannot write {path}: {error.strerror}. Expected a folder that exists and is writable."
        ) from error
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o644)  # mkstemp's files are for their owner only
        os.replace(name, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def write_animation(
    frames: Iterable[np.ndarray],
    path: str | os.PathLike,
    fps: float = 15,
    hold_last: float = 1.0,
    palette: np.ndarray | None = PALETTE,
) -> Path:
    """Writes an endlessly looping film, all or nothing, in the format that the path's ending names.

    `.gif` shows everywhere. `.png` (an animated PNG) is smaller and is what a notebook can keep as an output; a viewer
    that does not know it, and a reader who asked for no motion, sees the last frame. `.mp4` (H.264, does not loop by
    itself) needs `pip install "imageio[ffmpeg]"` and is not exact; `.webp` is, as the first two are. But colours
    [H, W, 3] are reduced to 256, common to all frames, in every format.

    Args:
        frames: arrays of one size. uint8, [H, W] or [H, W, 1]: places in `palette`; floats in [0, 1], [H, W] or
            [H, W, 1]: grey; [H, W, 3], uint8 or floats in [0, 1]: colours. A generator will do.
        path: of the file.
        fps: frames a second. GIF counts in hundredths of a second: the frames' times are rounded so that their sum is
            right. Frames that equal the one before become one that stays longer.
        hold_last: seconds that the last frame stays on top of its own time.
        palette: uint8 [≤ 256, 3], the colours of uint8 frames, by default 32 greys from black to white and the ten
            colours of the digits, as the painters use them; `None`: the frames are grey levels.

    Returns:
        the path.

    Raises:
        ValueError, TypeError: no frames, frames of different sizes, numbers out of range, an unknown ending, `fps` not
            above 0 or above 50, `hold_last` negative or infinite.
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
    if ending == ".webp" and not features.check("webp"):
        raise ModuleNotFoundError("This Pillow cannot write WebP: pip install --upgrade pillow, or write a .gif.")
    if ending == ".mp4":
        try:
            import imageio.v3 as iio
            import imageio_ffmpeg  # noqa: F401  # its encoder
        except ModuleNotFoundError:
            raise ModuleNotFoundError('MP4 needs an encoder: pip install "imageio[ffmpeg]", or write a .gif.') from None
    images = _images(frames, palette)
    with _replacing(path) as temporary:
        if ending == ".mp4":
            film = [np.asarray(image.convert("RGB")) for image in images]
            film += [film[-1]] * round(fps * hold_last)
            iio.imwrite(temporary, film, plugin="FFMPEG", fps=fps, macro_block_size=2)
            return path
        durations = _durations(len(images), fps, hold_last, unit=10 if ending == ".gif" else 1)
        options = {"optimize": False} if ending == ".gif" else {"lossless": True}
        if ending == ".png":
            images, options = _as_png(images)
        elif ending == ".webp":
            images = [image.convert("RGB") for image in images]
        images[0].save(temporary, save_all=True, append_images=images[1:], duration=durations, loop=0, **options)
    return path


def write_gif(
    frames: Iterable[np.ndarray],
    path: str | os.PathLike,
    fps: float = 15,
    hold_last: float = 1.0,
    palette: np.ndarray | None = PALETTE,
) -> Path:
    """`write_animation` for a path that must end in `.gif`."""
    if Path(path).suffix.lower() != ".gif":
        raise ValueError(f"{Path(path).name}: expected a name that ends in .gif; write_animation knows others.")
    return write_animation(frames, path, fps, hold_last, palette)
