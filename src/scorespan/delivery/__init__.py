"""Delivery: claimed entries become posts to the data mart, and every answer is settled."""
