"""What a choice is made of: the referents of an image, and each one's candidates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from assets.data.images import Pixels
from assets.data.tables import ImageRow, Referent
from assets.ssc.tables import CandidateRow, ChoiceRow, QueryRow, of_classes
from storage.digest import digest


@dataclass(frozen=True, kw_only=True)
class Offered:
    """The referents of an image, and each one's candidates."""

    image: ImageRow
    referents: list[Referent]
    candidates: list[list[CandidateRow]]
    """Of each referent."""

    @property
    def key(self) -> str:
        """Digest of everything that the choice depends on, but for knobs and models."""
        said = [[referent.ref_id, referent.expressions] for referent in self.referents]
        masks = [[[mask.candidate, mask.rle.hex()] for mask in masks] for masks in self.candidates]
        return digest([self.image.image_id, self.image.sha256, said, masks])

    @property
    def placed_key(self) -> str:
        """As `key`, where places are read, for which boxes and classes matter, too."""
        known = [[[mask.label, mask.x0, mask.y0, mask.x1, mask.y1] for mask in masks] for masks in self.candidates]
        return digest([self.key, known])


Decide = Callable[[Offered, Pixels], list[ChoiceRow]]


def offered(
    image: ImageRow, referents: list[Referent], candidates: Sequence[CandidateRow], queries: Mapping[int, QueryRow]
) -> Offered:
    """To each referent the image's candidates of its classes; `queries` are by referent."""
    mine = [of_classes(candidates, queries[referent.ref_id].classes) for referent in referents]
    return Offered(image=image, referents=referents, candidates=mine)
