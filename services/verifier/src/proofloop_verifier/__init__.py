"""Check a Proofloop packet or audit log offline; no server code."""
