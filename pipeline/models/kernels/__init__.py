"""What makes training fast: packing, attention, dropout, oneDNN products, vocabulary, CUDA
graphs.
"""
