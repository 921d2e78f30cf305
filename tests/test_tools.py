"""The scripts behind the Makefile, run for real in a small copy."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nbformat import NotebookNode
from PIL import Image

import vae_helpers as vh
from vae_helpers.animation import PALETTE

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))
from book_math import mathml, plain_text  # noqa: E402
from book_status import read_chapter  # noqa: E402
from book_terms import pattern_for, read_glossary  # noqa: E402
from book_weight import inline_imports, italic, purge  # noqa: E402
from execute import merged  # noqa: E402

OLD, NEW = "https://github.com/vae-book/vae-book", "https://github.com/someone/my-course"


@pytest.fixture
def clone(tmp_path):
    """A clone of the committed and the changed files, without what they build."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
    return tmp_path


def run(clone, tool, *arguments):
    command = [sys.executable, str(clone / "tools" / tool), *arguments]
    return subprocess.run(command, cwd=clone, capture_output=True, text=True)


def texts(clone):
    files = subprocess.run(["git", "ls-files"], cwd=clone, capture_output=True, text=True, check=True).stdout.split()
    return {name: (clone / name).read_bytes() for name in files}


def test_a_fork_changes_one_address(clone):
    """Every mention moves, nothing else does, and moving back restores every byte."""
    before = texts(clone)
    assert sum(OLD.encode() in text for text in before.values()) >= 5
    done = run(clone, "set_repository.py", NEW)
    assert done.returncode == 0, done.stdout + done.stderr
    after = texts(clone)
    # This test names the old address itself; so may nothing else.
    left = [name for name, text in after.items() if b"vae-book/vae-book" in text and name != "tests/test_tools.py"]
    assert left == []
    for name in ("_config.yml", "README.md", "notebooks/01_theory.ipynb", "notebooks/01_theory.py"):
        assert b"someone/my-course" in after[name], name
    assert run(clone, "set_repository.py", OLD).returncode == 0
    assert {n: t for n, t in texts(clone).items() if n != "tests/test_tools.py"} == {
        n: t for n, t in before.items() if n != "tests/test_tools.py"
    }


@pytest.mark.parametrize("url", ["", "github.com/someone/course", "https://github.com/someone"])
def test_an_address_that_is_none(clone, url):
    before = texts(clone)
    done = run(clone, "set_repository.py", *([url] if url else []))
    assert done.returncode != 0 and "https://" in done.stdout + done.stderr
    assert texts(clone) == before


def test_executing_an_unknown_chapter(clone):
    done = run(clone, "execute.py", "99_nothing")
    assert done.returncode == 2 and "02_mlp_vae" in done.stderr


def test_a_failing_cell_leaves_the_notebook_alone(clone):
    script = clone / "notebooks" / "02_mlp_vae.py"
    notebook = script.with_suffix(".ipynb")
    before = notebook.read_bytes()
    header = script.read_text().split("# %%")[0]
    script.write_text(header + "# %%\nprint('first')\n\n# %%\nassert 1 + 1 == 3, 'wrong'\n")
    done = run(clone, "execute.py", "02_mlp_vae")
    assert done.returncode == 1 and "wrong" in done.stderr and notebook.read_bytes() == before
    assert "first" not in done.stdout.splitlines()  # cell outputs stay in the notebook; the log has times


def test_executing_writes_outputs_in_order(clone):
    script = clone / "notebooks" / "02_mlp_vae.py"
    header = script.read_text().split("# %%")[0]
    script.write_text(header + "# %%\nx = 6\n\n# %% [markdown]\n# Text.\n\n# %%\nprint(x * 7)\n")
    done = run(clone, "execute.py", "02_mlp_vae")
    assert done.returncode == 0, done.stderr
    assert '"42\\n"' in script.with_suffix(".ipynb").read_text()
    assert done.stdout.count("2/2") == 1


def test_new_prose_needs_no_execution_and_new_code_does(clone):
    script = clone / "notebooks" / "01_theory.py"
    notebook = script.with_suffix(".ipynb")
    before, text = notebook.read_text(), script.read_text()
    script.write_text(text.replace("# # 1. The theory", "# # 1. All of the theory"))
    assert run(clone, "execute.py", "--text", "01_theory").returncode == 0
    assert notebook.read_text() == before.replace("# 1. The theory", "# 1. All of the theory")
    script.write_text(text.replace("import itertools", "import itertools  # new"))
    done = run(clone, "execute.py", "--text", "01_theory")
    assert done.returncode == 1 and "Execute the chapter" in done.stderr


# --- the book's extension ----------------------------------------------------------------------------------------


