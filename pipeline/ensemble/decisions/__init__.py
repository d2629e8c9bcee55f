"""Decisions: from scores to submitted values, each chosen without the fold it is scored on.

    clip  rounding        numbers
    threshold             classes by a cut of a probability: binary, or each label of several
    offsets               one class of several: probabilities weighed before the largest wins
    cutpoints             ordered classes by cuts of a number
    labels                what a file of classes does to a metric that would rather have numbers
    candidates ← gate     which of them compete for a problem, metric and form of submission
    choose                their honest effects, and which is applied

A decision maps predictions (n, k) to predictions (n, k) of the same kind: classes that were decided
come back as 0 and 1, as one 1 in a row, or as whole numbers. So metrics and the written file, which
read classes off predictions at 0.5, by the largest or by the nearest, need not know of it.
"""
