"""Drawing and scoring tokens: worked out by hand, and against the plain formula."""

import math

import pytest
import torch
from torch import nn

from agent.policy import written
from agent.policy.sampling import inverted
from agent.policy.written import written_logprobs

torch.set_num_threads(1)


def test_a_token_is_drawn_where_the_cumulated_probability_first_exceeds_the_number() -> None:
    logprobs = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 1.0, 0.0]]).log()
    below_one = math.nextafter(1.0, 0.0)
    uniform = torch.tensor([[0.0, 0.49, 0.51, 0.76, below_one]] * 2, dtype=torch.float64)
    # what has no probability is never drawn, at neither end
    assert inverted(logprobs, uniform).tolist() == [[0, 0, 1, 2, 2], [2, 2, 2, 2, 2]]


def test_draws_come_as_often_as_their_probability_says() -> None:
    generator = torch.Generator().manual_seed(0)
    logprobs = torch.log_softmax(torch.randn(1, 6, generator=generator), -1)
    uniform = torch.rand(1, 40_000, generator=generator, dtype=torch.float64)
    shares = torch.bincount(inverted(logprobs, uniform)[0], minlength=6) / 40_000
    torch.testing.assert_close(shares, logprobs[0].exp(), atol=0.01, rtol=0)  # 4 standard deviations


@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients_are_those_of_the_plain_formula(
    bias: bool,  # noqa: FBT001 - both are tried
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(written, "TOKENS", 3)  # the last part is smaller
    torch.manual_seed(0)
    head = nn.Linear(5, 11, bias=bias).requires_grad_(requires_grad=False)
    ids = torch.tensor([0, 10, 3, 3, 7, 1, 2])
    weights = torch.randn(7)
    gradients = []
    values = []
    for plain in (True, False):
        hidden = torch.randn(7, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
        if plain:
            logprobs = torch.log_softmax(head(hidden) / 0.7, -1).gather(-1, ids[:, None])[:, 0]
        else:
            logprobs = written_logprobs(hidden, head, ids, 0.7)
        torch.autograd.backward((logprobs * weights).sum())
        values.append(logprobs.detach())
        gradients.append(hidden.grad)
    torch.testing.assert_close(values[1], values[0], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-6)


def test_nothing_written_has_no_log_probability() -> None:
    none = torch.zeros(0, dtype=torch.long)
    assert written_logprobs(torch.zeros(0, 5, requires_grad=True), nn.Linear(5, 11), none, 1.0).shape == (0,)
