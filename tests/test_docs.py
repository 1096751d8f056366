"""What the documentation promises: pointers into the SPECs and links between pages lead somewhere; a short README."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
METHODS = {"S+S+C": "ssc", "TRIS": "tris", "MERES": "meres"}
"""As pointers name a method -> its folder."""
FOLDERS = ("pipelines", "assets", "resources", "ops", "storage", "tests", "docs", ".github")

METHOD = r"S\+S\+C|TRIS|MERES"
NUMBER = r"\d+(?:\.\d+)*"
GAP = r"[\s#]+"
"""Between two words, also where a docstring or a comment breaks the line."""
RANGE = rf"{NUMBER}(?:(?:\s?[-–]\s?|{GAP}to{GAP}){NUMBER})?"
SEPARATOR = rf"(?:,{GAP}|{GAP}and{GAP}|{GAP}or{GAP}|[,;]{GAP}sections?{GAP}|{GAP}and{GAP}sections?{GAP})"
POINTER = re.compile(rf"(?:({METHOD}){GAP})?\b[Ss]pec{GAP}({RANGE}(?:{SEPARATOR}{RANGE})*)")
HEADING = re.compile(r"^#{1,6} +(.*?) *$", re.MULTILINE)
ANCHOR = re.compile(r"<a id=\"([^\"]+)\"></a>")
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def pointers(text: str, path: str = "") -> list[tuple[int, str, str]]:
    """(line, method, section) of every pointer into a SPEC; ranges and lists are taken apart.

    A pointer belongs to the method that it names, or that its parenthesis names before it; else to the method of its
    folder; else to the last method named before it in the file; else to S+S+C.
    """
    found = []
    for match in POINTER.finditer(text):
        before = text[: match.start()]
        method = match[1] or _in_parenthesis(before) or _of_folder(path) or _last_named(before) or "S+S+C"
        line = text.count("\n", 0, match.start()) + 1
        found += [(line, method, section) for section in _sections(match[2])]
    return found


def _in_parenthesis(before: str) -> str | None:
    """The last method named since a parenthesis opened that is still open."""
    start = before.rfind("(")
    return None if start < 0 or ")" in before[start:] else _last_named(before[start:])


def _of_folder(path: str) -> str | None:
    """The method whose folder a path lies in."""
    return next((method for method, folder in METHODS.items() if folder in Path(path).parts[:-1]), None)


def _last_named(before: str) -> str | None:
    """The last method named in a text."""
    named = re.findall(METHOD, before)
    return named[-1] if named else None


def _sections(listed: str) -> Iterator[str]:
    """The sections of a list such as `2.1, 4.7-4.9 and 5`, with those between the ends of a range."""
    for part in re.findall(RANGE, listed):
        first, *last = re.findall(NUMBER, part)
        stem, _, low = first.rpartition(".")
        other, _, high = (last or [first])[0].rpartition(".")
        if stem == other and int(low) <= int(high):
            yield from (f"{stem}.{number}" if stem else str(number) for number in range(int(low), int(high) + 1))
        else:
            yield from (first, *last)


@cache
def sections_of(method: str) -> frozenset[str]:
    """What pointers to a method's SPEC can lead to: its numbered headings and its anchors."""
    text = (ROOT / "ops" / METHODS[method] / "SPEC.md").read_text(encoding="utf-8")
    headings = re.findall(rf"^#{{2,6}} ({NUMBER})\.? ", text, re.MULTILINE)
    return frozenset([*headings, *ANCHOR.findall(text)])