def test_a_film_becomes_a_gif_with_the_same_frames_and_length(tmp_path):
    from book_extension import film_to_gif  # from tools/

    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 42, (12, 20), np.uint8) for _ in range(7)]
    source = vh.write_animation(frames, tmp_path / "film.png", fps=15, hold_last=0.4)
    film_to_gif(source, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 7 and film.info["loop"] == 0
        total = 0
        for number, frame in enumerate(frames):
            film.seek(number)
            total += film.info["duration"]
            np.testing.assert_array_equal(np.asarray(film.convert("RGB")), PALETTE[frame])
    assert abs(total - 1000 * (7 / 15 + 0.4)) <= 10


@pytest.mark.parametrize(
    "tex, expected",
    [
        (r"\log q", "<mi>log</mi><mspace width='0.1667em'/><mi>q</mi>"),  # an operator keeps its distance
        (r"x \log(q)", "<mi>x</mi><mspace width='0.1667em'/><mi>log</mi><mo stretchy='false'>(</mo>"),
        (r"-\log q", "<mo form='prefix'>−</mo><mspace width='0.1667em'/><mi>log</mi>"),
        (r"a_{\max}", "<msub><mi>a</mi><mi>max</mi></msub>"),
        (r"a_{k+1}", "<mo lspace='0' rspace='0'>+</mo>"),  # no space within a subscript,
        (r"\frac{1-x}{2}", "<mo lspace='0' rspace='0'>−</mo>"),  # nor within a small fraction
        (r"= \sum_i x_i", "<mo>=</mo><msub><mo lspace='0'>∑</mo>"),
        (r"a \sum_i x_i", "<mi>a</mi><msub><mo>∑</mo>"),
        (r"\lVert a \rVert + b", "<mo>+</mo><mi>b</mi>"),
        (r"\left[ x \right]", "<mo fence='true' stretchy='false'>[</mo>"),
        (r"\left[ \frac{1}{x} \right]", "<mo fence='true'>[</mo>"),
        (r"\hat w", "<mo stretchy='false'>ˆ</mo>"),
        (r"f'(z)", "<mrow><mi>f</mi><mo lspace='0' rspace='0'>′</mo></mrow>"),
        (r"\frac{\partial f}{\partial x}", "<mi>∂</mi>"),
        (r"\log\!\left( x \right)", "<mi>log</mi><mrow>"),
        (r"\max_x f", "<msub><mrow><mi>max</mi></mrow><mi>x</mi></msub><mspace width='0.1667em'/><mi>f</mi>"),
        (r"a = -b", "<mo>=</mo><mo form='prefix'>−</mo><mi>b</mi>"),  # a sign,
        (r"a - b", "<mi>a</mi><mo>−</mo><mi>b</mi>"),  # an operation,
        (r"(a) - b", "<mo stretchy='false'>)</mo><mo>−</mo><mi>b</mi>"),  # also after a bracket
        (r"\mathrm{KL}(q)", "<mrow><mi>KL</mi></mrow>"),
        (r"\mathbb{E}\,\mathbb{R}", "<mi>𝔼</mi>"),
        (r"\mathbb{E}\,\mathbb{R}", "<mi>ℝ</mi>"),
        (r"\mathcal{L} + \mathcal{N}", "<mi>ℒ</mi><mo>+</mo><mi>𝒩</mi>"),
        (r"\mathbf{x}", "<mi>𝐱</mi>"),
        (r"\lVert x \rVert", "<mo stretchy='false' lspace='0' rspace='0'>∥</mo><mi>x</mi>"),
        (r"a\!b", "<mspace style='margin-inline-start:-0.1667em'/>"),
    ],
)
def test_formulas_are_what_browsers_lay_out(tex, expected):
    assert expected.replace("'", '"') in mathml(tex)


def test_formulas_can_be_said_in_a_line():
    assert plain_text(r"\frac{y}{1 - y}, \sqrt{n}") == "y/(1 − y), √(n)"
    assert plain_text(r"\mathbb{E}[(z - \mu)^3] / \sigma_j^2") == "𝔼[(z − μ)^3]/σ_j^2"
    assert plain_text(r"\mathbb E[\log \frac1k \sum_i w_i]") == "𝔼[log 1/k∑_i w_i]"


def test_a_formula_nobody_can_read_stops_the_build():
    with pytest.raises(ValueError, match=r"Undefined control sequence: \\sigmma.*in the formula"):
        mathml(r"\sigmma^2")


def test_the_style_sheet_keeps_what_a_page_can_use():
    css = """
    @charset "utf-8"; html { color: red } .used, .gone { color: green } .gone > p { color: blue }
    #used:not(.gone) { top: 0 } @media print { .gone { top: 1px } } @media screen { .used { top: 2px } }
    @font-face { font-family: F; src: url(f.woff2) } @keyframes turn { to { top: 3px } }
    .fa:before { content: "\\f0c9" }
    """
    kept = purge(css, {"used", "fa"})
    assert "red" in kept and "green" in kept and "top: 0" in kept and "2px" in kept and "3px" in kept
    assert "blue" not in kept and "1px" not in kept and "@media print" not in kept
    assert "font-family: F" in kept and '"\uf0c9"' in kept


def test_style_sheets_are_joined_with_their_pictures(tmp_path):
    static = tmp_path / "_static"
    (static / "theme").mkdir(parents=True)
    (static / "basic.css").write_text("p { background: url('p.png') }")
    sheet = static / "theme" / "main.css"
    sheet.write_text(
        '@import url("../basic.css"); a { src: url(../fonts/a.woff2) } b { src: url(data:image/png;base64,AA) }'
    )
    text = inline_imports(sheet)
    assert "url(p.png)" in text and "url(fonts/a.woff2)" in text and "url(data:image/png;base64,AA)" in text
    assert "@import" not in text


def test_identifiers_find_their_italic_twins():
    assert italic("h") == [0x210E] and italic("x") == [0x1D465] and italic("1") == []
    assert 0x1D703 in italic("θ") and 0x1D719 in italic("ϕ")


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


def test_pieces_of_a_stream_are_joined():
    def stream(name, text):
        return NotebookNode(output_type="stream", name=name, text=text)

    picture = NotebookNode(output_type="display_data")
    outputs = [stream("stdout", "a"), stream("stdout", "b"), picture, stream("stdout", "c"), stream("stderr", "d")]
    assert [output.get("text") for output in merged(outputs)] == ["ab", None, "c", "d"]
