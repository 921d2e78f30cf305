"""What every chapter must be, read from its files: nbval proves that the outputs are reproduced."""

import base64
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))
from execute import FOLDED, chapters, pair_differences, paired  # noqa: E402
from page_measures import MOST_WORDS, kind, words  # noqa: E402
from set_repository import colab_cell, declared  # noqa: E402

CHAPTERS = chapters()
KINDS = {"check", "plumbing", "exercise", "solution"}
# Beside the kinds. `exact`: every digit is the same on any machine; `hide-input` stands on the Colab cell alone.
TAGS = KINDS | {"exact", "nbval-ignore-output", "nbval-skip", "hide-input"}

LARGEST_PAGE = {"05_animations": 2e6}  # bytes; 1.5 MB for the others
MOST_IGNORED = 0.5  # share of code cells whose output nbval may leave uncompared
WIDEST = 76  # characters of a code line

each_chapter = pytest.mark.parametrize("script", CHAPTERS, ids=lambda path: path.stem)


def read(script: Path) -> nbformat.NotebookNode:
    return nbformat.read(script.with_suffix(".ipynb"), as_version=4)


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_with(notebook, mime: str):
    for cell in code_cells(notebook):
        if any(mime in output.get("data", {}) for output in cell.outputs):
            yield cell


def tags_of(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def unstable_lines(cell) -> list[str]:
    """What nbval compares although its digits may differ on another machine: lines with a decimal number.

    Not those of `vh.check`, of which nbval compares the words alone, nor those of a cell that says they are exact.
    """
    if {"nbval-ignore-output", "nbval-skip", "exact"} & set(tags_of(cell)):
        return []
    texts = [output.get("text", "") for output in cell.outputs]
    texts += [
        output.get("data", {}).get(mime, "") for output in cell.outputs for mime in ("text/plain", "text/markdown")
    ]
    lines = "\n".join(texts).splitlines()
    # A figure's size is what its code says.
    return [line for line in lines if re.search(r"\d\.\d", line) and not line.startswith(("✓", "<Figure size "))]


@each_chapter
def test_halves_of_the_pair_agree(script):
    assert pair_differences(script, read(script)) == [], f"run: make notebooks NB={script.stem}"


@each_chapter
def test_pair_check_notices_a_changed_half(script):
    """The check above can fail: on a changed source, a changed tag and a missing cell."""
    for change in ("source", "tag", "cell"):
        notebook = read(script)
        cell = code_cells(notebook)[-1]
        if change == "source":
            cell.source += "\n# changed"
        elif change == "tag":
            cell.metadata["tags"] = ["nbval-skip"]
        else:
            notebook.cells.remove(cell)
        assert len(pair_differences(script, notebook)) == 1


@each_chapter
def test_valid_notebook_with_the_pairing_written_down(script):
    notebook = read(script)
    nbformat.validate(notebook)
    assert notebook.metadata.jupytext.formats == "ipynb,py:percent"
    assert notebook.metadata.kernelspec.name == "python3"


@each_chapter
def test_outputs_are_whole_and_in_order(script):
    """One run from the first cell to the last, nothing left out, nothing on stderr."""
    notebook = read(script)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", f"{cell.source}\n{output.get('text')}"
            assert "\r" not in output.get("text", ""), "a progress bar was committed"


@each_chapter
def test_plain_markdown_only(script):
    """Colab and GitHub know neither MyST roles nor directives."""
    for cell in read(script).cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"`[^`\n]+`", "", cell.source)  # inline code may show anything
            assert not re.search(r"\{[a-z:-]+\}`", cell.source), f"a MyST role: {cell.source[:80]}"
            assert not re.search(r"^(```|~~~|:::)+\s*\{", cell.source, re.M), f"a MyST directive: {cell.source[:80]}"
            assert not re.search(r"^\([\w-]+\)=\s*$", text, re.M), f"a MyST target: {cell.source[:80]}"
            assert not re.search(r"^\s*(\$\$)?\\begin\{(align|equation)\*?\}", text, re.M), "use $$ with \\tag"


@each_chapter
def test_pictures_have_alt_text_and_alt_texts_a_picture(script):
    for mime in ("image/png", "image/gif", "image/svg+xml"):
        for cell in outputs_with(read(script), mime):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) >= 40, f"no useful alt text (mystnb.image.alt) for:\n{cell.source}"
    for cell in code_cells(read(script)):  # executed where matplotlib draws nothing inline, it would have none
        if "image" in cell.metadata.get("mystnb", {}):
            shown = {kind for output in cell.outputs for kind in output.get("data", {})}
            assert shown & {"image/png", "image/gif", "image/svg+xml", "text/html"}, f"no picture:\n{cell.source}"
    for cell in read(script).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"!\[\s*\]\(", cell.source)


