"""What a competition is, guessed from its files; `pipeline.data.detect` puts it together."""
