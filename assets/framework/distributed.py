"""A training stage on several processes of this machine, started and watched by Dagster Pipes.

The step of the run holds the artifact's lock and waits. It starts the first process, which starts the others; every one
runs the stage's body on the same `Work` with its own rank, and the first writes the files and tells what came out. They
find each other through a file and speak over the loopback interface only: nothing that they open can be reached from
another machine.

    python -m assets.framework.distributed <folder> <rank> <process id of the parent>    what is started, once a process
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, open_dagster_pipes

from assets.framework.failures import PERSON_HAS_TO_ACT
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.framework.work_file import Answer, WorkFile
from ops.refusal import Refused
from resources.processes import LOOK_SECONDS, end_with_parent, keep_private
from storage.files import write_bytes

PATIENCE = timedelta(hours=12)
"""How long a process waits for another: the first one scores and writes while the others do nothing."""
GRACE_SECONDS = 20.0
"""How long the first process may still fail in its own words after another one ended."""
WORK, ANSWER = "work.json", "answer.json"


def run_in_processes(work: Work) -> Outcome:
    """Run the stage's body in `runtime.processes` processes, and return what the first one returned.

    Raises:
        Refused: a person has to act; the message is the body's own.
        RuntimeError: a process ended otherwise; its output is in the run's log.
    """
    folder = prepare(work)
    file = WorkFile.of(work, rendezvous=folder / f"rendezvous-{uuid4().hex}")
    write_bytes(folder / WORK, file.model_dump_json().encode())
    problem = None
    try:
        work.launch(_command(__name__, folder, 0))
    except Exception as error:
        problem = error
    return outcome_in(folder, work, problem)


def prepare(work: Work) -> Path:
    """The folder through which the processes are told what to do, without the answer of an earlier start."""
    folder = work.slot.scratch / "processes"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ANSWER).unlink(missing_ok=True)
    for stale in folder.glob("rendezvous-*"):
        stale.unlink()
    return folder


def answer_of(folder: Path) -> Answer | None:
    """What was found out; None if nothing was yet."""
    path = folder / ANSWER
    return Answer.model_validate_json(path.read_bytes()) if path.exists() else None


def outcome_in(folder: Path, work: Work, problem: BaseException | None) -> Outcome:
    """What the first process returned; raises as `run_in_processes`, where it did not for the sake of `problem`."""
    told = answer_of(folder)
    if told is None:
        raise RuntimeError(
            f"the training processes ended early ({problem}); run the stage again to resume"
        ) from problem
    if told.refused is not None:
        raise Refused(told.refused)
    work.runtime.note(told.resolved)
    return told.outcome()


def main(folder: Path, rank: int, parent: int) -> None:
    """The life of one process; when its parent is gone its lock is free, and another may work here.

    Ctrl+C, which reaches every process of a terminal, and what a person has to act on are told by the step: this
    process ends by them without a traceback of its own.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent(parent)
    keep_private()
    file = WorkFile.model_validate_json((folder / WORK).read_bytes())
    _stay_on_this_machine()
    others = [_start(folder, number) for number in range(1, file.ranks)] if rank == 0 else []
    threading.Thread(target=_end_with_any, args=(others,), daemon=True).start()
    try:
        with ExitStack() as stack:
            work = file.work(rank=rank, log=_logger(stack) if rank == 0 else _silence)
            assert file.rendezvous is not None
            tell(folder, work, partial(_run_as_member, work, file.rendezvous))
    except PERSON_HAS_TO_ACT:
        sys.exit(1)
    except Exception:
        time.sleep(2 * LOOK_SECONDS)  # where its parent is gone, which would be the cause, this process ends meanwhile
        raise
    for other in others:
        other.wait()


def tell(folder: Path, work: Work, run: Callable[[], Outcome]) -> None:
    """Run the body and leave the answer of the first process, or what a person has to act on, in the folder."""
    try:
        outcome = run()
    except PERSON_HAS_TO_ACT as error:
        write_bytes(folder / ANSWER, Answer(refused=str(error)).model_dump_json().encode())
        raise
    if work.rank == 0:
        answer = Answer.of(outcome, resolved=work.runtime.resolved)
        write_bytes(folder / ANSWER, answer.model_dump_json().encode())


def _run_as_member(work: Work, rendezvous: Path) -> Outcome:
    """The body, while the process group exists."""
    from torch import cuda, distributed  # after the environment says how many threads and which interface

    on_gpu = work.runtime.torch_device().startswith("cuda")
    if on_gpu:
        cuda.set_device(work.rank)
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"file://{rendezvous}",
        rank=work.rank,
        world_size=work.ranks,
        timeout=PATIENCE,
    )
    outcome = work.run_body()
    distributed.destroy_process_group()
    return outcome


def _stay_on_this_machine() -> None:
    """Loopback for all that the processes say to each other; and a core for each, unless someone says otherwise."""
    loopback = next(name for _, name in socket.if_nameindex() if name in ("lo", "lo0"))
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ[name] = loopback
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _start(folder: Path, rank: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(_command(__spec__.name, folder, rank), stdin=subprocess.DEVNULL)


def _command(module: str, folder: Path, rank: int) -> list[str]:
    return [sys.executable, "-m", module, str(folder), str(rank), str(os.getpid())]


def _logger(stack: ExitStack) -> Callable[[str], None]:
    """Lines go to the page of the run, or, outside of Dagster, to the terminal."""
    if DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ:
        return lambda line: print(line, flush=True)  # noqa: T201
    return stack.enter_context(open_dagster_pipes()).log.info


def _silence(_: str) -> None:
    pass


def _end_with_any(others: Sequence["subprocess.Popen[bytes]"]) -> None:
    """End this process a while after another one failed: it would wait for it for hours."""
    while not any(other.poll() for other in others):
        time.sleep(0.5)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
