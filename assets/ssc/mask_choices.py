"""Select: which candidate mask an object's sentences mean (S2)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from assets.data.tables import (
    Candidate,
    ImageRecord,
    Pixels,
    Referent,
    by_image,
    candidates_of,
    images_of,
    of_classes,
    on_image,
    referents_of,
)
from assets.framework.stage import Outcome, Work
from assets.knobs_old import ChoiceKnobs
from assets.reports.previews import choice_preview
from assets.ssc.clip_scorers import Judge, open_judge
from storage.digest import digest
from storage.rows import Quarantined, Rows, Unit, fill_table
from storage.tables import column, read_table

if TYPE_CHECKING:
    from ops.ssc.mask_selection import Choice

CHOICES = pa.schema(
    [
        column("ref_id", pa.int64(), "reference"),
        column("image_id", pa.string(), "image"),
        column("candidates", pa.list_(pa.int32()), "numbers of the object's candidates in their image"),
        column("scores", pa.list_(pa.float64()), "mean of 100 cosine over the sentences; null where not needed"),
        column("reason", pa.string(), "how the choice came about"),
        column("chosen", pa.int32(), "number of the chosen candidate; null: none", nullable=True),
        column(
            "chosen_by_sentence",
            pa.list_(pa.int32()),
            "the same decided by each sentence alone (paper Eq. 1); -1: none",
        ),
        column("rle", pa.binary(), "chosen mask, COCO run-length encoding; null: none", nullable=True),
        column("height", pa.int32(), "of the image"),
        column("width", pa.int32(), "of the image"),
    ]
)


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """An image, its objects, and each object's candidates."""

    image: ImageRecord
    objects: list[Referent]
    offered: list[list[Candidate]]

    def key(self) -> str:
        said = [[one.ref_id, one.sentences] for one in self.objects]
        masks = [[[mask.candidate, mask.rle.hex()] for mask in masks] for masks in self.offered]
        return digest([self.image.image_id, self.image.sha256, said, masks])


def mask_choices(work: Work) -> Outcome:
    """S2: for each object the candidate that CLIP finds most like its sentences under reverse blur (Eq. 1, spec 3).

    Or as GL-CLIP finds it, by the candidate in its picture and cut out (spec 3.6).
    """
    knobs = work.knobs_as(ChoiceKnobs)
    references = work.inputs["references"]
    images, candidates = images_of(references), candidates_of(work.inputs["candidate_masks"])
    queries = work.inputs["projected_classes"].table("queries").to_pylist()
    classes = {row["ref_id"]: row["classes"] for row in queries}
    scenes = [
        _Scene(
            image=images[image_id],
            objects=objects,
            offered=[of_classes(candidates.get(image_id, []), classes[one.ref_id]) for one in objects],
        )
        for image_id, objects in by_image(referents_of(references)).items()
    ]
    decide = _decider(work, knobs)

    def rows(batch: Sequence[_Scene]) -> list[Rows | Quarantined]:
        return [on_image(work, scene.image, partial(decide, scene)) for scene in batch]

    units = [Unit(key=scene.key(), payload=scene) for scene in scenes]
    tally = fill_table(
        work.slot, "choices", units, rows, schema=CHOICES, shard=work.runtime.shard, reuse=work.reuse, log=work.log
    )
    reasons = read_table(work.slot.content / "choices.parquet")["reason"].value_counts().to_pylist()
    return Outcome(
        tallies={"choices": tally},
        metrics={row["values"]: row["counts"] for row in reasons},
        preview=choice_preview(work),
    )


def _decider(work: Work, knobs: ChoiceKnobs) -> Callable[[_Scene, Pixels], Rows]:
    """(scene, pixels) -> one row per object, by the rule of the knobs."""
    from ops.ssc.mask_selection import first_choice, random_choice

    if knobs.rule in ("clip", "global_local"):
        return partial(_decide_by_clip, knobs, open_judge(knobs, work.runtime))

    def without_looking(scene: _Scene, _: Pixels) -> Rows:
        rows = []
        for one, masks in zip(scene.objects, scene.offered, strict=True):
            choice = (
                random_choice(len(masks), object_id=one.ref_id, seed=knobs.seed)
                if knobs.rule == "random"
                else first_choice(len(masks))
            )
            rows.append(_row(scene, one, masks, choice, [choice] * len(one.sentences)))
        return rows

    return without_looking


