"""Parameters and multiply-adds against what is counted by hand."""

import torch
from torch import nn

from ops.evaluation.flop_count import multiply_adds, parameters


def test_products_and_norms_are_counted_apart() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()).eval()
    found = multiply_adds(layers, torch.zeros(1, 3, 10, 12))
    assert found.products == 10 * 12 * 8 * 3 * 9
    assert found.norms == 10 * 12 * 8 * 2
    assert found.total == found.products + found.norms


def test_a_pass_costs_the_same_where_nothing_is_computed() -> None:
    with torch.device("meta"):
        layers = nn.Sequential(nn.Linear(16, 4), nn.LayerNorm(4)).eval()
        found = multiply_adds(layers, torch.zeros(5, 16))
    assert found == (5 * 16 * 4, 5 * 4 * 5)


def test_the_products_of_attention_are_counted() -> None:
    attention = nn.MultiheadAttention(16, 2, batch_first=True).eval()
    tokens = torch.zeros(1, 5, 16)
    found = multiply_adds(lambda one: attention(one, one, one, need_weights=False), tokens)
    assert found.products == 4 * 5 * 16 * 16 + 2 * 5 * 5 * 16


def test_what_does_not_compute_costs_nothing() -> None:
    assert multiply_adds(nn.ReLU(), torch.zeros(3)) == (0, 0)


def test_parameters_of_several_modules_are_summed() -> None:
    assert parameters(nn.Linear(3, 4), nn.BatchNorm1d(4)) == 3 * 4 + 4 + 8
