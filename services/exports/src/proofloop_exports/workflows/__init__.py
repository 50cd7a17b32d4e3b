"""How an AI-made document came to be, in three stages."""
