"""The flows: deploy, swap, rollback, fleet, history, status, build, dockerfile."""
