"""A team-mate's file from any tool comes in; a verdict with its reasons, and a run like any
other, go out.
"""
