"""The small package behind the book: a variational autoencoder as a Keras model, and what its chapters share.

    import vae_helpers as vh

Its modules are rooms of one job each; CONTRIBUTING.md draws them and the one way in which they import each other.
"""

from . import _tensorflow  # isort: skip  # before anything else imports TensorFlow

from .animation import LatentFrames, SampleFrames, write_animation, write_gif
from .callbacks import Resume
from .checkup import Checkup, Finding, checkup
from .conditional import ConditionalVAE
from .data import ImageData, batches, binarize, load_cifar10, load_fashion_mnist, load_mnist
from .evaluation import active_units, elbo, kl_per_dimension, log_likelihood, log_likelihood_on_grid
from .explain import LossExplanation, explain_loss
from .figures import (
    DIGIT_COLORS,
    plot_history,
    plot_images,
    plot_latent_plane,
    plot_latent_scatter,
    plot_reconstructions,
    use_book_style,
)
from .folders import load_images
from .model import VAE
from .networks import conv_vae, mlp_vae
from .objectives import iwae, iwae_doubly_reparameterized, score_function, sgvb_a, sgvb_b, sticking_the_landing
from .report import peak_memory, report_page
from .results import check, mean_and_error, stored, table
from .sources import DataUnavailableError

__version__ = "0.1.0"
