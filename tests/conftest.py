"""What all tests of a run share: homes with finished stages, each made once."""

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ.pop("COLUMNS", None)  # workers of a run have it; a terminal that is made under it keeps to it

from storage.locks import exclusive
from tests.homes import CHOSEN, DESCRIBED, LITTLE, TRY, copy_home, finish, write_home, write_little_world

settings.register_profile("usual", deadline=None, derandomize=True, database=None)
settings.register_profile(
    "thorough", settings.get_profile("usual"), max_examples=2000, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fuzz", settings.get_profile("thorough"), max_examples=500, derandomize=False)
settings.load_profile("usual")

MakeOnce = Callable[[str, Callable[[Path], object]], Path]
LONGEST = ("tests/kills/", "tests/assets/", "tests/pipelines/", "tests/browser/")
"""Folders whose files take longest: workers begin with them, so that none is left over at the end."""


gc.disable()  # until all is imported: hundreds of thousands of objects, of which none becomes garbage


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, sched: Any) -> None:
    """End the run when a worker crashes: xdist 3.8 would wait for ever for files that its successor need not run."""
    sched.config.pluginmanager.getplugin("dsession").shouldstop = f"a worker crashed in {crashitem}"


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Make a folder under a name unless another worker of this run has made it."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        finished, partial = shared / name, shared / f"{name}.partial"
        with exclusive(shared / f"{name}.lock", timeout=400):
            if not finished.is_dir():
                make(partial)
                partial.rename(finished)
        return finished

    return folder


@pytest.fixture(scope="session")
def described(make_once: MakeOnce) -> Path:
    """A home with the data set `little`, its noun phrases and their classes. Copy it, never write there."""

    def make(home: Path) -> None:
        write_home(home, datasets={"little": LITTLE}, experiments={"try": TRY})
        write_little_world(home)
        finish(home, stages=DESCRIBED)

    return make_once("described", make)


@pytest.fixture(scope="session")
def chosen(make_once: MakeOnce, described: Path) -> Path:
    """That home with candidate masks and the choices among them as well."""

    def make(home: Path) -> None:
        copy_home(described, home, experiments={"try": TRY})
        finish(home, stages=CHOSEN)

    return make_once("chosen", make)


@pytest.fixture(scope="session")
def corrected(make_once: MakeOnce, chosen: Path) -> Path:
    """That home with all of the experiment `try` finished: trained models, predictions, scores, report."""

    def make(home: Path) -> None:
        finish(copy_home(chosen, home, experiments={"try": TRY}))

    return make_once("corrected", make)
