"""WHICH ANSWER IS BETTER? Scores for what no verifier can decide."""
