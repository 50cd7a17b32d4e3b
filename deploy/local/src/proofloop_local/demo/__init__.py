"""`proofloop demo`: the evidence loop on an example claim, shown as it happens."""
