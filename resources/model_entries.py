"""What the registry of pretrained models knows of one: its files, or the repository of a hub that holds them.

A model of a hub is called `owner/name` or `owner/name@revision`, a CLIP of open_clip `ARCHITECTURE:tag`, a spaCy
pipeline by its package or by the path of a folder; an entry is made from such a name whether or not it is listed.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ops.refusal import Refused

Layout = Literal["files", "transformers", "open_clip", "spacy"]
"""`files` are named one by one; of the others `resources.hub_layout` says which files of a folder belong to it."""
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._]|-(?!-)){0,95}"
_HUB = re.compile(rf"(?P<owner>{_PART})/(?P<model>{_PART})(?:@(?P<revision>{REVISION.pattern}))?")
_CLIP = re.compile(r"(?P<architecture>[A-Za-z0-9][A-Za-z0-9._+-]{0,99}):(?P<tag>[A-Za-z0-9][A-Za-z0-9._-]{0,99})")
_SPACY = re.compile(r"[a-z]{2,3}_\w+_(sm|md|lg|trf)")
_PATH_BEGINS = ("/", "./", "../", "~")


@dataclass(frozen=True, kw_only=True)
class CheckpointFile:
    """One file of a checkpoint."""

    path: str
    """Relative to the checkpoint folder."""
    size: int | None = None
    """Bytes, where published."""
    sha256: str | None = None
    """Hex digest, where published."""
    blob: str | None = None
    """git's digest of a small file, where a hub gives no other."""
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
    files: tuple[CheckpointFile, ...] = ()
    package: str = ""
    """Python package that does as well, when installed."""
    companions: tuple[str, ...] = ()
    """Other checkpoints that its loader reads."""
    embedded: bool = False
    """Comes with the project."""
    layout: Layout = "files"
    repository: str = ""
    """Of a hub, as `owner/name`. A CLIP of open_clip has none here: open_clip knows it, and is asked for a download."""
    revision: str = ""
    """Asked for by hand; empty: the one that is the newest at the first download."""
    about: int | None = None
    """Bytes, as far as its page or its number of parameters says; a server tells the exact size before a download."""
    consent: str = ""
    """What is to be agreed to, and on which page, before its files are given; empty: nothing."""
    archive: str = ""
    """Address of a packed folder that is unpacked as `path`."""
    archive_sha256: str | None = None

    @property
    def can_be_fetched(self) -> bool:
        """Whether every file of it has an address."""
        if self.layout in ("transformers", "open_clip") or self.archive:
            return True
        return bool(self.files) and all(file.address for file in self.files)

    @property
    def is_of_a_hub(self) -> bool:
        """Whether a hub says which files it has."""
        return self.layout in ("transformers", "open_clip")


def made_from(name: str) -> Checkpoint | None:
    """The entry of a model that needs no listing; None: the name has the form of none.

    Raises:
        Refused: open_clip has no such architecture.
    """
    if name.startswith(_PATH_BEGINS):
        return _spacy_folder(name)
    if name.split("/")[0] == "embedded":
        return None
    if found := _HUB.fullmatch(name):
        return hub_model(name, owner=found["owner"], model=found["model"], revision=found["revision"] or "")
    if found := _CLIP.fullmatch(name):
        _require_architecture(found["architecture"])
        return clip(name)
    if _SPACY.fullmatch(name) or installed_pipeline(name):
        return spacy_package(name)
    return None


def hub_model(name: str, *, owner: str, model: str, revision: str = "") -> Checkpoint:
    """A model of a hub, in the layout of transformers."""
    folder = f"{owner}--{model}" + (f"@{revision}" if revision else "")
    return Checkpoint(
        name=name,
        stage="whatever names it",
        licence="see its page",
        source=f"huggingface.co/{owner}/{model}",
        path=f"hub/{folder}",
        layout="transformers",
        repository=f"{owner}/{model}",
        revision=revision,
    )


def name_of_folder(folder: str) -> str:
    """The name of the model whose folder below `hub/` is called so; a hub allows no `--` in names."""
    return folder.replace("--", "/", 1)


def clip(name: str, **known: object) -> Checkpoint:
    """A CLIP of open_clip, `ARCHITECTURE:tag`."""
    architecture, _, tag = name.partition(":")
    made = Checkpoint(
        name=name,
        stage="projected_classes and mask_choices",
        licence="see its page",
        source="the hub, where open_clip's table of pretrained models says",
        path=f"open_clip/{architecture}/{tag}",
        layout="open_clip",
    )
    return replace(made, **known)  # type: ignore[arg-type]


def spacy_package(
    name: str,
    *,
    licence: str = "see its page",
    version: str = "",
    sha256: str | None = None,
    about: int | None = None,
) -> Checkpoint:
    """A spaCy pipeline that may be installed as a package, or lie in the checkpoint folder."""
    releases = "github.com/explosion/spacy-models/releases"
    packed = f"https://{releases}/download/{name}-{version}/{name}-{version}-py3-none-any.whl" if version else ""
    return Checkpoint(
        name=name,
        stage="noun_phrases",
        licence=licence,
        source=f"{releases}, {name} (the folder that holds config.cfg), or its package",
        path=name,
        files=(CheckpointFile(path=f"{name}/config.cfg"), CheckpointFile(path=f"{name}/meta.json")),
        package=name,
        layout="spacy",
        archive=packed,
        archive_sha256=sha256,
        about=about,
    )


def installed_pipeline(package: str) -> Path | None:
    """The folder of an installed spaCy pipeline; None where it is not installed. Nothing of it is imported."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", package):
        return None
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    configs = sorted(Path(spec.origin).parent.glob("*/config.cfg"))
    return configs[0].parent if configs else None


def _spacy_folder(name: str) -> Checkpoint:
    folder = Path(name).expanduser().resolve()
    files = tuple(CheckpointFile(path=f"{folder}/{file}") for file in ("config.cfg", "meta.json"))
    return Checkpoint(
        name=name,
        stage="noun_phrases",
        licence="its own",
        source="the place where it was saved",
        path=str(folder),
        files=files,
        layout="spacy",
    )


def architectures() -> Path | None:
    """The folder of open_clip's architectures, a JSON file each; None where open_clip is not installed."""
    spec = importlib.util.find_spec("open_clip")
    return Path(spec.origin).parent / "model_configs" if spec and spec.origin else None


def _require_architecture(name: str) -> None:
    folder = architectures()
    if folder and not (folder / f"{name}.json").is_file():
        from difflib import get_close_matches

        near = get_close_matches(name, [path.stem for path in folder.glob("*.json")], n=1)
        raise Refused(f"open_clip has no architecture {name}" + (f"; did you mean {near[0]}?" if near else ""))
