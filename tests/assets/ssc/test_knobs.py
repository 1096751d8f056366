"""What the recipes of Segment, Select, Correct digest."""

from assets.ssc.knobs import ELLIPSE_REVISION, ChoiceKnobs


def test_only_a_choice_by_drawn_ellipses_depends_on_their_revision() -> None:
    assert ChoiceKnobs(prompt="red_ellipse").recipe()["revision"] == ELLIPSE_REVISION
    assert ChoiceKnobs(prompt="red_ellipse", compat=True).recipe()["revision"] == ELLIPSE_REVISION
    for knobs in (ChoiceKnobs(), ChoiceKnobs(compat=True), ChoiceKnobs(rule="random", prompt="red_ellipse")):
        assert "revision" not in knobs.recipe()


def test_places_are_in_a_recipe_where_they_are_read_and_nowhere_else() -> None:
    assert not {"places", "parser"} & set(ChoiceKnobs().recipe())
    assert not {"places", "parser"} & set(ChoiceKnobs(rule="random", places=1.0).recipe())
    turned = ChoiceKnobs(places=2.0)
    assert turned.recipe() == {**ChoiceKnobs().recipe(), "places": 2.0, "parser": "embedded"}
    assert len(ChoiceKnobs().models()) == 1
    assert len(turned.models()) == 2
