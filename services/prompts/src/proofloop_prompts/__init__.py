"""Ask the right person for what is missing."""
