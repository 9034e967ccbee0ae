"""What maintainers run: the set-up of the environment and the notebook runner. Nothing in the package imports it."""
