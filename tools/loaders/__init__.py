"""Loaders that others wrote, each in an environment of its own: how they get on with this tap's output."""
