"""TRIS's blocks pass on vectors of other seeds and sizes, written from the formulas with numpy alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.parity.test_parity import lines_of

Arrays = dict[str, np.ndarray]


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    raised = np.exp(x - x.max(axis, keepdims=True))
    return raised / raised.sum(axis, keepdims=True)


def other_bilateral_prompt(rng: np.random.Generator) -> Arrays:
    """24 channels, 5 x 2 pixels, five texts and one."""
    width, images, height, columns = 24, 3, 5, 2
    state = {f"w/{name}.0.bias": rng.normal(size=width) for name in ("v_output", "t_output")}
    state |= {f"w/{side}_proj{number}.0.bias": rng.normal(size=width) for side in "vt" for number in (1, 2, 3)}
    state |= {name.replace("bias", "weight"): rng.normal(size=(width, width)) / 5 for name in list(state)}
    state |= {
        f"w/{name}.1.{kind}": rng.normal(size=width)
        for name in ("v_proj1", "v_proj2", "v_proj3", "v_output")
        for kind in ("weight", "bias")
    }

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return x @ state[f"w/{name}.0.weight"].T + state[f"w/{name}.0.bias"]

    def normed(name: str, x: np.ndarray) -> np.ndarray:
        y = linear(name, x)
        y = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5)
        return y * state[f"w/{name}.1.weight"] + state[f"w/{name}.1.bias"]

    arrays: Arrays = {}
    for texts in (5, 1):
        pixels, words = rng.normal(size=(images, height * columns, width)), rng.normal(size=(images, texts, width))
        pixels, words = (one / np.linalg.norm(one, axis=2, keepdims=True) for one in (pixels, words))
        q_v, k_v, v_v = (np.maximum(normed(f"v_proj{number}", pixels), 0) for number in (1, 2, 3))
        q_t, k_t, v_t = (np.maximum(linear(f"t_proj{number}", words), 0) for number in (1, 2, 3))
        attn_v = softmax(q_v @ k_t.swapaxes(1, 2) / np.sqrt(width), 2)
        attn_t = softmax(q_t @ k_v.swapaxes(1, 2) / np.sqrt(width), 2)
        vis, lan = normed("v_output", attn_v @ v_t), linear("t_output", attn_t @ v_v)
        case = {"vis": pixels, "lan": words, "attn_v": attn_v, "attn_t": attn_t, "vis_prompt": vis, "lan_prompt": lan}
        for name in ("vis", "vis_prompt"):
            case[name] = case[name].swapaxes(1, 2).reshape(images, width, height, columns)
        case["response"] = (pixels + 0.1 * vis) @ (words + 0.1 * lan).swapaxes(1, 2) / 0.07
        arrays |= {f"n{texts}_{name}": value for name, value in case.items()}
    state = {
        name: value[..., None, None] if "v_" in name and value.ndim == 2 else value for name, value in state.items()
    }
    return {name: value.astype(np.float32) for name, value in (arrays | state).items()}


def other_cls_score_loss(rng: np.random.Generator) -> Arrays:
    """Three images and texts, 20 pixels."""
    response = rng.normal(size=(3, 3, 20)) * 5

    def psi(share: np.ndarray) -> np.ndarray:
        return (1 - share) ** 3 * np.log(0.01 + share)

    share = softmax(np.concatenate([np.ones((3, 1, 20)), response], 1), 1)[:, 1:].mean(2)
    score = response.mean(2) + response.max(2) + psi(share)
    right = np.where(np.eye(3) == 1, score, -score)
    grid = np.linspace(0, 1, 7)
    return {
        "response": response,
        "mean_term": response.mean(2),
        "max_term": response.max(2),
        "mask_mean": share,
        "psi": psi(share),
        "score": score,
        "cls_loss": np.log1p(np.exp(-right)).mean(),
        "psi_grid_x": grid,
        "psi_grid": psi(grid),
    }


def other_calibration_fixed_sims(rng: np.random.Generator) -> Arrays:
    """Nine samples, five negatives."""
    own, other = rng.uniform(-0.5, 0.9, 9), rng.uniform(-0.5, 0.9, (9, 5))
    each, each_negative = -np.log(np.clip(own, 1e-4, 0.9999)), -np.log(1 - other)
    positive, negative = each.mean(), each_negative.mean()
    return {
        "sim_pos": own,
        "sim_neg": other,
        "per_sample_pos": each,
        "per_sample_neg_mean": each_negative.mean(1),
        "loss_pos": positive,
        "loss_neg_mean": negative,
        "total_head": positive + 2 * negative,
        "total_paper_sum": positive + each_negative.sum(1).mean(),
        "sim_pos_all_positive": np.abs(own),
        "loss_pos_all_positive": -np.log(np.abs(own)).mean(),
        "total_first_release_all_positive": -2 * np.log(np.abs(own)).mean() + negative,
    }


def other_lr_schedule(rng: np.random.Generator) -> Arrays:
    """4 epochs of 101 iterations."""
    iterations, epochs = rng.integers(0, 404, 9), np.arange(4)
    return {
        "stage1_total_iters": np.array(404),
        "iters": iterations,
        "factor": (1 - iterations / 404) ** 0.9,
        "stage2_epoch": epochs,
        "stage2_factor_as_coded": (1 - epochs / 404) ** 0.9,
    }


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "make", [other_bilateral_prompt, other_cls_score_loss, other_calibration_fixed_sims, other_lr_schedule]
)
def test_other_seeds_and_sizes_pass(make: Callable[[np.random.Generator], Arrays], seed: int, tmp_path: Path) -> None:
    stem = make.__name__.removeprefix("other_")
    np.savez(tmp_path / f"{stem}.npz", **make(np.random.default_rng(seed)))  # type: ignore[arg-type]
    passed, lines = lines_of(tmp_path)
    assert passed, lines
