"""The audit of a team-mate's file: how often it accuses an honest one, which faults it sees."""
