"""Studies of papers: cells that are made once, exhibits and claims over them, and a report."""
