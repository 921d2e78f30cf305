"""What a course hands out: chapters without solutions, chapters with open ones, plots for slides, Binder's image."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbclient
import nbformat
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "course"), str(ROOT / "tools")]
import copies  # noqa: E402
import svg  # noqa: E402
from set_repository import colab_cell, declared  # noqa: E402

CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SHORTEST = 13  # characters of a line that can give something away


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, tuple[Path, Path]]:
    """The folder and the zip of both copies."""
    build = tmp_path_factory.mktemp("build")
    return {kind: copies.make(kind, build) for kind in ("student", "solutions")}


def chapters_of(folder: Path):
    """The names and the notebooks of a folder."""
    for path in sorted((folder / "notebooks").glob("*.ipynb")):
        yield path.stem, nbformat.read(path, as_version=4)


def strings(value):
    """Every text in a notebook's JSON: prose, code, outputs, pictures, metadata."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, list):
        if value and all(isinstance(one, str) for one in value):
            yield "".join(value)
        else:
            for one in value:
                yield from strings(one)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def leaks(folder: Path) -> list[tuple[str, str]]:
    """Lines of solutions, outputs included, that stand in a file of the folder and nowhere in what students may see."""
    solved, seen = set(), [squeezed(path.read_text("utf-8")) for path in (ROOT / "vae_helpers").glob("*.py")]
    for path in CHAPTERS:
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            texts = list(strings([cell["source"], cell.get("outputs", [])]))
            if "solution" in cell["metadata"].get("tags", []):
                solved |= {squeezed(line) for text in texts for line in text.splitlines()}
            else:
                seen += map(squeezed, texts)
    seen = "\n".join(seen)
    solved = {line for line in solved if len(line) >= SHORTEST and line not in seen}
    assert len(solved) > 500  # else this looks at nothing
    found = []
    for path in filter(Path.is_file, folder.rglob("*")):
        text = path.read_bytes().decode("utf-8", errors="ignore")
        text = squeezed("\n".join(strings(json.loads(text))) if path.suffix == ".ipynb" else text)
        found += [(path.name, line) for line in solved if line in text]
    return found


@pytest.mark.slow
def test_no_line_of_a_solution_is_left(made):
    assert leaks(made["student"][0]) == []
    assert len(leaks(made["solutions"][0])) > 500  # where they are left, they are found


def test_the_zip_is_the_folder(made):
    for folder, archive in made.values():
        with zipfile.ZipFile(archive) as packed:
            names = {name for name in packed.namelist() if not name.endswith("/")}
            assert names == {str(path.relative_to(folder.parent)) for path in folder.rglob("*") if path.is_file()}
            assert all(packed.read(name) == (folder.parent / name).read_bytes() for name in names)
        assert archive.stat().st_size < 25e6  # what a learning platform takes


def test_no_fault_of_a_riddle_is_in_sight(made):
    """Names and numbers of experiments/riddles.py say the answers to four exercises of chapter 7."""
    source = (ROOT / "experiments" / "riddles.py").read_text("utf-8")
    functions = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)} - {"riddle"}
    assert len(functions) >= 2
    for path in filter(Path.is_file, made["student"][0].rglob("*")):
        text = path.read_bytes().decode("utf-8", errors="ignore")
        assert not [name for name in (*functions, "train_labels[:20_000] < 5") if name in text], path.name
    space = {}
    exec(copies.packed("def riddle(number):\n    return number + 1\n"), space)
    assert space["riddle"](1) == 2


def test_every_exercise_has_a_place_for_its_answer(made):
    for name, notebook in chapters_of(made["student"][0]):
        nbformat.validate(notebook)
        cells = notebook.cells
        first = next(cell for cell in cells if cell.cell_type == "code")
        assert first.source == colab_cell(*declared())  # uploaded to Colab, it fetches the rest, as the chapter does
        tasks = [number for number, cell in enumerate(cells) if re.match(r"\*\*\d+\. ", cell.source)]
        tasks = [n for n in tasks if "exercise" in copies.tags_of(cells[n]) and cells[n].cell_type == "markdown"]
        assert len(tasks) >= 3, name
        for number in tasks:
            by_code = ", by code)" in cells[number].source
            place = cells[number + 1]
            assert place.cell_type == ("code" if by_code else "markdown"), cells[number].source
            assert by_code or place.source == copies.ANSWER
        assert not [cell for cell in cells if "solution" in copies.tags_of(cell)]


