"""Training one fold: seconds per step and until a score, against peers; its parts one by one."""
