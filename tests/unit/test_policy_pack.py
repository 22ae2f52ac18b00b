"""The layout of a packed batch, worked out by hand."""

from agent.policy.pack import Group, Packed, pack
from agent.policy.prompt import Encoder, Prompt
from agent.policy.tiny import LetterTokenizer
from agent.sections import PolicySettings
from feedback.records import Form

ENCODER = Encoder(LetterTokenizer(), PolicySettings(model="tiny"))
A, B = (2, 3, 0), (4, 0)
P = len(ENCODER.prefix(Form.ADD))


def packed() -> Packed:
    """One group with two rewrites, one with one; the prompts are "a ->" and "ab ->" (2 and 3 tokens)."""
    return pack(
        [
            Group(prompt=Prompt(query="a"), completions=(A, B)),
            Group(prompt=Prompt(query="ab"), completions=(B,)),
        ],
        ENCODER,
    )


def test_a_row_is_the_prompt_then_each_rewrite_without_its_last_token() -> None:
    arrow, a, b = ENCODER.tokenizer.encode(" ->a") + ENCODER.tokenizer.encode("b")
    assert packed().input_ids.tolist() == [[a, arrow, 2, 3, 4], [a, b, arrow, 4, 0]]
    assert packed().branch.tolist() == [[0, 0, 1, 1, 2], [0, 0, 0, 1, -1]]


def test_every_rewrite_starts_at_the_prompts_end() -> None:
    assert packed().position_ids.tolist() == [[P, P + 1, P + 2, P + 3, P + 2], [P, P + 1, P + 2, P + 3, 0]]


def test_a_token_is_predicted_by_the_one_before_it() -> None:
    # the first by the prompt's last column, 1 and 2
    assert packed().predictor.tolist() == [[[1, 2, 3], [1, 4, 0]], [[2, 3, 0], [0, 0, 0]]]
    assert packed().completion_ids.tolist() == [[[2, 3, 0], [4, 0, 0]], [[4, 0, 0], [0, 0, 0]]]
    yes, no = True, False
    assert packed().completion_mask.tolist() == [
        [[yes, yes, yes], [yes, yes, no]],
        [[yes, yes, no], [no, no, no]],
    ]


def test_forms_may_be_mixed_with_the_shorter_prefix_padded_on_the_left() -> None:
    forms = [
        Group(prompt=Prompt(query="a", form=form), completions=(B,)) for form in (Form.ADD, Form.INSTEAD)
    ]
    mixed = pack(forms, ENCODER)
    longest = max(len(ENCODER.prefix(form)) for form in Form)
    assert mixed.prefix_ids.shape == (2, longest)
    assert mixed.prefix_mask.sum(1).tolist() == [
        len(ENCODER.prefix(form)) for form in (Form.ADD, Form.INSTEAD)
    ]
    assert bool(mixed.prefix_mask[:, -1].all())


def test_columns_read_back() -> None:
    one = packed()
    other = Packed.of({**one.columns(), "advantages": one.branch})
    assert all(one.columns()[name].equal(tensor) for name, tensor in other.columns().items())
