"""What coordinator and worker must agree on before either runs; imports nothing, so the coordinator stays light."""

WORKER_MODULE = "caid_triage.scan.worker"
MEMORY_VARIABLE = "CAID_TRIAGE_WORKER_MEMORY"
