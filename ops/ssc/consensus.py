"""What the sentences of one referent say together of its candidates, as scores and as probabilities.

Which sentences mean one object is known from the data set's references, which S+S+C's choice and TRIS's PRMS read as
well; no mask is. Beyond the papers, but for the mean.
Shapes: S sentences of one referent, N candidates.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Consensus = Literal["mean", "product", "first"]
"""The mean of the sentences' scores (S+S+C's code, spec 3.2); the logarithm of the product of the probabilities that
they give, a softmax over the candidates each; or the first sentence alone."""
Floats = NDArray[np.float64]


def agreed_scores(scores_SN: Floats, consensus: Consensus) -> Floats:
    """Scores (N,) of all sentences together.

    Under "product" an object that more sentences mean is surer of its candidate, and the level of a sentence, which
    depends on its words more than on the image, does not count: so objects that compete can be compared.

    Args:
        scores_SN: 100 * cosine, which are CLIP's own logits, of every sentence with every candidate, S above 0.
        consensus: see `Consensus`.
    """
    if consensus == "first":
        return scores_SN[0]
    return log_softmax(scores_SN).sum(0) if consensus == "product" else scores_SN.mean(0)


def log_softmax(scores_SN: Floats) -> Floats:
    """Logarithms of the softmax over the last axis, which is not empty."""
    shifted_SN = scores_SN - scores_SN.max(-1, keepdims=True)
    return shifted_SN - np.log(np.exp(shifted_SN).sum(-1, keepdims=True))


def candidate_prior(scores_N: Sequence[float | None]) -> list[float]:
    """Probability of each candidate by the scores of the choice.

    A candidate without a score has none, unless no candidate has one: then all have the same.
    """
    known = np.array([score is not None for score in scores_N], bool)
    if not known.any():
        return [1.0 / max(len(scores_N), 1)] * len(scores_N)
    prior_N = np.zeros(len(scores_N))
    prior_N[known] = np.exp(log_softmax(np.array([score for score in scores_N if score is not None], float)))
    return prior_N.tolist()
