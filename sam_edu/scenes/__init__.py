"""Procedural scenes with exact nested masks, and the prompts that are drawn on them."""
