"""The files of runs and submissions come in; their records at an experiment tracker (MLflow,
Weights & Biases) go out, brought up to date by a process beside the training.
"""
