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
from pipelines.config.described import LeftOut
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
    files, left_out = read_each(folders, model)
    if left_out:
        raise Refused(str(left_out[0]))
    return files


def read_each(folders: Iterable[Path], model: type[F]) -> tuple[dict[Path, F], list[LeftOut]]:
    """`read_files`, and the files that are not valid beside those that are.

    Of two that share a name, in whatever letters, the first counts.
    """
    files: dict[Path, F] = {}
    left_out: list[LeftOut] = []
    names: set[str] = set()
    for path in (path for folder in folders for path in _described_in(folder)):
        try:
            checked_name(path.stem)
            if path.suffix != ".yaml":
                raise Refused("files of that ending are not read; let its name end in .yaml")
            if path.stem.casefold() in names:
                raise Refused(f"another file is already called {path.stem}; rename one of them")
            content = read_yaml(path)
            files[path] = model.model_validate({} if content is None else content)
            names.add(path.stem.casefold())
        except ValidationError as error:
            left_out.append(LeftOut(path, told(error, model)))
        except Refused as error:
            left_out.append(LeftOut(path, str(error).removeprefix(f"{path.name}: ")))
    return files, left_out


def _described_in(folder: Path) -> list[Path]:
    """Files of a folder and its sub-folders that look as if they described something, by name."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in (".yaml", ".yml"))
    return sorted(found, key=lambda path: path.stem)


def write_file(path: Path, file: BaseModel, *, comment: str) -> None:
    """Write an experiment or data-set file: what differs from the defaults, below a comment."""
    content = yaml.safe_dump(file.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True)
    lines = ("".join(sign if sign.isprintable() else "?" for sign in line) for line in comment.splitlines())
    notes = "".join(f"# {line}\n" for line in lines)
    write_bytes(path, (notes + content).encode())
