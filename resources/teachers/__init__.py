"""Masks of teachers: what a large model said of a data set's images, read from its files, checked, and kept as data.

`reading` knows what lies in a teacher's files, `fitting` finds the images and sentences that are meant, `imports` keeps
what fits below `<home>/teachers`. Stages read it back by `kept_masks`.
"""
