"""What the small Grounding DINO is trained to do: find the boxes of the phrases in its caption.

The set loss of DETR on every decoder layer, and a one-to-many loss on the encoder's dense proposals. Sigmoid focal loss
on the similarity of queries and tokens, L1 and generalised IoU on boxes; weights as in Grounding DINO (Liu et al. 2023,
4.1).

Shapes: B images, L decoder layers, Q queries, S encoder places, T tokens, M objects of the whole batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

CLASS_WEIGHT, L1_WEIGHT, GIOU_WEIGHT = 2.0, 5.0, 2.0
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
PLACES_PER_OBJECT = 4
LEVEL_BOUNDS = (0.30, 0.60)
"""Longest side, as a fraction of the image, from which an object belongs to the next coarser level."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The objects that the captions of a batch ask for, image after image."""

    image_M: Tensor
    """Which image of the batch, int64, rising."""
    boxes_M4: Tensor
    """Centre x, centre y, width, height as fractions of the image."""
    positive_MT: Tensor
    """Bool: the tokens of the object's phrases."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Everything the loss needs from a forward pass, float32."""

    logits_LBQT: Tensor
    boxes_LBQ4: Tensor
    place_logits_BST: Tensor
    place_boxes_BS4: Tensor
    centres_S2: Tensor
    level_S: Tensor
    tokens_BT: Tensor
    """Bool: True on tokens, False on padding."""


class Tap:
    """Collects what GroundingDINO computes but does not return: inner decoder layers and encoder proposals."""

    def __init__(self, model: nn.Module) -> None:
        self._heads: Any = model.bbox_embed
        self._seen: dict[str, Any] = {}
        transformer: Any = model.transformer
        transformer.register_forward_hook(self._keep_transformer)
        transformer.enc_out_class_embed.register_forward_hook(self._keep("place_logits"))
        transformer.enc_out_bbox_embed.register_forward_hook(self._keep("place_deltas"))

    def outputs(self) -> Outputs:
        """What the last forward pass left, heads evaluated in float32."""
        hidden, references, text = self._seen["hidden"], self._seen["references"], self._seen["text"]
        tokens_BT = text["text_token_mask"]
        count = tokens_BT.shape[1]
        words_BTD = text["encoded_text"].float()
        boxes = [
            (head(state.float()) + torch.logit(reference.float(), eps=1e-3)).sigmoid()
            for head, state, reference in zip(self._heads, hidden, references[:-1], strict=True)
        ]
        centres_S2, sides_S2, level_S = anchors(self._seen["shapes"])
        proposals_S4 = torch.logit(torch.cat([centres_S2, sides_S2], dim=1))
        return Outputs(
            logits_LBQT=torch.stack([state.float() @ words_BTD.transpose(1, 2) for state in hidden]),
            boxes_LBQ4=torch.stack(boxes),
            place_logits_BST=self._seen["place_logits"][..., :count].float(),
            place_boxes_BS4=(self._seen["place_deltas"].float() + proposals_S4).sigmoid(),
            centres_S2=centres_S2,
            level_S=level_S,
            tokens_BT=tokens_BT,
        )

    def _keep_transformer(self, module: nn.Module, arguments: Sequence[Any], result: Sequence[Any]) -> None:
        self._seen["shapes"] = [tuple(level.shape[-2:]) for level in arguments[0]]
        self._seen["text"] = arguments[6]
        self._seen["hidden"], self._seen["references"] = result[0], result[1]

    def _keep(self, name: str) -> Any:
        def hook(module: nn.Module, arguments: Sequence[Any], result: Tensor) -> None:
            self._seen[name] = result

        return hook


