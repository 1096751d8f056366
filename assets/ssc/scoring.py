"""What a scorer sees of an image's candidates and expressions, and the rule that decides by it.

Shapes: S expressions of a referent, N its candidates, R of them that are asked for, D embedding width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from assets.ssc.place_terms import Floats
from assets.ssc.tables import CandidateRow
from ops.ssc.consensus import Consensus, agreed_scores
from ops.ssc.mask_selection import Choice, Rule, choose, unless_absent
from ops.ssc.similarity import mean_similarity, sentence_similarities


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Which candidates of an image need a score."""

    rule: Rule
    size: tuple[int, int]
    """Height and width."""
    asked: Sequence[Sequence[int]]
    """Rows of each referent's candidates."""
    masks: Mapping[int, CandidateRow]
    """Candidate -> its row, of all of them."""


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The embeddings of an image's candidates and expressions, and the rule that decides by them."""

    rule: Rule
    image_area: int
    candidates: Sequence[Sequence[CandidateRow]]
    asked: Sequence[Sequence[int]]
    """Rows of each referent's candidates that need a score."""
    texts: Sequence[Tensor]
    """(S, D) of each referent."""
    terms: Sequence[Floats]
    """(S, N) what places and responses add to the similarities of each referent."""
    embedded: Mapping[int, Tensor]
    """Candidate -> (D,)."""
    threshold: float | None = None
    consensus: Consensus = "mean"

    @property
    def each(self) -> list[tuple[Sequence[CandidateRow], Tensor, Floats]]:
        """Candidates, expressions and terms of each referent."""
        return list(zip(self.candidates, self.texts, self.terms, strict=True))

    def choice(self, masks: Sequence[CandidateRow], texts_SD: Tensor, terms_SN: Floats) -> Choice:
        """The choice among candidates by some expressions."""
        score = partial(self.score, masks, texts_SD, terms_SN)
        areas_N = [mask.area for mask in masks]
        choice = choose(areas_N, score, rule=self.rule, image_area=self.image_area)
        if self.threshold is None:
            return choice
        alike = partial(self.mean, masks, texts_SD, np.zeros_like(terms_SN))  # a place does not say what is there
        return unless_absent(choice, score, alike, threshold=self.threshold)

    def score(
        self, masks: Sequence[CandidateRow], texts_SD: Tensor, terms_SN: Floats, rows: Sequence[int]
    ) -> Sequence[float]:
        """What the expressions say together, by 100 cosine and the terms, of the candidates in `rows`."""
        if self.consensus == "mean":
            return self.mean(masks, texts_SD, terms_SN, rows)
        similar_SR = sentence_similarities(texts_SD, self._images(masks, rows))
        return agreed_scores(similar_SR + terms_SN[:, list(rows)], self.consensus).tolist()

    def mean(
        self, masks: Sequence[CandidateRow], texts_SD: Tensor, terms_SN: Floats, rows: Sequence[int]
    ) -> Sequence[float]:
        """The mean over the expressions."""
        similar = mean_similarity(texts_SD, self._images(masks, rows))
        terms_N = terms_SN.mean(0)
        return [one + float(terms_N[row]) for one, row in zip(similar, rows, strict=True)]

    def _images(self, masks: Sequence[CandidateRow], rows: Sequence[int]) -> Tensor:
        """(R, D) of the candidates in `rows`."""
        return torch.stack([self.embedded[masks[row].candidate] for row in rows])

    def similarities(self) -> list[dict[int, float]]:
        """For each referent, candidate -> score, of those that compete."""
        return [
            dict(
                zip(
                    (masks[row].candidate for row in rows),
                    self.score(masks, texts_SD, terms_SN, rows) if rows else (),
                    strict=True,
                )
            )
            for (masks, texts_SD, terms_SN), rows in zip(self.each, self.asked, strict=True)
        ]


def only_choice(areas_N: Sequence[int], rule: Rule, image_area: int) -> tuple[int, ...]:
    """The row that is chosen without any score, if there is one."""
    index = choose(areas_N, (), rule=rule, image_area=image_area).index
    return (index,) if index >= 0 else ()
