"""What ails a trained VAE: a list of findings, each with what was measured, what was expected, and what to do."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .data import binarize
from .expect import expect
from .model import VAE, check_vae, unchanged
from .results import table
from .symptoms import Symptoms

# By the name of a measure in `Symptoms`: how it is shown, its two thresholds and what they mean.
_FINDINGS = tomllib.loads(Path(__file__).with_name("checkup.toml").read_text(encoding="utf-8"))
# What can be told though the outputs are not finite.
_OF_IMAGES = ("outside", "dark", "wrong_kind", "leaked", "not_finite")


class Finding(NamedTuple):
    """One row of a check-up.

    Attributes:
        name: what was looked at.
        value: what was measured: small in a healthy model, NaN where it cannot be told.
        level: `"ok"`, `"note"` (worth knowing, or it cannot be told) or `"fault"`.
        measured: the value in words.
        expected: the threshold in words.
        why: the reason for the threshold.
        advice: what it means and what to do; empty where it cannot be told.
        section: where the book explains it.
    """

    name: str
    value: float
    level: str
    measured: str
    expected: str
    why: str
    advice: str
    section: str

    def __str__(self) -> str:
        advice = f" {self.advice} Section {self.section}." if self.advice and self.level != "ok" else ""
        return f"{self.level:5}  {self.name}: {self.measured}; {self.expected}, {self.why}.{advice}"


class Checkup:
    """The findings of `checkup`, the gravest first: printed, a line each; as the last line of a cell, a table.

    Attributes:
        findings: a tuple of `Finding`.
        faults: the names of those at the level `"fault"`.
    """

    def __init__(self, findings: tuple[Finding, ...]):
        self.findings = findings
        self.faults = tuple(finding.name for finding in findings if finding.level == "fault")

    def __repr__(self) -> str:
        return "\n".join(map(str, self.findings))

    def _repr_markdown_(self) -> str:
        row = "{0.level}", "{0.name}: {0.measured}", "{0.advice} {0.section}", "{0.expected}: {0.why}"
        rows = [[cell.format(finding) for cell in row] for finding in self.findings if finding.level != "ok"]
        fine = ", ".join(finding.name for finding in self.findings if finding.level == "ok")
        return f"{table(['level', 'finding', 'what to do', 'expected'], rows)}\n\nNothing wrong with: {fine}."


def checkup(model: VAE, train: np.ndarray, test: np.ndarray, seed: int = 0) -> Checkup:
    """Looks a trained model over: its images, bound, latents, samples, networks and their modes.

    The networks see at most 10,000 images of each set, drawn at random. With too few images a finding says that it
    cannot tell. Values outside [0, 1] are let in, and found. Nothing of the model changes: no weight, no noise, nothing
    that was compiled.

    Args:
        model: any `VAE` of images alone, so any two Keras models of one input and one output each; it need not have
            been trained here.
        train: the images it was trained on, as it was given them, [n, H, W, C]; uint8: grey levels, as ever.
        test: images it has not seen, treated in the same way.
        seed: of the noise and of the images drawn.

    Returns:
        `.findings`, and `.faults`, the names of the grave ones; printed, it is the table.

    Raises:
        TypeError: the model is no `VAE`.  ValueError: it is a `ConditionalVAE`; or images of another shape than the
            model's, or none.

    Example:
        >>> x_train, x_test = (vh.binarize(x, "threshold") for x in (images.train, images.test))
        >>> vh.checkup(model, x_train, x_test)
    """
    check_vae(model)
    expect(model.classes is None, "model: expected a VAE of images alone; a ConditionalVAE cannot be looked over yet.")
    sets = [_as_given(images, model, name) for images, name in ((train, "train"), (test, "test"))]
    with unchanged(model), np.errstate(all="ignore"):
        symptoms = Symptoms(model, *sets, seed)
        found = [_judged(symptoms, measure, **finding) for measure, finding in _FINDINGS.items()]
    return Checkup(tuple(sorted(filter(None, found), key=lambda finding: ("fault", "note", "ok").index(finding.level))))


def _as_given(images: np.ndarray, model: VAE, name: str) -> np.ndarray:
    images = np.asarray(images)
    shape, needs = list(images.shape), f"an array {['n', *model.image_shape]}, n at least 1"
    fits = images.ndim == 4 and shape[1:] == list(model.image_shape) and len(images) > 0
    expect(fits, f"{name}: expected {needs}, got {shape}; [..., None] adds a channel.")
    return binarize(images, "none") if images.dtype == np.uint8 else images.astype(np.float32, copy=False)


def _judged(symptoms: Symptoms, measure: str, number: str, unit: str, note: float, fault: float, least: int, **words):
    """The finding of one measure, shown in the format `number`; None where it does not apply."""
    images = min(len(symptoms.train), len(symptoms.test))
    value = getattr(symptoms, measure)() if images >= least else math.nan
    needs = f"at least {least:,} images" if images < least else "images in [0, 1] whose posteriors overlap"
    if value is None:
        return None
    if measure not in _OF_IMAGES and symptoms.not_finite() > 0:
        value, needs = math.nan, "finite outputs"
    level = "fault" if value > fault else "note" if value > note or math.isnan(value) else "ok"
    shown = f"{number.format(value)} {unit}".replace("-", "−")
    measured, expected = f"cannot tell, needs {needs}" if math.isnan(value) else shown, f"at most {number.format(note)}"
    words["advice"] = "" if math.isnan(value) else words["advice"]
    return Finding(value=float(value), level=level, measured=measured, expected=expected, **words)
