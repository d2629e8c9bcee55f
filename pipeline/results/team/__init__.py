"""A team-mate's predictions: read from any tool's csv, audited, and stored as a run like any other.

columns, cells, sheet    which column is what, texts to numbers, one file
candidate                the file(s) of a team-mate, rows joined by id to today's tables
checks/                  one suspicion each: rows, values, order, folds, labels, leaks, copies …
audit                    all checks, and the verdict
store, export, listing   into oof/COMP/NAME/, out to a csv again, what there is
"""
