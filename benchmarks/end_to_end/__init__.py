"""From csv files to a submission: against scripts, on real competitions, growth with the rows."""
