"""What a label is worth: the same VAE with and without it, on MNIST; for chapter 8.

    python experiments/own_labels.py            # whatever is missing in experiments/results
    python experiments/own_labels.py --seed 0

Both models are trained as in `own_data.py`. The result is `own-labels-seedN.json`.
"""

from __future__ import annotations

import argparse
import math
import time

import vae_helpers as vh  # before Keras and TensorFlow: it silences their start-up lines

import keras  # isort: skip
import numpy as np
from own_data import DIGITS, RESULTS, SEEDS, WEIGHTS, trained
from run import adam, provenance, write

CLASSES = 10
IMAGES, SAMPLES = 500, 200  # test images, and k of log p
DRAWN = 1000  # pictures of each digit that the classifier reads


def conditional(seed: int) -> vh.ConditionalVAE:
    """The model given labels, from its kept weights if they are there."""
    model = vh.mlp_vae(latent_dim=20, hidden=(512, 256), classes=CLASSES, seed=seed)
    kept = WEIGHTS / f"own-labels-seed{seed}.weights.h5"
    if kept.exists():
        model.load_weights(kept)
        return model
    mnist = vh.load_mnist()
    model.compile(adam(1e-3)(), objective=vh.sgvb_b)
    training = vh.batches(mnist.train, 100, "dynamic", seed=seed, labels=mnist.train_labels)
    model.fit(training, epochs=DIGITS.epochs, verbose=0)
    model.save_weights(kept)
    return model


def classifier(seed: int) -> keras.Model:
    """A small convolutional network that reads binarised digits; it has seen no picture of a VAE."""
    mnist = vh.load_mnist()
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *(layer for n in (16, 32) for layer in (layers.Conv2D(n, 3, activation="relu"), layers.MaxPooling2D())),
            layers.Flatten(),
            layers.Dropout(0.3, seed=seed),
            layers.Dense(CLASSES),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    training = vh.batches(mnist.train, 100, "dynamic", seed=seed, labels=mnist.train_labels)
    model.fit(training, epochs=2, verbose=0, shuffle=False)
    return model


def drawn_digits(model: vh.ConditionalVAE, seed: int, codes: np.ndarray | None = None) -> np.ndarray:
    """Pictures of each digit, every pixel drawn from p(x | z, y), as the training images are.

    codes: z of test images [n, J], decoded with each label; `None`: z from the prior.

    Returns:
        float32 [10, n, 28, 28, 1] of 0 and 1.
    """
    pictures = []
    for digit in range(CLASSES):
        with model.given(digit):
            means = model.sample(DRAWN, seed=seed) if codes is None else model.likelihood(codes).mean()
        pictures.append(vh.binarize(means.numpy(), "fixed", seed=seed))
    return np.stack(pictures)


def measure(seed: int) -> dict:
    """What `own-labels-seedN.json` keeps."""
    mnist, model, plain = vh.load_mnist(), conditional(seed), trained("digits", seed)
    test, labels = vh.binarize(mnist.test, "fixed", seed=0), mnist.test_labels
    some, some_labels = test[:IMAGES], labels[:IMAGES]
    read = classifier(seed)

    def right(pictures: np.ndarray, wanted: np.ndarray) -> float:
        return float(np.mean(read.predict(pictures, verbose=0).argmax(axis=1) == wanted))

    # log p(x | y) for every y, one row a digit: their mean over y is log p(x), their largest the digit that it reads.
    each = np.stack([vh.log_likelihood(model, some, SAMPLES, labels=np.full(IMAGES, y)) for y in range(CLASSES)])
    log_p = np.logaddexp.reduce(each, axis=0) - math.log(CLASSES)
    with model.given(labels[:DRAWN]):
        codes = model.posterior(test[:DRAWN]).sample(seed=[seed, 1])
        same_label = vh.binarize(model.likelihood(codes).mean().numpy(), "fixed", seed=seed)
    from_prior, from_codes = (
        [right(pictures, np.full(DRAWN, digit)) for digit, pictures in enumerate(drawn_digits(model, seed, z))]
        for z in (None, codes)
    )
    return {
        "images": IMAGES,
        "samples": SAMPLES,
        "drawn": DRAWN,
        "elbo": vh.elbo(plain, test),
        "elbo_given_label": vh.elbo(model, test, labels=labels),
        "kl": float(vh.kl_per_dimension(plain, test).sum()),
        "kl_given_label": float(vh.kl_per_dimension(model, test, labels=labels).sum()),
        "active_units": vh.active_units(plain, test),
        "active_units_given_label": vh.active_units(model, test, labels=labels),
        "log_p": float(vh.log_likelihood(plain, some, SAMPLES).mean()),
        "log_p_given_label": float(each[some_labels, np.arange(IMAGES)].mean()),
        "log_p_over_labels": float(log_p.mean()),
        "read_by_bayes": float(np.mean(each.argmax(axis=0) == some_labels)),
        "read_by_classifier": right(test, labels),
        "asked_for": float(np.mean(from_prior)),
        "asked_for_by_digit": from_prior,
        "asked_for_with_codes": float(np.mean(from_codes)),
        "same_label_with_codes": right(same_label, labels[:DRAWN]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, action="append", help=f"default: {SEEDS}")
    WEIGHTS.mkdir(exist_ok=True)
    for seed in parser.parse_args().seed or SEEDS:
        path = RESULTS / f"own-labels-seed{seed}.json"
        if path.exists():
            print(f"{path.name} is there")
            continue
        begun, start = provenance(), time.monotonic()
        settings = {"seed": seed, "epochs": DIGITS.epochs, "batch_size": 100}
        write(path, settings | measure(seed) | {"provenance": begun})
        print(f"{path.name}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
