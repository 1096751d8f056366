"""Small random models in the layouts in which people publish them, each in a folder of its own."""

import json
import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
import transformers as hf
from safetensors.torch import save_file

from resources.models.pretrained_folder import offline

SIDE = 64
"""Pixels of the longer side at which the SAMs look at an image."""
LETTERS = (*string.ascii_lowercase,)
PIECES = ("cup", "man", "red", "dog", *LETTERS, *(f"##{letter}" for letter in LETTERS))
MARKS = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 1012: ".", 1029: "?"}
"""Their ids in bert-base-uncased, which Grounding DINO of transformers relies on."""
WORDS = [*(MARKS.get(number, f"[unused{number}]") for number in range(max(MARKS) + 1)), *PIECES]
BERT = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
HIERA = {
    "model_type": "sam2_hiera_det_model",
    "hidden_size": 8,
    "image_size": [SIDE, SIDE],
    "blocks_per_stage": [1, 1, 2, 1],
    "embed_dim_per_stage": [8, 16, 32, 64],
    "num_attention_heads_per_stage": [1, 1, 2, 2],
    "window_size_per_stage": [4, 4, 4, 4],
    "window_positional_embedding_background_size": [4, 4],
    "global_attention_blocks": [3],
}
REPVIT = {
    "model_type": "timm_wrapper",
    "num_classes": 2,
    "architecture": "repvit_m0_9",
    "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
}
PYRAMID = {"backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": 32}
PROMPTS = {"hidden_size": 32, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 4}
DECODER = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
CLIP: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
SIGLIP: dict[str, Any] = {
    "embed_dim": 16,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "avg", "timm_proj": "linear"},
    "text_cfg": {
        "context_length": 24,
        "vocab_size": 54,
        "hf_tokenizer_name": "somewhere/else",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "width": 16,
        "heads": 2,
        "layers": 1,
        "no_causal_mask": True,
        "pool_type": "last",
    },
}
"""A tower of timm, a tokenizer of transformers, a bias: what SigLIP has of each, with a tower that is in any timm."""
SQUASHED = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}


def save(folder: Path, model: Any, *others: Any) -> Path:
    """Write a model, its processor and its tokenizer as `save_pretrained` does; the folder again."""
    with offline():
        for part in (model.eval(), *others):
            part.save_pretrained(folder)
    return folder


def grounding_dino(folder: Path, kind: str = "GroundingDino") -> Path:
    """Of 20 queries, for images of which the shorter side becomes 64 pixels."""
    swin = {"model_type": "swin", "embed_dim": 16, "depths": [1] * 4, "num_heads": [1, 2, 2, 2], "window_size": 4}
    sizes = {f"{part}_{name}": value for part in ("encoder", "decoder") for name, value in _LAYERS.items()}
    config = getattr(hf, f"{kind}Config")(
        backbone_config={**swin, "image_size": 64, "out_indices": [2, 3, 4]},
        text_config={"model_type": "bert", **BERT},
        num_queries=20,
        **sizes,
    )
    processor = hf.GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    return save(folder, getattr(hf, f"{kind}ForObjectDetection")(config), bert_tokenizer(), processor)


_LAYERS = {"layers": 2, "ffn_dim": 32, "attention_heads": 4}


