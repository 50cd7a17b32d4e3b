"""The noun `prompts`: questions to people, their answers, and the feeds that tell of both."""
