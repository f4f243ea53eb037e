"""MANY EXHIBITS, unattended: the queue, its budget, a child process for each scan, and the unit's figures."""
