"""The speed measurements: what they count, whom they compare, and that the peers train the same networks."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_probability as tfp

import vae_helpers as vh
from vae_helpers.data import epoch_counter

ROOT = Path(__file__).parents[1]
for folder in ("benchmarks", "benchmarks/peers", "tools"):  # folders of scripts, not packages
    sys.path.append(str(ROOT / folder))
import pages  # noqa: E402
import speed  # noqa: E402
import tensorflow_peers  # noqa: E402
import versions  # noqa: E402

tfd = tfp.distributions

BATCH_SIZE, UPDATES = 5, 40
STEP = "JAX, a compiled step"


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """200 images of noise with two black rows in three, which a network learns at once."""
    noise = np.random.default_rng(0).integers(0, 256, (BATCH_SIZE * UPDATES, 28, 28, 1), np.uint8)
    noise[:, np.arange(28) % 3 > 0] = 0
    return noise


def weights_of(model: vh.VAE) -> list[np.ndarray]:
    return model.encoder.get_weights() + model.decoder.get_weights()


class Recorder:
    """Stands in for `speed.Child`: the right network, which trains nothing, in no process of its own."""

    started: list[str]

    def __init__(self, file, name, python, network, batch_size, learning_rate, images, weights):
        self.started.append(name)
        model = {"mlp": vh.mlp_vae, "conv": vh.conv_vae}[network]()
        model.encoder.set_weights(weights[: len(model.encoder.weights)])
        model.decoder.set_weights(weights[len(model.encoder.weights) :])
        self.networks = {"encode": model.encoder, "decode": model.decoder}

    def ask(self, method, *arguments):
        return 2.0, None if method == "epoch" else self.networks[method](*arguments).numpy()

    def close(self):
        pass


@pytest.fixture
def recorder(monkeypatch):
    monkeypatch.setattr(Recorder, "started", [], raising=False)
    monkeypatch.setattr(speed, "Child", Recorder)
    monkeypatch.setattr(speed, "peak", lambda: 1e12)
    monkeypatch.setattr(speed, "peer_versions", lambda python: {"torch": "1.0"})
    return Recorder


# --- what is counted ---------------------------------------------------------------------------------------------


def test_operations_of_dense_layers_by_hand():
    model = vh.mlp_vae(hidden=(5,), image_shape=(4, 4, 1), seed=0)
    forward = [2 * n for n in (16 * 5, 5 * 4, 2 * 5, 5 * 16)]  # a multiplication and an addition a weight
    # The gradients take the same again by the weights and by the inputs; nobody asks for one by the image.
    assert speed.operations(model) == 3 * sum(forward) - forward[0]


def test_operations_of_convolutions_by_hand():
    model = vh.conv_vae(filters=(3,), image_shape=(8, 8, 1), seed=0)
    encoder = [9 * 1 * 3 * (3 * 3), 27 * 4]  # 8 → 3: at each of 3 · 3 places a kernel of 3 · 3, from 1 channel to 3
    decoder = [2 * 48, 9 * 3 * 3 * (4 * 4), 9 * 3 * 1 * (8 * 8)]  # transposed: at each place of the input
    forward = [2 * n for n in encoder + decoder]
    assert speed.operations(model) == 3 * sum(forward) - forward[0]


def test_the_peak_is_that_of_the_fastest_round(monkeypatch):
    clock = iter([0.0, 4.0, 10.0, 12.0])  # rounds of four seconds and of two
    monkeypatch.setattr(speed.tf, "timestamp", lambda: next(clock))
    assert speed.peak(size=8, rounds=2) == 2 * 8**3 / 2.0


class Linear:
    """A peer whose networks are two lines: μ = mean of the pixels, log σ² = −1, logits = z · slope."""

    slope = np.linspace(-1, 1, 2 * 16).reshape(2, 16)

    def ask(self, method, given):
        if method == "encode":
            mean = np.repeat(given.mean((1, 2, 3))[:, None], 2, axis=1)
            return 0.0, np.concatenate([mean, -np.ones_like(mean)], axis=1).astype(np.float32)
        return 0.0, (given @ self.slope).reshape(-1, 4, 4, 1).astype(np.float32)


def test_the_bound_is_that_of_tensorflow_probability():
    x = np.random.default_rng(1).integers(0, 2, (50, 4, 4, 1)).astype(np.float32)
    mean = np.repeat(x.mean((1, 2, 3))[:, None], 2, axis=1)
    posterior = tfd.MultivariateNormalDiag(mean, np.full((50, 2), np.exp(-0.5), np.float32))
    z = mean + np.exp(-0.5) * np.random.default_rng(0).normal(size=(50, 2))  # the noise that `bound` draws
    likelihood = tfd.Independent(tfd.Bernoulli(logits=np.float32(z @ Linear.slope)), 1)
    kl = tfd.kl_divergence(posterior, tfd.MultivariateNormalDiag(np.zeros(2, np.float32), np.ones(2, np.float32)))
    expected = np.mean(likelihood.log_prob(x.reshape(50, 16)) - kl)
    assert speed.bound(Linear(), x) == pytest.approx(expected, abs=1e-4)


# --- the tables --------------------------------------------------------------------------------------------------


def test_the_table_compares_epochs_of_the_same_round():
    result = {
        "batch_size": 100,
        "updates_per_epoch": 600,
        "operations_per_image": 5e6,  # 3 · 10¹¹ an epoch: 0.3 s at the peak
        "peak_per_second": 1e12,
        "first_epoch_seconds": {"this book": 4.04, "other": 7.0},
        "epoch_seconds": {"this book": [1.0, 2.0, 4.0], "other": [2.0, 3.0, 16.0]},  # ratios 2, 1.5 and 4
        "test_elbo": {"this book": -150.04, "other": -151.0},
        "provenance": {
            "date": "2026-01-02", "machine": "a machine", "tensorflow": "2", "keras": "3",
            "peers": {"torch": "1.0", "numpy": "2.0"},
        },
    }  # fmt: skip
    title, _, _, rule, ours, other = speed.table("mlp-100", result).splitlines()
    assert title == (
        "**Dense, 784-512-256-2, M = 100**. 3 rounds on 2026-01-02, a machine; TensorFlow 2, Keras 3, torch 1.0."
    )
    assert ours == "| this book | 2.00 (1.00 to 4.00) | 1.00 | 15% | 4.0 s | −150.0 |"
    assert other == "| other | 3.00 (2.00 to 16.00) | 2.00 (1.50 to 4.00) | 10% | 7.0 s | −151.0 |"
    assert rule.count("|") == other.count("|")


def test_the_table_of_the_likelihood():
    row = {"seconds": 1.26, "log_likelihood": -160.123, "peak_memory_MiB": 512.4}
    # Numbers of samples become text when a result is stored: the table is the same.
    tables = {speed.likelihood_table({"samples": {samples: row}}) for samples in (50, "50")}
    assert [text.splitlines()[-1] for text in tables] == ["| 50 | 1.3 | −160.12 | 512 MiB |"]
    assert speed.page({speed.LIKELIHOOD: {"samples": {50: row}}}).endswith(tables.pop() + "\n")


@pytest.mark.parametrize("script, table", [(speed, speed.page), (versions, lambda r: versions.table(r) + "\n")])
def test_a_stored_table_is_that_of_its_results(script, table):
    if not script.RESULT.exists():
        pytest.skip(f"{script.RESULT.name} does not exist yet: make {'bench' if script is speed else 'versions'}")
    results = json.loads(script.RESULT.read_text("utf-8"))
    assert script.RESULT.with_suffix(".md").read_text("utf-8") == table(results)


def test_the_stored_table_of_pages_is_that_of_its_results():
    results = json.loads((pages.RESULTS / "pages.json").read_text("utf-8"))
    assert (pages.RESULTS / "pages.md").read_text("utf-8") == pages.table(results)


# --- who is compared ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", speed.PEERS)
def test_every_peer_is_there_to_be_asked(name):
    file, kind, _ = speed.PEERS[name]
    if file == "tensorflow_peers.py":
        assert kind in tensorflow_peers.PEERS
    else:  # a script that needs libraries of its own
        served = (speed.HERE / "peers" / file).read_text("utf-8").split("serve(")[-1]
        assert re.search(rf'"{kind}": \w+', served)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_a_measurement_in_small(network, recorder, images, monkeypatch):
    """Every peer is asked for an epoch a round; the scan, a loop, trains no convolutions."""
    assert speed.DENSE_ONLY == (STEP,)
    labels = np.zeros(len(images), np.uint8)
    monkeypatch.setitem(speed.WORKLOADS, "small", (network, BATCH_SIZE, 1e-3, 2))
    result = speed.run("small", vh.ImageData("few", images, labels, images, labels), "python")
    kinds = [kind for _, kind, _ in speed.PEERS.values()]
    assert recorder.started == [kind for kind in kinds if network == "mlp" or kind != "steps"]
    assert (STEP in result["epoch_seconds"]) == (network == "mlp") and len(result["epoch_seconds"]) >= 8
    assert set(result["epoch_seconds"]) == set(result["first_epoch_seconds"]) == set(result["test_elbo"])
    assert all(times == [2.0, 2.0] for times in result["epoch_seconds"].values())
    assert result["updates_per_epoch"] == UPDATES and result["provenance"]["peers"] == {"torch": "1.0"}
    assert json.loads(json.dumps(result)) == result
    assert speed.table("small", result).count("1.00 (1.00 to 1.00)") == len(result["epoch_seconds"]) - 1


def test_another_network_is_no_peer(recorder, images, monkeypatch):
    labels = np.zeros(len(images), np.uint8)
    few = vh.ImageData("few", images, labels, images, labels)

    def off(self, method, given):
        return 2.0, self.networks[method](given).numpy() + (1e-3 if method == "decode" else 0)

    monkeypatch.setattr(recorder, "ask", off)
    with pytest.raises(RuntimeError, match=r"this book: decode is .* off at the same weights"):
        speed.run("mlp-100", few, "python")


def test_a_missing_library_is_named():
    with pytest.raises(RuntimeError, match="has not all of torch, jax"):
        speed.peer_versions(sys.executable)


def test_an_unknown_workload_lists_the_known_ones(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["speed.py", "mlp-1"])
    with pytest.raises(SystemExit):
        speed.main()
    assert "expected some of mlp-1024, mlp-100, conv-128, conv-32, likelihood" in capsys.readouterr().err


# --- processes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def script(monkeypatch, tmp_path):
    """Writes a peer's script and starts it."""
    monkeypatch.setattr(speed, "HERE", tmp_path)
    (tmp_path / "peers").mkdir()

    def start(text: str, *arguments) -> speed.Child:
        peers = str(ROOT / "benchmarks" / "peers")
        (tmp_path / "peers" / "peer.py").write_text(f"import sys\nsys.path.append({peers!r})\n{text}", "utf-8")
        return speed.Child("peer.py", "peer", sys.executable, *arguments)

    return start


