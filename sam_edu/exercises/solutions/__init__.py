"""The solutions of the exercises: a module per topic, with the same name. Try first."""
