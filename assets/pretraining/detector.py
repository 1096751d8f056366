"""Train the small Grounding DINO that ships with the project, from nothing, on toyref scenes.

`python -m assets.pretraining.detector --out resources/embedded/detector --minutes 30` on one CPU core, in
bfloat16. Belongs here: sizes, initialisation, schedule and what is written. Loss, data and scores have their own
modules.
"""

import argparse
import copy
import dataclasses
import logging
import math
import string
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from assets.pretraining.detector_data import Asker, Batch, batches, draw_samples
from assets.pretraining.detector_losses import Tap, detection_loss
from assets.pretraining.detector_scores import evaluate
from assets.pretraining.training_script import add_framing
from resources.embedded.cards import load_embedded, read_card, save_embedded
from resources.models.bert_folder import VOCABULARY
from resources.models.grounding_dino import DetectorSizes, GroundingDino, build_grounding_dino, quiet
from resources.models.grounding_text import SEPARATORS, read_tokenizer
from resources.models.weights import load_strictly
from resources.toyref.expressions import vocabulary
from resources.toyref.refcoco_writer import PRETRAINING_SEEDS_START
from resources.toyref.scenes import CLASSES, Framing, render_scene

FIRST_SEED = PRETRAINING_SEEDS_START + 10_000_000
FIRST_HELD_OUT_SEED = PRETRAINING_SEEDS_START + 19_000_000
SCENES = 6000
HELD_OUT_SCENES = 150
BATCH = 16
SHORTER_SIDES: dict[Framing, int] = {"wide": 128, "close": 112}
"""Pixels that the detector sees of the shorter side of a scene."""
LEARNING_RATE = 6e-4
WEIGHT_DECAY = 1e-4
WARM_UP_STEPS = 150
FLAT_UNTIL = 0.5
"""Fraction of the time after which the learning rate falls, along a cosine, to 1 %."""
LAST_RATE = 0.01
CLIP = 1.0
EMA = 0.998
CURVE_EVERY_SECONDS = 180.0
LOG_EVERY_STEPS = 100

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
    shorter_side=128,
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


def train(
    out: Path,
    *,
    minutes: float,
    seed: int = 0,
    log: Callable[[str], None],
    start: Path | None = None,
    framing: Framing = "wide",
) -> dict[str, float]:
    """Train for `minutes` of processor time, write weights, `card.json` and `vocab.txt` into `out`, return the scores.

    The schedule follows that clock, so a slower machine sees fewer images; everything else follows from `seed`.
    With `start`, the folder of an earlier run, training goes on from its weights with a fresh schedule.
    """
    torch.manual_seed(seed)
    words = vocabulary_words()
    write_vocabulary(out, words)
    tokenizer = read_tokenizer(out)
    sizes = dataclasses.replace(
        SIZES, shorter_side=SHORTER_SIDES[framing], bert={**SIZES.bert, "vocab_size": len(words)}
    )
    model = build_grounding_dino(sizes, tokenizer)
    if start:
        load_strictly(model, load_embedded(start)[0], source=start)
    else:
        start_from_prior(model)
    average = copy.deepcopy(model)
    detector = GroundingDino(average, tokenizer, sizes=sizes)
    log(f"{sum(p.numel() for p in model.parameters())} parameters; drawing {SCENES} scenes")
    samples = draw_samples(range(FIRST_SEED, FIRST_SEED + SCENES), sizes=sizes, framing=framing)
    held_out = [render_scene(FIRST_HELD_OUT_SEED + index, framing=framing) for index in range(HELD_OUT_SCENES)]
    run = _Run(model, average, seconds=60 * minutes)
    curve: list[dict[str, float]] = []
    for batch in batches(samples, Asker(), tokenizer, size=BATCH, seed=seed):
        run.step(batch)
        if run.steps % LOG_EVERY_STEPS == 0:
            log(str(run.state()))
        if run.elapsed >= run.seconds:
            break
        if run.elapsed >= CURVE_EVERY_SECONDS * (len(curve) + 1):
            curve.append(run.state() | evaluate(detector, held_out[:60]))
            log(str(curve[-1]))
    scores = evaluate(detector, held_out)
    log(str(scores))
    card = {
        **describe_run(out, minutes=minutes, seed=seed, start=start, framing=framing),
        "seconds": round(run.elapsed),
        "images_seen": run.steps * BATCH,
        "scores": scores,
        "curve": curve,
        "architecture": dataclasses.asdict(sizes),
        "continues": read_card(start) if start else None,
    }
    save_embedded(out, average.state_dict(), card)
    return scores


