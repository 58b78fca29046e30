"""Uploaded files: what is known of them is in SQL, their contents are at a files provider.

service      upload, list, read, delete
├── contents     the protocol of writing and removing contents, so that a crash leaves nothing behind
├── names        what a client may call a file
├── spool        a copy on the local disk, for as long as it is needed
└── sweep        removes what has expired, and finishes what a crash left half done
port         files for the agent and for ingestion
"""
