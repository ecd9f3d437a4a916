"""A folder a lesson, named like its notebook: its figures, and its exercises with their `check`."""
