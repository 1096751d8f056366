"""What the machine offers and lacks, as a table for the terminal."""

from rich.markup import escape
from rich.table import Table

from pipelines.commands.terminal import folding
from resources.doctor import diagnose
from resources.store import store_folder


def doctor_table(*, thorough: bool) -> tuple[Table, bool]:
    """What `wordmask doctor` prints, and whether nothing is bad."""
    checks = diagnose(store=store_folder(), thorough=thorough)
    table = folding("what", "verdict", "found", "what to do")
    colours = {"good": "green", "note": "yellow", "bad": "red"}
    for check in checks:
        verdict = f"[{colours[check.verdict]}]{check.verdict}[/]"
        table.add_row(check.topic, verdict, escape(check.found), escape(check.advice))
    return table, all(check.verdict != "bad" for check in checks)
