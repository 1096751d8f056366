"""A user's own folder as a data set."""

from pathlib import Path

from pipelines.commands.models import missing_models
from pipelines.commands.terminal import console
from pipelines.config.dataset_files import write_dataset

PHOTOGRAPHS, DRAWN = "photo", "base"
"""The experiments for photographs by published models, and for the machinery by embedded ones."""


def add_folder(name: str, folder: Path, *, manifest: str | None, experiment: str | None) -> None:
    """Describe the folder in a file, and say what was found in it and what to run.

    Args:
        name: of the data set.
        folder: of the images.
        manifest: the table of expressions, if it has an unusual name.
        experiment: what is asked for on it; None: `photo` when its models are there, otherwise `base`.

    Raises:
        Refused: the name is unusable or taken, no such experiment is known, or the folder cannot be used.
    """
    missing = missing_models(PHOTOGRAPHS) if experiment is None else []
    asked = experiment or (DRAWN if missing else PHOTOGRAPHS)
    path = write_dataset(name, folder=folder, manifest=manifest, experiment=asked)
    for line in path.read_text().splitlines():
        if line.startswith("# "):
            console.print(line[2:])
    console.print(f"wrote {path}; now run `wordmask run -d {name} -e {asked}`, or reload the definitions in the UI")
    if missing:
        console.print(
            f"`{DRAWN}` shows the machinery only: its models know drawn scenes. For masks of photographs type\n"
            f"`wordmask models get --for {PHOTOGRAPHS}` and then `wordmask run -d {name} -e {PHOTOGRAPHS}`"
        )
