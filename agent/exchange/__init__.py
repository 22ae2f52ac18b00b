"""What was learned from, in others' formats: out to UBI's indices, in from logs and public data sets."""
