"""The page of an experiment: Segment, Select, Correct, and the trained segmenters beside it."""

from assets.data.stages import GROUND_TRUTH, REFERENCES
from assets.framework.stage import Stage
from assets.meres.stages import SEGMENTERS as MERES_SEGMENTERS
from assets.reports.knobs import ReportKnobs
from assets.ssc.stages import (
    CANDIDATE_MASKS,
    CHOICE_SCORES,
    MASK_CHOICES,
    NOUN_PHRASES,
    PROJECTED_CLASSES,
    ZS_BOOTSTRAP,
)
from assets.ssc.stages import SEGMENTERS as LAVTS

SHOWN = (*LAVTS, *MERES_SEGMENTERS)
"""Models that the page knows; ZSBootstrap is there unless nothing is trained for it."""


def report_needs(knobs: ReportKnobs) -> tuple[Stage, ...]:
    """ZSBootstrap and the models that are asked for, their predictions and their scores."""
    known = {model.trained.name: model for model in SHOWN}
    wanted = (known[name] for name in ((ZS_BOOTSTRAP.name, *knobs.segmenters) if knobs.trained else ()))
    return tuple(stage for model in wanted for stage in (model.trained, model.predictions, model.scores))


REPORT = Stage(
    name="report",
    body="assets.reports.report:report",
    version=5,
    knobs=ReportKnobs,
    needs=(
        REFERENCES,
        GROUND_TRUTH,
        NOUN_PHRASES,
        PROJECTED_CLASSES,
        CANDIDATE_MASKS,
        MASK_CHOICES,
        CHOICE_SCORES,
    ),
    also_needs=report_needs,
    kinds=frozenset({"html"}),
    description="One page: the table, what each stage made of a dozen referents, and the loss curves. Open "
    "`report.html`.",
)
STAGES = (REPORT,)
