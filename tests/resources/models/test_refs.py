"""A knob's name leads to one place: what a recipe digests is what the loader opens."""

from __future__ import annotations

import builtins
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from ops.meres.model import Meres
from ops.segmenters.lavt import Lavt
from resources import checkpoints
from resources.checkpoints import CHECKPOINTS, MissingCheckpoint
from resources.embedded.cards import CARD, EMBEDDED_FOLDER
from resources.models import loading, referring, swin_bert
from resources.models.refs import EMBEDDED, Kind, ModelRef
from resources.runtime import Runtime

RUNTIME = Runtime(device="cpu")


def _referring(swin: str, words: str, text: Any = "bert") -> object:
    size: Any = swin
    return loading.open_referring(
        Lavt if text == "bert" else Meres,
        size,
        switches={},
        text=text,
        swin=swin,
        words=words,
        runtime=RUNTIME,
        seed=0,
    )


OPENERS: dict[tuple[str, str], Callable[[], object]] = {
    ("parser", EMBEDDED): lambda: loading.open_parser(EMBEDDED),
    ("clip_vit", EMBEDDED): lambda: loading.open_clip_model(EMBEDDED, RUNTIME),
    ("clip_rn", EMBEDDED): lambda: loading.open_tris_clip(EMBEDDED),
    ("clip_judge", EMBEDDED): lambda: loading.open_scorer(EMBEDDED, RUNTIME, rule="keep_end"),
    ("irn_trunk", EMBEDDED): lambda: loading.open_irnet(EMBEDDED, RUNTIME, seed=0),
    ("detector", EMBEDDED): lambda: loading.open_detector(EMBEDDED, RUNTIME),
    ("segmenter", EMBEDDED): lambda: loading.open_segmenter(EMBEDDED, RUNTIME),
    ("swin", EMBEDDED): lambda: _referring(EMBEDDED, EMBEDDED),
    ("bert", EMBEDDED): lambda: _referring(EMBEDDED, EMBEDDED),
    ("parser", "en_core_web_md"): lambda: loading.open_parser("en_core_web_md"),
    ("parser", "en_core_web_sm"): lambda: loading.open_parser("en_core_web_sm"),
    ("clip_vit", "ViT-B-32"): lambda: loading.open_clip_model("ViT-B-32", RUNTIME),
    ("clip_vit", "ViT-L-14-336"): lambda: loading.open_clip_model("ViT-L-14-336", RUNTIME),
    ("clip_rn", "RN50"): lambda: loading.open_tris_clip("RN50"),
    ("clip_judge", "ViT-B-32"): lambda: loading.open_scorer("ViT-B-32", RUNTIME, rule="keep_end"),
    ("irn_trunk", "resnet50"): lambda: loading.open_irnet("resnet50", RUNTIME, seed=0),
    ("detector", "swint_ogc"): lambda: loading.open_detector("swint_ogc", RUNTIME),
    ("segmenter", "vit_h"): lambda: loading.open_segmenter("vit_h", RUNTIME),
    ("segmenter", "vit_l"): lambda: loading.open_segmenter("vit_l", RUNTIME),
    ("segmenter", "vit_b"): lambda: loading.open_segmenter("vit_b", RUNTIME),
    ("swin", "swin_b"): lambda: _referring("swin_b", "bert-base-uncased"),
    ("swin", "swin_t"): lambda: _referring("swin_t", "bert-base-uncased"),
    ("bert", "bert-base-uncased"): lambda: _referring("swin_b", "bert-base-uncased"),
}
"""(kind, name) -> how the stages open it."""
PUBLISHED = [pair for pair in OPENERS if pair[1] != EMBEDDED]


