"""The code location of Dagster, named in `workspace.yaml`."""

from pipelines.graph.build import build_defs
from resources.processes import keep_private

keep_private()
defs = build_defs()
