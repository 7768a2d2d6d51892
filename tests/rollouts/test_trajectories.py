"""The advantages that a recorded group has are those that its completions are trained with."""

from r1kit.config import RLConfig
from r1kit.rollouts.metrics import group_record
from r1kit.rollouts.trajectories import advantage_records
from tests.groups import RIGHT, WRONG, group


def test_a_recorded_completion_has_the_advantage_it_is_trained_with() -> None:
    config = RLConfig(loss_type="grpo", mask_truncated_completions=False)
    records = advantage_records(group(RIGHT, WRONG), config)
    assert records == [{"advantage": 0.7071}, {"advantage": -0.7071}]  # 0.5 over its deviation
    line = group_record("zero", 1, group(RIGHT, WRONG), records)
    assert [one["advantage"] for one in line["rollouts"]] == [0.7071, -0.7071]


def test_a_masked_completion_teaches_nothing_and_has_none() -> None:
    config = RLConfig(mask_truncated_completions=True)
    assert advantage_records(group(RIGHT, WRONG), config)[1] == {}
