"""Record how each AI-made document came to be."""
