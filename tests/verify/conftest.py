"""One warm pool of Math-Verify workers for all tests of the verifiers."""

from collections.abc import Iterator

import pytest

from r1kit.verify.math import Pool


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    with Pool(size=1) as pool:
        pool.warm_up()
        yield pool
