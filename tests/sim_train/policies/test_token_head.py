"""The token head."""

import pytest
import torch

from sim_train.policies.token_head import TokenHead, cosine_basis


def test_the_basis_is_orthogonal_and_free_of_the_constant():
    basis = cosine_basis(64, 16).double()
    gram = basis @ basis.T / 32
    torch.testing.assert_close(gram, torch.eye(16, dtype=torch.float64), atol=1e-5, rtol=0)
    assert basis.sum(1).abs().max() < 1e-4


def test_logits_are_smooth_and_float32_under_autocast():
    torch.manual_seed(0)
    head = TokenHead(8, 256, 24)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(torch.randn(5, 8))
    assert logits.dtype == torch.float32
    assert logits.shape == (5, 256)
    assert logits.diff(dim=-1).std() < 0.3 * logits.std()  # independent bins: 1.4 times


def test_pushing_one_bin_also_lifts_its_neighbours():
    head = TokenHead(8, 256, 24)
    torch.nn.init.zeros_(head.mix.weight)
    torch.nn.init.zeros_(head.mix.bias)
    hidden = torch.ones(1, 8)
    before = head(hidden).detach()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    (-head(hidden).log_softmax(-1)[0, 100]).backward()
    optimizer.step()
    lift = (head(hidden) - before)[0]
    assert abs(int(lift.argmax()) - 100) <= 1
    assert lift[98] > 0.8 * lift[100]
    assert lift[200] < 0.5 * lift[100]


@pytest.mark.parametrize("rank", [0, 16])
def test_rank_must_fit(rank):
    with pytest.raises(ValueError, match="rank"):
        TokenHead(8, 16, rank)
