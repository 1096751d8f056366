"""The report: one HTML page per data set and experiment, readable without a server."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from assets.evaluate import truths_of
from assets.knobs import ReportKnobs
from assets.mended import pictures, shares, watched_objects
from assets.records import ImageRecord, Mask, ObjectRecord, candidates_of, images_of, objects_of, read_image
from assets.stage import Outcome, Work
from resources.datasets import ImageProblem
from storage.artifact import Artifact
from storage.files import write_bytes
from storage.masks import decode
from storage.rows import Tally

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#1a1a1e}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .7em;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child,td.l,th.l{text-align:left}h2{margin-top:2.2em}figure{margin:1.2em 0}
figcaption,.note{color:#555}img{max-width:100%}code{background:#f3f3f5;padding:0 .25em}
"""
SEGMENTERS = (
    ("ZSBootstrap", "zs_bootstrap", "predictions", "scores"),
    ("S+S+C", "corrected", "corrected_predictions", "corrected_scores"),
    ("supervised", "supervised", "supervised_predictions", "supervised_scores"),
    ("MERES", "meres", "meres_predictions", "meres_scores"),
)
"""Name in tables; stages of the model, of its masks and of their scores. The first is always there."""
ORDER = ("random", "first", "S+S by each expression", "S+S", "oracle", *(name for name, *_ in SEGMENTERS))
TOY_NOTE = (
    "These masks come from small embedded models that were trained on drawn scenes. They show that every stage runs; "
    "on photographs they mean little, and no number here can be compared with a paper's."
)


def report(work: Work) -> Outcome:
    """One page: the table, what each stage made of a dozen objects, and the loss curves. Open `report.html`."""
    from ops.drawing import data_uri, png_bytes, stacked

    gallery = _gallery(work, work.knobs_as(ReportKnobs).examples)
    pages = [_head(work), _scores(work), _text(work), _choice_reasons(work), _curves(work)]
    pages.append("<h2>From expression to mask</h2>")
    pages += [f'<figure><img src="{data_uri(png_bytes(picture))}" alt=""></figure>' for picture in gallery]
    pages += [_mended(work), _slices(work)]
    pages.append(_quarantined(work.inputs))
    body = "\n".join(pages)
    title = f"{work.instance.dataset} / {work.instance.experiment}"
    html = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>wordmask: {escape(title)}</title>'
    page = f"{html}<style>{STYLE}</style><body>{body}</body></html>\n"
    write_bytes(work.slot.work / "report.html", page.encode())
    preview = _shrunk(stacked(gallery[:2])) if gallery else None
    return Outcome(
        tallies={"examples": Tally(reused=0, computed=len(gallery), quarantined=0, rows=len(gallery))}, preview=preview
    )


