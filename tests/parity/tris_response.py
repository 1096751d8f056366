"""Reference vectors of TRIS Step 1, from pictures and sentences to responses and the classification loss."""

from collections.abc import Iterator

import numpy as np
import torch
from open_clip import get_tokenizer
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn
from torch.nn import functional as F

from ops.backbones.resnet_maps import image_maps
from ops.images import normalise, resize_image, resize_labels, to_array, to_tensor
from ops.tris.decoder import upsample_unaligned
from ops.tris.losses import classification_loss, focal_mask_penalty, mask_shares, scores
from ops.tris.prompt import BilateralPrompt
from ops.tris.response import ResponseConfig, ResponseHead, own_responses
from ops.tris.tokens import truncate
from tests.parity.comparing import Arrays, Renamed, Result, compare, load, tensor, weights

GREY_LEVEL, DIFFERING_SHARE = 1.0, 0.01
"""Our resizing is torch's: rarely, and then by one grey level, another than PIL's (see `ops.images`)."""

PROMPT: Renamed = (
    (r"v_proj1", "to_vision.query"),
    (r"v_proj([23])", lambda hit: f"to_language.{('key', 'value')[int(hit[1]) - 2]}"),
    (r"t_proj1\.0", "to_language.query"),
    (r"t_proj([23])\.0", lambda hit: f"to_vision.{('key', 'value')[int(hit[1]) - 2]}"),
    (r"v_output", "to_vision.output"),
    (r"t_output\.0", "to_language.output"),
)
HEAD: Renamed = (
    (r"^vis_project", "visual"),
    (r"^lan_project", "text"),
    (r"^logit_scale", "tau"),
    (r"^attn_fusion", "prompt"),
)


@torch.no_grad()
def bilateral_prompt(arrays: Arrays) -> Iterator[Result]:
    """Both attentions, both prompts and the response, for every number of texts; the case of one text is degenerate."""
    state = weights(arrays, "w/", PROMPT)
    prompt = BilateralPrompt(len(state["to_language.query.bias"]))
    load(prompt, state)
    assert prompt.to_vision is not None
    assert prompt.to_language is not None
    for case in sorted(name.removesuffix("vis") for name in arrays if name.endswith("_vis")):
        pixels, texts = tensor(arrays, f"{case}vis"), tensor(arrays, f"{case}lan")
        prompted_pixels, prompted_texts = prompt(pixels, texts)
        ours = {
            "attn_v": prompt.to_vision.attention(pixels, texts),
            "attn_t": prompt.to_language.attention(pixels, texts),
            "vis_prompt": prompt.to_vision(pixels, texts),
            "lan_prompt": prompt.to_language(pixels, texts),
            "response": prompted_pixels.flatten(2).mT @ prompted_texts.mT / 0.07,
        }
        for name, value in ours.items():
            yield compare(f"{case}{name}", value, arrays[f"{case}{name}"])


def stage1_head(arrays: Arrays) -> Iterator[Result]:
    """Features to responses, maps, scores, loss and gradients; then one text per forward."""
    c4, sentences = tensor(arrays, "c4"), tensor(arrays, "hidden")
    state = weights(arrays, "w/", (*HEAD, *PROMPT))
    config = ResponseConfig(width=len(state["text.bias"]), learn_tau=True)
    head = ResponseHead(c4.shape[1], sentences.shape[1], config)
    load(head, state)
    pixels, texts = head.embed(c4, sentences)
    response, size = head(c4, sentences), arrays["seg_relu"].shape[-2:]
    score = scores(response)
    own = upsample_unaligned(own_responses(response), size)
    alone = upsample_unaligned(head(c4, sentences[:, None]), size)
    loss = classification_loss(score)
    loss.backward()
    yield compare("logit_scale_exp", head.tau.exp(), arrays["logit_scale_exp"])
    yield compare("vis_norm", pixels.flatten(2).mT, arrays["vis_norm"])
    yield compare("lan_norm", texts.expand(len(c4), -1, -1), arrays["lan_norm"])
    yield compare("response_all", response.flatten(2).mT, arrays["response_all"])
    yield compare("response_own", own_responses(response), arrays["response_own"])
    yield compare("seg_sigmoid", own.sigmoid(), arrays["seg_sigmoid"])
    yield compare("seg_relu", F.relu(own), arrays["seg_relu"])
    yield compare("eval_single_seg_relu", F.relu(alone), arrays["eval_single_seg_relu"])
    yield compare("fg_fraction", mask_shares(response).diagonal(), arrays["fg_fraction"])
    yield compare("cls_score", score, arrays["cls_score"])
    yield compare("cls_loss", loss, arrays["cls_loss"])
    for name, parameter in (
        ("vis_project_weight", head.visual.weight),
        ("lan_project_weight", head.text.weight),
        ("logit_scale", head.tau),
    ):
        yield compare(f"grad_{name}", gradient(parameter), arrays[f"grad_{name}"])


