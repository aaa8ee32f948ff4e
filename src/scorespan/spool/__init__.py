"""The spool: a segment log on disk, one directory for each process.

A put is in the file before it returns (`write(2)`), and synced to the disk within 50 ms by a thread
of the spool's own. It therefore survives the death of the process in any form; the death of the
machine may cost the last 50 ms. A durable spool's put returns when its entry is synced, and the
death of the machine costs nothing.
"""
