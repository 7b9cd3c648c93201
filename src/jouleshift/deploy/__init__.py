"""From a trained shift network to integers that run: the program, its lowering, and who executes it."""
