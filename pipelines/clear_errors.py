"""Errors as a person reads them in a terminal."""

import sys

import typer

from pipelines.commands.terminal import complain
from resources.paths import home


class clear_errors:  # noqa: N801  a context manager reads as a verb
    """Turn errors that speak to the user into one red line and exit code 1; a bug keeps its traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from ops.refusal import Refused
        from storage.files import StoreError

        if isinstance(error, (Refused, FileNotFoundError, StoreError)):  # any other ValueError is a bug
            complain(str(error))
            raise typer.Exit(1) from error
        if reason := _refused_by_the_disk(error):
            advice = f"Is {home()} writable, and is there room? Free some, or set WORDMASK_HOME to another folder"
            complain(f"{reason}. {advice}.")
            raise typer.Exit(1) from error


def _refused_by_the_disk(error: BaseException | None) -> object:
    """What the operating system said, also where Dagster's database wrapped it; None for any other error."""
    if isinstance(error, OSError):
        return error
    sqlalchemy = sys.modules.get("sqlalchemy.exc")  # imported by Dagster, or by nothing
    return error.orig if sqlalchemy and isinstance(error, sqlalchemy.OperationalError) else None
