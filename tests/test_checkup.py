"""`vh.checkup` and `vh.explain_loss` on the exhibits of chapter 7: each is found, and the healthy are left alone."""

import functools
import math
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_helpers as vh
from vae_helpers.symptoms import Symptoms

sys.path.append(str(Path(__file__).parents[1] / "experiments"))  # a folder of scripts, not a package
import faults

from vae_helpers.checkup import _FINDINGS

# Two dozen models are trained, some of them for several tests: once, in one process.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("checkup")]


EPOCHS = dict.fromkeys(
    ["small_noise", "no_noise", "honest", "honest_of_20", "honest_dropout", "batch_normalised"], 4
)  # of the others 2
BATCH_SIZE = 50  # 200 steps an epoch


@pytest.fixture(scope="module", autouse=True)
def no_xla():
    """It compiles as long as these short trainings last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vh.VAE, "prefers_xla", False)
        yield


@functools.cache
def images() -> tuple[np.ndarray, np.ndarray]:
    train, test = faults.data()
    return train[:10_000], test[:2500]


@functools.cache
def trained(name: str) -> vh.VAE:
    """The model of an exhibit, after a short training on some of the images."""
    exhibit = faults.EXHIBITS[name]
    model = exhibit.build(0)
    model.compile(exhibit.optimizer(), objective=faults.objective(exhibit))
    shown = exhibit.shown(*images())
    model.fit(vh.batches(shown, BATCH_SIZE, seed=0), epochs=EPOCHS.get(name, 2), verbose=0)
    return model


def checked(name: str, model: vh.VAE, pixels_of_test=None) -> vh.checkup:
    exhibit = faults.EXHIBITS[name]
    train, test = images()
    pixels_of_test = pixels_of_test or exhibit.pixels
    return vh.checkup(model, exhibit.pixels(exhibit.shown(train, test)), pixels_of_test(test))


@functools.cache
def checked_once(name: str) -> vh.checkup:
    return checked(name, trained(name))


def finding(checkup, name: str):
    return next(found for found in checkup.findings if found.name == name)


# --- each exhibit is found -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, recognised",
    [
        ("kl_averaged", "kl_averaged_over_latents"),
        ("kl_averaged_of_20", "kl_averaged_over_latents"),
        ("kl_over_batch_and_pixels", "kl_over_pixels"),
        ("pixels_averaged", "pixels_averaged"),
        ("small_constant_weight", "weighted_kl"),
        ("minibatch_over_dataset", "minibatch_over_dataset"),
        ("half_dropped", "half_dropped"),
        ("log_variance_as_log_std", "log_std_as_log_variance"),
        ("noise_of_fixed_scale", "noise_of_fixed_scale"),
        ("no_noise", "fixed_noise"),
        ("importance_weights_upside_down", "importance_weights_upside_down"),
        ("honest", "elbo"),
        ("honest_iwae", "importance_weighted"),
    ],
)
def test_the_loss_tells(name, recognised):
    exhibit = faults.EXHIBITS[name]
    explained = vh.explain_loss(exhibit.loss, exhibit.build(0), images()[1][:100])
    assert explained.recognised == recognised


def test_a_sum_over_the_batch_shows_in_the_scale():
    explained = vh.explain_loss(faults.summed_over_batch, faults.dense(0), images()[1][:100])
    assert explained.scale == pytest.approx(100, rel=0.05)
    assert "summed over images" in explained.sentence


@pytest.mark.parametrize("beta", [0.001, 10])
def test_a_loss_with_draws_has_its_weight_recovered(beta):
    def loss(model, x):
        pixels, kl = faults.terms(model, x)
        return faults.over_pixels(pixels) + beta * tf.reduce_sum(kl, axis=1)

    assert vh.explain_loss(loss, faults.dense(0), images()[1][:100]).beta == pytest.approx(beta, rel=0.05)


@pytest.mark.parametrize(
    "name, names",
    [
        ("relu_on_mean", ["means on one side"]),
        ("relu_on_log_variance", ["scales never below 1", "scales at a stop"]),
        ("relu_on_both", ["means on one side", "scales never below 1"]),
        ("slow_batch_normalised", ["training mode scores higher"]),
        ("dropout_left_on", ["encoder wavers"]),
        ("small_noise", ["bound below the average image", "inference gap"]),
        ("no_noise", ["inference gap"]),
        ("pixels_averaged", ["unused latents"]),
        ("kl_over_batch_and_pixels", ["codes off centre or scale", "samples against reconstructions"]),
        ("minibatch_over_dataset", ["codes off centre or scale"]),
    ],
)
def test_the_check_up_tells(name, names):
    assert set(names) <= set(checked_once(name).faults)


def test_an_encoder_that_looks_at_the_whole_batch_is_found():
    x = keras.Input((28, 28, 1))
    features = keras.layers.Dense(20, activation="relu")(keras.layers.Flatten()(x))
    heads = keras.layers.Dense(4)(features - keras.ops.mean(features, axis=0, keepdims=True))
    model = vh.VAE(keras.Model(x, heads), vh.mlp_vae(hidden=(20,), seed=0).decoder)
    train, test = (part[:300] for part in images())
    assert "encoder looks at the batch" in vh.checkup(model, train, test).faults


def test_a_network_of_single_pixels_is_found():
    """Without Flatten J is 1,568: few images will do."""
    train, test = (part[:500] for part in images())
    model = faults.not_flattened(0)
    model.compile("adam", objective=vh.sgvb_b)
    model.fit(vh.batches(images()[0][:5000], 100, seed=0), epochs=1, verbose=0)
    assert "bound below the average image" in vh.checkup(model, train, test).faults


@pytest.mark.parametrize("name", ["bytes_as_pixels", "pixels_around_zero", "standardised"])
def test_pixels_outside_the_range_are_found_without_training(name):
    assert "pixel range" in checked(name, faults.dense(0)).faults


def test_inverted_pictures_show_on_images_the_right_way_round():
    model = trained("inverted")
    assert "inverted pictures" in checked("inverted", model, faults.as_it_is).faults
    assert "inverted pictures" not in checked("inverted", model).faults


def test_test_images_in_training_are_found():
    found = finding(checked("test_images_in_training", trained("honest")), "test images in training")
    assert found.level == "fault" and found.value == 1


def test_a_log_of_a_clipped_sigmoid_shows_once_it_has_ended_in_nan():
    """Until then the model is as good as any; chapter 7 has it train for long enough."""
    model = faults.dense(0)
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    checkup = checked("log_of_clipped_sigmoid", model)
    assert checkup.faults == ("finite numbers",)
    assert math.isnan(finding(checkup, "inference gap").value)
    assert "finite outputs" in finding(checkup, "inference gap").measured


# --- what is healthy is left alone ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["honest", "honest_of_20", "honest_dropout", "batch_normalised"])
def test_a_healthy_model_has_no_fault(name):
    assert checked_once(name).faults == ()


def test_the_stored_systems_have_no_fault():
    runs = [run for name in faults.SYSTEMS for run in vh.stored(f"healthy-{name}")]
    assert {run["system"] for run in runs} == set(faults.SYSTEMS)
    assert len(runs) == 15
    assert all(run["examined"]["uncommitted_changes"] is False for run in runs)
    assert [level for run in runs for level, _ in run["findings"].values() if level == "fault"] == []


@pytest.mark.parametrize("likelihood", ["gaussian", "continuous_bernoulli"])
def test_a_density_is_looked_over_too(likelihood):
    x = vh.load_mnist().train[:3000, ::2, ::2].astype(np.float32) / 255
    model = vh.mlp_vae(hidden=(64,), likelihood=likelihood, image_shape=(14, 14, 1), seed=0)
    model.compile("adam", objective=vh.sgvb_b)
    model.fit(vh.batches(x[:2000], 100, seed=0), epochs=3, verbose=0)
    checkup = vh.checkup(model, x[:2000], x[2000:])
    assert finding(checkup, "density above one").level == "note"
    assert ("pixel scale" in [found.name for found in checkup.findings]) == (likelihood == "gaussian")
    black_and_white = (x > 0.5).astype(np.float32)
    assert finding(vh.checkup(model, black_and_white, black_and_white), "pixel kind").level == "note"


def test_a_fixed_sigma_is_no_loss_gone_wrong():
    """A mean-squared error is a Gaussian of one σ: its rival, the average image, may not be more certain of a pixel."""
    x = vh.load_mnist().train[:1500, ::2, ::2].astype(np.float32) / 255
    network = vh.mlp_vae(hidden=(64,), image_shape=(14, 14, 1), seed=0)
    z = keras.Input((2,))
    means = network.decoder(z)
    decoder = keras.Model(z, keras.layers.Concatenate()([means, keras.ops.full_like(means, math.log(0.5))]))
    model = vh.VAE(network.encoder, decoder, likelihood="gaussian", seed=0)
    model.compile(keras.optimizers.Adam(0.005), objective=vh.sgvb_b)
    model.fit(vh.batches(x[:1000], 50, seed=0), epochs=20, verbose=0)
    assert finding(vh.checkup(model, x[:1000], x[1000:]), "bound below the average image").level == "ok"


def test_grey_levels_divided_twice_are_noticed():
    train, test = (part[:300] / np.float32(255) for part in images())
    found = finding(vh.checkup(faults.dense(0), train, test), "brightest pixel")
    assert found.level == "fault" and found.measured == "0.996 below white"
    train[0, 0, 0] = np.nan
    by_name = {one.name: one.level for one in vh.checkup(faults.dense(0), train, test).findings}
    assert by_name["brightest pixel"] == "ok" and by_name["pixel range"] == "fault"


# --- what it promises ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["batch_normalised", "dropout_left_on"])
def test_nothing_of_the_model_changes(name):
    model = trained(name)
    optimizer, function = model.optimizer, model.train_function
    variables = [*model.variables, *model._noise_states()]
    before = [variable.numpy() for variable in variables]
    checked(name, model)
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, variables, strict=True))
    assert model.optimizer is optimizer and model.train_function is function
    assert model.optimizer.iterations == 200 * EPOCHS.get(name, 2)


def test_sets_sorted_by_class_raise_no_alarm():
    """A folder is read class by class: the first 10,000 images of such a set, as many as are looked at, are alike."""
    mnist = vh.load_mnist()
    labels = mnist.train_labels, mnist.test_labels
    train, test = (part[np.argsort(of, kind="stable")] for part, of in zip(faults.data(), labels, strict=True))
    from_ones = np.searchsorted(np.sort(mnist.train_labels), 1)
    checkup = vh.checkup(trained("honest"), np.roll(train, -from_ones, axis=0), test)
    assert checkup.faults == ()
    assert finding(checkup, "training images score higher").level == "ok"


def test_what_is_compared_has_the_same_noise():
    """A look after others, and on the same images, is the first look again."""
    symptoms = Symptoms(trained("honest"), *(part[:300] for part in faults.data()), seed=0)
    first = symptoms.look(symptoms.test)
    symptoms.look(symptoms.some_train)
    assert np.array_equal(symptoms.look(symptoms.test).elbo, first.elbo)


def test_the_same_seed_finds_the_same():
    twice = checked_once("honest"), checked("honest", trained("honest"))
    values = [[found.value for found in checkup.findings] for checkup in twice]
    assert np.array_equal(*values, equal_nan=True)


def test_sets_too_small_cannot_tell():
    train, test = images()
    checkup = vh.checkup(trained("honest"), train[:50], test[:50])
    by_name = {found.name: found for found in checkup.findings}
    for name in ("unused latents", "samples against reconstructions", "training images score higher"):
        assert by_name[name].level == "note" and math.isnan(by_name[name].value)
        assert "cannot tell" in by_name[name].measured and "images" in by_name[name].measured
        assert by_name[name].advice == ""  # of what cannot be told
    assert by_name["pixel range"].level == "ok"
    assert checkup.faults == ()


def test_images_that_do_not_fit_are_refused():
    train, test = images()
    with pytest.raises(ValueError, match=r"train: expected an array \['n', 28, 28, 1\]"):
        vh.checkup(faults.dense(0), train[..., 0], test)
    with pytest.raises(ValueError, match=r"test: .*n at least 1"):
        vh.checkup(faults.dense(0), train, test[:0])


def test_integers_are_grey_levels_as_everywhere_in_the_package():
    """What `vh.batches` divides by 255 is no fault; the same numbers as floats are."""
    grey = vh.load_mnist().test[:300]
    checkup = vh.checkup(faults.dense(0), grey, grey)
    assert finding(checkup, "pixel range").level == "ok" and finding(checkup, "pixel kind").level == "note"
    as_floats = grey.astype(np.float32)
    assert finding(vh.checkup(faults.dense(0), as_floats, as_floats), "pixel range").value == 254


def test_the_table_puts_the_gravest_first():
    checkup = checked_once("pixels_averaged")
    table = checkup._repr_markdown_().splitlines()
    assert table[0].startswith("| level | finding") and table[2].startswith("| fault |")
    fault = next(found for found in checkup.findings if found.level == "fault")
    row = f"| fault | {fault.name}: {fault.measured} | {fault.advice} {fault.section} | {fault.expected}: {fault.why} |"
    assert table[2] == row
    assert table[-1].startswith("Nothing wrong with: ") and "pixel range" in table[-1]
    assert str(checkup).splitlines()[0].startswith("fault") and fault.advice in str(checkup).splitlines()[0]
    fine = next(found for found in checkup.findings if found.level == "ok")
    assert fine.name in str(checkup) and fine.advice not in str(checkup)
    assert len(str(checkup).splitlines()) == len(checkup.findings)


def test_every_finding_has_its_measure_and_all_its_words():
    measures = {name for name in vars(Symptoms) if not name.startswith("_")}
    helpers = {"look", "tested", "used", "codes"}
    assert measures - helpers == set(_FINDINGS)
    for words in _FINDINGS.values():
        assert set(words) == {"name", "number", "unit", "note", "fault", "why", "advice", "section", "least"}
        assert words["note"] <= words["fault"]
        assert words["number"].format(0.5)
    assert len({words["name"] for words in _FINDINGS.values()}) == len(_FINDINGS)


def test_the_sections_that_findings_name_are_there():
    notebooks = Path(__file__).parents[1] / "notebooks"
    for words in _FINDINGS.values():
        chapter = int(words["section"].split(".")[0])
        (script,) = notebooks.glob(f"{chapter:02d}_*.py")
        assert f"## {words['section']} " in script.read_text(encoding="utf-8")


def test_networks_from_elsewhere_are_looked_over():
    x, z = keras.Input((28, 28, 1)), keras.Input((3,))
    heads = keras.layers.Dense(6)(keras.layers.Flatten()(x))
    logits = keras.layers.Reshape((28, 28, 1))(keras.layers.Dense(784)(z))
    model = vh.VAE(keras.Model(x, heads), keras.Model(z, logits))
    assert "bound below the average image" in vh.checkup(model, *images()).faults
