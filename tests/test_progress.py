"""Progress: alive where somebody watches, gone where it is stored."""

import os
import pty
import re
import sys
import time
import types
from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest
import tensorflow as tf
from nbclient import NotebookClient

import vae_helpers as vh
from vae_helpers.progress import Progress, TrainingTable, device_name, format_seconds
from vae_helpers.report import report_page

SCRIPT = """
import time
from vae_helpers.progress import Progress
progress = Progress("epoch 2/50", total=50, delay=0)
progress.line("epoch 1")
progress.update(1)
progress.line("epoch 2")
time.sleep(0.3)
progress.label = "epoch 3/50"
progress.update(2)
progress.close()
with Progress("log p(x)", total=10, delay=0) as progress:
    progress.update(5)
"""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (-3, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (92, "1:32"), (7509, "2:05:09")]
)
def test_seconds_read_like_a_clock(seconds, text):
    assert format_seconds(seconds) == text


def test_in_a_terminal_the_status_line_replaces_itself(monkeypatch):
    terminal, own_end = pty.openpty()
    text = ""
    with os.fdopen(own_end, "w") as screen, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", screen)
        exec(SCRIPT, {})
        print("the end", flush=True)
        while "the end" not in text:  # what is written arrives in pieces
            text += os.read(terminal, 4096).decode()
    os.close(terminal)
    assert re.search(r"\r\x1b\[2Kepoch 2/50:   2%, \S+ s left", text)
    assert re.search(r"\r\x1b\[2Klog p\(x\):  50%, \S+", text)
    # Whatever stood behind the last carriage return was erased: only the lines remain on the screen.
    remaining = [line.rsplit("\r\x1b[2K", 1)[-1].strip() for line in text.split("\n")]
    assert [line for line in remaining if line] == ["epoch 1", "epoch 2", "the end"]


def test_in_a_pipe_only_the_lines_appear(capfd):
    exec(SCRIPT, {})
    assert capfd.readouterr() == ("epoch 1\nepoch 2\n", "")


# Under nbval first, then as if somebody watched, then what memory the kernel has taken.
CELLS = [
    SCRIPT,
    "import os; del os.environ['PYTEST_VERSION']\n" + SCRIPT,
    """
from vae_helpers.report import peak_memory
import numpy as np
before = peak_memory()
held = np.ones(2**26)  # half a GiB, in a process that has let go of little
print(peak_memory() - before)
""",
]


@pytest.fixture(scope="module")
def kernel(over_files):
    """The executed cells, and what each of them displayed on the way."""
    seen = [[] for _ in CELLS]

    class Watching(NotebookClient):
        def process_message(self, message, cell, cell_index):
            if message["msg_type"] in ("display_data", "update_display_data"):
                seen[cell_index].append(message["content"]["data"]["text/plain"])
            return super().process_message(message, cell, cell_index)

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    Watching(
        notebook, timeout=600, startup_timeout=600, config=over_files
    ).execute()  # an error names the cell that hung
    return notebook.cells, seen


def test_in_a_notebook_one_display_is_updated_in_place(kernel):
    cells, seen = kernel
    assert any(re.fullmatch(r"epoch 1\nepoch 2/50:   2%, \S+ s left", text) for text in seen[1])  # alive while it ran
    stored = [output.data["text/plain"] for output in cells[1].outputs]
    assert stored == ["epoch 1\nepoch 2", ""]  # tools/execute.py drops the empty one


def test_under_nbval_only_the_lines_appear(kernel):
    """A slow machine would otherwise show, and leave behind, displays that the committed outputs do not have."""
    cells, _ = kernel
    assert [output.data["text/plain"] for output in cells[0].outputs] == ["epoch 1\nepoch 2"]


def test_peak_memory_grows_with_what_is_held(kernel):
    cells, _ = kernel
    assert 0.25 < float(cells[2].outputs[0].text) < 0.6


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is set: `clock[0]`, in seconds."""
    seconds = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    return seconds


def test_short_work_leaves_no_trace_and_long_work_tells_the_time_left(clock, monkeypatch):
    shown = []
    monkeypatch.setattr(Progress, "_draw", lambda self, status: shown.append(status))
    with Progress("log p(x)", total=10) as progress:
        clock[0] += 1.9
        progress.update(5)
        assert shown == []
        clock[0] += 0.2
        progress.update(1)
    assert shown == ["log p(x):  10%, 19 s left", ""]


def test_the_status_is_drawn_five_times_a_second_at_most(clock, monkeypatch):
    drawn = []
    monkeypatch.setattr(Progress, "_draw", lambda self, status: drawn.append(status))
    progress = Progress("log p(x)", total=100, delay=0)
    for number in range(1, 100):
        progress.update(number)
        clock[0] += 0.01
    assert 4 <= len(drawn) <= 5 and drawn[0].startswith("log p(x):   1%")


@pytest.mark.parametrize("stdout", [None, types.SimpleNamespace(write=lambda text: None, flush=lambda: None)])
def test_a_service_without_a_terminal_is_no_error(monkeypatch, stdout):
    """There `sys.stdout` is None, or a logger that has no `isatty`."""
    monkeypatch.setattr(sys, "stdout", stdout)
    with Progress("log p(x)", total=10, delay=0) as progress:
        progress.line("epoch 1")
        progress.update(5)


def test_the_first_table_names_the_device_and_no_other_does(capsys, monkeypatch, small_vae, grey_images, without_xla):
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


def test_the_report_is_what_the_status_page_reads(capsys, clock):
    pytest.importorskip("docutils", reason="the book's own environment reads reports, others only write them")
    sys.path.append(str(Path(__file__).parents[1] / "tools"))
    from book_extension import REPORT

    report_page(time.monotonic() - 90)
    minutes, memory, *versions = REPORT.search(capsys.readouterr().out).groups()
    assert minutes == "1.5" and 0 < float(memory) < 64 and versions == [tf.__version__, keras.__version__]


def test_under_nbval_a_status_sends_no_message(monkeypatch):
    """A thousand unread messages are more than its socket holds: the one that says that the cell has ended is lost."""
    sent = []
    handle = types.SimpleNamespace(update=lambda *data, **_: sent.append(data))
    monkeypatch.setattr("vae_helpers.progress._in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda *data, **_: (sent.append(data), handle)[1])
    for version, messages in (("9", 1), (None, 101)):  # under nbval the line alone; before a reader, each status too
        monkeypatch.setenv("PYTEST_VERSION", version) if version else monkeypatch.delenv("PYTEST_VERSION")
        with Progress("log p(x)", total=100, delay=0) as work:
            work.line("epoch 1")
            for number in range(1, 100):
                work._quiet_until = 0
                work.update(number)
        assert len(sent) == messages
        sent.clear()
