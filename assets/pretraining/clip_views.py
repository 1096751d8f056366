"""What the embedded CLIP is shown: toy objects under reverse blur, cropped, and whole scenes, each with a text.

Belongs here: rendering the pairs. The model and its loss are in the training script `clip`.
Shapes: H x W pixels of a scene, which is not square.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from resources.toyref.expressions import Expression, describe
from resources.toyref.predicates import SYNONYMS, named_by, nouns
from resources.toyref.realisation import STYLES, TYPOS
from resources.toyref.scenes import Scene, render_scene

BLUR_VIEWS, CROP_VIEWS, SCENE_VIEWS = 29, 10, 9
"""Views of a batch by kind: about 60, 20 and 20 of a hundred."""
SIGMA_SHARE = 1 / 12.8
"""Standard deviation of the blur as a share of the longer side: 50 pixels at 640 (spec 3.3)."""
PROMPT_SHARE = {"blur": 0.3, "crop": 0.5}
"""How often a single object is called "a photo of a <word>" instead of by a sentence."""
TYPO_SHARE = 0.1
"""How often the word of such a prompt is misspelt, where toyref has a misspelling."""
INTRINSIC = frozenset({"class", "colour", "pattern", "part"})
"""Cues that a crop still shows."""
MIRRORED = {"left": "right", "leftmost": "rightmost", "lft": "rigth"}
MIRRORED |= {right: left for left, right in MIRRORED.items()}
ARTICLES = ("a ", "an ", "the ")

_T = TypeVar("_T")
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Thing:
    """An object of a picture, as far as words go."""

    category: str
    box: tuple[int, int, int, int]
    names: frozenset[str]
    """Every class word that could be meant for it."""
    nouns: tuple[str, ...]
    """Class words to call it by, usual ones repeated."""
    sentences: tuple[Expression, ...]
    """Of all three styles."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A scene with its blurred copy; objects are the labels 1, 2, ... of their visible pixels."""

    image_HW3: Image
    blurred_HW3: Image
    labels_HW: npt.NDArray[np.uint8]
    things: tuple[Thing, ...]

    def groups(self) -> list[list[int]]:
        """Indices of the objects that share their class with another one."""
        members = defaultdict(list)
        for index, thing in enumerate(self.things):
            members[thing.category].append(index)
        return [group for group in members.values() if len(group) > 1]


@dataclass(frozen=True, kw_only=True)
class View:
    """One pair for contrastive training."""

    image_HW3: Image
    text: str
    noun: str = ""
    """The class word, where the text says nothing else."""
    names: frozenset[str] = frozenset()
    """Every class word that is true of the view."""


def draw_picture(seed: int) -> Picture:
    """The toy scene of a seed, described in every style."""
    scene = render_scene(seed)
    rng = np.random.default_rng([seed, 1])
    labels_HW = np.zeros(scene.image_HW3.shape[:2], np.uint8)
    for label, item in enumerate(scene.objects, start=1):
        labels_HW[item.mask_HW] = label
    return Picture(
        image_HW3=scene.image_HW3,
        blurred_HW3=blur(scene.image_HW3),
        labels_HW=labels_HW,
        things=tuple(_thing(scene, index, rng) for index in range(len(scene.objects))),
    )


def _thing(scene: Scene, index: int, rng: np.random.Generator) -> Thing:
    item = scene.objects[index]
    return Thing(
        category=item.category,
        box=item.box,
        names=frozenset(word for word in SYNONYMS[item.category] if named_by(word, item)) | {item.category},
        nouns=(item.category, *nouns(item)),
        sentences=tuple(text for style in STYLES for text in describe(scene, index, style=style, rng=rng)),
    )


