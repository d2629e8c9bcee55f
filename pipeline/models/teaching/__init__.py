"""Training rows judged, relabelled, softened or joined by more, inside the fold, by a teacher."""
