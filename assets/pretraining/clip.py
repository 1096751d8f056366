"""Train the embedded CLIP: words and pictures of the toy world in one space, seen as the pipeline shows them.

    python -m assets.pretraining.clip

The views are objects under reverse blur (with the others of their class in the scene as hard negatives), crops, and
whole scenes; the texts are toyref's sentences and "a photo of a <word>". How views are made is in `clip_views`.

Shapes: B pairs of a batch, L tokens, S the model's image side.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from assets.pretraining.clip_views import Picture, View, draw_picture, draw_views, prompted
from assets.pretraining.small_training import Budget, Log, card_of, finish, run_script, take_steps
from resources.embedded.cards import load_embedded, save_embedded
from resources.models.clip import VOCABULARY, Clip, WordTokenizer, build_small_clip
from resources.models.clip_images import prepare_images
from resources.toyref.expressions import vocabulary
from resources.toyref.predicates import SYNONYMS
from resources.toyref.refcoco_writer import PRETRAINING_SEEDS_START

FIRST_HELD_OUT_SEED = PRETRAINING_SEEDS_START + 39_000_000
BUDGET = Budget(steps=3200, scenes=5000, held_out=100)
SIDE = 128
"""Pixels along a side of what it sees, near those of the scenes."""
UNKNOWN_RATE = 0.02
"""Share of words of a sentence that the model sees as unknown, so that it learns what to do about them."""

Architecture = dict[str, Any]
Lesson = Callable[[open_clip.CLIP, Sequence[Picture], WordTokenizer, np.random.Generator], Tensor]
"""A further loss of a step, from pictures that it picks itself."""


@dataclass(frozen=True, kw_only=True)
class Tower:
    """The network that reads pictures, and the scenes that it sees."""

    title: str
    script: str
    """Module of `assets.pretraining` that trains it."""
    vision: Mapping[str, Any]
    """open_clip's `vision_cfg`."""
    first_seed: int
    """Of its toyref scenes."""
    lesson: Lesson | None = None
    """What else it learns at every step."""
    exams: Mapping[str, Callable[[Clip, int], float]] = field(default_factory=dict)
    """Name -> further score on so many held-out scenes: what the lesson is for."""


VIT = Tower(
    title="embedded CLIP with a ViT tower",
    script="clip",
    vision={"patch_size": 16, "width": 128, "layers": 4, "head_width": 32},
    first_seed=PRETRAINING_SEEDS_START + 30_000_000,
)


def architecture(words: int, tower: Tower) -> Architecture:
    """The sizes of open_clip's `CLIP` for a vocabulary of that many ids."""
    return {
        "embed_dim": 128,
        "vision_cfg": {"image_size": SIDE, **tower.vision},
        "text_cfg": {"context_length": 24, "vocab_size": words, "width": 128, "heads": 4, "layers": 2},
    }


def training_words() -> tuple[str, ...]:
    """The words of toyref's expressions and those of the script's own texts."""
    return tuple(sorted({*vocabulary(), "a", "photo", "of", "and"}))


def images_of(views: Sequence[View], *, size: int) -> Tensor:
    """prepared_B3SS: padded to squares and resized as at inference; views of one shape go together."""
    prepared_B3SS = torch.empty(len(views), 3, size, size)
    shapes = defaultdict(list)
    for index, view in enumerate(views):
        shapes[view.image_HW3.shape].append(index)
    for indices in shapes.values():
        images_N3HW = torch.from_numpy(np.stack([views[i].image_HW3 for i in indices])).permute(0, 3, 1, 2)
        prepared_B3SS[indices] = prepare_images(images_N3HW, size=size, crop="pad")
    return prepared_B3SS


def tokens_of(views: Sequence[View], tokenizer: WordTokenizer, rng: np.random.Generator) -> Tensor:
    """ids_BL, with some words of the sentences (not of the class prompts) unknown."""
    ids_BL = tokenizer([view.text for view in views])
    sentence_B1 = torch.tensor([[not view.noun] for view in views])
    drop_BL = torch.from_numpy(rng.random(ids_BL.shape) < UNKNOWN_RATE) & sentence_B1
    word_BL = (ids_BL > tokenizer.start) & (ids_BL < tokenizer.end)
    return torch.where(drop_BL & word_BL, tokenizer.unknown, ids_BL)


def also_true(views: Sequence[View], ids_BL: Tensor) -> Tensor:
    """mask_BB: text j is known to be true of view i although it was not drawn for it, so it is no negative."""
    same_BB = (ids_BL[:, None] == ids_BL[None]).all(-1)
    named_BB = torch.tensor([[bool(text.noun) and text.noun in view.names for text in views] for view in views])
    return (same_BB | named_BB).fill_diagonal_(False)


def contrastive_loss(images_BD: Tensor, texts_BD: Tensor, scale: Tensor, true_BB: Tensor) -> Tensor:
    """Symmetric InfoNCE without the pairs that are true besides the diagonal."""
    logits_BB = (scale * images_BD @ texts_BD.T).masked_fill(true_BB, -torch.inf)
    labels_B = torch.arange(len(logits_BB))
    return (F.cross_entropy(logits_BB, labels_B) + F.cross_entropy(logits_BB.T, labels_B)) / 2


