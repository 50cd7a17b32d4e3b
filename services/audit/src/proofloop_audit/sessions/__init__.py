"""Sessions: runs of document work, their history and their statistics."""
