"""GL-CLIP's rule of the choice: what it mixes, what it reads, and that it leaves the other rules alone."""

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from assets.data.tables import Candidate, ImageRecord, Referent
from assets.framework.stage import own_recipe
from assets.ssc.clip_scorers import GlobalLocal, Judge, Prompted, open_judge
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.mask_choices import _decide_by_clip, _Scene
from assets.stages import STAGES
from ops.images import to_tensor
from ops.ssc.gl_clip import masked_crops, square
from resources.runtime import Runtime
from storage.masks import encode

SCENE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def candidate(number: int, x0: int, y0: int, x1: int, y1: int) -> Candidate:
    mask = np.zeros((60, 80), bool)
    mask[y0:y1, x0:x1] = True
    return Candidate(
        image_id="a", candidate=number, label="cup", area=int(mask.sum()), rle=encode(mask), height=60, width=80
    )


MASKS = [candidate(0, 0, 0, 80, 60), candidate(1, 40, 10, 70, 50), candidate(2, 0, 0, 20, 20)]


@pytest.fixture(scope="module")
def judge() -> GlobalLocal:
    found = open_judge(ChoiceKnobs(rule="global_local"), Runtime(threads=1))
    assert isinstance(found, GlobalLocal)
    return found


def test_a_candidate_is_seen_in_its_picture_and_cut_out(judge: GlobalLocal) -> None:
    clip, image, side = judge.clip, to_tensor(SCENE), judge.clip.image_size
    seen_ND = judge.pictures(SCENE, MASKS)
    whole_1D = clip.encode_images(square(image, side=side)[None], crop="center", unit=False)
    crops_ND = clip.encode_images(
        masked_crops(image, np.stack([mask.mask() for mask in MASKS]), side=side), crop="center", unit=False
    )
    # the first mask covers all, so that nothing is masked in its picture
    torch.testing.assert_close(seen_ND[0], 0.95 * whole_1D[0] + 0.05 * crops_ND[0], atol=1e-4, rtol=1e-4)
    only_crops = GlobalLocal(clip=clip, parse=judge.parse, share=0.0)
    torch.testing.assert_close(only_crops.pictures(SCENE, MASKS), crops_ND, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(normalize(seen_ND[1], dim=0), normalize(seen_ND[2], dim=0), atol=1e-3)


def test_a_sentence_is_heard_together_with_its_head_noun(judge: GlobalLocal) -> None:
    said = ["the red cup on the left", "man in a blue hat"]
    parts_ND = judge.clip.encode_texts([*said, "red cup", "man"], unit=False)
    torch.testing.assert_close(judge.texts(said), (parts_ND[:2] + parts_ND[2:]) / 2, atol=1e-5, rtol=1e-5)


class Fixed:
    """Sentences and candidates as they are given; sees each candidate in its own direction."""

    heard: ClassVar = {"up": [0.0, 1.0, 0.2], "down": [0.0, 0.0, 1.0], "very down": [0.0, 0.1, 1.0]}

    def texts(self, sentences: Sequence[str]) -> torch.Tensor:
        return torch.tensor([self.heard[text] for text in sentences])

    def pictures(self, _: Any, masks: Sequence[Candidate]) -> torch.Tensor:
        return torch.eye(3)[[mask.candidate for mask in masks]]


def test_each_sentence_takes_its_own_best_and_the_object_the_best_of_the_mean() -> None:
    one = Referent(
        ref_id=1, object_id="1", image_id="a", split="train", sent_ids=[1, 2, 3], sentences=["up", "down", "very down"]
    )
    image = ImageRecord(image_id="a", image_file="a.png", width=80, height=60, sha256="")
    scene = _Scene(image=image, objects=[one], offered=[MASKS])
    knobs = ChoiceKnobs(rule="global_local", min_area=0)
    (row,) = _decide_by_clip(knobs, cast(Judge, Fixed()), scene, SCENE)
    assert row["chosen_by_sentence"] == [1, 2, 2]
    assert row["chosen"] == 2
    assert row["scores"] == pytest.approx(
        [0.0, 100 * (0.980581 + 0 + 0.0995037) / 3, 100 * (0.196116 + 1 + 0.995037) / 3]
    )


def test_the_rule_opens_its_judge() -> None:
    assert isinstance(open_judge(ChoiceKnobs(), Runtime(threads=1)), Prompted)


@pytest.mark.parametrize(
    ("rule", "models"),
    [
        ("clip", ("embedded/clip_vit",)),
        ("global_local", ("embedded/clip_vit", "embedded/parser")),
        ("random", ()),
        ("first", ()),
    ],
)
def test_recipes_name_the_models_that_a_rule_uses(rule: Any, models: tuple[str, ...]) -> None:
    assert ChoiceKnobs(rule=rule).models() == models


@pytest.mark.parametrize("knob", [{"global_share": 0.85}, {"parser": "en_core_web_lg"}])
@pytest.mark.parametrize("rule", ["clip", "global_local", "random"])
def test_the_knobs_of_gl_clip_are_part_of_its_own_recipe_only(rule: Any, knob: dict[str, Any]) -> None:
    plain, turned = (own_recipe(STAGES["mask_choices"], ChoiceKnobs(rule=rule, **turns), {}) for turns in ({}, knob))
    assert (plain != turned) == (rule == "global_local")


def test_a_knob_may_name_the_smaller_clip_which_has_no_tokens_to_mask() -> None:
    small = ChoiceKnobs(clip="embedded/clip_rn")
    assert small.models() == ("embedded/clip_rn",)
    judge, usual = (open_judge(knobs, Runtime(threads=1)) for knobs in (small, ChoiceKnobs()))
    assert judge.pictures(SCENE, MASKS).shape[1] == judge.texts(["a cup"]).shape[1]
    assert not torch.allclose(judge.texts(["a cup"]), usual.texts(["a cup"]), atol=1e-2)
    with pytest.raises(ValueError, match="vision transformer"):
        open_judge(small.model_copy(update={"rule": "global_local"}), Runtime(threads=1)).pictures(SCENE, MASKS)
