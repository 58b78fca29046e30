"""Shell completion: a small script for each shell, and the answers that it asks this program for.

The script calls the program with `VARIABLE` in its environment and the words so far as arguments, the last of which is
the one to complete. The answer is a line for each candidate, its value and (behind a tab) what it is; the line `FILES`
says that files fit, too.
"""

VARIABLE = "_LLAMA_STACK_COMPLETE"
FILES = ":files:"
