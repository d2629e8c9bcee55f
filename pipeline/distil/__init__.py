"""An ensemble's runs and a recipe come in; a student, one model that has learnt from the labels and
from the ensemble's answers, goes out: a run in oof/ with an honest score, and a file to hand on.
"""
