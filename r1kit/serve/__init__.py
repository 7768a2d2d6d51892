"""The API over an engine: what OpenAI and DeepSeek clients expect (docs/serving.md)."""
