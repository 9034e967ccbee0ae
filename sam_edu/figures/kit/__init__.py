"""What every figure is drawn with: the theme, the colours, the class Figure, marks, diagrams, scales, input checks."""
