"""`claude-trader`, which gives an agent CLI that is about to end as long as it takes on a busy machine."""

from runner.__main__ import main
from runner.claude.proxy import answering

if __name__ == "__main__":
    answering.ENDS_BY_ITSELF_S = 60
    main()
