"""Any bytes as a file of settings are read as plain data or refused in one line, quickly."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.config.dataset_files import DatasetFile
from pipelines.config.experiment_files import ExperimentFile, read_experiments
from pipelines.config.paper_tables import TablesFile
from pipelines.config.yaml_files import SHIPPED, read_files
from tests.cases.outcomes import count

pytestmark = pytest.mark.property
own_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
SHAPES: dict[type[BaseModel], Path] = {
    ExperimentFile: SHIPPED / "experiments" / "ssc" / "base.yaml",
    DatasetFile: SHIPPED / "datasets" / "toyref.yaml",
    TablesFile: SHIPPED / "paper_tables" / "tris.yaml",
}
PIECES = [
    *(
        b"&a ",
        b"*a",
        b"<<: *a",
        b"!!python/name:os ",
        b"!!int ",
        b"[",
        b"]",
        b"{",
        b"}",
        b": ",
        b"- ",
        b"\n",
        b"'",
        b"|",
    ),
    *(
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b".nan",
        b"-1",
        b"99999999999999999999",
        b"true",
        b"null",
        b"? ",
        b"---\n",
        b"%",
    ),
]


@st.composite
def changed(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes after a few changes: pieces of YAML put in, cut out, doubled, put elsewhere."""
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 60)))
        piece = draw(
            st.one_of(st.sampled_from(PIECES), st.binary(max_size=6), st.just(content[start:end] * 2), st.just(b""))
        )
        content = content[:start] + piece + content[end:]
    return content


def outcome(reader: str, folder: Path, model: type[BaseModel]) -> str:
    """Why it is refused; empty: it is accepted."""
    try:
        read_files([folder], model)
        if model is ExperimentFile:
            read_experiments([folder], STAGES)
    except Refused as problem:
        count(f"YAML {reader}", "refused")
        return str(problem)
    count(f"YAML {reader}", "accepted")
    return ""


@pytest.mark.parametrize("model", SHAPES, ids=lambda model: model.__name__)
@own_folder
@given(data=st.data())
def test_a_file_is_read_or_refused_in_one_line(tmp_path: Path, model: type[BaseModel], data: st.DataObject) -> None:
    (tmp_path / "mine.yaml").write_bytes(data.draw(changed(SHAPES[model].read_bytes())))
    why = outcome(model.__name__, tmp_path, model)
    assert "\n" not in why
    assert not why or "mine" in why


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(stage=st.sampled_from(sorted(STAGES)), value=VALUES, data=st.data())
def test_any_value_of_any_knob_is_taken_or_refused_by_name(stage: str, value: object, data: st.DataObject) -> None:
    kind = STAGES[stage].knobs
    name = data.draw(st.sampled_from(sorted(kind.model_fields) or ["none"]))
    try:
        kind.model_validate({name: value}).recipe()
    except ValueError as problem:
        count("knobs", "refused")
        named = name in str(problem)
    else:
        count("knobs", "accepted")
        named = True
    assert named
