"""The page of a comparison, a folder as that of a gallery: tables, and the expressions whose masks differ most."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from assets.data.images import Pixels
from assets.data.tables import ImageRow
from assets.reports.comparison.curves import Curves
from assets.reports.comparison.figures import FEWEST, RULE, Block
from assets.reports.comparison.pairs import APART, Pair
from assets.reports.comparison.reading import Comparison
from assets.reports.comparison.several import Several, several_of
from assets.reports.comparison.tables import delta_text, grids_of, interval_text, value_text
from assets.reports.gallery.index import THOUSAND
from assets.reports.gallery.reading import Gallery, Method
from assets.reports.gallery.writing import Link, Shell, Written, write_pages
from assets.reports.plots import line_plot, without_styles
from storage.digest import digest
from storage.masks import Rle

SHOWN = 100
"""Masks of each split that differ most, for each pair of experiments."""
FILES = ("gallery/shared.js", "gallery/gallery.css", "comparison/comparison.js", "comparison/comparison.css")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A comparison with its numbers."""

    comparison: Comparison
    blocks: Sequence[Block]
    pairs: Sequence[Pair]


def write_comparison(
    measured: Measured,
    folder: Path,
    read: Callable[[ImageRow], Pixels],
    *,
    links: Sequence[Link] = (),
    gallery: str = "",
    drawn: Path | None = None,
) -> Written:
    """Write a folder that is called as its experiments into `folder`.

    Args:
        measured: what is shown.
        folder: a person's own; what lies there and is not of this comparison stays, and one beside it is taken.
        read: the pixels of an image as the stages saw it.
        links: to the reports of the experiments.
        gallery: address of the data set's gallery; empty: there is none.
        drawn: a folder in which small pictures of the images may lie already.

    Raises:
        StoreError: the disk refuses.
    """
    comparison, several = measured.comparison, several_of(measured.comparison)
    content, number = _content(measured, several)
    pairs = list(_pairs(measured, content, number))
    shell = Shell(
        name=name_of(comparison.experiments),
        of=digest(["comparison", comparison.dataset, *comparison.experiments]),
        template="comparison.html.j2",
        files=FILES,
        parts={"comparison": comparison, "links": links, "gallery": gallery, "several": several, **_tables(measured)},
        more={"pairs": pairs, "several": _several(several, content, number), "gallery": gallery},
        drawn=drawn,
    )
    return write_pages(content, folder, read, shell)


def name_of(experiments: Sequence[str]) -> str:
    """What the folder of a comparison is called."""
    first, *others = experiments
    return f"{first}_and_{'_'.join(others) if len(others) < 4 else f'{len(others)}_others'}"


def _content(measured: Measured, several: Several) -> tuple[Gallery, dict[tuple[str, str], int]]:
    """The gallery of what is shown, and where the masks of (part, experiment) stand in it."""
    comparison = measured.comparison
    wanted = {one.sent_id for pair in measured.pairs for one in _farthest(comparison, pair)}
    wanted |= {row.sent_id for rows in several.referents for row in rows}
    methods: list[Method] = []
    number: dict[tuple[str, str], int] = {}
    for part in comparison.parts:
        for experiment, method in part.masks.items():
            known = [at for at, one in enumerate(methods) if one.masks is method.masks]
            number[part.title, experiment] = known[0] if known else len(methods)
            if not known:
                methods.append(replace(method, offered=None))
    gallery = Gallery(
        dataset=comparison.dataset,
        images=comparison.images,
        rows=[row for row in comparison.rows if row.sent_id in wanted],
        truth={sent_id: mask for sent_id, mask in comparison.truth.items() if sent_id in wanted},
        classes=comparison.classes,
        candidates=(),
        responses=(),
        methods=methods,
    )
    return gallery, number


@dataclass
class _Apart:
    """Two masks that differ, of one expression or of several of a referent."""

    sent_id: int
    iou: float
    more: int = 0
    """Further expressions of the referent with the same two masks."""


def _farthest(comparison: Comparison, pair: Pair) -> Iterator[_Apart]:
    """Split by split, those that differ most first."""
    part = next(part for part in comparison.parts if part.title == pair.part)
    one, other = part.masks[pair.first].masks, part.masks[pair.second].masks
    referent = {row.sent_id: row.ref_id for row in comparison.rows}
    for ious in pair.ious.values():
        found: dict[tuple[int, Rle | None, Rle | None], _Apart] = {}
        for sent_id, iou in ious.items():
            key = (referent[sent_id], one[sent_id], other[sent_id])
            if key in found:
                found[key].more += 1
            elif iou < 1 and len(found) < SHOWN:
                found[key] = _Apart(sent_id, iou)
        yield from found.values()


def _pairs(measured: Measured, content: Gallery, number: Mapping[tuple[str, str], int]) -> Iterator[dict[str, Any]]:
    """What the script shows: of each pair its masks, and expressions with their IoU in thousandths, least first."""
    place = {row.sent_id: at for at, row in enumerate(content.rows)}
    for pair in measured.pairs:
        shown = sorted(_farthest(measured.comparison, pair), key=lambda one: one.iou)
        yield {
            "part": pair.part,
            "first": pair.first,
            "second": pair.second,
            "masks": [number[pair.part, pair.first], number[pair.part, pair.second]],
            "rows": [place[one.sent_id] for one in shown],
            "ious": [round(THOUSAND * one.iou) for one in shown],
            "more": [one.more for one in shown],
            "differing": sum(iou < 1 for ious in pair.ious.values() for iou in ious.values()),
        }


def _several(several: Several, content: Gallery, number: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """What the script shows: experiments, their masks, and the expressions of each referent."""
    place = {row.sent_id: at for at, row in enumerate(content.rows)}
    return {
        "experiments": several.experiments,
        "masks": [number[several.part, experiment] for experiment in several.experiments],
        "referents": [[place[row.sent_id] for row in rows] for rows in several.referents],
    }


def _plots(curves: Curves) -> dict[str, Markup]:
    """Split -> precision over recall of all models."""
    labels = {"x_label": "recall", "y_label": "precision"}
    return {
        split: without_styles(line_plot(curves.lines(split), **labels, y_range=(0, 1), legend_below=True))
        for split in curves.splits
    }


def _tables(measured: Measured) -> dict[str, Any]:
    """The tables as the template takes them."""
    comparison = measured.comparison
    notes = {part.title: part.note for part in comparison.parts}
    splits = [split for split in comparison.splits if any(split in pair.ious for pair in measured.pairs)]
    return {
        "grids": [{"grid": grid, "note": notes[grid.part]} for grid in grids_of(measured.blocks)],
        "rule": RULE,
        "fewest": FEWEST,
        "apart": APART,
        "splits": splits,
        "plots": _plots(comparison.curves),
        "likeness": [(pair, [pair.likeness(split) for split in splits]) for pair in measured.pairs],
        "texts": (value_text, delta_text, interval_text),
    }
