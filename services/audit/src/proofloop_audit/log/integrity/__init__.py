"""The check of logs where they are kept, and the service's own that runs for ever."""
