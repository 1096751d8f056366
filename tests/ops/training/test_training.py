"""Training: what a batch holds, what the losses weigh, and that a killed run ends like an undisturbed one."""

import copy
import io
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from ops.backbones.language import Bert
from ops.segmenters.lavt import Lavt, LavtConfig
from ops.training.course import State
from ops.training.dataset import Batch, InMemorySamples, Sentences, TrainingObject
from ops.training.loop import Run, TrainPlan, train
from ops.training.losses import batch_lavt, per_sample, sample_cross_entropy

CONFIG = LavtConfig(
    embed_dim=8,
    depths=(1, 1, 2, 1),
    heads=(1, 2, 2, 4),
    window=3,
    drop_path=0.3,
    decoder_width=8,
    language_width=16,
    image_size=48,
    max_tokens=5,
    trained_bert_layers=1,
)
PLAN = TrainPlan(epochs=3, batch_size=6, lr=1e-3, checkpoint_every_steps=1, log_every_steps=1)


def new_model() -> Lavt:
    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return Lavt(CONFIG, Bert(BertModel(BertConfig(intermediate_size=32, **sizes), add_pooling_layer=False)))


def block(top: int, left: int, side: int = 16) -> Tensor:
    mask = torch.zeros(48, 48, dtype=torch.bool)
    mask[top : top + side, left : left + side] = True
    return mask


