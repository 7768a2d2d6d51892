"""HTTP clients: JSON with retries, server-sent events."""
