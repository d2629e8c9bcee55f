"""An assessed ensemble comes in; files in submissions/ with their provenance, and the ledger
of what was sent, go out.
"""
