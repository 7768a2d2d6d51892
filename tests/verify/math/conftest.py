"""Warm pools of Math-Verify workers for the tests of the verifiers."""

from collections.abc import Iterator

import pytest

from r1kit.verify.math import Pool


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    with Pool(size=1) as pool:
        pool.warm_up()
        yield pool


@pytest.fixture(scope="session")
def patient() -> Iterator[Pool]:
    """For verdicts that must come, however busy the machine is."""
    with Pool(size=1, budget_s=30.0) as pool:
        pool.warm_up()
        yield pool