def test_no_exercise_points_at_a_solution(made):
    for name, notebook in chapters_of(made["student"][0]):
        begin = next(n for n, cell in enumerate(notebook.cells) if "## Exercises" in cell.source)
        text = "\n".join(cell.source for cell in notebook.cells[begin:])
        assert not re.findall(r".*(?:solution|folded|unfold|cell below|<details>).*", text, re.IGNORECASE), name


def names_in(source: str) -> tuple[set[str], set[str]]:
    """Names that a cell binds, and names that it reads."""
    bound, read = set(), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    return bound, read


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_cell_that_stays_needs_a_solution(path):
    """A name that only a solution binds may not be read after it."""
    solved, kept = set(), set()
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            bound, read = names_in(cell.source)
            if "solution" in copies.tags_of(cell):
                solved |= bound
            else:
                assert not (read - bound - kept) & solved, cell.source
                kept |= bound


def test_links_and_files_lead_into_the_copy(made):
    """In prose and in code: pages, chapters, stored results."""
    for folder, _ in made.values():
        texts = [(page, page.read_text("utf-8")) for page in folder.rglob("*.md") if "results" not in page.parts]
        code = []
        for name, notebook in chapters_of(folder):
            at = folder / "notebooks" / name
            texts += [(at, cell.source) for cell in notebook.cells if cell.cell_type == "markdown"]
            code += [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        links = [(at, link) for at, text in texts for link in re.findall(r"\]\((?!\w+:|#)([^)\s#]+)", text)]
        assert len(links) > 150
        assert [(at.name, link) for at, link in links if not (at.parent / link).is_file()] == []
        files = re.findall(r'"(\.\./(?!vae_helpers)[\w./-]+)"', "\n".join(code))
        assert len(files) > 10
        assert [file for file in files if not (folder / "notebooks" / file).exists()] == []
        assert not re.search(r"^\s*(```|:::)\{|\{\w+\}`", "\n".join(text for _, text in texts), re.MULTILINE)


def test_solutions_are_open_in_the_lecturers_copy(made):
    for name, notebook in chapters_of(made["solutions"][0]):
        solutions = [cell for cell in notebook.cells if "solution" in copies.tags_of(cell)]
        assert len(solutions) >= 3, name
        for cell in solutions:
            if cell.cell_type == "markdown":
                assert cell.source.startswith("<details open>")
            else:
                assert not {"hide-cell", "hide-input"} & set(cell.metadata.tags)
                assert "jupyter" not in cell.metadata and "cellView" not in cell.metadata


def test_only_two_kinds_of_copy():
    with pytest.raises(ValueError, match="expected student or solutions, got 'teacher'"):
        copies.make("teacher")
    assert copies.main([]).startswith("Usage:")


@pytest.mark.slow
def test_a_chapter_of_the_zip_runs_in_an_empty_folder(made, tmp_path, monkeypatch, over_files):
    """Stubs included: they return `...` and must not stop the run."""
    with zipfile.ZipFile(made["student"][1]) as packed:
        packed.extractall(tmp_path)
    folder = tmp_path / "student"
    monkeypatch.setenv("PYTHONPATH", str(folder))  # the copy's package, where the book's own is installed
    notebook = nbformat.read(folder / "notebooks" / "13_families_of_noise.ipynb", as_version=4)  # one of the shortest
    where = nbformat.v4.new_code_cell("vh.__file__, str(vh.results.results_folder())")
    notebook.cells.append(where)
    resources = {"metadata": {"path": str(folder / "notebooks")}}
    limits = {"timeout": 600, "startup_timeout": 600}
    nbclient.NotebookClient(notebook, config=over_files, resources=resources, **limits).execute()
    for path in ast.literal_eval(where.outputs[0].data["text/plain"]):
        assert Path(path).is_relative_to(folder)


# --- plots for slides ----------------------------------------------------------------------------------------------

PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.title('$x^2$');"
ALT = "A blue line that rises from one to two, over the number of the point, with a title."


def test_plots_are_drawn_as_vectors_and_a_run_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(svg, "ROOT", tmp_path)
    monkeypatch.setattr(svg, "TARGET", tmp_path / "svg")
    (tmp_path / "notebooks").mkdir()
    chapter = tmp_path / "notebooks" / "01_small.ipynb"
    cell = nbformat.v4.new_code_cell
    alt = {"mystnb": {"image": {"alt": ALT}}}
    notebook = nbformat.v4.new_notebook(cells=[cell(PLOT, metadata=alt), cell("1 + 1"), cell("plt.plot([3, 1]);")])
    nbformat.write(notebook, chapter)
    assert svg.main([]) is None
    first, second = sorted((tmp_path / "svg" / "01_small").iterdir())
    assert first.name == "01_a-blue-line-that-rises-from-one-to-two-over-the.svg"
    assert second.name == "02_plt-plot-3-1.svg"
    drawn = first.read_text("utf-8")
    assert drawn.startswith("<?xml") and "<path" in drawn and "<text" not in drawn and "<image" not in drawn
    assert "2 pictures" in capsys.readouterr().out
    assert svg.main([]) is None
    assert "there already" in capsys.readouterr().out

    notebook.cells.append(cell("1 / 0"))
    nbformat.write(notebook, chapter)
    assert re.match(r"(?s)01_small failed.*ZeroDivisionError", svg.main(["01_small"]))
    assert sorted((tmp_path / "svg" / "01_small").iterdir()) == [first, second]
    assert svg.main(["02_missing"]).startswith("There is no chapter '02_missing'")


# --- Binder and JupyterHub ------------------------------------------------------------------------------------------


def test_binder_has_what_repo2docker_reads():
    """Its three files and nothing else; a Python that the package allows; a script that may be executed."""
    folder = ROOT / "binder"
    assert {path.name for path in folder.iterdir()} == {"requirements.txt", "runtime.txt", "postBuild"}
    assert re.fullmatch(r"python-3\.1[123]\n", (folder / "runtime.txt").read_text("utf-8"))
    assert os.access(folder / "postBuild", os.X_OK)


@pytest.mark.slow
def test_the_image_for_binder_has_the_books_pins(made, tmp_path, finish, monkeypatch):
    """Its environment, built in the copy as repo2docker does: pip in the root, then postBuild. No container."""

    def run(step, *command, folder=tmp_path) -> str:
        pipe = subprocess.PIPE
        process = subprocess.Popen(list(map(str, command)), cwd=folder, stdout=pipe, stderr=pipe, text=True)
        return finish(process, step)[0]

    folder = tmp_path / "copy"
    shutil.copytree(made["student"][0], folder)
    uv, python = Path(sys.executable).with_name("uv"), tmp_path / "env" / "bin" / "python"
    for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):  # postBuild compiles what it imports, once
        monkeypatch.delenv(name, raising=False)
    run("an environment", sys.executable, "-m", "venv", "--without-pip", tmp_path / "env")
    try:
        install = (uv, "pip", "install", "--quiet", "--python", python)
        run("its packages", *install, "-r", "binder/requirements.txt", folder=folder)
    except pytest.fail.Exception as failed:
        if "CI" in os.environ:
            raise
        pytest.skip(f"the packages cannot be had here: {failed}")
    monkeypatch.setenv("PATH", f"{python.parent}{os.pathsep}{os.environ['PATH']}")
    run("postBuild", folder / "binder" / "postBuild", folder=folder)
    # Installed, not linked to: a hub mounts a home over the folder in which the image was built.
    where = "import vae_helpers as vh, scipy, jupyterlab, nbgitpuller, imageio_ffmpeg; print(vh.__file__)"
    where += "; print(vh.results.results_folder())"
    package, results = map(Path, run("the imports", python, "-c", where, folder=folder / "notebooks").split())
    assert package.is_relative_to(tmp_path / "env") and results == folder / "experiments" / "results"
    lines = [line for name in ("", "binder/") for line in (ROOT / name / "requirements.txt").read_text().splitlines()]
    wanted = [Requirement(line) for line in lines if "==" in line]
    pins = {one.name: str(one.specifier) for one in wanted if one.marker is None or one.marker.evaluate()}
    listed = run("the list", uv, "pip", "freeze", "--python", python)
    installed = {name: f"=={version}" for name, version in re.findall(r"^([\w.-]+)==(\S+)", listed, re.M)}
    assert {"tensorflow", "scipy", "jupyterlab", "nbgitpuller"} <= installed.keys()
    # What nbgitpuller alone brings has no pin.
    assert {name: version for name, version in installed.items() if pins.get(name, version) != version} == {}
    shutil.rmtree(tmp_path / "env")  # 2 GB, which pytest would keep for three runs
