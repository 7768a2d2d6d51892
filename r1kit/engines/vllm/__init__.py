"""vLLM: its process, and an engine on it."""
