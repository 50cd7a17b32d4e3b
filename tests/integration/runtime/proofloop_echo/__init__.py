"""The least service: what the runtime's tests run, in their own process and as one of its own."""
