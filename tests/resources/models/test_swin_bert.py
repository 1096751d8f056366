"""Published checkpoints of Swin and BERT: every key is accounted for, in every layout people have them in."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import BertConfig, BertForPreTraining

from ops.backbones.swin import Swin, SwinConfig
from ops.segmenters.lavt import EMBEDDED, SWIN_B_480, Lavt
from resources.embedded.cards import EMBEDDED_FOLDER
from resources.models.referring import architecture_of, build, segmenter_from
from resources.models.swin_bert import Tokenizer, load_bert, load_swin, resize_bias

SMALL = SwinConfig(embed_dim=8, depths=(2, 2), heads=(1, 2), window=4)
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "man", "red", "##dish", "in", "cafe", "."]

needs_embedded = pytest.mark.skipif(
    not all((EMBEDDED_FOLDER / name / "card.json").is_file() for name in ("swin", "bert")),
    reason="the embedded swin and bert are not trained yet",
)


def published_swin(config: SwinConfig) -> dict[str, Tensor]:
    """A state dict laid out like swin_base_patch4_window12_384_22k.pth: with buffers, final norm and classifier."""
    torch.manual_seed(0)
    state = dict(Swin(config).state_dict())
    last = config.widths[-1]
    state |= {"norm.weight": torch.ones(last), "norm.bias": torch.zeros(last)}
    state |= {"head.weight": torch.ones(9, last), "head.bias": torch.zeros(9)}
    for stage, depth in enumerate(config.depths):
        for block in range(depth):
            prefix = f"layers.{stage}.blocks.{block}"
            state[f"{prefix}.attn.relative_position_index"] = torch.zeros(16, 16, dtype=torch.long)
            if block % 2:
                state[f"{prefix}.attn_mask"] = torch.zeros(4, 16, 16)
    return state


@pytest.fixture
def write_swin(tmp_path: Path) -> Callable[[dict[str, Tensor]], Path]:
    def write(state: dict[str, Tensor]) -> Path:
        torch.save({"model": state}, tmp_path / "swin.pth")
        return tmp_path / "swin.pth"

    return write


def write_bert(folder: Path, *, layout: str) -> BertForPreTraining:
    """A tiny bert-base-uncased as it is downloaded, with pretraining heads and pooler."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    model = BertForPreTraining(config)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    state["bert.embeddings.position_ids"] = torch.arange(512)[None]
    if layout == "old.bin":
        renamed = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        for new, old in renamed.items():
            state = {name.replace(new, old): value for name, value in state.items()}
    folder.mkdir(exist_ok=True)
    if layout.endswith("bin"):
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return model


def test_a_published_swin_fills_the_trunk_exactly(write_swin: Callable[[dict[str, Tensor]], Path]) -> None:
    state = published_swin(SMALL)
    trunk = Swin(SMALL)
    trunk.load_state_dict(load_swin(write_swin(state), config=SMALL))
    assert all(torch.equal(value, state[name]) for name, value in trunk.state_dict().items())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"layers.0.blocks.0.mlp.fc1.weight": None}, "missing .*layers.0.blocks.0.mlp.fc1.weight"),
        ({"layers.1.blocks.2.norm1.weight": torch.ones(16)}, "unknown .*layers.1.blocks.2.norm1.weight"),
        ({"absolute_pos_embed": torch.ones(1)}, "unknown .*absolute_pos_embed"),
        ({"patch_embed.proj.weight": torch.ones(8, 3, 2, 2)}, "other shape .*patch_embed.proj.weight"),
    ],
)
def test_a_swin_with_other_keys_is_refused_by_name(
    write_swin: Callable[[dict[str, Tensor]], Path], change: dict[str, Tensor | None], named: str
) -> None:
    state = {**published_swin(SMALL), **change}
    path = write_swin({name: value for name, value in state.items() if value is not None})
    with pytest.raises(ValueError, match=named):
        load_swin(path, config=SMALL)


def test_a_swin_of_another_window_has_its_bias_tables_resized(
    write_swin: Callable[[dict[str, Tensor]], Path],
) -> None:
    path = write_swin(published_swin(SMALL))
    loaded = load_swin(path, config=replace(SMALL, window=6))
    assert loaded["layers.1.blocks.0.attn.relative_position_bias_table"].shape == (11 * 11, 2)


def test_resizing_a_bias_table_keeps_heads_apart_and_the_offset_in_the_middle() -> None:
    rows, columns = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij")
    table = torch.stack([rows - 3, 10 * (columns - 3)], -1).reshape(49, 2)
    resized = resize_bias(table, 121).view(11, 11, 2)
    assert resized[5, 5].abs().max() < 1e-5
    assert torch.allclose(resized[..., 0], -resized[..., 0].flip(0), atol=1e-5)
    assert (resized[:, 1:, 1] > resized[:, :-1, 1]).all()
    assert torch.equal(resize_bias(table, 49), table)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04cut"])
def test_a_broken_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "swin.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"swin\.pth"):
        load_swin(path, config=SMALL)


def test_a_checkpoint_that_is_missing_or_no_swin_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="doctor"):
        load_swin(tmp_path / "absent.pth")
    torch.save({"state_dict": {}}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="'model'"):
        load_swin(tmp_path / "other.pth")


