"""Evaluation: the scores of a checkpoint on a benchmark."""
