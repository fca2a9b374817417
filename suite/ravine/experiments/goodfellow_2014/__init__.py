"""Straight lines through networks, and what runs do beside them."""
