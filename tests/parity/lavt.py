"""Reference vectors of LAVT: pwam_gate, swin_block, decoder, mini_lavt (layout: the vectors' README).

Every size is read from the arrays: heads and windows from bias tables, depths and widths from names and shapes.
"""

import re
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ops.backbones.swin import PatchMerging, SwinBlock, shift_mask
from ops.segmenters.lavt import LavtConfig, LavtVision
from ops.segmenters.lavt_decoder import MaskDecoder, upsample
from ops.segmenters.pwam import LanguageGate, PixelWordAttention

Arrays = Mapping[str, np.ndarray]
Result = tuple[str, float, float]

ABSOLUTE, RELATIVE = 1e-5, 1e-4

RENAMED = (
    (r"vis_project\.0", "visual"),
    (r"image_lang_att\.f_(query|key|value)\.0", r"\1"),
    (r"image_lang_att\.W\.0", "output"),
    (r"project_mm\.0", "joint"),
    (r"layers\.(\d+)\.fusion", r"fusions.\1"),
    (r"layers\.(\d+)\.res_gate\.0", r"gates.\1.inner"),
    (r"layers\.(\d+)\.res_gate\.2", r"gates.\1.outer"),
    (r"backbone\.norm(\d)", r"backbone.output_norms.\1"),
    (r"backbone\.(layers|patch_embed)", r"backbone.swin.\1"),
    (r"(conv|bn)(\d)_([234])", lambda hit: f"steps.{4 - int(hit[3])}.{hit[1].replace('bn', 'norm')}{hit[2]}"),
    (r"conv1_1", "head"),
    (r"classifier", "decoder"),
)


def compare(name: str, ours: Tensor, expected: np.ndarray) -> Result:
    """Largest absolute error and the error allowed at the largest expected value; integers must agree exactly."""
    error = np.abs(ours.detach().numpy() - expected).max()
    exact = np.issubdtype(expected.dtype, np.integer)
    return name, float(error), 0.0 if exact else ABSOLUTE + RELATIVE * float(np.abs(expected).max())


def cases(arrays: Arrays, pattern: str) -> list[tuple[str, int]]:
    """Prefixes such as `h2__` with their number, sorted."""
    hits = {(hit[0], int(hit[1])) for hit in map(re.compile(pattern).match, arrays) if hit}
    return sorted(hits)


def state(arrays: Arrays, prefix: str = "") -> dict[str, Tensor]:
    """The parameters under a prefix, in our names; 1x1 Conv1d weights lose their last axis."""
    found = {}
    for key, value in arrays.items():
        if not key.startswith(prefix) or key.endswith("relative_position_index"):
            continue
        name = key.removeprefix(prefix)
        for old, new in RENAMED:
            name = re.sub(old, new, name)
        found[name] = torch.from_numpy(value).squeeze(-1) if value.ndim == 3 else torch.from_numpy(value)
    return found


