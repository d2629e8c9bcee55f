"""Members of the ensembles of docs/ensembles.md, by the words that follow `cv --model`."""

LINEAR = {
    "linear": [],
    "characters": ["--set=word_ngrams=[1,1]", "--set=char_ngrams=[1,5]"],
    "words": ["--set=char_ngrams=[1,1]", "--set=word_ngrams=[1,3]"],
    "syllables": ["--set=char_ngrams=[2,3]", "--set=word_ngrams=[1,1]"],
    "strong": ["--set=strengths=[100.0]"],
    "weak": ["--set=strengths=[0.1]"],
    "narrow": ["--set=buckets=1024"],
}
"""Variants of the linear learner by a name for the page; what each changes."""
SHORT = ["--set=epochs=1", "--set=max_length=64"]
MINILM = {
    "cross": ["minilm", *SHORT],
    "cross bce": ["minilm", *SHORT, "--set=loss=bce", "--seed=7"],
    "siamese": ["minilm-siamese", *SHORT],
    "siamese huber": ["minilm-siamese", *SHORT, "--set=loss=huber", "--seed=7"],
}
MEMBERS: dict[str, dict[str, list[str]]] = {
    "klue-sts": {name: ["linear", *more] for name, more in LINEAR.items()},
    "stsb-en": {name: ["linear", *more] for name, more in list(LINEAR.items())[:3]} | MINILM,
    "ynat": {name: ["linear", *more] for name, more in LINEAR.items()},
    "nsmc": {name: ["linear", *more] for name, more in LINEAR.items()},
}
"""Competition -> member -> what follows --model."""
