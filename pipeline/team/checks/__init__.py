"""One suspicion per file: each has `check(subject)`, which yields findings.

A check speaks up with what it measured and with the bound it held that against; the reason for the
bound stands in the check's docstring.
"""
