"""Tries the package on every TensorFlow it allows and every Python at hand, each pair in an environment of its own.

    python tools/versions.py             # what has no result yet (about ten minutes a pair)
    python tools/versions.py 2.19/3.12   # one pair, again

The package's own tests run, then chapter 1 from first cell to last: its asserts are the proof, since its committed
outputs belong to the pinned versions. Results go to benchmarks/results/versions.json, the book's table to versions.md.
A Python that `uv` does not find on this machine is left out. A pair for which there are no wheels is told as such.
"""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
from pathlib import Path

from run_tests import together

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "versions.json"
PAIRS = [f"{tensorflow}/{python}" for tensorflow in ("2.19", "2.20", "2.21") for python in ("3.11", "3.12", "3.13")]
# The tests of the book, its tools, its pages, the course and long runs belong to the pinned environment.
OTHERS = ("benchmarks", "book", "browser", "colab", "copies", "course", "decks", "exam", "experiments", "explorer")
OTHERS += ("lab4_models", "labs", "notebooks", "own_data", "quizzes", "tiny_model", "tools")
NAMES = ["tensorflow", "keras", "tensorflow-probability", "numpy"]
SHOW = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {NAMES}}}))"


def attempt(tensorflow: str, python: str) -> dict | None:
    """Installs and tests one pair: "works" is false if anything failed, and null where there are no wheels. None where
    this machine has no such Python."""
    uv = [Path(sys.executable).with_name("uv"), "run", "--isolated", "--no-project", "--no-python-downloads"]
    uv += ["--python", python, "--with-editable", ".[book]"]
    uv += [part for name in ("tensorflow", "tf-keras") for part in ("--with", f"{name}=={tensorflow}.*")]

    def run(*command: str) -> subprocess.CompletedProcess:
        return subprocess.run([*uv, "python", *command], cwd=ROOT, capture_output=True, text=True)

    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    result = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "commit": commit, "works": None}
    installed = run("-c", SHOW)
    if "No interpreter found" in installed.stderr:
        return None
    if "no wheels with a matching Python" in installed.stderr:
        return result | {"tests": "not installed: there are no wheels"}
    if installed.returncode:
        sys.exit(f"{tensorflow}/{python}: expected an environment, got\n{installed.stderr}")
    ignored = [f"--ignore=tests/test_{name}.py" for name in OTHERS]
    lax = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600", "notebooks/01_theory.ipynb"]
    ours = [*together(), "tests", *ignored]
    tests, chapter = (run("-m", "pytest", "-q", "-p", "no:cacheprovider", *what) for what in (ours, lax))
    # pytest's last lines without their time: "8 passed, 1 skipped"
    told = [
        re.findall(r"^=* ?(\d.*) in [\d.]+s", done.stdout, re.M)[-1:] or [done.stderr[-300:]]
        for done in (tests, chapter)
    ]
    return result | {
        "works": tests.returncode == chapter.returncode == 0,
        "versions": json.loads(installed.stdout),
        "tests": told[0][0],
        "chapter": told[1][0],
        "failed": re.findall(r"^(?:FAILED|ERROR) (\S+)", tests.stdout + chapter.stdout, re.M),
    }


def table(results: dict) -> str:
    lines = ["| TensorFlow | Python | Keras | NumPy | Tests of the package | Chapter 1 |", "|---|---|---|---|---|---|"]
    for pair, result in results.items():
        tensorflow, python = pair.split("/")
        versions = result.get("versions", {})
        cells = [versions.get("tensorflow", tensorflow), python, versions.get("keras", ""), versions.get("numpy", "")]
        cells += [result["tests"], f"{result['chapter']} cells" if "chapter" in result else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(chosen: list[str]) -> bool:
    """Whether some pair failed."""
    if unknown := set(chosen) - set(PAIRS):
        sys.exit(f"Unknown: {', '.join(unknown)}. Expected some of {', '.join(PAIRS)}.")
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for pair in chosen or [pair for pair in PAIRS if pair not in results]:
        result = attempt(*pair.split("/"))
        print(f"{pair}: {result or 'no such Python on this machine, left out'}", flush=True)
        if result:
            results = {name: (results | {pair: result})[name] for name in PAIRS if name in {*results, pair}}
            RESULT.write_text(json.dumps(results, indent=1) + "\n")
            RESULT.with_suffix(".md").write_text(table(results) + "\n")
    return any(results[pair]["works"] is False for pair in chosen or results if pair in results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
