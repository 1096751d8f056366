"""Where every image responds to every expression: made with Step 1, kept as a Zarr array, read by all later stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assets.data.tables import ImageRecord, Pixels, Referent, by_image, images_of, on_image, referents_of
from assets.framework.stage import Outcome, Work
from assets.tris.load import read_response_model, squashed
from assets.tris.previews import response_preview
from storage.arrays import Layout, Row, fill_array, read_array
from storage.artifact import Artifact
from storage.digest import digest
from storage.rows import Quarantined, Unit
from storage.tables import column, write_table

if TYPE_CHECKING:
    from torch import Tensor

    from ops.tris.response import ResponseModel
    from resources.models.tris import TrisTokenizer

RULE = (
    "Responses at the cells of the coarsest map. Enlarge to image_size x image_size bilinearly, corners not aligned "
    "(half-pixel centres); ReLU comes after that. To an image's own size: bilinearly again, corners aligned. NaN: none."
)
INDEX = pa.schema(
    [
        column("row", pa.int64(), "row of the array"),
        column("sent_id", pa.int64(), "expression"),
        column("ref_id", pa.int64(), "reference"),
        column("image_id", pa.string(), "image"),
        column("split", pa.string(), "split"),
    ]
)


@dataclass(frozen=True, kw_only=True)
class _Said:
    """One expression of an image."""

    image: ImageRecord
    one: Referent
    place: int
    """Of the expression among its object's."""


def response_maps(work: Work) -> Outcome:
    """Step 1's response to every expression, of the training splits and of the scored ones (TRIS spec 2.4).

    Every expression passes the network without others beside it. Maps are kept at low resolution, with the rule to
    enlarge them in the array's attributes.
    """
    references = work.inputs["references"]
    images, fingerprint = images_of(references), work.inputs["tris_response_model"].manifest.fingerprint
    model, tokenizer = read_response_model(work.inputs["tris_response_model"], work.runtime)
    size = model.config.image_size
    said = [
        _Said(image=images[image_id], one=one, place=place)
        for image_id, objects in by_image(referents_of(references)).items()
        for one in objects
        for place in range(len(one.sentences))
    ]
    units = [
        Unit(
            key=digest([fingerprint, each.image.sha256, each.one.sent_ids[each.place], each.one.sentences[each.place]]),
            payload=each,
            label=str(each.one.sent_ids[each.place]),
        )
        for each in said
    ]
    side = size // 32
    tally = fill_array(
        work.slot,
        "responses",
        units,
        lambda batch: _responses(work, model, tokenizer, batch),
        layout=Layout(
            shape=(side, side),
            dtype="float16",
            dimensions=("expression", "row", "column"),
            attributes={"image_size": size, "rule": RULE},
        ),
        log=work.log,
        reuse=work.reuse,
    )
    rows: list[dict[str, Any]] = [
        {
            "row": row,
            "sent_id": each.one.sent_ids[each.place],
            "ref_id": each.one.ref_id,
            "image_id": each.one.image_id,
            "split": each.one.split,
        }
        for row, each in enumerate(said)
    ]
    write_table(work.slot.content / "index.parquet", pa.Table.from_pylist(rows, schema=INDEX))
    maps = _maps(*read_array(work.slot.content / "responses.zarr"), [row["sent_id"] for row in rows])
    return Outcome(tallies={"responses": tally}, preview=response_preview(work, maps.positive))


@dataclass(frozen=True, kw_only=True)
class ResponseMaps:
    """All maps of a data set, by expression."""

    low_Nhw: npt.NDArray[np.float16]
    row_of: Mapping[int, int]
    """Expression -> row; those without a map are left out."""
    image_size: int

    def has(self, sent_ids: Sequence[int]) -> bool:
        """Whether every one of the expressions has a map."""
        return all(sent_id in self.row_of for sent_id in sent_ids)

    def low(self, sent_ids: Sequence[int]) -> Tensor:
        """(M, h, w) float32 responses of expressions, as they are kept."""
        import torch

        return torch.from_numpy(self.low_Nhw[[self.row_of[sent_id] for sent_id in sent_ids]].astype(np.float32))

    def positive(self, sent_ids: Sequence[int]) -> Tensor:
        """(M, S, S): maps at the model's size, see `ops.tris.response.positive`."""
        from ops.tris.response import positive

        return positive(self.low(sent_ids), (self.image_size, self.image_size))


def read_maps(response_maps: Artifact) -> ResponseMaps:
    """The maps of an artifact."""
    sent_ids = response_maps.table("index", columns=["sent_id"])["sent_id"].to_pylist()
    return _maps(*read_array(response_maps.file("responses.zarr")), sent_ids)


def _maps(low_Nhw: npt.NDArray[np.float16], attributes: Mapping[str, int], sent_ids: Sequence[int]) -> ResponseMaps:
    rows = {sent_id: row for row, sent_id in enumerate(sent_ids) if np.isfinite(low_Nhw[row]).all()}
    return ResponseMaps(low_Nhw=low_Nhw, row_of=rows, image_size=attributes["image_size"])


def _responses(
    work: Work, model: ResponseModel, tokenizer: TrisTokenizer, batch: Sequence[_Said]
) -> Iterator[Row | Quarantined]:
    """A map for each expression; those of one image come one after another and share its encoding."""
    together: dict[str, list[_Said]] = {}
    for each in batch:
        together.setdefault(each.image.image_id, []).append(each)
    for group in together.values():
        found = on_image(work, group[0].image, partial(_answers, model, tokenizer, group))
        yield from [found] * len(group) if isinstance(found, Quarantined) else found


def _answers(
    model: ResponseModel, tokenizer: TrisTokenizer, group: Sequence[_Said], pixels: Pixels
) -> npt.NDArray[np.float32]:
    """The maps (M, h, w) of the expressions of an image."""
    import torch

    from ops.tris.response import low_responses

    ids, _ = tokenizer.encode([each.one.sentences[each.place] for each in group])
    rows = torch.zeros(len(group), dtype=torch.long)
    picture = squashed(pixels, model.config.image_size)[None]
    return low_responses(model, picture, ids, image_of_M=rows).float().cpu().numpy()
