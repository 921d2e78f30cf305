"""The long runs: what is stored is whole and says where it comes from."""

import dataclasses
import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

import vae_helpers as vh
from vae_helpers.data import BINARIZATIONS

ROOT = Path(__file__).parents[1]


def load(name: str):
    """A module of experiments/, which is a folder of scripts and not a package."""
    spec = importlib.util.spec_from_file_location(f"experiments.{name}", ROOT / "experiments" / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


run, scoreboard = load("run"), load("scoreboard")
RESULTS = sorted(path for path in run.RESULTS.glob("*.json") if path.stem != "seconds_per_epoch")
each_result = pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)


@each_result
def test_stored_result_is_whole_and_says_where_it_comes_from(path):
    result = json.loads(path.read_text("utf-8"))
    assert path.stem == f"{result['system']}-seed{result['seed']}"
    if "epochs" not in result:
        pytest.skip("made before runs stored their number of epochs: to be made again")
    recipe = run.RUNS[result["system"]]
    assert result["seed"] in recipe.seeds and result["epochs"] == recipe.epochs
    assert result["data"].endswith(recipe.binarization)
    assert len(result["train_elbo_by_epoch"]) == len(result["test_elbo_by_epoch"]) == recipe.epochs
    assert set(map(int, result.get("at_epoch", {}))) == set(recipe.also_after)
    assert result["provenance"]["uncommitted_changes"] is False
    assert set(result["provenance"]) >= {"commit", "date", "python", "tensorflow", "keras", "machine"}
    for part in (result, *result.get("at_epoch", {}).values()):
        assert math.isclose(part["test_elbo"], part["test_reconstruction"] - part["test_kl"], rel_tol=1e-4)
        assert part["test_elbo"] < part["test_log_likelihood_500"]
        if recipe.build(0).latent_dim == 2:
            assert part["test_log_likelihood_500"] < part["test_log_likelihood"] < part["test_elbo"] + 20
    if recipe.load is vh.load_mnist:
        assert result["test_elbo_on"][recipe.binarization] == pytest.approx(result["test_elbo"], abs=0.3)


def test_every_system_runs_on_every_version_of_the_data():
    for version in BINARIZATIONS:
        assert {f"{system}-{version}" for system in run.SYSTEMS} <= set(run.RUNS)
    for recipe in run.RUNS.values():
        assert recipe.build(0).latent_dim >= 2


def test_a_run_in_small_measures_what_is_stored(grey_images):
    """A run in small: two epochs, evaluated after each, on a few images."""
    labels = np.zeros(len(grey_images), np.uint8)
    few = vh.ImageData("few", grey_images, labels, grey_images, labels)
    recipe = dataclasses.replace(
        run.RUNS["s4-threshold"],
        build=run.conv(filters=(4, 6), image_shape=(8, 8, 1)),
        load=lambda: few,
        epochs=2,
        also_after=(1,),
        likelihood_images=len(grey_images) // 2,
    )
    model, result = run.train_and_evaluate(recipe, seed=0)
    assert set(result["at_epoch"]) == {1} and len(result["test_elbo_by_epoch"]) == 2
    assert result["parameters"] == model.count_params()
    assert result["test_elbo"] < result["test_log_likelihood_500"] < result["test_log_likelihood"] + 0.5


def test_the_command_stores_a_run_once_and_goes_on(grey_images, monkeypatch, tmp_path, capsys):
    """Result, pictures and weights are written; a second call finds them; a name nobody knows is refused."""
    few = vh.ImageData("few", grey_images, np.zeros(32, np.uint8), grey_images, np.zeros(32, np.uint8))
    recipe = run.Run(
        run.mlp(hidden=(4,), image_shape=(8, 8, 1)), run.adam(1e-3), vh.sgvb_b, batch_size=8, epochs=1,
        load=lambda: few, seeds=(3,), pictures=True, weights=True,
    )  # fmt: skip
    monkeypatch.setattr(run, "RUNS", {"few-none": recipe})
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "few"])
    run.main()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"few-none-seed3.json", "few-none-seed3.png", "few-none-seed3.weights.h5"}
    with run.Image.open(tmp_path / "few-none-seed3.png") as picture:
        originals = np.asarray(picture)[8:16, : 20 * 8].reshape(8, 20, 8).swapaxes(0, 1)
    np.testing.assert_allclose(originals / 255, grey_images[:20, ..., 0], atol=1 / 255)

    before = (tmp_path / "few-none-seed3.json").read_text("utf-8")
    run.main()
    assert "few-none-seed3.json is there" in capsys.readouterr().out
    assert (tmp_path / "few-none-seed3.json").read_text("utf-8") == before
    monkeypatch.setattr(sys, "argv", ["run.py", "unknown"])
    with pytest.raises(SystemExit):
        run.main()
    assert "expected some of few-none" in capsys.readouterr().err


def test_epochs_are_timed(grey_images, monkeypatch):
    few = vh.ImageData("few", grey_images, np.zeros(32, np.uint8), grey_images, np.zeros(32, np.uint8))
    recipe = run.Run(run.mlp(hidden=(4,), image_shape=(8, 8, 1)), run.adam(1e-3), vh.sgvb_b, batch_size=8, epochs=1)
    monkeypatch.setattr(run, "SYSTEMS", {"few": recipe})
    monkeypatch.setattr(vh, "load_mnist", lambda: few)
    assert 0 < run.time_epochs(rounds=2)["seconds_per_epoch"]["few"] < 60


def test_part_of_the_images_gives_the_log_likelihood_of_all(grey_images, small_vae):
    """The gap of some images, added to the ELBO of all, estimates the mean log p(x) of all."""
    model, test = small_vae(), vh.binarize(np.tile(grey_images, (8, 1, 1, 1)), "none")
    model.compile(objective=vh.sgvb_b)
    whole = run.evaluate(model, test, len(test), seed=0)["test_log_likelihood_500"]
    part = run.evaluate(model, test, len(test) // 2, seed=0)["test_log_likelihood_500"]
    assert part == pytest.approx(whole, abs=0.5)


def test_mean_and_standard_error():
    mean, error = scoreboard.mean_and_error([1.0, 2.0, 3.0])
    assert mean == 2.0 and error == pytest.approx(1 / math.sqrt(3))
    assert math.isnan(scoreboard.mean_and_error([1.0])[1])
    assert scoreboard.show([-1.0, -2.0, -3.0], 2) == "−2.00 ± 0.58" and scoreboard.show([5.0]) == "5.0"


def test_scoreboard_shows_each_stored_system_once():
    rows = scoreboard.rows()
    assert rows and len({row[:3] for row in rows}) == len(rows)
    assert all(len(row) == scoreboard.table().splitlines()[0].count("|") - 1 for row in rows)


def test_scoreboard_of_the_first_page_is_that_of_the_stored_results():
    assert (run.RESULTS / "scoreboard.md").read_text("utf-8") == scoreboard.table(), "run: make scoreboard"
