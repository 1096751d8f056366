"""Evaluation: the only stages, beside the report, that look at ground truth.

Every table of numbers carries its unit (expression or object), its resolution and its rule for empty masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from assets.data.tables import Candidate, Mask, Referent, candidates_of, referents_of
from assets.evaluation.slices import traits_of
from assets.framework.stage import Outcome, Work
from assets.knobs_old import PUBLISHED_REFS, ScoreKnobs
from storage.artifact import Artifact
from storage.masks import decode
from storage.rows import Tally
from storage.tables import column, write_table

if TYPE_CHECKING:
    from ops.evaluation.iou import Empties

Cell = tuple[str, str, str, str]
"""Split, method, what counts once, resolution."""
PAIRS = pa.schema(
    [
        column("ref_id", pa.int64(), "reference"),
        column("sent_id", pa.int64(), "expression"),
        column("split", pa.string(), "split"),
        column("method", pa.string(), "whose mask is compared with the ground truth"),
        column("resolution", pa.string(), "`original`, or the side of the model's square in pixels"),
        column("intersection", pa.int64(), "pixels in both masks"),
        column("union", pa.int64(), "pixels in either mask"),
        column("has_candidate", pa.bool_(), "whether there was any candidate mask"),
    ]
)
SUMMARY = pa.schema(
    [
        column("split", pa.string(), "split"),
        column("method", pa.string(), "whose masks"),
        column("per", pa.string(), "what counts once: expression or object"),
        column("resolution", pa.string(), "`original`, or the side of the model's square in pixels"),
        column("rows", pa.int64(), "how many were counted"),
        column("oIoU", pa.float64(), "summed intersection over summed union"),
        column("mIoU", pa.float64(), "mean IoU"),
        *(column(f"P@0.{digit}", pa.float64(), f"share with IoU >= 0.{digit}") for digit in range(5, 10)),
        column("rule", pa.string(), "how empty masks are counted"),
    ]
)
SLICES = pa.schema(
    [
        column("by", pa.string(), "what expressions are sliced by, see `assets.evaluation.slices`"),
        column("slice", pa.string(), "those that are counted"),
        *SUMMARY,
    ]
)
TEXT = pa.schema(
    [
        column("split", pa.string(), "split"),
        column("expressions_with_class_word", pa.int64(), "sentences that hold a word for the true class"),
        column("noun_hit_rate", pa.float64(), "share of them with such a word among the nouns", nullable=True),
        column("projection_accuracy", pa.float64(), "share of objects with the true class in the query", nullable=True),
        column("candidates_per_object", pa.float64(), "mean number of candidate masks"),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One comparison with the ground truth."""

    ref_id: int
    sent_id: int
    split: str
    method: str
    resolution: str
    intersection: int
    union: int
    has_candidate: bool = True


P = TypeVar("P", bound=Pair)


def choice_scores(work: Work) -> Outcome:
    """S+S, its bounds and its text stages: chosen, random, first and oracle masks per expression and per object.

    Counted on the scored splits and on the first 1,000 references of the training splits, as the papers do.
    """
    knobs = work.knobs_as(ScoreKnobs)
    objects = judged(work)
    truths = truths_of(work.inputs["ground_truth"])
    candidates = candidates_of(work.inputs["candidate_masks"])
    choices = {row["ref_id"]: row for row in work.inputs["mask_choices"].table("choices").to_pylist()}
    pairs: list[Pair] = []
    for one in objects:
        if one.object_id in truths and one.ref_id in choices:
            offered = {mask.candidate: mask for mask in candidates.get(one.image_id, [])}
            masks = [offered[number] for number in choices[one.ref_id]["candidates"]]
            pairs += _choice_pairs(
                one, choices[one.ref_id], masks, truths[one.object_id].mask(), seed=knobs.random_seed
            )
    write_pairs(work, pairs, empties=knobs.empties, per_object=("S+S", "random", "first", "oracle"))
    rows = _text_rows(work, objects, truths, choices)
    write_table(work.slot.content / "text.parquet", pa.Table.from_pylist(rows, schema=TEXT))
    lost = len(objects) - len({pair.ref_id for pair in pairs})
    return Outcome(
        tallies={"pairs": Tally.computed_anew(len(pairs))},
        metrics={"objects without ground truth or choice": lost, **headline(pairs)},
    )


def grounded_scores(work: Work) -> Outcome:
    """The baseline "G-DINO + SAM" against the ground truth, per expression at the image's own resolution."""
    rows = {row["sent_id"]: row for row in work.inputs["grounded_masks"].table("masks").to_pylist()}
    truths = truths_of(work.inputs["ground_truth"])
    pairs = [
        compare(one, sent_id, truths[one.object_id].mask(), decode_row(rows[sent_id]), method="G-DINO + SAM")
        for one in referents_of(work.inputs["references"], splits=work.instance.source.evaluate)
        for sent_id in one.sent_ids
        if one.object_id in truths and sent_id in rows
    ]
    write_pairs(work, pairs, empties=work.knobs_as(ScoreKnobs).empties)
    tally = Tally.computed_anew(len(pairs))
    return Outcome(tallies={"pairs": tally}, metrics=headline(pairs))


