"""The choice among candidates and its baselines against ground truth, and how the text stages did."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import numpy as np

from assets.data.stages import GROUND_TRUTH
from assets.data.tables import GroundTruthRow, Referent, ground_truth_of, scored_referents
from assets.evaluation.iou_scores import compare, evaluated_referents, write_pairs
from assets.evaluation.knobs import ScoreKnobs
from assets.evaluation.tables import TEXT, PairRow, TextRow
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.ssc.stages import CANDIDATE_MASKS, GROUNDED_MASKS, MASK_CHOICES, NOUN_PHRASES, PROJECTED_CLASSES
from assets.ssc.tables import GROUNDED, ChoiceRow, candidates_of, choices_of, nouns_of, queries_of
from ops.evaluation.noun_hits import noun_hit
from ops.ssc.mask_selection import first_choice, oracle_choice, random_choice
from resources.toyref.expressions import SYNONYMS
from storage.masks import Rle
from storage.rows import Tally

PER_OBJECT = ("S+S", "random", "first", "oracle")
"""Methods that give a referent one mask, whatever the expression."""


def choice_scores(work: Work) -> Outcome:
    """S+S by all expressions and by each, random, first and oracle among the same candidates."""
    knobs = work.knobs_as(ScoreKnobs)
    referents = evaluated_referents(work)
    truths, choices = ground_truth_of(work.input(GROUND_TRUTH)), choices_of(work.input(MASK_CHOICES))
    candidates = candidates_of(work.input(CANDIDATE_MASKS))
    compared = [one for one in referents if one.object_id in truths and one.ref_id in choices]

    def pairs() -> Iterator[PairRow]:
        for referent in compared:
            choice, truth = choices[referent.ref_id], truths[referent.object_id].mask
            named = {mask.candidate: mask for mask in candidates.get(referent.image_id, [])}
            offered = [named[number].mask for number in choice.candidates]
            yield from choice_pairs(referent, choice, offered, truth, seed=knobs.random_seed)

    counts = write_pairs(work, pairs(), empties=knobs.empties, per_object=PER_OBJECT)
    TEXT.write(work.slot, _text_rows(work, referents, truths, choices))
    return Outcome(
        tallies={"pairs": Tally.computed_anew(counts.rows)},
        metrics={"objects without ground truth or choice": len(referents) - len(compared), **counts.headline()},
    )


def grounded_scores(work: Work) -> Outcome:
    """The baseline "G-DINO + SAM", per expression at the image's own resolution."""
    rows = {row.sent_id: row for row in GROUNDED.rows(work.input(GROUNDED_MASKS))}
    truths = ground_truth_of(work.input(GROUND_TRUTH))
    pairs = (
        compare(referent, sent_id, truths[referent.object_id].mask, rows[sent_id].mask, method="G-DINO + SAM")
        for referent in scored_referents(work)
        for sent_id in referent.sent_ids
        if referent.object_id in truths and sent_id in rows
    )
    counts = write_pairs(work, pairs, empties=work.knobs_as(ScoreKnobs).empties)
    return Outcome(tallies={"pairs": Tally.computed_anew(counts.rows)}, metrics=counts.headline())


def choice_pairs(
    referent: Referent, choice: ChoiceRow, offered: Sequence[Rle], truth: Rle, *, seed: int
) -> list[PairRow]:
    """Every method on every expression of a referent; `offered` are the masks of the choice's candidates."""
    row_of = {number: row for row, number in enumerate(choice.candidates)}
    pixels = [mask.pixels(truth) for mask in offered]
    rows = {
        "S+S": tuple(row_of[number] for number in choice.taken),
        "random": _one(random_choice(len(offered), referent_id=referent.ref_id, seed=seed).index),
        "first": _one(first_choice(len(offered)).index),
        "oracle": _one(oracle_choice(pixels).index),
    }

    @cache
    def counts(rows: tuple[int, ...]) -> tuple[int, int]:
        if len(rows) == 1:
            return pixels[rows[0]]
        return Rle.union([offered[row] for row in rows], height=truth.height, width=truth.width).pixels(truth)

    def pair(method: str, rows: tuple[int, ...], sent_id: int) -> PairRow:
        intersection, union = counts(rows)
        return PairRow(
            ref_id=referent.ref_id,
            sent_id=sent_id,
            split=referent.split,
            method=method,
            resolution="original",
            intersection=intersection,
            union=union,
            has_candidate=bool(offered),
        )

    pairs = [pair(method, taken, sent_id) for method, taken in rows.items() for sent_id in referent.sent_ids]
    for sent_id, number in zip(referent.sent_ids, choice.chosen_by_sentence, strict=True):
        pairs.append(pair("S+S by each expression", _one(row_of.get(number, -1)), sent_id))
    return pairs


def _one(row: int) -> tuple[int, ...]:
    """The row of a candidate; -1 is none."""
    return (row,) if row >= 0 else ()


def _text_rows(
    work: Work,
    referents: Sequence[Referent],
    truths: Mapping[str, GroundTruthRow],
    choices: Mapping[int, ChoiceRow],
) -> list[TextRow]:
    nouns = nouns_of(work.input(NOUN_PHRASES))
    queries = queries_of(work.input(PROJECTED_CLASSES))
    rows = []
    for split in dict.fromkeys(referent.split for referent in referents):
        here = [referent for referent in referents if referent.split == split]
        named = [referent for referent in here if referent.object_id in truths and truths[referent.object_id].category]
        hits = [hit for referent in named for hit in _noun_hits(referent, truths[referent.object_id].category, nouns)]
        right = [truths[referent.object_id].category in queries[referent.ref_id].query for referent in named]
        offered = [len(choices[referent.ref_id].candidates) for referent in here if referent.ref_id in choices]
        rows.append(
            TextRow(
                split=split,
                expressions_with_class_word=len(hits),
                noun_hit_rate=float(np.mean(hits)) if hits else None,
                projection_accuracy=float(np.mean(right)) if right else None,
                candidates_per_object=float(np.mean(offered)) if offered else 0.0,
            )
        )
    return rows


def _noun_hits(referent: Referent, category: str, nouns: Mapping[str, Sequence[str]]) -> list[bool]:
    """For each expression with a word for the class: whether its nouns hold one."""
    class_words = (category, *SYNONYMS.get(category, ()))
    hits = (noun_hit(text, nouns[text], class_words, match="phrase") for text in referent.expressions)
    return [hit for hit in hits if hit is not None]
