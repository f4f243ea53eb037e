"""Known-answer exhibits, requirements and the record of a validation: what ``caid-triage validate`` runs."""