def scores(work: Work) -> Outcome:
    """ZSBootstrap per expression, at the model's size (the papers' headline) and at the image's own."""
    return scores_of(work, "predictions", method="ZSBootstrap")


def corrected_scores(work: Work) -> Outcome:
    """S+S+C per expression, at the model's size (the papers' headline) and at the image's own."""
    return scores_of(work, "corrected_predictions", method="S+S+C")


def supervised_scores(work: Work) -> Outcome:
    """Fully supervised LAVT per expression, at the model's size (the papers' headline) and at the image's own."""
    return scores_of(work, "supervised_predictions", method="supervised")


def scores_of(work: Work, source: str, *, method: str) -> Outcome:
    """A trained model per expression, from the masks of the stage `source`; `method` is its name in tables."""
    predicted = {row["sent_id"]: row for row in work.inputs[source].table("masks").to_pylist()}
    truths = truths_of(work.inputs["ground_truth"])
    pairs: list[Pair] = []
    for one in referents_of(work.inputs["references"], splits=work.instance.source.evaluate):
        if one.object_id not in truths:
            continue
        truth = truths[one.object_id].mask()
        for sent_id in one.sent_ids:
            if sent_id in predicted:
                pairs += _both_sizes(one, sent_id, truth, predicted[sent_id], method=method)
    write_pairs(work, pairs, empties=work.knobs_as(ScoreKnobs).empties)
    tally = Tally.computed_anew(len(pairs))
    return Outcome(tallies={"pairs": tally}, metrics=headline(pairs))


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The drawn mask of an object."""

    category: str
    rle: bytes
    height: int
    width: int

    def mask(self) -> Mask:
        """(H, W) at the image's size."""
        return decode(self.rle, self.height, self.width)


def truths_of(ground_truth: Artifact) -> dict[str, Truth]:
    """Object id -> drawn mask and category."""
    rows = ground_truth.table("objects").to_pylist()
    return {row["object_id"]: Truth(**{name: row[name] for name in Truth.__dataclass_fields__}) for row in rows}


def judged(work: Work, *, training: int | None = PUBLISHED_REFS) -> list[Referent]:
    """The objects of the scored splits, and the first so many references of the training splits (None: all)."""
    source = work.instance.source
    others = [split for split in source.train if split not in source.evaluate]
    return [
        *referents_of(work.inputs["references"], splits=source.evaluate),
        *referents_of(work.inputs["references"], splits=others)[:training],
    ]


def decode_row(row: Mapping[str, Any]) -> Mask:
    """The mask of a row with `rle`, `height` and `width`."""
    return decode(row["rle"], row["height"], row["width"])


def compare(one: Referent, sent_id: int, truth: Mask, mask: Mask, *, method: str, resolution: str = "original") -> Pair:
    """Count the pixels of one mask against the ground truth."""
    shared, joined = int((mask & truth).sum()), int((mask | truth).sum())
    return Pair(
        ref_id=one.ref_id,
        sent_id=sent_id,
        split=one.split,
        method=method,
        resolution=resolution,
        intersection=shared,
        union=joined,
    )


def write_pairs(work: Work, pairs: Sequence[Pair], *, empties: Empties, per_object: Iterable[str] = ()) -> None:
    """The `pairs` table, its `summary` and its `slices`; methods in `per_object` are also counted once per object."""
    rows = [{name: getattr(pair, name) for name in PAIRS.names} for pair in pairs]
    write_table(work.slot.content / "pairs.parquet", pa.Table.from_pylist(rows, schema=PAIRS))
    cells: dict[Cell, dict[object, Pair]] = {}
    objectwise = set(per_object)
    for pair in pairs:
        cells.setdefault((pair.split, pair.method, "expression", pair.resolution), {})[pair.sent_id] = pair
        if pair.method in objectwise:
            cells.setdefault((pair.split, pair.method, "object", pair.resolution), {})[pair.ref_id] = pair
    summary = [summary_row(cell, list(found.values()), empties) for cell, found in cells.items()]
    write_table(work.slot.content / "summary.parquet", pa.Table.from_pylist(summary, schema=SUMMARY))
    slices = sliced(
        work,
        {cell: list(found.values()) for cell, found in cells.items()},
        lambda cell, some: summary_row(cell, some, empties),
    )
    write_table(work.slot.content / "slices.parquet", pa.Table.from_pylist(slices, schema=SLICES))


def sliced(
    work: Work, cells: Mapping[Cell, Sequence[P]], row: Callable[[Cell, Sequence[P]], dict[str, Any]]
) -> list[dict[str, Any]]:
    """The numbers per expression once more, for each slice of them (see `assets.evaluation.slices`)."""
    traits = traits_of(work, splits=work.instance.source.splits)
    rows = []
    for cell, found in cells.items():
        parts: dict[tuple[str, str], list[P]] = {}
        for pair in found if cell[2] == "expression" else ():
            for trait in traits[pair.sent_id].items():
                parts.setdefault(trait, []).append(pair)
        rows += [{"by": by, "slice": name, **row(cell, parts[by, name])} for by, name in sorted(parts)]
    return rows


