"""The embedded parser on real English, its training data, and the share of expressions whose noun is found."""

import json
import random
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import spacy

from assets.pretraining import parser as script
from assets.pretraining.parser import batches, example, rate
from assets.pretraining.treebank import (
    ROOT,
    Tree,
    children,
    fragments,
    read_conllu,
    reduced_clause,
    reduced_copula,
)
from assets.pretraining.treebank_augmentation import (
    adorn,
    disguise,
    graft,
    misspelt,
    modifiers,
    training_stream,
    with_the,
)
from ops.evaluation.noun_hits import evaluate_nouns
from ops.ssc.nouns import noun_phrases
from resources.datasets.class_pairs import read_class_pairs
from resources.models.refs import ModelRef
from resources.models.spacy_parser import load_parser, parse_all, parse_words
from tests.paths import SHARED

DATA = SHARED / "data"
PAIRS = DATA / "class_projection/expression_to_coco_class.csv"
TREEBANK = DATA / "UD_English-EWT"

MAN = """\
# text = The man isn't eating grass.
1\tThe\tthe\tDET\tDT\tDefinite=Def\t2\tdet\t_\t_
2\tman\tman\tNOUN\tNN\tNumber=Sing\t5\tnsubj\t_\t_
3-4\tisn't\t_\t_\t_\t_\t_\t_\t_\t_
3\tis\tbe\tAUX\tVBZ\t_\t5\taux\t_\t_
4\tn't\tnot\tPART\tRB\t_\t5\tadvmod\t_\t_
5\teating\teat\tVERB\tVBG\t_\t0\troot\t_\t_
6\tgrass\tgrass\tNOUN\tNN\t_\t5\tobj\t_\tSpaceAfter=No
6.1\tempty\t_\t_\t_\t_\t_\t_\t_\t_
7\t.\t.\tPUNCT\t.\t_\t5\tpunct\t_\t_

1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_
2\tdog\tdog\tNOUN\tNN\t_\t6\tnsubj\t_\t_
3\tis\tbe\tAUX\tVBZ\t_\t6\tcop\t_\t_
4\tin\tin\tADP\tIN\t_\t6\tcase\t_\t_
5\tthe\tthe\tDET\tDT\t_\t6\tdet\t_\t_
6\thouse\thouse\tNOUN\tNN\t_\t0\troot\t_\t_
"""


@pytest.fixture(scope="module")
def nlp() -> spacy.Language:
    return load_parser()


@pytest.fixture
def trees(tmp_path: Path) -> list[Tree]:
    path = tmp_path / "some.conllu"
    path.write_text(MAN)
    return list(read_conllu(path))


def text(tree: Tree | None) -> str:
    assert tree is not None
    return " ".join(f"<{word.form}>" if word.head == ROOT else word.form for word in tree)


def test_conllu_is_read_without_empty_nodes_and_with_the_spaces_of_the_text(trees: list[Tree]) -> None:
    assert [word.form for word in trees[0]] == ["The", "man", "is", "n't", "eating", "grass", "."]
    assert [word.head for word in trees[0]] == [1, 4, 4, 4, ROOT, 4, 4]
    assert [word.space_after for word in trees[0]] == [True, True, False, True, True, False, True]


def test_clauses_shrink_to_their_subject(trees: list[Tree]) -> None:
    assert text(reduced_clause(trees[0], children(trees[0]), 4)) == "The <man> eating grass"
    assert text(reduced_copula(trees[1], children(trees[1]), 5)) == "The <dog> in the house"
    assert reduced_copula(trees[0], children(trees[0]), 4) is None


def test_every_noun_gives_a_phrase_without_its_preposition(trees: list[Tree]) -> None:
    assert sorted(map(text, fragments(trees[1]))) == ["The <dog>", "The <dog> in the house", "the <house>"]


