"""Dependency trees from CoNLL-U files, and the noun-phrase fragments that referring expressions look like.

A treebank holds whole sentences with capitals and full stops; a referring expression is a bare noun phrase in lower
case ("zebra eating grass"). Everything here cuts such phrases out of the gold trees: no expression and no label of a
referring data set is read.
"""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = -1
"""Head of the root word."""

NOMINAL = {"NOUN", "PROPN"}

PHRASE_LABELS = {
    *("det", "det:predet", "amod", "compound", "nummod", "nmod", "nmod:poss", "nmod:unmarked", "nmod:desc"),
    *("acl", "acl:relcl", "flat", "appos", "conj", "fixed", "goeswith"),
}
"""Dependents that stay with a noun when its phrase is cut out of a sentence."""

CLAUSE_LABELS = {"obj", "iobj", "obl", "obl:agent", "obl:unmarked", "advmod", "compound:prt", "xcomp"}
"""Dependents that stay with a verb when its clause becomes a modifier of its subject."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """One word of a tree."""

    form: str
    lemma: str
    upos: str
    xpos: str
    feats: str
    head: int
    """Index of the head in the sentence, `ROOT` for the root."""
    label: str
    space_after: bool = True


Tree = tuple[Word, ...]


def read_conllu(path: Path) -> Iterator[Tree]:
    """Trees of a CoNLL-U file, gzipped or not; empty nodes are left out, multi-word tokens stay as their words."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for block in text.decode("utf-8").split("\n\n"):
        rows = [line.split("\t") for line in block.splitlines() if line and not line.startswith("#")]
        if rows:
            yield tuple(_words(rows))


def _words(rows: Sequence[Sequence[str]]) -> Iterator[Word]:
    glued: dict[int, bool] = {}
    for row in rows:
        if "-" in row[0]:
            first, last = map(int, row[0].split("-"))
            glued |= dict.fromkeys(range(first, last), True)
            glued[last] = "SpaceAfter=No" in row[9]
        elif row[0].isdigit():
            number = int(row[0])
            yield Word(
                form=row[1],
                lemma=row[2],
                upos=row[3],
                xpos=row[4],
                feats="" if row[5] == "_" else row[5],
                head=int(row[6]) - 1,
                label=row[7],
                space_after=not glued.get(number, "SpaceAfter=No" in row[9]),
            )


def children(tree: Tree) -> list[list[int]]:
    """For every word the indices of its dependents, left to right."""
    found: list[list[int]] = [[] for _ in tree]
    for index, word in enumerate(tree):
        if word.head != ROOT:
            found[word.head].append(index)
    return found


def subtree(below: Sequence[Sequence[int]], top: int) -> list[int]:
    """`top` and everything under it, unsorted."""
    found = [top]
    for index in found:
        found.extend(below[index])
    return found


def cut(tree: Tree, keep: Sequence[int], *, root: int, relabelled: dict[int, tuple[int, str]]) -> Tree:
    """The words `keep` as a tree of their own with root `root`; `relabelled` gives words a new (head, label)."""
    order = sorted(keep)
    place = {old: new for new, old in enumerate(order)}
    words = []
    for old in order:
        head, label = relabelled.get(old, (tree[old].head, tree[old].label))
        word = replace(tree[old], space_after=True)
        words.append(
            replace(word, head=ROOT, label="root") if old == root else replace(word, head=place[head], label=label)
        )
    return tuple(words)


def _phrase_words(tree: Tree, below: Sequence[Sequence[int]], noun: int) -> list[int]:
    keep = [noun]
    for child in below[noun]:
        if tree[child].label in PHRASE_LABELS:
            keep += subtree(below, child)
    return keep


def noun_phrase(tree: Tree, below: Sequence[Sequence[int]], noun: int) -> Tree:
    """The phrase of a noun without its preposition, conjunction, copula or clause: "the small mosque in the town"."""
    return cut(tree, _phrase_words(tree, below, noun), root=noun, relabelled={})


def reduced_clause(tree: Tree, below: Sequence[Sequence[int]], verb: int) -> Tree | None:
    """The subject modified by its verb: "the man is eating" gives "the man eating"; None where it cannot be."""
    if tree[verb].xpos not in {"VBG", "VBN"} or not any(tree[child].label.startswith("aux") for child in below[verb]):
        return None
    subjects = [child for child in below[verb] if tree[child].label in {"nsubj", "nsubj:pass"} and child < verb]
    if tree[verb].xpos == "VBN":
        subjects = [child for child in subjects if tree[child].label == "nsubj:pass"]
    if len(subjects) != 1 or tree[subjects[0]].upos not in NOMINAL:
        return None
    subject = subjects[0]
    keep = [*_phrase_words(tree, below, subject), verb]
    for child in below[verb]:
        if tree[child].label in CLAUSE_LABELS and child > verb:
            keep += subtree(below, child)
    return cut(tree, keep, root=subject, relabelled={verb: (subject, "acl")})


def reduced_copula(tree: Tree, below: Sequence[Sequence[int]], predicate: int) -> Tree | None:
    """The subject modified by its predicate: "the man is in town" gives "the man in town"; None where it cannot be."""
    labels = {tree[child].label for child in below[predicate]}
    subjects = [child for child in below[predicate] if tree[child].label == "nsubj" and child < predicate]
    if "cop" not in labels or len(subjects) != 1 or tree[subjects[0]].upos not in NOMINAL:
        return None
    place = tree[predicate].upos in NOMINAL and "case" in labels
    if not place and tree[predicate].upos not in {"ADJ", "ADV"}:
        return None
    subject = subjects[0]
    keep = [*_phrase_words(tree, below, subject), predicate]
    for child in below[predicate]:
        if child > subject and tree[child].label in PHRASE_LABELS | {"case", "advmod", "obl"}:
            keep += subtree(below, child)
    label = {"ADJ": "amod", "ADV": "advmod"}.get(tree[predicate].upos, "nmod")
    return cut(tree, keep, root=subject, relabelled={predicate: (subject, label)})


def fragments(tree: Tree, *, longest: int = 16) -> list[Tree]:
    """Every noun phrase of the tree, and every clause reduced to its subject, of 1 to `longest` words."""
    below = children(tree)
    found: list[Tree | None] = []
    for index, word in enumerate(tree):
        if word.upos in NOMINAL and word.label not in {"flat", "compound", "goeswith", "fixed"}:
            found.append(noun_phrase(tree, below, index))
        found += [reduced_clause(tree, below, index), reduced_copula(tree, below, index)]
    return [tidy for part in found if part is not None and 0 < len(tidy := without_marks(part)) <= longest]


def without_marks(tree: Tree) -> Tree:
    """The tree without punctuation (a mark that carries dependents, or is all there is, stays)."""
    below = children(tree)
    keep = [i for i, word in enumerate(tree) if word.upos not in {"PUNCT", "SYM"} or below[i] or word.head == ROOT]
    if len(keep) == len(tree):
        return tree
    root = next(i for i, word in enumerate(tree) if word.head == ROOT)
    return cut(tree, keep, root=root, relabelled={})