def headline(pairs: Sequence[Pair]) -> dict[str, float | str]:
    """MIoU per split and method at the image's own resolution, per expression, for the plots of the UI."""
    if not pairs:
        return {"scores": "no ground truth"}
    found: dict[str, list[float]] = {}
    for pair in pairs:
        if pair.resolution == "original":
            iou = pair.intersection / pair.union if pair.union else 0.0
            found.setdefault(f"{pair.split} {pair.method} mIoU", []).append(iou)
    return {name: float(np.mean(ious)) for name, ious in found.items()}


def summary_row(cell: Cell, pairs: Sequence[Pair], empties: Empties) -> dict[str, Any]:
    """The numbers of a cell: split, method, what counts once, and resolution."""
    from ops.evaluation.iou import ScoreState

    split, method, per, resolution = cell
    found = (
        ScoreState(empties=empties)
        .update(
            [pair.intersection for pair in pairs],
            [pair.union for pair in pairs],
            has_candidate_R=[pair.has_candidate for pair in pairs],
        )
        .compute()
    )
    return {
        "split": split,
        "method": method,
        "per": per,
        "resolution": resolution,
        "rows": found.rows,
        "oIoU": found.oiou,
        "mIoU": found.miou,
        **{f"P@{threshold}": share for threshold, share in found.precision.items()},
        "rule": found.rule,
    }


def _choice_pairs(
    one: Referent, choice: Mapping[str, Any], offered: Sequence[Candidate], truth: Mask, *, seed: int
) -> list[Pair]:
    from ops.ssc.mask_selection import first_choice, oracle_choice, random_choice

    masks = np.stack([mask.mask() for mask in offered]) if offered else np.zeros((0, *truth.shape), dtype=bool)
    row_of = {mask.candidate: row for row, mask in enumerate(offered)}
    chosen = choice["chosen"]
    rows = {
        "S+S": -1 if chosen is None else row_of[chosen],
        "random": random_choice(len(offered), object_id=one.ref_id, seed=seed).index,
        "first": first_choice(len(offered)).index,
        "oracle": oracle_choice(masks, truth).index,
    }
    shared = [int((mask & truth).sum()) for mask in masks]
    joined = [int((mask | truth).sum()) for mask in masks]

    def pair(method: str, row: int, sent_id: int) -> Pair:
        return Pair(
            ref_id=one.ref_id,
            sent_id=sent_id,
            split=one.split,
            method=method,
            resolution="original",
            intersection=shared[row] if row >= 0 else 0,
            union=joined[row] if row >= 0 else int(truth.sum()),
            has_candidate=bool(offered),
        )

    alone: Sequence[int] = choice["chosen_by_sentence"]
    pairs = [pair(method, row, sent_id) for method, row in rows.items() for sent_id in one.sent_ids]
    for sent_id, number in zip(one.sent_ids, alone, strict=True):
        pairs.append(pair("S+S by each expression", row_of.get(number, -1), sent_id))
    return pairs


def _both_sizes(one: Referent, sent_id: int, truth: Mask, row: Mapping[str, Any], *, method: str) -> list[Pair]:
    import torch

    from ops.images import resize_labels

    size: int = row["model_size"]
    squashed = resize_labels(torch.from_numpy(truth), height=size, width=size).numpy()
    at_model = decode(row["rle_model"], size, size)
    return [
        compare(one, sent_id, squashed, at_model, method=method, resolution=str(size)),
        compare(one, sent_id, truth, decode_row(row), method=method),
    ]


def _text_rows(
    work: Work,
    objects: Sequence[Referent],
    truths: Mapping[str, Truth],
    choices: Mapping[int, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    from resources.toyref.expressions import SYNONYMS

    nouns = {row["expression"]: row["nouns"] for row in work.inputs["noun_phrases"].table("nouns").to_pylist()}
    queries = {row["ref_id"]: row["query"] for row in work.inputs["projected_classes"].table("queries").to_pylist()}
    rows = []
    for split in dict.fromkeys(one.split for one in objects):
        here = [one for one in objects if one.split == split]
        named = [one for one in here if one.object_id in truths and truths[one.object_id].category]
        hits = []
        for one in named:
            category = truths[one.object_id].category
            words = {category, *SYNONYMS.get(category, ())}
            said = [
                text
                for text in one.sentences
                if words & set(text.split()) or any(" " in w and w in text for w in words)
            ]
            hits += [bool(words & set(" ".join(nouns[text]).split()) or words & set(nouns[text])) for text in said]
        right = [truths[one.object_id].category in queries[one.ref_id] for one in named]
        offered = [len(choices[one.ref_id]["candidates"]) for one in here if one.ref_id in choices]
        rows.append(
            {
                "split": split,
                "expressions_with_class_word": len(hits),
                "noun_hit_rate": float(np.mean(hits)) if hits else None,
                "projection_accuracy": float(np.mean(right)) if right else None,
                "candidates_per_object": float(np.mean(offered)) if offered else 0.0,
            }
        )
    return rows
