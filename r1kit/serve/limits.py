"""All limits and timeouts of the server. Imports no torch.

Requests are checked before any work is done for them: a single request with an unbounded `n` has
stopped other servers (vLLM, CVE-2026-34756).
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_MESSAGES = 512
MAX_TOOLS = 128
MAX_BIASES = 1_024
"""tokens with a logit bias"""
MAX_PARTS = 1_024
"""parts of one message"""
MAX_CHARS = 400_000
"""characters of a prompt, all messages together"""
MAX_N = 8
MAX_PROMPTS = 256
"""completions of one request: its prompts times n or best_of"""
MAX_INT = 2**31 - 1
"""cap on any token limit in a request; no model comes near it"""
MAX_STOPS = 16
MAX_STOP_CHARS = 256
MAX_TOP = 20
"""maximum number of likeliest tokens returned with a sampled one"""
MAX_SCHEMA_DEPTH = 32
MAX_SCHEMA_PARTS = 4_000
"""number of values in a JSON schema, at all depths"""
MAX_TOKENS = 32_768
"""default token limit of a completion"""
ANSWER_SHARE = 4
"""a thinking budget leaves at least 1/ANSWER_SHARE of max_tokens to the answer"""


@dataclass(frozen=True, slots=True)
class ServeLimits:
    """The limits of one server, shared by all of its clients."""

    max_num_seqs: int = 32
    """number of completions sampled at once, per model"""
    max_waiting: int = 256
    """number of completions waiting for a slot, per model; more are refused with 429"""
    queue_timeout_s: float = 600.0
    """seconds from a request to its first token"""
    total_timeout_s: float = 1800.0
    """seconds from a request to its last token"""
    keepalive_s: float = 10.0
    """seconds without output before a keep-alive is sent, so that no proxy closes the connection"""
    prefix_tokens: int = 32_768
    """maximum number of tokens in the prefix cache (keys and values of earlier prompts), per
    model"""
    max_body_bytes: int = 4_000_000
    body_timeout_s: float = 30.0
    """seconds for a client to send its request body"""
