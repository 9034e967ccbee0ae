"""Training the tiny model: scenes, prompts, losses, the loop, baselines and evaluation."""
