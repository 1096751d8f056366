"""The threshold below which a sentence means nothing in an image, from the sentences of other images.

For up to `SAMPLED` referents with candidates, drawn by the knob `seed`, three kinds of sentence are laid against the
referent's candidates, each by itself: its own (true), one of another image whose referent has the same class, where
there is one, and one of another image and another class (both swapped). What counts is the score of the candidate that
would be chosen. `ops.ssc.absence` makes the threshold of these scores; no ground truth is read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from assets.data.images import ImageTask, Pixels, per_image
from assets.data.tables import Referent
from assets.framework.work import Work
from assets.ssc.offers import Decide, Offered
from assets.ssc.tables import ABSENCE, AbsenceRow, CandidateRow, QueryRow
from ops.ssc.absence import Calibration, Keep, calibrate
from storage.digest import digest
from storage.rows import Tally

SAMPLED = 500
"""Referents that the threshold is found on, at most."""
THRESHOLD = "absent: threshold"
"""The metric of `mask_choices` that holds it."""
TRUE, SAME_CLASS, OTHER_CLASS = "true", "same class", "other class"


@dataclass(frozen=True, kw_only=True)
class _Said:
    """A sentence that is laid against a referent's candidates."""

    referent: Referent
    candidates: list[CandidateRow]
    text: str
    kind: str


_Asked = tuple[Offered, Sequence[_Said]]
"""An image, and what is said of its referents."""


@dataclass(frozen=True, kw_only=True)
class Absence:
    """A calibrated threshold, and the table that it was found on."""

    found: Calibration
    tally: Tally
    shares: Mapping[str, float]
    """Kind of swapped sentence -> share without a mask."""

    def metrics(self) -> dict[str, float]:
        """For the manifest and the page."""
        named = {f"absent: N-acc, {kind}": share for kind, share in self.shares.items()}
        return {
            THRESHOLD: self.found.threshold,
            "absent: N-acc": self.found.n_acc,
            **named,
            "absent: true sentences lost": self.found.lost,
        }


def calibrated(
    work: Work,
    offers: Sequence[Offered],
    queries: Mapping[int, QueryRow],
    opens: Callable[[Work], Decide],
    *,
    keep: Keep,
    seed: int,
) -> Absence:
    """Fill the table `absence` and find the threshold; what `opens` gives must score every choice, and leave none out.

    Raises:
        Refused: there are no swapped sentences, see `calibrate`.
    """
    tasks = []
    for offer, said in _sentences(offers, queries, seed=seed):
        key = digest([offer.key, [[one.referent.ref_id, one.text, one.kind] for one in said]])
        tasks.append(ImageTask(image=offer.image, payload=(offer, said), key=key))
    tally = per_image(work, ABSENCE, tasks, partial(_open, opens))
    scores: dict[str, list[float]] = {TRUE: [], SAME_CLASS: [], OTHER_CLASS: []}
    for row in ABSENCE.slot_rows(work.slot):
        scores[row.kind].append(row.score)
    found = calibrate(scores[TRUE], scores[SAME_CLASS] + scores[OTHER_CLASS], keep=keep)
    shares = {
        kind: sum(score < found.threshold for score in scores[kind]) / len(scores[kind])
        for kind in (SAME_CLASS, OTHER_CLASS)
        if scores[kind]
    }
    work.log(
        f"absent: a sentence below {found.threshold:.2f} means nothing; N-acc {100 * found.n_acc:.1f} % of "
        f"{len(scores[SAME_CLASS]) + len(scores[OTHER_CLASS])} swapped sentences"
        f" ({', '.join(f'{kind} {100 * share:.1f} %' for kind, share in shares.items())}), "
        f"{100 * found.lost:.1f} % of {len(scores[TRUE])} true ones lost"
    )
    return Absence(found=found, tally=tally, shares=shares)


def _open(opens: Callable[[Work], Decide], work: Work) -> Callable[[_Asked, Pixels], list[AbsenceRow]]:
    return partial(_rows, work.once(opens))


def _rows(decide: Decide, asked_of: _Asked, pixels: Pixels) -> list[AbsenceRow]:
    """The score of each sentence's choice; none where there is no choice."""
    offer, said = asked_of
    referents = [replace(one.referent, ref_id=number, expressions=[one.text]) for number, one in enumerate(said)]
    asked = replace(offer, referents=referents, candidates=[one.candidates for one in said])
    rows = []
    for one, choice in zip(said, decide(asked, pixels), strict=True):
        if choice.chosen is not None:
            score = choice.scores[choice.candidates.index(choice.chosen)]
            assert score is not None
            rows.append(
                AbsenceRow(
                    image_id=offer.image.image_id,
                    ref_id=one.referent.ref_id,
                    expression=one.text,
                    kind=one.kind,
                    score=score,
                )
            )
    return rows


def _sentences(
    offers: Sequence[Offered], queries: Mapping[int, QueryRow], *, seed: int
) -> list[tuple[Offered, list[_Said]]]:
    """The drawn referents' sentences, true and swapped, by image and in the order of the data set."""
    drawn = _drawn(offers, seed=seed)
    pick = _swapper(offers, queries, seed=seed)
    asked = []
    for offer in offers:
        said = []
        for referent, masks in zip(offer.referents, offer.candidates, strict=True):
            if referent.ref_id in drawn:
                texts = [(text, TRUE) for text in dict.fromkeys(referent.expressions)]
                texts += [(text, kind) for kind in (SAME_CLASS, OTHER_CLASS) if (text := pick(offer, referent, kind))]
                said += [_Said(referent=referent, candidates=masks, text=text, kind=kind) for text, kind in texts]
        if said:
            asked.append((offer, said))
    return asked


def _drawn(offers: Sequence[Offered], *, seed: int) -> frozenset[int]:
    """Numbers of the referents that are looked at: those with candidates whose digests come first."""
    able = [
        referent.ref_id
        for offer in offers
        for referent, masks in zip(offer.referents, offer.candidates, strict=True)
        if masks
    ]
    return frozenset(sorted(able, key=lambda ref_id: digest(["absent", seed, ref_id]))[:SAMPLED])


def _swapper(
    offers: Sequence[Offered], queries: Mapping[int, QueryRow], *, seed: int
) -> Callable[[Offered, Referent, str], str | None]:
    """What picks a sentence of another image, of the same class or of another; None where there is none."""
    spoken = [
        (offer.image.image_id, queries[referent.ref_id].query[0], text)
        for offer in offers
        for referent in offer.referents
        for text in referent.expressions
    ]
    of_class: dict[str, list[tuple[str, str, str]]] = {}
    for one in spoken:
        of_class.setdefault(one[1], []).append(one)

    def pick(offer: Offered, referent: Referent, kind: str) -> str | None:
        mine = queries[referent.ref_id].query[0]
        pool = of_class[mine] if kind == SAME_CLASS else spoken
        here = {text for other in offer.referents for text in other.expressions}
        start = int(digest(["swap", seed, referent.ref_id, kind])[:12], 16) % len(pool)
        for image_id, label, text in (pool[(start + step) % len(pool)] for step in range(len(pool))):
            if image_id != offer.image.image_id and text not in here and (kind == SAME_CLASS or label != mine):
                return text
        return None

    return pick
