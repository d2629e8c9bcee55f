"""How a fold runs, and how a run is made of folds."""
