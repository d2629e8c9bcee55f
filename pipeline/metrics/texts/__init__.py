"""Texts and their references come in; BLEU, chrF, ROUGE and exact match go out."""
