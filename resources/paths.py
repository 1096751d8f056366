"""Where the project lies, and the home folder of everything that running it makes."""

import os
from pathlib import Path

from ops.refusal import Refused

PROJECT = Path(__file__).resolve().parent.parent


def home() -> Path:
    """Where everything lives that running makes: `$WORDMASK_HOME`, else `.wordmask` beside the code.

    Raises:
        Refused: it names nobody's home, or links that lead around.
    """
    named = os.environ.get("WORDMASK_HOME") or PROJECT / ".wordmask"
    try:
        return Path(named).expanduser().resolve()
    except (OSError, RuntimeError) as problem:
        raise Refused(f"WORDMASK_HOME is {named}, which leads nowhere ({problem}); set it to a folder") from problem
