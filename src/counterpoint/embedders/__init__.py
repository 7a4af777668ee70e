"""Ears: a sound becomes vectors.  One file each; weights come from a place that the user names, never from the network."""
