/*
 * blcr_errcodes.h - error codes of BLCR's interface, beyond those of errno
 *
 * Purpose: one list of name, text; it makes the constants CR_E* and cr_strerror()'s words. The
 * numbers are fixed, lie above every errno value, and are stored in errno like those. A tool ends
 * with the low 8 bits.
 */
#ifndef BLCR_ERRCODES_H
#define BLCR_ERRCODES_H

/* X(name, text), in the order of the numbers, from CR_MIN_ERRCODE + 1 on. */
#define CR_ERRCODES(X)                                                                             \
    X(CR_ETEMPFAIL, "The program asked to be checkpointed at another time")                        \
    X(CR_EPERMFAIL, "The program can't be checkpointed and was ended, as it asked for")            \
    X(CR_ENOSUPPORT, "A process has no checkpoint library")                                        \
    X(CR_EVERSION, "The versions of the library and of the checkpoint service differ")             \
    X(CR_EOMITTED, "The process was left out of the checkpoint, as it asked for")                  \
    X(CR_EBADARCH, "The context file comes from another architecture")                             \
    X(CR_EPTRACED, "A process is being traced")                                                    \
    X(CR_EPTRACER, "A process traces another one")                                                 \
    X(CR_ERSTRTABRT, "The restart was given up and its processes were ended")                      \
    X(CR_ERESTARTED, "The request was made before this process was restarted")                     \
    X(CR_ENOTCB, "Only a callback may call this")                                                  \
    X(CR_ENOINIT, "The thread has not called cr_init()")

#define CR_ERRCODE_NAME(name, text) name,

enum {
    CR_MIN_ERRCODE = 2353,                      /* all codes are above */
    CR_ERRCODES(CR_ERRCODE_NAME) CR_MAX_ERRCODE /* all codes are below */
};

#endif
