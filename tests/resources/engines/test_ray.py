"""Rows on a Ray cluster of two nodes: the same bytes as by this process, through the loss of a node."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from ops.refusal import Refused
from resources.engines.worker import WorkerTracebackError
from resources.runtime import Runtime
from tests.resources.engines.clusters import Disturbed, TwoNodes, two_nodes
from tests.resources.engines.test_engine import filled
from tests.storage.filling import contents

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra cluster is not installed"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own, of its files and sockets
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    with two_nodes() as cluster:
        yield cluster


def ray(workers: int) -> Runtime:
    return Runtime(engine="ray", workers=workers, threads=1)


def test_a_node_is_lost_and_another_comes_and_no_byte_is_other(cluster: TwoNodes, tmp_path: Path) -> None:
    calm, tally = filled(tmp_path / "calm", runtime=Runtime())
    lines = Disturbed(cluster, "2 of 2 workers have opened")
    rough, again = filled(tmp_path / "rough", lines=lines, runtime=ray(2), seconds=0.3)
    assert not lines.words
    assert contents(rough) == contents(calm)
    assert again == tally
    assert sum("is gone" in line for line in lines) >= 1, lines
    assert any("units came again" in line for line in lines)
    assert sum("is open" in line for line in lines) >= 2, "what workers say reaches the run"


def test_a_bug_keeps_its_traceback(cluster: TwoNodes, tmp_path: Path) -> None:
    with pytest.raises(KeyError) as caught:
        filled(tmp_path, runtime=ray(2), wrong=40)
    assert isinstance(caught.value.__cause__, WorkerTracebackError)
    assert "_ = NAMES[number]" in str(caught.value.__cause__)


def test_without_an_address_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray as library

    library.shutdown()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(Refused, match=r"needs RAY_ADDRESS.*--workers"):
        filled(tmp_path, runtime=ray(2))
