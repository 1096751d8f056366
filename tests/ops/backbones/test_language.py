"""CLIP's text tower as a language encoder: its features are open_clip's own, and the end of the text stands first."""

import open_clip
import pytest
import torch
from open_clip.transformer import TextTransformer
from torch import Tensor
from transformers import BertConfig, BertModel

from ops.backbones.language import Bert, ClipText, attention_mask

START, END = 2, 29
SENTENCES = torch.tensor(
    [
        [START, 5, 6, END, 0, 0],
        [START, 7, 3, 11, 4, END],  # as long as it may be
        [START, END, 0, 0, 0, 0],  # no word
    ]
)


@pytest.fixture(scope="module")
def clip() -> open_clip.CLIP:
    torch.manual_seed(0)
    vision = {"image_size": 8, "patch_size": 8, "width": 8, "layers": 1, "head_width": 8}
    text = {"context_length": 8, "vocab_size": 30, "width": 16, "heads": 2, "layers": 2}
    return open_clip.CLIP(12, vision, text).eval()


def longer(ids_BT: Tensor, length: int = 8) -> Tensor:
    return torch.nn.functional.pad(ids_BT, (0, length - ids_BT.shape[1]))


def test_the_first_state_is_clips_sentence_before_its_projection(clip: open_clip.CLIP) -> None:
    with torch.no_grad():
        states = ClipText(clip).states(SENTENCES, attention_mask(SENTENCES))
        torch.testing.assert_close(states[:, 0] @ clip.text_projection, clip.encode_text(longer(SENTENCES)))


def test_the_other_states_are_those_of_open_clips_own_text_tower(clip: open_clip.CLIP) -> None:
    sizes = {"context_length": 8, "vocab_size": 30, "width": 16, "heads": 2, "layers": 2}
    tower = TextTransformer(**sizes, output_dim=12, output_tokens=True)
    tower.load_state_dict({key: value for key, value in clip.state_dict().items() if key in tower.state_dict()})
    with torch.no_grad():
        _, tokens_B8L = tower.eval()(longer(SENTENCES))
        states = ClipText(clip).states(SENTENCES, attention_mask(SENTENCES))
    torch.testing.assert_close(states[:, 1:], tokens_B8L[:, 1:6])


def test_the_end_and_the_words_are_heard_and_nothing_else() -> None:
    assert attention_mask(SENTENCES).tolist() == [[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0], [1, 0, 0, 0, 0, 0]]


def test_padding_does_not_matter(clip: open_clip.CLIP) -> None:
    text, mask = ClipText(clip), attention_mask(SENTENCES)
    ends = SENTENCES.argmax(1, keepdim=True)
    others = torch.where(torch.arange(6) > ends, 13, SENTENCES)
    with torch.no_grad():
        expected, found = (text.states(ids, mask)[mask.bool()] for ids in (SENTENCES, others))
        short = text.states(SENTENCES[:1, :4], mask[:1, :4])
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(short[0, :3], expected[:3])


def test_autocast_hardly_changes_the_states(clip: open_clip.CLIP) -> None:
    text = ClipText(clip)
    with torch.no_grad():
        expected = text.states(SENTENCES, attention_mask(SENTENCES))
    with torch.autocast("cpu", torch.bfloat16):
        found = text.states(SENTENCES, attention_mask(SENTENCES)).float()
    assert (found - expected).abs().mean() < 0.05 * expected.std()


def test_all_layers_of_clips_text_tower_learn_and_its_embeddings_do_not() -> None:
    text = ClipText(TextTransformer(context_length=8, vocab_size=30, width=16, heads=2, layers=2, output_dim=None))
    text.unfreeze()
    frozen = {name for name, one in text.model.named_parameters() if not one.requires_grad}
    assert frozen == {"token_embedding.weight", "positional_embedding"}
    text.states(SENTENCES, attention_mask(SENTENCES))[attention_mask(SENTENCES).bool()].square().sum().backward()
    assert all(one.grad is not None for one in text.model.parameters() if one.requires_grad)


def test_more_layers_than_bert_has_are_refused() -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    bert = Bert(BertModel(BertConfig(vocab_size=30, **sizes), add_pooling_layer=False))
    with pytest.raises(ValueError, match="has 2 layers"):
        bert.unfreeze(3)
    bert.unfreeze()
    frozen = {name.split(".")[0] for name, one in bert.model.named_parameters() if not one.requires_grad}
    assert frozen == {"embeddings"}
