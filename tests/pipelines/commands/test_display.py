"""What a run draws in a terminal, and what it prints where nobody looks on."""

import io
import re
import sys

from pipelines.commands.display import RunDisplay
from pipelines.commands.terminal import Terminal
from pipelines.escaping import escaped

TOLD = [
    ("mine__base__references", "references: begins"),
    ("mine__base__candidate_masks", "candidate_masks: needs grounding_dino, sam"),
    ("mine__base__candidate_masks", "candidate_masks/masks: 80/400 units, 4.1 units/s, 9.7 rows/s, 78 s left"),
    ("mine__base__zs_bootstrap", "step 58/4200  loss 0.8122  lr 4.87e-05  6.4 samples/s  about 47 min left"),
    ("mine__base__zs_bootstrap", "\x1b]0;taken\x07[red]not a step 1/2"),
]
LINES = [0, 1, 4]
"""Those that are no progress."""
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def told(*, looked_at: bool) -> str:
    out = Terminal(io.StringIO())
    out._force_terminal, out.is_interactive, out.width = looked_at, looked_at, 200
    display = RunDisplay(12, out)
    with display.drawn():
        for step, text in TOLD:
            display.tell(step, text)
            if display._bars is not None:
                display._bars.refresh()
        sys.stderr.write("a library\n")
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_elsewhere_every_message_is_a_line_that_says_how_far_the_run_is() -> None:
    lines = told(looked_at=False).splitlines()
    assert [line.split(" ", 1)[0] for line in lines] == ["stage"] * len(TOLD)
    assert lines[3].startswith("stage  3 of 12 zs_bootstrap: step 58/4200  loss 0.8122")
    assert "\x1b" not in "".join(lines)


def test_where_a_person_looks_on_progress_is_a_bar_and_all_else_stands_above() -> None:
    drawn = told(looked_at=True)
    text = SEQUENCE.sub("", drawn)
    whole = [f"{step.rpartition('__')[2]}: {escaped(said)}" in text for step, said in TOLD]
    assert [place for place, line in enumerate(whole) if line] == LINES
    for part in (
        "stage  2 of 12 candidate_masks:",
        " 20%",
        "4.1 units/s, 78 s left, ",
        "  1%",
        "about 47 min left, loss",
    ):
        assert part in text
    assert "\x1b]0" not in drawn
    assert "\x1b[?25h" in drawn  # the cursor is back
    assert "a library" in text
