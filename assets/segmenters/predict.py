"""Predict: every trained model's mask for every sentence of the scored splits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa

from assets.data.tables import Pixels, Referent, by_image, images_of, on_image, referents_of
from assets.framework.stage import Outcome, Work
from assets.reports.previews import prediction_preview
from assets.segmenters.load import bf16_of, read_segmenter
from resources.runtime import Runtime
from storage.artifact import Artifact
from storage.digest import digest
from storage.masks import encode, mask_row
from storage.rows import Quarantined, Rows, Unit, fill_table
from storage.tables import column

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


def predictions(work: Work) -> Outcome:
    """ZSBootstrap's mask for every sentence of the scored splits, at the model's size and at the image's."""
    return predicted_by(work, "zs_bootstrap")


def corrected_predictions(work: Work) -> Outcome:
    """The mask of S+S+C for every sentence of the scored splits, at the model's size and at the image's."""
    return predicted_by(work, "corrected")


def supervised_predictions(work: Work) -> Outcome:
    """The fully supervised mask for every sentence of the scored splits, at the model's size and at the image's."""
    return predicted_by(work, "supervised")


def predicted_by(work: Work, trained: str) -> Outcome:
    """The masks of the model that the stage `trained` trained, for every sentence of the scored splits."""
    segment = segmenting(work.inputs[trained], work.runtime)
    return predict_sentences(work, trained, segment, schema=PREDICTIONS)


def predict_sentences(
    work: Work, trained: str, segment: Callable[[Sequence[Referent], Pixels], Rows], *, schema: pa.Schema
) -> Outcome:
    """Fill the table `masks` image by image; `segment` gives a row for every sentence of an image's objects."""
    references = work.inputs["references"]
    images = images_of(references)
    fingerprint = work.inputs[trained].manifest.fingerprint

    def rows(batch: Sequence[list[Referent]]) -> list[Rows | Quarantined]:
        return [on_image(work, images[objects[0].image_id], partial(segment, objects)) for objects in batch]

    units = []
    for image_id, objects in by_image(referents_of(references, splits=work.instance.source.evaluate)).items():
        said = [[one.ref_id, one.sent_ids, one.sentences] for one in objects]
        key = digest([fingerprint, image_id, images[image_id].sha256, said])
        units.append(Unit(key=key, payload=objects, label=image_id))
    tally = fill_table(
        work.slot, "masks", units, rows, schema=schema, shard=work.runtime.shard, reuse=work.reuse, log=work.log
    )
    return Outcome(tallies={"masks": tally}, preview=prediction_preview(work))


def segmenting(trained: Artifact, runtime: Runtime) -> Callable[[Sequence[Referent], Pixels], Rows]:
    """What a trained model does: (objects of an image, pixels) -> one row per sentence."""
    from ops.images import resize_image, to_tensor
    from ops.segmenters.prediction import predict

    model, tokenizer = read_segmenter(trained, runtime)
    size, bf16 = model.config.image_size, bf16_of(trained, runtime)

    def segment(objects: Sequence[Referent], pixels: Pixels) -> Rows:
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
