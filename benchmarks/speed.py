"""How fast the book trains, beside the same networks in PyTorch, in JAX and in two other ways of TensorFlow.

Two variants of the book's own way take back one decision each: what the decision is worth is their row.

    python benchmarks/speed.py                 # all workloads (about an hour, on a machine that does nothing else)
    python benchmarks/speed.py mlp-100         # one; writes benchmarks/results/speed.json and speed.md

Each peer is a process of its own, started from the same initial weights; that they hold the same network is checked by
their outputs. The peers then train in turn, an epoch each, so that a slow hour of the machine falls on all of them.
The first epoch, with its compilation, is told apart. At the end each peer encodes the test images, noise is drawn here,
each peer decodes: the bounds must agree, so that nobody wins by doing less.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import vae_helpers as vh  # before Keras: it silences TensorFlow's start-up lines

import keras  # isort: skip
import numpy as np
import tensorflow as tf

sys.path.append(str(Path(__file__).resolve().parents[1] / "experiments"))
from run import provenance, write

HERE = Path(__file__).parent
RESULT = HERE / "results" / "speed.json"
PEERS = {  # name: its file, its name there, the interpreter that has its libraries
    "this book": ("tensorflow_peers.py", "book", sys.executable),
    "this book, tf.data's autotuner on": ("tensorflow_peers.py", "autotuned", sys.executable),
    "this book, Python at every step": ("tensorflow_peers.py", "every step", sys.executable),
    "Keras `fit`, default settings": ("tensorflow_peers.py", "keras", sys.executable),
    "TensorFlow tutorial": ("tensorflow_peers.py", "tutorial", sys.executable),
    "PyTorch, eager": ("torch_peers.py", "eager", None),
    "PyTorch, `torch.compile`": ("torch_peers.py", "compiled", None),
    "JAX, epoch in one `lax.scan`": ("jax_peers.py", "scan", None),
    "JAX, a compiled step": ("jax_peers.py", "steps", None),
}
# Of JAX's two ways the convolutional networks have the faster one alone: an epoch of the other takes two minutes.
DENSE_ONLY = ("JAX, a compiled step",)
PEER_LIBRARIES = ("torch", "jax", "jaxlib", "optax", "numpy")
WORKLOADS = {  # network, M, learning rate, epochs timed after the first
    "mlp-1024": ("mlp", 1024, 1e-3, 7),
    "mlp-100": ("mlp", 100, 1e-3, 7),
    "conv-128": ("conv", 128, 1e-4, 3),
    "conv-32": ("conv", 32, 1e-4, 3),
}
LIKELIHOOD = "likelihood"
NAMES = {"mlp": "Dense, 784-512-256-2", "conv": "Convolutional (S1)"}
SAME_OUTPUTS = 1e-4  # of float32 sums over a few thousand terms, in whatever order a library takes them
SAME_BOUND = 4.0  # nats. Four times what seeds differ by early in training; a bound without its KL is 6 nats off


class Child:
    """A peer in its own process (see `peers/serve.py`)."""

    def __init__(self, file: str, name: str, python: str, *arguments):
        # No pipe: nobody would read it, and a child that has filled one waits for ever.
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the child
        self.process = subprocess.Popen(
            [python, HERE / "peers" / file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )
        self._send((name, *arguments))

    def _send(self, message) -> None:
        try:
            pickle.dump(message, self.process.stdin)
            self.process.stdin.flush()
        except BrokenPipeError:  # without one of its libraries it ends before it has read its images
            raise self._death() from None

    def _death(self) -> RuntimeError:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.errors.seek(0)
        return RuntimeError(f"{self.process.args[1]} died:\n{self.errors.read().decode(errors='replace')[-3000:]}")

    def ask(self, method: str, *arguments) -> tuple[float, object]:
        """The seconds that it took, and the result.

        Raises:
            RuntimeError: the peer died, with the end of what it printed.
        """
        self._send((method, arguments))
        try:
            return pickle.load(self.process.stdout)
        except (EOFError, pickle.UnpicklingError):
            raise self._death() from None

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def peers(network: str) -> list[str]:
    """Who trains this network."""
    return [name for name in PEERS if network == "mlp" or name not in DENSE_ONLY]


def peer_versions(python: str) -> dict[str, str]:
    """Versions of the libraries that the interpreter `python` has for the peers."""
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {PEER_LIBRARIES}}}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{python} has not all of {', '.join(PEER_LIBRARIES)}:\n{done.stderr[-1000:]}")
    return json.loads(done.stdout)


def operations(model: vh.VAE) -> float:
    """Floating-point operations that training needs an image: forward, and the gradients by inputs and by weights; the
    first layer needs no gradient by its input. Multiplications and additions of the layers alone."""
    total, first = 0.0, True
    for layer in (*model.encoder.layers, *model.decoder.layers):
        if not layer.weights:
            continue
        kernel, transposed = layer.weights[0], isinstance(layer, keras.layers.Conv2DTranspose)
        grid = layer.input.shape[1:-1] if transposed else layer.output.shape[1:-1]
        total += 2 * np.prod(kernel.shape) * np.prod(grid) * (2 if first else 3)
        first = False
    return float(total)


def peak(size: int = 2048, rounds: int = 20) -> float:
    """Operations a second of a large float32 matrix product, the fastest of `rounds`."""
    a = tf.random.normal([size, size])
    product = tf.function(lambda: tf.linalg.matmul(a, a)[0, 0])
    product()
    seconds = []
    for _ in range(rounds):
        start = tf.timestamp()
        product().numpy()
        seconds.append(float(tf.timestamp() - start))
    return 2 * size**3 / min(seconds)


def bound(child: Child, x: np.ndarray) -> float:
    """The mean ELBO of the peer's networks on `x`, one draw of z an image, the same noise for every peer."""
    mean, log_variance = np.split(child.ask("encode", x)[1].astype(np.float64), 2, axis=1)
    noise = np.random.default_rng(0).normal(size=mean.shape)
    kl = 0.5 * np.sum(mean**2 + np.exp(log_variance) - log_variance - 1, axis=1)
    logits = child.ask("decode", np.float32(mean + np.exp(0.5 * log_variance) * noise))[1].astype(np.float64)
    return float(np.mean(np.sum(x * logits - np.logaddexp(0, logits), axis=(1, 2, 3)) - kl))


