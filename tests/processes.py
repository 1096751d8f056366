"""Processes that start with the heavy imports done, for tests that kill them."""

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
    """Context whose processes are forked from a server that has imported the same, and has no threads or browsers.

    A test's own process has some of both, of other tests: what is forked from it may hang or fail for their sake.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    return context
