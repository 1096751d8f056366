"""Reference vectors of TRIS Step 2, of the two learning rate schedules, and of evaluation."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ops.evaluation.iou import ScoreState
from ops.evaluation.localisation import ExpressionScore, Localisation, divided_by_maximum, hit_rate, localise, score
from ops.segmenters.lavt_decoder import upsample
from ops.training.schedule import PolySchedule
from ops.tris.boxes import proposals
from ops.tris.decoder import TopDownDecoder, upsample_unaligned
from ops.tris.fusion import PixelAttention, WordFusion
from ops.tris.segmenter import segmentation_losses
from tests.parity.comparing import Arrays, Renamed, Result, compare, load, tensor, weights

KINDS = ("response", "rows", "final")
STORED_EVERY = 16
"""Of the enlarged maps every 16th row or pixel is stored."""

ATTENTION: Renamed = (
    (r"\bWk\b", "key"),
    (r"\bWv\b", "value"),
    (r"\bWq\b", "query.0"),
    (r"\bins_q\b", "query.1"),
    (r"\bWw\b", "gathered.0"),
    (r"\bins_w\b", "gathered.1"),
    (r"\bWm\b", "visual"),
    (r"\bWo\b", "joint"),
)
NETWORK: Renamed = (
    (r"^attention(\d)", lambda hit: f"fusion.attentions.{int(hit[1]) - 2}"),
    (r"^reduced_c(\d)", lambda hit: f"decoder.laterals.{int(hit[1]) - 1}"),
    (r"^output(\d)", lambda hit: f"decoder.steps.{int(hit[1]) - 1}"),
    (r"^final_seg(\d)", lambda hit: f"decoder.heads.{int(hit[1]) - 1}"),
    (r"\bconv\b", "0"),
    (r"\bbn\b", "1"),
    (r"\brelu\b", "2"),
)


@torch.no_grad()
def pixel_attention(arrays: Arrays) -> Iterator[Result]:
    """One block, before the residual."""
    attention = PixelAttention(arrays["vis"].shape[1], arrays["lan"].shape[1])
    load(attention, weights(arrays, "w/", ATTENTION))
    ours = attention(tensor(arrays, "vis"), tensor(arrays, "lan").mT)
    yield compare("out", ours, arrays["out"])


class Network(nn.Module):
    """What follows the encoders."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        widths = [arrays[f"c{level}"].shape[1] for level in range(1, 5)]
        laterals = [len(arrays[f"w/reduced_c{level}.bn.bias"]) for level in range(1, 5)]
        self.fusion = WordFusion(widths[1:], arrays["tokens"].shape[-1])
        self.decoder = TopDownDecoder(widths, laterals, len(arrays["w/output1.bn.bias"]))

    def forward(self, arrays: Arrays) -> list[torch.Tensor]:
        maps = [tensor(arrays, f"c{level}") for level in range(1, 5)]
        logits = self.decoder(self.fusion(maps, tensor(arrays, "tokens")))
        return [upsample_unaligned(one, arrays["target"].shape[-2:]) for one in logits]


@torch.no_grad()
def stage2_decoder_small(arrays: Arrays) -> Iterator[Result]:
    """Logits in evaluation; logits and losses of the four levels in training."""
    network = Network(arrays)
    load(network, weights(arrays, "w/", (*NETWORK, *ATTENTION)))
    (logits,) = network(arrays)
    yield compare("eval_logits", logits, arrays["eval_logits"])
    levels = network.train()(arrays)
    for number, one in enumerate(levels, start=1):
        yield compare(f"train_logits{number}", one, arrays[f"train_logits{number}"])
    losses = torch.stack(segmentation_losses(levels, tensor(arrays, "target")))
    yield compare("losses", losses, arrays["losses"])
    yield compare("total", losses.sum(), arrays["total"])


