"""How heavy and how good the built pages are, by Lighthouse: `python benchmarks/pages.py`, after `make book`.

Needs Chromium and npm, which fetches Lighthouse. The pages are served from this machine, compressed as a web server
does. Each is judged several times as Lighthouse's slow phone and as its desktop; the medians go to
`results/pages.json`, and a table for the book to `results/pages.md`.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import gzip
import http.server
import json
import os
import statistics
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tools"))
from pdf import CHROMIUM  # noqa: E402

PAGES = ROOT / "_build" / "html"
RESULTS = Path(__file__).parent / "results"
LIGHTHOUSE = "lighthouse@12.8.2"
NAMES = {
    "book/intro": "first page",
    "notebooks/01_theory": "chapter 1",
    "notebooks/02_mlp_vae": "chapter 2",
    "notebooks/03_conv_vae": "chapter 3",
    "notebooks/04_sgvb_a_vs_b": "chapter 4",
    "notebooks/05_animations": "chapter 5",
    "notebooks/06_case_studies": "chapter 6",
    "notebooks/07_diagnosis": "chapter 7",
    "notebooks/08_own_data": "chapter 8",
    "book/glossary": "glossary",
}
CATEGORIES = ("performance", "accessibility", "best-practices")
AUDITS = ("first-contentful-paint", "largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift")
COMPRESSED = (".html", ".js", ".css", ".svg", ".json")


class Compressing(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        body = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Cache-Control", "max-age=600")
        if path.suffix in COMPRESSED:
            body = gzip.compress(body, 6)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def judge(address: str, preset: str) -> dict[str, float]:
    """Scores in percent, times in milliseconds, bytes sent before anything is scrolled to."""
    command = ["npx", "--yes", LIGHTHOUSE, address, "--quiet", "--output=json", "--output-path=stdout"]
    command += [f"--only-categories={','.join(CATEGORIES)}", *(["--preset=desktop"] if preset == "desktop" else [])]
    command += ["--chrome-flags=--headless=new --no-sandbox --disable-gpu --disable-background-networking"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CHROME_PATH": CHROMIUM})
    if done.returncode != 0:
        raise RuntimeError(f"Lighthouse failed on {address}: {done.stderr[-500:]}")
    report = json.loads(done.stdout)
    scores = {name: 100 * report["categories"][name]["score"] for name in CATEGORIES}
    return (
        scores
        | {name: report["audits"][name]["numericValue"] for name in AUDITS}
        | {"bytes": report["audits"]["total-byte-weight"]["numericValue"]}
    )


def milliseconds_per_frame(address: str, frames: int = 300) -> float:
    """The median time in which the latent explorer decodes a point and paints it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(address)
        page.locator(".latent-explorer").scroll_into_view_if_needed()
        page.wait_for_selector(".latent-explorer.alive")
        times = page.evaluate(
            """(frames) => Array.from({ length: frames }, (_, i) => {
                const explorer = document.querySelector(".latent-explorer").explorer;
                const begun = performance.now();
                explorer.z = [2 * Math.sin(i), 2 * Math.cos(i)];
                explorer.paint();
                return performance.now() - begun;
            })""",
            frames,
        )
        browser.close()
    return statistics.median(times)


def table(results: dict) -> str:
    lines = ["| Page | Sent at first | Phone | Desktop | Accessibility | Best practices | Layout shift |"]
    lines += ["|---|---:|---:|---:|---:|---:|---:|"]
    for name, title in NAMES.items():
        phone, desktop = results["pages"][name]["phone"], results["pages"][name]["desktop"]
        lines.append(
            f"| {title} | {phone['bytes'] / 1000:.0f} kB | {phone['performance']:.0f} | {desktop['performance']:.0f} "
            f"| {min(phone['accessibility'], desktop['accessibility']):.0f} "
            f"| {min(phone['best-practices'], desktop['best-practices']):.0f} "
            f"| {max(phone['cumulative-layout-shift'], desktop['cumulative-layout-shift']):.3f} |"
        )
    runs = "one run" if results["runs"] == 1 else f"medians of {results['runs']} runs"
    frame = results["explorer_milliseconds_per_frame"]
    lines += ["", f"The latent explorer decodes a point and paints it in {frame:.0f} ms (median of 300 frames)."]
    return "\n".join(lines) + f" ({results['lighthouse'].replace('@', ' ')}, {runs}, {results['date']}.)\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="how often each page is judged (default: 3)")
    runs = parser.parse_args().runs
    if CHROMIUM is None:
        parser.error("no Chromium on this system (Debian: apt install chromium)")
    if not (PAGES / "index.html").is_file():
        parser.error("no built book: run `make book` first")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Compressing, directory=PAGES))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = {}
    for name in NAMES:
        found[name] = {}
        for preset in ("phone", "desktop"):
            reports = [judge(f"http://127.0.0.1:{server.server_port}/{name}.html", preset) for _ in range(runs)]
            found[name][preset] = {key: statistics.median(report[key] for report in reports) for key in reports[0]}
            print(
                f"{name:26} {preset:8}",
                ", ".join(f"{key} {found[name][preset][key]:.0f}" for key in CATEGORIES),
                flush=True,
            )
    results = {
        "runs": runs,
        "explorer_milliseconds_per_frame": milliseconds_per_frame(
            f"http://127.0.0.1:{server.server_port}/book/intro.html"
        ),
        "lighthouse": LIGHTHOUSE,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT).stdout.strip(),
        "pages": found,
    }
    (RESULTS / "pages.json").write_text(json.dumps(results, indent=1) + "\n")
    (RESULTS / "pages.md").write_text(table(results))


if __name__ == "__main__":
    main()
