"""Reconcile: ledger and spool against the data mart; the account, and what is missing by name."""

from __future__ import annotations

from scorespan.reconcile.account import Account, Place, read_account
from scorespan.reconcile.compare import PATIENCE_SECONDS, reconcile
from scorespan.reconcile.gaps import Gap, Lost
from scorespan.reconcile.letterless import Letterless
from scorespan.reconcile.payload import stored_ids
from scorespan.reconcile.report import Report
from scorespan.reconcile.tally import TERMS, WAITING
from scorespan.reconcile.waiting import DirectoryReport, read_directories
from scorespan.reconcile.window import Window

__all__ = [
    "PATIENCE_SECONDS",
    "TERMS",
    "WAITING",
    "Account",
    "DirectoryReport",
    "Gap",
    "Letterless",
    "Lost",
    "Place",
    "Report",
    "Window",
    "read_account",
    "read_directories",
    "reconcile",
    "stored_ids",
]
