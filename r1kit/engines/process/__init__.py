"""A local engine in a process of its own."""
