"""4 KEEP: the case folder. The only package that speaks SQL."""
