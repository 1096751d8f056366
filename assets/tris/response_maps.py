"""Where every image responds to every expression: made with Step 1, kept as a Zarr array, read by all later stages."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from assets.data.images import ImageTask, Pixels, computed_in_images
from assets.data.tables import ImageRow, Referent, by_image, images_of, referents_of
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.previews import response_preview
from assets.tris.load import read_response_model, squashed
from assets.tris.stages import TRIS_RESPONSE_MODEL
from assets.tris.tables import RESPONSE_INDEX, ResponseIndexRow
from ops.tris.response import ResponseModel, coarse_responses, upsampled_responses
from resources.models.tris import TrisTokenizer
from storage.arrays import SHARD, Layout, Row, fill_array, read_array
from storage.artifact import Artifact
from storage.digest import digest
from storage.rows import Quarantined, Unit

RULE = (
    "Responses at the cells of the coarsest map. Enlarge to image_size x image_size bilinearly, corners not aligned "
    "(half-pixel centres); ReLU comes after that. To an image's own size: bilinearly again, corners aligned. NaN: none."
)


@dataclass(frozen=True, kw_only=True)
class ImageExpression:
    """One expression of an image."""

    image: ImageRow
    referent: Referent
    place: int
    """Of the expression among its referent's."""

    @property
    def sent_id(self) -> int:
        """Number of the expression."""
        return self.referent.sent_ids[self.place]

    @property
    def text(self) -> str:
        """The expression."""
        return self.referent.expressions[self.place]


def response_maps(work: Work) -> Outcome:
    """A map for every expression of the training splits and of the scored ones."""
    trained = work.input(TRIS_RESPONSE_MODEL)
    fingerprint = trained.manifest.fingerprint
    size = trained.manifest.recipe["knobs"]["image_size"]
    expressions = _expressions(work)
    units = [
        Unit(
            key=digest([fingerprint, each.image.sha256, each.sent_id, each.text]),
            payload=(row // SHARD, each),
            label=str(each.sent_id),
        )
        for row, each in enumerate(expressions)
    ]
    tally = fill_array(
        work.slot,
        "responses",
        units,
        partial(_responses, work),
        layout=Layout(
            shape=(size // 32, size // 32),
            dtype="float16",
            dimensions=("expression", "row", "column"),
            attributes={"image_size": size, "rule": RULE},
        ),
        log=work.log,
        reuse=work.reuse,
    )
    rows = [
        ResponseIndexRow(
            row=row,
            sent_id=each.sent_id,
            ref_id=each.referent.ref_id,
            image_id=each.referent.image_id,
            split=each.referent.split,
        )
        for row, each in enumerate(expressions)
    ]
    RESPONSE_INDEX.write(work.slot, rows)
    maps = _maps(*read_array(work.slot.content / "responses.zarr"), [row.sent_id for row in rows])
    return Outcome(tallies={"responses": tally}, preview=response_preview(work, maps.positive))


def _expressions(work: Work) -> list[ImageExpression]:
    images = images_of(work)
    return [
        ImageExpression(image=images[image_id], referent=referent, place=place)
        for image_id, referents in by_image(referents_of(work)).items()
        for referent in referents
        for place in range(len(referent.expressions))
    ]


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
        return torch.from_numpy(self.low_Nhw[[self.row_of[sent_id] for sent_id in sent_ids]].astype(np.float32))

    def positive(self, sent_ids: Sequence[int]) -> Tensor:
        """(M, S, S): maps at the model's size, see `ops.tris.response.positive`."""
        return upsampled_responses(self.low(sent_ids), (self.image_size, self.image_size))


def read_maps(response_maps: Artifact) -> ResponseMaps:
    """The maps of an artifact."""
    sent_ids = [row.sent_id for row in RESPONSE_INDEX.rows(response_maps)]
    return _maps(*read_array(response_maps.file("responses.zarr")), sent_ids)


def _maps(low_Nhw: npt.NDArray[np.float16], attributes: Mapping[str, int], sent_ids: Sequence[int]) -> ResponseMaps:
    rows = {sent_id: row for row, sent_id in enumerate(sent_ids) if np.isfinite(low_Nhw[row]).all()}
    return ResponseMaps(low_Nhw=low_Nhw, row_of=rows, image_size=attributes["image_size"])


def _responses(work: Work, asked: Sequence[tuple[int, ImageExpression]]) -> Iterator[tuple[int, Row | Quarantined]]:
    """A map for each expression; those of one image that lie in a shard share its encoding, and a pass."""
    together: dict[tuple[int, str], list[int]] = {}
    for place, (shard, each) in enumerate(asked):
        together.setdefault((shard, each.image.image_id), []).append(place)
    groups = list(together.values())
    tasks = [
        ImageTask(image=asked[places[0]][1].image, payload=[asked[place][1].text for place in places], key="")
        for places in groups
    ]
    for number, maps in computed_in_images(work, open_responses, _as_it_is, tasks):
        for row, place in enumerate(groups[number]):
            yield place, maps if isinstance(maps, Quarantined) else maps[row]


def open_responses(work: Work) -> Callable[[Sequence[str], Pixels], Row]:
    """The trained Step 1."""
    return partial(_maps_of_image, *read_response_model(work.input(TRIS_RESPONSE_MODEL), work.runtime))


def _maps_of_image(model: ResponseModel, tokenizer: TrisTokenizer, texts: Sequence[str], pixels: Pixels) -> Row:
    """The maps (M, h, w) of the expressions of an image."""
    ids, _ = tokenizer.encode(list(texts))
    rows = torch.zeros(len(texts), dtype=torch.long)
    image_13SS = squashed(pixels, model.config.image_size)[None]
    return coarse_responses(model, image_13SS, ids, image_of_M=rows).float().cpu().numpy()


def _as_it_is(row: Row) -> Row:
    return row
