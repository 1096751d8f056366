"""From the trees of a treebank to what annotators type: grafted phrases in random disguises.

A graft joins parts of different trees ("the tax liability standing in the house"): grammar without sense, so that
grammar is what is learned. Every change keeps the tree a tree.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from assets.pretraining.treebank import (
    CLAUSE_LABELS,
    NOMINAL,
    ROOT,
    Tree,
    Word,
    children,
    cut,
    fragments,
    subtree,
    without_marks,
)


def root_of(tree: Tree) -> int:
    """Index of the root."""
    return next(i for i, word in enumerate(tree) if word.head == ROOT)


def bases(phrases: Sequence[Tree], *, longest: int = 4) -> list[Tree]:
    """The short phrases that end with their common noun: what a modifier can be grafted on."""
    return [
        phrase for phrase in phrases if phrase[-1].head == ROOT and phrase[-1].upos == "NOUN" and len(phrase) <= longest
    ]


def modifiers(phrases: Sequence[Tree], *, longest: int = 9) -> dict[str, list[Tree]]:
    """What follows a noun and modifies it: "eating grass", "held by him", "who is left", "in the house", "close to us".

    Keys are dependency labels; clauses without a subject are kept apart by their verb's form ("acl VBG").
    """
    found: dict[str, list[Tree]] = {}
    for phrase in phrases:
        below = children(phrase)
        root = root_of(phrase)
        for child in below[root]:
            keep = subtree(below, child)
            label = phrase[child].label
            if label in {"acl", "acl:relcl", "nmod", "amod"} and min(keep) > root and len(keep) <= longest:
                kind = f"acl {phrase[child].xpos}" if label == "acl" else label
                found.setdefault(kind, []).append(cut(phrase, keep, root=child, relabelled={}))
    return found


def predicates(trees: Sequence[Tree], *, longest: int = 9) -> list[Tree]:
    """Finite verbs with what follows them: "sits next to food"."""
    found = []
    for tree in trees:
        below = children(tree)
        for verb, word in enumerate(tree):
            if word.xpos in {"VBZ", "VBP", "VBD"} and word.upos == "VERB" and verb > 0:
                after = [child for child in below[verb] if child > verb and tree[child].label in CLAUSE_LABELS]
                keep = [verb, *(i for child in after for i in subtree(below, child))]
                if len(keep) <= longest:
                    found.append(without_marks(cut(tree, keep, root=verb, relabelled={})))
    return found


def graft(base: Tree, kind: str, part: Tree) -> Tree:
    """A noun phrase with `part` behind it: a modifier of its noun, or for the kind "nsubj" its verb."""
    noun, top = root_of(base), len(base) + root_of(part)
    shifted = tuple(word if word.head == ROOT else replace(word, head=word.head + len(base)) for word in part)
    whole = [*base, *shifted]
    if kind == "nsubj":
        whole[noun] = replace(whole[noun], head=top, label="nsubj")
    else:
        whole[top] = replace(whole[top], head=noun, label=kind.split()[0])
    return tuple(whole)


def reach(top: Word, noun_phrase: Tree, label: str, *, case: Word | None = None) -> Tree:
    """A word with a noun phrase behind it: "holding the bat" (label "obj"), "closest to us" ("obl" with a case)."""
    head = [replace(top, head=ROOT, label="root", space_after=True)]
    shift = 1 if case is None else 2
    if case is not None:
        head.append(replace(case, head=shift + root_of(noun_phrase), label="case", space_after=True))
    rest = (
        replace(word, head=0, label=label) if word.head == ROOT else replace(word, head=word.head + shift)
        for word in noun_phrase
    )
    return (*head, *rest)


def adorn(base: Tree, adjectives: Sequence[Word], joint: Word) -> Tree:
    """A phrase with adjectives in front of its noun and `joint` ("and") between the last two: "a red and white bus"."""
    noun = root_of(base)
    start = min([noun, *(i for i in children(base)[noun] if i < noun and base[i].label not in {"det", "nmod:poss"})])
    first = start
    added: list[Word] = []
    for place, adjective in enumerate(adjectives):
        if 0 < place == len(adjectives) - 1:
            added.append(replace(joint, head=start + len(added) + 1, label="cc"))
        head, label = (first, "conj") if place else (ROOT, "amod")
        added.append(replace(adjective, head=head, label=label, space_after=True))
    grown = [replace(w, head=w.head + len(added)) if w.head != ROOT and w.head >= start else w for w in base]
    added[0] = replace(added[0], head=noun + len(added))
    return (*grown[:start], *added, *grown[start:])


def lower(tree: Tree) -> Tree:
    """The tree in lower case."""
    return tuple(replace(word, form=word.form.lower()) for word in tree)


def without_articles(tree: Tree, *, all_of_them: bool) -> Tree:
    """The tree without the determiner it starts with, or without any "a", "an" and "the"."""
    heads = {word.head for word in tree}
    lost = {
        i
        for i, word in enumerate(tree)
        if word.label == "det" and i not in heads and (i == 0 or (all_of_them and word.lemma in {"a", "the"}))
    }
    root = next(i for i, word in enumerate(tree) if word.head == ROOT)
    return cut(tree, [i for i in range(len(tree)) if i not in lost], root=root, relabelled={}) if lost else tree


def with_the(tree: Tree) -> Tree:
    """The tree behind "the", as the noun rule reads expressions; unchanged where it starts with "the" or no noun."""
    noun = _opening_noun(tree)
    if noun is None or tree[0].form == "the":
        return tree
    the = Word(
        form="the", lemma="the", upos="DET", xpos="DT", feats="Definite=Def|PronType=Art", head=noun + 1, label="det"
    )
    return (the, *(word if word.head == ROOT else replace(word, head=word.head + 1) for word in tree))


def _opening_noun(tree: Tree) -> int | None:
    """The noun nearest to the root whose phrase starts with the first word."""
    below = children(tree)
    index, found = 0, None
    while index != ROOT and min(subtree(below, index)) == 0:
        if tree[index].upos in NOMINAL:
            found = index
        index = tree[index].head
    return found


def misspelt(word: str, rng: random.Random) -> str:
    """The word with one letter lost, doubled or swapped with the next; words of less than four letters stay."""
    if len(word) < 4 or not word.isalpha():
        return word
    place = rng.randrange(1, len(word) - 1)
    before, here, after = word[:place], word[place], word[place + 1 :]
    return before + rng.choice((after, here * 2 + after, after[0] + here + after[1:]))


def disguise(
    tree: Tree, rng: random.Random, *, article: float, marks: float, capitals: float, the: float, typos: float
) -> Tree:
    """The tree as an annotator might have typed it.

    Args:
        tree: what to change.
        rng: source of chance.
        article: probability that the first article is lost; in half of the cases all the others are, too.
        marks: probability that punctuation is lost.
        capitals: probability that capitals are lost.
        the: probability that "the" is put in front.
        typos: probability for each word to be misspelt; a word never seen must be read from its place, too.
    """
    if rng.random() < marks:
        tree = without_marks(tree)
    if rng.random() < article:
        tree = without_articles(tree, all_of_them=rng.random() < 0.5)
    if rng.random() < capitals:
        tree = lower(tree)
    tree = tuple(replace(word, form=misspelt(word.form, rng)) if rng.random() < typos else word for word in tree)
    return with_the(tree) if rng.random() < the else tree


GRAFTS = ("acl VBG", "acl VBG", "acl VBG", "acl VBN", "acl:relcl", "nmod", "nmod", "amod", "amod JJS")
"""Kinds of modifiers, as often as they are grafted: what people write about pictures, not what newspapers write."""


class Phrases:
    """Draws phrases from the trees of a treebank."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self.whole = [phrase for tree in trees for phrase in fragments(tree)]
        self.bases = bases(self.whole)
        self.modifiers = modifiers(self.whole)
        self.predicates = predicates(trees)
        self.adjectives = [word for tree in trees for word in tree if word.label == "amod" and word.xpos == "JJ"]
        words = [word for tree in trees for word in tree]
        self.words = {
            "acl VBG": [
                tree[w.head] for tree in trees for w in tree if w.label == "obj" and tree[w.head].xpos == "VBG"
            ],
            "amod JJS": [word for word in words if word.xpos == "JJS"],
        }
        self.cases = [word for word in words if word.label == "case" and word.upos == "ADP"]
        self.joints = [word for tree in trees for word in tree if word.lemma == "and" and word.label == "cc"]
        # single words teach little, long phrases with clauses teach where the root is
        self.weights = list(accumulate(0.15 if len(p) == 1 else min(len(p), 6) / 2 for p in self.whole))

    def natural(self, rng: random.Random) -> Tree:
        """A phrase that stands in the treebank."""
        return rng.choices(self.whole, cum_weights=self.weights)[0]

    def part(self, kind: str, rng: random.Random) -> Tree | None:
        """A modifier as it stands in the treebank, or one put together; None where the treebank has none."""
        whole, tops = self.modifiers.get(kind, []), self.words.get(kind, [])
        if tops and self.cases and rng.random() < (0.67 if whole else 1.0):
            case = rng.choice(self.cases) if kind == "amod JJS" else None
            return reach(rng.choice(tops), rng.choice(self.bases), "obl" if case else "obj", case=case)
        return rng.choice(whole) if whole else None

    def grafted(self, rng: random.Random) -> Tree:
        """A phrase put together from several trees."""
        tree = rng.choice(self.bases)
        if self.joints and rng.random() < 0.15:
            tree = adorn(tree, rng.choices(self.adjectives, k=rng.choice((1, 2, 2, 3))), rng.choice(self.joints))
        for kind in rng.choices(GRAFTS, k=rng.choice((1, 1, 2))):
            tree = graft(tree, kind, part) if (part := self.part(kind, rng)) else tree
        if self.predicates and rng.random() < 0.1:
            tree = graft(tree, "nsubj", rng.choice(self.predicates))
        return tree


def training_stream(trees: Sequence[Tree], *, seed: int) -> Iterator[Tree]:
    """Sentences, phrases and grafts without end, in turn, each in a new disguise."""
    rng = random.Random(seed)  # noqa: S311  (chance for training data, not for secrets)
    phrases = Phrases(trees)
    while True:
        for tree in rng.sample(trees, len(trees)):
            yield disguise(tree, rng, article=0.1, marks=0.5, capitals=0.5, the=0.3, typos=0.01)
            drawn = [draw(rng) for draw in (phrases.natural, phrases.grafted) * 2]
            for phrase in drawn:
                yield disguise(phrase, rng, article=0.5, marks=0.8, capitals=0.9, the=0.8, typos=0.05)
