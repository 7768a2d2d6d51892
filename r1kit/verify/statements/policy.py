"""Which of two defensible readings a verifier takes, where the field disagrees.

STRICT is for rewards: an answer is paid only if one reading of it is possible, and that one is
right. LENIENT is for benchmarks whose published numbers come from graders that take the last box
and ignore what stands around it. docs/verifiers.md compares them with the graders of the field.
"""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.errors import ConfigError


@dataclass(frozen=True, slots=True)
class GradingPolicy:
    """The switches; each docstring names what happens if it is on."""

    boxes_in_a_sentence_are_a_list: bool = True
    """`\\boxed{2} and \\boxed{-4}` states both; off: only the last box counts"""
    last_box_must_be_whole: bool = True
    """a last box that is cut off or empty is no answer; off: an earlier box counts"""
    can_be_taken_back: bool = True
    """"Answer: 5. Wait, that is wrong." is no answer; off: 5 is"""
    renames_constants: bool = True
    """constants of integration and integer parameters may have other names"""
    value_for_letter: bool = True
    """`\\textbf{(B)}\\ 12` and its letter or value alone are the same answer"""
    needs_results: bool = True
    """`8 - 5` is no answer where a number is expected: a policy would learn to repeat the question;
    off: it is 3"""
    reads_number_words: bool = False
    """`fifteen`, 열다섯 and 十五 are 15 in an answer; in a gold answer they always are"""
    rounds: bool = False
    """a decimal with at least three digits equals the number it is rounded from"""


STRICT = GradingPolicy()
LENIENT = GradingPolicy(
    boxes_in_a_sentence_are_a_list=False,
    last_box_must_be_whole=False,
    can_be_taken_back=False,
    needs_results=False,
    reads_number_words=True,
    rounds=True,
)
POLICIES = {"strict": STRICT, "lenient": LENIENT}


def find_policy(name: str) -> GradingPolicy:
    """Return a policy by name. Raises ConfigError, which lists them, for an unknown name."""
    if name not in POLICIES:
        raise ConfigError(f"There is no policy {name!r}; choose {' or '.join(POLICIES)}.")
    return POLICIES[name]
