"""Noun rules, on hand-made parses in both label sets (no spaCy model needed)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from ops.ssc.nouns import MAX_CHARACTERS, noun_phrases


@dataclass
class Word:
    text: str
    pos_: str
    dep_: str
    tag_: str = "NN"
    i: int = 0
    lefts_: list["Word"] = field(default_factory=list)

    @property
    def lefts(self) -> Iterator["Word"]:
        return iter(self.lefts_)

    @property
    def subtree(self) -> Iterator["Word"]:
        return iter([*self.lefts_, self])


class Parser:
    """Parses by looking words up: {word: (pos, dep, tag)}; remembers what it was asked."""

    def __init__(self, **known: tuple[str, str, str]) -> None:
        self.known = {"the": ("DET", "det", "DT"), ".": ("PUNCT", "punct", ".")} | known
        self.calls: list[list[str]] = []

    def __call__(self, texts: Iterable[str]) -> list[list[Word]]:
        batch = list(texts)
        self.calls.append(batch)
        return [[self.word(i, w) for i, w in enumerate(text.replace(".", " .").split())] for text in batch]

    def word(self, place: int, text: str) -> Word:
        pos, dep, tag = self.known.get(text, ("X", "dep", "FW"))
        return Word(text=text, pos_=pos, dep_=dep, tag_=tag, i=place)


ZEBRA = {"zebra": ("NOUN", "ROOT", "NN"), "eating": ("VERB", "acl", "VBG"), "grass": ("NOUN", "obj", "NN")}


@pytest.mark.parametrize("label", ["ROOT", "root", "nsubj"])
def test_roots_and_subjects_are_key_nouns_in_both_label_sets(label: str) -> None:
    parse = Parser(**(ZEBRA | {"zebra": ("NOUN", label, "NN")}))
    assert noun_phrases(["zebra eating grass"], parse) == [["zebra"]]


def test_proper_nouns_count_among_key_words_but_not_in_the_fallback() -> None:
    assert noun_phrases(["obama"], Parser(obama=("PROPN", "ROOT", "NNP"))) == [["obama"]]
    parse = Parser(left=("ADJ", "ROOT", "JJ"), obama=("PROPN", "nmod", "NNP"), guy=("NOUN", "obj", "NN"))
    assert noun_phrases(["left obama guy"], parse) == [["guy"]]


@pytest.mark.parametrize("label", ["nsubjpass", "nsubj:pass", "nsubj:outer"])
def test_subjects_of_other_kinds_are_no_key_nouns(label: str) -> None:
    parse = Parser(dog=("NOUN", label, "NN"), hit=("VERB", "ROOT", "VBN"), car=("NOUN", "nsubj", "NN"))
    assert noun_phrases(["dog hit car"], parse) == [["car"]]


def test_several_key_nouns_keep_order_and_repetitions() -> None:
    parse = Parser(man=("NOUN", "nsubj", "NN"), dog=("NOUN", "ROOT", "NN"))
    assert noun_phrases(["dog man man"], parse) == [["dog", "man", "man"]]


def test_every_text_is_read_behind_the_article_in_one_batch() -> None:
    parse = Parser(**ZEBRA)
    noun_phrases(["zebra", "the zebra", "a zebra", "zebra"], parse)
    assert parse.calls == [["the zebra", "the zebra", "the a zebra"]]


def test_only_the_very_token_the_spares_the_article() -> None:
    parse = Parser(there=("ADV", "advmod", "RB"), zebra=("NOUN", "ROOT", "NN"))
    assert noun_phrases(["there zebra"], parse) == [["zebra"]]
    assert parse.calls == [["there zebra"], ["the there zebra"]]


def test_without_any_noun_the_chunk_grammar_is_asked() -> None:
    parse = Parser(red=("ADJ", "ROOT", "JJ"), thing=("X", "dep", "NN"))
    assert noun_phrases(["red thing"], parse) == [["red thing"]]
    assert parse.calls == [["the red thing"], ["red thing."]]


def test_nothing_at_all_gives_an_empty_list() -> None:
    assert noun_phrases(["", "  ", "x y"], Parser()) == [[], [], []]
    assert noun_phrases([], Parser()) == []


MEN = {
    "big": ("ADJ", "amod", "JJ"),
    "man": ("NOUN", "ROOT", "NN"),
    "dog": ("NOUN", "nmod", "NN"),
    "with": ("ADP", "case", "IN"),
}


def test_the_nltk_rule_returns_phrases_and_splits_at_prepositions() -> None:
    assert noun_phrases(["big man with the big dog."], Parser(**MEN), rule="nltk") == [["big man", "big dog"]]


def test_a_repeated_phrase_is_dropped_and_glued_only_for_compatibility() -> None:
    sentence = ["man with man with big dog"]
    assert noun_phrases(sentence, Parser(**MEN), rule="nltk") == [["man", "big dog"]]
    assert noun_phrases(sentence, Parser(**MEN), rule="nltk", compat=True) == [["man", "man big dog"]]


def test_the_nltk_rule_falls_back_to_the_spacy_rule() -> None:
    parse = Parser(zebra=("NOUN", "ROOT", "FW"))
    assert noun_phrases(["zebra"], parse, rule="nltk") == [["zebra"]]


def test_the_chunk_rule_keeps_modifiers_and_drops_determiners() -> None:
    the, two, fire = Word("the", "DET", "det"), Word("two", "NUM", "nummod", i=1), Word("fire", "NOUN", "compound", i=2)
    hydrant = Word("hydrants", "NOUN", "ROOT", i=3, lefts_=[the, two, fire])
    assert noun_phrases(["the two fire hydrants"], lambda _: [[the, two, fire, hydrant]], rule="chunk") == [
        ["two fire hydrants"]
    ]


def test_the_chunk_rule_names_a_noun_inside_a_chunk_only_once() -> None:
    the, fire = Word("the", "DET", "det"), Word("fire", "NOUN", "compound", i=1)
    hydrant, near = Word("hydrant", "NOUN", "obl", i=2, lefts_=[the, fire]), Word("near", "ADP", "ROOT", i=3)
    assert noun_phrases(["the fire hydrant near"], lambda _: [[the, fire, hydrant, near]], rule="chunk") == [
        ["fire hydrant"]
    ]


def test_absurd_lengths_and_unknown_rules_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expression 1 has .* shorten it or leave it out"):
        noun_phrases(["dog", "a" * (MAX_CHARACTERS + 1)], Parser())
    with pytest.raises(ValueError, match="no noun rule 'stanza'"):
        noun_phrases(["dog"], Parser(), rule="stanza")  # type: ignore[arg-type]
