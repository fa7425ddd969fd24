"""What the process from which programs are forked does last: it is imported there only."""

import gc

import apprise

from tests.rigs.done_once import do_once

do_once()
apprise.Apprise.instantiate("json://127.0.0.1")  # it loads all its services then
gc.collect()
gc.freeze()  # else each forked program looks through all of this for garbage, and copies it by that
