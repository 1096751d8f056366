"""The tables of MERES, numbered from 11: 1n is Table n of its paper, 15 its Figure 5, 16 our own."""

from pipelines.rows import PaperTable, Row


def _meres(label: str, experiment: str = "meres", classes: str = "") -> Row:
    return Row(label=label, experiment=experiment, stage="meres_scores", method="MERES", classes=classes)


def _lavt(label: str, experiment: str = "meres", classes: str = "") -> Row:
    return Row(label=label, experiment=experiment, stage="supervised_scores", method="supervised", classes=classes)


TABLES = (
    PaperTable(
        number=11,
        title="MERES and LAVT on the same labels; over S1 both go on from S2",
        rows=(
            Row(label="LAVT on S2 (ZSBootstrap)", experiment="base", stage="scores", method="ZSBootstrap"),
            _meres("MERES on S2", "meres_choices"),
            Row(label="LAVT over S1 (S+S+C)", experiment="correct", stage="corrected_scores", method="S+S+C"),
            Row(
                label="MERES over S1",
                experiment="meres_candidates",
                stage="meres_matched_scores",
                method="MERES, matched",
            ),
            _meres("MERES on the last matches of S+S+C", "meres_corrected"),
            _meres("MERES on TRIS's labels", "meres_refined"),
            _lavt("LAVT on ground truth"),
            _meres("MERES on ground truth"),
        ),
    ),
    PaperTable(
        number=12,
        title="MERES's Table 2: with CLIP's text encoder, trained on seen classes only",
        rows=tuple(
            row(f"{name}, {classes} classes", "meres_seen", classes)
            for classes in ("seen", "unseen")
            for name, row in (("LAVT", _lavt), ("MERES", _meres))
        ),
    ),
    PaperTable(
        number=13,
        title="MERES's Table 3: what guides the decoder",
        rows=(
            _meres("linguistic tokens", "meres_words"),
            _meres("enhanced linguistic tokens", "meres_enhanced_words"),
            _meres("visual expressions", "meres_visual"),
            _meres("enhanced linguistic tokens, all pixels", "meres_pixels"),
            _meres("enhanced linguistic tokens, visual expressions"),
        ),
    ),
    PaperTable(
        number=14,
        title="MERES's Table 4: parts",
        rows=(
            _meres("(a) all pixels", "meres_all_pixels"),
            _meres("(a) pixels of positive similarity", "meres_similar_pixels"),
            _meres("(b) the whole sentence only", "meres_global"),
            _meres("(b) the words only", "meres_local"),
            _meres("(c) without refinement", "meres_unrefined"),
            _meres("(d) without relationships", "meres_unrelated"),
            _meres("(e) without contrastive loss", "meres_uncontrasted"),
            _meres("(f) without mask in the normalisation", "meres_unmasked_norm"),
            _meres("Eq. 7 as printed, with 1/K", "meres_paper_scale"),
            _meres("full model"),
        ),
    ),
    PaperTable(
        number=15,
        title="pixels that a token keeps (MERES's Figure 5)",
        rows=(_meres("10 %", "meres_k10"), _meres("30 %"), _meres("80 %", "meres_k80")),
    ),
    PaperTable(
        number=16,
        title="what MERES's paper leaves open (spec 13)",
        rows=(
            _meres("early fusion", "meres_early_fusion"),
            _meres("enhancement at a finer map first", "meres_finer_levels"),
            _meres("one enhancement layer", "meres_one_layer"),
            _meres("three enhancement layers", "meres_three_layers"),
            _meres("no positions", "meres_no_positions"),
            _meres("words and pixels compared in 32 channels", "meres_joint_32"),
            _meres("20 tokens", "meres_20_tokens"),
            _meres("one unweighted channel", "meres_one_channel"),
            _meres("contrastive loss in full", "meres_full_contrast"),
            _meres("contrastive loss over both halves", "meres_balanced"),
            _meres("the same in full, visual expressions alone", "meres_visual_balanced"),
            _meres("contrast at the coarsest pixels", "meres_contrast_cells"),
            _meres("temperature in the pooling", "meres_pool_temperature"),
            _meres("guidance in the two coarsest stages", "meres_coarse_looks"),
            _meres("plain queries in the decoder", "meres_plain_queries"),
            _meres("as chosen"),
        ),
    ),
)
