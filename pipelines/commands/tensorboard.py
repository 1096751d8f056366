"""TensorBoard over the curves of all trainings."""

import os
import sys
from importlib.util import find_spec

from assets.framework.training_curves import CURVES
from ops.refusal import Refused
from pipelines.commands.terminal import console
from resources.store import store_folder


def open_tensorboard(port: int) -> None:
    """Become TensorBoard, on the loopback address, until a person stops it.

    Raises:
        Refused: TensorBoard is not installed, or nothing has been trained.
    """
    folder = store_folder() / CURVES
    if find_spec("tensorboard") is None:
        raise Refused("tensorboard is not installed: pip install 'wordmask[tensorboard]' brings it")
    if not folder.is_dir():
        raise Refused(f"there is no curve in {folder}: nothing has been trained yet")
    console.print(f"curves at http://127.0.0.1:{port}; Ctrl+C ends it", soft_wrap=True)
    sys.stdout.flush()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1"]
    os.execv(sys.executable, [*command, "--port", str(port), "--reload_interval", "10"])  # noqa: S606  Ctrl+C is to end it
