"""Answers that stand in a text, by a transformer: in come texts by character, out go where an
answer begins, where it ends, and whether there is one. `windows` cuts texts, `learner` trains."""
