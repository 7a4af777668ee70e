"""Commands that are a page of their own; `cli.py` hangs them on the command line."""
