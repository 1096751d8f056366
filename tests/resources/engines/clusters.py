"""A Ray cluster of two nodes on the loopback interface of this machine."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

os.environ |= {  # which Ray reads when it is imported
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "of-this-test-alone-0123456789abcdef",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback, as on these systems
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
}


class TwoNodes:
    """The head, on which the step runs, and a second node that can be killed and replaced."""

    def __init__(self, cpus: int) -> None:
        from ray.cluster_utils import Cluster

        self._node = {"num_cpus": cpus, "object_store_memory": 100 * 2**20, "node_ip_address": "127.0.0.1"}
        self._cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **self._node})
        self.address: str = self._cluster.address
        self.add()

    def add(self) -> None:
        """Start the second node, which ends with the thread that has started it."""
        self._second = self._cluster.add_node(**self._node)

    def kill(self) -> None:
        """Kill everything of the second node, as a power cut does: its workers would live on for a while."""
        (raylet,) = self._second.all_processes["raylet"]
        for children in Path(f"/proc/{raylet.process.pid}/task").glob("*/children"):
            for child in children.read_text().split():
                os.kill(int(child), signal.SIGKILL)
        self._cluster.remove_node(self._second, allow_graceful=False)

    def end(self) -> None:
        """Leave and end both."""
        import ray

        ray.shutdown()
        self._cluster.shutdown()


@contextmanager
def two_nodes(*, cpus: int = 1) -> Iterator[TwoNodes]:
    """Two nodes, which only those can join who know their token; named by `RAY_ADDRESS`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("GLOO_SOCKET_IFNAME", "lo")
        cluster = TwoNodes(cpus)
        patch.setenv("RAY_ADDRESS", cluster.address)
        try:
            yield cluster
        finally:
            cluster.end()


class Disturbed(list[str]):
    """Lines of a run. Soon after a line with some words, each once, the second node is killed, another starts."""

    def __init__(self, cluster: TwoNodes, *words: str) -> None:
        super().__init__()
        self.words = list(words)
        self._cluster = cluster

    def append(self, line: str) -> None:
        super().append(line)
        if self.words and self.words[0] in line:
            del self.words[0]
            time.sleep(3)
            self._cluster.kill()
            self._cluster.add()
