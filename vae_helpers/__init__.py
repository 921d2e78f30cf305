"""The small package behind the book: a variational autoencoder as a Keras model, and what its chapters share.

    import vae_helpers as vh

Imports go one way: progress ← callbacks ← sources ← data ← models ← objectives ← evaluation ← figures ← animation.
No module imports a later one.
"""

import contextlib
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow takes oneDNN's convolutions by itself only on some processors; where it does not they save a quarter of the
# time of a convolutional VAE (AMD EPYC, two cores: 33 s an epoch of 60,000 images at M = 32 instead of 43).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@contextlib.contextmanager
def _startup_lines_hidden():
    """TensorFlow's C++ core greets file descriptor 2 while it loads, below anything Python can filter."""
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (AttributeError, OSError, ValueError):  # no usable stderr (a GUI, a daemon): nothing to hide
        yield
        return
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


if "tensorflow" not in sys.modules:
    with _startup_lines_hidden():
        import tensorflow
else:
    import tensorflow

# A GPU serves several notebooks at once only if each takes memory as it needs it.
for _gpu in tensorflow.config.list_physical_devices("GPU"):
    with contextlib.suppress(RuntimeError):  # the reader's program has already started the GPU: its choice stands
        tensorflow.config.experimental.set_memory_growth(_gpu, True)

# TensorFlow counts tracings by source code: a page that trains several Keras models looks to it like one function that
# is traced again and again, and it warns.
tensorflow.get_logger().addFilter(
    lambda record: (
        not any(name in record.getMessage() for name in ("TensorFlowTrainer._make_function", "VAE._one_program"))
    )
)

from .animation import LatentFrames, SampleFrames, write_animation, write_gif
from .callbacks import Resume
from .data import ImageData, batches, binarize, load_cifar10, load_fashion_mnist, load_mnist
from .evaluation import (
    GradientMeter,
    active_units,
    elbo,
    gradient_variance,
    kl_per_dimension,
    log_likelihood,
    log_likelihood_on_grid,
)
from .figures import (
    DIGIT_COLORS,
    plot_history,
    plot_images,
    plot_latent_plane,
    plot_latent_scatter,
    plot_reconstructions,
    use_book_style,
)
from .models import VAE, conv_vae, mlp_vae
from .objectives import (
    iwae,
    iwae_doubly_reparameterized,
    score_function,
    sgvb_a,
    sgvb_b,
    sticking_the_landing,
)
from .progress import peak_memory, report_page
from .results import check, mean_and_error, stored, table
from .sources import DataUnavailableError

__version__ = "0.1.0"

__all__ = [
    "DIGIT_COLORS",
    "VAE",
    "DataUnavailableError",
    "GradientMeter",
    "ImageData",
    "LatentFrames",
    "Resume",
    "SampleFrames",
    "active_units",
    "batches",
    "binarize",
    "check",
    "conv_vae",
    "elbo",
    "gradient_variance",
    "iwae",
    "iwae_doubly_reparameterized",
    "kl_per_dimension",
    "load_cifar10",
    "load_fashion_mnist",
    "load_mnist",
    "log_likelihood",
    "log_likelihood_on_grid",
    "mean_and_error",
    "mlp_vae",
    "peak_memory",
    "plot_history",
    "plot_images",
    "plot_latent_plane",
    "plot_latent_scatter",
    "plot_reconstructions",
    "report_page",
    "score_function",
    "sgvb_a",
    "sgvb_b",
    "sticking_the_landing",
    "stored",
    "table",
    "use_book_style",
    "write_animation",
    "write_gif",
]
