"""What the HTML pages share: the skeleton, tables, figures, curves of losses, and what was left out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from assets.data.images import Mask, Pixels, read_image
from assets.data.stages import REFERENCES
from assets.data.tables import QUARANTINE, Referent, images_of
from assets.framework.stage import Outcome, Stage
from assets.framework.work import Work
from ops.visualisation import curve_svg, data_uri, overlay, png_bytes, preview_png, stacked
from storage.artifact import Artifact
from storage.files import write_bytes
from storage.masks import Rle
from storage.rows import Tally

PAGE = "report.html"
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#1a1a1e}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .7em;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child,td.l,th.l{text-align:left}h2{margin-top:2.2em}figure{margin:1.2em 0}
figcaption,.note{color:#555}img{max-width:100%}code{background:#f3f3f5;padding:0 .25em}
"""
TOY_NOTE = (
    "These masks come from small embedded models that were trained on rendered scenes. They show that every stage "
    "runs; on photographs they mean little, and no number here can be compared with a paper's."
)
RESOLUTIONS = "Resolution <i>original</i> is the image's own size, a number the side of the model's square."
NO_TRUTH = "There is no ground truth to compare with: none was found."


def write_page(work: Work, parts: Sequence[str], gallery: Sequence[Pixels]) -> Outcome:
    """Write `parts` below the page's title; the first pictures of the gallery, which they hold, are the preview."""
    title = escape(f"{work.instance.dataset} / {work.instance.experiment}")
    body = "\n".join((f"<h1>{title}</h1>", *parts))
    html = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>wordmask: {title}</title>'
    write_bytes(work.slot.content / PAGE, f"{html}<style>{STYLE}</style><body>{body}</body></html>\n".encode())
    return Outcome(
        tallies={"examples": Tally.computed_anew(len(gallery))},
        preview=preview_png([("", stacked(gallery[:2]))]) if gallery else None,
    )


def toy_note(work: Work) -> str:
    """What embedded models are worth, if any was used."""
    models = " ".join(str(artifact.manifest.extra.get("models", "")) for artifact in work.inputs.values())
    return f'<p class="note">{TOY_NOTE}</p>' if "embedded" in models else ""


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


def scores_html(
    rows: Sequence[Mapping[str, Any]], *, order: Sequence[str], columns: Iterable[str], note: str = ""
) -> str:
    """Rows of tables `summary`, by split and then in the order of methods, with their rule for empty masks."""
    if not rows:
        return f"<h2>Scores</h2><p>{NO_TRUTH}</p>"
    ranked = sorted(rows, key=lambda row: (row["split"], row["per"], order.index(row["method"]), row["resolution"]))
    rules = escape("; ".join(sorted({row["rule"] for row in rows})))
    return (
        "<h2>Scores, in percent</h2>"
        + table_html(ranked, columns)
        + f'<p class="note">Rule for empty masks: {rules}. {note}</p>'
    )


def slices_html(work: Work, scored: Iterable[Stage], *, order: Sequence[str]) -> str:
    """Where methods differ: mIoU of each slice of the first scored split, at the image's own size.

    `scored` are stages with a table `slices`.
    """
    split, found = work.instance.source.evaluate[0], dict[tuple[str, str], dict[str, Any]]()
    for row in (row for stage in scored for row in work.input(stage).table("slices").to_pylist()):
        if row["split"] == split and row["resolution"] == "original":
            line = found.setdefault((row["by"], row["slice"]), {"by": row["by"], "slice": row["slice"]})
            line |= {"expressions": row["rows"], row["method"]: row["mIoU"]}
    if not found:
        return ""
    shown = set().union(*found.values())
    names = ("by", "slice", "expressions", *(method for method in order if method in shown))
    rows = [dict.fromkeys(names) | line for _, line in sorted(found.items())]
    return f"<h2>What is hard: mIoU on {escape(split)} by kind of expression, in percent</h2>" + table_html(rows, names)


def loss_curve(name: str, trained: Artifact) -> str:
    """The running mean of the table `history` over the optimiser steps."""
    history = trained.table("history")
    steps, losses = history["step"].to_pylist(), history["loss"].to_pylist()
    window = max(1, len(losses) // 100)
    means = [float(np.mean(losses[max(0, end - window) : end])) for end in range(1, len(losses) + 1)]
    curve = curve_svg({"loss": list(zip(steps, means, strict=True))}, x_label="optimiser step", y_label="loss")
    return f"<h2>{escape(name)}</h2>{curve}"


def figure(picture: Pixels, caption: str = "") -> str:
    """A picture inside of the page, with a caption below."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img src="{data_uri(png_bytes(picture))}" alt="">{below}</figure>'


def quarantined(work: Work) -> str:
    """Rows kept and left out by every input, and why the first references were."""
    rows = [
        {"stage": name, "table": table, "quarantined": tally.quarantined, "rows": tally.rows}
        for name, artifact in work.inputs.items()
        for table, tally in artifact.manifest.rows.items()
    ]
    lost = [QUARANTINE.columns(row) for row in QUARANTINE.read(work.input(REFERENCES))[:20]]
    listed = table_html(lost, ("where", "item", "reason")) if lost else "<p>No reference was left out.</p>"
    return "<h2>Rows kept and left out</h2>" + table_html(rows, ("stage", "table", "rows", "quarantined")) + listed


def drawn(work: Work, referents: Iterable[Referent], draw: Callable[[Referent, Pixels], Pixels]) -> list[Pixels]:
    """A picture of each referent."""
    images = images_of(work)
    return [draw(referent, read_image(work, images[referent.image_id])) for referent in referents]


def spread(referents: Sequence[Referent], count: int) -> list[Referent]:
    """`count` referents at equal distances through the list."""
    if len(referents) <= count:
        return list(referents)
    return [referents[round(row)] for row in np.linspace(0, len(referents) - 1, count)]


def masked(pixels: Pixels, mask: Rle | Mask | None) -> Pixels:
    """The image under a mask, or as it is."""
    mask_HW = mask.decode() if isinstance(mask, Rle) else mask
    return overlay(pixels, np.zeros((0, *pixels.shape[:2]), dtype=bool) if mask_HW is None else mask_HW[None])
