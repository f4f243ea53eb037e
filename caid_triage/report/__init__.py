"""5 REPORT: what a case came to, one file per format. Reads CaseView only."""
