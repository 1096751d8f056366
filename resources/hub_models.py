"""Models of hubs and CLIPs of open_clip that are known to serve, with what has to be known before a download.

Any other `owner/name` and `ARCHITECTURE:tag` works as well; these are those that `wordmask models list` shows.
"""

from __future__ import annotations

from dataclasses import replace

from resources.model_entries import Checkpoint, clip, hub_model

_APACHE = "Apache-2.0"
_AMLR = "apple-amlr (research only)"
_SAM3 = "SAM License"


def _hub(
    name: str, *, stage: str, licence: str = _APACHE, million: float | None = None, consent: str = ""
) -> Checkpoint:
    """A model of a hub with so many million parameters, of four bytes each."""
    owner, _, model = name.partition("/")
    about = None if million is None else round(4e6 * million)
    made = hub_model(name, owner=owner, model=model)
    return replace(made, stage=stage, licence=licence, about=about, consent=consent)


def _clip(name: str, *, licence: str, million: float) -> Checkpoint:
    return clip(name, licence=licence, about=round(4e6 * million))


_DETECTOR = "candidate_masks, as detector"
_SEGMENTER = "candidate_masks, as segmenter"
_WORDS = "zs_bootstrap, as words"

LISTED = (
    _hub("IDEA-Research/grounding-dino-tiny", stage=_DETECTOR, million=172),
    _hub("IDEA-Research/grounding-dino-base", stage=_DETECTOR, million=233),
    _hub("openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det", stage=_DETECTOR),
    _hub("openmmlab-community/mm_grounding_dino_base_all", stage=_DETECTOR),
    _hub("openmmlab-community/mm_grounding_dino_large_all", stage=_DETECTOR),
    _hub("google/owlv2-base-patch16-ensemble", stage=_DETECTOR, million=155),
    _hub("google/owlv2-large-patch14-ensemble", stage=_DETECTOR, million=437),
    _hub("facebook/sam-vit-base", stage=_SEGMENTER, million=94),
    _hub("facebook/sam-vit-large", stage=_SEGMENTER, million=312),
    _hub("facebook/sam-vit-huge", stage=_SEGMENTER, million=641),
    _hub("facebook/sam2.1-hiera-tiny", stage=_SEGMENTER, million=39),
    _hub("facebook/sam2.1-hiera-small", stage=_SEGMENTER, million=46),
    _hub("facebook/sam2.1-hiera-base-plus", stage=_SEGMENTER, million=81),
    _hub("facebook/sam2.1-hiera-large", stage=_SEGMENTER, million=224),
    _hub("syscv-community/sam-hq-vit-base", stage=_SEGMENTER, million=95),
    _hub("syscv-community/sam-hq-vit-large", stage=_SEGMENTER, million=313),
    _hub("syscv-community/sam-hq-vit-huge", stage=_SEGMENTER, million=642),
    _hub("yonigozlan/EdgeTAM-hf", stage=_SEGMENTER),
    _hub(
        "facebook/sam3",
        stage="candidate_masks, from the class alone",
        licence=_SAM3,
        million=848,
        consent="agree to the SAM License at https://huggingface.co/facebook/sam3",
    ),
    _clip("ViT-B-16:laion2b_s34b_b88k", licence="MIT", million=150),
    _clip("ViT-B-32:laion2b_s34b_b79k", licence="MIT", million=151),
    _clip("ViT-L-14:laion2b_s32b_b82k", licence="MIT", million=428),
    _clip("ViT-L-14-336:openai", licence="MIT", million=428),
    _clip("ViT-H-14:laion2b_s32b_b79k", licence="MIT", million=986),
    _clip("ViT-B-16-SigLIP2:webli", licence=_APACHE, million=375),
    _clip("ViT-L-16-SigLIP2-384:webli", licence=_APACHE, million=882),
    _clip("ViT-SO400M-16-SigLIP2-384:webli", licence=_APACHE, million=1136),
    _clip("MobileCLIP2-S0:dfndr2b", licence=_AMLR, million=75),
    _clip("MobileCLIP2-S2:dfndr2b", licence=_AMLR, million=99),
    _clip("MobileCLIP2-B:dfndr2b", licence=_AMLR, million=150),
    _hub("google-bert/bert-base-uncased", stage=_WORDS, million=110),
    _hub("nreimers/MiniLM-L6-H384-uncased", stage=_WORDS, licence="MIT", million=22.7),
    _hub("microsoft/MiniLM-L12-H384-uncased", stage=_WORDS, licence="MIT", million=33),
)
