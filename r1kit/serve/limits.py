"""Every cap and every timeout of the server. Imports no torch.

What a request may ask is checked before any work is done for it: an unbounded `n` has stopped other
servers with one request (vLLM, CVE-2026-34756).
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_MESSAGES = 512
MAX_CHARS = 400_000
"""of a prompt, all messages together"""
MAX_N = 8
MAX_INT = 2**31 - 1
"""of a limit in tokens, whatever is asked; no model comes near"""
MAX_STOPS = 16
MAX_STOP_CHARS = 256
MAX_TOP = 20
"""of the likeliest tokens that are told beside a sampled one"""
MAX_SCHEMA_DEPTH = 32
MAX_SCHEMA_PARTS = 4_000
"""values in a JSON schema, at all depths"""
MAX_TOKENS = 32_768
"""of a completion that names no limit of its own"""
ANSWER_SHARE = 4
"""a thinking budget leaves at least one of so many tokens to the answer"""


@dataclass(frozen=True, slots=True)
class ServeLimits:
    """What one server gives, to all of its clients together."""

    max_rows: int = 32
    """completions being sampled at once, a model"""
    max_waiting: int = 256
    """completions waiting for a row, a model; more are refused with 429"""
    queue_timeout_s: float = 600.0
    """from the request to its first token"""
    total_timeout_s: float = 1800.0
    """from the request to its last token"""
    keepalive_s: float = 10.0
    """silence on a stream before a comment is sent, so that nobody in between hangs up"""
    prefix_tokens: int = 32_768
    """most tokens of earlier prompts whose keys and values are kept, a model"""
    max_body_bytes: int = 4_000_000
    body_timeout_s: float = 30.0
    """for a client to send its request"""
