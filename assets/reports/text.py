"""What people typed, as it may stand on a page: characters that show nothing, or turn what follows, become a sign."""

import re

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Control characters (tab and line feed may stay), changes of direction, and halves of a pair."""


def visible(text: str) -> str:
    """The text with U+FFFD for each character that a page may not have. Nothing is escaped here."""
    return _UNSEEN.sub("\ufffd", text)
