"""Several devices and several processes train the model that one process trains."""

import json
import socket
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow

# Trains a small model, in one process or in several, and keeps its weights and losses. 41 images in minibatches of 16:
# the last minibatch of an epoch leaves the replicas shares of 5 and 4.
TRAINING = """
import contextlib, sys
import vae_helpers as vh
import keras, numpy as np, tensorflow as tf, tensorflow_probability as tfp

kind, target = sys.argv[1:]
strategy = None
if kind == "mirrored":  # two devices of one process
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
elif kind == "workers":  # one of two processes: TF_CONFIG says which
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
images = np.random.default_rng(0).integers(0, 256, (41, 8, 8, 1)).astype(np.uint8)


def objective(model, x, samples):
    # Estimator B. In one process it draws for each half of a minibatch what a replica would draw for its share.
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return vh.sgvb_b(model, x, samples)
    seed, half = model.next_seed(), (tf.shape(x)[0] + 1) // 2
    reconstruction, kl = [], []
    for replica, share in enumerate((x[:half], x[half:])):
        q = model.posterior(share)
        z = q.sample(1, seed=tf.random.experimental.stateless_fold_in(seed, replica))
        reconstruction.append(model.likelihood(z).log_prob(share)[0])
        kl.append(tfp.distributions.kl_divergence(q, model.prior))
    reconstruction, kl = tf.concat(reconstruction, 0), tf.concat(kl, 0)
    model.report(reconstruction=reconstruction, kl=kl)
    return reconstruction - kl


with strategy.scope() if strategy else contextlib.nullcontext():
    model = vh.mlp_vae(hidden=(16, 12), image_shape=(8, 8, 1), seed=1)
    model.encoder.layers[-1].kernel_regularizer = keras.regularizers.L2(0.1)
    # XLA's sampler turns a seed into other noise: the single process does without it, the others do so by themselves.
    jit_compile = False if kind == "one" else "auto"
    model.compile(keras.optimizers.Adam(1e-2), objective=objective, jit_compile=jit_compile)
training = vh.batches(images, 16, "dynamic", seed=3)
held_out = vh.batches(images, 16, "threshold", shuffle=False)
history = model.fit(training, epochs=2, verbose=0, validation_data=held_out).history
weights = np.concatenate([v.numpy().ravel() for v in model.trainable_variables])
reconstructions = model.reconstruct(vh.binarize(images, "none")).numpy()  # outside the strategy, as a reader would
model._choose_steps(vh.batches(images, 1), None, [])  # outside the scope, as `fit` is called
assert model.steps_per_execution == (2 if kind == "one" else 1)
np.savez(target, weights=weights, reconstructions=reconstructions, **history)
"""


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """This process trains it, without a strategy."""
    target = tmp_path_factory.mktemp("one") / "one.npz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["", "one", str(target)])
        exec(TRAINING, {})
    return dict(np.load(target))


def assert_same(path, expected):
    with np.load(path) as found:
        assert set(found.files) == set(expected) >= {"weights", "loss", "kl", "reconstruction", "val_loss"}
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-5, err_msg=name)


def test_two_devices_train_what_one_trains(one_process, start_python, finish, tmp_path):
    finish(start_python(TRAINING, "mirrored", tmp_path / "two.npz"), "two devices")
    assert_same(tmp_path / "two.npz", one_process)


def test_two_processes_train_what_one_trains(one_process, start_python, finish, tmp_path):
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    workers = []
    for number in range(2):
        task = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": number}})
        workers.append(start_python(TRAINING, "workers", tmp_path / f"{number}.npz", TF_CONFIG=task))
    try:
        for number, worker in enumerate(workers):
            finish(worker, f"worker {number} of two")
            assert_same(tmp_path / f"{number}.npz", one_process)
    finally:
        for worker in workers:
            worker.kill()  # the other one, which waits for one that failed
