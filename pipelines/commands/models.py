"""Pretrained models: what is there, fetch what is not, check it, take it away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from ops.refusal import Refused
from pipelines.commands.terminal import console, folding
from resources.checkpoints import Checkpoint, checkpoint_folder, examine, registered
from resources.downloading import Download, download


def models_table(*, thorough: bool = False) -> tuple[Table, list[str]]:
    """Every known model with its size, licence and state; and what to do about those that are not whole."""
    table = folding("model", "used by", "size", "licence", "state")
    table.caption = "wordmask models get NAME fetches what is missing"
    findings = examine(thorough=thorough)
    for finding in findings:
        checkpoint = registered(finding.name)
        table.add_row(checkpoint.name, checkpoint.stage, _told_size(checkpoint), checkpoint.licence, finding.state)
    whole = ("present", "embedded", "missing")
    return table, [f"{finding.name}: {finding.advice}" for finding in findings if finding.state not in whole]


def get_models(names: Sequence[str], *, experiment: str | None = None) -> None:
    """Fetch models, and the others that their loaders read, into the checkpoint folder.

    Args:
        names: keys of the registry.
        experiment: fetch what its stages load as well, as far as it is not there.

    Raises:
        Refused: a name is unknown, a model can not be fetched as files, or a download is refused; what was fetched
            before it stays.
    """
    asked = _with_companions([*names, *(_missing_for(experiment) if experiment else ())])
    if not asked:
        console.print("nothing to fetch; `wordmask models list` names what there is")
        return
    wanted = [file for checkpoint in asked for file in _downloads(checkpoint, checkpoint_folder())]
    sizes = [file.size for file in wanted if file.size is not None]
    unknown = len(wanted) - len(sizes)
    more = f" and {unknown} of unknown size" if unknown else ""
    console.print(f"{len(wanted)} files, {sum(sizes) / 1e9:.2f} GB{more}, into {escape(str(checkpoint_folder()))}")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as shown:
        for file in wanted:
            task = shown.add_task(escape(file.target.name), total=file.size)
            download(file, progress=lambda done, task=task: shown.update(task, completed=done))  # type: ignore[misc]


def remove_models(names: Iterable[str]) -> list[Path]:
    """Delete the files of models, and what is left of broken downloads; the paths that are gone.

    Raises:
        Refused: a name is unknown, or the model comes with the project.
    """
    gone: list[Path] = []
    for checkpoint in [registered(name) for name in names]:
        if checkpoint.embedded:
            raise Refused(f"{checkpoint.name} comes with the project and is not removed")
        for file in checkpoint.files:
            path = checkpoint_folder() / file.path
            for beside in ("", ".partial", ".partial.json", ".lock", ".sha256.json"):
                found = path.with_name(path.name + beside)
                if found.is_file():
                    found.unlink()
                    gone.append(found)
    return gone


def _missing_for(experiment: str) -> list[str]:
    from pipelines.graph.load import models_of

    missing = {finding.name for finding in examine() if finding.state not in ("present", "embedded")}
    return [name for name in models_of(experiment) if name in missing]


def _with_companions(names: Iterable[str]) -> list[Checkpoint]:
    asked = [registered(name) for name in names]
    companions = [registered(other) for checkpoint in asked for other in checkpoint.companions]
    return [checkpoint for checkpoint in dict.fromkeys((*asked, *companions)) if not checkpoint.embedded]


def _downloads(checkpoint: Checkpoint, folder: Path) -> list[Download]:
    if not checkpoint.can_be_fetched:
        raise Refused(f"{checkpoint.name} is no single file: install its package, or get it from {checkpoint.source}")
    return [
        Download(address=file.address, target=folder / file.path, size=file.size, sha256=file.sha256)
        for file in checkpoint.files
    ]


def _told_size(checkpoint: Checkpoint) -> str:
    known = [file.size for file in checkpoint.files if file.size is not None]
    return f"{sum(known) / 1e6:,.0f} MB" if known else ""
