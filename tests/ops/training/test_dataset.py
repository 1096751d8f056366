"""What a batch holds, which masks teach, and how referents are pickled."""

import pickle

import pytest
import torch

from ops.training.dataset import ReferentDataset, TrainingReferent, collate, usable_referents
from tests.ops.training.data import block, some_data


@pytest.fixture(scope="module")
def data() -> ReferentDataset:
    return some_data()


def test_a_batch_holds_each_image_once_and_the_right_mask(data: ReferentDataset) -> None:
    batch = data.batch([(3, 1), (2, 0), (7, 2)])
    assert batch.images_I3HW.shape == (2, 3, 48, 48)
    assert batch.images_I3HW.dtype == torch.uint8
    assert batch.image_of_B.tolist() == [0, 0, 1]
    assert batch.referent_of_B.tolist() == [3, 2, 7]
    assert torch.equal(batch.images_I3HW[1], torch.from_numpy(data.images_N3HW[3]))
    assert data.masks is not None
    assert torch.equal(batch.targets_BHW(), torch.stack([data.masks[1][1], data.masks[1][0], data.masks[3][1]]))
    assert batch.token_ids_BT.tolist() == [[2, 7, 6, 3], [2, 5, 3, 0], [2, 8, 6, 3]]  # padded to the longest
    assert batch.token_mask_BT.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]]


def test_images_come_in_their_order_and_samples_in_the_order_asked_for(data: ReferentDataset) -> None:
    batch = collate([data[((6, 0), (7, 1))], data[((2, 2),)], data[((6, 1),)]])
    assert batch.samples == ((6, 0), (7, 1), (2, 2), (6, 1))
    assert batch.image_of_B.tolist() == [1, 1, 0, 1]
    assert torch.equal(batch.images_I3HW, torch.from_numpy(data.images_N3HW[[1, 3]]))
    assert batch.masks_of_I == (2, 2)
    assert batch.candidates == ((0,), (1,), (0,), (0,))


def test_tokens_keep_their_length_where_they_are_not_trimmed(data: ReferentDataset) -> None:
    assert data.batch([(0, 0)]).token_ids_BT.shape == (1, 3)
    assert data.batch([(0, 0)], trim=False).token_ids_BT.shape == (1, 5)


def test_empty_and_full_masks_teach_nothing() -> None:
    ids = torch.ones(1, 5, dtype=torch.long)
    stack = torch.stack([torch.zeros(48, 48).bool(), block(0, 0), torch.ones(48, 48).bool()])
    referents = [
        TrainingReferent(image=0, candidates=rows, token_ids_ST=ids, token_mask_ST=ids)
        for rows in ((0,), (1,), (2,), (0, 1, 2), ())
    ]
    usable = usable_referents([stack], referents)
    assert [referent.candidates for referent in usable] == [(1,), (1,)]
    with pytest.raises(ValueError, match="empty or covers"):
        usable_referents([stack], referents[:1])


def test_data_without_masks_or_referents_say_so(data: ReferentDataset) -> None:
    with pytest.raises(ValueError, match="no masks"):
        ReferentDataset(data.images_N3HW, None, data.referents).batch([(0, 0)]).targets_BHW()
    with pytest.raises(ValueError, match="no object"):
        ReferentDataset(data.images_N3HW, data.masks, [])
    with pytest.raises(ValueError, match="8 images but masks of 1"):
        ReferentDataset(data.images_N3HW, data.masks[:1] if data.masks else None, data.referents)


def test_referents_are_pickled_without_tensors(data: ReferentDataset) -> None:
    content = pickle.dumps(data.referents)
    assert b"torch._utils" not in content
    for copied, referent in zip(pickle.loads(content), data.referents, strict=True):
        assert torch.equal(copied.token_ids_ST, referent.token_ids_ST)
        assert torch.equal(copied.token_mask_ST, referent.token_mask_ST)
        assert (copied.image, copied.candidates, copied.name) == (referent.image, referent.candidates, referent.name)
