"""The machine that a stored result was measured on."""

import os
import platform
import re
from pathlib import Path

import numpy as np


def processor() -> str:
    """The processor, its widest vector instructions and the cores: `AMD EPYC (X86_V4), 2 cores`, in NumPy's words.

    They decide in which order floating-point numbers are added, and so the last digits of whatever is measured.
    """
    cpuinfo = Path("/proc/cpuinfo")  # Linux, where platform.processor() knows next to nothing
    text = cpuinfo.read_text(errors="replace") if cpuinfo.exists() else ""
    names = re.findall("model name\\s*: (.*)", text) or [platform.processor() or platform.machine()]
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return f"{names[0]} ({[*simd['baseline'], *simd['found']][-1]}), {os.cpu_count()} cores"
