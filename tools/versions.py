"""Tries the package on every TensorFlow it allows and every Python at hand, each pair in an environment of its own.

    python tools/versions.py                     # what has no result yet (about ten minutes a pair)
    python tools/versions.py --force 2.19/3.12   # one pair, again; two such commands may run side by side

The package's own tests run, then chapter 1 from first cell to last: its asserts are the proof, since its committed
outputs belong to the pinned versions. Results go to benchmarks/results/versions.json, the book's table to versions.md.
A Python that `uv` does not find on this machine is left out. A pair for which there are no wheels is told as such.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "versions.json"
TENSORFLOWS, PYTHONS = ("2.19", "2.20", "2.21"), ("3.11", "3.12", "3.13")
# The tests of vae_helpers; those of the book, its tools and its pages belong to the pinned environment.
TESTS = [
    f"tests/test_{name}.py"
    for name in (
        *("progress", "callbacks", "sources", "data", "models", "objectives", "evaluation", "figures", "animation"),
        "distribution",
    )
]
TOOLS = ("pytest", "nbval", "ipykernel", "scipy", "imageio", "jupytext", "nbclient", "nbformat", "pyyaml")
SHOWN = ("tensorflow", "keras", "tensorflow-probability", "numpy")
UV = Path(sys.executable).with_name("uv")
LIMIT = 3600  # seconds for one command


def requirements(tensorflow: str) -> list[str]:
    """What pyproject.toml asks for, with TensorFlow held at one minor version, and what its tests take on top."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tools = [r for r in project["optional-dependencies"]["book"] if re.match(r"[\w-]+", r)[0] in TOOLS]
    held = [f"{name}=={tensorflow}.*" for name in ("tensorflow", "tf-keras")]
    return project["dependencies"] + tools + held


def summary(output: str) -> str:
    """pytest's last line without its decoration and its time: "8 passed, 1 skipped"."""
    lines = re.findall(r"^=* ?((?:\d+ \w+(?:, )?)+) in [\d.]+s", output, re.MULTILINE)
    return lines[-1] if lines else output.strip()[-300:]


def attempt(tensorflow: str, python: str) -> dict:
    """Installs and tests one pair; "works" is false if anything failed, and "tests" says what. It is null where the
    packages cannot be installed together."""
    started = time.monotonic()
    result = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "works": None}
    with tempfile.TemporaryDirectory() as folder:
        binaries = Path(folder) / "env" / "bin"

        def run(*command: object, **options) -> subprocess.CompletedProcess:
            where = {"cwd": ROOT, "timeout": LIMIT, "capture_output": True, "text": True} | options
            return subprocess.run([str(part) for part in command], **where)

        run(UV, "venv", "--quiet", "--python", python, binaries.parent, check=True)
        install = run(UV, "pip", "install", "--quiet", "--python", binaries / "python", *requirements(tensorflow))
        if install.returncode:
            no_wheels = "has no wheels with a matching Python" in install.stderr
            reason = "there are no wheels" if no_wheels else install.stderr.strip()[-300:]
            return result | {"tests": f"not installed: {reason}"}
        run(UV, "pip", "install", "--quiet", "--python", binaries / "python", "--no-deps", "-e", ROOT, check=True)
        listed = run(UV, "pip", "list", "--python", binaries / "python", "--format", "json", check=True)
        installed = {package["name"]: package["version"] for package in json.loads(listed.stdout)}
        result["versions"] = {name: installed[name] for name in SHOWN}
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PATH": f"{binaries}:{os.environ['PATH']}"}
        pytest = [binaries / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        tests = run(*pytest, *TESTS, env=environment)
        chapter = run(
            *pytest, "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600", "notebooks/01_theory.ipynb",
            env=environment,
        )  # fmt: skip
    return result | {
        "works": tests.returncode == chapter.returncode == 0,
        "tests": summary(tests.stdout),
        "chapter": summary(chapter.stdout),
        "failed": re.findall(r"^(?:FAILED|ERROR) (\S+)", tests.stdout + chapter.stdout, re.MULTILINE),
        "minutes": round((time.monotonic() - started) / 60, 1),
    }


def stored() -> dict:
    return json.loads(RESULT.read_text()) if RESULT.exists() else {}


def table(results: dict) -> str:
    lines = ["| TensorFlow | Python | Keras | NumPy | Tests of the package | Chapter 1 |", "|---|---|---|---|---|---|"]
    for pair, result in results.items():
        tensorflow, python = pair.split("/")
        versions = result.get("versions", {})
        cells = [versions.get("tensorflow", tensorflow), python, versions.get("keras", ""), versions.get("numpy", "")]
        cells += [result["tests"], f"{result['chapter']} cells" if "chapter" in result else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", metavar="TENSORFLOW/PYTHON", help="such as 2.19/3.12; default: all")
    parser.add_argument("--force", action="store_true", help="try again what has a result")
    arguments = parser.parse_args()
    known = [f"{tensorflow}/{python}" for tensorflow in TENSORFLOWS for python in PYTHONS]
    chosen = arguments.pairs or known
    for pair in chosen:
        if pair not in known:
            parser.error(f"unknown pair {pair}: expected some of {', '.join(known)}")
        tensorflow, python = pair.split("/")
        if pair in stored() and not arguments.force:
            print(f"{pair}: there already")
            continue
        found = subprocess.run([UV, "python", "find", "--no-python-downloads", python], capture_output=True, text=True)
        if found.returncode:
            print(f"{pair}: no Python {python} on this machine, left out")
            continue
        result = attempt(tensorflow, found.stdout.strip())
        print(f"{pair}: {result}", flush=True)
        results = stored() | {pair: result}  # read now, not at the start: another command may have written meanwhile
        results = {name: results[name] for name in known if name in results}
        RESULT.write_text(json.dumps(results, indent=1) + "\n")
        RESULT.with_suffix(".md").write_text(table(results) + "\n")
    sys.exit(any(result["works"] is False for pair, result in stored().items() if pair in chosen))


if __name__ == "__main__":
    main()
