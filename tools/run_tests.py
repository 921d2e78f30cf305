"""Runs the tests, shows how much is left, and ends with one line: `python tools/run_tests.py` (what `make test` calls).

    python tools/run_tests.py                     # the unit tests, then every notebook
    python tools/run_tests.py unit                # the unit tests alone: make unit
    python tools/run_tests.py nbval 02_mlp_vae    # one notebook: make nbval NB=02_mlp_vae
    python tools/run_tests.py quick               # make quick: hygiene, the unit tests that are fast, chapter 1

pytest does the work; this file knows its options, and what each file took the last time (tests/seconds.json).
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECONDS = ROOT / "tests" / "seconds.json"  # by file, on two cores
EVERY = 30.0  # seconds between two lines that say how far it is
NBVAL = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=1800", "-o", "faulthandler_timeout=0"]
NBVAL += [f"--nbval-sanitize-with={ROOT / 'notebooks' / 'nbval_sanitize.cfg'}"]


def together(whole: str = "group", gigabytes: float = 7) -> list[str]:
    """Two processes, since most tests keep one core busy, where there are two cores and memory for two. Each group of
    tests, or each file, stays whole."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return ["-n", "2", "--dist", f"load{whole}"] if (os.cpu_count() or 1) > 1 and memory > gigabytes * 1e9 else []


def options(part: str, names: list[str]) -> list[str]:
    """pytest's arguments for a part of the tests."""
    if part == "nbval":
        notebooks = [f"notebooks/{Path(name).stem}.ipynb" for name in names] or ["notebooks"]
        return [*NBVAL, "-v", *(together("file", gigabytes=12) if len(names) != 1 else []), *notebooks]
    # Whoever is quick has just run the tests of the notebooks' files, in `make check`.
    return [*together(), *(["-m", "not slow", "--ignore=tests/test_notebooks.py"] if part == "quick" else []), "tests"]


class Progress:
    """A plugin of pytest: counts, and says every half minute how much is left."""

    def __init__(self):
        self.started = self.shown = time.monotonic()
        self.expected: dict[str, float] = {}  # by test: its share of what its file took
        self.seconds: collections.Counter[str] = collections.Counter()  # by file, now
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.failed: list[str] = []
        self.done = 0.0

    def pytest_sessionstart(self, session):
        self.terminal = session.config.pluginmanager.get_plugin("terminalreporter")

    def _expect(self, tests: list[str]) -> None:
        known = json.loads(SECONDS.read_text("utf-8")) if SECONDS.exists() else {}
        by_file = collections.Counter(test.split("::")[0] for test in tests)
        self.expected = {test: known.get(file := test.split("::")[0], 10.0) / by_file[file] for test in tests}

    def pytest_collection_finish(self, session):
        if session.items:
            self._expect([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids):
        self._expect(ids)

    @pytest.hookimpl(trylast=True)  # after the letter of the test
    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid.split("::")[0]] += report.duration
        if report.failed:
            self.outcomes["failed"] += report.nodeid not in self.failed
            self.failed.append(report.nodeid)
        elif report.skipped or report.when == "call":
            self.outcomes["skipped" if report.skipped else "passed"] += 1
        if report.when == "teardown":
            self.done += self.expected.get(report.nodeid, 0.0)
            if time.monotonic() - self.shown > EVERY:
                self.shown = time.monotonic()
                self.terminal.write_line(f"\n{self.how_far()} ({report.nodeid.split('::')[0]})")

    def how_far(self) -> str:
        """Such as "41%, about 3 minutes left"; by the pace so far, once that can be judged."""
        whole, elapsed = sum(self.expected.values()), time.monotonic() - self.started
        share = self.done / whole if whole else 0.0
        left = elapsed * (1 - share) / share if share > 0.05 else whole - self.done
        return f"{100 * share:.0f}%, about {max(1, round(left / 60))} minute{'s' if left >= 90 else ''} left"

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self.started) / 60


def verdict(what: str, progress: Progress) -> str:
    """Such as "743 tests passed in 7.4 minutes (1 skipped)"."""
    skipped = f" ({progress.outcomes['skipped']} skipped)" if progress.outcomes["skipped"] else ""
    return f"{progress.outcomes['passed']} {what} passed in {progress.minutes:.1f} minutes{skipped}"


def run(parts: list[str], names: list[str], keep: bool = False) -> int:
    """Runs the parts in turn until one fails; returns pytest's status."""
    started, said, seconds = time.monotonic(), [], {}
    for part in parts:
        progress = Progress()
        status = pytest.main([f"--rootdir={ROOT}", *options(part, names)], plugins=[progress])
        if status:
            failed = progress.outcomes["failed"]
            print(f"FAILED: {failed} of {len(progress.expected)} after {progress.minutes:.1f} minutes.")
            return int(status)
        said.append(verdict("cells of the notebooks" if part == "nbval" else "tests", progress))
        seconds |= {file: round(value, 1) for file, value in progress.seconds.items()}
    if keep:
        SECONDS.write_text(json.dumps(dict(sorted(seconds.items())), indent=1) + "\n", "utf-8")
    whole = f"; {(time.monotonic() - started) / 60:.1f} minutes in all" if len(said) > 1 else ""
    print(f"{', '.join(said)}{whole}.")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=["unit", "nbval", "quick"], help="default: unit and nbval")
    parser.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="such as 02_mlp_vae; default: all")
    parser.add_argument("--keep", action="store_true", help="keep what each file took, for the next forecast")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    if arguments.part == "quick":
        if subprocess.run([sys.executable, ROOT / "tools" / "check.py"]).returncode:
            return 1
        return run(["quick", "nbval"], ["01_theory"])
    return run([arguments.part] if arguments.part else ["unit", "nbval"], arguments.notebooks, arguments.keep)


if __name__ == "__main__":
    sys.exit(main())
