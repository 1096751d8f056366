"""Train LAVT on chosen masks, and predict with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from assets.knobs import BootstrapKnobs
from assets.pictures import curve_preview, prediction_preview
from assets.records import ObjectRecord, Pixels, by_image, images_of, objects_of, on_image
from assets.samples import chosen_mask, training_samples, val_score
from assets.stage import Outcome, Work
from resources.runtime import Runtime
from resources.zoo import open_lavt
from storage.artifact import Artifact
from storage.masks import encode, mask_row
from storage.recipe import digest
from storage.rows import Quarantined, Rows, Tally, Unit, fill_table
from storage.tables import column, write_table
from storage.weights import latest_checkpoint, load_weights, save_checkpoint, save_weights

if TYPE_CHECKING:
    from ops.lavt import Lavt
    from resources.models.backbones import Tokenizer

HISTORY = pa.schema(
    [
        column("step", pa.int64(), "optimiser step"),
        column("loss", pa.float64(), "mean weighted cross-entropy of the step's samples"),
        column("lr", pa.float64(), "learning rate of the step"),
    ]
)
PREDICTIONS = pa.schema(
    [
        column("sent_id", pa.int64(), "expression"),
        column("ref_id", pa.int64(), "reference"),
        column("rle_model", pa.binary(), "mask at the model's square size, COCO run-length encoding"),
        column("model_size", pa.int32(), "side of that square, pixels"),
        column("rle", pa.binary(), "mask at the image's own size"),
        column("height", pa.int32(), "of the image"),
        column("width", pa.int32(), "of the image"),
    ]
)


def zs_bootstrap(work: Work) -> Outcome:
    """ZSBootstrap: LAVT trained on the chosen masks with weighted cross-entropy (S+S+C spec 4.7-4.9).

    Resumes from its last checkpoint with the weights that an undisturbed run would have. The last epoch is kept, which
    needs no ground truth; `best_on_val` is the authors' way, and the report says when it was used.
    """
    from ops.training.loop import TrainPlan, train
    from resources.models.backbones import architecture_of

    knobs = work.knobs_as(BootstrapKnobs)
    model, tokenizer = open_lavt(knobs.size, swin=knobs.swin, bert=knobs.bert, runtime=work.runtime, seed=knobs.seed)
    size = model.config.image_size
    samples = training_samples(work, chosen_mask(work), size=size, tokenizer=tokenizer)
    plan = TrainPlan(
        epochs=knobs.epochs,
        batch_size=knobs.batch_size,
        accumulate=work.runtime.accumulate,
        lr=knobs.learning_rate,
        pretrained_rate=knobs.pretrained_rate,
        warmup_steps=knobs.warmup_steps,
        clip_norm=knobs.clip_norm,
        weight_decay=knobs.weight_decay,
        sentences=knobs.sentences,
        seed=knobs.seed,
        bf16=work.runtime.bf16(),
        checkpoint_every_steps=work.runtime.checkpoint_every,
    )
    judge = val_score(work, tokenizer, size=size) if knobs.select == "best_on_val" else None
    checkpoints = work.slot.scratch / "checkpoints"
    history = train(
        model,
        samples,
        plan,
        resume=latest_checkpoint(checkpoints),
        save=partial(_keep, checkpoints),
        log=work.log,
        on_epoch=judge,
    )
    card = {
        "architecture": architecture_of(model),
        "vocabulary": list(tokenizer.vocabulary),
        "max_tokens": tokenizer.max_tokens,
    }
    save_weights(work.slot.work / "weights.safetensors", model.state_dict(), card)
    curve = {name: getattr(history, name) for name in HISTORY.names}
    write_table(work.slot.work / "history.parquet", pa.table(curve, schema=HISTORY))
    steps = len(history.step)
    return Outcome(
        tallies={"history": Tally(reused=0, computed=steps, quarantined=0, rows=steps)},
        metrics={
            "objects trained on": len(samples),
            "objects whose mask is empty or full": samples.dropped,
            "final loss": sum(history.loss[-20:]) / len(history.loss[-20:]),
            "epoch kept": history.best_epoch or knobs.epochs,
            "epoch chosen by": "oIoU on val, which reads ground truth" if judge else "being the last",
        },
        preview=curve_preview(history.step, history.loss),
    )


def predictions(work: Work) -> Outcome:
    """The trained segmenter's mask for every sentence of the scored splits, at the model's size and at the image's."""
    model, tokenizer = read_lavt(work.inputs["zs_bootstrap"], work.runtime)
    references = work.inputs["references"]
    images = images_of(references)
    trained = work.inputs["zs_bootstrap"].manifest.fingerprint
    segment = segmenting(model, tokenizer, bf16=work.runtime.bf16())

    def rows(batch: Sequence[list[ObjectRecord]]) -> list[Rows | Quarantined]:
        return [on_image(work, images[objects[0].image_id], partial(segment, objects)) for objects in batch]

    units = []
    for image_id, objects in by_image(objects_of(references, splits=work.instance.source.evaluate)).items():
        said = [[one.ref_id, one.sent_ids, one.sentences] for one in objects]
        units.append(
            Unit(key=digest([trained, image_id, images[image_id].sha256, said]), payload=objects, label=image_id)
        )
    tally = fill_table(
        work.slot, "masks", units, rows, schema=PREDICTIONS, shard=work.runtime.shard, reuse=work.reuse, log=work.log
    )
    return Outcome(tallies={"masks": tally}, preview=prediction_preview(work))


def _keep(folder: Path, state: Mapping[str, Any]) -> None:
    save_checkpoint(folder / f"{state['step']:08d}.pt", state)


def segmenting(model: Lavt, tokenizer: Tokenizer, *, bf16: bool) -> Callable[[Sequence[ObjectRecord], Pixels], Rows]:
    """(objects of an image, pixels) -> one row per sentence."""
    from ops.images import resize_image, to_tensor
    from ops.prediction import predict

    size = model.config.image_size

    def segment(objects: Sequence[ObjectRecord], pixels: Pixels) -> Rows:
        ids, mask = tokenizer.encode([text for one in objects for text in one.sentences])
        found = predict(
            model,
            resize_image(to_tensor(pixels), height=size, width=size),
            token_ids_ST=ids,
            token_mask_ST=mask,
            original_size=pixels.shape[:2],
            bf16=bf16,
        )
        said = [(one.ref_id, sent_id) for one in objects for sent_id in one.sent_ids]
        return [
            {
                "ref_id": ref_id,
                "sent_id": sent_id,
                "rle_model": encode(at_model.numpy()),
                "model_size": size,
                **mask_row(at_original.numpy()),
            }
            for (ref_id, sent_id), at_model, at_original in zip(
                said, found.model_size_Shw, found.original_size_SHW, strict=True
            )
        ]

    return segment


def read_lavt(artifact: Artifact, runtime: Runtime) -> tuple[Lavt, Tokenizer]:
    """A trained LAVT and its tokenizer out of an artifact, on the device."""
    from resources.models.backbones import Tokenizer, lavt_from

    state, card = load_weights(artifact.file("weights.safetensors"))
    model = lavt_from(card["architecture"])
    model.load_state_dict(state)
    return model.to(runtime.torch_device()), Tokenizer(card["vocabulary"], max_tokens=card["max_tokens"])
