"""From problems to rewarded completions: collecting, rewarding, filtering, writing."""
