"""The FLOPs behind "at no less compute", by hand."""

from r1kit.stages.compute import compute_spent


def test_compute_is_six_flops_per_parameter_learned_and_two_per_token_sampled() -> None:
    steps = [
        {"n_trained_tokens": 10.0, "n_completion_tokens": 100.0, "n_prompt_tokens": 50.0},
        {"n_trained_tokens": 5.0},
    ]
    assert compute_spent(steps, n_parameters=1000) == {
        "trained_tokens": 15.0,
        "sampled_tokens": 150.0,
        "flops": 1000 * (6 * 15 + 2 * 150),
    }
