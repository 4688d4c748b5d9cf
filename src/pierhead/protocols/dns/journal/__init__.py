"""What has changed in zones, on disk: nothing that was acknowledged is lost.

store.py      one SQLite file for all zones, and the thread that owns it
recovery.py   which version of a zone is served, if its file and the journal differ
"""
