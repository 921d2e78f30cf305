"""The labs of the course: sources in otter's form, nothing secret in what students get, grades that can be trusted.

What runs the labs is `make grade-check`. These tests read the sources; the last ones run otter, where `make labs` has
made its environment.
"""

import ast
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
LABS = ROOT / "course/labs"
PYTHON = ROOT / ".venv-labs/bin/python"

IDIOMS = ("import ", "from ", "with tf.GradientTape() as tape:")

spec = importlib.util.spec_from_file_location("build_labs", LABS / "build.py")  # the decks have a build.py too
build_labs = sys.modules["build_labs"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_labs)

SOURCES = build_labs.sources()
each_lab = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
with_otter = pytest.mark.skipif(not PYTHON.exists(), reason="needs .venv-labs, which `make labs` makes")


@dataclass
class Part:
    """A question of a lab: what stands in its solution, between that and its tests, and in these."""

    manual: bool
    points: int
    solution: list = field(default_factory=list)
    checks: list = field(default_factory=list)
    hidden: list = field(default_factory=list)


def parsed(notebook):
    """The questions by name, and all cells that students see, solutions still in them.

    Raises:
        AssertionError: the raw cells do not nest as otter wants them.
    """
    found, seen, question, block = {}, [], None, None
    for cell in notebook.cells:
        if cell.cell_type == "raw":
            head, *body = cell.source.splitlines()
            verb, kind = re.fullmatch(r"# (BEGIN|END) (QUESTION|SOLUTION|TESTS)", head).groups()
            if kind == "QUESTION":
                assert (question is None) == (verb == "BEGIN") and block is None, head
                if verb == "BEGIN":
                    values = dict(line.split(": ") for line in body)
                    question = Part(values.get("manual") == "true", int(values["points"]))
                    assert values["name"] not in found
                    found[values["name"]] = question
                else:
                    question = None
            else:
                assert question is not None and block == (None if verb == "BEGIN" else kind), head
                block = kind if verb == "BEGIN" else None
        elif block == "TESTS":
            assert cell.cell_type == "code"
            question.hidden.append(cell)
        else:
            seen.append(cell)
            if block == "SOLUTION":
                question.solution.append(cell)
            elif question is not None and question.solution and cell.cell_type == "code":
                question.checks.append(cell)
    assert question is None and block is None, "a block is not ended"
    return found, seen


def split(cell):
    """What of a cell with a solution is secret, and what students see, both as lines."""
    if cell.cell_type == "markdown":
        return cell.source.splitlines(), []
    secret, seen, inside = [], [], False
    for line in cell.source.splitlines():
        mark = line.strip()
        if mark in ("# BEGIN SOLUTION", "# END SOLUTION"):
            assert inside == (mark == "# END SOLUTION"), mark
            inside = not inside
        elif inside or mark.endswith("# SOLUTION"):
            secret.append(line)
        else:
            seen.append(line)
    assert not inside, "# BEGIN SOLUTION without its end"
    return secret, seen


def secrets(source):
    """The lines of hidden tests and solutions, but those that say nothing: short ones, imports and idioms."""
    found, lines = parsed(jupytext.read(source))[0], []
    for question in found.values():
        lines += [line for cell in question.hidden for line in cell.source.splitlines()]
        lines += [line for cell in question.solution for line in split(cell)[0]]
    lines = [line.strip() for line in lines]
    return {line for line in lines if len(line) > 12 and not line.startswith(IDIOMS)}


def leaks(source, text):
    """The secret lines of a lab that stand in a text: the longer ones anywhere, the others as a line of their own."""
    own_lines = {line.strip() for line in text.splitlines()}
    return sorted(line for line in secrets(source) if line in own_lines or (len(line) > 24 and line in text))


@each_lab
def test_a_question_has_a_stub_a_check_that_helps_and_hidden_tests_that_decide(source):
    found, _ = parsed(jupytext.read(source))
    for name, question in found.items():
        assert question.solution, name
        if question.manual:
            assert not question.hidden, f"{name} is marked by a person"
            continue
        assert question.checks and question.hidden, name
        functions = []
        for cell in question.hidden:
            first, _, rest = cell.source.partition("\n")
            assert first == "# HIDDEN", f"{name}: a test of a lab is hidden; what students see is a cell"
            (function,) = ast.parse(rest).body
            functions.append(function.name)
            assert any(isinstance(node, ast.Assert) and node.msg for node in ast.walk(function)), function.name
        assert len(functions) == len(set(functions)), f"{name}: of two tests with one name otter keeps one"


@each_lab
def test_points_and_minutes_are_those_of_the_table(source):
    notebook = jupytext.read(source)
    found, seen = parsed(notebook)
    text = "\n".join(cell.source for cell in seen if cell.cell_type == "markdown")
    table = re.findall(r"^\| (\d)\. .* \| (\d+) \| (\d+) \|$", text, re.M)
    heads = re.findall(r"^## Question (\d)\. .* \((\d+) min, (\d+) points?\)$", text, re.M)
    assert heads == table
    assert [int(points) for *_, points in heads] == [question.points for question in found.values()]
    assert sum(question.points for question in found.values()) == 20
    (reading,) = re.findall(r"^\| Read .* \| (\d+) \| +\|$", text, re.M)
    assert int(reading) + sum(int(minutes) for _, minutes, _ in heads) == 90
    assert 5 <= len(found) <= 7