def upsample_chain(arrays: Arrays) -> Iterator[Result]:
    """A response at the network's input size, then at the image's own size, which stands in a name."""
    response, rows, final = (next(one for one in arrays if one.startswith(f"{kind}_")) for kind in KINDS)
    side = arrays[rows].shape[1]
    large = upsample_unaligned(tensor(arrays, response), (side, side))
    yield compare(rows, large[0, 0, ::STORED_EVERY], arrays[rows])
    height, width = (int(number) for number in final.split("_")[1].split("x"))
    whole = upsample(F.relu(large), (height, width))
    yield compare(final, whole[0, 0, ::STORED_EVERY, ::STORED_EVERY], arrays[final])


def lr_schedule(arrays: Arrays) -> Iterator[Result]:
    """Per iteration, as in Step 1, and per epoch, as coded in Step 2."""
    total, epochs = int(arrays["stage1_total_iters"]), len(arrays["stage2_epoch"])
    schedule = PolySchedule(lr=1.0, total=total)
    ours = [schedule.factor(int(i)) for i in arrays["iters"]]
    yield compare("factor", np.array(ours), arrays["factor"])
    per_epoch = total // epochs
    by_epoch = PolySchedule(lr=1.0, total=epochs * per_epoch, per_epoch=per_epoch)
    slow = [by_epoch.factor(int(epoch) * per_epoch) for epoch in arrays["stage2_epoch"]]
    yield compare("stage2_factor_as_coded", np.array(slow), arrays["stage2_factor_as_coded"])


def metrics(arrays: Arrays) -> Iterator[Result]:
    """Maps to masks, points and boxes by the authors' rule, what they score, and the averages in percent."""
    size = (int(arrays["orig_hw"][0]), int(arrays["orig_hw"][1]))
    outputs = tensor(arrays, "model_output")
    found = [localise(one, size, threshold="compat_divided") for one in outputs]
    rows = [
        score(one, truth, [box])
        for one, truth, box in zip(found, arrays["gt_mask"], arrays["gt_box_xyxy"], strict=True)
    ]
    large = upsample(outputs[:, None], size)[:, 0]
    yield compare("normalized_map", torch.stack([divided_by_maximum(one) for one in large]), arrays["normalized_map"])
    yield compare("pred_mask", np.array([one.mask_HW for one in found]), arrays["pred_mask"])
    yield compare("argmax_yx", np.array([one.point for one in found]), arrays["argmax_yx"])
    for name, attribute in (
        ("inter", "intersection"),
        ("union", "union"),
        ("hit_pointit", "point_in_box"),
        ("hit_pointm", "point_in_mask"),
        ("box_acc", "box_hit"),
    ):
        yield compare(name, np.array([int(getattr(row, attribute)) for row in rows]), arrays[name])
    yield from boxes(arrays, found)
    yield from averages(arrays, rows)


def boxes(arrays: Arrays, found: list[Localisation]) -> Iterator[Result]:
    """Proposals case by case; the vectors hold the box that stands for no contour twice."""
    for number, one in enumerate(found):
        expected = arrays["box_proposals"][number, : arrays["num_proposals"][number]]
        ours = np.unique(proposals(one.mask_HW), axis=0)
        yield compare(f"box_proposals {number}", ours, np.unique(expected, axis=0))


def averages(arrays: Arrays, rows: list[ExpressionScore]) -> Iterator[Result]:
    """In percent."""
    ious = ScoreState().update([row.intersection for row in rows], [row.union for row in rows]).compute()
    for name, value in (
        ("mIoU", ious.miou),
        ("oIoU", ious.oiou),
        ("PointIt", hit_rate(row.point_in_box for row in rows)),
        ("PointM", hit_rate(row.point_in_mask for row in rows)),
        ("Acc_box", hit_rate(row.box_hit for row in rows)),
        ("P_at_50", ious.precision[0.5]),
    ):
        assert value is not None
        yield compare(name, np.array(100 * value), arrays[name])
