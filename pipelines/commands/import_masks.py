"""Masks of a teacher, a large model that ran elsewhere: brought in for a data set, listed, taken away."""

from pathlib import Path

from rich.console import RenderableType

from assets.data.source import Source
from ops.refusal import Refused
from pipelines.commands.terminal import folding, say
from pipelines.config.dataset_files import read_datasets
from pipelines.config.yaml_files import checked_name, dataset_folders
from resources.paths import home
from resources.teachers.imports import Import, all_imports, imports_of, remove_import
from resources.teachers.records import Purpose

NEXT = """Stages take them by knobs. An experiment that trains on them, {path}:

extends: correct
targets: [report]
knobs:
{knobs}

then: wordmask run -d {dataset} -e {name}"""
KNOBS = {
    "candidates": "  candidate_masks: {{source: imported, teacher: {name}}}",
    "choices": "  candidate_masks: {{source: imported, teacher: {name}}}\n"
    "  mask_choices: {{rule: imported, teacher: {name}}}",
}


def import_masks(path: Path, dataset: str, name: str, purpose: Purpose) -> RenderableType:
    """Read a teacher's file or folder, keep what fits the data set, and say what does not; for the terminal.

    Raises:
        Refused: the name is no good, no data set is called so or its images are not there, the file can not be read,
            or nothing in it fits; an earlier import of that name stays.
        StoreError: the disk refuses; likewise.
    """
    from resources.datasets import open_dataset
    from resources.teachers.fitting import Known, fit_masks
    from resources.teachers.kept import keep
    from resources.teachers.reading import read_masks

    checked_name(name)
    source = read_datasets(dataset_folders()).named(dataset).source
    _require_images(dataset, source)
    if not path.exists():
        raise Refused(f"{path} is not there; give the file or the folder that the teacher wrote")
    known = Known.of(open_dataset(source.config).corpus().expressions)
    kept = keep(dataset, name, purpose, fit_masks(read_masks(path), known, purpose), source=path.name)
    _tell(kept)
    knobs = KNOBS[purpose].format(name=name)
    say("next:", "", "bold")
    place = home() / "experiments" / f"{name}.yaml"
    return NEXT.format(path=place, knobs=knobs, dataset=dataset, name=name)


def imports_table(dataset: str | None) -> RenderableType:
    """What was imported, for one data set or for all."""
    table = folding("data set", "name", "as", "masks", "images", "left out", "from")
    for one in all_imports() if dataset is None else imports_of(dataset):
        cells = (one.dataset, one.name, one.purpose, str(one.masks), str(one.images), str(one.left_out), one.source)
        table.add_row(*cells)
    return table if table.row_count else "nothing was imported yet"


def remove(dataset: str, name: str) -> str:
    """Delete an import; raises as `resources.teachers.imports.remove_import` does."""
    gone = remove_import(dataset, name)
    return f"removed {gone.masks} masks of {name} for {dataset}; what stages made of them stays in the store"


def _require_images(dataset: str, source: Source) -> None:
    root = source.config.root
    if not root.is_dir():
        draw = f"`wordmask run -d {dataset} --until references` draws it first" if source.toy else "put it back"
        raise Refused(f"the data set {dataset} does not lie in {root}: {draw}")


def _tell(kept: Import) -> None:
    """Counts, and why rows were left out."""
    say("imported:", f"{kept.masks} masks of {kept.images} images as {kept.purpose} of {kept.dataset}", "green")
    if kept.left_out:
        say("left out:", f"{kept.left_out} rows, each with its reason in {kept.left_out_table}", "yellow")
        for reason, count in kept.reasons.items():
            say(f"{count:8}", reason, "yellow")
