"""What was sent to the leaderboard: the ledger, what it says, and which two files to end with."""
