"""Odd images: scores that a VAE gives an image, and how well each tells odd from ordinary. `own_data.py` runs this.

Images are binary, float32 [n, 28, 28, 1]. Every score is higher the odder an image looks to it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import vae_helpers as vh  # before Keras and TensorFlow: it silences their start-up lines

import keras  # isort: skip
import numpy as np
import tensorflow as tf
from PIL import Image

ORDINARY, ODD = 2000, 1000  # test images of the kind that the model knows, and of each odd kind
SAMPLES = 200  # k of log p(x)
KNOWN = 10_000  # training images that codes and neighbours are compared with; ODD of them for the typical log p(x)
FALSE_ALARMS = 0.05  # what the threshold is set for, on the first half of the ordinary images
REPLACED = 0.2  # share of the pixels that a background model sees replaced by coins
HELD_OUT = 4  # the digit that one model has never seen
ALARMS = np.round(np.linspace(0, 1, 51) ** 2, 4)  # shares of false alarms that ROC curves are kept at
BLOT = 8  # side of the white square, in pixels
CURVES = ("log p(x)", "reconstruction", "complexity-corrected")  # whose ROC curves are kept

# --- what models are trained on ------------------------------------------------------------------------------------


def digits(seed: int = 0) -> np.ndarray:
    return vh.load_mnist().train


def clothes(seed: int = 0) -> np.ndarray:
    return vh.load_fashion_mnist().train


def other_digits(seed: int = 0) -> np.ndarray:
    images = vh.load_mnist()
    return images.train[images.train_labels != HELD_OUT]


def background_bound(model, x, samples=1):
    """Estimator B of images a fifth of whose pixels are coins: they
    keep the background, not the content (Ren et al. 2019, section 3).
    """
    shape = tf.shape(x)
    chance = tf.random.stateless_uniform(shape, model.next_seed())
    coin = tf.round(tf.random.stateless_uniform(shape, model.next_seed()))
    return vh.sgvb_b(model, tf.where(chance < REPLACED, coin, x), samples)


# --- scores --------------------------------------------------------------------------------------------------------


def png_nats(x):
    """What a general compressor needs for an image, nats [n]: the size
    of a PNG of one bit a pixel (Serrà et al. 2020, section 3)."""
    sizes = []
    for image in x[..., 0] > 0:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "png", optimize=True)
        sizes.append(8 * file.tell())  # bits
    return math.log(2) * np.array(sizes)


def distance_of_code(model, x, train):
    """Squared Mahalanobis distance of μ(x) from the codes of training
    images, [n]."""
    codes = model.posterior(train).mean().numpy()
    inverse = np.linalg.inv(np.cov(codes.T))
    away = model.posterior(x).mean().numpy() - codes.mean(axis=0)
    return np.einsum("ni,ij,nj->n", away, inverse, away)


def nearest_distance(x, train):
    """In how many pixels the nearest training image differs, [n]: no
    model at all."""
    x, train = x.reshape(len(x), -1), train.reshape(len(train), -1)
    both = x.sum(axis=1)[:, None] + train.sum(axis=1)
    return np.min(both - 2 * x @ train.T, axis=1)


def bound_terms(model: vh.VAE, x: np.ndarray, samples: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Reconstruction term and KL of each image, nats [n]."""
    reconstruction, kl = [], []
    for part in np.split(x, range(250, len(x), 250)):
        with model.using(keras.random.SeedGenerator(0)) as reported:
            vh.sgvb_b(model, part, samples)
        reconstruction.append(reported["reconstruction"])
        kl.append(reported["kl"])
    return np.concatenate(reconstruction), np.concatenate(kl)


def oddness(model: vh.VAE, background: vh.VAE | None, x: np.ndarray, train: np.ndarray) -> dict[str, np.ndarray]:
    """Scores by name, [n] each. train: binary training images."""
    log_p, (reconstruction, kl), png = vh.log_likelihood(model, x, SAMPLES), bound_terms(model, x), png_nats(x)
    typical = vh.log_likelihood(model, train[:ODD], SAMPLES).mean()
    scores = {
        "log p(x)": -log_p,
        "ELBO": kl - reconstruction,
        "reconstruction": -reconstruction,
        "KL": kl,
        "typicality": np.abs(log_p - typical),  # Nalisnick et al. (2019, "typicality"), of a single image
        "complexity-corrected": -log_p - png,  # Serrà et al. (2020)
        "PNG alone": png,
        "log p(x) − ELBO": log_p - (reconstruction - kl),  # how badly the encoder does: akin to Xiao et al. (2020)
        "distance of the code": distance_of_code(model, x, train),
        "nearest training image": nearest_distance(x, train),
    }
    if background is not None:  # Ren et al. (2019)
        scores["likelihood ratio"] = vh.log_likelihood(background, x, SAMPLES) - log_p
    return scores


