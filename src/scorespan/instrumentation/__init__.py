"""Instrumentation: scorings of services that know nothing of scorespan, seen from outside.

One module for each serving stack. Each is loaded when the module that it patches has been
imported, and offers `instrument(module)`, which is called with that one; none imports a server
framework or the OpenTelemetry SDK.
"""