def describe_run(
    out: Path, *, minutes: float, seed: int, start: Path | None, framing: Framing = "wide"
) -> dict[str, object]:
    """The part of the card that is known before training."""
    command = f"python -m assets.pretraining.detector --out resources/embedded/{out.name} --minutes {minutes:g}"
    command += f" --seed {seed}" + (f" --start {start.name}" if start else "")
    command += "" if framing == "wide" else f" --framing {framing}"
    return {
        "name": "small Grounding DINO, trained from nothing; it shares no weight with the published ones",
        "data": f"toyref scenes ({framing}) of seeds {FIRST_SEED} to {FIRST_SEED + SCENES - 1}, which no split uses",
        "scored_on": f"{HELD_OUT_SCENES} toyref scenes from seed {FIRST_HELD_OUT_SEED} on",
        "asked_for": "the classes that are in the scene and two that are not",
        "classes": list(CLASSES),
        "command": command,
        "licence": "Apache-2.0",
    }


class _Run:
    """Optimiser, learning rate, running average and clock of one training."""

    def __init__(self, model: nn.Module, average: nn.Module, *, seconds: float) -> None:
        self.model, self.average = model.train(), average
        self.tap = Tap(model)
        self.seconds, self.elapsed, self.steps, self.loss = seconds, 0.0, 0, math.nan
        self.groups = parameter_groups(model)
        self.optimiser = torch.optim.AdamW(self.groups, lr=LEARNING_RATE)
        self._pairs = list(zip(average.parameters(), model.parameters(), strict=True))

    def step(self, batch: Batch) -> None:
        """One step of gradient descent."""
        started = time.process_time()
        for group in self.optimiser.param_groups:
            group["lr"] = LEARNING_RATE * group["share"] * rate(self.steps, self.elapsed / self.seconds)
        with quiet(), torch.autocast("cpu", dtype=torch.bfloat16):
            self.model(batch.pixels_B3hw, captions=list(batch.captions))
        loss = detection_loss(self.tap.outputs(), batch.targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimiser.step()
        self.steps += 1
        self.loss = loss.item() if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * loss.item()
        with torch.no_grad():
            weight = 1 - min(EMA, (self.steps + 1) / (self.steps + 10))
            torch._foreach_lerp_([a for a, _ in self._pairs], [p for _, p in self._pairs], weight)
        self.elapsed += time.process_time() - started

    def state(self) -> dict[str, float]:
        """Where the run stands."""
        images = self.steps * BATCH
        return {"seconds": round(self.elapsed), "images": images, "loss": round(self.loss, 2)}


def rate(step: int, progress: float) -> float:
    """Learning rate as a fraction of its peak: linear warm-up, flat, cosine to `LAST_RATE`."""
    falling = max(0.0, (progress - FLAT_UNTIL) / (1 - FLAT_UNTIL))
    cosine = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * min(falling, 1.0)))
    return min(1.0, (step + 1) / WARM_UP_STEPS) * cosine


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Sampling offsets learn at a tenth of the rate; norms and biases do not decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            share = 0.1 if "sampling_offsets" in name else 1.0
            decay = WEIGHT_DECAY if parameter.ndim > 1 else 0.0
            groups.setdefault((share, decay), []).append(parameter)
    return [{"params": members, "share": key[0], "weight_decay": key[1]} for key, members in groups.items()]


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


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="folder of an earlier run to continue")
    add_framing(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    log = logging.getLogger(__name__).info
    train(
        arguments.out,
        minutes=arguments.minutes,
        seed=arguments.seed,
        log=log,
        start=arguments.start,
        framing=arguments.framing,
    )


if __name__ == "__main__":
    main()
