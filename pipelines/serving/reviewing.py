"""What a person is asked in a review: each referent's candidates, what the rule chose, and what was decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from math import inf
from typing import Any

from assets.data.images import read_pixels
from assets.data.tables import ImageRow, Referent, images_in, referents_in
from assets.framework.stage import StageInstance
from assets.reports.gallery.writing import thumbnail
from assets.reports.text import visible
from assets.ssc.review_keys import mask_key, referent_keys
from assets.ssc.tables import CandidateRow, ChoiceRow, candidates_of, read_rule_choices
from ops.refusal import Refused
from pipelines.graph.load import planned
from pipelines.graph.state import raw_data_problem, states_of
from pipelines.serving.problems import Problem
from resources.datasets import open_dataset
from resources.reviews import Decision, Reviews, Verdict, decide, read_reviews, reviews_file, undo
from resources.store import open_store
from storage.artifact import Artifact

SIDE = 1280
"""Of a picture, the longer one at most, pixels."""
PICTURES = 32
"""Kept in memory."""
RELOAD = "reload the page; if that does not help, start `wordmask review` anew"


@dataclass(frozen=True, kw_only=True)
class Question:
    """A referent and what may be meant."""

    key: str
    referent: Referent
    image: ImageRow
    candidates: Sequence[CandidateRow]
    choice: ChoiceRow
    """The rule's own."""

    @property
    def masks(self) -> dict[str, CandidateRow]:
        """Content key -> candidate, in their order."""
        return {mask_key(self.image, one.mask): one for one in self.candidates}

    def shown(self) -> dict[str, Any]:
        """For the page, but for decisions."""
        scores = dict(zip(self.choice.candidates, self.choice.scores, strict=True))
        pixels = self.image.height * self.image.width
        candidates = [
            {
                "key": key,
                "label": visible(one.label),
                "score": scores.get(one.candidate),
                "share": one.area / pixels,
                "counts": one.rle.decode("ascii"),
                "chosen": one.candidate in self.choice.taken,
            }
            for key, one in self.masks.items()
        ]
        return {
            "key": self.key,
            "id": self.referent.ref_id,
            "row": self.referent.sent_ids[0],
            "expressions": [visible(text) for text in self.referent.expressions],
            "split": visible(self.referent.split),
            "file": visible(self.image.image_file),
            "width": self.image.width,
            "height": self.image.height,
            "picture": f"images/{self.image.sha256}.jpg",
            "candidates": candidates,
            "reason": visible(self.choice.reason),
            "margin": self.choice.margin,
        }


