"""What the recipes of Segment, Select, Correct digest."""

from assets.ssc.knobs import ELLIPSE_REVISION, ChoiceKnobs


def test_only_a_choice_by_drawn_ellipses_depends_on_their_revision() -> None:
    assert ChoiceKnobs(prompt="red_ellipse").recipe()["revision"] == ELLIPSE_REVISION
    assert ChoiceKnobs(prompt="red_ellipse", compat=True).recipe()["revision"] == ELLIPSE_REVISION
    for knobs in (ChoiceKnobs(), ChoiceKnobs(compat=True), ChoiceKnobs(rule="random", prompt="red_ellipse")):
        assert "revision" not in knobs.recipe()
