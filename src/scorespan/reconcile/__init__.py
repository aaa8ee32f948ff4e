"""Reconcile: ledger and spool against the data mart; the account, and what is missing by name."""

from __future__ import annotations

from scorespan.reconcile.account import Account, Place, read_account
from scorespan.reconcile.asked import Window
from scorespan.reconcile.compare import PATIENCE_SECONDS, reconcile
from scorespan.reconcile.gaps import Gap
from scorespan.reconcile.payload import stored_ids
from scorespan.reconcile.report import Report
from scorespan.reconcile.tally import TERMS, WAITING
from scorespan.reconcile.waiting import DirectoryReport, read_directories

__all__ = [
    "PATIENCE_SECONDS",
    "TERMS",
    "WAITING",
    "Account",
    "DirectoryReport",
    "Gap",
    "Place",
    "Report",
    "Window",
    "read_account",
    "read_directories",
    "reconcile",
    "stored_ids",
]
