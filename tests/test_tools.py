"""The scripts behind the Makefile and the extensions of the book, run on small things."""

import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import pytest
import yaml
from docutils import nodes
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))
import check  # noqa: E402
import execute  # noqa: E402
import set_repository  # noqa: E402
from book_extension import film_to_gif, read_chapter  # noqa: E402
from book_math import keep_signs, mathml, plain_text  # noqa: E402
from book_terms import pattern_for, read_glossary  # noqa: E402
from book_weight import purge  # noqa: E402

OLD, BRANCH = set_repository.declared()
OLD_NAME, NAME = OLD.rpartition("/")[2], "my-course"
NEW = f"https://github.com/someone/{NAME}"


def git(folder, *command) -> str:
    return subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True).stdout


# --- another repository ------------------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path):
    """A copy of the text files, changed ones included, in a folder of another name."""
    clone = tmp_path / "elsewhere"
    for name in git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file() and not name.startswith("experiments/results/"):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    git(clone, "init", "-q")
    git(clone, "add", "-A")
    return clone


def texts(clone) -> dict[str, bytes]:
    return {name: (clone / name).read_bytes() for name in git(clone, "ls-files").splitlines()}


@pytest.mark.slow
def test_a_fork_changes_one_address(clone):
    """Links, folder names in instructions and the first cells move, nothing else does, and moving back restores all."""
    set_repository.set_repository(clone)
    before = texts(clone)
    assert sum(OLD.encode() in text for text in before.values()) >= 5
    changed = set_repository.set_repository(clone, NEW + ".git")
    after = texts(clone)
    assert changed == [name for name in sorted(after) if after[name] != before[name]]
    assert {"_config.yml", "README.md", "notebooks/01_theory.ipynb", "notebooks/01_theory.py"} <= set(changed)
    left = [line for text in after.values() for line in text.decode(errors="replace").splitlines() if OLD_NAME in line]
    assert [line for line in left if "user_cache_dir" not in line] == []  # the data stay where they are
    assert b"cd " + NAME.encode() in after["book/how_to_use.md"]
    set_repository.set_repository(clone, OLD)
    assert texts(clone) == before


@pytest.mark.slow
def test_a_fork_on_another_host_has_its_kind_of_links_and_no_colab(clone):
    """Without them the theme stops the build: it does not know the host, and Colab opens no notebook there."""
    for url, kind in (("https://git.example.org/a/b", "gitlab"), ("https://bitbucket.org/a/b", "bitbucket")):
        set_repository.set_repository(clone, url)
        config = yaml.safe_load((clone / "_config.yml").read_text("utf-8"))
        assert config["sphinx"]["config"]["html_theme_options"]["repository_provider"] == kind
        assert config["launch_buttons"]["colab_url"] == ""
    set_repository.set_repository(clone, OLD)
    assert (clone / "_config.yml").read_bytes() == (ROOT / "_config.yml").read_bytes()


def test_the_set_up_cell_follows_the_declared_branch_in_both_halves(clone):
    config = clone / "_config.yml"
    config.write_text(config.read_text("utf-8").replace(f"  branch: {BRANCH}", "  branch: v1.2"), "utf-8")
    before = texts(clone)
    set_repository.set_repository(clone, NEW)
    cell = set_repository.colab_cell(NEW, "v1.2")
    assert f"--branch=v1.2 {NEW}" in cell and len(cell.splitlines()) < 21
    for script in sorted((clone / "notebooks").glob("[0-9]*.py")):
        notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
        old = nbformat.reads(before[f"notebooks/{script.stem}.ipynb"].decode(), as_version=4)
        assert [c.source for c in (jupytext.read(script), notebook) for c in c.cells if c.cell_type == "code"].count(
            cell
        ) == 2
        number = next(n for n, c in enumerate(old.cells) if c.cell_type == "code")
        old.cells[number].source = cell
        assert [c for n, c in enumerate(notebook.cells) if c.cell_type == "code"] == [
            c for c in old.cells if c.cell_type == "code"
        ]
    readme = (clone / "README.md").read_text("utf-8")
    assert f"github/someone/{NAME}/blob/v1.2/notebooks/01_theory.ipynb" in readme and "/blob/main/" not in readme


