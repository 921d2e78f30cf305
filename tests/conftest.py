"""What several test modules share: small images, small models, and the real data when a test asks for it.

TensorFlow is loaded by the tests that need it: those that only read files begin at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    import vae_helpers as vh

IMAGE_SHAPE = (8, 8, 1)
EXPENSIVE = {"pages", "kernel", "one_process", "networks", "decks"}  # fixtures that take seconds, made once
LIMIT = 600  # seconds for a step in another process: fifty times what it takes, and half of pytest's own limit


@pytest.fixture
def grey_images() -> np.ndarray:
    """32 small images in [0, 1], corners included: a bar that moves, which a model can learn, and noise."""
    random = np.random.default_rng(0)
    bars = np.abs(np.arange(8) - np.linspace(0, 7, 32)[:, None]) < 1.5
    images = np.broadcast_to(0.1 + 0.7 * bars[:, :, None, None], (32, *IMAGE_SHAPE)) + 0.2 * random.random(
        (32, *IMAGE_SHAPE)
    )
    images[0], images[1] = 0.0, 1.0
    return images.astype(np.float32)


@pytest.fixture
def small_vae():
    """Makes a small VAE; the keywords of `vh.mlp_vae` change it."""

    import vae_helpers as vh

    def make(family=vh.mlp_vae, **kwargs) -> vh.VAE:
        kwargs = {"image_shape": IMAGE_SHAPE, "seed": 1, **kwargs}
        if family is vh.mlp_vae:
            kwargs.setdefault("hidden", (16, 12))
        else:
            kwargs.setdefault("filters", (4, 6))
        return family(**kwargs)

    return make


@pytest.fixture(scope="session")
def over_files():
    """Configures nbclient and its kernels as notebooks/conftest.py does those of nbval, and for the same reason."""
    from traitlets.config import Config

    with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
        yield Config(KernelManager={"transport": "ipc", "ip": f"{folder}/socket"})


@pytest.fixture
def without_xla(monkeypatch):
    """XLA compiles two to three seconds for what a test of something else runs once."""
    import vae_helpers as vh

    monkeypatch.setattr(vh.VAE, "prefers_xla", False)


@pytest.fixture
def posterior_off_the_prior():
    """Moves a model's q(z | x) away from the prior, so that a wrong term cannot hide behind a zero."""

    def shift(model: vh.VAE) -> vh.VAE:
        kernel, bias = model.encoder.layers[-1].get_weights()
        random = np.random.default_rng(2)
        half = model.latent_dim
        bias[:half], bias[half:] = random.normal(1.0, 0.5, half), random.normal(-1.5, 0.3, half)
        model.encoder.layers[-1].set_weights([3 * kernel, bias])
        return model

    return shift


@pytest.fixture(scope="session")
def finish():
    """Waits for a process and returns what it printed; an error names the step that hung or failed."""

    def wait(process: subprocess.Popen, step: str, status: int = 0) -> tuple[str, str]:
        try:
            printed, errors = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            printed, errors = process.communicate()
            pytest.fail(f"{step}: no end after {LIMIT // 60} minutes; it printed:\n{printed}\n{errors}")
        if process.returncode != status:
            pytest.fail(f"{step}: status {process.returncode}, expected {status}; it printed:\n{printed}\n{errors}")
        return printed, errors

    return wait


@pytest.fixture(scope="session")
def start_python():
    """Starts a script in a process of its own, for `finish`."""

    def start(script: str, *arguments, **environment) -> subprocess.Popen:
        command = [sys.executable, "-c", script, *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=os.environ | environment, stdout=pipe, stderr=pipe, text=True)

    return start


@pytest.fixture(scope="session")
def pages(finish) -> Path:
    """The folder of the built book. Built with warnings as errors, as `make book` does."""
    root = Path(__file__).parents[1]
    build = ["build", root, "-W", "--keep-going", "-n", "-q"]
    book = [sys.executable, Path(sys.executable).with_name("jupyter-book"), *build]
    finish(subprocess.Popen(book, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True), "building the book")
    return root / "_build" / "html"


@pytest.fixture(scope="session")
def mnist() -> vh.ImageData:
    import vae_helpers as vh

    return vh.load_mnist()


@pytest.fixture(autouse=True)
def _fixed_global_seed():
    if "keras" in sys.modules:  # else nothing here has a seed
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Tests that share what is slow to make are slow, and pytest-xdist keeps them in one process."""
    for item in items:
        if shared := EXPENSIVE.intersection(item.fixturenames):
            item.add_marker(pytest.mark.slow)
            if config.pluginmanager.hasplugin("xdist"):
                item.add_marker(pytest.mark.xdist_group(min(shared)))
