"""What the recipes of Segment, Select, Correct digest."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assets.framework.knobs import Knobs
from assets.ssc.knobs import (
    ELLIPSE_REVISION,
    CandidateKnobs,
    ChoiceKnobs,
    CorrectKnobs,
    GroundedKnobs,
    LabelKnobs,
    ProjectionKnobs,
)


def test_only_a_choice_by_drawn_ellipses_depends_on_their_revision() -> None:
    assert ChoiceKnobs(prompt="red_ellipse").recipe()["revision"] == ELLIPSE_REVISION
    assert ChoiceKnobs(prompt="red_ellipse", compat=True).recipe()["revision"] == ELLIPSE_REVISION
    for knobs in (ChoiceKnobs(), ChoiceKnobs(compat=True), ChoiceKnobs(rule="random", prompt="red_ellipse")):
        assert "revision" not in knobs.recipe()


def test_places_are_in_a_recipe_where_they_are_read_and_nowhere_else() -> None:
    assert not {"places", "parser"} & set(ChoiceKnobs().recipe())
    assert not {"places", "parser"} & set(ChoiceKnobs(rule="random", places=1.0).recipe())
    turned = ChoiceKnobs(places=2.0)
    assert turned.recipe() == {**ChoiceKnobs().recipe(), "places": 2.0, "parser": "embedded"}
    assert len(ChoiceKnobs().models()) == 1
    assert len(turned.models()) == 2


def test_the_wording_of_projection_is_young_and_unread_without_projection() -> None:
    assert "wording" not in ProjectionKnobs().recipe()
    assert ProjectionKnobs(wording="picture").recipe()["wording"] == "picture"
    unprojected = ProjectionKnobs(project=False, wording="picture")
    assert unprojected.recipe() == ProjectionKnobs(project=False).recipe()


KINDS: dict[str, type[Knobs]] = {
    "S1": CandidateKnobs,
    "S2": ChoiceKnobs,
    "projection": ProjectionKnobs,
    "G": GroundedKnobs,
}
SAM_2, SAM_3, DINO = "facebook/sam2.1-hiera-tiny", "facebook/sam3", "IDEA-Research/grounding-dino-tiny"


@pytest.mark.parametrize(
    ("kind", "knobs", "models"),
    [
        ("S1", {"detector": DINO, "segmenter": SAM_2}, (DINO, SAM_2)),
        ("S1", {"detector": f"{DINO}@v1", "segmenter": "vit_b", "source": "crop"}, (f"{DINO}@v1", "vit_b")),
        ("S1", {"source": "everything", "segmenter": SAM_2}, (SAM_2,)),
        ("S1", {"source": "concept", "segmenter": SAM_3}, (SAM_3,)),
        ("G", {"detector": DINO, "segmenter": SAM_2}, (DINO, SAM_2)),
        ("S2", {"clip": "ViT-B-16-SigLIP2:webli"}, ("ViT-B-16-SigLIP2:webli",)),
        ("S2", {"clip": "ViT-B-16:mine", "rule": "global_local"}, ("ViT-B-16:mine", "embedded/parser")),
        ("projection", {"clip": "MobileCLIP2-S0:dfndr2b"}, ("MobileCLIP2-S0:dfndr2b",)),
    ],
)
def test_a_recipe_holds_the_registry_names_of_models_of_hubs(
    kind: str, knobs: dict[str, Any], models: tuple[str, ...]
) -> None:
    assert KINDS[kind](**knobs).models() == models


@pytest.mark.parametrize(
    ("kind", "knobs", "why"),
    [
        ("S1", {"source": "concept"}, "takes boxes and no classes: name SAM 3"),
        ("S1", {"segmenter": SAM_3}, "takes no boxes: set `source: concept`"),
        ("S1", {"segmenter": SAM_3, "source": "everything"}, "takes no boxes"),
        ("S1", {"segmenter": "someone/owlv2"}, "owlv2 has no adapter as segmenter"),
        ("S1", {"detector": "someone/llama"}, "llama has no adapter as detector"),
        ("S1", {"segmenter": "someone/sam2", "source": "concept"}, "sam2 takes boxes and no classes"),
        ("G", {"segmenter": SAM_3}, "takes no boxes"),
        ("S2", {"rule": "global_local", "clip": "ViT-B-16-SigLIP2:webli"}, "masks tokens of open_clip's"),
        ("S2", {"rule": "global_local", "clip": "RN50"}, "or the rule clip"),
        ("S2", {"rule": "global_local", "clip": "embedded/clip_rn"}, "masks tokens"),
        ("S2", {"clip": "google/siglip2-base-patch16-224"}, "as ARCHITECTURE:tag"),
        ("projection", {"clip": "google/siglip2-base-patch16-224"}, "as ARCHITECTURE:tag"),
    ],
)
def test_what_a_model_cannot_serve_is_refused_when_the_experiment_is_read(
    kind: str, knobs: dict[str, Any], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDMASK_CHECKPOINTS", str(tmp_path))
    for found in ("owlv2", "llama", "sam2"):
        folder = tmp_path / "hub" / f"someone--{found}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(f'{{"model_type": "{found}"}}')
        (folder / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(ValidationError, match=why):
        KINDS[kind](**knobs)


def test_what_belongs_to_a_detector_is_in_no_recipe_of_concepts() -> None:
    plain = CandidateKnobs(source="concept", segmenter=SAM_3)
    turned = CandidateKnobs(source="concept", segmenter=SAM_3, detector=DINO, text_threshold=0.1)
    assert plain.recipe() == turned.recipe()
    assert plain.recipe() != CandidateKnobs(source="concept", segmenter=SAM_3, box_threshold=0.1).recipe()


def test_the_parts_of_ours_are_in_a_recipe_where_they_are_turned_and_read() -> None:
    younger = {"agreement", "prior", "ema"}
    assert not younger & set(CorrectKnobs().recipe())
    turned = CorrectKnobs(agreement="mean", prior=1.0, ema=0.9)
    assert turned.recipe() == {**CorrectKnobs().recipe(), "agreement": "mean", "prior": 1.0, "ema": 0.9}
    for rule, read in (("chosen", {"ema"}), ("random", {"ema"}), ("unconstrained", {"prior", "ema"})):
        knobs = turned.model_copy(update={"rule": rule})
        assert younger & set(knobs.recipe()) == read
        assert knobs.with_prior == ("prior" in read)
    assert LabelKnobs().recipe() == {}
    assert LabelKnobs(agreement="mean", rule="hungarian").recipe() == {"agreement": "mean", "rule": "hungarian"}


@pytest.mark.parametrize(
    ("kind", "knobs", "why"),
    [
        (ChoiceKnobs, {"plural": "all", "consensus": "product"}, "plural: all needs consensus: mean"),
        (ChoiceKnobs, {"plural": "all", "assign": "hungarian"}, "plural: all needs assign: each"),
        (CorrectKnobs, {"ema": 0.9, "select": "best_on_val"}, "ema needs select: last"),
        (CorrectKnobs, {"ema": 1.0}, "less than 1"),
    ],
)
def test_parts_that_exclude_each_other_are_refused(kind: type[Knobs], knobs: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        kind(**knobs)
