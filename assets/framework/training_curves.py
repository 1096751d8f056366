"""The curve of a training as TensorBoard shows it, written whenever a training saves its state."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from assets.framework.work import Work
from storage.event_files import EventFile

CURVES = "tensorboard"
"""Folder in the store, with one of `<data set>/<experiment>/<stage>/<start of the fingerprint>` for each training."""
COLUMNS = ("loss", "lr", "samples_per_second")


class Curve:
    """Takes training states; appends what is new in their history.

    A training that is taken up again writes its curve anew from the first step: the state knows all of it.
    """

    def __init__(self, folder: Path, log: Callable[[str], None]) -> None:
        self._folder, self._log = folder, log
        self._file: EventFile | None = None
        self._written = 0
        self._refused = False

    def __call__(self, state: Mapping[str, Any]) -> None:
        """Write; a disk that refuses costs the curve, and the log says so once."""
        if self._refused:
            return
        try:
            self._write(state["history"])
        except OSError as problem:
            self._refused = True
            self._log(f"TensorBoard's curve cannot be written ({problem}); the training goes on")

    def _write(self, history: Mapping[str, Any]) -> None:
        self._file = self._file or EventFile(self._folder)
        new = range(self._written, len(history["step"]))
        self._file.add({history["step"][at]: {name: history[name][at] for name in COLUMNS} for at in new})
        self._written = len(history["step"])


def curve_of(work: Work) -> Curve:
    """The curve of the training that a stage begins."""
    folder = work.slot.root.joinpath(CURVES, *work.instance.key, work.slot.fingerprint[:8])
    return Curve(folder, work.log)
