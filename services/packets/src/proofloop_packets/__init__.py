"""Claims, evidence, and packets a stranger can verify."""