def test_a_peer_without_its_library_is_quoted(script):
    with pytest.raises(RuntimeError, match=r"(?s)peer\.py died.*No module named 'no_such_library'"):
        script("import no_such_library", np.zeros(10**7)).ask("epoch")  # more than a pipe holds: it dies unread


def test_a_peer_that_dies_while_it_trains_is_quoted(script):
    child = script("""
from serve import serve
class Peer:
    def epoch(self): raise ValueError("the loss is no number")
serve({"peer": Peer})
""")
    with pytest.raises(RuntimeError, match=r"(?s)peer\.py died.*the loss is no number"):
        child.ask("epoch")


def test_a_peer_may_print_as_much_as_it_likes(script):
    child = script("""
from serve import serve
class Peer:
    def epoch(self):
        print("a warning\\n" * 100_000, file=sys.stderr)
        print("a line\\n" * 100_000)
        return 7
serve({"peer": Peer})
""")
    assert child.ask("epoch")[1] == 7
    child.close()


@pytest.mark.slow
def test_a_peer_in_its_process_is_the_same_network_and_trains(images):
    child = speed.Child(
        "tensorflow_peers.py", "book", sys.executable, "mlp", BATCH_SIZE, 1e-3, images, weights_of(vh.mlp_vae(seed=0))
    )
    is_the_same_network_and_trains(child, images)
    child.close()


