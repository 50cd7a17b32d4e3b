"""Evidence: files kept once per content hash, their type and metadata read from the content alone."""
