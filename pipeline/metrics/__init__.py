"""Truth and predictions come in; scores, and how far they would move on other rows, go out. numpy
and scipy only.
"""
