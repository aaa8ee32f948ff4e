"""Payload logging for machine-learning models over OpenTelemetry."""
