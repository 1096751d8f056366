"""Train the small Grounding DINO that ships with the project, from nothing, on toyref scenes.

    python -m assets.pretraining.detector

Belongs here: sizes, initialisation, schedule and what is written. Loss, data and scores have their own modules.
"""

import copy
import dataclasses
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assets.pretraining.detector_data import BatchDrawer, draw_samples
from assets.pretraining.detector_losses import Tap, detection_loss
from assets.pretraining.detector_scores import evaluate
from assets.pretraining.small_training import Budget, CosineSchedule, Log, card_of, finish, run_script, take_steps
from resources.embedded.cards import load_embedded, save_embedded
from resources.models.bert_folder import VOCABULARY
from resources.models.grounding_dino import DetectorSizes, GroundingDino, build_grounding_dino, quiet
from resources.models.grounding_text import SEPARATORS, read_tokenizer
from resources.models.weights import load_strictly
from resources.toyref.expressions import vocabulary
from resources.toyref.refcoco_writer import PRETRAINING_SEEDS_START
from resources.toyref.scenes import CLASSES, render_scene

FIRST_SEED = PRETRAINING_SEEDS_START + 10_000_000
FIRST_HELD_OUT_SEED = PRETRAINING_SEEDS_START + 19_000_000
BUDGET = Budget(steps=2200, scenes=6000, held_out=150)
BATCH = 16
LEARNING_RATE = 6e-4
WEIGHT_DECAY = 1e-4
WARM_UP_STEPS = 150
FLAT_UNTIL = 0.5
"""Share of the steps after which the learning rate falls, along a cosine, to 1 %."""
LAST_RATE = 0.01
EMA = 0.998
"""Share of the running average that a step keeps, at most."""

SIZES = DetectorSizes(
    swin_dim=24,
    swin_depths=(1, 1, 2, 1),
    swin_heads=(2, 4, 8, 8),
    swin_window=4,
    swin_mlp_ratio=3.0,
    hidden=128,
    heads=4,
    feedforward=256,
    encoder_layers=2,
    decoder_layers=3,
    queries=30,
    levels=3,
    encoder_points=2,
    decoder_points=4,
    text_enhancer=False,
    learned_queries=False,
    shorter_side=112,
    longer_side=208,
    bert={
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 256,
        "max_position_embeddings": 256,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
)
"""2.5 M parameters. The text enhancer is off because the package fixes its width at 256."""


def train(out: Path, budget: Budget, *, start: Path | None = None, log: Log) -> None:
    """Train, then write the weights' running average, card and `vocab.txt` into `out`.

    Args:
        out: folder of the model.
        budget: steps, scenes, seed.
        start: folder of a model to go on from.
        log: takes one line of progress at a time.
    """
    torch.manual_seed(budget.seed)
    words = vocabulary_words()
    write_vocabulary(out, words)
    tokenizer = read_tokenizer(out)
    sizes = dataclasses.replace(SIZES, bert={**SIZES.bert, "vocab_size": len(words)})
    model = build_grounding_dino(sizes, tokenizer)
    if start:
        load_strictly(model, load_embedded(start)[0], source=start)
    else:
        start_from_prior(model)
    average = copy.deepcopy(model).requires_grad_(False)
    drawer = BatchDrawer(
        draw_samples(range(FIRST_SEED, FIRST_SEED + budget.scenes), sizes=sizes), tokenizer, size=BATCH
    )
    log(f"{sum(p.numel() for p in model.parameters())} parameters; {budget.scenes} scenes rendered")
    tap = Tap(model)
    optimiser = torch.optim.AdamW(parameter_groups(model), lr=LEARNING_RATE)
    optimiser.register_step_post_hook(lambda *_: follow(average, model, done=steps_done(optimiser)))

    def loss(rng: np.random.Generator) -> Tensor:
        batch = drawer.draw(rng)
        with quiet(), torch.autocast("cpu", dtype=torch.bfloat16):
            model(batch.pixels_B3hw, captions=list(batch.captions))
        return detection_loss(tap.outputs(), batch.targets)

    schedule = CosineSchedule(total=budget.steps, warmup_steps=WARM_UP_STEPS, flat=FLAT_UNTIL, last=LAST_RATE)
    both = nn.ModuleList([model, average])
    history = take_steps(both, optimiser, loss, budget, folder=out, log=log, schedule=schedule)
    held_out = [render_scene(FIRST_HELD_OUT_SEED + number) for number in range(budget.held_out)]
    scores = evaluate(GroundingDino(average.eval(), tokenizer, sizes=sizes), held_out)
    card = {
        "name": "small Grounding DINO, trained from nothing; it shares no weight with the published ones",
        "data": f"toyref scenes of seeds {FIRST_SEED} to {FIRST_SEED + budget.scenes - 1}, which no split uses",
        **card_of("detector", budget, history, scores, start=start),
        "scored_on": f"toyref scenes from seed {FIRST_HELD_OUT_SEED} on",
        "asked_for": "the classes that are in the scene and two that are not",
        "classes": list(CLASSES),
        "limits": "Knows rendered scenes only.",
        "architecture": dataclasses.asdict(sizes),
    }
    save_embedded(out, average.state_dict(), card)
    finish(out, log=log)


def steps_done(optimiser: torch.optim.Optimizer) -> int:
    """Steps that an optimizer has taken, also before it was loaded."""
    return int(next(iter(optimiser.state.values()))["step"])


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, *, done: int) -> None:
    """Move the running average towards the model; early steps count more, so that the start is soon forgotten."""
    weight = 1 - min(EMA, (done + 1) / (done + 10))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), weight)


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Sampling offsets learn at a tenth of the rate; norms and biases do not decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            share = 0.1 if "sampling_offsets" in name else 1.0
            decay = WEIGHT_DECAY if parameter.ndim > 1 else 0.0
            groups.setdefault((LEARNING_RATE * share, decay), []).append(parameter)
    return [{"params": members, "lr": lr, "weight_decay": decay} for (lr, decay), members in groups.items()]


@torch.no_grad()
def start_from_prior(model: nn.Module) -> None:
    """Let every query start at "no" (logit about -4), and the fusion of words and pixels at 5 % instead of 0.01 %.

    The similarity head has no bias, so the usual focal prior goes into the norms before it: text and queries get
    opposite offsets along one random direction.
    """
    transformer: Any = model.transformer
    direction_D = nn.functional.normalize(torch.randn(transformer.d_model), dim=0)
    last_words = transformer.encoder.fusion_layers[-1].layer_norm_l
    last_words.weight.fill_(0.5)
    last_words.bias.copy_(2 * direction_D)
    for norm in (transformer.decoder.norm, transformer.enc_output_norm):
        norm.weight.fill_(0.3)
        norm.bias.copy_(-2 * direction_D)
    for fusion in transformer.encoder.fusion_layers:
        fusion.gamma_v.fill_(0.05)
        fusion.gamma_l.fill_(0.05)


def vocabulary_words() -> list[str]:
    """Special tokens, separators, letters (so that any word can be spelled), and every word of toyref."""
    letters = string.ascii_lowercase + string.digits
    classes = {part for name in CLASSES for part in name.split()}
    words = sorted({part for word in vocabulary() for part in word.split()} | classes)
    fixed = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *SEPARATORS, ",", "'", "-"]
    return list(dict.fromkeys([*fixed, *letters, *(f"##{letter}" for letter in letters), *words]))


def write_vocabulary(folder: Path, words: Sequence[str]) -> None:
    """One token a line, as BERT keeps them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / VOCABULARY).write_text("\n".join(words) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_script("detector", train, BUDGET)
