"""A training stage on the nodes of a Ray cluster, by Ray Train.

Each process runs the same body as those of `assets.framework.distributed`, on a group that Ray has made; the first one
writes the slot's files, which all nodes see under the same path, and its lines go to a file that the step follows.
After a process or a node is lost, Ray starts all of them anew, and the body resumes from its last training state.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from assets.framework.distributed import PATIENCE, WORK, answer_of, outcome_in, prepare, tell
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.framework.work_file import WorkFile
from resources.engines.ray import connect, wants_gpu
from resources.processes import keep_private
from storage.files import write_bytes

LIVES = 5
"""Losses of a process or a node that a training survives."""
LINES = "lines.txt"
LOOK_SECONDS = 0.5


def run_on_cluster(work: Work) -> Outcome:
    """Run the stage's body in `runtime.processes` processes of the cluster, and return what the first one returned.

    Raises:
        Refused: a person has to act; the message is the body's own.
        RuntimeError: processes were lost too often, or a mistake in the body, with what Ray says.
    """
    connect()
    folder = prepare(work)
    write_bytes(folder / WORK, WorkFile.of(work).model_dump_json().encode())
    gpu = wants_gpu(work.runtime.device)
    trainer = TorchTrainer(
        _member,
        train_loop_config={"folder": str(folder), "gpu": gpu},
        scaling_config=ScalingConfig(
            num_workers=work.runtime.processes,
            use_gpu=gpu,
            resources_per_worker={"CPU": work.runtime.threads or 1, "GPU": int(gpu)},
            placement_strategy="SPREAD",
        ),
        torch_config=TorchConfig(timeout_s=int(PATIENCE.total_seconds())),
        run_config=RunConfig(
            name=uuid4().hex,
            storage_path=str(folder / "ray"),
            failure_config=FailureConfig(max_failures=LIVES),
        ),
    )
    with _followed(folder / LINES, work.log) as look, ThreadPoolExecutor(1) as pool:
        fitting = pool.submit(trainer.fit)  # beside, where Ray leaves signals to the step
        try:
            while not fitting.done():
                look()
                time.sleep(LOOK_SECONDS)
        except BaseException:
            ray.shutdown()  # ends the processes of the training
            raise
    return outcome_in(folder, work, fitting.exception())


def _member(config: dict[str, Any]) -> None:
    """The life of one process."""
    folder, context = Path(config["folder"]), get_context()
    if answer_of(folder) is not None:  # refused before another process ended; nothing to try again
        return
    keep_private()
    if config["gpu"]:
        from torch import cuda

        cuda.set_device(get_device())
    first, size = context.get_world_rank() == 0, context.get_world_size()
    file = WorkFile.model_validate_json((folder / WORK).read_bytes())
    work = file.work(rank=context.get_world_rank(), log=_appending(folder / LINES) if first else _silence)
    resumes = any((work.slot.scratch / "checkpoints").glob("*.pt"))
    work.log(f"{'goes on from its last state' if resumes else 'begins'}, in {size} processes of the cluster")
    tell(folder, work, work.run_body)


def _appending(path: Path) -> Callable[[str], None]:
    def append(line: str) -> None:
        with path.open("a") as lines:
            lines.write(line.replace("\n", " ") + "\n")

    return append


@contextmanager
def _followed(path: Path, log: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """What passes on the lines that a file has got since it was called last, and once more at the end."""
    path.write_bytes(b"")
    told = 0

    def look() -> None:
        nonlocal told
        whole, _, _ = path.read_bytes()[told:].rpartition(b"\n")
        told += len(whole) + bool(whole)
        for line in whole.decode(errors="replace").splitlines():
            log(line)

    yield look
    look()


def _silence(_: str) -> None:
    pass