@each_lab
def test_a_name_that_a_hidden_test_takes_has_one_meaning(source):
    # Where a program has dropped a notebook's metadata otter runs all tests at the end.
    found, seen = parsed(jupytext.read(source))
    bound = []
    for cell in seen:
        if cell.cell_type == "code":
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    bound.append(node.name)
                    continue
                names = [one for one in ast.walk(node) if isinstance(one, ast.Name)]
                bound += {one.id for one in names if isinstance(one.ctx, ast.Store)}
    for question in found.values():
        for cell in question.hidden:
            (function,) = ast.parse(cell.source).body
            for argument in function.args.args:
                assert bound.count(argument.arg) == 1, f"{argument.arg} in {function.name}"


@each_lab
def test_code_fits_into_a_cell(source):
    _, seen = parsed(jupytext.read(source))
    long = [line for cell in seen if cell.cell_type == "code" for line in cell.source.splitlines() if len(line) > 76]
    assert not long


@each_lab
def test_a_source_holds_no_secret_in_its_public_part(source):
    found, seen = parsed(jupytext.read(source))
    with_solutions = [cell for question in found.values() for cell in question.solution]
    public = [cell.source for cell in seen if not any(cell is other for other in with_solutions)]
    public += ["\n".join(split(cell)[1]) for cell in with_solutions]
    assert len(secrets(source)) > 20
    assert leaks(source, "\n".join(public)) == []


@each_lab
def test_a_stub_is_left_where_a_solution_was(source):
    for name, question in parsed(jupytext.read(source))[0].items():
        if not question.manual:
            (cell, *_) = (cell for cell in question.solution if cell.cell_type == "code")
            assert split(cell)[0], f"{name}: nothing in its solution is marked"


