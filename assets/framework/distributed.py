"""A training stage on several processes: `torchrun` on this machine, started and watched by Dagster Pipes.

The step of the run holds the artifact's lock and waits. Every process runs the stage's body on the same `Work` with its
own rank; the first one writes the files and tells the step what came out.

    python -m torch.distributed.run ... -m assets.framework.distributed <file>     what `spread` starts, once a process
"""

import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, open_dagster_pipes

from assets.framework.failures import PERSON_HAS_TO_ACT
from assets.framework.stage import Outcome
from assets.framework.work import Work
from ops.refusal import Refused
from resources.runtime import Runtime
from storage.files import write_bytes

PATIENCE = timedelta(hours=12)
"""How long a process waits for another: the first one scores and writes while the others do nothing."""


def spread(work: Work) -> Outcome:
    """Run the stage's body in `runtime.processes` processes, and return what the first one returned.

    Raises:
        Refused: a person has to act; the message is the body's own.
        RuntimeError: a process ended otherwise; its output is in the run's log.
    """
    folder = work.slot.scratch / "team"
    answer = folder / "answer.pickle"
    answer.unlink(missing_ok=True)
    parts = {"instance": work.instance, "inputs": work.inputs, "slot": work.slot, "reuse": work.reuse}
    write_bytes(folder / "work.pickle", pickle.dumps((parts, work.runtime.model_dump(), os.getpid())))
    count = f"--nproc-per-node={work.runtime.processes}"
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        count,
        "-m",
        "assets.framework.distributed",
        str(folder),
    ]
    try:
        work.launch(command)
    except Exception as error:
        if not answer.exists():
            raise RuntimeError(
                f"the training processes ended early ({error}); run the stage again to resume"
            ) from error
    found: tuple[Outcome, Mapping[str, str]] | str = pickle.loads(answer.read_bytes())  # noqa: S301  # our own process wrote it
    if isinstance(found, str):
        raise Refused(found)
    outcome, resolved = found
    work.runtime.note(resolved)
    return outcome


def main(folder: Path) -> None:
    """The life of one process."""
    from torch import cuda, distributed

    parts, settings, step = pickle.loads((folder / "work.pickle").read_bytes())  # noqa: S301  # `spread` wrote it
    threading.Thread(target=_end_with, args=(step,), daemon=True).start()
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    runtime = Runtime(**settings)
    on_gpu = runtime.torch_device().startswith("cuda")
    if on_gpu:
        cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
    with ExitStack() as stack:
        log = _logger(stack) if rank == 0 else _silence
        work = Work(**parts, runtime=runtime, rank=rank, ranks=ranks, log=log)
        try:
            answer: Any = work.run_body()
        except PERSON_HAS_TO_ACT as error:
            write_bytes(folder / "answer.pickle", pickle.dumps(str(error)))
            raise
        if rank == 0:
            write_bytes(folder / "answer.pickle", pickle.dumps((answer, runtime.resolved)))
    distributed.destroy_process_group()


def _logger(stack: ExitStack) -> Callable[[str], None]:
    """Lines go to the page of the run, or, outside of Dagster, to the terminal."""
    if DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ:
        return lambda line: print(line, flush=True)  # noqa: T201
    return stack.enter_context(open_dagster_pipes()).log.info


def _silence(_: str) -> None:
    pass


def _end_with(step: int) -> None:
    """End this process when the step that started it is gone: its lock is free then, and another may work here."""
    while True:
        time.sleep(0.5)
        try:
            os.kill(step, 0)
        except ProcessLookupError:
            os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
