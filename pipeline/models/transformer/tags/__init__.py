"""A tag for every unit of a text: documents become windows, tokens become units."""