def test_modifiers_and_predicates_can_be_grafted_on_other_phrases(trees: list[Tree]) -> None:
    parts = modifiers([phrase for tree in trees for phrase in fragments(tree)])
    assert {kind: [text(part) for part in found] for kind, found in parts.items()} == {
        "acl VBG": ["<eating> grass"],
        "nmod": ["in the <house>"],
    }
    house = next(phrase for phrase in fragments(trees[1]) if text(phrase) == "the <house>")
    grown = graft(house, "acl VBG", parts["acl VBG"][0])
    assert text(grown) == "the <house> eating grass"
    assert [(word.head, word.label) for word in grown] == [(1, "det"), (ROOT, "root"), (1, "acl"), (2, "obj")]
    clause = graft(house, "nsubj", parts["acl VBG"][0])
    assert text(clause) == "the house <eating> grass"
    assert [word.head for word in clause] == [1, 2, ROOT, 2]


def test_adjectives_are_joined_in_front_of_the_noun(trees: list[Tree]) -> None:
    red = replace(trees[1][0], form="red")
    joint = replace(red, form="and")
    house = next(phrase for phrase in fragments(trees[1]) if text(phrase) == "the <house>")
    grown = adorn(house, [red, replace(red, form="white")], joint)
    assert text(grown) == "the red and white <house>"
    assert [(word.head, word.label) for word in grown[:4]] == [(4, "det"), (4, "amod"), (3, "cc"), (1, "conj")]


def test_misspelt_words_keep_their_ends_and_short_ones_stay() -> None:
    found = {misspelt("zebras", random.Random(seed)) for seed in range(50)}
    assert "zebras" not in found
    assert len(found) > 8
    assert all(word[0] == "z" and abs(len(word) - 6) <= 1 for word in found)
    assert misspelt("dog", random.Random(0)) == "dog"


def test_the_stands_before_the_opening_noun_phrase(trees: list[Tree]) -> None:
    grown = with_the(trees[0])
    assert text(grown) == "the The man is n't <eating> grass ."
    assert (grown[0].head, grown[0].label) == (2, "det")


def test_disguises_keep_one_root_and_the_seed_fixes_the_stream(trees: list[Tree]) -> None:
    rng = random.Random(0)
    assert (
        text(disguise(trees[0], rng, article=1, marks=1, capitals=1, the=1, typos=0)) == "the man is n't <eating> grass"
    )
    first, again = ([text(t) for t in islice(training_stream(trees, seed=5), 40)] for _ in range(2))
    assert first == again
    assert all(line.count("<") == 1 for line in first)


def test_batches_have_the_words_asked_for_and_the_rate_ends_at_zero(trees: list[Tree]) -> None:
    sizes = [sum(map(len, batch)) for batch in islice(batches(iter(trees * 20), words=30), 5)]
    assert all(30 <= size < 37 for size in sizes)
    assert rate(0, 1000) < rate(199, 1000) > rate(600, 1000) > rate(999, 1000) > 0 == rate(1000, 1000)


def test_examples_label_the_root_as_english_models_do(trees: list[Tree]) -> None:
    gold = example(spacy.blank("en"), trees[0]).reference
    assert [token.dep_ for token in gold if token.head.i == token.i] == ["ROOT"]
    assert gold.text == "The man isn't eating grass. "


def test_the_training_script_writes_the_same_loadable_parser_for_the_same_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, times in (("train", 40), ("dev", 2)):  # the parser leaves out what is rarer than 30
        (tmp_path / f"some-{part}.conllu").write_text((MAN + "\n") * times)
    monkeypatch.setattr(script, "STEPS_PER_MINUTE", 3)
    lines: list[str] = []
    for name in ("one", "two"):
        scores = script.train(tmp_path / name, minutes=1, seed=3, log=lines.append, treebank=tmp_path)
    assert json.loads((tmp_path / "one/card.json").read_text())["scores"] == scores
    weights = [(tmp_path / name / "tok2vec/model").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]
    assert [token.pos_ != "" for token in load_parser(tmp_path / "two")("the man")] == [True, True]


