"""DNS zones: master files, the zone in memory, and answers from it.

Pure: no files, no sockets, no clock. `master_file` reads text into `zone`, `lookup` answers from
it by the steps of RFC 1034 §4.3.2.
"""
