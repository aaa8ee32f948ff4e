"""The OTLP door: takes export requests from a Collector or an application and answers for them."""
