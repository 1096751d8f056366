"""One registry of pretrained weights: what they are called, where people get them, and whether a copy is whole.

`resources.downloading` fetches them. Loading a model belongs in `resources/models/`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ops.refusal import Refused
from resources.digests import folder_digest, recorded_digest, remembered_digest
from resources.embedded.cards import CARD, EMBEDDED_FOLDER, WEIGHTS, training_command
from resources.model_files import open_model_file
from storage.files import sha256_of

ENVIRONMENT = "WORDMASK_CHECKPOINTS"
State = Literal["present", "missing", "wrong size", "wrong hash", "no model", "unreadable", "embedded"]
MISSING = "missing"
UNREADABLE = "unreadable"


@dataclass(frozen=True, kw_only=True)
class CheckpointFile:
    """One file of a checkpoint."""

    path: str
    """Relative to the checkpoint folder."""
    size: int | None = None
    """Bytes, where published."""
    sha256: str | None = None
    """Hex digest, where published."""
    alternatives: tuple[str, ...] = ()
    """Other files that do as well, in order."""
    address: str = ""
    """Where it is fetched from; empty where it can not be fetched as one file."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Pretrained weights that other people made, or the small stand-ins that come with the project."""

    name: str
    stage: str
    """Which stages use it."""
    licence: str
    source: str
    """Where people get it."""
    path: str
    """What `locate` returns, relative to the checkpoint folder: a file, or a folder of several files."""
    files: tuple[CheckpointFile, ...]
    package: str = ""
    """Python package that does as well, when installed."""
    companions: tuple[str, ...] = ()
    """Other checkpoints that its loader reads."""
    embedded: bool = False
    """Comes with the project."""

    @property
    def can_be_fetched(self) -> bool:
        """Whether every file of it has an address."""
        return all(file.address for file in self.files)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What `examine` saw of one checkpoint."""

    name: str
    state: State
    advice: str
    """What to do next; what it is used for when there is nothing to do."""


class MissingCheckpoint(FileNotFoundError):  # noqa: N818 - says what is missing, as its base class does
    """A checkpoint that is not there; the message says which file, where from, and where to put it."""


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
_CLIP = {"licence": "MIT", "source": "github.com/openai/CLIP, clip/clip.py"}
_SAM = {
    "stage": "candidate_masks",
    "licence": "Apache-2.0",
    "source": "github.com/facebookresearch/segment-anything, README, Model Checkpoints",
}

_ALL = (
    Checkpoint(
        name="en_core_web_md",
        stage="noun_phrases",
        licence="MIT",
        source="github.com/explosion/spacy-models, releases, en_core_web_md 3.8 (the folder that holds config.cfg)",
        path="en_core_web_md",
        files=(CheckpointFile(path="en_core_web_md/config.cfg"), CheckpointFile(path="en_core_web_md/meta.json")),
        package="en_core_web_md",
    ),
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

CHECKPOINTS: dict[str, Checkpoint] = {checkpoint.name: checkpoint for checkpoint in _ALL}
"""Name -> checkpoint. Full-size names are those that the loaders in `resources/models/` take."""


def checkpoint_folder() -> Path:
    """Where checkpoints lie unless a caller says otherwise: $WORDMASK_CHECKPOINTS or ~/.cache/wordmask/checkpoints."""
    chosen = os.environ.get(ENVIRONMENT)
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "wordmask" / "checkpoints"


def registered(name: str) -> Checkpoint:
    """The checkpoint of that name; `Refused` lists the known ones when there is none."""
    if name not in CHECKPOINTS:
        raise Refused(f"unknown checkpoint {name!r}; known are {', '.join(CHECKPOINTS)}")
    return CHECKPOINTS[name]


def locate(name: str, folder: Path | None = None) -> Path:
    """The file or folder of a checkpoint, all its files being there.

    Args:
        name: A key of `CHECKPOINTS`.
        folder: The checkpoint folder; None takes `checkpoint_folder()`.

    Raises:
        MissingCheckpoint: A file of it is not there; the message says what to do.
        Refused: No such checkpoint is known.
    """
    checkpoint, home = registered(name), folder or checkpoint_folder()
    absent = [file.path for file, path in _found(checkpoint, home) if path is None]
    if not absent:
        return (EMBEDDED_FOLDER if checkpoint.embedded else home) / checkpoint.path
    installed = _installed(checkpoint.package)
    if installed is not None:
        return installed
    raise MissingCheckpoint(f"{name}: {_advice(checkpoint, home, absent)}")


def examine(folder: Path | None = None, *, thorough: bool = False) -> list[Finding]:
    """Look at every known checkpoint.

    Args:
        folder: The checkpoint folder; None takes `checkpoint_folder()`.
        thorough: Hash the large files too (about 2 s per GB).

    Returns:
        One finding per checkpoint, in the order of the registry.
    """
    home = folder or checkpoint_folder()
    return [_examine(checkpoint, home, thorough=thorough) for checkpoint in CHECKPOINTS.values()]


def identity(name: str, folder: Path | None = None) -> str:
    """A digest that changes with the weights, for recipes.

    `missing` where they are not there, and `unreadable` where this user may not read them; the loader says what to do.

    A file counts as the published one by its digest alone. It is hashed once, which is remembered beside it under its
    size, modification time and inode.

    Raises:
        Refused: No such checkpoint is known.
    """
    checkpoint, home = registered(name), folder or checkpoint_folder()
    found = _found(checkpoint, home)
    if checkpoint.embedded:
        whole = all(path is not None for _, path in found)
        return folder_digest(EMBEDDED_FOLDER / checkpoint.path) if whole else MISSING
    if all(path is not None for _, path in found):
        try:
            digests = [remembered_digest(path) for _, path in found if path is not None]
        except OSError:
            return UNREADABLE
        return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
    installed = _installed(checkpoint.package)
    return hashlib.sha256(installed.name.encode()).hexdigest() if installed else MISSING


def _found(checkpoint: Checkpoint, home: Path) -> list[tuple[CheckpointFile, Path | None]]:
    base = EMBEDDED_FOLDER if checkpoint.embedded else home
    found: list[tuple[CheckpointFile, Path | None]] = []
    for file in checkpoint.files:
        there = (base / name for name in (file.path, *file.alternatives))
        found.append((file, next((path for path in there if path.is_file()), None)))
    return found


def _advice(checkpoint: Checkpoint, home: Path, absent: list[str]) -> str:
    if checkpoint.embedded:
        return f"{' and '.join(absent)} should be there; it comes with {checkpoint.source}"
    names = " and ".join(Path(name).name for name in absent)
    by_hand = f"get {names} from {checkpoint.source}; put it into {(home / absent[0]).parent}"
    return f"type `wordmask models get {checkpoint.name}`, or {by_hand}" if checkpoint.can_be_fetched else by_hand


def _examine(checkpoint: Checkpoint, home: Path, *, thorough: bool) -> Finding:
    found = _found(checkpoint, home)
    absent = [file.path for file, path in found if path is None]
    installed = _installed(checkpoint.package) if absent else None
    used = f"used by {checkpoint.stage}"
    if installed is not None:
        return Finding(name=checkpoint.name, state="present", advice=f"{used}, installed at {installed}")
    if absent:
        return Finding(name=checkpoint.name, state="missing", advice=_advice(checkpoint, home, absent))
    for file, path in found:
        problem = _problem(file, path, thorough=thorough) if path is not None else None
        if problem is not None:
            state, detail = problem
            return Finding(name=checkpoint.name, state=state, advice=f"{detail}; get it again from {checkpoint.source}")
    if checkpoint.embedded:
        return _examine_embedded(checkpoint)
    return Finding(name=checkpoint.name, state="present", advice=used)


def _examine_embedded(checkpoint: Checkpoint) -> Finding:
    folder = EMBEDDED_FOLDER / checkpoint.path
    weights = folder / WEIGHTS
    if weights.is_file() and recorded_digest(folder / CARD) != sha256_of(weights):
        advice = f"{weights} is not the file its card describes; restore both files of {checkpoint.source}"
        return Finding(name=checkpoint.name, state="wrong hash", advice=advice)
    return Finding(name=checkpoint.name, state="embedded", advice=f"used by {checkpoint.stage}")


def _problem(file: CheckpointFile, path: Path, *, thorough: bool) -> tuple[State, str] | None:
    try:
        open_model_file(path).close()
    except Refused as problem:
        return "no model" if os.access(path, os.R_OK) else "unreadable", str(problem)
    if path.name != Path(file.path).name:
        return None  # an alternative; nothing is published about it here
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return "wrong size", f"{path} has {size:,} bytes, published are {file.size:,}"
    if thorough and file.sha256 is not None and (found := sha256_of(path)) != file.sha256:
        return "wrong hash", f"{path} hashes to {found[:12]}, published is {file.sha256[:12]}"
    return None


def _installed(package: str) -> Path | None:
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    configs = sorted(Path(spec.origin).parent.glob("*/config.cfg"))
    return configs[0].parent if configs else None
