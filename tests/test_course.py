"""The plan of the course names what exists, and a fork of another name can run what the teaching page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))
import book_plan  # noqa: E402
import set_repository  # noqa: E402

SESSIONS = book_plan.plan()
NOTES = sorted((ROOT / "course" / "sessions").glob("*.md"))
CHAPTERS = book_plan.chapters()
CORE = range(1, 8)  # the chapters of which every section has its place in the course
each_session = pytest.mark.parametrize("number", range(1, len(SESSIONS) + 1))


def span(text: str) -> range:
    """The numbers of `4–6` or of `5`."""
    first, _, last = str(text).partition("–")
    return range(int(first), int(last or first) + 1)


# --- the plan ----------------------------------------------------------------------------------------------------


@each_session
def test_a_session_lasts_ninety_minutes(number):
    assert sum(row["minutes"] for row in SESSIONS[number - 1]["rows"]) == 90


def test_every_section_has_its_place():
    """And each section that the plan names exists."""
    sections = {section for number in CORE for section in CHAPTERS[number].sections}
    assert len(sections) > 50
    named = {one for session in SESSIONS for row in session["rows"] for one in row.get("sections", [])}
    named |= {one for session in SESSIONS for one in session.get("read", [])}
    assert named == sections
    assert {one for session in SESSIONS for goal in session["objectives"] for one in goal["sections"]} <= sections


@each_session
def test_each_objective_is_taught_and_tried(number):
    """Its tasks are exercises, questions of a quiz or questions of a lab, all of which exist."""
    for goal in SESSIONS[number - 1]["objectives"]:
        assert goal["sections"] and goal["tasks"], goal["text"]
        for task in goal["tasks"]:
            kind, where, *name = task.split()
            if kind == "exercise":
                chapter, _, exercise = where.partition(".")
                assert int(exercise) in CHAPTERS[int(chapter)].exercises, task
            elif kind == "quiz":
                assert name[0] in book_plan.quiz_ids(CHAPTERS[int(where)]), task
            else:
                assert kind == "lab" and name[0] in lab_questions(int(where)), task


def test_exercises_and_papers_exist():
    keys = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text("utf-8"), re.M))
    for session in SESSIONS:
        assert {paper["key"] for part in ("papers", "further") for paper in session.get(part, [])} <= keys
        assert session["homework"]
        for chapter, exercises in session["homework"].items():
            assert set(exercises) <= CHAPTERS[chapter].exercises.keys(), (session["title"], chapter)


def test_lectures_and_labs_take_turns():
    assert [session["with"] for session in SESSIONS] == [f"{kind} {n}" for n in range(1, 5) for kind in ("deck", "lab")]


@pytest.mark.parametrize("number", [1, 3, 5, 7])
def test_a_lecture_goes_through_its_deck(number):
    """Every slide once, in their order, in rows that last at least as long as the slides' notes say."""
    source = ROOT / "course" / "decks" / f"deck{SESSIONS[number - 1]['with'].removeprefix('deck ')}.md"
    slides = re.split(r"^#{1,2} ", source.read_text("utf-8"), flags=re.M)[1:]
    minutes = [int(re.search(r"^:::\{notes\} (\d+)$", slide, re.M)[1]) for slide in slides]
    rows = [row for row in SESSIONS[number - 1]["rows"] if "slides" in row]
    assert [slide for row in rows for slide in span(row["slides"])] == list(range(1, len(slides) + 1))
    for row in rows:
        needed = sum(minutes[slide - 1] for slide in span(row["slides"]))
        assert needed <= row["minutes"] <= needed + 5, (row["slides"], needed)


def lab_questions(number: int) -> dict[str, int]:
    """The minutes of each question of a lab, by name."""
    text = (ROOT / "course" / "labs" / f"lab{number}.py").read_text("utf-8")
    return {
        f"q{name}": int(minutes) for name, minutes in re.findall(r"^# ## Question (\d+)\. .*?\((\d+) min,", text, re.M)
    }


@pytest.mark.parametrize("number", [2, 4, 6, 8])
def test_a_lab_has_time_for_each_question(number):
    """Every question once, in their order, but for those that go home."""
    session, lab = SESSIONS[number - 1], number // 2
    questions = lab_questions(lab)
    rows = [row for row in session["rows"] if "questions" in row]
    done = [f"q{name}" for row in rows for name in span(row["questions"])]
    assert done + [task.split()[2] for task in session.get("home", [])] == list(questions)
    for row in rows:
        assert row["minutes"] >= sum(questions[f"q{name}"] for name in span(row["questions"])), row["what"]


@pytest.mark.parametrize("lab", range(1, 5))
def test_a_lab_has_twenty_points_as_the_teaching_page_says(lab):
    text = (ROOT / "course" / "labs" / f"lab{lab}.py").read_text("utf-8")
    assert sum(map(int, re.findall(r"^# points: (\d+)$", text, re.M))) == 20
    assert "**Labs**, 20 points each." in TEXT


def test_notes_are_short_and_name_what_exists():
    """A number with decimals, or of three digits or more, stands in the chapters; a slide that is named exists."""
    assert [path.name for path in NOTES] == [f"{number}.md" for number in range(1, len(SESSIONS) + 1)]
    sources = "".join(path.read_text("utf-8") for path in sorted((ROOT / "notebooks").glob("0[1-7]_*.py")))
    prose = "\n".join(re.findall("^# .*", sources, re.M))
    known = set(re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)", prose))
    texts = {path.name: path.read_text("utf-8") for path in NOTES}
    for name, text in texts.items():
        assert len(text.split()) <= 350 and "What usually goes wrong" in text and "Ask" in text, name
    decks = "".join(path.read_text("utf-8") for path in sorted((ROOT / "course" / "decks").glob("deck*.md")))
    named = [
        title
        for text in texts.values()
        for one in re.findall(r'slides? "([^.]+)"', text)
        for title in one.split('" and "')
    ]
    assert len(named) == 5 and [title for title in named if f"\n## {title}\n" not in decks] == []
    texts["plan.yml"] = "\n".join(row["what"] for session in SESSIONS for row in session["rows"])
    for name, text in texts.items():
        numbers = re.findall(r"(?<![\w.(])\d+\.\d+|\d{3,}", text)
        assert [number for number in numbers if number not in known] == [], name


