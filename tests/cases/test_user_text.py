"""Text of other people is shown letter by letter: as markup, escape sequence or change of direction it does nothing."""

import io

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Group

from ops.refusal import Refused
from pipelines.clear_errors import clear_errors
from pipelines.commands import report
from pipelines.commands.display import RunDisplay
from pipelines.commands.terminal import Terminal, coloured, console, folding, say
from pipelines.escaping import as_markdown, escaped

NASTY = (
    *("[/red]", "[/]", "[bold]x", "[link=file:///]", ":smile:", "\\[red]", "[@click=app.bell]x[/]"),
    *("\x1b[31mred\x1b[0m", "a\rb", "\x07", "\x9b31m", "\x00"),
    *("\u202egnp.exe", "\u2066a", "\u200b", "\ud800"),
)
SHOWN = tuple(escaped(text) for text in NASTY)


def printed(*things: object, encoding: str = "utf-8") -> str:
    """What a terminal of 200 columns receives."""
    page = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    terminal = Terminal()
    terminal.file, terminal.width = page, 200
    terminal.print(*things)
    page.flush()
    return page.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(("text", "shown"), list(zip(NASTY, SHOWN, strict=True)))
def test_every_way_of_printing_shows_the_text(text: str, shown: str) -> None:
    table = folding(text, "b", title=text)
    table.add_row(text, "x")
    for thing in (text, coloured(text, "red"), table, Group(text, text)):
        assert shown in printed(thing)
        with console.capture() as captured:
            console.print(thing)
        assert shown in captured.get()
    with console.capture() as captured:
        say(text, text, "yellow")
    assert shown in captured.get()
    assert not set("\x1b\x07\x00\x9b\u202e\u2066\u200b") & set(shown)


def test_what_a_terminal_cannot_write_is_escaped() -> None:
    assert "caf\\xe9 \\u4eba" in printed("café 人", encoding="ascii")
    assert "café 人" in printed("café 人")
    assert escaped("می‌خواهم 👩‍🔬 a\u3000b") == "می‌خواهم 👩‍🔬 a\u3000b"


@pytest.mark.property
@given(st.text())
def test_whatever_the_text_the_terminal_receives_no_control_character(text: str) -> None:
    table = folding("a")
    table.add_row(text)
    received = printed(text, coloured(text), table)
    assert not {sign for sign in received if not sign.isprintable()} - set("\n\u00a0\u3000\u200c\u200d")


@pytest.mark.parametrize("text", NASTY)
def test_an_error_is_told_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), clear_errors():
        raise Refused(f"{text} cannot be read")
    assert escaped(text) in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize("text", NASTY)
def test_a_line_of_a_stage_is_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    RunDisplay(1).tell("", f"{text}\nfaked")
    assert f"{escaped(text)}\\nfaked" in capsys.readouterr().out


@pytest.mark.parametrize("text", NASTY)
def test_the_tables_of_commands_take_any_split(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_finished", lambda *_: {})
    monkeypatch.setattr(report, "summary_of", lambda _: {(text, text): (0.5, 0.25)})
    shown = printed(report.report_table("mine", "base"))
    assert escaped(text) in shown
    assert "50.0 / 25.0" in shown


def test_a_page_of_dagster_shows_any_text_as_code() -> None:
    for text in ("``` <script>", "`", "", "a\nb", *NASTY):
        first, *_, last = as_markdown(text).split("\n")
        assert first == f"{last}text"
        assert last not in escaped(text, lines=True)
