"""Expressions as 20 token ids (TRIS spec 1.3): who is cut, and whether the cut keeps the end.

CLIP reads a sentence's meaning off its last token, which has the largest id of all. The authors slice rows to 20 ids:
a longer expression loses its end, and all such expressions get one and the same meaningless embedding.
Shapes: N expressions, L ids as the tokenizer gives them, T ids that are kept.
"""

from typing import Literal

import torch
from torch import Tensor

Cut = Literal["keep_end", "compat_slice"]

MAX_TOKENS = 20
"""Start and end included (spec 1.3)."""


def cut(ids_NL: Tensor, *, length: int = MAX_TOKENS, rule: Cut = "keep_end") -> Tensor:
    """Shorten rows of ids that are padded with zeros.

    Args:
        ids_NL: start, content, end (the largest id of the row), padding.
        length: T.
        rule: "keep_end" puts the end on the last place of a row that is too long; "compat_slice" lets it go.

    Returns:
        (N, T), or the rows as they are if L is no more than T.

    Raises:
        ValueError: there would be no room for start and end.
    """
    if length < 2:
        raise ValueError(f"length={length} has no room for start and end; take 2 or more")
    ids_NT = ids_NL[:, :length].clone()
    if rule == "keep_end" and ids_NL.shape[1] > length:
        long_N = overlong(ids_NL, length=length)
        ids_NT[long_N, -1] = ids_NL[long_N].amax(1)
    return ids_NT


def overlong(ids_NL: Tensor, *, length: int = MAX_TOKENS) -> Tensor:
    """(N,) bool: expressions whose end lies beyond `length` ids. Log their share: they are cut."""
    return torch.as_tensor(ids_NL.argmax(1) >= length)
