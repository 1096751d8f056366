"""The code location of Dagster, named in `workspace.yaml`."""

from pipelines.graph.build import build_defs

defs = build_defs()
