"""A recipe and frozen folds come in; a run under oof/, and its weights and logs under runs/,
go out.
"""