@pytest.mark.parametrize("layout", ["safetensors", "new.bin", "old.bin"])
def test_a_downloaded_bert_gives_the_same_states_as_transformers(tmp_path: Path, layout: str) -> None:
    expected = write_bert(tmp_path / "bert", layout=layout)
    bert, tokenizer = load_bert(tmp_path / "bert")
    ids, mask = tokenizer.encode(["red man", "man in reddish"])
    assert not bert.training
    with torch.no_grad():
        ours = bert(input_ids=ids, attention_mask=mask).last_hidden_state
        theirs = expected.eval().bert(input_ids=ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(ours, theirs)


def test_a_bert_with_other_keys_is_refused_by_name(tmp_path: Path) -> None:
    model = write_bert(tmp_path / "bert", layout="new.bin")
    state = dict(model.state_dict())
    state["bert.extra.weight"] = state.pop("bert.encoder.layer.0.output.dense.bias")
    torch.save(state, tmp_path / "bert" / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match=r"1 keys missing \(encoder.layer.0.output.dense.bias\); 1 keys unknown \(extra.weight\)"
    ):
        load_bert(tmp_path / "bert")


def test_an_incomplete_bert_folder_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load_bert(tmp_path)
    write_bert(tmp_path / "bert", layout="safetensors")
    (tmp_path / "bert" / "vocab.txt").unlink()
    with pytest.raises(ValueError, match=r"vocab\.txt"):
        load_bert(tmp_path / "bert")


def test_sentences_become_word_pieces_between_cls_and_sep() -> None:
    ids, mask = Tokenizer(VOCABULARY, max_tokens=7).encode(["Reddish MAN in café.", "man"])
    assert ids.tolist() == [[2, 6, 7, 5, 8, 9, 10], [2, 5, 3, 0, 0, 0, 0]]
    assert mask.tolist() == [[1] * 7, [1, 1, 1, 0, 0, 0, 0]]


def test_a_long_sentence_loses_its_sep() -> None:
    ids, _ = Tokenizer(VOCABULARY).encode(["red man " * 5000])
    assert ids.shape == (1, 20)
    assert ids[0].tolist() == [2, *[6, 5] * 9, 6]


def test_unknown_scripts_and_empty_sentences_are_no_trouble() -> None:
    ids, mask = Tokenizer(VOCABULARY).encode(["红色的人 🚲", ""])
    assert set(ids[0].tolist()) == {0, 1, 2, 3}
    assert mask[1].sum() == 2


def test_a_vocabulary_without_special_pieces_is_refused() -> None:
    with pytest.raises(ValueError, match="BERT vocabulary"):
        Tokenizer(["man", "red"])


def test_full_size_asks_for_its_checkpoints() -> None:
    with pytest.raises(ValueError, match="bert-base-uncased"):
        build(Lavt, "swin_b")
    with pytest.raises(ValueError, match="brings its own"):
        build(Lavt, "embedded", swin=Path("swin.pth"))


@needs_embedded
def test_the_embedded_lavt_starts_from_its_trunks_and_a_seed() -> None:
    one, tokenizer = build(Lavt, "embedded", seed=1)
    same, _ = build(Lavt, "embedded", seed=1)
    other, _ = build(Lavt, "embedded", seed=2)
    trunk = load_swin("embedded", config=EMBEDDED.swin)
    assert all(torch.equal(value, trunk[name]) for name, value in one.vision.backbone.swin.state_dict().items())
    assert all(torch.equal(value, same.state_dict()[name]) for name, value in one.state_dict().items())
    head, changed = one.vision.decoder.head.weight, other.vision.decoder.head.weight
    assert not torch.equal(head, changed)
    assert tokenizer.max_tokens == 20


@needs_embedded
def test_any_latin_text_tokenises_with_the_embedded_vocabulary() -> None:
    _, tokenizer = load_bert("embedded")
    ids, _ = tokenizer.encode(["the zebra's quixotic jukebox, 42!"])
    assert tokenizer.vocabulary.index("[UNK]") not in ids
    words, _ = tokenizer.encode(["left man in red"])
    assert (words != 0).sum() == 6


@needs_embedded
def test_an_architecture_rebuilds_the_network() -> None:
    model, _ = build(Lavt, "embedded")
    description = json.loads(json.dumps(architecture_of(model)))
    again = segmenter_from(description)
    again.load_state_dict(model.state_dict())
    assert again.config == model.config == EMBEDDED
    images, ids = torch.zeros(1, 3, 160, 160, dtype=torch.uint8), torch.ones(1, 20, dtype=torch.long)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(images, ids, ids), model.eval()(images, ids, ids))


@pytest.mark.slow
@needs_embedded
def test_a_random_full_size_model_runs() -> None:
    model, tokenizer = build(Lavt, "swin_b", random_weights=True)
    ids, mask = tokenizer.encode(["left man in red"])
    with torch.no_grad():
        logits = model.eval()(torch.zeros(1, 3, 480, 480, dtype=torch.uint8), ids, mask)
    assert logits.shape == (1, 2, 480, 480)
    assert model.config == SWIN_B_480
