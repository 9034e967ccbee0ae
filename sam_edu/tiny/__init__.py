"""The tiny model that comes with the package: its image encoder, its weights and statistics, the running example."""
