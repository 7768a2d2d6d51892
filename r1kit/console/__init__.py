"""The terminal: progress, plots, errors as sentences, experiment trackers."""
