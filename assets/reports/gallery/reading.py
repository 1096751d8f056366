"""What finished artifacts of a data set say of its expressions, by whatever method: masks, choices, response maps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from assets.data.stages import GROUND_TRUTH, REFERENCES
from assets.data.tables import EXPRESSIONS, ExpressionRow, ImageRow, ground_truth_of, images_in, referents_in
from assets.exports.given import RLE, masks_table
from assets.framework.stage import AssetPath, StageInstance
from assets.ssc.review_keys import referent_keys
from assets.ssc.stages import CANDIDATE_MASKS, MASK_CHOICES, PROJECTED_CLASSES
from assets.ssc.tables import CandidateRow, ChoiceRow, candidates_of, choices_of, queries_of
from assets.stages import SEGMENTERS
from assets.tris.stages import RESPONSE_MAPS, SELECTED_RESPONSES
from assets.tris.tables import RESPONSE_INDEX
from ops.refusal import Refused
from resources.reviews import Decision
from storage.arrays import read_array
from storage.artifact import Artifact
from storage.masks import Rle

Finished = Sequence[tuple[StageInstance, Artifact]]
"""Inputs first."""
Masks = Mapping[int, Rle | None]
"""Expression -> its mask, None where there is no pixel; expressions that were not asked for are left out."""
NAMES = {
    MASK_CHOICES.name: "choice (S2)",
    SELECTED_RESPONSES.name: "selected response",
    **{model.predictions.name: model.method for model in SEGMENTERS},
}
"""Stage -> what its masks are called; all others are pseudo-labels and have the name of their stage."""
PREDICTED = frozenset(model.predictions.name for model in SEGMENTERS)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A stage that gives masks to expressions, under one recipe."""

    name: str
    """Unlike all others of the gallery."""
    kind: str
    """`choice`, `label` or `prediction`."""
    masks: Masks
    choices: Mapping[int, ChoiceRow] = field(default_factory=dict)
    """Referent -> how its mask was chosen; empty where nothing is chosen."""
    offered: int | None = None
    """Place of the candidates that it chose from."""


@dataclass(frozen=True, kw_only=True)
class ResponseSet:
    """Response maps of expressions, as they are kept: (N, h, w) at the cells of the coarsest map."""

    name: str
    maps_Nhw: npt.NDArray[np.floating]
    row_of: Mapping[int, int]
    """Expression -> row."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The candidate masks of images, under one recipe."""

    name: str
    of_image: Mapping[str, Sequence[CandidateRow]]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Everything that is known of the expressions of a data set."""

    dataset: str
    images: Mapping[str, ImageRow]
    rows: Sequence[ExpressionRow]
    """In the order of the data set."""
    truth: Masks
    classes: Mapping[int, str]
    """Referent -> its category, or the class that its noun was taken for where there is no ground truth."""
    candidates: Sequence[Candidates]
    responses: Sequence[ResponseSet]
    methods: Sequence[Method]
    reviewers: Mapping[int, str] = field(default_factory=dict)
    """Referent -> who decided about it, of those that a person reviewed."""


def read_gallery(finished: Finished, reviewed: Mapping[str, Decision] | None = None) -> Gallery:
    """Join all that is finished.

    Args:
        finished: of one data set, of any number of experiments.
        reviewed: verdicts of persons that stand, by the content key of the referent.

    Raises:
        Refused: `references` is not among them.
        StoreError: a table is damaged.
    """
    references = next((artifact for one, artifact in finished if one.stage.name == REFERENCES.name), None)
    if references is None:
        raise Refused("the expressions were not read yet: `wordmask run` with `--until references` does so")
    rows = EXPRESSIONS.read(references)
    truth, categories = truth_and_categories(finished, rows)
    offers = _of_stage(finished, CANDIDATE_MASKS.name)
    places = {one.key: place for place, (one, _) in enumerate(offers)}
    return Gallery(
        dataset=finished[0][0].dataset,
        images=images_in(references),
        rows=rows,
        truth=truth,
        classes=projected_classes(finished) | categories,
        candidates=[
            Candidates(name=name, of_image=candidates_of(artifact))
            for name, (_, artifact) in _named(offers, "candidates (S1)")
        ],
        responses=[
            _responses(name, artifact)
            for name, (_, artifact) in _named(_of_stage(finished, RESPONSE_MAPS.name), "response map")
        ],
        methods=list(_methods(finished, rows, places)),
        reviewers=_reviewers(references, reviewed) if reviewed else {},
    )


def _reviewers(references: Artifact, reviewed: Mapping[str, Decision]) -> dict[int, str]:
    keys = referent_keys(referents_in(references), images_in(references))
    return {ref_id: reviewed[key].who for ref_id, key in keys.items() if key in reviewed}


def _of_stage(finished: Finished, stage: str) -> Finished:
    return [(one, artifact) for one, artifact in finished if one.stage.name == stage]


def _named(same: Finished, name: str) -> Iterator[tuple[str, tuple[StageInstance, Artifact]]]:
    """Artifacts of one stage with a name each; several are told apart by the experiments that own them."""
    for one, artifact in same:
        yield (f"{name}, {one.experiment}" if len(same) > 1 else name), (one, artifact)


def _methods(finished: Finished, rows: Sequence[ExpressionRow], places: Mapping[AssetPath, int]) -> Iterator[Method]:
    """All stages with masks: choices, then pseudo-labels, then predictions."""
    masked = [(one, artifact) for one, artifact in finished if masks_table(artifact)]
    for stage in sorted({one.stage.name: None for one, _ in masked}, key=lambda name: RANK[kind_of(name)]):
        for name, (one, artifact) in _named(_of_stage(masked, stage), title_of(stage)):
            method = method_of(one, artifact, rows, name=name)
            if method is not None:
                offers = one.inputs.get(CANDIDATE_MASKS.name, ()) if method.kind == "choice" else ()
                yield replace(method, offered=places.get(offers))


def method_of(one: StageInstance, artifact: Artifact, rows: Sequence[ExpressionRow], *, name: str) -> Method | None:
    """The masks that a stage gives to expressions; None where it gives none.

    Raises:
        StoreError: a table is damaged.
    """
    table, stage = masks_table(artifact), one.stage.name
    if table is None:
        return None
    return Method(
        name=name,
        kind=kind_of(stage),
        masks=_masks(artifact, table, rows, by_referent=stage == SELECTED_RESPONSES.name),
        choices=choices_of(artifact) if stage == MASK_CHOICES.name else {},
    )


RANK = {"choice": 0, "label": 1, "prediction": 2}
"""Kinds of masks in the order in which they come about."""


def kind_of(stage: str) -> str:
    """`choice`, `label` or `prediction`."""
    if stage == MASK_CHOICES.name:
        return "choice"
    return "prediction" if stage in PREDICTED else "label"


def title_of(stage: str) -> str:
    """What a stage's masks are called."""
    return NAMES.get(stage, stage.replace("_", " "))


