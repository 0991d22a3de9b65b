/*
 * hold_limit.c - a callback that waits for a held thread: both go on, because nobody is held for
 * ever
 */
#include "tool.h"

static bool was_free;

static int waits_for_main(void *arg)
{
    cr_checkpoint(CR_CHECKPOINT_READY);
    WAIT_FOR(LOAD(was_free));
    return 0;
}

int main(void)
{
    struct tool_run run = {.wanted = COOPERATION_CONTINUE};
    uint32_t rounds;

    tool_begin();
    CHECK(cr_init() == 0);
    CHECK(cr_register_callback(waits_for_main, NULL, CR_THREAD_CONTEXT) >= 0);
    rounds = LOAD(tool_block->rounds);
    tool_start(&run, NULL, NULL);
    WAIT_FOR(LOAD(tool_block->finished) > 0); /* by this thread, which was held in the middle */
    CHECK(LOAD(tool_block->rounds) == rounds && LOAD(tool_block->outcome) == COOPERATION_CONTINUE);
    __atomic_store_n(&was_free, true, __ATOMIC_SEQ_CST);
    tool_join(&run);
    tool_check_idle();
    return 0;
}
