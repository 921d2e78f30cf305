"""Claims that can fail, the lines they leave, tables, and what is read of stored runs."""

import json
import math
import os

import numpy as np
import pytest

import vae_helpers as vh
from vae_helpers import results
from vae_helpers.files import replacing


def line(capsys, *arguments, **options):
    vh.check("it is so", *arguments, **options)
    return capsys.readouterr().out


def test_a_claim_that_holds_leaves_one_line_with_both_numbers(capsys):
    assert line(capsys, 0.35009, 0.35, atol=0.001) == "✓ it is so: 0.350 ≈ 0.350\n"
    assert line(capsys, -146.58, -146.0, atol=3) == "✓ it is so: −147 ≈ −146\n"
    assert line(capsys, 1.02, 1, rtol=0.03) == "✓ it is so: 1.02 ≈ 1.00\n"
    assert line(capsys, 1e-12, 0, atol=1e-8) == "✓ it is so: 0 ≈ 0\n"
    assert line(capsys, 12345.678, 12345, atol=1) == "✓ it is so: 12,346 ≈ 12,345\n"
    assert line(capsys, 3, 2, relation=">") == "✓ it is so: 3 > 2\n"
    assert line(capsys, [3.0, 4.0], 1, relation="≥") == "✓ it is so: 3.000 ≥ 1.000 (the worst of 2)\n"


@pytest.mark.parametrize("drift", [0, 1e-9, -1e-9, 1e-5])
def test_digits_end_where_the_tolerance_does(capsys, drift):
    """Another processor's rounding does not show."""
    assert line(capsys, 0.123456 + drift, 0.1234, atol=1e-3) == "✓ it is so: 0.123 ≈ 0.123\n"


@pytest.mark.parametrize(
    ("left", "right", "options", "message"),
    [
        (1, 2, {"atol": 0.1}, "it is so: expected ≈, got 1 and 2, 1 apart where 0.1 is allowed"),
        (np.nan, 2, {"atol": 0.1}, "got nan and 2"),
        (np.inf, 2, {"relation": "<"}, "got inf and 2"),
        (np.nan, 2.0, {"relation": "<"}, "expected <, got nan and 2"),
        ([1, 2, 3], [1, 2, 4], {"atol": 0.1}, r"got 3 and 4.* in 1 of 3 entries, the worst at \[2\]"),
        ([1.0, np.nan], 1.0, {"atol": 0.1}, "in 1 of 2 entries"),
        (3, 2, {"relation": "<"}, "expected <, got 3 and 2"),
        (2, 2, {"relation": "<"}, "expected <"),
        (2.0, 2.1, {"relation": "="}, "expected ="),
        (105.0, 100.0, {"rtol": 0.04}, "5 apart where 4 is allowed"),
    ],
)
def test_a_claim_that_does_not_hold_fails_with_both_numbers(left, right, options, message):
    with pytest.raises(AssertionError, match=message):
        vh.check("it is so", left, right, **options)


@pytest.mark.parametrize(
    "options", [{}, {"atol": 1, "relation": "<"}, {"relation": "~"}, {"atol": math.nan}, {"rtol": math.inf}]
)
def test_a_check_that_could_not_fail_or_says_two_things_is_refused(options):
    with pytest.raises(ValueError, match="expected"):
        vh.check("it is so", 1, 1, **options)
    with pytest.raises(ValueError, match="empty"):
        vh.check("nothing", [], 1, atol=1)


def test_a_table_in_markdown():
    rows = [["S1", (-156.831, 0.19), 3, -1.234], ["S2", (-3.2, math.nan), 4000, 2.0]]
    table = vh.table(["system", "ELBO", "n", "x"], rows)
    assert table.splitlines() == [
        "| system | ELBO | n | x |",
        "| --- | ---: | ---: | ---: |",
        "| S1 | −156.83 ± 0.19 | 3 | −1.23 |",
        "| S2 | −3.20 | 4,000 | 2.00 |",
    ]
    assert table._repr_markdown_() == repr(table) == str(table)
    assert "−3.200 ± 0.004" in vh.table(["a"], [[(-3.2, 0.004)]])  # else the error would read as zero
    with pytest.raises(ValueError, match=r"Row 1: expected 2 cells.*got 1"):
        vh.table(["a", "b"], [[1, 2], [3]])


def test_mean_and_error():
    mean, error = vh.mean_and_error([1.0, 2.0, 4.0])
    assert mean == pytest.approx(7 / 3) and error == pytest.approx(np.std([1, 2, 4], ddof=1) / np.sqrt(3))
    assert math.isnan(vh.mean_and_error([1.0])[1])


def test_stored_runs_come_by_seed_with_their_provenance():
    runs = vh.stored("s1-threshold")
    assert [run["seed"] for run in runs] == [0, 1, 2]
    assert all({"commit", "machine", "date"} <= set(run["provenance"]) for run in runs)
    with pytest.raises(FileNotFoundError, match="no run 'nonsense': the scripts in experiments/"):
        vh.stored("nonsense")


def test_seeds_are_in_their_order_and_not_in_that_of_their_names(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "results_folder", lambda: tmp_path)
    for seed in (0, 2, 10):
        (tmp_path / f"run-seed{seed}.json").write_text(json.dumps({"seed": seed}))
    assert [run["seed"] for run in vh.stored("run")] == [0, 2, 10]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["result.json"]
    with replacing(path) as part:
        part.write_text("new")
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["result.json"]
    with pytest.raises(OSError, match="a writable folder that exists"), replacing(tmp_path / "nowhere" / "x"):
        pass


def test_a_number_that_is_not_known_leaves_its_column_on_the_right():
    assert vh.table(["a", "b"], [[math.nan, "x"], [3.0, "y"]]).splitlines()[1] == "| ---: | --- |"
