"""A bundle and rows that came after the launch come in; whether they are like those it was trained
on, and the score that is to be expected of its answers, go out.
"""
