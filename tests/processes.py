"""Processes that start with the heavy imports done, for tests that kill them."""

import multiprocessing
from multiprocessing.context import ForkContext, ForkServerContext

import torch

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


def warm_processes() -> ForkContext | ForkServerContext:
    """Context whose processes are forked from this one, or, where its GPU forbids that, from one with equal imports."""
    if not torch.cuda.is_available():
        return multiprocessing.get_context("fork")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    return context
