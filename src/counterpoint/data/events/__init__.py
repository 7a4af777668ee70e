"""Scores as lines of symbols: what a small language model reads and writes (`systems/score.py`)."""
