"""What does each trick of training bring, on the same folds, and what does it cost?"""
