"""The same weights under the names of two packages: those of groundingdino-py and segment_anything in transformers."""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

Rules = Sequence[tuple[str, str]]
"""Pattern and replacement, one after another over every name."""
SWIN = "model.backbone.conv_encoder.model."
GROUNDING_DINO: Rules = (
    *((rf"^backbone\.0\.norm{stage}\b", f"{SWIN}hidden_states_norms.stage{stage + 1}") for stage in range(4)),
    (r"^backbone\.0\.patch_embed\.proj", f"{SWIN}swin.embeddings.patch_embeddings.projection"),
    (r"^backbone\.0\.patch_embed\.norm", f"{SWIN}swin.embeddings.norm"),
    (r"^backbone\.0\.layers", f"{SWIN}swin.encoder.layers"),
    (r"(blocks\.\d+)\.norm1", r"\1.layernorm_before"),
    (r"(blocks\.\d+)\.norm2", r"\1.layernorm_after"),
    (r"attn\.relative_position_bias_table", "attention.relative_position_bias.relative_position_bias_table"),
    (r"(blocks\.\d+)\.attn\.proj", r"\1.attention.o_proj"),
    (r"(blocks\.\d+)\.attn\.qkv\.", r"\1.attention.{q_proj|k_proj|v_proj}."),
    (r"^bert\.", "model.text_backbone."),
    (r"^feat_map", "model.text_projection"),
    (r"^input_proj", "model.input_proj_vision"),
    (r"^transformer\.tgt_embed", "model.query_position_embeddings"),
    (r"^transformer\.enc_out_bbox_embed", "model.encoder_output_bbox_embed"),
    (r"^transformer\.", "model."),
    (r"ref_point_head", "reference_points_head"),
    (r"decoder\.norm", "decoder.layer_norm"),
    (r"encoder\.text_layers\.(\d+)", r"encoder.layers.\1.text_enhancer_layer"),
    (r"text_enhancer_layer\.norm1", "text_enhancer_layer.layer_norm_before"),
    (r"text_enhancer_layer\.norm2", "text_enhancer_layer.layer_norm_after"),
    (r"encoder\.fusion_layers\.(\d+)", r"encoder.layers.\1.fusion_layer"),
    (r"gamma_v", "vision_param"),
    (r"gamma_l", "text_param"),
    (r"(fusion_layer.*)_v([_.])", r"\1_vision\2"),
    (r"(fusion_layer.*)_l([_.])", r"\1_text\2"),
    (r"(fusion_layer\.attn\.)v_", r"\1vision_"),
    (r"(fusion_layer\.attn\.)l_", r"\1text_"),
    (r"model\.encoder\.layers\.(\d+)\.(?=self_attn|norm|linear)", r"model.encoder.layers.\1.deformable_layer."),
    (r"deformable_layer\.norm1", "deformable_layer.self_attn_layer_norm"),
    (r"deformable_layer\.norm2", "deformable_layer.final_layer_norm"),
    (r"decoder\.layers\.(\d+)\.cross_attn", r"decoder.layers.\1.encoder_attn"),
    (r"decoder\.layers\.(\d+)\.norm1", r"decoder.layers.\1.encoder_attn_layer_norm"),
    (r"decoder\.layers\.(\d+)\.norm2", r"decoder.layers.\1.self_attn_layer_norm"),
    (r"decoder\.layers\.(\d+)\.norm3", r"decoder.layers.\1.final_layer_norm"),
    (r"ca_text", "encoder_attn_text"),
    (r"catext_norm", "encoder_attn_text_layer_norm"),
    (r"\.in_proj_(weight|bias)", r".{query|key|value}.\1"),
    (r"\.linear([12])\.", r".fc\1."),
)
UNUSED_BY_GROUNDING_DINO = re.compile(r".*relative_position_index|bert\.pooler.*")
"""Of groundingdino-py: an index that transformers computes, and a layer that is never run."""
SAM: Rules = (
    (r"^image_encoder\.neck\.0", "vision_encoder.neck.conv1"),
    (r"^image_encoder\.neck\.1", "vision_encoder.neck.layer_norm1"),
    (r"^image_encoder\.neck\.2", "vision_encoder.neck.conv2"),
    (r"^image_encoder\.neck\.3", "vision_encoder.neck.layer_norm2"),
    (r"^image_encoder\.blocks", "vision_encoder.layers"),
    (r"^image_encoder\.patch_embed\.proj", "vision_encoder.patch_embed.projection"),
    (r"^image_encoder\.", "vision_encoder."),
    (r"\.norm(\d|_final_attn)\b", r".layer_norm\1"),
    (r"mask_downscaling\.0", "mask_embed.conv1"),
    (r"mask_downscaling\.1", "mask_embed.layer_norm1"),
    (r"mask_downscaling\.3", "mask_embed.conv2"),
    (r"mask_downscaling\.4", "mask_embed.layer_norm2"),
    (r"mask_downscaling\.6", "mask_embed.conv3"),
    (r"point_embeddings", "point_embed"),
    (r"pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    (r"output_upscaling\.0", "upscale_conv1"),
    (r"output_upscaling\.1", "upscale_layer_norm"),
    (r"output_upscaling\.3", "upscale_conv2"),
    (r"(mlps\.\d+|head)\.layers\.0", r"\1.proj_in"),
    (r"(mlps\.\d+|head)\.layers\.2", r"\1.proj_out"),
    (r"(mlps\.\d+|head)\.layers\.1", r"\1.layers.0"),
)
UNUSED_BY_SAM = re.compile(r"pixel_(mean|std)")


def in_transformers(weights: Mapping[str, Tensor], rules: Rules, *, unused: re.Pattern[str]) -> dict[str, Tensor]:
    """The weights as a network of transformers calls them; projections that it keeps apart are split."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if unused.fullmatch(name):
            continue
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        names = _alternatives(name)
        found |= dict(zip(names, value.chunk(len(names)), strict=True))
    return found


def _alternatives(name: str) -> list[str]:
    """`a.{b|c}.d` stands for `a.b.d` and `a.c.d`, each a part of one tensor."""
    inner = re.search(r"\{(.*)\}", name)
    return [name.replace(inner[0], part) for part in inner[1].split("|")] if inner else [name]
