"""What the leaderboard will say: the expected score of a test file, and how far it may be off.

given              from an assessed ensemble to what the forecast is told
mean_of_learners   what the mean of K learners gains over one of them
label_shift        other label shares in test, as predictions tell them
shift              are test rows like the training rows? if not quite, what each row should count;
                   test rows that stand in train, which no fold tells of
ranges             scores of samples of other sizes, by drawing groups of training rows; 90 %
                   ranges, with the doubt of every move
leaderboard        all of it together: the score and its range, or why there is none
"""
