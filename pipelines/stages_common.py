"""Stages that every trained segmenter has alike: its training, its masks, their scores, and its curve."""

from collections.abc import Callable

from assets.framework.stage import Outcome, Stage, Work
from assets.knobs_old import Knobs, NoKnobs, ScoreKnobs

Body = Callable[[Work], Outcome]


def segmenter(body: Body, *, version: int, knobs: type[Knobs], needs: tuple[str, ...]) -> Stage:
    """A training whose batches several processes may share."""
    return Stage(
        name=body.__name__,
        version=version,
        run=body,
        knobs=knobs,
        needs=needs,
        gpu=True,
        trains=True,
        kinds=frozenset({"pytorch"}),
    )


def measured(trained: str, *, predict: Body, score: Body, version: int) -> tuple[Stage, Stage]:
    """Predictions of the model of the stage `trained`, and their scores; `version` is that of the scores."""
    return (
        Stage(
            name=predict.__name__,
            version=1,
            run=predict,
            knobs=NoKnobs,
            needs=("references", trained),
            gpu=True,
            kinds=frozenset({"pytorch", "parquet"}),
        ),
        Stage(
            name=score.__name__,
            version=version,
            run=score,
            knobs=ScoreKnobs,
            needs=("references", predict.__name__, "ground_truth"),
        ),
    )


def curve(trained: str, body: Body) -> Stage:
    """Precision and recall over every threshold; it judges: no model and no mask reads it."""
    return Stage(
        name=body.__name__,
        version=1,
        run=body,
        knobs=NoKnobs,
        needs=("references", trained, "ground_truth"),
        gpu=True,
        kinds=frozenset({"pytorch", "parquet"}),
    )
