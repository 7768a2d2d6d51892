"""Instructions whose compliance can be checked by rule, as in IFEval."""

from r1kit.verify.instructions.check import (
    Instruction,
    InstructionReport,
    check_instructions,
    read_instructions,
)

__all__ = ["Instruction", "InstructionReport", "check_instructions", "read_instructions"]
