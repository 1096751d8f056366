"""Label Studio's tasks: an image with its masks as predictions that people accept or correct, and what configures it.

`tasks.json` is imported into a project whose labelling interface is `config.xml`. A mask is a brush region in Label
Studio's run lengths (`storage.brush_masks`); what it shows is a text at the region. Images are named as files of a
local storage: start Label Studio with LOCAL_FILES_SERVING_ENABLED=true and LOCAL_FILES_DOCUMENT_ROOT at the folder of
the images, which is `images/` of the export where they go with the masks.
"""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

from assets.data.tables import ImageRow
from assets.exports.given import CATEGORY, Export, File, Given
from storage.brush_masks import brush_runs

CONFIG = f"""<View>
  <Image name="image" value="$image" zoom="true"/>
  <BrushLabels name="mask" toName="image">
    <Label value="{CATEGORY}" background="#1f77b4"/>
  </BrushLabels>
  <TextArea name="expression" toName="image" perRegion="true" editable="true" displayMode="region-list"/>
</View>
"""
SERVED = "/data/local-files/?d="


def files(export: Export) -> Iterator[File]:
    """`tasks.json`, `config.xml`, and the images where they go with them."""
    grouped: dict[str, list[Given]] = {}
    for one in export.given:
        grouped.setdefault(one.image.image_id, []).append(one)
    yield File("/config.xml", CONFIG.encode)
    yield File("/tasks.json", lambda: _page(export, grouped))
    if export.with_images:
        for image_id in grouped:
            image = export.images[image_id]
            yield File(f"/images/{image.image_file}", partial(export.read, image))


def _page(export: Export, grouped: dict[str, list[Given]]) -> bytes:
    tasks = [task(export.images[image_id], masks, export.stage) for image_id, masks in grouped.items()]
    return json.dumps(tasks, ensure_ascii=False).encode()


def task(image: ImageRow, masks: list[Given], stage: str) -> dict[str, Any]:
    """An image and its masks."""
    regions = [region for number, one in enumerate(masks, 1) for region in _regions(one, f"mask_{number}")]
    scores = [one.score for one in masks if one.score is not None]
    prediction: dict[str, Any] = {"model_version": f"wordmask {stage}", "result": regions}
    if scores:
        prediction["score"] = sum(scores) / len(scores)
    data = {"image": f"{SERVED}{quote(image.image_file)}", "image_id": image.image_id}
    return {"data": data, "predictions": [prediction]}


def _regions(one: Given, name: str) -> list[dict[str, Any]]:
    """The brush, and the text at it; Label Studio joins what has one id."""
    shared = {
        "id": name,
        "to_name": "image",
        "original_width": one.mask.width,
        "original_height": one.mask.height,
        "image_rotation": 0,
        **({} if one.score is None else {"score": one.score}),
        "meta": {"ref_id": one.referent.ref_id, "sent_ids": list(one.expressions), "split": one.referent.split},
    }
    brush = {"format": "rle", "rle": brush_runs(one.mask.decode()), "brushlabels": [CATEGORY]}
    said = {"text": list(one.expressions.values())}
    return [
        {**shared, "from_name": "mask", "type": "brushlabels", "value": brush},
        {**shared, "from_name": "expression", "type": "textarea", "value": said},
    ]
