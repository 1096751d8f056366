"""TRIS's responses in the choice: added where an expression has a map, and nothing where it has none."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from assets.data.tables import ImageRow, Referent
from assets.ssc.answering import open_choosing
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.mask_choices import ChoiceByScore, decider
from assets.ssc.offers import Offered
from assets.ssc.response_terms import ResponseTerms
from assets.ssc.stages import MASK_CHOICES, choice_needs
from assets.tris.response_maps import ResponseMaps
from assets.tris.stages import RESPONSE_MAPS
from ops.refusal import Refused
from resources.runtime import Runtime
from tests.assets.ssc.test_place_terms import BUS, CUPS, HEIGHT, WIDTH, scorer

LEFT, NOWHERE = 1, 2
"""Sentences whose maps respond at the left, and nowhere."""


def maps() -> ResponseMaps:
    low_Nhw = np.full((2, 2, 4), -1.0, np.float16)
    low_Nhw[0, :, 0] = 1.0
    return ResponseMaps(low_Nhw=low_Nhw, row_of={LEFT: 0, NOWHERE: 1}, image_size=64)


def chosen(*sent_ids: int, weight: float = 1.0) -> Any:
    image = ImageRow(image_id="a", image_file="a.png", width=WIDTH, height=HEIGHT, sha256="")
    said = [["cup"] * len(sent_ids), ["bus"]]
    referents = [
        Referent(ref_id=row, object_id="", image_id="a", split="", sent_ids=numbers, expressions=texts)
        for row, (numbers, texts) in enumerate(zip([[*sent_ids], [99]], said, strict=True))
    ]
    offer = Offered(image=image, referents=referents, candidates=[CUPS, [BUS]])
    choice = ChoiceByScore(
        knobs=ChoiceKnobs(min_area=0),
        scorer=cast(Any, scorer()),
        responses=ResponseTerms(weight=weight, maps=maps()),
    )
    return choice(offer, np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def test_a_response_outweighs_a_small_difference_of_similarity() -> None:
    assert [row.chosen for row in chosen(LEFT)] == [4, 11]
    assert chosen(LEFT, weight=0.0)[0].chosen == chosen(LEFT, weight=0.1)[0].chosen == 7
    assert chosen(NOWHERE)[0].chosen == 7
    row = chosen(NOWHERE, LEFT, 98)[0]
    assert row.chosen_by_sentence == [7, 4, 7]
    assert row.scores == pytest.approx([(alone + 2 * flat) / 3 for alone, flat in zip(*both(), strict=True)])


def both() -> tuple[list[float], list[float]]:
    """Scores with a response, and without any."""
    return chosen(LEFT)[0].scores, chosen(98)[0].scores


def test_maps_are_read_only_where_they_are_heard() -> None:
    assert choice_needs(ChoiceKnobs()) == choice_needs(ChoiceKnobs(rule="random", responses=1)) == ()
    assert MASK_CHOICES.inputs_under(ChoiceKnobs(responses=1))[-1] is RESPONSE_MAPS
    assert "responses" not in ChoiceKnobs(rule="random", responses=1).recipe()
    assert not {"responses", "consensus"} & set(ChoiceKnobs().recipe())


def test_an_image_of_no_data_set_has_no_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.ssc.clip_scorers.open_clip_model", lambda *_: pytest.fail("opened for nothing"))
    with pytest.raises(Refused, match="trained model"):
        decider(ChoiceKnobs(responses=1), Runtime())
    settings: Any = SimpleNamespace(choice=ChoiceKnobs(responses=1))
    with pytest.raises(Refused, match="responses: 0"):
        open_choosing(settings, Runtime())
