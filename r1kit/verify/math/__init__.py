"""Mathematical answers: exact where it can be, Math-Verify in a killable process where it must."""

from r1kit.verify.math.check import check_math
from r1kit.verify.math.pool import Pool

__all__ = ["Pool", "check_math"]
