"""Train the embedded BERT: masked words in sentences about toy scenes, and what a sentence says of its object.

    python -m assets.pretraining.bert

From every word the attributes of the object that is meant are guessed, as far as the sentence lets on; no picture is
seen. The vocabulary is every word of the toy sentences plus single characters, so that any text can be tokenised.

Shapes: N sentences, B of a batch, T word pieces, A attributes.
"""

import string
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel

from assets.pretraining.auxiliary_heads import (
    Labels,
    attribute_accuracy,
    attribute_loss,
    attribute_rows,
    label_lists,
)
from assets.pretraining.small_training import Budget, Log, card_of, finish, run_script, take_steps
from ops.segmenters.lavt import EMBEDDED
from resources.embedded.cards import load_embedded, save_embedded
from resources.models.swin_bert import Tokenizer, new_bert
from resources.toyref.expressions import STYLES, describe, vocabulary
from resources.toyref.refcoco_writer import PRETRAINING_SEEDS_START
from resources.toyref.scenes import Scene, render_scene

FIRST_SEED = PRETRAINING_SEEDS_START + 60_000_000
FIRST_HELD_OUT_SEED = PRETRAINING_SEEDS_START + 69_000_000
BUDGET = Budget(steps=4000, scenes=6000, held_out=200)
BATCH = 96
MASKED_SHARE = 0.2
"""Share of words to be guessed; of these 80 % are masked, 10 % replaced, 10 % left, as in BERT."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

ARCHITECTURE = {
    "hidden_size": EMBEDDED.language_width,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 4 * EMBEDDED.language_width,
    "max_position_embeddings": 64,
}


def word_pieces() -> list[str]:
    """The small vocabulary: special tokens, characters alone and inside words, and the words of the toy world."""
    characters = [*string.ascii_lowercase, *string.digits]
    pieces = [*SPECIAL, *characters, *(f"##{one}" for one in characters), *string.punctuation, *vocabulary()]
    return list(dict.fromkeys(pieces))


def sentences(scenes: Iterable[tuple[int, Scene]], labels: Labels) -> tuple[list[str], Tensor]:
    """Sentences of all styles about every object of the (seed, scene) pairs, and its attributes (N, A)."""
    texts: list[str] = []
    rows: list[list[int]] = []
    for seed, scene in scenes:
        rng = np.random.default_rng(seed)
        for style in STYLES:
            for index, thing in enumerate(scene.objects):
                said = [one.text for one in describe(scene, index, style=style, rng=rng)]
                texts += said
                rows += [attribute_rows(scene, thing, labels)] * len(said)
    return texts, torch.tensor(rows)


class Guesses(nn.Module):
    """BERT with two heads: masked words, tied to the word embeddings, and attributes of what is meant."""

    def __init__(self, bert: BertModel, labels: Labels) -> None:
        super().__init__()
        width, words = bert.config.hidden_size, bert.config.vocab_size
        self.bert = bert
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(words))
        self.sizes = [len(values) for values in labels.values()]
        self.attributes = nn.Linear(width, sum(self.sizes))

    def forward(self, ids_BT: Tensor, mask_BT: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Scores (B, T, words), and of every attribute (B, T, values)."""
        states = self.bert(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
        words = F.linear(self.transform(states), self.bert.embeddings.word_embeddings.weight, self.bias)
        return words.float(), self.attributes(states).float().split(self.sizes, -1)


def hide(ids_BT: Tensor, rng: torch.Generator, *, words: int) -> tuple[Tensor, Tensor]:
    """Ids with some words hidden, and which ones (bool); special tokens never are."""
    chosen_BT = (torch.rand(ids_BT.shape, generator=rng) < MASKED_SHARE) & (ids_BT >= len(SPECIAL))
    fate_BT = torch.rand(ids_BT.shape, generator=rng)
    others_BT = torch.randint(len(SPECIAL), words, ids_BT.shape, generator=rng)
    hidden_BT = torch.where(fate_BT < 0.8, SPECIAL.index("[MASK]"), torch.where(fate_BT < 0.9, others_BT, ids_BT))
    return torch.where(chosen_BT, hidden_BT, ids_BT), chosen_BT


@torch.inference_mode()
def evaluate(model: Guesses, ids_NT: Tensor, mask_NT: Tensor, rows_NA: Tensor, labels: Labels) -> dict[str, float]:
    """Accuracy and loss on hidden words of held-out sentences, and of attributes, guessed from the first word piece."""
    model.eval()
    rng = torch.Generator().manual_seed(0)
    hidden_NT, chosen_NT = hide(ids_NT, rng, words=model.bert.config.vocab_size)
    scores, truth = model(hidden_NT, mask_NT)[0][chosen_NT], ids_NT[chosen_NT]
    logits = model(ids_NT, mask_NT)[1]
    return {
        "masked_word_accuracy": float((scores.argmax(-1) == truth).float().mean()),
        "masked_word_loss": float(F.cross_entropy(scores, truth)),
        **attribute_accuracy([logit[:, 0] for logit in logits], rows_NA, labels),
    }


def train(out: Path, budget: Budget, *, start: Path | None = None, log: Log) -> None:
    """Train, then write weights, card and vocabulary into `out`; `start` is the folder of a model to go on from."""
    torch.manual_seed(budget.seed)
    tokenizer = Tokenizer(word_pieces(), max_tokens=EMBEDDED.max_tokens)
    scenes = [(number, render_scene(number)) for number in range(FIRST_SEED, FIRST_SEED + budget.scenes)]
    labels = label_lists([scene for _, scene in scenes])
    texts, rows_NA = sentences(scenes, labels)
    ids_NT, mask_NT = tokenizer.encode(texts)
    log(f"{len(ids_NT)} sentences about {len(scenes)} scenes")
    architecture = {"vocab_size": len(tokenizer.vocabulary), **ARCHITECTURE}
    model = Guesses(new_bert(BertConfig(**architecture)), labels)
    if start:
        model.bert.load_state_dict(load_embedded(start)[0])
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, betas=(0.9, 0.98))

    def loss(rng: np.random.Generator) -> Tensor:
        picks = torch.from_numpy(rng.integers(len(ids_NT), size=BATCH))
        draws = torch.Generator().manual_seed(int(rng.integers(2**62)))
        hidden_BT, chosen_BT = hide(ids_NT[picks], draws, words=len(tokenizer.vocabulary))
        real_BT = mask_NT[picks].bool()
        with torch.autocast("cpu", torch.bfloat16):
            words, attributes = model(hidden_BT, mask_NT[picks])
        rows_MA = rows_NA[picks, None].expand(*real_BT.shape, -1)[real_BT]
        word_loss = F.cross_entropy(words[chosen_BT], ids_NT[picks][chosen_BT])
        return word_loss + attribute_loss([logit[real_BT] for logit in attributes], rows_MA, labels)

    history = take_steps(model, optimiser, loss, budget, folder=out, log=log)
    seeds = range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + budget.held_out)
    texts, rows_NA = sentences([(number, render_scene(number)) for number in seeds], labels)
    scores = evaluate(model, *tokenizer.encode(texts), rows_NA, labels)
    card = {
        "name": "embedded BERT",
        "model": "transformers' BertModel, small, without pooler",
        "data": f"toyref sentences of all styles, scene seeds {FIRST_SEED} to {FIRST_SEED + budget.scenes - 1}, "
        "which no split uses",
        **card_of("bert", budget, history, scores, start=start),
        "objective": "masked words; class, looks and standing of the object that a sentence means (no pictures)",
        "scored_on": f"sentences of scenes from seed {FIRST_HELD_OUT_SEED} on, attributes as far as they are said",
        "limits": "Knows the words of the toy sentences; other words fall into single letters.",
        "architecture": architecture,
    }
    save_embedded(out, model.bert.state_dict(), card)
    (out / "vocab.txt").write_text("\n".join(tokenizer.vocabulary) + "\n", encoding="utf-8")
    finish(out, log=log)


if __name__ == "__main__":
    run_script("bert", train, BUDGET)
