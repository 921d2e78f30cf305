"""A rehearsal of Google Colab: a bare folder with one .ipynb, an environment of its own, a stand-in `google.colab`.

What it cannot show is Colab itself: its page, its GPU, the packages that it holds today.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
import yaml
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

ROOT = Path(__file__).parents[1]
# What Colab brings of the things a chapter imports, as its list of packages had it in autumn 2025 (the repository
# googlecolab/backend-info, pip-freeze.txt): older than the book's own pins, and the oldest TensorFlow it supports.
COLAB = [
    "tensorflow==2.19.0",
    "keras==3.10.0",
    "tensorflow-probability==0.25.0",
    "tf-keras==2.19.0",
    "numpy==2.0.2",
    "scipy==1.16.3",
    "matplotlib==3.10.0",
    "pillow==11.3.0",
    "platformdirs==4.5.0",
    "imageio==2.37.0",
    "ipython==7.34.0",
    "ipykernel==6.17.1",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the rehearsal clones the repository: no .git here"),
    pytest.mark.skipif(sys.version_info >= (3, 13), reason="TensorFlow 2.19 has no wheel for this Python"),
]


# What chapter 1 leaves out, with Colab's older packages: data, training, pictures and films.
TRAINING = """
import IPython.display, numpy as np, vae_helpers as vh
images = vh.load_mnist().train[:500]
model = vh.mlp_vae(hidden=(16, 12), seed=0)
model.compile("adam", objective=vh.sgvb_b)
model.fit(vh.batches(images, 50, "dynamic"), epochs=2)
vh.plot_latent_plane(model, n=5)
for name in ("digits.gif", "digits.png"):
    IPython.display.display(IPython.display.Image(vh.write_animation(images[:5, ..., 0] / np.float32(255), name)))
"""


WHERE = """
import importlib.util, os
print(importlib.util.find_spec("vae_helpers").origin, os.getcwd(), sep="\\n")
"""


@pytest.fixture(scope="module")
def run(finish):
    def run(step, *command) -> str:
        pipe = subprocess.PIPE
        return finish(subprocess.Popen([str(c) for c in command], stdout=pipe, stderr=pipe, text=True), step)[0]

    return run


@pytest.fixture(scope="module")
def colab_python(run, tmp_path_factory) -> Path:
    """The interpreter of a fresh environment that holds `COLAB` and a module `google.colab`, loaded at the start."""
    folder = tmp_path_factory.mktemp("colab") / "env"
    run("an environment", sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    uv = Path(sys.executable).parent / "uv"
    installer = [uv, "pip", "install", "--python", python] if uv.exists() else [python, "-m", "pip", "install"]
    try:
        run("the packages of Colab", *installer, "--quiet", *COLAB)
    except pytest.fail.Exception as failed:
        if "CI" in os.environ:
            raise
        pytest.skip(f"the packages of Colab cannot be had here: {failed}")
    site = Path(run("its folder", python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "__init__.py").touch()
    (site / "colab.pth").write_text("import google.colab\n")  # Colab's kernel has it in sys.modules from the start
    yield python
    shutil.rmtree(folder)  # 2 GB, which pytest would keep for three runs


def test_a_chapter_runs_as_on_colab(run, colab_python, tmp_path, monkeypatch, over_files):
    """The first cell fetches and installs the package and changes no other; "Restart session" finds it again."""
    chapter = ROOT / "notebooks" / "01_theory.ipynb"
    notebook = nbformat.read(chapter, as_version=4)
    (tmp_path / "content").mkdir()
    shutil.copy(chapter, tmp_path / "content")

    # The public address leads to this clone, for git alone and in this process's children alone.
    address = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    settings = {f"url.{ROOT.as_uri()}.insteadOf": address, "safe.directory": "*", "protocol.file.allow": "always"}
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
    for number, (key, value) in enumerate(settings.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # or both kernels compile TensorFlow

    def versions() -> set[str]:
        return set(run("the list of packages", colab_python, "-m", "pip", "freeze", "--all").splitlines())

    def execute(cells: list) -> str:
        """What the last cell prints. In a new kernel, which starts in the bare folder; raises at an error."""
        manager = AsyncKernelManager(config=over_files)
        manager._kernel_spec = KernelSpec(
            argv=[str(colab_python), "-m", "ipykernel_launcher", "-f", "{connection_file}"], language="python"
        )
        resources = {"metadata": {"path": str(tmp_path / "content")}}
        whole = nbformat.v4.new_notebook(cells=cells)
        limits = {"timeout": 600, "startup_timeout": 600}  # an error shows the cell that hung
        try:
            nbclient.NotebookClient(whole, km=manager, resources=resources, **limits).execute()
        finally:
            run_sync(manager.shutdown_kernel)(now=True)
        return whole.cells[-1].outputs[0].text

    where = nbformat.v4.new_code_cell(WHERE)
    before = versions()
    shown = execute([*notebook.cells, nbformat.v4.new_code_cell(TRAINING), where])
    package, folder = shown.split()
    assert Path(package).is_relative_to(colab_python.parents[1])  # installed, not found beside the notebook
    assert Path(folder) == tmp_path / "content" / address.rpartition("/")[2] / "notebooks"
    assert {path.name for path in (tmp_path / "content").iterdir()} == {chapter.name, address.rpartition("/")[2]}
    after = versions()
    assert before < after, "the first cell changed a package that Colab brings"
    (added,) = after - before
    assert added.startswith("vae-helpers @ ")

    set_up = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert execute([set_up, where]) == shown  # the clone is still there
