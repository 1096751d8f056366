"""The choice among candidates and its baselines against ground truth, and how the text stages did."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from assets.data.images import Mask
from assets.data.stages import GROUND_TRUTH
from assets.data.tables import GroundTruthRow, Referent, ground_truth_of, scored_referents
from assets.evaluation.iou_scores import compare, evaluated_referents, headline, write_pairs
from assets.evaluation.knobs import ScoreKnobs
from assets.evaluation.tables import TEXT, PairRow, TextRow
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.ssc.stages import CANDIDATE_MASKS, GROUNDED_MASKS, MASK_CHOICES, NOUN_PHRASES, PROJECTED_CLASSES
from assets.ssc.tables import GROUNDED, CandidateRow, ChoiceRow, candidates_of, choices_of, nouns_of, queries_of
from ops.evaluation.noun_hits import noun_hit
from ops.ssc.mask_selection import first_choice, oracle_choice, random_choice
from resources.toyref.expressions import SYNONYMS
from storage.rows import Tally

PER_OBJECT = ("S+S", "random", "first", "oracle")
"""Methods that give a referent one mask, whatever the expression."""


def choice_scores(work: Work) -> Outcome:
    """S+S by all expressions and by each, random, first and oracle among the same candidates."""
    knobs = work.knobs_as(ScoreKnobs)
    referents = evaluated_referents(work)
    truths, choices = ground_truth_of(work.input(GROUND_TRUTH)), choices_of(work.input(MASK_CHOICES))
    candidates = candidates_of(work.input(CANDIDATE_MASKS))
    pairs: list[PairRow] = []
    for referent in referents:
        if referent.object_id in truths and referent.ref_id in choices:
            choice = choices[referent.ref_id]
            named = {mask.candidate: mask for mask in candidates.get(referent.image_id, [])}
            offered = [named[number] for number in choice.candidates]
            truth = truths[referent.object_id].mask.decode()
            pairs += _choice_pairs(referent, choice, offered, truth, seed=knobs.random_seed)
    write_pairs(work, pairs, empties=knobs.empties, per_object=PER_OBJECT)
    TEXT.write(work.slot, _text_rows(work, referents, truths, choices))
    lost = len(referents) - len({pair.ref_id for pair in pairs})
    return Outcome(
        tallies={"pairs": Tally.computed_anew(len(pairs))},
        metrics={"objects without ground truth or choice": lost, **headline(pairs)},
    )


def grounded_scores(work: Work) -> Outcome:
    """The baseline "G-DINO + SAM", per expression at the image's own resolution."""
    rows = {row.sent_id: row for row in GROUNDED.read(work.input(GROUNDED_MASKS))}
    truths = ground_truth_of(work.input(GROUND_TRUTH))
    pairs = [
        compare(
            referent,
            sent_id,
            truths[referent.object_id].mask.decode(),
            rows[sent_id].mask.decode(),
            method="G-DINO + SAM",
        )
        for referent in scored_referents(work)
        for sent_id in referent.sent_ids
        if referent.object_id in truths and sent_id in rows
    ]
    write_pairs(work, pairs, empties=work.knobs_as(ScoreKnobs).empties)
    return Outcome(tallies={"pairs": Tally.computed_anew(len(pairs))}, metrics=headline(pairs))


def _choice_pairs(
    referent: Referent, choice: ChoiceRow, offered: Sequence[CandidateRow], truth: Mask, *, seed: int
) -> list[PairRow]:
    masks = np.stack([row.mask.decode() for row in offered]) if offered else np.zeros((0, *truth.shape), dtype=bool)
    row_of = {candidate.candidate: row for row, candidate in enumerate(offered)}
    rows = {
        "S+S": tuple(row_of[number] for number in choice.taken),
        "random": _one(random_choice(len(offered), referent_id=referent.ref_id, seed=seed).index),
        "first": _one(first_choice(len(offered)).index),
        "oracle": _one(oracle_choice(masks, truth).index),
    }

    @cache
    def counts(rows: tuple[int, ...]) -> tuple[int, int]:
        mask = masks[list(rows)].any(0)
        return int((mask & truth).sum()), int((mask | truth).sum())

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
