"""MATCH: records of a scan against known material, arrays in, arrays out; the naive oracle is shipped beside."""
