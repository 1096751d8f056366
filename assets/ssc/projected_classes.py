"""Nouns become classes by CLIP's text tower, and a referent's expressions vote."""

from collections.abc import Sequence

from assets.data.tables import referents_of
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.ssc.knobs import ProjectionKnobs
from assets.ssc.stages import NOUN_PHRASES
from assets.ssc.tables import PROJECTIONS, QUERIES, ProjectionRow, QueryRow, nouns_of
from ops.ssc.class_projection import COCO_80, project, vote
from resources.models.loading import open_clip_model
from resources.toyref.scenes import CLASSES
from storage.rows import Tally


def projected_classes(work: Work) -> Outcome:
    """The tables `projections` (noun -> class) and `queries` (referent -> classes)."""
    knobs = work.knobs_as(ProjectionKnobs)
    nouns = nouns_of(work.input(NOUN_PHRASES))
    projections = _projections(work, knobs, sorted({noun for words in nouns.values() for noun in words}))
    PROJECTIONS.write(work.slot, projections)
    label_of = {row.noun: row.label for row in projections}
    rows = []
    for referent in referents_of(work):
        classes = [label_of[noun] for text in referent.expressions for noun in nouns[text]]
        query = vote(classes, rule=knobs.vote)
        offered = list(dict.fromkeys(classes)) or query
        rows.append(QueryRow(ref_id=referent.ref_id, image_id=referent.image_id, query=query, classes=offered))
    QUERIES.write(work.slot, rows)
    return Outcome(tallies={"queries": Tally.computed_anew(len(rows))}, metrics={"different nouns": len(label_of)})


def label_set(knobs: ProjectionKnobs) -> Sequence[str]:
    """The classes that nouns are projected to."""
    if knobs.labels == "coco80":
        return COCO_80
    return CLASSES if knobs.labels == "toyref" else knobs.labels


def _projections(work: Work, knobs: ProjectionKnobs, nouns: Sequence[str]) -> list[ProjectionRow]:
    if not knobs.project:
        return [ProjectionRow(noun=noun, label=noun, similarity=None) for noun in nouns]
    clip = open_clip_model(knobs.clip, work.runtime)
    projected = project(nouns, label_set(knobs), clip.encode_texts)
    return [ProjectionRow(noun=row.noun, label=row.label, similarity=row.similarity) for row in projected]
