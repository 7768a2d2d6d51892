"""Evaluation: benchmarks, and the results of a model on them. Independent of stages and recipes."""
