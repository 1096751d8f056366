"""Pretrained models: what is there, fetch what is not, check it, take it away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from ops.refusal import Refused
from pipelines.commands.terminal import complain, console, folding
from resources.checkpoints import WHOLE, Finding, checkpoint_folder, examine, examine_one, registered
from resources.downloading import Download
from resources.fetching import WORKERS, Wanted, demand_room, fetch, missing_bytes, planned
from resources.hub_layout import read_record
from resources.model_entries import Checkpoint
from resources.removing import remove

NAME = 35
"""Characters that most names have at most."""
SHORT = 12
"""Characters of a commit that are shown."""


def models_table(names: Sequence[str] = (), *, thorough: bool = False) -> tuple[Table, list[str]]:
    """Models with their size, licence, state and revision, and what to do about those that are not whole.

    Args:
        names: those that are looked at, and have to be there; empty: every known one.
        thorough: hash every file; without names, only what is there is shown.

    Raises:
        Refused: a name is unknown.
    """
    table = folding("model", "used by", "size", "licence", "state", "revision")
    table.columns[0].min_width = NAME  # so that most names stand in one piece
    table.caption = "wordmask models get NAME fetches what is missing"
    home = checkpoint_folder()
    asked = [examine_one(registered(name), home, thorough=thorough) for name in dict.fromkeys(names)]
    findings = asked or [one for one in examine(thorough=thorough) if one.state != "missing" or not thorough]
    for finding in findings:
        one = registered(finding.name)
        table.add_row(one.name, one.stage, _told_size(one), _licence(one), finding.state, finding.revision[:SHORT])
    return table, [
        f"{finding.name}: {finding.advice}" for finding in findings if _is_broken(finding, asked=bool(names))
    ]


def _is_broken(finding: Finding, *, asked: bool) -> bool:
    return finding.state not in WHOLE and (asked or finding.state != "missing")


def get_models(names: Sequence[str], *, experiment: str | None = None, workers: int = WORKERS) -> None:
    """Fetch models, and the others that their loaders read, into the checkpoint folder.

    Args:
        names: as the registry takes them.
        experiment: fetch what its stages load as well, as far as it is not there.
        workers: files that come at once.

    Raises:
        Refused: a name is unknown; or, after all others have come, some did not.
        StoreError: there is no room for them.
    """
    asked = _with_companions([*names, *(missing_models(experiment) if experiment else ())])
    if not asked:
        console.print("nothing to fetch; `wordmask models list` names what there is")
        return
    home = checkpoint_folder()
    models, failures = planned(asked, home)
    if models:
        _tell(models, home)
        demand_room(models, home)
        with _bars(models) as told:
            failures = failures.and_also(fetch(models, home, told=told, workers=workers))
    for line in failures.lines():
        complain(line)
    if lost := len(failures.reasons):
        raise Refused(f"{lost} of {len(asked)} models did not come; the same command goes on where this one stopped")


def remove_models(names: Iterable[str]) -> list[Path]:
    """Delete the files of models, and what is left of broken downloads; the paths that are gone.

    Raises:
        Refused: a name is unknown, or the model is not ours to delete.
    """
    home = checkpoint_folder()
    return [path for checkpoint in [registered(name) for name in names] for path in remove(checkpoint, home)]


def _tell(models: Sequence[Wanted], home: Path) -> None:
    """Licences, what to agree to, and how much there is to come, before anything does."""
    for model in models:
        at = f", revision {model.revision[:SHORT]}" if model.revision else ""
        size, unknown = missing_bytes([model])
        known = f"{size / 1e6:,.0f} MB" if size else "of a size that its server does not say"
        state = known if size or unknown else "there already"
        console.print(f"{model.checkpoint.name}: {state}, licence {model.licence}{at}")
        for note in model.notes:
            complain(note)
    size, unknown = missing_bytes(models)
    files = sum(file.missing != 0 for model in models for file in model.downloads)
    more = f" and {unknown} of unknown size" if unknown else ""
    console.print(f"{files} files, {size / 1e9:.2f} GB{more} to fetch, into {home}")


@contextmanager
def _bars(models: Sequence[Wanted]) -> Iterator[Callable[[Download, int], None]]:
    """A bar for every file that is on its way, and one for all; what is yielded moves them."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    wanted = [file for model in models for file in model.downloads]
    total, unknown = missing_bytes(models)
    have = {file: (file.size or 0) - (file.missing or 0) for file in wanted}
    whole = total + sum(have.values())
    lock, bars = Lock(), dict[Download, TaskID]()
    with Progress(*columns, TimeRemainingColumn(), console=console) as shown:
        all_of_it = shown.add_task("all", total=None if unknown else whole, completed=sum(have.values()))

        def told(file: Download, done: int) -> None:
            with lock:
                if file not in bars:
                    bars[file] = shown.add_task(_label(file), total=file.size)
                have[file] = done
                shown.update(bars[file], completed=done, visible=done != file.size)
                shown.update(all_of_it, completed=sum(have.values()))

        yield told


def _label(file: Download) -> str:
    """`owner--name/model.safetensors`; folders tell files of equal names apart."""
    return "/".join(file.target.parts[-2:])


def missing_models(experiment: str) -> list[str]:
    """Registry names of the models of an experiment that are not there, or not whole."""
    from pipelines.graph.load import models_of

    return missing_among(models_of(experiment))


def missing_among(names: Iterable[str]) -> list[str]:
    """Those of the registry names whose models are not there, or not whole."""
    home = checkpoint_folder()
    return [name for name in names if examine_one(registered(name), home).state not in WHOLE]


def _with_companions(names: Iterable[str]) -> list[Checkpoint]:
    asked = [registered(name) for name in names]
    companions = [registered(other) for checkpoint in asked for other in checkpoint.companions]
    return [checkpoint for checkpoint in dict.fromkeys((*asked, *companions)) if not checkpoint.embedded]


def _licence(checkpoint: Checkpoint) -> str:
    """As its page said when it was fetched, where the registry knows none."""
    record = read_record(checkpoint_folder() / checkpoint.path) if checkpoint.is_of_a_hub else None
    licence = (record.licence if record else "") if checkpoint.licence.startswith("see ") else checkpoint.licence
    return f"{licence or checkpoint.licence}{', by consent' if checkpoint.consent else ''}"


def _told_size(checkpoint: Checkpoint) -> str:
    record = read_record(checkpoint_folder() / checkpoint.path) if checkpoint.is_of_a_hub else None
    sizes = [file.size for file in (record.files.values() if record else checkpoint.files)]
    known = [size for size in sizes if size is not None]
    if not known:
        return f"about {_megabytes(checkpoint.about)}" if checkpoint.about else ""
    return _megabytes(sum(known))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
