"""Train TRIS's two networks: Step 1 from expressions alone, Step 2 from the pseudo-labels that came out of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from assets.data.tables import Referent
from assets.framework.stage import Outcome
from assets.framework.training import group_of, plan_of, seed_of, training_options
from assets.framework.work import Work
from assets.reports.previews import curve_preview
from assets.segmenters.fit import history_rows
from assets.segmenters.label_sources import TargetMasks
from assets.segmenters.tables import HISTORY
from assets.segmenters.training_set import Written, prepared
from assets.tris.knobs import PARTS, ResponseKnobs, SegmenterKnobs
from assets.tris.load import WEIGHTS
from assets.tris.stages import REFINED_LABELS
from assets.tris.tables import REFINED
from ops.training.dataset import ReferentDataset
from ops.training.train_state import History
from ops.tris.losses import PRESETS, LossWeights
from ops.tris.negatives import NegativePool
from ops.tris.response import ResponseConfig, ResponseModel
from ops.tris.segmenter import SegmenterConfig, TrisSegmenter
from ops.tris.tokens import is_overlong
from ops.tris.training import Calibration, TrisPlan, train_response, train_segmenter
from resources.models.loading import open_scorer, open_tris_clip, open_tris_tower
from resources.models.tris import TrisTokenizer, described, new_response_model, new_segmenter
from storage.rows import Tally
from storage.weights import save_weights


def tris_response_model(work: Work) -> Outcome:
    """TRIS Step 1: CLIP learns where an image responds to an expression, from expressions alone (TRIS spec 2).

    Other texts of a batch are negatives, and a frozen CLIP that sees the image through the response calibrates it.
    Resumes from its last checkpoint with the weights of an undisturbed run. The last epoch is kept, which needs no
    ground truth; the authors pick the epoch by masks of val.
    """
    knobs = work.knobs_as(ResponseKnobs)
    seed = seed_of(work, knobs)
    start = open_tris_clip(knobs.clip)
    tokenizer = TrisTokenizer(start.clip.tokenizer, rule=knobs.tokens)
    tower = open_tris_tower(knobs.encoder, knobs.encoder_weights)
    model = new_response_model(start, response_config(knobs), seed=seed, tower=tower).to(work.runtime.torch_device())
    written = prepared(work, lambda _: {}, size=knobs.image_size, tokenizer=tokenizer, group=group_of(work))
    history = train_response(
        model,
        ReferentDataset(written.images_N3SS, None, written.referents),
        plan_of(TrisPlan, knobs, work.runtime, seed=seed),
        weights=loss_weights(knobs),
        calibration=calibration_of(work, knobs, written),
        exclude=knobs.exclude_true,
        negatives=knobs.batch_negatives,
        **training_options(work),
    )
    cut = {"sentences cut to 20 tokens": _cut_share(written, start.clip.tokenizer)}
    return _finish(
        work, model, described(model, start.sizes, tokenizer), history, {"objects": len(written.referents), **cut}
    )


def tris_segmenter(work: Work) -> Outcome:
    """TRIS Step 2: a segmenter on a fresh CLIP, trained on the refined pseudo-labels (TRIS spec 5).

    Objects whose label is empty are left out. Resumes as Step 1 does, and keeps the last epoch too.
    """
    knobs = work.knobs_as(SegmenterKnobs)
    seed = seed_of(work, knobs)
    start = open_tris_clip(knobs.clip)
    tokenizer = TrisTokenizer(start.clip.tokenizer, rule=knobs.tokens)
    tower = open_tris_tower(knobs.encoder, knobs.encoder_weights)
    model = new_segmenter(start, segmenter_config(knobs), seed=seed, tower=tower).to(work.runtime.torch_device())
    labels = {row.ref_id: row.mask for row in REFINED.rows(work.input(REFINED_LABELS))}

    def label_of(referent: Referent) -> TargetMasks | None:
        mask = labels.get(referent.ref_id)
        return {referent.ref_id: mask} if mask is not None and mask.area else None

    written = prepared(work, label_of, size=knobs.image_size, tokenizer=tokenizer, group=group_of(work))
    history = train_segmenter(
        model,
        ReferentDataset(written.images_N3SS, written.masks, written.referents),
        plan_of(TrisPlan, knobs, work.runtime, seed=seed, stepping=knobs.stepping),
        **training_options(work),
    )
    counts = {"objects": len(written.referents), "objects without a label": len(labels) - len(written.referents)}
    return _finish(work, model, described(model, start.sizes, tokenizer), history, counts)


def response_config(knobs: ResponseKnobs) -> ResponseConfig:
    """Sizes and switches of Step 1."""
    return ResponseConfig(
        width=knobs.width,
        language_to_vision=knobs.language_to_vision,
        vision_to_language=knobs.vision_to_language,
        learn_tau=knobs.learn_tau,
        image_size=knobs.image_size,
    )


def segmenter_config(knobs: SegmenterKnobs) -> SegmenterConfig:
    """Sizes of Step 2."""
    return SegmenterConfig(laterals=knobs.laterals, finest=knobs.finest, image_size=knobs.image_size)


def loss_weights(knobs: ResponseKnobs) -> LossWeights:
    """The weights of a preset with the knobs' changes."""
    weights = LossWeights() if knobs.losses == "fixed" else PRESETS[knobs.losses]
    chosen = {
        **{part: getattr(knobs, f"{part}_weight") for part in PARTS},
        "negatives": knobs.negatives,
        "clip_positive": knobs.clip_positive,
    }
    weights = replace(weights, **{name: value for name, value in chosen.items() if value is not None})
    if knobs.losses == "paper" and knobs.negative_weight is None:
        weights = replace(weights, negative=float(weights.negatives))  # Eq. 8 sums over K, we average
    return weights if knobs.calibrate else weights.uncalibrated


def calibration_of(work: Work, knobs: ResponseKnobs, written: Written) -> Calibration | None:
    """The frozen CLIP with its embeddings of every training expression; None where classification stands alone."""
    if not loss_weights(knobs).calibrated:
        return None
    scorer, tokenizer = open_scorer(knobs.scorer, work.runtime, rule=knobs.tokens)
    device = scorer.clip.logit_scale.device
    distinct = list(dict.fromkeys(text for expressions in written.expressions for text in expressions))
    parts = [scorer.embed_texts(ids.to(device)).cpu() for ids in tokenizer.encode(distinct)[0].split(256)]
    embedded = dict(zip(distinct, torch.cat(parts), strict=True))
    return Calibration(
        scorer=scorer,
        pool=NegativePool([referent.image for referent in written.referents], written.expressions),
        texts=[torch.stack([embedded[text] for text in expressions]) for expressions in written.expressions],
        after=knobs.calibrate_after,
    )


def _cut_share(written: Written, tokenize: Any) -> float:
    texts = [text for expressions in written.expressions for text in expressions]
    return float(is_overlong(tokenize(texts)).float().mean())


def _finish(
    work: Work,
    model: ResponseModel | TrisSegmenter,
    card: Mapping[str, Any],
    history: History,
    counts: Mapping[str, float],
) -> Outcome:
    """Write weights and curve; the first process does it for all."""
    if work.rank:
        return Outcome()
    save_weights(work.slot.content / WEIGHTS, model.state_dict(), card)
    HISTORY.write(work.slot, history_rows(history))
    steps = len(history.step)
    return Outcome(
        tallies={"history": Tally.computed_anew(steps)},
        metrics={
            **counts,
            "final loss": sum(history.loss[-20:]) / len(history.loss[-20:]),
            "epoch chosen by": "being the last",
        },
        preview=curve_preview(history.step, history.loss),
    )