def test_committed_films_are_what_their_page_says():
    """Frames, length and size of each film in chapter 5, decoded from the committed outputs."""
    notebook = read(ROOT / "notebooks" / "05_animations.py")
    (listed,) = (cell.source for cell in code_cells(notebook) if cell.source.startswith("expected = {"))
    expected = eval(listed[len("expected = ") : listed.index("}") + 1])
    found = {}
    for cell in outputs_with(notebook, "image/png"):
        if name := re.search(r'films / "(\w+)\.png"', cell.source):
            (encoded,) = (o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {}))
            found[name[1]] = base64.b64decode(encoded)
    assert found.keys() == expected.keys()
    for name, data in found.items():
        count, seconds = expected[name]
        assert len(data) <= 1.5e6
        with Image.open(io.BytesIO(data)) as film:
            assert film.default_image and film.n_frames - 1 == count, name
            still = np.asarray(film.convert("RGB"))
            milliseconds = 0
            for number in range(1, count + 1):
                film.seek(number)
                milliseconds += film.info["duration"]
            assert milliseconds == pytest.approx(1000 * seconds, abs=2)
            np.testing.assert_array_equal(np.asarray(film.convert("RGB")), still)  # the last frame is the still picture
            assert film.info["loop"] == 0


@each_chapter
def test_colab_cell_installs_from_the_configured_repository(script):
    cells = read(script).cells
    first = next(cell for cell in cells if cell.cell_type == "code")
    assert first.source == colab_cell(*declared()), "run: make repository"
    assert first.metadata.tags == ["hide-input", "nbval-skip"]  # folded on the page: it does nothing there
    assert [cell for cell in cells if "nbval-skip" in tags_of(cell)] == [first]
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith(f"# {int(script.stem[:2])}. ")


@each_chapter
def test_tags_are_known_and_few_cells_go_uncompared(script):
    written = paired(script)  # with what follows from the kinds
    following = {tag for tag, _ in FOLDED.values()}
    for number, cell in enumerate(code_cells(written)):
        tags = tags_of(cell)
        assert set(tags) <= TAGS | following and len(tags) == len(set(tags)), tags
        assert len(KINDS & set(tags)) <= 1, f"a cell has one kind: {tags}"
        assert number == 0 or following.isdisjoint(tags) or set(FOLDED) & set(tags), f"no kind: {tags}"
    cells = code_cells(read(script))
    ignored = [cell for cell in cells if "nbval-ignore-output" in tags_of(cell)]
    assert len(ignored) / len(cells) <= MOST_IGNORED
    # What goes uncompared must have something to show: else the tag hides a cell for nothing.
    assert all(cell.outputs for cell in ignored), [cell.source[:60] for cell in ignored if not cell.outputs]


@each_chapter
def test_compared_outputs_are_the_same_on_any_machine(script):
    found = [(cell.source[:60], line) for cell in code_cells(read(script)) for line in unstable_lines(cell)]
    assert found == [], "round it to whole numbers, say it with vh.check, or tag the cell exact or nbval-ignore-output"


@pytest.mark.parametrize("mime", ["text", "text/plain", "text/markdown"])
@pytest.mark.parametrize(
    "text, tags, refused",
    [
        ("ELBO -145.80 nats", [], True),
        ("fine\n| ELBO | 3.5 |", ["plumbing", "hide-input"], True),
        ("1024 images. 3 of them", [], False),
        ("✓ the bound holds: 0.3501 ≈ 0.3499", ["check"], False),
        ("0.5", ["exact"], False),
        ("0.5", ["nbval-ignore-output"], False),
    ],
)
def test_an_unstable_output_is_noticed(mime, text, tags, refused):
    kind = (
        {"output_type": "stream", "text": text}
        if mime == "text"
        else {"output_type": "display_data", "data": {mime: text}}
    )
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output(**kind)], metadata={"tags": tags})
    assert bool(unstable_lines(cell)) == refused


@each_chapter
def test_code_is_as_narrow_as_its_column(script):
    """Read on a phone, and beside the text; Colab's cell, which a book's name may widen, is folded."""
    lines = [line for cell in code_cells(read(script))[1:] for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > WIDEST] == []


@each_chapter
def test_a_chapter_has_its_parts(script):
    text = "\n".join(cell.source for cell in read(script).cells if cell.cell_type == "markdown")
    for heading in ("What you will be able to do", "What we measured", "In this chapter you have seen", "Exercises"):
        assert heading in text
    assert "What to read next" in text
    assert text.count("<details>") == text.count("</details>")
    assert sum("assert" in cell.source or "vh.check(" in cell.source for cell in code_cells(read(script))) >= 5


