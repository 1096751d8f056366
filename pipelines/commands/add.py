"""A user's own folder as a data set."""

from pathlib import Path

from pipelines.commands.terminal import console
from pipelines.config.dataset_files import write_dataset


def add_folder(name: str, folder: Path, *, manifest: str | None, experiment: str) -> None:
    """Describe the folder in a file, and say what was found in it and what to run.

    Raises:
        Refused: the name is unusable or taken, no such experiment is known, or the folder cannot be used.
    """
    path = write_dataset(name, folder=folder, manifest=manifest, experiment=experiment)
    for line in path.read_text().splitlines():
        if line.startswith("# "):
            console.print(line[2:])
    console.print(
        f"wrote {path}; now run `wordmask run -d {name} -e {experiment}`, or reload the definitions in the UI"
    )