def train_step(
    model: open_clip.CLIP, views: Sequence[View], tokenizer: WordTokenizer, rng: np.random.Generator
) -> Tensor:
    """The loss of one batch."""
    ids_BL = tokens_of(views, tokenizer, rng)
    side = model.visual.image_size
    images_B3SS = images_of(views, size=side if isinstance(side, int) else side[0])
    # The fused attention is slower backwards on a CPU than plain matrix products at this size.
    with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        images_BD = model.encode_image(images_B3SS)
        texts_BD = model.encode_text(ids_BL)
    return contrastive_loss(
        F.normalize(images_BD.float(), dim=-1),
        F.normalize(texts_BD.float(), dim=-1),
        model.logit_scale.exp().clamp(max=100),
        also_true(views, ids_BL),
    )


def evaluate(clip: Clip, *, scenes: int) -> dict[str, float]:
    """Held-out scenes: which of the objects of one class does a sentence mean? And do words find their class?"""
    right, chance = defaultdict(list), []
    for seed in range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + scenes):
        picture = draw_picture(seed)
        for members in picture.groups():
            images_NHW3 = np.stack([prompted(picture, index) for index in members])
            images_ND = clip.encode_images(torch.from_numpy(images_NHW3).permute(0, 3, 1, 2), crop="pad")
            for place, index in enumerate(members):
                sentences = picture.things[index].sentences
                found_K = (clip.encode_texts([item.text for item in sentences]) @ images_ND.T).argmax(1).tolist()
                chance += [1 / len(members)] * len(sentences)
                for item, found in zip(sentences, found_K, strict=True):
                    right["all"].append(found == place)
                    right[main_cue(item.kinds)].append(found == place)
    choices = {f"choice_{cue}": float(np.mean(hits)) for cue, hits in sorted(right.items())}
    return {
        **choices,
        "choice_random": float(np.mean(chance)),
        "decisions": float(len(chance)),
        "projection": projection_accuracy(clip),
    }


def main_cue(cues: frozenset[str]) -> str:
    """The hardest kind of cue in a sentence, under which it is counted."""
    order = ("relation", "position", "size", "part", "pattern", "colour", "class")
    return next(cue for cue in order if cue in cues)


def projection_accuracy(clip: Clip) -> float:
    """Share of toyref's class words whose prompt is nearest to the prompt of their own class (spec 2.3)."""
    labels = tuple(SYNONYMS)
    words = [(word, label) for label in labels for word in SYNONYMS[label]]
    labels_CD = clip.encode_texts([f"a photo of a {label}" for label in labels])
    words_WD = clip.encode_texts([f"a photo of a {word}" for word, _ in words])
    nearest_W = (words_WD @ labels_CD.T).argmax(1).tolist()
    return float(np.mean([labels[i] == label for i, (_, label) in zip(nearest_W, words, strict=True)]))


def train(out: Path, budget: Budget, *, start: Path | None = None, log: Log, tower: Tower = VIT) -> None:
    """Train, then write weights, card and vocabulary into `out`; `start` is the folder of a model to go on from."""
    torch.manual_seed(budget.seed)
    words = training_words()
    sizes = architecture(len(words) + 4, tower)
    tokenizer = WordTokenizer(words, context_length=sizes["text_cfg"]["context_length"])
    model = build_small_clip(sizes).to(memory_format=torch.channels_last)
    if start:
        if (start / VOCABULARY).read_text(encoding="utf-8").split() != list(words):
            raise ValueError(f"{start} was trained with other words: train from the beginning")
        model.load_state_dict(load_embedded(start)[0])
    pictures = [draw_picture(tower.first_seed + number) for number in range(budget.scenes)]
    log(f"{len(pictures)} scenes rendered")
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.05},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98))

    def loss(rng: np.random.Generator) -> Tensor:
        of_views = train_step(model, draw_views(pictures, rng), tokenizer, rng)
        return of_views + tower.lesson(model, pictures, tokenizer, rng) if tower.lesson else of_views

    history = take_steps(model, optimiser, loss, budget, folder=out, log=log)
    clip = Clip(model.eval(), tokenizer)
    scores = evaluate(clip, scenes=2 * budget.held_out)
    scores |= {name: exam(clip, budget.held_out) for name, exam in tower.exams.items()}
    card = {
        "name": tower.title,
        "model": "open_clip's CLIP, small",
        "data": f"toyref scenes of seeds {tower.first_seed} to {tower.first_seed + budget.scenes - 1}, "
        "which no split uses",
        **card_of(tower.script, budget, history, scores, start=start),
        "scored_on": f"toyref scenes from seed {FIRST_HELD_OUT_SEED} on: reverse blur with the objects' own masks, "
        "one decision per sentence among the objects of one class",
        "limits": "Knows toyref's words and drawings only; weak at positions and relations, as the published ones are.",
        "architecture": sizes,
    }
    save_embedded(out, model.state_dict(), card)
    (out / VOCABULARY).write_text("\n".join(words) + "\n", encoding="utf-8")
    finish(out, log=log)


if __name__ == "__main__":
    run_script("clip_vit", train, BUDGET)
