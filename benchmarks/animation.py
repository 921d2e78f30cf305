"""What a film of training costs: the published way beside ours, on the same points, in one run.

    python benchmarks/animation.py             # about eight minutes; writes benchmarks/results/animation.json
    python benchmarks/animation.py films       # only what drawing and writing costs; the rest of the file stays
    python benchmarks/animation.py training    # only what looking on costs the training

The published way (system S3, written here afresh): for every frame a 10 × 10 inch matplotlib figure is drawn, saved as
a PNG, read back by another library and kept in a list; figures are never closed; the list is written as a GIF. Ours:
`vh.animation.paint_latents` and `vh.write_gif`. Both draw the same 200 snapshots of 10,000 encoded test images of one
epoch of S3 from scratch, 480 × 480 pixels, each in a process of its own, so that its peak memory can be told. Both draw
in one thread: their time is that of the processor, which other work on the machine does not lengthen. The time of an
epoch is the clock's, so nothing else should run.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import vae_helpers as vh  # before Keras: it silences TensorFlow's start-up lines
from vae_helpers import animation

import keras  # isort: skip
import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "experiments"))
from run import provenance, write

RESULT = Path(__file__).parent / "results" / "animation.json"
FRAMES, FPS, SIZE = 200, 15, 480
LIMIT = 10  # half the side of the published axes, for both: a closer view moves more pixels and makes larger files
FILM_ROUNDS, ROUNDS = 3, 5


def published(snapshots: list[animation.Snapshot], labels: np.ndarray, folder: Path, path: Path) -> None:
    import imageio.v2 as imageio
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["figure.max_open_warning"] = 0
    pictures = []
    for number, snapshot in enumerate(snapshots):
        plt.figure(figsize=(10, 10))
        plt.scatter(snapshot.values[:, 0], snapshot.values[:, 1], c=labels, cmap="tab10", s=6)
        plt.colorbar()
        plt.xlim(-LIMIT, LIMIT)
        plt.ylim(-LIMIT, LIMIT)
        plt.title(snapshot.caption)
        file = folder / f"{number:04d}.png"
        plt.savefig(file, dpi=SIZE / 10)
        pictures.append(imageio.imread(file)[..., :3])
    imageio.mimsave(path, pictures, duration=1000 / FPS, loop=0)


def ours(snapshots: list[animation.Snapshot], labels: np.ndarray, folder: Path, path: Path) -> None:
    vh.write_gif(animation.paint_latents(snapshots, labels, size=SIZE, limit=LIMIT), path, fps=FPS)


def resident() -> float:
    """MiB in use now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def one_way(name: str, film: Path, folder: Path) -> dict:
    """Runs in a child process: time, peak memory above what was in use before, size of the file."""
    with np.load(film) as stored:
        columns = [stored[name] for name in animation.Snapshot._fields]
        labels, snapshots = stored["labels"], [animation.Snapshot(*row) for row in zip(*columns, strict=True)]
    path, before = folder / f"{name}.gif", resident()
    start = time.process_time()
    {"published": published, "ours": ours}[name](snapshots, labels, folder, path)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "milliseconds_per_frame": 1000 * seconds / len(snapshots),
        "peak_memory_MiB": peak - before,
        "file_MB": path.stat().st_size / 1e6,
    }


def s3(seed: int = 0) -> vh.VAE:
    model = vh.mlp_vae(hidden=(256,), seed=seed)
    model.compile(keras.optimizers.RMSprop(), objective=vh.sgvb_b)
    return model


def drawing_and_writing(images: vh.ImageData, x_test: np.ndarray) -> dict:
    """Both ways in turn, `FILM_ROUNDS` times: the median of each figure."""
    model, latents = s3(), vh.LatentFrames(x_test, every=3)
    model.fit(vh.batches(images.train, 100, seed=0), callbacks=[latents], verbose=0)
    found: dict[str, list[dict]] = {"published": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.npz")
        columns = map(np.array, zip(*latents.snapshots[1:], strict=True))
        arrays = dict(zip(animation.Snapshot._fields, columns, strict=True))
        assert len(arrays["values"]) == FRAMES
        np.savez(film, labels=images.test_labels, **arrays)
        for _ in range(FILM_ROUNDS):
            for name, rounds in found.items():
                child = [sys.executable, __file__, "one-way", name, str(film), folder]
                done = subprocess.run(child, capture_output=True, text=True, check=True)
                rounds.append(json.loads(done.stdout.splitlines()[-1]))
                print(name, rounds[-1], flush=True)
    result = {
        name: {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
        for name, rounds in found.items()
    }
    factor = result["published"]["milliseconds_per_frame"] / result["ours"]["milliseconds_per_frame"]
    print(f"ours is {factor:.0f} times as fast")
    return {"frames": FRAMES, "points": len(x_test), "pixels": SIZE, "rounds": FILM_ROUNDS, **result}


def looking_on(images: vh.ImageData, x_test: np.ndarray) -> dict:
    """Seconds of an epoch of S3 without and with `LatentFrames` every third batch, in turn; start-up left out."""
    seconds: dict[str, list[float]] = {"without": [], "300": [], "1000": [], "10000": []}
    fits = {}
    for name in seconds:
        model, training = s3(), vh.batches(images.train, 100, seed=0)
        callbacks = [] if name == "without" else [vh.LatentFrames(x_test[: int(name)], every=3)]
        model.fit(training.take(6), callbacks=callbacks, verbose=0)  # compiles
        fits[name] = (model, training, callbacks)
    for _ in range(ROUNDS):
        for name, (model, training, callbacks) in fits.items():
            start = time.perf_counter()
            model.fit(training, callbacks=callbacks, verbose=0)
            seconds[name].append(time.perf_counter() - start)
    base = statistics.median(seconds["without"])
    for name, each in seconds.items():
        print(f"{name:>8} images: {statistics.median(each):.2f} s an epoch, {statistics.median(each) / base:.2f} ×")
    return {"rounds": ROUNDS, "epoch_seconds": seconds}


def main() -> None:
    if sys.argv[1:2] == ["one-way"]:  # a child
        name, film, folder = sys.argv[2:]
        print(json.dumps(one_way(name, Path(film), Path(folder))))
        return
    parts = {"films": drawing_and_writing, "training": looking_on}
    chosen = sys.argv[1:] or list(parts)
    result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    images = vh.load_mnist()
    x_test = vh.binarize(images.test, "none")
    for part in chosen:
        begun = provenance()
        result[part] = parts[part](images, x_test) | {"provenance": begun}
        RESULT.parent.mkdir(exist_ok=True)
        write(RESULT, result)


if __name__ == "__main__":
    main()
