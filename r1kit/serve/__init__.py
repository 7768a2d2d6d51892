"""The HTTP API over an engine, compatible with OpenAI and DeepSeek clients (docs/serving.md)."""
