"""In: the rows that a fold may train on. Out: those and what a recipe's `rows` makes of them."""
