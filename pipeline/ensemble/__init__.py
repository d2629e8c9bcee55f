"""Members come in; one predictor with an honest score, its decisions and a forecast go out. numpy,
scipy and scikit-learn only, never torch.
"""