def run(workload: str, images: vh.ImageData, peers_python: str) -> dict:
    network, batch_size, learning_rate, rounds = WORKLOADS[workload]
    model = {"mlp": vh.mlp_vae, "conv": vh.conv_vae}[network](seed=0)
    weights = model.encoder.get_weights() + model.decoder.get_weights()
    test = vh.binarize(images.test, "threshold")
    z = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    expected = {"encode": model.encoder(test[:100]).numpy(), "decode": model.decoder(z).numpy()}

    libraries, children = peer_versions(peers_python), {}
    for name in peers(network):
        file, kind, python = PEERS[name]
        child = Child(file, kind, python or peers_python, network, batch_size, learning_rate, images.train, weights)
        for method, given in (("encode", test[:100]), ("decode", z)):
            off = float(np.abs(child.ask(method, given)[1] - expected[method]).max())
            if off > SAME_OUTPUTS:
                raise RuntimeError(f"{name}: {method} is {off:g} off at the same weights: it is another network.")
        children[name] = child

    seconds: dict[str, list[float]] = {name: [] for name in children}
    peaks = []
    for number in range(rounds + 1):
        for name, child in children.items():
            seconds[name].append(child.ask("epoch")[0])
        peaks.append(peak())
        print(workload, "epoch", number, {name: round(times[-1], 2) for name, times in seconds.items()}, flush=True)
    bounds = {name: bound(child, test) for name, child in children.items()}
    for child in children.values():
        child.close()
    print(workload, "bounds", {name: round(value, 2) for name, value in bounds.items()}, flush=True)
    if max(bounds.values()) - min(bounds.values()) > SAME_BOUND:
        raise RuntimeError(f"The bounds after training differ by more than {SAME_BOUND} nats: {bounds}")
    return {
        "batch_size": batch_size,
        "updates_per_epoch": len(images.train) // batch_size,
        "operations_per_image": operations(model),
        "peak_per_second": statistics.median(peaks),
        "first_epoch_seconds": {name: times[0] for name, times in seconds.items()},
        "epoch_seconds": {name: times[1:] for name, times in seconds.items()},
        "test_elbo": bounds,
        "provenance": provenance() | {"peers": libraries},
    }


