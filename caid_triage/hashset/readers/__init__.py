"""One small file for each hash-set format; ``registry`` lists them in the order they are tried."""
