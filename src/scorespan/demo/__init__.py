"""The demo: a custom scoring engine, a client that scores, and the account of both."""
