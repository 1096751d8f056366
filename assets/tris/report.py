"""TRIS's page: scores, curves of both steps and of IRNet, and what each stage made of a dozen referents."""

from html import escape

from assets.framework.stage import Outcome, Stage
from assets.framework.work import Work
from assets.reports.html import (
    drawn,
    figure,
    loss_curve,
    quarantined,
    scores_html,
    slices_html,
    spread,
    toy_note,
    write_page,
)
from assets.tris.figures import TrisPictures
from assets.tris.knobs import TrisReportKnobs
from assets.tris.localisation_scores import HITS
from assets.tris.stages import (
    REFINED_LABELS,
    RESPONSE_SCORES,
    SEGMENTERS,
    TRIS_RESPONSE_MODEL,
    TRIS_SCORES,
    TRIS_SEGMENTER,
)

ORDER = ("TRIS Step 1", "PRMS", "refined labels", *(model.method for model in SEGMENTERS))
"""Methods as the stages follow each other."""
SCORED = (RESPONSE_SCORES, TRIS_SCORES)
TRAINED = {"Step 1": TRIS_RESPONSE_MODEL, "IRNet": REFINED_LABELS, "Step 2": TRIS_SEGMENTER}
LEGEND = (
    "<b>Step 1</b>: response to the first expression, from blue (none) to red (the image's strongest). "
    "<b>Selected</b>: the response that PRMS selected among those to all expressions of the referent. "
    "<b>Seeds</b>: what IRNet learns from, <i>red</i> the referent, <i>blue</i> background, <i>yellow</i> ignored. "
    "<b>Edges</b>: IRNet's probability of an edge, from blue (0) to red (1). "
    "<b>Refined label</b>: what Step 2 learns from. <b>Step 2</b>: its mask for the first expression. "
    "<b>Ground truth</b>: the annotated mask, which nothing learns from. Where nothing is tinted, there is no mask."
)


def tris_report(work: Work) -> Outcome:
    """One page of TRIS: scores, loss curves, and a dozen referents from response to mask. Open `report.html`."""
    pictures, count = TrisPictures(work), work.knobs_as(TrisReportKnobs).examples
    learnt = drawn(work, spread(pictures.training(), count), pictures.draw_training)
    scored = drawn(work, spread(pictures.scored(), count), pictures.draw_scored)
    parts = [_head(work), _scores(work)]
    parts += [loss_curve(f"Loss of {name}", work.input(stage)) for name, stage in _with_history(work).items()]
    parts += ["<h2>From response to label: training referents</h2>", f'<p class="note">{LEGEND}</p>']
    parts += [*map(figure, learnt), "<h2>Scored splits</h2>", *map(figure, scored)]
    parts += [slices_html(work, SCORED, order=ORDER), quarantined(work)]
    return write_page(work, parts, [*learnt, *scored])


def _head(work: Work) -> str:
    source = work.instance.source
    return (
        f"<p>TRIS, trained on the expressions of {escape(', '.join(source.train))} without ground-truth masks; scored "
        f"on {escape(', '.join(source.evaluate))}. Every training kept its last epoch.</p>" + toy_note(work)
    )


def _scores(work: Work) -> str:
    rows = [row for stage in SCORED for row in work.input(stage).table("summary").to_pylist()]
    return scores_html(rows, order=ORDER, columns=("split", "method", "per", "rows", "oIoU", "mIoU", "P@0.5", *HITS))


def _with_history(work: Work) -> dict[str, Stage]:
    """Name -> stage, for what was trained; labels may come without an IRNet."""
    return {name: stage for name, stage in TRAINED.items() if work.input(stage).has("history.parquet")}
