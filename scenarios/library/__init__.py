"""The scenarios, one a file: a SCENARIO value and its data function."""
