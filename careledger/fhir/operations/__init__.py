"""One `$operation` a file."""