def anchors(shapes: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Centres (S, 2), sides (S, 2) and levels (S,) of the encoder's proposals on unpadded maps, as in the package."""
    centres, sides, levels = [], [], []
    for level, (height, width) in enumerate(shapes):
        y_HW, x_HW = torch.meshgrid(
            (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij"
        )
        centres.append(torch.stack([x_HW.flatten(), y_HW.flatten()], dim=1))
        sides.append(torch.full((height * width, 2), 0.05 * 2**level))
        levels.append(torch.full((height * width,), level))
    return torch.cat(centres), torch.cat(sides), torch.cat(levels)


def detection_loss(outputs: Outputs, targets: Targets) -> Tensor:
    """Sum of the set losses of all decoder layers and of the encoder's one-to-many loss."""
    total = _encoder_loss(outputs, targets)
    for layer, queries_M in enumerate(match(outputs, targets)):
        logits_BQT, boxes_BQ4 = outputs.logits_LBQT[layer], outputs.boxes_LBQ4[layer]
        wanted_BQT = torch.zeros_like(logits_BQT, dtype=torch.bool)
        wanted_BQT[targets.image_M, queries_M] = targets.positive_MT
        total = total + CLASS_WEIGHT * focal_loss(logits_BQT, wanted_BQT, outputs.tokens_BT)
        total = total + box_loss(boxes_BQ4[targets.image_M, queries_M], targets.boxes_M4)
    return total


def focal_loss(logits_BQT: Tensor, wanted_BQT: Tensor, tokens_BT: Tensor) -> Tensor:
    """Sigmoid focal loss (Lin et al. 2017) over real tokens, divided by the number of wanted entries."""
    logits = logits_BQT.masked_fill(~tokens_BT[:, None], 0.0)
    wanted = wanted_BQT.float()
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    missed = (wanted - logits.sigmoid()).abs()
    weight = FOCAL_ALPHA * wanted + (1 - FOCAL_ALPHA) * (1 - wanted)
    loss_BQT = weight * missed**FOCAL_GAMMA * entropy
    return (loss_BQT * tokens_BT[:, None]).sum() / wanted.sum().clamp(min=1)


def box_loss(boxes_M4: Tensor, wanted_M4: Tensor) -> Tensor:
    """Weighted L1 and generalised IoU loss, mean over the objects; zero without any."""
    count = max(len(wanted_M4), 1)
    distance = (boxes_M4 - wanted_M4).abs().sum() / count
    overlap = (1 - generalised_iou(boxes_M4, wanted_M4)).sum() / count
    return L1_WEIGHT * distance + GIOU_WEIGHT * overlap


def generalised_iou(one_4: Tensor, two_4: Tensor) -> Tensor:
    """GIoU (Rezatofighi et al. 2019) of boxes (..., 4) given as centre and sides, broadcast against each other."""
    low_one, high_one = one_4[..., :2] - one_4[..., 2:] / 2, one_4[..., :2] + one_4[..., 2:] / 2
    low_two, high_two = two_4[..., :2] - two_4[..., 2:] / 2, two_4[..., :2] + two_4[..., 2:] / 2
    inner = (torch.minimum(high_one, high_two) - torch.maximum(low_one, low_two)).clamp(min=0).prod(-1)
    union = one_4[..., 2:].prod(-1) + two_4[..., 2:].prod(-1) - inner
    hull = (torch.maximum(high_one, high_two) - torch.minimum(low_one, low_two)).prod(-1)
    return inner / union.clamp(min=1e-7) - (hull - union) / hull.clamp(min=1e-7)


@torch.no_grad()
def match(outputs: Outputs, targets: Targets) -> list[Tensor]:
    """Per decoder layer, the query (M,) that each object is assigned to: least total cost within its image."""
    per_image = torch.bincount(targets.image_M, minlength=outputs.tokens_BT.shape[0]).tolist()
    assigned = []
    for logits_BQT, boxes_BQ4 in zip(outputs.logits_LBQT, outputs.boxes_LBQ4, strict=True):
        cost_MQ = _cost(logits_BQT[targets.image_M], boxes_BQ4[targets.image_M], targets)
        queries = [torch.from_numpy(linear_sum_assignment(block.numpy())[1]) for block in cost_MQ.split(per_image)]
        assigned.append(torch.cat(queries))
    return assigned


def _cost(logits_MQT: Tensor, boxes_MQ4: Tensor, targets: Targets) -> Tensor:
    chance_MQT = logits_MQT.sigmoid()
    gain_MQT = FOCAL_ALPHA * (1 - chance_MQT) ** FOCAL_GAMMA * -F.logsigmoid(logits_MQT)
    harm_MQT = (1 - FOCAL_ALPHA) * chance_MQT**FOCAL_GAMMA * -F.logsigmoid(-logits_MQT)
    share_MT = targets.positive_MT / targets.positive_MT.sum(1, keepdim=True)
    difference_MQT = (gain_MQT - harm_MQT) * share_MT[:, None]
    wanted_M14 = targets.boxes_M4[:, None]
    distance_MQ = (boxes_MQ4 - wanted_M14).abs().sum(-1)
    overlap_MQ = generalised_iou(boxes_MQ4, wanted_M14)
    return CLASS_WEIGHT * difference_MQT.sum(-1) + L1_WEIGHT * distance_MQ - GIOU_WEIGHT * overlap_MQ


def _encoder_loss(outputs: Outputs, targets: Targets) -> Tensor:
    """Each object claims the places nearest to its centre on the level that suits its size."""
    longest_M = targets.boxes_M4[:, 2:].amax(1)
    level_M = torch.bucketize(longest_M, torch.tensor(LEVEL_BOUNDS), right=True)
    distance_MS = torch.cdist(targets.boxes_M4[:, :2], outputs.centres_S2)
    distance_MS = distance_MS.masked_fill(level_M[:, None] != outputs.level_S, torch.inf)
    places_MK = distance_MS.topk(PLACES_PER_OBJECT, dim=1, largest=False).indices
    image_MK = targets.image_M[:, None].expand_as(places_MK)
    wanted_BST = torch.zeros_like(outputs.place_logits_BST, dtype=torch.bool)
    wanted_BST[image_MK, places_MK] = targets.positive_MT[:, None].expand(-1, PLACES_PER_OBJECT, -1)
    boxes_N4 = outputs.place_boxes_BS4[image_MK, places_MK].flatten(0, 1)
    class_part = focal_loss(outputs.place_logits_BST, wanted_BST, outputs.tokens_BT)
    return CLASS_WEIGHT * class_part + box_loss(boxes_N4, targets.boxes_M4.repeat_interleave(PLACES_PER_OBJECT, dim=0))
