"""Singer tap for METER's ZENTRA Cloud."""
