from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest

from resources.toyref.expressions import POSITION_WORDS, STYLES, SYNONYMS, Expression, Style, describe, vocabulary
from resources.toyref.scenes import CLASSES, FRAMINGS, Framing, Scene, SceneObject, render_scene
from tests.resources.toyref.reading import meant

Said = tuple[Style, Scene, SceneObject, list[Expression]]


@pytest.fixture(scope="module")
def said() -> list[Said]:
    return list(_said(range(80)))


def _said(seeds: range, framing: Framing = "close", shared: float = 0.0) -> Iterator[Said]:
    for seed in seeds:
        scene = render_scene(seed, focus=("any", "people", "things")[seed % 3], framing=framing)
        rng = np.random.default_rng(seed)
        for style in STYLES:
            for index, thing in enumerate(scene.objects):
                yield style, scene, thing, describe(scene, index, style=style, rng=rng, shared=shared)


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_second_reader_finds_exactly_the_object_that_was_meant(framing: Framing) -> None:
    said = list(_said(range(80), framing, shared={"wide": 0.0, "close": 0.6}[framing]))
    wrong = [
        (scene.seed, style, item.text)
        for style, scene, thing, expressions in said
        for item in expressions
        if (found := meant(item.text, scene)) != [thing] or not found
    ]
    assert wrong == []


@pytest.mark.parametrize(("shared", "least", "most"), [(0.0, 0.0, 0.15), (0.6, 0.42, 0.58)])
def test_siblings_share_their_cue_as_often_as_is_asked_for(shared: float, least: float, most: float) -> None:
    pairs = [pair for *_, found in _said(range(60), "close", shared) for pair in combinations(found, 2)]
    assert least < np.mean([one.cue == two.cue for one, two in pairs]) < most
    assert all(one.text != two.text for one, two in pairs)


def test_the_second_reader_can_disagree(said: list[Said]) -> None:
    """Sentences of one scene are mostly not true of one object of another."""
    pairs = zip(said, said[40:], strict=False)
    hits = [meant(item.text, scene) == [thing] for (*_, found), (_, scene, thing, _) in pairs for item in found]
    assert np.mean(hits) < 0.1


def test_the_same_generator_gives_the_same_sentences() -> None:
    scene = render_scene(11)
    once, again = (describe(scene, 0, style="toyref", rng=np.random.default_rng(5)) for _ in range(2))
    assert once == again
    assert once


def test_objects_have_about_three_different_sentences(said: list[Said]) -> None:
    for style in STYLES:
        counts = [len(expressions) for name, _, _, expressions in said if name == style]
        assert np.mean(counts) > 2.6
        assert max(counts) == 3
    assert all(len({item.text for item in expressions}) == len(expressions) for *_, expressions in said)


def test_vocabulary_covers_every_word_and_is_sorted(said: list[Said]) -> None:
    words = vocabulary()
    assert list(words) == sorted(set(words))
    used = {word for *_, expressions in said for item in expressions for word in item.text.split()}
    assert used <= set(words)
    assert all(word == word.lower() and word.isalpha() for word in words)


def test_toyref_plus_has_no_word_of_absolute_position(said: list[Said]) -> None:
    banned = {*POSITION_WORDS, "far", "from", "second", "third", "above", "below", "lft", "rigth", "midle"}
    for style, _, _, expressions in said:
        for item in expressions:
            if style == "toyref+":
                assert not banned & set(item.text.split())
                assert "position" not in item.kinds


def test_half_of_the_short_sentences_use_a_position(said: list[Said]) -> None:
    cues = [item.kinds for style, _, _, expressions in said for item in expressions if style == "toyref"]
    assert 0.42 < np.mean(["position" in kinds for kinds in cues]) < 0.6


def test_cues_agree_with_the_words(said: list[Said]) -> None:
    sizes = {"small", "smallest", "little", "big", "large", "biggest", "tall", "tallest", "smal"}
    for *_, expressions in said:
        for item in expressions:
            assert ("size" in item.kinds) == bool(sizes & set(item.text.split()))
            assert item.kinds


def test_styles_differ_in_length(said: list[Said]) -> None:
    lengths = {
        style: np.mean([len(item.text.split()) for name, *_, found in said for item in found if name == style])
        for style in STYLES
    }
    assert lengths["toyrefg"] > 6 > 5 > max(lengths["toyref"], lengths["toyref+"])


def test_every_class_has_words_and_every_synonym_is_used(said: list[Said]) -> None:
    assert set(SYNONYMS) == set(CLASSES)
    used = " ".join(item.text for *_, expressions in said for item in expressions)
    assert [word for words in SYNONYMS.values() for word in words if word not in used] == []


def test_a_few_words_are_misspelt(said: list[Said]) -> None:
    from resources.toyref.realisation import TYPOS

    texts = [item.text for *_, expressions in said for item in expressions]
    share = np.mean([bool(set(TYPOS.values()) & set(text.split())) for text in texts])
    assert 0.005 < share < 0.03


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(ValueError, match="toyrefg"):
        describe(render_scene(0), 0, style="refcoco", rng=np.random.default_rng(0))  # type: ignore[arg-type]