def owl(folder: Path, kind: str = "Owlv2") -> Path:
    """Of 16 boxes."""
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = getattr(hf, f"{kind}Config")(
        text_config={**tower, **_clip_text()},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    processor = getattr(hf, f"{kind}ImageProcessor")(size={"height": 32, "width": 32})
    return save(folder, getattr(hf, f"{kind}ForObjectDetection")(config), clip_tokenizer(), processor)


def sam(folder: Path, kind: str = "Sam") -> Path:
    """SAM or SAM-HQ."""
    config = getattr(hf, f"{kind}Config")(
        vision_config={
            "hidden_size": 32,
            "output_channels": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 8,
            "window_size": 4,
            "num_pos_feats": 8,
            "global_attn_indexes": [1],
            "mlp_dim": 128,
        },
        prompt_encoder_config={**PROMPTS, "hidden_size": 16, "patch_size": 8, "image_embedding_size": 8},
        mask_decoder_config={**DECODER, "hidden_size": 16, **({"vit_dim": 32} if kind == "SamHQ" else {})},
    )
    return save(folder, getattr(hf, f"{kind}Model")(config), sam_processor())


def sam_processor() -> Any:
    return hf.SamImageProcessor(
        size={"longest_edge": SIDE},
        pad_size={"height": SIDE, "width": SIDE},
        mask_size={"longest_edge": 32},
        mask_pad_size={"height": 32, "width": 32},
    )


def sam2(folder: Path, kind: str = "Sam2") -> Path:
    """SAM 2, EdgeTAM, or SAM 2 as it is published: for videos."""
    if kind == "EdgeTam":
        vision = {"backbone_config": REPVIT, "backbone_channel_list": [384, 192, 96, 48], **PYRAMID}
    else:
        vision = {"backbone_config": HIERA, "backbone_channel_list": [64, 32, 16, 8], **PYRAMID}
    config = getattr(hf, f"{kind}Config")(
        vision_config={"model_type": f"{kind.removesuffix('Video').lower()}_vision_model", **vision},
        prompt_encoder_config=PROMPTS,
        mask_decoder_config=DECODER,
        **(MEMORY if kind == "Sam2Video" else {}),
    )
    processor = hf.Sam2ImageProcessor(size={"height": SIDE, "width": SIDE})
    return save(folder, getattr(hf, f"{kind}Model")(config), processor)


MEMORY = {
    "image_size": SIDE,
    "memory_attention_hidden_size": 32,
    "memory_attention_num_layers": 1,
    "memory_attention_feed_forward_hidden_size": 32,
    "memory_attention_rope_feat_sizes": [4, 4],
    "memory_encoder_hidden_size": 32,
    "memory_encoder_output_channels": 16,
    "mask_downsampler_embed_dim": 32,
    "memory_fuser_embed_dim": 32,
    "memory_fuser_intermediate_dim": 32,
}


def sam3(folder: Path) -> Path:
    """SAM 3 for images, of 6 queries."""
    part = {"hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    vit = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 56,
        "patch_size": 14,
        "window_size": 2,
        "global_attn_indexes": [1],
        "pretrain_image_size": 56,
    }
    text = {"model_type": "clip_text_model", "hidden_size": 16, "intermediate_size": 32, "projection_dim": 16}
    config = hf.Sam3Config(
        vision_config={"backbone_config": vit, **PYRAMID, "fpn_hidden_size": 16},
        text_config={**text, "num_hidden_layers": 1, "num_attention_heads": 2, **_clip_text()},
        geometry_encoder_config=part,
        detr_encoder_config=part,
        detr_decoder_config={**part, "num_queries": 6},
        mask_decoder_config={"hidden_size": 16, "num_attention_heads": 2},
    )
    processor = hf.Sam3ImageProcessor(size={"height": 56, "width": 56})
    return save(folder, hf.Sam3Model(config), clip_tokenizer(), processor)


def clip(folder: Path, config: Mapping[str, Any] = CLIP, **preparation: Any) -> Path:
    """A CLIP of open_clip as it lies on a hub, with a tokenizer where it is not open_clip's own."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {"model_cfg": config, "preprocess_cfg": {**SQUASHED, **preparation}}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    model = (open_clip.CustomTextCLIP if config.get("custom_text") else open_clip.CLIP)(
        **{name: value for name, value in config.items() if name != "custom_text"}
    )
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )
    if "hf_tokenizer_name" in config["text_cfg"]:
        clip_tokenizer().save_pretrained(folder)
    return folder


def bert_tokenizer() -> Any:
    return hf.BertTokenizer(vocab={word: number for number, word in enumerate(WORDS)})


def clip_tokenizer() -> Any:
    """Letters alone, 54 tokens."""
    pieces = (*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>")
    return hf.CLIPTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])


def _clip_text() -> dict[str, int]:
    return {
        "vocab_size": 54,
        "max_position_embeddings": 32,
        "pad_token_id": 0,
        "bos_token_id": 52,
        "eos_token_id": 53,
    }


MAKERS: Mapping[str, Callable[[Path], Path]] = {
    "grounding-dino": grounding_dino,
    "mm-grounding-dino": lambda folder: grounding_dino(folder, "MMGroundingDino"),
    "owlv2": owl,
    "owlvit": lambda folder: owl(folder, "OwlViT"),
    "sam": sam,
    "sam_hq": lambda folder: sam(folder, "SamHQ"),
    "sam2": sam2,
    "sam2_video": lambda folder: sam2(folder, "Sam2Video"),
    "edgetam": lambda folder: sam2(folder, "EdgeTam"),
    "sam3": sam3,
}
"""`model_type` -> what writes such a model."""


def made(kind: str, folder: Path) -> Path:
    """The folder of a small random model of a type, which is the same each time."""
    if not folder.exists():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            MAKERS[kind](folder)
    return folder
