"""A task's settings, its label texts and its predictions come in; what they mean goes out.

A problem type is one object (`problem.Problem`) that owns what is particular to it:

    labels       how label texts become targets (n, k), and back to words
    predictions  names of their columns, whether they are numbers or probabilities, whether the
                 columns of a row exclude each other, what brings stray values back into range
    training     the losses it offers, the usual one first, and what the linear learner fits
    folds        strata, and the classes that every training part must hold
    metrics      what the data look like where a metric has to be guessed
    blending     scores that may be added up, methods that do not apply
    submission   the forms of a file it can take, and the texts that fill it
    team audit   which checks of values apply
    words        what the printed pages call it

`registry.problem_of` finds the object by the name that stands in the config. The room imports
nothing but numpy and the errors: everything else of the package may ask it, the config too.
What needs machinery of a room above (a loss of torch, a rule that fits thresholds) is named here
and looked up there, in a table; no other room compares a problem's name.

A new type is a file with a subclass of `Problem` and its entry in `registry.PROBLEMS`.
"""
