"""What makes training fast: packing, attention, dropout, oneDNN products, CUDA graphs."""
