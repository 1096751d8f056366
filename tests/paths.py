"""Where tests find the project, and the reference data where there are any."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("WORDMASK_REFERENCE_DATA") or ROOT.parent / "shared")
"""Authors' outputs, real images and annotations; tests that need them skip where they are absent."""
