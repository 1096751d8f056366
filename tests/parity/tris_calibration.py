"""Reference vectors of TRIS's calibration and of PRMS, with CLIPs that are built from the arrays themselves."""

import re
from collections.abc import Iterator

import numpy as np
import torch
from open_clip import CLIP
from torch import Tensor
from torch.nn import functional as F

from ops.backbones.clip_text import text_features, token_features
from ops.tris.calibration import Scorer, cosines
from ops.tris.decoder import upsample_unaligned
from ops.tris.losses import CLIP_RANGE, PRESETS, LossWeights, negative_calibration, positive_calibration, weigh
from ops.tris.prms import agreements, normalised_map, select
from tests.parity.comparing import SINGLE, Arrays, Result, compare, load, tensor, weights

HEAD_WIDTH = 64
"""Width of an attention head in all of OpenAI's CLIPs."""


def calibration_fixed_sims(arrays: Arrays) -> Iterator[Result]:
    """The losses from given cosines, and their totals by three presets."""
    own, other = tensor(arrays, "sim_pos"), tensor(arrays, "sim_neg")
    positive, negative = positive_calibration(own), negative_calibration(other)
    unclipped = positive_calibration(tensor(arrays, "sim_pos_all_positive"), clip=False)
    yield compare("per_sample_pos", -own.clamp(*CLIP_RANGE).log(), arrays["per_sample_pos"])
    each = torch.stack([negative_calibration(row[None]) for row in other])
    yield compare("per_sample_neg_mean", each, arrays["per_sample_neg_mean"])
    yield compare("loss_pos", positive, arrays["loss_pos"])
    yield compare("loss_neg_mean", negative, arrays["loss_neg_mean"])
    yield compare("loss_pos_all_positive", unclipped, arrays["loss_pos_all_positive"])
    sums = LossWeights(negative=other.shape[1])
    yield compare("total_head", total(positive, negative, PRESETS["head"]), arrays["total_head"])
    yield compare("total_paper_sum", total(positive, negative, sums), arrays["total_paper_sum"])
    first = total(unclipped, negative, PRESETS["first_release"])
    yield compare("total_first_release_all_positive", first, arrays["total_first_release_all_positive"])


def total(positive: Tensor, negative: Tensor, preset: LossWeights) -> Tensor:
    """The weighted sum without classification."""
    return weigh(torch.zeros_like(positive), positive, negative, weights=preset).total


