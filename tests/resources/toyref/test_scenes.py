from collections import Counter

import cv2
import numpy as np
import pytest

from resources.toyref.renderers.canvas import PALETTE
from resources.toyref.scenes import CLASSES, FOCUSES, FRAMES, FRAMINGS, Focus, Framing, Scene, render_scene

SEEDS = range(40)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(seed) for seed in SEEDS]


def test_a_seed_gives_the_same_scene_again(scenes: list[Scene]) -> None:
    again = render_scene(7)
    np.testing.assert_array_equal(again.image_HW3, scenes[7].image_HW3)
    assert [thing.attributes for thing in again.objects] == [thing.attributes for thing in scenes[7].objects]


def test_seeds_and_focuses_give_different_scenes(scenes: list[Scene]) -> None:
    assert len({scene.image_HW3.tobytes() for scene in scenes}) == len(scenes)
    assert render_scene(3, focus="people").image_HW3.tobytes() != render_scene(3, focus="things").image_HW3.tobytes()


@pytest.mark.parametrize("framing", FRAMINGS)
def test_images_are_rgb_in_the_three_sizes(scenes: list[Scene], framing: Framing) -> None:
    some = scenes if framing == "close" else [render_scene(seed, framing=framing) for seed in SEEDS]
    assert {scene.image_HW3.shape[1::-1] for scene in some} == set(FRAMES[framing].sizes)
    assert all(scene.image_HW3.dtype == np.uint8 and scene.image_HW3.shape[2] == 3 for scene in some)


@pytest.mark.parametrize("focus", FOCUSES)
def test_a_close_scene_shows_large_objects_of_which_half_is_seen(focus: Focus) -> None:
    scenes = [render_scene(seed, focus=focus) for seed in range(30)]
    things = [thing for scene in scenes for thing in scene.objects]
    areas = [
        thing.mask_HW.mean()
        for scene in scenes
        for thing in scene.objects
        if sum(other.category == thing.category for other in scene.objects) > 1
    ]
    assert 0.08 <= np.median(areas) <= 0.12
    assert np.percentile(areas, 10) > 0.03
    assert min(thing.visible for thing in things) >= 0.5
    counts = [max(Counter(thing.category for thing in scene.objects).values()) for scene in scenes]
    assert (min(counts), max(counts)) >= (2, 4)
    assert max(counts) <= 5


def test_boxes_are_those_of_the_visible_masks(scenes: list[Scene]) -> None:
    for thing in (thing for scene in scenes for thing in scene.objects):
        x, y, width, height = cv2.boundingRect(thing.mask_HW.astype(np.uint8))
        assert thing.box == (x, y, x + width, y + height)


def test_masks_are_disjoint_and_at_least_half_visible(scenes: list[Scene]) -> None:
    for scene in scenes:
        stack_NHW = np.stack([thing.mask_HW for thing in scene.objects])
        assert stack_NHW.sum(0).max() <= 1
        assert stack_NHW.shape[1:] == scene.image_HW3.shape[:2]
        assert all(0.5 <= thing.visible <= 1 for thing in scene.objects)


def test_some_objects_are_partly_hidden(scenes: list[Scene]) -> None:
    hidden = [thing for scene in scenes for thing in scene.objects if thing.visible < 0.95]
    assert len(hidden) >= len(scenes) // 10


def test_objects_have_a_size_that_small_models_can_see() -> None:
    sides = [
        max(thing.box[2] - thing.box[0], thing.box[3] - thing.box[1])
        for seed in range(60)
        for thing in render_scene(seed).objects
    ]
    assert min(sides) >= 18
    assert max(sides) <= 112
    assert np.mean([25 <= side <= 100 for side in sides]) > 0.9


@pytest.mark.parametrize(("focus", "people"), [("people", True), ("things", False)])
def test_the_focus_names_the_class_with_several_objects(focus: str, people: bool) -> None:
    for seed in range(25):
        categories = [thing.category for thing in render_scene(seed, focus="people" if people else "things").objects]
        counts = {name: categories.count(name) for name in categories}
        if people:
            assert 2 <= counts["person"] <= 5
        else:
            assert max((counts[name] for name in counts if name != "person"), default=0) >= 2


def test_an_unknown_focus_is_refused() -> None:
    with pytest.raises(ValueError, match="people"):
        render_scene(0, focus="animals")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="wide, close"):
        render_scene(0, framing="far")  # type: ignore[arg-type]


def test_every_class_is_drawn_and_there_are_enough(scenes: list[Scene]) -> None:
    drawn = {thing.category for scene in scenes for thing in scene.objects}
    assert len(CLASSES) >= 14
    assert drawn == set(CLASSES)


def test_named_colours_are_the_colours_on_the_image(scenes: list[Scene]) -> None:
    """The median pixel of a plain object is nearer to the colour it is called by than to any other."""
    names, values_C3 = list(PALETTE), np.array(list(PALETTE.values()))
    hits = []
    for scene in scenes:
        for thing in scene.objects:
            attributes = thing.attributes
            if thing.category in ("sports ball", "apple", "umbrella", "bottle") and not attributes["pattern"]:
                pixel = np.median(scene.image_HW3[thing.mask_HW], axis=0)
                hits.append(names[int(np.linalg.norm(values_C3 - pixel, axis=1).argmin())] == attributes["colour"])
    assert len(hits) > 20
    assert np.mean(hits) > 0.95
