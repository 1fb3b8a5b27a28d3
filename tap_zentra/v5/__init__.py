"""ZENTRA Cloud 2.0: its API v5."""
