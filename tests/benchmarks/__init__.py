"""Ratios measured in one run; each file is a program."""
