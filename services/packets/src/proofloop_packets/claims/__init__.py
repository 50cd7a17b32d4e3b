"""Noun: claims."""
