"""From what a teacher's files say to masks of known images and sentences; what fits nothing is left out with a reason.

An image is meant by its id, by its file as the data set names it, or by the last part of that name where only one image
has it. A text means every sentence of the image that is written so, letter case and spaces aside: where several
referents share a text, each gets the mask. `ref_id` means all sentences of a referent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ops.refusal import Refused
from resources.datasets import Expression
from resources.datasets.plain_values import RecordProblem
from resources.datasets.table_rows import shown
from resources.teachers.records import MOST_CANDIDATES, GivenMask, Purpose, TeacherMask, Unusable
from storage.masks import MaskError, Rle


@dataclass(frozen=True)
class Known:
    """What a data set says, by every key that a teacher may use."""

    images: Mapping[str, Expression]
    """Image id -> one of its expressions."""
    files: Mapping[str, Sequence[str]]
    """File name, whole or its last part -> image ids."""
    sentences: Mapping[int, Expression]
    referents: Mapping[int, Sequence[Expression]]
    texts: Mapping[tuple[str, str], Sequence[Expression]]
    """(Image id, text in one spelling) -> its sentences."""

    @classmethod
    def of(cls, expressions: Iterable[Expression]) -> Known:
        """Index the expressions of a data set."""
        images: dict[str, Expression] = {}
        files: dict[str, list[str]] = {}
        sentences: dict[int, Expression] = {}
        referents: dict[int, list[Expression]] = {}
        texts: dict[tuple[str, str], list[Expression]] = {}
        for row in expressions:
            if row.image_id not in images:
                images[row.image_id] = row
                for name in {row.image_file, PurePosixPath(row.image_file).name}:
                    files.setdefault(name, []).append(row.image_id)
            sentences[row.sent_id] = row
            referents.setdefault(row.ref_id, []).append(row)
            for text in {spelled(row.expression), spelled(row.raw)}:
                texts.setdefault((row.image_id, text), []).append(row)
        return cls(images, files, sentences, referents, texts)

    def image(self, written: str) -> Expression:
        """The image that is meant, by one of its expressions.

        Raises:
            RecordProblem: none is, or several may be.
        """
        if written in self.images:
            return self.images[written]
        name = written.replace("\\", "/")
        for key in (name, PurePosixPath(name).name):
            found = self.files.get(key, ())
            if len(found) > 1:
                raise RecordProblem(f"the image {shown(written)} may be any of {len(found)}; give its path or its id")
            if found:
                return self.images[found[0]]
        raise RecordProblem(f"unknown image: the data set has none called {shown(written)}")

    def said(self, given: GivenMask, image_id: str) -> Sequence[Expression]:
        """The sentences that a choice is for.

        Raises:
            RecordProblem: none is, or they belong to another image.
        """
        if given.sent_ids:
            found = [self.sentences[number] for number in given.sent_ids if number in self.sentences]
            what = f"sentence {given.sent_ids[0]}"
        elif given.ref_id is not None:
            found, what = list(self.referents.get(given.ref_id, ())), f"ref {given.ref_id}"
        elif given.expression:
            found = list(self.texts.get((image_id, spelled(given.expression)), ()))
            what = f"'{shown(given.expression)}' in this image"
        else:
            raise RecordProblem("a choice names what was said, by expression, sent_id or ref_id")
        if not found:
            raise RecordProblem(f"unknown expression: the data set has no {what}")
        if any(row.image_id != image_id for row in found):
            raise RecordProblem(f"{what} belongs to the image {shown(found[0].image_id)}")
        return found


def spelled(text: str) -> str:
    """One spelling for texts that differ by letter case and spaces."""
    return " ".join(text.casefold().split())


@dataclass(frozen=True)
class Fitted:
    """What an import keeps and what it leaves out."""

    masks: Sequence[TeacherMask]
    """In the order of the file; a mask for several sentences once for each."""
    unusable: Sequence[Unusable]


def fit_masks(rows: Iterable[GivenMask | Unusable], known: Known, purpose: Purpose) -> Fitted:
    """Look up and draw every mask of a teacher's files.

    Of several masks for one sentence the one with the highest score stays, the first of equal ones; a candidate that
    its image has already stays once.
    """
    lost: list[Unusable] = []
    fitting: list[tuple[GivenMask, Expression, Rle, Sequence[Expression]]] = []
    for row in rows:
        if isinstance(row, Unusable):
            lost.append(row)
            continue
        try:
            fitting.append((row, *_fit(row, known, purpose)))
        except (Refused, MaskError) as problem:
            lost.append(_lost(row, str(problem)))
    keep = _candidates if purpose == "candidates" else _choices
    masks = list(keep(fitting, lost))
    return Fitted(masks, lost)


Fitting = Sequence[tuple[GivenMask, Expression, Rle, Sequence[Expression]]]


def _fit(row: GivenMask, known: Known, purpose: Purpose) -> tuple[Expression, Rle, Sequence[Expression]]:
    if row.score is not None and not 0 <= row.score <= 1:  # nor is NaN
        raise RecordProblem(f"score is {row.score}, not from 0 to 1")
    image = known.image(row.image)
    said = known.said(row, image.image_id) if purpose == "choices" else ()
    mask = row.draw(image.height, image.width)
    if not mask.area:
        raise RecordProblem("the mask is empty; leave the row out where the teacher finds nothing")
    return image, mask, said


def _candidates(fitting: Fitting, lost: list[Unusable]) -> Iterator[TeacherMask]:
    seen: set[tuple[str, str, bytes]] = set()
    counts: Counter[str] = Counter()
    for row, image, mask, _ in fitting:
        key = (image.image_id, row.label, mask.counts)
        if key in seen:
            lost.append(_lost(row, "duplicate: the image has this mask already"))
        elif counts[image.image_id] >= MOST_CANDIDATES:
            lost.append(_lost(row, f"the image has more than {MOST_CANDIDATES:,} masks already"))
        else:
            seen.add(key)
            counts[image.image_id] += 1
            yield _kept(row, image.image_id, mask, None)


def _choices(fitting: Fitting, lost: list[Unusable]) -> Iterator[TeacherMask]:
    best: dict[int, int] = {}
    for place, (row, _, _, said) in enumerate(fitting):
        for sentence in said:
            other = best.get(sentence.sent_id)
            if other is None or _score(row) > _score(fitting[other][0]):
                best[sentence.sent_id] = place
    kept = set(best.values())
    for place, (row, _, _, said) in enumerate(fitting):
        if place not in kept:
            winner = fitting[best[said[0].sent_id]][0].place
            lost.append(_lost(row, f"duplicate: {winner} is for the same expression, and not worse by its score"))
    for sent_id, place in best.items():
        row, image, mask, said = fitting[place]
        sentence = next(one for one in said if one.sent_id == sent_id)
        yield _kept(row, image.image_id, mask, sentence)


def _score(row: GivenMask) -> float:
    return -1.0 if row.score is None else row.score


def _kept(row: GivenMask, image_id: str, mask: Rle, sentence: Expression | None) -> TeacherMask:
    return TeacherMask(
        image_id=image_id,
        ref_id=None if sentence is None else sentence.ref_id,
        sent_id=None if sentence is None else sentence.sent_id,
        expression="" if sentence is None else sentence.expression,
        label=row.label,
        score=row.score,
        mask=mask,
    )


def _lost(row: GivenMask, reason: str) -> Unusable:
    said = row.expression or ", ".join(f"sentence {number}" for number in row.sent_ids)
    said = said or (f"ref {row.ref_id}" if row.ref_id is not None else "")
    return Unusable(place=row.place, item=", ".join(shown(part) for part in (row.image, said) if part), reason=reason)
