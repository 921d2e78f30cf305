"""The patients of lab 4: each suspect is what its words say, and each patient has the fault that the lab asks for."""

import base64
import importlib.util
import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_helpers as vh

LABS = Path(__file__).parents[1] / "course/labs"
specification = importlib.util.spec_from_file_location("lab4_models", LABS / "lab4_models.py")
models = importlib.util.module_from_spec(specification)
specification.loader.exec_module(models)


@pytest.fixture(scope="module")
def model():
    """Untrained, but its decoder minds z."""
    model = vh.mlp_vae(latent_dim=6, hidden=(16,), seed=0)
    model.set_weights([4 * weight for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def x():
    return (np.random.default_rng(0).random((20, 28, 28, 1)) < 0.2).astype(np.float32)


def value(fault, model, x):
    """The loss of each image, with the noise of one seed."""
    with model.using(keras.random.SeedGenerator(1)):
        return models._loss_with(fault)(model, x).numpy()


def test_patients_have_the_faults_that_the_lab_asks_for():
    dealt = json.loads(base64.b64decode(models._PATIENTS))
    source = (LABS / "lab4.py").read_text("utf-8")
    answers = dict(re.findall(r'^fault_(\w) = "(\w+)"  # SOLUTION$', source, re.M))
    assert {name.lower(): fault for name, fault in dealt.items() if fault} == answers
    assert len(answers) == 5 and set(answers.values()) <= set(models.SUSPECTS)
    for name, fault in answers.items():  # the hidden tests know the same answers
        assert re.search(rf'fault_{name}\b.*== .*"{fault}"', source), name


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="expected one of A, B"):
        models.patient("F")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "recognised"),
    [("", "elbo"), ("kl_averaged", "kl_averaged_over_latents"), ("pixels_averaged", "pixels_averaged")],
)
def test_the_weight_of_a_term(fault, recognised, model, x):
    assert vh.explain_loss(models._loss_with(fault), model, x).recognised == recognised


def test_the_kl_twice_and_no_noise(model, x):
    kl = vh.kl_per_dimension(model, x).sum()
    np.testing.assert_allclose((value("half_dropped", model, x) - value("", model, x)).mean(), kl, rtol=1e-3)
    at_the_mean = -model.likelihood(model.posterior(x).mean()).log_prob(x)
    np.testing.assert_allclose(value("no_noise", model, x).mean(), np.mean(at_the_mean) + kl, rtol=1e-4)


def test_wrong_pairs_show_beside_other_images_only(model, x):
    assert np.abs(value("wrong_pairs", model, x) - value("", model, x)).mean() > 10
    np.testing.assert_allclose(value("wrong_pairs", model, x[:1]), value("", model, x[:1]), rtol=1e-5)


def test_a_cut_gradient_has_the_value_and_leaves_the_encoder_the_kl(model, x):
    def kl(model, x):
        q = model.posterior(x)
        return tf.reduce_sum(0.5 * (q.mean() ** 2 + q.variance() - 1) - tf.math.log(q.stddev()), axis=1)

    np.testing.assert_allclose(value("gradient_cut", model, x), value("", model, x), rtol=1e-5)
    gradients = []
    for loss in (models._loss_with("gradient_cut"), kl):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(loss(model, x))
        gradients.append(tape.gradient(total, model.encoder.trainable_variables[-1]).numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-4)


@pytest.mark.parametrize(("fault", "head"), [("relu_on_mean", 0), ("relu_on_log_variance", 1)])
def test_a_relu_sits_on_its_head(fault, head, model, x):
    before, after = (np.split(one.encoder(x).numpy(), 2, axis=1) for one in (model, models._with_relu(model, fault)))
    assert before[head].min() < 0
    np.testing.assert_allclose(after[head], np.maximum(before[head], 0), rtol=1e-5)
    np.testing.assert_allclose(after[1 - head], before[1 - head], rtol=1e-5)


def test_what_reaches_the_network(x):
    train, test = x[:15], x[15:]
    np.testing.assert_array_equal(models._as_trained_on("", train, test), train)
    np.testing.assert_array_equal(models._as_trained_on("test_images_in_training", train, test), x)
    np.testing.assert_array_equal(models._as_trained_on("inverted", train, test), 1 - train)
    same = [
        np.array_equal(*pair) for pair in zip(models._as_trained_on("half_mirrored", train, test), train, strict=True)
    ]
    assert 4 <= sum(same) <= 11
