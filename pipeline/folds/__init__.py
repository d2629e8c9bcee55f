"""Checked tables come in; which rows are predicted together, frozen in folds/NAME.csv with its
passport, goes out.
"""
