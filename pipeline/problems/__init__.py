"""A task and its sample submission come in; what the columns of predictions and of the file
mean goes out.
"""
