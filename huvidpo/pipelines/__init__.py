"""Sampling: a prompt becomes a first frame, a first frame becomes a clip."""
