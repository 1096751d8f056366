"""The folder of Dagster's history: runs, logs and events that stay between commands."""

from pathlib import Path

from ops.refusal import Refused
from resources.paths import PROJECT, home
from storage.files import write_bytes


def instance_folder() -> Path:
    """The persistent Dagster instance folder (`$DAGSTER_HOME`), made with the template on first use.

    Raises:
        Refused: Dagster could not find its files there, for their path would be a pattern or an address.
    """
    folder = home() / "dagster"
    odd = sorted(set(str(folder)) & set("[]*?%"))
    if odd:
        raise Refused(f"Dagster cannot work in {folder}: choose a WORDMASK_HOME without {' '.join(odd)}")
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "dagster.yaml"
    if not settings.exists() or not settings.read_bytes():
        write_bytes(settings, (PROJECT / "resources" / "dagster.yaml").read_bytes())
    return folder
