"""The self-hosted data mart: payload records over the data mart REST API, kept in SQLite.

`scorespan.mart.server` runs it; `scorespan.mart.app` builds it from a store and an authority.
"""
