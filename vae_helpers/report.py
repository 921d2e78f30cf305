"""What a page took."""

import os
import time
from pathlib import Path

import keras
import tensorflow as tf


def peak_memory() -> float:
    """The largest memory that this process has taken so far, in GiB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, whose getrusage also counts what the process was before it became this program
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**20  # KiB
    if os.name == "nt":
        import psutil  # comes with ipykernel; Windows has no `resource`

        return psutil.Process().memory_info().peak_wset / 2**30
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30  # macOS counts bytes


def report_page(started: float) -> None:
    """Prints what a chapter took since `started` (of `time.monotonic()`) and the versions it ran with."""
    print(f"this page: {(time.monotonic() - started) / 60:.1f} minutes, peak memory {peak_memory():.1f} GiB")
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}")
