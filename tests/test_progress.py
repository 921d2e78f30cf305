"""Progress: alive where somebody watches, gone where it is stored."""

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest
import tensorflow as tf
from nbclient import NotebookClient

import vae_helpers as vh
from vae_helpers.progress import (
    LiveText,
    Progress,
    TrainingTable,
    device_name,
    format_seconds,
)
from vae_helpers.report import peak_memory, report_page

SCRIPT = """
from vae_helpers.progress import LiveText, Progress
text = LiveText(min_interval=0)
text.line("epoch 1")
text.status("epoch 2/50, 1:32 left")
text.line("epoch 2")
text.status("epoch 3/50, 1:31 left")
text.close()
with Progress("log p(x)", total=10, delay=0) as progress:
    progress.update(5)
"""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (-3, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (92, "1:32"), (7509, "2:05:09")]
)
def test_seconds_read_like_a_clock(seconds, text):
    assert format_seconds(seconds) == text


def test_in_a_terminal_the_status_line_replaces_itself():
    terminal, child_end = pty.openpty()
    child = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=child_end, stderr=subprocess.PIPE)
    os.close(child_end)
    shown = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # how Linux says that the other end was closed
            break
        if not part:
            break
        shown += part
    assert child.wait() == 0, child.stderr.read().decode()
    text = shown.decode()
    assert "\r\x1b[2Kepoch 2/50, 1:32 left" in text and "log p(x):  50%, 0 s left" in text
    # Whatever stood behind the last carriage return was erased: only the lines remain on the screen.
    remaining = [line.rsplit("\r\x1b[2K", 1)[-1].strip() for line in text.split("\n")]
    assert [line for line in remaining if line] == ["epoch 1", "epoch 2"]


def test_in_a_pipe_only_the_lines_appear():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("epoch 1\nepoch 2\n", "")


def test_in_a_notebook_one_display_is_updated_in_place(monkeypatch):
    monkeypatch.delenv("PYTEST_VERSION")  # as if somebody watched
    seen = []

    class Watching(NotebookClient):
        def process_message(self, message, cell, cell_index):
            if message["msg_type"] in ("display_data", "update_display_data"):
                seen.append(message["content"]["data"]["text/plain"])
            return super().process_message(message, cell, cell_index)

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SCRIPT)])
    Watching(notebook, extra_arguments=["--IPKernelApp.log_level=40"]).execute()
    assert "epoch 1\nepoch 2/50, 1:32 left" in seen  # alive while it ran
    stored = [output.data["text/plain"] for output in notebook.cells[0].outputs]
    assert stored == ["epoch 1\nepoch 2", ""]  # tools/execute.py drops the empty one


def test_under_nbval_only_the_lines_appear():
    """A slow machine would otherwise show, and leave behind, displays that the committed outputs do not have."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SCRIPT)])
    NotebookClient(notebook, extra_arguments=["--IPKernelApp.log_level=40"]).execute()
    assert [output.data["text/plain"] for output in notebook.cells[0].outputs] == ["epoch 1\nepoch 2"]


def test_short_work_leaves_no_trace(capsys):
    with Progress("quick", total=10) as progress:
        progress.update(5)
    assert capsys.readouterr() == ("", "")


def test_the_status_is_drawn_no_more_often_than_asked(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        LiveText, "_draw", lambda self: (drawn.append(1), setattr(self, "_last_drawn", time.monotonic()))
    )
    text = LiveText(min_interval=60)
    text.status("first")
    for _ in range(100):
        text.status("later")
    assert len(drawn) == 1


def test_the_first_table_names_the_device_and_no_other_does(capsys, monkeypatch, small_vae, grey_images):
    monkeypatch.setattr(TrainingTable, "_has_named_device", False)
    model = small_vae()
    model.compile("adam", objective=vh.sgvb_b)
    for _ in range(2):
        model.fit(vh.batches(np.uint8(255 * grey_images), 8), epochs=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"trained on: {device_name()}"
    assert len([line for line in lines if line.startswith("trained on")]) == 1


def test_the_device_is_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a", "b"] if kind == "GPU" else [])
    details = {"a": {"device_name": "NVIDIA T4"}, "b": {}}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)
    assert device_name() == "GPU NVIDIA T4, GPU 1"


def test_peak_memory_grows_with_what_is_held():
    before = peak_memory()
    held = np.ones(2**26 + int(before * 2**27))  # more than was ever taken, in numbers of 8 bytes
    assert peak_memory() - before > 0.4 and held[-1] == 1


def test_the_report_is_what_the_status_page_reads(capsys):
    pytest.importorskip("docutils", reason="the book's own environment reads reports, others only write them")
    sys.path.append(str(Path(__file__).parents[1] / "tools"))
    from book_status import REPORT

    report_page(time.monotonic() - 90)
    minutes, memory, *versions = REPORT.search(capsys.readouterr().out).groups()
    assert minutes == "1.5" and 0 < float(memory) < 64 and versions == [tf.__version__, keras.__version__]