def some_samples(images: int = 8) -> InMemorySamples:
    """Images with a bright left and a dark right square; word 5 means the left one, word 6 the right one."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(90, 160, (images, 3, 48, 48)).astype(np.uint8)
    masks, objects = [], []
    for image in range(images):
        top = int(rng.integers(0, 32))
        stack = torch.stack([block(top, 2), block(top, 30)])
        pixels[image][:, stack[0].numpy()] = 230
        pixels[image][:, stack[1].numpy()] = 20
        masks.append(stack)
        for number, word in enumerate((5, 6)):
            ids = torch.tensor([[2, word, 3, 0, 0], [2, 7, word, 3, 0], [2, 8, word, 3, 0]])
            objects.append(
                TrainingObject(image=image, candidates=(number,), token_ids_ST=ids, token_mask_ST=(ids > 0).long())
            )
    return InMemorySamples(pixels, masks, objects)


@pytest.fixture(scope="module")
def samples() -> InMemorySamples:
    return some_samples()


def stored(state: State) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def restored(data: bytes) -> State:
    return torch.load(io.BytesIO(data), weights_only=True)


def assert_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.fixture(scope="module")
def undisturbed(samples: InMemorySamples) -> tuple[Lavt, list[float]]:
    model = new_model()
    return model, train(model, samples, PLAN).loss


# --- losses


def plain_cross_entropy(logits: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    total = weights = 0.0
    for (background, foreground), inside in zip(logits.reshape(2, -1).T, mask.ravel(), strict=True):
        weight = 1.1 if inside else 0.9
        chosen = foreground if inside else background
        total += weight * (np.logaddexp(background, foreground) - chosen)
        weights += weight
    return total, weights


def test_losses_agree_with_the_formula() -> None:
    rng = np.random.default_rng(0)
    logits, masks = (
        rng.normal(size=(3, 2, 4, 5)).astype(np.float32),
        rng.random((3, 4, 5)) < [[[0.1]], [[0.5]], [[0.9]]],
    )
    parts = [plain_cross_entropy(one, mask) for one, mask in zip(logits, masks, strict=True)]
    tensors = torch.from_numpy(logits), torch.from_numpy(masks)
    each = [total / weights for total, weights in parts]
    assert sample_cross_entropy(*tensors).tolist() == pytest.approx(each, rel=1e-5)
    assert per_sample(*tensors).item() == pytest.approx(np.mean(each), rel=1e-5)
    totals, weights = np.sum(parts, 0)
    assert batch_lavt(*tensors).item() == pytest.approx(totals / weights, rel=1e-5)


# --- batches


def test_images_stay_whole_and_batches_even(samples: InMemorySamples) -> None:
    packed = samples.epoch(size=6, sentences="one", seed=0, epoch=0)
    assert len(packed) == samples.batches(size=6, sentences="one") == 3
    images = [{samples.objects[number].image for number, _ in batch} for batch in packed]
    assert sum(map(len, images)) == len(set.union(*images)) == 8
    assert max(map(len, packed)) - min(map(len, packed)) <= 2


@pytest.mark.parametrize(("sentences", "times"), [("one", 1), ("all", 3)])
def test_every_object_comes_once_an_epoch_or_with_all_its_sentences(
    samples: InMemorySamples, sentences: Sentences, times: int
) -> None:
    packed = samples.epoch(size=6, sentences=sentences, seed=0, epoch=0)
    drawn = [sample for batch in packed for sample in batch]
    assert len(drawn) == len(set(drawn))
    assert Counter(number for number, _ in drawn) == dict.fromkeys(range(16), times)


def test_order_depends_on_seed_and_epoch_alone(samples: InMemorySamples) -> None:
    def order(seed: int, epoch: int) -> list[list[tuple[int, int]]]:
        return samples.epoch(size=6, sentences="one", seed=seed, epoch=epoch)

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_over_the_epochs_every_sentence_is_drawn(samples: InMemorySamples) -> None:
    epochs = [samples.epoch(size=6, sentences="one", seed=0, epoch=epoch) for epoch in range(40)]
    counts = Counter(sample for packed in epochs for batch in packed for sample in batch)
    assert set(counts) == {(number, row) for number in range(16) for row in range(3)}


def test_a_batch_holds_each_image_once_and_the_right_mask(samples: InMemorySamples) -> None:
    batch = samples.batch([(3, 1), (2, 0), (7, 2)])
    assert batch.images_I3HW.shape == (2, 3, 48, 48)
    assert batch.images_I3HW.dtype == torch.uint8
    assert batch.image_of_B.tolist() == [0, 0, 1]
    assert torch.equal(batch.images_I3HW[1], torch.from_numpy(samples.images_N3HW[3]))
    assert torch.equal(
        batch.targets_BHW(), torch.stack([samples.masks[1][1], samples.masks[1][0], samples.masks[3][1]])
    )
    assert batch.token_ids_BT.tolist() == [[2, 7, 6, 3], [2, 5, 3, 0], [2, 8, 6, 3]]  # padded to the longest
    assert batch.token_mask_BT.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]]


def test_empty_and_full_masks_teach_nothing() -> None:
    ids = torch.ones(1, 5, dtype=torch.long)
    stack = torch.stack([torch.zeros(48, 48).bool(), block(0, 0), torch.ones(48, 48).bool()])
    objects = [
        TrainingObject(image=0, candidates=rows, token_ids_ST=ids, token_mask_ST=ids)
        for rows in ((0,), (1,), (2,), (0, 1, 2), ())
    ]
    samples = InMemorySamples(torch.zeros(1, 3, 48, 48, dtype=torch.uint8), [stack], objects)
    assert [one.candidates for one in samples.objects] == [(1,), (1,)]
    assert samples.dropped == 3
    with pytest.raises(ValueError, match="empty or covers"):
        InMemorySamples(torch.zeros(1, 3, 48, 48, dtype=torch.uint8), [stack], objects[:1])


def test_an_image_without_masks_is_no_trouble() -> None:
    samples = some_samples(2)
    pixels = np.concatenate([samples.images_N3HW, samples.images_N3HW[:1]])
    with_empty = InMemorySamples(pixels, [*samples.masks, torch.zeros(0, 48, 48).bool()], samples.objects)
    assert with_empty.epoch(size=4, sentences="one", seed=0, epoch=0) == samples.epoch(
        size=4, sentences="one", seed=0, epoch=0
    )


# --- the loop


def test_a_run_that_is_killed_after_any_step_ends_with_the_same_bits(
    samples: InMemorySamples, undisturbed: tuple[Lavt, list[float]]
) -> None:
    model, losses = undisturbed
    assert len(losses) == 9
    for stops in ([1], [4, 5], [3, 8], [2, 6]):
        saved: bytes | None = None
        for stop in [*stops, None]:
            states: list[bytes] = []

            def keep(state: State, states: list[bytes] = states, stop: int | None = stop) -> None:
                states.append(stored(state))
                if state["step"] == stop:
                    raise KeyboardInterrupt

            again = new_model()
            try:
                history = train(again, samples, PLAN, resume=None if saved is None else restored(saved), save=keep)
            except KeyboardInterrupt:
                saved = states[-1]
        assert_same(again.state_dict(), model.state_dict())
        assert history.loss == losses


def test_a_checkpoint_between_two_saved_states_is_not_needed(
    samples: InMemorySamples, undisturbed: tuple[Lavt, list[float]]
) -> None:
    states: dict[int, bytes] = {}
    plan = TrainPlan(**{**PLAN.__dict__, "checkpoint_every_steps": 4})
    train(new_model(), samples, plan, save=lambda state: states.update({state["step"]: stored(state)}))
    assert sorted(states) == [4, 8, 9]
    again = new_model()
    train(again, samples, plan, resume=restored(states[4]))
    assert_same(again.state_dict(), undisturbed[0].state_dict())


def test_a_finished_run_resumes_to_itself(samples: InMemorySamples, undisturbed: tuple[Lavt, list[float]]) -> None:
    states: list[bytes] = []
    train(new_model(), samples, PLAN, save=lambda state: states.append(stored(state)))
    again = new_model()
    assert train(again, samples, PLAN, resume=restored(states[-1])).loss == undisturbed[1]
    assert_same(again.state_dict(), undisturbed[0].state_dict())


def test_a_state_of_another_plan_is_refused(samples: InMemorySamples) -> None:
    states: list[State] = []
    train(new_model(), samples, PLAN, save=lambda state: states.append(copy.deepcopy(state)))
    with pytest.raises(ValueError, match="'lr'"):
        train(new_model(), samples, TrainPlan(**{**PLAN.__dict__, "lr": 2e-3}), resume=states[0])
    with pytest.raises(ValueError, match="'total'"):
        train(new_model(), some_samples(4), PLAN, resume=states[0])


def test_the_rate_follows_the_polynomial_to_the_true_last_step(samples: InMemorySamples) -> None:
    rates = train(new_model(), samples, PLAN).lr
    assert rates == pytest.approx([1e-3 * (1 - step / 9) ** 0.9 for step in range(9)])


def test_frozen_parts_of_bert_keep_their_weights_and_the_rest_moves(
    samples: InMemorySamples, undisturbed: tuple[Lavt, list[float]]
) -> None:
    before = new_model().state_dict()
    moved = {name for name, value in undisturbed[0].state_dict().items() if not torch.equal(value, before[name])}
    assert not {name for name in moved if name.startswith(("bert.embeddings", "bert.encoder.layer.1"))}
    trained = {
        name for name, _ in undisturbed[0].named_parameters() if ".layer.1." not in name and "embeddings" not in name
    }
    assert trained - moved == {f"vision.backbone.gates.3.{half}.weight" for half in ("inner", "outer")}


def test_the_loss_falls_and_the_words_are_understood(samples: InMemorySamples) -> None:
    model = new_model()
    losses = train(model, samples, TrainPlan(epochs=35, batch_size=8, lr=1e-2)).loss
    assert np.mean(losses[-4:]) < 0.35 * np.mean(losses[:4])
    batch = samples.batch([(number, 0) for number in range(16)])
    model.eval()
    with torch.no_grad():
        found = model(batch.images_I3HW, batch.token_ids_BT, batch.token_mask_BT, image_of_B=batch.image_of_B).argmax(1)
    truth = batch.targets_BHW()
    both_squares = 0.5
    assert ((found == 1) & truth).sum() / ((found == 1) | truth).sum() > 1.2 * both_squares


def test_best_epoch_is_put_back_only_when_epochs_are_scored(
    samples: InMemorySamples, undisturbed: tuple[Lavt, list[float]]
) -> None:
    seen: dict[int, dict[str, Tensor]] = {}

    def score(model: Lavt, epoch: int) -> float:
        seen[epoch] = copy.deepcopy(model.state_dict())
        model.eval()
        return {1: 0.2, 2: 0.7, 3: 0.7}[epoch]

    model = new_model()
    history = train(model, samples, PLAN, on_epoch=score)
    assert history.scores == {1: 0.2, 2: 0.7, 3: 0.7}
    assert history.best_epoch == 2
    assert_same(model.state_dict(), seen[2])
    assert_same(seen[3], undisturbed[0].state_dict())
    watched = new_model()
    assert train(watched, samples, PLAN, on_epoch=lambda *_: None).best_epoch is None
    assert_same(watched.state_dict(), undisturbed[0].state_dict())


def test_best_epoch_survives_a_kill(samples: InMemorySamples) -> None:
    states: list[bytes] = []
    scores = {1: 0.9, 2: 0.1, 3: 0.1}
    model, again = new_model(), new_model()
    train(
        model, samples, PLAN, on_epoch=lambda _, epoch: scores[epoch], save=lambda state: states.append(stored(state))
    )
    train(again, samples, PLAN, on_epoch=lambda _, epoch: scores[epoch], resume=restored(states[4]))
    assert_same(again.state_dict(), model.state_dict())


def test_accumulated_batches_weigh_every_sample_the_same(samples: InMemorySamples) -> None:
    seen: list[int] = []

    def constant(logits_B2HW: Tensor, batch: Batch) -> Tensor:
        seen.append(len(batch))
        return logits_B2HW.sum() * 0 + len(batch)

    plan = TrainPlan(epochs=1, batch_size=12, accumulate=3, lr=1e-9)
    losses = train(new_model(), samples, plan, loss=constant).loss
    assert sum(seen) == 16
    assert len(losses) == 2
    sizes = [seen[:3], seen[3:]]
    assert losses == pytest.approx([sum(size * size for size in step) / sum(step) for step in sizes])


def test_autocast_trains_to_nearly_the_same_loss(
    samples: InMemorySamples, undisturbed: tuple[Lavt, list[float]]
) -> None:
    losses = train(new_model(), samples, TrainPlan(**{**PLAN.__dict__, "bf16": True})).loss
    assert losses != undisturbed[1]
    assert losses == pytest.approx(undisturbed[1], rel=0.1)


def test_a_loss_that_is_not_finite_stops_the_run(samples: InMemorySamples) -> None:
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        train(new_model(), samples, PLAN, loss=lambda logits, _: logits.sum() * float("nan"))


def test_training_leaves_the_callers_random_numbers_alone(samples: InMemorySamples) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    model_seed = torch.random.get_rng_state()
    model = new_model()
    torch.random.set_rng_state(model_seed)
    train(model, samples, TrainPlan(epochs=1, batch_size=8))
    assert torch.equal(torch.rand(2), expected)


def test_the_log_says_where_the_run_is(samples: InMemorySamples) -> None:
    lines: list[str] = []
    train(new_model(), samples, PLAN, log=lines.append)
    assert lines[-1].startswith("step 9/9  loss 1.0")
    assert "samples/s" in lines[-1]


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"accumulate": 0}, {"accumulate": 7, "batch_size": 6}])
def test_impossible_plans_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        TrainPlan(**wrong)


def test_pretrained_trunks_learn_at_their_share_of_the_rate() -> None:
    model, plan = new_model(), TrainPlan(epochs=1, batch_size=1, lr=1e-2, pretrained_rate=0.1)
    run = Run.start(model, plan, total=100)
    grouped = [one for group in run.optimiser.param_groups for one in group["params"]]
    assert len(grouped) == len({id(one) for one in grouped})
    pretrained = {id(one) for part in (model.vision.backbone.swin, model.language.model) for one in part.parameters()}
    for group in run.optimiser.param_groups:
        assert {id(one) in pretrained for one in group["params"]} == {group["rate"] != 1.0}


def test_the_rate_rises_over_the_warm_up(samples: InMemorySamples) -> None:
    history = train(new_model(), samples, TrainPlan(epochs=2, batch_size=4, lr=1e-2, warmup_steps=4))
    total = len(history.lr)
    assert history.lr[:5] == pytest.approx(
        [1e-2 * (1 - step / total) ** 0.9 * min(1, (step + 1) / 4) for step in range(5)]
    )
