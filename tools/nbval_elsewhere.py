"""Re-executes the notebooks and the numerical unit tests as other machines would: `make nbval-elsewhere`.

    python tools/nbval_elsewhere.py                           # everything, in every setting (an hour a setting or less)
    python tools/nbval_elsewhere.py --missing                 # what has no result of the code as it stands
    python tools/nbval_elsewhere.py 01_theory --setting SSE4  # one chapter in one setting; nothing is stored

Other instruction sets add floating-point numbers in other orders, and so do other numbers of threads. What the book
claims must not hang on that. A whole run is stored in benchmarks/results/elsewhere.json, the book's table in
elsewhere.md.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import json
import multiprocessing
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from vae_helpers.files import replacing

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "experiments"))  # a folder of scripts, not a package
from machine import processor  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "elsewhere.json"
UNIT_TESTS = "unit tests"
NUMERICAL = [f"tests/test_{name}.py" for name in ("data", "models", "objectives", "evaluation", "results")]
SUBJECTS = [*sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")), UNIT_TESTS]
# TensorFlow asks the processor itself whether it multiplies 16-bit floats, and hands them to oneDNN, which was told
# otherwise and crashes. On a processor that cannot, TensorFlow does not ask oneDNN.
NOT_BELOW_THE_PROCESSOR = "tests/test_models.py::test_mixed_precision_keeps_the_elbo_in_float32"
LIMIT = 3 * 3600  # seconds for one subject, on a machine that may do much else


def _without(*widths: str) -> str:
    """NumPy's names of the vector instructions in use here that are as wide as these, so that it leaves them out."""
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return " ".join(name for name in found if name.startswith(widths))


def instructions(xla: str, onednn: str, openblas: str, *numpy_leaves_out: str) -> dict[str, str]:
    """One instruction set for every library that picks its own."""
    return {
        "XLA_FLAGS": f"--xla_cpu_max_isa={xla}",
        "ONEDNN_MAX_CPU_ISA": onednn,
        "OPENBLAS_CORETYPE": openblas,
        "NPY_DISABLE_CPU_FEATURES": _without(*numpy_leaves_out),
    }


ONE_THREAD = {
    f"{name}_NUM_{kind}THREADS": "1"
    for name, kind in (("TF", "INTRAOP_"), ("TF", "INTEROP_"), ("OMP", ""), ("OPENBLAS", ""))
}
SETTINGS: dict[str, dict[str, str]] = {
    "AVX2": instructions("AVX2", "AVX2", "Haswell", "X86_V4", "AVX512"),
    "SSE4": instructions("SSE4_2", "SSE41", "Nehalem", "X86_V3", "X86_V4", "AVX"),
    "no oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "one thread": ONE_THREAD,
    "beside other work": {},
}


def _count_for_ever() -> None:
    while True:
        sum(range(10**6))


