"""A submission comes in; the files of a bundle, tried before they are put in place, go out."""
