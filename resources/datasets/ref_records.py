"""References of a refer pickle, each read once into typed records; what can not be read says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops.refusal import Refused
from resources.datasets.plain_pickle import load_plain_pickle
from resources.datasets.plain_values import (
    RecordProblem,
    described,
    number_of,
    require_fields,
    text_of,
    whole_number,
)

FIELDS = ("ref_id", "ann_id", "image_id", "split", "sentences")
NO_OBJECT = -1
"""What gRefCOCO lists where an expression refers to nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """One expression of a reference."""

    sent_id: int
    sent: str
    raw: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LostSentence:
    """An expression that can not be read."""

    sent_id: int | None
    problem: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ref:
    """A reference: one object in one image, with its expressions."""

    index: int = field(compare=False)
    """Place in the file, from 0."""
    ref_id: int
    ann_id: int
    image_id: int
    split: str
    sentences: tuple[Sentence | LostSentence, ...]

    @property
    def expressions(self) -> int:
        """How many sentences it has."""
        return len(self.sentences)


@dataclass(frozen=True, kw_only=True, slots=True)
class LostRef:
    """A reference that can not be read, and what is known of it all the same."""

    index: int
    ref_id: int | None = None
    ann_id: int | None = None
    image_id: int | None = None
    split: str = ""
    expressions: int = 0
    """How many sentences it has, where they are a list."""
    problem: str


AnyRef = Ref | LostRef


def read_refs(path: Path) -> list[AnyRef]:
    """All references in file order.

    Raises:
        Refused: the file is no list of references, or as `load_plain_pickle`.
    """
    records = load_plain_pickle(path)
    if not isinstance(records, (list, tuple)) or (records and not any(isinstance(record, dict) for record in records)):
        raise Refused(f"{path.name} holds no list of references; check that it is the refer pickle")
    return [_ref(index, record) for index, record in enumerate(records)]


def repeated(refs: Sequence[AnyRef]) -> dict[int, str]:
    """Index -> why a reference can not be used beside the others.

    Where references share their number, none of them is meant; of equal ones the first is.
    """
    first: dict[int, AnyRef] = {}
    differing: set[int] = set()
    again: set[int] = set()
    for ref in refs:
        if ref.ref_id is None:
            continue
        known = first.setdefault(ref.ref_id, ref)
        if known == ref:
            again |= {ref.index} - {known.index}
        else:
            differing.add(ref.ref_id)
    reasons = dict.fromkeys(again, "the same reference is listed before")
    reasons |= {
        ref.index: f"several references have the ref_id {ref.ref_id}; number them anew"
        for ref in refs
        if ref.ref_id in differing
    }
    return reasons


def problems_of_sentences(refs: Sequence[Ref]) -> dict[tuple[int, int], str]:
    """(index of the reference, place of its sentence) -> why the sentence can not be used.

    Where sentences share their number, none of them is meant; of equal ones in one reference the first is.
    """
    problems: dict[tuple[int, int], str] = {}
    owners: dict[int, dict[tuple[int, str, str], tuple[int, int]]] = {}
    places = [((ref.index, place), sentence) for ref in refs for place, sentence in enumerate(ref.sentences)]
    for here, sentence in places:
        if isinstance(sentence, LostSentence):
            problems[here] = sentence.problem
            continue
        said = (here[0], sentence.sent, sentence.raw)
        if owners.setdefault(sentence.sent_id, {}).setdefault(said, here) != here:
            problems[here] = "the same sentence is listed before"
    for here, sentence in places:
        if isinstance(sentence, Sentence) and len(owners[sentence.sent_id]) > 1:
            problems[here] = f"several sentences have the sent_id {sentence.sent_id}; number them anew"
    return problems


def _ref(index: int, record: object) -> AnyRef:
    try:
        fields = require_fields(record, FIELDS)
        sentences = fields["sentences"]
        if not isinstance(sentences, (list, tuple)):
            raise RecordProblem(f"sentences is {described(sentences)}, no list")
        if not sentences:
            raise RecordProblem("the reference has no sentence")
        return Ref(
            index=index,
            ref_id=number_of(fields, "ref_id"),
            ann_id=_object_of(fields),
            image_id=number_of(fields, "image_id"),
            split=text_of(fields, "split"),
            sentences=tuple(_sentence(sentence) for sentence in sentences),
        )
    except RecordProblem as problem:
        return _lost_ref(index, record, str(problem))


def _lost_ref(index: int, record: object, problem: str) -> LostRef:
    fields: Mapping[object, object] = record if isinstance(record, dict) else {}
    sentences = fields.get("sentences")
    try:
        split = text_of(fields, "split")
    except RecordProblem:
        split = ""
    return LostRef(
        index=index,
        ref_id=whole_number(fields.get("ref_id")),
        ann_id=whole_number(fields.get("ann_id")),
        image_id=whole_number(fields.get("image_id")),
        split=split,
        expressions=len(sentences) if isinstance(sentences, (list, tuple)) else 0,
        problem=problem,
    )


def _object_of(fields: Mapping[object, object]) -> int:
    """The annotation that a reference names; gRefCOCO has lists of them, which here may hold one."""
    objects = fields["ann_id"]
    if not isinstance(objects, (list, tuple)):
        return number_of(fields, "ann_id")
    if len(objects) == 1 and whole_number(objects[0]) != NO_OBJECT:
        return number_of({"ann_id": objects[0]}, "ann_id")
    if len(objects) > 1:
        raise RecordProblem(f"the reference is to {len(objects)} objects at once (gRefCOCO); those to one are read")
    raise RecordProblem("the reference is to no object (gRefCOCO); those to one are read")


def _sentence(record: object) -> Sentence | LostSentence:
    try:
        fields = require_fields(record, ("sent_id", "sent"))
        sent = text_of(fields, "sent", longest=None)
        raw = fields.get("raw")
        return Sentence(sent_id=number_of(fields, "sent_id"), sent=sent, raw=raw if isinstance(raw, str) else sent)
    except RecordProblem as problem:
        number = whole_number(record.get("sent_id")) if isinstance(record, dict) else None
        return LostSentence(sent_id=number, problem=f"the sentence is left out: {problem}")
