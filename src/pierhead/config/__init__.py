"""Configuration files: TOML text to frozen values to an `Application`; no sockets.

    text ─▶ reading ─▶ Configuration ─▶ building ─▶ Application
    serve's options ───────┘      └─▶ writing ─▶ text

`locate` finds where each key stands, `kinds` and `table` are what sections are declared with,
`configuration` declares them.
"""