class InThisProcess:
    """Stands in for `speed.Child`: the peer itself."""

    def __init__(self, kind, *arguments):
        self.peer = tensorflow_peers.PEERS[kind](*arguments)

    def ask(self, method, *arguments):
        return 1.0, getattr(self.peer, method)(*arguments)


@pytest.mark.slow
@pytest.mark.parametrize("kind", tensorflow_peers.PEERS)
def test_a_peer_in_tensorflow_is_the_same_network_and_trains(kind, images):
    """The outputs of the given weights, then an epoch after which the bound is higher."""
    child = InThisProcess(kind, "mlp", BATCH_SIZE, 1e-3, images, weights_of(vh.mlp_vae(seed=0)))
    is_the_same_network_and_trains(child, images)
    assert child.peer.optimizer.iterations.numpy() == UPDATES  # one epoch
    # The variants of the book's way take back one decision each.
    decisions = {"book": (UPDATES // 20, False), "every step": (1, False), "autotuned": (UPDATES // 20, True)}
    if kind in decisions:
        assert epoch_counter(child.peer.training).numpy() == 0  # one epoch was handed out
        autotuned = child.peer.training.options().autotune.enabled
        assert (child.peer.model.steps_per_execution, autotuned) == decisions[kind]


def is_the_same_network_and_trains(child, images):
    model, x = vh.mlp_vae(seed=0), vh.binarize(images, "threshold")
    z = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    np.testing.assert_allclose(child.ask("encode", x)[1], model.encoder(x), atol=speed.SAME_OUTPUTS)
    np.testing.assert_allclose(child.ask("decode", z)[1], model.decoder(z), atol=speed.SAME_OUTPUTS)
    before = speed.bound(child, x)
    assert before == pytest.approx(vh.elbo(model, x), abs=1)
    seconds, _ = child.ask("epoch")
    assert seconds > 0 and speed.bound(child, x) > before + 100