def test_the_labs_share_their_helper_and_their_last_words():
    helpers, last_words = set(), set()
    for source in SOURCES:
        cells = jupytext.read(source).cells
        trees = [ast.parse(cell.source) for cell in cells if cell.cell_type == "code"]
        functions = [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
        helpers.add(ast.unparse(next(node for node in functions if node.name == "compare")))
        last_words.add(cells[-1].source)
    assert len(helpers) == len(last_words) == 1
    assert "## Hand in" in last_words.pop()


@each_lab
def test_a_slip_stands_once_in_a_solution_and_names_its_question(source):
    slips = tomllib.loads((LABS / f"{source.stem.replace('lab', 'slips')}.toml").read_text("utf-8"))["slip"]
    assert len(slips) >= 4
    notebook = jupytext.read(source)
    found, seen = parsed(notebook)
    assert len({slip["name"] for slip in slips}) == len(slips)
    for slip in slips:
        assert slip.keys() == {"name", "find", "put", "question"}
        question = found[slip["question"]]
        assert not question.manual
        code = [cell.source for cell in seen if cell.cell_type == "code"]
        assert sum(one.count(slip["find"]) for one in code) == 1, slip["name"]
        secret = "\n".join("\n".join(split(cell)[0]) for part in found.values() for cell in part.solution)
        assert slip["find"] in secret and slip["put"] != slip["find"], slip["name"]
        (planted,) = (one.replace(slip["find"], slip["put"]) for one in code if slip["find"] in one)
        ast.parse(planted)


def test_the_set_up_cell_and_the_links_lead_to_the_declared_address():
    address, branch = build_labs.declared(ROOT)
    for source in SOURCES:
        assert address not in source.read_text("utf-8"), "a fork would have to change it"
        notebook = build_labs.master(source)
        config, title, set_up, *others = notebook.cells
        assert config.source.startswith("# ASSIGNMENT CONFIG") and title.source.startswith("# Lab ")
        assert f"--branch={branch} {address}" in set_up.source
        for text in (cell.source for cell in [title, *others] if cell.cell_type == "markdown"):
            for link in re.findall(r"\]\(([^)]*)\)", text):
                assert link.startswith(f"{address}/blob/{branch}/"), link
                assert (ROOT / link.removeprefix(f"{address}/blob/{branch}/")).exists(), link


def run(code, *arguments):
    """What a program prints that runs in the labs' environment, beside their scripts."""
    command = [PYTHON, "-c", f"import sys\nsys.path.insert(0, {str(LABS)!r})\n{code}", *map(str, arguments)]
    done = subprocess.run(command, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


BUILD = """
from pathlib import Path
from build import build
*sources, target = map(Path, sys.argv[1:])
for source in sources:
    build(source, target)
"""


@with_otter
def test_students_get_no_solution_and_no_hidden_test(tmp_path):
    run(BUILD, *SOURCES, tmp_path)
    for source in SOURCES:
        text = (tmp_path / "student" / f"{source.stem}.ipynb").read_text("utf-8")
        notebook = nbformat.reads(text, as_version=4)
        assert leaks(source, "\n".join(cell.source for cell in notebook.cells)) == []
        assert notebook.metadata["otter"] == {"assignment_name": source.stem}  # otter keeps tests in the metadata
        assert "otter" not in "".join(cell.source for cell in notebook.cells), "a student need not have otter"
        assert not any(cell.get("outputs") for cell in notebook.cells)
        beside = {path.name for path in build_labs.modules(source)}
        with zipfile.ZipFile(tmp_path / "student" / f"{source.stem}.zip") as archive:
            names = {f"{source.stem}/{name}" for name in beside | {f"{source.stem}.ipynb"}}
            assert set(archive.namelist()) == names
            assert archive.read(f"{source.stem}/{source.stem}.ipynb").decode() == text
        files = {path.name for path in (tmp_path / "student").glob(f"{source.stem}*")}
        assert files == beside | {f"{source.stem}.ipynb", f"{source.stem}.zip"}
        reference = nbformat.read(tmp_path / "lecturer" / f"{source.stem}.ipynb", as_version=4)
        assert leaks(source, "\n".join(cell.source for cell in reference.cells)), "the lecturer gets the solutions"


TINY = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 8. Two sums

# %% [raw]
# # BEGIN QUESTION
# name: q1
# points: 2

# %% [markdown]
# ## Question 1

# %% [raw]
# # BEGIN SOLUTION

# %%
def twice(number):
    # BEGIN SOLUTION
    return 2 * number
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
print("✓ four" if twice(2) == 4 else "✗ not four")

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_six(twice):
    assert twice(3) == 6, "two threes are six"

# %%
# HIDDEN
def test_zero(twice):
    assert twice(0) == 0, "nothing twice is nothing"

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q2
# points: 1
# manual: true

# %% [markdown]
# ## Question 2
# Why?

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# Because of the definition of a sum.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## Hand in
"""
GRADE = """
import json
from pathlib import Path
from build import build
from grade import grade, handed_in, written
source, folder, target = map(Path, sys.argv[1:])
build(source, target)
for half in ("student", "lecturer"):
    (folder / f"{half}.ipynb").write_text((target / half / "lab8.ipynb").read_text("utf-8"), "utf-8")
text = (folder / "lecturer.ipynb").read_text("utf-8")
for name, find, put in (
    ("half right", "2 * number", "6"),
    ("endless", "2 * number", "[0 for _ in iter(int, 1)]"),
    ("dead", "2 * number", "__import__('os')._exit(1)"),
    ("raising", "2 * number", "2 / 0"),
    ("another lab", '"lab8"', '"lab9"'),
    ("another kernel", '"name": "python3"', '"name": "my-own"'),
):
    assert find in text, name
    (folder / f"{name}.ipynb").write_text(text.replace(find, put), "utf-8")
graded = {}
for path in handed_in(folder):
    seconds = 5 if path.stem == "endless" else 120
    graded[path.name] = vars(grade(path, target / "grader/lab8-autograder.zip", seconds))
answers = [written(folder / f"{name}.ipynb", folder / "student.ipynb") for name in ("lecturer", "student", "essay")]
print(json.dumps([graded, answers]))
"""


@with_otter
@pytest.mark.slow
def test_every_file_gets_a_grade_or_a_reason(tmp_path):
    (source := tmp_path / "lab8.py").write_text(TINY, "utf-8")
    (folder := tmp_path / "handed in").mkdir()
    (folder / ".hidden.ipynb").write_text("a file that a program keeps for itself", "utf-8")
    (folder / "essay.ipynb").write_text("Dear professor", "utf-8")
    graded, answers = json.loads(run(GRADE, source, folder, tmp_path / "made"))
    assert graded.keys() == {
        *(f"{name}.ipynb" for name in ("another kernel", "another lab", "dead", "endless", "essay", "half right")),
        *(f"{name}.ipynb" for name in ("lecturer", "raising", "student")),
    }
    everything = {"scores": {"q1": 2}, "note": "", "ticks": 1, "crosses": 0}
    assert graded["lecturer.ipynb"] == graded["another kernel.ipynb"] == everything
    assert graded["student.ipynb"]["scores"] == {"q1": 0} and graded["student.ipynb"]["crosses"] == 1
    half = graded["half right.ipynb"]
    assert half["scores"] == {"q1": 1} and half["note"] == "q1: nothing twice is nothing"
    assert graded["raising.ipynb"]["note"].startswith("a cell raised ZeroDivisionError: division by zero; q1: ")
    for name, reason in (
        ("essay", "no notebook: NotJSONError"),
        ("endless", "ran past 5 s"),
        ("dead", "crashed: .*kernel died.*"),
        ("another lab", "this is lab9, not lab8"),
    ):
        assert graded[f"{name}.ipynb"]["scores"] == {}
        assert re.fullmatch(reason, graded[f"{name}.ipynb"]["note"], re.I), graded[f"{name}.ipynb"]["note"]
    lecturer, student, essay = (" ".join(answer.split()) for answer in answers)
    assert lecturer == "## Question 2 Because of the definition of a sum."
    assert (student, essay) == ("## Question 2", "no notebook: NotJSONError")
