"""Recipes, frozen folds and so many hours come in; the runs that are worth their time, and a
submission of them, go out.
"""
