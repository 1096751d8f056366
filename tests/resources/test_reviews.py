"""Decisions of persons on the disk: appended whole, whoever is killed, and taken back by those who took them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ops.refusal import Refused
from resources.paths import PROJECT
from resources.reviews import Verdict, checked_who, decide, read_reviews, reviews_file, undo

IMAGE = "ab" * 32
REFERENTS = tuple(f"{number:020x}" for number in range(4))
MASK, OTHER = "c" * 20, "d" * 20
WHOLE: tuple[tuple[Verdict, str], ...] = (("mask", OTHER), ("none", ""), ("absent", ""))
WRONG: tuple[tuple[str, Verdict, str], ...] = (
    ("7", "none", ""),
    (REFERENTS[0], "mask", ""),
    (REFERENTS[0], "mask", "3"),
    (REFERENTS[0], "none", MASK),
    (f"{REFERENTS[0]}\n", "none", ""),
)
WRITER = """
from resources.reviews import decide
for number in range(100_000):
    decide("mine", "w", image="ab" * 32, referent=f"{number:020x}", decision="mask", mask="c" * 20)
    print(number, flush=True)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path))
    return tmp_path


def say(referent: str, decision: Verdict, mask: str = "", who: str = "ada") -> None:
    decide("mine", who, image=IMAGE, referent=referent, decision=decision, mask=mask)


def standing() -> dict[str, tuple[str, str]]:
    return {name: (one.decision, one.mask) for name, one in read_reviews("mine").counted.items()}


def test_the_last_decision_that_was_not_taken_back_counts() -> None:
    first, second = REFERENTS[:2]
    assert standing() == {}
    say(first, "mask", MASK)
    say(first, "none")
    say(second, "absent")
    assert standing() == {first: ("none", ""), second: ("absent", "")}
    assert (undo("mine", "ada", first) or pytest.fail("nothing stands")).mask == MASK
    assert standing() == {first: ("mask", MASK), second: ("absent", "")}
    before = read_reviews("mine").fingerprint
    assert undo("mine", "ada", first) is None
    with pytest.raises(Refused, match="nothing is decided about this referent any more"):
        undo("mine", "ada", first)
    with pytest.raises(Refused, match="ada has decided since"):
        undo("mine", "bob", second)
    say(first, "mask", MASK, who="bob")  # whoever says it, and when
    assert read_reviews("mine").fingerprint == before
    prints = [one.fingerprint for one in read_reviews("mine").earlier()]
    assert len(prints) == 7
    assert prints.index(before, 1) == 2  # what a run has read is found again after two more lines


def test_a_line_that_was_cut_anywhere_is_ignored_and_told_and_the_next_one_counts() -> None:
    say(REFERENTS[0], "mask", MASK)
    path, whole = reviews_file("mine"), reviews_file("mine").read_bytes()
    for decision, mask in WHOLE:
        path.write_bytes(whole)
        say(REFERENTS[1], decision, mask)
        line = path.read_bytes()[len(whole) :]
        for cut in (*range(1, len(line) - 25, 9), *range(len(line) - 25, len(line))):
            path.write_bytes(whole + line[:cut])
            reviews = read_reviews("mine")
            is_whole = cut == len(line) - 1  # but for the end of the line
            assert list(reviews.counted) == list(REFERENTS[: 1 + is_whole])
            assert list(reviews.damaged) == [] if is_whole else [3]
            assert ("line 3" in reviews.damage) != is_whole
            say(REFERENTS[2], "none")
            assert list(read_reviews("mine").counted) == [*REFERENTS[: 1 + is_whole], REFERENTS[2]]


def test_two_writers_that_are_killed_lose_nothing_that_they_were_told_is_written(tmp_path: Path) -> None:
    environment = {**os.environ, "WORDMASK_HOME": str(tmp_path)}
    command = [sys.executable, "-c", WRITER]
    writers = [
        subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    first = [(writer.stdout or pytest.fail("no pipe")).readline() for writer in writers]
    time.sleep(0.1)
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    told = [len([one, *writer.communicate()[0].splitlines()]) for one, writer in zip(first, writers, strict=True)]
    reviews = read_reviews("mine")
    assert sum(told) <= len(reviews.lines) <= sum(told) + len(writers)
    assert len(reviews.damaged) <= len(writers)
    say(REFERENTS[0], "none")
    assert read_reviews("mine").lines[-1].decision == "none"


def test_what_is_no_decision_is_not_written_and_what_is_no_table_not_read(home: Path) -> None:
    for referent, decision, mask in WRONG:
        with pytest.raises(ValueError, match="is no decision"):
            say(referent, decision, mask)
    assert not reviews_file("mine").exists()
    for name in ("", " ", "=1+1", "a\nb", "x" * 81):
        with pytest.raises(Refused, match="cannot be a name"):
            checked_who(name)
    assert checked_who("Ada, the first ") == "Ada, the first"
    say(REFERENTS[0], "none", who="Ada, the first")
    assert read_reviews("mine").counted[REFERENTS[0]].who == "Ada, the first"
    reviews_file("mine").write_bytes(b"something else\n")
    with pytest.raises(Refused, match=r"mine\.csv does not begin with when,who,image,referent,decision,mask"):
        read_reviews("mine")
    reviews_file("mine").unlink()
    reviews_file("mine").symlink_to(home / "elsewhere.csv")
    with pytest.raises(Refused, match="is missing"):
        read_reviews("mine")
