"""What a page took, and the machine it ran on."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def processor() -> str:
    """The processor, its widest vector instructions and the cores: `AMD EPYC (X86_V4), 2 cores`, in NumPy's words.

    They decide in which order floating-point numbers are added, and so the last digits of whatever is measured.
    """
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():  # Linux, where platform.processor() knows next to nothing
        lines = (line.partition(":") for line in cpuinfo.read_text(errors="replace").splitlines())
        name = next((value.strip() for key, _, value in lines if key.strip() == "model name"), name)
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return f"{name} ({[*simd['baseline'], *simd['found']][-1]}), {os.cpu_count()} cores"


def peak_memory() -> float:
    """The largest memory that this process has taken so far, in GiB."""
    if sys.platform == "win32":
        import psutil  # comes with ipykernel; Windows has no `resource`

        return psutil.Process().memory_info().peak_wset / 2**30
    status = Path("/proc/self/status")
    if status.exists():  # Linux, whose getrusage also counts what the process was before it became this program
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**20  # KiB
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30  # macOS counts bytes


def report_page(started: float) -> None:
    """Prints what a chapter took since `started` (of `time.monotonic()`) and the versions it ran with."""
    minutes = (time.monotonic() - started) / 60
    print(f"this page: {minutes:.1f} minutes, peak memory {peak_memory():.1f} GiB")
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}")
