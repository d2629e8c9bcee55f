"""A folder of files comes in; configs/NAME.yaml and what a careful competitor should know go
out.
"""
