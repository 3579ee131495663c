"""FHIR R4: interactions, operations, search and validation over a snapshot of the vault."""
