"""The pretrained model that a knob names: one name gives what a recipe digests and what a loader opens.

Every way from a knob's name to files goes through `ModelRef`, so that what is digested is what is loaded. Nothing heavy
is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from resources.checkpoints import identity, locate, registered

EMBEDDED = "embedded"
"""What a knob says for the small model that comes with the project."""
Kind = Literal["parser", "clip_vit", "clip_rn", "clip_judge", "irn_trunk", "detector", "segmenter", "swin", "bert"]
"""What a model is for, and which embedded one stands in. `clip_judge` scores masked images and `irn_trunk` is IRNet's
backbone: the registry, its folders and with them every recipe keep the names under which they were first recorded."""

TOWERS: Mapping[str, Kind] = {"swin": "swin", "resnet": "irn_trunk"}
"""Image towers that learnt from labels, which TRIS may have in the place of CLIP's, by the kind of their weights."""


@dataclass(frozen=True)
class ModelRef:
    """A pretrained model, by what it is for and by the name that a knob gives it."""

    kind: Kind
    name: str = EMBEDDED
    """`embedded`, or a name that the checkpoint registry knows or can make an entry of: that of a published file, a
    model of a hub (`owner/name`, `owner/name@revision`), a CLIP of open_clip (`ARCHITECTURE:tag`), a spaCy pipeline by
    its package or the path of its folder."""

    @property
    def is_embedded(self) -> bool:
        """Whether it comes with the project."""
        return self.name == EMBEDDED or self.name.startswith(f"{EMBEDDED}/")

    @property
    def is_of_a_hub(self) -> bool:
        """Whether it is a folder in the layout of transformers or of open_clip.

        Raises:
            Refused: the registry has no such name.
        """
        return registered(self.registry_name).is_of_a_hub

    @property
    def registry_name(self) -> str:
        """Its name as `resources.checkpoints.registered` takes it, which recipes digest beside its identity."""
        return f"{EMBEDDED}/{self.kind}" if self.name == EMBEDDED else self.name

    @property
    def parts(self) -> tuple[ModelRef, ...]:
        """The model, and after it the other checkpoints that its loader reads.

        Raises:
            Refused: the registry has no such name.
        """
        return (self, *(ModelRef(self.kind, name) for name in registered(self.registry_name).companions))

    def identity(self, folder: Path | None = None) -> str:
        """A digest of what `path` gives, see `resources.checkpoints.identity`."""
        return identity(self.registry_name, folder)

    def path(self, folder: Path | None = None) -> Path:
        """The file or folder to load; raises as `resources.checkpoints.locate` does.

        A folder for every model of a hub, `hub/<owner>--<name>[@<revision>]`, and for every CLIP of open_clip,
        `open_clip/<ARCHITECTURE>/<tag>`: with its weights (`resources.hub_layout.weight_files`), configuration and
        tokenizer under the names of the published layout.
        """
        return locate(self.registry_name, folder)

    def source(self, checkpoint: Path | None) -> Path | None:
        """What a loader reads: the path it was given, else the embedded model; None: a published one without a file."""
        return checkpoint or (self.path() if self.is_embedded else None)