def blur(image_HW3: Image) -> Image:
    """The Gaussian blur of the reverse-blur prompt, reflected at the border without repeating it."""
    sigma = SIGMA_SHARE * max(image_HW3.shape[:2])
    return np.asarray(cv2.GaussianBlur(image_HW3, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.uint8)


def prompted(picture: Picture, index: int) -> Image:
    """Object `index` sharp, everything else blurred; hard mask edges (spec 3.3)."""
    return np.where((picture.labels_HW == index + 1)[..., None], picture.image_HW3, picture.blurred_HW3)


def draw_views(pictures: Sequence[Picture], rng: np.random.Generator) -> list[View]:
    """One batch of views, half of them mirrored together with their words."""
    views: list[View] = []
    while len(views) < BLUR_VIEWS:
        views += blur_views(_pick(rng, pictures), rng)
    del views[BLUR_VIEWS:]
    views += [crop_view(_pick(rng, pictures), rng) for _ in range(CROP_VIEWS)]
    views += [scene_view(_pick(rng, pictures), rng) for _ in range(SCENE_VIEWS)]
    return [mirrored(view) if rng.random() < 0.5 else view for view in views]


def blur_views(picture: Picture, rng: np.random.Generator) -> list[View]:
    """All objects of one class with their sentences (hard negatives of each other), or any single object."""
    groups = picture.groups()
    if groups and rng.random() < 0.5:
        members = [i for i in _pick(rng, groups) if picture.things[i].sentences]
        return [_named(prompted(picture, i), picture.things[i], rng, prompt_share=0.0) for i in members]
    index = int(rng.integers(len(picture.things)))
    return [_named(prompted(picture, index), picture.things[index], rng, prompt_share=PROMPT_SHARE["blur"])]


def crop_view(picture: Picture, rng: np.random.Generator) -> View:
    """An object with 5 to 50 % of margin, called by what a crop still shows."""
    thing = _pick(rng, picture.things)
    x0, y0, x1, y1 = thing.box
    left, top, right, bottom = rng.uniform(0.05, 0.5, 4) * np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0])
    height, width = picture.image_HW3.shape[:2]
    rows = slice(max(0, int(y0 - top)), min(height, int(y1 + bottom) + 1))
    columns = slice(max(0, int(x0 - left)), min(width, int(x1 + right) + 1))
    shown = tuple(item for item in thing.sentences if item.kinds <= INTRINSIC)
    return _named(picture.image_HW3[rows, columns], thing, rng, prompt_share=PROMPT_SHARE["crop"], sentences=shown)


def scene_view(picture: Picture, rng: np.random.Generator) -> View:
    """A whole scene, called by up to three of its objects: "the red car and the dog"."""
    picks = rng.permutation(len(picture.things))[: rng.integers(1, 4)]
    texts = []
    for index in picks:
        shown = [item.text for item in picture.things[index].sentences if item.kinds <= INTRINSIC]
        texts.append(_pick(rng, shown) if shown else f"the {picture.things[index].category}")
    names = frozenset[str]().union(*(thing.names for thing in picture.things))
    return View(image_HW3=picture.image_HW3, text=" and ".join(texts), noun="", names=names)


def mirrored(view: View) -> View:
    """Left and right exchanged, in the image and in the text."""
    text = " ".join(MIRRORED.get(word, word) for word in view.text.split())
    return View(image_HW3=view.image_HW3[:, ::-1], text=text, noun=view.noun, names=view.names)


def _named(
    image_HW3: Image,
    thing: Thing,
    rng: np.random.Generator,
    *,
    prompt_share: float,
    sentences: tuple[Expression, ...] | None = None,
) -> View:
    """The image with one of the sentences (all of the object's own, if not given) or with a class prompt."""
    sentences = thing.sentences if sentences is None else sentences
    if sentences and rng.random() >= prompt_share:
        text = _pick(rng, sentences).text
        return View(image_HW3=image_HW3, text=text, noun=_bare_noun(text), names=thing.names)
    noun = _pick(rng, thing.nouns)
    word = TYPOS.get(noun, noun) if rng.random() < TYPO_SHARE else noun
    return View(image_HW3=image_HW3, text=f"a photo of a {word}", noun=noun, names=thing.names)


def _bare_noun(text: str) -> str:
    """The class word of "the dog", or "" if the text says more."""
    for article in ARTICLES:
        text = text.removeprefix(article)
    return text if any(text in words for words in SYNONYMS.values()) else ""


def _pick(rng: np.random.Generator, options: Sequence[_T]) -> _T:
    return options[int(rng.integers(len(options)))]