@dataclass(frozen=True, kw_only=True)
class Review:
    """The referents of a data set, and who decides about them."""

    dataset: str
    experiment: str
    who: str
    source: Any
    """Reads the data set's images."""
    questions: Mapping[str, Question]
    """By content key, the least margin first; those without a margin come last."""
    _known: dict[str, tuple[tuple[int, int], Reviews]] = field(default_factory=dict)

    def reviews(self) -> Reviews:
        """All decisions on the disk, of whomever."""
        file = reviews_file(self.dataset)
        state = (file.stat().st_mtime_ns, file.stat().st_size) if file.exists() else (0, 0)
        if self._known.get("", (None,))[0] != state:
            self._known[""] = state, read_reviews(self.dataset)
        return self._known[""][1]

    def overview(self) -> dict[str, Any]:
        """All referents in the order in which they are asked, and what stands."""
        reviews = self.reviews()
        counted = reviews.counted
        gone = len(counted.keys() - self.questions.keys())
        notes = [reviews.damage, f"{gone} decisions are about referents that are not here any more" if gone else ""]
        return {
            "dataset": self.dataset,
            "experiment": self.experiment,
            "who": self.who,
            "keys": list(self.questions),
            "margins": [one.choice.margin for one in self.questions.values()],
            "decided": [counted[key].decision if key in counted else None for key in self.questions],
            "notes": [visible(note) for note in notes if note],
        }

    def question(self, key: str) -> dict[str, Any]:
        """One referent, and what stands; `Problem` where there is none of this key."""
        return {**self._asked(key).shown(), "decision": told(self.reviews().counted.get(key))}

    def decide(self, key: str, decision: Verdict, mask: str) -> dict[str, Any]:
        """Write a decision down.

        Raises:
            Problem: the referent is not known, or the mask is none of its candidates.
            StoreError: the disk refuses.
        """
        question = self._asked(key)
        if decision == "mask" and mask not in question.masks:
            raise Problem(422, "no_candidate", "this mask is none of the referent's candidates", RELOAD)
        if decision != "mask" and mask:
            raise Problem(422, "no_candidate", f"{decision} takes no mask", RELOAD)
        image = question.image.sha256
        line = decide(self.dataset, self.who, image=image, referent=key, decision=decision, mask=mask)
        return {"key": key, "decision": told(line)}

    def undo(self, key: str) -> dict[str, Any]:
        """Take the person's last decision on a referent back.

        Raises:
            Problem: the referent is not known, none stands, or it is another person's.
            StoreError: the disk refuses.
        """
        self._asked(key)
        try:
            return {"key": key, "decision": told(undo(self.dataset, self.who, key))}
        except Refused as problem:
            raise Problem(409, "not_yours", str(problem), RELOAD) from problem

    def _asked(self, key: str) -> Question:
        if key not in self.questions:
            raise Problem(404, "no_referent", "no referent of the data set has this key", RELOAD)
        return self.questions[key]

    def pictures(self) -> Any:
        """SHA-256 -> a JPEG of an image; `Problem` where none has this hash, `ImageChangedError` where it changed."""
        known = {one.image.sha256: one.image for one in self.questions.values()}
        read = partial(read_pixels, self.source)

        @lru_cache(PICTURES)
        def picture(sha256: str) -> bytes:
            if sha256 not in known:
                raise Problem(404, "no_image", "no image of the data set has this hash", RELOAD)
            return thumbnail(read(known[sha256]), side=SIDE)

        return picture


def told(decision: Decision | None) -> dict[str, str] | None:
    """A decision for the page."""
    if decision is None:
        return None
    return {"what": decision.decision, "mask": decision.mask, "who": visible(decision.who), "when": decision.when}


def open_review(dataset: str, experiment: str, who: str) -> Review:
    """The referents of an experiment's choices.

    Raises:
        Refused: nobody asked for the experiment on the data set, or its candidates or choices are not made yet.
        StoreError: an artifact is damaged.
    """
    instances = planned(dataset, experiment)
    references, candidate_masks, mask_choices = _artifacts(instances, dataset, experiment)
    images, referents, candidates = images_in(references), referents_in(references), candidates_of(candidate_masks)
    keys = referent_keys(referents, images)
    rule = {row.ref_id: row for row in read_rule_choices(mask_choices)}
    questions = [
        Question(
            key=keys[one.ref_id],
            referent=one,
            image=images[one.image_id],
            candidates=[each for each in candidates.get(one.image_id, ()) if each.candidate in choice.candidates],
            choice=choice,
        )
        for one in referents
        if (choice := rule.get(one.ref_id)) is not None
    ]
    questions.sort(key=lambda one: (not one.candidates, inf if one.choice.margin is None else one.choice.margin))
    source = open_dataset(instances[0].source.config)
    by_key = {one.key: one for one in questions}
    return Review(dataset=dataset, experiment=experiment, who=who, source=source, questions=by_key)


def _artifacts(instances: Sequence[StageInstance], dataset: str, experiment: str) -> tuple[Artifact, ...]:
    """Of the three stages; choices may be older than the last decisions, but not than the candidates."""
    states = states_of(instances, open_store())
    found = {one.stage.name: states[one.key] for one in instances}
    names = ("references", "candidate_masks", "mask_choices")
    artifacts = [found[name].artifact if name in found else None for name in names]
    ready = all(name in found and found[name].state == "ready" for name in names[:2])
    references, candidates, choices = artifacts
    made_of = choices.manifest.inputs if choices else {}
    if (
        not ready
        or not (references and candidates and choices)
        or any(
            made_of.get(name) != one.manifest.fingerprint
            for name, one in zip(names, (references, candidates), strict=False)
        )
    ):
        raise Refused(
            f"{raw_data_problem(instances)}the choices of {experiment} on {dataset} are not ready: "
            f"`wordmask run -d {dataset} -e {experiment} --until mask_choices` makes them"
        )
    return references, candidates, choices
