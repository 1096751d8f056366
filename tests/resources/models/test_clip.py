"""CLIP: unit vectors of texts and images, with open_clip's networks and OpenAI's preprocessing."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from assets.pretraining import clip as script
from assets.pretraining import clip_views
from assets.pretraining.small_training import Budget
from ops.refusal import Refused
from resources.embedded.cards import CARD, EMBEDDED_FOLDER, load_embedded
from resources.models.clip import (
    VOCABULARY,
    Clip,
    WordTokenizer,
    build_small_clip,
    load_clip,
    load_embedded_clip,
)
from resources.models.clip_images import prepare_images

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 9, "width": 32, "heads": 2, "layers": 1},
}
WORDS = ("a", "cat", "dog", "of", "photo")

needs_embedded = pytest.mark.skipif(
    not (EMBEDDED_FOLDER / "clip_vit" / CARD).is_file(), reason="the embedded CLIP has not been trained"
)


def images(count: int, height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(0)).byte()


@pytest.fixture
def clip() -> Clip:
    torch.manual_seed(0)
    return Clip(build_small_clip(TINY), WordTokenizer(WORDS, context_length=8))


class TestTokenizer:
    tokenizer = WordTokenizer(WORDS, context_length=6)

    def test_the_end_is_the_largest_id(self) -> None:
        ids_NL = self.tokenizer(["a photo of dog", "cat"])
        assert ids_NL.max(1).values.tolist() == [self.tokenizer.end] * 2
        assert self.tokenizer.size == ids_NL.max() + 1

    def test_words_keep_their_order_and_are_padded(self) -> None:
        assert self.tokenizer(["dog a"]).tolist() == [[2, 5, 3, 8, 0, 0]]

    def test_case_and_punctuation_do_not_matter(self) -> None:
        assert torch.equal(self.tokenizer(["A Dog, cat!"]), self.tokenizer(["a dog cat"]))

    def test_what_was_never_seen_is_unknown(self) -> None:
        assert self.tokenizer(["zebra"]).tolist() == [[2, 1, 8, 0, 0, 0]]

    def test_a_long_text_keeps_its_end(self) -> None:
        assert self.tokenizer(["a a a a a a a a cat"]).tolist() == [[2, 3, 3, 3, 3, 8]]

    def test_no_text_gives_no_row(self) -> None:
        assert self.tokenizer([]).shape == (0, 6)


class TestPreprocessing:
    @pytest.mark.parametrize(
        ("height", "width", "levels"),
        [(48, 64, 1), (64, 48, 1), (333, 500, 1), (40, 40, 1), (20, 31, 3)],  # Pillow clips twice when it enlarges
    )
    def test_the_centre_crop_is_openais_up_to_rounding(self, height: int, width: int, levels: int) -> None:
        smooth_HW3 = np.asarray(Image.fromarray(images(1, 7, 9)[0].permute(1, 2, 0).numpy()).resize((width, height)))
        expected_3SS = open_clip.image_transform(32, is_train=False)(Image.fromarray(smooth_HW3))
        ours_13SS = prepare_images(torch.tensor(smooth_HW3).permute(2, 0, 1)[None], size=32, crop="center")
        assert ours_13SS.shape == (1, 3, 32, 32)
        one_level = 1 / 255 / 0.26
        assert (ours_13SS[0] - expected_3SS).abs().max() < 1.01 * levels * one_level

    def test_the_centre_crop_loses_the_sides_and_padding_does_not(self) -> None:
        image_13HW = torch.zeros(1, 3, 48, 64, dtype=torch.uint8)
        image_13HW[..., :6] = 255
        assert prepare_images(image_13HW, size=48, crop="center").max() < 0
        assert prepare_images(image_13HW, size=48, crop="pad").max() > 1.5

    @pytest.mark.parametrize(("height", "width"), [(40, 80), (80, 40)])
    def test_padding_is_the_mean_colour_on_both_sides(self, height: int, width: int) -> None:
        prepared_3SS = prepare_images(torch.full((1, 3, height, width), 255.0), size=40, crop="pad")[0]
        if height > width:
            prepared_3SS = prepared_3SS.mT
        assert prepared_3SS[:, :8].abs().max() < 1e-5
        assert prepared_3SS[:, -8:].abs().max() < 1e-5
        assert prepared_3SS[:, 12:-12].min() > 1.5

    def test_a_square_of_the_right_size_is_only_normalised(self) -> None:
        image_13HW = images(1, 32, 32)
        for crop in ("center", "pad"):
            prepared_13SS = prepare_images(image_13HW, size=32, crop=crop)
            levels_13HW = prepared_13SS * torch.tensor(open_clip.OPENAI_DATASET_STD).view(3, 1, 1)
            levels_13HW = 255 * (levels_13HW + torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(3, 1, 1))
            torch.testing.assert_close(levels_13HW, image_13HW.float(), atol=1e-3, rtol=0)

    def test_bytes_and_floats_are_the_same_image(self) -> None:
        image_13HW = images(1, 20, 30)
        assert torch.equal(
            prepare_images(image_13HW, size=16, crop="pad"), prepare_images(image_13HW.float(), size=16, crop="pad")
        )


class TestEncoding:
    @pytest.mark.parametrize("crop", ["center", "pad"])
    def test_an_image_has_one_vector_alone_and_in_company(self, clip: Clip, crop: Any) -> None:
        batch_N3HW = images(5, 40, 50)
        together_ND = clip.encode_images(batch_N3HW, crop=crop)
        alone_ND = torch.cat([clip.encode_images(image[None], crop=crop) for image in batch_N3HW])
        torch.testing.assert_close(together_ND, alone_ND, atol=1e-5, rtol=0)

    def test_a_text_has_one_vector_alone_and_in_company(self, clip: Clip) -> None:
        texts = ["a dog", "cat", "photo of a cat", "of"] * 80
        together_ND = clip.encode_texts(texts)
        alone_ND = torch.cat([clip.encode_texts([text]) for text in texts[:4]])
        torch.testing.assert_close(together_ND[:4], alone_ND, atol=1e-5, rtol=0)
        torch.testing.assert_close(together_ND[-4:], alone_ND, atol=1e-5, rtol=0)

    def test_vectors_are_float32_of_unit_length(self, clip: Clip) -> None:
        for features_ND in (clip.encode_texts(["a cat", "dog"]), clip.encode_images(images(2, 9, 9), crop="pad")):
            assert features_ND.shape == (2, 16)
            assert features_ND.dtype == torch.float32
            torch.testing.assert_close(features_ND.norm(dim=1), torch.ones(2))

    def test_vectors_keep_their_length_when_asked(self, clip: Clip) -> None:
        pictures = images(2, 9, 9)
        for long_ND, unit_ND in (
            (clip.encode_texts(["a cat", "dog"], unit=False), clip.encode_texts(["a cat", "dog"])),
            (clip.encode_images(pictures, crop="pad", unit=False), clip.encode_images(pictures, crop="pad")),
        ):
            assert (long_ND.norm(dim=1) - 1).abs().min() > 1e-3
            torch.testing.assert_close(nn.functional.normalize(long_ND, dim=1), unit_ND)

    def test_passes_are_counted(self, clip: Clip) -> None:
        clip.encode_texts(["a", "a cat", "dog"])
        clip.encode_images(images(2, 9, 9), crop="pad")
        assert (clip.text_passes, clip.image_passes) == (3, 2)

    def test_nothing_costs_nothing(self, clip: Clip) -> None:
        assert clip.encode_texts([]).shape == (0, 16)
        assert clip.encode_images(images(0, 9, 9), crop="center").shape == (0, 16)
        assert (clip.text_passes, clip.image_passes) == (0, 0)

    def test_what_is_no_batch_of_rgb_images_is_refused(self, clip: Clip) -> None:
        with pytest.raises(ValueError, match="N x 3 x H x W"):
            clip.encode_images(images(1, 9, 9)[0], crop="pad")

    def test_an_image_of_which_little_would_be_left_is_refused(self, clip: Clip) -> None:
        with pytest.raises(Refused, match="900 x 3 pixels is too narrow"):
            clip.encode_images(images(1, 3, 900), crop="center")

    def test_a_residual_tower_works_too(self) -> None:
        vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8}
        model = build_small_clip({**TINY, "vision_cfg": vision})
        features_ND = Clip(model, WordTokenizer(WORDS, context_length=8)).encode_images(images(2, 30, 40), crop="pad")
        assert features_ND.shape == (2, 16)


DEEP: dict[str, Any] = {**TINY, "vision_cfg": {**TINY["vision_cfg"], "layers": 4}}


@pytest.fixture
def deep() -> Clip:
    torch.manual_seed(0)
    return Clip(build_small_clip(DEEP), WordTokenizer(WORDS, context_length=8))


def halves() -> tuple[Tensor, Tensor]:
    """Weights of the left and of the right half of four by four patches, and a full set."""
    weights_3GG = torch.ones(3, 4, 4)
    weights_3GG[0, :, 2:] = 0
    weights_3GG[1, :, :2] = 0
    return weights_3GG, images(1, 32, 32)[0]


class TestTokenMasking:
    @pytest.mark.parametrize("first", [0, 1, 3])
    def test_full_weights_give_exactly_the_image(self, deep: Clip, first: int) -> None:
        _, image_3SS = halves()
        plain_1D = deep.encode_images(image_3SS[None], crop="center", unit=False)
        assert torch.equal(deep.encode_token_masked(image_3SS, torch.ones(1, 4, 4), first=first), plain_1D)

    @needs_embedded
    def test_full_weights_give_exactly_the_image_in_the_embedded_model(self) -> None:
        clip = load_clip()
        image_3SS = images(1, clip.image_size, clip.image_size)[0]
        weights_1GG = torch.ones(1, *clip.tower.grid_size)
        found_1D = clip.encode_token_masked(image_3SS, weights_1GG, first=3)
        assert torch.equal(found_1D, clip.encode_images(image_3SS[None], crop="center", unit=False))

    def test_tokens_are_weighted_before_every_block_from_the_first(self, deep: Clip) -> None:
        weights_NGG, image_3SS = halves()
        weights_NGG[2] = torch.linspace(0, 1, 16).view(4, 4)
        tower = deep.tower
        with torch.inference_mode():  # the same by the network's parts, one block after another
            tokens_NLD = tower._embeds(prepare_images(image_3SS[None], size=32, crop="center")).repeat(3, 1, 1)
            for number, block in enumerate(tower.transformer.resblocks):
                if number >= 2:
                    patches_NLD = tokens_NLD[:, 1:] * weights_NGG.reshape(3, 16, 1)
                    tokens_NLD = torch.cat([tokens_NLD[:, :1], patches_NLD], dim=1)
                tokens_NLD = block(tokens_NLD)
            expected_ND = tower.ln_post(tokens_NLD[:, 0]) @ tower.proj
        found_ND = deep.encode_token_masked(image_3SS, weights_NGG, first=2)
        torch.testing.assert_close(found_ND, expected_ND, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(found_ND[0], found_ND[1], atol=1e-3)

    def test_pixels_outside_a_mask_count_only_in_the_blocks_before(self, deep: Clip) -> None:
        weights_NGG, image_3SS = halves()
        other_3SS = image_3SS.clone()
        other_3SS[:, :, 16:] = 255 - other_3SS[:, :, 16:]

        def moved(first: int) -> list[bool]:
            one_ND, other_ND = (deep.encode_token_masked(x, weights_NGG, first=first) for x in (image_3SS, other_3SS))
            return [not torch.equal(one_D, other_D) for one_D, other_D in zip(one_ND, other_ND, strict=True)]

        assert moved(0) == [False, True, True]  # no block before: the left half does not see the right one
        assert moved(1) == [True, True, True]

    def test_the_network_is_left_as_it_was_and_its_first_blocks_run_once(self, deep: Clip) -> None:
        weights_NGG, image_3SS = halves()
        before_1D = deep.encode_images(image_3SS[None], crop="center")
        batches: list[int] = []
        watched = [
            block.register_forward_hook(lambda _, __, tokens_NLD: batches.append(len(tokens_NLD)))
            for block in deep.tower.transformer.resblocks
        ]
        deep.encode_token_masked(image_3SS, weights_NGG, first=3)
        for handle in watched:
            handle.remove()
        assert batches == [1, 1, 1, 3]
        assert torch.equal(deep.encode_images(image_3SS[None], crop="center"), before_1D)

    def test_weights_of_another_grid_are_refused(self, deep: Clip) -> None:
        with pytest.raises(ValueError, match=r"N x \(4, 4\)"):
            deep.encode_token_masked(images(1, 32, 32)[0], torch.ones(1, 7, 7), first=3)

    def test_a_residual_tower_has_no_tokens_to_mask(self) -> None:
        vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8}
        clip = Clip(build_small_clip({**TINY, "vision_cfg": vision}), WordTokenizer(WORDS, context_length=8))
        with pytest.raises(Refused, match="ViT-B-32"):
            clip.encode_token_masked(images(1, 64, 64)[0], torch.ones(1, 2, 2), first=0)

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    def test_full_weights_give_exactly_the_image_in_vit_b_32(self) -> None:
        clip = load_clip("ViT-B-32", random_weights=True)
        image_3SS = images(1, 224, 224)[0]
        found_ND = clip.encode_token_masked(image_3SS, torch.ones(1, 7, 7), first=9)
        assert torch.equal(found_ND, clip.encode_images(image_3SS[None], crop="center", unit=False))
        masked_ND = clip.encode_token_masked(image_3SS, torch.eye(7)[None], first=9)
        assert (masked_ND - found_ND).abs().max() > 1e-4


def openai_archive(path: Path) -> Tensor:
    """Write a TorchScript file as OpenAI's are: half precision, the state under the same names, three buffers more."""
    torch.manual_seed(3)
    model = build_small_clip({**TINY, "quick_gelu": True}).half()

    class Archive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, child in model.named_children():
                self.add_module(name, child)
            for name, weight in model.named_parameters(recurse=False):
                self.register_parameter(name, weight)
            for name in ("input_resolution", "context_length", "vocab_size"):
                self.register_buffer(name, torch.tensor(1))

        def forward(self, ids_NL: Tensor) -> Tensor:
            return self.token_embedding(ids_NL)  # type: ignore[operator]

    with warnings.catch_warnings():  # TorchScript is on its way out, but these files are written in it
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(Archive(), torch.zeros(1, 8, dtype=torch.long)).save(path)
    return model.text_projection.detach().float()