def gradient(parameter: Tensor) -> Tensor:
    """The gradient, which must be there."""
    assert parameter.grad is not None
    return parameter.grad


def cls_score_loss(arrays: Arrays) -> Iterator[Result]:
    """The parts of the score, the score, the loss."""
    response_BN1P = tensor(arrays, "response")[:, :, None]
    share = mask_shares(response_BN1P)
    score = scores(response_BN1P)
    yield compare("mean_term", response_BN1P.mean((2, 3)), arrays["mean_term"])
    yield compare("max_term", response_BN1P.amax((2, 3)), arrays["max_term"])
    yield compare("mask_mean", share, arrays["mask_mean"])
    yield compare("psi", focal_mask_penalty(share), arrays["psi"])
    yield compare("score", score, arrays["score"])
    yield compare("cls_loss", classification_loss(score), arrays["cls_loss"])
    yield compare("psi_grid", focal_mask_penalty(tensor(arrays, "psi_grid_x")), arrays["psi_grid"])


class Towers(nn.Module):
    """A picture tower where `image_maps` looks for it."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual


@torch.no_grad()
def tiny_clip_resnet(arrays: Arrays) -> Iterator[Result]:
    """The four maps in both modes and the running statistics; the attention pool is not run, so not compared."""
    state = weights(arrays, "visual/")
    blocks = [1 + max(int(name.split(".")[1]) for name in state if name.startswith(f"layer{n}.")) for n in range(1, 5)]
    positions, width = state["attnpool.positional_embedding"].shape
    tower = ModifiedResNet(
        layers=blocks,
        output_dim=len(state["attnpool.c_proj.bias"]),
        heads=1,
        image_size=32 * round((positions - 1) ** 0.5),
        width=width // 32,
    )
    load(tower, state)
    clip = Towers(tower)
    for mode in ("eval", "train"):
        tower.train(mode == "train")
        for number, one in enumerate(image_maps(clip, tensor(arrays, "x")), start=1):
            yield compare(f"{mode}_c{number}", one, arrays[f"{mode}_c{number}"])
    for statistic in ("mean", "var"):
        name = f"train_running_{statistic}_stem_bn1_after"
        yield compare(name, getattr(tower.bn1, f"running_{statistic}"), arrays[name])


def tokens(arrays: Arrays) -> Iterator[Result]:
    """CLIP's ids, the authors' slice of them, and our cut, which differs only in rows that are too long."""
    long = arrays["ids_77"].shape[1]
    ids = get_tokenizer("RN50-quickgelu")(arrays["sentences"].tolist(), context_length=long)
    short = arrays["ids_20"].shape[1]
    sliced, kept = truncate(ids, length=short, rule="compat_slice"), truncate(ids, length=short)
    too_long = arrays["n_tokens_with_sot_eot"] > short
    yield compare("ids_77", ids, arrays["ids_77"])
    yield compare("ids_20", sliced, arrays["ids_20"])
    yield compare("eot_index_20_argmax", sliced.argmax(1), arrays["eot_index_20_argmax"])
    yield compare("ids_20, end kept", kept[~too_long], arrays["ids_20"][~too_long])
    last = np.minimum(arrays["n_tokens_with_sot_eot"], short) - 1
    yield compare("end kept", kept.argmax(1), last)


def preprocess(arrays: Arrays) -> Iterator[Result]:
    """Pictures and masks at the model's size."""
    image = to_tensor(arrays["image"])
    for name in ("resized_u8", *(name for name in arrays if name.startswith("upsized_u8"))):
        height, width = arrays[name].shape[:2]
        resized = to_array(resize_image(image, height=height, width=width))
        yield compare(name, resized, arrays[name], tolerance=GREY_LEVEL)
        yield f"{name}, share that differs", float((resized != arrays[name]).mean()), DIFFERING_SHARE
    authors = to_tensor(arrays["resized_u8"])
    yield compare("normalized", normalise(authors), arrays["normalized"])
    for name in (name for name in arrays if name.startswith("mask_nearest")):
        height, width = arrays[name].shape
        ours = resize_labels(tensor(arrays, "mask"), height=height, width=width)
        yield compare(name, ours, arrays[name])
