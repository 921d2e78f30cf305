"""What `vh.load_images` costs: its speed beside Keras's loader, and the memory of a folder larger than its limit.

    python benchmarks/folders.py           # about ten minutes; writes benchmarks/results/folders.json
    python benchmarks/folders.py speed     # only the speed; the rest of the file stays
    python benchmarks/folders.py memory    # only the memory (Linux)

Speed: pictures to 64 × 64 in colour, cut to the square about the middle: 2,000 JPEGs and 2,000 PNGs of 200 × 150, each
alone and together, and 200 JPEGs of 1600 × 1200. `keras.utils.image_dataset_from_directory` and ours take turns, and
change who goes first; each round is a ratio. Three numbers of epochs: one pass (Keras hands out minibatches, which are
thrown away; ours keeps the pictures), two epochs of minibatches, and eight, as chapter 8 trains. Keras decodes in each
epoch, ours in the first alone; ours also looks whether each picture can be used, and resizes over all its pixels. The
files lie in the system's cache for both. Nothing else should run; the ratio of the processor's time holds also where
something does.

Memory: 100,000 PNGs of 32 × 32 in colour and one epoch of a small VAE, in a process of its own for each way: pixels on
the disk, pixels in memory, and the same training on 1,000 pictures of noise, which is what TensorFlow takes by itself.
A peak counts pages of files too, which the system takes back when others need them. So the first way runs once more in
a control group that may hold 1 GiB, and is killed beyond it (Linux, as root); pages of files count there too, but for
those that another program had read before, such as TensorFlow's libraries.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import vae_helpers as vh  # before Keras: it silences TensorFlow's start-up lines
from vae_helpers.folders import load_images

import keras  # isort: skip
import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[1] / "experiments"))
from run import provenance, write

RESULT = Path(__file__).parent / "results" / "folders.json"
SIZE, ROUNDS = 64, 5
EPOCHS = {"one pass": 0, "two epochs": 2, "eight epochs": 8}
SETS = {  # pictures, width, height, kinds of file
    "JPEG": (2000, 200, 150, ["jpg"]),
    "PNG": (2000, 200, 150, ["png"]),
    "JPEG and PNG": (4000, 200, 150, ["jpg", "png"]),
    "large JPEG": (200, 1600, 1200, ["jpg"]),
}
MANY, SMALL, BATCH_SIZE = 100_000, 32, 100
CONFINED = "on the disk, confined"
WAYS = {"training alone": None, "on the disk": 0.0, CONFINED: 0.0, "in memory": 1e12}  # the `memory_limit` in bytes
LIMIT = 1.0  # GiB, that training from the disk may take
CONTROL_GROUPS = Path("/sys/fs/cgroup")


def picture(number: int, width: int, height: int) -> Image.Image:
    """Blots of colour with a little grain, which JPEG and PNG compress about as they do photographs."""
    random = np.random.default_rng(number)
    blots = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8)).resize((width, height), Image.BICUBIC)
    grain = random.integers(-6, 7, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(blots) + grain, 0, 255).astype(np.uint8))


def fill(folder: Path, count: int, width: int, height: int, suffixes: list[str]) -> None:
    """Writes `count` pictures into two classes, each of all `suffixes` in equal parts."""

    def save(number: int) -> None:
        kind = suffixes[number // 2 % len(suffixes)]
        picture(number, width, height).save(folder / "ab"[number % 2] / f"{number:06d}.{kind}")

    for name in "ab":
        (folder / name).mkdir()
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(save, range(count)):
            pass


def by_keras(folder: Path, epochs: int) -> int:
    options = {"image_size": (SIZE, SIZE), "crop_to_aspect_ratio": True, "shuffle": False, "verbose": False}
    dataset = keras.utils.image_dataset_from_directory(folder, batch_size=BATCH_SIZE, **options)
    taken = 0
    for _ in range(epochs or 1):
        taken = sum(len(images) for images, _ in dataset)
    return taken


def by_us(folder: Path, epochs: int) -> int:
    images = load_images(folder, SIZE)
    sets = [vh.batches(part, BATCH_SIZE, shuffle=False) for part in (images.train, images.test)] if epochs else []
    for _ in range(epochs):
        assert sum(len(batch) for dataset in sets for batch in dataset) == len(images.train) + len(images.test)
    return len(images.train) + len(images.test)


def spread(ratios: list[float]) -> dict[str, float]:
    return {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}


def race(name: str, epochs: int) -> dict:
    """Seconds of each round by the clock and of the processor, and the ratios, above 1 where ours is faster.

    With epochs both hand them out in minibatches; without, Keras does so once, since it loads in no other way.
    """
    clock: dict[str, list[float]] = {"keras": [], "ours": []}
    processor: dict[str, list[float]] = {"keras": [], "ours": []}
    count, *shape = SETS[name]
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), count, *shape)
        ways = [("keras", by_keras), ("ours", by_us)]
        for number in range(-1, ROUNDS):  # the first round, with imports and traces, does not count
            for way, load in ways if number % 2 else ways[::-1]:
                start, start_processor = time.perf_counter(), time.process_time()
                taken = load(Path(folder), epochs)
                assert taken == count, f"{way} took {taken} pictures of {count}"
                if number >= 0:
                    clock[way].append(time.perf_counter() - start)
                    processor[way].append(time.process_time() - start_processor)
    result = {"pictures": count, "rounds": ROUNDS, "epochs": epochs}
    for kind, seconds in (("clock", clock), ("processor", processor)):
        ratios = [theirs / ours for theirs, ours in zip(seconds["keras"], seconds["ours"], strict=True)]
        result[kind] = {"seconds": seconds, "keras_over_ours": spread(ratios)}
        print(
            f"{name}, {epochs or 'no'} epochs, {kind}: Keras takes {statistics.median(ratios):.2f} times ours",
            spread(ratios),
            flush=True,
        )
    return result


def speed() -> dict:
    return {name: {said: race(name, epochs) for said, epochs in EPOCHS.items()} for name in SETS}


def resident() -> dict[str, float]:
    """MiB in memory now: the program's own, and pages of files, which the system takes back when it needs them."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[key].split()[0]) / 1024 for name, key in (("own", "RssAnon"), ("of files", "RssFile"))}


