"""Verifiers: decide if an answer is correct from its text, in bounded time and without `eval`.

Programs run only in the sandbox.
"""
