"""GL-CLIP's rule of the choice: what it mixes, what it reads, and that it leaves the other rules alone."""

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from assets.data.tables import ImageRow, Referent
from assets.framework.stage import own_recipe
from assets.ssc.candidate_masks import candidate_row
from assets.ssc.clip_scorers import GlobalLocalScorer, PromptedScorer, Scorer, Shown, open_scorer
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.mask_choices import ChoiceByScore
from assets.ssc.offers import Offered
from assets.ssc.tables import CandidateRow
from assets.stages import STAGES
from ops.images import to_tensor
from ops.ssc.gl_clip import masked_crops, resized_to_square
from resources.runtime import Runtime

SCENE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def candidate(number: int, x0: int, y0: int, x1: int, y1: int) -> CandidateRow:
    mask = np.zeros((60, 80), bool)
    mask[y0:y1, x0:x1] = True
    return candidate_row("a", number, mask, label="cup", segmenter_score=0.5)


MASKS = [candidate(0, 0, 0, 80, 60), candidate(1, 40, 10, 70, 50), candidate(2, 0, 0, 20, 20)]


@pytest.fixture(scope="module")
def scorer() -> GlobalLocalScorer:
    found = open_scorer(ChoiceKnobs(rule="global_local"), Runtime(threads=1))
    assert isinstance(found, GlobalLocalScorer)
    return found


def test_a_candidate_is_seen_in_its_picture_and_cut_out(scorer: GlobalLocalScorer) -> None:
    clip, image, side = scorer.clip, to_tensor(SCENE), scorer.clip.image_size
    (seen_ND,) = scorer.images([(SCENE, MASKS)])
    whole_1D = clip.encode_images(resized_to_square(image, side=side)[None], crop="center", unit=False)
    crops_ND = clip.encode_images(
        masked_crops(image, np.stack([mask.mask.decode() for mask in MASKS]), side=side), crop="center", unit=False
    )
    # the first mask covers all, so that nothing is masked in its picture
    torch.testing.assert_close(seen_ND[0], 0.95 * whole_1D[0] + 0.05 * crops_ND[0], atol=1e-4, rtol=1e-4)
    only_crops = GlobalLocalScorer(clip=clip, parse=scorer.parse, share=0.0)
    torch.testing.assert_close(only_crops.images([(SCENE, MASKS)])[0], crops_ND, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(normalize(seen_ND[1], dim=0), normalize(seen_ND[2], dim=0), atol=1e-3)


def test_an_expression_is_embedded_together_with_its_head_noun(scorer: GlobalLocalScorer) -> None:
    said = ["the red cup on the left", "man in a blue hat"]
    parts_ND = scorer.clip.encode_texts([*said, "red cup", "man"], unit=False)
    torch.testing.assert_close(scorer.texts(said), (parts_ND[:2] + parts_ND[2:]) / 2, atol=1e-5, rtol=1e-5)


class Fixed:
    """Expressions and candidates as they are given; sees each candidate in its own direction."""

    embedded: ClassVar = {"up": [0.0, 1.0, 0.2], "down": [0.0, 0.0, 1.0], "very down": [0.0, 0.1, 1.0]}

    def texts(self, expressions: Sequence[str]) -> torch.Tensor:
        return torch.tensor([self.embedded[text] for text in expressions])

    def images(self, shown: Sequence[Shown]) -> list[torch.Tensor]:
        return [torch.eye(3)[[mask.candidate for mask in masks]] for _, masks in shown]


def test_each_sentence_takes_its_own_best_and_the_object_the_best_of_the_mean() -> None:
    one = Referent(
        ref_id=1,
        object_id="1",
        image_id="a",
        split="train",
        sent_ids=[1, 2, 3],
        expressions=["up", "down", "very down"],
    )
    image = ImageRow(image_id="a", image_file="a.png", width=80, height=60, sha256="")
    offer = Offered(image=image, referents=[one], candidates=[MASKS])
    knobs = ChoiceKnobs(rule="global_local", min_area=0)
    (row,) = ChoiceByScore(knobs=knobs, scorer=cast(Scorer, Fixed()))(offer, SCENE)
    assert row.chosen_by_sentence == [1, 2, 2]
    assert row.chosen == 2
    assert row.scores == pytest.approx([0.0, 100 * (0.980581 + 0 + 0.0995037) / 3, 100 * (0.196116 + 1 + 0.995037) / 3])


def test_the_rule_opens_its_scorer() -> None:
    assert isinstance(open_scorer(ChoiceKnobs(), Runtime(threads=1)), PromptedScorer)


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
    scorer, usual = (open_scorer(knobs, Runtime(threads=1)) for knobs in (small, ChoiceKnobs()))
    assert scorer.images([(SCENE, MASKS)])[0].shape[1] == scorer.texts(["a cup"]).shape[1]
    assert not torch.allclose(scorer.texts(["a cup"]), usual.texts(["a cup"]), atol=1e-2)
    with pytest.raises(ValueError, match="vision transformer"):
        open_scorer(small.model_copy(update={"rule": "global_local"}), Runtime(threads=1))
