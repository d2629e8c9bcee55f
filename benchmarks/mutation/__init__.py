"""Would the tests notice? Small changes to the rooms that carry the promise, judged by their tests.

Mutants and their session files are those of cosmic-ray; which test runs which line, coverage.py
says; each mutant's tests run in a fork of a process that has everybody's libraries loaded already.
"""
