"""What members without training a network are worth, alone and together."""