def _decide_by_clip(knobs: ChoiceKnobs, judge: Judge, scene: _Scene, pixels: Pixels) -> Rows:
    """Encode each needed (image, candidate) once and each sentence once, then decide for every object."""
    import torch

    from ops.ssc.mask_selection import COMPAT, FIXED, choose, mean_similarity, to_score

    rule = replace(COMPAT if knobs.compat else FIXED, min_area=knobs.min_area)
    size = pixels.shape[0] * pixels.shape[1]

    def only(areas_N: Sequence[int]) -> tuple[int, ...]:
        found = choose(areas_N, (), rule=rule, image_area=size).index
        return (found,) if found >= 0 else ()

    asked = [to_score([mask.area for mask in masks], rule=rule, image_area=size) for masks in scene.offered]
    if knobs.assign == "greedy":  # an object whose choice needs no score competes for it, too
        asked = [rows or only([mask.area for mask in masks]) for rows, masks in zip(asked, scene.offered, strict=True)]
    needed = {
        masks[row].candidate: masks[row] for masks, rows in zip(scene.offered, asked, strict=True) for row in rows
    }
    said = [text for one in scene.objects for text in one.sentences]
    texts = judge.texts(said) if needed else torch.empty(len(said), 0)
    seen = dict(zip(needed, judge.pictures(pixels, list(needed.values())) if needed else (), strict=True))
    choices, alone, similar, first = [], [], [], 0
    for one, masks, rows in zip(scene.objects, scene.offered, asked, strict=True):
        mine_SD = texts[first : first + len(one.sentences)]
        first += len(one.sentences)

        def decide(texts_SD: torch.Tensor, masks: list[Candidate] = masks) -> "Choice":
            return choose(
                [mask.area for mask in masks],
                lambda asked: mean_similarity(texts_SD, torch.stack([seen[masks[index].candidate] for index in asked])),
                rule=rule,
                image_area=size,
            )

        choices.append(decide(mine_SD))
        alone.append([decide(text_D[None]) for text_D in mine_SD])
        if knobs.assign == "greedy":
            names = [masks[row].candidate for row in rows]
            scores = mean_similarity(mine_SD, torch.stack([seen[name] for name in names])) if names else []
            similar.append(dict(zip(names, scores, strict=True)))
    if knobs.assign == "greedy":
        choices = _matched(choices, similar, scene)
    each = zip(scene.objects, scene.offered, choices, alone, strict=True)
    return [_row(scene, one, masks, choice, single) for one, masks, choice, single in each]


def _matched(choices: Sequence["Choice"], similar: Sequence[Mapping[int, float]], scene: _Scene) -> list["Choice"]:
    """Choices of an image's objects by constrained greedy matching (spec 3.7); left-overs keep their own best."""
    from ops.ssc.matching import match

    names = sorted({name for scores in similar for name in scores})
    scores_JK = np.array([[scores.get(name, 0.0) for name in names] for scores in similar]).reshape(len(choices), -1)
    allowed = [[names.index(name) for name in scores] for scores in similar]
    found = match(scores_JK, range(len(choices)), allowed, leftovers="fallback_best").candidates
    matched = []
    for choice, place, masks in zip(choices, found, scene.offered, strict=True):
        index = [mask.candidate for mask in masks].index(names[place]) if place >= 0 else choice.index
        matched.append(replace(choice, index=index, reason="matched" if choice.reason == "clip" else choice.reason))
    return matched


def _row(
    scene: _Scene, one: Referent, masks: Sequence[Candidate], choice: "Choice", single: Sequence["Choice"]
) -> dict[str, object]:
    chosen = masks[choice.index] if choice.index >= 0 else None
    return {
        "ref_id": one.ref_id,
        "image_id": one.image_id,
        "candidates": [mask.candidate for mask in masks],
        "scores": [score if np.isfinite(score) else None for score in choice.scores_N],
        "reason": choice.reason,
        "chosen": None if chosen is None else chosen.candidate,
        "chosen_by_sentence": [masks[alone.index].candidate if alone.index >= 0 else -1 for alone in single],
        "rle": None if chosen is None else chosen.rle,
        "height": scene.image.height,
        "width": scene.image.width,
    }
