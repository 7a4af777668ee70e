"""Plain functions from sounds, embeddings or labels to figures, each with its conventions."""