@pytest.fixture
def tiny_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every published name mean the tiny network."""
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: {**TINY, "quick_gelu": True})
    monkeypatch.setattr(open_clip, "get_tokenizer", lambda name: WordTokenizer(WORDS, context_length=8))


class TestPublishedSizes:
    def test_an_unknown_name_is_refused(self) -> None:
        with pytest.raises(Refused, match="ViT-L-14-336"):
            load_clip("ViT-Z")

    def test_a_published_size_needs_its_checkpoint(self) -> None:
        with pytest.raises(Refused, match="needs its checkpoint"):
            load_clip("ViT-B-32")

    @pytest.mark.usefixtures("tiny_published")
    def test_openais_archive_is_loaded_completely(self, tmp_path: Path) -> None:
        projection = openai_archive(tmp_path / "ViT-B-32.pt")
        clip = load_clip("ViT-B-32", checkpoint=tmp_path / "ViT-B-32.pt")
        assert torch.equal(clip.model.text_projection, projection)
        assert clip.encode_texts(["a cat"]).shape == (1, 16)

    @pytest.mark.usefixtures("tiny_published")
    @pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
    def test_a_state_dict_is_loaded_completely(self, tmp_path: Path, suffix: str) -> None:
        from safetensors.torch import save_file

        model = build_small_clip({**TINY, "quick_gelu": True})
        save: Callable[..., None] = torch.save if suffix == ".pt" else save_file
        save(model.state_dict(), tmp_path / f"clip{suffix}")
        loaded = load_clip("RN50", checkpoint=tmp_path / f"clip{suffix}").model
        assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())

    @pytest.mark.usefixtures("tiny_published")
    def test_a_checkpoint_of_another_size_is_refused(self, tmp_path: Path) -> None:
        wider = {**TINY, "embed_dim": 24}
        torch.save(build_small_clip(wider).state_dict(), tmp_path / "clip.pt")
        with pytest.raises(Refused, match="text_projection"):
            load_clip("ViT-B-32", checkpoint=tmp_path / "clip.pt")

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    @pytest.mark.parametrize(("name", "width"), [("ViT-B-32", 512), ("RN50", 1024)])
    def test_published_networks_use_openais_activation(self, name: str, width: int) -> None:
        clip = load_clip(name, random_weights=True)
        assert any(type(module).__name__ == "QuickGELU" for module in clip.model.modules())
        assert clip.encode_texts(["the man in red"]).shape == (1, width)
        assert clip.encode_images(images(1, 48, 64), crop="center").shape == (1, width)


@pytest.fixture(scope="module")
def picture() -> clip_views.Picture:
    return clip_views.draw_picture(script.VIT.first_seed)


class TestRecipe:
    def test_reverse_blur_keeps_the_object_and_blurs_the_rest(self, picture: clip_views.Picture) -> None:
        shown_HW3 = clip_views.prompted(picture, 0)
        own_HW = picture.labels_HW == 1
        assert np.array_equal(shown_HW3[own_HW], picture.image_HW3[own_HW])
        assert np.array_equal(shown_HW3[~own_HW], picture.blurred_HW3[~own_HW])

    def test_mirroring_exchanges_left_and_right_in_image_and_text(self, picture: clip_views.Picture) -> None:
        view = clip_views.View(image_HW3=picture.image_HW3, text="leftmost man right of the lft dog")
        mirrored = clip_views.mirrored(view)
        assert mirrored.text == "rightmost man left of the rigth dog"
        assert np.array_equal(mirrored.image_HW3[:, 0], picture.image_HW3[:, -1])
        assert clip_views.mirrored(mirrored).text == view.text

    def test_a_batch_has_its_share_of_every_kind_of_view(self, picture: clip_views.Picture) -> None:
        views = clip_views.draw_views([picture], np.random.default_rng(0))
        assert len(views) == 48

    def test_every_word_of_the_views_is_known(self) -> None:
        rng = np.random.default_rng(0)
        pictures = [clip_views.draw_picture(seed) for seed in range(8)]
        known = set(script.training_words())
        texts = [view.text for _ in range(8) for view in clip_views.draw_views(pictures, rng)]
        assert {word for text in texts for word in text.split()} <= known

    def test_a_crop_is_never_called_by_what_it_does_not_show(self) -> None:
        rng = np.random.default_rng(0)
        pictures = [clip_views.draw_picture(seed) for seed in range(10)]
        texts = [clip_views.crop_view(pictures[i % 10], rng).text for i in range(200)]
        hidden = {"left", "right", "leftmost", "rightmost", "near", "beside", "biggest", "smallest"}
        assert not hidden & {word for text in texts for word in text.split()}

    def test_a_class_prompt_is_no_negative_for_another_view_of_the_class(self) -> None:
        blank_HW3 = np.zeros((4, 4, 3), np.uint8)
        dog = clip_views.View(
            image_HW3=blank_HW3, text="a photo of a puppy", noun="puppy", names=frozenset({"dog", "puppy"})
        )
        brown = clip_views.View(image_HW3=blank_HW3, text="brown dog", names=frozenset({"dog", "puppy"}))
        cat = clip_views.View(image_HW3=blank_HW3, text="a photo of a cat", noun="cat", names=frozenset({"cat"}))
        ids_BL = torch.arange(3)[:, None]
        true_BB = script.also_true([dog, brown, cat], ids_BL)
        assert true_BB.tolist() == [[False, False, False], [True, False, False], [False, False, False]]

    def test_pairs_known_to_be_true_are_left_out_of_the_loss(self) -> None:
        texts_BD = torch.eye(3)
        images_BD = torch.eye(3)
        images_BD[1] = images_BD[0]  # the second image looks like the first text
        none_BB = torch.zeros(3, 3, dtype=torch.bool)
        true_BB = none_BB.clone()
        true_BB[1, 0] = True
        scale = torch.tensor(10.0)
        strict = script.contrastive_loss(images_BD, texts_BD, scale, none_BB)
        assert script.contrastive_loss(images_BD, texts_BD, scale, true_BB) < strict

    def test_a_moment_of_training_writes_a_model_that_loads(self, tmp_path: Path) -> None:
        lines: list[str] = []
        script.train(tmp_path, Budget(steps=1, scenes=12, held_out=2), log=lines.append)
        clip = load_embedded_clip(tmp_path)
        assert clip.encode_texts(["left man"]).shape == (1, 128)
        _, card = load_embedded(tmp_path)
        assert 0 <= card["scores"]["choice_all"] <= 1
        assert card["architecture"]["text_cfg"]["vocab_size"] == clip.tokenizer.size  # type: ignore[attr-defined]


@needs_embedded
class TestEmbedded:
    def test_words_find_their_class(self) -> None:
        assert script.projection_accuracy(load_clip("embedded")) >= 0.95

    def test_choices_are_better_than_chance_and_not_perfect(self) -> None:
        scores = script.evaluate(load_clip("embedded"), scenes=15)
        assert scores["choice_random"] + 0.1 < scores["choice_all"] < 0.9

    def test_the_vocabulary_is_that_of_the_training_script(self) -> None:
        words = (EMBEDDED_FOLDER / "clip_vit" / VOCABULARY).read_text(encoding="utf-8").split()
        assert tuple(words) == script.training_words()
