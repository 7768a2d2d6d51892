"""The run folder: writing, resuming, reading and checking it."""
