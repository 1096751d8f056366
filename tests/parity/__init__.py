"""Reference vectors: each block of arrays is recomputed with our code and the largest error is reported."""
