"""Projection of nouns on class names, and the vote."""

import json
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from ops.refusal import Refused
from ops.ssc.class_projection import COCO_80, PROMPTS, Projection, project, vote
from tests.paths import SHARED

CATEGORIES = SHARED / "data/class_projection/coco80_categories.json"


class Encoder:
    """Looks prompts up in a table of vectors and counts its calls."""

    def __init__(self, **vectors: tuple[float, ...]) -> None:
        self.vectors = {PROMPTS["photo"].format(name): vector for name, vector in vectors.items()}
        self.calls: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> Tensor:
        self.calls.append(list(texts))
        return torch.tensor([self.vectors[text] for text in texts])


def test_every_noun_goes_to_the_label_of_largest_cosine_not_of_largest_product() -> None:
    encode = Encoder(guy=(2.0, 0.1), person=(1.0, 0.0), bus=(90.0, 90.0))
    (found,) = project(["guy"], ["bus", "person"], encode)
    assert (found.noun, found.label) == ("guy", "person")
    assert found.similarity == pytest.approx(2.0 / (4.01**0.5))


def test_among_equal_labels_the_first_one_wins() -> None:
    encode = Encoder(guy=(1.0, 0.0), a=(0.0, 1.0), b=(1.0, 0.0), c=(1.0, 0.0))
    assert project(["guy"], ["a", "c", "b"], encode)[0].label == "c"


def test_unique_nouns_are_encoded_once_in_one_batch_and_repetitions_come_back() -> None:
    encode = Encoder(guy=(1.0, 0.0), lady=(0.9, 0.1), person=(1.0, 0.0))
    found = project(["guy", "lady", "guy"], ["person"], encode)
    assert encode.calls == [["a photo of a guy", "a photo of a lady"], ["a photo of a person"]]
    assert [p.noun for p in found] == ["guy", "lady", "guy"]
    assert found[0] == found[2] == Projection(noun="guy", label="person", similarity=1.0)


def test_no_noun_needs_no_encoder_and_no_label_is_an_error() -> None:
    encode = Encoder()
    assert project([], ["person"], encode) == []
    assert encode.calls == []
    with pytest.raises(Refused, match="give at least one class name"):
        project(["guy"], [], encode)


def test_half_precision_embeddings_are_compared_in_single_precision() -> None:
    near, nearer = (1.0, 0.0005), (1.0, 0.0)
    encode = Encoder(guy=(1.0, 0.0), a=near, b=nearer)
    found = project(["guy"], ["a", "b"], lambda texts: encode(texts).half())
    assert found[0].label == "b"


def test_the_majority_wins_and_ties_go_to_the_first_seen() -> None:
    assert vote(["dog", "person", "person"], rule="majority") == ["person"]
    assert vote(["dog", "person", "person", "dog"], rule="majority") == ["dog"]


def test_without_a_majority_all_classes_are_asked_for_once() -> None:
    assert vote(["dog", "person", "dog"], rule="all") == ["dog", "person"]


@pytest.mark.parametrize("rule", ["majority", "all"])
def test_an_object_without_nouns_is_asked_for_as_object(rule: str) -> None:
    assert vote([], rule=rule) == ["object"]  # type: ignore[arg-type]


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="no voting rule"):
        vote(["dog"], rule="first")  # type: ignore[arg-type]


def test_the_labels_are_those_of_coco() -> None:
    assert (len(COCO_80), COCO_80[0], COCO_80[-1]) == (80, "person", "toothbrush")
    if not CATEGORIES.is_file():
        pytest.skip("data/class_projection is not beside the project")
    assert tuple(category["name"] for category in json.loads(CATEGORIES.read_text())) == COCO_80


def test_nouns_and_labels_are_put_in_the_papers_words_where_asked() -> None:
    asked: list[str] = []

    def encode(texts: Sequence[str]) -> Tensor:
        asked.extend(texts)
        return torch.ones(len(texts), 2)

    project(["guy"], ["person"], encode, wording="picture")
    assert asked == ["a picture of guy", "a picture of person"]