# --- the teaching page, in a fork --------------------------------------------------------------------------------

OLD, BRANCH = set_repository.declared()
NEW = "https://example.org/someone/other-name"
# Run in the fork for real. The others are shown by `make -n`, and the scripts that they would call must be there: they
# install (`install`), fetch (`data`), take minutes (`test`, `notebooks`, `svg`, `decks`, `book`, `pdf`, `course`) or
# need the environment of the labs; each has tests of its own, and the workflows run them.
CHEAP = ("make student", "make solutions", "make quizzes", "make exam SEED", ".venv/bin/jupytext")


def commands(text: str) -> list[str]:
    """The commands of a page: lines of its blocks `text`, and `make …` within the text."""
    blocks = re.findall(r"^ *```text\n(.*?)^ *```", text, re.M | re.S)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return list(dict.fromkeys([*filter(None, lines), *re.findall(r"`(make [^`]+)`", text)]))


PAGES = "book/teaching.md", "book/course.md"
TEXT = "".join((ROOT / name).read_text("utf-8") for name in PAGES)
PAGE = commands(TEXT)
PLACES = dict(
    re.findall(r"^\| `(make [^`]+)` \|.*\| `(_build[^`]+)` \|$", TEXT, re.M)
)  # where a command puts what it makes


def test_the_page_names_every_target_of_the_kit():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    kit = re.search(r"^course: (.*?)  ##", makefile, re.M)[1].split()
    wanted = {"install", "data", "course", *kit, "pdf", "svg", "grade", "grade-check", "repository"}
    assert wanted <= {command.split()[1] for command in PAGE if command.startswith("make ")}


@pytest.fixture(scope="module")
def fork(tmp_path_factory):
    """A clone of this tree, changed files included, that was moved to another address and cloned as the page says."""
    folder = tmp_path_factory.mktemp("fork")
    origin, home = folder / "origin", folder / "home"
    home.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (origin / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, origin / name)

    def git(*command):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", *who, *command], cwd=origin, check=True, capture_output=True)

    git("init", "-q", "-b", BRANCH)
    git("add", "-A")
    make = ["make", f"PYTHON={sys.executable}"]
    moved = subprocess.run([*make, "repository", f"URL={NEW}"], cwd=origin, check=True, capture_output=True, text=True)
    assert "book/teaching.md" in moved.stdout
    git("commit", "-q", "-a", "-m", "Move")
    first, second, *_ = commands((origin / "book" / "teaching.md").read_text("utf-8"))
    assert (first, second) == (f"git clone {NEW}", "cd other-name")
    # The address leads to the origin, for git alone and in this process's children alone.
    settings = {f"url.{origin.as_uri()}.insteadOf": NEW, "protocol.file.allow": "always", "safe.directory": "*"}
    environment = os.environ | {"GIT_CONFIG_COUNT": str(len(settings)), "PYTHONDONTWRITEBYTECODE": "1"}
    for number, (key, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    subprocess.run(["bash", "-ec", f"{first}\n{second}\ntest -f Makefile"], cwd=home, check=True, env=environment)
    (home / "other-name" / ".venv").symlink_to(Path(sys.prefix))
    yield home / "other-name"
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.xdist_group("fork")
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a fork is a clone of a repository: no .git here")
@pytest.mark.parametrize("command", [command for command in PAGE if not command.startswith(("git ", "cd "))])
def test_a_command_of_the_page_works_in_a_fork(fork, command):
    command = set_repository.moved(command, OLD, NEW, BRANCH)
    page = "".join((fork / name).read_text("utf-8") for name in PAGES)
    assert command in page and OLD.rpartition("/")[2] not in page
    # READY= takes the installation away: the linked environment is ready, whatever the times of the fork's files.
    arguments = ["READY=", f"PYTHON={sys.executable}"] if command.startswith("make ") else []
    if command.startswith("make repository"):
        copied = fork.parent / "again"
        shutil.copytree(fork, copied, symlinks=True)
        done = subprocess.run([*command.split(), *arguments], cwd=copied, capture_output=True, text=True)
        assert done.returncode == 0 and "files changed" in done.stdout, done.stdout + done.stderr
        assert command.partition("URL=")[2] in (copied / "_config.yml").read_text("utf-8")
        return
    if command.startswith(CHEAP):
        done = subprocess.run([*command.split(), *arguments], cwd=fork, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not command.startswith("make ") or (fork / PLACES[command]).exists(), PLACES[command]
        return
    if command == "make install":
        arguments = [f"PYTHON={sys.executable}", "BIN=missing/bin", "READY=missing/.ready"]
    done = subprocess.run([*command.split(), "-n", *arguments], cwd=fork, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    scripts = re.findall(r"[\w/-]+\.(?:py|txt)\b", done.stdout)
    assert done.stdout and [script for script in scripts if not (fork / script).is_file()] == [], done.stdout


def test_commands_are_read_from_blocks_and_from_sentences():
    blocks = "```text\nmake a   # why\n```\n\n   ```text\n   make a\n   ls\n   ```\n```python\nmake = 1\n```\n"
    text = blocks + "Say `make b URL=x`, not `vh.elbo`."
    assert commands(text) == ["make a", "ls", "make b URL=x"]
