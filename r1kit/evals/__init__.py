"""Evaluation: benchmarks, and the results of a model on them. It knows no stage and no recipe."""
