"""Checkpoints: saved, found by name, and loaded."""
