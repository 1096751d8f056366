"""What ends a stage: a person has to act, the machine may do better next time, or the code is wrong."""

import errno

from ops.refusal import Refused
from resources.checkpoints import MissingCheckpoint
from resources.datasets import ImageChangedError
from storage.artifact import StoreError

PERSON_HAS_TO_ACT = (Refused, MissingCheckpoint, FloatingPointError, StoreError, ImageChangedError)
"""The message says what to do; trying again would end the same. Anything else is transient (below), or a bug
that ends with its traceback."""
TRANSIENT = ("OutOfMemoryError", "AcceleratorError")
"""Errors of torch, by name, that another process on the device may have caused."""
HOPELESS = ("device-side assert", "invalid device function", "no kernel image")
"""What an accelerator says of the work that it was given, and would say again."""
TRANSIENT_ERRNO = frozenset({errno.EAGAIN, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOMEM, errno.EBUSY})
"""Errors of the operating system that may pass, on a network disk for example."""


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help."""
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    if isinstance(error, OSError) and error.errno in TRANSIENT_ERRNO:
        return True
    kind = type(error)
    if any(words in str(error) for words in HOPELESS):
        return False
    return kind.__module__.split(".")[0] == "torch" and kind.__name__ in TRANSIENT
