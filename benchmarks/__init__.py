"""What a sync takes, and what it would take at best: every figure is a ratio of things measured in the same run."""
