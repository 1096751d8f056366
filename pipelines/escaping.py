"""What other people wrote, as it may be shown: no sign of it acts, on a terminal, in a log or on a page of Dagster."""

_KEPT = frozenset("\u00a0\u200c\u200d\u3000")
"""Not printable by Python's rule, and harmless: wide spaces, and the joiners of Persian and of emoji."""


def escaped(text: str, *, lines: bool = False) -> str:
    r"""The text with `\x1b`, `\u202e` and so on for control characters, changes of direction and what shows nothing.

    Args:
        text: any.
        lines: whether it may have several lines.
    """
    kept = _KEPT | {"\n"} if lines else _KEPT
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in kept else ascii(sign)[1:-1] for sign in text)


def as_markdown(text: str) -> str:
    """The text as a block of Markdown that shows it letter by letter."""
    shown = escaped(text, lines=True)
    fence = "`" * max(max((len(run) for run in _runs_of_ticks(shown)), default=0) + 1, 3)
    return f"{fence}text\n{shown}\n{fence}"


def _runs_of_ticks(text: str) -> list[str]:
    return "".join(sign if sign == "`" else " " for sign in text).split()
