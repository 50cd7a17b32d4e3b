"""The whole Proofloop stack on one machine, without Docker."""