@contextmanager
def opened_files() -> Iterator[set[Path]]:
    """The files that Python opens meanwhile. An audit hook would stay for all later tests of this process."""
    opened: set[Path] = set()

    def told(real: Callable[..., Any]) -> Callable[..., Any]:
        def opening(file: Any, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(file, int):
                opened.add(Path(os.fsdecode(file)))
            return real(file, *args, **kwargs)

        return opening

    with pytest.MonkeyPatch.context() as patch:
        for module, real in ((builtins, open), (io, open), (os, os.open)):
            patch.setattr(module, "open", told(real))
        yield opened


@pytest.fixture(params=get_args(Kind))
def kind(request: pytest.FixtureRequest) -> Any:
    """What a model is for."""
    return request.param


@pytest.fixture
def copied(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRef:
    """An embedded model as a copy, beside the others as they are."""
    for folder in (path.parent for path in EMBEDDED_FOLDER.glob(f"*/{CARD}")):
        if folder.name == kind:
            shutil.copytree(folder, tmp_path / kind)
        else:
            (tmp_path / folder.name).symlink_to(folder)
    monkeypatch.setattr(checkpoints, "EMBEDDED_FOLDER", tmp_path)
    return ModelRef(kind)


def test_every_registered_model_is_opened_by_these_tests() -> None:
    refs = {part.registry_name for kind, name in OPENERS for part in ModelRef(kind, name).parts}  # type: ignore[arg-type]
    assert refs == set(CHECKPOINTS)


def test_the_loader_of_an_embedded_model_opens_what_its_identity_digests(kind: Kind) -> None:
    with opened_files() as opened:
        OPENERS[kind, EMBEDDED]()
    folder = ModelRef(kind).path()
    digested = {path for path in folder.rglob("*") if path.is_file() and path.name != CARD}
    read = {path for path in opened if path.is_relative_to(folder)}
    assert read - {folder / CARD} == digested, "each digested file is read, and none but them and the card"


def test_a_changed_byte_of_an_embedded_model_changes_identity_and_is_seen_by_the_loader(copied: ModelRef) -> None:
    before = copied.identity()
    files = [path for path in copied.path().rglob("*") if path.is_file() and path.name != CARD]
    largest = max(files, key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    assert copied.identity() != before
    if copied.kind != "parser":  # spaCy checks no digest
        with pytest.raises(ValueError, match=f"{copied.kind}.*is not the file its card describes"):
            OPENERS[copied.kind, EMBEDDED]()


def test_clip_text_reads_the_clip_of_its_knob() -> None:
    with opened_files() as opened:
        _referring(EMBEDDED, EMBEDDED, "clip")
    folder = ModelRef("clip_vit").path()
    assert {path.name for path in opened if path.is_relative_to(folder)} >= {"weights.safetensors", "vocabulary.txt"}


@pytest.fixture
def rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint folder with a file for every published name, none of which holds a model."""
    monkeypatch.setenv("WORDMASK_CHECKPOINTS", str(tmp_path))
    for file in (file for checkpoint in CHECKPOINTS.values() if not checkpoint.embedded for file in checkpoint.files):
        path = tmp_path / file.path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no model")
    for parser in ("en_core_web_md", "en_core_web_sm"):
        shutil.copy(EMBEDDED_FOLDER / "parser" / "meta.json", tmp_path / parser / "meta.json")
    (tmp_path / "bert-base-uncased" / "config.json").write_text("{}")
    (tmp_path / "bert-base-uncased" / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "?"]))
    return tmp_path


@pytest.fixture
def one_half(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let a segmenter at full size read its Swin or its BERT only, so that the other need not be whole."""

    def choose(kind: str) -> None:
        def build(*_: Any, swin: Path, words: Path, **__: Any) -> Any:
            return swin_bert.load_swin(swin) if kind == "swin" else swin_bert.load_bert(words)

        monkeypatch.setattr(referring, "build", build)

    return choose


@pytest.mark.parametrize(("kind", "name"), PUBLISHED, ids=str)
def test_the_loader_of_a_published_model_opens_what_its_identity_digests(
    kind: Kind, name: str, rubbish: Path, one_half: Callable[[str], None]
) -> None:
    one_half(kind)
    ref = ModelRef(kind, name)
    weights = rubbish / CHECKPOINTS[name].files[0].path
    before = ref.identity()
    with opened_files() as opened, pytest.raises(ValueError) as problem:  # noqa: PT011  which file is the matter
        OPENERS[kind, name]()
    assert weights in opened or str(weights) in str(problem.value)
    assert ref.path() == rubbish / CHECKPOINTS[name].path
    weights.write_bytes(b"another model")
    assert ref.identity() != before


@pytest.mark.parametrize(("kind", "name"), PUBLISHED, ids=str)
def test_a_published_model_that_is_not_there_is_missing_for_recipe_and_loader(
    kind: Kind, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDMASK_CHECKPOINTS", str(tmp_path / "empty"))
    assert ModelRef(kind, name).identity() == "missing"
    with pytest.raises(MissingCheckpoint):
        OPENERS[kind, name]()


def test_the_published_detector_reads_berts_vocabulary_and_sizes(rubbish: Path) -> None:
    assert [part.registry_name for part in ModelRef("detector", "swint_ogc").parts] == [
        "swint_ogc",
        "bert-base-uncased",
    ]
    with opened_files() as opened, pytest.raises(ValueError, match=r"swint_ogc\.pth"):
        loading.open_detector("swint_ogc", RUNTIME)
    assert {rubbish / "bert-base-uncased" / name for name in ("config.json", "vocab.txt")} <= opened


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="known are en_core_web_md"):
        loading.open_clip_model("ViT-Z", RUNTIME)
