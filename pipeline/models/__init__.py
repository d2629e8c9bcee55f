"""One fold comes in; predictions of rows that the learner has not seen go out."""
