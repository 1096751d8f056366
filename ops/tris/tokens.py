"""Truncation of token ids to 20 (TRIS spec 1.3).

CLIP's text feature is that of the end-of-text token, which has the largest id of all. The authors slice rows to 20
ids: a longer expression loses its end-of-text token, and all such expressions get one and the same embedding.
Shapes: N expressions, L ids as the tokenizer gives them, T ids that are kept.
"""

from typing import Literal

import torch
from torch import Tensor

Truncation = Literal["keep_end", "compat_slice"]

MAX_TOKENS = 20
"""Start and end tokens included (spec 1.3)."""


def truncate(ids_NL: Tensor, *, length: int = MAX_TOKENS, rule: Truncation = "keep_end") -> Tensor:
    """Truncate rows of ids that are padded with zeros.

    Args:
        ids_NL: start, content, end (the largest id of the row), padding.
        length: T.
        rule: "keep_end" puts the end token at the last position of a row that is too long; "compat_slice" drops it.

    Returns:
        (N, T), or the rows as they are if L is at most T.

    Raises:
        ValueError: there would be no room for start and end.
    """
    if length < 2:
        raise ValueError(f"length={length} has no room for start and end; take 2 or more")
    ids_NT = ids_NL[:, :length].clone()
    if rule == "keep_end" and ids_NL.shape[1] > length:
        long_N = is_overlong(ids_NL, length=length)
        ids_NT[long_N, -1] = ids_NL[long_N].amax(1)
    return ids_NT


def is_overlong(ids_NL: Tensor, *, length: int = MAX_TOKENS) -> Tensor:
    """Expressions whose end token lies beyond `length` ids, (N,) bool: these are truncated."""
    return torch.as_tensor(ids_NL.argmax(1) >= length)
