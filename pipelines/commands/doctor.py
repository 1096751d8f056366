"""What the machine offers and lacks, and which files were left out, as a table for the terminal."""

from rich.table import Table

from pipelines.commands.terminal import coloured, folding
from pipelines.graph.load import read_plan
from resources.doctor import Check, diagnose
from resources.store import store_folder


def doctor_table(*, thorough: bool) -> tuple[Table, bool]:
    """What `wordmask doctor` prints, and whether nothing is bad."""
    checks = [*diagnose(store=store_folder(), thorough=thorough), *_left_out()]
    table = folding("what", "verdict", "found", "what to do")
    colours = {"good": "green", "note": "yellow", "bad": "red"}
    for check in checks:
        table.add_row(check.topic, coloured(check.verdict, colours[check.verdict]), check.found, check.advice)
    return table, all(check.verdict != "bad" for check in checks)


def _left_out() -> list[Check]:
    """Files of experiments and data sets that are broken."""
    advice = "mend it; until then the graph is without it"
    return [Check(topic=file.path.name, verdict="bad", found=str(file), advice=advice) for file in read_plan().left_out]