def table_html(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> str:
    """A table; fractions as percentages with one digit."""
    names = list(columns)
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    lines = "".join("<tr>" + "".join(f"<td>{_cell(row[name])}</td>" for name in names) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{lines}</table>"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}" if isinstance(value, float) else escape(str(value))


def _head(work: Work) -> str:
    instance = work.instance
    toy = "embedded" in " ".join(str(work.inputs[name].manifest.extra.get("models", "")) for name in work.inputs)
    selection = "; ".join(
        f"{name} by {work.inputs[model].manifest.metrics['epoch chosen by']}" for name, model, *_ in _segmenters(work)
    )
    names = {"supervised": "the supervised upper bound", "MERES": "MERES"}
    seen = [names[name] for name, model, *_ in _segmenters(work) if _learnt_from_drawn_masks(work.inputs[model])]
    drawn = f" but for {' and '.join(seen)}" if seen else ""
    return (
        f"<h1>{escape(instance.dataset)} / {escape(instance.experiment)}</h1>"
        f"<p>Trained on the splits {escape(', '.join(instance.source.train))} without drawn masks{drawn}; "
        f"scored on {escape(', '.join(instance.source.evaluate))}. Epochs were chosen: {escape(selection)}.</p>"
        + (f'<p class="note">{TOY_NOTE}</p>' if toy else "")
    )


def _learnt_from_drawn_masks(model: Artifact) -> bool:
    """Whether they were its labels; they may also have picked the epoch, which the page says in any case."""
    labels = model.manifest.metrics.get("labels", model.manifest.stage)
    return labels in ("ground_truth", "supervised")


def _scores(work: Work) -> str:
    rows = [
        *work.inputs["choice_scores"].table("summary").to_pylist(),
        *(row for *_, scored in _segmenters(work) for row in work.inputs[scored].table("summary").to_pylist()),
    ]
    if not rows:
        return "<h2>Scores</h2><p>There is no ground truth to compare with: no drawn mask was found.</p>"
    rows.sort(key=lambda row: (row["split"], row["per"], ORDER.index(row["method"]), row["resolution"]))
    names = (
        "split",
        "method",
        "per",
        "resolution",
        "rows",
        "oIoU",
        "mIoU",
        "P@0.5",
        "P@0.6",
        "P@0.7",
        "P@0.8",
        "P@0.9",
    )
    rules = sorted({row["rule"] for row in rows})
    return (
        "<h2>Scores, in percent</h2>"
        + table_html(rows, names)
        + f'<p class="note">Rule for empty masks: {escape("; ".join(rules))}. Resolution <i>original</i> is the '
        "image's own size, a number the side of the model's square. <i>random</i> and <i>oracle</i> pick among the "
        "same candidates, blindly and by the ground truth.</p>"
    )


def _slices(work: Work) -> str:
    """Where the methods differ: mIoU of each slice of the first scored split, at the image's own size."""
    scored = ["choice_scores", *(scores for *_, scores in _segmenters(work))]
    split, found = work.instance.source.evaluate[0], dict[tuple[str, str], dict[str, Any]]()
    for row in (row for stage in scored for row in work.inputs[stage].table("slices").to_pylist()):
        if row["split"] == split and row["resolution"] == "original":
            line = found.setdefault((row["by"], row["slice"]), {"by": row["by"], "slice": row["slice"]})
            line |= {"expressions": row["rows"], row["method"]: row["mIoU"]}
    if not found:
        return ""
    shown = set().union(*found.values())
    names = ("by", "slice", "expressions", *(method for method in ORDER if method in shown))
    rows = [dict.fromkeys(names) | line for _, line in sorted(found.items())]
    return f"<h2>What is hard: mIoU on {escape(split)} by kind of expression, in percent</h2>" + table_html(rows, names)


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


def _curves(work: Work) -> str:
    from ops.drawing import curve_svg

    pages = []
    for name, model, *_ in _segmenters(work):
        history = work.inputs[model].table("history")
        steps, losses = history["step"].to_pylist(), history["loss"].to_pylist()
        window = max(1, len(losses) // 100)
        means = [float(np.mean(losses[max(0, end - window) : end])) for end in range(1, len(losses) + 1)]
        curve = curve_svg(
            {"loss": list(zip(steps, means, strict=True))},
            x_label="optimiser step",
            y_label="loss",
        )
        pages.append(f"<h2>{escape(name)}</h2>{curve}")
    return "\n".join(pages)


def _mended(work: Work) -> str:
    """How matching changed the choices of the training split, if there was any matching and anything is drawn."""
    from ops.drawing import data_uri, png_bytes

    if "corrected" not in work.inputs or not work.inputs["corrected"].has("matches.parquet"):
        return ""
    objects = watched_objects(work)
    if not objects:
        return ""
    drawn = pictures(work, objects, mended=6, spoiled=2)
    figures = "".join(
        f'<figure><img src="{data_uri(png_bytes(picture))}" alt=""><figcaption>{verdict}</figcaption></figure>'
        for verdict, picture in drawn
    )
    return (
        "<h2>Mistakes of the choice, and what matching made of them</h2>"
        f"<p>{len(objects)} objects of the training split whose drawn mask no weak training saw: the share that was "
        "given a mask with an IoU of at least 0.5 with it, in percent.</p>"
        + table_html(shares(objects), ("who", "right"))
        + figures
    )


def _segmenters(work: Work) -> list[tuple[str, str, str, str]]:
    """Those of `SEGMENTERS` that this report shows."""
    return [row for row in SEGMENTERS if row[1] in work.inputs]


def _quarantined(inputs: Mapping[str, Artifact]) -> str:
    rows = [
        {"stage": name, "table": table, "quarantined": tally.quarantined, "rows": tally.rows}
        for name, artifact in inputs.items()
        for table, tally in artifact.manifest.rows.items()
    ]
    lost = inputs["references"].table("quarantine").slice(0, 20).to_pylist()
    listed = table_html(lost, ("where", "item", "reason")) if lost else "<p>No reference was left out.</p>"
    return "<h2>Rows kept and left out</h2>" + table_html(rows, ("stage", "table", "rows", "quarantined")) + listed


def _gallery(work: Work, count: int) -> list[np.ndarray]:
    objects = _spread(objects_of(work.inputs["references"], splits=work.instance.source.evaluate), count)
    images = images_of(work.inputs["references"])
    draw = _drawer(work)
    pictures = []
    for one in objects:
        try:
            pictures.append(draw(one, images[one.image_id]))
        except ImageProblem as problem:
            work.log(f"no picture of reference {one.ref_id}: {problem}")
    return pictures


def _drawer(work: Work) -> Callable[[ObjectRecord, ImageRecord], np.ndarray]:
    """Draws an object's way through the stages, side by side."""
    from ops.drawing import overlay, side_by_side

    inputs = work.inputs
    nouns = {row["expression"]: row["nouns"] for row in inputs["noun_phrases"].table("nouns").to_pylist()}
    queries = {row["ref_id"]: row["query"] for row in inputs["projected_classes"].table("queries").to_pylist()}
    choices = {row["ref_id"]: row for row in inputs["mask_choices"].table("choices").to_pylist()}
    predicted = {
        name: {row["sent_id"]: row for row in inputs[masks].table("masks").to_pylist()}
        for name, _, masks, _ in _segmenters(work)
    }
    candidates, truths = candidates_of(inputs["candidate_masks"]), truths_of(inputs["ground_truth"])

    def one_mask(row: Mapping[str, Any] | None, image: ImageRecord) -> np.ndarray:
        empty = np.zeros((0, image.height, image.width), dtype=bool)
        return empty if row is None or row["rle"] is None else _decoded(row)[None]

    def draw(one: ObjectRecord, image: ImageRecord) -> np.ndarray:
        pixels = read_image(work, image)
        choice = choices.get(one.ref_id)
        offered = [
            mask for mask in candidates.get(one.image_id, []) if choice and mask.candidate in choice["candidates"]
        ]
        stack = np.stack([mask.mask() for mask in offered]) if offered else one_mask(None, image)
        truth = truths.get(one.object_id)
        panels = [
            ("image", pixels),
            (
                f"S1: {', '.join(queries.get(one.ref_id, []))}",
                overlay(pixels, stack, labels=[str(m.candidate) for m in offered]),
            ),
            (f"S2: {choice['reason'] if choice else 'none'}", overlay(pixels, one_mask(choice, image))),
            *((name, overlay(pixels, one_mask(rows.get(one.sent_ids[0]), image))) for name, rows in predicted.items()),
            ("ground truth", overlay(pixels, truth.mask()[None] if truth else one_mask(None, image))),
        ]
        said = one.sentences[0]
        found = ", ".join(nouns.get(said, [])) or "none"
        return side_by_side(
            panels, height=170, caption=f'"{said}"  -  noun: {found}  -  {len(one.sentences)} sentences'
        )

    return draw


def _spread(objects: Sequence[ObjectRecord], count: int) -> list[ObjectRecord]:
    """`count` objects at equal distances through the list."""
    if len(objects) <= count:
        return list(objects)
    return [objects[round(row)] for row in np.linspace(0, len(objects) - 1, count)]


def _shrunk(picture: np.ndarray) -> bytes:
    from ops.drawing import preview_png

    return preview_png([("", picture)])


def _decoded(row: Mapping[str, Any]) -> Mask:
    return decode(row["rle"], row["height"], row["width"])
