"""CareLedger: a FHIR R4 server whose records are sealed, logged and provable."""

__version__ = "0.1.0"
