"""The embedded models as assets: a real training of one step, and one that fails."""

from pathlib import Path

import dagster as dg

from pipelines.graph.pretraining import GROUP, STARTS, pretraining_assets
from resources.embedded.cards import EMBEDDED_FOLDER, read_card


def make(name: str, **config: int) -> dg.ExecuteInProcessResult:
    """Materialize one of them."""
    asset = next(one for one in pretraining_assets() if one.key == dg.AssetKey([GROUP, name]))
    run_config = {"ops": {asset.op.name: {"config": config}}}
    return dg.materialize([asset], run_config=run_config, raise_on_error=False)


def test_a_model_is_made_and_its_scores_stand_beside_those_of_the_one_that_ships(home: Path) -> None:
    result = make("segmenter", steps=1, scenes=10)
    assert result.success
    event = result.asset_materializations_for_node("pretraining__segmenter")[0]
    table = event.metadata["scores"]
    assert isinstance(table, dg.TableMetadataValue)
    scores = {row.data["score"]: row.data for row in table.records}
    card = read_card(home / "pretraining/segmenter")
    assert scores["miou"]["this"] == card["scores"]["miou"]
    assert scores["miou"]["shipped"] == read_card(EMBEDDED_FOLDER / "segmenter")["scores"]["miou"]
    assert event.metadata["steps"].value == 1


def test_a_training_that_fails_says_its_last_words(home: Path) -> None:
    result = make("irn_trunk", steps=1, scenes=1)  # a batch needs sixteen
    assert not result.success
    error = next(event for event in result.all_events if event.is_step_failure).step_failure_data.error
    assert error is not None
    assert "Cannot take a larger sample" in error.message


def test_every_embedded_model_of_rendered_scenes_can_be_made_again() -> None:
    shipped = {path.parent.name for path in EMBEDDED_FOLDER.glob("*/card.json")}
    assert shipped - {"parser"} == set(STARTS)