def _masks(artifact: Artifact, table: str, rows: Sequence[ExpressionRow], *, by_referent: bool) -> Masks:
    """Masks of a table by expression; a referent's mask is that of all its expressions."""
    has = artifact.schema(table).names
    key = "ref_id" if by_referent or "sent_id" not in has else "sent_id"
    found = {
        row[key]: _with_pixels(row["rle"], row["height"], row["width"])
        for row in artifact.table(table, columns=[key, *sorted(RLE)]).to_pylist()
    }
    return {row.sent_id: found[number] for row in rows if (number := getattr(row, key)) in found}


def _with_pixels(counts: bytes | None, height: int, width: int) -> Rle | None:
    mask = None if counts is None else Rle(counts, height, width)
    return mask if mask is not None and mask.area else None


def truth_and_categories(finished: Finished, rows: Sequence[ExpressionRow]) -> tuple[Masks, dict[int, str]]:
    """Ground truth by expression, and categories by referent; nothing where there is none."""
    artifact = next((artifact for one, artifact in finished if one.stage.name == GROUND_TRUTH.name), None)
    objects = ground_truth_of(artifact) if artifact else {}
    known = [(row, objects[row.object_id]) for row in rows if row.object_id in objects]
    return {row.sent_id: thing.mask for row, thing in known}, {
        row.ref_id: thing.category for row, thing in known if thing.category
    }


def projected_classes(finished: Finished) -> dict[int, str]:
    """Referent -> the classes that its nouns were taken for, by the first experiment that projects them."""
    artifact = next((artifact for one, artifact in finished if one.stage.name == PROJECTED_CLASSES.name), None)
    queries = queries_of(artifact) if artifact else {}
    return {ref_id: ", ".join(query.classes) for ref_id, query in queries.items() if query.classes}


def _responses(name: str, artifact: Artifact) -> ResponseSet:
    maps_Nhw, _ = read_array(artifact.file("responses.zarr"))
    index = RESPONSE_INDEX.read(artifact)
    return ResponseSet(
        name=name,
        maps_Nhw=maps_Nhw,
        row_of={row.sent_id: row.row for row in index if np.isfinite(maps_Nhw[row.row]).all()},
    )
