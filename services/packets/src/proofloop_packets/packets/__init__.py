"""Packets: a claim's evidence and history, sealed so that a stranger can verify them."""
