"""Small pictures of what a stage made, for the UI: at most 30 KB each, from the first images of the data set."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from assets.data.tables import Mask, Pixels, images_of, read_image
from assets.framework.stage import Work
from resources.datasets import load_image
from storage.masks import decode
from storage.tables import read_table

SHOWN = 4


def image_preview(work: Work, files: Sequence[str]) -> bytes | None:
    """The first images as they are read."""
    from ops.visualisation import preview_png

    panels = [(name, load_image(work.dataset.image_path(name))) for name in files[:SHOWN]]
    return preview_png([(Path(name).stem, pixels) for name, pixels in panels]) if panels else None


def candidate_preview(work: Work) -> bytes | None:
    """Images with all their candidate masks, numbered."""
    rows = _first_images(work.slot.content / "candidates.parquet")
    return _preview(work, rows, lambda found: ([str(row["candidate"]) for row in found], "candidates"))


def choice_preview(work: Work) -> bytes | None:
    """Images with the mask chosen for each object."""
    rows = _first_images(work.slot.content / "choices.parquet")
    said: dict[int, str] = {}
    for row in work.inputs["references"].table("expressions").to_pylist():
        said.setdefault(row["ref_id"], row["expression"])
    return _preview(work, rows, lambda found: (["" for _ in found], " | ".join(said[row["ref_id"]] for row in found)))


def prediction_preview(work: Work) -> bytes | None:
    """Images with the predicted mask of their first sentence."""
    expressions = {row["sent_id"]: row for row in work.inputs["references"].table("expressions").to_pylist()}
    table = read_table(work.slot.content / "masks.parquet", columns=["sent_id", "rle", "height", "width"])
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in table.slice(0, 200).to_pylist():
        said = expressions[row["sent_id"]]
        if len(rows) < SHOWN:
            rows.setdefault(said["image_id"], [{**row, "said": said["expression"]}])
    return _preview(work, rows, lambda found: ([""], str(found[0]["said"])))


def curve_preview(steps: Sequence[int], losses: Sequence[float]) -> bytes:
    """The loss over the optimiser steps, with its running mean."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 2.6), dpi=80, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, losses, linewidth=0.5, alpha=0.5)
    window = max(1, len(losses) // 50)
    axes.plot(steps, [float(np.mean(losses[max(0, end - window) : end])) for end in range(1, len(losses) + 1)])
    axes.set(xlabel="optimiser step", ylabel="loss")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def precision_preview(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Precision over recall of all pixels, one line per name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3.2), dpi=80, layout="constrained")
    axes = figure.add_subplot()
    for name, (precision, recall) in curves.items():
        axes.plot(recall, precision, label=name)
    axes.set(xlabel="recall of pixels", ylabel="precision of pixels", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _first_images(table: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of the first few images that have a mask."""
    found: dict[str, list[dict[str, Any]]] = {}
    wanted = read_table(table)
    wanted = wanted.filter(pa.compute.is_valid(wanted["rle"])).slice(0, 500)
    for row in wanted.to_pylist():
        if row["image_id"] in found or len(found) < SHOWN:
            found.setdefault(row["image_id"], []).append(row)
    return found


def _preview(
    work: Work,
    rows_of: Mapping[str, Sequence[Mapping[str, Any]]],
    describe: Callable[[Sequence[Mapping[str, Any]]], tuple[list[str], str]],
) -> bytes | None:
    from ops.visualisation import overlay, preview_png

    images = images_of(work.inputs["references"])
    panels: list[tuple[str, Pixels]] = []
    for image_id, rows in rows_of.items():
        labels, title = describe(rows)
        masks = np.stack([_mask(row) for row in rows])
        panels.append((title, overlay(read_image(work, images[image_id]), masks, labels=labels if any(labels) else ())))
    return preview_png(panels) if panels else None


def _mask(row: Mapping[str, Any]) -> Mask:
    return decode(row["rle"], row["height"], row["width"])
