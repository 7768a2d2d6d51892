"""Messages between the caller and a worker over a socket: one JSON object and binary blobs.

    message = u32 length of head · head (JSON; its "sizes" are the lengths of the blobs) · blobs

Both ends use this module. The candidate has neither end of the socket.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

MAX_HEAD = 1 << 20
_JOINED = 1 << 16
"""bytes up to which the blobs of a message are sent in one call"""
_LENGTH = struct.Struct("!I")


def send(to: socket.socket, head: dict[str, Any], blobs: Sequence[bytes | bytearray] = ()) -> None:
    """Send one message. Raises OSError if the other end is gone."""
    text = json.dumps({**head, "sizes": [len(blob) for blob in blobs]}).encode()
    head_bytes = _LENGTH.pack(len(text)) + text
    if sum(map(len, blobs)) < _JOINED:
        to.sendall(b"".join([head_bytes, *blobs]))
        return
    for part in (head_bytes, *blobs):  # a copy of a large output would double its memory
        to.sendall(part)


def receive(source: socket.socket) -> tuple[dict[str, Any], list[bytes]]:
    """Receive one message. Raises EOFError if the other end is gone, OSError on a timeout."""
    length = _LENGTH.unpack(_exactly(source, _LENGTH.size))[0]
    if length > MAX_HEAD:
        raise EOFError("not a message")
    head = json.loads(_exactly(source, length))
    return head, [_exactly(source, size) for size in head.pop("sizes")]


def _exactly(source: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = source.recv(min(size - len(data), 1 << 20))
        if not chunk:
            raise EOFError("the other end is gone")
        data += chunk
    return bytes(data)
