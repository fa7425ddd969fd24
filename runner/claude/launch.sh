#!/bin/sh
# The program that the agent SDK starts: it becomes launch.py, with the arguments that the runner left in a variable.
# It is a file of the package, because a folder for temporary files may be one in which nothing can be executed.
eval "exec $CLAUDE_TRADER_LAUNCH \"\$@\""
