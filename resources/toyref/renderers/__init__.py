"""How each class of the toy world is rendered.

What an object looks like is decided in `resources.toyref.attributes`, where it stands in `resources.toyref.scenes`.
"""

from collections.abc import Callable

from resources.toyref.renderers.canvas import Attributes, Canvas
from resources.toyref.renderers.household_objects import apple, ball, banana, bottle, chair, clock, cup, umbrella
from resources.toyref.renderers.people_animals import bird, cat, dog, person
from resources.toyref.renderers.vehicles import bicycle, boat, bus, car

RENDERERS: dict[str, Callable[[Canvas, Attributes], None]] = {
    "person": person,
    "bicycle": bicycle,
    "car": car,
    "bus": bus,
    "boat": boat,
    "bird": bird,
    "cat": cat,
    "dog": dog,
    "umbrella": umbrella,
    "sports ball": ball,
    "bottle": bottle,
    "cup": cup,
    "banana": banana,
    "apple": apple,
    "chair": chair,
    "clock": clock,
}
"""COCO class name -> renderer."""
