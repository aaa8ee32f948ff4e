"""Spans into payload records: two readers, one spool encoding, one pure conversion."""