def likelihood(images: vh.ImageData) -> dict:
    """Seconds and memory of log p(x) of all test images under the dense network after one epoch, by the samples.

    Each call compiles for itself, and the seconds include that.
    """
    model = vh.mlp_vae(seed=0)
    weights = model.encoder.get_weights() + model.decoder.get_weights()
    child = Child("tensorflow_peers.py", "book", sys.executable, "mlp", 1024, 1e-3, images.train, weights)
    child.ask("epoch")
    x, result = vh.binarize(images.test, "threshold"), {"images": len(images.test), "samples": {}}
    for samples in (5, 50, 500):
        seconds, (value, memory) = child.ask("log_likelihood", x, samples)
        result["samples"][samples] = {"seconds": seconds, "log_likelihood": value, "peak_memory_MiB": memory}
        print(samples, "samples:", result["samples"][samples], flush=True)
    child.close()
    return result | {"provenance": provenance()}


def likelihood_table(result: dict) -> str:
    lines = ["| Samples an image | Seconds | log p(x), nats | Peak memory |", "|--:|--:|--:|--:|"]
    for samples, row in result["samples"].items():
        log_likelihood = f"{row['log_likelihood']:.2f}".replace("-", "−")
        lines.append(f"| {samples} | {row['seconds']:.1f} | {log_likelihood} | {row['peak_memory_MiB']:.0f} MiB |")
    return "\n".join(lines)


def conditions(result: dict) -> str:
    """How often, when, on what and with which libraries a workload was measured."""
    made, rounds = result["provenance"], len(result["epoch_seconds"]["this book"])
    peers = ", ".join(f"{name} {version}" for name, version in made["peers"].items() if name in ("torch", "jax"))
    libraries = f"TensorFlow {made['tensorflow']}, Keras {made['keras']}, {peers}"
    return f"{rounds} rounds on {made['date']}, {made['machine']}; {libraries}."


def table(workload: str, result: dict) -> str:
    """One workload: its name, then a row a peer."""
    network, batch_size, *_ = WORKLOADS[workload]
    lines = [
        f"**{NAMES[network]}, M = {batch_size}**. {conditions(result)}",
        "",
        "| Peer | Seconds an epoch | Times the book's | Share of the peak | First epoch | Test ELBO |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    ours = np.array(result["epoch_seconds"]["this book"])
    work = result["operations_per_image"] * result["updates_per_epoch"] * batch_size / result["peak_per_second"]
    for name, times in result["epoch_seconds"].items():
        times = np.array(times)
        ratios = times / ours  # of the same round: a slow minute falls on both
        spread = "" if name == "this book" else f" ({ratios.min():.2f} to {ratios.max():.2f})"
        elbo = f"{result['test_elbo'][name]:.1f}".replace("-", "−")
        lines.append(
            f"| {name} | {np.median(times):.2f} ({times.min():.2f} to {times.max():.2f}) "
            f"| {np.median(ratios):.2f}{spread} | {work / np.median(times):.0%} "
            f"| {result['first_epoch_seconds'][name]:.1f} s | {elbo} |"
        )
    return "\n".join(lines)


def page(results: dict) -> str:
    """The tables of all that was measured, as the book includes them."""
    text = [table(name, result) for name, result in results.items() if name != LIKELIHOOD]
    if LIKELIHOOD in results:
        text += ["**log p(x) of all test images**", likelihood_table(results[LIKELIHOOD])]
    return "\n\n".join(text) + "\n"


def main() -> None:
    known = [*WORKLOADS, LIKELIHOOD]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"{', '.join(known)}; default: all")
    parser.add_argument("--peers-python", default=".venv-peers/bin/python", help="an interpreter with PyTorch and JAX")
    arguments = parser.parse_args()
    unknown = set(arguments.workloads) - set(known)
    if unknown:
        parser.error(f"unknown workload {', '.join(unknown)}: expected some of {', '.join(known)}")
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    images = vh.load_mnist()
    for workload in arguments.workloads or known:
        if workload == LIKELIHOOD:
            results[workload] = likelihood(images)
        else:
            results[workload] = run(workload, images, arguments.peers_python)
        results = {name: results[name] for name in known if name in results}
        write(RESULT, results)
    RESULT.with_suffix(".md").write_text(page(results), "utf-8")
    print(page(results))


if __name__ == "__main__":
    main()
