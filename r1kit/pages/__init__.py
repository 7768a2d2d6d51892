"""The chat in the browser: gradio over the public API, and nothing but the public API."""
