"""What a sync of API v5 takes."""
