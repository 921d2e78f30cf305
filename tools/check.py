"""The quick checks (`make check`): lint, workflow files, notebooks, hygiene. Exit status 1 if any failed.

Each is one command of ruff, actionlint, pytest or git; only the count of the package's lines is done here.
"""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
import time
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = "vae_helpers tests tools experiments benchmarks course notebooks/[0-9]*.py"
MOST_LINES = 2070  # of code in the package: what one chapter alone needs, or a library does as well, is not there
NOTHING = "$(git hash-object -t tree /dev/null)"  # git's name for an empty tree: all lines are new
# The brackets keep this file from containing what it looks for.
HOSTS = (
    r"(www\.)?(pypi[.]org|files[.]pythonhosted|registry[.]npmjs|registry[.]yarnpkg|conda[.]anaconda|deb[.]debian"
    r"|proxy[.]golang|static[.]crates)"
)
MACHINES = "/[w]ork/|/[r]oot/|/[h]ome/|/[U]sers/|/tmp/[b]ash_jobs"


def absent(words: str) -> str:
    """The command that fails where one of `words` stands, unless as part of a longer path or address."""
    return f"! git grep --untracked -nIE '(^|[^A-Za-z0-9_.~-])({words})'"


CHECKS = {
    "ruff check": f"ruff check --quiet --output-format=concise {FOLDERS}",
    "ruff format": f"ruff format --check --quiet {FOLDERS}",
    "workflow files": "! command -v actionlint >/dev/null || actionlint -no-color",  # it has no wheel for some systems
    "white space": f"git -c core.whitespace=trailing-space diff --check {NOTHING}",
    "no large files": "! git ls-files -z | xargs -0 -I{} find {} -size +2048k | grep .",
    "no build output": "! git ls-files --cached --ignored --exclude-standard | grep .",
    "no machine's paths": absent(MACHINES),
    "no registry's hosts": absent(HOSTS),
    # Without conftest.py, which loads TensorFlow, and without the tests that start a kernel: these only read files.
    "notebooks": "python -m pytest -q --noconftest -k 'not nbval' tests/test_notebooks.py",
}


def code_lines(source: str) -> int:
    """Lines of a module that hold code: no comments, docstrings or blanks."""
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type not in skipped]
    lines = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def main() -> str | None:
    """What failed, as the last line, or nothing."""
    failed = []
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for name, command in CHECKS.items():
        started = time.perf_counter()
        # Everything that the commands print is about a failure.
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=os.environ | {"PATH": binaries}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        print(f"{name:20} {time.perf_counter() - started:5.1f} s  {'FAILED' if done.returncode else 'ok'}", flush=True)
        if done.returncode:
            failed.append(name)
            print("\n".join(f"    {line}" for line in done.stdout.splitlines()[-40:]), flush=True)
    lines = sum(code_lines(path.read_text("utf-8")) for path in (ROOT / "vae_helpers").glob("*.py"))
    if lines > MOST_LINES:
        failed.append("package")
    verdict = "FAILED" if "package" in failed else "ok"
    print(f"{'package':20} {lines} lines of code, {MOST_LINES} at most: {verdict}", flush=True)
    return f"FAILED: {', '.join(failed)}" if failed else None


if __name__ == "__main__":
    sys.exit(main())
