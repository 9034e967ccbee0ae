"""Tracing: look at every tensor of the real forward pass, and change one on its way."""

from sam_edu.tracing.trace import How, Row, Select, ShapeTable, Trace, intervene, trace

__all__ = ["How", "Row", "Select", "ShapeTable", "Trace", "intervene", "trace"]
