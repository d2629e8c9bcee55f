"""Everything that is chosen is chosen without the fold it is scored on."""
