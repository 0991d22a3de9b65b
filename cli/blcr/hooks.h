/*
 * hooks.h - commands that cr_restart runs when it knows how the restart went
 */
#ifndef CLI_BLCR_HOOKS_H
#define CLI_BLCR_HOOKS_H

enum hook {
    HOOK_SUCCESS = 0,
    HOOK_FAIL_ARGUMENTS,    /* wrong options, or a file that can't be opened */
    HOOK_FAIL_TEMPORARY,    /* it may work later */
    HOOK_FAIL_SURROUNDINGS, /* it may work when files or permissions are put right */
    HOOK_FAIL_PERMANENT,
    HOOK_FAILURE, /* each of the failures that has no hook of its own */
    HOOKS_N,
};

struct hooks {
    const char *commands[HOOKS_N]; /* NULL: none */
};

/* Which failure an errno value or CR_E* is. */
enum hook hooks_class(int error);

/* Run the command for it; its exit code, 128 + the signal that ended it, 0 where there is none. */
int hooks_run(const struct hooks *hooks, enum hook hook);

#endif
