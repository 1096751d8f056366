"""Where tests find the project, and reference data that lie beside it where there are any."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
"""Authors' outputs, real images and annotations; tests that need them skip where they are absent."""
