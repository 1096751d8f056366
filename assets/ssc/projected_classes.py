"""Nouns become classes by CLIP's text tower, and a referent's expressions vote."""

from collections.abc import Callable, Mapping, Sequence

from assets.data.tables import Referent, referents_of
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.ssc.knobs import ProjectionKnobs
from assets.ssc.stages import NOUN_PHRASES
from assets.ssc.tables import PROJECTIONS, QUERIES, ProjectionRow, QueryRow, nouns_of
from ops.ssc.class_projection import COCO_80, project, vote
from resources.models.loading import open_clip_model
from resources.runtime import Runtime
from resources.toyref.scenes import CLASSES
from storage.rows import Tally

Projection = Callable[[Sequence[str]], list[ProjectionRow]]
"""Different nouns -> the class of each."""


def projected_classes(work: Work) -> Outcome:
    """The tables `projections` (noun -> class) and `queries` (referent -> classes)."""
    knobs = work.knobs_as(ProjectionKnobs)
    nouns = nouns_of(work.input(NOUN_PHRASES))
    projections = open_projection(knobs, work.runtime)(all_nouns(nouns))
    PROJECTIONS.write(work.slot, projections)
    rows = query_rows(referents_of(work), nouns, projections, knobs)
    QUERIES.write(work.slot, rows)
    return Outcome(tallies={"queries": Tally.computed_anew(len(rows))}, metrics={"different nouns": len(projections)})


def label_set(knobs: ProjectionKnobs) -> Sequence[str]:
    """The classes that nouns are projected to."""
    if knobs.labels == "coco80":
        return COCO_80
    return CLASSES if knobs.labels == "toyref" else knobs.labels


def all_nouns(nouns: Mapping[str, Sequence[str]]) -> list[str]:
    """The different nouns of all expressions, in alphabetical order."""
    return sorted({noun for words in nouns.values() for noun in words})


def open_projection(knobs: ProjectionKnobs, runtime: Runtime) -> Projection:
    """What gives a class to each noun: CLIP's text tower, or the noun itself."""
    if not knobs.project:
        return lambda nouns: [ProjectionRow(noun=noun, label=noun, similarity=None) for noun in nouns]
    clip = open_clip_model(knobs.clip, runtime)

    def projected(nouns: Sequence[str]) -> list[ProjectionRow]:
        rows = project(nouns, label_set(knobs), clip.encode_texts, wording=knobs.wording)
        return [ProjectionRow(noun=row.noun, label=row.label, similarity=row.similarity) for row in rows]

    return projected


def query_rows(
    referents: Sequence[Referent],
    nouns: Mapping[str, Sequence[str]],
    projections: Sequence[ProjectionRow],
    knobs: ProjectionKnobs,
) -> list[QueryRow]:
    """The classes of each referent: what the detector is asked for on its behalf, and whose masks it is offered."""
    label_of, rows = {row.noun: row.label for row in projections}, []
    for referent in referents:
        classes = [label_of[noun] for text in referent.expressions for noun in nouns[text]]
        query = vote(classes, rule=knobs.vote)
        offered = list(dict.fromkeys(classes)) or query
        rows.append(QueryRow(ref_id=referent.ref_id, image_id=referent.image_id, query=query, classes=offered))
    return rows