@each_chapter
def test_a_page_is_short_enough_to_be_read(script):
    assert words(script) <= MOST_WORDS[kind(script)]


@each_chapter
def test_exercises_are_cells_with_their_solutions(script):
    """Student copies are made of them: each says its minutes and kind, and its solution is folded."""
    cells = read(script).cells
    exercises, by_code = 0, 0
    for position, cell in enumerate(cells):
        if cell.cell_type == "markdown" and "exercise" in tags_of(cell):
            exercises += 1
            stated = re.match(r"\*\*(\d+)\. [^*]+\*\* \(\d+ min, (by hand|by code|open)\)", cell.source)
            assert stated and int(stated[1]) == exercises, cell.source[:80]
            following = cells[position + 1]
            if stated[2] == "by code":
                by_code += 1
                assert following.cell_type == "code" and "exercise" in tags_of(following), "a stub comes next"
                following = cells[position + 2]
            assert following.cell_type == "markdown" and "solution" in tags_of(following), cell.source[:80]
            assert following.source.startswith("<details>") and following.source.rstrip().endswith("</details>")
    few, few_by_code = (6, 2) if kind(script) == "core" else (2, 0)
    assert exercises >= few and by_code >= few_by_code
    tagged = [cell for cell in cells if {"exercise", "solution"} & set(tags_of(cell))]
    first = cells.index(tagged[0])
    assert cells[first : first + len(tagged)] == tagged, "nothing else stands among the exercises"


@each_chapter
def test_equation_numbers_belong_to_the_chapter_and_are_unique(script):
    text = "\n".join(cell.source for cell in read(script).cells if cell.cell_type == "markdown")
    tags = re.findall(r"\\tag\{([^}]*)\}", text)
    assert len(tags) == len(set(tags)) and all(tag.startswith(f"{int(script.stem[:2])}.") for tag in tags)


@each_chapter
def test_page_size(script):
    assert script.with_suffix(".ipynb").stat().st_size <= LARGEST_PAGE.get(script.stem, 1.5 * 2**20)


@each_chapter
def test_chapter_is_in_the_table_of_contents(script):
    assert f"notebooks/{script.stem}" in (ROOT / "_toc.yml").read_text(encoding="utf-8")


# --- the proof itself can fail -----------------------------------------------------------------------------------


def nbval(folder: Path) -> subprocess.CompletedProcess:
    options = ["--nbval", "--nbval-current-env", "--nbval-sanitize-with=nbval_sanitize.cfg", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, "small.ipynb"], cwd=folder, capture_output=True, text=True
    )


@pytest.fixture
def small_notebook(tmp_path):
    """One printed verdict, one uncompared number, one picture, as `make notebooks` would have left them."""
    for name in ("conftest.py", "nbval_sanitize.cfg"):
        shutil.copy(ROOT / "notebooks" / name, tmp_path)

    def write(verdict="closed form and draws agree", number="0.123", claim="assert 1 + 1 == 2") -> Path:
        def cell(source, text, tags=()):
            output = nbformat.v4.new_output("stream", text=text + "\n")
            return nbformat.v4.new_code_cell(source, outputs=[output], metadata={"tags": list(tags)})

        random = "import random; print(random.random())"
        cells = [
            cell(f"{claim}; print('closed form and draws agree')", verdict),
            cell(random, number, ["nbval-ignore-output"]),
            nbformat.v4.new_code_cell(
                "from IPython.display import display; display({'image/gif': 'AAAA'}, raw=True)",
                outputs=[nbformat.v4.new_output("display_data", {"image/gif": "BBBB"})],
            ),
        ]
        for number, one in enumerate(cells, start=1):
            one.execution_count = number
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "small.ipynb")
        return tmp_path

    return write


@pytest.mark.slow
def test_nbval_accepts_what_was_reproduced(small_notebook):
    """In a kernel without ports, which another process could take before it does."""
    over_files = "from ipykernel.kernelapp import IPKernelApp; assert IPKernelApp.instance().transport == 'ipc'"
    done = nbval(small_notebook(claim=over_files))
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [{"verdict": "closed form and draws disagree"}, {"claim": "assert 1 + 1 == 3"}], ids=str
)
def test_nbval_notices(small_notebook, change):
    """A changed verdict in a committed output, and a claim that no longer holds."""
    done = nbval(small_notebook(**change))
    assert done.returncode == 1 and "FAILED small.ipynb::Cell 0" in done.stdout, done.stdout