def test_the_parser_sets_tags_parts_of_speech_and_one_root_per_simple_phrase(nlp: spacy.Language) -> None:
    (doc,) = parse_all(nlp, ["the small dog"])
    assert [token.pos_ for token in doc] == ["DET", "ADJ", "NOUN"]
    assert [token.tag_ for token in doc] == ["DT", "JJ", "NN"]
    assert [token.dep_ for token in doc] == ["det", "amod", "ROOT"]


@pytest.mark.parametrize(
    ("sentence", "nouns"),
    [
        ("man in red shirt", ["man"]),
        ("zebra eating grass", ["zebra"]),
        ("a woman is holding an umbrella", ["woman"]),
        ("the black dog that is lying on the bed", ["dog"]),
        ("left guy", ["guy"]),
    ],
)
def test_typical_expressions_give_their_noun(nlp: spacy.Language, sentence: str, nouns: list[str]) -> None:
    assert noun_phrases([sentence], partial(parse_all, nlp)) == [nouns]


def test_a_batch_gives_what_single_sentences_give(nlp: spacy.Language) -> None:
    sentences = ["man in red shirt", "the bus", "closest", "a giraffe bending down", "there", "guy left"]
    parse = partial(parse_all, nlp)
    assert noun_phrases(sentences, parse) == [noun_phrases([sentence], parse)[0] for sentence in sentences]


@pytest.mark.parametrize("rule", ["spacy", "nltk", "chunk"])
def test_odd_texts_are_survived(nlp: spacy.Language, rule: str) -> None:
    odd = [
        "",
        " ",
        "\n\t",
        ".",
        "the",
        "😀🐶🚗",
        "穿红色衬衫的男人",
        "<b>{x}</b>",
        "\u200b\u202e",
        "a\x00b",
        "'" * 50,
        "?!",
    ]
    found = noun_phrases([*odd, "dog " * 10_000], partial(parse_all, nlp), rule=rule)  # type: ignore[arg-type]
    assert len(found) == len(odd) + 1
    assert found[0] == found[1] == []


def test_a_missing_pipeline_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="python -m spacy download en_core_web_none"):
        load_parser("en_core_web_none")
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(ValueError, match="has no tagger, parser; the noun rules need"):
        load_parser(tmp_path / "blank")


def test_the_card_names_the_treebank_its_licence_and_the_scores() -> None:
    folder = ModelRef("parser").path()
    card = json.loads((folder / "card.json").read_text())
    assert "UD_English-EWT" in card["data"]
    assert "CC BY-SA 4.0" in card["licence"]
    assert card["scores"]["las"] > 0.74
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 7_000_000
    assert not any(b"/home/" in p.read_bytes() or b"/tmp/" in p.read_bytes() for p in folder.glob("*.*"))


@pytest.mark.skipif(not PAIRS.is_file(), reason="data/class_projection is not beside the project")
def test_nine_of_ten_real_expressions_give_a_synonym_of_their_class(nlp: spacy.Language) -> None:
    labelled = read_class_pairs(PAIRS)
    nouns = noun_phrases([label.expression for label in labelled.expressions], partial(parse_all, nlp))
    found = evaluate_nouns(labelled.expressions, nouns, labelled.synonyms)
    assert found.overall.value >= 0.9
    assert found.one_word.value >= 0.9
    assert sum(share.rows for share in found.datasets.values()) == found.overall.rows
    assert sum(failure.count for failure in found.failures) == found.overall.rows - found.overall.hits
    assert labelled.synonyms["person"][0] == "person"


@pytest.mark.skipif(not TREEBANK.is_dir(), reason="data/UD_English-EWT is not beside the project")
def test_the_development_file_has_the_sentences_it_states() -> None:
    found = list(read_conllu(TREEBANK / "en_ewt-ud-dev.conllu.gz"))
    assert (len(found), sum(map(len, found))) == (2001, 25147)


def test_words_stay_the_tokens_of_a_parse(nlp: spacy.Language) -> None:
    sentences = [("cannot", "left-most", "guy's"), ("man", "behind", "the", "bus")]
    docs = list(parse_words(nlp, sentences))
    assert [tuple(token.text for token in doc) for doc in docs] == sentences
    assert docs[1][1].head.text == "bus"
