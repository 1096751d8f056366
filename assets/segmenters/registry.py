"""What every trained segmenter brings with it: its masks, their scores and its precision-recall curve, as stages.

A method registers a model by one call; pages, tables and the command line go through the registry, never by name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from assets.data.stages import GROUND_TRUTH, REFERENCES
from assets.evaluation.knobs import ScoreKnobs
from assets.framework.knobs import NoKnobs
from assets.framework.stage import Stage
from assets.segmenters.knobs import TrainingKnobs

TRAINED = frozenset({"pytorch"})
COMPUTED = frozenset({"pytorch", "parquet"})


@dataclass(frozen=True, kw_only=True)
class TrainedSegmenter:
    """A model that gives a mask to an (image, expression) pair, and the stages that follow from it."""

    trained: Stage
    """The stage that trains it."""
    method: str
    """Its name in tables and on pages."""
    predictions: Stage
    scores: Stage
    curve: Stage
    open: str
    """`"module:function"`: (trained artifact, knobs of the predictions, runtime) -> `answers.Segment`."""
    network: str
    """`"module:function"`: trained artifact -> `onnx_networks.OnnxNetwork`."""


def epoch_needs(knobs: TrainingKnobs) -> tuple[Stage, ...]:
    """Ground truth, only where it picks the epoch."""
    return (GROUND_TRUTH,) if knobs.select == "best_on_val" else ()


def training(
    name: str,
    *,
    body: str,
    version: int,
    knobs: type[TrainingKnobs],
    needs: tuple[Stage, ...],
    description: str,
    also_needs: Callable[[Any], tuple[Stage, ...]] = epoch_needs,
) -> Stage:
    """The declaration of a training whose batches several processes may share."""
    return Stage(
        name=name,
        body=body,
        version=version,
        knobs=knobs,
        needs=needs,
        also_needs=also_needs,
        description=description,
        gpu=True,
        trains=True,
        kinds=TRAINED,
    )


def referring_segmenter(trained: Stage, method: str, *, prefix: str, scores_version: int = 1) -> TrainedSegmenter:
    """The stages of a model that `assets.segmenters.fit` trains; names of stages begin with `prefix`."""
    predictions = Stage(
        name=f"{prefix}predictions",
        body="assets.segmenters.predict:predictions",
        version=1,
        knobs=NoKnobs,
        needs=(REFERENCES, trained),
        gpu=True,
        kinds=COMPUTED,
        description=f"The mask of {method} for every expression of the scored splits, at the model's size and at the "
        "image's.",
    )
    scores = Stage(
        name=f"{prefix}scores",
        body="assets.evaluation.iou_scores:scores",
        version=scores_version,
        knobs=ScoreKnobs,
        needs=(REFERENCES, predictions, GROUND_TRUTH),
        description=f"{method} per expression, at the model's size (the papers' headline) and at the image's own.",
    )
    curve = Stage(
        name=f"{prefix}curve",
        body="assets.evaluation.precision_recall:curve",
        version=1,
        knobs=NoKnobs,
        needs=(REFERENCES, trained, GROUND_TRUTH),
        gpu=True,
        kinds=COMPUTED,
        description=f"Precision and recall of the pixels of {method} over all thresholds, and the area below (AUC-PR).",
    )
    return TrainedSegmenter(
        trained=trained,
        method=method,
        predictions=predictions,
        scores=scores,
        curve=curve,
        open="assets.segmenters.inference:open_referring_segmenter",
        network="assets.segmenters.onnx_networks:referring_network",
    )
