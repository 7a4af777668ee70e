"""An evaluation: what was made against what is real, metric by metric, into one report."""
