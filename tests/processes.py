"""Processes that start with the heavy imports done; all tests of a worker share one that they are forked from."""

import multiprocessing
from multiprocessing.context import ForkServerContext

IMPORTED = (
    "torch",
    "spacy",
    "nltk",
    "open_clip",
    "transformers",
    "matplotlib.pyplot",
    "groundingdino.models",
    "pipelines.definitions",
)


def warm_processes() -> ForkServerContext:
    """Context whose processes are forked from one that has imported what stages need, and nothing else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    return context
