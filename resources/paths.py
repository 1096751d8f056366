"""Where the project lies, and the home folder of everything that running it makes."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def home() -> Path:
    """Where everything lives that running makes: `$WORDMASK_HOME`, else `.wordmask` beside the code."""
    return Path(os.environ.get("WORDMASK_HOME") or PROJECT / ".wordmask").expanduser().resolve()
