"""Ratings: what one is, where they are kept, how they travel."""
