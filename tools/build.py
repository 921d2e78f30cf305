"""Build the book: `python tools/build.py` (what `make book` calls).

Every warning is an error (-W), all of them are shown (--keep-going), and a reference that leads nowhere is a warning
(-n). The output of the build stays out of sight unless something fails; `--verbose` shows all of it.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PAGES = ROOT / "_build" / "html"
# `python -m jupyter_book` does not exist in 1.x; this is what its script in .venv/bin does, whatever folder that is in.
BUILD = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"


def build(verbose: bool, *builder: str, report: bool = True) -> int:
    """Run Jupyter Book and report what went wrong; return its exit status."""
    command = [sys.executable, "-c", BUILD, "build", str(ROOT), "-W", "--keep-going", "-n", *builder]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = []
    live = sys.stdout.isatty() and not verbose
    for line in process.stdout:
        line = COLOUR.sub("", line)
        lines.append(line)
        if verbose:
            print(line, end="", flush=True)
        elif live:  # one line that replaces itself
            width = shutil.get_terminal_size().columns - 1
            print("\r" + line.strip()[:width].ljust(width), end="", flush=True)
    status = process.wait()
    if live:
        print("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r", end="")
    if status != 0 and report and not verbose:
        print("".join(lines), end="", flush=True)
    return status


def check_links(verbose: bool) -> int:
    """Ask every address outside the book whether it still answers; return 1 if one does not."""
    print("Asking every address that the book links to (needs a network) ...", flush=True)
    build(verbose, "--builder", "linkcheck", report=False)
    report = PAGES / "output.json"  # Jupyter Book leaves it beside the pages
    if not report.is_file():
        print("The build ended without a report; --verbose shows why.", file=sys.stderr)
        return 1
    answers = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    report.unlink()
    report.with_suffix(".txt").unlink(missing_ok=True)
    asked = [answer for answer in answers if answer["status"] not in ("unchecked", "ignored", "local")]
    broken = [answer for answer in asked if answer["status"] in ("broken", "timeout")]
    for answer in broken:
        print(f"{answer['filename']}:{answer['lineno']}: {answer['uri']}: {answer['info'].split('(')[0]}")
    print(f"{len(asked)} addresses asked, {len(broken)} did not answer as they should.")
    return 1 if broken or not asked else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verbose", action="store_true", help="show the whole output of the build")
    parser.add_argument("--clean", action="store_true", help="remove the earlier pages first")
    parser.add_argument("--links", action="store_true", help="check the links to other sites instead; needs a network")
    arguments = parser.parse_args()
    if arguments.links:
        return check_links(arguments.verbose)
    if arguments.clean:
        shutil.rmtree(ROOT / "_build", ignore_errors=True)

    print("Building the book ...", flush=True)
    started = time.perf_counter()
    status = build(arguments.verbose)
    seconds = time.perf_counter() - started

    index = PAGES / "index.html"
    if status == 0 and not index.is_file():
        print("The build ended without an error but wrote no index.html.", file=sys.stderr)
        status = 1
    if status != 0:
        # Sphinx reads a page again only when it changed: without this, the next build would forget the warnings.
        shutil.rmtree(ROOT / "_build" / ".doctrees", ignore_errors=True)
        print(f"The build failed after {seconds:.0f} s: the messages are above.", file=sys.stderr)
        return status
    # Sphinx copies style sheets and pictures only when some page has changed too.
    shutil.copytree(ROOT / "book" / "_static", PAGES / "_static", dirs_exist_ok=True)
    print(f"Built in {seconds:.0f} s. Open {index.as_uri()}")
    print(f"({index})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
