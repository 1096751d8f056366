"""What a hub says of a repository: its commit, its files with sizes and digests, its licence, whether it is gated.

Nothing is downloaded here but that description; it comes through the hub's own library, which brings the token.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

from ops.refusal import Refused
from resources.hub_layout import Recorded
from resources.network import HUB, hub_address, is_of_the_hub, mirrored

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

TRIES = 4
"""Questions before a hub that does not answer is given up."""
WAIT = 30.0
"""Seconds for one answer."""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository at one commit."""

    name: str
    revision: str
    """The commit."""
    files: dict[str, Recorded]
    gated: bool
    """Whether its files are given only to those who agreed to its licence."""
    licence: str
    """As its page says; empty where it says nothing."""

    @property
    def page(self) -> str:
        """Where a person reads of it, and agrees."""
        return f"{HUB}/{self.name}"

    def address(self, file: str) -> str:
        """Where a file of it is fetched."""
        return f"{hub_address()}/{self.name}/resolve/{quote(self.revision)}/{quote(file)}"


def describe(repository: str, revision: str = "", *, pause: float = 1.0) -> Repository:
    """Ask the hub, or the mirror of it.

    Args:
        repository: `owner/name`.
        revision: a branch, tag or commit; empty: the newest.
        pause: seconds before the second try; doubled by each.

    Raises:
        Refused: there is no such repository or revision, it may not be seen, or nobody answers; one line.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    server = mirrored(hub_address())
    api = HfApi(endpoint=server, token=None if is_of_the_hub(server) else False)
    lost = (cast("type[Exception]", HfHubHTTPError.__bases__[0]), OSError)  # of the library's own HTTP client
    problem: BaseException = Refused("")
    for number in range(TRIES):
        time.sleep(pause * (2**number - 1))
        try:
            return _read(api.model_info(repository, revision=revision or None, files_metadata=True, timeout=WAIT))
        except HfHubHTTPError as answer:
            if answer.response.status_code < 500 and answer.response.status_code != 429:
                raise Refused(_refusal(answer.response.status_code, answer, repository, revision)) from answer
            problem = answer
        except HFValidationError as wrong:
            raise Refused(f"{repository} can be no repository of a hub") from wrong
        except (ValueError, KeyError, TypeError, AttributeError) as odd:
            raise Refused(f"{repository}: {server} answers with no description of a model; is it a hub?") from odd
        except lost as broken:
            problem = broken
    reason = " ".join(str(problem).split())[:120] or type(problem).__name__
    raise Refused(f"{repository}: {urlsplit(server).netloc} can not be reached ({reason})") from problem


def _refusal(status: int, answer: Any, repository: str, revision: str) -> str:
    """What a refused question means; the hub also says 401 of what does not exist."""
    page = f"{HUB}/{repository}"
    if answer.response.headers.get("X-Error-Code") == "RevisionNotFound":
        return f"{repository} has no revision {revision}; {page}/commits/main lists them"
    if answer.response.headers.get("X-Error-Code") == "GatedRepo" or status == 403:
        return f"{repository} answers {status}: agree on its page {page}, then log in with `hf auth login`"
    if status == 401:
        return f"{repository} answers 401: there is no such repository, or it is private or gated; look at {page}"
    return f"{repository} answers {status}; look at {page}"


def _read(info: ModelInfo) -> Repository:
    if not info.sha:
        raise ValueError("no commit")
    card = getattr(info, "card_data", None)
    licence = (card.get("license_name") or card.get("license")) if card else None
    return Repository(
        name=info.id,
        revision=info.sha,
        files={sibling.rfilename: _file(sibling) for sibling in info.siblings or ()},
        gated=bool(info.gated),
        licence=licence if isinstance(licence, str) else "",
    )


def _file(sibling: Any) -> Recorded:
    if sibling.lfs is not None:
        return Recorded(size=sibling.lfs.size, sha256=sibling.lfs.sha256)
    return Recorded(size=sibling.size, blob=sibling.blob_id)
