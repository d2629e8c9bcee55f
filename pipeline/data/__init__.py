"""Files come in; checked tables, and texts as token numbers in batches, go out."""
