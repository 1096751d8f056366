"""Place words measured on sentences and boxes of real images, as tables for the terminal."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Group, RenderableType

from ops.evaluation.place_hits import Judged, PlaceEvaluation, accuracy, evaluate_places
from ops.refusal import Refused
from ops.ssc.places.grammar import Reading, read_all
from ops.ssc.places.term import UTILITIES
from pipelines.commands.terminal import TextTable, coloured, folding
from pipelines.escaping import escaped
from resources.datasets.place_refs import read_place_refs
from resources.models.loading import open_parser
from resources.models.spacy_parser import parse_words

KINDS = tuple(UTILITIES)
NO_PARSER = "none"
"""Name of a parser that stands for none: noun phrases are found by words alone."""


def place_tables(refs: Path, *, parser: str, kind: str | None, failures: int) -> RenderableType:
    """Coverage and accuracy of place words, by kind, with some failures.

    Raises:
        Refused: the file can not be read, or there is no such kind or parser.
    """
    if kind is not None and kind not in KINDS:
        raise Refused(f"no kind of place is called {kind}; there are {', '.join(KINDS)}")
    found = read_place_refs(refs)
    texts = list(dict.fromkeys(text for thing in found.things for text in thing.expressions))
    parse = None if parser == NO_PARSER else partial(parse_words, open_parser(parser))
    readings = dict(zip(texts, read_all(texts, parse), strict=True))
    evaluation = evaluate_places(found.things, readings)
    parts: list[RenderableType] = [_overall(evaluation, refs.name), _by_kind(evaluation.judged, readings, kind)]
    if failures:
        parts.append(_failures(_of_kind(evaluation.judged, kind), failures))
    if found.problems:
        shown = "; ".join(found.problems[:3])
        parts.append(coloured(escaped(f"{len(found.problems)} rows could not be read: {shown}"), "red"))
    return Group(*parts)


def _overall(evaluation: PlaceEvaluation, name: str) -> TextTable:
    title = (
        f"Place words of {name}: {evaluation.sentences} sentences, {evaluation.shared} in images with two referents "
        f"or more, {evaluation.spoken} of these state a place"
    )
    table = folding(
        "told by",
        "sentences",
        "coverage",
        "accuracy",
        "95 % interval",
        "chance",
        "within kind",
        "wrong at p > 0.9",
        title=title,
    )
    for told, rows in (("boxes and kinds of the others", evaluation.judged), ("boxes alone", evaluation.by_boxes)):
        table.add_row(told, *_figures(rows, evaluation.shared))
    return table


def _figures(rows: Sequence[Judged], of: int) -> list[str]:
    found = accuracy(rows)
    return [
        str(found.rows),
        f"{found.rows / of:.3f}" if of else "nan",
        f"{found.value:.3f}",
        f"{found.interval[0]:.3f} to {found.interval[1]:.3f}",
        f"{found.chance:.3f}",
        f"{found.by_kind:.3f}",
        f"{found.surely_wrong:.3f}",
    ]


def _by_kind(rows: Sequence[Judged], readings: dict[str, Reading], kind: str | None) -> TextTable:
    """A row for each kind of place; for one kind a row for each of its readings."""
    groups: dict[str, list[Judged]] = {}
    for row in rows:
        for name in row.kinds if kind is None else _details(readings[row.expression], kind):
            groups.setdefault(name, []).append(row)
    what = "kind of place" if kind is None else f"{kind}, as read"
    columns = (
        what,
        "sentences",
        "failures",
        "accuracy",
        "95 % interval",
        "chance",
        "within kind",
        "wrong at p > 0.9",
        "e.g. wrong",
    )
    table = folding(*columns, title="By kind of place (a sentence counts for each of its kinds)")
    for name, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        figures = _figures(group, len(group))
        wrong = [row.expression for row in group if row.hit < 1]
        table.add_row(name, figures[0], str(len(wrong)), *figures[2:], wrong[0] if wrong else "")
    return table


def _details(reading: Reading, kind: str) -> list[str]:
    """What the sentence states of one kind, in words."""
    return [
        " ".join(
            part
            for part in (
                "not" if place.negated else "",
                f"{place.rank}." if place.kind in ("ordinal", "row") else "",
                place.direction,
                f"of {place.anchor}" if place.anchor else "",
            )
            if part
        )
        or kind
        for place in reading.places
        if place.kind == kind
    ]


def _of_kind(rows: Sequence[Judged], kind: str | None) -> list[Judged]:
    return [row for row in rows if kind is None or {kind, f"not {kind}"} & set(row.kinds)]


def _failures(rows: Sequence[Judged], count: int) -> TextTable:
    """Evenly spread over the file."""
    wrong = [row for row in rows if row.hit < 1]
    table = folding("image", "sentence", "kinds", "boxes x0 y0 x1 y1, * is meant", "p", title=f"{len(wrong)} failures")
    for row in wrong[:: max(1, len(wrong) // count)][:count]:
        boxes = [
            f"{'*' if number == row.truth else ' '} {' '.join(f'{side:.0f}' for side in box)}"
            for number, box in enumerate(row.boxes)
        ]
        chances = [f"{chance:.2f}" for chance in row.chances]
        kinds = ", ".join(row.kinds)
        table.add_row(row.image, row.expression, kinds, coloured("\n".join(boxes)), coloured("\n".join(chances)))
    return table
