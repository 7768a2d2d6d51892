"""The terminal: progress, plots, one-sentence error messages, experiment trackers."""
