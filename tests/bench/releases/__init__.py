"""What a trial of a version decides and costs, in worlds whose truth is known: one module a question."""
