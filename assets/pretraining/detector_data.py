"""Toy scenes and captions for training the small Grounding DINO: what it is asked and what the right answer is.

Scenes come from seeds that no split of toyref uses. Belongs here: data. The loss is in `detector_losses.py`, the
schedule in `detector.py`.

Shapes: B images, M objects, T tokens, h x w pixels after resizing.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import BertTokenizer

from assets.pretraining.detector_losses import Targets
from ops.ssc.captions import token_spans
from resources.models.grounding_dino import DetectorSizes, normalise, resized_shape
from resources.toyref.expressions import describe
from resources.toyref.predicates import SYNONYMS, named_by
from resources.toyref.scenes import CLASSES, Scene, SceneObject, render_scene

SENTENCE_SHARE = 0.10
SINGLE_SHARE = 0.20
SYNONYM_SHARE = 0.25
LEFT_OUT_SHARE = 0.30
ABSENT_SHARE = 0.20
MAX_ABSENT = 3
STYLES: tuple[Literal["toyref", "toyref+", "toyrefg"], ...] = ("toyref", "toyref+", "toyrefg")

WORDS: tuple[str, ...] = tuple(dict.fromkeys([*CLASSES, *(word for words in SYNONYMS.values() for word in words)]))
"""The nouns of toyref, the class names first."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One scene, resized as the detector will see it."""

    pixels_hw3: NDArray[np.uint8]
    boxes_M4: NDArray[np.float32]
    """Centre x, centre y, width, height as fractions of the image."""
    named_MW: NDArray[np.bool_]
    """Which of `WORDS` may be said of each object."""
    sentences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A caption and the word that each of its phrases is."""

    text: str
    phrases: tuple[tuple[int, int, int], ...]
    """First character, end, index into `WORDS`."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images of one shape (so that nothing is padded), their captions and what these ask for."""

    pixels_B3hw: Tensor
    captions: tuple[str, ...]
    targets: Targets


def prepare_scene(scene: Scene, sentences: Sequence[str], *, sizes: DetectorSizes) -> Sample:
    """Resize a scene and express its boxes as fractions."""
    full_height, full_width = scene.image_HW3.shape[:2]
    height, width = resized_shape(full_height, full_width, sizes=sizes)
    resized = Image.fromarray(scene.image_HW3).resize((width, height), Image.Resampling.BILINEAR)
    corners_M4 = np.array([thing.box for thing in scene.objects], dtype=np.float32)
    corners_M4 /= np.array([full_width, full_height, full_width, full_height], dtype=np.float32)
    low_M2, high_M2 = corners_M4[:, :2], corners_M4[:, 2:]
    return Sample(
        pixels_hw3=np.array(resized),
        boxes_M4=np.concatenate([(low_M2 + high_M2) / 2, high_M2 - low_M2], axis=1),
        named_MW=np.array([[_names(word, thing) for word in WORDS] for thing in scene.objects]),
        sentences=tuple(sentences),
    )


class Asker:
    """Makes up captions for scenes."""

    def __init__(self) -> None:
        longest_first = sorted(WORDS, key=len, reverse=True)
        self._pattern = re.compile(r"\b(" + "|".join(map(re.escape, longest_first)) + r")\b")

    def ask(self, sample: Sample, rng: np.random.Generator) -> Question:
        """A caption for a scene: mostly class names, sometimes synonyms, a single one, or a whole sentence.

        Classes that are asked for without being there, and classes that are there without being asked for, teach the
        detector to read.
        """
        if sample.sentences and rng.random() < SENTENCE_SHARE:
            question = self._sentence(sample.sentences[rng.integers(len(sample.sentences))])
            if question.phrases:
                return question
        words = self._classes(sample, rng)
        if rng.random() < SYNONYM_SHARE:
            options = [(word, *SYNONYMS[word]) for word in words]
            words = [choice[rng.integers(len(choice))] for choice in options]
        ends = list(itertools.accumulate(len(word) + len(" . ") for word in words))
        starts = [0, *ends[:-1]]
        phrases = tuple(
            (start, start + len(word), WORDS.index(word)) for start, word in zip(starts, words, strict=True)
        )
        return Question(text=" . ".join(words) + " .", phrases=phrases)

    def _classes(self, sample: Sample, rng: np.random.Generator) -> list[str]:
        present = [name for index, name in enumerate(CLASSES) if sample.named_MW[:, index].any()]
        absent = [name for name in CLASSES if name not in present]
        if rng.random() < SINGLE_SHARE:
            pool = absent if rng.random() < ABSENT_SHARE else present
            return [pool[rng.integers(len(pool))]]
        if len(present) > 1 and rng.random() < LEFT_OUT_SHARE:
            del present[rng.integers(len(present))]
        chosen = [*present, *rng.choice(absent, size=rng.integers(MAX_ABSENT + 1), replace=False).tolist()]
        return [chosen[index] for index in rng.permutation(len(chosen))]

    def _sentence(self, sentence: str) -> Question:
        text = sentence.lower().replace(".", " ").replace("?", " ").strip() + " ."
        found = self._pattern.finditer(text)
        return Question(text=text, phrases=tuple((m.start(), m.end(), WORDS.index(m.group())) for m in found))


