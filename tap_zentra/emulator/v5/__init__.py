"""API v5 of ZENTRA Cloud 2.0, over the fleet that the other versions have; knows nothing of them."""
