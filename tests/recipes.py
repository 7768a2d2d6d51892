"""A recipe of the smallest model that can be pretrained and trained by RL, without its steps."""

LITTLE = """
name = "little"
languages = ["en"]
[[tasks]]
name = "equation"
[model]
vocab_size = 300
n_layers = 1
hidden = 16
intermediate = 16
n_heads = 2
n_kv_heads = 1
[compute]
n_processes = 1
"""