class BatchDrawer:
    """Augmented batches of samples of one shape, which are drawn in proportion to how many there are."""

    def __init__(self, samples: Sequence[Sample], tokenizer: BertTokenizer, *, size: int) -> None:
        """Sort the samples by shape.

        Raises:
            ValueError: no shape has enough samples for a batch.
        """
        self.samples, self.tokenizer, self.size = samples, tokenizer, size
        self.asker = Asker()
        groups: dict[tuple[int, ...], list[int]] = {}
        for number, sample in enumerate(samples):
            groups.setdefault(sample.pixels_hw3.shape, []).append(number)
        self.groups = [np.array(members) for _, members in sorted(groups.items()) if len(members) >= size]
        if not self.groups:
            raise ValueError(f"{len(samples)} samples, of which no {size} share a shape: draw more")

    def draw(self, rng: np.random.Generator) -> Batch:
        """A batch without repeated samples."""
        counts = np.array([len(members) for members in self.groups])
        members = self.groups[int(rng.choice(len(counts), p=counts / counts.sum()))]
        chosen = rng.choice(members, self.size, replace=False)
        return make_batch([self.samples[i] for i in chosen], self.asker, self.tokenizer, rng)


def make_batch(samples: Sequence[Sample], asker: Asker, tokenizer: BertTokenizer, rng: np.random.Generator) -> Batch:
    """Augment samples of one shape, ask a question about each, and work out which tokens each object answers to."""
    questions = [asker.ask(sample, rng) for sample in samples]
    encoding = tokenizer([question.text for question in questions], padding="longest", return_offsets_mapping=True)
    pixels, images, boxes, positives = [], [], [], []
    for image, (sample, question) in enumerate(zip(samples, questions, strict=True)):
        pixels_hw3, boxes_M4 = _augment(sample, rng)
        pixels.append(torch.from_numpy(pixels_hw3).permute(2, 0, 1))
        positive_MT = _positive_tokens(sample, question, encoding["offset_mapping"][image])
        asked_M = positive_MT.any(axis=1)
        images += [image] * int(asked_M.sum())
        boxes.append(boxes_M4[asked_M])
        positives.append(positive_MT[asked_M])
    return Batch(
        pixels_B3hw=normalise(torch.stack(pixels)),
        captions=tuple(question.text for question in questions),
        targets=Targets(
            image_M=torch.tensor(images, dtype=torch.int64),
            boxes_M4=torch.from_numpy(np.concatenate(boxes)),
            positive_MT=torch.from_numpy(np.concatenate(positives)),
        ),
    )


def _positive_tokens(sample: Sample, question: Question, offsets_T: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """(M, T): the tokens of every phrase that names the object."""
    positive_MT = np.zeros((len(sample.named_MW), len(offsets_T)), dtype=np.bool_)
    spans = [(start, end) for start, end, _ in question.phrases]
    for tokens, (_, _, word) in zip(token_spans(offsets_T, spans), question.phrases, strict=True):
        positive_MT[:, list(tokens)] |= sample.named_MW[:, word, None]
    return positive_MT


def _names(word: str, thing: SceneObject) -> bool:
    return word == thing.category or named_by(word, thing)


def _augment(sample: Sample, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Mirror half of the images, permute the colours of some, change the exposure of all."""
    pixels_hw3, boxes_M4 = sample.pixels_hw3.astype(np.float32), sample.boxes_M4.copy()
    if rng.random() < 0.5:
        pixels_hw3 = pixels_hw3[:, ::-1]
        boxes_M4[:, 0] = 1 - boxes_M4[:, 0]
    if rng.random() < 0.3:
        pixels_hw3 = pixels_hw3[..., rng.permutation(3)]
    pixels_hw3 = pixels_hw3 * np.float32(rng.uniform(0.85, 1.15)) + np.float32(rng.uniform(-15, 15))
    return np.ascontiguousarray(pixels_hw3.clip(0, 255).astype(np.uint8)), boxes_M4


def draw_samples(seeds: Sequence[int], *, sizes: DetectorSizes) -> list[Sample]:
    """Draw the scenes of `seeds`, each with some sentences about its objects."""
    samples = []
    for seed in seeds:
        scene = render_scene(seed)
        rng = np.random.default_rng(seed)
        style = STYLES[seed % len(STYLES)]
        sentences = [
            told.text for index in range(len(scene.objects)) for told in describe(scene, index, style=style, rng=rng)
        ]
        samples.append(prepare_scene(scene, sentences, sizes=sizes))
    return samples
