"""Math verifier: exact arithmetic where possible, else Math-Verify in a killable process."""

from r1kit.verify.math.check import check_math
from r1kit.verify.math.pool import Pool

__all__ = ["Pool", "check_math"]
