"""What the machine offers and lacks, and which files were left out, as a table for the terminal."""

from rich.table import Table

from pipelines.commands.models import missing_among
from pipelines.commands.terminal import coloured, folding
from pipelines.graph.load import models_of, read_plan
from resources.doctor import Check, diagnose
from resources.sharing_state import shared_store_check
from resources.store import store_folder

PRESETS = ("photo", "photo_best", "full")
"""Experiments for people's own photographs."""


def doctor_table(*, thorough: bool) -> tuple[Table, bool]:
    """What `wordmask doctor` prints, and whether nothing is bad."""
    machine = diagnose(store=store_folder(), thorough=thorough)
    checks = [*machine, shared_store_check(), *map(_models_for, PRESETS), *_left_out()]
    table = folding("what", "verdict", "found", "what to do")
    colours = {"good": "green", "note": "yellow", "bad": "red"}
    for check in checks:
        table.add_row(check.topic, coloured(check.verdict, colours[check.verdict]), check.found, check.advice)
    return table, all(check.verdict != "bad" for check in checks)


def _models_for(experiment: str) -> Check:
    """How many of a preset's models are here."""
    wanted = models_of(experiment)
    lacking = missing_among(wanted)
    found = f"{len(wanted) - len(lacking)} of {len(wanted)} models are here"
    advice = f"`wordmask models get --for {experiment}` fetches the others" if lacking else ""
    return Check(topic=f"experiment {experiment}", verdict="note" if lacking else "good", found=found, advice=advice)


def _left_out() -> list[Check]:
    """Files of experiments and data sets that are broken."""
    advice = "mend it; until then the graph is without it"
    return [Check(topic=file.path.name, verdict="bad", found=str(file), advice=advice) for file in read_plan().left_out]
