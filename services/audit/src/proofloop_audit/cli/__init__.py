"""The audit service at the command line: `proofloop audit list`, `show`, `prove`, `export` and `stats`."""
