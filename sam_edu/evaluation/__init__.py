"""Scores of a model on held-out scenes and on photographs, beside what geometry alone reaches."""
