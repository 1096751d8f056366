"""Any bytes in place of a sound checkpoint are accepted or refused, and nothing else; no memory runs away."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.refusal import Refused
from tests.cases.checkpoints import READERS, load_bert, load_embedded, sound, write_bert, write_embedded
from tests.cases.outcomes import count

pytestmark = pytest.mark.property
own_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
KINDS = sorted(READERS)
SPOILT = (b"\x00", b"\xff", b"\n", b"9", b"{", b"\xff\xff\xff\xff\xff\xff\xff\x7f")


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes after a few changes: bytes set, pieces cut out, doubled or put elsewhere, an end cut off."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 40)))
        piece = draw(
            st.one_of(st.sampled_from(SPOILT), st.binary(max_size=8), st.just(content[start:end] * 2), st.just(b""))
        )
        content = content[:start] + piece + content[end:]
        if draw(st.integers(0, 9)) == 0:
            content = content[: draw(st.integers(0, len(content)))]
    return content


def outcome(reader: str, read: Callable[[], object]) -> str:
    """Why it is refused; empty: it is accepted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read()
        except Refused as problem:
            count(f"checkpoint {reader}", "refused")
            return str(problem)
    count(f"checkpoint {reader}", "accepted")
    return ""


@pytest.mark.parametrize("kind", KINDS)
@own_folder
@given(data=st.data())
def test_a_reader_accepts_or_refuses_by_name(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    path = tmp_path / kind
    path.write_bytes(data.draw(damaged(sound()[kind])))
    why = outcome(kind, lambda: READERS[kind](path))
    assert not why or kind in why


@own_folder
@given(data=st.data(), name=st.sampled_from(["config.json", "vocab.txt", "model.safetensors"]))
def test_a_bert_folder_is_accepted_or_refused(tmp_path: Path, data: st.DataObject, name: str) -> None:
    folder = write_bert(tmp_path / "bert-base-uncased")
    (folder / name).write_bytes(data.draw(damaged((folder / name).read_bytes())))
    outcome("BERT folder", lambda: load_bert(folder))


@own_folder
@given(data=st.data(), name=st.sampled_from(["card.json", "weights.safetensors"]))
def test_an_embedded_model_is_accepted_or_refused(tmp_path: Path, data: st.DataObject, name: str) -> None:
    folder = write_embedded(tmp_path / "model")
    (folder / name).write_bytes(data.draw(damaged((folder / name).read_bytes())))
    why = outcome("embedded folder", lambda: load_embedded(folder))
    assert not why or "model" in why