@contextlib.contextmanager
def other_work():
    """As many busy processes as there are cores."""
    workers = [multiprocessing.Process(target=_count_for_ever, daemon=True) for _ in range(os.cpu_count() or 2)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.terminate()


def attempt(setting: str, subject: str) -> dict:
    """What one subject's tests come to in one setting; the names of the failed ones and pytest's words are shown."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=0"]
    if subject == UNIT_TESTS:
        command += NUMERICAL
        if "ONEDNN_MAX_CPU_ISA" in SETTINGS[setting]:
            command += ["--deselect", NOT_BELOW_THE_PROCESSOR]
    else:
        command += ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=7200"]
        command += ["--nbval-sanitize-with=notebooks/nbval_sanitize.cfg", f"notebooks/{subject}.ipynb"]
    started = time.monotonic()
    with other_work() if setting == "beside other work" else contextlib.nullcontext():
        done = subprocess.run(
            command, cwd=ROOT, text=True, capture_output=True, timeout=LIMIT, env={**os.environ, **SETTINGS[setting]}
        )
    counts = {name: int(n) for n, name in re.findall(r"(\d+) (passed|failed|error)", done.stdout.strip()[-200:])}
    failed = re.findall(r"^(?:FAILED|ERROR) (\S.*)$", done.stdout, re.MULTILINE)
    if done.returncode:
        print(done.stdout[-20_000:], done.stderr[-2000:], flush=True)
    return {
        "works": done.returncode == 0,
        "passed": counts.get("passed", 0),
        "failed": failed,
        "minutes": round((time.monotonic() - started) / 60, 1),
    }


def git(*arguments: str) -> str:
    """What git says; nothing where it fails, as for a commit that a shallow clone lacks."""
    return subprocess.run(["git", *arguments], cwd=ROOT, text=True, capture_output=True).stdout.strip()


@functools.cache
def code(subject: str, commit: str = "HEAD") -> tuple[str, ...]:
    """What is tried, as it is in a commit: the package, and some tests or a notebook's code cells without its prose."""
    package = git("rev-parse", f"{commit}:vae_helpers")
    if subject == UNIT_TESTS:
        return package, *(git("rev-parse", f"{commit}:{path}") for path in NUMERICAL)
    cells = json.loads(git("show", f"{commit}:notebooks/{subject}.ipynb") or '{"cells": []}')["cells"]
    return package, *("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def in_markdown(results: dict[str, dict[str, dict]]) -> str:
    """The book's table: a row a subject, a column a setting; so it fits the page."""

    def cell(result: dict | None) -> str:
        if result is None:
            return "not tried"
        return f"{result['passed']} passed" if result["works"] else f"{len(result['failed'])} failed"

    subjects = [s for s in SUBJECTS if any(s in row for row in results.values())]
    lines = ["| tests of | " + " | ".join(SETTINGS) + " |", "|---|" + "---|" * len(SETTINGS)]
    for subject in subjects:
        cells = (cell(results.get(setting, {}).get(subject)) for setting in SETTINGS)
        lines.append(f"| {subject} | " + " | ".join(cells) + " |")
    all_of_them = [result for row in results.values() for result in row.values()]
    machines = sorted({result["machine"] for result in all_of_them})
    days = sorted({result["date"] for result in all_of_them})
    commits = sorted({result["commit"][:7] for result in all_of_them})
    when = " to ".join(dict.fromkeys((days[0], days[-1])))
    lines += ["", f"Run on {'; '.join(machines)}, {when}, on the code of {', '.join(commits)}."]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subjects", nargs="*", help=f"{', '.join(SUBJECTS)}; default: all, and the result is stored")
    parser.add_argument("--setting", action="append", choices=SETTINGS, help="default: all")
    parser.add_argument("--missing", action="store_true", help="only what has no good result of the code as it stands")
    arguments = parser.parse_args()
    if unknown := set(arguments.subjects) - set(SUBJECTS):
        parser.error(f"expected some of {', '.join(SUBJECTS)}; got {', '.join(unknown)}")
    works = True
    for subject in arguments.subjects or SUBJECTS:
        for setting in arguments.setting or SETTINGS:
            results = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
            known = results.get(setting, {}).get(subject, {})
            if arguments.missing and known.get("works") and code(subject, known["commit"]) == code(subject):
                continue
            result = attempt(setting, subject)
            works &= result["works"]
            verdict = "passed" if result["works"] else f"FAILED: {', '.join(result['failed'])}"
            print(f"{setting}, {subject}: {verdict} ({result['minutes']} minutes)", flush=True)
            if arguments.subjects and not arguments.missing:
                continue
            result |= {"commit": git("rev-parse", "HEAD"), "machine": processor()}
            result |= {"date": datetime.datetime.now(datetime.UTC).date().isoformat()}
            # Read again: another such command may have run beside this one.
            results = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
            results.setdefault(setting, {})[subject] = result
            with replacing(RESULT) as part:
                part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            with replacing(RESULT.with_suffix(".md")) as part:
                part.write_text(in_markdown(results), encoding="utf-8")
    return 0 if works else 1


if __name__ == "__main__":
    sys.exit(main())
