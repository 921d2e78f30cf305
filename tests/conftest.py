"""What several test modules share: small images, small models, and the real data when a test asks for it."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import vae_helpers as vh

IMAGE_SHAPE = (8, 8, 1)


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

    def make(family=vh.mlp_vae, **kwargs) -> vh.VAE:
        kwargs = {"image_shape": IMAGE_SHAPE, "seed": 1, **kwargs}
        if family is vh.mlp_vae:
            kwargs.setdefault("hidden", (16, 12))
        else:
            kwargs.setdefault("filters", (4, 6))
        return family(**kwargs)

    return make


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
def pages() -> Path:
    """The folder of the built book. Built with warnings as errors, as `make book` does."""
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, root / "tools" / "build.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "_build" / "html"


@pytest.fixture(scope="session")
def mnist() -> vh.ImageData:
    return vh.load_mnist()


@pytest.fixture(autouse=True)
def _fixed_global_seed():
    keras.utils.set_random_seed(0)
