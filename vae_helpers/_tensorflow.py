"""TensorFlow, imported without its start-up lines and set up for this package. Imported before anything else."""

import contextlib
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow takes oneDNN's convolutions by itself only on some processors; where it does not they save a quarter of the
# time of a convolutional VAE (AMD EPYC, two cores: 33 s an epoch of 60,000 images at M = 32 instead of 43).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


with contextlib.ExitStack() as _restored:
    # TensorFlow's C++ core greets file descriptor 2 while it loads, below anything Python can filter.
    # Where there is no usable stderr (a GUI, a daemon) there is nothing to hide.
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stderr.flush()
        _saved = os.dup(2)
        _restored.callback(os.close, _saved)
        with open(os.devnull, "w") as _devnull:
            os.dup2(_devnull.fileno(), 2)
        _restored.callback(os.dup2, _saved, 2)  # the last callback is the first to run
    import tensorflow

    _gpus = tensorflow.config.list_physical_devices("GPU")  # the first look for one is greeted too

# A GPU serves several notebooks at once only if each takes memory as it needs it.
for _gpu in _gpus:
    with contextlib.suppress(RuntimeError):  # the reader's program has already started the GPU: its choice stands
        tensorflow.config.experimental.set_memory_growth(_gpu, True)

# TensorFlow counts tracings by source code: a page that trains several Keras models looks to it like one function that
# is traced again and again, and it warns.
_TRACED_OFTEN = ("TensorFlowTrainer._make_function", "ObjectiveTrainer._one_program")
tensorflow.get_logger().addFilter(lambda record: not any(name in record.getMessage() for name in _TRACED_OFTEN))
