"""What a machine offers to wordmask and what it lacks, as plain data for `wordmask doctor`."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ops.refusal import Refused
from resources.checkpoints import HUB_CHECKPOINTS, WHOLE, Finding, examine, registered
from resources.database import VARIABLE as DATABASE
from resources.database import connect, database_address, shown_address
from resources.memory import available_memory

Verdict = Literal["good", "note", "bad"]
PACKAGES = ("torch", "torchvision", "dagster", "dagster-webserver", "transformers", "spacy", "open_clip_torch")
PYTHON = ((3, 11), (3, 12))
"""First version that works, first that does not."""
FREE_DISK = 5 * 10**9
"""Bytes that a demo run and its artifacts fit into."""
MEMORY = 4 * 10**9
"""Bytes that the embedded models need with two workers."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    topic: str
    verdict: Verdict
    """`bad` stops the demo, or loses what was asked for; `note` limits something that is named in the advice."""
    found: str
    advice: str = ""
    """What to do next; empty where there is nothing to do."""


def diagnose(*, store: Path, checkpoints: Path | None = None, thorough: bool = False) -> list[Check]:
    """Look at the machine, the store and the checkpoints. Nothing is changed.

    Args:
        store: Root of the artifact store; it need not exist yet.
        checkpoints: The checkpoint folder; None takes the default one.
        thorough: Hash large checkpoints too.

    Returns:
        One check per line that `wordmask doctor` prints.
    """
    return [
        _python(),
        *(_package(name) for name in PACKAGES),
        _device(),
        _disk(store),
        _memory(),
        _writable(store),
        _browser(),
        *_database(),
        *_checkpoints(examine(checkpoints, thorough=thorough)),
    ]


def _python() -> Check:
    first, beyond = PYTHON
    good = first <= sys.version_info[:2] < beyond
    advice = "" if good else f"use Python {first[0]}.{first[1]} up to, not including, {beyond[0]}.{beyond[1]}"
    return Check(topic="python", verdict="good" if good else "bad", found=platform.python_version(), advice=advice)


def _package(name: str) -> Check:
    try:
        return Check(topic=name, verdict="good", found=importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(topic=name, verdict="bad", found="not installed", advice="install the locked requirements")


def _device() -> Check:
    try:
        import torch
    except ImportError as problem:
        return Check(topic="device", verdict="bad", found=str(problem), advice="install the locked requirements")
    if torch.cuda.is_available():
        return Check(topic="device", verdict="good", found=torch.cuda.get_device_name(0))
    advice = "the embedded models are meant for this; full-size models want a GPU"
    return Check(topic="device", verdict="good", found=f"CPU, {os.cpu_count()} cores", advice=advice)


def _disk(store: Path) -> Check:
    free = shutil.disk_usage(_existing(store)).free
    good = free >= FREE_DISK
    advice = "" if good else f"free some space or move the store; a run wants {FREE_DISK / 1e9:.0f} GB"
    return Check(topic="free disk", verdict="good" if good else "note", found=f"{free / 1e9:.1f} GB", advice=advice)


def _memory() -> Check:
    amount = available_memory()
    good = amount >= MEMORY
    advice = "" if good else f"close other programs or use one worker; {MEMORY / 1e9:.0f} GB are wanted"
    return Check(topic="memory", verdict="good" if good else "note", found=f"{amount / 1e9:.1f} GB", advice=advice)


def _writable(store: Path) -> Check:
    place = _existing(store)
    try:
        with tempfile.TemporaryFile(dir=place):
            return Check(topic="store", verdict="good", found=str(store))
    except OSError as problem:
        advice = f"make {place} writable for you, or choose another store"
        return Check(topic="store", verdict="bad", found=f"{store}: {problem.strerror}", advice=advice)


def _browser() -> Check:
    found = next((path for name in BROWSERS if (path := shutil.which(name)) is not None), None)
    if found is None:
        advice = "only the browser tests need it: install Debian's package chromium"
        return Check(topic="chromium", verdict="note", found="not found", advice=advice)
    return Check(topic="chromium", verdict="good", found=found)


def _checkpoints(findings: list[Finding]) -> Iterator[Check]:
    """What is there or was begun, what the shipped experiments name, and how many others there are to choose from."""
    others = [finding for finding in findings if finding.state == "missing" and finding.name in HUB_CHECKPOINTS]
    yield from (_checkpoint(finding) for finding in findings if finding not in others)
    advice = "`wordmask models list` names them, `wordmask models get NAME` fetches one"
    yield Check(topic="other models", verdict="good", found=f"{len(others)} known and not here", advice=advice)


def _checkpoint(finding: Finding) -> Check:
    whole = finding.state in WHOLE
    may_lack = finding.state in ("missing", "begun") and not registered(finding.name).embedded
    verdict: Verdict = "good" if whole else "note" if may_lack else "bad"
    return Check(topic=finding.name, verdict=verdict, found=finding.state, advice=finding.advice)


def _database() -> Iterator[Check]:
    """The database that hosts share, where one is named."""
    topic = "database of runs"
    try:
        if address := database_address():
            connect(address).close()
            yield Check(topic=topic, verdict="good", found=f"serves at {shown_address(address)}")
    except Refused as problem:
        yield Check(topic=topic, verdict="bad", found=str(problem), advice=f"start it, or mend {DATABASE}")


def _existing(path: Path) -> Path:
    """The nearest folder above `path` that exists."""
    return next(folder for folder in (path.resolve(), *path.resolve().parents) if folder.is_dir())
