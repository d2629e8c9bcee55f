"""A team-mate's predictions: read from any tool's csv, audited, and stored as a run like any other.

options, reading         what the user says of a file or two; refusing what cannot be predictions
sheet, columns, predicted, cells   one file: which column is what, texts to numbers
candidate                a team-mate's predictions, rows joined by id to today's tables
checks/                  one suspicion each: rows, values, order, folds, labels, leaks, copies …
audit                    all checks, and the verdict
store, export, listing   into oof/COMP/NAME/, out to a csv again, what there is
"""
