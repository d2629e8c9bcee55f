"""Everything on the disk comes in; what is damaged or does not belong together, and how to
mend it, goes out. Nothing here changes a file.
"""
