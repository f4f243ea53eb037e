"""REVIEW: what needs a human eye, examiners' grades of it, small pictures of it, what a grading tool is given."""
