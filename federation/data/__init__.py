"""Samples: how they are read, partitioned over clients, and held out."""
