"""Listening tests: a folder that a browser plays, a server that keeps answers, a report with honest intervals."""
