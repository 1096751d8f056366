"""The report: one HTML page per data set and experiment, readable without a server."""

from collections.abc import Callable
from html import escape

import numpy as np

from assets.data.tables import Pixels, Referent, candidates_of, referents_of
from assets.evaluation.iou_scores import truths_of
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.html import (
    RESOLUTIONS,
    drawn,
    figure,
    loss_curve,
    masked,
    quarantined,
    row_mask,
    scores_html,
    slices_html,
    spread,
    table_html,
    toy_note,
    write_page,
)
from assets.reports.knobs import ReportKnobs
from assets.ssc.correction_gallery import pictures, shares, watched_objects
from storage.artifact import Artifact

SEGMENTERS = (
    ("ZSBootstrap", "zs_bootstrap", "predictions", "scores"),
    ("S+S+C", "corrected", "corrected_predictions", "corrected_scores"),
    ("supervised", "supervised", "supervised_predictions", "supervised_scores"),
    ("MERES", "meres", "meres_predictions", "meres_scores"),
    ("MERES, matched", "meres_matched", "meres_matched_predictions", "meres_matched_scores"),
)
"""Name in tables; stages of the model, of its masks and of their scores. The first is always there."""
PANELS = (
    "From left to right: the image; S1, the candidates of the object's class, numbered; S2, the one that all sentences "
    "of the object chose, and the reason; what each trained model draws for the sentence below; the ground truth."
)
ORDER = ("random", "first", "S+S by each expression", "S+S", "oracle", *(name for name, *_ in SEGMENTERS))


def report(work: Work) -> Outcome:
    """One page: the table, what each stage made of a dozen objects, and the loss curves. Open `report.html`."""
    shown = spread(
        referents_of(work.inputs["references"], splits=work.instance.source.evaluate),
        work.knobs_as(ReportKnobs).examples,
    )
    gallery = drawn(work, shown, _drawer(work))
    parts = [_head(work), _scores(work), _text(work), _choice_reasons(work)]
    parts += [loss_curve(name, work.inputs[model]) for name, model, *_ in _segmenters(work)]
    parts += ["<h2>From expression to mask</h2>", f'<p class="note">{PANELS}</p>', *map(figure, gallery)]
    parts += [_mended(work), slices_html(work, _scored(work), order=ORDER), quarantined(work.inputs)]
    return write_page(work, parts, gallery)


def _head(work: Work) -> str:
    instance = work.instance
    selection = "; ".join(
        f"{name} by {work.inputs[model].manifest.metrics['epoch chosen by']}" for name, model, *_ in _segmenters(work)
    )
    taught = [name for name, model, *_ in _segmenters(work) if _learnt_from_drawn_masks(work.inputs[model])]
    seen = ["the supervised upper bound" if name == "supervised" else name for name in taught]
    except_for = f" but for {' and '.join(seen)}" if seen else ""
    return (
        f"<p>Trained on the splits {escape(', '.join(instance.source.train))} without drawn masks{except_for}; "
        f"scored on {escape(', '.join(instance.source.evaluate))}. Epochs were chosen: {escape(selection)}.</p>"
        + toy_note(work)
    )


def _learnt_from_drawn_masks(model: Artifact) -> bool:
    """Whether they were its labels; they may also have picked the epoch, which the page says in any case."""
    labels = model.manifest.metrics.get("labels", model.manifest.stage)
    return labels in ("ground_truth", "supervised")


def _scores(work: Work) -> str:
    rows = [row for stage in _scored(work) for row in work.inputs[stage].table("summary").to_pylist()]
    picks = "<i>random</i> and <i>oracle</i> pick among the same candidates, blindly and by the ground truth."
    columns = ("split", "method", "per", "resolution", "rows", "oIoU", "mIoU")
    thresholds = (f"P@0.{tenth}" for tenth in range(5, 10))
    return scores_html(rows, order=ORDER, columns=(*columns, *thresholds), note=f"{RESOLUTIONS} {picks}")


def _text(work: Work) -> str:
    rows = work.inputs["choice_scores"].table("text")
    return "<h2>Before the masks</h2>" + table_html(
        [{**row, "candidates_per_object": f"{row['candidates_per_object']:.2f}"} for row in rows.to_pylist()],
        rows.column_names,
    )


def _choice_reasons(work: Work) -> str:
    reasons = work.inputs["mask_choices"].manifest.metrics
    rows = [{"how an object's mask was chosen": name, "objects": count} for name, count in reasons.items()]
    return table_html(rows, ("how an object's mask was chosen", "objects"))


def _mended(work: Work) -> str:
    """How matching changed the choices of the training split, if there was any matching and anything is drawn."""
    if "corrected" not in work.inputs or not work.inputs["corrected"].has("matches.parquet"):
        return ""
    objects = watched_objects(work)
    if not objects:
        return ""
    found = pictures(work, objects, mended=6, spoiled=2)
    return (
        "<h2>Mistakes of the choice, and what matching made of them</h2>"
        f"<p>{len(objects)} objects of the training split whose drawn mask no weak training saw: the share that was "
        "given a mask with an IoU of at least 0.5 with it, in percent.</p>"
        + table_html(shares(objects), ("who", "right"))
        + "".join(figure(picture, verdict) for verdict, picture in found)
    )


def _segmenters(work: Work) -> list[tuple[str, str, str, str]]:
    """Those of `SEGMENTERS` that this report shows."""
    return [row for row in SEGMENTERS if row[1] in work.inputs]


def _scored(work: Work) -> list[str]:
    return ["choice_scores", *(scores for *_, scores in _segmenters(work))]


def _drawer(work: Work) -> Callable[[Referent, Pixels], Pixels]:
    """Draws an object's way through the stages, side by side."""
    from ops.visualisation import overlay, side_by_side

    inputs = work.inputs
    nouns = {row["expression"]: row["nouns"] for row in inputs["noun_phrases"].table("nouns").to_pylist()}
    queries = {row["ref_id"]: row["query"] for row in inputs["projected_classes"].table("queries").to_pylist()}
    choices = {row["ref_id"]: row for row in inputs["mask_choices"].table("choices").to_pylist()}
    predicted = {
        name: {row["sent_id"]: row for row in inputs[masks].table("masks").to_pylist()}
        for name, _, masks, _ in _segmenters(work)
    }
    candidates, truths = candidates_of(inputs["candidate_masks"]), truths_of(inputs["ground_truth"])

    def draw(one: Referent, pixels: Pixels) -> Pixels:
        choice = choices.get(one.ref_id)
        offered = [
            mask for mask in candidates.get(one.image_id, []) if choice and mask.candidate in choice["candidates"]
        ]
        stack = np.stack([mask.mask() for mask in offered]) if offered else np.zeros((0, *pixels.shape[:2]), bool)
        truth = truths.get(one.object_id)
        panels = [
            ("image", pixels),
            (
                f"S1: {', '.join(queries.get(one.ref_id, []))}",
                overlay(pixels, stack, labels=[str(m.candidate) for m in offered]),
            ),
            (f"S2: {choice['reason'] if choice else 'none'}", masked(pixels, row_mask(choice))),
            *((name, masked(pixels, row_mask(rows.get(one.sent_ids[0])))) for name, rows in predicted.items()),
            ("ground truth", masked(pixels, truth.mask() if truth else None)),
        ]
        said = one.sentences[0]
        found = ", ".join(nouns.get(said, [])) or "none"
        return side_by_side(
            panels, height=170, caption=f'"{said}"  -  noun: {found}  -  {len(one.sentences)} sentences'
        )

    return draw
