"""Recipes, a space of settings and frozen folds come in; complete runs, and the recipe of the best
settings found, go out.
"""
