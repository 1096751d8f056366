"""The embedded models as assets of a group of their own: each runs its training script, as anyone may by hand.

They make models anew into `<home>/pretraining`; what ships is replaced by hand, after a look at the scores.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
from pydantic import Field

from resources.embedded.cards import CARD, EMBEDDED_FOLDER, read_card, training_command
from resources.paths import home

GROUP = "pretraining"
STARTS: Mapping[str, str | None] = {
    "detector": None,
    "segmenter": None,
    "clip_vit": None,
    "clip_judge": "clip_vit",
    "clip_rn": None,
    "swin": None,
    "bert": None,
    "irn_trunk": None,
}
"""Embedded model -> the one that its training goes on from. The parser is left out: its treebank has to be fetched."""


class Training(dg.Config):
    """What may be changed of a training; left alone, it makes the model that ships."""

    steps: int | None = Field(default=None, ge=1, description="Optimizer steps; none: those of the script.")
    scenes: int | None = Field(default=None, ge=1, description="Scenes to learn from; none: those of the script.")
    seed: int = Field(default=0, ge=0, description="Of weights and of everything that is drawn.")


def pretraining_assets() -> list[dg.AssetsDefinition]:
    """One asset for each embedded model."""
    return [_asset(name, start) for name, start in STARTS.items()]


def _asset(name: str, start: str | None) -> dg.AssetsDefinition:
    @dg.asset(
        key=[GROUP, name],
        group_name=GROUP,
        kinds={"pytorch"},
        deps=[dg.AssetKey([GROUP, start])] if start else [],
        description=f"The embedded model {name}, trained again on rendered scenes that no data set shows. The same by "
        f"hand: {training_command(name)}. A training that was ended goes on where it was.",
        metadata={"ships": dg.MetadataValue.path(str(EMBEDDED_FOLDER / name / CARD))},
    )
    def make(context: dg.AssetExecutionContext, config: Training) -> dg.MaterializeResult[None]:
        folder = home() / GROUP
        options = {"--out": folder / name, "--start": folder / start if start else None}
        options |= {f"--{key}": value for key, value in config.model_dump().items()}
        given = [str(part) for key, value in options.items() if value is not None for part in (key, value)]
        _run(context, [sys.executable, *training_command(name).split()[1:], *given])
        return _result(folder / name, EMBEDDED_FOLDER / name)

    return make


def _run(context: dg.AssetExecutionContext, command: list[str]) -> None:
    """Run a script whose lines appear on the page of the run, and which ends when the run is cancelled."""
    last = "it said nothing"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last = line.rstrip()
                context.log.info(last)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise dg.Failure(f"the training ended early: {last}", allow_retries=False)


def _result(folder: Path, shipped: Path) -> dg.MaterializeResult[None]:
    """The model's scores beside those of the one that ships."""
    card, theirs = read_card(folder), read_card(shipped)["scores"]
    rows = [
        dg.TableRecord({"score": name, "this": value, "shipped": theirs.get(name, "")})
        for name, value in card["scores"].items()
    ]
    columns = [dg.TableColumn(name) for name in ("score", "this", "shipped")]
    return dg.MaterializeResult(
        metadata={
            "scores": dg.MetadataValue.table(rows, schema=dg.TableSchema(columns)),
            "card": dg.MetadataValue.path(str(folder / CARD)),
            "seconds": card["seconds"],
            **card["budget"],
        },
        data_version=dg.DataVersion(card["sha256"]),
    )
