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


def run(*command, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def colab_python(tmp_path_factory) -> Path:
    """The interpreter of a fresh environment that holds `COLAB` and a module `google.colab`, loaded at the start."""
    folder = tmp_path_factory.mktemp("colab") / "env"
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    uv = Path(sys.executable).parent / "uv"
    installer = [uv, "pip", "install", "--python", python] if uv.exists() else [python, "-m", "pip", "install"]
    try:
        run(*installer, "--quiet", *COLAB)
    except AssertionError as failed:
        if "CI" in os.environ:
            raise
        pytest.skip(f"the packages of Colab cannot be had here: {failed}")
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "__init__.py").touch()
    (site / "colab.pth").write_text("import google.colab\n")  # Colab's kernel has it in sys.modules from the start
    yield python
    shutil.rmtree(folder)  # 2 GB, which pytest would keep for three runs


def versions(python: Path) -> set[str]:
    return set(run(python, "-m", "pip", "freeze", "--all").splitlines())


@pytest.mark.parametrize("chapter", ["01_theory", "05_animations"])
def test_a_chapter_runs_as_on_colab(chapter, colab_python, tmp_path, monkeypatch):
    notebook = nbformat.read(ROOT / "notebooks" / f"{chapter}.ipynb", as_version=4)
    run(colab_python, "-m", "pip", "uninstall", "--quiet", "--yes", "vae-helpers")
    before = versions(colab_python)
    (tmp_path / "content").mkdir()
    shutil.copy(ROOT / "notebooks" / f"{chapter}.ipynb", tmp_path / "content")

    # The public address leads to this clone, for git alone and in this process's children alone.
    address = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    settings = {
        f"url.{ROOT.as_uri()}.insteadOf": address,
        "safe.directory": "*",
        "protocol.file.allow": "always",
    }
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
    for number, (key, value) in enumerate(settings.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("MPLBACKEND", raising=False)

    def execute(cells: list) -> str:
        """What the last cell prints. In a new kernel, which starts in the bare folder; raises at an error."""
        manager = AsyncKernelManager()
        manager._kernel_spec = KernelSpec(
            argv=[str(colab_python), "-m", "ipykernel_launcher", "-f", "{connection_file}"], language="python"
        )
        resources = {"metadata": {"path": str(tmp_path / "content")}}
        whole = nbformat.v4.new_notebook(cells=cells)
        nbclient.NotebookClient(whole, km=manager, timeout=1800, resources=resources).execute()
        return whole.cells[-1].outputs[0].text

    where = nbformat.v4.new_code_cell("import vae_helpers, os; print(vae_helpers.__file__, os.getcwd(), sep='\\n')")
    shown = execute([*notebook.cells, where])
    package, folder = shown.split()
    assert Path(package).is_relative_to(colab_python.parents[1])  # installed, not found beside the notebook
    assert Path(folder) == tmp_path / "content" / "vae-book" / "notebooks"
    assert {path.name for path in (tmp_path / "content").iterdir()} == {f"{chapter}.ipynb", "vae-book"}
    after = versions(colab_python)
    assert before < after, "the first cell changed a package that Colab brings"
    (added,) = after - before
    assert added.startswith("vae-helpers @ ")

    set_up = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert execute([set_up, where]) == shown  # after "Restart session" the clone is still there