def tiny_clip(arrays: Arrays) -> CLIP:
    """The CLIP whose weights are stored, every size read off them."""
    state = weights_of_clip(arrays)
    vision, text = state["visual.class_embedding"].shape[0], state["ln_final.bias"].shape[0]
    patch, cells = state["visual.conv1.weight"].shape[-1], len(state["visual.positional_embedding"]) - 1
    context = len(state["positional_embedding"])
    clip = CLIP(
        embed_dim=state["text_projection"].shape[1],
        vision_cfg={
            "image_size": patch * round(cells**0.5),
            "patch_size": patch,
            "width": vision,
            "layers": layers_of(state, r"visual\.transformer"),
            "head_width": min(HEAD_WIDTH, vision),
        },
        text_cfg={
            "context_length": context,
            "vocab_size": len(state["token_embedding.weight"]),
            "width": text,
            "heads": max(1, text // HEAD_WIDTH),
            "layers": layers_of(state, "transformer"),
        },
        quick_gelu=True,
    )
    load(clip, state)
    return clip


def weights_of_clip(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays under `clip/`."""
    state = weights(arrays, "clip/")
    if not state:
        raise ValueError("no weights of a CLIP: calibration_tiny_clip.npz must lie beside prms.npz")
    return state


def layers_of(state: dict[str, Tensor], tower: str) -> int:
    """Number of residual blocks of a tower."""
    return 1 + max(int(hit[1]) for name in state if (hit := re.match(rf"{tower}\.resblocks\.(\d+)\.", name)))


def calibration_tiny_clip(arrays: Arrays) -> Iterator[Result]:
    """Texts, masks, masked images, cosines, losses, and the gradient that reaches the response."""
    scorer = Scorer(tiny_clip(arrays))
    yield from texts(arrays, scorer)
    images, response = tensor(arrays, "image"), tensor(arrays, "response").requires_grad_()
    masks = upsample_unaligned(response, images.shape[-2:]).sigmoid()
    embedded = scorer.embed_masked(images, masks)
    negatives = tensor(arrays, "tokens_neg")
    own, other = cosines(
        embedded,
        scorer.embed_texts(tensor(arrays, "tokens_pos")),
        scorer.embed_texts(negatives.flatten(0, 1)).unflatten(0, negatives.shape[:2]),
    )
    positive, negative = positive_calibration(own), negative_calibration(other)
    head = total(positive, negative, PRESETS["head"])
    head.backward()
    yield compare("mask_sigmoid", masks, arrays["mask_sigmoid"])
    yield compare("mask_clip", scorer.prepare(masks), arrays["mask_clip"])
    yield compare("image_clip", scorer.prepare(images), arrays["image_clip"])
    yield compare("masked_image", scorer.prepare(masks) * scorer.prepare(images), arrays["masked_image"])
    yield compare("image_embed_masked", embedded, F.normalize(tensor(arrays, "image_embed_masked"), dim=-1).numpy())
    yield compare("sim_pos", own, arrays["sim_pos"])
    yield compare("sim_neg", other, arrays["sim_neg"])
    yield compare("loss_pos", positive, arrays["loss_pos"])
    yield compare("loss_neg_mean", negative, arrays["loss_neg_mean"])
    yield compare("loss_total_head", head, arrays["loss_total_head"])
    for name, preset in (
        ("first_release", PRESETS["first_release"]),
        ("paper", LossWeights(negative=negatives.shape[1])),
    ):
        yield compare(f"loss_total_{name}", total(positive, negative, preset), arrays[f"loss_total_{name}"])
    assert response.grad is not None
    yield compare("grad_response_head", response.grad, arrays["grad_response_head"])


@torch.no_grad()
def texts(arrays: Arrays, scorer: Scorer) -> Iterator[Result]:
    """Token and sentence features, of sentences without an end too."""
    for name, ids in (("pos", "tokens_pos"), ("truncated", "tokens_truncated")):
        ours = text_features(scorer.clip, tensor(arrays, ids))
        yield compare(f"text_embed_{name}", ours, arrays[f"text_embed_{name}"])
    tokens = token_features(scorer.clip, tensor(arrays, "tokens_pos"))
    yield compare("text_token_features_pos", tokens, arrays["text_token_features_pos"])


@torch.no_grad()
def prms(arrays: Arrays) -> Iterator[Result]:
    """Agreements by ReLU and by sigmoid maps, the selected expression, the saved map, a tie."""
    scorer = Scorer(tiny_clip(arrays))
    image, embedded = tensor(arrays, "image"), scorer.embed_texts(tensor(arrays, "tokens"))
    maps = upsample_unaligned(tensor(arrays, "response"), image.shape[-2:])[:, 0]
    relu = F.relu(maps)
    found = agreements(scorer, image[0], relu, embedded)
    yield compare("relu_response", relu[:, None], arrays["relu_response"])
    yield compare("sim_matrix", found, arrays["sim_matrix"], tolerance=SINGLE)
    yield compare("cumulative", found.sum(1), arrays["cumulative"], tolerance=SINGLE)
    yield compare("selected", np.array(select(found)), arrays["selected"])
    size = tuple(arrays["orig_hw"].tolist())
    yield compare("saved_map", normalised_map(relu[select(found)], size), arrays["saved_map"])
    by_sigmoid = agreements(scorer, image[0], maps.sigmoid(), embedded)
    yield compare("sim_matrix_sigmoid", by_sigmoid, arrays["sim_matrix_sigmoid"], tolerance=SINGLE)
    yield compare("cumulative_sigmoid", by_sigmoid.sum(1), arrays["cumulative_sigmoid"], tolerance=SINGLE)
    yield compare("tie_selected", np.array(select(arrays["tie_sim"])), arrays["tie_selected"])
