"""GL-CLIP: weights of tokens, cut-out candidates, chunks of head nouns, and their mixtures."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from PIL import Image

from ops.images import CLIP
from ops.ssc.gl_clip import (
    first_masked_block,
    head_chunks,
    masked_crops,
    resized_to_square,
    token_weights,
    weighted_features,
)

IMAGE_3HW = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 48, 64), dtype=np.uint8))
MEAN_3 = torch.tensor([round(255 * mean) for mean in CLIP.mean])


def rectangle(x0: int, y0: int, x1: int, y1: int) -> torch.Tensor:
    mask_HW = torch.zeros(48, 64, dtype=torch.bool)
    mask_HW[y0:y1, x0:x1] = True
    return mask_HW


# the whole picture


@pytest.mark.parametrize(("depth", "masked"), [(12, 3), (24, 6), (4, 1), (2, 1), (1, 1)])
def test_the_last_quarter_of_the_blocks_is_masked(depth: int, masked: int) -> None:
    assert depth - first_masked_block(depth) == masked


def test_vit_b_32_is_masked_from_block_nine() -> None:
    assert first_masked_block(12) == 9


def test_a_weight_is_the_share_of_the_patch_that_the_mask_covers() -> None:
    masks_NHW = torch.stack([rectangle(0, 0, 24, 18), rectangle(63, 47, 64, 48)])
    weights_NGG = token_weights(masks_NHW, grid=(4, 4))  # patches of 16 x 12
    expected_2GG = torch.zeros(2, 4, 4)
    expected_2GG[0, 0, :2] = torch.tensor([1.0, 0.5])
    expected_2GG[0, 1, :2] = torch.tensor([0.5, 0.25])
    expected_2GG[1, 3, 3] = 1 / (16 * 12)
    torch.testing.assert_close(weights_NGG, expected_2GG)


@pytest.mark.parametrize("grid", [(7, 7), (10, 10), (50, 70)])
def test_a_full_mask_weighs_exactly_one_on_every_grid(grid: tuple[int, int]) -> None:
    assert torch.equal(token_weights(np.ones((2, 48, 64), bool), grid=grid), torch.ones(2, *grid))


def test_the_square_shows_the_whole_picture() -> None:
    expected = Image.fromarray(IMAGE_3HW.permute(1, 2, 0).numpy()).resize((32, 32), Image.Resampling.BILINEAR)
    difference_HW3 = (
        resized_to_square(IMAGE_3HW, side=32).permute(1, 2, 0).int() - torch.tensor(np.asarray(expected)).int()
    )
    assert difference_HW3.abs().max() <= 1


# the cut-out candidate


def test_a_crop_shows_the_candidate_at_its_box_on_the_mean_colour() -> None:
    mask_HW = rectangle(10, 8, 26, 24)  # 16 x 16, so that nothing is resized
    mask_HW[8:12, 10:14] = False
    mask_HW[8, 10] = True
    (crop_3SS,) = masked_crops(IMAGE_3HW, mask_HW[None], side=16)
    inside_SS = mask_HW[8:24, 10:26]
    assert torch.equal(crop_3SS[:, inside_SS], IMAGE_3HW[:, 8:24, 10:26][:, inside_SS])
    assert (crop_3SS[:, ~inside_SS] == MEAN_3[:, None]).all()


def test_crops_of_all_sizes_become_squares_and_ignore_what_lies_outside() -> None:
    masks_NHW = torch.stack([rectangle(0, 0, 64, 48), rectangle(5, 5, 6, 6), rectangle(60, 2, 64, 40)])
    crops_N3SS = masked_crops(IMAGE_3HW, masks_NHW, side=20)
    assert crops_N3SS.shape == (3, 3, 20, 20)
    assert crops_N3SS.dtype == torch.uint8
    for crop_3SS, mask_HW in zip(crops_N3SS, masks_NHW, strict=True):
        other_3HW = torch.where(mask_HW, IMAGE_3HW, 255 - IMAGE_3HW)
        assert torch.equal(masked_crops(other_3HW, mask_HW[None], side=20)[0], crop_3SS)


def test_an_empty_mask_gives_the_mean_colour_and_no_mask_no_crop() -> None:
    (crop_3SS,) = masked_crops(IMAGE_3HW, torch.zeros(1, 48, 64, dtype=torch.bool), side=8)
    assert (crop_3SS == MEAN_3[:, None, None]).all()
    assert masked_crops(IMAGE_3HW, torch.zeros(0, 48, 64, dtype=torch.bool), side=8).shape == (0, 3, 8, 8)


# text and mixture


@dataclass
class Word:
    text: str
    i: int
    pos_: str = "X"
    dep_: str = "dep"
    tag_: str = "FW"
    left: list["Word"] = field(default_factory=list)

    @property
    def lefts(self) -> Iterator["Word"]:
        return iter(self.left)

    @property
    def subtree(self) -> Iterator["Word"]:
        return iter([*self.left, self])


def parse(texts: Iterable[str]) -> list[list[Word]]:
    """Read "red cup on the table": the first noun is the root, and "red" describes the noun that follows it."""
    return [_parsed(text.replace(".", " .").split()) for text in texts]


def _parsed(said: list[str]) -> list[Word]:
    words = [Word(text, place) for place, text in enumerate(said)]
    nouns = [word for word in words if word.text in ("cup", "table")]
    for noun in nouns:
        noun.pos_, noun.dep_, noun.tag_ = "NOUN", "root" if noun is nouns[0] else "obl", "NN"
        noun.left = [word for word in words[noun.i - 1 : noun.i] if word.text == "red"]
        for word in noun.left:
            word.dep_ = "amod"
    return words


def test_the_chunk_is_the_head_noun_with_its_modifiers() -> None:
    assert head_chunks(["red cup on the table", "cup by red table"], parse) == ["red cup", "cup"]


def test_a_sentence_without_a_noun_stands_for_itself() -> None:
    assert head_chunks(["far left", "", "red cup"], parse) == ["far left", "", "red cup"]


def test_a_mixture_is_linear_and_its_ends_are_the_parts() -> None:
    one_ND, other_ND = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 20.0]])
    assert weighted_features(one_ND, other_ND, share=0.95).tolist() == [[pytest.approx(3.8), pytest.approx(1.0)]]
    assert torch.equal(weighted_features(one_ND, other_ND, share=1.0), one_ND)
    assert torch.equal(weighted_features(one_ND, other_ND, share=0.0), other_ND)
