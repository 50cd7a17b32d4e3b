"""An audit log nobody can quietly rewrite."""
