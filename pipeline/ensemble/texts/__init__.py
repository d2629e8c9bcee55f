"""Members' candidates come in; one text per row, with an honest score, goes out.

Texts cannot be averaged. What all members say of a row is put together, and the candidate is taken
that is worth most, by the competition's own metric, if the others are right: minimum Bayes risk.
"""
