"""The only SQL. Above it: commands and views, which see records. Below it: SQLite.

`Database` opens and checks the file, `Writer` commits, `Journal` tells what happened. A command gets a
`Transaction`, a view a `Reading`; neither sees a connection.
"""
