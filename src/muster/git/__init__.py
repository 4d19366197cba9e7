"""Git, as the `git` command and its files."""
