"""Weights that are published as single files, with their addresses and digests, and those that come along."""

from __future__ import annotations

from dataclasses import replace

from resources.embedded.cards import CARD, training_command
from resources.model_entries import Checkpoint, CheckpointFile, spacy_package


def _single(
    name: str, path: str, *, stage: str, licence: str, source: str, address: str, size: int | None, sha256: str | None
) -> Checkpoint:
    file = CheckpointFile(path=path, size=size, sha256=sha256, address=address)
    return Checkpoint(name=name, stage=stage, licence=licence, source=source, path=path, files=(file,))


def _embedded(model: str, *, stage: str, licence: str = "Apache-2.0") -> Checkpoint:
    return Checkpoint(
        name=f"embedded/{model}",
        stage=stage,
        licence=licence,
        source=f"this project; `{training_command(model)}` makes it again",
        path=model,
        files=(CheckpointFile(path=f"{model}/{CARD}"),),
        embedded=True,
    )


_OPENAI = "https://openaipublic.azureedge.net/clip/models"
_META = "https://dl.fbaipublicfiles.com/segment_anything"
_BERT = "https://huggingface.co/google-bert/bert-base-uncased/resolve/main"
_SPACY_SM = "1932429db727d4bff3deed6b34cfc05df17794f4a52eeb26cf8928f7c1a0fb85"
_SPACY_MD = "5e6329fe3fecedb1d1a02c3ea2172ee0fede6cea6e4aefb6a02d832dba78a310"
_CLIP = {"licence": "MIT", "source": "github.com/openai/CLIP, clip/clip.py"}
_SAM = {
    "stage": "candidate_masks",
    "licence": "Apache-2.0",
    "source": "github.com/facebookresearch/segment-anything, README, Model Checkpoints",
}

PUBLISHED = (
    spacy_package("en_core_web_md", licence="MIT", version="3.8.0", sha256=_SPACY_MD, about=33_500_000),
    spacy_package("en_core_web_sm", licence="MIT", version="3.8.0", sha256=_SPACY_SM, about=12_800_000),
    _single(
        "ViT-B-32",
        "ViT-B-32.pt",
        address=f"{_OPENAI}/40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
        stage="projected_classes",
        size=353_976_522,
        sha256="40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        **_CLIP,
    ),
    _single(
        "ViT-L-14-336",
        "ViT-L-14-336px.pt",
        address=f"{_OPENAI}/3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02/ViT-L-14-336px.pt",
        stage="mask_choices",
        size=934_088_680,
        sha256="3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        **_CLIP,
    ),
    _single(
        "RN50",
        "RN50.pt",
        address=f"{_OPENAI}/afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762/RN50.pt",
        stage="tris_response_model",
        size=255_827_503,
        sha256="afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
        **_CLIP,
    ),
    _single(
        "resnet50",
        "resnet50-0676ba61.pth",
        address="https://download.pytorch.org/models/resnet50-0676ba61.pth",
        stage="refined_labels",
        licence="BSD-3-Clause",
        source="torchvision, ResNet50_Weights.IMAGENET1K_V1",
        size=None,
        sha256=None,
    ),
    replace(
        _single(
            "swint_ogc",
            "groundingdino_swint_ogc.pth",
            address="https://github.com/IDEA-Research/GroundingDINO/releases/download/v0.1.0-alpha/groundingdino_swint_ogc.pth",
            stage="candidate_masks",
            licence="Apache-2.0",
            source="github.com/IDEA-Research/GroundingDINO, release v0.1.0-alpha",
            size=693_997_677,
            sha256="3b3ca2563c77c69f651d7bd133e97139c186df06231157a64c507099c52bc799",
        ),
        companions=("bert-base-uncased",),
    ),
    _single(
        "vit_h",
        "sam_vit_h_4b8939.pth",
        address=f"{_META}/sam_vit_h_4b8939.pth",
        size=2_564_550_879,
        sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        **_SAM,
    ),
    _single(
        "vit_l",
        "sam_vit_l_0b3195.pth",
        address=f"{_META}/sam_vit_l_0b3195.pth",
        size=1_249_524_607,
        sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        **_SAM,
    ),
    _single(
        "vit_b",
        "sam_vit_b_01ec64.pth",
        address=f"{_META}/sam_vit_b_01ec64.pth",
        size=375_042_383,
        sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        **_SAM,
    ),
    _single(
        "swin_b",
        "swin_base_patch4_window12_384_22k.pth",
        address="https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window12_384_22k.pth",
        stage="zs_bootstrap",
        licence="MIT",
        source="github.com/SwinTransformer/storage, release v1.0.0",
        size=None,
        sha256=None,
    ),
    Checkpoint(
        name="bert-base-uncased",
        stage="candidate_masks and zs_bootstrap",
        licence="Apache-2.0",
        source="huggingface.co/google-bert/bert-base-uncased",
        path="bert-base-uncased",
        files=(
            CheckpointFile(
                path="bert-base-uncased/model.safetensors",
                size=440_449_768,
                sha256="68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
                alternatives=("bert-base-uncased/pytorch_model.bin",),
                address=f"{_BERT}/model.safetensors",
            ),
            CheckpointFile(path="bert-base-uncased/config.json", address=f"{_BERT}/config.json"),
            CheckpointFile(path="bert-base-uncased/vocab.txt", address=f"{_BERT}/vocab.txt"),
        ),
    ),
    _embedded("parser", stage="noun_phrases", licence="CC BY-SA 4.0 (UD English-EWT)"),
    _embedded("clip_vit", stage="projected_classes and mask_choices"),
    _embedded("clip_rn", stage="tris_response_model and tris_segmenter"),
    _embedded("clip_judge", stage="TRIS's calibration and selected_responses"),
    _embedded("irn_trunk", stage="refined_labels"),
    _embedded("detector", stage="candidate_masks"),
    _embedded("segmenter", stage="candidate_masks"),
    _embedded("swin", stage="zs_bootstrap"),
    _embedded("bert", stage="zs_bootstrap"),
)
