"""A response whose answers are split into text and tool calls. No torch.

The calls arrive as pieces of the kind `call`, for the writer of any route: the first piece of a
call has its id and name, the others its arguments. A completion with calls that ended by itself has
the ending `tool_calls`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from r1kit.engines.completion import Chunk
from r1kit.renderers.call_grammar import call_grammar
from r1kit.renderers.stream_parser import Piece
from r1kit.renderers.tool_formats import ToolFormat
from r1kit.renderers.tool_parser import CallParser, ForcedCallParser, ToolCallParser
from r1kit.serve.api_error import SCHEMA_PARAM, ApiError
from r1kit.serve.response_stream import ResponseStream
from r1kit.serve.tools import ToolUse, arguments_schema, call_schema
from r1kit.types import Json

CALLED = "tool_calls"
"""finish reason of a completion that calls a tool"""


@dataclass(frozen=True, slots=True)
class ToolPlan:
    """A plan of sampling and reading the calls of a request."""

    make_parser: Callable[[], CallParser]
    is_parallel: bool
    opening: str = ""
    """text with which the answer begins, written by the server"""
    schema: Json | None = None
    """JSON schema of the answer after it"""
    param: str = "tools"
    """field at fault if the schema cannot be followed"""
    lark: str | None = None
    """grammar of an answer that may be text or calls of strict tools"""


def tool_plan(
    use: ToolUse,
    tool_format: ToolFormat,
    answer_schema: Json | None,
    special_ids: Callable[[], Mapping[str, int]] = dict,
) -> ToolPlan | None:
    """Return the plan for a request's tools, None if it has none.

    A demanded call is written after its opening in the model's own format and follows its schema.
    With an `answer_schema`, the answer is JSON of this schema or a call in JSON. With strict tools,
    it is text or calls that follow a grammar; `special_ids` returns the special tokens for it.
    """
    functions, parameters = use.functions, use.parameters()
    if not functions:
        return None

    def parser() -> CallParser:
        return ToolCallParser(tool_format, parameters)

    key = tool_format.arguments_key
    if not use.is_demanded:
        schema = None if answer_schema is None else call_schema(functions, key, answer_schema)
        param = "tools" if schema is None else SCHEMA_PARAM
        strict = use.enforced() if schema is None else {}
        lark = call_grammar(tool_format, strict, special_ids()) if strict else None
        return ToolPlan(parser, use.is_parallel, schema=schema, param=param, lark=lark)
    if len(functions) > 1:
        schema = call_schema(functions, key)
        return ToolPlan(parser, True, tool_format.json_opening, schema)
    [function] = functions
    opening = tool_format.opening.replace("NAME", function.name)
    schema = arguments_schema(function)
    return ToolPlan(lambda: ForcedCallParser(function.name), True, opening, schema)


class ToolCallStream:
    """The response of another stream, with its calls (a `ResponseStream`)."""

    def __init__(self, inner: ResponseStream, plan: ToolPlan) -> None:
        self.asked_at = inner.asked_at
        self._inner = inner
        self._plan = plan
        self._parsers = [plan.make_parser() for _ in range(inner.n)]
        self._n_begun = [0] * inner.n
        """number of calls so far, by completion"""

    @property
    def first_at(self) -> float | None:
        return self._inner.first_at

    @property
    def n(self) -> int:
        return self._inner.n

    @property
    def n_prompt_tokens(self) -> int:
        return self._inner.n_prompt_tokens

    async def next(self) -> list[Chunk]:
        try:
            chunks = await self._inner.next()
        except ApiError as error:
            if error.param != SCHEMA_PARAM:
                raise
            param = self._plan.param
            message = error.message.replace(SCHEMA_PARAM, param, 1)
            raise ApiError(error.status, message, param=param) from None
        return [self._read(chunk) for chunk in chunks]

    def cancel(self) -> None:
        self._inner.cancel()

    def _read(self, chunk: Chunk) -> Chunk:
        parser, pieces = self._parsers[chunk.index], []
        for piece in chunk.pieces:
            pieces += parser.feed(piece.text) if piece.kind == "answer" else [piece]
        if chunk.finish is not None:
            pieces += parser.finish()
        allowed = [piece for piece in pieces if self._is_allowed(piece, chunk.index)]
        is_call = chunk.finish == "stop" and parser.n_calls > 0
        return replace(chunk, pieces=allowed, ending=CALLED if is_call else chunk.ending)

    def _is_allowed(self, piece: Piece, index: int) -> bool:
        """Return False for all calls after the first one if the request allows only one."""
        self._n_begun[index] += piece.call is not None
        is_later = piece.kind == "call" and self._n_begun[index] > 1
        return self._plan.is_parallel or not is_later
