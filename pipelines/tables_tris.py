"""The tables of TRIS, numbered from 21: 2n is Table n of its paper, and from 26 on stand those of its supplement.

What the paper calls IoU is mIoU. PointIt and PointM are the shares of expressions whose strongest pixel lies in the
object's box and on the object. Step 1 is compared on the first references of train (the paper takes all, and so does
`tris_full`) and on val; only what goes on to Step 2 needs more.
"""

from pipelines.rows import CHOSEN, PaperTable, Row

COMPARED = ("train", "val")
MEASURES = ("mIoU", "P@0.5", "PointIt", "PointM")


def _step_1(label: str, experiment: str = "tris") -> Row:
    return Row(label=label, experiment=experiment, stage="response_scores", method="TRIS Step 1")


def _selected(label: str, experiment: str = "tris") -> Row:
    return Row(label=label, experiment=experiment, stage="response_scores", method="PRMS")


def _labels(label: str, experiment: str = "tris") -> Row:
    return Row(label=label, experiment=experiment, stage="tris_scores", method="refined labels")


def _step_2(label: str, experiment: str = "tris") -> Row:
    return Row(label=label, experiment=experiment, stage="tris_scores", method="TRIS")


def _ablation(number: int, title: str, *rows: Row) -> PaperTable:
    """Of Step 1 alone."""
    return PaperTable(number=number, title=f"{title}, Step 1", rows=rows, splits=COMPARED, measures=MEASURES)


TABLES = (
    PaperTable(
        number=21,
        title="TRIS from sentences to masks: the paper's Tables 1 and 4 in one",
        rows=(
            _step_1("Step 1"),
            _selected("PRMS (one map an object, training images only)"),
            _labels("refined labels (training images only)"),
            _step_2("Step 2"),
        ),
        splits=CHOSEN,
        measures=("oIoU", *MEASURES),
    ),
    _ablation(
        23,
        "TRIS's Table 3: losses and the halves of the prompt",
        _step_1("classification", "tris_classification"),
        _step_1("classification, prompt", "tris_no_calibration"),
        _step_1("classification, calibration", "tris_no_prompt"),
        _step_1("all losses, only pixels look at texts", "tris_language_to_vision"),
        _step_1("all losses, only texts look at pixels", "tris_vision_to_language"),
        _step_1("classification, positives of calibration, prompt", "tris_positive"),
        _step_1("classification, negatives of calibration, prompt", "tris_negative"),
        _step_1("all losses, prompt"),
    ),
    PaperTable(
        number=24,
        title="TRIS's Table 4: which map stands for an object, and what comes of it",
        rows=(
            _step_1("each expression's own map"),
            *(
                row(f"{rule}{then}", experiment)
                for row, then in ((_selected, ""), (_labels, ": refined labels"), (_step_2, ": Step 2"))
                for rule, experiment in (
                    ("first map", "tris_first_map"),
                    ("PRMS through a sigmoid", "tris_sigmoid_selection"),
                    ("PRMS", "tris"),
                )
            ),
        ),
        splits=CHOSEN,
        measures=MEASURES,
    ),
    _ablation(
        25,
        "TRIS's Table 5: N negatives of classification, K of calibration",
        _step_1("N = 11", "tris_batch_12"),
        _step_1("N = 23", "tris_batch_24"),
        _step_1("N = 47"),
        _step_1("N = 95", "tris_batch_96"),
        _step_1("N up to 47: without texts that may be true", "tris_true_negatives"),
        _step_1("K = 1", "tris_negatives_1"),
        _step_1("K = 3", "tris_negatives_3"),
        _step_1("K = 6"),
        _step_1("K = 9", "tris_negatives_9"),
    ),
    PaperTable(
        number=26,
        title="TRIS's supplement: encoders that judge in calibration and PRMS",
        rows=tuple(
            row(f"{encoder}: {name}", experiment)
            for encoder, experiment in (("ResNet", "tris_resnet_scorer"), ("vision transformer", "tris"))
            for row, name in ((_step_1, "Step 1"), (_selected, "PRMS"))
        ),
        splits=COMPARED,
        measures=MEASURES,
    ),
    _ablation(
        27,
        "TRIS's supplement: width of the common space",
        _step_1("64", "tris_width_64"),
        _step_1("128", "tris_width_128"),
        _step_1("256"),
        _step_1("512", "tris_width_512"),
    ),
    _ablation(
        28,
        "TRIS's supplement: weight of classification beside calibration",
        _step_1("1", "tris_weight_1"),
        _step_1("2", "tris_weight_2"),
        _step_1("5"),
        _step_1("10", "tris_weight_10"),
        _step_1("5, calibration weighed as in the paper, temperature learnt", "tris_paper"),
        _step_1("5, calibration weighed as in the first release", "tris_first_release"),
        _step_1("5, calibration weighed as in the latest code", "tris_head"),
    ),
    PaperTable(
        number=29,
        title="TRIS's supplement: refinement",
        rows=(
            _labels("off: labels", "tris_unrefined"),
            _labels("on: labels"),
            _step_2("off: Step 2", "tris_unrefined"),
            _step_2("on: Step 2"),
        ),
        splits=CHOSEN,
        measures=MEASURES,
    ),
)
