"""Files that describe experiments and data sets: where they lie, what they may be called, how they are written.

Those in `pipelines/experiments` and `pipelines/datasets` ship; yours lie in folders of the same names below `<home>`.
Both may have sub-folders, which mean nothing: a file is called by its stem.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ops.refusal import Refused
from pipelines.config.plain_yaml import read_yaml, told
from resources.paths import home
from storage.files import write_bytes

SHIPPED = Path(__file__).resolve().parent.parent
NAME = re.compile(r"(?=.{1,60}$)[A-Za-z0-9]+(_[A-Za-z0-9]+)*")
"""What experiments and data sets may be called: Dagster builds names of steps, groups and jobs out of them."""
F = TypeVar("F", bound=BaseModel)


def experiment_folders() -> list[Path]:
    """Shipped experiments first, the user's own after them."""
    return [SHIPPED / "experiments", home() / "experiments"]


def dataset_folders() -> list[Path]:
    """Shipped data sets first, the user's own after them."""
    return [SHIPPED / "datasets", home() / "datasets"]


def checked_name(name: str) -> str:
    """The name, if an experiment or a data set may be called so.

    Raises:
        Refused: it may not; says what is allowed.
    """
    if not NAME.fullmatch(name):
        raise Refused(
            f"{name!r} cannot be a name; use letters and digits with single _ between them, at most 60 in all, such as "
            f"{re.sub('[^A-Za-z0-9]+', '_', name).strip('_')[:60] or 'mine'}"
        )
    return name


def read_files(folders: Iterable[Path], model: type[F]) -> dict[Path, F]:
    """All files of some folders and their sub-folders, validated; folder by folder, by name.

    Raises:
        Refused: a file is not valid, or two share a name.
    """
    files: dict[Path, F] = {}
    names: set[str] = set()
    for path in (path for folder in folders for path in sorted(folder.rglob("*.yaml"), key=lambda path: path.stem)):
        try:
            checked_name(path.stem)
            content = read_yaml(path)
            files[path] = model.model_validate({} if content is None else content)
        except ValidationError as error:
            raise Refused(f"{path}: {told(error)}") from error
        except Refused as error:
            raise Refused(f"{path}: {error}") from error
        if path.stem in names:
            raise Refused(f"{path}: another file is already called {path.stem}; rename one of them")
        names.add(path.stem)
    return files


def write_file(path: Path, file: BaseModel, *, comment: str) -> None:
    """Write an experiment or data-set file: what differs from the defaults, below a comment."""
    content = yaml.safe_dump(file.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True)
    lines = ("".join(sign if sign.isprintable() else "?" for sign in line) for line in comment.splitlines())
    notes = "".join(f"# {line}\n" for line in lines)
    write_bytes(path, (notes + content).encode())
