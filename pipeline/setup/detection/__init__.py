"""What a competition is, guessed from its files; `detect` puts it together."""
