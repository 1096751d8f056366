"""The page that every stored artifact carries: what it is, what it was made from, what is in it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from storage.files import StoreError, read_regular

MANIFEST = "manifest.json"
_MAPPINGS = ("recipe", "checksums", "inputs", "rows", "metrics", "versions", "extra")


@dataclass(frozen=True)
class Tally:
    """How the units of one table came about. Units = reused + computed + quarantined."""

    reused: int
    """Units copied from an earlier artifact or from an interrupted run."""
    computed: int
    """Units computed by this run."""
    quarantined: int
    """Units without a result, each with a reason in the ledger."""
    rows: int
    """Rows of the table."""

    @classmethod
    def computed_anew(cls, rows: int, *, quarantined: int = 0) -> "Tally":
        """Of a table that is written at once, a row a unit."""
        return cls(reused=0, computed=rows, quarantined=quarantined, rows=rows)


@dataclass(frozen=True)
class FileSum:
    """Checksum of one file of an artifact."""

    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything known about an artifact without opening its files."""

    stage: str
    fingerprint: str
    recipe: Mapping[str, Any]
    created: str
    """UTC, ISO 8601, microseconds."""
    checksums: Mapping[str, FileSum]
    """File, relative to the artifact -> checksum; the manifest itself is not among them."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Name -> fingerprint of the artifact read under that name."""
    rows: Mapping[str, Tally] = field(default_factory=dict)
    metrics: Mapping[str, float | int | str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The bytes of `manifest.json`.

        Raises:
            TypeError: a value that JSON does not know.
            ValueError: a number that is not finite.
        """
        return (json.dumps(asdict(self), indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an artifact's folder.

    Raises:
        StoreError: it is missing or damaged.
    """
    path = folder / MANIFEST
    try:
        return parse_manifest(read_regular(path))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} is missing or damaged ({error}); delete {folder} or run the stage again with force."
        ) from error


def parse_manifest(content: bytes) -> Manifest:
    """What the bytes of `manifest.json` say; `ValueError` when they are damaged."""
    try:
        raw = json.loads(content)
        if wrong := [name for name in _MAPPINGS if not isinstance(raw.get(name, {}), dict)]:
            raise ValueError(f"{wrong[0]} is no mapping")
        if wrong := [name for name in ("stage", "fingerprint", "created") if not isinstance(raw[name], str)]:
            raise ValueError(f"{wrong[0]} is no text")
        raw["checksums"] = {name: FileSum(**entry) for name, entry in raw["checksums"].items()}
        raw["rows"] = {name: Tally(**entry) for name, entry in raw["rows"].items()}
        return Manifest(**raw)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from error
