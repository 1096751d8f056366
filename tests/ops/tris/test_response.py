"""Step 1's model: prompts and their switches, one sentence per forward, what is trained."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ops.tris.prompt import BilateralPrompt, InstanceNorm
from ops.tris.response import ResponseConfig, ResponseHead, ResponseModel, own_responses, respond
from tests.ops.tris import tiny


def model_of(**switches: bool) -> ResponseModel:
    torch.manual_seed(5)
    return ResponseModel(ResponseConfig(width=16, image_size=tiny.SIDE, **switches), tiny.clip(tiny.RESNET))


@torch.no_grad()
def prompt_of(width: int, **switches: bool) -> BilateralPrompt:
    """Weights large enough that prompts are seen."""
    torch.manual_seed(6)
    prompt = BilateralPrompt(width, **switches)
    for parameter in prompt.parameters():
        parameter.normal_()
    return prompt


@torch.no_grad()
def test_with_one_text_the_visual_prompt_is_a_constant() -> None:
    prompt = prompt_of(8).double()
    assert prompt.to_vision is not None
    constant = prompt.to_vision.state_dict()["output.1.bias"]
    for seed in range(3):
        torch.manual_seed(seed)
        added = prompt.to_vision(torch.randn(2, 8, 3, 5).double(), torch.randn(2, 1, 8).double())
        torch.testing.assert_close(added, constant[:, None, None].expand_as(added), atol=1e-9, rtol=0)
    two_texts = prompt.to_vision(torch.randn(2, 8, 3, 5).double(), torch.randn(2, 2, 8).double())
    assert (two_texts - constant[:, None, None]).abs().max() > 0.1


@torch.no_grad()
def test_each_direction_of_the_prompt_has_its_switch() -> None:
    pixels, texts = torch.randn(2, 8, 3, 5), torch.randn(1, 4, 8)
    both_pixels, both_texts = prompt_of(8)(pixels, texts)
    state = prompt_of(8).state_dict()
    for switch, kept in (("language_to_vision", "to_language"), ("vision_to_language", "to_vision")):
        prompt = prompt_of(8, **{switch: False})
        prompt.load_state_dict({name: value for name, value in state.items() if name.startswith(kept)})
        new_pixels, new_texts = prompt(pixels, texts)
        if kept == "to_language":
            assert torch.equal(new_pixels, pixels)
            torch.testing.assert_close(new_texts, both_texts)
        else:
            torch.testing.assert_close(new_pixels, both_pixels)
            assert torch.equal(new_texts, texts)
    neither = prompt_of(8, language_to_vision=False, vision_to_language=False)
    assert not list(neither.parameters())


def test_texts_shared_by_all_images_act_as_if_repeated() -> None:
    head = ResponseHead(12, 10, ResponseConfig(width=8)).double()
    maps, sentences = torch.randn(3, 12, 2, 4).double(), torch.randn(5, 10).double()
    torch.testing.assert_close(head(maps, sentences), head(maps, sentences.expand(3, 5, 10)))


def test_without_prompts_the_response_is_a_cosine_over_the_temperature() -> None:
    head = ResponseHead(12, 10, ResponseConfig(width=8, language_to_vision=False, vision_to_language=False))
    maps, sentences = torch.randn(3, 12, 2, 4), torch.randn(5, 10)
    pixels, texts = head.visual(maps).permute(0, 2, 3, 1), head.text(sentences)
    expected = F.cosine_similarity(pixels[:, None], texts[None, :, None, None], dim=-1) / 0.07
    torch.testing.assert_close(head(maps, sentences), expected)


def test_respond_is_one_sentence_per_forward() -> None:
    model, pictures, sentences = model_of(), tiny.images(2), tiny.ids(4)
    image_of = torch.tensor([0, 1, 1, 0])
    found = respond(model, pictures, sentences, image_of_M=image_of)
    with torch.no_grad():
        alone = [model.eval()(pictures[image][None], row[None]) for image, row in zip(image_of, sentences, strict=True)]
    expected = F.interpolate(torch.cat(alone), size=(tiny.SIDE, tiny.SIDE), mode="bilinear").relu()[:, 0]
    torch.testing.assert_close(found, expected)


def test_sentences_in_one_forward_would_change_each_other() -> None:
    model, pictures, sentences = model_of(), tiny.images(1), tiny.ids(4)
    with torch.no_grad():
        together, alone = model(pictures, sentences)[:, 0], model(pictures, sentences[:1])[:, 0]
    assert (together - alone).abs().max() > 1e-3


def test_pictures_may_come_as_bytes() -> None:
    model, sentences = model_of(), tiny.ids(1)
    pixels = torch.randint(0, 256, (1, 3, tiny.SIDE, tiny.SIDE), dtype=torch.uint8)
    mean, std = (torch.tensor(one)[:, None, None] for one in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(model(pixels, sentences), model((pixels / 255 - mean) / std, sentences))


def test_own_responses_are_the_diagonal() -> None:
    response = torch.randn(3, 3, 2, 4)
    own = own_responses(response)
    assert own.shape == (3, 1, 2, 4)
    assert all(torch.equal(own[number, 0], response[number, number]) for number in range(3))


def gradients(model: ResponseModel) -> dict[str, Tensor]:
    model.train()
    model(tiny.images(3), tiny.ids(3)).square().sum().backward()
    return {name: one.grad for name, one in model.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("learn_tau", [False, True])
def test_groups_hold_just_the_parameters_that_learn(learn_tau: bool) -> None:
    model = model_of(learn_tau=learn_tau)
    assert model.head.tau.item() == pytest.approx(math.log(1 / 0.07))
    names = {id(one): name for name, one in model.named_parameters()}
    grouped = [names[id(one)] for group in model.optimizer_groups() for one in group["params"]]
    assert len(set(grouped)) == len(grouped)
    assert set(grouped) == set(gradients(model))
    assert ("head.tau" in grouped) == learn_tau
    clip, head = model.optimizer_groups()
    assert (clip["rate"], head["rate"]) == (0.1, 1.0)
    assert all(names[id(one)].startswith("clip.") for one in clip["params"])


def test_images_that_look_at_few_texts_respond_as_if_there_were_no_others() -> None:
    torch.manual_seed(4)
    head = ResponseHead(12, 10, ResponseConfig(width=8)).double()
    maps, sentences = torch.randn(4, 12, 2, 4).double(), torch.randn(4, 10).double()
    among = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)).bool()
    together = head(maps, sentences, among)
    for part in (slice(0, 2), slice(2, 4)):
        torch.testing.assert_close(together[part, part], head(maps[part], sentences[part]))
    torch.testing.assert_close(head(maps, sentences, torch.ones(4, 4, dtype=torch.bool)), head(maps, sentences))
    assert not torch.allclose(together, head(maps, sentences))


@pytest.mark.parametrize("count", [1, 2])
def test_gradients_of_one_image_are_right_however_they_lie_in_memory(count: int) -> None:
    layer, pixels = InstanceNorm(4), torch.randn(count, 4, 5, 6)
    found = []
    for way in (torch.contiguous_format, torch.channels_last):
        inputs = pixels.clone().requires_grad_()
        layer(inputs).backward(pixels.square().to(memory_format=way))
        found.append(inputs.grad)
    torch.testing.assert_close(*found)
