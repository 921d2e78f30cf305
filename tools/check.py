"""The quick checks (`make check`): lint, workflow files, notebook pairs, hygiene. Exit status 1 if any failed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = [name for name in ("vae_helpers", "tests", "tools", "experiments", "benchmarks") if (ROOT / name).is_dir()]
MEBIBYTE = 2**20
LARGEST_FILE = 2 * MEBIBYTE
MOST_LINES = 40  # of one failed check's messages
BUILT = {"_build", ".venv", "__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".ruff_cache", "node_modules"}
BUILT_SUFFIXES = (".pyc", ".keras", ".egg-info", ".log", "-ubyte", "-ubyte.gz", ".bin", ".bin.gz", ".npz")

# Joined here, so that this file does not contain what it looks for.
MACHINE_PATHS = ["/" + name + "/" for name in ("work", "root", "home", "Users")] + ["/tmp/" + "bash_jobs"]
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("conda", "anaconda", "org"),
        ("deb", "debian", "org"),
        ("proxy", "golang", "org"),
        ("static", "crates", "io"),
    )
]


class Skipped(Exception):
    """A check that cannot run here; the message says why."""


def run(*command: str) -> str:
    """Run a command in the root folder; return what it printed if it failed, else nothing."""
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return "" if done.returncode == 0 else (done.stdout.strip() or f"exit status {done.returncode}")


def tool(name: str) -> str:
    """The program `name` beside this Python, else on the path.

    Raises:
        Skipped: it is not installed.
    """
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(name)
    if found is None:
        raise Skipped(f"{name} is not installed here")
    return found


def ruff_lint() -> str:
    return run(tool("ruff"), "check", "--quiet", "--output-format=concise", *CODE)


def ruff_format() -> str:
    return run(tool("ruff"), "format", "--check", *CODE)


def ruff_notebooks() -> str:
    # The .py half of a pair stands for both: the pair check proves that the halves agree.
    scripts = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.py"))
    if not scripts:
        raise Skipped("there are no chapters yet")
    lint = run(tool("ruff"), "check", "--quiet", "--output-format=concise", *scripts)
    return lint or run(tool("ruff"), "format", "--check", *scripts)


def workflows() -> str:
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    return run(tool("actionlint"), "-no-color", *files)


def notebooks() -> str:
    if not (ROOT / "tests" / "test_notebooks.py").is_file():
        raise Skipped("tests/test_notebooks.py does not exist yet")
    # Without conftest.py, which loads TensorFlow, and without the tests that start a kernel: these only read files.
    return run(sys.executable, "-m", "pytest", "-q", "--noconftest", "-k", "not nbval", "tests/test_notebooks.py")


def known_files() -> list[Path]:
    """Files that git tracks, and new ones that it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        raise Skipped("this folder is not a git clone") from None
    return [ROOT / name for name in sorted(set(names.split("\0"))) if name and (ROOT / name).is_file()]


def text_files() -> dict[str, str]:
    """The text of every known file, by its path."""
    texts = {}
    for path in known_files():
        content = path.read_bytes()
        if b"\0" not in content:
            texts[path.relative_to(ROOT).as_posix()] = content.decode("utf-8", errors="replace")
    return texts


def sizes() -> str:
    large = [path for path in known_files() if path.stat().st_size > LARGEST_FILE]
    return "\n".join(f"{path.relative_to(ROOT)}: {path.stat().st_size / MEBIBYTE:.1f} MiB" for path in large)


def build_output() -> str:
    problems = []
    for path in known_files():
        parts = path.relative_to(ROOT).parts
        if parts[:2] == ("experiments", "results") and path.suffix == ".npz":
            continue  # the pictures of a long run; elsewhere an .npz is a downloaded data set
        if BUILT & set(parts) or any(part.endswith(BUILT_SUFFIXES) for part in parts):
            problems.append(f"{path.relative_to(ROOT)}: built or downloaded, not written")
    return "\n".join(problems)


def whitespace() -> str:
    problems = []
    marker = re.compile(r"^(?:<{7}|>{7}|\|{7})(?: |$)|^={7}$")
    for name, text in text_files().items():
        lines = text.split("\n")
        for number, line in enumerate(lines, start=1):
            if line != line.rstrip(" \t\r"):
                problems.append(f"{name}:{number}: white space at the end of the line")
            if marker.match(line):
                problems.append(f"{name}:{number}: a conflict marker")
        if text and not text.endswith("\n"):
            problems.append(f"{name}: no newline at the end")
    return "\n".join(problems)


def forbidden(words: list[str], what: str) -> str:
    """Where one of `words` stands. A word that is part of a web address or of a longer path does not count."""
    pattern = re.compile(r"(?<![A-Za-z0-9_.~-])(?:" + "|".join(map(re.escape, words)) + ")")
    problems = []
    for name, text in text_files().items():
        for number, line in enumerate(text.split("\n"), start=1):
            for found in pattern.finditer(line):
                problems.append(f"{name}:{number}: {what} ({found.group()})")
    return "\n".join(problems)


def machine_paths() -> str:
    return forbidden(MACHINE_PATHS, "a path of one machine")


def registry_hosts() -> str:
    return forbidden([*REGISTRIES, *("www." + host for host in REGISTRIES)], "the host of a package registry")


CHECKS: dict[str, Callable[[], str]] = {
    "ruff check": ruff_lint,
    "ruff format": ruff_format,
    "ruff, notebooks": ruff_notebooks,
    "actionlint": workflows,
    "file sizes": sizes,
    "no build output": build_output,
    "white space": whitespace,
    "no machine paths": machine_paths,
    "no registry hosts": registry_hosts,
    "notebook pairs": notebooks,
}


def main() -> int:
    failed = 0
    for name, check in CHECKS.items():
        started = time.perf_counter()
        try:
            problem = check()
            verdict = "FAILED" if problem else "ok"
        except Skipped as reason:
            problem, verdict = "", f"skipped: {reason}"
        seconds = time.perf_counter() - started
        print(f"{name:24s}{seconds:6.1f} s  {verdict}", flush=True)
        if problem:
            failed += 1
            lines = problem.splitlines()
            if len(lines) > MOST_LINES:
                lines[MOST_LINES:] = [f"... and {len(lines) - MOST_LINES} more lines"]
            print("\n".join("    " + line for line in lines), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
