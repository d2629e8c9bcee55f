"""Run folders under oof/ come in; members, their rows joined by id and proved to be of the
same folds, go out.
"""
