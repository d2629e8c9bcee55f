"""Are the scores that are promised true? The honest score, its intervals, the expected score."""
