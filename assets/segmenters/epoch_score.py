"""The score that may pick an epoch, as the authors pick it: oIoU on the first scored split. Reads ground truth."""

from collections.abc import Callable

import torch

from assets.data.images import read_image
from assets.data.stages import GROUND_TRUTH
from assets.data.tables import by_image, ground_truth_of, images_of, referents_of
from assets.framework.work import Work
from assets.segmenters.training_set import Encoder
from ops.evaluation.iou import ScoreState, intersection_union
from ops.images import resize_image, resize_labels, to_tensor
from ops.refusal import Refused
from ops.segmenters.prediction import Segmenter, predict


def epoch_score(work: Work, tokenizer: Encoder, *, size: int) -> Callable[[Segmenter, int], float]:
    """(model, epoch) -> oIoU at the model's size.

    Raises:
        Refused: the split has no ground truth.
    """
    split = work.instance.source.evaluate[:1]
    images, truths = images_of(work), ground_truth_of(work.input(GROUND_TRUTH))
    referents = [referent for referent in referents_of(work, splits=split) if referent.object_id in truths]
    if not referents:
        raise Refused(f"split {split[0]} has no ground truth to pick the epoch by; set select: last")

    def score(model: Segmenter, _: int) -> float:
        state = ScoreState()
        for image_id, group in by_image(referents).items():
            pixels = read_image(work, images[image_id])
            image_3SS = resize_image(to_tensor(pixels), height=size, width=size)
            for referent in group:
                ids, mask = tokenizer.encode(referent.expressions)
                found = predict(model, image_3SS, token_ids_ST=ids, token_mask_ST=mask, original_size=(size, size))
                truth_HW = torch.from_numpy(truths[referent.object_id].mask.decode())
                squashed = resize_labels(truth_HW, height=size, width=size)
                for predicted in found.model_size_Shw:
                    state.update(*intersection_union(predicted, squashed))
        return state.compute().oiou

    return score
