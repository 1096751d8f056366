"""The world of the victims, and processes to run it in."""

import multiprocessing
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.homes import write_home
from tests.kills.victim import EXPERIMENT, TRIS, WORLD


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    """Processes that start with the heavy imports done."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["torch", "spacy", "open_clip", "transformers", "pipelines.definitions"])
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    experiments = {"kill": EXPERIMENT, "tris_kill": TRIS}
    return write_home(tmp_path_factory.mktemp("home"), datasets={"victim": WORLD}, experiments=experiments)
