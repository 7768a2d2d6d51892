"""Rollouts: collect completions of problems, reward them, filter them and write them to disk."""
