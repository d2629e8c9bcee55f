"""What the leaderboard will say: the expected score of a test file, and how far it may be off.

sampling      scores of samples of other sizes, by drawing groups of training rows
shift         are test rows like the training rows? if not quite, what each row should count
copies        test rows that stand in train, which no fold tells of
leaderboard   the score and a 90 % range for the whole file, its public and its private part
"""
