"""The long runs: what is stored is whole and says where it comes from."""

import dataclasses
import functools
import json
import math
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_helpers as vh
from vae_helpers.data import BINARIZATIONS

ROOT = Path(__file__).parents[1]


sys.path.append(str(ROOT / "experiments"))  # a folder of scripts, not a package
import collapse  # noqa: E402
import estimators  # noqa: E402
import faults  # noqa: E402
import gradients  # noqa: E402
import run  # noqa: E402
import scoreboard  # noqa: E402
import seen_and_new  # noqa: E402

pytestmark = pytest.mark.usefixtures("without_xla")

OTHER_RESULTS = ("estimators-", "gradients-", "seconds_per_epoch", "fault-", "healthy-", "own-", "seen-", "collapse-")
RESULTS = sorted(path for path in run.RESULTS.glob("*.json") if not path.stem.startswith(OTHER_RESULTS))
each_result = pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)


@functools.cache
def latent_dim(system: str) -> int:
    """Of a run's network, which is built once for all seeds."""
    return run.RUNS[system].build(0).latent_dim


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
    assert result["provenance"]["uncommitted_changes"] is False
    assert set(result["provenance"]) >= {"commit", "date", "python", "tensorflow", "keras", "machine"}
    assert math.isclose(result["test_elbo"], result["test_reconstruction"] - result["test_kl"], rel_tol=1e-4)
    assert result["test_elbo"] < result["test_log_likelihood_500"]
    if latent_dim(result["system"]) == 2:
        assert result["test_log_likelihood_500"] < result["test_log_likelihood"] < result["test_elbo"] + 20
    if recipe.load is vh.load_mnist:
        assert result["test_elbo_on"][recipe.binarization] == pytest.approx(result["test_elbo"], abs=0.3)


@pytest.mark.parametrize("path", sorted(run.RESULTS.glob("seen-*.json")), ids=lambda path: path.stem)
def test_what_was_seen_and_new_is_whole_and_says_where_it_comes_from(path):
    result = json.loads(path.read_text("utf-8"))
    binarization = path.stem.split("-")[1]
    assert path.stem == f"seen-{binarization}-seed{result['seed']}" and binarization in BINARIZATIONS
    assert result["provenance"]["uncommitted_changes"] is False
    assert result["seen"]["images"] == result["new"]["images"] == 10_000
    (by_run,) = (r for r in vh.stored(f"s0-{binarization}") if r["seed"] == result["seed"])
    for key in ("elbo", "log_likelihood"):  # the same training but for rounding: as near as two seeds
        assert result["new"][key] == pytest.approx(by_run[f"test_{key}"], abs=4)


@pytest.mark.parametrize("path", sorted(run.RESULTS.glob("fault-*.json")), ids=lambda path: path.stem)
def test_stored_exhibit_is_whole_and_says_where_it_comes_from(path):
    result = json.loads(path.read_text("utf-8"))
    assert path.stem == f"fault-{result['exhibit']}-seed{result['seed']}"
    exhibit = faults.EXHIBITS[result["exhibit"]]
    assert result["provenance"]["uncommitted_changes"] is False
    assert result["examined"]["uncommitted_changes"] is False
    if result["stopped"]:
        assert "nan" in result["stopped"]
    else:
        assert len(result["loss_by_epoch"]) == exhibit.epochs
        assert math.isfinite(result["log_likelihood"])
    assert result["seed"] or {"recognised", "sentence"} <= set(result["explained"])
    assert len(result["findings"]) >= 18


def test_every_exhibit_is_stored_with_the_model_that_it_is_held_against():
    for name, exhibit in faults.EXHIBITS.items():
        assert len(vh.stored(f"fault-{name}")) == len(vh.stored(f"fault-{exhibit.against}")) == len(run.SEEDS)


@pytest.mark.parametrize("name", collapse.REMEDIES)
def test_stored_remedy_is_whole_and_says_where_it_comes_from(name):
    results = vh.stored(f"collapse-{name}")
    assert [(result["training"], result["seed"]) for result in results] == [(name, seed) for seed in run.SEEDS]
    for result in results:
        assert result["provenance"]["uncommitted_changes"] is False
        assert len(result["test_elbo_by_epoch"]) == len(result["test_kl_by_epoch"]) == collapse.EPOCHS
        assert min(result["test_kl_by_epoch"]) >= 0 and result["active_units"] <= collapse.LATENTS


