"""Constrained greedy matching: the three constraints, the modes, and a plain formulation of Algorithm 1."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from ops.ssc.matching import NONE, Matched, MatchingLoss, Rule, match, soft_iou
from ops.training.dataset import Batch
from ops.training.losses import per_sample

RULES: tuple[Rule, ...] = ("greedy", "hungarian", "random")


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray, list[int], list[tuple[int, ...]]]:
    """Scores (S, K), the object of each sample, and the candidates of each sample."""
    objects, masks = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    sentences = [draw(st.integers(1, 3)) for _ in range(objects)]
    allowed = [tuple(sorted(draw(st.sets(st.integers(0, masks - 1), min_size=1)))) for _ in range(objects)]
    names = [number for number, count in enumerate(sentences) for _ in range(count)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    order = rng.permutation(len(names)).tolist()
    return rng.random((len(names), masks)), [names[at] for at in order], [allowed[names[at]] for at in order]


def plain_greedy(scores: np.ndarray, objects: list[int], allowed: list[tuple[int, ...]]) -> dict[int, int]:
    """Algorithm 1 word by word: all (object, mask) pairs from the best down; skip what is taken."""
    pairs = {
        (name, mask): max(scores[at, mask] for at, other in enumerate(objects) if other == name)
        for name, rows in zip(objects, allowed, strict=True)
        for mask in rows
    }
    found: dict[int, int] = {}
    for name, mask in sorted(pairs, key=lambda pair: -pairs[pair]):
        if name not in found and mask not in found.values():
            found[name] = mask
    return found


@given(images())
def test_greedy_is_algorithm_1(image: tuple[np.ndarray, list[int], list[tuple[int, ...]]]) -> None:
    scores, objects, allowed = image
    found = plain_greedy(scores, objects, allowed)
    assert match(scores, objects, allowed).candidates == [found.get(name, NONE) for name in objects]


@given(images(), st.sampled_from(RULES))
def test_every_constrained_rule_keeps_the_three_constraints(
    image: tuple[np.ndarray, list[int], list[tuple[int, ...]]], rule: Rule
) -> None:
    scores, objects, allowed = image
    found = match(scores, objects, allowed, rule=rule, rng=np.random.default_rng(0))
    given_to = dict(zip(objects, found.candidates, strict=True))
    assert [given_to[name] for name in objects] == found.candidates  # (2) one mask for all sentences of an object
    taken = [mask for mask in given_to.values() if mask != NONE]
    assert len(taken) == len(set(taken))  # (3) no two objects share one
    for mask, rows, count in zip(found.candidates, allowed, found.counts, strict=True):
        assert mask in rows or mask == NONE  # (1) only own candidates
        assert count == int(mask != NONE)


@given(images())
def test_nobody_is_left_over_while_a_candidate_is_free(
    image: tuple[np.ndarray, list[int], list[tuple[int, ...]]],
) -> None:
    scores, objects, allowed = image
    found = match(scores, objects, allowed)
    for mask, rows in zip(found.candidates, allowed, strict=True):
        assert mask != NONE or set(rows) <= set(found.candidates)


@given(images())
def test_hungarian_has_the_largest_sum(image: tuple[np.ndarray, list[int], list[tuple[int, ...]]]) -> None:
    scores, objects, allowed = image
    names = sorted(set(objects))
    table = np.full((len(names), scores.shape[1]), -100.0)
    for at, name in enumerate(objects):
        for mask in allowed[at]:
            table[names.index(name), mask] = max(table[names.index(name), mask], scores[at, mask])
    rows, columns = linear_sum_assignment(-table)
    best = sum(table[row, column] for row, column in zip(rows, columns, strict=True) if table[row, column] >= 0)
    found = dict(zip(objects, match(scores, objects, allowed, rule="hungarian").candidates, strict=True))
    total = sum(table[names.index(name), mask] for name, mask in found.items() if mask != NONE)
    assert total == pytest.approx(best)


def test_greedy_and_hungarian_differ_where_the_best_pair_blocks_a_better_sum() -> None:
    scores = np.array([[0.9, 0.8], [0.85, 0.1]])
    every = [(0, 1), (0, 1)]
    assert match(scores, [0, 1], every).candidates == [0, 1]
    assert match(scores, [0, 1], every, rule="hungarian").candidates == [1, 0]


def test_left_overs_are_dropped_or_take_their_own_best() -> None:
    scores, every = np.array([[0.9], [0.8]]), [(0,), (0,)]
    assert match(scores, [0, 1], every) == Matched(candidates=[0, NONE], counts=[1, 0])
    assert match(scores, [0, 1], every, leftovers="fallback_best") == Matched(candidates=[0, 0], counts=[1, 1])


def test_the_reference_counts_single_candidates_twice_where_another_object_has_a_choice() -> None:
    scores, allowed = np.array([[0.9, 0.2], [0.1, 0.8]]), [(0,), (0, 1)]
    assert match(scores, [0, 1], allowed, rule="reference") == Matched(candidates=[0, 1], counts=[2, 1])
    assert match(scores[:1], [0], allowed[:1], rule="reference") == Matched(candidates=[0], counts=[1])


@pytest.mark.parametrize("rule", ["greedy", "hungarian"])
def test_an_object_is_what_its_best_sample_says_or_what_all_agree_on(rule: Rule) -> None:
    scores, every = np.array([[0.9, 0.6], [0.0, 0.6], [0.5, 0.55]]), [(0, 1)] * 3
    assert match(scores, [7, 7, 4], every, rule=rule).candidates == [0, 0, 1]
    assert match(scores, [7, 7, 4], every, rule=rule, agreement="mean").candidates == [1, 1, 0]


@given(images())
def test_an_agreed_score_is_the_mean_over_an_objects_samples(
    image: tuple[np.ndarray, list[int], list[tuple[int, ...]]],
) -> None:
    scores, objects, allowed = image
    means = [scores[[at for at, other in enumerate(objects) if other == name]].mean(0) for name in objects]
    assert match(scores, objects, allowed, agreement="mean") == match(np.array(means), objects, allowed)


def test_unconstrained_lets_two_objects_share_a_mask() -> None:
    scores, every = np.array([[0.9, 0.2], [0.8, 0.1]]), [(0, 1), (0, 1)]
    assert match(scores, [0, 1], every, rule="unconstrained").candidates == [0, 0]


def test_a_rule_of_chance_needs_numbers() -> None:
    with pytest.raises(ValueError, match="random number generator"):
        match(np.ones((1, 1)), [0], [(0,)], rule="random")


def test_soft_iou_of_certain_predictions_is_iou() -> None:
    masks = torch.zeros(2, 4, 4, dtype=torch.bool)
    masks[0, :2], masks[1, :, :2] = True, True
    table = soft_iou(masks.float(), masks)
    assert torch.allclose(table, torch.tensor([[1.0, 1 / 3], [1 / 3, 1.0]]))


def batch_of(masks: list[torch.Tensor], samples: list[tuple[int, int, tuple[int, ...]]]) -> Batch:
    """A batch from (image, object, candidates) samples."""
    empty = torch.zeros((len(samples), 1), dtype=torch.long)
    return Batch(
        images_I3HW=torch.zeros(len(masks), 3, 1, 1),
        image_of_B=torch.tensor([image for image, _, _ in samples]),
        referent_of_B=torch.tensor([name for _, name, _ in samples]),
        token_ids_BT=empty,
        token_mask_BT=empty,
        masks_MHW=torch.cat(masks),
        masks_of_I=tuple(map(len, masks)),
        candidates=tuple(rows for _, _, rows in samples),
    )


def test_the_loss_is_cross_entropy_against_the_matched_masks_and_divided_by_all_samples() -> None:
    rng = torch.Generator().manual_seed(0)
    masks = [torch.rand(3, 6, 6, generator=rng) > 0.5, torch.rand(1, 6, 6, generator=rng) > 0.5]
    batch = batch_of(masks, [(0, 0, (0, 1, 2)), (0, 1, (0, 1)), (1, 2, (0,)), (1, 3, (0,))])
    logits = torch.randn(4, 2, 6, 6, generator=rng, requires_grad=True)
    found = MatchingLoss().match(logits, batch)
    taken = [at for at, mask in enumerate(found.candidates) if mask != NONE]
    assert len(taken) == 3  # of the two objects of the second image one is left over
    targets = torch.stack([masks[samples[0]][found.candidates[at]] for at, samples in _rows(batch) if at in taken])
    loss = MatchingLoss()(logits, batch)
    assert torch.allclose(loss, per_sample(logits[taken], targets) * 3 / 4)
    (gradient,) = torch.autograd.grad(loss, logits)
    left_over = next(at for at in range(4) if at not in taken)
    assert not gradient[left_over].any()
    assert gradient[taken].abs().sum() > 0


def _rows(batch: Batch) -> list[tuple[int, tuple[int, int]]]:
    pairs = zip(batch.image_of_B.tolist(), batch.referent_of_B.tolist(), strict=True)
    return list(enumerate(pairs))


def test_chance_follows_the_seed_of_the_step() -> None:
    masks = [torch.eye(6, dtype=torch.bool).repeat(8, 1, 1)]
    batch = batch_of(masks, [(0, name, tuple(range(8))) for name in range(4)])
    logits = torch.zeros(4, 2, 6, 6)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(MatchingLoss(rule="random").match(logits, batch).candidates)
    assert drawn[0] == drawn[1] != drawn[2]


def test_objects_beyond_the_rivals_do_not_compete() -> None:
    masks = [torch.zeros(2, 4, 4, dtype=torch.bool)]
    masks[0][0, :2], masks[0][1, 2:] = True, True
    batch = batch_of(masks, [(0, name, (0, 1)) for name in (5, 6, 6, 7)])
    logits = torch.zeros(4, 2, 4, 4)
    logits[:, 1, :2] = torch.tensor([3.0, 2.0, 1.0, 4.0])[:, None, None]  # all want the upper half
    taken = {rivals: MatchingLoss(rivals=rivals).match(logits, batch).candidates for rivals in (1, 2, None)}
    assert taken == {1: [0, 0, 0, 0], 2: [0, 1, 1, 0], None: [NONE, 1, 1, 0]}


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_one_pass_agrees_with_the_plain_formulation(scale: float) -> None:
    rng = torch.Generator().manual_seed(0)
    masks = [torch.rand(3, 40, 300, generator=rng) > 0.5, torch.rand(1, 40, 300, generator=rng) > 0.5]
    samples = [(0, 0, (0, 1, 2)), (1, 2, (0,)), (0, 1, (0, 1)), (1, 3, (0,)), (0, 0, (0, 1, 2))]  # images interleaved
    batch = batch_of(masks, samples)
    logits = torch.randn(5, 2, 40, 300, generator=rng) * scale
    logits[0, 1] += 60 * masks[0][1] - 30.0  # a sure prediction, whose loss is small
    logits.requires_grad_()
    for rule in ("greedy", "reference", "unconstrained"):
        plain, quick = (MatchingLoss(rule=rule, one_pass_from=pixels)(logits, batch) for pixels in (12_001, 12_000))
        assert quick.item() == pytest.approx(plain.item(), rel=1e-5)
        expected, found = (torch.autograd.grad(2 * loss, logits)[0] for loss in (plain, quick))
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


def test_one_pass_keeps_the_digits_of_a_small_loss() -> None:
    mask = torch.zeros(1, 1, 300, 300, dtype=torch.bool)
    mask[..., 100:] = True
    logits = torch.zeros(1, 2, 300, 300)
    logits[:, 1] = 24.0 * mask[0] - 12
    batch = batch_of([mask[0]], [(0, 0, (0,))])
    assert MatchingLoss()(logits, batch).item() == pytest.approx(np.log1p(np.exp(-12.0)), rel=0.1, abs=0)


def test_one_pass_leaves_samples_without_a_mask_without_gradient() -> None:
    masks = [torch.rand(1, 256, 256, generator=torch.Generator().manual_seed(0)) > 0.5]
    batch = batch_of(masks, [(0, 0, (0,)), (0, 1, (0,))])
    logits = torch.zeros(2, 2, 256, 256)
    logits[1, 1] = masks[0].float()
    (gradient,) = torch.autograd.grad(MatchingLoss()(logits.requires_grad_(), batch), logits)
    assert not gradient[0].any()
    assert gradient[1].any(0).all()


PRIOR = {5: {0: 0.25, 1: 0.75}, 6: {0: 0.4, 1: 0.6}}


@pytest.mark.parametrize("one_pass_from", [1, 10**6])
def test_a_prior_decides_between_equal_predictions_and_is_forgotten_in_the_end(one_pass_from: int) -> None:
    masks = [torch.zeros(2, 4, 4, dtype=torch.bool)]
    masks[0][0, :2], masks[0][1, 2:] = True, True
    batch = batch_of(masks, [(0, name, (0, 1)) for name in (5, 6)])
    logits = torch.zeros(2, 2, 4, 4)
    logits[:, 1, :2] = torch.tensor([0.2, 0.1])[:, None, None]  # both want the upper half, the first a little more
    loss = MatchingLoss(prior=PRIOR, prior_weight=2.0, one_pass_from=one_pass_from)
    assert loss.match(logits, batch).candidates == [1, 0]
    assert loss.at(0.25).prior_weight == 1.5
    assert (
        loss.at(1.0).match(logits, batch)
        == MatchingLoss().match(logits, batch)
        == Matched(candidates=[0, 1], counts=[1, 1])
    )
    assert loss(logits, batch) > loss.at(1.0)(logits, batch)
    assert MatchingLoss().at(0.5) == MatchingLoss()