def test_the_set_up_cell_enters_the_folder_at_the_declared_tag(clone, tmp_path, monkeypatch):
    """On a stand-in for Colab, where the address leads to a clone in a folder of another name. pip is not run."""
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    git(clone, *who, "commit", "-q", "-m", "one")
    git(clone, "tag", "v1.2")
    (clone / "README.md").unlink()
    git(clone, *who, "commit", "-q", "-a", "-m", "two")
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setattr(sys, "executable", "true")
    settings = {f"url.{clone.as_uri()}.insteadOf": NEW, "protocol.file.allow": "always", "advice.detachedHead": "false"}
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
    for number, (key, value) in enumerate(settings.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    content = tmp_path / "content"
    content.mkdir()
    for _ in range(2):  # after "Restart session" the clone is still there
        monkeypatch.chdir(content)
        exec(set_repository.colab_cell(NEW, "v1.2"), {})
        assert Path.cwd() == content / NAME / "notebooks" and (content / NAME / "README.md").exists()
    exec(set_repository.colab_cell(NEW, "v1.2"), {})  # and so it does in the chapters' folder itself
    assert Path.cwd() == content / NAME / "notebooks"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(subprocess.CalledProcessError):  # not silently another branch
        exec(set_repository.colab_cell(NEW, "v9"), {})


@pytest.mark.parametrize("url", ["github.com/someone/course", "https://github.com/someone"])
def test_an_address_that_is_none(url, tmp_path, monkeypatch):
    shutil.copy(ROOT / "_config.yml", tmp_path)
    monkeypatch.setattr(set_repository, "ROOT", tmp_path)
    assert f"Nothing changed: '{url}' does not look like https://" in set_repository.main([url])


# --- executing ---------------------------------------------------------------------------------------------------

HEADER = (
    "# ---\n# jupyter:\n#   kernelspec:\n#     display_name: P\n#     language: python\n#     name: python3\n# ---\n\n"
)


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """Writes the .py half of a small chapter."""
    monkeypatch.setattr(execute, "NOTEBOOKS", tmp_path)

    def write(*cells: str) -> Path:
        script = tmp_path / "01_small.py"
        script.write_text(HEADER + "\n\n".join(f"# %%{cell}" for cell in cells) + "\n", "utf-8")
        return script

    return write


def test_executing_an_unknown_chapter(chapter):
    chapter("\n1")
    assert execute.main(["99_nothing"]) == "There is no chapter '99_nothing': expected one of 01_small."


def test_executing_writes_outputs_in_order_or_nothing(chapter, capsys):
    script = chapter("\nx = 6", " [markdown]\n# Text.", "\nprint(x * 7)")
    assert execute.main(["01_small"]) is None
    assert '"42\\n"' in script.with_suffix(".ipynb").read_text("utf-8")
    shown = capsys.readouterr().out
    assert shown.count("2/2") == 1 and "42" not in shown.splitlines()  # outputs stay in the notebook
    notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    assert execute.pair_differences(script, notebook) == []

    before = script.with_suffix(".ipynb").read_bytes()
    chapter("\nprint('first')", "\nassert 1 + 1 == 3, 'wrong'")
    assert "01_small failed and was not written" in execute.main(["01_small"])
    assert script.with_suffix(".ipynb").read_bytes() == before


def test_new_prose_needs_no_execution_and_new_code_does(chapter):
    script = chapter(" [markdown]\n# Text.", "\nprint(42)")
    notebook = execute.paired(script)
    notebook.cells[1].update(execution_count=1, outputs=[nbformat.v4.new_output("stream", text="42\n")])
    nbformat.write(notebook, script.with_suffix(".ipynb"))
    before = script.with_suffix(".ipynb").read_text("utf-8")
    chapter(" [markdown]\n# New text.", "\nprint(42)")
    assert execute.main(["--text"]) is None
    assert script.with_suffix(".ipynb").read_text("utf-8") == before.replace("Text.", "New text.")
    chapter(" [markdown]\n# New text.", "\nprint(43)")
    assert "Execute the chapter" in execute.main(["--text", "01_small"])


def test_a_kind_folds_its_cell_in_the_book_in_jupyterlab_and_in_colab(chapter):
    kinds = ("check", "plumbing", "solution", "exercise")
    cells = execute.paired(chapter(*(f' tags=["{kind}"]\n1' for kind in kinds), "\n1")).cells
    hidden = {"source_hidden": True}
    folded = [{"tags": [kind, "hide-input"], "jupyter": hidden, "cellView": "form"} for kind in ("check", "plumbing")]
    folded += [{"tags": ["solution", "hide-cell"], "jupyter": hidden | {"outputs_hidden": True}, "cellView": "form"}]
    assert [cell.metadata for cell in cells] == [*folded, {"tags": ["exercise"]}, {}]


def test_pieces_of_a_stream_are_joined():
    def stream(name, text):
        return nbformat.v4.new_output("stream", name=name, text=text)

    picture = nbformat.v4.new_output("display_data")
    outputs = [stream("stdout", "a"), stream("stdout", "b"), picture, stream("stdout", "c"), stream("stderr", "d")]
    assert [output.get("text") for output in execute.merged(outputs)] == ["ab", None, "c", "d"]


# --- checking ----------------------------------------------------------------------------------------------------


def test_each_hygiene_check_can_fail(tmp_path):
    (tmp_path / ".gitignore").write_text("*.log\n")
    git(tmp_path, "init", "-q")
    planted = {
        "white space": ("a.md", "a line \n"),
        "no large files": ("a.bin", "0" * (2 * 2**20 + 1)),
        "no build output": ("a.log", ""),
        "no machine's paths": ("b.md", "in /" + "home/me"),
        "no registry's hosts": ("c.md", "from https://pypi" + ".org/simple"),
    }
    for name, (file, text) in planted.items():
        command = ["bash", "-c", check.CHECKS[name]]
        assert subprocess.run(command, cwd=tmp_path).returncode == 0, name
        (tmp_path / file).write_text(text)
        git(tmp_path, "add", "--force", file)
        assert subprocess.run(command, cwd=tmp_path).returncode != 0, name


def test_lines_of_code_are_counted():
    source = '"""One.\n\nTwo."""\n\nimport os  # a word\n\n\n'
    source += 'def f():\n    """Three."""\n    # why\n    return (\n        1\n    )\n'
    assert check.code_lines(source) == 5


# --- the book's extensions ---------------------------------------------------------------------------------------


def test_a_film_becomes_a_gif_with_the_same_frames_and_length(tmp_path):
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (42, 3), np.uint8)
    frames = [palette[rng.integers(0, 42, (12, 20))] for _ in range(7)]
    images = [Image.fromarray(frame) for frame in frames]
    durations = [1000 / 15] * 6 + [1000 / 15 + 400]
    images[-1].save(
        tmp_path / "film.png", save_all=True, default_image=True, append_images=images, duration=durations
    )  # fmt: skip
    film_to_gif(tmp_path / "film.png", tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 7 and film.info["loop"] == 0
        total = 0
        for number, frame in enumerate(frames):
            film.seek(number)
            total += film.info["duration"]
            np.testing.assert_array_equal(np.asarray(film.convert("RGB")), frame)
    assert abs(total - sum(durations)) <= 10


@pytest.mark.parametrize(
    "tex, expected",
    [
        (r"f'(z)", "<mrow><mi>f</mi><mo lspace='0' rspace='0'>′</mo></mrow>"),  # ours: the sign is raised already
        (r"\widetilde{x}", "<mo stretchy='false'>˜</mo>"),
        (r"a < b", "<mo>&lt;</mo>"),  # from here on math-core's: what the book's formulas take for granted
        (r"\mathrm{KL}(q)", "<mi>KL</mi>"),
        (r"\mathbb{E}\,\mathbf{x}", "<mi>𝔼</mi><mspace width='0.16666667em'/><mi>𝐱</mi>"),
        (r"x \log q", "<mi>x</mi><mspace width='0.1667em'/>"),  # a function keeps its distance
        (r"a_{k+1}", "<mo lspace='0' rspace='0'>+</mo>"),  # no space within a subscript
        (r"= \sum_i x_i", "<mo lspace='0'>∑</mo>"),
    ],
)
def test_formulas_are_what_browsers_lay_out(tex, expected):
    assert expected.replace("'", '"') in mathml(tex)


def test_formulas_can_be_said_in_a_line():
    assert plain_text(r"\frac{y}{1 - y}, \sqrt{n}") == "y/(1−y), √(n)"
    assert plain_text(r"\mathbb{E}[(z - \mu)^3] / \sigma_j^2 < 1") == "𝔼[(z − μ)^3]/σ_j^2 < 1"
    assert plain_text(r"\mathbb E[\log \frac1k \sum_i w_i]") == "𝔼[log 1/k∑_i w_i]"


def test_the_sign_behind_a_formula_stays_with_it():
    formulas = [nodes.math("", tex) for tex in ("x", "y", "z")]
    between = [nodes.Text("), and "), nodes.Text(" or ")]
    document = nodes.paragraph("", "", formulas[0], between[0], formulas[1], between[1], formulas[2], nodes.Text("."))
    keep_signs(None, document, "page")
    assert document.astext() == "x), and y or z."
    assert [node.astext() for node in document.findall(nodes.inline)] == ["x),", "z."]
    assert len(list(document.findall(nodes.math))) == 3


def test_a_formula_nobody_can_read_stops_the_build():
    with pytest.raises(ValueError, match=r'Unknown command "\\sigmma".*in the formula'):
        mathml(r"\sigmma^2")


def test_the_style_sheet_keeps_what_a_page_can_use():
    css = """
    @charset "utf-8"; html { color: red } .used, .gone { color: green } .gone > p { color: blue }
    #used:not(.gone, :is(.gone)) { top: 0 } @media print { .gone { top: 1px } } @media screen { .used { top: 2px } }
    @font-face { font-family: F; src: url(f.woff2) } @keyframes turn { to { top: 3px } } /* .gone { a: b } */
    """
    kept = purge(css, {"used", "fa"})
    assert "red" in kept and "green" in kept and "top: 0" in kept and "2px" in kept and "3px" in kept
    assert "blue" not in kept and "1px" not in kept and "a: b" not in kept and "font-family: F" in kept


def test_the_glossary_is_read_as_plain_text(tmp_path):
    page = tmp_path / "glossary.md"
    page.write_text(
        "# Glossary\n\n```{glossary}\n:sorted:\n\nKL term\n  Part of the {term}`ELBO`, for $z \\sim q$.\n\n"
        "prior\nbelief\n  Before `x`,\n  *any* {term}`data <datum>`.\n```\n",
        "utf-8",
    )
    before = "Before x, any data."
    assert read_glossary(page) == {"KL term": "Part of the ELBO, for z ∼ q.", "prior": before, "belief": before}


def test_terms_are_found_as_words():
    terms = ["prior", "nat", "KL term", "importance weight", "ELBO", "importance"]
    found = [match[0] for match in pattern_for(terms).finditer(
        "Priors cost nats: a natural, a-prior, the kl term, the KL term and\nimportance weights of an ELBO, elbo."
    )]  # fmt: skip
    assert found == ["Priors", "nats", "KL term", "importance weights", "ELBO"]


def test_a_chapter_that_does_not_say_what_it_took_is_refused(tmp_path):
    chapter = tmp_path / "09_silent.ipynb"
    chapter.write_text('{"cells": [{"cell_type": "markdown", "source": ["# Silent"]}]}', "utf-8")
    with pytest.raises(ValueError, match=r"09_silent\.ipynb: expected a cell that prints"):
        read_chapter(chapter)


@pytest.mark.slow
def test_a_build_repeats_the_warnings_of_pages_that_did_not_change(tmp_path):
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "book_extension.py", tmp_path / "tools")
    (tmp_path / "index.md").write_text("# Title\n")
    (tmp_path / "other.md").write_text("# Other\n\n```{nonsense}\n```\n")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters:\n- file: other\n")
    sphinx = {"extra_extensions": ["sphinx.ext.autodoc"], "local_extensions": {"book_extension": "tools"}}
    (tmp_path / "_config.yml").write_text(yaml.safe_dump({"only_build_toc_files": True, "sphinx": sphinx}))
    book = [
        sys.executable,
        Path(sys.executable).with_name("jupyter-book"),
        "build",
        tmp_path,
        "-W",
        "--keep-going",
        "-q",
    ]
    for _ in range(2):
        done = subprocess.run(book, capture_output=True, text=True)
        assert done.returncode != 0 and "nonsense" in done.stderr


@pytest.mark.slow
def test_tests_of_one_group_run_in_one_process(tmp_path):
    """The book is built once, whatever number of processes: two builds at a time would read each other's halves."""
    (tmp_path / "test_group.py").write_text(
        "import os, pytest\n\n"
        "@pytest.mark.xdist_group('pages')\n@pytest.mark.parametrize('i', range(8))\n"
        "def test_it(i, tmp_path):\n    print(os.environ['PYTEST_XDIST_WORKER'])\n"
    )
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "8 passed" in done.stdout, done.stdout
    assert len(set(re.findall(r"\[(gw\d)\]", done.stdout))) == 1, done.stdout