def test_a_remedy_changes_one_thing():
    def layers_of(name):
        model = collapse.REMEDIES[name].build(0)
        found = [
            [layer for layer in network.layers if layer.count_params()] for network in (model.encoder, model.decoder)
        ]
        return (
            model,
            [len(layers) - 1 for layers in found],
            {layer.activation.__name__ for part in found for layer in part},
        )

    for name, counts in {"one": [1, 1], "six": [6, 6], "deep_encoder": [6, 1], "deep_decoder": [1, 6]}.items():
        assert layers_of(name)[1:] == (counts, {"tanh", "linear"})
    assert layers_of("relu")[1:] == ([6, 6], {"relu", "linear"})
    plain, skip = (layers_of(name)[0] for name in ("six", "skip"))
    for left, right in zip(plain.get_weights(), skip.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)  # the same seed, the same weights; another path
    z = np.full((1, collapse.LATENTS), 0.5, np.float32)
    assert np.abs(skip.decoder(z) - plain.decoder(z)).max() > 0.1


def test_the_objectives_against_collapse(small_vae, grey_images, posterior_off_the_prior):
    """With the same noise: without its KL, with all of it, and with what is free of it."""
    model = posterior_off_the_prior(small_vae())
    model.compile("sgd", objective=collapse.bound)

    def value(objective):
        with model.using(keras.random.SeedGenerator(0)):
            return objective(model, grey_images).numpy()

    with model.using(keras.random.SeedGenerator(0)):
        log_likelihood, kl = (part.numpy() for part in collapse.terms(model, grey_images))
    np.testing.assert_allclose(kl.mean(axis=0), vh.kl_per_dimension(model, grey_images), rtol=1e-5)
    np.testing.assert_allclose(value(collapse.bound), log_likelihood - kl.sum(axis=1), rtol=1e-5)
    assert value(collapse.bound).mean() == pytest.approx(vh.elbo(model, grey_images, samples=50), rel=0.05)
    np.testing.assert_allclose(value(collapse.warm_up), log_likelihood, rtol=1e-5)
    model.optimizer.iterations.assign(collapse.WARM_UP // 4)
    np.testing.assert_allclose(value(collapse.warm_up), log_likelihood - kl.sum(axis=1) / 4, rtol=1e-5)
    charged = np.maximum(kl.mean(axis=0), collapse.FREE).sum()
    np.testing.assert_allclose(value(collapse.free_bits), log_likelihood - charged, rtol=1e-5)


def test_every_system_runs_on_every_version_of_the_data():
    for version in BINARIZATIONS:
        assert {f"{system}-{version}" for system in run.SYSTEMS} <= set(run.RUNS)
    assert min(map(latent_dim, run.RUNS)) >= 2


@pytest.mark.slow
def test_a_run_in_small_measures_what_is_stored(grey_images):
    """A run in small: two epochs on a few images."""
    labels = np.zeros(len(grey_images), np.uint8)
    few = vh.ImageData("few", grey_images, labels, grey_images, labels)
    recipe = dataclasses.replace(
        run.RUNS["s4-long"],
        build=run.conv(filters=(4, 6), image_shape=(8, 8, 1)),
        load=lambda: few,
        epochs=2,
        likelihood_images=len(grey_images) // 2,
    )
    model, result = run.train_and_evaluate(recipe, seed=0)
    assert len(result["train_elbo_by_epoch"]) == len(result["test_elbo_by_epoch"]) == 2
    assert result["parameters"] == model.count_params()
    assert result["test_elbo"] < result["test_log_likelihood_500"] < result["test_log_likelihood"] + 0.5


@pytest.mark.slow
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
    assert run.time_epochs(rounds=2)["seconds_per_epoch"]["few"] > 0


@pytest.mark.slow
def test_part_of_the_images_gives_the_log_likelihood_of_all(grey_images, small_vae):
    """The gap of some images, added to the ELBO of all, estimates the mean log p(x) of all."""
    model, test = small_vae(), vh.binarize(np.tile(grey_images, (8, 1, 1, 1)), "none")
    model.compile(objective=vh.sgvb_b)
    whole = run.evaluate(model, test, len(test), seed=0)["test_log_likelihood_500"]
    part = run.evaluate(model, test, len(test) // 2, seed=0)["test_log_likelihood_500"]
    assert part == pytest.approx(whole, abs=0.5)


def test_mean_and_standard_error():
    mean, error = vh.mean_and_error([1.0, 2.0, 3.0])
    assert mean == 2.0 and error == pytest.approx(1 / math.sqrt(3))
    assert math.isnan(vh.mean_and_error([1.0])[1])
    for values, digits, cell in (
        ([-1.0, -2.0, -3.0], 2, "−2.00 ± 0.58"),
        ([5.0], 1, "5.0"),
        ([-1.0, -1.04], 1, "−1.02 ± 0.02"),  # not "± 0.0"
    ):
        assert f"| {cell} |" in vh.table(["ELBO"], [[vh.mean_and_error(values)]], digits)


def test_scoreboard_shows_each_stored_system_once():
    rows = scoreboard.rows()
    assert rows and len({row[:3] for row in rows}) == len(rows)


@pytest.mark.parametrize("name", ["table", "first_page"])
def test_scoreboard_of_the_book_is_that_of_the_stored_results(name):
    kept = run.RESULTS / {"table": "scoreboard.md", "first_page": "first_page.md"}[name]
    assert kept.read_text("utf-8") == getattr(scoreboard, name)() + "\n", "run: make scoreboard"


@pytest.mark.slow
def test_what_new_images_lose_is_measured_on_a_fair_sample(grey_images, monkeypatch):
    few = vh.ImageData("few", grey_images, np.zeros(32, np.uint8), grey_images[::-2], np.zeros(16, np.uint8))
    recipe = run.Run(
        run.mlp(hidden=(4,), image_shape=(8, 8, 1)), run.adam(1e-3), vh.sgvb_b, batch_size=8, epochs=1,
        binarization="fixed", load=lambda: few, likelihood_images=16,
    )  # fmt: skip
    monkeypatch.setitem(run.RUNS, "s0-fixed", recipe)
    found = seen_and_new.seen_and_new("fixed", seed=2)
    assert found["seen"]["images"] == found["new"]["images"] == 16
    for part in found.values():
        assert part["elbo"] < part["log_likelihood"] + 0.05
        assert 0 < part["log_likelihood_error"] < 5
    _, by_run = run.train_and_evaluate(recipe, seed=2)  # the same training: the same numbers by another way
    assert found["new"]["log_likelihood"] == pytest.approx(by_run["test_log_likelihood"], abs=1e-3)
    assert found["new"]["elbo"] == pytest.approx(by_run["test_elbo"], abs=0.5)
    places = seen_and_new.sample(60_000, 10_000)
    assert len(set(places)) == 10_000 and places.mean() == pytest.approx(30_000, abs=600)


@pytest.mark.parametrize("network", gradients.NETWORKS)
def test_groups_of_a_gradient_cover_it_once(network):
    model = gradients.NETWORKS[network].build(0)
    ones = {variable.path: np.ones(variable.shape, np.float32) for variable in model.trainable_variables}
    sums = gradients.by_group(model, ones)
    assert sum(sums.values()) == model.count_params()
    below = model.encoder.layers[-1].input.shape[-1]
    assert sums["mu"] == sums["scale"] == (below + 1) * model.latent_dim
    assert sums["decoder"] == model.decoder.count_params()
    for head, values in gradients.by_latent(model, ones).items():
        assert values == [below + 1] * model.latent_dim and sum(values) == sums[head]


@pytest.mark.slow
def test_a_measurement_of_gradients_in_small(grey_images, small_vae, posterior_off_the_prior):
    """Known facts: decoder gradients of A, B and the path gradient agree; L draws divide a variance by L."""
    model = posterior_off_the_prior(small_vae(hidden=(6,)))
    blocks = [grey_images[:8], grey_images[8:16]]
    found = {
        name: gradients.measure(model, blocks, objective, samples=1, repeats=200)
        for name, objective in gradients.ESTIMATORS.items()
    }
    for measured in found.values():
        assert all(np.all(np.isfinite(values)) for values in measured.values())
        lists = {name: values for name, values in measured.items() if not name.startswith("between_")}
        assert all(len(values) == 2 for values in lists.values()) and len(measured) == len(lists) + 4
        for head in ("mu", "scale"):
            by_latent = np.array(measured[f"variance_{head}_by_latent"])
            assert by_latent.shape == (2, model.latent_dim)
            np.testing.assert_allclose(by_latent.sum(axis=1), measured[f"variance_{head}"], rtol=1e-5)
    for name in ("a", "path", "score"):
        np.testing.assert_allclose(found[name]["variance_decoder"], found["b"]["variance_decoder"], rtol=1e-3)
    assert np.mean(found["score"]["variance_mu"]) > 5 * np.mean(found["a"]["variance_mu"])
    of_five = gradients.measure(model, blocks, vh.sgvb_b, samples=5, repeats=200)
    for key in ("value", "variance_mu", "variance_scale", "variance_decoder"):
        assert 3.5 < np.mean(found["b"][key]) / np.mean(of_five[key]) < 7, key


def test_the_spread_between_minibatches_leaves_out_the_noise_within(grey_images, small_vae, posterior_off_the_prior):
    model = posterior_off_the_prior(small_vae(hidden=(6,)))
    same = gradients.measure(model, [grey_images[:8]] * 20, vh.sgvb_b, samples=1, repeats=20)
    other = gradients.measure(model, [grey_images[:8], grey_images[8:16]] * 10, vh.sgvb_b, samples=1, repeats=20)
    for group in ("mu", "scale", "encoder", "decoder"):
        noise = np.mean(same[f"variance_{group}"]) / 20
        assert abs(same[f"between_{group}"]) < noise / 2, group  # one minibatch, other ε: nothing lies between
        assert other[f"between_{group}"] > 2 * noise, group


@pytest.mark.slow
def test_gradients_are_measured_at_every_stage(grey_images, monkeypatch):
    few = vh.ImageData("few", grey_images, np.zeros(32, np.uint8), grey_images, np.zeros(32, np.uint8))
    monkeypatch.setattr(vh, "load_mnist", lambda: few)
    monkeypatch.setattr(gradients, "BLOCKS", 2)
    monkeypatch.setattr(gradients, "REPEATS", {1: 2})
    monkeypatch.setattr(gradients, "REPEATS_TIGHTER", {3: 2})
    build = run.mlp(hidden=(4,), image_shape=(8, 8, 1))
    network = gradients.Network(build, run.adam(1e-3), 8, {"start": 0, "end": 2}, images=3, tighter=True)
    stages = dict(gradients.measure_stages(network))
    assert list(stages) == ["start", "end"] and stages["end"]["epochs"] == 2
    assert stages["start"]["test_elbo"] != stages["end"]["test_elbo"]
    assert set(stages["end"]["estimators"]) == {"a", "b", "path", "score", "iwae", "dreg"}
    assert len(stages["end"]["estimators"]["b"]["1"]["variance_mu"]) == 2
    assert len(stages["end"]["kl_by_latent"]) == 2
    seconds = gradients.time_gradients(network, rounds=1, repeats=2)
    assert set(seconds) == set(gradients.ESTIMATORS)
    assert all(list(by_samples) == ["1"] for by_samples in seconds.values())
    assert all(taken > 0 for by_samples in seconds.values() for taken in by_samples.values())


def test_the_rows_of_chapter_4_follow_from_the_measured_gradients():
    """Every stored row is what `reduced` makes of its big file, and one figure is that of a sum written out here."""
    kept = json.loads((run.RESULTS / "gradients-rows.json").read_text("utf-8"))["rows"]
    again = json.loads(json.dumps(gradients.rows()))

    def same(one, other):
        if isinstance(one, dict):
            assert one.keys() == other.keys()
            for key in one:
                same(one[key], other[key])
        else:
            assert one == (pytest.approx(other, rel=1e-9) if isinstance(other, (list, float)) else other)

    assert len(kept) == len(again) == 3 * sum(len(network.seeds) for network in gradients.NETWORKS.values())
    for one, other in zip(kept, again, strict=True):
        same(one, other)

    big = json.loads((run.RESULTS / "gradients-conv-j20-seed0.json").read_text("utf-8"))
    row = next(row for row in kept if (row["network"], row["stage"]) == ("conv-j20", "end"))
    assert row["provenance"] == big["provenance"]
    a, b = (np.array(big["stages"]["end"]["estimators"][name]["1"]["variance_mu"]) for name in ("a", "b"))
    middle, low, high = row["over_b"]["a"]["mu"]
    assert middle == pytest.approx(math.exp(np.mean(np.log(a) - np.log(b)))) and low < middle < high
    assert row["noise"]["b"]["1"]["mu"] == pytest.approx(b.mean())


@pytest.mark.slow
def test_the_curve_of_every_epoch_is_measured_by_estimator_b(grey_images):
    few = vh.ImageData("few", grey_images, np.zeros(32, np.uint8), grey_images, np.zeros(32, np.uint8))
    recipe = run.Run(
        run.mlp(hidden=(4,), image_shape=(8, 8, 1)), run.adam(1e-3), vh.sgvb_a, batch_size=8, epochs=2,
        load=lambda: few, likelihood_images=32, curve_by_b=True,
    )  # fmt: skip
    model, result = run.train_and_evaluate(recipe, seed=0)
    first, last = result["test_elbo_b_by_epoch"]
    assert first != last == pytest.approx(vh.elbo(model, run.held_out(few, "none")), abs=1e-3)
    assert last != pytest.approx(result["test_elbo_by_epoch"][-1], abs=1e-3)  # which is by A
    assert "test_elbo_b_by_epoch" not in run.train_and_evaluate(dataclasses.replace(recipe, curve_by_b=False), 0)[1]


def total_variance(model, x, objective, **kwargs):
    samples = kwargs.pop("samples", 1)
    variances = gradients.GradientMeter(model, objective, samples)(x, **kwargs).variance
    return {path: entries.sum(dtype=float) for path, entries in variances.items()}


def test_gradient_variance_of_a_known_gradient(small_vae, grey_images):
    """The objective mean(w · ε), with w the decoder's first bias: its gradient is ε itself, of variance 1 an entry."""
    model = small_vae()
    variable = model.decoder.trainable_variables[1]

    def linear(model, x, samples):
        epsilon = tf.random.stateless_normal(variable.shape, model.next_seed())
        return tf.fill([len(x)], tf.reduce_sum(variable * epsilon))

    variances = total_variance(model, grey_images, linear, repeats=400)
    entries = variable.shape[0]
    assert abs(variances[variable.path] / entries - 1) < 5 * np.sqrt(2 / (400 * entries))
    assert sum(variances.values()) == variances[variable.path]  # nothing else has a gradient


def test_gradient_meter_measures_its_draws(small_vae, posterior_off_the_prior, grey_images):
    """Against NumPy on the same draws, entry by entry, twice with one meter; a convolutional model, since XLA draws
    other noise."""
    model = posterior_off_the_prior(small_vae(vh.conv_vae))
    before = model.seed_generator.state.numpy()
    meter, variables = gradients.GradientMeter(model, vh.sgvb_a, samples=2), model.trainable_variables
    for x, seed in ((grey_images, 3), (grey_images[:5], 4)):
        moments = meter(x, repeats=7, seed=seed)
        np.testing.assert_array_equal(before, model.seed_generator.state)  # the noise of training is left alone
        seeds, values, drawn = keras.random.SeedGenerator(seed), [], []
        for _ in range(7):
            with tf.GradientTape() as tape, model.using(seeds):
                values.append(vh.sgvb_a(model, x, 2))
                total = tf.reduce_mean(values[-1])
            drawn.append([tf.convert_to_tensor(g).numpy() for g in tape.gradient(total, variables)])
        assert moments.value_variance == pytest.approx(np.var(values, axis=0, ddof=1).mean(), rel=1e-3)
        for variable, *of_variable in zip(variables, *drawn, strict=True):
            np.testing.assert_allclose(moments.mean[variable.path], np.mean(of_variable, 0), rtol=1e-3, atol=1e-5)
            variance = np.var(of_variable, 0, ddof=1)
            np.testing.assert_allclose(moments.variance[variable.path], variance, rtol=1e-3, atol=1e-7)
    with pytest.raises(ValueError, match="at least 2"):
        meter(grey_images, repeats=1)


@pytest.mark.slow
def test_gradient_variance_falls_with_samples(small_vae, posterior_off_the_prior, grey_images):
    model = posterior_off_the_prior(small_vae())
    one, ten = (sum(total_variance(model, grey_images, vh.sgvb_a, repeats=200, samples=s).values()) for s in (1, 10))
    assert 7 < one / ten < 14


def test_variances_of_value_and_gradient_in_small(grey_images, small_vae, posterior_off_the_prior):
    """Without a decoder that listens, Var A − Var B is Var Δ, and the gradients by μ are those of (4.6) with h = 0."""
    model = posterior_off_the_prior(small_vae(hidden=(6,)))
    for variable in model.decoder.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    x = grey_images[:3]
    q = model.posterior(x).distribution
    mean, scale = q.loc.numpy(), q.scale.numpy()
    found = estimators.of_gaussians(model, x, mean, scale, cases=True)
    delta = (mean**2 * scale**2 + (1 - scale**2) ** 2 / 2).sum(axis=1)
    np.testing.assert_allclose(found["value"]["delta"], delta, rtol=1e-5)
    np.testing.assert_allclose(found["value"]["A"], delta, rtol=0.15)  # of 2,000 draws
    np.testing.assert_allclose(found["value"]["B"], 0, atol=1e-6)
    cases = {name: np.reshape(values, mean.shape) for name, values in found["cases"].items()}
    np.testing.assert_allclose(cases["A_mu"], scale**2, rtol=0.15)
    np.testing.assert_allclose(cases["path_mu"], (scale - 1 / scale) ** 2, rtol=0.15, atol=1e-6)
    np.testing.assert_allclose(cases["B_mu"], 0, atol=1e-6)
    assert found["coordinate"]["A"]["mu"] == pytest.approx(cases["A_mu"].mean(), rel=1e-4)


def test_a_stored_run_is_looked_at_after_some_updates(grey_images, small_vae):
    model = small_vae()
    model.compile(run.adam(1e-3)(), objective=vh.sgvb_b)
    images = vh.binarize(np.tile(grey_images, (5, 1, 1, 1)), "none")
    early = estimators.Begin(images[:16], updates=6)
    model.fit(vh.batches(images, 4, seed=0), callbacks=[early], verbose=0)
    other = small_vae()
    other.compile(run.adam(1e-3)(), objective=vh.sgvb_b)
    other.fit(vh.batches(images, 4, seed=0).take(6), verbose=0)
    assert early.value == pytest.approx(vh.elbo(other, images[:16]), abs=1e-3)
    assert early.value != pytest.approx(vh.elbo(model, images[:16]), abs=1e-3)


def test_a_tighter_bound_is_stored_beside_the_elbo(grey_images):
    few = vh.ImageData("few", grey_images, np.zeros(32, np.uint8), grey_images, np.zeros(32, np.uint8))
    recipe = run.Run(
        run.mlp(hidden=(4,), image_shape=(8, 8, 1)), run.adam(1e-3), vh.iwae, samples=20, batch_size=8, epochs=1,
        load=lambda: few, likelihood_images=32,
    )  # fmt: skip
    _, result = run.train_and_evaluate(recipe, seed=0)
    assert result["test_elbo"] < result["test_objective"] < result["test_log_likelihood_500"] + 0.2
    assert math.isclose(result["test_elbo"], result["test_reconstruction"] - result["test_kl"], rel_tol=1e-5)