@cache
def places_of(page: Path) -> frozenset[str]:
    """What a `#fragment` can name in a page: anchors, and headings as hosted Markdown spells them."""
    text = page.read_text(encoding="utf-8")
    slugs: list[str] = []
    for title in HEADING.findall(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", title).lower()).replace(" ", "-")
        repeats = sum(re.fullmatch(rf"{re.escape(slug)}(-\d+)?", one) is not None for one in slugs)
        slugs.append(f"{slug}-{repeats}" if repeats else slug)
    return frozenset([*slugs, *ANCHOR.findall(text)])


def dead_links(page: Path) -> list[str]:
    """Relative links of a page that lead to no file, or to no place in it."""
    dead = []
    for target in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (fragment and there.suffix == ".md" and fragment not in places_of(there)):
            dead.append(target)
    return dead


def files(*suffixes: str) -> list[Path]:
    """The repository's own files with these suffixes, but for this one, which has wrong pointers for examples."""
    every = [*ROOT.iterdir(), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    return sorted(path for path in every if path.suffix in suffixes and path != Path(__file__).resolve())


def test_every_pointer_into_a_spec_leads_to_a_section() -> None:
    found = [
        (path.relative_to(ROOT).as_posix(), *pointer)
        for path in files(".py", ".yaml", ".md")
        for pointer in pointers(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
    ]
    assert len(found) > 100
    assert not [
        f"{path}:{line}: {method} spec {section}"
        for path, line, method, section in found
        if section not in sections_of(method)
    ]


@pytest.mark.parametrize("page", files(".md"), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file_and_a_place_in_it(page: Path) -> None:
    assert not dead_links(page)


def test_the_readme_is_read_in_two_minutes() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120


@pytest.mark.parametrize("method", METHODS)
def test_a_spec_has_sections_and_lacks_what_it_does_not_say(method: str) -> None:
    assert {"1", "4.2"} <= sections_of(method)
    assert not {"99", "4.99"} & sections_of(method)


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("(S+S+C spec 2.1, 2.2).", "", ["S+S+C 2.1", "S+S+C 2.2"]),
        ("spec 4.7-4.9; Eq. 3", "", ["S+S+C 4.7", "S+S+C 4.8", "S+S+C 4.9"]),
        ("TRIS spec 0, 2.5-2.7", "", ["TRIS 0", "TRIS 2.5", "TRIS 2.6", "TRIS 2.7"]),
        ("(S+S+C Eq. 1, spec 3.2 to 3.4)", "assets/tris/a.py", ["S+S+C 3.2", "S+S+C 3.3", "S+S+C 3.4"]),
        ("(spec 7, row 16)", "ops/ssc/a.py", ["S+S+C 7"]),
        ("(spec 3.2; section 7, rows 8 and 9)", "", ["S+S+C 3.2", "S+S+C 7"]),
        ("(spec 2.2 and section 7, row 2)", "", ["S+S+C 2.2", "S+S+C 7"]),
        ("(spec 3.6; 0.85 on G-Ref)", "", ["S+S+C 3.6"]),
        ("Spec 4.6 as written", "tests/ops/tris/test_walk.py", ["TRIS 4.6"]),
        ("as in S+S+C (spec 6)", "ops/meres/loss.py", ["MERES 6"]),
        ("MERES has it (spec 13); TRIS spec 1.3, too", "", ["MERES 13", "TRIS 1.3"]),
        ("# as the text says (TRIS\n    # spec\n    # 5.1)", "", ["TRIS 5.1"]),
        ("AssetCheckSpec 3, a specification of 4, spec. 5", "", []),
    ],
)
def test_pointers_are_found_and_belong_to_a_method(text: str, path: str, expected: list[str]) -> None:
    assert [f"{method} {section}" for _, method, section in pointers(text, path)] == expected


def test_a_pointer_tells_its_line() -> None:
    assert pointers("one\ntwo (TRIS spec 99)") == [(2, "TRIS", "99")]


def test_dead_links_are_told(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text('# A `b`, c\n\n<a id="3.5"></a>\n\n## Twice\n\n## Twice\n')
    links = ["there.md", "there.md#a-b-c", "there.md#3.5", "there.md#twice-1", "#here", "https://example.org/gone"]
    dead = ["gone.md", "there.md#gone", "#gone", "pictures/gone.png"]
    page = tmp_path / "page.md"
    page.write_text("# Here\n\n`[code](gone)`\n\n" + "\n".join(f"![x]({link})" for link in [*links, *dead]))
    assert dead_links(page) == dead
