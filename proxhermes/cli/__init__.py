"""Click commands: words in, words out, exit codes. No decisions. One file a command family."""
