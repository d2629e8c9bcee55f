"""Whether what lies on the disk is whole and belongs together; nothing here changes a file."""
