"""What the commands found comes in; pages, tables and figures for people go out."""