def load(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load every parameter, refusing any that is missing or left over; BatchNorm counters are not in the vectors."""
    missing, unexpected = module.load_state_dict(weights, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(f"missing {missing}, unexpected {unexpected}")
    module.eval()


def window_of(table: Tensor) -> int:
    """Side of the window that a relative position bias table belongs to."""
    return (round(table.shape[0] ** 0.5) + 1) // 2


@torch.no_grad()
def pwam_gate(arrays: Arrays) -> Iterator[Result]:
    """Pixel-word attention and gate for every number of heads."""
    for prefix, heads in cases(arrays, r"h(\d+)__"):
        x, words, mask = (torch.from_numpy(arrays[prefix + name]) for name in ("x", "l", "l_mask"))
        words, mask = words.transpose(1, 2), mask.squeeze(-1)
        attention = PixelWordAttention(x.shape[-1], words.shape[-1], heads=heads)
        load(attention, state(arrays, prefix + "w__"))
        gate = LanguageGate(x.shape[-1])
        load(
            gate,
            {f"{ours}.weight": state(arrays)[f"{prefix}gate_{w}"] for ours, w in (("inner", "w0"), ("outer", "w2"))},
        )
        fused = attention(x, words, mask)
        queries = attention.queries(x).transpose(1, 2)
        yield compare(f"{prefix}query", queries, arrays[prefix + "query_after_instnorm"])
        yield compare(f"{prefix}attention", attention.attend(x, words, mask), arrays[prefix + "lang_attention_out"])
        yield compare(f"{prefix}pwam", fused, arrays[prefix + "pwam_out"])
        yield compare(f"{prefix}gated", gate(x, fused), arrays[prefix + "gated_sum"])


@torch.no_grad()
def swin_block(arrays: Arrays) -> Iterator[Result]:
    """Plain and shifted block, the shift mask, and patch merging."""
    height, width = (int(side) for side in arrays["HW"])
    for prefix, shift in cases(arrays, r"s(\d+)__"):
        weights = state(arrays, prefix + "w__")
        table = weights["attn.relative_position_bias_table"]
        x = torch.from_numpy(arrays[prefix + "x"]).unflatten(1, (height, width))
        ratio = weights["mlp.fc1.weight"].shape[0] // x.shape[-1]
        window = window_of(table)
        block = SwinBlock(x.shape[-1], table.shape[1], window=window, shift=shift, mlp_ratio=ratio)
        load(block, weights)
        yield compare(f"{prefix}y", block(x).flatten(1, 2), arrays[prefix + "y"])
        index = block.attn.relative_position_index.float()
        yield compare(f"{prefix}index", index, arrays[prefix + "w__attn.relative_position_index"])
        if shift:
            padded = (side + -side % window for side in (height, width))
            mask = shift_mask(*padded, window, shift, torch.device("cpu"))
            yield compare("attn_mask", mask, arrays["attn_mask"])
    x = torch.from_numpy(arrays["pm__x"]).unflatten(1, (height, width))
    merging = PatchMerging(x.shape[-1])
    load(merging, state(arrays, "pm__w__"))
    yield compare("patch_merging", merging(x).flatten(1, 2), arrays["pm__y"])


@torch.no_grad()
def decoder(arrays: Arrays) -> Iterator[Result]:
    """The mask decoder with stored and with batch statistics."""
    names = sorted(name for name in arrays if re.fullmatch(r"c\d", name))
    maps = [torch.from_numpy(arrays[name]) for name in names]
    weights = state(arrays, "w__")
    module = MaskDecoder([tensor.shape[1] for tensor in maps], weights["head.weight"].shape[1])
    load(module, weights)
    logits = module(maps)
    yield compare("logits_eval", logits, arrays["logits_eval"])
    enlarged = upsample(logits, arrays["logits_up"].shape[-2:])
    yield compare("logits_up", enlarged, arrays["logits_up"])
    yield compare("logits_train_batchstats", module.train()(maps), arrays["logits_train_batchstats"])


def mini_config(weights: Mapping[str, Tensor]) -> LavtConfig:
    """The sizes of a LAVT from its parameters alone."""
    blocks = [re.fullmatch(r"backbone\.swin\.layers\.(\d+)\.blocks\.\d+\.norm1\.weight", name) for name in weights]
    stages = [int(hit[1]) for hit in blocks if hit]
    first = "backbone.swin.layers.{}.blocks.0.attn.relative_position_bias_table"
    tables = [weights[first.format(stage)] for stage in sorted(set(stages))]
    return LavtConfig(
        embed_dim=weights["backbone.swin.patch_embed.proj.weight"].shape[0],
        depths=tuple(stages.count(stage) for stage in sorted(set(stages))),
        heads=tuple(table.shape[1] for table in tables),
        window=window_of(tables[0]),
        decoder_width=weights["decoder.head.weight"].shape[1],
        language_width=weights["backbone.fusions.0.key.weight"].shape[1],
    )


@torch.no_grad()
def mini_lavt(arrays: Arrays) -> Iterator[Result]:
    """A whole small network: decoder inputs of the four stages, quarter-size and full-size logits."""
    weights = {name: value for name, value in state(arrays).items() if name.startswith(("backbone.", "decoder."))}
    model = LavtVision(mini_config(weights))
    load(model, weights)
    images, language = torch.from_numpy(arrays["image"]), torch.from_numpy(arrays["l_feats"])
    mask = torch.from_numpy(arrays["l_mask"]).transpose(1, 2)
    maps = model.features(images, language, mask)
    for number, feature in enumerate(maps, 1):
        yield compare(f"feat{number}", feature, arrays[f"feat{number}"])
    yield compare("logits_quarter", model.decoder(maps), arrays["logits_quarter"])
    yield compare("logits", model(images, language, mask), arrays["logits"])
