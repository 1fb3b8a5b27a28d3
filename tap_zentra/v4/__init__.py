"""ZENTRA Cloud Classic, API v4 and v3."""