def train(way: str, folder: Path) -> dict:
    """Runs in a child process: the peak memory in GiB after each step."""
    peaks = {"imported": vh.peak_memory()}
    images = np.random.default_rng(0).integers(0, 256, (1000, SMALL, SMALL, 3), np.uint8)
    start = time.perf_counter()
    if way != "training alone":
        images = load_images(folder, SMALL, memory_limit=WAYS[way]).train
        assert isinstance(images, np.memmap) == (WAYS[way] == 0)
        peaks["loaded"] = vh.peak_memory()
    loaded = time.perf_counter()
    model = vh.mlp_vae(hidden=(64,), image_shape=(SMALL, SMALL, 3), seed=0)
    model.compile(keras.optimizers.Adam(), objective=vh.sgvb_b)
    model.fit(vh.batches(images, BATCH_SIZE, seed=0), epochs=1, verbose=0)
    peaks["trained"] = vh.peak_memory()
    seconds = {"load": loaded - start, "train": time.perf_counter() - loaded}
    return {"pictures": len(images), "peak_GiB": peaks, "at_end_MiB": resident(), "seconds": seconds}


@contextlib.contextmanager
def control_group():
    """The words that put a command before it into a group of processes that may hold `LIMIT` GiB, and are then killed.

    Of the second version of control groups, or the first.
    """
    second = (CONTROL_GROUPS / "cgroup.controllers").exists()
    group = CONTROL_GROUPS / ("" if second else "memory") / "folders-benchmark"
    group.mkdir()
    try:
        (group / ("memory.max" if second else "memory.limit_in_bytes")).write_text(str(int(LIMIT * 2**30)))
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        group.rmdir()


def memory() -> dict:
    result = {"pictures": MANY, "pixels_GiB": MANY * SMALL * SMALL * 3 / 2**30}
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name), MANY, SMALL, SMALL, ["png"])
        for way in WAYS:
            child = [sys.executable, __file__, "one-way", way, name]
            with control_group() if way == CONFINED else contextlib.nullcontext([]) as before:
                done = subprocess.run([*before, *child], stdout=subprocess.PIPE, text=True, check=True)
            result[way] = json.loads(done.stdout.splitlines()[-1])
            print(f"{way}: {result[way]}", flush=True)
    return result


def main() -> None:
    if sys.argv[1:2] == ["one-way"]:  # a child
        print(json.dumps(train(sys.argv[2], Path(sys.argv[3]))))
        return
    parts = {"speed": speed, "memory": memory}
    result = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
    for part in sys.argv[1:] or list(parts):
        begun = provenance()
        result[part] = parts[part]() | {"provenance": begun}
        write(RESULT, result)


if __name__ == "__main__":
    main()
