"""Training the tiny model: batches, losses, rounds of prompts, the loop, quick validation."""