# --- odd images ----------------------------------------------------------------------------------------------------


def turned(x: np.ndarray) -> np.ndarray:
    """By 90 degrees, to the left."""
    return np.rot90(x, axes=(1, 2)).copy()


def blotted(x: np.ndarray) -> np.ndarray:
    """With a white square each, somewhere within the middle 20 by 20 pixels."""
    corners = np.random.default_rng(0).integers(4, 24 - BLOT, size=[len(x), 2], endpoint=True)
    x = x.copy()
    for image, (row, column) in zip(x, corners, strict=True):
        image[row : row + BLOT, column : column + BLOT] = 1
    return x


def cases() -> dict[str, dict[str, np.ndarray]]:
    """For the name of each model its ordinary test images and the odd ones by kind; the coins are always the same."""
    mnist, fashion = vh.load_mnist(), vh.load_fashion_mnist()
    is_held_out = mnist.test_labels == HELD_OUT

    def images(grey):
        return vh.binarize(grey, "fixed", seed=0)

    found = {}
    for name, own, other, others in (
        ("clothes", fashion.test, "digits", mnist.test),
        ("digits", mnist.test, "clothes", fashion.test),
    ):
        more = images(own[ORDINARY : ORDINARY + ODD])
        odd = {other: images(others[:ODD]), "turned": turned(more), "blotted": blotted(more)}
        found[name] = {"ordinary": images(own[:ORDINARY])} | odd
    seen, unseen = mnist.test[~is_held_out][:ORDINARY], mnist.test[is_held_out][:ODD]
    found["other-digits"] = {"ordinary": images(seen), f"the digit {HELD_OUT}": images(unseen)}
    return found


# --- judging -------------------------------------------------------------------------------------------------------


def area_under_curve(ordinary: np.ndarray, odd: np.ndarray) -> float:
    """The chance that an odd image scores above an ordinary one, where a tie counts one half: the AUC."""
    ordinary = np.sort(ordinary)
    below = np.searchsorted(ordinary, odd, "left") + np.searchsorted(ordinary, odd, "right")
    return float(below.mean() / (2 * len(ordinary)))


def judge(ordinary: np.ndarray, odd: np.ndarray) -> dict[str, float]:
    """AUC, and what a threshold set on the first half of the ordinary images does to the second half and to the odd."""
    first, second = np.split(ordinary, 2)
    threshold = np.quantile(first, 1 - FALSE_ALARMS)
    shares = {"false_alarms": float(np.mean(second > threshold)), "caught": float(np.mean(odd > threshold))}
    return {"auc": round(area_under_curve(ordinary, odd), 4)} | shares


def curve(ordinary: np.ndarray, odd: np.ndarray) -> list[float]:
    """The share of odd images caught at each of `ALARMS`."""
    return [round(float(np.mean(odd > threshold)), 3) for threshold in np.quantile(ordinary, 1 - ALARMS)]


def measure_odd(seed: int, trained: Callable[[str, int], vh.VAE]) -> dict:
    """What `own-odd-seedN.json` keeps; `trained` gives a model by its name in `own_data.RECIPES`."""
    result = {"ordinary_images": ORDINARY, "odd_images": ODD, "samples": SAMPLES, "replaced": REPLACED}
    result |= {"roc_false_alarms": ALARMS.tolist(), "cases": {}}
    shown = {"clothes": clothes, "digits": digits, "other-digits": other_digits}
    for name, kinds in cases().items():
        background = None if name == "other-digits" else trained(f"{name}-background", seed)
        train = vh.binarize(shown[name]()[:KNOWN], "fixed", seed=seed)
        scores = oddness(trained(name, seed), background, np.concatenate([*kinds.values()]), train)
        ends = np.cumsum([len(x) for x in kinds.values()])[:-1]
        by_kind = {which: dict(zip(kinds, np.split(values, ends), strict=True)) for which, values in scores.items()}
        case = {"mean_oddness": {kind: {} for kind in kinds}, "judged": {}, "roc": {}}
        for which, found in by_kind.items():
            ordinary = found["ordinary"]
            for kind, values in found.items():
                case["mean_oddness"][kind][which] = round(float(np.mean(values)), 2)
                if kind != "ordinary":
                    case["judged"].setdefault(kind, {})[which] = judge(ordinary, values)
                    if which in CURVES:
                        case["roc"].setdefault(kind, {})[which] = curve(ordinary, values)
        if seed == 0:  # for a picture
            case["log_p"] = {kind: np.rint(-x[:ODD]).astype(int).tolist() for kind, x in by_kind["log p(x)"].items()}
        result["cases"][name] = case
    return result
