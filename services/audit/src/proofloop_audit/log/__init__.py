"""The log: one append-only Merkle tree per tenant."""
